"""All exponents side by side, as an SVG that takes its colours from the page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from markupsafe import Markup, escape

from isoflop.approach import NAMES
from isoflop.estimates.estimate import Estimate
from isoflop.published_laws import published_exponents

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from isoflop.approach import Approach
    from isoflop.estimates.estimate import Refusal
    from isoflop.estimates.quantities import Quantity
    from isoflop.published.results import Verdict
    from isoflop.reference import Reference

WIDTH: Final = 736.0
LABELS: Final = 336.0
"""Room for the labels left of the axis."""
MARGIN: Final = 16.0
ROW: Final = 17.0
HEADING: Final = 27.0
AXIS: Final = 34.0
RANGE: Final = (0.1, 1.0)
"""Values of a that are shown."""
TICKS: Final = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


@dataclass(frozen=True, slots=True)
class Line:
    """One exponent.

    Attributes
    ----------
    label : what it is.
    a : our value, a filled mark; None where a paper stands alone.
    thick, thin : 80 % and 95 % intervals of it.
    published : the paper's value, a hollow mark.
    published_interval : the paper's interval.
    """

    label: str
    a: float | None = None
    thick: tuple[float, float] | None = None
    thin: tuple[float, float] | None = None
    published: float | None = None
    published_interval: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """Lines under one heading."""

    heading: str
    lines: tuple[Line, ...]


def groups(
    found: Sequence[Verdict],
    own: Mapping[str, Mapping[Approach, Estimate | Refusal]],
    reference: Reference,
) -> list[Group]:
    """List our sweeps, every study whose exponent was reproduced, and the papers."""
    listed = [
        Group(
            f"Own sweep: {sweep}",
            tuple(
                _ours(NAMES[name], estimate.a)
                for name, estimate in estimates.items()
                if isinstance(estimate, Estimate)
            ),
        )
        for sweep, estimates in own.items()
    ]
    studies = dict.fromkeys(verdict.study.title for verdict in found)
    for title in studies:
        lines = [
            _reproduced(verdict)
            for verdict in found
            if verdict.study.title == title and _is_exponent(verdict)
        ]
        listed.append(Group(title, tuple(lines)))
    listed.append(Group("The papers", _papers(reference)))
    return [group for group in listed if group.lines]


def draw(shown: Sequence[Group]) -> Markup:
    """Draw the forest; every mark carries its numbers as a tooltip."""
    height = AXIS + sum(HEADING + ROW * len(group.lines) for group in shown) + 8.0
    parts = [
        f'<svg class="forest" viewBox="0 0 {WIDTH:g} {height:g}" role="img" '
        'aria-label="Exponents a of the optimal size in compute, by study; '
        'the table above has the same numbers">'
    ]
    for tick in TICKS:
        x = _x(tick)
        strong = ' class="half"' if tick == 0.5 else ""
        parts.append(
            f'<g{strong}><line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="20" '
            f'y2="{height - 8:g}"/><text class="tick" x="{x:.1f}" y="13">{tick:g}</text></g>'
        )
    y = AXIS - 6.0
    for group in shown:
        y += HEADING - 7.0
        parts.append(f'<text class="heading" x="0" y="{y:g}">{escape(group.heading)}</text>')
        y += 7.0
        for line in group.lines:
            y += ROW
            parts.append(_row(line, y - 5.0))
    return Markup("\n".join([*parts, "</svg>"]))  # noqa: S704  text from outside is escaped


def _row(line: Line, y: float) -> str:
    parts = [
        f"<g><title>{escape(_said(line))}</title>"
        f'<text class="label" x="{LABELS - 14:g}" y="{y + 4:g}">{escape(line.label)}</text>'
    ]
    if line.published_interval is not None:
        parts.append(_span(line.published_interval, y + (2.5 if line.a is not None else 0.0),
                           "paper"))  # fmt: skip
    if line.thin is not None:
        parts.append(_span(line.thin, y, "thin"))
    if line.thick is not None:
        parts.append(_span(line.thick, y, "thick"))
    if line.a is not None:
        parts.append(f'<circle class="ours" cx="{_x(line.a):.1f}" cy="{y:g}" r="3.6"/>')
    if line.published is not None:
        x = _x(line.published)
        parts.append(
            f'<path class="theirs" d="M{x - 4.6:.1f} {y:g}L{x:.1f} {y - 4.6:g}'
            f'L{x + 4.6:.1f} {y:g}L{x:.1f} {y + 4.6:g}Z"/>'
        )
    return "".join([*parts, "</g>"])


def _span(ends: tuple[float, float], y: float, kind: str) -> str:
    low, high = (_x(min(max(end, RANGE[0]), RANGE[1])) for end in ends)
    return f'<line class="{kind}" x1="{low:.1f}" x2="{high:.1f}" y1="{y:g}" y2="{y:g}"/>'


def _x(a: float) -> float:
    low, high = RANGE
    return LABELS + (a - low) / (high - low) * (WIDTH - LABELS - MARGIN)


def _said(line: Line) -> str:
    words = [line.label]
    if line.a is not None:
        words.append(f"reproduced {line.a:.3f}")
    for name, ends in (("80 %", line.thick), ("95 %", line.thin)):
        if ends is not None:
            words.append(f"{name} {ends[0]:.3f} to {ends[1]:.3f}")
    if line.published is not None:
        words.append(f"published {line.published:.3f}")
    if line.published_interval is not None:
        low, high = line.published_interval
        words.append(f"published interval {low:.3f} to {high:.3f}")
    return "; ".join(words)


def _ours(label: str, a: Quantity) -> Line:
    return Line(label, a.value, a.intervals.get("0.8"), a.intervals.get("0.95"))


def _is_exponent(verdict: Verdict) -> bool:
    fitted, computed = verdict.result.fitted, verdict.result.computed
    if fitted is not None:
        return fitted.value == "a" and fitted.statistic == "value"
    return computed is not None and computed.function.endswith("exponent")


def _reproduced(verdict: Verdict) -> Line:
    quantity = verdict.quantity
    intervals = quantity.intervals if quantity is not None else {}
    return Line(
        verdict.result.quantity.removeprefix("a, ").removeprefix("a ").strip("()"),
        verdict.reproduced,
        intervals.get("0.8"),
        intervals.get("0.95"),
        verdict.result.published,
        verdict.result.interval,
    )


def _papers(reference: Reference) -> tuple[Line, ...]:
    return tuple(
        Line(
            f"{row.source.partition(',')[0]}, {NAMES[row.approach]}"
            if row.paper == "Hoffmann"
            else row.source,
            published=row.a,
            published_interval=row.a80 or row.a95,
        )
        for row in published_exponents(reference)
    )
