"""Rows of a table in their order: in memory while they are few, in files beyond that.

A log of 5 GB is a hundred million rows. Nobody looks at all of them at once, so what exceeds
`LIMIT` lies in a folder of its own on disk, and is gone with the object.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl

from isoflop.files import digest, replacing

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

LIMIT: Final = 2**18
"""Rows in memory: a row group of Parquet, and some 200 MB while curves are laid out from them."""


class Folder:
    """A folder for what does not fit into memory; it goes when nothing points to it any more.

    Parameters
    ----------
    below : where to make it, such as the cache's folder; None: where temporary files go.
    """

    def __init__(self, below: Path | None) -> None:
        if below is not None:
            below.mkdir(parents=True, exist_ok=True)
        # a name by which run.py knows what a killed process left
        self.path = Path(tempfile.mkdtemp(prefix=".rows-", suffix=f".{os.getpid()}.tmp", dir=below))
        self._count = 0
        weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)

    def new(self) -> Path:
        """Name a new file."""
        self._count += 1
        return self.path / str(self._count)


@dataclass(frozen=True, slots=True)
class _Stored:
    """A file of rows.

    Attributes
    ----------
    path : the file.
    raw : whether it is as columns lie in memory, and no Parquet.
    same : columns that are not in it, being the same in every row.
    """

    path: Path
    raw: bool = False
    same: Mapping[str, Any] = field(default_factory=dict)

    def scan(self, schema: pl.Schema) -> pl.LazyFrame:
        """Give its rows for a query."""
        return self._scanned().select(
            pl.lit(self.same[name], dtype).alias(name) if name in self.same else name
            for name, dtype in schema.items()
        )

    @property
    def height(self) -> int:
        """Rows in it."""
        return int(self._scanned().select(pl.len()).collect().item())

    def _scanned(self) -> pl.LazyFrame:
        scan = pl.scan_ipc if self.raw else pl.scan_parquet
        return scan(self.path, glob=False)


class Rows:
    """Rows in their order.

    Parameters
    ----------
    schema : names and types of its columns.
    below : folder for what does not fit; see `Folder`.
    sequential : whether nobody will ask for some of them by their values, so that what does not
        fit may be written as it lies in memory, in a fifth of the time that Parquet takes.
    """

    def __init__(
        self, schema: Mapping[str, Any], below: Path | None = None, *, sequential: bool = False
    ) -> None:
        self._schema = pl.Schema(schema)
        self._sequential = sequential
        self._below = below
        self._folder: Folder | None = None
        self._files: list[_Stored] = []
        self._frames: list[pl.DataFrame] = []
        self._waiting = 0
        self._limit = LIMIT
        self.height = 0

    @classmethod
    def of(cls, frame: pl.DataFrame) -> Rows:
        """Keep a frame that is in memory as it is."""
        rows = cls(frame.schema)
        rows._frames, rows._waiting, rows.height = [frame], frame.height, frame.height
        return rows

    @classmethod
    def of_file(cls, path: Path, schema: Mapping[str, Any], below: Path | None) -> Rows:
        """Read rows from a file, which may be replaced or deleted from now on.

        Raises
        ------
        OSError, PolarsError : it cannot be read.
        """
        rows = cls(schema, below)
        copy = rows._new_file()
        try:
            os.link(path, copy)
        except OSError:  # another file system, or one without links
            shutil.copyfile(path, copy)
        rows._files.append(_Stored(copy))
        rows.height = rows._files[0].height
        return rows

    @property
    def on_disk(self) -> bool:
        """Whether some of them are not in memory."""
        return bool(self._files)

    def append(self, frame: pl.DataFrame) -> None:
        """Add rows at the end; memory takes no more than `LIMIT` and one frame."""
        if frame.is_empty():
            return
        self._frames.append(frame.select(self._schema.names()))
        self._waiting += frame.height
        self.height += frame.height
        if self._waiting > self._limit:
            self.put_away()

    def extend(self, other: Rows) -> None:
        """Add all rows of another table at the end."""
        for piece in other.pieces():
            self.append(piece)

    def put_away(self) -> None:
        """Write what is in memory to disk."""
        if not self._frames:
            return
        same = _same(self._frames) if self._sequential else {}
        frame = pl.concat([frame.drop(same) for frame in self._frames])
        try:
            stored = _Stored(self._new_file(), self._sequential, same)
            if stored.raw:
                frame.write_ipc(stored.path, compat_level=pl.CompatLevel.newest())
            else:
                frame.write_parquet(stored.path, compression="lz4")
        except (OSError, pl.exceptions.PolarsError):
            # a full disk costs memory, and no log is lost by it
            self._limit = 2 * self._limit
            return
        self._files.append(stored)
        self._frames, self._waiting = [], 0

    def narrow(self, names: Sequence[str]) -> None:
        """Give some columns alone from now on; nothing is written anew."""
        self._schema = pl.Schema({name: self._schema[name] for name in names})
        self._frames = [frame.select(names) for frame in self._frames]

    def pieces(self) -> Iterator[pl.DataFrame]:
        """Give the rows, some at a time."""
        for stored in self._files:
            for start in range(0, stored.height, LIMIT):
                yield stored.scan(self._schema).slice(start, LIMIT).collect()
        yield from self._frames

    def lazy(self) -> pl.LazyFrame:
        """Give the rows for a query."""
        parts = [stored.scan(self._schema) for stored in self._files]
        parts += [frame.lazy() for frame in self._frames]
        return pl.concat(parts) if parts else pl.LazyFrame(schema=self._schema)

    def frame(self) -> pl.DataFrame:
        """Give all rows at once."""
        parts = [*self.pieces()]
        return pl.concat(parts) if parts else pl.DataFrame(schema=self._schema)

    def write(self, path: Path) -> None:
        """Write all rows to one Parquet file, some at a time."""
        with replacing(path) as temporary:
            self.lazy().sink_parquet(
                temporary, compression="zstd", statistics=True, row_group_size=LIMIT,
                maintain_order=True,
            )  # fmt: skip

    def digest(self) -> str:
        """Give the digest of the one file that they are in."""
        (stored,) = self._files
        return digest(stored.path)

    def _new_file(self) -> Path:
        if self._folder is None:
            self._folder = Folder(self._below)
        return self._folder.new()


def _same(frames: Sequence[pl.DataFrame]) -> dict[str, Any]:
    """Find columns that are the same in every row, but one at least.

    Asked of the frames: a column that was made of one value takes no memory before it is used.
    """
    height = sum(frame.height for frame in frames)
    nulls = np.sum([frame.null_count().row(0) for frame in frames], axis=0)
    constants: dict[str, Any] = {}
    for (name, dtype), count in [*zip(frames[0].schema.items(), nulls, strict=True)][1:]:
        if count == height:
            constants[name] = None
        elif dtype == pl.String and count == 0:
            first = frames[0].select(pl.col(name).first()).item()
            if all(frame.select((pl.col(name) == first).all()).item() for frame in frames):
                constants[name] = first
    return constants
