"""Does it forecast? Fits below a cut, and how far off they are above it."""

from __future__ import annotations

from operator import sub, truediv
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from isoflop.approach import APPROACHES, COLOURS, MARKERS, NAMES
from isoflop.drawing import style
from isoflop.drawing.forest import Mark, draw_mark
from isoflop.estimates.forecasts import NoForecasts
from isoflop.numbers import MATHTEXT, PLAIN, number_of, power, short

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from numpy.typing import NDArray

    from isoflop.approach import Approach
    from isoflop.estimates.forecasts import Cut, Forecast, Prediction, Score
    from isoflop.figures.inputs import FigureInputs

    Floats = NDArray[np.float64]

MOST_CUTS: Final = 3
"""Columns that a page has room for."""
LAWS: Final[tuple[Approach, ...]] = ("parametric", "kaplan")
"""Approaches that predict the loss of a run."""
FEW_BUDGETS: Final = 3
"""Budgets whose names fit under a panel."""
SIZE: Final = 0.8
"""Of the marks, beside those of a figure with few."""
SAME: Final = 0.02
"""Decades within which runs stand at the same C, and are moved apart."""


def draw(inputs: FigureInputs) -> style.Drawn | style.NothingToShow:
    """Plot the errors of run losses by both laws, and N_opt over the measured minima."""
    forecasts = inputs.forecasts
    if isinstance(forecasts, NoForecasts):
        return style.NothingToShow(forecasts.refused)
    if not any(forecast.scores for cut in forecasts.cuts for forecast in cut.forecasts):
        reasons = {forecast.refused for forecast in forecasts.cuts[-1].forecasts}
        return style.NothingToShow(" ".join(sorted(reason for reason in reasons if reason)))
    cuts = _shown(forecasts.cuts)
    figure = style.new_figure(height=4.4)
    panels = figure.subplots(3, len(cuts), squeeze=False, sharex="col", sharey="row")
    scale = _scale(cuts)
    for column, cut in enumerate(cuts):
        for row, approach in enumerate(LAWS):
            _errors(panels[row, column], _of(cut, approach), scale)
        _ratios(panels[2, column], cut)
        title = f"{chr(97 + column)}  Fitted up to {power(cut.flops, hand=MATHTEXT)}"
        panels[0, column].set_title(title)
        _flops_axis(panels[2, column], cut)
    _label(list(panels[:, 0]))
    if scale is not None:
        _size_bar(list(panels[:2, -1]), scale)
    return style.Drawn(figure, _words(cuts, len(forecasts.cuts)))


def _shown(cuts: Sequence[Cut]) -> list[Cut]:
    """Choose the cuts that are drawn: all, or evenly from the lowest to the highest."""
    places = np.linspace(0, len(cuts) - 1, min(len(cuts), MOST_CUTS)).round()
    return [cuts[int(place)] for place in places]


def _of(cut: Cut, approach: Approach) -> Forecast:
    return cut.forecast(approach)


def _scale(cuts: Sequence[Cut]) -> ScalarMappable | None:
    """Map the sizes of all runs to colours; None where no loss of a run is predicted."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import LogNorm

    scores = [_of(cut, approach).score("loss") for cut in cuts for approach in LAWS]
    sizes = [p.params for score in scores if score is not None for p in score.predictions]
    if not sizes:
        return None
    return ScalarMappable(LogNorm(min(sizes), max(sizes)), style.sequential())


def _errors(axes: Axes, forecast: Forecast, scale: ScalarMappable | None) -> None:
    """Plot predicted less measured loss of every run, with its intervals."""
    axes.axhline(0.0, color=style.INK, lw=0.6, zorder=2)
    score = forecast.score("loss")
    if score is None or scale is None:
        _refused(axes, forecast.approach)
        return
    predictions = score.predictions
    colours = scale.to_rgba(np.array([prediction.params for prediction in predictions]))
    places = _moved_apart(predictions)
    for prediction, x, colour in zip(predictions, places, colours, strict=True):
        mark = _mark(prediction, sub, colour, MARKERS[forecast.approach])
        draw_mark(axes, x, mark, upright=True, size=SIZE, gid=f"error-{forecast.approach}")


def _ratios(axes: Axes, cut: Cut) -> None:
    """Plot predicted over measured N_opt of every budget, with its intervals."""
    axes.axhline(1.0, color=style.INK, lw=0.6, zorder=2)
    forecasts = cut.among(APPROACHES)
    pairs = [(forecast, forecast.score("params_opt")) for forecast in forecasts]
    scored = [(forecast.approach, score) for forecast, score in pairs if score is not None]
    reach = max((s.decades[1] for f in forecasts for s in f.scores), default=1.0)
    for rank, (approach, score) in enumerate(scored):
        for prediction in score.predictions:
            apart = 0.05 * reach * (rank - 0.5 * (len(scored) - 1))
            mark = _mark(prediction, truediv, COLOURS[approach], MARKERS[approach])
            place = prediction.flops * 10.0**apart
            draw_mark(axes, place, mark, upright=True, size=SIZE, gid=f"ratio-{approach}")
    if not scored:
        _refused(axes, None)


def _mark(
    prediction: Prediction, beside: Callable[[float, float], float], colour: Any, marker: str
) -> Mark:
    """Give a prediction with its intervals, less or over what was measured."""
    measured = prediction.measured
    ends = {
        level: (beside(low, measured), beside(high, measured))
        for level, (low, high) in prediction.intervals.items()
    }
    return Mark(
        beside(prediction.predicted, measured),
        colour,
        marker,
        thick=ends.get("0.8"),
        thin=ends.get("0.95"),
        filled=prediction.role != "check",
    )


def _moved_apart(predictions: Sequence[Prediction]) -> Floats:
    """Give each run's C, runs at the same C moved apart in the order of their sizes."""
    logs = np.log10([prediction.flops for prediction in predictions])
    sizes = np.array([prediction.params for prediction in predictions])
    step = 0.016 * max(float(np.ptp(logs)), 0.3)
    order = np.argsort(logs, kind="stable")
    moved = logs.copy()
    starts = np.flatnonzero(np.diff(logs[order], prepend=-np.inf) > SAME)
    for members in np.split(order, starts[1:]):
        ranked = members[np.argsort(sizes[members], kind="stable")]
        offsets = step * (np.arange(len(ranked)) - 0.5 * (len(ranked) - 1))
        moved[ranked] = logs[members].mean() + offsets
    return np.asarray(10.0**moved)


def _refused(axes: Axes, approach: str | None) -> None:
    """Say in an empty panel that there is nothing; the report's table gives the reason."""
    who = "no approach" if approach is None else f"{NAMES[approach]}: none"
    axes.text(
        0.5,
        0.5,
        f"{who} at this cut",
        transform=axes.transAxes,
        ha="center",
        color=style.QUIET,
        fontsize=style.SMALL,
    )


def _flops_axis(axes: Axes, cut: Cut) -> None:
    """Name the budgets beyond the cut; only the decades where there are many."""
    from matplotlib.ticker import FixedLocator, FuncFormatter

    axes.set_xlabel(style.FLOPS)
    style.log_axis(axes.xaxis)
    if len(cut.budgets_above) > FEW_BUDGETS:
        return
    low, high = np.log10(axes.get_xlim())
    decades = 10.0 ** np.arange(np.ceil(low), np.floor(high) + 1.0)
    axes.xaxis.set_major_locator(FixedLocator(sorted({*cut.budgets_above, *decades})))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: power(value, 2, hand=MATHTEXT)))


def _label(panels: Sequence[Axes]) -> None:
    """Name the rows, and the marks of the last one."""
    from matplotlib.lines import Line2D

    for axes, approach in zip(panels, LAWS, strict=False):
        axes.set_ylabel(f"{NAMES[approach]}:\nerror of $L$ (nats)")
    last = panels[-1]
    last.set_ylabel("Predicted over\nmeasured $N_{\\rm opt}$")
    style.plain_log_axis(last.yaxis, *last.get_ylim())
    marks = [
        Line2D([], [], ls="", marker=MARKERS[name], color=COLOURS[name], ms=4, label=NAMES[name])
        for name in APPROACHES
        if name != "kaplan"
    ]
    last.figure.legend(handles=marks, loc="outside lower center", ncols=len(marks))


def _size_bar(panels: list[Axes], scale: ScalarMappable) -> None:
    """Say what the colours mean."""
    from matplotlib.ticker import FuncFormatter, LogLocator

    bar = panels[0].figure.colorbar(scale, ax=panels, aspect=40, pad=0.02)
    bar.set_label("Parameters $N$ of the run", size=style.SMALL, labelpad=2)
    bar.ax.yaxis.set_major_locator(LogLocator(subs=(1.0, 3.0)))
    bar.ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: short(value)))
    bar.ax.minorticks_off()
    bar.outline.set_visible(False)


def _words(cuts: Sequence[Cut], number: int) -> str:
    """Say the errors in words."""
    told = [
        f"fitted up to {power(cut.flops, hand=PLAIN)} FLOPs, {NAMES[approach]} errs by "
        f"{score.bias:+.3f} nats on average over {number_of(score.n, 'run')}"
        for cut in cuts
        for approach in LAWS
        if (score := _of(cut, approach).score("loss")) is not None
    ]
    sizes = [
        f"{NAMES[forecast.approach]} {_factor(score)}"
        for forecast in cuts[-1].among(APPROACHES)
        if (score := forecast.score("params_opt")) is not None
    ]
    drawn = f"{len(cuts)} of {number} cuts" if len(cuts) < number else "each cut"
    return (
        f"A column of panels for {drawn} in compute. Above, the errors of the predicted losses of "
        f"the runs beyond it, with 80 % and 95 % intervals: {'; '.join(told) or 'none'}. Below, "
        "predicted over measured optimal parameters; mean factor at the last cut: "
        f"{', '.join(sizes) or 'none'}."
    )


def _factor(score: Score) -> str:
    return f"{np.exp(score.bias):.2f}"
