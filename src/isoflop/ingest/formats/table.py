"""Generic tables: CSV, Parquet or JSON lines, with a column map in sweep.yaml.

Published sweeps come in through here: tables of curves (a row per point) and of finished runs (a
row per run, N, D, L). A value is a column, scaled, or an SQL formula over columns, so that D can
be C / (6 N). Tables are read whole; they are small beside logs.
"""

from __future__ import annotations

import csv
import difflib
import io
import re
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

import polars as pl
from pydantic import ValidationError

from isoflop.config.sidecar import TABLE_POINT_VALUES, RunFacts, TableMap
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
from isoflop.ingest.names import COLUMNS, FINAL_LOSS, eval_sets, find, plain
from isoflop.ingest.numbers import SUFFIXES, finite, json_object, number, step_number
from isoflop.ingest.refused import RefusedError
from isoflop.ingest.sidecar import facts_from_values

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from isoflop.config.sidecar import TableColumn
    from isoflop.ingest.source import RawFile

VERSION = 4
EVAL_SET: Final = "table"
"""Name of the eval set: a column has none of its own."""

_PARQUET: Final = b"PAR1"
_TRAINING: Final = ("train_loss", "lr", "grad_norm", "tokens_per_second", "flops")
NO_TOKENS: Final = "tokens of 0 or below; a 32-bit counter wraps at 2^31"
NO_LOSS: Final = "no loss in the mapped columns"
FOUND_SHOWN: Final = 40
"""Characters shown of a cell."""
COLUMNS_SHOWN: Final = 30
"""Columns named of a table that cannot be mapped."""
SAMPLED: Final = 500
"""Rows that W&B's run.history() gives of a longer history."""
_EVALS: Final = "losses on eval sets"
_ROW: Final = "row in the file"
_EXAMPLE = """table:
    rows: runs                 # or points: a row per point of a curve
    columns: {params.total: N, tokens: D, eval_loss: loss}"""


def read(file: RawFile, table: TableMap | None) -> Iterator[Event]:
    """Yield what the table says; see `formats.Reader`."""
    raw, problems = _frame(file, table)
    yield from problems
    if (panel := _unpivoted(raw)) is not None and (table is None or _maps(table, panel)):
        yield Remark(
            f"a panel's export from W&B's pages: a column per run and metric, {raw.width} in all, "
            f"sampled, its __MIN and __MAX left out"
        )
        raw = panel
    if table is None:
        table = guess(raw)
        taken = [f"{value}: {origin.column}" for value, origin in table.columns.items()]
        taken += [f"evals.{name}: {column}" for name, column in table.evals.items()]
        yield Remark(f"columns taken by their names: {', '.join(taken)}")
        if raw.height == SAMPLED and "_step" in raw.columns:
            yield Remark(
                f"{SAMPLED} rows: W&B's run.history() samples; export by scan_history, or the "
                f"history artifact"
            )
    _check_columns(raw, table)
    kept, excluded = _divide(_numbered(raw), table)
    gone = raw.height - kept.height - sum(rows.height for _, rows in excluded)
    if gone:
        yield LeftOutRows(gone, f"not selected by {table.select}")
    faults = _Faults()
    if table.rows == "points":
        yield from _curves(_values(kept, table, stem=file.stem), faults)
        yield from (LeftOutRows(rows.height, reason) for reason, rows in excluded)
    else:
        fitted = _values(kept, table, stem=file.stem)
        left_out = [(reason, _values(rows, table, stem=file.stem)) for reason, rows in excluded]
        yield from _name_apart([*fitted, *(row for _, rows in left_out for row in rows)])
        yield from _finished_runs(fitted, faults)
        for reason, rows in left_out:
            for row in rows:
                yield from _finished_runs([row], faults)
                yield Excluded(reason, row["run"])
    yield from faults.events()


def _unpivoted(raw: pl.DataFrame) -> pl.DataFrame | None:
    """Lay a panel's export out as one row per run and step; None if the table is none.

    Its columns are a step and, for each run, `<run> - <metric>` with `__MIN` and `__MAX`. The step
    is W&B's own where the panel's axis is called Step.
    """
    panel = [name for name in raw.columns if f"{name}__MIN" in raw.columns and " - " in name]
    if not panel:
        return None
    axis = raw.columns[0]
    pieces: dict[str, list[pl.DataFrame]] = {}
    for name in panel:
        run, _, metric = name.rpartition(" - ")
        value = pl.col(name).alias(metric)
        step = pl.col(axis).alias("_step" if axis == "Step" else axis)
        rows = raw.select(step, pl.lit(run).alias("run"), value).drop_nulls()
        pieces.setdefault(metric, []).append(rows)
    columns = [pl.concat(of_metric, how="vertical_relaxed") for of_metric in pieces.values()]
    table = columns[0]
    for other in columns[1:]:
        table = table.join(other, on=table.columns[:2], how="full", coalesce=True)
    return table.sort("run", table.columns[0])


def _maps(table: TableMap, raw: pl.DataFrame) -> bool:
    """Tell whether a map means a table by all of its columns."""
    named = {origin.column for origin in table.columns.values() if origin.column}
    return {*named, *table.evals.values()} <= set(raw.columns)


def guess(raw: pl.DataFrame) -> TableMap:
    """Map a table by the names of its columns.

    Raises
    ------
    RefusedError : they name no loss, or nothing that says how far training had gone; and the map
        that sweep.yaml can give instead.
    """
    numeric = [name for name in raw.columns if raw[name].dtype.is_numeric()]
    columns = {value: find(value, numeric) for value in COLUMNS if value != "run"}
    columns["run"] = find("run", raw.columns)
    sets = eval_sets(numeric)
    names = None if columns["run"] is None else raw[columns["run"]]
    finished = (
        columns["step"] is None
        and columns["tokens"] is not None
        and columns["params.total"] is not None
        and (names is None or names.is_unique().all())
    )
    if finished:
        by_plain = {plain(name): name for name in numeric}
        final = next((by_plain[name] for name in FINAL_LOSS if name in by_plain), None)
        if not sets and final is not None:
            sets, columns["train_loss"] = {"eval": final}, None
        unused: tuple[str, ...] = ("step", "lr", "grad_norm")
    else:
        unused = ("params.nonembedding",) if columns["params.total"] is None else ()
    if not sets and columns["train_loss"] is None:
        raise _refusal(raw, "none is known as a loss")
    if columns["step"] is None and columns["tokens"] is None:
        raise _refusal(raw, "none is known as a step or as tokens")
    if columns["step"] == "_step" and columns["tokens"] is None:
        raise _refusal(raw, "the only step is _step, which counts what was logged and no updates")
    if len(sets) == 1:
        columns["eval_loss"], sets = next(iter(sets.values())), {}
    chosen = {v: c for v, c in columns.items() if c is not None and v not in unused}
    return TableMap(rows="runs" if finished else "points", columns=chosen, evals=sets)  # type: ignore[arg-type]


def _refusal(raw: pl.DataFrame, why: str) -> RefusedError:
    shown = ", ".join(raw.columns[:COLUMNS_SHOWN]) + (", ..." * (raw.width > COLUMNS_SHOWN))
    return RefusedError(
        f"looks like a table with columns {shown}, but {why}, and sweep.yaml has no 'table:' for "
        f"it. Add one, such as:\n  {_EXAMPLE}"
    )


def fits(file: RawFile, table: TableMap) -> bool:
    """Tell whether a text has a head with every column that a map names."""
    first = next((line for line in file.lines() if line.strip()), "")
    try:
        names, _, _ = _csv_rows([first])
    except RefusedError:
        return False
    return {origin.column for origin in table.columns.values() if origin.column} <= set(names)


class _Faults:
    """Rows that are left out, counted by reason; of each reason the first row is told."""

    def __init__(self) -> None:
        self._rows: dict[str, tuple[int, str]] = {}

    def add(self, reason: str, row: dict[str, Any], found: object = None) -> None:
        """Leave a row out."""
        name = f", run '{row['run']}'" if row["run"] else ""
        shown = "" if found is None else f", found {str(found)[:FOUND_SHOWN]!r}"
        count, first = self._rows.get(reason, (0, f"first in row {row[_ROW]}{name}{shown}"))
        self._rows[reason] = (count + 1, first)

    def events(self) -> Iterator[LeftOutRows]:
        """Tell of the rows."""
        for reason, (count, first) in self._rows.items():
            yield LeftOutRows(count, f"{reason} ({first})")


def _numbered(raw: pl.DataFrame) -> pl.DataFrame:
    """Add the rows' numbers in the file; a column that has our name for that gives way."""
    return raw.rename({_ROW: f"{_ROW} "}, strict=False).with_row_index(_ROW, offset=1)


def _name_apart(rows: Sequence[dict[str, Any]]) -> Iterator[Remark]:
    """Name finished runs after their row too where a name comes twice: every row is a run."""
    counts = Counter(row["run"] for row in rows if row["run"] is not None)
    repeated = {name for name, count in counts.items() if count > 1}
    for row in rows:
        if row["run"] in repeated:
            name = f"{row['run']}-{row[_ROW]:04d}"
            row["run"] = name if name not in counts else f"{name} of {row['run']}"
    if repeated:
        yield Remark(
            f"{len(repeated)} names stand in several rows, such as '{min(repeated)}'; each row is "
            f"a finished run, named by its row"
        )


def _frame(file: RawFile, table: TableMap | None) -> tuple[pl.DataFrame, list[Event]]:
    """Read the file's rows; cells are numbers where a whole column is."""
    if file.sample().startswith(_PARQUET):
        try:
            return pl.read_parquet(io.BytesIO(file.content())), []
        except pl.exceptions.PolarsError as error:
            raise RefusedError(f"not a whole Parquet file: {error}") from error
    lines = file.lines()
    first = next((line for line in lines if line.strip()), "")
    separator = ""
    if first.lstrip().startswith("{"):
        names, rows, problems = _json_rows([first, *lines])
    else:
        separator = _separator(first)
        names, rows, problems = _csv_rows([first, *lines])
    columns = {name: [row.get(name) for row in rows] for name in names}
    columns = {name: _without_marks(name, cells, separator) for name, cells in columns.items()}
    # a column that names runs stays text: run 0010 is not run 10
    mapped = table.columns.get("run") if table else None
    text = mapped.column if mapped else find("run", names)
    made = [_column(name, cells, text=name == text) for name, cells in columns.items()]
    return pl.DataFrame(made), problems


def _json_rows(lines: Sequence[str]) -> tuple[list[str], list[dict[str, Any]], list[Event]]:
    """Read JSON lines; nested keys are joined by dots."""
    rows: list[dict[str, Any]] = []
    problems: list[Event] = []
    for line in lines:
        if not line.strip() and line.endswith("\n"):
            continue
        record = json_object(line)
        if record is not None:
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
    separator = _separator(lines[0])
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


def _separator(head: str) -> str:
    return max(",;\t", key=head.count)


_THOUSANDS = re.compile(
    r"[-+]?[0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]*)?(?:[eE][-+]?[0-9]+)?\s*[KMBGT]?"
)
_DECIMAL = re.compile(
    r"[-+]?(?:[0-9]{1,3}(?:\.[0-9]{3})+|[0-9]+)?,[0-9]+(?:[eE][-+]?[0-9]+)?\s*[KMBGT]?"
)


def _without_marks(name: str, cells: list[Any], separator: str) -> list[Any]:
    """Take commas out of numbers: thousands marks, or decimal marks that become points.

    Between semicolons a comma is a decimal mark, unless a cell has several or a point besides;
    elsewhere it is a thousands mark where three digits follow it in every cell.

    Raises
    ------
    RefusedError : the cells of the column do not agree, or could be either.
    """
    marked = [
        (row, cell.strip())
        for row, cell in enumerate(cells, start=1)
        if isinstance(cell, str) and "," in cell and _NUMERIC.fullmatch(cell.strip())
    ]
    if not marked or not separator:
        return cells
    thousands = [_THOUSANDS.fullmatch(cell) is not None for _, cell in marked]
    decimal = [_DECIMAL.fullmatch(cell) is not None for _, cell in marked]
    points = any(isinstance(cell, str) and _POINT.fullmatch(cell.strip()) for cell in cells)
    if all(decimal) and not points and (separator == ";" or not all(thousands)):
        return [_point_for_comma(cell) for cell in cells]
    if all(thousands) and (separator != ";" or not all(decimal)):
        return cells
    wrong = decimal if sum(decimal) > sum(thousands) else thousands
    row, cell = marked[wrong.index(False)] if False in wrong else marked[0]
    raise RefusedError(
        f"column '{name}', row {row}: '{cell[:FOUND_SHOWN]}' is a number whose comma could be a "
        f"decimal or a thousands mark beside the column's other cells; write them in one way"
    )


_POINT = re.compile(r"[-+]?[0-9]*\.[0-9]+")
_NUMERIC = re.compile(r"[-+]?[0-9.,]*[0-9](?:[eE][-+]?[0-9]+)?\s*[KMBGT]?")


def _point_for_comma(cell: Any) -> Any:
    if not isinstance(cell, str) or not _DECIMAL.fullmatch(cell.strip()):
        return cell
    return cell.replace(".", "").replace(",", ".")


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
    named = {value: origin.column for value, origin in table.columns.items() if origin.column}
    for value, column in [*named.items(), *((f"evals.{n}", c) for n, c in table.evals.items())]:
        if column not in raw.columns:
            near = difflib.get_close_matches(column, raw.columns, n=1)
            hint = f" (did you mean '{near[0]}'?)" if near else ""
            missing.append(f"'{column}'{hint} for {value}")
    if missing:
        raise RefusedError(
            f"lacks the column {', '.join(missing)}, which sweep.yaml names under table.columns; "
            f"it has: {', '.join(raw.columns)}"
        )
    if not {"eval_loss", "train_loss"} & table.columns.keys() and not table.evals:
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
    """Compute the mapped values of each row, by our names; `run` is always there, or None."""
    columns = {name: _value(origin, name, raw) for name, origin in table.columns.items()}
    if "run" not in columns:  # a curve is named after its file by whoever reads it
        single = table.rows == "points"
        columns["run"] = ["" if single else f"{stem}-{row:04d}" for row in raw[_ROW]]
    columns[_ROW] = raw[_ROW].to_list()
    if table.evals:
        columns[_EVALS] = raw.select(pl.col(c).alias(n) for n, c in table.evals.items()).to_dicts()
    rows = [dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]
    return [row | {"run": None if row["run"] is None else _name(row["run"])} for row in rows]


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
        name: value for name, value in row.items() if name not in _NO_FACTS and value is not None
    }
    return facts_from_values(said)


_NO_FACTS: Final = frozenset({*TABLE_POINT_VALUES, _ROW, _EVALS})


def _finished_runs(rows: Sequence[dict[str, Any]], faults: _Faults) -> Iterator[Event]:
    """Yield a run per row."""
    for row, facts in _sound(rows, faults):
        if finite(row["tokens"]) == 0:
            faults.add(NO_TOKENS, row, row["tokens"])
            continue
        losses = [row.get("eval_loss"), row.get("train_loss"), *row.get(_EVALS, {}).values()]
        if all(number(loss) is None for loss in losses):
            faults.add(NO_LOSS, row)
            continue
        point = list(_point(row, step=1))
        yield Facts(facts, row["run"])
        yield from point
        yield Ended("finished", row["run"])


def _curves(rows: Sequence[dict[str, Any]], faults: _Faults) -> Iterator[Event]:
    """Yield a curve per run."""
    runs: dict[str, list[tuple[dict[str, Any], RunFacts]]] = {}
    for row, facts in _sound(rows, faults):
        runs.setdefault(row["run"], []).append((row, facts))
    for run, points in runs.items():
        yield from (Facts(facts, run) for facts in dict.fromkeys(facts for _, facts in points))
        counted = any(finite(row.get("tokens")) for row, _ in points)
        for row in _with_steps([row for row, _ in points]):
            step = step_number(row["step"])
            if step is None:
                faults.add("the step is no count of updates", row, row["step"])
                continue
            if counted and step > 0 and finite(row["tokens"]) == 0:
                faults.add(NO_TOKENS, row, row["tokens"])
                continue
            events = list(_point(row, step=step))
            if not events:
                faults.add(NO_LOSS, row)
            yield from events


def _sound(
    rows: Sequence[dict[str, Any]], faults: _Faults
) -> Iterator[tuple[dict[str, Any], RunFacts]]:
    """Yield the rows whose name, facts and tokens can be what they are said to be."""
    known: dict[tuple[object, ...], RunFacts | tuple[str, object]] = {}
    names = [name for name in rows[0] if name not in _NO_FACTS] if rows else []
    for row in rows:
        values = tuple(str(row[name]) for name in names)
        if values not in known:
            known[values] = _facts_or_fault(row)
        facts = known[values]
        if row["run"] is None:
            faults.add("no name in the column of runs", row)
        elif not isinstance(facts, RunFacts):
            faults.add(facts[0], row, facts[1])
        elif "tokens" in row and (tokens := finite(row["tokens"])) is None:
            faults.add("no finite number of tokens", row, row["tokens"])
        elif "tokens" in row and tokens is not None and tokens < 0:
            faults.add(NO_TOKENS, row, row["tokens"])
        else:
            yield row, facts


def _facts_or_fault(row: dict[str, Any]) -> RunFacts | tuple[str, object]:
    """Give a row's facts, or what is wrong with them and the value."""
    try:
        return _facts(row)
    except ValidationError as error:
        first = error.errors()[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}", first["input"]


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
        yield Point(step, tokens, **values, run=row["run"])  # type: ignore[arg-type]
    if eval_loss is not None:
        yield Evaluation(step, EVAL_SET, eval_loss, "loss", tokens, row["run"])
    for eval_set, cell in row.get(_EVALS, {}).items():
        if (value := number(cell)) is not None:
            yield Evaluation(step, eval_set, value, "loss", tokens, row["run"])
