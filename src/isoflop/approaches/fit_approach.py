"""Fit one approach to one sweep, resample it, and write the estimate."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from isoflop.approach import APPROACHES, IN_PROSE, WITHIN
from isoflop.approaches.estimators.cost import require_cost
from isoflop.approaches.estimators.curvature import describe_bend
from isoflop.approaches.estimators.identifiability import (
    CALIBRATED_MEANS,
    FRONTIERS,
    NO_PLANE,
    by_design,
    places_of,
    require_answering,
    require_determined,
    require_identified,
    require_narrow,
    require_slopes,
)
from isoflop.approaches.estimators.loss_law import points_of
from isoflop.approaches.estimators.registry import fit
from isoflop.approaches.estimators.valley_window import LEAST_OFF, SYSTEMATIC
from isoflop.approaches.observations import Observations, observe, rate_cautions
from isoflop.approaches.protocol import Resamples
from isoflop.approaches.uncertainty.calibration import calibrate
from isoflop.approaches.uncertainty.influence import (
    influence_cautions,
    influence_of,
    seeds_beside,
    twin_cautions,
)
from isoflop.approaches.uncertainty.resampling import resample
from isoflop.approaches.uncertainty.truths import truths_of
from isoflop.config.approaches import LawSettings, ParametricSettings
from isoflop.errors import MissingFactError, OpenSizeError, UnderdeterminedError
from isoflop.estimates.default_budgets import default_budgets
from isoflop.estimates.estimate import (
    Bend,
    Calibration,
    Counting,
    Estimate,
    Refusal,
    Tally,
    Uncalibrated,
    optima_of,
)
from isoflop.estimates.intervals import LEVELS
from isoflop.estimates.levels import NoLevel
from isoflop.estimates.quantities import derived, describe
from isoflop.numbers import listed, number_of, per_cent

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from isoflop.approach import Approach
    from isoflop.approaches.protocol import Fit, Refits
    from isoflop.approaches.uncertainty.calibration import Calibrated
    from isoflop.config.approaches import ApproachesSettings
    from isoflop.estimates.estimate import Provenance
    from isoflop.estimates.laws import Law
    from isoflop.estimates.quantities import Quantity, Simulations
    from isoflop.laws import ChinchillaLaw

    Floats = NDArray[np.float64]

MANY_REFUSED: Final = 0.05
LEAST_DRAWS: Final = 2
ASIDE: Final = 0.9
"""Share of resamples on one side of an estimate from which an 80 % interval of them leaves it out;
with fewer it is how the interval was placed."""
NESTING_DRAWS: Final = 400
"""Resamples at most by which the law that has this one as a special case is judged: the first of
those by which its own estimate is."""
NARROW: Final = 3.0
"""Factor of C between the runs below which the exponent is told to be the form's."""
KINDS_TOLD: Final = 3
"""Reasons of left-out runs that a refusal names."""
NOT_ASKED: Final = "approaches.bootstrap.interval asks for none"
DRAWS_SCHEMA: Final = {
    "approach": pl.String,
    "truth": pl.String,
    "simulation": pl.Int64,
    "draw": pl.Int64,
    "refused": pl.String,
}
"""Columns that every table of draws has."""


def fit_approach(
    losses: pl.DataFrame | Observations,
    approach: Approach,
    settings: ApproachesSettings,
    *,
    sweep: str,
    provenance: Provenance,
    published: Mapping[str, ChinchillaLaw] | None = None,
    threads: int | None = None,
    left_out: pl.DataFrame | None = None,
) -> tuple[Estimate | Refusal, pl.DataFrame]:
    """Fit one approach to a loss table and resample it.

    Parameters
    ----------
    losses : table ``Losses``.
    approach : which.
    sweep : name of the sweep.
    settings : section ``approaches`` of config.yaml; of other approaches' parts those of
        the laws of the set, where intervals are calibrated.
    provenance : what the losses were read from.
    published : laws that the parametric fit is tested against, by name.
    threads : blocks refitted at a time; no byte of the result depends on it.
    left_out : table ``LeftOut``; a refusal names its reasons, since what a fit lacks may be there.

    Returns
    -------
    The estimate, or why the sweep does not allow one, and its draws: columns approach, truth,
    simulation, draw, refused (null, or why), each parameter, a and b. Rows without a truth are
    resamples of the sweep; the others belong to sweeps simulated from that law, and those without a
    draw are their estimates. ``estimates.allocation`` derives optima at any C from them.
    """
    chosen = settings.only(*_sections(approach, settings))
    try:
        _require_answering(losses, approach, settings)
        fitted = fit(losses, approach, settings, published=published, threads=threads)
        require_identified(fitted)
        require_cost(fitted)
        flops = np.array(default_budgets(fitted.flops_range[1]))
        _require_optima(fitted, flops)
        resamples = resample(fitted, settings.bootstrap)
        refits = fitted.refit(resamples)
        require_determined(fitted, refits.parameters, refits.refusals)
        nesting = _nesting(fitted, settings, threads=threads)
        by_form = _by_form(fitted, nesting, settings)
        if by_form is not None and approach not in APPROACHES:
            raise OpenSizeError(f"approach '{approach}' of sweep {sweep} answers by {by_form}")
        calibrated = _calibrated([fitted, nesting], settings, threads=threads)
        simulations = [truth.simulations for truth in calibrated.checked]
        require_calibrated(fitted, refits.parameters, simulations)
    except (MissingFactError, UnderdeterminedError) as error:
        refusal = Refusal(
            approach=approach,
            sweep=sweep,
            settings=chosen,
            refused=f"{error}{_left_out_before(left_out)}",
            leaves_open=isinstance(error, OpenSizeError),
            provenance=provenance,
        )
        return refusal, pl.DataFrame(schema=DRAWS_SCHEMA)
    influence = influence_of(fitted, resamples, refits.parameters, fitted.flops_range[1])
    row, law = fitted.parameters[None], fitted.law
    quantities = describe(law, row, refits.parameters, flops, simulations)
    n_runs, n_points = fitted.n_used
    estimate = Estimate(
        approach=approach,
        sweep=sweep,
        settings=chosen,
        counting=Counting(params=fitted.counting.params, flops=fitted.counting.flops),
        n_runs=n_runs,
        n_points=n_points,
        budgets=fitted.budgets(),
        flops_range=fitted.flops_range,
        a=quantities["a"],
        b=quantities["b"],
        law=law,
        parameters={name: quantities[name] for name in law.names if name not in {"a", "b"}},
        optima=optima_of(quantities, flops, fitted.flops_range),
        diagnostics=fitted.diagnostics(),
        bootstrap=_tally(refits),
        calibration=calibrated.record(law.names),
        curvature=_bend(fitted, refits),
        influence=influence,
        by_form=by_form,
        cautions=[
            *([] if by_form is None else [f"These numbers come from {by_form}"]),
            *fitted.cautions(),
            *fitted.confounded(by_form=by_form is not None),
            *influence_cautions(
                influence,
                seeds_beside(fitted.observations),
                fitted.observations.worse_rates,
            ),
            *rate_cautions(fitted.observations),
            *twin_cautions(fitted.observations),
            *_narrow(fitted),
            *_refusals(refits),
            *_uncalibrated(calibrated),
            *_without_level(quantities, flops),
            *_excluded(law, row, refits.parameters, quantities, flops),
            *_off_by_design(fitted, quantities[f"params_opt_{float(flops[0])!r}"], float(flops[0])),
        ],
        provenance=provenance,
    )
    return estimate, _table(fitted, refits, simulations)


def _require_answering(
    losses: pl.DataFrame | Observations, approach: Approach, settings: ApproachesSettings
) -> None:
    """Refuse a law of the loss before it is fitted, where its points cannot answer.

    Raises
    ------
    MissingFactError, UnderdeterminedError : naming the fact and the fix.
    """
    chosen = getattr(settings, approach)
    if not isinstance(chosen, ParametricSettings | LawSettings):
        return
    observations = (
        losses
        if isinstance(losses, Observations)
        else observe(losses, settings.counting_of(approach))
    )
    points = points_of(observations, chosen, approach, least=0)
    require_answering(observations.at(points), approach)


def _nesting(fitted: Fit, settings: ApproachesSettings, *, threads: int | None) -> Fit | None:
    """Fit the law that has a fitted one as a special case, where that tells what the form fixes.

    None of other laws, where priors take part, and where the runs are too few for that law.
    """
    wider = WITHIN.get(fitted.approach)
    if wider is None or getattr(settings, fitted.approach).priors:
        return None
    try:
        return fit(fitted.observations, wider, settings, threads=threads)
    except UnderdeterminedError:  # too few runs for that law say nothing of this one
        return None


def _by_form(fitted: Fit, nesting: Fit | None, settings: ApproachesSettings) -> str | None:
    """Say that a law or a design fixes what the runs leave open; None where neither does.

    Of a law, that which has it in it shows that. Fixing a constant narrows every interval. Where
    the law that leaves it free does not determine the best size, that narrowing is all there is. A
    prior is knowledge from elsewhere, and may.
    """
    if (design := by_design(fitted)) is not None:
        return design
    if nesting is None:
        return None
    few = {"draws": min(settings.bootstrap.draws, NESTING_DRAWS)}
    try:
        # where most resamples cannot be fitted the slopes still tell
        require_slopes(nesting)
        refits = nesting.refit(resample(nesting, settings.bootstrap.model_copy(update=few)))
        require_determined(nesting, refits.parameters, refits.refusals)
    except OpenSizeError as error:
        return (
            "the law’s form, not from the runs: it is a special case of "
            f"{IN_PROSE[nesting.approach]}, and {error}"
        )
    except UnderdeterminedError:  # as of too few runs
        return None
    return None


def require_calibrated(fitted: Fit, draws: Floats, simulations: Sequence[Simulations]) -> None:
    """Ask of calibrated intervals what ``require_determined`` asks of resamples.

    Parameters
    ----------
    fitted : the fit to all runs.
    draws : (draws, parameters) fitted to resamples; NaN where refused.
    simulations : of each law that may be true; empty where intervals are percentiles.

    Raises
    ------
    OpenSizeError : one is too wide within the data.
    """
    if not simulations:
        return
    flops = places_of(fitted)
    names = [f"params_opt_{c!r}" for c in flops.tolist()]
    best = describe(
        fitted.law,
        fitted.parameters[None],
        draws,
        flops,
        simulations,
        names=names,
        summarised=False,
    )
    require_narrow(
        flops,
        [best[name].intervals.get(str(min(LEVELS))) if name in best else None for name in names],
        whose=f"approach '{fitted.approach}'",
        sweep=fitted.observations.sweep,
        means=CALIBRATED_MEANS,
    )


def _left_out_before(left_out: pl.DataFrame | None) -> str:
    """Say what never reached the fit, and why, by kind of reason; empty where all did."""
    if left_out is None:
        return ""
    # an entry without points says something of what was kept
    lost = left_out.filter(pl.col("points") > 0)
    if lost.is_empty():
        return ""
    kinds: dict[str, list[str]] = {}
    for item, reason in lost.sort("item", "reason").select("item", "reason").iter_rows():
        kinds.setdefault(re.sub(r"[0-9][0-9.,e+-]*", "#", reason), []).append(f"{item}: {reason}")
    most = sorted(kinds.values(), key=lambda group: (-len(group), group[0]))
    told = "; ".join(
        f"{len(group)} such as {group[0]}" if len(group) > 1 else group[0]
        for group in most[:KINDS_TOLD]
    )
    more = (
        f"; and {number_of(len(most) - KINDS_TOLD, 'other reason')}"
        if len(most) > KINDS_TOLD
        else ""
    )
    were = "file or run was" if lost.height == 1 else "files or runs were"
    entries = f"{lost.height} {were} left out, whole or in part"
    return f" Before the fit {entries}: {told}{more}."


def _require_optima(fitted: Fit, flops: Floats) -> None:
    """Refuse a fit whose best size is zero or infinite, as where a term of its law has vanished.

    Raises
    ------
    UnderdeterminedError : with what the fit has to say of itself.
    """
    optima = fitted.optima(fitted.parameters[None], flops)
    if not (np.isfinite(optima.params) & np.isfinite(optima.tokens)).all():
        raise UnderdeterminedError(
            f"approach '{fitted.approach}' finds no compute-optimal size in sweep "
            f"{fitted.observations.sweep}: its best N is zero or infinite. "
            f"{' '.join(fitted.cautions())} Add runs over a wider range of N and D."
        )


def _sections(approach: Approach, settings: ApproachesSettings) -> tuple[str, ...]:
    """Name the sections that an estimate rests on; calibration fits the laws of the set too."""
    sections = ("counting", "bootstrap", approach)
    if settings.bootstrap.interval != "calibrated":
        return sections
    return (*sections, *(law for law in settings.mixture.laws if law not in sections), "mixture")


@dataclass(frozen=True, eq=False)
class _Calibrations:
    """What simulated sweeps of each possible law gave.

    Attributes
    ----------
    checked : one entry for each law; empty where nothing was simulated.
    left_out : the other laws of the set, and why.
    uncalibrated : why nothing was simulated; None where it was.
    """

    checked: Sequence[Calibrated]
    left_out: Mapping[Approach, str]
    uncalibrated: str | None = None

    def record(self, names: tuple[str, ...]) -> Calibration | Uncalibrated:
        """Say what an estimate keeps of it."""
        if self.uncalibrated is not None:
            return Uncalibrated(reason=self.uncalibrated)
        truths = [truth.record(names) for truth in self.checked]
        return Calibration(truths=truths, left_out=dict(self.left_out))


def _calibrated(
    made: Sequence[Fit | None], settings: ApproachesSettings, *, threads: int | None
) -> _Calibrations:
    """Fit simulated sweeps of each law that the runs do not reject, or say why there are none.

    Parameters
    ----------
    made : the fit that is calibrated, and others of the same observations.
    """
    fits = [each for each in made if each is not None]
    fitted = fits[0]
    if settings.bootstrap.interval != "calibrated":
        return _Calibrations((), {}, NOT_ASKED)
    if settings.bootstrap.draws < LEAST_DRAWS:
        return _Calibrations((), {}, "there are no draws")
    try:
        truths = truths_of(fitted.observations, settings, made=fits, threads=threads)
    except UnderdeterminedError as error:
        return _Calibrations((), {}, str(error))
    checked = [calibrate(fitted, sweeps, settings.bootstrap) for sweeps in truths.sweeps.values()]
    return _Calibrations(checked, truths.left_out)


def _uncalibrated(calibrated: _Calibrations) -> list[str]:
    """Say that intervals were to be calibrated and are not."""
    if calibrated.uncalibrated in {None, NOT_ASKED}:
        return []
    return [
        "Intervals are uncalibrated percentiles; calibration was impossible because "
        f"{calibrated.uncalibrated}."
    ]


def _told(flops: Floats) -> dict[str, str]:
    """Name the answers that cautions speak of, in words."""
    words = {"a": "a", "b": "b"}
    return words | {
        f"{name}_{float(c)!r}": f"{what} at {c:.3g} FLOPs"
        for c in flops
        for name, what in (("params_opt", "best N"), ("tokens_opt", "best D"), ("loss", "loss"))
    }


def _without_level(quantities: Mapping[str, Quantity], flops: Floats) -> list[str]:
    """Say which answers have no interval, because none from these resamples would cover."""
    without: dict[str, list[str]] = {}
    worst: NoLevel | None = None
    for name, what in _told(flops).items():
        if name not in quantities:
            continue
        levels = quantities[name].levels.items()
        none = {level: missing for level, missing in levels if isinstance(missing, NoLevel)}
        if none:
            # the narrowest that is missing: any wider one is missing with it
            level, missing = min(none.items(), key=lambda entry: float(entry[0]))
            wider = " and wider" if len(none) > 1 else ""
            without.setdefault(f"{per_cent(float(level))}{wider}", []).append(what)
            worst = missing if worst is None or missing.share > worst.share else worst
    if worst is None:
        return []
    answers = [f"{listed(whats)} ({levels})" for levels, whats in without.items()]
    return [
        "No interval from these resamples covers as often as it should for "
        f"{'; for '.join(answers)}: none is given. At worst, where {IN_PROSE[worst.truth]} is "
        f"true, the truth lies {worst.side} all resamples in {per_cent(worst.share)} of the "
        "simulated sweeps."
    ]


def _excluded(
    law: Law, row: Floats, draws: Floats, quantities: Mapping[str, Quantity], flops: Floats
) -> list[str]:
    """Say which answers have no interval, because it would exclude the estimate."""
    point, drawn = derived(law, row, flops), derived(law, draws, flops)
    excluded: dict[str, list[tuple[str, float]]] = {}
    for name, what in _told(flops).items():
        kept = drawn[name][np.isfinite(drawn[name])] if name in drawn else np.empty(0)
        if name not in quantities or len(kept) < LEAST_DRAWS:
            continue
        quantity = quantities[name]
        served = [q for q in map(str, LEVELS) if not isinstance(quantity.levels.get(q), NoLevel)]
        missing = [level for level in served if level not in quantity.intervals]
        if not missing:
            continue
        levels = " or ".join(per_cent(float(level)) for level in missing)
        below = float((kept < point[name][0]).mean())
        excluded.setdefault(levels, []).append((what, max(below, 1.0 - below)))
    return [
        f"No {levels} interval is given for {listed([what for what, _ in answers])}: it would "
        f"exclude the estimate from all runs, since {_aside([share for _, share in answers])}."
        for levels, answers in excluded.items()
    ]


def _aside(shares: Sequence[float]) -> str:
    """Say why an interval lies on one side of the estimate: its resamples do, or its ends alone."""
    if min(shares) < ASIDE:
        return "the ends that cover as often as they should both lie on one side of it"
    return f"{_span(shares)} of the resamples lie on one side of it"


def _span(shares: Sequence[float]) -> str:
    low, high = per_cent(min(shares)), per_cent(max(shares))
    return low if low == high else f"{low} to {high}"


def _off_by_design(fitted: Fit, best: Quantity, flops: float) -> list[str]:
    """Say that exact losses of this design would give another N_opt: no seed mends that.

    For the profiles it is the sign of a parabola over too wide a window of sizes, whose valley is
    steeper on one side (Czech et al. 2026). Of several laws it is told of the worst.
    """
    errors = {
        sample.law: float(np.log(sample.noiseless / sample.truth))
        for sample in best.simulated
        if sample.noiseless is not None and sample.noiseless > 0.0
    }
    if not errors:
        return []
    law, off = max(errors.items(), key=lambda entry: abs(entry[1]))
    least, beside = LEAST_OFF, "it has no 80 % interval"
    if "0.8" in best.intervals:
        low, high = best.intervals["0.8"]
        if low <= 0.0:
            return []
        least = max(SYSTEMATIC * 0.5 * float(np.log(high / low)), LEAST_OFF)
        beside = f"its 80 % interval is {low:.3g} to {high:.3g}"
    if abs(off) <= least:
        return []
    return [
        f"Exact losses of this design would put the best N at {flops:.3g} FLOPs off by "
        f"{per_cent(np.expm1(off), 1, signed=True)} in this approach where {IN_PROSE[law]} is "
        f"true; {beside}: that part is systematic, and no further seed lowers it."
        f"{fitted.cure_of_bias()}"
    ]


def _tally(refits: Refits) -> Tally:
    """Count the draws that were refused, by reason."""
    reasons, counts = np.unique(refits.refusals[refits.refusals != ""], return_counts=True)
    return Tally(
        draws=len(refits.refusals),
        refused=int(counts.sum()),
        refusals={str(r): int(n) for r, n in zip(reasons, counts, strict=True)},
    )


def _bend(fitted: Fit, refits: Refits) -> Bend | None:
    """Say how far a fitted frontier departs from a power law; None where a law has no frontier.

    The value from all runs is that of a resample in which each of them occurs once.
    """
    curvature = fitted.refit(Resamples(np.ones((1, fitted.observations.n_runs)))).curvature
    if curvature is None or refits.curvature is None:
        return None
    return describe_bend(curvature, refits.curvature)


def _narrow(fitted: Fit) -> list[str]:
    """Say that runs over so little compute leave the exponent to the law's form."""
    if fitted.approach in {*NO_PLANE, *FRONTIERS}:
        return []
    flops = fitted.observations.flops[fitted.observations.is_final]
    factor = float(flops.max() / flops.min()) if len(flops) else 1.0
    if factor >= NARROW:
        return []
    return [
        f"The runs’ compute spans a factor of {factor:.2g} alone: how the best size moves with "
        "compute, and so a, is the law’s form more than what these runs measured, and its interval "
        f"knows of no other form. Add a budget at least {NARROW:g} times another."
    ]


def _refusals(refits: Refits) -> list[str]:
    tally = _tally(refits)
    if tally.refused <= MANY_REFUSED * tally.draws:
        return []
    return [
        f"{tally.refused} of {tally.draws} resamples could not be fitted "
        f"({'; '.join(tally.refusals)}); the intervals describe the others and are too narrow."
    ]


def _table(fitted: Fit, refits: Refits, simulations: Sequence[Simulations]) -> pl.DataFrame:
    """Write down every refit: of the sweep's resamples, and of simulated sweeps."""
    n = len(refits.refusals)
    resampled = [(None, None, draw) for draw in range(n)]
    parts = [_rows(fitted, refits.parameters, resampled, refits.refusals.tolist())]
    for of_truth in simulations:
        sweeps, draws, p = of_truth.draws.shape
        # each sweep's estimate, then its draws
        rows = np.concatenate([of_truth.estimates[:, None], of_truth.draws], axis=1).reshape(-1, p)
        numbers = (None, *range(draws))
        whose = [(of_truth.truth.approach, k, draw) for k in range(sweeps) for draw in numbers]
        parts.append(_rows(fitted, rows, whose, [""] * len(rows)))
    return pl.concat(parts)


def _rows(
    fitted: Fit,
    parameters: Floats,
    whose: Sequence[tuple[Approach | None, int | None, int | None]],
    refused: Sequence[str],
) -> pl.DataFrame:
    """Tabulate refits; ``whose`` is the truth, simulation and draw of each."""
    a, b = fitted.exponents(parameters)
    columns = dict(zip(fitted.names, parameters.T, strict=True)) | {"a": a, "b": b}
    truths, simulation, draw = zip(*whose, strict=True) if whose else ((), (), ())
    return pl.DataFrame(
        {
            "approach": pl.Series([fitted.approach] * len(parameters), dtype=pl.String),
            "truth": pl.Series(truths, dtype=pl.String),
            "simulation": pl.Series(simulation, dtype=pl.Int64),
            "draw": pl.Series(draw, dtype=pl.Int64),
            "refused": pl.Series([reason or None for reason in refused], dtype=pl.String),
            **{name: pl.Series(column).fill_nan(None) for name, column in columns.items()},
        }
    )
