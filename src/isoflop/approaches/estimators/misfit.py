"""Does the law have the shape of the data? Tests that a fit's own freedom cannot make flat.

The residuals of a five-parameter law have no trend left in N, D or C alone, because the fit has
already removed it; what a wrong form leaves lies in the curvature and in the interaction.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from isoflop.cells import cells_of, repeats_of
from isoflop.estimates.diagnostics import REJECTED
from isoflop.numbers import per_cent

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

DIRECTIONS: Final = ("params_squared", "tokens_squared", "params_times_tokens")
MOSTLY_SPANNED: Final = 1e-6
"""A direction with less than this share of its length outside the fit's tangent space says nothing
that the fit's parameters could not."""
LEVERAGE: Final = 1.0 - 1e-6
ONE_MEASUREMENT: Final = 1e-5
"""Replicates whose log L differ by less are one measurement that was written down twice, such as a
dot read off a figure twice; seeds differ by a thousandth."""


def score_tests(
    jacobian: Floats, residuals: Floats, log_params: Floats, log_tokens: Floats
) -> dict[str, Any]:
    """Test whether residuals depend on (log N)^2, (log D)^2 and log N log D beyond the law.

    Residuals are regressed on the law's own derivatives and the tested directions (the auxiliary
    regression of a score test, Davidson and MacKinnon 1993, chapters 3.6 and 11.6), with the
    covariance HC3, which allows noise that differs among runs and corrects for leverage.

    Parameters
    ----------
    jacobian : (points, parameters) derivatives of log L in the fitted parameters.
    residuals : (points,) log of observed less log of fitted loss.
    log_params, log_tokens : (points,).

    Returns
    -------
    By direction ``{coefficient, p_value}``, alone beside the derivatives, Student's t; ``joint`` of
    all: ``{statistic, degrees_of_freedom, p_value}``, an F with as many degrees of freedom as
    directions that the derivatives do not span, and those of the residuals. Where none is left
    over, null.
    """
    basis, outside = _directions(jacobian, log_params, log_tokens)
    tests: dict[str, Any] = {}
    for name, column in outside.items():
        test = None if column is None else _wald(basis, column[:, None], residuals)
        tests[name] = {
            "coefficient": None if test is None else float(test[0][0]),
            "p_value": None if test is None else test[3],
        }
    test = _joint(basis, outside, residuals)
    tests["joint"] = {
        "statistic": None if test is None else test[1],
        "degrees_of_freedom": None if test is None else list(test[2]),
        "p_value": None if test is None else test[3],
    }
    return tests


def joint_p_value(
    jacobian: Floats, residuals: Floats, log_params: Floats, log_tokens: Floats
) -> float | None:
    """Give the p-value of ``joint`` of ``score_tests`` alone."""
    basis, outside = _directions(jacobian, log_params, log_tokens)
    test = _joint(basis, outside, residuals)
    return None if test is None else test[3]


def _directions(
    jacobian: Floats, log_params: Floats, log_tokens: Floats
) -> tuple[Floats, dict[str, Floats | None]]:
    """Give a basis of the law's derivatives, and what of each direction lies outside."""
    x, y = (values - values.mean() for values in (log_params, log_tokens))
    basis = basis_of(np.column_stack([jacobian, np.ones(len(x))]))
    outside = {
        name: _outside(basis, column)
        for name, column in zip(DIRECTIONS, (x * x, y * y, x * y), strict=True)
    }
    return basis, outside


def _joint(
    basis: Floats, outside: dict[str, Floats | None], residuals: Floats
) -> tuple[Floats, float, tuple[int, int], float] | None:
    left = [column for column in outside.values() if column is not None]
    columns = basis_of(np.column_stack(left)) if left else np.empty((len(basis), 0))
    return _wald(basis, columns, residuals)


def pure_error(
    residuals: Floats,
    params: Floats,
    tokens: Floats,
    settings: Floats | None = None,
    *,
    parameters: int,
) -> dict[str, Any] | None:
    """Compare a law's misfit with how far runs lie apart that differ in their seed alone.

    What settings do at one N and D is neither: the law says the same of all runs there.

    Parameters
    ----------
    residuals : (points,) log of observed less log of fitted loss; of runs entered twice once.
    params, tokens, settings : (points,) N and D, and what else replicates share, see
        ``cells.repeats_of``.
    parameters : number of fitted parameters.

    Returns
    -------
    ``sd`` of the replicates and its ``degrees_of_freedom``; ``statistic``, F of the lack of fit
    over it, with ``lack_of_fit_degrees_of_freedom``, and ``p_value``. None without replicates,
    where theirs are one measurement, or where no freedom is left for a lack of fit. Valid for a fit
    near least squares; replicates are few, so that a p-value of .05 is no acquittal.

    References
    ----------
    Draper and Smith 1998, section 2.1.
    """
    from scipy.special import fdtrc

    within_cell, of_cells = _within(residuals, cells_of(params, tokens))
    pure, freedom = _within(residuals, repeats_of(params, tokens, settings))
    lack = len(residuals) - parameters - of_cells
    if freedom == 0 or lack <= 0:
        return None
    rest = max(float(residuals @ residuals) - within_cell, 0.0)
    if np.sqrt(pure / freedom) < ONE_MEASUREMENT:
        return None
    statistic = (rest / lack) / (pure / freedom)
    return {
        "sd": float(np.sqrt(pure / freedom)),
        "degrees_of_freedom": freedom,
        "lack_of_fit_degrees_of_freedom": lack,
        "statistic": statistic,
        "p_value": float(fdtrc(lack, freedom, statistic)),
    }


def _within(residuals: Floats, group: NDArray[np.intp]) -> tuple[float, int]:
    """Give the sum of squares about the means of groups, and its degrees of freedom."""
    counts = np.bincount(group)
    within = residuals - (np.bincount(group, residuals) / counts)[group]
    return float(within @ within), int((counts - 1).sum())


def misfit_cautions(tests: dict[str, Any], pure: dict[str, Any] | None) -> list[str]:
    """Say in whole sentences that the data reject the form of the law."""
    cautions = []
    joint = tests["joint"]["p_value"]
    if joint is not None and joint < REJECTED:
        words = {
            "params_squared": "(log N)²",
            "tokens_squared": "(log D)²",
            "params_times_tokens": "log N log D",
        }
        strongest = min(
            (name for name in DIRECTIONS if tests[name]["p_value"] is not None),
            key=lambda name: (tests[name]["p_value"], DIRECTIONS.index(name)),
        )
        cautions.append(
            f"The runs reject the form of this law: its residuals depend on {words[strongest]} "
            f"(score test of all three second-order directions, p = {joint:.1g}). Its losses are "
            "wrong beyond the data in a direction that its intervals do not cover; compare the "
            "laws that the runs do not reject."
        )
    if pure is not None and pure["p_value"] < REJECTED:
        cautions.append(
            f"Runs of one size and one token count differ by {per_cent(pure['sd'], 2)} (sd), and "
            f"the law misses by more (lack of fit, F = {pure['statistic']:.1f}, "
            f"p = {pure['p_value']:.1g}): its residuals are misfit, not noise."
        )
    return cautions


def basis_of(columns: Floats) -> Floats:
    """Give an orthonormal basis of the columns, scaled alike first."""
    norms = np.linalg.norm(columns, axis=0)
    left, values, _ = np.linalg.svd(columns / np.where(norms > 0, norms, 1.0), full_matrices=False)
    return left[:, values > 1e-10 * values.max(initial=0.0)]


def _outside(basis: Floats, column: Floats) -> Floats | None:
    """Give the part of a column outside a basis; None where next to nothing is left."""
    rest = column - basis @ (basis.T @ column)
    rest -= basis @ (basis.T @ rest)  # once more: the first pass loses digits where little is left
    if np.linalg.norm(rest) <= MOSTLY_SPANNED * np.linalg.norm(column):
        return None
    return np.asarray(rest)


def _wald(
    basis: Floats, columns: Floats, residuals: Floats
) -> tuple[Floats, float, tuple[int, int], float] | None:
    """Test that residuals do not depend on columns orthogonal to a basis, with HC3.

    Coefficients, F, its degrees of freedom, p-value; None where no freedom is left.
    """
    from scipy.special import fdtrc

    n, q = columns.shape
    freedom = n - basis.shape[1] - q
    if q == 0 or freedom < 1:
        return None
    # orthogonal to the basis, so the columns' block of the sandwich is theirs alone
    gram = np.linalg.inv(columns.T @ columns)
    coefficients = gram @ (columns.T @ residuals)
    leverage = np.einsum("ij,ij->i", basis, basis) + np.einsum(
        "ij,jk,ik->i", columns, gram, columns
    )
    left = residuals - basis @ (basis.T @ residuals) - columns @ coefficients
    if not np.linalg.norm(left) > 1e-12 * max(float(np.linalg.norm(residuals)), 1e-12):
        return None  # noiseless data: nothing to compare with
    scores = columns * (left / (1.0 - np.minimum(leverage, LEVERAGE)))[:, None]
    covariance = gram @ (scores.T @ scores) @ gram
    statistic = float(coefficients @ np.linalg.solve(covariance, coefficients)) / q
    return coefficients, statistic, (q, freedom), float(fdtrc(q, freedom, max(statistic, 0.0)))
