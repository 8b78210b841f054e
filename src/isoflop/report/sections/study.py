"""A published study's numbers beside those that came out of its data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from isoflop.escape import markdown
from isoflop.estimates.published_numbers import OUTCOMES
from isoflop.numbers import as_fine, listed, shortest, times
from isoflop.project import PUBLISHED
from isoflop.report.tables import Column, Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from isoflop.estimates.published_numbers import PublishedNumber
    from isoflop.report.inputs import ReportInputs


@dataclass(frozen=True, slots=True)
class StudyFacts:
    """The numbers of a study in words, and those of this sweep in a table."""

    summary: str
    table: Table | None


def study_facts(inputs: ReportInputs) -> StudyFacts | None:
    """Set a study's numbers beside ours; None for a sweep of no study."""
    rows = inputs.study
    if not rows:
        return None
    name = inputs.sweep.removeprefix(PUBLISHED)
    here = [row for row in rows if row.sweep == name]
    page = f"[every number of the study](../index.html#{rows[0].study}-numbers)"
    told = [
        f"{markdown(rows[0].title)}: {counted(rows)} Reproduced: our number rounds to the "
        "published one, digit by digit; near: it differs by no more than a note explains. "
        "Recomputed numbers are no paper’s: others found them from the same data.",
        f"The table has the {times(len(here), 'number')} that were found in this sweep; {page} "
        "stands on the page of published studies."
        if here
        else f"None of them was found in this sweep alone; {page} stands on the page of published "
        "studies.",
    ]
    return StudyFacts(summary=" ".join(told), table=_table(here) if here else None)


def counted(rows: Sequence[PublishedNumber]) -> str:
    """Count outcomes in a sentence, published numbers apart from recomputed ones."""
    parts = []
    for kind, recomputed in (("published", False), ("recomputed", True)):
        outcomes = [row.outcome for row in rows if row.recomputed == recomputed]
        if outcomes:
            counts = [
                f"{outcomes.count(outcome)} {outcome}"
                for outcome in OUTCOMES
                if outcomes.count(outcome)
            ]
            parts.append(f"of {times(len(outcomes), f'{kind} number')} {listed(counts)}")
    sentence = "; ".join(parts)
    return f"{sentence[0].upper()}{sentence[1:]}."


def _table(rows: Sequence[PublishedNumber]) -> Table:
    return Table(
        key="study",
        caption="What was published, or recomputed by others, beside what came out of this sweep.",
        columns=(
            Column("Quantity", "left"), Column("From", "left"), Column("There"), Column("Here"),
            Column("Difference"), Column("Tolerance"), Column("Outcome", "left"),
        ),
        rows=[
            [
                markdown(row.quantity),
                markdown(row.source),
                shortest(row.published),
                as_fine(row.reproduced, row.rounding),
                shortest(row.difference, 2, sign=True),
                shortest(row.tolerance),
                row.outcome,
            ]
            for row in rows
        ],
        data_columns=(
            "quantity", "source", "recomputed", "published", "reproduced", "difference",
            "rounding", "tolerance", "outcome", "note", "refused",
        ),
        data=[
            [
                row.quantity, row.source, int(row.recomputed), row.published,
                row.reproduced, row.difference, row.rounding, row.tolerance,
                row.outcome, row.note, row.refused,
            ]
            for row in rows
        ],
        classes=' .prose widths="2 1.6 0.8 0.9 0.8 0.8 1"',
    )  # fmt: skip
