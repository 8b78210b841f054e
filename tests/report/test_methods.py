"""What the report says of each approach follows the settings behind it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from isoflop.config.approaches import ApproachesSettings
from isoflop.estimates.allocation import REACH
from isoflop.estimates.estimate import Counting
from isoflop.estimates.laws import FlopsPerToken, HoffmannLaw
from isoflop.report.document import _reach_words, write_document
from isoflop.report.sections.comparison import loss_table
from isoflop.report.sections.methods import Methods, methods
from tests import example_sweep
from tests.report.conftest import empty_figures

if TYPE_CHECKING:
    from isoflop.report.inputs import ReportInputs

SETTINGS: list[tuple[dict[str, Any], list[str], list[str]]] = [
    (
        {},
        [
            "At each of many log-spaced values of compute",
            "The final losses of all runs are fitted together",
            "the final loss over $\\log\\, N$ is least at the best size, and over $\\log\\, D$",
            "(a) Final loss against size at each budget, with the fitted parabola of *L* and",
            "Fitted the same way, their law gives",
            "what lies between is counting and method",
            "counts non-embedding *N* where it is published and where it is fitted",
            "Kaplan’s law counts non-embedding *N* and Kaplan’s *C*.",
        ],
        ["hull", "whole curves", "spline"],
    ),
    (
        {"envelope": {"frontier": "hull"}},
        ["The vertices of the lower convex hull of log *L* over log *C* give *N* and *D*"],
        ["At each of many log-spaced"],
    ),
    (
        {"envelope": {"edge": "keep"}},
        ["points where an end size wins are kept"],
        ["no end size wins", "left out where an end size wins"],
    ),
    (
        {"parametric": {"points": "all", "drop_highest": 5}},
        ["The losses of all points of all training curves, the 5 highest losses left out, are"],
        ["The final losses of all runs"],
    ),
    (
        {"profiles": {"axis": "tokens", "interpolate": True}},
        [
            "the loss, read off every curve that passes it, over $\\log\\, D$ is least at the best",
            "(a) Loss against number of tokens at each budget",
        ],
        ["over $\\log\\, N$ is least", "against size"],
    ),
    (
        {"profiles": {"axis": "params"}},
        ["over $\\log\\, N$ is least at the best size, for which the budget buys"],
        ["over $\\log\\, D$"],
    ),
    (
        {"profiles": {"curve": "log_parabola"}},
        ["the fitted parabola of log *L* and its minimum"],
        ["fitted parabola of *L*"],
    ),
    (
        {"profiles": {"curve": "akima"}},
        ["lines from run to run and the minimum of the Akima spline of log *L*"],
        ["the fitted parabola"],
    ),
    (
        {"kaplan": {"counting": {"params": "total", "flops": "6nd"}}},
        [
            "Fitted the same way, but with total *N* and *C* = 6*ND* counted, their law gives",
            "what lies between is method,",
            "and total *N* where it is fitted",
            "Kaplan’s law counts total *N* and *C* = 6*ND*. Below",
        ],
        ["counting and method", "without embeddings. Below"],
    ),
]  # fmt: skip


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> ReportInputs:
    root = tmp_path_factory.mktemp("inputs")
    empty_figures(root)
    return example_sweep.write(root).report_inputs(root)


def with_settings(inputs: ReportInputs, changed: dict[str, Any]) -> ReportInputs:
    """Give the same estimates, made under other settings."""
    chosen = ApproachesSettings.model_validate(changed)
    told = {
        name: estimate.model_copy(update={"settings": chosen})
        for name, estimate in inputs.estimates.items()
    }
    return replace(inputs, estimates=told)


def section(text: str, start: str, end: str) -> str:
    """Give the words from one mark to another, on one line."""
    return " ".join(text.partition(start)[2].partition(end)[0].split())


@pytest.mark.parametrize(("changed", "said", "unsaid"), SETTINGS)
def test_sentences_follow_the_settings(
    inputs: ReportInputs, changed: dict[str, Any], said: list[str], unsaid: list[str]
) -> None:
    text = write_document(with_settings(inputs, changed)).markdown
    every = " ".join(text.split())
    approaches = section(text, "{#approaches}", "{#laws}")
    assert [words for words in said if words not in every] == []
    assert [words for words in unsaid if words in approaches] == []


def counted(inputs: ReportInputs, k: float, m: float, counting: Counting) -> ReportInputs:
    estimate = inputs.fitted["parametric"]
    cost = FlopsPerToken(coefficient=k, exponent=m, largest_deviation=0.01)
    law = HoffmannLaw(flops_per_token=cost)
    told = estimate.model_copy(update={"law": law, "counting": counting})
    return replace(inputs, estimates={**inputs.estimates, "parametric": told})


def test_the_optimum_of_approach_3_is_that_of_its_counting(inputs: ReportInputs) -> None:
    """Under C = 20 N^0.8 D the report had Hoffmann's formulas of C = 6ND beside other numbers."""
    usual = methods(inputs)
    assert usual.cost == "Under $C = 6 N D$"
    assert usual.exponents == (
        r"$a = \beta / (\alpha + \beta)$ and $b = \alpha / (\alpha + \beta)$"
    )
    other = methods(counted(inputs, 20.0, 0.8, Counting(params="nonembedding", flops="6nd")))
    assert other.cost == (
        "Counted are non-embedding *N* and *C* = 6*ND*; over these runs "
        "$C = 20 N^{0.8000} D$, under which"
    )
    for said, (k, m) in ((usual, (6.0, 1.0)), (other, (20.0, 0.8))):
        assert formula(said, FORMULAS_AT) == pytest.approx(law_at(k, m), rel=1e-9)


FORMULAS_AT = {"E": 1.7, "A": 400.0, "B": 900.0, "alpha": 0.31, "beta": 0.43, "C": 1e19}


def law_at(k: float, m: float) -> tuple[float, ...]:
    """Ask the law itself for N_opt, D_opt, a and b."""
    law = HoffmannLaw(
        flops_per_token=FlopsPerToken(coefficient=k, exponent=m, largest_deviation=0.0)
    )
    row = np.array([[FORMULAS_AT[name] for name in law.names]])
    found = law.optima(row, np.array([FORMULAS_AT["C"]]))
    a, b = law.exponents(row)
    return float(found.params[0, 0]), float(found.tokens[0, 0]), float(a[0]), float(b[0])


def formula(said: Methods, values: dict[str, float]) -> tuple[float, ...]:
    """Evaluate what the report prints."""
    exponents = dict(part.split(" = ") for part in said.exponents.replace("$", "").split(" and "))
    known = {**values}
    for name in ("a", "b"):
        known[name] = evaluated(exponents[name], known)
    optimum = dict(part.split(" = ", 1) for part in said.optimum.split(r" , \qquad "))
    known["G"] = evaluated(optimum["G"], known)
    sizes = [evaluated(optimum[rf"{axis}_{{\text{{opt}}}}(C)"], known) for axis in "ND"]
    return (*sizes, known["a"], known["b"])


def evaluated(tex: str, known: dict[str, float]) -> float:
    """Read as much TeX as these formulas have."""
    import re

    text = tex.replace(r"\left(", "(").replace(r"\right)", ")").replace(r"\,", "")
    braced = r"\{((?:[^{}]|\{[^{}]*\})*)\}"
    text = re.sub(rf"\\frac{braced}{braced}", r"((\1)/(\2))", text)
    text = re.sub(rf"\s*\^{braced}", r"**(\1)", text)
    text = text.replace("\\", " ")
    names = sorted(known, key=len, reverse=True)
    text = re.sub("|".join(rf"\b{name}\b" for name in names), lambda m: f"({m[0]})", text)
    text = re.sub(r"(?<=[\d)])\s*(?=\()", " * ", text)
    return float(eval(text, {"__builtins__": {}}, known))  # noqa: S307  of our own formula


def test_the_words_of_a_distance_are_those_of_every_answer() -> None:
    words = _reach_words().replace("\xa0", " ")
    told = [("1 decade", "within reach"), ("up to 3", "with care"), ("up to 6", "order of magn")]
    assert all(f"{decades}" in words and f"“{label}" in words for decades, label in told)
    assert words.endswith("further out this sweep does not say.")
    assert [most for most, _ in REACH[:-1]] == [1.0, 3.0, 6.0]


def test_published_models_are_said_to_be_put_into_a_law_of_other_counts(
    inputs: ReportInputs,
) -> None:
    estimate = inputs.fitted["parametric"]
    near = estimate.model_copy(update={"flops_range": (1e18, 1e20)})
    inputs = replace(inputs, estimates={**inputs.estimates, "parametric": near})
    other = counted(inputs, 20.0, 0.8, Counting(params="nonembedding", flops="6nd"))
    assert any("This sweep" in row[0] for row in loss_table(other).rows)
    words = "this sweep’s law counts non-embedding *N*, and is evaluated at the total counts"
    assert words in " ".join(write_document(other).markdown.split())
    assert words not in " ".join(write_document(inputs).markdown.split())
