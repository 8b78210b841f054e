"""Tables that trainers write, by the names of their columns alone: nothing is mapped by hand."""

from __future__ import annotations

import io
import json
import math
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from isoflop.config.losses import LossesSettings
from isoflop.ingest.formats import table
from isoflop.ingest.sweep import read_sweep
from isoflop.ingest.words.names import loss_curve
from isoflop.losses.build import build_losses
from tests.ingest.samples import RECORD, ingest, row
from tests.ingest.test_formats import FIXTURES
from tests.ingest.test_nothing_silent import events

if TYPE_CHECKING:
    from pathlib import Path

SIDECAR = "title: t\nfacts: {params: {total: 1.0e+6}, schedule: {kind: constant}}\n"
STEPS = range(10, 210, 10)


def loss(step: int) -> float:
    return 2.0 + 4.0 / math.sqrt(step)


def litgpt() -> str:
    """LitGPT's CSVLogger: four iterations of accumulation a step, validation in its own rows."""
    lines = [
        "epoch,iter,iter_time,learning_rate,loss,remaining_time,step,tokens,total_tokens,val_loss"
    ]
    for step in STEPS:
        rank, every = 4 * step * 8 * 128, 4 * step * 8 * 128 * 2
        lines.append(f"0,{4 * step},0.1,0.0003,{loss(step)},9.5,{step},{rank},{every},")
        if step % 100 == 0:
            lines.append(f",,,,,,{step},,,{loss(step) + 0.1}")
    return "\n".join(lines) + "\n"


LITGPT_SETTINGS = """model_name: pythia-31m
train:
  global_batch_size: 8
  micro_batch_size: 1
  lr_warmup_steps: 10
  max_tokens: 8192000
  max_seq_length: 1024
  min_lr: 1.0e-05
optimizer: {init_args: {lr: 0.0003}}
"""


def litgpt_of_batches() -> str:
    """LitGPT's CSV as Lightning's logger writes it: its own step, `iter` less one, for LitGPT's."""
    lines = [
        "loss,iter,step,epoch,iter_time,remaining_time,tokens,total_tokens,learning_rate,val_loss"
    ]
    for step in STEPS:
        batch = 4 * step
        lines.append(
            f"{loss(step)},{batch},{batch - 1},0,0.1,9.5,{1024 * batch},{2048 * batch},3e-4,"
        )
        if step % 100 == 0:
            lines.append(f",,{batch - 1},,,,,,,{loss(step) + 0.1}")
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("long", [False, True])
def test_litgpt_s_steps_are_batches_of_an_update_and_its_max_tokens_the_schedule(
    long: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if long:
        monkeypatch.setattr(table, "LONG", 0)
    files: dict[str, str | bytes] = {
        "out/logs/csv/version_0/metrics.csv": litgpt_of_batches(),
        "out/step-00000010/hyperparameters.yaml": LITGPT_SETTINGS,
        "out/final/hyperparameters.yaml": LITGPT_SETTINGS,
    }
    # a batch of fairseq's has as many tokens, and an answer of a model
    files["fairseq.yaml"] = "{dataset: {max_tokens: 4096, batch_size: 8}, seed: 1}\n"
    sidecar = SIDECAR.replace(", schedule: {kind: constant}", "")
    tables = ingest(tmp_path / "s", files, sidecar)
    (run,) = tables.runs.rows(named=True)
    assert run["reason"] is None
    assert (run["tokens"], run["tokens_per_step"]) == (800 * 2048, 8192)
    assert run["schedule_tokens"] == 8192000
    told = tables.gates.filter(pl.col("check") == "tokens_per_step")["verdict"].to_list()
    assert told in ([], ["passed"])


def lingua() -> str:
    """Meta lingua's metrics.jsonl: keys joined by slashes."""
    rows: list[dict[str, Any]] = [
        {
            "global_step": step, "acc_step": 0, "speed/wps": 5.1e4, "speed/FLOPS": 3.0e14,
            "speed/curr_iter_time": 0.2, "optim/grad_norm": 0.5, "optim/lr": 0.0003,
            "optim/total_tokens": step * 8192, "memory/max_active_gib": 12.5,
            "loss/out": loss(step), "created_at": "2025-01-01T00:00:00",
        }
        for step in STEPS
    ]  # fmt: skip
    return "".join(json.dumps(each) + "\n" for each in rows)


def wandb_history() -> bytes:
    """The whole-history artifact of W&B: Parquet, a column a metric, null where none was logged."""
    history = pl.DataFrame(
        {
            "_step": [2 * k for k, _ in enumerate(STEPS)],
            "_runtime": [1.5 * step for step in STEPS],
            "_timestamp": [1.7e9 + step for step in STEPS],
            "train/global_step": [*STEPS],
            "train/loss": [loss(step) for step in STEPS],
            "eval/loss": [loss(step) + 0.1 if step % 100 == 0 else None for step in STEPS],
            "train/num_input_tokens_seen": [step * 8192 for step in STEPS],
        }
    )
    stream = io.BytesIO()
    history.write_parquet(stream)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "has_eval"),
    [
        ("metrics.csv", litgpt(), True),
        ("metrics.jsonl", lingua(), False),
        ("0000.parquet", wandb_history(), True),
    ],
)
def test_a_trainer_s_table_needs_no_map(
    name: str, content: str | bytes, has_eval: bool, tmp_path: Path
) -> None:
    tables = ingest(tmp_path / "s", {name: content}, SIDECAR)
    run = row(tables.runs, "run", name.partition(".")[0])
    assert not run["excluded"], run["reason"]
    assert (run["tokens"], run["tokens_source"]) == (200 * 8192, "log")
    assert tables.curves["step"].to_list() == [*STEPS]
    assert tables.curves["train_loss"].to_list() == pytest.approx([*map(loss, STEPS)], rel=1e-15)
    evals = tables.curves.filter(pl.col("eval_loss").is_not_null())
    assert evals["step"].to_list() == ([100, 200] if has_eval else [])


@pytest.mark.parametrize(
    ("fixture", "runs"),
    # two launches of one offline run are one run
    [("wandb", 2), ("trackio", 2), ("mlflow", 2), ("mlruns", 1), ("tensorboard", 2)],
)
def test_what_the_libraries_themselves_wrote_comes_to_losses(fixture: str, runs: int) -> None:
    tables = read_sweep(FIXTURES / fixture, RECORD)
    built = build_losses(tables.curves, tables.runs, tables.files, LossesSettings())
    ends = built.losses.filter("is_final").select("run", "tokens", "loss").rows()
    expected = json.loads((FIXTURES / fixture / "expected.json").read_text())
    assert len(ends) == len(expected) == runs
    for run, tokens, loss in ends:
        logged = expected[run]
        assert tokens == logged["tokens"]
        assert loss == pytest.approx(logged["last_eval_loss"], abs=1e-4)


MEAN = 4.2
"""What the HF Trainer calls `train_loss`: the mean over the whole run, told once at its end."""


def log_history(*, runs: int = 1) -> pl.DataFrame:
    """`pd.DataFrame(trainer.state.log_history)`, of some runs one below the other."""
    rows: list[dict[str, Any]] = []
    for number in range(runs):
        run = {"run": f"r{number}"} if runs > 1 else {}
        rows += [{**run, "loss": loss(step), "learning_rate": 3e-4, "step": step} for step in STEPS]
        rows.append({**run, "step": STEPS[-1], "train_runtime": 100.0, "train_loss": MEAN})
    return pl.DataFrame(rows, infer_schema_length=None)


def trainer_s(name: str, *, runs: int = 1) -> bytes:
    stream, history = io.BytesIO(), log_history(runs=runs)
    if name.endswith("csv"):
        history.write_csv(stream)
    elif name.endswith("jsonl"):
        history.write_ndjson(stream)
    elif name.endswith("parquet"):
        history.write_parquet(stream)
    else:
        curve = [(step, "loss", loss(step)) for step in STEPS]
        return events([*curve, (STEPS[-1], "train_loss", MEAN)])
    return stream.getvalue()


@pytest.mark.parametrize(
    ("name", "runs"),
    [
        *((name, runs) for name in ("h.csv", "h.jsonl", "h.parquet") for runs in (1, 3)),
        ("events.out.tfevents.1.h.1.0", 1),
    ],
)
@pytest.mark.parametrize("long", [False, True])
def test_the_mean_of_a_whole_run_is_no_curve(
    name: str, runs: int, long: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if long:
        monkeypatch.setattr(table, "LONG", 0)
    facts = SIDECAR.replace("facts: {", "facts: {tokens_per_step: 8192, ")
    tables = ingest(tmp_path / "s", {f"a/{name}": trainer_s(name, runs=runs)}, facts)
    assert tables.runs.height == runs
    for curve in tables.curves.partition_by("run"):
        assert curve["step"].to_list() == [*STEPS]
        assert curve["train_loss"].to_list() == pytest.approx([*map(loss, STEPS)], rel=1e-6)
    reason = row(tables.files, "path", f"a/{name}")["reason"]
    assert "as the mean of a whole run has: train_loss; the loss is 'loss'" in reason
    assert "though called like losses" not in reason


def test_a_loss_that_stands_first_gives_way_for_a_single_value_alone() -> None:
    assert loss_curve({"train_loss": 1, "loss": 20}) == ("loss", ["train_loss"])
    assert loss_curve({"train_loss": 2, "loss": 20}) == ("train_loss", [])
    assert loss_curve({"loss": 1, "train_loss": 1}) == ("train_loss", [])  # of finished runs
    assert loss_curve({"train_loss": 1}) == ("train_loss", [])
    assert loss_curve({"train/loss": 20, "train_loss": 1}) == ("train/loss", [])
    assert loss_curve({}) == (None, [])
