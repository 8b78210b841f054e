"""config.yaml, whole: one section per room, in the order in which the data flow."""

from __future__ import annotations

from isoflop.config.approaches import ApproachesSettings
from isoflop.config.archive import ArchiveSettings
from isoflop.config.figures import FiguresSettings
from isoflop.config.ingest import IngestSettings
from isoflop.config.losses import LossesSettings
from isoflop.config.published import PublishedSettings
from isoflop.config.reading import Section
from isoflop.config.report import ReportSettings
from isoflop.config.train import TrainSettings


class Config(Section):
    """config.yaml, whole."""

    train: TrainSettings = TrainSettings()
    """Sweeps that the project trains itself."""
    ingest: IngestSettings = IngestSettings()
    """How raw logs are read."""
    losses: LossesSettings = LossesSettings()
    """Which losses are fitted, and how they are smoothed."""
    approaches: ApproachesSettings = ApproachesSettings()
    """How the approaches are fitted."""
    figures: FiguresSettings = FiguresSettings()
    """How figures are drawn."""
    report: ReportSettings = ReportSettings()
    """What the report answers."""
    archive: ArchiveSettings = ArchiveSettings()
    """What goes into the file archived with a paper."""
    published: PublishedSettings = PublishedSettings()
    """Where the data of published studies come from."""
