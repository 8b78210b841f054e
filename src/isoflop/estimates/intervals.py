"""Intervals from kept draws: percentiles, and percentiles at a calibrated level."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

LEVELS: Final = (0.8, 0.95)
"""Confidence levels of every interval: part of the format of estimates, tables and forecasts."""
COVERAGE_SLACK: Final = 0.03
"""Coverage this far below its confidence level still counts as that level."""

Intervals = dict[str, tuple[float, float]]
"""Confidence level, such as "0.8", to lower and upper end."""


def tails(levels: Sequence[float] = LEVELS) -> Floats:
    """Give the shares below the ends of central intervals, (levels, 2)."""
    return np.array([[0.5 * (1.0 - level), 0.5 * (1.0 + level)] for level in levels])


def labelled(ends: Floats) -> Intervals:
    """Name ends, (levels, 2), by their confidence levels."""
    return {
        str(level): (float(low), float(high))
        for level, (low, high) in zip(LEVELS, ends, strict=True)
    }


def percentile_intervals(draws: Floats) -> Intervals:
    """Read central intervals off the draws (Efron and Tibshirani 1993, chapter 13).

    Returns
    -------
    Empty with fewer than two finite draws.
    """
    finite = draws[np.isfinite(draws)]
    return {} if len(finite) < 2 else labelled(np.quantile(finite, tails()))


def calibrated_intervals(draws: Floats, ranks: Floats) -> Intervals:
    """Read central intervals off the draws at the level that covers the truth often enough.

    Parameters
    ----------
    draws : (draws,) of one quantity; NaN where refused.
    ranks : (simulations,) share of the draws below the truth in simulated sweeps.

    References
    ----------
    Beran 1987, Biometrika 74:457; Loh 1987, J. Am. Stat. Assoc. 82:155: calibration of the level.
    """
    finite = draws[np.isfinite(draws)]
    if len(finite) < 2:
        return {}
    used = calibrated_levels(ranks)
    return labelled(np.quantile(finite, tails([used[level] for level in LEVELS])))


def calibrated_levels(ranks: Floats) -> dict[float, float]:
    """Give the nominal level of the percentile interval that stands for each confidence level.

    Where none covers the truth often enough, the level asked for stays, or the one below it where
    that is wider, so that intervals stay nested.
    """
    used: dict[float, float] = {}
    for level in LEVELS:
        wanted = calibrated_level(ranks, level) or level
        used[level] = max([wanted, *used.values()])
    return used


def calibrated_level(ranks: Floats, level: float) -> float | None:
    """Find the nominal level at which percentile intervals cover the truth in ``level`` of sweeps.

    Returns
    -------
    None where not even the span of all draws does: the truth lies beyond them too often.
    """
    off = np.sort(2.0 * np.abs(ranks - 0.5))
    # of n ordered values the k-th has k / (n + 1) of the distribution below it
    k = int(np.ceil(level * (len(off) + 1)))
    return float(off[k - 1]) if k <= len(off) and off[k - 1] < 1.0 else None


def coverage(ranks: Floats, level: float) -> float:
    """Give the share of simulated sweeps whose percentile interval of a level covers the truth."""
    return float(np.mean(2.0 * np.abs(ranks - 0.5) <= level))


def interval_score(low: Floats, high: Floats, measured: Floats, level: float) -> Floats:
    """Score intervals against what was measured; smaller is better.

    The width, plus 2/alpha times the distance by which the measurement lies outside, with
    alpha = 1 - level. It is proper: nobody gains by stating wider or narrower intervals than he
    believes, so it weighs sharpness against coverage in one number.

    References
    ----------
    Gneiting and Raftery 2007, J. Am. Stat. Assoc. 102:359, equation 43.
    """
    outside = np.maximum(low - measured, 0.0) + np.maximum(measured - high, 0.0)
    return np.asarray(high - low + 2.0 / (1.0 - level) * outside)
