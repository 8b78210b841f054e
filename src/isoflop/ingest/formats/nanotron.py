"""What nanotron prints: `iteration: 10 / 500 | consumed_tokens: 20.5M | ... | lm_loss: 7.12 | ...`.

Versions differ in the order of the pairs. Values have three digits and a suffix, tokens too, so D
is counted from the steps and the banner (`global_batch_size` there counts samples), and from
where the launch began, which the banner tells. Where `consumed_tokens` is none that this would be
written as, the batch was another one before: D is then the rounded count.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from isoflop.ingest.reading.events import Ended, Event, Point, Unread
from isoflop.ingest.reading.textlog import LogFacts, by_line
from isoflop.ingest.words.numbers import finite, number, step_number

if TYPE_CHECKING:
    from collections.abc import Iterator

    from isoflop.config.sidecar import TableMap
    from isoflop.ingest.reading.source import RawFile

VERSION = 5

_ITERATION: Final = re.compile(r"\biteration: ([0-9]+) / ([0-9]+) \|")
_PAIR: Final = re.compile(r"(\w+): ([^|]+?)\s*(?:\||$)")
_SETTINGS: Final = {
    "sequence_length": "architecture.seq_len",
    "global_batch_size": "batch",
}
_PARAMETERS: Final = re.compile(r"Total number of parameters: (\S+)")
_CRASHED: Final = ("Traceback (most recent call last)", "CUDA out of memory")
ROUNDED: Final = 0.0051
"""The largest relative error of a count in three digits."""


def read(file: RawFile, table: TableMap | None) -> Iterator[Event]:  # noqa: ARG001
    """Yield what the log says; see `formats.Reader`."""
    yield from by_line(file, _Console().line)


class _Console:
    """The lines of one file."""

    def __init__(self) -> None:
        self._facts = LogFacts(loss_kind="instant", loss_unit="nats_per_token")
        self._began = 0.0, 0.0

    def line(self, line: str) -> Iterator[Event]:
        """Say what a line tells."""
        records = list(_ITERATION.finditer(line))
        if len(records) == 1:
            yield from self._record(records[0], dict(_PAIR.findall(line[records[0].end() :])))
        elif records:
            yield Unread()  # two writers' lines in one
        elif "sequence_length: " in line:
            self._take(dict(_PAIR.findall(line)))
        elif match := _PARAMETERS.search(line):
            self._facts["params.total"] = finite(match[1])
        elif any(word in line for word in _CRASHED):
            yield Ended("crashed")

    def _record(self, head: re.Match[str], pairs: dict[str, str]) -> Iterator[Event]:
        step, loss = step_number(head[1]), number(pairs.get("lm_loss"))
        if step is None or loss is None:
            yield Unread()
            return
        self._facts.setdefault("schedule.steps", finite(head[2]))
        yield from self._facts.news()
        yield Point(
            step,
            tokens=self._tokens(step, finite(pairs.get("consumed_tokens"))),
            train_loss=loss,
            lr=number(pairs.get("lr")),
        )

    def _take(self, pairs: dict[str, str]) -> None:
        """Take the banner of a launch."""
        for name, fact in _SETTINGS.items():
            if (value := finite(pairs.get(name))) is not None:
                self._facts[fact] = value
        start = finite(pairs.get("start_iteration_step"))
        context = finite(pairs.get("sequence_length"))
        tokens, samples = (
            finite(pairs.get(name)) for name in ("consumed_tokens_total", "consumed_train_samples")
        )
        if tokens is None and samples is not None and context is not None:
            tokens = samples * context
        per_step = self._per_step()
        if start is not None and per_step is not None:
            self._began = start, start * per_step if tokens is None else tokens

    def _per_step(self) -> float | None:
        """Count the tokens of an update by the banner."""
        batch, context = self._facts.get("batch"), self._facts.get("architecture.seq_len")
        return batch * context if batch and context else None

    def _tokens(self, step: int, printed: float | None) -> float | None:
        """Count the tokens read; by the rounded count where that contradicts the banner."""
        per_step = self._per_step()
        if per_step is None:
            return None
        start, before = self._began
        counted: float = before + (step - start) * per_step
        agrees = printed is None or abs(counted - printed) <= ROUNDED * printed
        return counted if agrees else printed
