"""Published downstream results: the headline table, and summaries computed from every row."""

from __future__ import annotations

from typing import TYPE_CHECKING

from isoflop.escape import markdown
from isoflop.numbers import NONE, fixed
from isoflop.report.tables import Column, Table

if TYPE_CHECKING:
    from isoflop.reference import HeadlineResult, Reference
    from isoflop.report.tables import Value

MISMATCH = {
    "MMLU 5-shot avg": "[^mmlu]",
    "BIG-bench avg (62)": "[^bigbench]",
    "NQ 0-shot": "[^nq]",
}
"""Where the paper contradicts itself; the notes stand in index.md.j2."""


def headline_table(reference: Reference) -> Table:
    """Tabulate the headline results as printed."""
    facts = reference.gopher_chinchilla.headline
    rows: list[list[str]] = []
    data: list[list[Value]] = []
    for row in facts.rows:
        gain = row.chinchilla - row.gopher
        rows.append([
            markdown(row.task) + MISMATCH.get(row.task, ""),
            _bold_best(row, row.gopher), _bold_best(row, row.chinchilla), fixed(gain, _digits(row)),
            _value(row, row.gpt3), _value(row, row.mtnlg),
        ])  # fmt: skip
        data.append(
            [row.task, row.unit, row.better, row.gopher, row.chinchilla, row.gpt3, row.mtnlg]
        )
    return Table(
        key="headline",
        caption="Downstream results as Hoffmann et al. print them, in per cent; WikiText-103 in "
        "perplexity, where lower is better. The better of Gopher and Chinchilla in bold.",
        columns=(
            Column("Task", "left"), Column("Gopher ⏎ 280B"), Column("Chinchilla ⏎ 70B"),
            Column("Difference"), Column("GPT-3 ⏎ 175B"), Column("MT-NLG ⏎ 530B"),
        ),
        rows=rows,
        data_columns=("task", "unit", "better", "gopher", "chinchilla", "gpt3", "mtnlg"),
        data=data,
    )  # fmt: skip


def summary_table(reference: Reference) -> Table:
    """Average the rows of MMLU, BIG-bench and the Pile, beside the averages the paper prints."""
    facts = reference.gopher_chinchilla
    printed = {row.task: row for row in facts.headline.rows}
    mmlu, bigbench = printed["MMLU 5-shot avg"], printed["BIG-bench avg (62)"]
    rows: list[list[str]] = []
    data: list[list[Value]] = []
    for name, table, headline in (
        ("MMLU (% correct)", facts.mmlu, mmlu),
        ("BIG-bench (% correct)", facts.bigbench, bigbench),
    ):
        g, c = table.mean("gopher"), table.mean("chinchilla")
        rows.append([
            name, str(len(table.rows)), fixed(g, 1), fixed(headline.gopher, 1), fixed(c, 1),
            fixed(headline.chinchilla, 1), str(table.wins()),
        ])  # fmt: skip
        data.append([name, len(table.rows), g, headline.gopher, c, headline.chinchilla,
                     table.wins()])  # fmt: skip
    pile = facts.pile
    g, c = pile.mean("gopher"), pile.mean("chinchilla")
    rows.append(["The Pile (bits per byte)", str(len(pile.rows)), fixed(g), NONE, fixed(c), NONE,
                 str(pile.wins())])  # fmt: skip
    data.append(["Pile (bits per byte)", len(pile.rows), g, None, c, None, pile.wins()])
    return Table(
        key="downstream",
        caption="Averages computed from the rows of Tables A5, A6 and A7, beside those the paper "
        "prints, and the number of rows on which Chinchilla does better.",
        columns=(
            Column("Benchmark", "left"), Column("Rows"), Column("Gopher, computed"),
            Column("printed"), Column("Chinchilla, computed"), Column("printed"),
            Column("Chinchilla better"),
        ),
        rows=rows,
        data_columns=(
            "benchmark", "rows", "gopher_mean", "gopher_printed", "chinchilla_mean",
            "chinchilla_printed", "chinchilla_better",
        ),
        data=data,
    )  # fmt: skip


def _digits(row: HeadlineResult) -> int:
    return 2 if row.unit == "perplexity" else 1


def _value(row: HeadlineResult, value: float | None) -> str:
    return NONE if value is None else fixed(value, _digits(row))


def _bold_best(row: HeadlineResult, value: float) -> str:
    pair = (row.gopher, row.chinchilla)
    best = min(pair) if row.better == "lower" else max(pair)
    text = _value(row, value)
    return f"**{text}**" if value == best and pair[0] != pair[1] else text
