"""Kaplan's laws on this sweep, by Kaplan's counting and in total, beside the published values."""

from __future__ import annotations

from typing import TYPE_CHECKING

from isoflop.counting import PF_DAY
from isoflop.estimates.diagnostics import KaplanDiagnostics, expect
from isoflop.numbers import NONE, of_level, parameter
from isoflop.report.sections.diagnostics import SYMBOLS
from isoflop.report.tables import Column, Table

if TYPE_CHECKING:
    from isoflop.estimates.diagnostics import Counted
    from isoflop.reference import Kaplan
    from isoflop.report.inputs import ReportInputs
    from isoflop.report.tables import Value

COUNTINGS = {
    ("nonembedding", "kaplan"): "Non-embedding *N*",
    ("total", "6nd"): "Total *N*, *C* = 6*ND*",
}
LAWS = {
    "a": "*N*~opt~(*C*)", "N_coefficient": "*N*~opt~(*C*)",
    "b": "*D*~opt~(*C*)", "D_coefficient": "*D*~opt~(*C*)",
    "alpha_C": "*L*(*C*)", "C_c": "*L*(*C*)",
    "alpha_N_alone": "*L*(*N*)", "N_c_alone": "*L*(*N*)",
    "alpha_D_alone": "*L*(*D*)", "D_c_alone": "*L*(*D*)",
    "alpha_N": "*L*(*N*, *D*)", "N_c": "*L*(*N*, *D*)",
    "alpha_D": "*L*(*N*, *D*)", "D_c": "*L*(*N*, *D*)", "a_joint": "*L*(*N*, *D*)",
}  # fmt: skip
"""The law that each parameter belongs to, in the order of the table."""
NAMES = {
    "a": "*a*", "b": "*b*", "N_coefficient": "coefficient", "D_coefficient": "coefficient",
    "a_joint": "*a* it implies", "alpha_N_alone": "*α*~N~", "N_c_alone": "*N*~c~",
    "alpha_D_alone": "*α*~D~", "D_c_alone": "*D*~c~",
}  # fmt: skip


def kaplan_table(inputs: ReportInputs) -> Table | None:
    """Tabulate Kaplan's laws under both countings; None where they were not fitted."""
    estimate = inputs.fitted.get("kaplan")
    if estimate is None:
        return None
    own, *others = expect(estimate.diagnostics, KaplanDiagnostics).countings
    published = _published(inputs.reference.kaplan)
    quantities = {"a": estimate.a, "b": estimate.b, **estimate.parameters}
    rows: list[list[str]] = []
    data: list[list[Value]] = []
    for name, law in LAWS.items():
        quantity = quantities[name]
        counted = [(other.parameters or {}).get(name) for other in others]
        rows.append([
            law,
            NAMES.get(name, SYMBOLS.get(name, name)),
            parameter(quantity.value),
            of_level(quantity, 0.95, parameter),
            *(NONE if value is None else parameter(value) for value in counted),
            parameter(published[name], 3),
        ])  # fmt: skip
        ends = quantity.intervals.get("0.95", (None, None))
        data.append([name, quantity.value, *ends, *counted, published[name]])
    labels = [f"{other.params}_{other.flops}" for other in others]
    return Table(
        key="parameters-kaplan",
        caption="Kaplan’s laws fitted to this sweep, by Kaplan’s counting with intervals and "
        "counted in total, beside the values of 2020[^kaplan-values].",
        columns=(
            Column("Law", "left"), Column("Parameter", "left"), Column(_label(own)),
            Column("95 %"), *(Column(_label(other)) for other in others),
            Column("Kaplan et al. (2020)"),
        ),
        rows=rows,
        data_columns=("parameter", "value", "lo95", "hi95", *labels, "published"),
        data=data,
    )  # fmt: skip


def _label(counted: Counted) -> str:
    key = (counted.params, counted.flops)
    return COUNTINGS.get(key, f"*N* {key[0]}, *C* {key[1]}")


def _published(kaplan: Kaplan) -> dict[str, float]:
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
