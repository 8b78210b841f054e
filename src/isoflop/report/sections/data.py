"""What the sweep consists of, and what was left out and why."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from isoflop.cells import cell_of, cells_of, number_of_cells, repeats_in
from isoflop.counting import flops_6nd
from isoflop.escape import code, markdown
from isoflop.numbers import (
    NONE,
    count,
    first_of,
    fixed,
    interval,
    listed,
    power,
    significant,
    times,
)
from isoflop.report.tables import Column, Table, sorted_by

if TYPE_CHECKING:
    from collections.abc import Sequence

    from isoflop.report.inputs import ReportInputs


@dataclass(frozen=True, slots=True)
class DataFacts:
    """The data in words and numbers."""

    runs: str
    sizes: str
    params: str
    tokens: str
    flops: str
    planned: str
    trainers: str
    datasets: str
    tokenizers: str
    vocabularies: str
    schedules: str
    loss_source: str
    points: str
    seeds: str
    all_runs: str
    roles: str
    files: str
    repeats: str


def most_epochs(runs: pl.DataFrame) -> float | None:
    """Give how often the run that repeats its text most saw it, 1 where none repeats any.

    None where none is known to, and some do not say how many of their tokens are distinct.
    """
    often = runs["tokens"] / runs["unique_tokens"]
    most = max(often.drop_nulls(), default=1.0)
    if most > 1.0:
        return float(most)
    return None if often.has_nulls() else 1.0


def _repeats(runs: pl.DataFrame) -> str:
    """Say how many runs saw their text more than once; empty where none is known to have."""
    often = (runs["tokens"] / runs["unique_tokens"]).drop_nulls()
    number = int((often > 1.0).sum())
    if not number:
        return ""
    them = "One of the runs saw its" if number == 1 else f"{number} of the runs saw their"
    return (
        f"{them} unique tokens more than once, up to {significant(float(often.max()), 2)} times; "  # type: ignore[arg-type]
        "no law here tells repeated tokens from fresh ones."
    )


def _planned(at_budgets: int, runs: int, budgets: Sequence[float]) -> str:
    """Say at which budgets runs were planned, and how many of them where not all were."""
    if not budgets:
        return ""
    share = "" if at_budgets == runs else f"{at_budgets} of them "
    return f"{share}planned at {listed([power(budget) for budget in budgets])} FLOPs"


def data_facts(inputs: ReportInputs) -> DataFacts:
    """Summarise the runs and their points."""
    runs = inputs.fit_runs()
    points = inputs.losses.filter(pl.col("role") == "fit")
    finals = points.filter("is_final")
    budgets = sorted(runs["budget"].drop_nulls().unique().to_list())
    used = inputs.files.filter(pl.col("fate") == "used").height
    roles = [
        f"{number} {were} {what}"
        for role, what in ROLES.items()
        if (number := inputs.runs.filter(pl.col("role") == role).height)
        for were in ("was" if number == 1 else "were",)
    ]
    return DataFacts(
        runs=times(runs.height, "run"),
        sizes=times(number_of_cells(cells_of(runs["params_total"].to_numpy())), "size"),
        params=_span(runs["params_total"], count),
        tokens=_span(runs["tokens"], count),
        flops=_span(finals["flops_6nd"], power) if finals.height else NONE,
        planned=_planned(runs["budget"].drop_nulls().len(), runs.height, budgets),
        trainers=_distinct(runs["trainer"]),
        datasets=_distinct(runs["dataset"]),
        tokenizers=_distinct(runs["tokenizer"]),
        vocabularies=_distinct(runs["vocab_size"]),
        schedules=_distinct(runs["schedule_kind"]),
        loss_source=listed([LOSSES[str(word)] for word in points["loss_source"].unique().sort()]),
        points=times(points.height, "point"),
        seeds=_seeds(runs),
        all_runs=times(inputs.runs.height, "run"),
        roles=listed(roles),
        files=f"{used} of {times(inputs.files.height, 'file')}",
        repeats=_repeats(runs),
    )


LOSSES = {"eval": "validation loss", "train": "smoothed training loss"}
ROLES = {
    "fit": "for fitting",
    "tuning": "for tuning the learning rate",
    "check": "left out of the fits as a check",
}


def _seeds(runs: pl.DataFrame) -> str:
    """Say how many pairs of N and D were trained with several seeds: those tell of the noise."""
    seeded = runs.drop_nulls(["seed", "params_total", "tokens"])
    if seeded.is_empty():
        return "seeds not stated"
    cells = (
        seeded.with_columns(*cell_of("params_total", "tokens"), alike=repeats_in(seeded))
        .group_by("params_total_cell", "tokens_cell", "alike")
        .agg(pl.col("seed").n_unique())
        .group_by("params_total_cell", "tokens_cell")
        .agg(pl.col("seed").max())
    )["seed"]
    several = int((cells > 1).sum())
    if not several:
        return "one seed for each pair of *N* and *D*"
    have = "has" if several == 1 else "have"
    most = int(cells.max())  # type: ignore[arg-type]
    number = str(most) if cells.filter(cells > 1).n_unique() == 1 else f"2 to {most}"
    others = "" if several == cells.len() else ", the others one"
    return f"{several} of {times(cells.len(), 'pair')} of *N* and *D* {have} {number} seeds{others}"


def _span(values: pl.Series, write: object) -> str:
    if values.is_empty():
        return NONE
    return interval(float(values.min()), float(values.max()), write)  # type: ignore[arg-type]


def _distinct(values: pl.Series) -> str:
    """List the distinct values of a column, or say that none is known."""
    shown = sorted(markdown(str(value)) for value in values.drop_nulls().unique().to_list())
    return listed(shown) if shown else "not stated"


def budget_table(inputs: ReportInputs) -> Table | None:
    """Tabulate the design: runs, sizes and tokens at each planned budget."""
    runs = inputs.fit_runs().drop_nulls("budget")
    if runs.is_empty():
        return None
    losses = inputs.losses.filter("is_final").select("run", "loss")
    grouped = (
        runs.join(losses, on="run", how="left")
        .group_by("budget")
        .agg(
            pl.len().alias("runs"),
            cell_of("params_total")[0].n_unique().alias("sizes"),
            pl.col("params_total").min().alias("n_low"),
            pl.col("params_total").max().alias("n_high"),
            pl.col("tokens").min().alias("d_low"),
            pl.col("tokens").max().alias("d_high"),
            pl.col("loss").min().alias("l_low"),
            pl.col("loss").max().alias("l_high"),
        )
        .sort("budget")
    )
    rows = [
        [
            power(row["budget"]),
            str(row["runs"]),
            str(row["sizes"]),
            interval(row["n_low"], row["n_high"], count),
            interval(row["d_low"], row["d_high"], count),
            interval(row["l_low"], row["l_high"], fixed) if row["l_low"] is not None else NONE,
        ]
        for row in grouped.iter_rows(named=True)
    ]
    return Table(
        key="design",
        caption="The fitted runs by planned compute budget.",
        columns=(
            Column("Budget (FLOPs)"),
            Column("Runs"),
            Column("Sizes"),
            Column("*N* (parameters)"),
            Column("*D* (tokens)"),
            Column("Final loss (nats per token)"),
        ),
        rows=rows,
        data_columns=grouped.columns,
        data=grouped.rows(),
    )


def left_out_table(inputs: ReportInputs) -> Table | None:
    """Tabulate what was left out, and why; None where nothing was."""
    left_out = inputs.left_out.sort("stage", "item")
    if left_out.is_empty():
        return None
    grouped = left_out.group_by("stage", "reason", maintain_order=True).agg(
        pl.col("item"), pl.col("points").sum()
    )
    rows = [
        [items(row["item"]), str(row["stage"]), str(row["points"]), words(row["reason"])]
        for row in grouped.iter_rows(named=True)
    ]
    return Table(
        key="left-out",
        caption="Left out of the fits, by reason.",
        columns=(
            Column("File or run", "left"),
            Column("Left out by", "left"),
            Column("Points"),
            Column("Reason", "left"),
        ),
        rows=rows,
        data_columns=("stage", "item", "points", "reason"),
        data=left_out.select("stage", "item", "points", "reason").rows(),
        classes=' .prose widths="1.6 0.6 0.4 2"',
    )


SCIENTIFIC = re.compile(r"(?<![\w.])(?<!\w-)\d+(?:\.\d+)?e[+-]?\d+(?![\w-])")
"""A number; one that is part of a run's name (t4.33e05-l1d16-s0) is none."""


def items(names: list[str]) -> str:
    """Name a few items, as code."""
    return first_of([code(name) for name in names])


def _size(params: float | None, tokens: float | None) -> tuple[str, str, str, str]:
    """Write N, D, D / N and 6ND; a run that is left out may lack them."""
    shown_params = sorted_by(count(params), params) if params else NONE
    shown_tokens = sorted_by(count(tokens), tokens) if tokens else NONE
    if not params or not tokens:
        return shown_params, shown_tokens, NONE, NONE
    per_param, flops = tokens / params, flops_6nd(params, tokens)
    return (
        shown_params,
        shown_tokens,
        sorted_by(fixed(per_param, 1), per_param),
        sorted_by(power(flops), flops),
    )


def run_table(inputs: ReportInputs) -> Table:
    """Tabulate every run."""
    finals = inputs.losses.filter("is_final").select("run", final_loss="loss")
    trials = inputs.left_out.drop_nulls("loss").select(run="item", final_loss="loss")
    runs = inputs.runs.join(pl.concat([finals, trials]), on="run", how="left").sort(
        "role", "budget", "params_total", "run"
    )
    rows = [
        [
            code(row["run"]),
            str(row["role"]),
            *_size(row["params_total"], row["tokens"]),
            sorted_by(fixed(row["final_loss"], 4), row["final_loss"])
            if row["final_loss"] is not None
            else NONE,
            "left out" if row["excluded"] else str(row["status"]),
        ]
        for row in runs.iter_rows(named=True)
    ]
    names = (
        "run", "role", "params_total", "params_nonembedding", "tokens", "budget", "lr_peak",
        "schedule_kind", "seed", "status", "excluded", "final_loss",
    )  # fmt: skip
    return Table(
        key="runs",
        caption="Every run of the sweep.",
        columns=(
            Column("Run", "left"),
            Column("Role", "left"),
            Column("*N*"),
            Column("*D*"),
            Column("*D*/*N*"),
            Column("6*ND* (FLOPs)"),
            Column("Final loss (nats per token)"),
            Column("Status", "left"),
        ),
        rows=rows,
        data_columns=names,
        data=runs.select(names).rows(),
        classes=" .dense .sortable",
    )


def words(text: str) -> str:
    """Escape a sentence written by another room, and write its numbers as the report does."""
    written, end = [], 0
    for match in SCIENTIFIC.finditer(text):
        value = float(match[0])
        # a number that no float holds stays as it is written
        shown = power(value) if 0.0 < value < math.inf else match[0]
        written += [text[end : match.start()], shown]
        end = match.end()
    written.append(text[end:])
    # every second part is a number as Markdown
    return "".join(
        part if position % 2 else _kept(part) for position, part in enumerate(written)
    ).strip()


def _kept(part: str) -> str:
    """Escape a part of a sentence, keeping the blanks at its ends."""
    inner = markdown(part)
    before = " " if part[:1].isspace() else ""
    after = " " if part[-1:].isspace() else ""
    return f"{before}{inner}{after}" if inner else before
