"""Bad input costs one clear message, or a recorded fate, and nothing else."""

from __future__ import annotations

import json
import os
import re
import sys
import time
import unicodedata
from typing import TYPE_CHECKING
from urllib.parse import quote

import polars as pl
import pytest

from isoflop.tables import LeftOut, Losses, read_table
from tests.ordinary import as_ordinary
from tests.workflow.toy import LEAST, PARAMETRIC, Outcome, Project, run_log, write_sweep

if TYPE_CHECKING:
    from pathlib import Path


def failure(project: Project, *arguments: str) -> str:
    """Run, insist on failure without a traceback, and give all that was said."""
    outcome = project.snakemake("--show-failed-logs", *arguments)
    text = outcome.text + project.logs()
    assert outcome.status != 0, text
    assert "Traceback (most recent call last)" not in text, text
    return text


def test_empty_raw_folder(project: Project) -> None:
    text = failure(project)
    assert "data/raw has no sweep" in text
    assert "sweep.yaml" in text


def test_sweep_without_sidecar(project: Project) -> None:
    write_sweep(project.root / "data/raw/toy")
    (project.root / "data/raw/toy/sweep.yaml").rename(project.root / "data/raw/toy/sweep.yml")
    text = failure(project)
    assert (
        "data/raw/toy: no sweep.yaml, but sweep.yml. Rename it to data/raw/toy/sweep.yaml" in text
    )
    assert "MissingInputException" not in text


def test_what_cannot_be_built_is_named_and_stops_nothing_else(project: Project) -> None:
    raw = project.root / "data/raw"
    write_sweep(raw / "toy", budgets=(1e12,))
    for name in ("a{b}", "toy.runs", "index.html", "a\nb"):
        write_sweep(raw / name, budgets=(1e12,))
    # letters that look alike are other sweeps
    for name in (*(unicodedata.normalize(form, "é") for form in ("NFC", "NFD")), "t\u043ey", "TOY"):
        write_sweep(raw / name, budgets=(1e12,))
    (raw / "toy@b").mkdir()
    (raw / "toy@b/run{lr}.jsonl").touch()
    (raw / "toy@b/sweep.yaml").write_text("title: t\n")
    write_sweep(raw / "early", budgets=(1e12,))
    tomorrow = time.time() + 86_400
    os.utime(raw / "early/fit/d16-c1.0e+12-s0.jsonl", (tomorrow, tomorrow))
    (raw / "typo").mkdir()
    (raw / "typo/sweep.yaml").write_text("titel: t\n")
    (raw / "slip").mkdir()
    slip = "title: t\nsettings: {approaches: {profiles: {tolerence: 0.2}}}\n"
    (raw / "slip/sweep.yaml").write_text(slip)
    outcome = project.build("--dry-run")
    assert "did you mean 'title'" in outcome.text
    assert (
        "left out: data/raw/slip/sweep.yaml: unknown key 'tolerence' in "
        "settings.approaches.profiles; did you mean 'tolerance'?" in outcome.text
    )
    for name in ("a{b}", "toy.runs", "index.html", r"a\nb", "toy@b", "typo", "slip", "early"):
        assert f"left out: data/raw/{name}" in outcome.text
    assert outcome.rules["render_report"] == 5
    assert outcome.rules["refuse_sweeps"] == 1


def test_what_may_not_be_read_is_one_message(project: Project) -> None:
    """One sweep is left out, with what opens it; a config.yaml stops the build."""
    raw = project.root / "data/raw"
    for name in ("toy", "closed"):
        write_sweep(raw / name, budgets=(1e12,))

    def plan() -> str:
        words = ("--cores", "1", "--dry-run", "--nocolor")
        done = as_ordinary(sys.executable, "-m", "snakemake", *words, cwd=project.root)
        text = done.stdout + done.stderr
        assert "Traceback" not in text, text
        return text

    (raw / "closed").chmod(0o000)
    try:
        text = plan()
    finally:
        (raw / "closed").chmod(0o755)
    (line,) = [line for line in text.splitlines() if line.startswith("left out: ")]
    assert "data/raw/closed" in line
    assert "chmod -R u+rX data/raw/closed" in line
    assert Outcome(0, text).rules["render_report"] == 1
    assert Outcome(0, text).rules["refuse_sweeps"] == 1
    (project.root / "config.yaml").chmod(0o000)
    assert "config.yaml: cannot be read: permission denied. Let yourself read it" in plan()


def test_a_source_from_the_future_is_named(project: Project) -> None:
    write_sweep(project.root / "data/raw/toy", budgets=(1e12,))
    tomorrow = time.time() + 86_400
    os.utime(project.root / "src/isoflop/laws.py", (tomorrow, tomorrow))
    text = failure(project)
    assert "src/isoflop/laws.py is dated later than now" in text
    assert "Set the clock right, or date them now" in text


def test_a_sweep_with_an_at_sign_is_fitted_to_its_own_losses(project: Project) -> None:
    for name in ("toy", "toy@b"):
        write_sweep(project.root / "data/raw" / name, budgets=(1e12,))
    words = project.build("--dry-run", "-p", "data/estimates/toy@b/parametric.json").text.split()
    assert words[words.index("parametric") :][:5] == [
        "parametric", "--sweep", "toy@b", "--losses", "data/losses/toy@b.parquet",
    ]  # fmt: skip


def test_config_typo(project: Project) -> None:
    write_sweep(project.root / "data/raw/toy")
    project.set_config(f"{PARAMETRIC}drop_highest: 0", f"{PARAMETRIC}drop_highset: 0")
    text = failure(project)
    assert "unknown key 'drop_highset' in approaches.parametric" in text
    assert "did you mean 'drop_highest'?" in text


def test_typo_in_the_settings_of_a_sweep(project: Project) -> None:
    write_sweep(project.root / "data/raw/toy")
    sidecar = project.root / "data/raw/toy/sweep.yaml"
    sidecar.write_text(sidecar.read_text() + "settings: {losses: {smooting: 0.1}}\n")
    text = failure(project)
    assert (
        "data/raw/toy/sweep.yaml: unknown key 'smooting' in settings.losses; "
        "did you mean 'smoothing'?" in text
    )


def test_yaml_1e18_is_a_number(project: Project) -> None:
    # YAML 1.1 reads 1e18 as a string; a budget must be a number all the same
    write_sweep(project.root / "data/raw/toy")
    path = project.root / "config.yaml"
    path.write_text(re.sub(r"\n  budgets: *\[[^]]*\]", "\n  budgets: [1e18]", path.read_text()))
    assert "budgets: [1e18]" in path.read_text()
    outcome = project.snakemake("--dry-run", "--printshellcmds", "reports/toy/report.html")
    assert outcome.status == 0, outcome.text
    assert '"budgets": [1e+18]' in outcome.text


def test_yaml_word_where_a_number_belongs(project: Project) -> None:
    write_sweep(project.root / "data/raw/toy")
    project.set_config(f"{PARAMETRIC}drop_highest: 0", f"{PARAMETRIC}drop_highest: few")
    text = failure(project)
    assert "approaches.parametric.drop_highest" in text
    assert "'few'" in text


def broken_sweep(folder: Path) -> None:
    """Add a cut log, an unknown file and a run of NaN to a good sweep of two budgets."""
    write_sweep(folder, budgets=(1e12, 4e12))
    name, text = run_log(16, 1e12, seed=1)
    (folder / name).write_text(text[: len(text) // 2])
    name, text = run_log(24, 1e12, seed=2)
    cut = text.rindex('{"kind": "train"')
    (folder / name).write_text(re.sub(r'(_loss|"loss)": [0-9.]+', r'\1": NaN', text[:cut]))
    (folder / "fit" / "notes.txt").write_text("nothing that looks like a log\n" * 50)


SCRIPTS = "扩展 قوانين सीमा Закон กฎ 법칙 ነጥብ ´^ [12]*? " + unicodedata.normalize("NFD", "é")
LONGEST = SCRIPTS + ("長い名前" * 12)[: (200 - len(SCRIPTS.encode())) // 3]
"""As long as a sweep's name may be, and not what it is in another normal form."""
RUNS = (
    "run a", "run \u0430", "RUN A", "run a ", unicodedata.normalize("NFC", "run é"),
    unicodedata.normalize("NFD", "run é"), "扩展 1", "قانون ٢", "x" * 200, "-rf",
    "a'b\"c;`d`", "100%|x\\y", "👩\u200d👩\u200d👧 1️⃣",
)  # fmt: skip
"""Names that a reader, a file system or a shell may take for one another's, or for a command."""


def name_runs(folder: Path) -> None:
    """Give runs of a sweep such names, in their logs and as their logs' own."""
    for path, name in zip(sorted(folder.glob("*-s0.jsonl")), RUNS, strict=False):
        header, *lines = path.read_text().splitlines()
        header = json.dumps({**json.loads(header), "run": name}, ensure_ascii=False)
        path.unlink()
        (folder / f"{name}.jsonl").write_text("\n".join([header, *lines, ""]), encoding="utf-8")


def test_bad_logs_get_a_fate_and_the_rest_is_fitted(project: Project) -> None:
    """Where it can be; beside names of every script, and the longest."""
    broken_sweep(project.root / "data/raw" / LONGEST)
    name_runs(project.root / "data/raw" / LONGEST / "fit")
    # what is no sweep stops none that is
    (project.root / "data/raw/__pycache__").mkdir()
    outcome = project.snakemake("--show-failed-logs", settings=LEAST)
    assert outcome.status == 1
    text = outcome.text[outcome.text.index("Error in rule refuse_sweeps") :]
    assert "data/raw/__pycache__: no sweep.yaml. Create data/raw/__pycache__/sweep.yaml" in text
    losses = read_table(project.root / f"data/losses/{LONGEST}.parquet", Losses)
    assert set(RUNS) < set(losses["run"])
    index = (project.root / "reports/index.html").read_text()
    assert f'href="{quote(LONGEST)}/report.html"' in index
    left_out = read_table(project.root / f"data/losses/{LONGEST}.left_out.parquet", LeftOut)
    reasons = dict(left_out.select("item", "reason").iter_rows())
    assert len(reasons) >= 3
    report = (project.root / "reports" / LONGEST / "report.html").read_text()
    for item in ("d16-c1.0e+12-s1", "d24-c1.0e+12-s2", "notes.txt"):
        assert any(item in name for name in reasons), (item, reasons)
        assert item in report
    # and two budgets are too few for one of the approaches
    folder = project.root / "data/estimates" / LONGEST
    estimates = {path.stem: json.loads(path.read_text()) for path in folder.glob("*.json")}
    reason = "profiles needs 3 budgets with 5 sizes each"
    assert reason in estimates["profiles"]["refused"]
    assert reason in re.sub(r"\s+", " ", report)
    assert "refused" not in estimates["parametric"]
    assert estimates["parametric"]["a"]["intervals"]


def test_a_log_that_may_not_be_read_stops_nothing(project: Project) -> None:
    """It is listed with its reason, is no input of any job, and is read once it may be."""
    write_sweep(project.root / "data/raw/toy", budgets=(1e12,))
    name = "fit/d16-c1.0e+12-s0.jsonl"
    log = project.root / "data/raw/toy" / name
    table = project.root / "data/losses/toy.parquet"

    def build() -> tuple[str, str | None, set[str]]:
        words = (
            "--cores",
            "1",
            "--nocolor",
            "--show-failed-logs",
            str(table.relative_to(project.root)),
        )
        done = as_ordinary(sys.executable, "-m", "snakemake", *words, cwd=project.root)
        assert done.returncode == 0, done.stdout + done.stderr
        files = pl.read_parquet(project.root / "data/curves/toy.files.parquet", glob=False)
        ((fate, reason),) = files.filter(path=name).select("fate", "reason").iter_rows()
        return fate, reason, set(pl.read_parquet(table, glob=False)["run"])

    log.chmod(0o000)
    fate, reason, left = build()
    assert (fate, reason) == ("rejected", "cannot be read: permission denied")
    log.chmod(0o644)
    fate, _, runs = build()
    assert fate == "used"
    assert runs - left == {log.stem}
    # and what was read before is not remembered of a log that may no longer be read
    log.chmod(0o000)
    assert build() == ("rejected", reason, left)


def test_unreadable_can_be_an_error(project: Project) -> None:
    broken_sweep(project.root / "data/raw/toy")
    project.set_config("  on_unreadable: record", "  on_unreadable: stop")
    assert "notes.txt" in failure(project)
    # Snakemake removes what a failed job wrote: what became of each file is there to be read
    files = pl.read_parquet(project.root / "data/curves/toy.files.parquet", glob=False)
    fates = dict(files.select("path", "fate").iter_rows())
    assert fates["fit/notes.txt"] == "rejected"
    assert pl.read_parquet(project.root / "data/curves/toy.runs.parquet", glob=False).height > 1
    assert not (project.root / "data/losses/toy.parquet").exists()
    # once it is mended the sweep goes on
    (project.root / "data/raw/toy/fit/notes.txt").unlink()
    assert project.snakemake("data/losses/toy.parquet").status == 0


def test_a_file_outside_any_sweep_is_named(project: Project) -> None:
    (project.root / "data/raw/loose.jsonl").write_text("{}\n")
    assert "data/raw/loose.jsonl: outside any sweep. Move raw logs into" in failure(project)


@pytest.mark.parametrize("container", ["", "isoflop.sif"])
def test_in_a_container_the_software_is_the_images(
    project: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, container: str
) -> None:
    """The folder of the environment outside may be mounted in it."""
    write_sweep(project.root / "data/raw/toy", budgets=(1e12,))
    inside = tmp_path / "bin" / "isoflop"
    inside.parent.mkdir()
    inside.write_text(f"#!/bin/sh\ntouch '{tmp_path}/inside'\nexit 1\n")
    inside.chmod(0o755)
    monkeypatch.setenv("PATH", f"{inside.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("APPTAINER_CONTAINER", container)
    outcome = project.snakemake("data/curves/toy.runs.parquet", own_jobs=True)
    assert (outcome.status != 0) == bool(container), outcome.text
    assert (tmp_path / "inside").exists() == bool(container)
