"""The raw log of `isoflop train-run`: JSON lines, the header first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from isoflop.config.sidecar import RunArchitecture, RunFacts, RunParams, RunSchedule
from isoflop.ingest.reading.events import (
    Ended,
    Evaluation,
    Event,
    Facts,
    Point,
    Restart,
    Truncated,
    Unread,
)
from isoflop.ingest.reading.refused import RefusedError
from isoflop.ingest.reading.textlog import json_records
from isoflop.ingest.words.numbers import finite, number, step_number

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from isoflop.config.sidecar import TableMap
    from isoflop.ingest.reading.source import RawFile

VERSION = 3
HEADER_VERSIONS = (1, 2)
"""The versions of the header that this reader knows. 2: schedules with a decay of their own, trunks
and cooldowns, eval sets by name."""

_NOT_METRICS = frozenset({"kind", "step", "tokens", "eval_set"})


def read(file: RawFile, table: TableMap | None) -> Iterator[Event]:  # noqa: ARG001
    """Yield what the log says; see `formats.Reader`."""
    run = ""
    for record in json_records(file):
        if isinstance(record, Unread | Truncated):
            yield record
        elif record.get("kind") == "header":
            event = _header(record)
            if run == event.run:
                yield Restart(run=run)  # the same run was begun again in the same file
            run = event.run
            yield event
        elif not run:
            raise RefusedError(
                "its header, the first line, is missing; the log cannot be told a run"
            )
        else:
            yield from _events(record, run)


def _events(record: Mapping[str, Any], run: str) -> Iterator[Event]:
    """Turn a line after the header into events."""
    step, tokens = step_number(record.get("step")), finite(record.get("tokens"))
    if step is None:
        yield Unread()
        return
    match record.get("kind"):
        case "train":
            yield Point(
                step=step,
                tokens=tokens,
                train_loss=number(record.get("train_loss")),
                lr=number(record.get("lr")),
                grad_norm=number(record.get("grad_norm")),
                tokens_per_second=number(record.get("tokens_per_second")),
                run=run,
            )
        case "eval":
            eval_set = str(record.get("eval_set"))
            for metric in sorted(record.keys() - _NOT_METRICS):
                value = number(record[metric])
                if value is not None:
                    yield Evaluation(step, eval_set, value, metric, tokens, run)
        case "resume":
            yield Restart(step, run)
        case "end" if record.get("status") in ("finished", "diverged"):
            yield Ended(record["status"], run)
        case _:
            yield Unread()


def _header(record: Mapping[str, Any]) -> Facts:
    """Turn the header into facts."""
    if record.get("version") not in HEADER_VERSIONS:
        known = " and ".join(map(str, HEADER_VERSIONS))
        raise RefusedError(
            f"its header has version {record.get('version')!r}; this reader knows {known}"
        )
    try:
        return Facts(_facts(record), run=str(record["run"]))
    except (KeyError, TypeError, AttributeError, ValidationError) as error:
        raise RefusedError(
            f"its header is not as the trainer writes it: {_short(error)}"
        ) from error


def _facts(record: Mapping[str, Any]) -> RunFacts:
    shape: Mapping[str, Any] = record["architecture"]
    schedule: Mapping[str, Any] = record["schedule"]
    corpus: Mapping[str, Any] = record.get("corpus") or {}
    tokenizer: Mapping[str, Any] = record.get("tokenizer") or {}
    evaluation: Mapping[str, Any] = record.get("eval") or {}
    final, curve = evaluation.get("final"), evaluation.get("curve")
    known = RunArchitecture.model_fields.keys()
    return RunFacts(
        role=record["role"],
        sized_by=record.get("sized_by"),
        budget=record.get("budget"),
        architecture=RunArchitecture(**{k: v for k, v in shape.items() if k in known}),
        params=RunParams(**record["params"]),
        tokens_per_step=record["tokens_per_step"],
        flops_per_token=record.get("flops_per_token", {}).get(record.get("flops_convention")),
        schedule=RunSchedule(
            kind=schedule["kind"],
            steps=schedule["steps"],
            warmup_steps=schedule["warmup_steps"],
            lr_peak=schedule["lr_peak"],
            lr_end=schedule["lr_end"],
        ),
        loss_unit="nats_per_token",
        loss_kind="interval_mean",
        primary_eval=final,
        curve_eval=None if curve == final else curve,
        dataset=corpus.get("name"),
        unique_tokens=corpus.get("train_tokens"),
        tokenizer=tokenizer.get("kind"),
        seed=record.get("seed"),
    )


def _short(error: Exception) -> str:
    """Say an error in one line."""
    if isinstance(error, ValidationError):
        return "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
    if isinstance(error, KeyError):
        return f"it lacks '{error.args[0]}'"
    return str(error)
