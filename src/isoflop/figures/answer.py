"""Tokens per parameter at the optimum against compute: a factor of two is seen in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from isoflop.approach import COLOURS, DASHES, NAMES
from isoflop.counting import tokens_6nd
from isoflop.drawing import style
from isoflop.drawing.placing import Label, Place, beside, inside, place_labels
from isoflop.estimates.diagnostics import ProfilesDiagnostics, expect
from isoflop.figures.inputs import NO_ESTIMATE, band
from isoflop.numbers import PLAIN, is_within, power, ratio

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from isoflop.estimates.quantities import Quantity
    from isoflop.estimates.recommendation import Recommendation
    from isoflop.figures.inputs import FigureInputs

    Floats = NDArray[np.float64]

WIDTH = 4.6
"""Half a screen, two thirds of a page [inch]."""
BEYOND = 3.0
"""Decades shown beyond the data: as far as an answer is given with care."""
MARGIN = 1.5
"""Factor of C before the first run, so that a mark there is whole."""
HEIGHTS: Final = (0.02, 0.98, 0.09, 0.91, 0.2, 0.8, 0.35, 0.65, 0.5)
"""Where the name of the runs may stand, as parts of the picture's height."""
EDGE: Final = 0.02
"""Part of the picture by which the name of a line that lies outside stands inside."""
ROOM = 2.5
"""Factor above and below what is drawn of this sweep; published lines may leave the picture."""


@dataclass(frozen=True, slots=True)
class _Line:
    """A line and its label."""

    name: str
    colour: str
    x: Floats
    y: Floats


def draw(inputs: FigureInputs) -> style.Drawn | style.NothingToShow:
    """Draw D_opt / N_opt of every approach, measured minima, and the published lines."""
    chosen = inputs.recommended
    if chosen is None:
        return style.NothingToShow(NO_ESTIMATE)
    low, high = chosen.answer.flops_range
    flops = np.geomspace(low, high * 10.0**BEYOND, 80)
    figure = style.new_figure(width=WIDTH, height=3.5)
    axes = figure.subplots()
    axes.axvspan(low, high, color=style.FAINT, alpha=0.35, lw=0, gid="data")
    traced = band(inputs, chosen.answer, "tokens_per_param", flops)
    axes.fill_between(
        flops, traced.low, traced.high, color=chosen.row.colour, alpha=0.18, lw=0, gid="band"
    )
    labels = _lines(axes, inputs, chosen, flops, traced.centre)
    minima = _minima(axes, inputs)
    marks = _answers(axes, chosen)
    spread = np.concatenate([traced.centre, traced.low, traced.high, minima])
    spread = spread[np.isfinite(spread)]
    axes.set_xlim(float(flops[0]) / MARGIN, float(flops[-1]))
    axes.set_ylim(float(spread.min()) / ROOM, float(spread.max()) * ROOM)
    style.log_axis(axes.xaxis)
    style.log_axis(axes.yaxis, counts=True)
    axes.set(xlabel=style.FLOPS, ylabel="Tokens per parameter at the optimum")
    _label(axes, labels, _name_of_runs(axes, low, high))
    alt = (
        f"Tokens per parameter at the optimum against compute on logarithmic axes, from "
        f"{power(low, 2, hand=PLAIN)} to {power(float(flops[-1]), 2, hand=PLAIN)} FLOPs; the runs "
        f"end at {power(high, 2, hand=PLAIN)}. {marks} "
        + " ".join(f"{line.name}: {ratio(line.y[-1], PLAIN)} at the right edge." for line in labels)
    )
    return style.Drawn(figure, alt)


def _lines(
    axes: Axes, inputs: FigureInputs, chosen: Recommendation, flops: Floats, centre: Floats
) -> list[_Line]:
    """Draw every law's line, and give what its label needs."""
    row = chosen.row
    axes.plot(flops, centre, color=row.colour, lw=2.0, zorder=4, gid=f"law-{row.key}-ratio")
    labels = [_Line(row.label, row.colour, flops, centre)]
    for approach, estimate in inputs.fitted.items():
        if approach == row.key or estimate.counting.params != chosen.answer.counting.params:
            continue
        values = np.asarray(estimate.tokens_opt(flops) / estimate.params_opt(flops))
        axes.plot(
            flops, values, color=COLOURS[approach], lw=1.0,
            ls=style.dashed(DASHES[approach]), zorder=3, gid=f"law-{approach}-ratio",
        )  # fmt: skip
        labels.append(_Line(NAMES[approach], COLOURS[approach], flops, values))
    reference = inputs.reference
    tables = reference.hoffmann.optimal_allocations
    hoffmann = tables.tokens_law("envelope")(flops) / tables.params_law("envelope")(flops)
    params = np.array([reference.kaplan.params_opt(float(c), convention="minimum") for c in flops])
    for name, values, dashes in (
        ("Hoffmann 2022", hoffmann, (9, 2.5)),
        ("Kaplan 2020", tokens_6nd(params, flops) / params, (1, 1.5)),
    ):
        axes.plot(
            flops, values, color=style.PUBLISHED, lw=1.0, ls=style.dashed(dashes), zorder=2,
            gid=f"published-{name.split()[0].lower()}",
        )  # fmt: skip
        labels.append(_Line(name, style.PUBLISHED, flops, np.asarray(values)))
    return labels


def _name_of_runs(axes: Axes, low: float, high: float) -> Label:
    """Name the ground behind the runs, at either end of it."""
    ends = ((low, "left", (4.0, 0.0)), (high, "right", (-4.0, 0.0)))
    places = [
        Place(x, place.y, ha, place.va, offset)
        for place in inside(axes, ((0.0, height) for height in HEIGHTS))
        for x, ha, offset in ends
    ]
    return Label("the sweep’s runs", style.QUIET, places, gid="runs-label")


def _label(axes: Axes, lines: list[_Line], *others: Label) -> None:
    """Label every line: at the right edge, where it leaves the picture, or at the edge beyond."""
    bottom, top = axes.get_ylim()
    inside_of = [(line, np.flatnonzero((line.y > bottom) & (line.y < top))) for line in lines]
    last = len(lines[0].x) - 1
    style.label_ends(
        axes,
        float(lines[0].x[-1]),
        [
            (optimum.name, optimum.colour, float(optimum.y[-1]))
            for optimum, at in inside_of
            if at.size and at[-1] == last
        ],
    )
    beyond, leaving = [], []
    for line, at in inside_of:
        if not at.size:
            up = bool(line.y[-1] > top)
            edge = 1.0 - EDGE if up else EDGE
            corners = inside(axes, ((x, edge) for x in (1.0 - EDGE, 0.75, 0.5, EDGE)))
            beyond.append(Label(f"{'↑' if up else '↓'} {line.name}", line.colour, corners))
        elif at[-1] != last:
            points = [(float(line.x[place]), float(line.y[place])) for place in at[::-1]]
            leaving.append(Label(line.name, line.colour, beside(points)))
    place_labels(axes, [*leaving, *beyond, *others])


def _minima(axes: Axes, inputs: FigureInputs) -> Floats:
    """Mark what was measured: D/N at the minimum of each budget's profile."""
    profiles = inputs.fitted.get("profiles")
    if profiles is None:
        return np.empty(0)
    minima = expect(profiles.diagnostics, ProfilesDiagnostics).profiles
    used = [(p.budget, p.minimum) for p in minima if p.accepted and p.minimum is not None]
    flops = np.array([budget for budget, _ in used])
    ratios = np.array([minimum.tokens / minimum.params for _, minimum in used])
    axes.plot(
        flops, ratios, ls="", marker="o", ms=4.5, mew=0.6, mec="white", color=style.INK, zorder=6,
        gid="minima",
    )  # fmt: skip
    return ratios


def _answers(axes: Axes, chosen: Recommendation) -> str:
    """Mark the recommended allocations with their intervals; say them in words."""
    words = []
    colour = chosen.row.colour
    for optimum in chosen.answer.optima:
        beyond = optimum.decades_beyond_data
        if is_within(beyond) or beyond > BEYOND:
            continue
        value, ends = optimum.tokens_per_param.value, _ends(optimum.tokens_per_param)
        if ends is not None:
            axes.plot([optimum.flops] * 2, ends, color=colour, lw=1.4, zorder=5, gid="interval")
        axes.plot(
            optimum.flops, value, marker="D", ms=5, mew=0.6, mec="white", color=colour, zorder=6,
            gid="answer",
        )  # fmt: skip
        words.append(f"{ratio(value, PLAIN)} at {power(optimum.flops, 2, hand=PLAIN)} FLOPs")
    return f"Recommended: {', '.join(words)}." if words else ""


def _ends(quantity: Quantity) -> tuple[float, float] | None:
    return quantity.intervals.get("0.95")
