"""The sweep's trend of final losses in N and D, robust to runs that are none of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from isoflop.spikes import TELLS_NOTHING, TO_SIGMA

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

LEAST_RUNS: Final = 8
"""Runs without which there is no trend: three coefficients, and a scale that one run cannot set."""
LEAST_DISTANCE: Final = 0.3
"""Distances in ln L below this are none: a plane in ln N and ln D is a rough law, and most runs may
lie on it far more closely than it is true. Bits taken for nats are 0.37 away."""
TUNING: Final = 4.685
"""Tukey's bisquare with 95 % of least squares' efficiency (Holland & Welsch 1977)."""
ROUNDS: Final = 60
"""Rounds of reweighting; the weights settle in some 20."""


def distances(params: Array, tokens: Array, losses: Array) -> tuple[Array, Array] | None:
    """Measure how far final losses are from ln L = c + p ln N + q ln D.

    The plane is fitted by least absolute deviations, then by Tukey's bisquare: a quarter of the
    runs, all wrong to one side, do not move it.

    Parameters
    ----------
    params, tokens, losses : N, D and L [nat/token] of each run, shape (n,).

    Returns
    -------
    The distances in robust standard deviations, 0 where they are below `LEAST_DISTANCE`, and the
    losses expected, both of shape (n,); None of fewer than `LEAST_RUNS` runs.
    """
    if len(losses) < LEAST_RUNS:
        return None
    y: Array = np.log(losses).astype(np.float64)
    x = np.column_stack([np.ones(len(y)), np.log(params), np.log(tokens)])
    x[:, 1:] -= x[:, 1:].mean(axis=0)
    residuals: Array = np.asarray(y - np.median(y))
    for _ in range(ROUNDS):  # least absolute deviations, by reweighted least squares
        residuals = np.asarray(y - x @ _solved(x, y, 1.0 / np.maximum(np.abs(residuals), 1e-6)))
    for _ in range(ROUNDS):
        scale = _scale(residuals)
        weights = np.square(np.maximum(0.0, 1.0 - np.square(residuals / (TUNING * scale))))
        residuals = np.asarray(y - x @ _solved(x, y, weights))
    far = np.abs(residuals)
    sigmas = np.where(far > LEAST_DISTANCE, far / _scale(residuals), 0.0)
    return sigmas, np.exp(y - residuals)


def _solved(x: Array, y: Array, weights: Array) -> Array:
    """Solve weighted least squares; runs of one N or one D leave a coefficient at 0."""
    root = np.sqrt(weights)
    solution = np.linalg.lstsq(x * root[:, None], y * root, rcond=1e-10)[0]
    return np.asarray(solution, dtype=np.float64)


def _scale(residuals: Array) -> float:
    """Give a robust standard deviation, at least what keeps the division finite."""
    return max(float(TO_SIGMA * np.median(np.abs(residuals))), TELLS_NOTHING)
