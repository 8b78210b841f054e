"""Hoffmann's Figure 2: training curves with their envelope, and N and D along it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from isoflop.cells import cells_of, number_of_cells
from isoflop.drawing import style
from isoflop.estimates.diagnostics import EnvelopeDiagnostics, expect
from isoflop.figures.frontier import draw_scaling
from isoflop.numbers import number_of, short

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from isoflop.figures.inputs import Axis, FigureInputs


def draw(inputs: FigureInputs) -> style.Drawn | style.NothingToShow:
    """Plot loss against compute for every run, then N and D of the lowest loss."""
    estimate = inputs.fitted.get("envelope")
    if estimate is None:
        return style.NothingToShow(inputs.refusal("envelope"))
    points = inputs.points(estimate, final=False)
    figure = style.new_figure(height=2.45)
    left, middle, right = figure.subplots(1, 3, width_ratios=(1.35, 1, 1))
    _curves(left, points)
    winners = expect(estimate.diagnostics, EnvelopeDiagnostics).winners
    frontier = pl.DataFrame(winners.model_dump())
    left.plot(frontier["flops"], frontier["loss"], color=style.INK, lw=1.0, gid="envelope")
    left.set_title("a  Training curves")
    panels: list[tuple[Axes, Axis, str]] = [
        (middle, "params", "b  N on the envelope"),
        (right, "tokens", "c  D on the envelope"),
    ]
    for axes, axis, title in panels:
        for rows, colour, what in (
            (frontier.filter(~pl.col("fitted")), style.QUIET, "left-out"),
            (frontier.filter("fitted"), style.INK, "fitted"),
        ):
            axes.plot(
                rows["flops"], rows[axis], ls="", marker="o", ms=2.0, mew=0, color=colour,
                alpha=0.6, gid=f"frontier-{axis}-{what}",
            )  # fmt: skip
        axes.set_title(title)
    for axes, axis, _ in panels:
        draw_scaling(axes, inputs, estimate, axis)
    sizes = number_of_cells(cells_of(points["params"].to_numpy()))
    return style.Drawn(
        figure,
        "Three panels. First: loss against training compute for "
        f"{number_of(points['run'].n_unique(), 'run')} "
        f"of {number_of(sizes, 'size')}, coloured by size, with the lower envelope in "
        "black. Second and third: "
        "parameters and tokens of the runs on the envelope against compute, with the fitted power "
        f"laws of exponents {estimate.a.value:.3f} and {estimate.b.value:.3f}.",
    )


def _curves(axes: Axes, points: pl.DataFrame) -> None:
    """Draw each run's curve, coloured by its size."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import LogNorm
    from matplotlib.ticker import FuncFormatter

    sizes = points["params"]
    scale = ScalarMappable(LogNorm(float(sizes.min()), float(sizes.max())), style.sequential())  # type: ignore[arg-type]
    by_run = points.sort("run", "flops").group_by("run", maintain_order=True)
    for number, ((run,), curve) in enumerate(by_run):
        colour = scale.to_rgba(curve["params"][0])
        (line,) = axes.plot(
            curve["flops"],
            curve["loss"],
            color=colour,
            lw=0.6,
            alpha=0.8,
            # by number: names of other letters would share an identifier
            gid=f"run-{number}",
        )
        style.name_runs(line, [run])
    style.log_axis(axes.xaxis)
    finals = points.filter("is_final")["loss"]
    low = float(finals.min())  # type: ignore[arg-type]
    high = min(float(points["loss"].max()), float(finals.max()) * 1.25)  # type: ignore[arg-type]
    style.plain_log_axis(axes.yaxis, low, high)
    axes.set(xlabel=style.FLOPS, ylabel=style.LOSS, ylim=(low * 0.97, high))
    bar = axes.figure.colorbar(scale, ax=axes, location="top", aspect=30, pad=0.02, shrink=0.95)
    bar.set_label("Parameters $N$", size=style.SMALL, labelpad=2)
    bar.ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: short(value)))
    bar.ax.minorticks_off()
    bar.outline.set_visible(False)
