from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest

from isoflop.errors import IsoflopError
from isoflop.estimates.draws import Draws

if TYPE_CHECKING:
    from pathlib import Path

TABLE = pl.DataFrame(
    {
        "approach": ["nested"] * 5,
        "truth": [None, None, None, "root", "nested"],
        "simulation": [None, None, None, 0, 0],
        "draw": [0, 1, 2, None, 3],
        "refused": [None, "a line", None, None, None],
        "E": [1.5, None, 1.25, 1.0, 2.0],
    }
)


# with and without nulls, bits of validity that begin inside a byte, no row, groups of rows
@pytest.mark.parametrize("table", [TABLE, TABLE[1:4], TABLE[:0], TABLE[3:], pl.concat([TABLE] * 9)])
@pytest.mark.parametrize("writer", ["polars", "pyarrow"])
def test_a_file_of_draws_is_its_table(table: pl.DataFrame, writer: str, tmp_path: Path) -> None:
    path = tmp_path / "a [1] b.draws.parquet"
    table.write_parquet(path, use_pyarrow=writer == "pyarrow", row_group_size=7)
    found = Draws.read(path)
    assert len(found) == len(table)
    of_table = Draws.of(table)
    assert found.columns.keys() == of_table.columns.keys()
    for name in table.columns:
        values = table[name].to_list()
        written = [None if v is None or v != v else v for v in found.columns[name].tolist()]  # noqa: PLR0124
        assert written == values
        np.testing.assert_array_equal(found.columns[name], of_table.columns[name])
        assert found.columns[name].dtype == of_table.columns[name].dtype


def test_rows_are_taken_by_masks() -> None:
    draws = Draws.of(TABLE)
    assert draws.missing("simulation").tolist() == [True, True, True, False, False]
    assert draws.missing("refused").tolist() == [True, False, True, True, True]
    assert draws.equal("truth", "root").tolist() == [False, False, False, True, False]
    mine = draws.where(draws.missing("simulation"))
    np.testing.assert_array_equal(
        mine.numbers(["E", "draw"]), [[1.5, 0.0], [np.nan, 1.0], [1.25, 2.0]]
    )


def test_what_is_no_table_is_one_message(tmp_path: Path) -> None:
    path = tmp_path / "nested.draws.parquet"
    with pytest.raises(IsoflopError, match=r"nested\.draws\.parquet is missing\. Make it with"):
        Draws.read(path)
    path.write_bytes(b"PAR1")
    with pytest.raises(IsoflopError, match=r"nested\.draws\.parquet is damaged .* make it again"):
        Draws.read(path)
