"""Frontiers of N and D against C: line, band, dashes beyond what was fitted, exponent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from isoflop.approach import ANSWERS, MIXTURE
from isoflop.drawing import style
from isoflop.drawing.placing import Label, inside, place_labels
from isoflop.estimates.mixture import Mixture
from isoflop.figures.inputs import band
from isoflop.numbers import fixed, interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from isoflop.approach import Row
    from isoflop.estimates.estimate import Estimate
    from isoflop.figures.inputs import Axis, FigureInputs

    Floats = NDArray[np.float64]

PLACES: Final = 24
"""Values of C on either side of the last fitted point; not every frontier is a straight line."""
CORNERS: Final = ((0.05, 0.96), (0.97, 0.04), (0.05, 0.04), (0.97, 0.96))
"""Where an exponent may stand, as parts of the picture: N and D grow with C."""


def draw_scaling(axes: Axes, inputs: FigureInputs, estimate: Estimate, axis: Axis) -> None:
    """Draw one power law over the data and half a decade beyond, with its band and exponent."""
    draw_law(axes, inputs, estimate, axis, end=10**0.5 * estimate.flops_range[1])
    exponent = estimate.a if axis == "params" else estimate.b
    name = "a" if axis == "params" else "b"
    text = f"${name}$ = {fixed(exponent.value)}"
    if "0.95" in exponent.intervals:
        text += f"\n95 %: {interval(*exponent.intervals['0.95'], fixed)}"
    # a third of the page's width: the whole words would be cut
    axes.set_xlabel("Compute $C$ (FLOPs)")
    axes.set_ylabel(style.PARAMS if axis == "params" else style.TOKENS)
    style.log_axis(axes.xaxis)
    style.log_axis(axes.yaxis, counts=True)
    corners = inside(axes, CORNERS)
    place_labels(axes, [Label(text, style.INK, corners, gid=f"exponent-{axis}")])


def row_of(answer: Estimate | Mixture) -> Row:
    """Give the name, the colour and the mark of what answers."""
    return MIXTURE if isinstance(answer, Mixture) else ANSWERS[answer.approach]


def draw_law(
    axes: Axes, inputs: FigureInputs, answer: Estimate | Mixture, axis: Axis, *, end: float
) -> tuple[Floats, Floats]:
    """Draw N_opt(C) or D_opt(C) from the first point that it was fitted to.

    Solid to the last such point, dashed beyond; the band is the pointwise 95 % interval, as the
    tables print it: none where they print none.

    Returns
    -------
    C and what is drawn there.
    """
    low, high = answer.frontier_range
    row = row_of(answer)
    gid = f"law-{row.key}-{axis}"
    inside = np.geomspace(low, high, PLACES)
    flops = np.concatenate([inside, np.geomspace(high, end, PLACES)[1:]])
    traced = band(inputs, answer, axis, flops)
    width = 1.8 if row is MIXTURE else 1.2
    axes.plot(inside, traced.centre[:PLACES], color=row.colour, lw=width, gid=gid, zorder=4)
    axes.plot(
        flops[PLACES - 1 :], traced.centre[PLACES - 1 :], color=row.colour, lw=width,
        ls=(0, (3, 1.5)), gid=f"{gid}-beyond", zorder=4,
    )  # fmt: skip
    if np.isfinite(traced.low).any():
        axes.fill_between(
            flops, traced.low, traced.high, color=row.colour, alpha=0.15, lw=0,
            gid=f"{gid}-band", zorder=2,
        )  # fmt: skip
    return flops, traced.centre
