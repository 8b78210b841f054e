"""Long tables, with a row for each value: `run, step, metric, value`, of MLflow or pandas.

What a row tells of is in a cell, so that losses, rates and norms stand in one column. Laid out with
a column for each, such a table is read as any other.
"""

from __future__ import annotations

import re
from typing import Final

import polars as pl

from isoflop.ingest.tables.wide import as_numbers
from isoflop.ingest.words.names import (
    COLUMNS,
    SEEDS,
    eval_sets,
    find,
    is_of_launches,
    loss_by_words,
    may_be_loss,
    plain,
)
from isoflop.ingest.words.split_words import EVALUATED, TRAINED, word_of

VALUES: Final = frozenset({"value", "values", "metric_value", "scalar", "scalar_value", "y", "val"})
"""Names of a column that says nothing of what its numbers are."""
TAGS: Final = frozenset({"tag", "metric", "metric_name", "key", "variable", "series", "scalar"})
"""Names of a column that says what each row tells of, whatever that is."""
MOST: Final = 4_096
"""Things that the rows of a table may tell of."""
LISTED: Final = 6
"""Of these, how many a remark names."""
_ROW: Final = "\0row"
_AT: Final = "\0at"
_PLACE: Final = "\0place"
_TIME: Final = "\0time"
"""How often a value of that run and step stood before, as a restart writes it once more."""


def tag_and_value(raw: pl.DataFrame) -> tuple[str, str] | None:
    """Find the column whose cells say what the value of a row is, and that of the value.

    Parameters
    ----------
    raw : the rows as they are in the file.

    Returns
    -------
    None in a table of another kind.
    """
    value = next((name for name in raw.columns if plain(name) in VALUES), None)
    if value is None:
        return _by_cells(raw)
    if raw.height and as_numbers(raw[value]).is_null().all():
        return None
    texts = (name for name in raw.columns if name != value and raw[name].dtype == pl.String)
    return next(((name, value) for name in texts if _names_losses(raw[name])), None)


def _by_cells(raw: pl.DataFrame) -> tuple[str, str] | None:
    """Find the two where no column is called a value: all cells are names that columns have."""
    texts = [name for name in raw.columns if raw[name].dtype == pl.String]
    tag = next((name for name in texts if _names_columns(raw[name])), None)
    if tag is None:
        return None
    numbers = [name for name in raw.columns if raw[name].dtype.is_numeric()]
    losses = [name for name in numbers if plain(name) == "loss"]
    if losses and all(map(may_be_loss, raw[tag].drop_nulls().unique())):
        return None  # of splits of that loss
    unknown = losses or [name for name in numbers if not _is_column(name)]
    unknown = [name for name in unknown if plain(name) not in SEEDS and not is_of_launches(name)]
    return (tag, unknown[0]) if len(unknown) == 1 else None


def _names_columns(cells: pl.Series) -> bool:
    """Tell whether all cells name columns, a loss of training or evaluation among them.

    Runs that are called by a loss, `baseline` and `z_loss`, are no such cells.
    """
    named = cells.drop_nulls().unique().head(LISTED + 1).to_list()
    of_split = re.compile(word_of(TRAINED | EVALUATED))
    losses = [name for name in named if may_be_loss(name) and of_split.search(name.lower())]
    return 1 < len(named) <= LISTED and bool(losses) and all(map(_is_column, named))


def _is_column(name: str) -> bool:
    """Tell whether a name is that of a value that tables have."""
    return bool(any(find(value, [name]) for value in COLUMNS) or eval_sets([name]))


def _names_losses(cells: pl.Series) -> bool:
    """Tell whether cells name the things that rows tell of, losses among them."""
    named = cells.drop_nulls().unique().head(MOST + 1).to_list()
    if len(named) > MOST or not any(
        find("train_loss", [name]) or eval_sets([name]) or loss_by_words(name) for name in named
    ):
        return False
    # runs may be called by what each was trained on: z_loss, ce_loss
    of_splits = any(re.search(word_of(TRAINED | EVALUATED), name.lower()) for name in named)
    sure = of_splits or plain(cells.name) in TAGS
    return sure or not all(may_be_loss(name) for name in named)


def laid_out_by_tag(raw: pl.DataFrame) -> tuple[pl.DataFrame, str] | None:
    """Lay such a table out with a column for each thing that its rows tell of.

    Parameters
    ----------
    raw : the rows as they are in the file.

    Returns
    -------
    A row for each step of each run, restarts behind what they replace, and words for it; None of a
    table of another kind.
    """
    columns = tag_and_value(raw)
    if columns is None:
        return None
    tag, value = columns
    split = _split_column(raw, {tag, value})
    others = [name for name in raw.columns if name not in {tag, value, split}]
    step = find("step", others) or find("tokens", others)
    ids = [name for name in others if name != step and _is_of_runs(raw, name, tag, step)]
    about = pl.col(tag) if split is None else pl.concat_str(split, tag, separator="/")
    keys = [*ids, *([step] if step is not None else [])]
    told = (
        raw.with_row_index(_ROW)
        .with_columns(about.alias(tag))
        .filter(pl.col(tag).is_not_null())
        .with_columns(pl.int_range(pl.len()).over([*keys, tag]).alias(_TIME))
    )
    index = [*keys, _TIME]
    wide = told.pivot(
        on=tag, index=index, values=value, aggregate_function="first", maintain_order=True
    )
    beside = [name for name in others if name not in keys and name not in wide.columns]
    first = told.group_by(index, maintain_order=True).agg(pl.col(_ROW, *beside).first())
    wide = wide.join(first, on=index, how="left", nulls_equal=True)
    if step is not None and _is_by_tags(told[tag], raw[step].n_unique()):
        wide = _in_order(told, wide, tag, ids, step)
    wide = wide.sort(_ROW).drop(_ROW, _TIME)
    tags = told[tag].unique(maintain_order=True).to_list()
    named = ", ".join(tags[:LISTED]) + (", …" if len(tags) > LISTED else "")
    return wide, (
        f"a long table: what '{tag}' says of each '{value}' is a column of its own, "
        f"{len(tags)} in all: {named}"
    )


def _split_column(raw: pl.DataFrame, taken: set[str]) -> str | None:
    """Find the column that says of which split a value is, beside what says what it is."""
    words = TRAINED | EVALUATED
    for name in raw.columns:
        if name in taken or raw[name].dtype != pl.String:
            continue
        cells = raw[name].drop_nulls().unique().str.to_lowercase()
        if 1 < cells.len() <= len(words) and cells.is_in(list(words)).all():
            return name
    return None


def _is_of_runs(raw: pl.DataFrame, name: str, tag: str, step: str | None) -> bool:
    """Tell whether a column tells runs apart, and is none of when or how a value was logged.

    What changes with the tag alone is its unit or group, and what has more values than there are
    steps is a time.
    """
    if is_of_launches(name):
        return False
    distinct = raw[name].n_unique()
    if step is not None and distinct > max(raw[step].n_unique(), 1):
        return False
    by_tag = raw.group_by(tag).agg(pl.col(name).n_unique())[name]
    return distinct == 1 or by_tag.max() != 1


def _is_by_tags(tags: pl.Series, steps: int) -> bool:
    """Tell whether all values of one thing stand together, those of the next one behind them."""
    changes = int((tags != tags.shift()).sum())
    return tags.n_unique() > 1 and 2 * changes < steps


def _in_order(
    told: pl.DataFrame, wide: pl.DataFrame, tag: str, ids: list[str], step: str
) -> pl.DataFrame:
    """Give rows the places of what is told most often, where each thing's values stand together.

    What stands at other steps comes behind the last of these before it.
    """
    most = told.group_by(tag, maintain_order=True).len().sort("len", descending=True)[tag][0]
    base = told.filter(pl.col(tag) == most)
    base = base.select(*ids, _TIME, as_numbers(base[step]).alias(_AT), pl.col(_ROW).alias(_PLACE))
    wide = wide.with_columns(as_numbers(wide[step]).alias(_AT)).sort(_AT)
    placed = wide.join_asof(base.sort(_AT), on=_AT, by=[*ids, _TIME], check_sortedness=False)
    return placed.sort(_PLACE, _AT, nulls_last=False).drop(_ROW, _AT, _PLACE).with_row_index(_ROW)
