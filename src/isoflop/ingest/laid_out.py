"""Runs laid out as tables, each by itself: those that have not changed are taken as they were."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from isoflop.ingest.measures import measure
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
    from collections.abc import Mapping, Sequence

    from isoflop.ingest.runs import Run

_ORDER: Final = {
    "curves": ("run", "segment", "step"),
    "evals": ("run", "segment", "step", "eval_set", "metric"),
}
BATCH: Final = 1_000_000
"""Records laid out at once: they take 1 KB each meanwhile, and an eighth of that afterwards."""
_TUPLES: Final = ("spike", "decimals", "impossible")


@dataclass(frozen=True, slots=True)
class LaidOut:
    """What the records of runs come to.

    Attributes
    ----------
    curves, evals : the `Curves` and `Evals` tables, sorted.
    impossible : by run, its losses that are none.
    measured : by run that has a curve, what `measures.measure` gives.
    keys : by run, what all this depends on.
    """

    curves: pl.DataFrame
    evals: pl.DataFrame
    impossible: Mapping[str, Impossible] = field(default_factory=dict)
    measured: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    keys: Mapping[str, str] = field(default_factory=dict)

    def of_runs(self, runs: Sequence[str]) -> LaidOut:
        """Keep some runs alone."""
        wanted = set(runs)
        names = pl.Series(runs, dtype=pl.String).implode()
        everything = wanted == self.keys.keys()

        def some(table: Mapping[str, Any]) -> dict[str, Any]:
            return {run: value for run, value in table.items() if run in wanted}

        return LaidOut(
            self.curves if everything else self.curves.filter(pl.col("run").is_in(names)),
            self.evals if everything else self.evals.filter(pl.col("run").is_in(names)),
            some(self.impossible),
            some(self.measured),
            some(self.keys),
        )

    @classmethod
    def joined(cls, pieces: Sequence[LaidOut]) -> LaidOut:
        """Join pieces that have no run in common."""
        return cls(
            pl.concat([piece.curves for piece in pieces]).sort(_ORDER["curves"]),
            pl.concat([piece.evals for piece in pieces]).sort(_ORDER["evals"]),
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
        return json.dumps([self.keys, self.impossible, measured]).encode()

    @classmethod
    def read(cls, curves: pl.DataFrame, evals: pl.DataFrame, rest: bytes) -> LaidOut:
        """Read what `rest` wrote, beside the tables.

        Raises
        ------
        ValueError, TypeError, KeyError : it is of another version.
        """
        keys, impossible, measured = json.loads(rest)
        for values in measured.values():
            values["curve"] = values["curve"] and bytes.fromhex(values["curve"])
            values |= {name: values[name] and tuple(values[name]) for name in _TUPLES}
        losses = {run: Impossible(*values) for run, values in impossible.items()}
        return cls(curves, evals, losses, measured, keys)


def lay_out(runs: Sequence[Run], kept: LaidOut | None) -> LaidOut:
    """Lay out runs; those that are as they were when they were kept are taken from there.

    Parameters
    ----------
    runs : runs that can be laid out.
    kept : what an earlier reading came to.
    """
    keys = {run.name: key for run in runs if (key := _key(run)) is not None}
    if any(run.identity.value("curve_eval") is not None for run in runs):
        kept = None  # the median over all runs moves each run's curve
    known = kept.keys if kept is not None else {}
    same = [name for name, key in keys.items() if known.get(name) == key]
    taken = set(same)
    anew = [run for run in runs if run.name not in taken]
    pieces = [] if kept is None or not same else [kept.of_runs(same)]
    pieces += [_laid_out(batch, keys) for batch in _batches(anew)]
    return pieces[0] if len(pieces) == 1 else LaidOut.joined(pieces)


def _batches(runs: Sequence[Run]) -> list[Sequence[Run]]:
    """Divide runs, so that the records of some, and not of all, are in memory at once."""
    if any(run.identity.value("curve_eval") is not None for run in runs):
        return [runs]
    batches: list[list[Run]] = [[]]
    lines = 0
    for run in runs:
        if lines > BATCH:
            batches.append([])
            lines = 0
        batches[-1].append(run)
        lines += sum(part.run.lines for part in run.parts)
    return [*batches]


def _laid_out(runs: Sequence[Run], keys: Mapping[str, str]) -> LaidOut:
    """Lay out runs from their records."""
    records = records_of(runs)
    curves = curves_table(records)
    impossible = impossible_losses(records)
    units = {run.name: run.identity.nats for run in runs}
    words = {run: (fault.losses, fault.words) for run, fault in impossible.items()}
    return LaidOut(
        Curves.cast(curves.select(Curves.column_names())),
        Evals.cast(evals_table(records)),
        impossible,
        measure(curves, units, words),
        {run.name: keys[run.name] for run in runs if run.name in keys},
    )


def _key(run: Run) -> str | None:
    """Say what a run's tables depend on; None if another reading may come to something else."""
    read = [part.log.key for part in run.parts]
    if None in read:
        return None
    parts = [[part.log.key, part.run.name] for part in run.parts]
    return hashlib.sha256(json.dumps([parts, conversions(run)]).encode()).hexdigest()
