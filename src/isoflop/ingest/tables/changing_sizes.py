"""Columns that are called like numbers of parameters and change along a curve: norms, as a rule."""

from __future__ import annotations

from typing import Final

import polars as pl

from isoflop.ingest.tables.wide import as_numbers
from isoflop.ingest.words.names import SIZES, find, find_count, run_column

LEAST_ROWS: Final = 20
"""Rows of a run from which they are a curve: no study has as many runs, each a step further."""
EVEN: Final = 0.9
"""Share of the rows that are as many steps after the one before them as most are."""
LEAST_VALUES: Final = 3
"""Values of a size from which it is none: a network may grow, once."""
NO_SIZE: Final = "'{}' is not read: it changes along a curve, so it is no number of parameters"


def changing_sizes(raw: pl.DataFrame) -> list[str]:
    """List the columns that are called like N, and have several values along each curve.

    Rows are those of a curve where their steps rise evenly. Rows of finished runs have an N each.

    Parameters
    ----------
    raw : the rows of a table, columns by their names in the file.
    """
    step, run = find("step", raw.columns), run_column(raw.columns)
    told = (find_count(value, raw.columns) for value in SIZES)
    sizes = dict.fromkeys(size[0] for size in told if size is not None)
    if step is None or not sizes:
        return []
    rows = raw.select(
        run=pl.lit("") if run is None else pl.col(run),
        step=as_numbers(raw[step]),
        **{f"size {name}": as_numbers(raw[name]) for name in sizes},
    )
    curves = rows.drop_nulls("step").partition_by("run", maintain_order=True)
    curves = [curve for curve in curves if curve.height >= LEAST_ROWS]
    if not curves or not all(_rises_evenly(curve["step"]) for curve in curves):
        return []
    return [
        name
        for name in sizes
        if all(curve[f"size {name}"].drop_nulls().n_unique() >= LEAST_VALUES for curve in curves)
    ]


def _rises_evenly(steps: pl.Series) -> bool:
    """Tell whether each step is after the one before it, and most as much as others are."""
    further = steps.diff().drop_nulls()
    if not (further > 0).all():
        return False
    return bool((further == further.mode().min()).mean() >= EVEN)  # type: ignore[operator]
