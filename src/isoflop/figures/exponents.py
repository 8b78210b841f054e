"""Exponents a and b of every approach beside Hoffmann's Table 2, as a forest plot."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from isoflop.approach import COLOURS, MARKERS, NAMES
from isoflop.drawing import style
from isoflop.drawing.forest import ROW, Mark, draw_mark, equal_scaling, row_axes
from isoflop.figures.inputs import NO_ESTIMATE
from isoflop.published_laws import published_exponents

if TYPE_CHECKING:
    from isoflop.figures.inputs import FigureInputs


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the forest: both exponents of one law."""

    label: str
    name: str
    a: Mark
    b: Mark


def draw(inputs: FigureInputs) -> style.Drawn | style.NothingToShow:
    """Plot a and b with 80 % (thick) and 95 % (thin) intervals."""
    ours, theirs = _ours(inputs), _theirs(inputs)
    if not ours:
        return style.NothingToShow(NO_ESTIMATE)
    rows = (*ours, *theirs)
    figure = style.new_figure(height=0.75 + ROW * len(rows))
    left, right = figure.subplots(1, 2, sharey=True)
    heights = [-float(i) for i in range(len(ours))]
    heights += [heights[-1] - 1.6 - i for i in range(len(theirs))]
    for axes, name, title in (
        (left, "a", r"a  $N_{\rm opt} \propto C^{\,a}$"),
        (right, "b", r"b  $D_{\rm opt} \propto C^{\,b}$"),
    ):
        for height, row in zip(heights, rows, strict=True):
            draw_mark(axes, height, row.a if name == "a" else row.b, gid=f"{name}-{row.name}")
        equal_scaling(axes)
        row_axes(axes, heights, [row.label for row in rows])
        axes.set(xlabel=f"Exponent ${name}$")
        axes.set_title(title)
        axes.axhline(heights[len(ours) - 1] - 0.8, color=style.FAINT, lw=0.6)
    told = "; ".join(f"{row.label}: a {row.a.in_words()}, b {row.b.in_words()}" for row in rows)
    return style.Drawn(
        figure,
        "Forest plot of the exponents a and b, this sweep above, published below, with 80 % and "
        f"95 % intervals. {told}.",
    )


def _ours(inputs: FigureInputs) -> list[Row]:
    """List this sweep's estimates."""
    rows = []
    for approach, estimate in inputs.fitted.items():
        a, b = (
            Mark(
                exponent.value,
                COLOURS[approach],
                MARKERS[approach],
                thick=exponent.intervals.get("0.8"),
                thin=exponent.intervals.get("0.95"),
            )
            for exponent in (estimate.a, estimate.b)
        )
        rows.append(Row(NAMES[approach], approach, a, b))
    return rows


def _theirs(inputs: FigureInputs) -> list[Row]:
    """List the published exponents: Hoffmann's Table 2, Besiroglu, Kaplan."""
    return [
        Row(
            row.label,
            f"{row.paper.lower()}-{row.approach}",
            Mark(row.a, style.PUBLISHED, MARKERS[row.approach], thick=row.a80, thin=row.a95),
            Mark(row.b, style.PUBLISHED, MARKERS[row.approach], thick=row.b80, thin=row.b95),
        )
        for row in published_exponents(*inputs.reference.papers)
    ]
