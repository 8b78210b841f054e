"""A figure that has nothing to show says why, whatever the logs call things."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from matplotlib import rc_context

from isoflop.drawing import style
from isoflop.figures import plot_figures
from isoflop.figures.plot_figures import _placeholder
from isoflop.report.document import STAND_INS, Numbering

if TYPE_CHECKING:
    from pathlib import Path


def test_a_reason_with_characters_that_the_font_lacks_is_written() -> None:
    """A glyph that is missing is a warning, and a dollar sign alone would begin a formula."""
    style.register_fonts()
    with rc_context(style.RC):
        figure = _placeholder("no score of 扩展 قوانين $x").figure
        figure.canvas.draw()
    (text,) = figure.texts
    assert text.get_text() == r"no score of ?? ?????? \$x"


@pytest.mark.parametrize(("label", "some"), [("扩展", True), ("a/b é", False)])
def test_a_reader_is_told_of_question_marks_in_a_drawing(
    label: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, some: bool
) -> None:
    def draw(_: Any) -> style.Drawn:
        figure = style.new_figure(height=0.6)
        figure.text(0.1, 0.5, style.outside(label))
        return style.Drawn(figure, "A label.")

    monkeypatch.setitem(plot_figures.FIGURES, "probe", draw)
    style.outside("قوانين")  # of another figure
    inputs: Any = None
    shown = plot_figures.plot_figure("probe", inputs, tmp_path)
    assert shown.stand_ins is some
    of_report: Any = SimpleNamespace(manifest={"probe": shown})
    caption = Numbering(of_report).figure("probe", lambda: "What it shows.")
    assert (STAND_INS in caption) is some
