"""A sweep that is a frame already: checked row by row, and laid out as table `Losses`.

All that is wrong is told at once, each with a row, its run, what stands there and what to do.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from isoflop.counting import flops_6nd
from isoflop.errors import IsoflopError
from isoflop.numbers import number_of

if TYPE_CHECKING:
    from collections.abc import Iterator

COLUMNS: Final = ("params", "tokens", "loss")
"""What a frame must have: total N, D and the loss [nat/token]."""
OPTIONAL: Final = {
    "run": pl.String,
    "budget": pl.Float64,
    "params_nonembedding": pl.Float64,
    "params_with_head": pl.Float64,
    "params_active": pl.Float64,
    "flops": pl.Float64,
    "unique_tokens": pl.Float64,
    "seed": pl.Int64,
    "lr_peak": pl.Float64,
    "tokens_per_step": pl.Float64,
    "schedule_kind": pl.String,
    "dataset": pl.String,
}
"""What it may have."""
_OF_RUN: Final = (
    "params", "params_nonembedding", "params_with_head", "params_active", "budget",
    "unique_tokens", "seed", "lr_peak", "tokens_per_step", "schedule_kind", "dataset",
)  # fmt: skip
"""What is the same in all rows of a run."""
_WORDS: Final = tuple(name for name, kind in OPTIONAL.items() if kind == pl.String)
_PARTS: Final = ("params_active", "params_nonembedding")
"""Parameters that are some of all."""
LARGEST: Final = 1e60
"""No parameters, tokens or FLOPs are more."""
_ROW: Final = "row of the frame"
COLUMNS_SHOWN: Final = 10
"""Columns that are not read and named."""
SHOWN: Final = 60
"""Characters of a cell that a message shows."""


def losses_of_frame(frame: Any, name: str) -> pl.DataFrame:
    """Lay a frame out as table `Losses`.

    Parameters
    ----------
    frame : of Polars or pandas, with `COLUMNS` and maybe `OPTIONAL`; rows of one run are its curve.
    name : of the sweep.

    Warns
    -----
    UserWarning : it has other columns, which are not read; a slip of the pen may be among them.

    Raises
    ------
    IsoflopError : it is no frame, lacks columns, or has rows that are no losses; the message names
        row (counted from 0), run, cell and remedy of each kind.
    """
    from isoflop.tables import Losses, validated

    table = as_polars(frame)
    missing = [column for column in COLUMNS if column not in table.columns]
    if missing:
        raise IsoflopError(
            f"the frame lacks {', '.join(missing)}; it needs {', '.join(COLUMNS)} and may have "
            f"{', '.join(OPTIONAL)}. Its columns: {', '.join(table.columns)}"
        )
    unread = [column for column in table.columns if column not in (*COLUMNS, *OPTIONAL)]
    if unread:
        shown = ", ".join(f"{column[:SHOWN]!r}" for column in unread[:COLUMNS_SHOWN])
        more = f" and {len(unread) - COLUMNS_SHOWN} more" if len(unread) > COLUMNS_SHOWN else ""
        warnings.warn(
            f"columns of the frame that are not read: {shown}{more}; beside {', '.join(COLUMNS)} "
            f"it may have {', '.join(OPTIONAL)}",
            stacklevel=4,
        )
    if table.is_empty():
        raise IsoflopError("the frame has no rows; each row is a finished run, or a point of one")
    if "run" not in table.columns:
        numbered = [f"run-{row:04d}" for row in range(table.height)]
        table = table.with_columns(run=pl.Series(numbered, dtype=pl.String))
    table = table.with_columns(pl.col("run").cast(pl.String)).with_row_index(_ROW)
    present = [column for column in (*COLUMNS, *OPTIONAL) if column in table.columns]
    numbers = table.select(
        _ROW,
        *(
            table[name].cast(pl.String) if name in _WORDS else _numbers(table[name])
            for name in present
        ),
    )
    if complaints := [*_wrong_cells(table, numbers), *_wrong_runs(numbers)]:
        raise IsoflopError("the frame is no sweep: " + "; ".join(complaints))
    return validated(_laid_out(numbers, name), Losses, name="the frame")


def as_polars(frame: Any) -> pl.DataFrame:
    """Give a frame of Polars.

    Raises
    ------
    IsoflopError : it is no frame.
    """
    if isinstance(frame, pl.DataFrame):
        return frame
    try:
        return pl.from_pandas(frame)
    except (TypeError, ValueError, ImportError) as error:
        raise IsoflopError(
            f"cannot read a sweep from {type(frame).__name__}: give the folder of its logs, or a "
            f"frame of Polars or pandas ({error})"
        ) from error


def _numbers(cells: pl.Series) -> pl.Series:
    """Read numbers; null for what is none. A flag is none, which Polars would take for 1."""
    if cells.dtype.is_numeric():
        return cells.cast(pl.Float64)
    if cells.dtype == pl.String:
        return cells.str.strip_chars().cast(pl.Float64, strict=False)
    return pl.Series(cells.name, [None] * len(cells), dtype=pl.Float64)


def _wrong_cells(table: pl.DataFrame, numbers: pl.DataFrame) -> Iterator[str]:
    """Say which cells of each column cannot be what the column is, by the first of them."""
    given = numbers.columns[1:]
    for column in given:
        written = table[column]
        if column == "run":
            wrong, what = written.is_null(), "no name of a run"
        elif column in _WORDS:
            continue
        else:
            known = pl.col(column)
            unfit = ~(known.is_finite() & (known.abs() < LARGEST)).fill_null(value=False)
            if column == "seed":
                unfit |= (known < 0) | (known != known.floor()) | (known >= 2**53)
                what = "a whole number from 0 on"
            else:
                unfit |= known <= 0
                what = "a number above 0"
            if column in OPTIONAL:  # a gap is no mistake where the column need not be
                unfit &= written.is_not_null()
            wrong = numbers.select(unfit.fill_null(value=True)).to_series()
            what = f"which is not {what}"
        if wrong.any():
            yield _told(table, wrong, column, what)
    for column in _PARTS:
        if column in given:
            more = (numbers[column] > numbers["params"]).fill_null(value=False)
            if more.any():
                yield _told(table, more, column, "which is more than all its params")


def _told(table: pl.DataFrame, wrong: pl.Series, column: str, what: str) -> str:
    """Tell of the first row that is wrong, and of how many there are."""
    row, run, cell = table.filter(wrong).select(_ROW, "run", pl.col(column).alias("cell")).row(0)
    rest = int(wrong.sum()) - 1
    others = f" (and {number_of(rest, 'more row')})" if rest > 0 else ""
    if column == "run":
        return f"row {row} has {what}{others}: name it, or drop the column run"
    return (
        f"row {row} (run {str(run)[:SHOWN]!r}) has {column} {str(cell)[:SHOWN]!r}, {what}{others}: "
        f"correct it, or drop the row"
    )


def _wrong_runs(numbers: pl.DataFrame) -> Iterator[str]:
    """Say which runs are several: rows of one name are a curve, of one N and rising D."""
    known = numbers.drop_nulls("run")
    for column in _OF_RUN:
        if column not in known.columns:
            continue
        counts = known.group_by("run", maintain_order=True).agg(
            pl.col(column).n_unique().alias("values"), pl.col(column).unique(maintain_order=True)
        )
        several = counts.filter(pl.col("values") > 1)
        if not several.is_empty():
            run, count, values = several.row(0)
            shown = ", ".join("none" if value is None else _shown(value) for value in values[:3])
            others = (
                f" (and {number_of(several.height - 1, 'more run')})" if several.height > 1 else ""
            )
            yield (
                f"run {str(run)[:SHOWN]!r} has {count} values of {column} ({shown}){others}: rows "
                f"of one run are its curve, so give each run a name of its own"
            )
    twice = known.filter(
        pl.struct("run", "tokens").is_duplicated() & pl.col("tokens").is_not_null()
    )
    if not twice.is_empty():
        row, run, tokens = twice.select(_ROW, "run", "tokens").row(0)
        yield (
            f"row {row} (run {str(run)[:SHOWN]!r}) has {tokens:g} tokens as another row of its "
            f"run: a curve has one loss at each, so drop one or name the runs apart"
        )


def _shown(value: float | str) -> str:
    """Write a cell as a message shows it."""
    return f"{value[:SHOWN]!r}" if isinstance(value, str) else f"{value:g}"


def _laid_out(numbers: pl.DataFrame, name: str) -> pl.DataFrame:
    """Give the columns of table `Losses`."""
    from isoflop.tables import Losses

    points = (
        numbers.with_columns(
            (pl.col(column) if column in numbers.columns else pl.lit(None)).cast(kind).alias(column)
            for column, kind in OPTIONAL.items()
        )
        .sort("run", "tokens")
        .select(
            sweep=pl.lit(name),
            run="run",
            role=pl.lit("fit"),
            params_total="params",
            params_nonembedding="params_nonembedding",
            params_with_head="params_with_head",
            params_active=pl.coalesce("params_active", "params"),
            tokens="tokens",
            flops_6nd=flops_6nd(pl.col("params"), pl.col("tokens")),
            flops_kaplan=flops_6nd(pl.col("params_nonembedding"), pl.col("tokens")),
            flops_active=flops_6nd(pl.coalesce("params_active", "params"), pl.col("tokens")),
            flops_logged="flops",
            loss="loss",
            loss_source=pl.lit("eval"),
            is_final=pl.col("tokens") == pl.col("tokens").max().over("run"),
            budget="budget",
            unique_tokens="unique_tokens",
            seed="seed",
            lr_peak="lr_peak",
            tokens_per_step="tokens_per_step",
            schedule_kind="schedule_kind",
            dataset="dataset",
        )
    )
    return points.select(
        (pl.col(column) if column in points.columns else pl.lit(None).alias(column)).cast(
            spec.dtype
        )
        for column, spec in Losses.columns().items()
    )
