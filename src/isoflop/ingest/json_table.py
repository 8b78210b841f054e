"""Tables that are one JSON value: a list of rows, an object a column, an object of one run."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from isoflop.ingest.cells import frame_of_records
from isoflop.ingest.names import find, may_be_loss
from isoflop.ingest.numbers import encodable, json_object, read_json
from isoflop.ingest.refused import RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import polars as pl

    from isoflop.ingest.source import RawFile

LARGEST: Final = 64 << 20
"""Characters of one value: it is held in memory as Python's objects."""
_KEYS: Final = re.compile(r'"([^"\\\n]{1,200})"\s*:')
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
    return all(json_object(each) is None for each in of_lines)


LINES: Final = 1_000
"""Lines in which one object a line is looked for."""


def has_columns(text: str) -> bool:
    """Tell by the keys of one JSON value that it has a loss and says how far training had gone."""
    if not text.lstrip().startswith(("[", "{")) or not is_one_value(text):
        return False
    names = list(dict.fromkeys(_KEYS.findall(text)))
    return any(find(axis, names) for axis in _AXES) and any(map(may_be_loss, names))


def read_one_value(
    file: RawFile, named: Callable[[Sequence[str]], str | None]
) -> pl.DataFrame | None:
    """Read a table that is one JSON value; None if the file is none.

    Parameters
    ----------
    named : tells which of a table's columns names runs, and stays text.

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
        told = encodable(read_json(text))
    except (ValueError, RecursionError) as error:
        if sample.lstrip().startswith("{"):
            return None  # maybe lines all the same, of which the first is cut or very long
        raise RefusedError(f"no whole JSON value, so it was cut or damaged: {error}") from error
    records = _records(told)
    if not records:
        raise RefusedError(
            "one JSON value that is no table: write a list of rows, each an object by names of "
            "columns"
        )
    names = list(dict.fromkeys(name for record in records for name in record))
    return frame_of_records(records, text=named(names))


def _records(told: Any) -> list[dict[str, Any]]:
    """Lay a value out as rows."""
    if isinstance(told, list):
        return [row for row in told if isinstance(row, dict)] if _are_rows(told) else []
    if not isinstance(told, dict):
        return []
    inner = [value for value in told.values() if _are_rows(value)]
    if len(inner) == 1:  # rows under a name, {"runs": [...]}
        return list(inner[0])
    for kind in (list, dict):
        columns = {name: value for name, value in told.items() if isinstance(value, kind)}
        lengths = {len(value) for value in columns.values()}
        if columns and len(lengths) == 1 and any(find(axis, columns) for axis in _AXES):
            return _of_columns(columns, told)
    return [told]


def _of_columns(columns: dict[str, Any], told: dict[str, Any]) -> list[dict[str, Any]]:
    """Lay columns out as rows: lists, or objects by the rows' labels, as pandas writes them."""
    single = {name: value for name, value in told.items() if name not in columns}
    values = [[*(c.values() if isinstance(c, dict) else c)] for c in columns.values()]
    return [{**single, **dict(zip(columns, row, strict=True))} for row in zip(*values, strict=True)]


def _are_rows(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(row, dict) for row in value)
