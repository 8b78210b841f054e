"""The whole workflow on folders of raw logs, from wherever isoflop is installed: `isoflop run`."""

from __future__ import annotations

import csv
import errno
import os
import re
import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, TextIO

import click

from isoflop.command import PATH
from isoflop.errors import FULL, SAYS_FULL, IsoflopError
from isoflop.files import cache_of_project, closed_folder, remove_temporaries, scratch
from isoflop.folder_lock import JOBS_LOCK, alone, build_alone
from isoflop.made_outputs import FOLDERS
from isoflop.numbers import number_of
from isoflop.progress import Progress
from isoflop.sweep_folders import sidecar_that_is_none

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

RAW: Final = Path("data/raw")
SIDECAR: Final = "sweep.yaml"
SNAKEMAKE_LOCKS: Final = Path(".snakemake/locks")
WRITTEN: Final = (*FOLDERS, "data/cache", "logs", "benchmarks", ".run")
"""Where builds write, below the project's folder."""
TAIL: Final = 4000
"""Characters of a failed build's output that are shown."""
JOB_LOG: Final = re.compile(r"^Logfile (\S.*):\n={20,}\n(.*?)\n={20,}$", re.MULTILINE | re.DOTALL)
"""A failed job's log, as Snakemake shows it."""
REASONS: Final = 6
"""Reasons for what was left out that the summary names for each sweep; the report has all."""


@click.command("run")
@click.argument("logs", nargs=-1, required=True, type=PATH)
@click.option("--out", type=PATH, required=True, help="Folder for reports and tables.")
@click.option("--title", help="Written to LOGS/sweep.yaml where that is missing.")
@click.option("--config", type=PATH, help="Settings, as far as they differ from the defaults.")
@click.option("--cores", default="all", show_default=True, help="How many, or all.")
@click.option("--archive", is_flag=True, help="Also pack each sweep into an archive.")
@click.option("--dry-run", is_flag=True, help="Only say which steps would run.")
def run_command(
    *,
    logs: tuple[Path, ...],
    out: Path,
    title: str | None,
    config: Path | None,
    cores: str,
    archive: bool,
    dry_run: bool,
) -> None:
    """Make the report of a folder of raw logs: LOGS, one folder a sweep, with its sweep.yaml.

    Nothing is copied: OUT/data/raw gets a link to each folder. LOGS may be one file, too, as a
    table of runs: it gets a folder of its name there, with its sweep.yaml. Run it again after logs
    were added, or to finish what was interrupted: only what changed is made anew. Needs no
    checkout.
    """
    for folder in logs:
        link_sweep(folder, out, title=title)
    arguments = ["--cores", cores]
    if config is not None:
        if not config.is_file():
            raise IsoflopError(f"{config} is no file. `isoflop write-config` writes a first one.")
        arguments += ["--configfile", str(config.absolute())]
    # after a `--`, or --configfile would take the target for another file
    arguments += ["--", "all", *(["archive"] if archive else [])]
    text = dry(out, arguments) if dry_run else build(out, arguments, sys.stderr)
    click.echo(text if dry_run else summary(out))


def link_sweep(logs: Path, out: Path, *, title: str | None = None) -> Path:
    """Link a folder of raw logs into a project's data/raw, under its name.

    Parameters
    ----------
    logs : folder of one sweep's raw logs, with its sweep.yaml; or the one file of a sweep.
    out : folder of the project.
    title : written to a new sweep.yaml where there is none.

    Returns
    -------
    The link; or the folder itself where it lies in data/raw already, or that was made for a file.

    Raises
    ------
    IsoflopError : it is no folder, has no sweep.yaml and no title is given, or one that is no file,
        contains the project's folder, or another sweep has its name.
    """
    if logs.is_file():
        return _folder_of_file(logs, out, title)
    if not logs.is_dir():
        raise IsoflopError(
            f"{logs} is no folder, nor a file. Give the folder that one sweep's logs lie in."
        )
    target = logs.resolve()
    if out.resolve().is_relative_to(target):
        raise IsoflopError(
            f"--out {out} lies inside the logs {logs}, which would be read as logs too. Choose a "
            "folder elsewhere."
        )
    # first of all: a title would be asked for, and written, for nothing
    if not any(path.is_file() for path in target.rglob("*") if path.name != SIDECAR):
        raise IsoflopError(
            f"{logs} holds no file but {SIDECAR}, if that: put one sweep's logs there."
        )
    _insist_on_sidecar(logs, title)
    place = out / RAW / target.name
    if place.resolve() == target:
        return place
    if place.exists() or place.is_symlink():
        raise IsoflopError(
            f"{place} is there already and is not {target}. Remove it, rename the folder of the "
            "logs, or choose another --out."
        )
    place.parent.mkdir(parents=True, exist_ok=True)
    try:
        place.symlink_to(target, target_is_directory=True)
    except OSError as error:
        raise IsoflopError(
            f"{place}: no link can be made here ({error.strerror}). Copy {logs} to {place}."
        ) from error
    return place


def _folder_of_file(log: Path, out: Path, title: str | None) -> Path:
    """Make the folder of a sweep that is one file: a link to it that cannot be a symbolic one.

    No link that leads out of a sweep's folder is followed.
    """
    if (log.parent / SIDECAR).exists():
        raise IsoflopError(
            f"{log} lies beside a {SIDECAR}, which is of its folder: give {log.parent}"
        )
    called = log.name.partition(".")[0] or log.name
    place = out / RAW / called
    copied = place / log.name
    if place.is_symlink() or any(path.name not in (log.name, SIDECAR) for path in _inside(place)):
        raise IsoflopError(
            f"{place} is there already and is not of {log}. Remove it, rename the file, or choose "
            "another --out."
        )
    place.mkdir(parents=True, exist_ok=True)
    _insist_on_sidecar(place, title or called)
    if copied.exists() and (copied.samefile(log) or _look_alike(copied, log)):
        return place
    copied.unlink(missing_ok=True)
    try:
        copied.hardlink_to(log.resolve())
    except OSError:  # another disk, or one without such links
        shutil.copy2(log, copied)
    return place


def _inside(folder: Path) -> Iterator[Path]:
    return folder.iterdir() if folder.is_dir() else iter(())


def _look_alike(copy: Path, original: Path) -> bool:
    """Tell whether a copy has the size and time of its original."""
    told, known = copy.stat(), original.stat()
    return (told.st_size, told.st_mtime_ns) == (known.st_size, known.st_mtime_ns)


def _insist_on_sidecar(logs: Path, title: str | None) -> None:
    sidecar = logs / SIDECAR
    if sidecar.is_file():
        return
    # a new one would be written through a dead link, or hang in a pipe
    if (other := sidecar_that_is_none(logs)) is not None:
        raise IsoflopError(f"{logs}: {other}")
    if title is None:
        raise IsoflopError(
            f"{logs} has no {SIDECAR}. Give --title 'what these runs are' to have one written, or "
            "write it: it may also tell what the logs do not (docs/ingest.md)."
        )
    import json

    try:
        # JSON is YAML: quotes and line ends of a title stay what they are
        sidecar.write_text(f"title: {json.dumps(title, ensure_ascii=False)}\n", encoding="utf-8")
    except OSError as error:
        raise IsoflopError(f"{sidecar} cannot be written ({error.strerror})") from error


def build(out: Path, arguments: Sequence[str], screen: TextIO) -> str:
    """Run the workflow in a folder, with a line of progress instead of Snakemake's own output.

    Parameters
    ----------
    out : folder of the project.
    arguments : of snakemake.
    screen : where progress goes: one line that is written over on a terminal, else a line for every
        tenth of the steps.

    Returns
    -------
    What Snakemake wrote.

    Raises
    ------
    IsoflopError : the build fails.
    FolderInUseError : another works in the folder.
    """
    with build_alone(out, "isoflop run") as lock:
        _recover(out, has_locks=lock is not None)
        lines: list[str] = []
        progress = Progress(screen)
        with (
            scratch(out) as temporary,
            subprocess.Popen(  # noqa: S603  our own arguments, no shell
                [*_snakemake(out), *arguments],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                env={**os.environ, **cache_of_project(out), "TMPDIR": str(temporary)},
                # it keeps the folder's lock should this process be killed alone
                pass_fds=() if lock is None else (lock,),
            ) as process,
            _ended_with(process) as ended,
        ):
            if process.stdout is None:
                raise AssertionError("the pipe was asked for")
            for line in process.stdout:
                lines.append(line)
                progress.read(line)
            status = process.wait()
        progress.end()
    if ended:
        raise IsoflopError(
            f"the build in {out} was ended by SIGTERM. The same command goes on from there."
        )
    return _text_of(out, "".join(lines), status)


@contextmanager
def _ended_with(process: subprocess.Popen[str]) -> Iterator[list[int]]:
    """Hand SIGTERM on to Snakemake and its jobs, and stay to read what it writes until its end.

    Snakemake lets its jobs end, which may take minutes, and removes what a failed one wrote.
    Without a reader it may hang in what it has to say, with the folder's lock. A time limit sends
    the signal to both.

    Yields
    ------
    The signals that came.
    """
    came: list[int] = []

    def hand_on(number: int, _: object) -> None:
        came.append(number)
        jobs = _descendants(process.pid)
        process.terminate()
        for job in jobs:
            with suppress(OSError):  # ended by itself
                os.kill(job, signal.SIGTERM)

    try:
        before = signal.signal(signal.SIGTERM, hand_on)
    except ValueError:  # called from a thread, which gets no signals
        yield came
        return
    try:
        yield came
    finally:
        signal.signal(signal.SIGTERM, before)


def _descendants(pid: int) -> list[int]:
    """List the processes that one has started, and those that these have; none without `ps`."""
    try:
        listed = subprocess.run(
            ["ps", "-A", "-o", "pid=,ppid="],  # noqa: S607  wherever a system has it
            check=True,
            capture_output=True,
            text=True,
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    pairs = [tuple(map(int, line.split())) for line in listed.splitlines()]
    known = [pid]
    for parent in known:  # which grows
        known += [child for child, its in pairs if its == parent]
    return known[1:]


def dry(out: Path, arguments: Sequence[str]) -> str:
    """Say which steps would run; writes nothing, so it waits for nobody.

    Parameters
    ----------
    out, arguments : as of ``build``.

    Returns
    -------
    What Snakemake wrote.

    Raises
    ------
    IsoflopError : the workflow cannot be planned.
    """
    done = subprocess.run(  # noqa: S603  our own arguments, no shell
        [*_snakemake(out), "--dry-run", *arguments],
        check=False,
        env={**os.environ, **cache_of_project(out)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    return _text_of(out, done.stdout, done.returncode)


def _snakemake(out: Path) -> list[str]:
    from isoflop.project import home

    return [
        sys.executable, "-m", "snakemake", "--snakefile", str(home() / "Snakefile"),
        "--directory", str(out), "--nocolor", "--show-failed-logs", "--rerun-incomplete",
    ]  # fmt: skip


def _text_of(out: Path, text: str, status: int) -> str:
    if not status:
        return text
    snakemakes = out / ".snakemake"
    # a job says so itself; Snakemake fails in the words of its own traceback
    if SAYS_FULL not in text and any(os.strerror(number) in text for number in FULL):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(snakemakes.resolve()))
    closed = closed_folder(out, (*WRITTEN, ".snakemake"), below=True)
    if not closed and (messages := _messages_of_jobs(text)):
        raise IsoflopError(f"the build in {out} failed:\n" + "\n".join(messages))
    raise IsoflopError(f"the build in {out} failed:\n{text[-TAIL:]}{closed or ''}")


def _messages_of_jobs(text: str) -> list[str]:
    """Give what failed jobs say that a user can mend; nothing where any failed in another way.

    Snakemake shows a failed job's log between two lines, amid the job's own description.
    """
    logs = JOB_LOG.findall(text)
    messages = [message.strip() for _, message in logs]
    if not messages or not all(message.startswith("Error: ") for message in messages):
        return []
    return list(dict.fromkeys(message.removeprefix("Error: ") for message in messages))


def _recover(out: Path, *, has_locks: bool) -> None:
    """Undo what a killed build left: Snakemake's lock, and files that never got their names.

    Nobody else does so at the time, since the caller has the folder's lock.

    Raises
    ------
    FolderInUseError : a snakemake that was started by itself, or a job that has outlived its build,
        is at work.
    IsoflopError : a folder may not be written to.
    IsoflopError : Snakemake's lock is there, and whether a living process has it cannot be told.
    """
    if closed := closed_folder(out, (*WRITTEN, ".snakemake")):
        raise IsoflopError(closed)
    locks = out / SNAKEMAKE_LOCKS
    if not has_locks:
        if any(locks.glob("*")):
            raise IsoflopError(
                f"{locks}: Snakemake's lock is there, of a build that is at work or was killed; "
                "there are no file locks here that would tell which. If none is at work, delete "
                "that folder, then run this again."
            )
        return
    # a snakemake takes its share of this lock before it makes a lock of its own
    with alone(out / JOBS_LOCK):
        for folder in WRITTEN:
            remove_temporaries((out / folder).rglob(".*.tmp"))
        for path in locks.glob("*"):
            path.unlink()


@dataclass(frozen=True, slots=True)
class Built:
    """What came of one sweep.

    Attributes
    ----------
    report : its page.
    answer : the recommended row of tables/answer.csv; None where nothing could be fitted.
    left_out : reason to number of files, runs or points left out for it, the most first.
    archive : its archive, where there is one.
    """

    sweep: str
    report: Path
    answer: Mapping[str, str] | None
    left_out: Mapping[str, int]
    archive: Path | None


def summary(out: Path) -> str:
    """Name each sweep's report and recommendation, and what was left out.

    Parameters
    ----------
    out : folder in which the workflow has run.
    """
    from isoflop.sweep_folders import find_sweeps

    sweeps, _ = find_sweeps(out / RAW)
    blocks = [_written(_read(out, sweep)) for sweep in sweeps]
    return "\n\n".join([*blocks, f"All sweeps: {out / 'reports' / 'index.html'}"])


def _read(out: Path, sweep: str) -> Built:
    """Read what was built of a sweep."""
    import polars as pl

    folder = out / "reports" / sweep
    answer = None
    if (folder / "tables" / "answer.csv").exists():
        with (folder / "tables" / "answer.csv").open(encoding="utf-8", newline="") as stream:
            answer = next(csv.DictReader(stream), None)
    table = pl.read_parquet(out / "data" / "losses" / f"{sweep}.left_out.parquet", glob=False)
    counted = table.group_by("reason").len().sort("len", "reason", descending=[True, False])
    archive = folder / "archive" / f"{sweep}.zip"
    return Built(
        sweep=sweep,
        report=folder / "report.html",
        answer=answer,
        left_out=dict(counted.iter_rows()),
        archive=archive if archive.exists() else None,
    )


def _written(built: Built) -> str:
    from isoflop.counting import SIZES
    from isoflop.escape import one_line
    from isoflop.numbers import PLAIN, power, ratio

    lines = [
        f"{one_line(built.sweep)}: {one_line(str(built.report))} (report.pdf, tables and figures "
        "lie beside it)"
    ]
    if built.answer is None:
        lines.append("  no allocation: no approach could be fitted; the report says why")
    else:
        row = built.answer
        lines.append(
            f"  at {power(float(row['flops']), hand=PLAIN)} FLOPs: train {_range(row, 'params')} "
            f"{SIZES[row['params_counted']]} on {_range(row, 'tokens')} tokens, "
            f"{ratio(float(row['tokens_per_param']), PLAIN)} tokens per parameter"
        )
        if against := row.get("against_all"):
            lines.append(f"  {against}")
    if not built.left_out:
        lines.append("  left out: nothing")
    else:
        lines.append(f"  left out: {sum(built.left_out.values())}")
        shown = list(built.left_out.items())[:REASONS]
        lines += [f"    {number:>5}  {one_line(reason)}" for reason, number in shown]
        rest = len(built.left_out) - len(shown)
        if rest:
            lines.append(f"           and {number_of(rest, 'more reason')}, in the report")
    if built.archive is not None:
        lines.append(f"  archive: {built.archive}")
    return "\n".join(lines)


def _range(row: Mapping[str, str], name: str) -> str:
    """Write a number with its 95 % interval, where it has one."""
    from isoflop.numbers import PLAIN, count, interval

    def write(value: float) -> str:
        return count(value, hand=PLAIN)

    ends = [row.get(f"{name}_lo95"), row.get(f"{name}_hi95")]
    value = write(float(row[name]))
    if not all(ends):
        return value
    low, high = (float(end) for end in ends if end)
    return f"{value} (95 %: {interval(low, high, write)})"
