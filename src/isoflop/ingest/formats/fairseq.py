"""What fairseq and metaseq print, as JSON or as plain pairs, in base 2.

`... | train_inner | {"epoch": 1, ..., "loss": "15.073", "wpb": "980.3", "num_updates": "100"}` or
`epoch 001:    100 / 167138 loss=15.073, ..., wpb=980.3, ..., num_updates=100, lr=1.2e-05`. All
values of the JSON are texts. Under hydra it is `[...][train_inner][INFO] - {...}`. Until 2019 lines
name no `train_inner` and JSON stands alone on its line; losses are means since the epoch's
beginning then, and evaluations tell no update: they are of the last one. `nll_loss`,
without label smoothing, is the cross-entropy where both are printed, and `inner_loss` where `loss`
has that of the gates of experts in it; `wpb` are the tokens of a batch, of which D adds up.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from isoflop.ingest.reading.events import Ended, Evaluation, Event, Point, Unread
from isoflop.ingest.reading.textlog import LogFacts, by_line
from isoflop.ingest.words.numbers import finite, json_object, number, step_number

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from isoflop.config.sidecar import TableMap
    from isoflop.ingest.reading.source import RawFile

VERSION = 4

_JSON: Final = re.compile(
    r"(?:\| (?=\w+ \|)|\]\[(?=\w+\]\[))(train_inner|train|valid)(?: \||\]\[[A-Z]+\] -) (\{.*\})\s*$"
)
_BARE: Final = re.compile(r"^(\{\"epoch\": [0-9]+, .*\})\s*$")
_PLAIN: Final = re.compile(r"epoch [0-9]+: +[0-9]+ / [0-9]+ (loss=.*)$")
_VALID: Final = re.compile(r"\| valid on '([^']+)' subset \| ((?:valid_)?loss .*)$")
_PARAMS: Final = re.compile(r"num\. (?:shared )?model params: ([0-9]+(?:,[0-9]{3})*)")
_MAX_UPDATE: Final = re.compile(r"\bmax_update['\"]?[=:] ?([0-9]+)")
_CRASHED: Final = ("Traceback (most recent call last)", "CUDA out of memory")


def read(file: RawFile, table: TableMap | None) -> Iterator[Event]:  # noqa: ARG001
    """Yield what the log says; see `formats.Reader`."""
    yield from by_line(file, _Log().line)


class _Log:
    """The lines of one file."""

    def __init__(self) -> None:
        self._facts = LogFacts(loss_unit="bits_per_token", loss_kind="interval_mean")
        self._updates, self._tokens = 0, 0.0

    def line(self, line: str) -> Iterator[Event]:
        """Say what a line tells."""
        if match := _JSON.search(line):
            yield from self._told(match[1], json_object(match[2]))
        elif match := _BARE.match(line):
            yield from self._alone(json_object(match[1]))
        elif match := _PLAIN.search(line):
            if "train_inner" not in line:
                self._facts["loss_kind"] = "running_mean"
            yield from self._training(dict(re.findall(r"(\w+)=([^,\s]+)", match[1])))
        elif match := _VALID.search(line):
            pairs = dict(re.findall(r"(\w+) ([^|\s]+) ?(?:\||$)", match[2]))
            yield from self._validated(pairs, match[1])
        elif any(word in line for word in _CRASHED):
            yield Ended("crashed")
        elif match := _PARAMS.search(line):
            self._facts["params.total"] = number(match[1])
        elif match := _MAX_UPDATE.search(line):
            self._facts["schedule.steps"] = finite(match[1]) or None

    def _told(self, kind: str, pairs: Mapping[str, Any] | None) -> Iterator[Event]:
        """Turn JSON behind a word into a record; `train` is the mean of an epoch."""
        if pairs is None:
            yield Unread()
        elif kind == "train_inner":
            yield from self._training(pairs)
        elif kind == "valid":
            yield from self._validated(pairs)

    def _alone(self, pairs: Mapping[str, Any] | None) -> Iterator[Event]:
        """Turn JSON without a word before it into a record."""
        if pairs is None:
            yield Unread()
        elif any(name.startswith("valid_") for name in pairs):
            yield from self._validated({"valid_num_updates": self._updates or None, **pairs})
        else:
            self._facts["loss_kind"] = "running_mean"
            yield from self._training(pairs)

    def _validated(self, pairs: Mapping[str, Any], eval_set: str = "valid") -> Iterator[Event]:
        """Turn pairs whose names may begin with `valid_` into an evaluation."""
        plain = {name.removeprefix("valid_"): value for name, value in pairs.items()}
        yield from self._evaluation(eval_set, plain)

    def _training(self, pairs: Mapping[str, Any]) -> Iterator[Event]:
        """Turn pairs into a point."""
        step, loss = step_number(pairs.get("num_updates")), _loss(pairs)
        if step is None or loss is None:
            yield Unread()
            return
        yield from self._facts.news()
        batch = finite(pairs.get("wpb")) or 0.0
        goes_on = 0 < self._updates <= step
        self._tokens = self._tokens + batch * (step - self._updates) if goes_on else batch * step
        self._updates = step
        yield Point(
            step,
            tokens=self._tokens or None,
            train_loss=loss,
            lr=number(pairs.get("lr")),
            grad_norm=number(pairs.get("gnorm")),
            tokens_per_second=number(pairs.get("wps")),
        )

    def _evaluation(self, eval_set: str, pairs: Mapping[str, Any]) -> Iterator[Event]:
        """Turn pairs into an evaluation."""
        step, loss = step_number(pairs.get("num_updates")), _loss(pairs)
        if step is None or loss is None:
            yield Unread()
            return
        yield from self._facts.news()
        yield Evaluation(step, eval_set, loss)


def _loss(pairs: Mapping[str, Any]) -> float | None:
    return next(
        (number(pairs[name]) for name in ("nll_loss", "inner_loss", "loss") if name in pairs), None
    )
