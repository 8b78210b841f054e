"""How a fit came about, said alike by every approach: the solver's account, and the residuals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from isoflop.estimates.diagnostics import Account, Residuals, Spread, Trend, Trends

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from isoflop.approaches.numerics.solver import Model, Solution
    from isoflop.approaches.observations import Observations
    from isoflop.estimates.diagnostics import ObjectiveKind

    Floats = NDArray[np.float64]

REACHED: Final = 1e-6
"""A start has reached the optimum if its objective is within this relative distance."""


def solved(
    solution: Solution,
    *,
    kind: ObjectiveKind,
    tolerance: float,
    max_steps: int,
    bounds_hit: list[str],
    condition_number: float | None,
    degrees_of_freedom: int,
) -> Account:
    """Say where the starts of a fit ended.

    Parameters
    ----------
    solution : one problem from many starts.
    kind : what was minimised.
    tolerance, max_steps : what the solver was told.
    bounds_hit, condition_number, degrees_of_freedom : see ``Account``.
    """
    best = float(solution.objective.min())
    return Account(
        objective_kind=kind,
        objective=best,
        starts=len(solution.objective),
        starts_reaching_optimum=int((solution.objective <= best * (1 + REACHED)).sum()),
        starts_converged=int(solution.converged.sum()),
        tolerance=tolerance,
        max_steps=max_steps,
        bounds_hit=bounds_hit,
        condition_number=condition_number,
        degrees_of_freedom=degrees_of_freedom,
    )


def closed_form(
    objective: float,
    *,
    kind: ObjectiveKind,
    points: int,
    parameters: int,
    condition_number: float | None,
) -> Account:
    """Say the same of a least-squares fit that needs neither starts nor steps."""
    return Account(
        objective_kind=kind,
        objective=objective,
        starts=None,
        starts_reaching_optimum=None,
        starts_converged=None,
        tolerance=None,
        max_steps=None,
        bounds_hit=[],
        condition_number=condition_number,
        degrees_of_freedom=points - parameters,
    )


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


def residuals_of(fitted: Observations, residuals: Floats) -> Residuals:
    """List the residuals of log L at the fitted points.

    Parameters
    ----------
    fitted : the fitted points alone.
    residuals : (points,) log of observed less log of fitted loss.
    """
    width = spread(residuals)
    return Residuals(
        run=[fitted.runs[i] for i in fitted.run],
        params=fitted.params.tolist(),
        tokens=fitted.tokens.tolist(),
        flops=fitted.flops.tolist(),
        loss=fitted.loss.tolist(),
        log_residual=residuals.tolist(),
        rms=width.rms,
        median_absolute=width.median_absolute,
    )


def trends_of(fitted: Observations, residuals: Floats) -> Trends:
    """Test for drifts of the residuals over log N, log D and log C, each alone."""
    return Trends(
        params=trend(np.log(fitted.params), residuals),
        tokens=trend(np.log(fitted.tokens), residuals),
        flops=trend(np.log(fitted.flops), residuals),
    )


def widened(residuals: Floats, *, parameters: int) -> Floats:
    """Make residuals as wide as the errors behind them.

    A fit of p parameters takes up p of n degrees of freedom; sqrt(n / (n - p)) gives them back
    (Efron and Tibshirani 1993, section 9.3).
    """
    n = len(residuals)
    return np.asarray(residuals * np.sqrt(n / max(n - parameters, 1)))


def spread(residuals: Floats) -> Spread:
    """Give root mean square and median size of residuals."""
    return Spread(
        rms=float(np.sqrt(np.mean(residuals**2))),
        median_absolute=float(np.median(np.abs(residuals))),
    )


def trend(x: Floats, residuals: Floats) -> Trend:
    """Test whether residuals drift with x: slope of a line, and p-value of a slope of zero.

    Standard error HC1, robust to a spread that differs along x (MacKinnon and White 1985), and the
    normal distribution. By hand: statsmodels, the tests' oracle, takes longer to import than a law
    to fit.
    """
    from scipy.special import ndtr

    if np.ptp(x) == 0.0 or len(x) < 3 or np.ptp(residuals) == 0.0:
        return Trend(slope=0.0, p_value=1.0)
    n = len(x)
    centred = x - x.mean()
    squares = float(centred @ centred)
    slope = float(centred @ residuals) / squares
    left = residuals - residuals.mean() - slope * centred
    error = float(np.sqrt(n / (n - 2) * np.sum((centred * left) ** 2))) / squares
    p_value = 2.0 * float(ndtr(-abs(slope) / error)) if error > 0.0 else float(slope == 0.0)
    return Trend(slope=slope, p_value=p_value)
