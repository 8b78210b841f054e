"""How a fit came about, said alike by every approach: the solver's account, and the residuals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from isoflop.approaches.numerics.solver import Model, Solution
    from isoflop.approaches.observations import Observations

    Floats = NDArray[np.float64]

REACHED: Final = 1e-6
"""A start has reached the optimum if its objective is within this relative distance."""


def solved(solution: Solution, *, tolerance: float, max_steps: int) -> dict[str, Any]:
    """Say where the starts of a fit ended.

    Parameters
    ----------
    solution : one problem from many starts.
    tolerance, max_steps : what the solver was told.
    """
    best = float(solution.objective.min())
    return {
        "objective": best,
        "starts": len(solution.objective),
        "starts_reaching_optimum": int((solution.objective <= best * (1 + REACHED)).sum()),
        "starts_converged": int(solution.converged.sum()),
        "tolerance": tolerance,
        "max_steps": max_steps,
    }


def closed_form(objective: float, *, points: int, parameters: int) -> dict[str, Any]:
    """Say the same of a least-squares fit that needs neither starts nor steps."""
    return {
        "objective": objective,
        "starts": None,
        "starts_reaching_optimum": None,
        "starts_converged": None,
        "tolerance": None,
        "max_steps": None,
        "bounds_hit": [],
        "degrees_of_freedom": points - parameters,
    }


def bounds_hit(names: Sequence[str], theta: Floats, lower: Floats, upper: Floats) -> list[str]:
    """Name the parameters that lie at a bound."""
    hit = (theta <= lower) | (theta >= upper)
    return [name for name, is_hit in zip(names, hit, strict=False) if is_hit]


def condition_number(model: Model, theta: Floats) -> float:
    """Condition number of J'J with unit diagonal: 1 where parameters are told apart.

    Parameters
    ----------
    model : the law at its points.
    theta : (1, parameters).
    """
    fitted, state = model.value(theta)
    ones = np.ones_like(fitted)
    return scaled_condition(model.derivatives(state, 0.0 * ones, ones)[1][0])


def scaled_condition(gram: Floats) -> float:
    """Condition number of a normal matrix with unit diagonal."""
    scale = np.sqrt(np.maximum(gram.diagonal(), 1e-300))
    return float(np.linalg.cond(gram / np.outer(scale, scale)))


def residual_diagnostics(
    fitted: Observations, residuals: Floats, *, parameters: int
) -> dict[str, Any]:
    """Describe the residuals of log L at the fitted points.

    Parameters
    ----------
    fitted : the fitted points alone.
    residuals : (points,) log of observed less log of fitted loss.
    parameters : number of fitted parameters.

    Returns
    -------
    ``residuals``: points and residuals, root mean square, median size; ``trends``: of the residuals
    over log N, log D and log C, each alone; ``degrees_of_freedom``.
    """
    return {
        "degrees_of_freedom": len(residuals) - parameters,
        "trends": {
            name: trend(np.log(getattr(fitted, name)), residuals)
            for name in ("params", "tokens", "flops")
        },
        "residuals": {
            "run": [fitted.runs[i] for i in fitted.run],
            "params": fitted.params.tolist(),
            "tokens": fitted.tokens.tolist(),
            "flops": fitted.flops.tolist(),
            "loss": fitted.loss.tolist(),
            "log_residual": residuals.tolist(),
            **spread(residuals),
        },
    }


def widened(residuals: Floats, *, parameters: int) -> Floats:
    """Make residuals as wide as the errors behind them.

    A fit of p parameters takes up p of n degrees of freedom; sqrt(n / (n - p)) gives them back
    (Efron and Tibshirani 1993, section 9.3).
    """
    n = len(residuals)
    return np.asarray(residuals * np.sqrt(n / max(n - parameters, 1)))


def spread(residuals: Floats) -> dict[str, float]:
    """Give root mean square and median size of residuals."""
    return {
        "rms": float(np.sqrt(np.mean(residuals**2))),
        "median_absolute": float(np.median(np.abs(residuals))),
    }


def trend(x: Floats, residuals: Floats) -> dict[str, float]:
    """Test whether residuals drift with x: slope of a line, and p-value of a slope of zero.

    Standard error HC1, robust to a spread that differs along x (MacKinnon and White 1985), and the
    normal distribution.
    """
    from statsmodels.regression.linear_model import OLS
    from statsmodels.tools.tools import add_constant

    if np.ptp(x) == 0.0 or len(x) < 3 or np.ptp(residuals) == 0.0:
        return {"slope": 0.0, "p_value": 1.0}
    found = OLS(residuals, add_constant(x - x.mean())).fit(cov_type="HC1")
    return {"slope": float(found.params[1]), "p_value": float(found.pvalues[1])}
