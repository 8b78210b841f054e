"""Approach 3: the parametric law L(N, D) (Hoffmann et al. 2022, section 3.3)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import product
from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np

from isoflop.approaches.estimators.account import (
    bounds_hit,
    condition_number,
    residuals_of,
    solved,
    trends_of,
)
from isoflop.approaches.estimators.cost import flops_per_token
from isoflop.approaches.estimators.likelihood_ratio import likelihood_ratios
from isoflop.approaches.estimators.misfit import misfit_cautions, pure_error, score_tests
from isoflop.approaches.numerics.centred_law import CentredLaw
from isoflop.approaches.numerics.likelihood import MAX_STEPS as FREE_SCALE_STEPS
from isoflop.approaches.numerics.likelihood import FreeScale, log_likelihood, minimise_free_scale
from isoflop.approaches.numerics.solver import Problems, Solution, minimise
from isoflop.approaches.numerics.variable_projection import variable_projection
from isoflop.approaches.protocol import Fit, Refits, Resamples
from isoflop.config.approaches import HUBER_DELTA
from isoflop.errors import UnderdeterminedError
from isoflop.estimates.diagnostics import (
    ParametricDiagnostics,
    PureError,
    ScoreTests,
    VariableProjection,
)
from isoflop.estimates.laws import HoffmannLaw
from isoflop.laws import ChinchillaLaw

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from isoflop.approach import Approach
    from isoflop.approaches.observations import Observations
    from isoflop.config.approaches import ParametricSettings
    from isoflop.estimates.diagnostics import LikelihoodRatios, Trends
    from isoflop.estimates.laws import FlopsPerToken

    Floats = NDArray[np.float64]
    Ints = NDArray[np.intp]

HOFFMANN_GRID: Final = (
    (-1.0, -0.5, 0.0, 0.5, 1.0),
    (0.0, 5.0, 10.0, 15.0, 20.0, 25.0),
    (0.0, 5.0, 10.0, 15.0, 20.0, 25.0),
    (0.0, 0.5, 1.0, 1.5, 2.0),
    (0.0, 0.5, 1.0, 1.5, 2.0),
)
"""log E, log A, log B, alpha, beta of Hoffmann et al. 2022, section D.3: 4,500 starts."""
COARSE_GRID: Final = ((-1.0, 0.5), (-1.0, 1.0), (-1.0, 1.0), (0.1, 0.4, 1.0), (0.1, 0.4, 1.0))
"""The same with the terms' sizes taken at the centre of the data instead of N = D = 1."""
RESCUE_GRID: Final = ((-0.5,), (-0.5,), (-0.5,), (0.2, 0.6), (0.2, 0.6))
"""Starts of a doubtful resample, as those above."""
LADDER: Final = (100.0, 10.0)
"""Multiples of huber_delta at which a far start is solved before huber_delta itself."""
ROUGH_POINTS: Final = 64
"""Points that the first rung uses."""
TOLERANCE: Final = 1e-12
"""Relative gain that the next step of a solved problem promises at most."""
MIN_POINTS: Final = 6
MAX_STEPS: Final = 500
ILL_CONDITIONED: Final = 1e4
DRIFT: Final = 0.001


@dataclass(frozen=True, eq=False)
class ParametricFit(Fit):
    """E, A, B, alpha, beta, and how they were found.

    Attributes
    ----------
    observations : the sweep.
    settings : objective, starts, points.
    points : index of the fitted observations.
    centred : the law at these points.
    cost : FLOPs per token as a function of N.
    theta : (1, parameters) the optimum, in the law's centred parameters.
    starts : where each start ended.
    published : laws that the sweep is tested against, by name.
    threads : blocks solved at a time.
    """

    approach: ClassVar[Approach] = "parametric"
    refits_sweeps: ClassVar[bool] = True

    observations: Observations
    settings: ParametricSettings
    points: Ints
    centred: CentredLaw
    cost: FlopsPerToken
    theta: Floats
    starts: Solution
    published: Mapping[str, ChinchillaLaw] = field(default_factory=dict)
    threads: int | None = None

    @property
    def law(self) -> HoffmannLaw:
        """The law, with FLOPs per token as they are over the fitted runs."""
        return HoffmannLaw(flops_per_token=self.cost)

    @property
    def n_parameters(self) -> int:
        """Five, or four with the exponents tied."""
        return self.centred.model.n_parameters

    @property
    def parameters(self) -> Floats:
        """E, A, B, alpha, beta."""
        return np.asarray(self.centred.natural(self.theta)[0])

    @cached_property
    def fitted(self) -> Floats:
        """Log of the law at the fitted points; NaN elsewhere."""
        fitted = np.full(len(self.observations.loss), np.nan)
        fitted[self.points] = self.centred.model.value(self.theta)[0][0]
        return fitted

    @property
    def residuals(self) -> Floats:
        """Log of observed over fitted loss at the fitted points."""
        return np.asarray((np.log(self.observations.loss) - self.fitted)[self.points])

    def refit(self, resamples: Resamples) -> Refits:
        """Minimise every resample's objective from the optimum of all runs.

        A resample that ends at a bound, or unconverged, is solved again from a few other
        starts, and the better of the two is kept: away from the bounds no resample of Hoffmann's
        data has a better basin (tests/approaches/test_parametric.py looks for one).
        """
        problems = self.problems(resamples)
        solution = _solve(problems, self.settings, threads=self.threads)
        theta = self._rescue(problems, solution)
        few = (problems.weights > 0).sum(axis=1) < MIN_POINTS
        parameters = self.centred.natural(theta)
        parameters[few] = np.nan
        reason = f"fewer than {MIN_POINTS} distinct points"
        return Refits(parameters, np.where(few, reason, ""))

    def refit_losses(self, observations: Observations) -> ParametricFit:
        """Fit other losses of the same points, from this optimum on."""
        ones = np.ones((1, observations.n_runs))
        problems = self.problems(Resamples(ones, np.log(observations.loss)[None]))
        solution = minimise(problems, max_steps=MAX_STEPS, threads=self.threads)
        theta = self._rescue(problems, solution)
        return replace(self, observations=observations, theta=theta, starts=solution)

    def problems(self, resamples: Resamples) -> Problems:
        """Pose every resample's objective, starting from the optimum of all runs."""
        weights, log_loss = resamples.at(self.observations, self.points)
        theta = np.repeat(self.theta, len(resamples), axis=0)
        return _problems(self.centred, log_loss, weights, theta, self.settings)

    def _rescue(self, problems: Problems, solution: Solution) -> Floats:
        """Give each problem's optimum, doubtful ones solved again from other starts."""
        lower, upper = self.centred.bounds()
        theta = solution.theta[:, : len(lower)].copy()
        at_bound = ((theta <= lower) | (theta >= upper)).any(axis=1)
        doubtful = np.flatnonzero(at_bound | ~solution.converged)
        if len(doubtful) == 0:
            return theta
        grid = _starts(self.centred, RESCUE_GRID)
        own = problems.pick(np.repeat(doubtful, len(grid)), np.tile(grid, (len(doubtful), 1)))
        again = _ladder(own, self.settings, threads=self.threads)
        objective = again.objective.reshape(len(doubtful), len(grid))
        best = objective.argmin(axis=1)
        better = objective.min(axis=1) < solution.objective[doubtful]
        rows = np.arange(len(doubtful)) * len(grid) + best
        theta[doubtful[better]] = again.theta[rows[better], : len(lower)]
        return theta

    def recounted(self, observations: Observations) -> ParametricFit:
        """Give the same law with C counted otherwise: it enters at the optimum alone."""
        own = observations.at(self.points)
        cost = flops_per_token(own.params, own.tokens, own.flops)
        return replace(self, observations=observations, cost=cost)

    @property
    def flops_range(self) -> tuple[float, float]:
        """Smallest and largest C of the fitted points."""
        return self.observations.at(self.points).flops_range

    def diagnostics(self) -> ParametricDiagnostics:
        """Say how good and how certain the optimum is."""
        own = self.observations.at(self.points)
        pure = self._misfit[1]
        free = self.settings.objective == "likelihood"
        account = solved(
            self.starts,
            kind=self.settings.objective,
            tolerance=TOLERANCE,
            max_steps=FREE_SCALE_STEPS if free else MAX_STEPS,
            bounds_hit=self.bounds_hit(),
            condition_number=condition_number(self.centred.model, self.theta),
            degrees_of_freedom=len(self.points) - self.n_parameters,
        )
        scale, reached = None, None
        if free:
            best = int(self.starts.objective.argmin())
            lowest = self.starts.objective[best]
            reached = float(log_likelihood(lowest, len(self.points), self.settings.delta))
            scale = float(np.exp(self.starts.theta[best, -1]))
            account = account.model_copy(update={"objective": -reached})
        return ParametricDiagnostics(
            account=account,
            residuals=residuals_of(own, self.residuals),
            trends=self._trends,
            misfit=ScoreTests.model_validate(self._misfit[0]),
            pure_error=None if pure is None else PureError.model_validate(pure),
            huber_delta=None if self.settings.objective == "mse" else self.settings.delta,
            scale=scale,
            log_likelihood=reached,
            variable_projection=VariableProjection(
                **variable_projection(own.params, own.tokens, own.loss)
            ),
            likelihood_ratios=self._likelihood_ratios(),
        )

    def _likelihood_ratios(self) -> LikelihoodRatios | None:
        """Test the published laws; the density is the fit's own where that is a likelihood."""
        if not self.published:
            return None
        own = self.settings.objective == "likelihood"
        return likelihood_ratios(
            self.observations.at(self.points),
            self.published,
            near=ChinchillaLaw(*map(float, self.parameters)),
            delta=self.settings.delta if own else HUBER_DELTA["likelihood"],
        )

    @cached_property
    def _trends(self) -> Trends:
        return trends_of(self.observations.at(self.points), self.residuals)

    @cached_property
    def _misfit(self) -> tuple[dict[str, Any], dict[str, Any] | None]:
        """Test the law's form on its residuals, and against replicates."""
        own = self.observations.at(self.points)
        n, d = np.log(own.params), np.log(own.tokens)
        tests = score_tests(self.centred.model.jacobian(self.theta), self.residuals, n, d)
        parameters = self.n_parameters
        return tests, pure_error(self.residuals, own.params, own.tokens, parameters=parameters)

    def bounds_hit(self) -> list[str]:
        """Name the parameters that ended at a bound."""
        return bounds_hit(self.names, self.theta[0], *self.centred.bounds())

    def cautions(self) -> list[str]:
        """Warn of vanished terms, of confounded parameters and of mixed counting."""
        cautions = [
            f"{name} ended at its bound: the sweep does not determine it."
            for name in self.bounds_hit()
        ]
        cautions += [
            f"The residuals drift with {name} (p = {trend.p_value:.1g}): the law does not have "
            "the shape of these data, and extrapolation carries the drift on."
            for name, trend in self._trends
            if trend.p_value < DRIFT
        ]
        condition = condition_number(self.centred.model, self.theta)
        if condition > ILL_CONDITIONED:
            cautions.append(
                "The parameters are hard to tell apart on this sweep (condition number "
                f"{condition:.0e}): trust the exponents and optima more than E, A "
                "and B one by one."
            )
        if self.cost.largest_deviation > 0.05:
            cautions.append(
                f"N is counted as {self.counting.params} and C as {self.counting.flops}; FLOPs "
                f"per token follow N**{self.cost.exponent:.2f} only within "
                f"{self.cost.largest_deviation:.0%}, and the optimum extrapolates that."
            )
        return [*cautions, *misfit_cautions(*self._misfit)]


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
    points = _points(observations, settings)
    _require_points(observations, points)
    fitted = observations.at(points)
    law = CentredLaw.of(fitted.params, fitted.tokens, tied=settings.exponents == "tied")
    log_loss = np.log(fitted.loss)[None]
    starts = (
        law.centred(np.array(list(product(*HOFFMANN_GRID))))
        if settings.starts == "hoffmann"
        else _starts(law, COARSE_GRID)
    )
    solution = _descend(law, log_loss, starts, settings, threads=threads)
    best = int(solution.objective.argmin())
    cost = flops_per_token(fitted.params, fitted.tokens, fitted.flops)
    return ParametricFit(
        observations,
        settings,
        points,
        law,
        cost,
        solution.theta[best : best + 1, : law.model.n_parameters],
        solution,
        published or {},
        threads,
    )


def _points(observations: Observations, settings: ParametricSettings) -> Ints:
    points = (
        np.flatnonzero(observations.is_final)
        if settings.points == "final"
        else np.arange(len(observations.loss))
    )
    if settings.drop_highest:
        order = np.argsort(observations.loss[points], kind="stable")
        points = np.sort(points[order[: -settings.drop_highest]])
    return points


def _require_points(observations: Observations, points: Ints) -> None:
    sizes = len(np.unique(observations.params[points]))
    horizons = len(np.unique(observations.tokens[points]))
    if len(points) < MIN_POINTS or sizes < 2 or horizons < 2:
        raise UnderdeterminedError(
            f"parametric needs {MIN_POINTS} points with at least two sizes and two token counts; "
            f"sweep {observations.sweep} has {len(points)} with {sizes} and {horizons}. Add runs, "
            "or take whole curves with approaches.parametric.points: all."
        )


def _starts(law: CentredLaw, grid: Sequence[Sequence[float]]) -> Floats:
    """List the points of a grid in the law's centred parameters."""
    return np.unique(np.array(list(product(*grid)))[:, : law.model.n_parameters], axis=0)


def _ladder(problems: Problems, settings: ParametricSettings, *, threads: int | None) -> Solution:
    """Solve problems from far starts, each rung with a smaller delta."""
    for rung in LADDER if settings.objective != "mse" else ():
        eased = replace(problems, delta=rung * problems.delta)
        problems = replace(
            problems,
            starts=minimise(eased, tolerance=1e-3, max_steps=60, threads=threads).theta,
        )
    return _solve(problems, settings, threads=threads)


def _solve(problems: Problems, settings: ParametricSettings, *, threads: int | None) -> Solution:
    """Solve problems from near their optima; with a free scale its log is the last column."""
    if settings.objective == "likelihood":
        return minimise_free_scale(FreeScale.of(problems, settings.delta), threads=threads)
    return minimise(problems, tolerance=TOLERANCE, max_steps=MAX_STEPS, threads=threads)


def _descend(
    law: CentredLaw,
    log_loss: Floats,
    starts: Floats,
    settings: ParametricSettings,
    *,
    threads: int | None,
) -> Solution:
    """Solve from far starts, down a ladder of deltas that each smooth the kinks of the next.

    The first rung needs only the basin, so it takes few points and few steps. Starts that have come
    to the same place go on as one, and are told apart again in what is returned.
    """
    ones = np.ones_like(log_loss)
    kept = np.unique(np.linspace(0, log_loss.shape[1] - 1, ROUGH_POINTS).round().astype(np.intp))
    rough = law.at(kept)
    problems = _problems(rough, log_loss[:, kept], ones[:, kept], starts, settings, rung=LADDER[0])
    found = minimise(problems, tolerance=1e-2, max_steps=60, threads=threads).theta
    places, which = _merge(found)
    problems = _problems(law, log_loss, ones, places, settings, rung=LADDER[1])
    found = minimise(problems, tolerance=1e-3, threads=threads).theta
    places, onward = _merge(found)
    problems = _problems(law, log_loss, ones, places, settings)
    solution = _solve(problems, settings, threads=threads)
    back = onward[which]
    return Solution(
        solution.theta[back],
        solution.objective[back],
        solution.converged[back],
        solution.steps[back],
    )


def _merge(theta: Floats) -> tuple[Floats, Ints]:
    """Give the distinct places among rows of theta, and each row's place."""
    _, first, which = np.unique(theta.round(3), axis=0, return_index=True, return_inverse=True)
    return theta[first], which.astype(np.intp)


def _problems(
    law: CentredLaw,
    log_loss: Floats,
    weights: Floats,
    starts: Floats,
    settings: ParametricSettings,
    *,
    rung: float = 1.0,
) -> Problems:
    # a likelihood's delta is in units of the scale: on the way to it, Hoffmann's serves
    delta = HUBER_DELTA["huber"] if settings.objective == "likelihood" else settings.delta
    delta *= rung
    return Problems(law.model, log_loss, weights, starts, delta, *law.bounds())
