"""Hide the upper part of published sweeps, forecast it in every way there is, and compare."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
import polars as pl

from isoflop.approaches.estimators.profiles import fit_profiles
from isoflop.approaches.estimators.registry import fit
from isoflop.approaches.forecasts.forecasters import (
    AT_MINIMA,
    AUDITED,
    BESIDE,
    CHINCHILLA,
    FOUR,
    LABELS,
    LEAST_INNER,
    LINE,
    MIXTURES,
    SCIPY,
    SINGLE,
    Minima,
    Predicted,
    Seen,
    law_predictive,
    mixture_predictive,
    predict,
    scipy_predictive,
    weights_for,
)
from isoflop.approaches.forecasts.predictions import ValleyNoise
from isoflop.approaches.forecasts.scores import prediction_intervals
from isoflop.approaches.observations import observe
from isoflop.approaches.uncertainty.resampling import resample
from isoflop.config.approaches import ApproachesSettings, CountingSettings, ExponentPrior
from isoflop.errors import MissingFactError, UnderdeterminedError
from isoflop.estimates.backtest import (
    Backtest,
    Candidate,
    Cell,
    CellScore,
    Choice,
    Exponent,
    Exponents,
    Gamma,
    Prior,
)
from isoflop.estimates.intervals import LEVELS, interval_score

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from isoflop.approaches.forecasts.predictions import Predictive
    from isoflop.approaches.protocol import Fit
    from isoflop.estimates.backtest import Planned

    Floats = NDArray[np.float64]
    PriorsByLaw = Mapping[str, dict[str, ExponentPrior]]
    Hidden = Literal["upper half", "upper third"]

CUTS: Final[dict[Hidden, float]] = {"upper half": 1 / 2, "upper third": 2 / 3}
"""Share of the range of log C that is seen."""
INNER: Final = (1 / 2, 2 / 3)
"""The same within what is seen, for weights that must be earned."""
COUNTING: Final = CountingSettings(params="total", flops="6nd")
"""How all studies are counted."""
EXPONENTS: Final[dict[str, dict[Exponent, tuple[str, ...]]]] = {
    "parametric": {"alpha": ("alpha",), "beta": ("beta",)},
    "nested": {"alpha": ("alpha", "gamma"), "beta": ("beta", "gamma"), "gamma": ("gamma",)},
    "root": {"alpha": ("alpha",), "beta": ("beta",)},
    "kaplan_law": {"alpha": ("alpha_N",), "beta": ("alpha_D",)},
    "product": {"alpha": ("alpha",), "beta": ("beta",)},
}
"""The exponents of each law that have priors, and the parameters whose product each is; of the
root law half of it."""
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
    exponents: list[Exponents] = []
    for planned, losses in sweeps:
        try:
            points = points_of(planned, losses)
            nested = fit(observe(points, COUNTING), "nested", chosen, threads=1)
            gammas.append(_gamma(planned, nested, chosen))
            exponents += _exponents(planned, nested, chosen)
        except (MissingFactError, UnderdeterminedError) as error:
            left_out[planned.sweep] = str(error)
            continue
        taken[planned.sweep] = planned, points
    priors = {
        study: [
            prior
            for law, free in EXPONENTS.items()
            for exponent in free
            if (prior := prior_for(study, exponents, law, exponent)) is not None
        ]
        for study in {gamma.study for gamma in gammas}
    }
    cells = [
        cell
        for planned, points in taken.values()
        for cell in _cells(planned, points, chosen, _as_priors(priors[planned.study]))
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
        at_minima=pooled(cells, "minima"),
        choices=choices(cells),
        gammas=gammas,
        exponents=exponents,
        priors=[prior for study in sorted(priors) for prior in priors[study]],
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


def prior_for(
    study: str, exponents: Sequence[Exponents], law: str, exponent: Exponent
) -> Prior | None:
    """Learn a normal prior of the log of an exponent from the other studies, each counting once.

    With fewer than two others it is the audit's for gamma, and there is none of the others.
    """
    others: dict[str, list[float]] = {}
    for fitted in exponents:
        if fitted.study != study and fitted.law == law:
            others.setdefault(fitted.study, []).append(float(np.log(fitted.values[exponent])))
    if len(others) < 2:
        if exponent != "gamma":
            return None
        known = AUDITED
        return Prior(study=study, law=law, exponent=exponent, median=known.median, sd=known.sd)
    means = [float(np.mean(of_study)) for of_study in others.values()]
    sd = max(float(np.std(means, ddof=1)), 0.05)
    median = float(np.exp(np.mean(means)))
    return Prior(study=study, law=law, exponent=exponent, median=median, sd=sd)


def _as_priors(priors: Sequence[Prior]) -> PriorsByLaw:
    by_law: dict[str, dict[str, ExponentPrior]] = {law: {} for law in EXPONENTS}
    for prior in priors:
        by_law[prior.law][prior.exponent] = ExponentPrior(median=prior.median, sd=prior.sd)
    return by_law


def _gamma(planned: Planned, fitted: Fit, settings: ApproachesSettings) -> Gamma:
    """Tell what the nested law, fitted to all of a sweep, says of gamma and E."""
    parameters = dict(zip(fitted.names, fitted.parameters.tolist(), strict=True))
    refits = fitted.refit(resample(fitted, settings.bootstrap, shared=False))
    kept = refits.parameters[refits.refusals == ""]
    columns = [fitted.names.index(name) for name in ("E", "gamma")]
    return Gamma(
        sweep=planned.sweep,
        study=planned.study,
        gamma=parameters["gamma"],
        E=parameters["E"],
        points=len(fitted.observations.loss),
        draws=[(floor, gamma) for floor, gamma in kept[:, columns].tolist()],
    )


def _exponents(planned: Planned, nested: Fit, settings: ApproachesSettings) -> Iterator[Exponents]:
    """Fit every other law to all of a sweep, those left out that its points do not allow."""
    for law, free in EXPONENTS.items():
        try:
            others = law != nested.approach
            fitted = fit(nested.observations, law, settings, threads=1) if others else nested
        except UnderdeterminedError:
            continue
        parameters = dict(zip(fitted.names, fitted.parameters.tolist(), strict=True))
        power = 0.5 if law == "root" else 1.0
        values = {
            exponent: power * float(np.prod([parameters[name] for name in names]))
            for exponent, names in free.items()
        }
        # an exponent that vanished has no logarithm, and teaches nothing of the others
        if min(values.values()) > 0.0:
            yield Exponents(sweep=planned.sweep, study=planned.study, law=law, values=values)


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
    planned: Planned,
    points: pl.DataFrame,
    settings: ApproachesSettings,
    priors: PriorsByLaw,
) -> Iterator[Cell]:
    for hidden, (below, above, cut) in cuts(points).items():
        minima = _minima(points, below, settings, cut)
        seen = Seen(observe(below, COUNTING), observe(above, COUNTING), settings, priors, minima)
        log_loss = np.log(seen.targets.loss)
        predicted, refused = _alone(seen)
        predictives = {key: of.losses for key, of in predicted.items() if of.losses is not None}
        rejected = {key: of.misfit for key, of in predicted.items()}
        inner = list(_inner(below, settings, priors))
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
            minima={} if minima is None else _at_minima(minima, predicted, rejected, settings),
            n_minima=0 if minima is None else len(minima.flops),
            refused=refused,
        )


def _minima(
    points: pl.DataFrame, below: pl.DataFrame, settings: ApproachesSettings, cut: float
) -> Minima | None:
    """Measure the minima of the budgets above a cut, with the noise of those below it."""
    try:
        measured = fit_profiles(observe(points, COUNTING), settings.profiles)
        lower = fit_profiles(observe(below, COUNTING), settings.profiles)
    except UnderdeterminedError:
        return None
    minima = [
        (profile.budget, profile.minimum.loss)
        for profile in measured.profiles
        if profile.minimum is not None and min(profile.flops) > cut
    ]
    noise = ValleyNoise.of(lower, resample(lower, settings.bootstrap, shared=False))
    if not minima or len(noise.log_loss) == 0:
        return None
    flops, loss = np.array(minima).T
    return Minima(flops, np.log(loss), noise)


def _at_minima(
    minima: Minima,
    predicted: Mapping[str, Predicted],
    rejected: Mapping[str, float | None],
    settings: ApproachesSettings,
) -> dict[str, CellScore]:
    """Score who says the loss at the minima of hidden budgets, and two mixtures of them."""
    predictives = {
        key: of
        for key in AT_MINIMA
        if key in predicted and (of := predicted[key].minima) is not None
    }
    scores = {key: score(of, minima.log_loss) for key, of in predictives.items()}
    laws = [key for key in predictives if key != LINE]
    if not laws:
        return scores
    recommended = MIXTURES["mixture"]
    weights = dict(zip(laws, weights_for(recommended, laws, [], rejected).tolist(), strict=True))
    scores["mixture"] = score(
        mixture_predictive(predictives, weights, settings), minima.log_loss, weights
    )
    if LINE in predictives:
        taking = [law for law, weight in weights.items() if weight > 0.0]
        beside = dict.fromkeys([*taking, LINE], 1.0 / (len(taking) + 1))
        scores[BESIDE] = score(
            mixture_predictive(predictives, beside, settings), minima.log_loss, beside
        )
    return scores


def _alone(seen: Seen) -> tuple[dict[str, Predicted], dict[str, str]]:
    """Let every law, line and peer forecast alone, or say why it does not."""
    predicted: dict[str, Predicted] = {}
    refused: dict[str, str] = {}
    line = () if seen.minima is None else (LINE,)
    for key in (*SINGLE, *line, SCIPY):
        try:
            predicted[key] = (
                Predicted(scipy_predictive(seen)) if key == SCIPY else predict(key, seen)
            )
        except UnderdeterminedError as error:
            refused[key] = str(error)
    return predicted, refused


def _inner(
    below: pl.DataFrame,
    settings: ApproachesSettings,
    priors: PriorsByLaw,
) -> Iterator[dict[str, tuple[Floats, float]]]:
    """Score the mixed laws above cuts within what was seen: log densities, mean square error."""
    few = settings.model_copy(
        update={"bootstrap": settings.bootstrap.model_copy(update={"draws": 100})}
    )
    for share in INNER:
        lower, upper, _ = _split(below, share)
        if lower.height < LEAST_INNER or upper.height < 2:
            continue
        seen = Seen(observe(lower, COUNTING), observe(upper, COUNTING), few, priors)
        scored: dict[str, tuple[Floats, float]] = {}
        for law in FOUR:
            try:
                predictive = law_predictive(law, seen)
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


def pooled(cells: Sequence[Cell], what: Literal["scores", "minima"] = "scores") -> list[Candidate]:
    """Pool every candidate over the cells, in the order of ``LABELS``.

    Ratios are to Chinchilla's law in the same cell, so a candidate that gave up in some cells is
    compared where it did not; one that gave up in all is left out.

    Parameters
    ----------
    cells : the forecasts.
    what : scores of every hidden point, or of the minima of hidden budgets.
    """
    candidates = []
    for key, (kind, label) in LABELS.items():
        compared = [
            cell
            for cell in cells
            if key in getattr(cell, what) and CHINCHILLA in getattr(cell, what)
        ]
        if not compared:
            continue
        scores = [getattr(cell, what)[key] for cell in compared]
        rms = _log_ratios(compared, key, lambda score: score.rms, what)
        interval = _log_ratios(compared, key, lambda score: score.interval_score["0.8"], what)
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


def _log_ratios(
    cells: Sequence[Cell], key: str, of: Any, what: Literal["scores", "minima"] = "scores"
) -> list[float]:
    scores = [getattr(cell, what) for cell in cells]
    return [float(np.log(of(by_key[key]) / of(by_key[CHINCHILLA]))) for by_key in scores]


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
