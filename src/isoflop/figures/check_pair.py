"""Runs of equal compute, some sized by Kaplan's exponent, some by Chinchilla's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl

from isoflop.approach import ANSWERS, MIXTURE
from isoflop.cells import cells_of, merged
from isoflop.drawing import style
from isoflop.drawing.placing import Label, Place, inside, place_labels
from isoflop.estimates.allocation import determined_at
from isoflop.estimates.announced import check_runs, equal_compute
from isoflop.estimates.counted import counted
from isoflop.estimates.mixture import Mixture
from isoflop.estimates.off_frontier import (
    counting_of_pair,
    intervals_of_losses,
    losses_at,
    predicts_losses,
)
from isoflop.figures.inputs import NO_ESTIMATE
from isoflop.numbers import PLAIN, power, short
from isoflop.pairs import sized_by

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from isoflop.estimates.estimate import Counting, Estimate
    from isoflop.figures.inputs import FigureInputs

    Floats = NDArray[np.float64]

WORDS: Final = 0.32
"""Share of the losses' height that words take below it."""
REACH: Final = 2.0
"""Factor of N that is drawn on either side of the pair."""
PLACES: Final = 60
"""Sizes at which losses are drawn."""
HEIGHTS: Final = (0.03, 0.1, 0.17, 0.24, 0.31, 0.38, 0.45)
"""Where words may stand, as parts of the panel's height."""
BESIDE: Final = 1.05
"""Factor of N by which what was announced stands beside what was measured."""

NONE = (
    "The sweep has no pair of check runs: two runs of equal compute above the fitted budgets, with "
    "“role: check” in their logs or in sweep.yaml."
)


def draw(inputs: FigureInputs) -> style.Drawn | style.NothingToShow:
    """Plot the measured losses over what the answer predicts at their compute."""
    chosen = predicts_losses(inputs.recommended, inputs.fitted)
    first = next(iter(inputs.fitted.values()), None)
    if first is None:
        return style.NothingToShow(NO_ESTIMATE)
    counting = counting_of_pair(inputs.recommended, inputs.fitted)
    runs = check_runs(inputs.losses, inputs.announcement)
    pair = _by_size(counted(runs, counting))
    if pair.height < 2:
        return style.NothingToShow(_why_no_pair(inputs))
    if not equal_compute(pair["flops"]):
        return style.NothingToShow(
            f"The {pair.height} check runs of this sweep are left out of every fit; their compute "
            "differs, so they are no pair whose losses could be set side by side."
        )
    flops = float(pair["flops"].median())  # type: ignore[arg-type]
    figure = style.new_figure(height=3.3)
    axes, strip = figure.subplots(2, 1, sharex=True, height_ratios=(1, 0.36))
    axes.set_xscale("log")
    low, high = float(pair["params"].min()) / REACH, float(pair["params"].max()) * REACH  # type: ignore[arg-type]
    spoken = "with no law’s loss beside them" if chosen is None else ""
    labels: list[tuple[str, Any, float, float]] = []
    if chosen is not None:
        key, answer = chosen
        n = np.geomspace(low, high, PLACES)
        d = _tokens(answer, n, flops)
        labels = _predicted(axes, inputs, key, answer, (n, d, flops))
        spoken = f"over the loss that {ANSWERS[key].in_prose} predicts there"
    announced = _announced(axes, inputs, pair)
    numbered = pair.with_row_index("number")
    sizes = [rows for _, rows in numbered.group_by(["cell"], maintain_order=True)]
    for rows in sizes:
        _measured(axes, rows)
    _optima(strip, inputs, counting)
    axes.margins(y=0.08)
    low_loss, high_loss = axes.get_ylim()
    # room at the foot for what was measured, in words
    foot = WORDS * max(1, len(sizes) - 1) * (high_loss - low_loss)
    axes.set_ylim(low_loss - foot, high_loss)
    axes.set(ylabel=style.LOSS)
    strip.set(xlabel=style.PARAMS)
    style.log_axis(strip.xaxis, counts=True)
    strip.set_xlim(low, high)
    style.label_points(axes, labels)
    place_labels(axes, [_words(axes, rows, left=not at) for at, rows in enumerate(sizes)])
    listed = " and ".join(
        f"{runs[0] if len(runs) == 1 else f'the mean of {len(runs)} runs'} with "
        f"{short(params)} parameters and loss {loss:.4f}"
        for params, runs, loss in pair.group_by("cell", maintain_order=True)
        .agg(pl.col("params").first(), "run", pl.col("loss").mean())
        .drop("cell")
        .iter_rows()
    )
    return style.Drawn(
        figure,
        f"Loss against parameters at {power(flops, hand=PLAIN)} FLOPs: the measured losses of "
        f"{listed}, {spoken}.{announced} Each optimal size is marked at the foot with its 95 % "
        "interval, where it has one.",
    )


def _by_size(finals: pl.DataFrame) -> pl.DataFrame:
    """Sort runs by N, which is one number for those of one N and D: they have one `cell`."""
    rows = finals.sort("params", "run")
    params = rows["params"].to_numpy()
    cell = cells_of(params, rows["tokens"].to_numpy())
    return rows.with_columns(cell=cell, params=merged(params, cell)).sort("cell", "run")


def _tokens(answer: Estimate | Mixture, params: Floats, flops: float) -> Floats:
    """Give the D that C buys at N, as the answer counts; its laws count alike."""
    law = answer.mixed[0].law if isinstance(answer, Mixture) else answer.law
    if law is None or law.flops_per_token is None:
        raise TypeError("an answer for optima alone has no D at N and C")
    return law.flops_per_token.tokens(params, flops)


def _predicted(
    axes: Axes,
    inputs: FigureInputs,
    key: str,
    answer: Estimate | Mixture,
    places: tuple[Floats, Floats, float],
) -> list[tuple[str, Any, float, float]]:
    """Draw the answer's losses with their band, and the laws behind a mixture; give the labels."""
    n, d, flops = places
    draws = inputs.draws_of(answer)
    colour = ANSWERS[key].colour
    ends = [intervals.get("0.95") for intervals in intervals_of_losses(answer, draws, n, d, flops)]
    if all(end is not None for end in ends):
        band = np.array(ends, dtype=np.float64)
        axes.fill_between(
            n, band[:, 0], band[:, 1], color=colour, alpha=0.12, lw=0, gid="predicted-band"
        )
    loss = losses_at(answer, draws, n, d)
    axes.plot(
        n, loss, color=colour, lw=1.6, ls=style.dashed(ANSWERS[key].dashes), gid="predicted",
        zorder=3,
    )  # fmt: skip
    labels = [(ANSWERS[key].label, colour, float(n[-1]), float(loss[-1]))]
    for member in answer.mixed if isinstance(answer, Mixture) else []:
        if member.law is None:
            continue
        log_loss = member.law.log_loss(member.row, np.log(n), np.log(d))
        if log_loss is None:
            continue
        row = ANSWERS[member.approach]
        axes.plot(
            n, np.exp(log_loss[0]), color=row.colour, lw=0.7, ls=style.dashed(row.dashes),
            gid=f"predicted-{member.approach}", zorder=2,
        )  # fmt: skip
        labels.append((row.label, row.colour, float(n[-1]), float(np.exp(log_loss[0, -1]))))
    return labels


def _announced(axes: Axes, inputs: FigureInputs, pair: pl.DataFrame) -> str:
    """Draw what the mixture announced of these runs, beside the measured marks; say it."""
    if inputs.announcement is None:
        return ""
    sizes = dict(pair.select("run", "params").iter_rows())
    drawn = []
    for number, run in enumerate(inputs.announcement.runs):
        loss = run.losses.get(MIXTURE.key)
        if loss is None or run.run not in sizes:
            continue
        x = sizes[run.run] * BESIDE
        for level, width in (("0.95", 0.9), ("0.8", 2.4)):
            axes.plot(
                [x, x], loss.intervals[level], color=style.QUIET, lw=width, zorder=4,
                solid_capstyle="butt", gid=f"announced-{level}-{number}",
            )  # fmt: skip
        axes.plot(
            x, loss.predicted, marker="D", ms=4, color=style.QUIET, mec="white", mew=0.5, ls="",
            zorder=5, gid=f"announced-{number}",
        )  # fmt: skip
        drawn.append(f"{loss.predicted:.4f} for {short(sizes[run.run])} parameters")
    return f" Announced before training were {' and '.join(drawn)}." if drawn else ""


def _measured(axes: Axes, rows: pl.DataFrame) -> None:
    """Mark the runs of one size and their mean."""
    params = float(rows["params"][0])
    for number, run, measured in rows.select("number", "run", "loss").iter_rows():
        (mark,) = axes.plot(
            params,
            measured,
            marker="o",
            ms=5 if rows.height == 1 else 3,
            color=style.INK,
            ls="",
            zorder=6,
            gid=f"run-{number}",
        )
        style.name_runs(mark, [run])
    mean = float(rows["loss"].mean())  # type: ignore[arg-type]
    if rows.height > 1:
        axes.plot(
            params, mean, marker="_", ms=14, color=style.INK, ls="", zorder=6,
            gid=f"mean-{rows['number'][0]}",
        )  # fmt: skip


def _words(axes: Axes, rows: pl.DataFrame, *, left: bool) -> Label:
    """Say who sized the runs of one size and what was measured, at the foot of the panel."""
    mean = float(rows["loss"].mean())  # type: ignore[arg-type]
    of = "" if rows.height == 1 else f"\nmean of {rows.height} runs"
    sides = (("right", -9.0), ("left", 9.0))
    places = [
        Place(float(rows["params"][0]), place.y, ha, "bottom", (away, 0.0))
        for place in inside(axes, ((0.0, height) for height in HEIGHTS))
        for ha, away in (sides if left else sides[::-1])
    ]
    return Label(f"{label_of(rows)}\nmeasured {mean:.4f}{of}", style.INK, places)


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


def label_of(runs: pl.DataFrame) -> str:
    """Say whose exponent gave check runs of one size theirs, or else name the first."""
    return sized_by(runs["sized_by"][0]) or style.outside(runs["run"][0])


def _optima(axes: Axes, inputs: FigureInputs, counting: Counting) -> None:
    """Mark N_opt, with its interval, of each answer that counts N as the runs are shown.

    Each is asked at the pair's C as it counts C itself.
    """
    checks = check_runs(inputs.losses, inputs.announcement)
    shown = []
    for key, answer in inputs.answers.items():
        if answer.counting.params != counting.params:
            continue
        flops = float(counted(checks, answer.counting)["flops"].median())  # type: ignore[arg-type]
        draws = inputs.draws_of(answer)
        shown += [(key, optimum) for optimum in determined_at(answer, draws, flops)]
    for row, (key, optimum) in enumerate(shown):
        colour = ANSWERS[key].colour
        ends = optimum.params.intervals.get("0.95")
        if ends is not None:
            axes.plot(ends, [-row, -row], color=colour, lw=1, gid=f"optimum-{key}-95")
        axes.plot(
            optimum.params.value,
            -row,
            marker=ANSWERS[key].marker,
            ms=8 if key == MIXTURE.key else 5,
            color=colour,
            mew=0.4,
            mec="white",
            gid=f"optimum-{key}",
        )
    axes.set_yticks(
        [-row for row in range(len(shown))], [f"$N^*$, {ANSWERS[key].label}" for key, _ in shown]
    )
    axes.set_ylim(0.6 - len(shown), 0.6)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    axes.spines["left"].set_visible(False)
