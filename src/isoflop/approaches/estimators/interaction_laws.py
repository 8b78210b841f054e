"""The nested law L = E + (A N**-alpha + B D**-beta)**gamma, its special cases and its rival.

gamma = 1 is Hoffmann et al. (2022). E = 0 and beta = 1 is Kaplan et al. (2020), equation 1.5, with
gamma = alpha_D and alpha = alpha_N / alpha_D. So both papers' laws are points of one law, and which
of them a sweep supports is an estimate with an interval. The rival has a product term in place of
gamma, another way for size and data to interact.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np

from isoflop.approaches.estimators.account import (
    residuals_of,
    spread,
    trends_of,
)
from isoflop.approaches.estimators.loss_law import (
    MultistartFit,
    objective_of,
    points_of,
    prior_cautions,
    solve_from_starts,
)
from isoflop.approaches.estimators.misfit import misfit_cautions
from isoflop.approaches.estimators.nesting_tests import HYPOTHESES, SIMULATIONS, nesting_tests
from isoflop.approaches.numerics.centred_interaction import CentredInteraction, restriction
from isoflop.approaches.numerics.interaction import ALPHA, BETA, K
from isoflop.approaches.protocol import Refits, Resamples
from isoflop.config.approaches import HUBER_DELTA, CountingSettings
from isoflop.errors import MissingFactError, UnderdeterminedError
from isoflop.estimates.diagnostics import CountedLaw, InteractionDiagnostics
from isoflop.estimates.laws import KaplanLoss, NestedLoss, NoFloorLoss, ProductLoss, RootLoss

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from isoflop.approach import Approach
    from isoflop.approaches.numerics.multistart import Objective
    from isoflop.approaches.observations import Observations
    from isoflop.config.approaches import LawSettings
    from isoflop.estimates.laws import InteractionLoss

    Floats = NDArray[np.float64]
    Ints = NDArray[np.intp]

COUNTINGS: Final = (
    CountingSettings(params="total", flops="6nd"),
    CountingSettings(params="nonembedding", flops="kaplan"),
)
"""As Hoffmann et al. count, and as Kaplan et al. do."""
PRIOR_PARAMETERS: Final = {"alpha": ALPHA, "beta": BETA, "gamma": K}
"""Among the full parameters, by the name of their prior. alpha and beta are exponents of whole
terms, gamma included."""


@dataclass(frozen=True, eq=False)
class LawFit(MultistartFit):
    """One law with an interaction, fitted to one sweep.

    Attributes
    ----------
    others : the same law with N and C counted otherwise, or why it cannot be.
    """

    kind: ClassVar[type[InteractionLoss]]
    refits_sweeps: ClassVar[bool] = True
    # of the nested law a condition number of some thousands is usual
    ill_conditioned: ClassVar[float] = 1e5

    settings: LawSettings
    centred: CentredInteraction
    others: tuple[tuple[CountingSettings, LawFit | str], ...] = ()

    @property
    def law(self) -> InteractionLoss:
        """The law, with FLOPs per token as they are over the fitted runs."""
        return self.kind(flops_per_token=self.cost, frontier_at=self.observations.flops_range[1])

    @property
    def objective(self) -> Objective:
        """What is minimised."""
        return _objective(self.settings, self.centred)

    @property
    def least_points(self) -> int:
        """One more than there are parameters."""
        return self.n_parameters + 1

    @property
    def solved_names(self) -> tuple[str, ...]:
        """Name the free parameters in the solver's order."""
        return self.centred.solved_names

    def refit(self, resamples: Resamples) -> Refits:
        """Minimise every resample's objective from the optimum of all runs; see the base."""
        refits = super().refit(resamples)
        parameters, refusals = refits.parameters, refits.refusals
        # the solver's constants are those of the middle of the runs; the law's are far outside them
        points = self.fitted_points
        middle = np.log(points.params).mean(), np.log(points.tokens).mean()
        log_loss = self.law.log_loss(parameters, *(np.array([place]) for place in middle))
        beyond = ~(np.isfinite(parameters).all(axis=1) & np.isfinite(log_loss[:, 0]))
        beyond &= refusals == ""
        parameters[beyond] = np.nan
        reason = "an exponent so near zero that a constant of the law lies outside the doubles"
        return Refits(parameters, np.where(beyond, reason, refusals))

    def refit_losses(self, observations: Observations) -> LawFit:
        """Fit other losses of the same points, from this optimum on."""
        fit = replace(super().refit_losses(observations), others=())
        problems = fit.problems(Resamples(np.ones((1, observations.n_runs))))
        return replace(fit, theta=fit.objective.polish(problems)[:, : self.n_parameters])

    def recounted(self, observations: Observations) -> LawFit:
        """Give the same law with C counted otherwise: it enters at the optimum alone."""
        return replace(super().recounted(observations), others=())

    def diagnostics(self) -> InteractionDiagnostics:
        """Say how good and how certain the optimum is."""
        tests, pure = self.misfit
        solved = self.solved()
        return InteractionDiagnostics.model_validate(
            {
                "approach": self.approach,
                "account": solved.account,
                "residuals": residuals_of(self.fitted_points, self.residuals),
                "trends": trends_of(self.fitted_points, self.residuals),
                "huber_delta": None if self.settings.objective == "mse" else self.settings.delta,
                "scale": solved.scale,
                "log_likelihood": solved.log_likelihood,
                "nesting_tests": self.nesting_tests(),
                "misfit": tests,
                "pure_error": pure,
                "noise_parts": self.noise_parts,
                "countings": [
                    _counted(self.counting, self, recounted=False),
                    *(_counted(counting, other) for counting, other in self.others),
                ],
            }
        )

    def nesting_tests(self, *, simulations: int = SIMULATIONS) -> dict[str, Any]:
        """Test the law's special cases, and give the exponent a of each.

        Parameters
        ----------
        simulations : as for ``nesting_tests.nesting_tests``.
        """
        free = self.settings.objective == "likelihood"
        tests = nesting_tests(
            self.centred,
            self.theta,
            np.log(self.fitted_points.loss) - self.centred.log_loss_offset,
            delta=self.settings.delta if free else HUBER_DELTA["likelihood"],
            simulations=simulations,
            threads=self.threads,
        )
        forms = {tested.form.name: tested.form for tested in HYPOTHESES[self.centred.form.name]}
        for name, test in tests["hypotheses"].items():
            parameters = np.array([[test["parameters"][key] for key in forms[name].names]])
            slope = forms[name].frontier_slope(
                forms[name].terms(parameters),
                self.law.frontier_at,
                coefficient=self.cost.coefficient,
                exponent=self.cost.exponent,
            )
            test["a"] = float(slope[0])
        return tests

    def cautions(self) -> list[str]:
        """Warn of vanished terms, of mixed counting and of misfit."""
        cautions = prior_cautions(self.settings)
        cautions += self.bound_cautions()
        cautions += self.counting_cautions()
        return [*cautions, *self._turns(), *misfit_cautions(*self.misfit)]

    def _turns(self) -> list[str]:
        """Say where a product term has the loss rise with N or D."""
        if not self.centred.form.is_product:
            return []
        taken = self.fitted_points
        _, log_a, log_b, alpha, beta, kappa = self.centred.terms(self.theta)[0]
        p = np.exp(log_a - alpha * np.log(taken.params))
        q = np.exp(log_b - beta * np.log(taken.tokens))
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
class RootFit(LawFit):
    """L = E + (A N**-alpha + B D**-beta)**(1/2)."""

    approach: ClassVar[Approach] = "root"
    kind: ClassVar[type[InteractionLoss]] = RootLoss


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
    least = restriction(kind.kind.form).size + 1
    points = points_of(observations, settings, kind.approach, least=least)
    taken = observations.at(points)
    centred = CentredInteraction.of(kind.kind.form, taken.params, taken.tokens, taken.loss)
    objective = _objective(settings, centred)
    solution = solve_from_starts(centred, taken.loss, objective, settings, threads=threads)
    best = int(solution.objective.argmin())
    near = solution.theta[best : best + 1, : centred.n_parameters]
    fit = kind(observations, points, settings, centred, near, solution, threads)
    problems = fit.problems(Resamples(np.ones((1, observations.n_runs))))
    return replace(fit, theta=objective.polish(problems)[:, : centred.n_parameters])


def _objective(settings: LawSettings, centred: CentredInteraction) -> Objective:
    columns = {name: centred.restriction.columns[at] for name, at in PRIOR_PARAMETERS.items()}
    return objective_of(settings, columns)


def _counted(
    counting: CountingSettings, fit: LawFit | str, *, recounted: bool = True
) -> CountedLaw:
    """Give the law under one counting, or why there is none.

    Parameters
    ----------
    recounted : whether it is another counting than the fit's own.
    """
    if isinstance(fit, str):
        return CountedLaw(
            params=counting.params, flops=counting.flops, parameters=None, a=None, rms=None,
            hypotheses={}, refused=fit,
        )  # fmt: skip
    return CountedLaw(
        params=counting.params,
        flops=counting.flops,
        parameters=dict(zip(fit.names, fit.parameters.tolist(), strict=True)),
        a=float(fit.exponents(fit.parameters[None])[0][0]),
        rms=spread(fit.residuals).rms,
        hypotheses=fit.nesting_tests(simulations=0)["hypotheses"] if recounted else {},
        refused=None,
    )
