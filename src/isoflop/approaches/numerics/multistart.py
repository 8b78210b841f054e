"""Laws of the loss solved from many starts: down a ladder of Huber's deltas, bad ends anew.

What every law fitted in the batched solver shares, whatever its form.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING, Final, Literal, Protocol, Self

import numpy as np

from isoflop.approaches.numerics.likelihood import MAX_STEPS, FreeScale, minimise_free_scale
from isoflop.approaches.numerics.solver import Problems, Solution, minimise

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from isoflop.approaches.numerics.solver import LogPrior, Model

    Floats = NDArray[np.float64]
    Ints = NDArray[np.intp]

HOFFMANN_STARTS: Final = np.array(
    list(
        product(
            (-1.0, -0.5, 0.0, 0.5, 1.0),
            (0.0, 5.0, 10.0, 15.0, 20.0, 25.0),
            (0.0, 5.0, 10.0, 15.0, 20.0, 25.0),
            (0.0, 0.5, 1.0, 1.5, 2.0),
            (0.0, 0.5, 1.0, 1.5, 2.0),
        )
    )
)
"""log E, log A, log B, alpha, beta of Hoffmann et al. 2022, section D.3: 4,500 starts."""
LADDER: Final = (100.0, 10.0)
"""Multiples of the delta at which a far start is solved before the delta itself."""
ROUGH_POINTS: Final = 64
"""Points that the first rung uses."""
ROUGH_DELTA: Final = 1e-3
"""Delta of the rungs towards a likelihood, whose own is in units of the scale [log nat]."""
TOLERANCE: Final = 1e-12
"""Relative gain that the next step of a solved problem promises at most."""
FREE_SCALE_TOLERANCE: Final = 1e-15
"""The same of a likelihood, whose objective counts some 20 per point before any residual."""
POLISHING_STEPS: Final = 12


class SoughtLaw(Protocol):
    """A law of the loss at some points, and the box in which its parameters are sought."""

    @property
    def model(self) -> Model:
        """The law, for the solver."""
        ...

    def at(self, points: Ints) -> Self:
        """Keep some of the points."""
        ...

    def bounds(self) -> tuple[Floats, Floats]:
        """Give the lower and upper bound of each parameter."""
        ...


@dataclass(frozen=True)
class Objective:
    """What is minimised over the parameters of a law of log L.

    Attributes
    ----------
    kind : sum of Huber's loss; of squares; or Huber's density with a free scale, whose log is then
        one more column of a solution.
    delta : where Huber's loss turns from squares to absolute values; log nat for ``huber``, the
        fitted scale for ``likelihood``, infinite for ``mse``.
    tolerance : relative gain that the next step of a solved problem promises at most.
    prior : of some parameters, beside a likelihood; the ladder towards it goes without.
    """

    kind: Literal["huber", "mse", "likelihood"]
    delta: float
    tolerance: float = TOLERANCE
    prior: LogPrior | None = None

    def pose(self, law: SoughtLaw, log_loss: Floats, weights: Floats, starts: Floats) -> Problems:
        """Pose problems; see ``Problems``."""
        delta = ROUGH_DELTA if self.kind == "likelihood" else self.delta
        return Problems(law.model, log_loss, weights, starts, delta, *law.bounds())

    def solve(self, problems: Problems, *, threads: int | None = 1) -> Solution:
        """Solve problems from near their optima."""
        if self.kind == "likelihood":
            return minimise_free_scale(
                FreeScale.of(replace(problems, prior=self.prior), self.delta),
                tolerance=self.tolerance,
                threads=threads,
            )
        return minimise(problems, tolerance=self.tolerance, max_steps=MAX_STEPS, threads=threads)

    def polish(self, problems: Problems, *, threads: int | None = 1) -> Floats:
        """Solve problems from their optima to the last digits, (problems, parameters).

        A tolerance relative to the objective leaves the fifth digit of parameters open that are
        hard to tell apart; a step or two more closes it. For one fit, not for thousands of draws.
        """
        if self.kind == "likelihood":
            problems = FreeScale.of(replace(problems, prior=self.prior), self.delta)
        solved = minimise(problems, tolerance=1e-17, max_steps=POLISHING_STEPS, threads=threads)
        return solved.theta

    def solve_from_afar(self, problems: Problems, *, threads: int | None = 1) -> Solution:
        """Solve problems from far starts, each rung with a smaller delta."""
        for rung in LADDER if math.isfinite(problems.delta) else ():
            eased = replace(problems, delta=rung * problems.delta)
            minimum = minimise(eased, tolerance=1e-3, max_steps=60, threads=threads)
            problems = replace(problems, starts=minimum.theta)
        return self.solve(problems, threads=threads)

    def descend(
        self, law: SoughtLaw, log_loss: Floats, starts: Floats, *, threads: int | None = 1
    ) -> Solution:
        """Solve one problem from many far starts.

        The first rung of the ladder needs only the basin, so it takes few points and few steps.
        Starts that have come to the same place go on as one, and are told apart again in what is
        returned.

        Parameters
        ----------
        law : the law at its points.
        log_loss : (1, points).
        starts : (starts, parameters).
        threads : as for ``minimise``.
        """
        ones = np.ones_like(log_loss)
        some = np.unique(
            np.linspace(0, log_loss.shape[1] - 1, ROUGH_POINTS).round().astype(np.intp)
        )
        rough = self.pose(law.at(some), log_loss[:, some], ones[:, some], starts)
        rough = replace(rough, delta=LADDER[0] * rough.delta)
        theta = minimise(rough, tolerance=1e-2, max_steps=60, threads=threads).theta
        places, which = _merge(theta)
        problems = self.pose(law, log_loss, ones, places)
        eased = replace(problems, delta=LADDER[1] * problems.delta)
        theta = minimise(eased, tolerance=1e-3, threads=threads).theta
        places, onward = _merge(theta)
        solution = self.solve(replace(problems, starts=places), threads=threads)
        back = onward[which]
        return Solution(
            solution.theta[back],
            solution.objective[back],
            solution.converged[back],
            solution.steps[back],
        )

    def settle(
        self,
        problems: Problems,
        others: Floats,
        *,
        natural: Floats | None = None,
        threads: int | None = 1,
    ) -> tuple[Floats, Floats]:
        """Solve problems from near their optima, doubtful ones from other starts too.

        A problem that ends at a bound, or unconverged, is doubtful; the better end is kept.

        Parameters
        ----------
        problems : each from where its optimum is expected.
        others : (starts, parameters) the other starts.
        natural : (parameters,) lower bounds at which a problem may end without doubt, such as a
            constant of zero; NaN where there is none.
        threads : as for ``minimise``.

        Returns
        -------
        Parameters (problems, parameters), without the scale; and objectives (problems,).
        """
        solution = self.solve(problems, threads=threads)
        size = problems.starts.shape[1]
        theta, objective = solution.theta[:, :size].copy(), solution.objective.copy()
        at_bound = (theta <= problems.lower) | (theta >= problems.upper)
        if natural is not None:
            at_bound &= theta != natural
        doubtful = np.flatnonzero(at_bound.any(axis=1) | ~solution.converged)
        if len(doubtful) == 0:
            return theta, objective
        from_others = problems.pick(
            np.repeat(doubtful, len(others)), np.tile(others, (len(doubtful), 1))
        )
        ends = self.solve_from_afar(from_others, threads=threads)
        reached = ends.objective.reshape(len(doubtful), len(others))
        best = reached.argmin(axis=1)
        better = reached.min(axis=1) < objective[doubtful]
        rows = (np.arange(len(doubtful)) * len(others) + best)[better]
        theta[doubtful[better]] = ends.theta[rows, :size]
        objective[doubtful[better]] = ends.objective[rows]
        return theta, objective


def likelihood_objective(delta: float) -> Objective:
    """Give the likelihood with a free scale, solved to the last digits of its parameters."""
    return Objective("likelihood", delta, FREE_SCALE_TOLERANCE)


def _merge(theta: Floats) -> tuple[Floats, Ints]:
    """Give the distinct places among rows of theta, and each row's place."""
    _, first, which = np.unique(theta.round(3), axis=0, return_index=True, return_inverse=True)
    return theta[first], which.astype(np.intp)
