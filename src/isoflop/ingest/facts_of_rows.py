"""What else the rows of finished runs tell of these: the peak learning rate, the seed, the budget.

No fit needs them, so a column is taken only where every cell can be what its name says: a seed of
-1 or a learning rate of 0, as is logged at a run's end, leaves no run out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from isoflop.config.sidecar import TableColumn
from isoflop.ingest.names import COLUMNS, SEEDS, plain
from isoflop.ingest.wide import as_numbers, in_counts

if TYPE_CHECKING:
    from collections.abc import Callable

    from isoflop.config.sidecar import TableMap

PEAKS: Final = (
    "peak_lr", "lr_peak", "max_lr", "lr_max", "learning_rate_peak", "peak_learning_rate",
    "max_learning_rate", "learning_rate_max", *COLUMNS["lr"],
)  # fmt: skip
"""Columns of the peak learning rate of finished runs."""
BUDGETS: Final = ("budget", "compute_budget", "flops_budget", "flop_budget", "budget_flops")
UNIQUE: Final = ("unique_tokens", "tokens_unique", "n_unique_tokens", "num_unique_tokens")
KINDS: Final = (
    "schedule", "schedule_kind", "schedule_type", "lr_schedule", "lr_scheduler", "scheduler",
    "lr_scheduler_type",
)  # fmt: skip
LARGEST_SEED: Final = 2.0**53
NEAR: Final = 100.0
"""How far a budget may be from 6 N D: a column so called may count budgets, or be in a unit."""


def with_facts(raw: pl.DataFrame, table: TableMap) -> TableMap:
    """Map further facts of finished runs.

    Parameters
    ----------
    raw : the rows, as they are in the file.
    table : the map of finished runs by names.
    """
    by_plain = {plain(name): name for name in reversed(raw.columns)}
    used = {origin.column for origin in table.columns.values()}
    columns = dict(table.columns)
    for fact, (names, can_be) in _FACTS.items():
        name = next((by_plain[each] for each in names if each in by_plain), None)
        if name is None or name in used or fact in columns:
            continue
        if can_be(raw[name], _compute(raw, table)):
            columns[fact] = TableColumn(column=name)
    return table.model_copy(update={"columns": columns})


def without_facts(table: TableMap) -> TableMap:
    """Leave out of a map what may differ between the rows of one curve."""
    columns = {name: each for name, each in table.columns.items() if name not in _FACTS}
    return table.model_copy(update={"columns": columns})


def _compute(raw: pl.DataFrame, table: TableMap) -> pl.Series | None:
    """Give 6 N D of rows; None where formulas give N or D."""
    counts = [table.columns.get(value) for value in ("params.total", "tokens")]
    read = [
        in_counts(raw[each.column], each.scale)
        for each in counts
        if each is not None and each.column is not None
    ]
    return 6.0 * read[0] * read[1] if len(read) == len(counts) else None


def _are_rates(cells: pl.Series, _: pl.Series | None) -> bool:
    numbers = as_numbers(cells)
    known = numbers.drop_nulls()
    return _all_are_numbers(cells, numbers) and bool(((known > 0) & (known < 1)).all())


def _are_seeds(cells: pl.Series, _: pl.Series | None) -> bool:
    numbers = as_numbers(cells)
    known = numbers.drop_nulls()
    integral = (known == known.floor()) & (known >= 0) & (known <= LARGEST_SEED)
    return _all_are_numbers(cells, numbers) and bool(integral.all())


def _are_budgets(cells: pl.Series, compute: pl.Series | None) -> bool:
    numbers = as_numbers(cells)
    if compute is None or not _all_are_numbers(cells, numbers) or not (numbers > 0).all():
        return False
    off = (numbers / compute).log().abs().median()
    return isinstance(off, float) and off <= pl.Series([NEAR]).log()[0]


def _are_tokens(cells: pl.Series, _: pl.Series | None) -> bool:
    numbers = as_numbers(cells)
    return _all_are_numbers(cells, numbers) and bool((numbers.drop_nulls() >= LEAST_TOKENS).all())


def _are_words(cells: pl.Series, _: pl.Series | None) -> bool:
    return cells.dtype == pl.String and as_numbers(cells).count() == 0


def _all_are_numbers(cells: pl.Series, numbers: pl.Series) -> bool:
    """Tell whether every filled cell is a finite number."""
    finite = bool(numbers.drop_nulls().is_finite().all())
    return numbers.count() > 0 and numbers.null_count() == cells.null_count() and finite


LEAST_TOKENS: Final = 1e3
_FACTS: Final[dict[str, tuple[tuple[str, ...], Callable[..., bool]]]] = {
    "schedule.lr_peak": (PEAKS, _are_rates),
    "schedule.kind": (KINDS, _are_words),
    "seed": (SEEDS, _are_seeds),
    "budget": (BUDGETS, _are_budgets),
    "unique_tokens": (UNIQUE, _are_tokens),
}
"""By fact the names of its columns, and what tells whether cells can be it."""
