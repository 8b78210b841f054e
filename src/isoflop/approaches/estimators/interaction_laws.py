"""The nested law L = E + (A N**-alpha + B D**-beta)**gamma, its special cases and its rival.

gamma = 1 is Hoffmann et al. (2022). E = 0 and beta = 1 is Kaplan et al. (2020), equation 1.5, with
gamma = alpha_D and alpha = alpha_N / alpha_D. So both papers' laws are points of one law, and which
of them a sweep supports is an estimate with an interval. The rival has a product term in place of
gamma, another way for size and data to interact.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np

from isoflop.approaches.estimators.account import (
    bounds_hit,
    condition_number,
    residuals_of,
    solved,
    spread,
    trends_of,
)
from isoflop.approaches.estimators.cost import flops_per_token
from isoflop.approaches.estimators.misfit import misfit_cautions, pure_error, score_tests
from isoflop.approaches.estimators.nesting_tests import nesting_tests
from isoflop.approaches.estimators.parametric import HOFFMANN_GRID
from isoflop.approaches.numerics.centred_interaction import CentredInteraction, restriction
from isoflop.approaches.numerics.likelihood import MAX_STEPS as FREE_SCALE_STEPS
from isoflop.approaches.numerics.likelihood import log_likelihood
from isoflop.approaches.numerics.multistart import (
    FREE_SCALE_TOLERANCE,
    MAX_STEPS,
    TOLERANCE,
    Objective,
)
from isoflop.approaches.protocol import Fit, Refits, Resamples
from isoflop.config.approaches import HUBER_DELTA, CountingSettings
from isoflop.errors import MissingFactError, UnderdeterminedError
from isoflop.estimates.diagnostics import CountedLaw, InteractionDiagnostics
from isoflop.estimates.laws import KaplanLoss, NestedLoss, NoFloorLoss, ProductLoss

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from isoflop.approach import Approach
    from isoflop.approaches.numerics.solver import Problems, Solution
    from isoflop.approaches.observations import Observations
    from isoflop.config.approaches import LawSettings
    from isoflop.estimates.laws import FlopsPerToken, InteractionLoss

    Floats = NDArray[np.float64]
    Ints = NDArray[np.intp]

COUNTINGS: Final = (
    CountingSettings(params="total", flops="6nd"),
    CountingSettings(params="nonembedding", flops="kaplan"),
)
"""As Hoffmann et al. count, and as Kaplan et al. do."""
ILL_CONDITIONED: Final = 1e5
"""Of the nested law a condition number of some thousands is usual."""


@dataclass(frozen=True, eq=False)
class LawFit(Fit):
    """One law with an interaction, fitted to one sweep.

    Attributes
    ----------
    observations : the sweep.
    settings : objective, starts, points.
    points : index of the fitted observations.
    centred : the law at these points.
    cost : FLOPs per token as a function of N.
    theta : (1, parameters) the optimum, in the law's centred parameters.
    starts : where each start ended.
    others : the same law with N and C counted otherwise, or why it cannot be.
    threads : blocks solved at a time.
    """

    kind: ClassVar[type[InteractionLoss]]
    refits_sweeps: ClassVar[bool] = True

    observations: Observations
    settings: LawSettings
    points: Ints
    centred: CentredInteraction
    cost: FlopsPerToken
    theta: Floats
    starts: Solution
    others: tuple[tuple[CountingSettings, LawFit | str], ...] = ()
    threads: int | None = None

    @property
    def law(self) -> InteractionLoss:
        """The law, with FLOPs per token as they are over the fitted runs."""
        return self.kind(flops_per_token=self.cost, frontier_at=self.observations.flops_range[1])

    @property
    def n_parameters(self) -> int:
        """Number of free parameters."""
        return self.centred.n_parameters

    @property
    def objective(self) -> Objective:
        """What is minimised."""
        return _objective(self.settings)

    @property
    def parameters(self) -> Floats:
        """The parameters, in the order of ``names``."""
        return np.asarray(self.centred.reported(self.theta)[0])

    @cached_property
    def fitted(self) -> Floats:
        """Log of the law at the fitted points; NaN elsewhere."""
        fitted = np.full(len(self.observations.loss), np.nan)
        fitted[self.points] = self.centred.model.value(self.theta)[0][0] + self.centred.centre[2]
        return fitted

    @property
    def residuals(self) -> Floats:
        """Log of observed over fitted loss at the fitted points."""
        return np.asarray((np.log(self.observations.loss) - self.fitted)[self.points])

    @cached_property
    def tested_points(self) -> Observations:
        """The fitted points alone."""
        return self.observations.at(self.points)

    def refit(self, resamples: Resamples) -> Refits:
        """Minimise every resample's objective from the optimum of all runs.

        A resample that ends at a bound other than E = 0, or unconverged, is solved again from a few
        other starts. Elsewhere no sweep has shown a better basin (tests look for one).
        """
        problems = self.problems(resamples)
        theta = self._settled(problems)
        parameters = self.centred.reported(theta)
        few = (problems.weights > 0).sum(axis=1) <= self.n_parameters
        beyond = ~np.isfinite(parameters).all(axis=1)
        parameters[few | beyond] = np.nan
        refusals = np.where(beyond, "gamma so near zero that A or B exceeds a double", "")
        reason = f"fewer than {self.n_parameters + 1} distinct points"
        return Refits(parameters, np.where(few, reason, refusals))

    def refit_losses(self, observations: Observations) -> LawFit:
        """Fit other losses of the same points, from this optimum on."""
        everything = Resamples(np.ones((1, observations.n_runs)), np.log(observations.loss)[None])
        problems = self.problems(everything)
        solution = self.objective.solve(problems, threads=self.threads)
        settled = replace(problems, starts=self._settled(problems))
        theta = self.objective.polish(settled)[:, : self.n_parameters]
        return replace(self, observations=observations, theta=theta, starts=solution, others=())

    def problems(self, resamples: Resamples) -> Problems:
        """Pose every resample's objective, starting from the optimum of all runs."""
        weights, targets = resamples.at(self.observations, self.points)
        theta = np.repeat(self.theta, len(resamples), axis=0)
        return self.objective.pose(self.centred, targets - self.centred.centre[2], weights, theta)

    def _settled(self, problems: Problems) -> Floats:
        return self.objective.settle(
            problems,
            self.centred.starts(rescue=True),
            natural=self.centred.natural_bounds(),
            threads=self.threads,
        )[0]

    def recounted(self, observations: Observations) -> LawFit:
        """Give the same law with C counted otherwise: it enters at the optimum alone."""
        own = observations.at(self.points)
        cost = flops_per_token(own.params, own.tokens, own.flops)
        return replace(self, observations=observations, cost=cost, others=())

    def bounds_hit(self) -> list[str]:
        """Name the parameters that ended at a bound."""
        return bounds_hit(self.centred.solved_names, self.theta[0], *self.centred.bounds())

    @property
    def flops_range(self) -> tuple[float, float]:
        """Smallest and largest C of the fitted points."""
        return self.tested_points.flops_range

    @cached_property
    def _misfit(self) -> tuple[dict[str, Any], dict[str, Any] | None]:
        own = self.tested_points
        n, d = np.log(own.params), np.log(own.tokens)
        tests = score_tests(self.centred.model.jacobian(self.theta), self.residuals, n, d)
        parameters = self.n_parameters
        return tests, pure_error(self.residuals, own.params, own.tokens, parameters=parameters)

    def diagnostics(self) -> InteractionDiagnostics:
        """Say how good and how certain the optimum is."""
        tests, pure = self._misfit
        free = self.settings.objective == "likelihood"
        account = solved(
            self.starts,
            kind=self.settings.objective,
            tolerance=FREE_SCALE_TOLERANCE if free else TOLERANCE,
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
        nesting = nesting_tests(
            self.centred,
            self.theta,
            np.log(self.tested_points.loss) - self.centred.centre[2],
            delta=self.settings.delta if free else HUBER_DELTA["likelihood"],
            threads=self.threads,
        )
        return InteractionDiagnostics.model_validate(
            {
                "approach": self.approach,
                "account": account,
                "residuals": residuals_of(self.tested_points, self.residuals),
                "trends": trends_of(self.tested_points, self.residuals),
                "huber_delta": None if self.settings.objective == "mse" else self.settings.delta,
                "scale": scale,
                "log_likelihood": reached,
                "nesting_tests": nesting,
                "misfit": tests,
                "pure_error": pure,
                "countings": [
                    _counted(self.counting, self),
                    *(_counted(counting, other) for counting, other in self.others),
                ],
            }
        )

    def cautions(self) -> list[str]:
        """Warn of vanished terms, of confounded parameters, of mixed counting and of misfit."""
        cautions = [
            f"{name} ended at its bound: the sweep does not determine it."
            for name in self.bounds_hit()
            if name != "E"
        ]
        if "E" in self.bounds_hit():
            cautions.append(
                "E is zero at the optimum: on these runs the loss has no floor that this law could "
                "tell, as in Kaplan et al. (2020), and its losses far beyond the data fall to zero."
            )
        condition = condition_number(self.centred.model, self.theta)
        if condition > ILL_CONDITIONED:
            cautions.append(
                "The parameters are hard to tell apart on this sweep (condition number "
                f"{condition:.0e}): their intervals are wide and hang together."
            )
        if self.cost.largest_deviation > 0.05:
            cautions.append(
                f"N is counted as {self.counting.params} and C as {self.counting.flops}; FLOPs "
                f"per token follow N**{self.cost.exponent:.2f} only within "
                f"{self.cost.largest_deviation:.0%}, and the optimum extrapolates that."
            )
        return [*cautions, *self._turns(), *misfit_cautions(*self._misfit)]

    def _turns(self) -> list[str]:
        """Say where a product term has the loss rise with N or D."""
        if not self.centred.form.is_product:
            return []
        own = self.tested_points
        _, log_a, log_b, alpha, beta, kappa = self.centred.terms(self.theta)[0]
        p = np.exp(log_a - alpha * np.log(own.params))
        q = np.exp(log_b - beta * np.log(own.tokens))
        turned = int(((1.0 + kappa * p <= 0.0) | (1.0 + kappa * q <= 0.0)).sum())
        if turned == 0:
            return []
        return [
            f"At {turned} of {len(p)} fitted points this law has the loss rise with N or with D: "
            "its product term outgrows the others at small sizes or few tokens. Use it for larger "
            "ones only."
        ]


@dataclass(frozen=True, eq=False)
class NestedFit(LawFit):
    """L = E + (A N**-alpha + B D**-beta)**gamma."""

    approach: ClassVar[Approach] = "nested"
    kind: ClassVar[type[InteractionLoss]] = NestedLoss


@dataclass(frozen=True, eq=False)
class NoFloorFit(LawFit):
    """The same with E = 0."""

    approach: ClassVar[Approach] = "no_floor"
    kind: ClassVar[type[InteractionLoss]] = NoFloorLoss


@dataclass(frozen=True, eq=False)
class KaplanLawFit(LawFit):
    """L = ((N_c / N)**(alpha_N / alpha_D) + D_c / D)**alpha_D: Kaplan's, from final losses."""

    approach: ClassVar[Approach] = "kaplan_law"
    kind: ClassVar[type[InteractionLoss]] = KaplanLoss


@dataclass(frozen=True, eq=False)
class ProductFit(LawFit):
    """L = E + A N**-alpha + B D**-beta + G N**-alpha D**-beta."""

    approach: ClassVar[Approach] = "product"
    kind: ClassVar[type[InteractionLoss]] = ProductLoss


def fit_law(
    observations: Observations,
    kind: type[LawFit],
    settings: LawSettings,
    *,
    recount: Callable[[CountingSettings], Observations] | None = None,
    threads: int | None = None,
) -> LawFit:
    """Fit one law with an interaction to log L.

    Parameters
    ----------
    observations : the sweep's points, counted.
    kind : which law.
    settings : objective, starts, points.
    recount : gives the same points counted otherwise; with it, the law is fitted under both papers'
        countings.
    threads : blocks of starts or draws solved at a time; no byte depends on it.

    Raises
    ------
    UnderdeterminedError : no more points than parameters, or a single size or token count.
    """
    fit = _fit(observations, kind, settings, threads)
    if recount is None:
        return fit
    others = []
    for counting in COUNTINGS:
        if counting == observations.counting:
            continue
        other: LawFit | str
        try:
            other = _fit(recount(counting), kind, settings, threads)
        except (MissingFactError, UnderdeterminedError) as error:
            other = str(error)
        others.append((counting, other))
    return replace(fit, others=tuple(others))


def _fit(
    observations: Observations, kind: type[LawFit], settings: LawSettings, threads: int | None
) -> LawFit:
    points = _points(observations, settings)
    _require_points(observations, points, kind)
    own = observations.at(points)
    centred = CentredInteraction.of(kind.kind.form, own.params, own.tokens, own.loss)
    starts = centred.starts()
    if settings.starts == "hoffmann":
        starts = centred.from_hoffmann(np.array(list(product(*HOFFMANN_GRID))))
    targets = (np.log(own.loss) - centred.centre[2])[None]
    objective = _objective(settings)
    solution = objective.descend(centred, targets, starts, threads=threads)
    best = int(solution.objective.argmin())
    near = solution.theta[best : best + 1, : centred.n_parameters]
    theta = objective.polish(objective.pose(centred, targets, np.ones_like(targets), near))
    return kind(
        observations,
        settings,
        points,
        centred,
        flops_per_token(own.params, own.tokens, own.flops),
        theta[:, : centred.n_parameters],
        solution,
        threads=threads,
    )


def _objective(settings: LawSettings) -> Objective:
    return Objective(settings.objective, settings.delta)


def _points(observations: Observations, settings: LawSettings) -> Ints:
    points = (
        np.flatnonzero(observations.is_final)
        if settings.points == "final"
        else np.arange(len(observations.loss))
    )
    if settings.drop_highest:
        order = np.argsort(observations.loss[points], kind="stable")
        points = np.sort(points[order[: -settings.drop_highest]])
    return points


def _require_points(observations: Observations, points: Ints, kind: type[LawFit]) -> None:
    least = restriction(kind.kind.form).size + 1
    sizes = len(np.unique(observations.params[points]))
    horizons = len(np.unique(observations.tokens[points]))
    if len(points) < least or sizes < 2 or horizons < 2:
        raise UnderdeterminedError(
            f"{kind.approach} needs {least} points with at least two sizes and two token counts; "
            f"sweep {observations.sweep} has {len(points)} with {sizes} and {horizons}. Add runs, "
            f"or take whole curves with approaches.{kind.approach}.points: all."
        )


def _counted(counting: CountingSettings, fit: LawFit | str) -> CountedLaw:
    """Give the law under one counting, or why there is none."""
    if isinstance(fit, str):
        return CountedLaw(
            params=counting.params, flops=counting.flops, parameters=None, a=None, rms=None,
            refused=fit,
        )  # fmt: skip
    return CountedLaw(
        params=counting.params,
        flops=counting.flops,
        parameters=dict(zip(fit.names, fit.parameters.tolist(), strict=True)),
        a=float(fit.exponents(fit.parameters[None])[0][0]),
        rms=spread(fit.residuals).rms,
        refused=None,
    )
