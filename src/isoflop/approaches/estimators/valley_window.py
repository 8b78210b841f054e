"""How many sizes about its minimum a budget's valley is a parabola over, by rule.

The loss over log N is steeper on one side of its minimum, so a parabola over many sizes has its
vertex beside it (Czech et al. 2026), by as much as no seed mends. Over few sizes it hardly has, but
scatters more. The rule takes the widest window at which the one is small beside the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from isoflop.cells import cells_of_logs, number_of_cells
from isoflop.config.approaches import LEAST_SIZES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]

SYSTEMATIC: Final = 0.5
"""Share of an interval's half-width above which an error that no seed mends counts."""
LEAST_OFF: Final = 0.02
"""Log of a factor in N_opt that nobody needs to be told of."""
BY_SCATTER: Final = 0.05
"""p-value above which a lopsided valley may be scatter."""
HALF_WIDTH: Final = 1.2815515655446004
"""Half of a normal variable's 80 % interval, in standard deviations."""
LEAST_CURVED: Final = LEAST_SIZES + 1
"""Sizes from which a parabola can be told from what is none."""


class Budget(NamedTuple):
    """The runs of one compute budget.

    Attributes
    ----------
    log_flops : ln C of the budget.
    x : (runs,) log of the size.
    y : (runs,) what the parabola is fitted to, the loss or its log.
    """

    log_flops: float
    x: Floats
    y: Floats

    @property
    def n_sizes(self) -> int:
        """Number of distinct sizes."""
        return number_of_cells(cells_of_logs(self.x))


@dataclass(frozen=True)
class Lopsidedness:
    """How far parabolas have their vertices beside the minima, for one window.

    Attributes
    ----------
    p_value : that the cubic term, one for all budgets, is scatter; 1 where it cannot be judged.
    off : ln of the factor by which the line through the vertices is off, at its lowest and its
        highest budget.
    sd : standard deviation of the line there.
    minima : budgets whose vertex lies inside their sizes.
    """

    p_value: float
    off: tuple[float, float]
    sd: tuple[float, float]
    minima: int

    @property
    def matters(self) -> bool:
        """Whether it is no scatter, and more than half of an 80 % interval's half-width."""
        if self.p_value > BY_SCATTER:
            return False
        return any(
            abs(off) > max(SYSTEMATIC * HALF_WIDTH * sd, LEAST_OFF)
            for off, sd in zip(self.off, self.sd, strict=True)
        )


def widest_window(budgets: Sequence[Budget], least: int) -> int:
    """Choose how many sizes of each budget, those of the lowest losses, a parabola is fitted to.

    The widest window at which parabolas have their vertices beside the minima by no more than
    scatter, or by less than half of the half-width of an 80 % interval of the line through them,
    or by less than 2 %. Where no window serves, the narrowest. None loses a budget's minimum that a
    wider one has inside.

    Parameters
    ----------
    budgets : the runs of each.
    least : fewest sizes of a budget.
    """
    widest = max(budget.n_sizes for budget in budgets)
    narrowest = max(least, LEAST_CURVED)
    wider = None
    for sizes in range(widest, narrowest - 1, -1):
        left = [lowest_sizes(budget, sizes) for budget in budgets]
        cut = [Budget(b.log_flops, b.x[k], b.y[k]) for b, k in zip(budgets, left, strict=True)]
        lopsided = lopsidedness(cut)
        if wider is not None and lopsided.minima < wider.minima:
            return sizes + 1
        if not lopsided.matters:
            return sizes
        wider = lopsided
    return min(widest, narrowest)


def lowest_sizes(budget: Budget, sizes: int) -> Bools:
    """Tell the runs of the sizes of lowest loss, over their seeds on average: (runs,)."""
    size = cells_of_logs(budget.x)
    mean = np.bincount(size, weights=budget.y) / np.bincount(size)
    kept = np.zeros(len(mean), dtype=np.bool_)
    kept[np.argsort(mean, kind="stable")[:sizes]] = True
    return np.asarray(kept[size])


def lopsidedness(budgets: Sequence[Budget]) -> Lopsidedness:
    """Fit each budget's parabola and one cubic term for all, and see what it does to the vertices.

    Each budget's parabola takes of the cubic what a parabola can take; what it leaves is regressed
    on, and moves the minimum from the vertex by a Newton step.
    """
    products = squares = rest = 0.0
    points = 0
    log_flops, steps, variances = [], [], []
    for budget in budgets:
        if budget.n_sizes < LEAST_SIZES:
            continue
        s = budget.x - budget.x.mean()
        design = np.stack([np.ones_like(s), s, s * s], axis=1)
        inverse = np.linalg.pinv(design)
        parabola, taken = inverse @ budget.y, inverse @ s**3
        left, cubic = budget.y - design @ parabola, s**3 - design @ taken
        products += float(cubic @ left)
        squares += float(cubic @ cubic)
        rest += float(left @ left)
        points += len(s) - LEAST_SIZES
        slope, curvature = parabola[1:]
        if curvature <= 0.0:
            continue
        vertex = -0.5 * slope / curvature
        if not s.min() < vertex < s.max():
            continue
        log_flops.append(budget.log_flops)
        steep = 3.0 * vertex**2 - taken[1] - 2.0 * taken[2] * vertex
        steps.append(-0.5 * steep / curvature)
        gradient = np.array([0.0, -0.5 / curvature, 0.5 * slope / curvature**2])
        variances.append(float(gradient @ inverse @ inverse.T @ gradient))
    freedom = points - 1
    if freedom < 1 or squares <= 0.0 or not steps:
        return Lopsidedness(1.0, (0.0, 0.0), (0.0, 0.0), len(steps))
    from scipy.special import stdtr

    size = products / squares
    variance = max(rest - size * products, 0.0) / freedom
    error = np.sqrt(variance / squares)
    p_value = 2.0 * float(stdtr(freedom, -abs(size) / error)) if error > 0.0 else 0.0
    c = np.array(log_flops)
    line = np.stack([np.ones_like(c), c - c.mean()], axis=1)[:, : len(np.unique(c))]
    at = line[[c.argmin(), c.argmax()]] @ np.linalg.pinv(line)
    off = at @ np.array(steps) * size
    sd = np.sqrt(variance * (at**2 @ np.array(variances)))
    # the minimum lies a step from the vertex, so the vertex is off by its opposite
    ends = (-float(off[0]), -float(off[1]))
    return Lopsidedness(p_value, ends, (float(sd[0]), float(sd[1])), len(steps))
