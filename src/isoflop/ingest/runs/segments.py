"""Restarts: which records a later part of the same run replaced.

A restart goes on from a checkpoint, so it replays steps that the log already has. The records fall
into segments; a later segment supersedes every earlier record from its own first step on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    from collections.abc import Iterator


def with_segments(records: pl.DataFrame) -> pl.DataFrame:
    """Split runs into segments, and drop records that only repeat an earlier one.

    Parameters
    ----------
    records : training and evaluation lines and marked restarts of any runs, each run's together and
        in the order of its logs; columns as in `parsed.RECORDS`. A step that goes back is a restart
        without mark, unless the line says the very same again: then it is a second rank's or a
        copied line.

    Returns
    -------
    The training and evaluation records without repetitions, in order, with columns

    segment : 0, and one more after each restart that has records.
    superseded : whether a later segment of the run replaced the record.
    """
    plain = as_one_segment(records)
    eventful = eventful_runs(records)
    if not eventful:
        return plain
    pieces = [
        _divided(run) if run["run"][0] in eventful else run
        for run in plain.partition_by("run", maintain_order=True)
    ]
    return pl.concat(pieces)


def as_one_segment(records: pl.DataFrame) -> pl.DataFrame:
    """Give records of runs in which nothing happens the columns of `with_segments`."""
    return records.with_columns(segment=pl.lit(0, dtype=pl.Int64), superseded=pl.lit(value=False))


def eventful_runs(records: pl.DataFrame) -> frozenset[str]:
    """Name the runs in which anything is marked, goes back or is repeated: few, in most sweeps."""
    key = ("run", "kind", "step", "eval_set", "metric")
    told = records.select(
        "run",
        eventful=(pl.col("kind") == "restart")
        | (pl.col("step").diff().over("run", "kind") < 0).fill_null(value=False)
        | pl.struct(key).is_duplicated(),
    )
    return frozenset(told.filter("eventful")["run"].unique())


def _divided(records: pl.DataFrame) -> pl.DataFrame:
    """Divide one run into its segments, record by record."""
    kept: list[int] = []
    segments: list[int] = []
    resumed_at: dict[int, int | None] = {}
    for row, segment, resumed in _walk(records):
        kept.append(row)
        segments.append(segment)
        resumed_at.setdefault(segment, resumed)
    chosen = records[kept].with_columns(pl.Series("segment", segments, dtype=pl.Int64))
    first = _first_replayed_step(chosen, resumed_at)
    return (
        chosen.join(first, on="segment", how="left", maintain_order="left")
        .with_columns(
            superseded=(pl.col("step") >= pl.col("replayed_from").fill_null(2**62)) | pl.col("died")
        )
        .drop("replayed_from", "died")
    )


def _walk(records: pl.DataFrame) -> Iterator[tuple[int, int, int | None]]:
    """Yield (row, segment, step resumed at) for every record that is not a repetition."""
    segment, pending, resumed = 0, False, None
    latest: dict[str, int] = {}
    seen: set[tuple[object, ...]] = set()
    seen_keys: set[tuple[object, ...]] = set()
    columns = ("kind", "step", "eval_set", "metric", "train_loss", "value")
    for row, values in enumerate(records.select(columns).iter_rows()):
        kind, step, eval_set, metric, train_loss, value = values
        if kind == "restart":
            pending, resumed = True, step
            continue
        key = (kind, step, eval_set, metric)
        record = (*key, repr(train_loss), repr(value))  # repr: NaN equals no NaN
        if record in seen and not pending:
            continue
        if not pending and step < latest.get(kind, -1):
            pending, resumed = True, None
        if pending:
            segment += bool(seen)
            pending = False
            latest.clear()
            seen.clear()
            seen_keys.clear()
        if key in seen_keys:
            continue  # another rank's line for the step just seen: the first one stands
        seen.add(record)
        seen_keys.add(key)
        latest[kind] = step
        yield row, segment, resumed


def _first_replayed_step(records: pl.DataFrame, resumed_at: dict[int, int | None]) -> pl.DataFrame:
    """For each segment, the first step that a later segment has again, if any.

    A launch that died before its first update replaces nothing: it is itself replaced by the
    launch before it, if there is one that got further.
    """
    steps = records.group_by("segment").agg(first=pl.col("step").min(), last=pl.col("step").max())
    got_further = (steps["last"] > 0).any()
    rows = []
    lowest: int | None = None
    for segment, first, last in steps.sort("segment", descending=True).iter_rows():
        died = last == 0 and got_further and segment > 0
        rows.append((segment, lowest, died))
        if died:
            continue
        resumed = resumed_at.get(segment)
        begins = first if resumed is None else min(first, resumed + 1)
        lowest = begins if lowest is None else min(lowest, begins)
    schema = {"segment": pl.Int64, "replayed_from": pl.Int64, "died": pl.Boolean}
    return pl.DataFrame(rows, schema=schema, orient="row")
