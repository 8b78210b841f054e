"""What each fit says of itself, and what a reader must know before using it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from isoflop.approach import NAMES
from isoflop.numbers import NONE, fixed, parameter, percent, power, probability
from isoflop.report.tables import Column, Table

if TYPE_CHECKING:
    from collections.abc import Callable

    from isoflop.estimates.estimate import Estimate
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
    estimate = inputs.fitted.get(approach)
    if estimate is None:
        return None
    rows: list[list[str]] = []
    data: list[list[Value]] = []
    for name, quantity in estimate.parameters.items():
        low80, high80 = quantity.intervals.get("0.8", (None, None))
        low95, high95 = quantity.intervals.get("0.95", (None, None))
        rows.append([
            SYMBOLS.get(name, f"*{name}*" if len(name) == 1 else f"`{name}`"),
            parameter(quantity.value),
            _ends(low80, high80),
            _ends(low95, high95),
        ])  # fmt: skip
        data.append([name, quantity.value, low80, high80, low95, high95])
    return Table(
        key=f"parameters-{approach}",
        caption=f"Parameters of {NAMES[approach]}, with intervals.",
        columns=(
            Column("Parameter", "left"), Column("Estimate"), Column("80 %"), Column("95 %"),
        ),
        rows=rows,
        data_columns=("parameter", "value", "lo80", "hi80", "lo95", "hi95"),
        data=data,
    )  # fmt: skip


def _ends(low: float | None, high: float | None) -> str:
    if low is None or high is None:
        return NONE
    return f"{parameter(low)} to {parameter(high)}"


def fit_table(inputs: ReportInputs) -> Table | None:
    """Tabulate how each fit came about; None where nothing was fitted."""
    found = {name: estimate.diagnostics for name, estimate in inputs.fitted.items()}
    if not found:
        return None
    rows = [[what, *(write(own) for own in found.values())] for what, write in ACCOUNT.items()]
    return Table(
        key="fits",
        caption="How each fit came about. Trends are slopes of the residuals of log *L* over the "
        "logarithm of *N*, *D* or *C*, each tested alone with standard errors HC1.",
        columns=(Column("", "left"), *(Column(NAMES[name], "left") for name in found)),
        rows=rows,
        data_columns=("approach", *DATA),
        data=[[name, *_account_data(own)] for name, own in found.items()],
        classes=' .prose widths="1.2' + " 1" * len(found) + '"',
    )


def _optimum(own: dict[str, Any]) -> str:
    value = own.get("objective")
    return NONE if value is None else parameter(float(value))


def _starts(own: dict[str, Any]) -> str:
    if own.get("starts") is None:
        return "closed form"
    return f"{own['starts_reaching_optimum']} of {own['starts']}"


def _tolerance(own: dict[str, Any]) -> str:
    if own.get("tolerance") is None:
        return "closed form"
    return f"relative gain {power(own['tolerance'], 2)}, {own['max_steps']} steps"


def _bounds(own: dict[str, Any]) -> str:
    return ", ".join(f"`{name}`" for name in own.get("bounds_hit") or ()) or "none"


def _condition(own: dict[str, Any]) -> str:
    value = own.get("condition_number")
    return NONE if value is None else parameter(float(value), 3)


def _spread(own: dict[str, Any]) -> str:
    residuals = own.get("residuals") or {}
    if "rms" not in residuals:
        return NONE
    # an envelope's residuals are of log N along its staircase, not of a loss
    what = "of *L*" if "log_residual" in residuals else "of *N*"
    return f"{percent(float(residuals['rms']), 2)} {what}"


def _trend(axis: str) -> Callable[[dict[str, Any]], str]:
    def write(own: dict[str, Any]) -> str:
        found = (own.get("trends") or {}).get(axis)
        if found is None:
            return NONE
        return f"{parameter(found['slope'], 2)}, *p* = {_p(found['p_value'])}"

    return write


def _p(value: float) -> str:
    return probability(math.log10(value)) if value > 0.0 else "0"


def _objective(own: dict[str, Any]) -> str:
    kind = str(own.get("objective_kind", NONE))
    return OBJECTIVES.get(kind, kind)


def _freedom(own: dict[str, Any]) -> str:
    return str(own.get("degrees_of_freedom", NONE))


ACCOUNT: dict[str, Callable[[dict[str, Any]], str]] = {
    "Objective": _objective,
    "Its value at the optimum": _optimum,
    "Starts that reached it": _starts,
    "Tolerance and largest number of steps": _tolerance,
    "Bounds hit": _bounds,
    "Condition number": _condition,
    "Degrees of freedom": _freedom,
    "Residuals, root mean square": _spread,
    "Trend over log *N*": _trend("params"),
    "Trend over log *D*": _trend("tokens"),
    "Trend over log *C*": _trend("flops"),
}
"""Rows of the table of fits, and how each is written."""
OBJECTIVES = {
    "huber": "sum of Huber losses of the residuals of log *L*",
    "mse": "sum of squares of the residuals of log *L*",
    "likelihood": "negative log-likelihood of log *L* under Huber’s density, its scale fitted",
    "least squares of log N on log C": "least squares of log *N* on log *C*",
    "least squares of log L(N, D)": "least squares of log *L*(*N*, *D*)",
}
DATA = (
    "objective_kind", "objective", "starts", "starts_reaching_optimum", "tolerance", "max_steps",
    "bounds_hit", "condition_number", "degrees_of_freedom", "residual_rms", "trend_params",
    "p_params", "trend_tokens", "p_tokens", "trend_flops", "p_flops",
)  # fmt: skip


def _account_data(own: dict[str, Any]) -> list[Value]:
    trends = own.get("trends") or {}
    return [
        *(own.get(name) for name in DATA[:6]),
        " ".join(own.get("bounds_hit") or ()),
        own.get("condition_number"),
        own.get("degrees_of_freedom"),
        (own.get("residuals") or {}).get("rms"),
        *(
            trends.get(axis, {}).get(key)
            for axis in ("params", "tokens", "flops")
            for key in ("slope", "p_value")
        ),
    ]


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
        "kind": _objective(found),
        "objective": parameter(float(found.get("objective", math.nan)), 6),
        "starts": found.get("starts"),
        "reaching": found.get("starts_reaching_optimum"),
        "bounds": found.get("bounds_hit") or [],
        "condition": parameter(float(found.get("condition_number", math.nan)), 3),
        "rms": percent(float(residuals.get("rms", float("nan"))), 2),
    }
