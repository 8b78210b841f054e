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
    ingest: IngestSettings = IngestSettings()
    losses: LossesSettings = LossesSettings()
    approaches: ApproachesSettings = ApproachesSettings()
    figures: FiguresSettings = FiguresSettings()
    report: ReportSettings = ReportSettings()
    archive: ArchiveSettings = ArchiveSettings()
    published: PublishedSettings = PublishedSettings()
