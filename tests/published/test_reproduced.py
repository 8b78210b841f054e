"""Every number of the catalogue, by the functions that the rules call."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from isoflop.approaches.estimators.interaction_laws import LawFit
from isoflop.approaches.fit_approach import fit_approach
from isoflop.config.by_sweep import SweepSettings
from isoflop.config.ingest import IngestSettings
from isoflop.estimates.estimate import Provenance, write_estimate
from isoflop.ingest.sweep import ingest_sweep
from isoflop.losses.build import build_losses
from isoflop.published.catalogue import read_catalogue
from isoflop.published.computed import Sources
from isoflop.published.results import verdicts
from isoflop.reference import published_laws
from tests.published.conftest import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from isoflop.published.catalogue import Catalogue
    from isoflop.published.results import Verdict
    from isoflop.reference import Reference

CATALOGUE = read_catalogue(ROOT / "data" / "reference" / "published.yaml")
NUMBERS = [(study.name, result.quantity) for study in CATALOGUE.studies for result in study.results]
MISSED = {
    # 24 of the paper's 182 runs: three pairs of N and D, so R*_D and R*_N are not told apart
    ("data_constrained", "R*_D"),
    ("data_constrained", "R*_N"),
}
"""What does not come out of the data at hand; docs/published.md says why."""
PROVENANCE = Provenance(inputs={}, version="test", git_revision=None)


@pytest.fixture(scope="module")
def found(
    catalogue: Catalogue,
    fetched: Path,
    reference: Reference,
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[tuple[str, str], Verdict]:
    """Read, build and fit every published sweep, and compare.

    No published number rests on the sweeps that are simulated from special cases of a law;
    tests/approaches/estimators/test_nesting_tests.py has these.
    """
    with pytest.MonkeyPatch.context() as patch:
        defaults = LawFit.nesting_tests.__kwdefaults__
        assert defaults["simulations"] > 0
        patch.setitem(defaults, "simulations", 0)
        return compared(catalogue, fetched, reference, tmp_path_factory.mktemp("estimates"))


def compared(
    catalogue: Catalogue, fetched: Path, reference: Reference, estimates: Path
) -> dict[tuple[str, str], Verdict]:
    """Give the verdict on every number, by study and quantity.

    Parameters
    ----------
    estimates : folder that takes the estimates.
    """
    for study in catalogue.studies:
        for sweep in study.sweeps:
            if sweep.sidecar is None:
                continue
            tables = ingest_sweep(fetched / sweep.name, IngestSettings(), sweep=sweep.name)
            assert tables.files["lines_unread"].sum() == 0, sweep.name
            settings = SweepSettings.model_validate(catalogue.settings(sweep.name))
            losses = build_losses(tables.curves, tables.runs, tables.files, settings.losses).losses
            for path, approach in sweep.paths():
                settings = SweepSettings.model_validate(catalogue.settings(path))
                estimate, draws = fit_approach(
                    losses,
                    approach,
                    settings.approaches,
                    sweep=path,
                    provenance=PROVENANCE,
                    published=published_laws(reference.hoffmann, reference.besiroglu),
                )
                out = estimates / path / f"{approach}.json"
                write_estimate(estimate, out)
                draws.write_parquet(out.with_suffix(".draws.parquet"))
    sources = Sources(reference=reference, folder=fetched)
    return {
        (verdict.study.name, verdict.result.quantity): verdict
        for verdict in verdicts(catalogue, estimates, sources)
    }


def test_quantities_are_told_apart() -> None:
    assert len(set(NUMBERS)) == len(NUMBERS)
    assert set(NUMBERS) > MISSED


@pytest.mark.parametrize(("study", "quantity"), NUMBERS)
def test_published_number(study: str, quantity: str, found: dict[tuple[str, str], Verdict]) -> None:
    verdict = found[study, quantity]
    said = f"published {verdict.result.published}, reproduced {verdict.reproduced}"
    # a miss that turns into a hit must be taken off the list
    assert (verdict.outcome != "not reproduced") == ((study, quantity) not in MISSED), said
