"""Whether the rows of a long table mean one by one what they mean together.

Points of a curve are put in order of their steps, and some cells are judged beside others of their
run or column. Rows that lie in that order, and cells of one kind, need not wait for the rest.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import polars as pl

from isoflop.ingest.parsed import of_one_value
from isoflop.ingest.wide import as_numbers, is_fact

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

    def add(self, values: pl.DataFrame) -> None:
        """Take in further rows, laid out as for `wide.curves_block`."""
        step = as_numbers(values["step"])
        known = pl.select(pl.when(step.is_finite()).then(step)).to_series()
        self._gaps |= known.null_count() > 0
        for run, steps in _of_runs(values["run"], known):
            self._follow(run, steps)
        if self._gaps and len(self._runs) > 1:  # rows without a step come first of their run
            raise NeededWholeError
        if "tokens" in values.columns:
            later = as_numbers(values["tokens"]).filter((step > 0).fill_null(value=False))
            self._signs |= {False} if (later == 0).any() else set()
            self._signs |= {True} if (later > 0).any() else set()
            if (
                len(self._signs) > 1
            ):  # a zero among counts is left out, but zeros throughout are not
                raise NeededWholeError
        for cells in values:
            if is_fact(cells.name) and cells.null_count() < cells.len():
                kind = self._kinds.setdefault(cells.name, cells.dtype)
                if kind != cells.dtype:  # text in one place makes text of the column
                    raise NeededWholeError

    def repeats(self, _: str) -> bool:
        """Tell whether a run has several rows."""
        return self.rows > len(self._runs)

    def _follow(self, run: str | None, steps: pl.Series) -> None:
        """Take in the next rows of a run."""
        before, known = self._runs.get(run), steps.drop_nulls()
        if run in self._runs and run != self._run:  # runs take turns
            raise NeededWholeError
        if known.len():
            back = before is not None and known[0] <= before
            if back or not (known.diff().drop_nulls() > 0).all():
                raise NeededWholeError
            before = known[-1]
        self._run, self._runs[run] = run, before
        self.rows += steps.len()


def _of_runs(runs: pl.Series, steps: pl.Series) -> Iterator[tuple[str | None, pl.Series]]:
    """Divide rows where another run begins; mostly they are of one."""
    if of_one_value(runs):
        yield runs[0], steps
        return
    begins = runs.ne_missing(runs.shift(1)).to_numpy().nonzero()[0].tolist()
    begins = [0, *(at for at in begins if at)] if runs.len() else []
    for begin, end in zip(begins, [*begins[1:], runs.len()], strict=False):
        yield runs[begin], steps[begin:end]
