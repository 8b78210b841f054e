from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from matplotlib import rc_context

from isoflop.drawing import style
from isoflop.drawing.manifest import read_manifest
from isoflop.figures.plot_figures import plot_figures
from tests import example_sweep
from tests.once import once

if TYPE_CHECKING:
    from collections.abc import Callable
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
def paths(tmp_path_factory: pytest.TempPathFactory) -> example_sweep.Paths:
    """Give the files of the made-up sweep."""
    return example_sweep.write(tmp_path_factory.mktemp("inputs"))


@pytest.fixture(scope="session")
def inputs(paths: example_sweep.Paths) -> FigureInputs:
    """Give what the figures of the made-up sweep are drawn from."""
    return paths.figure_inputs()


@pytest.fixture(scope="session")
def plotted(inputs: FigureInputs) -> Plotted:
    """Give the figures that the tests of every process look at, and none may change."""
    folder = once("plotted", partial(plot_figures, inputs))
    return Plotted(folder, inputs, read_manifest(folder))


DRAWN: dict[tuple[Any, int], tuple[style.Drawn, FigureInputs]] = {}
"""Figures that tests look at, by what drew them from what, which is kept so that its id stays."""


def drawn(draw: Callable[[FigureInputs], Any], inputs: FigureInputs) -> style.Drawn:
    """Draw a figure, for the first test that looks at it."""
    if (draw, id(inputs)) not in DRAWN:
        style.register_fonts()
        with rc_context(style.RC):
            found = draw(inputs)
        assert isinstance(found, style.Drawn)
        DRAWN[draw, id(inputs)] = found, inputs
    return DRAWN[draw, id(inputs)][0]
