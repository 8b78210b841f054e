"""Which approach's allocation is recommended, by a stated rule, and how each one stands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from isoflop.estimates.forecasts import Forecasts
from isoflop.estimates.intervals import LEVELS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from isoflop.approach import Approach
    from isoflop.estimates.estimate import Estimate
    from isoflop.estimates.forecasts import NoForecasts, Score

Rule = Literal["both", "coverage", "forecast", "none"]
RULES: Final[dict[Rule, str]] = {
    "both": "it passed both tests: its intervals cover in simulated sweeps of this design, and "
    "what it predicted from the lower part of the sweep was found in the upper part",
    "coverage": "its intervals cover in simulated sweeps of this design; no approach also passed "
    "the test of forecasts",
    "forecast": "it passed the test of forecasts; no approach also covers in simulated sweeps",
    "none": "no approach passed a test: read it as one opinion of several",
}
"""Why an approach is recommended, in words."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How one approach did in both tests.

    Attributes
    ----------
    approach : its key.
    covers : whether its intervals for a cover in simulated sweeps; None where nothing was
        simulated.
    forecasts : whether its intervals covered what was measured above the highest cut; None where
        nothing was predicted.
    scores : its scores above that cut.
    """

    approach: Approach
    covers: bool | None
    forecasts: bool | None
    scores: tuple[Score, ...]

    @property
    def rule(self) -> Rule:
        """The best rule by which it could be recommended."""
        if self.covers:
            return "both" if self.forecasts else "coverage"
        return "forecast" if self.forecasts else "none"


@dataclass(frozen=True, slots=True)
class Recommendation:
    """The approach whose allocation is recommended, and why."""

    approach: Approach
    rule: Rule

    @property
    def reason(self) -> str:
        """Why, in words."""
        return RULES[self.rule]


def standing(estimate: Estimate, forecasts: Forecasts | NoForecasts) -> Standing:
    """Tell how one approach did in both tests."""
    scores: tuple[Score, ...] = ()
    if isinstance(forecasts, Forecasts):
        # of the highest cut that has any: the largest sweep below it, and the nearest to the answer
        scores = next(
            (
                tuple(forecast.scores)
                for cut in reversed(forecasts.cuts)
                for forecast in cut.forecasts
                if forecast.approach == estimate.approach and forecast.scores
            ),
            (),
        )
    return Standing(
        approach=estimate.approach,
        covers=(
            not any(estimate.a.undercovers(level) for level in LEVELS)
            if estimate.a.coverage
            else None
        ),
        forecasts=all(score.covers for score in scores) if scores else None,
        scores=scores,
    )


def recommend(
    estimates: Mapping[Approach, Estimate], forecasts: Forecasts | NoForecasts
) -> Recommendation | None:
    """Choose the approach whose allocation is recommended; None where nothing was fitted.

    The approach that passed both tests, else the one
    whose intervals cover, else the one that forecasts, else any. Of several, the one whose interval
    for a is narrowest. Kaplan's law counts other parameters, and stands back.
    """
    order: tuple[Rule, ...] = ("both", "coverage", "forecast", "none")

    def rank(estimate: Estimate) -> tuple[bool, int, float]:
        ends = estimate.a.intervals.get("0.95")
        width = ends[1] - ends[0] if ends is not None else float("inf")
        rule = standing(estimate, forecasts).rule
        return estimate.counting.params != "total", order.index(rule), width

    if not estimates:
        return None
    best = min(estimates.values(), key=rank)
    return Recommendation(best.approach, standing(best, forecasts).rule)
