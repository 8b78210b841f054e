"""What tests of several rooms share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

# how long an example takes says more of the machine than of the code; CI must judge the code alone
settings.register_profile(
    "isoflop", deadline=None, derandomize=os.environ.get("CI", "").lower() in {"1", "true"}
)
settings.load_profile("isoflop")

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def mirror() -> Path:
    """Give the folder of published data sets, one subfolder per study.

    The data are public but no part of the project: ISOFLOP_MIRROR names a folder that holds them.
    """
    folder = Path(os.environ.get("ISOFLOP_MIRROR") or ROOT.parent / "shared" / "datasets")
    if not folder.is_dir():
        pytest.skip(f"no published data sets in {folder}; set ISOFLOP_MIRROR to a folder of them")
    return folder
