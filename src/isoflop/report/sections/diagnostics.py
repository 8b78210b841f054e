"""What each fit says of itself, and what a reader must know before using it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from isoflop.approach import NAMES
from isoflop.estimates.diagnostics import (
    REJECTED,
    EnvelopeDiagnostics,
    InteractionDiagnostics,
    ParametricDiagnostics,
    ProfilesDiagnostics,
    Residuals,
    expect,
)
from isoflop.numbers import NONE, fixed, parameter, percent, power, probability
from isoflop.report.tables import Column, Table

if TYPE_CHECKING:
    from collections.abc import Callable

    from isoflop.estimates.diagnostics import Diagnostics, ScoreTest, ScoreTests, Trend
    from isoflop.estimates.estimate import Estimate
    from isoflop.report.inputs import ReportInputs
    from isoflop.report.tables import Value


def fit_table(inputs: ReportInputs) -> Table | None:
    """Tabulate how each fit came about; None where nothing was fitted."""
    found = {name: estimate.diagnostics for name, estimate in inputs.fitted.items()}
    if not found:
        return None
    rows = [[what, *(write(own) for own in found.values())] for what, write in ACCOUNT.items()]
    return Table(
        key="fits",
        caption="How each fit came about. Trends are slopes of the residuals of log *L* over the "
        "logarithm of *N*, *D* or *C*, each tested alone with standard errors HC1; second-order "
        "directions are tested beside the law’s own derivatives, with HC3.",
        columns=(Column("What", "left"), *(Column(NAMES[name], "left") for name in found)),
        rows=rows,
        data_columns=("approach", *DATA),
        data=[[name, *_account_data(own)] for name, own in found.items()],
        classes=' .prose widths="1.2' + " 1" * len(found) + '"',
    )


def _optimum(own: Diagnostics) -> str:
    return parameter(own.account.objective)


def _starts(own: Diagnostics) -> str:
    if own.account.starts is None:
        return "closed form"
    return f"{own.account.starts_reaching_optimum} of {own.account.starts}"


def _tolerance(own: Diagnostics) -> str:
    if own.account.tolerance is None:
        return "closed form"
    return f"relative gain {power(own.account.tolerance, 2)}, {own.account.max_steps} steps"


def _bounds(own: Diagnostics) -> str:
    return ", ".join(f"`{name}`" for name in own.account.bounds_hit) or "none"


def _condition(own: Diagnostics) -> str:
    value = own.account.condition_number
    return NONE if value is None else parameter(value, 3)


def _spread(own: Diagnostics) -> str:
    # an envelope's residuals are of log N along its staircase, not of a loss
    what = "of *L*" if isinstance(own.residuals, Residuals) else "of *N*"
    return f"{percent(own.residuals.rms, 2)} {what}"


def _trend(axis: str) -> Callable[[Diagnostics], str]:
    def write(own: Diagnostics) -> str:
        trends = own.trends
        if trends is None:
            return NONE
        found: Trend = getattr(trends, axis)
        return f"{parameter(found.slope, 2)}, *p* = {_p(found.p_value)}"

    return write


def _direction(name: str) -> Callable[[Diagnostics], str]:
    def write(own: Diagnostics) -> str:
        tests = _form(own)
        found: ScoreTest | None = None if tests is None else getattr(tests, name)
        if found is None or found.coefficient is None or found.p_value is None:
            return NONE
        return f"{parameter(found.coefficient, 2)}, *p* = {_p(found.p_value)}"

    return write


def _joint(own: Diagnostics) -> str:
    tests = _form(own)
    found = None if tests is None else tests.joint
    if found is None or found.statistic is None or found.p_value is None:
        return NONE
    return f"*F* = {parameter(found.statistic, 2)}, *p* = {_p(found.p_value)}"


def _replicates(own: Diagnostics) -> str:
    if not isinstance(own, ParametricDiagnostics | InteractionDiagnostics):
        return NONE
    found = own.pure_error
    if found is None:
        return "no replicates"
    return (
        f"*F* = {parameter(found.statistic, 2)}, *p* = {_p(found.p_value)}; sd of replicates "
        f"{percent(found.sd, 2)}"
    )


def _form(own: Diagnostics) -> ScoreTests | None:
    """Give the tests of a law's form; None for what is no law of the loss."""
    if isinstance(own, ParametricDiagnostics | InteractionDiagnostics):
        return own.misfit
    return None


def form_rejected(estimate: Estimate) -> str:
    """Say that the runs reject the form of a law; empty where they do not."""
    tests = _form(estimate.diagnostics)
    p_value = None if tests is None else tests.joint.p_value
    if p_value is None or p_value >= REJECTED:
        return ""
    return f"the runs reject its form (*p* = {_p(p_value)})"


def _p(value: float) -> str:
    return probability(math.log10(value)) if value > 0.0 else "0"


def _objective(own: Diagnostics) -> str:
    kind = own.account.objective_kind
    return OBJECTIVES.get(kind, kind)


def _freedom(own: Diagnostics) -> str:
    return str(own.account.degrees_of_freedom)


ACCOUNT: dict[str, Callable[[Diagnostics], str]] = {
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
    "Second order, (log *N*)²": _direction("params_squared"),
    "Second order, (log *D*)²": _direction("tokens_squared"),
    "Second order, log *N* log *D*": _direction("params_times_tokens"),
    "All three": _joint,
    "Lack of fit against replicates": _replicates,
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
    "p_params", "trend_tokens", "p_tokens", "trend_flops", "p_flops", "p_params_squared",
    "p_tokens_squared", "p_params_times_tokens", "form_statistic", "p_form", "sd_replicates",
    "p_lack_of_fit",
)  # fmt: skip


def _account_data(own: Diagnostics) -> list[Value]:
    account, trends = own.account, own.trends
    axes = (None,) * 3 if trends is None else (trends.params, trends.tokens, trends.flops)
    return [
        account.objective_kind,
        account.objective,
        account.starts,
        account.starts_reaching_optimum,
        account.tolerance,
        account.max_steps,
        " ".join(account.bounds_hit),
        account.condition_number,
        account.degrees_of_freedom,
        own.residuals.rms,
        *(
            value
            for axis in axes
            for value in ((None, None) if axis is None else (axis.slope, axis.p_value))
        ),
        *_form_data(own),
    ]


def _form_data(own: Diagnostics) -> list[Value]:
    if not isinstance(own, ParametricDiagnostics | InteractionDiagnostics):
        return [None] * 7
    tests, pure = own.misfit, own.pure_error
    return [
        tests.params_squared.p_value,
        tests.tokens_squared.p_value,
        tests.params_times_tokens.p_value,
        tests.joint.statistic,
        tests.joint.p_value,
        None if pure is None else pure.sd,
        None if pure is None else pure.p_value,
    ]


@dataclass(frozen=True, slots=True)
class EnvelopeFacts:
    """What the envelope says against itself, in words."""

    points: int
    fitted: int
    left_out: int
    late: str
    winners: int
    sizes: int
    sd: str


def envelope_facts(estimate: Estimate) -> EnvelopeFacts:
    """Give the envelope's reservations in words."""
    found = expect(estimate.diagnostics, EnvelopeDiagnostics)
    return EnvelopeFacts(
        points=found.points_on_frontier,
        fitted=found.points_fitted,
        left_out=found.points_on_frontier - found.points_fitted,
        late=percent(found.late_winners),
        winners=found.sizes_that_win,
        sizes=found.sizes,
        sd=fixed(found.residual_sd, 3),
    )


def profiles_along(estimate: Estimate | None) -> str:
    """Say what either axis gives for both exponents; empty without profiles."""
    if estimate is None:
        return ""
    found = expect(estimate.diagnostics, ProfilesDiagnostics)
    parts = []
    if (own := found.along["params"]).a is not None and own.b is not None:
        parts.append(f"along *N* *a* = {fixed(own.a)} and *b* = {fixed(own.b)}")
    if (own := found.along["tokens"]).a is not None and own.b is not None:
        parts.append(f"along *D* *a* = {fixed(own.a)} and *b* = {fixed(own.b)}")
    return f"With all minima taken {'; '.join(parts)}." if parts else ""


@dataclass(frozen=True, slots=True)
class ParametricFacts:
    """The parametric fit's account of itself, in words."""

    kind: str
    objective: str
    starts: int | None
    reaching: int | None
    bounds: list[str]
    condition: str
    rms: str


def parametric_facts(estimate: Estimate) -> ParametricFacts:
    """Give the parametric fit's account of itself in words."""
    found = expect(estimate.diagnostics, ParametricDiagnostics)
    return ParametricFacts(
        kind=_objective(found),
        objective=parameter(found.account.objective, 6),
        starts=found.account.starts,
        reaching=found.account.starts_reaching_optimum,
        bounds=found.account.bounds_hit,
        condition=_condition(found),
        rms=percent(found.residuals.rms, 2),
    )
