"""The exponents on the page of published studies: sweeps, reproduced studies, papers."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from isoflop.approach import COLOURS
from isoflop.drawing.exponents import (
    Group,
    Line,
    as_drawn,
    of_papers,
    of_sweep,
    printed,
    reproduced,
)
from isoflop.estimates.published_numbers import PublishedNumber

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from isoflop.approach import Approach
    from isoflop.estimates.estimate import Estimate, Refusal
    from isoflop.published.results import Verdict
    from isoflop.reference import Reference


def groups(
    results: Sequence[Verdict],
    sweeps: Mapping[str, Mapping[Approach, Estimate | Refusal]],
    reference: Reference,
) -> list[Group]:
    """List our sweeps, every study whose exponent was reproduced, and the papers."""
    listed = [of_sweep(f"Own sweep: {sweep}", estimates) for sweep, estimates in sweeps.items()]
    for title in dict.fromkeys(verdict.study.title for verdict in results):
        lines = [
            exponent_line(verdict)
            for verdict in results
            if verdict.study.title == title and is_exponent(verdict)
        ]
        listed.append(Group(title, tuple(lines)))
    listed.append(of_papers(reference))
    return [group for group in listed if group.lines]


def is_exponent(verdict: Verdict) -> bool:
    """Whether a number is the exponent a."""
    fitted, computed = verdict.result.fitted, verdict.result.computed
    if fitted is not None:
        return fitted.value == "a" and fitted.statistic == "value"
    return computed is not None and computed.function.endswith("exponent")


def exponent_line(verdict: Verdict) -> Line:
    """Put a reproduced exponent beside the published one."""
    fitted, value = verdict.result.fitted, verdict.reproduced
    ends, is_80 = verdict.result.interval, verdict.result.interval_level == 0.8
    approach = fitted.approach if fitted is not None else "profiles"
    return Line(
        re.sub(r"^\((.*)\)$", r"\1", re.sub(r"^a,? ", "", verdict.result.quantity)),
        None if value is None else reproduced(value, verdict.quantity, COLOURS[approach]),
        printed(
            verdict.result.published,
            "D",
            thick=ends if is_80 else None,
            thin=None if is_80 else ends,
        ),
    )


def numbers(results: Sequence[Verdict]) -> list[PublishedNumber]:
    """Give what results.json has: every number, and exponents as the index draws them."""
    return [
        PublishedNumber(
            study=verdict.study.name,
            title=verdict.study.title,
            recomputed=verdict.result.recomputed,
            quantity=verdict.result.quantity,
            published=verdict.result.published,
            reproduced=verdict.reproduced,
            difference=verdict.difference,
            rounding=verdict.result.rounding,
            tolerance=verdict.result.tolerance,
            outcome=verdict.outcome,
            source=verdict.result.source,
            note=verdict.result.note,
            refused=verdict.refused,
            sweep=verdict.sweep,
            reports=tuple(sweep.name for sweep in verdict.study.reported),
            exponent=as_drawn(exponent_line(verdict)) if is_exponent(verdict) else None,
        )
        for verdict in results
    ]
