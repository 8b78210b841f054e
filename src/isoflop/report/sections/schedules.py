"""Runs of several learning-rate schedules that are fitted as one: whether they end alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from isoflop.approach import IN_PROSE
from isoflop.escape import code
from isoflop.estimates.counted import counted
from isoflop.estimates.estimate import Estimate
from isoflop.estimates.mixture import Mixture
from isoflop.numbers import fixed, listed, percent, times
from isoflop.report.sections.check import difference_error

if TYPE_CHECKING:
    from isoflop.approach import Approach
    from isoflop.report.inputs import ReportInputs

LEAST_RUNS: Final = 5
"""Fewest runs of a kind whose mean residual is compared."""
SHOWN: Final = 2.0
"""Standard errors from which a difference is said to show."""


@dataclass(frozen=True, slots=True)
class Offset:
    """How far runs of other schedules lie from those of the commonest, under one law.

    Attributes
    ----------
    law : which.
    log_loss : mean log residual of the others less that of the commonest.
    error : its standard error (Welch).
    """

    law: Approach
    log_loss: float
    error: float


def schedule_sentences(inputs: ReportInputs) -> list[str]:
    """Say whether runs of other schedules end where the laws put them; empty for one schedule."""
    finals = inputs.losses.filter("is_final", role="fit")
    kinds = (
        finals.select("run")
        .join(inputs.runs.select("run", "schedule_kind"), on="run")
        .drop_nulls("schedule_kind")
    )
    # equal counts in the order of their names
    counts = (
        kinds.group_by("schedule_kind")
        .len()
        .sort(["len", "schedule_kind"], descending=[True, False])
    )
    if counts.height < 2:
        return []
    commonest, *others = counts["schedule_kind"]
    number = int(counts["len"][0])
    rest = int(counts["len"][1:].sum())
    opening = (
        f"Runs of several schedules are fitted as one: {number} of {code(commonest)} and {rest} of "
        f"{listed([code(kind) for kind in others])}."
    )
    if min(number, rest) < LEAST_RUNS:
        return [f"{opening} So few do not show whether they end alike."]
    alike = set(kinds.filter(schedule_kind=commonest)["run"])
    offsets = [
        offset
        for law, estimate in _laws(inputs).items()
        if (offset := _offset(law, estimate, inputs, alike, set(kinds["run"]))) is not None
    ]
    if not offsets:
        return [opening]
    told = [
        f"{percent(abs(offset.log_loss), 2)} {'lower' if offset.log_loss < 0 else 'higher'} under "
        f"{IN_PROSE[offset.law]} ({fixed(abs(offset.log_loss) / offset.error, 1)} standard errors)"
        for offset in offsets
    ]
    shows = any(abs(offset.log_loss) > SHOWN * offset.error for offset in offsets)
    meaning = (
        "A law takes such a difference for one of size or data, in part, so more of it may be "
        "there: fit one schedule alone (`losses.schedules`: `commonest`, or a list of kinds), and "
        "see what that makes of the answer."
        if shows
        else "That is within their noise."
    )
    return [
        f"{opening} Measured against the laws fitted to all, the losses of the "
        f"{times(rest, 'other')} are {listed(told)} than those of the {number}. {meaning}"
    ]


def _laws(inputs: ReportInputs) -> dict[Approach, Estimate]:
    """Give the laws that the answer leans on: those of the mixture, or else approach 3."""
    if isinstance(inputs.mixture, Mixture):
        mixed = {member.approach: inputs.laws[member.approach] for member in inputs.mixture.mixed}
    else:
        mixed = {name: e for name, e in inputs.fitted.items() if name == "parametric"}
    return {law: estimate for law, estimate in mixed.items() if isinstance(estimate, Estimate)}


def _offset(
    law: Approach, estimate: Estimate, inputs: ReportInputs, alike: set[str], known: set[str]
) -> Offset | None:
    rows = counted(inputs.losses.filter(role="fit"), estimate.counting)
    rows = rows.filter(pl.col("run").is_in(sorted(known)))
    predicted = estimate.loss(rows["params"].to_numpy(), rows["tokens"].to_numpy())
    if predicted is None:
        return None
    residual = np.log(rows["loss"].to_numpy()) - np.log(predicted)
    first = np.array([run in alike for run in rows["run"]])
    groups = residual[~first], residual[first]
    if min(map(len, groups)) < LEAST_RUNS:
        return None
    others, commonest = groups
    error = difference_error(others, commonest)
    return Offset(law, float(others.mean() - commonest.mean()), error) if error else None
