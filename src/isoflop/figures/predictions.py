"""Hoffmann's Figures A3 and 1: N and D of all approaches, Kaplan's line, and large models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from isoflop.approach import COLOURS, MARKERS, NAMES
from isoflop.drawing import style
from isoflop.estimates.allocation import FARTHEST
from isoflop.estimates.diagnostics import ProfilesDiagnostics, expect
from isoflop.figures.frontier import draw_law
from isoflop.numbers import PLAIN, power

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from isoflop.figures.inputs import Axis, FigureInputs

    Floats = NDArray[np.float64]

AXES: Final[tuple[Axis, ...]] = ("params", "tokens")
STAR = "Chinchilla"
MODELS = (STAR, "Gopher", "GPT-3", "MT-NLG 530B")
ROOM = 1e3
"""Least factor of C after the end of this sweep's lines in which their names have room; else they
stand at the right edge, with those of the published lines."""
LIFT = 3.0
"""Factor of N by which the models' names stand above their marks, off the published lines."""


def draw(inputs: FigureInputs) -> style.Drawn | style.NothingToShow:
    """Overlay N and D of every approach over the data, and N up to the largest budget asked for."""
    fitted = inputs.fitted
    if not fitted:
        return style.NothingToShow("No approach gave an estimate for this sweep.")
    figure = style.new_figure(height=5.6)
    panels = figure.subplot_mosaic([["params", "tokens"], ["far", "far"]])
    top = max(estimate.flops_range[1] for estimate in fitted.values())
    goal = inputs.gopher_budget
    for axis in AXES:
        _laws(panels[axis], inputs, axis, end=10.0 * top)
        _minima(panels[axis], inputs, axis)
    _laws(panels["far"], inputs, "params", end=max(3.0 * goal, 10.0 * top))
    for axes in panels.values():
        _data_end(axes, top)
    models = _large_models(panels["far"], inputs, goal)
    panels["params"].set_title("a  N over the data and a decade beyond")
    panels["tokens"].set_title("b  D over the data and a decade beyond")
    panels["far"].set_title(f"c  N {np.log10(goal / top):.1f} decades beyond, to Gopher’s compute")
    listed = "; ".join(
        f"{NAMES[approach]} {estimate.a.value:.3f}" for approach, estimate in fitted.items()
    )
    return style.Drawn(
        figure,
        "Three panels against compute on logarithmic axes: optimal parameters and optimal tokens "
        "over the data, with the profiles’ minima as crosses where there are any, and "
        f"parameters up to {power(goal, hand=PLAIN)} FLOPs. Slopes of the lines of N: {listed}; "
        f"Kaplan’s published line {inputs.reference.kaplan.optimal_allocation.p_N:.2f}. Lines of "
        "this sweep are dashed beyond the data, carry 95 % bands, and end "
        f"{FARTHEST:.0f} decades beyond the data at the latest. {models}",
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


def _laws(axes: Axes, inputs: FigureInputs, axis: Axis, *, end: float) -> None:
    """Draw the published lines up to one C, and every approach's as far as the sweep says it."""
    labels = []
    top = max(estimate.flops_range[1] for estimate in inputs.fitted.values())
    last = min(end, top * 10.0**FARTHEST)
    for approach, estimate in inputs.fitted.items():
        low, high = estimate.flops_range
        draw_law(axes, inputs, estimate, axis, end=last)
        law = estimate.params_opt if axis == "params" else estimate.tokens_opt
        # dashes say what lies beyond the data, so marks say whose a line is
        places = np.array([low, high, np.sqrt(high * last)])
        axes.plot(
            places,
            law(places),
            ls="",
            marker=MARKERS[approach],
            ms=3.4,
            mew=0.4,
            mec="white",
            color=COLOURS[approach],
            zorder=5,
            gid=f"law-{approach}-{axis}-marks",
        )
        name = NAMES[approach]
        at = last if end > ROOM * last else end
        labels.append((name, COLOURS[approach], at, float(law(last))))
    low = min(estimate.flops_range[0] for estimate in inputs.fitted.values())
    flops = np.array([low, end])
    for name, dashes, values in _published(inputs, flops, axis):
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
    style.log_axis(axes.xaxis)
    style.log_axis(axes.yaxis, counts=True)
    axes.set(xlabel=style.FLOPS, ylabel=style.PARAMS if axis == "params" else style.TOKENS)
    # spread apart among those that stand beside each other
    for x in sorted({x for _, _, x, _ in labels}):
        style.label_points(axes, [label for label in labels if label[2] == x])


def _published(
    inputs: FigureInputs, flops: Floats, axis: Axis
) -> list[tuple[str, tuple[float, float], Floats]]:
    """Evaluate Kaplan's law, at C = 6ND, and Hoffmann's, as its Table 3 has it."""
    reference = inputs.reference
    table = reference.hoffmann.optimal_allocations
    kaplan = np.array([reference.kaplan.params_opt(float(c), convention="minimum") for c in flops])
    if axis == "params":
        hoffmann = table.params_law("envelope")(flops)
    else:
        kaplan, hoffmann = flops / (6.0 * kaplan), table.tokens_law("envelope")(flops)
    return [("Kaplan 2020", (1, 1), kaplan), ("Hoffmann 2022", (9, 2.5), hoffmann)]


def _large_models(axes: Axes, inputs: FigureInputs, goal: float) -> str:
    """Mark the large models that lie in range, at C = 6ND."""
    models = [
        model
        for model in inputs.reference.gopher_chinchilla.large_models.rows
        if model.name in MODELS and 6.0 * model.params * model.tokens < 3.0 * goal
    ]
    if not models:
        return "No large model lies in range."
    for model in models:
        star = model.name == STAR
        axes.plot(
            6.0 * model.params * model.tokens,
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
    left = min(6.0 * model.params * model.tokens for model in models)
    labels = [(model.name, style.INK, LIFT * model.params) for model in models]
    style.label_ends(axes, left, labels, side="left")
    return f"Marked: {', '.join(model.name for model in models)}."


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
