from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from isoflop.figures.plot_figures import plot_figures
from tests import example_sweep

if TYPE_CHECKING:
    from pathlib import Path

    from isoflop.figures.inputs import FigureInputs


@dataclass(frozen=True)
class Plotted:
    """A folder of figures, what they were drawn from, and what they say they show."""

    folder: Path
    inputs: FigureInputs
    manifest: dict[str, Any]


@pytest.fixture(scope="session")
def plotted(tmp_path_factory: pytest.TempPathFactory) -> Plotted:
    root = tmp_path_factory.mktemp("plotted")
    inputs = example_sweep.write(root).figure_inputs()
    folder = root / "figures"
    plot_figures(inputs, folder)
    manifest = json.loads((folder / "figures.json").read_text(encoding="utf-8"))
    return Plotted(folder, inputs, manifest)
