"""The page of published numbers beside reproduced ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from isoflop.drawing.exponents import draw
from isoflop.drawing.svg import inline
from isoflop.estimates.published_numbers import OUTCOMES
from isoflop.numbers import as_fine, shortest
from isoflop.published.forest import groups
from isoflop.published.page import write_page
from isoflop.published.results import counted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from isoflop.approach import Approach
    from isoflop.estimates.estimate import Estimate, Refusal
    from isoflop.published.catalogue import Catalogue
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
    by_study = [
        (study, [verdict for verdict in results if verdict.study == study])
        for study in catalogue.studies
    ]
    write_page(
        "index.html.j2",
        out,
        counts=counted(results),
        outcomes=OUTCOMES,
        missed=[verdict for verdict in results if verdict.outcome == "not reproduced"],
        studies=[(study, rows, counted(rows)) for study, rows in by_study],
        forest=Markup(inline(forest.figure, "forest")),  # noqa: S704
        forest_words=forest.alt,
        number=shortest,
        as_fine=as_fine,
    )
