"""Tables with a column a run: `step,25M-0.5B,25M-1B`, or `step,loss_a,loss_b`.

Such a column may also be an eval set of one run. Where the names of all have a size, they are of
runs; else that is asked, with a map for either. A map of the columns run, step and loss means the
table as it is laid out here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

import polars as pl

from isoflop.config.sidecar import TableColumn, TableMap
from isoflop.ingest.reading.refused import RefusedError
from isoflop.ingest.tables.outline import as_line
from isoflop.ingest.tables.wide import as_numbers
from isoflop.ingest.words.likely_names import (
    OF_LOSSES,
    OF_PARTS,
    without_words_of_losses,
)
from isoflop.ingest.words.names import (
    COLUMNS,
    SIZES,
    eval_sets,
    eval_sets_in_bytes,
    find,
    plain,
    run_column,
    unit_of,
)

HIGHEST: Final = 20.0
"""Losses are below it, and above 0."""
LEAST: Final = 3
"""Rows from which columns are curves."""
MOSTLY: Final = 0.75
"""Share of the columns that end below where they begin."""
APART: Final = 4.0
"""Ratio of final losses of one table, at most."""
_AXES: Final = ("step", "tokens")
_SIZED: Final = re.compile(r"(?<![A-Za-z0-9.])[0-9]+(?:\.[0-9]+)?[kKmMbB](?![A-Za-z0-9])")
_SETS: Final = re.compile(
    r"[A-Za-z_ /.-]+|c4.*|.*(?:wiki|pile|code|books|web|arxiv|lambada).*", re.I
)
"""Names that are rather of eval sets."""


@dataclass(frozen=True, slots=True)
class RunColumns:
    """Columns that are losses of a run each.

    Attributes
    ----------
    beside : what else stands in each row.
    losses : by run and loss, `loss` or `val_loss`, the column.
    """

    beside: tuple[str, ...]
    losses: dict[tuple[str, str], str]

    @property
    def runs(self) -> list[str]:
        """The names of the runs."""
        return list(dict.fromkeys(run for run, _ in self.losses))

    @property
    def are_runs(self) -> bool:
        """Whether their names leave no doubt."""
        return all(_SIZED.search(run) for run in self.runs)

    def laid_out(self, raw: pl.DataFrame) -> pl.DataFrame:
        """Give the table a row for each run and step."""
        pieces = []
        for run in self.runs:
            named = {kind: column for (of, kind), column in self.losses.items() if of == run}
            rows = raw.select(
                pl.lit(run).alias("run"),
                *self.beside,
                *(as_numbers(raw[column]).alias(kind) for kind, column in named.items()),
            )
            pieces.append(rows.filter(pl.any_horizontal(pl.col(*named).is_not_null())))
        return pl.concat(pieces, how="diagonal")

    @property
    def words(self) -> str:
        """What was done."""
        shown = self.runs[0]
        return f"a column a run, {len(self.runs)} in all, such as '{shown}': laid out by run"

    def refusal(self) -> RefusedError:
        """Ask what the columns are, with a map for either."""
        known = {value: find(value, self.beside) for value in ("step", "tokens", "lr")}
        axis = {value: TableColumn(column=name) for value, name in known.items() if name}
        kinds = dict.fromkeys(kind for _, kind in self.losses)
        losses = {
            "train_loss" if kind == "loss" else "eval_loss": TableColumn(column=kind)
            for kind in kinds
        }
        of_runs = as_line(
            TableMap(rows="points", columns={"run": TableColumn(column="run"), **axis, **losses})
        )
        sets = {run: column for (run, _), column in self.losses.items()}
        of_sets = as_line(TableMap(rows="points", columns=axis, evals=sets))
        ways = [
            (f"if each is of a run of its own, laid out as run, {', '.join(kinds)}", of_runs),
            ("if each is of an eval set of one run", of_sets),
        ]
        ways = ways[::-1] if all(map(_SETS.fullmatch, self.runs)) else ways
        names = ", ".join(f"'{column}'" for column in [*self.losses.values()][:SHOWN])
        told = "\n; or, ".join(f"{way}:\n  {line}" for way, line in ways)
        return RefusedError(
            f"several columns may be losses, {names}{', ...' * (len(self.losses) > SHOWN)}, and "
            f"nothing says of what: say so in sweep.yaml, {told}",
            ways[0][1],
        )


SHOWN: Final = 5
"""Columns that a message names."""


def columns_of_runs(raw: pl.DataFrame) -> RunColumns | None:
    """Find the losses of a table with a column a run; None of another table."""
    names = raw.columns
    known = [find(value, names) for value in COLUMNS]
    axis = next((name for value in _AXES if (name := find(value, names)) is not None), None)
    lossless = find("train_loss", names) is None
    lossless = lossless and not eval_sets(names) and not eval_sets_in_bytes(names)
    sized = any(find(value, names) is not None for value in SIZES)
    if axis is None or not lossless or sized or run_column(names) is not None:
        return None
    if raw.height < LEAST or raw[axis].is_duplicated().any():
        return None
    others = [name for name in names if name not in known and _is_curve(raw[name])]
    worded = [name for name in others if {*_words(name)} & OF_LOSSES]
    chosen = worded or others
    losses = {without_words_of_losses(name): name for name in chosen}
    runs = {run for run, _ in losses}
    if len(losses) < len(chosen) or len(runs) < 2 or not all(runs):
        return None
    falls = [_falls(raw[name]) for name in chosen]
    if sum(falls) < MOSTLY * len(falls) or any(OF_PARTS & {*_words(run)} for run in runs):
        return None
    kept = tuple(name for name in names if name not in chosen)
    told = RunColumns(kept, losses)
    # what has no word of a loss is one where there is nothing else, and all are alike
    alike = all(falls) and all(name in known for name in kept) and _are_alike(raw.select(chosen))
    return told if worded or told.are_runs or alike else None


def _are_alike(columns: pl.DataFrame) -> bool:
    """Tell whether curves end near each other."""
    ends = [float(as_numbers(cells).drop_nulls()[-1]) for cells in columns]
    return max(ends) <= APART * min(ends)


def _words(name: str) -> list[str]:
    return re.split(r"[-_/. ]+", plain(name))


def _is_curve(cells: pl.Series) -> bool:
    """Tell whether cells may be losses along a curve."""
    numbers = as_numbers(cells).drop_nulls()
    numbers = numbers.filter(numbers.is_finite())
    in_nats = unit_of(cells.name) in (None, "nats_per_token")
    return in_nats and numbers.len() >= LEAST and bool(((numbers > 0) & (numbers < HIGHEST)).all())


def _falls(cells: pl.Series) -> bool:
    """Tell whether a curve ends below where it begins."""
    numbers = as_numbers(cells).drop_nulls()
    return float(numbers[-1]) < float(numbers[0])
