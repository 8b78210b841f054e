"""Section `ingest`."""

from __future__ import annotations

from typing import Literal

from isoflop.config.reading import Section


class IngestSettings(Section):
    """How raw logs are read."""

    on_unreadable: Literal["record", "stop"] = "record"
    """record: the report says why a file could not be read; stop: that is an error (for CI)."""
    on_missing: Literal["leave_out", "stop"] = "leave_out"
    """leave_out: a run that lacks a fact (its N, its schedule) is left out, with the line to add to
    sweep.yaml as its reason; stop: that is an error (while a sweep is set up, and for CI)."""
