"""A build that was killed goes on when the documented command is given again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from isoflop.tables import Losses, read_table
from tests.workflow.toy import Project, with_environment, write_sweep

if TYPE_CHECKING:
    from pathlib import Path

pytest.importorskip("fcntl")
TARGET = "data/losses/toy.parquet"


def start(root: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "run.py", "report", TARGET],
        cwd=root,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        env={**os.environ, "PYTHONWARNINGS": "default"},
    )


def test_a_killed_build_goes_on(project: Project) -> None:
    root = project.root
    write_sweep(root / "data/raw/toy", budgets=(1e12,))
    with_environment(root)
    with start(root) as build:
        until = time.monotonic() + 120
        while not (root / "logs/ingest_sweep/toy.log").exists():
            assert time.monotonic() < until, "ingest_sweep never began"
            assert build.poll() is None, build.communicate()[0]
            time.sleep(0.01)
        os.killpg(build.pid, signal.SIGKILL)
        build.communicate()
    # what the killed job would have left, had it been killed a moment later
    (root / "data/curves").mkdir(parents=True, exist_ok=True)
    (root / "data/curves/toy.parquet").write_text("not whole")
    (root / "data/curves/.toy.runs.parquet.1.tmp").write_text("not whole")
    # both of Snakemake's refusals are in the way
    assert list((root / ".snakemake/locks").iterdir())
    assert "IncompleteFilesException" in project.snakemake(TARGET).text
    with start(root) as build:
        text, _ = build.communicate(timeout=300)
        assert build.returncode == 0, text
    assert "going on where it stopped" in text
    assert read_table(root / TARGET, Losses)["run"].n_unique() == 9
    assert not list(root.rglob(".*.tmp"))
