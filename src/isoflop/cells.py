"""Cells: runs of one N, or of one N and D, which tell noise from size.

Trainers miss a planned D by a step, so values alike to a thousandth are one. They are told apart
by the gaps between them and not by rounding, whose edges would divide two that differ by less.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

GAP: Final = 1e-3
"""Distance of logs to the next value beyond which a cell ends."""


def cells_of(*axes: Floats) -> NDArray[np.intp]:
    """Give the number of each point's cell, (points,), by increasing first axis, then the next.

    Parameters
    ----------
    axes : (points,) each; a later one is divided within the cells of those before.
    """
    import numpy as np

    cell = np.zeros(len(axes[0]), dtype=np.intp)
    for axis in axes:
        logs = np.log(axis)
        order = np.lexsort((logs, cell))
        apart = (np.diff(logs[order]) > GAP) | (np.diff(cell[order]) > 0)
        cell[order] = np.concatenate([[0], np.cumsum(apart)])[: len(order)]
    return cell


def cell_of(*columns: str) -> list[pl.Expr]:
    """Give what to group by, so that the rows of a group are one cell; null where a value is."""
    import polars as pl

    keys: list[pl.Expr] = []
    for name in columns:
        logs = pl.col(name).log()
        steps = (logs.sort(nulls_last=True).diff() > GAP).fill_null(value=False).cum_sum()
        number = steps.gather(logs.rank("ordinal") - 1)
        keys.append((number.over(keys) if keys else number).alias(f"{name}_cell"))
    return keys
