"""Tables of curves and of finished runs: from a frame and a map of its columns to records.

Whatever lays its log out as rows and columns goes through here: CSV, JSON lines, Parquet, W&B's
histories, tables in databases. Columns are computed for all rows at once; a row that cannot be a
record is left out, counted by its reason.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl
from pydantic import ValidationError

from isoflop.config.sidecar import TABLE_POINT_VALUES, RunFacts
from isoflop.ingest.facts.sidecar import facts_from_values
from isoflop.ingest.reading.blocks import Block, of_one_value
from isoflop.ingest.reading.cells import CELL_SHOWN, as_text
from isoflop.ingest.reading.events import Ended, Event, Excluded, Facts, LeftOutRows, Remark
from isoflop.ingest.reading.launches import launch_numbers
from isoflop.ingest.words.numbers import LARGEST_STEP, SUFFIXES, number

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from numpy.typing import NDArray

EVAL_SET: Final = "table"
"""Name of the eval set: a column has none of its own."""
NO_TOKENS: Final = "tokens of 0 or below; a 32-bit counter wraps at 2^31"
NO_LOSS: Final = "no loss in the mapped columns"
NO_STEP: Final = "the step is no count of updates"
NO_NAME: Final = "no name in the column of runs"
NOT_FINITE: Final = "no finite number of tokens"
ROW: Final = "row in the file"
EVALS: Final = "loss on eval set "
"""Begins the columns of losses on named eval sets."""
BYTES: Final = "bits per byte on eval set "
"""Begins the columns of losses on named eval sets that are in bits per byte."""

_TRAINING: Final = ("train_loss", "lr", "grad_norm", "tokens_per_second", "flops")
_Problem = tuple[pl.Expr, str | None, str | None]
"""Whether a row has it, the reason, and the column of which the cell is shown."""
_KEY: Final = "which facts"
_WHY: Final = "why left out"
_CELL: Final = "what was found"


@dataclass(slots=True)
class Faults:
    """Rows that are left out, counted by reason; of each reason the first row is told."""

    rows: dict[str, tuple[int, int, str]] = field(default_factory=dict)
    """By reason how many, and of the first one the row and what is told of it."""
    cells: dict[str, tuple[int, int, str]] = field(default_factory=dict)
    """By column the cells that are no numbers in it: how many, and the first one's row and text."""

    def add(self, left_out: pl.DataFrame) -> None:
        """Leave rows out: their number, run, reason, and what was found instead."""
        for (reason,), rows in left_out.group_by(_WHY, maintain_order=True):
            row, run, cell = rows.select(ROW, "run", _CELL).row(0)
            name = f", run '{run}'" if run else ""
            shown = "" if cell is None else f", found {_shown(cell)!r}"
            known = (0, row, f"first in row {row}{name}{shown}")
            count, row, first = self.rows.get(str(reason), known)
            self.rows[str(reason)] = (count + rows.height, row, first)

    def unreadable(self, written: pl.DataFrame, numbers: pl.DataFrame, name: str) -> None:
        """Tell of a column's cells that are no numbers: they are gaps."""
        cells = written[name]
        if cells.dtype != pl.String or cells.null_count() == numbers[name].null_count():
            return
        odd = numbers[name].is_null() & (cells.str.strip_chars() != "").fill_null(value=False)
        if odd.any():
            row, cell = written.filter(odd).select(ROW, name).row(0)
            count, row, shown = self.cells.get(name, (0, row, repr(_shown(cell))))
            self.cells[name] = (count + int(odd.sum()), row, shown)

    def events(self) -> list[LeftOutRows | Remark]:
        """Tell of the rows and cells, in order of the first of each."""
        rows = [
            LeftOutRows(count, f"{reason} ({first})")
            for reason, (count, _, first) in sorted(self.rows.items(), key=lambda told: told[1][1])
        ]
        cells = [
            Remark(f"{count} cells of {name} are no numbers (first in row {row}: {shown})")
            for name, (count, row, shown) in sorted(
                self.cells.items(), key=lambda told: (told[1][1], told[0])
            )
        ]
        return [*rows, *cells]


def _shown(cell: object) -> str:
    """Write a cell for a message; a number is written in one way, text beside it or not."""
    value = number(cell)
    return (str(cell) if value is None else as_text(value))[:CELL_SHOWN]


def curves_block(
    values: pl.DataFrame,
    faults: Faults,
    told: set[tuple[str, str]] | None = None,
    *,
    logged: bool = False,
    anew: Collection[int] = (),
) -> Block:
    """Lay out a table with a row per point of a curve.

    Parameters
    ----------
    values : a row per point, by our names: `ROW`, run (text), tokens, step, losses, facts by their
        dotted names, and `EVALS` or `BYTES` before the name of an eval set.
    faults : takes the rows that are left out.
    told : takes the facts that are told, by run, and are not told again.
    logged : whether each run's rows stand in the order in which they were logged, so that a loss in
        training whose steps fall, and are made anew, is of a restart.
    anew : numbers of rows that a restart begins with.
    """
    told = set() if told is None else told
    sound, facts = _sound(values, faults)
    if sound.is_empty():
        return Block(_records(sound))
    single = of_one_value(sound, "run")
    ordered = _ordered(sound, single=single, logged=logged)
    numbers = _numbers(ordered, faults)
    step = pl.col("step")
    no_step = ~(step.is_between(0, LARGEST_STEP, closed="left") & (step == step.floor()))
    counted = (pl.col("tokens") > 0).any() if "tokens" in ordered.columns else None
    problems: list[_Problem] = [(no_step.fill_null(value=True), NO_STEP, "step")]
    if counted is not None:
        if not single:
            counted = counted.over("run")
        problems.append((counted & (step > 0) & (pl.col("tokens") == 0), NO_TOKENS, "tokens"))
    problems.append((~_any_value(numbers), NO_LOSS, None))
    kept = _without(numbers, ordered, problems, faults)
    records = _records(_in_one_row(kept).with_columns(step.cast(pl.Int64)), anew)
    keyed = ordered.head(1) if single and len(facts) == 1 else ordered
    keys = keyed.select("run", _key_of(keyed)).unique(maintain_order=True)
    names = keys["run"].unique(maintain_order=True)
    first = {run: place for place, run in enumerate(names)}
    rare: list[tuple[int, Event]] = []
    for run, key in sorted(keys.iter_rows(), key=lambda r: first[r[0]]):
        words = (run, facts[key].model_dump_json(exclude_none=True))
        if words not in told:
            told.add(words)
            rare.append((-1, Facts(facts[key], run)))
    return Block(records, tuple(rare))


def finished_block(values: pl.DataFrame, faults: Faults, *, excluded: str | None = None) -> Block:
    """Lay out a table with a row per finished run; parameters as of `curves_block`.

    Parameters
    ----------
    excluded : why sweep.yaml leaves these runs out, if it does.
    """
    sound, facts = _sound(values, faults)
    if sound.is_empty():
        return Block(_records(sound))
    numbers = _numbers(sound.with_columns(step=pl.lit(1.0)), faults)
    losses = [name for name in numbers.columns if name in ("eval_loss", "train_loss")]
    losses += [name for name in numbers.columns if name.startswith((EVALS, BYTES))]
    no_loss = pl.all_horizontal(pl.col(name).is_null() for name in losses)
    problems: list[_Problem] = [
        (pl.col("tokens") == 0, NO_TOKENS, "tokens"),
        (no_loss, NO_LOSS, None),
    ]
    kept = _without(numbers, sound, problems, faults)
    records = _records(kept.with_columns(pl.col("step").cast(pl.Int64)))
    rare: list[tuple[int, Event]] = []
    for run, key in kept.select("run", _key_of(kept)).iter_rows():
        rare.append((-1, Facts(facts[key], run)))
        rare.append((records.height, Ended("finished", run)))
        if excluded is not None:
            rare.append((records.height, Excluded(excluded, run)))
    return Block(records, tuple(rare))


def in_counts(cells: pl.Series, scale: float) -> pl.Series:
    """Read numbers in a unit; a cell with a unit of its own, 2.8B, needs no other."""
    if scale == 1.0:
        return as_numbers(cells)
    factor = pl.lit(scale)
    if cells.dtype == pl.String:
        has_unit = cells.str.strip_chars().str.slice(-1).is_in(list(SUFFIXES))
        factor = pl.when(has_unit).then(1.0).otherwise(scale)
    return pl.select(as_numbers(cells) * factor).to_series()


def as_numbers(cells: pl.Series) -> pl.Series:
    """Read numbers from cells of any type, as `numbers.number` does; null for what is none."""
    if cells.dtype.is_numeric():
        return cells.cast(pl.Float64)
    if cells.dtype != pl.String:
        return pl.Series(cells.name, [number(cell) for cell in cells], dtype=pl.Float64)
    plain = cells.str.strip_chars()
    numbers = plain.cast(pl.Float64, strict=False)
    odd = plain.filter(plain.is_not_null() & numbers.is_null()).unique()
    read = {cell: value for cell in odd if (value := number(cell)) is not None}
    if not read:
        return numbers
    others = plain.replace_strict(read, default=None, return_dtype=pl.Float64)
    return numbers.fill_null(others)


def _sound(values: pl.DataFrame, faults: Faults) -> tuple[pl.DataFrame, list[RunFacts]]:
    """Keep the rows whose name, facts and tokens can be what they are said to be.

    Returns
    -------
    The rows, with `_KEY` beside their columns if these tell facts; and the facts that it counts.
    """
    names = [name for name in values.columns if not _is_value(name)]
    keyed, facts, wrong = _with_facts(values, names)
    problems: list[_Problem] = [
        (pl.col("run").is_null(), NO_NAME, None),
    ]
    if wrong.height:
        keyed = keyed.join(wrong, on=_KEY, how="left", maintain_order="left")
        problems.append((pl.col(_WHY).is_not_null(), None, _CELL))
    numbers = keyed
    if "tokens" in keyed.columns:
        numbers = keyed.with_columns(as_numbers(keyed["tokens"]))
        tokens = pl.col("tokens")
        # beside a step a blank is none: D follows from the rows that have it
        blank = keyed["tokens"].is_null() if "step" in keyed.columns else pl.lit(value=False)
        no_count = ~tokens.is_finite().fill_null(value=False) & ~blank
        problems.append((no_count, NOT_FINITE, "tokens"))
        problems.append((tokens < 0, NO_TOKENS, "tokens"))
    kept = _without(numbers, keyed, problems, faults)
    return (kept.drop(_WHY, _CELL) if wrong.height else kept), facts


def _key_of(rows: pl.DataFrame) -> pl.Expr:
    """Say which facts are a row's: the only ones, where no column tells any."""
    return pl.col(_KEY) if _KEY in rows.columns else pl.lit(0, pl.UInt32).alias(_KEY)


def is_rising(steps: pl.Series) -> bool:
    """Tell whether all numbers of a column are there, finite, and above the one before.

    Looked at where they lie: each pass of an expression over a long column asks for new memory.
    """
    if steps.null_count() or not steps.len():
        return False
    numbers = steps.to_numpy()
    return bool(np.isfinite(numbers[[0, -1]]).all() and (numbers[1:] > numbers[:-1]).all())


def is_fact(name: str) -> bool:
    """Tell whether a column of `curves_block` is of a fact."""
    return name != "run" and not _is_value(name)


def _is_value(name: str) -> bool:
    return name in TABLE_POINT_VALUES or name == ROW or name.startswith((EVALS, BYTES))


def _with_facts(
    values: pl.DataFrame, names: Sequence[str]
) -> tuple[pl.DataFrame, list[RunFacts], pl.DataFrame]:
    """Build the facts of rows, once for each combination of values; or say what is wrong.

    Returns
    -------
    The rows, beside them which facts are theirs (`_KEY`) if any column tells some; the facts; and
    by `_KEY` what is wrong with them.
    """
    facts: list[RunFacts] = []
    wrong: list[tuple[int, str, str]] = []
    if names:
        combinations = values.select(names).unique(maintain_order=True).with_row_index(_KEY)
        keyed = values.join(
            combinations, on=list(names), how="left", nulls_equal=True, maintain_order="left"
        )
        told = combinations.drop(_KEY).iter_rows(named=True)
    else:
        keyed, told = values, iter([{}])
    for key, row in enumerate(told):
        try:
            given = {name: value for name, value in row.items() if value is not None}
            facts.append(facts_from_values(given))
        except ValidationError as error:
            first = error.errors()[0]
            facts.append(RunFacts())
            place = ".".join(map(str, first["loc"]))
            wrong.append((key, f"{place}: {first['msg']}", str(first["input"])))
    schema = {_KEY: pl.UInt32, _WHY: pl.String, _CELL: pl.String}
    return keyed, facts, pl.DataFrame(wrong, schema=schema, orient="row")


def _without(
    numbers: pl.DataFrame,
    written: pl.DataFrame,
    problems: Sequence[_Problem],
    faults: Faults,
) -> pl.DataFrame:
    """Leave out the rows that have a problem: (whether they have it, reason, column to show)."""
    conditions = [
        condition.fill_null(value=False).alias(str(place))
        for place, (condition, _, _) in enumerate(problems)
    ]
    if not any(numbers.select(condition.any() for condition in conditions).row(0)):
        return numbers
    flags = numbers.select(conditions)
    left = pl.repeat(True, numbers.height, dtype=pl.Boolean, eager=True)  # noqa: FBT003
    for has_it, (_, reason, column) in zip(flags, problems, strict=True):
        rows = left & has_it
        if rows.any():
            cell = pl.lit(None) if column is None else pl.col(column)
            why = pl.col(_WHY) if reason is None else pl.lit(reason)
            shown = written.filter(rows).select(ROW, "run", why.alias(_WHY), cell.alias(_CELL))
            faults.add(shown.sort(ROW))
            left &= ~has_it
    return numbers if left.all() else numbers.filter(left)


def _ordered(rows: pl.DataFrame, *, single: bool, logged: bool) -> pl.DataFrame:
    """Put points in order, and count them in order of D where the table has no steps.

    A step that comes twice is a restart, told by the order of the rows; in the order of logging
    only what begins another launch is, since an evaluation may come late.

    Parameters
    ----------
    single : whether all rows are of one run.
    logged : as of `curves_block`.
    """
    first = pl.col(ROW).min().over("run").alias("first row")
    if "step" in rows.columns:
        numbers = as_numbers(rows["step"])
        if single and is_rising(numbers):
            return rows
        known = pl.select(pl.when(numbers.is_finite()).then(numbers)).to_series()
        if single and bool((known.diff().drop_nulls() > 0).all()):
            return rows if known.null_count() == 0 else rows.with_columns(known.alias("step"))
        keyed = rows.with_columns(known.alias("step"))
        keyed = keyed.with_columns(pl.struct("run", "step").is_duplicated().alias("twice"))
        columns = [*rows.columns]
        if logged:
            keyed = keyed.with_columns(pl.Series(LAUNCH, _launches(keyed)), first)
            return keyed.sort("first row", LAUNCH, "step", ROW).select(columns)
        repeats = pl.col("twice").any().over("run")
        place = pl.when(repeats).then(0.0).otherwise(pl.col("step").fill_null(0.0)).alias("place")
        sort = keyed.with_columns(first, place).sort("first row", "place", ROW)
        return sort.select(columns)
    # a count that comes twice was made anew, and the order of the rows tells when
    numbers = as_numbers(rows["tokens"]).alias("tokens count")
    keyed = rows.with_columns(numbers, first)
    falls = (pl.col("tokens count").diff() < 0).any().over("run")
    falls &= ~are_rounded("tokens count")
    repeats = falls & pl.struct("run", "tokens count").is_duplicated().any().over("run")
    place = pl.when(repeats).then(0.0).otherwise("tokens count").alias("place")
    begins = (pl.col("tokens count").min() == 0).over("run")  # a point before training is step 0
    count = pl.col("tokens count").rank("dense").over("run").cast(pl.Int64)
    told = keyed.with_columns(place, repeats.alias("repeats"), count.alias("count"))
    ordered = told.sort("first row", "place", ROW, nulls_last=False)
    # where counts only rise, those of one D were rounded, and each is a point
    each = pl.int_range(1, pl.len() + 1).over("run")
    step = pl.when("repeats").then("count").otherwise(each) - begins.cast(pl.Int64)
    return ordered.with_columns(step=step.cast(pl.Float64)).select(*rows.columns, "step")


ROUNDED_ROWS: Final = 0.2
"""Share of a curve's rows with the D of the row before from which D was rounded."""


def are_rounded(tokens: str) -> pl.Expr:
    """Tell of each run whether its counts of tokens were rounded, or read off a figure."""
    return ((pl.col(tokens).diff() == 0).sum() > ROUNDED_ROWS * pl.len()).over("run")


LAUNCH: Final = "launch of the run"


def _launches(rows: pl.DataFrame) -> NDArray[np.float64]:
    """Give the launches of runs by number, whose rows stand in the order in which they were logged.

    Rows with a loss in training tell them, or with one on an eval set, or all; see `launches`.
    """
    numbers = np.zeros(rows.height)
    clock = next((name for name in ("train_loss", "eval_loss") if name in rows.columns), None)
    placed = rows.select("run", "step", told=pl.lit(1) if clock is None else clock)
    for of_run in placed.with_row_index("at").drop_nulls("step").partition_by("run"):
        trained = np.flatnonzero(of_run["told"].is_not_null().to_numpy())
        trained = trained if len(trained) > 1 else np.arange(of_run.height)
        numbers[of_run["at"].to_numpy()] = launch_numbers(of_run["step"].to_numpy(), trained)
    return numbers


def _numbers(rows: pl.DataFrame, faults: Faults) -> pl.DataFrame:
    """Read the numbers of points."""
    named = [name for name in rows.columns if _is_value(name) and name not in (ROW, "run")]
    numbers = rows.with_columns([as_numbers(rows[name]).alias(name) for name in named])
    for name in named:
        faults.unreadable(rows, numbers, name)
    return numbers


def _any_value(numbers: pl.DataFrame) -> pl.Expr:
    """Tell whether a row has something to tell besides its axis."""
    names: list[str] = [n for n in (*_TRAINING, "eval_loss") if n in numbers.columns]
    names += [name for name in numbers.columns if name.startswith((EVALS, BYTES))]
    return _is_any(numbers, names)


def _is_any(numbers: pl.DataFrame, names: Sequence[str]) -> pl.Expr:
    """Tell whether a row has a value in any of some columns."""
    if any(numbers[name].null_count() == 0 for name in names):
        return pl.lit(value=True)
    return pl.any_horizontal(pl.col(name).is_not_null() for name in names)


def _in_one_row(kept: pl.DataFrame) -> pl.DataFrame:
    """Join neighbouring rows of one step that fill each other's gaps.

    Lightning's loggers write the learning rate, the loss and the evaluation of a step in rows of
    their own. Where two rows have the same value, both stay: the step was made twice.
    """
    if is_rising(kept["step"]):
        return kept
    same = (pl.col("step") == pl.col("step").shift(1)) & pl.col("run").eq_missing(
        pl.col("run").shift(1)
    )
    follows = kept.select(same.fill_null(value=False)).to_series()
    if not follows.any():
        return kept
    values = [name for name in kept.columns if _is_value(name) and name not in ("run", "step", ROW)]
    measured = [name for name in values if name != "tokens"]
    grouped = kept.with_columns((~follows).cum_sum().alias("group"))
    fills = [pl.col(name).count() <= 1 for name in measured]
    fills += [pl.col("tokens").drop_nulls().n_unique() <= 1] if "tokens" in values else []
    grouped = grouped.with_columns(pl.all_horizontal(fills).over("group").alias("fills"))
    alone = pl.when("fills").then("group").otherwise(-pl.int_range(1, pl.len() + 1))
    firsts = [
        pl.col(name).drop_nulls().first() if name in values else pl.col(name).first()
        for name in kept.columns
    ]
    joined = grouped.with_columns(alone.alias("group")).group_by("group", maintain_order=True)
    return joined.agg(firsts).select(kept.columns)


def _records(kept: pl.DataFrame, anew: Collection[int] = ()) -> pl.DataFrame:
    """Lay rows out as records: one of training, one for every evaluation; `anew`: restarts."""
    place = pl.int_range(pl.len()).alias("place")
    shared: list[pl.Expr | str] = [
        place,
        "run",
        "step",
        *(["tokens"] if "tokens" in kept.columns else []),
    ]
    frames = []
    training = [name for name in _TRAINING if name in kept.columns]
    if kept.is_empty():
        return pl.DataFrame(schema={"row": pl.Int64, "run": pl.String, "kind": pl.String})
    if training:
        points = kept.select(*shared, *training, sub=pl.lit(0), kind=pl.lit("train"))
        if all(kept[name].null_count() for name in training):
            points = points.filter(pl.any_horizontal(pl.col(training).is_not_null()))
        frames.append(points)
    sets = [("eval_loss", EVAL_SET, "loss")] if "eval_loss" in kept.columns else []
    sets += [
        (name, name.removeprefix(begin), metric)
        for begin, metric in ((EVALS, "loss"), (BYTES, "bits_per_byte"))
        for name in kept.columns
        if name.startswith(begin)
    ]
    for sub, (column, eval_set, metric) in enumerate(sets, start=1):
        frames.append(
            kept.select(
                *shared,
                sub=pl.lit(sub),
                kind=pl.lit("eval"),
                eval_set=pl.lit(eval_set),
                metric=pl.lit(metric),
                value=pl.col(column),
            ).filter(pl.col("value").is_not_null())
        )
    if anew:
        begins = kept.select(place, "run", ROW, sub=pl.lit(-1), kind=pl.lit("restart"))
        frames.append(begins.filter(pl.col(ROW).is_in(anew)).drop(ROW))
    records = pl.concat(frames, how="diagonal_relaxed")
    if len(frames) > 1:
        records = records.sort("place", "sub")
    row = pl.int_range(records.height, eager=True).alias("row")
    return records.drop("place", "sub").insert_column(0, row)
