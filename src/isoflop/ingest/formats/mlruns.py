"""A run in MLflow's older store of plain files, `mlruns/<experiment>/<run>/`.

`metrics/<key>` has a line `<time> <value> <step>` for each value.
ingest/reading/mlruns.py gathers the files of a run into one; the values mean what they do in the
database.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import polars as pl

from isoflop.ingest.formats.mlflow import wide
from isoflop.ingest.formats.table import blocks_of_frame
from isoflop.ingest.reading.blocks import Block
from isoflop.ingest.reading.events import Ended, Event, Facts, Identity, Unread, Written
from isoflop.ingest.reading.refused import RefusedError
from isoflop.ingest.reading.settings import facts_of_settings
from isoflop.ingest.tables.wall_time import Times
from isoflop.ingest.words.numbers import encodable, number, read_json, step_number

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from isoflop.config.sidecar import TableMap
    from isoflop.ingest.reading.source import RawFile

VERSION = 12
TAKES_MAP = True

_CRASHED: Final = frozenset({"4", "5", "FAILED", "KILLED"})


def scan(file: RawFile, table: TableMap | None) -> Iterator[Block]:
    """Yield what the run's files say; see `formats.Reader`."""
    try:
        told = encodable(read_json("".join(file.lines()).partition("\n")[2]))
        run, metrics, params = told["run"], told["metrics"], told["params"]
        if run.get("lifecycle_stage", "active") != "active":
            raise RefusedError("a run that was deleted")
        times = Times()
        events, values = _values(metrics, times)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise RefusedError(f"no run of MLflow's: {error}") from error
    key = str(run.get("run_id") or run.get("run_uuid") or "")
    name = str(run.get("run_name") or key)
    if key:
        events.append(Identity(f"mlflow:{key}", name))
    settings = {name: text.strip() for name, text in params.items() if isinstance(text, str)}
    events.append(Facts(facts_of_settings(settings), name))
    if str(run.get("status")) in _CRASHED:
        events.append(Ended("crashed", name))
    raw, replaced = wide([[(name, *value) for value in values]])
    events += replaced
    if raw.is_empty():
        raise RefusedError("the run has logged no metric")
    events += (Written(each.first, each.last, name) for each in times.events([""]))
    last = 0
    for block in blocks_of_frame(raw.drop("run"), table, stem=file.stem, run=name, logged=True):
        last += block.frame.height
        yield block
    yield Block(pl.DataFrame(schema={"row": pl.Int64}), tuple((last, event) for event in events))


def _values(metrics: Mapping[str, Any], times: Times) -> tuple[list[Event], list[tuple[Any, ...]]]:
    """Read the values in the order of their times: (key, value, step, whether it is NaN)."""
    events: list[Event] = []
    values: list[tuple[float, tuple[Any, ...]]] = []
    for key, text in sorted(metrics.items()):
        for line in str(text).splitlines():
            cells = [*line.split(), "", "", ""][:3]
            time, value, step = number(cells[0]), number(cells[1]), step_number(cells[2] or "0")
            if time is None or value is None or step is None:
                events.append(Unread())
            else:
                times.see("", time / 1e3)
                values.append((time, (key, value, step, int(value != value))))  # noqa: PLR0124
    return events, [value for _, value in sorted(values, key=lambda each: each[0])]
