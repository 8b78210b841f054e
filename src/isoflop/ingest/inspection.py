"""What raw logs are, before any sweep.yaml is written: `isoflop inspect`."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from glob import escape
from typing import TYPE_CHECKING, Any, Final

import polars as pl
import yaml

from isoflop.config.ingest import IngestSettings
from isoflop.config.sidecar import SweepFile
from isoflop.ingest.facts.identity import SCHEDULE_LENGTH, WINDOW_LINE
from isoflop.ingest.facts.sidecar import SIDECAR, read_sidecar, rule_for
from isoflop.ingest.fates import read_file, read_logs
from isoflop.ingest.formats import takes_map
from isoflop.ingest.reading.members import FORMATS
from isoflop.ingest.sweep import settle
from isoflop.ingest.words.file_names import SIDE_FILE
from isoflop.ingest.words.sizes_in_names import count_files, size_in

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from isoflop.ingest.facts.identity import Missing
    from isoflop.ingest.reading.log import Log
    from isoflop.ingest.runs.logical_runs import Run
    from isoflop.ingest.sweep import Ingested, Reading


@dataclass(frozen=True, slots=True)
class Inspected:
    """What was found in a file or a folder.

    Attributes
    ----------
    reading : its files and runs.
    tables : the same as tables.
    has_sidecar : whether a sweep.yaml was heeded.
    mapped : the same with the maps that tables ask for, as far as these have no gaps; and the maps.
    """

    reading: Reading
    tables: Ingested
    has_sidecar: bool
    mapped: tuple[Reading, str, Mapping[str, str]]

    def __str__(self) -> str:
        """Tell file by file and run by run, and give a sweep.yaml to start from."""
        if not set(self.tables.files["path"]) - {SIDECAR}:
            return (
                f"{self.reading.folder}: no logs in it, nor in its folders. Copy the raw logs of a "
                f"sweep there, as the trainer wrote them, or name the folder that has them."
            )
        lines = []
        beside = self.tables.files.filter(pl.col("reason") == SIDE_FILE)
        for file in self.tables.files.iter_rows(named=True):
            if file["reason"] == SIDE_FILE:
                continue
            kind = f" as {file['format']}" if file["format"] else ""
            why = f": {file['reason']}" if file["reason"] else ""
            lines.append(f"{file['path']}: {file['fate']}{kind}, {file['rows']} records{why}")
        if beside.height:
            names = Counter(path.rpartition("/")[2] for path in beside["path"])
            told = (f"{name} ({n})" if n > 1 else name for name, n in sorted(names.items()))
            lines.append(f"ignored, {SIDE_FILE}: {', '.join(told)}")
        for row, run in zip(self.tables.runs.iter_rows(named=True), self._runs, strict=True):
            lines += ["", *_run_lines(row, run)]
        if self.reading.slips:
            lines += ["", *(f"{SIDECAR}: {line}" for line in self.reading.slips)]
        if not self.has_sidecar:
            lines += ["", f"# {SIDECAR} to start from:", self.sidecar_text().rstrip()]
        return "\n".join(lines)

    def as_json(self) -> dict[str, Any]:
        """Give the same as plain values."""
        rows = self.tables.runs.iter_rows(named=True)
        checks: dict[str, list[dict[str, Any]]] = {}
        for check in self.tables.gates.drop("sweep").iter_rows(named=True):
            checks.setdefault(check.pop("run"), []).append(check)
        return {
            "files": self.tables.files.drop("sweep")
            .with_columns(pl.col("last_day").cast(pl.String))
            .to_dicts(),
            "runs": [
                {
                    "run": run.name,
                    "files": list(run.paths),
                    "format": run.trainer,
                    "tokens": row["tokens"],
                    "status": row["status"],
                    "eval_sets": run.eval_sets,
                    "facts": {
                        name: {"value": fact.value, "source": fact.source}
                        for name, fact in sorted(run.identity.facts.items())
                    },
                    "missing": [missing._asdict() for missing in run.identity.missing],
                    "left_out": row["reason"],
                    "lacking_window": _lacking_window(run),
                    "checks": checks.get(run.name, []),
                    "notes": row["notes"],
                }
                for row, run in zip(rows, self._runs, strict=True)
            ],
            "slips": list(self.reading.slips),
            "sweep_yaml": None if self.has_sidecar else self.sidecar_text(),
        }

    def sidecar_text(self) -> str:
        """Write a sweep.yaml that says what is missing, with gaps to fill in."""
        title = json.dumps(self.reading.folder.resolve().name, ensure_ascii=False)
        lines = [f"title: {title}"]
        reading, alone, of_files = self.mapped
        runs = sorted((run for run in reading.runs if not run.excluded), key=lambda run: run.name)
        rules, of_tables = _rules(reading.logs, runs)
        shared, single = _gaps(runs)
        if len(rules) == len(runs):  # a table tells this of every run
            shared = [line for line in shared if not all(_tells(rule, line) for rule in rules)]
        single = _untold(single, rules)
        if shared:
            lines += ["facts:", *(f"  {line}" for line in shared)]
        if alone:
            lines += alone.split("\n")
        if single or of_files or rules:
            lines.append("runs:")
        lines += [f"  {rule}" for rule in rules]
        further = {name: proposal for name, proposal in of_tables.items() if proposal}
        for name, proposal in {**of_files, **further}.items():
            lines += [f"  - {rule_for(name)}", *(f"    {line}" for line in proposal.split("\n"))]
        for name, gaps in single.items():
            lines += [f"  - {rule_for(name)}", *(f"    {line}" for line in gaps)]
        ignored = [name for name, further in of_tables.items() if not further]
        if ignored:
            lines.append("ignore:")
        for name in ignored:
            lines.append(
                f"  - {{{rule_for(name)}, reason: its rows of runs with a log are rules above}}"
            )
        lagging = [run.name for run in runs if _lacking_window(run) is not None]
        if lagging:
            names = ", ".join(json.dumps(name, ensure_ascii=False) for name in lagging)
            lines.append(
                f"# where training losses are fitted, say the window of those of {names}, of a "
                f"moving average 1 / (1 - b) where each update keeps the share b:\n"
                f"#   {WINDOW_LINE}"
            )
        lines += _behind_gaps(alone, *of_files.values())
        return "\n".join(lines) + "\n"

    @property
    def _runs(self) -> Sequence[Run]:
        return sorted(self.reading.runs, key=lambda run: run.name)


def inspect(path: Path) -> Inspected:
    """Look at a file, or at a folder of logs; nothing is written and no cache is used.

    Parameters
    ----------
    path : the file or folder. A sweep.yaml in the folder is heeded.

    Raises
    ------
    ConfigError : the folder's sweep.yaml does not fit its model or the files.
    """
    folder = path if path.is_dir() else path.parent
    has_sidecar = path.is_dir() and (path / SIDECAR).exists()
    sidecar = read_sidecar(folder) if has_sidecar else SweepFile(title=folder.resolve().name)
    logs = read_logs(folder, sidecar, None) if path.is_dir() else read_file(path, sidecar)
    reading = settle(folder, logs, sidecar)
    tables = reading.tables(folder.resolve().name, IngestSettings())
    asked = _maps(reading.logs)
    mapped = (reading, *asked) if has_sidecar else _mapped(path, reading, sidecar)
    return Inspected(reading, tables, has_sidecar, mapped)


def _mapped(
    path: Path, reading: Reading, sidecar: SweepFile
) -> tuple[Reading, str, Mapping[str, str]]:
    """Read with the maps that tables ask for: what their runs lack is known then, too."""
    alone, of_files = _maps(reading.logs)
    for _ in range(ROUNDS):
        full = {name: proposal for name, proposal in of_files.items() if GAP not in proposal}
        if not (full or (alone and GAP not in alone)):
            break
        told = sidecar.model_copy(update=_as_rules(alone if GAP not in alone else "", full))
        logs = (read_logs if path.is_dir() else read_file)(path, told, *[None] * path.is_dir())
        further, others = _maps(logs)
        if further:  # a map that another question follows, as one of units
            alone = further
        elif others.keys() & full.keys():
            of_files = {**of_files, **others}
        else:
            return settle(reading.folder, logs, told), alone, of_files
    return reading, alone, of_files


def _behind_gaps(*maps: str) -> list[str]:
    """Say what will be asked of runs that are known once the gaps of a map are filled."""
    if not any(GAP in each and "rows: points" in each for each in maps):
        return []
    return [
        "# once the gaps of its map are filled, runs of a table mostly lack these, too",
        "# (tokens_per_step where no column counts tokens; schedule under runs: where lengths",
        "# differ):",
        f"#   facts: {OF_CURVES}",
    ]


def _as_rules(alone: str, of_files: Mapping[str, str]) -> dict[str, Any]:
    """Read maps as sweep.yaml has them."""
    rules = [
        {"match": escape(name), **yaml.safe_load(proposal)} for name, proposal in of_files.items()
    ]
    told = {"title": "", "runs": rules, **(yaml.safe_load(alone) if alone else {})}
    model = SweepFile.model_validate(told)
    return {"table": model.table, "runs": model.runs}


GAP: Final = "<"
"""Begins a gap in what is proposed."""
OF_CURVES: Final = (
    "{params: {total: <embedding included>}, tokens_per_step: <tokens in one optimiser step>, "
    "schedule: {kind: cosine, steps: <steps>}}"
)
"""What the runs of a curve without more columns need, which is known once its map is there."""
ROUNDS: Final = 3
"""Questions of tables that follow from each other, at most."""


def _lacking_window(run: Run) -> str | None:
    """Say that a run's training losses average over an unknown window."""
    return run.identity.lacking_window if run.trains else None


def _run_lines(row: Mapping[str, Any], run: Run) -> Iterator[str]:
    """Tell of one run."""
    yield f"run '{run.name}' ({run.trainer}; {', '.join(run.paths)})"
    reached = f"{row['tokens']:.6g} tokens" if row["tokens"] else "tokens unknown"
    yield f"  D: {reached}; {row['status'] or 'end unknown'}"
    if run.eval_sets:
        yield f"  eval sets: {', '.join(run.eval_sets)}"
    for name, fact in sorted(run.identity.facts.items()):
        yield f"  {name}: {fact.value} ({fact.source})"
    if words := _lacking_window(run):
        yield f"  {words}"
    if row["reason"]:
        yield f"  left out: {row['reason']}"
    if row["notes"]:
        yield f"  notes: {row['notes']}"


def _maps(logs: Sequence[Log]) -> tuple[str, dict[str, str]]:
    """List the maps that tables ask for: one for all files, or else by file.

    A map stands for all tables of a folder, so where others are read without it, each has a rule.
    """
    asked = {
        log.file.name: log.parsed.proposal
        for log in logs
        if log.fate == "rejected"
        and log.parsed is not None
        and log.parsed.proposal
        and not log.parsed.proposal.startswith(RULES)
    }
    # an archive is read member by member, and has no reader of its own
    tables = (log for log in logs if log.fate == "used" and log.format not in FORMATS)
    others = any(takes_map(log.format or "") for log in tables)
    if others or len(set(asked.values())) > 1:
        return "", asked
    return next(iter(asked.values()), ""), {}


RULES: Final = "runs:\n"
"""Begins a proposal of rules, where others are maps."""


def _rules(logs: Sequence[Log], runs: Sequence[Run]) -> tuple[list[str], dict[str, str]]:
    """List the rules that tables of what runs are propose, of the runs that there are.

    Returns
    -------
    The rules, and by table that has some the map of its other rows; none where it has no others.
    """
    known = tuple(f"- {{{rule_for(name)}, " for run in runs for name in (run.name, *run.called))
    rules: list[str] = []
    tables = {}
    for log in logs:
        proposal = "" if log.parsed is None else log.parsed.proposal
        lines = proposal.split("\n")[1:] if proposal.startswith(RULES) else []
        of_rows = [line.strip() for line in lines if line.startswith(" ")]
        if fitting := [line for line in of_rows if line.startswith(known)]:
            rules += fitting
            others = (line for line in lines if not line.startswith(" "))
            tables[log.file.name] = next(others, "") if len(fitting) < len(of_rows) else ""
    return rules, tables


def _untold(single: Mapping[str, list[str]], rules: Sequence[str]) -> dict[str, list[str]]:
    """Leave out what the rules of tables say of the same runs."""
    left = {
        name: [
            line
            for line in gaps
            if not any(
                rule.startswith(f"- {{{rule_for(name)}, ") and _tells(rule, line) for rule in rules
            )
        ]
        for name, gaps in single.items()
    }
    return {name: gaps for name, gaps in left.items() if gaps}


def _tells(rule: str, line: str) -> bool:
    """Tell whether a rule says what a line asks for, or what that follows from."""
    fact = line.split(":", maxsplit=1)[0]
    known = (fact, "batch") if fact == "tokens_per_step" else (fact,)
    return any(f" {each}: " in rule for each in known)


def _gaps(runs: Sequence[Run]) -> tuple[list[str], dict[str, list[str]]]:
    """List the lines to add: those that all runs lack, and the others by run."""
    lacking: dict[Missing, list[str]] = {}
    for run in runs:
        for missing in run.identity.missing:
            lacking.setdefault(missing, []).append(run.name)
    reached = {run.name: _reached(run) for run in runs}
    apart = (SIZE, *[SCHEDULE_LENGTH] * (not _are_as_long(runs, reached)))
    shared = [
        missing.line
        for missing, names in lacking.items()
        # the runs of a sweep are of several sizes
        if len(names) == len(runs) > 1 and not missing.fact.startswith(apart)
    ]
    sets = sorted({name for run in runs if run.primary_eval is None for name in run.eval_sets})
    if sets:
        listed = ", ".join(sets)
        shared.append(f"primary_eval: {json.dumps(sets[0], ensure_ascii=False)}   # of {listed}")
    single: dict[str, list[str]] = {}
    counted = count_files([run.name for run in runs])
    for missing, names in lacking.items():
        if missing.line not in shared:
            for name in names:
                sized = missing.fact == SIZE and not counted
                told = size_in(name, reached[name]) if sized else None
                single.setdefault(name, []).append(told or missing.line)
    return shared, single


def _are_as_long(runs: Sequence[Run], reached: Mapping[str, float | None]) -> bool:
    """Tell whether one length of a schedule may be that of all runs, by their D or their steps."""
    tokens = [count for run in runs if (count := reached[run.name]) is not None]
    steps = [max((part.run.steps or (0, 0))[1] for part in run.parts) for run in runs]
    lengths = tokens if len(tokens) == len(runs) else steps
    return not lengths or max(lengths) <= AS_LONG * min(lengths)


AS_LONG: Final = 1.05
"""Relative length up to which runs may be of one schedule."""


def _reached(run: Run) -> float | None:
    """Give the tokens that a run reached, whether or not its N is known."""
    most = pl.concat([part.records.select("step", "tokens") for part in run.parts]).max()
    per_step = run.identity.value("tokens_per_step")
    step, tokens = most.row(0)
    if tokens is None and step is not None and per_step:
        return float(step * per_step)
    return None if tokens is None else float(tokens)


SIZE: Final = "number of parameters"
"""Begins the words for what is missing where it is N."""
