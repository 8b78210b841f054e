"""Tables with a trunk and its branches under one name: each is a run of its own.

A run with a constant rate is decayed from several of its steps. What a column calls a trunk and
what it calls a decay have rows of the same steps. A restart has them, too, and its column may say
anything of the new launch: but it goes on beyond what it replaces, and a trunk goes on beyond its
branches. A branch's D is that of its whole training, the trunk's part included, as in logs of its
own.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import polars as pl

from isoflop.ingest.reading.cells import as_text
from isoflop.ingest.reading.events import Remark
from isoflop.ingest.tables.attempts import jumps
from isoflop.ingest.tables.one_step import axis_of
from isoflop.ingest.tables.wall_time import COLUMNS as TIMES
from isoflop.ingest.tables.wide import ROW, as_numbers
from isoflop.ingest.words.names import is_of_launches, plain
from isoflop.ingest.words.split_words import EVALUATED, TRAINED, word_of

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

LEAST: Final = 2
"""Steps of a run that a trunk and a branch have both, from which they are such."""
MOSTLY: Final = 0.5
"""Share of a branch's steps within its trunk that this has, too."""
APART: Final = 3.0
"""Usual distances of rows, beyond which the rows of a label are of two branches; and deviations of
losses, beyond which rows that make steps anew are of another branch, and no restart."""
MOST: Final = 256
"""Labels that a column may have."""
LONGEST: Final = 40
"""Characters of a label: a longer one is a text."""
_WORDS: Final = r"trunk|branch|stable|decay|cool_?-?down|anneal|fork"
_OTHER: Final = word_of(TRAINED | EVALUATED)
"""Words of splits, whose rows are no branches'."""
_NO_LABEL: Final = r"[/\\;,]|\s\S+\s"
"""What paths and texts have."""
_WARMUP: Final = "warm"
"""What the beginning of a trunk may be called; what comes right behind it is of the same trunk."""


def with_branches(
    rows: pl.DataFrame, values: pl.DataFrame, stem: str, but: Collection[str | None] = ()
) -> tuple[pl.DataFrame, list[Remark], set[str]]:
    """Name the branches of runs after the column that tells them from their trunks.

    Parameters
    ----------
    rows : as they are in the file, with `ROW`; `values`: the same, laid out as for
        `wide.curves_block`.
    stem : names the run of a file whose runs have no names.
    but : columns that are mapped, and tell no branches unless they say so.

    Returns
    -------
    The values, what was done, and the column that says it.
    """
    losses = [name for name in ("train_loss", "eval_loss") if name in values.columns]
    if not losses:
        return values, [], set()
    tried = [name for name in rows.columns if _may_tell(rows[name])]
    if _jump(values, losses[0]):  # as no restart does, whatever column says of what
        others = [name for name in rows.columns if name not in (*tried, *but)]
        tried += [name for name in others if _may_divide(rows[name])]
    for column in tried:
        placed = values.select(
            pl.col(ROW),
            pl.col("run").fill_null(""),
            step=as_numbers(values[axis_of(values)]),
            label=_labels(rows[column]),
            loss=as_numbers(values[losses[0]]),
        )
        named = _named(placed.filter(pl.col("step").is_finite()), stem)
        if named:
            break
    else:
        return values, [], set()
    names = [named.get(row, run) for row, run in values.select(ROW, "run").iter_rows()]
    count = len({*named.values()})
    why = (
        f"'{column}' tells branches from the trunks whose steps they have, too: each is a run of "
        f"its own, {count} in all, such as '{min(named.values())}'"
    )
    return values.with_columns(pl.Series("run", names, dtype=pl.String)), [Remark(why)], {column}


def _jump(values: pl.DataFrame, loss: str) -> bool:
    """Tell whether a run jumps over steps that it has, as branches in a row do."""
    rates = {"lr": as_numbers(values["lr"])} if "lr" in values.columns else {}
    axis = as_numbers(values[axis_of(values)])
    counted = values.select(ROW, "run", step=axis, loss=as_numbers(values[loss]), **rates)
    return bool(jumps(counted.filter(pl.col("step").is_finite(), pl.col("loss").is_finite())))


def _may_divide(cells: pl.Series) -> bool:
    """Tell whether a column may divide rows into a trunk and its branches, by any words."""
    if cells.name == ROW or not 1 < cells.n_unique() <= min(MOST, cells.len() / LEAST):
        return False
    if cells.dtype.is_nested() or plain(cells.name) in TIMES:
        return False
    words = cells.drop_nulls().unique().cast(pl.String).str.to_lowercase()
    return not words.str.contains(_OTHER).any()


def _named(known: pl.DataFrame, stem: str) -> dict[int, str]:
    """Name the rows of the runs that have branches.

    Parameters
    ----------
    known : of rows with a step, what their runs, labels and losses are.
    """
    usual = known.sort("run", "step").select(pl.col("step").diff().over("run").alias("gap"))
    gap = usual.filter(pl.col("gap") > 0)["gap"].median()
    named: dict[int, str] = {}
    for (run,), of_run in known.partition_by("run", as_dict=True, maintain_order=True).items():
        pieces = _divided(of_run, gap if isinstance(gap, float) else 0.0)
        for piece in pieces:
            several = sum(each.label == piece.label for each in pieces) > 1
            name = f"{run or stem}-{piece.label}"
            name += f"-{as_text(min(piece.losses))}" if several else ""
            named.update(dict.fromkeys(piece.rows, name))
    return named


@dataclass(frozen=True, slots=True)
class _Piece:
    """Rows of a trunk or of one branch: what they are called, and their losses by step."""

    label: str
    rows: Sequence[int]
    losses: Mapping[float, float | None]


def _divided(of_run: pl.DataFrame, gap: float) -> list[_Piece]:
    """Divide a run's rows into its trunk and its branches; into nothing where it has none.

    Parameters
    ----------
    of_run : as of `_named`; `gap`: the usual distance of its rows.
    """
    of_run = _behind_warmup(of_run)
    begin = of_run.filter(pl.col("step") == pl.col("step").min())["label"].unique()
    if begin.len() > 1 or of_run["label"].n_unique() < LEAST:
        return []
    labelled = of_run.partition_by("label", as_dict=True, maintain_order=True)
    trunk = _piece(begin[0], labelled.pop((begin[0],)))
    branches = [
        piece for (label,), rows in labelled.items() for piece in _pieces(str(label), rows, gap)
    ]
    sharing = [piece for piece in branches if len(trunk.losses.keys() & piece.losses) >= LEAST]
    if not sharing or not all(_lies_on(piece, trunk) for piece in sharing):
        return []
    if any(_goes_back(of_run.filter(label=begin[0]), piece) for piece in sharing):
        return []
    sharing.sort(key=lambda piece: min(piece.losses))
    last = max(trunk.losses)
    *ends, longest = [max(piece.losses) for piece in sharing]
    within = all(end < last for end in ends)
    if within and (longest < last or (longest == last and ends) or len(ends) >= LEAST):
        return [trunk, *branches]
    return []


def _goes_back(trunk: pl.DataFrame, piece: _Piece) -> bool:
    """Tell whether a trunk's rows make a piece's steps anew right behind it: that was a restart."""
    before = trunk.filter(pl.col(ROW) < min(piece.rows))
    behind = trunk.filter(pl.col(ROW) > max(piece.rows)).head(1)
    begins = behind.filter(pl.col("step") <= min(piece.losses))
    return begins.height > 0 and begins["step"].is_in(before["step"].implode()).all()


def _behind_warmup(of_run: pl.DataFrame) -> pl.DataFrame:
    """Call a run's warm-up what the trunk behind it is called."""
    begins = of_run.group_by("label").agg(pl.col("step").min()).sort("step", "label")
    first, second = [*begins["label"][:LEAST], "", ""][:LEAST]
    if not second or _WARMUP not in first.lower():
        return of_run
    return of_run.with_columns(pl.col("label").replace(first, second))


def _lies_on(piece: _Piece, trunk: _Piece) -> bool:
    """Tell whether a trunk has most of the steps of a branch, as it has not of what else it logs.

    Evaluations are at steps of the trunk, too, but at few of those between.
    """
    first, last = min(piece.losses), max(piece.losses)
    of_trunk = {step for step in trunk.losses if first <= step <= last}
    both = len(of_trunk & piece.losses.keys())
    return both >= MOSTLY * len(of_trunk) and first > min(trunk.losses)


def _piece(label: str, rows: pl.DataFrame) -> _Piece:
    return _Piece(label, rows[ROW].to_list(), dict(rows.select("step", "loss").iter_rows()))


def _pieces(label: str, rows: pl.DataFrame, gap: float) -> list[_Piece]:
    """Divide the rows of a label: those that lie apart, or make steps anew, are of two branches.

    Rows that make steps anew with the losses that were there before are of a restart.
    """
    change = pl.col("step").diff()
    begins = ((change > APART * gap) | (change < 0)).fill_null(value=False)
    placed = rows.with_columns(block=begins.cast(pl.Int64).cum_sum())
    pieces: list[_Piece] = []
    for block in placed.partition_by("block", maintain_order=True):
        piece = _piece(label, block)
        if pieces and min(piece.losses) <= max(pieces[-1].losses) and _is_anew(piece, pieces[-1]):
            before = pieces.pop()
            rows_of_both = [*before.rows, *piece.rows]
            piece = _Piece(label, rows_of_both, {**before.losses, **piece.losses})
        pieces.append(piece)
    return pieces


def _is_anew(piece: _Piece, before: _Piece) -> bool:
    """Tell whether rows have the losses of rows of their steps before, but for noise."""
    shared = sorted(piece.losses.keys() & before.losses)
    losses = {
        name: pl.Series([each.losses[step] for step in shared], dtype=pl.Float64)
        for name, each in (("piece", piece), ("before", before))
    }
    off = (losses["piece"] - losses["before"]).drop_nulls()
    noise = pl.Series([*before.losses.values()], dtype=pl.Float64).diff().abs().median()
    if off.is_empty() or not isinstance(noise, float):
        return True
    mean = off.mean()
    return not isinstance(mean, float) or abs(mean) <= APART * noise / off.len() ** 0.5


def _may_tell(cells: pl.Series) -> bool:
    """Tell whether a column may say which rows are of a trunk, and which of a branch.

    It has few words, or counts of steps at which branches begin; neither paths nor texts, nor what
    a launch or its code is called.
    """
    name = plain(cells.name)
    if cells.name == ROW or not 1 < cells.n_unique() <= min(MOST, cells.len() / LEAST):
        return False
    if "weight" in name or is_of_launches(name.replace("branch", "")) or re.search(_OTHER, name):
        return False
    told = cells.drop_nulls().unique()
    if cells.dtype.is_numeric():
        return bool(re.search(_WORDS, name)) and bool((told % 1 == 0).all())
    if cells.dtype != pl.String:
        return False
    words = told.str.to_lowercase()
    if (words.str.len_chars() > LONGEST).any() or words.str.contains(_NO_LABEL).any():
        return False
    of_splits = words.str.contains(_OTHER).any()
    return not of_splits and bool(re.search(_WORDS, name) or words.str.contains(_WORDS).any())


def _labels(cells: pl.Series) -> pl.Series:
    """Write a column's cells as parts of names; an empty one is the trunk's."""
    words = {cell: as_text(cell) for cell in cells.unique().drop_nulls()}
    told = cells.replace_strict(words, default=None, return_dtype=pl.String)
    return told.fill_null("trunk").replace("", "trunk").alias("label")
