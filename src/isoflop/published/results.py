"""Published numbers beside reproduced ones, with the verdict."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from isoflop.counting import PF_DAY
from isoflop.errors import ConfigError
from isoflop.estimates.allocation import optima_at
from isoflop.estimates.draws import Draws
from isoflop.estimates.estimate import Estimate, read_estimate
from isoflop.estimates.published_numbers import OUTCOMES
from isoflop.project import PUBLISHED
from isoflop.published.computed import compute

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from isoflop.estimates.estimate import Refusal
    from isoflop.estimates.published_numbers import Outcome
    from isoflop.estimates.quantities import Quantity
    from isoflop.published.catalogue import Catalogue, Fitted, PublishedResult, Study
    from isoflop.published.computed import Sources


@dataclass(frozen=True, slots=True)
class Verdict:
    """One published number and what came of it.

    Attributes
    ----------
    study : the study.
    result : what the catalogue says of the number.
    reproduced : our number; None where there is none.
    quantity : the estimate behind it, with its intervals, where there is one.
    refused : why there is no number.
    """

    study: Study
    result: PublishedResult
    reproduced: float | None
    quantity: Quantity | None = None
    refused: str | None = None

    @property
    def difference(self) -> float | None:
        """Reproduced less published."""
        return None if self.reproduced is None else self.reproduced - self.result.published

    @property
    def outcome(self) -> Outcome:
        """Whether our number is the published one.

        Reproduced: it rounds to the published number, digit by digit. Near: it does not, but
        differs by no more than what the catalogue's note explains. The limits still count.
        """
        if self._within(self.result.rounding):
            return "reproduced"
        return "near" if self._within(self.result.tolerance) else "not reproduced"

    def _within(self, limit: float) -> bool:
        if self.difference is None or not math.isfinite(self.difference):
            return False
        # 0.5 - 0.4 exceeds 0.1 in binary: allow the rounding of the numbers compared
        slack = 4.0 * math.ulp(max(abs(self.result.published), abs(self.difference)))
        return abs(self.difference) <= limit + slack

    @property
    def sweep(self) -> str | None:
        """The sweep that the number was found in, without variant; None where it needs none."""
        if self.result.fitted is not None:
            return self.result.fitted.sweep.partition("@")[0]
        asked = self.result.computed
        return None if asked is None else asked.arguments.get("sweep")


def counted(results: Sequence[Verdict]) -> dict[str, dict[Outcome, int]]:
    """Count outcomes: of what was published, and apart from it of what somebody recomputed."""
    return {
        kind: {
            outcome: sum(
                verdict.outcome == outcome and verdict.result.recomputed == recomputed
                for verdict in results
            )
            for outcome in OUTCOMES
        }
        for kind, recomputed in (("published", False), ("recomputed", True))
    }


def verdicts(catalogue: Catalogue, estimates: Path, sources: Sources) -> list[Verdict]:
    """Compare every published number of the catalogue.

    Parameters
    ----------
    catalogue : the catalogue of published studies.
    estimates : folder with the published sweeps' estimates, data/estimates.
    sources : what computed numbers are computed from.
    """
    return [
        _verdict(study, result, estimates, sources)
        for study in catalogue.studies
        for result in study.results
    ]


def _verdict(study: Study, result: PublishedResult, estimates: Path, sources: Sources) -> Verdict:
    if result.computed is not None:
        return Verdict(study, result, compute(result.computed, sources))
    if result.fitted is None:
        raise ConfigError(f"'{result.quantity}' of study '{study.name}' has no origin")
    path = estimates / (PUBLISHED + result.fitted.sweep) / f"{result.fitted.approach}.json"
    estimate = read_estimate(path)
    if not isinstance(estimate, Estimate):
        return Verdict(study, result, None, refused=estimate.refused)
    value, quantity = reproduced(result.fitted, estimate, path.with_suffix(".draws.parquet"))
    return Verdict(study, result, value, quantity)


def reproduced(
    fitted: Fitted, estimate: Estimate | Refusal, draws: Path
) -> tuple[float, Quantity | None]:
    """Find a reproduced number in an estimate.

    Parameters
    ----------
    fitted : which number, by the catalogue's words; ``log x`` stands for the logarithm of x.
    estimate : the estimate.
    draws : its table of draws, read where a standard deviation is asked for.

    Raises
    ------
    ConfigError : the estimate has no such number.
    """
    if not isinstance(estimate, Estimate):
        raise ConfigError(f"{fitted.sweep}, {fitted.approach}: {estimate.refused}")
    if fitted.value.startswith("diagnostics."):
        return _diagnostic(fitted, estimate), None
    if fitted.value == "L at one PF-day":
        level, exponent = (estimate.parameters[n] for n in ("L_coefficient", "L_exponent"))
        return level.value * PF_DAY**-exponent.value, None
    if fitted.value.startswith("log "):
        return math.log(_quantity(fitted.value[4:], fitted, estimate, draws).value), None
    quantity = _quantity(fitted.value, fitted, estimate, draws)
    if fitted.statistic == "value":
        return quantity.value, quantity
    if fitted.statistic == "sd":
        return _standard_deviation(fitted, draws), None
    try:
        low, high = quantity.intervals[str(fitted.level)]
    except KeyError as error:
        raise ConfigError(
            f"{fitted.sweep}, {fitted.approach}: {fitted.value} has no {fitted.level} interval; "
            "give the fit bootstrap.draws and that level"
        ) from error
    return (low if fitted.statistic == "low" else high), None


def _quantity(name: str, fitted: Fitted, estimate: Estimate, draws: Path) -> Quantity:
    if name in ("a", "b"):
        return estimate.a if name == "a" else estimate.b
    if name in estimate.parameters:
        return estimate.parameters[name]
    parts = {"params_opt": "params", "tokens_opt": "tokens", "tokens_per_param": "tokens_per_param",
             "loss_opt": "loss"}  # fmt: skip
    if name in parts:
        for optimum in optima_at(estimate, Draws.read(draws), [fitted.flops]):
            quantity: Quantity | None = getattr(optimum, parts[name])
            if quantity is not None:
                return quantity
    raise ConfigError(
        f"the estimate of {fitted.sweep} by {fitted.approach} has no '{name}'; it has a, b, "
        f"{', '.join(estimate.parameters)}, and {', '.join(parts)} at any C"
    )


def _diagnostic(fitted: Fitted, estimate: Estimate) -> float:
    """Follow a path such as diagnostics.likelihood_ratios.parity.log10_p."""
    value: Any = estimate.diagnostics.model_dump(mode="json")
    for key in fitted.value.split(".")[1:]:
        if not isinstance(value, dict) or key not in value:
            known = f"it has: {', '.join(value)}" if isinstance(value, dict) else "it ends there"
            raise ConfigError(
                f"the estimate of {fitted.sweep} by {fitted.approach} has no diagnostic '{key}'; "
                f"{known}"
            )
        value = value[key]
    return float(value)


def _standard_deviation(fitted: Fitted, draws: Path) -> float:
    table = Draws.read(draws)
    if fitted.value not in table.columns:
        raise ConfigError(f"{draws} has no column '{fitted.value}'")
    values = table.columns[fitted.value][table.missing("simulation")]
    return float(values[~np.isnan(values)].std(ddof=1))
