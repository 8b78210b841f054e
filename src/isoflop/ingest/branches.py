"""Tables with a trunk and its branches under one name: of each branch a run of its own.

A run with a constant rate is decayed from several of its steps. What a column calls a trunk and
what it calls a decay have rows of the same steps, and a restart has no such column. A branch's D is
that of its whole training, the trunk's part included, as in logs of its own.
"""

from __future__ import annotations

import re
from typing import Final

import polars as pl

from isoflop.ingest.cells import as_text
from isoflop.ingest.events import Remark
from isoflop.ingest.names import plain
from isoflop.ingest.one_step import axis_of
from isoflop.ingest.wide import ROW, as_numbers

LEAST: Final = 2
"""Steps of a run that a trunk and a branch have both, from which they are such."""
APART: Final = 3.0
"""Usual distances of rows, beyond which the rows of a label are of two branches."""
MOST: Final = 256
"""Labels that a column may have."""
_WORDS: Final = r"trunk|branch|stable|decay|cool_?-?down|anneal|fork"


def with_branches(
    rows: pl.DataFrame, values: pl.DataFrame, stem: str, *, logged: bool
) -> tuple[pl.DataFrame, list[Remark], set[str]]:
    """Name the branches of runs after the column that tells them from their trunks.

    Parameters
    ----------
    rows : as they are in the file, with `ROW`; `values`: the same, laid out as for
        `wide.curves_block`.
    stem : names the run of a file whose runs have no names.
    logged : whether a tracker logged each run's rows by itself, which then has no branches.

    Returns
    -------
    The values, what was done, and the column that says it.
    """
    column = next((name for name in rows.columns if _may_tell(rows[name])), None)
    if column is None or logged:
        return values, [], set()
    placed = values.select(
        pl.col(ROW),
        pl.col("run").fill_null(""),
        step=as_numbers(values[axis_of(values)]),
        label=_labels(rows[column]),
    )
    known = placed.filter(pl.col("step").is_finite())
    shared = known.group_by("run", "step").agg(pl.col("label").n_unique())
    shared = shared.filter(pl.col("label") > 1).group_by("run").len()
    divided = shared.filter(pl.col("len") >= LEAST)["run"].to_list()
    if not divided:
        return values, [], set()
    usual = known.sort("run", "step").select(pl.col("step").diff().over("run").alias("gap"))
    gap = usual.filter(pl.col("gap") > 0)["gap"].median()
    # rows of one label that lie apart are of branches from two steps
    begins = (pl.col("step").diff() > APART * pl.lit(gap)).fill_null(value=False)
    blocks = known.sort("run", "label", "step").with_columns(
        block=begins.cast(pl.Int64).cum_sum().over("run", "label")
    )
    blocks = blocks.with_columns(
        first=pl.col("step").min().over("run", "label", "block"),
        several=pl.col("block").max().over("run", "label") > 0,
    )
    named = {
        row: f"{run or stem}-{label}" + (f"-{as_text(first)}" if several else "")
        for row, run, label, first, several in blocks.filter(pl.col("run").is_in(divided))
        .select(ROW, "run", "label", "first", "several")
        .iter_rows()
    }
    names = [named.get(row, run) for row, run in values.select(ROW, "run").iter_rows()]
    count = len({*named.values()})
    why = (
        f"'{column}' tells branches from the trunks whose steps they have, too: each is a run of "
        f"its own, {count} in all, such as '{min(named.values())}'"
    )
    return values.with_columns(pl.Series("run", names, dtype=pl.String)), [Remark(why)], {column}


def _may_tell(cells: pl.Series) -> bool:
    """Tell whether a column may say which rows are of a trunk, and which of a branch."""
    if cells.name == ROW or not 1 < cells.n_unique() <= MOST:
        return False
    if re.search(_WORDS, plain(cells.name)) and "weight" not in plain(cells.name):
        return True
    if cells.dtype != pl.String:
        return False
    return cells.drop_nulls().unique().str.to_lowercase().str.contains(_WORDS).any()


def _labels(cells: pl.Series) -> pl.Series:
    """Write a column's cells as parts of names; an empty one is the trunk's."""
    words = {cell: as_text(cell) for cell in cells.unique().drop_nulls()}
    told = cells.replace_strict(words, default=None, return_dtype=pl.String)
    return told.fill_null("trunk").replace("", "trunk").alias("label")
