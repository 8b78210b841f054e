"""What one raw file says, gathered from its reader's events."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import polars as pl

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

if TYPE_CHECKING:
    from collections.abc import Iterable

    from isoflop.config.sidecar import RunFacts

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
    lines : its training and evaluation records.
    restarts : restarts that the log itself names.
    counts_steps : whether some of its records give no D.
    advances : whether some record tells of a trained model.
    eval_sets : the eval sets it has a loss on, sorted.
    """

    name: str
    facts: tuple[RunFacts, ...] = ()
    status: str | None = None
    excluded: str | None = None
    lines: int = 0
    restarts: int = 0
    counts_steps: bool = False
    advances: bool = False
    eval_sets: tuple[str, ...] = ()


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
    def lines(self) -> int:
        """Training and evaluation records."""
        return sum(run.lines for run in self.runs)

    @property
    def restarts(self) -> int:
        """Restarts that the log itself names."""
        return sum(run.restarts for run in self.runs)


def gather(events: Iterable[Event]) -> Parsed:
    """Gather a reader's events."""
    runs: dict[str, _Run] = {}
    rows: list[tuple[Any, ...]] = []
    batches: list[pl.DataFrame] = []
    left_out: list[tuple[int, str]] = []
    remarks: list[str] = []
    unread, truncated = 0, False
    for event in events:
        match event:
            case Point() | Evaluation() | Restart():
                runs.setdefault(event.run, _Run()).count(event)
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
        runs=tuple(run.parsed(name) for name, run in runs.items()),
        records=pl.concat([*batches, pl.DataFrame(rows, schema=RECORDS, orient="row")]),
        lines_unread=unread,
        truncated=truncated,
        left_out=tuple(left_out),
        remarks=tuple(remarks),
    )


@dataclass(slots=True)
class _Run:
    """A run while its file is read; fields as in `ParsedRun`."""

    facts: list[RunFacts] = field(default_factory=list)
    status: str | None = None
    excluded: str | None = None
    lines: int = 0
    restarts: int = 0
    counts_steps: bool = False
    advances: bool = False
    eval_sets: set[str] = field(default_factory=set)

    def note(self, event: Facts | Ended | Excluded) -> None:
        """Take in what is no record."""
        match event:
            case Facts(facts):
                self.facts.append(facts)
            case Ended(status):
                self.status = status
            case Excluded(reason):
                self.excluded = reason

    def count(self, event: Point | Evaluation | Restart) -> None:
        """Take in that there is a record."""
        self.status = None  # a run that goes on after it crashed has not crashed
        if isinstance(event, Restart):
            self.restarts += 1
            return
        self.lines += 1
        tokens = _known(event.tokens, event.step)
        self.counts_steps |= tokens is None
        self.advances |= event.step > 0 or bool(tokens)
        if isinstance(event, Evaluation) and event.metric == "loss":
            self.eval_sets.add(event.eval_set)

    def parsed(self, name: str) -> ParsedRun:
        """Close the run."""
        return ParsedRun(
            name=name,
            facts=tuple(self.facts),
            status=self.status,
            excluded=self.excluded,
            lines=self.lines,
            restarts=self.restarts,
            counts_steps=self.counts_steps,
            advances=self.advances,
            eval_sets=tuple(sorted(self.eval_sets)),
        )


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
