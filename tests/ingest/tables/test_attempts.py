"""Blocks of a table's rows that begin anew: restarts, dead starts, counters set to 0, and runs."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

import polars as pl
import pytest

from isoflop.ingest.sweep import EmptySweepError
from tests.ingest.samples import ingest, row

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

KNOWN = (
    "title: t\nfacts: {params: {total: 70e6}, tokens_per_step: 1000, schedule: {kind: constant}}\n"
)
LAST = 2000


def rate(step: int, *, peak: float = 1e-3, warmup: int = 100, last: int = LAST) -> float:
    if step < warmup:
        return peak * step / warmup
    return peak * (0.1 + 0.45 * (1 + math.cos(math.pi * step / last)))


def rows(steps: Iterable[int], off: float = 0.0, **schedule: float) -> list[list[object]]:
    """Of each step, its loss and its learning rate."""
    return [
        [step, round(2 + 3 * (step + 50) ** -0.25 + off, 4), f"{rate(step, **schedule):.8f}"]  # type: ignore[arg-type]
        for step in steps
    ]


def text(head: str, *parts: list[list[object]]) -> str:
    told = [each for part in parts for each in part]
    return "".join(f"{','.join(map(str, each))}\n" for each in [[head], *told])


WHOLE = range(50, LAST + 1, 50)
START = range(50, 350, 50)


@pytest.mark.parametrize("column", ["lr", "peak"])
@pytest.mark.parametrize("peak", [5e-4, 2e-3])
def test_a_dead_start_with_another_rate_is_no_run(tmp_path: Path, column: str, peak: float) -> None:
    dead, whole = rows(START, 0.01, peak=peak), rows(WHOLE)
    head = "step,loss,lr"
    if column == "peak":
        head += ",base_lr"
        dead, whole = [[*x, peak] for x in dead], [[*x, 1e-3] for x in whole]
    given = KNOWN
    if column == "peak":  # what a run is trained with is asked about, the restart first
        with pytest.raises(EmptySweepError) as caught:
            ingest(tmp_path / "s", {"t.csv": text(head, dead, whole)}, KNOWN)
        proposed = re.search(r"^ *(table: .*)$", str(caught.value), re.MULTILINE)
        assert proposed is not None
        assert "restarts: true" in proposed[1]
        given = f"{KNOWN}{proposed[1]}\n"
    tables = ingest(tmp_path / "t", {"t.csv": text(head, dead, whole)}, given)
    assert tables.runs["run"].to_list() == ["t"]
    assert tables.curves["superseded"].sum() == len(START)


def test_half_a_schedule_and_another_warm_up_are_no_runs(tmp_path: Path) -> None:
    half = rows(range(50, 1050, 50), 0.01, peak=2e-3)
    tables = ingest(tmp_path / "s", {"t.csv": text("step,loss,lr", half, rows(WHOLE))}, KNOWN)
    assert tables.runs["run"].to_list() == ["t"]
    # killed behind the middle, and begun anew with a longer warm-up
    first = rows(range(50, 1250, 50), 0.01)
    for each in first[:8]:
        each[2] = float(str(each[2])) / 2
    tables = ingest(tmp_path / "t", {"t.csv": text("step,loss,lr", first, rows(WHOLE))}, KNOWN)
    assert tables.runs["run"].to_list() == ["t"]


def test_a_short_run_that_came_to_its_end_is_one(tmp_path: Path) -> None:
    short = rows(range(50, 450, 50), 0.01, last=400)
    tables = ingest(tmp_path / "s", {"t.csv": text("step,loss,lr", short, rows(WHOLE))}, KNOWN)
    assert tables.runs["run"].to_list() == ["t-1", "t-2"]


@pytest.mark.parametrize("counter", ["step", "tokens", "32 bits"])
def test_a_counter_that_a_resume_sets_to_0_is_counted_on(tmp_path: Path, counter: str) -> None:
    head = "step,loss,lr,tokens"
    first = [[*x, 1000 * int(str(x[0]))] for x in rows(range(50, 1000, 50))]
    second = [[*x, 1000 * int(str(x[0]))] for x in rows(range(850, LAST + 1, 50), 0.002)]
    for each in second:
        if counter == "step":
            each[0] = int(str(each[0])) - 800
        elif counter == "tokens":
            each[3] = int(str(each[3])) - 800_000
    if counter == "32 bits":
        first, second = first + [x for x in second if int(str(x[0])) >= 1000], []
        for each in first:
            count = int(str(each[3])) * 3000
            each[3] = (count + 2**31) % 2**32 - 2**31
    tables = ingest(tmp_path / "s", {"t.csv": text(head, first, second)}, KNOWN)
    assert tables.runs["run"].to_list() == ["t"]
    last = tables.curves.row(-1, named=True)
    factor = 3000 if counter == "32 bits" else 1
    assert (last["step"], last["tokens"]) == (LAST, LAST * 1000 * factor)
    assert tables.curves["superseded"].sum() == (0 if counter == "32 bits" else 3)
    assert "begin anew in row" in row(tables.files, "path", "t.csv")["reason"]


def test_a_step_that_a_resume_sets_to_0_is_no_run_s_first(tmp_path: Path) -> None:
    first = rows(range(50, 1000, 50))
    second = rows(range(850, LAST + 1, 50), 0.002)
    for each in second:
        each[0] = int(str(each[0])) - 800
    told = text("step,loss,lr", first, second)
    with pytest.raises(EmptySweepError, match="in row 20 while its losses go on"):
        ingest(tmp_path / "s", {"t.csv": told}, KNOWN)
    # beside other runs of a table it is left out, and they are read
    both = [[*x, "a"] for x in first + second] + [[*x, "b"] for x in rows(WHOLE)]
    tables = ingest(tmp_path / "t", {"t.csv": text("step,loss,lr,run", both)}, KNOWN)
    assert row(tables.runs, "run", "a")["excluded"]
    assert not row(tables.runs, "run", "b")["excluded"]


@pytest.mark.parametrize("begin", [800, 50])
@pytest.mark.parametrize("column", ["seed", "weight_decay", "total_steps"])
def test_a_restart_with_another_setting_has_a_way_out(
    tmp_path: Path, column: str, begin: int
) -> None:
    end = 1000 if begin > 50 else 350
    first = [[*x, 1] for x in rows(range(50, end, 50))]
    second = [[*x, 2] for x in rows(range(begin, LAST + 1, 50), 0.002)]
    told = {"t.csv": text(f"step,loss,lr,{column}", first, second)}
    try:
        tables = ingest(tmp_path / "s", told, KNOWN)
    except EmptySweepError as refused:
        words = str(refused)
        assert "where its steps go back: rows of two runs, or of a restart" in words
        assert f'run: "{column}"' in words
        proposed = re.search(r"^ *(table: .*)$", words, re.MULTILINE)
        assert proposed is not None
        assert "restarts: true" in proposed[1]
        tables = ingest(tmp_path / "t", told, f"{KNOWN}{proposed[1]}\n")
    assert tables.runs["run"].to_list() == ["t"]
    assert tables.curves["superseded"].sum() == (end - begin) // 50
    # and so it is where sweep.yaml says that the file is of one run
    named = ingest(tmp_path / "u", told, f"{KNOWN}runs: [{{match: t.csv, run: a}}]\n")
    assert named.runs["run"].to_list() == ["a"]
    assert named.curves["superseded"].sum() == (end - begin) // 50


def test_a_restart_that_falls_back_into_an_epoch_is_one(tmp_path: Path) -> None:
    first = [[*x, 0] for x in rows(range(50, 1000, 50))]
    second = [[*x, 1] for x in rows(range(800, LAST + 1, 50), 0.002)]
    told = {"t.csv": text("step,loss,lr,epoch", first, second)}
    tables = ingest(tmp_path / "s", told, KNOWN)
    assert tables.runs["tokens"].to_list() == [LAST * 1000]


def test_rows_in_any_order_are_no_attempts(tmp_path: Path) -> None:
    told = rows(WHOLE)
    told = [told[17 * place % len(told)] for place in range(len(told))]
    tables = ingest(tmp_path / "s", {"t.csv": text("step,loss,lr", told)}, KNOWN)
    assert tables.runs["run"].to_list() == ["t"]
    assert tables.curves["step"].to_list() == list(WHOLE)


def test_blocks_of_another_n_are_no_restarts(tmp_path: Path) -> None:
    """Nor where no column alone tells all rows of a step apart."""
    told = [
        [*x[:2], size, budget]
        for size in (1_000_000, 2_000_000)
        for place, budget in enumerate((1e15, 2e15))
        for x in rows(range(50, 400 + 1600 * place, 50), size / 1e7 + place / 10)
    ]
    with pytest.raises(EmptySweepError) as caught:
        ingest(tmp_path / "s", {"t.csv": text("step,loss,n_params,budget", told)}, KNOWN)
    assert "restarts" not in str(caught.value)
    assert "'n_params' with 'budget' tells them apart" in str(caught.value)


def constant(step: int, _last: int) -> float:
    return 1e-3 * min(1, step / 100)


def inverse_root(step: int, _last: int) -> float:
    return 1e-3 * min(step / 100, (100 / step) ** 0.5)


def shallow(step: int, last: int) -> float:
    """A cosine that comes to its end at 60 % of its peak."""
    return 1e-3 * min(1, step / 200) * (0.6 + 0.2 * (1 + math.cos(math.pi * step / last)))


@pytest.mark.parametrize("schedule", [constant, inverse_root, shallow])
@pytest.mark.parametrize("last", [400, 1000, 1900])
def test_a_schedule_without_an_end_may_have_been_all_of_a_run(
    tmp_path: Path, schedule: Callable[[int, int], float], last: int
) -> None:
    first = rows(range(50, last + 1, 50), 0.01)
    for each in first:
        each[2] = f"{schedule(int(str(each[0])), last):.8f}"
    told = {"t.csv": text("step,loss,lr", first, rows(WHOLE, peak=2e-3))}
    tables = ingest(tmp_path / "s", told, KNOWN)
    assert tables.runs["tokens"].to_list() == [last * 1000, LAST * 1000]
    assert "`restarts: true`" in row(tables.files, "path", "t.csv")["reason"]
    anew = f"{KNOWN}table: {{rows: points, columns: {{step: step, train_loss: loss, lr: lr}}, "
    tables = ingest(tmp_path / "t", told, f"{anew}restarts: true}}\n")
    assert tables.runs["tokens"].to_list() == [LAST * 1000]
    # and what is read as a restart is runs where sweep.yaml calls it none
    told = {"t.csv": text("step,loss,lr", rows(range(50, 1050, 50), 0.01), rows(WHOLE))}
    assert ingest(tmp_path / "u", told, KNOWN).runs.height == 1
    tables = ingest(tmp_path / "v", told, f"{anew}restarts: false}}\n")
    assert tables.runs["tokens"].to_list() == [1_000_000, LAST * 1000]


def test_a_start_that_died_as_its_rate_rose_is_no_run(tmp_path: Path) -> None:
    dead = rows(range(10, 90, 10), 0.01, peak=2e-3)
    whole = rows(range(10, LAST + 1, 10))
    tables = ingest(tmp_path / "s", {"t.csv": text("step,loss,lr", dead, whole)}, KNOWN)
    assert tables.runs["run"].to_list() == ["t"]


@pytest.mark.parametrize("head", ["step,loss,lr", "step,loss"])
@pytest.mark.parametrize("every", [30, 100])
def test_a_resume_may_log_less_often(tmp_path: Path, head: str, every: int) -> None:
    first, second = rows(range(10, 960, 10)), rows(range(900, LAST + 1, every), 0.002)
    told = [each[: head.count(",") + 1] for each in first + second]
    tables = ingest(tmp_path / "s", {"t.csv": text(head, told)}, KNOWN)
    assert tables.runs["tokens"].to_list() == [second[-1][0] * 1000]  # type: ignore[operator]
    kept = tables.curves.filter(~pl.col("superseded"))
    assert kept["step"].to_list() == [*range(10, 900, 10), *range(900, LAST + 1, every)]


def test_lines_that_a_log_lost_behind_a_resume_are_no_branch(tmp_path: Path) -> None:
    first, second = rows(range(50, 1000, 50)), rows([600, *range(800, LAST + 1, 50)], 0.002)
    tables = ingest(tmp_path / "s", {"t.csv": text("step,loss,lr", first, second)}, KNOWN)
    assert tables.runs["tokens"].to_list() == [LAST * 1000]


@pytest.mark.parametrize("head", ["step,loss,lr,tokens", "step,loss,tokens"])
@pytest.mark.parametrize("off", [-1.5, 0.0])
def test_another_stage_of_training_is_not_counted_on(tmp_path: Path, head: str, off: float) -> None:
    """Its steps begin anew while tokens go on, but the loss jumps, or the rate warms up again."""
    first = rows(WHOLE)
    second = [[step, round(float(str(first[-1][1])) + off - 0.01, 4), lr] for step, _, lr in first]
    told = [
        [step, loss, *([lr] if "lr" in head else []), 1000 * int(str(step)) + before]
        for before, part in ((0, first), (LAST * 1000, second))
        for step, loss, lr in part
    ]
    tables = ingest(tmp_path / "s", {"t.csv": text(head, told)}, KNOWN)
    if "lr" not in head and not off:  # a counter that was set to 0
        assert tables.runs["tokens"].to_list() == [2 * LAST * 1000]
        return
    assert row(tables.runs, "run", "t-1")["tokens"] == LAST * 1000
    assert not row(tables.runs, "run", "t-1")["excluded"]
    assert "another stage of training" in row(tables.runs, "run", "t-2")["reason"]
    # unless sweep.yaml says that it is one run
    named = ingest(
        tmp_path / "t", {"t.csv": text(head, told)}, f"{KNOWN}runs: [{{match: t.csv, run: a}}]\n"
    )
    assert named.runs["tokens"].to_list() == [2 * LAST * 1000]
