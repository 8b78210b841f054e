"""Last values of the HF Trainer: a finished run, unless more of it is at hand or less is there."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from tests.ingest.samples import ingest, jsonl, row, run_lines
from tests.ingest.test_tensorboard import event_file

if TYPE_CHECKING:
    from pathlib import Path

RESULTS = {
    "epoch": 2.0, "eval_loss": 3.4321, "eval_runtime": 12.3, "eval_samples": 500,
    "total_flos": 1e16, "train_loss": 4.0123, "train_runtime": 770.9, "train_samples": 8000,
}  # fmt: skip
STATE = {
    "global_step": 20, "max_steps": 20,
    "log_history": [
        {"step": step, "loss": 4 + 1 / step, "learning_rate": 1e-4} for step in range(2, 21, 2)
    ] + [{"step": 20, "eval_loss": 3.4321}],
}  # fmt: skip
FACTS = "title: t\nfacts: {params: {total: 1e8}, architecture: {seq_len: 1024}, batch: 800}\n"


def results(*without: str, **more: Any) -> str:
    return json.dumps({k: v for k, v in (RESULTS | more).items() if k not in without}, indent=4)


def test_a_finished_run_has_its_last_evaluation_and_d(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {"big/all_results.json": results()}
    tables = ingest(tmp_path / "s", files, FACTS)
    run = row(tables.runs, "run", "big")
    assert (run["tokens"], run["status"], run["excluded"]) == (16_000 * 1024.0, "finished", False)
    (point,) = tables.curves.iter_rows(named=True)
    assert (point["eval_loss"], point["train_loss"]) == (3.4321, None)
    assert point["flops_logged"] == 1e16
    counted = results(num_input_tokens_seen=5e7)
    tables = ingest(tmp_path / "t", {"big/all_results.json": counted}, FACTS)
    assert row(tables.runs, "run", "big")["tokens"] == 5e7


def test_its_one_record_is_no_update(tmp_path: Path) -> None:
    facts = "title: t\nfacts: {params: {total: 1e8}, architecture: {seq_len: 1024}}\n"
    tables = ingest(tmp_path / "s", {"big/all_results.json": results()}, facts)
    assert row(tables.runs, "run", "big")["tokens_per_step"] is None


def test_a_lack_of_n_and_context_is_asked_for(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {
        "big/all_results.json": results(), "own.jsonl": jsonl(run_lines("own")),
    }  # fmt: skip
    reason = row(ingest(tmp_path / "s", files).runs, "run", "big")["reason"]
    assert "params" in reason
    assert "seq_len" in reason


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (results("eval_loss", "eval_runtime"), "train_loss is the mean of the whole run, no final"),
        (results("train_samples", "train_runtime"), "neither num_input_tokens_seen, nor"),
    ],
)
def test_what_is_missing_is_said(tmp_path: Path, content: str, said: str) -> None:
    files: dict[str, str | bytes] = {
        "big/some_results.json": content, "own.jsonl": jsonl(run_lines("own")),
    }  # fmt: skip
    file = row(ingest(tmp_path / "s", files).files, "path", "big/some_results.json")
    assert file["fate"] == "rejected"
    assert said in file["reason"]
    assert "drop in trainer_state.json" in file["reason"]


@pytest.mark.parametrize("state", ["trainer_state.json", "checkpoint-20/trainer_state.json"])
def test_beside_more_of_its_run_it_is_not_read(tmp_path: Path, state: str) -> None:
    files: dict[str, str | bytes] = {
        f"big/{state}": json.dumps(STATE),
        "big/all_results.json": results(),
        "big/train_results.json": results("eval_loss", "eval_runtime"),
        "small/all_results.json": results(eval_loss=3.9),
        "small/eval_results.json": results("train_samples", "train_runtime", eval_loss=3.9),
    }
    tables = ingest(tmp_path / "s", files, FACTS)
    fates = dict(tables.files.select("path", "fate").iter_rows())
    assert fates["big/all_results.json"] == fates["big/train_results.json"] == "ignored"
    assert fates["small/all_results.json"] == "used"
    assert fates["small/eval_results.json"] == "ignored"
    assert tables.runs.filter(~tables.runs["excluded"]).height == 2
    reason = row(tables.files, "path", "big/all_results.json")["reason"]
    assert reason == f"beside big/{state}, which has more of its run"


CURVES = {
    "trainer_log.jsonl": "".join(
        json.dumps(
            {"current_steps": step, "total_steps": 20, "loss": 4 + 1 / step, "lr": 1e-4,
             "epoch": step / 10, "percentage": step * 5, "elapsed_time": "0:00:01",
             "remaining_time": "0:00:01"}
        ) + "\n" for step in range(2, 21, 2)
    ),
    "train.log": "  Num Epochs = 2\n  Total optimization steps = 20\n" + "".join(
        f"{{'loss': {4 + 1 / step}, 'learning_rate': 1e-4, 'epoch': {step / 10}}}\n"
        for step in range(2, 21, 2)
    ),
    "runs/Nov01_10-00-00_host/events.out.tfevents.1.host.1.0": event_file(
        {step: 4 + 1 / step for step in range(2, 21, 2)}, b"train/loss"
    ),
}  # fmt: skip


@pytest.mark.parametrize("names", [*([name] for name in CURVES), [*CURVES]], ids=str)
def test_beside_a_log_of_its_run_it_is_not_read(tmp_path: Path, names: list[str]) -> None:
    """Each run counted twice: 40 of 20 were fitted."""
    files: dict[str, str | bytes] = {f"big/{name}": CURVES[name] for name in names}
    files |= {f"big/{kind}_results.json": results() for kind in ("all", "eval", "train")}
    facts = FACTS.replace("}\n", ", schedule: {kind: constant}}\n")
    tables = ingest(tmp_path / "s", files, facts)
    used = tables.runs.filter(pl.col("reason").is_null())
    assert used.height == 1
    for kind in ("all", "eval", "train"):
        file = row(tables.files, "path", f"big/{kind}_results.json")
        assert file["fate"] == "ignored"
        assert f"beside big/{names[0]}" in file["reason"] or len(names) > 1


def test_beside_the_logs_of_several_runs_it_is_a_run(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {"all_results.json": results()}
    files |= {f"{name}.log": CURVES["train.log"].replace("4.", each) for name, each in
              (("a", "5."), ("b", "6."))}  # fmt: skip
    facts = FACTS.replace("}\n", ", schedule: {kind: constant}}\n")
    tables = ingest(tmp_path / "s", files, facts)
    assert row(tables.files, "path", "all_results.json")["fate"] == "used"


def test_beside_a_log_that_was_cut_it_is_read(tmp_path: Path) -> None:
    lines = CURVES["train.log"]
    assert isinstance(lines, str)
    files: dict[str, str | bytes] = {
        "big/train.log": "".join(lines.splitlines(keepends=True)[:8]),  # 12 of 20 updates
        "big/all_results.json": results(),
    }
    facts = FACTS.replace("}\n", ", schedule: {kind: constant}}\n")
    tables = ingest(tmp_path / "s", files, facts)
    assert row(tables.files, "path", "big/all_results.json")["fate"] == "used"


def test_beside_a_table_of_something_else_it_is_read(tmp_path: Path) -> None:
    table = "step,tokens,loss\n" + "".join(f"{s},{s * 100},{4 + 1 / s}\n" for s in range(1, 30))
    files: dict[str, str | bytes] = {
        "big/logs/tokenizer_train.csv": table, "big/all_results.json": results(),
    }  # fmt: skip
    facts = FACTS.replace("}\n", ", schedule: {kind: constant}}\n")
    tables = ingest(tmp_path / "s", files, facts)
    assert row(tables.files, "path", "big/all_results.json")["fate"] == "used"


@pytest.mark.parametrize("name", CURVES)
def test_its_evaluation_is_the_last_of_a_log_without_any(name: str, tmp_path: Path) -> None:
    """`--do_eval` alone evaluates once, at the end, and no line of the log has it."""
    files: dict[str, str | bytes] = {f"big/{name}": CURVES[name]}
    files |= {f"big/{kind}_results.json": results() for kind in ("all", "eval")}
    facts = FACTS.replace("}\n", ", schedule: {kind: constant}}\n")
    tables = ingest(tmp_path / "s", files, facts)
    measured = tables.curves.drop_nulls("eval_loss")
    assert measured.select("step", "eval_loss").rows() == [(20, 3.4321)]
    reason = row(tables.files, "path", f"big/{name}")["reason"]
    assert "with the last evaluation of big/all_results.json" in reason
