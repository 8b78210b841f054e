"""Published exponents against this sweep: likelihood-ratio tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from isoflop.estimates.diagnostics import ParametricDiagnostics, expect
from isoflop.laws import EQUAL_SCALING
from isoflop.numbers import NBSP, fixed, listed, percent, probability, significant
from isoflop.report.tables import Column, Table

if TYPE_CHECKING:
    from isoflop.estimates.diagnostics import LikelihoodRatios, LikelihoodTest
    from isoflop.estimates.estimate import Estimate
    from isoflop.report.tables import Value

LAWS = {
    "hoffmann_printed": "Hoffmann, as printed",
    "hoffmann": "Hoffmann, unrounded constants",
    "besiroglu": "Besiroglu",
}

IN_PROSE = {
    "hoffmann_printed": "Hoffmann’s printed exponents",
    "hoffmann": "Hoffmann’s unrounded exponents",
    "besiroglu": "Besiroglu’s exponents",
}
SIGNIFICANT = 0.05


def exponents_test_table(estimate: Estimate | None) -> Table | None:
    """Tabulate the tests of published exponents; None where they were not made."""
    tests = _likelihood_ratios(estimate)
    if tests is None:
        return None
    rows: list[list[str]] = []
    data: list[list[Value]] = []
    for name, test in tests.exponents.items():
        a = test.beta / (test.alpha + test.beta)
        exponents = (fixed(test.alpha, 4), fixed(test.beta, 4), fixed(a))
        rows.append([LAWS[name], *exponents, *_verdict(test)])
        data.append([name, test.alpha, test.beta, a, *_values(test)])
    parity = tests.parity
    rows.append(["Equal scaling", "*α* = *β*", "*α* = *β*", fixed(0.5), *_verdict(parity)])
    data.append(["parity", None, None, 0.5, *_values(parity)])
    return Table(
        key="exponents-tests",
        caption="Likelihood-ratio tests of published exponents against these runs, with *E*, *A*, "
        "*B* and the scale of the residuals fitted under each hypothesis. Each takes "
        "the law for true; equal scaling is judged by the interval of *a*.",
        columns=(
            Column("Hypothesis", "left"), Column("*α*"), Column("*β*"), Column("*a*"),
            Column("Likelihood ratio"), Column("Degrees of freedom"), Column("*p*"),
        ),
        rows=rows,
        data_columns=(
            "hypothesis", "alpha", "beta", "a", "statistic", "degrees_of_freedom", "p_value",
            "log10_p",
        ),
        data=data,
    )  # fmt: skip


def hypothesis_facts(estimate: Estimate | None) -> dict[str, str] | None:
    """Say what the tests mean for this sweep, and what they rest on."""
    tested = _likelihood_ratios(estimate)
    if tested is None:
        return None
    tests: dict[str, LikelihoodTest] = {
        IN_PROSE.get(name, name): test for name, test in tested.exponents.items()
    }
    rejected = [name for name, test in tests.items() if test.p_value < SIGNIFICANT]
    kept = [name for name in tests if name not in rejected]
    return {
        "delta": significant(tested.delta, 4),
        "level": percent(SIGNIFICANT),
        "rejected": listed(rejected),
        "kept": listed(kept),
        "parity": _parity(estimate, tested.parity),
    }


def _parity(estimate: Estimate | None, test: LikelihoodTest) -> str:
    """Judge equal scaling by the interval of a, as every section does, and say what the test says.

    The test takes the law for true; a calibrated interval covers whichever law is true.
    """
    ends = None if estimate is None else estimate.a.intervals.get("0.95")
    p = f"*p* = {probability(test.log10_p)}"
    if ends is None:
        return f"No 95{NBSP}% interval of *a* is given to judge equal scaling by; the test has {p}."
    contains, rejects = ends[0] <= EQUAL_SCALING <= ends[1], test.p_value < SIGNIFICANT
    what = f"the 95{NBSP}% interval of *a* {'contains' if contains else 'excludes'} {EQUAL_SCALING}"
    if contains != rejects:
        return f"Equal scaling is {'not ' if contains else ''}rejected: {what} (the test: {p})."
    alone = "would reject" if rejects else "would not reject"
    return (
        f"Equal scaling is {'not ' if contains else ''}rejected: {what}, and [that is what this "
        f"report goes by](#exponents), since it covers whichever law is true; the test, which "
        f"takes this law for true, {alone} it ({p})."
    )


def _likelihood_ratios(estimate: Estimate | None) -> LikelihoodRatios | None:
    if estimate is None:
        return None
    return expect(estimate.diagnostics, ParametricDiagnostics).likelihood_ratios


def _verdict(test: LikelihoodTest) -> list[str]:
    return [
        fixed(test.statistic, 1),
        str(test.degrees_of_freedom),
        probability(test.log10_p),
    ]


def _values(test: LikelihoodTest) -> list[Value]:
    return [test.statistic, test.degrees_of_freedom, test.p_value, test.log10_p]
