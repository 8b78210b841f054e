"""Hoffmann's Figure 3: IsoFLOP profiles with their parabolas, and the minima against compute."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from isoflop.choices import CURVES
from isoflop.drawing import style
from isoflop.escape import unmarked
from isoflop.estimates.diagnostics import ProfilesDiagnostics, expect
from isoflop.figures.frontier import draw_scaling
from isoflop.numbers import MATHTEXT, number_of, power

Label = tuple[str, Any, float, float]

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from isoflop.estimates.diagnostics import Coefficients, Profile
    from isoflop.figures.inputs import FigureInputs


def draw(inputs: FigureInputs) -> style.Drawn | style.NothingToShow:
    """Plot loss against size at each budget, then N and D of the minima."""
    estimate = inputs.fitted.get("profiles")
    if estimate is None:
        return style.NothingToShow(inputs.refusal("profiles"))
    diagnostics = expect(estimate.diagnostics, ProfilesDiagnostics)
    profiles = diagnostics.profiles
    figure = style.new_figure(height=2.45)
    left, middle, right = figure.subplots(1, 3, width_ratios=(1.45, 1, 1))
    left.set_title("a  IsoFLOP profiles")
    middle.set_title("b  N at the minima")
    right.set_title("c  D at the minima")
    labels = []
    colours = style.shades([profile.budget for profile in profiles])
    for profile, colour in zip(profiles, colours, strict=True):
        labels.append(_profile(left, profile, colour, diagnostics))
        if profile.minimum:
            # where the line through them is fitted: the runs' own C is a little off their budget
            for axes, axis in ((middle, "params"), (right, "tokens")):
                axes.plot(
                    profile.budget,
                    getattr(profile.minimum, axis),
                    "s",
                    color=colour,
                    mew=0,
                    zorder=5,
                    gid=f"minimum-{style.in_full(profile.budget)}-{axis}",
                )
    style.log_axis(left.xaxis, counts=True)
    losses = [loss for profile in profiles for loss in profile.loss]
    style.plain_log_axis(left.yaxis, min(losses), max(losses))
    axis = diagnostics.axis
    left.set(xlabel=style.PARAMS if axis == "params" else style.TOKENS, ylabel=style.LOSS)
    low, high = left.get_xlim()
    left.set_xlim(low, high * (high / low) ** 0.16)
    style.label_points(left, labels)
    draw_scaling(middle, inputs, estimate, "params")
    draw_scaling(right, inputs, estimate, "tokens")
    accepted = sum(profile.accepted for profile in profiles)
    have = "has its" if accepted == 1 else "have their"
    along, over = ("parameters", "sizes") if axis == "params" else ("tokens", "numbers of them")
    return style.Drawn(
        figure,
        f"Three panels. First: loss against {along} at "
        f"{number_of(len(profiles), 'compute budget')}, each a "
        f"valley with its {unmarked(CURVES[diagnostics.curve])}; {accepted} {have} minimum inside "
        f"the measured {over}, marked by a cross. Second and third: parameters and tokens of the "
        f"minima against compute, with power laws of exponents {estimate.a.value:.3f} and "
        f"{estimate.b.value:.3f}.",
    )


def _profile(axes: Axes, profile: Profile, colour: Any, diagnostics: ProfilesDiagnostics) -> Label:
    """Draw one budget: its runs, its curve, its minimum; give its name and where it stands."""
    x = np.asarray(getattr(profile, diagnostics.axis))
    loss = np.asarray(profile.loss)
    used = np.asarray(profile.used)
    gid = f"budget-{style.in_full(profile.budget)}"
    runs = np.asarray(profile.run)
    for which, name, look in (
        (used, gid, {"mew": 0.0}),
        (~used, f"{gid}-unused", {"mfc": "none", "mew": 0.7}),
    ):
        (marks,) = axes.plot(
            x[which], loss[which], ls="", marker="o", ms=3.2, color=colour, gid=name, **look
        )
        style.name_runs(marks, runs[which])
    order = np.argsort(x)
    if diagnostics.curve == "akima":
        # a spline passes through its points; nothing is fitted here, so they are only joined
        axes.plot(x[order], loss[order], color=colour, lw=0.8, gid=f"{gid}-curve")
    else:
        n, fitted = _parabola(x, profile.coefficients)
        if diagnostics.curve == "log_parabola":
            fitted = np.exp(fitted)
        axes.plot(n, fitted, color=colour, lw=1.0, gid=f"{gid}-curve")
    if profile.minimum:
        minimum = profile.minimum
        axes.plot(
            getattr(minimum, diagnostics.axis),
            minimum.loss,
            marker="x",
            ms=4.5,
            mew=1.1,
            color=style.INK,
            zorder=5,
            gid=f"minimum-{style.in_full(profile.budget)}",
        )
    return (
        power(profile.budget, hand=MATHTEXT),
        colour,
        float(x[order[-1]]),
        float(loss[order[-1]]),
    )


def _parabola(x: np.ndarray, coefficients: Coefficients) -> tuple[np.ndarray, np.ndarray]:
    """Evaluate at_centre + slope t + curvature t**2, t = ln x - centre, over the points' range."""
    n = np.geomspace(x.min(), x.max(), 80)
    values = (coefficients.centre, coefficients.level, coefficients.slope, coefficients.curvature)
    centre, at_centre, slope, curvature = (np.nan if value is None else value for value in values)
    t = np.log(n) - centre
    return n, at_centre + slope * t + curvature * t**2
