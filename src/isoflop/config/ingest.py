"""Section `ingest`."""

from __future__ import annotations

from typing import Literal

from isoflop.config.reading import Section


class IngestSettings(Section):
    """How raw logs are read."""

    on_unreadable: Literal["record", "stop"] = "record"
    """record: the report says why a file could not be read; stop: that is an error (for CI)."""
