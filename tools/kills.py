"""Kill builds at random moments, and see that the documented command goes on to the same bytes.

    python3 run.py kills                       200 kills
    python3 run.py kills --kills 20 --seed 7   fewer, at other moments
    python3 run.py kills data/losses/toy.parquet
                                               of a build of that alone

A toy sweep is built once undisturbed. Then `python3 run.py report` is started in another folder and
killed (SIGKILL) after a random time, over and over, until one build ends before its kill; then the
next chain starts from an empty folder. What is killed, at random:

- group      run.py and everything that it started, as a time limit or a power cut would
- snakemake  snakemake alone: its jobs live on, and may write while the next build starts
- job        one subcommand, as the kernel does when memory runs out: the build itself fails

Nobody lifts a lock or deletes a file in between. A chain is at fault where the last build does not
succeed, a byte of an output differs from the undisturbed build, or a temporary file is left; and
where a build takes an output for damaged.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

from tests.workflow.toy import LEAST, Project, copy_project, with_environment, write_sweep

KINDS: Final = ("group", "snakemake", "job")
BUDGETS: Final = (1e12, 4e12, 1.6e13)
NOTHING: Final = "no subcommand"
EARLIEST: Final = 0.5
"""Earliest moment of a kill [s]."""
JOB: Final = re.compile(r"\S*python\S* \S*/isoflop ([a-z-]+)")


class Kill(NamedTuple):
    """After how many seconds what is killed."""

    delay: float
    kind: str


@dataclass
class Tally:
    """What was done, and what it came to.

    Attributes
    ----------
    kills : number of kills by kind.
    amid : number of them while a subcommand ran, by the subcommand's name.
    chains : number of builds that were brought to an end.
    faults : broken promises, in words.
    """

    kills: Counter[str] = field(default_factory=Counter)
    amid: Counter[str] = field(default_factory=Counter)
    chains: int = 0
    faults: list[str] = field(default_factory=list)


def main() -> None:
    """Kill, rebuild, compare."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("targets", nargs="*", help="what is built; every report without")
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--slowest", type=float,
        help="latest moment of the first kill [s]; half of the undisturbed build's time without it",
    )  # fmt: skip
    parser.add_argument("--minutes", type=float, default=600.0, help="stop after this time")
    options = parser.parse_args()
    moments = random.Random(options.seed)  # noqa: S311  no secret
    until = time.monotonic() + 60 * options.minutes
    tally = Tally()
    with tempfile.TemporaryDirectory() as folder:
        undisturbed = toy(Path(folder) / "undisturbed")
        since = time.monotonic()
        with started(undisturbed, *options.targets) as build:
            build.wait()
        if build.returncode != 0:
            sys.exit(printed(undisturbed))
        took = time.monotonic() - since
        slowest = options.slowest or took / 2
        print(f"undisturbed: {took:.0f} s; kills after {EARLIEST} to {slowest:.0f} s", flush=True)
        wanted = undisturbed.outputs()
        while sum(tally.kills.values()) < options.kills and time.monotonic() < until:
            root = Path(folder) / f"chain{tally.chains}"
            project = toy(root)
            while sum(tally.kills.values()) < options.kills and time.monotonic() < until:
                # as often in the first seconds as in all later ones: what is short is hit as well
                delay = EARLIEST * (slowest / EARLIEST) ** moments.random()
                kill = Kill(delay, moments.choice(KINDS))
                idle = tally.amid[NOTHING]
                was_killed = killed(project, options.targets, kill, moments, tally)
                # however busy the machine is, half of the kills hit a subcommand
                slowest *= 1.2 if tally.amid[NOTHING] > idle else 1 / 1.2
                slowest = max(EARLIEST, slowest)
                if not was_killed:
                    break
                print(summary(tally), flush=True)
            finish(project, options.targets, wanted, tally)
            shutil.rmtree(root)
            print(summary(tally), flush=True)
    sys.exit(1 if tally.faults else 0)


def toy(root: Path) -> Project:
    """Lay out a small project with run.py and an environment that it takes for its own."""
    project = copy_project(root, sweep=False)
    write_sweep(root / "data/raw/toy", budgets=BUDGETS)
    with_environment(root)
    return project


def started(project: Project, *targets: str) -> subprocess.Popen[bytes]:
    """Start the documented command, in a process group of its own."""
    temporary = project.root / "tmp"
    temporary.mkdir(exist_ok=True)
    # into a file: a pipe would stay open, and be waited for, while any job lives
    with (project.root / "build.txt").open("wb") as output:
        return subprocess.Popen(
            [sys.executable, "run.py", "report", "--nocolor", *targets, "--config", LEAST],
            cwd=project.root,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, "TMPDIR": str(temporary)},
            start_new_session=True,
        )


def printed(project: Project) -> str:
    """Give what the build printed last, and its jobs."""
    return (project.root / "build.txt").read_text()[-5000:] + project.logs()


def finish(
    project: Project, targets: list[str], wanted: dict[str, bytes], tally: Tally
) -> None:  # fmt: skip
    """Let a build that was killed come to its end, and compare it."""
    with started(project, *targets) as build:
        build.wait()
    tally.chains += 1
    notice_false_alarms(project, tally)
    if build.returncode != 0:
        tally.faults.append(f"chain {tally.chains} did not end:\n{printed(project)}")
        return
    outputs = project.outputs()
    differing = sorted(
        name for name in {*outputs, *wanted} if outputs.get(name) != wanted.get(name)
    )
    if differing:
        tally.faults.append(f"chain {tally.chains} differs: {', '.join(differing)}")
    left = sorted(map(str, [*project.root.rglob(".*.tmp"), *(project.root / "tmp").iterdir()]))
    if left:
        tally.faults.append(f"chain {tally.chains} left {', '.join(left)}")


def notice_false_alarms(project: Project, tally: Tally) -> None:
    """Count a build that takes an output for damaged: a kill damages nothing that has its name."""
    if "changed or damaged" in (project.root / "build.txt").read_text():
        tally.faults.append(f"a false alarm:\n{printed(project)}")


def killed(
    project: Project, targets: list[str], kill: Kill, moments: random.Random, tally: Tally
) -> bool:  # fmt: skip
    """Start a build and kill it, or a part of it, after a time; False where it ended before."""
    with started(project, *targets) as build:
        try:
            status = build.wait(kill.delay)
        except subprocess.TimeoutExpired:
            pass
        else:
            if status != 0:
                tally.faults.append(f"a build refused to go on:\n{printed(project)}")
            return False
        notice_false_alarms(project, tally)
        commands = processes(project.root)
        jobs = {pid: match[1] for pid, words in commands.items() if (match := JOB.match(words))}
        snakemakes = sorted(pid for pid, words in commands.items() if "-m snakemake" in words)
        victims = {"group": [], "snakemake": snakemakes[:1], "job": sorted(jobs)}[kill.kind]
        kind = kill.kind
        try:
            os.kill(moments.choice(victims), signal.SIGKILL)
        except (IndexError, ProcessLookupError):  # none has begun, or it has just ended
            kind = "group"
            os.killpg(build.pid, signal.SIGKILL)
        build.wait()
    tally.kills[kind] += 1
    tally.amid.update(jobs.values() or [NOTHING])
    return True


def processes(root: Path) -> dict[int, str]:
    """Give the command lines of the processes that work in a folder."""
    commands = {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if (path / "cwd").resolve() == root.resolve():
                words = (path / "cmdline").read_bytes().decode(errors="replace").split("\0")
                commands[int(path.name)] = " ".join(words).strip()
        except OSError:
            continue  # it ended in between, or is another user's
    return commands


def summary(tally: Tally) -> str:
    """Put the tally into words."""
    kinds = ", ".join(f"{n} {kind}" for kind, n in sorted(tally.kills.items()))
    amid = ", ".join(f"{name} {n}" for name, n in tally.amid.most_common())
    faults = "".join(f"\n{fault}" for fault in tally.faults)
    return (
        f"{sum(tally.kills.values())} kills ({kinds}), {tally.chains} builds brought to an end, "
        f"{len(tally.faults)} faults; running at the time: {amid}{faults}"
    )


if __name__ == "__main__":
    main()
