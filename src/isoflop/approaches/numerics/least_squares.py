"""Straight lines and parabolas through many weighted data sets at once.

Sums run along the last axis one row at a time, so a row's result does not depend on which rows
stand beside it: neither blocks nor threads can change a byte.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Lines:
    """y = at_centre + slope * (x - centre), one per row; NaN where a row has fewer than two x."""

    centre: float
    at_centre: Floats
    slope: Floats

    @property
    def intercept(self) -> Floats:
        """Value of y at x = 0."""
        return self.at_centre - self.slope * self.centre

    def residuals(self, x: Floats, y: Floats) -> Floats:
        """Give y less its line."""
        fitted = self.at_centre[:, None] + self.slope[:, None] * (x - self.centre)
        return np.asarray(y - fitted)


def fit_lines(x: Floats, y: Floats, weights: Floats, *, centre: float | None = None) -> Lines:
    """Fit weighted least-squares lines.

    Parameters
    ----------
    x, y : (rows, points) or (1, points) where all rows share them; ignored where the weight is 0.
    weights : (rows, points), not negative.
    centre : abscissa of ``Lines.at_centre``; the mean of x by default.
    """
    (lines,) = fit_lines_to(x, (y,), weights, centre=centre)
    return lines


def fit_lines_to(
    x: Floats, ys: Sequence[Floats], weights: Floats, *, centre: float | None = None
) -> list[Lines]:
    """Fit lines to several y over the same x and weights; see ``fit_lines``."""
    centre = float(x.mean()) if centre is None else centre
    kept = weights > 0
    t = np.where(kept, x - centre, 0.0)
    total = weights.sum(axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean_t = np.vecdot(weights, t) / total
        off = t - mean_t[:, None]
        weighted = weights * off
        spread = np.vecdot(weighted, off)
    enough = spread > 1e-12 * total
    lines = []
    for values in ys:
        y = np.where(kept, values, 0.0)
        with np.errstate(divide="ignore", invalid="ignore"):
            mean_y = np.vecdot(weights, y) / total
            slope = np.where(enough, np.vecdot(weighted, y - mean_y[:, None]) / spread, np.nan)
        lines.append(Lines(centre, mean_y - slope * mean_t, slope))
    return lines


@dataclass(frozen=True, eq=False)
class Parabolas:
    """y = at_centre + slope * t + curvature * t**2 with t = x - centre, one per row."""

    centre: float
    at_centre: Floats
    slope: Floats
    curvature: Floats

    @property
    def vertex(self) -> Floats:
        """Position x of the extremum."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(self.centre - self.slope / (2.0 * self.curvature))

    @property
    def minimum(self) -> Floats:
        """Value at the extremum."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(self.at_centre - self.slope**2 / (4.0 * self.curvature))

    def __call__(self, x: Floats) -> Floats:
        """Evaluate every parabola at x, (rows, points)."""
        t = x - self.centre
        return np.asarray(
            self.at_centre[:, None] + self.slope[:, None] * t + self.curvature[:, None] * t**2
        )


def fit_parabolas(
    x: Floats, y: Floats, weights: Floats, *, centre: float | None = None
) -> Parabolas:
    """Fit weighted least-squares parabolas; NaN where a row has fewer than three distinct x.

    Parameters
    ----------
    x : (points,) or (1, points) shared by all rows, or (rows, points).
    y : (rows, points) or (points,).
    weights : (rows, points), not negative.
    centre : where t is 0; the mean of x by default.
    """
    centre = float(x.mean()) if centre is None else centre
    scale = np.abs(x - centre).max(axis=-1, keepdims=True)
    scale = np.where(scale > 0, scale, 1.0)
    t = (x - centre) / scale
    moments = np.stack([np.vecdot(weights, t**k) for k in range(5)], axis=-1)
    right = np.stack([np.vecdot(weights * y, t**k) for k in range(3)], axis=-1)
    normal = moments[:, np.add.outer(np.arange(3), np.arange(3))]
    total = moments[:, 0]
    with np.errstate(divide="ignore", invalid="ignore"):
        flat = ~(np.linalg.det(normal / total[:, None, None]) > 1e-12)
    normal[flat] = np.eye(3)
    at_centre, slope, curvature = np.linalg.solve(normal, right[:, :, None])[:, :, 0].T
    at_centre, slope, curvature = (np.where(flat, np.nan, v) for v in (at_centre, slope, curvature))
    unit = scale[..., 0]
    return Parabolas(centre, at_centre, slope / unit, curvature / unit**2)
