"""Text to tokens: the bytes themselves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from isoflop.config import SweepTokenizer
    from isoflop.sweep.corpus import Split, Tokens


@dataclass(frozen=True)
class Tokenized:
    """Both parts of a split as tokens.

    Attributes
    ----------
    train, validation : tokens, novels end to end.
    bytes_per_token : bytes that each token of the vocabulary stands for, so that bits per byte come
        from true byte counts.
    facts : what the header says about the tokenizer.
    """

    train: Tokens
    validation: Tokens
    bytes_per_token: np.ndarray[Any, np.dtype[np.int64]]
    facts: dict[str, object]


def tokenize_split(split: Split, settings: SweepTokenizer) -> Tokenized:
    """Turn a split into tokens."""
    return Tokenized(
        train=np.frombuffer(b"".join(split.train), dtype=np.uint8),
        validation=np.frombuffer(b"".join(split.validation), dtype=np.uint8),
        bytes_per_token=np.ones(settings.vocab_size, dtype=np.int64),
        facts={"kind": "bytes", "vocab_size": settings.vocab_size},
    )
