"""Huber's density with a free scale: what turns an objective into a likelihood."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from isoflop.approaches.numerics.solver import Problems, Solution, minimise

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.intp]

SPREAD: Final = (1e-9, 10.0)
"""Bounds of the residuals' spread, the scale over min(delta, 1) [log nat]."""
SMOOTH: Final = 0.5
"""A delta at which the objective is solved from anywhere near without a ladder."""
SETTLED: Final = 0.03
"""A delta below which the points that an optimum passes through hardly change any more."""
MAX_STEPS: Final = 500
"""Largest number of steps at the delta itself. A law with a free gamma may crawl along a curved
valley for two hundred, and solving such a resample again from other starts costs more."""
RUNG_STEPS: Final = 60
RIDGE: Final = 1e-12
CHUNK: Final = 1_000_000
"""Problems times points handled at a time."""


@dataclass(frozen=True, eq=False)
class FreeScale(Problems):
    """Minimise sum_i w_i (rho_delta((y_i - f_i(theta)) / s) + log s) over theta and log s.

    With rho Huber's loss this is the negative log-likelihood of the density
    exp(-rho_delta(r / s)) / (s Z(delta)), less its constants. The last parameter is log s, and
    ``delta`` is in units of s: near 1 the density is a normal one with exponential tails; far
    below 1 it is Laplace's, of mean absolute residual s / delta.

    References
    ----------
    Huber 1964, Ann. Math. Statist. 35:73; Besiroglu et al. 2024, with delta = 1e-3.
    """

    @classmethod
    def of(cls, problems: Problems, delta: float) -> FreeScale:
        """Free the scale of plain problems; it starts from the residuals at their starts."""
        theta = np.clip(problems.starts, problems.lower, problems.upper)
        absolute = np.abs(problems.targets - problems.model.value(theta)[0])
        weights = np.broadcast_to(problems.weights, absolute.shape)
        spread = np.vecdot(weights, absolute) / weights.sum(axis=1)
        unit = min(delta, 1.0)
        low, high = np.log(np.array(SPREAD) * unit)
        return cls(
            problems.model,
            problems.targets,
            problems.weights,
            np.column_stack([theta, np.log(np.clip(spread, *SPREAD) * unit)]),
            delta,
            np.append(problems.lower, low),
            np.append(problems.upper, high),
            problems.prior,
        )

    def evaluate(self, theta: Floats, rows: Ints) -> tuple[Floats, Floats, Floats]:
        """Give objective, gradient and Hessian of some of the problems.

        log s is counted from one below its bound: the objective is then positive, and a relative
        tolerance means something.
        """
        targets, weights = self._data(rows)
        fitted, state = self.model.value(theta[:, :-1])
        inverse = np.exp(-theta[:, -1:])
        z = (targets - fitted) * inverse
        psi = np.clip(z, -self.delta, self.delta)
        inside = psi == z
        total = weights.sum(axis=1)
        objective = np.vecdot(weights, psi * (z - 0.5 * psi))
        objective += total * (theta[:, -1] - self.lower[-1] + 1.0)
        slope = -weights * psi * inverse
        quadratic = weights * np.where(inside, z, 0.0)
        mixed = self.model.gradient(state, quadratic * inverse - slope)
        first = np.vecdot(weights * psi, z)
        size = theta.shape[1]
        gradient, hessian = np.empty((len(theta), size)), np.empty((len(theta), size, size))
        gradient[:, :-1], hessian[:, :-1, :-1] = self.model.derivatives(
            state, slope, weights * inside * inverse**2
        )
        gradient[:, -1] = total - first
        hessian[:, :-1, -1] = hessian[:, -1, :-1] = mixed
        hessian[:, -1, -1] = first + np.vecdot(quadratic, z)
        if self.prior is not None:
            self.prior.add(theta, objective, gradient, hessian)
        return objective, gradient, hessian

    def at(self, delta: float, theta: Floats) -> FreeScale:
        """Pose the problems with another delta from theta, with the residuals' spread kept."""
        shift = np.zeros(theta.shape[1])
        shift[-1] = math.log(min(delta, 1.0) / min(self.delta, 1.0))
        return replace(
            self,
            delta=delta,
            starts=theta + shift,
            lower=self.lower + shift,
            upper=self.upper + shift,
        )

    def sharpened(self, theta: Floats, delta: float) -> FreeScale:
        """Pose the problems with a smaller delta from where theta, their optimum, will move.

        While the same points stay inside delta, the optimum moves so that their residuals shrink in
        step with delta times scale: the path that Madsen and Nielsen (1993, SIAM J. Optim. 3:223)
        follow to the least sum of absolute values.
        """
        onward = self.at(delta, theta)
        targets, weights = self._data(np.arange(len(theta)))
        fitted, state = self.model.value(theta[:, :-1])
        threshold = self.delta * np.exp(theta[:, -1:])
        residual = (targets - fitted) / threshold
        psi = np.clip(residual, -1.0, 1.0)
        inside = psi == residual
        _, hessian = self.model.derivatives(state, -weights * psi, weights * inside / threshold)
        shrink = 1.0 - delta * np.exp(onward.starts[:, -1:]) / threshold
        moved = weights * np.where(inside, residual, 0.0) * shrink
        along = self.model.gradient(state, moved)
        root = np.sqrt(np.abs(np.einsum("kii->ki", hessian)) + 1e-30)
        scaled = hessian / (root[:, :, None] * root[:, None, :]) + RIDGE * np.eye(root.shape[1])
        starts = onward.starts.copy()
        starts[:, :-1] += np.linalg.solve(scaled, (along / root)[..., None])[..., 0] / root
        return replace(onward, starts=starts)

    def _data(self, rows: Ints) -> tuple[Floats, Floats]:
        targets = self.targets if len(self.targets) == 1 else self.targets[rows]
        weights = self.weights if len(self.weights) == 1 else self.weights[rows]
        return targets, np.broadcast_to(weights, (len(rows), weights.shape[1]))


def log_likelihood(objective: Floats, points: Floats | float, delta: float) -> Floats:
    """Give the log-likelihood of log losses from values of ``FreeScale``'s objective.

    Parameters
    ----------
    objective : (problems,).
    points : number of points, or their total weight.
    delta : in units of the scale.
    """
    floor = math.log(SPREAD[0] * min(delta, 1.0))
    return np.asarray(points * (1.0 - floor - math.log(normaliser(delta))) - objective)


def normaliser(delta: float) -> float:
    """Integrate exp(-rho_delta) over the line: Z(delta) of Huber's density."""
    middle = math.sqrt(2.0 * math.pi) * math.erf(delta / math.sqrt(2.0))
    return middle + 2.0 / delta * math.exp(-0.5 * delta**2)


def minimise_free_scale(
    problems: FreeScale, *, tolerance: float = 1e-12, threads: int | None = 1
) -> Solution:
    """Solve problems with a free scale; log s is the last column of ``theta``.

    A delta far below 1 is reached down a ladder of deltas: the objective is then almost a sum of
    absolute values, whose optimum passes through as many points as there are parameters, and each
    rung tells the next through which.

    Parameters
    ----------
    problems : objectives, starts and bounds.
    tolerance, threads : as for ``minimise``.
    """
    size = max(1, CHUNK // max(problems.targets.shape[1], 1))
    parts = [
        _solve(problems.block(slice(start, start + size)), tolerance, threads)
        for start in range(0, max(len(problems.starts), 1), size)
    ]
    return Solution(
        np.concatenate([part.theta for part in parts]),
        np.concatenate([part.objective for part in parts]),
        np.concatenate([part.converged for part in parts]),
        np.concatenate([part.steps for part in parts]),
    )


def _solve(problems: FreeScale, tolerance: float, threads: int | None) -> Solution:
    first, *rest = [*_rungs(problems.delta), problems.delta]
    problems = problems.at(first, problems.starts)
    for delta in rest:
        solved = minimise(problems, tolerance=1e-9, max_steps=RUNG_STEPS, threads=threads)
        problems = problems.sharpened(solved.theta, delta)
    return minimise(problems, tolerance=tolerance, max_steps=MAX_STEPS, threads=threads)


def _rungs(delta: float) -> list[float]:
    """List the deltas on the way to one, largest first: halves, then tenths."""
    rungs = []
    rung = SMOOTH
    while rung > 1.5 * delta:
        rungs.append(rung)
        rung *= 0.5 if rung > SETTLED else 0.1
    return rungs
