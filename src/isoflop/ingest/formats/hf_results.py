"""all_results.json and eval_results.json of the HF Trainer: the last values of a finished run.

A run with its final evaluation alone. `train_loss` there is the mean of the whole run, and no final
loss. D is what the Trainer counted, or else its samples, `epoch` times `train_samples`. Where
trainer_state.json of the run is at hand, that has the curve too, and this file is not read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from isoflop.ingest.reading.events import (
    CountsLines,
    Ended,
    Evaluation,
    Event,
    Facts,
    Point,
    Remark,
)
from isoflop.ingest.reading.refused import RefusedError
from isoflop.ingest.reading.textlog import facts_of
from isoflop.ingest.words.names import evaluated, tokens_seen
from isoflop.ingest.words.numbers import encodable, finite, number, read_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from isoflop.config.sidecar import TableMap
    from isoflop.ingest.reading.source import RawFile

VERSION = 2
RUN_IS_FOLDER = True

_INSTEAD = "drop in trainer_state.json of the last checkpoint, which has the curve"


def read(file: RawFile, table: TableMap | None) -> Iterator[Event]:  # noqa: ARG001
    """Yield what the file says; see `formats.Reader`."""
    told = _results(file)
    losses = [
        (*named, loss)
        for name, value in told.items()
        if (named := evaluated(name)) is not None and (loss := number(value)) is not None
    ]
    if not losses:
        raise RefusedError(
            "it has no eval_loss, and train_loss is the mean of the whole run, no final loss: "
            f"{_INSTEAD}"
        )
    tokens = tokens_seen(told)
    epochs, each = finite(told.get("epoch")), finite(told.get("train_samples"))
    samples = epochs * each if tokens is None and epochs and each else None
    if tokens is None and samples is None:
        raise RefusedError(
            "it does not say how much was read: neither num_input_tokens_seen, nor train_samples "
            f"beside epoch, which all_results.json has: {_INSTEAD}"
        )
    yield Facts(facts_of({"loss_unit": "nats_per_token", "loss_kind": "final"}))
    yield CountsLines()  # its one record is no update
    flops = finite(told.get("total_flos"))
    if flops:
        yield Point(1, tokens=tokens, samples=samples, flops=flops)
    for eval_set, metric, loss in losses:
        yield Evaluation(1, eval_set, loss, metric, tokens=tokens, samples=samples)
    yield Ended("finished")
    yield Remark(f"the last values of a run alone: {_INSTEAD}")


def _results(file: RawFile) -> Mapping[str, Any]:
    """Read the file's one object."""
    try:
        told = encodable(read_json("".join(file.lines())))
    except (ValueError, RecursionError) as error:
        raise RefusedError(f"no whole JSON object, so it was cut or damaged: {error}") from error
    if not isinstance(told, dict):
        raise RefusedError("no JSON object")
    return told
