"""trainer_log.jsonl of LLaMA-Factory: `{"current_steps": 10, "total_steps": 500, "loss": ...}`.

The loss is the mean since the last line, as the HF Trainer's is, below it. `total_tokens` are the
tokens seen, which are 0 unless the trainer was told to count them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from isoflop.ingest.reading.events import Evaluation, Event, Facts, Point, Truncated, Unread
from isoflop.ingest.reading.textlog import facts_of, json_records
from isoflop.ingest.words import names
from isoflop.ingest.words.names import evaluated
from isoflop.ingest.words.numbers import finite, number, step_number

if TYPE_CHECKING:
    from collections.abc import Iterator

    from isoflop.config.sidecar import TableMap
    from isoflop.ingest.reading.source import RawFile

VERSION = 3
COUNTER: Final = names.COUNTER


def read(file: RawFile, table: TableMap | None) -> Iterator[Event]:  # noqa: ARG001
    """Yield what the log says; see `formats.Reader`."""
    told: float | None = None
    for record in json_records(file):
        if isinstance(record, Unread | Truncated):
            yield record
            continue
        step = step_number(record.get("current_steps"))
        if step is None:
            continue  # the status of the whole
        if (of := finite(record.get("total_steps"))) != told:
            told = of
            units = {"loss_unit": "nats_per_token", "loss_kind": "interval_mean"}
            yield Facts(facts_of({**units, "schedule.steps": of or None}))
        tokens = finite(record.get("total_tokens"))
        if (loss := number(record.get("loss"))) is not None:
            yield Point(
                step,
                tokens=tokens,
                train_loss=loss,
                lr=number(record.get("lr", record.get("learning_rate"))),
                epoch=finite(record.get("epoch")),
            )
        for name, cell in record.items():
            told_of = evaluated(name)
            if told_of is not None and (value := number(cell)) is not None:
                eval_set, metric = told_of
                yield Evaluation(step, eval_set, value, metric, tokens=tokens)
