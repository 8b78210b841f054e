"""Whether a frontier bends: how its exponent a changes with C."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from isoflop.approaches.numerics.least_squares import fit_lines, fit_parabolas
from isoflop.estimates.estimate import Bend, Third
from isoflop.estimates.quantities import Quantity, calibrated

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]

PER_DECADE: Final = 2.0 * math.log(10.0)
"""log N = ... + c (log C)**2 has the slope a = ... + 2 c log C, which changes by this times c."""

FLAT: Final = 1e-12


@dataclass(frozen=True, eq=False)
class Curvature:
    """Departures from a power law, one row per resample; NaN where one cannot tell.

    Attributes
    ----------
    per_decade : (rows,) change of a per decade of C: the quadratic term of log N in log C.
    thirds : (rows, 3) a of the first, middle and last third of the frontier in log C; None where
        there are too few points to be divided.
    edges : (4,) log C of the thirds' ends.
    reason : why there is no curvature; empty where there is one.

    References
    ----------
    Hoffmann et al. 2022, appendix E, for the thirds.
    """

    per_decade: Floats
    thirds: Floats | None = None
    edges: Floats | None = None
    reason: str = ""

    def without(self, refused: Bools) -> Curvature:
        """Blank the refused rows."""
        thirds = None if self.thirds is None else np.where(refused[:, None], np.nan, self.thirds)
        return replace(self, per_decade=np.where(refused, np.nan, self.per_decade), thirds=thirds)


def quadratic_term(log_flops: Floats, log_params: Floats, weights: Floats, centre: float) -> Floats:
    """Fit log N = h + s t + c t**2, t = log C - centre; give the change of a per decade.

    Parameters
    ----------
    log_flops : (rows, points) or (1, points); ignored where the weight is 0.
    log_params, weights : (rows, points).
    centre : a log C in the middle of the data.
    """
    shared = len(log_flops) == 1
    x = log_flops if shared else np.where(weights > 0, log_flops, centre)
    return np.asarray(PER_DECADE * fit_parabolas(x, log_params, weights, centre=centre).curvature)


def slopes(log_flops: Floats, log_params: Floats, weights: Floats, edges: Floats) -> Floats:
    """Fit a line of log N on log C between each two edges, (rows, parts).

    Parameters
    ----------
    log_flops : (rows, points) or (1, points); ignored where the weight is 0.
    log_params, weights : (rows, points).
    edges : (parts + 1,) log C.
    """
    part = np.clip(np.searchsorted(edges, log_flops, side="right") - 1, 0, len(edges) - 2)
    columns = []
    for k in range(len(edges) - 1):
        centre = 0.5 * float(edges[k] + edges[k + 1])
        if len(part) == 1:
            # places in order: a slice keeps rows contiguous, and so their sums the same
            places = slice(*np.searchsorted(part[0], [k, k + 1]))
            x, y, kept = (v[:, places] for v in (log_flops, log_params, weights))
        else:
            x, y, kept = log_flops, log_params, weights * (part == k)
        line = fit_lines(x, y, kept, centre=centre)
        # one size that wins throughout has a slope of zero, not of the sums' rounding
        columns.append(np.where(np.abs(line.slope) < FLAT, 0.0, line.slope))
    return np.stack(columns, axis=-1)


def describe_bend(estimate: Curvature, draws: Curvature) -> Bend:
    """Write a frontier's curvature with percentile intervals.

    Parameters
    ----------
    estimate : one row, from all runs.
    draws : the same from each resample.
    """
    if not np.isfinite(estimate.per_decade[0]):
        return Bend(per_decade=None, thirds=None, draws=0, reason=estimate.reason)
    thirds = None
    if estimate.thirds is not None and estimate.edges is not None and draws.thirds is not None:
        ends = np.exp(estimate.edges).tolist()
        thirds = [
            Third(
                flops=(ends[k], ends[k + 1]),
                # too few corners or sizes in a third: no line, so no number
                a=_quantity(a, draws.thirds[:, k]) if np.isfinite(a) else None,
            )
            for k, a in enumerate(estimate.thirds[0])
        ]
    return Bend(
        per_decade=_quantity(estimate.per_decade[0], draws.per_decade),
        thirds=thirds,
        draws=int(np.isfinite(draws.per_decade).sum()),
        reason=None,
    )


def _quantity(value: float, drawn: Floats) -> Quantity:
    return calibrated(float(value), drawn, ())
