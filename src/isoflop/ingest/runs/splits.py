"""TensorBoard's folders of one run, one a split: Keras's train/ and validation/, `add_scalars`'s.

Both call their loss the same, so that the validation losses would be those of another run's
training.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import polars as pl

from isoflop.ingest.reading.blocks import RECORDS
from isoflop.ingest.runs.merged import as_evaluations
from isoflop.ingest.words.split_words import TRAINED, VALIDATED, any_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from isoflop.ingest.reading.log import Log

EVAL_SET: Final = "validation"
_FOLDER: Final = re.compile(rf"(.*?)(?:({any_of(TRAINED)})|{any_of(VALIDATED)})")


def with_splits_joined(logs: Sequence[Log]) -> list[Log]:
    """Read the losses of a folder of validation as evaluations of the run in that of training."""
    folders: dict[tuple[str, str], tuple[list[int], list[int]]] = defaultdict(lambda: ([], []))
    homes = set()
    for place, log in enumerate(logs):
        if log.format != "tensorboard" or log.fate != "used":
            continue
        home, _, folder = log.file.name.rpartition("/")[0].rpartition("/")
        homes.add(log.file.name.rpartition("/")[0])
        if match := _FOLDER.fullmatch(folder.lower()):
            folders[home, match[1]][match[2] is None].append(place)
    joined = list(logs)
    for (home, _), (trained, evaluated) in folders.items():
        if len(trained) != len(evaluated):
            continue  # no telling which of training's files each goes with
        for first, second in zip(trained, evaluated, strict=True):
            both = _joined(logs[first], logs[second])
            if both is None:
                continue
            alone = home and home not in homes
            joined[first] = replace(both, called=f"{home}/run") if alone else both
            joined[second] = logs[second].ignored(
                f"read with {both.file.name}: its losses are those on '{EVAL_SET}'"
            )
    return joined


def _joined(trained: Log, evaluated: Log) -> Log | None:
    """Add the losses of a log as evaluations to another; None where either has more than one."""
    if trained.parsed is None or evaluated.parsed is None:
        return None
    if len(trained.parsed.runs) != 1 or len(evaluated.parsed.runs) != 1:
        return None
    run, other = trained.parsed.runs[0], evaluated.parsed.runs[0]
    rises = trained.parsed.records["step"].is_sorted()
    if run.eval_sets or other.eval_sets or not (run.trains and other.trains and rises):
        return None
    measured = as_evaluations(evaluated.parsed.records, EVAL_SET)
    records = pl.concat([trained.parsed.records, measured], how="diagonal_relaxed")
    kept = records.sort("step", maintain_order=True).select(
        pl.col(name).cast(dtype) for name, dtype in RECORDS.items()
    )
    told = replace(run, eval_sets=(EVAL_SET,), lines=kept.height)
    return replace(trained, parsed=replace(trained.parsed, runs=(told,), kept=kept)).noted(
        f"with the losses on '{EVAL_SET}' of {evaluated.file.name}"
    )
