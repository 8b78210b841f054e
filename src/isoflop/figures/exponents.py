"""Exponents a and b of every approach beside Hoffmann's Table 2, as a forest plot."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from isoflop.approach import COLOURS, MARKERS, NAMES
from isoflop.figures import style
from isoflop.published_laws import published_exponents

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from isoflop.figures.inputs import FigureInputs

Ends = tuple[float, float] | None
Interval = tuple[float, Ends, Ends]
"""A value, its thick ends and its thin ends."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the forest: an exponent with its intervals, thick and thin."""

    label: str
    colour: str
    marker: str
    a: float
    b: float
    a_thick: tuple[float, float] | None = None
    a_thin: tuple[float, float] | None = None
    b_thick: tuple[float, float] | None = None
    b_thin: tuple[float, float] | None = None


def draw(inputs: FigureInputs) -> style.Drawn | style.NothingToShow:
    """Plot a and b with 80 % (thick) and 95 % (thin) intervals."""
    ours, theirs = _ours(inputs), _theirs(inputs)
    if not ours:
        return style.NothingToShow("No approach gave an estimate for this sweep.")
    figure = style.new_figure(height=0.75 + 0.19 * (len(ours) + len(theirs)))
    left, right = figure.subplots(1, 2, sharey=True)
    heights = [-float(i) for i in range(len(ours))]
    heights += [heights[-1] - 1.6 - i for i in range(len(theirs))]
    for height, row in zip(heights, (*ours, *theirs), strict=True):
        _forest_row(left, height, row, (row.a, row.a_thick, row.a_thin))
        _forest_row(right, height, row, (row.b, row.b_thick, row.b_thin))
    for axes, name, title in (
        (left, "a", r"a  $N_{\rm opt} \propto C^{\,a}$"),
        (right, "b", r"b  $D_{\rm opt} \propto C^{\,b}$"),
    ):
        axes.axvline(0.5, color=style.QUIET, lw=0.6, ls=(0, (1, 2)), zorder=1)
        axes.set(xlabel=f"Exponent ${name}$", ylim=(heights[-1] - 0.7, 0.7))
        axes.set_title(title)
        axes.grid(visible=False, axis="y")
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.axhline(heights[len(ours) - 1] - 0.8, color=style.FAINT, lw=0.6)
    left.set_yticks(heights, [row.label for row in (*ours, *theirs)])
    said = "; ".join(f"{row.label}: a {row.a:.3f}, b {row.b:.3f}" for row in (*ours, *theirs))
    return style.Drawn(
        figure,
        "Forest plot of the exponents a and b, this sweep above, published below, with 80 % and "
        f"95 % intervals. {said}.",
    )


def _forest_row(axes: Axes, height: float, row: Row, estimate: Interval) -> None:
    """Draw one estimate with its 80 % (thick) and 95 % (thin) interval."""
    value, thick, thin = estimate
    if thin is not None:
        axes.plot(thin, (height, height), color=row.colour, lw=0.9, solid_capstyle="butt")
    if thick is not None:
        axes.plot(
            thick, (height, height), color=row.colour, lw=2.6, alpha=0.55, solid_capstyle="butt"
        )
    axes.plot(value, height, marker=row.marker, color=row.colour, mec="white", mew=0.4, ms=5)


def _ours(inputs: FigureInputs) -> list[Row]:
    """List this sweep's estimates."""
    return [
        Row(
            label=NAMES[approach],
            colour=COLOURS[approach],
            marker=MARKERS[approach],
            a=estimate.a.value,
            b=estimate.b.value,
            a_thick=estimate.a.intervals.get("0.8"),
            a_thin=estimate.a.intervals.get("0.95"),
            b_thick=estimate.b.intervals.get("0.8"),
            b_thin=estimate.b.intervals.get("0.95"),
        )
        for approach, estimate in inputs.fitted.items()
    ]


def _theirs(inputs: FigureInputs) -> list[Row]:
    """List the published exponents: Hoffmann's Table 2, Besiroglu, Kaplan."""
    return [
        Row(
            label=row.label,
            colour=style.PUBLISHED,
            marker=MARKERS[row.approach],
            a=row.a,
            b=row.b,
            a_thick=row.a80,
            a_thin=row.a95,
            b_thick=row.b80,
            b_thin=row.b95,
        )
        for row in published_exponents(inputs.reference)
    ]
