"""Every number that an estimate reports, with its intervals, from rows of a law's parameters.

Nothing is fitted here: parameters of the sweep, of its resamples and of simulated sweeps are kept,
so exponents and optima at any C are derived from them when somebody asks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from isoflop.config.reading import Section
from isoflop.estimates.intervals import (
    COVERAGE_SLACK,
    LEVELS,
    Intervals,
    calibrated_intervals,
    calibrated_level,
    calibrated_levels,
    coverage,
    percentile_intervals,
)
from isoflop.estimates.laws import Law, LawOfLoss

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

ROUNDING = 1e-9
"""Relative distance by which an estimate may lie outside an interval that ends at it."""


class Simulated(Section):
    """What simulated sweeps of the same design gave for one quantity."""

    truth: float
    """Its value by the law that they were simulated from."""
    median: float
    """Median of its estimates."""
    noiseless: float | None
    """Its estimate from the sweep without errors; None where that was refused."""
    percentile_coverage: dict[str, float]
    """Confidence level to the share of sweeps whose percentile interval covers the truth."""
    calibrated_level: dict[str, float | None]
    """Confidence level to the nominal level that covers so often; None where none does."""


class Quantity(Section):
    """An estimate with its intervals."""

    value: float
    """Point estimate from all runs."""
    intervals: Intervals = Field(default_factory=dict)
    """Confidence level, such as "0.8" or "0.95", to lower and upper end."""
    coverage: dict[str, float] = Field(default_factory=dict)
    """Confidence level to the share of simulated sweeps of the same design in which an interval so
    derived covers the truth; empty where that was not checked."""
    simulated: Simulated | None = None
    """None where nothing was simulated."""

    def undercovers(self, level: float) -> bool:
        """Tell whether an interval covers the truth clearly less often than it says."""
        share = self.coverage.get(str(level))
        return share is not None and share < level - COVERAGE_SLACK


class Truth(Section):
    """The law that simulated sweeps come from."""

    law: Law
    parameters: dict[str, float]

    def row(self) -> Floats:
        """Give its parameters, (1, parameters)."""
        return np.array([[self.parameters[name] for name in self.law.names]])

    def values(self, flops: Floats) -> dict[str, float]:
        """Give what the law makes of every quantity that an approach can share with it.

        Parameters
        ----------
        flops : (budgets,) C of the optima [FLOP].
        """
        row = self.row()
        values = {name: float(v[0]) for name, v in derived(self.law, row, flops).items()}
        # an optimum that is a power law of C has its coefficient at one FLOP
        unit = self.law.optima(row, np.ones(1))
        return values | {
            "N_coefficient": float(unit.params[0, 0]),
            "D_coefficient": float(unit.tokens[0, 0]),
        }


@dataclass(frozen=True, eq=False)
class Simulations:
    """An approach's fits to simulated sweeps of the same design.

    Attributes
    ----------
    truth : the law that they come from.
    estimates : (simulations, parameters) from all runs of each.
    draws : (simulations, draws, parameters) from its resamples; NaN where refused.
    noiseless : (1, parameters) from the sweep without errors; None where that was refused.
    """

    truth: Truth
    estimates: Floats
    draws: Floats
    noiseless: Floats | None

    def of(self, law: LawOfLoss, flops: Floats) -> dict[str, tuple[Floats, Simulated]]:
        """Rank the truth among each sweep's draws, for every quantity that it shares.

        Returns
        -------
        Name to ranks, (simulations,): the share of draws below the truth, 0 or 1 where it lies
        beyond them all; and their summary. A quantity that some sweep lacks is left out.
        """
        n, m, p = self.draws.shape
        if n == 0:
            return {}
        estimates = derived(law, self.estimates, flops)
        draws = derived(law, self.draws.reshape(n * m, p), flops)
        clean = {} if self.noiseless is None else derived(law, self.noiseless, flops)
        samples = {}
        for name, truth in self.truth.values(flops).items():
            if name not in estimates or not np.isfinite(estimates[name]).all():
                continue
            drawn = draws[name].reshape(n, m)
            kept = np.isfinite(drawn)
            with np.errstate(invalid="ignore"):
                ranks = (kept & (drawn < truth)).sum(axis=1) / kept.sum(axis=1)
            if not np.isfinite(ranks).all():
                continue
            noiseless = float(clean[name][0]) if name in clean else np.nan
            samples[name] = (
                ranks,
                Simulated(
                    truth=truth,
                    median=float(np.median(estimates[name])),
                    noiseless=noiseless if np.isfinite(noiseless) else None,
                    percentile_coverage={str(q): coverage(ranks, q) for q in LEVELS},
                    calibrated_level={str(q): calibrated_level(ranks, q) for q in LEVELS},
                ),
            )
        return samples


def derived(law: LawOfLoss, parameters: Floats, flops: Floats) -> dict[str, Floats]:
    """Derive exponents and optima from rows of parameters.

    Parameters
    ----------
    law : the law that the parameters belong to.
    parameters : (rows, parameters).
    flops : (budgets,) C of the optima [FLOP].

    Returns
    -------
    Name to (rows,): each parameter, a, b, and for each budget params_opt_C, tokens_opt_C,
    tokens_per_param_C and loss_C, with C as in ``5.76e+23``.
    """
    a, b = law.exponents(parameters)
    columns = dict(zip(law.names, parameters.T, strict=True)) | {"a": a, "b": b}
    optima = law.optima(parameters, flops)
    for i, c in enumerate(flops):
        key = repr(float(c))
        columns[f"params_opt_{key}"] = optima.params[:, i]
        columns[f"tokens_opt_{key}"] = optima.tokens[:, i]
        columns[f"tokens_per_param_{key}"] = optima.tokens[:, i] / optima.params[:, i]
        columns[f"loss_{key}"] = optima.loss[:, i]
    return columns


def about(value: float, intervals: Intervals) -> Intervals:
    """Leave out the intervals that exclude their own estimate.

    Where nearly all resamples lie to one side of the estimate from all runs, thinning the runs
    changes what is estimated, and a percentile says nothing of where the truth lies. Moving the
    estimate by the bias of the resamples would trust them for the bias where they cannot be trusted
    for the spread.
    """
    slack = ROUNDING * abs(value)
    return {
        level: (low, high)
        for level, (low, high) in intervals.items()
        if low - slack <= value <= high + slack
    }


def describe(
    law: LawOfLoss,
    row: Floats,
    draws: Floats,
    flops: Floats,
    simulations: Simulations | None = None,
) -> dict[str, Quantity]:
    """Give every quantity that a law predicts with its intervals.

    Parameters
    ----------
    law : the law.
    row : (1, parameters) from all runs.
    draws : (draws, parameters) from the resamples; NaN where refused.
    flops : (budgets,) C of the optima [FLOP].
    simulations : calibrate the intervals; without them they are percentiles.

    Returns
    -------
    By the names of ``derived``; those that are not finite for all runs are left out. An interval
    that would exclude the value itself is none, and is left out; see ``about``.
    """
    point, drawn = derived(law, row, flops), derived(law, draws, flops)
    checked = {} if simulations is None else simulations.of(law, flops)
    quantities = {}
    for name, values in point.items():
        value = float(values[0])
        if not np.isfinite(value):
            continue
        if name not in checked:
            intervals = about(value, percentile_intervals(drawn[name]))
            quantities[name] = Quantity(value=value, intervals=intervals)
            continue
        ranks, simulated = checked[name]
        used = calibrated_levels(ranks)
        quantities[name] = Quantity(
            value=value,
            intervals=about(value, calibrated_intervals(drawn[name], ranks)),
            coverage={str(level): coverage(ranks, used[level]) for level in LEVELS},
            simulated=simulated,
        )
    return quantities
