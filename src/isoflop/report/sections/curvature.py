"""Whether the frontier bends: a by thirds of the frontier, and its change per decade of compute."""

from __future__ import annotations

from typing import TYPE_CHECKING

from isoflop.approach import IN_PROSE, NAMES
from isoflop.estimates.intervals import LEVELS
from isoflop.numbers import fixed, interval, of_level, percent, power
from isoflop.report.sections.data import words
from isoflop.report.tables import Column, Table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from isoflop.approach import Approach
    from isoflop.estimates.estimate import Bend
    from isoflop.estimates.quantities import Quantity
    from isoflop.report.inputs import ReportInputs
    from isoflop.report.tables import Value

THIRDS = ("first", "middle", "last")


def curvatures(inputs: ReportInputs) -> dict[Approach, Bend]:
    """Give what each approach with a frontier says of its curvature."""
    return {
        approach: estimate.curvature
        for approach, estimate in inputs.fitted.items()
        if estimate.curvature is not None
    }


def curvature_table(inputs: ReportInputs) -> Table | None:
    """Tabulate a by thirds, and its change per decade of C; None where no approach has it."""
    quantities = [
        (approach, *quantity)
        for approach, found in curvatures(inputs).items()
        for quantity in _quantities(found)
    ]
    rows: list[list[str]] = [
        [NAMES[approach], shown, fixed(own.value), *(of_level(own, p, fixed) for p in LEVELS)]
        for approach, shown, _, own, _ in quantities
    ]
    data: list[list[Value]] = [
        [approach, name, *span, own.value, *_ends(own)]
        for approach, _, name, own, span in quantities
    ]
    if not rows:
        return None
    return Table(
        key="curvature",
        caption="How the exponent changes along the frontier, with percentile intervals of the "
        "draws: lines through thirds of the fitted envelope, as in Hoffmann et al., appendix E, "
        "and the quadratic term of log *N*\\* in log *C*. A third that fewer than three sizes win "
        "has no exponent, and no row.",
        columns=(
            Column("Approach", "left"), Column("Quantity", "left"), Column("Estimate"),
            Column("80 %"), Column("95 %"),
        ),
        rows=rows,
        data_columns=(
            "approach", "quantity", "flops_from", "flops_to", "value",
            "lo80", "hi80", "lo95", "hi95",
        ),
        data=data,
    )  # fmt: skip


def _quantities(
    found: Bend,
) -> Iterator[tuple[str, str, Quantity, tuple[float | None, float | None]]]:
    """Give each number as readers see its name, as the CSV has it, itself, and its span of C."""
    for name, third in zip(THIRDS, found.thirds or (), strict=False):
        if third.a is None:
            continue
        low, high = third.flops
        shown = f"*a*, {name} third ⏎ [{power(low, 2)} to {power(high, 2)} FLOPs]{{.ci}}"
        yield shown, f"a {name} third", third.a, (low, high)
    if found.per_decade is not None:
        yield "change of *a* per decade", "change per decade", found.per_decade, (None, None)


def _ends(own: Quantity) -> list[float | None]:
    return [end for p in LEVELS for end in own.intervals.get(f"{p:g}", (None, None))]


def curvature_sentences(inputs: ReportInputs) -> list[str]:
    """Say for each approach whether its frontier bends, and which way."""
    return [_sentence(IN_PROSE[approach], found) for approach, found in curvatures(inputs).items()]


def _sentence(name: str, found: Bend) -> str:
    own = found.per_decade
    if own is None:
        return f"{name} does not say: {words(found.reason or '')}."
    if not own.intervals:
        return f"{name} has no draws, so the bend of {fixed(own.value)} per decade has no interval."
    level = max(own.intervals, key=float)
    low, high = own.intervals[level]
    ends = f"{percent(float(level))}: {interval(low, high, fixed)}"
    if low <= 0.0 <= high:
        return (
            f"{name}: the interval of the change per decade ({ends}) contains zero, so a bend "
            "is not shown."
        )
    way = "rises" if own.value > 0 else "falls"
    grows = "faster" if own.value > 0 else "more slowly"
    return (
        f"{name}: *a* {way} by {fixed(abs(own.value))} per decade of compute, and the interval "
        f"({ends}) excludes zero: if it goes on, *N*\\* grows {grows} than the power law says."
    )
