"""The record that open_lm's experiments keep of a model: N, D, hyperparameters and its losses.

One JSON object, a finished run: `hyperparameters` has N in two counts, D and the batch; `results`
has the loss on each validation set, in the order of `--val-data`, which does not name them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from isoflop.ingest.reading.events import Ended, Evaluation, Event, Facts, Remark, Unread
from isoflop.ingest.reading.refused import RefusedError
from isoflop.ingest.reading.textlog import facts_of
from isoflop.ingest.words.numbers import encodable, finite, number, read_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from isoflop.config.sidecar import TableMap
    from isoflop.ingest.reading.source import RawFile

VERSION = 2


def read(file: RawFile, table: TableMap | None) -> Iterator[Event]:  # noqa: ARG001
    """Yield what the file says; see `formats.Reader`."""
    try:
        told = encodable(read_json("".join(file.lines())))
    except (ValueError, RecursionError) as error:
        raise RefusedError(f"no whole JSON object, so it was cut or damaged: {error}") from error
    settings = told.get("hyperparameters") if isinstance(told, dict) else None
    results = told.get("results") if isinstance(told, dict) else None
    if not isinstance(settings, dict) or not isinstance(results, list):
        raise RefusedError("it lacks 'hyperparameters' or 'results'")
    tokens = finite(settings.get("tokens"))
    if not tokens:
        raise RefusedError("its hyperparameters give no tokens")
    run = str(told.get("name") or "")
    yield Facts(facts_of(_facts(told, settings)), run)
    for place, result in enumerate(results, start=1):
        loss = number(result.get("loss")) if isinstance(result, dict) else None
        if loss is None:
            yield Unread()
        else:
            yield Evaluation(1, f"val_{place}", loss, tokens=tokens, run=run)
    yield Ended("finished", run)
    yield Remark(f"a finished run with {len(results)} validation sets, which it does not name")


def _facts(told: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Give the facts of the hyperparameters."""
    dataset = told.get("dataset_name")
    return {
        "params.total": finite(settings.get("params")),
        "params.nonembedding": finite(settings.get("params_no_embed")),
        "batch": finite(settings.get("global_bs")),
        "schedule.tokens": finite(settings.get("tokens")),
        "schedule.kind": "cosine",
        "schedule.warmup_steps": finite(settings.get("warmup")),
        "schedule.lr_peak": finite(settings.get("lr")),
        "schedule.lr_end": finite(settings.get("cd")),
        "dataset": dataset if isinstance(dataset, str) else None,
        "loss_unit": "nats_per_token",
        "loss_kind": "final",
    }
