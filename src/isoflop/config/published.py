"""Section `published`."""

from __future__ import annotations

from isoflop.config.reading import Section


class PublishedSettings(Section):
    """Where the data of published studies come from (`snakemake published`)."""

    mirror: str | None = None
    """Folder that holds the files of data/reference/published.yaml, itself or below datasets/; null
    gets them over the network. The environment variable ISOFLOP_MIRROR wins."""
