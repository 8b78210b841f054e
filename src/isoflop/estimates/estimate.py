"""What a fit says of itself: the JSON of data/estimates/{sweep}/{approach}.json.

Written by the approaches room, read by figures, report and archive.
"""

from __future__ import annotations

import json
import subprocess
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

import numpy as np

from isoflop.approach import APPROACHES, Approach
from isoflop.config.approaches import ExponentPrior, UsedSettings
from isoflop.config.reading import Section, parse
from isoflop.counting import FlopsConvention, ParamsConvention
from isoflop.estimates.diagnostics import REJECTED, Diagnostics, frontier_points
from isoflop.estimates.draws import Draws, damaged, required
from isoflop.estimates.influence import Influence
from isoflop.estimates.laws import Law, Optima
from isoflop.estimates.quantities import Quantity, Truth
from isoflop.files import digest, name_in_project, write_json
from isoflop.numbers import decades_beyond, listed, number_of, per_cent

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

Outcome = TypeVar("Outcome", bound=Section)
Refused = TypeVar("Refused", bound=Section)

GOPHER_BUDGET: Final = 5.76e23
"""Budget of Gopher and Chinchilla [FLOP]."""


OPTIMUM_NAMES: Final = ("params_opt", "tokens_opt", "tokens_per_param", "loss")
"""Quantities of an optimum, by the names of ``quantities.derived`` without their C."""


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
    """Decades of C between the budget and the data, positive outside them on either side; negative
    inside, the distance to the nearer end."""


def optima_of(
    quantities: Mapping[str, Quantity], flops: Floats, flops_range: tuple[float, float]
) -> list[Optimum]:
    """Take the optima at some budgets out of quantities by name."""
    keys = [(float(c), repr(float(c))) for c in flops]
    return [
        Optimum(
            flops=c,
            params=quantities[f"params_opt_{key}"],
            tokens=quantities[f"tokens_opt_{key}"],
            tokens_per_param=quantities[f"tokens_per_param_{key}"],
            loss=quantities.get(f"loss_{key}"),
            decades_beyond_data=decades_beyond(c, flops_range),
        )
        for c, key in keys
        if f"tokens_per_param_{key}" in quantities
    ]


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


class Tally(Section):
    """What became of the resamples."""

    draws: int
    refused: int
    """Draws that could not be fitted."""
    refusals: dict[str, int]
    """Reason to number of draws."""


class CheckedTruth(Section):
    """Simulated sweeps of one law that is taken for the truth."""

    truth: Truth
    noise: float
    """Standard deviation of a run's log error in them."""
    simulations: int
    refused: int
    """Simulated sweeps that could not be fitted."""
    noiseless: dict[str, float] | None
    """Parameters fitted to the sweep without errors; None where that was refused."""
    misfit_p: float | None = None
    """P-value of the test of its form on the sweep's own runs; None where it was not tested, or in
    files of older versions."""


class Calibration(Section):
    """The simulated sweeps behind calibrated intervals; their fits stand in the table of draws."""

    truths: list[CheckedTruth]
    """One entry for each law of the set that the runs do not reject, and for two at least."""
    left_out: dict[Approach, str]
    """The other laws of the set, and why no sweep was simulated from them."""

    @property
    def of_rejected(self) -> bool:
        """Whether the runs reject the form of every law that was taken for the truth."""
        return bool(self.truths) and all(
            truth.misfit_p is not None and truth.misfit_p < REJECTED for truth in self.truths
        )


class Uncalibrated(Section):
    """Why no sweep was simulated: the intervals are percentiles."""

    reason: str


class Third(Section):
    """One third of the frontier in log C."""

    flops: tuple[float, float]
    """Its ends [FLOP]."""
    a: Quantity | None
    """None where fewer than three sizes win between them."""


class Bend(Section):
    """Departure of the frontier from a power law, with percentile intervals."""

    per_decade: Quantity | None
    """Change of a per decade of C; None where it cannot be told."""
    thirds: list[Third] | None
    """a by thirds; None where there are too few points to be divided."""
    draws: int
    """Resamples behind the interval of ``per_decade``."""
    reason: str | None
    """Why there is no ``per_decade``; None where there is."""


class Estimate(Section):
    """One approach fitted to one sweep."""

    approach: Approach
    sweep: str
    settings: UsedSettings
    """The sections used, whole."""
    counting: Counting
    n_runs: int
    """Runs that entered the fit."""
    n_points: int
    """Points that entered the fit."""
    budgets: list[float]
    """IsoFLOP budgets found in the fitted runs [FLOP]."""
    flops_range: tuple[float, float]
    """Smallest and largest C that the fit saw [FLOP]: of whole curves, or of their ends alone."""
    a: Quantity
    """Exponent of N_opt in C."""
    b: Quantity
    """Exponent of D_opt in C."""
    law: Law
    """The law that was fitted, with its counting; it answers at any C, N and D."""
    parameters: dict[str, Quantity]
    """The law's parameters, by the field's names; exponents a and b stand apart."""
    optima: list[Optimum]
    """At the sweep's ``default_budgets``; ``allocation`` gives those at any other."""
    diagnostics: Diagnostics
    bootstrap: Tally
    calibration: Calibration | Uncalibrated
    curvature: Bend | None
    """None where the optimum is a power law of C because the law of the loss makes it one."""
    influence: Influence
    """What single runs do to the optimum at the largest C that the fit saw."""
    by_form: str | None = None
    """Why its numbers come from the law's form, or from the line on which runs were trained, and
    not from the runs; None where they do not. Neither mixed nor recommended."""
    cautions: list[str]
    """What a reader must know before using the numbers, in whole sentences."""
    provenance: Provenance

    @cached_property
    def row(self) -> Floats:
        """The law's parameters, (1, parameters)."""
        quantities = self.parameters | {"a": self.a, "b": self.b}
        return np.array([[quantities[name].value for name in self.law.names]])

    @property
    def priors(self) -> dict[str, ExponentPrior]:
        """What was known of its exponents before the runs were seen, by the exponent."""
        return dict(getattr(getattr(self.settings, self.approach), "priors", {}))

    @property
    def frontier_range(self) -> tuple[float, float]:
        """Smallest and largest C of what its frontier was fitted to [FLOP].

        Whole curves begin far below the first winner that is fitted: there the frontier is as much
        an extrapolation as beyond the last run.
        """
        points = frontier_points(self.diagnostics)
        return (min(points), max(points)) if points else self.flops_range

    def params_opt(self, flops: ArrayLike) -> Floats:
        """Give N_opt at each C [FLOP]."""
        return self._optima(flops).params.reshape(np.shape(flops))

    def tokens_opt(self, flops: ArrayLike) -> Floats:
        """Give D_opt at each C [FLOP]."""
        return self._optima(flops).tokens.reshape(np.shape(flops))

    def loss_opt(self, flops: ArrayLike) -> Floats:
        """Give the loss at the optimum of each C [FLOP]; NaN where none is predicted."""
        return self._optima(flops).loss.reshape(np.shape(flops))

    def loss(self, params: ArrayLike, tokens: ArrayLike) -> Floats | None:
        """Give L(N, D) at points; None where the law is one of the optimum alone."""
        n, d = np.broadcast_arrays(*(np.asarray(v, dtype=np.float64) for v in (params, tokens)))
        log_loss = self.law.log_loss(self.row, np.log(n).ravel(), np.log(d).ravel())
        return None if log_loss is None else np.exp(log_loss[0]).reshape(n.shape)

    def loss_at(self, params: ArrayLike, flops: ArrayLike) -> Floats | None:
        """Give L at N and C, with the D that C buys at N; None where the law has no such D."""
        if self.law.flops_per_token is None:
            return None
        return self.loss(params, self.law.flops_per_token.tokens(params, flops))

    def rows(self, draws: Draws) -> Floats:
        """Give the law's parameters of the sweep's draws, (draws, parameters); NaN where refused.

        Parameters
        ----------
        draws : the approach's table of draws; those of simulated sweeps are left out.
        """
        return draws.where(draws.missing("simulation")).numbers(self.law.names)

    def _optima(self, flops: ArrayLike) -> Optima:
        return self.law.optima(self.row, np.asarray(flops, dtype=np.float64).ravel())

    def __str__(self) -> str:
        """Say the headline in one line."""
        ends = "".join(
            f", {per_cent(float(level))} {low:.3f} to {high:.3f}"
            for level, (low, high) in self.a.intervals.items()
        )
        counts = f"{number_of(self.n_runs, 'run')}, {number_of(self.n_points, 'point')}"
        return f"a = {self.a.value:.4f}{ends}; {counts}"


class Refusal(Section):
    """Why an approach was not fitted to a sweep: it stands where the estimate would."""

    approach: Approach
    sweep: str
    settings: UsedSettings
    refused: str
    """What is missing and what to add, in whole sentences."""
    leaves_open: bool = False
    """Whether the runs allow a fit that leaves the best size open: its law would answer."""
    provenance: Provenance

    def __str__(self) -> str:
        """Say why there is no estimate."""
        return f"refused: {self.refused}"


def prior_words(priors: Mapping[str, ExponentPrior]) -> str:
    """Write priors of exponents in a sentence."""
    return listed([
        f"{name} (median {prior.median:g}, sd {prior.sd:g} of its log)"
        for name, prior in priors.items()
    ])  # fmt: skip


def read_outcome(path: Path, model: type[Outcome], refusal: type[Refused]) -> Outcome | Refused:
    """Read what was found, or the reason that stands where it would.

    Parameters
    ----------
    path : JSON file; a refusal has the key ``refused``.
    found, refusal : models of the two.

    Raises
    ------
    IsoflopError : there is no such file, or it is damaged.
    """
    try:
        content = json.loads(required(path).read_text(encoding="utf-8"))
    except ValueError as error:  # of characters, too
        raise damaged(path, error) from error
    if "refused" in content:
        return parse(content, refusal, name=str(path))
    return parse(content, model, name=str(path))


def read_estimate(path: Path) -> Estimate | Refusal:
    """Read one estimate, or the reason why there is none."""
    return read_outcome(path, Estimate, Refusal)


def read_estimates(
    folder: Path, approaches: Iterable[Approach] = APPROACHES
) -> dict[Approach, Estimate | Refusal]:
    """Read the estimates of one sweep, in the order of the approaches, and no others.

    Raises
    ------
    IsoflopError : one is missing.
    """
    return {
        approach: read_estimate(required(folder / f"{approach}.json")) for approach in approaches
    }


def read_draws(folder: Path, approaches: Iterable[Approach] = APPROACHES) -> dict[Approach, Draws]:
    """Read the draws of one sweep; an approach that was refused has no rows.

    Raises
    ------
    IsoflopError : a table is missing or damaged.
    """
    return {approach: read_draws_of(folder, approach) for approach in approaches}


def read_draws_of(folder: Path, answer: str) -> Draws:
    """Read the draws of one approach, or of the mixture.

    Raises
    ------
    IsoflopError : the table is missing or damaged.
    """
    return Draws.read(folder / f"{answer}.draws.parquet")


def write_estimate(estimate: Estimate | Refusal, path: Path) -> None:
    """Write one estimate, or the reason why there is none."""
    write_json(path, estimate.model_dump(mode="json"))


def provenance(inputs: Iterable[Path]) -> Provenance:
    """Say what an estimate is being made from: input digests, version, revision."""
    from isoflop import __version__

    return Provenance(
        inputs={name_in_project(path): digest(path) for path in inputs},
        version=__version__,
        git_revision=_git_revision(),
    )


def _git_revision() -> str | None:
    """Give the project's commit, with "+" where its sources differ from it; None outside git.

    The code of an archive lies outside git and names its commit in a file.
    """
    here = Path(__file__).parents[1]
    if (here / "REVISION").is_file():
        return (here / "REVISION").read_text(encoding="utf-8").strip()
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
