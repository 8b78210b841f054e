"""Approach 3: the parametric law L(N, D) (Hoffmann et al. 2022, section 3.3)."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar, Final

from isoflop.approaches.estimators.account import (
    residuals_of,
    trends_of,
)
from isoflop.approaches.estimators.likelihood_ratio import likelihood_ratios
from isoflop.approaches.estimators.loss_law import (
    MultistartFit,
    objective_of,
    points_of,
    prior_cautions,
    solve_from_starts,
)
from isoflop.approaches.estimators.misfit import misfit_cautions
from isoflop.approaches.numerics.centred_law import ALPHA, BETA, CentredLaw
from isoflop.approaches.numerics.variable_projection import variable_projection
from isoflop.config.approaches import HUBER_DELTA
from isoflop.estimates.diagnostics import (
    ParametricDiagnostics,
    PureError,
    ScoreTests,
    VariableProjection,
)
from isoflop.estimates.laws import HoffmannLaw
from isoflop.laws import ChinchillaLaw

if TYPE_CHECKING:
    from collections.abc import Mapping

    from isoflop.approach import Approach
    from isoflop.approaches.numerics.multistart import Objective
    from isoflop.approaches.observations import Observations
    from isoflop.config.approaches import ParametricSettings
    from isoflop.estimates.diagnostics import LikelihoodRatios, Trends


MIN_POINTS: Final = 6
DRIFT: Final = 0.001


@dataclass(frozen=True, eq=False)
class ParametricFit(MultistartFit):
    """E, A, B, alpha, beta, and how they were found.

    Attributes
    ----------
    published : laws that the sweep is tested against, by name.
    """

    approach: ClassVar[Approach] = "parametric"
    refits_sweeps: ClassVar[bool] = True
    least_points: ClassVar[int] = MIN_POINTS
    ill_conditioned: ClassVar[float] = 1e4

    settings: ParametricSettings
    centred: CentredLaw
    published: Mapping[str, ChinchillaLaw] = field(default_factory=dict)

    @property
    def law(self) -> HoffmannLaw:
        """The law, with FLOPs per token as they are over the fitted runs."""
        return HoffmannLaw(flops_per_token=self.cost)

    @property
    def objective(self) -> Objective:
        """What is minimised."""
        return _objective(self.settings)

    def diagnostics(self) -> ParametricDiagnostics:
        """Say how good and how certain the optimum is."""
        taken, solved = self.fitted_points, self.solved()
        tests, pure = self.misfit
        return ParametricDiagnostics(
            account=solved.account,
            residuals=residuals_of(taken, self.residuals),
            trends=self._trends,
            misfit=ScoreTests.model_validate(tests),
            pure_error=None if pure is None else PureError.model_validate(pure),
            noise_parts=self.noise_parts,
            huber_delta=None if self.settings.objective == "mse" else self.settings.delta,
            scale=solved.scale,
            log_likelihood=solved.log_likelihood,
            variable_projection=VariableProjection(
                **variable_projection(taken.params, taken.tokens, taken.loss)
            ),
            likelihood_ratios=self._likelihood_ratios(),
        )

    def _likelihood_ratios(self) -> LikelihoodRatios | None:
        """Test the published laws; the density is the fit's own where that is a likelihood."""
        if not self.published:
            return None
        free_scale = self.settings.objective == "likelihood"
        return likelihood_ratios(
            self.fitted_points,
            self.published,
            near=ChinchillaLaw(*map(float, self.parameters)),
            delta=self.settings.delta if free_scale else HUBER_DELTA["likelihood"],
        )

    @cached_property
    def _trends(self) -> Trends:
        return trends_of(self.fitted_points, self.residuals)

    def cautions(self) -> list[str]:
        """Warn of vanished terms, of drifting residuals, of mixed counting and of misfit."""
        cautions = prior_cautions(self.settings)
        cautions += self.bound_cautions()
        cautions += [
            f"The residuals drift with {name} (p = {trend.p_value:.1g}): the law does not have "
            "the shape of these data, and extrapolation carries the drift on."
            for name, trend in self._trends
            if trend.p_value < DRIFT
        ]
        return [*cautions, *self.counting_cautions(), *misfit_cautions(*self.misfit)]


def fit_parametric(
    observations: Observations,
    settings: ParametricSettings,
    *,
    published: Mapping[str, ChinchillaLaw] | None = None,
    threads: int | None = None,
) -> ParametricFit:
    """Fit L(N, D) = E + A / N**alpha + B / D**beta.

    The objective is the sum, not the mean, over points of Huber's loss of log observed less log
    fitted loss: optimisers stop by absolute tolerances, and a mean over hundreds of points makes
    them stop 9 % above the optimum (Besiroglu et al. 2024).

    Parameters
    ----------
    observations : the sweep's points, counted.
    settings : objective, starts, points.
    published : laws that the sweep is tested against, by name.
    threads : blocks of starts or draws solved at a time; no byte depends on it.

    Raises
    ------
    UnderdeterminedError : fewer than six points, or a single size or token count among them.

    References
    ----------
    Hoffmann et al. 2022, section 3.3 and appendix D.3; Besiroglu et al. 2024.
    """
    points = points_of(observations, settings, "parametric", least=MIN_POINTS)
    taken = observations.at(points)
    law = CentredLaw.of(taken.params, taken.tokens, tied=settings.exponents == "tied")
    solution = solve_from_starts(law, taken.loss, _objective(settings), settings, threads=threads)
    best = int(solution.objective.argmin())
    return ParametricFit(
        observations,
        points,
        settings,
        law,
        solution.theta[best : best + 1, : law.n_parameters],
        solution,
        threads,
        published or {},
    )


def _objective(settings: ParametricSettings) -> Objective:
    tied = settings.exponents == "tied"
    return objective_of(settings, {"alpha": ALPHA, "beta": None if tied else BETA})
