"""Rows of a table that give one step of a run two losses.

A restart makes steps anew, and its rows are told by steps that go back. Rows that differ at a step
without that are of two runs, of two eval sets or of two processes; the second would be dropped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from isoflop.config.sidecar import TableColumn
from isoflop.ingest.events import Excluded, LeftOutRows, Remark
from isoflop.ingest.names import plain
from isoflop.ingest.outline import as_line
from isoflop.ingest.refused import RefusedError
from isoflop.ingest.wall_time import COLUMNS as TIMES
from isoflop.ingest.wide import BYTES, EVALS, ROW, as_numbers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from isoflop.config.sidecar import TableMap

_LOSSES: Final = ("train_loss", "eval_loss")
_KEYS: Final = {"run": pl.String, "launch": pl.Int64, "step": pl.Float64}
OWN_STEP: Final = "_step"
"""W&B's count of what one process logged: rows that it tells apart are of one run."""
_RANKS: Final = frozenset(
    {"rank", "global_rank", "local_rank", "process", "process_index", "worker", "gpu", "device"}
)
SAME: Final = 1e-6
"""Relative difference of two losses that are one, written twice."""
RESTARTS: Final = 2
"""How often steps may go back in any curve."""
SHARE: Final = 0.2
"""Share of a curve's rows at which steps may go back: more often, two curves take turns."""
TRIED: Final = 1_000
"""Steps at which a column must tell rows apart."""


def by_time(
    rows: pl.DataFrame, values: pl.DataFrame
) -> tuple[pl.DataFrame, pl.DataFrame, list[Remark]]:
    """Put rows in the order of their times, if only so those that differ at a step are a restart's.

    Parameters as of `tell_apart`; rows are numbered anew.
    """
    time = next((name for name in rows.columns if plain(name) in TIMES), None)
    if time is None or "step" not in values.columns:
        return rows, values, []
    given = _losses_of(values)
    if _differing(given).is_empty():
        return rows, values, []
    seconds = as_numbers(rows[time])
    order = seconds.arg_sort(nulls_last=True)
    numbers = rows[ROW].sort()
    timed = values[order].with_columns(numbers)
    if seconds.null_count() or not _differing(_losses_of(timed)).is_empty():
        return rows, values, []
    remark = f"its rows were put in the order of '{time}': by that, a restart makes steps anew"
    return rows[order].with_columns(numbers), timed, [Remark(remark)]


def _losses_of(values: pl.DataFrame) -> list[pl.DataFrame]:
    """List the rows of each loss, counted by launches."""
    losses = [name for name in values.columns if name in _LOSSES or name.startswith((EVALS, BYTES))]
    known = (
        values.select("run", pl.col(ROW).cast(pl.Int64), "step", *losses)
        .with_columns([as_numbers(values[name]).alias(name) for name in ("step", *losses)])
        .filter(pl.col("step").is_finite())
    )
    if not known.select(pl.struct("run", "step").is_duplicated().any()).item():
        return []
    # losses in training and on eval sets may stand in rows of their own
    return [
        _with_launches(known.filter(pl.col(name).is_finite()).rename({name: "loss"}))
        for name in losses
    ]


def tell_apart(
    rows: pl.DataFrame, values: pl.DataFrame, table: TableMap
) -> tuple[Sequence[Remark | Excluded | LeftOutRows], Sequence[int]]:
    """Tell of rows of one step that differ, and leave out the runs that have some unexplained.

    Parameters
    ----------
    rows : as they are in the file, with `ROW`; `values`: the same, laid out as for
        `wide.curves_block`.
    table : the map.

    Returns
    -------
    What to tell, and the numbers of rows to leave out.

    Raises
    ------
    RefusedError : no run is without such rows; and a map that tells them apart, if a column does.
    """
    if "step" not in values.columns:
        return [], []
    launches = _losses_of(values)
    replaced = _replaced(launches)
    differ = _differing(launches)
    if differ.is_empty():
        return replaced, []
    names = [name for name in rows.columns if name != ROW]
    by = [name for name in names if plain(name) in _RANKS or name == OWN_STEP]
    if (process := next((name for name in by if _tells(rows, differ, name)), None)) is not None:
        others = differ.select(pl.col("rows").list.slice(1).explode())["rows"].to_list()
        why = f"of steps that other rows of their run have, by their '{process}': the first counts"
        return [LeftOutRows(len(others), why), *replaced], others
    reasons = _reasons(rows, differ, table)
    if differ["run"].n_unique() < values["run"].n_unique():
        return [*(Excluded(why, run) for run, (why, _) in reasons.items()), *replaced], []
    raise RefusedError(*next(iter(reasons.values())))


def _with_launches(known: pl.DataFrame) -> pl.DataFrame:
    """Count how often steps went back; where that is too often for restarts, never."""
    back = (pl.col("step").diff() < 0).over("run").fill_null(value=False)
    counted = known.with_columns(back.cast(pl.Int64).cum_sum().over("run").alias("launch"))
    most = pl.col("launch").max().over("run")
    turns = (most > RESTARTS) & (most > SHARE * pl.len().over("run"))
    return counted.with_columns(pl.when(turns).then(0).otherwise("launch").alias("launch"))


def _differing(launches: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """List the steps whose rows differ: run, step, the rows, and their losses."""
    pieces = [pl.DataFrame(schema={**_KEYS, "rows": pl.List(pl.Int64), "losses": pl.List(float)})]
    for rows in launches:
        of_step = rows.group_by("run", "launch", "step", maintain_order=True).agg(
            pl.col(ROW).alias("rows"), pl.col("loss").alias("losses")
        )
        span = pl.col("losses").list.max() - pl.col("losses").list.min()
        pieces.append(of_step.filter(span > SAME * pl.col("losses").list.max().abs()))
    return pl.concat(pieces).unique(["run", "launch", "step"], keep="first", maintain_order=True)


def _replaced(launches: Sequence[pl.DataFrame]) -> list[Remark]:
    """Count the rows that those of a later launch replace."""
    numbers: set[int] = set()
    for rows in launches:
        begins = rows.group_by("run", "launch").agg(pl.col("step").min().alias("begins"))
        begins = begins.sort("run", "launch", descending=True)
        lowest = pl.col("begins").cum_min().over("run").shift(1).over("run")
        later = rows.join(
            begins.with_columns(lowest.alias("from")), on=["run", "launch"], nulls_equal=True
        )
        numbers.update(later.filter(pl.col("step") >= pl.col("from"))[ROW])
    if not numbers:
        return []
    return [
        Remark(f"{len(numbers)} rows replaced by later ones, which make their steps anew: restarts")
    ]


def _tells(rows: pl.DataFrame, differ: pl.DataFrame, column: str) -> bool:
    """Tell whether a column differs between all rows of each step."""
    cells = dict(rows.select(ROW, column).iter_rows())
    return all(
        None not in (told := [cells[row] for row in each]) and len({*told}) == len(told)
        for each in differ["rows"].head(TRIED)
    )


def _naming(rows: pl.DataFrame, differ: pl.DataFrame, table: TableMap) -> str | None:
    """Find a column that tells the rows apart, and is neither a measure nor a count of rows."""
    mapped = {*_measures(table)}
    for name in rows.columns:
        if name == ROW or name in mapped or plain(name) in TIMES:
            continue
        repeated = rows[name].drop_nulls().n_unique() * 2 <= rows.height
        if repeated and _tells(rows, differ, name):
            return name
    return None


def _measures(table: TableMap) -> list[str]:
    """List the columns that are measured at each step, or count on with it."""
    facts = {"run", "params.total", "params.active", "params.nonembedding"}
    names = [each.column for value, each in table.columns.items() if value not in facts]
    return [name for name in [*names, *table.evals.values(), *table.bits_per_byte.values()] if name]


def _reasons(
    rows: pl.DataFrame, differ: pl.DataFrame, table: TableMap
) -> dict[str, tuple[str, str]]:
    """Say by run what differs and how its rows are told apart, and propose the map for that."""
    column, proposal = _naming(rows, differ, table), ""
    if column is None:
        way = (
            "say in sweep.yaml which is of which run, by a column that names it under "
            "table.columns.run, or leave rows out under table.exclude"
        )
    else:
        columns = {"run": _both(rows, table.columns.get("run"), column), **table.columns}
        columns["run"] = _both(rows, table.columns.get("run"), column)
        proposal = as_line(table.model_copy(update={"columns": columns}))
        way = (
            f"'{column}' tells them apart; if it is of runs, say so in sweep.yaml, and if it is "
            f"of eval sets, give each a column:\n  {proposal}"
        )
    reasons = {}
    for (run,), steps in differ.group_by("run", maintain_order=True):
        _, _, step, places, losses = steps.row(0)
        named = f"run '{run}': " if run else ""
        told = " and ".join(
            f"{loss:g} in row {row}" for row, loss in zip(places, losses, strict=True)
        )
        reasons[str(run)] = (
            f"{named}{steps.height} steps have rows with different losses, first step {step:g} "
            f"({told}), and no restart before it: rows of two runs, or of two eval sets; {way}",
            proposal,
        )
    return reasons


def _both(rows: pl.DataFrame, run: TableColumn | None, column: str) -> TableColumn:
    """Name runs by a column, behind the name that they have."""
    if run is None or run.column is None:
        return TableColumn(column=column)
    cells = rows[column]
    counts = cells.dtype.is_numeric() and bool((cells.drop_nulls() % 1 == 0).all())
    told = f'CAST("{column}" AS BIGINT)' if counts else f'"{column}"'
    return TableColumn(formula=f"CONCAT(\"{run.column}\", '-', {told})")
