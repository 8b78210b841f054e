"""Sweeps from a known law: what an estimator must recover, and how its intervals are checked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from isoflop.approaches.observations import Observations
from isoflop.config.approaches import CountingSettings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from isoflop.laws import ChinchillaLaw

    Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Design:
    """The runs of a sweep: sizes, horizons, and where each curve is read.

    Attributes
    ----------
    params : (runs,) N of each run.
    tokens : (runs,) D that each run reaches.
    budget : (runs,) planned budget; NaN where none.
    points : points per curve, at equal steps of log D over the last two decades.
    """

    params: Floats
    tokens: Floats
    budget: Floats
    points: int = 40


def isoflop_design(
    law: ChinchillaLaw,
    budgets: Sequence[float],
    *,
    sizes: int = 7,
    spread: float = 4.0,
    points: int = 40,
) -> Design:
    """Plan an IsoFLOP sweep around a law's own optima.

    Parameters
    ----------
    law : the law.
    budgets : compute budgets [FLOP], C = 6ND.
    sizes : runs per budget, log-spaced about N_opt.
    spread : ratio of the largest to the middle size.
    points : points per curve.
    """
    flops = np.repeat(np.asarray(budgets, dtype=np.float64), sizes)
    steps = np.tile(np.linspace(-1.0, 1.0, sizes), len(budgets))
    params = law.params_opt(flops) * spread**steps
    return Design(params, flops / (6.0 * params), flops, points)


def simulate(
    law: ChinchillaLaw,
    design: Design,
    *,
    noise: float,
    rng: np.random.Generator,
    penalty: float = 0.0,
) -> Observations:
    """Simulate the losses of a sweep.

    Parameters
    ----------
    law : L(N, D) of a run whose schedule ends at D.
    design : the runs.
    noise : standard deviation of log L between runs; a run's curve shares one error.
    rng : source of the noise.
    penalty : how far above the law, in nats, the middle of a schedule lies at its start.

    Returns
    -------
    Observations under the conventions ``total`` and ``6nd``, sorted by run.
    """
    n_runs, points = len(design.params), design.points
    fraction = np.logspace(-2.0, 0.0, points) if points > 1 else np.ones(1)
    params = np.repeat(design.params, points)
    share = np.tile(fraction, n_runs)
    tokens = np.repeat(design.tokens, points) * share
    error = np.repeat(rng.normal(0.0, noise, n_runs), points)
    loss = (law.loss(params, tokens) + penalty * (1.0 - share)) * np.exp(error)
    width = len(str(n_runs))
    return Observations(
        sweep="simulated",
        counting=CountingSettings(),
        runs=tuple(f"run{i:0{width}d}" for i in range(n_runs)),
        run=np.repeat(np.arange(n_runs), points),
        params=params,
        tokens=tokens,
        flops=6.0 * params * tokens,
        loss=loss,
        is_final=share == 1.0,
        schedule_fraction=share,
        run_params=design.params,
        run_budget=design.budget,
    )
