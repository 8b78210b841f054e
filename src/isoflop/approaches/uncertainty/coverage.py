"""Do intervals cover the truth as often as they say? Simulated sweeps of a known law tell."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING, ClassVar, Final, cast

import numpy as np
import polars as pl

from isoflop.approaches.estimators.registry import fit
from isoflop.approaches.uncertainty.calibration import refitted
from isoflop.approaches.uncertainty.departures import DEPARTURES
from isoflop.approaches.uncertainty.intervals import bootstrap_samples, intervals
from isoflop.approaches.uncertainty.resampling import resample
from isoflop.approaches.uncertainty.simulated_sweeps import SimulatedSweeps
from isoflop.approaches.uncertainty.streams import Stream
from isoflop.approaches.uncertainty.truths import unrejected
from isoflop.errors import UnderdeterminedError
from isoflop.estimates.intervals import LEVELS
from isoflop.estimates.quantities import Simulations, derived
from isoflop.processes import belong_to_job

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from isoflop.approach import Approach
    from isoflop.approaches.estimators.loss_law import MultistartFit
    from isoflop.approaches.observations import Observations
    from isoflop.approaches.protocol import Fit, Resamples
    from isoflop.approaches.uncertainty.intervals import BootstrapSample
    from isoflop.config.approaches import ApproachesSettings, BootstrapSettings

    Floats = NDArray[np.float64]

DECADES: Final = {"in range": 0.0, "1 decade beyond": 1.0, "2 decades beyond": 2.0}
"""Where optima are judged: decades above the largest C of the sweep."""
SCHEMA: Final = {
    "approach": pl.String,
    "scheme": pl.String,
    "interval": pl.String,
    "quantity": pl.String,
    "where": pl.String,
    "level": pl.Float64,
    "draws": pl.Int64,
    "simulations": pl.Int64,
    "refused": pl.Int64,
    "given": pl.Float64,
    "coverage": pl.Float64,
    "median_width": pl.Float64,
    "bias": pl.Float64,
    "truth": pl.String,
}


LAW_OF_DEPARTURES: Final[Approach] = "parametric"
"""What departures are laid over."""


def law_of_truth(truth: str) -> Approach:
    """Give the law that simulated sweeps of a truth start from: itself, or that of a departure."""
    return LAW_OF_DEPARTURES if truth in DEPARTURES else truth


def sweeps_of_truth(truth: str, fitted: MultistartFit, *, shared: bool = False) -> SimulatedSweeps:
    """Simulate sweeps of a truth, from its law fitted to the sweep that is imitated.

    Parameters
    ----------
    truth, fitted : its name and its law.
    shared : as in ``SimulatedSweeps``; a departure that is about the noise has its own.
    """
    return SimulatedSweeps(fitted, DEPARTURES.get(truth), shared)


@dataclass(frozen=True)
class Cell:
    """What is checked together: one approach under one scheme and one truth.

    Attributes
    ----------
    fitted : the fit to the sweep that is imitated.
    true_law : name of the truth.
    sweeps : the simulated sweeps.
    believed : every law of the set fitted to the sweep: calibration takes those for the truth that
        a simulated sweep does not reject.
    settings, kinds : how they are fitted, and which intervals are judged.
    flops : (places,) C of the optima that are judged [FLOP].
    truth : quantity to its true value, for those that are judged.
    """

    fitted: Fit
    true_law: str
    sweeps: SimulatedSweeps
    believed: Mapping[Approach, MultistartFit]
    settings: ApproachesSettings
    kinds: tuple[str, ...]
    flops: Floats
    truth: dict[str, float]

    _at_work: ClassVar[Cell]

    def take_up(self) -> None:
        """Pool initializer: keep the cell in the worker process."""
        belong_to_job()
        Cell._at_work = self

    @classmethod
    def simulate(cls, i: int) -> Outcome | None:
        """Fit and resample the i-th simulated sweep of the cell at work."""
        return _simulated(cls._at_work, i)


@dataclass(frozen=True)
class Outcome:
    """One simulated sweep.

    Attributes
    ----------
    samples : kind to quantity to what its intervals are derived from.
    ranks : law to quantity to where the truth of a second sweep, simulated from that law fitted to
        this one, falls among that sweep's draws. It has the laws that this sweep does not reject;
        empty unless ``calibrated`` is checked.
    """

    samples: dict[str, dict[str, BootstrapSample]]
    ranks: dict[Approach, dict[str, float]]


def check_coverage(
    losses: pl.DataFrame,
    settings: ApproachesSettings,
    *,
    approaches: Sequence[Approach],
    schemes: Sequence[str],
    kinds: Sequence[str],
    simulations: int,
    truths: Sequence[str] = ("parametric",),
    shared: bool = False,
    processes: int = 1,
) -> pl.DataFrame:
    """Count how often intervals cover the truth on sweeps like a given one.

    The truth is a law fitted to the sweep without priors, under each approach's own counting, or a
    departure laid over approach 3's; see ``SimulatedSweeps``. ``calibrated`` intervals of a
    simulated sweep would need simulated sweeps of their own, from each law that it does not reject.
    One for each of these is enough: over all sweeps they are the distributions that the calibration
    needs (Giacomini, Politis and White 2013, the "warp-speed" method, Econometric Theory 29:567).

    Parameters
    ----------
    losses : table ``Losses`` of the sweep that is imitated.
    settings : section ``approaches``; its bootstrap's scheme and interval are varied.
    approaches, schemes, kinds : what to check; ``residual`` and ``wild`` are left out for the
        approaches without residuals.
    simulations : simulated sweeps per approach, scheme and truth.
    truths : laws of the set, or keys of ``departures.DEPARTURES``.
    shared : whether runs of the simulated sweeps share parts of their errors, as in
        ``SimulatedSweeps``; those that calibration simulates always do.
    processes : sweeps fitted at a time; no byte of the result depends on it.

    Returns
    -------
    One row per approach, scheme, interval kind, quantity (a, b, params_opt, and loss_opt where the
    approach predicts it), place and level:
    the share of fitted simulations that are given an interval; of these, the share whose interval
    covers the truth, and the interval's median width (exponents) or ratio of ends (optima), null
    where none is given; and the median error of the estimate, likewise. An interval without ends,
    as ``studentised`` has where a leave-out is refused, covers nothing.

    Raises
    ------
    UnderdeterminedError : the sweep does not allow an approach, or does not determine the law.
    """
    rows: list[tuple[object, ...]] = []
    for truth, approach, scheme in product(truths, approaches, schemes):
        cell = _cell(
            losses, approach, _with_scheme(settings, scheme), tuple(kinds), truth, shared=shared
        )
        if scheme in {"residual", "wild"} and not cell.fitted.takes_losses:
            continue
        with ProcessPoolExecutor(processes, initializer=cell.take_up) as pool:
            results = pool.map(Cell.simulate, range(simulations), chunksize=5)
            outcomes = [outcome for outcome in results if outcome is not None]
        rows += _rows(cell, outcomes, simulations - len(outcomes))
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def _with_scheme(settings: ApproachesSettings, scheme: str) -> ApproachesSettings:
    return settings.model_copy(
        update={
            "bootstrap": settings.bootstrap.model_copy(update={"scheme": scheme}),
            "parametric": settings.parametric.model_copy(update={"starts": "coarse"}),
        }
    )


def _cell(
    losses: pl.DataFrame,
    approach: Approach,
    settings: ApproachesSettings,
    kinds: tuple[str, ...],
    true_law: str,
    *,
    shared: bool,
) -> Cell:
    fitted = fit(losses, approach, settings, threads=1)
    seen = fitted.observations
    flops = seen.flops_range[1] * 10.0 ** np.array(list(DECADES.values()))
    law = law_of_truth(true_law)
    # laws of the set alone come through the settings and the command line, and these are such fits
    alone = settings.without_priors()
    laws = {
        key: cast("MultistartFit", fit(seen, key, alone, threads=1))
        for key in dict.fromkeys([*settings.mixture.laws, law])
    }
    believed = {key: laws[key] for key in settings.mixture.laws}
    sweeps = sweeps_of_truth(true_law, laws[law], shared=shared)
    true = sweeps.true(flops)
    truth = {name: float(true[name][0]) for name in ("a", "b")}
    truth |= {
        _name("params_opt", c): float(v) for c, v in zip(flops, true["params_opt"], strict=True)
    }
    predicted = fitted.optima(fitted.parameters[None], flops).loss[0]
    truth |= {
        _name("loss", c): float(v)
        for c, v, known in zip(flops, true["loss_opt"], predicted, strict=True)
        if np.isfinite(known)
    }
    return Cell(fitted, true_law, sweeps, believed, settings, kinds, flops, truth)


def _name(quantity: str, flops: float) -> str:
    return f"{quantity}_{float(flops)!r}"


def _simulated(cell: Cell, i: int) -> Outcome | None:
    """Fit and resample the i-th simulated sweep; None where it cannot be fitted."""
    settings = cell.settings.bootstrap
    sweep = cell.sweeps.draw(i, settings.seed)
    samples = {}
    try:
        fitted = cell.fitted.refit_losses(sweep)
        drawn = {
            shared: _resampled(fitted, settings, i, shared=shared, flops=cell.flops)
            for shared in {kind == "calibrated" for kind in cell.kinds}
        }
    except UnderdeterminedError:
        return None
    for kind in cell.kinds:
        resamples, draws = drawn[kind == "calibrated"]
        gathered = bootstrap_samples(fitted, resamples, draws, cell.flops, kind)
        samples[kind] = {name: gathered[name] for name in cell.truth}
    ranks: dict[Approach, dict[str, float]] = {}
    if "calibrated" in cell.kinds:
        try:
            ranks = _second_ranks(cell, sweep, i)
        except UnderdeterminedError:
            return None
    return Outcome(samples, ranks)


def _resampled(
    fitted: Fit, settings: BootstrapSettings, i: int, *, shared: bool, flops: Floats
) -> tuple[Resamples, dict[str, Floats]]:
    """Resample a simulated sweep, with errors that runs share where intervals are calibrated."""
    interval = "calibrated" if shared else "percentile"
    chosen = settings.model_copy(update={"interval": interval})
    resamples = resample(fitted, chosen, Stream.SIMULATED_RESAMPLES, i)
    return resamples, derived(fitted.law, fitted.refit(resamples).parameters, flops)


def _second_ranks(cell: Cell, sweep: Observations, i: int) -> dict[Approach, dict[str, float]]:
    """Simulate a second sweep from each law that this one does not reject; place its truth."""
    settings = cell.settings.bootstrap.model_copy(update={"interval": "calibrated"})
    refit = {key: law.refit_losses(sweep) for key, law in cell.believed.items()}
    ranks = {}
    for key in unrejected(refit):
        second = SimulatedSweeps(refit[key], shared=True)
        twice = cell.fitted.refit_simulated(second.draw(i, settings.seed, Stream.SECOND_SWEEPS))
        drawn = refitted(twice, settings, i, stream=Stream.SECOND_RESAMPLES)
        simulations = Simulations(second.truth, twice.parameters[None], drawn[None], None)
        placed = simulations.of(twice.law, cell.flops)
        ranks[key] = {name: float(placed[name].ranks[0]) for name in cell.truth if name in placed}
    return ranks


def _rows(cell: Cell, outcomes: list[Outcome], refused: int) -> list[tuple[object, ...]]:
    """Count hits per kind, quantity and level."""
    settings = cell.settings.bootstrap
    pooled = _pooled(outcomes, cell.truth)
    places = {
        _name(quantity, c): (column, where)
        for quantity, column in (("params_opt", "params_opt"), ("loss", "loss_opt"))
        for c, where in zip(cell.flops, DECADES, strict=True)
    }
    rows: list[tuple[object, ...]] = []
    for kind, (name, true) in product(cell.kinds, cell.truth.items()):
        ends = []
        for outcome in outcomes:
            sample = outcome.samples[kind][name]
            if kind == "calibrated":
                laws = pooled[name]
                sample = replace(sample, ranks={key: laws[key] for key in outcome.ranks})
            ends.append(intervals(sample, kind))
        values = np.array([outcome.samples[kind][name].value for outcome in outcomes])
        for level in LEVELS:
            given = [labelled[str(level)] for labelled in ends if str(level) in labelled]
            low, high = np.array(given).reshape(-1, 2).T
            column, where = places.get(name, (name, ""))
            ratio = name in places
            rows.append(
                (
                    cell.fitted.approach,
                    settings.scheme,
                    kind,
                    column,
                    where,
                    level,
                    settings.draws,
                    len(outcomes) + refused,
                    refused,
                    len(given) / len(outcomes),
                    float(np.mean((low <= true) & (true <= high))) if given else None,
                    float(np.nanmedian(widths(low, high, ratio=ratio))) if given else None,
                    float(np.median(values / true if ratio else values - true)),
                    cell.true_law,
                )
            )
    return rows


def widths(low: Floats, high: Floats, *, ratio: bool) -> Floats:
    """Give the widths of intervals, or the ratios of their ends: infinite where a size vanishes."""
    with np.errstate(divide="ignore"):
        return high / low if ratio else high - low


def _pooled(outcomes: Sequence[Outcome], names: Iterable[str]) -> dict[str, dict[Approach, Floats]]:
    """Put the places of each quantity together over sweeps, law by law."""
    pooled: dict[str, dict[Approach, list[float]]] = {name: {} for name in names}
    for outcome in outcomes:
        for key, placed in outcome.ranks.items():
            for name, laws in pooled.items():
                laws.setdefault(key, []).extend([placed[name]] if name in placed else [])
    return {
        name: {key: np.array(ranks) for key, ranks in laws.items()} for name, laws in pooled.items()
    }
