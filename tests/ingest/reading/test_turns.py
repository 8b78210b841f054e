"""Several runs in one log, their lines in turns: no run writes so, and none is made of them."""

from __future__ import annotations

import sqlite3
from itertools import zip_longest
from typing import TYPE_CHECKING

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isoflop.ingest.reading import textlog
from isoflop.ingest.reading.blocks import blocks_of
from isoflop.ingest.reading.events import Point, Restart
from isoflop.ingest.reading.parsed import gather
from isoflop.ingest.reading.turns import LEAST
from tests.ingest.samples import ingest, row
from tests.tiers import times

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

SIDECAR = """
title: t
facts: {params: {total: 1e6}, tokens_per_step: 1024, schedule: {kind: constant}}
"""


def lines(steps: Iterable[int], loss: float, before: str = "") -> list[str]:
    return [
        f"{before}iter {step}: loss {loss - step / 1000:.4f}, time 9.10ms, mfu 1.00%\n"
        for step in steps
    ]


def in_turns(*logs: list[str], by: int = 1) -> str:
    """Mix logs, some lines at a time, as buffers of that many lines do."""
    divided = ([log[at : at + by] for at in range(0, len(log), by)] for log in logs)
    buffers = zip_longest(*divided, fillvalue=[])
    return "".join(line for turn in buffers for some in turn for line in some)


STEPS = range(0, 400, 10)
MIXED = {
    "line by line": in_turns(lines(STEPS, 5.0), lines(STEPS, 4.0)),
    "buffers": in_turns(lines(STEPS, 5.0), lines(STEPS, 4.0), by=7),
    "three runs": in_turns(*(lines(STEPS, loss) for loss in (5.0, 4.5, 4.0))),
    "one ahead": in_turns(lines(range(200, 600, 10), 5.0), lines(STEPS, 4.0)),
    "other intervals": in_turns(lines(STEPS, 5.0), lines(range(0, 280, 7), 4.0)),
    "labelled": in_turns(lines(STEPS, 5.0, "job0 | "), lines(STEPS, 4.0, "job1 | ")),
}


@pytest.mark.parametrize("text", MIXED.values(), ids=list(MIXED))
@pytest.mark.parametrize("block", [textlog.BLOCK, 300])
def test_a_log_of_runs_in_turns_is_rejected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, block: int
) -> None:
    monkeypatch.setattr(textlog, "BLOCK", block)
    other = "".join(lines(STEPS, 3.0))
    tables = ingest(tmp_path, {"both.log": text, "other.log": other}, SIDECAR)
    both = row(tables.files, "path", "both.log")
    assert both["fate"] == "rejected"
    assert "several runs or processes" in both["reason"]
    assert tables.runs["run"].to_list() == ["other"]


def test_the_message_names_lines_and_its_way_out_works(tmp_path: Path) -> None:
    text = MIXED["labelled"]
    tables = ingest(tmp_path, {"both.log": text, "o.log": "".join(lines(STEPS, 3.0))}, SIDECAR)
    reason = row(tables.files, "path", "both.log")["reason"]
    assert "line 3: step 10, loss 4.99; line 4: step 10, loss 3.99; line 5" in reason
    assert "put those of each into a file of its own, as by grep" in reason
    apart = {
        f"{job}.log": "".join(line for line in text.splitlines(True) if line.startswith(job))
        for job in ("job0", "job1")
    }
    tables = ingest(tmp_path / "apart", apart, SIDECAR)
    last = tables.curves.filter(step=390).select("run", "train_loss").rows()
    assert last == [("job0", 4.61), ("job1", 3.61)]


def test_the_other_way_out_makes_one_run_of_launches(tmp_path: Path) -> None:
    text = in_turns(lines(STEPS, 5.0), lines(STEPS, 4.0))
    tables = ingest(tmp_path / "a", {"a.log": text, "o.log": "".join(lines(STEPS, 3.0))}, SIDECAR)
    assert "called 01, 02 and so on" in row(tables.files, "path", "a.log")["reason"]
    files = {"01.log": "".join(lines(STEPS[:9], 5.0)), "02.log": "".join(lines(STEPS[8:], 4.0))}
    rule = 'runs: [{match: "0*.log", run: a}]\n'
    tables = ingest(tmp_path / "b", files, SIDECAR + rule)
    assert tables.runs["run"].to_list() == ["a"]
    assert tables.curves.filter(~pl.col("superseded"))["step"].to_list() == [*STEPS]


def test_a_resumed_log_is_one_run(tmp_path: Path) -> None:
    launches = [
        *lines(range(0, 200, 10), 5.0),
        *lines(range(100, 400, 10), 5.01),
        *lines(range(350, 500, 10), 5.02),
    ]
    tables = ingest(tmp_path, {"a.log": "".join(launches)}, SIDECAR)
    live = tables.curves.filter(~pl.col("superseded"))
    assert live["step"].to_list() == [*range(0, 500, 10)]


def test_ranks_that_print_the_same_are_one_run(tmp_path: Path) -> None:
    ranks = in_turns(*(lines(STEPS, 5.0, f"gpu{rank} ") for rank in range(8)))
    tables = ingest(tmp_path, {"a.log": ranks}, SIDECAR)
    assert tables.curves["step"].to_list() == [*STEPS]


LABELS = ("{}: ", " {}: ", "[rank{}]: ", "[default{}]:", "[RANK {}] ", "[{}] ", "worker-{}: ")


@pytest.mark.parametrize("label", [*LABELS, "node0{}: "])
@pytest.mark.parametrize("block", [textlog.BLOCK, 300])
def test_labels_of_ranks_are_known_to_every_text_format(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, label: str, block: int
) -> None:
    monkeypatch.setattr(textlog, "BLOCK", block)
    text = in_turns(*(lines(STEPS, 5.0 + rank / 8, label.format(rank)) for rank in (1, 0, 2)))
    tables = ingest(tmp_path, {"a.log": text}, SIDECAR)
    assert tables.curves["step"].to_list() == [*STEPS]
    assert tables.curves["train_loss"][-1] == pytest.approx(4.61)


def test_numbers_of_launches_are_no_ranks(tmp_path: Path) -> None:
    text = "".join([*lines(STEPS[:20], 5.0, "[4711] "), *lines(STEPS[15:], 5.01, "[4242] ")])
    tables = ingest(tmp_path, {"a.log": text}, SIDECAR)
    assert tables.curves.filter(~pl.col("superseded"))["step"].to_list() == [*STEPS]


def test_ranks_with_labels_are_one_run(tmp_path: Path) -> None:
    text = "".join(
        f"[rank{rank}]:[titan] - root - INFO - step: {step:2}  loss: {9 - step / 9 - rank / 50:.4f}"
        f"  grad_norm: 1.2000  memory: 12.0GiB(1.00%)  tps: 1,000  tflops: 1.0  mfu: 1.00%\n"
        for step in range(1, 40)
        for rank in range(2)
    )
    tables = ingest(tmp_path, {"a.log": text}, SIDECAR)
    assert tables.curves["step"].to_list() == [*range(1, 40)]
    assert tables.curves["train_loss"][0] == pytest.approx(9 - 1 / 9, abs=1e-3)


def test_a_run_of_a_table_whose_rows_take_turns_is_left_out(tmp_path: Path) -> None:
    rows = [("a", step, 5 - step / 1000) for step in STEPS]
    ahead = [(200 + step, 5.5 - step / 1000) for step in STEPS]
    behind = [(step, 4.5 - step / 1000) for step in STEPS]
    rows += [("b", *each) for both in zip(ahead, behind, strict=True) for each in both]
    text = "run,step,train_loss\n" + "".join(f"{n},{s},{v}\n" for n, s, v in rows)
    tables = ingest(tmp_path, {"a.csv": text}, SIDECAR)
    assert not row(tables.runs, "run", "a")["excluded"]
    assert row(tables.runs, "run", "b")["excluded"]


def test_lines_of_the_hf_trainer_that_share_a_rounded_epoch_are_one_run(tmp_path: Path) -> None:
    head = "  Num Epochs = 1\n  Total optimization steps = 100,000\n"
    text = head + "".join(
        f"{{'loss': {5 - step / 1e5:.4f}, 'learning_rate': 1e-4, 'epoch': {step / 1e5:.2f}}}\n"
        for step in range(100, 100_100, 100)
    )
    tables = ingest(tmp_path, {"a.log": text}, SIDECAR)
    assert row(tables.runs, "run", "a")["tokens"] == 100_000 * 1024


def test_batches_of_a_step_in_a_store_are_one_run(tmp_path: Path) -> None:
    rows = [(step, loss) for step in STEPS for loss in (5.0, 5.1, 4.9)]
    values = [f"('k', 'a', {s}, '{{\"global_step\": {s}, \"loss\": {v}}}')" for s, v in rows]
    with sqlite3.connect(tmp_path / "p.db") as store:
        store.execute("CREATE TABLE metrics (run_id TEXT, run_name TEXT, step INT, metrics TEXT)")
        store.execute("CREATE TABLE configs (run_id TEXT, run_name TEXT, config TEXT)")
        store.execute(f"INSERT INTO metrics VALUES {', '.join(values)}")  # noqa: S608
    store.close()
    tables = ingest(tmp_path, {}, SIDECAR)
    assert tables.runs["excluded"].to_list() == [False]
    assert tables.curves["step"].to_list() == [*STEPS]


def test_a_launch_that_the_log_tells_of_begins_anew() -> None:
    launches: list[Point | Restart] = []
    for begin in (0, 30, 60, 90, 120):  # killed after every few lines, and told so
        steps = range(begin, begin + 60, 10)
        launches += [Restart(begin), *(Point(step, train_loss=3.0 - begin) for step in steps)]
    (run,) = gather(blocks_of(launches)).runs
    assert run.turns == ()


def killed_now_and_then(kills: list[tuple[int, int]]) -> Iterator[Point]:
    """Train, killed after some lines and set back to the checkpoint before, every tenth line."""
    step = noise = 0
    for lived, _ in kills:
        for at in range(step, step + lived):
            noise += 1
            yield Point(at, train_loss=4.0 - at / 1000 + noise / 1e7)
        step = (step + lived) // 10 * 10 + 1 if lived > 9 else step


@settings(max_examples=times(40))
@given(kills=st.lists(st.tuples(st.integers(12, 60), st.integers(0, 3)), max_size=2 * LEAST))
def test_no_history_of_kills_is_taken_for_several_runs(kills: list[tuple[int, int]]) -> None:
    for run in gather(blocks_of(killed_now_and_then(kills))).runs:
        assert run.turns == ()


def preempted(ends: Iterable[int], save: int, every: int = 10) -> list[range]:
    """Give the steps that each launch logs which is killed at a step and resumed at a multiple."""
    launches, begin = [], 0
    for end in ends:
        launches.append(range(begin + every, end + 1, every))
        begin = end // save * save
    return launches


PREEMPTED = preempted((130, 150, 170, 190, 500), 20)


@pytest.mark.parametrize("block", [textlog.BLOCK, 300])
def test_a_run_that_is_preempted_all_the_time_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setattr(textlog, "BLOCK", block)
    text = "".join(
        f"s:{step} trl:{5 - step / 1000 + launch / 1e3:.4f} lr:0.0006 norm:0.5\n"
        for launch, steps in enumerate(PREEMPTED)
        for step in steps
    )
    tables = ingest(tmp_path, {"main.log": text}, SIDECAR)
    live = tables.curves.filter(~pl.col("superseded"))
    assert live["step"].to_list() == [*range(10, 501, 10)]


def test_a_header_that_is_printed_again_is_a_restart(tmp_path: Path) -> None:
    head = "[titan] - root - INFO - Model llama3 1B size: 6,139,648 total parameters\n"
    text = "".join(
        head
        + "".join(
            f"[titan] - root - INFO - step: {step}  loss: {5 - step / 1000:.4f}"
            f"  grad_norm: 1.2000  memory: 12.0GiB(1.00%)  tps: 1,000  tflops: 1.0  mfu: 1.00%\n"
            for step in steps
        )
        for steps in PREEMPTED
    )
    tables = ingest(tmp_path, {"a.log": text}, SIDECAR)
    assert row(tables.files, "path", "a.log")["restarts"] == len(PREEMPTED) - 1


def test_neox_and_olmo_tell_of_a_loaded_checkpoint(tmp_path: Path) -> None:
    neox, olmo = "", ""
    for steps in PREEMPTED:
        if steps.start > 10:
            at = steps.start - 10
            neox += f"  successfully loaded /ckpt/global_step{at}/mp_rank_00_model_states.pt\n"
            olmo += f"2026-03-01 10:00:00\tINFO\tLoading checkpoint from '/x/step{at}'...\n"
        for step in steps:
            neox += f" iteration {step}/ 500 | lm loss: {5 - step / 1000:.4E} |\n"
            olmo += f"2026-03-01 10:00:00\tINFO\t[step={step}/500,epoch=0]\n"
            olmo += f"    train/CE loss={5 - step / 1000:.4f}\n"
    tables = ingest(tmp_path, {"neox.log": neox, "olmo.log": olmo}, SIDECAR)
    for path in ("neox.log", "olmo.log"):
        assert row(tables.files, "path", path)["restarts"] == len(PREEMPTED) - 1


@pytest.mark.parametrize("processes", [3, 8])
def test_processes_that_are_far_apart_take_turns(processes: int) -> None:
    logs = [[(500 * p + at * 10, 5.0 - p) for at in range(30)] for p in range(processes)]
    mixed = (each for at in range(0, 30, 6) for log in logs for each in log[at : at + 6])
    (run,) = gather(blocks_of(Point(step, train_loss=loss) for step, loss in mixed)).runs
    assert run.turns
