"""Runs laid out as tables, each by itself: those that have not changed are taken as they were."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

from isoflop.ingest.checks.measures import measure
from isoflop.ingest.reading.rows import Rows
from isoflop.ingest.runs.impossible import Impossible, impossible_losses
from isoflop.ingest.store.chunks import Chunked, chunked, lengths_of
from isoflop.ingest.store.long_run import is_long, lay_out_long
from isoflop.ingest.store.tabulate import conversions, curves_table, evals_table, records_of
from isoflop.tables import LIVE, Curves, Evals, types_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from collections.abc import Set as AbstractSet
    from pathlib import Path

    import polars as pl

    from isoflop.ingest.runs.logical_runs import Run
    from isoflop.tables import Schema

BATCH: Final = 250_000
"""Records laid out at once: they take 1 KB each meanwhile, and an eighth of that afterwards."""
_TUPLES: Final = ("begun_again", "spike", "decimals", "impossible")


@dataclass(frozen=True, slots=True)
class LaidOut:
    """What the records of runs come to.

    Attributes
    ----------
    curves, evals : the `Curves` and `Evals` tables.
    reached : the runs that made a step which no restart replaced.
    impossible : by run, its losses that are none.
    measured : by run that has a curve, what `measures.measure` gives.
    keys : by run, what all this depends on.
    """

    curves: Chunked
    evals: Chunked
    reached: frozenset[str] = frozenset()
    impossible: Mapping[str, Impossible] = field(default_factory=dict)
    measured: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    keys: Mapping[str, str] = field(default_factory=dict)

    def rest(self) -> bytes:
        """Write all but the tables as JSON."""
        measured = {
            run: {**values, "curve": values["curve"] and values["curve"].hex()}
            for run, values in self.measured.items()
        }
        return json.dumps([self.keys, sorted(self.reached), self.impossible, measured]).encode()

    @classmethod
    def read(
        cls, curves: Chunked, evals: Chunked, rest: bytes, lost: AbstractSet[str] = frozenset()
    ) -> LaidOut:
        """Read what `rest` wrote, beside the tables, of which those of some runs may be lost.

        Raises
        ------
        ValueError, TypeError, KeyError : it is of another version.
        """
        keys, reached, impossible, measured = json.loads(rest)
        for values in measured.values():
            values["curve"] = values["curve"] and bytes.fromhex(values["curve"])
            values |= {name: values[name] and tuple(values[name]) for name in _TUPLES}
        losses = {run: Impossible(*values) for run, values in impossible.items()}
        keys = {run: key for run, key in keys.items() if run not in lost}
        return cls(curves, evals, frozenset(reached), losses, measured, keys)


def lay_out(runs: Sequence[Run], kept: LaidOut | None, below: Path | None = None) -> LaidOut:
    """Lay out runs; those that are as they were when they were kept are taken from there.

    Parameters
    ----------
    runs : runs that can be laid out, sorted by name.
    kept : what an earlier reading came to.
    below : folder for what does not fit into memory; see `Rows`.
    """
    keys = {run.name: key for run in runs if (key := _key(run)) is not None}
    if any(run.identity.value("curve_eval") is not None for run in runs):
        kept = None  # the median over all runs moves each run's curve
    known = kept.keys if kept is not None else {}
    same = {name for name, key in keys.items() if known.get(name) == key}
    anew = _of_batches(
        (
            _laid_out(batch, below)
            for batch in _batches([run for run in runs if run.name not in same])
        ),
        below,
    )

    def table(name: Literal["curves", "evals"], schema: type[Schema]) -> Chunked:
        before = None if kept is None else getattr(kept, name)
        return chunked(
            schema,
            before,
            same,
            anew=getattr(anew, name),
            lengths=getattr(anew, f"{name}_of"),
            keys=keys,
            below=below,
        )

    if kept is None:
        kept = LaidOut(Chunked(Curves), Chunked(Evals))
    return LaidOut(
        table("curves", Curves),
        table("evals", Evals),
        (kept.reached & same) | anew.reached,
        _some(kept.impossible, same) | anew.impossible,
        _some(kept.measured, same) | anew.measured,
        keys,
    )


def _some(values: Mapping[str, Any], runs: AbstractSet[str]) -> dict[str, Any]:
    return {run: value for run, value in values.items() if run in runs}


@dataclass(slots=True)
class _Anew:
    """What runs come to that are laid out from their records; fields as of `LaidOut`.

    Attributes
    ----------
    curves_of, evals_of : by run that has some, its rows of either table.
    """

    curves: Rows
    evals: Rows
    curves_of: dict[str, int] = field(default_factory=dict)
    evals_of: dict[str, int] = field(default_factory=dict)
    reached: frozenset[str] = frozenset()
    impossible: dict[str, Impossible] = field(default_factory=dict)
    measured: dict[str, Mapping[str, Any]] = field(default_factory=dict)


def _of_batches(batches: Iterator[_Anew], below: Path | None) -> _Anew:
    """Put batches one after the other: their runs are in order."""
    joined = _Anew(Rows(types_of(Curves), below), Rows(types_of(Evals), below))
    for batch in batches:
        joined.curves.extend(batch.curves)
        joined.evals.extend(batch.evals)
        joined.curves_of |= batch.curves_of
        joined.evals_of |= batch.evals_of
        joined.reached |= batch.reached
        joined.impossible |= batch.impossible
        joined.measured |= batch.measured
    return joined


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


def _laid_out(runs: Sequence[Run], below: Path | None) -> _Anew:
    """Lay out runs from their records."""
    if len(runs) == 1 and is_long(runs[0]) and (long := lay_out_long(runs[0], below)):
        name = runs[0].name
        return _Anew(
            long.curves,
            long.evals,
            {name: long.curves.height},
            {name: long.evals.height},
            frozenset([name] if long.reached else []),
            {} if long.impossible is None else {name: long.impossible},
            {name: long.measured},
        )
    records = records_of(runs)
    curves = curves_table(records)
    evals = evals_table(records)
    impossible = impossible_losses(records)
    units = {run.name: run.identity.nats for run in runs}
    words = {run: (fault.losses, fault.words) for run, fault in impossible.items()}
    return _Anew(
        Rows.of(Curves.cast(curves.select(Curves.column_names()))),
        Rows.of(Evals.cast(evals)),
        lengths_of(curves),
        lengths_of(evals),
        _reached(curves),
        impossible,
        {**measure(curves, units, words)},
    )


def _reached(curves: pl.DataFrame) -> frozenset[str]:
    """Name the runs that made a step which no restart replaced."""
    live = curves.filter(LIVE)
    return frozenset(live["run"].unique())


def _key(run: Run) -> str | None:
    """Say what a run's tables depend on; None if another reading may come to something else."""
    read = [part.log.key for part in run.parts]
    if None in read:
        return None
    parts = [[part.log.key, part.run.name] for part in run.parts]
    return hashlib.sha256(json.dumps([parts, conversions(run)]).encode()).hexdigest()
