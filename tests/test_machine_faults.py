"""What the machine lacks is named in one line, no traceback, and leaves nothing half-written."""

from __future__ import annotations

import errno
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from isoflop.errors import machine_fault
from tests import example_sweep
from tests.ordinary import as_ordinary
from tests.workflow.toy import copy_project, with_environment, write_sweep

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

OUTPUTS = ("curves", "runs", "files", "evals", "gates", "complaint")


def isoflop(
    *words: object, limit: Callable[[], None] | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "isoflop", *map(str, words)],
        env={**os.environ, **environment},
        capture_output=True, text=True, check=False, preexec_fn=limit,
    )  # fmt: skip


def ingest(raw: Path, out: Path) -> list[object]:
    words: list[object] = ["ingest-sweep", "--sweep=toy", "--raw", raw, "--settings=config.yaml"]
    words += ["--cache", out / "cache"]
    for name in OUTPUTS:
        words += [f"--{name}", out / f"toy.{name}"]
    return words


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("raw") / "toy"
    write_sweep(folder, budgets=(1e12,))
    return folder


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """Give a disk of its own with room for two megabytes."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = shutil.which("mount")
    made = mount and subprocess.run(
        [mount, "-t", "tmpfs", "-o", "size=2m", "none", disk], check=False, capture_output=True
    )
    if not made or made.returncode != 0:
        pytest.skip("no small disk can be mounted here: that takes root, and Linux")
    try:
        yield disk
    finally:
        subprocess.run(["umount", disk], check=True)  # noqa: S607


@pytest.fixture
def full(disk: Path) -> Path:
    """Give that disk without room."""
    with (disk / "filler").open("wb", buffering=0) as filler, suppress(OSError):
        while True:
            filler.write(b"x" * 512)
    return disk


def told(done: subprocess.CompletedProcess[str]) -> str:
    """Give the one line of an error."""
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("Error: ")]
    return line


def test_a_full_disk_under_data(raw: Path, full: Path) -> None:
    assert "the disk is full" in told(isoflop(*ingest(raw, full)))
    assert sorted(path.name for path in full.rglob("*") if path.is_file()) == ["filler"]


def test_a_full_disk_under_the_lock_of_a_build(raw: Path, full: Path) -> None:
    line = told(isoflop("run", raw, "--out", full, "--cores", 1))
    assert f"the disk is full ({full / '.run/build.lock'})" in line


def test_a_full_disk_under_what_snakemake_keeps(raw: Path, full: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / ".snakemake").symlink_to(full)
    done = isoflop("run", raw, "--out", out, "--cores", 1)
    assert f"the disk is full ({full})" in told(done)
    assert done.stderr.count("\n") < 5  # and none of Snakemake's tracebacks
    assert not list(out.glob("reports/*"))


def run_py(root: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "run.py", "report", "data/curves/toy.parquet"],
        cwd=root, check=False, capture_output=True, text=True,
    )  # fmt: skip


@pytest.mark.parametrize("name", [".snakemake", ".run", "data/curves", "reports", "logs"])
def test_run_py_begins_no_build_on_a_full_disk(name: str, full: Path, tmp_path: Path) -> None:
    """In a folder of its own on that disk; one line, and the build that follows is as any other.

    That build is made where the attempt may have left a lock or half a record of jobs.
    """
    project = copy_project(tmp_path / "project", sweep=False)
    write_sweep(project.root / "data/raw/toy", budgets=(1e12,))
    with_environment(project.root)
    (project.root / name).symlink_to(full)
    done = run_py(project.root)
    assert done.returncode == 1
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert re.fullmatch(r"run\.py: the disk is full \((.+)\)\. Free some space, .+", line)
    assert str(full) in line or f"{project.root / name})" in line
    assert not list(project.root.glob("data/*/toy*.parquet"))
    assert not list(project.root.rglob(".*.tmp"))
    if name in {".snakemake", ".run"}:
        (full / "filler").unlink()
        assert run_py(project.root).returncode == 0
        assert not list(project.root.rglob(".*.tmp"))


def test_run_py_names_a_disk_that_a_build_has_filled(disk: Path, tmp_path: Path) -> None:
    """Last of all, below whatever the build says of it."""
    project = copy_project(tmp_path / "project", sweep=False)
    with_environment(project.root)
    (project.root / "reports").symlink_to(disk)
    fill = f"head -c 9000000 /dev/zero >{disk}/output; echo a traceback >&2; exit 3"
    (project.root / ".venv/bin/snakemake").write_text(f"#!/bin/sh\n{fill}\n")
    done = run_py(project.root)
    assert done.returncode == 1
    assert "a traceback" in done.stderr
    assert done.stderr.splitlines()[-1].startswith(f"run.py: the disk is full ({disk}).")


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> list[object]:
    """Give the words that write the index of a made-up sweep, the page's path to follow."""
    root = tmp_path_factory.mktemp("index")
    paths = example_sweep.write(root)
    (root / "tables").mkdir()
    sweep = ["--sweep", "toy", paths.sidecar, paths.estimates, paths.runs, root / "tables"]
    return ["render-index", *sweep, "--reference", "data/reference", "--out"]


def test_a_full_disk_under_reports(index: list[object], full: Path) -> None:
    assert "the disk is full" in told(isoflop(*index, full / "index.html"))
    assert sorted(path.name for path in full.iterdir()) == ["filler"]


def test_a_full_disk_under_tmpdir_stops_nothing(
    index: list[object], full: Path, tmp_path: Path
) -> None:
    """Python looks for a folder that it can write to, and takes /tmp then."""
    done = isoflop(*index, tmp_path / "index.html", TMPDIR=str(full))
    assert done.returncode == 0, done.stderr
    assert isoflop(*index, tmp_path / "other.html").returncode == 0
    assert (tmp_path / "index.html").read_bytes() == (tmp_path / "other.html").read_bytes()
    assert sorted(path.name for path in full.iterdir()) == ["filler"]


@pytest.mark.parametrize("megabytes", [400, 600, 800, 1000])
def test_too_little_memory_leaves_every_table_or_none(
    raw: Path, tmp_path: Path, megabytes: int
) -> None:
    """With 400 a library cannot be loaded; with more it is luck of threads whether it suffices.

    Polars ends the process in its own words where memory runs out within it.
    """

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (megabytes * 2**20,) * 2)

    # a thread of OpenBLAS more takes 30 MB more, and OpenBLAS ends in words of its own
    done = isoflop(*ingest(raw, tmp_path), limit=limit, OPENBLAS_NUM_THREADS="1")
    tables = [f"toy.{name}" for name in sorted(OUTPUTS)] if done.returncode == 0 else []
    assert sorted(path.name for path in tmp_path.glob("toy.*")) == tables
    if megabytes == 400:
        assert "memory ran out" in told(done)
    else:
        assert done.returncode in {0, 1, -signal.SIGABRT}


def test_a_thread_that_cannot_be_started_is_a_fault_of_the_machine() -> None:
    """As Polars says it, where memory suffices for its work and not for its threads."""
    words = f'an `Err` value: Os {{ message: "{os.strerror(errno.EAGAIN)}" }}'
    for error in (BaseException(words), BlockingIOError(errno.EAGAIN, "")):
        line = machine_fault(error)
        assert line is not None
        assert line.startswith("no thread could be started")


def one_folder_closed(line: str, folder: Path) -> None:
    assert f"{folder} may not be written to by you" in line
    assert f"chmod u+rwx {folder} (" in line


@pytest.mark.parametrize("name", [".snakemake", ".run", "data/curves", "reports", "logs"])
def test_a_folder_that_may_not_be_written_to_is_named_before_a_build(
    name: str, raw: Path, tmp_path: Path
) -> None:
    """By run.py, whatever else it would have begun with, and by isoflop run."""
    project = copy_project(tmp_path / "project", sweep=False)
    write_sweep(project.root / "data/raw/toy", budgets=(1e12,))
    with_environment(project.root)
    folder = project.root / name
    (folder / "locks").mkdir(parents=True)
    (folder / "locks/0.input.lock").touch()  # as a killed build leaves it in .snakemake
    folder.chmod(0o555)
    words = ("run.py", "report", "data/curves/toy.parquet")
    done = as_ordinary(sys.executable, *words, cwd=project.root)
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    one_folder_closed(line, folder)
    run = ("-m", "isoflop", "run", raw, "--out", project.root, "--cores", 1)
    if name != ".run":  # there the lock itself cannot be made
        shutil.rmtree(project.root / ".run", ignore_errors=True)
        shutil.rmtree(project.root / "data/raw/toy")
        one_folder_closed(told(as_ordinary(sys.executable, *run)), folder)


def test_a_folder_deeper_down_is_named_below_whatever_failed(tmp_path: Path) -> None:
    """A build may do without it, as that of one sweep does without another's reports."""
    project = copy_project(tmp_path / "project", sweep=False)
    with_environment(project.root)
    (project.root / ".venv/bin/snakemake").write_text("#!/bin/sh\nexit $FAILS\n")
    folder = project.root / "reports/toy"
    folder.mkdir(parents=True)
    folder.chmod(0o555)
    done = as_ordinary(sys.executable, "run.py", "report", cwd=project.root, FAILS="0")
    assert (done.returncode, done.stderr) == (0, "")
    done = as_ordinary(sys.executable, "run.py", "report", cwd=project.root, FAILS="3")
    assert done.returncode == 3
    (line,) = done.stderr.splitlines()
    one_folder_closed(line, folder)


def test_a_job_names_the_folder_that_it_may_not_write_to(raw: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    tmp_path.chmod(0o555)
    try:
        line = told(as_ordinary(sys.executable, "-m", "isoflop", *ingest(raw, tmp_path)))
    finally:
        tmp_path.chmod(0o755)
    assert line.startswith(f"Error: {tmp_path}: Permission denied. Mend its permissions.")


def test_what_polars_may_not_read_is_one_line(tmp_path: Path) -> None:
    """Its error has neither a number nor the file's name, but in words."""
    table = tmp_path / "toy.parquet"
    table.write_bytes(b"PAR1")
    table.chmod(0o000)
    code = (
        "import polars, sys; from isoflop.errors import machine_fault\n"
        "try: polars.read_parquet(sys.argv[1])\n"
        "except OSError as error: print(machine_fault(error))"
    )
    done = as_ordinary(sys.executable, "-c", code, table)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Permission denied")
    assert f"{table}. Mend its permissions." in done.stdout


def test_other_errors_are_left_as_they_are() -> None:
    assert machine_fault(ValueError("no")) is None
    assert machine_fault(FileNotFoundError(2, "No such file or directory", "x")) is None
    assert "x" in str(machine_fault(PermissionError(13, "Permission denied", "x")))
