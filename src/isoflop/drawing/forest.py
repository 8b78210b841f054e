"""Forests: values with their intervals, one below or beside the other, on shared axes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from isoflop.drawing import style
from isoflop.laws import EQUAL_SCALING
from isoflop.numbers import fixed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

Ends = tuple[float, float]

ROW: Final = 0.19
"""Height of a row [inch]."""


@dataclass(frozen=True, slots=True)
class Mark:
    """One value of a row.

    Attributes
    ----------
    value : where the mark stands.
    thick, thin : 80 % and 95 % intervals; None where there are none.
    colour, marker : of the mark and its intervals.
    filled : a hollow mark is a paper's, beside a filled one of ours.
    """

    value: float
    colour: str
    marker: str
    thick: Ends | None = None
    thin: Ends | None = None
    filled: bool = True

    def in_words(self) -> str:
        """Say value and intervals."""
        words = fixed(self.value)
        for level, ends in (("80 %", self.thick), ("95 %", self.thin)):
            if ends is not None:
                words += f", {level} {fixed(ends[0])} to {fixed(ends[1])}"
        return words


def draw_mark(
    axes: Axes,
    place: float,
    mark: Mark,
    *,
    upright: bool = False,
    size: float = 1.0,
    gid: str | None = None,
) -> None:
    """Draw a value with its 80 % (thick) and 95 % (thin) interval.

    Parameters
    ----------
    axes : where.
    place : y of the row; x where the values run upwards.
    mark : what.
    upright : whether the values run upwards.
    size : of marks and lines, where there are many.
    gid : identifier of the mark in the SVG; its intervals get "-80" and "-95".
    """
    for ends, level, width, alpha in ((mark.thin, 95, 0.9, 1.0), (mark.thick, 80, 2.6, 0.55)):
        if ends is not None:
            along, across = ends, (place, place)
            axes.plot(
                *((across, along) if upright else (along, across)),
                color=mark.colour,
                lw=size * width,
                alpha=alpha,
                solid_capstyle="butt",
                gid=f"{gid}-{level}" if gid else None,
            )
    axes.plot(
        *((place, mark.value) if upright else (mark.value, place)),
        marker=mark.marker,
        ls="",
        ms=5 * size,
        mew=0.4 if mark.filled else 0.9,
        mec="white" if mark.filled else mark.colour,
        mfc=mark.colour if mark.filled else "none",
        zorder=5,
        gid=gid,
    )


def row_axes(axes: Axes, heights: Sequence[float], labels: Sequence[str]) -> None:
    """Label rows at the left, and take away what crosses them."""
    axes.set_yticks(heights, labels)
    axes.set_ylim(min(heights) - 0.7, max(heights) + 0.7)
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)


def equal_scaling(axes: Axes) -> None:
    """Mark the exponent one half: N and D grow alike."""
    axes.axvline(EQUAL_SCALING, color=style.QUIET, lw=0.6, ls=(0, (1, 2)), zorder=1)
