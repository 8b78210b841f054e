"""A build that was killed goes on when the documented command is given again.

`run.py kills` does the same to whole builds at random moments, by the hundred.
"""

from __future__ import annotations

import os
import signal
import time

import pytest
from tools.kills import JOB, printed, processes, started

from isoflop.made_outputs import changed_outputs
from isoflop.tables import Losses, read_table
from tests.workflow.toy import Project, with_environment, write_sweep

pytest.importorskip("fcntl")
TARGET = "data/losses/toy.parquet"


def kill_while_ingesting(project: Project, kind: str) -> None:
    """Start the documented command, and kill it or a part of it as soon as a job of it runs."""
    before = processes(project.root)  # what a killed build left may be dying still
    with started(project, TARGET) as build:
        until = time.monotonic() + 120
        while not any(
            JOB.match(words) for pid, words in processes(project.root).items() if pid not in before
        ):
            assert time.monotonic() < until, "ingest_sweep never began"
            assert build.poll() is None, printed(project)
            time.sleep(0.01)
        commands = processes(project.root)
        if kind == "group":
            os.killpg(build.pid, signal.SIGKILL)
        else:
            named = JOB.match if kind == "job" else lambda words: "-m snakemake" in words
            os.kill(min(pid for pid, words in commands.items() if named(words)), signal.SIGKILL)
        build.wait(timeout=120)
    assert build.returncode != 0


def damage_is_made_good(project: Project) -> None:
    """Flip a bit of what a build has made, as a disk would: no time tells."""
    sound = project.outputs()
    path = project.root / "data/curves/toy.parquet"
    facts = path.stat()
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    told = "data/curves/toy.parquet was changed or damaged after it was made; it is made anew"
    # Snakemake alone says so too, and does not go on
    alone = project.snakemake(TARGET)
    assert alone.status != 0
    assert told in alone.text
    assert "--rerun-incomplete" in alone.text
    with started(project, TARGET) as build:
        assert build.wait(timeout=300) == 0, printed(project)
    assert (project.root / "build.txt").read_text().count(told) == 1
    assert project.outputs() == sound
    assert changed_outputs(project.root, ["toy"]) == []


def test_a_killed_build_goes_on(project: Project) -> None:
    root = project.root
    write_sweep(root / "data/raw/toy", budgets=(1e12,))
    with_environment(root)
    kill_while_ingesting(project, "job")
    # Snakemake lived, so it gave its lock back; what the job would have left a moment later
    assert not list((root / ".snakemake/locks").glob("*"))
    (root / "data/curves").mkdir(parents=True, exist_ok=True)
    left = root / "data/curves/.toy.files.parquet.1.tmp"
    left.write_text("not whole")
    kill_while_ingesting(project, "snakemake")
    assert not left.exists()
    # its job may write on while the next build starts
    kill_while_ingesting(project, "group")
    (root / "data/curves/toy.parquet").write_text("not whole")
    (root / "data/curves/.toy.runs.parquet.1.tmp").write_text("not whole")
    # both of Snakemake's refusals are in the way
    assert list((root / ".snakemake/locks").iterdir())
    assert "IncompleteFilesException" in project.snakemake(TARGET).text
    with started(project, TARGET) as build:
        assert build.wait(timeout=300) == 0, printed(project)
    assert "going on where it stopped" in (root / "build.txt").read_text()
    assert read_table(root / TARGET, Losses)["run"].n_unique() == 9
    assert not list(root.rglob(".*.tmp"))
    damage_is_made_good(project)
