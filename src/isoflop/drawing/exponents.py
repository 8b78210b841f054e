"""All exponents side by side: our sweeps, the reproduced studies, the papers.

Drawn twice: on the page of published studies, and on the index of all sweeps.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final

from isoflop.approach import COLOURS, MARKERS, MIXTURE, NAMES
from isoflop.drawing import style, svg
from isoflop.drawing.forest import ROW, Ends, Mark, draw_mark, equal_scaling, row_axes
from isoflop.estimates.estimate import Estimate
from isoflop.estimates.mixture import Mixture
from isoflop.estimates.published_numbers import DrawnExponent
from isoflop.published_laws import published_exponents

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes

    from isoflop.approach import Approach
    from isoflop.estimates.estimate import Refusal
    from isoflop.estimates.mixture import NoMixture
    from isoflop.estimates.published_numbers import DrawnMark
    from isoflop.estimates.quantities import Quantity
    from isoflop.reference import Reference

WIDTH: Final = 7.6
"""Width of the figure [inch]: it is shown in a column of 50 rem."""
RANGE: Final = (0.1, 1.0)
"""Values of a that are shown."""
HEADING: Final = 1.7
"""Height of a heading [row]."""


@dataclass(frozen=True, slots=True)
class Line:
    """One exponent.

    Attributes
    ----------
    label : what it is.
    ours : our value with its intervals, a filled mark; None where a paper stands alone.
    published : the paper's value with its interval, a hollow mark.
    """

    label: str
    ours: Mark | None = None
    published: Mark | None = None

    def in_words(self) -> str:
        """Say both values."""
        words = [self.label]
        if self.ours is not None:
            words.append(f"reproduced {self.ours.in_words()}")
        if self.published is not None:
            words.append(f"published {self.published.in_words()}")
        return ", ".join(words)


@dataclass(frozen=True, slots=True)
class Group:
    """Lines under one heading."""

    heading: str
    lines: tuple[Line, ...]


def as_drawn(line: Line) -> DrawnExponent:
    """Give a line as results.json of the published studies has it."""
    return DrawnExponent.model_validate(asdict(line))


def of_drawn(drawn: DrawnExponent) -> Line:
    """Draw a line of results.json."""
    return Line(drawn.label, *(_mark(mark) for mark in (drawn.ours, drawn.published)))


def _mark(drawn: DrawnMark | None) -> Mark | None:
    return None if drawn is None else Mark(**drawn.model_dump())


def of_sweep(
    heading: str,
    estimates: Mapping[Approach, Estimate | Refusal],
    mixture: Mixture | NoMixture | None = None,
) -> Group:
    """List the exponents of a sweep: the mixture's first, then each approach's.

    Parameters
    ----------
    heading : the sweep in words.
    estimates : those that were refused are left out.
    mixture : None leaves it out.
    """
    lines = [
        Line(NAMES[name], ours=reproduced(estimate.a.value, estimate.a, COLOURS[name]))
        for name, estimate in estimates.items()
        if isinstance(estimate, Estimate)
    ]
    if isinstance(mixture, Mixture):
        mark = reproduced(mixture.a.value, mixture.a, MIXTURE.colour)
        lines.insert(0, Line(MIXTURE.label, ours=mark))
    return Group(heading, tuple(lines))


def of_papers(reference: Reference) -> Group:
    """List what the papers print."""
    lines = (
        Line(
            f"{row.source.partition(',')[0]}, {NAMES[row.approach]}"
            if row.paper == "Hoffmann"
            else row.source,
            published=printed(row.a, MARKERS[row.approach], thick=row.a80, thin=row.a95),
        )
        for row in published_exponents(*reference.papers)
    )
    return Group("The papers", tuple(lines))


def reproduced(value: float, quantity: Quantity | None, colour: str) -> Mark:
    """Mark a value of ours, filled, with the intervals that it has."""
    intervals = quantity.intervals if quantity is not None else {}
    return Mark(value, colour, "o", intervals.get("0.8"), intervals.get("0.95"))


def printed(
    value: float, marker: str, *, thick: Ends | None = None, thin: Ends | None = None
) -> Mark:
    """Mark a published value, hollow."""
    return Mark(value, style.INK, marker, thick, thin, filled=False)


def draw(shown: Sequence[Group]) -> style.Drawn:
    """Draw the forest, with every number in its alternative text."""
    import matplotlib as mpl

    style.register_fonts()
    with mpl.rc_context(style.RC):
        rows = sum(len(group.lines) + HEADING for group in shown)
        figure = style.new_figure(width=WIDTH, height=0.6 + ROW * rows)
        axes = figure.add_subplot()
        heights, labels, height = [], [], 0.0
        for place, group in enumerate(shown):
            height -= HEADING if place else 0.0
            axes.annotate(
                style.outside(group.heading),
                (0.0, height),
                xycoords=("figure fraction", "data"),
                xytext=(3, 0),
                textcoords="offset points",
                va="center",
                weight="semibold",
                annotation_clip=False,
            )
            for line in group.lines:
                height -= 1.0
                heights.append(height)
                labels.append(style.outside(line.label))
                _draw_line(axes, height, line, f"{place}-{len(labels)}")
        row_axes(axes, heights, labels)
        axes.set(xlim=RANGE, xlabel="Exponent $a$", ylim=(min(heights) - 0.8, 1.0))
        equal_scaling(axes)
        svg.settle(figure)
    words = "; ".join(
        f"{group.heading}: {'; '.join(line.in_words() for line in group.lines)}" for group in shown
    )
    return style.Drawn(figure, f"Forest plot of the exponent a of the optimal size. {words}.")


def _draw_line(axes: Axes, height: float, line: Line, place: str) -> None:
    if line.published is not None:
        draw_mark(axes, height, line.published, gid=f"published-{place}")
    if line.ours is not None:
        draw_mark(axes, height, line.ours, gid=f"ours-{place}")
