r"""Cells of text tables: CSV and JSON lines become frames, 8 MB at a time where lines are plain.

Python's csv and json modules say what a line means. polars reads many lines at once where it must
mean the same: that is checked by counting marks in the text, and what fails the count, however
rare, is read line by line.
"""

from __future__ import annotations

import csv
import math
import re
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import polars as pl

from isoflop.ingest.reading.events import Event, LeftOutRows, Remark, Truncated, Unread
from isoflop.ingest.reading.heads import (
    begins_before_head,
    is_number,
    separator_of,
    without_comments,
)
from isoflop.ingest.reading.refused import RefusedError
from isoflop.ingest.words.numbers import SUFFIXES, json_object, number

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from isoflop.ingest.reading.source import RawFile

BLOCK: Final = 8 << 20
"""Bytes of text taken at once."""
SAMPLE: Final = 200
"""Lines by which the types of a block's columns are guessed."""
SAMPLE_BYTES: Final = 64 * 1024
"""Bytes in which these lines lie at most."""
LEAST_SPLIT: Final = 64 * 1024
"""Bytes below which a block with an odd line is read line by line as a whole."""
LONGEST_MARK: Final = 1_000
"""Bytes in which a table begins, or what stands before its head does."""
LONGEST_CELL: Final = 131_072
"""Characters of a cell beyond which Python's csv module refuses it."""
AT_ONCE: Final = 256 * 1024
"""Bytes of text that are compared at once: they stay in the processor's cache."""
CELL_SHOWN: Final = 40
"""Characters shown of a cell."""

Column = pl.Series | list[Any]
_PLAIN: Final = (pl.Int64, pl.Float64, pl.String, pl.Null)


@dataclass(frozen=True, slots=True)
class _Chunk:
    """Rows that were read together: columns by name, all of one height."""

    columns: dict[str, Column]
    height: int


def read_table(
    file: RawFile,
    named: Callable[[Sequence[str]], str | None],
    measured: Callable[[str], bool],
    counted: Callable[[str], float | None] = lambda _: None,
) -> tuple[pl.DataFrame, list[Event]]:
    """Read a table's rows.

    Parameters
    ----------
    file : text, of JSON objects line by line, or CSV whose first line names its columns.
    named : tells which of a table's columns names runs, and stays text: run 0010 is not run 10.
    measured : tells whether a column's numbers are no counts, as losses and learning rates are.
    counted : tells of what size the things are that a column counts, as 1e6 of millions; None of a
        column that counts nothing.

    Returns
    -------
    A frame whose columns are numbers (Float64) where every filled cell is one, and text otherwise;
    and what to know of lines that are no rows.

    Raises
    ------
    RefusedError : a column's commas are decimal marks in some cells and thousands marks in others.
    """
    text = TextTable(file, named, measured, counted)
    chunks = [chunk for of_block in text.blocks() for chunk in of_block]
    if text.separator and (_is_mixed(chunks) or text.may_have_points_for_thousands(chunks)):
        # a column of numbers turned out to be text, and must be as written
        text = TextTable(file, named, measured, counted, typed=False)
        chunks = [chunk for of_block in text.blocks() for chunk in of_block]
    return text.frame(chunks), text.problems


class TextTable:
    """A table that is text; parameters as of `read_table`.

    Parameters
    ----------
    typed : whether cells of CSV may be read as numbers at once.

    Attributes
    ----------
    names : of its columns, as far as it was read.
    problems : what to know of lines that are no rows, as far as it was read.
    separator : between the cells of CSV; empty of JSON lines.
    """

    def __init__(
        self,
        file: RawFile,
        named: Callable[[Sequence[str]], str | None],
        measured: Callable[[str], bool],
        counted: Callable[[str], float | None] = lambda _: None,
        *,
        typed: bool = True,
    ) -> None:
        self.names: list[str] = []
        self.problems: list[Event] = []
        self._file = file
        self._named = named
        self._measured = measured
        self._counted = counted
        self._typed = typed
        self.separator = ""

    def blocks(self) -> Iterator[list[_Chunk]]:
        """Read it block by block of the file."""
        # whoever holds a block asks the system for the memory of the next one
        pieces = _without_blank_head(self._file.blocks(BLOCK))
        first, comments = _from_head(next(pieces, b""))
        if comments:
            self.problems.append(Remark(f"{comments} lines of comments before its head"))
        is_json = first.lstrip().startswith(b"{")
        self.separator = "" if is_json else _separator_of(first)
        waiting = chain([first], pieces)
        del first
        if is_json:
            schema = _Schema()
            for piece in waiting:
                chunks = list(_json_chunks(piece, schema, self.problems))
                del piece
                seen = dict.fromkeys(self.names)
                seen |= dict.fromkeys(name for chunk in chunks for name in chunk.columns)
                self.names = list(seen)
                yield chunks
        else:
            reader = _Csv(self.separator, self._named, typed=self._typed)
            reader.problems = self.problems
            rows = _Comments(self._file)
            for chunk in reader.chunks(rows.without(waiting)):
                # a head that stands once more may name others
                self.names = [*dict.fromkeys([*self.names, *chunk.columns])]
                yield [chunk]
            self.names = [*dict.fromkeys([*self.names, *reader.names])]
            if rows.comments:
                self.problems.append(LeftOutRows(rows.comments, "behind a #, as comments are"))

    def frame(self, chunks: Sequence[_Chunk]) -> pl.DataFrame:
        """Lay chunks out as one frame; see `read_table`."""
        text, decimals = self._named(self.names), self._decimal_commas(chunks)
        columns: dict[str, pl.Series] = {}
        for name in self.names:
            parts = [_column_of(chunk, name) for chunk in chunks]
            columns[name] = _joined(name, parts, self._marks(name, decimals), text=name == text)
        return pl.DataFrame(columns)

    def _marks(self, name: str, decimals: str | None = None) -> Marks:
        """Say what gives the commas of a column their meaning."""
        return Marks(self.separator, self._measured(name), self._counted(name), decimals)

    def _decimal_commas(self, chunks: Sequence[_Chunk]) -> str | None:
        """Find a column whose commas are surely decimal marks; None if there is none."""
        for name in self.names:
            texts = [
                part.filter(part.str.contains(_NUMBER_WITH_COMMA)).unique(maintain_order=True)
                for chunk in chunks
                if isinstance(part := _column_of(chunk, name), pl.Series)
                and part.dtype == pl.String
            ]
            numbers = [cell for part in texts for cell in part.str.strip_chars()]
            if numbers and all(map(_DECIMAL.fullmatch, numbers)):
                marks = self._marks(name)
                sure = marks.prefers_decimal or not all(map(_THOUSANDS.fullmatch, numbers))
                if sure and name != self._named(self.names):
                    return name
        return None

    def may_have_points_for_thousands(self, chunks: Sequence[_Chunk]) -> bool:
        """Tell whether counts were read as numbers with points beside decimal commas."""
        counts = [name for name in self.names if self._counted(name) is not None]
        parts = [_column_of(chunk, name) for chunk in chunks for name in counts]
        read = (part for part in parts if isinstance(part, pl.Series) and part.dtype.is_float())
        broken = any((part.is_finite() & (part != part.floor())).any() for part in read)
        return broken and self._decimal_commas(chunks) is not None

    def has_marks(self, chunks: Sequence[_Chunk], names: Iterable[str]) -> bool:
        """Tell whether some cell has a mark to which the whole column gives a meaning."""
        marked = [name for name in names if self._marks(name)]
        parts = [
            pl.Series(name, _column_of(chunk, name), strict=False)
            for name in marked
            for chunk in chunks
        ]
        texts = (part for part in parts if part.dtype == pl.String)
        return any(part.str.contains(_MARKED).any() for part in texts)


def _separator_of(first: bytes) -> str:
    """Tell what is between the cells of CSV, by its first line."""
    end = first.find(b"\n")
    return separator_of(first[: end if end >= 0 else None].decode())


def _from_head(first: bytes) -> tuple[bytes, int]:
    """Leave out what stands before the head of CSV, and count its comments."""
    if not begins_before_head(first[:LONGEST_MARK].decode(errors="replace")):
        return first, 0
    text, comments = without_comments(first.decode())
    return text.encode(), comments


class _Comments:
    """Rows of CSV behind a #; where most rows begin so, it is of names.

    Attributes
    ----------
    comments : how many were left out.
    """

    def __init__(self, file: RawFile) -> None:
        self.comments = 0
        self._file = file
        self._open = False
        """Whether a quote is open, in which a line may begin with anything."""

    def without(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        """Leave them out, but of the head; a piece is of whole lines."""
        begin = -1
        names = None
        for piece in pieces:
            begin = piece.find(b"\n") + 1 if begin < 0 else 0
            if not _COMMENT.search(piece, begin):
                self._open ^= piece.count(b'"') % 2 == 1
                yield piece
                continue
            names = self._are_names() if names is None else names
            # an empty piece would say that damaged compression ended the text
            if left := piece if names else self._without(piece, begin):
                yield left

    def _are_names(self) -> bool:
        rows = [line for line in self._file.sample().split(b"\n")[1:] if line.strip()]
        return 2 * sum(line.lstrip().startswith(b"#") for line in rows) > len(rows)

    def _without(self, piece: bytes, begin: int) -> bytes:
        kept = [piece[:begin]]
        for line in piece[begin:].splitlines(keepends=True):
            if not self._open and line.lstrip().startswith(b"#"):
                self.comments += 1
            else:
                self._open ^= line.count(b'"') % 2 == 1
                kept.append(line)
        return b"".join(kept)


_COMMENT: Final = re.compile(rb"(?m)^[ \t]*#")


def _without_blank_head(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Leave out blank lines before the first one that is not."""
    for piece in pieces:
        left = piece
        while (end := left.find(b"\n") + 1) and not left[:end].strip():
            left = left[end:]
        if left or not piece:
            yield left
            break
    yield from pieces


def _column_of(chunk: _Chunk, name: str) -> Column:
    """Give a column of a chunk, which may lack it."""
    if name in chunk.columns:
        return chunk.columns[name]
    return pl.Series(name, [None] * chunk.height, dtype=pl.Null)


# -- JSON lines ------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Schema:
    """What is known of the values of a file's lines.

    Attributes
    ----------
    known : the types that were seen, dictionaries of types for objects.
    proven : the columns by which the last block could be read, which the next is mostly like.
    """

    known: dict[str, Any] = field(default_factory=dict)
    proven: dict[str, Any] | None = None


def _json_chunks(piece: bytes, schema: _Schema, problems: list[Event]) -> Iterator[_Chunk]:
    """Read JSON objects line by line; nested keys are joined by dots."""
    end = piece.rfind(b"\n") + 1
    if end:
        yield from _json_block(piece[:end], schema, problems)
    if piece[end:] or not piece:  # an empty piece: damaged compression ended the text
        yield _json_rows([piece[end:].decode()], problems)


def _json_block(text: bytes, schema: _Schema, problems: list[Event]) -> Iterator[_Chunk]:
    """Read whole lines, halving what cannot be read at once around the line that is odd."""
    # a search for one letter is the fastest there is, and most often enough
    odd = (b"N" in text and b"NaN" in text) or (b"I" in text and b"Infinity" in text)
    if odd and len(text) > LEAST_SPLIT:
        yield from _around_odd_numbers(text, schema, problems)
        return
    frame = _json_frame(text, schema)
    middle = text.find(b"\n", len(text) // 2) + 1
    if middle >= len(text):
        middle = text.rfind(b"\n", 0, len(text) // 2) + 1
    if frame is not None:
        yield _Chunk({series.name: series for series in frame}, frame.height)
    elif len(text) <= LEAST_SPLIT or not middle:
        yield _json_rows(text.decode().split("\n")[:-1], problems, complete=True)
    else:
        yield from _json_block(text[:middle], schema, problems)
        yield from _json_block(text[middle:], schema, problems)


def _around_odd_numbers(text: bytes, schema: _Schema, problems: list[Event]) -> Iterator[_Chunk]:
    """Read the lines with bare NaN and Infinity, which no JSON has, by themselves."""
    begin = 0
    for start, end in _odd_lines(text):
        if start > begin:
            yield from _json_block(text[begin:start], schema, problems)
        yield _json_rows(text[start:end].decode().split("\n")[:-1], problems, complete=True)
        begin = end
    if begin < len(text):
        yield from _json_block(text[begin:], schema, problems)


def _odd_lines(text: bytes) -> list[tuple[int, int]]:
    """Find the stretches of lines with NaN or Infinity."""
    stretches: list[tuple[int, int]] = []
    for odd in re.finditer(b"NaN|Infinity", text):
        if stretches and odd.start() < stretches[-1][1]:
            continue
        start = text.rfind(b"\n", 0, odd.start()) + 1
        end = text.find(b"\n", odd.end()) + 1 or len(text)
        if stretches and stretches[-1][1] == start:
            start = stretches.pop()[0]
        stretches.append((start, end))
    return stretches


def _json_frame(text: bytes, schema: _Schema) -> pl.DataFrame | None:
    """Read lines at once; None where that could differ from reading them one by one."""
    if b"\\" in text and re.search(rb"\\u[dD]", text):  # halves of surrogate pairs
        return None
    frame = _exact_frame(text, schema.proven) if schema.proven else None
    if frame is None:
        for line in text[:SAMPLE_BYTES].split(b"\n", SAMPLE)[:-1]:
            record = json_object(line.decode())
            if record is not None:
                _learn(schema.known, record)
        tried = [_dtypes(schema.known, integer=kind) for kind in (pl.Int64, pl.Float64)]
        for types in [*filter(None, tried), None]:
            frame = _exact_frame(text, types)
            if frame is not None:
                schema.proven = types
                break
    flat = None if frame is None else _flattened(frame)
    return flat if flat is not None and set(flat.dtypes) <= set(_PLAIN) else None


def _learn(schema: dict[str, Any], record: dict[str, Any]) -> None:
    """Note the types of a line's values: dictionaries of types for objects."""
    for name, value in record.items():
        known = schema.get(name)
        if isinstance(value, dict):
            inner = known if isinstance(known, dict) else {}
            _learn(inner, value)
            schema[name] = inner
        elif value is not None and known in (None, int):
            schema[name] = type(value)
        else:
            schema.setdefault(name, None)


def _dtypes(schema: dict[str, Any], *, integer: Any) -> dict[str, Any] | None:
    """Translate the types that were noted; None where one has no counterpart."""
    simple = {int: integer, float: pl.Float64, str: pl.String, bool: pl.Boolean, None: pl.Float64}
    types: dict[str, Any] = {}
    for name, kind in schema.items():
        if isinstance(kind, dict):
            inner = _dtypes(kind, integer=integer)
            if not inner:
                return None
            types[name] = pl.Struct(inner)
        elif kind in simple:
            types[name] = simple[kind]
        else:
            return None
    return types


def _exact_frame(text: bytes, types: dict[str, Any] | None) -> pl.DataFrame | None:
    """Read lines by the types of their values; None where that may not be all they say."""
    try:
        frame = pl.read_ndjson(text, schema=types, infer_schema_length=None)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException):
        return None
    return frame if _is_exact(text, frame) else None


def _is_exact(text: bytes, frame: pl.DataFrame) -> bool:
    """Tell by counts whether a frame has every line, every key and every quoted text of its lines.

    A key that the types do not list, one that comes twice, an escaped mark or a number where the
    column is text: each leaves marks that no cell accounts for.
    """
    lines, quotes, marks = _counted(text, b"\n", b'"', b'":')
    if frame.height != lines:
        return False
    keys = strings = 0
    columns = frame.get_columns()
    while columns:
        column = columns.pop()
        filled = column.len() - column.null_count()
        keys += filled
        if column.dtype == pl.String:
            strings += filled
        elif isinstance(column.dtype, pl.Struct):
            columns += column.struct.unnest().get_columns()
    if quotes != 2 * (marks + strings):
        return False
    return bool(marks == keys or marks == keys + text.count(b"null"))


def _counted(text: bytes, *marks: bytes, begin: int = 0) -> list[int]:
    """Count marks of one or two letters, which may overlap, in pieces that stay in the cache."""
    letters, counts = np.frombuffer(text, np.uint8)[begin:], [0] * len(marks)
    for start in range(0, len(letters), AT_ONCE):
        end = start + AT_ONCE
        places = {letter: letters[start : end + 1] == letter for letter in set(b"".join(marks))}
        for place, (first, *second) in enumerate(marks):
            hits = places[first][:AT_ONCE]
            if second:
                following = places[second[0]][1:]
                hits = hits[: len(following)] & following
            counts[place] += int(np.count_nonzero(hits))
    return counts


def _flattened(frame: pl.DataFrame) -> pl.DataFrame | None:
    """Join nested keys by dots; None where two keys then have one name."""
    columns: dict[str, pl.Series] = {}
    waiting = [(column.name, column) for column in reversed(frame.get_columns())]
    while waiting:
        name, column = waiting.pop()
        if isinstance(column.dtype, pl.Struct):
            inner = column.struct.unnest().get_columns()
            waiting += [(f"{name}.{each.name}", each) for each in reversed(inner)]
        elif name in columns:
            return None
        else:
            columns[name] = _worded(column).alias(name)
    return pl.DataFrame(columns)


def _worded(column: pl.Series) -> pl.Series:
    """Write truth values as Python does."""
    if column.dtype != pl.Boolean:
        return column
    return column.replace_strict({True: "True", False: "False"}, return_dtype=pl.String)


def _json_rows(lines: Sequence[str], problems: list[Event], *, complete: bool = False) -> _Chunk:
    """Read JSON lines one by one."""
    rows: list[dict[str, Any]] = []
    for line in lines:
        if not line.strip() and complete:
            continue
        record = json_object(line)
        if record is not None:
            rows.append(dict(_flat(record)))
        else:
            problems.append(Unread() if complete else Truncated())
    names = dict.fromkeys(name for row in rows for name in row)
    return _Chunk({name: [row.get(name) for row in rows] for name in names}, len(rows))


def frame_of_records(records: Sequence[dict[str, Any]], text: str | None) -> pl.DataFrame:
    """Lay out records that are no lines of text; nested keys are joined by dots.

    Parameters
    ----------
    text : the column that stays text.
    """
    rows = [dict(_flat(record)) for record in records]
    names = dict.fromkeys(name for row in rows for name in row)
    columns = {name: [row.get(name) for row in rows] for name in names}
    return pl.DataFrame(
        [_of_cells(name, cells, text=name == text) for name, cells in columns.items()]
    )


def _flat(record: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in record.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


# -- CSV -------------------------------------------------------------------------------------------


LEAST_SHARED: Final = 2
"""Names that two heads of one file share at least."""


class _Csv:
    """Reads CSV; short rows are unread."""

    def __init__(
        self, separator: str, named: Callable[[Sequence[str]], str | None], *, typed: bool
    ) -> None:
        self.names: list[str] = []
        self.problems: list[Event] = []
        self._separator = separator
        self._named = named
        self._typed = typed
        self._proven = False
        """Whether a block was of numbers alone."""

    def chunks(self, pieces: Iterable[bytes]) -> Iterator[_Chunk]:
        """Read the head and the rows below it."""
        waiting = iter(pieces)
        first = next(waiting, b"")
        end = first.find(b"\n") + 1 or len(first)
        head = first[:end].decode().rstrip("\n")
        if '"' in head and self._is_open(head):  # a name with a line end in it
            yield from self._slowly(chain([first], waiting))
            return
        try:
            self.names = unique_names(next(csv.reader([head], delimiter=self._separator), []))
        except csv.Error as error:
            raise RefusedError(f"its head is no CSV: {error}") from error
        # rows begin below the head, which no block is copied to cut off
        begin = end if end < len(first) else 0
        waiting = chain([first] if begin else [], waiting)
        del first
        for piece in waiting:
            end = piece.rfind(b"\n", begin) + 1
            frame = self._frame(piece[:end], begin) if end else None
            if frame is None and piece.find(b'"', begin) >= 0:
                # a cell may go on over line ends, and so over blocks
                yield from self._slowly(chain([piece[begin:]], waiting), named=True)
                return
            if frame is not None:
                yield _Chunk({series.name: series for series in frame}, frame.height)
            elif end:
                yield from self._rows(_lines(piece[begin:end]))
            last = piece[max(begin, end) :]
            if last or not piece:
                yield from self._rows([last.decode()])
            begin = 0
            del piece, frame

    def _is_open(self, head: str) -> bool:
        rows = list(csv.reader([head + "\n", "\n"], delimiter=self._separator))
        return len(rows) == 1

    def _slowly(self, pieces: Iterable[bytes], *, named: bool = False) -> Iterator[_Chunk]:
        """Read what is left by Python's csv module."""
        lines = [line for piece in pieces for line in _lines(piece)]
        if not named:
            reader = csv.reader(lines, delimiter=self._separator)
            try:
                self.names = unique_names(next(reader, []))
            except csv.Error as error:
                raise RefusedError(f"its head is no CSV: {error}") from error
            lines = lines[reader.line_num :]
        yield from self._rows(lines)

    def _rows(self, lines: Sequence[str]) -> Iterator[_Chunk]:
        """Read rows one by one; below a head with other columns they are another chunk."""
        rows: list[list[str]] = []
        last = 0
        reader = csv.reader(lines, delimiter=self._separator)
        while True:
            try:
                cells = next(reader)
            except StopIteration:
                break
            except csv.Error:
                self.problems.append(Unread())
                continue
            if self._names_anew(cells):
                yield self._chunk(rows)
                rows, self.names = [], unique_names(cells)
                remark = f"its head stands once more, with other columns: {', '.join(self.names)}"
                self.problems.append(Remark(remark))
            elif len(cells) == len(self.names):
                rows.append(cells)
                last = reader.line_num
            elif any(cells):
                complete = lines[reader.line_num - 1].endswith("\n")
                self.problems.append(Unread() if complete else Truncated())
        if lines and not lines[-1]:
            self.problems.append(Truncated())  # damaged compression ended the text
        elif lines and last == len(lines) and not lines[-1].endswith("\n"):
            remark = "its last row has no line end; if the file was cut, so was a value"
            self.problems.append(Remark(remark))
        yield self._chunk(rows)

    def _names_anew(self, cells: Sequence[str]) -> bool:
        """Tell a row that names columns as the head does, others among them or in another order."""
        if not cells or cells == self.names:
            return False
        if max(self.names, key=len, default="") not in cells:
            return False
        shared = len(set(self.names).intersection(cells))
        is_head = shared >= LEAST_SHARED and 2 * shared >= len(self.names)
        return is_head and not any(map(is_number, cells))

    def _has_name(self, text: bytes, begin: int) -> bool:
        """Tell whether some cell may be the longest name: another head may follow."""
        name = max(self.names, key=len).encode()
        at = text.find(name, begin)
        marks = self._separator.encode() + b'\r\n"'
        while at >= 0:
            after = text[at + len(name) : at + len(name) + 1]
            if (at == begin or text[at - 1] in marks) and (not after or after[0] in marks):
                return True
            at = text.find(name, at + 1)
        return False

    def _chunk(self, rows: Sequence[Sequence[str]]) -> _Chunk:
        """Lay rows out by the head above them."""
        columns = zip(*rows, strict=True) if rows else [[] for _ in self.names]
        return _Chunk(
            {
                name: pl.Series(name, list(cells), dtype=pl.String)
                for name, cells in zip(self.names, columns, strict=True)
            },
            len(rows),
        )

    def _frame(self, text: bytes, begin: int) -> pl.DataFrame | None:
        """Read whole lines at once; None where that could differ from reading them one by one.

        Parameters
        ----------
        text : lines, and before `begin` the one that names the columns.
        """
        width, quoted = len(self.names), text.find(b'"', begin) >= 0
        separator = self._separator.encode()
        lines, blanks, marks = _counted(text, b"\n", b"\n\n", separator, begin=begin)
        blank = blanks > 0 or text.startswith(b"\n", begin)
        if width < 2 or blank or (not quoted and marks != lines * (width - 1)):
            return None
        if self._has_name(text, begin):
            return None
        if quoted and not self._is_plainly_quoted(text[begin:], width):
            return None
        for types in self._tried(text[begin : begin + SAMPLE_BYTES]):
            try:
                frame = pl.read_csv(
                    text,
                    has_header=False,
                    skip_lines=1 if begin else 0,
                    separator=self._separator,
                    quote_char='"' if quoted else None,
                    schema=types,
                )
            except (pl.exceptions.PolarsError, pl.exceptions.PanicException):
                continue
            texts = frame.select(pl.col(pl.String).str.len_chars().max())
            longest = max((cell or 0 for cell in texts.row(0)), default=0) if texts.width else 0
            # a short row leaves its last cells without any text
            if frame.height == lines and longest <= LONGEST_CELL:
                if types == self._numeric:
                    self._proven = True
                return frame
        return None

    def _tried(self, sample: bytes) -> Iterator[dict[str, Any]]:
        """Give the types that a block's columns may have, in the order in which to try them.

        Blocks are mostly as the one before: what read one of numbers alone is tried first.
        """
        if self._proven:
            yield self._numeric
        guessed = self._types(sample)
        if not (self._proven and guessed == self._numeric):
            yield guessed
        if (texts := dict.fromkeys(self.names, pl.String)) != guessed:
            yield texts

    @property
    def _numeric(self) -> dict[str, Any]:
        """The types of columns that are all numbers, but for the one that names runs."""
        types: dict[str, Any] = dict.fromkeys(self.names, pl.Float64)
        if (text_column := self._named(self.names)) is not None:
            types[text_column] = pl.String
        return types

    def _types(self, sample: bytes) -> dict[str, Any]:
        """Guess columns of numbers from the first lines."""
        if not self._typed:
            return dict.fromkeys(self.names, pl.String)
        first = sample.decode(errors="replace").split("\n", SAMPLE)[:-1]
        reader = csv.reader(first, delimiter=self._separator)
        rows = [cells for cells in reader if len(cells) == len(self.names)]
        columns: Iterable[tuple[str, ...]] = (
            zip(*rows, strict=True) if rows else [()] * len(self.names)
        )
        kinds = (
            pl.Float64 if all(map(_is_plain_number, cells)) else pl.String for cells in columns
        )
        types: dict[str, Any] = dict(zip(self.names, kinds, strict=True))
        if (text_column := self._named(self.names)) is not None:
            types[text_column] = pl.String
        return types

    def _is_plainly_quoted(self, text: bytes, width: int) -> bool:
        """Tell whether every cell is quoted as a whole, or has no quote at all."""
        mark = re.escape(self._separator)
        cell = rf'(?:"[^"]*"|[^"{mark}]*)'
        try:
            lines = pl.Series(text.decode().split("\n")[:-1], dtype=pl.String)
            return bool(lines.str.contains(rf"^{cell}(?:{mark}{cell}){{{width - 1}}}$").all())
        except pl.exceptions.PolarsError:  # too wide for a regular expression
            return False


def _is_mixed(chunks: Sequence[_Chunk]) -> bool:
    """Tell whether a column is of numbers in some chunks, and of text that is none in others."""
    for name in dict.fromkeys(name for chunk in chunks for name in chunk.columns):
        parts = [chunk.columns[name] for chunk in chunks if name in chunk.columns]
        kinds = {part.dtype for part in parts if isinstance(part, pl.Series)}
        if {pl.Float64, pl.String} <= kinds:
            texts = [pl.Series(part) for part in parts if pl.Series(part).dtype == pl.String]
            if any(
                _of_strings(name, part, Marks(), text=False).dtype == pl.String for part in texts
            ):
                return True
    return False


def unique_names(names: Sequence[str]) -> list[str]:
    """Name columns uniquely; an unnamed one, such as a pandas index, is column_<place>."""
    unique: list[str] = []
    for place, name in enumerate(names, start=1):
        stripped = name.strip() or f"column_{place}"
        unique.append(f"{stripped}_{place}" if stripped in unique else stripped)
    return unique


def _lines(piece: bytes) -> list[str]:
    """Split at line feeds, which stay; an empty piece is an empty line."""
    lines = [line + "\n" for line in piece.decode().split("\n")]
    last = lines.pop()[:-1]
    return [*lines, last] if last or not piece else lines


def _is_plain_number(cell: str) -> bool:
    return (
        not cell or re.fullmatch(r"[-+]?[0-9]+(?:\.[0-9]*)?(?:[eE][-+]?[0-9]+)?", cell) is not None
    )


# -- columns ---------------------------------------------------------------------------------------


def _joined(name: str, parts: Sequence[Column], marks: Marks, *, text: bool) -> pl.Series:
    """Join the pieces of a column: of numbers if every filled cell is one, else of text."""
    plain = all(isinstance(part, pl.Series) for part in parts)
    kinds = {part.dtype for part in parts if isinstance(part, pl.Series)} - {pl.Null}
    if plain and kinds <= {pl.Int64, pl.Float64} and kinds and not text:
        numbers = _stacked(name, parts, pl.Float64)
        return numbers if numbers.count() else numbers.cast(pl.String)
    if plain and not kinds and parts:
        return _stacked(name, parts, pl.String)
    if plain and kinds == {pl.String}:
        return _of_strings(name, _stacked(name, parts, pl.String), marks, text=text)
    cells = list(chain.from_iterable(parts))
    return _of_cells(name, cells if text else without_marks(name, cells, marks), text=text)


def _stacked(name: str, parts: Sequence[Column], dtype: Any) -> pl.Series:
    return pl.concat([pl.Series(name, part).cast(dtype) for part in parts]).rename(name)


def _of_strings(name: str, cells: pl.Series, marks: Marks, *, text: bool) -> pl.Series:
    """Make numbers of a column of strings if every filled one is a number."""
    stripped = cells.str.strip_chars()
    filled = cells.is_not_null() & (stripped != "")
    texts = pl.select(pl.when(filled).then(cells).alias(name)).to_series()
    if text or not filled.any():
        return texts
    numbers = stripped.cast(pl.Float64, strict=False)
    odd = filled & numbers.is_null()
    pointed = marks.decimals is not None and marks.counted is not None
    if not odd.any() and not (pointed and stripped.str.contains(_POINTED).any()):
        return numbers.rename(name)
    unique = stripped.filter(odd).unique(maintain_order=True)
    suffixed = unique.str.slice(-1).is_in(list(SUFFIXES)).any()
    if suffixed or any(number(cell) is None for cell in unique):
        marked = marks and cells.str.contains(_MARKED).any()
        if not marked:
            return texts
    return _of_cells(name, without_marks(name, cells.to_list(), marks), text=text)


def _of_cells(name: str, cells: Sequence[Any], *, text: bool) -> pl.Series:
    """Make a column of numbers if every filled cell is one; 2.8B stays text, for formulas."""
    filled = [cell for cell in cells if cell is not None and str(cell).strip()]
    plain = not text and not any(str(cell).strip()[-1] in SUFFIXES for cell in filled)
    numbers = [number(cell) for cell in cells] if plain else []
    if filled and sum(value is not None for value in numbers) == len(filled):
        return pl.Series(name, numbers, dtype=pl.Float64)
    texts = [None if cell is None or not str(cell).strip() else as_text(cell) for cell in cells]
    return pl.Series(name, texts, dtype=pl.String)


def as_text(cell: object) -> str:
    """Write a cell; a whole number shows no decimals."""
    return str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell)


class Marks(NamedTuple):
    """What gives the commas in a column's numbers their meaning; false if nothing does."""

    separator: str = ""
    """Between the cells of CSV; empty of other files."""
    measured: bool = False
    """Whether its numbers are no counts: a comma in a loss or a learning rate is a decimal mark."""
    counted: float | None = None
    """What it counts, 1e6 of millions; None if it counts nothing that is known."""
    decimals: str | None = None
    """A column of the file whose commas are surely decimal marks."""

    def __bool__(self) -> bool:
        return bool(self.separator) or self.measured

    @property
    def prefers_decimal(self) -> bool:
        """Whether a comma that could be either is a decimal mark."""
        return self.measured or self.separator == ";" or self.is_beside_decimals

    @property
    def others(self) -> str:
        """Name the column with decimal commas."""
        return f"the decimal commas of '{self.decimals}'"

    @property
    def is_beside_decimals(self) -> bool:
        """Whether other columns and a unit say so: 1,411 billions are 1.411."""
        return self.decimals is not None and self.counted not in (None, 1.0)


_BLANKS: Final = "'’\u00a0\u202f "
"""Marks of thousands that are no decimal marks anywhere."""
_MARKED: Final = r"[,'’\u00a0\u202f]|[0-9] [0-9]{3}|[0-9]\.[0-9]{3}\."
"""What a cell has in it, if it may be a number with marks."""
_NUMBER_WITH_COMMA: Final = r"^\s*[-+]?[0-9.]*,[0-9.,]*[0-9](?:[eE][-+]?[0-9]+)?\s*[KMBGTkmb]?\s*$"
_POINTED: Final = r"^[-+]?[1-9][0-9]{0,2}\.[0-9]{3}$"
_GROUPED = re.compile(
    rf"[-+]?[1-9][0-9]{{0,2}}(?:[{_BLANKS}][0-9]{{3}})+(?:[.,][0-9]+)?(?:[eE][-+]?[0-9]+)?\s*[KMBGTkmb]?"
)
_GROUPS_OF_POINTS = re.compile(
    r"[-+]?[1-9][0-9]{0,2}(?:\.[0-9]{3})+(?:,[0-9]+)?(?:[eE][-+]?[0-9]+)?\s*[KMBGTkmb]?"
)
_SEVERAL_POINTS = re.compile(
    r"[-+]?[1-9][0-9]{0,2}(?:\.[0-9]{3}){2,}(?:,[0-9]+)?(?:[eE][-+]?[0-9]+)?\s*[KMBGTkmb]?"
)

_THOUSANDS = re.compile(
    r"[-+]?[1-9][0-9]{0,2}(?:,[0-9]{3})+(?:\.[0-9]*)?(?:[eE][-+]?[0-9]+)?\s*[KMBGT]?"
)
_DECIMAL = re.compile(
    r"[-+]?(?:[0-9]{1,3}(?:\.[0-9]{3})+|[0-9]+)?,[0-9]+(?:[eE][-+]?[0-9]+)?\s*[KMBGT]?"
)
_POINT = re.compile(r"[-+]?[0-9]*\.[0-9]+(?:[eE][-+]?[0-9]+)?")
_NUMERIC = re.compile(r"[-+]?[0-9.,]*[0-9](?:[eE][-+]?[0-9]+)?\s*[KMBGT]?")


def without_marks(name: str, cells: list[Any], marks: Marks) -> list[Any]:
    """Take marks out of numbers: those of thousands, and decimal commas, which become points.

    Apostrophes and blanks are marks of thousands, and so are points where a cell has several. Of
    losses and other measured values, and between semicolons, a comma is a decimal mark, unless a
    cell has several or a point besides; so it is of counts in a unit beside other columns with
    decimal commas. Elsewhere it is a thousands mark where three digits follow it in every cell.

    Raises
    ------
    RefusedError : the cells of the column do not agree, or could be either.
    """
    cells = [_without_blanks(cell) for cell in cells] if marks else cells
    if marks and not marks.measured and any(map(_has_several_points, cells)):
        return _without_points(name, cells)
    marked = [
        (row, cell.strip())
        for row, cell in enumerate(cells, start=1)
        if isinstance(cell, str) and "," in cell and _NUMERIC.fullmatch(cell.strip())
    ]
    if marks.decimals is not None and marks.counted is not None:
        _refuse_points(name, cells, marks)
    if not marked or not marks:
        return cells
    thousands = [_THOUSANDS.fullmatch(cell) is not None for _, cell in marked]
    decimal = [_DECIMAL.fullmatch(cell) is not None for _, cell in marked]
    prefers_decimal = marks.prefers_decimal
    doubted = marks.counted is not None and (marks.counted != 1.0 or marks.decimals is not None)
    if doubted and all(decimal) and all(thousands) and not prefers_decimal:
        row, cell = marked[0]
        bare, point = cell.replace(",", ""), cell.replace(",", ".")
        if marks.decimals is None:
            raise _doubt(name, row, cell, "the unit of its column", ways=[bare, point])
        raise _doubt(name, row, cell, marks.others, ways=[bare])
    if all(decimal) and not any(map(_has_point, cells)) and (prefers_decimal or not all(thousands)):
        return [_point_for_comma(cell) for cell in cells]
    either = any(decimal) if marks.measured else all(decimal)
    if all(thousands) and not (prefers_decimal and either):
        return cells
    wrong = decimal if sum(decimal) > sum(thousands) else thousands
    place = wrong.index(False) if False in wrong else 0
    raise _doubt(name, *marked[place], "the column's other cells")


def _doubt(
    name: str,
    row: int,
    cell: str,
    beside: str,
    *,
    ways: Sequence[str] = (),
    mark: str = "comma",
) -> RefusedError:
    """Say of which cell it is not known what its mark means.

    Parameters
    ----------
    ways : how this cell may be written, where that is enough.
    """
    told = f"write all of them in one way, this one as {' or '.join(ways)}"
    return RefusedError(
        f"column '{name}', row {row}: '{cell[:CELL_SHOWN]}' is a number whose {mark} could be a "
        f"decimal or a thousands mark beside {beside}; {told if ways else 'write them in one way'}"
    )


def _without_blanks(cell: Any) -> Any:
    """Take apostrophes and blanks out of a number."""
    if not isinstance(cell, str) or not _GROUPED.fullmatch(cell.strip()):
        return cell
    return re.sub(rf"(?<=[0-9])[{_BLANKS}](?=[0-9])", "", cell)


def _has_several_points(cell: Any) -> bool:
    return isinstance(cell, str) and _SEVERAL_POINTS.fullmatch(cell.strip()) is not None


def _without_points(name: str, cells: list[Any]) -> list[Any]:
    """Take the points out of a column in which some number has several."""
    for row, cell in enumerate(cells, start=1):
        odd = isinstance(cell, str) and "." in cell and _NUMERIC.fullmatch(cell.strip())
        if _has_point(cell) if not isinstance(cell, str) else odd:
            if isinstance(cell, str) and _GROUPS_OF_POINTS.fullmatch(cell.strip()):
                continue
            raise _doubt(name, row, str(cell).strip(), "the column's other cells", mark="point")
    return [
        cell.replace(".", "").replace(",", ".")
        if isinstance(cell, str) and _NUMERIC.fullmatch(cell.strip())
        else cell
        for cell in cells
    ]


def _refuse_points(name: str, cells: list[Any], marks: Marks) -> None:
    """Refuse counts whose points may be marks of thousands, since others have decimal commas."""
    pointed = [
        (row, cell.strip())
        for row, cell in enumerate(cells, start=1)
        if isinstance(cell, str) and _POINT.fullmatch(cell.strip())
    ]
    if pointed and all(re.match(_POINTED, cell) for _, cell in pointed):
        row, cell = pointed[0]
        ways = [cell.replace(".", ""), cell.replace(".", ",")]
        raise _doubt(
            name, row, cell, marks.others, ways=ways[: 1 + (marks.counted != 1.0)], mark="point"
        )


def _has_point(cell: Any) -> bool:
    """Tell whether a cell is a number with a decimal point."""
    if isinstance(cell, float):
        return math.isfinite(cell) and not cell.is_integer()
    return isinstance(cell, str) and _POINT.fullmatch(cell.strip()) is not None


def _point_for_comma(cell: Any) -> Any:
    if not isinstance(cell, str) or not _DECIMAL.fullmatch(cell.strip()):
        return cell
    return cell.replace(".", "").replace(",", ".")
