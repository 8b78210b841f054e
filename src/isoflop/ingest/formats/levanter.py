"""Levanter and marin: lines of their JSON logger, and `tracker_metrics.jsonl`.

A line of the logger is `{"tracker": "json_logger", "event": "log", "step": 10, "metrics": {...}}`,
behind any prefix. `tracker_metrics.jsonl` is one record `{"config": ..., "summary": ...}`, written
when a run has ended: a finished run, and no curve. `parameter_count` and tokens are in both.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from isoflop.ingest.reading.events import (
    Ended,
    Evaluation,
    Event,
    Facts,
    Point,
    Remark,
    Truncated,
    Unread,
)
from isoflop.ingest.reading.settings import settings_of
from isoflop.ingest.reading.textlog import facts_of
from isoflop.ingest.words.numbers import finite, json_object, number, step_number

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from isoflop.config.sidecar import TableMap
    from isoflop.ingest.reading.source import RawFile

VERSION = 3

_LINE: Final = re.compile(r'\{"tracker": ?"json_logger".*\}')
_EVALUATION: Final = re.compile(r"eval/(?:(.+)/)?(loss|bpb)")
_METRICS: Final = {"loss": "loss", "bpb": "bits_per_byte"}


def read(file: RawFile, table: TableMap | None) -> Iterator[Event]:  # noqa: ARG001
    """Yield what the log says; see `formats.Reader`."""
    for line in file.lines():
        record = json_object(line) if line.startswith("{") else None
        if record is not None and isinstance(record.get("summary"), dict):
            yield from _finished(record)
            continue
        match = _LINE.search(line)
        event = json_object(match[0]) if match else None
        if event is not None:
            yield from _logged(event)
        elif not line.endswith("\n"):
            yield Truncated()
        elif '"json_logger"' in line:
            yield Unread()


def _logged(event: Mapping[str, Any]) -> Iterator[Event]:
    """Turn a line of the logger into events."""
    kind, step = event.get("event"), step_number(event.get("step"))
    metrics = event.get("metrics") if isinstance(event.get("metrics"), dict) else {}
    told = event.get("hparams") or event.get("config") or event.get("summary")
    if isinstance(told, dict):
        yield Facts(facts_of(_facts(told)))
    if kind == "finish":
        yield Ended("finished")
    if kind == "log" and step is not None and isinstance(metrics, dict):
        if "parameter_count" in metrics:
            yield Facts(facts_of(_facts(metrics)))
        yield from _record(step, metrics)


def _finished(record: Mapping[str, Any]) -> Iterator[Event]:
    """Turn the record of a finished run into its facts and its last values."""
    summary: Mapping[str, Any] = record["summary"]
    config = record.get("config")
    yield Facts(facts_of(_facts(config if isinstance(config, dict) else {}) | _facts(summary)))
    step = step_number(summary.get("global_step", summary.get("_step"))) or 1
    yield from _record(step, summary)
    yield Ended("finished")
    yield Remark("the last values of a finished run, and no curve")


def _facts(told: Mapping[str, Any]) -> dict[str, Any]:
    """Give the facts of a configuration or a summary."""
    facts = settings_of(told)
    return facts | {"loss_unit": "nats_per_token", "loss_kind": "instant"}


def _record(step: int, metrics: Mapping[str, Any]) -> Iterator[Event]:
    """Turn metrics into a point and evaluations."""
    tokens = finite(metrics.get("throughput/total_tokens"))
    flops = finite(metrics.get("throughput/total_gflops"))
    # of experts, train/loss has the losses of their balance in it
    loss = number(metrics.get("train/cross_entropy_loss", metrics.get("train/loss")))
    if loss is not None:
        yield Point(
            step,
            tokens=tokens,
            train_loss=loss,
            lr=number(metrics.get("optim/learning_rate")),
            grad_norm=number(metrics.get("grad/norm/total")),
            tokens_per_second=number(metrics.get("throughput/tokens_per_second")),
            flops=None if flops is None else flops * 1e9,
        )
    for name, value in metrics.items():
        match, known = _EVALUATION.fullmatch(name), number(value)
        if match and known is not None:
            yield Evaluation(step, match[1] or "eval", known, _METRICS[match[2]], tokens)
