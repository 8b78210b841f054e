"""What a table's columns are called, and which map that suggests.

All that is asked of a table is asked of its `Outline`, which long tables give row by row.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import polars as pl

from isoflop.config.sidecar import TableColumn, TableMap
from isoflop.ingest.names import (
    COLUMNS,
    FINAL_LOSS,
    eval_sets,
    eval_sets_in_bytes,
    find,
    loss_curve,
    may_be_loss,
    no_curve,
    plain,
)
from isoflop.ingest.refused import RefusedError
from isoflop.ingest.wide import EVAL_SET, as_numbers

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

COLUMNS_SHOWN: Final = 30
"""Columns named of a table that cannot be mapped."""
TRIED: Final = 1000
"""Filled cells of a column of text in which a number is looked for."""
_EXAMPLE = """table:
    rows: runs                 # or points: a row per point of a curve
    columns: {params.total: N, tokens: D, eval_loss: loss}"""


@dataclass(slots=True)
class Outline:
    """What must be known of a table's cells to map it.

    Attributes
    ----------
    columns : their names, and of each how many filled cells were looked at.
    numeric : the columns that have numbers in them, though some of their cells may be none.
    what : what the file looks like, up to the names.
    values : of columns that may be the loss in training, how many values each run has.
    """

    columns: dict[str, int] = field(default_factory=dict)
    numeric: set[str] = field(default_factory=set)
    what: str = "a table with columns"
    values: dict[str, Counter[object]] = field(default_factory=dict)

    @classmethod
    def of(cls, raw: pl.DataFrame) -> Outline:
        """Outline a table that is there as a whole."""
        outline = cls()
        outline.add(raw)
        return outline

    def add(self, rows: pl.DataFrame) -> None:
        """Take in further rows."""
        for cells in rows:
            seen = self.columns.get(cells.name, 0)
            filled = cells.len() - cells.null_count()
            self.columns[cells.name] = seen + filled
            if cells.dtype != pl.String:
                has_numbers = cells.dtype.is_numeric() and seen < TRIED
            else:
                sample = cells.drop_nulls().head(max(TRIED - seen, 0)) if filled else None
                has_numbers = sample is not None and as_numbers(sample).count() > 0
            if has_numbers:
                self.numeric.add(cells.name)
        self._count_values(rows)

    def _count_values(self, rows: pl.DataFrame) -> None:
        """Count the values of losses in training: run by run where there are several losses."""
        losses = [name for name in rows.columns if plain(name) in COLUMNS["train_loss"]]
        run = find("run", rows.columns) if len(losses) > 1 else None
        for name in losses:
            counts = self.values.setdefault(name, Counter())
            filled = rows.filter(pl.col(name).is_not_null())
            if rows.schema[name].is_float():  # pandas writes a gap as NaN, if it is told to
                filled = filled.filter(pl.col(name).is_not_nan())
            if run is None or run == name:
                counts[None] += filled.height
            else:
                counts.update(dict(filled.group_by(run).len().iter_rows()))

    def loss_curve(self) -> tuple[str | None, list[str]]:
        """Find the column of the loss in training, and those that are single values beside it."""
        known = [name for name in self.numbers if plain(name) in COLUMNS["train_loss"]]
        return loss_curve({n: max(self.values.get(n, {}).values(), default=0) for n in known})

    def only_once(self, column: str | None) -> bool:
        """Tell whether a column has one filled cell, or none."""
        return column is None or self.columns[column] <= 1

    @property
    def numbers(self) -> list[str]:
        """The columns that have numbers, in order."""
        return [name for name in self.columns if name in self.numeric]


def guess(outline: Outline, repeats: Callable[[str], bool]) -> TableMap:
    """Map a table by the names of its columns.

    Parameters
    ----------
    outline : the table.
    repeats : whether a name stands in several rows of a column of runs.

    Raises
    ------
    RefusedError : they name no loss, or nothing that says how far training had gone; and the map
        that sweep.yaml can give instead.
    """
    numeric = outline.numbers
    columns = {value: find(value, numeric) for value in COLUMNS if value != "run"}
    columns["train_loss"], _ = outline.loss_curve()
    columns["run"] = find("run", outline.columns)
    if outline.only_once(columns["run"]) and not outline.only_once(columns["step"]):
        columns["run"] = None  # a head before the curve names it, and no row does
    sets = eval_sets(numeric)
    finished = (
        columns["step"] is None
        and columns["tokens"] is not None
        and columns["params.total"] is not None
        and (columns["run"] is None or not repeats(columns["run"]))
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
        far = columns["step"] is not None or columns["tokens"] is not None
        example = _with_a_loss(outline, columns) if far else _EXAMPLE
        raise _refusal(outline, "none is known as a loss", example)
    if columns["step"] is None and columns["tokens"] is None:
        epoch = next((name for name in numeric if plain(name) == "epoch"), None)
        example = _map_of(columns, sets, in_bytes, _of_epochs(epoch))
        raise _refusal(outline, "none is known as a step or as tokens", example)
    if columns["step"] == "_step" and columns["tokens"] is None:
        why = "the only step is _step, which counts what was logged; if that is updates, say so"
        raise _refusal(outline, why, _map_of(columns, sets, in_bytes))
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


def as_points(table: TableMap) -> str:
    """Write a map of finished runs as one of the points of a curve."""
    columns = {name: str(origin.column) for name, origin in table.columns.items()}
    told = [f"columns: {_flow(columns)}"]
    told += [f"evals: {_flow(table.evals)}"] * bool(table.evals)
    told += [f"bits_per_byte: {_flow(table.bits_per_byte)}"] * bool(table.bits_per_byte)
    return f"table: {{rows: points, {', '.join(told)}}}"


def left_columns(outline: Outline, table: TableMap, beside: Collection[str]) -> str:
    """Say which columns are not read; those that are called like losses come first.

    Parameters
    ----------
    beside : columns that something else tells of.
    """
    taken = {origin.column for origin in table.columns.values()}
    taken |= {*table.evals.values(), *table.bits_per_byte.values(), *beside}
    left = [name for name, filled in outline.columns.items() if name not in taken and filled]
    curve, single = outline.loss_curve()
    single = [name for name in single if name in left]
    losses = [name for name in left if may_be_loss(name) and name not in single]
    others = [name for name in left if name not in losses and name not in single]
    told = [no_curve(single, curve)] if single else []
    if losses:
        told.append(f"not read, though called like losses: {some(losses)}; 'table:' can map them")
    if others:
        told.append(f"columns not read: {some(others)}")
    return "; ".join(told)


def some(names: Sequence[str]) -> str:
    """List names, as many as a line has room for."""
    more = len(names) - COLUMNS_SHOWN
    return ", ".join(names[:COLUMNS_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _of_epochs(epoch: str | None) -> str:
    """Write a map's entry that says how far training had gone, where no column is known to."""
    if epoch is None:
        return "step: <the column of updates>"
    return f"tokens: {{formula: '\"{epoch}\" * <tokens of an epoch>'}}"


def _map_of(
    columns: Mapping[str, str | None],
    sets: Mapping[str, str],
    in_bytes: Mapping[str, str],
    first: str = "",
) -> str:
    """Write a map of what is known by name, as YAML, behind a first entry that is not."""
    taken = ("run", "step", "tokens", "train_loss", "lr", "params.total")
    known = {value: name for value in taken if (name := columns.get(value)) is not None}
    if len(sets) == 1:
        known["eval_loss"] = next(iter(sets.values()))
    entries = _flow(known)[1:-1]
    entries = ", ".join(entry for entry in (first, entries) if entry)
    lines = ["table:", "    rows: points", f"    columns: {{{entries}}}"]
    lines += [f"    evals: {_flow(sets)}"] * (len(sets) > 1)
    lines += [f"    bits_per_byte: {_flow(in_bytes)}"] * bool(in_bytes)
    return "\n".join(lines)


def _with_a_loss(outline: Outline, columns: Mapping[str, str | None]) -> str:
    """Write a map of a curve whose loss has no name that is known.

    TensorBoard's pages export a tag as Wall time, Step, Value.
    """
    taken = set(columns.values())
    others = [name for name in outline.numbers if name not in taken]
    alike = [name for name in others if may_be_loss(name) or plain(name) == "value"]
    loss = next(iter(alike), "<the column of the loss>")
    return _map_of({**columns, "train_loss": loss}, {}, {}) + "   # or eval_loss: that column"


def _flow(values: Mapping[str, str]) -> str:
    """Write a mapping on one line of YAML; JSON's quotes are YAML's."""
    pairs = [f"{key if key.isidentifier() else json.dumps(key)}: {json.dumps(name)}"
             for key, name in values.items()]  # fmt: skip
    return f"{{{', '.join(pairs)}}}"


def _refusal(outline: Outline, why: str, example: str = _EXAMPLE) -> RefusedError:
    names = list(outline.columns)
    shown = ", ".join(names[:COLUMNS_SHOWN]) + (", ..." * (len(names) > COLUMNS_SHOWN))
    return RefusedError(
        f"looks like {outline.what} {shown}, but {why}, and sweep.yaml has no 'table:' for "
        f"it. Add one, such as:\n  {example}"
    )
