"""A run of more records than memory should take, laid out stretch by stretch.

It gives what all of its records at once give, as long as its steps only rise and nothing is
repeated: then what belongs together stands together. A long run that was restarted, or is read by
columns, is laid out at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from isoflop.ingest.checks.measures import Stretches
from isoflop.ingest.reading.blocks import RECORDS
from isoflop.ingest.reading.rows import LIMIT, Rows
from isoflop.ingest.runs.impossible import Impossible, impossible_losses
from isoflop.ingest.runs.segments import as_one_segment, eventful_runs
from isoflop.ingest.store.tabulate import between, by_steps, curves_table, evals_table, in_our_units
from isoflop.tables import Curves, Evals, types_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from isoflop.ingest.runs.logical_runs import Part, Run


@dataclass(frozen=True, slots=True)
class Long:
    """What a long run's records come to; fields as of `laid_out.LaidOut`, of one run."""

    curves: Rows
    evals: Rows
    reached: bool
    impossible: Impossible | None
    measured: Mapping[str, Any]


def is_long(run: Run) -> bool:
    """Tell whether a run has more records than memory should take, and may go by stretches."""
    part, *others = run.parts
    return (
        not others
        and part.several is None
        and part.run.restarts == 0
        and run.identity.value("curve_eval") is None
        and part.run.lines > LIMIT
    )


def lay_out_long(run: Run, below: Path | None) -> Long | None:
    """Lay out a long run; None if that must be done at once.

    Parameters
    ----------
    run : one for which `is_long` is true.
    below : folder for its tables; see `Rows`.
    """
    curves, evals = Rows(types_of(Curves), below), Rows(types_of(Evals), below)
    measured = Stretches(run.identity.nats)
    told: list[Impossible] = []
    reached = has_loss = False
    for records in _in_our_units(run):
        if records is None:
            return None
        finite = pl.any_horizontal(each.is_finite().any() for each in _LOSSES)
        has_loss |= bool(records.select(finite).item())
        told += impossible_losses(records).values()
        table = curves_table(records)
        reached |= bool((table["tokens"] > 0).any())
        measured.add(table)
        curves.append(Curves.cast(table.select(Curves.column_names())))
        evals.append(Evals.cast(evals_table(records)))
    impossible = None
    if told:
        count = sum(each.losses for each in told)
        words = f"{count} {told[0].words.partition(' ')[2]}"
        impossible = Impossible(count, words, no_other=not has_loss)
    fault = (0, "") if impossible is None else (impossible.losses, impossible.words)
    return Long(curves, evals, reached, impossible, measured.told(run.name, curves.pieces, fault))


_LOSSES = (pl.col("train_loss"), pl.when("primary").then("value"))


def _in_our_units(run: Run) -> Iterator[pl.DataFrame | None]:
    """Give a run's records as `records_of` does, some at a time; None where that cannot be."""
    (part,) = run.parts
    mixed = part.run.counts_tokens and part.run.counts_steps
    before = waiting = _NO_RECORDS
    for each in _stretches(part):
        records = None if each is None else _stretch(each, run)
        if records is None:
            yield None
            return
        if not mixed:
            yield by_steps(records)
            continue
        # D lies between the records around that give it, and some are in the next stretch
        after = _given(records)
        if waiting.is_empty():
            waiting = records
        elif after.is_empty():
            waiting = pl.concat([waiting, records])
        else:
            yield _with_all_tokens(waiting, before, after.head(1))
            before = pl.concat([before, _given(waiting)]).tail(2)
            waiting = records
    if waiting.height:
        yield _with_all_tokens(waiting, before, _NO_RECORDS)


_NO_RECORDS = pl.DataFrame(schema={"step": pl.Int64, "tokens": pl.Float64})


def _with_all_tokens(
    records: pl.DataFrame, before: pl.DataFrame, after: pl.DataFrame
) -> pl.DataFrame:
    """Count D where a record gives none, by those around that do."""
    given = pl.concat([before, _given(records), after])
    counted = between(given, records["step"].to_numpy())
    filled = records["tokens"].fill_null(pl.Series(counted))
    return by_steps(records.with_columns(tokens=filled))


def _stretch(records: pl.DataFrame, run: Run) -> pl.DataFrame | None:
    """Turn some records into our units; None where some are repeated."""
    if eventful_runs(records):
        return None
    named = as_one_segment(records.with_columns(run=pl.lit(run.name)))
    return in_our_units(named, [run])


def _given(records: pl.DataFrame) -> pl.DataFrame:
    """Give D by step, where it is logged after the first step."""
    known = records.filter(pl.col("tokens").is_not_null(), pl.col("step") > 0)
    return known.group_by("step").agg(pl.col("tokens").max()).sort("step")


def _stretches(part: Part) -> Iterator[pl.DataFrame | None]:
    """Divide a part's records where the step changes; None if steps do not only rise."""
    waiting = pl.DataFrame(schema=RECORDS)
    for piece in part.pieces():
        some = pl.concat([waiting, piece])
        steps = some["step"]
        if steps.null_count() or not steps.is_sorted() or (some["kind"] == "restart").any():
            yield None
            return
        cut = steps.search_sorted(steps[-1], side="left") if some.height else 0
        if cut:
            yield some.head(cut)
        waiting = some.slice(cut)
    if waiting.height:
        yield waiting
