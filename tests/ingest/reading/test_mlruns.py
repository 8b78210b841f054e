"""A run of MLflow's file store is a folder; the files here are as MLflow 3 wrote them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl
import pytest

from isoflop.errors import ConfigError
from isoflop.ingest.reading import mlruns
from isoflop.ingest.sweep import ingest_sweep
from tests.ingest.samples import RECORD, row, write

if TYPE_CHECKING:
    from pathlib import Path

    from isoflop.ingest.sweep import Ingested

EXPERIMENT = "artifact_location: x\nexperiment_id: '12'\nlifecycle_stage: active\nname: iso\n"
SIDECAR = "title: t\nfacts: {params: {total: 8288}, tokens_per_step: 1024}\n"


def run(key: str, steps: int, *, status: int = 3, stage: str = "active") -> dict[str, str | bytes]:
    home = f"mlruns/12/{key}"
    train = "".join(f"{1000 + s} {3 - s / 100} {s}\n" for s in range(1, steps + 1))
    meta = f"lifecycle_stage: {stage}\nrun_id: {key}\nrun_name: a\nstatus: {status}\nuser_id: me\n"
    return {
        f"{home}/meta.yaml": meta,
        f"{home}/metrics/train/loss": train.replace(f"{3 - 7 / 100} 7\n", "nan 7\n"),
        f"{home}/metrics/val_loss": f"2000 2.5 {steps}\n",
        f"{home}/params/n_layer": "2",
        f"{home}/params/max_steps": f"{steps}",
        f"{home}/tags/mlflow.user": "me",
    }


def read(folder: Path, files: dict[str, str | bytes], sidecar: str = SIDECAR) -> Ingested:
    return ingest_sweep(
        write(folder, {"mlruns/12/meta.yaml": EXPERIMENT, **files}, sidecar), RECORD
    )


def test_a_folder_is_a_run(tmp_path: Path) -> None:
    tables = read(tmp_path / "s", run("0123456789abcdef", 20) | run("fedcba9876543210", 10))
    assert tables.runs.select("run", "tokens", "status", "layers").rows() == [
        ("a (0123456789ab)", 20 * 1024, "finished", 2),
        ("a (fedcba987654)", 10 * 1024, "finished", 2),
    ]
    curve = tables.curves.filter(pl.col("run") == "a (0123456789ab)")
    assert curve["train_loss"].to_list() == [
        None if step == 7 else 3 - step / 100 for step in range(1, 21)
    ]
    assert curve["eval_loss"].drop_nulls().to_list() == [2.5]
    fates = dict(tables.files.select("path", "fate").iter_rows())
    assert fates["mlruns/12/0123456789abcdef/meta.yaml"] == "used"
    assert fates["mlruns/12/0123456789abcdef/metrics/train/loss"] == "ignored"
    assert fates["mlruns/12/meta.yaml"] == "ignored"
    assert set(fates.values()) == {"used", "ignored", "facts"}
    assert "me" not in str(tables.files["reason"].to_list()).split()


def test_a_name_that_tells_two_runs_apart_is_no_name_to_change(tmp_path: Path) -> None:
    files = run("0123456789abcdef", 20) | run("fedcba9876543210", 10)
    rule = "runs: [{match: 'a (0123456789ab)', run: big}]\n"
    said = r"'a \(0123456789ab\)', .* match its file: mlruns/12/0123456789abcdef/meta.yaml"
    with pytest.raises(ConfigError, match=said):
        read(tmp_path / "s", files, SIDECAR + rule)
    by_path = rule.replace("a (0123456789ab)", "*/0123456789abcdef/*")
    assert read(tmp_path / "t", files, SIDECAR + by_path).runs["run"].to_list() == ["a", "big"]


def test_a_deleted_run_and_a_killed_one(tmp_path: Path) -> None:
    files = run("a" * 16, 20, stage="deleted") | run("b" * 16, 10, status=5)
    tables = read(tmp_path / "s", files)
    assert tables.runs.select("run", "status").rows() == [("a", "crashed")]
    path = f"mlruns/12/{'a' * 16}/meta.yaml"
    assert "deleted" in row(tables.files, "path", path)["reason"]


def test_a_changed_metric_is_read_again(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    read(folder, run("a" * 16, 20))
    first = ingest_sweep(folder, RECORD, cache=tmp_path / "c")
    again = ingest_sweep(folder, RECORD, cache=tmp_path / "c")
    assert (first.parsed, again.parsed) == (1, 0)
    metric = folder / f"mlruns/12/{'a' * 16}/metrics/val_loss"
    metric.write_text("2000 2.25 20\n")
    changed = ingest_sweep(folder, RECORD, cache=tmp_path / "c")
    assert changed.parsed == 1
    assert changed.curves["eval_loss"].drop_nulls().to_list() == [2.25]


def test_a_run_of_too_many_bytes_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mlruns, "LARGEST", 100)
    files = {"b.csv": "step,train/loss\n1,3.0\n2,2.5\n", **run("a" * 16, 20)}
    sidecar = SIDECAR.replace("}\n", ", schedule: {kind: constant}}\n")
    write(tmp_path / "s", {"mlruns/12/meta.yaml": EXPERIMENT, **files}, sidecar)
    tables = ingest_sweep(tmp_path / "s", RECORD)
    assert (
        row(tables.files, "path", f"mlruns/12/{'a' * 16}/meta.yaml")["reason"] == mlruns.TOO_LARGE
    )
    assert tables.runs["run"].to_list() == ["b"]
