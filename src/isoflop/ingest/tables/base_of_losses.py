"""The base of losses whose perplexity stands beside them: e^loss, 2^loss or 10^loss it is.

fairseq's losses are bits, and many a script of its line writes both.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple

import polars as pl

from isoflop.config.sidecar import TableColumn
from isoflop.ingest.reading.events import Remark
from isoflop.ingest.reading.refused import RefusedError
from isoflop.ingest.tables.outline import as_line, of_all_rows
from isoflop.ingest.tables.wide import as_numbers
from isoflop.ingest.words.names import unit_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from isoflop.config.sidecar import TableMap


class Base(NamedTuple):
    """What losses are logarithms to."""

    name: str
    """Of the base, before a power."""
    nats: float
    """In one unit of such a loss."""
    unit: str | None
    """In the words of `loss_unit`; None: it has no word for it."""


BASES: Final = (
    Base("e", 1.0, "nats_per_token"),
    Base("2", math.log(2.0), "bits_per_token"),
    Base("10", math.log(10.0), None),
)
LEAST: Final = 3
"""Losses with a perplexity beside them by which the base is told."""
NEAR: Final = 0.03
"""Relative difference of a loss and the logarithm of its perplexity, of rounding or averages."""
MOST: Final = 0.9
"""Share of the losses that agree with the base."""


def base_of(losses: pl.Series, perplexities: pl.Series) -> Base | None:
    """Tell the base by which losses are logarithms of perplexities; None: by none.

    Parameters
    ----------
    losses, perplexities : of the same rows; some may be unknown.
    """
    both = pl.DataFrame([losses.alias("loss"), perplexities.alias("of")]).cast(pl.Float64)
    known = pl.col("loss").is_finite() & pl.col("of").is_finite()
    both = both.filter(known, pl.col("loss") > 0.0, pl.col("of") > 1.0)
    if both.height < LEAST or both["loss"].n_unique() < LEAST:
        return None
    off = both.select(pl.col("of").log() / pl.col("loss")).to_series()
    return next(
        (base for base in BASES if ((off / base.nats - 1.0).abs() <= NEAR).mean() >= MOST),  # type: ignore[operator]
        None,
    )


def are_perplexities(names: Sequence[str]) -> list[str]:
    """List the names that mean perplexities."""
    return [name for name in names if unit_of(name) == "perplexity"]


def in_base_of_perplexity(raw: pl.DataFrame, table: TableMap) -> tuple[TableMap, list[Remark]]:
    """Take losses in the unit that a perplexity beside them tells.

    Parameters
    ----------
    raw : the rows, as they are in the file.
    table : the map.

    Returns
    -------
    The map, and what was found of losses that are no nats.

    Raises
    ------
    RefusedError : the losses of several eval sets are of several bases, or of base 10.
    """
    perplexities = are_perplexities(raw.columns)
    if not perplexities or "loss_unit" in table.columns:
        return table, []
    losses = {
        value: str(origin.column)
        for value, origin in table.columns.items()
        if value in ("train_loss", "eval_loss") and origin.column is not None
    } | {f"evals.{name}": column for name, column in table.evals.items()}
    told: dict[str, tuple[Base, str]] = {}
    for column in losses.values():
        if unit_of(column) in (None, "nats_per_token"):
            for name in perplexities:
                base = base_of(as_numbers(raw[column]), as_numbers(raw[name]))
                if base is not None and (column not in told or base is BASES[0]):
                    told[column] = base, name
    bases = {base for base, _ in told.values()}
    if not bases:
        return table, []
    words = ", ".join(
        f"{base.name}^'{column}' is '{name}'" for column, (base, name) in told.items()
    )
    common = bases.pop()
    columns = dict(table.columns)
    if not bases and common.unit is not None:
        columns["loss_unit"] = of_all_rows(common.unit)
        remarks = [] if common is BASES[0] else [Remark(f"its losses are no nats: {words}")]
        return table.model_copy(update={"columns": columns}), remarks
    columns["loss_unit"] = of_all_rows("nats_per_token")
    for value, column in losses.items():
        base = told[column][0] if column in told else common
        nats = TableColumn(formula=f'{base.nats!r} * "{column}"')
        columns["eval_loss" if value.startswith("evals.") else value] = nats
    made = table.model_copy(update={"columns": columns, "evals": {}})
    if table.evals:
        proposal = as_line(made)
        raise RefusedError(
            f"its losses are no nats, {words}, and of several eval sets one unit is that of all: "
            f"map one of them, as a formula, in sweep.yaml:\n  {proposal}",
            proposal,
        )
    return made, [Remark(f"its losses are no nats: {words}")]
