"""What a sweep's own trials say of peak learning rates: where they were tuned, and at what cost.

A law of the loss takes every run for well trained. Near the best rate the loss is a parabola in the
log of the rate, so trials of several rates at one N and D say what a rate beside the best costs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

LEAST_RATES: Final = 3
"""Fewest rates of a cell that show a curvature."""
WIDEST: Final = 4.0
"""Factor about the rate of a cell's lowest loss within which its losses are a parabola; a rate
farther up may make a run diverge, which is none."""


@dataclass(frozen=True, slots=True)
class RateTrials:
    """The trials of a sweep, and the parabola that they share.

    Attributes
    ----------
    runs, cells : trials, and cells of one N and D with several rates.
    ratios : smallest and largest D / N at which rates were tried.
    outside : share of the fitted runs whose D / N lies outside.
    curvature : k of k (log r / best)^2, one for all cells [nat/token]; None where no cell has three
        rates that differ.
    error : its standard error; None without a degree of freedom.
    """

    runs: int
    cells: int
    ratios: tuple[float, float]
    outside: float
    curvature: float | None
    error: float | None

    def cost(self, factor: float) -> float | None:
        """Give what a rate off by a factor costs [nat/token]; None where it is not known.

        It is known where the curvature is more than twice its standard error.
        """
        if self.curvature is None or self.error is None or self.curvature <= 2.0 * self.error:
            return None
        return self.curvature * float(np.log(factor)) ** 2

    @classmethod
    def of(cls, runs: pl.DataFrame, left_out: pl.DataFrame) -> RateTrials | None:
        """Read the trials off the tables.

        Parameters
        ----------
        runs : table ``Runs``.
        left_out : table ``LeftOut``, with the losses of tuning runs.

        Returns
        -------
        None where the sweep has no two rates of one N and D.
        """
        losses = left_out.drop_nulls("loss").select(run="item", loss="loss")
        tried = (
            runs.filter(role="tuning")
            .join(losses, on="run")
            .drop_nulls(["params_total", "tokens", "lr_peak"])
            .filter(pl.col("lr_peak") > 0.0)
        )
        batch = pl.col("tokens_per_step").fill_null(0.0).alias("batch")
        by = [(pl.col(n).log() / 1e-3).round().alias(n) for n in ("params_total", "tokens")]
        groups = tried.sort("run").group_by(*by, batch, maintain_order=True)
        cells = [cell for _, cell in groups if cell["lr_peak"].n_unique() > 1]
        if not cells:
            return None
        together = pl.concat(cells)
        ratios = together.select(pl.col("tokens") / pl.col("params_total")).to_series()
        low, high = float(ratios.min()), float(ratios.max())  # type: ignore[arg-type]
        fitted = runs.filter(~pl.col("excluded"), role="fit").drop_nulls(["params_total", "tokens"])
        ratio = pl.col("tokens") / pl.col("params_total")
        # as far as a planned D is met
        beyond = fitted.filter(~ratio.is_between(0.9 * low, 1.1 * high)).height
        curvature, error = _shared_parabola(cells)
        return cls(
            runs=together.height,
            cells=len(cells),
            ratios=(low, high),
            outside=beyond / fitted.height if fitted.height else 0.0,
            curvature=curvature,
            error=error,
        )


def _shared_parabola(cells: list[pl.DataFrame]) -> tuple[float | None, float | None]:
    """Fit one curvature to all cells, each with a level and a slope of its own.

    Returns
    -------
    Curvature and its standard error [nat/token]; see ``RateTrials``.
    """
    squares, losses, freedom = [], [], -1
    for cell in cells:
        log_rate = np.log(cell["lr_peak"].to_numpy())
        loss = cell["loss"].to_numpy()
        near = np.abs(log_rate - log_rate[loss.argmin()]) <= np.log(WIDEST)
        x, y = log_rate[near], loss[near]
        if len(np.unique(x)) < LEAST_RATES:
            continue
        line = np.stack([np.ones_like(x), x - x.mean()], axis=1)
        squares.append(_beside(line, (x - x.mean()) ** 2))
        losses.append(_beside(line, y))
        freedom += len(x) - 2
    if not squares:
        return None, None
    square, loss = np.concatenate(squares), np.concatenate(losses)
    information = float(square @ square)
    curvature = float(square @ loss) / information
    if freedom < 1:
        return curvature, None
    rest = loss - curvature * square
    return curvature, float(np.sqrt(rest @ rest / freedom / information))


def _beside(line: Floats, values: Floats) -> Floats:
    """Give what a line leaves of values."""
    return np.asarray(values - line @ np.linalg.lstsq(line, values, rcond=None)[0])
