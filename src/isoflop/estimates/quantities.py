"""Every number that an estimate reports, with its intervals, from rows of a law's parameters.

Nothing is fitted here: parameters of the sweep, of its resamples and of simulated sweeps are kept,
so exponents and optima at any C are derived from them when somebody asks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from pydantic import Field

from isoflop.approach import Approach
from isoflop.config.reading import Section
from isoflop.estimates.intervals import (
    COVERAGE_SLACK,
    LEVELS,
    Intervals,
    calibrated_intervals,
    intervals_at,
    percentile_intervals,
    tails,
)
from isoflop.estimates.laws import Law, LawOfLoss, ProductLoss
from isoflop.estimates.levels import LEAST_TAIL, Levels, NoLevel, Tails, covered, places, tails_of

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

ROUNDING = 1e-9
"""Relative distance by which an estimate may lie outside an interval that ends at it."""

REACHED: Final = (LEAST_TAIL, 1.0 - LEAST_TAIL)
"""Shares between which draws reach."""


class Simulated(Section):
    """What simulated sweeps of the same design gave for one quantity, where one law is true."""

    law: Approach
    """The law that they were simulated from."""
    truth: float
    """The quantity's value by that law."""
    median: float
    """Median of its estimates."""
    noiseless: float | None
    """Its estimate from the sweep without errors; None where that was refused."""
    percentile_coverage: dict[str, float]
    """Confidence level to the share of sweeps whose percentile interval covers the truth."""
    coverage: dict[str, float]
    """The same of the interval that is given; where no level serves, of what the draws reach."""


class Quantity(Section):
    """An estimate with its intervals."""

    value: float
    """Point estimate from all runs."""
    intervals: Intervals = Field(default_factory=dict)
    """Confidence level, such as "0.8" or "0.95", to lower and upper end."""
    coverage: dict[str, float] = Field(default_factory=dict)
    """Confidence level to the share of simulated sweeps of the same design in which an interval so
    derived covers the truth, under the law where that is least; where no level serves, in which
    all that the draws reach does. Empty where that was not checked."""
    levels: dict[str, Tails | NoLevel] = Field(default_factory=dict)
    """Confidence level to the nominal level of its interval, or why it has none; empty where the
    intervals are percentiles."""
    simulated: list[Simulated] = Field(default_factory=list)
    """What was simulated, law by law; empty where nothing was."""

    def undercovers(self, level: float) -> bool:
        """Tell whether an interval covers clearly less often than it says, or none can."""
        if isinstance(self.levels.get(str(level)), NoLevel):
            return True
        share = self.coverage.get(str(level))
        return share is not None and share < level - COVERAGE_SLACK

    def excluded(self, level: float) -> bool:
        """Tell whether an interval was simulated and is not given: it would exclude the value."""
        key = str(level)
        served = bool(self.simulated) and not isinstance(self.levels.get(key), NoLevel)
        return served and key not in self.intervals

    def worst(self, level: float) -> Simulated:
        """Give the simulated sweeps that the interval of a level covers least often.

        Raises
        ------
        ValueError : nothing was simulated.
        """
        return min(self.simulated, key=lambda sample: sample.coverage[str(level)])


class Truth(Section):
    """The law that simulated sweeps come from."""

    approach: Approach
    """Its key."""
    law: Law
    parameters: dict[str, float]

    def row(self) -> Floats:
        """Give its parameters, (1, parameters)."""
        return np.array([[self.parameters[name] for name in self.law.names]])

    def values(self, law: LawOfLoss, flops: Floats) -> dict[str, float]:
        """Give what this law makes of every quantity that a fitted law can share with it.

        Constants of another law are other constants, whatever they are called; but every law's E is
        the loss that no size and no data lower.

        Parameters
        ----------
        law : the fitted law.
        flops : (budgets,) C of the optima [FLOP].
        """
        row = self.row()
        values = {name: float(v[0]) for name, v in derived(self.law, row, flops).items()}
        if type(law) is not type(self.law):
            alien = set(self.law.names) - {"E"}
            values = {name: value for name, value in values.items() if name not in alien}
        if isinstance(self.law, ProductLoss):
            return values
        # an optimum that is a power law of C has its coefficient at one FLOP
        unit = self.law.optima(row, np.ones(1))
        return values | {
            "N_coefficient": float(unit.params[0, 0]),
            "D_coefficient": float(unit.tokens[0, 0]),
        }


@dataclass(frozen=True, eq=False)
class Simulations:
    """An approach's fits to simulated sweeps of the same design, whose truth is one law.

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

    def of(
        self, law: LawOfLoss, flops: Floats, names: Collection[str] | None = None
    ) -> dict[str, Sample]:
        """Place the truth among each sweep's draws, for every quantity that it shares.

        A sweep in which a quantity is not finite is left out of that quantity's.

        Parameters
        ----------
        law, flops : as of ``derived``.
        names : quantities that are wanted; None for all.
        """
        n, m, p = self.draws.shape
        if n == 0:
            return {}
        estimates = derived(law, self.estimates, flops)
        draws = derived(law, self.draws.reshape(n * m, p), flops)
        clean = {} if self.noiseless is None else derived(law, self.noiseless, flops)
        truths = {
            name: truth
            for name, truth in self.truth.values(law, flops).items()
            if name in estimates and np.isfinite(truth) and (names is None or name in names)
        }
        plain = {"a", "b", *law.names}
        samples: dict[str, Sample] = {}
        for logs in (False, True):
            alike = [name for name in truths if (name not in plain) is logs]
            together = np.array([draws[name] for name in alike]).reshape(len(alike), n, m)
            true = np.array([truths[name] for name in alike])
            placed = placed_in(together, true, logs=logs)
            for i, name in enumerate(alike):
                noiseless = float(clean[name][0]) if name in clean else np.nan
                sample = Sample.of(
                    self.truth.approach, truths[name], estimates[name], placed[i], noiseless
                )
                if sample is not None:
                    samples[name] = sample
        return {name: samples[name] for name in truths if name in samples}


@dataclass(frozen=True, eq=False)
class Sample:
    """One quantity in simulated sweeps of one law.

    Attributes
    ----------
    law, truth, noiseless : as ``Simulated`` has them.
    estimates : from all runs of each sweep that has the quantity.
    ranks : (sweeps,) places of the truth among each sweep's draws.
    """

    law: Approach
    truth: float
    estimates: Floats
    noiseless: float | None
    ranks: Floats

    @classmethod
    def of(
        cls,
        law: Approach,
        truth: float,
        estimates: Floats,
        placed: Floats,
        noiseless: float = np.nan,
    ) -> Sample | None:
        """Take what simulated sweeps gave of a quantity; None where no sweep has it.

        Parameters
        ----------
        law, truth : the law, and what it makes of the quantity.
        estimates : (sweeps,) from all runs of each; not finite where there is none.
        placed : (sweeps,) places of the truth among the draws; see ``placed_in``.
        noiseless : from the sweep without errors; NaN where there is none.
        """
        known, ranks = estimates[np.isfinite(estimates)], placed[np.isfinite(placed)]
        if len(known) == 0 or len(ranks) == 0:
            return None
        return cls(law, truth, known, noiseless if np.isfinite(noiseless) else None, ranks)

    def summary(self, levels: Mapping[str, Tails | NoLevel]) -> Simulated:
        """Count how often percentiles and the intervals of these levels cover."""
        return Simulated(
            law=self.law,
            truth=self.truth,
            median=float(np.median(self.estimates)),
            noiseless=self.noiseless,
            percentile_coverage={
                str(level): covered(self.ranks, shares)
                for level, shares in zip(LEVELS, tails().tolist(), strict=True)
            },
            coverage={
                level: covered(self.ranks, ends.shares if isinstance(ends, Tails) else REACHED)
                for level, ends in levels.items()
            },
        )


def placed_in(drawn: Floats, truths: Floats, *, logs: bool) -> Floats:
    """Place the truth of several quantities among the draws of each simulated sweep.

    Parameters
    ----------
    drawn : (quantities, sweeps, draws); NaN where refused.
    truths : (quantities,).
    logs : whether they are placed by their logarithms, as N, D and D/N are: of one budget they are
        powers of each other, and beyond all draws they are then missed alike.

    Returns
    -------
    (quantities, sweeps); see ``levels.places``.
    """
    quantities, sweeps, draws = drawn.shape
    if quantities == 0:
        return np.empty((0, sweeps))
    with np.errstate(invalid="ignore", divide="ignore"):
        values, at = (np.log(drawn), np.log(truths)) if logs else (drawn, truths)
    rows = values.reshape(quantities * sweeps, draws)
    return places(rows, np.repeat(at, sweeps)).reshape(quantities, sweeps)


def samples_of(
    law: LawOfLoss,
    simulations: Sequence[Simulations],
    flops: Floats,
    names: Collection[str] | None = None,
) -> dict[str, list[Sample]]:
    """Give each quantity's samples, one for each law that was taken for the truth and has it."""
    samples: dict[str, list[Sample]] = {}
    for simulated in simulations:
        for name, sample in simulated.of(law, flops, names).items():
            samples.setdefault(name, []).append(sample)
    return samples


def levels_of(samples: Sequence[Sample]) -> dict[str, Tails | NoLevel]:
    """Give the nominal level of each confidence level, whichever of these laws is true."""
    placed = {sample.law: sample.ranks for sample in samples}
    return {str(level): tails_of(placed, level) for level in LEVELS}


def calibrated(
    value: float, draws: Floats, samples: Sequence[Sample], *, summarised: bool = True
) -> Quantity:
    """Give a quantity with the intervals that cover whichever law is true.

    Parameters
    ----------
    value : from all runs.
    draws : (draws,) from the resamples; NaN where refused.
    samples : what simulated sweeps gave, one for each law; empty where the intervals are to be
        percentiles.
    summarised : whether the quantity says what was simulated, beside its intervals.

    Returns
    -------
    Without the intervals that no nominal level serves, and those that would exclude the value; see
    ``about``.
    """
    if not samples:
        return Quantity(value=value, intervals=about(value, percentile_intervals(draws)))
    levels = levels_of(samples)
    intervals = about(value, calibrated_intervals(draws, levels))
    if not summarised:
        return Quantity(value=value, intervals=intervals, levels=levels)
    simulated = [sample.summary(levels) for sample in samples]
    return Quantity(
        value=value,
        intervals=intervals,
        coverage={level: min(summary.coverage[level] for summary in simulated) for level in levels},
        levels=levels,
        simulated=simulated,
    )


def at_levels(value: float, draws: Floats, levels: Levels) -> Quantity:
    """Give a quantity with intervals at levels that are known already; percentiles without any.

    Parameters
    ----------
    value : the estimate.
    draws : (draws,); NaN where refused.
    levels : where the intervals end among the draws; empty for percentiles.
    """
    return Quantity(value=value, intervals=about(value, intervals_at(draws, levels)), levels=levels)


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
        with np.errstate(divide="ignore", over="ignore"):  # of a draw whose best size vanishes
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
    simulations: Sequence[Simulations] = (),
    *,
    names: Collection[str] | None = None,
    summarised: bool = True,
) -> dict[str, Quantity]:
    """Give every quantity that a law predicts with its intervals.

    Parameters
    ----------
    law : the law.
    row : (1, parameters) from all runs.
    draws : (draws, parameters) from the resamples; NaN where refused.
    flops : (budgets,) C of the optima [FLOP].
    simulations : calibrate the intervals, one for each law that is taken for the truth; without
        them they are percentiles.
    names : quantities that are wanted, by the names of ``derived``; None for all.
    summarised : whether each says what was simulated, beside its intervals.

    Returns
    -------
    By the names of ``derived``; those that are not finite for all runs are left out. An interval
    that would exclude the value itself is none, and is left out; see ``about``.
    """
    point, drawn = derived(law, row, flops), derived(law, draws, flops)
    samples = samples_of(law, simulations, flops, names)
    return {
        name: calibrated(
            float(values[0]), drawn[name], samples.get(name, []), summarised=summarised
        )
        for name, values in point.items()
        if np.isfinite(values[0]) and (names is None or name in names)
    }
