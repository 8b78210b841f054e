"""Tables of the report: once as Markdown for HTML and PDF, once with every digit as CSV."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from isoflop.escape import csv_cell

if TYPE_CHECKING:
    from collections.abc import Sequence

Align = Literal["left", "right", "center"]
Value = float | int | str | None

RULES: dict[Align, str] = {"left": ":---", "right": "---:", "center": ":---:"}


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its head as Markdown, with the unit, and how it is aligned."""

    head: str
    align: Align = "right"


@dataclass(frozen=True, slots=True)
class Table:
    """A table as readers see it, and the same facts as data.

    Attributes
    ----------
    key : name of its file and of its anchor.
    caption : Markdown, a sentence that says what the table shows.
    columns : what readers see.
    rows : cells as Markdown.
    data_columns : names of the CSV's columns, units included.
    data : the CSV's rows, full precision.
    classes : Markdown attributes: a class of the style sheets, and how columns share a page.
    """

    key: str
    caption: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[str]]
    data_columns: Sequence[str]
    data: Sequence[Sequence[Value]]
    classes: str = ""
    notes: Sequence[str] = field(default_factory=tuple)

    def __post_init__(self) -> None:
        """Refuse rows that do not fit the columns: a shifted cell is a wrong number."""
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(f"{self.key}: {len(row)} cells for {len(self.columns)} columns")
        for values in self.data:
            if len(values) != len(self.data_columns):
                raise ValueError(
                    f"{self.key}: {len(values)} values, {len(self.data_columns)} names"
                )

    def markdown(self, number: int, *, files: bool = True) -> str:
        """Write a pipe table with its numbered caption, and links to its files where it has any."""
        links = (
            f" [[CSV](tables/{self.key}.csv) · [TeX](tables/{self.key}.tex)]{{.links}}"
            if files
            else ""
        )
        lines = [
            _line([column.head for column in self.columns]),
            _line([RULES[column.align] for column in self.columns]),
            *(_line(row) for row in self.rows),
            "",
            f": **Table {number}.** {self.caption}{links} {{#tbl-{self.key}{self.classes}}}",
        ]
        notes = [f"\n[{note}]{{.note}}" for note in self.notes]
        return "\n".join(["", "", *lines, *notes, "", ""])

    def csv(self) -> str:
        """Write the data with every digit; absent values are empty."""
        stream = io.StringIO()
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(self.data_columns)
        writer.writerows([["" if v is None else _exact(v) for v in row] for row in self.data])
        return stream.getvalue()


def sorted_by(shown: str, value: float | None) -> str:
    """Give a cell the number that a sortable table orders it by; none sorts last."""
    return shown if value is None else f"[{shown}]{{number={value!r}}}"


def _line(cells: Sequence[str]) -> str:
    # a bar in a text from outside comes escaped (escape.markdown), one in code needs no escape
    return "| " + " | ".join(cell.replace("\n", " ") for cell in cells) + " |"


def _exact(value: float | str) -> str:
    if isinstance(value, str):
        return csv_cell(value)
    return repr(float(value)) if isinstance(value, float) else str(value)
