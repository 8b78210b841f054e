"""The figures room: draws losses and estimates; it neither smooths nor fits."""

from isoflop.figures.inputs import FigureInputs
from isoflop.figures.plot_figures import FIGURES, plot_figure, plot_figures

__all__ = ["FIGURES", "FigureInputs", "plot_figure", "plot_figures"]
