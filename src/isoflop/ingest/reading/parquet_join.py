"""Parquet files of one schema put one after the other, without reading what is in them.

A row group lies in one stretch of its file, and the footer says where. So files are joined by
copying those stretches and writing one footer with the places moved, which takes a hundredth of the
time that unpacking and packing take. Libraries that do so (`parquet-concat` of Rust's) have no
Python; the footer is a message of Thrift's compact protocol, read and written here field by field.
"""

from __future__ import annotations

import os
from io import BytesIO
from typing import TYPE_CHECKING, Any, BinaryIO, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

MAGIC: Final = b"PAR1"
_TAIL: Final = 8
"""Bytes at a file's end: the footer's length, and the magic."""

AT_ONCE: Final = 1 << 20
"""Bytes that are copied at once."""

TRUE, FALSE, BYTE, I16, I32, I64, DOUBLE, BINARY, LIST, SET = range(1, 11)
STRUCT = 12
"""Types of the compact protocol; Parquet's footer has no maps."""

Struct = dict[int, tuple[int, Any]]
"""Fields by their numbers, each with its type."""

# fields of FileMetaData, RowGroup, ColumnChunk and ColumnMetaData in parquet.thrift
SCHEMA, ROWS, ROW_GROUPS, KEY_VALUES = 2, 3, 4, 5
COLUMNS, GROUP_PLACE, ORDINAL = 1, 5, 7
CHUNK_PATH, CHUNK_PLACE, CHUNK_METADATA, INDEXES = 1, 2, 3, (4, 5, 6, 7)
PLACES: Final = (9, 10, 11)
"""Where a column's pages of data, index and dictionary begin."""
BLOOM: Final = 14


class NotJoinedError(ValueError):
    """Files cannot be put one after the other."""


def join_parquet(files: Sequence[Path | bytes], target: Path) -> None:
    """Write the row groups of all files into one.

    Parameters
    ----------
    files : at least one file, or its content; all of one schema.
    target : where to write.

    Raises
    ------
    NotJoinedError : a file is no Parquet, or has another schema than the first.
    """
    footer: Struct = {}
    groups: list[Struct] = []
    with target.open("wb") as out:
        out.write(MAGIC)
        for number, each in enumerate(files):
            with BytesIO(each) if isinstance(each, bytes) else each.open("rb") as source:
                told = _footer(source, number)
                of_file = told[ROW_GROUPS][1][1]
                begin, end = _stretch(of_file, number)
                for group in of_file:
                    _move(group, out.tell() - begin, len(groups))
                    groups.append(group)
                _copy(source, begin, end, out)
            if not footer:
                footer = told
            elif (footer[SCHEMA], footer.get(KEY_VALUES)) != (told[SCHEMA], told.get(KEY_VALUES)):
                raise NotJoinedError(f"file {number} has another schema than file 0")
            else:
                footer[ROWS] = I64, footer[ROWS][1] + told[ROWS][1]
        footer[ROW_GROUPS] = LIST, (STRUCT, groups)
        written = bytearray()
        _write_struct(written, footer)
        out.write(written + len(written).to_bytes(4, "little") + MAGIC)


def _footer(source: BinaryIO, number: int) -> Struct:
    """Read a file's footer."""
    size = source.seek(0, os.SEEK_END)
    source.seek(max(0, size - _TAIL))
    tail = source.read(_TAIL)
    length = int.from_bytes(tail[:4], "little")
    if tail[4:] != MAGIC or length + _TAIL > size:
        raise NotJoinedError(f"file {number} is no Parquet")
    source.seek(size - _TAIL - length)
    try:
        footer, _ = _read_struct(source.read(length), 0)
        _ = footer[SCHEMA], footer[ROWS], footer[ROW_GROUPS]
    except (IndexError, KeyError) as error:
        raise NotJoinedError(f"file {number} has a damaged footer") from error
    return footer


def _stretch(groups: Sequence[Struct], number: int) -> tuple[int, int]:
    """Find where a file's row groups begin and end: what follows are indexes of their pages."""
    begins, ends = [], []
    for group in groups:
        for column in group[COLUMNS][1][1]:
            if CHUNK_METADATA not in column or CHUNK_PATH in column:
                raise NotJoinedError(f"file {number} has columns in other files")
            told = column[CHUNK_METADATA][1]
            begin = min(told[place][1] for place in PLACES if place in told)
            begins.append(begin)
            ends.append(begin + told[7][1])  # its compressed size
    return (min(begins), max(ends)) if begins else (len(MAGIC), len(MAGIC))


def _move(group: Struct, by: int, ordinal: int) -> None:
    """Tell of a row group that it lies elsewhere, and forget what is not copied."""
    for column in group[COLUMNS][1][1]:
        # a copy of the column's metadata within the file, which nobody reads: 0 says there is none
        column[CHUNK_PLACE] = I64, 0
        for index in INDEXES:
            column.pop(index, None)
        told = column[CHUNK_METADATA][1]
        told.pop(BLOOM, None)
        told.pop(BLOOM + 1, None)
        for place in PLACES:
            if place in told:
                told[place] = I64, told[place][1] + by
    if GROUP_PLACE in group:
        group[GROUP_PLACE] = I64, group[GROUP_PLACE][1] + by
    if ORDINAL in group:
        # 16 bits, and no reader needs it: files of more row groups go without
        if ordinal < 1 << 15:
            group[ORDINAL] = I16, ordinal
        else:
            del group[ORDINAL]


def _copy(source: BinaryIO, begin: int, end: int, out: BinaryIO) -> None:
    """Copy a stretch of a file."""
    source.seek(begin)
    while begin < end:
        some = source.read(min(end - begin, AT_ONCE))
        if not some:
            raise NotJoinedError("a file ended before its last row group")
        out.write(some)
        begin += len(some)


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7


def _signed(data: bytes, at: int) -> tuple[int, int]:
    value, at = _varint(data, at)
    return (value >> 1) ^ -(value & 1), at


def _text(data: bytes, at: int) -> tuple[bytes, int]:
    length, at = _varint(data, at)
    if at + length > len(data):
        raise IndexError(at)
    return data[at : at + length], at + length


def _fixed(size: int) -> Callable[[bytes, int], tuple[bytes, int]]:
    def read(data: bytes, at: int) -> tuple[bytes, int]:
        return data[at : at + size], at + size

    return read


def _list(data: bytes, at: int) -> tuple[tuple[int, list[Any]], int]:
    head = data[at]
    at += 1
    kind, count = head & 15, head >> 4
    if count == 15:
        count, at = _varint(data, at)
    # in a list a truth value is a byte of its own
    read = _fixed(1) if kind in (TRUE, FALSE) else _READ[kind]
    values = []
    for _ in range(count):
        value, at = read(data, at)
        values.append(value)
    return (kind, values), at


def _read_struct(data: bytes, at: int) -> tuple[Struct, int]:
    fields: Struct = {}
    number = 0
    while head := data[at]:
        at += 1
        kind, delta = head & 15, head >> 4
        if delta:
            number += delta
        else:
            number, at = _signed(data, at)
        if kind in (TRUE, FALSE):
            fields[number] = kind, None
        else:
            value, at = _READ[kind](data, at)
            fields[number] = kind, value
    return fields, at + 1


_READ: Final[dict[int, Callable[[bytes, int], tuple[Any, int]]]] = {
    BYTE: _fixed(1),
    I16: _signed,
    I32: _signed,
    I64: _signed,
    DOUBLE: _fixed(8),
    BINARY: _text,
    LIST: _list,
    SET: _list,
    STRUCT: _read_struct,
}


def _write_varint(out: bytearray, value: int) -> None:
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)


def _write_signed(out: bytearray, value: int) -> None:
    _write_varint(out, value << 1 if value >= 0 else (-value << 1) - 1)


def _write_text(out: bytearray, value: bytes) -> None:
    _write_varint(out, len(value))
    out += value


def _write_fixed(out: bytearray, value: bytes) -> None:
    out += value


def _write_list(out: bytearray, listed: tuple[int, list[Any]]) -> None:
    kind, values = listed
    if len(values) < 15:
        out.append(len(values) << 4 | kind)
    else:
        out.append(0xF0 | kind)
        _write_varint(out, len(values))
    write = _write_fixed if kind in (TRUE, FALSE) else _WRITE[kind]
    for value in values:
        write(out, value)


def _write_struct(out: bytearray, fields: Struct) -> None:
    before = 0
    for number in sorted(fields):
        kind, value = fields[number]
        delta = number - before
        if 0 < delta < 16:
            out.append(delta << 4 | kind)
        else:
            out.append(kind)
            _write_signed(out, number)
        if kind not in (TRUE, FALSE):
            _WRITE[kind](out, value)
        before = number
    out.append(0)


_WRITE: Final[dict[int, Callable[[bytearray, Any], None]]] = {
    BYTE: _write_fixed,
    I16: _write_signed,
    I32: _write_signed,
    I64: _write_signed,
    DOUBLE: _write_fixed,
    BINARY: _write_text,
    LIST: _write_list,
    SET: _write_list,
    STRUCT: _write_struct,
}
