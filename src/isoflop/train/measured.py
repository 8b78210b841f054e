"""What finished runs of a sweep say to its next plan: tuned rates, and the optimum of a budget."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from isoflop.errors import IsoflopError
from isoflop.train.raw_log import read_log

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


class MeasuredError(IsoflopError):
    """The finished runs do not say what the next plan needs."""


@dataclass(frozen=True)
class Finished:
    """One finished run.

    Attributes
    ----------
    budget : compute budget [FLOP]; None for a run planned by its horizon.
    params : parameters by convention total.
    rate : peak learning rate.
    loss : last validation loss [nat/token].
    """

    run: str
    role: str
    budget: float | None
    params: int
    rate: float
    seed: int
    loss: float


@dataclass(frozen=True)
class TunedSize:
    """The learning-rate grid of one size at one budget, and the best rate between its points."""

    params: int
    budget: float
    losses: dict[float, float]
    best: float | None
    """Minimum of the parabola in log rate through the lowest point and its neighbours; None where
    the lowest is at the edge of the grid."""


def finished_runs(folder: Path) -> list[Finished]:
    """Read the finished runs of a sweep from its raw logs."""
    runs = []
    for path in sorted(folder.rglob("*.jsonl")):
        records = read_log(path)
        if not records or records[-1].get("status") != "finished":
            continue
        header = records[0]
        losses = [record["loss"] for record in records if record["kind"] == "eval"]
        runs.append(
            Finished(
                run=header["run"],
                role=header["role"],
                budget=header["budget"],
                params=header["params"]["total"],
                rate=header["schedule"]["lr_peak"],
                seed=header["seed"],
                loss=losses[-1],
            )
        )
    return runs


def tuned_sizes(runs: Iterable[Finished]) -> list[TunedSize]:
    """Find the best rate of every tuned cell, from small to large.

    A cell is a size at a budget; the run of the fit in that cell belongs to its grid.
    """
    runs = [run for run in runs if run.budget is not None and run.seed == 0]
    cells = sorted({(run.params, run.budget or 0.0) for run in runs if run.role == "tuning"})
    sizes = []
    for params, budget in cells:
        losses = {
            run.rate: run.loss
            for run in sorted(runs, key=lambda run: run.rate)
            if (run.params, run.budget) == (params, budget)
        }
        best = _minimum([math.log(rate) for rate in losses], list(losses.values()))
        sizes.append(TunedSize(params, budget, losses, None if best is None else math.exp(best)))
    return sizes


def optimum_at(runs: Iterable[Finished], budget: float) -> float:
    """Size [parameters, total] of lowest loss at one budget: a parabola in log N through all sizes.

    Only the plan's own seed counts, so that every size weighs the same.

    Raises
    ------
    MeasuredError : fewer than five sizes are finished, or the valley has no bottom among them.
    """
    row = sorted(
        (run.params, run.loss)
        for run in runs
        if run.role == "fit" and run.budget == budget and run.seed == 0
    )
    if len(row) < 5:
        raise MeasuredError(
            f"budget {budget:g} has {len(row)} finished sizes, an optimum needs 5; train its runs"
        )
    x = np.log([params for params, _ in row])
    curvature, slope, _ = np.polyfit(x, [loss for _, loss in row], 2)
    bottom = -slope / (2 * curvature)
    if curvature <= 0 or not x[0] < bottom < x[-1]:
        raise MeasuredError(
            f"budget {budget:g}: the valley has no bottom between {row[0][0]:,} and "
            f"{row[-1][0]:,} parameters; add sizes beyond the lower end of it"
        )
    return math.exp(bottom)


def _minimum(x: list[float], y: list[float]) -> float | None:
    """Minimum of the parabola through the lowest of at least three points and its neighbours."""
    lowest = int(np.argmin(y))
    if not 0 < lowest < len(y) - 1:
        return None
    near = slice(lowest - 1, lowest + 2)
    curvature, slope, _ = np.polyfit(x[near], y[near], 2)
    return float(-slope / (2 * curvature))
