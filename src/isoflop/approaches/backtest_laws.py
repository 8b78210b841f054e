"""Hide the upper part of published sweeps, forecast it in every way there is, and compare."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
import polars as pl

from isoflop.approaches.estimators.registry import fit
from isoflop.approaches.forecasts.forecasters import (
    CHINCHILLA,
    FOUR,
    LABELS,
    LEAST_INNER,
    MIXTURES,
    SCIPY,
    SINGLE,
    Seen,
    law_predictive,
    mixture_predictive,
    scipy_predictive,
    weights_for,
)
from isoflop.approaches.forecasts.scores import prediction_intervals
from isoflop.approaches.observations import observe
from isoflop.config.approaches import ApproachesSettings, CountingSettings, GammaPrior
from isoflop.errors import MissingFactError, UnderdeterminedError
from isoflop.estimates.backtest import (
    Backtest,
    Candidate,
    Cell,
    CellScore,
    Choice,
    Gamma,
    Prior,
)
from isoflop.estimates.intervals import LEVELS, interval_score

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from isoflop.approaches.forecasts.predictions import Predictive
    from isoflop.estimates.backtest import Planned

    Floats = NDArray[np.float64]
    Hidden = Literal["upper half", "upper third"]

CUTS: Final[dict[Hidden, float]] = {"upper half": 1 / 2, "upper third": 2 / 3}
"""Share of the range of log C that is seen."""
INNER: Final = (1 / 2, 2 / 3)
"""The same within what is seen, for weights that must be earned."""
COUNTING: Final = CountingSettings(params="total", flops="6nd")
"""How all studies are counted."""
LEAST_SEEN: Final = 10
LEAST_HIDDEN: Final = 5


def backtest_laws(
    sweeps: Sequence[tuple[Planned, pl.DataFrame]], settings: ApproachesSettings, *, draws: int
) -> Backtest:
    """Forecast the hidden upper part of every sweep.

    Each law is fitted as the settings say to the points at or below a cut in C = 6ND; its draws
    are refits of resampled runs with a residual for each prediction, as in ``score_forecasts``.
    Errors are of log L, so that studies with other losses can be pooled.

    Parameters
    ----------
    sweeps : what is planned, and the table of losses.
    settings : section ``approaches``.
    draws : resamples of each fit.
    """
    chosen = settings.model_copy(
        update={
            "counting": COUNTING,
            "bootstrap": settings.bootstrap.model_copy(update={"draws": draws}),
            "parametric": settings.parametric.model_copy(update={"starts": "coarse"}),
        }
    )
    left_out: dict[str, str] = {}
    taken: dict[str, tuple[Planned, pl.DataFrame]] = {}
    gammas: list[Gamma] = []
    for planned, losses in sweeps:
        try:
            points = points_of(planned, losses)
            gammas.append(_gamma(planned, points, chosen))
        except (MissingFactError, UnderdeterminedError) as error:
            left_out[planned.sweep] = str(error)
            continue
        taken[planned.sweep] = planned, points
    priors = {study: prior_for(study, gammas) for study in {gamma.study for gamma in gammas}}
    cells = [
        cell
        for planned, points in taken.values()
        for cell in _cells(planned, points, chosen, _as_prior(priors[planned.study]))
    ]
    without = {cell.sweep for cell in cells}
    left_out |= {
        sweep: f"fewer than {LEAST_SEEN} points lie below a cut, or {LEAST_HIDDEN} above it"
        for sweep in taken
        if sweep not in without
    }
    return Backtest(
        settings=chosen.only(*ApproachesSettings.model_fields),
        draws=draws,
        default="mixture",
        candidates=pooled(cells),
        choices=choices(cells),
        gammas=gammas,
        priors=[priors[study] for study in sorted(priors)],
        cells=cells,
        left_out=left_out,
    )


def points_of(planned: Planned, losses: pl.DataFrame) -> pl.DataFrame:
    """Take the points that take part, each as the end of a run, sorted by run and tokens.

    Raises
    ------
    UnderdeterminedError : the sweep takes no part, or has no point that does.
    """
    part = planned.part
    if part.left_out is not None:
        raise UnderdeterminedError(part.left_out)
    table = losses if part.checks else losses.filter(pl.col("role") == "fit")
    if part.points == "final":
        table = table.filter("is_final")
    if part.loss_below is not None:
        table = table.filter(pl.col("loss") < part.loss_below)
    table = table.sort("loss", "run", "tokens")
    table = table.head(table.height - part.drop_highest)
    if table.is_empty():
        raise UnderdeterminedError("no point takes part")
    role = pl.lit("fit", dtype=table["role"].dtype).alias("role")
    return table.with_columns(role, pl.lit(True).alias("is_final")).sort("run", "tokens")  # noqa: FBT003


def prior_for(study: str, gammas: Sequence[Gamma]) -> Prior:
    """Learn a normal prior of log gamma from the other studies, each counting once.

    With fewer than two others it is the audit's.
    """
    others: dict[str, list[float]] = {}
    for gamma in gammas:
        if gamma.study != study:
            others.setdefault(gamma.study, []).append(float(np.log(gamma.gamma)))
    if len(others) < 2:
        from isoflop.approaches.forecasts.forecasters import AUDITED

        return Prior(study=study, median=AUDITED.median, sd=AUDITED.sd)
    means = [float(np.mean(gammas_of_study)) for gammas_of_study in others.values()]
    sd = max(float(np.std(means, ddof=1)), 0.05)
    return Prior(study=study, median=float(np.exp(np.mean(means))), sd=sd)


def _as_prior(prior: Prior) -> GammaPrior:
    return GammaPrior(median=prior.median, sd=prior.sd)


def _gamma(planned: Planned, points: pl.DataFrame, settings: ApproachesSettings) -> Gamma:
    """Fit the nested law to all of a sweep."""
    observations = observe(points, COUNTING)
    fitted = fit(observations, "nested", settings, threads=1)
    parameters = dict(zip(fitted.names, fitted.parameters.tolist(), strict=True))
    return Gamma(
        sweep=planned.sweep,
        study=planned.study,
        gamma=parameters["gamma"],
        E=parameters["E"],
        points=len(observations.loss),
    )


def _split(points: pl.DataFrame, share: float) -> tuple[pl.DataFrame, pl.DataFrame, float]:
    """Part points at a share of the range of log C."""
    log_c = points["flops_6nd"].log()
    low, high = float(log_c.min()), float(log_c.max())  # type: ignore[arg-type]
    cut = low + share * (high - low)
    seen = (log_c <= cut).alias("seen")
    return points.filter(seen), points.filter(~seen), float(np.exp(cut))


def cuts(points: pl.DataFrame) -> dict[Hidden, tuple[pl.DataFrame, pl.DataFrame, float]]:
    """Part points at every cut that leaves enough on both sides: seen, hidden, C [FLOP].

    Two cuts within one gap between budgets hide the same points, and count once.
    """
    parted: dict[Hidden, tuple[pl.DataFrame, pl.DataFrame, float]] = {}
    for hidden, share in CUTS.items():
        below, above, cut = _split(points, share)
        enough = below.height >= LEAST_SEEN and above.height >= LEAST_HIDDEN
        if enough and below.height not in {seen.height for seen, _, _ in parted.values()}:
            parted[hidden] = below, above, cut
    return parted


def _cells(
    planned: Planned, points: pl.DataFrame, settings: ApproachesSettings, prior: GammaPrior
) -> Iterator[Cell]:
    for hidden, (below, above, cut) in cuts(points).items():
        seen = Seen(observe(below, COUNTING), observe(above, COUNTING), settings, prior)
        log_loss = np.log(seen.targets.loss)
        predictives, rejected, refused = _alone(seen)
        inner = list(_inner(below, settings, prior))
        scores = {key: score(predictive, log_loss) for key, predictive in predictives.items()}
        for key, mixed in MIXTURES.items():
            laws = [law for law in mixed.laws if law in predictives]
            if not laws:
                refused[key] = "none of its laws gave a forecast"
                continue
            weights = dict(
                zip(laws, weights_for(mixed, laws, inner, rejected).tolist(), strict=True)
            )
            together = mixture_predictive(predictives, weights, settings)
            scores[key] = score(together, log_loss, weights)
        yield Cell(
            sweep=planned.sweep,
            study=planned.study,
            hidden=hidden,
            flops=cut,
            seen=below.height,
            predicted=above.height,
            scores=scores,
            refused=refused,
        )


def _alone(
    seen: Seen,
) -> tuple[dict[str, Predictive], dict[str, float | None], dict[str, str]]:
    """Let every law and peer forecast alone; and give the p-values of the laws' misfit."""
    predictives: dict[str, Predictive] = {}
    misfit: dict[str, float | None] = {}
    refused: dict[str, str] = {}
    for key in (*SINGLE, SCIPY):
        try:
            if key == SCIPY:
                predictives[key] = scipy_predictive(seen)
            else:
                predictives[key], misfit[key] = law_predictive(key, seen)
        except UnderdeterminedError as error:
            refused[key] = str(error)
    return predictives, misfit, refused


def _inner(
    below: pl.DataFrame, settings: ApproachesSettings, prior: GammaPrior
) -> Iterator[dict[str, tuple[Floats, float]]]:
    """Score the mixed laws above cuts within what was seen: log densities, mean square error."""
    few = settings.model_copy(
        update={"bootstrap": settings.bootstrap.model_copy(update={"draws": 100})}
    )
    for share in INNER:
        lower, upper, _ = _split(below, share)
        if lower.height < LEAST_INNER or upper.height < 2:
            continue
        seen = Seen(observe(lower, COUNTING), observe(upper, COUNTING), few, prior)
        scored: dict[str, tuple[Floats, float]] = {}
        for law in FOUR:
            try:
                predictive, _ = law_predictive(law, seen)
            except UnderdeterminedError:
                continue
            density = predictive.log_density(seen.targets.loss)
            if density is not None:
                error = np.log(predictive.value) - np.log(seen.targets.loss)
                scored[law] = density, float(np.mean(error**2))
        yield scored


def score(
    predictive: Predictive, log_loss: Floats, weights: Mapping[str, float] | None = None
) -> CellScore:
    """Score predictions of losses by their logs."""
    error = np.log(predictive.value) - log_loss
    ends = prediction_intervals(np.log(predictive.draws))
    named = dict(zip(map(str, LEVELS), ends, strict=True))
    return CellScore(
        bias=float(error.mean()),
        rms=float(np.sqrt(np.mean(error**2))),
        inside={
            level: float(np.mean((low <= log_loss) & (log_loss <= high)))
            for level, (low, high) in named.items()
        },
        width={level: float(np.mean(high - low)) for level, (low, high) in named.items()},
        interval_score={
            level: float(interval_score(low, high, log_loss, float(level)).mean())
            for level, (low, high) in named.items()
        },
        weights=dict(weights or {}),
    )


def pooled(cells: Sequence[Cell]) -> list[Candidate]:
    """Pool every candidate over the cells, in the order of ``LABELS``.

    Ratios are to Chinchilla's law in the same cell, so a candidate that gave up in some cells is
    compared where it did not; one that gave up in all is left out.
    """
    candidates = []
    for key, (kind, label) in LABELS.items():
        compared = [cell for cell in cells if key in cell.scores and CHINCHILLA in cell.scores]
        if not compared:
            continue
        scores = [cell.scores[key] for cell in compared]
        rms = _log_ratios(compared, key, lambda score: score.rms)
        interval = _log_ratios(compared, key, lambda score: score.interval_score["0.8"])
        studies = [cell.study for cell in compared]
        candidates.append(
            Candidate(
                key=key,
                label=label,
                kind=kind,
                cells=len(compared),
                rms_ratio=float(np.exp(np.mean(rms))),
                rms_ratio_by_study=float(np.exp(_by_study(rms, studies))),
                interval_score_ratio=float(np.exp(np.mean(interval))),
                interval_score_ratio_by_study=float(np.exp(_by_study(interval, studies))),
                rms=float(np.mean([score.rms for score in scores])),
                interval_score=float(np.mean([score.interval_score["0.8"] for score in scores])),
                bias=float(np.mean([score.bias for score in scores])),
                inside=_means(scores, "inside"),
                inside_by_study={
                    level: _by_study([score.inside[level] for score in scores], studies)
                    for level in scores[0].inside
                },
                width=_means(scores, "width"),
            )
        )
    return candidates


def choices(cells: Sequence[Cell]) -> list[Choice]:
    """Let the other studies choose the mixture for each study: what choosing by the score is worth.

    The candidates are the mixtures with equal weights that were scored. This is the honest figure
    of a default that was chosen by looking at these scores.
    """
    studies = list(dict.fromkeys(cell.study for cell in cells))
    if len(studies) < 2:
        return []
    equal = [key for key, mixed in MIXTURES.items() if mixed.weights == "equal"]
    chosen = []
    for study in studies:
        of_study = [cell for cell in cells if cell.study == study]
        others = [cell for cell in cells if cell.study != study]
        best = min(
            equal,
            key=lambda key: _by_study(
                _log_ratios(others, key, lambda score: score.interval_score["0.8"]),
                [cell.study for cell in others],
            ),
        )
        scores = [cell.scores[best] for cell in of_study]
        chosen.append(
            Choice(
                study=study,
                laws=list(MIXTURES[best].laws),
                rms_ratio=float(
                    np.exp(np.mean(_log_ratios(of_study, best, lambda score: score.rms)))
                ),
                interval_score_ratio=float(
                    np.exp(
                        np.mean(
                            _log_ratios(of_study, best, lambda score: score.interval_score["0.8"])
                        )
                    )
                ),
                interval_score=float(np.mean([score.interval_score["0.8"] for score in scores])),
                inside=_means(scores, "inside"),
            )
        )
    return chosen


def _log_ratios(cells: Sequence[Cell], key: str, of: Any) -> list[float]:
    return [float(np.log(of(cell.scores[key]) / of(cell.scores[CHINCHILLA]))) for cell in cells]


def _by_study(values: Sequence[float], studies: Sequence[str]) -> float:
    """Average over studies of the mean within each."""
    by_study: dict[str, list[float]] = {}
    for value, study in zip(values, studies, strict=True):
        by_study.setdefault(study, []).append(value)
    return float(np.mean([np.mean(values) for values in by_study.values()]))


def _means(scores: Sequence[CellScore], name: Literal["inside", "width"]) -> dict[str, float]:
    return {
        level: float(np.mean([getattr(score, name)[level] for score in scores]))
        for level in getattr(scores[0], name)
    }
