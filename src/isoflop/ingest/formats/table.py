"""Generic tables: CSV, Parquet or JSON lines, with a column map in sweep.yaml.

Published sweeps come in through here: tables of curves (a row per point) and of finished runs (a
row per run, N, D, L). A value is a column, scaled, or an SQL formula over columns, so that D can
be C / (6 N). A long table of curves is read stretch by stretch where its rows are in order and its
map asks of each row alone: both ways give the same records (tests/ingest/test_long_table.py).
"""

from __future__ import annotations

import difflib
import io
import re
from collections import Counter
from dataclasses import dataclass, replace
from functools import cache, partial
from itertools import islice
from typing import TYPE_CHECKING, Final, Literal

import polars as pl

from isoflop.config.sidecar import TableColumn
from isoflop.ingest.reading.blocks import Block
from isoflop.ingest.reading.cells import (
    Marks,
    TextTable,
    as_text,
    read_table,
    unique_names,
    without_marks,
)
from isoflop.ingest.reading.events import (
    Anew,
    CountsBy,
    CountsLines,
    Ended,
    Event,
    Excluded,
    LeftOutRows,
    NamedByKind,
    Remark,
    Unread,
)
from isoflop.ingest.reading.heads import cells_of, without_comments
from isoflop.ingest.reading.json_table import is_one_value, read_one_value
from isoflop.ingest.reading.refused import RefusedError
from isoflop.ingest.tables.attempts import counted_on, with_schedules
from isoflop.ingest.tables.base_of_losses import are_perplexities, in_base_of_perplexity
from isoflop.ingest.tables.branches import with_branches
from isoflop.ingest.tables.changing_sizes import broken_updates, misnamed, rewarded
from isoflop.ingest.tables.facts_of_rows import without_facts
from isoflop.ingest.tables.long_tables import laid_out_by_tag, tag_and_value
from isoflop.ingest.tables.one_step import (
    OWN_STEP,
    begun_anew,
    by_time,
    counts_batches,
    refuse_epochs,
    refuse_set_to_0,
    tell_apart,
    without_micro_batches,
)
from isoflop.ingest.tables.outline import Outline, as_points, guess, left_columns, some
from isoflop.ingest.tables.ranks_of_rows import RANKS, rank_column, with_tokens_of_ranks
from isoflop.ingest.tables.rivals import chosen, has_rivals
from isoflop.ingest.tables.row_order import NeededWholeError, RowOrder
from isoflop.ingest.tables.rows_or_runs import as_finished, refuse_rows_of_curves
from isoflop.ingest.tables.run_columns import columns_of_runs
from isoflop.ingest.tables.runs_facts import refuse_facts_alone
from isoflop.ingest.tables.sets_as_rows import laid_out_by_set, naming_column
from isoflop.ingest.tables.sizes import Sizes
from isoflop.ingest.tables.tag_files import with_its_tag
from isoflop.ingest.tables.token_axes import Counts
from isoflop.ingest.tables.wall_time import Times
from isoflop.ingest.tables.wide import (
    BYTES,
    EVALS,
    ROW,
    Faults,
    as_numbers,
    curves_block,
    finished_block,
    in_counts,
)
from isoflop.ingest.words.names import (
    COLUMNS,
    COUNTS,
    EVAL_LOSS,
    FINAL_LOSS,
    MAY_NAME_RUNS,
    REWARDED,
    SIZES,
    find_count,
    may_be_loss,
    plain,
    run_column,
)
from isoflop.ingest.words.numbers import number

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence, Set

    from isoflop.config.sidecar import TableMap
    from isoflop.ingest.reading.source import RawFile

VERSION = 59
TAKES_MAP = True

_PARQUET: Final = b"PAR1"
SAMPLED: Final = 500
"""Rows that W&B's run.history() gives of a longer history."""
_SAMPLE: Final = (
    f"{SAMPLED} rows: W&B's run.history() samples; export by scan_history, or the history artifact"
)
LONG: Final = 4 << 20
"""Bytes beyond which a table is read stretch by stretch, if it can be."""
PACKED: Final = 10
"""Bytes of text in a byte that is compressed, about."""
CELLS: Final = 2**22
"""Cells of a Parquet file that are in memory at once."""
ATTEMPTS: Final = 2
"""Readings of a long table: columns that begin to have numbers late may ask for a second."""


def scan(file: RawFile, table: TableMap | None) -> Iterator[Block]:
    """Yield what the table says; see `formats.Reader`."""
    if file.size * (PACKED if file.compressed else 1) > LONG:
        try:
            yield from _by_stretches(file, table)
        except (NeededWholeError, RefusedError):  # what to refuse, all rows together say best
            yield _told([Anew()])
        else:
            return
    raw, problems = _frame(file, table)
    yield _told(problems)
    if raw.is_empty() and not any(isinstance(event, Unread) for event in problems):
        raise RefusedError(f"an empty table: its head has {some(raw.columns)}, and no row follows")
    run = None
    if table is None:
        if (reward := rewarded(raw)) is not None:
            raise RefusedError(f"{REWARDED.format(reward)}; a map reads it all the same ('table:')")
        refuse_facts_alone(raw)
        if (of_tag := with_its_tag(raw, file.stem)) is not None:
            raw, run, words = of_tag
            yield _told([Remark(words)])
    yield from blocks_of_frame(raw, table, stem=file.stem, run=run, restarts=file.run is not None)


def blocks_of_frame(
    raw: pl.DataFrame,
    table: TableMap | None,
    *,
    stem: str,
    run: str | None = None,
    sampled: bool = True,
    logged: bool = False,
    restarts: bool = False,
) -> Iterator[Block]:
    """Yield what a table says that is a frame already.

    Parameters
    ----------
    raw : its rows, columns by their names in the file.
    table : its column map; None: by the names of the columns.
    stem : names finished runs that have no name.
    run : the name of the one run whose curve it is, if that is known.
    sampled : whether 500 rows may be a sample of more.
    logged : whether each run's rows stand in the order in which they were logged.
    restarts : whether sweep.yaml says that the file is of one run, which what begins anew restarts.

    Raises
    ------
    RefusedError : the columns do not fit the map, or say too little.
    """
    guessed = table is None
    raw, is_panel, laid_out = _laid_out(raw, table, logged=logged)
    remarks: list[Event] = [*laid_out]
    if table is None:
        others = misnamed(raw)
        remarks += map(Remark, others.values())
        outline = Outline.of(raw.drop(others), is_panel=is_panel)
        # where rows are logged one by one, a run with one row has begun, and not finished
        table = guess(outline, (lambda *_: True) if logged else partial(_repeats, raw))
        if run is not None:
            table.columns.pop("run", None)
        table, reasons = chosen(raw.drop(others), table)
        remarks, place = [*remarks, *reasons], len(remarks) + len(reasons)
        if sampled and raw.height == SAMPLED and "_step" in raw.columns:
            remarks.append(Remark(_SAMPLE))
    table, of_bases = _checked(raw, table)
    remarks += of_bases
    kept, excluded = _divide(_numbered(raw), table)
    if gone := raw.height - kept.height - sum(rows.height for _, rows in excluded):
        remarks.append(LeftOutRows(gone, f"not selected by {table.select}"))
    faults, times = Faults(), Times()
    points = _Points(kept, kept)
    if table.rows == "points":
        points = _Points(kept, _values(kept, table, stem=stem, run=run or ""))
        # a tracker logs each run's rows by itself
        points = points if logged else points.of_all_ranks(table, guessed=guessed)
        points = points if logged else points.named(table, run or stem, restarts=restarts)
        Counts(table, guessed=guessed).add(points.values).ask()
        Sizes(table, guessed=guessed).add(points.values).ask()
        points = points if logged else points.one_a_step(table, restarts=restarts)
        kept, values = points.rows, points.values
        block = _of_rank(kept, curves_block(values, faults, logged=logged, anew=points.anew))
        times.add(kept, values)
        times.keep(block.frame)
        remarks += [*points.told, *times.events(), *(times.remarks() if guessed else [])]
    if guessed:
        beside = _told_of(raw, times, run) | points.told_by
        remarks[place:place] = map(Remark, taken(outline, table, beside))
    if table.rows == "points":
        yield _told([*remarks, *(_or_as_runs(raw, table, block) if guessed else [])])
        yield block
        yield _told([*points.apart, *_of_runs(raw, table, block, guessed=guessed)])
        yield _told([LeftOutRows(rows.height, reason) for reason, rows in excluded])
        yield from _ends([kept], [values], [block])
    else:
        otherwise = _otherwise(raw, table) if guessed else []
        yield _told(remarks)
        parts = [(None, kept), *excluded]
        yield from _finished(parts, table, faults, stem=stem, guessed=guessed)
        yield _told(otherwise)
    yield _told(faults.events())


def _checked(raw: pl.DataFrame, table: TableMap) -> tuple[TableMap, list[Remark]]:
    """Refuse a map of columns that there are not, and take losses in their base."""
    _check_columns(raw.columns, table)
    return in_base_of_perplexity(raw, table)


def _laid_out(
    raw: pl.DataFrame, table: TableMap | None, *, logged: bool
) -> tuple[pl.DataFrame, bool, list[Remark]]:
    """Lay a panel's export, or rows by split or eval set, out as other tables are.

    Parameters
    ----------
    table, logged : as of `blocks_of_frame`.

    Returns
    -------
    The rows, whether they are a panel's, and what was done.
    """
    by_tag = None if logged or (table and _maps(table, raw)) else laid_out_by_tag(raw)
    if by_tag is not None and (table is None or _maps(table, by_tag[0])):
        return by_tag[0], False, [Remark(by_tag[1])]
    if (panel := _unpivoted(raw)) is not None and (table is None or _maps(table, panel)):
        left = _beside_panel(raw)
        remark = Remark(
            f"a panel's export from W&B's pages: a column per run and metric, {raw.width} in "
            f"all, sampled{', its __MIN and __MAX left out' * any(map(_is_range, raw.columns))}"
            + (f"; columns not read: {some(left)}" if left else "")
        )
        return panel, True, [remark]
    of_runs = None if logged or (table and _maps(table, raw)) else columns_of_runs(raw)
    if of_runs is not None and table is None and not of_runs.are_runs:
        raise of_runs.refusal()
    if of_runs is not None and (table is None or _maps(table, of_runs.laid_out(raw))):
        return of_runs.laid_out(raw), False, [Remark(of_runs.words)]
    by_set = None if logged else laid_out_by_set(raw)
    # a map of the columns as they are in the file counts
    if by_set is None or (table is not None and _maps(table, raw)):
        return raw, False, []
    rows, why = by_set
    if table is not None and not _maps(table, rows):
        return raw, False, []
    return rows, False, [Remark(why)]


def _finished(
    parts: Sequence[tuple[str | None, pl.DataFrame]],
    table: TableMap,
    faults: Faults,
    *,
    stem: str,
    guessed: bool,
) -> Iterator[Block]:
    """Yield finished runs, a row each.

    Parameters
    ----------
    parts : the rows that are read, and those that sweep.yaml leaves out, by its reason.
    """
    laid_out = [_values(rows, table, stem=stem) for _, rows in parts]
    Sizes(table, guessed=guessed).add(laid_out[0]).ask()
    named, repeated = _name_apart(laid_out)
    yield _told(repeated)
    blocks = [
        finished_block(values, faults, excluded=reason)
        for (reason, _), values in zip(parts, named, strict=True)
    ]
    yield from blocks
    yield _told(_named_by_kind(table, [run for block in blocks for run in _runs_of(block)]))
    raws = [rows for _, rows in parts]
    yield from _ends(raws, named, blocks)
    read = sum(isinstance(event, Ended) for block in blocks for _, event in block.rare)
    rows = sum(each.height for each in raws)
    yield _told([Remark(f"{rows} rows read as {read} {_kind_of(raws[0])}, each row one")])


def _of_runs(
    raw: pl.DataFrame, table: TableMap, block: Block, *, guessed: bool
) -> list[CountsBy | CountsLines | NamedByKind]:
    """Say what steps and names of curves are, which of a run no record says."""
    runs = _runs_of(block)
    step = table.columns.get("step")
    is_own = step is not None and step.column == OWN_STEP and "tokens" not in table.columns
    no_updates = (guessed and is_own) or counts_batches(raw, table)
    lines = [CountsLines(run) for run in runs] if no_updates else []
    return [*_counts_by(table, raw.columns, runs), *lines, *_named_by_kind(table, runs)]


def _runs_of(block: Block) -> list[str]:
    """Name the runs that have records."""
    return block.frame["run"].unique().sort().to_list() if block.frame.height else []


@dataclass(frozen=True, slots=True)
class _Points:
    """Rows of curves, and what is said of them.

    Attributes
    ----------
    rows : as they are in the file, with `ROW`; `values`: the same, laid out.
    told : what was done; `told_by`: the columns that say it.
    apart : runs and rows that are left out.
    anew : numbers of the rows that restarts begin with.
    """

    rows: pl.DataFrame
    values: pl.DataFrame
    told: Sequence[Event] = ()
    told_by: Set[str] = frozenset()
    apart: Sequence[Event] = ()
    anew: Collection[int] = ()

    def of_all_ranks(self, table: TableMap, *, guessed: bool) -> _Points:
        """Add the tokens that ranks count apart; see `with_tokens_of_ranks`."""
        values, told = with_tokens_of_ranks(self.rows, self.values, table, guessed=guessed)
        return replace(self, values=values, told=told)

    def named(self, table: TableMap, stem: str, *, restarts: bool) -> _Points:
        """Count on what was set to 0, and name the runs that no column names.

        Parameters as of `blocks_of_frame`.
        """
        rows = self.rows
        refuse_epochs(rows, self.values, table)
        anew = restarts or table.restarts is True
        values, counted, stages = counted_on(self.values, stem, anew=anew)
        mapped = [each.column for each in table.columns.values()]
        values, branched, by_branch = with_branches(rows, values, stem, mapped)
        told = [*self.told, *counted, *branched]
        if anew:
            return _Points(rows, values, told, by_branch, stages)
        apart = table.restarts is False
        lost = {} if apart else refuse_set_to_0(rows, values)
        values, scheduled = with_schedules(values, stem, but=lost, each=apart)
        left = [*stages, *(Excluded(why, name or "") for name, why in lost.items())]
        return _Points(rows, values, [*told, *scheduled], by_branch, left)

    def one_a_step(self, table: TableMap, *, restarts: bool) -> _Points:
        """Leave out rows of steps that others of their run have, and say so; see `tell_apart`."""
        restarts = restarts or table.restarts is True
        rows, values, micro = without_micro_batches(self.rows, self.values, table)
        rows, values, timed = by_time(rows, values, restarts=restarts)
        told, others = tell_apart(rows, values, table, restarts=restarts)
        if others:
            rows, values = (each.filter(~pl.col(ROW).is_in(others)) for each in (rows, values))
        apart = [*micro, *timed, *told, *self.apart]
        anew = begun_anew(rows, values, restarts=restarts)
        return replace(self, rows=rows, values=values, apart=apart, anew=anew)


def _of_rank(rows: pl.DataFrame, block: Block) -> Block:
    """Say which rank wrote rows, where it is the same of all."""
    for name in rows.columns:
        if plain(name) in RANKS and rows[name].n_unique() == 1:
            rank = number(str(rows[name][0]))
            if rank is not None and rank >= 0 and rank == int(rank):
                return replace(block, frame=block.frame.with_columns(rank=pl.lit(int(rank))))
    return block


def _counts_by(table: TableMap, names: Sequence[str], runs: Iterable[str | None]) -> list[CountsBy]:
    """Say what steps are called: W&B's own, or those beside them, or those of a trainer."""
    step = table.columns.get("step")
    column = step.column if step is not None else None
    if column is None or not (OWN_STEP in names or plain(column).endswith("global_step")):
        return []
    return [CountsBy(column, run or "") for run in runs]


def _named_by_kind(table: TableMap, runs: Iterable[str | None]) -> list[NamedByKind]:
    """Say which runs are called by a column that may name kinds of runs, as `model` does."""
    column = table.columns.get("run")
    named = column.column if column is not None else None
    if named is None or plain(named) not in MAY_NAME_RUNS:
        return []
    return [NamedByKind(run or "") for run in runs]


def _or_as_runs(raw: pl.DataFrame, table: TableMap, block: Block) -> list[Remark]:
    """Say how rows without a step were read, and the map by which each is a finished run."""
    if "step" in table.columns or (otherwise := as_finished(raw, table)) is None:
        return []
    runs = block.frame["run"].n_unique()
    curves = "one run's curve" if runs == 1 else f"the curves of {runs} runs"
    return [
        Remark(
            f"{raw.height} rows read as points of {curves}; if each is a finished run, say so: "
            f"{otherwise}"
        )
    ]


_STATES: Final[dict[str, Literal["finished", "truncated", "diverged", "crashed"]]] = {
    "finished": "finished", "completed": "finished", "crashed": "crashed", "failed": "crashed",
    "killed": "crashed", "cancelled": "crashed", "preempted": "crashed", "running": "truncated",
    "pending": "truncated", "preempting": "truncated", "truncated": "truncated",
    "diverged": "diverged",
}  # fmt: skip
"""By what trackers call the state of a run, in lower case, how it ended."""


def _states_in(raw: pl.DataFrame) -> str | None:
    """Find the column that says how runs ended, as W&B's table of runs has one."""
    for name in raw.columns:
        if plain(name) in {"state", "status"} and raw[name].dtype == pl.String:
            words = raw[name].drop_nulls().str.strip_chars().str.to_lowercase()
            if words.is_in(list(_STATES)).any():
                return name
    return None


def _told_of(raw: pl.DataFrame, times: Times, run: str | None) -> set[str]:
    """Name the columns that something else than the map tells of."""
    state = _states_in(raw)
    return {*times.columns, *(["run"] if run is not None else []), *([state] if state else [])}


def _kind_of(raw: pl.DataFrame) -> str:
    """Name what rows of a table of runs are."""
    return "finished runs" if _states_in(raw) is None else "runs"


def _ends(
    raws: Sequence[pl.DataFrame], values: Sequence[pl.DataFrame], blocks: Sequence[Block]
) -> Iterator[Block]:
    """Say how runs ended by a column of states; what is no known word is no finished run.

    Parameters
    ----------
    raws : rows as they are in the file; `values`: the same as they were laid out.
    blocks : their records.
    """
    raw = pl.concat(raws)
    column = _states_in(raw)
    if column is None:
        return
    names = pl.concat([rows["run"] for rows in values])
    known = {run for block in blocks for run in block.frame["run"].unique()}
    told = {
        name: word.strip().lower()
        for name, word in zip(names, raw[column], strict=True)
        if name in known and word is not None and word.strip()
    }
    events: list[Event] = []
    for name, word in told.items():
        if (status := _STATES.get(word)) is not None:
            events.append(Ended(status, name))
        else:
            events.append(Excluded(f"its {column} is '{word}', which is no finished run", name))
    counts = sorted(Counter(told.values()).items(), key=lambda each: (-each[1], each[0]))
    words = ", ".join(f"{count} {word} ({_STATES.get(word, 'left out')})" for word, count in counts)
    events.append(Remark(f"{column}: how each run ended, in all {words}"))
    last = sum(block.frame.height for block in blocks)
    yield Block(pl.DataFrame(schema={"row": pl.Int64}), tuple((last, event) for event in events))


def _otherwise(raw: pl.DataFrame, table: TableMap) -> list[Remark]:
    """Say of which curves rows of finished runs may be points; raises where they rather are."""
    curves = _as_curves(raw, table)
    refuse_rows_of_curves(raw, table, curves)
    return [] if curves is None else [Remark(f"if they are points of {curves}")]


def _as_curves(raw: pl.DataFrame, table: TableMap) -> str | None:
    """Say of which curves rows of finished runs may be points, and the map; None: of none.

    Rows of a curve have one name, or else one N.
    """
    sizes = (table.columns[each].column for each in SIZES if each in table.columns)
    size = next(filter(None, sizes), "")
    name = table.columns.get("run")
    by = size if name is None else str(name.column)
    if not _repeats(raw, by, size):  # names that come once are of runs
        return None
    table = without_facts(table)
    if raw[by].n_unique() == 1:
        return f"one run's curve, say so: {as_points(table)}"
    columns = {"run": TableColumn(column=by), **table.columns}
    each = "of each N" if name is None else f"of each '{by}'"
    curves = as_points(table.model_copy(update={"columns": columns}))
    return f"the curves of runs, one {each}, say so: {curves}"


def taken(outline: Outline, table: TableMap, beside: Collection[str] = ()) -> list[str]:
    """Tell which columns a map without sweep.yaml takes, and which it leaves.

    Parameters
    ----------
    beside : columns that something else tells of.
    """
    columns = [
        f"{value}: {origin.column or origin.formula}"
        + (f" (times {origin.scale:g}, the unit in its name)" if origin.scale != 1.0 else "")
        for value, origin in table.columns.items()
    ]
    columns += [f"evals.{name}: {column}" for name, column in table.evals.items()]
    columns += [f"bits_per_byte.{name}: {column}" for name, column in table.bits_per_byte.items()]
    left = left_columns(outline, table, beside)
    return [f"columns taken by their names: {', '.join(columns)}", *([left] if left else [])]


# -- stretch by stretch ----------------------------------------------------------------------------


def _by_stretches(file: RawFile, given: TableMap | None) -> Iterator[Block]:
    """Yield what a long table of curves says, some of its rows at a time.

    Parameters
    ----------
    given : the map of sweep.yaml.

    Raises
    ------
    NeededWholeError : the table must be read as a whole; what was said is void.
    """
    table = given
    for _ in range(ATTEMPTS):
        outline, order, faults = Outline(), RowOrder(), Faults()
        counts = sizes = None
        batches: set[bool] = set()
        told: set[tuple[str, str]] = set()
        problems: list[Event] = []
        times = Times()
        for rows, commas in _stretches(file, given, problems):
            outline.add(rows)
            if table is None:
                table = _guessed(outline, partial(_repeats, rows))
            named = _named(table)
            if commas(named) or _go_together(rows, given) or not _row_by_row(table):
                raise NeededWholeError
            if are_perplexities(rows.columns) and in_base_of_perplexity(rows, table)[1]:
                raise NeededWholeError
            missing = [pl.lit(None, pl.String).alias(n) for n in named if n not in rows.columns]
            raw = _numbered(rows.with_columns(missing), order.rows)
            batches.add(counts_batches(raw, table))
            values = _values(raw, table, stem=file.stem)
            order.add(values)
            counts = (counts or Counts(table, guessed=given is None)).add(values)
            sizes = (sizes or Sizes(table, guessed=given is None)).add(values)
            block = _of_rank(rows, curves_block(values, faults, told))
            times.add(rows, values)
            times.keep(block.frame)
            yield block
        if table is None:
            raise NeededWholeError
        _check_columns(list(outline.columns), table)
        last = given or _guessed(outline, order.repeats)
        if last == table:
            if counts is not None and sizes is not None:
                counts.ask()
                sizes.ask()
            remarks: list[Event] = []
            if given is None:
                remarks += map(Remark, taken(outline, table, times.columns))
                remarks += times.remarks()
            by = _counts_by(table, list(outline.columns), order.runs)
            lines = [CountsLines(run or "") for run in order.runs] if batches == {True} else []
            by_kind = _named_by_kind(table, order.runs)
            about: list[Event] = [*by, *lines, *by_kind]
            yield _told([*problems, *times.events(), *remarks, *faults.events(), *about])
            return
        table = last
        yield _told([Anew()])
    raise NeededWholeError


def _guessed(outline: Outline, repeats: Callable[..., bool]) -> TableMap:
    """Map a long table by its names; fails where only all rows say which columns are meant."""
    table = guess(outline, repeats)
    if has_rivals([*outline.columns], table):
        raise NeededWholeError
    return table


def _go_together(rows: pl.DataFrame, given: TableMap | None) -> bool:
    """Tell whether rows say only together what each of them is."""
    if given is None and (naming_column(rows) is not None or broken_updates(rows)):
        return True
    by_tag = tag_and_value(rows) is not None and not (given and _maps(given, rows))
    return bool(by_tag or _panel(rows) or _states_in(rows) or rank_column(rows))


def _repeats(rows: pl.DataFrame, *names: str) -> bool:
    """Tell whether what a row has in some columns stands in several rows."""
    return bool(rows.select(pl.struct(*dict.fromkeys(names)).is_duplicated().any()).item())


def _row_by_row(table: TableMap) -> bool:
    """Tell whether a map asks of each row of a curve alone."""
    return (
        table.rows == "points"
        and "step" in table.columns
        and table.select is None
        and not table.exclude
        and all(origin.formula is None for origin in table.columns.values())
    )


def _named(table: TableMap) -> list[str]:
    """List the columns that a map names."""
    named = [origin.column for origin in table.columns.values() if origin.column is not None]
    return [*dict.fromkeys([*named, *table.evals.values(), *table.bits_per_byte.values()])]


def _stretches(
    file: RawFile, table: TableMap | None, problems: list[Event]
) -> Iterator[tuple[pl.DataFrame, Callable[[Iterable[str]], bool]]]:
    """Yield rows of a file, and whether some columns have commas that mean something together.

    Parameters
    ----------
    problems : takes what to know of lines that are no rows.
    """
    if file.sample().startswith(_PARQUET):
        yield from ((rows, lambda _: False) for rows in _of_parquet(file, _is_measured(table)))
        return
    if is_one_value(file.sample().decode(errors="replace")):
        raise NeededWholeError
    text = TextTable(file, _names_runs(table), _is_measured(table), _counts_in(table))
    for chunks in text.blocks():
        yield text.frame(chunks), partial(text.has_marks, chunks)
    problems += text.problems


def _of_parquet(file: RawFile, measured: Callable[[str], bool]) -> Iterator[pl.DataFrame]:
    """Yield rows of a Parquet file, of which no row group need fit into memory.

    Parameters
    ----------
    measured : as of `cells.read_table`.
    """
    if file.compressed or file.path.stat().st_size != file.size:
        raise NeededWholeError
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        schema = pl.read_parquet_schema(file.path)
        with pq.ParquetFile(file.path, buffer_size=1 << 20, pre_buffer=False) as parquet:
            at_once = max(1, CELLS // max(len(schema), 1))
            for batch in parquet.iter_batches(batch_size=at_once):
                rows = pl.from_arrow(batch)
                if not isinstance(rows, pl.DataFrame) or rows.schema != schema:
                    raise NeededWholeError
                if any(measured(name) for name in schema if schema[name] == pl.String):
                    raise NeededWholeError
                yield rows
    except (pa.ArrowException, pl.exceptions.PolarsError, OSError) as error:
        raise NeededWholeError from error


# -- as a whole ------------------------------------------------------------------------------------


def _told(events: Sequence[Event]) -> Block:
    """Tell what is no record."""
    return Block(pl.DataFrame(schema={"row": pl.Int64}), tuple((-1, event) for event in events))


def _unpivoted(raw: pl.DataFrame) -> pl.DataFrame | None:
    """Lay a panel's export out as one row per run and step; None if the table is none.

    Its columns are a step and, for each run, `<run> - <metric>` with `__MIN` and `__MAX`. The step
    is W&B's own where the panel's axis is called Step.
    """
    panel = [name for name in _panel(raw) if not _repeats_axis(name, raw)]
    if not panel:
        return None
    axis = raw.columns[0]
    step_name = _axis(raw)
    pieces: dict[str, list[pl.DataFrame]] = {}
    for name in panel:
        run, _, metric = name.rpartition(" - ")
        value = pl.col(name).alias(metric)
        step = pl.col(axis).alias(step_name)
        rows = raw.select(step, pl.lit(run).alias("run"), value).drop_nulls()
        pieces.setdefault(metric, []).append(rows)
    columns = [pl.concat(of_metric, how="vertical_relaxed") for of_metric in pieces.values()]
    table = columns[0]
    for other in columns[1:]:
        table = table.join(other, on=table.columns[:2], how="full", coalesce=True)
    return table.sort("run", table.columns[0])


def _panel(raw: pl.DataFrame) -> list[str]:
    """List the columns of a panel; those of a run without a range are of it, too.

    Without any range, as where somebody took them out, all columns but the axis are losses of runs.
    """
    ranged = [name for name in raw.columns if f"{name}__MIN" in raw.columns and " - " in name]
    rest = [name for name in raw.columns[1:] if " - " in name and not _is_range(name)]
    if ranged:
        return rest
    metrics = {plain(name.rpartition(" - ")[2]) for name in rest}
    losses = {*COLUMNS["train_loss"], *EVAL_LOSS}
    bare = bool(rest) and len(rest) == raw.width - 1 and metrics <= losses
    return rest if bare and plain(raw.columns[0]) in COLUMNS["step"] else []


def _axis(raw: pl.DataFrame) -> str:
    """Name what a panel's first column counts."""
    axis = raw.columns[0]
    return OWN_STEP if axis == "Step" else axis


def _repeats_axis(name: str, raw: pl.DataFrame) -> bool:
    """Tell whether a run's column of a panel says what the axis and the head say already."""
    return name.rpartition(" - ")[2] in (_axis(raw), "run")


def _is_range(name: str) -> bool:
    return name.endswith(("__MIN", "__MAX"))


def _beside_panel(raw: pl.DataFrame) -> list[str]:
    """List the columns of a panel's export that are none of it."""
    read = [name for name in _panel(raw) if not _repeats_axis(name, raw)]
    of_panel = {raw.columns[0], *read}
    return [name for name in raw.columns if name not in of_panel and not _is_range(name)]


def _maps(table: TableMap, raw: pl.DataFrame) -> bool:
    """Tell whether a map means a table by all of its columns."""
    named = {origin.column for origin in table.columns.values() if origin.column}
    return {*named, *table.evals.values(), *table.bits_per_byte.values()} <= set(raw.columns)


HEAD_LINES: Final = 1_000
"""Lines in which the head of a table is looked for, behind comments."""


def fits(file: RawFile, table: TableMap) -> bool:
    """Tell whether a text has a head with every column that a map names."""
    text, _ = without_comments("\n".join(islice(file.lines(), HEAD_LINES)).lstrip("\n"))
    names = set(unique_names(cells_of(text.partition("\n")[0])))
    return {origin.column for origin in table.columns.values() if origin.column} <= names


def _numbered(raw: pl.DataFrame, before: int = 0) -> pl.DataFrame:
    """Add the rows' numbers in the file; a column that has our name for that gives way."""
    return raw.rename({ROW: f"{ROW} "}, strict=False).with_row_index(ROW, offset=before + 1)


def _name_apart(parts: Sequence[pl.DataFrame]) -> tuple[list[pl.DataFrame], list[Event]]:
    """Name finished runs after their row too where a name comes twice: every row is a run."""
    counts = Counter(run for values in parts for run in values["run"] if run is not None)
    repeated = {name for name, count in counts.items() if count > 1}
    if not repeated:
        return list(parts), []
    named = []
    for values in parts:
        runs = []
        for run, row in values.select("run", ROW).iter_rows():
            name = f"{run}-{row:04d}"
            apart = name if name not in counts else f"{name} of {run}"
            runs.append(apart if run in repeated else run)
        named.append(values.with_columns(pl.Series("run", runs, dtype=pl.String)))
    return named, [
        Remark(
            f"{len(repeated)} names stand in several rows, such as '{min(repeated)}'; each row is "
            f"a finished run, named by its row"
        )
    ]


def _frame(file: RawFile, table: TableMap | None) -> tuple[pl.DataFrame, list[Event]]:
    """Read the file's rows; cells are numbers where a whole column is."""
    if file.sample().startswith(_PARQUET):
        try:
            raw = pl.read_parquet(io.BytesIO(file.content()))
        except pl.exceptions.PolarsError as error:
            raise RefusedError(f"not a whole Parquet file: {error}") from error
        return _with_points(raw, _is_measured(table)), []
    value = read_one_value(file, _names_runs(table), mapped=table is not None)
    if value is not None:
        rows, told = value
        return _with_points(rows, _is_measured(table)), told
    return read_table(file, _names_runs(table), _is_measured(table), _counts_in(table))


def _with_points(raw: pl.DataFrame, measured: Callable[[str], bool]) -> pl.DataFrame:
    """Write decimal commas in columns of text as points; see `cells.without_marks`."""
    texts = [name for name in raw.columns if raw[name].dtype == pl.String and measured(name)]
    return raw.with_columns(
        pl.Series(name, without_marks(name, raw[name].to_list(), Marks(measured=True)))
        for name in texts
    )


def _names_runs(table: TableMap | None) -> Callable[[Sequence[str]], str | None]:
    """Tell which of a table's columns names runs."""
    mapped = table.columns.get("run") if table else None
    return lambda names: mapped.column if mapped else run_column(names)


def _is_measured(table: TableMap | None) -> Callable[[str], bool]:
    """Tell of a table's columns whether they have losses or the like, by its map or their names."""
    columns = table.columns if table else {}
    mapped = {origin.column: value for value, origin in columns.items() if origin.column}
    if table:
        mapped |= dict.fromkeys([*table.evals.values(), *table.bits_per_byte.values()], "eval_loss")

    def measured(name: str) -> bool:
        if name in mapped:
            return mapped[name] in _MEASURED
        words = plain(name)
        known = any(words in COLUMNS[value] for value in ("train_loss", "lr", "grad_norm"))
        counts = re.search(r"scale|token|count|step", words) is not None
        return known or words in FINAL_LOSS or (may_be_loss(name) and not counts)

    return measured


def _counts_in(table: TableMap | None) -> Callable[[str], float | None]:
    """Tell of a table's columns what they count, by its map or their names: 1e6 of millions."""
    columns = table.columns if table else {}
    mapped = {each.column: each.scale for value, each in columns.items() if value in COUNTS}

    def counted(name: str) -> float | None:
        if name in mapped:
            return mapped[name]
        told = (find_count(value, [name]) for value in COUNTS)
        return next((scale for each in told if each is not None for _, scale in [each]), None)

    return cache(counted)  # asked of every column of every stretch


_MEASURED: Final = frozenset({"train_loss", "eval_loss", "lr", "grad_norm", "schedule.lr_peak"})
"""Values that are no counts: a thousands mark in one would be none."""


def _check_columns(names: Sequence[str], table: TableMap) -> None:
    """Refuse a table that lacks a column the map names."""
    missing = []
    named = {value: origin.column for value, origin in table.columns.items() if origin.column}
    sets = [(f"evals.{name}", column) for name, column in table.evals.items()]
    sets += [(f"bits_per_byte.{name}", column) for name, column in table.bits_per_byte.items()]
    for value, column in [*named.items(), *sets]:
        if column not in names:
            near = difflib.get_close_matches(column, names, n=1)
            hint = f" (did you mean '{near[0]}'?)" if near else ""
            missing.append(f"'{column}'{hint} for {value}")
    if missing:
        raise RefusedError(
            f"lacks the column {', '.join(missing)}, which sweep.yaml names under table.columns; "
            f"it has: {', '.join(names)}"
        )
    if not {"eval_loss", "train_loss"} & table.columns.keys() and not sets:
        raise RefusedError("sweep.yaml maps no loss: add eval_loss or train_loss to table.columns")
    if table.rows == "points" and not {"tokens", "step"} & table.columns.keys():
        raise RefusedError("sweep.yaml maps neither tokens nor step under table.columns")
    if table.rows == "runs" and "tokens" not in table.columns:
        raise RefusedError(
            "sweep.yaml maps no tokens under table.columns; where a table has N and C only, D "
            'follows: tokens: {formula: \'"C" / (6 * "N")\'}'
        )


def _sql(expression: str, raw: pl.DataFrame, what: str) -> pl.Series:
    """Evaluate an SQL expression over the table's columns; 2.8B is a number where one must be."""
    try:
        value = pl.sql_expr(expression).alias("value")
        try:
            return raw.select(value)["value"]
        except pl.exceptions.InvalidOperationError:
            return raw.with_columns(map(_numbers_of_text, raw)).select(value)["value"]
    except pl.exceptions.PolarsError as error:
        first = str(error).splitlines()[0]
        raise RefusedError(
            f"{what} in sweep.yaml, {expression!r}: {first}; columns are: "
            f"{', '.join(name for name in raw.columns if name != ROW)}"
        ) from error


def _numbers_of_text(cells: pl.Series) -> pl.Series:
    """Read a column of text as numbers if every filled cell is one, with a unit or without."""
    numbers = as_numbers(cells) if cells.dtype == pl.String else cells
    return numbers if numbers.null_count() == cells.null_count() else cells


def _divide(
    raw: pl.DataFrame, table: TableMap
) -> tuple[pl.DataFrame, list[tuple[str, pl.DataFrame]]]:
    """Divide rows into those that are read, and those left out, by reason."""
    if table.select is not None:
        raw = raw.filter(_condition(table.select, raw, "table.select"))
    excluded = []
    for rule in table.exclude:
        out = _condition(rule.where, raw, "table.exclude")
        if out.any():
            excluded.append((rule.reason, raw.filter(out)))
            raw = raw.filter(~out)
    return raw, excluded


def _condition(expression: str, raw: pl.DataFrame, what: str) -> pl.Series:
    """Evaluate an SQL condition; a row for which it is unknown does not meet it."""
    result = _sql(expression, raw, what)
    if result.dtype != pl.Boolean:
        raise RefusedError(f"{what} in sweep.yaml, {expression!r}, is no condition")
    if result.len() != raw.height:
        raise RefusedError(f"{what} in sweep.yaml, {expression!r}, gives no value per row")
    return result.fill_null(value=False)


def _values(raw: pl.DataFrame, table: TableMap, *, stem: str, run: str = "") -> pl.DataFrame:
    """Compute the mapped values of each row, by our names; `run` is always there, or null."""
    columns = {name: _value(origin, name, raw) for name, origin in table.columns.items()}
    if "run" in columns:
        columns["run"] = _names(columns["run"])
    elif table.rows == "runs":
        numbered = [f"{stem}-{row:04d}" for row in raw[ROW]]
        columns["run"] = pl.Series("run", numbered, dtype=pl.String)
    columns |= {f"{EVALS}{name}": raw[column] for name, column in table.evals.items()}
    columns |= {f"{BYTES}{name}": raw[column] for name, column in table.bits_per_byte.items()}
    columns[ROW] = raw[ROW]
    values = pl.DataFrame({name: series.alias(name) for name, series in columns.items()})
    if "run" in columns:
        return values
    # a curve is named after its file by whoever reads it
    return values.with_columns(pl.lit(run, pl.String).alias("run"))


def _value(origin: TableColumn, name: str, raw: pl.DataFrame) -> pl.Series:
    """Compute one value for all rows."""
    if origin.formula is not None:
        series = _sql(origin.formula, raw, f"table.columns.{name}")
        if series.len() == 1 != raw.height:
            series = series.new_from_index(0, raw.height)
    else:
        series = raw[str(origin.column)]
    if origin.scale == 1.0:
        return series
    scaled = in_counts(series, origin.scale)
    return scaled.round() if name == "step" else scaled  # 1.1 thousand are 1,100 steps


def _names(cells: pl.Series) -> pl.Series:
    """Name runs by their cells; a whole number shows no decimals."""
    if cells.dtype == pl.String:
        return cells
    names = {cell: as_text(cell) for cell in cells.unique().drop_nulls()}
    return cells.replace_strict(names, default=None, return_dtype=pl.String)
