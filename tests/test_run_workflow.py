"""`isoflop run` and the wheel that it comes in."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
import pytest

from isoflop import project
from isoflop.errors import IsoflopError
from isoflop.folder_lock import is_shared
from isoflop.run_workflow import build, link_sweep, summary
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


def test_the_workflow_runs_elsewhere_as_itself_and_as_a_module(tmp_path: Path) -> None:
    """Dry: every input is found, whichever way the workflow is taken."""
    sweep = logs_in(tmp_path / "logs" / "s")
    (sweep / "sweep.yaml").write_text("title: t\n")
    out = tmp_path / "out"
    link_sweep(sweep, out)
    direct = build(out, ["--cores", "1", "--dry-run", "--", "all", "archive"], io.StringIO())
    other = tmp_path / "other"
    link_sweep(sweep, other)
    # a project of its own, with a config.yaml that is none of ours
    (other / "config.yaml").write_text("mine: 1\nisoflop: {report: {budgets: [1.0e+21]}}\n")
    (other / "Snakefile").write_text(
        'configfile: "config.yaml"\n'
        f'module isoflop:\n    snakefile: "{ROOT}/Snakefile"\n    config: config["isoflop"]\n'
        "use rule * from isoflop as isoflop_*\n"
        'rule mine:\n    default_target: True\n    input: "reports/s/report.html"\n'
    )
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "--cores", "1", "--dry-run", "--nocolor"],
        cwd=other, capture_output=True, text=True, check=False,
    )  # fmt: skip
    module = done.stdout + done.stderr
    assert done.returncode == 0, module
    counted = re.compile(r"^(?:isoflop_)?(\w+) +(\d+)$", re.MULTILINE)
    jobs = dict(counted.findall(direct))
    assert jobs["fit_approach"] == "8"
    assert jobs["archive_report"] == "1"
    alone = {"all", "archive", "archive_report", "render_index", "mine", "total"}
    of_module = dict(counted.findall(module))
    assert {k: v for k, v in jobs.items() if k not in alone} == {
        k: v for k, v in of_module.items() if k not in alone
    }


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


def test_reports_do_not_go_among_the_logs(tmp_path: Path) -> None:
    folder = logs_in(tmp_path / "s")
    for out in (folder, folder / "out"):
        with pytest.raises(IsoflopError, match="lies inside the logs"):
            link_sweep(folder, out, title="t")
    assert not (folder / "sweep.yaml").exists()
    with pytest.raises(IsoflopError, match="is no folder"):
        link_sweep(folder / "a.jsonl", tmp_path / "out", title="t")


@pytest.fixture
def child(tmp_path: Path) -> Iterator[Path]:
    """Give a lock that another process has a share of until the test ends."""
    lock = tmp_path / "out/.run/jobs.lock"
    lock.parent.mkdir(parents=True)
    code = (
        "import sys; from pathlib import Path; from isoflop.folder_lock import share_folder\n"
        "share_folder(Path(sys.argv[1])); print('has it', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, lock], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"has it\n"
        yield lock
        process.communicate()


def test_a_build_at_work_is_not_disturbed(child: Path, tmp_path: Path) -> None:
    assert is_shared(child)
    assert not is_shared(tmp_path / "none.lock")
    locks = tmp_path / "out/.snakemake/locks"
    locks.mkdir(parents=True)
    (locks / "0.input.lock").write_text("")
    with pytest.raises(IsoflopError, match="another build works in"):
        build(tmp_path / "out", ["--cores", "1"], io.StringIO())


def test_the_summary_names_report_answer_and_what_was_left_out(tmp_path: Path) -> None:
    for sweep in ("full", "none"):
        folder = logs_in(tmp_path / "data/raw" / sweep)
        (folder / "sweep.yaml").write_text("title: t\n")
        (tmp_path / "reports" / sweep / "tables").mkdir(parents=True)
    (tmp_path / "reports/full/tables/answer.csv").write_text(
        "flops,law,params,params_lo95,params_hi95,tokens,tokens_lo95,tokens_hi95,tokens_per_param\n"
        "1e+21,Mixture,4e9,3e9,5e9,8e10,,,20\n1e+21,Other,1,,,1,,,1\n"
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
    assert "at 10²¹ FLOPs: train 4.00B (95 %: 3.00B–5.00B) parameters on 80.0B tokens" in first
    assert "left out: 9\n        2  diverged\n" in first
    assert "and 2 more reasons" in first
    assert "\x1b" not in text
    assert "no approach could be fitted" in second
    assert "left out: nothing" in second
    assert last.endswith("reports/index.html")
