"""What a token costs at each size, by the fitted runs themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from isoflop.approaches.numerics.least_squares import fit_lines
from isoflop.estimates.laws import FlopsPerToken

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

EXACT: Final = 1e-6
"""C / (N D) that varies by no more than this share is one number."""


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
