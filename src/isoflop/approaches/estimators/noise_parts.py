"""What the noise of a sweep consists of: seeds, the law's misfit, and errors that a size shares.

Runs of one size share an architecture and often a learning rate, so their losses err together:
residuals of such runs are alike, and a design with 40 runs of eight sizes knows less than 40 runs
that err alone. Parts are told apart by restricted maximum likelihood (REML).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from isoflop.approaches.estimators.misfit import basis_of
from isoflop.cells import cells_of, repeats_of
from isoflop.estimates.diagnostics import NoiseParts

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

FEWEST_GROUPS: Final = 3
"""Sizes that more than one cell shares; fewer say next to nothing of how sizes differ."""
MOST_FREEDOM: Final = 500
"""More residuals than these take seconds: each step costs their third power."""
MOST_RATIO: Final = 1e6
"""Variance of a part over a seed's, at most: seeds that are a thousandth of it cannot be told."""
STARTS: Final = (0.03, 1.0, 30.0)
"""Ratios where the search begins; the likelihood may have two peaks."""
FEWEST_REPLICATES: Final = 3
"""Degrees of freedom of replicates; fewer say next to nothing of how seeds differ."""


def parts_of(
    jacobian: Floats,
    residuals: Floats,
    params: Floats,
    tokens: Floats,
    settings: Floats | None = None,
) -> NoiseParts | None:
    """Estimate the standard deviations of the parts of a law's log residuals.

    A residual is an effect of its size, one of its cell, and an error of its own; the law's
    parameters are fixed effects, linearised at the fit. A cell is a group of repeats: runs of equal
    N and D, trained alike. What it shares beyond its size is misfit of the law there and of its
    settings, and what its runs do not share is the seed.

    Parameters
    ----------
    jacobian : (points, parameters) derivatives of log L in the fitted parameters.
    residuals : (points,) log of observed less log of fitted loss; of runs entered twice once.
    params, tokens, settings : (points,) N and D, and what else replicates share, see
        ``cells.repeats_of``.

    Returns
    -------
    The parts that the design tells apart: without replicates, misfit is part of the seed's; without
    sizes that several cells share, effects of size are part of the misfit. None where it tells
    nothing apart, or no freedom is left, or nothing is noisy.

    References
    ----------
    Patterson and Thompson 1971, Biometrika 58:545. Where a part is absent, statsmodels' MixedLM may
    end in a singular matrix, so it is only the tests' oracle.
    """
    size, cell = cells_of(params), repeats_of(params, tokens, settings)
    replicates = len(residuals) - (cell.max() + 1)
    cells_by_size = np.bincount(size[np.unique(cells_of(params, tokens), return_index=True)[1]])
    groups = {}
    if (cells_by_size > 1).sum() >= FEWEST_GROUPS:
        groups["size"] = size
    if replicates >= FEWEST_REPLICATES:
        groups["cell"] = cell
    fixed = basis_of(jacobian)
    freedom = len(residuals) - fixed.shape[1]
    width = float(residuals.std())
    if not groups or not len(groups) + 2 <= freedom <= MOST_FREEDOM or width == 0.0:
        return None
    # contrasts that the fixed effects leave alone: their likelihood is the restricted one
    left = np.linalg.qr(fixed, mode="complete")[0][:, fixed.shape[1] :].T
    shared = [left @ np.eye(group.max() + 1)[group] for group in groups.values()]
    variance, ratios = _most_likely(left @ residuals / width, [z @ z.T for z in shared])
    seed = float(np.sqrt(variance) * width)
    by_name = dict(zip(groups, (seed * np.sqrt(ratios)).tolist(), strict=True))
    return NoiseParts(
        seed=seed,
        cell=by_name.get("cell"),
        size=by_name.get("size"),
        sizes=len(cells_by_size),
        cells=len(np.unique(cell)),
        replicates=int(replicates),
    )


def _most_likely(contrasts: Floats, shared: list[Floats]) -> tuple[float, Floats]:
    """Maximise the likelihood of normal contrasts over the variances of their parts.

    Parameters
    ----------
    contrasts : (contrasts,) of unit size or so.
    shared : for each part (contrasts, contrasts), its covariance for a variance of 1.

    Returns
    -------
    Variance of what is not shared, and each part's as a ratio to it, (parts,).
    """
    from scipy.linalg import lapack
    from scipy.optimize import minimize

    n = len(contrasts)
    parts, unit = np.stack([part.ravel() for part in shared]), np.eye(n)

    def covariance(ratios: Floats) -> Floats:
        return np.asarray(unit + (ratios @ parts).reshape(n, n))

    def deviance(ratios: Floats) -> tuple[float, Floats]:
        # some fifty of these a sweep, and a sweep for each one simulated: LAPACK itself, since the
        # checks around it take longer
        factor, _ = lapack.dpotrf(covariance(ratios), lower=1)
        half, _ = lapack.dpotri(factor, lower=1)
        inverse = half + half.T
        np.fill_diagonal(inverse, np.diag(half))
        weighed = inverse @ contrasts
        squares = float(contrasts @ weighed)
        value = 2.0 * np.log(np.diag(factor)).sum() + n * np.log(squares)
        slope = parts @ (inverse - np.outer(weighed, weighed) * (n / squares)).ravel()
        return float(value), slope

    bounds = [(0.0, MOST_RATIO)] * len(shared)
    tried = [
        minimize(deviance, np.full(len(shared), start), jac=True, bounds=bounds, method="L-BFGS-B",
                 options={"maxiter": 200, "ftol": 1e-13, "gtol": 1e-8})
        for start in STARTS
    ]  # fmt: skip
    ratios = np.asarray(min(tried, key=lambda result: result.fun).x)
    return float(contrasts @ np.linalg.solve(covariance(ratios), contrasts)) / n, ratios
