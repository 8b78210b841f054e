"""Does the mixture cover whichever of its laws is true? Simulated sweeps of each law tell.

A sweep simulated from a law goes the whole way that a real one goes: every law is fitted to it and
tested, those that it rejects are left out, and the draws of the others are mixed. Sweeps of one
design differ in losses and weights alone, so the draws of many are refitted together.

Calibrated intervals are judged by a second sweep, simulated from each law that a simulated sweep
leaves possible: the places of their truths, pooled over the sweeps, are where intervals end. So the
parts of the noise and the set of laws are estimated anew in every sweep, as they are in a real one.
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
from isoflop.approaches.uncertainty.coverage import (
    DECADES,
    SCHEMA,
    law_of_truth,
    sweeps_of_truth,
    widths,
)
from isoflop.approaches.uncertainty.resampling import resample_alike
from isoflop.approaches.uncertainty.simulated_sweeps import SimulatedSweeps
from isoflop.approaches.uncertainty.streams import Stream
from isoflop.approaches.uncertainty.truths import unrejected
from isoflop.errors import IsoflopError, UnderdeterminedError
from isoflop.estimates.intervals import LEVELS, Intervals, percentile_intervals
from isoflop.estimates.levels import Levels, Tails, covered, tails_of
from isoflop.estimates.levels import places as placed_among
from isoflop.estimates.mixture import KEY, CoveredShare, MixtureCheck, PlacedLevels
from isoflop.estimates.quantities import REACHED, at_levels

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from isoflop.approach import Approach
    from isoflop.approaches.estimators.loss_law import MultistartFit
    from isoflop.approaches.protocol import Resamples
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
    given : share of the sweeps that have an interval of this level.
    share : of those, the share whose interval covers the truth; None where none is given.
    width : median of the interval's width, or of the ratio of its ends.
    bias : median error of the mixture, likewise.
    """

    quantity: str
    where: str
    level: float
    given: float
    share: float | None
    width: float | None
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
    kinds: Sequence[str] = ("percentile",),
    shared: bool = False,
) -> pl.DataFrame:
    """Count how often the mixture's intervals cover the truth, whichever truth that is.

    Parameters
    ----------
    losses : table ``Losses`` of the sweep that is imitated.
    settings : section ``approaches``; draws are the bootstrap's, the laws and their weights those
        of ``mixture``.
    truths : laws of the set, or keys of ``departures.DEPARTURES``: each law, fitted to the sweep
        without priors, is taken for the truth, and its own residuals for the noise.
    simulations : simulated sweeps of each truth.
    kinds : intervals that are judged: ``percentile``, of draws that pick runs alone; and
        ``calibrated``, as a sweep's mixture has them. Others are left out.
    shared : whether runs share parts of their errors, as in ``SimulatedSweeps``.

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
    by_kind = {"percentile": count_covered, "calibrated": count_calibrated}
    judged = [
        (kind, counted)
        for kind in kinds
        if kind in by_kind
        for counted in by_kind[kind](
            losses,
            _with_interval(settings, kind),
            truths=truths,
            simulations=simulations,
            shared=shared,
        )
    ]
    for kind, counted in judged:
        rows += [
            (
                KEY,
                settings.bootstrap.scheme,
                kind,
                cell.quantity,
                cell.where,
                cell.level,
                settings.bootstrap.draws,
                counted.simulations,
                counted.refused,
                cell.given,
                cell.share,
                cell.width,
                cell.bias,
                counted.truth,
            )
            for cell in counted.counts
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
        if count.share is not None:
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


def _with_interval(settings: ApproachesSettings, kind: str) -> ApproachesSettings:
    bootstrap = settings.bootstrap.model_copy(update={"interval": kind})
    return settings.model_copy(update={"bootstrap": bootstrap})


def count_covered(
    losses: pl.DataFrame | Observations,
    settings: ApproachesSettings,
    *,
    truths: Sequence[str],
    simulations: int,
    shared: bool = False,
) -> Iterator[Counted]:
    """Count what percentiles cover, for one truth after the other; see ``check_mixture``.

    ``shared`` is that of ``SimulatedSweeps``.
    """
    imitated = _Imitated.of(losses, settings, truths)
    for truth in truths:
        sweeps = imitated.sweeps_of(truth, shared=shared)
        drawn: list[Floats] = []
        for numbers in imitated.blocks(simulations):
            log_loss = np.log([sweeps.draw(i, settings.bootstrap.seed).loss for i in numbers])
            resamples = [
                resample_alike(
                    list(imitated.laws.values()), settings.bootstrap, Stream.SIMULATED_RESAMPLES, i
                )
                for i in numbers
            ]
            drawn += list(imitated.mixed(log_loss, resamples))
        ends = [
            [percentile_intervals(column) for column in sample.T] if _usable(sample) else []
            for sample in drawn
        ]
        yield _counted(truth, sweeps, drawn, ends, sweeps.true(imitated.flops))


def count_calibrated(
    losses: pl.DataFrame | Observations,
    settings: ApproachesSettings,
    *,
    truths: Sequence[str],
    simulations: int,
    shared: bool = False,
) -> Iterator[Counted]:
    """Count what calibrated intervals cover, each simulated sweep with second sweeps of its own.

    Every law is fitted to a simulated sweep, with the parts of its noise, and from each that the
    sweep does not reject a second sweep is simulated, mixed like the first. Where its truth lies
    among its draws is pooled over all sweeps, law by law: ``simulations`` second sweeps of one
    design stand for as many of each.
    """
    imitated = _Imitated.of(losses, settings, truths)
    seed = settings.bootstrap.seed
    for truth in truths:
        sweeps = imitated.sweeps_of(truth, shared=shared)
        drawn: list[Floats] = []
        pooled: dict[Approach, list[Floats]] = {}
        possible: list[list[Approach]] = []
        for numbers in imitated.blocks(simulations):
            seconds, owners, first, resampled = [], [], [], []
            sampled = [sweeps.draw(i, seed) for i in numbers]
            for i, sweep in zip(numbers, sampled, strict=True):
                fits = {key: law.refit_losses(sweep) for key, law in imitated.laws.items()}
                alike = list(fits.values())
                if imitated.has_priors:
                    fits = {key: imitated.truths[key].refit_losses(sweep) for key in fits}
                first.append(
                    resample_alike(alike, settings.bootstrap, Stream.SIMULATED_RESAMPLES, i)
                )
                second = resample_alike(alike, settings.bootstrap, Stream.SECOND_RESAMPLES, i)
                keys = unrejected(fits)
                possible.append(keys)
                for key in keys:
                    imitation = SimulatedSweeps(fits[key], shared=True)
                    seconds.append(imitation.draw(i, seed, Stream.SECOND_SWEEPS).loss)
                    owners.append((key, imitation.true(imitated.flops)))
                    resampled.append(second)
            drawn += list(imitated.mixed(np.log([sweep.loss for sweep in sampled]), first))
            for sample, (key, true) in zip(
                imitated.mixed(np.log(seconds), resampled), owners, strict=True
            ):
                placed = _ranks([sample], true)
                row = [rank.item() if rank.size else np.nan for rank in placed.values()]
                pooled.setdefault(key, []).append(np.array(row))
        places = {key: np.array(rows) for key, rows in pooled.items()}
        ends = [
            [_calibrated(column, {key: places[key][:, k] for key in keys})
             for k, column in enumerate(sample.T)] if _usable(sample) else []
            for sample, keys in zip(drawn, possible, strict=True)
        ]  # fmt: skip
        yield _counted(truth, sweeps, drawn, ends, sweeps.true(imitated.flops))


def _usable(sample: Floats) -> bool:
    """Whether draws, (draws, quantities), give intervals."""
    return bool(np.isfinite(sample).all(axis=1).sum() > 1)


def _counted(
    truth: str,
    sweeps: SimulatedSweeps,
    drawn: Sequence[Floats],
    ends: Sequence[Sequence[Intervals]],
    true: Mapping[str, Floats],
) -> Counted:
    """Count the sweeps of one truth; those that give no intervals are refused.

    Parameters
    ----------
    ends : intervals of each sweep and quantity; empty where it gives none.
    """
    kept = [sample for sample in drawn if _usable(sample)]
    return Counted(
        truth=truth,
        noise=sweeps.noise,
        simulations=len(drawn),
        refused=len(drawn) - len(kept),
        counts=_counts(kept, [given for given in ends if given], true),
        ranks=_ranks(kept, true),
    )


def _calibrated(column: Floats, placed: Mapping[Approach, Floats]) -> Intervals:
    """Give one quantity's intervals in one sweep, ends placed by the laws it leaves possible."""
    known = {key: ranks[np.isfinite(ranks)] for key, ranks in placed.items()}
    levels = {str(level): tails_of(known, level) for level in LEVELS}
    return at_levels(float(np.nanmedian(column)), column, levels).intervals


@dataclass(frozen=True, eq=False)
class _Imitated:
    """The sweep that simulated ones look like, and how they are mixed.

    Attributes
    ----------
    settings : section ``approaches``.
    truths : every law that is mixed or taken for the truth, fitted to the runs alone.
    laws : those that may be mixed, fitted as the settings say, with priors where they name any.
    flops : C at which optima are judged [FLOP].
    block : sweeps that are refitted at a time.
    """

    settings: ApproachesSettings
    truths: Mapping[Approach, MultistartFit]
    laws: Mapping[Approach, MultistartFit]
    flops: Floats
    block: int

    @classmethod
    def of(
        cls,
        losses: pl.DataFrame | Observations,
        settings: ApproachesSettings,
        truths: Sequence[str],
    ) -> _Imitated:
        """Fit every law.

        Raises
        ------
        IsoflopError : the weights need forecasts, which a simulated sweep has none of.
        """
        if settings.mixture.weights == "stacking":
            raise IsoflopError(
                "simulated sweeps have no forecasts, so weights by stacking cannot be checked; "
                "choose approaches.mixture.weights: unrejected or equal"
            )
        # observed once: from a table each law would be fitted under other countings too
        seen = losses if isinstance(losses, Observations) else observe(losses, settings.counting)
        # settings and command line let laws of the set through alone, and these are such fits
        alone = settings.without_priors()
        fits = {
            law: cast("MultistartFit", fit(seen, law, alone, threads=1))
            for law in dict.fromkeys([*settings.mixture.laws, *map(law_of_truth, truths)])
        }
        laws = {
            law: fits[law]
            if alone is settings
            else cast("MultistartFit", fit(seen, law, settings, threads=1))
            for law in settings.mixture.laws
        }
        # the part of C that all laws saw, as the mixture's own optima have it
        top = min(law.flops_range[1] for law in laws.values())
        flops = top * 10.0 ** np.array(list(DECADES.values()))
        return cls(settings, fits, laws, flops, max(1, min(BLOCK, MOST_LOSSES // len(seen.loss))))

    def sweeps_of(self, truth: str, *, shared: bool) -> SimulatedSweeps:
        """Simulate sweeps of a truth."""
        return sweeps_of_truth(truth, self.truths[law_of_truth(truth)], shared=shared)

    @property
    def has_priors(self) -> bool:
        """Whether any law is fitted otherwise than by its runs alone."""
        return any(self.truths[key] is not law for key, law in self.laws.items())

    def blocks(self, simulations: int) -> Iterator[range]:
        """Give the numbers of the sweeps, some at a time."""
        for start in range(0, simulations, self.block):
            yield range(start, min(start + self.block, simulations))

    def mixed(self, log_loss: Floats, resamples: Sequence[list[Resamples]]) -> Floats:
        """Give the mixture's draws of some simulated sweeps, (sweeps, draws, quantities).

        Parameters
        ----------
        log_loss : (sweeps, points) of each.
        resamples : of each sweep, one for each law.
        """
        bootstrap = self.settings.bootstrap
        tested = {law: fitted.misfits_of(log_loss) for law, fitted in self.laws.items()}
        whose = []
        for k in range(len(log_loss)):
            misfits = {law: p[k] for law, p in tested.items()}
            _, shares = weights_of(list(self.laws), (), misfits, self.settings.mixture)
            whose.append(shared_out(shares, bootstrap.draws, bootstrap.seed))
        owner = np.array(whose)
        drawn = np.full((owner.size, 1 + 2 * len(self.flops)), np.nan)
        for place, fitted in enumerate(self.laws.values()):
            mine = np.flatnonzero(owner.ravel() == place)
            if mine.size:
                batch = together([by_law[place] for by_law in resamples], log_loss).take(mine)
                drawn[mine] = _quantities(fitted, fitted.refit(batch).parameters, self.flops)
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


def _counts(
    drawn: Sequence[Floats], ends: Sequence[Sequence[Intervals]], true: Mapping[str, Floats]
) -> list[Count]:
    """Count hits per quantity and level.

    Parameters
    ----------
    drawn : (draws, quantities) of each sweep, in the order of ``_quantities``.
    ends : intervals of each sweep and quantity.
    true : as ``SimulatedSweeps.true`` gives it, quantities in the same order.
    """
    counts = []
    for k, ((name, where), truth) in enumerate(_named(true)):
        centres = np.array([np.nanmedian(sample[:, k]) for sample in drawn])
        ratio = name != "a"
        for level in LEVELS:
            given = [by_level[k][str(level)] for by_level in ends if str(level) in by_level[k]]
            low, high = np.array(given).reshape(-1, 2).T
            counts.append(
                Count(
                    quantity=name,
                    where=where,
                    level=level,
                    given=len(given) / len(drawn) if drawn else 0.0,
                    share=float(np.mean((low <= truth) & (truth <= high))) if given else None,
                    width=float(np.median(widths(low, high, ratio=ratio))) if given else None,
                    bias=float(np.median(centres / truth if ratio else centres - truth)),
                )
            )
    return counts
