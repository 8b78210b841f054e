"""Tables in which every rank wrote a row for each step: whose tokens its count is of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from isoflop.config.sidecar import TableColumn
from isoflop.ingest.reading.events import Remark
from isoflop.ingest.reading.refused import RefusedError
from isoflop.ingest.tables.outline import as_points, some
from isoflop.ingest.tables.tokens_of_job import Job
from isoflop.ingest.tables.wide import as_numbers
from isoflop.ingest.words.names import plain

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from isoflop.config.sidecar import TableMap

RANKS: Final = ("rank", "global_rank", "process_index")
"""Columns of the ranks of a whole job."""
LOCAL: Final = ("local_rank", "process", "worker", "gpu", "device")
"""Columns of what a rank runs on, which may count anew on every machine, or change at a restart."""
_NODES: Final = ("node", "node_rank", "host", "hostname", "machine")
_OF_STEPS: Final = frozenset({"tokens_per_step", "batch"})


def rank_column(rows: pl.DataFrame) -> str | None:
    """Find the column that says which of several ranks wrote a row."""
    able = {each[-1] for each in ranks_by(rows)}
    names = [name for each in (RANKS, LOCAL) for name in rows.columns if plain(name) in each]
    names = [name for name in names if name in able]
    return next((name for name in names if rows[name].drop_nulls().n_unique() > 1), None)


def ranks_by(rows: pl.DataFrame) -> list[tuple[str, ...]]:
    """List what may say which rank wrote a row: a column, or a local rank and its machine.

    Ranks count from 0: those of adapters (64, 128) are settings of runs.
    """
    nodes = [name for name in rows.columns if plain(name) in _NODES]
    by: list[tuple[str, ...]] = []
    for name in rows.columns:
        if plain(name) in {*RANKS, *LOCAL} and _least(rows[name]) in {0, None}:
            by.append((name,))
            if nodes and plain(name) in LOCAL:
                by.append((*nodes, name))
    return by


def _least(cells: pl.Series) -> float | None:
    """Give the lowest number of a column; None where cells are no numbers."""
    numbers = as_numbers(cells)
    least = None if numbers.null_count() > cells.null_count() else numbers.min()
    return float(least) if isinstance(least, int | float) else None


def _labels(rows: pl.DataFrame, column: str) -> pl.Series:
    """Name the rank of each row; a local one stands behind its machine's name."""
    by = max((each for each in ranks_by(rows) if each[-1] == column), key=len)
    return rows.select(
        pl.concat_str([pl.col(name).cast(pl.String) for name in by], separator=" ")
    ).to_series()


def _lacks_some(ranks: pl.Series) -> bool:
    """Tell whether ranks that are numbers leave some out."""
    numbers = as_numbers(ranks.drop_nulls().unique())
    return numbers.null_count() == 0 and numbers.max() != numbers.len() - 1


def with_tokens_of_ranks(
    rows: pl.DataFrame, values: pl.DataFrame, table: TableMap, *, guessed: bool
) -> tuple[pl.DataFrame, list[Remark]]:
    """Add the tokens that ranks count apart, each in a row of its own.

    A run of which rows are missing, so that no sum is known, loses its tokens: those of a step are
    asked for.

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
    jobs = _jobs(values, _labels(rows, column))
    several = {run: job for run, job in jobs.items() if job.ranks > 1}
    if plain(column) not in RANKS:  # a restart may run on another machine
        several = {run: job for run, job in several.items() if 2 * job.shared > job.steps}
    if not several or (not guessed and tokens.scale in {job.ranks for job in several.values()}):
        return values, []  # of something else, or sweep.yaml says how many count alike
    shared = sum(job.shared for job in several.values())
    apart = sum(job.apart for job in several.values())
    if 2 * apart > shared or (not tokens.has_unit and any(job.divides for job in several.values())):
        known = {} if _lacks_some(rows[column]) else several
        return _summed(values, column, jobs, known)
    if not guessed or _OF_STEPS & table.columns.keys() or tokens.has_unit:
        return values, []
    counts = {job.ranks for job in jobs.values()}
    if len(counts) > 1 or not shared:
        why = f"'{column}' says which rank wrote a row, but not whose '{tokens.column}' it counts"
        return _without(values, several, why)
    ranks = counts.pop()
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


def _placed(values: pl.DataFrame) -> pl.DataFrame:
    """Read run and step of rows, by which sums are put back."""
    return values.select(run=pl.col("run").fill_null(""), step=as_numbers(values["step"]))


def _jobs(values: pl.DataFrame, ranks: pl.Series) -> dict[str, Job]:
    """Count the tokens of each run, by the rows of its latest launch at each step."""
    counts = _placed(values).with_columns(tokens=as_numbers(values["tokens"]), rank=ranks)
    counts = counts.drop_nulls().filter(pl.col("tokens") > 0)
    falls = (pl.col("step").diff() < 0).fill_null(value=False)
    counts = counts.with_columns(launch=falls.cum_sum().over("run", "rank"))
    last = counts.filter(pl.col("launch") == pl.col("launch").max().over("run", "step"))
    last = last.unique(["run", "step", "rank"], keep="last", maintain_order=True)
    groups = last.group_by("run", maintain_order=True)
    return {str(run): Job.of(each.drop("run", "launch")) for (run,), each in groups}


def _summed(
    values: pl.DataFrame, column: str, jobs: Mapping[str, Job], several: Mapping[str, Job]
) -> tuple[pl.DataFrame, list[Remark]]:
    """Put the tokens of all ranks into the rows of each run, where they are known."""
    known = [
        job.tokens.select(run=pl.lit(run), step="step", tokens="tokens")
        for run, job in several.items()
        if job.tokens is not None
    ]
    # beside runs of several ranks, one of whose rows have a rank alone may be cut short as well
    unknown = [run for run in jobs if run not in several or several[run].tokens is None]
    told: list[Remark] = []
    if known:
        sums = pl.concat(known)
        placed = _placed(values).join(sums, on=["run", "step"], how="left", maintain_order="left")
        values = values.with_columns(tokens=placed["tokens"])
        counts = sorted({job.ranks for run, job in several.items() if run not in unknown})
        told.append(
            Remark(
                f"tokens are the sum of those of {' or '.join(map(str, counts))} ranks, which "
                f"'{column}' tells apart"
            )
        )
    if not unknown:
        return values, told
    why = f"not all ranks that '{column}' tells apart have a row of each step, up to the last one"
    values, left = _without(values, unknown, why)
    return values, [*told, *left]


def _without(
    values: pl.DataFrame, runs: Collection[str], why: str
) -> tuple[pl.DataFrame, list[Remark]]:
    """Leave tokens of runs unread, and say why."""
    of_these = pl.col("run").fill_null("").is_in([*runs])
    tokens = as_numbers(values["tokens"]).alias("tokens")
    unread = values.with_columns(tokens).with_columns(
        tokens=pl.when(of_these).then(None).otherwise("tokens")
    )
    of_runs = f" of {some(sorted(runs))}" if any(runs) else ""
    words = (
        f"tokens{of_runs} are not read: {why}, so what all ranks had is not known; D takes the "
        f"tokens of a step of all ranks, in sweep.yaml: tokens_per_step"
    )
    return unread, [Remark(words)]
