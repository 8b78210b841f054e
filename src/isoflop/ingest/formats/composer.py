"""The console of composer and llm-foundry: `[batch=20/4800]:`, then indented `Train <name>: ...`.

A record is closed by the line after it, or by the end of the file where it has every value of the
record before it. `Train loss/train/total` is the batch's; the language
model's cross-entropy is taken where it is printed. Evaluations are `Eval metrics/<set>/
LanguageCrossEntropy` below `[Eval batch=.../...]`, which belong to the last training record.

What a head counts is the unit in which the run's length was set: `[batch=20/4800]`,
`[token=40960/9830400]`, `[sample=640/153600]`, or `[epoch=2][batch=5/100]`, whose batches count
anew in every epoch. `Train time/batch`, and the tokens and samples beside it, are counted before
the batch whose loss stands there, so that D is these and one batch more, by their mean.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from isoflop.ingest.reading.events import Ended, Evaluation, Event, Point, Truncated
from isoflop.ingest.reading.textlog import LogFacts, OneRank, by_line
from isoflop.ingest.words.numbers import finite, number, step_number

if TYPE_CHECKING:
    from collections.abc import Iterator

    from isoflop.config.sidecar import TableMap
    from isoflop.ingest.reading.source import RawFile

VERSION = 4

_HEAD: Final = re.compile(
    r"\[(?:(?P<epoch>epoch)=[0-9]+(?:/[0-9]+)?\]\[)?"
    r"(?P<unit>batch|token|sample)=(?P<at>[0-9]+)(?:/(?P<of>[0-9]+))?\]:?\s*$"
)
_PAIR: Final = re.compile(r"^\s+(Train|Eval) (\S[^:]*): (\S+)\s*$")
_EVALUATION: Final = re.compile(r"metrics/(?:eval/)?(.+)/LanguageCrossEntropy")
_SETTING: Final = re.compile(r"^\s*(\w+): ([0-9.eE+-]+)\s*$")
_SETTINGS: Final = {
    "n_layers": "architecture.layers",
    "d_model": "architecture.d_model",
    "n_heads": "architecture.heads",
    "max_seq_len": "architecture.seq_len",
    "vocab_size": "architecture.vocab_size",
    "global_train_batch_size": "batch",
    "n_params": "params.total",
    "n_total_params": "params.total",
    "seed": "seed",
}
_LOSSES: Final = ("metrics/train/LanguageCrossEntropy", "loss/train/total")
_CRASHED: Final = ("Traceback (most recent call last)", "CUDA out of memory")


def read(file: RawFile, table: TableMap | None) -> Iterator[Event]:  # noqa: ARG001
    """Yield what the log says; see `formats.Reader`."""
    console = _Console()
    ended = yield from by_line(file, console.line)
    if ended:
        yield from console.end()


class _Console:
    """The lines of one file, put together to records."""

    def __init__(self) -> None:
        self._facts = LogFacts(loss_unit="nats_per_token", loss_kind="instant")
        self._step: int | None = None
        self._head: re.Match[str] | None = None
        self._pairs: dict[str, str] = {}
        self._usual: set[str] = set()
        self._ranks = OneRank()

    def end(self) -> Iterator[Event]:
        """Tell the record that the end of the file leaves open, or that it was cut."""
        if self._pairs.keys() >= self._usual and self._usual:
            yield from self._close()
        elif self._pairs:
            yield Truncated()

    def line(self, labelled: str) -> Iterator[Event]:
        """Take in a line; one that is no part of the open record closes it."""
        line = self._ranks.of(labelled, _HEAD)
        if line is None:
            return
        if match := _PAIR.match(line):
            if match[1] == "Train":
                self._pairs[match[2]] = match[3]
            elif self._step is not None:
                yield from self._close()
                yield from _evaluation(self._step, match[2], match[3])
            return
        yield from self._close()
        if match := _HEAD.search(line):
            self._head = match
            of = finite(match["of"]) or None
            if match["unit"] == "token":
                self._facts.setdefault("schedule.tokens", of)
            elif match["unit"] == "batch" and match["epoch"] is None:
                self._facts.setdefault("schedule.steps", of)
        elif any(word in line for word in _CRASHED):
            yield Ended("crashed")
        elif (match := _SETTING.match(line)) and match[1] in _SETTINGS:
            self._facts.setdefault(_SETTINGS[match[1]], finite(match[2]))

    def _close(self) -> Iterator[Event]:
        """Tell the open record, and the facts before it where they are new."""
        loss = next((number(self._pairs[name]) for name in _LOSSES if name in self._pairs), None)
        step = self._updates()
        if step is not None and loss is not None:
            self._step = step
            yield from self._facts.news()
            lr = next((v for n, v in self._pairs.items() if n.startswith("lr-")), None)
            yield Point(
                step,
                tokens=self._tokens(step),
                train_loss=loss,
                lr=number(lr),
                tokens_per_second=number(self._pairs.get("throughput/tokens_per_sec")),
            )
            self._usual = set(self._pairs)
        self._pairs = {}

    def _updates(self) -> int | None:
        """Count the updates made, with that of the open record; None where nothing tells them."""
        before = step_number(self._pairs.get("time/batch"))
        if before is not None:
            return before + 1
        head = self._head
        if head is None or head["unit"] != "batch" or head["epoch"] is not None:
            return None
        return step_number(head["at"])

    def _tokens(self, step: int) -> float | None:
        """Count the tokens read, with those of the open record's batch, which has as many."""
        before = finite(self._pairs.get("time/token"))
        return round(before * step / (step - 1)) if before and step > 1 else None


def _evaluation(step: int, name: str, text: str) -> Iterator[Event]:
    match, value = _EVALUATION.fullmatch(name), number(text)
    if match and value is not None:
        yield Evaluation(step, match[1], value)
