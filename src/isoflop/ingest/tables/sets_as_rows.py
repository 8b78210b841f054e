"""Tables with a row for each split or eval set, whose one column of losses is of several things.

A column that names a split, or an eval set, says of which: the losses are laid out as columns, one
for each, as other tables have them.
"""

from __future__ import annotations

import re
from typing import Final

import polars as pl

from isoflop.ingest.tables.wide import as_numbers
from isoflop.ingest.words.names import (
    COLUMNS,
    EVAL_LOSS,
    FINAL_LOSS,
    find,
    may_be_loss,
    plain,
    run_column,
)
from isoflop.ingest.words.split_words import TESTED, TRAINED, VALIDATED

_SPLITS: Final = {
    **dict.fromkeys(TRAINED | {"tr", "fit"}, "train"),
    **dict.fromkeys(VALIDATED, "val"),
    **dict.fromkeys(TESTED, "test"),
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
_SETS_OF_DATA: Final = frozenset(
    {
        "dataset", "set", "source", "subset", "split", "data_split", "partition", "data", "corpus",
        "domain", "tag", "data_source",
    }
)  # fmt: skip
"""Columns in which a name beside those of training is that of an eval set."""
_LOSS: Final = frozenset({"loss", "lm", "ce", "cross", "entropy", "xent", "nll", "avg", "mean"})
"""Words that a loss is called by, whatever it is of."""
_ASKING: Final = frozenset({"", "is", "in", "flag", "mode", "loss", "row"})
"""Words beside a split in the name of a column of true and false."""
_TRUTH: Final = {
    **dict.fromkeys(("true", "1", "yes", "y", "t"), True),
    **dict.fromkeys(("false", "0", "no", "n", "f", ""), False),
}
MOST: Final = 64
"""Eval sets that a column may name."""


def naming_column(raw: pl.DataFrame) -> str | None:
    """Find the column that says of which split, or eval set, the loss of a row is."""
    return next((name for name in raw.columns if _words_of(raw, name) is not None), None)


def _words_of(raw: pl.DataFrame, name: str) -> pl.Series | None:
    """Give the word by which a column names the split or eval set of each row's loss; null: none.

    None where it names none. Rows without a loss, as of a checkpoint that was saved, may say
    anything.
    """
    cells, flag = raw[name], _flag(name)
    if cells.null_count() == cells.len() or (flag is None and cells.dtype != pl.String):
        return None
    if (loss := _loss_column(raw, name)) is None or loss == name:
        return None
    has_loss = as_numbers(raw[loss]).is_not_null()
    if flag is not None and (told := _as_truth(cells.filter(has_loss))) is not None:
        if told.n_unique() < 2:
            return None
        other = "train" if flag != "train" else "val"
        words = [flag if true else other for true in told]
        placed = pl.Series(name, [None] * raw.height, dtype=pl.String)
        return placed.scatter(has_loss.arg_true(), words)
    if cells.dtype != pl.String:
        return None
    named = pl.select(pl.when(has_loss).then(_words(cells))).to_series().alias(name)
    return named if _name_sets(raw, named) else None


def _name_sets(raw: pl.DataFrame, words: pl.Series) -> bool:
    """Tell whether the words of a column are of splits or eval sets."""
    name = plain(words.name)
    seen = words.drop_nulls().unique().head(MOST + 1).to_list()
    if not 0 < len(seen) <= MOST:
        return False
    if name in _SET_COLUMNS:
        return True
    kinds = {word: _split(word) for word in seen}
    unknown = [word for word in seen if kinds[word] is None]
    if {*kinds.values()} == {"train", None}:
        # of what is named beside training, each is an eval set
        exact = all(word in _SPLITS for word in seen if word not in unknown)
        return name in _SETS_OF_DATA and exact and _at_steps_of(raw, words, unknown)
    trained = "train" in kinds.values()
    known = {*kinds.values()} - {None, "train"}
    if not known or (unknown and (trained or len(unknown) > 1 or not _is_bare(unknown[0]))):
        return False
    if name in _SPLIT_COLUMNS:
        return True
    # a column of another name may say what a run is called
    bare = all({*_parts(word)} <= _LOSS | {*_SPLITS} for word in seen)
    return (trained or bool(unknown)) and (bare or words.name != run_column(raw.columns))


def _flag(name: str) -> str | None:
    """Tell which split a column asks about by its name, as `is_val` and `train` do."""
    parts = [each for each in re.split(r"[^a-z]+", plain(name)) if each not in _ASKING]
    kinds = {_SPLITS.get(each) for each in parts}
    return kinds.pop() if len(kinds) == 1 else None


def _as_truth(cells: pl.Series) -> pl.Series | None:
    """Read cells as true or false; an empty one is false. None where one is neither."""
    if cells.dtype == pl.Boolean:
        return cells.fill_null(value=False)
    if cells.dtype.is_numeric():
        known = ((cells == 0) | (cells == 1)).all()
        return (cells == 1).fill_null(value=False) if known else None
    words = _words(cells.cast(pl.String)).fill_null("false")
    told = words.replace_strict(_TRUTH, default=None, return_dtype=pl.Boolean)
    return None if told.null_count() else told


def _at_steps_of(raw: pl.DataFrame, words: pl.Series, others: list[str]) -> bool:
    """Tell whether rows of some words mostly stand at steps that rows in training have, too."""
    axis = find("step", raw.columns) or find("tokens", raw.columns)
    if axis is None:
        return False
    run = run_column(raw.columns)
    keys = [axis, *([run] if run is not None and run != words.name else [])]
    placed = raw.select(pl.col(keys).cast(pl.String)).with_columns(words.alias(_WORD))
    placed = placed.drop_nulls(_WORD)
    here = placed.filter(pl.col(_WORD).is_in(others))
    there = placed.filter(~pl.col(_WORD).is_in(others)).select(keys).unique()
    return 2 * here.join(there, on=keys, how="semi").height >= here.height


def laid_out_by_set(raw: pl.DataFrame) -> tuple[pl.DataFrame, str] | None:
    """Give losses in rows of their own a column for each split or eval set.

    Returns
    -------
    The table, and what was done; None where the rows have losses of one kind, or no such column.
    """
    column = naming_column(raw)
    if column is None or (loss := _loss_column(raw, column)) is None:
        return None
    told_by = _words_of(raw, column)
    has_loss = as_numbers(raw[loss]).is_not_null()
    words = (raw[column].cast(pl.String) if told_by is None else told_by).fill_null("train")
    kinds = words.filter(has_loss).unique(maintain_order=True).to_list()
    train = [
        word
        for word in kinds
        if _split(word) == "train" or (_is_bare(word) and plain(column) not in _SET_COLUMNS)
    ]
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
    kinds = {_SPLITS[each] for each in _parts(word) if each in _SPLITS}
    return kinds.pop() if len(kinds) == 1 else None


def _parts(word: str) -> list[str]:
    """Divide a cell into its words."""
    return [each for each in re.split(r"[^a-z]+", word.lower()) if each]


def _is_bare(word: str) -> bool:
    """Tell whether a cell names a loss and not of what."""
    parts = {*_parts(word)}
    return bool(parts) and parts <= _LOSS


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
