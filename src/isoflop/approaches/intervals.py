"""Intervals from kept draws."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from isoflop.config import BootstrapSettings

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
    """

    value: float
    draws: Floats
    jackknife: Floats | None = None
    error: float | None = None
    errors: Floats | None = None


def intervals(evidence: Evidence, settings: BootstrapSettings) -> Intervals:
    """Derive intervals of the kind that the settings ask for.

    Returns
    -------
    Level, such as "0.8", to its lower and upper end; empty with fewer than two draws. ``bca`` and
    ``studentised`` fall back to ``percentile`` for a quantity that lacks what they need.
    """
    if np.isfinite(evidence.draws).sum() < 2:
        return {}
    if settings.interval == "bca" and evidence.jackknife is not None:
        return bca_intervals(evidence, settings.levels)
    if settings.interval == "studentised" and evidence.errors is not None:
        return studentised_intervals(evidence, settings.levels)
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
