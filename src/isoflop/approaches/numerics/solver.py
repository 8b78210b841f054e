"""Many small robust regressions at once: a damped Newton method, vectorised over problems.

A quasi-Newton routine called once per start or draw spends its time in Python; here every step is
taken for a whole group of problems, and the law is evaluated for a cacheful of them at a time.
Second derivatives are exact, so the last digits come in a step or two where first-order methods
crawl (Huber's delta is far below the residuals, so the objective is almost a sum of absolute values
and its valleys are flat).

Problems never mix: sums run along one problem's points, in one order. A problem's result is
therefore the same in whatever group and block, on however many threads, it is solved.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Protocol, Self

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]

BLOCK_ELEMENTS: Final = 32_768
"""Problems times points evaluated at a time: a dozen temporary arrays stay within a cache."""
GROUP: Final = 4096
"""Problems that step together: enough to amortise NumPy's call overhead on 5 by 5 solves."""
EASED: Final = 0.3
STIFFENED: Final = 10.0
"""What a step taken and a step refused make of the damping. With a tenth for .3, every other step
along a bent valley was refused: .3 takes a fifth fewer steps for the resamples of novels-gpu, and
half as many for the slowest; .2, .4 and rules by the gain ratio took more."""
LEAST: Final = 1e-6
"""Least damping that a refused step counts from."""
FLAT: Final = 1e-10
"""Smallest curvature of the scaled Hessian that a step divides by."""
NEXT_TO_ZERO: Final = 1e-6
"""Least value of a parameter whose logarithm has a prior."""


class Model(Protocol):
    """What the solver must know of a law: its value and its first two derivatives."""

    def value(self, theta: Floats) -> tuple[Floats, list[Floats]]:
        """Evaluate the law.

        Parameters
        ----------
        theta : (problems, parameters).

        Returns
        -------
        (problems, points) fitted values, and whatever the derivatives can reuse.
        """
        ...

    def gradient(self, state: list[Floats], slope: Floats) -> Floats:
        """Give the gradient of ``derivatives`` alone, (problems, parameters)."""
        ...

    def derivatives(
        self, state: list[Floats], slope: Floats, curvature: Floats
    ) -> tuple[Floats, Floats]:
        """Differentiate sum_i rho(f_i) for many problems.

        Parameters
        ----------
        state : what ``value`` returned.
        slope, curvature : (problems, points) first and second derivative of rho at each point.

        Returns
        -------
        Gradient (problems, parameters) and Hessian (problems, parameters, parameters).
        """
        ...


@dataclass(frozen=True, eq=False)
class Solution:
    """Local minima of many problems.

    Attributes
    ----------
    theta : (problems, parameters).
    objective : (problems,) weighted sum of Huber's loss.
    converged : (problems,) whether the next step promised less than the tolerance.
    steps : (problems,) steps taken.
    """

    theta: Floats
    objective: Floats
    converged: Bools
    steps: NDArray[np.intp]


@dataclass(frozen=True)
class LogPrior:
    """Normal priors of the logs of some parameters, as terms of a negative log-likelihood.

    Attributes
    ----------
    columns : which parameters; none may be negative.
    mean, sd : (columns,) of their logs.
    """

    columns: tuple[int, ...]
    mean: Floats
    sd: Floats

    def add(self, theta: Floats, objective: Floats, gradient: Floats, hessian: Floats) -> None:
        """Add (log theta - mean)**2 / (2 sd**2) and its derivatives to those of many problems."""
        columns = list(self.columns)
        # a step may end at a bound of zero, which the prior turns back from
        value = np.maximum(theta[:, columns], NEXT_TO_ZERO)
        excess = np.log(value) - self.mean
        precision = self.sd**-2
        objective += (0.5 * precision * excess**2).sum(axis=1)
        gradient[:, columns] += precision * excess / value
        hessian[:, columns, columns] += precision * (1.0 - excess) / value**2


@dataclass(frozen=True, eq=False)
class Problems:
    """Minimise sum_i w_i Huber_delta(y_i - f_i(theta)) within a box, for many w, y and starts.

    Attributes
    ----------
    model : the law f.
    targets : (problems, points) or (1, points) y.
    weights : (problems, points) or (1, points) w.
    starts : (problems, parameters).
    delta : where Huber's loss turns from squares to absolute values; inf for least squares.
    lower, upper : (parameters,) bounds.
    prior : added to the objective, which must be a negative log-likelihood; None for none.
    """

    model: Model
    targets: Floats
    weights: Floats
    starts: Floats
    delta: float
    lower: Floats
    upper: Floats
    prior: LogPrior | None = None

    def block(self, rows: slice) -> Self:
        """Take some of the problems."""
        return self.pick(rows, self.starts[rows])

    def pick(self, rows: slice | NDArray[np.intp], starts: Floats) -> Self:
        """Take some of the problems, perhaps more than once, with other starts."""
        return replace(
            self,
            targets=self.targets if len(self.targets) == 1 else self.targets[rows],
            weights=self.weights if len(self.weights) == 1 else self.weights[rows],
            starts=starts,
        )

    def evaluate(self, theta: Floats, rows: NDArray[np.intp]) -> tuple[Floats, Floats, Floats]:
        """Give objective, gradient and Hessian of some of the problems."""
        targets = self.targets if len(self.targets) == 1 else self.targets[rows]
        weights = self.weights if len(self.weights) == 1 else self.weights[rows]
        fitted, state = self.model.value(theta)
        excess = fitted - targets
        clipped = np.clip(excess, -self.delta, self.delta)
        curvature = weights * (clipped == excess)
        slope = weights * clipped
        # psi (r - psi/2) is r**2 / 2 inside delta and delta (|r| - delta / 2) outside
        excess -= np.multiply(clipped, 0.5, out=clipped)
        objective = np.vecdot(slope, excess)
        gradient, hessian = self.model.derivatives(state, slope, curvature)
        if self.prior is not None:
            self.prior.add(theta, objective, gradient, hessian)
        return objective, gradient, hessian


def minimise(
    problems: Problems,
    *,
    tolerance: float = 1e-12,
    max_steps: int = 100,
    threads: int | None = 1,
) -> Solution:
    """Solve all problems to a local minimum.

    Parameters
    ----------
    problems : objectives, starts and bounds.
    tolerance : a problem ends when a full Newton step promises a relative gain below this.
    max_steps : largest number of steps, refused ones included.
    threads : groups solved at a time; None takes all cores, which pays for thousands of problems
        only. It changes no byte of the result.
    """
    if threads is None:
        threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
    n = len(problems.starts)
    size = min(max(-(-n // threads), 1), GROUP)
    groups = [problems.block(slice(start, start + size)) for start in range(0, n, size)] or [
        problems
    ]  # no draws are asked for

    def solve(group: Problems) -> Solution:
        return _Descent(group).run(tolerance, max_steps)

    if len(groups) == 1 or threads == 1:
        parts = [solve(group) for group in groups]
    else:
        with ThreadPoolExecutor(threads) as pool:
            parts = list(pool.map(solve, groups))
    return Solution(
        np.concatenate([part.theta for part in parts]),
        np.concatenate([part.objective for part in parts]),
        np.concatenate([part.converged for part in parts]),
        np.concatenate([part.steps for part in parts]),
    )


class _Descent:
    """The state of one group: where each problem stands, and what it knows there."""

    def __init__(self, problems: Problems) -> None:
        self.problems = problems
        self.theta = np.clip(problems.starts, problems.lower, problems.upper)
        n, p = self.theta.shape
        self.damping = np.full(n, 1e-3)
        self.objective, self.gradient, self.hessian = self._evaluate(self.theta, np.arange(n))
        self.scale = np.full((n, p), FLAT)

    def _evaluate(self, theta: Floats, rows: NDArray[np.intp]) -> tuple[Floats, Floats, Floats]:
        """Give objective, gradient and Hessian of some problems, a block at a time."""
        size = max(1, BLOCK_ELEMENTS // max(self.problems.targets.shape[1], 1))
        n, p = theta.shape
        objective, gradient, hessian = np.empty(n), np.empty((n, p)), np.empty((n, p, p))
        for start in range(0, n, size):
            block = slice(start, start + size)
            # a step may leave where a law has a value; the objective is then NaN, and it is refused
            with np.errstate(over="ignore", invalid="ignore"):
                objective[block], gradient[block], hessian[block] = self.problems.evaluate(
                    theta[block], rows[block]
                )
        return objective, gradient, hessian

    def run(self, tolerance: float, max_steps: int) -> Solution:
        """Step until every problem has converged, leaving finished ones alone."""
        n = len(self.theta)
        steps = np.zeros(n, dtype=np.intp)
        converged = np.zeros(n, dtype=np.bool_)
        rows = np.arange(n)
        for _ in range(max_steps):
            trial, promise = self._step(rows, tolerance)
            done = promise <= tolerance * self.objective[rows]
            converged[rows[done]] = True
            rows, trial = rows[~done], trial[~done]
            if len(rows) == 0:
                break
            steps[rows] += 1
            self._accept(rows, trial)
        return Solution(self.theta, self.objective, converged, steps)

    def _step(self, rows: NDArray[np.intp], tolerance: float) -> tuple[Floats, Floats]:
        """Propose a damped Newton step for each problem, and the gain an undamped one promises.

        A fixed parameter sits at a bound that the objective would leave; it takes no part.
        """
        problems = self.problems
        theta, gradient, hessian = self.theta[rows], self.gradient[rows], self.hessian[rows]
        fixed = ((theta <= problems.lower) & (gradient > 0)) | (
            (theta >= problems.upper) & (gradient < 0)
        )
        gradient = np.where(fixed, 0.0, gradient)
        hessian = np.where(fixed[:, :, None] | fixed[:, None, :], 0.0, hessian)
        diagonal = np.abs(np.einsum("kii->ki", hessian))
        # a curvature that vanishes for a moment must not make its parameter run away
        self.scale[rows] = np.maximum(diagonal, 1e-3 * self.scale[rows]) + 1e-30
        root = np.sqrt(self.scale[rows])
        scaled = hessian / (root[:, :, None] * root[:, None, :])
        along = gradient / root
        step = _downhill(scaled, along, self.damping[rows])
        promise = 0.5 * np.vecdot(along, step)
        # damping only lowers the promise, so the undamped one matters just where this one is small
        small = np.flatnonzero(promise <= tolerance * self.objective[rows])
        if len(small):
            undamped = _downhill(scaled[small], along[small], np.zeros(len(small)))
            promise[small] = 0.5 * np.vecdot(along[small], undamped)
        return np.clip(theta - step / root, problems.lower, problems.upper), promise

    def _accept(self, rows: NDArray[np.intp], trial: Floats) -> None:
        """Take the steps that go down; damp the others more."""
        objective, gradient, hessian = self._evaluate(trial, rows)
        down = objective <= self.objective[rows]
        taken = rows[down]
        self.theta[taken] = trial[down]
        self.objective[taken] = objective[down]
        self.gradient[taken] = gradient[down]
        self.hessian[taken] = hessian[down]
        damping = self.damping[rows]
        damping *= np.where(down, EASED, STIFFENED)
        self.damping[rows] = np.where(down, damping, np.maximum(damping, STIFFENED * LEAST))


def _downhill(matrices: Floats, vectors: Floats, damping: Floats) -> Floats:
    """Solve (M + damping I) s = v for many small M; where M is not positive, with |M| in its place.

    A step along -s then goes downhill from a saddle too (Dauphin et al. 2014).
    """
    solution, positive = _solve_positive(matrices, vectors, damping)
    odd = np.flatnonzero(~positive)
    if len(odd):
        values, axes = np.linalg.eigh(matrices[odd])
        along = np.vecdot(axes.transpose(0, 2, 1), vectors[odd][:, None, :])
        along /= np.maximum(np.abs(values), FLAT) + damping[odd, None]
        solution[odd] = np.vecdot(axes, along[:, None, :])
    return solution


def _solve_positive(matrices: Floats, vectors: Floats, damping: Floats) -> tuple[Floats, Bools]:
    """Solve (M + damping I) s = v by L D L', and tell which M + damping I are positive definite.

    Vectorised over the matrices: LAPACK, called once per 5 by 5 matrix, costs more than the model.
    """
    size = matrices.shape[1]
    # (rows, columns, matrices): L below the diagonal, D on it, and what is left to be split
    rest = np.array(matrices.transpose(1, 2, 0), order="C")
    solution = np.array(vectors.T, order="C")
    positive = np.ones(len(matrices), dtype=np.bool_)
    for j in range(size):
        rest[j, j] += damping
    for j in range(size):
        pivot, lower = rest[j, j], rest[j + 1 :, j]
        positive &= pivot > FLAT
        odd = ~positive
        pivot[odd] = 1.0
        lower /= pivot
        lower[:, odd] = 0.0
        solution[j + 1 :] -= lower * solution[j]
        rest[j + 1 :, j + 1 :] -= lower[:, None] * lower * pivot
        solution[j] /= pivot
    for j in reversed(range(size)):
        for part in rest[j + 1 :, j] * solution[j + 1 :]:
            solution[j] -= part
    return solution.T, positive
