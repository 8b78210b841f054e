"""Predict the losses of runs that are not trained yet, by every law and by their mixture."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from isoflop.approaches.forecasts.forecasters import (
    AUDITED,
    Seen,
    law_predictive,
    mixture_predictive,
)
from isoflop.approaches.forecasts.scores import prediction_intervals
from isoflop.approaches.observations import Observations, observe
from isoflop.errors import MissingFactError, UnderdeterminedError
from isoflop.estimates.announced import RULE, AnnouncedLoss, AnnouncedRun, Announcement
from isoflop.estimates.estimate import Counting
from isoflop.estimates.intervals import labelled
from isoflop.estimates.mixture import KEY, Mixture

if TYPE_CHECKING:
    from isoflop.approaches.forecasts.predictions import Predictive
    from isoflop.config.approaches import ApproachesSettings, CountingSettings
    from isoflop.estimates.mixture import NoMixture

PREDICTING = "kaplan"
"""Beside the laws of the set, the approach whose law gives the loss of a run."""


def announce_losses(
    losses: pl.DataFrame,
    targets: pl.DataFrame,
    mixture: Mixture | NoMixture,
    settings: ApproachesSettings,
    *,
    sweep: str,
    losses_sha256: str,
) -> Announcement:
    """Predict the final losses of runs above all that were trained.

    The laws, draws and noise are those of the forecasts above cuts (``score_forecasts``), with all
    runs below the cut.

    Parameters
    ----------
    losses : table ``Losses`` of the sweep; none of its runs may be among the targets.
    targets : table ``Targets``.
    mixture : of the sweep's laws, whose weights are taken.
    settings : section ``approaches``.
    sweep : name of the sweep.
    losses_sha256 : digest of the table of losses.

    Raises
    ------
    UnderdeterminedError : the sweep has no mixture, a target is trained already, or lies within
        the compute that was fitted.
    MissingFactError : a target lacks N or C by a convention that is used.
    """
    if not isinstance(mixture, Mixture):
        raise UnderdeterminedError(f"{sweep}: nothing can be announced: {mixture.refused}")
    trained = sorted(set(targets["run"]) & set(losses["run"]))
    if trained:
        raise UnderdeterminedError(
            f"{sweep}: {', '.join(trained[:5])} among the runs to announce is trained already. "
            "Announce runs that nobody has trained."
        )
    below = observe(losses, settings.counting)
    as_shown = _targets(targets, settings.counting, sweep)
    finals = below.flops[below.is_final]
    top = float(finals.max())
    if (inside := as_shown.flops <= top).any():
        raise UnderdeterminedError(
            f"{sweep}: {as_shown.runs[int(np.argmax(inside))]} has C = "
            f"{as_shown.flops[inside].min():.3g}, within the {top:.3g} FLOPs that were fitted. "
            "Announce runs above."
        )
    predictives: dict[str, Predictive] = {}
    refused = {}
    weights = {member.approach: member.weight for member in mixture.members}
    for law in (*weights, PREDICTING):
        counting = settings.counting_of(law)
        seen = Seen(
            observe(losses, counting), _targets(targets, counting, sweep), settings, AUDITED
        )
        try:
            predictives[law], _ = law_predictive(law, seen)
        except (MissingFactError, UnderdeterminedError) as error:
            refused[law] = str(error)
    taking = [law for law, weight in weights.items() if weight > 0.0 and law in predictives]
    if not taking:
        raise UnderdeterminedError(f"{sweep}: no law could be fitted: {refused}")
    total = sum(weights[law] for law in taking)
    shares = {law: weights[law] / total for law in taking}
    predictives[KEY] = mixture_predictive(predictives, shares, settings)
    announced = {key: _announced(predictive) for key, predictive in predictives.items()}
    return Announcement(
        sweep=sweep,
        runs_fitted=below.n_runs,
        flops_fitted=(float(finals.min()), top),
        losses_sha256=losses_sha256,
        counting=Counting(params=settings.counting.params, flops=settings.counting.flops),
        weights=shares,
        refused=refused,
        settings=settings.only("counting", "bootstrap", "mixture", *weights, PREDICTING),
        rule=RULE,
        runs=tuple(
            AnnouncedRun(
                run=run,
                params=float(as_shown.params[i]),
                tokens=float(as_shown.tokens[i]),
                flops=float(as_shown.flops[i]),
                losses={key: values[i] for key, values in announced.items()},
            )
            for i, run in enumerate(as_shown.runs)
        ),
    )


def _announced(predictive: Predictive) -> list[AnnouncedLoss]:
    ends = prediction_intervals(predictive.draws)
    return [
        AnnouncedLoss(predicted=float(value), intervals=labelled(ends[:, :, i]))
        for i, value in enumerate(predictive.value)
    ]


def _targets(targets: pl.DataFrame, counting: CountingSettings, sweep: str) -> Observations:
    """Count runs that have no loss yet as an approach counts; their losses are NaN."""
    params, flops = f"params_{counting.params}", f"flops_{counting.flops}"
    for column in (params, flops):
        if column not in targets.columns or targets[column].null_count():
            raise MissingFactError(
                f"{sweep}: a run to announce has no {column}, by which this sweep is counted. Add "
                "the column to the table of runs."
            )
    table = targets.sort("run")
    count = table.height
    unknown = np.full(count, np.nan)
    return Observations(
        sweep=sweep,
        counting=counting,
        runs=tuple(table["run"]),
        run=np.arange(count),
        params=table[params].cast(pl.Float64).to_numpy(),
        tokens=table["tokens"].cast(pl.Float64).to_numpy(),
        flops=table[flops].cast(pl.Float64).to_numpy(),
        loss=unknown,
        is_final=np.ones(count, dtype=np.bool_),
        schedule_fraction=np.ones(count),
        run_params=table[params].cast(pl.Float64).to_numpy(),
        run_budget=unknown,
        run_unique_tokens=None,
    )
