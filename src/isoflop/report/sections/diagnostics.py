"""What each fit says of itself, and what a reader must know before using it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from isoflop.approach import NAMES
from isoflop.estimates.diagnostics import (
    OBJECTIVES,
    REJECTED,
    EnvelopeDiagnostics,
    InteractionDiagnostics,
    ParametricDiagnostics,
    ProfilesDiagnostics,
    Residuals,
    expect,
    form_tests,
    lack_of_fit,
    misses,
    rejected_at,
)
from isoflop.numbers import NONE, fixed, parameter, percent, power, probability
from isoflop.report.tables import Column, Table

if TYPE_CHECKING:
    from collections.abc import Callable

    from isoflop.estimates.diagnostics import Diagnostics, ScoreTest, Trend
    from isoflop.estimates.estimate import Estimate
    from isoflop.report.inputs import ReportInputs
    from isoflop.report.tables import Value


def fit_table(inputs: ReportInputs) -> Table | None:
    """Tabulate how each fit came about; None where nothing was fitted."""
    fits = {name: estimate.diagnostics for name, estimate in inputs.fitted.items()}
    if not fits:
        return None
    rows = [[what, *(write(fit) for fit in fits.values())] for what, write in ACCOUNT.items()]
    return Table(
        key="fits",
        caption="How each fit came about. Trends are slopes of the residuals of log *L* over the "
        "logarithm of *N*, *D* or *C*, each tested alone with standard errors HC1; second-order "
        "directions are tested beside the law’s own derivatives, with HC3.",
        columns=(Column("What", "left"), *(Column(NAMES[name], "left") for name in fits)),
        rows=rows,
        data_columns=("approach", *DATA),
        data=[[name, *_account_data(fit)] for name, fit in fits.items()],
        classes=' .prose widths="1.2' + " 1" * len(fits) + '"',
    )


def _optimum(fit: Diagnostics) -> str:
    return parameter(fit.account.objective)


def _starts(fit: Diagnostics) -> str:
    if fit.account.starts is None:
        return "closed form"
    return f"{fit.account.starts_reaching_optimum} of {fit.account.starts}"


def _tolerance(fit: Diagnostics) -> str:
    if fit.account.tolerance is None:
        return "closed form"
    return f"relative gain {power(fit.account.tolerance, 2)}, {fit.account.max_steps} steps"


def _bounds(fit: Diagnostics) -> str:
    return ", ".join(f"`{name}`" for name in fit.account.bounds_hit) or "none"


def _condition(fit: Diagnostics) -> str:
    value = fit.account.condition_number
    return NONE if value is None else parameter(value, 3)


def _spread(fit: Diagnostics) -> str:
    # an envelope's residuals are of log N along its staircase, not of a loss
    what = "of *L*" if isinstance(fit.residuals, Residuals) else "of *N*"
    return f"{percent(fit.residuals.rms, 2)} {what}"


def _trend(axis: str) -> Callable[[Diagnostics], str]:
    def write(fit: Diagnostics) -> str:
        trends = fit.trends
        if trends is None:
            return NONE
        trend: Trend = getattr(trends, axis)
        return f"{parameter(trend.slope, 2)}, {marked_p(trend.p_value)}"

    return write


def _direction(name: str) -> Callable[[Diagnostics], str]:
    def write(fit: Diagnostics) -> str:
        tests = form_tests(fit)
        test: ScoreTest | None = None if tests is None else getattr(tests, name)
        if test is None or test.coefficient is None or test.p_value is None:
            return NONE
        return f"{parameter(test.coefficient, 2)}, {marked_p(test.p_value)}"

    return write


def _joint(fit: Diagnostics) -> str:
    tests = form_tests(fit)
    joint = None if tests is None else tests.joint
    if joint is None or joint.statistic is None or joint.p_value is None:
        return NONE
    return f"*F* = {parameter(joint.statistic, 2)}, {marked_p(joint.p_value)}"


def _replicates(fit: Diagnostics) -> str:
    if not isinstance(fit, ParametricDiagnostics | InteractionDiagnostics):
        return NONE
    pure_error = fit.pure_error
    if pure_error is None:
        return "no replicates"
    return (
        f"*F* = {parameter(pure_error.statistic, 2)}, {marked_p(pure_error.p_value)}; "
        f"sd of replicates {percent(pure_error.sd, 2)}"
    )


def _parts(fit: Diagnostics) -> str:
    if not isinstance(fit, ParametricDiagnostics | InteractionDiagnostics):
        return NONE
    parts = fit.noise_parts
    if parts is None:
        return "not told apart by these runs"
    words = {
        "a seed's" if parts.cell is not None else "a seed's and the law's misfit": parts.seed,
        "the law's misfit": parts.cell,
        f"shared by a size ({parts.sizes})": parts.size,
    }
    return "; ".join(f"{what} {percent(sd, 2)}" for what, sd in words.items() if sd is not None)


REJECTION: Final = f"*p* < {REJECTED:g}"
"""When runs reject the form of a law, for captions."""


def form_rejected(estimate: Estimate) -> str:
    """Say that the runs reject the form of a law; empty where they do not."""
    shown = form_p_value(estimate)
    return shown and f"the runs reject its form ({shown})"


def form_p_value(estimate: Estimate) -> str:
    """Write the p-value with which the runs reject the form of a law; empty where they do not."""
    value = rejected_at(estimate.diagnostics)
    return "" if value is None else f"score test, {marked_p(value)}"


def misfit_words(estimate: Estimate) -> str:
    """Say that a law misses its runs by more than replicates differ; empty where it does not."""
    value = lack_of_fit(estimate.diagnostics)
    if value is None or not misses(estimate.diagnostics):
        return ""
    return (
        "misses these runs by more than runs of one size and token count differ from each other "
        f"(lack of fit, {marked_p(value)})"
    )


def p_value(value: float) -> str:
    """Write a p-value, however small."""
    return probability(math.log10(value)) if value > 0.0 else "0"


def marked_p(value: float, sign: str = "=") -> str:
    """Write a p-value into a sentence of the report, with its *p*."""
    return f"*p* {sign} {p_value(value)}"


def _objective(fit: Diagnostics) -> str:
    return OBJECTIVES[fit.account.objective_kind]


def _freedom(fit: Diagnostics) -> str:
    return str(fit.account.degrees_of_freedom)


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
    "Parts of the noise, sd": _parts,
}
"""Rows of the table of fits, and how each is written."""
DATA = (
    "objective_kind", "objective", "starts", "starts_reaching_optimum", "tolerance", "max_steps",
    "bounds_hit", "condition_number", "degrees_of_freedom", "residual_rms", "trend_params",
    "p_params", "trend_tokens", "p_tokens", "trend_flops", "p_flops", "p_params_squared",
    "p_tokens_squared", "p_params_times_tokens", "form_statistic", "p_form", "sd_replicates",
    "p_lack_of_fit", "sd_seed", "sd_cell", "sd_size",
)  # fmt: skip


def _account_data(fit: Diagnostics) -> list[Value]:
    account, trends = fit.account, fit.trends
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
        fit.residuals.rms,
        *(
            value
            for axis in axes
            for value in ((None, None) if axis is None else (axis.slope, axis.p_value))
        ),
        *_form_data(fit),
    ]


def _form_data(fit: Diagnostics) -> list[Value]:
    if not isinstance(fit, ParametricDiagnostics | InteractionDiagnostics):
        return [None] * 10
    tests, pure, parts = fit.misfit, fit.pure_error, fit.noise_parts
    return [
        tests.params_squared.p_value,
        tests.tokens_squared.p_value,
        tests.params_times_tokens.p_value,
        tests.joint.statistic,
        tests.joint.p_value,
        None if pure is None else pure.sd,
        None if pure is None else pure.p_value,
        None if parts is None else parts.seed,
        None if parts is None else parts.cell,
        None if parts is None else parts.size,
    ]


@dataclass(frozen=True, slots=True)
class EnvelopeFacts:
    """What the envelope says against itself, in words."""

    points: int
    fitted: int
    winners: int
    sizes: int
    edge: str
    """What became of the points where an end size wins."""


def envelope_facts(estimate: Estimate) -> EnvelopeFacts:
    """Give the envelope's reservations in words."""
    diagnostics = expect(estimate.diagnostics, EnvelopeDiagnostics)
    left_out = diagnostics.points_on_frontier - diagnostics.points_fitted
    edge = "points where an end size wins are kept"
    if estimate.settings.envelope.edge == "trim":
        edge = (
            f"{left_out} left out where an end size wins, or beyond"
            if left_out
            else "no end size wins"
        )
    return EnvelopeFacts(
        points=diagnostics.points_on_frontier,
        fitted=diagnostics.points_fitted,
        winners=diagnostics.sizes_that_win,
        sizes=diagnostics.sizes,
        edge=edge,
    )


def profiles_along(estimate: Estimate | None) -> str:
    """Say what either axis gives for both exponents; empty without profiles."""
    if estimate is None:
        return ""
    diagnostics = expect(estimate.diagnostics, ProfilesDiagnostics)
    parts = {
        axis: f"*a* = {fixed(along.a)} and *b* = {fixed(along.b)}"
        for axis, along in (
            ("*N*", diagnostics.along["params"]), ("*D*", diagnostics.along["tokens"]),
        )
        if along.a is not None and along.b is not None
    }  # fmt: skip
    if not parts:
        return ""
    if len(parts) == 2 and len(set(parts.values())) == 1:
        # at one budget the two are mirror images, where every run costs what it was planned to
        return f"With all minima taken along *N*, or all along *D*, alike {parts['*N*']}."
    listed_parts = "; ".join(f"along {axis} {exponents}" for axis, exponents in parts.items())
    return f"With all minima taken {listed_parts}."


@dataclass(frozen=True, slots=True)
class ParametricFacts:
    """The parametric fit's account of itself, in words."""

    kind: str
    objective: str
    starts: int | None
    reaching: int | None
    bounds: list[str]
    rms: str


def parametric_facts(estimate: Estimate) -> ParametricFacts:
    """Give the parametric fit's account of itself in words."""
    diagnostics = expect(estimate.diagnostics, ParametricDiagnostics)
    return ParametricFacts(
        kind=_objective(diagnostics),
        objective=parameter(diagnostics.account.objective, 6),
        starts=diagnostics.account.starts,
        reaching=diagnostics.account.starts_reaching_optimum,
        bounds=diagnostics.account.bounds_hit,
        rms=percent(diagnostics.residuals.rms, 2),
    )
