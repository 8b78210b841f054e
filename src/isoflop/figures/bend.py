"""Hoffmann's Figure A5: whether the frontier bends, as the exponent a along it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from isoflop.approach import COLOURS, NAMES
from isoflop.drawing import style
from isoflop.estimates.diagnostics import frontier_points
from isoflop.numbers import PLAIN, fixed, power

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from isoflop.estimates.estimate import Bend, Estimate
    from isoflop.estimates.quantities import Quantity
    from isoflop.figures.inputs import FigureInputs

    Floats = NDArray[np.float64]

LEVEL: Final = "0.95"
HEAD: Final = 0.35
"""Share of the height that words take above what is drawn."""


def draw(inputs: FigureInputs) -> style.Drawn | style.NothingToShow:
    """Plot the slope of log N in log C along each measured frontier, beside the power law's."""
    told = {
        approach: (estimate, estimate.curvature)
        for approach, estimate in inputs.fitted.items()
        if estimate.curvature is not None
    }
    shown = {key: pair for key, pair in told.items() if pair[1].per_decade is not None}
    if not shown:
        why = [f"{NAMES[key]}: {bend.reason}." for key, (_, bend) in told.items()]
        return style.NothingToShow(
            " ".join(why)
            or "Neither the envelope nor the profiles of this sweep gave a frontier to measure."
        )
    figure = style.new_figure(height=2.3)
    panels = figure.subplots(1, len(shown), sharey=True, squeeze=False)[0]
    words = []
    for place, (approach, (estimate, bend)) in enumerate(shown.items()):
        axes = panels[place]
        words.append(_panel(axes, estimate, bend))
        axes.set_title(f"{chr(ord('a') + place)}  {NAMES[approach]}")
        axes.set(xlabel=style.FLOPS)
        style.log_axis(axes.xaxis)
    low, high = panels[0].get_ylim()
    # room at the head for words
    panels[0].set_ylim(low, high + HEAD * (high - low))
    panels[0].set(ylabel="Exponent $a$ along the frontier")
    return style.Drawn(
        figure, f"The exponent a along the frontier, against compute. {' '.join(words)}"
    )


def _panel(axes: Axes, estimate: Estimate, bend: Bend) -> str:
    """Draw one approach's straight and bent frontier as slopes, with the thirds; say them."""
    colour = COLOURS[estimate.approach]
    gid = f"law-{estimate.approach}"
    low, high = estimate.frontier_range
    a = estimate.a
    axes.plot([low, high], [a.value] * 2, color=style.INK, lw=0.9, gid=f"{gid}-straight", zorder=4)
    if LEVEL in a.intervals:
        axes.fill_between(
            [low, high], *a.intervals[LEVEL], color=style.INK, alpha=0.1, lw=0,
            gid=f"{gid}-straight-band", zorder=1,
        )  # fmt: skip
    per_decade = bend.per_decade
    if per_decade is None:
        raise TypeError("a frontier whose bend is not known has no panel")
    flops = np.geomspace(low, high, 2)
    axes.plot(
        flops, bent(estimate, per_decade.value, flops), color=colour, lw=1.4,
        ls=style.dashed((5, 1.5)), gid=f"{gid}-bent", zorder=5,
    )  # fmt: skip
    words = f"{NAMES[estimate.approach]}: a is {fixed(a.value)} throughout for a power law"
    words += f"; it changes by {fixed(per_decade.value)} per decade"
    if LEVEL in per_decade.intervals:
        least, most = per_decade.intervals[LEVEL]
        flops = np.geomspace(low, high, 41)
        axes.fill_between(
            flops, bent(estimate, least, flops), bent(estimate, most, flops), color=colour,
            alpha=0.18, lw=0, gid=f"{gid}-bent-band", zorder=2,
        )  # fmt: skip
        words += f", 95 % {fixed(least)} to {fixed(most)}"
    for third in bend.thirds or []:
        if third.a is None:
            continue
        axes.plot(
            third.flops, [third.a.value] * 2, color=colour, lw=2.4, solid_capstyle="butt",
            gid=f"{gid}-third", zorder=6,
        )  # fmt: skip
        middle = float(np.sqrt(third.flops[0] * third.flops[1]))
        if LEVEL in third.a.intervals:
            axes.plot(
                [middle] * 2, third.a.intervals[LEVEL], color=colour, lw=0.9,
                gid=f"{gid}-third-95", zorder=6,
            )  # fmt: skip
        span = " to ".join(power(c, 2, hand=PLAIN) for c in third.flops)
        words += f"; from {span} FLOPs it is {fixed(third.a.value)}"
    _say(axes, estimate, per_decade)
    return f"{words}."


def _say(axes: Axes, estimate: Estimate, per_decade: Quantity) -> None:
    """Write both slopes into their panel, at the head, above what is drawn."""
    change = f"changes by {fixed(per_decade.value)} per decade"
    if LEVEL in per_decade.intervals:
        least, most = per_decade.intervals[LEVEL]
        change += f"\n95 %: {fixed(least)} to {fixed(most)}"
    power_law = f"power law: $a$ = {fixed(estimate.a.value)}"
    for place, text, colour in (
        (0.98, power_law, style.INK),
        (0.91, change, COLOURS[estimate.approach]),
    ):
        axes.text(
            0.03, place, text, transform=axes.transAxes, va="top", fontsize=style.SMALL,
            color=style.legible(colour),
        )  # fmt: skip


def measured(estimate: Estimate) -> Floats:
    """Give the C of what a frontier was fitted to: winners, or minima."""
    return np.array(frontier_points(estimate.diagnostics), dtype=np.float64)


def bent(estimate: Estimate, per_decade: float, flops: Floats) -> Floats:
    """Give a at C for a change per decade: it is the power law's in the middle of the points."""
    logs = np.log10(measured(estimate))
    return np.asarray(estimate.a.value + per_decade * (np.log10(flops) - logs.mean()))
