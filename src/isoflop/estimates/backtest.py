"""How laws and mixtures forecast published studies whose upper part was hidden: backtest.json.

Written by the approaches room, read by the published room.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Literal

from isoflop.config.approaches import UsedSettings
from isoflop.config.reading import Section, parse
from isoflop.files import write_json

if TYPE_CHECKING:
    from pathlib import Path

Exponent = Literal["gamma", "alpha", "beta"]
"""alpha and beta are those of a law's whole terms, gamma included: of Kaplan's law, alpha_N and
alpha_D."""
Kind = Literal["law", "held", "prior", "mixture", "peer", "line"]


class Part(Section):
    """Which points of a sweep take part in the backtest."""

    points: Literal["final", "all"] = "final"
    """final: the last point of each run; all: whole curves, whose rate was constant or cooled down
    at each point, so that each point is one that a run might have ended at."""
    drop_highest: int = 0
    """Leave out this many of the highest losses."""
    loss_below: float | None = None
    """Leave out losses above this [nat/token]."""
    checks: bool = False
    """Whether runs that were held back as checks take part."""
    left_out: str | None = None
    """Why the sweep takes no part; None where it does."""


class Planned(Section):
    """One sweep of the backtest, and where its losses lie."""

    sweep: str
    study: str
    """Sweeps of one study share their models or their authors, and are never each other's past."""
    losses: str
    """Path of its table of losses."""
    part: Part


class Plan(Section):
    """Every sweep that is asked for."""

    sweeps: tuple[Planned, ...]


class CellScore(Section):
    """How one candidate forecast what was hidden of one sweep; errors are of log L."""

    bias: float
    """Mean of predicted less measured log L."""
    rms: float
    inside: dict[str, float]
    """Level to the share of measured losses inside their intervals."""
    width: dict[str, float]
    """Level to the mean width of the intervals [log nat]."""
    interval_score: dict[str, float]
    """Level to the mean interval score (Gneiting and Raftery 2007, eq. 43); smaller is better."""
    weights: dict[str, float]
    """Weights of a mixture's laws; empty for others."""


class Cell(Section):
    """One sweep with its upper part hidden."""

    sweep: str
    study: str
    hidden: Literal["upper half", "upper third"]
    """Of the range of log C."""
    flops: float
    """Largest C that was seen [FLOP], counted as 6ND."""
    seen: int
    """Points fitted."""
    predicted: int
    """Points hidden."""
    scores: dict[str, CellScore]
    """By candidate."""
    minima: dict[str, CellScore]
    """By candidate, of the losses at the minima of the hidden budgets' profiles; empty where the
    sweep has no profiles above or below the cut."""
    n_minima: int
    """Hidden budgets with a minimum."""
    refused: dict[str, str]
    """By candidate, why it gave no forecast."""


class Candidate(Section):
    """A way to forecast, and how it did over all cells."""

    key: str
    label: str
    kind: Kind
    cells: int
    """Cells in which it gave a forecast."""
    rms_ratio: float
    """Geometric mean over the cells of rms over that of Chinchilla's law."""
    rms_ratio_by_study: float
    """The same with every study counting once."""
    interval_score_ratio: float
    """Geometric mean over the cells of the 80 % interval score over that of Chinchilla's law."""
    interval_score_ratio_by_study: float
    rms: float
    """Mean of rms over the cells."""
    interval_score: float
    """Mean of the 80 % interval score over the cells."""
    bias: float
    inside: dict[str, float]
    """Level to the mean share inside."""
    inside_by_study: dict[str, float]
    width: dict[str, float]


class Choice(Section):
    """The mixture that the other studies would have chosen for one study, and how it did there."""

    study: str
    laws: list[str]
    """Equal weights over these had the lowest 80 % interval score on the other studies."""
    rms_ratio: float
    interval_score_ratio: float
    interval_score: float
    inside: dict[str, float]


class Gamma(Section):
    """The free gamma of one sweep, all of it seen."""

    sweep: str
    study: str
    gamma: float
    E: float
    points: int
    draws: list[tuple[float, float]]
    """E and gamma of refits of resampled runs, refused ones left out."""


class Exponents(Section):
    """The free exponents of one law fitted to one sweep, all of it seen."""

    sweep: str
    study: str
    law: str
    values: dict[Exponent, float]


class Prior(Section):
    """What the other studies say of a law's exponent before a study is seen."""

    study: str
    law: str
    exponent: Exponent
    median: float
    sd: float
    """Of its log, between the means of the studies."""


class Backtest(Section):
    """The backtest, whole."""

    settings: UsedSettings
    draws: int
    default: str
    """Key of the candidate that the package uses."""
    candidates: list[Candidate]
    at_minima: list[Candidate]
    """The same of the losses at the minima of hidden budgets, which approach 2's line says too."""
    choices: list[Choice]
    gammas: list[Gamma]
    exponents: list[Exponents]
    priors: list[Prior]
    cells: list[Cell]
    left_out: dict[str, str]
    """Sweep to the reason why it takes no part."""

    def candidate(self, key: str) -> Candidate:
        """Give one candidate.

        Raises
        ------
        KeyError : there is none of this key.
        """
        for candidate in self.candidates:
            if candidate.key == key:
                return candidate
        raise KeyError(key)


def read_backtest(path: Path) -> Backtest:
    """Read a backtest."""
    return parse(json.loads(path.read_text(encoding="utf-8")), Backtest, name=str(path))


def write_backtest(backtest: Backtest, path: Path) -> None:
    """Write a backtest."""
    write_json(path, backtest.model_dump(mode="json"))
