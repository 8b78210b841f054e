"""What each fit says of itself, and what a reader must know before using it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from isoflop.report.inputs import NAMES
from isoflop.report.numbers import NONE, fixed, percent, with_intervals
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


def number(value: float) -> str:
    """Write a law's parameter, which may be of any size, with four digits."""
    if value != 0 and not 1e-3 <= abs(value) < 1e5:
        from isoflop.report.numbers import power

        return power(value, 4)
    digits = f"{value:.4g}"
    return fixed(value, max(0, len(digits.partition(".")[2])))


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
        "objective": f"{float(found.get('objective', float('nan'))):.6g}",
        "starts": found.get("starts"),
        "reaching": found.get("starts_reaching_optimum"),
        "bounds": found.get("bounds_hit") or [],
        "condition": f"{float(found.get('condition_number', float('nan'))):.3g}",
        "rms": percent(float(residuals.get("rms", float("nan"))), 2),
    }


__all__ = ["envelope_facts", "number", "parameter_table", "parametric_facts", "with_intervals"]
