"""Compute-optimal allocations at any C, with intervals, from an estimate and its kept draws."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from isoflop.estimates.estimate import Calibration, Estimate, Optimum
from isoflop.estimates.laws import law_rows
from isoflop.estimates.quantities import Simulations, describe

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from isoflop.approach import Approach
    from isoflop.estimates.quantities import Quantity

    Floats = NDArray[np.float64]


def optima_at(estimate: Estimate, draws: pl.DataFrame, flops: Sequence[float]) -> list[Optimum]:
    """Give the allocation at each budget, without fitting anything again.

    Parameters
    ----------
    estimate : one approach's estimate.
    draws : its table of draws, simulated sweeps included.
    flops : budgets C [FLOP].

    Returns
    -------
    In the order of the budgets; those at which the law has no optimum are left out.
    """
    budgets = np.asarray(flops, dtype=np.float64)
    found = describe(
        estimate.law, estimate.row, estimate.rows(draws), budgets, simulations_of(estimate, draws)
    )
    return optima_of(found, budgets, estimate.flops_range)


def optima_by_approach(
    estimates: Mapping[Approach, Estimate], draws: Mapping[Approach, pl.DataFrame], flops: float
) -> dict[Approach, Optimum]:
    """Give every approach's allocation at one budget [FLOP]."""
    return {
        approach: optimum
        for approach, estimate in estimates.items()
        for optimum in optima_at(estimate, draws[approach], [flops])
    }


def optima_of(
    found: Mapping[str, Quantity], flops: Floats, flops_range: tuple[float, float]
) -> list[Optimum]:
    """Take the optima at some budgets out of quantities by name."""
    keys = [(float(c), repr(float(c))) for c in flops]
    return [
        Optimum(
            flops=c,
            params=found[f"params_opt_{key}"],
            tokens=found[f"tokens_opt_{key}"],
            tokens_per_param=found[f"tokens_per_param_{key}"],
            loss=found.get(f"loss_{key}"),
            decades_beyond_data=decades_beyond(c, flops_range),
        )
        for c, key in keys
        if f"tokens_per_param_{key}" in found
    ]


def decades_beyond(flops: float, flops_range: tuple[float, float]) -> float:
    """Give the decades between a budget and the data; see ``Optimum.decades_beyond_data``."""
    low, high = flops_range
    return float(max(np.log10(flops / high), np.log10(low / flops)))


def simulations_of(estimate: Estimate, draws: pl.DataFrame) -> Simulations | None:
    """Gather an approach's fits to simulated sweeps from its table of draws; None without any."""
    if not isinstance(estimate.calibration, Calibration):
        return None
    simulated = draws.filter(pl.col("simulation").is_not_null())
    whole = simulated.filter(pl.col("draw").is_null())
    rows = law_rows(estimate.law, simulated.filter(pl.col("draw").is_not_null()))
    noiseless = estimate.calibration.noiseless
    names = estimate.law.names
    return Simulations(
        truth=estimate.calibration.truth,
        estimates=law_rows(estimate.law, whole),
        draws=rows.reshape(whole.height, -1, len(names)),
        noiseless=None if noiseless is None else np.array([[noiseless[name] for name in names]]),
    )
