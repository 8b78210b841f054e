"""Read a raw file through the cache: what its reader made of it, kept as Parquet.

An entry's key is the digest of the raw bytes, the reader's name and version, what facts can be, and
for a table its column map and its name, after which unnamed runs are called. Facts from sweep.yaml
come later, so editing them reads nothing anew. An entry ends with its checksum: what is damaged,
older or foreign is read anew, and what cannot be written is not. The folder may be deleted at any
time.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import io
import json
from collections.abc import Callable
from functools import cache as once
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from isoflop.config.sidecar import RunFacts
from isoflop.entries import read_entry, write_entry
from isoflop.errors import IsoflopError
from isoflop.files import digest
from isoflop.ingest.formats import reader, scan, takes_map
from isoflop.ingest.reading.blocks import RECORDS
from isoflop.ingest.reading.parsed import Parsed, ParsedRun, gather
from isoflop.ingest.reading.refused import RefusedError, cause
from isoflop.ingest.reading.rows import Rows
from isoflop.ingest.reading.source import RawFile
from isoflop.ingest.store.rows_entries import read_rows_entry, write_rows_entry
from isoflop.ingest.tables.wall_time import written

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from isoflop.config.sidecar import TableMap

LAYOUT: Final = 23
"""Raised when the form of an entry changes, or what is made of every reader's records."""


class UnreadError(IsoflopError):
    """Records that were kept are gone before they were needed."""


def parse(
    file: RawFile, format_name: str, *, table: TableMap | None, cache: Path | None
) -> tuple[Parsed, bool]:
    """Read a raw file, or take what an earlier reading left in the cache.

    Parameters
    ----------
    file : the raw file.
    format_name : a format that has a reader.
    table : column map; counts for generic tables only.
    cache : folder of the cache; None reads anew.

    Returns
    -------
    What the file says, and whether it came from the cache. Hit or miss gives equal values.
    """
    entry = cache / f"{reading_key(file, format_name, table)}.entry" if cache else None
    read = functools.partial(parse, file, format_name, table=table, cache=None)
    if entry is not None and (kept := _read_entry(entry, read)) is not None:
        return kept, True
    watched = Watched.of(file)
    try:
        # rows of a step in a table may be its batches: `one_step` tells which are not
        maps = takes_map(format_name)
        repeat = maps or getattr(reader(format_name), "STEPS_REPEAT", False)
        parsed = gather(
            scan(format_name, watched, table if maps else None),
            cache,
            repeats=not repeat,
        )
        parsed = dataclasses.replace(parsed, written=written(file))
    except RefusedError as refusal:
        parsed = _refused(str(refusal), refusal.proposal)
    except (Exception, pl.exceptions.PanicException) as error:
        # not kept: a full memory or a disk's error may pass
        unread = _refused(f"could not be read: {cause(error)}{watched.where}")
        return dataclasses.replace(unread, may_pass=True), False
    if watched.has_changed():
        note = "it was written to while it was read; run again when it is whole"
        remarks = (*parsed.remarks, note)
        return dataclasses.replace(parsed, remarks=remarks, may_pass=True), False
    return parsed if entry is None else _write_entry(parsed, entry, read), False


def reading_key(file: RawFile, format_name: str, table: TableMap | None) -> str:
    """Give a digest of all that a file's reading depends on."""
    hints = (
        None
        if table is None or not takes_map(format_name)
        else table.model_dump_json(exclude_unset=True)
    )
    named = [file.stem, file.run is not None] if takes_map(format_name) else None
    version = reader(format_name).VERSION
    state = [LAYOUT, file.digest, format_name, version, hints, named, _facts()]
    return hashlib.sha256(json.dumps(state).encode()).hexdigest()


@dataclasses.dataclass(frozen=True, slots=True)
class Watched(RawFile):
    """A raw file that remembers which line was read last, and whether it was written to since."""

    read: list[int] = dataclasses.field(default_factory=lambda: [0])

    @classmethod
    def of(cls, file: RawFile) -> Watched:
        """Watch a file."""
        return cls(file.path, file.name, file.size, file.digest, file.run)

    def lines(self) -> Iterator[str]:
        """Stream the lines as `RawFile.lines` does, counting them."""
        for line in RawFile.lines(self):
            self.read[0] += 1
            yield line

    @property
    def where(self) -> str:
        """The line that was read last, in words."""
        return f", at line {self.read[0]}" if self.read[0] else ""

    def has_changed(self) -> bool:
        """Whether the bytes are no longer those of the digest; what is appended is none of them."""
        return digest(self.path, self.size) != self.digest


def _refused(reason: str, proposal: str = "") -> Parsed:
    return Parsed((), pl.DataFrame(schema=RECORDS), refused=reason, proposal=proposal)


@once
def _facts() -> str:
    """Give a digest of what facts can be: an entry with others is of an older version."""
    schema = json.dumps([RunFacts.model_json_schema(), str(RECORDS)], sort_keys=True)
    return hashlib.sha256(schema.encode()).hexdigest()


Reading = Callable[[], tuple[Parsed, bool]]
"""Reads a file anew."""


@dataclasses.dataclass(frozen=True, slots=True)
class _InEntry:
    """Records that stay in their entry until somebody looks at them; of most runs nobody does."""

    entry: Path
    anew: Reading

    def __call__(self) -> pl.DataFrame:
        """Read them.

        Raises
        ------
        UnreadError : the entry is gone, and the file does not say any more what it said.
        """
        parts = read_entry(self.entry)
        if parts is not None and "records" in parts:
            return pl.read_parquet(io.BytesIO(parts["records"]))
        parsed, _ = self.anew()
        if parsed.refused is not None or parsed.may_pass:
            raise UnreadError(
                f"{self.entry} was deleted while a sweep was read, and its log cannot be read as "
                "it was; run again"
            )
        return parsed.records


def _write_entry(parsed: Parsed, entry: Path, anew: Reading) -> Parsed:
    """Write a cache entry: the records as Parquet, everything else as JSON.

    Returns
    -------
    What was written, its records there, or packed where the disk did not take them.
    """
    rest = {
        field.name: getattr(parsed, field.name)
        for field in dataclasses.fields(parsed)
        if field.name not in ("runs", "kept")
    }
    rest["runs"] = [
        {
            **{field.name: getattr(run, field.name) for field in dataclasses.fields(run)},
            "facts": [facts.model_dump(mode="json", exclude_none=True) for facts in run.facts],
        }
        for run in parsed.runs
    ]
    told = json.dumps(rest).encode()
    if isinstance(parsed.kept, Rows):
        # beside the entry, which is read whole
        write_entry(entry, {"rest": told, "rows": write_rows_entry(parsed.kept, entry)})
        return parsed
    table = io.BytesIO()
    parsed.records.write_parquet(table, compression="zstd")
    packed = table.getvalue()
    written = write_entry(entry, {"rest": told, "records": packed})
    return dataclasses.replace(parsed, kept=_InEntry(entry, anew) if written else packed)


def _read_entry(entry: Path, anew: Reading) -> Parsed | None:
    """Read a cache entry; None if there is none, or it is not as it was written."""
    parts = read_entry(entry)
    try:
        rest: Mapping[str, Any] = json.loads(parts["rest"]) if parts else {}
        plain = {key: _tuples(value) for key, value in rest.items() if key != "runs"}
        if parts is None:
            return None
        if "records" in parts:
            return Parsed(tuple(map(_run, rest["runs"])), _InEntry(entry, anew), **plain)
        kept = read_rows_entry(entry, parts["rows"], RECORDS)
        return None if kept is None else Parsed(tuple(map(_run, rest["runs"])), kept, **plain)
    except (KeyError, TypeError, ValueError):
        return None  # whole, but written by another version


def _run(written: Mapping[str, Any]) -> ParsedRun:
    """Read what an entry says of one run."""
    plain = {key: _tuples(value) for key, value in written.items() if key != "facts"}
    facts = tuple(RunFacts.model_validate(facts) for facts in written["facts"])
    return ParsedRun(facts=facts, **plain)


def _tuples(value: Any) -> Any:
    """Give JSON's lists back as the tuples they were."""
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value
