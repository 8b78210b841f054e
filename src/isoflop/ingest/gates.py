"""Plausibility: what in a run contradicts itself. Nothing is dropped here; doubts become notes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from isoflop import counting

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from isoflop.ingest.facts import RunIdentity

FLOPS_RATIO: Final = (0.8, 2.5)
"""Logged FLOPs over 6ND: attention and recomputation raise it, uncounted logits lower it."""
TOKENS_TOLERANCE: Final = 0.01
"""Relative difference between logged tokens and step times tokens per step."""
PARAMS_TOLERANCE: Final = 0.3
"""Relative difference between N_nonembedding and the matrices of the stated shape."""
LEAST_LEARNT: Final = 1.0
"""A trained model is at least this far below a uniform guess, ln V [nat/token]."""
TRAIN_EVAL_GAP: Final = 1.0
"""Largest usual distance between training and eval loss at the end [nat/token]."""
HOLE: Final = 10.0
"""A distance between two lines this many times the usual one is a hole."""
REPLAY_TOLERANCE: Final = 0.5
"""Largest usual difference between a replayed training loss and the first one [nat/token]."""


MEASURES: Final = (
    "tokens", "last_step", "last_is_nan", "nans", "flops_6nd", "flops_logged", "first_train",
    "last_train", "last_eval", "tokens_off", "tokens_fall", "widest_gap", "usual_gap", "gap_end",
    "overlap",
)  # fmt: skip
"""What `curve_facts` gives of a run; all None of a run that has no curve."""


def curve_facts(curves: pl.DataFrame) -> dict[str, dict[str, Any]]:
    """Measure each run's curve for `doubts`, all runs at once.

    Parameters
    ----------
    curves : the `Curves` table, sorted, with a column tokens_per_step added.

    Returns
    -------
    By run its `MEASURES`: its end, the first and last losses, the worst contradiction of each kind.
    """
    live = curves.filter(~pl.col("superseded")).sort("run", "step", "segment")
    step_gap = pl.col("step").diff()
    counted = pl.col("step") * pl.col("tokens_per_step")
    off = ((pl.col("tokens") - counted) / counted).abs()
    has_train = pl.col("train_loss").is_not_null()
    measured = live.group_by("run", maintain_order=True).agg(
        tokens=pl.col("tokens").max(),
        last_step=pl.col("step").max(),
        last_is_nan=pl.col("is_nan").last(),
        nans=pl.col("is_nan").sum(),
        flops_6nd=pl.col("flops_6nd").max(),
        flops_logged=pl.col("flops_logged").max(),
        first_train=pl.col("train_loss").drop_nulls().first(),
        last_train=pl.col("train_loss").drop_nulls().last(),
        last_eval=pl.col("eval_loss").drop_nulls().last(),
        tokens_off=off.filter(pl.col("step") > 0).max(),
        tokens_fall=(pl.col("tokens").diff() < 0).any(),
        widest_gap=step_gap.filter(has_train).max(),
        usual_gap=step_gap.filter(has_train).median(),
        gap_end=pl.col("step")
        .filter(has_train)
        .get(step_gap.filter(has_train).arg_max(), null_on_oob=True),
    )
    overlap = _overlap(curves)
    return {
        row["run"]: {**row, "overlap": overlap.get(row["run"])}
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


def doubts(identity: RunIdentity, curve: Mapping[str, Any]) -> Iterator[str]:
    """Say what in a run is implausible.

    Parameters
    ----------
    identity : what the run is.
    curve : its entry of `curve_facts`.
    """
    yield from _doubts_of_counts(identity, curve)
    yield from _doubts_of_losses(identity, curve)
    if curve["widest_gap"] and curve["widest_gap"] > HOLE * (curve["usual_gap"] or math.inf):
        begin = curve["gap_end"] - curve["widest_gap"]
        yield f"hole: no training line between steps {begin} and {curve['gap_end']}"
    if curve["nans"] and not curve["last_is_nan"]:
        yield f"{curve['nans']} lines with NaN or infinity, finite afterwards"


def _doubts_of_counts(identity: RunIdentity, curve: Mapping[str, Any]) -> Iterator[str]:
    low, high = FLOPS_RATIO
    if curve["flops_logged"] and curve["flops_6nd"]:
        ratio = curve["flops_logged"] / curve["flops_6nd"]
        if not low <= ratio <= high:
            yield f"logged FLOPs are {ratio:.2f} times 6ND (usual: {low} to {high})"
    if curve["tokens_off"] is not None and curve["tokens_off"] > TOKENS_TOLERANCE:
        yield (
            f"tokens differ from step x tokens per step by up to {100 * curve['tokens_off']:.1f} %"
        )
    if curve["tokens_fall"]:
        yield "tokens fall from one step to a later one"
    body = identity.value("params.nonembedding")
    if identity.architecture is not None and body is not None:
        shape = counting.params_nonembedding(identity.architecture)
        if abs(body - shape) > PARAMS_TOLERANCE * shape:
            yield f"N_nonembedding {body:.4g} is far from the {shape:.4g} of its shape"


def _doubts_of_losses(identity: RunIdentity, curve: Mapping[str, Any]) -> Iterator[str]:
    last, vocabulary = curve["last_eval"], identity.value("architecture.vocab_size")
    if last is None:
        last = curve["last_train"]
    if last is not None and vocabulary and last > math.log(vocabulary) - LEAST_LEARNT:
        yield (
            f"final loss {last:.3f} is hardly below a uniform guess, "
            f"ln {vocabulary} = {math.log(vocabulary):.3f} nats"
        )
    first, train = curve["first_train"], curve["last_train"]
    if first is not None and train is not None and train > first:
        yield f"training loss rose from {first:.3f} to {train:.3f}"
    if curve["last_eval"] is not None and train is not None:
        gap = curve["last_eval"] - train
        if abs(gap) > TRAIN_EVAL_GAP:
            yield f"eval and training loss end {gap:+.2f} nats apart: another unit or text?"
    if curve["overlap"] is not None and curve["overlap"] > REPLAY_TOLERANCE:
        yield f"replayed steps differ by up to {curve['overlap']:.2f} nats: one run?"
