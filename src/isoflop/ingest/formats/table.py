"""Generic tables: CSV, Parquet or JSON lines, with a column map in sweep.yaml.

Published sweeps come in through here: tables of curves (a row per point) and of finished runs (a
row per run, N, D, L). A value is a column, scaled, or an SQL formula over columns, so that D can
be C / (6 N). Tables are read whole; they are small beside logs.
"""

from __future__ import annotations

import csv
import difflib
import io
import json
from collections import Counter
from typing import TYPE_CHECKING, Final

import polars as pl

from isoflop.config.sidecar import TableColumn, TableMap
from isoflop.ingest.blocks import Block
from isoflop.ingest.cells import as_text, read_table, unique_names
from isoflop.ingest.events import Event, LeftOutRows, Remark
from isoflop.ingest.names import (
    COLUMNS,
    FINAL_LOSS,
    eval_sets,
    eval_sets_in_bytes,
    find,
    may_be_loss,
    plain,
)
from isoflop.ingest.refused import RefusedError
from isoflop.ingest.wide import (
    BYTES,
    EVAL_SET,
    EVALS,
    ROW,
    Faults,
    as_numbers,
    curves_block,
    finished_block,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from isoflop.ingest.source import RawFile

VERSION = 8
TAKES_MAP = True

_PARQUET: Final = b"PAR1"
COLUMNS_SHOWN: Final = 30
"""Columns named of a table that cannot be mapped."""
SAMPLED: Final = 500
"""Rows that W&B's run.history() gives of a longer history."""
_EXAMPLE = """table:
    rows: runs                 # or points: a row per point of a curve
    columns: {params.total: N, tokens: D, eval_loss: loss}"""


def scan(file: RawFile, table: TableMap | None) -> Iterator[Block]:
    """Yield what the table says; see `formats.Reader`."""
    raw, problems = _frame(file, table)
    yield _told(problems)
    yield from blocks_of_frame(raw, table, stem=file.stem)


def blocks_of_frame(
    raw: pl.DataFrame,
    table: TableMap | None,
    *,
    stem: str,
    run: str | None = None,
    sampled: bool = True,
) -> Iterator[Block]:
    """Yield what a table says that is a frame already.

    Parameters
    ----------
    raw : its rows, columns by their names in the file.
    table : its column map; None: by the names of the columns.
    stem : names finished runs that have no name.
    run : the name of the one run whose curve it is, if that is known.
    sampled : whether 500 rows may be a sample of more.

    Raises
    ------
    RefusedError : the columns do not fit the map, or say too little.
    """
    remarks: list[Event] = []
    if (panel := _unpivoted(raw)) is not None and (table is None or _maps(table, panel)):
        left = _beside_panel(raw)
        remarks.append(
            Remark(
                f"a panel's export from W&B's pages: a column per run and metric, {raw.width} in "
                f"all, sampled, its __MIN and __MAX left out"
                + (f"; columns not read: {_some(left)}" if left else "")
            )
        )
        raw = panel
    if table is None:
        table = guess(raw)
        if run is not None:
            table.columns.pop("run", None)
        taken = [
            f"{value}: {origin.column or origin.formula}" for value, origin in table.columns.items()
        ]
        taken += [f"evals.{name}: {column}" for name, column in table.evals.items()]
        taken += [f"bits_per_byte.{name}: {column}" for name, column in table.bits_per_byte.items()]
        remarks.append(Remark(f"columns taken by their names: {', '.join(taken)}"))
        if words := _left_columns(raw, table, "run" if run is not None else None):
            remarks.append(Remark(words))
        if sampled and raw.height == SAMPLED and "_step" in raw.columns:
            remarks.append(
                Remark(
                    f"{SAMPLED} rows: W&B's run.history() samples; export by scan_history, or the "
                    f"history artifact"
                )
            )
    _check_columns(raw, table)
    kept, excluded = _divide(_numbered(raw), table)
    gone = raw.height - kept.height - sum(rows.height for _, rows in excluded)
    if gone:
        remarks.append(LeftOutRows(gone, f"not selected by {table.select}"))
    faults = Faults()
    if table.rows == "points":
        yield _told(remarks)
        yield curves_block(_values(kept, table, stem=stem, run=run or ""), faults)
        yield _told([LeftOutRows(rows.height, reason) for reason, rows in excluded])
    else:
        parts = [(None, kept), *excluded]
        named, repeated = _name_apart([_values(rows, table, stem=stem) for _, rows in parts])
        yield _told([*remarks, *repeated])
        for (reason, _), values in zip(parts, named, strict=True):
            yield finished_block(values, faults, excluded=reason)
    yield _told(faults.events())


def _told(events: Sequence[Event]) -> Block:
    """Tell what is no record."""
    return Block(pl.DataFrame(schema={"row": pl.Int64}), tuple((-1, event) for event in events))


def _unpivoted(raw: pl.DataFrame) -> pl.DataFrame | None:
    """Lay a panel's export out as one row per run and step; None if the table is none.

    Its columns are a step and, for each run, `<run> - <metric>` with `__MIN` and `__MAX`. The step
    is W&B's own where the panel's axis is called Step.
    """
    panel = _panel(raw)
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


def _panel(raw: pl.DataFrame) -> list[str]:
    """List the columns of a panel; those of a run without a range are of it, too."""
    ranged = [name for name in raw.columns if f"{name}__MIN" in raw.columns and " - " in name]
    rest = [name for name in raw.columns[1:] if " - " in name and not _is_range(name)]
    return rest if ranged else []


def _is_range(name: str) -> bool:
    return name.endswith(("__MIN", "__MAX"))


def _beside_panel(raw: pl.DataFrame) -> list[str]:
    """List the columns of a panel's export that are none of it."""
    of_panel = {raw.columns[0], *_panel(raw)}
    return [name for name in raw.columns if name not in of_panel and not _is_range(name)]


def _maps(table: TableMap, raw: pl.DataFrame) -> bool:
    """Tell whether a map means a table by all of its columns."""
    named = {origin.column for origin in table.columns.values() if origin.column}
    return {*named, *table.evals.values(), *table.bits_per_byte.values()} <= set(raw.columns)


def guess(raw: pl.DataFrame) -> TableMap:
    """Map a table by the names of its columns.

    Raises
    ------
    RefusedError : they name no loss, or nothing that says how far training had gone; and the map
        that sweep.yaml can give instead.
    """
    numeric = [name for name in raw.columns if _has_numbers(raw[name])]
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
    in_bytes = eval_sets_in_bytes(numeric)
    if not sets and not in_bytes and columns["train_loss"] is None:
        raise _refusal(raw, "none is known as a loss")
    if columns["step"] is None and columns["tokens"] is None:
        raise _refusal(raw, "none is known as a step or as tokens")
    if columns["step"] == "_step" and columns["tokens"] is None:
        why = "the only step is _step, which counts what was logged; if that is updates, say so"
        raise _refusal(raw, why, _map_of(columns, sets, in_bytes))
    if len(sets) == 1:
        ((name, columns["eval_loss"]),) = sets.items()
        in_bytes = {EVAL_SET if each == name else each: c for each, c in in_bytes.items()}
        sets = {}
    chosen = {
        value: TableColumn(column=name)
        for value, name in columns.items()
        if name is not None and value not in unused
    }
    return TableMap(
        rows="runs" if finished else "points", columns=chosen, evals=sets, bits_per_byte=in_bytes
    )


def _left_columns(raw: pl.DataFrame, table: TableMap, beside: str | None) -> str:
    """Say which columns are not read; those that are called like losses come first.

    Parameters
    ----------
    beside : a column that something else tells.
    """
    taken = {origin.column for origin in table.columns.values()}
    taken |= {*table.evals.values(), *table.bits_per_byte.values(), beside}
    left = [name for name in raw.columns if name not in taken and raw[name].null_count() < len(raw)]
    losses = [name for name in left if may_be_loss(name)]
    others = [name for name in left if name not in losses]
    told = []
    if losses:
        told.append(f"not read, though called like losses: {_some(losses)}; 'table:' can map them")
    if others:
        told.append(f"columns not read: {_some(others)}")
    return "; ".join(told)


def _some(names: Sequence[str]) -> str:
    """List names, as many as a line has room for."""
    more = len(names) - COLUMNS_SHOWN
    return ", ".join(names[:COLUMNS_SHOWN]) + (f" and {more} more" if more > 0 else "")


TRIED: Final = 1000
"""Filled cells of a column of text in which a number is looked for."""


def _has_numbers(cells: pl.Series) -> bool:
    """Tell whether a column has numbers in it, though some of its cells may be none."""
    if cells.dtype != pl.String:
        return cells.dtype.is_numeric()
    return as_numbers(cells.drop_nulls().head(TRIED)).count() > 0


def _map_of(
    columns: Mapping[str, str | None], sets: Mapping[str, str], in_bytes: Mapping[str, str]
) -> str:
    """Write a map of what is known by name, as YAML."""
    taken = ("run", "step", "tokens", "train_loss", "lr", "params.total")
    known = {value: name for value in taken if (name := columns.get(value)) is not None}
    if len(sets) == 1:
        known["eval_loss"] = next(iter(sets.values()))
    lines = ["table:", "    rows: points", f"    columns: {_flow(known)}"]
    lines += [f"    evals: {_flow(sets)}"] * (len(sets) > 1)
    lines += [f"    bits_per_byte: {_flow(in_bytes)}"] * bool(in_bytes)
    return "\n".join(lines)


def _flow(values: Mapping[str, str]) -> str:
    """Write a mapping on one line of YAML; JSON's quotes are YAML's."""
    pairs = [f"{key if key.isidentifier() else json.dumps(key)}: {json.dumps(name)}"
             for key, name in values.items()]  # fmt: skip
    return f"{{{', '.join(pairs)}}}"


def _refusal(raw: pl.DataFrame, why: str, example: str = _EXAMPLE) -> RefusedError:
    shown = ", ".join(raw.columns[:COLUMNS_SHOWN]) + (", ..." * (raw.width > COLUMNS_SHOWN))
    return RefusedError(
        f"looks like a table with columns {shown}, but {why}, and sweep.yaml has no 'table:' for "
        f"it. Add one, such as:\n  {example}"
    )


def fits(file: RawFile, table: TableMap) -> bool:
    """Tell whether a text has a head with every column that a map names."""
    first = next((line for line in file.lines() if line.strip()), "")
    try:
        head = next(csv.reader([first], delimiter=max(",;\t", key=first.count)), [])
    except csv.Error:
        return False
    names = set(unique_names(head))
    return {origin.column for origin in table.columns.values() if origin.column} <= names


def _numbered(raw: pl.DataFrame) -> pl.DataFrame:
    """Add the rows' numbers in the file; a column that has our name for that gives way."""
    return raw.rename({ROW: f"{ROW} "}, strict=False).with_row_index(ROW, offset=1)


def _name_apart(parts: Sequence[pl.DataFrame]) -> tuple[list[pl.DataFrame], list[Event]]:
    """Name finished runs after their row too where a name comes twice: every row is a run."""
    counts = Counter(run for values in parts for run in values["run"] if run is not None)
    repeated = {name for name, count in counts.items() if count > 1}
    if not repeated:
        return list(parts), []
    named = []
    for values in parts:
        runs = []
        for run, row in values.select("run", ROW).iter_rows():
            name = f"{run}-{row:04d}"
            apart = name if name not in counts else f"{name} of {run}"
            runs.append(apart if run in repeated else run)
        named.append(values.with_columns(pl.Series("run", runs, dtype=pl.String)))
    return named, [
        Remark(
            f"{len(repeated)} names stand in several rows, such as '{min(repeated)}'; each row is "
            f"a finished run, named by its row"
        )
    ]


def _frame(file: RawFile, table: TableMap | None) -> tuple[pl.DataFrame, list[Event]]:
    """Read the file's rows; cells are numbers where a whole column is."""
    if file.sample().startswith(_PARQUET):
        try:
            return pl.read_parquet(io.BytesIO(file.content())), []
        except pl.exceptions.PolarsError as error:
            raise RefusedError(f"not a whole Parquet file: {error}") from error
    mapped = table.columns.get("run") if table else None

    def named(names: Sequence[str]) -> str | None:
        return mapped.column if mapped else find("run", names)

    return read_table(file, named)


def _check_columns(raw: pl.DataFrame, table: TableMap) -> None:
    """Refuse a table that lacks a column the map names."""
    missing = []
    named = {value: origin.column for value, origin in table.columns.items() if origin.column}
    sets = [(f"evals.{name}", column) for name, column in table.evals.items()]
    sets += [(f"bits_per_byte.{name}", column) for name, column in table.bits_per_byte.items()]
    for value, column in [*named.items(), *sets]:
        if column not in raw.columns:
            near = difflib.get_close_matches(column, raw.columns, n=1)
            hint = f" (did you mean '{near[0]}'?)" if near else ""
            missing.append(f"'{column}'{hint} for {value}")
    if missing:
        raise RefusedError(
            f"lacks the column {', '.join(missing)}, which sweep.yaml names under table.columns; "
            f"it has: {', '.join(raw.columns)}"
        )
    if not {"eval_loss", "train_loss"} & table.columns.keys() and not sets:
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
            f"{', '.join(name for name in raw.columns if name != ROW)}"
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


def _values(raw: pl.DataFrame, table: TableMap, *, stem: str, run: str = "") -> pl.DataFrame:
    """Compute the mapped values of each row, by our names; `run` is always there, or null."""
    columns = {name: _value(origin, name, raw) for name, origin in table.columns.items()}
    if "run" in columns:
        columns["run"] = _names(columns["run"])
    elif table.rows == "points":  # a curve is named after its file by whoever reads it
        columns["run"] = pl.repeat(run, raw.height, dtype=pl.String, eager=True)
    else:
        numbered = [f"{stem}-{row:04d}" for row in raw[ROW]]
        columns["run"] = pl.Series("run", numbered, dtype=pl.String)
    columns |= {f"{EVALS}{name}": raw[column] for name, column in table.evals.items()}
    columns |= {f"{BYTES}{name}": raw[column] for name, column in table.bits_per_byte.items()}
    columns[ROW] = raw[ROW]
    return pl.DataFrame({name: series.alias(name) for name, series in columns.items()})


def _value(origin: TableColumn, name: str, raw: pl.DataFrame) -> pl.Series:
    """Compute one value for all rows."""
    if origin.formula is not None:
        series = _sql(origin.formula, raw, f"table.columns.{name}")
        if series.len() == 1 != raw.height:
            series = series.new_from_index(0, raw.height)
    else:
        series = raw[str(origin.column)]
    return series if origin.scale == 1.0 else as_numbers(series) * origin.scale


def _names(cells: pl.Series) -> pl.Series:
    """Name runs by their cells; a whole number shows no decimals."""
    if cells.dtype == pl.String:
        return cells
    names = {cell: as_text(cell) for cell in cells.unique().drop_nulls()}
    return cells.replace_strict(names, default=None, return_dtype=pl.String)
