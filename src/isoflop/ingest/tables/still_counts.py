"""Counts of tokens that stand still while a run goes on: those of one step, and not of all so far.

The batch of a step is the same for long, or grows a few times. A running sum rises with every
step, and one that is written in few digits after every few.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

LEAST_COUNTS: Final = 4
"""Counts from which it is told whether they rise at all."""
MANY: Final = 20
"""Counts from which it is told how long they stand still: fewer may be rounded."""
NEVER: Final = 0.9
"""Share of its steps for which no rounded sum stands still."""
STILL: Final = 0.25
"""Share of its steps for which no running sum stands still."""


class Standing:
    """The longest stretch of steps in which tokens do not rise, from one piece to the next."""

    def __init__(self) -> None:
        self._counts = 0
        self._first = self._last = self._begin = self._longest = 0.0
        self._top = -np.inf

    def add(self, steps: NDArray[Any], tokens: NDArray[np.float64]) -> Self:
        """Take in the next points, in the order of their steps; a count may be unknown."""
        known = np.isfinite(tokens) & (steps > 0)
        at, tokens = steps[known].astype(np.float64), tokens[known]
        if not len(at):
            return self
        if not self._counts:
            self._first = self._begin = float(at[0])
        top = np.maximum.accumulate(np.concatenate([[self._top], tokens]))
        rises = top[1:] > top[:-1]
        begin = np.maximum.accumulate(np.where(rises, at, self._begin))
        self._longest = max(self._longest, float((at - begin).max()))
        self._counts += len(at)
        self._last, self._begin, self._top = float(at[-1]), float(begin[-1]), float(top[-1])
        return self

    @property
    def share(self) -> float | None:
        """That stretch over all steps; None where counts are too few to tell."""
        if self._counts < LEAST_COUNTS or self._last <= self._first:
            return None
        share = self._longest / (self._last - self._first)
        return share if self._counts >= MANY or share > NEVER else None
