"""Shapes of models that a table tells beside its curves, or beside its finished runs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.ingest.samples import ingest, row

if TYPE_CHECKING:
    from pathlib import Path

SHAPE = {"n_layer": 8, "d_model": 512, "n_head": 8, "vocab_size": 50304, "seq_len": 1024,
         "d_ff": 2048, "tied": True, "gated": False}  # fmt: skip
N = 8 * (4 * 512**2 + 2 * 512 * 2048) + 50304 * 512


def curve(**facts: object) -> str:
    config = {"event": "config", **facts, "batch_tokens": 131072, "max_steps": 60}
    rows = [{"event": "train", "step": n, "loss": 5 - n / 60} for n in range(1, 61)]
    return "".join(json.dumps(each) + "\n" for each in (config, *rows))


def test_a_record_before_the_curve_has_shape_and_length(tmp_path: Path) -> None:
    done = ingest(tmp_path / "s", {"a.jsonl": curve(**SHAPE)}, "title: t\n")
    run = row(done.runs, "run", "a")
    assert (run["params_total"], run["tokens"], run["status"]) == (N, 60 * 131072, "finished")
    assert (run["layers"], run["d_model"], run["seq_len"]) == (8, 512, 1024)


@pytest.mark.parametrize(
    "facts", [{"d_model": 512, "n_params": 5e7}, {"n_layer": 8, "d_model": 0.5, "n_params": 5e7}]
)
def test_a_width_alone_is_no_shape(tmp_path: Path, facts: dict[str, float]) -> None:
    done = ingest(tmp_path / "s", {"a.jsonl": curve(**facts)}, "title: t\n")
    assert row(done.runs, "run", "a")["d_model"] is None


def test_each_finished_run_has_its_own_shape(tmp_path: Path) -> None:
    lines = [f"r{i},{2**i * 1e7},{2**i * 1e8},{4 - i / 9},{i + 2},{64 * i + 64}" for i in range(5)]
    content = "\n".join(["name,params,tokens,val_loss,n_layers,hidden_size", *lines, ""])
    done = ingest(tmp_path / "s", {"t.csv": content}, "title: t\n")
    assert done.runs.sort("run")["layers"].to_list() == [2, 3, 4, 5, 6]
    assert done.runs.sort("run")["d_model"].to_list() == [64, 128, 192, 256, 320]


def test_a_width_that_changes_along_a_curve_is_none_of_its_model(tmp_path: Path) -> None:
    lines = [f"{n},{5 - n / 60},{n * 1e6},{n % 3 + 1},64,1e7" for n in range(1, 61)]
    content = "\n".join(["step,loss,tokens,depth,dim,n_params", *lines, ""])
    rules = "title: t\nfacts: {schedule: {kind: constant}}\n"
    assert row(ingest(tmp_path / "s", {"a.csv": content}, rules).runs, "run", "a")["layers"] is None
