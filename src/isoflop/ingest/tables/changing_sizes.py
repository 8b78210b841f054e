"""Columns whose cells are not what their names say: norms called params, sizes of updates."""

from __future__ import annotations

from typing import Final

import polars as pl

from isoflop.ingest.tables.wide import as_numbers
from isoflop.ingest.words.names import SIZES, find, find_count, of_rewards, plain, run_column

LEAST_ROWS: Final = 20
"""Rows of a run from which they are a curve: no study has as many runs, each a step further."""
EVEN: Final = 0.9
"""Share of the rows that are as many steps after the one before them as most are."""
LEAST_VALUES: Final = 3
"""Values of a size from which it is none: a network may grow, once."""
LEAST_COUNT: Final = 1e5
"""What a norm of parameters stays below: columns of counts from here on are those of a ladder."""
PLANNED: Final = 0.01
"""Relative difference of D / N in a ladder of runs that have as many tokens a parameter each."""
NO_SIZE: Final = "'{}' is not read: it changes along a curve, so it is no number of parameters"
NO_COUNT: Final = "'{}' is not read: it has fractions, so it is no count of updates"
_UPDATES: Final = frozenset({"update", "updates"})
"""Names of a step that are as often those of how large an update was."""


def misnamed(raw: pl.DataFrame) -> dict[str, str]:
    """Give the columns that are not what they are called, and why each is not read.

    Parameters
    ----------
    raw : the rows of a table, columns by their names in the file.
    """
    told = {name: NO_COUNT.format(name) for name in broken_updates(raw)}
    return told | {name: NO_SIZE.format(name) for name in changing_sizes(raw.drop(told))}


def broken_updates(raw: pl.DataFrame) -> list[str]:
    """List the columns called updates that are no whole numbers: each says how large one was."""
    return [
        name
        for name in raw.columns
        if plain(name) in _UPDATES and not _are_whole(as_numbers(raw[name]).drop_nulls())
    ]


def rewarded(raw: pl.DataFrame) -> str | None:
    """Find the column of a reward, or of a policy's loss; None without, or where all are 0."""
    told = of_rewards(raw.columns)
    while told is not None:
        cells = raw[told].drop_nulls()
        if not cells.len() or not (as_numbers(cells) == 0).fill_null(value=False).all():
            break
        raw = raw.drop(told)  # a trainer that can do both has it on each line of a pretraining
        told = of_rewards(raw.columns)
    return told


def changing_sizes(raw: pl.DataFrame) -> list[str]:
    """List the columns that are called like N, and have several values along each curve.

    Rows are those of a curve where their steps rise evenly. Rows of finished runs have an N each,
    in whole numbers that no norm comes to or that go with their tokens, also where each has as
    many more steps as others.

    Parameters
    ----------
    raw : the rows of a table, columns by their names in the file.
    """
    step, run = find("step", raw.columns), run_column(raw.columns)
    told = (find_count(value, raw.columns) for value in SIZES)
    sizes = dict(size for size in told if size is not None)
    if step is None or not sizes:
        return []
    rows = raw.select(
        run=pl.lit("") if run is None else pl.col(run),
        step=as_numbers(raw[step]),
        **{f"size {name}": as_numbers(raw[name]) for name in sizes},
    )
    curves = rows.drop_nulls("step").partition_by("run", maintain_order=True)
    curves = [curve for curve in curves if curve.height >= LEAST_ROWS]
    if not curves or not all(_rises_evenly(curve["step"]) for curve in curves):
        return []
    tokens = find_count("tokens", raw.columns)
    read = None if tokens is None else as_numbers(raw[tokens[0]])
    return [
        name
        for name, unit in sizes.items()
        if not _is_ladder(as_numbers(raw[name]), unit, read)
        and all(curve[f"size {name}"].drop_nulls().n_unique() >= LEAST_VALUES for curve in curves)
    ]


def _is_ladder(counts: pl.Series, unit: float, tokens: pl.Series | None) -> bool:
    """Tell numbers of parameters: whole, and beyond norms or as many times the tokens each."""
    told = counts.drop_nulls()
    if unit == 1.0 and not _are_whole(told):
        return False
    if bool((told * unit >= LEAST_COUNT).all()):
        return True
    ratios = None if tokens is None else (tokens / counts).drop_nulls()
    if ratios is None or ratios.len() < LEAST_ROWS or not (ratios > 0).all():
        return False
    return bool((abs(ratios / ratios.median() - 1) <= PLANNED).all())


def _are_whole(cells: pl.Series) -> bool:
    return bool((cells == cells.floor()).all())


def _rises_evenly(steps: pl.Series) -> bool:
    """Tell whether each step is after the one before it, and most as much as others are."""
    further = steps.diff().drop_nulls()
    if not (further > 0).all():
        return False
    return bool((further == further.mode().min()).mean() >= EVEN)  # type: ignore[operator]
