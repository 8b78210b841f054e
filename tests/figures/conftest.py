from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from isoflop.drawing.manifest import read_manifest
from isoflop.figures.plot_figures import plot_figures
from tests import example_sweep

if TYPE_CHECKING:
    from pathlib import Path

    from isoflop.drawing.manifest import FigureText
    from isoflop.figures.inputs import FigureInputs


@dataclass(frozen=True)
class Plotted:
    """A folder of figures, what they were drawn from, and what they say they show."""

    folder: Path
    inputs: FigureInputs
    manifest: dict[str, FigureText]


@pytest.fixture(scope="session")
def plotted(tmp_path_factory: pytest.TempPathFactory) -> Plotted:
    root = tmp_path_factory.mktemp("plotted")
    inputs = example_sweep.write(root).figure_inputs()
    folder = root / "figures"
    plot_figures(inputs, folder)
    return Plotted(folder, inputs, read_manifest(folder))
