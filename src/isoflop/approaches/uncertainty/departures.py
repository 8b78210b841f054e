"""What genuine sweeps may do that no law of the set says: bends, tuning, and noise that differs.

A departure turns a sweep simulated from approach 3's law into one whose truth is another, or whose
errors are not independent and alike. Intervals are then judged under truths that no approach was
built on.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import numpy as np

from isoflop.cells import cells_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from isoflop.estimates.laws import FlopsPerToken, HoffmannLaw

    Floats = NDArray[np.float64]

BUDGETS: Final = 5
"""C over the data's range at which a bent frontier's slope is taken."""


@dataclass(frozen=True, slots=True)
class Departure:
    """One way in which sweeps depart from a law with independent errors that are all alike.

    Attributes
    ----------
    drift : by which alpha and beta grow per e-fold of N and D, from the middle of the runs on.
    mistuned : log loss that a rate tuned at the smallest size costs per decade of N above it.
    mistuned_squared : log loss that a rate tuned in the middle costs per square decade of N.
    noise : standard deviations of the log error at the smallest C and the largest, between them
        geometric in C; None takes the law's own residuals.
    by_size : standard deviation of a log error that all runs of one N share.
    """

    drift: float = 0.0
    mistuned: float = 0.0
    mistuned_squared: float = 0.0
    noise: tuple[float, float] | None = None
    by_size: float = 0.0

    def excess(self, log_params: Floats) -> Floats:
        """Give what mistuned rates add to log L, (runs,); the truth asked for is without it."""
        decades = log_params / np.log(10.0)
        above, off = decades - decades.min(), decades - decades.mean()
        return np.asarray(self.mistuned * above + self.mistuned_squared * off**2)

    def errors(self, params: Floats, flops: Floats, generator: np.random.Generator) -> Floats:
        """Draw log errors of runs, (runs,).

        Raises
        ------
        ValueError : the departure takes the law's own residuals.
        """
        if self.noise is None:
            raise ValueError("this departure has no noise of its own")
        first, last = np.log(self.noise)
        place = np.log(flops / flops.min()) / max(float(np.log(flops.max() / flops.min())), 1e-12)
        alone = np.exp(first + (last - first) * place) * generator.normal(size=len(params))
        size = cells_of(params)
        shared = self.by_size * generator.normal(size=int(size.max()) + 1)
        return np.asarray(alone + shared[size])


DEPARTURES: Final[Mapping[str, Departure]] = MappingProxyType(
    {
        "heteroscedastic": Departure(noise=(0.030, 0.005)),
        "size_effects": Departure(noise=(0.010, 0.010), by_size=0.011),
        "bent_up": Departure(drift=0.02),
        "bent_down": Departure(drift=-0.02),
        "mistuned": Departure(mistuned=0.015),
        "mistuned_squared": Departure(mistuned_squared=0.015),
    }
)
"""The truths of docs/coverage.md that are no laws of the set; sizes are those of the seeds, rates
and bends that were seen in sweeps of small models."""


@dataclass(frozen=True, eq=False)
class BentLaw:
    """Approach 3's law whose exponents drift: log of a term is -alpha x - drift x**2 / 2.

    Attributes
    ----------
    law, row : approach 3's law and its parameters, (1, parameters).
    drift : per e-fold.
    middle : log N and log D at which the exponents are the law's.
    """

    law: HoffmannLaw
    row: Floats
    drift: float
    middle: tuple[float, float]

    def log_loss(self, log_params: Floats, log_tokens: Floats) -> Floats:
        """Give log L, in the shape of log N and log D."""
        e, a, b, alpha, beta = self.row[0]
        x, y = log_params - self.middle[0], log_tokens - self.middle[1]
        size = a * np.exp(-alpha * log_params - 0.5 * self.drift * x**2)
        data = b * np.exp(-beta * log_tokens - 0.5 * self.drift * y**2)
        return np.asarray(np.log(e + size + data))

    def straight(self, log_params: Floats, log_tokens: Floats) -> Floats:
        """Give log L of the law itself, (points,)."""
        return np.asarray(self.law.log_loss(self.row, log_params, log_tokens)[0])

    def optimum(self, flops: float) -> tuple[float, float]:
        """Give the best N at C, and the loss there, sought along the budget."""
        from scipy.optimize import minimize_scalar

        cost: FlopsPerToken = self.law.flops_per_token

        def loss(log_params: float) -> float:
            log_tokens = np.log(cost.tokens(np.exp(log_params), flops))
            return float(self.log_loss(np.array(log_params), log_tokens))

        straight = float(np.log(self.law.optima(self.row, np.array([flops])).params[0, 0]))
        near = (straight - 4.0, straight + 4.0)
        least = minimize_scalar(loss, bounds=near, method="bounded", options={"xatol": 1e-8})
        return float(np.exp(least.x)), float(np.exp(least.fun))

    def slope(self, flops_range: tuple[float, float]) -> float:
        """Give the slope of log N_opt in log C through optima over a range of C."""
        flops = np.geomspace(*flops_range, BUDGETS)
        sizes = [self.optimum(float(c))[0] for c in flops]
        return float(np.polyfit(np.log(flops), np.log(sizes), 1)[0])
