"""The laws of Kaplan et al. (2020), fitted to the sweep as that paper did."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from itertools import starmap
from typing import TYPE_CHECKING, ClassVar, Final

import numpy as np

from isoflop.approaches.estimators.account import (
    bounds_hit,
    condition_number,
    residuals_of,
    solved,
    trends_of,
)
from isoflop.approaches.estimators.frontier import GridCurves, grid_curves, require_curves
from isoflop.approaches.estimators.power_laws import fit_frontiers, fitted_part, winners
from isoflop.approaches.numerics.least_squares import fit_lines
from isoflop.approaches.numerics.solver import Problems, Solution, minimise
from isoflop.approaches.protocol import Fit, Refits, Resamples
from isoflop.cells import merged
from isoflop.config.approaches import CountingSettings
from isoflop.errors import MissingFactError, UnderdeterminedError
from isoflop.estimates.diagnostics import Counted, KaplanDiagnostics
from isoflop.estimates.laws import KaplanLaws

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from isoflop.approach import Approach
    from isoflop.approaches.estimators.frontier import Frontiers
    from isoflop.approaches.observations import Observations
    from isoflop.config.approaches import KaplanSettings

    Floats = NDArray[np.float64]
    Ints = NDArray[np.intp]

BLOCK: Final = 256
"""Resamples handled at a time."""
MIN_POINTS: Final = 5
TOLERANCE: Final = 1e-12
MAX_STEPS: Final = 300
JOINT: Final = ("N_c", "D_c", "alpha_N", "alpha_D")
"""Parameters of L(N, D), in the order of the solver's."""
JOINT_CONSTANTS: Final = ("N_c", "alpha_N", "D_c", "alpha_D", "a_joint")
"""What L(N, D) gives, in the order of ``KaplanLaws.names``."""
COUNTINGS: Final = (
    CountingSettings(params="nonembedding", flops="kaplan"),
    CountingSettings(params="total", flops="6nd"),
)
"""As in 2020, and as Hoffmann et al. count: both are said beside each other."""
STARTS: Final = ((0.05, 0.05), (0.05, 0.2), (0.1, 0.1), (0.2, 0.05), (0.2, 0.2), (0.4, 0.4))
"""alpha_N and alpha_D from which L(N, D) is solved."""
LOWER: Final = (-7.0, -7.0, 1e-3, 1e-3)
UPPER: Final = (7.0, 7.0, 3.0, 3.0)
"""Bounds of the logs of both terms at the centre of the data, alpha_N and alpha_D."""


@dataclass(frozen=True, eq=False)
class JointLaw:
    """log L(N, D) = alpha_D log(exp(u / alpha_D) + exp(v / alpha_D)); a ``solver.Model``.

    u = p - alpha_N x and v = q - alpha_D y, with x and y the centred logs of N and D, are the logs
    of (N_c/N)**alpha_N and (D_c/D)**alpha_D. Parameters: p, q, alpha_N, alpha_D.

    References
    ----------
    Kaplan et al. 2020, equation 1.5.
    """

    x: Floats
    y: Floats

    def value(self, theta: Floats) -> tuple[Floats, list[Floats]]:
        """Give log L, and what the derivatives need."""
        p, q, alpha_n, alpha_d = (column[:, None] for column in theta.T)
        u, v = p - alpha_n * self.x, q - alpha_d * self.y
        difference = (u - v) / alpha_d
        # log(1 + exp(z)) without overflow
        surplus = np.maximum(difference, 0.0) + np.log1p(np.exp(-np.abs(difference)))
        with np.errstate(over="ignore"):
            share = 1.0 / (1.0 + np.exp(-difference))
        return v + alpha_d * surplus, [share, surplus - share * difference]

    def gradient(self, state: list[Floats], slope: Floats) -> Floats:
        """Give the gradient."""
        return np.stack([np.vecdot(slope, column) for column in self._jacobian(state)], axis=-1)

    def _jacobian(self, state: list[Floats]) -> tuple[Floats, ...]:
        share, entropy = state
        return share, 1.0 - share, -share * self.x, -(1.0 - share) * self.y + entropy

    def derivatives(
        self, state: list[Floats], slope: Floats, curvature: Floats
    ) -> tuple[Floats, Floats]:
        """Give the gradient, and the Gauss-Newton part of the Hessian.

        The residuals of a least-squares fit are small, so their second derivatives are left out.
        """
        jacobian = self._jacobian(state)
        hessian = np.empty((len(slope), 4, 4))
        for i in range(4):
            scaled = curvature * jacobian[i]
            for j in range(i, 4):
                hessian[:, i, j] = hessian[:, j, i] = np.vecdot(scaled, jacobian[j])
        return self.gradient(state, slope), hessian


@dataclass(frozen=True, eq=False)
class KaplanFit(Fit):
    """Kaplan's laws; the headline is the frontier's N_opt ~ C**a, which the paper has as 0.73."""

    approach: ClassVar[Approach] = "kaplan"
    takes_losses: ClassVar[bool] = False

    observations: Observations
    settings: KaplanSettings
    by_flops: GridCurves
    by_tokens: GridCurves
    others: tuple[tuple[CountingSettings, KaplanFit | str], ...] = ()
    """The same runs counted otherwise, or why they cannot be."""
    frontier_alone: bool = False
    """Whether L(N, D) is left out, and its constants are NaN: no truth has them, and they are half
    of the time."""

    @property
    def law(self) -> KaplanLaws:
        """The laws of the paper."""
        return KaplanLaws()

    @property
    def n_parameters(self) -> int:
        """Four of L(N, D)."""
        return len(JOINT)

    @cached_property
    def parameters(self) -> Floats:
        """All parameters, in the order of ``names``."""
        weights = np.ones((1, self.observations.n_runs))
        return np.asarray(self._laws(Resamples(weights))[0])

    @cached_property
    def points(self) -> Ints:
        """Index of each run's last point."""
        return np.flatnonzero(self.observations.is_final)

    @cached_property
    def centre(self) -> Floats:
        """Means of log N and log D over the last points."""
        final = self.observations.at(self.points)
        return np.array([np.log(final.params).mean(), np.log(final.tokens).mean()])

    @cached_property
    def solution(self) -> Solution:
        """Where each start of L(N, D) for all runs ended."""
        final = self.observations.at(self.points)
        log_loss = np.log(final.loss)[None]
        middle = float(log_loss.mean())
        starts = np.array([[middle - 0.1, middle - 0.1, *exponents] for exponents in STARTS])
        ones = np.ones_like(log_loss)
        return minimise(
            self._problems(log_loss, ones, starts),
            tolerance=TOLERANCE,
            max_steps=MAX_STEPS,
        )

    @property
    def joint(self) -> Floats:
        """Centred parameters of L(N, D) for all runs, (1, 4); the best of a few starts."""
        best = int(self.solution.objective.argmin())
        return self.solution.theta[best : best + 1]

    @cached_property
    def fitted(self) -> Floats:
        """Log of L(N, D) at the last points; NaN elsewhere."""
        fitted = np.full(len(self.observations.loss), np.nan)
        fitted[self.points] = self._model().value(self.joint)[0][0]
        return fitted

    @property
    def n_used(self) -> tuple[int, int]:
        """All of them: every point of a curve may lie on the frontier."""
        return self.observations.n_runs, len(self.observations.loss)

    def refit(self, resamples: Resamples) -> Refits:
        """Fit all laws to each resample."""
        parameters = self._laws(resamples)
        few = ~self.sound(parameters)
        parameters[few] = np.nan
        return Refits(parameters, np.where(few, "too few sizes or points for one of the laws", ""))

    def refit_losses(self, observations: Observations) -> KaplanFit:
        """Fit all laws to other losses."""
        return fit_kaplan(observations, self.settings)

    def refit_simulated(self, observations: Observations) -> KaplanFit:
        """Fit the frontier of other losses, without L(N, D)."""
        return fit_kaplan(observations, self.settings, frontier_alone=True)

    def sound(self, parameters: Floats) -> NDArray[np.bool_]:
        """Tell which rows of parameters have every law that was to be fitted, (rows,)."""
        left_out = np.isin(self.names, JOINT_CONSTANTS) & self.frontier_alone
        return np.asarray((np.isfinite(parameters) | left_out).all(axis=1))

    def _model(self) -> JointLaw:
        final = self.observations.at(self.points)
        return JointLaw(
            np.log(final.params) - self.centre[0], np.log(final.tokens) - self.centre[1]
        )

    def _problems(self, log_loss: Floats, weights: Floats, starts: Floats) -> Problems:
        return Problems(
            self._model(), log_loss, weights, starts, np.inf, np.array(LOWER), np.array(UPPER)
        )

    def _laws(self, resamples: Resamples) -> Floats:
        """Fit frontier, joint law and single-variable laws to each resample."""
        if len(resamples) == 0:
            return np.empty((0, len(self.names)))
        blocks = [
            self._frontier_laws(resamples.weights[start : start + BLOCK] > 0)
            for start in range(0, len(resamples), BLOCK)
        ]
        frontier, alone = (np.concatenate(parts) for parts in zip(*blocks, strict=True))
        joint = np.full((len(resamples), len(JOINT_CONSTANTS)), np.nan)
        if not self.frontier_alone:
            joint = self._joint_law(resamples.weights)
        return np.concatenate([frontier, joint, alone], axis=1)

    def _frontier_laws(self, present: NDArray[np.bool_]) -> tuple[Floats, Floats]:
        frontiers = self._fitted_part(present)
        laws = fit_frontiers(frontiers)
        few = frontiers.distinct_sizes(self.observations.sizes) < self.settings.min_sizes
        laws[few] = np.nan
        coefficient, exponent = laws[:, 4].copy(), laws[:, 5].copy()
        laws[:, 4] = _scale(np.log(coefficient), exponent)
        by_tokens = fit_frontiers(self.by_tokens.frontiers(present))
        data = [_scale(np.log(by_tokens[:, 4]), by_tokens[:, 5]), by_tokens[:, 5]]
        return laws, np.stack([*self._size_law(present), *data], axis=-1)

    @property
    def frontier(self) -> Frontiers:
        """The part of the frontier of all runs that is fitted."""
        return self._fitted_part(np.ones((1, self.observations.n_runs), dtype=np.bool_))

    def _fitted_part(self, present: NDArray[np.bool_]) -> Frontiers:
        frontiers = self.by_flops.frontiers(present)
        return fitted_part(frontiers, present, self.observations, self.settings.edge)

    def _size_law(self, present: NDArray[np.bool_]) -> tuple[Floats, Floats]:
        """Fit L(N) to the lowest loss of each size (Kaplan et al. 2020, equation 1.1)."""
        observations = self.observations
        lowest = np.full(observations.n_runs, np.inf)
        np.minimum.at(lowest, observations.run, observations.loss)
        log_params = np.log(observations.run_params)
        sizes = np.unique(merged(log_params, observations.sizes))
        best = np.stack(
            [
                np.where(
                    present[:, observations.sizes == i], lowest[observations.sizes == i], np.inf
                ).min(axis=1)
                for i in range(len(sizes))
            ],
            axis=-1,
        )
        there = np.isfinite(best)
        line = fit_lines(sizes[None], np.log(np.where(there, best, 1.0)), there.astype(np.float64))
        return _scale(line.intercept, -line.slope), -line.slope

    def _joint_law(self, weights: Floats) -> Floats:
        """Fit L(N, D) by least squares on log L (Kaplan et al. 2020, section 4)."""
        final = self.observations.at(self.points)
        final_weights = weights[:, final.run]
        starts = np.repeat(self.joint, len(weights), axis=0)
        solution = minimise(
            self._problems(np.log(final.loss)[None], final_weights, starts),
            tolerance=1e-10,
            max_steps=MAX_STEPS,
        )
        p, q, alpha_n, alpha_d = solution.theta.T
        with np.errstate(over="ignore"):
            laws = np.stack(
                [
                    np.exp(np.minimum(self.centre[0] + p / alpha_n, 700.0)),
                    alpha_n,
                    np.exp(np.minimum(self.centre[1] + q / alpha_d, 700.0)),
                    alpha_d,
                    alpha_d / (alpha_n + alpha_d),
                ],
                axis=-1,
            )
        laws[(final_weights > 0).sum(axis=1) < MIN_POINTS] = np.nan
        return laws

    def diagnostics(self) -> KaplanDiagnostics:
        """Give the account of L(N, D), and the frontiers behind the laws."""
        everything = np.ones((1, self.observations.n_runs), dtype=np.bool_)
        fitted, ends = self._fitted_part(everything), self.observations.at(self.points)
        residuals = np.log(ends.loss) - self.fitted[self.points]
        return KaplanDiagnostics(
            account=solved(
                self.solution,
                kind="least squares of log L(N, D)",
                tolerance=TOLERANCE,
                max_steps=MAX_STEPS,
                bounds_hit=bounds_hit(JOINT, self.joint[0], np.array(LOWER), np.array(UPPER)),
                condition_number=condition_number(self._model(), self.joint),
                degrees_of_freedom=len(residuals) - self.n_parameters,
            ),
            residuals=residuals_of(ends, residuals),
            trends=trends_of(ends, residuals),
            sizes_that_win=int(fitted.distinct_sizes(self.observations.sizes)[0]),
            countings=[_counted(self.counting, self), *starmap(_counted, self.others)],
            winners=winners(self.observations, self.by_flops.frontiers(everything), fitted),
        )

    def cautions(self) -> list[str]:
        """Say that the frontier takes losses from the middle of schedules."""
        return [
            "Kaplan's frontier takes each curve's loss at every C, also in the middle of its "
            "learning-rate schedule, and counts neither embedding nor head. Both move a; it is "
            "shown for comparison, not as advice."
        ]


def fit_kaplan(
    observations: Observations,
    settings: KaplanSettings,
    *,
    recount: Callable[[CountingSettings], Observations] | None = None,
    frontier_alone: bool = False,
) -> KaplanFit:
    """Fit L(N), L(D), L(C), L(N, D) and N_opt ~ C**a to a sweep.

    Parameters
    ----------
    observations : the sweep's points, counted as ``settings.counting`` says.
    settings : frontier.
    recount : gives the same points counted otherwise, for comparison; may raise the errors below.
    frontier_alone : leave L(N, D) out.

    Raises
    ------
    UnderdeterminedError : no curves, or too few sizes on the frontier or points.

    References
    ----------
    Kaplan et al. 2020: equations 1.1 to 1.3 and 1.5; section 6.1 and figure 14 for N_opt ~ C**0.73.
    """
    require_curves("kaplan", observations, settings)
    fit = KaplanFit(
        observations,
        settings,
        grid_curves(observations, settings.grid_points),
        grid_curves(observations, settings.grid_points, abscissa=observations.tokens),
        frontier_alone=frontier_alone,
    )
    if not fit.sound(fit.parameters[None]).all():
        raise UnderdeterminedError(
            f"approach 'kaplan' needs {settings.min_sizes} distinct sizes on the frontier and "
            f"{MIN_POINTS} runs; sweep {observations.sweep} has fewer. Add runs of other sizes."
        )
    if recount is None:
        return fit
    return replace(
        fit,
        others=tuple(
            (counting, _fit_or_reason(recount, counting, settings))
            for counting in COUNTINGS
            if counting != settings.counting
        ),
    )


def _fit_or_reason(
    recount: Callable[[CountingSettings], Observations],
    counting: CountingSettings,
    settings: KaplanSettings,
) -> KaplanFit | str:
    """Fit the runs counted otherwise, for comparison; a sweep may lack the counts."""
    try:
        return fit_kaplan(recount(counting), settings)
    except (MissingFactError, UnderdeterminedError) as error:
        return str(error)


def _counted(counting: CountingSettings, fit: KaplanFit | str) -> Counted:
    """Give the parameters under one counting, or why there are none."""
    if isinstance(fit, str):
        return Counted(params=counting.params, flops=counting.flops, parameters=None, refused=fit)
    parameters = dict(zip(fit.names, fit.parameters.tolist(), strict=True))
    return Counted(
        params=counting.params, flops=counting.flops, parameters=parameters, refused=None
    )


def _scale(intercept: Floats, exponent: Floats) -> Floats:
    """Give x_c of L = (x_c / x)**exponent from log L = intercept - exponent log x."""
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        return np.exp(np.clip(intercept / exponent, -700.0, 700.0))
