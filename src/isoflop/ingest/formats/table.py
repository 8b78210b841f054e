"""Generic tables: CSV, Parquet or JSON lines, with a column map in sweep.yaml.

Published sweeps come in through here: tables of curves (a row per point) and of finished runs (a
row per run, N, D, L). A value is a column, scaled, or an SQL formula over columns, so that D can be
C / (6 N). Tables are read whole; they are small beside logs.
"""

from __future__ import annotations

import csv
import difflib
import io
import json
from typing import TYPE_CHECKING, Any, Final

import polars as pl
from pydantic import ValidationError

from isoflop.config.sidecar import TABLE_POINT_VALUES, RunFacts
from isoflop.ingest.events import (
    Ended,
    Evaluation,
    Event,
    Excluded,
    Facts,
    LeftOutRows,
    Point,
    Remark,
    Truncated,
    Unread,
)
from isoflop.ingest.numbers import SUFFIXES, finite, number, step_number
from isoflop.ingest.refused import RefusedError
from isoflop.ingest.sidecar import facts_from_values

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from isoflop.config.sidecar import TableColumn, TableMap
    from isoflop.ingest.source import RawFile

VERSION = 1
EVAL_SET: Final = "table"
"""Name of the eval set: a column has none of its own."""

_PARQUET: Final = b"PAR1"
_TRAINING: Final = ("train_loss", "lr", "grad_norm", "tokens_per_second", "flops")
_ROW: Final = "__row__"
_EXAMPLE = """table:
    rows: runs                 # or points: a row per point of a curve
    columns: {params.total: N, tokens: D, eval_loss: loss}"""


def read(file: RawFile, table: TableMap | None) -> Iterator[Event]:
    """Yield what the table says; see `formats.Reader`."""
    raw, problems = _frame(file, table)
    yield from problems
    if table is None:
        raise RefusedError(
            f"looks like a table with columns {', '.join(raw.columns)}, but sweep.yaml has no "
            f"'table:' for it. Add one, such as:\n  {_EXAMPLE}"
        )
    _check_columns(raw, table)
    kept, excluded = _divide(raw.with_row_index(_ROW, offset=1), table)
    gone = raw.height - kept.height - sum(rows.height for _, rows in excluded)
    if gone:
        yield LeftOutRows(gone, f"not selected by {table.select}")
    stem = file.stem.rpartition("/")[2]
    if table.rows == "points":
        yield from _curves(_values(kept, table, stem=stem))
        yield from (LeftOutRows(rows.height, reason) for reason, rows in excluded)
        return
    yield from _finished_runs(_values(kept, table, stem=stem))
    for reason, rows in excluded:
        for row in _values(rows, table, stem=stem):
            yield from _finished_runs([row])
            yield Excluded(reason, row["run"])


def _frame(file: RawFile, table: TableMap | None) -> tuple[pl.DataFrame, list[Event]]:
    """Read the file's rows; cells are numbers where a whole column is."""
    if file.sample().startswith(_PARQUET):
        try:
            return pl.read_parquet(io.BytesIO(file.content())), []
        except pl.exceptions.PolarsError as error:
            raise RefusedError(f"not a whole Parquet file: {error}") from error
    lines = file.lines()
    first = next((line for line in lines if line.strip()), "")
    if first.lstrip().startswith("{"):
        names, rows, problems = _json_rows([first, *lines])
    else:
        names, rows, problems = _csv_rows([first, *lines])
    columns = {name: [row.get(name) for row in rows] for name in names}
    # a column that names runs stays text: run 0010 is not run 10
    text = table.columns["run"].column if table and "run" in table.columns else None
    made = [_column(name, cells, text=name == text) for name, cells in columns.items()]
    return pl.DataFrame(made), problems


def _json_rows(lines: Sequence[str]) -> tuple[list[str], list[dict[str, Any]], list[Event]]:
    """Read JSON lines; nested keys are joined by dots."""
    rows: list[dict[str, Any]] = []
    problems: list[Event] = []
    for line in lines:
        if not line.strip() and line.endswith("\n"):
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            record = None
        if isinstance(record, dict):
            rows.append(dict(_flat(record)))
        else:
            problems.append(Unread() if line.endswith("\n") else Truncated())
    return list(dict.fromkeys(name for row in rows for name in row)), rows, problems


def _flat(record: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in record.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _csv_rows(lines: Sequence[str]) -> tuple[list[str], list[dict[str, Any]], list[Event]]:
    """Read CSV by the separator that its head has most of; short rows are unread."""
    head = lines[0]
    separator = max(",;\t", key=head.count)
    problems: list[Event] = []
    rows: list[dict[str, Any]] = []
    names: list[str] = []
    reader = csv.reader(lines, delimiter=separator)
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            break
        except csv.Error:
            problems.append(Unread())
            continue
        if not names:
            names = _unique(cells)
        elif len(cells) == len(names):
            rows.append(dict(zip(names, cells, strict=True)))
        elif any(cells):
            whole = lines[reader.line_num - 1].endswith("\n")
            problems.append(Unread() if whole else Truncated())
    if rows and not lines[-1].endswith("\n"):
        problems.append(Remark("its last row has no line end; if the file was cut, so was a value"))
    return names, rows, problems


def _unique(names: Sequence[str]) -> list[str]:
    """Name columns uniquely; an unnamed one, such as a pandas index, is column_<place>."""
    unique: list[str] = []
    for place, name in enumerate(names, start=1):
        stripped = name.strip() or f"column_{place}"
        unique.append(f"{stripped}_{place}" if stripped in unique else stripped)
    return unique


def _column(name: str, cells: Sequence[Any], *, text: bool) -> pl.Series:
    """Make a column of numbers if every filled cell is one; 2.8B stays text, for formulas."""
    filled = [cell for cell in cells if cell is not None and str(cell).strip()]
    plain = not text and not any(str(cell).strip()[-1] in SUFFIXES for cell in filled)
    numbers = [number(cell) for cell in cells] if plain else []
    if filled and sum(value is not None for value in numbers) == len(filled):
        return pl.Series(name, numbers, dtype=pl.Float64)
    texts = [None if cell is None or not str(cell).strip() else str(cell) for cell in cells]
    return pl.Series(name, texts, dtype=pl.String)


def _check_columns(raw: pl.DataFrame, table: TableMap) -> None:
    """Refuse a table that lacks a column the map names."""
    missing = []
    for value, origin in table.columns.items():
        if origin.column is not None and origin.column not in raw.columns:
            near = difflib.get_close_matches(origin.column, raw.columns, n=1)
            hint = f" (did you mean '{near[0]}'?)" if near else ""
            missing.append(f"'{origin.column}'{hint} for {value}")
    if missing:
        raise RefusedError(
            f"lacks the column {', '.join(missing)}, which sweep.yaml names under table.columns; "
            f"it has: {', '.join(raw.columns)}"
        )
    if not {"eval_loss", "train_loss"} & table.columns.keys():
        raise RefusedError("sweep.yaml maps no loss: add eval_loss or train_loss to table.columns")
    if table.rows == "points" and not {"tokens", "step"} & table.columns.keys():
        raise RefusedError("sweep.yaml maps neither tokens nor step under table.columns")
    if table.rows == "runs" and "tokens" not in table.columns:
        raise RefusedError(
            "sweep.yaml maps no tokens under table.columns; where a table has N and C only, D "
            'follows: tokens: {formula: \'"C" / (6 * "N")\'}'
        )


def _sql(expression: str, raw: pl.DataFrame, what: str) -> pl.Series:
    """Evaluate an SQL expression over the table's columns."""
    try:
        return raw.select(pl.sql_expr(expression).alias("value"))["value"]
    except pl.exceptions.PolarsError as error:
        first = str(error).splitlines()[0]
        raise RefusedError(
            f"{what} in sweep.yaml, {expression!r}: {first}; columns are: "
            f"{', '.join(name for name in raw.columns if name != _ROW)}"
        ) from error


def _divide(
    raw: pl.DataFrame, table: TableMap
) -> tuple[pl.DataFrame, list[tuple[str, pl.DataFrame]]]:
    """Divide rows into those that are read, and those left out, by reason."""
    if table.select is not None:
        raw = raw.filter(_condition(table.select, raw, "table.select"))
    excluded = []
    for rule in table.exclude:
        out = _condition(rule.where, raw, "table.exclude")
        if out.any():
            excluded.append((rule.reason, raw.filter(out)))
            raw = raw.filter(~out)
    return raw, excluded


def _condition(expression: str, raw: pl.DataFrame, what: str) -> pl.Series:
    """Evaluate an SQL condition; a row for which it is unknown does not meet it."""
    result = _sql(expression, raw, what)
    if result.dtype != pl.Boolean:
        raise RefusedError(f"{what} in sweep.yaml, {expression!r}, is no condition")
    if result.len() != raw.height:
        raise RefusedError(f"{what} in sweep.yaml, {expression!r}, gives no value per row")
    return result.fill_null(value=False)


def _values(raw: pl.DataFrame, table: TableMap, *, stem: str) -> list[dict[str, Any]]:
    """Compute the mapped values of each row, by our names; `run` is always there."""
    columns = {name: _value(origin, name, raw) for name, origin in table.columns.items()}
    if "run" not in columns:
        single = table.rows == "points"
        columns["run"] = [stem if single else f"{stem}-{row:04d}" for row in raw[_ROW]]
    rows = [dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]
    return [row | {"run": _name(row["run"])} for row in rows if row["run"] is not None]


def _value(origin: TableColumn, name: str, raw: pl.DataFrame) -> list[Any]:
    """Compute one value for all rows."""
    if origin.formula is not None:
        series = _sql(origin.formula, raw, f"table.columns.{name}")
        if series.len() != raw.height:
            series = series.new_from_index(0, raw.height) if series.len() == 1 else series
        cells = series.to_list()
    else:
        cells = raw[str(origin.column)].to_list()
    if origin.scale == 1.0:
        return cells
    numbers = [number(cell) for cell in cells]
    return [None if value is None else value * origin.scale for value in numbers]


def _name(cell: object) -> str:
    """Name a run by its cell; a whole number shows no decimals."""
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return str(cell)


def _facts(row: dict[str, Any]) -> RunFacts:
    """Turn a row's values other than its point into facts."""
    said = {
        name: value
        for name, value in row.items()
        if name not in TABLE_POINT_VALUES and value is not None
    }
    try:
        return facts_from_values(said)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise RefusedError(
            f"run '{row['run']}': {where}: {first['msg']} (found {first['input']!r})"
        ) from error


def _finished_runs(rows: Sequence[dict[str, Any]]) -> Iterator[Event]:
    """Yield a run per row."""
    for row in rows:
        if point := list(_point(row, step=1)):
            yield Facts(_facts(row), row["run"])
            yield from point
            yield Ended("finished", row["run"])
        else:
            yield Unread()


def _curves(rows: Sequence[dict[str, Any]]) -> Iterator[Event]:
    """Yield a curve per run."""
    runs: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        runs.setdefault(row["run"], []).append(row)
    bare = 0
    for run, points in runs.items():
        yield from (Facts(said, run) for said in _distinct_facts(points))
        for row in _with_steps(points):
            step = step_number(row["step"])
            events = list(_point(row, step=step)) if step is not None else [Unread()]
            bare += not events
            yield from events
    if bare:
        yield LeftOutRows(bare, "no loss or no tokens in the mapped columns")


def _distinct_facts(rows: Sequence[dict[str, Any]]) -> list[RunFacts]:
    """Give the facts of a run's rows; more than one if they contradict each other."""
    names = [name for name in rows[0] if name not in TABLE_POINT_VALUES]
    distinct = {tuple(str(row[name]) for name in names): row for row in rows}
    return [_facts(row) for row in distinct.values()]


def _with_steps(rows: Sequence[dict[str, Any]]) -> Sequence[dict[str, Any]]:
    """Put points in order, and count them in order of D where the table has no steps."""
    if "step" in rows[0]:
        steps = [finite(row["step"]) for row in rows]
        # a step that comes twice is a restart, told by the order of the rows
        repeats = len(set(steps)) < len(steps)
        return rows if repeats else sorted(rows, key=lambda row: finite(row["step"]) or 0.0)
    ordered = sorted(rows, key=lambda row: finite(row["tokens"]) or 0.0)
    # a point before training is step 0
    first = 0 if finite(ordered[0]["tokens"]) == 0 else 1
    return [row | {"step": step} for step, row in enumerate(ordered, start=first)]


def _point(row: dict[str, Any], *, step: int) -> Iterator[Event]:
    """Yield a row's point: its training loss, its eval loss, or both; nothing if it has no D."""
    tokens, eval_loss = finite(row.get("tokens")), number(row.get("eval_loss"))
    if "tokens" in row and tokens is None:
        return
    values = {name: number(row.get(name)) for name in _TRAINING}
    if any(value is not None for value in values.values()):
        yield Point(step, tokens, **values, run=row["run"])
    if eval_loss is not None:
        yield Evaluation(step, EVAL_SET, eval_loss, "loss", tokens, row["run"])
