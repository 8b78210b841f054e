"""In print grey every series is still told from every other, and text on white can be read."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from matplotlib import rc_context
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


def figure_of(name: str, inputs: FigureInputs) -> Figure:
    """Draw a figure; a test of one that has nothing to show is skipped."""
    style.register_fonts()
    with rc_context(style.RC):
        drawn = FIGURES[name](inputs)
    if isinstance(drawn, style.NothingToShow):
        pytest.skip(drawn.reason)
    return drawn.figure


@pytest.mark.parametrize("name", FIGURES)
def test_every_pair_of_series_is_told_apart_in_grey(name: str, inputs: FigureInputs) -> None:
    figure = figure_of(name, inputs)
    for place, axes in enumerate(figure.axes):
        if BY_ROW.get(name) != place:
            assert alike(axes) == [], (name, place)


@pytest.mark.parametrize("name", FIGURES)
def test_every_text_can_be_read_on_white(name: str, inputs: FigureInputs) -> None:
    figure = figure_of(name, inputs)
    texts = [text for text in figure.findobj(Text) if text.get_text() and text.get_visible()]
    assert len(texts) > 5
    for text in texts:
        contrast = 1.05 / (luminance(text.get_color()) + 0.05)
        assert contrast >= CONTRAST, (text.get_text(), text.get_color(), contrast)


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
