"""Who would have trained what at Gopher's budget: optimal sizes by every law."""

from __future__ import annotations

from typing import TYPE_CHECKING

from isoflop.approach import COLOURS, MARKERS, NAMES
from isoflop.drawing import style
from isoflop.drawing.forest import Mark, draw_mark, row_axes
from isoflop.escape import identifier
from isoflop.estimates.allocation import UNKNOWN, reach
from isoflop.numbers import MATHTEXT, PLAIN, power, short
from isoflop.published_laws import published_optima

if TYPE_CHECKING:
    from isoflop.figures.inputs import FigureInputs

Item = tuple[str, str, str, float, tuple[float, float] | None]


def draw(inputs: FigureInputs) -> style.Drawn | style.NothingToShow:
    """Plot the optimal N of published laws at Gopher's budget, and of a sweep that reaches it."""
    facts = inputs.reference.gopher_chinchilla
    budget = inputs.reference.gopher_budget
    items = [*_published(inputs, budget), *_sweep(inputs, budget)]
    figure = style.new_figure(height=0.75 + 0.18 * len(items))
    axes = figure.add_subplot()
    for row, (label, colour, marker, params, interval) in enumerate(items):
        mark = Mark(params, colour, marker, thin=interval)
        draw_mark(axes, -row, mark, gid=f"law-{identifier(style.in_words(label))}")
        # in a column of their own: beside the marks they would stand on the models' lines
        axes.annotate(
            short(params),
            (1.0, -row),
            xycoords=axes.get_yaxis_transform(),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=style.SMALL,
            color=style.legible(colour),
            annotation_clip=False,
            gid=f"value-{identifier(style.in_words(label))}",
        )
    style.log_axis(axes.xaxis, counts=True)
    for model in facts.models.rows:
        axes.axvline(model.params, color=style.INK, lw=0.7, ls=(0, (1, 2)), zorder=1)
        axes.annotate(
            model.name,
            (model.params, 1.0),
            xycoords=axes.get_xaxis_transform(),
            xytext=(0, 3),
            textcoords="offset points",
            ha="center",
            fontsize=style.SMALL,
        )
    row_axes(axes, [-row for row in range(len(items))], [item[0] for item in items])
    axes.set(xlabel=f"Optimal parameters $N$ at {power(budget, hand=MATHTEXT)} FLOPs")
    axes.margins(x=0.12)
    listed = "; ".join(f"{style.in_words(label)}: {short(n)}" for label, _, _, n, _ in items)
    return style.Drawn(
        figure,
        f"Optimal parameters at {power(budget, hand=PLAIN)} FLOPs by each law, with Gopher’s and "
        f"Chinchilla’s sizes marked. {listed}.",
    )


def _published(inputs: FigureInputs, budget: float) -> list[Item]:
    """Evaluate the published laws, but for the one whose constants are rounded."""
    return [
        (law.mathtext, style.PUBLISHED, MARKERS[law.approach], law.params, None)
        for law in published_optima(inputs.reference, budget)
        if not law.rounded
    ]


def _sweep(inputs: FigureInputs, budget: float) -> list[Item]:
    """Read the sweep's own extrapolations, where it says something that far beyond its data."""
    items: list[Item] = []
    for approach, optimum in inputs.optima(budget).items():
        if reach(optimum.decades_beyond_data) == UNKNOWN:
            continue
        items.append(
            (
                f"This sweep, {NAMES[approach]}",
                COLOURS[approach],
                MARKERS[approach],
                optimum.params.value,
                optimum.params.intervals.get("0.95"),
            )
        )
    return items
