"""Residuals of the parametric fit against N, D and C: a good fit shows no trend in any."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from isoflop.figures import style
from isoflop.figures.inputs import loss_law

if TYPE_CHECKING:
    from isoflop.figures.inputs import FigureInputs


def draw(inputs: FigureInputs) -> style.Drawn | style.NothingToShow:
    """Plot measured over predicted loss, less one, in per cent."""
    estimate = inputs.fitted.get("parametric")
    if estimate is None:
        return style.NothingToShow(inputs.refusal("parametric"))
    points = inputs.points(estimate)
    law = loss_law(estimate)
    predicted = law.loss(points["params"].to_numpy(), points["tokens"].to_numpy())
    residual = 100.0 * (points["loss"].to_numpy() / predicted - 1.0)
    figure = style.new_figure(height=2.0)
    panels = figure.subplots(1, 3, sharey=True)
    colours = style.shades(points["flops"])
    for axes, column, label in zip(
        panels,
        ("params", "tokens", "flops"),
        (style.PARAMS, style.TOKENS, style.FLOPS),
        strict=True,
    ):
        axes.axhline(0.0, color=style.INK, lw=0.6)
        axes.scatter(
            points[column],
            residual,
            s=10,
            c=colours,
            linewidths=0,
            gid=f"residuals-{column}",
            zorder=3,
        )
        style.log_axis(axes.xaxis, counts=column != "flops")
        axes.set_xlabel(label)
    panels[0].set_ylabel("Measured over fitted\nloss, less 1 (%)")
    reach = 1.15 * float(np.abs(residual).max())
    panels[0].set_ylim(-reach, reach)
    return style.Drawn(
        figure,
        "Three panels of the parametric fit’s relative residuals in per cent, against parameters, "
        f"tokens and compute, coloured by compute. The largest is {np.abs(residual).max():.2f} %, "
        f"their standard deviation {residual.std():.2f} %.",
    )
