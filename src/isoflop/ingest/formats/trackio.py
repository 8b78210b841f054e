"""A project of trackio, `<project>.db`: many runs in one SQLite database.

Table `metrics` has a row per `trackio.log` with its values as JSON, table `configs` the
configurations. Its own step counts calls unless the trainer gives one, so it is called `_step` here
as in W&B's files, and is a step only beside tokens, or where `table:` of sweep.yaml says so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import polars as pl

from isoflop.ingest.formats.table import blocks_of_frame
from isoflop.ingest.reading.blocks import Block
from isoflop.ingest.reading.cells import frame_of_records
from isoflop.ingest.reading.database import opened
from isoflop.ingest.reading.events import Event, Facts, Identity, Remark, Unread
from isoflop.ingest.reading.refused import RefusedError
from isoflop.ingest.reading.runnames import named_apart
from isoflop.ingest.reading.settings import facts_of_settings
from isoflop.ingest.tables.wall_time import Times, time_in
from isoflop.ingest.words.numbers import json_object

if TYPE_CHECKING:
    from collections.abc import Iterator

    from isoflop.config.sidecar import TableMap
    from isoflop.ingest.reading.source import RawFile

VERSION = 11
TAKES_MAP = True

_QUERIES: Final = {
    True: (
        "SELECT run_id, run_name, step, metrics FROM metrics ORDER BY rowid",
        "SELECT run_id, config FROM configs",
    ),
    False: (
        "SELECT run_name, run_name, step, metrics FROM metrics ORDER BY rowid",
        "SELECT run_name, config FROM configs",
    ),
}
"""Of metrics and configurations, by whether runs have ids: older versions know them by name."""
_TIMES: Final = {
    True: "SELECT run_id, timestamp FROM metrics",
    False: "SELECT run_name, timestamp FROM metrics",
}
"""When values were logged, the same."""


def scan(file: RawFile, table: TableMap | None) -> Iterator[Block]:
    """Yield what the file says; see `formats.Reader`."""
    needed = {"metrics": ("run_name", "step", "metrics"), "configs": ("run_name", "config")}
    with opened(file, needed) as database:
        columns = database.tables["metrics"]
        metrics, configs = _QUERIES["run_id" in columns]
        logged, told = [*database.rows(metrics)], [*database.rows(configs)]
        stamped = [*database.rows(_TIMES["run_id" in columns])] if "timestamp" in columns else []
    names = named_apart(dict.fromkeys((str(key), str(name)) for key, name, _, _ in logged))
    events: list[Event] = [Identity(f"trackio:{file.stem}/{key}", names[key]) for key in names]
    for key, config in told:
        if str(key) in names and (settings := json_object(_text(config))) is not None:
            events.append(Facts(facts_of_settings(settings), names[str(key)]))
    times = Times()
    for key, time in stamped:
        if (seconds := time_in(_text(time).encode())) is not None:
            times.see(names[str(key)], seconds)
    records: list[dict[str, Any]] = []
    for key, _, step, text in logged:
        values = json_object(_text(text))
        if values is None:
            events.append(Unread())
        else:
            records.append({**values, "run": names[str(key)], "_step": step})
    silent = {str(key) for key, _ in told} - names.keys()
    if silent and logged:
        events.append(
            Remark(f"{len(silent)} runs left out that have a configuration and no metric")
        )
    if not records:
        raise RefusedError("no run has logged anything")
    raw = frame_of_records(records, text="run")
    events += times.events(raw["run"].unique())
    yield from blocks_of_frame(raw, table, stem=file.stem, sampled=False, logged=True)
    yield Block(pl.DataFrame(schema={"row": pl.Int64}), tuple((-1, event) for event in events))


def _text(value: Any) -> str:
    """Give JSON, which older versions keep as text and newer ones as bytes."""
    return value.decode("utf-8", errors="replace") if isinstance(value, bytes) else str(value)
