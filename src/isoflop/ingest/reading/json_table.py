"""Tables that are one JSON value, or a few: lists of rows, an object a column, an object a run.

A list of rows may lie within an object, beside what holds for all of them: `{"n_params": 7e7,
"log": [...]}` is a run with its curve. Several such objects, in a list or by their names, are
several runs. What else an object has is a fact of its run, or is said not to be read.

Losses may be lists of pairs of a step and a value, or of values alone where the object counts as
many updates: `{"total_steps": 1000, "losses": [...]}`.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from isoflop.ingest.facts.identity import LEAST_PARAMS
from isoflop.ingest.reading.cells import frame_of_records
from isoflop.ingest.reading.events import Event, Facts, Remark
from isoflop.ingest.reading.refused import RefusedError
from isoflop.ingest.reading.settings import facts_of_settings, settings_of
from isoflop.ingest.words.names import (
    ALL_STEPS,
    SIZES,
    find,
    loss_by_words,
    may_be_loss,
    plain,
    run_column,
)
from isoflop.ingest.words.numbers import encodable, finite, json_object, read_json
from isoflop.ingest.words.split_words import EVALUATED, TRAINED, word_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import polars as pl

    from isoflop.ingest.reading.source import RawFile

LARGEST: Final = 64 << 20
"""Characters of one value: it is held in memory as Python's objects."""
_KEYS: Final = re.compile(r'"([^"\\\n]{1,200})"\s*:')
_COLUMNS: Final = re.compile(r'"columns"\s*:\s*\[([^\]]{1,20000})\]')
_LISTED: Final = re.compile(r'"[^"\n]{0,80}loss(?:es)?(?:_history)?"\s*:\s*\[\s*(?:\[\s*)?-?[0-9]')
_AXES: Final = ("step", "tokens")


def is_one_value(text: str) -> bool:
    """Tell by its beginning a file that is one JSON value from lines of JSON."""
    begin = text.lstrip()
    if not begin.startswith("{"):
        return re.match(r"\[\s*\{", begin) is not None
    first, *lines = begin.split("\n", LINES)
    if not any(map(str.strip, lines)):
        return True
    # a line that was cut, or is longer than what is looked at, is no object either
    of_lines = (each for each in (first, *lines) if each.startswith('{"') and each.endswith("}"))
    objects = (told for each in of_lines if (told := json_object(each)) is not None)
    return all(map(has_curve, objects))  # an object a run, each on a line


LINES: Final = 1_000
"""Lines in which one object a line is looked for."""


def has_columns(text: str) -> bool:
    """Tell by the keys of one JSON value that it has losses, and says how far training had gone.

    Lists of losses are taken without that, and rows of runs that have an N: it is asked for.
    """
    if not text.lstrip().startswith(("[", "{")) or not is_one_value(text):
        return False
    names = list(dict.fromkeys(_KEYS.findall(text)))
    if split := _COLUMNS.search(text):
        names += re.findall(r'"([^"\n]{1,200})"', split[1])
    losses = any(map(may_be_loss, names))
    rows = any(find(size, names) for size in SIZES) and (
        text.lstrip().startswith("[") or (losses and bool(_runs_by_name(json_object(text))))
    )
    return losses and (
        rows or any(find(axis, names) for axis in _AXES) or _LISTED.search(text) is not None
    )


def has_listed_losses(told: Mapping[str, Any]) -> bool:
    """Tell whether a JSON object has a list of losses: it is no file of settings."""
    return any(
        isinstance(value, list) and len(value) >= LEAST_VALUES and loss_by_words(_singular(name))
        for name, value in told.items()
    )


def has_curve(told: Any) -> bool:
    """Tell whether a JSON value has rows of a curve in it, beside whatever else."""
    try:
        return _laid_out(told) is not None
    except RefusedError:  # it has, and too many
        return True


def read_one_value(
    file: RawFile, named: Callable[[Sequence[str]], str | None], *, mapped: bool
) -> tuple[pl.DataFrame, list[Event]] | None:
    """Read a table that is one JSON value, or several; None if the file is none.

    Parameters
    ----------
    named : tells which of a table's columns names runs, and stays text.
    mapped : whether sweep.yaml maps the columns, so that any value beside rows may be one.

    Returns
    -------
    The rows; and the facts beside them, and what is not read.

    Raises
    ------
    RefusedError : it is cut, too large, or no table.
    """
    sample = file.sample().decode(errors="replace")
    if not is_one_value(sample):
        return None
    if file.size > LARGEST:
        raise RefusedError(
            f"one JSON value of more than {LARGEST >> 20} MB: write an object a line"
        )
    text = "\n".join(file.lines())
    try:
        values = [encodable(value) for value in _values(text)]
    except (ValueError, RecursionError) as error:
        if sample.lstrip().startswith("{"):
            return None  # maybe lines all the same, of which the first is cut or very long
        raise RefusedError(f"no whole JSON value, so it was cut or damaged: {error}") from error
    table = _together(values, mapped=mapped)
    if not mapped and any(isinstance(value, list) for row in table.rows for value in row.values()):
        _refuse_lists(table.rows)
    if not table.rows:
        raise RefusedError(
            "one JSON value that is no table: write a list of rows, each an object by names of "
            "columns"
        )
    names = list(dict.fromkeys(name for record in table.rows for name in record))
    remarks = [Remark(f"{len(values)} JSON values in one file")] if len(values) > 1 else []
    if table.unread:
        remarks.append(Remark(f"not read of the JSON value: {_listed(table.unread)}"))
    return frame_of_records(table.rows, text=named(names)), [*table.facts, *remarks]


def _refuse_lists(rows: Sequence[Mapping[str, Any]]) -> None:
    """Refuse lists of losses of which nothing says at which steps they are.

    Raises
    ------
    RefusedError : a row has such a list.
    """
    names = list(dict.fromkeys(name for row in rows for name in row if has_listed_losses({**row})))
    lists = [name for name in names if loss_by_words(_singular(name))]
    if lists:
        raise RefusedError(
            f"one JSON value whose lists of losses ({_listed(lists)}) have no list of steps beside "
            f"them: write a row a step to CSV, with columns step, train_loss and val_loss"
        )


def _listed(keys: Sequence[str]) -> str:
    """List keys, as many as are shown."""
    shown = ", ".join(f"'{key[:KEY_LENGTH]}'" for key in keys[:KEYS_SHOWN])
    return shown + (f" and {len(keys) - KEYS_SHOWN} more" if len(keys) > KEYS_SHOWN else "")


KEYS_SHOWN: Final = 5
KEY_LENGTH: Final = 60
DEEPEST: Final = 4
"""Levels of a value in which rows are looked for."""


def _values(text: str) -> Iterator[Any]:
    """Read the values of a text one after the other; mostly there is one."""
    try:
        yield read_json(text)
    except json.JSONDecodeError as error:
        if not error.msg.startswith("Extra data"):
            raise
        yield read_json(text[: error.pos])
        yield from _values(text[error.pos :])


@dataclass(frozen=True, slots=True)
class _Table:
    """Rows of a value.

    Attributes
    ----------
    rows : by the names of their columns.
    facts : of their runs, by what else the value says.
    unread : keys of the value that are not read.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    facts: list[Facts] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)

    @property
    def runs(self) -> list[str]:
        """The names of its runs; an empty one for rows without."""
        column = run_column(list(dict.fromkeys(name for row in self.rows for name in row)))
        return list(
            dict.fromkeys(str(row.get(column) or "") if column else "" for row in self.rows)
        )

    def of_run(self, label: str | None) -> _Table:
        """Name rows that name no run of their own."""
        if label is None or self.runs != [""]:
            return self
        rows = [{"run": label, **row} for row in self.rows]
        return _Table(rows, _of_a_run(self.facts, label), self.unread)

    def and_also(self, other: _Table, under: str) -> _Table:
        """Put another table of the same value behind this one."""
        unread = [f"{under}{key}" for key in other.unread]
        return _Table(
            [*self.rows, *other.rows],
            [*self.facts, *other.facts],
            list(dict.fromkeys([*self.unread, *unread])),
        )


def _of_a_run(facts: Sequence[Facts], run: str) -> list[Facts]:
    """Say the facts of a run that has a name now."""
    return [each if each.run else each._replace(run=run) for each in facts]


def _together(values: Sequence[Any], *, mapped: bool) -> _Table:
    """Lay values out as one table; those of several values that have no name are numbered."""
    everything = _Table()
    for number, value in enumerate(values, start=1):
        table = _laid_out(value, mapped=mapped) or _Table(_records(value))
        label = str(number) if len(values) > 1 else None
        everything = everything.and_also(table.of_run(label), "")
    return everything


def _laid_out(told: Any, *, mapped: bool = False, depth: int = 0) -> _Table | None:
    """Lay out a value that has rows of a curve, or of runs with a loss; None if it has none."""
    told = _rows_of_split(told)
    if depth > DEEPEST:
        return None
    if isinstance(told, list):
        return _of_list(told, mapped=mapped, depth=depth)
    if not isinstance(told, dict):
        return None
    columns = _columns(told)
    if columns is not None:
        beside = {name: value for name, value in told.items() if name not in columns}
        return _with_beside(_Table(_rows_of_columns(columns)), beside, mapped=mapped)
    return _of_series(told, mapped=mapped) or _of_parts(told, mapped=mapped, depth=depth)


def _of_parts(told: Mapping[str, Any], *, mapped: bool, depth: int) -> _Table | None:
    """Lay out an object that has rows in what its names stand for; None if it has none."""
    parts = {
        name: table
        for name, value in told.items()
        if (table := _laid_out(value, mapped=mapped, depth=depth + 1)) is not None
    }
    if not parts:
        return _finished(told)
    beside = {name: value for name, value in told.items() if name not in parts}
    return _with_beside(_joined(parts), beside, mapped=mapped)


def _of_series(told: Mapping[str, Any], *, mapped: bool) -> _Table | None:
    """Lay out losses that are lists of pairs, or of a value an update; None if there are none."""
    pairs = {name: value for name, value in told.items() if _are_pairs(value)}
    if any(loss_by_words(_singular(name)) for name in pairs):
        rows: dict[float, dict[str, Any]] = {}
        for name, value in pairs.items():
            for step, cell in value:
                rows.setdefault(step, {"step": step})[_singular(name)] = cell
        beside = {name: value for name, value in told.items() if name not in pairs}
        return _with_beside(_Table([rows[step] for step in sorted(rows)]), beside, mapped=mapped)
    counts = {
        value for name, value in told.items() if plain(name) in _UPDATES and isinstance(value, int)
    }
    lists = {
        _singular(name): value
        for name, value in told.items()
        if isinstance(value, list) and len(value) >= LEAST_VALUES and len(value) in counts
    }
    if len(counts) != 1 or not any(map(loss_by_words, lists)):
        return None
    (updates,) = counts
    beside = {name: value for name, value in told.items() if _singular(name) not in lists}
    tokens = finite(told.get(find("tokens", told) or ""))
    if tokens and not any(find(each, told) for each in ("step", "tokens_per_step")):
        beside["tokens_per_step"] = tokens / updates
    columns = {"step": [*range(1, updates + 1)], **lists}
    return _with_beside(_Table(_rows_of_columns(columns)), beside, mapped=mapped)


_UPDATES: Final = frozenset({*ALL_STEPS, "total_batches", "num_batches", "n_batches", "steps"})
"""Counts of the updates of a run that may be those of a list's values."""
LEAST_VALUES: Final = 2
"""Values of a list that may be a curve."""


def _are_pairs(value: Any) -> bool:
    """Tell a list of steps and values, in order; epochs, counted by one, are no steps."""
    if not isinstance(value, list) or len(value) < LEAST_VALUES:
        return False
    if not all(isinstance(each, list) and len(each) == 2 for each in value):
        return False
    steps = [step for step, _ in value]
    if not all(isinstance(each, int) and not isinstance(each, bool) for each in steps):
        return False
    by_one = len(steps) < FEW and steps[-1] - steps[0] == len(steps) - 1
    return steps == sorted(set(steps)) and not by_one


FEW: Final = 100
"""Numbers that follow each other below which they may be epochs."""


def _singular(name: str) -> str:
    """Write the name of a list of values as that of one of them."""
    return re.sub(r"losses$", "loss", re.sub(r"_(?:history|curve|values)$", "", name))


def _finished(told: Mapping[str, Any]) -> _Table | None:
    """Lay out objects by the names of finished runs; None if they are none."""
    runs = {
        name: value
        for name, value in told.items()
        if isinstance(value, dict) and _is_table([value])
    }
    if len(runs) < LEAST_RUNS or any(_SPLIT.search(name.lower()) for name in runs):
        return None
    beside = {name: value for name, value in told.items() if name not in runs}
    rows = [{"run": name, **value} for name, value in runs.items()]
    return _with_beside(_Table(rows), beside, mapped=False)


LEAST_RUNS: Final = 2
"""Objects with a loss that are finished runs by their names; one may be of anything."""


def _of_list(told: list[Any], *, mapped: bool, depth: int) -> _Table | None:
    """Lay out a list: of rows, or of runs each with its curve."""
    if not _are_rows(told):
        return None
    if _is_table(told):
        return _Table(list(told))
    tables = [_laid_out(each, mapped=mapped, depth=depth + 1) for each in told]
    if not any(tables):
        return None
    together = _Table()
    for number, table in enumerate(tables, start=1):
        if table is None:
            together.unread.append(f"entry {number}")
        else:
            label = str(number) if len(tables) > 1 else None
            together = together.and_also(table.of_run(label), "")
    return together


def _joined(parts: Mapping[str, _Table]) -> _Table:
    """Put the parts of an object into one table: its one list, train and eval, or several runs."""
    if len(parts) == 1:
        return next(iter(parts.values()))
    evals = [name for name in parts if _SPLIT.search(name.lower()) and "train" not in name.lower()]
    if len(parts) == 2 and len(evals) == 1:  # a curve and its evaluations
        (train,) = (table for name, table in parts.items() if name not in evals)
        named = [
            {"val_loss" if find("train_loss", [key]) else key: cell for key, cell in row.items()}
            for row in parts[evals[0]].rows
        ]
        return train.and_also(_Table(named, unread=parts[evals[0]].unread), f"{evals[0]}.")
    with_names = [name for name, table in parts.items() if len(table.runs) > 1]
    if len(with_names) > 1:
        raise RefusedError(
            f"one JSON value with {len(with_names)} tables of runs ({_listed(with_names)}): leave "
            f"the one that counts in it"
        )
    together = _Table()
    for name, table in parts.items():
        together = together.and_also(table.of_run(name), f"{name}.")
    return together


_SPLIT: Final = re.compile(word_of(TRAINED | EVALUATED))
"""What values of the training and of evaluations are called, which are no names of runs."""


def _with_beside(table: _Table, beside: Mapping[str, Any], *, mapped: bool) -> _Table:
    """Take what an object says beside its rows: columns, facts of its runs, or nothing known."""
    plain = {
        name: value
        for name, value in beside.items()
        if not isinstance(value, list | dict) and value is not None and _is_called(name, value)
    }
    names = {find(value, plain) for value in _FACTS}
    called = run_column(plain) if table.runs == [""] else None
    table = table if called is None else table.of_run(str(plain[called]))
    # the last loss or step is none of each row
    kept = {name: value for name, value in plain.items() if name in names or mapped}
    names.add(called)
    settings = {
        name: value
        for name, value in beside.items()
        if name not in names and not may_be_loss(name) and not isinstance(value, list)
    }
    facts = settings_of(settings)
    rows = [{**kept, **row} for row in table.rows]
    unread = [name for name in beside if name not in {*kept, called} and not _tells(name, settings)]
    told = [Facts(facts_of_settings(settings), run) for run in table.runs] if facts else []
    return _Table(rows, [*table.facts, *told], [*table.unread, *unread])


def _is_called(name: str, value: object) -> bool:
    """Tell whether a name says what its value is; of letters N alone does, of a model's size."""
    size = finite(value) if name == "N" else None
    return len(name) > 1 or (size is not None and size >= LEAST_PARAMS)


def _tells(name: str, settings: Mapping[str, Any]) -> bool:
    """Tell whether a setting has a say in the facts of its run."""
    if name not in settings:
        return False
    others = {key: value for key, value in settings.items() if key != name}
    return bool(settings_of({name: settings[name]})) or settings_of(others) != settings_of(settings)


_FACTS: Final = (
    "params.total", "params.active", "params.nonembedding", "tokens_per_step", "bytes_per_token",
)  # fmt: skip
"""Facts that a table has as columns."""


def _is_table(rows: Sequence[Mapping[str, Any]]) -> bool:
    """Tell rows that have a loss and say how far training had gone."""
    names = list(dict.fromkeys(name for row in rows for name in _names(row)))
    return any(find(axis, names) for axis in _AXES) and any(map(may_be_loss, names))


def _names(row: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """List the names of a row's numbers, those of groups with dots."""
    for name, value in row.items():
        if isinstance(value, dict):
            yield from _names(value, f"{prefix}{name}.")
        elif not isinstance(value, list):
            yield f"{prefix}{name}"


def _records(told: Any) -> list[dict[str, Any]]:
    """Lay out a value in which no rows of a curve are known: a row an object, or one row."""
    told = _rows_of_split(told)
    if isinstance(told, list):
        return [row for row in told if isinstance(row, dict)] if _are_rows(told) else []
    if not isinstance(told, dict):
        return []
    if runs := _runs_by_name(told):
        return runs
    inner = [value for value in told.values() if _are_rows(value)]
    if len(inner) == 1:  # rows under a name, {"runs": [...]}
        return list(inner[0])
    for kind in (list, dict):
        columns = {name: value for name, value in told.items() if isinstance(value, kind)}
        alike = len({len(value) for value in columns.values()}) == 1
        if alike and any(find(axis, columns) for axis in _AXES):
            single = {name: value for name, value in told.items() if name not in columns}
            return [{**single, **row} for row in _rows_of_columns(columns)]
    return [told]


def _runs_by_name(told: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """Lay out an object of nothing but runs with a size and a loss each; empty of any other."""
    runs = told or {}
    if len(runs) < LEAST_RUNS or not all(isinstance(run, dict) for run in runs.values()):
        return []
    sized = all(
        any(find(size, run) for size in SIZES) and any(map(may_be_loss, run))
        for run in runs.values()
    )
    return [{"run": name, **run} for name, run in runs.items()] if sized else []


def _columns(told: Mapping[str, Any]) -> dict[str, Any] | None:
    """Find the columns of an object: lists, or objects by the rows' labels, as pandas writes them.

    Columns of another length than that of the step, or of most, are no columns of the rows.
    """
    for kind in (list, dict):
        columns = {name: value for name, value in told.items() if isinstance(value, kind)}
        axis = next((name for each in _AXES if (name := find(each, columns))), None)
        if axis is None or any(isinstance(cell, list | dict) for cell in _cells(columns[axis])):
            continue
        alike = {name: value for name, value in columns.items() if _alike(value, columns[axis])}
        if columns[axis] and any(map(may_be_loss, alike)):
            return alike
    return None


def _alike(column: Any, axis: Any) -> bool:
    """Tell whether a column may be of the rows of another."""
    if isinstance(column, dict):
        return bool(column) and column.keys() <= axis.keys()
    return len(column) == len(axis)


def _cells(column: Any) -> list[Any]:
    return [*column.values()] if isinstance(column, dict) else list(column)


def _rows_of_columns(columns: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Lay columns out as rows; where rows have labels, cells go by them."""
    longest = max(columns.values(), key=len)
    if isinstance(longest, dict):
        return [{name: column.get(label) for name, column in columns.items()} for label in longest]
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _rows_of_split(told: Any) -> Any:
    """Lay out names of columns beside rows of cells, as pandas writes them; others stay."""
    if not isinstance(told, dict) or not {"columns", "data"} <= told.keys():
        return told
    names, rows = told["columns"], told["data"]
    alike = (
        isinstance(names, list)
        and isinstance(rows, list)
        and all(isinstance(name, str) for name in names)
        and all(isinstance(row, list) and len(row) == len(names) for row in rows)
    )
    return [dict(zip(names, row, strict=True)) for row in rows] if alike and rows else told


def _are_rows(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(row, dict) for row in value)
