"""What several tests of ingest watch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from isoflop.ingest.store import laid_out

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from isoflop.ingest.runs.logical_runs import Run


@pytest.fixture
def laid_out_anew(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the runs that are laid out from their records."""
    names: list[str] = []

    def told(runs: Sequence[Run], below: Path | None) -> laid_out._Anew:
        names.extend(run.name for run in runs)
        return plain(runs, below)

    plain = laid_out._laid_out
    monkeypatch.setattr(laid_out, "_laid_out", told)
    return names
