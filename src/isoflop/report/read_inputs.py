"""Reading what a report is written from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from isoflop.approach import FITTED, LAWS
from isoflop.config.losses import LossesSettings
from isoflop.config.reading import read_yaml, settings_from
from isoflop.config.report import ReportSettings
from isoflop.config.sidecar import SweepFile
from isoflop.drawing.manifest import read_manifest
from isoflop.estimates.announced import FILE, read_announcements
from isoflop.estimates.estimate import read_draws, read_draws_of, read_estimates
from isoflop.estimates.forecasts import read_forecasts
from isoflop.estimates.mixture import KEY, read_mixture
from isoflop.estimates.published_numbers import read_numbers
from isoflop.files import digest, name_in_project
from isoflop.project import FACTS, PUBLISHED
from isoflop.reference import REFERENCE_FILES, read_reference
from isoflop.report.inputs import ReportInputs
from isoflop.tables import Files, Gates, LeftOut, Losses, Runs, Specifications, read_table

if TYPE_CHECKING:
    from pathlib import Path

    from isoflop.estimates.published_numbers import PublishedNumber


@dataclass(frozen=True, slots=True)
class ReportPaths:
    """Where everything lies that a report is written from."""

    sidecar: Path
    losses: Path
    left_out: Path
    runs: Path
    files: Path
    gates: Path
    estimates: Path
    specifications: Path
    figures: Path
    reference: Path
    results: Path | None = None
    """results.json of the published studies, for a sweep of one of them."""


def read_inputs(
    sweep: str, paths: ReportPaths, *, settings: str, losses_settings: str
) -> ReportInputs:
    """Read and check everything, and keep the digests of what was read.

    Parameters
    ----------
    sweep : name of the sweep.
    paths : the inputs.
    settings, losses_settings : sections of config.yaml as JSON, or the path of a config.yaml.
    """
    read = [paths.sidecar, paths.runs, paths.files, paths.gates]
    read += [paths.losses, paths.left_out]
    # by name: a further law, fitted by hand beside them, is no input
    read += [paths.estimates / f"{name}.json" for name in (*FITTED, "forecast", "mixture")]
    read += [paths.specifications]
    bibliography = paths.reference / "references.bib"
    read += [paths.reference / name for name in sorted(REFERENCE_FILES.values())]
    announced = paths.reference / FILE
    read += [announced] if announced.exists() else []
    announcements = read_announcements(announced)
    read += [bibliography]
    read += [] if paths.results is None else [paths.results]
    return ReportInputs(
        sweep=sweep,
        sidecar=read_yaml(paths.sidecar, SweepFile),
        losses=read_table(paths.losses, Losses),
        left_out=read_table(paths.left_out, LeftOut),
        runs=read_table(paths.runs, Runs),
        files=read_table(paths.files, Files),
        gates=read_table(paths.gates, Gates),
        estimates=read_estimates(paths.estimates),
        draws=read_draws(paths.estimates),
        laws=read_estimates(paths.estimates, LAWS),
        law_draws=read_draws(paths.estimates, LAWS),
        mixture=read_mixture(paths.estimates / "mixture.json"),
        mixture_draws=read_draws_of(paths.estimates, KEY),
        forecasts=read_forecasts(paths.estimates / "forecast.json"),
        specifications=read_table(paths.specifications, Specifications),
        figures=paths.figures,
        manifest=read_manifest(paths.figures),
        reference=read_reference(paths.reference),
        announcement=announcements.of(sweep),
        announced_pair=announcements.pair_of(sweep),
        settings=settings_from(settings, "report", ReportSettings),
        losses_settings=settings_from(losses_settings, "losses", LossesSettings),
        bibliography=bibliography.read_text(encoding="utf-8"),
        study=_study(sweep, paths.results),
        digests={_named(path, paths.reference): digest(path) for path in read},
    )


def _study(sweep: str, results: Path | None) -> tuple[PublishedNumber, ...]:
    """Read the numbers of the study that a sweep is of."""
    if results is None:
        return ()
    name = sweep.removeprefix(PUBLISHED)
    return tuple(number for number in read_numbers(results) if name in number.reports)


def _named(path: Path, reference: Path) -> str:
    """Name an input as a checkout does: where the published facts lie is the machine's affair."""
    if path.is_relative_to(reference):
        return f"{FACTS}/{path.relative_to(reference).as_posix()}"
    return name_in_project(path)
