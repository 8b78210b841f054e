"""Leaving out one run at a time: skewness for BCa intervals, errors for studentised ones."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from isoflop.approaches.protocol import Resamples

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from isoflop.approaches.protocol import Fit

    Floats = NDArray[np.float64]

BLOCK: Final = 20_000
"""Refits posed at a time."""


def leave_one_out(fit: Fit) -> Floats:
    """Refit without each run in turn, (runs, parameters); NaN where that is refused."""
    n = fit.observations.n_runs
    return fit.refit(Resamples(np.ones((n, n)) - np.eye(n))).parameters


def jackknife_errors(
    fit: Fit, resamples: Resamples, quantities: Callable[[Floats], Floats]
) -> Floats:
    """Estimate the standard error of quantities within each resample.

    Parameters
    ----------
    fit : the fit to all runs.
    resamples : weights of (draws, runs), whole numbers.
    quantities : maps rows of parameters to rows of quantities.

    Returns
    -------
    (draws, quantities): the root of (m - 1)/m sum_j w_j (q_(j) - mean)**2, where q_(j) leaves out
    one copy of run j and m is the number of copies drawn; NaN where a leave-out is refused.

    References
    ----------
    Efron and Tibshirani 1993, equation 11.5.
    """
    weights = resamples.weights
    size = max(1, BLOCK // weights.shape[1])
    blocks = []
    for start in range(0, len(weights), size):
        block = weights[start : start + size]
        draw, run = np.nonzero(block)
        without = block[draw]
        without[np.arange(len(draw)), run] -= 1.0
        changed = replace(resamples.take(draw + start), weights=without)
        left = quantities(fit.refit(changed).parameters)
        blocks.append(_spread(left, block[draw, run], draw, len(block)))
    return np.concatenate(blocks)


def _spread(left: Floats, copies: Floats, draw: NDArray[np.intp], draws: int) -> Floats:
    """Sum squares within each draw, each leave-out as often as its run was drawn."""
    total = np.bincount(draw, copies, draws)
    columns = []
    for column in left.T:
        # a coefficient may be any power of ten; an infinite error makes an interval without ends
        with np.errstate(over="ignore", invalid="ignore"):
            mean = np.bincount(draw, copies * column, draws) / total
            squares = np.bincount(draw, copies * (column - mean[draw]) ** 2, draws)
            columns.append(np.sqrt((total - 1.0) / total * squares))
    return np.stack(columns, axis=-1)
