"""The set of laws: what each paper had right on these runs, and how far to trust each law."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from isoflop.approach import IN_PROSE, NAMES
from isoflop.estimates.diagnostics import (
    InteractionDiagnostics,
    ParametricDiagnostics,
    expect,
)
from isoflop.estimates.estimate import Estimate, prior_words
from isoflop.estimates.mixture import Mixture
from isoflop.numbers import NONE, fixed, listed, number_of, percent, probability, with_level
from isoflop.report.sections.diagnostics import REJECTION, misfit_words
from isoflop.report.tables import Column, Table

if TYPE_CHECKING:
    from isoflop.estimates.diagnostics import NestingTests
    from isoflop.estimates.mixture import Member
    from isoflop.report.inputs import ReportInputs
    from isoflop.report.tables import Value

SIGNIFICANT: Final = 0.01
"""p-value below which a special case is called rejected."""
TESTED: Final = {
    "hoffmann": ("*γ* = 1", "Hoffmann’s law: the terms add"),
    "kaplan_law": ("*E* = 0, *β* = 1", "Kaplan’s law"),
    "no_floor": ("*E* = 0", "No irreducible loss"),
}


@dataclass(frozen=True, slots=True)
class LawFacts:
    """What the laws say, in words and tables."""

    gamma: str
    floor: str
    priors: str
    """That the nested law has priors, in a sentence; empty where it has none."""
    verdicts: tuple[str, ...]
    """What each paper had right on these runs, in whole sentences."""
    significance: str
    """p-value below which these call a special case rejected."""
    weights: str
    reason: str
    doubt: str
    table: Table
    tests: Table


def law_facts(inputs: ReportInputs) -> LawFacts | None:
    """Say what the set of laws says; None where the nested law or the mixture is missing."""
    nested, mixture = inputs.laws.get("nested"), inputs.mixture
    if not isinstance(nested, Estimate) or not isinstance(mixture, Mixture):
        return None
    tests = expect(nested.diagnostics, InteractionDiagnostics).nesting_tests
    shares = [f"{percent(m.weight)} {IN_PROSE[m.approach]}" for m in mixture.mixed]
    return LawFacts(
        gamma=with_level(nested.parameters["gamma"], 0.95, _second),
        floor=floor_words(nested),
        priors=_of_priors(nested),
        verdicts=tuple(_verdicts(nested, tests, _misfit(inputs))),
        significance=f"{SIGNIFICANT:g}",
        weights=listed(shares),
        reason=mixture.reason,
        doubt=mixture.loss_doubt or "",
        table=_law_table(inputs, mixture),
        tests=_test_table(tests),
    )


def _of_priors(nested: Estimate) -> str:
    """Say that gamma and E are not of the runs alone, in the place that gives them."""
    if not nested.priors:
        return ""
    return (
        f"The fit has priors of {prior_words(nested.priors)}: this *γ* and this *E* are not of "
        "these runs alone. The tests below refit every law without priors."
    )


def priors_by_law(inputs: ReportInputs) -> str:
    """Name every fit of this report that has priors, with them; empty where none has."""
    fits = (*inputs.fitted.values(), *inputs.laws.values())
    known = {fit.approach: fit.priors for fit in fits if isinstance(fit, Estimate) and fit.priors}
    return listed([f"{IN_PROSE[law]} (of {prior_words(of)})" for law, of in known.items()])


def has_floor(nested: Estimate) -> bool:
    """Tell whether a law's E is more than zero, as it is printed."""
    return round(nested.parameters["E"].value, 2) > 0.0


def floor_words(nested: Estimate) -> str:
    """Say which floor a law has, after a comma."""
    if not has_floor(nested):
        return "without a floor (*E* = 0)"
    return f"with a floor *E* of {fixed(nested.parameters['E'].value, 2)} nats per token"


def why_no_laws(inputs: ReportInputs) -> str:
    """Say why there is no such section."""
    nested, mixture = inputs.laws.get("nested"), inputs.mixture
    for answer in (nested, mixture):
        reason = getattr(answer, "refused", None)
        if reason:
            return str(reason)
    return "The nested law was not fitted to this sweep."


def _misfit(inputs: ReportInputs) -> str:
    """Say that Hoffmann's law misses these runs; empty where it does not, or was not fitted."""
    parametric = inputs.laws.get("parametric")
    return misfit_words(parametric) if isinstance(parametric, Estimate) else ""


def _verdicts(nested: Estimate, tests: NestingTests, misfit: str = "") -> list[str]:
    """Say what each paper's law had right on these runs, by rule from likelihood-ratio tests.

    Parameters
    ----------
    nested, tests : the law that has both as special cases, and the tests of these.
    misfit : that Hoffmann's law misses the runs by its lack of fit; empty where it does not.
    """
    gamma = nested.parameters["gamma"].value
    hypotheses = tests.hypotheses
    adds, kaplans, floorless = (
        hypotheses["hoffmann"],
        hypotheses["kaplan_law"],
        hypotheses["no_floor"],
    )
    interacts = adds.p_value < SIGNIFICANT
    floor = floorless.p_value < SIGNIFICANT
    floor_p = probability(floorless.log10_p)
    if not interacts:
        hoffmann = (
            "**Hoffmann et al. (2022)** had the form right as far as these runs can tell: they do "
            if not misfit
            else f"**Hoffmann et al. (2022)**: their law {misfit}, so it is not exact, though the "
            "runs do "
        )
        hoffmann += (
            "not reject terms of *N* and *D* that simply add (*γ* = 1, likelihood ratio, "
            f"*p* = {_p(adds.log10_p)})"
        )
        hoffmann += (
            f", nor the floor *E* that their law has (without it *p* = {floor_p})."
            if floor
            else f"; whether there is a floor *E* they do not tell (*p* = {floor_p})."
        )
    elif floor:
        hoffmann = (
            "**Hoffmann et al. (2022)** had a floor right: without *E* the fit is worse "
            f"(*p* = {floor_p}). That the terms of *N* and *D* add, these runs reject (*γ* = 1, "
            f"likelihood ratio, *p* = {_p(adds.log10_p)})."
        )
    else:
        hoffmann = (
            "**Hoffmann et al. (2022)**: these runs reject terms of *N* and *D* that add "
            f"(*γ* = 1, likelihood ratio, *p* = {_p(adds.log10_p)}), and "
            f"show no floor *E* (*p* = {floor_p})."
        )
    if interacts and gamma < 1.0:
        right = (
            "that size and data interact: more parameters gain more where data are not scarce, "
            "and the reverse"
        )
    elif not floor:
        right = "a loss without a floor, as far as these runs reach"
    else:
        right = ""
    if kaplans.p_value >= SIGNIFICANT:
        kaplan = (
            "**Kaplan et al. (2020)**: these runs do not reject their *L*(*N*, *D*) as it stands "
            f"(likelihood ratio, *p* = {_p(kaplans.log10_p)})"
        )
        kaplan += f"; what it has right is {right}." if right else "."
    elif right:
        kaplan = (
            f"**Kaplan et al. (2020)** had right {right}. Their *L*(*N*, *D*) as it stands is "
            f"rejected (likelihood ratio, *p* = {_p(kaplans.log10_p)})."
        )
    else:
        kaplan = (
            "**Kaplan et al. (2020)**: these runs reject their *L*(*N*, *D*) "
            f"(likelihood ratio, *p* = {_p(kaplans.log10_p)}), and show neither its "
            "interaction nor its lack of a floor."
        )
    return [hoffmann, kaplan]


def _law_table(inputs: ReportInputs, mixture: Mixture) -> Table:
    rows: list[list[str]] = []
    data: list[list[Value]] = []
    for member in mixture.members:
        estimate = inputs.laws[member.approach]
        rows.append(_shown(member, estimate if isinstance(estimate, Estimate) else None))
        data.append(_values(member, estimate if isinstance(estimate, Estimate) else None))
    cuts = max((member.cuts for member in mixture.members), default=0)
    scored = (
        f"Forecasts are of the losses above {number_of(cuts, 'cut')} in compute, from the "
        "runs below"
        if cuts
        else "No forecast could be scored on this sweep"
    )
    return Table(
        key="laws",
        caption="The laws that every sweep is fitted with. “Form rejected” is the score test of "
        "what a law leaves in its residuals of (log *N*)², (log *D*)² and log *N* log *D*; by it "
        f"the runs reject a form at {REJECTION}. "
        f"{scored}; errors in nats per token; scores of 80 % intervals, smaller is better.",
        columns=(
            Column("Law", "left"), Column("Residuals (rms)"), Column("Form rejected, *p*"),
            Column("*E*"), Column("*γ*"), Column("Bias"), Column("rms"), Column("Interval score"),
            Column("Intervals cover", "left"), Column("Weight"),
        ),
        rows=rows,
        data_columns=(
            "law", "rms_log_residual", "misfit_p", "E_nats", "gamma", "cuts", "forecast_bias_nats",
            "forecast_rms_nats", "interval_score_80_nats", "log_score", "forecasts_cover", "weight",
        ),
        data=data,
        notes=[*_two_fits(inputs, mixture), *_with_priors(inputs)],
    )  # fmt: skip


def _with_priors(inputs: ReportInputs) -> list[str]:
    """Say which rows of the table are not of the runs alone."""
    known = priors_by_law(inputs)
    if not known:
        return []
    return [
        f"Fitted with priors: {known}. Their residuals, the *p* of what these leave, *E*, *γ* and "
        "forecasts are of runs and priors together."
    ]


def _two_fits(inputs: ReportInputs, mixture: Mixture) -> list[str]:
    """Say why Kaplan's L(N, D) stands in the report with two sets of constants."""
    both = isinstance(inputs.laws.get("kaplan_law"), Estimate) and "kaplan" in inputs.fitted
    if not both or all(member.approach != "kaplan_law" for member in mixture.members):
        return []
    return [
        f"{NAMES['kaplan_law']} is fitted here as every law of the set is; in {NAMES['kaplan']} it "
        "is fitted as in the paper, by least squares on log *L* and with *N* and *C* counted its "
        "way, so its constants and losses there are others."
    ]


def _shown(member: Member, estimate: Estimate | None) -> list[str]:
    rms, floor, gamma = _fitted_values(estimate)
    return [
        NAMES[member.approach],
        NONE if rms is None else percent(rms, 2),
        NONE if member.misfit_p is None else _probability(member.misfit_p),
        NONE if floor is None else fixed(floor, 2),
        NONE if gamma is None else fixed(gamma, 2),
        NONE if member.bias is None else fixed(member.bias, 3),
        NONE if member.rms is None else fixed(member.rms, 3),
        fixed(member.interval_score["0.8"], 3) if member.interval_score else NONE,
        NONE if member.forecasts_cover is None else ("yes" if member.forecasts_cover else "**no**"),
        percent(member.weight),
    ]


def _values(member: Member, estimate: Estimate | None) -> list[Value]:
    covers = member.forecasts_cover
    rms, floor, gamma = _fitted_values(estimate)
    return [
        member.approach, rms, member.misfit_p, floor, gamma, member.cuts,
        member.bias, member.rms, member.interval_score.get("0.8"), member.log_score,
        None if covers is None else str(covers).lower(), member.weight,
    ]  # fmt: skip


def _fitted_values(estimate: Estimate | None) -> tuple[float | None, float | None, float | None]:
    """Give rms of the residuals, E and gamma of a law; None where it has none."""
    if estimate is None:
        return None, None, None
    diagnostics = estimate.diagnostics
    rms = (
        diagnostics.residuals.rms
        if isinstance(diagnostics, ParametricDiagnostics | InteractionDiagnostics)
        else None
    )
    values = {name: quantity.value for name, quantity in estimate.parameters.items()}
    powers = {
        "parametric": 1.0,
        "root": 0.5,
        "nested": values.get("gamma"),
        "kaplan_law": values.get("alpha_D"),
    }
    floor = 0.0 if estimate.approach == "kaplan_law" else values.get("E")
    return rms, floor, powers.get(estimate.approach)


def _test_table(tests: NestingTests) -> Table:
    rows: list[list[str]] = []
    data: list[list[Value]] = []
    for key, test in tests.hypotheses.items():
        shown, meaning = TESTED[key]
        simulated = test.simulated
        rows.append(
            [
                shown,
                meaning,
                fixed(test.statistic, 1),
                probability(test.log10_p),
                NONE if simulated is None else _probability(simulated.p_value),
                NONE if simulated is None else percent(simulated.size, 1),
            ]
        )
        data.append(
            [
                key, test.statistic, test.p_value, test.log10_p,
                None if simulated is None else simulated.p_value,
                None if simulated is None else simulated.size,
                None if simulated is None else simulated.sweeps,
            ]
        )  # fmt: skip
    return Table(
        key="nesting-tests",
        caption="Likelihood-ratio tests of the nested law’s special cases. “Simulated” sets the "
        "ratio beside those of sweeps simulated from the special case; “Size” is the share of them "
        "that the first *p* would reject at 5 %.",
        columns=(
            Column("Hypothesis", "left"), Column("It is", "left"), Column("Likelihood ratio"),
            Column("*p*"), Column("*p*, simulated"), Column("Size"),
        ),
        rows=rows,
        data_columns=(
            "hypothesis", "statistic", "p_value", "log10_p", "simulated_p_value", "size",
            "simulated_sweeps",
        ),
        data=data,
    )  # fmt: skip


def _probability(p: float) -> str:
    import math

    return probability(math.log10(p)) if p > 0.0 else "0"


def _p(log10_p: float) -> str:
    return probability(log10_p)


def _second(value: float) -> str:
    return fixed(value, 2)
