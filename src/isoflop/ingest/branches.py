"""Tables with several runs under one name that no column of names tells apart.

Of a trunk and its branches each is a run of its own, and so are runs of several schedules, one
behind the other.

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


ALIKE: Final = 0.01
"""Relative difference of learning rates that are of one schedule, written to a few digits."""
SHARED: Final = 3
"""Steps at which two attempts have a rate, from which these may be of two schedules."""
DIFFER: Final = 0.25
"""Share of these at which the rates differ: schedules of several lengths begin alike."""


def with_schedules(
    values: pl.DataFrame, stem: str, *, logged: bool
) -> tuple[pl.DataFrame, list[Remark]]:
    """Name runs of one name after their order where each begins anew, by another schedule.

    A restart has the same learning rates at the same steps.

    Parameters
    ----------
    values, stem, logged : as of `with_branches`.

    Returns
    -------
    The values, and what was done.
    """
    if logged or not {"step", "lr"} <= set(values.columns):
        return values, []
    step = as_numbers(values["step"])
    placed = values.select(ROW, pl.col("run").fill_null(""), step=step, lr=as_numbers(values["lr"]))
    known = placed.filter(pl.col("step").is_finite())
    first = pl.col("step") <= pl.col("step").first()
    anew = (first & (pl.col("step").diff() < 0)).fill_null(value=False)
    known = known.with_columns(attempt=anew.cast(pl.Int64).cum_sum().over("run"))
    repeated = known.filter((pl.col("attempt").max() > 0).over("run"))
    named: dict[int, str] = {}
    for (run,), of_run in repeated.group_by("run", maintain_order=True):
        others = {
            later
            for later in range(1, int(of_run["attempt"].max() or 0) + 1)  # type: ignore[arg-type]
            if _rates_differ(of_run, later)
        }
        block = 1
        for attempt, rows in of_run.group_by("attempt", maintain_order=True):
            block += attempt[0] in others
            named |= dict.fromkeys(rows[ROW] if others else [], f"{run or stem}-{block}")
    if not named:
        return values, []
    names = [named.get(row, run) for row, run in values.select(ROW, "run").iter_rows()]
    why = (
        f"its steps begin anew at the first, and have other learning rates then: each schedule is "
        f"a run of its own, {len({*named.values()})} in all, such as '{min(named.values())}'"
    )
    return values.with_columns(pl.Series("run", names, dtype=pl.String)), [Remark(why)]


def _rates_differ(rows: pl.DataFrame, attempt: int) -> bool:
    """Tell whether an attempt has other rates than the one before it, at the steps of both."""
    rated = rows.filter(pl.col("lr").is_finite()).select("step", "lr", "attempt")
    before, later = (
        rated.filter(attempt=each).unique("step", keep="last") for each in (attempt - 1, attempt)
    )
    both = before.join(later, on="step")
    if before["lr"].n_unique() < 2 and later["lr"].n_unique() < 2:
        return False  # a rate throughout names its run, as other settings do
    differ = (both["lr"] - both["lr_right"]).abs() > ALIKE * both["lr"].abs()
    return both.height >= SHARED and int(differ.sum()) >= DIFFER * both.height


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
