"""How well fits to the lower part of a sweep predict its upper part: forecast.json.

Written by the approaches room, read by figures, report and archive.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Self

from isoflop.approach import Approach
from isoflop.cells import repeats_of
from isoflop.config.approaches import UsedSettings
from isoflop.config.reading import Section
from isoflop.estimates.estimate import Counting, Provenance, read_outcome
from isoflop.files import write_json
from isoflop.numbers import number_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


class Prediction(Section):
    """One number predicted from below a cut, beside what was measured above it."""

    run: str | None
    """Run whose final loss it is, or the first of several; None for the optimum of a budget."""
    runs: int = 1
    """Runs of this N and D, whose mean loss it is."""
    role: Literal["fit", "check"]
    """Role of the run; a budget's optimum is measured on runs to fit."""
    flops: float
    """C of the run, by the approach's convention, or the budget [FLOP]."""
    params: float
    """N of the run, or of the measured valley."""
    tokens: float
    """D likewise."""
    decades: float
    """log10 of C over the largest C below the cut."""
    predicted: float
    """From the fit below the cut [nat/token, or parameters]."""
    intervals: dict[str, tuple[float, float]]
    """Level to the ends between which the measurement should lie."""
    measured: float
    log_density: float | None = None
    """Log of the predictive density of the log of the measured loss; None for other quantities."""


class Score(Section):
    """How far one kind of prediction lay from the measurements.

    Errors are predicted less measured: in nats per token, and for ``params_opt`` the natural
    logarithm of predicted over measured.
    """

    quantity: Literal["loss", "params_opt", "loss_opt"]
    """Final losses of runs, one for each N and D; N, or the loss, at the minimum of a budget's
    profile."""
    n: int
    """Number of predictions."""
    decades: tuple[float, float]
    """Nearest and farthest prediction, in decades beyond the cut."""
    bias: float
    """Mean error."""
    bias_intervals: dict[str, tuple[float, float]]
    """Level to the ends of the mean error over the draws: no bias is seen where they cover 0."""
    rms: float
    """Root mean square of the errors."""
    rms_per_noise: float | None
    """``rms`` over the noise of a run; None for sizes, and without replicated cells."""
    inside: dict[str, float]
    """Level to the share of measured values inside their intervals."""
    inside_least: dict[str, float]
    """Per confidence level: the share that a calibrated forecast exceeds 97.5 % of the time, the
    errors of one law being correlated. Below it the intervals are rejected."""
    width: dict[str, float]
    """Level to the mean width of the intervals."""
    interval_score: dict[str, float]
    """Level to the mean interval score; smaller is better (Gneiting and Raftery 2007, eq. 43)."""
    log_score: float | None = None
    """Mean of the predictions' ``log_density``; larger is better. None where they have none."""
    predictions: list[Prediction]

    @property
    def covers(self) -> bool:
        """Whether the intervals cover as often as those of a right forecast."""
        return all(share >= self.inside_least[level] for level, share in self.inside.items())


def side_of(scores: Sequence[Score]) -> Literal["high", "low", ""]:
    """Say on which side of what was measured the mean errors lie, at every cut.

    Parameters
    ----------
    scores : of one quantity of one approach, a score a cut.

    Returns
    -------
    Empty unless the widest interval of each mean error excludes zero, all on one side.
    """
    ends = [score.bias_intervals[max(score.bias_intervals, key=float)] for score in scores]
    if ends and all(low > 0.0 for low, _ in ends):
        return "high"
    return "low" if ends and all(high < 0.0 for _, high in ends) else ""


class Forecast(Section):
    """What one approach, fitted below a cut, predicted above it."""

    approach: Approach
    refused: str | None
    """Why there are no scores; None where there are."""
    draws: int
    """Resamples behind the intervals."""
    draws_refused: int
    """Resamples that could not be fitted, and are not among them."""
    scores: list[Score]

    def score(self, quantity: str) -> Score | None:
        """Give the score of one quantity; None where the approach has none."""
        return next((score for score in self.scores if score.quantity == quantity), None)


class MixtureForecast(Section):
    """What the laws of the set, fitted below a cut, predicted together above it."""

    weights: dict[Approach, float]
    """Weight of each law that predicted the losses of runs. Where the weights come from forecasts,
    from those above lower cuts alone."""
    weighting: Literal["unrejected", "equal", "stacking"]
    draws: int
    score: Score


class Cut(Section):
    """A compute below which runs were fitted, and above which they were predicted."""

    flops: float
    """Largest final C of the highest budget below [FLOP]."""
    budgets_below: list[float]
    budgets_above: list[float]
    n_runs_below: int
    n_runs_above: int
    """Runs above the cut, check runs included."""
    forecasts: list[Forecast]
    """Of every approach that every sweep is fitted with, the laws of the set included."""
    mixture: MixtureForecast | None = None
    """None where no law of the set predicted."""

    def forecast(self, approach: Approach) -> Forecast:
        """Give one approach's forecast.

        Raises
        ------
        KeyError : it was not asked for one.
        """
        for forecast in self.forecasts:
            if forecast.approach == approach:
                return forecast
        raise KeyError(approach)

    def among(self, approaches: Iterable[Approach]) -> list[Forecast]:
        """Give the forecasts of some approaches, in their order; those not asked are left out."""
        by_approach = {forecast.approach: forecast for forecast in self.forecasts}
        return [by_approach[approach] for approach in approaches if approach in by_approach]


class RunNoise(Section):
    """How far runs that differ in their seed alone lie apart."""

    sd: float
    """Pooled standard deviation of their final losses [nat/token]."""
    cells: int
    """Groups of repeats (of one N, D and settings) with several runs."""
    freedom: int
    """Degrees of freedom."""

    @classmethod
    def pooled(
        cls, params: Floats, tokens: Floats, loss: Floats, settings: Floats | None = None
    ) -> Self | None:
        """Pool the variance of final losses over groups of repeats, (runs,) each.

        Parameters
        ----------
        params, tokens, settings : what runs share that repeat each other, see
            ``cells.repeats_of``.
        loss : final loss [nat/token].

        Returns
        -------
        None where no run has a repeat.
        """
        import numpy as np

        cell = repeats_of(params, tokens, settings)
        runs = np.bincount(cell)
        squares = (loss - (np.bincount(cell, loss) / runs)[cell]) ** 2
        freedom = int((runs - 1).sum())
        if freedom == 0:
            return None
        sd = float(np.sqrt(squares.sum() / freedom))
        return cls(sd=sd, cells=int((runs > 1).sum()), freedom=freedom)


class Forecasts(Section):
    """How well each approach predicted the upper part of a sweep from its lower part."""

    sweep: str
    settings: UsedSettings
    counting: Counting
    """The conventions by which runs are put below or above a cut."""
    budgets: list[float]
    """Budgets of the sweep [FLOP]."""
    noise: RunNoise | None
    """None where no cell has a second run."""
    cuts: list[Cut]
    """By increasing compute."""
    provenance: Provenance

    def __str__(self) -> str:
        """Say in one line how the losses of runs were predicted."""
        words = [
            f"{forecast.approach} from {cut.flops:.3g} FLOPs: bias {score.bias:+.4f}, rms "
            f"{score.rms:.4f} nats"
            for cut in self.cuts
            for forecast in cut.forecasts
            for score in forecast.scores
            if score.quantity == "loss"
        ]
        return "; ".join(words) or f"{number_of(len(self.cuts), 'cut')}, no loss of a run predicted"


class NoForecasts(Section):
    """Why a sweep cannot be split: it stands where the forecasts would."""

    sweep: str
    settings: UsedSettings
    refused: str
    """What is missing and what to add, in whole sentences."""
    provenance: Provenance

    def __str__(self) -> str:
        """Say why there is no forecast."""
        return f"refused: {self.refused}"


def read_forecasts(path: Path) -> Forecasts | NoForecasts:
    """Read the forecasts of one sweep, or the reason why there are none."""
    return read_outcome(path, Forecasts, NoForecasts)


def write_forecasts(forecasts: Forecasts | NoForecasts, path: Path) -> None:
    """Write the forecasts of one sweep, or the reason why there are none."""
    write_json(path, forecasts.model_dump(mode="json"))
