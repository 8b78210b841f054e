"""Other intervals than those that estimates have: check-coverage compares them.

The table of docs/coverage.md settled on calibrated percentiles (``estimates.intervals``); BCa and
studentised intervals are kept so that the comparison can be made again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from isoflop.approaches.protocol import Resamples
from isoflop.approaches.uncertainty.jackknife import jackknife_errors, leave_one_out
from isoflop.estimates.intervals import (
    LEVELS,
    Intervals,
    calibrated_intervals,
    labelled,
    percentile_intervals,
    tails,
)
from isoflop.estimates.levels import tails_of
from isoflop.estimates.quantities import about, derived

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from isoflop.approach import Approach
    from isoflop.approaches.protocol import Fit

    Floats = NDArray[np.float64]

KINDS: Final = ("percentile", "bca", "studentised", "calibrated")


@dataclass(frozen=True, eq=False)
class BootstrapSample:
    """All that intervals of one quantity can be derived from.

    Attributes
    ----------
    value : estimate from all runs.
    draws : (draws,) the same from each resample; NaN where it was refused.
    jackknife : (runs,) the same with one run left out at a time; None where it is not needed.
    error : standard error of ``value``; None where the approach has none.
    errors : (draws,) standard error of each draw; None likewise.
    ranks : law to (simulations,) places of its truth among the draws of simulated sweeps of the
        same design; None where there were none.
    """

    value: float
    draws: Floats
    jackknife: Floats | None = None
    error: float | None = None
    errors: Floats | None = None
    ranks: Mapping[Approach, Floats] | None = None


def bootstrap_samples(
    fit: Fit, resamples: Resamples, draws: dict[str, Floats], flops: Floats, kind: str
) -> dict[str, BootstrapSample]:
    """Gather what intervals of each quantity are derived from, leave-outs only where needed.

    Parameters
    ----------
    fit : the fit to all runs.
    resamples, draws : what was drawn, and the quantities of each draw.
    flops : C of the optima [FLOP].
    kind : of ``KINDS``.

    Returns
    -------
    Name to sample, for the quantities that the fit predicts.
    """
    point = derived(fit.law, fit.parameters[None], flops)
    names = [name for name, value in point.items() if np.isfinite(value[0])]
    left_out: dict[str, Floats] = {}
    errors: dict[str, Floats] = {}
    error: dict[str, Floats] = {}
    if kind == "bca":
        left_out = derived(fit.law, leave_one_out(fit), flops)
    if kind == "studentised":

        def rows(parameters: Floats) -> Floats:
            columns = derived(fit.law, parameters, flops)
            return np.stack([columns[name] for name in names], axis=-1)

        once = Resamples(np.ones((1, fit.observations.n_runs)))
        error = dict(zip(names, jackknife_errors(fit, once, rows).T, strict=True))
        errors = dict(zip(names, jackknife_errors(fit, resamples, rows).T, strict=True))
    return {
        name: BootstrapSample(
            value=float(point[name][0]),
            draws=draws[name],
            jackknife=left_out.get(name),
            error=float(error[name][0]) if name in error else None,
            errors=errors.get(name),
        )
        for name in names
    }


def intervals(sample: BootstrapSample, kind: str) -> Intervals:
    """Derive intervals of one of ``KINDS``; empty with fewer than two draws.

    Calibrated ones are those that a report would print: none that no level serves, and none that
    would exclude the estimate.

    Raises
    ------
    ValueError : the sample lacks what the kind needs.
    """
    if np.isfinite(sample.draws).sum() < 2:
        return {}
    match kind:
        case "percentile":
            return percentile_intervals(sample.draws)
        case "bca":
            return bca_intervals(sample)
        case "studentised":
            return studentised_intervals(sample)
        case "calibrated" if sample.ranks is not None:
            # a law none of whose second sweeps had the quantity says nothing of it
            known = {law: ranks for law, ranks in sample.ranks.items() if len(ranks)}
            if not known:
                return percentile_intervals(sample.draws)
            levels = {str(level): tails_of(known, level) for level in LEVELS}
            return about(sample.value, calibrated_intervals(sample.draws, levels))
        case _:
            raise ValueError(f"no {kind} intervals; kinds are {', '.join(KINDS)}")


def bca_intervals(sample: BootstrapSample) -> Intervals:
    """Correct the percentiles for bias and skewness.

    References
    ----------
    Efron 1987, J. Am. Stat. Assoc. 82:171; Efron and Tibshirani 1993, section 14.3: z0 from the
    share of draws below the estimate, the acceleration from the jackknife.
    """
    from scipy.special import ndtr, ndtri

    finite = sample.draws[np.isfinite(sample.draws)]
    below = np.mean(finite < sample.value) + 0.5 * np.mean(finite == sample.value)
    z0 = ndtri(np.clip(below, 0.5 / len(finite), 1.0 - 0.5 / len(finite)))
    z = ndtri(tails())
    shifted = z0 + (z0 + z) / (1.0 - _acceleration(sample.jackknife) * (z0 + z))
    return labelled(np.quantile(finite, ndtr(shifted)))


def studentised_intervals(sample: BootstrapSample) -> Intervals:
    """Turn the draws' t statistics round, in logs (Efron and Tibshirani 1993, section 12.5).

    Every quantity here is positive, and an allocation is uncertain by a factor.
    """
    if sample.error is None or sample.errors is None:
        raise ValueError("studentised intervals need standard errors")
    kept = np.isfinite(sample.draws) & (sample.errors > 0) & (sample.draws > 0)
    relative = sample.errors[kept] / sample.draws[kept]
    t = np.log(sample.draws[kept] / sample.value) / relative
    # the upper quantile of t makes the lower end
    turned = np.quantile(t, tails())[:, ::-1] * sample.error / sample.value
    return labelled(sample.value * np.exp(-turned))


def _acceleration(jackknife: Floats | None) -> float:
    """Skewness of the jackknife values, over six (Efron and Tibshirani 1993, equation 14.15)."""
    if jackknife is None:
        raise ValueError("bca intervals need leave-outs")
    finite = jackknife[np.isfinite(jackknife)]
    off = finite.mean() - finite
    spread = float((off**2).sum())
    return float((off**3).sum()) / (6.0 * spread**1.5) if spread > 0 else 0.0
