"""Sweeps that look like a given one and whose truth is known.

An interval can only be judged where the truth is known. So a law of the loss that was fitted to a
sweep is taken for the truth, and the sweep's own curves are moved until each ends at that law plus
an error drawn from the sweep's own residuals, which runs of one size may share: design, counting
and the shape of unfinished curves stay. A departure lays something over the law.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

import numpy as np

from isoflop.approaches.estimators.account import widened
from isoflop.approaches.uncertainty.departures import BentLaw
from isoflop.approaches.uncertainty.streams import Stream, rng
from isoflop.cells import cells_of, repeats_of
from isoflop.estimates.laws import HoffmannLaw
from isoflop.estimates.quantities import Truth

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from isoflop.approaches.estimators.loss_law import MultistartFit
    from isoflop.approaches.observations import Observations
    from isoflop.approaches.uncertainty.departures import Departure
    from isoflop.estimates.diagnostics import NoiseParts

    Floats = NDArray[np.float64]
    Ints = NDArray[np.intp]

SILVERMAN: Final = 1.06
"""Width of a normal kernel for n values, in units of their sd times n**(-1/5)."""


@dataclass(frozen=True, eq=False)
class SimulatedSweeps:
    """Sweeps like a given one, as many as are asked for.

    Attributes
    ----------
    fitted : the law taken for the truth, fitted to the sweep under its counting convention.
    departure : what is laid over it; None where the law itself is the truth.
    shared : whether runs of one size, and of one size and token count, share parts of their errors
        as the sweep's own do (``noise_parts``); else each run errs alone.
    """

    fitted: MultistartFit
    departure: Departure | None = None
    shared: bool = False

    @cached_property
    def errors(self) -> Floats:
        """Log errors of runs, (runs with a final loss,): residuals, centred, as wide as errors."""
        residuals = self._last_residual[np.isfinite(self._last_residual)]
        return widened(residuals - residuals.mean(), parameters=self.fitted.n_parameters)

    @property
    def noise(self) -> float:
        """Standard deviation of the log error of a run."""
        return float(self.errors.std()) if self._parts is None else self._parts.total

    @property
    def _parts(self) -> NoiseParts | None:
        return self.fitted.noise_parts if self.shared else None

    @property
    def truth(self) -> Truth:
        """The law that the sweeps come from."""
        names, values = self.fitted.law.names, self.fitted.parameters.tolist()
        return Truth(
            approach=self.fitted.approach,
            law=self.fitted.law,
            parameters=dict(zip(names, values, strict=True)),
        )

    def true(self, flops: Floats) -> dict[str, Floats]:
        """Give the truth: a and b, (1,), and at each C [FLOP] params_opt (N) and loss_opt."""
        if self._bent is not None:
            optimum = np.array([self._bent.optimum(float(c)) for c in flops])
            slope = self._bent.slope(self.fitted.flops_range)
            rest = 1.0 - self._bent.law.flops_per_token.exponent * slope
            return {
                "a": np.array([slope]),
                "b": np.array([rest]),
                "params_opt": optimum[:, 0],
                "loss_opt": optimum[:, 1],
            }
        row = self.fitted.parameters[None]
        optima = self.fitted.optima(row, flops)
        a, b = self.fitted.exponents(row)
        return {"a": a, "b": b, "params_opt": optima.params[0], "loss_opt": optima.loss[0]}

    @cached_property
    def _bent(self) -> BentLaw | None:
        """The law with drifting exponents; None where they do not drift.

        Raises
        ------
        TypeError : the law is not approach 3's.
        """
        if self.departure is None or self.departure.drift == 0.0:
            return None
        if not isinstance(self.fitted.law, HoffmannLaw):
            raise TypeError("exponents drift in approach 3's law alone")
        n, d = self._last_places
        middle = (float(np.nanmean(n)), float(np.nanmean(d)))
        row = self.fitted.parameters[None]
        return BentLaw(self.fitted.law, row, self.departure.drift, middle)

    @cached_property
    def _systematic(self) -> Floats:
        """How far the departure lies above the law at each run's last fitted point, (runs,)."""
        shift = np.zeros(self.fitted.observations.n_runs)
        if self.departure is None:
            return shift
        n, d = self._last_places
        ended = np.isfinite(n)
        shift[ended] = self.departure.excess(n[ended])
        if self._bent is not None:
            straight = self._bent.straight(n[ended], d[ended])
            shift[ended] += self._bent.log_loss(n[ended], d[ended]) - straight
        return shift

    @cached_property
    def _last_places(self) -> tuple[Floats, Floats]:
        """Log N and log D of each run's last fitted point, (runs,); NaN where it has none."""
        taken = self.fitted.fitted_points
        n, d = np.full((2, self.fitted.observations.n_runs), np.nan)
        # as in _last_residual
        n[taken.run], d[taken.run] = np.log(taken.params), np.log(taken.tokens)
        return n, d

    def noiseless(self) -> Observations:
        """Give the sweep as it would be without errors."""
        return self._moved(np.zeros(self.fitted.observations.n_runs))

    def draw(self, i: int, seed: int, stream: Stream = Stream.SIMULATED_SWEEPS) -> Observations:
        """Give the i-th sweep, whatever others are drawn.

        Errors are drawn from a smoothed distribution of the residuals: a fit of least absolute
        values passes through as many points as it has parameters, and a sweep whose errors had that
        spike at zero would be easier to fit than this one. What runs share of them is normal.

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
        if self.departure is not None and self.departure.noise is not None:
            n, d = self._last_places
            ended = np.isfinite(n)
            errors = np.zeros(n_runs)
            flops = np.exp(self.fitted.cost.log_flops(n[ended], d[ended]))
            errors[ended] = self.departure.errors(np.exp(n[ended]), flops, generator)
            return self._moved(errors)
        width, spread = SILVERMAN * len(self.errors) ** -0.2, float(self.errors.std())
        smoothed = generator.choice(self.errors, n_runs)
        smoothed += width * spread * generator.normal(size=n_runs)
        errors = smoothed / np.sqrt(1.0 + width**2)
        if self._parts is not None and spread > 0.0:
            errors *= self._parts.seed / spread
            errors += self._shared_errors(self._parts, generator)
        return self._moved(errors)

    def _shared_errors(self, parts: NoiseParts, generator: np.random.Generator) -> Floats:
        """Draw what runs of one size, and of one cell, share, (runs,); zero for unfinished runs."""
        ended = np.isfinite(self._last_places[0])
        errors = np.zeros(len(ended))
        for sd, group in zip((parts.size, parts.cell), self._ended_groups, strict=True):
            if sd is not None:
                errors[ended] += sd * generator.normal(size=group.max() + 1)[group]
        return errors

    @cached_property
    def _ended_groups(self) -> tuple[Ints, Ints]:
        """The size and the group of repeats of each run with a fitted point, in order of runs."""
        n, d = self._last_places
        ended = np.isfinite(n)
        params, tokens = np.exp(n[ended]), np.exp(d[ended])
        settings = self.fitted.observations.run_settings
        alike = repeats_of(params, tokens, None if settings is None else settings[ended])
        return cells_of(params), alike

    def _moved(self, errors: Floats) -> Observations:
        """Move every curve until its last fitted point has these errors, (runs,), about the law.

        Curves without a fitted point keep their place, and get the error alone.
        """
        observations = self.fitted.observations
        shift = errors + self._systematic - np.nan_to_num(self._last_residual)
        return observations.with_losses(observations.loss * np.exp(shift[observations.run]))

    @cached_property
    def _last_residual(self) -> Floats:
        """Log residual of each run's last fitted point, (runs,); NaN where it has none."""
        last = np.full(self.fitted.observations.n_runs, np.nan)
        # points are sorted by run, then tokens: the last assignment wins
        last[self.fitted.observations.run[self.fitted.points]] = self.fitted.residuals
        return last
