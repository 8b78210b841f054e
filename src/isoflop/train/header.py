"""The header of a raw log: everything about a run that is known before its first step."""

from __future__ import annotations

import platform
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import torch

from isoflop.counting import COMPUTED_FLOPS
from isoflop.train.errors import TrainingError
from isoflop.train.model import INITIALISATION
from isoflop.train.pack import autocasts

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from isoflop.train.corpus import Split
    from isoflop.train.evaluation import HeldOut
    from isoflop.train.plan_file import Plan, PlannedRun
    from isoflop.train.tokenizer import Tokenized

FORMAT = "isoflop-train"
VERSION = 2
"""2: seeds of weights and order apart, schedules by kind, branches, eval sets by name, packs."""
SAME = (
    "run",
    "architecture",
    "params",
    "steps",
    "tokens_per_step",
    "schedule",
    "optimizer",
    "seed",
    "weights_seed",
    "order_seed",
    "branch",
    "corpus",
    "tokenizer",
    "eval",
    "dtype",
)
"""Facts of a header that must not change while a log is continued."""


def identity(run: PlannedRun) -> str:
    """Say what a run is, without what it is for: a plan may sort and name its runs anew."""
    return run.model_dump_json(exclude={"role", "sized_by", "purpose", "stage", "branches"})


def planned_facts(plan: Plan, run: PlannedRun) -> dict[str, Any]:
    """Give the part of a header that follows from the plan alone."""
    branch = None if run.trunk is None else {"trunk": run.trunk, "step": run.trunk_step}
    return {
        "run": run.run,
        "sweep": plan.sweep,
        "role": run.role,
        "sized_by": run.sized_by,
        "budget": run.budget,
        "purpose": run.purpose,
        "architecture": run.architecture.model_dump(),
        "params": run.params.model_dump(),
        "tokens_per_step": run.tokens_per_step,
        "steps": run.steps,
        "tokens": run.tokens,
        "schedule": {
            "kind": run.schedule,
            "warmup_steps": run.warmup_steps,
            "steps": run.steps,
            "decay_steps": run.decay_steps,
            "lr_peak": run.lr_peak,
            "lr_end": run.lr_end,
        },
        "branch": branch,
        "branches": list(run.branches),
        "optimizer": {"kind": "adamw", **plan.optimizer.model_dump()},
        "seed": run.seed,
        "weights_seed": run.seed_of_weights,
        "order_seed": run.seed_of_order,
    }


def header(
    plan: Plan,
    run: PlannedRun,
    *,
    split: Split,
    data: Tokenized,
    held_out: HeldOut,
    epochs: float,
    device: torch.device,
    packed_with: int,
    compiled: bool,
) -> dict[str, Any]:
    """Build the header of a run's log.

    Parameters
    ----------
    epochs : passes over the training windows that the run makes.
    packed_with : runs trained in the same process at its beginning, itself among them; speeds
        in the log are those of the run within its pack.
    """
    on_gpu = device.type == "cuda"
    return {
        "kind": "header",
        "format": FORMAT,
        "version": VERSION,
        **planned_facts(plan, run),
        "params_note": "counted from the model; norm gains count as nonembedding",
        "initialisation": INITIALISATION,
        "epochs": epochs,
        "flops_per_token": {
            convention: run.flops_per_token(convention) for convention in COMPUTED_FLOPS
        },
        "flops_convention": plan.flops_convention,
        "corpus": {
            "name": split.name,
            "sha256": split.sha256,
            "train_novels": len(split.train_names),
            "validation_novels": list(split.validation_names),
            "train_tokens": len(data.train),
            "validation_tokens": len(data.validation),
            "train_bytes": split.train_bytes,
            "validation_bytes": split.validation_bytes,
        },
        "tokenizer": data.facts,
        "eval": held_out.facts(),
        "device": torch.cuda.get_device_name(device) if on_gpu else "cpu",
        "dtype": "bfloat16 autocast" if autocasts(plan.precision, device) else "float32",
        "compiled": compiled,
        "packed_with": packed_with,
        "threads": torch.get_num_threads(),
        "software": {
            "python": platform.python_version(),
            "torch": str(torch.__version__),
            "isoflop": version("isoflop"),
        },
    }


def refuse_another_run(
    logged: Mapping[str, Any], expected: Mapping[str, Any], log_path: Path
) -> None:
    """Let a log be continued only by the run that began it.

    Parameters
    ----------
    logged : header of the log.
    expected : what the plan, and later the corpus, say; compared where a header is to agree.

    Raises
    ------
    TrainingError : they differ, or the log has another version.
    """
    if logged.get("version") != VERSION:
        raise TrainingError(
            f"{log_path}: its header has version {logged.get('version')!r}, this trainer writes "
            f"{VERSION}; move the log and its checkpoint away to train this run afresh"
        )
    differing = [key for key, value in expected.items() if key in SAME and logged[key] != value]
    if differing:
        raise TrainingError(
            f"{log_path}: was begun with another {', '.join(differing)} than the plan says now; "
            f"move the log and its checkpoint away to train this run afresh"
        )
