"""What tests of several rooms share."""

from __future__ import annotations

import gc
import os
from collections import Counter
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

# before numpy is imported, here and in every process that tests start: the threads of OpenBLAS wait
# for each other by counting, and took six seventh of the time of the fits beside other processes
os.environ.setdefault("OMP_NUM_THREADS", "1")


def _with_one_thread_of_polars() -> None:
    """Give Polars one thread here, where a process a core runs tests, as many where one runs all.

    Two threads took longer for a hundred rows than one. The processes that tests start have as many
    as a user's.
    """
    if "PYTEST_XDIST_WORKER" not in os.environ or "POLARS_MAX_THREADS" in os.environ:
        return
    os.environ["POLARS_MAX_THREADS"] = "1"
    import polars as pl  # reads how many when its pool is made

    pl.thread_pool_size()
    del os.environ["POLARS_MAX_THREADS"]


_with_one_thread_of_polars()

ROOT = Path(__file__).parents[1]
TESTS = ROOT / "tests"


def pytest_configure() -> None:
    """Name the folder of what is made once before the processes that share it are started.

    Nothing that is imported to find the tests is ever let go of, and to look for garbage in it was
    a fifth of the time.
    """
    open_shared()
    gc.disable()


def pytest_collection_finish() -> None:
    """Look for garbage again, in what the tests themselves leave."""
    gc.freeze()
    gc.enable()


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
    cases: Counter[tuple[str, str]] = Counter()
    for item in items:
        inside = item.path.relative_to(TESTS).as_posix()
        function = getattr(item, "originalname", item.name)
        if is_workflow(inside):
            item.add_marker("workflow")
        if inside in TORCH:
            item.add_marker("train")
        if is_slow(inside, function, item.name, case=cases[inside, function]):
            item.add_marker("slow")
        cases[inside, function] += 1
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
