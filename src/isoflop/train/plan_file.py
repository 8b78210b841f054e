"""The plan of a sweep: everything a run needs, in one YAML file that people can read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import yaml
from pydantic import Field

from isoflop.config.reading import Section, read_yaml
from isoflop.counting import Architecture, FlopsConvention, flops_per_token
from isoflop.errors import ConfigError
from isoflop.files import sweep_up, write_text
from isoflop.pairs import PairWord
from isoflop.train.design import (
    CorpusSettings,
    EvaluationSettings,
    OptimizerSettings,
    Precision,
    TokenizerSettings,
)
from isoflop.train.schedule import ScheduleKind, learning_rate

if TYPE_CHECKING:
    from pathlib import Path

Role = Literal["fit", "tuning", "check"]


class PlannedShape(Section):
    """Architecture of one run."""

    layers: int
    d_model: int
    heads: int
    d_head: int
    d_ff: int
    vocab_size: int
    seq_len: int
    tied: bool
    gated: bool
    qk_norm: bool
    kv_heads: int | None = None
    """Heads of keys and of values; null: as many as heads."""

    def architecture(self) -> Architecture:
        """Give the shape as counting.py knows it: all but the norm of queries and keys."""
        return Architecture(**self.model_dump(exclude={"qk_norm"}))


class PlannedParams(Section):
    """Parameters of one run by convention; norm gains count as non-embedding."""

    total: int
    nonembedding: int
    with_head: int


class PlannedRun(Section):
    """One training."""

    run: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._@=+-]*$")
    """Its name, and its log's; on a cluster it stands in a shell's command."""
    role: Role
    sized_by: PairWord | None = None
    """Whose exponent gave a check run its size."""
    budget: float | None
    """Compute budget [FLOP] in the plan's convention; null for a run planned by its horizon."""
    purpose: str
    """Why the run is in the sweep."""
    architecture: PlannedShape
    params: PlannedParams
    tokens_per_step: int
    steps: int
    tokens: int
    flops: float
    """FLOPs of the run by the plan's convention."""
    lr_peak: float
    lr_end: float
    warmup_steps: int
    seed: int
    """Number of the replicate; the seed of weights and order too, where these are null."""
    weights_seed: int | None = None
    """Seed of the initial weights."""
    order_seed: int | None = None
    """Seed of the order of the data."""
    schedule: ScheduleKind = "cosine"
    decay_steps: int = 0
    """Updates of the last decay, of wsd and cooldown; unit: optimiser steps."""
    trunk: str | None = None
    """The run that a cooldown branches off."""
    trunk_step: int | None = None
    """Updates of the trunk at the branch; the cooldown goes on counting from there."""
    branches: tuple[int, ...] = ()
    """Updates after which a trunk keeps its state for the cooldowns."""
    stage: str = ""
    """Runs of one stage and shape are trained together; stages in the order of the plan."""

    @property
    def first_step(self) -> int:
        """Updates that the run's beginning state has seen: none, but for a cooldown."""
        return self.trunk_step or 0

    @property
    def seed_of_weights(self) -> int:
        """Seed of the initial weights."""
        return self.seed if self.weights_seed is None else self.weights_seed

    @property
    def seed_of_order(self) -> int:
        """Seed of the order of the data."""
        return self.seed if self.order_seed is None else self.order_seed

    def flops_per_token(self, convention: FlopsConvention) -> float:
        """Training FLOPs per token, by convention.

        Raises
        ------
        ConfigError : the convention is ``logged``, which no architecture gives.
        """
        flops = flops_per_token(
            convention,
            params_total=self.params.total,
            params_nonembedding=self.params.nonembedding,
            params_with_head=self.params.with_head,
            architecture=self.architecture.architecture(),
        )
        if flops is None:
            raise ConfigError(
                f"{self.run}: FLOPs by '{convention}' cannot be computed from the architecture; "
                "choose another convention"
            )
        return flops

    def rate(self, step: int) -> float:
        """Learning rate of one update, counted from 1."""
        return learning_rate(
            step,
            kind=self.schedule,
            steps=self.steps,
            warmup_steps=self.warmup_steps,
            decay_steps=self.decay_steps,
            peak=self.lr_peak,
            end=self.lr_end,
        )


class Plan(Section):
    """All runs of a sweep, and what they share."""

    format: Literal["isoflop-plan"]
    version: Literal[1]
    sweep: str
    flops_convention: FlopsConvention
    corpus: CorpusSettings
    tokenizer: TokenizerSettings
    optimizer: OptimizerSettings
    precision: Precision = "by_device"
    evaluation: EvaluationSettings
    log_lines: int
    """Training lines per run, about: every k-th step is logged."""
    runs: tuple[PlannedRun, ...]

    def run_named(self, name: str, *, source: str) -> PlannedRun:
        """Find a run, or say which there are."""
        for run in self.runs:
            if run.run == name:
                return run
        known = ", ".join(run.run for run in self.runs[:6])
        raise ConfigError(
            f"{source}: no run '{name}' among its {len(self.runs)} runs ({known}, ...). "
            f"Choose one of them, or plan again with isoflop plan-sweep."
        )


def read_plan(path: Path) -> Plan:
    """Read a plan."""
    return read_yaml(path, Plan)


def write_plan(path: Path, plan: Plan) -> None:
    """Write a plan as YAML, one block per run."""
    # what every run has by default says nothing: left out, a plan of 150 runs can still be read
    content = plan.model_dump(mode="json", exclude_defaults=True)
    note = f"# Written by `isoflop plan-sweep` from data/plans/designs/{plan.sweep}.yaml.\n"
    sweep_up(path.parent)
    write_text(path, note + yaml.safe_dump(content, sort_keys=False, width=100))
