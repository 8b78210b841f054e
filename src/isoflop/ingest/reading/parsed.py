"""What one raw file says, gathered from its reader's blocks."""

from __future__ import annotations

import io
from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from isoflop.config.sidecar import LARGEST
from isoflop.ingest.reading.blocks import RANKED, RECORDS, Block, of_one_value
from isoflop.ingest.reading.events import (
    Anew,
    CountsBy,
    CountsLines,
    Ended,
    Excluded,
    Facts,
    Identity,
    LeftOutRows,
    NamedByKind,
    Remark,
    Truncated,
    Unread,
    Written,
)
from isoflop.ingest.reading.last_measured import LastMeasured
from isoflop.ingest.reading.rows import Rows
from isoflop.ingest.reading.turns import Turns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from isoflop.config.sidecar import RunFacts


@dataclass(frozen=True, slots=True)
class ParsedRun:
    """One run in one file.

    Attributes
    ----------
    name : as the log gives it; empty where the log names none.
    facts : what the log says besides the curve, one entry per header.
    status : how it ended, if the log says so.
    excluded : why sweep.yaml's table map, or the log, leaves it out, if it does.
    anew : the first of the facts that count where sweep.yaml names the run, which is then not left
        out; None where it is in any case.
    lines : its training and evaluation records.
    restarts : restarts that the log itself names.
    counts_steps : whether some of its records give no D and no number of samples.
    counts_tokens : whether some of its records after the first step give D or a number of samples.
    counts_samples : whether some of its records give a number of samples and no D.
    advances : whether some record tells of a trained model.
    eval_sets : the eval sets it has a loss on, sorted.
    byte_sets : the eval sets of which it has bits per byte, sorted.
    trains : whether some record has a training loss.
    steps : its first and last step, in any order; None if no record tells one.
    per_step : lowest and highest D / step, where its records give both; None if none does. Where a
        record gives no D, it is the number of samples.
    counted : the last step at which they do, and D / step there.
    key : what tells the run from all others, where the log has such a thing.
    counts_lines : whether its steps count lines of its log, and no updates.
    counts_by : what its steps are called, where tables have several kinds.
    named_by_kind : whether a column that may name kinds of runs gives its name.
    written : when its first and its last record were logged, where these say so [s since 1970].
    passes : the last step at which it tells its passes over the training data, and how many.
    turns : lines (row, step, loss) that go back and forth, where several runs took turns.
    """

    name: str
    facts: tuple[RunFacts, ...] = ()
    status: str | None = None
    excluded: str | None = None
    anew: int | None = None
    lines: int = 0
    restarts: int = 0
    counts_steps: bool = False
    counts_tokens: bool = False
    counts_samples: bool = False
    advances: bool = False
    eval_sets: tuple[str, ...] = ()
    byte_sets: tuple[str, ...] = ()
    trains: bool = False
    steps: tuple[int, int] | None = None
    per_step: tuple[float, float] | None = None
    counted: tuple[int, float] | None = None
    key: str = ""
    counts_lines: bool = False
    counts_by: str = ""
    named_by_kind: bool = False
    written: tuple[float, float] | None = None
    passes: tuple[int, float] | None = None
    turns: tuple[tuple[int, int, float], ...] = ()

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
    kept : rows as in `RECORDS`, or their Parquet file as the cache keeps it, or what reads that
        from the cache, or rows on disk.
    lines_unread : lines that look like records but are none.
    truncated : whether the file ends within a record.
    left_out : (rows, reason) for the rows of a table that its map leaves out.
    remarks : what to know of the file.
    refused : why nothing could be read, if so.
    proposal : what to write into sweep.yaml so that it can be, as YAML; empty if nothing helps.
    may_pass : whether another reading may say something else, so that this one is not kept.
    written : first and last time that its lines print; see `wall_time.written`.
    rank : the one rank that wrote it, if it says so.
    """

    runs: tuple[ParsedRun, ...]
    kept: pl.DataFrame | bytes | Callable[[], pl.DataFrame] | Rows
    lines_unread: int = 0
    truncated: bool = False
    left_out: tuple[tuple[int, str], ...] = ()
    remarks: tuple[str, ...] = ()
    refused: str | None = None
    proposal: str = ""
    may_pass: bool = False
    written: tuple[float, float | None] | None = None
    rank: int | None = None

    @property
    def records(self) -> pl.DataFrame:
        """Its records, rows as in `RECORDS`: unpacked at every look if the cache gave them."""
        return pl.concat([*self.pieces()])

    def pieces(self) -> Iterator[pl.DataFrame]:
        """Give its records in order, some at a time; at least one frame."""
        match self.kept:
            case bytes():
                yield pl.read_parquet(io.BytesIO(self.kept))
            case pl.DataFrame():
                yield self.kept
            case Rows() if self.kept.height:
                yield from self.kept.pieces()
            case Rows():
                yield self.kept.frame()
            case _:
                yield self.kept()

    def put_away(self, below: Path | None) -> Parsed:
        """Put its records on disk."""
        if not self.memory:
            return self
        rows = Rows(RECORDS, below, sequential=True)
        rows.append(self.records)
        rows.put_away()
        return self if rows.height == 0 else replace(self, kept=rows)

    @property
    def memory(self) -> int:
        """Bytes of memory that its records take while nobody looks at them."""
        match self.kept:
            case bytes():
                return len(self.kept)
            case pl.DataFrame():
                return int(self.kept.estimated_size())
            case _:
                return 0

    @property
    def lines(self) -> int:
        """Training and evaluation records."""
        return sum(run.lines for run in self.runs)

    @property
    def restarts(self) -> int:
        """Restarts that the log itself names."""
        return sum(run.restarts for run in self.runs)


def gather(blocks: Iterable[Block], below: Path | None = None, *, repeats: bool = True) -> Parsed:
    """Gather a reader's blocks.

    Parameters
    ----------
    blocks : of one file.
    below : folder for the records of a file that has more than should be in memory; None: where
        temporary files go.
    repeats : as of `turns.Turns`.
    """
    runs: dict[str, _Run] = {}
    records = Rows(RANKED, below, sequential=True)
    ranks, turns = _Ranks(), Turns(repeats)
    phases: dict[str, int] = {}
    left_out: list[tuple[int, str]] = []
    remarks: list[str] = []
    unread, truncated = 0, False
    remaining = iter(blocks)
    for block in remaining:
        if any(isinstance(event, Anew) for _, event in block.rare):
            del records
            return gather(remaining, below, repeats=repeats)
        frame = _of_pretraining(_with_known_counts(block.filled(), block.frame.columns), phases)
        records.append(frame.drop("epoch"))
        ranks.add(frame)
        turns.add(frame)
        counts = _counts(frame)
        for count in sorted(counts.values(), key=lambda count: count["first"]):
            runs.setdefault(count["run"], _Run()).count(count)
        _take_passes(frame, runs)
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
                case (
                    Facts() | Ended() | Excluded() | Identity() | CountsLines() | CountsBy()
                    | NamedByKind() | Written()
                ):  # fmt: skip
                    last = counts.get(event.run, {}).get("last", -1)
                    runs.setdefault(event.run, _Run()).note(event, goes_on=last >= row)
    has_evals = any(run.eval_sets or run.byte_sets for run in runs.values())
    records = _as_measured(records, remarks, below) if has_evals else records
    left_out += [
        (rows, f"records of phase '{phase}', not of the pretraining")
        for phase, rows in phases.items()
    ]
    return Parsed(
        runs=tuple(
            replace(run.parsed(name), turns=turns.of(name, ranks.first))
            for name, run in runs.items()
        ),
        kept=_of_first_rank(records, ranks, below),
        lines_unread=unread,
        truncated=truncated,
        left_out=tuple(left_out),
        remarks=tuple(remarks),
        rank=min(ranks.known) if len(ranks.known) == 1 else None,
    )


def _of_pretraining(frame: pl.DataFrame, others: dict[str, int]) -> pl.DataFrame:
    """Leave out records of other phases, and count them by phase, in order of appearance."""
    if frame.select("phase").null_count().item() < frame.height:
        for phase in frame["phase"].drop_nulls():
            others[phase] = others.get(phase, 0) + 1
        frame = frame.filter(pl.col("phase").is_null())
    return frame.drop("phase")


def _take_passes(frame: pl.DataFrame, runs: Mapping[str, _Run]) -> None:
    """Take in each run's passes over the data, at its last step in a block that tells them."""
    if frame.select("epoch").null_count().item() == frame.height:
        return
    told = frame.filter(pl.col("epoch").is_finite() & (pl.col("step") > 0))
    last = told.group_by("run").agg(
        pl.col("step", "epoch").sort_by("step", maintain_order=True).last()
    )
    for run, step, epoch in last.iter_rows():
        runs[run].go_over(step, epoch)


def _with_known_counts(frame: pl.DataFrame, told: Sequence[str]) -> pl.DataFrame:
    """Leave out counts that cannot be one: some trainers log 0 throughout unless told to count.

    Parameters
    ----------
    told : the columns that may have values.
    """
    zero = pl.col("step") == 0
    counts = {
        name: pl.col(name).is_between(0, LARGEST) & ((pl.col(name) > 0) | zero)
        for name in ("tokens", "samples")
        if name in told
    }
    if not counts:
        return frame
    # mostly nothing is to be left out, and to look takes no new memory
    sound = (
        (each | pl.col(name).is_null()).all(ignore_nulls=False) for name, each in counts.items()
    )
    if all(frame.select(sound).row(0)):
        return frame
    return frame.with_columns(pl.when(each).then(name).alias(name) for name, each in counts.items())


_HAS_LOSS: Final = pl.col("train_loss").is_not_null() | pl.col("value").is_not_null()


LAGGING: Final = 0.1
"""Share of the steps by which one rank's records may begin later and end before another's."""


@dataclass(slots=True)
class _Ranks:
    """The ranks that wrote a file's records, and those of them that wrote losses."""

    known: set[int] = field(default_factory=set)
    with_loss: dict[int, tuple[int, int]] = field(default_factory=dict)
    """The first and the last step of each."""
    with_real_loss: set[int] = field(default_factory=set)
    """Those with a loss above 0: pipeline stages that compute none print -1 or -2."""

    def add(self, frame: pl.DataFrame) -> None:
        """Take in a block's records."""
        if frame.select("rank").null_count().item() < frame.height:
            self.known.update(frame["rank"].drop_nulls().unique())
            losses = frame.filter(_HAS_LOSS & pl.col("rank").is_not_null())
            spans = losses.group_by("rank").agg(
                begin=pl.col("step").min(),
                end=pl.col("step").max(),
                real=(pl.coalesce("train_loss", "value") > 0).any(),
            )
            for rank, begin, end, real in spans.iter_rows():
                self.with_real_loss |= {rank} if real else set()
                span = self.with_loss.get(rank, (begin, end))
                self.with_loss[rank] = min(begin, span[0]), max(end, span[1])

    @property
    def first(self) -> int | None:
        """The rank whose records are kept beside those of none; None where no rank has a loss."""
        return min(self.with_real_loss or self.with_loss, default=None)

    @property
    def _abreast(self) -> bool:
        """Whether the first rank has about the steps of all: numbers of launches have not."""
        if self.first is None:
            return True
        begin, end = self.with_loss[self.first]
        last = max(end for _, end in self.with_loss.values())
        slack = LAGGING * last
        return end >= last - slack and begin <= min(b for b, _ in self.with_loss.values()) + slack

    @property
    def chosen(self) -> pl.Expr:
        """The records to keep."""
        if len(self.known) <= 1 or not self._abreast:
            return pl.lit(value=True)
        rank = pl.col("rank")
        # where no rank has a loss, what no rank wrote is left
        first = pl.lit(value=False) if self.first is None else rank == self.first
        return rank.is_null() | first


def _as_measured(rows: Rows, remarks: list[str], below: Path | None) -> Rows:
    """Leave out the evaluations that lines repeat, and say so in the remarks."""
    last = LastMeasured(rows.pieces())
    if not last.is_repeated:
        return rows
    remarks += last.remarks()
    kept = Rows(RANKED, below, sequential=True)
    for piece in rows.pieces():
        kept.append(last.measured(piece))
    return kept


def _of_first_rank(rows: Rows, ranks: _Ranks, below: Path | None) -> pl.DataFrame | Rows:
    """Keep one rank's records where several wrote to one file; their lines are interleaved."""
    if rows.on_disk and len(ranks.known) <= 1:
        rows.put_away()
        rows.narrow(RECORDS.names())
        return rows
    if not rows.on_disk:
        return rows.frame().filter(ranks.chosen).select(RECORDS.names())
    kept = Rows(RECORDS, below, sequential=True)
    for piece in rows.pieces():
        kept.append(piece.filter(ranks.chosen).select(RECORDS.names()))
    kept.put_away()
    return kept


def _counts(frame: pl.DataFrame) -> dict[str, dict[str, Any]]:
    """Count a block's records by run."""
    if frame.is_empty():
        return {}
    empty = frame.select(_OFTEN_EMPTY).null_count().row(0)  # a column of nulls is not written out
    known = frozenset(
        name for name, nulls in zip(_OFTEN_EMPTY, empty, strict=True) if nulls < frame.height
    )
    restarts = frame.select((pl.col("kind") == "restart").any()).item()
    told = {**_counting(known, restarts=restarts)}
    if of_one_value(frame, "run"):  # of one run, which is usual, nothing need be sorted
        run = pl.col("run").first()
        rates = _rates(frame, [name for name in ("tokens", "samples") if name in known])
        for name in rates or ():
            del told[name]
        counted = frame.select(
            run, **{n: each.implode() if n.endswith("_sets") else each for n, each in told.items()}
        ).with_columns(**{name: pl.lit(value) for name, value in (rates or {}).items()})
    else:
        counted = frame.group_by("run").agg(**told)
    return {row["run"]: row for row in counted.iter_rows(named=True)}


_OFTEN_EMPTY: Final = ("tokens", "samples", "metric")


@cache
def _counting(known: frozenset[str], *, restarts: bool) -> dict[str, pl.Expr]:
    """Say what is counted of a run's records; what cannot be there is not looked for.

    Parameters
    ----------
    known : those of `_OFTEN_EMPTY` that have values.
    restarts : whether some records are restarts.
    """
    step, no = pl.col("step"), pl.lit(value=False)
    is_record = pl.col("kind") != "restart" if restarts else pl.lit(value=True)
    tokens = pl.col("tokens") if "tokens" in known else pl.lit(None, pl.Float64)
    told = {
        "first": pl.col("row").min(),
        "last": pl.col("row").max(),
        "lines": is_record.sum() if restarts else pl.len(),
        "restarts": (~is_record).sum() if restarts else pl.lit(0),
        "advances": (is_record & ((step > 0) | (tokens > 0))).any(),
        "least_step": step.min(),
        "most_step": step.max(),
        "trains": pl.col("train_loss").is_not_null().any(),
    }
    for name, metric in (("eval_sets", "loss"), ("byte_sets", "bits_per_byte")):
        sets = pl.col("eval_set").filter(pl.col("metric") == metric)
        told[name] = (sets if "metric" in known else pl.col("eval_set").head(0)).unique()
    amounts = [name for name in ("tokens", "samples") if name in known]
    if not amounts:
        nothing = {"counts_tokens": no, "counts_samples": no}
        nothing |= dict.fromkeys(("lowest", "highest", "counted_to", "rate"), pl.lit(None))
        return told | {"counts_steps": is_record.any() if restarts else no.not_()} | nothing
    amount = pl.coalesce(amounts)
    counts = (step > 0) & (amount > 0)
    rate = (amount / step).filter(counts)
    return told | {
        "counts_steps": (is_record & amount.is_null()).any(),
        "counts_tokens": ((step > 0) & amount.is_not_null()).any(),
        "counts_samples": (tokens.is_null() & pl.col("samples").is_not_null()).any()
        if "samples" in known
        else no,
        "lowest": rate.min(),
        "highest": rate.max(),
        "counted_to": step.filter(counts).max(),
        "rate": rate.get(step.filter(counts).arg_max(), null_on_oob=True),
    }


def _rates(frame: pl.DataFrame, amounts: Sequence[str]) -> dict[str, float | int] | None:
    """Give the rates of `_counting` where all records have a step and one amount; None elsewhere.

    Looked at where the columns lie: these four ask for as much time as all else that is counted.
    """
    if len(amounts) != 1 or frame.select("step", *amounts).null_count().sum_horizontal().item():
        return None
    steps, amount = frame["step"].to_numpy(), frame[amounts[0]].to_numpy()
    counts = (steps > 0) & (amount > 0)
    if not counts.all():
        return None
    rates = amount / steps
    last = int(steps.argmax())
    return {
        "lowest": float(rates.min()),
        "highest": float(rates.max()),
        "counted_to": int(steps[last]),
        "rate": float(rates[last]),
    }


@dataclass(slots=True)
class _Run:
    """A run while its file is read; fields as in `ParsedRun`."""

    facts: list[RunFacts] = field(default_factory=list)
    status: str | None = None
    excluded: str | None = None
    anew: int | None = None
    lines: int = 0
    restarts: int = 0
    counts_steps: bool = False
    counts_tokens: bool = False
    counts_samples: bool = False
    advances: bool = False
    eval_sets: set[str] = field(default_factory=set)
    byte_sets: set[str] = field(default_factory=set)
    trains: bool = False
    steps: tuple[int, int] | None = None
    per_step: tuple[float, float] | None = None
    counted: tuple[int, float] | None = None
    key: str = ""
    counts_lines: bool = False
    counts_by: str = ""
    named_by_kind: bool = False
    written: tuple[float, float] | None = None
    passes: tuple[int, float] | None = None

    def go_over(self, step: int, passes: float) -> None:
        """Take in how often the data had been gone over at a step."""
        if self.passes is None or step >= self.passes[0]:
            self.passes = step, passes

    def note(
        self,
        event: Facts | Ended | Excluded | Identity | CountsLines | CountsBy | NamedByKind | Written,
        *,
        goes_on: bool,
    ) -> None:
        """Take in what is no record, and whether records follow it in its block."""
        match event:
            case Facts(facts):
                self.facts.append(facts)
            case Ended(status):
                # a run that goes on after it crashed has not crashed
                self.status = None if goes_on else status
            case Excluded(reason, _, unless_named):
                self.excluded = reason
                self.anew = len(self.facts) - 1 if unless_named else None
            case Identity(key):
                self.key = key
            case CountsLines():
                self.counts_lines = True
            case CountsBy(column):
                self.counts_by = column
            case NamedByKind():
                self.named_by_kind = True
            case Written(first, last):
                self.written = _joined(self.written, (first, last))

    def count(self, count: Mapping[str, Any]) -> None:
        """Take in a block's records."""
        self.status = None
        self.lines += count["lines"]
        self.restarts += count["restarts"]
        self.counts_steps |= count["counts_steps"]
        self.counts_tokens |= count["counts_tokens"]
        self.counts_samples |= count["counts_samples"]
        self.advances |= count["advances"]
        self.trains |= count["trains"]
        self.eval_sets.update(count["eval_sets"])
        self.byte_sets.update(count["byte_sets"])
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
            anew=self.anew,
            lines=self.lines,
            restarts=self.restarts,
            counts_steps=self.counts_steps,
            counts_tokens=self.counts_tokens,
            counts_samples=self.counts_samples,
            advances=self.advances,
            eval_sets=tuple(sorted(self.eval_sets)),
            byte_sets=tuple(sorted(self.byte_sets)),
            trains=self.trains,
            steps=self.steps,
            per_step=self.per_step,
            counted=self.counted,
            key=self.key,
            counts_lines=self.counts_lines,
            counts_by=self.counts_by,
            named_by_kind=self.named_by_kind,
            written=self.written,
            passes=self.passes,
        )


def _joined(known: tuple[Any, Any] | None, more: tuple[Any, Any]) -> tuple[Any, Any]:
    """Join two ranges."""
    return more if known is None else (min(known[0], more[0]), max(known[1], more[1]))
