"""What a table's columns are called, and which map that suggests.

All that is asked of a table is asked of its `Outline`, which long tables give row by row.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, Literal

import polars as pl

from isoflop.config.sidecar import TableColumn, TableMap
from isoflop.ingest.reading.refused import RefusedError
from isoflop.ingest.tables.wide import EVAL_SET, as_numbers
from isoflop.ingest.words.likely_names import eval_sets_by_words, find_likely
from isoflop.ingest.words.names import (
    ALL_STEPS,
    COLUMNS,
    COUNTS,
    FINAL_LOSS,
    MAY_NAME_RUNS,
    PER_PARAMETER,
    SIZES,
    UNIQUE,
    counts_embeddings,
    counts_parameters,
    eval_sets,
    eval_sets_in_bytes,
    find,
    find_batch,
    find_compute,
    find_count,
    find_epoch,
    loss_by_words,
    loss_curve,
    may_be_loss,
    may_be_the_loss,
    no_curve,
    plain,
    run_column,
    unit_of,
)
from isoflop.ingest.words.split_words import EVALUATED, word_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from isoflop.ingest.words.likely_names import LikelyCount

COLUMNS_SHOWN: Final = 30
"""Columns named of a table that cannot be mapped."""
LEAST_LOSS: Final = 0.1
"""What some losses of a column are above where they are those of a language: others are beside."""
LEAST_POINTS: Final = 12
"""Rows of one N whose tokens rise in equal steps: those of finished runs double, or are few."""
UNEVEN: Final = 0.05
"""Relative difference of distances that are even, but for rounding."""
TRIED: Final = 1000
"""Filled cells of a column of text in which a number is looked for."""


@dataclass(slots=True)
class Outline:
    """What must be known of a table's cells to map it.

    Attributes
    ----------
    columns : their names, and of each how many filled cells were looked at.
    numeric : the columns that have numbers in them, though some of their cells may be none.
    what : what the file looks like, up to the names.
    is_panel : whether it is a panel's export, whose steps are what the page calls so.
    values : of columns that may be the loss in training, how many values each run has.
    """

    columns: dict[str, int] = field(default_factory=dict)
    numeric: set[str] = field(default_factory=set)
    what: str = "a table with columns"
    is_panel: bool = False
    values: dict[str, Counter[object]] = field(default_factory=dict)
    ranges: dict[str, tuple[float, float]] = field(default_factory=dict)
    """Of columns of numbers that are called like losses, the least and the largest."""
    states: Counter[object] = field(default_factory=Counter)
    """Rows of each run where a column counts its states."""
    _tokens: tuple[int, float, float, float] = (0, math.nan, math.inf, -math.inf)
    """Rows, the last count of tokens, and the least and the largest distance of two."""
    _whole_from: dict[str, float | None] = field(default_factory=dict)
    """Of columns of epochs the least number; None of one with broken numbers."""

    @classmethod
    def of(cls, raw: pl.DataFrame, *, is_panel: bool = False) -> Outline:
        """Outline a table that is there as a whole."""
        outline = cls(is_panel=is_panel)
        outline.add(raw)
        return outline

    def add(self, rows: pl.DataFrame) -> None:
        """Take in further rows."""
        for cells in rows:
            seen = self.columns.get(cells.name, 0)
            filled = cells.len() - cells.null_count()
            self.columns[cells.name] = seen + filled
            if cells.dtype != pl.String:
                has_numbers = cells.dtype.is_numeric() and seen < TRIED
            else:
                sample = cells.drop_nulls().head(max(TRIED - seen, 0)) if filled else None
                has_numbers = sample is not None and as_numbers(sample).count() > 0
            if has_numbers:
                self.numeric.add(cells.name)
            if cells.name in self.numeric and may_be_loss(cells.name):
                self._widen(cells)
        self._count_values(rows)
        self._count_states(rows)
        self._space_tokens(rows)
        if (epoch := find_epoch(rows.columns)) is not None:
            cells = as_numbers(rows[epoch]).drop_nulls()
            least = min(cells, default=math.inf)
            known = self._whole_from.get(epoch, math.inf)
            integral = known is not None and bool((cells == cells.floor()).all())
            self._whole_from[epoch] = min(known or 0.0, least) if integral else None

    def counts_from_zero(self, epoch: str) -> bool:
        """Tell whether epochs are counted in whole numbers, the first of which is 0."""
        return self._whole_from.get(epoch) == 0.0

    def _count_values(self, rows: pl.DataFrame) -> None:
        """Count the values of losses in training: run by run where there are several losses."""
        losses = [name for name in rows.columns if plain(name) in COLUMNS["train_loss"]]
        run = run_column(rows.columns) if len(losses) > 1 else None
        for name in losses:
            counts = self.values.setdefault(name, Counter())
            filled = rows.filter(pl.col(name).is_not_null())
            if rows.schema[name].is_float():  # pandas writes a gap as NaN, if it is told to
                filled = filled.filter(pl.col(name).is_not_nan())
            if run is None or run == name:
                counts[None] += filled.height
            else:
                counts.update(dict(filled.group_by(run).len().iter_rows()))

    @property
    def rises_evenly(self) -> bool:
        """Whether tokens rise through all rows by as much each, as along one curve."""
        rows, _, least, largest = self._tokens
        return rows >= LEAST_POINTS and 0 < least >= (1 - UNEVEN) * largest

    def _space_tokens(self, rows: pl.DataFrame) -> None:
        """Take in how far each count of tokens is beyond the one before it."""
        if (named := find_count("tokens", rows.columns)) is None or not rows.height:
            return
        seen, last, least, largest = self._tokens
        counts = as_numbers(rows[named[0]]).cast(pl.Float64).fill_null(-math.inf)
        gaps = pl.concat([pl.Series([last] * (seen > 0), dtype=pl.Float64), counts]).diff()
        ends = (
            gaps.drop_nulls()
            .to_frame("gap")
            .select(low=pl.col("gap").min(), high=pl.col("gap").max())
        )
        low, high = ends.fill_null(math.nan).row(0)
        self._tokens = (
            seen + rows.height,
            float(counts[-1]),
            least if math.isnan(low) else min(least, low),
            largest if math.isnan(high) else max(largest, high),
        )

    def _widen(self, cells: pl.Series) -> None:
        """Take in further values of a column that is called like losses."""
        known = as_numbers(cells).drop_nulls().drop_nans()
        if known.len():
            least, most = self.ranges.get(cells.name, (math.inf, -math.inf))
            told = float(known.min()), float(known.max())  # type: ignore[arg-type]
            self.ranges[cells.name] = min(least, told[0]), max(most, told[1])

    def may_be_losses(self, name: str) -> bool:
        """Tell whether a column of numbers varies, and is as large as losses of a language are."""
        least, most = self.ranges.get(name, (0.0, math.inf))
        return most > LEAST_LOSS and (least < most or self.columns[name] == 1)

    def _count_states(self, rows: pl.DataFrame) -> None:
        """Count the rows of each run, and of each of its seeds, whose states a column counts."""
        run = run_column(rows.columns)
        if run is None or checkpoint_in(rows.columns) is None:
            return
        keys = [run, *(name for name in rows.columns if plain(name) in _OF_A_RUN and name != run)]
        self.states.update({each[:-1]: each[-1] for each in rows.group_by(keys).len().rows()})

    def loss_curve(self) -> tuple[str | None, list[str]]:
        """Find the column of the loss in training, and those that are single values beside it."""
        known = [name for name in self.numbers if plain(name) in COLUMNS["train_loss"]]
        return loss_curve({n: max(self.values.get(n, {}).values(), default=0) for n in known})

    def only_once(self, column: str | None) -> bool:
        """Tell whether a column has one filled cell, or none."""
        return column is None or self.columns[column] <= 1

    @property
    def numbers(self) -> list[str]:
        """The columns that have numbers, in order."""
        return [name for name in self.columns if name in self.numeric]


def guess(outline: Outline, repeats: Callable[..., bool]) -> TableMap:
    """Map a table by the names of its columns.

    Parameters
    ----------
    outline : the table.
    repeats : whether what a row has in some columns, by their names, stands in several rows.

    Raises
    ------
    RefusedError : they name no loss, or nothing that says how far training had gone; and the map
        that sweep.yaml can give instead.
    """
    known = _Known.of(outline)
    finished = _are_finished(outline, known.columns, repeats)
    return _of_finished(outline, known) if finished else _of_points(outline, known, repeats)


@dataclass(frozen=True, slots=True)
class _Known:
    """What a table's columns are by their names.

    Attributes
    ----------
    columns : by value the column.
    scales : of counts, the unit that the column's name has.
    sets, in_bytes : by eval set the column of its loss, and of its bits per byte.
    embeddings : the column of their parameters, where N is their sum with the others.
    """

    columns: dict[str, str | None]
    scales: dict[str, float]
    sets: dict[str, str]
    in_bytes: dict[str, str]
    embeddings: str | None = None

    @classmethod
    def of(cls, outline: Outline) -> _Known:
        """Find what is known."""
        numeric = outline.numbers
        columns = {value: find(value, numeric) for value in COLUMNS if value != "run"}
        scales: dict[str, float] = {}
        for value in COUNTS:
            if (counted := find_count(value, numeric)) is not None:
                columns[value], scales[value] = counted
        columns["train_loss"], _ = outline.loss_curve()
        columns["run"] = run_column(outline.columns)
        if outline.only_once(columns["run"]) and not outline.only_once(columns["step"]):
            columns["run"] = None  # a head before the curve names it, and no row does
        divided = columns["params.total"] is None and columns["params.nonembedding"] is not None
        of_embeddings = [
            name
            for name in numeric
            if divided and name != columns["params.nonembedding"] and counts_embeddings(name)
        ]
        # what else counts parameters, as of a head, may be of N too
        others = {columns["params.nonembedding"], columns["params.active"], *of_embeddings}
        alone = not any(counts_parameters(name) for name in numeric if name not in others)
        embeddings = of_embeddings[0] if len(of_embeddings) == 1 and alone else None
        return cls(columns, scales, eval_sets(numeric), eval_sets_in_bytes(numeric), embeddings)

    def factor(self, value: str) -> str:
        """Write a count for a formula, times its unit."""
        scale = self.scales.get(value, 1.0)
        return (
            f'"{self.columns[value]}"' if scale == 1.0 else (f'{scale:g} * "{self.columns[value]}"')
        )

    @property
    def has_size(self) -> bool:
        """Whether some column is the size of a model."""
        return any(self.columns[each] is not None for each in SIZES)

    @property
    def has_loss(self) -> bool:
        """Whether some column is a loss."""
        return bool(self.sets or self.in_bytes) or self.columns["train_loss"] is not None

    def taken(self, values: Collection[str]) -> dict[str, TableColumn]:
        """Give the columns of some values, those that there are."""
        told = {
            value: scaled(name, self.scales.get(value, 1.0))
            for value, name in self.columns.items()
            if name is not None and value in values
        }
        if self.embeddings is not None and "params.total" in values:
            others = self.factor("params.nonembedding")
            told["params.total"] = TableColumn(formula=f'{others} + "{self.embeddings}"')
        return told

    def table(self, rows: Literal["points", "runs"], columns: dict[str, TableColumn]) -> TableMap:
        """Map columns, and the losses on eval sets beside them; one set needs no name."""
        if len(self.sets) != 1:
            return TableMap(
                rows=rows, columns=columns, evals=self.sets, bits_per_byte=self.in_bytes
            )
        ((name, loss),) = self.sets.items()
        in_bytes = {EVAL_SET if each == name else each: c for each, c in self.in_bytes.items()}
        columns = {**columns, "eval_loss": scaled(loss, 1.0)}
        return TableMap(rows=rows, columns=columns, bits_per_byte=in_bytes)


def _of_points(outline: Outline, known: _Known, repeats: Callable[..., bool]) -> TableMap:
    """Map a table of curves; raises as `guess`."""
    columns = known.columns
    step, tokens = columns["step"], columns["tokens"]
    no_axis = "none is known as a step or as tokens"
    if step is None:
        _refuse_finished(outline, known, repeats, no_axis)
    if not known.has_loss:
        raise _refusal(outline, "none is known as a loss", _with_a_loss(outline, known))
    if step is None and tokens is None:
        by_epochs = _of_epochs(outline, find_epoch(outline.numbers))
        example = as_block(known.table("points", by_epochs | known.taken(_PROPOSED)))
        raise _refusal(outline, no_axis, example)
    if step == "_step" and tokens is None and not outline.is_panel:
        why = "the only step is _step, which counts what was logged; if that is updates, say so"
        raise _refusal(outline, why, as_block(known.table("points", known.taken(_PROPOSED))))
    lacks_embeddings = columns["params.total"] is None and known.embeddings is None
    unused = {"params.nonembedding"} if lacks_embeddings else set()
    taken = known.taken(COLUMNS.keys() - unused)
    sequences = find_batch(outline.numbers, sure=True)
    if sequences is not None and not {"tokens", "tokens_per_step"} & taken.keys():
        facts = ("batch", "architecture.seq_len")
        taken |= {fact: scaled(name, 1.0) for fact, name in zip(facts, sequences, strict=True)}
    return known.table("points", taken)


def _refuse_finished(
    outline: Outline, known: _Known, repeats: Callable[..., bool], no_axis: str
) -> None:
    """Refuse rows without a step that are rather finished runs, with the map that says so.

    Parameters
    ----------
    no_axis : what they lack where they have no tokens, either.
    """
    if known.columns["tokens"] is not None:
        finished = None if known.has_size else _by_likely_names(outline, known, repeats)
        if finished is not None:
            raise _refusal(outline, "none is known as the size of a model", as_line(finished))
        return
    if (by_compute := _by_compute(outline, known)) is not None:
        likely, other = by_compute
        run = known.columns["run"]
        if run is not None and plain(run) not in MAY_NAME_RUNS and repeats(run):
            likely, other = other, likely
        raise _refusal(outline, no_axis, as_line(likely), other)
    finished = (
        _by_all_epochs(outline, known)
        or _by_all_steps(outline, known)
        or _by_likely_names(outline, known, repeats)
        or _without_axis(outline, known, repeats)
    )
    if finished is not None:
        raise _refusal(outline, no_axis, as_line(finished))


def _by_compute(outline: Outline, known: _Known) -> tuple[TableMap, TableMap] | None:
    """Map rows whose D follows from N and D / N or C = 6 N D, as runs and as points of curves.

    None where it does not.
    """
    columns = known.taken(COLUMNS.keys() - OF_POINTS)
    if "params.total" not in columns:
        return None
    size = columns["params.total"]
    ratio = next((name for name in outline.numbers if plain(name) in PER_PARAMETER), None)
    compute = find_compute(outline.numbers)
    if ratio is not None:
        formula = f'"{ratio}" * {_in_formula(size)}'
    elif compute is not None:
        formula = of_compute(compute, size)
    else:
        return None
    tokens = {"tokens": TableColumn(formula=formula)}
    lossless = {} if known.has_loss else _likely_loss(outline, columns)
    columns |= lossless
    points = known.table("points", known.taken(COLUMNS.keys()) | tokens | lossless)
    if "run" not in points.columns:
        by_size = {"run": size.model_copy(update={"scale": 1.0}), **points.columns}
        points = points.model_copy(update={"columns": by_size})
    columns |= tokens
    if not known.sets and "train_loss" in columns:
        columns["eval_loss"] = columns.pop("train_loss")
    return known.table("runs", columns), points


def _by_all_steps(outline: Outline, known: _Known) -> TableMap | None:
    """Map finished runs by how many steps each had, and by what a step has; None without."""
    columns = known.taken(COLUMNS.keys() - OF_POINTS)
    steps = next((name for name in outline.numbers if plain(name) in ALL_STEPS), None)
    of_step, sequences = known.columns["tokens_per_step"], find_batch(outline.numbers)
    if steps is None or not {*SIZES} & columns.keys() or (of_step is None and sequences is None):
        return None
    factor = " * ".join(f'"{name}"' for name in sequences or ())
    factor = known.factor("tokens_per_step") if of_step is not None else factor
    columns["tokens"] = TableColumn(formula=f'"{steps}" * {factor}')
    return _of_runs(outline, known, columns)


def _without_axis(outline: Outline, known: _Known, repeats: Callable[..., bool]) -> TableMap | None:
    """Map finished runs of which nothing says how much they have read; None of what may be curves.

    Each has an N of its own, in a column with more than a letter, and no epochs are counted.
    """
    columns = known.taken(COLUMNS.keys() - OF_POINTS)
    size = next((known.columns[each] for each in SIZES if known.columns[each]), None)
    if size is None or len(size) == 1 or repeats(size) or find_epoch(outline.numbers) is not None:
        return None
    columns["tokens"] = TableColumn(formula="<tokens of each run>")
    return _of_runs(outline, known, columns)


def _by_all_epochs(outline: Outline, known: _Known) -> TableMap | None:
    """Map finished runs by how often each read its data, and how many tokens these are."""
    columns = known.taken(COLUMNS.keys() - OF_POINTS)
    unique = next((name for name in outline.numbers if plain(name) in UNIQUE), None)
    epochs = find_epoch(outline.numbers)
    if unique is None or epochs is None or not {*SIZES} & columns.keys():
        return None
    columns["tokens"] = TableColumn(formula=f'"{epochs}" * "{unique}"')
    columns["unique_tokens"] = scaled(unique, 1.0)
    return _of_runs(outline, known, columns)


def _by_likely_names(
    outline: Outline, known: _Known, repeats: Callable[..., bool]
) -> TableMap | None:
    """Map finished runs by what columns are rather called; None of what may be curves.

    Each row has a name of its own, or else an N and a D, or a C, that no other one has.
    """
    rows = max(outline.columns.values(), default=0)
    if rows < 2 or find_epoch(outline.numbers) is not None:
        return None
    columns = known.taken(COLUMNS.keys() - OF_POINTS)
    if "run" not in columns and (name := _naming(outline, rows, repeats)) is not None:
        columns["run"] = TableColumn(column=name)
    named = columns.get("run")
    if named is not None and (outline.columns[str(named.column)] < rows or repeats(named.column)):
        return None
    counts, sources = _likely_counts(outline, columns)
    columns |= counts
    has_size = bool({*SIZES} & columns.keys())
    if named is None and (not has_size or "tokens" not in columns or repeats(*sources)):
        return None
    if known.columns["tokens"] is not None and not known.has_size:
        if named is None or not has_size:
            return None  # a log by tokens, or what tells no N but by a name
        size = next(columns[each] for each in SIZES if each in columns)
        if outline.rises_evenly and (size.column is None or repeats(size.column)):
            return None  # a curve of one model by its tokens
    if not has_size:
        columns["params.total"] = scaled("<the column of N>", 1.0)
    columns.setdefault("tokens", TableColumn(formula="<tokens of each run>"))
    return _of_runs(outline, known, columns)


def _likely_counts(
    outline: Outline, columns: Mapping[str, TableColumn]
) -> tuple[dict[str, TableColumn], list[str]]:
    """Map N and D by what columns are rather called, or by each other, compute and steps.

    Parameters
    ----------
    columns : what is mapped already.

    Returns
    -------
    The further columns, and the names of all columns that N and D are of.
    """
    used = {origin.column for origin in columns.values()}
    left = [name for name in outline.numbers if name not in used and not may_be_loss(name)]
    likely = {what: find_likely(what, left) for what in ("params.total", "tokens", "steps")}
    size = next((columns[each] for each in SIZES if each in columns), None)
    size, tokens = size or _as_column(likely["params.total"]), columns.get("tokens")
    tokens = tokens or _as_column(likely["tokens"])
    by_name = [likely[each] for each, at in (("params.total", size), ("tokens", tokens)) if at]
    sources = [*filter(None, used), *(each.name for each in by_name if each is not None)]
    ratio = next((name for name in left if plain(name) in PER_PARAMETER), None)
    compute, steps = find_compute(left), likely["steps"]
    if compute is None and (rather := find_likely("compute", left)) is not None:
        compute = (rather.name, None if rather.base else rather.scale)
    if tokens is None and size is not None and ratio is not None:
        tokens = TableColumn(formula=f'"{ratio}" * {_in_formula(size)}')
        sources.append(ratio)
    elif tokens is None and size is not None and compute is not None:
        tokens = TableColumn(formula=of_compute(compute, size))
        sources.append(compute[0])
    elif tokens is None and steps is not None:
        of_step, sequences = columns.get("tokens_per_step"), find_batch(outline.numbers)
        factor = " * ".join(f'"{name}"' for name in sequences or ()) or "<tokens of a step>"
        factor = factor if of_step is None else _in_formula(of_step)
        tokens = TableColumn(formula=f"{steps.formula} * {factor}")
        sources.append(steps.name)
    elif size is None and tokens is not None and compute is not None:
        size = TableColumn(formula=of_compute(compute, tokens))
        sources.append(compute[0])
    elif size is None and tokens is not None and ratio is not None:
        size = TableColumn(formula=f'{_in_formula(tokens)} / "{ratio}"')
        sources.append(ratio)
    told = {} if tokens is None else {"tokens": tokens}
    if size is not None and not {*SIZES} & columns.keys():
        told["params.total"] = size
    return told, sources


def _as_column(count: LikelyCount | None) -> TableColumn | None:
    """Map a count that was known by its words."""
    if count is None:
        return None
    return TableColumn(formula=count.formula) if count.base else scaled(count.name, count.scale)


def _naming(outline: Outline, rows: int, repeats: Callable[..., bool]) -> str | None:
    """Find a column of text that has another name in every row."""
    words = (n for n in outline.columns if n not in outline.numeric and not _OF_ROWS(plain(n)))
    return next((n for n in words if outline.columns[n] == rows and not repeats(n)), None)


def _of_runs(outline: Outline, known: _Known, columns: dict[str, TableColumn]) -> TableMap:
    """Map finished runs by columns without their loss, which is the likeliest if none is known."""
    if not known.has_loss:
        known, columns = _with_likely_loss(outline, known, columns)
    elif not known.sets and "train_loss" in columns:
        columns["eval_loss"] = columns.pop("train_loss")
    return known.table("runs", columns)


def of_compute(compute: tuple[str, float | None], size: TableColumn) -> str:
    """Write the formula by which D follows from N and C = 6 N D.

    Parameters
    ----------
    compute : a column, and its unit in FLOPs, None of a logarithm.
    size : the column of N.
    """
    column, unit = compute
    flops = f'"{column}"' if unit == 1.0 else f'{as_factor(unit or 1.0)} * "{column}"'
    flops = f'POWER(10, "{column}")' if unit is None else flops
    return f"{flops} / (6 * {_in_formula(size)})"


def _in_formula(count: TableColumn) -> str:
    """Write a count for a formula, times its unit."""
    if count.column is None:
        return f"({count.formula})"
    return f'{as_factor(count.scale)} * "{count.column}"' if count.has_unit else f'"{count.column}"'


def _of_finished(outline: Outline, known: _Known) -> TableMap:
    """Map a table of finished runs; raises as `guess`."""
    by_plain = {plain(name): name for name in outline.numbers}
    final = next((by_plain[name] for name in FINAL_LOSS if name in by_plain), None)
    if not known.sets and final is not None:
        known = replace(known, sets={"eval": final}, columns={**known.columns, "train_loss": None})
    columns = known.taken(COLUMNS.keys() - OF_POINTS)
    lacking = []
    if not known.has_loss:
        known, columns = _with_likely_loss(outline, known, columns)
        lacking.append("none is known as a loss")
    step, of_step = known.columns["step"], known.columns["tokens_per_step"]
    if "tokens" not in columns:
        sequences = find_batch(outline.numbers)
        factor = "<tokens of a step>" if of_step is None else known.factor("tokens_per_step")
        if of_step is None and sequences is not None:
            factor = " * ".join(f'"{name}"' for name in sequences)
        columns["tokens"] = TableColumn(formula=f"{known.factor('step')} * {factor}")
    if known.columns["tokens"] is None and of_step is None:
        lacking.append(
            f"no run has two rows, as where each is a finished run, and nothing but '{step}' says "
            f"how much these have read"
        )
    table = known.table("runs", columns)
    if lacking:
        raise _refusal(outline, ", and ".join(lacking), as_line(table))
    return table


def _with_likely_loss(
    outline: Outline, known: _Known, columns: dict[str, TableColumn]
) -> tuple[_Known, dict[str, TableColumn]]:
    """Choose the likely loss of finished runs, or the eval sets that several columns may be of."""
    alike = _losses_among(outline, {origin.column for origin in columns.values()}, FINAL_LOSS)
    likely = _likeliest(alike, lambda name: "train" in plain(name))
    if sets := eval_sets_by_words(likely):
        return replace(known, sets=sets), columns
    return known, columns | _likely_loss(outline, columns)


def _likely_loss(outline: Outline, columns: Mapping[str, TableColumn]) -> dict[str, TableColumn]:
    """Choose the column that is rather the loss of finished runs, or leave a gap."""
    taken = {origin.column for origin in columns.values()}
    alike = _losses_among(outline, taken, FINAL_LOSS)
    likely = _likeliest(alike, lambda name: "train" in plain(name))
    return _in_its_unit("eval_loss", _or_gap(likely))


def _in_its_unit(value: str, column: str) -> dict[str, TableColumn]:
    """Map a loss whose column's name may have a unit."""
    unit = None if column.startswith("<") else unit_of(column)  # a gap names several
    if unit == "perplexity":
        return {value: TableColumn(formula=f'LN("{column}")')}
    if unit == "bits_per_byte":
        of_token = TableColumn(formula=f'<bytes of a token> * "{column}"')
        return {value: of_token, "loss_unit": of_all_rows("bits_per_token")}
    told = {value: scaled(column, 1.0)}
    return told | ({"loss_unit": of_all_rows(unit)} if unit == "bits_per_token" else {})


def of_all_rows(text: str) -> TableColumn:
    """Map what all rows of a table say."""
    return TableColumn(formula=f"'{text}'")


def _losses_among(
    outline: Outline, taken: Collection[str | None], others: Collection[str]
) -> list[str]:
    """List the columns that may be the loss: they vary, and are as large as losses are."""
    return [
        name
        for name in outline.numbers
        if name not in taken
        and (may_be_the_loss(name) or plain(name) in others)
        and outline.may_be_losses(name)
    ]


def _likeliest(alike: Sequence[str], later: Callable[[str], bool]) -> list[str]:
    """List the columns that are rather the loss than others, by their words."""

    def rank(name: str) -> tuple[bool, bool, bool]:
        """Give places by words of a loss, by those of training, and by those of a run's end."""
        return not loss_by_words(name), later(name), not _is_of_an_end(name)

    return [name for name in alike if rank(name) == min(map(rank, alike))]


def _is_of_an_end(name: str) -> bool:
    """Tell whether a column says that it is of a run's end."""
    return not {*re.findall("[a-z]+", name.lower())}.isdisjoint({"final", "last", "end"})


def _or_gap(likely: Sequence[str]) -> str:
    """Give the one column that there is, or a gap that names those that there are."""
    if len(likely) == 1:
        return likely[0]
    return f"<the column of the loss{f': {some(likely)}' if likely else ''}>"


OF_POINTS: Final = frozenset({"step", "lr", "grad_norm"})
"""Values that no finished run has."""
_PROPOSED: Final = ("run", "step", "tokens", "train_loss", "lr", "params.total")
"""Values of curves in a map that is proposed."""


def _are_finished(
    outline: Outline, columns: Mapping[str, str | None], repeats: Callable[..., bool]
) -> bool:
    """Tell a table with a row per finished run from one of curves; its steps are their totals."""
    run, step = columns["run"], columns["step"]
    size = next((columns[each] for each in SIZES if columns[each] is not None), None)
    if step is None and (columns["tokens"] is None or size is None):
        return False
    if step is not None and size is not None and outline.only_once(size):
        losses = _losses_among(outline, {*columns.values()}, FINAL_LOSS)
        at_its_end = columns["train_loss"] is None and any(map(_is_of_an_end, losses))
        if columns["tokens"] is not None and at_its_end:
            return True  # the record of one run
    if step is not None:  # no run has two rows
        names = size if run is None else run
        return names is not None and outline.columns[names] > 1 and not repeats(names)
    if run is None or not repeats(run, size):
        return True
    checkpoint = checkpoint_in(outline.numbers)
    along_a_curve = (
        checkpoint is not None
        and not repeats(run, size, checkpoint)
        and outline.states.total() >= LEAST_STATES * len(outline.states)
    )
    return plain(run) in MAY_NAME_RUNS and not along_a_curve


_OF_A_RUN: Final = frozenset(
    {*COLUMNS["run"], *MAY_NAME_RUNS, "seed", "random_seed", "max_lr", "peak_lr", "max_steps"}
)
"""Columns that are the same all along a curve."""
LEAST_STATES: Final = 4
"""States that each model has on average where they are those of curves: a few may be its runs."""
_CHECKPOINTS: Final = ("checkpoint", "ckpt", "checkpoint_step", "ckpt_step", "checkpoint_id")
"""Columns that count the states of one run that were evaluated."""


_OF_ROWS: Final = re.compile(
    rf"{'|'.join(_CHECKPOINTS)}|(?:.*[^a-z])?(?:time|timestamp|ts|date|datetime|asctime)"
).fullmatch
"""Columns that say when a row was written, or of which state of a run it is, and name no run."""


def checkpoint_in(names: Iterable[str]) -> str | None:
    """Find the column that counts states of runs."""
    return next((each for each in names if plain(each) in _CHECKPOINTS), None)


def scaled(column: str, factor: float) -> TableColumn:
    """Name a column, and its unit if it has one."""
    return TableColumn(column=column, scale=factor) if factor != 1.0 else TableColumn(column=column)


def as_line(table: TableMap) -> str:
    """Write a map as YAML on one line."""
    told: dict[str, object] = {"rows": table.rows, "columns": table.columns}
    told |= {name: sets for name in ("evals", "bits_per_byte") if (sets := getattr(table, name))}
    told |= {"select": table.select} if table.select is not None else {}
    excluded = [rule.model_dump() for rule in table.exclude]
    told |= {"exclude": excluded} if excluded else {}
    told |= {"restarts": table.restarts} if table.restarts is not None else {}
    return f"table: {as_flow(told)}"


def as_points(table: TableMap) -> str:
    """Write a map of finished runs as one of the points of curves, whose `loss` is of training."""
    columns = dict(table.columns)
    loss = columns.get("eval_loss")
    if table.rows == "runs" and loss is not None and "train_loss" not in columns:
        named = "" if loss.column is None else plain(loss.column)
        if named in COLUMNS["train_loss"]:
            columns["train_loss"] = columns.pop("eval_loss")
    return as_line(table.model_copy(update={"rows": "points", "columns": columns}))


def as_runs(table: TableMap) -> TableMap | None:
    """Make a map of the points of curves one of finished runs; None if it cannot be one."""
    columns = {name: each for name, each in table.columns.items() if name not in OF_POINTS}
    if "tokens" not in columns or not {*SIZES} & columns.keys():
        return None
    if "eval_loss" not in columns and not table.evals and "train_loss" in columns:
        columns["eval_loss"] = columns.pop("train_loss")
    return table.model_copy(update={"rows": "runs", "columns": columns})


def left_columns(outline: Outline, table: TableMap, beside: Collection[str]) -> str:
    """Say which columns are not read; those that are called like losses come first.

    Parameters
    ----------
    beside : columns that something else tells of.
    """
    taken = {origin.column for origin in table.columns.values()}
    taken |= {*table.evals.values(), *table.bits_per_byte.values(), *beside}
    formulas = [origin.formula for origin in table.columns.values() if origin.formula is not None]
    taken |= {name for name in outline.columns if any(f'"{name}"' in each for each in formulas)}
    left = [name for name, filled in outline.columns.items() if name not in taken and filled]
    curve, single = outline.loss_curve()
    single = [name for name in single if name in left]
    losses = [name for name in left if may_be_loss(name) and name not in single]
    others = [name for name in left if name not in losses and name not in single]
    told = [no_curve(single, curve)] if single else []
    if losses:
        told.append(f"not read, though called like losses: {some(losses)}; 'table:' can map them")
    if others:
        told.append(f"columns not read: {some(others)}")
    return "; ".join(told)


def some(names: Sequence[str]) -> str:
    """List names, as many as a line has room for."""
    more = len(names) - COLUMNS_SHOWN
    return ", ".join(names[:COLUMNS_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _of_epochs(outline: Outline, epoch: str | None) -> dict[str, TableColumn]:
    """Map what says how far training had gone, where no column is known to.

    Keras and many loops of people's own call the first epoch 0, and write its losses at its end.
    """
    if epoch is None:
        return {"step": scaled("<the column of updates>", 1.0)}
    done = f'("{epoch}" + 1)' if outline.counts_from_zero(epoch) else f'"{epoch}"'
    return {"tokens": TableColumn(formula=f"{done} * <tokens of an epoch>")}


def _with_a_loss(outline: Outline, known: _Known) -> str:
    """Write a map of a curve whose loss has no name that is known, or of finished runs by it.

    TensorBoard's pages export a tag as Wall time, Step, Value.
    """
    columns = known.taken(_PROPOSED)
    if not {"step", "tokens"} & columns.keys():
        columns = {"step": scaled("<the column of updates>", 1.0), **columns}
    taken = {origin.column for origin in columns.values()}
    alike = _losses_among(outline, taken, {"value", *FINAL_LOSS})
    likely = _likeliest(alike, lambda name: "train" not in plain(name))
    of_an_end = all(map(_is_of_an_end, likely)) and bool(likely)
    if of_an_end and "tokens" in columns and "step" not in columns:
        finished = known.taken(COLUMNS.keys() - OF_POINTS)
        finished = finished if "run" in finished else _with_size(outline, finished)
        return as_line(known.table("runs", finished | _likely_loss(outline, finished)))
    if sets := eval_sets_by_words(likely):
        return as_block(replace(known, sets=sets).table("points", columns))
    loss = _or_gap(likely)
    is_of_training = re.search(_EVALUATED, loss.lower()) is None
    columns |= _in_its_unit("train_loss" if is_of_training else "eval_loss", loss)
    evaluated = [name for name in alike if name != loss and re.search(_EVALUATED, name.lower())]
    if is_of_training and len(evaluated) == 1 and not loss.startswith("<"):
        columns |= _in_its_unit("eval_loss", evaluated[0])
        return as_block(known.table("points", columns))
    return as_block(known.table("points", columns)) + OR_EVALUATED * is_of_training


def _with_size(outline: Outline, columns: dict[str, TableColumn]) -> dict[str, TableColumn]:
    """Map N, too, by what the tokens cost, or leave a gap."""
    if {*SIZES} & columns.keys():
        return columns
    compute = find_compute(outline.numbers)
    size = scaled("<the column of N>", 1.0)
    if compute is not None:  # as D follows from N and C = 6 N D, so N does from D
        size = TableColumn(formula=of_compute(compute, columns["tokens"]))
    return {**columns, "params.total": size}


_EVALUATED: Final = word_of(EVALUATED)
"""Names of losses that are none of training."""


OR_EVALUATED: Final = "   # or eval_loss: that column"
"""Behind a map of a loss of which it is not known whether it is of training."""


def as_block(table: TableMap) -> str:
    """Write a map of curves as YAML of several lines, as people do."""
    lines = ["table:", "    rows: points", f"    columns: {as_flow(table.columns)}"]
    lines += [f"    evals: {as_flow(table.evals)}"] * bool(table.evals)
    lines += [f"    bits_per_byte: {as_flow(table.bits_per_byte)}"] * bool(table.bits_per_byte)
    return "\n".join(lines)


def as_flow(value: object) -> str:
    """Write a value on one line of YAML; JSON's quotes are YAML's."""
    match value:
        case TableColumn(column=None):
            told = {"formula": value.formula}
        case TableColumn() if not value.has_unit:
            return as_flow(value.column)
        case TableColumn():
            told = {"column": value.column}
        case dict():
            pairs = [
                f"{key if key.isidentifier() else as_flow(key)}: {as_flow(each)}"
                for key, each in value.items()
            ]
            return f"{{{', '.join(pairs)}}}"
        case list():
            return f"[{', '.join(map(as_flow, value))}]"
        case _:
            return json.dumps(value, ensure_ascii=False)
    scale = f", scale: {as_factor(value.scale)}" if value.has_unit else ""
    return f"{as_flow(told)[:-1]}{scale}}}"


def as_factor(value: float) -> str:
    """Write a factor as people do: 1e9."""
    return f"{value:g}".replace("e+0", "e").replace("e+", "e")


def _refusal(
    outline: Outline, why: str, example: str, other: TableMap | None = None
) -> RefusedError:
    """Refuse a table with a map to paste, and with the other one that it may have."""
    names = list(outline.columns)
    shown = ", ".join(names[:COLUMNS_SHOWN]) + (", ..." * (len(names) > COLUMNS_SHOWN))
    words = (
        "each row is a finished run"
        if other and other.rows == "runs"
        else "rows are points of curves"
    )
    beside = "" if other is None else f"\n; or, if {words}:\n  {as_line(other)}"
    return RefusedError(
        f"looks like {outline.what} {shown}, but {why}, and sweep.yaml has no 'table:' for "
        f"it. Add one, such as:\n  {example}{beside}",
        example,
    )
