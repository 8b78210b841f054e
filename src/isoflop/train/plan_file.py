"""The plan of a sweep: everything a run needs, in one YAML file that people can read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import yaml

from isoflop.config.reading import Section, read_yaml
from isoflop.counting import Architecture, FlopsConvention
from isoflop.errors import ConfigError
from isoflop.files import write_text
from isoflop.train.design import TrainCorpus, TrainEvaluation, TrainOptimizer, TrainTokenizer

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

    run: str
    role: Role
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


class Plan(Section):
    """All runs of a sweep, and what they share."""

    format: Literal["isoflop-plan"]
    version: Literal[1]
    sweep: str
    flops_convention: FlopsConvention
    corpus: TrainCorpus
    tokenizer: TrainTokenizer
    optimizer: TrainOptimizer
    evaluation: TrainEvaluation
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
    content = plan.model_dump(mode="json")
    note = "# Written by `isoflop plan-sweep`; the design is in config.yaml, section sweep.\n"
    write_text(path, note + yaml.safe_dump(content, sort_keys=False, width=100))
