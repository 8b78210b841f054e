"""From a folder of raw logs to the tables of one sweep."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Final

import polars as pl

from isoflop.config.sidecar import SweepFile
from isoflop.errors import ConfigError, IsoflopError, MissingFactError
from isoflop.ingest.checks.gates import Measured, judge
from isoflop.ingest.checks.two_logs import told_elsewhere
from isoflop.ingest.facts.sidecar import SIDECAR, powerless, read_sidecar, rule_for, unmatched
from isoflop.ingest.fates import read_file, read_logs
from isoflop.ingest.runs.logical_runs import Part, Run, sort_by_run
from isoflop.ingest.store.laid_out import LaidOut, lay_out
from isoflop.ingest.store.stat_index import StatIndex
from isoflop.ingest.store.sweep_cache import SweepCache
from isoflop.ingest.store.tabulate import files_table, runs_table
from isoflop.tables import Curves, Evals, Files, Gates, Runs, validated

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from isoflop.config.ingest import IngestSettings
    from isoflop.ingest.facts.identity import Missing
    from isoflop.ingest.reading.log import Log
    from isoflop.ingest.store.chunks import Chunked


LINES_SHOWN: Final = 3
"""Runs for which the lines to add are written out; the others take the same."""


class EmptySweepError(IsoflopError):
    """A sweep's folder holds nothing that could be read as a training log."""


class UnreadableError(IsoflopError):
    """A raw file cannot be read, and the settings make that an error."""


@dataclass(frozen=True, slots=True)
class Ingested:
    """The tables of one sweep, sorted, and how many files were read anew.

    Attributes
    ----------
    files, runs, gates : tables as `tables.py` states them.
    points, evaluations : rows of the tables of curves and evals, which may be on disk.
    parsed, cached : raw logs read anew, and taken from the cache.
    left_out : what runs lack, and the lines to add to sweep.yaml.
    complaint : why the sweep cannot go on, if it cannot.
    may_pass : whether another reading may say something else: a file grew, the memory was full.
    """

    files: pl.DataFrame
    runs: pl.DataFrame
    points: Chunked
    evaluations: Chunked
    gates: pl.DataFrame
    parsed: int
    cached: int
    left_out: tuple[str, ...] = ()
    complaint: IsoflopError | None = None
    may_pass: bool = False

    @property
    def curves(self) -> pl.DataFrame:
        """The table of curves, checked, whole in memory."""
        return validated(self.points.frame(), Curves, name="curves")

    @property
    def evals(self) -> pl.DataFrame:
        """The table of evaluations, checked, whole in memory."""
        return validated(self.evaluations.frame(), Evals, name="evals")

    def __str__(self) -> str:
        """Say what was read."""
        files = "file" if self.parsed == 1 else "files"
        rejected = self.files.filter(pl.col("fate") == "rejected").height
        lines = [
            f"parsed {self.parsed} {files}, {self.cached} from cache; {self.runs.height} runs, "
            f"{self.points.height} curve points; {rejected} files rejected"
        ]
        if self.left_out:
            lines += [f"left out until {SIDECAR} says more:", *self.left_out]
        return "\n".join(lines)


def ingest_sweep(
    folder: Path, settings: IngestSettings, *, sweep: str | None = None, cache: Path | None = None
) -> Ingested:
    """Read all raw logs of a sweep.

    Parameters
    ----------
    folder : data/raw/{sweep}, with sweep.yaml in it.
    settings : section `ingest` of config.yaml.
    sweep : the sweep's name in the tables; the folder's, unless given.
    cache : folder of the cache; None reads everything anew. It changes speed, never the tables.

    Raises
    ------
    ConfigError : sweep.yaml is absent or does not fit its model, the files or the runs.
    MissingFactError : runs lack facts, all of them at once with the lines to add; no run is left
        without them, or settings.on_missing is stop.
    EmptySweepError : no file could be read as a log.
    UnreadableError : a file could not be read and settings.on_unreadable is stop.
    """
    tables = read_sweep(folder, settings, sweep=sweep, cache=cache)
    if tables.complaint is not None:
        raise tables.complaint
    return tables


def ingest_file(path: Path, settings: IngestSettings, *, sweep: str) -> Ingested:
    """Read one file, or the members of one archive, as a sweep that has no sweep.yaml.

    Parameters
    ----------
    path : the file.
    settings : section `ingest` of config.yaml.
    sweep : the sweep's name in the tables.

    Raises
    ------
    ConfigError, MissingFactError, EmptySweepError, UnreadableError : as of `ingest_sweep`.
    """
    sidecar = SweepFile(title=sweep)
    tables = settle(path.parent, read_file(path, sidecar), sidecar).tables(sweep, settings)
    if tables.complaint is not None:
        raise tables.complaint
    return tables


def read_sweep(
    folder: Path, settings: IngestSettings, *, sweep: str | None = None, cache: Path | None = None
) -> Ingested:
    """Read all raw logs of a sweep, and keep what there is to complain of beside the tables.

    Parameters as of `ingest_sweep`, which raises the complaint.

    Raises
    ------
    ConfigError : sweep.yaml is absent or does not fit its model or the files.
    """
    sidecar, name = read_sidecar(folder), sweep or folder.name
    if cache is None:
        return settle(folder, read_logs(folder, sidecar, None), sidecar).tables(name, settings)
    index = StatIndex(folder, cache)
    kept = SweepCache(folder, name, cache, sidecar=sidecar, settings=settings, index=index)
    if (cached := kept.read()) is not None:
        tables, rows, told = cached
        index.save()
        return Ingested(
            files=tables["files"],
            runs=tables["runs"],
            points=rows["curves"],
            evaluations=rows["evals"],
            gates=tables["gates"],
            parsed=0,
            cached=told["logs"],
            left_out=tuple(told["left_out"]),
        )
    logs = read_logs(folder, sidecar, cache, index)
    index.save()
    reading = settle(folder, logs, sidecar, kept.laid_out(), cache)
    read = reading.tables(name, settings)
    if read.complaint is None and not read.may_pass:
        rest = {"logs": read.parsed + read.cached, "left_out": list(read.left_out)}
        tables = {"files": read.files, "runs": read.runs, "gates": read.gates}
        kept.write(tables, rest, reading.laid_out)
    return read


@dataclass(frozen=True)
class Reading:
    """The logs of a folder, read and sorted by run.

    Attributes
    ----------
    folder, sidecar : the folder, and what its side-car says.
    logs : its files with their fates.
    runs : its runs, each with why it is left out, if it is.
    laid_out : what their records come to, of the runs that can be laid out.
    slips : the rules of the side-car that match nothing.
    """

    folder: Path
    sidecar: SweepFile
    logs: Sequence[Log]
    runs: Sequence[Run]
    laid_out: LaidOut
    slips: Sequence[str] = ()

    def tables(self, sweep: str, settings: IngestSettings) -> Ingested:
        """Lay everything out as tables."""
        judged = judge(sweep, self._measured, self.sidecar, settings.gates)
        runs = [
            replace(run, excluded=judged.excluded.get(run.name, run.excluded)) for run in self.runs
        ]
        measured = {run.run.name: run.curve for run in self._measured}
        runs_listed = runs_table(sweep, runs, measured, self.sidecar, judged.notes)
        return Ingested(
            files=validated(files_table(sweep, self.logs), Files, name="files"),
            runs=validated(runs_listed, Runs, name="runs"),
            points=self.laid_out.curves,
            evaluations=self.laid_out.evals,
            gates=validated(judged.table, Gates, name="gates"),
            parsed=sum(log.parsed is not None and not log.cached for log in self.logs),
            cached=sum(log.cached for log in self.logs),
            left_out=_missing_facts(runs),
            complaint=_with_slips(
                _complaint(self.folder, runs, self.logs, settings),
                [f"{self.folder / SIDECAR}: {line}" for line in self.slips],
                self.logs,
            ),
            may_pass=any(log.parsed is not None and log.parsed.may_pass for log in self.logs),
        )

    @cached_property
    def _measured(self) -> list[Measured]:
        """The runs that have a curve, measured."""
        measured = self.laid_out.measured
        return [Measured(run, measured[run.name]) for run in self.runs if run.name in measured]


def settle(
    folder: Path,
    logs: Sequence[Log],
    sidecar: SweepFile,
    kept: LaidOut | None = None,
    below: Path | None = None,
) -> Reading:
    """Sort what files say by run, and settle what each run is.

    Parameters
    ----------
    folder, logs, sidecar : the folder, its files with their fates, and its sweep.yaml.
    kept : what an earlier reading came to: runs that are the same are taken from it.
    below : folder for what does not fit into memory; None: where temporary files go.

    Raises
    ------
    ConfigError : sweep.yaml does not fit the files.
    """
    parts = sort_by_run(folder, logs, sidecar)
    logs = _with_configurations(logs, parts)
    runs = [Run.of(name, of_run, sidecar) for name, of_run in parts.items()]
    slips = _slips(runs, logs, sidecar)
    laid_out = lay_out([run for run in runs if run.measurable], kept, below)
    runs = [run.judged(laid_out.impossible.get(run.name), laid_out.reached) for run in runs]
    elsewhere = told_elsewhere(runs)
    runs = [replace(run, excluded=elsewhere.get(run.name, run.excluded)) for run in runs]
    return Reading(folder, sidecar, logs, runs, laid_out, slips)


def _with_configurations(logs: Sequence[Log], parts: Mapping[str, Sequence[Part]]) -> list[Log]:
    """Give configuration files their fate."""
    used: dict[str, list[str]] = {}
    for run, of_run in parts.items():
        for part in of_run:
            for name in part.config[1] if part.config else ():
                used.setdefault(name, []).append(run)
    return [
        log.as_configuration(used[log.file.name]) if log.file.name in used else log for log in logs
    ]


def _complaint(
    folder: Path, runs: Sequence[Run], logs: Sequence[Log], settings: IngestSettings
) -> IsoflopError | None:
    """Say why there is nothing to go on with, or why the settings do not let it go on."""
    rejected = [f"  {log.file.name}: {log.reason}" for log in logs if log.fate == "rejected"]
    if rejected and settings.on_unreadable == "stop":
        return UnreadableError(
            f"{folder}: {len(rejected)} files cannot be read (ingest.on_unreadable is stop):\n"
            + "\n".join(rejected)
        )
    if not any(log.fate == "used" and log.parsed is not None for log in logs):
        reasons = ":\n" + "\n".join(rejected) if rejected else f" besides {SIDECAR}."
        return EmptySweepError(
            f"{folder} holds no training log that could be read{reasons}\n"
            f"Drop logs in, one per run (docs/ingest.md)."
        )
    lacking = any(run.lacking and not run.excluded for run in runs)
    usable = any(run.reason is None for run in runs)
    if lacking and (settings.on_missing == "stop" or not usable):
        return MissingFactError(
            f"{folder / SIDECAR} must say more:\n" + "\n".join(_missing_facts(runs))
        )
    if not usable:
        return EmptySweepError(
            f"{folder} has no run that can be used:\n"
            + "\n".join(f"  {run.name}: {run.reason}" for run in runs)
        )
    return None


def _with_slips(
    complaint: IsoflopError | None, slips: Sequence[str], logs: Sequence[Log]
) -> IsoflopError | None:
    """Complain of rules that match nothing, and beside them of what they may have missed by."""
    if not slips:
        return complaint
    rejected = [f"  {log.file.name}: {log.reason}" for log in logs if log.fate == "rejected"]
    if complaint is not None:
        beside = [str(complaint)]
    else:
        beside = ["files that were rejected have no runs:", *rejected] if rejected else []
    return ConfigError("\n".join([*slips, *beside]))


def _slips(runs: Sequence[Run], logs: Sequence[Log], sidecar: SweepFile) -> list[str]:
    """List the rules of sweep.yaml that match nothing, or cannot do what they say."""
    matched: dict[str, tuple[str, ...]] = {log.file.name: () for log in logs}
    matched |= {run.name: (*run.paths, *run.called) for run in runs}
    slips = unmatched(sidecar, matched)
    for run in runs:
        slips += [] if run.renamed else powerless(sidecar, run.name, run.paths)
    return slips


def _missing_facts(runs: Sequence[Run]) -> tuple[str, ...]:
    """Complain of each thing that runs lack once, naming the runs and the lines to add."""
    lacking: dict[Missing, list[str]] = {}
    complaints = []
    for run in runs:
        if run.excluded:
            continue
        complaints += [f"run '{run.name}': {line}." for line in run.complaints()]
        for missing in run.identity.missing:
            lacking.setdefault(missing, []).append(run.name)
    for missing, names in lacking.items():
        who = ", ".join(f"'{name}'" for name in names)
        lines = "".join(
            f"\n  - {rule_for(name)}\n    {missing.line}" for name in names[:LINES_SHOWN]
        )
        more = "\n  ..." if len(names) > LINES_SHOWN else ""
        complaints.append(
            f"{'run' if len(names) == 1 else 'runs'} {who}: the {missing.fact} is known neither "
            f"from the log nor from {SIDECAR}. Add under 'runs:' in {SIDECAR}, or once under "
            f"'facts:' if all runs share it:{lines}{more}"
        )
    return tuple(complaints)
