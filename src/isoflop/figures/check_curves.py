"""Hoffmann's Figure A4: the training curves of the check runs, against compute and tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from isoflop.cells import cells_of, merged
from isoflop.drawing import style
from isoflop.estimates.announced import check_runs
from isoflop.estimates.counted import counted
from isoflop.figures.check_pair import NONE, label_of
from isoflop.figures.inputs import NO_ESTIMATE
from isoflop.numbers import number_of, short

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from isoflop.figures.inputs import FigureInputs

SHOWN = 1.25
"""Greatest loss that is shown, over the largest final one."""


def draw(inputs: FigureInputs) -> style.Drawn | style.NothingToShow:
    """Plot the loss of every check run along its training."""
    first = next(iter(inputs.fitted.values()), None)
    if first is None:
        return style.NothingToShow(NO_ESTIMATE)
    checks = check_runs(inputs.losses, inputs.announcement)
    if checks.is_empty():
        return style.NothingToShow(NONE)
    points = counted(checks, first.counting, final=False).sort("params", "run", "tokens")
    params = points["params"].to_numpy()
    points = points.with_columns(size=merged(params, cells_of(params)))
    ends = points.filter("is_final")
    if points.height <= ends.height:
        return style.NothingToShow(
            "Of the check runs only the final losses are known, so they have no curves."
        )
    figure = style.new_figure(height=2.6)
    left, right = figure.subplots(1, 2, sharey=True)
    sizes = points["size"].unique().sort().to_list()
    colours = dict(zip(sizes, style.shades(sizes), strict=True))
    low, high = float(ends["loss"].min()), SHOWN * float(ends["loss"].max())  # type: ignore[arg-type]
    seen = points.filter(pl.col("loss") <= high)
    for axes, column in ((left, "flops"), (right, "tokens")):
        _curves(axes, points, column, colours)
        # from where the first curve comes into the picture
        axes.set_xscale("log")
        axes.set_xlim(0.8 * float(seen[column].min()), 1.25 * float(ends[column].max()))  # type: ignore[arg-type]
        style.log_axis(axes.xaxis, counts=column == "tokens")
    style.plain_log_axis(left.yaxis, low, high)
    left.set(xlabel=style.FLOPS, ylabel=style.LOSS, ylim=(low * 0.985, high))
    right.set(xlabel=style.TOKENS)
    left.set_title("a  Against compute")
    right.set_title("b  Against tokens")
    style.label_ends(right, right.get_xlim()[1], _labels(ends, colours))
    finals = "; ".join(
        f"{run} with {short(params)} parameters ends at {loss:.4f}"
        for run, params, loss in ends.select("run", "params", "loss").iter_rows()
    )
    return style.Drawn(
        figure,
        f"Two panels with the training curves of {number_of(ends.height, 'check run')}, "
        "loss against compute "
        f"and against tokens, darker the smaller the model: {finals}.",
    )


def _curves(axes: Axes, points: pl.DataFrame, column: str, colours: dict[float, Any]) -> None:
    for number, ((run,), curve) in enumerate(points.group_by(["run"], maintain_order=True)):
        (line,) = axes.plot(
            curve[column], curve["loss"], color=colours[curve["size"][0]], lw=0.8,
            gid=f"run-{number}-{column}",
        )  # fmt: skip
        style.name_runs(line, [str(run)])


def _labels(ends: pl.DataFrame, colours: dict[float, Any]) -> list[tuple[str, Any, float]]:
    """Name each size where its runs end, on average."""
    return [
        (
            f"{label_of(rows)}: {short(size)}",
            colours[size],
            float(rows["loss"].mean()),  # type: ignore[arg-type]
        )
        for (size,), rows in ends.group_by(["size"], maintain_order=True)
    ]
