"""The answer: N*, D*, D/N at the budgets asked for, by every approach and every published law."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from isoflop.approach import BY_KEY, IN_PROSE, NAMES
from isoflop.escape import BREAK
from isoflop.estimates.diagnostics import EnvelopeDiagnostics
from isoflop.estimates.intervals import LEVELS
from isoflop.numbers import (
    NBSP,
    NONE,
    count,
    distance,
    fixed,
    interval,
    listed,
    of_level,
    percent,
    power,
    ratio,
    with_intervals,
)
from isoflop.published_laws import published_exponents, published_optima
from isoflop.report.sections.diagnostics import form_rejected
from isoflop.report.sections.forecast import missed
from isoflop.report.tables import Column, Table

if TYPE_CHECKING:
    from isoflop.approach import Approach
    from isoflop.estimates.estimate import Estimate
    from isoflop.estimates.quantities import Quantity
    from isoflop.report.inputs import ReportInputs
    from isoflop.report.tables import Value

CHINCHILLA_A = 0.5
"""Equal scaling of N and D: what Hoffmann et al. conclude."""

FEW_LATE = 0.5
"""Share of late points below which an envelope is read with a warning."""

ANSWER_COLUMNS = (
    Column("Law", "left"),
    Column("*N*\\* ⏎ (parameters)"),
    Column("*D*\\* ⏎ (tokens)"),
    Column("*D*\\*/*N*\\* ⏎ (tokens/param.)"),
    Column("Loss ⏎ (nats/token)"),
)
ANSWER_DATA = (
    "flops", "law", "source", "params", "params_lo80", "params_hi80", "params_lo95", "params_hi95",
    "tokens", "tokens_lo80", "tokens_hi80", "tokens_lo95", "tokens_hi95",
    "tokens_per_param", "tokens_per_param_lo80", "tokens_per_param_hi80",
    "tokens_per_param_lo95", "tokens_per_param_hi95",
    "loss_nats_per_token", "loss_lo80", "loss_hi80", "loss_lo95", "loss_hi95",
    "decades_beyond_data",
)  # fmt: skip


def answer_table(inputs: ReportInputs, flops: float) -> Table:
    """Tabulate the allocations at one budget: the sweep's own, then the published laws'."""
    rows: list[list[str]] = []
    data: list[list[Value]] = []
    for approach, optimum in inputs.optima(flops).items():
        rows.append([
            sweep_label(approach, inputs.fitted[approach], flops),
            with_intervals(optimum.params, count, LEVELS),
            with_intervals(optimum.tokens, count, LEVELS),
            with_intervals(optimum.tokens_per_param, ratio, LEVELS),
            with_intervals(optimum.loss, _loss, LEVELS),
        ])  # fmt: skip
        quantities = (optimum.params, optimum.tokens, optimum.tokens_per_param, optimum.loss)
        values = [value for quantity in quantities for value in _flat(quantity)]
        data.append([flops, approach, "sweep", *values, optimum.decades_beyond_data])
    for law in published_optima(inputs.reference, flops):
        if law.rounded:
            continue
        per_param = law.tokens / law.params
        rows.append([law.name, count(law.params), count(law.tokens), ratio(per_param), NONE])
        blank: list[Value] = [None] * 4
        data.append([
            flops, law.plain, "published",
            law.params, *blank, law.tokens, *blank, per_param, *blank, *[None] * 5, None,
        ])  # fmt: skip
    return Table(
        key=f"answer-{f'{flops:.6g}'.replace('+', '')}",
        caption=f"Compute-optimal allocations of {power(flops)} FLOPs: this sweep’s estimates in "
        "bold with their intervals and their distance beyond the data in decades of *C*, then the "
        "published laws.",
        columns=ANSWER_COLUMNS,
        rows=rows,
        data_columns=ANSWER_DATA,
        data=data,
        classes=' .wide widths="1.5 1 1 1 1"',
    )


def sweep_label(approach: Approach, estimate: Estimate, flops: float | None = None) -> str:
    """Name an approach as this sweep's, with its counting and how far it is extrapolated."""
    lines = [f"**{NAMES[approach]}**"]
    if estimate.counting.params != "total":
        lines.append(f"[{PARAMS_SHORT[estimate.counting.params]}]{{.ci}}")
    if flops is not None:
        lines.append(f"[{distance(flops, estimate.flops_range)}]{{.ci}}")
    return f" {BREAK} ".join(lines)


PARAMS_SHORT = {
    "total": "total *N*",
    "nonembedding": "non-embedding *N*",
    "with_head": "*N* with head, without embedding",
}


def _loss(value: float) -> str:
    return fixed(value, 3)


def _flat(quantity: Quantity | None) -> list[Value]:
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
        data.append([approach, "sweep", *_flat(a), *_flat(b)])
    for row in published_exponents(inputs.reference):
        note = "[^own-interval]" if row.a80 and not _within(row.a, row.a80) else ""
        digits = 3 if row.paper == "Besiroglu" else 2
        rows.append([
            row.paper if row.approach == "kaplan" else row.label,
            f"{fixed(row.a, digits)}{note}", _ends(row.a80), _ends(row.a95),
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
        "are 10th to 90th percentiles; Besiroglu’s is ±1.96 standard errors.",
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
    holds_half: bool
    holds_kaplan: bool
    warning: str
    """What its diagnostics, simulations and forecasts say against it; or empty."""


def _warning(inputs: ReportInputs, approach: Approach) -> str:
    """Say beside the exponent what is known against it."""
    estimate = inputs.fitted[approach]
    said = []
    found = estimate.diagnostics
    late = found.late_winners if isinstance(found, EnvelopeDiagnostics) else 1.0
    if late < FEW_LATE:
        said.append(
            f"Do not rely on it: only {percent(late)} of its points were measured in the last "
            f"15{NBSP}% of a run; the others stand at a learning rate meant for a longer one, "
            "which bends the line."
        )
    if estimate.a.undercovers(0.95):
        said.append(
            f"In simulated sweeps of this design its 95{NBSP}% interval covered the truth in only "
            f"{percent(estimate.a.coverage['0.95'])}."
        )
    if rejected := form_rejected(estimate):
        said.append(rejected)
    if miss := missed(inputs, approach):
        said.append(miss)
    return " ".join(said)


def verdicts(inputs: ReportInputs) -> list[Verdict]:
    """Compare each approach's interval for a with equal scaling and with Kaplan's 0.73."""
    kaplan = inputs.reference.kaplan.optimal_allocation.p_N
    found = []
    for approach, estimate in inputs.fitted.items():
        ends = estimate.a.intervals.get("0.95")
        if ends is None:
            continue
        found.append(
            Verdict(
                name=IN_PROSE[approach],
                a=fixed(estimate.a.value),
                ends=interval(*ends, fixed),
                holds_half=_within(CHINCHILLA_A, ends),
                holds_kaplan=_within(kaplan, ends),
                warning=_warning(inputs, approach),
            )
        )
    return found


@dataclass(frozen=True, slots=True)
class Summary:
    """One budget in a sentence."""

    flops: str
    params: str
    params_ends: str
    approaches: str
    tokens: str
    ratio: str
    distance: str


def summaries(inputs: ReportInputs) -> list[Summary]:
    """Give, per budget, the span of the approaches to lean on and the hull of their intervals."""
    names = leant_on(inputs)
    found = []
    for flops in inputs.budgets:
        optima = [o for name, o in inputs.optima(flops).items() if name in names]
        if not optima:
            continue
        ranges = [inputs.fitted[name].flops_range for name in names]
        data = min(low for low, _ in ranges), max(high for _, high in ranges)
        ends = [end for o in optima for end in o.params.intervals.get("0.95", ())]
        found.append(
            Summary(
                flops=power(flops),
                params=_range([o.params.value for o in optima], count),
                params_ends=interval(min(ends), max(ends), count) if ends else NONE,
                approaches=_numbered(names),
                tokens=_range([o.tokens.value for o in optima], count),
                ratio=_range([o.tokens_per_param.value for o in optima], ratio),
                distance=distance(flops, data),
            )
        )
    return found


def leant_on(inputs: ReportInputs) -> list[Approach]:
    """Name the approaches that the answer rests on: those whose interval for a was not found short.

    All of the three where none is left; Kaplan's law, which counts otherwise, is never among them.
    """
    three: list[Approach] = [name for name in inputs.fitted if name != "kaplan"]
    return [name for name in three if not inputs.fitted[name].a.undercovers(0.95)] or three


def passed_over(inputs: ReportInputs) -> str:
    """Name the approaches of the three that the answer does not rest on; empty where none."""
    names = leant_on(inputs)
    return _numbered([n for n in inputs.fitted if n != "kaplan" and n not in names])


def _numbered(names: list[Approach]) -> str:
    """Name approaches by their numbers, approaches 2 and 3, and others in words."""
    numbers = [str(BY_KEY[name].number) for name in names if BY_KEY[name].number is not None]
    others = [IN_PROSE[name] for name in names if BY_KEY[name].number is None]
    if numbers:
        word = "approach" if len(numbers) == 1 else "approaches"
        others.insert(0, f"{word} {listed(numbers)}")
    return listed(others)


def _range(values: list[float], write: object) -> str:
    """Write the span of several estimates, or the one value they share."""
    if not callable(write):
        raise TypeError(write)
    low, high = min(values), max(values)
    return str(write(low)) if write(low) == write(high) else interval(low, high, write)
