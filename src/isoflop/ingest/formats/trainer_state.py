"""trainer_state.json of the HF Trainer: every line that it logged, with its step.

`loss` is the mean since the last line, rounded to four decimals; with logging_nan_inf_filter, its
default, NaN is hidden there. `train_loss` is the mean of the whole run, and lines without a step
are predictions: neither is a record. Of several checkpoints of one run the newest has all that
earlier ones have. N and the context are not in the file.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

from isoflop.ingest.reading.cells import CELL_SHOWN
from isoflop.ingest.reading.events import Evaluation, Event, Facts, LeftOutRows, Point, Unread
from isoflop.ingest.reading.refused import RefusedError
from isoflop.ingest.reading.textlog import facts_of
from isoflop.ingest.tables.wide import NO_STEP
from isoflop.ingest.words import names
from isoflop.ingest.words.names import evaluated, tokens_seen
from isoflop.ingest.words.numbers import encodable, finite, number, step_number, whole_number

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from isoflop.config.sidecar import TableMap
    from isoflop.ingest.reading.source import RawFile

VERSION = 7
COUNTER: Final = names.COUNTER
PIECE: Final = 1 << 20
"""Characters of the file that are read at once."""
LARGEST: Final = 1 << 26
"""Characters of one of its values; the history's entries are values of their own."""


def read(file: RawFile, table: TableMap | None) -> Iterator[Event]:  # noqa: ARG001
    """Yield what the file says; see `formats.Reader`."""
    text = _Text(file)
    state: dict[str, Any] = {}
    without_step: list[Any] = []
    try:
        for key in text.named():
            if key == HISTORY and key in state:
                raise RefusedError(f"its {HISTORY} stands twice")
            if key != HISTORY or text.next() != "[":
                state[key] = text.value()
                continue
            state[key] = []
            for entry in text.items():
                yield from _of_entry(entry, without_step)
    except (ValueError, RecursionError) as error:
        raise RefusedError(f"no whole JSON object, so it was cut or damaged: {error}") from error
    if not isinstance(state.get(HISTORY), list):
        raise RefusedError(f"its {HISTORY} is no list")
    yield Facts(_facts(state))
    if odd := [step for step in without_step if step is not None]:
        yield LeftOutRows(len(odd), f"{NO_STEP}, as {_shown(odd[0])} first")
    if others := len(without_step) - len(odd):
        yield LeftOutRows(others, "no step: a prediction after training")


def _of_entry(entry: Any, without_step: list[Any]) -> Iterator[Event]:
    """Turn an entry of the history into records.

    Parameters
    ----------
    without_step : takes what stands for the step where that is none; None where nothing does.
    """
    if not isinstance(entry, dict):
        yield Unread()
    elif (reward := names.of_rewards(entry)) is not None:
        raise RefusedError(names.REWARDED.format(reward))
    elif (step := step_number(entry.get("step"))) is None:
        without_step.append(entry.get("step"))
    else:
        yield from _record(step, entry)


HISTORY: Final = "log_history"
_DECODER: Final = json.JSONDecoder(parse_int=whole_number)
_BLANK: Final = re.compile(r"[ \t\n\r]*")


class _Text:
    """A file's one object, of which some is in memory: a long run's history is of gigabytes.

    Python's own decoder reads its values one by one; libraries that read JSON as a stream do not
    take the NaN that the Trainer writes.
    """

    def __init__(self, file: RawFile) -> None:
        self._pieces = file.pieces(PIECE)
        self._text = ""
        self._at = 0

    def next(self) -> str:
        """Give the next sign that is not blank; empty at the end."""
        while True:
            match = _BLANK.match(self._text, self._at)
            self._at = match.end() if match else self._at
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._more():
                return ""

    def value(self) -> Any:
        """Read the next value."""
        self.next()
        while True:
            try:
                value, end = _DECODER.raw_decode(self._text, self._at)
            except ValueError:
                if len(self._text) - self._at > LARGEST or not self._more():
                    raise
                continue
            if end < len(self._text) or not self._more():  # a number may go on
                self._at = end
                return value

    def named(self) -> Iterator[str]:
        """Go through the keys of the object; whoever asks reads the value of each."""
        for _ in self._parts("{", "}"):
            key = self.value()
            if not isinstance(key, str):
                raise ValueError("a key is no text")  # noqa: TRY004  as of text that is no JSON
            self._expect(":")
            yield key
        if self.next():
            raise ValueError("something follows the object")

    def items(self) -> Iterator[Any]:
        """Read the items of a list one by one."""
        return (self.value() for _ in self._parts("[", "]"))

    def _parts(self, begin: str, end: str) -> Iterator[None]:
        """Stop at each part of an object or a list, which whoever asks reads."""
        self._expect(begin)
        if self.next() == end:
            self._at += 1
            return
        while True:
            yield
            if self.next() == end:
                self._at += 1
                return
            self._expect(",")

    def _expect(self, sign: str) -> None:
        """Go over a sign that must be next."""
        if self.next() != sign:
            raise ValueError(f"{sign!r} is missing")
        self._at += 1

    def _more(self) -> bool:
        """Read on, as much again as is not yet understood, so that all is looked at twice."""
        least = len(self._text) - self._at
        read = [self._text[self._at :]]
        self._at = 0
        for piece in self._pieces:
            read.append(piece)
            least -= len(piece)
            if least <= 0:
                break
        self._text = "".join(read)
        return len(read) > 1


def _shown(value: Any) -> str:
    """Write what stands for a step, in short."""
    known = number(value)
    return str(value)[:CELL_SHOWN] if known is None else f"{known:g}"


def _facts(state: Mapping[str, Any]) -> Any:
    return facts_of(
        {
            "loss_unit": "nats_per_token",
            "loss_kind": "interval_mean",
            "schedule.steps": finite(state.get("max_steps")) or None,
        }
    )


def _record(step: int, entry: Mapping[str, Any]) -> Iterator[Event]:
    """Turn an entry into a point or evaluations."""
    tokens = tokens_seen(entry)
    if "loss" in entry:
        loss = number(entry["loss"])
        if loss is None:
            yield Unread()
        else:
            yield Point(
                step,
                tokens=tokens,
                train_loss=loss,
                lr=number(entry.get("learning_rate")),
                grad_norm=number(entry.get("grad_norm")),
                epoch=finite(entry.get("epoch")),
            )
    for name, value in entry.items():
        if (told := evaluated(name)) is not None:
            eval_set, metric = told
            loss = number(value)
            if loss is None:
                yield Unread()
            else:
                yield Evaluation(step, encodable(eval_set), loss, metric, tokens=tokens)
