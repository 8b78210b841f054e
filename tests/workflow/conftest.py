from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from tests.outputs import leaks_of, leaks_of_pdfs
from tests.workflow.toy import Project, copy_project, keep_jobs_apart

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Give a project that was built once, each job by itself; tests leave it as they found it."""
    project = copy_project(tmp_path_factory.mktemp("built") / "project")
    keep_jobs_apart(project)
    project.build()
    return project


@pytest.fixture(scope="module")
def archived(built: Project, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the built project's archive, made beside a file that is no input of any rule."""
    # a further law, fitted by hand
    stray = built.root / "data/estimates/toy/overtraining.json"
    stray.write_text("{}")
    built.build("archive")
    stray.unlink()
    kept = tmp_path_factory.mktemp("archive") / "toy.zip"
    shutil.move(built.root / "reports/toy/archive/toy.zip", kept)
    (built.root / "reports/toy/archive").rmdir()
    return kept


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """Give a fresh project without any sweep; no markup may leak into what a test builds in it."""
    project = copy_project(tmp_path / "pro [j]{e} c't", sweep=False)
    yield project
    reports = project.root / "reports"
    if any(reports.rglob("*.html")):
        assert leaks_of(reports) == {}
    if any(reports.rglob("report.pdf")) and shutil.which("pdftotext"):
        assert leaks_of_pdfs(reports) == {}
