"""Does the mixture cover whichever of its laws is true? Simulated sweeps of each law tell.

A sweep simulated from a law goes the whole way that a real one goes: every law is fitted to it and
tested, those that it rejects are left out, and the draws of the others are mixed. Sweeps of one
design differ in losses and weights alone, so the draws of many are refitted together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast

import numpy as np
import polars as pl

from isoflop.approaches.estimators.registry import fit
from isoflop.approaches.forecasts.weights import shared_out, weights_of
from isoflop.approaches.observations import Observations, observe
from isoflop.approaches.protocol import together
from isoflop.approaches.uncertainty.coverage import DECADES, SCHEMA, law_of_truth, truth_source
from isoflop.approaches.uncertainty.resampling import resample_alike
from isoflop.approaches.uncertainty.streams import Stream
from isoflop.errors import IsoflopError, UnderdeterminedError
from isoflop.estimates.intervals import LEVELS, percentile_intervals
from isoflop.estimates.levels import Levels, Tails, covered, tails_of
from isoflop.estimates.levels import places as placed_among
from isoflop.estimates.mixture import KEY, CoveredShare, MixtureCheck, PlacedLevels
from isoflop.estimates.quantities import REACHED

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from isoflop.approach import Approach
    from isoflop.approaches.estimators.loss_law import MultistartFit
    from isoflop.approaches.uncertainty.simulated_sweeps import SimulatedSweeps
    from isoflop.config.approaches import ApproachesSettings

    Floats = NDArray[np.float64]

BLOCK: Final = 100
"""Simulated sweeps refitted at a time: the more, the fewer steps the solver takes for them all."""
MOST_LOSSES: Final = 20_000_000
"""Losses of simulated sweeps in memory at a time (160 MB); long curves make blocks smaller."""


@dataclass(frozen=True, slots=True)
class Count:
    """How one quantity of the mixture did under one truth.

    Attributes
    ----------
    quantity, where : as in ``coverage.SCHEMA``.
    level : confidence level.
    share : of the sweeps whose interval covers the truth.
    width : median of the interval's width, or of the ratio of its ends.
    bias : median error of the mixture, likewise.
    """

    quantity: str
    where: str
    level: float
    share: float
    width: float
    bias: float


@dataclass(frozen=True, eq=False)
class Counted:
    """Simulated sweeps of one truth, counted.

    Attributes
    ----------
    truth : its name.
    noise : standard deviation of a run's log error by the law's own residuals.
    simulations : how many sweeps there were.
    refused : those that gave no intervals.
    counts : one for each quantity, place and level.
    ranks : quantity and place to where the truth lies among each sweep's draws, (sweeps,).
    """

    truth: str
    noise: float
    simulations: int
    refused: int
    counts: list[Count]
    ranks: Mapping[tuple[str, str], Floats]


def check_mixture(
    losses: pl.DataFrame | Observations,
    settings: ApproachesSettings,
    *,
    truths: Sequence[str],
    simulations: int,
) -> pl.DataFrame:
    """Count how often the mixture's intervals cover the truth, whichever truth that is.

    Parameters
    ----------
    losses : table ``Losses`` of the sweep that is imitated.
    settings : section ``approaches``; draws are the bootstrap's, the laws and their weights those
        of ``mixture``.
    truths : laws of the set, or keys of ``departures.DEPARTURES``: each law, fitted to the sweep,
        is taken for the truth, and its own residuals for the noise, of which each run has its own.
    simulations : simulated sweeps of each truth.

    Returns
    -------
    Rows of ``coverage.SCHEMA`` for a, params_opt and loss_opt. Widths are those of
    ``check_coverage`` and, of loss_opt, the ratio of the ends.

    Raises
    ------
    IsoflopError : the weights need forecasts, which a simulated sweep has none of.
    UnderdeterminedError : the sweep does not determine a law.
    """
    rows: list[tuple[object, ...]] = []
    for counted in count_covered(losses, settings, truths=truths, simulations=simulations):
        rows += [
            (
                KEY,
                settings.bootstrap.scheme,
                "percentile",
                count.quantity,
                count.where,
                count.level,
                settings.bootstrap.draws,
                counted.simulations,
                counted.refused,
                1.0,
                count.share,
                count.width,
                count.bias,
                counted.truth,
            )
            for count in counted.counts
        ]
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def checks_of(
    losses: pl.DataFrame | Observations,
    settings: ApproachesSettings,
    *,
    laws: Sequence[Approach],
    truths: Sequence[Approach],
) -> tuple[list[MixtureCheck], list[PlacedLevels]]:
    """Check and calibrate a sweep's own mixture under each of its laws, for the sweep's estimate.

    Runs of the simulated sweeps share parts of their errors as the sweep's own do.

    Parameters
    ----------
    losses : table ``Losses``.
    settings : section ``approaches``; ``mixture.simulations`` sweeps a law, with
        ``mixture.simulation_draws`` draws in each.
    laws : that may take part: those that could be fitted.
    truths : the laws that are mixed.

    Returns
    -------
    What each truth gave, and where intervals end so that they cover under all of them; no levels
    where ``bootstrap.interval`` asks for percentiles.

    Raises
    ------
    IsoflopError, UnderdeterminedError : as ``check_mixture``.
    """
    coarse = settings.parametric.model_copy(update={"starts": "coarse"})
    few = {"draws": settings.mixture.simulation_draws}
    quick = settings.model_copy(
        update={
            "parametric": coarse,
            "bootstrap": settings.bootstrap.model_copy(update=few),
            "mixture": settings.mixture.model_copy(update={"laws": tuple(laws)}),
        }
    )
    number = settings.mixture.simulations
    counted = [
        sample
        for sample in count_covered(losses, quick, truths=truths, simulations=number, shared=True)
        # a truth all of whose sweeps were refused says nothing of where intervals should end
        if sample.simulations > sample.refused
    ]
    if not counted:
        raise UnderdeterminedError("every simulated sweep was refused")
    levels: dict[tuple[str, str], Levels] = {}
    if settings.bootstrap.interval == "calibrated":
        levels = {
            place: {
                str(level): tails_of(
                    {sample.truth: sample.ranks[place] for sample in counted},
                    level,
                )
                for level in LEVELS
            }
            for place in counted[0].ranks
        }
    checks = [
        MixtureCheck(
            truth=sample.truth,
            noise=sample.noise,
            simulations=sample.simulations,
            refused=sample.refused,
            covered=_covered(sample, levels),
        )
        for sample in counted
    ]
    placed = [
        PlacedLevels.model_validate(
            {"quantity": quantity, "decades_beyond": DECADES.get(where), "levels": ends}
        )
        for (quantity, where), ends in levels.items()
    ]
    return checks, placed


def _covered(sample: Counted, levels: Mapping[tuple[str, str], Levels]) -> list[CoveredShare]:
    """Count the sweeps that percentiles, and intervals at these levels, cover."""
    plain: dict[tuple[str, str], dict[str, float]] = {}
    for count in sample.counts:
        plain.setdefault((count.quantity, count.where), {})[str(count.level)] = count.share
    return [
        CoveredShare.model_validate(
            {
                "quantity": quantity,
                "decades_beyond": DECADES.get(where),
                "shares": {
                    level: covered(
                        sample.ranks[quantity, where],
                        ends.shares if isinstance(ends, Tails) else REACHED,
                    )
                    for level, ends in levels.get((quantity, where), {}).items()
                }
                or by_level,
                "percentile_shares": by_level,
            }
        )
        for (quantity, where), by_level in plain.items()
    ]


def count_covered(
    losses: pl.DataFrame | Observations,
    settings: ApproachesSettings,
    *,
    truths: Sequence[str],
    simulations: int,
    shared: bool = False,
) -> Iterator[Counted]:
    """Count for one truth after the other; see ``check_mixture``.

    ``shared`` is that of ``SimulatedSweeps``.
    """
    if settings.mixture.weights == "stacking":
        raise IsoflopError(
            "simulated sweeps have no forecasts, so weights by stacking cannot be checked; choose "
            "approaches.mixture.weights: unrejected or equal"
        )
    # observed once: from a table each law would be fitted under other countings too
    seen = losses if isinstance(losses, Observations) else observe(losses, settings.counting)
    # the settings and the command line let laws of the set through alone, and these are such fits
    fits = {
        law: cast("MultistartFit", fit(seen, law, settings, threads=1))
        for law in dict.fromkeys([*settings.mixture.laws, *map(law_of_truth, truths)])
    }
    laws = {law: fits[law] for law in settings.mixture.laws}
    # the part of C that all laws saw, as the mixture's own optima have it
    top = min(law.flops_range[1] for law in laws.values())
    flops = top * 10.0 ** np.array(list(DECADES.values()))
    block = max(1, min(BLOCK, MOST_LOSSES // len(seen.loss)))
    for truth in truths:
        sweeps = truth_source(truth, fits[law_of_truth(truth)], shared=shared)
        drawn = [
            sample
            for start in range(0, simulations, block)
            for sample in _mixed(
                sweeps, laws, settings, flops, range(start, min(start + block, simulations))
            )
        ]
        kept = [sample for sample in drawn if np.isfinite(sample).all(axis=1).sum() > 1]
        yield Counted(
            truth=truth,
            noise=sweeps.noise,
            simulations=simulations,
            refused=simulations - len(kept),
            counts=_counts(kept, sweeps.true(flops)),
            ranks=_ranks(kept, sweeps.true(flops)),
        )


def _mixed(
    sweeps: SimulatedSweeps,
    laws: Mapping[Approach, MultistartFit],
    settings: ApproachesSettings,
    flops: Floats,
    numbers: range,
) -> Floats:
    """Give the mixture's draws of some simulated sweeps, (sweeps, draws, quantities)."""
    bootstrap = settings.bootstrap
    log_loss = np.log([sweeps.draw(i, bootstrap.seed).loss for i in numbers])
    tested = {law: fitted.misfits_of(log_loss) for law, fitted in laws.items()}
    whose = []
    for k in range(len(numbers)):
        misfits = {law: p[k] for law, p in tested.items()}
        _, shares = weights_of(list(laws), (), misfits, settings.mixture)
        whose.append(shared_out(shares, bootstrap.draws, bootstrap.seed))
    owner = np.array(whose)
    resamples = [
        resample_alike(list(laws.values()), bootstrap, Stream.SIMULATED_RESAMPLES, i)
        for i in numbers
    ]
    drawn = np.full((owner.size, 1 + 2 * len(flops)), np.nan)
    for place, fitted in enumerate(laws.values()):
        mine = np.flatnonzero(owner.ravel() == place)
        if mine.size:
            batch = together([by_law[place] for by_law in resamples], log_loss)
            drawn[mine] = _quantities(fitted, fitted.refit(batch.take(mine)).parameters, flops)
    return drawn.reshape(*owner.shape, -1)


def _quantities(fitted: MultistartFit, parameters: Floats, flops: Floats) -> Floats:
    """Give a, then N_opt and then the loss at every C, (rows, quantities)."""
    optima = fitted.optima(parameters, flops)
    a, _ = fitted.exponents(parameters)
    return np.concatenate([a[:, None], optima.params, optima.loss], axis=1)


def _named(true: Mapping[str, Floats]) -> list[tuple[tuple[str, str], float]]:
    """Name every quantity and place with its truth, in the order of ``_quantities``."""
    places = [("a", "")] + [(q, where) for q in ("params_opt", "loss_opt") for where in DECADES]
    values = np.concatenate([true[name] for name in ("a", "params_opt", "loss_opt")])
    return list(zip(places, values.tolist(), strict=True))


def _ranks(drawn: Sequence[Floats], true: Mapping[str, Floats]) -> dict[tuple[str, str], Floats]:
    """Place the truth among each sweep's draws; see ``_counts``."""
    if not drawn:
        return {}
    together = np.array(drawn)
    ranks = {}
    for k, (place, truth) in enumerate(_named(true)):
        column = together[..., k]
        if place[0] != "a":
            # as ``quantities.Sample`` places them
            with np.errstate(invalid="ignore", divide="ignore"):
                column, truth = np.log(column), float(np.log(truth))  # noqa: PLW2901
        ranked = placed_among(column, truth)
        ranks[place] = ranked[np.isfinite(ranked)]
    return ranks


def _counts(drawn: Sequence[Floats], true: Mapping[str, Floats]) -> list[Count]:
    """Count hits per quantity and level.

    Parameters
    ----------
    drawn : (draws, quantities) of each sweep, in the order of ``_quantities``.
    true : as ``SimulatedSweeps.true`` gives it, quantities in the same order.
    """
    counts = []
    for k, ((name, where), truth) in enumerate(_named(true)):
        ends = [percentile_intervals(sample[:, k]) for sample in drawn]
        centres = np.array([np.nanmedian(sample[:, k]) for sample in drawn])
        ratio = name != "a"
        for level in LEVELS:
            low, high = np.array([labelled[str(level)] for labelled in ends]).reshape(-1, 2).T
            counts.append(
                Count(
                    name,
                    where,
                    level,
                    float(np.mean((low <= truth) & (truth <= high))),
                    float(np.median(high / low if ratio else high - low)),
                    float(np.median(centres / truth if ratio else centres - truth)),
                )
            )
    return counts
