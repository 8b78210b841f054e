"""One module per log format; `patterns.PATTERNS` recognises them, `reader` fetches them.

A module has `VERSION`, raised whenever the same bytes give other events, and `read`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Protocol, cast

if TYPE_CHECKING:
    from collections.abc import Iterator

    from isoflop.config.sidecar import TableMap
    from isoflop.ingest.events import Event
    from isoflop.ingest.source import RawFile


class Reader(Protocol):
    """What a format's module offers."""

    VERSION: int

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
