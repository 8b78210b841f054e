"""A figure that has nothing to show says why, whatever the logs call things."""

from __future__ import annotations

from matplotlib import rc_context

from isoflop.drawing import style
from isoflop.figures.plot_figures import _placeholder


def test_a_reason_with_characters_that_the_font_lacks_is_written() -> None:
    """A glyph that is missing is a warning, and a dollar sign alone would begin a formula."""
    style.register_fonts()
    with rc_context(style.RC):
        figure = _placeholder("no score of 扩展 قوانين $x").figure
        figure.canvas.draw()
    (text,) = figure.texts
    assert text.get_text() == r"no score of ?? ?????? \$x"
