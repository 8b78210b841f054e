"""Hoffmann's Figure 4: contours of the parametric loss, its frontier, and IsoFLOP slices."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from isoflop.approach import COLOURS
from isoflop.drawing import style
from isoflop.figures.inputs import budgeted, surface
from isoflop.numbers import MATHTEXT, power

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from isoflop.estimates.estimate import Estimate
    from isoflop.figures.inputs import FigureInputs

    Floats = NDArray[np.float64]


def draw(inputs: FigureInputs) -> style.Drawn | style.NothingToShow:
    """Plot L(N, C) as contours over the runs, and cut it at each budget."""
    estimate = inputs.fitted.get("parametric")
    if estimate is None:
        return style.NothingToShow(inputs.refusal("parametric"))
    points = inputs.points(estimate)
    figure = style.new_figure(height=2.75)
    left, right = figure.subplots(1, 2, width_ratios=(1.1, 1))
    _contours(left, points, estimate, inputs.settings.contours)
    _slices(right, budgeted(inputs, points), estimate)
    left.set_title("a  Loss contours")
    right.set_title("b  IsoFLOP slices")
    return style.Drawn(
        figure,
        "Two panels. First: contours of the fitted loss over compute and parameters, with the "
        f"{points.height} runs as dots and the efficient frontier as a line of slope "
        f"{estimate.a.value:.3f}. Second: the same surface cut at each budget, loss against "
        "parameters, over the measured losses.",
    )


def _margins(values: pl.Series, share: float = 0.08) -> tuple[float, float]:
    """Give limits a little outside the data, in logs."""
    low, high = np.log([float(values.min()), float(values.max())])  # type: ignore[arg-type]
    margin = share * (high - low) + 0.1
    return float(np.exp(low - margin)), float(np.exp(high + margin))


def _contours(axes: Axes, points: pl.DataFrame, estimate: Estimate, levels: int) -> None:
    """Draw equal-loss lines over C and N, the runs, and the frontier."""
    from matplotlib.colors import LogNorm

    flops = np.geomspace(*_margins(points["flops"]), 120)
    params = np.geomspace(*_margins(points["params"]), 120)
    loss = surface(estimate, params[:, None], flops[None, :])
    low, high = float(points["loss"].min()), float(points["loss"].max())  # type: ignore[arg-type]
    floor = estimate.parameters["E"].value
    steps = floor + np.geomspace(low - floor, 1.15 * (high - floor), levels)
    norm = LogNorm(low, high)
    lines = axes.contour(
        flops, params, loss, levels=steps, cmap=style.sequential(), norm=norm, linewidths=0.6
    )
    lines.set_gid("contours")
    style.log_axis(axes.xaxis)
    style.log_axis(axes.yaxis, counts=True)
    for label in axes.clabel(lines, steps[::2], fmt="%.2f", fontsize=style.SMALL - 1):
        label.set_color(style.legible(label.get_color()))
    marks = axes.scatter(
        points["flops"],
        points["params"],
        c=points["loss"],
        cmap=style.sequential(),
        norm=norm,
        s=11,
        linewidths=0.3,
        edgecolors="white",
        gid="runs",
        zorder=3,
    )
    style.name_runs(marks, points["run"])
    colour = COLOURS["parametric"]
    axes.plot(flops, estimate.params_opt(flops), color=colour, lw=1.6, gid="frontier", zorder=4)
    style.direct_label(
        axes,
        flops[-1],
        float(estimate.params_opt(flops[-1])),
        "efficient\nfrontier",
        color=colour,
        offset=(-3, -10),
        ha="right",
        va="top",
    )
    axes.set(
        xlabel=style.FLOPS,
        ylabel=style.PARAMS,
        xlim=(flops[0], flops[-1]),
        ylim=(params[0], params[-1]),
    )


def _slices(axes: Axes, points: pl.DataFrame, estimate: Estimate) -> None:
    """Draw the surface at each budget, solid over the measured sizes, dashed to either side."""
    budgets = sorted(points["budget"].unique().to_list())
    if points.is_empty():
        axes.text(0.5, 0.5, "no budget with several sizes", transform=axes.transAxes, ha="center")
        return
    low, high = _margins(points["params"])
    labels = []
    for budget, colour in zip(budgets, style.shades(budgets) if budgets else [], strict=True):
        rows = points.filter(pl.col("budget") == budget).sort("params")
        flops = float(rows["flops"].median())  # type: ignore[arg-type]
        n = np.geomspace(float(rows["params"].min()), float(rows["params"].max()), 60)  # type: ignore[arg-type]
        axes.plot(n, surface(estimate, n, flops), color=colour, gid=f"slice-{budget:.3g}")
        (marks,) = axes.plot(
            rows["params"],
            rows["loss"],
            ls="",
            marker="o",
            ms=3,
            mew=0,
            color=colour,
            gid=f"points-{budget:.3g}",
        )
        style.name_runs(marks, rows["run"])
        best = float(estimate.params_opt(flops))
        axes.plot(
            best, float(estimate.loss_opt(flops)), marker="x", ms=4, color=style.INK, zorder=5
        )
        end = float(surface(estimate, n[-1], flops))
        labels.append((power(budget, hand=MATHTEXT), colour, float(n[-1]), end))
    style.log_axis(axes.xaxis, counts=True)
    losses = points["loss"]
    if budgets:
        style.plain_log_axis(axes.yaxis, float(losses.min()), float(losses.max()))  # type: ignore[arg-type]
    axes.set(xlabel=style.PARAMS, ylabel=style.LOSS, xlim=(low, high * 2.2))
    style.label_points(axes, labels)
