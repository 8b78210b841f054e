"""The page of published numbers beside reproduced ones."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from isoflop.drawing.exponents import draw
from isoflop.drawing.svg import inline
from isoflop.numbers import shortest
from isoflop.published.forest import groups
from isoflop.published.page import write_page

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from isoflop.approach import Approach
    from isoflop.estimates.estimate import Estimate, Refusal
    from isoflop.published.catalogue import Catalogue, PublishedResult
    from isoflop.published.results import Verdict
    from isoflop.reference import Reference


def render_published(
    catalogue: Catalogue,
    results: Sequence[Verdict],
    sweeps: Mapping[str, Mapping[Approach, Estimate | Refusal]],
    reference: Reference,
    out: Path,
) -> None:
    """Write the page: a table of numbers with verdicts, and a forest of all exponents.

    Parameters
    ----------
    catalogue : the catalogue of published studies.
    results : every number's verdict.
    sweeps : estimates of the reader's own sweeps, by name.
    reference : the papers' exponents.
    out : page to write; it loads nothing.
    """
    from markupsafe import Markup

    forest = draw(groups(results, sweeps, reference))
    write_page(
        "index.html.j2",
        out,
        rows=results,
        **_counts(results),
        missed=[verdict for verdict in results if not verdict.ok],
        studies=[
            (study, [verdict for verdict in results if verdict.study == study])
            for study in catalogue.studies
        ],
        forest=Markup(inline(forest.figure, "forest")),  # noqa: S704
        forest_words=forest.alt,
        number=shortest,
        like=like,
    )


def _counts(verdicts: Sequence[Verdict]) -> dict[str, int]:
    """Count what came out, published numbers apart from those that somebody recomputed."""
    counts: dict[str, int] = {}
    for word, recomputed in (("published", False), ("recomputed", True)):
        passed = [verdict.ok for verdict in verdicts if verdict.result.recomputed == recomputed]
        counts |= {f"good_{word}": sum(passed), f"all_{word}": len(passed)}
    return counts


def like(value: float | None, result: PublishedResult) -> str:
    """Write a reproduced number as finely as the tolerance asks, one digit more."""
    if value is None or value == 0.0:
        return shortest(value)
    digits = math.floor(math.log10(abs(value))) - math.floor(math.log10(result.tolerance)) + 2
    return shortest(value, min(max(digits, 4), 12))
