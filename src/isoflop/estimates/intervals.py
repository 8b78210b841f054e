"""Intervals from kept draws: percentiles, and percentiles at calibrated shares."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from isoflop.estimates.levels import Tails

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from isoflop.estimates.levels import NoLevel

    Floats = NDArray[np.float64]

LEVELS: Final = (0.8, 0.95)
"""Confidence levels of every interval: part of the format of estimates, tables and forecasts."""
OPEN: Final = 9.0
"""Ratio of the ends of an interval of N or D beyond which it is open, a factor of three either way.
Where the widest is, an answer beyond the data is called so, and one within them is none; where the
narrowest is, within the data, the fit is refused."""

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


def calibrated_intervals(draws: Floats, levels: Mapping[str, Tails | NoLevel]) -> Intervals:
    """Read intervals off the draws at calibrated shares of them; see ``levels.tails_of``.

    Parameters
    ----------
    draws : (draws,) of one quantity; NaN where refused.
    levels : confidence level to where its interval ends among the draws.

    Returns
    -------
    No interval of a confidence level that no nominal level serves; none with fewer than two draws.
    """
    finite = draws[np.isfinite(draws)]
    if len(finite) < 2:
        return {}
    served = {level: ends.shares for level, ends in levels.items() if isinstance(ends, Tails)}
    if not served:
        return {}
    ends = np.quantile(finite, list(served.values()))
    return dict(zip(served, map(tuple, ends.tolist()), strict=True))


def intervals_at(draws: Floats, levels: Mapping[str, Tails | NoLevel]) -> Intervals:
    """Read intervals off the draws at calibrated shares, or percentiles where there are none."""
    return calibrated_intervals(draws, levels) if levels else percentile_intervals(draws)


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
