"""Parts of one run: the later one counts, by printed times, by steps, by names in that order."""

from __future__ import annotations

import datetime as dt
import gzip
import json
import re
import sqlite3
import struct
from typing import TYPE_CHECKING

import polars as pl
import pytest

from isoflop.errors import ConfigError
from isoflop.ingest.reading.source import RawFile
from isoflop.ingest.tables.wall_time import Times, last_day, time_in, written
from isoflop.tables import newest_day
from tests.ingest.samples import ingest, nanogpt, row, write

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from isoflop.ingest.sweep import Ingested

ONE = "title: t\nruns: [{match: '*.log', run: one}]\nfacts: {batch: 4}\n"


def megatron(steps: Iterable[int], hour: int, loss: float, *, timed: bool = True) -> str:
    """What Megatron prints of some steps, from an hour on; its loss is that of the part."""
    lines = [
        "using world size: 1, tensor-model-parallel size: 1, pipeline-model-parallel size: 1",
        " number of parameters on (tensor, pipeline) model parallel rank (0, 0): 16000",
        "  seq_length ...................................... 64",
        "  train_iters ..................................... 100",
    ]
    for place, step in enumerate(steps):
        time = dt.datetime(2026, 5, 28, hour, tzinfo=dt.UTC) + dt.timedelta(minutes=10 * place)
        stamp = f" [{time:%Y-%m-%d %H:%M:%S}]" if timed else ""
        lines.append(
            f"{stamp} iteration {step:8d}/     100 | consumed samples: {4 * step:12d} | elapsed "
            f"time per iteration (ms): 512.3 | learning rate: 2.500000E-04 | global batch size:"
            f"     4 | lm loss: {loss + 0.1 / step:.6E} | loss scale: 1.0 | grad norm: 1.200 |"
        )
    return "\n".join(lines) + "\n"


def end(tables: Ingested) -> tuple[int, float]:
    """Give the last live step and its loss."""
    live = tables.curves.filter(~tables.curves["superseded"]).sort("step")
    return live["step"][-1], live["train_loss"][-1]


def test_a_resumed_part_counts_though_its_name_comes_first(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {
        "b.log": megatron(range(10, 71, 10), 10, 7.6),
        "a.log": megatron(range(60, 101, 10), 15, 2.0),
    }
    tables = ingest(tmp_path / "s", files, ONE)
    run = row(tables.runs, "run", "one")
    assert end(tables) == (100, pytest.approx(2.001))
    assert (run["paths"], run["status"]) == ("b.log, a.log", "finished")
    assert "no time" not in run["notes"]
    live = tables.curves.filter(~tables.curves["superseded"]).sort("step")
    assert live["step"].to_list() == list(range(10, 101, 10))
    assert live["train_loss"].to_list()[4:6] == pytest.approx([7.6 + 0.1 / 50, 2.0 + 0.1 / 60])


@pytest.mark.parametrize(
    ("line", "timed"),
    [
        ("2026-05-28 10:00:00,123 INFO step 1", True),
        ("[rank0]:[2026-05-28T10:00:00.5Z] step 1", True),
        ("INFO:2026/05/28 10:00:00: step 1", True),
        ("0: [2026-05-28 10:00:00+02:00] step 1", True),
        ("ts=2026-05-28T10:00:00Z level=info", True),
        ('{"@timestamp": "2026-05-28T10:00:00", "step": 1}', True),
        ("loading /data/2024-05-01_12:00:00/train.bin", False),
        ("loading 2024-05-01_12:00:00/train.bin", False),
        ("saved ckpt-2024-05-01T12:00:00", False),
        ("reads 2024-05-01T12:00:00.tar", False),
        ("crawl=2024-05-01 12:00:00", False),
        ("'crawl': '2024-05-01 12:00:00'", False),
        (r"C:\runs\2024-05-01 12:00:00 step 1", False),
    ],
)
def test_a_date_in_a_path_is_no_time_of_a_line(line: str, timed: bool) -> None:
    assert (time_in(line.encode()) is not None) == timed


def test_the_day_of_the_last_line_is_kept(tmp_path: Path) -> None:
    """In UTC; of a large compressed log that of its first, the only one at hand."""
    late = megatron(range(10, 101, 10), 23, 2.0)
    lines = [f"2026-05-0{day} 23:30:00-02:00 step {day}" for day in (1, 2)]
    files: dict[str, str | bytes] = {
        "a.log": late,
        "b.log": megatron(range(10, 101, 10), 1, 2.0, timed=False),
        "c.log.gz": gzip.compress(late.encode()),
        "d.log": "\n".join([*lines, megatron(range(10, 101, 10), 0, 2.0, timed=False)]),
    }
    found = ingest(tmp_path / "s", files, "title: t\nfacts: {batch: 4}\n").files
    days = dict(found.select("path", "last_day").iter_rows())
    assert {name: days[name] for name in files} == {
        "a.log": dt.date(2026, 5, 29),
        "b.log": None,
        "c.log.gz": dt.date(2026, 5, 29),
        "d.log": dt.date(2026, 5, 3),
    }
    first = dt.datetime(2026, 5, 28, tzinfo=dt.UTC).timestamp()
    assert last_day([(first, None), None, (1.0, 2.0)]) == dt.date(2026, 5, 28)
    assert last_day([None]) is None
    assert last_day([(1.0, 1e300)]) is None
    assert newest_day(found) == dt.date(2026, 5, 29)
    assert newest_day(found.filter(pl.col("last_day").is_null())) is None


def test_a_relaunch_from_an_earlier_checkpoint_counts_by_its_time(tmp_path: Path) -> None:
    # by the steps alone the part of 60 would come after that of 40, which replaced it
    files: dict[str, str | bytes] = {
        "c.log": megatron(range(10, 71, 10), 1, 5.0),
        "b.log": megatron(range(60, 91, 10), 5, 9.0),
        "a.log": megatron(range(40, 101, 10), 9, 3.0),
    }
    tables = ingest(tmp_path / "s", files, ONE)
    live = tables.curves.filter(~tables.curves["superseded"]).sort("step")
    assert [round(loss) for loss in live["train_loss"]] == [5] * 3 + [3] * 7


def test_times_that_contradict_the_steps_are_refused_with_both_ways_out(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {
        "a.log": megatron(range(60, 101, 10), 10, 2.0),
        "b.log": megatron(range(10, 71, 10), 15, 7.6),
        "sound/c.log": megatron(range(10, 101, 10), 10, 3.0),
    }
    rules = "title: t\nruns: [{match: '?.log', run: one}]\nfacts: {batch: 4}\n"
    run = row(ingest(tmp_path / "s", files, rules).runs, "run", "one")
    assert run["excluded"]
    assert run["reason"] == (
        "by the times that they print, a.log was written before b.log, but it begins at step 60, "
        "which only b.log leads up to (steps 10 to 70). If they are two runs, give each its own "
        "'run:' in sweep.yaml; if they are one, take out the file that does not count, ignore: "
        '[{match: "b.log", reason: <why>}]'
    )


def test_without_times_the_step_that_a_part_goes_on_from_orders(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {
        "b.log": megatron(range(10, 71, 10), 10, 7.6, timed=False),
        "a.log": megatron(range(60, 101, 10), 15, 2.0, timed=False),
    }
    tables = ingest(tmp_path / "s", files, ONE)
    assert end(tables) == (100, pytest.approx(2.001))
    notes = row(tables.runs, "run", "one")["notes"]
    assert "print no time and stand in the order of the steps from which they go on" in notes
    assert "b.log, a.log" in notes


def test_without_times_the_order_of_names_is_told_where_it_counts(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {
        "a.log": megatron(range(10, 71, 10), 10, 5.0, timed=False),
        "b.log": megatron(range(60, 91, 10), 10, 9.0, timed=False),
        "c.log": megatron(range(40, 101, 10), 10, 3.0, timed=False),
    }
    tables = ingest(tmp_path / "s", files, ONE)
    assert end(tables) == (100, pytest.approx(3.001))
    notes = row(tables.runs, "run", "one")["notes"]
    assert "print no time and stand in the order of their names" in notes
    del files["b.log"]
    files["c.log"] = megatron(range(80, 101, 10), 10, 3.0, timed=False)
    tables = ingest(tmp_path / "t", files, ONE)  # nothing is replaced: nothing to tell
    assert "no time" not in row(tables.runs, "run", "one")["notes"]


def test_the_cache_gives_the_same_order(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {
        "b.log": megatron(range(10, 71, 10), 10, 7.6),
        "a.log": megatron(range(60, 101, 10), 15, 2.0),
    }
    first = ingest(tmp_path / "s", files, ONE, cache=tmp_path / "cache")
    again = ingest(tmp_path / "s", {}, ONE, cache=tmp_path / "cache")
    assert again.curves.equals(first.curves)
    assert row(again.runs, "run", "one")["paths"] == "b.log, a.log"


def seconds(*parts: int) -> float:
    return dt.datetime(*parts, tzinfo=dt.UTC).timestamp()  # type: ignore[arg-type,misc]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("[rank0]:[titan] 2026-01-02 03:04:05,500 - root - INFO - step: 1", 0.5),
        ("[2026-01-02 03:04:05,250] [INFO] [logging.py:69:log_dist] step=1", 0.25),
        ("2026-01-02T03:04:05.000000000Z host olmo.train:1 INFO [step=1/2]", 0.0),
        ("2026/01/02 03:04:05 step 1", 0.0),
        ("2026-01-02T05:04:05+02:00 step 1", 0.0),
        ('{"_step": 1, "_timestamp": 1767323045.5}', 0.5),
        (':::MLLOG {"namespace": "", "time_ms": 1767323045000, "key": "x"}', 0.0),
        ("2026-02-31 03:04:05 no such day", None),
        ("a date behind " + "x" * 60 + " 2026-01-02 03:04:05", None),
        ("step 1: loss 3.2", None),
    ],
)
def test_times_that_lines_print(tmp_path: Path, line: str, expected: float | None) -> None:
    folder = write(tmp_path / "s", {"a.log": f"no time\n{line}\nno time\n"})
    time = written(RawFile.at(folder / "a.log", folder))
    if expected is None:
        assert time is None
    else:
        assert time == pytest.approx((seconds(2026, 1, 2, 3, 4, 5) + expected,) * 2)


def test_first_and_last_time_of_a_long_log(tmp_path: Path) -> None:
    filling = "x" * 99 + "\n"
    text = "2026-01-02 00:00:00 a\n" + filling * 5_000 + "2026-01-03 00:00:00 b\n" + filling
    folder = write(
        tmp_path / "s",
        {"a.log": text, "a.log.gz": gzip.compress(text.encode()), "b.log": nanogpt()},
    )
    first, last = seconds(2026, 1, 2), seconds(2026, 1, 3)
    assert written(RawFile.at(folder / "a.log", folder)) == (first, last)
    # of what is compressed only the head is looked at
    assert written(RawFile.at(folder / "a.log.gz", folder)) == (first, None)
    assert written(RawFile.at(folder / "b.log", folder)) is None


def events(steps: Iterable[int], hour: int, loss: float) -> bytes:
    """An event file of TensorBoard with a scalar a step, from an hour on."""

    def field(number: int, content: bytes) -> bytes:
        return bytes([number << 3 | 2, len(content)]) + content

    begin = b"\x09" + struct.pack("<d", 1.0) + field(3, b"brain.Event:2")
    written = struct.pack("<Q", len(begin)) + bytes(4) + begin + bytes(4)
    for place, step in enumerate(steps):
        value = field(1, b"train/loss") + b"\x15" + struct.pack("<f", loss + 0.1 / step)
        event = b"\x09" + struct.pack("<d", seconds(2026, 5, 28, hour) + 600 * place)
        event += bytes([0x10, step]) + field(5, field(1, value))
        written += struct.pack("<Q", len(event)) + bytes(4) + event + bytes(4)
    return written


def rows(steps: Iterable[int], hour: int, loss: float) -> bytes:
    """A W&B export of a run's history, from an hour on."""
    lines = ["_step,_timestamp,tokens,train_loss"]
    for place, step in enumerate(steps):
        time = seconds(2026, 5, 28, hour) + 600 * place
        lines.append(f"{step},{time},{256 * step},{loss + 0.1 / step:.6f}")
    return "\n".join([*lines, ""]).encode()


def named(steps: Iterable[int], hour: int, loss: float) -> bytes:
    """The same with a column of runs, and the times as TensorBoard's pages call them."""
    first, *others = rows(steps, hour, loss).decode().splitlines()
    head = first.replace("_timestamp", "Wall time")
    return "\n".join([f"run,{head}", *(f"r,{line}" for line in others), ""]).encode()


def database(*statements: str, **tables: list[tuple[object, ...]]) -> bytes:
    connection = sqlite3.connect(":memory:")
    for statement in statements:
        connection.execute(statement)
    for table, values in tables.items():
        marks = ", ".join("?" * len(values[0]))
        connection.executemany(f"INSERT INTO {table} VALUES ({marks})", values)  # noqa: S608
    connection.commit()
    content = connection.serialize()
    connection.close()
    return content


def mlflow(
    steps: Iterable[int], hour: int, loss: float, later: dict[int, float] | None = None
) -> bytes:
    """MLflow's store of one run; `later` are the losses from some of its values on."""
    losses = {0: loss, **(later or {})}
    key, begun = f"{hour:032x}", int(1e3 * seconds(2026, 5, 28, hour))
    return database(
        "CREATE TABLE metrics (key, value FLOAT, timestamp BIGINT, run_uuid, step BIGINT, is_nan)",
        "CREATE TABLE params (key, value, run_uuid)",
        "CREATE TABLE runs (run_uuid, name, status, lifecycle_stage, start_time BIGINT)",
        metrics=[
            (name, value, begun + 600_000 * place, key, step, 0)
            for place, step in enumerate(steps)
            for name, value in (
                ("train_loss", losses[max(p for p in losses if p <= place)] + 0.1 / step),
                ("tokens", 256.0 * step),
            )
        ],
        params=[("n_layer", "2", key)],
        runs=[(key, "r", "FINISHED", "active", begun)],
    )


def trackio(steps: Iterable[int], hour: int, loss: float) -> bytes:
    """trackio's store of one run."""
    key = f"{hour:032x}"
    return database(
        "CREATE TABLE metrics (run_id, timestamp TEXT, run_name TEXT, step INTEGER, metrics TEXT)",
        "CREATE TABLE configs (run_id, run_name, config)",
        metrics=[
            (
                key,
                dt.datetime.fromtimestamp(
                    seconds(2026, 5, 28, hour) + 600 * place, dt.UTC
                ).isoformat(),
                "r",
                step,
                json.dumps({"train/loss": loss + 0.1 / step, "tokens": 256 * step}),
            )
            for place, step in enumerate(steps)
        ],
        configs=[(key, "r", "{}")],
    )


@pytest.mark.parametrize(
    ("write_part", "names"),
    [
        (named, ("b.csv", "a.csv")),
        (mlflow, ("b/mlflow.db", "a/mlflow.db")),
        (trackio, ("b/t.db", "a/t.db")),
        (events, ("b/events.out.tfevents.2.x", "a/events.out.tfevents.1.x")),
        (rows, ("b.csv", "a.csv")),
    ],
)
def test_parts_whose_records_have_times_stand_in_the_order_of_these(
    write_part: Callable[[Iterable[int], int, float], bytes],
    names: tuple[str, str],
    tmp_path: Path,
) -> None:
    """By the steps alone the part of 60 would come last, and by the names that of 40 first."""
    earlier, later = names
    files: dict[str, str | bytes] = {
        earlier: write_part(range(10, 101, 10), 1, 7.6),
        later: write_part(range(40, 91, 10), 15, 2.0),
    }
    rules = "title: t\nruns: [{match: '*', run: one}]\nfacts: {params: {total: 1e6}, "
    rules += "tokens_per_step: 256, schedule: {kind: constant}, loss_unit: nats_per_token}\n"
    cache = tmp_path / "cache"
    for _ in range(2):
        tables = ingest(tmp_path / "s", files, rules, cache=cache)
        assert row(tables.runs, "run", "one")["paths"] == f"{earlier}, {later}"
        assert end(tables) == (90, pytest.approx(2.0 + 0.1 / 90, abs=1e-6))
        live = tables.curves.filter(~tables.curves["superseded"]).sort("step")
        assert [round(loss) for loss in live["train_loss"]] == [8] * 3 + [2] * 6
        # the day of the last record is that of the file, where no line prints any
        assert set(tables.files.filter(fate="used")["last_day"]) == {dt.date(2026, 5, 28)}


def test_parts_in_mlflows_folders_stand_in_the_order_of_their_times(tmp_path: Path) -> None:
    def folder(key: str, steps: Iterable[int], hour: int, loss: float) -> dict[str, str | bytes]:
        begun = int(1e3 * seconds(2026, 5, 28, hour))
        times = {step: begun + 600_000 * place for place, step in enumerate(steps)}
        home = f"mlruns/1/{key}"
        return {
            f"{home}/meta.yaml": f"lifecycle_stage: active\nrun_id: {key}\nrun_name: {key}\n",
            f"{home}/metrics/train_loss": "".join(
                f"{time} {loss + 0.1 / step} {step}\n" for step, time in times.items()
            ),
            f"{home}/metrics/tokens": "".join(f"{t} {256 * s} {s}\n" for s, t in times.items()),
        }

    files = folder("b" * 8, range(10, 101, 10), 1, 7.6) | folder("a" * 8, range(40, 91, 10), 15, 2)
    rules = "title: t\nruns: [{match: 'mlruns*', run: one}]\nfacts: {params: {total: 1e6}, "
    rules += "tokens_per_step: 256, schedule: {kind: constant}}\n"
    tables = ingest(tmp_path / "s", {"mlruns/1/meta.yaml": "name: x\n", **files}, rules)
    assert row(tables.runs, "run", "one")["paths"] == ", ".join(
        f"mlruns/1/{key * 8}/meta.yaml" for key in "ba"
    )
    assert end(tables) == (90, pytest.approx(2.0 + 0.1 / 90, abs=1e-6))


def mlflow_folder(
    key: str, begun: int, steps: Iterable[int], loss: dict[int, float]
) -> dict[str, str | bytes]:
    """MLflow's folder of one run, a value every ten minutes; its losses by place of the value."""
    home, now = f"mlruns/1/{key}", 0
    losses = tokens = ""
    for place, step in enumerate(steps):
        now = begun + 600_000 * place
        high = loss[max(first for first in loss if first <= place)]
        losses += f"{now} {high + 0.1 / step} {step}\n"
        tokens += f"{now} {256 * step} {step}\n"
    return {
        "mlruns/1/meta.yaml": "name: x\n",
        f"{home}/meta.yaml": f"lifecycle_stage: active\nrun_id: {key}\nrun_name: r\n",
        f"{home}/metrics/train_loss": losses,
        f"{home}/metrics/tokens": tokens,
        # neither an evaluation that is logged late nor a value that comes twice is a launch
        f"{home}/metrics/val_loss": f"{now + 1} 2.5 20\n",
        f"{home}/metrics/val_seconds": f"{begun} 3 20\n{begun + 1} 3 20\n",
    }


@pytest.mark.parametrize("store", ["mlflow.db", "mlruns"])
@pytest.mark.parametrize("first", [10, 35])
def test_a_run_of_mlflows_that_was_launched_anew_is_not_spliced(
    store: str, first: int, tmp_path: Path
) -> None:
    """Under one id, from the beginning or from between two lines."""
    steps = [*range(10, 61, 10), *range(first, 101, 10)]
    if store == "mlruns":
        files = mlflow_folder("a" * 8, 1_779_930_000_000, steps, {0: 7.6, 6: 2.0})
    else:
        files = {store: mlflow(steps, 1, 7.6, later={6: 2.0})}
    rules = "title: t\nfacts: {params: {total: 1e6}, tokens_per_step: 256, "
    rules += "schedule: {kind: constant}, loss_unit: nats_per_token}\n"
    tables = ingest(tmp_path / "s", files, rules)
    trained = tables.curves.filter(pl.col("train_loss").is_not_null())
    live = trained.filter(~pl.col("superseded")).sort("step")
    before = [step for step in range(10, 61, 10) if step < first]
    assert live["step"].to_list() == [*before, *range(first, 101, 10)]
    assert [round(loss) for loss in live["train_loss"]] == [8] * len(before) + [2] * (
        live.height - len(before)
    )
    assert trained.filter("superseded").height == 6 - len(before)
    used = tables.files.filter(fate="used").row(0, named=True)
    assert "steps fall 1 times as time goes on" in used["reason"]
    if store == "mlruns":
        assert "1 values left out for a later one of the same metric and step" in used["reason"]


def test_a_column_of_times_is_told_for_what_it_is_read(tmp_path: Path) -> None:
    """Of a table whose times are none, and of finished runs, it is not read."""
    files: dict[str, str | bytes] = {
        "a.csv": rows(range(10, 101, 10), 1, 7.6),
        "b.csv": rows(range(10, 101, 10), 1, 7.7).replace(b",1779", b",x1779"),
        "c.csv": b"N,D,loss,_timestamp\n"
        + b"".join(b"%de6,9e6,3.5,1779930000\n" % n for n in (5, 6)),
    }
    rules = "title: t\nfacts: {params: {total: 1e6}, schedule: {kind: constant}}\n"
    reasons = dict(ingest(tmp_path / "s", files, rules).files.select("path", "reason").iter_rows())
    words = "_timestamp: the times of its rows, by which parts of one run stand in order"
    assert words in reasons["a.csv"]
    assert "not read" not in reasons["a.csv"]
    for name in ("b.csv", "c.csv"):
        assert words not in reasons[name]
        assert "columns not read: _timestamp" in reasons[name]


def test_of_equal_times_the_steps_decide(tmp_path: Path) -> None:
    """As a clock too coarse gives them; by the names the resumed part would come first."""
    files: dict[str, str | bytes] = {
        "b.csv": rows(range(10, 51, 10), 1, 7.6),
        "a.csv": rows(range(60, 101, 10), 1, 2.0),
    }
    rules = "title: t\nruns: [{match: '*', run: one}]\nfacts: {params: {total: 1e6}, "
    rules += "tokens_per_step: 256, schedule: {kind: constant}, loss_unit: nats_per_token}\n"
    tables = ingest(tmp_path / "s", files, rules)
    assert row(tables.runs, "run", "one")["paths"] == "b.csv, a.csv"
    assert end(tables) == (100, pytest.approx(2.0 + 0.1 / 100, abs=1e-6))
    assert not tables.curves["superseded"].any()


def test_a_table_without_times_or_with_bad_ones_is_read_all_the_same(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {
        "a.csv": rows(range(10, 101, 10), 1, 7.6).replace(b",1779", b",x1779"),
        "b.csv": rows(range(10, 101, 10), 1, 7.7).replace(b"_timestamp", b"_runtime"),
    }
    rules = "title: t\nfacts: {params: {total: 1e6}, schedule: {kind: constant}}\n"
    tables = ingest(tmp_path / "s", files, rules)
    assert not tables.runs["excluded"].any()
    assert tables.curves.height == 20


def test_times_that_count_from_a_launch_order_nothing() -> None:
    times = Times()
    rows = pl.DataFrame({"wall_time": [30.0, 60.0], "_timestamp": [1.76e9, 1.76e9 + 60]})
    times.add(rows.select("wall_time"), pl.DataFrame({"run": ["a", "a"]}))
    assert times.events(["a"]) == []
    # beside a time of the calendar that one counts
    times.add(rows, pl.DataFrame({"run": ["a", "a"]}))
    (said,) = times.events(["a"])
    assert (said.first, said.last) == (1.76e9, 1.76e9 + 60)


NAMED = (
    "title: t\nfacts: {tokens_per_step: 64, params: {total: 1e6}, schedule: {kind: constant}}\n"
    "runs:\n"
)


def launches(*names: str, begin: int = 10, end: int = 100, loss: float = 3.0) -> str:
    """A table of runs, a row per step of each."""
    rows = [f"{name},{step},{loss + 1 / step}" for name in names for step in range(begin, end, 10)]
    return "\n".join(["run,step,train_loss", *rows]) + "\n"


def test_launches_in_one_file_are_one_run_by_the_names_that_it_has(tmp_path: Path) -> None:
    second = launches("resume", begin=80, end=210, loss=2.0).partition("\n")[2]
    rules = "- {match: resume, run: big, params: {total: 2e6}}\n- {match: start, run: big}\n"
    for rest in ("", "exclude: [{match: start, reason: odd}]\n"):
        folder = tmp_path / ("all" if not rest else "none")
        files: dict[str, str | bytes] = {
            "t.csv": launches("start") + second + launches("other").partition("\n")[2]
        }
        tables = ingest(folder, files, NAMED + rules + rest)
        assert tables.runs["run"].to_list() == ["big", "other"]
        run = row(tables.runs, "run", "big")
        assert (run["params_total"], run["paths"]) == (2e6, "t.csv")
        assert bool(run["excluded"]) == bool(rest)
    tables = ingest(tmp_path / "all", {}, None)
    curve = tables.curves.filter(pl.col("run") == "big")
    assert curve.filter(~pl.col("superseded"))["step"].to_list() == [*range(10, 201, 10)]
    assert curve.filter("superseded")["train_loss"].to_list() == [3 + 1 / 80, 3 + 1 / 90]


def test_runs_of_two_tables_are_joined_by_their_names(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {
        "1.csv": launches("r1", "r2"),
        "2.csv": launches("r1", "r2", begin=80, end=210, loss=2.0),
    }
    rules = "- {match: r1, run: r1}\n- {match: r2, run: second}\n"
    tables = ingest(tmp_path / "s", files, NAMED + rules)
    assert tables.runs.select("run", "paths").rows() == [
        ("r1", "1.csv, 2.csv"), ("second", "1.csv, 2.csv"),
    ]  # fmt: skip
    live = tables.curves.filter(~pl.col("superseded"))
    for curve in live.partition_by("run"):
        assert curve["step"].to_list() == [*range(10, 201, 10)]
        assert curve.filter(pl.col("step") >= 80)["train_loss"].max() == 2 + 1 / 80


def test_a_file_of_several_runs_has_no_one_name(tmp_path: Path) -> None:
    said = r"t.csv holds several runs, so 'run: big' .* such as 'start', 'other'"
    rule = "- {match: t.csv, run: big}\n"
    with pytest.raises(ConfigError, match=said):
        ingest(tmp_path / "s", {"t.csv": launches("start", "other")}, NAMED + rule)


KNOWN = "title: t\nfacts: {batch: 4, schedule: {kind: constant}}\n"


def resumed(step: int, hour: int, loss: float, words: str = "loading checkpoint from c") -> str:
    """A job that goes on from a step, as it prints."""
    head, *lines = megatron(range(step + 10, 101, 10), hour, loss).splitlines(keepends=True)
    return "".join([head, *lines[:2], f" {words} at iteration {step}\n", *lines[2:]])


@pytest.mark.parametrize(
    "words", ["loading checkpoint from c", "successfully loaded checkpoint from c [ t 0, p 0 ]"]
)
def test_a_file_that_goes_on_from_a_printed_step_is_a_part_of_the_run_that_leads_there(
    tmp_path: Path, words: str
) -> None:
    files: dict[str, str | bytes] = {
        "a/slurm-1.out": megatron(range(10, 71, 10), 10, 7.6),
        "a/slurm-2.out": resumed(50, 15, 2.0, words),
        "b/slurm-1.out": megatron(range(10, 101, 10), 10, 7.0),
        # of another N, and so another run
        "b/slurm-3.out": resumed(50, 15, 2.6, words).replace("(0, 0): 16000", "(0, 0): 32000"),
    }
    tables = ingest(tmp_path / "s", files, KNOWN)
    assert tables.runs["run"].to_list() == ["a/slurm-1", "b/slurm-1", "b/slurm-3"]
    live = tables.curves.filter(~pl.col("superseded"), run="a/slurm-1").sort("step")
    assert live["step"].to_list() == [*range(10, 101, 10)]
    assert live["train_loss"].to_list()[4:6] == pytest.approx([7.6 + 0.1 / 50, 2.0 + 0.1 / 60])


def test_a_file_that_may_go_on_with_several_runs_is_asked_about_with_both_ways_out(
    tmp_path: Path,
) -> None:
    files: dict[str, str | bytes] = {
        "1.out": megatron(range(10, 71, 10), 10, 7.6),
        "2.out": megatron(range(10, 71, 10), 11, 7.0),
        "3.out": resumed(50, 15, 2.0),
    }
    tables = ingest(tmp_path / "s", files, KNOWN)
    reason = row(tables.runs, "run", "3")["reason"]
    assert "goes on from step 50, as its log prints, and 2 logs beside it lead up to that" in reason
    assert "1.out, 2.out" in reason
    ways = re.findall(r"runs: \[(.*?)\](?=,|$)", reason)
    assert len(ways) == 2
    tables = ingest(tmp_path / "t", files, f"{KNOWN}runs: [{ways[0]}]\n")
    assert tables.runs["run"].to_list() == ["2", "a"]
    own = ways[1].replace("<its name>", "c")
    tables = ingest(tmp_path / "u", files, f"{KNOWN}runs: [{own}]\n")
    assert tables.runs["run"].to_list() == ["1", "2", "c"]
    assert not tables.runs["excluded"].any()


def test_a_file_goes_on_with_the_run_of_its_seed(tmp_path: Path) -> None:
    def seeded(text: str, seed: int) -> str:
        head, *lines = text.splitlines(keepends=True)
        return "".join([head, f"  seed ............................ {seed}\n", *lines])

    files: dict[str, str | bytes] = {}
    for seed in range(3):
        files[f"10{seed}.out"] = seeded(megatron(range(10, 71, 10), 10, 7.0 + seed / 10), seed)
        files[f"20{seed}.out"] = seeded(resumed(50, 15, 2.0 + seed / 10), seed)
    tables = ingest(tmp_path / "s", files, KNOWN)
    assert tables.runs["run"].to_list() == ["100", "101", "102"]
    assert tables.runs["seed"].to_list() == [0, 1, 2]
    assert tables.runs["paths"].to_list() == [f"10{seed}.out, 20{seed}.out" for seed in range(3)]
