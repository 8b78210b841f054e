"""From a folder of raw logs to the tables of one sweep."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import polars as pl

from isoflop.errors import ConfigError, IsoflopError, MissingFactError
from isoflop.ingest.fates import Log, read_logs
from isoflop.ingest.runs import Part, Run, sort_by_run
from isoflop.ingest.sidecar import SIDECAR, read_sidecar, unmatched
from isoflop.ingest.tabulate import (
    curves_table,
    evals_table,
    files_table,
    records_of,
    runs_table,
)
from isoflop.tables import Curves, Evals, Files, Runs, validated

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from isoflop.config.ingest import IngestSettings
    from isoflop.config.sidecar import SweepFile
    from isoflop.ingest.facts import Missing


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
    files, runs, curves, evals : tables as `tables.py` states them.
    parsed, cached : raw logs read anew, and taken from the cache.
    """

    files: pl.DataFrame
    runs: pl.DataFrame
    curves: pl.DataFrame
    evals: pl.DataFrame
    parsed: int
    cached: int

    def __str__(self) -> str:
        """Say what was read."""
        files = "file" if self.parsed == 1 else "files"
        rejected = self.files.filter(pl.col("fate") == "rejected").height
        return (
            f"parsed {self.parsed} {files}, {self.cached} from cache; {self.runs.height} runs, "
            f"{self.curves.height} curve points; {rejected} files rejected"
        )


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
    ConfigError : sweep.yaml is absent or does not fit its model or the files.
    MissingFactError : runs lack facts; all of them at once, with the lines to add.
    EmptySweepError : no file could be read as a log.
    UnreadableError : a file could not be read and settings.on_unreadable is stop.
    """
    sweep = sweep or folder.name
    sidecar = read_sidecar(folder)
    logs = read_logs(folder, sidecar, cache)
    parts = sort_by_run(folder, logs, sidecar)
    logs = _with_configurations(logs, parts)
    _refuse_emptiness(folder, logs, settings)
    runs = [Run.of(name, of_run, sidecar) for name, of_run in parts.items()]
    _complain(folder, runs, logs, sidecar)
    records = records_of(runs)
    curves = curves_table(records)
    return Ingested(
        files=validated(files_table(sweep, logs), Files, source="files"),
        runs=validated(runs_table(sweep, runs, curves, sidecar), Runs, source="runs"),
        curves=validated(curves.select(Curves.column_names()), Curves, source="curves"),
        evals=validated(evals_table(records), Evals, source="evals"),
        parsed=sum(log.parsed is not None and not log.cached for log in logs),
        cached=sum(log.cached for log in logs),
    )


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


def _refuse_emptiness(folder: Path, logs: Sequence[Log], settings: IngestSettings) -> None:
    """Stop where there is nothing to go on with."""
    rejected = [f"  {log.file.name}: {log.reason}" for log in logs if log.fate == "rejected"]
    if rejected and settings.on_unreadable == "stop":
        raise UnreadableError(
            f"{folder}: {len(rejected)} files cannot be read (ingest.on_unreadable is stop):\n"
            + "\n".join(rejected)
        )
    if not any(log.fate == "used" and log.parsed is not None for log in logs):
        reasons = ":\n" + "\n".join(rejected) if rejected else f" besides {SIDECAR}."
        raise EmptySweepError(
            f"{folder} holds no training log that could be read{reasons}\n"
            f"Drop logs in, one per run (docs/ingest.md)."
        )


def _complain(folder: Path, runs: Sequence[Run], logs: Sequence[Log], sidecar: SweepFile) -> None:
    """Raise once, with everything that sweep.yaml must still say."""
    matched: dict[str, tuple[str, ...]] = {log.file.name: () for log in logs}
    matched |= {run.name: run.paths for run in runs}
    slips = unmatched(sidecar, matched)
    if slips:
        raise ConfigError("\n".join(f"{folder / SIDECAR}: {line}" for line in slips))
    complaints = [line for run in runs for line in run.complaints()] + _missing_facts(runs)
    if complaints:
        raise MissingFactError(f"{folder / SIDECAR} must say more:\n" + "\n".join(complaints))


def _missing_facts(runs: Sequence[Run]) -> list[str]:
    """Complain of each fact that runs lack once, naming the runs and the lines to add."""
    lacking: dict[Missing, list[str]] = {}
    for run in runs:
        for missing in run.identity.missing:
            lacking.setdefault(missing, []).append(run.name)
    complaints = []
    for missing, names in lacking.items():
        who = ", ".join(f"'{name}'" for name in names)
        lines = "".join(
            f'\n  - match: "{name}"\n    {missing.line}' for name in names[:LINES_SHOWN]
        )
        more = "\n  ..." if len(names) > LINES_SHOWN else ""
        complaints.append(
            f"{'run' if len(names) == 1 else 'runs'} {who}: the {missing.fact} is known neither "
            f"from the log nor from {SIDECAR}. Add under 'runs:' in {SIDECAR}, or once under "
            f"'facts:' if all runs share it:{lines}{more}"
        )
    return complaints
