"""How often an approach's intervals hold the truth on sweeps like this one, and which would."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from isoflop.approaches.protocol import Resamples
from isoflop.approaches.uncertainty.intervals import needed_level, share_held
from isoflop.approaches.uncertainty.quantities import quantities
from isoflop.approaches.uncertainty.resampling import resample
from isoflop.errors import UnderdeterminedError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from isoflop.approaches.protocol import Fit
    from isoflop.approaches.uncertainty.simulated_sweeps import Lookalikes
    from isoflop.config.approaches import BootstrapSettings

    Floats = NDArray[np.float64]

BATCH: Final = 4_000_000
"""Losses that a batch of refits holds: 32 MB."""


@dataclass(frozen=True, eq=False)
class Calibration:
    """Where the truth fell among the draws of simulated sweeps.

    Attributes
    ----------
    simulations, refused : sweeps simulated, and how many of them could not be fitted.
    noise : standard deviation of a run's log error in them.
    truth : quantity to its true value.
    estimates : quantity to (fitted simulations,) estimates.
    ranks : quantity to (fitted simulations,) share of the draws below the truth.
    noiseless : quantity to the estimate from the sweep without errors; empty if it was refused.
    """

    simulations: int
    refused: int
    noise: float
    truth: dict[str, float]
    estimates: dict[str, Floats]
    ranks: dict[str, Floats]
    noiseless: dict[str, float]

    def diagnostics(self, levels: Sequence[float]) -> dict[str, Any]:
        """Say in JSON's types what was found; keys in docs/approaches.md."""
        return {
            "simulations": self.simulations,
            "refused": self.refused,
            "noise": self.noise,
            "quantities": {
                name: {
                    "truth": self.truth[name],
                    "median": float(np.median(self.estimates[name])),
                    "noiseless": self.noiseless.get(name),
                    "percentile_held": {str(q): share_held(rank, q) for q in levels},
                    "needed_level": {str(q): needed_level(rank, q) for q in levels},
                }
                for name, rank in self.ranks.items()
            },
        }


def calibrate(
    fitted: Fit, lookalikes: Lookalikes, flops: Floats, settings: BootstrapSettings
) -> Calibration:
    """Fit and resample simulated sweeps, and see where the truth falls among each one's draws.

    Parameters
    ----------
    fitted : the fit to the sweep itself.
    lookalikes : source of the simulated sweeps.
    flops : (budgets,) C at which optima are judged [FLOP].
    settings : scheme, numbers of simulations and of draws in each, seed.

    References
    ----------
    Beran 1987, Biometrika 74:457; Loh 1987, J. Am. Stat. Assoc. 82:155.
    """
    truth = lookalikes.truth(flops)
    if fitted.refits_sweeps and settings.scheme in {"runs", "subsample"}:
        placed = list(_together(fitted, lookalikes, truth, flops, settings))
    else:
        placed = list(_one_by_one(fitted, lookalikes, truth, flops, settings))
    names = [name for name in truth if placed and all(name in found for found in placed)]
    return Calibration(
        simulations=settings.simulations,
        refused=settings.simulations - len(placed),
        noise=lookalikes.noise,
        truth={name: truth[name] for name in names},
        estimates={name: np.array([found[name][0] for found in placed]) for name in names},
        ranks={name: np.array([found[name][1] for found in placed]) for name in names},
        noiseless=_noiseless(fitted, lookalikes, flops),
    )


def inner(settings: BootstrapSettings, i: int) -> BootstrapSettings:
    """Give the settings for resampling the i-th simulated sweep."""
    return settings.model_copy(
        update={"draws": settings.simulation_draws, "seed": settings.seed + 1 + i}
    )


def place(
    fitted: Fit, truth: dict[str, float], flops: Floats, settings: BootstrapSettings
) -> dict[str, tuple[float, float]]:
    """Resample a simulated sweep, and find where the truth falls among the draws.

    Returns
    -------
    Name to the estimate and the share of draws below the truth, 0 or 1 where it lies beyond them
    all; for the quantities that the approach has.
    """
    drawn = fitted.refit(resample(fitted, settings)).parameters
    return _ranks(fitted, fitted.parameters, drawn, truth, flops)


def _ranks(
    fitted: Fit, parameters: Floats, drawn: Floats, truth: dict[str, float], flops: Floats
) -> dict[str, tuple[float, float]]:
    """Derive every quantity from a fit's parameters and its draws', and rank the truth."""
    point = quantities(fitted, parameters[None], flops)
    draws = quantities(fitted, drawn, flops)
    found = {}
    for name, true in truth.items():
        if name in point and np.isfinite(point[name][0]):
            kept = draws[name][np.isfinite(draws[name])]
            found[name] = (float(point[name][0]), float(np.mean(kept < true)))
    return found


def _one_by_one(
    fitted: Fit,
    lookalikes: Lookalikes,
    truth: dict[str, float],
    flops: Floats,
    settings: BootstrapSettings,
) -> Iterator[dict[str, tuple[float, float]]]:
    """Fit simulated sweeps anew; those that cannot be fitted are left out."""
    for i in range(settings.simulations):
        try:
            own = fitted.refit_losses(lookalikes.draw(i, settings.seed))
        except UnderdeterminedError:
            continue
        yield place(own, truth, flops, inner(settings, i))


def _together(
    fitted: Fit,
    lookalikes: Lookalikes,
    truth: dict[str, float],
    flops: Floats,
    settings: BootstrapSettings,
) -> Iterator[dict[str, tuple[float, float]]]:
    """Refit many simulated sweeps and their resamples at a time, from the optimum at hand.

    They differ in losses and weights alone, which is all that a batch of refits needs.
    """
    draws, n_runs = settings.simulation_draws, fitted.observations.n_runs
    size = max(1, BATCH // (draws * len(fitted.observations.loss)))
    for start in range(0, settings.simulations, size):
        numbers = range(start, min(start + size, settings.simulations))
        log_loss = np.log([lookalikes.draw(i, settings.seed).loss for i in numbers])
        whole = fitted.refit(Resamples(np.ones((len(numbers), n_runs)), log_loss)).parameters
        weights = [resample(fitted, inner(settings, i)).weights for i in numbers]
        drawn = fitted.refit(
            Resamples(np.concatenate(weights), np.repeat(log_loss, draws, axis=0))
        ).parameters
        for k in range(len(numbers)):
            own = drawn[k * draws : (k + 1) * draws]
            yield _ranks(fitted, whole[k], own, truth, flops)


def _noiseless(fitted: Fit, lookalikes: Lookalikes, flops: Floats) -> dict[str, float]:
    """Fit the sweep without errors: what is off here is off because of the design alone."""
    try:
        own = fitted.refit_losses(lookalikes.noiseless())
    except UnderdeterminedError:
        return {}
    found = quantities(own, own.parameters[None], flops)
    return {name: float(value[0]) for name, value in found.items() if np.isfinite(value[0])}
