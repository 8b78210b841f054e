"""One module per log format; `patterns.PATTERNS` recognises them, `scan` reads them.

A module has `VERSION`, raised whenever the same bytes give other records, and one of

* `FORMAT`, a text format as data, which the engine of `textlog` runs;
* `scan`, which yields blocks;
* `read`, which yields events one by one.

One that lays its log out as a table says `TAKES_MAP`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Protocol, cast

from isoflop.ingest.reading import textlog
from isoflop.ingest.reading.blocks import blocks_of, blocks_of_lines

if TYPE_CHECKING:
    from collections.abc import Iterator

    from isoflop.config.sidecar import TableMap
    from isoflop.ingest.reading.blocks import Block
    from isoflop.ingest.reading.events import Event
    from isoflop.ingest.reading.source import RawFile
    from isoflop.ingest.reading.textlog import TextFormat


class Reader(Protocol):
    """What a format's module offers."""

    VERSION: int

    FORMAT: TextFormat

    def scan(self, file: RawFile, table: TableMap | None) -> Iterator[Block]:
        """Yield what a log says, in blocks; parameters as of `read`."""
        ...

    def read(self, file: RawFile, table: TableMap | None) -> Iterator[Event]:
        """Yield what a log says, in its order.

        Parameters
        ----------
        file : the raw file; text comes from its `lines`, bytes from its `content`.
        table : column map of generic tables; other formats need none.

        Raises
        ------
        RefusedError : the file cannot be read at all, and why.
        """
        ...


def reader(format_name: str) -> Reader:
    """Fetch a format's module; its imports are paid only if such a file is there."""
    return cast("Reader", import_module(f"isoflop.ingest.formats.{format_name}"))


def takes_map(format_name: str) -> bool:
    """Tell whether a format lays its log out as a table, of which sweep.yaml may map columns."""
    return bool(getattr(reader(format_name), "TAKES_MAP", False))


def counts_all_ranks(format_name: str) -> bool:
    """Tell whether what a format's logs count is of all ranks, whichever of them wrote the log."""
    return bool(getattr(reader(format_name), "COUNTS_ALL_RANKS", False))


def scan(format_name: str, file: RawFile, table: TableMap | None = None) -> Iterator[Block]:
    """Yield what a file of a format says, in blocks; see `Reader.read`."""
    module = reader(format_name)
    if hasattr(module, "FORMAT"):
        return textlog.scan(file, module.FORMAT)
    return (
        module.scan(file, table)
        if hasattr(module, "scan")
        else read_lines(format_name, file, table)
    )


def read_lines(format_name: str, file: RawFile, table: TableMap | None = None) -> Iterator[Block]:
    """Yield what a file of a text format says, read line by line: slow, and the engine's oracle."""
    module = reader(format_name)
    if hasattr(module, "FORMAT"):
        return blocks_of_lines(textlog.read(file, module.FORMAT))
    return blocks_of(module.read(file, table))
