"""Runs laid out as tables, each by itself: those that have not changed are taken as they were."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from isoflop.ingest.long_run import is_long, lay_out_long
from isoflop.ingest.measures import measure
from isoflop.ingest.rows import Rows, merged
from isoflop.ingest.tabulate import (
    Impossible,
    conversions,
    curves_table,
    evals_table,
    impossible_losses,
    records_of,
)
from isoflop.tables import Curves, Evals

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from isoflop.ingest.runs import Run

_ORDER: Final = {
    "curves": ("run", "segment", "step"),
    "evals": ("run", "segment", "step", "eval_set", "metric"),
}
BATCH: Final = 250_000
"""Records laid out at once: they take 1 KB each meanwhile, and an eighth of that afterwards."""
_TUPLES: Final = ("spike", "decimals", "impossible")


@dataclass(frozen=True, slots=True)
class LaidOut:
    """What the records of runs come to.

    Attributes
    ----------
    curves, evals : rows of the `Curves` and `Evals` tables, sorted.
    reached : the runs that made a step which no restart replaced.
    impossible : by run, its losses that are none.
    measured : by run that has a curve, what `measures.measure` gives.
    keys : by run, what all this depends on.
    """

    curves: Rows
    evals: Rows
    reached: frozenset[str] = frozenset()
    impossible: Mapping[str, Impossible] = field(default_factory=dict)
    measured: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    keys: Mapping[str, str] = field(default_factory=dict)

    def of_runs(self, runs: Sequence[str], below: Path | None) -> LaidOut:
        """Keep some runs alone; `below` as of `Rows`."""
        wanted = set(runs)
        names = pl.Series(runs, dtype=pl.String).implode()
        everything = wanted == self.keys.keys()

        def rows(table: Rows) -> Rows:
            if everything:
                return table
            chosen = Rows(table.lazy().collect_schema(), below)
            for piece in table.pieces():
                chosen.append(piece.filter(pl.col("run").is_in(names)))
            return chosen

        def some(table: Mapping[str, Any]) -> dict[str, Any]:
            return {run: value for run, value in table.items() if run in wanted}

        return LaidOut(
            rows(self.curves),
            rows(self.evals),
            self.reached & wanted,
            some(self.impossible),
            some(self.measured),
            some(self.keys),
        )

    @classmethod
    def joined(cls, pieces: Sequence[LaidOut], below: Path | None) -> LaidOut:
        """Join pieces that have no run in common; `below` as of `Rows`."""
        return cls(
            merged([piece.curves for piece in pieces], _ORDER["curves"], below),
            merged([piece.evals for piece in pieces], _ORDER["evals"], below),
            frozenset[str]().union(*(piece.reached for piece in pieces)),
            {run: losses for piece in pieces for run, losses in piece.impossible.items()},
            {run: values for piece in pieces for run, values in piece.measured.items()},
            {run: key for piece in pieces for run, key in piece.keys.items()},
        )

    def rest(self) -> bytes:
        """Write all but the tables as JSON."""
        measured = {
            run: {**values, "curve": values["curve"] and values["curve"].hex()}
            for run, values in self.measured.items()
        }
        return json.dumps([self.keys, sorted(self.reached), self.impossible, measured]).encode()

    @classmethod
    def read(cls, curves: Rows, evals: Rows, rest: bytes) -> LaidOut:
        """Read what `rest` wrote, beside the tables.

        Raises
        ------
        ValueError, TypeError, KeyError : it is of another version.
        """
        keys, reached, impossible, measured = json.loads(rest)
        for values in measured.values():
            values["curve"] = values["curve"] and bytes.fromhex(values["curve"])
            values |= {name: values[name] and tuple(values[name]) for name in _TUPLES}
        losses = {run: Impossible(*values) for run, values in impossible.items()}
        return cls(curves, evals, frozenset(reached), losses, measured, keys)


def lay_out(runs: Sequence[Run], kept: LaidOut | None, below: Path | None = None) -> LaidOut:
    """Lay out runs; those that are as they were when they were kept are taken from there.

    Parameters
    ----------
    runs : runs that can be laid out.
    kept : what an earlier reading came to.
    below : folder for what does not fit into memory; see `Rows`.
    """
    keys = {run.name: key for run in runs if (key := _key(run)) is not None}
    if any(run.identity.value("curve_eval") is not None for run in runs):
        kept = None  # the median over all runs moves each run's curve
    known = kept.keys if kept is not None else {}
    same = [name for name, key in keys.items() if known.get(name) == key]
    taken = set(same)
    anew = [run for run in runs if run.name not in taken]
    laid_out = _of_batches((_laid_out(batch, keys, below) for batch in _batches(anew)), below)
    if kept is None or not same:
        return laid_out
    return LaidOut.joined([kept.of_runs(same, below), laid_out], below)


def _of_batches(batches: Iterator[LaidOut], below: Path | None) -> LaidOut:
    """Put batches one after the other: their runs are in order."""
    curves, evals = (
        Rows({name: column.dtype for name, column in schema.columns().items()}, below)
        for schema in (Curves, Evals)
    )
    reached: set[str] = set()
    impossible: dict[str, Impossible] = {}
    measured: dict[str, Mapping[str, Any]] = {}
    keys: dict[str, str] = {}
    for batch in batches:
        curves.extend(batch.curves)
        evals.extend(batch.evals)
        reached |= batch.reached
        impossible |= batch.impossible
        measured |= batch.measured
        keys |= batch.keys
    return LaidOut(curves, evals, frozenset(reached), impossible, measured, keys)


def _batches(runs: Sequence[Run]) -> list[Sequence[Run]]:
    """Divide runs, so that the records of some, and not of all, are in memory at once."""
    if any(run.identity.value("curve_eval") is not None for run in runs):
        return [runs]
    batches: list[list[Run]] = [[]]
    lines = 0
    for run in runs:
        if lines > BATCH or (batches[-1] and (is_long(run) or is_long(batches[-1][-1]))):
            batches.append([])
            lines = 0
        batches[-1].append(run)
        lines += sum(part.run.lines for part in run.parts)
    return [*batches]


def _laid_out(runs: Sequence[Run], keys: Mapping[str, str], below: Path | None) -> LaidOut:
    """Lay out runs from their records."""
    if len(runs) == 1 and is_long(runs[0]) and (long := lay_out_long(runs[0], below)):
        name = runs[0].name
        return LaidOut(
            long.curves,
            long.evals,
            frozenset([name] if long.reached else []),
            {} if long.impossible is None else {name: long.impossible},
            {name: long.measured},
            {name: keys[name]} if name in keys else {},
        )
    records = records_of(runs)
    curves = curves_table(records)
    impossible = impossible_losses(records)
    units = {run.name: run.identity.nats for run in runs}
    words = {run: (fault.losses, fault.words) for run, fault in impossible.items()}
    return LaidOut(
        Rows.of(Curves.cast(curves.select(Curves.column_names()))),
        Rows.of(Evals.cast(evals_table(records))),
        _reached(curves),
        impossible,
        measure(curves, units, words),
        {run.name: keys[run.name] for run in runs if run.name in keys},
    )


def _reached(curves: pl.DataFrame) -> frozenset[str]:
    """Name the runs that made a step which no restart replaced."""
    live = curves.filter(~pl.col("superseded"), pl.col("tokens") > 0)
    return frozenset(live["run"].unique())


def _key(run: Run) -> str | None:
    """Say what a run's tables depend on; None if another reading may come to something else."""
    read = [part.log.key for part in run.parts]
    if None in read:
        return None
    parts = [[part.log.key, part.run.name] for part in run.parts]
    return hashlib.sha256(json.dumps([parts, conversions(run)]).encode()).hexdigest()
