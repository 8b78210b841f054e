"""Losses that no cross-entropy is, told of the runs that have them."""

from __future__ import annotations

from typing import NamedTuple

import polars as pl


class Impossible(NamedTuple):
    """Losses of a run that are none."""

    losses: int
    words: str
    """How many, and the first."""
    no_other: bool
    """Whether the run has no other loss."""


def impossible_losses(records: pl.DataFrame) -> dict[str, Impossible]:
    """Tell of losses that are none, for each run that has some."""
    loss = pl.coalesce("train_loss", pl.when("primary").then("value"))
    told = (
        records.group_by("run")
        .agg(
            count=pl.col("impossible").count(),
            first=pl.col("impossible").drop_nulls().first(),
            step=pl.col("step").filter(pl.col("impossible").is_not_null()).first(),
            losses=loss.is_finite().sum(),
        )
        .filter(pl.col("count") > 0)
    )
    return {
        row["run"]: Impossible(
            row["count"],
            f"{row['count']} losses of 0 or below, which no cross-entropy is (first: "
            f"{row['first']:g} at step {row['step']})",
            row["losses"] == 0,
        )
        for row in told.iter_rows(named=True)
    }
