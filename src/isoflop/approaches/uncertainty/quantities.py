"""Every number that an estimate reports, by name, for rows of parameters."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from isoflop.approaches.protocol import Resamples
from isoflop.approaches.uncertainty.intervals import Evidence
from isoflop.approaches.uncertainty.jackknife import jackknife_errors, leave_one_out

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from isoflop.approaches.protocol import Fit
    from isoflop.config.approaches import BootstrapSettings

    Floats = NDArray[np.float64]


def quantities(fit: Fit, parameters: Floats, flops: Floats) -> dict[str, Floats]:
    """Derive parameters, exponents and optima from rows of parameters.

    Parameters
    ----------
    fit : the fit that the parameters belong to.
    parameters : (rows, parameters).
    flops : (budgets,) C of the optima [FLOP].

    Returns
    -------
    Name to (rows,): each parameter, a, b, and for each budget params_opt_C, tokens_opt_C,
    tokens_per_param_C and loss_C, with C as in ``5.76e+23``.
    """
    a, b = fit.exponents(parameters)
    columns = {
        name: column
        for name, column in zip(fit.names, parameters.T, strict=True)
        if name not in {"a", "b"}
    }
    columns |= {"a": a, "b": b}
    optima = fit.optima(parameters, flops)
    for i, c in enumerate(flops):
        key = repr(float(c))
        columns[f"params_opt_{key}"] = optima.params[:, i]
        columns[f"tokens_opt_{key}"] = optima.tokens[:, i]
        columns[f"tokens_per_param_{key}"] = optima.tokens[:, i] / optima.params[:, i]
        columns[f"loss_{key}"] = optima.loss[:, i]
    return columns


def evidence(
    fit: Fit,
    resamples: Resamples,
    draws: dict[str, Floats],
    flops: Floats,
    settings: BootstrapSettings,
    *,
    ranks: Mapping[str, Floats] = MappingProxyType({}),
) -> dict[str, Evidence]:
    """Gather what intervals of each quantity are derived from, leave-outs only where asked for.

    Parameters
    ----------
    fit : the fit to all runs.
    resamples, draws : what was drawn, and the quantities of each draw.
    flops : C of the optima.
    settings : kind of interval.
    ranks : quantity to where the truth fell among the draws of simulated sweeps.

    Returns
    -------
    Name to evidence, for the quantities that the fit predicts.
    """
    point = quantities(fit, fit.parameters[None], flops)
    names = [name for name, value in point.items() if np.isfinite(value[0])]
    left_out: dict[str, Floats] = {}
    errors: dict[str, Floats] = {}
    error: dict[str, Floats] = {}
    if settings.interval == "bca":
        left_out = quantities(fit, leave_one_out(fit), flops)
    if settings.interval == "studentised":

        def rows(parameters: Floats) -> Floats:
            columns = quantities(fit, parameters, flops)
            return np.stack([columns[name] for name in names], axis=-1)

        whole = Resamples(np.ones((1, fit.observations.n_runs)))
        error = dict(zip(names, jackknife_errors(fit, whole, rows).T, strict=True))
        errors = dict(zip(names, jackknife_errors(fit, resamples, rows).T, strict=True))
    return {
        name: Evidence(
            value=float(point[name][0]),
            draws=draws[name],
            jackknife=left_out.get(name),
            error=float(error[name][0]) if name in error else None,
            errors=errors.get(name),
            ranks=ranks.get(name),
        )
        for name in names
    }
