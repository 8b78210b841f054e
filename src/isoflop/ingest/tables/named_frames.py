"""Frames whose columns have the names that those of a CSV file may have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from isoflop.errors import IsoflopError
from isoflop.ingest.reading.refused import RefusedError
from isoflop.ingest.tables.outline import Outline, guess
from isoflop.ingest.tables.rivals import chosen
from isoflop.ingest.tables.wide import as_numbers, in_counts

if TYPE_CHECKING:
    from isoflop.config.sidecar import TableColumn

_NAMES: Final = {
    "params.total": "params", "params.nonembedding": "params_nonembedding",
    "params.active": "params_active", "schedule.lr_peak": "lr_peak",
    "schedule.kind": "schedule_kind", "run": "run", "tokens": "tokens", "seed": "seed",
    "budget": "budget", "unique_tokens": "unique_tokens", "tokens_per_step": "tokens_per_step",
}  # fmt: skip
"""By fact of a map the column of a frame."""
_COUNTS: Final = frozenset({"params.total", "params.nonembedding", "params.active", "tokens"})


def with_known_names(raw: pl.DataFrame) -> pl.DataFrame:
    """Give a frame's columns the names that `isoflop.read` knows, where a CSV's would be taken.

    Parameters
    ----------
    raw : a row a finished run, or a point of one.

    Returns
    -------
    The frame; as it is where it has its names, or where others could mean several things.

    Raises
    ------
    IsoflopError : it has losses of several eval sets.
    """
    if {"params", "tokens", "loss"} <= {*raw.columns}:
        return raw
    try:
        table = guess(Outline.of(raw), lambda *names: bool(raw.select(names).is_duplicated().any()))
        table, _ = chosen(raw, table)
    except RefusedError:
        return raw
    columns = dict(table.columns)
    loss = columns.pop("eval_loss", None)
    if len(table.evals) > 1:
        raise IsoflopError(
            f"the frame has losses of several eval sets, {', '.join(table.evals.values())}: name "
            "one loss, and leave the others out"
        )
    loss = loss or columns.get("train_loss")
    told = {_NAMES[fact]: (fact, origin) for fact, origin in columns.items() if fact in _NAMES}
    if loss is not None:
        told["loss"] = ("loss", loss)
    told = {name: each for name, each in told.items() if each[1].column is not None}
    taken = {origin.column for _, origin in told.values()}
    rest = [name for name in raw.columns if name not in taken and name not in told]
    cells = [_cells(raw, *each).alias(name) for name, each in told.items()]
    return pl.DataFrame([*cells, *raw.select(rest).get_columns()])


def _cells(raw: pl.DataFrame, fact: str, origin: TableColumn) -> pl.Series:
    """Give a column, counts in its unit; 25M is a number where one must be."""
    cells = raw[str(origin.column)]
    if fact not in _COUNTS or (cells.dtype != pl.String and origin.scale == 1.0):
        return cells
    numbers = as_numbers(cells)
    numeric = numbers.null_count() == cells.null_count()
    return in_counts(numbers, origin.scale) if numeric else cells
