"""Losses in bits per byte: nats per token where a token's bytes are known, else asked for."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest

from isoflop.config.losses import LossesSettings
from isoflop.ingest.sweep import MissingFactError, ingest_sweep
from isoflop.losses.build import build_losses
from tests.ingest.samples import RECORD, row, write

if TYPE_CHECKING:
    from pathlib import Path

BYTES = 4.8
STEPS = range(1, 41)


def bits(step: int) -> float:
    return 0.9 + 0.5 / step


def table(*, head: str = "step,val_bpb") -> str:
    return head + "\n" + "".join(f"{step},{bits(step):.6f}\n" for step in STEPS)


def modded() -> str:
    return "".join(
        f"step:{step}/40 val_loss:{3 + 1 / step:.4f} val_bpb:{bits(step):.4f} train_time:{step}ms\n"
        for step in STEPS
    )


def evaluations() -> str:
    return "".join(f"Step {step:05d} | Validation bpb: {bits(step):.4f}\n" for step in STEPS)


def nanochat() -> str:
    return "".join(
        f"Step {step:05d} | Validation bpb: {bits(step):.4f}\n"
        f"step {step:05d}/00040 (2.50%) | loss: {3 + 1 / step:.6f} | lrm: 1.00 | dt: 9.00ms | "
        f"tok/sec: 1,000 | mfu: 1.00 | total time: 0.10m\n"
        for step in STEPS
    )


def sidecar(**facts: Any) -> str:
    lines = {"params": "{total: 1.0e+6}", "tokens_per_step": 1000, "schedule": "{kind: constant}"}
    return "title: t\nfacts:\n" + "".join(f"  {k}: {v}\n" for k, v in (lines | facts).items())


@pytest.mark.parametrize("head", ["step,val_bpb", "step,eval/bits_per_byte", "step,eval/c4/bpb"])
def test_a_table_of_bits_per_byte_alone_asks_for_a_tokens_bytes(head: str, tmp_path: Path) -> None:
    files = {"a.csv": table(head=head)}
    with pytest.raises(MissingFactError, match=r"bytes_per_token: <bytes>"):
        ingest_sweep(write(tmp_path / "no", files, sidecar=sidecar()), RECORD)
    folder = write(tmp_path / "yes", files, sidecar=sidecar(bytes_per_token=BYTES))
    tables = ingest_sweep(folder, RECORD)
    expected = [round(bits(step), 6) * math.log(2.0) * BYTES for step in STEPS]
    assert tables.curves["eval_loss"].to_list() == pytest.approx(expected)
    built = build_losses(tables.curves, tables.runs, tables.files, LossesSettings())
    final = built.losses.filter("is_final")["loss"].item()
    assert final == pytest.approx(expected[-1])


def test_a_loss_in_nats_is_taken_before_bits_per_byte(tmp_path: Path) -> None:
    text = "step,val_loss,val_bpb\n" + "".join(f"{s},{3 + 1 / s:.4f},0.9\n" for s in STEPS)
    tables = ingest_sweep(write(tmp_path, {"a.csv": text}, sidecar=sidecar()), RECORD)
    assert tables.curves["eval_loss"].max() == 4.0


def test_evaluations_in_bits_per_byte_become_losses(tmp_path: Path) -> None:
    files = {"a.log": nanochat()}
    plain = ingest_sweep(write(tmp_path / "no", files, sidecar=sidecar()), RECORD)
    assert plain.curves["eval_loss"].null_count() == plain.curves.height
    notes = row(plain.runs, "run", "a")["notes"]
    assert "its evaluations on val are bits per byte: bytes_per_token in sweep.yaml" in notes
    folder = write(tmp_path / "yes", files, sidecar=sidecar(bytes_per_token=BYTES))
    tables = ingest_sweep(folder, RECORD)
    expected = [round(bits(step), 4) * math.log(2.0) * BYTES for step in STEPS]
    evaluated = tables.curves.filter(step=40)["eval_loss"].item()
    assert evaluated == pytest.approx(expected[-1])
    assert tables.curves["eval_loss"].drop_nulls().to_list() == pytest.approx(expected)
    by_metric = {
        metric: (part["unit"].unique().to_list(), part["primary"].all())
        for (metric,), part in tables.evals.partition_by("metric", as_dict=True).items()
    }
    assert by_metric == {
        "bits_per_byte": (["bit/byte"], False), "loss": (["nat/token"], True),
    }  # fmt: skip
    cached = [ingest_sweep(folder, RECORD, cache=tmp_path / "cache") for _ in range(2)]
    assert all(each.curves.equals(tables.curves) for each in cached)


def test_evaluations_alone_ask_for_a_tokens_bytes(tmp_path: Path) -> None:
    files = {"a.log": evaluations()}
    with pytest.raises(MissingFactError, match=r"its only losses, on val, are bits per byte"):
        ingest_sweep(write(tmp_path / "no", files, sidecar=sidecar()), RECORD)
    folder = write(tmp_path / "yes", files, sidecar=sidecar(bytes_per_token=BYTES))
    assert ingest_sweep(folder, RECORD).curves["eval_loss"].drop_nulls().len() == len(STEPS)


def test_bits_per_byte_beside_a_loss_change_nothing(tmp_path: Path) -> None:
    files = {"a.log": modded()}
    for place, facts in {"no": {}, "yes": {"bytes_per_token": BYTES}}.items():
        tables = ingest_sweep(write(tmp_path / place, files, sidecar=sidecar(**facts)), RECORD)
        assert tables.curves["eval_loss"].to_list() == pytest.approx(
            [round(3 + 1 / step, 4) for step in STEPS]
        )
