"""The store of MLflow, `mlflow.db`: many runs of many experiments in one SQLite database.

Table `metrics` has a row per value: its key, step and time. Values of one run and step are one
record; of several values of one key and step the latest counts. Where the steps of the loss in
training fall as time goes on and make others anew, the run was launched anew under its id. `params`
are the settings. Deleted runs are left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl

from isoflop.ingest.formats.table import blocks_of_frame
from isoflop.ingest.reading.blocks import Block
from isoflop.ingest.reading.database import opened
from isoflop.ingest.reading.events import Ended, Event, Facts, Identity, Remark
from isoflop.ingest.reading.launches import launch_numbers
from isoflop.ingest.reading.refused import RefusedError
from isoflop.ingest.reading.runnames import named_apart
from isoflop.ingest.reading.settings import facts_of_settings
from isoflop.ingest.tables.wall_time import Times
from isoflop.ingest.words.names import loss_curve

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from isoflop.config.sidecar import TableMap
    from isoflop.ingest.reading.source import RawFile

VERSION = 14
TAKES_MAP = True

_NEEDED = {
    "metrics": ("key", "value", "timestamp", "run_uuid", "step", "is_nan"),
    "params": ("key", "value", "run_uuid"),
    "runs": ("run_uuid", "name", "status", "lifecycle_stage", "start_time"),
}
# cast, since SQLite keeps whatever is written into a column of texts, a number too
_RUNS: Final = (
    "SELECT CAST(run_uuid AS TEXT), CAST(name AS TEXT), status, lifecycle_stage FROM runs "
    "ORDER BY start_time, run_uuid"
)
_PARAMS: Final = "SELECT CAST(run_uuid AS TEXT), CAST(key AS TEXT), value FROM params"
_METRICS: Final = (
    "SELECT CAST(run_uuid AS TEXT), CAST(key AS TEXT), value, step, is_nan, timestamp FROM metrics "
    "ORDER BY timestamp, step"
)
_CRASHED = frozenset({"FAILED", "KILLED"})


def scan(file: RawFile, table: TableMap | None) -> Iterator[Block]:
    """Yield what the file says; see `formats.Reader`."""
    times = Times()
    with opened(file, _NEEDED) as database:
        runs = [*database.rows(_RUNS)]
        params = [*database.rows(_PARAMS)]
        live = [(str(key), str(name or "")) for key, name, _, stage in runs if stage == "active"]
        names = named_apart(live)
        raw, replaced = wide(_named(some, names, times) for some in database.batches(_METRICS))
    settings: dict[str, dict[str, Any]] = {key: {} for key in names}
    for key, name, value in params:
        settings.get(str(key), {})[str(name)] = value
    events: list[Event] = []
    for key, _, status, _ in runs:
        if key in names:
            events.append(Identity(f"mlflow:{key}", names[key]))
            events.append(Facts(facts_of_settings(settings[key]), names[key]))
            if status in _CRASHED:
                events.append(Ended("crashed", names[key]))
    if len(live) < len(runs):
        events.append(Remark(f"{len(runs) - len(live)} runs that were deleted are left out"))
    if raw.is_empty():
        raise RefusedError("no run has logged any metric")
    events += [*replaced, *without_metrics(names.values(), raw)]
    events += times.events(raw["run"].unique())
    last = 0
    for block in blocks_of_frame(raw, table, stem=file.stem, logged=True):
        last += block.frame.height
        yield block
    yield Block(pl.DataFrame(schema={"row": pl.Int64}), tuple((last, event) for event in events))


def _named(
    rows: Iterable[tuple[Any, ...]], names: Mapping[str, str], times: Times
) -> list[tuple[Any, ...]]:
    """Give the values of runs by their names, and see their times."""
    kept = []
    for key, *value, time in rows:
        if key in names:
            kept.append((names[key], *value))
            if isinstance(time, int):
                times.see(names[key], time / 1e3)
    return kept


def without_metrics(names: Iterable[str], raw: pl.DataFrame) -> list[Event]:
    """Tell of runs that have logged nothing."""
    logged = set(raw["run"].unique())
    empty = [name for name in names if name not in logged]
    if not empty:
        return []
    shown = ", ".join(f"'{name}'" for name in empty[:RUNS_SHOWN])
    more = f" and {len(empty) - RUNS_SHOWN} more" if len(empty) > RUNS_SHOWN else ""
    return [Remark(f"runs left out, without any metric: {shown}{more}")]


INFINITY: Final = 1.7976931348623157e308
"""What MLflow's SQL store writes for an infinite value, which SQL has none for."""
RUNS_SHOWN: Final = 5
"""Runs named of those that have logged nothing."""


def wide(metrics: Iterable[Sequence[tuple[Any, ...]]]) -> tuple[pl.DataFrame, list[Remark]]:
    """Lay values out as a table: a row per run, launch and step, a column per key.

    Parameters
    ----------
    metrics : (run, key, value, step, whether it is NaN), in the order of their times, some at once.

    Returns
    -------
    The rows of each run, launch by launch; and what to know of values that others replace.
    """
    values = _with_launches(pl.concat([_values(()), *map(_values, metrics)]))
    latest = values.unique(["run", LAUNCH, "step", "key"], keep="last", maintain_order=True)
    if latest.is_empty():
        return latest, []
    index = ["run", LAUNCH, "step"]
    table = latest.pivot("key", index=index, values="value", maintain_order=True)
    remarks = []
    if repeated := values.height - latest.height:
        remarks.append(
            Remark(f"{repeated} values left out for a later one of the same metric and step")
        )
    if anew := table.select("run", LAUNCH).unique().filter(pl.col(LAUNCH) > 0).height:
        remarks.append(
            Remark(
                f"steps fall {anew} times as time goes on: later launches under a run's id, which "
                f"replace what was logged before from their first step on"
            )
        )
    return table.sort(index, maintain_order=True).drop(LAUNCH), remarks


LAUNCH: Final = "launch of the run"


def _with_launches(values: pl.DataFrame) -> pl.DataFrame:
    """Count the launches of each run, and put each value in the one that made its step.

    See `launches.launch_numbers`.
    """
    plain = values.with_columns(pl.lit(0, pl.Int64).alias(LAUNCH))
    fallen = values.filter((pl.col("step").diff() < 0).over("run", "key"))["run"].unique()
    if fallen.is_empty():
        return plain
    rows = values.with_row_index("at").filter(pl.col("run").is_in(fallen.implode()))
    numbers = np.zeros(values.height, dtype=np.int64)
    for of_run in rows.drop_nulls("step").partition_by("run"):
        clock = np.flatnonzero((of_run["key"] == _clock(of_run)).to_numpy())
        numbers[of_run["at"].to_numpy()] = launch_numbers(of_run["step"].to_numpy(), clock)
    return plain.with_columns(pl.Series(LAUNCH, numbers))


def _clock(of_run: pl.DataFrame) -> str:
    """Name the metric of which the steps tell a run's launches: its loss, or the most logged."""
    counts = of_run.group_by("key").agg(
        pl.len(),
        falls=(pl.col("step").diff() < 0).sum(),
        system=pl.col("key").first().str.starts_with("system/"),
    )
    most = dict(counts.select("key", "len").iter_rows())
    curve, _ = loss_curve(most)
    if curve is not None and most[curve] > 1:
        return curve
    return str(counts.sort("system", -pl.col("len"), "falls", "key")["key"][0])


def _values(metrics: Sequence[tuple[Any, ...]]) -> pl.DataFrame:
    """Lay values out one below the other; parameter as of `wide`."""
    columns = list(zip(*metrics, strict=True)) or [()] * 5
    huge = pl.col("value").abs() >= INFINITY
    finite = pl.when(huge).then(pl.col("value").sign() * float("inf")).otherwise("value")
    value = pl.when("nan").then(float("nan")).otherwise(finite)
    return (
        pl.DataFrame(
            {
                "run": pl.Series(columns[0], dtype=pl.String),
                "key": pl.Series(columns[1], dtype=pl.String),
                "value": pl.Series(columns[2], dtype=pl.Float64, strict=False),
                "step": pl.Series(columns[3], dtype=pl.Int64, strict=False),
                "nan": pl.Series(columns[4], dtype=pl.Int64, strict=False) != 0,
            }
        )
        .filter(~pl.col("key").is_in(["run", "step", LAUNCH]))
        .select("run", "step", "key", value=value)
    )
