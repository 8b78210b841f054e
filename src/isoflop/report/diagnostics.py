"""What each fit says of itself, and what a reader must know before using it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from isoflop.report.inputs import NAMES
from isoflop.report.numbers import NONE, fixed, percent, power, significant
from isoflop.report.tables import Column, Table

if TYPE_CHECKING:
    from isoflop.estimates import Estimate
    from isoflop.report.inputs import ReportInputs
    from isoflop.report.tables import Value

SYMBOLS = {
    "alpha": "*α*",
    "beta": "*β*",
    "N_coefficient": "coefficient of *N*~opt~",
    "D_coefficient": "coefficient of *D*~opt~",
    "L_coefficient": "coefficient of *L*~opt~",
    "L_exponent": "exponent of *L*~opt~",
    "N_c": "*N*~c~",
    "D_c": "*D*~c~",
    "alpha_N": "*α*~N~",
    "alpha_D": "*α*~D~",
    "alpha_C": "*α*~C~",
    "C_c": "*C*~c~",
    "a_joint": "*a* from *L*(*N*, *D*)",
    "N_c_alone": "*N*~c~ of *L*(*N*)",
    "alpha_N_alone": "*α*~N~ of *L*(*N*)",
    "D_c_alone": "*D*~c~ of *L*(*D*)",
    "alpha_D_alone": "*α*~D~ of *L*(*D*)",
}


def parameter_table(inputs: ReportInputs, approach: str) -> Table | None:
    """Tabulate one law's parameters with their intervals."""
    estimate = inputs.fitted.get(approach)  # type: ignore[call-overload]
    if estimate is None:
        return None
    rows: list[list[str]] = []
    data: list[list[Value]] = []
    for name, quantity in estimate.parameters.items():
        low80, high80 = quantity.intervals.get("0.8", (None, None))
        low95, high95 = quantity.intervals.get("0.95", (None, None))
        rows.append([
            SYMBOLS.get(name, f"*{name}*" if len(name) == 1 else f"`{name}`"),
            number(quantity.value),
            _ends(low80, high80),
            _ends(low95, high95),
        ])  # fmt: skip
        data.append([name, quantity.value, low80, high80, low95, high95])
    return Table(
        key=f"parameters-{approach}",
        caption=f"Parameters of {NAMES[approach]}, with intervals.",  # type: ignore[index]
        columns=(
            Column("Parameter", "left"), Column("Estimate"), Column("80 %"), Column("95 %"),
        ),
        rows=rows,
        data_columns=("parameter", "value", "lo80", "hi80", "lo95", "hi95"),
        data=data,
    )  # fmt: skip


def number(value: float, digits: int = 4) -> str:
    """Write a law's parameter, which may be of any size, with so many digits."""
    if not math.isfinite(value):
        return NONE
    if value == 0.0 or not 1e-3 <= abs(value) < 1e5:
        return power(value, digits)
    return significant(value, digits)


def _ends(low: float | None, high: float | None) -> str:
    if low is None or high is None:
        return NONE
    return f"{number(low)} to {number(high)}"


def envelope_facts(estimate: Estimate) -> dict[str, Any]:
    """Give the envelope's own doubts in words."""
    found = estimate.diagnostics
    return {
        "points": found.get("points_on_frontier"),
        "late": percent(float(found.get("late_winners", 0.0))),
        "winners": found.get("sizes_that_win"),
        "sizes": found.get("sizes"),
        "sd": fixed(float(found.get("residual_sd", 0.0)), 3),
    }


def parametric_facts(estimate: Estimate) -> dict[str, Any]:
    """Give the parametric fit's own account of itself in words."""
    found = estimate.diagnostics
    residuals = found.get("residuals", {})
    return {
        "objective": number(float(found.get("objective", math.nan)), 6),
        "starts": found.get("starts"),
        "reaching": found.get("starts_reaching_optimum"),
        "bounds": found.get("bounds_hit") or [],
        "condition": number(float(found.get("condition_number", math.nan)), 3),
        "rms": percent(float(residuals.get("rms", float("nan"))), 2),
    }
