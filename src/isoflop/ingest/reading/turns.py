"""Runs that took turns in one log: their lines go back and forth, and no one run writes so.

A restart falls back to a checkpoint, replays what came after it, and goes on, however often. Of two
processes that wrote to one file each goes on where its own last line stood, line by line or buffer
by buffer, and lacks none of its lines.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from isoflop.ingest.reading.blocks import of_one_value

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

LEAST: Final = 3
"""Times that lines fall back to where other lines had stopped, from which they are no restarts."""
NEAR: Final = 1.5
"""A process's last distances of lines within which a line goes on where that process stood: one
that lacks a line of it was not written by it, but after a restart from a checkpoint further on."""
MOSTLY: Final = 0.75
"""Share of the falls that go on so: of a run that was killed some do by chance."""
MOST: Final = 64
"""Processes that are told apart."""
REMEMBERED: Final = 2_000
"""Lines of which another process may say the same once more."""
SHOWN: Final = 4
"""Lines that a message shows."""

Line = tuple[int, int, float]
"""Row in the file, step, loss."""


@dataclass(slots=True)
class Turns:
    """The training lines of a file so far, by run and rank.

    Attributes
    ----------
    repeats : whether two lines of one step are of two processes. Not so where steps are rounded, or
        where a row may be one of a step's batches.
    """

    repeats: bool = True
    _logs: dict[tuple[str, int | None], _Log] = field(default_factory=dict)

    def add(self, frame: pl.DataFrame) -> None:
        """Take in a block's records, columns of `blocks.PLACED`."""
        begin = 0
        marks = frame.select(pl.arg_where(pl.col("kind") == "restart")).to_series().to_list()
        for mark in marks:
            self._add(frame.slice(begin, mark - begin))
            for (run, _), log in self._logs.items():
                if run == frame["run"][mark]:
                    log.begin_anew()
            begin = mark + 1
        self._add(frame.slice(begin) if marks else frame)

    def _add(self, frame: pl.DataFrame) -> None:
        """Take in records without a mark of a restart."""
        train = pl.col("kind") == "train"
        lines = frame.select("row", "run", "rank", "step", "train_loss", train=train)
        if lines["train_loss"].null_count():
            lines = lines.filter("train", pl.col("train_loss").is_not_null())
        if lines.is_empty():
            return
        if not self.repeats:
            before = pl.struct("run", "rank", "step")
            lines = lines.filter(before.ne_missing(before.shift()))
        alone = lines["rank"].null_count() == lines.height and of_one_value(lines, "run")
        if not alone:  # of many runs, most only rise, and are looked at all at once
            falls = (pl.col("step").diff() <= 0).any().over("run", "rank")
            lines = lines.filter(falls.fill_null(value=False))
        pieces = [lines] if alone else lines.partition_by("run", "rank", maintain_order=True)
        for piece in pieces:
            run, rank = piece.select("run", "rank").row(0)
            log = self._logs.setdefault((run, rank), _Log())
            log.add(*(piece[name].to_numpy() for name in ("row", "step", "train_loss")))

    def of(self, run: str, rank: int | None) -> tuple[Line, ...]:
        """Give lines of a run that go back and forth; none where it has no such lines.

        Parameters
        ----------
        run : its name.
        rank : the rank of which the lines are kept, beside those of none.
        """
        logs = [self._logs.get((run, each)) for each in dict.fromkeys([None, rank])]
        return next((log.lines for log in logs if log is not None and log.lines), ())


def in_words(lines: Sequence[Line], *, numbered: bool) -> str:
    """Say that a log holds several runs in turns, and the way out.

    Parameters
    ----------
    lines : as of `Turns.of`.
    numbered : whether their rows are lines of the file.
    """
    told = [
        f"{f'line {row + 1}: ' if numbered else ''}step {step}, loss {loss:.6g}"
        for row, step, loss in lines
    ]
    return (
        f"its steps go back and forth, as of several runs or processes that wrote to one file in "
        f"turns ({'; '.join(told)}), and no line says whose it is: have each write to a file of "
        f"its own; where something stands before the lines of each, such as a rank, put those of "
        f"each into a file of its own, as by grep; if it is one run that was restarted so often, "
        f"put what each launch wrote into a file of its own, called 01, 02 and so on, and name "
        f"their run in sweep.yaml, runs: [{{match: ..., run: ...}}]"
    )


@dataclass(slots=True)
class _Log:
    """The lines of one run and rank."""

    ends: list[int] = field(default_factory=list)
    """The last step of each process."""
    gaps: list[float | None] = field(default_factory=list)
    """Distance of its last two lines in steps."""
    gap: float | None = None
    """The latest of them."""
    falls: int = 0
    exact: int = 0
    before: Line | None = None
    shown: list[Line] = field(default_factory=list)
    known: set[tuple[int, float | None]] = field(default_factory=set)
    order: deque[tuple[int, float | None]] = field(default_factory=deque)

    def add(
        self, rows: NDArray[np.int64], steps: NDArray[np.int64], losses: NDArray[np.float64]
    ) -> None:
        """Take in further lines."""
        rises = (steps[1:] > steps[:-1]).all() and (not self.ends or steps[0] > max(self.ends))
        if not rises:
            for line in zip(rows.tolist(), steps.tolist(), losses.tolist(), strict=True):
                self._follow(line)
            return
        place = int(np.argmax(self.ends)) if self.ends else 0
        before = steps[-2] if len(steps) > 1 else self.ends[place] if self.ends else None
        self.gap = self.gap if before is None else float(steps[-1] - before)
        self.ends[place : place + 1] = [int(steps[-1])]
        self.gaps[place : place + 1] = [None if before is None else self.gap]
        last = slice(-REMEMBERED, None)
        for text in zip(steps[last].tolist(), losses[last].tolist(), strict=True):
            self._remember(_comparable(*text))
        self.before = int(rows[-1]), int(steps[-1]), float(losses[-1])

    def begin_anew(self) -> None:
        """Take in that the log says itself that it begins anew."""
        self.ends, self.gaps, self.before = [], [], None

    def _follow(self, line: Line) -> None:
        """Take in a line: the process goes on with it whose last step is nearest below."""
        _, step, loss = line
        text = _comparable(step, loss)
        if text in self.known:
            return
        self._remember(text)
        below = [place for place, end in enumerate(self.ends) if end < step]
        place = max(below, key=lambda place: self.ends[place], default=None)
        fell = self.before is not None and step <= self.before[1]
        self.falls += fell
        gap = None if place is None else float(step - self.ends[place])
        usual = None if place is None else self.gaps[place] or self.gap
        goes_on = gap is not None and (usual is None or gap <= NEAR * usual)
        if place is None or not goes_on:
            self.ends = [*self.ends[-MOST + 1 :], step]
            # a rise may be the log's new interval
            self.gaps = [*self.gaps[-MOST + 1 :], None if fell else gap]
        else:
            if fell and usual is not None:
                self._show(line)
            self.gap = self.gaps[place] = gap
            self.ends[place] = step
        self.before = line

    def _show(self, line: Line) -> None:
        """Count a line that goes on where another process stood."""
        self.exact += 1
        if self.before is not None and len(self.shown) < SHOWN:
            self.shown += [self.before, line]

    def _remember(self, text: tuple[int, float | None]) -> None:
        self.known.add(text)
        self.order.append(text)
        if len(self.order) > REMEMBERED:
            self.known.discard(self.order.popleft())

    @property
    def lines(self) -> tuple[Line, ...]:
        """The first lines that go back and forth, if enough do."""
        many = self.exact >= LEAST and self.exact >= MOSTLY * self.falls
        return tuple(self.shown) if many else ()


def _comparable(step: int, loss: float) -> tuple[int, float | None]:
    """Write what a line says so that it equals itself, which NaN does not."""
    return step, None if math.isnan(loss) else loss
