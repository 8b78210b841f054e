"""Shapes of models that rows tell: layers, widths and heads beside what was logged of each run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from isoflop.config.sidecar import TableColumn
from isoflop.ingest.reading.settings import FLAGS, NAMES
from isoflop.ingest.tables.wide import as_numbers
from isoflop.ingest.words.names import plain

if TYPE_CHECKING:
    from collections.abc import Iterable

    from isoflop.config.sidecar import TableMap

_SHAPE: Final = {fact: names for fact, names in NAMES.items() if fact.startswith("architecture.")}
_NEEDED: Final = ("architecture.layers", "architecture.d_model")
"""Facts without which `dim` or `heads` may be of anything."""


def may_tell_shapes(names: Iterable[str]) -> bool:
    """Tell whether a table's columns may say what shape models have."""
    words = {*map(plain, names)}
    return all(not words.isdisjoint(_SHAPE[fact]) for fact in _NEEDED)


def with_shapes(raw: pl.DataFrame, table: TableMap) -> TableMap:
    """Map columns of shapes, of which each run has one.

    Parameters
    ----------
    raw : the rows, as they are in the file.
    table : the map by names.
    """
    if not may_tell_shapes(raw.columns):
        return table
    used = {origin.column for origin in table.columns.values()}
    by_plain = {plain(name): name for name in reversed(raw.columns) if name not in used}
    run = table.columns.get("run")
    of_runs = None if run is None or run.column is None else run.column
    told = {}
    for fact, names in _SHAPE.items():
        name = next((by_plain[each] for each in names if each in by_plain), None)
        if name is None or fact in table.columns or not _can_be(fact, raw[name]):
            continue
        if table.rows == "runs" or _is_of_runs(raw, name, of_runs):
            told[fact] = TableColumn(column=name)
    if not {*_NEEDED} <= told.keys():
        return table
    return table.model_copy(update={"columns": {**table.columns, **told}})


def _can_be(fact: str, cells: pl.Series) -> bool:
    """Tell whether every filled cell can be of the shape of a model."""
    if fact in FLAGS:
        words = {*cells.drop_nulls().cast(pl.String).str.to_lowercase()}
        return bool(words) and words <= {"true", "false"}
    numbers = as_numbers(cells)
    known = numbers.drop_nulls()
    integral = bool(((known > 0) & (known == known.floor()) & known.is_finite()).all())
    return known.len() > 0 and integral and numbers.null_count() == cells.null_count()


def _is_of_runs(raw: pl.DataFrame, name: str, run: str | None) -> bool:
    """Tell whether a column has one value for each run; a record before the curve has it alone."""
    groups = raw.group_by(pl.lit("") if run is None else pl.col(run))
    return bool((groups.agg(pl.col(name).drop_nulls().n_unique())[name] <= 1).all())
