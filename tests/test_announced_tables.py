"""The digest in an announcement is checked against the table of the commit that announced."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
from tools.announced import FACTS, announcing_commit, verdicts

from isoflop.estimates.announced import read_announcements
from tests.conftest import ROOT

if TYPE_CHECKING:
    from pathlib import Path

TABLE = "losses.txt"


def git(root: Path, *words: str) -> str:
    return subprocess.run(
        ["git", "-c", "user.name=a", "-c", "user.email=a@b", *words],  # noqa: S607
        cwd=root, check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Give a history in which both files of announcements came after the first table."""
    git(tmp_path, "init", "-q")
    text = (ROOT / FACTS).read_text(encoding="utf-8")
    announced = read_announcements(ROOT / FACTS)
    digests = [one.losses_sha256 for one in (*announced.announcements, *announced.pairs)]
    (tmp_path / FACTS).parent.mkdir(parents=True)
    for place, digest in enumerate(digests):
        (tmp_path / TABLE).write_text(f"table {place}")
        text = text.replace(digest, digest_of(f"table {place}"))
    (tmp_path / FACTS).write_text("before")
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-qm", "before")
    (tmp_path / FACTS).write_text(text, encoding="utf-8")
    git(tmp_path, "commit", "-qam", "announced")
    (tmp_path / FACTS).write_text(text + "\n", encoding="utf-8")
    git(tmp_path, "commit", "-qam", "later")
    return tmp_path


def digest_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def test_every_table_is_asked_of_the_commit_that_announced(project: Path) -> None:
    first = git(project, "log", "--format=%H", "--reverse").split()[1]
    asked = []

    def build(sweep: str, commit: str, root: Path) -> str:
        assert root == project
        asked.append((sweep, commit))
        return digest_of(f"table {len(asked) - 1}")

    told = verdicts(project, build)
    assert set(told.values()) == {True}
    assert len(told) == len(asked) == 3
    assert {commit for _, commit in asked} == {first}
    other = verdicts(project, lambda *_: digest_of("another"))
    assert set(other.values()) == {False}


def test_a_history_that_is_cut_off_is_named(project: Path) -> None:
    with pytest.raises(LookupError, match="--unshallow"):
        announcing_commit("0" * 64, project)


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_the_tables_of_the_shipped_announcements_are_found_again() -> None:
    try:
        told = verdicts(ROOT)
    except LookupError as error:
        pytest.skip(str(error))
    assert len(told) == 3
    assert [line for line, same in told.items() if not same] == []
