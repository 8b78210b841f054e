"""What the calculator on the page computes with: every law's frontier, and its intervals' ends.

A law of the loss stands as the terms of its parameters and of some draws, from which the page finds
the optimum, and what is cheapest to train and to serve. What knows the optimum alone is
N = n C**a, D = d C**b and L = E + K C**-e, seven numbers. The mixture stands as a table of its
frontier beside draws of its laws.

The ends of intervals stand in tables along the frontier, one for each quantity that may be asked
for: an interval of N at a given loss ends elsewhere among the draws than at a given C. They are
those of ``isoflop allocate``, from all draws; the thinned draws say what serving changes.

Where D is more than the unique tokens, the page says how often they are seen and how many fresh
ones that is worth, by the R*_D of Muennighoff et al. (2023): nothing of it is fitted here.
"""

from __future__ import annotations

import json
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from isoflop.accelerators import SECONDS_PER_HOUR
from isoflop.approach import ANSWERS, MIXTURE
from isoflop.counting import PARAMS
from isoflop.escape import unmarked
from isoflop.estimates.allocation import (
    BUT,
    FARTHEST,
    NEVER_WORDS,
    OPEN_WORDS,
    REACH,
    UNDETERMINED,
    UNKNOWN,
    allocate_along,
    factor_of,
    frontier_at,
    least_flops_of,
    lowest_loss_of,
    optima_at,
)
from isoflop.estimates.inference import served_levels
from isoflop.estimates.interaction import HOFFMANN
from isoflop.estimates.intervals import LEVELS, OPEN, tails
from isoflop.estimates.laws import HoffmannLaw, InteractionLaw
from isoflop.estimates.levels import Tails
from isoflop.estimates.mixture import MedianFrontier, Mixture, Part
from isoflop.estimates.power_frontier import LEAST_FLOPS, MOST_FLOPS
from isoflop.estimates.recommendation import DOUBTED, standing
from isoflop.limits import LIMITS
from isoflop.numbers import DISTANCES, SUFFIXES, WITHIN
from isoflop.report.sections.check import counted_words
from isoflop.report.sections.data import most_epochs
from isoflop.report.sections.first_screen import headline_budget

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from isoflop.estimates.allocation import Allocation
    from isoflop.estimates.draws import Draws
    from isoflop.estimates.estimate import Estimate, Optimum
    from isoflop.estimates.interaction import Form
    from isoflop.estimates.power_frontier import Asked
    from isoflop.report.inputs import ReportInputs

    Floats = NDArray[np.float64]

DRAWS: Final = 400
"""Draws per law on the page: enough for the ends of a 95 % interval, and some 20 kB."""
ENOUGH: Final = 0.9
"""Share of as many as that: a law whose draws in the mixture are no fewer stands with those."""
LEVEL: Final = 0.95
BEFORE, BEYOND, SPACING = (float(decades * np.log(10.0)) for decades in (3.0, 8.0, 0.05))
"""How far before and beyond the data the mixture's frontier is tabulated, and how densely [log C];
between two places it is read off the line through them."""
ENDS_BEFORE, ENDS_SPACING, LAWS_SPACING = (
    float(decades * np.log(10.0)) for decades in (1.0, 0.25, 0.5)
)
"""The same of the ends of intervals, which go as far beyond the data as a sweep says anything. By a
single law the ends at another target than C stand half as densely: each is calibrated anew."""
NOMINAL: Final = tails([LEVEL])[0].tolist()
"""Shares of the draws below both ends of a percentile interval."""
QUANTITIES: Final = ("flops", "params", "tokens", "tokens_per_param", "loss")
ASKED: Final[tuple[Asked, ...]] = ("loss", "params", "tokens", "tokens_per_param")
"""What may be given instead of C."""
UNBOUNDED: Final = 1e9
"""What stands for the factor of an interval without an end."""
DIGITS: Final = 9
"""Of the logarithm of an end, which then has seven."""


def calculator_json(inputs: ReportInputs) -> str | None:
    """Write what the page's calculator needs, as JSON; None where nothing can be asked."""
    flops = headline_budget(inputs)
    if flops is None:
        return None
    parts: dict[str, dict[str, Any]] = {}
    laws = [
        described
        for key, answer in inputs.every_answer.items()
        if (described := _described(inputs, key, answer, flops, parts)) is not None
    ]
    if not laws:
        return None
    content = {
        "flops": flops,
        "level": LEVEL,
        "draws": DRAWS,
        "reach": [[most if np.isfinite(most) else None, words] for most, words in REACH],
        "open": {
            "most": OPEN,
            "but": BUT,
            "words": OPEN_WORDS,
            "never": NEVER_WORDS,
            "unknown": UNKNOWN,
            "undetermined": UNDETERMINED,
            "narrowest": min(LEVELS),
        },
        "distance": DISTANCES,
        "within": WITHIN,
        "hour": SECONDS_PER_HOUR,
        "sought": [LEAST_FLOPS, MOST_FLOPS],
        "suffixes": SUFFIXES,
        "limits": {
            name: [limits.least, limits.most, limits.what, limits.unit]
            for name, limits in LIMITS.items()
        },
        "laws": laws,
        "parts": parts,
        "repeats": {
            "unique": inputs.unique_tokens,
            "seen": most_epochs(inputs.fit_runs()),
            "decay": inputs.reference.muennighoff.R_D,
            "authors": inputs.reference.muennighoff.citation.authors,
            "year": inputs.reference.muennighoff.citation.year,
        },
        "cards": [
            {"key": card.key, "name": card.name, "peak": card.peak_flops}
            for card in inputs.reference.accelerators.rows
        ],
    }
    # a name that says </script> ends no script
    return json.dumps(content, separators=(",", ":")).replace("<", "\\u003c")


def _described(
    inputs: ReportInputs,
    key: str,
    answer: Estimate | Mixture,
    flops: float,
    parts: dict[str, dict[str, Any]],
) -> dict[str, Any] | None:
    """Describe one answer; None where its frontier cannot be written.

    Draws of laws of the loss are added to ``parts`` and named; a law whose draws in the mixture are
    as many as its own would be has those.
    """
    draws = inputs.draws_of(key)
    row_of_law: dict[str, Any] | None
    if isinstance(answer, Mixture):
        row_of_law = _of_mixture(inputs, answer, flops, parts)
    elif isinstance(answer.law, HoffmannLaw | InteractionLaw):
        row_of_law = _of_loss(answer, draws, flops, parts)
    else:
        row_of_law = _of_frontier(answer)
    if row_of_law is None:
        return None
    mark = standing(answer, inputs.forecasts).loss_mark
    return {
        "key": key,
        "name": ANSWERS[key].label,
        "counting": answer.counting.params,
        "kind": ""
        if answer.counting.params == "total"
        else f", {unmarked(PARAMS[answer.counting.params]).removesuffix(' N')}",
        "counted": unmarked(counted_words(answer.counting)),
        "data": list(answer.flops_range),
        "least": least_flops_of(answer, draws),
        "lowest": lowest_loss_of(answer, draws),
        **_ends(inputs, answer, draws),
        "mark": mark,
        "doubt": DOUBTED if mark else "",
        **row_of_law,
    }


def _ends(
    inputs: ReportInputs, answer: Estimate | Mixture, draws: Draws
) -> dict[str, dict[str, list[list[float | None]]]]:
    """Tabulate the intervals along the frontier, for each quantity that may be given.

    Returns
    -------
    ``ends``, that quantity to rows of log C, and both ends of the logarithm of each other quantity
    in the order of ``QUANTITIES``; None where there is no interval. Where C is given the report's
    own budgets are among the places, so that the calculator says there what the tables say.
    ``open``, likewise to rows of log C, the share of draws without an answer, and the factor that
    says within the data whether there is one; left out where all are answered and none is open.
    """
    low, high = np.log(answer.flops_range)
    first, last = low - ENDS_BEFORE, high + FARTHEST * np.log(10.0)
    printed = [c for c in np.log(inputs.budgets) if first <= c <= last]
    places = np.unique(np.concatenate([np.arange(first, last, ENDS_SPACING), printed]))
    optima = optima_at(answer, draws, np.exp(places).tolist(), summarised=False)
    tables = {"flops": [_row(optimum.flops, "flops", optimum) for optimum in optima]}
    opened: dict[str, list[list[float | None]]] = {}
    factors = [factor_of(optimum.params, optimum.tokens) for optimum in optima]
    if max(factors, default=1.0) > OPEN:
        opened["flops"] = [
            _numbers(np.array([np.log(optimum.flops), 0.0, min(factor, UNBOUNDED)]), 6)
            for optimum, factor in zip(optima, factors, strict=True)
        ]
    spacing = ENDS_SPACING if isinstance(answer, Mixture) else LAWS_SPACING
    spaced = np.exp(np.append(np.arange(first, last, spacing), last)).tolist()
    along = frontier_at(answer, draws, spaced)
    for asked in ASKED:
        values = [(c, value) for c, value in zip(spaced, along[asked], strict=True) if value]
        allocations = allocate_along(
            answer, draws, asked, [value for _, value in values], summarised=False
        )
        tables[asked] = [
            _row(c, asked, allocation)
            for (c, _), allocation in zip(values, allocations, strict=True)
            if allocation is not None
        ]
        known = [
            (np.log(c), allocation.unanswered, min(allocation.factor, UNBOUNDED))
            for (c, _), allocation in zip(values, allocations, strict=True)
            if allocation is not None
        ]
        if any(unanswered > 0.0 or factor > OPEN for _, unanswered, factor in known):
            opened[asked] = [_numbers(np.array(row), 6) for row in known]
    return {"ends": tables, "open": opened}


def _row(flops: float, asked: str, answer: Allocation | Optimum) -> list[float | None]:
    """Give log C, and the ends of every quantity but the one asked for."""
    quantities = [getattr(answer, name) for name in QUANTITIES if name != asked]
    ends = [
        (np.nan, np.nan)
        if quantity is None
        else quantity.intervals.get(str(LEVEL), (np.nan, np.nan))
        for quantity in quantities
    ]
    return _numbers(np.log([flops, *np.ravel(ends)]), DIGITS)


def _of_loss(
    estimate: Estimate, draws: Draws, flops: float, parts: dict[str, dict[str, Any]]
) -> dict[str, Any]:
    """Write a law of the loss, and draws of it, as their terms."""
    law, rows = estimate.law, estimate.rows(draws)
    part = Part(estimate.approach, law, estimate.row, rows[np.isfinite(rows).all(axis=1)])
    name = f"{MIXTURE.key} {part.approach}"
    if name not in parts or len(parts[name]["terms"]) < ENOUGH * min(DRAWS, len(part.rows)):
        name = part.approach
        parts[name] = _terms(part, DRAWS, flops)
    return {
        "own": _numbers(_form(part).terms(part.row)[0]),
        "parts": [name],
        "served": _served_shares(estimate, draws),
    }


def _of_frontier(estimate: Estimate) -> dict[str, Any] | None:
    """Write a law's frontier; None where it is no power law."""
    frontier = estimate.law.power_frontier(estimate.row)
    if frontier is None:
        return None
    numbers = [getattr(frontier, field.name)[0] for field in fields(frontier)]
    return {"point": _numbers(np.array(numbers))}


def _evenly(rows: Floats, sizes: Floats, most: int) -> Floats:
    """Keep some rows whose quantiles are those of all.

    They are evenly spaced in the order of N at the headline's budget. Chosen without that order,
    400 of 4,000 draws move the end of a 95 % interval by more than it is printed to.
    """
    order = np.argsort(sizes, kind="stable")
    places = np.linspace(0, len(rows) - 1, min(most, len(rows))).round().astype(np.int64)
    return rows[order[places]]


def _of_mixture(
    inputs: ReportInputs, mixture: Mixture, flops: float, described: dict[str, dict[str, Any]]
) -> dict[str, Any]:
    """Write the mixture's frontier as a table, and draws of its laws as their terms.

    Medians of draws of several laws are no power law of C, so the frontier is tabulated: log C,
    log N, log D and log L. It has a row at every budget of the report, where the calculator then
    says what the report says. Each draw is minimised on the page, by its own law's formula.
    """
    parts = mixture.parts(inputs.mixture_draws)
    low, high = np.log(mixture.flops_range[0]) - BEFORE, np.log(mixture.flops_range[1]) + BEYOND
    # as far as the tables of the report go
    high = max(high, np.log(max(*inputs.budgets, inputs.reference.gopher_budget)) + SPACING)
    places = np.unique(np.concatenate([np.arange(low, high, SPACING), np.log(inputs.budgets)]))
    optima = MedianFrontier(parts).optima(np.empty((1, 0)), np.exp(places))
    table = np.stack([
        places,
        *(np.log(quantity[0]) for quantity in (optima.params, optima.tokens, optima.loss)),
    ], axis=-1)  # fmt: skip
    # alike for all laws, so that their weights stay
    share = min(1.0, DRAWS * len(parts) / sum(len(part.rows) for part in parts))
    named = {
        f"{MIXTURE.key} {part.approach}": _terms(part, round(share * len(part.rows)), flops)
        for part in parts
    }
    described |= named
    return {
        # below the least compute at which all its laws have a best size there is none
        "table": [_numbers(row, 12) for row in table if np.isfinite(row[1])],
        "parts": list(named),
        "served": _served_shares(mixture, inputs.mixture_draws),
    }


def _served_shares(answer: Estimate | Mixture, draws: Draws) -> list[list[float | None]]:
    """Tabulate log C and the shares of the draws below the ends of what serving changes.

    All its quantities have the same; before the first place and beyond the last they stay.
    """
    low, high = np.log(answer.flops_range)
    places = np.arange(low - ENDS_BEFORE, high + FARTHEST * np.log(10.0), ENDS_SPACING)
    rows = []
    for optimum in optima_at(answer, draws, np.exp(places).tolist(), summarised=False):
        ends = served_levels(optimum).get(str(LEVEL))
        shares = (
            NOMINAL if ends is None else ends.shares if isinstance(ends, Tails) else [np.nan] * 2
        )
        rows.append(_numbers(np.array([np.log(optimum.flops), *shares]), DIGITS))
    return rows or [[0.0, *NOMINAL]]


def _terms(part: Part, most: int, flops: float) -> dict[str, Any]:
    """Write draws of one law as E, log A, log B, alpha, beta and gamma, or the product's factor."""
    law, form = part.law, _form(part)
    cost = law.flops_per_token
    if cost is None:
        raise TypeError(f"the page has no cost for {part.approach}")
    sizes = law.optima(part.rows, np.array([flops])).params[:, 0]
    return {
        "product": form.is_product,
        "cost": [cost.coefficient, cost.exponent],
        "terms": [_numbers(row, 10) for row in form.terms(_evenly(part.rows, sizes, most))],
    }


def _form(part: Part) -> Form:
    """Give the form whose terms a law's parameters are."""
    if isinstance(part.law, HoffmannLaw):
        return HOFFMANN
    if isinstance(part.law, InteractionLaw):
        return part.law.form
    raise TypeError(f"the page has no formula for {part.approach}")


def _numbers(row: Floats, digits: int = 17) -> list[float | None]:
    return [float(f"{value:.{digits}g}") if np.isfinite(value) else None for value in row]
