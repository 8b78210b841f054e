"""In print grey series are told apart, text on white can be read, none is cut or over a mark."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from matplotlib import rc_context
from matplotlib.collections import PathCollection
from matplotlib.colors import to_rgb
from matplotlib.text import Text

from isoflop.approach import ANSWERS, APPROACHES, LAWS
from isoflop.drawing import style
from isoflop.figures.plot_figures import FIGURES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    from isoflop.figures.inputs import FigureInputs

GREY = 0.15
"""Least difference of relative luminance that tells two lines apart by itself."""
LONGER = 1.5
"""Least ratio of the longest strokes of two dashed lines with as many strokes."""
CONTRAST = 4.5
BY_ROW = {"specifications": 1}
"""Axes of a figure whose rows say which series a stroke is of."""


def luminance(colour: Any) -> float:
    """Give the relative luminance of a colour (WCAG 2)."""
    channels = np.array(to_rgb(colour))
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def unlike(first: tuple[float, ...], second: tuple[float, ...]) -> bool:
    """Tell whether the eye tells two patterns of dashes apart."""
    if len(first) != len(second):
        return True
    if not first:
        return False
    short, long = sorted((max(first[::2]), max(second[::2])))
    return long >= LONGER * short


def ordered(colour: Any) -> bool:
    """Tell whether a colour is of the scale that runs from dark to bright by a number."""
    scale = style.sequential()(np.linspace(0.0, 1.0, 400))[:, :3]
    return bool(np.abs(scale - to_rgb(colour)).max(axis=1).min() < 0.01)


def series(axes: Axes) -> dict[Any, tuple[set[tuple[float, ...]], set[str]]]:
    """Collect the dashes and the markers of each colour."""
    found: dict[Any, tuple[set[tuple[float, ...]], set[str]]] = {}
    for line in axes.lines:
        drawn = line.get_linestyle() not in {"None", "", " "} and len(line.get_xdata()) > 1
        marked = line.get_marker() not in {"None", "", " ", None}
        if not (drawn or marked):
            continue
        colour = to_rgb(line.get_color() if drawn else _face(line))
        if ordered(colour):
            continue
        dashes, markers = found.setdefault(colour, (set(), set()))
        if drawn:
            dashes.add(tuple(line._unscaled_dash_pattern[1] or ()))
        if marked:
            markers.add(str(line.get_marker()))
    return found


def _face(line: Line2D) -> Any:
    face = line.get_markerfacecolor()
    hollow = isinstance(face, str) and face.lower() == "none"
    return line.get_markeredgecolor() if hollow else face


def alike(axes: Axes) -> list[tuple[Any, Any]]:
    """List the pairs of series that colour alone tells apart."""
    return [
        (first, second)
        for (first, (dashes, markers)), (second, (others, marks)) in combinations(
            series(axes).items(), 2
        )
        if abs(luminance(first) - luminance(second)) < GREY
        and markers == marks
        and not any(unlike(a, b) for a in dashes for b in others)
    ]


@pytest.fixture(scope="module", params=FIGURES)
def drawn(request: pytest.FixtureRequest, inputs: FigureInputs) -> tuple[str, Figure]:
    """Draw a figure; the tests of one that has nothing to show are skipped."""
    style.register_fonts()
    with rc_context(style.RC):
        drawn = FIGURES[request.param](inputs)
    if isinstance(drawn, style.NothingToShow):
        pytest.skip(drawn.reason)
    return request.param, drawn.figure


def test_every_pair_of_series_is_told_apart_in_grey(drawn: tuple[str, Figure]) -> None:
    name, figure = drawn
    for place, axes in enumerate(figure.axes):
        if BY_ROW.get(name) != place:
            assert alike(axes) == [], (name, place)


def test_every_text_can_be_read_on_white(drawn: tuple[str, Figure]) -> None:
    _, figure = drawn
    texts = [text for text in figure.findobj(Text) if text.get_text() and text.get_visible()]
    assert len(texts) > 4
    for text in texts:
        contrast = 1.05 / (luminance(text.get_color()) + 0.05)
        assert contrast >= CONTRAST, (text.get_text(), text.get_color(), contrast)


def boxes(figure: Figure) -> list[tuple[Text, Any]]:
    """List the texts that are drawn, ticks aside, with their boxes."""
    figure.draw_without_rendering()
    ticks = {
        id(label)
        for axes in figure.axes
        for axis in (axes.xaxis, axes.yaxis)
        for label in [*axis.get_ticklabels(), *axis.get_ticklabels(minor=True)]
    }
    drawn = [
        text
        for text in figure.findobj(Text)
        if text.get_text().strip() and text.get_visible() and id(text) not in ticks
    ]
    return [(text, text.get_window_extent()) for text in drawn]


def marks(axes: Axes) -> Any:
    """Give the middles of all marks of a panel, (marks, 2)."""
    places = [
        line.get_transform().transform(np.column_stack(line.get_data()).astype(np.float64))
        for line in axes.lines
        if line.get_marker() not in {"None", "", " ", None}
    ]
    for marked in axes.collections:
        if isinstance(marked, PathCollection):
            offsets = np.asarray(marked.get_offsets(), dtype=np.float64)
            places.append(marked.get_offset_transform().transform(offsets))
    return np.concatenate([np.empty((0, 2)), *places])


def misplaced(figure: Figure) -> list[str]:
    """Name the texts that are cut at the figure's edge, or stand over a mark."""
    found = []
    whole = figure.bbox
    for text, box in boxes(figure):
        inside = whole.x0 - 1 <= box.x0 and box.x1 <= whole.x1 + 1
        if not (inside and whole.y0 - 1 <= box.y0 and box.y1 <= whole.y1 + 1):
            found.append(f"{text.get_text()} is cut")
        if text.axes is None:
            continue
        over = box.count_contains(marks(text.axes))
        if over:
            found.append(f"{text.get_text()} is over {over} marks")
    return found


def test_no_text_is_cut_or_over_a_mark(drawn: tuple[str, Figure]) -> None:
    _, figure = drawn
    assert misplaced(figure) == []


def test_a_cut_text_and_one_over_a_mark_are_noticed() -> None:
    with rc_context(style.RC):
        figure = style.new_figure(height=2.0)
        axes = figure.subplots()
        axes.plot([0, 1], [0, 1], marker="o", ls="")
        axes.text(0.98, 0.98, "here", ha="center")
        figure.text(0.99, 0.5, "too long for this place")
    assert misplaced(figure) == ["here is over 1 marks", "too long for this place is cut"]


def test_lines_of_one_look_are_noticed() -> None:
    with rc_context(style.RC):
        axes = style.new_figure(height=2.0).subplots()
        axes.plot([1, 2], [1, 2], color="#0072b2")
        axes.plot([1, 2], [1, 3], color="#c04e00")
        assert len(alike(axes)) == 1
        axes.lines[0].set_dashes((4, 2))
        assert alike(axes) == []
        axes.lines[1].set_dashes((5, 2))
        assert len(alike(axes)) == 1


@pytest.mark.parametrize("keys", [APPROACHES, LAWS], ids=["approaches", "laws"])
def test_dashes_of_the_registry_are_told_apart(keys: tuple[str, ...]) -> None:
    for first, second in combinations(keys, 2):
        assert unlike(ANSWERS[first].dashes, ANSWERS[second].dashes), (first, second)


def test_the_scale_runs_from_dark_to_bright() -> None:
    steps = [luminance(colour) for colour in style.sequential()(np.linspace(0.0, 1.0, 20))]
    assert min(np.diff(steps)) > 0.0
    assert steps[-1] - steps[0] > 3 * GREY


@pytest.mark.parametrize("key", ANSWERS)
def test_text_in_a_colour_can_be_read_on_white(key: str) -> None:
    assert 1.05 / (luminance(ANSWERS[key].colour) + 0.05) >= CONTRAST
