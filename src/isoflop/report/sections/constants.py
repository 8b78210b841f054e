"""Every fitted constant, beside the published one where there is one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from isoflop.approach import NAMES
from isoflop.counting import PF_DAY, USUAL
from isoflop.estimates.diagnostics import KaplanDiagnostics
from isoflop.estimates.estimate import Calibration, Estimate
from isoflop.numbers import NONE, of_level, parameter
from isoflop.report.tables import Column, Table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from isoflop.approach import Approach
    from isoflop.estimates.quantities import Quantity
    from isoflop.reference import Kaplan, Reference
    from isoflop.report.inputs import ReportInputs
    from isoflop.report.tables import Value

SYMBOLS: Final = {
    "alpha": "*α*",
    "beta": "*β*",
    "gamma": "*γ*",
    "L_exponent": "exponent of *L*~opt~",
    "N_c": "*N*~c~",
    "D_c": "*D*~c~",
    "alpha_N": "*α*~N~",
    "alpha_D": "*α*~D~",
    "alpha_C": "*α*~C~ of *L*(*C*)",
    "C_c": "*C*~c~ of *L*(*C*)",
    "a_joint": "*a* that *L*(*N*, *D*) implies",
    "N_c_alone": "*N*~c~ of *L*(*N*)",
    "alpha_N_alone": "*α*~N~ of *L*(*N*)",
    "D_c_alone": "*D*~c~ of *L*(*D*)",
    "alpha_D_alone": "*α*~D~ of *L*(*D*)",
}
"""How a parameter is written; one of a single letter is itself."""
FILE_ALONE: Final = ("N_coefficient", "D_coefficient", "L_coefficient")
"""Coefficients of power laws: their intervals span decades, so digits tell a reader nothing."""

UNCHECKED: Final = "§"
"""Sign of percentiles beside intervals whose ends simulated sweeps have placed."""


def constants_table(inputs: ReportInputs) -> Table | None:
    """Tabulate the constants of every approach and law; None where nothing was fitted."""
    every: dict[Approach, Estimate] = dict(inputs.fitted)
    every |= {
        name: law
        for name, law in inputs.laws.items()
        if isinstance(law, Estimate) and name not in every
    }
    published = _published(inputs.reference)
    rows: list[list[str]] = []
    data: list[list[Value]] = []
    for approach, estimate in every.items():
        total, beside = _counted_in_total(estimate), published.get(approach, {})
        first = True
        for name, quantity in _constants(estimate).items():
            paper = beside.get(name)
            ends = [quantity.intervals.get(k, (None, None)) for k in ("0.8", "0.95")]
            unchecked = _is_unchecked(estimate, quantity)
            placed = None if not quantity.intervals else "yes" if quantity.levels else "no"
            data.append([
                approach, name, quantity.value, *(end for pair in ends for end in pair),
                placed, total.get(name), paper,
            ])  # fmt: skip
            if name in FILE_ALONE:
                continue
            rows.append([
                f"**{NAMES[approach]}**" if first else NAMES[approach],
                SYMBOLS.get(name, f"*{name}*" if len(name) == 1 else f"`{name}`"),
                parameter(quantity.value),
                of_level(quantity, 0.95, parameter) + (UNCHECKED if unchecked else ""),
                NONE if name not in total else parameter(total[name]),
                NONE if paper is None else parameter(paper, 3),
            ])  # fmt: skip
            first = False
    if not rows:
        return None
    return Table(
        key="constants",
        caption="Fitted constants with 95 % intervals; Kaplan’s laws by Kaplan’s counting, and "
        "beside it with total *N* and *C* = 6*ND*; published are Hoffmann’s unrounded constants "
        "and Kaplan’s[^kaplan-values]. The CSV has 80 % intervals too, and the coefficients of "
        "the power laws.",
        columns=(
            Column("Law", "left"), Column("Constant", "left"), Column("Estimate"), Column("95 %"),
            Column("Counted in total"), Column("Published"),
        ),
        rows=rows,
        data_columns=(
            "law", "parameter", "value", "lo80", "hi80", "lo95", "hi95", "ends_placed",
            "total_6nd", "published",
        ),
        data=data,
        notes=_notes(rows),
        classes=' .dense .sortable widths="1.3 1.5 1 1.6 1 0.9"',
    )  # fmt: skip


def _is_unchecked(estimate: Estimate, quantity: Quantity) -> bool:
    """Tell percentiles of an estimate from the intervals that were checked on simulated sweeps."""
    checked = isinstance(estimate.calibration, Calibration)
    return checked and bool(quantity.intervals) and not quantity.levels


def _notes(rows: Sequence[Sequence[str]]) -> list[str]:
    """Explain the sign of percentiles, where there are any."""
    if not any(UNCHECKED in cell for row in rows for cell in row):
        return []
    return [
        f"{UNCHECKED} percentiles of the refits, which no simulated sweep was asked to check: no "
        "answer rests on this constant alone."
    ]


def _constants(estimate: Estimate) -> Mapping[str, Quantity]:
    """Give a law's parameters; of Kaplan's the exponents too, which stand beside the paper's."""
    if estimate.approach == "kaplan":
        return {"a": estimate.a, "b": estimate.b, **estimate.parameters}
    return estimate.parameters


def _counted_in_total(estimate: Estimate) -> Mapping[str, float]:
    """Give Kaplan's laws with total N and C = 6ND; nothing for laws that are counted so anyway."""
    if not isinstance(estimate.diagnostics, KaplanDiagnostics):
        return {}
    for other in estimate.diagnostics.countings:
        if (other.params, other.flops) == USUAL:
            return other.parameters or {}
    return {}


def _published(reference: Reference) -> dict[Approach, dict[str, float]]:
    """Give the papers' constants by the approach that fits the same law."""
    law = reference.hoffmann.law
    hoffmann = {"E": law.E, "A": law.A, "B": law.B, "alpha": law.alpha, "beta": law.beta}
    return {"parametric": hoffmann, "kaplan": _kaplan(reference.kaplan)}


def _kaplan(kaplan: Kaplan) -> dict[str, float]:
    """Give the published values in this project's units: FLOPs, parameters and tokens."""
    alone, joint, optimal = kaplan.single_laws, kaplan.joint_law, kaplan.optimal_allocation
    return {
        "a": optimal.p_N,
        "b": optimal.p_D,
        # C in PF-days there
        "N_coefficient": optimal.N_e * PF_DAY**-optimal.p_N,
        "D_coefficient": optimal.D_e * PF_DAY**-optimal.p_D,
        "alpha_C": alone.alpha_C,
        "C_c": alone.C_c_pf_days * PF_DAY,
        "alpha_N_alone": alone.alpha_N,
        "N_c_alone": alone.N_c,
        "alpha_D_alone": alone.alpha_D,
        "D_c_alone": alone.D_c,
        "alpha_N": joint.alpha_N,
        "N_c": joint.N_c,
        "alpha_D": joint.alpha_D,
        "D_c": joint.D_c,
        "a_joint": kaplan.law.a,
    }
