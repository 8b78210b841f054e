"""Saved figures: the same data give the same bytes, whatever matplotlib is set to."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib as mpl
import pytest
from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from isoflop.drawing import style, svg

if TYPE_CHECKING:
    from matplotlib.backend_bases import RendererBase


def drawn() -> Figure:
    with rc_context(style.RC):
        figure = style.new_figure(height=2.0)
        axes = figure.subplots()
        axes.plot([0.0, 1.0, 2.0], [3.0, 1.0, 2.0], marker="o")
        axes.set_title("a title")
    return figure


@pytest.mark.parametrize("salt", ["isoflop", None])
def test_the_same_data_give_the_same_bytes(tmp_path: Path, salt: str | None) -> None:
    style.register_fonts()
    expected, found = tmp_path / "expected", tmp_path / "found"
    with rc_context(style.RC):
        svg.save(drawn(), expected, "figure")
    with rc_context({"svg.hashsalt": salt, "svg.fonttype": "path"}):
        before = dict(mpl.rcParams)
        svg.save(drawn(), found, "figure")
        assert svg.inline(drawn(), "figure").startswith("<svg")
        assert dict(mpl.rcParams) == before
    for name in ("figure.svg", "figure.pdf"):
        assert (expected / name).read_bytes() == (found / name).read_bytes()


def test_a_figure_is_laid_out_once_and_drawn_for_each_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Savefig draws twice, and lays out anew, where a figure still has a layout engine."""
    style.register_fonts()
    engines, laid_out = [], []
    draw, lay_out = Figure.draw, ConstrainedLayoutEngine.execute

    def counted(figure: Figure, renderer: RendererBase) -> None:
        engines.append(figure.get_layout_engine())
        draw(figure, renderer)

    def counted_too(engine: ConstrainedLayoutEngine, figure: Figure) -> None:
        laid_out.append(figure)
        lay_out(engine, figure)

    monkeypatch.setattr(Figure, "draw", counted)
    monkeypatch.setattr(ConstrainedLayoutEngine, "execute", counted_too)
    svg.save(drawn(), tmp_path, "figure")
    assert len(laid_out) == 1
    assert engines == [None, None]


DRAWN_WITH_FONTS = """
import sys
from pathlib import Path
from matplotlib import rc_context
from matplotlib.font_manager import fontManager
from isoflop.drawing import style, svg
fontManager.ttflist[:] = [f for f in fontManager.ttflist if f.name not in {"Inter", "STIXGeneral"}]
for path in sorted(Path(sys.argv[1]).rglob("*.ttf")):
    fontManager.addfont(path)
with rc_context(style.RC):
    figure = style.new_figure(height=2.0)
    figure.subplots().set_title("loss against $N$")
    svg.save(figure, Path(sys.argv[1]), "figure")
"""


def test_where_the_fonts_lie_changes_no_byte(tmp_path: Path) -> None:
    """The environment, with matplotlib's fonts, lies before or behind our code in the alphabet."""
    fonts = [*style.FONTS.glob("Inter*.ttf"), *mpl_fonts("STIXGeneral*.ttf")]
    found = []
    for first, second in (("Inter", "STIX"), ("STIX", "Inter")):
        root = tmp_path / first
        for place, name in (("a", first), ("b", second)):
            (root / place).mkdir(parents=True)
            for font in fonts:
                if font.name.startswith(name):
                    shutil.copy(font, root / place)
        subprocess.run([sys.executable, "-c", DRAWN_WITH_FONTS, root], check=True)
        found.append((root / "figure.pdf").read_bytes())
    assert found[0].count(b"/FontDescriptor") >= 2
    assert found[0] == found[1]


def mpl_fonts(pattern: str) -> list[Path]:
    return sorted(Path(mpl.get_data_path()).rglob(pattern))
