"""Launches of one run in a store to which any value may come late, as an evaluation does."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def launch_numbers(steps: NDArray[Any], clock: NDArray[np.int64]) -> NDArray[np.int64]:
    """Put each value of a run in the launch that made its step.

    A launch begins where the clock falls, or at the values of its first step logged just before. A
    value of a step before that, as of an evaluation after the end, is of the launch before.

    Parameters
    ----------
    steps : of the values, in the order in which they were logged.
    clock : places of those whose steps tell the launches, as of the loss in training.
    """
    launches = [(steps.min(), 0)]
    for place in _begins(steps[clock]):
        first, since = clock[place], clock[place - 1] + 1
        same = np.flatnonzero(steps[since : first + 1] == steps[first])
        launches.append((steps[first], since + same[0]))
    numbers = np.zeros(len(steps), dtype=np.int64)
    for number, (step, begin) in enumerate(launches):
        numbers[np.flatnonzero(steps[begin:] >= step) + begin] = number
    return numbers


def _begins(steps: NDArray[Any]) -> list[int]:
    """Find where a clock begins anew: it falls, and makes more of the steps below its highest.

    A single value out of order is none.
    """
    falls = np.flatnonzero(np.diff(steps) < 0) + 1
    begins = [0]
    for place, end in pairwise([*falls.tolist(), len(steps)]):
        highest = steps[begins[-1] : place].max()
        if ((steps[place:end] > steps[place]) & (steps[place:end] <= highest)).any():
            begins.append(place)
    return begins[1:]
