"""Rows beside an entry of the cache, which is read whole, as these are not."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import polars as pl

from isoflop.files import digest
from isoflop.ingest.reading.rows import Rows

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def write_rows_entry(rows: Rows, entry: Path, name: str = "rows") -> bytes:
    """Write rows beside an entry, which is read whole, as these are not.

    Returns
    -------
    What the entry must say of them: a digest, or nothing where they could not be written.
    """
    path = _beside(entry, name)
    with contextlib.suppress(OSError):
        rows.write(path)
        return digest(path).encode()
    return b""


def read_rows_entry(
    entry: Path, known: bytes, schema: Mapping[str, Any], name: str = "rows"
) -> Rows | None:
    """Read the rows beside an entry; None if they are not as they were written.

    Parameters
    ----------
    entry, name : as they were given to `write_rows_entry`.
    known : what it returned.
    schema : of the rows.
    """
    path = _beside(entry, name)
    try:
        rows = Rows.of_file(path, schema, entry.parent)
        return rows if known and rows.digest() == known.decode() else None
    except (OSError, pl.exceptions.PolarsError):
        return None


def _beside(entry: Path, name: str) -> Path:
    return entry.with_name(f"{entry.name}.{name}")
