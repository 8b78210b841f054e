"""Lightning's CSV logs: a folder version_k a launch, and a resumed run in several."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
import pytest

from isoflop.config.losses import LossesSettings
from isoflop.losses.build import build_losses
from tests.ingest.samples import ingest, row

if TYPE_CHECKING:
    from collections.abc import Sequence

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


GENUINE = Path(__file__).parent / "lightning_run"
"""What Lightning 2.6.6 wrote by its CSVLogger and its TensorBoardLogger, of two sizes.

Each was trained for 360 of 600 steps of 32 sequences of 16 tokens, and again from its checkpoint
of step 300 to the end. In the names of TensorBoard's files the machine's name is another.
"""
SIZES = {"d8": 616.0, "d16": 1328.0}
GENUINE_SIDECAR = """title: t
facts: {batch: 32, schedule: {kind: cosine}, loss_unit: nats_per_token}
runs:
  - {match: "d8/*", params: {total: 616}}
  - {match: "d16/*", params: {total: 1328}}
"""


@pytest.mark.parametrize("logger", ["csv", "tb"])
def test_a_genuine_resumed_run_comes_to_losses(logger: str, tmp_path: Path) -> None:
    files = {
        path.relative_to(GENUINE / logger).as_posix(): path.read_bytes()
        for path in (GENUINE / logger).rglob("*")
        if path.is_file()
    }
    tables = ingest(tmp_path / "s", files, GENUINE_SIDECAR)
    assert not tables.runs["excluded"].any()
    for size, params in SIZES.items():
        run = row(
            tables.runs.filter(pl.col("run").str.starts_with(f"{size}/")), "params_total", params
        )
        launches = [
            pl.read_csv(GENUINE / "csv" / size / f"version_{k}" / "metrics.csv") for k in (0, 1)
        ]
        curve = tables.curves.filter(
            pl.col("run") == run["run"], pl.col("train_loss").is_not_null()
        )
        gone, kept = curve.filter("superseded"), curve.filter(~pl.col("superseded"))
        first, second = (each.drop_nulls("train_loss") for each in launches)
        assert gone["step"].to_list() == [319, 339, 359]
        assert kept["step"].to_list() == [*range(19, 600, 20)]
        written = [*first.filter(pl.col("step") < 300)["train_loss"], *second["train_loss"]]
        assert kept["train_loss"].to_list() == pytest.approx(written, rel=1e-6)
        assert not gone["train_loss"].is_in(kept["train_loss"].implode()).any()
    built = build_losses(tables.curves, tables.runs, tables.files, LossesSettings())
    ends = (
        built.losses.filter("is_final").sort("params_total").select("params_total", "loss").rows()
    )
    last = [
        pl.read_csv(GENUINE / "csv" / size / "version_1" / "metrics.csv")["val_loss"].drop_nulls()[
            -1
        ]
        for size in SIZES
    ]
    assert ends == [
        (n, pytest.approx(loss, rel=1e-6)) for n, loss in zip(SIZES.values(), last, strict=True)
    ]
