"""Spikes of a training loss: how far single lines stand out above their neighbours."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    Array = NDArray[np.float64]

SIDE: Final = 3
"""Lines on each side that a spike is compared with."""
TO_SIGMA: Final = 1.4826
"""A normal distribution's standard deviation over its median absolute deviation."""
TELLS_NOTHING: Final = 1e-6
"""Scatter of log L below which losses are exact: an outlier of exact data needs some scale."""


def spikes(losses: Array, *, sigmas: float) -> NDArray[np.bool_]:
    """Mark losses that stand out above both the lines before and the lines after them.

    A steep fall is no spike, since what comes before it is higher; neither is the last rise of a
    run that diverges, since nothing lower follows.

    Parameters
    ----------
    losses : in the order of D, shape (n,).
    sigmas : how far above both, in robust standard deviations of a line's noise.
    """
    return heights(losses) > sigmas * line_noise(losses)


def heights(losses: Array) -> Array:
    """Give by how much each loss stands out above the lines before and after it.

    Returns
    -------
    Shape (n,) [nat/token]; minus infinity for the first and the last lines, which have too few
    neighbours.
    """
    height: Array = np.full(len(losses), -np.inf)
    if len(losses) < 2 * SIDE + 1:
        return height
    medians = np.median(np.lib.stride_tricks.sliding_window_view(losses, SIDE), axis=1)
    before, after = medians[: -SIDE - 1], medians[SIDE + 1 :]
    height[SIDE:-SIDE] = losses[SIDE:-SIDE] - np.maximum(before, after)
    return height


def line_noise(losses: Array) -> float:
    """Give a robust standard deviation of a line's noise [nat/token]; 0 for fewer than 2 lines."""
    if len(losses) < 2:
        return 0.0
    steps = np.diff(losses)
    return float(TO_SIGMA * np.median(np.abs(steps - np.median(steps))) / np.sqrt(2.0))


def line_noise_of(losses: Callable[[], Iterator[Array]], count: int) -> float:
    """Give what `line_noise` gives of losses too many for memory.

    Parameters
    ----------
    losses : gives all losses in order, some at a time, as often as it is called.
    count : how many there are.
    """
    if count < 2:
        return 0.0

    def steps() -> Iterator[Array]:
        last = np.empty(0)
        for some in losses():
            yield np.diff(np.concatenate([last, some]))
            last = some[-1:] if len(some) else last

    middle = median_of(steps, count - 1)
    apart = median_of(lambda: (np.abs(some - middle) for some in steps()), count - 1)
    return float(TO_SIGMA * apart / np.sqrt(2.0))


def median_of(
    values: Callable[[], Iterator[Array]], count: int, *, at_once: int = 1_000_000
) -> float:
    """Give the exact median of numbers too many for memory, none of them NaN.

    Parameters
    ----------
    values : gives all of them, some at a time, as often as it is called.
    count : how many there are.
    at_once : those that may be sorted in memory.

    Notes
    -----
    The bits of float64, read as integers, are in the order of the numbers, the sign aside. Each
    pass counts the numbers of 2^16 ranges and goes on with the ranges that the middle lies in.
    """
    ranks = [(count - 1) // 2, count // 2]
    return float(np.mean(_ranked(values, ranks, _Range(0, 2**64 - 1, 0, count), at_once)))


class _Range(NamedTuple):
    """Keys from `low` to `high`: `inside` numbers have one, and `below` numbers a lower one."""

    low: int
    high: int
    below: int
    inside: int


def _ranked(
    values: Callable[[], Iterator[Array]], ranks: list[int], of: _Range, at_once: int
) -> list[float]:
    """Give the numbers of some ranks, sorted, that lie in one range."""
    if of.low == of.high:
        return [_number(of.low)] * len(ranks)
    if of.inside <= at_once:
        keys = np.sort(np.concatenate([_within(some, of) for some in values()]))
        return [_number(int(keys[rank - of.below])) for rank in ranks]
    shift = max((of.high - of.low).bit_length() - 16, 0)
    counts = np.zeros(((of.high - of.low) >> shift) + 1, dtype=np.int64)
    for some in values():
        places = (_within(some, of) - np.uint64(of.low)) >> np.uint64(shift)
        counts += np.bincount(places.astype(np.int64), minlength=len(counts))
    up_to = of.below + counts.cumsum()
    numbers: list[float] = []
    for place, group in groupby(ranks, lambda rank: int(np.searchsorted(up_to, rank, "right"))):
        low = of.low + (place << shift)
        high = min(low + (1 << shift) - 1, of.high)
        inside = int(counts[place])
        part = _Range(low, high, int(up_to[place]) - inside, inside)
        numbers += _ranked(values, list(group), part, at_once)
    return numbers


_SIGN: Final = np.uint64(1 << 63)


def _within(values: Array, of: _Range) -> NDArray[np.uint64]:
    """Give the bits of numbers as integers in their order; those of a range alone."""
    bits = (values + 0.0).view(np.uint64)  # -0 becomes 0
    keys: NDArray[np.uint64] = np.where(bits & _SIGN, ~bits, bits | _SIGN)
    return keys[(keys >= np.uint64(of.low)) & (keys <= np.uint64(of.high))]


def _number(key: int) -> float:
    """Give the number that `_within` made an integer of."""
    bits = np.uint64(key)
    return float((bits ^ _SIGN if bits & _SIGN else ~bits).view(np.float64))
