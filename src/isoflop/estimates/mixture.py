"""The mixture of the laws of the loss: data/estimates/{sweep}/mixture.json.

No law is known to be the true one, and each extrapolates differently. So the answer takes its draws
from all of them, in proportion to weights: the distance between the laws is then part of every
interval. Written by the approaches room, read by figures, report and archive.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import numpy as np
from pydantic import Field

from isoflop.approach import IN_PROSE, MIXTURE, Approach
from isoflop.config.approaches import UsedSettings
from isoflop.config.reading import Section
from isoflop.estimates.diagnostics import REJECTED
from isoflop.estimates.estimate import Counting, Optimum, Provenance, optima_of, read_outcome
from isoflop.estimates.influence import Influence, LeaveOut
from isoflop.estimates.intervals import COVERAGE_SLACK, LEVELS
from isoflop.estimates.laws import Law, Optima
from isoflop.estimates.levels import Levels, between, widest
from isoflop.estimates.quantities import Quantity, at_levels, derived
from isoflop.files import write_json
from isoflop.numbers import listed, per_cent, plain_p

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from isoflop.estimates.draws import Draws
    from isoflop.estimates.estimate import Estimate
    from isoflop.estimates.power_frontier import Asked
    from isoflop.numbers import WriteP

    Floats = NDArray[np.float64]

KEY: Final = MIXTURE.key
"""Its word in files, where an approach has its key."""


class Member(Section):
    """One law of the set, and what speaks for and against it on this sweep."""

    approach: Approach
    weight: float
    """Its share of the draws; 0 where it takes no part."""
    left_out: str | None
    """Why it takes no part, in words; None where it does."""
    law: Law | None
    """The law with its counting; None where it could not be fitted."""
    parameters: dict[str, float]
    """Its parameters from all runs, by name; empty where it could not be fitted."""
    misfit_p: float | None
    """P-value of the test that its residuals have no shape left in log N and log D; None where it
    was not tested. Small: the runs reject the law."""
    cuts: int
    """Cuts in compute above which its forecasts were scored."""
    bias: float | None
    """Mean over the cuts of the mean error of its forecast losses [nat/token]; None without any."""
    rms: float | None
    """Root of the mean over the cuts of the mean square error [nat/token]."""
    interval_score: dict[str, float]
    """Level to the mean interval score over the cuts; empty without any. Smaller is better."""
    log_score: float | None
    """Mean over the cuts of the mean log predictive density of log L. Larger is better."""
    forecasts_cover: bool | None
    """Whether its intervals covered, above every cut, as those of a right law would; None without
    cuts."""

    @property
    def rejected(self) -> bool:
        """Whether the runs reject its form."""
        return self.misfit_p is not None and self.misfit_p < REJECTED

    @property
    def row(self) -> Floats:
        """Give its parameters, (1, parameters).

        Raises
        ------
        ValueError : it could not be fitted.
        """
        if self.law is None:
            raise ValueError(f"{self.approach} was not fitted")
        return np.array([[self.parameters[name] for name in self.law.names]])


Checked = Literal["a", "params_opt", "loss_opt"]
"""What the mixture is checked and calibrated for; D and D/N follow from N at a given C."""


class CoveredShare(Section):
    """How often the mixture's intervals for one quantity covered the truth."""

    quantity: Checked
    decades_beyond: float | None
    """Decades of C above the largest that was fitted; None for a."""
    shares: dict[str, float]
    """Confidence level to the share of simulated sweeps whose interval, as it is given, covers;
    where no level serves, of those in which what the draws reach does."""
    percentile_shares: dict[str, float]
    """The same of percentile intervals."""


class PlacedLevels(Section):
    """Where the mixture's intervals for one quantity end among its draws."""

    quantity: Checked
    decades_beyond: float | None
    """Decades of C above the largest that was fitted; None for a."""
    levels: Levels
    """Confidence level to the nominal level of its interval, or why it has none."""


class MixtureCheck(Section):
    """Simulated sweeps of this design whose truth is one of the mixed laws."""

    truth: Approach
    noise: float
    """Standard deviation of a run's log error in them."""
    simulations: int
    refused: int
    """Those that gave no intervals."""
    covered: list[CoveredShare]


class Mixture(Section):
    """What the laws of the set say together."""

    sweep: str
    settings: UsedSettings
    """The settings used, whole."""
    counting: Counting
    n_runs: int
    flops_range: tuple[float, float]
    """Smallest and largest C that all the mixed laws saw [FLOP]."""
    weighting: Literal["unrejected", "equal", "stacking"]
    """How the weights came about."""
    reason: str
    """Why so, and why not otherwise, in whole sentences."""
    members: list[Member]
    """Every law of the set, those without weight included."""
    a: Quantity
    """Exponent of N_opt in C, at the largest fitted C."""
    b: Quantity
    """Exponent of D_opt in C there."""
    optima: list[Optimum]
    """At the sweep's ``default_budgets``; ``optima_of_mixture`` gives those at others."""
    draws: int
    """Draws of all laws together."""
    checks: list[MixtureCheck] = Field(default_factory=list)
    """How often these intervals cover, one entry for each mixed law that was taken for the truth;
    each simulated sweep goes the whole way of a real one. Empty where that was not checked."""
    placed: list[PlacedLevels] = Field(default_factory=list)
    """Where the intervals end among the draws, so that they cover whichever mixed law is true;
    empty where they are percentiles."""
    unchecked: str | None = None
    """Why it was not checked, in words; None where it was."""
    influence: Influence | None = None
    """What single runs do to it, see ``influence_of_mixture``; None in files of older versions."""
    loss_doubt: str | None
    """What to say beside every loss of the mixture: that its forecast failed on this sweep, or
    could not be tried; None where it was tried and covered."""
    provenance: Provenance

    @property
    def frontier_range(self) -> tuple[float, float]:
        """Smallest and largest C of what its frontier rests on: what its laws saw [FLOP]."""
        return self.flops_range

    @property
    def mixed(self) -> list[Member]:
        """The laws that take part."""
        return [member for member in self.members if member.weight > 0.0]

    @property
    def rejected(self) -> list[Member]:
        """The laws that take part though the runs reject their form, for want of another."""
        return [member for member in self.mixed if member.rejected]

    def member(self, key: str) -> Member | None:
        """Give one law of the set; None for what is none of it."""
        return next((member for member in self.members if member.approach == key), None)

    @property
    def absent(self) -> str:
        """Say which laws of the set these runs do not determine; empty where all are fitted.

        Such a law does not narrow what is known, but an interval without it is narrower.
        """
        names = [IN_PROSE[member.approach] for member in self.members if member.law is None]
        if not names:
            return ""
        them = "it" if len(names) == 1 else "them"
        return (
            f"These runs do not determine {listed(names)}: what lies between {them} and the other "
            "laws is not inside the intervals."
        )

    def parts(self, draws: Draws) -> list[Part]:
        """Give each law that takes part with its draws.

        Parameters
        ----------
        draws : the mixture's table of draws.
        """
        return _parts(self.mixed, draws)

    @property
    def covers(self) -> bool | None:
        """Whether no quantity is covered clearly too seldom under any mixed law; None unchecked.

        A share counts as too low where it lies below its level by more than ``COVERAGE_SLACK`` and
        two standard errors: it is the worst of many, each from few sweeps.
        """
        if not self.checks:
            return None
        return all(
            covered.shares[str(level)] >= level - COVERAGE_SLACK - _doubled_error(level, check)
            for check in self.checks
            for covered in check.covered
            for level in LEVELS
        )

    @property
    def levels(self) -> MixtureLevels:
        """Where intervals end among the draws, at any C."""
        return MixtureLevels(self.placed, self.flops_range[1])

    def worst(self, level: float) -> tuple[float, MixtureCheck, CoveredShare]:
        """Give the lowest share over truths and quantities at a level, and where it was.

        Raises
        ------
        ValueError : nothing was checked.
        """
        return min(
            (
                (covered.shares[str(level)], check, covered)
                for check in self.checks
                for covered in check.covered
            ),
            key=lambda share: share[0],
        )

    def __str__(self) -> str:
        """Say the weights in one line."""
        shares = ", ".join(f"{member.approach} {member.weight:.2f}" for member in self.mixed)
        return f"a = {self.a.value:.4f}; {self.weighting} weights: {shares}"


def of_rejected(members: Sequence[Member], write: WriteP = plain_p) -> str:
    """Say which laws take part though the runs reject them; empty where none does.

    Parameters
    ----------
    members : of the mixture.
    write : how a p-value is written.
    """
    rejected = [member for member in members if member.weight > 0.0 and member.rejected]
    if not rejected:
        return ""
    named = listed([
        f"{IN_PROSE[member.approach]} (score test, {write(p)})"
        for member in rejected
        if (p := member.misfit_p) is not None
    ])  # fmt: skip
    share = per_cent(sum(member.weight for member in rejected))
    return (
        f"The runs reject the form of {named}, which all the same has {share} of the draws: an "
        "interval must know of the distance between two laws at least."
    )


def answers_of(
    fitted: Mapping[Approach, Estimate], mixture: Mixture | NoMixture | None
) -> dict[str, Estimate | Mixture]:
    """List whose answers stand beside each other: the mixture's, and every approach's, by key.

    A mixture of one law is that law. Where the law has an answer of its own the same numbers
    would stand twice, once with what is known against the law and once without.
    """
    answers: dict[str, Estimate | Mixture] = {}
    if isinstance(mixture, Mixture):
        mixed = [member.approach for member in mixture.mixed]
        if len(mixed) != 1 or mixed[0] not in fitted:
            answers[KEY] = mixture
    return {**answers, **fitted}


def _doubled_error(level: float, check: MixtureCheck) -> float:
    counted = check.simulations - check.refused
    return 2.0 * float(np.sqrt(level * (1.0 - level) / counted)) if counted else 0.0


class NoMixture(Section):
    """Why there is no mixture: it stands where that would."""

    sweep: str
    settings: UsedSettings
    refused: str
    """What is missing and what to add, in whole sentences."""
    summary: str = ""
    """The same without why single laws have no part, where that stands beside it."""
    leaves_open: bool = False
    """Whether the laws of the set leave the best size open: then none of them by itself is an
    answer, however narrow its interval."""
    provenance: Provenance

    def __str__(self) -> str:
        """Say why there is none."""
        return f"refused: {self.refused}"


@dataclass(frozen=True, eq=False)
class MixtureLevels:
    """Where the mixture's intervals end among its draws, at any C.

    Attributes
    ----------
    placed : what simulated sweeps gave, at a few places; empty where intervals are percentiles.
    top : largest fitted C [FLOP], from which the places count.
    """

    placed: Sequence[PlacedLevels]
    top: float

    def of(self, quantity: Checked, flops: float | None = None) -> Levels:
        """Give the levels of a quantity; empty where intervals are percentiles.

        Between two places the shares lie on the line through them in log C; before the first and
        beyond the last they are those there.

        Parameters
        ----------
        quantity : which.
        flops : C [FLOP]; None for a.
        """
        known = [entry for entry in self.placed if entry.quantity == quantity]
        if not known:
            return {}
        if flops is None:
            return known[0].levels
        where = [0.0 if entry.decades_beyond is None else entry.decades_beyond for entry in known]
        beyond = float(np.clip(np.log10(flops / self.top), where[0], where[-1]))
        after = min(int(np.searchsorted(where, beyond, side="right")), len(where) - 1)
        before = max(after - 1, 0)
        gap = where[after] - where[before]
        part = (beyond - where[before]) / gap if gap else 0.0
        return between(known[before].levels, known[after].levels, part)

    def named(self, name: str, flops: float | None) -> Levels:
        """Give the levels of a quantity by its name in ``quantities.derived``, without its C.

        At a given C more parameters mean fewer tokens, and b is what a leaves: their tails change
        sides.
        """
        if name == "loss":
            return self.of("loss_opt", flops)
        levels = self.of("a") if name in {"a", "b"} else self.of("params_opt", flops)
        if name in {"a", "params_opt"}:
            return levels
        return {level: ends.mirrored for level, ends in levels.items()}

    def at_target(self, name: str, asked: Asked, flops: float) -> Levels:
        """Give the levels of a quantity of the allocation that meets a target.

        The compute that a loss asks for lies below a place exactly where the loss at that place
        lies below the one asked for: their tails are alike. What follows from two quantities ends
        where both are covered.

        Parameters
        ----------
        name : of ``targets.columns_at``.
        asked : which quantity was given.
        flops : C of the allocation [FLOP].
        """
        loss, params = self.of("loss_opt", flops), self.of("params_opt", flops)
        if not loss or (asked, name) == ("loss", "flops"):
            return loss
        return widest([params] if asked != "loss" and name != "loss" else [params, loss])


@dataclass(frozen=True, eq=False)
class Part:
    """One law of a mixture, and the draws that fell to it.

    Attributes
    ----------
    approach : its key.
    law : the law.
    row : (1, parameters) from all runs.
    rows : (draws, parameters).
    """

    approach: Approach
    law: Law
    row: Floats
    rows: Floats


@dataclass(frozen=True, eq=False)
class MedianFrontier:
    """The mixture's estimate at every C, as a frontier that any question can be put to.

    Attributes
    ----------
    parts : the laws and their draws.
    """

    parts: Sequence[Part]

    def optima(self, parameters: Floats, flops: Floats) -> Optima:  # noqa: ARG002  of all draws
        """Give the medians of the draws' optima, (1, budgets); see ``describe_mixture``.

        Parameters
        ----------
        parameters : one row without columns: the draws are the frontier's.
        flops : (budgets,) or (rows, budgets) C [FLOP].
        """
        budgets, shape = np.ravel(flops), np.atleast_2d(flops).shape
        if len(self.parts) == 1:
            (part,) = self.parts
            return part.law.optima(part.row, flops)
        drawn = [part.law.optima(part.rows, budgets) for part in self.parts]
        # where a law itself has no optimum, the set has none: see ``describe_mixture``
        known = np.all(
            [np.isfinite(part.law.optima(part.row, budgets).params[0]) for part in self.parts],
            axis=0,
        )

        def centre(columns: Sequence[Floats]) -> Floats:
            return np.where(known, _medians(columns), np.nan).reshape(shape)

        return Optima(
            params=centre([optimum.params for optimum in drawn]),
            tokens=centre([optimum.tokens for optimum in drawn]),
            loss=centre([optimum.loss for optimum in drawn]),
        )

    def log_flops(self, parameters: Floats, asked: Asked, values: Floats) -> Floats | None:  # noqa: ARG002
        """Give the only law's; None of several, whose medians have no such form."""
        if len(self.parts) > 1:
            return None
        (part,) = self.parts
        return part.law.log_flops(part.row, asked, values)


def _medians(columns: Sequence[Floats]) -> Floats:
    """Give the median over all draws, in logarithms, (1, budgets); NaN where no draw has one."""
    together = np.concatenate(columns).T
    medians = [_centre(column[np.isfinite(column)]) for column in together]
    return np.array([medians])


def _centre(kept: Floats) -> float:
    with np.errstate(divide="ignore"):  # a draw's best size may be none at all
        return float(np.exp(np.median(np.log(kept)))) if len(kept) else float("nan")


def _parts(members: Sequence[Member], draws: Draws) -> list[Part]:
    parts = []
    for member in members:
        if member.law is None:
            raise ValueError(f"{member.approach} was not fitted")
        rows = draws.where(draws.equal("approach", member.approach)).numbers(member.law.names)
        parts.append(Part(member.approach, member.law, member.row, rows))
    return parts


def read_mixture(path: Path) -> Mixture | NoMixture:
    """Read the mixture of one sweep, or the reason why there is none."""
    return read_outcome(path, Mixture, NoMixture)


def write_mixture(mixture: Mixture | NoMixture, path: Path) -> None:
    """Write the mixture of one sweep, or the reason why there is none."""
    write_json(path, mixture.model_dump(mode="json"))


def optima_of_mixture(mixture: Mixture, draws: Draws, flops: Sequence[float]) -> list[Optimum]:
    """Give the mixture's allocation at each budget, without fitting anything again.

    Parameters
    ----------
    mixture : of one sweep.
    draws : its table of draws.
    flops : budgets C [FLOP].

    Returns
    -------
    In the order of the budgets; those at which a law has no optimum are left out.
    """
    budgets = np.asarray(flops, dtype=np.float64)
    quantities = describe_mixture(mixture.mixed, draws, budgets, mixture.levels)
    return optima_of(quantities, budgets, mixture.flops_range)


def describe_mixture(
    members: Sequence[Member], draws: Draws, flops: Floats, levels: MixtureLevels
) -> dict[str, Quantity]:
    """Give a, b and the optima of a mixture with intervals of its draws.

    The estimate itself is the median of the draws, that of N, D, D/N and L in logarithms: N and D
    of the mixture then cost C where those of each law do, and no estimate lies outside its own
    interval. A mixture of one law is that law, estimate included.

    Parameters
    ----------
    members : the laws that take part.
    draws : table of the mixture's draws: ``approach`` and the laws' parameters.
    flops : (budgets,) C of the optima [FLOP].
    levels : where intervals end among the draws.

    Returns
    -------
    By the names of ``quantities.derived``, without the laws' parameters. What is not finite for
    each law is left out.
    """
    parts = _parts(members, draws)
    points = [derived(part.law, part.row, flops) for part in parts]
    drawn = [derived(part.law, part.rows, flops) for part in parts]
    shared = [name for name in points[0] if all(name in point for point in points)]
    names = [name for name in shared if name in {"a", "b"} or "_opt_" in name or _at_budget(name)]
    quantities = {}
    at = {repr(float(c)): float(c) for c in flops}
    for name in names:
        if not all(np.isfinite(point[name][0]) for point in points):
            continue
        together = np.concatenate([column[name] for column in drawn])
        kept = together[np.isfinite(together)]
        if len(members) == 1 or len(kept) == 0:
            value = float(points[0][name][0])
        elif name in {"a", "b"}:
            value = float(np.median(kept))
        else:
            value = _centre(kept)
        stem, _, key = name.rpartition("_")
        ends = levels.named(stem, at[key]) if key in at else levels.named(name, None)
        quantities[name] = at_levels(value, together, ends)
    return quantities


def influence_of_mixture(
    members: Sequence[Member],
    draws: Draws,
    by_law: Mapping[Approach, Influence],
    flops: float,
) -> Influence:
    """Leave out one run at a time: what of the mixture hangs on it, with the weights as they are.

    Without a run each law's estimate moves, which its own jackknife says, and its draws are taken
    to move with it: the mixture without the run is the median of the moved draws. Nothing is
    fitted again. Changes are set against half the width of the middle 68 % of all draws, the
    distance between the laws included, so that what moves one law alone counts as little as that
    law does.

    Parameters
    ----------
    members : the laws that take part.
    draws : table of the mixture's draws.
    by_law : each law's own jackknife.
    flops : C at which N_opt and L_opt are compared [FLOP].
    """
    for member in members:
        its = by_law[member.approach]
        if its.reason is not None:
            return Influence(flops=flops, runs=[], reason=its.reason)
        if not np.isclose(its.flops, flops, rtol=1e-6, atol=0.0):
            name = IN_PROSE[member.approach]
            reason = f"{name} was fitted up to another compute, {its.flops:.4g} FLOPs"
            return Influence(flops=flops, runs=[], reason=reason)
    parts = _parts(members, draws)
    drawn = [derived(part.law, part.rows, np.array([flops])) for part in parts]
    key = repr(float(flops))
    with np.errstate(divide="ignore"):  # a draw's best size may be none at all
        columns = {
            "a": [column["a"] for column in drawn],
            "log_params": [np.log(column[f"params_opt_{key}"]) for column in drawn],
            "log_loss": [np.log(column[f"loss_{key}"]) for column in drawn],
        }
    laws = [{run.run: run for run in by_law[member.approach].runs} for member in members]
    runs = []
    for run in sorted(laws[0]):
        left = [law[run] for law in laws]
        changes: dict[str, float | None] = {}
        for name, column in columns.items():
            change, in_errors = _moved(column, [getattr(each, name) for each in left])
            changes |= {name: change, f"{name}_errors": in_errors}
        refused = any(each.refused for each in left)
        told = {"run": run, "refused": refused, "residual": None, "studentised": None}
        runs.append(LeaveOut.model_validate(told | changes))
    return Influence(flops=flops, runs=runs, reason=None)


def _moved(
    columns: Sequence[Floats], shifts: Sequence[float | None]
) -> tuple[float | None, float | None]:
    """Give what the median of all draws loses where each law's move down; plain, and in errors."""
    kept = [column[np.isfinite(column)] for column in columns]
    together = np.concatenate(kept)
    moved = [
        column - shift for column, shift in zip(kept, shifts, strict=True) if shift is not None
    ]
    if len(moved) < len(columns) or len(together) == 0:
        return None, None
    change = float(np.median(together) - np.median(np.concatenate(moved)))
    low, high = np.quantile(together, [0.16, 0.84])
    # where nothing scatters nothing is told apart
    return change, 2.0 * change / float(high - low) if high > low else 0.0


def _at_budget(name: str) -> bool:
    return name.startswith(("tokens_per_param_", "loss_"))
