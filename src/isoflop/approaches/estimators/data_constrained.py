"""The data-constrained law of Muennighoff et al. (2023): what repeated tokens are worth."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import TYPE_CHECKING, ClassVar, Final

import numpy as np

from isoflop.approaches.estimators.account import residuals_of, solved, trends_of
from isoflop.approaches.estimators.loss_law import LossLawFit
from isoflop.approaches.numerics.solver import Problems, Solution, minimise
from isoflop.approaches.protocol import Refits, Resamples
from isoflop.errors import MissingFactError, UnderdeterminedError
from isoflop.estimates.diagnostics import DataConstrainedDiagnostics, GivenConstants
from isoflop.estimates.laws import DataConstrainedLaw
from isoflop.laws import ChinchillaLaw, RepeatedDataLaw

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from isoflop.approach import Approach
    from isoflop.approaches.observations import Observations
    from isoflop.config.approaches import DataConstrainedSettings

    Floats = NDArray[np.float64]
    Ints = NDArray[np.intp]

MIN_POINTS: Final = 6
GRID: Final = (0.1, 1.0, 4.0, 8.0, 16.0, 64.0)
"""R*_D and R*_N of the starts."""
BOUNDS: Final = (1e-3, 1e4)
"""Bounds of R*_D and R*_N."""
LADDER: Final = (100.0, 10.0, 1.0)
"""Multiples of huber_delta at which a start is solved in turn."""
TOLERANCE: Final = 1e-12
MAX_STEPS: Final = 500


@dataclass(frozen=True, eq=False)
class RepeatedModel:
    """log L in log E, log R*_D, log R*_N with the other constants fixed; a ``solver.Model``."""

    law: ChinchillaLaw
    unique_params: Floats
    unique_tokens: Floats
    excess_params: Floats
    repeats: Floats
    fits_E: bool

    def value(self, theta: Floats) -> tuple[Floats, list[Floats]]:
        """Give log L and its derivatives by the three parameters."""
        log_e, log_d, log_n = (column[:, None] for column in theta.T)
        floor = np.exp(log_e)
        params, by_params = _effective(self.unique_params, self.excess_params, np.exp(log_n))
        tokens, by_tokens = _effective(self.unique_tokens, self.repeats, np.exp(log_d))
        of_params = self.law.A * params**-self.law.alpha
        of_tokens = self.law.B * tokens**-self.law.beta
        loss = floor + of_params + of_tokens
        return np.log(loss), [
            floor / loss * self.fits_E,
            -self.law.beta * of_tokens * by_tokens / (tokens * loss),
            -self.law.alpha * of_params * by_params / (params * loss),
        ]

    def gradient(self, state: list[Floats], slope: Floats) -> Floats:
        """Give the gradient."""
        return np.stack([np.vecdot(slope, column) for column in state], axis=-1)

    def derivatives(
        self, state: list[Floats], slope: Floats, curvature: Floats
    ) -> tuple[Floats, Floats]:
        """Give the gradient, and the Gauss-Newton part of the Hessian."""
        hessian = np.empty((len(slope), 3, 3))
        for i, value in enumerate(state):
            for j, other in enumerate(state):
                hessian[:, i, j] = np.vecdot(curvature * value, other)
        return self.gradient(state, slope), hessian


def _effective(unique: Floats, repeats: Floats, half_life: Floats) -> tuple[Floats, Floats]:
    """Give U + U R* (1 - exp(-R / R*)), and its derivative by log R*."""
    ratio = repeats / half_life
    decay = np.exp(-ratio)
    worth = unique * half_life * -np.expm1(-ratio)
    return unique + worth, worth - unique * repeats * decay


@dataclass(frozen=True, eq=False)
class DataConstrainedFit(LossLawFit):
    """R*_D and R*_N, and E if it is fitted.

    Attributes
    ----------
    settings : the law for fresh tokens, whether E is fitted, largest number of epochs.
    epochs : (points,) D over unique tokens.
    model : the law at these points.
    solution : where each start ended.
    """

    approach: ClassVar[Approach] = "data_constrained"

    settings: DataConstrainedSettings
    epochs: Floats
    model: RepeatedModel
    solution: Solution

    @property
    def law(self) -> DataConstrainedLaw:
        """The law with the constants that are not fitted."""
        fresh = self.model.law
        return DataConstrainedLaw(
            A=fresh.A,
            B=fresh.B,
            alpha=fresh.alpha,
            beta=fresh.beta,
            flops_per_token=self.cost,
        )

    @property
    def n_parameters(self) -> int:
        """R*_D and R*_N, and E where it is fitted."""
        return 2 + int(self.model.fits_E)

    @cached_property
    def theta(self) -> Floats:
        """The optimum, (1, 3)."""
        best = int(self.solution.objective.argmin())
        return self.solution.theta[best : best + 1]

    @property
    def parameters(self) -> Floats:
        """E, R*_D, R*_N."""
        return np.asarray(np.exp(self.theta[0]))

    def log_loss(self) -> Floats:
        """Give log L of the law at the fitted points, (points,)."""
        return np.asarray(self.model.value(self.theta)[0][0])

    def refit(self, resamples: Resamples) -> Refits:
        """Minimise every resample's objective from the optimum of all runs."""
        weights, log_loss = resamples.at(self.observations, self.points)
        theta = np.repeat(self.theta, len(resamples), axis=0)
        solution = _solve(self.model, log_loss, weights, theta, self.settings.huber_delta)
        repeated = ((weights > 0) & (self.epochs > 1.0 + 1e-3)).sum(axis=1)
        few = repeated < MIN_POINTS
        parameters = np.exp(solution.theta)
        parameters[few] = np.nan
        return Refits(parameters, np.where(few, f"fewer than {MIN_POINTS} runs that repeat", ""))

    def refit_losses(self, observations: Observations) -> DataConstrainedFit:
        """Fit other losses."""
        return fit_data_constrained(observations, self.settings)

    def diagnostics(self) -> DataConstrainedDiagnostics:
        """Say how good the optimum is, and what was given."""
        taken = self.fitted_points
        law = self.model.law
        return DataConstrainedDiagnostics(
            account=solved(
                self.solution,
                kind="sum of Huber losses of log L",
                tolerance=TOLERANCE,
                max_steps=MAX_STEPS,
                bounds_hit=self._bounds_hit(),
                condition_number=None,
                degrees_of_freedom=len(self.points) - self.n_parameters,
            ),
            residuals=residuals_of(taken, self.residuals),
            trends=trends_of(taken, self.residuals),
            given=GivenConstants(A=law.A, B=law.B, alpha=law.alpha, beta=law.beta),
            epochs=self.epochs.tolist(),
        )

    def _bounds_hit(self) -> list[str]:
        return [
            name
            for name, value in zip(self.names, self.parameters, strict=True)
            if name != "E" and not BOUNDS[0] * 1.01 < value < BOUNDS[1] / 1.01
        ]

    def cautions(self) -> list[str]:
        """Say what is fixed, what ended at a bound, and that the law knows no harm from repeats."""
        return [
            *(
                f"{name} ended at its bound: the sweep does not determine it."
                for name in self._bounds_hit()
            ),
            "A, B, alpha and beta are fixed at the values in the settings: R*_D and R*_N mean what "
            "they say only where these describe the sweep's runs on fresh tokens.",
            "The law lets repeats be worthless but never harmful; runs whose loss rises again "
            "with more epochs bend R*_D down.",
        ]


def fit_data_constrained(
    observations: Observations, settings: DataConstrainedSettings
) -> DataConstrainedFit:
    """Fit how fast repeated tokens and excess parameters lose their worth.

    L = E + A / N'**alpha + B / D'**beta with D' = U_D + U_D R*_D (1 - exp(-R_D / R*_D)), R_D
    repeats of U_D unique tokens, and N' alike, where U_N is the optimal size for U_D tokens. As in
    the paper the law for fresh tokens is known beforehand; sum of Huber's loss of log L.

    Parameters
    ----------
    observations : the sweep's points, counted, with unique tokens.
    settings : the law for fresh tokens, whether E is fitted, largest number of epochs, delta.

    Raises
    ------
    MissingFactError : runs do not say how many unique tokens they have.
    UnderdeterminedError : fewer than six runs repeat their tokens.

    References
    ----------
    Muennighoff et al. 2023, equations 5 and 6 and appendix A.
    """
    unique = observations.run_unique_tokens
    if unique is None or not np.isfinite(unique).all():
        raise MissingFactError(
            f"data_constrained needs the unique tokens of every run of {observations.sweep}. Add "
            "unique_tokens to sweep.yaml, under facts or under runs, or as a column of a frame."
        )
    points = np.flatnonzero(observations.is_final)
    taken = observations.at(points)
    epochs = np.maximum(taken.tokens / unique[taken.run], 1.0)
    if settings.max_epochs is not None:
        kept = epochs <= settings.max_epochs
        points, taken, epochs = points[kept], observations.at(points[kept]), epochs[kept]
    if (epochs > 1.0 + 1e-3).sum() < MIN_POINTS:
        raise UnderdeterminedError(
            f"data_constrained needs {MIN_POINTS} finished runs that repeat their tokens; sweep "
            f"{observations.sweep} has {int((epochs > 1.0 + 1e-3).sum())}. Add runs of several "
            "epochs, or raise approaches.data_constrained.max_epochs."
        )
    fresh = ChinchillaLaw(
        E=settings.E, A=settings.A, B=settings.B, alpha=settings.alpha, beta=settings.beta
    )
    law = RepeatedDataLaw(fresh, R_D=1.0, R_N=1.0)
    unique_tokens = taken.tokens / epochs
    unique_params = law.unique_params(taken.params, unique_tokens)
    model = RepeatedModel(
        fresh,
        unique_params,
        unique_tokens,
        taken.params / unique_params - 1.0,
        epochs - 1.0,
        settings.fit_E,
    )
    starts = np.array([[np.log(settings.E), np.log(d), np.log(n)] for d, n in product(GRID, GRID)])
    log_loss = np.log(taken.loss)[None]
    ones = np.ones_like(log_loss)
    for rung in LADDER:
        solution = _solve(model, log_loss, ones, starts, rung * settings.huber_delta)
        starts = solution.theta
    return DataConstrainedFit(observations, points, settings, epochs, model, solution)


def _solve(
    model: RepeatedModel, log_loss: Floats, weights: Floats, starts: Floats, delta: float
) -> Solution:
    low, high = np.log(BOUNDS[0]), np.log(BOUNDS[1])
    problems = Problems(
        model,
        log_loss,
        weights,
        starts,
        delta,
        np.array([-7.0, low, low]),
        np.array([7.0, high, high]),
    )
    return minimise(problems, tolerance=TOLERANCE, max_steps=MAX_STEPS)
