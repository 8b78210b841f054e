"""Tokens of all ranks of one job, whose counts each rank keeps: their sum, where it is known.

Ranks log unevenly, end early or change in number, and a step that lacks a rank's count has no sum.
Between two sums it lies on the line. Beyond the last it is known where what ranks count goes on as
the sums did: each then counts its share of all, or what the others would add makes no difference.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

import numpy as np
import polars as pl

if TYPE_CHECKING:
    from numpy.typing import NDArray

SAME: Final = 0.01
"""Relative difference of two counts that are one."""
_NEAR: Final = 5
"""Sums by which it is told how fast they rise."""
_OTHERS: Final = 0.1
"""Share of a job that must have gone for it to show in what the rest counts."""


@dataclass(frozen=True, slots=True)
class Job:
    """What the ranks of a run count.

    Attributes
    ----------
    ranks : how many there are in all.
    steps : how many these have, `shared` those that several of them have, `apart` those at which
        they count differently.
    tokens : step and sum, if it is known at all steps.
    divides : whether fewer ranks make up the sum as well, as only shares of all do.
    """

    ranks: int
    steps: int
    shared: int
    apart: int
    tokens: pl.DataFrame | None
    divides: bool

    @classmethod
    def of(cls, counts: pl.DataFrame) -> Self:
        """Add the counts of ranks.

        Parameters
        ----------
        counts : step, rank and tokens; a rank has a step once.
        """
        ranks = counts["rank"].n_unique()
        steps = counts.group_by("step").agg(
            pl.len().alias("rows"), pl.col("tokens").n_unique().alias("counts")
        )
        shared, apart = (int((steps[name] > 1).sum()) for name in ("rows", "counts"))
        return cls(ranks, steps.height, shared, apart, *_sums(counts, ranks))


def _sums(counts: pl.DataFrame, ranks: int) -> tuple[pl.DataFrame | None, bool]:
    """Give the sum at each step, if it is known; and whether fewer ranks make it up as well."""
    steps = counts.group_by("step").agg(pl.len().alias("rows"), pl.col("tokens").sum()).sort("step")
    known = steps.filter(pl.col("rows") == ranks)
    if known.is_empty():
        return None, False
    at, sums = known["step"].to_numpy(), known["tokens"].to_numpy()
    told = np.interp(steps["step"].to_numpy(), at, sums)
    divides = False
    for edge, beyond in ((0, pl.col("step") < at[0]), (-1, pl.col("step") > at[-1])):
        outside = steps.filter(beyond)
        if outside.is_empty():
            continue
        added, of_shares = _outside(counts, outside, (at, sums), edge, ranks)
        if added is None:
            return None, False
        told[steps.select(beyond).to_series().to_numpy()] = added
        divides |= of_shares
    return pl.DataFrame([steps["step"], pl.Series("tokens", told)]), divides


def _outside(
    counts: pl.DataFrame,
    outside: pl.DataFrame,
    known: tuple[NDArray[np.float64], NDArray[np.float64]],
    edge: int,
    ranks: int,
) -> tuple[NDArray[np.float64] | None, bool]:
    """Tell the sums at steps before or behind those of all ranks; None where they are not known.

    Parameters
    ----------
    outside : the steps, how many ranks have each, and the sum of these.
    known : the steps that all ranks have, and their sums.
    edge : the place of the known step that is nearest.

    Returns
    -------
    The sums, and whether each rank counts its share of all, whatever their number.
    """
    at, sums = known
    near = slice(_NEAR) if edge == 0 else slice(-_NEAR, None)
    rises = np.diff(sums[near]) / np.diff(at[near])
    rate = float(np.median(rises)) if rises.size else float(sums[edge] / max(at[edge], 1.0))
    steps, rows = outside["step"].to_numpy(), outside["rows"].to_numpy()
    line = sums[edge] + rate * (steps - at[edge])
    base = counts.filter(pl.col("step") == at[edge]).select("rank", base="tokens")
    more = counts.join(base, on="rank").filter(pl.col("step").is_in(outside["step"].implode()))
    of_these = more.group_by("step").agg((pl.col("tokens") - pl.col("base")).sum()).sort("step")
    alone = sums[edge] + of_these["tokens"].to_numpy()
    together = sums[edge] + of_these["tokens"].to_numpy() * ranks / rows
    most = np.maximum(sums[edge], line)
    total = outside["tokens"].to_numpy()
    if (np.abs(total - line) <= SAME * most).all():
        return total, bool((rows <= (1 - _OTHERS) * ranks).any())
    if (np.abs(alone - line) <= SAME * most).all():
        return alone, False
    # the others log less often, or the difference is none
    usual = np.diff(at).max() if at.size > 1 else 0.0
    short = bool((np.abs(steps - at[edge]) < usual).all())
    on_line = bool((np.abs(together - line) <= SAME * most).all())
    if (short and on_line) or (np.abs(together - alone) <= SAME * most).all():
        return together, False
    return None, False
