"""What the noise of a sweep consists of: seeds, the law's misfit, and errors that a size shares.

Runs of one size share an architecture and often a learning rate, so their losses err together:
residuals of such runs are alike, and a design with 40 runs of eight sizes knows less than 40 runs
that err alone. Parts are told apart by restricted maximum likelihood (REML).
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Final

import numpy as np

from isoflop.approaches.estimators.misfit import basis_of, cells_of
from isoflop.estimates.diagnostics import NoiseParts

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Groups = NDArray[np.intp]

FEWEST_GROUPS: Final = 3
"""Sizes that more than one cell shares; fewer say next to nothing of how sizes differ."""
FEWEST_REPLICATES: Final = 3
"""Degrees of freedom of replicates; fewer say next to nothing of how seeds differ."""


def parts_of(
    jacobian: Floats, residuals: Floats, params: Floats, tokens: Floats
) -> NoiseParts | None:
    """Estimate the standard deviations of the parts of a law's log residuals.

    A residual is an effect of its size, one of its cell of equal N and D, and an error of its own;
    the law's parameters are fixed effects, linearised at the fit. What a cell shares beyond its
    size is misfit of the law there, and what runs of one cell do not share is the seed.

    Parameters
    ----------
    jacobian : (points, parameters) derivatives of log L in the fitted parameters.
    residuals : (points,) log of observed less log of fitted loss.
    params, tokens : (points,) N and D; points that share both, to a thousandth, are replicates.

    Returns
    -------
    The parts that the design tells apart: without replicates, misfit is part of the seed's; without
    sizes that several cells share, effects of size are part of the misfit. None where it tells
    nothing apart, or no freedom is left, or nothing is noisy.

    References
    ----------
    Patterson and Thompson 1971, Biometrika 58:545; as computed by statsmodels' MixedLM.
    """
    from statsmodels.regression.mixed_linear_model import MixedLM, VCSpec
    from statsmodels.tools.sm_exceptions import ConvergenceWarning

    size, cell = cells_of(params), cells_of(params, tokens)
    replicates = len(residuals) - (cell.max() + 1)
    cells_by_size = np.bincount(size[np.unique(cell, return_index=True)[1]])
    groups = {}
    if (cells_by_size > 1).sum() >= FEWEST_GROUPS:
        groups["size"] = size
    if replicates >= FEWEST_REPLICATES:
        groups["cell"] = cell
    fixed = basis_of(jacobian)
    width = float(residuals.std())
    if not groups or len(residuals) - fixed.shape[1] < len(groups) + 2 or width == 0.0:
        return None
    one_of = {name: np.eye(group.max() + 1)[group] for name, group in groups.items()}
    spec = VCSpec(
        list(one_of),
        [[[str(column) for column in range(one.shape[1])]] for one in one_of.values()],
        [[one] for one in one_of.values()],
    )
    # of unit width: the optimiser's steps and tolerances are absolute
    model = MixedLM(residuals / width, fixed, np.ones(len(residuals)), exog_vc=spec)
    with warnings.catch_warnings():
        # a part that is not there ends at zero, the boundary, of which statsmodels warns
        warnings.simplefilter("ignore", ConvergenceWarning)
        fitted = model.fit(reml=True, method=["bfgs", "lbfgs", "powell"])
    by_name = dict(zip(one_of, np.sqrt(np.maximum(fitted.vcomp, 0.0)) * width, strict=True))
    return NoiseParts(
        seed=float(np.sqrt(fitted.scale) * width),
        cell=float(by_name["cell"]) if "cell" in by_name else None,
        size=float(by_name["size"]) if "size" in by_name else None,
        sizes=len(cells_by_size),
        cells=len(np.unique(cell)),
        replicates=int(replicates),
    )
