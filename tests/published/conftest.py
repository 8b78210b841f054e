from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from isoflop.published.catalogue import read_catalogue
from isoflop.published.fetch import fetch_published
from isoflop.reference import Reference, read_reference

if TYPE_CHECKING:
    from isoflop.published.catalogue import Catalogue

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def catalogue() -> Catalogue:
    return read_catalogue(ROOT / "data" / "reference" / "published.yaml")


@pytest.fixture(scope="session")
def reference() -> Reference:
    return read_reference(ROOT / "data" / "reference")


def no_network(address: str) -> Path:
    raise AssertionError(f"a test went to the network for {address}")


@pytest.fixture(scope="session")
def fetched(catalogue: Catalogue, mirror: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give data/published with every sweep, from the mirror."""
    folder = tmp_path_factory.mktemp("published")
    for study in catalogue.studies:
        for sweep in study.sweeps:
            fetch_published(
                catalogue, sweep.name, folder / sweep.name, mirror=mirror, download=no_network
            )
    return folder
