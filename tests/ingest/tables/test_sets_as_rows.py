"""Tables with a row for each split or eval set: their losses are no curve of one thing."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import polars as pl
import pytest

from tests.ingest.samples import ingest, row

if TYPE_CHECKING:
    from pathlib import Path

KNOWN = (
    "title: t\n"
    "facts: {params: {total: 70e6}, tokens_per_step: 524288, schedule: {kind: constant}}\n"
)
TRAINED = {step: 5 - step / 1e3 for step in range(9, 100, 10)}
EVALUATED = {step: 5.2 - step / 1e3 for step in (50, 100)}


def rows(train: str, val: str) -> list[tuple[int, str, float]]:
    """Give rows of two splits, which share no step, in the order of their steps."""
    both = [(step, train, loss) for step, loss in TRAINED.items()]
    return sorted([*both, *((step, val, loss) for step, loss in EVALUATED.items())])


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
@pytest.mark.parametrize(
    ("column", "train", "val"),
    [
        ("split", "train", "val"),
        ("phase", "Train", "Validation"),
        ("mode", "training", "test"),
        ("set", "TRAIN", "DEV"),
        ("type", "train", "eval"),
        ("stage", "fit", "validate"),
        ("dataset", "c4-train", "c4-val"),
        ("tag", "loss/train", "loss/val"),
    ],
)
def test_a_column_of_splits_divides_the_losses(
    tmp_path: Path, column: str, train: str, val: str, suffix: str
) -> None:
    if suffix == "csv":
        told = [",".join(map(str, each)) for each in [("step", column, "loss"), *rows(train, val)]]
    else:
        told = [
            json.dumps({"step": step, column: split, "loss": loss})
            for step, split, loss in rows(train, val)
        ]
    tables = ingest(tmp_path / "s", {f"t.{suffix}": "\n".join(told) + "\n"}, KNOWN)
    curve = tables.curves.filter(pl.col("train_loss").is_not_null())
    assert dict(curve.select("step", "train_loss").iter_rows()) == TRAINED
    assert dict(tables.evals.select("step", "value").iter_rows()) == EVALUATED
    reason = row(tables.files, "path", f"t.{suffix}")["reason"]
    assert f"'{column}' says of which split or eval set 'loss' is" in reason


def test_the_map_that_a_message_writes_reads_the_same(tmp_path: Path) -> None:
    text = "params,tokens,split,loss\n70e6,1e9,train,3.1\n70e6,1e9,val,3.4\n70e6,2e9,train,3.0\n"
    text += "70e6,2e9,val,3.3\n"
    tables = ingest(tmp_path / "s", {"t.csv": text}, "title: t\n")
    assert tables.runs["tokens"].to_list() == [1e9, 2e9]
    assert tables.evals["value"].to_list() == [3.4, 3.3]
    proposed = re.search(r"table: \{.*\}\}", row(tables.files, "path", "t.csv")["reason"])
    assert proposed is not None
    tables = ingest(tmp_path / "t", {"t.csv": text}, f"{KNOWN}{proposed[0]}\n")
    assert tables.evals["value"].to_list() == [3.4, 3.3]
    # and so do formulas over the columns as they are
    case = "CASE WHEN split = 'val' THEN loss END"
    columns = f'{{tokens: tokens, eval_loss: {{formula: "{case}"}}}}'
    known = f"{KNOWN}table: {{rows: points, columns: {columns}}}\n"
    tables = ingest(tmp_path / "u", {"t.csv": text}, known)
    assert tables.evals["value"].to_list() == [3.4, 3.3]


@pytest.mark.parametrize("head", ["run,params,tokens,eval_set,loss", "params,tokens,eval_set,loss"])
def test_each_finished_run_is_one_whatever_it_was_evaluated_on(tmp_path: Path, head: str) -> None:
    lines = [head]
    for place, tokens in enumerate((1_000_000_000, 2_000_000_000)):
        for eval_set, loss in (("c4", 3.1 - place / 10), ("pile", 2.9 - place / 10)):
            named = f"r{place}," * head.startswith("run")
            lines.append(f"{named}70000000,{tokens},{eval_set},{loss:g}")
    known = "title: t\nfacts: {primary_eval: c4}\n"
    tables = ingest(tmp_path / "s", {"t.csv": "\n".join(lines) + "\n"}, known)
    assert tables.runs["tokens"].to_list() == [1e9, 2e9]
    assert tables.curves["eval_loss"].to_list() == pytest.approx([3.1, 3.0])
    assert tables.evals.filter(eval_set="pile")["value"].to_list() == pytest.approx([2.9, 2.8])


@pytest.mark.parametrize("loss_column", ["loss", "eval_loss", "val_loss"])
def test_eval_sets_as_rows_of_a_curve_by_tokens_are_sets(tmp_path: Path, loss_column: str) -> None:
    lines = [
        f"a,{tokens},{eval_set},{loss}"
        for tokens in (1e6, 2e6, 3e6)
        for eval_set, loss in (("c4", 5 - tokens / 1e6), ("pile", 6 - tokens / 1e6))
    ]
    known = KNOWN.replace("{params", "{primary_eval: c4, params")
    text = f"run,tokens,eval_set,{loss_column}\n" + "\n".join(lines) + "\n"
    tables = ingest(tmp_path / "s", {"t.csv": text}, known)
    assert tables.curves["train_loss"].drop_nulls().is_empty()
    assert tables.curves["eval_loss"].to_list() == [4.0, 3.0, 2.0]


def test_a_column_of_one_split_or_of_other_words_divides_nothing(tmp_path: Path) -> None:
    text = "step,phase,loss\n10,warmup,5.0\n20,train,4.5\n30,decay,4.0\n"
    tables = ingest(tmp_path / "s", {"t.csv": text}, KNOWN)
    assert tables.curves["train_loss"].to_list() == [5.0, 4.5, 4.0]
    text = "step,split,loss\n10,train,5.0\n20,train,4.5\n30,train,4.0\n"
    tables = ingest(tmp_path / "t", {"t.csv": text}, KNOWN)
    assert tables.curves["train_loss"].to_list() == [5.0, 4.5, 4.0]


@pytest.mark.parametrize(
    ("column", "train", "val"),
    [
        ("event", "train", "eval"),
        ("msg", "train_step", "eval_step"),
        ("metric", "train_loss", "val_loss"),
        ("key", "train/loss", "val/loss"),
        ("name", "loss", "val_loss"),
        ("source", "train", "val"),
        ("dataset", "train", "c4"),
        ("is_eval", False, True),
        ("is_val", 0, 1),
        ("train", 1, 0),
    ],
)
def test_evaluations_at_steps_of_training_are_no_restarts(
    tmp_path: Path, column: str, train: object, val: object
) -> None:
    told: list[dict[str, object]] = []
    for step in range(10, 200, 10):
        told.append({column: train, "step": step, "loss": 5 - step / 1e3})
        if step % 50 == 0:
            told.append({column: val, "step": step, "loss": 5.3 - step / 1e3})
            if isinstance(val, str) and column != "dataset":  # checkpoints have no loss
                told.append({column: "saved", "step": step})
    text = "".join(f"{json.dumps(each)}\n" for each in told)
    tables = ingest(tmp_path / "s", {"t.jsonl": text}, KNOWN)
    curve = tables.curves.drop_nulls("train_loss")
    assert dict(curve.select("step", "train_loss").iter_rows()) == {
        step: 5 - step / 1e3 for step in range(10, 200, 10)
    }
    assert tables.evals["step"].to_list() == [50, 100, 150]
    assert not tables.curves["superseded"].any()


@pytest.mark.parametrize("column", ["run", "name", "model"])
def test_runs_that_are_called_like_splits_are_runs(tmp_path: Path, column: str) -> None:
    lines = [
        f"{name},{step},{5 - step / 1e3}"
        for name in ("training-base", "eval-me")
        for step in range(10, 60, 10)
    ]
    text = f"{column},step,loss\n" + "\n".join(lines) + "\n"
    tables = ingest(tmp_path / "s", {"t.csv": text}, KNOWN)
    assert sorted(tables.runs["run"].to_list()) == ["eval-me", "training-base"]
