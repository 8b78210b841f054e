"""Where along a run the validation loss is measured, and on which windows."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from isoflop.train.corpus import validation_windows

if TYPE_CHECKING:
    from torch import Tensor

    from isoflop.train.design import EvaluationSettings
    from isoflop.train.plan_file import PlannedRun
    from isoflop.train.tokenizer import Tokenized

FINAL_SET = "validation"
FIRST_SHARE = 1e-3
"""Share of a run at its first evaluation, where all are log-spaced."""
COOLDOWN_EVALUATIONS = 8
"""Evaluations of a cooldown, evenly spaced: the last fifth of a run has no decades."""


def evaluation_steps(run: PlannedRun, settings: EvaluationSettings) -> frozenset[int]:
    """Choose the steps after which to evaluate, the last included."""
    steps, count = run.steps, settings.evaluations
    if run.first_step:
        chosen = np.linspace(run.first_step, steps, COOLDOWN_EVALUATIONS + 1)[1:]
    elif settings.spacing == "log":
        chosen = np.geomspace(max(1.0, steps * FIRST_SHARE), steps, count)
    else:
        spread = np.linspace(0, steps, count // 2 + 1)[1:]
        early = np.geomspace(max(1.0, steps / 100), steps, count - len(spread) + 1)[:-1]
        chosen = np.concatenate([early, spread])
    return frozenset(max(1, round(float(step))) for step in chosen)


@dataclass(frozen=True)
class EvalSet:
    """Fixed windows of the validation split.

    Attributes
    ----------
    windows : (windows, seq_len + 1).
    tokens, bytes : what is predicted in them.
    """

    name: str
    windows: Tensor
    tokens: int
    bytes: int

    def bits_per_byte(self, loss: float) -> float:
        """Turn nats per token into bits per byte by the true bytes of the predicted tokens."""
        return loss * self.tokens / self.bytes / math.log(2.0)


@dataclass(frozen=True)
class HeldOut:
    """The eval set of the final loss, and that of the curve (the same, unless one is asked for).

    The windows of the curve are an even choice of all. Their mean differs from that of all by what
    these windows happen to be, nearly the same for every model; at the end of a run both are
    measured, which tells by how much.
    """

    final: EvalSet
    curve: EvalSet

    def sets_at(self, step: int, run: PlannedRun) -> tuple[EvalSet, ...]:
        """Which sets to measure after a step."""
        if step < run.steps or self.final is self.curve:
            return (self.curve,)
        return (self.curve, self.final)

    def facts(self) -> dict[str, Any]:
        """Give what a header says of evaluation."""
        sets = {
            chosen.name: {
                "windows": len(chosen.windows),
                "tokens": chosen.tokens,
                "bytes": chosen.bytes,
            }
            for chosen in (self.final, self.curve)
        }
        return {
            "sets": sets,
            "final": self.final.name,
            "curve": self.curve.name,
            "unit": "nats per token",
        }


def held_out(
    data: Tokenized, settings: EvaluationSettings, *, seq_len: int, device: torch.device
) -> HeldOut:
    """Cut the eval sets from the validation split."""
    rows = validation_windows(data.validation, seq_len=seq_len, windows=settings.windows)
    final = _eval_set(FINAL_SET, rows, data, device)
    if settings.curve_windows is None or settings.curve_windows >= settings.windows:
        return HeldOut(final, final)
    count = settings.curve_windows
    # the middles of equal stretches, so that the choice leans to neither end of the novels
    places = ((np.arange(count) + 0.5) * settings.windows / count).astype(np.int64)
    return HeldOut(final, _eval_set(f"{FINAL_SET}-{count}", rows[places], data, device))


def _eval_set(name: str, rows: Any, data: Tokenized, device: torch.device) -> EvalSet:
    targets = rows[:, 1:]
    return EvalSet(
        name,
        torch.from_numpy(rows).to(device),
        int(targets.size),
        int(data.bytes_per_token[targets].sum()),
    )
