"""The numbers of a figure, as a CSV file: all that is drawn, and what it says."""

from __future__ import annotations

import csv
import io
import math

import numpy as np
import pytest
from matplotlib import rc_context

from isoflop.drawing import style
from isoflop.drawing.data import COLUMNS, figure_csv


def read(figure: object) -> list[dict[str, str]]:
    text = figure_csv(figure)  # type: ignore[arg-type]
    assert text.splitlines()[0] == ",".join(COLUMNS)
    return list(csv.DictReader(io.StringIO(text)))


def numbers(row: dict[str, str]) -> list[float | None]:
    return [float(row[name]) if row[name] else None for name in ("x", "y", "x_to", "y_to")]


@pytest.fixture
def panels() -> object:
    with rc_context(style.RC):
        figure = style.new_figure(height=2.0)
        figure.subplots(1, 2, sharey=True)
    return figure


def test_lines_and_marks_give_every_digit_and_their_runs(panels) -> None:  # type: ignore[no-untyped-def]
    left, right = panels.axes
    left.set(xlabel="Compute $C$ (FLOPs)", ylabel=r"Exponent $\gamma$")
    (curve,) = left.plot([1.0, 2.0, np.nan, 3.0], [0.1 + 0.2, 1e-7, np.nan, -0.0], gid="curve")
    style.name_runs(curve, ["=run()"])
    marks = right.scatter([1e21, 2e21], [3.0, 4.0], gid="marks")
    style.name_runs(marks, ["a", "b"])
    right.plot([7.0], [8.0])  # a guide
    rows = read(panels)
    assert [(row["panel"], row["series"], row["run"]) for row in rows] == [
        ("1", "curve", "'=run()"),
        ("1", "curve", "'=run()"),
        ("1", "curve", "'=run()"),
        ("2", "marks", "a"),
        ("2", "marks", "b"),
    ]
    assert [numbers(row)[:2] for row in rows] == [
        [1.0, 0.1 + 0.2], [2.0, 1e-7], [3.0, 0.0], [1e21, 3.0], [2e21, 4.0],
    ]  # fmt: skip
    assert math.copysign(1.0, float(rows[2]["y"])) == 1.0
    # the right panel shares y with the left one, which alone says what it is
    assert {(row["x_axis"], row["y_axis"]) for row in rows} == {
        ("Compute C (FLOPs)", "Exponent gamma"),
        ("", "Exponent gamma"),
    }


def test_bands_errors_and_lines_across_have_both_ends(panels) -> None:  # type: ignore[no-untyped-def]
    left, right = panels.axes
    low, high = np.array([1.0, 2.0, 1.5]), np.array([5.0, 4.0, 6.0])
    left.fill_between([10.0, 20.0, 30.0], low, high, gid="band")
    left.fill_between([1.0, 2.0, 3.0, 4.0, 5.0], [0.0, 0.0, np.nan, 1.0, 1.0], 2.0, gid="parted")
    right.errorbar([1.0, 2.0], [3.0, 4.0], yerr=[0.5, 0.25], fmt="s", gid="means")
    right.axhline(0.5, gid="at-a-half")
    right.axvline(9.0, gid="at-nine")
    rows = {}
    for row in read(panels):
        rows.setdefault(row["series"], []).append(numbers(row))
    assert rows["band"] == [
        [10.0, 1.0, None, 5.0],
        [20.0, 2.0, None, 4.0],
        [30.0, 1.5, None, 6.0],
    ]
    assert [(x, y, to) for x, y, _, to in rows["parted"]] == [
        (1.0, 0.0, 2.0), (2.0, 0.0, 2.0), (4.0, 1.0, 2.0), (5.0, 1.0, 2.0),
    ]  # fmt: skip
    assert [1.0, 2.5, 1.0, 3.5] in rows["means"]
    assert [2.0, 4.0, None, None] in rows["means"]
    assert rows["at-a-half"] == [[None, 0.5, None, None]]
    assert rows["at-nine"] == [[9.0, None, None, None]]


def test_contours_say_their_level_and_bars_of_colour_are_no_panel(panels) -> None:  # type: ignore[no-untyped-def]
    left, _ = panels.axes
    x = np.linspace(0.0, 1.0, 5)
    lines = left.contour(x, x, np.add.outer(x, x), levels=[0.5, 1.25])
    lines.set_gid("contours")
    saddle = left.contour(x - 0.5, x - 0.5, np.multiply.outer(x - 0.5, x - 0.5), levels=[0.1])
    saddle.set_gid("saddle")
    panels.colorbar(lines, ax=left)
    rows = read(panels)
    assert {row["series"] for row in rows} == {"contours-0.5", "contours-1.25", "saddle-0.1"}
    # both of its branches
    assert {float(row["x"]) > 0.0 for row in rows if row["series"] == "saddle-0.1"} == {True, False}
    for row in rows:
        if row["series"] == "saddle-0.1":
            continue
        level = float(row["series"].removeprefix("contours-"))
        assert float(row["x"]) + float(row["y"]) == pytest.approx(level)


def test_what_has_no_numbers_to_be_read_is_no_empty_file(panels) -> None:  # type: ignore[no-untyped-def]
    left, _ = panels.axes
    left.pcolormesh(np.eye(2), gid="mesh")
    with pytest.raises(TypeError, match="mesh: no numbers are read from a QuadMesh"):
        figure_csv(panels)


def test_every_panel_has_its_numbers() -> None:
    with rc_context(style.RC):
        figure = style.new_figure(height=2.0)
        for number, axes in enumerate(figure.subplots(2, 3).flat):
            axes.plot([float(number)], [1.0], gid="mark")
    shown = [(row["panel"], float(row["x"])) for row in read(figure)]
    assert shown == [(str(number + 1), float(number)) for number in range(6)]
