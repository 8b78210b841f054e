"""All exponents side by side: our sweeps, the reproduced studies, the papers."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from isoflop.approach import COLOURS, MARKERS, NAMES
from isoflop.drawing import style, svg
from isoflop.drawing.forest import ROW, Ends, Mark, draw_mark, equal_scaling, row_axes
from isoflop.estimates.estimate import Estimate
from isoflop.published_laws import published_exponents

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes

    from isoflop.approach import Approach
    from isoflop.estimates.estimate import Refusal
    from isoflop.estimates.quantities import Quantity
    from isoflop.published.results import Verdict
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


def groups(
    results: Sequence[Verdict],
    sweeps: Mapping[str, Mapping[Approach, Estimate | Refusal]],
    reference: Reference,
) -> list[Group]:
    """List our sweeps, every study whose exponent was reproduced, and the papers."""
    listed = [
        Group(
            f"Own sweep: {sweep}",
            tuple(
                _ours(name, estimate.a)
                for name, estimate in estimates.items()
                if isinstance(estimate, Estimate)
            ),
        )
        for sweep, estimates in sweeps.items()
    ]
    studies = dict.fromkeys(verdict.study.title for verdict in results)
    for title in studies:
        lines = [
            _reproduced(verdict)
            for verdict in results
            if verdict.study.title == title and _is_exponent(verdict)
        ]
        listed.append(Group(title, tuple(lines)))
    listed.append(Group("The papers", _papers(reference)))
    return [group for group in listed if group.lines]


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


def _ours(approach: Approach, a: Quantity) -> Line:
    return Line(NAMES[approach], ours=_reproduced_mark(a.value, a, approach))


def _reproduced_mark(value: float, quantity: Quantity | None, approach: Approach) -> Mark:
    intervals = quantity.intervals if quantity is not None else {}
    thick, thin = intervals.get("0.8"), intervals.get("0.95")
    return Mark(value, COLOURS[approach], "o", thick, thin)


def _paper(
    value: float, marker: str, *, thick: Ends | None = None, thin: Ends | None = None
) -> Mark:
    return Mark(value, style.INK, marker, thick, thin, filled=False)


def _is_exponent(verdict: Verdict) -> bool:
    fitted, computed = verdict.result.fitted, verdict.result.computed
    if fitted is not None:
        return fitted.value == "a" and fitted.statistic == "value"
    return computed is not None and computed.function.endswith("exponent")


def _reproduced(verdict: Verdict) -> Line:
    fitted, value = verdict.result.fitted, verdict.reproduced
    ends, is_80 = verdict.result.interval, verdict.result.interval_level == 0.8
    approach = fitted.approach if fitted is not None else "profiles"
    return Line(
        re.sub(r"^\((.*)\)$", r"\1", re.sub(r"^a,? ", "", verdict.result.quantity)),
        None if value is None else _reproduced_mark(value, verdict.quantity, approach),
        _paper(
            verdict.result.published,
            "D",
            thick=ends if is_80 else None,
            thin=None if is_80 else ends,
        ),
    )


def _papers(reference: Reference) -> tuple[Line, ...]:
    return tuple(
        Line(
            f"{row.source.partition(',')[0]}, {NAMES[row.approach]}"
            if row.paper == "Hoffmann"
            else row.source,
            published=_paper(row.a, MARKERS[row.approach], thick=row.a80, thin=row.a95),
        )
        for row in published_exponents(reference)
    )
