"""Databases from strangers are read from a copy, and run nothing of theirs."""

from __future__ import annotations

import json
import sqlite3
from typing import TYPE_CHECKING

import polars as pl
import pytest

from isoflop.ingest.formats import scan
from isoflop.ingest.formats.mlflow import INFINITY, wide
from isoflop.ingest.reading import database
from isoflop.ingest.reading.database import opened
from isoflop.ingest.reading.parsed import gather
from isoflop.ingest.reading.patterns import recognise
from isoflop.ingest.reading.refused import RefusedError
from isoflop.ingest.reading.source import RawFile
from isoflop.ingest.runs.segments import with_segments
from isoflop.ingest.sweep import ingest_sweep
from tests.ingest.samples import RECORD, row, write
from tests.ingest.test_formats import FIXTURES

if TYPE_CHECKING:
    from pathlib import Path

NEEDED = {"metrics": ("run_name", "step", "metrics"), "configs": ("run_name", "config")}


def made(folder: Path, *statements: str, name: str = "iso.db") -> RawFile:
    path = folder / name
    with sqlite3.connect(path) as connection:
        for statement in statements:
            connection.execute(statement)
    connection.close()
    return RawFile.at(path, folder)


TABLES = (
    "CREATE TABLE metrics (run_id TEXT, run_name TEXT, step INTEGER, metrics TEXT)",
    "CREATE TABLE configs (run_id TEXT, run_name TEXT, config TEXT)",
)


def test_nothing_is_written_beside_a_database(tmp_path: Path) -> None:
    folder = write(tmp_path / "s", {"iso.db": (FIXTURES / "trackio/iso.db").read_bytes()})
    ingest_sweep(write(folder, {}, (FIXTURES / "trackio/sweep.yaml").read_text()), RECORD)
    assert sorted(path.name for path in folder.iterdir()) == ["iso.db", "sweep.yaml"]


def test_a_database_with_a_write_ahead_log_is_read(tmp_path: Path) -> None:
    row_ = """INSERT INTO metrics VALUES ('k', 'a', 1, '{"loss": 2.5, "tokens": 9000}')"""
    file = made(tmp_path, "PRAGMA journal_mode = WAL", *TABLES, row_)
    assert gather(scan("trackio", file)).records["train_loss"].to_list() == [2.5]


def test_a_view_is_no_table(tmp_path: Path) -> None:
    view = "CREATE VIEW metrics AS SELECT 1 AS run_name, 1 AS step, load_extension('x') AS metrics"
    file = made(tmp_path, TABLES[1], view)
    with pytest.raises(RefusedError, match="its table 'metrics' lacks"), opened(file, NEEDED):
        pass


def test_functions_and_other_databases_are_out_of_reach(tmp_path: Path) -> None:
    file = made(tmp_path, *TABLES)
    for statement in ("SELECT load_extension('x')", "ATTACH 'y' AS y", "DELETE FROM metrics"):
        with pytest.raises(RefusedError), opened(file, NEEDED) as opened_:
            list(opened_.rows(statement))


def test_work_has_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "MOST_STEPS", 1000)
    monkeypatch.setattr(database, "_EVERY", 100)
    file = made(tmp_path, *TABLES)
    endless = "WITH RECURSIVE t(x) AS (SELECT 1 UNION ALL SELECT x FROM t) SELECT x FROM t"
    with pytest.raises(RefusedError), opened(file, NEEDED) as opened_:
        list(opened_.rows(endless))


def test_a_large_database_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "LARGEST", 100)
    with pytest.raises(RefusedError, match="larger than"), opened(made(tmp_path, *TABLES), NEEDED):
        pass


def test_a_database_of_no_tracker_is_named(tmp_path: Path) -> None:
    seen = recognise(made(tmp_path, "CREATE TABLE t (x)").sample())
    assert seen.format == "SQLite database"
    assert "no known tracker" in (seen.refused or "")


def test_runs_of_one_name_are_two_and_deleted_ones_none(tmp_path: Path) -> None:
    path = tmp_path / "s" / "mlflow.db"
    path.parent.mkdir()
    path.write_bytes((FIXTURES / "mlflow/mlflow.db").read_bytes())
    write(path.parent, {}, (FIXTURES / "mlflow/sweep.yaml").read_text())
    assert ingest_sweep(path.parent, RECORD).runs["run"].to_list() == [
        "a (620841e7)", "a (a1d37e80)",
    ]  # fmt: skip
    with sqlite3.connect(path) as connection:
        connection.execute(
            "UPDATE runs SET lifecycle_stage = 'deleted' WHERE run_uuid LIKE '620841e7%'"
        )
    connection.close()
    tables = ingest_sweep(path.parent, RECORD)
    assert tables.runs["run"].to_list() == ["a"]
    assert "1 runs that were deleted" in row(tables.files, "path", "mlflow.db")["reason"]


@pytest.mark.parametrize("at_once", [1, 3])
def test_values_that_come_in_batches_are_the_same(
    monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    file = RawFile.at(FIXTURES / "mlflow/mlflow.db", FIXTURES)
    whole = gather(scan("mlflow", file))
    monkeypatch.setattr(database, "AT_ONCE", at_once)
    some = gather(scan("mlflow", file))
    assert some.records.equals(whole.records)
    assert (some.runs, some.remarks) == (whole.runs, whole.remarks)


def test_no_copy_of_a_database_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "copies"))
    (tmp_path / "copies").mkdir()
    file = made(tmp_path, *TABLES)
    with opened(file, NEEDED) as opened_:
        assert [*opened_.rows("SELECT * FROM metrics")] == []
        assert [path.name for path in (tmp_path / "copies").glob("*/*")] == ["copy.db"]
    assert not [*(tmp_path / "copies").iterdir()]


def test_what_mlflow_logged_is_read_to_the_last_digit(tmp_path: Path) -> None:
    del tmp_path
    file = RawFile.at(FIXTURES / "mlflow/mlflow.db", FIXTURES)
    parsed = gather(scan("mlflow", file))
    with sqlite3.connect(f"file:{file.path}?mode=ro&immutable=1", uri=True) as connection:
        logged = connection.execute(
            "SELECT value FROM metrics WHERE key = 'train_loss' ORDER BY value"
        ).fetchall()
    connection.close()
    assert sorted(parsed.records["train_loss"].drop_nulls()) == [value for (value,) in logged]


def test_what_mlflow_writes_for_infinity_is_infinite() -> None:
    """SQL has no infinity, and MLflow writes the largest number for it, with is_nan = 0."""
    rows = [("r", "loss", value, step, 0) for step, value in enumerate([INFINITY, -INFINITY, 2.0])]
    assert wide([rows])[0]["loss"].to_list() == [float("inf"), float("-inf"), 2.0]


def logged(*values: tuple[str, int]) -> list[tuple[str, str, float, int, int]]:
    """Values of a run in the order of logging; each is its place, to tell which one counts."""
    return [("r", key, float(place), step, 0) for place, (key, step) in enumerate(values)]


def trained(*steps: int) -> list[tuple[str, int]]:
    return [("train_loss", step) for step in steps]


EVALUATED_LATE = [("val_loss", step) for step in (400, 200, 0)]


@pytest.mark.parametrize(
    "values",
    [
        [*trained(0, 100, 200, 300, 400), *EVALUATED_LATE],
        [*trained(0, 100, 200, 400, 300, 500), ("val_loss", 500)],
        [
            *(pair for step in (0, 100) for pair in [("train_loss", step), ("grad_norm", step)]),
            *[("train_loss", 200), ("grad_norm", 300), ("train_loss", 300), ("grad_norm", 200)],
            *[("train_loss", 400), ("grad_norm", 400)],
        ],
        # what a machine counts has more values, and may begin anew with each process
        [
            *trained(0, 100),
            *(("system/gpu_power", step) for _ in range(2) for step in range(5)),
            *trained(200, 300),
        ],
    ],
    ids=["evaluations", "a loss", "another metric", "the machine"],
)
def test_values_of_mlflows_that_are_logged_out_of_order_are_no_launch(
    values: list[tuple[str, int]],
) -> None:
    table, remarks = wide([logged(*values)])
    assert table["step"].to_list() == sorted({step for _, step in values})
    assert not any("as time goes on" in remark.text for remark in remarks)


def test_late_evaluations_of_a_launch_of_mlflows_are_of_the_steps_that_it_made() -> None:
    values = [
        *[*trained(0, 100, 200, 300, 400), ("val_loss", 400)],
        # from its checkpoint, evaluated before its first line
        *[("val_loss", 200), ("n_params", 0), *trained(200, 300, 400, 500)],
        *EVALUATED_LATE,
    ]
    table, remarks = wide([logged(*values)])
    assert any("steps fall 1 times" in remark.text for remark in remarks)
    assert table["step"].to_list() == [0, 100, 200, 300, 400, 200, 300, 400, 500]
    assert table["train_loss"].to_list() == [0, 1, 2, 3, 4, 8, 9, 10, 11]
    assert table["val_loss"].to_list() == [14, None, None, None, 5, 13, None, 12, None]


def trackio(folder: Path, *rows: tuple[int, float | None, float | None]) -> RawFile:
    """Make a project whose rows are of one run: step, loss in training, and on the eval set."""
    inserts = []
    for step, loss, evaluated in rows:
        values = {"global_step": step, "loss": loss, "val_loss": evaluated}
        told = json.dumps({key: value for key, value in values.items() if value is not None})
        inserts.append(f"INSERT INTO metrics VALUES ('k', 'a', {step}, '{told}')")  # noqa: S608
    return made(folder, *TABLES, *inserts)


def live(file: RawFile) -> list[tuple[str, int]]:
    """List the records that no later launch replaced."""
    table = with_segments(gather(scan("trackio", file)).records)
    return table.filter(~pl.col("superseded")).select("kind", "step").rows()


def test_a_late_evaluation_of_trackios_replaces_no_training(tmp_path: Path) -> None:
    rows = [(step, 5 - step / 1e3, None) for step in range(100, 600, 100)]
    file = trackio(tmp_path, (0, None, 5.1), *rows, (500, None, 4.6), (200, None, 4.9))
    assert sorted(live(file)) == [
        ("eval", 0), ("eval", 200), ("eval", 500), *(("train", step) for step, _, _ in rows),
    ]  # fmt: skip


def test_a_loss_of_trackios_out_of_order_is_no_launch(tmp_path: Path) -> None:
    file = trackio(tmp_path, *((s, 5 - s / 1e3, None) for s in (100, 200, 400, 300, 500)))
    assert live(file) == [("train", step) for step in (100, 200, 300, 400, 500)]


def test_a_second_launch_of_trackios_replaces_what_it_makes_anew(tmp_path: Path) -> None:
    first = [(step, 5 - step / 1e3, None) for step in (100, 200, 300, 400)]
    second = [(step, 5.01 - step / 1e3, None) for step in (300, 400, 500)]
    file = trackio(tmp_path, *first, (400, None, 4.7), *second, (200, None, 4.9))
    records = with_segments(gather(scan("trackio", file)).records)
    replaced = records.filter("superseded")
    assert replaced.select("kind", "step").rows() == [
        ("train", 300), ("train", 400), ("eval", 400),
    ]  # fmt: skip
    assert records.filter(kind="eval", step=200)["superseded"].to_list() == [False]


def test_a_name_that_is_stored_as_a_number_is_a_name(tmp_path: Path) -> None:
    """SQLite keeps what is written, whatever a column is declared as; it ended in a TypeError."""
    path = tmp_path / "mlflow.db"
    path.write_bytes((FIXTURES / "mlflow/mlflow.db").read_bytes())
    with sqlite3.connect(path) as connection:
        (first,) = connection.execute("SELECT run_uuid FROM runs ORDER BY start_time").fetchone()
        connection.execute(
            "INSERT INTO metrics (key, value, timestamp, run_uuid, step, is_nan) "
            "VALUES (CAST(x'37' AS BLOB), 2.5, 1, ?, 1, 0)",
            (first,),
        )
    parsed = gather(scan("mlflow", RawFile.at(path, tmp_path)))
    whole = gather(scan("mlflow", RawFile.at(FIXTURES / "mlflow/mlflow.db", FIXTURES)))
    losses = pl.col("train_loss").is_not_null()
    assert parsed.records.filter(losses).equals(whole.records.filter(losses))
    assert any("7" in remark for remark in parsed.remarks)
