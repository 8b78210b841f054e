"""What llm.c prints: `step 20/21479 | loss 9.15 (+nanz)| norm 2.12 (+nanz)| lr 5.71e-05 | ...`.

`val loss 11.006021` stands on a line of its own, without a step, and is of the step before it: the
first one of no update. The table above the first step tells N, shape, tokens per step and rate.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from isoflop.ingest.reading.events import Ended, Evaluation, Event, Point, Unread
from isoflop.ingest.reading.textlog import LogFacts, by_line
from isoflop.ingest.words.numbers import NUMBER, finite, number, step_number

if TYPE_CHECKING:
    from collections.abc import Iterator

    from isoflop.config.sidecar import TableMap
    from isoflop.ingest.reading.source import RawFile

VERSION = 1

_STEP: Final = re.compile(
    rf"\bstep +(?P<step>[0-9]+)/(?P<of>[0-9]+) \| loss (?P<loss>{NUMBER}) \([^)|]*\)\| "
    rf"norm (?P<norm>{NUMBER}) \([^)|]*\)\| lr (?P<lr>{NUMBER}) \| (?P<ms>{NUMBER}) ms"
)
_VALIDATION: Final = re.compile(rf"^val loss (?P<loss>{NUMBER})\s*$")
_ROW: Final = re.compile(r"^\| (\S[^|]*?) +\| (\S+) +\|\s*$")
_BATCH: Final = re.compile(r"\btotal_batch_size=([0-9]+)")
_ROWS: Final = {
    "num_parameters": "params.total",
    "num_layers L": "architecture.layers",
    "num_heads NH": "architecture.heads",
    "channels C": "architecture.d_model",
    "max_sequence_length T": "architecture.seq_len",
    "learning rate (LR)": "schedule.lr_peak",
    "warmup iterations": "schedule.warmup_steps",
}


def read(file: RawFile, table: TableMap | None) -> Iterator[Event]:  # noqa: ARG001
    """Yield what the log says; see `formats.Reader`."""
    yield from by_line(file, _Console().line)


class _Console:
    """The lines of one file."""

    def __init__(self) -> None:
        self._facts = LogFacts(loss_kind="instant", loss_unit="nats_per_token", primary_eval="val")
        self._step = 0

    def line(self, line: str) -> Iterator[Event]:
        """Say what a line tells."""
        steps = list(_STEP.finditer(line))
        if len(steps) > 1:
            yield Unread()  # two writers' lines in one
        elif steps:
            yield from self._record(steps[0])
        elif match := _VALIDATION.match(line):
            yield from self._facts.news()
            yield Evaluation(self._step, "val", float(match["loss"]))
        elif match := _BATCH.search(line):
            self._facts["tokens_per_step"] = finite(match[1])
        elif (match := _ROW.match(line)) and match[1] in _ROWS:
            self._facts[_ROWS[match[1]]] = finite(match[2])
        elif "CUDA ERROR" in line or "out of memory" in line:
            yield Ended("crashed")

    def _record(self, match: re.Match[str]) -> Iterator[Event]:
        step = step_number(match["step"])
        if step is None:
            yield Unread()
            return
        self._step = step
        self._facts["schedule.steps"] = finite(match["of"])
        yield from self._facts.news()
        milliseconds = number(match["ms"])
        yield Point(
            step,
            train_loss=number(match["loss"]),
            lr=number(match["lr"]),
            grad_norm=number(match["norm"]),
            step_seconds=None if milliseconds is None else milliseconds * 1e-3,
        )
