"""trainer_state.json of the HF Trainer: every line that it logged, with its step.

`loss` is the mean since the last line, rounded to four decimals; with logging_nan_inf_filter, its
default, NaN is hidden there. `train_loss` is the mean of the whole run, and lines without a step
are predictions: neither is a record. Of several checkpoints of one run the newest has all that
earlier ones have. N and the context are not in the file.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from isoflop.ingest import names
from isoflop.ingest.events import Evaluation, Event, Facts, LeftOutRows, Point, Unread
from isoflop.ingest.names import evaluated, tokens_seen
from isoflop.ingest.numbers import encodable, finite, number, step_number
from isoflop.ingest.refused import RefusedError
from isoflop.ingest.textlog import facts_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from isoflop.config.sidecar import TableMap
    from isoflop.ingest.source import RawFile

VERSION = 3
COUNTER: Final = names.COUNTER
LARGEST: Final = 1 << 30
"""Bytes up to which a state is read; it is one JSON object, and read whole."""


def read(file: RawFile, table: TableMap | None) -> Iterator[Event]:  # noqa: ARG001
    """Yield what the file says; see `formats.Reader`."""
    state = _state(file)
    history = state.get("log_history")
    if not isinstance(history, list):
        raise RefusedError("its log_history is no list")
    yield Facts(_facts(state))
    without_step = 0
    for entry in history:
        if not isinstance(entry, dict):
            yield Unread()
            continue
        step = step_number(entry.get("step"))
        if step is None:
            without_step += 1
            continue
        yield from _record(step, entry)
    if without_step:
        yield LeftOutRows(without_step, "no step: a prediction after training")


def _state(file: RawFile) -> dict[str, Any]:
    """Read the file's one object."""
    if file.size > LARGEST:
        raise RefusedError(f"larger than {LARGEST >> 20} MB; trainer_state.json is read whole")
    text = "".join(file.lines())
    try:
        state = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RefusedError(f"no whole JSON object, so it was cut or damaged: {error}") from error
    if not isinstance(state, dict):
        raise RefusedError("no JSON object")
    return encodable(state)  # type: ignore[no-any-return]


def _facts(state: Mapping[str, Any]) -> Any:
    return facts_of(
        {
            "loss_unit": "nats_per_token",
            "loss_kind": "interval_mean",
            "schedule.steps": finite(state.get("max_steps")) or None,
        }
    )


def _record(step: int, entry: Mapping[str, Any]) -> Iterator[Event]:
    """Turn an entry into a point or evaluations."""
    tokens = tokens_seen(entry)
    if "loss" in entry:
        loss = number(entry["loss"])
        if loss is None:
            yield Unread()
        else:
            yield Point(
                step,
                tokens=tokens,
                train_loss=loss,
                lr=number(entry.get("learning_rate")),
                grad_norm=number(entry.get("grad_norm")),
                epoch=finite(entry.get("epoch")),
            )
    for name, value in entry.items():
        if (told := evaluated(name)) is not None:
            eval_set, metric = told
            loss = number(value)
            if loss is None:
                yield Unread()
            else:
                yield Evaluation(step, eval_set, loss, metric, tokens=tokens)
