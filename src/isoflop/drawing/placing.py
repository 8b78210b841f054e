"""Where labels stand inside a picture: over no line, no mark and no other label."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from isoflop.drawing.style import direct_label

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

MARGIN: Final = 1.5
"""Least distance of a label's box from what is drawn [point]."""
STEP: Final = 1.0
"""Distance between the places of a line that are looked at [point]."""
OVERLAP: Final = 1e3
"""What another label below a label costs, where a place of a line or a mark costs 1."""
OUTSIDE: Final = 1e6
"""What standing outside the picture costs."""


@dataclass(frozen=True, slots=True)
class Place:
    """One place for a label: beside a point, in the coordinates of the data.

    Attributes
    ----------
    x, y : the point.
    ha, va : which part of the label stands there, as in matplotlib.
    offset : distance from the point [point].
    """

    x: float
    y: float
    ha: str
    va: str
    offset: tuple[float, float] = (0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Label:
    """A label, and where it may stand; the first places are the best."""

    text: str
    colour: Any
    places: Sequence[Place]
    gid: str | None = None


BESIDE: Final[tuple[tuple[str, str, tuple[float, float]], ...]] = (
    ("right", "center", (-6.0, 0.0)), ("left", "center", (6.0, 0.0)),
    ("right", "top", (-3.0, -3.0)), ("left", "bottom", (3.0, 3.0)),
    ("right", "bottom", (-3.0, 3.0)), ("left", "top", (3.0, -3.0)),
    ("center", "bottom", (0.0, 4.0)), ("center", "top", (0.0, -4.0)),
)  # fmt: skip
"""The sides of a point on which its label may stand."""


def beside(points: Iterable[tuple[float, float]]) -> list[Place]:
    """Give the places on every side of some points, nearest to the first point first."""
    return [Place(x, y, ha, va, offset) for x, y in points for ha, va, offset in BESIDE]


def inside(axes: Axes, fractions: Iterable[tuple[float, float]]) -> list[Place]:
    """Give places at fractions of a picture's width and height; limits and scales must be set.

    A label at the left half begins there, one at the right half ends there; likewise upwards.
    """
    to_data = axes.transAxes + axes.transData.inverted()
    chosen = list(fractions)
    points = np.reshape(to_data.transform(chosen), (-1, 2)).tolist()
    return [
        Place(across, upwards, "left" if x < 0.5 else "right", "bottom" if y < 0.5 else "top")
        for (across, upwards), (x, y) in zip(points, chosen, strict=True)
    ]


def place_labels(axes: Axes, labels: Sequence[Label]) -> None:
    """Write labels where they lie over nothing, or over the least; limits and lines must be set.

    They stand inside the axes, so that the figure's layout, which is made here, does not depend on
    them.
    """
    if not labels:
        return
    figure: Any = axes.figure
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.execute(figure)
    pixels = figure.dpi / 72.0
    ink = _ink(axes, STEP * pixels)
    frame = np.array(axes.get_window_extent().extents)
    taken = [text.get_window_extent().extents for text in axes.texts if text.get_text().strip()]
    for label in labels:
        first = label.places[0]
        text: Any = direct_label(axes, first.x, first.y, label.text, color=label.colour)
        text.set_in_layout(False)
        text.set_gid(label.gid)
        extent = text.get_window_extent()
        boxes = _boxes(axes, label.places, (extent.width, extent.height), pixels)
        best = _least_covered(boxes, ink, np.reshape(taken, (-1, 4)), frame, MARGIN * pixels)
        place = label.places[best]
        text.xy = (place.x, place.y)
        text.set(ha=place.ha, va=place.va, position=place.offset)
        taken.append(boxes[best])


def _ink(axes: Axes, step: float) -> Floats:
    """Give places of all lines and marks of a picture, (places, 2), a step apart on lines."""
    from matplotlib.collections import LineCollection, PathCollection

    ways = []
    for line in axes.lines:
        points = line.get_transform().transform(np.column_stack(line.get_data(orig=False)))
        ways.append((points, line.get_linestyle() not in {"None", "", " "}))
    for drawn in axes.collections:
        if isinstance(drawn, PathCollection):
            offsets = np.asarray(drawn.get_offsets(), dtype=np.float64)
            ways.append((drawn.get_offset_transform().transform(offsets), False))
        elif isinstance(drawn, LineCollection):
            to_pixels = drawn.get_transform()
            ways += [(to_pixels.transform(segment), True) for segment in drawn.get_segments()]
    low, high = axes.get_window_extent().get_points()
    places = [np.empty((0, 2))]
    for points, joined in ways:
        kept = points[np.isfinite(points).all(axis=1)]
        way = _along(np.clip(kept, low - 1e4, high + 1e4), step) if joined else kept
        places.append(way[((way >= low) & (way <= high)).all(axis=1)])
    return np.concatenate(places)


def _along(points: Floats, step: float) -> Floats:
    """Give places on the way from each point to the next."""
    if len(points) < 2:
        return points
    lengths = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(points, axis=0).T))])
    at = np.linspace(0.0, lengths[-1], int(lengths[-1] / step) + 2)
    return np.column_stack([np.interp(at, lengths, column) for column in points.T])


def _boxes(axes: Axes, places: Sequence[Place], size: tuple[float, float], pixels: float) -> Floats:
    """Give the box of a label at each place: left, bottom, right and top, (places, 4)."""
    parts = {"left": 0.0, "bottom": 0.0, "center": 0.5, "right": 1.0, "top": 1.0}
    points = axes.transData.transform([(place.x, place.y) for place in places])
    offsets = np.array([place.offset for place in places]) * pixels
    moved = np.array([(parts[place.ha], parts[place.va]) for place in places]) * size
    corner = points + offsets - moved
    return np.column_stack([corner, corner + size])


def _least_covered(boxes: Floats, ink: Floats, taken: Floats, frame: Floats, margin: float) -> int:
    """Choose the first box that lies over nothing, or else the one over the least."""
    pad = np.array([-margin, -margin, margin, margin])
    costs = []
    for box in boxes:
        left, bottom, right, top = box + pad
        inside = (ink > (left, bottom)) & (ink < (right, top))
        cost = float(inside.all(axis=1).sum())
        apart = (
            (taken[:, 0] >= right) | (taken[:, 2] <= left)
            | (taken[:, 1] >= top) | (taken[:, 3] <= bottom)
        )  # fmt: skip
        cost += OVERLAP * float((~apart).sum())
        outside = (box[:2] < frame[:2]).any() or (box[2:] > frame[2:]).any()
        cost += OUTSIDE * float(outside)
        costs.append(cost)
        if cost == 0.0:
            break
    return int(np.argmin(costs))
