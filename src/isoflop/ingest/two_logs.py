"""One run that was logged twice in one folder, in two formats that print other digits.

Losses of two runs do not agree to the printed digits at every step, however alike the runs are.
"""

from __future__ import annotations

from collections import defaultdict
from itertools import combinations
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from isoflop.ingest.measures import RESOLVED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from isoflop.ingest.runs import Run

LEAST: Final = 10
"""Steps at which both logs have a loss, from which their agreement is none by chance."""
MOST: Final = 1_000_000
"""Points of a curve that is compared."""
SINGLE: Final = 2.0**-24
"""Relative rounding of a float32, as TensorBoard keeps."""
_HALF: Final = 0.51
"""Digits of the last place by which a number and its rounded one differ, and a float's rest."""


def logged_twice(runs: Sequence[Run], points: Sequence[int]) -> dict[int, tuple[int, int]]:
    """Find runs whose losses are those of another in the same folder, rounded otherwise.

    Parameters
    ----------
    runs : of a sweep.
    points : of their curves.

    Returns
    -------
    Place of the log with fewer evaluations or digits: that of the other, and the steps of both.
    """
    beside: dict[str, list[int]] = defaultdict(list)
    for place, run in enumerate(runs):
        folders = {path.rpartition("/")[0] for path in run.paths}
        if len(folders) == 1 and points[place] <= MOST:
            beside[folders.pop()].append(place)
    twice: dict[int, tuple[int, int]] = {}
    for places in beside.values():
        if len({_formats(runs[place]) for place in places}) < 2:
            continue
        curves = {place: _losses(runs[place]) for place in places}
        for first, second in combinations(places, 2):
            if _formats(runs[first]) & _formats(runs[second]) or {first, second} & twice.keys():
                continue
            if steps := _agree(curves[first], curves[second]):
                order = sorted((first, second), key=lambda at: (
                    -len(runs[at].eval_sets), _place(curves[at]["train_loss"].to_numpy()), at,
                ))  # fmt: skip
                twice[order[1]] = order[0], steps
    return twice


def _formats(run: Run) -> frozenset[str | None]:
    return frozenset(part.log.format for part in run.parts)


def _losses(run: Run) -> pl.DataFrame:
    """List the training losses by step, the last of each."""
    told = pl.concat([part.records.select("kind", "step", "train_loss") for part in run.parts])
    finite = told.filter(pl.col("kind") == "train", pl.col("train_loss").is_finite())
    return finite.unique("step", keep="last").select("step", "train_loss").sort("step")


def _agree(first: pl.DataFrame, second: pl.DataFrame) -> int:
    """Count the steps of two curves that agree wherever both have a loss; 0 where they do not."""
    both = first.join(second, on="step", suffix="_too")
    if both.height < LEAST or 2 * both.height < min(first.height, second.height):
        return 0
    left, right = both["train_loss"].to_numpy(), both["train_loss_too"].to_numpy()
    for low, high in ((0, 1), (1, 10), (10, np.inf)):  # significant digits are other places there
        here = (abs(left) >= low) & (abs(left) < high)
        unit = max(_place(left[here]), _place(right[here]))
        apart = abs(left[here] - right[here])
        if (apart > _HALF * unit + SINGLE * abs(left[here])).any():
            return 0
    return both.height


def _place(losses: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> float:
    """Give the unit of the last digit that losses are written to."""
    for decimals in range(RESOLVED):
        if np.allclose(losses, np.round(losses, decimals), rtol=0.0, atol=1e-9):
            return float(10.0**-decimals)
    return float(10.0**-RESOLVED)
