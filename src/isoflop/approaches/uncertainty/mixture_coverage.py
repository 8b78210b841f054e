"""Does the mixture cover whichever of its laws is true? Simulated sweeps of each law tell.

A sweep simulated from a law goes the whole way that a real one goes: every law is fitted to it and
tested, those that it rejects are left out, and the draws of the others are mixed. Sweeps of one
design differ in losses and weights alone, so the draws of many are refitted together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

import numpy as np
import polars as pl

from isoflop.approaches.estimators.registry import fit
from isoflop.approaches.forecasts.weights import shared_out, weights_of
from isoflop.approaches.protocol import Resamples
from isoflop.approaches.uncertainty.coverage import DECADES, SCHEMA
from isoflop.approaches.uncertainty.resampling import resample
from isoflop.approaches.uncertainty.simulated_sweeps import SimulatedSweeps
from isoflop.approaches.uncertainty.streams import Stream
from isoflop.errors import IsoflopError
from isoflop.estimates.intervals import LEVELS, percentile_intervals
from isoflop.estimates.mixture import KEY

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from isoflop.approach import Approach
    from isoflop.approaches.estimators.loss_law import MultistartFit
    from isoflop.config.approaches import ApproachesSettings

    Floats = NDArray[np.float64]

BLOCK: Final = 25
"""Simulated sweeps refitted at a time."""


def check_mixture(
    losses: pl.DataFrame,
    settings: ApproachesSettings,
    *,
    truths: Sequence[Approach],
    simulations: int,
) -> pl.DataFrame:
    """Count how often the mixture's intervals cover the truth, whichever law is true.

    Parameters
    ----------
    losses : table ``Losses`` of the sweep that is imitated.
    settings : section ``approaches``; draws are the bootstrap's, the laws and their weights those
        of ``mixture``.
    truths : laws of the set: each, fitted to the sweep, is taken for the truth, and its own
        residuals for the noise.
    simulations : simulated sweeps of each truth.

    Returns
    -------
    Rows of ``coverage.SCHEMA`` for a, params_opt and loss_opt. Widths are those of
    ``check_coverage`` and, of loss_opt, the ratio of the ends.

    Raises
    ------
    IsoflopError : the weights need forecasts, which a simulated sweep has none of.
    UnderdeterminedError : the sweep does not determine a law.
    """
    if settings.mixture.weights == "stacking":
        raise IsoflopError(
            "simulated sweeps have no forecasts, so weights by stacking cannot be checked; choose "
            "approaches.mixture.weights: unrejected or equal"
        )
    # the settings and the command line let laws of the set through alone, and these are such fits
    fits = {
        law: cast("MultistartFit", fit(losses, law, settings, threads=1))
        for law in dict.fromkeys([*settings.mixture.laws, *truths])
    }
    laws = {law: fits[law] for law in settings.mixture.laws}
    rows: list[tuple[object, ...]] = []
    for truth in truths:
        sweeps = SimulatedSweeps(fits[truth])
        # the part of C that all laws saw, as the mixture's own optima have it
        top = min(law.flops_range[1] for law in laws.values())
        flops = top * 10.0 ** np.array(list(DECADES.values()))
        drawn = [
            sample
            for start in range(0, simulations, BLOCK)
            for sample in _mixed(
                sweeps, laws, settings, flops, range(start, min(start + BLOCK, simulations))
            )
        ]
        true = _quantities(fits[truth], fits[truth].parameters[None], flops)[0]
        rows += _rows(truth, np.array(drawn), true, settings)
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def _mixed(
    sweeps: SimulatedSweeps,
    laws: Mapping[Approach, MultistartFit],
    settings: ApproachesSettings,
    flops: Floats,
    numbers: range,
) -> Floats:
    """Give the mixture's draws of some simulated sweeps, (sweeps, draws, quantities)."""
    bootstrap = settings.bootstrap
    log_loss = np.log([sweeps.draw(i, bootstrap.seed).loss for i in numbers])
    tested = {law: fitted.misfits_of(log_loss) for law, fitted in laws.items()}
    whose = []
    for k in range(len(numbers)):
        misfits = {law: p[k] for law, p in tested.items()}
        _, shares = weights_of(list(laws), (), misfits, settings.mixture)
        whose.append(shared_out(shares, bootstrap.draws, bootstrap.seed))
    owner = np.array(whose)
    first = next(iter(laws.values()))
    weights = np.array(
        [resample(first, bootstrap, Stream.SIMULATED_RESAMPLES, i).weights for i in numbers]
    )
    drawn = np.full((*owner.shape, 1 + 2 * len(flops)), np.nan)
    for place, fitted in enumerate(laws.values()):
        mine = owner == place
        if mine.any():
            sweep = np.nonzero(mine)[0]
            refits = fitted.refit(Resamples(weights[mine], log_loss[sweep])).parameters
            drawn[mine] = _quantities(fitted, refits, flops)
    return drawn


def _quantities(fitted: MultistartFit, parameters: Floats, flops: Floats) -> Floats:
    """Give a, then N_opt and then the loss at every C, (rows, quantities)."""
    optima = fitted.optima(parameters, flops)
    a, _ = fitted.exponents(parameters)
    return np.concatenate([a[:, None], optima.params, optima.loss], axis=1)


def _rows(
    truth: Approach, drawn: Floats, true: Floats, settings: ApproachesSettings
) -> list[tuple[object, ...]]:
    """Count hits per quantity and level."""
    names = [("a", ""), *(("params_opt", w) for w in DECADES), *(("loss_opt", w) for w in DECADES)]
    kept = [sample for sample in drawn if np.isfinite(sample).all(axis=1).sum() > 1]
    rows: list[tuple[object, ...]] = []
    for k, (name, where) in enumerate(names):
        ends = [percentile_intervals(sample[:, k]) for sample in kept]
        values = np.array([np.nanmedian(sample[:, k]) for sample in kept])
        for level in LEVELS:
            low, high = np.array([intervals[str(level)] for intervals in ends]).T
            ratio = name != "a"
            rows.append(
                (
                    KEY,
                    settings.bootstrap.scheme,
                    "percentile",
                    name,
                    where,
                    level,
                    settings.bootstrap.draws,
                    len(drawn),
                    len(drawn) - len(kept),
                    float(np.mean((low <= true[k]) & (true[k] <= high))),
                    float(np.median(high / low if ratio else high - low)),
                    float(np.median(values / true[k] if ratio else values - true[k])),
                    truth,
                )
            )
    return rows
