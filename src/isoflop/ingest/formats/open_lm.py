"""The console of open_lm: `Train Epoch: 0 [ 512/ 800 (64%)] Loss: 3.1 ... LR: 0.003`.

An "epoch" is `--train-num-samples` long. The loss of the console was the mean of the lines' losses
since the epoch's beginning, not that of the line; TensorBoard and W&B have the latter. It begins
anew with each line since open_lm knows `log_avg_model_training_loss`, which it prints among its
parameters. The axis is samples.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from isoflop.ingest.reading.events import Ended, Evaluation, Event, Point, Unread
from isoflop.ingest.reading.textlog import LogFacts, by_line
from isoflop.ingest.words.numbers import NUMBER, finite, number

if TYPE_CHECKING:
    from collections.abc import Iterator

    from isoflop.config.sidecar import TableMap
    from isoflop.ingest.reading.source import RawFile

VERSION = 3

_TRAIN: Final = re.compile(
    rf"Train Epoch: ([0-9]+) \[ *([0-9]+)/ *([0-9]+) \([^)]*\)\] Loss: ({NUMBER})[^\n]*?"
    rf" LR: ({NUMBER})"
)
_EVAL: Final = re.compile(rf"Eval Epoch: ([0-9]+) [^\n]*?\bloss: ({NUMBER})")
_PARAM: Final = re.compile(r"(?:^|\|) *(\w+): ([0-9.eE+-]+)\s*$")
_PARAMS: Final = {
    "seq_len": "architecture.seq_len", "global_batch_size": "batch", "lr": "schedule.lr_peak",
    "warmup": "schedule.warmup_steps", "seed": "seed",
}  # fmt: skip
_BEGINS_ANEW: Final = "log_avg_model_training_loss: "
_CRASHED: Final = ("Traceback (most recent call last)", "CUDA out of memory")


def read(file: RawFile, table: TableMap | None) -> Iterator[Event]:  # noqa: ARG001
    """Yield what the log says; see `formats.Reader`."""
    yield from by_line(file, _Log().line)


class _Log:
    """The lines of one file."""

    def __init__(self) -> None:
        self._facts = LogFacts(loss_unit="nats_per_token", loss_kind="running_mean")
        self._samples, self._length = 0.0, 0.0

    def line(self, line: str) -> Iterator[Event]:
        """Say what a line tells."""
        if match := _TRAIN.search(line):
            yield from self._training(match)
        elif match := _EVAL.search(line):
            ended = (finite(match[1]) or 0.0) * self._length or self._samples
            if (value := number(match[2])) is not None:
                yield Evaluation(self._updates(ended), "val", value, samples=ended)
        elif "Train Epoch:" in line:
            yield Unread()
        elif any(word in line for word in _CRASHED):
            yield Ended("crashed")
        elif _BEGINS_ANEW in line:
            self._facts["loss_kind"] = "interval_mean"
        elif (match := _PARAM.search(line)) and match[1] in _PARAMS:
            self._facts[_PARAMS[match[1]]] = finite(match[2])

    def _training(self, match: re.Match[str]) -> Iterator[Event]:
        """Turn a line into a point, after the facts where they are new."""
        loss = number(match[4])
        if loss is None:
            yield Unread()
            return
        self._length = finite(match[3]) or 0.0
        self._samples = (finite(match[1]) or 0.0) * self._length + (finite(match[2]) or 0.0)
        yield from self._facts.news()
        step = self._updates(self._samples)
        yield Point(step, samples=self._samples, train_loss=loss, lr=number(match[5]))

    def _updates(self, samples: float) -> int:
        return int(samples / (finite(self._facts.get("batch")) or 1.0) + 0.5)
