"""The console of OLMo and OLMo-core: `[step=100/2000,...]`, then an indented `name=value` per line.

A record is closed by the line after it; one that the end of the file leaves open counts where it
has every value of the record before it, and is dropped as cut where it has not.
Tokens are taken where they are exact, not where they are rounded (`1.2B` in OLMo-core).
Evaluations stand below a line of their own, without a step, and are of the last one printed: in
OLMo as `eval/<set>/CrossEntropyLoss=`, in OLMo-core as `<set>/CE loss=` below `Finished lm evals`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from isoflop.ingest.reading.events import (
    Ended,
    Evaluation,
    Event,
    Point,
    Restart,
    Truncated,
    Unread,
)
from isoflop.ingest.reading.textlog import LogFacts, OneRank, by_line
from isoflop.ingest.words.numbers import number, step_number

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from isoflop.config.sidecar import TableMap
    from isoflop.ingest.reading.source import RawFile

VERSION = 6

_STEP = re.compile(r"\[step=([0-9]+)/([0-9]+|\?\?\?)[^\]]*\]\s*$")
_PAIR = re.compile(r"^\s+(\S[^=]*)=(\S+)\s*$")
_FACTS: Final = (
    (re.compile(r"Total number of parameters: ([0-9]+(?:,[0-9]{3})*)"), "params.total"),
    (re.compile(r"([0-9]+(?:,[0-9]{3})*) total params"), "params.total"),
    (re.compile(r"[Nn]on-embedding parameters: ([0-9]+(?:,[0-9]{3})*)"), "params.nonembedding"),
    (re.compile(r"([0-9]+(?:,[0-9]{3})*) non-embedding params"), "params.nonembedding"),
    (re.compile(r"^\s*global_train_batch_size: ([0-9]+)"), "batch"),
    (re.compile(r"^\s*max_sequence_length: ([0-9]+)"), "architecture.seq_len"),
    (re.compile(r"^\s*seed: ([0-9]+)"), "seed"),
)
_RESUMED = re.compile(
    r"Resuming (?:training|from)|Checkpoint successfully loaded|Loading checkpoint from ",
    re.IGNORECASE,
)
_CRASHED: Final = ("Traceback (most recent call last)", "CUDA out of memory")
_COLUMNS: Final = {
    "train/CrossEntropyLoss": "train_loss",
    "train/CE loss": "train_loss",
    "optim/learning_rate_group0": "lr",
    "optim/LR (group 0)": "lr",
    "optim/total_grad_norm": "grad_norm",
    "optim/total grad norm": "grad_norm",
}
_TOKENS: Final = ("throughput/total_tokens", "throughput/total tokens")
_EXACT = re.compile(r"[0-9]+(?:,[0-9]{3})*(?:\.0*)?(?:e[+]?[0-9]+)?")
_EVALUATION = re.compile(r"eval/(?:lm/)?([^/]+)/(?:CrossEntropyLoss|CE loss)")
_EVALUATED = re.compile(r"Finished \S+ evals in [0-9.,]+ seconds\. Metrics:\s*$")
_EVALUATED_SET = re.compile(r"([^/]+)/CE loss")


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
        self._pairs: dict[str, str] = {}
        self._usual: set[str] = set()
        self._last: tuple[int, float | None] | None = None
        self._evaluated = False
        self._ranks = OneRank()

    def end(self) -> Iterator[Event]:
        """Tell the record that the end of the file leaves open, or that it was cut."""
        trains = any(name in _COLUMNS for name in self._pairs)
        evaluates = any(_EVALUATION.fullmatch(name) for name in self._pairs)
        usual = bool(self._usual) and self._pairs.keys() >= self._usual
        # each evaluation is a line, so that what is there of several is right
        if usual or (evaluates and not trains):
            yield from self._close()
        elif self._pairs:
            yield Truncated()

    def line(self, labelled: str) -> Iterator[Event]:
        """Take in a line; one that is no part of the open record closes it."""
        line = self._ranks.of(labelled, _STEP)
        if line is None:
            return
        pair = _PAIR.match(line)
        if pair is not None and self._step is not None:
            self._pairs[pair[1].strip()] = pair[2]
            return
        if pair is not None and self._last is not None:
            yield from self._evaluation(pair[1].strip(), pair[2])
            return
        yield from self._close()
        self._evaluated = _EVALUATED.search(line) is not None
        if match := _STEP.search(line):
            self._step = step_number(match[1])
            if self._step is None:
                yield Unread()
            elif (of := step_number(match[2])) is not None:
                self._facts.setdefault("schedule.steps", float(of))
        elif _RESUMED.search(line):
            yield Restart()
        elif any(word in line for word in _CRASHED):
            yield Ended("crashed")
        else:
            matches = ((name, pattern.search(line)) for pattern, name in _FACTS)
            self._facts |= {name: number(match[1]) for name, match in matches if match}

    def _close(self) -> Iterator[Event]:
        """Tell the open record, and the facts before it where they are new."""
        if self._step is not None and self._pairs:
            yield from self._facts.news()
            yield from _record(self._step, self._pairs)
            self._last = self._step, _tokens(self._pairs)
            if any(name in _COLUMNS for name in self._pairs):
                known = {*_COLUMNS, *_TOKENS}
                self._usual = {name for name in self._pairs if name in known}
        self._step, self._pairs = None, {}

    def _evaluation(self, name: str, text: str) -> Iterator[Event]:
        """Tell a loss that stands below no step."""
        match = _EVALUATION.fullmatch(name)
        if match is None and self._evaluated:
            match = _EVALUATED_SET.fullmatch(name)
        if match is None or self._last is None:
            return
        step, tokens = self._last
        value = number(text)
        yield Unread() if value is None else Evaluation(step, match[1], value, tokens=tokens)


def _tokens(pairs: Mapping[str, str]) -> float | None:
    """Read the tokens so far; `1.2B` is rounded."""
    text = next((pairs[name] for name in _TOKENS if name in pairs), "")
    return number(text) if _EXACT.fullmatch(text) else None


def _record(step: int, pairs: Mapping[str, str]) -> Iterator[Event]:
    """Turn a step's lines into a point and evaluations."""
    columns = {
        _COLUMNS[name]: value
        for name, text in pairs.items()
        if name in _COLUMNS and (value := number(text)) is not None
    }
    tokens = _tokens(pairs)
    if "train_loss" in columns:
        yield Point(step, tokens=tokens, **columns)  # type: ignore[arg-type]
    for name, text in pairs.items():
        if match := _EVALUATION.fullmatch(name):
            value = number(text)
            if value is None:
                yield Unread()
            else:
                yield Evaluation(step, match[1], value, tokens=tokens)
