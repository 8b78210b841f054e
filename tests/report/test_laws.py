"""What the report says of the set of laws: by rule from the tests, marked where in doubt."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from isoflop.approach import ANSWERS, APPROACHES, IN_PROSE, LAWS, MIXTURE, NAMES
from isoflop.estimates.allocation import optima_at
from isoflop.estimates.diagnostics import (
    REJECTED,
    InteractionDiagnostics,
    expect,
    misses,
)
from isoflop.estimates.estimate import Estimate
from isoflop.estimates.mixture import Mixture, optima_of_mixture
from isoflop.estimates.recommendation import Recommendation
from isoflop.numbers import fixed, percent
from isoflop.report.document import write_document
from isoflop.report.sections.captions import findings
from isoflop.report.sections.countings import counting_sentences
from isoflop.report.sections.first_screen import _reason, first_screen
from isoflop.report.sections.influence import influence_table
from isoflop.report.sections.laws import _verdicts, law_facts
from isoflop.report.sections.specifications import analysis

if TYPE_CHECKING:
    from isoflop.estimates.diagnostics import NestingTest
    from isoflop.report.tables import Table, Value
    from tests.report.conftest import Rendered


def verdicts(
    rendered: Rendered,
    *,
    adds: float,
    whole: float,
    floorless: float,
    gamma: float = 0.4,
    misfit: str = "",
) -> tuple[str, str]:
    """Give both papers' sentences for p-values of gamma = 1, of Kaplan's law, and of E = 0."""
    nested = rendered.inputs.laws["nested"]
    assert isinstance(nested, Estimate)
    tests = expect(nested.diagnostics, InteractionDiagnostics).nesting_tests
    values = {"hoffmann": adds, "kaplan_law": whole, "no_floor": floorless}
    found = {
        key: test.model_copy(update={"p_value": values[key], "log10_p": -5.0})
        for key, test in tests.hypotheses.items()
    }
    own = nested.parameters | {
        "gamma": nested.parameters["gamma"].model_copy(update={"value": gamma})
    }
    hoffmann, kaplan = _verdicts(
        nested.model_copy(update={"parameters": own}),
        tests.model_copy(update={"hypotheses": found}),
        misfit,
    )
    return hoffmann, kaplan


def test_each_paper_is_told_what_it_had_right(rendered: Rendered) -> None:
    hoffmann, kaplan = verdicts(rendered, adds=0.4, whole=1e-9, floorless=1e-9)
    assert "had the form right" in hoffmann
    assert "nor the floor" in hoffmann
    assert "these runs reject their" in kaplan
    hoffmann, kaplan = verdicts(rendered, adds=1e-9, whole=1e-9, floorless=1e-9)
    assert "had a floor right" in hoffmann
    assert "these runs reject" in hoffmann
    assert "had right that size and data interact" in kaplan
    assert "as it stands is rejected" in kaplan
    hoffmann, kaplan = verdicts(rendered, adds=1e-9, whole=0.3, floorless=0.4)
    assert "show no floor" in hoffmann
    assert "do not reject their" in kaplan
    # one law, two tests: each p-value names its own
    for adds, whole in ((0.4, 1e-9), (1e-9, 1e-9), (1e-9, 0.3)):
        told = verdicts(rendered, adds=adds, whole=whole, floorless=0.4)
        assert all("likelihood ratio, *p*" in sentence for sentence in told)
    # a form that is not rejected is not right where the law misses the runs
    misfit = "misses these runs (lack of fit, *p* = 6e-7)"
    hoffmann, _ = verdicts(rendered, adds=0.4, whole=1e-9, floorless=1e-9, misfit=misfit)
    assert "right" not in hoffmann
    assert (
        f"their law {misfit}, so it is not exact, though the runs do not reject terms" in hoffmann
    )
    # gamma above one is no interaction of Kaplan's kind
    _, kaplan = verdicts(rendered, adds=1e-9, whole=1e-9, floorless=1e-9, gamma=1.6)
    assert "interact:" not in kaplan


def test_every_test_that_rejects_says_at_what_p(rendered: Rendered) -> None:
    """Three tests, three levels; one was printed nowhere."""
    words = " ".join(" ".join(rendered.page.words).split())
    assert "By likelihood ratio a special case is called rejected at p < 0.01." in words
    assert "by it the runs reject a form at p < 0.001" in words
    assert "At a significance of 5 %" in words


@pytest.mark.parametrize(
    ("floor", "words", "beside"),
    [
        (1.69, "with a floor *E* of 1.69 nats per token", "token, where Kaplan’s has none."),
        (0.001, "without a floor (*E* = 0)", "(*E* = 0), as Kaplan’s."),
    ],
)
def test_a_floor_of_nothing_is_none(
    rendered: Rendered, floor: float, words: str, beside: str
) -> None:
    nested = rendered.inputs.laws["nested"]
    assert isinstance(nested, Estimate)
    own = nested.parameters | {"E": nested.parameters["E"].model_copy(update={"value": floor})}
    other = nested.model_copy(update={"parameters": own})
    inputs = replace(rendered.inputs, laws={**rendered.inputs.laws, "nested": other})
    facts = law_facts(inputs)
    assert facts is not None
    assert facts.floor == words
    assert findings(inputs)["laws"].endswith(f"{beside}**")


def test_what_rests_on_priors_says_so_where_it_stands(rendered: Rendered) -> None:
    """Beside gamma, below the table of laws and below the specification curve."""
    plain = law_facts(rendered.inputs)
    assert plain is not None
    assert plain.priors == analysis(rendered.inputs).priors == ""
    laws = dict(rendered.inputs.laws)
    for law, exponent in (("nested", "gamma"), ("root", "alpha")):
        estimate = laws[law]
        assert isinstance(estimate, Estimate)
        known = type(getattr(estimate.settings, law)).model_validate(
            {f"{exponent}_prior": {"median": 0.5, "sd": 0.3}}
        )
        settings = estimate.settings.model_copy(update={law: known})
        laws[law] = estimate.model_copy(update={"settings": settings})
    inputs = replace(rendered.inputs, laws=laws)
    facts = law_facts(inputs)
    assert facts is not None
    assert "priors of gamma (median 0.5, sd 0.3 of its log)" in facts.priors
    named = [
        f"{IN_PROSE['nested']} (of gamma (median 0.5, sd 0.3 of its log))",
        f"{IN_PROSE['root']} (of alpha (median 0.5, sd 0.3 of its log))",
    ]
    for words in (facts.table.notes[-1], analysis(inputs).priors):
        assert all(name in words for name in named)
    text = " ".join(write_document(inputs).markdown.split())
    assert facts.priors in text
    assert "Every specification that is fitted by likelihood has the priors" in text
    assert "priors" not in " ".join(write_document(rendered.inputs).markdown.split())


def test_the_section_shows_every_law_with_its_weight(rendered: Rendered) -> None:
    facts = law_facts(rendered.inputs)
    assert facts is not None
    mixture = rendered.inputs.mixture
    assert isinstance(mixture, Mixture)
    assert [row[0] for row in facts.table.rows] == [NAMES[law] for law in LAWS]
    weights = {row[0]: row[-1] for row in facts.table.data}
    assert weights == {member.approach: member.weight for member in mixture.members}
    assert [row[0] for row in facts.tests.data] == ["hoffmann", "kaplan_law", "no_floor"]
    assert facts.doubt  # no law but approach 3 has a forecast in the made-up sweep
    assert "What each paper had right" in rendered.html
    assert "Take the losses with care." in rendered.html


def mixture_of(rendered: Rendered) -> Mixture:
    mixture = rendered.inputs.mixture
    assert isinstance(mixture, Mixture)
    return mixture


def answer_tables(rendered: Rendered) -> list[tuple[Table, list[dict[str, Value]]]]:
    """Give the first section's tables, of the headline's budget and of all, and their data."""
    screen = first_screen(rendered.inputs)
    assert screen.standing is not None
    assert screen.budgets is not None
    return [
        (table, [dict(zip(table.data_columns, row, strict=True)) for row in table.data])
        for table in (screen.standing, screen.budgets)
    ]


def test_the_mixture_stands_among_the_answers(rendered: Rendered) -> None:
    inputs, mixture = rendered.inputs, mixture_of(rendered)
    for table, data in answer_tables(rendered):
        mine = [row for row in data if row["law"] == "mixture"]
        budgets = [float(str(row["flops"])) for row in mine]
        assert budgets == sorted({float(str(row["flops"])) for row in data})
        for row, optimum in zip(
            mine, optima_of_mixture(mixture, inputs.mixture_draws, budgets), strict=True
        ):
            assert row["params"] == optimum.params.value
            assert row["tokens_hi95"] == optimum.tokens.intervals["0.95"][1]
        assert table.rows[0][0] == f"**{MIXTURE.label}**"  # recommended


def test_every_law_has_its_row(rendered: Rendered) -> None:
    inputs, mixture = rendered.inputs, mixture_of(rendered)
    for _, data in answer_tables(rendered):
        for member in mixture.members:
            law = inputs.laws[member.approach]
            assert isinstance(law, Estimate)
            mine = [row for row in data if row["law"] == member.approach]
            budgets = [float(str(row["flops"])) for row in mine]
            assert budgets == sorted({float(str(row["flops"])) for row in data})
            optima = optima_at(law, inputs.law_draws[member.approach], budgets)
            for row, optimum in zip(mine, optima, strict=True):
                assert row["params"] == optimum.params.value
                assert row["params_hi95"] == optimum.params.intervals.get("0.95", (0, None))[1]
                assert optimum.loss is not None
                assert row["loss_nats_per_token"] == optimum.loss.value
                assert (row["weight"], row["left_out"]) == (member.weight, member.left_out)
        # what is no law of the set has no weight
        others = [row for row in data if row["law"] not in inputs.laws]
        assert {row["weight"] for row in others} == {None}
    shown = [
        [line.strip() for line in row[0].split("\n")] for row in rendered.page.tables["tbl-answer"]
    ]
    for member in mixture.members:
        (row,) = [row for row in shown if row[0] == ANSWERS[member.approach].label]
        share = f"weight {percent(member.weight)}"
        rejected = member.misfit_p is not None and member.misfit_p < REJECTED
        law = inputs.laws[member.approach]
        inexact = isinstance(law, Estimate) and misses(law.diagnostics)
        share += ", not exact" if inexact else ""
        assert row[-1] == (share if member.weight or not rejected else "rejected by the runs")
    # laws that are no approach stand below the approaches and above the papers
    names = [row[0] for row in shown]
    first = min(names.index(ANSWERS[law].label) for law in LAWS if law not in APPROACHES)
    last = max(names.index(NAMES[approach]) for approach in inputs.fitted)
    assert last < first < names.index("Hoffmann 2022")


def test_a_sweep_without_laws_says_why(refused: Rendered) -> None:
    assert law_facts(refused.inputs) is None
    assert "Nested needs 7 points" in refused.html


@pytest.mark.parametrize("key", ["laws", "nesting-tests"])
def test_tables_are_files_too(rendered: Rendered, key: str) -> None:
    assert (rendered.root / "tables" / f"{key}.csv").exists()


def test_every_law_stands_under_both_countings(rendered: Rendered) -> None:
    rows = rendered.page.tables["tbl-law-countings"][1:]
    assert [row[6] != "—" for row in rows[:6]] == [True, True, False, False, True, False]
    laws = ["3 Parametric", "No floor", *(NAMES[key] for key in ("nested", "root"))]
    laws += [NAMES[key] for key in ("kaplan_law", "product")]
    assert [row[0] for row in rows] == laws * 2
    nested = rendered.inputs.laws["nested"]
    assert isinstance(nested, Estimate)
    fit = expect(nested.diagnostics, InteractionDiagnostics)
    own, other = fit.countings
    shown = [row for row in rows if row[0] == NAMES["nested"]]
    for row, counted in zip(shown, (own, other), strict=True):
        assert counted.parameters is not None
        assert counted.a is not None
        assert row[3:6] == [
            fixed(counted.parameters["E"], 2),
            fixed(counted.parameters["gamma"], 2),
            fixed(counted.a),
        ]
    special = [row for row in rows if row[0] in laws[:2]]
    for row, test in zip(
        special,
        [
            tests[key]
            for tests in (fit.nesting_tests.hypotheses, other.hypotheses)
            for key in ("hoffmann", "no_floor")
        ],
        strict=True,
    ):
        assert row[5] == fixed(test.a)
        assert row[2] == percent(test.rms, 2)


@pytest.mark.parametrize(
    ("here", "there", "sentence"),
    [
        (1e-9, 1e-5, "That terms do not add is no effect of counting: "),
        (1e-9, 0.3, "That hangs on counting: "),
        (0.3, 1e-5, "That hangs on counting: "),
        (0.3, 0.3, "Nor does counting change that: "),
    ],
)
def test_the_text_says_whether_counting_is_the_cause(
    rendered: Rendered, here: float, there: float, sentence: str
) -> None:
    nested = rendered.inputs.laws["nested"]
    assert isinstance(nested, Estimate)
    fit = expect(nested.diagnostics, InteractionDiagnostics)

    def told(hypotheses: dict[str, NestingTest], p_value: float) -> dict[str, NestingTest]:
        return hypotheses | {
            "hoffmann": hypotheses["hoffmann"].model_copy(
                update={"p_value": p_value, "log10_p": math.log10(p_value)}
            )
        }

    tests = fit.nesting_tests
    own, other = fit.countings
    changed = fit.model_copy(
        update={
            "nesting_tests": tests.model_copy(update={"hypotheses": told(tests.hypotheses, here)}),
            "countings": [
                own,
                other.model_copy(update={"hypotheses": told(other.hypotheses, there)}),
            ],
        }
    )
    estimate = nested.model_copy(update={"diagnostics": changed})
    inputs = replace(rendered.inputs, laws={**rendered.inputs.laws, "nested": estimate})
    (text,) = counting_sentences(inputs)
    assert text.startswith(sentence)
    assert ("not rejected" in text) == (there > 0.01)
    refused = other.model_copy(update={"parameters": None, "refused": "no counts here"})
    lacking = fit.model_copy(update={"countings": [own, refused]})
    estimate = nested.model_copy(update={"diagnostics": lacking})
    inputs = replace(rendered.inputs, laws={**rendered.inputs.laws, "nested": estimate})
    assert counting_sentences(inputs)[0].endswith("no law was fitted: no counts here")


def test_a_law_that_could_not_be_fitted_is_missed_beside_the_answer(rendered: Rendered) -> None:
    inputs = rendered.inputs
    mixture = inputs.mixture
    assert isinstance(mixture, Mixture)
    assert mixture.absent == ""
    *mixed, missing = mixture.members
    half = [member.model_copy(update={"weight": 0.5}) for member in mixed[:2]]
    none = missing.model_copy(update={"law": None, "weight": 0.0})
    both = mixture.model_copy(update={"members": half})
    without = mixture.model_copy(update={"members": [*half, none]})
    sentence = f"These runs do not determine {IN_PROSE[missing.approach]}: "
    assert without.absent.startswith(sentence)
    reasons = [
        _reason(Recommendation(MIXTURE.key, answer, "mixture"), inputs)
        for answer in (both, without)
    ]
    assert ["These runs do not determine" in reason for reason in reasons] == [False, True]


def test_cautions_and_influence_of_the_mixed_laws_are_told(rendered: Rendered) -> None:
    inputs = rendered.inputs
    mixture = inputs.mixture
    assert isinstance(mixture, Mixture)
    mixed = {member.approach for member in mixture.mixed} - set(inputs.estimates)
    assert mixed
    assert set(inputs.leaned_on) == set(inputs.fitted) | mixed
    text = " ".join(" ".join(rendered.page.words).split())
    for approach in mixed:
        assert f"{NAMES[approach]} ({inputs.leaned_on[approach].n_runs}" in text.replace(
            "\xa0", " "
        )
    told = influence_table(inputs)
    assert told is not None
    assert mixed <= {row[0] for row in told.data}


def test_two_fits_of_kaplans_law_are_told_apart(rendered: Rendered) -> None:
    inputs = rendered.inputs
    facts = law_facts(inputs)
    assert facts is not None
    (note,) = facts.table.notes
    assert "by least squares" in note
    others = {name: e for name, e in inputs.estimates.items() if name != "kaplan"}
    alone = law_facts(replace(inputs, estimates=others))
    assert alone is not None
    assert list(alone.table.notes) == []
