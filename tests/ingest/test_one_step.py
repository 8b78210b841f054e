"""Rows of a table that give one step of a run two losses: none is dropped without a word."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from isoflop.ingest.sweep import EmptySweepError
from tests.ingest.samples import ingest, row

if TYPE_CHECKING:
    from pathlib import Path

KNOWN = (
    "title: t\n"
    "facts: {params: {total: 70e6}, tokens_per_step: 524288, schedule: {kind: constant}}\n"
)
STEPS = range(0, 1000, 100)


def lines(head: str, *rows: tuple[object, ...]) -> str:
    return "".join(f"{','.join(map(str, each))}\n" for each in [(head,), *rows])


def twice(*beside: tuple[object, ...]) -> list[tuple[object, ...]]:
    """Two curves whose rows take turns, each with a cell of its own behind step and loss."""
    return [
        (step, 5 - place - step / 1e3, *cells)
        for step in STEPS
        for place, cells in enumerate(beside)
    ]


def refused(folder: Path, text: str) -> str:
    with pytest.raises(EmptySweepError) as caught:
        ingest(folder, {"t.csv": text}, KNOWN)
    return str(caught.value)


def test_rows_of_one_step_that_differ_are_refused_by_their_numbers(tmp_path: Path) -> None:
    words = refused(tmp_path / "s", lines("step,loss", *twice((), ())))
    assert "10 steps have rows with different losses, first step 0 (5 in row 1 and 4 in row 2)" in (
        words
    )
    assert "table.columns.run" in words
    # curves whose steps are not even the same take turns all the same
    shifted = [(step - 40 * (place % 2), loss) for place, (step, loss) in enumerate(twice((), ()))]
    words = refused(tmp_path / "t", lines("step,loss", *shifted[2:], *twice((), ())[-3:]))
    assert "different losses" in words


@pytest.mark.parametrize("head", ["step,loss,seed", "step,loss,seed,run"])
def test_the_column_that_tells_them_apart_is_proposed_and_reads_them(
    tmp_path: Path, head: str
) -> None:
    named = ("x",) * head.endswith("run")
    text = lines(head, *twice((1, *named), (2, *named)))
    words = refused(tmp_path / "s", text)
    proposed = re.search(r"^ *(table: .*)$", words, re.MULTILINE)
    assert proposed is not None
    tables = ingest(tmp_path / "t", {"t.csv": text}, f"{KNOWN}{proposed[1]}\n")
    last = tables.curves.filter(step=900).sort("run")
    assert last["train_loss"].to_list() == [4.1, 3.1]
    assert last["run"].to_list() == (["x-1", "x-2"] if named else ["1", "2"])


def test_a_run_with_such_rows_is_left_out_and_the_others_are_read(tmp_path: Path) -> None:
    text = lines("step,loss,run", *twice(("a",), ("a",)), *twice(("b",)))
    tables = ingest(tmp_path / "s", {"t.csv": text}, KNOWN)
    left = row(tables.runs, "run", "a")
    assert left["excluded"]
    assert "run 'a': 10 steps have rows with different losses" in left["reason"]
    assert not row(tables.runs, "run", "b")["excluded"]


@pytest.mark.parametrize("column", ["rank", "_step"])
def test_rows_that_one_run_s_processes_wrote_count_once_and_are_told_of(
    tmp_path: Path, column: str
) -> None:
    counts = iter(range(100))
    rows = [(*each, next(counts)) for each in twice((), ())]
    tables = ingest(tmp_path / "s", {"t.csv": lines(f"step,loss,{column}", *rows)}, KNOWN)
    assert tables.curves["train_loss"].to_list() == [5 - step / 1e3 for step in STEPS]
    file = row(tables.files, "path", "t.csv")
    assert f"of steps that other rows of their run have, by their '{column}'" in file["reason"]
    assert file["rows_left_out"] == 10


def test_rows_that_a_restart_makes_anew_are_counted(tmp_path: Path) -> None:
    rows = [*twice(())[:6], *((step, loss - 0.01) for step, loss in twice(())[4:])]
    text = lines("step,loss", *rows)
    tables = ingest(tmp_path / "s", {"t.csv": text}, KNOWN)
    assert tables.curves["superseded"].sum() == 2
    reason = row(tables.files, "path", "t.csv")["reason"]
    assert "2 rows replaced by later ones, which make their steps anew: restarts" in reason


def test_rows_that_say_the_same_are_one(tmp_path: Path) -> None:
    records = [{"step": step, "loss": loss} for step, loss in twice(()) for _ in range(2)]
    text = "".join(f"{json.dumps(each)}\n" for each in records)
    tables = ingest(tmp_path / "s", {"t.jsonl": text}, KNOWN)
    assert tables.curves.height == len(STEPS)


def test_rows_in_order_of_steps_with_times_of_a_restart_are_one_run(tmp_path: Path) -> None:
    first = [(step, loss, 1.7e9 + step) for step, loss in twice(())[:6]]
    anew = [(step, loss - 0.5, 1.7e9 + 5000 + step) for step, loss in twice(())[3:]]
    rows = sorted([*first, *anew])
    tables = ingest(tmp_path / "s", {"t.csv": lines("step,loss,_timestamp", *rows)}, KNOWN)
    curve = tables.curves.filter(~tables.curves["superseded"]).sort("step")
    assert curve["train_loss"].to_list() == pytest.approx(
        [5 - step / 1e3 - 0.5 * (step >= 300) for step in STEPS]
    )
    reason = row(tables.files, "path", "t.csv")["reason"]
    assert "its rows were put in the order of '_timestamp'" in reason
    # two runs at once have times, too
    rows = [(step, loss, 1.7e9 + place) for place, (step, loss) in enumerate(twice((), ()))]
    words = refused(tmp_path / "t", lines("step,loss,_timestamp", *rows))
    assert "10 steps have rows with different losses" in words
