"""The exponents beside the papers, and what each approach says of equal scaling and of Kaplan's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from isoflop.approach import IN_PROSE, NAMES
from isoflop.counting import PARAMS
from isoflop.escape import BREAK
from isoflop.laws import EQUAL_SCALING
from isoflop.numbers import NONE, distance, fixed, interval, of_level
from isoflop.published_laws import Z_95, published_exponents
from isoflop.report.tables import Column, Table

if TYPE_CHECKING:
    from isoflop.approach import Approach
    from isoflop.estimates.estimate import Estimate
    from isoflop.estimates.quantities import Quantity
    from isoflop.report.inputs import ReportInputs
    from isoflop.report.tables import Value


def sweep_label(approach: Approach, estimate: Estimate, flops: float | None = None) -> str:
    """Name an approach as this sweep's, with its counting and how far it is extrapolated."""
    lines = [f"**{NAMES[approach]}**"]
    if estimate.counting.params != "total":
        lines.append(f"[{PARAMS[estimate.counting.params]}]{{.ci}}")
    if flops is not None:
        lines.append(f"[{distance(flops, estimate.flops_range)}]{{.ci}}")
    return f" {BREAK} ".join(lines)


def flat(quantity: Quantity | None) -> list[Value]:
    """Give value, 80 % ends, 95 % ends; empty where there are none."""
    if quantity is None:
        return [None] * 5
    ends: list[Value] = []
    for level in ("0.8", "0.95"):
        low, high = quantity.intervals.get(level, (None, None))
        ends += [low, high]
    return [quantity.value, *ends]


def exponent_table(inputs: ReportInputs) -> Table:
    """Tabulate a and b of the sweep beside Hoffmann's Table 2, Besiroglu's and Kaplan's."""
    rows: list[list[str]] = []
    data: list[list[Value]] = []
    for approach, estimate in inputs.fitted.items():
        a, b = estimate.a, estimate.b
        rows.append([
            sweep_label(approach, estimate),
            fixed(a.value), of_level(a, 0.8, fixed), of_level(a, 0.95, fixed),
            fixed(b.value), of_level(b, 0.8, fixed), of_level(b, 0.95, fixed),
        ])  # fmt: skip
        data.append([approach, "sweep", *flat(a), *flat(b)])
    for row in published_exponents(*inputs.reference.papers):
        note = "[^own-interval]" if row.a80 and not _within(row.a, row.a80) else ""
        digits = 3 if row.paper == "Besiroglu" else 2
        rows.append([
            # behind a number the mark would be read as a power
            f"{row.paper if row.approach == 'kaplan' else row.label}{note}",
            fixed(row.a, digits), _ends(row.a80), _ends(row.a95),
            fixed(row.b, digits), _ends(row.b80), _ends(row.b95),
        ])  # fmt: skip
        blank = (None, None)
        data.append([
            row.approach, row.source, row.a, *(row.a80 or blank), *(row.a95 or blank),
            row.b, *(row.b80 or blank), *(row.b95 or blank),
        ])  # fmt: skip
    columns = [Column("Law", "left")]
    for name in ("*a*", "*b*"):
        columns += [Column(name), Column("80 %"), Column("95 %")]
    ends = ("lo80", "hi80", "lo95", "hi95")
    return Table(
        key="exponents",
        caption="Exponents of *N*~opt~ ∝ *C*^*a*^ and *D*~opt~ ∝ *C*^*b*^. Hoffmann’s intervals "
        f"are 10th to 90th percentiles; Besiroglu’s is ±{fixed(Z_95, 2)} standard errors.",
        columns=columns,
        rows=rows,
        data_columns=(
            "law", "source", "a", *(f"a_{end}" for end in ends),
            "b", *(f"b_{end}" for end in ends),
        ),
        data=data,
    )  # fmt: skip


def _ends(ends: tuple[float, float] | None) -> str:
    return NONE if ends is None else interval(*ends, fixed)


def _within(value: float, ends: tuple[float, float]) -> bool:
    return ends[0] <= value <= ends[1]


@dataclass(frozen=True, slots=True)
class Verdict:
    """Which published exponents one approach's 95 % interval contains."""

    name: str
    a: str
    ends: str
    contains_half: bool
    contains_kaplan: bool


def verdicts(inputs: ReportInputs) -> list[Verdict]:
    """Compare each approach's interval for a with equal scaling and with Kaplan's 0.73."""
    kaplan = inputs.reference.kaplan.optimal_allocation.p_N
    rows = []
    for approach, estimate in inputs.fitted.items():
        ends = estimate.a.intervals.get("0.95")
        if ends is None:
            continue
        rows.append(
            Verdict(
                name=IN_PROSE[approach],
                a=fixed(estimate.a.value),
                ends=interval(*ends, fixed),
                contains_half=_within(EQUAL_SCALING, ends),
                contains_kaplan=_within(kaplan, ends),
            )
        )
    return rows
