"""What the checks of plausibility are made of: numbers of each run's curve."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl

from isoflop.spikes import heights, line_noise

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

MEASURES: Final = (
    "tokens", "last_step", "last_is_nan", "nans", "points", "flops_6nd", "flops_logged",
    "first_train", "last_train", "train_losses", "first_eval", "last_eval", "eval_losses",
    "tokens_off", "tokens_fall", "widest_gap", "usual_gap", "gap_end", "overlap", "spike",
    "decimals", "curve", "impossible",
)  # fmt: skip
"""What `measure` gives of a run; all None of a run that has no curve."""
RESOLVED: Final = 7
"""Decimals from which a loss has all that a float32 holds."""


def measure(
    curves: pl.DataFrame,
    units: Mapping[str, float | None],
    impossible: Mapping[str, tuple[int, str]],
) -> dict[str, dict[str, Any]]:
    """Measure each run's curve, all runs at once.

    Parameters
    ----------
    curves : the `Curves` table, sorted, with a column tokens_per_step added.
    units : by run, nats in a unit of its log; None where losses are not scaled so.
    impossible : by run, how many of its losses are none, and that in words.

    Returns
    -------
    By run its `MEASURES`: its end, the first and last losses, the worst contradiction of each kind.
    """
    live = curves.filter(~pl.col("superseded")).sort("run", "step", "segment")
    step_gap = pl.col("step").diff()
    counted = pl.col("step") * pl.col("tokens_per_step")
    off = ((pl.col("tokens") - counted) / counted).abs()
    has_train = pl.col("train_loss").is_not_null()
    train, evals = pl.col("train_loss").drop_nulls(), pl.col("eval_loss").drop_nulls()
    measured = live.group_by("run", maintain_order=True).agg(
        tokens=pl.col("tokens").max(),
        last_step=pl.col("step").max(),
        last_is_nan=pl.col("is_nan").last(),
        nans=pl.col("is_nan").sum(),
        points=pl.len(),
        flops_6nd=pl.col("flops_6nd").max(),
        flops_logged=pl.col("flops_logged").max(),
        first_train=train.first(),
        last_train=train.last(),
        train_losses=train.len(),
        first_eval=evals.first(),
        last_eval=evals.last(),
        eval_losses=evals.len(),
        tokens_off=off.filter(pl.col("step") > 0).max(),
        tokens_fall=-pl.col("tokens").diff().min(),
        widest_gap=step_gap.filter(has_train).max(),
        usual_gap=step_gap.filter(has_train).median(),
        gap_end=pl.col("step")
        .filter(has_train)
        .get(step_gap.filter(has_train).arg_max(), null_on_oob=True),
    )
    overlap = _overlap(curves)
    arrays = _by_run(live)
    return {
        row["run"]: {
            **row,
            "overlap": overlap.get(row["run"]),
            "spike": _highest_spike(arrays[row["run"]]),
            "decimals": _decimals(arrays[row["run"]], units.get(row["run"])),
            "curve": _told_apart(arrays[row["run"]]),
            "impossible": impossible.get(row["run"], (0, "")),
        }
        for row in measured.iter_rows(named=True)
    }


def _overlap(curves: pl.DataFrame) -> dict[str, float]:
    """Largest difference between a replayed training loss and its first value, by run."""
    steps = (
        curves.filter(pl.col("train_loss").is_not_null())
        .group_by("run", "step")
        .agg(pl.len(), spread=pl.col("train_loss").max() - pl.col("train_loss").min())
    )
    worst = steps.filter(pl.col("len") > 1).group_by("run").agg(pl.col("spread").max())
    return dict(worst.iter_rows())


@dataclass(frozen=True, slots=True)
class _Points:
    """One run's points in order.

    Attributes
    ----------
    steps, tokens, train, evals : the columns step, tokens, train_loss, eval_loss; NaN for null.
    trained, evaluated : where there is a training loss, and an eval loss.
    """

    steps: NDArray[np.int64]
    tokens: NDArray[np.float64]
    train: NDArray[np.float64]
    evals: NDArray[np.float64]
    trained: NDArray[np.bool_]
    evaluated: NDArray[np.bool_]


def _by_run(live: pl.DataFrame) -> dict[str, _Points]:
    """Divide points by run, as arrays: a frame a run takes more time than all else."""
    columns = (
        live["step"].to_numpy(),
        *(
            live[name].fill_null(float("nan")).to_numpy()
            for name in ("tokens", "train_loss", "eval_loss")
        ),
        *(live[name].is_not_null().to_numpy() for name in ("train_loss", "eval_loss")),
    )
    lengths = live.group_by("run", maintain_order=True).len()
    points, begin = {}, 0
    for run, length in lengths.iter_rows():
        points[str(run)] = _Points(*(column[begin : begin + length] for column in columns))
        begin += length
    return points


def _highest_spike(points: _Points) -> tuple[float, float, int] | None:
    """Give the highest spike of the training loss, a line's noise and the spike's step."""
    losses = points.train[points.trained]
    height = heights(losses)
    if not np.isfinite(height).any():
        return None
    place = int(height.argmax())
    return float(height[place]), line_noise(losses), int(points.steps[points.trained][place])


def _decimals(points: _Points, unit: float | None) -> tuple[int, int] | None:
    """Count the decimals that the losses need in the log's unit, and the losses counted."""
    if not unit:
        return None
    for losses, given in ((points.evals, points.evaluated), (points.train, points.trained)):
        values = losses[given] / unit
        if len(values):
            return _decimals_of(values), len(values)
    return None


def _decimals_of(values: NDArray[np.float64]) -> int:
    for decimals in range(RESOLVED):
        scaled = values * 10.0**decimals
        if (np.abs(scaled - np.round(scaled)) < 1e-9 * np.maximum(np.abs(scaled), 1.0)).all():
            return decimals
    return RESOLVED


def _told_apart(points: _Points) -> bytes | None:
    """Give a digest of the curve; None of one without a loss."""
    if not points.trained.any() and not points.evaluated.any():
        return None
    digest = hashlib.sha256()
    for column in (points.tokens, points.train, points.evals):
        digest.update(column.tobytes())
    return digest.digest()
