"""SQLite databases from strangers: in memory, read only, with no code of theirs run.

The bytes are deserialized, so that neither locks nor journals are written beside the file; views
and triggers are not used, and a statement may do so much work and no more.
"""

from __future__ import annotations

import contextlib
import sqlite3
from typing import TYPE_CHECKING, Any, Final

from isoflop.ingest.refused import RefusedError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from isoflop.ingest.source import RawFile

LARGEST: Final = 2 << 30
"""Bytes of a database that is read: it is held in memory."""
MOST_STEPS: Final = 2_000_000_000
"""Steps of SQLite's machine that one reading may take."""
_EVERY: Final = 1_000_000
_READS: Final = frozenset({sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ})
_VERSIONS_AT: Final = 18
"""Where a database says that it has a write-ahead log, which is not there in memory."""


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
        return iter(self._connection.execute(query, values).fetchall())


@contextlib.contextmanager
def opened(file: RawFile, needed: Mapping[str, Sequence[str]]) -> Iterator[Database]:
    """Open a database that must have tables with certain columns.

    Raises
    ------
    RefusedError : it is none, is damaged or too large, lacks a table, or takes too long.
    """
    if file.size > LARGEST:
        raise RefusedError(f"larger than {LARGEST >> 20} MB; a database is read whole")
    content = bytearray(file.content())
    content[_VERSIONS_AT : _VERSIONS_AT + 2] = b"\x01\x01"
    connection = sqlite3.connect(":memory:")
    connection.text_factory = lambda raw: raw.decode("utf-8", errors="replace")
    try:
        connection.deserialize(bytes(content))
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute("PRAGMA query_only = ON")
        left = [MOST_STEPS // _EVERY]

        def counted() -> int:
            left[0] -= 1
            return int(left[0] < 0)

        connection.set_progress_handler(counted, _EVERY)
        database = Database(connection)
        connection.set_authorizer(_authorised)
        have = database.tables
        for table, columns in needed.items():
            if lacking := {*columns} - have.get(table, set()):
                raise RefusedError(f"its table '{table}' lacks {', '.join(sorted(lacking))}")
        yield database
    except (sqlite3.Error, OverflowError, UnicodeError) as error:
        raise RefusedError(f"not a whole SQLite database: {error}") from error
    finally:
        connection.close()


def _authorised(action: int, *_: str | None) -> int:
    """Allow reading, and nothing else: no function, no other database."""
    return sqlite3.SQLITE_OK if action in _READS else sqlite3.SQLITE_DENY
