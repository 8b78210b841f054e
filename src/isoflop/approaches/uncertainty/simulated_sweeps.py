"""Sweeps that look like a given one and whose truth is known.

An interval can only be judged where the truth is known. So a law of the loss that was fitted to a
sweep, approach 3's unless another is named, is taken for the truth, and the sweep's own curves are
moved until each ends at that law plus an error drawn from the sweep's own residuals: design,
counting and the shape of unfinished curves stay.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Final

import numpy as np

from isoflop.approaches.estimators.account import widened
from isoflop.approaches.estimators.parametric import fit_parametric
from isoflop.approaches.uncertainty.streams import Stream, rng
from isoflop.errors import UnderdeterminedError
from isoflop.estimates.quantities import Truth

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from isoflop.approaches.estimators.loss_law import MultistartFit
    from isoflop.approaches.observations import Observations
    from isoflop.config.approaches import ParametricSettings

    Floats = NDArray[np.float64]

SILVERMAN: Final = 1.06
"""Width of a normal kernel for n values, in units of their sd times n**(-1/5)."""


@dataclass(frozen=True, eq=False)
class SimulatedSweeps:
    """A source of sweeps like a given one.

    Attributes
    ----------
    fitted : the law taken for the truth, fitted to the sweep under its counting convention.
    """

    fitted: MultistartFit

    @classmethod
    def of(
        cls, observations: Observations, settings: ParametricSettings, *, threads: int | None = None
    ) -> SimulatedSweeps:
        """Fit the law to a sweep.

        Raises
        ------
        UnderdeterminedError : the sweep does not determine the law, or one of its terms vanishes.
        """
        coarse = settings.model_copy(update={"starts": "coarse"})
        law = fit_parametric(observations, coarse, threads=threads)
        if hit := law.bounds_hit():
            raise UnderdeterminedError(f"{', '.join(hit)} of the parametric law ended at a bound")
        return cls(law)

    @cached_property
    def errors(self) -> Floats:
        """Log errors of runs, (runs with a final loss,): residuals, centred, as wide as errors."""
        residuals = self._last_residual[np.isfinite(self._last_residual)]
        return widened(residuals - residuals.mean(), parameters=self.fitted.n_parameters)

    @property
    def noise(self) -> float:
        """Standard deviation of the log error of a run."""
        return float(self.errors.std())

    @property
    def truth(self) -> Truth:
        """The law that the sweeps come from."""
        names, values = self.fitted.law.names, self.fitted.parameters.tolist()
        return Truth(law=self.fitted.law, parameters=dict(zip(names, values, strict=True)))

    def noiseless(self) -> Observations:
        """Give the sweep as it would be without errors."""
        return self._moved(np.zeros(self.fitted.observations.n_runs))

    def draw(self, i: int, seed: int, stream: Stream = Stream.SIMULATED_SWEEPS) -> Observations:
        """Give the i-th sweep, whatever others are drawn.

        Errors are drawn from a smoothed distribution of the residuals: a fit of least absolute
        values passes through as many points as it has parameters, and a sweep whose errors had that
        spike at zero would be easier to fit than this one.

        Parameters
        ----------
        i : number of the sweep.
        seed : seed of all.
        stream : keeps sweeps for different purposes apart.

        References
        ----------
        Silverman and Young 1987, Biometrika 74:469: smoothing that keeps the variance.
        """
        generator = rng(seed, stream, i)
        n_runs = self.fitted.observations.n_runs
        width = SILVERMAN * len(self.errors) ** -0.2
        smoothed = generator.choice(self.errors, n_runs)
        smoothed += width * self.noise * generator.normal(size=n_runs)
        return self._moved(smoothed / np.sqrt(1.0 + width**2))

    def _moved(self, errors: Floats) -> Observations:
        """Move every curve until its last fitted point has these errors, (runs,), about the law.

        Curves without a fitted point keep their place, and get the error alone.
        """
        observations = self.fitted.observations
        shift = errors - np.nan_to_num(self._last_residual)
        return replace(observations, loss=observations.loss * np.exp(shift[observations.run]))

    @cached_property
    def _last_residual(self) -> Floats:
        """Log residual of each run's last fitted point, (runs,); NaN where it has none."""
        last = np.full(self.fitted.observations.n_runs, np.nan)
        # points are sorted by run, then tokens: the last assignment wins
        last[self.fitted.observations.run[self.fitted.points]] = self.fitted.residuals
        return last
