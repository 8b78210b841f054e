from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.workflow.toy import Project, copy_project

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Give a project that was built once; tests leave it as they found it."""
    project = copy_project(tmp_path_factory.mktemp("built") / "project")
    project.build()
    return project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Give a fresh project without any sweep."""
    return copy_project(tmp_path / "project", sweep=False)
