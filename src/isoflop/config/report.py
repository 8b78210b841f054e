"""Section `report`."""

from __future__ import annotations

from isoflop.config.reading import Section


class ReportSettings(Section):
    """What the report answers."""

    budgets: tuple[float, ...] = ()
    """Compute budgets C that the report allocates [FLOP], besides the sweep's largest fitted
    budget to two digits, a decade beyond it and two; nothing is refitted for them."""
    run_table: bool = True
    """Whether the report ends with a table of every run."""
