"""The over-training law of Gadre et al. (2024): loss by compute and tokens per parameter."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import TYPE_CHECKING, ClassVar, Final

import numpy as np

from isoflop.approaches.estimators.account import (
    bounds_hit,
    condition_number,
    residuals_of,
    solved,
    trends_of,
)
from isoflop.approaches.estimators.loss_law import LossLawFit
from isoflop.approaches.numerics.solver import Model, Problems, Solution, minimise
from isoflop.approaches.numerics.sum_of_powers import SumOfPowers, Term
from isoflop.approaches.protocol import Refits, Resamples
from isoflop.errors import UnderdeterminedError
from isoflop.estimates.diagnostics import OvertrainingDiagnostics
from isoflop.estimates.laws import OvertrainingLaw
from isoflop.numbers import number_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from isoflop.approach import Approach
    from isoflop.approaches.observations import Observations
    from isoflop.config.approaches import OvertrainingSettings

    Floats = NDArray[np.float64]
    Ints = NDArray[np.intp]

MIN_POINTS: Final = 5
SHARES: Final = (0.2, 0.5, 0.8)
"""E of the starts, as a share of the lowest loss."""
ETAS: Final = (0.03, 0.1, 0.2, 0.4)
LOWER: Final = (-14.0, -14.0, -14.0, 1e-3)
UPPER: Final = (7.0, 7.0, 7.0, 3.0)
"""Bounds of the logs of the three terms at the centre of the data, and of eta."""
TOLERANCE: Final = 1e-12
MAX_STEPS: Final = 1000
E_, A_, B_, ETA = range(4)


@dataclass(frozen=True, eq=False)
class PlainSum:
    """The sum of power laws itself, where ``SumOfPowers`` has its logarithm; a ``solver.Model``.

    With s_k the terms and z_k the gradients of their logarithms, J = sum_k s_k z_k and the Hessian
    of sum_i rho(L_i) is J' diag(curvature) J + sum_k Z_k' diag(slope s_k) Z_k: that of the
    logarithm with the terms for their shares and the curvature raised by the slope.
    """

    law: SumOfPowers

    def value(self, theta: Floats) -> tuple[Floats, list[Floats]]:
        """Give L, and its terms for the derivatives."""
        log_loss, shares = self.law.value(theta)
        loss = np.exp(log_loss)
        return loss, [share * loss for share in shares]

    def gradient(self, state: list[Floats], slope: Floats) -> Floats:
        """Give the gradient of sum_i rho(L_i)."""
        return self.law.gradient(state, slope)

    def derivatives(
        self, state: list[Floats], slope: Floats, curvature: Floats
    ) -> tuple[Floats, Floats]:
        """Give gradient and Hessian of sum_i rho(L_i)."""
        return self.law.derivatives(state, slope, curvature + slope)


@dataclass(frozen=True, eq=False)
class OvertrainingFit(LossLawFit):
    """E, A, B and eta of L = E + (A M**eta + B M**-eta) C**-eta, M tokens per parameter.

    Attributes
    ----------
    settings : what is squared.
    centre : (2,) means of log(C / M) and log(C M).
    model : the law at these points.
    solution : where each start ended.
    """

    approach: ClassVar[Approach] = "overtraining"

    settings: OvertrainingSettings
    centre: Floats
    model: SumOfPowers
    solution: Solution

    @property
    def law(self) -> OvertrainingLaw:
        """The law, with FLOPs per token as they are over the fitted runs."""
        return OvertrainingLaw(flops_per_token=self.cost)

    @property
    def n_parameters(self) -> int:
        """E, A, B and eta."""
        return 4

    @cached_property
    def theta(self) -> Floats:
        """The optimum in centred parameters, (1, 4)."""
        best = int(self.solution.objective.argmin())
        return self.solution.theta[best : best + 1]

    @property
    def parameters(self) -> Floats:
        """E, A, B, eta."""
        return np.asarray(self._natural(self.theta)[0])

    def log_loss(self) -> Floats:
        """Give log L of the law at the fitted points, (points,)."""
        return np.asarray(self.model.value(self.theta)[0][0])

    def refit(self, resamples: Resamples) -> Refits:
        """Minimise every resample's squares from the optimum of all runs."""
        weights, log_loss = resamples.at(self.observations, self.points)
        theta = np.repeat(self.theta, len(resamples), axis=0)
        solution = _solve(self.model, log_loss, weights, theta, self.settings)
        few = (weights > 0).sum(axis=1) < MIN_POINTS
        parameters = self._natural(solution.theta)
        parameters[few] = np.nan
        return Refits(parameters, np.where(few, f"fewer than {MIN_POINTS} distinct points", ""))

    def refit_losses(self, observations: Observations) -> OvertrainingFit:
        """Fit other losses."""
        return fit_overtraining(observations, self.settings)

    def diagnostics(self) -> OvertrainingDiagnostics:
        """Say how good the optimum is."""
        taken = self.fitted_points
        return OvertrainingDiagnostics(
            account=solved(
                self.solution,
                kind="least squares of L"
                if self.settings.residual == "loss"
                else "least squares of log L",
                tolerance=TOLERANCE,
                max_steps=MAX_STEPS,
                bounds_hit=bounds_hit(self.names, self.theta[0], np.array(LOWER), np.array(UPPER)),
                condition_number=condition_number(self.model, self.theta),
                degrees_of_freedom=len(self.points) - self.n_parameters,
            ),
            residuals=residuals_of(taken, self.residuals),
            trends=trends_of(taken, self.residuals),
            residual=self.settings.residual,
            tokens_per_param=(taken.tokens / taken.params).tolist(),
        )

    def cautions(self) -> list[str]:
        """Warn of few degrees of freedom."""
        spare = len(self.points) - len(self.names)
        if spare > 3:
            return []
        return [
            f"Four parameters are fitted to {len(self.points)} runs: the fit says little of its "
            "own error; test it on runs that were not fitted."
        ]

    def _natural(self, theta: Floats) -> Floats:
        eta = theta[:, ETA]
        with np.errstate(over="ignore"):
            return np.stack(
                [
                    np.exp(theta[:, E_]),
                    np.exp(theta[:, A_] + eta * self.centre[0]),
                    np.exp(theta[:, B_] + eta * self.centre[1]),
                    eta,
                ],
                axis=-1,
            )


def fit_overtraining(observations: Observations, settings: OvertrainingSettings) -> OvertrainingFit:
    """Fit L(C, M) = E + (A M**eta + B M**-eta) C**-eta by least squares, M = D / N.

    Under C = 6ND this is Hoffmann's law with alpha = beta = 2 eta, A 6**-eta and B 6**-eta. Runs
    with the role ``check`` are not fitted.

    Parameters
    ----------
    observations : the sweep's points, counted.
    settings : what is squared.

    Raises
    ------
    UnderdeterminedError : fewer than five runs, or all with the same M or the same C.

    References
    ----------
    Gadre et al. 2024, equation 4 and section 3.2.
    """
    points = np.flatnonzero(observations.is_final)
    taken = observations.at(points)
    ratio = taken.tokens / taken.params
    if len(points) < MIN_POINTS or np.ptp(np.log(ratio)) < 0.1 or np.ptp(np.log(taken.flops)) < 0.1:
        raise UnderdeterminedError(
            f"overtraining needs {MIN_POINTS} finished runs that differ in tokens per parameter "
            f"and in compute; sweep {observations.sweep} has {len(points)}, with "
            f"{number_of(len(np.unique(ratio.round(2))), 'value')} of D/N. Add runs trained "
            "beyond the optimum."
        )
    x = np.log(np.stack([taken.flops / ratio, taken.flops * ratio]))
    centre = x.mean(axis=1)
    law = SumOfPowers((Term(E_), Term(A_, ETA, 0), Term(B_, ETA, 1)), x - centre[:, None], 4)
    log_loss = np.log(taken.loss)[None]
    solution = _solve(law, log_loss, np.ones_like(log_loss), _starts(taken.loss), settings)
    return OvertrainingFit(observations, points, settings, centre, law, solution)


def _starts(loss: Floats) -> Floats:
    """List starts: E a share of the lowest loss, both terms alike, a few eta."""
    lowest, middle = float(loss.min()), float(np.median(loss))
    return np.array(
        [
            [np.log(share * lowest), *[np.log(0.5 * (middle - share * lowest))] * 2, eta]
            for share, eta in product(SHARES, ETAS)
        ]
    )


def _solve(
    law: SumOfPowers,
    log_loss: Floats,
    weights: Floats,
    starts: Floats,
    settings: OvertrainingSettings,
) -> Solution:
    squared: Model = PlainSum(law) if settings.residual == "loss" else law
    targets = np.exp(log_loss) if settings.residual == "loss" else log_loss
    problems = Problems(squared, targets, weights, starts, np.inf, np.array(LOWER), np.array(UPPER))
    return minimise(problems, tolerance=TOLERANCE, max_steps=MAX_STEPS)
