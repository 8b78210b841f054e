"""Whether the rows of a long table mean one by one what they mean together.

Points of a curve are put in order of their steps, and some cells are judged beside others of their
run or column. Rows that lie in that order, and cells of one kind, need not wait for the rest.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import polars as pl

from isoflop.ingest.reading.blocks import of_one_value
from isoflop.ingest.tables.wide import as_numbers, is_fact, is_rising

if TYPE_CHECKING:
    from collections.abc import Iterator


class NeededWholeError(Exception):
    """The rows of a table mean something together only."""


@dataclass(slots=True)
class RowOrder:
    """The rows of a long table so far; every method raises `NeededWholeError` where they fail."""

    rows: int = 0
    _runs: dict[str | None, float | None] = field(default_factory=dict)
    """By run the last step that is known."""
    _run: str | None = None
    _gaps: bool = False
    _signs: set[bool] = field(default_factory=set)
    _kinds: dict[str, Any] = field(default_factory=dict)
    _last: tuple[Any, ...] = (None, None)
    """The run of the last row that has tokens, and these."""

    def add(self, values: pl.DataFrame) -> None:
        """Take in further rows, laid out as for `wide.curves_block`."""
        step = known = as_numbers(values["step"])
        rising = is_rising(step)
        if not rising:
            known = pl.select(pl.when(step.is_finite()).then(step)).to_series()
        self._gaps |= known.null_count() > 0
        for run, steps in _of_runs(values, known):
            self._follow(run, steps, rising=rising)
        if self._gaps and len(self._runs) > 1:  # rows without a step come first of their run
            raise NeededWholeError
        if (known != known.floor()).any():  # thousands of updates, it may be, are asked about
            raise NeededWholeError
        if "tokens" in values.columns:
            tokens, later = as_numbers(values["tokens"]), step > 0
            self._count_on(values, tokens)
            self._signs |= {False} if ((tokens == 0) & later).any() else set()
            self._signs |= {True} if ((tokens > 0) & later).any() else set()
            # a zero among counts is left out, but zeros throughout are not
            if len(self._signs) > 1:
                raise NeededWholeError
        # a column of one text, as names of runs mostly are, is not written out for nothing
        for cells in values.select(name for name in values.columns if is_fact(name)):
            if cells.null_count() < cells.len():
                kind = self._kinds.setdefault(cells.name, cells.dtype)
                if kind != cells.dtype:  # text in one place makes text of the column
                    raise NeededWholeError

    def _count_on(self, values: pl.DataFrame, tokens: pl.Series) -> None:
        """Fail where the tokens of a run fall though its steps do not: they may be counted on."""
        counted = values.select("run").with_columns(tokens.alias("tokens"))
        before = pl.DataFrame([self._last], schema=counted.schema, orient="row")
        counted = pl.concat([before, counted]).drop_nulls("tokens")
        same = pl.col("run").eq_missing(pl.col("run").shift())
        if counted.select(((pl.col("tokens").diff() < 0) & same).any()).item():
            raise NeededWholeError
        if counted.height:
            self._last = counted.row(-1)

    def repeats(self, *_: str) -> bool:
        """Tell whether a run has several rows."""
        return self.rows > len(self._runs)

    @property
    def runs(self) -> list[str | None]:
        """The names of the runs."""
        return [*self._runs]

    def _follow(self, run: str | None, steps: pl.Series, *, rising: bool) -> None:
        """Take in the next rows of a run; `rising`: whether they are known to be so."""
        before, known = self._runs.get(run), steps if rising else steps.drop_nulls()
        if run in self._runs and run != self._run:  # runs take turns
            raise NeededWholeError
        if known.len():
            back = before is not None and known[0] <= before
            if back or not (rising or is_rising(known)):
                raise NeededWholeError
            before = known[-1]
        self._run, self._runs[run] = run, before
        self.rows += steps.len()


def _of_runs(values: pl.DataFrame, steps: pl.Series) -> Iterator[tuple[str | None, pl.Series]]:
    """Divide rows where another run begins; mostly they are of one."""
    if of_one_value(values, "run"):
        yield values.select(pl.col("run").first()).item(), steps
        return
    runs = values["run"]
    begins = runs.ne_missing(runs.shift(1)).to_numpy().nonzero()[0].tolist()
    begins = [0, *(at for at in begins if at)] if runs.len() else []
    for begin, end in zip(begins, [*begins[1:], runs.len()], strict=False):
        yield runs[begin], steps[begin:end]
