"""Minima of Akima splines through many subsets of points at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


def akima_minima(x: Floats, y: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """Find where an Akima spline through the present points is lowest.

    Parameters
    ----------
    x : (points,) abscissae; equal ones are replicates and are averaged.
    y : (rows, points) or (1, points) ordinates.
    weights : (rows, points); a point with weight 0 is absent.

    Returns
    -------
    Position and value of the lowest point, (rows,) each; NaN with fewer than three abscissae.

    References
    ----------
    Akima 1970, J. ACM 17(4); Porian et al. 2024, section 3.1, for its use on IsoFLOP profiles.
    """
    knots, which = np.unique(x, return_inverse=True)
    members = np.zeros((len(knots), len(x)))
    members[which, np.arange(len(x))] = 1.0
    total = np.stack([np.vecdot(weights, m) for m in members], axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.stack([np.vecdot(weights * y, m) for m in members], axis=-1) / total
    present = total > 0
    count = present.sum(axis=1)
    position = np.full(len(weights), np.nan)
    value = np.full(len(weights), np.nan)
    # rows with equally many knots form a full matrix
    for n in range(3, len(knots) + 1):
        rows = np.flatnonzero(count == n)
        if len(rows):
            taken = np.nonzero(present[rows])[1].reshape(len(rows), n)
            position[rows], value[rows] = _minima(
                knots[taken], np.take_along_axis(mean[rows], taken, axis=1)
            )
    return position, value


def _minima(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Find the minima of splines through full rows of knots, (rows, knots)."""
    width = np.diff(x)
    slope = np.diff(y) / width
    tangent = _tangents(slope)
    left, right = tangent[:, :-1], tangent[:, 1:]
    # y_i + left h + q h**2 + c h**3 on each piece
    q = (3.0 * slope - 2.0 * left - right) / width
    c = (left + right - 2.0 * slope) / width**2
    with np.errstate(invalid="ignore", divide="ignore"):
        # the root of left + 2 q h + 3 c h**2 where the curvature is positive, without cancellation
        root = np.sqrt(q * q - 3.0 * c * left)
        h = np.where(q > 0.0, -left / (q + root), (root - q) / (3.0 * c))
    inside = (h > 0.0) & (h < width)
    h = np.where(inside, h, 0.0)
    candidates = np.concatenate([y[:, :-1] + h * (left + h * (q + h * c)), y[:, -1:]], axis=1)
    places = np.concatenate([x[:, :-1] + h, x[:, -1:]], axis=1)
    best = candidates.argmin(axis=1)[:, None]
    position = np.take_along_axis(places, best, axis=1)[:, 0]
    return position, np.take_along_axis(candidates, best, axis=1)[:, 0]


def _tangents(slope: Floats) -> Floats:
    """Give Akima's tangent at each knot from the slopes between them, (rows, knots - 1)."""
    first = 2.0 * slope[:, :1] - slope[:, 1:2]
    last = 2.0 * slope[:, -1:] - slope[:, -2:-1]
    m = np.concatenate(
        [2.0 * first - slope[:, :1], first, slope, last, 2.0 * last - slope[:, -1:]], 1
    )
    change = np.abs(np.diff(m))
    before, after = change[:, :-2], change[:, 2:]
    total = before + after
    flat = total <= 1e-9 * total.max(axis=1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        weighted = (after * m[:, 1:-2] + before * m[:, 2:-1]) / total
    return np.asarray(np.where(flat, 0.5 * (m[:, 1:-2] + m[:, 2:-1]), weighted))
