"""What a reader gives of a file: blocks of records as small frames, and what is rare as events.

A log of a million lines is a hundred frames and a few objects. Readers that go line by line give
events; `blocks_of` is their adapter, so that there is one way on from here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from isoflop.ingest.reading.events import Evaluation, Event, Point, Restart

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

BATCH: Final = 65_536
"""Records gathered before they are packed: as Python objects they take ten times the memory."""

RECORDS: Final = pl.Schema(
    {
        "run": pl.String,
        "kind": pl.String,
        "step": pl.Int64,
        "tokens": pl.Float64,
        "samples": pl.Float64,
        "train_loss": pl.Float64,
        "lr": pl.Float64,
        "grad_norm": pl.Float64,
        "tokens_per_second": pl.Float64,
        "step_seconds": pl.Float64,
        "flops": pl.Float64,
        "eval_set": pl.String,
        "metric": pl.String,
        "value": pl.Float64,
    }
)
"""A file's records in their order; kind is train, eval or restart; losses in the log's own unit."""

PLACED: Final = pl.Schema(
    [
        ("row", pl.Int64),
        ("rank", pl.Int64),
        ("phase", pl.String),
        ("epoch", pl.Float64),
        *RECORDS.items(),
    ]
)
"""Columns of a block: first the line that a record stands on, the rank that wrote it, the phase of
training that it is of, such as `sft`, and the passes over the data until then. Null is the
pretraining, whose records alone are kept; of the passes their last number is."""
RANKED: Final = pl.Schema({n: t for n, t in PLACED.items() if n not in ("row", "phase", "epoch")})
"""Columns of a file's records while it is not known which rank's are kept."""


@dataclass(frozen=True, slots=True)
class Block:
    """A stretch of a file.

    Attributes
    ----------
    frame : its records in order; columns of `PLACED`, those that are absent being null.
    rare : (row, event) for all else that it says, in order; an event stands before a record of the
        same row.
    """

    frame: pl.DataFrame
    rare: tuple[tuple[int, Event], ...] = ()

    def filled(self) -> pl.DataFrame:
        """Give the records with every column of `PLACED`."""
        have = self.frame.columns
        return self.frame.select(
            _PRESENT[name] if name in have else _ABSENT[name] for name in PLACED
        )


_PRESENT: Final = {name: pl.col(name).cast(dtype) for name, dtype in PLACED.items()}
_ABSENT: Final = {
    name: pl.lit("" if name == "run" else None, dtype=dtype).alias(name)
    for name, dtype in PLACED.items()
}
"""What stands for columns that a block leaves out: files hold one run unless they name several."""


def blocks_of(events: Iterable[Event]) -> Iterator[Block]:
    """Pack a reader's events into blocks."""
    return blocks_of_lines(enumerate(events))


def blocks_of_lines(events: Iterable[tuple[int, Event]]) -> Iterator[Block]:
    """Pack events into blocks, each with the row of its line."""
    rows: list[tuple[Any, ...]] = []
    rare: list[tuple[int, Event]] = []
    for place, event in events:
        if isinstance(event, Point | Evaluation | Restart):
            rows.append(record(event, place))
        else:
            rare.append((place, event))
        if len(rows) == BATCH:
            yield Block(packed(rows), tuple(rare))
            rows, rare = [], []
    yield Block(packed(rows), tuple(rare))


def packed(rows: list[tuple[Any, ...]]) -> pl.DataFrame:
    """Lay out what `record` gave as a frame of every column of `PLACED`."""
    return pl.DataFrame(rows, schema=PLACED, orient="row")


def record(event: Point | Evaluation | Restart, place: int) -> tuple[Any, ...]:
    """Lay an event out as a row of `PLACED`."""
    match event:
        case Point():
            return (
                place, event.rank, event.phase, event.epoch, event.run, "train",
                event.step, event.tokens, event.samples, event.train_loss, event.lr,
                event.grad_norm, event.tokens_per_second, event.step_seconds, event.flops,
                None, None, None,
            )  # fmt: skip
        case Evaluation():
            return (
                place, event.rank, event.phase, None, event.run, "eval", event.step, event.tokens,
                event.samples, *[None] * 6, event.eval_set, event.metric, event.value,
            )  # fmt: skip
        case Restart():
            return (place, None, None, None, event.run, "restart", event.step, *[None] * 11)


def of_one_value(frame: pl.DataFrame, name: str) -> bool:
    """Tell whether all of a column's texts are the same, which is quicker than to count them.

    Asked of the frame, since a column that was made of one text is not written out for that.
    """
    same = (pl.col(name) == pl.col(name).first()).all(ignore_nulls=False)
    return not frame.is_empty() and frame.select(same).item() is True
