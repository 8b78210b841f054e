"""Residuals of the fitted losses against N, D and C: a good fit shows neither trend nor arch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from isoflop.approach import NAMES
from isoflop.drawing import style
from isoflop.estimates.diagnostics import Residuals

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from isoflop.figures.inputs import FigureInputs

    Floats = NDArray[np.float64]

IN_BIN = 6
"""Points behind a mean: enough for its standard error, few enough to show an arch."""
MOST_BINS = 8


@dataclass(frozen=True, eq=False)
class Means:
    """Means of neighbouring points, each array (bins,)."""

    x: Floats
    mean: Floats
    error: Floats


def binned(x: Floats, y: Floats) -> Means:
    """Average neighbouring points, alike many to a bin; points of one x are not parted.

    Parameters
    ----------
    x, y : (points,), x positive.

    Returns
    -------
    The geometric mean of x, the mean of y and its standard error; 0 for a bin of one point.
    """
    places, label = np.unique(np.log(x).round(6), return_inverse=True)
    counts = np.bincount(label)
    bins = max(1, min(MOST_BINS, len(x) // IN_BIN, len(places)))
    # each place goes where the middle of its points falls
    middle = (np.cumsum(counts) - 0.5 * counts) / len(x)
    bin_of = np.unique((middle * bins).astype(np.intp), return_inverse=True)[1][label]
    n = np.bincount(bin_of)
    mean = np.bincount(bin_of, y) / n
    squares = np.bincount(bin_of, (y - mean[bin_of]) ** 2)
    error = np.sqrt(squares / np.maximum(n - 1, 1) / n)
    return Means(np.exp(np.bincount(bin_of, np.log(x)) / n), mean, error)


AXES = (("params", style.PARAMS), ("tokens", style.TOKENS), ("flops", style.FLOPS))


def draw(inputs: FigureInputs) -> style.Drawn | style.NothingToShow:
    """Plot measured over fitted loss, less one, in per cent, a row for each approach."""
    residuals = {
        approach: estimate.diagnostics.residuals
        for approach, estimate in inputs.fitted.items()
        if isinstance(estimate.diagnostics.residuals, Residuals)
    }
    if not residuals:
        return style.NothingToShow("No approach fitted losses, so there are no residuals of them.")
    figure = style.new_figure(height=0.5 + 1.4 * len(residuals))
    panels = figure.subplots(len(residuals), 3, sharex="col", sharey="row", squeeze=False)
    words = []
    for row, (approach, values) in zip(panels, residuals.items(), strict=True):
        residual = 100.0 * np.expm1(np.array(values.log_residual))
        colours = style.shades(values.flops)
        for axes, (column, label) in zip(row, AXES, strict=True):
            axes.axhline(0.0, color=style.INK, lw=0.6)
            marks = axes.scatter(
                getattr(values, column),
                residual,
                s=10,
                c=colours,
                linewidths=0,
                gid=f"residuals-{approach}-{column}",
                zorder=3,
            )
            style.name_runs(marks, values.run)
            means = binned(np.array(getattr(values, column)), residual)
            axes.errorbar(
                means.x,
                means.mean,
                yerr=means.error,
                fmt="s",
                ms=3.5,
                color=style.INK,
                elinewidth=0.8,
                gid=f"means-{approach}-{column}",
                zorder=4,
            )
            style.log_axis(axes.xaxis, counts=column != "flops")
            if approach == list(residuals)[-1]:
                axes.set_xlabel(label)
        row[0].set_title(NAMES[approach])
        row[0].set_ylabel("Measured over fitted\nloss, less 1 (%)")
        reach = 1.15 * float(np.abs(residual).max())
        row[0].set_ylim(-reach, reach)
        words.append(
            f"{NAMES[approach]}: the largest is {np.abs(residual).max():.2f} %, their "
            f"standard deviation {residual.std():.2f} %."
        )
    return style.Drawn(
        figure,
        "Relative residuals of the fitted losses in per cent, a row for each approach, against "
        f"parameters, tokens and compute, coloured by compute, with means of neighbouring points. "
        f"{' '.join(words)}",
    )
