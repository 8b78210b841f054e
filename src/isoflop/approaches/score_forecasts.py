"""Fit every approach below a cut in compute, predict what lies above it, and compare."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np
import polars as pl

from isoflop.approach import FITTED, LAWS
from isoflop.approaches.estimators.budgets import budget_groups
from isoflop.approaches.estimators.profiles import fit_profiles
from isoflop.approaches.estimators.registry import fit
from isoflop.approaches.forecasts.predictions import (
    Predictive,
    ValleyNoise,
    predict_losses,
    predict_optima,
)
from isoflop.approaches.forecasts.scores import prediction_intervals, summarise
from isoflop.approaches.forecasts.weights import mixed_predictive, weights_of
from isoflop.approaches.observations import observe, seed_noise
from isoflop.approaches.uncertainty.resampling import resample
from isoflop.cells import repeats_of
from isoflop.config.approaches import LEAST_BUDGETS
from isoflop.errors import MissingFactError, UnderdeterminedError
from isoflop.estimates.estimate import Counting
from isoflop.estimates.forecasts import (
    Cut,
    Forecast,
    Forecasts,
    MixtureForecast,
    NoForecasts,
    Prediction,
    Score,
)
from isoflop.estimates.intervals import LEVELS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from isoflop.approach import Approach
    from isoflop.approaches.observations import Observations
    from isoflop.approaches.protocol import Fit
    from isoflop.config.approaches import ApproachesSettings, CountingSettings
    from isoflop.estimates.estimate import Provenance

    Floats = NDArray[np.float64]
    Ints = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Task:
    """One cut: what is fitted below it, and what is to be predicted above it.

    Attributes
    ----------
    below : table ``Losses``, whole curves of the runs that end at or below the cut.
    above : table ``Losses``, last points of the runs that end above it, check runs included.
    cut : largest final C of the highest budget below [FLOP].
    budgets_below, budgets_above : budgets of the sweep [FLOP].
    valleys : measured minima above the cut: run (null), role, flops, params, tokens, loss.
    settings : section ``approaches``, as it is used below the cut.
    noise : sd of one run's loss [nat/token]; None where it is unknown.
    threads : blocks refitted at a time.
    """

    below: pl.DataFrame
    above: pl.DataFrame
    cut: float
    budgets_below: list[float]
    budgets_above: list[float]
    valleys: pl.DataFrame
    settings: ApproachesSettings
    noise: float | None
    threads: int | None

    @cached_property
    def valley_noise(self) -> ValleyNoise:
        """The noise of a measured minimum, from the profiles below the cut."""
        below = observe(self.below, self.settings.counting)
        profiles = fit_profiles(below, self.settings.profiles)
        noise = ValleyNoise.of(profiles, resample(profiles, self.settings.bootstrap, shared=False))
        if len(noise.log_params) == 0:
            raise UnderdeterminedError(
                f"no resample of the runs up to {self.cut:.3g} FLOPs has a minimum. Add runs there."
            )
        return noise


def score_forecasts(
    losses: pl.DataFrame,
    settings: ApproachesSettings,
    *,
    sweep: str,
    provenance: Provenance,
    approaches: Sequence[Approach] = FITTED,
    threads: int | None = None,
) -> Forecasts | NoForecasts:
    """Score how well each approach predicts the upper part of a sweep from its lower part.

    For every cut between two budgets with at least ``forecast.min_budgets`` below it, each approach
    is fitted, with its own settings, to the runs whose final C lies at or below the cut, those of
    no budget included; nothing of a longer run's curve is seen. ``kaplan`` and the laws of the
    set predict the final loss of every N and D above the cut, and so does the mixture of the set;
    ``envelope``, ``profiles`` and the laws predict N at the minimum of each higher budget's
    profile, and the first two also the loss there, as far as they predict one. Intervals cover the
    law's uncertainty (resampled runs) and the noise of a measurement; see ``predictions``.

    Parameters
    ----------
    losses : table ``Losses``. Its check runs are predicted where they lie above a cut.
    settings : section ``approaches`` of config.yaml.
    sweep : name of the sweep.
    provenance : what the losses were read from.
    approaches : whose forecasts; the mixture is of the laws among them.
    threads : blocks refitted at a time; no byte of the result depends on it.

    Returns
    -------
    The forecasts, or why the sweep cannot be split.
    """
    chosen = settings.only("counting", "bootstrap", "forecast", "mixture", *FITTED)
    try:
        observations = observe(losses, settings.counting)
        tops = _tops(observations, settings)
    except (MissingFactError, UnderdeterminedError) as error:
        return NoForecasts(sweep=sweep, settings=chosen, refused=str(error), provenance=provenance)
    noise = seed_noise(observations)
    return Forecasts(
        sweep=sweep,
        settings=chosen,
        counting=Counting(params=settings.counting.params, flops=settings.counting.flops),
        budgets=list(tops),
        noise=noise,
        cuts=_cuts(
            _tasks(losses, tops, settings, noise=noise.sd if noise else None, threads=threads),
            approaches,
        ),
        provenance=provenance,
    )


def _tops(observations: Observations, settings: ApproachesSettings) -> dict[float, float]:
    """Give the largest final C of each budget's runs, by increasing budget."""
    groups, _ = budget_groups(observations, settings.profiles)
    needed = settings.forecast.min_budgets + 1
    if len(groups) < needed:
        listed = ", ".join(f"{group.budget:.3g}" for group in groups) or "none"
        below = len(groups) - 1
        lower = (
            f", or lower approaches.forecast.min_budgets to {below}"
            if below >= LEAST_BUDGETS
            else ""
        )
        raise UnderdeterminedError(
            f"a forecast needs {needed} compute budgets, {needed - 1} to fit and one above them to "
            f"predict; sweep {observations.sweep} has {len(groups)} ({listed}). Add runs of "
            f"several sizes at {needed - len(groups)} more, best above "
            f"{observations.flops_range[1]:.2g} FLOPs{lower}."
        )
    final = observations.at(observations.is_final)
    end = dict(zip(final.run.tolist(), final.flops.tolist(), strict=True))
    return {group.budget: max(end[int(run)] for run in group.run) for group in groups}


def _tasks(
    losses: pl.DataFrame,
    tops: dict[float, float],
    settings: ApproachesSettings,
    *,
    noise: float | None,
    threads: int | None,
) -> Iterator[Task]:
    """Part runs and budgets at every cut, runs by their final C."""
    flops = pl.col(f"flops_{settings.counting.flops}")
    finals = losses.filter("is_final").sort("run")
    valleys, budgets = _valleys(losses, settings), list(tops)
    for i in range(settings.forecast.min_budgets, len(budgets)):
        cut = tops[budgets[i - 1]]
        low = finals.filter(pl.col("role") == "fit", flops <= cut)["run"]
        yield Task(
            below=losses.filter(pl.col("run").is_in(low.implode())),
            above=finals.filter(flops > cut),
            cut=cut,
            budgets_below=budgets[:i],
            budgets_above=budgets[i:],
            valleys=valleys.filter(pl.col("flops").is_in(budgets[i:])),
            settings=_below(settings),
            noise=noise,
            threads=threads,
        )


def _below(settings: ApproachesSettings) -> ApproachesSettings:
    """Give the settings used below a cut: the approaches' own, with the forecast's draws."""
    forecast = settings.forecast
    return settings.model_copy(
        update={
            "bootstrap": settings.bootstrap.model_copy(update={"draws": forecast.draws}),
            "parametric": settings.parametric.model_copy(update={"starts": forecast.starts}),
        }
    )


def _valleys(losses: pl.DataFrame, settings: ApproachesSettings) -> pl.DataFrame:
    """Measure the minimum of every budget's profile; none where the profiles are refused."""
    schema = {"run": pl.String, "role": pl.String} | dict.fromkeys(
        ("flops", "params", "tokens", "loss"), pl.Float64
    )
    try:
        profiles = fit_profiles(observe(losses, settings.counting), settings.profiles)
    except UnderdeterminedError:
        return pl.DataFrame(schema=schema)
    minima = [
        {"role": "fit", "flops": profile.budget, **dict(profile.minimum)}
        for profile in profiles.profiles
        if profile.minimum is not None
    ]
    return pl.DataFrame(minima, schema=schema)


def _cuts(tasks: Iterator[Task], approaches: Sequence[Approach]) -> list[Cut]:
    """Let every approach, and the mixture of the laws, predict what lies above each cut."""
    cuts: list[Cut] = []
    for task in tasks:
        forecasts = {approach: _forecast(approach, task) for approach in approaches}
        predictives = {
            approach: predictive
            for approach, (_, predictive, _) in forecasts.items()
            if approach in LAWS and predictive is not None
        }
        misfits = {approach: misfit for approach, (_, _, misfit) in forecasts.items()}
        cuts.append(
            Cut(
                flops=task.cut,
                budgets_below=task.budgets_below,
                budgets_above=task.budgets_above,
                n_runs_below=task.below["run"].n_unique(),
                n_runs_above=task.above.height,
                forecasts=[forecast for forecast, _, _ in forecasts.values()],
                mixture=_mixture(predictives, misfits, task, cuts),
            )
        )
    return cuts


def _mixture(
    predictives: Mapping[Approach, Predictive],
    misfits: Mapping[Approach, float | None],
    task: Task,
    lower: Sequence[Cut],
) -> MixtureForecast | None:
    """Mix the laws' predictions of runs by weights that the runs below the cut allow.

    Parameters
    ----------
    predictives : of the laws that predicted the losses of runs above the cut.
    misfits : p-value of the test of each law's form on the runs below the cut.
    task : the cut.
    lower : the cuts below it, scored.
    """
    kept = [law for law in task.settings.mixture.laws if law in predictives]
    if not kept:
        return None
    weighting, weights = weights_of(kept, lower, misfits, task.settings.mixture)
    measured, reach = _measured_runs(task, task.settings.counting)
    taking = np.flatnonzero(weights)
    mixed = mixed_predictive(
        [predictives[kept[place]] for place in taking],
        weights[taking],
        draws=task.settings.bootstrap.draws,
        seed=task.settings.bootstrap.seed,
    )
    try:
        scored = _score("loss", mixed, measured, task, reach=reach)
    except UnderdeterminedError:
        # a law of it predicts no loss in any draw; its own forecast says so
        return None
    return MixtureForecast(
        weights=dict(zip(kept, weights.tolist(), strict=True)),
        weighting=weighting,
        draws=len(mixed.draws),
        score=scored,
    )


def _forecast(approach: Approach, task: Task) -> tuple[Forecast, Predictive | None, float | None]:
    """Let one approach predict what it can, or say why it cannot.

    Returns
    -------
    Its forecast; how it predicts runs; and the p-value of the test of its form on the runs below.
    """
    try:
        # observed here: a fit to a table is made under other countings too
        below = observe(task.below, task.settings.counting_of(approach))
        fitted = fit(below, approach, task.settings, threads=task.threads)
        parameters, kept = _refits(fitted, task)
        scores, predictive = _scores(fitted, parameters, kept, task)
    except (MissingFactError, UnderdeterminedError) as error:
        refused = Forecast(
            approach=approach, refused=str(error), draws=0, draws_refused=0, scores=[]
        )
        return refused, None, None
    forecast = Forecast(
        approach=approach,
        refused=None,
        draws=len(kept),
        draws_refused=task.settings.bootstrap.draws - len(kept),
        scores=scores,
    )
    return forecast, predictive, fitted.misfit_p_value


def _refits(fitted: Fit, task: Task) -> tuple[Floats, Ints]:
    """Refit resamples of the runs below the cut; give those not refused, and their numbers."""
    refits = fitted.refit(resample(fitted, task.settings.bootstrap, shared=False))
    kept = np.flatnonzero(refits.refusals == "")
    if len(kept) < 2:
        raise UnderdeterminedError(
            f"approach '{fitted.approach}' could be fitted to {len(kept)} of "
            f"{len(refits.refusals)} resamples of the runs up to {task.cut:.3g} FLOPs. Add runs "
            "there."
        )
    return refits.parameters[kept], kept


def _scores(
    fitted: Fit, parameters: Floats, kept: Ints, task: Task
) -> tuple[list[Score], Predictive | None]:
    """Score the losses of runs, and the optima of budgets, where the approach predicts them."""
    scores, predictive = [], None
    if _predicts_runs(fitted):
        measured, reach = _measured_runs(task, fitted.counting)
        predictive = _predict_runs(fitted, parameters, kept, task)
        scores.append(_score("loss", predictive, measured, task, reach=reach))
    # measured minima are counted by one convention
    if fitted.counting != task.settings.counting:
        return scores, predictive
    try:
        return scores + _optimum_scores(fitted, parameters, kept, task), predictive
    except UnderdeterminedError:
        # for want of a minimum to compare with; the entry of the profiles says which
        if scores:
            return scores, predictive
        raise


def _predicts_runs(fitted: Fit) -> bool:
    """Tell a law of L(N, D) from one of the optimum alone."""
    centre = np.zeros(1)
    return fitted.law.log_loss(fitted.parameters[None], centre, centre) is not None


def _targets(task: Task, counting: CountingSettings) -> Observations:
    """Give the last points of the runs above the cut, check runs included."""
    as_fitted = pl.lit("fit", dtype=task.above["role"].dtype).alias("role")
    return observe(task.above.with_columns(as_fitted), counting)


def _predict_runs(fitted: Fit, parameters: Floats, kept: Ints, task: Task) -> Predictive:
    """Predict the mean final loss of repeats above the cut: seeds are one measurement."""
    seed = task.settings.bootstrap.seed
    targets = _targets(task, fitted.counting)
    predictive = predict_losses(fitted, parameters, kept, targets, seed=seed)
    return predictive.over(repeats_of(targets.params, targets.tokens, targets.settings))


def _measured_runs(task: Task, counting: CountingSettings) -> tuple[pl.DataFrame, float]:
    """Give what was measured above the cut, and the largest C of a run below it.

    Runs that differ in their seed alone are one row: their mean loss, the name of the first.
    """
    roles = dict(task.above.select("run", "role").iter_rows())
    targets = _targets(task, counting)
    runs = pl.DataFrame(
        {
            "cell": repeats_of(targets.params, targets.tokens, targets.settings),
            "run": targets.runs,
            "role": [roles[run] for run in targets.runs],
            "flops": targets.flops,
            "params": targets.params,
            "tokens": targets.tokens,
            "loss": targets.loss,
        }
    )
    alike = pl.col("run", "role", "flops", "params", "tokens").first()
    measured = runs.group_by("cell").agg(alike, pl.col("loss").mean(), runs=pl.len()).sort("cell")
    below = observe(task.below, counting)
    return measured, float(below.flops[below.is_final].max())


def _optimum_scores(fitted: Fit, parameters: Floats, kept: Ints, task: Task) -> list[Score]:
    """Score N, and the loss where it is predicted, at the minima of the budgets above the cut."""
    if task.valleys.is_empty():
        raise UnderdeterminedError(
            f"no budget above {task.cut:.3g} FLOPs has a measured minimum to compare with: its "
            "profile has too few sizes, or its lowest loss at an edge. Add sizes there."
        )
    flops = task.valleys["flops"].to_numpy()
    seed = task.settings.bootstrap.seed
    params, loss = predict_optima(fitted, parameters, kept, flops, task.valley_noise, seed=seed)
    scores = [_score("params_opt", params, task.valleys, task, reach=task.cut)]
    near = np.isfinite(loss.value)
    # a law of runs is scored on the runs themselves
    if near.any() and not _predicts_runs(fitted):
        within = Predictive(loss.value[near], loss.draws[:, near], loss.numbers)
        scores.append(_score("loss_opt", within, task.valleys.filter(near), task, reach=task.cut))
    return scores


def _score(
    quantity: Literal["loss", "params_opt", "loss_opt"],
    predictive: Predictive,
    measured: pl.DataFrame,
    task: Task,
    *,
    reach: float,
) -> Score:
    """Compare predictions with measurements, sizes by their logarithms.

    Parameters
    ----------
    quantity, predictive : what is predicted; log N for ``params_opt``.
    measured : one row per prediction: run, role, flops, params, tokens, loss.
    task : the cut.
    reach : largest C that was fitted, counted as ``measured`` is [FLOP].
    """
    logs = quantity == "params_opt"
    truth = measured["params"].log() if logs else measured["loss"]
    # an exponent at zero has no optimum
    finite = np.asarray(np.isfinite(predictive.draws).all(axis=1))
    if finite.sum() < 2 or not np.isfinite(predictive.value).all():
        raise UnderdeterminedError(
            f"the law fitted up to {task.cut:.3g} FLOPs predicts no {quantity} above: an exponent "
            "vanished. Add runs below."
        )
    drawn = predictive.at(finite)
    noise = None if logs else task.noise
    ends = prediction_intervals(drawn.draws)
    in_units = np.exp if logs else np.asarray
    value, ends = in_units(drawn.value), in_units(ends)
    decades = np.log10(measured["flops"].to_numpy() / reach)
    density = drawn.log_density(truth.to_numpy())
    predictions = [
        Prediction(
            run=row["run"],
            runs=row.get("runs", 1),
            role=row["role"],
            flops=row["flops"],
            params=row["params"],
            tokens=row["tokens"],
            decades=float(decades[i]),
            predicted=float(value[i]),
            intervals={
                str(level): (float(low[i]), float(high[i]))
                for level, (low, high) in zip(LEVELS, ends, strict=True)
            },
            measured=row["params"] if logs else row["loss"],
            log_density=None if density is None else float(density[i]),
        )
        for i, row in enumerate(measured.iter_rows(named=True))
    ]
    return Score(
        quantity=quantity,
        decades=(float(decades.min()), float(decades.max())),
        predictions=predictions,
        **summarise(drawn, truth.to_numpy(), noise=noise),
    )
