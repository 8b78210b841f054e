"""Laws of the loss L(N, D): what their fits have in common, whatever the law's form."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, Protocol, Self

import numpy as np

from isoflop.approaches.estimators.account import bounds_hit, condition_number, solved
from isoflop.approaches.estimators.cost import flops_per_token
from isoflop.approaches.estimators.misfit import joint_p_value, pure_error, score_tests
from isoflop.approaches.estimators.noise_parts import parts_of
from isoflop.approaches.numerics.likelihood import MAX_STEPS, log_likelihood
from isoflop.approaches.numerics.multistart import (
    HOFFMANN_STARTS,
    Objective,
    SoughtLaw,
    likelihood_objective,
)
from isoflop.approaches.numerics.solver import LogPrior, Model
from isoflop.approaches.protocol import Fit, Refits, Resamples
from isoflop.cells import GAP, cells_of, number_of_cells
from isoflop.errors import UnderdeterminedError
from isoflop.estimates.estimate import prior_words
from isoflop.numbers import listed, per_cent

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from isoflop.approach import Approach
    from isoflop.approaches.numerics.solver import Problems, Solution
    from isoflop.approaches.observations import Observations
    from isoflop.config.approaches import ExponentPrior
    from isoflop.estimates.diagnostics import Account, NoiseParts
    from isoflop.estimates.laws import FlopsPerToken

    Floats = NDArray[np.float64]
    Ints = NDArray[np.intp]

LOOSE: Final = {"a": 0.05, "params": 0.4, "loss": 0.01, "E": 0.1}
"""Standard errors above which an answer counts as open: of a, log N*, log L* and E [nat]."""


@dataclass(frozen=True, eq=False)
class LossLawFit(Fit):
    """A law of the loss fitted to some points of a sweep.

    Attributes
    ----------
    observations : the sweep.
    points : index of the fitted observations.
    """

    observations: Observations
    points: Ints

    @abstractmethod
    def log_loss(self) -> Floats:
        """Give log L of the law at the fitted points, (points,)."""

    @cached_property
    def fitted_points(self) -> Observations:
        """The fitted points alone."""
        return self.observations.at(self.points)

    @cached_property
    def fitted(self) -> Floats:
        """Log of the law at the fitted points; NaN elsewhere."""
        fitted = np.full(len(self.observations.loss), np.nan)
        fitted[self.points] = self.log_loss()
        return fitted

    @property
    def residuals(self) -> Floats:
        """Log of observed over fitted loss at the fitted points."""
        return np.asarray((np.log(self.observations.loss) - self.fitted)[self.points])

    @cached_property
    def cost(self) -> FlopsPerToken:
        """FLOPs per token as a function of N, as they are over the fitted points."""
        taken = self.fitted_points
        return flops_per_token(taken.params, taken.tokens, taken.flops)

    @property
    def flops_range(self) -> tuple[float, float]:
        """Smallest and largest C of the fitted points."""
        return self.fitted_points.flops_range


class LossLawSettings(Protocol):
    """What the settings of a law of the loss must tell."""

    @property
    def objective(self) -> Literal["huber", "mse", "likelihood"]:
        """What is minimised."""
        ...

    @property
    def delta(self) -> float:
        """Huber's delta, in the objective's own unit."""
        ...

    @property
    def priors(self) -> Mapping[str, ExponentPrior]:
        """Of exponents, by name; beside a likelihood alone."""
        ...

    @property
    def starts(self) -> Literal["hoffmann", "coarse"]:
        """From where."""
        ...

    @property
    def points(self) -> Literal["final", "all"]:
        """Last points, or whole curves."""
        ...

    @property
    def drop_highest(self) -> int:
        """How many of the highest losses are left out."""
        ...


class FreeScaleFit(NamedTuple):
    """What a likelihood with a free scale gives besides the parameters; None for other objectives.

    Attributes
    ----------
    account : the solver's account.
    scale : of the residuals of log L.
    log_likelihood : at the optimum.
    """

    account: Account
    scale: float | None
    log_likelihood: float | None


class ModelWithJacobian(Model, Protocol):
    """A law for the solver whose derivatives can also be had point by point."""

    def jacobian(self, theta: Floats) -> Floats:
        """Give the derivatives (points, parameters) of log L at theta (1, parameters)."""
        ...


class CentredForm(SoughtLaw, Protocol):
    """A law at some points, where it is well conditioned, and its way to and from the law's own."""

    @property
    def model(self) -> ModelWithJacobian:
        """The law, for the solver."""
        ...

    @property
    def n_parameters(self) -> int:
        """Number of free parameters."""
        ...

    @property
    def log_loss_offset(self) -> float:
        """What the solver's targets are below log L."""
        ...

    def starts(self, *, rescue: bool = False) -> Floats:
        """List starts that lie around any data; few of them to rescue a doubtful resample."""
        ...

    def from_hoffmann(self, starts: Floats) -> Floats:
        """Start from rows of log E, log A, log B, alpha, beta."""
        ...

    def natural_bounds(self) -> Floats:
        """Give the lower bounds that an optimum may well lie at; NaN for the others."""
        ...

    def reported(self, theta: Floats) -> Floats:
        """Give the law's own parameters, of rows of the solver's."""
        ...


@dataclass(frozen=True, eq=False)
class MultistartFit(LossLawFit):
    """A law of the loss that the batched solver finds from many starts.

    Attributes
    ----------
    observations : the sweep.
    points : index of the fitted observations.
    settings : objective, starts, points.
    centred : the law at these points.
    theta : (1, parameters) the optimum, in the law's centred parameters.
    starts : where each start ended.
    threads : blocks solved at a time.
    """

    settings: LossLawSettings
    centred: CentredForm
    theta: Floats
    starts: Solution
    threads: int | None = None

    @property
    @abstractmethod
    def least_points(self) -> int:
        """Fewest distinct points that a resample must have."""

    @property
    @abstractmethod
    def ill_conditioned(self) -> float:
        """Condition number above which parameters count as hard to tell apart."""

    @property
    @abstractmethod
    def objective(self) -> Objective:
        """What is minimised."""

    @property
    def n_parameters(self) -> int:
        """Number of free parameters."""
        return self.centred.n_parameters

    @property
    def parameters(self) -> Floats:
        """The parameters, in the order of ``names``."""
        return np.asarray(self.centred.reported(self.theta)[0])

    def log_loss(self) -> Floats:
        """Give log L of the law at the fitted points, (points,)."""
        value = self.centred.model.value(self.theta)[0][0] + self.centred.log_loss_offset
        return np.asarray(value)

    def problems(self, resamples: Resamples) -> Problems:
        """Pose every resample's objective, starting from the optimum of all runs."""
        weights, log_loss = resamples.at(self.observations, self.points)
        theta = np.repeat(self.theta, len(resamples), axis=0)
        targets = log_loss - self.centred.log_loss_offset
        return self.objective.pose(self.centred, targets, weights, theta)

    def refit(self, resamples: Resamples) -> Refits:
        """Minimise every resample's objective from the optimum of all runs.

        A resample that ends at a bound that is none of the law's own, or unconverged, is solved
        again from a few other starts, and the better end is kept. Elsewhere no sweep has shown a
        better basin (the tests of each law look for one).
        """
        problems = self.problems(resamples)
        parameters = self.centred.reported(self.settled(problems))
        few = (problems.weights > 0).sum(axis=1) < self.least_points
        refusals = np.where(few, f"fewer than {self.least_points} distinct points", "")
        parameters[few] = np.nan
        return Refits(parameters, refusals)

    def refit_losses(self, observations: Observations) -> Self:
        """Fit other losses of the same points, from this optimum on."""
        everything = Resamples(np.ones((1, observations.n_runs)), np.log(observations.loss)[None])
        problems = self.problems(everything)
        starts = self.objective.solve(problems, threads=self.threads)
        theta = self.settled(problems)
        return replace(self, observations=observations, theta=theta, starts=starts)

    def settled(self, problems: Problems) -> Floats:
        """Give each problem's optimum, doubtful ones solved again from other starts."""
        return self.objective.settle(
            problems,
            self.centred.starts(rescue=True),
            natural=self.centred.natural_bounds(),
            threads=self.threads,
        )[0]

    def recounted(self, observations: Observations) -> Self:
        """Give the same law with C counted otherwise: it enters at the optimum alone."""
        return replace(self, observations=observations)

    @cached_property
    def condition_number(self) -> float:
        """How hard the parameters are to tell apart; see ``account.condition_number``."""
        return condition_number(self.centred.model, self.theta)

    @cached_property
    def misfit(self) -> tuple[dict[str, Any], dict[str, Any] | None]:
        """Test the law's form on its residuals, and against replicates; see ``misfit.py``."""
        taken = self.fitted_points
        n, d = np.log(taken.params), np.log(taken.tokens)
        tests = score_tests(self.centred.model.jacobian(self.theta), self.residuals, n, d)
        # a copy's rounding is no seed's noise
        once = self.observations.once[taken.run]
        taken = taken.at(once)
        trained = taken.params, taken.tokens, taken.settings
        return tests, pure_error(self.residuals[once], *trained, parameters=self.n_parameters)

    @cached_property
    def noise_parts(self) -> NoiseParts | None:
        """Tell the parts of the runs' last residuals apart; see ``noise_parts.py``."""
        taken = self.fitted_points
        # points are sorted by run, then tokens; those of one curve err together
        last = np.flatnonzero(np.diff(taken.run, append=-1))
        last = last[self.observations.once[taken.run[last]]]
        ends = taken.at(last)
        jacobian = self.centred.model.jacobian(self.theta)[last]
        return parts_of(jacobian, self.residuals[last], ends.params, ends.tokens, ends.settings)

    @property
    def misfit_p_value(self) -> float | None:
        """Of the joint test of the law's form."""
        p_value: float | None = self.misfit[0]["joint"]["p_value"]
        return p_value

    def misfits_of(self, log_loss: Floats) -> list[float | None]:
        """Test the law's form on many sweeps of the same runs, each fitted anew.

        Parameters
        ----------
        log_loss : (sweeps, points) log of the losses of each, at every observed point.

        Returns
        -------
        The p-value of ``misfit``'s joint test for each sweep; None where there is nothing to test.
        """
        everything = Resamples(np.ones((len(log_loss), self.observations.n_runs)), log_loss)
        theta = self.settled(self.problems(everything))[:, : self.n_parameters]
        points = self.fitted_points
        n, d = np.log(points.params), np.log(points.tokens)
        p_values = []
        for row, losses in zip(theta, log_loss[:, self.points], strict=True):
            fitted = self.centred.model.value(row[None])[0][0] + self.centred.log_loss_offset
            jacobian = self.centred.model.jacobian(row[None])
            p_values.append(joint_p_value(jacobian, losses - fitted, n, d))
        return p_values

    def bounds_hit(self) -> list[str]:
        """Name the parameters that ended at a bound."""
        return bounds_hit(self.solved_names, self.theta[0], *self.centred.bounds())

    def bound_cautions(self) -> list[str]:
        """Say which parameters ended at a bound, and what E = 0 means."""
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
        return cautions

    @property
    def solved_names(self) -> tuple[str, ...]:
        """Name the free parameters in the solver's order."""
        return self.names

    def solved(self) -> FreeScaleFit:
        """Say where the starts ended, and the scale where it is free."""
        objective = self.objective
        account = solved(
            self.starts,
            kind=objective.kind,
            tolerance=objective.tolerance,
            max_steps=MAX_STEPS,
            bounds_hit=self.bounds_hit(),
            condition_number=self.condition_number,
            degrees_of_freedom=len(self.points) - self.n_parameters,
        )
        if objective.kind != "likelihood":
            return FreeScaleFit(account, None, None)
        best = int(self.starts.objective.argmin())
        lowest = self.starts.objective[best]
        reached = float(log_likelihood(lowest, len(self.points), objective.delta))
        account = account.model_copy(update={"objective": -reached})
        return FreeScaleFit(account, float(np.exp(self.starts.theta[best, -1])), reached)

    @cached_property
    def standard_errors(self) -> dict[str, float]:
        """Give the delta method's standard errors of a, log N*, log L* and E; infinite if free.

        N* and L* stand in the middle of the fitted C; E is left out of a law without. A gradient
        that leans towards the null space of J'J, as on a ray, makes the error of its quantity
        large, whatever the errors of the parameters one by one.
        """
        errors = self._errors(self._judged)
        names = ("a", "params", "loss", "E")[: len(errors)]
        return {name: float(error) for name, error in zip(names, errors, strict=True)}

    def size_errors(self, flops: Floats, without: Sequence[int] = ()) -> Floats | None:
        """Give the delta method's standard errors of log N*, infinite if free.

        With priors they would be of the runs alone, and none are given.
        """
        if self.objective.prior is not None:
            return None
        return self._errors(
            lambda parameters: np.log(self.optima(parameters, flops).params), without
        )

    def _errors(self, judged: Callable[[Floats], Floats], without: Sequence[int] = ()) -> Floats:
        """Give the delta method's standard errors of what is made of rows of parameters."""
        known = ~np.isin(self.fitted_points.run, without)
        jacobian = self.centred.model.jacobian(self.theta)[known]
        _, lengths, directions = np.linalg.svd(jacobian, full_matrices=False)
        freedom = max(len(self.points) - self.n_parameters, 1)
        scatter = float(np.sqrt(self.residuals @ self.residuals / freedom))
        step = 1e-5 * np.maximum(1.0, np.abs(self.theta[0]))
        shifted = np.concatenate([self.theta + np.diag(step), self.theta - np.diag(step)])
        values = judged(self.centred.reported(shifted))
        up, down = np.split(values, 2)
        gradients = (up - down) / (2.0 * step[:, None])
        with np.errstate(divide="ignore", invalid="ignore"):
            along = directions @ gradients / lengths[:, None]
            errors = scatter * np.sqrt((along**2).sum(axis=0))
        return np.where(np.isfinite(errors), errors, np.inf)

    @property
    def middle(self) -> float:
        """The geometric middle of the fitted C [FLOP]."""
        low, high = self.flops_range
        return float(np.sqrt(low * high))

    def _judged(self, parameters: Floats) -> Floats:
        """Give a, log N*, log L* and, where the law has one, E of rows of parameters."""
        a, _ = self.exponents(parameters)
        optima = self.optima(parameters, np.array([self.middle]))
        columns = [a, np.log(optima.params[:, 0]), np.log(optima.loss[:, 0])]
        if "E" in self.names:
            columns.append(parameters[:, self.names.index("E")])
        return np.stack(columns, axis=-1)

    def confounded(self, *, by_form: bool) -> list[str]:
        """Say which answers parameters that are hard to tell apart leave open, and which not."""
        if self.condition_number <= self.ill_conditioned:
            return []
        start = (
            "The parameters are hard to tell apart on these runs (condition number "
            f"{self.condition_number:.0e})"
        )
        if by_form:
            return [f"{start}: one constant of the law by itself means little."]
        errors = self.standard_errors
        words = {
            "a": f"a (± {errors['a']:.2g})",
            "params": f"the best N at {self.middle:.2g} FLOPs "
            f"(a factor of {np.exp(min(errors['params'], 700.0)):.3g})",
            "loss": f"its loss (± {per_cent(np.expm1(min(errors['loss'], 700.0)), 2)})",
            "E": f"E (± {errors.get('E', 0.0):.2g} nats)",
        }
        loose = [words[name] for name, error in errors.items() if error > LOOSE[name]]
        tight = [words[name] for name, error in errors.items() if error <= LOOSE[name]]
        verdicts = [
            f"leave open {listed(loose)}" if loose else "",
            f"determine {listed(tight)}" if tight else "",
        ]
        return [
            f"{start}. By the delta method's standard errors they "
            f"{', but '.join(filter(None, verdicts))}; one constant of the law by itself means "
            "little."
        ]

    def counting_cautions(self) -> list[str]:
        """Warn where FLOPs per token do not follow a power of N."""
        if self.cost.largest_deviation <= 0.05:
            return []
        return [
            f"N is counted as {self.counting.params} and C as {self.counting.flops}; FLOPs "
            f"per token follow N^{self.cost.exponent:.2f} only within "
            f"{per_cent(self.cost.largest_deviation)}, and the optimum extrapolates that."
        ]


def objective_of(settings: LossLawSettings, columns: Mapping[str, int | None]) -> Objective:
    """Give what a law minimises.

    Parameters
    ----------
    settings : the law's.
    columns : column of each exponent that may have a prior among the solver's parameters; None
        where it is not free.
    """
    if settings.objective != "likelihood":
        return Objective(settings.objective, settings.delta)
    likelihood = likelihood_objective(settings.delta)
    priors = {
        at: prior for name, prior in settings.priors.items() if (at := columns[name]) is not None
    }
    if not priors:
        return likelihood
    mean = np.log([prior.median for prior in priors.values()])
    sd = np.array([prior.sd for prior in priors.values()])
    return replace(likelihood, prior=LogPrior(tuple(priors), mean, sd))


def prior_cautions(settings: LossLawSettings) -> list[str]:
    """Say that a law knows of its exponents before the runs are seen."""
    if not settings.priors:
        return []
    return [
        f"This fit has priors of {prior_words(settings.priors)}: what it says is not of "
        "these runs alone, nor is the width of its intervals."
    ]


def points_of(
    observations: Observations, settings: LossLawSettings, approach: Approach, *, least: int
) -> Ints:
    """Choose the points that a law of the loss is fitted to.

    Parameters
    ----------
    observations : the sweep's points.
    settings : last points or whole curves, and how many of the highest losses are left out.
    approach : for the message.
    least : fewest points that the law can be fitted to.

    Returns
    -------
    Index into the observations, ascending.

    Raises
    ------
    UnderdeterminedError : fewer points, or a single size or token count among them.
    """
    points = (
        np.flatnonzero(observations.is_final)
        if settings.points == "final"
        else np.arange(len(observations.loss))
    )
    if settings.drop_highest:
        order = np.argsort(observations.loss[points], kind="stable")
        points = np.sort(points[order[: -settings.drop_highest]])
    sizes, horizons = (
        number_of_cells(cells_of(axis[points]))
        for axis in (observations.params, observations.tokens)
    )
    # whole curves leave no gaps in D
    several = bool(np.ptp(np.log(observations.tokens[points])) > GAP) if len(points) else False
    if len(points) < least or sizes < 2 or not several:
        raise UnderdeterminedError(
            f"{approach} needs {least} points with at least three sizes and three token counts; "
            f"sweep {observations.sweep} has {len(points)} with {sizes} and {horizons}. Add runs, "
            f"or take whole curves with approaches.{approach}.points: all."
        )
    return points


def solve_from_starts(
    centred: CentredForm,
    loss: Floats,
    objective: Objective,
    settings: LossLawSettings,
    *,
    threads: int | None,
) -> Solution:
    """Solve a law from the starts that the settings name; see ``Objective.descend``.

    Parameters
    ----------
    centred : the law at its points.
    loss : (points,) L [nat/token].
    objective : what is minimised.
    settings : which starts.
    threads : blocks of starts solved at a time; no byte depends on it.
    """
    starts = (
        centred.from_hoffmann(HOFFMANN_STARTS)
        if settings.starts == "hoffmann"
        else centred.starts()
    )
    targets = (np.log(loss) - centred.log_loss_offset)[None]
    return objective.descend(centred, targets, starts, threads=threads)
