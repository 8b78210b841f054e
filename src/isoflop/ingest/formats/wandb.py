"""The binary log of a W&B run, `run-<id>.wandb`: its whole history, configuration and end.

A head of seven bytes, then the records of a LevelDB log: blocks of 32 KiB, each piece with its
checksum, length and kind; joined, they are protocol buffers. What is read of them is the history
(every `wandb.log`), the configuration, the summary, the run's name and its exit; the console, the
host and its user are not. The history is laid out as a table, so its columns are known by their
names or by `table:` of sweep.yaml. `_step` counts calls of `wandb.log`.
"""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl

from isoflop.ingest.formats.table import blocks_of_frame
from isoflop.ingest.reading.blocks import Block
from isoflop.ingest.reading.events import Ended, Event, Facts, Identity, Truncated, Unread
from isoflop.ingest.reading.protobuf import BYTES, EIGHT, PAD, VARINT, Fields, floats, walk
from isoflop.ingest.reading.refused import RefusedError
from isoflop.ingest.reading.settings import facts_of_settings
from isoflop.ingest.words.numbers import encodable, read_json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from isoflop.config.sidecar import TableMap
    from isoflop.ingest.reading.source import RawFile

VERSION = 13
TAKES_MAP = True

_HEAD: Final = 7
_BLOCK: Final = 32 * 1024
_PIECE: Final = struct.Struct("<IHB")
"""Checksum, length and kind of a piece of a record."""
_FULL, _FIRST, _LAST = 1, 2, 4
_HISTORY, _SUMMARY, _CONFIG, _RUN, _EXIT = 2, 3, 5, 17, 18
"""Fields of a record."""
_KEY, _NESTED, _JSON = 1, 2, 16
_BOOLEAN, _INTEGER, _NUMBER = 4, 5, 6
"""Fields of an item; newer versions give a number in a field of its kind."""
_ID, _ENTITY, _PROJECT, _DISPLAY = 1, 2, 3, 8
"""Fields of a run."""


def scan(file: RawFile, table: TableMap | None) -> Iterator[Block]:
    """Yield what the file says; see `formats.Reader`."""
    records, events = _records(file.content())
    content = b"".join(records)
    ends = np.cumsum([len(record) for record in records], dtype=np.int64)
    u8 = np.frombuffer(content + bytes(PAD), np.uint8)
    fields = walk(u8, ends - np.array([len(record) for record in records], np.int64), ends)
    name, key = _run(u8, fields.of(_RUN, BYTES))
    events += [Facts(facts_of_settings(told), name) for told in _told(u8, fields) if told]
    events.append(Identity(key, name))
    exits = fields.of(_EXIT, BYTES)
    if not len(exits.message) or 0 not in _exit_codes(u8, exits):
        events.append(Ended("crashed", name))
    raw = _wide(*_items(u8, fields.of(_HISTORY, BYTES)))
    if raw.is_empty():
        raise RefusedError("no history in it: the run ended before W&B had written any")
    last = 0
    for block in blocks_of_frame(raw, table, stem=file.stem, run=name, sampled=False, logged=True):
        last += block.frame.height
        yield block
    yield Block(pl.DataFrame(schema={"row": pl.Int64}), tuple((last, event) for event in events))


def _records(content: bytes) -> tuple[list[bytes], list[Event]]:
    """Join the pieces of records; what is damaged is skipped to the next block."""
    records: list[bytes] = []
    begun: list[bytes] | None = None
    place, damaged = _HEAD, 0
    while place + _PIECE.size <= len(content):
        left = _BLOCK - place % _BLOCK
        checksum, length, kind = _PIECE.unpack_from(content, place)
        piece = (
            content[place + _PIECE.size : place + _PIECE.size + length]
            if left >= _PIECE.size
            else b""
        )
        if left < _PIECE.size or kind == length == 0:  # no room in the block, or not filled
            place += left
        elif len(piece) < length:
            break
        elif length > left - _PIECE.size or not _is_whole(piece, kind, checksum):
            damaged, begun, place = damaged + 1, None, place + left
        else:
            place += _PIECE.size + length
            begun = [] if kind in {_FULL, _FIRST} else begun
            if begun is not None:
                begun.append(piece)
            if begun is not None and kind in {_FULL, _LAST}:
                records.append(b"".join(begun))
                begun = None
    events: list[Event] = [Unread()] * damaged
    if place < len(content) or begun is not None:
        events.append(Truncated())
    return records, events


def _is_whole(piece: bytes, kind: int, checksum: int) -> bool:
    return zlib.crc32(piece, zlib.crc32(bytes([kind]))) == checksum


def _texts(u8: np.ndarray[Any, Any], fields: Fields) -> list[str]:
    content = u8.tobytes()
    return [
        content[begin:end].decode("utf-8", errors="replace")
        for begin, end in zip(fields.begin, fields.end, strict=True)
    ]


def _run(u8: np.ndarray[Any, Any], runs: Fields) -> tuple[str, str]:
    """Give the name of the run, and what tells it from all others."""
    inner = walk(u8, runs.begin, runs.end)
    told = {
        number: texts[-1] if (texts := _texts(u8, inner.of(number, BYTES))) else ""
        for number in (_ID, _ENTITY, _PROJECT, _DISPLAY)
    }
    key = "/".join(told[number] for number in (_ENTITY, _PROJECT, _ID))
    return told[_DISPLAY] or told[_ID], f"wandb:{key}" if told[_ID] else ""


def _exit_codes(u8: np.ndarray[Any, Any], exits: Fields) -> list[int]:
    """Give the exit codes; 0 is not written."""
    codes = walk(u8, exits.begin, exits.end).of(1, VARINT)
    by_message = dict(zip(codes.message.tolist(), codes.begin.tolist(), strict=True))
    return [by_message.get(place, 0) for place in range(len(exits.message))]


def _told(u8: np.ndarray[Any, Any], fields: Fields) -> Iterator[dict[str, Any]]:
    """Yield configuration and summary, each as it was in the end."""
    runs = fields.of(_RUN, BYTES)
    in_runs = walk(u8, runs.begin, runs.end).of(4, BYTES)
    for messages in ((in_runs, fields.of(_CONFIG, BYTES)), (fields.of(_SUMMARY, BYTES),)):
        settings: dict[str, Any] = {}
        for each in messages:
            _, keys, values = _items(u8, each)
            for key, text in zip(keys, values, strict=True):
                try:
                    value = encodable(read_json(text))
                except (ValueError, RecursionError):
                    continue
                if not key.startswith("_"):
                    settings[key] = value
        if messages[0] is not in_runs:
            # of a summary only what no curve has: the last loss is no setting
            settings = {key: value for key, value in settings.items() if "param" in key.lower()}
        yield {key.rpartition("/")[2]: value for key, value in settings.items()}


def _items(
    u8: np.ndarray[Any, Any], messages: Fields
) -> tuple[np.ndarray[Any, Any], list[str], list[str]]:
    """List the items of messages: of which message, the key, the value as JSON."""
    items = walk(u8, messages.begin, messages.end).of(1, BYTES)
    inner = walk(u8, items.begin, items.end)
    count = len(items.message)
    keys, values = [""] * count, [""] * count
    plain, nested, texts = inner.of(_KEY, BYTES), inner.of(_NESTED, BYTES), inner.of(_JSON, BYTES)
    for item, key in zip(plain.message.tolist(), _texts(u8, plain), strict=True):
        keys[item] = key
    parts: dict[int, list[str]] = {}
    for item, key in zip(nested.message.tolist(), _texts(u8, nested), strict=True):
        parts.setdefault(item, []).append(key)
    for item, path in parts.items():
        keys[item] = keys[item] or ".".join(path)
    for item, text in zip(texts.message.tolist(), _texts(u8, texts), strict=True):
        values[item] = text
    numbers = inner.of(_NUMBER, EIGHT)
    for item, value in zip(
        numbers.message.tolist(), floats(u8, numbers.begin, "<f8").tolist(), strict=True
    ):
        values[item] = repr(value)
    for number in (_BOOLEAN, _INTEGER):
        integers = inner.of(number, VARINT)
        for item, value in zip(integers.message.tolist(), integers.begin.tolist(), strict=True):
            zigzag = (value >> 1) ^ -(value & 1)  # a signed number
            values[item] = str(zigzag if number == _INTEGER else value)
    return items.message, keys, values


def _wide(message: np.ndarray[Any, Any], keys: list[str], values: list[str]) -> pl.DataFrame:
    """Lay the history out as a table: a row per call, a column per key that is ever a number."""
    text = pl.Series(values, dtype=pl.String)
    items = pl.DataFrame(
        {
            "row": pl.Series(message, dtype=pl.Int64),
            "key": pl.Series(keys, dtype=pl.String),
            # JSON has no NaN: W&B writes it as text
            "value": text.str.strip_chars('"').cast(pl.Float64, strict=False),
        }
    ).drop_nulls()
    if items.is_empty():
        return pl.DataFrame()
    latest = items.unique(["row", "key"], keep="last", maintain_order=True)
    return latest.pivot("key", index="row", values="value").sort("row").drop("row")
