r"""The engine of text logs: shapes of lines as data, run over blocks of a file at once.

A format states its `Shape`s and `Header`s. Lines that fit a shape as a whole are read together:
those that differ from each other in their digits alone as a matrix of bytes (`digits`), the rest by
one regular expression anchored at their start. Every other line that has a word of
the format in it, glued to another one, cut or of another spelling, goes to the format's line
reader, which says what all lines mean: both give the same records
(tests/ingest/reading/test_textlog.py), one fast.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np
import polars as pl
from pydantic import ValidationError

from isoflop.ingest.facts.identity import SHAPE_WORDS
from isoflop.ingest.facts.sidecar import facts_from_values
from isoflop.ingest.reading.blocks import Block, packed, record
from isoflop.ingest.reading.digits import Lines, Template
from isoflop.ingest.reading.events import (
    Ended,
    Evaluation,
    Event,
    Facts,
    Point,
    Restart,
    Truncated,
    Unread,
)
from isoflop.ingest.words.numbers import LARGEST_STEP, NUMBER, json_object, number, step_number

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from isoflop.config.sidecar import RunFacts
    from isoflop.ingest.reading.source import RawFile

BLOCK: Final = 8 << 20
"""Bytes of text taken at once: enough that a frame's overhead is nothing, and memory stays flat."""

_PLACE = re.compile(r"\{([a-z][a-z_0-9]*)\}(\\?.)?")
LABEL_OF_RANK: Final = (
    r"[ \t]*(?:\[(?i:rank|default|gpu|worker|process)?[-_ :]?([0-9]+)\]"
    r"|(?:(?i:rank|default|gpu|worker|process|node|host)[-_ ]?)?([0-9]+):[ \t])"
)
"""What launchers write before the lines of each process: torchrun, Slurm's `srun -l`, DeepSpeed."""
_RANK = re.compile(LABEL_OF_RANK)
_COUNTS: Final = frozenset({"step", "of"})
_INTEGERS: Final = _COUNTS | {"rank"}
_SCALES: Final = {"step_ms": ("step_seconds", 1e-3)}
"""Values that a log gives in another unit than its column's, which are scaled."""


@dataclass(frozen=True)
class Shape:
    """A kind of line that is a record.

    Attributes
    ----------
    literal : bytes of text without which a line is none; a search for it comes first.
    pattern : regular expression of the record, in which {step}, {train_loss} or another column of
        `blocks.RECORDS` stands for a number; {loss__val} is metric `loss` on eval set `val`, and
        {step_ms} a step's duration in milliseconds.
    tail : what may follow the record on its line.
    phase : which phase such a line is of where no line before says so; None: of the pretraining.
    """

    literal: str
    pattern: str
    tail: str = ""
    phase: str | None = None

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The values that a line of the shape gives."""
        return tuple(match[1] for match in _PLACE.finditer(self.pattern))

    @cached_property
    def slow(self) -> re.Pattern[str]:
        """The record wherever it is in a line."""

        def group(match: re.Match[str]) -> str:
            value = "[0-9]+" if match[1] in _COUNTS else NUMBER
            return f"(?P<{match[1]}>{value}){match[2] or ''}"

        return re.compile(_PLACE.sub(group, self.pattern))

    @cached_property
    def begin(self) -> re.Pattern[str]:
        """How a record begins: up to its first number and what parts it from the next one."""
        first = _PLACE.search(self.pattern)
        assert first is not None  # noqa: S101  every record tells a step
        after = "/" if first[2] == "/" else ""
        return re.compile(rf"(?<!\w){self.pattern[: first.start()]}[0-9]+{after}")

    def fast(self, prefix: str) -> str:
        """Build the expression of a whole line; a number ends before what follows it."""

        def group(match: re.Match[str]) -> str:
            after = match[2] or ""
            return f"{captured(match[1], after)}{after}"

        tail = "" if self.tail == ".*" else f"{self.tail}$"
        return f"^{prefix}{_PLACE.sub(group, self.pattern)}{tail}"


def captured(name: str, after: str) -> str:
    """Write the group of a value; letters are those of nan and infinity, but what follows it.

    ASCII throughout: classes of all Unicode make the expression many times as large, and slow.
    """
    if name in _COUNTS:
        return f"(?P<{name}>[0-9]+)"
    letters = "eEnaifNIFty".replace(after[-1:] or " ", "")
    return f"(?P<{name}>[-+]?[0-9nNiI][-+0-9.{letters}]*)"


@dataclass(frozen=True)
class Header:
    """A line that tells something of the run besides its curve.

    Attributes
    ----------
    literal : text without which a line is none.
    pattern : regular expression with one group, the value.
    name : what the value is called in the format's `facts`.
    adds : whether several such lines add up, as the parameters of shards do.
    """

    literal: str
    pattern: re.Pattern[str]
    name: str
    adds: bool = False


@dataclass(frozen=True)
class Phase:
    """A line after which another phase than the pretraining is logged, up to the next launch.

    Attributes
    ----------
    literal : text without which a line is none.
    name : of the phase, such as `sft`.
    pattern : what such a line has; None where the literal says all.
    """

    literal: str
    name: str
    pattern: re.Pattern[str] | None = None

    def begins(self, line: str) -> bool:
        """Tell whether the phase begins with a line."""
        return self.literal in line and (self.pattern is None or bool(self.pattern.search(line)))


class LineReader(Protocol):
    """What a format says of a file line by line."""

    phase: str | None
    """What is trained in the lines that follow; None: the model, as a rule."""

    def line(self, line: str) -> Iterator[Event]:
        r"""Say what a line tells; one without '\n' was cut."""
        ...

    def begin(self, of: int | None = None) -> Iterator[Event]:
        """Say what must be said before a record that the engine has read.

        Parameters
        ----------
        of : the steps of the whole run, if the record tells them.
        """
        ...

    def end(self) -> Iterator[Event]:
        """Say what is left to say at the end of the file."""
        ...


@dataclass(frozen=True)
class TextFormat:
    """A text format.

    Attributes
    ----------
    shapes : its records.
    headers : lines that tell facts.
    facts : makes facts of the headers' values, where their names are not those of facts.
    constants : facts of every log of the format.
    launch : text of a line that begins another launch's header in the same file.
    resumed : text of a line that tells of a restart.
    crashed : texts of a line that tells of a crash.
    phases : lines after which another phase begins, up to the next launch; the last one counts.
    reader : builds its line reader; `ShapeReader` where shapes and headers say all.
    triggers : texts of further lines that its own line reader wants to see.
    """

    shapes: tuple[Shape, ...]
    headers: tuple[Header, ...] = ()
    facts: Callable[[Mapping[str, Any]], Mapping[str, Any]] = dict
    constants: Mapping[str, Any] = field(default_factory=dict)
    launch: str | None = None
    resumed: tuple[str, ...] = ()
    crashed: tuple[str, ...] = ("Traceback (most recent call last)", "CUDA out of memory")
    phases: tuple[Phase, ...] = ()
    reader: Callable[[], LineReader] | None = None
    triggers: tuple[str, ...] = ()

    def line_reader(self) -> LineReader:
        """Build the reader of single lines."""
        return self.reader() if self.reader is not None else ShapeReader(self)

    @cached_property
    def words(self) -> list[str]:
        """Every text by which a line may be told to mean something."""
        words = [shape.literal for shape in self.shapes]
        words += [header.literal for header in self.headers]
        words += [*self.resumed, *self.crashed, *self.triggers]
        words += [phase.literal for phase in self.phases]
        words += [self.launch] if self.launch else []
        return list(dict.fromkeys(words))


def read(file: RawFile, text: TextFormat) -> Iterator[tuple[int, Event]]:
    """Yield what a log says, by the rows of its lines: slow, and what `scan` must agree with."""
    reader = text.line_reader()
    row = -1
    for row, line in enumerate(file.lines()):
        for event in ranked(reader.line(line), line):
            yield row, event
    for event in reader.end():
        yield row + 1, event


def scan(file: RawFile, text: TextFormat) -> Iterator[Block]:
    """Yield what a log says, block by block."""
    engine = _Engine(text)
    for piece in file.blocks(BLOCK):
        yield engine.block(piece)
    yield engine.rest()


# -- line by line ----------------------------------------------------------------------------------


@dataclass
class ShapeReader:
    """Reads lines by a format's shapes and headers alone."""

    text: TextFormat
    header: dict[str, Any] = field(default_factory=dict)
    told: dict[str, Any] | None = None
    begun: bool = False
    anew: bool = False
    phase: str | None = None

    def line(self, line: str) -> Iterator[Event]:
        """Say what a line tells; see `LineReader`."""
        if not line.endswith("\n"):
            yield Truncated()
            return
        if (record := self._record(line)) is not None:
            shape, records = record
            phase = self.phase or shape.phase
            if phase is None:
                yield from self.begin(step_number(records[0].get("of")))
            for values in records:
                yield from events_of(values, phase)
        elif (begins := self._phase(line)) is not None:
            self.phase = begins.name
        elif self._looks(line):
            yield Unread()
        elif self.phase is None and any(word in line for word in self.text.resumed):
            yield Restart()
        elif self.phase is None and any(word in line for word in self.text.crashed):
            yield Ended("crashed")
        else:
            yield from self._take(line)

    def begin(self, of: int | None = None) -> Iterator[Event]:
        """Tell the facts of the header, if it has new ones."""
        self.begun, self.anew = True, False
        if of is not None:
            self.header.setdefault("schedule.steps", float(of))
        if self.header != self.told:
            self.told = dict(self.header)
            yield Facts(facts_of({**self.text.constants, **self.text.facts(self.header)}))

    def end(self) -> Iterator[Event]:
        """Tell the facts that stand after the last record."""
        yield from self.begin() if self.begun else ()

    def _phase(self, line: str) -> Phase | None:
        """Give the phase that begins with a line, if one does."""
        return next((phase for phase in self.text.phases if phase.begins(line)), None)

    def _looks(self, line: str) -> bool:
        """Tell whether a line begins as a record does, and is none of the header."""
        shapes = (shape for shape in self.text.shapes if shape.literal in line)
        return any(shape.begin.search(line) for shape in shapes) and not any(
            header.literal in line and header.pattern.search(line) for header in self.text.headers
        )

    def _record(self, line: str) -> tuple[Shape, list[dict[str, str | None]]] | None:
        """Give the first shape of which a line has a record, and its records; None if none is."""
        for shape in self.text.shapes:
            if shape.literal in line and (matches := [*shape.slow.finditer(line)]):
                return shape, [match.groupdict() for match in matches]
        return None

    def _take(self, line: str) -> Iterator[Event]:
        """Take facts of the header; after records it is that of the next launch."""
        if self.text.launch is not None and self.text.launch in line:
            self.phase = None
            if self.begun:
                self.header, self.told, self.begun, self.anew = {}, None, False, True
                yield Restart()
        # what another phase tells of its batch is none of the pretraining's
        for header in self.text.headers if self.phase is None else ():
            if header.literal in line and (match := header.pattern.search(line)):
                if self.begun and not self.anew and header.name in self.header:
                    for each in self.text.headers:
                        if each.adds:
                            self.header.pop(each.name, None)
                    self.anew = True
                    yield Restart()
                value: Any = number(match[1])
                if header.adds:
                    value = (value or 0.0) + self.header.get(header.name, 0.0)
                self.header[header.name] = match[1] if value is None else value


def ranked(events: Iterable[Event], line: str) -> Iterator[Event]:
    """Yield what a line tells, with the rank that a launcher wrote before it."""
    match = _RANK.match(line)
    rank = None if match is None else step_number(match[1] or match[2])
    if rank is None:
        yield from events
        return
    for event in events:
        yield event._replace(rank=rank) if isinstance(event, Point | Evaluation) else event


class OneRank:
    """Takes the label of a rank off each line, and leaves out the lines of all ranks but one.

    That is the rank of the first record: what is put together from several lines must come from
    one process. Lines without a label are nobody's, and stay.
    """

    def __init__(self) -> None:
        self._rank: str | None = None

    def of(self, line: str, head: re.Pattern[str]) -> str | None:
        """Give a line without its label; None where another rank printed it.

        Parameters
        ----------
        line : a line of the log.
        head : what begins a record.
        """
        match = _RANK.match(line)
        if match is None:
            return line
        rank, rest = match[1] or match[2], line[match.end() :]
        if self._rank is None and head.search(rest):
            self._rank = rank
        return rest.removeprefix(":") if self._rank in {None, rank} else None


def by_line(file: RawFile, line: Callable[[str], Iterator[Event]]) -> Generator[Event, None, bool]:
    """Yield what each whole line tells; a last line that was cut is said to be.

    Parameters
    ----------
    file : the raw file.
    line : what a line tells.

    Returns
    -------
    Whether the last line was whole.
    """
    for text in file.lines():
        if not text.endswith("\n"):
            yield Truncated()
            return False
        yield from ranked(line(text), text)
    return True


def json_records(file: RawFile) -> Iterator[Mapping[str, Any] | Unread | Truncated]:
    """Yield the objects of a file with one a line, and an event for each line that is none."""
    for text in file.lines():
        if not text.strip() and text.endswith("\n"):
            continue
        record = json_object(text)
        if record is not None:
            yield record
        else:
            yield Unread() if text.endswith("\n") else Truncated()


class LogFacts(dict[str, Any]):
    """What a log has said of its run so far, by the names of facts."""

    _told: dict[str, Any] | None = None

    def news(self) -> Iterator[Event]:
        """Tell the facts where they are not those that were told last."""
        if self != self._told:
            self._told = dict(self)
            yield Facts(facts_of(self))


def facts_of(values: Mapping[str, Any]) -> RunFacts:
    """Build facts of what a log says; a value that cannot be what it is said to be is left out.

    Where a shape would mean another network without it, nothing is counted from the shape.
    """
    kept = dict(values)
    while True:
        try:
            return facts_from_values(kept)
        except ValidationError as error:
            wrong = ".".join(map(str, error.errors()[0]["loc"]))
            left = {name: value for name, value in kept.items() if not name.startswith(wrong)}
            kept = left if len(left) < len(kept) else {}
            if wrong in SHAPE_WORDS:
                kept.setdefault("architecture.uncounted", SHAPE_WORDS[wrong])


def events_of(
    values: Mapping[str, str | None],
    phase: str | None = None,
) -> Iterator[Event]:
    """Turn the texts of a record's values into events."""
    step = step_number(values.get("step"))
    numbers = {n: number(v) for n, v in values.items() if n not in _COUNTS and v is not None}
    if step is None or None in numbers.values():
        yield Unread()
        return
    columns: dict[str, Any] = {}
    for name, value in numbers.items():
        column, scale = _SCALES.get(name, (name, 1.0))
        if "__" not in name and value is not None:
            columns[column] = value * scale
    told: dict[str, Any] = {"phase": phase}
    for name in ("tokens", "samples"):
        if name in columns:
            told[name] = columns.pop(name)
    if columns:
        yield Point(step, **columns, **told)
    for name, value in numbers.items():
        metric, _, eval_set = name.partition("__")
        if eval_set and value is not None:
            yield Evaluation(step, eval_set, value, metric, **told)


# -- block by block --------------------------------------------------------------------------------


class _Engine:
    """Reads one file's blocks."""

    def __init__(self, text: TextFormat) -> None:
        self._text = text
        self._reader = text.line_reader()
        self._row = 0
        self._patterns: dict[Shape, str] = {}
        self._templates: list[tuple[Shape, Template]] = []

    def block(self, piece: bytes) -> Block:
        """Read a piece of the file that ends at a line's end, unless it is the last."""
        end = piece.rfind(b"\n") + 1
        complete, cut = piece[:end], piece[end:]
        lines = Lines(complete)
        taken = self._taken(lines)
        rows, rest = lines.rest()
        odd = _lines(rest, rows + self._row).filter(
            pl.col("line").str.contains_any(self._text.words)
        )
        fast, odd = self._fast(odd, taken)
        self._row += len(lines.left)
        slow = [(row, line + "\n") for row, line in odd.iter_rows()]
        if cut or not piece:  # an empty piece: damaged compression ended the text
            slow.append((self._row, cut.decode()))
            self._row += 1
        return self._merged(fast, slow)

    def rest(self) -> Block:
        """Say what is left at the end of the file."""
        return Block(packed([]), tuple((self._row, event) for event in self._reader.end()))

    def _taken(self, lines: Lines) -> list[tuple[Shape, pl.DataFrame]]:
        """Read the lines that are as others but for their digits."""
        for shape in self._text.shapes:
            if shape not in self._patterns:
                self._patterns |= self._learnt(shape, _with(shape.literal, lines.text))
        taken: list[tuple[Shape, pl.DataFrame]] = []

        def take(shape: Shape, template: Template) -> bool:
            frame = lines.take(template, _INTEGERS)
            if frame.height:
                taken.append((shape, self._completed(shape, frame)))
            return frame.height > 0

        for known in self._templates:
            take(*known)
        for _ in range(TRIALS if self._patterns else 0):
            row = lines.commonest(LEAST)
            if row is None:
                break
            learnt = self._template(lines.line(row))
            if learnt is None or not take(*learnt):
                lines.pass_by(row)
            else:
                self._templates = [learnt, *self._templates][:TEMPLATES]
        return taken

    def _template(self, line: bytes) -> tuple[Shape, Template] | None:
        """Make a template of a line that fits a shape as a whole."""
        text = line[:-1].decode()
        for shape in self._text.shapes if text.isascii() else ():
            pattern = self._patterns.get(shape)
            hides = ".*" in shape.tail and text.count(shape.literal) > 1
            match = re.match(pattern, text) if pattern is not None and not hides else None
            if pattern is not None and match is not None:
                spans = {
                    name: match.span(name) for name, value in match.groupdict().items() if value
                }
                template = Template.of(line, spans, partial(_fits, pattern))
                return None if template is None else (shape, template)
        return None

    def _completed(self, shape: Shape, numbers: pl.DataFrame) -> pl.DataFrame:
        """Give a template's values every column of the shape, and rows of the file."""
        have = numbers.columns
        return numbers.select(
            pl.col("row") + self._row,
            *(
                name if name in have else pl.lit(None, _dtype(name)).alias(name)
                for name in ("rank", *shape.names)
            ),
        )

    def _fast(
        self, frame: pl.DataFrame, taken: Sequence[tuple[Shape, pl.DataFrame]]
    ) -> tuple[_Fast, pl.DataFrame]:
        """Read the lines that fit a shape; give the records, and the lines that fit none."""
        by_shape: dict[Shape, list[pl.DataFrame]] = {shape: [] for shape in self._text.shapes}
        for shape, numbers in taken:
            by_shape[shape].append(numbers)
        for shape in self._text.shapes:
            numbers = self._numbers(shape, frame)
            if numbers.height:
                by_shape[shape].append(numbers)
                frame = frame.filter(~pl.col("row").is_in(numbers["row"].implode()))
        records: list[pl.DataFrame] = []
        of: list[pl.DataFrame] = []
        rows = [np.zeros(0, dtype=np.int64)]
        for shape, pieces in by_shape.items():
            for numbers in pieces:
                records += self._laid_out(shape, numbers)
                rows += [numbers["row"].to_numpy()] if shape.phase is None else []
            if "of" in shape.names and pieces and shape.phase is None:
                of.append(
                    pl.concat([numbers.select("row", "of") for numbers in pieces]).sort("row")
                )
        return _Fast(records, np.sort(np.concatenate(rows)), of), frame

    def _numbers(self, shape: Shape, frame: pl.DataFrame) -> pl.DataFrame:
        """Read the values of the lines that fit one shape, by their rows."""
        line = pl.col("line")
        hit = frame.filter(line.str.contains(shape.literal, literal=True))
        if shape not in self._patterns:
            self._patterns |= self._learnt(shape, hit["line"].head(PREFIX_LINES))
        if ".*" in shape.tail:  # a second record may hide in what follows the first
            hit = hit.filter(line.str.count_matches(shape.literal, literal=True) == 1)
        if hit.is_empty() or shape not in self._patterns:
            return pl.DataFrame(schema={"row": pl.Int64})
        return _values(shape, self._patterns[shape], hit)

    def _learnt(self, shape: Shape, lines: Iterable[str]) -> dict[Shape, str]:
        """Find the expression of a shape's lines; none without lines."""
        earlier = self._text.shapes[: self._text.shapes.index(shape)]
        # lines of an earlier shape are not its
        unread = (line for line in lines if not any(each.slow.search(line) for each in earlier))
        prefix = _prefix(shape, unread)
        return {} if prefix is None else {shape: shape.fast(prefix)}

    def _laid_out(self, shape: Shape, numbers: pl.DataFrame) -> list[pl.DataFrame]:
        """Lay a shape's values out as records: one for training, one for every evaluation."""
        shared = [
            pl.lit("").alias("run"),
            "rank",
            *(name for name in ("tokens", "samples") if name in shape.names),
            *([] if shape.phase is None else [pl.lit(shape.phase).alias("phase")]),
        ]
        columns = [
            (pl.col(name) * _SCALES[name][1]).alias(_SCALES[name][0])
            if name in _SCALES
            else pl.col(name)
            for name in shape.names
            if "__" not in name and name not in {"step", "of", "tokens", "samples"}
        ]
        frames = []
        if columns:
            kind = pl.lit("train").alias("kind")
            frames.append(
                numbers.select("row", pl.lit(0).alias("sub"), kind, "step", *shared, *columns)
            )
        evals = [name for name in shape.names if "__" in name]
        for place, name in enumerate(evals, start=1):
            metric, _, eval_set = name.partition("__")
            frames.append(
                numbers.filter(pl.col(name).is_not_null()).select(
                    "row",
                    pl.lit(place).alias("sub"),
                    pl.lit("eval").alias("kind"),
                    "step",
                    *shared,
                    pl.lit(eval_set).alias("eval_set"),
                    pl.lit(metric).alias("metric"),
                    pl.col(name).alias("value"),
                )
            )
        return frames

    def _merged(self, fast: _Fast, lines: Sequence[tuple[int, str]]) -> Block:
        """Let the line reader read what is left, and put everything in the order of the file."""
        slow: list[tuple[Any, ...]] = []
        subs: list[int] = []
        rare: list[tuple[int, Event]] = []
        spans: list[tuple[int, str | None]] = []
        read_to = 0
        for row, line in [*lines, (self._row, None)]:
            before = int(np.searchsorted(fast.rows, row))
            spans.append((row, self._reader.phase))
            if self._reader.phase is None and before > read_to:
                first, last = int(fast.rows[read_to]), int(fast.rows[before - 1])
                for at, of in fast.steps(first, last):
                    rare += [(at, event) for event in self._reader.begin(of)]
            read_to = before
            for sub, event in enumerate(
                ranked(self._reader.line(line), line) if line is not None else ()
            ):
                if isinstance(event, Point | Evaluation | Restart):
                    slow.append(record(event, row))
                    subs.append(sub)
                else:
                    rare.append((row, event))
        frames = _in_phases(fast.frames, spans)
        if slow or not frames:
            frames.append(packed(slow).with_columns(sub=pl.Series(subs, dtype=pl.Int32)))
        merged = pl.concat(frames, how="diagonal_relaxed")
        if len(frames) > 1:  # one number to sort by takes a third of the time that two take
            place = pl.col("row") * MOST_EVENTS + pl.col("sub")
            merged = merged.sort(place, maintain_order=True)
        return Block(merged.drop("sub"), tuple(rare))


def _in_phases(
    frames: Sequence[pl.DataFrame], spans: Sequence[tuple[int, str | None]]
) -> list[pl.DataFrame]:
    """Say which phase records are of.

    Parameters
    ----------
    frames : records.
    spans : (row, phase): in which phase the lines above a row are, from the row before on.
    """
    if all(phase is None for _, phase in spans):
        return list(frames)
    ends = np.array([row for row, _ in spans])
    phases = pl.Series([phase for _, phase in spans], dtype=pl.String)
    placed = []
    for frame in frames:
        phase = phases.gather(pl.Series(np.searchsorted(ends, frame["row"].to_numpy())))
        by_shape = [pl.col("phase")] if "phase" in frame.columns else []
        placed.append(frame.with_columns(phase=pl.coalesce(phase, *by_shape)))
    return placed


def _fits(pattern: str, line: bytes) -> bool:
    return re.match(pattern, line[:-1].decode()) is not None


def _dtype(name: str) -> Any:
    return pl.Int64 if name in _INTEGERS else pl.Float64


def _with(literal: str, text: bytes) -> Iterator[str]:
    """Give the first lines that have a literal."""
    wanted, at = literal.encode(), 0
    for _ in range(PREFIX_LINES):
        hit = text.find(wanted, at)
        if hit < 0:
            return
        at = text.find(b"\n", hit)
        yield text[text.rfind(b"\n", 0, hit) + 1 : at].decode()


def _values(shape: Shape, pattern: str, lines: pl.DataFrame) -> pl.DataFrame:
    """Read the values of the lines that fit an expression, by their rows."""
    groups = [*re.compile(pattern).groupindex]
    wanted = ["rank", *shape.names]
    texts = lines.lazy().select("row", g=pl.col("line").str.extract_groups(pattern)).unnest("g")
    number = {
        name: pl.col(name).cast(_dtype(name), strict=False)
        if name in groups
        else pl.lit(None, _dtype(name)).alias(name)
        for name in wanted
    }
    # a number too long to be one is none
    sound = [pl.col(name).is_null() | number[name].is_not_null() for name in groups]
    sound += [pl.col(n).is_null() | (number[n] < LARGEST_STEP) for n in groups if n in _INTEGERS]
    return (
        texts.filter(pl.col("step").is_not_null())
        .select("row", *number.values(), sound=pl.all_horizontal(sound).fill_null(value=False))
        .filter("sound")
        .drop("sound")
        .collect()
    )


@dataclass(frozen=True, slots=True)
class _Fast:
    """What was read by shapes.

    Attributes
    ----------
    frames : records.
    rows : their lines, sorted.
    of : the steps of the whole run, of the lines that tell them.
    """

    frames: list[pl.DataFrame]
    rows: np.ndarray[Any, np.dtype[np.int64]]
    of: list[pl.DataFrame]

    def steps(self, first: int, last: int) -> Iterator[tuple[int, int | None]]:
        """Tell of the first line in a stretch, and of the first that tells the run's steps."""
        told = [frame.filter(pl.col("row").is_between(first, last)).head(1) for frame in self.of]
        row, of = min((frame.row(0) for frame in told if frame.height), default=(first, None))
        if row > first:
            yield first, None
        yield row, of


def _lines(text: bytes, rows: NDArray[np.int64]) -> pl.DataFrame:
    """Divide text into a frame of its lines, which stand in these rows of the file."""
    if not text:
        return pl.DataFrame(schema={"row": pl.Int64, "line": pl.String})
    if b"\x01" in text:
        lines = pl.Series("line", text.decode().split("\n")[:-1], dtype=pl.String).to_frame()
    else:
        # the fastest splitter there is: a CSV of one column
        lines = pl.read_csv(
            text, has_header=False, separator="\x01", quote_char=None, schema={"line": pl.String}
        )
    return lines.select(pl.Series("row", rows, dtype=pl.Int64), "line")


def _prefix(shape: Shape, lines: Iterable[str]) -> str | None:
    """Find what stands before a shape's records, as a regular expression; digits may change.

    A rank's label, a time stamp or a logger's name: anchoring the pattern behind it is what makes
    it fast. None if no line is a record.
    """
    for line in lines:
        if match := shape.slow.search(line):
            prefix = line[: match.start()]
            rank = _RANK.match(prefix)
            words = re.split(r"([0-9]+)", prefix)
            parts = ["[0-9]+" if word.isdecimal() else re.escape(word) for word in words]
            if rank is not None:
                parts[1] = "(?P<rank>[0-9]+)"
            return "".join(parts)
    return None


PREFIX_LINES: Final = 50
"""Lines in which the prefix of a format is looked for."""
TRIALS: Final = 8
"""Lines of a block that are tried as templates: each is a search over the block."""
LEAST: Final = 20
"""Lines of one length, digits apart, that make one of them worth a trial."""
TEMPLATES: Final = 24
"""Templates that are remembered from block to block."""
MOST_EVENTS: Final = 1 << 24
"""More than a line tells: no line is longer."""
