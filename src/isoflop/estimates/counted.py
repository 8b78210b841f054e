"""A loss table under an estimate's counting."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    from isoflop.estimates.estimate import Counting


def counted(losses: pl.DataFrame, counting: Counting, *, final: bool = True) -> pl.DataFrame:
    """Name the columns of a loss table by an estimate's conventions.

    Parameters
    ----------
    losses : table ``Losses``.
    counting : of the estimate.
    final : only the last point of each run.

    Returns
    -------
    Run, sized_by, params [parameter], tokens [token], flops [FLOP], loss [nat/token], budget
    [FLOP], is_final and schedule_fraction; points without N or C under these conventions are left
    out.
    """
    chosen = losses.filter(pl.col("is_final")) if final else losses
    return chosen.select(
        "run",
        "sized_by",
        pl.col(f"params_{counting.params}").alias("params"),
        "tokens",
        pl.col(f"flops_{counting.flops}").alias("flops"),
        "loss",
        "budget",
        "is_final",
        "schedule_fraction",
    ).drop_nulls(["params", "flops"])
