"""What a fit says of itself: the JSON of data/estimates/{sweep}/{approach}.json, and forecast.json.

Written by the approaches room, read by figures, report and archive.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, Self

from pydantic import Field

from isoflop import __version__
from isoflop.approach import APPROACHES, Approach
from isoflop.config.reading import Section, parse
from isoflop.counting import FlopsConvention, ParamsConvention
from isoflop.files import digest, write_json

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy as np
    import polars as pl
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

GOPHER_BUDGET: Final = 5.76e23
"""Budget of Gopher and Chinchilla [FLOP]: always among the optima."""

TOLERATED: Final = 0.03
"""Coverage this far from its level still counts as honest."""


class Quantity(Section):
    """An estimate with its intervals."""

    value: float
    """Point estimate from all runs."""
    intervals: dict[str, tuple[float, float]] = Field(default_factory=dict)
    """Level, such as "0.8" or "0.95", to lower and upper end."""
    held: dict[str, float] = Field(default_factory=dict)
    """Level to the share of simulated sweeps like this one in which an interval so derived held the
    truth; empty where that was not checked."""

    def falls_short(self, level: float) -> bool:
        """Tell whether an interval held the truth clearly less often than its level says."""
        share = self.held.get(str(level))
        return share is not None and share < level - TOLERATED


class Optimum(Section):
    """The compute-optimal allocation at one budget."""

    flops: float
    """Budget C [FLOP]."""
    params: Quantity
    """N_opt, by the estimate's convention."""
    tokens: Quantity
    """D_opt."""
    tokens_per_param: Quantity
    """D_opt / N_opt."""
    loss: Quantity | None
    """Predicted loss [nat/token]; None where the approach predicts none."""
    decades_beyond_data: float
    """log10 of C over the largest fitted C; negative inside the data."""


class Counting(Section):
    """The conventions an estimate was made under."""

    params: ParamsConvention
    flops: FlopsConvention


class Provenance(Section):
    """What an estimate was made from."""

    inputs: dict[str, str]
    """Input path, relative to the project, to sha256."""
    version: str
    """Version of isoflop."""
    git_revision: str | None
    """Commit of the project, with "+" when its sources had changes; None outside git."""


class Estimate(Section):
    """One approach fitted to one sweep."""

    approach: Approach
    sweep: str
    settings: dict[str, Any]
    """The settings used, whole."""
    counting: Counting
    n_runs: int
    """Runs that entered the fit."""
    n_points: int
    """Points that entered the fit."""
    budgets: list[float]
    """IsoFLOP budgets found in the fitted runs [FLOP]."""
    flops_range: tuple[float, float]
    """Smallest and largest fitted C [FLOP]."""
    a: Quantity
    """Exponent of N_opt in C."""
    b: Quantity
    """Exponent of D_opt in C."""
    parameters: dict[str, Quantity]
    """The law's parameters, by the field's names."""
    optima: list[Optimum]
    diagnostics: dict[str, Any]
    cautions: list[str]
    """What a reader must know before using the numbers, in whole sentences."""
    provenance: Provenance

    def __str__(self) -> str:
        """Say the headline in one line."""
        ends = "".join(
            f", {float(level):.0%} {low:.3f} to {high:.3f}"
            for level, (low, high) in self.a.intervals.items()
        )
        return f"a = {self.a.value:.4f}{ends}; {self.n_runs} runs, {self.n_points} points"


class Refusal(Section):
    """Why an approach was not fitted to a sweep: it stands where the estimate would."""

    approach: Approach
    sweep: str
    settings: dict[str, Any]
    refused: str
    """What is missing and what to add, in whole sentences."""
    provenance: Provenance

    def __str__(self) -> str:
        """Say why there is no estimate."""
        return f"refused: {self.refused}"


class Prediction(Section):
    """One number predicted from below a cut, beside what was measured above it."""

    run: str | None
    """Run whose final loss it is; None for the optimum of a budget."""
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


class Score(Section):
    """How far one kind of prediction lay from the measurements.

    Errors are predicted less measured: in nats per token, and for ``params_opt`` the natural
    logarithm of predicted over measured.
    """

    quantity: Literal["loss", "params_opt", "loss_opt"]
    """Final losses of runs; N, or the loss, at the minimum of a budget's profile."""
    n: int
    """Number of predictions."""
    decades: tuple[float, float]
    """Nearest and farthest prediction, in decades beyond the cut."""
    bias: float
    """Mean error."""
    bias_intervals: dict[str, tuple[float, float]]
    """Level to the ends of the mean error over the draws: no bias is seen where they hold 0."""
    rms: float
    """Root mean square of the errors."""
    rms_per_noise: float | None
    """``rms`` over the noise of a run; None for sizes, and without replicated cells."""
    inside: dict[str, float]
    """Level to the share of measured values inside their intervals."""
    inside_least: dict[str, float]
    """Level to the share that a right forecast reaches in 97.5 % of all cases, errors of one law
    hanging together: with fewer inside, the intervals did not hold."""
    width: dict[str, float]
    """Level to the mean width of the intervals."""
    interval_score: dict[str, float]
    """Level to the mean interval score; smaller is better (Gneiting and Raftery 2007, eq. 43)."""
    predictions: list[Prediction]

    @property
    def held(self) -> bool:
        """Whether the intervals held as often as those of a right forecast."""
        return all(share >= self.inside_least[level] for level, share in self.inside.items())


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


class RunNoise(Section):
    """How far runs that differ in their seed alone lie apart."""

    sd: float
    """Pooled standard deviation of their final losses [nat/token]."""
    cells: int
    """Cells (size and budget) with several runs."""
    freedom: int
    """Degrees of freedom."""

    @classmethod
    def pooled(cls, params: Floats, budget: Floats, loss: Floats) -> Self | None:
        """Pool the variance of final losses over cells, (runs,) each.

        Parameters
        ----------
        params, budget : N and planned C [FLOP]: runs that share both make a cell.
        loss : final loss [nat/token].

        Returns
        -------
        None where no cell has more than one run.
        """
        import numpy as np

        _, cell = np.unique(np.stack([params, budget], axis=-1), axis=0, return_inverse=True)
        runs = np.bincount(cell)
        squares = (loss - (np.bincount(cell, loss) / runs)[cell]) ** 2
        freedom = int((runs - 1).sum())
        if freedom == 0:
            return None
        sd = float(np.sqrt(squares.sum() / freedom))
        return cls(sd=sd, cells=int((runs > 1).sum()), freedom=freedom)


class Forecasts(Section):
    """How well each approach foretold the upper part of a sweep from its lower part."""

    sweep: str
    settings: dict[str, Any]
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
        """Say in one line how the losses of runs were foretold."""
        found = [
            f"{forecast.approach} from {cut.flops:.3g} FLOPs: bias {score.bias:+.4f}, rms "
            f"{score.rms:.4f} nats"
            for cut in self.cuts
            for forecast in cut.forecasts
            for score in forecast.scores
            if score.quantity == "loss"
        ]
        return "; ".join(found) or f"{len(self.cuts)} cuts, no loss of a run predicted"


class NoForecasts(Section):
    """Why a sweep cannot be split: it stands where the forecasts would."""

    sweep: str
    settings: dict[str, Any]
    refused: str
    """What is missing and what to add, in whole sentences."""
    provenance: Provenance

    def __str__(self) -> str:
        """Say why there is no forecast."""
        return f"refused: {self.refused}"


def read_forecasts(path: Path) -> Forecasts | NoForecasts:
    """Read the forecasts of one sweep, or the reason why there are none."""
    content = json.loads(path.read_text(encoding="utf-8"))
    if "refused" in content:
        return parse(content, NoForecasts, source=str(path))
    return parse(content, Forecasts, source=str(path))


def write_forecasts(forecasts: Forecasts | NoForecasts, path: Path) -> None:
    """Write the forecasts of one sweep, or the reason why there are none."""
    write_json(path, forecasts.model_dump(mode="json"))


def read_estimate(path: Path) -> Estimate | Refusal:
    """Read one estimate, or the reason why there is none."""
    content = json.loads(path.read_text(encoding="utf-8"))
    if "refused" in content:
        return parse(content, Refusal, source=str(path))
    return parse(content, Estimate, source=str(path))


def read_estimates(folder: Path) -> dict[Approach, Estimate | Refusal]:
    """Read every approach's estimate of one sweep, in the order of the approaches."""
    return {
        approach: read_estimate(folder / f"{approach}.json")
        for approach in APPROACHES
        if (folder / f"{approach}.json").exists()
    }


def read_draws(folder: Path) -> dict[Approach, pl.DataFrame]:
    """Read every approach's draws of one sweep; an approach that was refused has no rows."""
    import polars as pl

    return {
        approach: pl.read_parquet(folder / f"{approach}.draws.parquet")
        for approach in APPROACHES
        if (folder / f"{approach}.draws.parquet").exists()
    }


def write_estimate(estimate: Estimate | Refusal, path: Path) -> None:
    """Write one estimate, or the reason why there is none."""
    write_json(path, estimate.model_dump(mode="json"))


def provenance(inputs: Iterable[Path]) -> Provenance:
    """Say what an estimate is being made from: input digests, version, revision."""
    return Provenance(
        inputs={path.as_posix(): digest(path) for path in inputs},
        version=__version__,
        git_revision=_git_revision(),
    )


def _git_revision() -> str | None:
    """Give the project's commit, with "+" where its sources differ from it; None outside git."""
    here = Path(__file__).parent
    try:
        revision = _git(here, "rev-parse", "HEAD")
        changed = _git(here, "status", "--porcelain", "--untracked-files=no", "--", ".")
    except (OSError, subprocess.CalledProcessError):
        return None
    return revision + ("+" if changed else "")


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", *arguments]
    done = subprocess.run(  # noqa: S603  fixed words, no shell
        command, cwd=folder, check=True, capture_output=True, text=True, timeout=30
    )
    return done.stdout.strip()
