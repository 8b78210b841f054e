"""The law of learning rates: log rate = c + p log N + q log D, as fitted to tuning grids."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

import yaml

from isoflop.config.reading import Section, read_yaml
from isoflop.files import sweep_up, write_text

if TYPE_CHECKING:
    from pathlib import Path


class RateLaw(Section):
    """The best peak rate of a cosine by size and horizon, and what a rate beside it costs."""

    intercept: float
    """c, in logs of the rate."""
    params_exponent: float
    """p; N in parameters, by convention total."""
    tokens_exponent: float
    """q; D in tokens."""
    curvature: float
    """k: a rate r costs k log(r / best)^2; unit: nats per token."""

    def rate(self, params: float, tokens: float) -> float:
        """Best peak rate at a size [parameters, total] and horizon [token]."""
        logs = self.params_exponent * math.log(params) + self.tokens_exponent * math.log(tokens)
        return math.exp(self.intercept + logs)


class RateCell(Section):
    """What one grid says by itself, beside the law."""

    params: int
    tokens: int
    runs: int
    law_rate: float
    """Best rate by the law."""
    cell_rate: float
    """Best rate by the cell's parabola, with the law's curvature."""
    lowest_rate: float
    """Rate of the lowest measured loss."""
    inside: bool
    """Whether a rate on either side of the lowest was tried."""
    regret: float
    """What the law's rate costs against the cell's best; unit: nats per token."""
    noise: float
    """What that regret is on average if the law is exact; unit: nats per token."""


class MeasuredRates(Section):
    """The law of a sweep's tuning runs; written by `isoflop fit-rates`, read by plan-sweep."""

    format: Literal["isoflop-rates"]
    version: Literal[1]
    sweep: str
    law: RateLaw
    standard_errors: RateLaw
    """Of the law's numbers, by the delta method."""
    covariance: tuple[tuple[float, ...], ...]
    """Of intercept and both exponents."""
    residual_sd: float
    """Of the losses about the law; unit: nats per token."""
    degrees_of_freedom: int
    regret_mean: float
    """Mean over the cells; unit: nats per token."""
    regret_max: float
    """Largest over the cells; unit: nats per token."""
    planned_regret_mean: float = 0.0
    """Mean over the planned runs of what the law's errors cost; unit: nats per token."""
    planned_regret_max: float = 0.0
    """The largest of these; unit: nats per token."""
    cells: tuple[RateCell, ...]
    runs: tuple[str, ...]
    """The tuning runs behind it."""


def rates_path(design: Path) -> Path:
    """Where the measured rates of a design lie: data/plans/rates/, beside the designs' folder."""
    return design.parent.parent / "rates" / design.name


def read_rates(path: Path) -> MeasuredRates:
    """Read the measured rates of a sweep."""
    return read_yaml(path, MeasuredRates)


def write_rates(path: Path, rates: MeasuredRates) -> None:
    """Write the measured rates of a sweep."""
    content = rates.model_dump(mode="json")
    note = "# Written by `isoflop fit-rates` from the finished tuning runs of the sweep.\n"
    sweep_up(path.parent)
    write_text(path, note + yaml.safe_dump(content, sort_keys=False, width=100))
