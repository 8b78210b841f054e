"""A made-up corpus and a small design, for the tests of the room that trains."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml

from isoflop.train.design import Design

if TYPE_CHECKING:
    from pathlib import Path

    from isoflop.train.plan_file import Plan, PlannedRun

NOVELS = 6
WORDS = ("the", "sea", "was", "calm", "and", "a", "grey", "ship", "lay", "at", "anchor", "still")


TRAINING = """
import sys
from pathlib import Path

import torch

from isoflop.train.plan_file import read_plan
from isoflop.train.train_run import Folders, Progress, train_runs

torch.set_num_threads(1)
folder = Path(sys.argv[1])
plan = read_plan(folder / "plan.yaml")
train_runs(
    plan,
    plan.runs,
    folders=Folders(folder / "recipes", folder / "corpora", folder / "raw", folder / "checkpoints"),
    device="cpu",
    progress=Progress(say=lambda line: print(line, flush=True), bar=False),
    checkpoint_seconds=0.2,
)
"""
"""Trains the plan of a folder, with a checkpoint every fifth of a second: to be killed."""


def novel(number: int, words: int = 3000) -> str:
    """A text with enough order in it that a tiny model can learn some of it."""
    generator = np.random.default_rng(number)
    chosen = [WORDS[i] for i in generator.integers(len(WORDS), size=words)]
    sentences = [" ".join(chosen[i : i + 8]) + "." for i in range(0, words, 8)]
    return f"NOVEL {number}\n\n" + "\n\n".join(sentences)


def write_corpus(folder: Path) -> None:
    """Write the corpus text and its recipe as the repository has them."""
    text = "".join(novel(i) + "\n\n\n" for i in range(NOVELS)).encode()
    recipe = {
        "name": "made_up",
        "title": "Made-up novels",
        "sha256": hashlib.sha256(text).hexdigest(),
        "bytes": len(text),
        "sources": [
            {
                "repository": "nobody/novels",
                "commit": "0" * 40,
                "folder": "texts",
                "address": "https://example.org/{repository}/{commit}/{path}",
                "format": "text",
                "licence": "made up",
                "files": [f"novel{i}.txt" for i in range(NOVELS)],
            }
        ],
    }
    (folder / "corpora").mkdir(parents=True)
    (folder / "recipes").mkdir()
    (folder / "corpora" / "made_up.txt").write_bytes(text)
    (folder / "recipes" / "made_up.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")


def design(**changes: Any) -> Design:
    """A small design; keyword arguments replace its keys."""
    content: dict[str, Any] = {
        "description": "made up",
        "corpus": {"name": "made_up", "holdout_every": 3},
        "tokenizer": {"kind": "bytes", "vocab_size": 256},
        "seq_len": 32,
        "tokens_per_step": 128,
        "tied": True,
        "gated": False,
        "qk_norm": False,
        "flops_convention": "6nd",
        "ladder": {"smallest": 7e3, "largest": 1.3e5, "sizes": 8, "aspect": 18, "d_head": 8},
        "budgets": [1e10, 3e10, 1e11],
        "sizes_per_budget": 5,
        "optimum": {"params": 3e4, "budget": 3e10, "exponent": 0.5},
        "learning_rate": {
            "tuned": [{"params": 5e3, "rate": 6e-3}, {"params": 2e4, "rate": 3e-3}],
            "end_share": 0.1,
            "origin": "made up",
        },
        "warmup_share": 0.02,
        "optimizer": {
            "beta1": 0.9,
            "beta2": 0.99,
            "eps": 1e-8,
            "weight_decay": 0.01,
            "grad_clip": 1.0,
        },
        "evaluation": {"windows": 64, "evaluations": 6},
        "log_lines": 20,
        "seed": 0,
        "tuning": [{"budget": 1e10, "params": [1e4], "rates": [1e-3, 2e-3]}],
        "horizons": {"span": 16, "count": 3, "near": 1.5},
        "replicates": [{"budget": 1e10, "params": [2e4], "seeds": [1]}],
        "check": {
            "budget": 3e11,
            "middle_budget": 3e10,
            "optimum_params": 3e4,
            "origin": "made up",
            "exponents": {"kaplan": 0.73, "chinchilla": 0.5},
        },
    }
    return Design.model_validate({**content, **changes})


def shortened(plan: Plan, run: PlannedRun, *, steps: int, lr_peak: float | None = None) -> Plan:
    """The plan with one run alone, cut to a number of steps."""
    peak = run.lr_peak if lr_peak is None else lr_peak
    short = run.model_copy(
        update={
            "steps": steps,
            "tokens": steps * run.tokens_per_step,
            "warmup_steps": max(1, steps // 10),
            "lr_peak": peak,
            "lr_end": peak * 0.1,
        }
    )
    return plan.model_copy(update={"runs": (short,)})
