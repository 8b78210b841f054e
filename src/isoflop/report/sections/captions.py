"""What each figure of the report shows, in a sentence: every number from the estimates."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from isoflop.approach import IN_PROSE
from isoflop.counting import PARAMS
from isoflop.estimates.allocation import UNKNOWN, reach
from isoflop.estimates.diagnostics import (
    LATE,
    EnvelopeDiagnostics,
    ParametricDiagnostics,
    expect,
)
from isoflop.estimates.estimate import Estimate
from isoflop.numbers import (
    count,
    decades_beyond,
    fixed,
    interval,
    listed,
    number_of,
    percent,
    power,
    times,
    with_level,
)
from isoflop.published_laws import published_optima
from isoflop.report.sections.answer import verdicts
from isoflop.report.sections.check import check_pair
from isoflop.report.sections.curvature import curvatures
from isoflop.report.sections.data import data_facts
from isoflop.report.sections.diagnostics import form_rejected, misfit_words
from isoflop.report.sections.forecast import forecast_facts
from isoflop.report.sections.laws import floor_words, has_floor
from isoflop.report.sections.specifications import analysis

if TYPE_CHECKING:
    from isoflop.estimates.quantities import Quantity
    from isoflop.report.inputs import ReportInputs


def findings(inputs: ReportInputs) -> dict[str, str]:
    """Say what each figure shows.

    Parameters
    ----------
    inputs : estimates, losses and forecasts of the sweep.

    Returns
    -------
    A sentence in bold per figure, by the figure's name; empty where there is nothing to say, as
    where an approach was refused.
    """
    captions = {
        "design": _design(inputs),
        "training_curves": _envelope(inputs),
        "isoflop_profiles": _profiles(inputs),
        "parametric_fit": _parametric(inputs),
        "laws": _laws(inputs),
        "exponents": _exponents(inputs),
        "predictions": _predictions(inputs),
        "forecast": _forecast(inputs),
        "specifications": _specifications(inputs),
        "check_pair": _check(inputs),
        "check_curves": _check_curves(inputs),
        "bend": _bend(inputs),
        "allocations": _allocations(inputs),
        "residuals": _residuals(inputs),
    }
    return {name: f"**{sentence}**" if sentence else "" for name, sentence in captions.items()}


def _design(inputs: ReportInputs) -> str:
    facts = data_facts(inputs)
    finals = inputs.losses.filter(role="fit", is_final=True)["flops_6nd"]
    if finals.is_empty():
        return ""
    low, high = float(finals.min()), float(finals.max())  # type: ignore[arg-type]
    decades = fixed(math.log10(high / low), 1)
    return f"{facts.runs} of {facts.sizes} span {decades} decades of compute."


def _exponent(a: Quantity) -> str:
    return f"*a* = {with_level(a, 0.95, fixed)}"


def _envelope(inputs: ReportInputs) -> str:
    estimate = inputs.fitted.get("envelope")
    if estimate is None:
        return ""
    diagnostics = expect(estimate.diagnostics, EnvelopeDiagnostics)
    return (
        f"The envelope gives {_exponent(estimate.a)}; {percent(diagnostics.late_winners)} of its "
        f"{number_of(diagnostics.points_fitted, 'fitted point')} were measured in the last "
        f"{percent(1.0 - LATE)} of a run, the others earlier: where a learning rate was still to "
        "decay, the loss is too high there."
    )


def _profiles(inputs: ReportInputs) -> str:
    estimate = inputs.fitted.get("profiles")
    if estimate is None:
        return ""
    low, high = (float(estimate.params_opt(c)) for c in estimate.frontier_range)
    span = " to ".join(power(c, 2) for c in estimate.frontier_range)
    return (
        f"The minima give {_exponent(estimate.a)}: from {span} FLOPs the best size grows from "
        f"{count(low)} to {count(high)} parameters."
    )


def _parametric(inputs: ReportInputs) -> str:
    estimate = inputs.fitted.get("parametric")
    if estimate is None:
        return ""
    rms = expect(estimate.diagnostics, ParametricDiagnostics).residuals.rms
    rejected = form_rejected(estimate)
    verdict = f", and {rejected}" if rejected else ", and its form is not rejected by a score test"
    if misfit := misfit_words(estimate):
        verdict += f"{'; it' if rejected else '; yet it'} {misfit}"
    return (
        f"The law gives {_exponent(estimate.a)}, leaves {percent(rms, 2)} of the losses{verdict}."
    )


def _laws(inputs: ReportInputs) -> str:
    nested = inputs.laws.get("nested")
    if not isinstance(nested, Estimate):
        return ""
    gamma = with_level(nested.parameters["gamma"], 0.95, _second)
    kaplans = ", where Kaplan’s has none" if has_floor(nested) else ", as Kaplan’s"
    return (
        f"The nested law has *γ* = {gamma}, where Hoffmann’s has 1, {floor_words(nested)}{kaplans}."
    )


def _exponents(inputs: ReportInputs) -> str:
    exponents = verdicts(inputs)
    if not exponents:
        return ""
    if len(exponents) == 1:
        (only,) = exponents
        return (
            f"The 95 % interval for *a* by {only.name} {_contains(only.contains_half)} equal "
            f"scaling, and {_contains(only.contains_kaplan)} Kaplan’s "
            f"{fixed(inputs.reference.kaplan.optimal_allocation.p_N, 2)}."
        )
    half = sum(verdict.contains_half for verdict in exponents)
    kaplan = sum(verdict.contains_kaplan for verdict in exponents)
    p = fixed(inputs.reference.kaplan.optimal_allocation.p_N, 2)
    return (
        f"Of the 95 % intervals for *a* by {times(len(exponents), 'approach', 'approaches')}, "
        f"{_contain(half)} equal scaling and {_contain(kaplan)} Kaplan’s {p}."
    )


def _contains(inside: bool) -> str:  # noqa: FBT001  one fact
    return "contains" if inside else "excludes"


def _contain(number: int) -> str:
    return {0: "none contains", 1: "1 contains"}.get(number, f"{number} contain")


def _predictions(inputs: ReportInputs) -> str:
    chosen = inputs.recommended
    if not inputs.budgets or chosen is None:
        return ""
    # sizes that are counted differently differ by that alone
    counted = chosen.answer.counting.params
    alike = {name for name, fit in inputs.fitted.items() if fit.counting.params == counted}
    near, far = inputs.budgets[0], inputs.budgets[-1]
    spread = []
    for flops in (near, far):
        sizes = [
            optimum.params.value for name, optimum in inputs.optima(flops).items() if name in alike
        ]
        if len(sizes) < 2:
            return ""
        spread.append(f"{_apart(max(sizes) / min(sizes))} at {power(flops)} FLOPs")
    who = (
        "The approaches’ optimal sizes"
        if len(alike) == len(inputs.fitted)
        else f"The optimal sizes of the approaches that count {PARAMS[counted]}"
    )
    return f"{who} differ {listed(spread)}."


def _apart(factor: float) -> str:
    """Write how far two sizes lie apart: 1.0-fold would say nothing."""
    return f"{fixed(factor, 1)}-fold" if factor >= 2.0 else f"by {percent(factor - 1.0)}"


def _forecast(inputs: ReportInputs) -> str:
    facts = forecast_facts(inputs)
    if facts is None or not facts.laws:
        return ""
    off = [law for law in facts.laws if law.direction]
    if not off:
        return (
            "No approach’s losses are off to one side above the cuts by more than their intervals."
        )
    sides = [f"{law.name} predicts losses too {law.direction} by {law.biases}" for law in off]
    cuts = "cut" if facts.cuts == times(1, "cut") else "cuts"
    return f"Beyond the {cuts} {listed(sides)} nats per token."


def _specifications(inputs: ReportInputs) -> str:
    facts = analysis(inputs)
    if not facts.fitted:
        return ""
    return (
        f"The same runs give *a* from {facts.low} to {facts.high} over {facts.fitted} ways to "
        f"analyse them, with a median of {facts.median}."
    )


def _check(inputs: ReportInputs) -> str:
    pair = check_pair(inputs)
    if pair is None:
        return ""
    noise = "" if pair.noise is None else f", {pair.noise.gap_in_errors} standard errors"
    inside = (
        f"; {pair.within} of {pair.judged} {pair.mean}losses lie within the 95 % intervals of "
        f"{pair.whose_loss}"
        if pair.judged
        else ""
    )
    return (
        f"The size {pair.winner} reached the {pair.lower} {pair.mean}loss, by {pair.gap} nats per "
        f"token{noise}{inside}."
    )


def _check_curves(inputs: ReportInputs) -> str:
    pair = check_pair(inputs)
    if pair is None:
        return ""
    return (
        f"Where training ends, the size {pair.winner} has the {pair.lower} {pair.mean}loss, by "
        f"{pair.gap} nats per token."
    )


def _bend(inputs: ReportInputs) -> str:
    told = [
        f"{IN_PROSE[name]} by {with_level(bend.per_decade, 0.95, fixed)}"
        for name, bend in curvatures(inputs).items()
        if bend.per_decade is not None
    ]
    return f"Per decade of compute *a* changes in {listed(told)}." if told else ""


def _allocations(inputs: ReportInputs) -> str:
    budget = inputs.reference.gopher_budget
    # those that the figure shows
    laws = published_optima(inputs.reference, budget)
    sizes = [law.params for law in laws if not law.rounded]
    span = interval(min(sizes), max(sizes), count)
    published = f"Published laws give Gopher’s compute {span} parameters"
    beyond = [decades_beyond(budget, estimate.flops_range) for estimate in inputs.fitted.values()]
    if not beyond:
        return f"{published}."
    nearest = min(beyond)
    ends = f"this sweep ends {fixed(nearest, 1)} decades below it"
    if reach(nearest) == UNKNOWN:
        return f"{published}; {ends} and does not say, so it is not drawn."
    return f"{published}; {ends}: {reach(nearest)}."


def _residuals(inputs: ReportInputs) -> str:
    rejected = {name: form_rejected(estimate) for name, estimate in inputs.fitted.items()}
    shown = [f"of {IN_PROSE[name]} {sentence}" for name, sentence in rejected.items() if sentence]
    if shown:
        return f"Residuals have a shape: {listed(shown)}."
    return "A score test rejects no law’s form." if inputs.fitted else ""


def _second(value: float) -> str:
    return fixed(value, 2)
