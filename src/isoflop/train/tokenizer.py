"""Text to tokens: the bytes themselves, or a small vocabulary trained on the training split."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from isoflop.errors import IsoflopError
from isoflop.files import replacing, write_text

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from isoflop.train.corpus import Split, Tokens
    from isoflop.train.design import TokenizerSettings

BYTES = 256
PIECE = 1 << 16
"""Characters given to the BPE trainer and encoder at a time: a novel at once takes gigabytes."""


class TokenizerError(IsoflopError):
    """A tokenizer cannot be made as the plan asks."""


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


def tokenize_split(split: Split, settings: TokenizerSettings, cache: Path) -> Tokenized:
    """Turn a split into tokens.

    Parameters
    ----------
    split : the corpus, split by whole novels.
    settings : bytes or BPE, and the size of the vocabulary.
    cache : folder for a trained vocabulary and the tokens it gives; both follow from the split and
        the settings, so runs share them.
    """
    if settings.kind == "bytes":
        if settings.vocab_size != BYTES:
            raise TokenizerError(
                f"tokenizer.vocab_size is {settings.vocab_size}; bytes have a vocabulary of {BYTES}"
            )
        return Tokenized(
            train=np.frombuffer(b"".join(split.train), dtype=np.uint8),
            validation=np.frombuffer(b"".join(split.validation), dtype=np.uint8),
            bytes_per_token=np.ones(BYTES, dtype=np.int64),
            facts={"kind": "bytes", "vocab_size": BYTES},
        )
    return _tokenize_bpe(split, settings, cache)


def _tokenize_bpe(split: Split, settings: TokenizerSettings, cache: Path) -> Tokenized:
    """Train or read a byte-level BPE vocabulary and encode both parts with it."""
    try:
        from tokenizers import Tokenizer
    except ImportError as error:
        raise TokenizerError(
            "a BPE vocabulary needs the package tokenizers: install the extra `train`"
        ) from error

    key = hashlib.sha256()
    for part in (split.sha256, *split.train_names, str(settings.vocab_size)):
        key.update(part.encode() + b"\0")
    stem = f"{split.name}.bpe{settings.vocab_size}.{key.hexdigest()[:12]}"
    vocabulary, tokens = cache / f"{stem}.json", cache / f"{stem}.npz"
    if not vocabulary.exists():
        write_text(vocabulary, train_bpe(split.train, settings.vocab_size).to_str())
    text = vocabulary.read_text(encoding="utf-8")
    tokenizer = Tokenizer.from_str(text)
    if not tokens.exists():
        train, validation = (_encode(tokenizer, part) for part in (split.train, split.validation))
        # numpy appends .npz to a name that lacks it, so the archive goes through an open file
        with replacing(tokens) as partial, partial.open("wb") as stream:
            np.savez(stream, train=train, validation=validation)
    with np.load(tokens, allow_pickle=False) as stored:
        train, validation = stored["train"], stored["validation"]
    return Tokenized(
        train=train,
        validation=validation,
        bytes_per_token=token_bytes(tokenizer),
        facts={
            "kind": "bpe",
            "vocab_size": tokenizer.get_vocab_size(),
            "sha256": hashlib.sha256(text.encode()).hexdigest(),
            "trained_on": "train split",
            "train_bytes_per_token": split.train_bytes / len(train),
        },
    )


def train_bpe(novels: Iterable[bytes], vocab_size: int) -> Any:
    """Train a byte-level BPE vocabulary; every byte is in it, so nothing is unknown."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_pieces(novels), trainer)
    size = tokenizer.get_vocab_size()
    if size != vocab_size:
        raise TokenizerError(
            f"the training split gives a vocabulary of {size} tokens, the design asks for "
            f"{vocab_size}; lower tokenizer.vocab_size"
        )
    return tokenizer


def token_bytes(tokenizer: Any) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Count the bytes that each token stands for: a byte-level token has one character per byte."""
    size = tokenizer.get_vocab_size()
    return np.array([len(tokenizer.id_to_token(i)) for i in range(size)], dtype=np.int64)


def _pieces(novels: Iterable[bytes]) -> Iterable[str]:
    """Cut novels at paragraph ends into pieces of at least PIECE characters."""
    for novel in novels:
        text = novel.decode("utf-8")
        start = 0
        while start < len(text):
            end = text.find("\n\n", start + PIECE)
            end = len(text) if end < 0 else end + 2
            yield text[start:end]
            start = end


def _encode(tokenizer: Any, novels: Iterable[bytes]) -> Tokens:
    """Encode novels end to end."""
    parts = [np.array(tokenizer.encode(piece).ids, dtype=np.uint16) for piece in _pieces(novels)]
    return np.concatenate(parts)
