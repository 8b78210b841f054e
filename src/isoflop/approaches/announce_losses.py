"""Predict the losses of runs that are not trained yet, by every law and by their mixture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import polars as pl

from isoflop.approaches.forecasts.forecasters import (
    Seen,
    law_predictive,
    mixture_predictive,
)
from isoflop.approaches.forecasts.scores import prediction_intervals
from isoflop.approaches.observations import Observations, observe, seed_noise
from isoflop.errors import MissingFactError, UnderdeterminedError
from isoflop.estimates.announced import (
    PAIR_RULE,
    RULE,
    AnnouncedLoss,
    AnnouncedRun,
    Announcement,
    PairAnnouncement,
)
from isoflop.estimates.estimate import Counting
from isoflop.estimates.intervals import labelled
from isoflop.estimates.mixture import KEY, Mixture
from isoflop.pairs import SIZED_BY

if TYPE_CHECKING:
    from isoflop.approaches.forecasts.predictions import Predictive
    from isoflop.config.approaches import ApproachesSettings, CountingSettings
    from isoflop.estimates.mixture import NoMixture
    from isoflop.pairs import PairWord

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
    asked = _Asked.of(losses, targets, mixture, settings, sweep)
    announced = {key: _announced(predictive) for key, predictive in asked.predictives.items()}
    shown = asked.shown
    return Announcement(
        **asked.basis(losses_sha256),
        rule=RULE,
        runs=tuple(
            AnnouncedRun(
                run=run,
                params=float(shown.params[i]),
                tokens=float(shown.tokens[i]),
                flops=float(shown.flops[i]),
                losses={key: values[i] for key, values in announced.items()},
            )
            for i, run in enumerate(shown.runs)
        ),
    )


def announce_pair(
    losses: pl.DataFrame,
    targets: pl.DataFrame,
    mixture: Mixture | NoMixture,
    settings: ApproachesSettings,
    *,
    sweep: str,
    losses_sha256: str,
) -> PairAnnouncement:
    """Predict by how much runs of Kaplan's size will end above runs of Chinchilla's.

    A draw of the difference is one law's, with the noise of every run: what the two means will
    differ by, if that law is true.

    Parameters
    ----------
    losses, targets, mixture, settings, sweep, losses_sha256 : as for ``announce_losses``; targets
        that are of no pair, or trained already, are left out.

    Raises
    ------
    UnderdeterminedError : as for ``announce_losses``; or a size has no run to come.
    MissingFactError : a target lacks N or C by a convention that is used.
    """
    trained = losses["run"].unique().implode()
    rows = targets.filter(~pl.col("run").is_in(trained))
    named: dict[PairWord, tuple[str, ...]] = {
        word: tuple(rows.filter(sized_by=word)["run"].sort()) for word in SIZED_BY
    }
    if lacking := [word for word, runs in named.items() if not runs]:
        raise UnderdeterminedError(
            f"{sweep}: no run to come is sized by {' or by '.join(SIZED_BY[w] for w in lacking)} "
            f"(column sized_by of the runs to announce: {', '.join(lacking)}). Plan both sizes "
            "(`check` in the design), with seeds that are not trained, and write the column by "
            "`isoflop plan-sweep --targets`."
        )
    pair = rows.filter(pl.col("run").is_in([run for runs in named.values() for run in runs]))
    asked = _Asked.of(losses, pair, mixture, settings, sweep)
    above, below = (np.isin(asked.shown.runs, named[word]) for word in ("kaplan", "chinchilla"))
    noise = seed_noise(asked.below)
    return PairAnnouncement(
        **asked.basis(losses_sha256),
        rule=PAIR_RULE,
        flops=float(np.median(asked.shown.flops)),
        runs=named,
        noise=None
        if noise is None
        else noise.sd * float(np.sqrt(1.0 / above.sum() + 1.0 / below.sum())),
        difference={
            key: _announced(predictive.difference(above, below))[0]
            for key, predictive in asked.predictives.items()
        },
    )


@dataclass(frozen=True, eq=False)
class _Asked:
    """What the laws of a sweep say of runs to come."""

    sweep: str
    below: Observations
    shown: Observations
    """The runs to come, as the sweep is counted."""
    settings: ApproachesSettings
    weights: dict[str, float]
    shares: dict[str, float]
    refused: dict[str, str]
    predictives: dict[str, Predictive]

    @classmethod
    def of(
        cls,
        losses: pl.DataFrame,
        targets: pl.DataFrame,
        mixture: Mixture | NoMixture,
        settings: ApproachesSettings,
        sweep: str,
    ) -> Self:
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
        top = float(below.flops[below.is_final].max())
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
            seen = Seen(observe(losses, counting), _targets(targets, counting, sweep), settings)
            try:
                predictives[law] = law_predictive(law, seen)
            except (MissingFactError, UnderdeterminedError) as error:
                refused[law] = str(error)
        taking = [law for law, weight in weights.items() if weight > 0.0 and law in predictives]
        if not taking:
            raise UnderdeterminedError(f"{sweep}: no law could be fitted: {refused}")
        total = sum(weights[law] for law in taking)
        shares = {law: weights[law] / total for law in taking}
        predictives[KEY] = mixture_predictive(predictives, shares, settings)
        return cls(sweep, below, as_shown, settings, weights, shares, refused, predictives)

    def basis(self, losses_sha256: str) -> dict[str, Any]:
        """Give what every announcement says of what it rests on."""
        finals = self.below.flops[self.below.is_final]
        counting = self.settings.counting
        return {
            "sweep": self.sweep,
            "runs_fitted": self.below.n_runs,
            "flops_fitted": (float(finals.min()), float(finals.max())),
            "losses_sha256": losses_sha256,
            "counting": Counting(params=counting.params, flops=counting.flops),
            "weights": self.shares,
            "refused": self.refused,
            "settings": self.settings.only(
                "counting", "bootstrap", "mixture", *self.weights, PREDICTING
            ),
        }


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
