"""Optima as power laws of C: what the envelope, the profiles and Kaplan's frontier fit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from isoflop.approaches.lines import fit_lines
from isoflop.approaches.protocol import Optima

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

NAMES: Final = ("N_coefficient", "a", "D_coefficient", "b", "L_coefficient", "L_exponent")
"""N_opt = N_coefficient C**a, D_opt = D_coefficient C**b, L_opt = L_coefficient C**-L_exponent."""


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
    (rows, 6) in the order of ``NAMES``; NaN where a row has fewer than two values of C.

    References
    ----------
    Hoffmann et al. 2022, sections 3.1 and 3.2.
    """
    params = fit_lines(log_flops, log_params, weights)
    tokens = fit_lines(log_flops, log_tokens, weights)
    loss = fit_lines(log_flops, log_loss, weights)
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


def power_law_optima(parameters: Floats, flops: Floats, *, loss_up_to: float) -> Optima:
    """Evaluate the power laws at each budget.

    Parameters
    ----------
    parameters : (rows, >= 6) beginning with the columns ``NAMES``.
    flops : (budgets,) C [FLOP].
    loss_up_to : largest C at which a loss is given. The frontier's power law has no floor, so far
        outside the data it would promise losses below the entropy of text.
    """
    n, a, d, b, level, exponent = (column[:, None] for column in parameters[:, :6].T)
    loss = np.where(flops <= loss_up_to, level * flops**-exponent, np.nan)
    return Optima(params=n * flops**a, tokens=d * flops**b, loss=loss)
