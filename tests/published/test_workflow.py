"""The target `published` on a part of the catalogue: the whole takes minutes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from isoflop.approach import FITTED, LAWS
from tests.outputs import leaks_of
from tests.workflow.toy import Project, copy_project

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CATALOGUE = "data/reference/published.yaml"
PART = ("gadre", "pearce_song")
BACKTEST = {"backtest_laws", "render_backtest"}
BACKTEST_COMMAND = "isoflop backtest-laws"
COMPARED = {"compare_published", "render_published"}
CHAIN = {"fetch_published", "ingest_sweep", "build_losses", "fit_approach", *COMPARED, *BACKTEST}
REPORTED = {"score_forecasts", "mix_laws", "fit_specifications", "plot_figures", "render_report"}
PAGES = [f"reports/published/{name}" for name in ("index.html", "results.json", "backtest.html")]
"""What `published` makes besides a report for each sweep, whose rules are those of any sweep."""


def edit(project: Project, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the catalogue's content."""
    path = project.root / CATALOGUE
    content = yaml.safe_load(path.read_text())
    change(content)
    path.write_text(yaml.safe_dump(content, sort_keys=False))


def cut(content: dict[str, Any]) -> None:
    """Keep one sweep of one study, and a study without data."""
    content["studies"] = [study for study in content["studies"] if study["name"] in PART]
    gadre = content["studies"][0]
    gadre["sweeps"] = gadre["sweeps"][:1]
    gadre["results"] = [r for r in gadre["results"] if r["fitted"]["sweep"] == "gadre-c4"]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, mirror: Path) -> Project:
    """Give a project without own sweeps, its part of the catalogue built from the mirror."""
    project = copy_project(tmp_path_factory.mktemp("published") / "project", sweep=False)
    edit(project, cut)
    # of two hundred draws: what a page says of them, their own tests ask
    rules = project.root / "rules/published.smk"
    text = rules.read_text()
    assert text.count(BACKTEST_COMMAND) == 1
    rules.write_text(text.replace(BACKTEST_COMMAND, f"{BACKTEST_COMMAND} --draws 40"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ISOFLOP_MIRROR", str(mirror))
        project.build(*PAGES)
    return project


def planned(project: Project) -> set[str]:
    return set(project.planned(*PAGES))


def test_no_markup_leaks_into_the_pages_of_published_studies(built: Project) -> None:
    assert {path.name for path in (built.root / "reports/published").glob("*.html")}
    assert leaks_of(built.root / "reports") == {}


def test_published_numbers_come_out_of_the_workflow(built: Project) -> None:
    results = json.loads((built.root / "reports/published/results.json").read_text())
    assert len(results) == 8
    assert [row["quantity"] for row in results if row["outcome"] == "not reproduced"] == []
    assert {row["study"] for row in results} == set(PART)
    page = (built.root / "reports/published/index.html").read_text()
    words = " ".join(page.split())
    assert "4 of 4 published numbers come out of the data digit by digit, 0 come out near" in words
    assert "Of 4 more that no paper prints and that others recomputed" in words
    assert (built.root / "data/published/gadre-c4/sweep.yaml").exists()


def test_every_sweep_that_is_read_gets_a_report(built: Project) -> None:
    # the laws that the study's own numbers need no fit of, and one report
    jobs = built.planned("published")
    assert set(jobs) == {"published", "fit_approach", "fit_law", *REPORTED}
    assert (jobs["fit_approach"], jobs["fit_law"]) == (len(FITTED) - len(LAWS), len(LAWS))
    assert {name: jobs[name] for name in REPORTED} == dict.fromkeys(REPORTED, 1)


def test_second_run_does_nothing(built: Project) -> None:
    assert planned(built) == set()


def test_changes_rerun_what_they_touch(built: Project) -> None:
    before = (built.root / CATALOGUE).read_text()

    def settings(content: dict[str, Any]) -> None:
        settings = content["studies"][0]["sweeps"][0]["sidecar"]["settings"]
        settings["approaches"]["overtraining"] = {"residual": "log_loss"}

    def backtest(content: dict[str, Any]) -> None:
        content["studies"][0]["sweeps"][0]["backtest"] = {"checks": True, "drop_highest": 1}

    def variant(content: dict[str, Any]) -> None:
        log_loss = {"approaches": {"overtraining": {"residual": "log_loss"}}}
        content["studies"][0]["sweeps"][0]["variants"] = {
            "log": {"fits": ["overtraining"], "settings": log_loss}
        }

    def tolerance(content: dict[str, Any]) -> None:
        content["studies"][0]["results"][0] |= {"tolerance": 0.5, "digit": 0.001}

    def sidecar(content: dict[str, Any]) -> None:
        content["studies"][0]["sweeps"][0]["sidecar"]["description"] = "changed"

    for change, rules in (
        (tolerance, COMPARED),
        (backtest, {*COMPARED, *BACKTEST}),
        # the variant shares the losses; the sweep's own settings stand in its sweep.yaml
        (variant, {"fit_approach", *COMPARED}),
        (settings, CHAIN),
        (sidecar, CHAIN),
    ):
        edit(built, change)
        assert planned(built) == rules, change.__name__
        (built.root / CATALOGUE).write_text(before)


def test_own_settings_change_no_verdict(built: Project) -> None:
    path = built.root / "config.yaml"
    before = path.read_text()
    built.set_config("    residual: loss", "    residual: log_loss")
    assert planned(built) == set()
    path.write_text(before)


def test_without_the_data_one_clear_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = copy_project(tmp_path / "project", sweep=False)
    edit(project, cut)
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("ISOFLOP_MIRROR", str(tmp_path / "empty"))
    outcome = project.snakemake("published")
    text = outcome.text + project.logs()
    assert outcome.status != 0
    assert "Traceback (most recent call last)" not in text
    assert "study 'gadre': no public address has the bytes of gadre/gadre_table.csv" in text
    assert "set published.mirror in config.yaml, or ISOFLOP_MIRROR" in text
    assert not (project.root / "data/published/gadre-c4").exists()


def test_a_typo_in_the_catalogue_is_named(tmp_path: Path) -> None:
    project = copy_project(tmp_path / "project", sweep=False)
    edit(project, lambda content: content["studies"][0].update(licens="MIT"))
    outcome = project.snakemake("published", "--dry-run")
    assert outcome.status != 0
    assert "unknown key 'licens' in studies.0; did you mean 'licence'?" in outcome.text
