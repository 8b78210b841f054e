"""Power laws of N and D against C: line, band, dashes beyond the data, exponent."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from isoflop.approach import COLOURS
from isoflop.drawing import style
from isoflop.figures.inputs import quantiles

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from isoflop.estimates.estimate import Estimate
    from isoflop.figures.inputs import Axis, FigureInputs


def draw_scaling(axes: Axes, inputs: FigureInputs, estimate: Estimate, axis: Axis) -> None:
    """Draw one power law over the data and half a decade beyond, with its band and exponent."""
    draw_law(axes, inputs, estimate, axis, end=10**0.5 * estimate.flops_range[1])
    exponent = estimate.a if axis == "params" else estimate.b
    name = "a" if axis == "params" else "b"
    text = f"${name}$ = {exponent.value:.3f}"
    if "0.95" in exponent.intervals:
        low, high = exponent.intervals["0.95"]
        text += f"\n95 %: {low:.3f}–{high:.3f}"
    axes.text(0.05, 0.96, text, transform=axes.transAxes, va="top", fontsize=style.SMALL)
    # a third of the page's width: the whole words would be cut
    axes.set_xlabel("Compute $C$ (FLOPs)")
    axes.set_ylabel(style.PARAMS if axis == "params" else style.TOKENS)
    style.log_axis(axes.xaxis)
    style.log_axis(axes.yaxis, counts=True)


def draw_law(
    axes: Axes, inputs: FigureInputs, estimate: Estimate, axis: Axis, *, end: float
) -> None:
    """Draw N_opt(C) or D_opt(C): solid within the data, dashed beyond, 95 % band from the draws."""
    law = estimate.params_opt if axis == "params" else estimate.tokens_opt
    low, high = estimate.flops_range
    colour = COLOURS[estimate.approach]
    inside = np.geomspace(low, high, 2)
    outside = np.geomspace(high, end, 2)
    gid = f"law-{estimate.approach}-{axis}"
    axes.plot(inside, law(inside), color=colour, gid=gid, zorder=4)
    axes.plot(outside, law(outside), color=colour, ls=(0, (3, 1.5)), gid=f"{gid}-beyond", zorder=4)
    flops = np.geomspace(low, end, 60)
    band = quantiles(inputs, estimate, axis, flops, level=0.95)
    if band is not None:
        axes.fill_between(flops, *band, color=colour, alpha=0.15, lw=0, gid=f"{gid}-band", zorder=2)
