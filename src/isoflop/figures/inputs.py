"""What the figures are drawn from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
import polars as pl

from isoflop.estimates.allocation import optima_at, optima_by_approach
from isoflop.estimates.counted import counted
from isoflop.estimates.diagnostics import ProfilesDiagnostics, expect
from isoflop.estimates.estimate import Estimate
from isoflop.estimates.mixture import Mixture, answers_of
from isoflop.estimates.recommendation import recommend

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike, NDArray

    from isoflop.approach import Approach
    from isoflop.config.figures import FiguresSettings
    from isoflop.estimates.announced import Announcement
    from isoflop.estimates.draws import Draws
    from isoflop.estimates.estimate import Optimum, Refusal
    from isoflop.estimates.forecasts import Forecasts, NoForecasts
    from isoflop.estimates.mixture import NoMixture
    from isoflop.estimates.recommendation import Recommendation
    from isoflop.reference import Reference

    Floats = NDArray[np.float64]

Axis = Literal["params", "tokens"]


NO_ESTIMATE: Final = "No approach gave an estimate for this sweep."
"""Why a figure of the estimates shows nothing where there are none."""


@dataclass(frozen=True, slots=True)
class FigureInputs:
    """One sweep's tables and estimates, and the published facts."""

    sweep: str
    losses: pl.DataFrame
    runs: pl.DataFrame
    estimates: Mapping[Approach, Estimate | Refusal]
    draws: Mapping[Any, Draws]
    laws: Mapping[Approach, Estimate | Refusal]
    """Of every law of the set."""
    law_draws: Mapping[Approach, Draws]
    mixture: Mixture | NoMixture
    mixture_draws: Draws
    forecasts: Forecasts | NoForecasts
    specifications: pl.DataFrame
    reference: Reference
    settings: FiguresSettings
    announcement: Announcement | None = None
    """Losses of its runs that were announced before they were trained."""

    @property
    def fitted(self) -> dict[Approach, Estimate]:
        """The approaches that gave an estimate."""
        return {
            approach: estimate
            for approach, estimate in self.estimates.items()
            if isinstance(estimate, Estimate)
        }

    @property
    def recommended(self) -> Recommendation | None:
        """Whose allocation is recommended; None where nothing was fitted."""
        return recommend(self.fitted, self.forecasts, self.mixture)

    @property
    def answers(self) -> dict[str, Estimate | Mixture]:
        """The mixture, where there is one, and every approach's estimate, by key."""
        return answers_of(self.fitted, self.mixture)

    def draws_of(self, answer: Estimate | Mixture) -> Draws:
        """Give the draws of an approach, or of the mixture."""
        return self.mixture_draws if isinstance(answer, Mixture) else self.draws[answer.approach]

    def optima(self, flops: float) -> dict[Approach, Optimum]:
        """Give every approach's optimum at one budget."""
        return optima_by_approach(self.fitted, self.draws, flops)

    def refusal(self, approach: Approach) -> str:
        """Say why an approach gave no estimate."""
        estimate = self.estimates.get(approach)
        if estimate is None:
            return f"The approach '{approach}' was not run on this sweep."
        return getattr(estimate, "refused", "")

    def points(self, estimate: Estimate, *, final: bool = True) -> pl.DataFrame:
        """Give the fitted points under an estimate's counting: run, N, D, C, L and budget."""
        return counted(self.losses.filter(pl.col("role") == "fit"), estimate.counting, final=final)


def budgeted(inputs: FigureInputs, points: pl.DataFrame) -> pl.DataFrame:
    """Keep the points with a budget: the planned one, or else the one the profiles put them in."""
    profiles = inputs.fitted.get("profiles")
    if points["budget"].null_count() < points.height or profiles is None:
        return points.drop_nulls("budget")
    bands = [
        {"run": run, "grouped": profile.budget}
        for profile in expect(profiles.diagnostics, ProfilesDiagnostics).profiles
        for run in profile.run
    ]
    grouped = pl.DataFrame(bands, schema={"run": pl.String, "grouped": pl.Float64})
    joined = points.join(grouped, on="run", how="inner")
    return joined.with_columns(budget=pl.col("grouped")).drop("grouped")


def surface(estimate: Estimate, params: ArrayLike, flops: ArrayLike) -> Floats:
    """Give an estimate's L at N and C; only for laws that have one."""
    loss = estimate.loss_at(params, flops)
    if loss is None:
        raise TypeError(f"approach '{estimate.approach}' has no loss at N and C")
    return loss


@dataclass(frozen=True, slots=True)
class Band:
    """A quantity of the optimum and its pointwise 95 % interval at some C, (places,) each."""

    centre: Floats
    low: Floats
    high: Floats


def band(
    inputs: FigureInputs,
    answer: Estimate | Mixture,
    quantity: Literal["params", "tokens", "tokens_per_param"],
    flops: Floats,
) -> Band:
    """Take a quantity and its intervals at every C as the tables print them.

    Returns
    -------
    NaN where there is no optimum, and both ends NaN where the answer has no interval.
    """
    optima = optima_at(answer, inputs.draws_of(answer), flops.tolist(), summarised=False)
    quantities = {optimum.flops: getattr(optimum, quantity) for optimum in optima}
    columns = []
    for c in flops.tolist():
        at = quantities.get(c)
        ends = None if at is None else at.intervals.get("0.95")
        columns.append([np.nan if at is None else at.value, *(ends or (np.nan, np.nan))])
    return Band(*np.array(columns).T)
