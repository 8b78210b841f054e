"""A log to whose run the records of further files come."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import TYPE_CHECKING

import polars as pl

from isoflop.ingest.reading.blocks import RECORDS, Block
from isoflop.ingest.reading.parsed import gather

if TYPE_CHECKING:
    from collections.abc import Sequence

    from isoflop.ingest.reading.log import Log


def merged(log: Log, records: pl.DataFrame, others: Sequence[Log], *, of_log: bool = True) -> Log:
    """Give a log of one run its records with those of other files.

    Parameters
    ----------
    log : the log, of one run.
    records : all of them, rows as in `RECORDS`, in order.
    others : the files whose records come to it.
    of_log : whether what they say besides is said by the log, too, and not by its settings.
    """
    assert log.parsed is not None  # noqa: S101  the caller chose files that were read
    run = log.parsed.runs[0]
    kept = records.select(pl.col(name).cast(dtype) for name, dtype in RECORDS.items())
    kept = kept.with_columns(run=pl.lit(run.name))
    (counted,) = gather([Block(kept.with_row_index("row").cast({"row": pl.Int64}))]).runs
    told = [each.parsed.runs[0] for each in others if of_log and each.parsed is not None]
    facts = [*run.facts, *(facts for each in told for facts in each.facts)]
    counted = replace(
        counted,
        facts=tuple(each for place, each in enumerate(facts) if each not in facts[:place]),
        **{
            name: getattr(run, name)
            for name in (
                "status", "excluded", "anew", "key", "counts_lines", "counts_by", "named_by_kind",
                "written", "passes", "turns",
            )
        },
    )  # fmt: skip
    parsed = replace(log.parsed, runs=(counted,), kept=kept)
    return replace(log, parsed=parsed, key=_key([log, *others]))


def as_evaluations(records: pl.DataFrame, eval_set: str) -> pl.DataFrame:
    """Give the losses in training among records as evaluations on a set, rows as in `RECORDS`."""
    losses = records.filter(pl.col("train_loss").is_not_null())
    measured = losses.select("run", "step", "tokens", "samples", value="train_loss")
    told = measured.with_columns(
        kind=pl.lit("eval"), eval_set=pl.lit(eval_set), metric=pl.lit("loss")
    )
    named = {name: dtype for name, dtype in RECORDS.items() if name not in told.columns}
    empty = told.with_columns(pl.lit(None, dtype).alias(name) for name, dtype in named.items())
    return empty.select(pl.col(name).cast(dtype) for name, dtype in RECORDS.items())


def _key(logs: Sequence[Log]) -> str | None:
    """Say what the readings of several files depend on; None if one of them may change."""
    keys = [log.key for log in logs]
    return None if None in keys else hashlib.sha256(json.dumps(keys).encode()).hexdigest()
