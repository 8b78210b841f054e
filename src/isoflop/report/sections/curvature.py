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
        for approach, bend in curvatures(inputs).items()
        for quantity in _quantities(bend)
    ]
    rows: list[list[str]] = [
        [
            NAMES[approach],
            shown,
            fixed(quantity.value),
            *(of_level(quantity, p, fixed) for p in LEVELS),
        ]
        for approach, shown, _, quantity, _ in quantities
    ]
    data: list[list[Value]] = [
        [approach, name, *span, quantity.value, *_ends(quantity)]
        for approach, _, name, quantity, span in quantities
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
    bend: Bend,
) -> Iterator[tuple[str, str, Quantity, tuple[float | None, float | None]]]:
    """Give each number as readers see its name, as the CSV has it, itself, and its span of C."""
    for name, third in zip(THIRDS, bend.thirds or (), strict=False):
        if third.a is None:
            continue
        low, high = third.flops
        shown = f"*a*, {name} third ⏎ [{power(low, 2)} to {power(high, 2)} FLOPs]{{.ci}}"
        yield shown, f"a {name} third", third.a, (low, high)
    if bend.per_decade is not None:
        yield "change of *a* per decade", "change per decade", bend.per_decade, (None, None)


def _ends(quantity: Quantity) -> list[float | None]:
    return [end for p in LEVELS for end in quantity.intervals.get(f"{p:g}", (None, None))]


def curvature_sentences(inputs: ReportInputs) -> list[str]:
    """Say for each approach whether its frontier bends, and which way."""
    return [_sentence(IN_PROSE[approach], bend) for approach, bend in curvatures(inputs).items()]


def _sentence(name: str, bend: Bend) -> str:
    per_decade = bend.per_decade
    if per_decade is None:
        return f"{name} does not say: {words(bend.reason or '')}."
    if not per_decade.intervals:
        bent = fixed(per_decade.value)
        return f"{name} has no draws, so the bend of {bent} per decade has no interval."
    level = max(per_decade.intervals, key=float)
    low, high = per_decade.intervals[level]
    ends = f"{percent(float(level))}: {interval(low, high, fixed)}"
    if low <= 0.0 <= high:
        return (
            f"{name}: the interval of the change per decade ({ends}) contains zero, so a bend "
            "is not shown."
        )
    way = "rises" if per_decade.value > 0 else "falls"
    grows = "faster" if per_decade.value > 0 else "more slowly"
    return (
        f"{name}: *a* {way} by {fixed(abs(per_decade.value))} per decade of compute, and the "
        f"interval ({ends}) excludes zero: if it goes on, *N*\\* grows {grows} than the power law "
        "says."
    )
