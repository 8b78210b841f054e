"""When a log was written, by the times that its lines print or its rows have."""

from __future__ import annotations

import datetime as dt
import re
from typing import TYPE_CHECKING, Final

import polars as pl

from isoflop.ingest.events import Written
from isoflop.ingest.source import HEAD
from isoflop.ingest.wide import as_numbers

if TYPE_CHECKING:
    from collections.abc import Iterable

    from isoflop.ingest.source import RawFile

COLUMN: Final = "_timestamp"
"""What W&B calls the time of a row."""
FROM: Final = 64
"""Characters of a line in which its time begins: behind a rank and a logger's name, and no date of
a sentence or a path farther on."""
LINES: Final = 2_000
"""Lines at either end of the sample in which a time is looked for; a log without any costs that."""

_STAMP: Final = re.compile(
    rb"(?<![0-9])(20[0-9]{2})[-/]([01][0-9])[-/]([0-3][0-9])[ T_]"
    rb"([0-2][0-9]):([0-5][0-9]):([0-5][0-9])(?:[.,]([0-9]{1,9}))?(Z|[+-][0-9]{2}:?[0-9]{2})?"
)
_SECONDS: Final = re.compile(rb'"(?:_timestamp|timestamp|time_ms)": ?([0-9]{10,13}(?:\.[0-9]+)?)')
_IN_MILLISECONDS: Final = 1e11
"""Seconds since 1970 stay below until the year 5138."""


def written(file: RawFile) -> tuple[float, float | None] | None:
    """Give the first and the last time that a log's lines print [s since 1970].

    A time without a zone is taken as UTC: it is compared with others of the same run. The last is
    None where only the file's beginning is at hand, as of what is compressed; all is None where no
    line has a time.
    """
    sample = file.sample()
    lines = sample.split(b"\n")
    first = _first(lines[:LINES])
    if first is None:
        return None
    has_end = len(sample) < HEAD or len(sample) > HEAD + 1
    return first, _first(reversed(lines[-LINES:])) if has_end else None


def last_day(times: tuple[float, float | None] | None) -> dt.date | None:
    """Give the day, in UTC, of the last time known of a log; see `written`."""
    if times is None:
        return None
    first, last = times
    return dt.datetime.fromtimestamp(first if last is None else last, dt.UTC).date()


class Times:
    """The first and the last time of a table's rows, which come some at a time."""

    def __init__(self) -> None:
        self._known: list[float] = []

    def add(self, rows: pl.DataFrame) -> None:
        """Take in rows; those whose time is none have no say."""
        if COLUMN not in rows.columns:
            return
        times = as_numbers(rows[COLUMN])
        seconds = pl.when(times > _IN_MILLISECONDS).then(times / 1e3).otherwise(times)
        told = pl.select(seconds.alias("s")).filter(pl.col("s").is_finite(), pl.col("s") > 0)["s"]
        if told.len():
            self._known += [float(told.min()), float(told.max())]  # type: ignore[arg-type]

    def events(self, run: str = "") -> list[Written]:
        """Say when the rows of a run were logged, if they say so."""
        return [Written(min(self._known), max(self._known), run)] if self._known else []


def _first(lines: Iterable[bytes]) -> float | None:
    """Give the time of the first line that prints one."""
    return next((time for line in lines if (time := _time(line)) is not None), None)


def _time(line: bytes) -> float | None:
    """Read a line's time: near its beginning, or under a name that says so."""
    if match := _STAMP.search(line, 0, FROM + 40):
        if match.start() > FROM:
            return None
        return _of_stamp(match)
    if match := _SECONDS.search(line):
        value = float(match[1])
        return value / 1e3 if value > _IN_MILLISECONDS else value
    return None


def _of_stamp(match: re.Match[bytes]) -> float | None:
    """Turn a date and a time of day into seconds; None for the 31st of February."""
    fraction, zone = match[7], (match[8] or b"Z").decode()
    try:
        time = dt.datetime(*(int(part) for part in match.groups()[:6]), tzinfo=dt.UTC)  # type: ignore[arg-type,misc]
    except ValueError:
        return None
    seconds = time.timestamp() + (float(b"0." + fraction) if fraction else 0.0)
    if zone == "Z":
        return seconds
    digits = zone[1:].replace(":", "")
    ahead = 3600 * int(digits[:2]) + 60 * int(digits[2:])
    return seconds + ahead if zone[0] == "-" else seconds - ahead
