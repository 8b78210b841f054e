"""What is done once while a figure is drawn changes no byte of it."""

from __future__ import annotations

from contextlib import nullcontext
from threading import Thread
from typing import TYPE_CHECKING, Any

from matplotlib import rc_context
from matplotlib.axis import Axis
from matplotlib.font_manager import FontManager
from matplotlib.mathtext import MathTextParser

from isoflop.drawing import once as room
from isoflop.drawing import style, svg

if TYPE_CHECKING:
    from pathlib import Path

    import pytest
    from matplotlib.figure import Figure


def drawn() -> Figure:
    """Draw axes of two sizes that share one axis, with decades, plain ticks and a formula."""
    style.register_fonts()
    with rc_context(style.RC):
        figure = style.new_figure(height=2.0)
        left, right = figure.subplots(1, 2, sharey=True, width_ratios=(1, 3))
        left.loglog([1.0, 1e3], [1.0, 1e9])
        right.plot([-1.0, 0.5], [1e2, 1e4])
        right.set_xlabel(r"$\alpha$ and $N^{0.5}$")
        left.set_title("not a formula")
        return figure


def test_it_changes_no_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(2):  # the second time by formulas that were kept
        svg.save(drawn(), tmp_path, "figure")
    quick = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    monkeypatch.setattr(svg, "once", nullcontext)
    svg.save(drawn(), tmp_path, "figure")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == quick
    assert set(quick) == {"figure.svg", "figure.pdf"}


def test_no_tick_or_formula_is_found_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    formulas: list[object] = []
    updates: list[object] = []
    parse: Any = MathTextParser.parse
    update: Any = Axis._update_ticks  # type: ignore[attr-defined]

    def counted(parser: Any, s: str, dpi: float, prop: Any) -> Any:
        formulas.append((s, prop.get_size()))
        return parse(parser, s, dpi, prop)

    def counted_too(axis: Any) -> Any:
        updates.append(axis)
        return update(axis)

    monkeypatch.setattr(MathTextParser, "parse", counted)
    monkeypatch.setattr(Axis, "_update_ticks", counted_too)
    room._FORMULAS.clear()
    figure = drawn()
    svg.save(figure, tmp_path, "figure")
    assert len(formulas) == len(set(formulas)) > 1
    # for the layout's two looks, and for each file
    assert max(updates.count(axis) for axes in figure.axes for axis in axes._axis_map.values()) <= 4
    before = len(formulas)
    svg.save(drawn(), tmp_path, "figure")
    assert len(formulas) == before


def test_other_threads_and_the_time_after_see_nothing_of_it() -> None:
    originals = (Axis.__dict__["_update_ticks"], FontManager.findfont, MathTextParser.parse)
    figure = drawn()
    axis: Any = figure.axes[1].xaxis
    seen = []
    with room.once():
        assert axis._update_ticks() is axis._update_ticks()
        other = Thread(target=lambda: seen.append(axis._update_ticks() is axis._update_ticks()))
        other.start()
        other.join()
    assert seen == [False]
    assert (Axis.__dict__["_update_ticks"], FontManager.findfont, MathTextParser.parse) == originals


def test_formulas_that_are_kept_are_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "MOST_FORMULAS", 3)
    room._FORMULAS.clear()
    svg.save(drawn(), tmp_path, "figure")
    assert len(room._FORMULAS) <= 3
