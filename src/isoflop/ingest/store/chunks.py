"""A table of a whole sweep, sorted by run, in chunks that one run more leaves as they were.

Where a chunk ends is said by the names and lengths of the runs around that place, so the same runs
make the same chunks, whatever was there before, and a run that comes, goes or changes touches the
chunk that it lies in. The others are neither unpacked nor packed: a file of the table is their
bytes, one chunk after the other. A table that memory takes is one frame.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from glob import escape
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from isoflop.files import digest, replacing
from isoflop.ingest.reading import rows
from isoflop.ingest.reading.parquet_join import join_parquet
from isoflop.ingest.store import stat_index
from isoflop.tables import TableError, types_of, validated, write_table

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from collections.abc import Set as AbstractSet
    from pathlib import Path

    import dataframely as dy

    from isoflop.tables import Schema

_NAME: Final = 32
"""Letters of a chunk's key in its file's name."""


@dataclass(frozen=True, slots=True)
class Extent:
    """Which rows of a table a chunk has.

    Attributes
    ----------
    runs : its runs in order, each with all of its rows; one alone, if that is longer than a chunk.
    start, rows : the first of them that is in it, and how many are.
    """

    runs: tuple[tuple[str, int], ...]
    start: int
    rows: int

    @property
    def is_part(self) -> bool:
        """Whether a run has more rows than these."""
        return self.rows < sum(length for _, length in self.runs)

    def key(self, keys: Mapping[str, str]) -> str | None:
        """Say what its rows depend on; None if another reading may come to something else.

        Parameters
        ----------
        keys : by run, what its rows depend on.
        """
        if any(run not in keys for run, _ in self.runs):
            return None
        told = [[(run, length, keys[run]) for run, length in self.runs], self.start, self.rows]
        return hashlib.sha256(json.dumps(told).encode()).hexdigest()


def extents(lengths: Iterable[tuple[str, int]]) -> Iterator[Extent]:
    """Divide a table into chunks of about `rows.LIMIT` rows, and never more than twice that.

    A run ends its chunk as often as its share of a chunk's rows says, by a draw that its name
    decides. So where one run comes or goes, chunks end as before from the next such run on.

    Parameters
    ----------
    lengths : the runs in order, each with its number of rows.
    """
    limit = rows.LIMIT
    waiting: list[tuple[str, int]] = []
    height = 0
    for run, length in lengths:
        alone = length > limit
        if waiting and (alone or height + length > 2 * limit):
            yield Extent(tuple(waiting), 0, height)
            waiting, height = [], 0
        if alone:
            for start in range(0, length, limit):
                yield Extent(((run, length),), start, min(limit, length - start))
        elif length:
            waiting.append((run, length))
            height += length
            if _draw(run) * limit < length:
                yield Extent(tuple(waiting), 0, height)
                waiting, height = [], 0
    if waiting:
        yield Extent(tuple(waiting), 0, height)


def _draw(run: str) -> float:
    """Draw a number between 0 and 1 by a run's name."""
    drawn = hashlib.sha256(run.encode(errors="surrogatepass")).digest()[:8]
    return int.from_bytes(drawn) / 2.0**64


@dataclass(frozen=True, slots=True)
class Chunk:
    """Rows of a table, packed as they stand in its file.

    Attributes
    ----------
    extent : which rows.
    stored : their Parquet file, or its content where the disk did not take it.
    digest : of the content.
    key : see `Extent.key`.
    folder : what keeps the file.
    """

    extent: Extent
    stored: Path | bytes
    digest: str
    key: str | None
    folder: rows.Folder | None = None

    @property
    def source(self) -> Path | BytesIO:
        """Give the rows to a reader."""
        return BytesIO(self.stored) if isinstance(self.stored, bytes) else self.stored

    def told(self, beside: Path) -> dict[str, Any]:
        """Say what `Chunked.kept` needs to find it again, where it was kept."""
        return {
            "runs": self.extent.runs,
            "start": self.extent.start,
            "rows": self.extent.rows,
            "digest": self.digest,
            "key": self.key,
            "state": _state(beside),
        }


@dataclass(frozen=True)
class Chunked:
    """A table, sorted by run and checked.

    Attributes
    ----------
    schema : of the table.
    chunks : its chunks in order.
    in_memory : the table, if it has no chunks.
    """

    schema: type[dy.Schema]
    chunks: Sequence[Chunk] = ()
    in_memory: pl.DataFrame | None = None

    @property
    def height(self) -> int:
        """Rows in it."""
        return sum(self.lengths.values())

    @property
    def on_disk(self) -> bool:
        """Whether it is more than memory should take."""
        return self.in_memory is None

    @cached_property
    def lengths(self) -> dict[str, int]:
        """Rows by run; a run without any is not there."""
        if self.in_memory is not None:
            return lengths_of(self.in_memory)
        return dict(pair for chunk in self.chunks for pair in chunk.extent.runs)

    @cached_property
    def by_key(self) -> dict[str, Chunk]:
        """Its chunks by what they depend on."""
        return {chunk.key: chunk for chunk in self.chunks if chunk.key is not None}

    @cached_property
    def _places(self) -> dict[str, list[Chunk]]:
        places: dict[str, list[Chunk]] = {}
        for chunk in self.chunks:
            for run, _ in chunk.extent.runs:
                places.setdefault(run, []).append(chunk)
        return places

    def of_runs(self, runs: Sequence[str]) -> pl.DataFrame:
        """Give the rows of some runs, in order."""
        wanted = pl.col("run").is_in(pl.Series(runs, dtype=pl.String).implode())
        if self.in_memory is not None:
            return self.in_memory.filter(wanted)
        chunks = {id(chunk): chunk for run in runs for chunk in self._places.get(run, ())}
        parts = [
            pl.read_parquet(chunk.source, glob=False).filter(wanted) for chunk in chunks.values()
        ]
        return pl.concat(parts) if parts else pl.DataFrame(schema=types_of(self.schema))

    def frame(self) -> pl.DataFrame:
        """Give all rows at once."""
        return pl.concat([*self.pieces()])

    def pieces(self) -> Iterator[pl.DataFrame]:
        """Give the rows, some at a time; at least one frame."""
        if self.in_memory is not None:
            yield self.in_memory
        for chunk in self.chunks:
            yield pl.read_parquet(chunk.source, glob=False)

    def write(self, path: Path) -> None:
        """Write the table to one Parquet file: the same rows give the same bytes."""
        if self.in_memory is not None:
            write_table(self.in_memory, self.schema, path)
            return
        with replacing(path) as temporary:
            join_parquet([chunk.stored for chunk in self.chunks], temporary)

    def keep(self, beside: Path) -> bytes:
        """Keep the chunks in files beside another, and say what `kept` needs to find them.

        What cannot be kept, on a full disk, costs time the next time.
        """
        told = []
        for chunk in self.chunks:
            if chunk.key is None:
                continue
            path = _file(beside, chunk.key)
            with suppress(OSError):
                with replacing(path) as temporary:
                    _put(chunk.stored, temporary)
                told.append(chunk.told(path))
        return json.dumps(told).encode()

    @classmethod
    def kept(cls, schema: type[Schema], beside: Path, told: bytes) -> tuple[Chunked, set[str]]:
        """Find the chunks that were kept, which may be replaced or deleted from now on.

        Parameters
        ----------
        schema : of the table.
        beside : as it was given to `keep`.
        told : what that returned.

        Returns
        -------
        The table of the chunks that are as they were written, and the runs that lack some rows.

        Raises
        ------
        ValueError, TypeError, KeyError : it is of another version.
        """
        folder = rows.Folder(beside.parent)
        chunks: list[Chunk] = []
        lost: set[str] = set()
        for each in json.loads(told):
            extent = Extent(
                tuple((run, length) for run, length in each["runs"]), each["start"], each["rows"]
            )
            here = folder.new()
            if _is_sound(_file(beside, each["key"]), here, each):
                chunks.append(Chunk(extent, here, each["digest"], each["key"], folder))
            else:
                lost.update(run for run, _ in extent.runs)
        return cls(schema, chunks), lost

    @staticmethod
    def sweep_up(beside: Path, told: bytes) -> None:
        """Delete the chunks beside a file that what `keep` returned does not speak of."""
        wanted = {_file(beside, each["key"]) for each in json.loads(told)}
        for path in beside.parent.glob(f"{escape(beside.name)}.*.chunk"):
            if path not in wanted:
                with suppress(OSError):
                    path.unlink()


def _file(beside: Path, key: str) -> Path:
    return beside.with_name(f"{beside.name}.{key[:_NAME]}.chunk")


def _is_sound(path: Path, here: Path, told: Mapping[str, Any]) -> bool:
    """Take a chunk that was kept, and tell whether it is as it was written."""
    try:
        _put(path, here)
        unchanged: bool = _state(here, settled=False) == told["state"]
        return unchanged or digest(here) == told["digest"]
    except OSError:
        return False


def _put(stored: Path | bytes, path: Path) -> None:
    """Have a file under another name, too: by a link, or else by its bytes."""
    if isinstance(stored, bytes):
        path.write_bytes(stored)
        return
    try:
        os.link(stored, path)
    except OSError:  # another file system, or one without links
        shutil.copy2(stored, path)


def _state(path: Path, *, settled: bool = True) -> list[int] | None:
    """Say what tells that nobody wrote to a file of the cache; links leave it as it is.

    Parameters
    ----------
    path : the file.
    settled : None for a file that was written so shortly ago that a change would not show.
    """
    facts = path.stat()
    if settled and time.time_ns() - facts.st_mtime_ns <= stat_index.RACY:
        return None
    return [facts.st_size, facts.st_mtime_ns, facts.st_dev, facts.st_ino]


def lengths_of(table: pl.DataFrame) -> dict[str, int]:
    """Count a table's rows by run."""
    return dict(table.group_by("run").len().iter_rows())


def chunked(
    schema: type[Schema],
    kept: Chunked | None,
    same: AbstractSet[str],
    *,
    anew: rows.Rows,
    lengths: Mapping[str, int],
    keys: Mapping[str, str],
    below: Path | None,
) -> Chunked:
    """Put runs that are as they were and runs that are new into one table.

    Parameters
    ----------
    schema : of the table.
    kept, same : an earlier table, and which of its runs are in this one, too.
    anew, lengths : rows of the other runs, sorted, and how many there are by run.
    keys : by run, what its rows depend on; see `Extent.key`.
    below : folder for what does not fit into memory; see `rows.Rows`.

    Raises
    ------
    TableError : the rows do not fit the schema.
    """
    order = schema.primary_key()
    known = kept.lengths if kept is not None else {}
    old = {run: known[run] for run in same if run in known}
    everything = {**old, **lengths}
    if sum(everything.values()) <= rows.LIMIT:
        parts = [anew.frame()] if kept is None else [anew.frame(), kept.of_runs([*old])]
        return Chunked(schema, in_memory=pl.concat(parts).sort(order))
    stream = _Stream(types_of(schema), anew.pieces())
    maker = _Maker(schema, below)
    chunks = []
    for extent in extents(sorted(everything.items())):
        taken = [run for run, _ in extent.runs if run in old]
        if extent.is_part:
            new = 0 if taken else extent.rows
        else:
            new = extent.rows - sum(old[run] for run in taken)
        key = extent.key(keys)
        if key is not None and kept is not None and (chunk := kept.by_key.get(key)) is not None:
            stream.skip(new)
            chunks.append(chunk)
            continue
        frame = stream.take(new)
        if kept is not None and taken:
            before = kept.of_runs(taken)
            before = before.slice(extent.start, extent.rows) if extent.is_part else before
            frame = pl.concat([frame, before]).sort(order)
        chunks.append(maker.chunk(extent, frame, key))
    return Chunked(schema, chunks)


class _Stream:
    """Frames one after the other, from which rows are taken in their order."""

    def __init__(self, schema: pl.Schema, pieces: Iterator[pl.DataFrame]) -> None:
        self._rest = pl.DataFrame(schema=schema)
        self._pieces = pieces

    def take(self, count: int) -> pl.DataFrame:
        """Take rows; there must be as many."""
        parts = [self._rest.head(count)]
        self._rest = self._rest.slice(count)
        lacking = count - parts[0].height
        while lacking:
            piece = next(self._pieces)
            parts.append(piece.head(lacking))
            self._rest = piece.slice(lacking)
            lacking -= parts[-1].height
        return pl.concat(parts)

    def skip(self, count: int) -> None:
        """Leave rows out; there must be as many."""
        while count:
            count -= self.take(min(count, rows.LIMIT)).height


class _Maker:
    """Makes the chunks of one table.

    Parameters
    ----------
    schema : of the table.
    below : folder for them; see `rows.Rows`.
    """

    def __init__(self, schema: type[Schema], below: Path | None) -> None:
        self._schema = schema
        self._folder = rows.Folder(below)
        self._before: tuple[Any, ...] = ()

    def chunk(self, extent: Extent, frame: pl.DataFrame, key: str | None) -> Chunk:
        """Check rows and pack them."""
        checked = validated(frame, self._schema, name=self._schema.__name__.lower())
        ends = checked.select(self._schema.primary_key())
        # within a chunk the schema sees a key that comes twice, across chunks their order does
        if self._before and not self._before < ends.row(0):
            raise TableError(f"rows {self._before} and {ends.row(0)} are out of order")
        self._before = ends.row(-1)
        packed = BytesIO()
        checked.rechunk().write_parquet(
            packed, compression="zstd", statistics=True, row_group_size=2 * rows.LIMIT
        )
        content = packed.getvalue()
        path = self._folder.new()
        stored: Path | bytes = path
        try:
            path.write_bytes(content)
        except OSError:
            stored = content  # a full disk costs memory, and no log is lost by it
        told = hashlib.sha256(content).hexdigest()
        return Chunk(extent, stored, told, key, self._folder)
