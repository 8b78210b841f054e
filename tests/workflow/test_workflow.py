"""The real workflow on a small sweep: few tests, each whole."""

from __future__ import annotations

import csv
import html
import importlib.util
import json
import os
import re
import shutil
import subprocess
import time
import zipfile
from typing import TYPE_CHECKING

import pytest
import yaml

from isoflop.approach import FITTED, LAWS
from isoflop.archive.verify_archive import compare, lay_out
from isoflop.tables import Specifications, read_table
from tests.outputs import blanks, leaks_of, leaks_of_pdfs
from tests.workflow.slurm import slurm, why_not
from tests.workflow.toy import (
    BUDGETS,
    LAW,
    PARAMETRIC,
    WIDTHS,
    Project,
    copy_project,
    run_from_wheel,
    run_log,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

AFTER_LOSSES = {
    "fit_approach": len(FITTED) - len(LAWS),
    "fit_law": len(LAWS),
    "score_forecasts": 1,
    "mix_laws": 1,
    "fit_specifications": 1,
    "plot_figures": 1,
    "render_report": 1,
    "render_index": 1,
}
AFTER_INGEST = {"build_losses": 1, **AFTER_LOSSES}
EVERYTHING = {"ingest_sweep": 1, **AFTER_INGEST}


ESTIMATE = (
    "data/curves/toy.parquet",
    "data/curves/toy.runs.parquet",
    "data/losses/toy.parquet",
    "data/estimates/toy/profiles.json",
    "data/estimates/toy/profiles.draws.parquet",
)
"""What is made up to one estimate."""
PLUGIN = "snakemake_executor_plugin_slurm"
PROFILE = (
    "--workflow-profile=workflow/profiles/slurm",
    # what a site of one machine without accounting needs besides
    "--slurm-no-account",
    "--slurm-status-command=squeue",
    # each look that finds nothing new comes ten seconds later than the last: 1, 12, 33, 64 seconds
    "--slurm-init-seconds-before-status-checks=1",
)


@pytest.fixture
def restored(built: Project) -> Iterator[Project]:
    """Give the built project; what a test does to its config or sources is undone, times too."""
    files = (built.root / "config.yaml", *sorted((built.root / "src").rglob("*.py")))
    kept = {path: (path.read_bytes(), path.stat()) for path in files}
    yield built
    for path, (content, facts) in kept.items():
        if path.read_bytes() != content:
            path.write_bytes(content)
            os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))


def test_build_recovers_the_law_and_writes_the_report(built: Project) -> None:
    estimates = built.root / "data/estimates/toy"
    # parabolas are biased where the valleys are lopsided; the parametric fit has the true form
    for approach, tolerance in {"profiles": 0.07, "parametric": 0.01}.items():
        a = json.loads((estimates / f"{approach}.json").read_text())["a"]["value"]
        assert a == pytest.approx(LAW.a, abs=tolerance), approach
    for name in ("report.html", "report.pdf"):
        assert (built.root / "reports/toy" / name).stat().st_size > 10_000
    assert (built.root / "reports/index.html").exists()


def test_no_markup_leaks_into_any_output(built: Project) -> None:
    assert leaks_of(built.root / "reports") == {}


def test_no_markup_leaks_into_the_pdf(built: Project) -> None:
    assert leaks_of_pdfs(built.root / "reports") == {}


def test_no_page_of_the_pdf_is_a_third_empty(built: Project, tmp_path: Path) -> None:
    """But the last, which ends where the text does."""
    shares = blanks(built.root / "reports/toy/report.pdf", tmp_path)
    assert len(shares) > 10
    assert max(shares[:-1]) < 1 / 3


def test_build_predicts_the_upper_budgets(built: Project) -> None:
    found = json.loads((built.root / "data/estimates/toy/forecast.json").read_text())
    (cut,) = found["cuts"]
    scores = {
        (forecast["approach"], score["quantity"]): score
        for forecast in cut["forecasts"]
        for score in forecast["scores"]
    }
    # seven widths at the last budget, and the two check runs
    assert scores["parametric", "loss"]["n"] == 9
    assert abs(scores["parametric", "loss"]["bias"]) < 0.01
    assert "Does it forecast?" in (built.root / "reports/toy/report.html").read_text()
    assert (built.root / "reports/toy/tables/forecast.csv").exists()


def test_the_specification_curve_is_part_of_a_build(built: Project) -> None:
    table = read_table(built.root / "data/estimates/toy/specifications.parquet", Specifications)
    # the toy's embedding is so large a share of its sizes that only one counting is the law's own
    own = table.filter(approach="parametric", params="total", flops="6nd").drop_nulls("a")
    assert own["a"].to_list() == pytest.approx([LAW.a] * own.height, abs=0.02)
    assert table.filter("headline").height == 4
    for suffix in ("svg", "pdf"):
        assert (built.root / f"reports/toy/figures/specifications.{suffix}").stat().st_size > 5000
    with (built.root / "reports/toy/tables/specifications.csv").open(newline="") as stream:
        assert len(list(csv.DictReader(stream))) == table.height


def test_a_grid_reruns_what_follows_from_it(restored: Project) -> None:
    restored.set_config("      drop_highest: [0, 5]", "      drop_highest: [0]")
    expected = {"fit_specifications": 1, "plot_figures": 1, "render_report": 1, "render_index": 1}
    assert restored.planned() == expected


def test_second_run_does_nothing(built: Project) -> None:
    assert "Nothing to be done" in built.build().text


def test_touching_a_raw_log_changes_no_byte(built: Project, tmp_path: Path) -> None:
    """Up to an estimate: what follows is made from these files alone."""
    touched = Project(tmp_path / "touched")
    shutil.copytree(built.root, touched.root, symlinks=True)
    log = sorted((touched.root / "data/raw/toy/fit").iterdir())[0]
    log.touch()
    assert touched.planned(*ESTIMATE) == {"ingest_sweep": 1, "build_losses": 1, "fit_approach": 1}
    touched.build(*ESTIMATE)
    assert touched.outputs() == built.outputs()


def test_a_log_replaced_by_one_with_an_older_time_is_read_again(built: Project) -> None:
    log = sorted((built.root / "data/raw/toy/fit").iterdir())[0]
    kept, times = log.read_bytes(), log.stat()
    log.write_bytes(kept[: len(kept) // 2])
    long_ago = times.st_mtime_ns - 7200 * 10**9
    os.utime(log, ns=(long_ago, long_ago))
    try:
        assert built.planned() == EVERYTHING
    finally:
        log.write_bytes(kept)
        os.utime(log, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert "Nothing to be done" in built.build("--dry-run").text


def test_the_wheel_makes_what_a_checkout_makes(
    built: Project, archived: Path, tmp_path: Path
) -> None:
    """By `isoflop run`, from nothing but the archive: two builds give the same bytes.

    The checkout's jobs had their declared inputs and no others.
    """
    manifest = lay_out(archived, tmp_path / "laid/toy")
    laid = Project(tmp_path / "laid/toy")
    # the workflow of the archive finds all that its rules read
    assert laid.planned("--configfile", "settings.json") == EVERYTHING
    logs, scratch = laid.root / "data/raw/toy", Project(tmp_path / "out")
    told = run_from_wheel(tmp_path, logs, laid.root / "settings.json")
    found = compare(manifest, scratch.root)
    assert (found.different, found.absent) == ((), ())
    assert len(found.same) > 50
    first, second = built.outputs(), scratch.outputs()
    assert sorted(first) == sorted(second)
    assert [name for name in first if first[name] != second[name]] == []
    assert re.search(r"toy/report\.html .*\n  at 6\.4 × 10¹⁴ FLOPs: train [\d.]+M \(95 %: ", told)
    assert "left out: nothing" in told


def test_slurm_gives_the_bytes_of_a_local_build(
    built: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if reason := why_not():
        pytest.skip(f"Slurm cannot be started: {reason}")
    if importlib.util.find_spec(PLUGIN) is None:
        pytest.skip("no snakemake-executor-plugin-slurm")
    fresh = copy_project(tmp_path / "fresh")
    # every job of a sweep goes the same way: fits and figures, which take longest, are there
    begun = Project(tmp_path / "begun")
    shutil.copytree(built.root, begun.root, symlinks=True)
    shutil.rmtree(begun.root / "reports/toy/tables")
    for name in ("toy/report.html", "toy/report.pdf", "index.html"):
        (begun.root / "reports" / name).unlink()
    with slurm(tmp_path / "cluster", memory=8000) as environment:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        fresh.build(*PROFILE, *ESTIMATE, own_jobs=True)
        begun.build(*PROFILE, own_jobs=True)
        jobs = subprocess.run(
            ["squeue", "--states=all", "--noheader", "--format=%T %m %l"],  # noqa: S607
            env={**os.environ}, capture_output=True, text=True, check=True,
        ).stdout.split("\n")[:-1]  # fmt: skip
    # each sweep in one, and the index
    assert len(jobs) == 3, jobs
    for job in jobs:
        state, memory, limit = job.split()
        assert state == "COMPLETED"
        assert re.fullmatch(r"\d+M", memory)
        assert limit != "UNLIMITED"
    assert begun.outputs() == built.outputs()
    for name in ESTIMATE:
        assert (fresh.root / name).read_bytes() == (built.root / name).read_bytes(), name


def test_dropped_in_run_equals_from_scratch_and_parses_one_file(
    built: Project, tmp_path: Path
) -> None:
    """Up to an estimate: what follows reads these files, and knows nothing of what was there."""
    grown = Project(tmp_path / "grown")
    shutil.copytree(built.root, grown.root, symlinks=True)
    scratch = copy_project(tmp_path / "scratch")
    name, text = run_log(48, 1e12, seed=7)
    for project in (grown, scratch):
        (project.root / "data/raw/toy" / name).write_text(text)
    assert grown.planned() == EVERYTHING
    grown.build(*ESTIMATE)
    scratch.build(*ESTIMATE)
    assert "parsed 1 file" in (grown.root / "logs/ingest_sweep/toy.log").read_text()
    for target in ESTIMATE:
        found = (grown.root / target).read_bytes()
        assert found == (scratch.root / target).read_bytes(), target
        assert found != (built.root / target).read_bytes(), target


def test_a_second_sweep_reruns_only_its_own_chain(restored: Project) -> None:
    shutil.copytree(restored.root / "data/raw/toy", restored.root / "data/raw/other")
    try:
        assert restored.planned() == EVERYTHING
    finally:
        shutil.rmtree(restored.root / "data/raw/other")


def test_an_edit_counts_although_the_outputs_are_from_tomorrow(restored: Project) -> None:
    tomorrow = time.time() + 86_400
    for name in restored.outputs():
        os.utime(restored.root / name, (tomorrow, tomorrow))
    path = restored.root / "src/isoflop/report/command.py"
    path.write_text(path.read_text() + "\n# edited\n")
    outcome = restored.build("--dry-run")
    assert outcome.text.count("outputs are dated up to ") == 1
    assert outcome.rules == {"all": 1, "render_report": 1, "render_index": 1}


@pytest.mark.parametrize(
    ("source", "rules"),
    [
        ("ingest/command.py", EVERYTHING),
        ("losses/command.py", AFTER_INGEST),
        ("config/losses.py", AFTER_INGEST),
        ("approaches/command.py", AFTER_LOSSES),
        ("config/figures.py", {"plot_figures": 1, "render_report": 1, "render_index": 1}),
        ("report/command.py", {"render_report": 1, "render_index": 1}),
        ("train/command.py", {}),
        ("config/archive.py", {}),
    ],
)
def test_an_edit_reruns_its_room_and_what_follows(
    restored: Project, source: str, rules: dict[str, int]
) -> None:
    path = restored.root / "src/isoflop" / source
    path.write_text(path.read_text() + "\n# edited\n")
    assert restored.planned() == rules


def test_one_key_reruns_exactly_its_rules(restored: Project) -> None:
    restored.set_config(f"{PARAMETRIC}drop_highest: 0", f"{PARAMETRIC}drop_highest: 1")
    # every approach is calibrated on sweeps simulated from this law
    assert restored.planned() == AFTER_LOSSES


def test_what_a_report_prints_alone_reruns_the_report_alone(built: Project) -> None:
    sidecar = built.root / "data/raw/toy/sweep.yaml"
    kept, facts = sidecar.read_bytes(), sidecar.stat()
    values = yaml.safe_load(kept)
    try:
        values |= {"title": "Another one", "date": "2026-11-26", "authors": ["A. Writer"]}
        sidecar.write_text(yaml.safe_dump(values))
        assert built.planned() == {"render_report": 1, "render_index": 1}
        sidecar.write_text(yaml.safe_dump({**values, "ignore": [{"match": "x", "reason": "y"}]}))
        assert built.planned() == EVERYTHING
    finally:
        sidecar.write_bytes(kept)
        os.utime(sidecar, ns=(facts.st_atime_ns, facts.st_mtime_ns))


def test_settings_of_a_sweep_rerun_exactly_its_own_rules(built: Project, tmp_path: Path) -> None:
    # a second sweep, built as it were: its outputs are copies of the first one's
    project = Project(tmp_path / "two")
    shutil.copytree(built.root, project.root, symlinks=True)
    for path in sorted(project.root.glob("*/**/toy*")):
        target = path.with_name(path.name.replace("toy", "other", 1))
        (shutil.copytree if path.is_dir() else shutil.copy2)(path, target)
    project.build("--touch")
    assert project.planned() == {}
    sidecar = project.root / "data/raw/toy/sweep.yaml"
    before = sidecar.read_text()

    # a key reruns what the same key of config.yaml would, and not ingest; the page of all sweeps
    # reads every side-car
    sidecar.write_text(before + "settings: {approaches: {parametric: {drop_highest: 1}}}\n")
    outcome = project.build("--dry-run")
    assert outcome.rules == AFTER_LOSSES | {"all": 1}
    assert "wildcards: sweep=toy" in outcome.text
    assert "wildcards: sweep=other" not in outcome.text

    sidecar.write_text(before + "settings: {losses: {points_per_run: 20}}\n")
    assert project.planned() == AFTER_INGEST
    sidecar.write_text(before + "settings: {report: {run_table: false}}\n")
    assert project.planned() == {"render_report": 1, "render_index": 1}
    # anything else in it changes what is read
    sidecar.write_text(before + "facts: {tokenizer: bytes}\n")
    assert project.planned() == EVERYTHING

    # and the value arrives, there and nowhere else
    sidecar.write_text(before + "settings: {approaches: {parametric: {drop_highest: 1}}}\n")
    targets = [f"data/estimates/{name}/parametric.json" for name in ("toy", "other")]
    project.build(*targets)
    dropped = [
        json.loads((project.root / target).read_text())["settings"]["parametric"]["drop_highest"]
        for target in targets
    ]
    assert dropped == [1, 0]


def test_a_name_with_an_at_sign_is_a_sweep_of_its_own(restored: Project) -> None:
    folder = restored.root / "data/raw/toy@v2"
    shutil.copytree(restored.root / "data/raw/toy", folder)
    try:
        outcome = restored.build("--dry-run", "data/estimates/toy@v2/profiles.json")
        assert outcome.rules == {"ingest_sweep": 1, "build_losses": 1, "fit_approach": 1}
        assert "input: data/losses/toy@v2.parquet" in outcome.text
    finally:
        shutil.rmtree(folder)


def test_archive_holds_report_and_raw_logs(archived: Path) -> None:
    assert archived.stat().st_size > 100_000
    with zipfile.ZipFile(archived) as archive:
        names = {name.split("/", 1)[1] for name in archive.namelist()}
    assert {"estimates/forecast.json", "estimates/specifications.parquet"} <= names
    assert {"report/report.html", "tables/toy.alternate_loss.parquet"} <= names
    assert sum(name.startswith("raw/fit/") for name in names) == len(WIDTHS) * len(BUDGETS)
    assert "estimates/overtraining.json" not in names


def test_snakemake_report_works(built: Project, tmp_path: Path) -> None:
    built.build("--report", str(tmp_path / "workflow.html"))
    page = (tmp_path / "workflow.html").read_text(encoding="utf-8")
    assert "Each sweep is a category" in page
    # what each shows, beside its name
    title = re.findall(
        "<title>(.*?)</title>", (built.root / "reports/toy/report.html").read_text()
    )[0]
    manifest = json.loads((built.root / "reports/toy/figures/figures.json").read_text())
    for finding in (html.unescape(title), manifest["design"]["alt"]):
        assert json.dumps(finding)[1:-1] in page or finding in page
