"""What a column says of a whole curve: the length of its schedule, the unit of its losses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from isoflop.config.sidecar import TableColumn
from isoflop.ingest.events import Remark
from isoflop.ingest.names import ALL_STEPS, plain, unit_of
from isoflop.ingest.wide import as_numbers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from isoflop.config.sidecar import TableMap

LENGTHS: Final = (
    *ALL_STEPS, "lr_decay_steps", "lr_decay_iters", "schedule_steps", "num_training_steps",
)  # fmt: skip
"""Columns of the steps that a learning-rate schedule is long."""
UNITS: Final = ("loss_unit", "loss_units", "unit", "units")
"""Columns of what losses are in."""


def may_tell_more(names: Sequence[str]) -> bool:
    """Tell whether a table's columns may say such a thing."""
    return any(plain(name) in {*LENGTHS, *UNITS} for name in names)


def with_facts_of_curves(raw: pl.DataFrame, table: TableMap) -> tuple[TableMap, list[Remark]]:
    """Map further facts of runs that a table of curves repeats in their rows.

    Parameters
    ----------
    raw : the rows, as they are in the file.
    table : the map by names.

    Returns
    -------
    The map, and what was taken.
    """
    columns, remarks = dict(table.columns), []
    if (unit := _unit_in(raw)) is not None and "loss_unit" not in columns:
        columns["loss_unit"] = unit
    if table.rows == "points" and not any(each.startswith("schedule.") for each in columns):
        used = {origin.column for origin in columns.values()}
        lengths = (n for n in raw.columns if plain(n) in LENGTHS and n not in used)
        length = next((name for name in lengths if _is_length(raw, table, name)), None)
        if length is not None:
            columns["schedule.steps"] = TableColumn(column=length)
            remarks.append(
                Remark(f"schedule.steps: '{length}', the same in all rows of a run, is its length")
            )
    return table.model_copy(update={"columns": columns}), remarks


def _unit_in(raw: pl.DataFrame) -> TableColumn | None:
    """Find the column of what losses are in where it says the same in all rows, and it is known."""
    for name in raw.columns:
        if plain(name) not in UNITS or raw[name].dtype != pl.String:
            continue
        cells = raw[name].drop_nulls().unique().to_list()
        unit = unit_of(cells[0]) if len(cells) == 1 else None
        if unit is not None and unit == cells[0]:
            return TableColumn(column=name)
        if unit is not None and "'" not in cells[0]:
            return TableColumn(formula=f"REPLACE(\"{name}\", '{cells[0]}', '{unit}')")
    return None


def _is_length(raw: pl.DataFrame, table: TableMap, name: str) -> bool:
    """Tell whether a column is the same in all rows of a run, and no step of it goes beyond."""
    run, step = (table.columns.get(each) for each in ("run", "step"))
    if step is None or step.column is None or (run is not None and run.column is None):
        return False
    rows = pl.DataFrame(
        [as_numbers(raw[step.column]).alias("step"), as_numbers(raw[name]).alias("length")]
    )
    names = pl.lit("") if run is None else raw[str(run.column)]
    of_runs = (
        rows.with_columns(run=names)
        .group_by("run")
        .agg(
            pl.col("length").n_unique().alias("lengths"),
            pl.col("length").first(),
            pl.col("step").max() * step.scale,
        )
    )
    known = of_runs.filter(pl.col("lengths") == 1, pl.col("length") >= pl.col("step"))
    known = known.filter(pl.col("length") > 0, pl.col("length") == pl.col("length").floor())
    return known.height == of_runs.height > 0
