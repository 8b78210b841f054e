"""What one raw file says, gathered from its reader's blocks."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import polars as pl

from isoflop.config.sidecar import LARGEST
from isoflop.ingest.blocks import RECORDS, Block
from isoflop.ingest.events import (
    Ended,
    Excluded,
    Facts,
    Identity,
    LeftOutRows,
    Remark,
    Truncated,
    Unread,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from isoflop.config.sidecar import RunFacts


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
    counts_steps : whether some of its records give no D and no number of samples.
    counts_tokens : whether some of its records after the first step give D or a number of samples.
    counts_samples : whether some of its records give a number of samples and no D.
    advances : whether some record tells of a trained model.
    eval_sets : the eval sets it has a loss on, sorted.
    steps : its first and last step, in any order; None if no record tells one.
    per_step : lowest and highest D / step, where its records give both; None if none does.
    counted : the last step at which they do, and D / step there.
    key : what tells the run from all others, where the log has such a thing.
    """

    name: str
    facts: tuple[RunFacts, ...] = ()
    status: str | None = None
    excluded: str | None = None
    lines: int = 0
    restarts: int = 0
    counts_steps: bool = False
    counts_tokens: bool = False
    counts_samples: bool = False
    advances: bool = False
    eval_sets: tuple[str, ...] = ()
    steps: tuple[int, int] | None = None
    per_step: tuple[float, float] | None = None
    counted: tuple[int, float] | None = None
    key: str = ""

    @property
    def one_step(self) -> bool:
        """Whether all its records are of one step."""
        return self.steps is not None and self.steps[0] == self.steps[1] and not self.restarts


@dataclass(frozen=True, slots=True)
class Parsed:
    """One raw file, read.

    Attributes
    ----------
    runs : the runs in it, in order of appearance.
    kept : rows as in `RECORDS`, or their Parquet file as the cache keeps it.
    lines_unread : lines that look like records but are none.
    truncated : whether the file ends within a record.
    left_out : (rows, reason) for the rows of a table that its map leaves out.
    remarks : what to know of the file.
    refused : why nothing could be read, if so.
    may_pass : whether another reading may say something else, so that this one is not kept.
    """

    runs: tuple[ParsedRun, ...]
    kept: pl.DataFrame | bytes
    lines_unread: int = 0
    truncated: bool = False
    left_out: tuple[tuple[int, str], ...] = ()
    remarks: tuple[str, ...] = ()
    refused: str | None = None
    may_pass: bool = False

    @property
    def records(self) -> pl.DataFrame:
        """Its records, rows as in `RECORDS`: unpacked at every look if the cache gave them."""
        return pl.read_parquet(io.BytesIO(self.kept)) if isinstance(self.kept, bytes) else self.kept

    @property
    def lines(self) -> int:
        """Training and evaluation records."""
        return sum(run.lines for run in self.runs)

    @property
    def restarts(self) -> int:
        """Restarts that the log itself names."""
        return sum(run.restarts for run in self.runs)


def gather(blocks: Iterable[Block]) -> Parsed:
    """Gather a reader's blocks."""
    runs: dict[str, _Run] = {}
    frames: list[pl.DataFrame] = []
    left_out: list[tuple[int, str]] = []
    remarks: list[str] = []
    unread, truncated = 0, False
    for block in blocks:
        frame = block.filled().with_columns(tokens=_known("tokens"), samples=_known("samples"))
        frames.append(frame)
        counts = _counts(frame)
        for count in sorted(counts.values(), key=lambda count: count["first"]):
            runs.setdefault(count["run"], _Run()).count(count)
        for row, event in block.rare:
            match event:
                case Unread():
                    unread += 1
                case Truncated():
                    truncated = True
                case LeftOutRows(rows, reason):
                    left_out.append((rows, reason))
                case Remark(text):
                    remarks.append(text)
                case Facts() | Ended() | Excluded() | Identity():
                    last = counts.get(event.run, {}).get("last", -1)
                    runs.setdefault(event.run, _Run()).note(event, goes_on=last >= row)
    return Parsed(
        runs=tuple(run.parsed(name) for name, run in runs.items()),
        kept=_of_first_rank(pl.concat(frames)).select(RECORDS.names()),
        lines_unread=unread,
        truncated=truncated,
        left_out=tuple(left_out),
        remarks=tuple(remarks),
    )


def _known(column: str) -> pl.Expr:
    """Null for a count that cannot be one: some trainers log 0 throughout unless told to count."""
    count = pl.col(column)
    counts = count.is_between(0, LARGEST) & ((count > 0) | (pl.col("step") == 0))
    return pl.when(counts).then(count)


def _of_first_rank(records: pl.DataFrame) -> pl.DataFrame:
    """Keep one rank's records where several wrote to one file; their lines are interleaved."""
    ranks = records["rank"].drop_nulls()
    if ranks.n_unique() <= 1:
        return records
    with_loss = records.filter(pl.col("train_loss").is_not_null() | pl.col("value").is_not_null())
    first = with_loss["rank"].drop_nulls().min()
    return records.filter(pl.col("rank").is_null() | (pl.col("rank") == first))


def _counts(frame: pl.DataFrame) -> dict[str, dict[str, Any]]:
    """Count a block's records by run."""
    is_record = pl.col("kind") != "restart"
    counts = (pl.col("step") > 0) & (pl.col("tokens") > 0)
    rate = (pl.col("tokens") / pl.col("step")).filter(counts)
    told = {
        "first": pl.col("row").min(),
        "last": pl.col("row").max(),
        "lines": is_record.sum(),
        "restarts": (~is_record).sum(),
        "counts_steps": (
            is_record & pl.col("tokens").is_null() & pl.col("samples").is_null()
        ).any(),
        "counts_tokens": (
            (pl.col("step") > 0)
            & (pl.col("tokens").is_not_null() | pl.col("samples").is_not_null())
        ).any(),
        "counts_samples": (pl.col("tokens").is_null() & pl.col("samples").is_not_null()).any(),
        "advances": (is_record & ((pl.col("step") > 0) | (pl.col("tokens") > 0))).any(),
        "least_step": pl.col("step").min(),
        "most_step": pl.col("step").max(),
        "lowest": rate.min(),
        "highest": rate.max(),
        "counted_to": pl.col("step").filter(counts).max(),
        "rate": rate.get(pl.col("step").filter(counts).arg_max(), null_on_oob=True),
        "eval_sets": pl.col("eval_set").filter(pl.col("metric") == "loss").unique(),
    }
    if frame["run"].n_unique() == 1:  # of one run, which is usual, nothing need be sorted
        run = pl.col("run").first()
        counted = frame.select(
            run, **{n: each.implode() if n == "eval_sets" else each for n, each in told.items()}
        )
    else:
        counted = frame.group_by("run").agg(**told)
    return {row["run"]: row for row in counted.iter_rows(named=True)}


@dataclass(slots=True)
class _Run:
    """A run while its file is read; fields as in `ParsedRun`."""

    facts: list[RunFacts] = field(default_factory=list)
    status: str | None = None
    excluded: str | None = None
    lines: int = 0
    restarts: int = 0
    counts_steps: bool = False
    counts_tokens: bool = False
    counts_samples: bool = False
    advances: bool = False
    eval_sets: set[str] = field(default_factory=set)
    steps: tuple[int, int] | None = None
    per_step: tuple[float, float] | None = None
    counted: tuple[int, float] | None = None
    key: str = ""

    def note(self, event: Facts | Ended | Excluded | Identity, *, goes_on: bool) -> None:
        """Take in what is no record, and whether records follow it in its block."""
        match event:
            case Facts(facts):
                self.facts.append(facts)
            case Ended(status):
                # a run that goes on after it crashed has not crashed
                self.status = None if goes_on else status
            case Excluded(reason):
                self.excluded = reason
            case Identity(key):
                self.key = key

    def count(self, count: Mapping[str, Any]) -> None:
        """Take in a block's records."""
        self.status = None
        self.lines += count["lines"]
        self.restarts += count["restarts"]
        self.counts_steps |= count["counts_steps"]
        self.counts_tokens |= count["counts_tokens"]
        self.counts_samples |= count["counts_samples"]
        self.advances |= count["advances"]
        self.eval_sets.update(count["eval_sets"])
        if count["least_step"] is not None:
            self.steps = _joined(self.steps, (count["least_step"], count["most_step"]))
        if count["lowest"] is not None:
            self.per_step = _joined(self.per_step, (count["lowest"], count["highest"]))
            self.counted = max(self.counted or (0, 0.0), (count["counted_to"], count["rate"]))

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
            counts_tokens=self.counts_tokens,
            counts_samples=self.counts_samples,
            advances=self.advances,
            eval_sets=tuple(sorted(self.eval_sets)),
            steps=self.steps,
            per_step=self.per_step,
            counted=self.counted,
            key=self.key,
        )


def _joined(known: tuple[Any, Any] | None, more: tuple[Any, Any]) -> tuple[Any, Any]:
    """Join two ranges."""
    return more if known is None else (min(known[0], more[0]), max(known[1], more[1]))
