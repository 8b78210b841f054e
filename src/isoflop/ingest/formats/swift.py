"""logging.jsonl of ms-swift: `{"loss": 7.39, ..., "global_step/max_steps": "1/20"}`.

On Megatron the step is `"iteration": "1/20"`, and the loss may be called `lm loss`. The step is a
text. The last line tells the state of the whole, and is no record. The loss is the
mean since the last line.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from isoflop.ingest.reading.events import Evaluation, Event, Facts, Point, Truncated, Unread
from isoflop.ingest.reading.textlog import facts_of, json_records
from isoflop.ingest.words import names
from isoflop.ingest.words.names import evaluated, tokens_seen
from isoflop.ingest.words.numbers import finite, number, step_number

if TYPE_CHECKING:
    from collections.abc import Iterator

    from isoflop.config.sidecar import TableMap
    from isoflop.ingest.reading.source import RawFile

VERSION = 5
COUNTER: Final = names.COUNTER

_STEPS: Final = ("global_step/max_steps", "iteration")
_STEP: Final = re.compile(r"([0-9]+)/([0-9]+)")


def read(file: RawFile, table: TableMap | None) -> Iterator[Event]:  # noqa: ARG001
    """Yield what the log says; see `formats.Reader`."""
    told: str | None = None
    for record in json_records(file):
        if isinstance(record, Unread | Truncated):
            yield record
            continue
        at = next((record[name] for name in _STEPS if name in record), "")
        match = _STEP.fullmatch(str(at))
        step = step_number(match[1]) if match else None
        if match is None or step is None:
            continue
        if match[2] != told:
            told = match[2]
            units = {"loss_unit": "nats_per_token", "loss_kind": "interval_mean"}
            yield Facts(facts_of({**units, "schedule.steps": finite(told) or None}))
        tokens, samples = tokens_seen(record), finite(record.get("consumed_samples"))
        cells = {name.replace("lm loss", "loss"): cell for name, cell in record.items()}
        if (loss := number(cells.get("loss"))) is not None:
            yield Point(
                step,
                tokens=tokens,
                samples=samples,
                train_loss=loss,
                lr=number(record.get("learning_rate")),
                grad_norm=number(record.get("grad_norm")),
                epoch=finite(record.get("epoch")),
            )
        for name, cell in cells.items():
            told_of = evaluated(name)
            if told_of is not None and (value := number(cell)) is not None:
                eval_set, metric = told_of
                yield Evaluation(step, eval_set, value, metric, tokens=tokens, samples=samples)
