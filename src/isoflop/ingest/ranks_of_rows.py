"""Tables in which every rank wrote a row for each step: whose tokens its count is of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from isoflop.config.sidecar import TableColumn
from isoflop.ingest.events import Remark
from isoflop.ingest.names import plain
from isoflop.ingest.outline import as_points
from isoflop.ingest.refused import RefusedError
from isoflop.ingest.wide import as_numbers

if TYPE_CHECKING:
    from isoflop.config.sidecar import TableMap

RANKS: Final = ("rank", "global_rank", "process_index")
"""Columns of ranks; a local one counts anew on every machine."""
_OF_STEPS: Final = frozenset({"tokens_per_step", "batch"})


def rank_column(rows: pl.DataFrame) -> str | None:
    """Find the column that says which of several ranks wrote a row."""
    names = (name for name in rows.columns if plain(name) in RANKS)
    return next((name for name in names if rows[name].drop_nulls().n_unique() > 1), None)


def with_tokens_of_ranks(
    rows: pl.DataFrame, values: pl.DataFrame, table: TableMap, *, guessed: bool
) -> tuple[pl.DataFrame, list[Remark]]:
    """Add the tokens that ranks count apart, each in a row of its own.

    Parameters
    ----------
    rows : as they are in the file.
    values : the same, laid out as for `wide.curves_block`.
    table : the map; `guessed`: whether names gave it.

    Raises
    ------
    RefusedError : all ranks count alike, which may be the tokens of one of them or of all; and the
        maps that say which.
    """
    column = rank_column(rows)
    tokens = table.columns.get("tokens")
    if column is None or not {"step", "tokens"} <= set(values.columns):
        return values, []
    if tokens is None or tokens.column is None:
        return values, []
    placed = values.select(
        run=pl.col("run").fill_null(""),
        step=as_numbers(values["step"]),
        tokens=as_numbers(values["tokens"]),
    ).with_columns(rank=rows[column].cast(pl.String))
    ranks = placed["rank"].drop_nulls().n_unique()
    # a restart writes a step of a rank once more
    last = placed.unique(["run", "step", "rank"], keep="last")
    of_steps = last.group_by("run", "step").agg(
        pl.len().alias("rows"), pl.col("tokens").n_unique().alias("counts"), pl.col("tokens").sum()
    )
    of_all = of_steps.filter(pl.col("rows") == ranks)
    if of_all.height * 2 <= of_steps.height:
        return values, []  # the column is of something else
    if (of_all["counts"] > 1).any():
        summed = placed.join(of_steps, on=["run", "step"], how="left", maintain_order="left")
        words = f"tokens are the sum of those of {ranks} ranks, which '{column}' tells apart"
        return values.with_columns(summed["tokens_right"].alias("tokens")), [Remark(words)]
    if guessed and not _OF_STEPS & table.columns.keys() and not tokens.has_unit:
        columns = (
            {**table.columns, "tokens": TableColumn(column=tokens.column, scale=scale)}
            for scale in (ranks, 1)
        )
        of_one, of_each = (as_points(table.model_copy(update={"columns": c})) for c in columns)
        raise RefusedError(
            f"all {ranks} values of '{column}' have the same '{tokens.column}' at a step: if each "
            f"rank counts its own, say so in sweep.yaml:\n  {of_one}\n; or, if it counts those of "
            f"all ranks:\n  {of_each}",
            of_one,
        )
    return values, []
