"""What tests of several rooms share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

from tests.once import open_shared
from tests.tiers import QUICK, TORCH, is_left_out, is_slow, is_workflow, times

# how long an example takes says more of the machine than of the code; CI must judge the code alone
settings.register_profile(
    "isoflop",
    deadline=None,
    derandomize=os.environ.get("CI", "").lower() in {"1", "true"},
    max_examples=times(100),
)
settings.load_profile("isoflop")

ROOT = Path(__file__).parents[1]
TESTS = ROOT / "tests"


def pytest_configure() -> None:
    """Name the folder of what is made once before the processes that share it are started."""
    open_shared()


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Import no file of which the quick tier has no test: torch alone takes two seconds."""
    name = collection_path.relative_to(TESTS).as_posix()
    left_out = QUICK and collection_path.name.startswith("test_") and is_left_out(name)
    return True if left_out else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what `run.py test --quick` leaves out, and begin with what takes longest.

    workflow: tests/workflow and test_workflow.py of a room; mirror: whatever takes the published
    data sets; slow and train: those of tests/tiers.py.
    """
    for item in items:
        inside = item.path.relative_to(TESTS).as_posix()
        if is_workflow(inside):
            item.add_marker("workflow")
        if inside in TORCH:
            item.add_marker("train")
        if is_slow(inside, getattr(item, "originalname", item.name), item.name):
            item.add_marker("slow")
        if "mirror" in getattr(item, "fixturenames", ()):
            item.add_marker("mirror")
    items.sort(key=_turn)


def _turn(item: pytest.Item) -> int:
    """Put the file first that takes longest, since one process runs all of it; then workflows."""
    if item.path == TESTS / "workflow" / "test_workflow.py":
        return 0
    return 1 if item.get_closest_marker("workflow") else 2


@pytest.fixture(scope="session")
def mirror() -> Path:
    """Give the folder of published data sets, one subfolder per study.

    The data are public but no part of the project: ISOFLOP_MIRROR names a folder that holds them.
    """
    folder = Path(os.environ.get("ISOFLOP_MIRROR") or ROOT.parent / "shared" / "datasets")
    if not folder.is_dir():
        pytest.skip(f"no published data sets in {folder}; set ISOFLOP_MIRROR to a folder of them")
    return folder
