"""What becomes of each raw file: recognised, read, and used, or rejected with its reason."""

from __future__ import annotations

import hashlib
import json
import re
import tempfile
from dataclasses import replace
from glob import escape
from pathlib import Path
from typing import TYPE_CHECKING, Final

import polars as pl

from isoflop.errors import ConfigError
from isoflop.files import digest
from isoflop.ingest.facts import sidecar as side
from isoflop.ingest.formats import reader
from isoflop.ingest.formats.table import fits
from isoflop.ingest.reading.log import Log
from isoflop.ingest.reading.members import FORMATS, Member, members
from isoflop.ingest.reading.mlruns import META, TOO_LARGE, gathered, run_folders
from isoflop.ingest.reading.patterns import Recognised, readable_formats, recognise
from isoflop.ingest.reading.refused import cause
from isoflop.ingest.reading.sidefiles import (
    has_no_curve,
    is_summary,
    read_record,
    read_settings,
)
from isoflop.ingest.reading.source import RawFile, shown
from isoflop.ingest.reading.turns import in_words
from isoflop.ingest.runs.checkpoints import STATE, without_earlier_states
from isoflop.ingest.runs.evaluation_files import with_evaluations_joined, with_values
from isoflop.ingest.runs.rank_files import with_ranks_joined
from isoflop.ingest.runs.records_beside import with_records_joined
from isoflop.ingest.runs.splits import with_splits_joined
from isoflop.ingest.store.cache import parse, reading_key
from isoflop.ingest.words.file_names import SIDE_FILE, is_side_file
from isoflop.walk import Entry, because, walk

if TYPE_CHECKING:
    from collections.abc import Sequence

    from isoflop.config.sidecar import SweepFile
    from isoflop.ingest.reading.parsed import Parsed
    from isoflop.ingest.store.stat_index import StatIndex


PACKED: Final = 200_000_000
"""Bytes of records that wait in memory until their runs are laid out; others wait on disk."""


def read_logs(
    folder: Path, sidecar: SweepFile, cache: Path | None, index: StatIndex | None = None
) -> list[Log]:
    """Read every file of a sweep's folder, in order of their paths.

    Raises
    ------
    ConfigError : sweep.yaml names a format that is not known.
    """
    entries = walk(folder)
    homes = run_folders(entries)
    gathered_in = {path: meta for meta, paths in homes.items() for path in paths if path != meta}
    experiments = {meta.parent.parent / META for meta in homes}
    logs: list[Log] = []
    packed = 0
    for each in entries:
        looked = len(logs)
        if each.path in experiments:
            unread = Log(RawFile.unread(each.path, folder))
            logs.append(unread.ignored("an experiment of MLflow's"))
        elif each.path in gathered_in:
            unread = Log(RawFile.unread(each.path, folder))
            logs.append(unread.ignored(f"read with {shown(gathered_in[each.path], folder)}"))
        elif each.path in homes:
            logs.append(_run_folder(each.path, homes[each.path], folder, sidecar, cache))
        else:
            logs += _fates(each, folder, sidecar, cache, index)
        for place, log in enumerate(logs[looked:], looked):
            if log.parsed is not None and packed + log.parsed.memory > PACKED:
                log = replace(log, parsed=log.parsed.put_away(cache))  # noqa: PLW2901
                logs[place] = log
            packed += log.parsed.memory if log.parsed is not None else 0
    of_ranks = with_ranks_joined(without_earlier_states(logs), sidecar)
    of_runs = with_evaluations_joined(of_ranks, sidecar)
    apart = with_records_joined(of_runs)
    return with_splits_joined(_without_copies(_without_companions(_with_results_joined(apart))))


def read_file(path: Path, sidecar: SweepFile) -> list[Log]:
    """Read one file by itself, and the members of an archive; its name is that in its folder.

    Raises
    ------
    ConfigError : sweep.yaml names a format that is not known.
    """
    return _without_copies(_fates(Entry(path), path.parent, sidecar, None))


def _or_beside(log: Log) -> Log:
    """Leave a file alone that is called as what lies beside logs, where nothing reads it."""
    unread = log.format in FORMATS or (log.fate == "rejected" and log.parsed is None)
    quiet = unread and is_side_file(log.file.name)
    return Log(log.file).ignored(SIDE_FILE) if quiet else log


def _fates(
    entry: Entry,
    folder: Path,
    sidecar: SweepFile,
    cache: Path | None,
    index: StatIndex | None = None,
) -> list[Log]:
    """Read one entry of the folder, and the members of an archive."""
    log = _fate(entry, folder, sidecar, cache, index)
    if log.format is None or log.format not in FORMATS or log.fate != "used":
        return [log]
    inner = [_member(member, sidecar, cache) for member in members(log.file, log.format)]
    read = sum(each.fate == "used" for each in inner)
    if inner and inner[-1].file.name == f"{log.file.name}/":
        log = log.noted(str(inner.pop().reason)) if read else log.rejected(str(inner.pop().reason))
    return [log.noted(f"an archive of {len(inner)} files"), *inner]


def _run_folder(
    meta: Path, paths: Sequence[Path], folder: Path, sidecar: SweepFile, cache: Path | None
) -> Log:
    """Read a folder of MLflow's as one file."""
    unread = Log(RawFile.unread(meta, folder))
    if (why := side.ignored(sidecar, unread.file.name)) is not None:
        return unread.ignored(why)
    with tempfile.TemporaryDirectory() as spool:
        try:
            file = gathered(meta, paths, folder, Path(spool) / "run")
        except OSError as error:
            return unread.rejected(because(error))
        if file is None:
            return unread.rejected(TOO_LARGE)
        return _member(Member(file), sidecar, cache)


def _member(member: Member, sidecar: SweepFile, cache: Path | None) -> Log:
    """Read a member of an archive as a file in its place."""
    log = Log(member.file)
    if member.reason is not None:
        return log.rejected(member.reason)
    if (why := side.ignored(sidecar, member.file.name)) is not None:
        return log.ignored(why)
    try:
        read = _or_beside(_read(member.file, sidecar, cache))
    except ConfigError:
        raise  # sweep.yaml's fault
    except OSError as error:
        return log.rejected(because(error))
    except Exception as error:
        return log.rejected(f"could not be recognised: {cause(error)}")
    nested = read.format in FORMATS and read.fate == "used"
    return read.rejected("an archive within an archive; unpack it") if nested else read


def _fate(
    entry: Entry, folder: Path, sidecar: SweepFile, cache: Path | None, index: StatIndex | None
) -> Log:
    """Read one entry of the folder; whatever fails is its fate and not the sweep's."""
    unread = Log(RawFile.unread(entry.path, folder))
    if (why := side.ignored(sidecar, unread.file.name)) is not None:
        return replace(unread, fate="ignored", reason=why)
    if entry.reason is not None:
        return replace(unread, fate=entry.fate, reason=entry.reason)
    try:
        looked = index.file(entry.path) if index else RawFile.at(entry.path, folder)
        return _or_beside(_read(looked, sidecar, cache, index))
    except ConfigError:
        raise  # sweep.yaml's fault
    except OSError as error:
        return unread.rejected(because(error))
    except Exception as error:
        return unread.rejected(f"could not be recognised: {cause(error)}")


def _read(
    file: RawFile, sidecar: SweepFile, cache: Path | None, index: StatIndex | None = None
) -> Log:
    """Recognise and read one file."""
    if file.name == side.SIDECAR:
        # an edit of the rest of it makes no table anew, so no table may tell of the rest
        content = sidecar.of_logs().encode()
        of_logs = replace(file, size=len(content), digest=hashlib.sha256(content).hexdigest())
        return Log(of_logs, format="sidecar", fate="facts", reason="facts of the sweep")
    table = side.file_table(sidecar, file.name)
    seen = index.recognised(file) if index else recognise(file.sample())
    declared = side.file_format(sidecar, file.name)
    name = declared or seen.format
    if seen.format in FORMATS:
        return Log(file, seen.format)
    if name is None and table is not None and fits(file, table):
        seen, name = Recognised("table"), "table"  # its columns are those that sweep.yaml maps
    # one JSON object on one line looks like a table of one row
    may_be_settings = name == "table" and file.name.endswith((".json", ".txt"))
    if declared is None and (name is None or (may_be_settings and table is None)):
        settings = read_settings(file)
        if settings is not None:
            names = ", ".join(sorted(settings))
            return Log(
                file, "settings", fate="facts", reason=f"settings: {names}", settings=settings
            )
        if is_summary(file.name):
            return Log(file, "settings").ignored(
                "what W&B writes beside a run: its last values, and where it ran"
            )
    if name is None or (seen.refused and seen.format):
        return Log(file, seen.format, seen.runner_up).rejected(seen.refused or "unknown")
    if name not in readable_formats():
        known = ", ".join(readable_formats())
        raise ConfigError(f"{side.SIDECAR}: format '{name}' is not known; known: {known}")
    runner_up = seen.runner_up if name == seen.format else seen.format
    run = side.stated_run(sidecar, file.name)
    named = replace(file, run=run)
    parsed, cached = parse(named, name, table=table, cache=cache)
    key = None if parsed.may_pass else reading_key(named, name, table)
    log = _judged(Log(file, name, runner_up, parsed, cached, run=run, key=key), parsed)
    # a map of all tables is of the curves beside it where it does not fit
    of_others = table is sidecar.table and log.fate == "rejected"
    of_itself = declared is None and may_be_settings and (table is None or of_others)
    return _beside_curves(log) if of_itself else log


def _beside_curves(log: Log) -> Log:
    """Tell JSON that may lie beside a curve from tables: a record of its run, or settings."""
    if log.fate == "rejected" and has_no_curve(log.file):
        nothing = Log(log.file, log.format, log.runner_up)
        return nothing.rejected("unknown: no facts, no losses and no steps")
    return replace(log, record=read_record(log.file))


def _judged(log: Log, parsed: Parsed) -> Log:
    """Give a file that was read its fate."""
    if parsed.refused is not None:
        return log.rejected(parsed.refused)
    for rows, reason in parsed.left_out:
        log = log.noted(f"{rows} rows left out: {reason}")
    unread = f"{parsed.lines_unread} lines look like records and cannot be read"
    beside = f"; {unread}" if parsed.lines_unread else ""
    if not parsed.lines and parsed.left_out:
        return log.rejected(f"no row is left ({log.reason}){beside}")
    if not parsed.lines:
        lack = "cut before its first record" if parsed.truncated else "no records"
        return log.rejected("; ".join([f"{lack}{beside}", *parsed.remarks]))
    if not any(run.advances for run in parsed.runs):
        return log.rejected(f"no record after the first step{beside}")
    if len(parsed.runs) == 1 and parsed.runs[0].turns:
        lined = log.format is not None and hasattr(reader(log.format), "FORMAT")
        return log.rejected(in_words(parsed.runs[0].turns, numbered=lined))
    still = [run.name for run in parsed.runs if not run.advances]
    if still:
        shown = ", ".join(f"'{name}'" for name in still[:RUNS_SHOWN])
        more = f" and {len(still) - RUNS_SHOWN} more" if len(still) > RUNS_SHOWN else ""
        log = log.noted(f"runs left out, without a record after the first step: {shown}{more}")
    for remark in parsed.remarks:
        log = log.noted(remark)
    if parsed.lines_unread:
        log = log.noted(unread)
    return log


RUNS_SHOWN: Final = 5
"""Runs named of those that a file has and that made no step."""
_COMPANION: Final = re.compile(r"(?:^|/)wandb/debug[^/]*\.log$")
"""What W&B logs of itself."""


_RESULTS: Final = re.compile(r"(.*?)(all|eval|train|test|predict)_results\.json")
_OF_TRAINER: Final = re.compile(r"(.*?/|)(?:(?:runs|logs?|tensorboard|tb)/(?:[^/]+/)?)?[^/]+")
"""A log, and first the folder of its run: loggers of the HF Trainer's make one within it."""
_OF_HF: Final = frozenset({"hf_stdout", "llamafactory", "swift", "tensorboard"})
"""What logs of the HF Trainer and of what is built on it are read as; its state is told apart."""
_COUNTED: Final = ("tokens", "samples")


def _beside_more(logs: Sequence[Log]) -> dict[str, str]:
    """Find the results of the HF Trainer beside a file that has more of their run.

    Returns
    -------
    Path to path of that file: the Trainer's state, or else a log of its curve, or else all results
    together.
    """
    states = {
        match[1]: log.file.name
        for log in logs
        if log.format == "trainer_state"
        and log.fate == "used"
        and (match := STATE.fullmatch(log.file.name))
    }
    results = {
        log.file.name: (match[1], match[2])
        for log in logs
        if log.format == "hf_results" and (match := _RESULTS.fullmatch(log.file.name))
    }
    every = {home: name for name, (home, kind) in results.items() if kind == "all"}
    every |= _curves_by_home(logs, {home for home, _ in results.values()}) | states
    return {
        name: every[home]
        for name, (home, _) in results.items()
        if home in every and every[home] != name
    }


def _curves_by_home(logs: Sequence[Log], homes: set[str]) -> dict[str, str]:
    """Find the Trainer's log of a whole run in each of some folders, or in a logger's within it.

    Where several of one format lie there, they are several runs, and the results of none of them.
    """
    curves: dict[str, list[Log]] = {home: [] for home in homes}
    for log in logs:
        trains = log.parsed is not None and any(run.trains for run in log.parsed.runs)
        match = _OF_TRAINER.fullmatch(log.file.name)
        if log.fate != "used" or not trains or match is None:
            continue
        folder = log.file.name[: log.file.name.rfind("/") + 1]
        its = {match[1], folder} & homes
        if its and log.format in _OF_HF and _is_whole(log):
            for home in its:
                curves[home].append(log)
    first: dict[str, str] = {}
    for home, known in curves.items():
        # the event files of one folder are one run
        runs = {
            (log.format, log.file.name.rpartition("/")[0])
            if log.format == "tensorboard"
            else (log.format, log.file.name)
            for log in known
        }
        if known and len(runs) == len({log.format for log in known}):
            first[home] = known[0].file.name
    return first


def _is_whole(log: Log) -> bool:
    """Tell a log that is not cut: the next of its lines would be beyond the planned steps."""
    assert log.parsed is not None  # noqa: S101  the caller chose files that were read
    planned = _planned(log)
    steps = log.parsed.records["step"].drop_nulls().unique().sort()
    between = steps.diff().drop_nulls().median()
    if planned is None or not isinstance(between, int | float):
        return True
    return int(steps[-1]) + between > planned


def _planned(log: Log) -> float | None:
    """Give the updates that a log says its run makes."""
    runs = () if log.parsed is None else log.parsed.runs
    told = [facts.schedule.steps for run in runs for facts in run.facts]
    return next((steps for steps in reversed(told) if steps is not None), None)


def _with_results_joined(logs: Sequence[Log]) -> list[Log]:
    """Give logs without evaluations those that the results of their run have of its end."""
    joined = [*logs]
    places = {log.file.name: place for place, log in enumerate(logs)}
    beside = _beside_more(logs)
    for name, path in sorted(beside.items(), key=lambda each: "all_results" not in each[0]):
        results, log = logs[places[name]], joined[places[path]]
        if results.parsed is None or log.parsed is None or log.format not in _OF_HF:
            continue
        run = log.parsed.runs[0]
        if len(log.parsed.runs) > 1 or run.eval_sets or run.steps is None:
            continue
        end = max(run.steps[1], int(_planned(log) or 0))
        told = results.parsed.records.filter(pl.col("kind") == "eval").with_columns(
            step=pl.lit(end, pl.Int64), run=pl.lit(run.name)
        )
        if not run.counts_tokens:
            told = told.with_columns(pl.lit(None, told[n].dtype).alias(n) for n in _COUNTED)
        if told.height:
            joined[places[path]] = with_values(log, told, [results], of_log=False).noted(
                f"with the last evaluation of {name}"
            )
    return joined


def _without_companions(logs: Sequence[Log]) -> list[Log]:
    """Ignore what lies beside a log that has all of it: W&B's console, copies, results."""
    beside = _beside_more(logs)
    homes = {
        f"{log.file.name.rpartition('/')[0]}/": log.file.name
        for log in logs
        if log.format == "wandb" and log.fate == "used" and "/" in log.file.name
    }
    kept = []
    for log in logs:
        parts = re.match(r"(.*/)(?:files|logs)/", log.file.name)
        if parts and parts[1] in homes:
            kept.append(log.ignored(f"beside {homes[parts[1]]}, which has all of its run"))
        elif _COMPANION.search(log.file.name):
            kept.append(log.ignored("W&B's log of itself"))
        elif log.file.name in beside:
            kept.append(log.ignored(f"beside {beside[log.file.name]}, which has more of its run"))
        else:
            kept.append(log)
    return kept


def _without_copies(logs: Sequence[Log]) -> list[Log]:
    """Reject files with the same bytes as an earlier one."""
    first: dict[str, str] = {}
    kept = []
    for log in logs:
        if log.fate != "used":
            kept.append(log)
            continue
        original = first.setdefault(log.file.digest, log.file.name)
        is_copy = original != log.file.name
        kept.append(log.rejected(f"the same bytes as {original}") if is_copy else log)
    cut = _cut_copies([log for log in kept if log.fate == "used"])
    return [log.rejected(cut[log.file.name]) if log.file.name in cut else log for log in kept]


def _cut_copies(logs: Sequence[Log]) -> dict[str, str]:
    """Find files that are the beginning of another one, which has more records, and say so."""
    alike: dict[tuple[object, ...], list[tuple[int, Log]]] = {}
    for log in logs:
        if log.parsed is not None and log.parsed.runs:
            first = log.parsed.runs[0]
            told = first.facts[0].model_dump_json() if first.facts else ""
            since = log.parsed.written and log.parsed.written[0]
            key = (log.format, first.name, since, told)
            alike.setdefault(key, []).append((log.parsed.lines, log))
    cut: dict[str, str] = {}
    for files in alike.values():
        longest_first = sorted(files, key=lambda each: (-each[0], each[1].file.name))
        for place, (lines, log) in enumerate(longest_first):
            for more, other in longest_first[:place]:
                file, longer = log.file, other.file
                apart = log.run is not None and log.run != other.run
                if more <= lines or longer.size <= file.size or apart:
                    continue
                if _begins_with(longer, file):
                    rule = (
                        f"{{match: {json.dumps(escape(file.name))}, run: {json.dumps(file.stem)}}}"
                    )
                    cut[file.name] = (
                        f"the first {file.size} bytes of {longer.name}: a copy that was cut, or "
                        f"made while that was written; if it is a run of its own, with which "
                        f"{longer.name} begins as its branch, name it in {side.SIDECAR}, "
                        f"runs: [{rule}]"
                    )
                    break
    return cut


def _begins_with(longer: RawFile, file: RawFile) -> bool:
    """Tell whether a file begins with all of another's bytes."""
    try:
        with longer.path.open("rb") as content, file.path.open("rb") as beginning:
            if content.read(HEAD_COMPARED) != beginning.read(HEAD_COMPARED):
                return file.size < HEAD_COMPARED and digest(longer.path, file.size) == file.digest
        return digest(longer.path, file.size) == file.digest
    except OSError:  # a member of an archive, or gone
        return False


HEAD_COMPARED: Final = 4096
"""Bytes that tell most files apart, so that no more of them is read."""
