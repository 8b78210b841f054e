"""Saved figures: the same data give the same bytes, whatever matplotlib is set to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib as mpl
import pytest
from matplotlib import rc_context

from isoflop.drawing import style, svg

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.figure import Figure


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
