"""Hoffmann's Figure 4: contours of the parametric loss, its frontier, and IsoFLOP slices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from isoflop.approach import COLOURS
from isoflop.drawing import style
from isoflop.figures.inputs import budgeted, surface
from isoflop.numbers import MATHTEXT, power

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.contour import QuadContourSet
    from numpy.typing import NDArray

    from isoflop.estimates.estimate import Estimate
    from isoflop.figures.inputs import FigureInputs

    Floats = NDArray[np.float64]

EDGE: Final = 0.08
"""Share of a panel at its edges in which no contour is labelled: the label would be cut."""


def draw(inputs: FigureInputs) -> style.Drawn | style.NothingToShow:
    """Plot L(N, C) as contours over the runs, and cut it at each budget."""
    estimate = inputs.fitted.get("parametric")
    if estimate is None:
        return style.NothingToShow(inputs.refusal("parametric"))
    points = inputs.points(estimate)
    figure = style.new_figure(height=2.75)
    left, right = figure.subplots(1, 2, width_ratios=(1.15, 1))
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
    sequential = style.sequential()
    lines = axes.contour(
        flops, params, loss, levels=steps, cmap=sequential, norm=norm, linewidths=0.6
    )
    lines.set_gid("contours")
    style.log_axis(axes.xaxis)
    style.log_axis(axes.yaxis, counts=True)
    for level, x, y in _places(lines, steps[::2], points, (flops[[0, -1]], params[[0, -1]])):
        shade = sequential(norm(level))
        style.direct_label(
            axes, x, y, f"{level:.2f}", color=shade, offset=(0, 0), ha="center",
            fontsize=style.SMALL - 1,
        )  # fmt: skip
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
    )
    axes.set(
        xlabel=style.FLOPS,
        ylabel=style.PARAMS,
        xlim=(flops[0], flops[-1]),
        ylim=(params[0], params[-1]),
    )


def _places(
    lines: QuadContourSet, named: Floats, points: pl.DataFrame, ends: tuple[Floats, Floats]
) -> list[tuple[float, float, float]]:
    """Choose where each contour is labelled: as far from runs and other labels as it goes.

    Parameters
    ----------
    lines : the contours.
    named : the levels that get a label.
    points : the runs.
    ends : limits of C and of N.

    Returns
    -------
    Level, C and N of each label; a level that is nowhere well inside the panel has none.
    """
    low, high = np.log(np.stack(ends)).T

    def inside(places: Floats) -> Floats:
        """Scale places to the panel, which is about as high as it is wide."""
        return np.asarray((np.log(places) - low) / (high - low))

    taken = inside(points.select("flops", "params").to_numpy())
    chosen = []
    for level, segments in zip(lines.levels, lines.allsegs, strict=True):
        if level not in named or not segments:
            continue
        vertices = np.concatenate(segments)
        at = inside(vertices)
        nearest = np.sqrt(((at[:, None] - taken) ** 2).sum(axis=2)).min(axis=1)
        inner = ((at > EDGE) & (at < 1.0 - EDGE)).all(axis=1)
        if inner.any():
            best = np.where(inner, nearest, 0.0).argmax()
            x, y = vertices[best].tolist()
            chosen.append((float(level), x, y))
            taken = np.concatenate([taken, at[best : best + 1]])
    return chosen


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
        axes.plot(
            n, surface(estimate, n, flops), color=colour, gid=f"slice-{style.in_full(budget)}"
        )
        (marks,) = axes.plot(
            rows["params"],
            rows["loss"],
            ls="",
            marker="o",
            ms=3,
            mew=0,
            color=colour,
            gid=f"points-{style.in_full(budget)}",
        )
        style.name_runs(marks, rows["run"])
        best = float(estimate.params_opt(flops))
        axes.plot(
            best, float(estimate.loss_opt(flops)), marker="x", ms=4, color=style.INK, zorder=5,
            gid=f"optimum-{style.in_full(budget)}",
        )  # fmt: skip
        end = float(surface(estimate, n[-1], flops))
        labels.append((power(budget, hand=MATHTEXT), colour, float(n[-1]), end))
    style.log_axis(axes.xaxis, counts=True)
    losses = points["loss"]
    if budgets:
        style.plain_log_axis(axes.yaxis, float(losses.min()), float(losses.max()))  # type: ignore[arg-type]
    axes.set(xlabel=style.PARAMS, ylabel=style.LOSS, xlim=(low, high * 2.2))
    style.label_points(axes, labels)
