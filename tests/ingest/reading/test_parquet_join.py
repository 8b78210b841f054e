"""Parquet files put one after the other say what their rows say together, to every reader."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING

import polars as pl
import pyarrow.parquet as pq
import pytest

from isoflop.ingest.reading.parquet_join import NotJoinedError, join_parquet

if TYPE_CHECKING:
    from pathlib import Path

KINDS = pl.Enum(["instant", "ema"])


def frame(start: int, count: int) -> pl.DataFrame:
    """Rows with gaps, words, long lists of rows of one value, and a column of nothing."""
    steps = range(start, start + count)
    return pl.DataFrame(
        {
            "run": [f"r{step // 40:03}" for step in steps],
            "step": steps,
            "loss": [None if step % 7 == 3 else 1 / (1 + step) for step in steps],
            "kind": [("instant", "ema", None)[step % 3] for step in steps],
            "flag": [step % 5 == 0 for step in steps],
            "nothing": [None] * count,
        },
        schema={
            "run": pl.String, "step": pl.Int64, "loss": pl.Float64, "kind": KINDS,
            "flag": pl.Boolean, "nothing": pl.Float64,
        },
    )  # fmt: skip


def packed(rows: pl.DataFrame, row_group_size: int = 1000) -> bytes:
    stream = BytesIO()
    rows.write_parquet(stream, compression="zstd", statistics=True, row_group_size=row_group_size)
    return stream.getvalue()


@pytest.mark.parametrize("count", [1, 2, 40])
def test_joined_files_are_their_rows_one_after_the_other(tmp_path: Path, count: int) -> None:
    parts = [frame(200 * i, 200 if i % 3 else 130) for i in range(count)]
    files: list[Path | bytes] = []
    for number, part in enumerate(parts):
        content = packed(part, 64)
        files.append(content)
        if number % 2:
            files[-1] = tmp_path / str(number)
            files[-1].write_bytes(content)
    target = tmp_path / "joined.parquet"
    join_parquet(files, target)
    whole = pl.concat(parts)
    assert pl.read_parquet(target).equals(whole)
    assert pl.read_parquet(target).schema == whole.schema
    read = pq.read_table(target)
    read.validate(full=True)
    assert pl.DataFrame(read).equals(whole)
    told = pq.ParquetFile(target).metadata
    assert (told.num_rows, told.num_row_groups) == (
        whole.height,
        sum(-(-p.height // 64) for p in parts),
    )
    # places and bounds of row groups are what a reader of some rows goes by
    some = pl.col("run").is_between(pl.lit("r002"), pl.lit("r003"))
    assert pl.scan_parquet(target).filter(some).collect().equals(whole.filter(some))
    groups = pq.ParquetFile(target)
    for place in range(told.num_row_groups):
        steps = groups.read_row_group(place, columns=["step"])["step"].to_pylist()
        bounds = told.row_group(place).column(1).statistics
        assert (bounds.min, bounds.max) == (steps[0], steps[-1])
    # what was joined can be joined again
    join_parquet([target, packed(frame(9000, 3))], tmp_path / "again.parquet")
    assert pl.read_parquet(tmp_path / "again.parquet").equals(pl.concat([whole, frame(9000, 3)]))


def test_the_bytes_do_not_depend_on_where_the_parts_lay(tmp_path: Path) -> None:
    parts = [packed(frame(0, 50)), packed(frame(50, 50))]
    (tmp_path / "a").write_bytes(parts[0])
    join_parquet(parts, tmp_path / "memory")
    join_parquet([tmp_path / "a", parts[1]], tmp_path / "mixed")
    assert (tmp_path / "memory").read_bytes() == (tmp_path / "mixed").read_bytes()


def test_a_part_without_rows_adds_none(tmp_path: Path) -> None:
    join_parquet([packed(frame(0, 0)), packed(frame(0, 5))], tmp_path / "x")
    assert pl.read_parquet(tmp_path / "x").equals(frame(0, 5))


def test_files_of_two_schemas_are_not_joined(tmp_path: Path) -> None:
    other = frame(0, 5).with_columns(pl.col("loss").cast(pl.Float32))
    more = frame(0, 5).with_columns(pl.col("kind").cast(pl.Enum(["ema", "instant"])))
    for rows in (other, more, frame(0, 5).rename({"run": "name"})):
        with pytest.raises(NotJoinedError, match="file 1 has another schema"):
            join_parquet([packed(frame(0, 5)), packed(rows)], tmp_path / "x")


def test_a_file_that_was_cut_is_not_joined(tmp_path: Path) -> None:
    content = packed(frame(0, 20))
    for end in {*range(0, len(content), 7), *range(len(content) - 12, len(content))}:
        with pytest.raises(NotJoinedError, match="file 1"):
            join_parquet([content, content[:end]], tmp_path / "x")


def test_columns_that_lie_elsewhere_are_not_joined(tmp_path: Path) -> None:
    pq.write_table(frame(0, 5).to_arrow(), tmp_path / "data")
    told = pq.read_metadata(tmp_path / "data")
    told.set_file_path("data")
    told.write_metadata_file(tmp_path / "summary")
    with pytest.raises(NotJoinedError, match="columns in other files"):
        join_parquet([tmp_path / "summary"], tmp_path / "x")
