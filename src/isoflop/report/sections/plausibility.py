"""The checks of plausibility that every run went through, and what they said."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from isoflop.escape import code, markdown
from isoflop.numbers import NONE, shortest, times
from isoflop.report.sections.data import items, words
from isoflop.report.tables import Column, Table

if TYPE_CHECKING:
    from isoflop.report.inputs import ReportInputs

TOLD = {"warned": "told of", "excluded": "left out", "accepted": "accepted"}
"""Verdicts that are shown run by run, in words."""


@dataclass(frozen=True, slots=True)
class Checks:
    """What the checks say, in a sentence and in tables."""

    summary: str
    table: Table | None
    told: Table | None


def checks(inputs: ReportInputs) -> Checks:
    """Collect what the checks of plausibility say."""
    table, told = _checks_table(inputs), _told_table(inputs)
    if table is None:
        summary = "No check of plausibility was made."
    elif told is None:
        summary = f"No run fails any of {times(len(table.rows), 'check')} of plausibility."
    else:
        failing = inputs.gates.filter(pl.col("verdict") != "passed")["run"].n_unique()
        summary = (
            f"{times(failing, 'run')} {'fails' if failing == 1 else 'fail'} one or more of "
            f"{times(len(table.rows), 'check')} of plausibility; [the table](#tbl-implausible) "
            "says which."
        )
    return Checks(summary, table, told)


def _checks_table(inputs: ReportInputs) -> Table | None:
    """Tabulate every check: its limits, the runs tested, and the value farthest from plausible."""
    if inputs.gates.is_empty():
        return None
    above = pl.col("value") - pl.col("high")
    below = pl.col("low") - pl.col("value")
    counted = {
        verdict: (pl.col("verdict") == verdict).sum().cast(pl.Int64) for verdict in TOLD
    }  # fmt: skip
    grouped = inputs.gates.group_by("check", maintain_order=True).agg(
        pl.col("tests", "unit", "low", "high", "source").first(),
        pl.len().cast(pl.Int64).alias("tested"),
        **counted,
        worst=pl.col("value").sort_by(pl.max_horizontal(above, below)).last(),
    )
    rows = [
        [
            code(row["check"]),
            markdown(row["tests"]),
            _limits(row["low"], row["high"]),
            markdown(row["unit"]) if row["unit"] != "1" else NONE,
            *(str(row[name]) for name in ("tested", *TOLD)),
            shortest(row["worst"], 3),
        ]
        for row in grouped.iter_rows(named=True)
    ]
    return Table(
        key="checks",
        caption="Checks of plausibility. *Farthest* is the value nearest to the limit, or beyond.",
        columns=(
            Column("Check", "left"),
            Column("What it measures", "left"),
            Column("Plausible"),
            Column("Unit", "left"),
            Column("Runs tested"),
            Column("Told of"),
            Column("Left out"),
            Column("Accepted"),
            Column("Farthest"),
        ),
        rows=rows,
        data_columns=grouped.columns,
        data=grouped.rows(),
        classes=' .prose widths="1.3 2.4 0.9 0.9 0.6 0.6 0.6 0.8 0.8"',
    )


def _told_table(inputs: ReportInputs) -> Table | None:
    """Tabulate the runs that fail a check, by check and verdict; None where none does."""
    told = inputs.gates.filter(pl.col("verdict") != "passed")
    if told.is_empty():
        return None
    grouped = told.group_by("check", "verdict", "reason", maintain_order=True).agg(
        "run", pl.col("words").first()
    )
    rows = [
        [
            code(row["check"]),
            items(row["run"]),
            TOLD[row["verdict"]],
            words(row["words"] or "")
            + (f" (accepted: {words(row['reason'])})" if row["reason"] is not None else "")
            + ("; and alike of the others" if len(row["run"]) > 1 else ""),
        ]
        for row in grouped.iter_rows(named=True)
    ]
    names = ("check", "run", "value", "low", "high", "unit", "verdict", "words", "reason")
    return Table(
        key="implausible",
        caption="Runs that fail a check of plausibility.",
        columns=(
            Column("Check", "left"),
            Column("Run", "left"),
            Column("Verdict", "left"),
            Column("What it says", "left"),
        ),
        rows=rows,
        data_columns=names,
        data=told.select(names).rows(),
        classes=' .prose widths="0.8 1.4 0.6 3"',
    )


def _limits(low: float | None, high: float | None) -> str:
    """Write the range of plausible values."""
    if low is None:
        return f"at most {shortest(high, 6)}"
    return f"at least {shortest(low, 6)}" if high is None else f"{low:g} to {high:g}"
