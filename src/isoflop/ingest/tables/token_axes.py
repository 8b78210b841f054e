"""Which column of tokens says how far a curve had gone, and which how far a run was to go.

Tables have both beside each other, `tokens` and `total_tokens`, by any of the names. The one rises
along a curve; the other is the same in all rows of a run, and would make D some thousand times too
large if it were taken for the tokens of a step.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NoReturn

import polars as pl

from isoflop.config.sidecar import TableColumn
from isoflop.ingest.reading.events import Remark
from isoflop.ingest.reading.refused import RefusedError
from isoflop.ingest.tables.outline import as_factor, as_points, scaled
from isoflop.ingest.tables.sizes import USUAL_PER_PARAMETER
from isoflop.ingest.tables.still_counts import STILL, Standing
from isoflop.ingest.tables.wide import as_numbers, in_counts
from isoflop.ingest.words.names import find_batch, find_count

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from isoflop.config.sidecar import TableMap

FALLS: Final = 0.05
"""Share of the rows with a higher step whose tokens may be fewer: restarts, and no noise."""
LEAST_OF_A_STEP: Final = 64.0
"""No step of training has fewer tokens: a sequence is as long as that."""
MOST_OF_A_STEP: Final = 2.0**24
"""Few steps of training have more tokens."""
LARGE_STEP: Final = 2.0**22
"""More tokens than that are rather of several steps."""
ON_AND_ON: Final = 0.6
"""Share of the rows with a higher step whose tokens are more, where they are counted on: those of
a step or of a batch rise a few times, or fall about as often."""
ANEW: Final = 2.0
"""Usual rises from row to row that a count is at most, once it has begun anew."""
EXACT: Final = 0.01
"""Relative difference of counts that are as many."""
THOUSANDS: Final = 1_000
"""Updates that a step may be counted in."""
REACHED: Final = 1.01
"""Times its total that a curve may go: the last step ends a little behind it."""


class Counts:
    """Tells whether tokens are a count of all so far: they rise where the step of a run does.

    Parameters
    ----------
    table : the map.
    guessed : whether names gave it; what sweep.yaml says is not asked.
    """

    def __init__(self, table: TableMap, *, guessed: bool) -> None:
        self._table = table
        self._asked = guessed and {"step", "tokens"} <= table.columns.keys()
        self._further = self._rising = self._falling = self._anew = 0
        self._apart: set[float] = set()
        self._steps = self._most = self._ratio = 0.0
        self._standing: dict[str, Standing] = {}

    def add(self, values: pl.DataFrame) -> Counts:
        """Take in rows, laid out as for `wide.curves_block`."""
        if self._asked:
            step, tokens = as_numbers(values["step"]), as_numbers(values["tokens"])
            run = values["run"]
            rows = pl.DataFrame([step.alias("step"), tokens.alias("tokens"), run.alias("run")])
            if "params.total" in values.columns:
                rows = rows.with_columns(as_numbers(values["params.total"]).alias("size"))
            # some trainers log 0 throughout unless told to count
            rows = rows.filter(pl.col("step") > 0, pl.col("tokens") > 0)
            same = pl.col("run").eq_missing(pl.col("run").shift())
            further = same & (pl.col("step").diff() > 0)
            change = rows.select(
                pl.col("tokens", "step").diff().filter(further),
                pl.col("tokens").filter(further).alias("count"),
            )
            self._further += change.height
            if len(self._apart) < 2:
                self._apart |= {*change["step"].unique().head(2)}
            self._rising += int((change["tokens"] > 0).sum())
            self._falling += int((change["tokens"] < 0).sum())
            rise = change.select(pl.col("tokens").filter(pl.col("tokens") > 0).median())
            begins = (pl.col("tokens") < 0) & (pl.col("count") <= ANEW * (rise.item() or 0.0))
            self._anew += change.filter(begins).height
            self._measure(rows)
            for (name,), of_run in rows.sort("step").group_by("run", maintain_order=True):
                counts = of_run.select("step", "tokens").to_numpy()
                self._standing.setdefault(str(name), Standing()).add(counts[:, 0], counts[:, 1])
        return self

    @property
    def _stand_still(self) -> bool:
        """Whether the tokens of most runs stay as they are for long."""
        shares = [each.share for each in self._standing.values() if each.share is not None]
        return 2 * sum(share > STILL for share in shares) > len(shares)

    @property
    def _counted_on(self) -> bool:
        """Whether the tokens rise from row to row, though they may begin anew or stop."""
        begins = 2 * self._anew >= self._falling
        return begins and self._rising >= ON_AND_ON * self._further

    def _measure(self, rows: pl.DataFrame) -> None:
        """Remember the ends of steps and tokens, and of tokens per parameter."""
        for step, tokens in rows.select(pl.col("step", "tokens").max()).iter_rows():
            self._steps, self._most = max(self._steps, step or 0), max(self._most, tokens or 0)
        if "size" in rows.columns:
            ratio = rows.filter(pl.col("size") > 0)
            most = ratio.select((pl.col("tokens") / pl.col("size")).median()).item()
            self._ratio = max(self._ratio, most or 0.0)

    def ask(self) -> None:
        """Refuse tokens that are no count of all so far, and propose a map.

        Raises
        ------
        RefusedError : they never rise, rise on few rows and stand still for long, or fall on one
            row of twenty or more.
        """
        few = self._rising and self._falling <= FALLS * self._further
        if not self._further or (few and (self._counted_on or not self._stand_still)):
            return
        columns = dict(self._table.columns)
        tokens, step = columns.pop("tokens"), columns["step"].column
        begin = (
            f"'{tokens.column}' does not rise with '{step}', so it is no count of all tokens so far"
        )
        if not self._rising and self._is_total():
            columns["schedule.tokens"] = tokens
            of_step = "tokens_per_step" in columns or "batch" in columns
            if not of_step:
                columns["tokens"] = TableColumn(formula=self._by_last_step(tokens))
            proposal = as_points(self._table.model_copy(update={"columns": columns}))
            told = (
                ", but of all that a run was to have, which its last step has if it came to its "
                "end (of one that did not, say tokens_per_step under facts: and map no tokens)"
            )
            told = ", but of all that a run was to have" if of_step else told
            raise RefusedError(f"{begin}{told}: say so in sweep.yaml:\n  {proposal}", proposal)
        if self._rising and not self._counted_on:
            self._ask_for_sum(begin, columns, tokens)
        what = "counts those of a step"
        say = "leave it out and say tokens_per_step under facts:"
        if self._rising:
            what = "begins anew, as with each epoch"
        elif "tokens_per_step" not in columns:
            columns["tokens_per_step"] = tokens
            say = "map it as tokens_per_step"
        proposal = as_points(self._table.model_copy(update={"columns": columns}))
        ways = [(f"if it {what}, {say}, in sweep.yaml", proposal)]
        between = self._between_rows(tokens) if "tokens_per_step" in columns else None
        if between is not None and columns["tokens_per_step"] is tokens:
            apart, formula = between
            columns["tokens_per_step"] = TableColumn(formula=formula)
            line = as_points(self._table.model_copy(update={"columns": columns}))
            way = (f"if those of the {apart:g} steps from row to row, say so", line)
            ways = [way, *ways] if self._are_of_rows(apart) else [*ways, way]
        told = "\n; or ".join(f"{way}:\n  {line}" for way, line in ways)
        raise RefusedError(f"{begin}: {told}", ways[0][1])

    def _ask_for_sum(
        self, begin: str, columns: dict[str, TableColumn], tokens: TableColumn
    ) -> NoReturn:
        """Propose sums of tokens that change: of every step, or of every row.

        Parameters
        ----------
        columns : of the map, without the tokens.
        """
        step = f'"{columns["step"].column}"'
        names = (columns[name].column for name in ("run", "params.total") if name in columns)
        name = next(filter(None, names), None)
        by = f'PARTITION BY "{name}" ' if name is not None else ""
        along = f"OVER ({by}ORDER BY {step})"
        factor = f"{as_factor(tokens.scale)} * " if tokens.has_unit else ""
        of_rows = f'{factor}"{tokens.column}"'
        of_steps = f"{of_rows} * ({step} - COALESCE(LAG({step}) {along}, 0))"
        ways = []
        for what, count in (("a step", of_steps), ("the steps since the row before", of_rows)):
            columns["tokens"] = TableColumn(formula=f"SUM({count}) {along}")
            line = as_points(self._table.model_copy(update={"columns": columns}))
            ways.append((f"if it counts those of {what}, add them up", line))
        if len(self._apart) == 1 and self._are_of_rows(min(self._apart)):
            ways.reverse()
        told = "\n; or ".join(f"{way}, in sweep.yaml:\n  {line}" for way, line in ways)
        raise RefusedError(f"{begin}: {told}", ways[0][1])

    def _between_rows(self, tokens: TableColumn) -> tuple[float, str] | None:
        """Give the steps from row to row, where these are several and always as many.

        Beside them stands the formula of the tokens of a step by those of all of them.
        """
        if self._rising or len(self._apart) != 1 or (apart := min(self._apart)) <= 1:
            return None
        factor = f"{as_factor(tokens.scale)} * " if tokens.has_unit else ""
        return apart, f'{factor}"{tokens.column}" / {apart:g}'

    def _are_of_rows(self, apart: float) -> bool:
        """Tell whether a constant count is rather of the steps from row to row than of one."""
        if not self._ratio:
            return self._most > LARGE_STEP
        of_step, of_rows = (
            abs(math.log(self._ratio * self._steps / steps / USUAL_PER_PARAMETER))
            for steps in (1.0, apart)
        )
        return of_rows < of_step

    def _is_total(self) -> bool:
        """Tell whether a count that is the same at all steps is of a run, and not of a step."""
        if self._most < LEAST_OF_A_STEP * self._steps:
            return False
        if not self._ratio:
            return self._most > MOST_OF_A_STEP
        as_total, as_steps = (
            abs(math.log(ratio / USUAL_PER_PARAMETER))
            for ratio in (self._ratio, self._ratio * self._steps)
        )
        return as_total < as_steps

    def _by_last_step(self, total: TableColumn) -> str:
        """Write the tokens so far as a share of a run's total, which its last step has."""
        columns = self._table.columns
        names = [columns[name].column for name in ("run",) if name in columns]
        names = names or [c.column for n, c in columns.items() if n in ("params.total", "tokens")]
        step = columns["step"].column
        by = ", ".join(f'"{name}"' for name in names)
        factor = f"{total.scale:g} * " if total.has_unit else ""
        return f'"{step}" * {factor}"{total.column}" / (MAX("{step}") OVER (PARTITION BY {by}))'


def refuse_counts_of_others(raw: pl.DataFrame, table: TableMap) -> None:
    """Refuse tokens of one device beside those of all, and steps that are counted in thousands.

    Parameters
    ----------
    raw : the rows, as they are in the file.
    table : the map of a table of curves by names.

    Raises
    ------
    RefusedError : they are, and a map that says so.
    """
    step = table.columns.get("step")
    if step is None or step.column is None or step.has_unit:
        return
    steps = as_numbers(raw[step.column])
    known = steps.filter(steps.is_finite())
    in_updates = known * THOUSANDS
    broken = int((known != known.floor()).sum())
    counted = bool(((in_updates - in_updates.round()).abs() < EXACT).all())
    if 2 * broken > known.len() > 1 and counted:
        columns = {**table.columns, "step": TableColumn(column=step.column, scale=THOUSANDS)}
        proposal = as_points(table.model_copy(update={"columns": columns}))
        raise RefusedError(
            f"'{step.column}' is mostly no count of updates (first {known[0]:g}); if it is in "
            f"thousands, say so in sweep.yaml:\n  {proposal}",
            proposal,
        )
    _refuse_shards(raw, table, steps)


def _refuse_shards(raw: pl.DataFrame, table: TableMap, steps: pl.Series) -> None:
    """Refuse tokens that are the same part of steps times the tokens of a step in all rows."""
    tokens, of_step = table.columns.get("tokens"), table.columns.get("tokens_per_step")
    sequences = find_batch(raw.columns, sure=True)
    if tokens is None or tokens.column is None or (of_step is None and sequences is None):
        return
    counted = in_counts(raw[tokens.column], tokens.scale)
    if of_step is not None and of_step.column is not None:
        names = [of_step.column]
        of_all_devices = steps * in_counts(raw[of_step.column], of_step.scale)
    elif sequences is not None:
        names = [*sequences]
        of_all_devices = steps * as_numbers(raw[names[0]]) * as_numbers(raw[names[1]])
    else:
        return
    parts = (of_all_devices / counted).filter((counted > 0) & (of_all_devices > 0))
    middle = parts.median()
    if not isinstance(middle, float) or parts.len() < 2:
        return
    shards = round(middle)
    if shards < 2 or ((parts - shards).abs() > EXACT * shards).any():
        return
    columns = {name: each for name, each in table.columns.items() if name != "tokens"}
    if of_step is None:
        facts = ("batch", "architecture.seq_len")
        columns |= {fact: TableColumn(column=name) for fact, name in zip(facts, names, strict=True)}
    of_all = as_points(table.model_copy(update={"columns": columns}))
    told = " x ".join(f"'{name}'" for name in [str(table.columns["step"].column), *names])
    raise RefusedError(
        f"'{tokens.column}' is {told} / {shards} in all rows, as where one of {shards} devices "
        f"counts its own: if so, say in sweep.yaml:\n  {of_all}\n; if it counts those of "
        f"all:\n  {as_points(table)}",
        of_all,
    )


def may_be_of_others(names: Sequence[str], table: TableMap) -> bool:
    """Tell whether `refuse_counts_of_others` must see all rows."""
    of_step = "tokens_per_step" in table.columns or find_batch(names, sure=True) is not None
    return of_step and {"step", "tokens"} <= table.columns.keys()


def rising(raw: pl.DataFrame, table: TableMap) -> tuple[TableMap, list[Remark]]:
    """Take the column of tokens that rises along curves, where the first known does not.

    What is the same in all rows of a run is the length of its schedule: how far it was to go.

    Parameters
    ----------
    raw : the rows, as they are in the file.
    table : the map of a table of curves by names, which takes the first name that is known.
    """
    tokens = table.columns.get("tokens")
    if tokens is None or tokens.column is None:
        return table, []
    able = [tokens, *_others(raw.columns, table)]
    counts = next((each for each in able if _rises(raw, table, each)), None)
    if counts is None:
        return table, []
    columns = {**table.columns, "tokens": counts}
    changed = table.model_copy(update={"columns": columns})
    remarks = []
    if counts is not tokens:
        why = "which does not rise along its curves"
        remarks.append(Remark(f"tokens: '{counts.column}' and not '{tokens.column}', {why}"))
    told = {name.partition(".")[0] for name in table.columns}
    total = next((each for each in able if _is_total(raw, changed, each)), None)
    if total is not None and "schedule" not in told:
        columns["schedule.tokens"] = total
        why = "the same in all rows of a run, is what it was to have"
        remarks.append(Remark(f"schedule.tokens: '{total.column}', {why}"))
    return table.model_copy(update={"columns": columns}), remarks


def has_totals(names: Sequence[str], table: TableMap) -> bool:
    """Tell whether other columns than that which a map takes may be tokens."""
    return "tokens" in table.columns and any(_others(names, table))


def _others(names: Sequence[str], table: TableMap) -> Iterator[TableColumn]:
    """List the further columns whose names mean tokens."""
    used = {origin.column for origin in table.columns.values()}
    left = [name for name in names if name not in used]
    while (told := find_count("tokens", left)) is not None:
        yield scaled(*told)
        left = [name for name in left if name != told[0]]


def _changes(raw: pl.DataFrame, table: TableMap, tokens: TableColumn) -> pl.Series:
    """Give by how much a count of tokens changes from row to later row of a run."""
    run, step = (table.columns.get(name) for name in ("run", "step"))
    cells = in_counts(raw[str(tokens.column)], tokens.scale).alias("tokens")
    further = pl.lit(value=True)
    rows = pl.DataFrame([cells])
    if step is not None and step.column is not None:
        rows = rows.with_columns(as_numbers(raw[step.column]).alias("step"))
        further = pl.col("step").diff() > 0
    names = raw[run.column] if run is not None and run.column is not None else pl.lit("")
    rows = rows.with_columns(names.alias("run")).filter(pl.col("tokens") > 0)
    same = pl.col("run").eq_missing(pl.col("run").shift())
    return rows.select(pl.col("tokens").diff().filter(same & further)).to_series()


def _rises(raw: pl.DataFrame, table: TableMap, tokens: TableColumn) -> bool:
    """Tell whether tokens are a count of all so far."""
    change = _changes(raw, table, tokens)
    return bool((change > 0).any()) and (change < 0).sum() <= FALLS * change.len()


def _is_total(raw: pl.DataFrame, table: TableMap, tokens: TableColumn) -> bool:
    """Tell whether tokens are the same in all rows of a run, and as many as it comes to."""
    change = _changes(raw, table, tokens)
    if tokens.column == table.columns["tokens"].column or not change.len() or (change != 0).any():
        return False
    counted = table.columns["tokens"]
    reached, total = (in_counts(raw[str(each.column)], each.scale) for each in (counted, tokens))
    return bool((reached <= REACHED * total).all())
