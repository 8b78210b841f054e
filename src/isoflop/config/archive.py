"""Section `archive`."""

from __future__ import annotations

from isoflop.config.reading import Section


class ArchiveSettings(Section):
    """What goes into the file archived with a paper."""

    include_raw: bool = True
    """Whether the raw logs themselves go in; their digests always do. Turn off where the logs are
    large and kept elsewhere."""
