"""Hoffmann's Figures A3 and 1: N and D of all approaches, Kaplan's line, and large models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from isoflop.approach import MIXTURE
from isoflop.counting import flops_6nd, tokens_6nd
from isoflop.drawing import style
from isoflop.estimates.allocation import FARTHEST
from isoflop.estimates.diagnostics import ProfilesDiagnostics, expect
from isoflop.figures.frontier import draw_law, row_of
from isoflop.figures.inputs import NO_ESTIMATE
from isoflop.numbers import PLAIN, power

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.axes import Axes

    from isoflop.estimates.estimate import Estimate
    from isoflop.estimates.mixture import Mixture
    from isoflop.figures.inputs import Axis, FigureInputs

    Label = tuple[str, Any, float, float]

AXES: Final[tuple[Axis, ...]] = ("params", "tokens")
STAR = "Chinchilla"
MODELS = (STAR, "Gopher", "GPT-3", "MT-NLG 530B")
MARK: Final = (3.4, 5.5)
"""Size of a law's marks, and of the mixture's."""


def draw(inputs: FigureInputs) -> style.Drawn | style.NothingToShow:
    """Overlay N and D of every answer over the data, and N up to the largest budget asked for."""
    answers = inputs.answers
    if not answers:
        return style.NothingToShow(NO_ESTIMATE)
    figure = style.new_figure(height=5.6)
    panels = figure.subplot_mosaic([["params", "tokens"], ["far", "far"]])
    top = max(answer.flops_range[1] for answer in answers.values())
    goal = inputs.reference.gopher_budget
    for axis in AXES:
        end = 10.0 * top
        names = [
            *_laws(panels[axis], inputs, axis, end=end),
            *_published(panels[axis], inputs, axis, end),
        ]
        _minima(panels[axis], inputs, axis)
        style.label_points(panels[axis], names)
    far = panels["far"]
    end = max(3.0 * goal, 10.0 * top)
    of_sweep = _laws(far, inputs, "params", end=end)
    published = _published(far, inputs, "params", end)
    marked, models = _large_models(far, inputs, end)
    # beside the frame and in its empty corner: inside, a name would stand on some line
    style.label_points(far, [*published, *marked])
    _key(far, [name for name, *_ in of_sweep], answers)
    for axes in panels.values():
        _data_end(axes, top)
    panels["params"].set_title("a  N over the data and a decade beyond")
    panels["tokens"].set_title("b  D over the data and a decade beyond")
    far.set_title(f"c  N {np.log10(goal / top):.1f} decades beyond, to Gopher’s compute")
    listed = "; ".join(
        f"{row_of(answer).label} {answer.a.value:.3f}" for answer in answers.values()
    )
    return style.Drawn(
        figure,
        "Three panels against compute on logarithmic axes: optimal parameters and optimal tokens "
        "over the data, with the profiles’ minima as crosses where there are any, and "
        f"parameters up to {power(goal, hand=PLAIN)} FLOPs. Slopes of the lines of N: {listed}; "
        f"Kaplan’s published line {inputs.reference.kaplan.optimal_allocation.p_N:.2f}. Lines of "
        "this sweep are dashed beyond the points that they were fitted to, carry bands where they "
        f"have 95 % intervals, and end {FARTHEST:.0f} decades beyond the data at the latest. "
        f"{models}",
    )


def _minima(axes: Axes, inputs: FigureInputs, axis: Axis) -> None:
    """Mark what was measured: N or D at the minimum of each budget's profile."""
    profiles = inputs.fitted.get("profiles")
    if profiles is None:
        return
    minima = expect(profiles.diagnostics, ProfilesDiagnostics).profiles
    used = [(p.budget, p.minimum) for p in minima if p.accepted and p.minimum is not None]
    axes.plot(
        [budget for budget, _ in used], [getattr(minimum, axis) for _, minimum in used], ls="",
        marker="X", ms=4.5, mew=0.4, mec="white", color=style.INK, zorder=6, gid=f"minima-{axis}",
    )  # fmt: skip


def _laws(axes: Axes, inputs: FigureInputs, axis: Axis, *, end: float) -> list[Label]:
    """Draw every answer as far as the sweep says it, and give the names for its lines' ends."""
    labels = []
    answers = inputs.answers
    top = max(answer.flops_range[1] for answer in answers.values())
    last = min(end, top * 10.0**FARTHEST)
    for answer in answers.values():
        row = row_of(answer)
        flops, values = draw_law(axes, inputs, answer, axis, end=last)
        # dashes say what lies beyond the data, so marks say whose a line is
        low, high = answer.frontier_range
        places = np.array([low, high, np.sqrt(high * last)])
        axes.plot(
            places,
            np.exp(np.interp(np.log(places), np.log(flops), np.log(values))),
            ls="",
            marker=row.marker,
            ms=MARK[row.key == MIXTURE.key],
            mew=0.4,
            mec="white",
            color=row.colour,
            zorder=5,
            gid=f"law-{row.key}-{axis}-marks",
        )
        labels.append((row.label, row.colour, end, float(values[-1])))
    style.log_axis(axes.xaxis)
    style.log_axis(axes.yaxis, counts=True)
    axes.set(xlabel=style.FLOPS, ylabel=style.PARAMS if axis == "params" else style.TOKENS)
    return labels


def _published(axes: Axes, inputs: FigureInputs, axis: Axis, end: float) -> list[Label]:
    """Draw Kaplan's line, at C = 6ND, and Hoffmann's, as its Table 3 has it."""
    flops = np.array([min(a.frontier_range[0] for a in inputs.answers.values()), end])
    reference = inputs.reference
    table = reference.hoffmann.optimal_allocations
    kaplan = np.array([reference.kaplan.params_opt(float(c), convention="minimum") for c in flops])
    if axis == "params":
        hoffmann = table.params_law("envelope")(flops)
    else:
        kaplan, hoffmann = tokens_6nd(kaplan, flops), table.tokens_law("envelope")(flops)
    labels = []
    for name, dashes, values in (
        ("Kaplan 2020", (1, 1), kaplan),
        ("Hoffmann 2022", (9, 2.5), hoffmann),
    ):
        axes.plot(
            flops,
            values,
            color=style.PUBLISHED,
            lw=0.9,
            ls=(0, dashes),
            zorder=3,
            gid=f"published-{name.split()[0].lower()}-{axis}",
        )
        labels.append((name, style.PUBLISHED, end, float(values[-1])))
    return labels


def _key(axes: Axes, names: list[str], answers: Mapping[str, Estimate | Mixture]) -> None:
    """Name this sweep's lines in the upper left corner, which rising lines leave empty."""
    from matplotlib.lines import Line2D

    rows = [row_of(answer) for answer in answers.values()]
    lines = [
        Line2D([], [], color=row.colour, marker=row.marker, ms=MARK[row.key == MIXTURE.key],
               mew=0.4, mec="white")
        for row in rows
    ]  # fmt: skip
    axes.legend(lines, names, loc="upper left")


def _large_models(axes: Axes, inputs: FigureInputs, end: float) -> tuple[list[Label], str]:
    """Mark the large models that lie in range, at C = 6ND; give their names for the right edge."""
    models = [
        model
        for model in inputs.reference.gopher_chinchilla.large_models.rows
        if model.name in MODELS and flops_6nd(model.params, model.tokens) < end
    ]
    if not models:
        return [], "No large model lies in range."
    for model in models:
        star = model.name == STAR
        axes.plot(
            flops_6nd(model.params, model.tokens),
            model.params,
            ls="",
            marker="*" if star else "o",
            ms=7 if star else 3.5,
            mew=0.4,
            mec="white",
            color=style.INK,
            zorder=6,
            gid=f"model-{model.name.split()[0]}",
        )
    labels = [(model.name, style.INK, end, float(model.params)) for model in models]
    return labels, f"Marked: {', '.join(model.name for model in models)}."


def _data_end(axes: Axes, top: float) -> None:
    """Mark where the data end."""
    axes.axvline(top, color=style.QUIET, lw=0.6, ls=(0, (1, 2)), zorder=1)
    axes.annotate(
        "data end",
        (top, 0.02),
        xycoords=axes.get_xaxis_transform(),
        rotation=90,
        xytext=(-2, 0),
        textcoords="offset points",
        ha="right",
        va="bottom",
        fontsize=style.SMALL - 0.5,
        color=style.QUIET,
    )
