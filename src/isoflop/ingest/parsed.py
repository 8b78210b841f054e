"""What one raw file says, gathered from its reader's events, and kept in the cache.

The cache's key is the digest of the raw bytes, the reader's name and version, and the column map
where the format needs one. Facts from sweep.yaml come later, so editing them reads nothing anew.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from isoflop.config import RunFacts
from isoflop.files import replacing
from isoflop.ingest.events import (
    Ended,
    Evaluation,
    Event,
    Excluded,
    Facts,
    LeftOutRows,
    Point,
    Remark,
    Restart,
    Truncated,
    Unread,
)
from isoflop.ingest.formats import reader
from isoflop.ingest.refused import RefusedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from isoflop.config import TableMap
    from isoflop.ingest.source import RawFile

LAYOUT: Final = 1
"""Raised when the cached form below changes."""

BATCH: Final = 65_536
"""Records gathered before they are packed: as Python objects they take ten times the memory."""

RECORDS: Final = pl.Schema(
    {
        "run": pl.String,
        "kind": pl.String,
        "step": pl.Int64,
        "tokens": pl.Float64,
        "train_loss": pl.Float64,
        "lr": pl.Float64,
        "grad_norm": pl.Float64,
        "tokens_per_second": pl.Float64,
        "flops": pl.Float64,
        "eval_set": pl.String,
        "metric": pl.String,
        "value": pl.Float64,
    }
)
"""A file's records in their order; kind is train, eval or restart; losses in the log's own unit."""


@dataclass(frozen=True, slots=True)
class ParsedRun:
    """One run in one file.

    Attributes
    ----------
    name : as the log gives it; empty where the log names none.
    facts : what the log says besides the curve, one entry per header.
    status : how it ended, if the log says so.
    excluded : why sweep.yaml's table map leaves it out, if it does.
    """

    name: str
    facts: tuple[RunFacts, ...] = ()
    status: str | None = None
    excluded: str | None = None


@dataclass(frozen=True, slots=True)
class Parsed:
    """One raw file, read.

    Attributes
    ----------
    runs : the runs in it, in order of appearance.
    records : rows as in `RECORDS`.
    lines_unread : lines that look like records but are none.
    truncated : whether the file ends within a record.
    left_out : (rows, reason) for the rows of a table that its map leaves out.
    remarks : what to know of the file.
    refused : why nothing could be read, if so.
    """

    runs: tuple[ParsedRun, ...]
    records: pl.DataFrame
    lines_unread: int = 0
    truncated: bool = False
    left_out: tuple[tuple[int, str], ...] = ()
    remarks: tuple[str, ...] = ()
    refused: str | None = None

    @property
    def restarts(self) -> int:
        """Restarts that the log itself names."""
        return self.records.filter(pl.col("kind") == "restart").height


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


def gather(events: Iterable[Event]) -> Parsed:
    """Gather a reader's events into tables."""
    runs: dict[str, _Run] = {}
    rows: list[tuple[Any, ...]] = []
    batches: list[pl.DataFrame] = []
    left_out: list[tuple[int, str]] = []
    remarks: list[str] = []
    unread, truncated = 0, False
    for event in events:
        match event:
            case Point() | Evaluation() | Restart():
                # a run that goes on after it crashed has not crashed
                runs.setdefault(event.run, _Run()).status = None
                rows.append(_row(event))
                if len(rows) == BATCH:
                    batches.append(pl.DataFrame(rows, schema=RECORDS, orient="row"))
                    rows = []
            case Unread():
                unread += 1
            case Truncated():
                truncated = True
            case LeftOutRows(count, reason):
                left_out.append((count, reason))
            case Remark(text):
                remarks.append(text)
            case _:
                runs.setdefault(event.run, _Run()).note(event)
    return Parsed(
        runs=tuple(
            ParsedRun(name, tuple(r.facts), r.status, r.excluded) for name, r in runs.items()
        ),
        records=pl.concat([*batches, pl.DataFrame(rows, schema=RECORDS, orient="row")]),
        lines_unread=unread,
        truncated=truncated,
        left_out=tuple(left_out),
        remarks=tuple(remarks),
    )


@dataclass(slots=True)
class _Run:
    """What is known of a run besides its records, while its file is read."""

    facts: list[RunFacts] = field(default_factory=list)
    status: str | None = None
    excluded: str | None = None

    def note(self, event: Facts | Ended | Excluded) -> None:
        match event:
            case Facts(facts):
                self.facts.append(facts)
            case Ended(status):
                self.status = status
            case Excluded(reason):
                self.excluded = reason


def _row(event: Point | Evaluation | Restart) -> tuple[Any, ...]:
    """Lay an event out as a row of `RECORDS`."""
    match event:
        case Point(step, tokens, loss, lr, norm, speed, flops, run):
            tokens = _known(tokens, step)
            return (run, "train", step, tokens, loss, lr, norm, speed, flops, None, None, None)
        case Evaluation(step, eval_set, value, metric, tokens, run):
            return (run, "eval", step, _known(tokens, step), *[None] * 5, eval_set, metric, value)
        case Restart(step, run):
            return (run, "restart", step, *[None] * 9)


def _known(tokens: float | None, step: int) -> float | None:
    """Give D; some trainers log 0 throughout unless told to count."""
    return None if tokens == 0 and step > 0 else tokens


def _write_entry(parsed: Parsed, entry: Path) -> None:
    """Write a cache entry: the records as Parquet, everything else as its metadata."""
    rest = {
        "runs": [
            {
                "name": run.name,
                "facts": [facts.model_dump(mode="json", exclude_none=True) for facts in run.facts],
                "status": run.status,
                "excluded": run.excluded,
            }
            for run in parsed.runs
        ],
        "lines_unread": parsed.lines_unread,
        "truncated": parsed.truncated,
        "left_out": parsed.left_out,
        "remarks": parsed.remarks,
        "refused": parsed.refused,
    }
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
    return Parsed(
        runs=tuple(
            ParsedRun(
                run["name"],
                tuple(RunFacts.model_validate(facts) for facts in run["facts"]),
                run["status"],
                run["excluded"],
            )
            for run in rest["runs"]
        ),
        records=records,
        lines_unread=rest["lines_unread"],
        truncated=rest["truncated"],
        left_out=tuple((count, reason) for count, reason in rest["left_out"]),
        remarks=tuple(rest["remarks"]),
        refused=rest["refused"],
    )
