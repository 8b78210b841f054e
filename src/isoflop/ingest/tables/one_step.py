"""Rows of a table that give one step of a run two losses.

A restart makes steps anew, and its rows are told by steps that go back, or by a step that comes
again where few do: then one row was made anew. Rows that differ at nearly every step are of two
runs, of two eval sets or of two processes; the second would be dropped. Where a table has no steps,
its tokens tell.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from itertools import combinations
from typing import TYPE_CHECKING, Final

import polars as pl

from isoflop.config.sidecar import TableColumn, TableExclusion, TableMap
from isoflop.ingest.reading.cells import as_text
from isoflop.ingest.reading.events import Excluded, LeftOutRows, Remark
from isoflop.ingest.reading.refused import RefusedError
from isoflop.ingest.tables.attempts import have_died, jumps, numbered, set_to_0
from isoflop.ingest.tables.outline import as_line
from isoflop.ingest.tables.ranks_of_rows import ranks_by
from isoflop.ingest.tables.rows_or_runs import as_finished, may_be_finished
from isoflop.ingest.tables.same_step import (
    LEAST,
    TRIED,
    Label,
    are_quantities,
    by_order,
    farthest,
    label_of,
    set_otherwise,
)
from isoflop.ingest.tables.wall_time import COLUMNS as TIMES
from isoflop.ingest.tables.wide import BYTES, EVALS, ROW, are_rounded, as_numbers
from isoflop.ingest.words.names import (
    SEEDS,
    SIZES,
    find_count,
    find_epoch,
    is_of_launches,
    plain,
    updates_by_epoch,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

_LOSSES: Final = ("train_loss", "eval_loss")
_KEYS: Final = {"run": pl.String, "launch": pl.Int64, "step": pl.Float64}
OWN_STEP: Final = "_step"
"""W&B's count of what one process logged: rows that it tells apart are of one run."""
_MICRO: Final = frozenset(
    {
        "iter", "iter_num", "iteration", "micro_step", "microstep", "micro_batch", "microbatch",
        "micro_iter", "batch", "batch_idx", "batch_num", "accum_step", "acc_step",
        "accumulation_step", "grad_accum_step",
    }
)  # fmt: skip
"""Counts of what a step accumulates, beside the count of steps."""
SAME: Final = 1e-6
"""Relative difference of two losses that are one, written twice."""
ROUNDED: Final = 4
"""Digits of a number that may be another one rounded."""
CUT: Final = 3
"""Digits by which a number with fewer may be another one rounded: three zeros are seldom left out
by chance."""
RESTARTS: Final = 2
"""How often steps may go back in any curve."""
SHARE: Final = 1 / 3
"""Share of a curve's rows at which launches may begin: more often, two curves take turns."""
FEW: Final = 64
"""Values of a column that may name runs together with another."""
LEAST_STEPS: Final = 4
"""Steps that all N share from which their rows are rather points of curves than finished runs."""
TOGETHER: Final = 6
"""Columns that are tried two by two, and three by three."""
ATTEMPTS: Final = 3
"""Attempts from scratch that a run has at most; more are rather of as many runs."""
ALONE: Final = 0.2
"""Share of a curve's rows that may make the step before them anew, which restarts seldom do."""


def by_time(
    rows: pl.DataFrame, values: pl.DataFrame, *, restarts: bool
) -> tuple[pl.DataFrame, pl.DataFrame, list[Remark]]:
    """Put rows in the order of their times, if only so those that differ at a step are a restart's.

    Parameters as of `tell_apart`; rows are numbered anew.
    """
    time = next((name for name in rows.columns if plain(name) in TIMES), None)
    if time is None:
        return rows, values, []
    given = _losses_of(rows, values, restarts=restarts)
    if _differing(given).is_empty():
        return rows, values, []
    seconds = as_numbers(rows[time])
    order = seconds.arg_sort(nulls_last=True)
    numbers = rows[ROW].sort()
    timed = values[order].with_columns(numbers)
    by_order = _losses_of(rows[order], timed, restarts=restarts)
    if seconds.null_count() or not _differing(by_order).is_empty():
        return rows, values, []
    remark = f"its rows were put in the order of '{time}': by that, a restart makes steps anew"
    return rows[order].with_columns(numbers), timed, [Remark(remark)]


def refuse_epochs(rows: pl.DataFrame, values: pl.DataFrame, table: TableMap) -> None:
    """Refuse steps that count anew in every epoch, and propose how to count them.

    Raises
    ------
    RefusedError : where steps go back, the epoch mostly goes on.
    """
    step = table.columns.get("step")
    name = find_epoch(rows.columns)
    if step is None or step.column is None or name is None:
        return
    counted = values.select(
        "run", step=as_numbers(values["step"]), epoch=as_numbers(rows[name])
    ).drop_nulls()
    usual = pl.col("step").diff().abs().median()
    change = counted.select(
        pl.col("step", "epoch").diff().over("run"),
        first=(pl.col("step") <= pl.col("step").first() + usual).over("run"),
    )
    falls = change.filter(pl.col("step") < 0)
    # a restart goes back to what a checkpoint has
    anew = falls.filter(pl.col("epoch") > 0, "first").height
    if not anew or 2 * anew <= falls.height:
        return
    first = as_text(counted["epoch"].min())
    formula = updates_by_epoch(name, first, step.column)
    columns = {**table.columns, "step": TableColumn(formula=formula)}
    proposal = as_line(table.model_copy(update={"columns": columns}))
    raise RefusedError(
        f"'{step.column}' counts anew in every epoch ({anew} time{'s' * (anew > 1)}): say in "
        f"sweep.yaml how many updates have been made:\n  {proposal}",
        proposal,
    )


def refuse_set_to_0(rows: pl.DataFrame, values: pl.DataFrame) -> dict[str | None, str]:
    """Tell why runs are left out whose steps begin anew while their losses go on.

    Parameters as of `tell_apart`. What is set otherwise is another run.

    Raises
    ------
    RefusedError : they are all that the table has.
    """
    reasons = set_to_0(values)
    if not reasons:
        return {}
    counted = values.select(ROW, "run", step=as_numbers(values["step"]))
    clock = numbered(counted.filter(pl.col("step").is_finite()))
    if set_otherwise(rows, clock.rename({"attempt": "launch"})) is not None:
        return {}
    if len(reasons) == values["run"].n_unique():
        raise RefusedError(next(iter(reasons.values())))
    return reasons


def without_micro_batches(
    rows: pl.DataFrame, values: pl.DataFrame, table: TableMap
) -> tuple[pl.DataFrame, pl.DataFrame, list[LeftOutRows]]:
    """Keep the last of the rows that a step's batches wrote, where a column counts these.

    Parameters as of `tell_apart`; what is kept, and what to tell.
    """
    mapped = {each.column for each in table.columns.values()}
    names = [name for name in rows.columns if plain(name) in _MICRO and name not in mapped]
    if not names or not {"step", "train_loss"} <= set(values.columns):
        return rows, values, []
    beside = [
        pl.col(name).is_not_null()
        for name in values.columns
        if name == "eval_loss" or name.startswith((EVALS, BYTES))
    ]
    placed = values.select(
        ROW,
        "run",
        step=as_numbers(values["step"]),
        loss=as_numbers(values["train_loss"]),
        other=pl.any_horizontal(pl.lit(value=False), *beside),
    ).with_columns([as_numbers(rows[name]).alias(name) for name in names])
    trained = placed.filter(pl.col("loss").is_not_null(), ~pl.col("other"))
    for name in names:
        goes_on = (pl.col(name).shift(-1) > pl.col(name)) & (
            pl.col("step").shift(-1) == pl.col("step")
        )
        earlier = trained.filter(goes_on.over("run").fill_null(value=False))[ROW].to_list()
        if earlier:
            rows, values = (each.filter(~pl.col(ROW).is_in(earlier)) for each in (rows, values))
            why = f"of a step's batches, which '{name}' counts: the last of each step counts"
            return rows, values, [LeftOutRows(len(earlier), why)]
    return rows, values, []


def counts_batches(rows: pl.DataFrame, table: TableMap) -> bool:
    """Tell whether steps are the batches that LitGPT counts, of which an update has several.

    Its loggers write the step that they are called with, `iter` less one, over the column of
    updates.
    """
    step = table.columns.get("step")
    iterations = {"iter", "iter_time"} <= set(rows.columns)
    if step is None or step.column is None or not iterations or "tokens" not in table.columns:
        return False
    both = rows.select(
        batch=as_numbers(rows["iter"]), step=as_numbers(rows[step.column])
    ).drop_nulls()
    return both["batch"].equals(both["step"] + 1)


def axis_of(values: pl.DataFrame) -> str:
    """Name the column that says how far training had gone."""
    return "step" if "step" in values.columns else "tokens"


def _losses_of(
    rows: pl.DataFrame, values: pl.DataFrame, *, restarts: bool = False
) -> list[pl.DataFrame]:
    """List the rows of each loss, counted by launches.

    Parameters
    ----------
    restarts : whether what goes back is of a restart, whatever else it says.
    """
    others = [name for name in values.columns if name.startswith((EVALS, BYTES))]
    losses = [*(name for name in _LOSSES if name in values.columns), *others]
    axis = as_numbers(values[axis_of(values)]).alias("step")
    known = (
        values.select("run", pl.col(ROW).cast(pl.Int64), *losses)
        .with_columns([axis, *(as_numbers(values[name]).alias(name) for name in losses)])
        .filter(pl.col("step").is_finite())
    )
    if not known.select(pl.struct("run", "step").is_duplicated().any()).item():
        return []
    # losses in training and on eval sets may stand in rows of their own
    each_loss = [known.filter(pl.col(name).is_finite()).rename({name: "loss"}) for name in losses]
    at_once = [each.with_columns(pl.lit(0, pl.Int64).alias("launch")) for each in each_loss]
    other = [name for name in rows.columns if _tells_runs(name) and not restarts]
    differ = _differing(at_once) if other else None
    if differ is not None and any(_tells(rows, differ, name) for name in other):
        return at_once  # no restart has another seed, or another N
    # tokens may be rounded, and neighbouring rows have one count of them
    rounded = axis_of(values) == "tokens" and each_loss[0].select(are_rounded("step").any()).item()
    clock = _with_launches(each_loss[0], rows, rounded=rounded)
    if not restarts and set_otherwise(rows, clock) is not None:
        return at_once  # a run that begins at the first step again, and is set otherwise
    told = clock.select(ROW, clocked="launch")
    placed = known.select(ROW, "run").join(told, on=ROW, how="left", maintain_order="left")
    placed = placed.select(ROW, pl.col("clocked").forward_fill().over("run").fill_null(0))
    beside = [each.join(placed, on=ROW, maintain_order="left") for each in each_loss[1:]]
    return [
        clock,
        *(
            _with_launches(each, rows, rounded=rounded).with_columns(
                pl.col("launch") + pl.col("clocked")
            )
            for each in beside
        ),
    ]


def _tells_runs(name: str) -> bool:
    """Tell whether what a column says is the same in all launches of a run."""
    return plain(name) in SEEDS or _is_size(name)


def _is_size(name: str) -> bool:
    """Tell whether a column is of N, by its name."""
    return any(find_count(value, [name]) for value in SIZES)


def begun_anew(rows: pl.DataFrame, values: pl.DataFrame, *, restarts: bool) -> list[int]:
    """List the rows, by number, that a restart begins with; the loss in training tells them."""
    begins = (pl.col("launch").diff() > 0).over("run")
    counted = pl.lit(value=True) if axis_of(values) == "step" else ~are_rounded("step")
    return [
        row
        for each in _losses_of(rows, values, restarts=restarts)[:1]
        for row in each.filter(begins, counted)[ROW]
    ]


def tell_apart(
    rows: pl.DataFrame, values: pl.DataFrame, table: TableMap, *, restarts: bool = False
) -> tuple[Sequence[Remark | Excluded | LeftOutRows], Sequence[int]]:
    """Tell of rows of one step that differ, and leave out the runs that have some unexplained.

    Parameters
    ----------
    rows : as they are in the file, with `ROW`; `values`: the same, laid out as for
        `wide.curves_block`.
    table : the map.
    restarts : whether sweep.yaml says that what goes back is of a restart.

    Returns
    -------
    What to tell, and the numbers of rows to leave out.

    Raises
    ------
    RefusedError : no run is without such rows; and a map that tells them apart, if a column does.
    """
    launches = _losses_of(rows, values, restarts=restarts)
    replaced = _replaced(
        launches
        if axis_of(values) == "step"
        else [each.filter(~are_rounded("step")) for each in launches]
    )
    differ = _differing(launches)
    if differ.is_empty():
        jumping = {} if restarts or not launches else jumps(_with_rates(launches[0], values))
        told_of = {run: _of_jump(rows, table, run, at) for run, at in jumping.items()}
        if told_of and len(told_of) == values["run"].n_unique():
            raise RefusedError(next(iter(told_of.values())))
        return [*replaced, *(Excluded(why, run or "") for run, why in told_of.items())], []
    names = [name for name in rows.columns if name != ROW]
    by = [*ranks_by(rows), *((name,) for name in names if name == OWN_STEP)]
    label = label_of(rows.drop({each[-1] for each in by}), differ["rows"].to_list())
    process = next((" ".join(each) for each in by if _tells(rows, differ, *each)), None)
    if process is not None and label is None:
        others = differ.select(pl.col("rows").list.slice(1).explode())["rows"].to_list()
        why = f"of steps that other rows of their run have, by their '{process}': the first counts"
        return [LeftOutRows(len(others), why), *replaced], others
    rounded = axis_of(values) == "tokens" and differ["rows"].list.len().n_unique() > 1
    if rounded and label is None and not _naming(rows, differ, table):  # or off a figure
        return replaced, []
    of_another_n = any(_differs(rows, differ, name) for name in names if _is_size(name))
    as_restarts = [] if restarts or of_another_n else _losses_of(rows, values, restarts=True)
    if as_restarts and not _differing(as_restarts).is_empty():
        as_restarts = []
    told = _Differing(rows, differ, table, axis_of(values), label, *_fell_short(as_restarts[:1]))
    reasons = told.reasons(
        pl.concat([each.select("step", "loss", ROW, "run") for each in launches])
    )
    if differ["run"].n_unique() < values["run"].n_unique():
        return [*(Excluded(why, run) for run, (why, _) in reasons.items()), *replaced], []
    raise RefusedError(*next(iter(reasons.values())))


def _with_rates(known: pl.DataFrame, values: pl.DataFrame) -> pl.DataFrame:
    """Put the learning rates of rows beside their losses, if they have any."""
    if "lr" not in values.columns:
        return known
    rates = values.select(pl.col(ROW).cast(pl.Int64), lr=as_numbers(values["lr"]))
    return known.join(rates, on=ROW, how="left", maintain_order="left")


def _of_jump(
    rows: pl.DataFrame, table: TableMap, run: str | None, at: tuple[int, float, float]
) -> str:
    """Say that a run jumps over steps that earlier rows have, as branches of a trunk do.

    Parameters
    ----------
    at : what `attempts.jumps` tells of it.
    """
    row, before, step = at
    mapped = {*_measures(table)}
    here, there = rows.filter(pl.col(ROW) == row), rows.filter(pl.col(ROW) == row - 1)
    changed = [
        f"'{name}'"
        for name in rows.columns
        if name != ROW and name not in mapped and not here[name].equals(there[name])
        and plain(name) not in TIMES
    ]  # fmt: skip
    beside = f" ({', '.join(changed)} changes there)" if changed else ""
    named = f"run '{run}': " if run else ""
    anew = as_line(table.model_copy(update={"restarts": True}))
    return (
        f"{named}its steps go back, and in row {row}{beside} jump from {before:g} to {step:g}, "
        f"over steps that earlier rows have: branches of a trunk do so, each of which is a run of "
        f"its own, and no restart. Put a column into the file that names them, or each into a file "
        f"of its own; if they are restarts nevertheless, say so in sweep.yaml:\n  {anew}"
    )


def _fell_short(clock: Sequence[pl.DataFrame]) -> tuple[bool, bool]:
    """Tell whether rows may be of restarts, and whether they are rather that than runs.

    Launches of a restarted run got less far than the last one. One that begins behind the first
    step, or that ended soon, is of no other run.

    Parameters
    ----------
    clock : run, step and launch of the rows, if they are of restarts at all.
    """
    for rows in clock:
        ends = rows.group_by("run", "launch").agg(
            pl.col("step").min().alias("first"), pl.col("step").max()
        )
        ends = ends.filter((pl.col("launch").max() > 0).over("run")).sort("run", "launch")
        earlier = (pl.col("launch") < pl.col("launch").max()).over("run")
        shorter = (pl.col("step") < pl.col("step").last()).over("run")
        behind = (pl.col("first") > pl.col("first").first()).over("run").any()
        may_be = ends.filter(earlier).height > 0 and bool(
            ends.select(shorter.filter(earlier).all()).item()
        )
        begun = ends.filter(pl.col("first") <= pl.col("first").first().over("run"))
        few = begun.height <= ATTEMPTS * ends["run"].n_unique()
        rather = few and (have_died(ends) or bool(ends.select(behind).item()))
        return may_be or rather, rather
    return False, False


def _with_launches(
    known: pl.DataFrame, rows: pl.DataFrame, *, rounded: bool = False
) -> pl.DataFrame:
    """Count how often steps are made anew; where that is too often for restarts, never.

    Parameters
    ----------
    known : rows with a loss; `rows`: all, as they are in the file.
    rounded : whether steps may be rounded, so that rows of one may be of several.
    """
    change = pl.col("step").diff().over("run")
    later = pl.col("step").reverse().cum_max().reverse().over("run") > pl.col("step")
    told = known.with_columns(
        back=(change < 0).fill_null(value=False),
        # the last step may have been evaluated once more
        alone=((change == 0) & later).fill_null(value=False),
    )
    before = [pl.col(name).shift().over("run") for name in ("loss", ROW)]
    pairs = told.with_columns(before[0].alias("before"), before[1].alias("earlier"))
    pairs = pairs.filter("alone").select("run", "step", "earlier", ROW, "before", "loss")
    same = [row for row, *losses in pairs.select(ROW, "before", "loss").rows() if _is_same(losses)]
    told = told.with_columns(alone=pl.col("alone") & ~pl.col(ROW).is_in(same))
    backs, count = pl.col("back").sum().over("run"), pl.len().over("run")
    alones = pl.col("alone").sum().over("run")
    told = told.with_columns(alone=pl.col("alone") & (alones <= ALONE * count))
    pairs = pairs.filter(~pl.col(ROW).is_in(same))
    if not rounded and are_quantities(rows, pairs, known):
        told = told.with_columns(alone=pl.lit(value=False))
    turns = (backs + alones > RESTARTS) & (backs + alones > SHARE * count)
    begins = (pl.col("back") | pl.col("alone")) & ~turns
    return told.with_columns(begins.cast(pl.Int64).cum_sum().over("run").alias("launch"))


def _is_same(losses: Sequence[float]) -> bool:
    """Tell whether numbers are one, written with as many digits or fewer."""
    low, high = min(losses), max(losses)
    if high - low <= SAME * abs(high):
        return True
    (coarse, digits), (finer, _) = max(map(_digits, losses)), min(map(_digits, losses))
    # zeros at the end of a number are not written: 4.50 is no rounded 4.51
    rounded = coarse > finer and (digits >= ROUNDED or coarse - finer >= CUT)
    return rounded and high - low <= 0.5 * 10.0**coarse * (1 + SAME)


def _digits(number: float) -> tuple[int, int]:
    """Give the power of ten of the last digit that a number is written with, and their count."""
    told = Decimal(repr(number)).as_tuple()
    return (told.exponent if isinstance(told.exponent, int) else 0), len(told.digits)


def _differing(launches: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """List the steps whose rows differ: run, step, the rows, and their losses."""
    pieces = [pl.DataFrame(schema={**_KEYS, "rows": pl.List(pl.Int64), "losses": pl.List(float)})]
    for rows in launches:
        of_step = rows.group_by("run", "launch", "step", maintain_order=True).agg(
            pl.col(ROW).alias("rows"), pl.col("loss").alias("losses")
        )
        several = of_step.filter(pl.col("losses").list.len() > 1)
        pieces.append(several.filter([not _is_same(losses) for losses in several["losses"]]))
    return pl.concat(pieces).unique(["run", "launch", "step"], keep="first", maintain_order=True)


def _replaced(launches: Sequence[pl.DataFrame]) -> list[Remark]:
    """Count the rows that those of a later launch replace."""
    numbers: set[int] = set()
    for rows in launches:
        begins = rows.group_by("run", "launch").agg(pl.col("step").min().alias("begins"))
        begins = begins.sort("run", "launch", descending=True)
        lowest = pl.col("begins").cum_min().over("run").shift(1).over("run")
        later = rows.join(
            begins.with_columns(lowest.alias("from")), on=["run", "launch"], nulls_equal=True
        )
        numbers.update(later.filter(pl.col("step") >= pl.col("from"))[ROW])
    if not numbers:
        return []
    return [
        Remark(f"{len(numbers)} rows replaced by later ones, which make their steps anew: restarts")
    ]


def _tells(rows: pl.DataFrame, differ: pl.DataFrame, *columns: str) -> bool:
    """Tell whether columns differ between all rows of each step."""
    cells = {row: told for row, *told in rows.select(ROW, *columns).iter_rows()}
    return all(
        None not in (told := [None if None in cells[row] else (*cells[row],) for row in each])
        and len({*told}) == len(told)
        for each in differ["rows"].head(TRIED)
    )


def _differs(rows: pl.DataFrame, differ: pl.DataFrame, column: str) -> bool:
    """Tell whether a column says different things of the rows of any step."""
    cells = dict(rows.select(ROW, column).iter_rows())
    return any(len({cells[row] for row in each}) > 1 for each in differ["rows"].head(TRIED))


def _naming(rows: pl.DataFrame, differ: pl.DataFrame, table: TableMap) -> tuple[str, ...]:
    """Find a column that tells rows apart, or else two or three: no measures, no counts of rows."""
    mapped = {*_measures(table)}
    rate = table.columns.get("lr")
    names = [name for name in rows.columns if name != ROW and name not in mapped]
    names = [name for name in names if plain(name) not in TIMES]
    branches = [name for name in names if "branch" in plain(name)]  # of a trunk, beside an N
    names = [name for name in names if not is_of_launches(name) or _each_begins(rows, table, name)]
    if rate is not None and rate.column is not None and _lasts(rows, table, rate.column):
        names.append(rate.column)
    names = [name for name in names if rows[name].drop_nulls().n_unique() * 2 <= rows.height]
    alone = next((name for name in names if _tells(rows, differ, name)), None)
    if alone is not None:
        return (alone,)
    names += [name for name in branches if name not in names]
    few = [name for name in names if 1 < rows[name].n_unique() <= FEW][:TOGETHER]
    together = [*combinations(few, 2), *combinations(few, 3)]
    return next((each for each in together if _tells(rows, differ, *each)), ())


def _lasts(rows: pl.DataFrame, table: TableMap, name: str) -> bool:
    """Tell whether a column says the same in all rows until steps go back, as no schedule does."""
    axis = table.columns.get("step", table.columns.get("tokens"))
    if axis is None or axis.column is None:
        return True
    back = (as_numbers(rows[axis.column]).diff() <= 0).fill_null(value=False)
    blocks = rows.select(name, block=back.cast(pl.Int64).cum_sum()).group_by("block")
    return bool((blocks.agg(pl.col(name).n_unique())[name] == 1).all())


def _each_begins(rows: pl.DataFrame, table: TableMap, name: str) -> bool:
    """Tell whether all that a column names begins at the first step, as jobs of a run do not."""
    axis = table.columns.get("step", table.columns.get("tokens"))
    if axis is None or axis.column is None:
        return False
    steps = rows.select(name, step=as_numbers(rows[axis.column]))
    first = steps.group_by(name).agg(pl.col("step").min())["step"]
    return first.n_unique() == 1


def _measures(table: TableMap) -> list[str]:
    """List the columns that are measured at each step, or count on with it."""
    facts = {"run", "params.total", "params.active", "params.nonembedding"}
    names = [each.column for value, each in table.columns.items() if value not in facts]
    return [name for name in [*names, *table.evals.values(), *table.bits_per_byte.values()] if name]


@dataclass(frozen=True, slots=True)
class _Differing:
    """Rows of steps that have different losses, and what may be said of them.

    Attributes
    ----------
    rows, table : as of `tell_apart`; `differ`: as of `_differing`.
    axis : what steps are counted in.
    label : what tells quantities of a step apart.
    fell_short : whether the rows may be of restarts, whose earlier launches got less far.
    restarted : whether they are rather that than runs.
    """

    rows: pl.DataFrame
    differ: pl.DataFrame
    table: TableMap
    axis: str
    label: Label | None
    fell_short: bool = False
    restarted: bool = False

    def reasons(self, known: pl.DataFrame) -> dict[str, tuple[str, str]]:
        """Say by run what differs and how its rows are told apart, and propose the map for that.

        Parameters
        ----------
        known : run, step and loss of all rows.
        """
        way, proposal = self._way(known)
        reasons = {}
        for (run,), steps in self.differ.group_by("run", maintain_order=True):
            _, _, step, places, losses = steps.row(0)
            named = f"run '{run}': " if run else ""
            told = " and ".join(
                f"{loss:g} in row {row}" for row, loss in zip(places, losses, strict=True)
            )
            reasons[str(run)] = (
                f"{named}{_count(steps.height, self.axis)} rows with different losses, first "
                f"{self.axis} {step:g} ({told}), {self._of_what}; {way}",
                proposal,
            )
        return reasons

    @property
    def _of_what(self) -> str:
        """Say what the rows may be of."""
        if self.fell_short:
            return "where its steps go back: rows of two runs, or of a restart with other settings"
        return "and no restart before it: rows of two runs, or of two eval sets"

    def _way(self, known: pl.DataFrame) -> tuple[str, str]:
        """Say how rows are told apart: the likeliest first, with the map for that."""
        naming, ways = _naming(self.rows, self.differ, self.table), []
        if naming:
            columns = {**self.table.columns}
            run = _together(self.rows, columns.pop("run", None), naming)
            by_run = self.table.model_copy(update={"columns": {"run": run, **columns}})
            words = " with ".join(f"'{name}'" for name in naming)
            way = f"{words} tells them apart; if it is of runs, say so in sweep.yaml"
            ways.append((way, as_line(by_run)))
        if may_be_finished(self.rows, self.table):
            finished = as_finished(self.rows, self.table)
            if finished is not None:
                each = ("if each row is a finished run, say so in sweep.yaml", finished)
                ways = [*ways, each] if self._shares_steps() else [each, *ways]
        label = self.label
        steps = known.select("run", "step").n_unique()
        if label is None and not naming and LEAST <= self.differ.height <= steps / 2:
            label = self._by_order()
        if label is not None and not (naming and (label.counts or self._are_many(label))):
            further = _as_quantities(self.table, label)
            beside = label.of_evaluations or (label.sparse and self._is_sparse(known))
            ways = [*further, *ways] if beside else [*ways, *further]
        if not ways and self.differ.height >= LEAST:
            way = (
                "say in sweep.yaml which is of which run, by a column that names it under "
                "table.columns.run; where the file has none, put one in, or put each run's rows "
                "into a file of its own"
            )
            if not self.fell_short:
                return way, ""
            ways = [(way, "")]
        if self.fell_short:
            anew = as_line(self.table.model_copy(update={"restarts": True}))
            way = "if it is one run, each restart of which replaces what it makes anew, say so"
            ways = [(way, anew), *ways] if self.restarted else [*ways, (way, anew)]
        if not ways:
            way = (
                "say in sweep.yaml which is of which run, by a column that names it under "
                "table.columns.run, or leave rows out, as in"
            )
            return f"{way}\n  {_without_farthest(self, known)}", ""
        told = "\n; or ".join(f"{way}:\n  {line}" if line else way for way, line in ways)
        return told, ways[0][1]

    def _shares_steps(self) -> bool:
        """Tell whether every N has the same steps, several, as curves have and grids need not."""
        told = map(self.table.columns.get, ("step", *SIZES))
        step, size, *_ = [str(each.column) for each in told if each is not None]
        steps = self.rows.group_by(size).agg(pl.col(step).unique().sort())[step]
        return steps.n_unique() == 1 and len(steps[0]) >= LEAST_STEPS

    def _is_sparse(self, known: pl.DataFrame) -> bool:
        """Tell whether few of the steps between the first and last that differ do, as evaluations.

        A second run has all of a run's steps until its end.
        """
        first, last = self.differ["step"].min(), self.differ["step"].max()
        between = known.filter(pl.col("step").is_between(first, last))
        # of every second step, from one that differs to another, the half and one do
        several = self.differ.height > 1
        return 2 * self.differ.height - several <= between.select("run", "step").n_unique()

    def _are_many(self, label: Label) -> bool:
        """Tell whether what tells rows apart says more than two words of them, as names of runs."""
        if label.column is None or label.of_evaluations:
            return False
        differing = pl.col(ROW).is_in(self.differ["rows"].explode().to_list())
        return self.rows.filter(differing)[label.column].n_unique() > LEAST

    def _by_order(self) -> Label | None:
        """Tell two rows of each step apart by their order, where nothing else does."""
        axis, run = self.table.columns.get(self.axis), self.table.columns.get("run")
        if axis is None or axis.column is None or (self.differ["rows"].list.len() > 2).any():
            return None
        keys = [axis.column, *([run.column] if run is not None and run.column else [])]
        return by_order(keys)


def _as_quantities(table: TableMap, label: Label) -> list[tuple[str, str]]:
    """Write the maps by which rows are evaluations, or are left out."""
    loss = table.columns.get("train_loss")
    if loss is None or loss.column is None:
        return []
    which = "the second of each step" if label.column is None else f"those with {label.other}"
    ways = []
    cases = {
        value: loss.model_copy(
            update={"column": None, "formula": f'CASE WHEN {where} THEN "{loss.column}" END'}
        )
        for value, where in (("train_loss", label.first), ("eval_loss", label.other))
    }
    if "eval_loss" not in table.columns and not table.evals:
        way = f"if {which} are evaluations, say so in sweep.yaml"
        columns = {**table.columns, **cases}
        ways.append((way, as_line(table.model_copy(update={"columns": columns}))))
    columns = {**table.columns, "train_loss": cases["train_loss"]}
    way = f"if {which} are neither evaluations nor of other runs, leave them out"
    ways.append((way, as_line(table.model_copy(update={"columns": columns}))))
    if label.last is not None:
        formula = f'CASE WHEN {label.last} THEN "{loss.column}" END'
        anew = loss.model_copy(update={"column": None, "formula": formula})
        way = f"if they are restarts, each of which goes on from {which}, that one counts"
        columns = {**table.columns, "train_loss": anew}
        ways.append((way, as_line(table.model_copy(update={"columns": columns}))))
    return ways if label.repeats else ways[::-1]


def _without_farthest(told: _Differing, known: pl.DataFrame) -> str:
    """Write the map that leaves out, of the first rows that differ, the one off the curve."""
    table = told.table
    run, _, step, _, losses = told.differ.row(0)
    of_run = known.filter(pl.col("run").eq_missing(run))
    off = losses[farthest(of_run, step, losses)]
    loss = table.columns.get("train_loss", table.columns.get("eval_loss"))
    wheres = [
        f'"{origin.column}" = {as_text(number / origin.scale)}'
        for origin, number in ((table.columns.get(told.axis), step), (loss, off))
        if origin is not None and origin.column is not None
    ]
    rule = TableExclusion(where=" AND ".join(wheres) or "<condition>", reason="<why>")
    return as_line(table.model_copy(update={"exclude": (*table.exclude, rule)}))


def _count(rows: int, axis: str) -> str:
    """Count the places of a curve that have several rows."""
    if axis == "tokens":
        return f"{rows} counts of tokens have" if rows > 1 else "1 count of tokens has"
    return f"{rows} steps have" if rows > 1 else "1 step has"


def _together(rows: pl.DataFrame, run: TableColumn | None, names: Sequence[str]) -> TableColumn:
    """Name runs by columns, behind the name that they have."""
    known = [run.column] if run is not None and run.column is not None else []
    if not known and len(names) == 1:
        return TableColumn(column=names[0])
    told = [f'"{name}"' for name in known]
    for name in names:
        cells = rows[name]
        counts = cells.dtype.is_numeric() and bool((cells.drop_nulls() % 1 == 0).all())
        told.append(f'CAST("{name}" AS BIGINT)' if counts else f'"{name}"')
    joined = ", '-', ".join(told)
    return TableColumn(formula=f"CONCAT({joined})")
