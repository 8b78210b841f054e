"""What a training's splits are called: in columns, cells, tags, folders and lines of logs."""

from __future__ import annotations

from typing import Final

TRAINED: Final = frozenset({"train", "training", "train_inner"})
VALIDATED: Final = frozenset(
    {"val", "valid", "validation", "validate", "eval", "evals", "evaluate", "evaluation",
     "evaluations", "dev"}
)  # fmt: skip
TESTED: Final = frozenset({"test", "testing", "heldout", "held-out", "held_out", "holdout"})
EVALUATED: Final = VALIDATED | TESTED
"""A loss so called is none of training."""


def any_of(words: frozenset[str]) -> str:
    """Give the alternatives of a pattern for some words, in an order of their own."""
    return "|".join(sorted(words, key=lambda word: (-len(word), word)))


def word_of(words: frozenset[str]) -> str:
    """Give the pattern of any of some words, which stands in lower case between other letters.

    Examples
    --------
    >>> import re
    >>> [bool(re.search(word_of(TESTED), name)) for name in ("test_loss", "latest", "test2")]
    [True, False, True]
    """
    return rf"(?:^|[^a-z])(?:{any_of(words)})(?:$|[^a-z])"
