"""Peak learning rates in words: at which D/N they were tuned, and what a wrong one costs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from isoflop.estimates.peak_rates import UNEQUAL, RateTrials
from isoflop.numbers import fixed, listed, percent, probability, ratio, times

if TYPE_CHECKING:
    from isoflop.report.inputs import ReportInputs

OFF: Final = 2.0
"""Factor by which a rate may be off, for the text."""


def rate_sentences(inputs: ReportInputs) -> list[str]:
    """Say what the sweep's own trials of peak rates show, and what they leave open."""
    trials = RateTrials.of(inputs.runs, inputs.losses, inputs.left_out)
    if trials is None:
        return [
            "No three peak learning rates were tried at one *N* and *D* of this sweep. What a "
            "wrong one costs, and how rates that are better tuned at some sizes than at others "
            "bend the frontier, is not known from it, and no interval covers it."
        ]
    low, high = (ratio(end) for end in trials.ratios)
    where = (
        f"{low} tokens per parameter" if low == high else f"{low} to {high} tokens per parameter"
    )
    bracketed = trials.cells - len(trials.at_lowest) - len(trials.at_highest)
    where_sentence = (
        "Three or more peak learning rates were tried at "
        f"{times(trials.cells, 'pair')} of *N* and *D* ({times(trials.runs, 'run')}, fitted ones "
        f"among them; {where}); at {bracketed} of them the best has one on either side"
        + _at_ends(trials)
        + ". "
        + (
            f"{percent(trials.outside)} of the fitted runs lie outside these *D*/*N*."
            if trials.outside
            else "No fitted run lies outside these *D*/*N*."
        )
        + _beyond(trials)
    )
    cost, half = trials.shared.cost(OFF), trials.shared.cost(float(np.sqrt(OFF)))
    if cost is None or half is None or trials.shared.error is None:
        return [
            where_sentence,
            "They show no curvature, so what a wrong rate costs is not known.",
        ]
    error = percent(trials.shared.error / trials.shared.value)
    return [
        where_sentence,
        "By the parabola that they share, a rate off by a factor of two costs "
        f"{fixed(cost, 4)} nats per token (standard error {error}), and one off by √2 "
        f"{fixed(half, 4)}.",
        *_unequal(trials),
    ]


def _at_ends(trials: RateTrials) -> str:
    """Say where the best rate is the lowest or the highest that was tried."""
    told = [
        f"the {which} at {listed([ratio(at) for at in ratios])}"
        for which, ratios in (("lowest", trials.at_lowest), ("highest", trials.at_highest))
        if ratios
    ]
    if not told:
        return ""
    return f", and elsewhere it is {' and '.join(told)} tokens per parameter: it may lie beyond"


def _beyond(trials: RateTrials) -> str:
    """Say how many fitted runs are larger, or longer, than any at which rates were tried."""
    told = [
        f"{number} {'has' if number == 1 else 'have'} more {what}"
        for number, what in (
            (trials.more_params, "parameters"),
            (trials.more_tokens, "tokens"),
        )
        if number
    ]
    return f" Of the fitted runs {' and '.join(told)} than any of these." if told else ""


def _unequal(trials: RateTrials) -> list[str]:
    """Say what a wrong rate costs at each D/N, where that hangs on D/N."""
    p = trials.unequal_p
    costs = [
        (curvature.ratios[0], cost)
        for curvature in trials.by_ratio
        if (cost := curvature.cost(OFF)) is not None
    ]
    if p is None or p >= UNEQUAL or len(costs) < 2:
        return []
    told = [f"{fixed(cost, 4)} at {ratio(at)}" for at, cost in sorted(costs)]
    return [
        "That cost may hang on *D*/*N* (F test, "
        f"*p* = {probability(float(np.log10(p)))}): for a factor of two it is "
        f"{listed(told)} tokens per parameter, so a wrong rate may tilt the frontier."
    ]
