"""`isoflop run` and the wheel that it comes in."""

from __future__ import annotations

import errno
import io
import os
import re
import shutil
import signal
import subprocess
import sys
import zipfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
import pytest

from isoflop import folder_lock, project, run_workflow
from isoflop.errors import IsoflopError
from isoflop.folder_lock import JOBS_LOCK, FolderInUseError
from isoflop.run_workflow import _text_of, build, dry, link_sweep, summary
from isoflop.tables import LeftOut
from tests.workflow.toy import build_wheel

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]


def logs_in(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "a.jsonl").write_text("{}\n")
    return folder


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(tmp_path_factory.mktemp("wheel"))


def test_the_wheel_holds_all_that_an_archive_of_the_checkout_does(wheel: Path) -> None:
    """So nothing that a rule, a report or a rebuild reads is left behind."""
    with zipfile.ZipFile(wheel) as opened:
        inside = {name: opened.read(name) for name in opened.namelist()}
    for name, path in project.project_files(ROOT).items():
        text = name.as_posix()
        place = text.removeprefix("src/") if text.startswith("src/") else f"isoflop/project/{text}"
        assert inside[place] == path.read_bytes(), place
    assert not [name for name in inside if name.startswith("isoflop/project/data/raw")]


def test_an_unpacked_wheel_finds_its_workflow_and_facts(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as opened:
        opened.extractall(tmp_path / "site")
    (tmp_path / "elsewhere").mkdir()
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}

    def call(*words: str) -> str:
        done = subprocess.run(
            [sys.executable, *words],
            cwd=tmp_path / "elsewhere", env=environment, capture_output=True, text=True, check=True,
        )  # fmt: skip
        return done.stdout + done.stderr

    assert "Hoffmann" in call("-m", "isoflop", "allocate", "1e21")
    # the archive that it would write has the code of a checkout, name for name
    names = call(
        "-c",
        "from isoflop.project import home, project_files\n"
        "print(*(name.as_posix() for name in project_files(home())), sep='\\n')",
    )
    assert names.split() == [name.as_posix() for name in project.project_files(ROOT)]


def counted(plan: str) -> dict[str, str]:
    """Give the jobs of each rule."""
    return dict(re.findall(r"^(?:isoflop_)?(\w+) +(\d+)$", plan, re.MULTILINE))


def plan_as_module(project: Path, snakefile: str) -> tuple[int, str]:
    """Plan one report in a project of its own, with a config.yaml that is none of ours."""
    (project / "config.yaml").write_text("mine: 1\nisoflop: {report: {budgets: [1.0e+21]}}\n")
    (project / "Snakefile").write_text(
        'configfile: "config.yaml"\n'
        f'module isoflop:\n    snakefile: {snakefile}\n    config: config["isoflop"]\n'
        "use rule * from isoflop as isoflop_*\n"
        'rule mine:\n    default_target: True\n    input: "reports/s/report.html"\n'
    )
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "--cores", "1", "--dry-run", "--nocolor"],
        cwd=project, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def test_the_workflow_runs_elsewhere_as_itself_and_as_a_module(tmp_path: Path) -> None:
    """Dry: every input is found, whichever way the workflow is taken."""
    sweep = logs_in(tmp_path / "logs" / "s")
    (sweep / "sweep.yaml").write_text("title: t\n")
    out = tmp_path / "out"
    link_sweep(sweep, out)
    direct = build(out, ["--cores", "1", "--dry-run", "--", "all", "archive"], io.StringIO())
    other = tmp_path / "other"
    link_sweep(sweep, other)
    status, module = plan_as_module(other, f'"{ROOT}/Snakefile"')
    assert status == 0, module
    jobs = counted(direct)
    assert (jobs["fit_approach"], jobs["fit_law"]) == ("3", "5")
    assert jobs["archive_report"] == "1"
    of_sweep = sum(map(int, jobs.values())) - int(jobs["total"]) - 4  # all, archive, index, packing
    page = (ROOT / "docs/clusters.md").read_text()
    assert f"a sweep is {of_sweep} submissions, and its archive one more" in page
    assert f"a group's jobs ({of_sweep}, and one for an archive)" in page
    alone = {"all", "archive", "archive_report", "render_index", "mine", "total"}
    of_module = counted(module)
    assert {k: v for k, v in jobs.items() if k not in alone} == {
        k: v for k, v in of_module.items() if k not in alone
    }


def committed(repository: Path) -> str:
    """Commit what lies in a repository, and name the commit."""
    git = ("git", "-c", "user.name=a", "-c", "user.email=a@b.c")
    for words in (("init", "-q"), ("add", "-A"), ("commit", "-qm", "x"), ("rev-parse", "HEAD")):
        done = subprocess.run(
            [*git, *words], cwd=repository, check=True, capture_output=True, text=True
        )
    return done.stdout.strip()


def test_rules_are_fetched_from_a_repository_if_the_package_is_of_its_revision(
    tmp_path: Path,
) -> None:
    """As catalogues have it: `module` with `github()`, whose local form is `gitfile()`."""
    repository, own = tmp_path / "repository", tmp_path / "own"
    for part in ("rules", "workflow"):
        shutil.copytree(ROOT / part, repository / part)
    sweep = logs_in(own / "data/raw/s")
    (sweep / "sweep.yaml").write_text("title: t\n")

    def plan() -> tuple[int, str]:
        commit = committed(repository)
        place = f'gitfile("{repository}", path="workflow/Snakefile", commit="{commit}")'
        return plan_as_module(own, place)

    status, fetched = plan()
    assert status == 0, fetched
    assert counted(fetched)["fit_law"] == "5"
    # facts and code are the package's
    assert str(ROOT / project.FACTS) in fetched

    with (repository / "rules/losses.smk").open("a") as rules:
        rules.write("\n# of another revision\n")
    status, refused = plan()
    assert status != 0
    assert "rules/losses.smk was fetched at" in refused
    assert "Install the package from that revision" in refused
    assert "Traceback" not in refused


def test_a_home_that_cannot_be_written_to_stops_no_build(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Snakemake keeps a cache below HOME, and makes it before it plans anything."""
    monkeypatch.setenv("HOME", "/dev/null/nobody")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    link_sweep(logs_in(tmp_path / "toy"), tmp_path / "out", title="t")
    assert counted(dry(tmp_path / "out", ["--cores", "1", "all"]))["ingest_sweep"] == "1"
    assert (tmp_path / "out/.run/cache/snakemake").is_dir()


def test_a_sweep_is_linked_once_and_by_its_name(tmp_path: Path) -> None:
    first = logs_in(tmp_path / "a" / "s")
    (first / "sweep.yaml").write_text("title: t\n")
    place = link_sweep(first, tmp_path / "out")
    assert place == tmp_path / "out/data/raw/s"
    assert place.resolve() == first
    assert link_sweep(first, tmp_path / "out") == place
    second = logs_in(tmp_path / "b" / "s")
    with pytest.raises(IsoflopError, match=r"b/s has no sweep\.yaml\. Give --title"):
        link_sweep(second, tmp_path / "out")
    with pytest.raises(IsoflopError, match="out/data/raw/s is there already and is not"):
        link_sweep(second, tmp_path / "out", title='of "mine": {b}')
    assert (second / "sweep.yaml").read_text() == 'title: "of \\"mine\\": {b}"\n'


@pytest.mark.parametrize("title", [None, "t"])
def test_a_sidecar_that_is_a_dead_link_is_no_place_for_a_title(
    tmp_path: Path, title: str | None
) -> None:
    logs = logs_in(tmp_path / "toy")
    (logs / "sweep.yaml").symlink_to(tmp_path / "gone.yaml")
    with pytest.raises(IsoflopError, match=r"toy: sweep\.yaml is a link to nothing"):
        link_sweep(logs, tmp_path / "out", title=title)
    assert not (tmp_path / "gone.yaml").exists()


def test_reports_do_not_go_among_the_logs(tmp_path: Path) -> None:
    folder = logs_in(tmp_path / "s")
    for out in (folder, folder / "out"):
        with pytest.raises(IsoflopError, match="lies inside the logs"):
            link_sweep(folder, out, title="t")
    assert not (folder / "sweep.yaml").exists()
    with pytest.raises(IsoflopError, match="is no folder, nor a file"):
        link_sweep(folder / "none.jsonl", tmp_path / "out", title="t")


def test_a_file_is_a_sweep_in_a_folder_of_its_name(tmp_path: Path) -> None:
    """No link out of a sweep's folder is followed, so it is a hard one, or a copy."""
    table = tmp_path / "runs.csv"
    table.write_text("N,D,L\n1e6,1e8,3.1\n2e6,5e7,3.2\n", encoding="utf-8")
    place = link_sweep(table, tmp_path / "out")
    assert place == tmp_path / "out/data/raw/runs"
    assert (place / "sweep.yaml").read_text() == 'title: "runs"\n'
    (place / "sweep.yaml").write_text("title: mine\n")
    (tmp_path / "new.csv").write_text("N,D,L\n1e6,1e8,3.0\n", encoding="utf-8")
    (tmp_path / "new.csv").replace(table)
    assert link_sweep(table, tmp_path / "out", title="t") == place
    assert (place / "runs.csv").read_text().endswith("3.0\n")
    assert (place / "sweep.yaml").read_text() == "title: mine\n"
    (tmp_path / "b").mkdir()
    other = tmp_path / "b" / "runs.jsonl"
    other.write_text("{}\n")
    with pytest.raises(IsoflopError, match="is there already and is not of"):
        link_sweep(other, tmp_path / "out")
    (tmp_path / "sweep.yaml").write_text("title: t\n")
    with pytest.raises(IsoflopError, match=r"lies beside a sweep\.yaml"):
        link_sweep(table, tmp_path / "out")


@contextmanager
def holding(code: str, *words: str | Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run code in another process, which lives until the block ends."""
    code += "\nprint('has it', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", f"import sys; from pathlib import Path\n{code}", *words],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline() == b"has it\n"
        try:
            yield process
        finally:
            process.kill()


SHARES = "from isoflop.folder_lock import share_folder; share_folder(Path(sys.argv[1]))"
BUILDS = """
from isoflop.folder_lock import build_alone
kept = build_alone(Path(sys.argv[1]), "isoflop run")
kept.__enter__()
"""


@pytest.fixture
def out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a project's folder with what a killed build leaves; snakemake there only looks at it."""
    out = tmp_path / "out"
    for name in (LOCK, LEFT, "data/raw/s/.log.jsonl.7.tmp"):
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_text("")
    (out / "data/estimates/.rows-x.7.tmp").mkdir(parents=True)
    sees = f"import pathlib; print(pathlib.Path({str(out / LOCK)!r}).exists())"
    monkeypatch.setattr(run_workflow, "_snakemake", lambda _: [sys.executable, "-c", sees])
    return out


LOCK = ".snakemake/locks/0.input.lock"
LEFT = "data/losses/.s.parquet.7.tmp"


def test_what_a_killed_build_left_is_swept_up(out: Path) -> None:
    assert build(out, [], io.StringIO()) == "False\n"
    left = sorted(path.name for path in out.rglob("*") if ".tmp" in path.name)
    assert left == [".log.jsonl.7.tmp"]  # a log is never ours to delete


def test_a_folder_that_a_living_process_has_is_not_unlocked(
    out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder_lock, "DYING", 0.2)
    with holding(SHARES, out / JOBS_LOCK):  # a snakemake that was started by itself, or a job
        with pytest.raises(FolderInUseError, match=r"another build works in .*out\. Wait"):
            build(out, [], io.StringIO())
        assert (out / LOCK).exists()
        assert (out / LEFT).exists()
        assert dry(out, []) == "True\n"  # which writes nothing
    with holding(BUILDS, out) as other:  # it may not have come to snakemake's lock yet
        (out / LOCK).unlink()
        with pytest.raises(FolderInUseError, match=f"`isoflop run` .process {other.pid} on "):
            build(out, [], io.StringIO())
        assert (out / LEFT).exists()
    assert build(out, [], io.StringIO()) == "False\n"


def test_a_build_that_outlives_its_starter_has_the_folder(
    out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed alone, `isoflop run` leaves a snakemake that works on."""
    monkeypatch.setattr(folder_lock, "DYING", 0.2)
    code = (
        "import io; from isoflop import run_workflow\n"
        "run_workflow._snakemake = lambda _: [sys.executable, '-c', "
        "'import time; print(1, flush=True); time.sleep(60)']\n"
        "class Screen(io.StringIO):\n"
        "    def isatty(self): return False\n"
        "run_workflow.Progress.read = lambda *_: print('has it', flush=True)\n"
        "run_workflow.build(Path(sys.argv[1]), [], Screen())"
    )
    with holding(code, out) as starter:
        children = Path(f"/proc/{starter.pid}/task/{starter.pid}/children").read_text().split()
        starter.kill()
        starter.wait()
        with pytest.raises(FolderInUseError, match="another build works"):
            build(out, [], io.StringIO())
        for child in children:
            os.kill(int(child), signal.SIGKILL)
    assert build(out, [], io.StringIO()) == "False\n"


def test_a_time_limit_ends_snakemake_and_waits_for_it(out: Path) -> None:
    """`timeout` and a cluster's limit signal both; Snakemake hung where nobody read it any more."""
    tidies = (
        "import os, pathlib, signal, sys, time\n"
        "def end(*_):\n"
        "    signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        # more than a pipe holds, and no print: the signal may come within the one below
        "    os.write(1, b'x' * 10**6 + b'\\n')\n"
        f"    pathlib.Path({str(out / 'tidied')!r}).touch()\n"
        "    sys.exit(1)\n"
        "signal.signal(signal.SIGTERM, end)\n"
        "print(1, flush=True)\n"
        "time.sleep(60)\n"
    )
    code = (
        "import io; from isoflop import run_workflow\n"
        f"run_workflow._snakemake = lambda _: [sys.executable, '-c', {tidies!r}]\n"
        "run_workflow.Progress.read = lambda *_: print('has it', flush=True)\n"
        "run_workflow.build(Path(sys.argv[1]), [], io.StringIO())"
    )
    with holding(code, out) as starter:
        (child,) = Path(f"/proc/{starter.pid}/task/{starter.pid}/children").read_text().split()
        os.kill(int(child), signal.SIGTERM)
        starter.terminate()
        assert starter.wait(timeout=30) == 1
    assert (out / "tidied").exists()
    assert build(out, [], io.StringIO()) == "False\n"


def test_a_time_limit_ends_jobs_that_snakemake_waits_for(out: Path) -> None:
    """A job went on for 25 s, and Snakemake with it."""
    waits = (
        "import pathlib, signal, subprocess, sys\n"
        "job = subprocess.Popen(['sh', '-c', 'sleep 60; true'])\n"
        f"ended = pathlib.Path({str(out / 'ended')!r})\n"
        "signal.signal(signal.SIGTERM, lambda *_: None)\n"
        "print(1, flush=True)\n"
        "ended.write_text(str(job.wait()))\n"
        "sys.exit(1)\n"
    )
    code = (
        "import io; from isoflop import run_workflow\n"
        f"run_workflow._snakemake = lambda _: [sys.executable, '-c', {waits!r}]\n"
        "run_workflow.Progress.read = lambda *_: print('has it', flush=True)\n"
        "run_workflow.build(Path(sys.argv[1]), [], io.StringIO())"
    )
    with holding(code, out) as starter:
        starter.terminate()
        assert starter.wait(timeout=30) == 1
    assert (out / "ended").read_text() == str(-signal.SIGTERM)
    assert build(out, [], io.StringIO()) == "False\n"


def test_without_file_locks_nothing_is_unlocked(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody can tell there whether the lock is of a living build or of a killed one."""

    def none(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", none)
    with pytest.raises(IsoflopError, match=r"If none is at work, delete that folder"):
        build(out, [], io.StringIO())
    assert (out / LOCK).exists()
    (out / LOCK).unlink()
    assert build(out, [], io.StringIO()) == "False\n"
    assert (out / LEFT).exists()


def test_the_summary_names_report_answer_and_what_was_left_out(tmp_path: Path) -> None:
    for sweep in ("full", "none"):
        folder = logs_in(tmp_path / "data/raw" / sweep)
        (folder / "sweep.yaml").write_text("title: t\n")
        (tmp_path / "reports" / sweep / "tables").mkdir(parents=True)
    (tmp_path / "reports/full/tables/answer.csv").write_text(
        "flops,law,params_counted,params,params_lo95,params_hi95,tokens,tokens_lo95,tokens_hi95,tokens_per_param,against_all\n"
        "1e+21,Mixture,active,4e9,3e9,5e9,8e10,,,20,Every law fails.\n"
        "1e+21,Other,total,1,,,1,,,1,Every law fails.\n"
    )
    reasons = ["diverged"] * 2 + [f"reason {k}\x1b[2J" for k in range(7)]
    rows = {
        "full": [{"item": str(k), "reason": reason} for k, reason in enumerate(reasons)],
        "none": [],
    }
    (tmp_path / "data/losses").mkdir(parents=True)
    for sweep, found in rows.items():
        schema = {name: column.dtype for name, column in LeftOut.columns().items()}
        full = [{"sweep": sweep, "stage": "losses", "points": 1, **row} for row in found]
        pl.DataFrame(full, schema=schema).write_parquet(
            tmp_path / "data/losses" / f"{sweep}.left_out.parquet"
        )
    text = summary(tmp_path)
    first, second, last = text.split("\n\n")
    assert "reports/full/report.html" in first
    assert (
        "at 10²¹ FLOPs: train 4.00B (95 %: 3.00B–5.00B) active parameters on 80.0B tokens" in first
    )
    assert first.count("\n  Every law fails.\n") == 1
    assert "left out: 9\n        2  diverged\n" in first
    assert "and 2 more reasons" in first
    assert "\x1b" not in text
    assert "no approach could be fitted" in second
    assert "left out: nothing" in second
    assert last.endswith("reports/index.html")


def test_a_folder_without_logs_is_refused_before_a_title_is_asked_for(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    (empty / "deeper").mkdir(parents=True)
    for title in (None, "t"):
        with pytest.raises(IsoflopError, match=r"empty holds no file but sweep\.yaml, if that"):
            link_sweep(empty, tmp_path / "out", title=title)
    assert not (empty / "sweep.yaml").exists()
    (empty / "sweep.yaml").write_text("title: t\n")
    with pytest.raises(IsoflopError, match="holds no file"):
        link_sweep(empty, tmp_path / "out")


def test_what_a_job_says_that_can_be_mended_is_the_whole_message(tmp_path: Path) -> None:
    line = 80 * "="
    told_of = "Error: toy holds no log.\nDrop one in."
    log = f"Logfile logs/ingest_sweep/toy.log:\n{line}\n{told_of}\n{line}"
    block = (
        f"Error in rule ingest_sweep:\n    jobid: 2\n    shell:\n        x\n{log}\nShutting down"
    )
    with pytest.raises(IsoflopError) as told:
        _text_of(tmp_path, f"{block}\n{block}\nWorkflowError:\nAt least one job", 1)
    message = "toy holds no log.\nDrop one in."
    assert str(told.value) == f"the build in {tmp_path} failed:\n{message}"
    # what is no message of ours needs all that Snakemake has of it
    bug = block.replace("Error: toy holds no log.", "Traceback (most recent call last):")
    for text in (bug, f"{block}\n{bug}", "no job at all"):
        with pytest.raises(IsoflopError) as told:
            _text_of(tmp_path, text, 1)
        assert text in str(told.value)
