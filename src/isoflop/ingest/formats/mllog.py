"""MLPerf's log lines, `:::MLLOG {...}`, of language models.

`eval_accuracy` is the validation loss; the training loss, where it is logged, is in
`tracked_stats`. The axis is samples: a step of some submitters is a count of samples too, told by
the evaluations, which always count samples.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

from isoflop.ingest.reading.events import Ended, Evaluation, Event, Facts, Point, Truncated, Unread
from isoflop.ingest.reading.textlog import facts_of
from isoflop.ingest.words.numbers import finite, json_object, number

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from isoflop.config.sidecar import TableMap
    from isoflop.ingest.reading.source import RawFile

VERSION = 1

_LINE: Final = re.compile(r":::MLL(?:OG)? (\{.*\})\s*$")
_FACTS: Final = {
    "global_batch_size": "batch",
    "max_sequence_length": "architecture.seq_len",
    "opt_base_learning_rate": "schedule.lr_peak",
    "opt_end_learning_rate": "schedule.lr_end",
    "opt_learning_rate_warmup_steps": "schedule.warmup_steps",
    "opt_learning_rate_decay_steps": "schedule.steps",
    "seed": "seed",
}
_LOSSES: Final = ("reduced_train_loss", "train_loss", "loss")


def read(file: RawFile, table: TableMap | None) -> Iterator[Event]:  # noqa: ARG001
    """Yield what the log says; see `formats.Reader`."""
    facts: dict[str, Any] = {"loss_unit": "nats_per_token", "loss_kind": "instant"}
    records: list[tuple[str, Mapping[str, Any], Any]] = []
    ended: list[Event] = []
    for line in file.lines():
        if not line.endswith("\n"):
            ended.append(Truncated())
            break
        match = _LINE.search(line)
        entry = json_object(match[1]) if match else None
        if entry is None:
            if ":::MLL" in line:
                yield Unread()
            continue
        key, value = entry.get("key"), entry.get("value")
        metadata = entry.get("metadata") if isinstance(entry.get("metadata"), dict) else {}
        if key in _FACTS and finite(value) is not None:
            facts.setdefault(_FACTS[str(key)], finite(value))
        elif key == "opt_learning_rate_decay_schedule" and isinstance(value, str):
            facts["schedule.kind"] = value
        elif key in {"eval_accuracy", "tracked_stats"} and isinstance(metadata, dict):
            records.append((str(key), metadata, value))
        elif key == "run_stop" and "abort" in json.dumps(metadata):
            ended.append(Ended("crashed"))
    yield Facts(facts_of(facts))
    yield from _records(records, finite(facts.get("batch")) or 1.0)
    yield from ended


def _records(
    records: Sequence[tuple[str, Mapping[str, Any], Any]], batch: float
) -> Iterator[Event]:
    """Turn what was logged into points and evaluations, counted in samples."""
    counted = [
        samples
        for key, metadata, _ in records
        if key == "eval_accuracy" and (samples := finite(metadata.get("samples_count")))
    ]
    steps = [step for _, metadata, _ in records if (step := finite(metadata.get("step")))]
    # a step that reaches the first evaluation's samples counts samples itself
    in_samples = bool(counted and steps and max(steps) >= min(counted))
    for key, metadata, value in records:
        samples, step = finite(metadata.get("samples_count")), finite(metadata.get("step"))
        if samples is None and step is not None and counted:
            samples = step if in_samples else (step + 1.0) * batch
        if key == "tracked_stats" and not (isinstance(value, dict) and {*_LOSSES} & value.keys()):
            continue
        if samples is None or samples < 0:
            yield Unread()  # before any evaluation a step may be a step, or a count of samples
            continue
        update = int(samples / batch + 0.5)
        if key == "eval_accuracy":
            if (loss := number(value)) is not None:
                yield Evaluation(update, "validation", loss, samples=samples)
        elif isinstance(value, dict):
            loss = next((number(value[name]) for name in _LOSSES if name in value), None)
            if loss is not None:
                seconds = number(value.get("train_step_time"))
                yield Point(update, samples=samples, train_loss=loss, step_seconds=seconds)
