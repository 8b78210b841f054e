"""What a sweep's own trials say of peak learning rates: where they were tuned, and at what cost.

A law of the loss takes every run for well trained. Near the best rate the loss is a parabola in the
log of the rate, so trials of several rates at one N and D say what a rate beside the best costs.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl

from isoflop.cells import RATES, repeats_in

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

LEAST_RATES: Final = 3
"""Fewest rates of a cell that show a curvature."""
WIDEST: Final = 4.0
"""Factor about the rate of a cell's lowest loss within which its losses are a parabola; a rate
farther up may make a run diverge, which is none."""
UNEQUAL: Final = 0.1
"""p-value below which the cells are said not to share one curvature."""


@dataclass(frozen=True, slots=True)
class Curvature:
    """The k of k (log r / best)^2 that some cells share.

    Attributes
    ----------
    ratios : smallest and largest D / N of the cells.
    value : k [nat/token].
    error : its standard error; None without a degree of freedom.
    squares, freedom : sum of squares of the losses about the parabolas, and its degrees of freedom.
    """

    ratios: tuple[float, float]
    value: float
    error: float | None
    squares: float
    freedom: int

    def cost(self, factor: float) -> float | None:
        """Give what a rate off by a factor costs [nat/token].

        Returns
        -------
        None unless the curvature is more than twice its standard error.
        """
        if self.error is None or self.value <= 2.0 * self.error:
            return None
        return self.value * float(np.log(factor)) ** 2


@dataclass(frozen=True, slots=True)
class RateTrials:
    """The trials of a sweep, and the parabola that they share.

    Attributes
    ----------
    runs, cells : runs and cells of one N, D and all settings but the rate with three rates or more,
        whatever the role of a run: trials may be fitted, too.
    ratios : smallest and largest D / N of these.
    outside : share of the fitted runs whose D / N lies outside.
    more_params, more_tokens : fitted runs with a larger N, and with a larger D, than all of these.
    at_lowest, at_highest : D / N of the cells whose lowest loss is at the lowest or the highest of
        their rates: the best may lie beyond.
    shared : of all cells.
    by_ratio : of the cells of each D / N, in its order, where there are several.
    unequal_p : p-value of one curvature for all D / N (F test); None where it cannot be tested.
    """

    runs: int
    cells: int
    ratios: tuple[float, float]
    outside: float
    more_params: int
    more_tokens: int
    at_lowest: tuple[float, ...]
    at_highest: tuple[float, ...]
    shared: Curvature
    by_ratio: tuple[Curvature, ...]
    unequal_p: float | None

    @classmethod
    def of(
        cls, runs: pl.DataFrame, losses: pl.DataFrame, left_out: pl.DataFrame
    ) -> RateTrials | None:
        """Read the trials off the tables.

        Parameters
        ----------
        runs : table ``Runs``.
        losses : table ``Losses``.
        left_out : table ``LeftOut``, with the losses of tuning runs.

        Returns
        -------
        None where no three rates were tried at one N and D.
        """
        cells = _cells(runs, losses, left_out)
        if not cells:
            return None
        together = pl.concat(cells)
        low, high = _ends(cells)
        fitted = runs.filter(~pl.col("excluded"), role="fit").drop_nulls(["params_total", "tokens"])
        # as far as a planned D is met
        inside = (pl.col("tokens") / pl.col("params_total")).is_between(0.9 * low, 1.1 * high)
        by_ratio = [
            _curvature(list(members))
            for _, members in groupby(cells, key=lambda cell: round(np.log(_ratio(cell)) / 0.2))
        ]
        shared = _curvature(cells)
        return cls(
            runs=together.height,
            cells=len(cells),
            ratios=(low, high),
            outside=fitted.filter(~inside).height / fitted.height if fitted.height else 0.0,
            more_params=_beyond(fitted["params_total"], together["params_total"]),
            more_tokens=_beyond(fitted["tokens"], together["tokens"]),
            at_lowest=tuple(_ratio(cell) for cell in cells if _at(cell, pl.Series.min)),
            at_highest=tuple(_ratio(cell) for cell in cells if _at(cell, pl.Series.max)),
            shared=shared,
            by_ratio=tuple(by_ratio),
            unequal_p=_unequal(shared, by_ratio),
        )


def _cells(runs: pl.DataFrame, losses: pl.DataFrame, left_out: pl.DataFrame) -> list[pl.DataFrame]:
    """Group finished runs that differ in their peak rate alone, by increasing D / N."""
    finals = pl.concat([
        losses.filter("is_final").select("run", "loss"),
        left_out.drop_nulls("loss").select(run="item", loss="loss"),
    ])  # fmt: skip
    tried = (
        runs.filter(pl.col("role").is_in(["fit", "tuning", "check"]))
        .join(finals, on="run")
        .drop_nulls(["params_total", "tokens", "lr_peak"])
        .filter(pl.col("lr_peak") > 0.0)
        .with_columns(ratio=pl.col("tokens") / pl.col("params_total"))
    )
    groups = (
        tried.with_columns(alike=repeats_in(tried, but=RATES))
        .sort("ratio", "params_total", "run")
        .group_by("alike", maintain_order=True)
    )
    return [cell for _, cell in groups if cell["lr_peak"].n_unique() >= LEAST_RATES]


def _ratio(cell: pl.DataFrame) -> float:
    return float(cell["ratio"][0])


def _ends(cells: list[pl.DataFrame]) -> tuple[float, float]:
    ratios = [_ratio(cell) for cell in cells]
    return min(ratios), max(ratios)


def _at(cell: pl.DataFrame, end: Callable[[pl.Series], Any]) -> bool:
    """Whether the lowest loss is at the rate of one end."""
    return bool(cell.sort("loss", "run")["lr_peak"][0] == end(cell["lr_peak"]))


def _beyond(fitted: pl.Series, tried: pl.Series) -> int:
    """Count the fitted runs above all that were tried, as far as a planned number is met."""
    return int((fitted > 1.1 * float(tried.max())).sum())  # type: ignore[arg-type]


def _curvature(cells: list[pl.DataFrame]) -> Curvature:
    """Fit one curvature to some cells, each with a level and a slope of its own."""
    squares, losses, freedom = [], [], -1
    for cell in cells:
        log_rate, loss = np.log(cell["lr_peak"].to_numpy()), cell["loss"].to_numpy()
        near = np.abs(log_rate - log_rate[loss.argmin()]) <= np.log(WIDEST) + 1e-9
        x, y = log_rate[near], loss[near]
        line = np.stack([np.ones_like(x), x - x.mean()], axis=1)
        squares.append(_beside(line, (x - x.mean()) ** 2))
        losses.append(_beside(line, y))
        freedom += max(len(x) - 2, 0)
    square, loss = np.concatenate(squares), np.concatenate(losses)
    information = float(square @ square)
    value = float(square @ loss) / information if information > 0.0 else 0.0
    rest = loss - value * square
    about = float(rest @ rest)
    known = freedom > 0 and information > 0.0
    return Curvature(
        ratios=_ends(cells),
        value=value,
        error=float(np.sqrt(about / freedom / information)) if known else None,
        squares=about,
        freedom=max(freedom, 0),
    )


def _beside(line: Floats, values: Floats) -> Floats:
    """Give what a line leaves of values."""
    return np.asarray(values - line @ np.linalg.lstsq(line, values, rcond=None)[0])


def _unequal(shared: Curvature, by_ratio: list[Curvature]) -> float | None:
    """Give the p-value of one curvature against one for each D / N, by an F test."""
    from scipy.special import fdtrc

    more = len(by_ratio) - 1
    freedom = shared.freedom - more
    squares = sum(curvature.squares for curvature in by_ratio)
    if more < 1 or freedom < 1 or squares <= 0.0:
        return None
    gain = max(shared.squares - squares, 0.0)
    return float(fdtrc(more, freedom, gain / more / (squares / freedom)))
