"""The head of a table in text: comments before it, and a head that is all there is."""

from __future__ import annotations

import csv
import re
from typing import Final

from isoflop.ingest.words.names import COLUMNS, EVAL_LOSS, FINAL_LOSS, plain
from isoflop.ingest.words.numbers import number

SEPARATORS: Final = ",;\t"
_SEPARATED: Final = re.compile(r'\s*"?sep=[^\n]{1,2}"?[ \r]*(?:\n|$)', re.IGNORECASE)
LEAST_KNOWN: Final = 2
"""Known names of columns by which a line alone is a table's head."""
_KNOWN: Final = frozenset(
    {*EVAL_LOSS, *FINAL_LOSS, *(n for names in COLUMNS.values() for n in names)}
)


def without_comments(text: str) -> tuple[str, int]:
    """Leave out comments before a table's head; the last one may be the head itself.

    A first line `sep=;`, as Excel's has, is none of the table either.

    Returns
    -------
    The text from the head on, and how many lines of comments were left out.
    """
    if separated := _SEPARATED.match(text):
        text = text[separated.end() :]
    begin, comments, last = 0, 0, ""
    while (line := text[begin : (text.find("\n", begin) + 1) or None]) and (
        line.lstrip().startswith("#") or not line.strip()
    ):
        if line.strip():
            comments, last = comments + 1, line
        begin += len(line)
    if not comments:
        return text, 0
    head = last.strip().lstrip("#").strip()
    cells, names = cells_of(line), cells_of(head)
    is_head = len(cells) == len(names) > 1 and any(map(is_number, cells))
    if is_head and not any(map(is_number, names)):
        return f"{head}\n{text[begin:]}", comments - 1
    return text[begin:], comments


def cells_of(line: str) -> list[str]:
    """Divide a line at the mark that it has most of; empty if quotes do not close."""
    try:
        return next(csv.reader([line], delimiter=separator_of(line)), [])
    except csv.Error:
        return []


def separator_of(line: str) -> str:
    """Tell what is between the cells of a table by its head."""
    return max(SEPARATORS, key=line.count)


_MARKED: Final = re.compile(
    r"[-+]?(?:[0-9]{1,3}(?:\.[0-9]{3})+|[0-9]{1,3}(?:['’\u00a0\u202f ][0-9]{3})+|[0-9]+)?"
    r"(?:[.,][0-9]+)?(?<=[0-9])(?:[eE][-+]?[0-9]+)?"
)


def is_number(cell: str) -> bool:
    """Tell a cell that is a number, with decimal commas and marks of thousands as people write."""
    bare = cell.strip()
    return number(bare) is not None or (bare != "" and _MARKED.fullmatch(bare) is not None)


def is_head_alone(text: str) -> bool:
    """Tell a table without rows: one line, with names of columns that are known."""
    lines = text.strip("\n").split("\n", 1)
    names = cells_of(lines[0]) if len(lines) == 1 else []
    return sum(plain(name) in _KNOWN for name in names) >= LEAST_KNOWN


def begins_before_head(text: str) -> bool:
    """Tell text in which lines before its head may be left out; most tables have none."""
    return text.lstrip().startswith("#") or _SEPARATED.match(text) is not None
