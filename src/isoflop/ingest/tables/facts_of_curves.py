"""What a column says of a whole curve: the length of its schedule, the unit of its losses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from isoflop.config.sidecar import TableColumn
from isoflop.ingest.reading.events import Remark
from isoflop.ingest.reading.refused import RefusedError
from isoflop.ingest.tables.outline import as_line, as_points
from isoflop.ingest.tables.shapes_of_rows import may_tell_shapes
from isoflop.ingest.tables.wide import as_numbers
from isoflop.ingest.words.names import ALL_STEPS, CROSS_ENTROPY, plain, unit_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from isoflop.config.sidecar import TableMap

LENGTHS: Final = (
    *ALL_STEPS, "lr_decay_steps", "lr_decay_iters", "schedule_steps", "num_training_steps",
)  # fmt: skip
"""Columns of the steps that a learning-rate schedule is long."""
UNITS: Final = ("loss_unit", "loss_units", "unit", "units")
"""Columns of what losses are in."""


LEAST: Final = 5
"""Rows of two losses by which it is told whether they go up and down together."""
ALONG: Final = 0.9
"""Correlation of two losses of the same batches, by how they bend; others have other noise."""
ROUNDED: Final = 0.01
"""Relative difference of two losses that are one, rounded or averaged otherwise."""
LONGEST: Final = 100.0
"""Times the steps of a run beyond which a number of steps is no length, but a limit."""


def may_tell_more(names: Sequence[str]) -> bool:
    """Tell whether a table's columns may say such a thing."""
    known = {*LENGTHS, *UNITS, *CROSS_ENTROPY}
    return may_tell_shapes(names) or any(plain(name) in known for name in names)


def with_facts_of_curves(raw: pl.DataFrame, table: TableMap) -> tuple[TableMap, list[Remark]]:
    """Map further facts of runs that a table of curves repeats in their rows.

    Parameters
    ----------
    raw : the rows, as they are in the file.
    table : the map by names.

    Returns
    -------
    The map, and what was taken.

    Raises
    ------
    RefusedError : a loss goes along with its cross entropy, but may have less than that in it; and
        the maps that say which is meant.
    """
    columns, remarks = dict(table.columns), []
    if (entropy := _entropy_in(raw, table)) is not None:
        more = columns["train_loss"].column
        columns["train_loss"] = TableColumn(column=entropy)
        remarks.append(
            Remark(f"train_loss: '{entropy}' and not '{more}', which has other terms beside it")
        )
    if (unit := _unit_in(raw, table)) is not None and "loss_unit" not in columns:
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


def _entropy_in(raw: pl.DataFrame, table: TableMap) -> str | None:
    """Find the cross entropy that a loss in training has other terms beside.

    It stands in every row that the loss has, above which it never is, and goes up and down with it,
    batch by batch; what was measured elsewhere does not.

    Raises
    ------
    RefusedError : it goes up and down with the loss, and is above it: the loss may weigh it.
    """
    loss = table.columns.get("train_loss")
    if table.rows != "points" or loss is None or loss.column is None:
        return None
    used = {each.column for each in table.columns.values()}
    for name in raw.columns:
        if plain(name) not in CROSS_ENTROPY or name in used:
            continue
        both = pl.DataFrame(
            [as_numbers(raw[loss.column]).alias("loss"), as_numbers(raw[name]).alias("entropy")]
        ).filter(pl.col("loss").is_not_null())
        more = both["loss"] - both["entropy"]
        if both.is_empty() or more.null_count() or not (more != 0).any():
            continue
        if (more < 0).any():
            if _weighs(both):
                _ask_for_entropy(table, name)
            continue
        apart, along = (each.diff().abs().median() for each in (more, both["loss"]))
        if isinstance(apart, float) and isinstance(along, float) and apart <= along / 2:
            return name
    return None


def _weighs(both: pl.DataFrame) -> bool:
    """Tell whether a loss goes up and down with its entropy, batch by batch, but is another."""
    apart = ((both["loss"] - both["entropy"]).abs() / both["loss"].abs()).median()
    if both.height < LEAST or not isinstance(apart, float) or apart <= ROUNDED:
        return False
    # by ranks of bends, since any two losses fall together, and most at first
    bends = both.select(pl.all().diff().diff().rank()).drop_nulls()
    alike = bends.select(pl.corr("loss", "entropy")).item()
    return isinstance(alike, float) and alike >= ALONG


def _ask_for_entropy(table: TableMap, name: str) -> None:
    """Ask which of two losses is meant; the entropy is proposed.

    Raises
    ------
    RefusedError : always.
    """
    loss = table.columns["train_loss"].column
    ways = [
        as_points(
            table.model_copy(
                update={"columns": {**table.columns, "train_loss": TableColumn(column=column)}}
            )
        )
        for column in (name, loss)
    ]
    raise RefusedError(
        f"'{loss}' goes up and down with '{name}', row by row, but is below it, as a sum that "
        f"weighs it against other terms is: if '{name}' is the cross entropy of training, in nats, "
        f"say so in sweep.yaml:\n  {ways[0]}\n; or, if '{loss}' is:\n  {ways[1]}",
        ways[0],
    )


def _unit_in(raw: pl.DataFrame, table: TableMap) -> TableColumn | None:
    """Find the column of what losses are in, by run, where all that it says is known.

    Raises
    ------
    RefusedError : some of it is known, and some is not.
    """
    for name in raw.columns:
        if plain(name) not in UNITS or raw[name].dtype != pl.String:
            continue
        cells = raw[name].drop_nulls().unique().sort().to_list()
        known = {cell: unit for cell in cells if (unit := unit_of(cell)) is not None}
        if not known:
            continue
        if all(known.get(cell) == cell for cell in cells):
            return TableColumn(column=name)
        units = {cell: known.get(cell, "<nats_per_token or bits_per_token>") for cell in cells}
        texts = [(cell.replace("'", "''"), unit) for cell, unit in units.items()]
        whens = " ".join(f"WHEN '{cell}' THEN '{unit}'" for cell, unit in texts)
        told = TableColumn(formula=f'CASE "{name}" {whens} END')
        if len(known) == len(cells):
            return told
        proposal = as_line(
            table.model_copy(update={"columns": {**table.columns, "loss_unit": told}})
        )
        raise RefusedError(
            f"'{name}' says '{next(iter(known))}' of some losses, and of others what is no unit "
            f"that is known: say in sweep.yaml what these are in:\n  {proposal}",
            proposal,
        )
    return None


def _is_length(raw: pl.DataFrame, table: TableMap, name: str) -> bool:
    """Tell whether a column has one value for each run, and no step of it goes beyond."""
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
            pl.col("length").drop_nulls().n_unique().alias("lengths"),
            pl.col("length").drop_nulls().first(),  # a record before the curve may have it alone
            pl.col("step").max() * step.scale,
        )
    )
    within = pl.col("length").is_between(pl.col("step"), LONGEST * pl.col("step"))
    known = of_runs.filter(pl.col("lengths") == 1, within)
    known = known.filter(pl.col("length") > 0, pl.col("length") == pl.col("length").floor())
    return known.height == of_runs.height > 0
