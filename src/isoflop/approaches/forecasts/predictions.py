"""What a fit says of runs it has not seen: point predictions, and joint draws of measurements."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from isoflop.approaches.estimators.account import widened
from isoflop.approaches.uncertainty.resampling import uniforms
from isoflop.approaches.uncertainty.streams import Stream

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from isoflop.approaches.estimators.profiles import ProfilesFit
    from isoflop.approaches.observations import Observations
    from isoflop.approaches.protocol import Fit, Resamples

    Floats = NDArray[np.float64]

LEAST_SPREAD: Final = 1e-9
"""Noise below which a density would be one of rounding errors [log nat]."""


@dataclass(frozen=True, eq=False)
class Predictive:
    """Predictions of several measurements.

    Attributes
    ----------
    value : (targets,) from all runs below the cut.
    draws : (draws, targets) law and noise; a row is joint, with one refit behind it.
    numbers : (draws,) number of each draw.
    log_law : (draws, targets) log of the law alone; None where an optimum is predicted.
    spread : (targets,) sd of the log error of a measurement; None likewise.
    mixed : weights and predictions of the laws that this one mixes; empty for one law's own.
    """

    value: Floats
    draws: Floats
    numbers: NDArray[np.intp]
    log_law: Floats | None = None
    spread: Floats | None = None
    mixed: tuple[tuple[float, Predictive], ...] = ()

    def at(self, draws: NDArray[np.bool_]) -> Predictive:
        """Keep some of the draws."""
        law = None if self.log_law is None else self.log_law[draws]
        return replace(self, draws=self.draws[draws], numbers=self.numbers[draws], log_law=law)

    def over(self, cells: NDArray[np.intp]) -> Predictive:
        """Predict the mean of the measurements of each cell: they share the law's error.

        Parameters
        ----------
        cells : (targets,) number of each target's cell, from 0 on; a law says the same of all
            targets of a cell.
        """
        size = np.bincount(cells)
        first = np.unique(cells, return_index=True)[1]
        sums = np.zeros((len(self.draws), len(size)))
        for target, cell in enumerate(cells):
            sums[:, cell] += self.draws[:, target]
        return replace(
            self,
            value=self.value[first],
            draws=sums / size,
            log_law=None if self.log_law is None else self.log_law[:, first],
            spread=None if self.spread is None else self.spread[first] / np.sqrt(size),
            mixed=tuple((weight, part.over(cells)) for weight, part in self.mixed),
        )

    def difference(self, above: NDArray[np.bool_], below: NDArray[np.bool_]) -> Predictive:
        """Give the mean of some measurements less that of others, as one measurement.

        Parameters
        ----------
        above, below : (targets,) which ones.
        """
        value = self.value[above].mean() - self.value[below].mean()
        draws = self.draws[:, above].mean(axis=1) - self.draws[:, below].mean(axis=1)
        return Predictive(np.array([value]), draws[:, None], self.numbers)

    def log_density(self, measured: Floats) -> Floats | None:
        """Give the log of the predictive density of the log of each measurement, (targets,).

        The density is that of the draws of the law, each with normal noise of the residuals' sd;
        that of a mixture is the weighted mean of all draws of its laws.
        """
        if self.mixed:
            parts = [
                np.log(weight) + density
                for weight, part in self.mixed
                if weight > 0.0 and (density := part.log_density(measured)) is not None
            ]
            return np.asarray(np.logaddexp.reduce(parts, axis=0))
        if self.log_law is None or self.spread is None:
            return None
        spread = np.maximum(self.spread, LEAST_SPREAD)
        z = (np.log(measured) - self.log_law) / spread
        level = np.log(len(z) * spread * np.sqrt(2.0 * np.pi))
        return np.asarray(np.logaddexp.reduce(-0.5 * z**2, axis=0) - level)


@dataclass(frozen=True, eq=False)
class ValleyNoise:
    """How far a measured valley lies from where it would lie on average, (cases,) each.

    Attributes
    ----------
    log_params, log_loss : of a resampled profile's minimum less that of all its runs.
    """

    log_params: Floats
    log_loss: Floats

    @classmethod
    def of(cls, profiles: ProfilesFit, resamples: Resamples) -> ValleyNoise:
        """Pool the scatter of every budget's minimum over its own resamples."""
        measured, drawn = profiles.valleys, profiles.resampled_valleys(resamples)
        kept = measured.accepted & drawn.accepted
        return cls(
            (drawn.log_params - measured.log_params)[kept],
            (drawn.log_loss - measured.log_loss)[kept],
        )


def predict_losses(
    fitted: Fit,
    parameters: Floats,
    kept: NDArray[np.intp],
    targets: Observations,
    *,
    seed: int,
) -> Predictive:
    """Predict the measured losses of runs that were not fitted.

    A draw is the law of one resample plus, for each run, one residual of the fit to all runs below
    the cut: law and noise, as in the bootstrap of a prediction (Stine 1985; Davison and Hinkley
    1997, section 6.3.3). Residuals are those of log L at the ends of runs. A fit with p free
    parameters to n runs shrinks them, so they are scaled by sqrt(n / (n - p)). They are not
    centred: Huber's fit goes near the median, and their mean is the skewness of the noise.

    Parameters
    ----------
    fitted : the fit below the cut.
    parameters : (draws, parameters) refits, none refused.
    kept : (draws,) number of each draw; draw i's noise is seeded by (seed, i).
    targets : the runs' last points, counted as the fit counts.
    seed : of the bootstrap.
    """
    log_n, log_d = np.log(targets.params), np.log(targets.tokens)
    noise = _run_noise(fitted)
    picks = _picks(kept, len(log_n), len(noise), seed)
    log_law = _log_losses(fitted, parameters, log_n, log_d)
    value = np.exp(_log_losses(fitted, fitted.parameters[None], log_n, log_d)[0])
    spread = np.full(len(value), np.sqrt(np.mean(noise**2)))
    return Predictive(value, np.exp(log_law + noise[picks]), kept, log_law, spread)


def predict_optima(
    fitted: Fit,
    parameters: Floats,
    kept: NDArray[np.intp],
    flops: Floats,
    noise: ValleyNoise,
    *,
    seed: int,
) -> tuple[Predictive, Predictive]:
    """Predict log N and the loss at the measured minimum of budgets that were not fitted.

    A draw is the law of one resample plus, for each budget, the noise of one measured minimum,
    drawn from the valleys below the cut; nothing above the cut enters.

    Parameters
    ----------
    fitted, parameters, kept, seed : as for ``predict_losses``.
    flops : (budgets,) C [FLOP].
    noise : scatter of a measured minimum.

    Returns
    -------
    Predictions of log N, and of L [nat/token]; the latter NaN where the fit predicts none.
    """
    value = fitted.optima(fitted.parameters[None], flops)
    drawn = fitted.optima(parameters, flops)
    picks = _picks(kept, len(flops), len(noise.log_params), seed)
    # a resample whose line is as good as upright has its best size at zero: no draw of a score
    with np.errstate(divide="ignore"):
        log_params = np.log(drawn.params)
    return (
        Predictive(np.log(value.params[0]), log_params + noise.log_params[picks], kept),
        Predictive(value.loss[0], drawn.loss * np.exp(noise.log_loss[picks]), kept),
    )


def _picks(kept: NDArray[np.intp], targets: int, cases: int, seed: int) -> NDArray[np.intp]:
    """Pick one case for each draw and target."""
    uniform = uniforms(range(int(kept.max(initial=-1)) + 1), targets, seed, Stream.MEASUREMENTS)[
        kept
    ]
    return (uniform * cases).astype(np.intp)


def _run_noise(fitted: Fit) -> Floats:
    """Give the residuals of log L at the ends of the fitted runs, as wide as errors."""
    used = np.isfinite(fitted.fitted) & fitted.observations.is_final
    residual = (np.log(fitted.observations.loss) - fitted.fitted)[used]
    return widened(residual, parameters=fitted.n_parameters)


def _log_losses(fitted: Fit, parameters: Floats, log_n: Floats, log_d: Floats) -> Floats:
    """Evaluate the log of L(N, D) for rows of parameters, (rows, targets)."""
    log_loss = fitted.law.log_loss(parameters, log_n, log_d)
    if log_loss is None:
        raise ValueError(f"approach '{fitted.approach}' has a law of the optimum alone")
    return log_loss
