"""Where the sweep's runs lie: N against D, with lines of equal compute."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl

from isoflop.counting import flops_6nd, tokens_6nd
from isoflop.drawing import style
from isoflop.drawing.placing import Label, Place, beside, place_labels
from isoflop.estimates.announced import check_runs, equal_compute
from isoflop.estimates.counted import counted
from isoflop.estimates.off_frontier import counting_of_pair
from isoflop.numbers import MATHTEXT, power, short

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from isoflop.figures.inputs import FigureInputs

KINDS = {
    "fit": ("fitted", "o", 16.0),
    "no budget": ("fitted, no budget", "o", 16.0),
    "check": ("check pair", "*", 60.0),
    "announced": ("announced", "P", 30.0),
    "tuning": ("learning-rate tuning", "+", 46.0),
    "left out": ("left out", "x", 18.0),
}
ALONG: Final = 24
"""Places along a line of equal compute where its label may stand."""


def draw(inputs: FigureInputs) -> style.Drawn | style.NothingToShow:
    """Plot every run of the sweep, the ones left out too."""
    placed = pl.col("params_total").is_not_null() & pl.col("tokens").is_not_null()
    pair = check_runs(inputs.runs, inputs.announcement)["run"].implode()
    runs = inputs.runs.filter(placed).with_columns(  # a run left out may lack its N
        pl.when(pl.col("excluded") & (pl.col("role") != "tuning"))
        .then(pl.lit("left out"))
        .when((pl.col("role") == "check") & ~pl.col("run").is_in(pair))
        .then(pl.lit("announced"))
        .otherwise(pl.col("role").cast(pl.String))
        .alias("kind")
    )
    if runs["budget"].is_not_null().any():
        fitted_alone = (pl.col("kind") == "fit") & pl.col("budget").is_null()
        runs = runs.with_columns(
            pl.when(fitted_alone).then(pl.lit("no budget")).otherwise("kind").alias("kind")
        )
    figure = style.new_figure(height=2.9)
    axes = figure.add_subplot()
    axes.set(xscale="log", yscale="log", xlabel=style.TOKENS, ylabel=style.PARAMS)
    budgets = sorted(runs["budget"].drop_nulls().unique().to_list())
    shade = dict(zip(budgets, style.shades(budgets), strict=True)) if budgets else {}
    counts = {}
    for kind, (usual, marker, size) in KINDS.items():
        rows = runs.filter(pl.col("kind") == kind)
        if rows.is_empty():
            continue
        label = "check" if kind == "check" and not _is_pair(inputs, rows) else usual
        counts[label] = rows.height
        marks = axes.scatter(
            rows["tokens"],
            rows["params_total"],
            marker=marker,
            s=size,
            linewidths=0.8,
            # trials of rates stand where fitted, announced or check runs do: larger, and over them
            color=style.INK
            if kind == "tuning"
            else [shade.get(budget, style.QUIET) for budget in rows["budget"]],
            label=f"{label} ({rows.height})",
            gid=f"runs-{kind.replace(' ', '-')}",
            zorder=4 if kind == "tuning" else 3,
        )
        style.name_runs(marks, rows["run"])
    lines = _equal_compute(axes, runs.filter(~pl.col("excluded")), shade)
    style.log_axis(axes.xaxis, counts=True)
    style.log_axis(axes.yaxis, counts=True)
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), title="Runs", alignment="left")
    place_labels(axes, lines)
    listed = ", ".join(f"{number} {label}" for label, number in counts.items())
    low, high = runs["params_total"].min(), runs["params_total"].max()
    return style.Drawn(
        figure,
        f"Scatter plot of parameters against training tokens, one mark per run: {listed}. Sizes "
        f"run from {short(float(low))} to {short(float(high))} parameters. "  # type: ignore[arg-type]
        "Dashed lines of equal compute fall from upper left to lower right.",
    )


def _is_pair(inputs: FigureInputs, planned: pl.DataFrame) -> bool:
    """Tell whether check runs have one compute, as their own figure counts it."""
    counting = counting_of_pair(inputs.recommended, inputs.fitted)
    finals = counted(check_runs(inputs.losses, inputs.announcement), counting)
    if finals.height < 2:  # until they have ended, by what was planned
        return equal_compute(flops_6nd(planned["params_total"], planned["tokens"]))
    return equal_compute(finals["flops"])


def _equal_compute(axes: Axes, runs: pl.DataFrame, shade: dict[float, Any]) -> list[Label]:
    """Draw a line of equal 6ND through the runs of each budget; give its label.

    That stands at its largest run, or else at its smallest, or somewhere along it.
    """
    limits = axes.get_xlim(), axes.get_ylim()
    labels = []
    for budget, colour in shade.items():
        rows = runs.filter(pl.col("budget") == budget).sort("params_total")
        if rows.is_empty():
            continue
        n = rows["params_total"].to_numpy()
        flops = float(np.median(flops_6nd(n, rows["tokens"].to_numpy())))
        ends = np.array([n[0] / 1.3, n[-1] * 1.3])
        axes.plot(
            tokens_6nd(ends, flops), ends, color=colour, lw=0.6, ls=(0, (4, 3)), zorder=1,
            gid=f"budget-{style.in_full(budget)}",
        )  # fmt: skip
        first, *rest = np.geomspace(ends[1], ends[0], ALONG).tolist()
        above = [
            Place(tokens_6nd(first, flops), first, ha, "bottom", (0.0, 3.0))
            for ha in ("center", "right", "left")
        ]
        along = beside((tokens_6nd(n, flops), n) for n in (rest[-1], first, *rest))
        labels.append(Label(power(budget, hand=MATHTEXT), colour, [*above, *along]))
    axes.set(xlim=(limits[0][0] / 1.5, limits[0][1]), ylim=(limits[1][0], limits[1][1] * 1.4))
    return labels
