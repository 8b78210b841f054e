"""Golden values of Megatron and NeMo: `{"lm loss": {"step_interval": 5, "values": {"5": 10.5}}}`.

Each quantity is one object of values by step, some of them the text `nan`. The files are made to
compare runs with; N, batch and schedule are in the configuration beside them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from isoflop.ingest.reading.events import Event, Facts, Point, Unread
from isoflop.ingest.reading.refused import RefusedError
from isoflop.ingest.reading.textlog import facts_of
from isoflop.ingest.words.numbers import number, read_json, step_number

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from isoflop.config.sidecar import TableMap
    from isoflop.ingest.reading.source import RawFile

VERSION = 2

_LOSSES: Final = ("lm loss", "lm_loss", "reduced_train_loss")
LARGEST: Final = 1 << 28
"""Bytes up to which a file is read; it is one JSON object."""


def read(file: RawFile, table: TableMap | None) -> Iterator[Event]:  # noqa: ARG001
    """Yield what the file says; see `formats.Reader`."""
    if file.size > LARGEST:
        raise RefusedError(f"larger than {LARGEST >> 20} MB; golden values are read whole")
    try:
        told = read_json("".join(file.lines()))
    except (ValueError, RecursionError) as error:
        raise RefusedError(f"no whole JSON object, so it was cut or damaged: {error}") from error
    losses = next((_values(told, name) for name in _LOSSES if _values(told, name)), None)
    if not losses:
        raise RefusedError("golden values without any of the loss ('lm loss')")
    seconds = _values(told, "iteration-time")
    yield Facts(facts_of({"loss_unit": "nats_per_token", "loss_kind": "interval_mean"}))
    steps = {text: step for text in losses if (step := step_number(text)) is not None}
    yield from [Unread()] * (len(losses) - len(steps))
    for text, step in sorted(steps.items(), key=lambda item: item[1]):
        loss = number(losses[text])
        if loss is None:
            yield Unread()
        else:
            yield Point(step, train_loss=loss, step_seconds=number(seconds.get(text)))


def _values(told: Any, name: str) -> Mapping[str, Any]:
    """Give the values of a quantity by step; none if there are none."""
    quantity = told.get(name) if isinstance(told, dict) else None
    values = quantity.get("values") if isinstance(quantity, dict) else None
    return values if isinstance(values, dict) else {}
