"""SQLite databases from strangers: a copy, read only, with no code of theirs run.

Its bytes are copied to a temporary file, so that neither locks nor journals are written beside the
one that it is, and memory takes a few pages of it; views and triggers are not used, and a statement
may do so much work and no more.
"""

from __future__ import annotations

import contextlib
import sqlite3
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from isoflop.ingest.reading.refused import RefusedError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from isoflop.ingest.reading.source import RawFile

LARGEST: Final = 2 << 30
"""Bytes of a database that is read: its values are held in memory."""
MOST_STEPS: Final = 2_000_000_000
"""Steps of SQLite's machine that one reading may take."""
_EVERY: Final = 1_000_000
_READS: Final = frozenset({sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ})
_VERSIONS_AT: Final = 18
"""Where a database says that it has a write-ahead log, which the copy has not."""
AT_ONCE: Final = 50_000
"""Rows of an answer that are in memory as Python's objects."""


class Database:
    """A database of a tracker."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        names = self.rows("SELECT name FROM sqlite_master WHERE type = 'table'")
        columns = "SELECT name FROM pragma_table_info(?)"
        self.tables = {name: {row[0] for row in self.rows(columns, name)} for (name,) in names}
        """The columns of every table; views are none."""

    def rows(self, query: str, *values: Any) -> Iterator[tuple[Any, ...]]:
        """Run a query."""
        return self._connection.execute(query, values)

    def batches(self, query: str, *values: Any) -> Iterator[list[tuple[Any, ...]]]:
        """Run a query of many rows, some of which are in memory at a time."""
        answer = self._connection.execute(query, values)
        while some := answer.fetchmany(AT_ONCE):
            yield some


@contextlib.contextmanager
def opened(file: RawFile, needed: Mapping[str, Sequence[str]]) -> Iterator[Database]:
    """Open a database that must have tables with certain columns.

    Raises
    ------
    RefusedError : it is none, is damaged or too large, lacks a table, or takes too long.
    """
    if file.size > LARGEST:
        raise RefusedError(f"larger than {LARGEST >> 20} MB; its values are held in memory")
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "copy.db"
        file.copy(copy)
        with copy.open("r+b") as stream:
            stream.seek(_VERSIONS_AT)
            stream.write(b"\x01\x01")
        # immutable: no locks, and no journal is looked for
        connection = sqlite3.connect(f"{copy.as_uri()}?mode=ro&immutable=1", uri=True)
        try:
            yield _guarded(connection, needed)
        except (sqlite3.Error, OverflowError, UnicodeError) as error:
            raise RefusedError(f"not a whole SQLite database: {error}") from error
        finally:
            connection.close()


def _guarded(connection: sqlite3.Connection, needed: Mapping[str, Sequence[str]]) -> Database:
    """Let a connection read what it should, and nothing else."""
    connection.text_factory = lambda raw: raw.decode("utf-8", errors="replace")
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA query_only = ON")
    left = [MOST_STEPS // _EVERY]

    def counted() -> int:
        left[0] -= 1
        return int(left[0] < 0)

    connection.set_progress_handler(counted, _EVERY)
    database = Database(connection)
    connection.set_authorizer(_authorised)
    for table, columns in needed.items():
        if lacking := {*columns} - database.tables.get(table, set()):
            raise RefusedError(f"its table '{table}' lacks {', '.join(sorted(lacking))}")
    return database


def _authorised(action: int, *_: str | None) -> int:
    """Allow reading, and nothing else: no function, no other database."""
    return sqlite3.SQLITE_OK if action in _READS else sqlite3.SQLITE_DENY
