"""Residuals of the fitted losses against N, D and C: a good fit shows no trend in any."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from isoflop.approach import NAMES
from isoflop.drawing import style
from isoflop.estimates.diagnostics import Residuals

if TYPE_CHECKING:
    from isoflop.figures.inputs import FigureInputs

AXES = (("params", style.PARAMS), ("tokens", style.TOKENS), ("flops", style.FLOPS))


def draw(inputs: FigureInputs) -> style.Drawn | style.NothingToShow:
    """Plot measured over fitted loss, less one, in per cent, a row for each approach."""
    found = {
        approach: estimate.diagnostics.residuals
        for approach, estimate in inputs.fitted.items()
        if isinstance(estimate.diagnostics.residuals, Residuals)
    }
    if not found:
        return style.NothingToShow("No approach fitted losses, so there are no residuals of them.")
    figure = style.new_figure(height=0.5 + 1.4 * len(found))
    panels = figure.subplots(len(found), 3, sharex="col", sharey="row", squeeze=False)
    words = []
    for row, (approach, own) in zip(panels, found.items(), strict=True):
        residual = 100.0 * np.expm1(np.array(own.log_residual))
        colours = style.shades(own.flops)
        for axes, (column, label) in zip(row, AXES, strict=True):
            axes.axhline(0.0, color=style.INK, lw=0.6)
            axes.scatter(
                getattr(own, column),
                residual,
                s=10,
                c=colours,
                linewidths=0,
                gid=f"residuals-{approach}-{column}",
                zorder=3,
            )
            style.log_axis(axes.xaxis, counts=column != "flops")
            if approach == list(found)[-1]:
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
        f"parameters, tokens and compute, coloured by compute. {' '.join(words)}",
    )
