"""Whose exponent gave the runs of a matched pair their sizes: what a plan or sweep.yaml may say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

PairWord = Literal["kaplan", "chinchilla"]
"""Whose exponent gave a check run its size."""
SIZED_BY: Final[Mapping[PairWord, str]] = {
    "kaplan": "Kaplan’s exponent",
    "chinchilla": "Chinchilla’s exponent",
}
"""The same in words."""
PAIR_WORDS: Final[Mapping[str, PairWord]] = {word: word for word in SIZED_BY}
"""Names of exponents in a design to what its plan says."""


def sized_by(word: PairWord | None) -> str | None:
    """Say whose exponent sized a run; None for a run of no pair."""
    return word and SIZED_BY[word]
