"""When a log was written, by the times that its lines print or its rows have."""

from __future__ import annotations

import datetime as dt
import math
import re
from typing import TYPE_CHECKING, Final

import polars as pl

from isoflop.ingest.reading.events import Remark, Written
from isoflop.ingest.reading.source import HEAD
from isoflop.ingest.tables.wide import as_numbers
from isoflop.ingest.words.names import plain

if TYPE_CHECKING:
    from collections.abc import Iterable

    from isoflop.ingest.reading.source import RawFile

COLUMNS: Final = ("_timestamp", "wall_time")
"""What W&B, and TensorBoard's pages, call the time of a row; the first that a table has counts."""
FROM: Final = 64
"""Characters of a line in which its time begins: behind a rank and a logger's name, and no date of
a sentence or a path farther on."""
LINES: Final = 2_000
"""Lines at either end of the sample in which a time is looked for; a log without any costs that."""

_STAMP: Final = re.compile(
    rb"(?<![\w/\\.-])(20[0-9]{2})[-/]([01][0-9])[-/]([0-3][0-9])[ T_]"
    rb"([0-2][0-9]):([0-5][0-9]):([0-5][0-9])(?:[.,]([0-9]{1,9}))?(Z|[+-][0-9]{2}:?[0-9]{2})?"
    rb"(?![\w/\\-]|\.\w)"
)
"""Not what stands in a path or a name: it is of what was read or written there."""
_NAMED: Final = re.compile(rb"""(?i)([\w@.-]+)(?:["'] *[:=]|=) *["']?$""")
"""What a value is called: `crawl=2024-05-01 00:00:00` is no line's time."""
_TIMES: Final = re.compile(rb"(?i)(?:.*[^a-z])?(?:time|timestamp|ts|t|date|datetime|asctime|at)")
_SECONDS: Final = re.compile(rb'"(?:_timestamp|timestamp|time_ms)": ?([0-9]{10,13}(?:\.[0-9]+)?)')
EARLIEST: Final = 1e8
"""Seconds since 1970, in 1973: what lies below counts from a launch, and orders no launches."""
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


def last_day(times: Iterable[tuple[float, float | None] | None]) -> dt.date | None:
    """Give the day, in UTC, of the last time known of a log and of its records; see `written`."""
    known = [each[0] if each[1] is None else each[1] for each in times if each is not None]
    try:
        return dt.datetime.fromtimestamp(max(known), dt.UTC).date() if known else None
    except (OverflowError, ValueError, OSError):  # no year that a calendar has
        return None


class Times:
    """The first and the last time of each run's records, which come some at a time.

    Attributes
    ----------
    columns : those of a table that had times.
    """

    def __init__(self) -> None:
        self._known: dict[str, tuple[float, float]] = {}
        self._kept: set[str] = set()
        self._asked = False
        self.columns: set[str] = set()

    def see(self, run: str, first: float, last: float | None = None) -> None:
        """Take in times of a run [s since 1970]."""
        last = first if last is None else last
        if first > EARLIEST and math.isfinite(last):
            least, most = self._known.get(run, (first, last))
            self._known[run] = min(least, first), max(most, last)

    def add(self, rows: pl.DataFrame, values: pl.DataFrame) -> None:
        """Take in rows of a table; those whose time is none have no say.

        Parameters
        ----------
        rows : by the names of the file's columns.
        values : the same rows, with the names of the `run`s that they are of.
        """
        by_kind = {plain(name): name for name in reversed(rows.columns)}
        name = next((by_kind[kind] for kind in COLUMNS if kind in by_kind), None)
        if name is None:
            return
        self._asked = True
        cells = rows[name]
        if cells.dtype == pl.Datetime:
            cells = cells.dt.epoch("ms")
        times = as_numbers(cells)
        seconds = pl.when(times > _IN_MILLISECONDS).then(times / 1e3).otherwise(times)
        told = values.select("run", s=pl.select(seconds).to_series()).filter(
            pl.col("s").is_finite(), pl.col("s") > EARLIEST, pl.col("run").is_not_null()
        )
        by_run = told.group_by("run").agg(first=pl.col("s").min(), last=pl.col("s").max())
        for run, first, last in by_run.iter_rows():
            self.columns.add(name)
            self.see(run, first, last)

    def keep(self, records: pl.DataFrame) -> None:
        """Take in which runs have records; a table's runs may have left-out rows alone."""
        if self._asked and records.height:
            self._kept.update(records.select(pl.col("run").unique()).to_series())

    def events(self, runs: Iterable[str | None] | None = None) -> list[Written]:
        """Say when the records of some runs were logged, of those that say so.

        Parameters
        ----------
        runs : their names; None: those that `keep` took in.
        """
        named = {run for run in (self._kept if runs is None else runs) if run is not None}
        return [Written(*self._known[run], run) for run in sorted(named & self._known.keys())]

    def remarks(self) -> list[Remark]:
        """Say what a table's column of times is read for."""
        return [
            Remark(f"{name}: the times of its rows, by which parts of one run stand in order")
            for name in sorted(self.columns)
        ]


def _first(lines: Iterable[bytes]) -> float | None:
    """Give the time of the first line that prints one."""
    return next((time for line in lines if (time := time_in(line)) is not None), None)


def time_in(line: bytes) -> float | None:
    """Read a line's time: near its beginning, or under a name that says so."""
    if match := _STAMP.search(line, 0, FROM + 40):
        named = _NAMED.search(line, 0, match.start())
        if match.start() > FROM or (named and not _TIMES.fullmatch(named[1])):
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
