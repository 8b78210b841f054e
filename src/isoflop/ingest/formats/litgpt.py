"""What LitGPT's pretraining prints: `Epoch 1 | iter 320 step 80 | loss train: 8.1, val: n/a | ...`.

`iter` counts micro-batches and `step` updates. The loss is the mean over as many micro-batches as
an update has (`RunningMean(window=gradient_accumulation_iters)`): it is that of one update. `val`
is the last evaluation's, which every line until the next one repeats: the first of them counts. Its
CSV has micro-batches as steps and all ranks' tokens, by which it is read.

Older scripts print `iter 320 | step 80: loss 8.1, iter time: ...`, whose loss is one micro-batch's,
and `iter 320: val loss 8.2` (`step 320:`, too), which counts micro-batches in either spelling.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from isoflop.ingest.reading.events import Ended, Evaluation, Event, Point, Unread
from isoflop.ingest.reading.textlog import LogFacts, by_line
from isoflop.ingest.words.numbers import NUMBER, number, step_number

if TYPE_CHECKING:
    from collections.abc import Iterator

    from isoflop.config.sidecar import TableMap
    from isoflop.ingest.reading.source import RawFile

VERSION = 3

_LINE: Final = re.compile(
    rf"Epoch [0-9]+ \| iter (?P<batch>[0-9]+) step (?P<step>[0-9]+) \| "
    rf"loss train: (?P<loss>{NUMBER}), val: (?P<val>{NUMBER}|n/a) \|"
)
_OLDER: Final = re.compile(
    rf"\biter (?P<batch>[0-9]+) (?:\| )?step (?P<step>[0-9]+): loss (?P<loss>{NUMBER}), "
    r"iter time: "
)
_VALIDATED: Final = re.compile(rf"\b(?:iter|step) ([0-9]+): val loss ({NUMBER}), val time: ")
_PARAMS: Final = re.compile(r"Total parameters:? ([0-9]+(?:,[0-9]{3})*)")
_CRASHED: Final = ("Traceback (most recent call last)", "CUDA out of memory")


def read(file: RawFile, table: TableMap | None) -> Iterator[Event]:  # noqa: ARG001
    """Yield what the log says; see `formats.Reader`."""
    yield from by_line(file, _Log().line)


class _Log:
    """The lines of one file."""

    def __init__(self) -> None:
        self._facts = LogFacts(loss_unit="nats_per_token", loss_kind="instant")
        self._step, self._batches, self._evaluated = -1, 0, ""

    def line(self, line: str) -> Iterator[Event]:
        """Say what a line tells."""
        if match := _LINE.search(line) or _OLDER.search(line):
            yield from self._trained(match)
        elif match := _VALIDATED.search(line):
            yield from self._validated(match)
        elif any(word in line for word in _CRASHED):
            yield Ended("crashed")
        elif match := _PARAMS.search(line):
            self._facts["params.total"] = number(match[1])

    def _trained(self, match: re.Match[str]) -> Iterator[Event]:
        """Turn a line of training into a point, and into an evaluation where that is news."""
        step, loss = step_number(match["step"]), number(match["loss"])
        if step is None or loss is None:
            yield Unread()
            return
        yield from self._facts.news()
        if step != self._step:  # micro-batches of one update print its number again
            yield Point(step, train_loss=loss)
        self._step, self._batches = step, step_number(match["batch"]) or 0
        text = match.groupdict().get("val", "")
        if text != self._evaluated and (value := number(text)) is not None:
            self._evaluated = text
            yield Evaluation(step, "val", value)

    def _validated(self, match: re.Match[str]) -> Iterator[Event]:
        """Count the updates behind which an evaluation stands, from its micro-batches."""
        batch, value = step_number(match[1]), number(match[2])
        if batch is None or value is None or (batch and not self._batches):
            yield Unread()
            return
        yield Evaluation(round(batch * self._step / self._batches) if batch else 0, "val", value)
