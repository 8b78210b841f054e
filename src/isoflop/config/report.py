"""Section `report`."""

from __future__ import annotations

from isoflop.config.reading import Section


class ReportSettings(Section):
    """What the report answers."""

    budgets: tuple[float, ...] = (1e14, 1e18, 5.76e23)
    """Compute budgets C that the report allocates [FLOP]; 5.76e+23, Gopher's, is always added."""
    run_table: bool = True
    """Whether the report ends with a table of every run."""
