"""Section `figures`."""

from __future__ import annotations

from pydantic import Field

from isoflop.config.reading import Section


class FiguresSettings(Section):
    """How figures are drawn."""

    contours: int = Field(default=15, ge=3)
    """Lines of equal loss in the parametric figure."""
