"""Intervals from kept draws."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from isoflop.config.approaches import BootstrapSettings

    Floats = NDArray[np.float64]

Intervals = dict[str, tuple[float, float]]


@dataclass(frozen=True, eq=False)
class Evidence:
    """All that intervals of one quantity can be derived from.

    Attributes
    ----------
    value : estimate from all runs.
    draws : (draws,) the same from each resample; NaN where it was refused.
    jackknife : (runs,) the same with one run left out at a time; None where it is not needed.
    error : standard error of ``value``; None where the approach has none.
    errors : (draws,) standard error of each draw; None likewise.
    ranks : (simulations,) share of the draws below the truth in each of some simulated sweeps of
        the same design; None where there were none.
    """

    value: float
    draws: Floats
    jackknife: Floats | None = None
    error: float | None = None
    errors: Floats | None = None
    ranks: Floats | None = None


def intervals(evidence: Evidence, settings: BootstrapSettings) -> Intervals:
    """Derive intervals of the kind that the settings ask for.

    Returns
    -------
    Level, such as "0.8", to its lower and upper end; empty with fewer than two draws. A quantity
    that lacks what the other kinds need has ``percentile`` intervals.
    """
    if np.isfinite(evidence.draws).sum() < 2:
        return {}
    if settings.interval == "bca" and evidence.jackknife is not None:
        return bca_intervals(evidence, settings.levels)
    if settings.interval == "studentised" and evidence.errors is not None:
        return studentised_intervals(evidence, settings.levels)
    if settings.interval == "calibrated" and evidence.ranks is not None:
        return calibrated_intervals(evidence, settings.levels)
    return percentile_intervals(evidence, settings.levels)


def percentile_intervals(evidence: Evidence, levels: Sequence[float]) -> Intervals:
    """Read central intervals off the draws (Efron and Tibshirani 1993, chapter 13)."""
    finite = evidence.draws[np.isfinite(evidence.draws)]
    return _labelled(levels, np.quantile(finite, _tails(levels)))


def bca_intervals(evidence: Evidence, levels: Sequence[float]) -> Intervals:
    """Correct the percentiles for bias and skewness.

    References
    ----------
    Efron 1987, J. Am. Stat. Assoc. 82:171; Efron and Tibshirani 1993, section 14.3: z0 from the
    share of draws below the estimate, the acceleration from the jackknife.
    """
    from scipy.special import ndtr, ndtri

    finite = evidence.draws[np.isfinite(evidence.draws)]
    below = np.mean(finite < evidence.value) + 0.5 * np.mean(finite == evidence.value)
    z0 = ndtri(np.clip(below, 0.5 / len(finite), 1.0 - 0.5 / len(finite)))
    z = ndtri(_tails(levels))
    shifted = z0 + (z0 + z) / (1.0 - _acceleration(evidence.jackknife) * (z0 + z))
    return _labelled(levels, np.quantile(finite, ndtr(shifted)))


def studentised_intervals(evidence: Evidence, levels: Sequence[float]) -> Intervals:
    """Turn the draws' t statistics round, in logs (Efron and Tibshirani 1993, section 12.5).

    Every quantity here is positive, and an allocation is uncertain by a factor.
    """
    if evidence.error is None or evidence.errors is None:
        raise ValueError("studentised intervals need standard errors")
    kept = np.isfinite(evidence.draws) & (evidence.errors > 0) & (evidence.draws > 0)
    relative = evidence.errors[kept] / evidence.draws[kept]
    t = np.log(evidence.draws[kept] / evidence.value) / relative
    # the upper quantile of t makes the lower end
    turned = np.quantile(t, _tails(levels))[:, ::-1] * evidence.error / evidence.value
    return _labelled(levels, evidence.value * np.exp(-turned))


def calibrated_intervals(evidence: Evidence, levels: Sequence[float]) -> Intervals:
    """Read central intervals off the draws at the level that holds the truth often enough.

    References
    ----------
    Beran 1987, Biometrika 74:457; Loh 1987, J. Am. Stat. Assoc. 82:155: calibration of the level.
    """
    if evidence.ranks is None:
        raise ValueError("calibrated intervals need the ranks of simulated truths")
    finite = evidence.draws[np.isfinite(evidence.draws)]
    used = calibrated_levels(evidence.ranks, levels)
    return _labelled(levels, np.quantile(finite, _tails([used[level] for level in levels])))


def calibrated_levels(ranks: Floats, levels: Sequence[float]) -> dict[float, float]:
    """Give the nominal level of the percentile interval that stands for each level asked for.

    Where none holds the truth often enough, the level asked for stays, or the one below it where
    that is wider, so that intervals stay nested.
    """
    used: dict[float, float] = {}
    for level in sorted(levels):
        wanted = needed_level(ranks, level) or level
        used[level] = max([wanted, *used.values()])
    return used


def held(evidence: Evidence, settings: BootstrapSettings) -> dict[str, float]:
    """Say how often intervals like those given held the truth in the simulated sweeps.

    Returns
    -------
    Level to share; empty where nothing was simulated.
    """
    if settings.interval != "calibrated" or evidence.ranks is None:
        return {}
    used = calibrated_levels(evidence.ranks, settings.levels)
    return {str(level): share_held(evidence.ranks, used[level]) for level in settings.levels}


def share_held(ranks: Floats, level: float) -> float:
    """Share of simulated sweeps whose percentile interval of this level held the truth."""
    return float(np.mean(2.0 * np.abs(ranks - 0.5) <= level))


def needed_level(ranks: Floats, level: float) -> float | None:
    """Find the nominal level at which percentile intervals hold the truth in ``level`` of sweeps.

    Returns
    -------
    None where not even the span of all draws does: the truth lies beyond them too often.
    """
    off = np.sort(2.0 * np.abs(ranks - 0.5))
    # of n ordered values the k-th has k / (n + 1) of the distribution below it
    k = int(np.ceil(level * (len(off) + 1)))
    return float(off[k - 1]) if k <= len(off) and off[k - 1] < 1.0 else None


def _acceleration(jackknife: Floats | None) -> float:
    """Skewness of the jackknife values, over six (Efron and Tibshirani 1993, equation 14.15)."""
    if jackknife is None:
        return 0.0
    finite = jackknife[np.isfinite(jackknife)]
    off = finite.mean() - finite
    spread = float((off**2).sum())
    return float((off**3).sum()) / (6.0 * spread**1.5) if spread > 0 else 0.0


def _tails(levels: Sequence[float]) -> Floats:
    return np.array([[0.5 * (1.0 - level), 0.5 * (1.0 + level)] for level in levels])


def _labelled(levels: Sequence[float], ends: Floats) -> Intervals:
    return {
        str(level): (float(low), float(high))
        for level, (low, high) in zip(levels, ends, strict=True)
    }
