"""What all approaches have in common, so that draws, intervals and optima are written once.

An approach is fitted once and then asked to refit itself to many resamples at a time. A resample
is a weight per run, and for some schemes a loss per point; a refit is one row of parameters.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from isoflop.approach import Approach
    from isoflop.approaches.estimators.curvature import Curvature
    from isoflop.approaches.observations import Observations
    from isoflop.config.approaches import CountingSettings
    from isoflop.estimates.diagnostics import Diagnostics, NoiseParts
    from isoflop.estimates.laws import Law, Optima

    Floats = NDArray[np.float64]
    Ints = NDArray[np.intp]
    Texts = NDArray[np.str_]


LEAST_FITTED: Final = 0.5
"""Share of resamples that must be fitted: fewer cannot say how sure a fit is."""


@dataclass(frozen=True, eq=False)
class Resamples:
    """Many variations of one sweep.

    Attributes
    ----------
    weights : (draws, runs) how often each run occurs.
    log_loss : (sweeps, points) log of the losses; None where every draw has the observed ones.
    sweep : (draws,) whose losses each draw has: a row of ``log_loss``; None where draw i has row i.
    shift : (draws, runs) log error that all losses of a run get beside; None where none do.
    """

    weights: Floats
    log_loss: Floats | None = None
    sweep: Ints | None = None
    shift: Floats | None = None

    def __len__(self) -> int:
        return len(self.weights)

    def take(self, rows: Ints) -> Resamples:
        """Keep some of the draws."""
        sweep = rows if self.sweep is None else self.sweep[rows]
        return Resamples(
            weights=self.weights[rows],
            log_loss=self.log_loss,
            sweep=None if self.log_loss is None else sweep,
            shift=None if self.shift is None else self.shift[rows],
        )

    def at(self, observations: Observations, points: Ints) -> tuple[Floats, Floats]:
        """Give weights (draws, points) and log losses (draws or 1, points) at some points."""
        run = observations.run[points]
        changed = self.losses_at(points)
        log_loss = np.log(observations.loss[points])[None] if changed is None else changed
        return self.weights[:, run], log_loss if self.shift is None else log_loss + self.shift[
            :, run
        ]

    def losses_at(self, points: Ints) -> Floats | None:
        """Give log losses, (draws, points), without the shift; None where they are the observed."""
        if self.log_loss is None:
            return None
        losses = self.log_loss[:, points]
        return losses if self.sweep is None else losses[self.sweep]


def together(resamples: Sequence[Resamples], log_loss: Floats) -> Resamples:
    """Put resamples of several sweeps of the same design into one batch.

    Parameters
    ----------
    resamples : of each sweep, without losses of their own; shifts in all of them or in none.
    log_loss : (sweeps, points) of each sweep.
    """
    shifts = [part.shift for part in resamples if part.shift is not None]
    return Resamples(
        weights=np.concatenate([part.weights for part in resamples]),
        log_loss=log_loss,
        sweep=np.repeat(np.arange(len(resamples)), [len(part) for part in resamples]),
        shift=np.concatenate(shifts) if shifts else None,
    )


@dataclass(frozen=True, eq=False)
class Refits:
    """What refitting gave, one row per resample.

    Attributes
    ----------
    parameters : (draws, parameters); a refused row is NaN throughout.
    refusals : (draws,) why a resample could not be fitted; empty where it could.
    curvature : how far each resample's frontier departs from a power law; None where an approach
        takes the power law from a law of the loss.
    """

    parameters: Floats
    refusals: Texts
    curvature: Curvature | None = None


class Fit(ABC):
    """One approach fitted to one sweep: what every algorithm of this room asks, and no more.

    Attributes
    ----------
    approach : its key.
    observations : the sweep, every point of it, under the fit's counting convention.
    takes_losses : whether resamples with other losses can be refitted; an envelope has no residuals
        to resample.
    refits_sweeps : whether ``refit`` of other losses gives what ``refit_losses`` gives, so that
        many sweeps of the same design can be fitted at once.
    """

    approach: ClassVar[Approach]
    takes_losses: ClassVar[bool] = True
    refits_sweeps: ClassVar[bool] = False
    observations: Observations

    @property
    @abstractmethod
    def law(self) -> Law:
        """The law that was fitted, with its counting; an estimate hands it on."""

    @property
    @abstractmethod
    def parameters(self) -> Floats:
        """The fitted parameters, (parameters,), in the order of the law's names."""

    @property
    @abstractmethod
    def fitted(self) -> Floats:
        """Log of the fitted loss at each observed point; NaN where the fit does not use it."""

    @property
    def n_used(self) -> tuple[int, int]:
        """Runs and points that the fit takes of the sweep."""
        used = np.isfinite(self.fitted)
        return len(np.unique(self.observations.run[used])), int(used.sum())

    @property
    @abstractmethod
    def n_parameters(self) -> int:
        """Parameters that were free in the fit of the losses: what residuals are widened by."""

    @abstractmethod
    def refit(self, resamples: Resamples) -> Refits:
        """Fit every resample, all at once."""

    @abstractmethod
    def refit_losses(self, observations: Observations) -> Fit:
        """Fit other losses of the same runs, as a simulated sweep has them.

        Raises
        ------
        UnderdeterminedError : they do not allow the fit.
        """

    def refit_simulated(self, observations: Observations) -> Fit:
        """Fit other losses as far as calibration asks: what a law of the loss can be the truth of.

        Raises
        ------
        UnderdeterminedError : they do not allow the fit.
        """
        return self.refit_losses(observations)

    @abstractmethod
    def diagnostics(self) -> Diagnostics:
        """Say how the fit came about."""

    @abstractmethod
    def cautions(self) -> list[str]:
        """Say what a reader must know before using the numbers, in whole sentences."""

    def confounded(self, *, by_form: bool) -> list[str]:  # noqa: ARG002
        """Say which answers the parameters leave open that these runs hardly tell apart.

        Parameters
        ----------
        by_form : whether the law's form answers, and not the runs; its standard errors are then of
            the form, too, and say of nothing that the runs determine it.
        """
        return []

    def size_errors(
        self,
        flops: Floats,  # noqa: ARG002
        without: Sequence[int] = (),  # noqa: ARG002
    ) -> Floats | None:
        """Give standard errors of log N* by the slopes of the law's parameters; None without any.

        Parameters
        ----------
        flops : (budgets,) where [FLOP].
        without : numbers of runs whose losses are not taken for known.
        """
        return None

    def recounted(self, observations: Observations) -> Fit | None:  # noqa: ARG002
        """Give the same fit with C counted otherwise; None where the fit itself depends on C.

        Parameters
        ----------
        observations : the same points with the same N.
        """
        return None

    def cure_of_bias(self) -> str:
        """Say what lowers an error that losses without noise have too; empty where nothing does."""
        return ""

    @property
    def misfit_p_value(self) -> float | None:
        """Of the test whether the law's form fits the runs; None where there is no such test."""
        return None

    @property
    def noise_parts(self) -> NoiseParts | None:
        """What the errors of its final losses consist of; None where that is not told apart."""
        return None

    def budgets(self) -> list[float]:
        """List the IsoFLOP budgets that the fit rests on; empty where it needs none."""
        return []

    @property
    def flops_range(self) -> tuple[float, float]:
        """Smallest and largest C that the fit saw [FLOP]; by default that of whole curves."""
        return self.observations.flops_range

    @property
    def names(self) -> tuple[str, ...]:
        """Parameters, in the order of the columns of ``Refits.parameters``."""
        return self.law.names

    @property
    def counting(self) -> CountingSettings:
        """The conventions behind N and C."""
        return self.observations.counting

    def exponents(self, parameters: Floats) -> tuple[Floats, Floats]:
        """Give a and b of N_opt ~ C**a, D_opt ~ C**b for rows of parameters."""
        return self.law.exponents(parameters)

    def optima(self, parameters: Floats, flops: Floats) -> Optima:
        """Give the allocation at each budget for rows of parameters."""
        return self.law.optima(parameters, flops)
