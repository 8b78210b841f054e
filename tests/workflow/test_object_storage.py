"""Raw logs and outputs in an object store: read from there, written there, the same bytes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.workflow.object_store import CannotBeHadError, Store, started
from tests.workflow.toy import Project, copy_project, write_sweep

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TARGETS = ("data/losses/toy.parquet", "data/estimates/toy/profiles.json")


@pytest.fixture
def store() -> Iterator[Store]:
    """Start an S3 of this machine alone."""
    try:
        with started("store") as store:
            yield store
    except CannotBeHadError as error:
        pytest.skip(str(error))


def commands(planned: str) -> str:
    """Give the commands of a dry run: what follows each rule's facts, up to an empty line."""
    return "\n".join(part.partition("\n\n")[0] for part in planned.split("Shell command:")[1:])


def move_logs(project: Project, store: Store) -> None:
    """Put a sweep's folder into the store; only sweep.yaml and a list of the logs stay."""
    folder = project.root / "data/raw/toy"
    names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    for name in names:
        store.put(f"data/raw/toy/{name}", (folder / name).read_bytes())
        if name != "sweep.yaml":
            (folder / name).unlink()
    manifest = project.root / "data/manifests/toy.txt"
    manifest.parent.mkdir()
    manifest.write_text("".join(f"{name}\n" for name in names))


def test_logs_and_outputs_in_an_object_store(store: Store, tmp_path: Path) -> None:
    """Its logs are nowhere but in the store, so nothing else can have been read."""
    here = copy_project(tmp_path / "here", sweep=False)
    write_sweep(here.root / "data/raw/toy", budgets=(1e12, 4e12, 1.6e13))
    here.build(*TARGETS)
    there = copy_project(tmp_path / "there", sweep=False)
    write_sweep(there.root / "data/raw/toy", budgets=(1e12, 4e12, 1.6e13))
    move_logs(there, store)
    store.build(there, *TARGETS)
    for name in TARGETS:
        assert store.get(name) == (here.root / name).read_bytes()
    assert not (there.root / TARGETS[0]).exists()
    assert store.build(there, "--dry-run", *TARGETS).rules == {}
    # what no job has made yet: every file that a command names is one that was fetched, or a log
    planned = store.build(there, "--dry-run", "--printshellcmds", "all", "archive")
    assert {"fit_approach", "render_report", "archive_report", "render_index"} <= set(planned.rules)
    named = re.findall(r"(?:(?<=\s)|(?<=['=]))(?:data|reports)/[^\s']+", commands(planned.text))
    assert set(named) == {"data/reference"}, "published facts are the checkout's"
