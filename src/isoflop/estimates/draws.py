"""Draws of an estimate as columns of numbers, as every question asks for them.

Tables of draws are written as Parquet, for anyone to read. A question to them takes columns and
masks alone, and Polars takes longer to import than all of its answer does: here pyarrow reads.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np

from isoflop.errors import IsoflopError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    import polars as pl
    import pyarrow as pa
    from numpy.typing import NDArray

    Bools = NDArray[np.bool_]
    Floats = NDArray[np.float64]

TEXTS: Final = ("approach", "truth", "refused")
"""Columns of names and reasons; all others are numbers."""


@dataclass(frozen=True, eq=False, slots=True)
class Draws:
    """A table of draws, simulated sweeps included.

    Attributes
    ----------
    columns : by name, each (draws,); numbers as float64, NaN where there is none, and texts as
        objects, None where there is none.
    """

    columns: Mapping[str, NDArray[Any]]

    @classmethod
    def of(cls, table: pl.DataFrame) -> Self:
        """Take a table of Polars."""
        import polars as pl

        texts = [name for name in table.columns if name in TEXTS]
        numbers = table.select(pl.exclude(texts).cast(pl.Float64).fill_null(np.nan))
        return cls({
            **{name: np.array(table[name].to_list(), dtype=object) for name in texts},
            **{name: numbers[name].to_numpy() for name in numbers.columns},
        })  # fmt: skip

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a table that stands in a file.

        Raises
        ------
        IsoflopError : it is missing or damaged.
        """
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile

        required(path)
        try:
            with ParquetFile(path) as plain:
                names = plain.schema_arrow.names
            # names of laws as what they are, few: a string for each row takes longer than all else
            texts = [name for name in names if name in TEXTS]
            with ParquetFile(path, read_dictionary=texts) as file:
                table = file.read(use_threads=False).combine_chunks()
            return cls({name: _column(table[name]) for name in names})
        except (ArrowException, OSError) as error:
            raise damaged(path, error) from error

    def __len__(self) -> int:
        """Count the rows."""
        return len(next(iter(self.columns.values()), ()))

    def numbers(self, names: Iterable[str]) -> Floats:
        """Give columns of numbers side by side, (draws, names)."""
        columns = [self.columns[name] for name in names]
        return np.ascontiguousarray(np.stack(columns, axis=1))

    def missing(self, name: str) -> Bools:
        """Tell where a column has nothing, (draws,)."""
        column = self.columns[name]
        empty: Bools = column == None if column.dtype == object else np.isnan(column)  # noqa: E711
        return empty

    def equal(self, name: str, text: str) -> Bools:
        """Tell where a column of texts has this one, (draws,)."""
        same: Bools = self.columns[name] == text
        return same

    def where(self, kept: Bools) -> Self:
        """Keep some of the rows."""
        return type(self)({name: column[kept] for name, column in self.columns.items()})


def _column(chunked: pa.ChunkedArray) -> NDArray[Any]:
    """Take a column out of Arrow's memory.

    ``to_numpy`` would import pandas, where there is one, which takes longer than all tables do.
    """
    if chunked.num_chunks == 0:
        return np.empty(0, dtype=object if hasattr(chunked.type, "value_type") else np.float64)
    (array,) = chunked.chunks
    if hasattr(array, "dictionary"):
        texts = np.array([*array.dictionary.to_pylist(), None], dtype=object)
        codes = _numbers(array.indices)
        picked: NDArray[Any] = texts[np.where(np.isnan(codes), -1, codes).astype(np.intp)]
        return picked
    return _numbers(array)


def _numbers(array: pa.Array) -> Floats:
    """Give numbers as float64, NaN where null: Arrow keeps bits of validity, and values."""
    validity, values = array.buffers()
    end = array.offset + len(array)
    numbers = np.frombuffer(values, dtype=array.type.to_pandas_dtype())[array.offset : end]
    if validity is None:
        return numbers.astype(np.float64)
    bits = np.unpackbits(np.frombuffer(validity, dtype=np.uint8), bitorder="little")
    return np.where(bits[array.offset : end] == 1, numbers, np.nan)


def required(path: Path) -> Path:
    """Refuse to leave out in silence what is not there.

    Raises
    ------
    IsoflopError : there is no such file.
    """
    if not path.exists():
        raise IsoflopError(
            f"{path} is missing. Make it with `snakemake {path.as_posix()}`, or all of a sweep's "
            "with `python3 run.py report`."
        )
    return path


def damaged(path: Path, error: Exception) -> IsoflopError:
    """Say that a file cannot be read, and how to make it again."""
    return IsoflopError(
        f"{path} is damaged ({error}). Remove it, and make it again with "
        f"`snakemake {path.as_posix()}`."
    )
