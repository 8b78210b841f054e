"""Spikes of a training loss: how far single lines stand out above their neighbours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

SIDE: Final = 3
"""Lines on each side that a spike is compared with."""
TO_SIGMA: Final = 1.4826
"""A normal distribution's standard deviation over its median absolute deviation."""


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
