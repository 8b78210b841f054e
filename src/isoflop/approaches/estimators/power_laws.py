"""Optima as power laws of C: what the envelope, the profiles and Kaplan's frontier fit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from isoflop.approaches.numerics.least_squares import fit_lines_to
from isoflop.estimates.diagnostics import LATE, Winners

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from isoflop.approaches.estimators.frontier import Frontiers
    from isoflop.approaches.observations import Observations

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]


def fit_power_laws(
    log_flops: Floats,
    log_params: Floats,
    log_tokens: Floats,
    log_loss: Floats,
    weights: Floats,
) -> Floats:
    """Fit log N, log D and log L on log C by least squares.

    Parameters
    ----------
    log_flops : (rows, points) or (1, points).
    log_params, log_tokens, log_loss, weights : (rows, points).

    Returns
    -------
    (rows, 6) in the order of ``estimates.laws.POWER_LAWS``; NaN where a row has fewer than two
    values of C.

    References
    ----------
    Hoffmann et al. 2022, sections 3.1 and 3.2.
    """
    values = (log_params, log_tokens, log_loss)
    params, tokens, loss = fit_lines_to(log_flops, values, weights)
    with np.errstate(over="ignore"):
        return np.stack(
            [
                np.exp(params.intercept),
                params.slope,
                np.exp(tokens.intercept),
                tokens.slope,
                np.exp(loss.intercept),
                -loss.slope,
            ],
            axis=-1,
        )


def fit_frontiers(frontiers: Frontiers) -> Floats:
    """Fit the power laws to frontiers, one row each."""
    return fit_power_laws(
        frontiers.log_flops,
        frontiers.log_params,
        frontiers.log_tokens,
        frontiers.log_loss,
        frontiers.weights,
    )


def fitted_part(
    frontiers: Frontiers, present: Bools, observations: Observations, edge: Literal["trim", "keep"]
) -> Frontiers:
    """Leave out where a subset's smallest or largest size wins and beyond, unless that is kept."""
    return frontiers if edge == "keep" else frontiers.trimmed(present, observations.sizes)


def winners(observations: Observations, frontiers: Frontiers, fitted: Frontiers) -> Winners:
    """List who wins where on the frontier of all runs, by increasing C.

    Parameters
    ----------
    observations : the sweep.
    whole, fitted : one row each: the frontier, and the part of it that is fitted.
    """
    won = np.flatnonzero(frontiers.run[0] >= 0)
    run, log_flops = frontiers.run[0][won], frontiers.log_flops[0][won]
    end = np.full(observations.n_runs, -np.inf)
    np.maximum.at(end, observations.run, observations.flops)
    return Winners(
        run=[observations.runs[i] for i in run],
        flops=np.exp(log_flops).tolist(),
        params=np.exp(frontiers.log_params[0][won]).tolist(),
        tokens=np.exp(frontiers.log_tokens[0][won]).tolist(),
        loss=np.exp(frontiers.log_loss[0][won]).tolist(),
        late=(log_flops >= np.log(end[run]) + np.log(LATE)).tolist(),
        fitted=(fitted.run[0] >= 0)[won].tolist(),
    )
