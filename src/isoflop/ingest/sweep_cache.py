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

from isoflop.files import digest as content_digest
from isoflop.ingest.entries import package_code, read_entry, write_entry
from isoflop.ingest.laid_out import LaidOut
from isoflop.tables import Curves, Evals, Files, Gates, Runs, TableError, validated
from isoflop.walk import because, walk

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from isoflop.config.ingest import IngestSettings
    from isoflop.config.sidecar import SweepFile
    from isoflop.ingest.stat_index import StatIndex

TABLES: Final = {"files": Files, "runs": Runs, "curves": Curves, "evals": Evals, "gates": Gates}
LARGEST: Final = 20_000_000
"""Points of a sweep that is kept: more take longer to pack than they save."""


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

    def read(self) -> tuple[dict[str, pl.DataFrame], dict[str, Any]] | None:
        """Give the tables and what else was kept; None unless all is as it was."""
        parts = self._parts
        if parts is None or parts.get("key") != self._key:
            return None
        try:
            tables = {
                name: validated(pl.read_parquet(io.BytesIO(parts[name])), schema, source=name)
                for name, schema in TABLES.items()
            }
            rest: dict[str, Any] = json.loads(parts["rest"])
        except (pl.exceptions.PolarsError, TableError, KeyError, ValueError):
            return None
        return dict(tables), rest

    def laid_out(self) -> LaidOut | None:
        """Give what its runs came to, of which some may be as they were; None if there is none."""
        parts = self._parts
        if parts is None or parts.get("code") != self._code:
            return None
        try:
            curves, evals = (
                pl.read_parquet(io.BytesIO(parts[name])) for name in ("curves", "evals")
            )
            return LaidOut.read(curves, evals, parts["laid out"])
        except (pl.exceptions.PolarsError, KeyError, TypeError, ValueError):
            return None

    def write(
        self, tables: Mapping[str, pl.DataFrame], rest: Mapping[str, Any], laid_out: LaidOut
    ) -> None:
        """Keep a sweep's tables, and what makes the next reading of its runs short."""
        if tables["curves"].height > LARGEST:
            return
        parts = {
            "key": self._key,
            "code": self._code,
            "rest": json.dumps(rest).encode(),
            "laid out": laid_out.rest(),
        }
        for name in TABLES:
            stream = io.BytesIO()
            tables[name].write_parquet(stream, compression="zstd")
            parts[name] = stream.getvalue()
        write_entry(self._path, parts)
