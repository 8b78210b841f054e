"""Draw all figures of one sweep."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from typing import TYPE_CHECKING, Final

from isoflop.drawing import style, svg
from isoflop.drawing.data import figure_csv
from isoflop.drawing.manifest import FigureText, write_manifest
from isoflop.figures import (
    allocations,
    answer,
    bend,
    check_curves,
    check_pair,
    design,
    exponents,
    forecast,
    isoflop_profiles,
    laws,
    parametric_fit,
    predictions,
    residuals,
    specifications,
    training_curves,
)
from isoflop.files import replacing_folder, write_text
from isoflop.processes import belong_to_job

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from isoflop.figures.inputs import FigureInputs

FIGURES: Final[dict[str, Callable[[FigureInputs], style.Drawn | style.NothingToShow]]] = {
    "answer": answer.draw,
    "predictions": predictions.draw,
    "training_curves": training_curves.draw,
    "isoflop_profiles": isoflop_profiles.draw,
    "parametric_fit": parametric_fit.draw,
    "laws": laws.draw,
    "design": design.draw,
    "exponents": exponents.draw,
    "forecast": forecast.draw,
    "specifications": specifications.draw,
    "check_pair": check_pair.draw,
    "check_curves": check_curves.draw,
    "bend": bend.draw,
    "allocations": allocations.draw,
    "residuals": residuals.draw,
}
"""Every figure, by the name of its files."""


def plot_figures(inputs: FigureInputs, folder: Path, *, processes: int = 1) -> None:
    """Draw every figure as SVG and PDF, its numbers as CSV; figures.json says what each shows.

    A figure that has nothing to show for this sweep gets an entry with the reason, and drawings
    that show the reason as text; it has no numbers.

    Parameters
    ----------
    inputs : what is drawn.
    folder : where the files go.
    processes : figures drawn at a time; no byte depends on it.
    """
    # whole, since what is there under its own name counts as every figure
    with replacing_folder(folder) as temporary:
        plot = partial(plot_figure, inputs=inputs, folder=temporary)
        if processes == 1:
            texts = [plot(name) for name in FIGURES]
        else:
            # not forked: polars has threads by now, whose locks a child would have without them
            spawned = get_context("spawn")
            with ProcessPoolExecutor(processes, spawned, initializer=belong_to_job) as pool:
                texts = list(pool.map(plot, FIGURES))
        write_manifest(dict(zip(FIGURES, texts, strict=True)), temporary)


def plot_figure(name: str, inputs: FigureInputs, folder: Path) -> FigureText:
    """Draw one figure, and say what it shows or why it shows nothing."""
    from matplotlib import rc_context

    style.register_fonts()
    with rc_context(style.RC):
        style.stand_ins()  # of a figure that was drawn before
        drawn = FIGURES[name](inputs)
        if isinstance(drawn, style.NothingToShow):
            svg.save(_placeholder(drawn.reason).figure, folder, name)
            return FigureText(shown=False, reason=drawn.reason, alt=drawn.reason)
        svg.save(drawn.figure, folder, name)
        write_text(folder / f"{name}.csv", figure_csv(drawn.figure))
        runs = style.named_runs(drawn.figure)
        return FigureText(
            shown=True, reason="", alt=drawn.alt, stand_ins=style.stand_ins(), runs=runs
        )


def _placeholder(reason: str) -> style.Drawn:
    """Write the reason where the figure would be; the report has it in full beside its tables."""
    figure = style.new_figure(height=0.6)
    # it may name a run or a score as the logs do
    figure.text(0.01, 0.5, style.outside(reason), va="center", wrap=True, color=style.QUIET)
    return style.Drawn(figure, reason)
