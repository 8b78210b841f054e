"""What a token costs at each size, by the fitted runs themselves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from isoflop.approaches.numerics.least_squares import fit_lines
from isoflop.cells import cells_of, number_of_cells
from isoflop.errors import UnderdeterminedError
from isoflop.estimates.laws import FlopsPerToken
from isoflop.numbers import per_cent

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from isoflop.approaches.observations import Observations
    from isoflop.approaches.protocol import Fit

    Floats = NDArray[np.float64]

EXACT: Final = 1e-6
"""C / (N D) that varies by no more than this share is one number."""
MOST_OFF: Final = 0.03
"""Share by which best sizes under a power of N may miss those at the runs' cost: half of what the
95 % interval of 35 runs that scatter by .3 % reaches to either side."""
PLACES: Final = (0.1, 0.5, 0.9)
"""Quantiles of the runs' N at which that is asked. Best sizes of isoFLOP budgets lie between."""
TYPICAL: Final = 1.0 / 3.0
"""alpha and beta by which it is told: published laws have .25 to .5."""
LEAST_SIZES: Final = 3
"""Sizes of which a power of N may miss one."""


def flops_per_token(params: Floats, tokens: Floats, flops: Floats) -> FlopsPerToken:
    """Fit C / D = k N**m to runs, (runs,) each; exact where C is proportional to N D."""
    log_cost = np.log(flops / tokens)
    ratio = flops / (params * tokens)
    if np.ptp(ratio) <= EXACT * ratio.mean():
        return FlopsPerToken(coefficient=float(ratio.mean()), exponent=1.0, largest_deviation=0.0)
    x = np.log(params)[None, :]
    line = fit_lines(x, log_cost[None, :], np.ones_like(x))
    deviation = float(np.abs(np.expm1(line.residuals(x, log_cost[None, :]))).max())
    return FlopsPerToken(
        coefficient=float(np.exp(line.intercept[0])),
        exponent=float(line.slope[0]),
        largest_deviation=deviation,
    )


@dataclass(frozen=True)
class OtherCost:
    """How far best sizes are off because no power of N is what the runs' tokens cost.

    Attributes
    ----------
    power : the power of N that laws of the loss take for it.
    sizes : smallest and largest N of the runs.
    params : the N at which best sizes are most off.
    off : log of the best size under the power over that at the runs' cost, there.
    """

    power: FlopsPerToken
    sizes: tuple[float, float]
    params: float
    off: float

    @property
    def words(self) -> str:
        """Say which power misses the cost, and what that does to best sizes."""
        low, high = self.sizes
        return (
            f"FLOPs per token follow N^{self.power.exponent:.2f} only within "
            f"{per_cent(self.power.largest_deviation)} over sizes from {low:.2g} to {high:.2g}, "
            f"and a law's best size near {self.params:.2g} would be off by about "
            f"{per_cent(np.expm1(self.off), signed=True)} for that alone, where "
            f"{per_cent(MOST_OFF)} is the most that is shown"
        )


def other_cost(observations: Observations) -> OtherCost | None:
    """Tell whether laws would minimise under another cost than the runs'.

    With a parabola in log N for log C / D, whose slope is m(N), the condition of least loss at
    equal C gives, to first order, log of the best N under k N**m over that at the runs' cost:
    -(log m / m(N) + beta log k N**m / c(N)) / (alpha + beta m). A parabola, because sizes of one
    cost in several shapes scatter about any curve, and do not bend it.

    Returns
    -------
    What is off; None where a power of N is the cost, or where best sizes are off by no more than
    ``MOST_OFF``.
    """
    ends = observations.at(np.flatnonzero(np.diff(observations.run, append=-1) != 0))
    power = flops_per_token(ends.params, ends.tokens, ends.flops)
    if power.largest_deviation <= EXACT:
        return None
    if number_of_cells(cells_of(ends.params)) < LEAST_SIZES:
        return None
    log_n = np.log(ends.params)
    curve = np.polynomial.Polynomial.fit(log_n, np.log(ends.flops / ends.tokens), 2)
    places = np.quantile(log_n, PLACES)
    steeper = np.log(power.exponent / curve.deriv()(places))
    dearer = power.log_flops(places, np.zeros(len(places))) - curve(places)
    off = -(steeper + TYPICAL * dearer) / (TYPICAL * (1.0 + power.exponent))
    worst = int(np.abs(off).argmax())
    if abs(off[worst]) <= MOST_OFF:
        return None
    low, high = float(ends.params.min()), float(ends.params.max())
    return OtherCost(power, (low, high), float(np.exp(places[worst])), float(off[worst]))


def require_cost(fit: Fit) -> None:
    """Refuse a law whose best sizes would be those of another cost than the runs'.

    Raises
    ------
    UnderdeterminedError : naming the power of N, by how much it misses, and the ways out.
    """
    if fit.law.flops_per_token is None:
        return
    missed = other_cost(fit.observations)
    if missed is None:
        return
    counting = fit.counting
    if fit.observations.of_experts.any():  # C of all parameters is refused for these
        equal, cure = "6ND of active parameters", "{params: active, flops: active}"
    else:
        equal, cure = "6ND", "{params: total, flops: 6nd}"
    # the same words for all laws: what they rest on is told once
    raise UnderdeterminedError(
        f"laws of the loss cannot give best sizes of sweep {fit.observations.sweep}: they take "
        f"what a token costs for a power of N. With N counted as {counting.params} and C as "
        f"{counting.flops}, {missed.words}. Take approach 2 (profiles), which needs no such power; "
        f"or, for answers at equal {equal}, count so: approaches.counting: {cure} "
        "(docs/counting.md)."
    )
