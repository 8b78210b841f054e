"""Lightning's CSV logs: a folder version_k a launch, and a resumed run in several."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import polars as pl
import pytest

from tests.ingest.samples import ingest, row

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

SIDECAR = "title: t\nfacts: {schedule: {kind: constant}, tokens_per_step: 512}\n"
HPARAMS = "n_params: 123456\nlearning_rate: 0.001\n"


def metrics(steps: Sequence[int], *, every_eval: int = 100) -> str:
    """What CSVLogger writes: training and validation on lines of their own, cells left empty."""
    lines = ["epoch,lr-AdamW,step,train_loss_step,val_loss"]
    for step in steps:
        loss = 2.0 + 4.0 / math.sqrt(2 + step)
        lines.append(f"{step // 500},0.001,{step},{loss:.6f},")
        if (step + 1) % every_eval == 0:
            lines.append(f"{step // 500},,{step},,{loss + 0.05:.6f}")
    return "\n".join(lines) + "\n"


FIRST, RESUMED, FRESH = range(49, 1000, 50), range(849, 2000, 50), range(49, 2000, 50)


@pytest.mark.parametrize("folder", ["", "lightning_logs/", "small/lightning_logs/"])
def test_a_resumed_run_is_one_and_the_later_launch_supersedes(folder: str, tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {
        f"{folder}version_0/metrics.csv": metrics(FIRST),
        f"{folder}version_0/hparams.yaml": HPARAMS,
        f"{folder}version_10/metrics.csv": metrics(RESUMED),
        f"{folder}version_10/hparams.yaml": HPARAMS,
        f"{folder}version_2/metrics.csv": metrics(FRESH, every_eval=200),
        f"{folder}version_2/hparams.yaml": HPARAMS.replace("0.001", "0.002"),
    }
    tables = ingest(tmp_path / "s", files, SIDECAR)
    first, other = f"{folder}version_0/metrics", f"{folder}version_2/metrics"
    assert tables.runs["run"].to_list() == [first, other]
    assert not tables.runs["excluded"].any()
    run = row(tables.runs, "run", first)
    assert (run["params_total"], run["lr_peak"], run["tokens"]) == (123456.0, 1e-3, 1999 * 512)
    curve = tables.curves.filter(pl.col("run") == first)
    assert curve.filter("superseded")["step"].to_list() == [849, 899, 949, 999]
    assert curve.filter(~pl.col("superseded"))["step"].to_list() == [*FRESH]


@pytest.mark.parametrize(
    "other",
    [FIRST, FRESH, range(99, 3000, 100), range(2499, 5000, 50)],
    ids=["again", "longer", "sparser", "beyond"],
)
def test_a_launch_that_goes_on_with_nothing_is_a_run(other: range, tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {
        "version_0/metrics.csv": metrics(FIRST),
        "version_1/metrics.csv": metrics(other, every_eval=200),
        "hparams.yaml": HPARAMS,
    }
    tables = ingest(tmp_path / "s", files, SIDECAR)
    assert tables.runs["run"].to_list() == ["version_0/metrics", "version_1/metrics"]


def test_a_launch_that_goes_on_with_other_settings_is_refused_with_both_ways_out(
    tmp_path: Path,
) -> None:
    files: dict[str, str | bytes] = {
        "version_0/metrics.csv": metrics(FIRST),
        "version_0/hparams.yaml": HPARAMS,
        "version_1/metrics.csv": metrics(RESUMED),
        "version_1/hparams.yaml": HPARAMS.replace("0.001", "0.002"),
        "whole/metrics.csv": metrics(FRESH, every_eval=300),
        "whole/hparams.yaml": HPARAMS,
    }
    tables = ingest(tmp_path / "s", files, SIDECAR)
    run = row(tables.runs, "run", "version_0/metrics")
    assert run["excluded"]
    assert "2 files call their run" in run["reason"]
    assert "version_1/metrics.csv" in run["reason"]
    ways = SIDECAR + "runs:\n- {match: 'version_*/metrics.csv', run: one}\n"
    assert ingest(tmp_path / "t", files, ways).runs["run"].to_list() == ["one", "whole/metrics"]
