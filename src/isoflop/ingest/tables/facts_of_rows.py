"""What else the rows of finished runs tell of these: the peak learning rate, the seed, the budget.

No fit needs them, so a column is taken only where every cell can be what its name says: a seed of
-1 or a learning rate of 0, as is logged at a run's end, leaves no run out.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import polars as pl

from isoflop.config.sidecar import TableColumn
from isoflop.counting import flops_6nd
from isoflop.ingest.tables.wide import as_numbers, in_counts
from isoflop.ingest.words.names import COLUMNS, SEEDS, UNIQUE, plain

if TYPE_CHECKING:
    from collections.abc import Callable

    from isoflop.config.sidecar import TableMap

PEAKS: Final = (
    "peak_lr", "lr_peak", "max_lr", "lr_max", "learning_rate_peak", "peak_learning_rate",
    "max_learning_rate", "learning_rate_max", "base_lr", "base_learning_rate", "initial_lr",
    "initial_learning_rate", "init_lr",
)  # fmt: skip
"""Columns that say that they are the peak learning rate of finished runs."""
_OF_SETTINGS: Final = re.compile(r"(?i)(?:configs?|hparams|args)[./]|optim(?:izer)?\.")
_OF_ENDS: Final = re.compile(r"(?i)(?:summary|summary_metrics|results?|metrics)[./]")
"""Places of a tracker's settings, and of the last values that it keeps."""
_RATES: Final = frozenset({"lr", "learning_rate", "learning-rate"})
"""What rates are called that need not have been logged."""
BUDGETS: Final = ("budget", "compute_budget", "flops_budget", "flop_budget", "budget_flops")
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
    compute = _compute(raw, table)
    for fact, (names, can_be) in _FACTS.items():
        name = next((by_plain[each] for each in names if each in by_plain), None)
        name = name if fact != _PEAK or name is not None else _rates_of_settings(raw, compute)
        if name is None or name in used or fact in columns:
            continue
        if can_be(raw[name], compute):
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
    return flops_6nd(*read) if len(read) == len(counts) else None


def _rates_of_settings(raw: pl.DataFrame, compute: pl.Series | None) -> str | None:
    """Find the learning rates that runs were set to, and not the last ones that they had.

    A tracker's table has both under one name, in its settings and its summary; a rate that stands
    alone is one of settings where all are as large as peaks are.
    """
    rates = [name for name in raw.columns if _is_called_rate(plain(name))]
    settings = [name for name in rates if _OF_SETTINGS.match(name)]
    if settings:
        return settings[0] if len(settings) == 1 else None
    is_tracker_s = any(_OF_SETTINGS.match(name) for name in raw.columns)
    named = [name for name in rates if plain(name) in _RATES]
    if len(named) != 1 or is_tracker_s or _OF_ENDS.match(named[0]):
        return None
    cells = as_numbers(raw[named[0]])
    if not cells.drop_nulls().is_between(LEAST_PEAK, LARGEST_PEAK).all():
        return None
    if compute is not None:
        of_cells = pl.DataFrame({"compute": compute.round_sig_figs(3), "rate": cells})
        spread = of_cells.group_by("compute").agg(pl.col("rate").max() / pl.col("rate").min())
        if (spread["rate"] > SPREAD).any():
            return None
    return named[0]


def _is_called_rate(name: str) -> bool:
    """Tell whether a column is a rate, an optimiser's among nested settings included."""
    return name in COLUMNS["lr"] or re.sub("^optim(?:izer)?/", "", name) in _RATES


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
LEAST_PEAK: Final = 1e-6
LARGEST_PEAK: Final = 0.1
"""Learning rates between which those are that no word calls peaks, though they are."""
SPREAD: Final = 100.0
"""Times by which the peak rates of one cell differ at most, as far as no word calls them peaks."""
_PEAK: Final = "schedule.lr_peak"
_FACTS: Final[dict[str, tuple[tuple[str, ...], Callable[..., bool]]]] = {
    _PEAK: (PEAKS, _are_rates),
    "schedule.kind": (KINDS, _are_words),
    "seed": (SEEDS, _are_seeds),
    "budget": (BUDGETS, _are_budgets),
    "unique_tokens": (UNIQUE, _are_tokens),
}
"""By fact the names of its columns, and what tells whether cells can be it."""
