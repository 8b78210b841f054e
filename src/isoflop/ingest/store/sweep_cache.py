"""The tables of a whole sweep, kept as long as nothing that they depend on has changed.

The key is made of every file's name and digest, sweep.yaml, the settings and the code of the
package. One entry a sweep: a new state replaces it, and takes from it the runs that are the same.
"""

from __future__ import annotations

import hashlib
import io
import json
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from isoflop.entries import package_code, read_entry, write_entry
from isoflop.files import digest as content_digest
from isoflop.ingest.store.chunks import Chunked
from isoflop.ingest.store.laid_out import LaidOut
from isoflop.tables import Curves, Evals, Files, Gates, Runs, TableError, validated
from isoflop.walk import because, walk

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from isoflop.config.ingest import IngestSettings
    from isoflop.config.sidecar import SweepFile
    from isoflop.ingest.store.stat_index import StatIndex

TABLES: Final = {"files": Files, "runs": Runs, "gates": Gates}
LARGE: Final = {"curves": Curves, "evals": Evals}
"""Tables that may be too large for memory."""
UNREADABLE: Final = (pl.exceptions.PolarsError, TableError, KeyError, TypeError, ValueError)
"""What tells that an entry is whole, but was written by another version."""


class SweepCache:
    """One sweep's entry.

    Parameters
    ----------
    folder, sweep, cache : the sweep's folder and name, and the cache's folder.
    sidecar, settings : what its tables depend on besides its files.
    index : looks at its files.
    """

    def __init__(
        self,
        folder: Path,
        sweep: str,
        cache: Path,
        *,
        sidecar: SweepFile,
        settings: IngestSettings,
        index: StatIndex,
    ) -> None:
        where = json.dumps([str(folder.resolve()), sweep])
        name = hashlib.sha256(where.encode(errors="surrogateescape")).hexdigest()
        self._path = cache / f"{name}.sweep"
        state = [sweep, sidecar.model_dump_json(), settings.model_dump_json(), package_code()]
        digest = hashlib.sha256(json.dumps(state).encode())
        for entry in walk(folder):
            try:
                told = entry.reason or index.file(entry.path).digest
            except OSError as error:
                told = because(error)
            line = f"{entry.path.relative_to(folder)}\0{entry.fate}\0{told}\n"
            digest.update(line.encode(errors="surrogateescape"))
        # configurations that sweep.yaml names may be hidden ones, as .hydra/config.yaml is
        for name in sorted({name for rule in sidecar.runs for name in rule.config}):
            path = folder / name
            told = content_digest(path) if path.is_file() else "none"
            digest.update(f"config {name}\0{told}\n".encode(errors="surrogateescape"))
        self._key = digest.hexdigest().encode()
        self._code = package_code().encode()
        self._parts = read_entry(self._path)

    def read(self) -> tuple[dict[str, pl.DataFrame], dict[str, Chunked], dict[str, Any]] | None:
        """Give the tables, the rows of large ones, and what else was kept, if all is as it was."""
        parts = self._parts
        if parts is None or parts.get("key") != self._key:
            return None
        try:
            tables = {
                name: validated(pl.read_parquet(io.BytesIO(parts[name])), schema, name=name)
                for name, schema in TABLES.items()
            }
            large, lost = self._large(parts)
            rest: dict[str, Any] = json.loads(parts["rest"])
        except UNREADABLE:
            return None
        return None if lost else (dict(tables), large, rest)

    def laid_out(self) -> LaidOut | None:
        """Give what its runs came to, of which some may be as they were; None if there is none."""
        parts = self._parts
        if parts is None or parts.get("code") != self._code:
            return None
        try:
            large, lost = self._large(parts)
            return LaidOut.read(**large, rest=parts["laid out"], lost=lost)
        except UNREADABLE:
            return None

    def _large(self, parts: Mapping[str, bytes]) -> tuple[dict[str, Chunked], set[str]]:
        """Give the large tables: those of a few rows stand in the entry, others beside it.

        Returns
        -------
        The tables, and the runs of which some rows are not as they were written.
        """
        large: dict[str, Chunked] = {}
        lost: set[str] = set()
        for name, schema in LARGE.items():
            if name in parts:
                frame = pl.read_parquet(io.BytesIO(parts[name]))
                checked = validated(frame, schema, name=name)
                large[name] = Chunked(schema, in_memory=checked)
            else:
                beside = self._beside(name)
                large[name], lost_of = Chunked.kept(schema, beside, parts[f"chunks of {name}"])
                lost |= lost_of
        return large, lost

    def write(
        self, tables: Mapping[str, pl.DataFrame], rest: Mapping[str, Any], laid_out: LaidOut
    ) -> None:
        """Keep a sweep's tables, and what makes the next reading of its runs short."""
        parts = {
            "key": self._key,
            "code": self._code,
            "rest": json.dumps(rest).encode(),
            "laid out": laid_out.rest(),
        }
        for name in TABLES:
            parts[name] = _packed(tables[name])
        chunks = dict.fromkeys(LARGE, b"[]")
        for name in LARGE:
            table: Chunked = getattr(laid_out, name)
            if table.in_memory is not None:
                parts[name] = _packed(table.in_memory)
            else:
                chunks[name] = table.keep(self._beside(name))
                parts[f"chunks of {name}"] = chunks[name]
        write_entry(self._path, parts)
        for name, told in chunks.items():
            Chunked.sweep_up(self._beside(name), told)

    def _beside(self, name: str) -> Path:
        return self._path.with_name(f"{self._path.name}.{name}")


def _packed(table: pl.DataFrame) -> bytes:
    stream = io.BytesIO()
    table.write_parquet(stream, compression="zstd")
    return stream.getvalue()
