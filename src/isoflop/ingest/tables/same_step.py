"""Rows of one step that are two quantities of it, as its losses in training and on an eval set.

A restart goes back and makes the steps behind anew. A row that comes right after another of its
step, time and again along a curve, is told from it by what another column says, or by its loss.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from isoflop.ingest.tables.attempts import have_died, numbered
from isoflop.ingest.tables.wall_time import COLUMNS as TIMES
from isoflop.ingest.tables.wide import ROW
from isoflop.ingest.words.names import is_of_launches, plain, tells_training
from isoflop.ingest.words.split_words import VALIDATED, word_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

TRIED: Final = 1_000
"""Steps at which a column must tell rows apart."""
LEAST: Final = 2
"""Steps with several rows from which a column that tells these apart is none by chance."""
REGULAR: Final = 3
"""Steps from which a gap in a column tells the others."""
MOSTLY: Final = 0.75
"""Share of the regular steps that have a second row."""
BY_CHANCE: Final = 0.05
"""Chance of as many losses off to one side, below which noise does not tell them off."""
APART: Final = 3.0
"""Differences of neighbouring losses beyond which a second one is no other batch's."""
NEAR: Final = 5
"""Losses on either side by which a row is judged."""
_EVALUATED = re.compile(word_of(VALIDATED))
_RESTARTED = re.compile(r"restart|resum|relaunch|recover|reload|attempt")


@dataclass(frozen=True, slots=True)
class Label:
    """What tells one quantity from another.

    Attributes
    ----------
    column : which says it; None: the order of a step's rows.
    first, other : conditions of the rows that are most, and of those beside them.
    sparse : whether the others are far fewer.
    counts : whether it is a number, as a setting of runs is.
    repeats : whether it does so at several steps.
    of_evaluations : whether it says so by a word for these.
    last : the condition of the last row of each step, where their order tells.
    """

    column: str | None
    first: str
    other: str
    sparse: bool
    counts: bool = False
    repeats: bool = True
    of_evaluations: bool = False
    last: str | None = None


def are_quantities(rows: pl.DataFrame, pairs: pl.DataFrame, known: pl.DataFrame) -> bool:
    """Tell whether rows that come right after another of their step are no restarts.

    Parameters
    ----------
    rows : as they are in the file, with `ROW`.
    pairs : `run`, `step`, the rows `earlier` and `ROW`, and their losses `before` and `loss`.
    known : run, step and loss of all rows.
    """
    if pairs.is_empty():
        return False
    groups = _joined(pairs.select("earlier", ROW).rows())
    if _go_on(rows, groups):
        return False
    if label_of(rows, groups) is not None:
        return True
    losses = known.filter(~pl.col(ROW).is_in(pairs[ROW].to_list()))
    noise = losses.select(pl.col("loss").diff().over("run").abs().median()).item()
    off = (pairs["loss"] - pairs["before"]).to_numpy()
    higher = float((off > 0).mean())
    if len(off) >= LEAST and higher in (0.0, 1.0) and (abs(off) > APART * (noise or 0.0)).all():
        return True
    return _by_chance(off > 0) <= BY_CHANCE and _are_regular(pairs, known)


def label_of(rows: pl.DataFrame, groups: Sequence[Sequence[int]]) -> Label | None:
    """Find a column that tells the rows of each step apart, and by the same words at all of them.

    Parameters
    ----------
    rows : as they are in the file, with `ROW`.
    groups : of each step with several, the numbers of its rows.
    """
    tried = groups[:TRIED]
    wanted = rows.filter(pl.col(ROW).is_in([row for group in tried for row in group]))
    # what is called so says more than another column
    names = sorted(rows.columns, key=lambda name: not re.search(r"eval|val|test", plain(name)))
    told = {}
    for name in names:
        readable = rows[name].dtype in (pl.String, pl.Boolean) or rows[name].dtype.is_numeric()
        if name != ROW and readable and not _RESTARTED.search(plain(name)):
            cells = dict(wanted.select(ROW, name).iter_rows())
            told[name] = [[cells.get(row) for row in group] for group in tried]
    # a word says more than a gap: evaluations have no learning rate, and a column that says so
    for name, cells_of in told.items():
        label = _by_evaluations(rows[name], cells_of)
        if label is None and not is_of_launches(name):
            label = _by_words(rows[name], cells_of, len(groups))
        if label is not None:
            return label
    gaps = (_by_gaps(rows[name], cells_of) for name, cells_of in told.items())
    return next((label for label in gaps if label is not None), None)


def set_otherwise(rows: pl.DataFrame, clock: pl.DataFrame) -> str | None:
    """Find a column by which a run that begins at its first step again is another run.

    Parameters
    ----------
    rows : as they are in the file, with `ROW`.
    clock : run, step and launch of those that tell the launches.

    Returns
    -------
    One that says the same in all of what goes before, and another thing in all behind; None where
    none does.
    """
    placed = numbered(clock, pl.col("launch").diff() > 0).select(ROW, "run", "attempt")
    if not placed["attempt"].max():
        return None
    names = [
        name
        for name in rows.columns
        if name != ROW and plain(name) not in TIMES and not is_of_launches(name)
    ]
    reached = clock.join(placed, on=ROW).group_by("run", "attempt").agg(pl.col("step").max())
    if have_died(reached):
        names = [name for name in names if tells_training(name)]
    told = placed.join(rows.select(pl.col(ROW).cast(pl.Int64), *names), on=ROW, how="left")
    for name in names:
        if name in ("run", "attempt"):
            continue
        of_each = told.group_by("run", "attempt").agg(
            pl.col(name).first().alias("says"),
            constant=(pl.col(name).n_unique() == 1) & pl.col(name).is_not_null().all(),
        )
        differs = of_each.group_by("run").agg(
            pl.col("constant").all(), several=pl.col("says").n_unique() > 1
        )
        if differs.select((pl.col("constant") & pl.col("several")).any()).item():
            return name
    return None


def by_order(keys: Sequence[str]) -> Label:
    """Tell rows apart by their order within a step.

    Parameters
    ----------
    keys : columns of the step, and of what it is of.
    """
    by = ", ".join(f'"{name}"' for name in keys)
    of_step = f"OVER (PARTITION BY {by})"
    place = f"ROW_NUMBER() {of_step}"
    last = f"{place} = COUNT(*) {of_step}"
    return Label(None, f"{place} = 1", f"{place} = 2", sparse=True, last=last)


def farthest(known: pl.DataFrame, step: float, losses: Sequence[float]) -> int:
    """Find which of the losses of a step lies farthest from those around it: its place.

    Parameters
    ----------
    known : step and loss of the curve's rows.
    """
    before = known.filter(pl.col("step") < step).sort("step").tail(NEAR)
    behind = known.filter(pl.col("step") > step).sort("step").head(NEAR)
    near = pl.concat([before, behind]).select("step", "loss")
    if near["step"].n_unique() < LEAST:
        return 0
    line = np.polynomial.Polynomial.fit(near["step"].to_numpy(), near["loss"].to_numpy(), 1)
    return int(np.argmax([abs(loss - line(step)) for loss in losses]))


def _go_on(rows: pl.DataFrame, groups: Sequence[Sequence[int]]) -> bool:
    """Tell whether another launch begins with the last row of each step, and goes on from there."""
    first, last = [group[0] for group in groups], [group[-1] for group in groups]
    for name in rows.columns:
        # evaluations may stand behind the end of an epoch
        if name == ROW or not is_of_launches(name) or "epoch" in plain(name):
            continue
        told = rows.select(pl.col(ROW).cast(pl.Int64), pl.col(name).alias("told"))
        told = told.with_columns(behind=pl.col("told").shift(-1))
        begins = told.filter(pl.col(ROW).is_in(last))
        at_end = begins[ROW] == rows[ROW].max()
        stays = ((begins["told"] == begins["behind"]).fill_null(value=False) | at_end).all()
        before = told.filter(pl.col(ROW).is_in(first))["told"]
        if before.len() == begins.height and stays and before.ne_missing(begins["told"]).all():
            return True
    return False


def _by_chance(higher: NDArray[np.bool_]) -> float:
    """Give the chance that noise puts as many of the losses, or more, off to one side."""
    count, most = len(higher), max(int(higher.sum()), int((~higher).sum()))
    return float(sum(math.comb(count, each) for each in range(most, count + 1)) / 2 ** (count - 1))


def _joined(pairs: Sequence[tuple[int, ...]]) -> list[list[int]]:
    """Join pairs that share a row: more than two rows of one step."""
    groups: list[list[int]] = []
    for earlier, row in pairs:
        if groups and groups[-1][-1] == earlier:
            groups[-1].append(row)
        else:
            groups.append([earlier, row])
    return groups


def _by_evaluations(cells: pl.Series, told: Sequence[Sequence[object]]) -> Label | None:
    """Tell rows apart by a word for evaluations, whatever stands beside the others."""
    words = {group[-1] for group in told}
    word = next(iter(words))
    if len(told) < LEAST or len(words) > 1 or not _EVALUATED.search(str(word).lower()):
        return None
    if any(len(group) > LEAST or group[0] == word for group in told):
        return None
    other = _is(cells, word)
    first = f'(NOT {other} OR "{cells.name}" IS NULL)' if cells.null_count() else f"NOT {other}"
    return Label(cells.name, first, other, sparse=True, of_evaluations=True)


def _by_words(cells: pl.Series, told: Sequence[Sequence[object]], steps: int) -> Label | None:
    """Tell rows apart by the words of a column, if these are the same at all steps."""
    words = Counter(each for group in told for each in group)
    most = max(map(len, told))
    if any(len({*group}) < len(group) for group in told) or len(words) > most:
        return None
    # what a launch says is said by the rows behind it, too, and what first is new comes back
    if most == LEAST and {group[0] for group in told} & {group[-1] for group in told}:
        return None
    counts = dict(cells.value_counts().iter_rows())
    if len(told) < LEAST:
        last = told[0][-1]
        alone = counts.get(last, 0) == 1 and 2 * counts.get(told[0][0], 0) > cells.len()
        if not alone or cells.dtype.is_float() or _RESTARTED.search(str(last).lower()):
            return None
    first = max(words, key=lambda word: counts.get(word, 0))
    other = max((word for word in words if word != first), key=lambda word: counts.get(word, 0))
    if counts.get(other, 0) > 2 * steps:  # as of a machine, or of a launch
        return None
    number = cells.dtype.is_numeric() and not {*words} <= {0, 1, None}  # as a setting of runs is
    sparse = not number and 2 * counts.get(other, 0) <= counts.get(first, 0)
    return Label(
        cells.name, _is(cells, first), _is(cells, other), sparse, number, len(told) >= LEAST
    )


def _by_gaps(cells: pl.Series, told: Sequence[Sequence[object]]) -> Label | None:
    """Tell rows apart by whether a column has a cell, if that is so at all steps."""
    filled = [[each is not None for each in group] for group in told]
    if {*map(tuple, filled)} == {(False, True)} and len(told) >= LEAST:
        first, other = "IS NULL", "IS NOT NULL"
    elif {*map(tuple, filled)} == {(True, False)} and len(told) >= REGULAR:
        first, other = "IS NOT NULL", "IS NULL"
    else:
        return None
    return Label(cells.name, f'"{cells.name}" {first}', f'"{cells.name}" {other}', sparse=True)


def _is(cells: pl.Series, word: object) -> str:
    """Write the condition that a cell says something."""
    if word is None:
        return f'"{cells.name}" IS NULL'
    if isinstance(word, bool):
        return f'"{cells.name}" = {str(word).lower()}'
    if isinstance(word, str):
        quoted = word.replace("'", "''")
        return f"\"{cells.name}\" = '{quoted}'"
    return f'"{cells.name}" = {float(str(word)):g}'


def _are_regular(pairs: pl.DataFrame, known: pl.DataFrame) -> bool:
    """Tell whether most steps at one distance have a second row, and others have none."""
    steps = pairs["step"]
    if not (steps % 1 == 0).all() or steps.min() == 0:
        return False
    apart = math.gcd(*map(int, steps))
    last = pl.col("step").max().over("run")
    of_runs = known.join(pairs.select("run").unique(), on="run", how="semi", nulls_equal=True)
    places = of_runs.filter(pl.col("step") % apart == 0, pl.col("step") > 0, pl.col("step") < last)
    expected = places.select("run", "step").unique().height
    return pairs.select("run", "step").unique().height >= MOSTLY * expected
