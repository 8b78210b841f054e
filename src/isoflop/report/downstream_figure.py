"""Published downstream results of Chinchilla and Gopher."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from isoflop.drawing import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from isoflop.reference import GopherChinchilla

AHEAD = "#0072b2"
BEHIND = "#d55e00"


def draw(facts: GopherChinchilla) -> style.Drawn:
    """Plot the difference of every task of MMLU and BIG-bench and of every Pile subset.

    Parameters
    ----------
    facts : the published results, task by task.
    """
    figure = style.new_figure(height=2.1)
    panels = figure.subplots(1, 3, width_ratios=(1, 1, 0.8))
    tasks = (
        (
            "a  MMLU",
            "Chinchilla − Gopher (points)",
            [row.chinchilla - row.gopher for row in facts.mmlu.rows],
        ),
        (
            "b  BIG-bench",
            "Chinchilla − Gopher (points)",
            [row.chinchilla - row.gopher for row in facts.bigbench.rows],
        ),
        (
            "c  The Pile",
            "Gopher − Chinchilla (bits per byte)",
            [row.gopher - row.chinchilla for row in facts.pile.rows],
        ),
    )
    sentences = []
    for axes, (title, label, values) in zip(panels, tasks, strict=True):
        _bars(axes, np.sort(np.array(values)))
        axes.set_title(title)
        axes.set(
            ylabel=label,
            xlabel=f"{len(values)} tasks, sorted"
            if "Pile" not in title
            else f"{len(values)} subsets, sorted",
        )
        ahead = sum(value > 0 for value in values)
        sentences.append(f"{title[3:]}: Chinchilla ahead on {ahead} of {len(values)}")
    return style.Drawn(
        figure,
        "Three bar charts of the difference between Chinchilla and Gopher, sorted. "
        + "; ".join(sentences)
        + ".",
    )


def _bars(axes: Axes, values: np.ndarray) -> None:
    """Draw sorted bars, coloured by who is ahead."""
    axes.bar(
        np.arange(len(values)),
        values,
        width=0.8,
        color=[AHEAD if value > 0 else BEHIND for value in values],
    )
    axes.axhline(0, color=style.INK, lw=0.6)
    axes.axhline(float(values.mean()), color=style.INK, lw=0.6, ls=(0, (3, 2)))
    axes.annotate(
        f"mean {values.mean():.3g}",
        (0.02, float(values.mean())),
        xycoords=("axes fraction", "data"),
        xytext=(0, 2),
        textcoords="offset points",
        fontsize=style.SMALL - 0.5,
    )
    axes.set_xticks([])
    axes.grid(visible=False, axis="x")
