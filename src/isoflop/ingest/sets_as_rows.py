"""Tables with a row for each split or eval set, whose one column of losses is of several things.

A column that names a split, or an eval set, says of which: the losses are laid out as columns, one
for each, as other tables have them.
"""

from __future__ import annotations

import re
from typing import Final

import polars as pl

from isoflop.ingest.names import COLUMNS, EVAL_LOSS, FINAL_LOSS, may_be_loss, plain
from isoflop.ingest.wide import as_numbers

_SPLITS: Final = {
    **dict.fromkeys(("train", "training", "tr", "fit"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "validate", "eval", "evaluation", "dev"), "val"),
    **dict.fromkeys(("test", "testing", "heldout", "holdout"), "test"),
}
"""What splits are called, and the kind of each."""
_SPLIT_COLUMNS: Final = frozenset(
    {
        "split", "phase", "mode", "set", "type", "stage", "dataset", "tag", "subset", "partition",
        "data_split", "loss_type", "kind", "fold",
    }
)  # fmt: skip
"""Columns that name splits, where their cells are names of such."""
_SET_COLUMNS: Final = frozenset(
    {"eval_set", "evalset", "eval_dataset", "val_set", "valid_set", "validation_set", "eval_name"}
)
"""Columns whose cells name eval sets, whatever they are."""
_BESIDE: Final = frozenset(
    {"ppl", "perplexity", "accuracy", "acc", "time", "wall_time", "timestamp", "created_at", "id"}
)
"""Columns besides losses that rows of one run and step need not share."""
MOST: Final = 64
"""Eval sets that a column may name."""


def naming_column(raw: pl.DataFrame) -> str | None:
    """Find the column that says of which split, or eval set, the loss of a row is."""
    for name in raw.columns:
        if raw[name].dtype != pl.String:
            continue
        if plain(name) in _SET_COLUMNS:
            if 0 < raw[name].drop_nulls().n_unique() <= MOST:
                return name
        elif plain(name) in _SPLIT_COLUMNS:
            cells = raw[name].drop_nulls().unique().head(MOST + 1)
            kinds = {*map(_split, cells)}
            if cells.len() <= MOST and None not in kinds and kinds - {"train"}:
                return name
    return None


def laid_out_by_set(raw: pl.DataFrame) -> tuple[pl.DataFrame, str] | None:
    """Give losses in rows of their own a column for each split or eval set.

    Returns
    -------
    The table, and what was done; None where the rows have losses of one kind, or no such column.
    """
    column = naming_column(raw)
    if column is None or (loss := _loss_column(raw, column)) is None:
        return None
    words = _words(raw[column]).fill_null("train")
    has_loss = as_numbers(raw[loss]).is_not_null()
    kinds = words.filter(has_loss).unique(maintain_order=True).to_list()
    train = [word for word in kinds if _split(word) == "train"]
    sets = {word: _named(word, kinds) for word in kinds if word not in train}
    if len(kinds) < 2 or set(sets.values()) & set(raw.columns):
        return None
    of_set = [
        pl.select(pl.when(words == word).then(raw[loss])).to_series().alias(name)
        for word, name in sets.items()
    ]
    trained = pl.select(pl.when(words.is_in(train)).then(raw[loss])).to_series()
    rows = raw.with_columns(trained.alias(loss), *of_set)
    if trained.null_count() == trained.len():
        rows = rows.drop(loss)
    told = ", ".join(f"{word} as '{name}'" for word, name in sets.items())
    why = f"'{column}' says of which split or eval set '{loss}' is: laid out by it, {told}"
    return _joined(rows, column, words), why


def _words(cells: pl.Series) -> pl.Series:
    return cells.str.strip_chars().str.to_lowercase()


def _split(word: str) -> str | None:
    """Tell the kind of the one split that a cell names, as `val`, `loss/val` and `c4-val` do."""
    kinds = {_SPLITS[each] for each in re.split(r"[^a-z]+", word.lower()) if each in _SPLITS}
    return kinds.pop() if len(kinds) == 1 else None


def _loss_column(raw: pl.DataFrame, column: str) -> str | None:
    """Find the column of losses that may be of anything, or of whichever set a column names."""
    known = {*COLUMNS["train_loss"], *FINAL_LOSS}
    by_plain = {plain(name): name for name in reversed(raw.columns)}
    alike = [name for name in by_plain if name in known and "train" not in name]
    if not alike and plain(column) in _SET_COLUMNS:
        alike = [name for name in by_plain if name in EVAL_LOSS]
    return by_plain[alike[0]] if len(alike) == 1 else by_plain.get("loss")


def _named(word: str, kinds: list[str]) -> str:
    """Name the column of the losses on a set, as trainers do."""
    evals = [each for each in kinds if _split(each) == "val"]
    if evals == [word]:
        return "val/loss"
    # beside a validation set, what tests is no set to fit
    return f"{word}/loss" if _split(word) == "test" and evals else f"eval/{word}/loss"


def _joined(rows: pl.DataFrame, column: str, words: pl.Series) -> pl.DataFrame:
    """Join the rows that differ by their set alone, each set's first with the others' first."""
    keys = [
        name
        for name in rows.columns
        if name != column and not may_be_loss(name) and plain(name) not in _BESIDE | {"l"}
    ]
    losses = [name for name in rows.columns if name not in keys]
    placed = rows.with_columns(words.alias(_WORD))
    placed = placed.with_columns(pl.int_range(pl.len()).over(*keys, _WORD).alias(_TURN))
    together = placed.group_by(*keys, _TURN, maintain_order=True).agg(
        pl.col(name).drop_nulls().first() for name in losses
    )
    return together.select(name for name in rows.columns if name != column)


_WORD: Final = "set of the row"
_TURN: Final = "which of the set's rows alike"
