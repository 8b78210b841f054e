"""Runs of equal compute, some sized by Kaplan's exponent, some by Chinchilla's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from isoflop.approach import COLOURS, MARKERS, NAMES
from isoflop.drawing import style
from isoflop.escape import identifier
from isoflop.estimates.announced import check_runs, sized_by
from isoflop.estimates.counted import counted
from isoflop.figures.inputs import quantiles, surface
from isoflop.numbers import PLAIN, power, short

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from isoflop.figures.inputs import FigureInputs

NONE = (
    "The sweep has no pair of check runs: two runs of equal compute above the fitted budgets, with "
    "“role: check” in their logs or in sweep.yaml."
)


def draw(inputs: FigureInputs) -> style.Drawn | style.NothingToShow:
    """Plot the measured losses over the parametric prediction at their compute."""
    estimate = inputs.fitted.get("parametric") or next(iter(inputs.fitted.values()), None)
    if estimate is None:
        return style.NothingToShow("No approach gave an estimate for this sweep.")
    runs = check_runs(inputs.losses, inputs.announcement)
    pair = counted(runs, estimate.counting).sort("params")
    if pair.height < 2:
        return style.NothingToShow(_why_no_pair(inputs))
    flops = float(pair["flops"].median())  # type: ignore[arg-type]
    figure = style.new_figure(height=2.9)
    axes, strip = figure.subplots(2, 1, sharex=True, height_ratios=(1, 0.32))
    low, high = float(pair["params"].min()) / 3, float(pair["params"].max()) * 3  # type: ignore[arg-type]
    n = np.geomspace(low, high, 100)
    parametric = inputs.fitted.get("parametric")
    if parametric is not None:
        loss = surface(parametric, n, flops)
        colour = COLOURS["parametric"]
        axes.plot(n, loss, color=colour, ls=(0, (3, 1.5)), gid="predicted")
        style.direct_label(axes, n[-1], float(loss[-1]), "predicted by\n3 Parametric", color=colour)
    for place, ((params,), rows) in enumerate(pair.group_by(["params"], maintain_order=True)):
        for run, measured in rows.select("run", "loss").iter_rows():
            (mark,) = axes.plot(
                params,
                measured,
                marker="o",
                ms=5 if rows.height == 1 else 3,
                color=style.INK,
                ls="",
                gid=f"run-{identifier(run)}",
            )
            style.name_runs(mark, [run])
        mean, left = float(rows["loss"].mean()), place == 0  # type: ignore[arg-type]
        if rows.height > 1:
            axes.plot(params, mean, marker="_", ms=14, color=style.INK, ls="", gid=f"mean-{place}")
        of = "" if rows.height == 1 else f"\nmean of {rows.height} runs"
        # on the side where the curve does not run through it
        under = parametric is not None and mean < float(
            surface(parametric, np.array([params]), flops)[0]
        )
        style.direct_label(
            axes,
            params,
            mean,
            f"{label_of(rows['run'][0])}\nmeasured {mean:.4f}{of}",
            ha="right" if left else "left",
            offset=(-9 if left else 9, -13 if under else 16),
        )
    _optima(strip, inputs, flops, estimate.counting.params)
    axes.margins(y=0.35)
    axes.set(ylabel=style.LOSS, xscale="log")
    strip.set(xlabel=style.PARAMS)
    style.log_axis(strip.xaxis, counts=True)
    listed = " and ".join(
        f"{runs[0] if len(runs) == 1 else f'the mean of {len(runs)} runs'} with "
        f"{short(params)} parameters and loss {loss:.4f}"
        for params, runs, loss in pair.group_by("params", maintain_order=True)
        .agg("run", pl.col("loss").mean())
        .iter_rows()
    )
    return style.Drawn(
        figure,
        f"Loss against parameters at {power(flops, hand=PLAIN)} FLOPs: the measured losses of "
        f"{listed}, over the curve that the parametric approach predicts; each approach’s optimal "
        "size is marked at the foot with its 95 % interval.",
    )


def _why_no_pair(inputs: FigureInputs) -> str:
    """Tell check runs that have not finished from a sweep that has none."""
    checks = check_runs(inputs.runs, inputs.announcement).sort("run")
    if checks.is_empty():
        return NONE
    listed = ", ".join(f"{run} ({status})" for run, status in checks.select("run", "status").rows())
    return (
        f"The check needs two finished runs of equal compute. Of this sweep’s check runs, "
        f"{listed}, the final losses of fewer than two can be used; “Left out” says why."
    )


def label_of(run: str) -> str:
    """Say whose exponent sized a check run, by the first word of its name."""
    return sized_by(run) or style.outside(run)


def _optima(axes: Axes, inputs: FigureInputs, flops: float, params: str) -> None:
    """Mark N_opt, with its interval, of each approach that counts N as the runs are shown."""
    fitted = {
        approach: estimate
        for approach, estimate in inputs.fitted.items()
        if estimate.counting.params == params
    }
    for row, (approach, estimate) in enumerate(fitted.items()):
        colour = COLOURS[approach]
        best = float(estimate.params_opt(flops))
        band = quantiles(inputs, estimate, "params", np.array([flops]), level=0.95)
        if band is not None:
            axes.plot([band[0][0], band[1][0]], [-row, -row], color=colour, lw=1)
        axes.plot(
            best,
            -row,
            marker=MARKERS[approach],
            ms=5,
            color=colour,
            mew=0.4,
            mec="white",
            gid=f"optimum-{approach}",
        )
    axes.set_yticks(
        [-row for row in range(len(fitted))], [f"$N^*$, {NAMES[name]}" for name in fitted]
    )
    axes.set_ylim(0.6 - len(fitted), 0.6)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    axes.spines["left"].set_visible(False)
