"""Protocol-buffer messages as columns: numpy walks one field of every message at a time.

No schema and no library: a message is the numbers, wire types and places of its fields.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np

VARINT, EIGHT, BYTES, FOUR = 0, 1, 2, 5
"""Wire types."""
MOST_FIELDS: Final = 20_000
"""Fields of a message that are looked at; a summary has one per tag."""
LARGEST_RECORD: Final = 1 << 31
PAD: Final = 16
"""Zero bytes that must follow the messages: numbers are read without looking for the end."""


class Fields(NamedTuple):
    """Fields of messages: of which message, their number and wire type, where they lie."""

    message: np.ndarray[Any, Any]
    number: np.ndarray[Any, Any]
    wire: np.ndarray[Any, Any]
    begin: np.ndarray[Any, Any]
    """Place of the value; of a whole number the value itself."""
    end: np.ndarray[Any, Any]

    def of(self, number: int, wire: int) -> Fields:
        """Choose one field."""
        chosen = (self.number == number) & (self.wire == wire)
        return Fields(*(column[chosen] for column in self))


def varints(u8: np.ndarray[Any, Any], at: np.ndarray[Any, Any]) -> tuple[Any, Any]:
    """Read a whole number at each place; give the numbers, and the places after them."""
    value = np.zeros(len(at), np.uint64)
    live = np.ones(len(at), bool)
    at = at.copy()
    for shift in range(0, 70, 7):
        byte = u8[np.minimum(at, len(u8) - 1)]
        part = (byte & 127).astype(np.uint64) << np.uint64(min(shift, 63))
        value |= np.where(live, part, np.uint64(0))
        at += live
        live &= byte > 127
        if not live.any():
            break
    return value.astype(np.int64), at


def walk(
    u8: np.ndarray[Any, Any], begin: np.ndarray[Any, Any], end: np.ndarray[Any, Any]
) -> Fields:
    """List the fields of messages, one of every message in each round.

    Parameters
    ----------
    u8 : the bytes of the file.
    begin, end : where each message lies; shape (messages,).
    """
    at = begin.copy()
    live = np.flatnonzero(at < end)
    rounds: list[Fields] = []
    while len(live) and len(rounds) < MOST_FIELDS:
        key, value_at = varints(u8, at[live])
        wire = key & 7
        first, last = value_at.copy(), end[live] + 1  # an unknown wire type ends its message
        last[wire == EIGHT] = value_at[wire == EIGHT] + 8
        last[wire == FOUR] = value_at[wire == FOUR] + 4
        for kind in (VARINT, BYTES):
            chosen = wire == kind
            number_read, after = varints(u8, value_at[chosen])
            sized = after + np.clip(number_read, 0, LARGEST_RECORD)
            first[chosen] = number_read if kind == VARINT else after
            last[chosen] = after if kind == VARINT else sized
        complete = last <= end[live]
        rounds.append(Fields(live[complete], *(x[complete] for x in (key >> 3, wire, first, last))))
        at[live] = np.where(complete, last, end[live])
        live = live[at[live] < end[live]]
    empty = np.zeros(0, np.int64)
    columns = zip(*rounds, strict=True) if rounds else [[empty]] * len(Fields._fields)
    return Fields(*(np.concatenate(parts) for parts in columns))


def floats(u8: np.ndarray[Any, Any], at: np.ndarray[Any, Any], kind: str) -> Any:
    """Read a floating-point number at each place."""
    size = np.dtype(kind).itemsize
    with np.errstate(invalid="ignore"):  # a NaN that signals, which only a damaged file has
        return u8[at[:, None] + np.arange(size)].copy().view(kind)[:, 0].astype(float)
