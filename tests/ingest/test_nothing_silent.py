"""Whatever a log has of a run is in a table, or is told of: nothing is dropped in silence."""

from __future__ import annotations

import json
import sqlite3
import struct
from typing import TYPE_CHECKING

import pytest

from isoflop.ingest.inspection import inspect
from tests.ingest.samples import ingest, jsonl, row, run_lines, write

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

STEPS = range(1, 21)


def rows(head: str, cells: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in (head, *cells))


def losses_beside() -> str:
    head = "step,tokens,train_loss,val_loss,eval_c4_loss,val_ppl,nll,lr_group"
    return rows(head, (f"{s},{s}000,{3 + 1 / s},3.1,3.2,20,3.3,1" for s in STEPS))


def no_numbers() -> str:
    cells = (f"{s},{s}000,{'oops' if s == 7 else 3 + 1 / s},{'n/a' if s % 5 else 3}" for s in STEPS)
    return rows("step,tokens,loss,val_loss", cells)


def one_at_step_0() -> str:
    cells = (f"big,{s},{s}000,{3 + 1 / s}" for s in STEPS)
    return rows("run,step,tokens,loss", [*cells, "tiny,0,0,9.1"])


def panel() -> str:
    ranged = [f"r1 - {m}{end}" for m in ("loss", "tokens") for end in ("", "__MIN", "__MAX")]
    head = ",".join(["Step", *ranged, "r2 - loss", "comment"])
    return rows(head, (f"{s},{3 + 1 / s},3,4,{s}000,1,2,3.5,x" for s in STEPS))


def nested() -> str:
    lines = [{"step": s, "tokens": s * 1000, "train": {"loss": 3 + 1 / s}} for s in STEPS]
    lines += [{"step": 20, "eval": {"c4": {"loss": 3.1}, "wiki": {"bpb": 1.0}}}]
    return "".join(json.dumps(line) + "\n" for line in lines)


@pytest.mark.parametrize(
    ("name", "content", "records", "told"),
    [
        (
            "a.csv",
            losses_beside(),
            40,
            ["called like losses: eval_c4_loss, val_ppl, nll", "columns not read: lr_group"],
        ),
        (
            "a.csv",
            no_numbers(),
            23,
            [
                "1 cells of train_loss are no numbers (first in row 7: 'oops')",
                "16 cells of eval_loss are no numbers (first in row 1: 'n/a')",
                "1 rows left out: no loss in the mapped columns (first in row 7)",
            ],
        ),
        ("a.csv", one_at_step_0(), 21, ["without a record after the first step: 'tiny'"]),
        ("a.csv", panel(), 40, ["columns not read: comment"]),
        ("a.jsonl", nested(), 22, ["eval_loss: eval.c4.loss", "bits_per_byte.wiki: eval.wiki.bpb"]),
    ],
)
def test_a_table_says_what_of_it_is_not_read(
    name: str, content: str, records: int, told: list[str], tmp_path: Path
) -> None:
    file = inspect(write(tmp_path / "s", {name: content}, None)).tables.files.row(0, named=True)
    assert (file["fate"], file["rows"]) == ("used", records)
    for words in told:
        assert words in file["reason"]


def test_a_panel_has_runs_that_have_no_range(tmp_path: Path) -> None:
    seen = inspect(write(tmp_path / "s", {"p.csv": panel()}, None))
    assert [run.name for run in seen.reading.runs] == ["r1", "r2"]


def varint(value: int) -> Iterator[int]:
    while value > 127:
        yield value & 127 | 128
        value >>= 7
    yield value


def field(number: int, content: bytes | int) -> bytes:
    if isinstance(content, int):
        return bytes([number << 3, *varint(content)])
    return bytes([number << 3 | 2, *varint(len(content))]) + content


def events(scalars: Iterable[tuple[int, str, float]]) -> bytes:
    """Write event files of TensorBoard, checksums left out."""
    told = [(0, field(3, b"brain.Event:2"))]
    for step, tag, value in scalars:
        of_tag = field(1, tag.encode()) + b"\x15" + struct.pack("<f", value)
        told.append((step, field(5, field(1, of_tag))))
    content = b""
    for step, what in told:
        event = field(2, step) + what
        content += struct.pack("<QI", len(event), 0) + event + bytes(4)
    return content


def test_tensorboard_has_bits_per_byte_and_tells_what_is_not_read(tmp_path: Path) -> None:
    scalars = [(s, tag, 3.0) for s in STEPS for tag in ("train/loss", "eval/c4/bpb", "aux/nll")]
    scalars += [(20, "train/loss", 2.5), (2**60, "train/loss", 2.0)]
    seen = inspect(write(tmp_path / "s", {"events.out.tfevents.1.h.1": events(scalars)}, None))
    file = seen.tables.files.row(0, named=True)
    assert file["rows"] == 40
    for words in (
        "not read, though called like losses: aux/nll",
        "1 scalars of steps that are no counts of updates left out",
        "1 scalars left out for a later one of the same tag and step",
    ):
        assert words in file["reason"]
    (run,) = seen.reading.runs
    assert run.parts[0].run.byte_sets == ("c4",)


def test_runs_of_a_store_that_have_logged_nothing_are_told(tmp_path: Path) -> None:
    folder = write(tmp_path / "s", {}, None)
    with sqlite3.connect(folder / "trackio.db") as database:
        database.execute(
            "CREATE TABLE metrics (run_id TEXT, run_name TEXT, step INTEGER, metrics TEXT)"
        )
        database.execute("CREATE TABLE configs (run_id TEXT, run_name TEXT, config TEXT)")
        database.executemany(
            "INSERT INTO metrics VALUES ('k', 'a', ?, ?)",
            [(s, json.dumps({"loss": 3 + 1 / s, "tokens": 900 * s})) for s in STEPS],
        )
        database.execute("INSERT INTO configs VALUES ('q', 'b', '{}')")
    with sqlite3.connect(folder / "mlflow.db") as database:
        database.execute(
            "CREATE TABLE metrics (key TEXT, value REAL, timestamp INTEGER, run_uuid TEXT, "
            "step INTEGER, is_nan INTEGER)"
        )
        database.execute("CREATE TABLE params (key TEXT, value TEXT, run_uuid TEXT)")
        database.execute(
            "CREATE TABLE runs (run_uuid TEXT, name TEXT, status TEXT, lifecycle_stage TEXT, "
            "start_time INTEGER)"
        )
        database.executemany(
            "INSERT INTO metrics VALUES ('loss', ?, ?, 'k', ?, 0)",
            [(3 + 1 / s, s, s) for s in STEPS],
        )
        database.executemany(
            "INSERT INTO runs VALUES (?, ?, 'FINISHED', 'active', 1)", [("k", "a"), ("q", "silent")]
        )
    files = {row["path"]: row for row in inspect(folder).tables.files.iter_rows(named=True)}
    assert (
        "1 runs left out that have a configuration and no metric" in files["trackio.db"]["reason"]
    )
    assert "without any metric: 'silent'" in files["mlflow.db"]["reason"]


def test_the_trainer_of_hugging_face_evaluates_in_bits_per_byte_too(tmp_path: Path) -> None:
    history = [{"step": s, "loss": 3 + 1 / s} for s in STEPS]
    history += [{"step": 20, "eval_c4_loss": 3.1, "eval_wiki_bpb": 1.0, "eval_runtime": 3.0}]
    state = json.dumps({"global_step": 20, "max_steps": 20, "log_history": history})
    seen = inspect(write(tmp_path / "s", {"trainer_state.json": state}, None))
    (run,) = seen.reading.runs
    assert (run.eval_sets, run.parts[0].run.byte_sets) == (["c4"], ("wiki",))


def test_lines_that_cannot_be_read_are_told_of_a_rejected_log_too(tmp_path: Path) -> None:
    """A fork's other line was the whole of a log, and its one record alone was spoken of."""
    fork = "iter 0: loss 10.9500, time 12.34ms\niter 10: loss 5.46, 195.4k tok/s, FP8: True\n" * 2
    tables = ingest(tmp_path / "s", {"a.log": fork, "b.jsonl": jsonl(run_lines("b"))})
    reason = row(tables.files, "path", "a.log")["reason"]
    assert reason == "no record after the first step; 2 lines look like records and cannot be read"


def base_and(*later: str) -> str:
    """A log of nanochat's pretraining, in 30 steps, and what was trained after it."""
    base = "Vocab size: 65,536\nNumber of parameters: 1,000\nTotal batch size 64\n"
    for at in range(30):
        loss = 3 + 1 / (1 + at)
        base += f"step {at:05d}/30 (1.00%) | loss: {loss:.6f} | lrm: 1.00 | dt: 1.0ms\n"
    return base + "".join(later)


def loaded(what: str, *before: str) -> str:
    line = f"INFO - Loading model from /cache/{what}/d4 with step 30\n"
    return "".join(before) + line + "INFO - Building model with config: {}\nTotal batch size 32\n"


def steps(count: int) -> str:
    """What mid-training prints, and fine-tuning since 2026."""
    return "Step 00000 | Validation bpb: 0.9999\n" + "".join(
        f"step {at:05d} (1.00%) | loss: {1 / at:.6f} | lrm: 1.00 | dt: 1.0ms | total time: 0.0m\n"
        for at in range(1, count + 1)
    )


TUNED = "Step 00000 | Validation loss: 1.0130\n" + "".join(
    f"Step {at:05d}/00007 | Training loss: 0.9{at}| lrm: 1.0| num_tokens: 3,210\n"
    for at in range(7)
)
"""What fine-tuning printed in 2025."""


@pytest.mark.parametrize(
    ("later", "told"),
    [
        ([loaded("base_checkpoints"), steps(50)], {"mid": 51}),
        ([loaded("mid_checkpoints"), TUNED], {"sft": 8}),
        ([loaded("mid_checkpoints"), steps(5)], {"sft": 6}),
        ([loaded("base_checkpoints"), "Inherited max_seq_len=64\n", steps(4)], {"sft": 5}),
        ([loaded("chatsft_checkpoints"), steps(4)], {"rl": 5}),
        ([loaded("somebodys"), steps(4)], {"another": 5}),
        ([TUNED], {"sft": 8}),
        (
            [loaded("base_checkpoints", "View project at https://wandb.ai/x/nanochat-mid\n"),
             steps(9), loaded("mid_checkpoints"), TUNED, loaded("base_checkpoints"), steps(2)],
            {"mid": 13, "sft": 8},
        ),
    ],
)  # fmt: skip
def test_records_of_another_phase_are_read_and_counted_apart(
    later: list[str], told: dict[str, int], tmp_path: Path
) -> None:
    tables = ingest(tmp_path / "s", {"base.log": base_and(), "both.log": base_and(*later)})
    both = row(tables.files, "path", "both.log")
    assert (both["rows"], both["rows_left_out"]) == (30, sum(told.values()))
    assert both["lines_unread"] == 0
    assert both["reason"] == "; ".join(
        f"{rows} rows left out: records of phase '{phase}', not of the pretraining"
        for phase, rows in told.items()
    )
    assert row(tables.files, "path", "base.log")["reason"] is None
    # neither its curve nor its facts are other than those of the pretraining alone
    one, other = (tables.curves.filter(run=run).drop("run") for run in ("base", "both"))
    assert one.equals(other)
    assert row(tables.runs, "run", "both")["tokens_per_step"] == 64


def test_the_next_launch_is_of_the_pretraining_again(tmp_path: Path) -> None:
    text = base_and(loaded("base_checkpoints"), steps(50)) + base_and()
    sidecar = "title: t\noverrule: [{match: a, check: several_runs, reason: a test}]\n"
    tables = ingest(tmp_path / "s", {"a.log": text}, sidecar)
    assert row(tables.files, "path", "a.log")["rows"] == 60


@pytest.mark.parametrize("text", [TUNED, steps(7)])
def test_a_log_of_fine_tuning_alone_is_rejected_with_its_phase(text: str, tmp_path: Path) -> None:
    files = {"base.log": base_and(), "sft.log": loaded("mid_checkpoints") + text}
    tables = ingest(tmp_path / "s", files)
    rejected = row(tables.files, "path", "sft.log")
    assert rejected["fate"] == "rejected"
    assert "8 rows left out: records of phase 'sft', not of the pretraining" in rejected["reason"]
