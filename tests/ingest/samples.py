"""Raw logs made to order, for the tests of ingest and losses."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from isoflop.config.ingest import IngestSettings
from isoflop.ingest.sweep import Ingested, ingest_sweep

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

RECORD = IngestSettings()
ONE_CURVE = IngestSettings.model_validate({"gates": {"duplicate": {"action": "off"}}})
"""For tests whose runs share one made-up curve."""
TOKENS_PER_STEP = 256
SHAPE = {
    "layers": 2, "d_model": 16, "heads": 2, "d_head": 8, "d_ff": 64, "vocab_size": 256,
    "seq_len": 64, "tied": True, "gated": False,
}  # fmt: skip
PARAMS = {"total": 10368, "nonembedding": 6272, "with_head": 10368}
OLMO_TABLE = """
table:
  rows: points
  columns:
    step: _step
    tokens: throughput/total_tokens
    eval_loss: eval/c4_en-validation/CrossEntropyLoss
"""
"""The map of the genuine histories of OLMo's ladder."""
OLMO_LADDER = f"""
title: OLMo's ladder
{OLMO_TABLE}
facts: {{schedule: {{kind: unknown}}}}
runs:
"""
"""A sweep.yaml for the genuine histories of OLMo's ladder; rules for N by run go behind it."""


def loss_at(step: float) -> float:
    """A smooth curve that any reader must give back."""
    return 1.5 + 4.0 / math.sqrt(1.0 + step)


def header(run: str, *, steps: int, **changes: Any) -> dict[str, Any]:
    """The header of the project's own trainer."""
    return {
        "kind": "header",
        "format": "isoflop-train",
        "version": 1,
        "run": run,
        "sweep": "made-up",
        "role": "fit",
        "budget": 1e12,
        "architecture": {**SHAPE, "qk_norm": True},
        "params": PARAMS,
        "tokens_per_step": TOKENS_PER_STEP,
        "steps": steps,
        "tokens": steps * TOKENS_PER_STEP,
        "schedule": {
            "kind": "cosine", "warmup_steps": 2, "steps": steps, "lr_peak": 0.01, "lr_end": 0.001,
        },
        "flops_per_token": {"6nd": 62208.0},
        "flops_convention": "6nd",
        "corpus": {"name": "novels", "sha256": "0" * 64, "train_tokens": 10**8},
        "tokenizer": {"kind": "bytes", "vocab_size": 256},
        "seed": 0,
    } | changes  # fmt: skip


def train_line(step: int, loss: float | None = None) -> dict[str, Any]:
    return {
        "kind": "train",
        "step": step,
        "tokens": step * TOKENS_PER_STEP,
        "train_loss": loss_at(step - 0.5) if loss is None else loss,
        "lr": 0.005,
        "grad_norm": 1.25,
        "tokens_per_second": 5e4,
    }


def eval_line(step: int, loss: float | None = None) -> dict[str, Any]:
    value = loss_at(step) if loss is None else loss
    return {
        "kind": "eval",
        "step": step,
        "tokens": step * TOKENS_PER_STEP,
        "eval_set": "validation",
        "loss": value,
        "bits_per_byte": value / math.log(2),
    }


def end_line(step: int, status: str = "finished") -> dict[str, Any]:
    return {
        "kind": "end", "step": step, "tokens": step * TOKENS_PER_STEP, "status": status,
        "wall_seconds": 1.0,
    }  # fmt: skip


def run_lines(
    run: str = "a", *, steps: int = 40, every: int = 2, evals: int = 10, **changes: Any
) -> list[dict[str, Any]]:
    """A whole run: training lines, evaluations, the end."""
    lines = [header(run, steps=steps, **changes)]
    for step in range(1, steps + 1):
        if step % every == 0 or step == steps:
            lines.append(train_line(step))
        if step % max(1, steps // evals) == 0 or step == steps:
            lines.append(eval_line(step))
    return [*lines, end_line(steps)]


def jsonl(lines: Iterable[dict[str, Any]]) -> str:
    return "".join(json.dumps(line) + "\n" for line in lines)


def nanogpt(*, steps: int = 200, resumed: bool = False) -> str:
    """What nanoGPT prints, `steps` being its max_iters and lr_decay_iters."""
    lines = [
        "Overriding: n_layer = 2",
        "Overriding: n_head = 2",
        "Overriding: n_embd = 16",
        "Overriding: block_size = 64",
        f"Overriding: lr_decay_iters = {steps}",
        "Overriding: learning_rate = 0.001  # fifty times Adam's eps",
        "tokens per iteration will be: 1,024",
        "found vocab_size = 65 (inside data/shakespeare_char/meta.pkl)",
        "Resuming training from out" if resumed else "Initializing a new model from scratch",
        "number of parameters: 0.01M",
        "num decayed parameter tensors: 10, with 8,208 parameters",
        "num non-decayed parameter tensors: 5, with 80 parameters",
    ]
    for step in range(0, steps + 1, 10):
        if step % 50 == 0:
            lines.append(
                f"step {step}: train loss {loss_at(step):.4f}, val loss {loss_at(step):.4f}"
            )
        lines.append(f"iter {step}: loss {loss_at(step):.4f}, time 20.00ms, mfu 1.00%")
    return "\n".join(lines) + "\n"


def write(folder: Path, files: dict[str, str | bytes], sidecar: str | None = "title: t\n") -> Path:
    """Write a sweep's folder; give it back."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            path.write_text(content, encoding="utf-8")
    folder.mkdir(parents=True, exist_ok=True)
    if sidecar is not None:
        (folder / "sweep.yaml").write_text(sidecar, encoding="utf-8")
    return folder


def ingest(
    folder: Path,
    files: dict[str, str | bytes],
    sidecar: str | None = "title: t\n",
    *,
    settings: IngestSettings = RECORD,
    **options: Any,
) -> Ingested:
    """Write a sweep's folder and ingest it."""
    return ingest_sweep(write(folder, files, sidecar), settings, **options)


def row(table: Any, key: str, value: str) -> dict[str, Any]:
    """The one row of a table whose key has a value."""
    found: list[dict[str, Any]] = [r for r in table.iter_rows(named=True) if r[key] == value]
    assert len(found) == 1, (key, value, found)
    return found[0]
