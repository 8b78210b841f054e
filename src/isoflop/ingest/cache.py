"""Read a raw file through the cache: what its reader made of it, kept as Parquet.

An entry's key is the digest of the raw bytes, the reader's name and version, and the column map
where the format needs one. Facts from sweep.yaml come later, so editing them reads nothing anew.
The folder may be deleted at any time.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from isoflop.config.sidecar import RunFacts
from isoflop.files import replacing
from isoflop.ingest.formats import reader
from isoflop.ingest.parsed import RECORDS, Parsed, ParsedRun, gather
from isoflop.ingest.refused import RefusedError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from isoflop.config.sidecar import TableMap
    from isoflop.ingest.source import RawFile

LAYOUT: Final = 1
"""Raised when the form of an entry changes."""


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
    module = reader(format_name)
    hints = None if table is None or format_name != "table" else table.model_dump_json()
    key = json.dumps([LAYOUT, file.digest, format_name, module.VERSION, hints])
    entry = cache / f"{hashlib.sha256(key.encode()).hexdigest()}.parquet" if cache else None
    if entry is not None and (found := _read_entry(entry)) is not None:
        return found, True
    try:
        parsed = gather(module.read(file, table if format_name == "table" else None))
    except RefusedError as refusal:
        parsed = Parsed((), pl.DataFrame(schema=RECORDS), refused=str(refusal))
    if entry is not None:
        _write_entry(parsed, entry)
    return parsed, False


def _write_entry(parsed: Parsed, entry: Path) -> None:
    """Write a cache entry: the records as Parquet, everything else as its metadata."""
    rest = {
        field.name: getattr(parsed, field.name)
        for field in dataclasses.fields(parsed)
        if field.name not in ("runs", "records")
    }
    rest["runs"] = [
        {
            **{field.name: getattr(run, field.name) for field in dataclasses.fields(run)},
            "facts": [facts.model_dump(mode="json", exclude_none=True) for facts in run.facts],
        }
        for run in parsed.runs
    ]
    with replacing(entry) as temporary:
        parsed.records.write_parquet(
            temporary, compression="zstd", metadata={"isoflop": json.dumps(rest)}
        )


def _read_entry(entry: Path) -> Parsed | None:
    """Read a cache entry; None if there is none, or it is damaged."""
    if not entry.exists():
        return None
    try:
        rest: Mapping[str, Any] = json.loads(pl.read_parquet_metadata(entry)["isoflop"])
        records = pl.read_parquet(entry)
    except (pl.exceptions.PolarsError, OSError, KeyError, ValueError):
        return None
    if records.schema != RECORDS:
        return None
    plain = {key: _tuples(value) for key, value in rest.items() if key != "runs"}
    runs = tuple(_run(run) for run in rest["runs"])
    return Parsed(runs=runs, records=records, **plain)


def _run(written: Mapping[str, Any]) -> ParsedRun:
    """Read what an entry says of one run."""
    plain = {key: _tuples(value) for key, value in written.items() if key != "facts"}
    facts = tuple(RunFacts.model_validate(facts) for facts in written["facts"])
    return ParsedRun(facts=facts, **plain)


def _tuples(value: Any) -> Any:
    """Give JSON's lists back as the tuples they were."""
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value
