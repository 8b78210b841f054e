"""The numbers of a figure, read from what was drawn: a CSV file beside the drawing."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from isoflop.drawing import style
from isoflop.escape import csv_cell

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

COLUMNS: Final[dict[str, str]] = {
    "panel": "number of the panel",
    "x_axis": "what x is, as the axis says; empty where places alone tell rows apart",
    "y_axis": "what y is, likewise",
    "series": "what is drawn, as its group in the SVG is called",
    "run": "run that a mark or a curve shows",
    "x": "x of a mark or of a point of a line",
    "y": "y of it; of a band or a stroke one end",
    "x_to": "x of a stroke's other end",
    "y_to": "y of a band's or a stroke's other end",
}
"""Columns of a figure's CSV, and what they mean."""


def figure_csv(figure: Figure) -> str:
    """Write what marks, lines, bands and contours of a figure show, with every digit.

    What is drawn has an identifier; what has none is a guide for the eye.

    Parameters
    ----------
    figure : the figure.

    Returns
    -------
    CSV with the columns of ``COLUMNS``, panel by panel in the order of drawing.
    """
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(COLUMNS)
    for panel, axes in enumerate(_panels(figure), start=1):
        head = [panel, *(csv_cell(style.in_words(label)) for label in _labels(axes))]
        for series, run, *numbers in _rows(axes):
            # + 0.0: a row's place is never -0.0
            cells = ("" if np.isnan(number) else repr(float(number) + 0.0) for number in numbers)
            writer.writerow([*head, csv_cell(series), csv_cell(run), *cells])
    return stream.getvalue()


def _panels(figure: Figure) -> list[Axes]:
    """Give the axes that show something of their own: no bar that explains colours."""
    return [axes for axes in figure.axes if axes.get_label() != "<colorbar>"]


def _labels(axes: Axes) -> tuple[str, str]:
    """Say what x and y are: inner panels leave it to the outer ones of their row or column."""
    x = [axes, *axes.get_shared_x_axes().get_siblings(axes)]
    y = [axes, *axes.get_shared_y_axes().get_siblings(axes)]
    return (
        next((each.get_xlabel() for each in x if each.get_xlabel()), ""),
        next((each.get_ylabel() for each in y if each.get_ylabel()), ""),
    )


def _rows(axes: Axes) -> Iterator[tuple[Any, ...]]:
    """Yield series, run, x, y, x_to and y_to of all that is drawn; NaN where there is none."""
    for artist in (*axes.lines, *axes.collections):
        gid = artist.get_gid()
        if gid is None:
            continue
        for series, points in _parts(artist, gid, axes):
            for run, row in zip(_runs_of(artist, len(points)), points, strict=True):
                if not np.isnan(row).all():  # a line's gap
                    yield series, run, *row


def _runs_of(artist: Artist, count: int) -> tuple[str, ...]:
    """Name the run of each mark; of a curve it is one."""
    runs = style.runs_of(artist)
    return runs if len(runs) == count else (runs[0] if runs else "",) * count


def _parts(artist: Any, gid: str, axes: Axes) -> Iterator[tuple[str, Floats]]:
    """Yield each part of what is drawn, by its name: rows of x, y, x_to, y_to."""
    from matplotlib.collections import FillBetweenPolyCollection, LineCollection, PathCollection
    from matplotlib.contour import QuadContourSet
    from matplotlib.lines import Line2D

    if isinstance(artist, Line2D):
        points = np.array(artist.get_xydata(), dtype=np.float64)
        # a line across a panel has a place on one axis alone
        across = artist.get_transform().contains_branch_seperately(axes.transData)
        points[:, ~np.array(across)] = np.nan
        yield gid, _without_ends(points if all(across) else points[:1])
    elif isinstance(artist, QuadContourSet):
        for level, segments in zip(artist.levels, artist.allsegs, strict=True):
            for segment in segments:
                yield f"{gid}-{level:.6g}", _without_ends(np.asarray(segment))
    elif isinstance(artist, PathCollection):
        yield gid, _without_ends(np.asarray(artist.get_offsets(), dtype=np.float64))
    elif isinstance(artist, FillBetweenPolyCollection):
        for path in artist.get_paths():
            yield gid, _both_edges(path.vertices)
    elif isinstance(artist, LineCollection):
        segments = [segment for segment in artist.get_segments() if len(segment)]
        yield gid, np.array([[*each[0], *each[-1]] for each in segments]).reshape(-1, 4)
    else:
        raise TypeError(f"{gid}: no numbers are read from a {type(artist).__name__}")


def _without_ends(points: Floats) -> Floats:
    """Give points the columns of other ends, which they have none of."""
    return np.hstack([points, np.full((len(points), 2), np.nan)])


def _both_edges(vertices: Any) -> Floats:
    """Lay both edges of a band side by side: it runs along one, back along the other, closed."""
    # (x0, other edge), edge, (xn, other edge), other edge backwards, the first again
    count = (len(vertices) - 3) // 2
    edge = vertices[1 : count + 1]
    other = vertices[count + 2 : 2 * count + 2][::-1]
    return np.column_stack([edge, np.full(count, np.nan), other[:, 1]])
