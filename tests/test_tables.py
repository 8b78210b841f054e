from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import polars as pl
import pytest

from isoflop.tables import (
    Curves,
    Evals,
    Files,
    LeftOut,
    Losses,
    Runs,
    Specifications,
    TableError,
    newest_day,
    read_table,
    scan_table,
    units,
    validated,
    write_table,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import dataframely as dy

ALL = (Files, Runs, Curves, Evals, Losses, LeftOut, Specifications)

LEFT_OUT = {
    "sweep": "s",
    "stage": "losses",
    "item": "a",
    "points": 3,
    "reason": "diverged",
    "loss": None,
}


@pytest.mark.parametrize("schema", ALL, ids=lambda schema: schema.__name__)
def test_every_column_says_what_it_is(schema: type[dy.Schema]) -> None:
    for name, column in units(schema).items():
        assert column["description"], name
        assert "unit" in column, name


@pytest.mark.parametrize("schema", ALL, ids=lambda schema: schema.__name__)
def test_numbers_have_a_unit_and_counts_cannot_overflow(schema: type[dy.Schema]) -> None:
    """6ND exceeds 2**63, so what is multiplied is float64."""
    for name, column in units(schema).items():
        if column["dtype"].startswith(("Float", "Int")) and name != "seed":
            assert column["dtype"] in ("Float64", "Int64")
        if name.startswith(("params_", "tokens", "flops_")) and not name.endswith("_source"):
            assert column["dtype"] == "Float64", name
            assert column["unit"], name


def test_a_source_stands_beside_every_count() -> None:
    columns = Runs.column_names()
    for name in ("params_total", "params_nonembedding", "params_with_head", "tokens_per_step",
                 "tokens", "architecture", "schedule"):  # fmt: skip
        assert f"{name}_source" in columns


def test_round_trip_gives_the_same_bytes(tmp_path: Path) -> None:
    frame = pl.DataFrame([LEFT_OUT])
    write_table(frame, LeftOut, tmp_path / "a.parquet")
    table = read_table(tmp_path / "a.parquet", LeftOut)
    write_table(table, LeftOut, tmp_path / "b.parquet")
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    assert len(list(tmp_path.iterdir())) == 2  # no temporary file stays behind


def test_a_name_with_brackets_is_no_pattern(tmp_path: Path) -> None:
    """A sweep `x[12]` was fitted to the losses of its neighbour `x1`, and `lr[3e-4]` to none."""
    for name, points in (("x1", 1), ("x[12]", 2), ("*", 3)):
        frame = pl.DataFrame([LEFT_OUT | {"points": points}])
        write_table(frame, LeftOut, tmp_path / f"{name}.parquet")
    for name, points in (("x1", 1), ("x[12]", 2), ("*", 3)):
        path = tmp_path / f"{name}.parquet"
        assert read_table(path, LeftOut)["points"].to_list() == [points]
        assert scan_table(path, LeftOut).collect()["points"].to_list() == [points]


@pytest.mark.parametrize(
    "rows",
    [
        [LEFT_OUT],
        [LEFT_OUT | {"points": 3.0}],  # what a cast makes of it
        [LEFT_OUT | {"other": 1}],
        [],
        [LEFT_OUT | {"item": item} for item in ("b", "a", "c")],
    ],
)
def test_what_fits_comes_out_as_the_library_has_it(rows: list[dict[str, object]]) -> None:
    frame = pl.DataFrame(rows, schema=None if rows else dict.fromkeys(LEFT_OUT, pl.String))
    table = validated(frame, LeftOut, name="here")
    expected = LeftOut.validate(frame, cast=True)
    assert table.equals(expected)
    assert table.schema == expected.schema


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"points": -1}, "points"),
        ({"stage": "fits"}, "stage"),
        ({"reason": None}, "reason"),
    ],
)
def test_what_does_not_fit_is_named(change: dict[str, object], words: str) -> None:
    frame = pl.DataFrame([LEFT_OUT | change])
    with pytest.raises(TableError, match=rf"(?s)here: not a valid 'LeftOut' table.*{words}"):
        validated(frame, LeftOut, name="here")


def test_missing_column_is_named() -> None:
    with pytest.raises(TableError, match=r"(?s)here: not a valid 'LeftOut' table.*reason"):
        validated(pl.DataFrame([LEFT_OUT]).drop("reason"), LeftOut, name="here")


def test_repeated_key_is_refused() -> None:
    run = {"run": "a", "segment": 0, "step": 1}
    schema = {name: column.dtype for name, column in Curves.columns().items()}
    rest = {"tokens": 1.0, "flops_6nd": 1.0, "superseded": False, "is_nan": False}
    frame = pl.DataFrame([run | rest, run | rest], schema=schema)
    validated(frame[:1], Curves, name="here")
    with pytest.raises(TableError, match="primary_key"):
        validated(frame, Curves, name="here")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_nan_never_enters_a_table(value: float) -> None:
    schema = {name: column.dtype for name, column in Curves.columns().items()}
    rest = {"tokens": 1.0, "flops_6nd": 1.0, "superseded": False, "is_nan": False}
    row = {"run": "a", "segment": 0, "step": 1, "train_loss": value}
    with pytest.raises(TableError, match="train_loss"):
        validated(pl.DataFrame([row | rest], schema=schema), Curves, name="here")


@pytest.mark.parametrize("content", [None, b"no parquet"])
@pytest.mark.parametrize("opened", [read_table, scan_table])
def test_unreadable_table_is_named(
    tmp_path: Path, content: bytes | None, opened: Callable[..., object]
) -> None:
    path = tmp_path / "a.parquet"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(TableError, match=r"a\.parquet: cannot be read as a 'LeftOut' table"):
        opened(path, LeftOut)


def test_scanned_table_has_its_columns_checked_and_its_rows_unread(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    row = LEFT_OUT | {"points": -1}
    pl.DataFrame([row]).write_parquet(path)
    assert scan_table(path, LeftOut).collect().height == 1
    pl.DataFrame([row]).drop("reason").write_parquet(path)
    with pytest.raises(TableError, match=r"(?s)a\.parquet: not a valid 'LeftOut' table.*reason"):
        scan_table(path, LeftOut)


POSITIVE = {
    Runs: ("params_total", "tokens"),
    Losses: ("params_total", "tokens", "flops_6nd", "loss"),
    Specifications: ("budget",),
}
"""What is divided by, or taken the log of, wherever it is known."""


@pytest.mark.parametrize(
    ("schema", "name"), [(schema, name) for schema, names in POSITIVE.items() for name in names]
)
def test_no_log_is_taken_of_zero(schema: type[dy.Schema], name: str) -> None:
    types = {column: each.dtype for column, each in schema.columns().items()}
    with pytest.raises(TableError, match=rf"(?s)'{name}' failed [^*]*'min_exclusive'"):
        validated(pl.DataFrame([{name: 0.0}], schema=types), schema, name="here")


def test_the_newest_day_is_one_of_the_logs_that_are_used() -> None:
    first, last = dt.date(2026, 1, 3), dt.date(2026, 5, 4)
    files = pl.DataFrame({
        "fate": ["used", "used", "rejected", "used"],
        "last_day": [dt.date(2025, 7, 1), first, last, None],
    })  # fmt: skip
    assert newest_day(files) == first
    assert newest_day(files.filter(fate="rejected")) is None
