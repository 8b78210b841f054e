"""Peak learning rates in words: at which D/N they were tuned, and what a wrong one costs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from isoflop.estimates.peak_rates import RateTrials
from isoflop.numbers import fixed, percent, ratio, times

if TYPE_CHECKING:
    from isoflop.report.inputs import ReportInputs

FACTORS: Final = (("a factor of two", 2.0), ("one of 1.4", 2.0**0.5))
"""How far a rate may be off, for the text."""


def rate_sentences(inputs: ReportInputs) -> list[str]:
    """Say what the sweep's own trials of peak rates show, and what they leave open."""
    trials = RateTrials.of(inputs.runs, inputs.left_out)
    if trials is None:
        return [
            "No peak learning rate was tried beside another in this sweep. What a wrong one "
            "costs, and how rates that are better tuned at some sizes than at others bend the "
            "frontier, is not known from it, and no interval covers it."
        ]
    low, high = (ratio(end) for end in trials.ratios)
    where = (
        f"{low} tokens per parameter" if low == high else f"{low} to {high} tokens per parameter"
    )
    sentences = [
        f"Peak learning rates were tried at {times(trials.cells, 'pair')} of *N* and *D* "
        f"({times(trials.runs, 'run')}, {where}); "
        + (
            f"{percent(trials.outside)} of the fitted runs lie outside these *D*/*N*."
            if trials.outside
            else "no fitted run lies outside these *D*/*N*."
        )
    ]
    costs = [(words, cost) for words, off in FACTORS if (cost := trials.cost(off)) is not None]
    if not costs:
        return [*sentences, "They show no curvature, so what a wrong rate costs is not known."]
    listed = " and ".join(f"{fixed(cost, 4)} nats per token for {words}" for words, cost in costs)
    share = percent((trials.error or 0.0) / (trials.curvature or 1.0))
    return [
        *sentences,
        f"By the parabola that they share a rate beside the best costs {listed} (± {share}).",
    ]
