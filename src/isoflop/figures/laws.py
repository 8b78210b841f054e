"""Kaplan's law, Hoffmann's, and what lies between: the plane of E and gamma, and losses ahead."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from isoflop.approach import COLOURS, DASHES, MARKERS, MIXTURE, NAMES
from isoflop.drawing import style
from isoflop.estimates.estimate import Estimate
from isoflop.estimates.intervals import intervals_at, percentile_intervals
from isoflop.estimates.mixture import Mixture

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from isoflop.figures.inputs import FigureInputs

    Floats = NDArray[np.float64]

DECADES: Final = 3.0
"""How far beyond the data losses are drawn, in decades of C."""
PLACES: Final = 41
SHOWN: Final = (0.08, 1.6)
"""Range of gamma that is drawn at least."""
MOST_DRAWS: Final = 600
"""Draws that are drawn: enough for the region's shape, few enough for a page."""


def draw(inputs: FigureInputs) -> style.Drawn | style.NothingToShow:
    """Draw the region of (E, gamma) that the draws leave, and each law's loss at its optimum."""
    nested = inputs.laws.get("nested")
    mixed = inputs.mixture
    if nested is None:
        return style.NothingToShow("The nested law was not fitted.")
    if not isinstance(nested, Estimate):
        return style.NothingToShow(nested.refused)
    if not isinstance(mixed, Mixture):
        return style.NothingToShow(mixed.refused)
    figure = style.new_figure(height=3.0)
    left, right = figure.subplots(1, 2, width_ratios=(1.0, 1.1))
    plane = _plane(left, inputs, nested)
    losses = _losses(right, inputs, mixed)
    return style.Drawn(
        figure,
        "Two panels. Left, the exponent gamma of the nested law against its irreducible loss E: "
        f"{plane} Hoffmann's law is the line gamma = 1, the root law the line gamma = 1/2, and "
        "Kaplan's law a point at E = 0. Right, the loss at each law's optimum over that of the "
        f"mixture, against compute: {losses}",
    )


def _plane(axes: Axes, inputs: FigureInputs, nested: Estimate) -> str:
    rows = nested.rows(inputs.law_draws["nested"])
    names = nested.law.names
    floors, gammas = rows[:, names.index("E")], rows[:, names.index("gamma")]
    kept = np.isfinite(floors) & np.isfinite(gammas)
    axes.scatter(
        floors[kept][:MOST_DRAWS],
        gammas[kept][:MOST_DRAWS],
        s=3.0,
        color=COLOURS["nested"],
        alpha=0.3,
        linewidths=0,
        gid="plane-draws",
    )
    values = dict(zip(names, nested.row[0], strict=True))
    for height, label, law in (
        (1.0, r"Hoffmann: $\gamma = 1$", "parametric"),
        (0.5, r"root law: $\gamma = 1/2$", "root"),
    ):
        axes.axhline(
            height,
            color=COLOURS[law],
            lw=0.9,
            ls=style.dashed(DASHES[law]),
            zorder=1,
            gid=f"plane-line-{law}",
        )
        axes.annotate(
            label,
            (0.0, height),
            xycoords=axes.get_yaxis_transform(),
            # at the left, where the floors are too low for marks of either law
            xytext=(4, 2),
            textcoords="offset points",
            ha="left",
            va="bottom",
            fontsize=style.SMALL,
            color=COLOURS[law],
        )
    marks = [("nested", values["E"], values["gamma"])]
    for law, height in (("parametric", 1.0), ("root", 0.5)):
        estimate = inputs.laws.get(law)
        if isinstance(estimate, Estimate):
            marks.append((law, estimate.parameters["E"].value, height))
    kaplan = inputs.laws.get("kaplan_law")
    if isinstance(kaplan, Estimate):
        marks.append(("kaplan_law", 0.0, kaplan.parameters["alpha_D"].value))
    for law, x, y in marks:
        axes.plot(
            x,
            y,
            ls="",
            marker=MARKERS[law],
            ms=6,
            mew=0.6,
            mec="white",
            color=COLOURS[law],
            zorder=5,
            clip_on=False,
            gid=f"plane-{law}",
        )
    if isinstance(kaplan, Estimate):
        axes.annotate(
            "Kaplan",
            (0.0, kaplan.parameters["alpha_D"].value),
            xytext=(6, -3),
            textcoords="offset points",
            fontsize=style.SMALL,
            color=COLOURS["kaplan_law"],
        )
    low = min(SHOWN[0], *(0.8 * y for _, _, y in marks))
    high = max(SHOWN[1], *(1.2 * y for _, _, y in marks))
    axes.set_yscale("log")
    axes.set_ylim(low, high)
    axes.set_yticks([0.05, 0.1, 0.2, 0.5, 1.0, 2.0], ["0.05", "0.1", "0.2", "0.5", "1", "2"])
    axes.minorticks_off()
    top = max([float(np.quantile(floors[kept], 0.99)), *(x for _, x, _ in marks)])
    axes.set_xlim(-0.02 * top, 1.1 * top)
    axes.set(xlabel="Irreducible loss $E$ (nats per token)", ylabel="Exponent $\\gamma$")
    axes.set_title("a  Between both papers’ laws")
    ends = percentile_intervals(gammas)["0.95"]
    return (
        f"the runs leave gamma between {ends[0]:.2f} and {ends[1]:.2f} (95 % of the draws), with "
        f"an estimate of {values['gamma']:.2f} at E = {values['E']:.2f}."
    )


def _ends(mixed: Mixture, drawn: Floats, flops: Floats, level: float) -> Floats:
    """Give both ends of the interval of each column of draws, (2, budgets); NaN without one."""
    ends = np.full((2, len(flops)), np.nan)
    for k, column in enumerate(drawn.T):
        given = intervals_at(column, mixed.levels.of("loss_opt", float(flops[k])))
        ends[:, k] = given.get(str(level), (np.nan, np.nan))
    return ends


def _losses(axes: Axes, inputs: FigureInputs, mixed: Mixture) -> str:
    low, high = mixed.flops_range
    flops = np.geomspace(low, high * 10.0**DECADES, PLACES)
    parts = mixed.parts(inputs.mixture_draws)
    drawn = np.concatenate([np.log(part.law.optima(part.rows, flops).loss) for part in parts])
    centre = np.nanmedian(drawn, axis=0)
    for level, shade in ((0.95, 0.12), (0.8, 0.22)):
        ends = _ends(mixed, drawn, flops, level) - centre
        axes.fill_between(
            flops,
            100.0 * np.expm1(ends[0]),
            100.0 * np.expm1(ends[1]),
            color=MIXTURE.colour,
            alpha=shade,
            lw=0,
            gid=f"mixture-band-{level:g}",
        )
    axes.axhline(0.0, color=MIXTURE.colour, lw=0.8)
    labels, words = [], []
    for member in mixed.members:
        if member.law is None:
            continue
        log_loss = np.log(member.law.optima(member.row, flops).loss[0])
        relative = 100.0 * np.expm1(log_loss - centre)
        axes.plot(
            flops,
            relative,
            color=COLOURS[member.approach],
            lw=1.4 if member.weight > 0.0 else 0.7,
            ls=style.dashed(DASHES[member.approach]),
            gid=f"loss-{member.approach}",
        )
        if np.isfinite(relative[-1]):
            labels.append((NAMES[member.approach], COLOURS[member.approach], float(relative[-1])))
            words.append(f"{NAMES[member.approach]} {relative[-1]:+.1f} %")
    axes.axvline(high, color=style.QUIET, lw=0.6, ls=(0, (1, 2)), zorder=1)
    style.log_axis(axes.xaxis)
    axes.set(xlabel=style.FLOPS, ylabel="Loss over the mixture’s, less 1 (%)")
    axes.set_title(f"b  Losses ahead, {DECADES:.0f} decades beyond the data")
    style.label_ends(axes, float(flops[-1]), labels)
    return f"{DECADES:.0f} decades beyond the data {', '.join(words)}."
