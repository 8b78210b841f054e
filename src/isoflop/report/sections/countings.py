"""Every law under both papers' countings: whether what sets them apart is counting."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from isoflop.approach import NAMES
from isoflop.counting import counting_words
from isoflop.estimates.diagnostics import InteractionDiagnostics, expect
from isoflop.estimates.estimate import Estimate
from isoflop.numbers import NONE, fixed, percent, probability
from isoflop.report.sections.laws import SIGNIFICANT
from isoflop.report.tables import Column, Table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from isoflop.approach import Approach
    from isoflop.estimates.diagnostics import CountedLaw, NestingTest
    from isoflop.report.inputs import ReportInputs
    from isoflop.report.tables import Value

TESTS: Final[dict[Approach, str]] = {
    "parametric": "hoffmann",
    "no_floor": "no_floor",
    "kaplan_law": "kaplan_law",
}
"""Special cases of the nested law, and what its tests call them."""
WITHOUT_FLOOR: Final[tuple[Approach, ...]] = ("no_floor", "kaplan_law")
"""Laws whose E is none by their form."""
SPECIAL: Final[tuple[Approach, ...]] = ("parametric", "no_floor")
"""Those of them that are taken from these tests."""
OTHERS: Final[tuple[Approach, ...]] = ("nested", "root", "kaplan_law", "product")
"""Laws that are fitted under both countings themselves."""


def counting_sentences(inputs: ReportInputs) -> list[str]:
    """Say, by rule from the tests, whether other countings have the terms add, or a floor."""
    nested = inputs.laws.get("nested")
    if not isinstance(nested, Estimate):
        return []
    fit = expect(nested.diagnostics, InteractionDiagnostics)
    adds = fit.nesting_tests.hypotheses["hoffmann"].p_value >= SIGNIFICANT
    return [_sentence(counted, adds=adds) for counted in fit.countings[1:]]


def _sentence(counted: CountedLaw, *, adds: bool) -> str:
    """Say what one other counting makes of the interaction."""
    how = _how(counted)
    if counted.parameters is None:
        return f"Under {how} no law was fitted: {counted.refused}"
    test = counted.hypotheses["hoffmann"]
    adds_there = test.p_value >= SIGNIFICANT
    gamma, p = fixed(counted.parameters["gamma"], 2), probability(test.log10_p)
    there = f"with {how} *γ* = {gamma}, and terms that add are"
    if adds and adds_there:
        return f"Nor does counting change that: {there} not rejected (*p* = {p})."
    if not adds and not adds_there:
        return f"That terms do not add is no effect of counting: {there} rejected too (*p* = {p})."
    verdict = "not rejected" if adds_there else "rejected"
    return f"That hangs on counting: {there} {verdict} (*p* = {p})."


def counting_table(inputs: ReportInputs) -> Table | None:
    """Tabulate every law under both countings; None without the nested law."""
    nested = inputs.laws.get("nested")
    if not isinstance(nested, Estimate):
        return None
    fit = expect(nested.diagnostics, InteractionDiagnostics)
    rows: list[list[str]] = []
    data: list[list[Value]] = []
    refused = {}
    for place, counted in enumerate(fit.countings):
        if counted.parameters is None:
            refused[_how(counted)] = counted.refused
            continue
        tests = fit.nesting_tests.hypotheses if place == 0 else counted.hypotheses
        for key, (rms, a, parameters) in _fitted(inputs, place, tests).items():
            gamma, floor = parameters.get("gamma"), 0.0 if key in WITHOUT_FLOOR else parameters["E"]
            test = tests.get(TESTS.get(key, ""))
            rows.append([
                NAMES[key], _how(counted), percent(rms, 2), fixed(floor, 2),
                NONE if gamma is None else fixed(gamma, 2), fixed(a),
                NONE if test is None else probability(test.log10_p),
            ])  # fmt: skip
            data.append([
                key, counted.params, counted.flops, rms, floor, gamma, a,
                None if test is None else test.log10_p,
            ])  # fmt: skip
    notes = [f"Under {how} no law was fitted: {why}" for how, why in refused.items()]
    return Table(
        key="law-countings",
        caption="Every law under both papers’ countings of *N* and *C*: residuals of log *L*, the "
        "floor *E* in nats per token, *γ*, the exponent *a*, and the likelihood-ratio test against "
        "the nested law under the same counting.",
        columns=(
            Column("Law", "left"), Column("Counting", "left"), Column("Residuals (rms)"),
            Column("*E*"), Column("*γ*"), Column("*a*"), Column("Special case, *p*"),
        ),
        rows=rows,
        data_columns=(
            "law", "params", "flops", "rms_log_residual", "E_nats", "gamma", "a", "log10_p",
        ),
        data=data,
        notes=notes,
    )  # fmt: skip


def _fitted(
    inputs: ReportInputs, place: int, tests: Mapping[str, NestingTest]
) -> dict[Approach, tuple[float, float, dict[str, float]]]:
    """Give rms, a and parameters of every law under one counting."""
    laws: dict[Approach, tuple[float, float, dict[str, float]]] = {
        key: (test.rms, test.a, _with_gamma(key, test.parameters))
        for key in SPECIAL
        for test in (tests[TESTS[key]],)
    }
    for approach in OTHERS:
        estimate = inputs.laws.get(approach)
        if not isinstance(estimate, Estimate):
            continue
        counted = expect(estimate.diagnostics, InteractionDiagnostics).countings[place]
        if counted.rms is None or counted.a is None or counted.parameters is None:
            continue
        laws[approach] = (
            counted.rms, counted.a, _with_gamma(approach, counted.parameters)
        )  # fmt: skip
    return laws


def _with_gamma(law: Approach, parameters: dict[str, float]) -> dict[str, float]:
    """Add the gamma that a law has by its form."""
    by_form = {"parametric": 1.0, "root": 0.5, "kaplan_law": parameters.get("alpha_D")}
    gamma = by_form.get(law)
    return parameters if gamma is None else parameters | {"gamma": gamma}


def _how(counted: CountedLaw) -> str:
    """Name a counting."""
    return counting_words(counted.params, counted.flops, " and ")
