"""Calibrate intervals on simulated sweeps of the same design, whose truth is known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from isoflop.approaches.protocol import Resamples, together
from isoflop.approaches.uncertainty.resampling import resample
from isoflop.approaches.uncertainty.streams import Stream
from isoflop.errors import UnderdeterminedError
from isoflop.estimates.estimate import CheckedTruth
from isoflop.estimates.quantities import Simulations

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from isoflop.approaches.protocol import Fit
    from isoflop.approaches.uncertainty.simulated_sweeps import SimulatedSweeps
    from isoflop.config.approaches import BootstrapSettings

    Floats = NDArray[np.float64]

BATCH: Final = 4096
"""Resamples in a batch of refits: as many as the solver steps together."""


@dataclass(frozen=True, eq=False)
class Calibrated:
    """Fits to sweeps simulated from one law, and how many could not be fitted.

    Attributes
    ----------
    simulations : the fits.
    refused : sweeps that could not be fitted.
    noise : standard deviation of a run's log error in them.
    misfit_p : p-value of the test of that law's form on the sweep's own runs; None untested.
    """

    simulations: Simulations
    refused: int
    noise: float
    misfit_p: float | None

    def record(self, names: tuple[str, ...]) -> CheckedTruth:
        """Say what an estimate keeps of it, apart from the draws."""
        clean = self.simulations.noiseless
        return CheckedTruth(
            truth=self.simulations.truth,
            noise=self.noise,
            simulations=len(self.simulations.estimates) + self.refused,
            refused=self.refused,
            noiseless=None if clean is None else dict(zip(names, clean[0].tolist(), strict=True)),
            misfit_p=self.misfit_p,
        )


def calibrate(fitted: Fit, sweeps: SimulatedSweeps, settings: BootstrapSettings) -> Calibrated:
    """Fit and resample simulated sweeps.

    Parameters
    ----------
    fitted : the fit to the sweep itself.
    sweeps : the simulated sweeps.
    settings : scheme, numbers of simulations and of draws in each, seed.

    References
    ----------
    Beran 1987, Biometrika 74:457; Loh 1987, J. Am. Stat. Assoc. 82:155.
    """
    if fitted.refits_sweeps and settings.scheme in {"runs", "subsample"}:
        outcomes = list(_together(fitted, sweeps, settings))
    else:
        outcomes = list(_one_by_one(fitted, sweeps, settings))
    p = len(fitted.law.names)
    simulations = Simulations(
        truth=sweeps.truth,
        estimates=np.array([estimate for estimate, _ in outcomes]).reshape(-1, p),
        draws=np.array([draws for _, draws in outcomes]).reshape(-1, settings.simulation_draws, p),
        noiseless=_noiseless(fitted, sweeps),
    )
    return Calibrated(
        simulations,
        settings.simulations - len(outcomes),
        sweeps.noise,
        sweeps.fitted.misfit_p_value,
    )


def refitted(
    fitted: Fit, settings: BootstrapSettings, i: int, *, stream: Stream = Stream.SIMULATED_RESAMPLES
) -> Floats:
    """Resample the i-th simulated sweep, (simulation_draws, parameters)."""
    return fitted.refit(_resamples(fitted, settings, i, stream)).parameters


def _resamples(fitted: Fit, settings: BootstrapSettings, i: int, stream: Stream) -> Resamples:
    few = settings.model_copy(update={"draws": settings.simulation_draws})
    return resample(fitted, few, stream, i)


def _one_by_one(
    fitted: Fit, sweeps: SimulatedSweeps, settings: BootstrapSettings
) -> Iterator[tuple[Floats, Floats]]:
    """Fit simulated sweeps anew; those that cannot be fitted are left out."""
    for i in range(settings.simulations):
        try:
            refit = fitted.refit_simulated(sweeps.draw(i, settings.seed))
            draws = refitted(refit, settings, i)
        except UnderdeterminedError:
            continue
        yield refit.parameters, draws


def _together(
    fitted: Fit, sweeps: SimulatedSweeps, settings: BootstrapSettings
) -> Iterator[tuple[Floats, Floats]]:
    """Refit many simulated sweeps and their resamples at a time, from the optimum at hand.

    They differ in losses and weights alone, which is all that a batch of refits needs.
    """
    draws, n_runs = settings.simulation_draws, fitted.observations.n_runs
    size = max(1, BATCH // draws)
    for start in range(0, settings.simulations, size):
        numbers = range(start, min(start + size, settings.simulations))
        log_loss = np.log([sweeps.draw(i, settings.seed).loss for i in numbers])
        estimates = fitted.refit(Resamples(np.ones((len(numbers), n_runs)), log_loss)).parameters
        resamples = together(
            [_resamples(fitted, settings, i, Stream.SIMULATED_RESAMPLES) for i in numbers], log_loss
        )
        drawn = fitted.refit(resamples).parameters
        for k in range(len(numbers)):
            yield estimates[k], drawn[k * draws : (k + 1) * draws]


def _noiseless(fitted: Fit, sweeps: SimulatedSweeps) -> Floats | None:
    """Fit the sweep without errors: what is off here is off because of the design alone."""
    try:
        return fitted.refit_losses(sweeps.noiseless()).parameters[None]
    except UnderdeterminedError:
        return None
