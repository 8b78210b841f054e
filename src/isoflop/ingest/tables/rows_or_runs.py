"""Whether rows of a table are points of a curve or finished runs, where names do not tell.

A curve goes on from row to row. Where tokens fall every few rows, and something that is not read
changes whenever they do, each row is rather a run, and that is rather the size of its model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from isoflop.config.sidecar import TableColumn
from isoflop.ingest.reading.refused import RefusedError
from isoflop.ingest.reading.settings import NAMES
from isoflop.ingest.tables.facts_of_rows import with_facts
from isoflop.ingest.tables.outline import (
    LEAST_POINTS,
    OF_POINTS,
    UNEVEN,
    as_factor,
    as_flow,
    as_line,
    as_points,
    as_runs,
    checkpoint_in,
)
from isoflop.ingest.tables.wall_time import COLUMNS as TIMES
from isoflop.ingest.tables.wide import as_numbers
from isoflop.ingest.words.names import (
    COLUMNS,
    FLOPS,
    MAY_NAME_RUNS,
    SIZES,
    find_batch,
    find_compute,
    find_epoch,
    may_be_loss,
    plain,
    tells_training,
)

if TYPE_CHECKING:
    from isoflop.config.sidecar import TableMap

_SHAPE_FACTS: Final = tuple(fact for fact in NAMES if fact.startswith("architecture."))
OFTEN: Final = 0.1
"""Share of a table's rows at which restarts seldom begin."""
FEW: Final = 6
"""Steps of one N up to which rows with a count of steps may be finished runs: curves have more."""
EVEN: Final = 3
"""Counts of each run from which it is told whether they are evenly spaced."""
WIDEST: Final = 1e5
"""Width of no model, above which a column so called is one of N."""
LEAST_SIZE: Final = 1_000
"""Parameters that models have at least."""
_SIZED: Final = r"(?:^|[^A-Za-z0-9.])[0-9]+(?:\.[0-9]+)?[kKmMbB](?:$|[^A-Za-z0-9])"
"""Names that have a size."""


def refuse_rows_of_runs(raw: pl.DataFrame, table: TableMap) -> None:
    """Refuse rows of one curve that may each be a finished run, and propose both maps.

    Parameters
    ----------
    raw : the rows, as they are in the file.
    table : the map by names of the points of curves.

    Raises
    ------
    RefusedError : tokens fall again and again beside a number that is not read.
    """
    axis = table.columns.get("step", table.columns.get("tokens"))
    if "run" in table.columns and axis is not None and axis.column is not None:
        _refuse_few_rows_of_names(raw, table, axis.column)
    if {"run", *SIZES} & table.columns.keys() or axis is None or axis.column is None:
        return
    change = as_numbers(raw[axis.column]).diff()
    falls = (change < 0).fill_null(value=False)
    if falls.sum() <= OFTEN * raw.height:
        return
    size = _size_beside(raw, table, falls)
    columns = dict(table.columns)
    if size is not None:
        columns["params.total"] = size
    finished = as_finished(raw, table.model_copy(update={"columns": columns}))
    if size is None or finished is None:
        return
    name = size.column
    if name is not None and plain(name) in _OF_SHAPES and (as_numbers(raw[name]) < WIDEST).all():
        finished = finished.replace(f": {as_flow(name)}", f": {as_flow(f'<N of each {name}>')}", 1)
    raise RefusedError(
        f"'{axis.column}' falls from one row to the next {falls.sum()} times in {raw.height} rows, "
        f"and '{size.column or size.formula}' may say of which N each row is: if each is a "
        f"finished run, say so in sweep.yaml:\n  {finished}\n; if they are points of one curve:\n"
        f"  {as_points(table)}",
        finished,
    )


def _refuse_few_rows_of_names(raw: pl.DataFrame, table: TableMap, axis: str) -> None:
    """Refuse a few rows of each name that may each be a finished run of a model so called.

    Raises
    ------
    RefusedError : names may be of models, and nothing says of rows that they are of curves.
    """
    run, columns = table.columns["run"], dict(table.columns)
    is_log = "step" in columns and "train_loss" in columns
    if run.column is None or {*SIZES} & columns.keys() or is_log:
        return
    names = raw[run.column]
    of_models = plain(run.column) in MAY_NAME_RUNS or bool(
        names.cast(pl.String).str.contains(_SIZED).all()
    )
    rows = names.value_counts()["count"].to_list()
    few = len(rows) > 1 and 1 < max(rows) <= FEW
    if not (of_models and few) or checkpoint_in(raw.columns) is not None:
        return
    if _are_checkpoints(raw, run.column, axis):
        return
    sizes = as_numbers(names)
    if sizes.null_count() == 0 and bool((sizes >= LEAST_SIZE).all()):
        del columns["run"]
        columns = {"params.total": TableColumn(column=run.column), **columns}
    finished = _finished_of(raw, columns)
    if finished is None:
        return
    line = as_line(with_facts(raw, table.model_copy(update={"rows": "runs", "columns": finished})))
    raise RefusedError(
        f"each '{run.column}' has few rows ({max(rows)} at most), with another '{axis}' each: if "
        f"each row is a finished run, say so in sweep.yaml:\n  {line}\n; if they are points of one "
        f"curve of each '{run.column}':\n  {as_points(table)}",
        line,
    )


def refuse_rows_of_curves(raw: pl.DataFrame, table: TableMap, otherwise: str | None) -> None:
    """Refuse rows of finished runs that may as well be points of curves.

    Parameters
    ----------
    raw : the rows, as they are in the file.
    table : the map by names of finished runs.
    otherwise : of which curves they may be points, and the map that says so.

    Raises
    ------
    RefusedError : tokens rise in equal steps for each N, or each name, that has a curve's number
        of rows; or nothing but tokens tells rows of one model apart.
    """
    tokens = table.columns.get("tokens")
    if otherwise is not None and (by_name := _told_by_tokens_alone(raw, table)) is not None:
        line = as_line(table)
        raise RefusedError(
            f"nothing but tokens tells the rows of each '{by_name}' apart, as where checkpoints of "
            f"one run were evaluated: if the rows are points of {otherwise}\n; if each is a "
            f"finished run, with a schedule of its own: say so:\n  {line}",
            otherwise.partition(": ")[2],
        )
    sizes = [table.columns[each] for each in ("run", *SIZES) if each in table.columns]
    by = next((each.column for each in sizes if each.column is not None), None)
    if otherwise is None or tokens is None or tokens.column is None or by is None:
        return
    counts = raw.select(by=pl.col(by), count=as_numbers(raw[tokens.column]))
    groups = [each["count"] for each in counts.partition_by("by") if each.height >= LEAST_POINTS]
    if not groups or not all(map(_rises_evenly, groups)):
        return
    line = as_line(table)
    raise RefusedError(
        f"'{tokens.column}' rises in equal steps over {groups[0].len()} rows of one '{by}', as it "
        f"does along a curve: if the rows are points of {otherwise}\n; if each is a finished run: "
        f"say so:\n  {line}",
        otherwise.partition(": ")[2],
    )


def _told_by_tokens_alone(raw: pl.DataFrame, table: TableMap) -> str | None:
    """Give the column that names models, where nothing but tokens tells rows of one model apart.

    Finished runs do not look so where several models share a few levels of compute.
    """
    run, tokens = table.columns.get("run"), table.columns.get("tokens")
    sizes = [table.columns[each].column for each in SIZES if each in table.columns]
    size = sizes[0] if sizes else None
    if run is None or run.column is None or tokens is None or tokens.column is None or not size:
        return None
    if plain(run.column) not in MAY_NAME_RUNS or "state" in map(plain, raw.columns):
        return None
    rows = raw.select(
        pl.col(run.column).alias("name"),
        size=as_numbers(raw[size]),
        tokens=as_numbers(raw[tokens.column]),
    ).drop_nulls()
    of_names = rows.group_by("name").agg(
        pl.len().alias("rows"),
        pl.col("size", "tokens").n_unique(),
        pl.col("tokens").sort().alias("counts"),
    )
    if (of_names["size"] > 1).any() or (of_names["tokens"] < of_names["rows"]).any():
        return None
    several = of_names.filter(pl.col("rows") >= EVEN)["rows"].sum()
    if 2 * several < rows.height or _tells_rows_apart(raw, table, run.column):
        return None
    same_counts = of_names["counts"].n_unique() < of_names.height
    return None if not same_counts and _on_levels(rows["size"] * rows["tokens"]) else run.column


def _on_levels(compute: pl.Series) -> bool:
    """Tell whether compute has few values, each of several models."""
    levels, start = 0, 0.0
    for each in compute.sort():
        if each > (1 + UNEVEN) * start:
            levels, start = levels + 1, each
    return compute.len() >= EVEN * levels


def _tells_rows_apart(raw: pl.DataFrame, table: TableMap, name: str) -> bool:
    """Tell whether models were trained in several ways, by any column."""
    by_value = {origin.column: value for value, origin in table.columns.items()}
    for column in raw.columns:
        value = by_value.get(column)
        is_rate = plain(column) in COLUMNS["lr"]  # along a curve it changes, too
        if value in {"run", "tokens", "eval_loss", *SIZES} or is_rate or may_be_loss(column):
            continue
        if plain(column) in FLOPS and "budget" not in plain(column):
            continue
        if value is None and not tells_training(column):
            continue
        if (raw.group_by(name).agg(pl.col(column).n_unique())[column] > 1).any():
            return True
    return False


def _rises_evenly(counts: pl.Series) -> bool:
    """Tell counts that rise by the same from row to row; the last step may be a shorter one."""
    steps = counts.diff().drop_nulls()
    if steps.len() != counts.len() - 1 or not (steps > 0).all():
        return False
    body = steps.head(steps.len() - 1)
    low, high = body.min(), body.max()
    if not isinstance(low, int | float) or not isinstance(high, int | float):
        return False
    return bool(high - low <= UNEVEN * high)


def _are_checkpoints(raw: pl.DataFrame, run: str, axis: str) -> bool:
    """Tell whether every run has the same counts, evenly spaced from the first: those of a curve.

    Finished runs of a few models lie on curves of equal compute, or double their tokens.
    """
    counts = raw.select(run, count=as_numbers(raw[axis])).group_by(run).agg(pl.col("count").sort())
    of_first = counts["count"][0].drop_nulls()
    if counts["count"].n_unique() > 1 or of_first.len() < EVEN:
        return False
    gaps = of_first.diff().drop_nulls()
    low, high = gaps.min(), gaps.max()
    if not isinstance(low, int | float) or not isinstance(high, int | float):
        return False
    return bool(low > 0 and high - low <= UNEVEN * high)


def _finished_of(
    raw: pl.DataFrame, columns: dict[str, TableColumn]
) -> dict[str, TableColumn] | None:
    """Give the columns of points as those of finished runs; None where one is a curve's."""
    rate = columns.get("lr")
    if rate is not None and rate.column is not None and "run" in columns:
        rates = raw.group_by(str(columns["run"].column)).agg(pl.col(rate.column).n_unique())
        if (rates[rate.column] > 1).any():
            return None
    kept = {name: each for name, each in columns.items() if name not in OF_POINTS}
    if "tokens" not in kept:
        of_step = kept.pop("tokens_per_step", None)
        factor = "<tokens of a step>" if of_step is None else f'"{of_step.column}"'
        kept["tokens"] = TableColumn(formula=f'"{columns["step"].column}" * {factor}')
    if "train_loss" in kept:
        kept.setdefault("eval_loss", kept.pop("train_loss"))
    return kept


def _size_beside(raw: pl.DataFrame, table: TableMap, falls: pl.Series) -> TableColumn | None:
    """Find what may be N of each row: by compute, or a column that changes where tokens fall."""
    tokens = table.columns.get("tokens")
    compute = find_compute(raw.columns)
    if compute is not None and tokens is not None and tokens.column is not None:
        column, unit = compute
        flops = f'"{column}"' if unit == 1.0 else f'{as_factor(unit or 1.0)} * "{column}"'
        flops = f'POWER(10, "{column}")' if unit is None else flops
        scale = "" if tokens.scale == 1.0 else f"{as_factor(tokens.scale)} * "
        return TableColumn(formula=f'{flops} / (6 * {scale}"{tokens.column}")')
    able: list[tuple[bool, bool, int, str]] = []
    for name in _unread(raw, table):
        cells = as_numbers(raw[name])
        changes = cells.diff().filter(falls)
        if cells.null_count() == 0 and (cells > 0).all() and (changes != 0).all():
            of_a_model = {"size", "model", "n"} & {*plain(name).replace("/", "_").split("_")}
            counts = bool((cells == cells.floor()).all()) and bool((cells >= LEAST_SIZE).all())
            able.append((not of_a_model, not counts, len(able), name))
    return TableColumn(column=min(able)[-1]) if able else None


def _unread(raw: pl.DataFrame, table: TableMap) -> list[str]:
    """List the columns of numbers that a map leaves, and that may be sizes by their names."""
    mapped = {origin.column for origin in table.columns.values()}
    mapped |= {*table.evals.values(), *table.bits_per_byte.values(), find_epoch(raw.columns)}
    measured = {*COLUMNS["lr"], *COLUMNS["grad_norm"], *COLUMNS["step"], *TIMES, *_NO_SIZES}
    return [
        name
        for name in raw.columns
        if name not in mapped
        and plain(name) not in measured
        and not may_be_loss(name)
        and not name.startswith("column_")
        and (raw[name].dtype.is_numeric() or as_numbers(raw[name]).null_count() == 0)
    ]


_OF_SHAPES: Final = frozenset(
    {"width", "depth", *(name for fact in _SHAPE_FACTS for name in NAMES[fact])}
)
"""Columns that tell models apart, and are no numbers of parameters."""
_NO_SIZES: Final = ("seed", "index", "id", "time", "mfu", "rank", "launch", "attempt", "restart")


def as_finished(raw: pl.DataFrame, table: TableMap) -> str | None:
    """Write a map of the points of curves as one of finished runs; None if it cannot be one.

    Where rows have no tokens, their steps and what a step has give them.

    Parameters
    ----------
    raw : the rows, as they are in the file.
    """
    if "tokens" in table.columns:
        return _with_facts(raw, table)
    columns = dict(table.columns)
    step, of_step = columns.pop("step", None), columns.get("tokens_per_step")
    sequences = find_batch(raw.columns)
    if step is None or step.column is None or (of_step is None and sequences is None):
        return None
    factors = [] if of_step is None else [str(of_step.column)]
    factors = factors or [*(sequences or ())]
    scale = step.scale * (1.0 if of_step is None else of_step.scale)
    formula = " * ".join(f'"{name}"' for name in (step.column, *factors))
    formula = formula if scale == 1.0 else f"{as_factor(scale)} * {formula}"
    for fact in ("batch", "architecture.seq_len"):
        columns.pop(fact, None)
    columns["tokens"] = TableColumn(formula=formula)
    return _with_facts(raw, table.model_copy(update={"columns": columns}))


def _with_facts(raw: pl.DataFrame, table: TableMap) -> str | None:
    finished = as_runs(table)
    return None if finished is None else as_line(with_facts(raw, finished))


def may_be_finished(rows: pl.DataFrame, table: TableMap) -> bool:
    """Tell whether rows with steps may be finished runs: each N has a few counts of steps."""
    step = table.columns.get("step")
    size = next((table.columns[each] for each in SIZES if each in table.columns), None)
    if step is None or size is None or step.column is None or size.column is None:
        return False
    counts = rows.group_by(size.column).agg(pl.col(step.column).n_unique().alias("steps"))
    return counts.height > 1 and bool((counts["steps"] <= FEW).all())
