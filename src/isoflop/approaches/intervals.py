"""Intervals from kept draws."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


def percentile_intervals(draws: Floats, levels: Sequence[float]) -> dict[str, tuple[float, float]]:
    """Read central intervals off the draws.

    Parameters
    ----------
    draws : (draws,) values of one quantity; NaN where the resample was refused.
    levels : nominal coverages.

    Returns
    -------
    Level, such as "0.8", to its lower and upper end; empty with fewer than two draws.

    References
    ----------
    Efron and Tibshirani 1993, chapter 13.
    """
    finite = draws[np.isfinite(draws)]
    if len(finite) < 2:
        return {}
    tails = np.array([[0.5 * (1.0 - level), 0.5 * (1.0 + level)] for level in levels])
    ends = np.quantile(finite, tails)
    return {
        str(level): (float(low), float(high))
        for level, (low, high) in zip(levels, ends, strict=True)
    }
