"""The specification curve: one stroke per fitted specification, and the reason where none is."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from matplotlib import rc_context

from isoflop.approach import MARKERS
from isoflop.drawing import style
from isoflop.figures.plot_figures import plot_figure
from isoflop.figures.specifications import draw
from tests import example_sweep

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes

    from isoflop.figures.inputs import FigureInputs


def drawn(
    inputs: FigureInputs, table: pl.DataFrame | None = None
) -> tuple[style.Drawn, list[Axes]]:
    if table is not None:
        inputs = replace(inputs, specifications=table)
    style.register_fonts()
    with rc_context(style.RC):
        found = draw(inputs)
    assert isinstance(found, style.Drawn)
    return found, found.figure.axes


def strokes(axes: Axes, height: float) -> int:
    """Count the strokes of one row of the matrix."""
    found = 0
    for line in axes.lines:
        y = np.asarray(line.get_ydata(), dtype=np.float64)
        if len(y) % 3 == 0 and len(y):
            found += int(np.isclose(y[0::3], height - 0.4).sum())
    return found


def test_the_curve_is_sorted_and_names_the_papers(inputs: FigureInputs) -> None:
    table = inputs.specifications
    _, (above, _) = drawn(inputs)
    (points,) = above.collections
    assert points.get_offsets()[:, 1].tolist() == sorted(table["a"])
    said = {text.get_text() for text in above.texts}
    assert said == {"Kaplan 0.73", "Hoffmann 0.50"}
    low, high = above.get_ylim()
    assert low < min(table["a"])
    assert high > 0.73
    marks = [line.get_marker() for line in above.lines]
    assert sum(marker in MARKERS.values() for marker in marks) == 4


def test_every_row_of_the_matrix_marks_its_own(inputs: FigureInputs) -> None:
    table = inputs.specifications
    _, (_, below) = drawn(inputs)
    rows = {
        label.get_text(): height
        for label, height in zip(below.get_yticklabels(), below.get_yticks(), strict=True)
    }
    assert strokes(below, rows["1 Envelope"]) == table.filter(approach="envelope").height
    assert strokes(below, rows["training loss"]) == table.filter(loss="train").height
    assert strokes(below, rows["total $N$, $C$ = 6$ND$"]) == table.filter(params="total").height
    # a choice with one level has no row
    assert "equal weights" not in rows


def test_what_was_refused_is_counted_and_not_drawn(tmp_path: Path, inputs: FigureInputs) -> None:
    table = example_sweep.write(tmp_path, refuse=("profiles",)).figure_inputs().specifications
    found, (above, below) = drawn(inputs, table)
    assert "4 more were refused." in found.alt
    assert len(above.collections[0].get_offsets()) == table["a"].count()
    assert "2 Profiles" not in {label.get_text() for label in below.get_yticklabels()}


def test_without_intervals_the_estimates_remain(inputs: FigureInputs) -> None:
    ends = [f"a_{end}{level}" for end in ("lo", "hi") for level in (80, 95)]
    table = inputs.specifications.with_columns(pl.lit(None, pl.Float64).alias(n) for n in ends)
    _, (above, _) = drawn(inputs, table)
    assert len(above.collections[0].get_offsets()) == table.height


def test_a_sweep_that_allows_none_says_why(tmp_path: Path) -> None:
    every = ("envelope", "profiles", "parametric", "kaplan")
    inputs = example_sweep.write(tmp_path, refuse=every).figure_inputs()
    said = plot_figure("specifications", inputs, tmp_path)
    assert not said.shown
    assert "Not one of 14 specifications" in said.reason
    assert "needs 3 budgets" in said.reason
    assert (tmp_path / "specifications.svg").exists()
