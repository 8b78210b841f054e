"""The allocation of a compute whose unique tokens are few, where repeats lose their worth.

By the data-constrained law of a sweep (Muennighoff et al. 2023, arXiv 2305.16264, equations 5 and
6): with U unique tokens, D tokens are worth D' = U + U R*_D (1 - exp(-(D/U - 1) / R*_D)), and
parameters beyond those that U tokens can use lose their worth likewise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from isoflop.config.reading import Section
from isoflop.estimates.quantities import Quantity, calibrated
from isoflop.laws import ChinchillaLaw, RepeatedDataLaw

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from isoflop.estimates.draws import Draws
    from isoflop.estimates.estimate import Estimate
    from isoflop.estimates.laws import DataConstrainedLaw

    Floats = NDArray[np.float64]

REACH: Final = 14.0
"""How far from the optimum on fresh tokens the one with repeats is sought [log parameter]."""
STEP: Final = 0.05
"""Of the grid of sizes in which the lowest loss is looked for, before it is closed in on."""
SECTIONS: Final = 40
GOLDEN: Final = 0.5 * (np.sqrt(5.0) - 1.0)


class RepeatedAllocation(Section):
    """The best N and D for a compute and a number of unique tokens."""

    params: Quantity
    tokens: Quantity
    """D, repeats counted."""
    tokens_per_param: Quantity
    epochs: Quantity
    """D over the unique tokens; less than one where there are enough."""
    worth: Quantity
    """D': as many fresh tokens would be worth as much."""
    loss: Quantity
    seen: float | None = None
    """Most often that a fitted run saw its unique tokens: the law was fitted to no more repeats;
    None where that is unknown."""

    @property
    def is_beyond(self) -> bool:
        """Whether the unique tokens are repeated more often than any fitted run repeated its."""
        return self.seen is not None and self.epochs.value > self.seen


def repeated_columns(
    law: DataConstrainedLaw, rows: Floats, flops: float, unique: float
) -> dict[str, Floats]:
    """Give the allocation of lowest loss along C = k N**m D, with some unique tokens.

    Parameters
    ----------
    law : with the constants that are not fitted.
    rows : (rows, parameters), E, R_D and R_N.
    flops : C [FLOP].
    unique : unique tokens.

    Returns
    -------
    By the names of ``RepeatedAllocation``, (rows,) each; NaN where a row is.
    """
    fresh = ChinchillaLaw(E=0.0, A=law.A, B=law.B, alpha=law.alpha, beta=law.beta)
    cost = law.flops_per_token
    entropy, r_d, r_n = (column[:, None] for column in rows.T)
    repeats = RepeatedDataLaw(fresh, R_D=r_d, R_N=r_n)

    def excess(log_n: Floats) -> Floats:
        params = np.exp(log_n)
        return repeats.loss(params, cost.tokens(params, flops), unique)

    start = np.log(law.optima(np.ones((1, 3)), np.array([flops])).params[0, 0])
    grid = np.arange(start - REACH, start + REACH, STEP)
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        best = grid[np.argmin(excess(np.broadcast_to(grid, (len(rows), len(grid)))), axis=1)]
        low, high = best[:, None] - STEP, best[:, None] + STEP
        for _ in range(SECTIONS):
            left, right = high - GOLDEN * (high - low), low + GOLDEN * (high - low)
            falls = excess(left) > excess(right)
            low, high = np.where(falls, left, low), np.where(falls, high, right)
        params = np.exp(0.5 * (low + high)) * np.where(np.isfinite(r_d), 1.0, np.nan)
        tokens = cost.tokens(params, flops)
        columns = {
            "params": params,
            "tokens": tokens,
            "tokens_per_param": tokens / params,
            "epochs": tokens / unique,
            "worth": repeats.effective_tokens(tokens, unique),
            "loss": entropy + repeats.loss(params, tokens, unique),
        }
    return {name: column[:, 0] for name, column in columns.items()}


def allocate_repeated(
    estimate: Estimate, draws: Draws, flops: float, unique: float
) -> RepeatedAllocation:
    """Give the best allocation by a sweep's data-constrained law, with percentile intervals.

    Parameters
    ----------
    estimate, draws : of the approach ``data_constrained``, and its table of draws.
    flops : C [FLOP].
    unique : unique tokens.
    """
    law = estimate.law
    if law.kind != "data_constrained":
        raise TypeError(f"{estimate.approach} knows nothing of repeated tokens")
    point = repeated_columns(law, estimate.row, flops, unique)
    drawn = repeated_columns(law, estimate.rows(draws), flops, unique)
    fit = estimate.diagnostics
    seen = max(fit.epochs, default=None) if fit.approach == "data_constrained" else None
    quantities = {
        name: calibrated(float(values[0]), drawn[name], ()) for name, values in point.items()
    }
    return RepeatedAllocation(**quantities, seen=seen)
