"""What the first screen says of the exponent, by where its interval lies."""

from __future__ import annotations

import re
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING

import polars as pl
import pytest

from isoflop.approach import ANSWERS, IN_PROSE, LAWS
from isoflop.estimates.allocation import determined_at, determines
from isoflop.estimates.answers import ask
from isoflop.estimates.diagnostics import ProfilesDiagnostics, expect, form_tests
from isoflop.estimates.estimate import Calibration, Estimate, Refusal
from isoflop.estimates.forecasts import Forecasts
from isoflop.estimates.levels import NoLevel, Tails
from isoflop.estimates.mixture import (
    CoveredShare,
    Mixture,
    MixtureCheck,
    NoMixture,
    PlacedLevels,
)
from isoflop.estimates.quantities import Quantity
from isoflop.estimates.recommendation import Standing
from isoflop.estimates.targets import Target
from isoflop.numbers import NONE, fixed
from isoflop.report.document import write_document
from isoflop.report.sections.calibration import calibration
from isoflop.report.sections.captions import findings
from isoflop.report.sections.data import data_facts
from isoflop.report.sections.diagnostics import misfit_words, profiles_along
from isoflop.report.sections.first_screen import _of_minima, _with_interval, first_screen
from isoflop.report.sections.laws import law_facts
from tests import example_sweep
from tests.report.conftest import empty_figures

if TYPE_CHECKING:
    from collections.abc import Mapping

    from isoflop.approach import Approach
    from isoflop.config.report import ReportSettings
    from isoflop.estimates.forecasts import Score
    from isoflop.report.inputs import ReportInputs
    from tests.report.conftest import Rendered


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> ReportInputs:
    root = tmp_path_factory.mktemp("inputs")
    empty_figures(root)
    return example_sweep.write(root).report_inputs(root)


@pytest.mark.parametrize(
    ("ends", "opening"),
    [
        ((0.45, 0.55), "The interval contains equal growth of size and data"),
        ((0.42, 0.49), "Data grow somewhat faster than size"),
        ((0.40, 0.45), "Data grow faster than size"),
        ((0.60, 0.80), "Size grows faster than data"),
        ((0.40, 0.80), "These runs do not decide"),
    ],
)
def test_the_subtitle_says_which_grows_faster(
    inputs: ReportInputs, ends: tuple[float, float], opening: str
) -> None:
    assert inputs.recommended is not None
    answer = inputs.recommended.answer
    a = answer.a.model_copy(
        update={"value": sum(ends) / 2, "intervals": {"0.8": ends, "0.95": ends}}
    )
    estimates = {
        name: estimate.model_copy(update={"a": a}) if estimate is answer else estimate
        for name, estimate in inputs.estimates.items()
    }
    mixture = (
        inputs.mixture.model_copy(update={"a": a}) if inputs.mixture is answer else inputs.mixture
    )
    changed = replace(inputs, estimates=estimates, mixture=mixture)
    assert first_screen(changed).subtitle.startswith(opening)


PAPERS = [
    ((0.45, 0.55), "contains Hoffmann’s equal scaling (0.5) and excludes Kaplan’s 0.73."),
    ((0.60, 0.80), "contains Kaplan’s 0.73 and excludes equal scaling (0.5)."),
    ((0.45, 0.80), "contains both equal scaling (0.5) and Kaplan’s 0.73: it cannot tell"),
    ((0.60, 0.65), "excludes both equal scaling (0.5) and Kaplan’s 0.73."),
]


@pytest.mark.parametrize(("ends", "said"), PAPERS)
def test_an_interval_contains_a_papers_exponent_or_excludes_it(
    inputs: ReportInputs, ends: tuple[float, float], said: str
) -> None:
    estimates = {}
    for name, estimate in inputs.fitted.items():
        given = {"value": sum(ends) / 2, "intervals": {"0.8": ends, "0.95": ends}}
        a = estimate.a.model_copy(update=given)
        estimates[name] = estimate.model_copy(update={"a": a})
    changed = replace(inputs, estimates=inputs.estimates | estimates)
    words = " ".join(write_document(changed).markdown.split())
    found = {sentence: words.count(f"an interval that {sentence}") for _, sentence in PAPERS}
    told = found.pop(said)
    assert told > 2
    assert set(found.values()) == {0}


def test_the_number_of_runs_at_the_budgets_is_told_where_not_all_are(inputs: ReportInputs) -> None:
    planned = inputs.fit_runs().height
    assert data_facts(inputs).planned.startswith("planned at ")
    first = inputs.fit_runs()["run"][0]
    budget = pl.when(pl.col("run") == first).then(None).otherwise("budget")
    trunk = replace(inputs, runs=inputs.runs.with_columns(budget=budget))
    assert data_facts(trunk).planned.startswith(f"{planned - 1} of them planned at ")


def test_a_choice_that_moves_the_other_way_is_no_share(inputs: ReportInputs) -> None:
    of_kaplan = (pl.col("params") == "nonembedding") & (pl.col("flops") == "kaplan")
    moved = pl.when(of_kaplan).then(pl.col("a") - 1.0).otherwise("a")
    fewer = replace(inputs, specifications=inputs.specifications.with_columns(a=moved))
    away = re.compile(r"counting without embeddings makes −[0-9.]+ \(the other way\)")
    assert away.search(first_screen(fewer).apart)
    assert re.search(r"embeddings makes \+[0-9.]+ \([0-9]+\s%\)", first_screen(inputs).apart)


def test_an_answer_with_priors_says_so(inputs: ReportInputs) -> None:
    assert "Priors" not in first_screen(inputs).reason
    assert isinstance(inputs.mixture, Mixture)
    (name, *_) = [member.approach for member in inputs.mixture.mixed]
    law = inputs.leaned_on[name]
    known = type(getattr(law.settings, name)).model_validate(
        {"alpha_prior": {"median": 0.28, "sd": 0.18}}
    )
    settings = law.settings.model_copy(update={name: known})
    changed = law.model_copy(update={"settings": settings})
    of_laws = replace(
        inputs,
        estimates={key: changed if key == name else one for key, one in inputs.estimates.items()},
        laws={key: changed if key == name else one for key, one in inputs.laws.items()},
    )
    assert f"Priors of exponents take part in {IN_PROSE[name]}" in first_screen(of_laws).reason


def test_a_loss_that_no_law_predicts_is_said_to_be_none() -> None:
    assert "not predicted" in _with_interval(None, fixed, large=True)
    assert _with_interval(None, fixed) == NONE


def test_sizes_are_compared_where_n_is_counted_alike(inputs: ReportInputs) -> None:
    """A size without embeddings beside total ones would differ by the counting alone."""
    kaplan = inputs.fitted["kaplan"]
    assert kaplan.counting.params == "nonembedding"
    told = findings(inputs)["predictions"]
    assert told.startswith("**The optimal sizes of the approaches that count total *N* differ ")
    without: dict[Approach, Estimate | Refusal] = dict(inputs.estimates)
    without["kaplan"] = Refusal.model_construct(refused="No curves.")
    alone = findings(replace(inputs, estimates=without))["predictions"]
    assert alone.startswith("**The approaches’ optimal sizes differ ")
    assert told.split(" differ ")[1] == alone.split(" differ ")[1]


def test_one_interval_is_spoken_of_in_the_singular(inputs: ReportInputs) -> None:
    estimates = dict(inputs.estimates)
    refusal = Refusal.model_construct(refused="No curves.")
    for name in ("envelope", "profiles", "kaplan"):
        estimates[name] = refusal  # type: ignore[index]
    told = findings(replace(inputs, estimates=estimates))["exponents"]
    assert told.startswith("**The 95 % interval for *a* by Approach 3 (parametric loss) ")
    assert "equal scaling, and " in told


def test_dots_are_spoken_of_where_the_figure_has_some(rendered: Rendered, bare: Rendered) -> None:
    dots = "Dots: measured minima of the IsoFLOP profiles."
    assert dots in rendered.html
    assert dots not in bare.html


def test_the_subtitle_says_why_the_exponent_has_no_interval(inputs: ReportInputs) -> None:
    """Where only the 95 % level was withheld, the report said that there were no draws."""
    mixture = inputs.mixture
    assert isinstance(mixture, Mixture)
    none = NoLevel(side="below", truth="parametric", share=0.2)
    withheld = {
        "intervals": {"0.8": mixture.a.intervals["0.8"]},
        "levels": {**mixture.a.levels, "0.95": none},
    }
    for changed, words in (
        (withheld, "no interval of 95 % covers it in simulated sweeps, so none is given"),
        ({"intervals": {}, "levels": {}}, "is unknown: no runs were resampled"),
    ):
        a = mixture.a.model_copy(update=changed)
        told = replace(inputs, mixture=mixture.model_copy(update={"a": a}))
        screen = first_screen(told)
        assert words in screen.subtitle.replace("\xa0", " ")


def _with_lack_of_fit(
    inputs: ReportInputs, p_values: Mapping[Approach, float]
) -> dict[Approach, Estimate]:
    """Give every law of the loss that p-value of its lack of fit, .5 unless told, none rejected."""
    changed = {}
    for name, estimate in (inputs.fitted | inputs.laws).items():
        if isinstance(estimate, Estimate) and form_tests(estimate.diagnostics) is not None:
            pure = example_sweep.PURE_ERROR.model_copy(update={"p_value": p_values.get(name, 0.5)})
            found = form_tests(estimate.diagnostics)
            assert found is not None
            joint = found.joint.model_copy(update={"p_value": 0.2})
            tests = found.model_copy(update={"joint": joint})
            fit = estimate.diagnostics.model_copy(update={"pure_error": pure, "misfit": tests})
            changed[name] = estimate.model_copy(update={"diagnostics": fit})
    return changed


@pytest.mark.parametrize(
    ("missing", "opening"),
    [
        ((), ""),
        (("nested",), "Though its form is not rejected, the nested law misses these runs by more "),
        (LAWS, "Every law of the loss misses these runs by more than runs of one size and token "),
    ],
)
def test_what_replicates_say_of_the_laws_is_said_in_the_answer(
    inputs: ReportInputs, missing: tuple[Approach, ...], opening: str
) -> None:
    laws = _with_lack_of_fit(inputs, dict.fromkeys(missing, 8e-7))
    changed = replace(
        inputs,
        estimates={**inputs.estimates, **{k: v for k, v in laws.items() if k in inputs.estimates}},
        laws={**inputs.laws, **{k: v for k, v in laws.items() if k in inputs.laws}},
    )
    screen = first_screen(changed)
    assert screen.rejected.startswith(opening)
    assert bool(screen.rejected) == bool(opening)
    assert ("(lack of fit, *p* " in screen.rejected) == bool(opening)
    # the figure and the section of the laws say no other thing
    misfit = misfit_words(changed.laws["parametric"])  # type: ignore[arg-type]
    assert bool(misfit) == ("parametric" in missing)
    caption = findings(changed)["parametric_fit"]
    assert misfit in caption
    assert ("lack of fit" in caption) == bool(misfit)
    facts = law_facts(changed)
    assert facts is not None
    (hoffmann,) = [words for words in facts.verdicts if "Hoffmann" in words]
    if "simply add" in hoffmann:
        assert ("had the form right" in hoffmann) == (not misfit)
        assert misfit in hoffmann
    # the table says no other thing
    assert screen.standing is not None
    names = [row[0] for row in screen.standing.rows if "weight" in row[0]]
    assert sum(", not exact" in name for name in names) == len(missing)
    assert any("Not exact: " in note for note in screen.standing.notes) == bool(missing)
    # nor does the command
    answers = ask(
        Target("flops", 1e14),
        sweep="s",
        outcomes=laws,
        draws=inputs.law_draws,
        forecasts=inputs.forecasts,
        mixture=inputs.mixture,
        mixture_draws=inputs.mixture_draws,
    )
    assert answers.not_exact.startswith(opening)
    assert ("(lack of fit, p " in str(answers)) == bool(opening)
    assert {a.law for a in answers.laws if a.misses} == set(missing)


def _with_forms_of(
    outcomes: Mapping[Approach, Estimate | Refusal], p_value: float
) -> dict[Approach, Estimate | Refusal]:
    """Give every law that p-value of the test of its form, those of simulated sweeps among them."""
    changed = {**outcomes}
    for name, estimate in outcomes.items():
        if not isinstance(estimate, Estimate):
            continue
        update: dict[str, object] = {}
        if (found := form_tests(estimate.diagnostics)) is not None:
            joint = found.joint.model_copy(update={"p_value": p_value})
            tests = found.model_copy(update={"joint": joint})
            update["diagnostics"] = estimate.diagnostics.model_copy(update={"misfit": tests})
        if isinstance(estimate.calibration, Calibration):
            truths = [
                truth.model_copy(update={"misfit_p": p_value})
                for truth in estimate.calibration.truths
            ]
            update["calibration"] = estimate.calibration.model_copy(update={"truths": truths})
        changed[name] = estimate.model_copy(update=update)
    return changed


def _with_forecasts(forecasts: Forecasts, *, failed: bool) -> Forecasts:
    """Let every forecast fail, or pass."""

    def judged(score: Score) -> Score:
        inside = dict.fromkeys(score.inside, 0.0 if failed else 1.0)
        least = dict.fromkeys(score.inside, 0.5)
        ends = dict.fromkeys(score.bias_intervals, (-1.0, 1.0))
        return score.model_copy(
            update={"inside": inside, "inside_least": least, "bias_intervals": ends}
        )

    cuts = []
    for cut in forecasts.cuts:
        scores = [judged(score) for score in cut.forecast("parametric").scores]
        laws = {name: cut.forecast("parametric") for name in LAWS}
        each = [
            forecast.model_copy(update={"approach": name, "scores": scores})
            for name, forecast in laws.items()
        ]
        mixed = cut.mixture
        if mixed is not None:
            mixed = mixed.model_copy(update={"score": judged(mixed.score)})
        cuts.append(cut.model_copy(update={"forecasts": each, "mixture": mixed}))
    return forecasts.model_copy(update={"cuts": cuts})


@pytest.mark.parametrize("rejected", [True, False])
@pytest.mark.parametrize("failed", [True, False])
def test_the_first_paragraph_says_that_no_law_holds(
    inputs: ReportInputs, *, rejected: bool, failed: bool
) -> None:
    """And what covers in sweeps of laws that the runs reject is called that."""
    p_value = 4e-6 if rejected else 0.3
    assert isinstance(inputs.mixture, Mixture)
    assert isinstance(inputs.forecasts, Forecasts)
    members = [m.model_copy(update={"misfit_p": p_value}) for m in inputs.mixture.members]
    changed = replace(
        inputs,
        estimates=_with_forms_of(inputs.estimates, p_value),
        laws=_with_forms_of(inputs.laws, p_value),
        mixture=inputs.mixture.model_copy(update={"members": members}),
        forecasts=_with_forecasts(inputs.forecasts, failed=failed),
    )
    opening = ""
    if rejected:
        opening = f"These runs reject the form of each of the {len(LAWS)} laws of the loss that"
    elif failed:
        opening = "Every forecast by the laws that are mixed failed: "
    screen = first_screen(changed)
    assert screen.against.startswith(opening)
    assert bool(screen.against) == bool(opening)
    assert ("(score test, *p* ≤ 4.0" in screen.against) == rejected
    assert ("and every forecast by those that take part failed" in screen.against) == (
        rejected and failed
    )
    # said once, and in the paragraph that has the numbers
    assert "what they say of a budget beyond the data" not in screen.rejected
    words = " ".join(write_document(changed).markdown.split())
    if opening:
        assert words.count(f"**{opening}") == 1
        assert words.index(f"**{opening}") < words.index("Covers: share of simulated sweeps")
    # each share of sweeps says of what laws these are
    assert screen.standing is not None
    shares = [row[4] for row in screen.standing.rows if row[4].startswith(("yes", "no,"))]
    assert shares
    assert all((" (rejected)" in share) == rejected for share in shares)
    assert any("(rejected): those sweeps" in note for note in screen.standing.notes) == rejected
    column = screen.standing.data_columns.index("against_all")
    (written,) = {row[column] for row in screen.standing.data if row[2] == "sweep"}
    told = calibration(changed)
    assert all(("These runs reject the form" in each) == rejected for each in told.covered)
    # the command says it too
    outcomes = {**changed.estimates, **changed.laws}
    answers = ask(
        Target("flops", 1e14),
        sweep="s",
        outcomes=outcomes,
        draws={**inputs.draws, **inputs.law_draws},
        forecasts=changed.forecasts,
        mixture=changed.mixture,
        mixture_draws=inputs.mixture_draws,
    )
    first, _, rest = str(answers).partition("\n\n")
    assert answers.against_all.startswith(opening)
    assert bool(answers.against_all) == bool(opening)
    assert answers.against_all in first
    assert written == (answers.against_all or None)
    assert ("yes (rejected)" in rest) == rejected
    assert ("(rejected): those sweeps" in rest) == rejected


def test_every_law_of_the_set_that_is_rejected_is_named(inputs: ReportInputs) -> None:
    """Kaplan's law of the loss among them, which is no approach."""
    law = inputs.laws["kaplan_law"]
    assert isinstance(law, Estimate)
    found = form_tests(law.diagnostics)
    assert found is not None
    joint = found.joint.model_copy(update={"p_value": 5e-26})
    fit = law.diagnostics.model_copy(update={"misfit": found.model_copy(update={"joint": joint})})
    changed = replace(
        inputs, laws={**inputs.laws, "kaplan_law": law.model_copy(update={"diagnostics": fit})}
    )
    assert f"{IN_PROSE['kaplan_law']} (score test, *p* = 5.0" in first_screen(changed).rejected


def test_both_axes_of_the_profiles_are_said_once_where_they_agree(inputs: ReportInputs) -> None:
    estimate = inputs.fitted["profiles"]
    fit = expect(estimate.diagnostics, ProfilesDiagnostics)
    assert "along *N* *a* = 0.480 and *b* = 0.520; along *D* *a* = 0.490" in profiles_along(
        estimate
    )
    alike = fit.model_copy(update={"along": dict.fromkeys(fit.along, fit.along["params"])})
    same = estimate.model_copy(update={"diagnostics": alike})
    words = "With all minima taken along *N*, or all along *D*, alike *a* = 0.480 and *b* = 0.520."
    assert profiles_along(same) == words


def test_the_headline_names_the_simulated_sweeps_that_placed_its_own_intervals(
    inputs: ReportInputs,
) -> None:
    mixture = inputs.mixture
    assert isinstance(mixture, Mixture)
    own = calibration(inputs).simulations
    # the made-up mixture was placed by none, and nothing is said of how often it covers
    assert calibration(inputs).headline == ""
    check = MixtureCheck(
        truth="nested", noise=0.01, simulations=123, refused=0,
        covered=[
            CoveredShare(quantity="a", decades_beyond=None, shares={"0.8": 0.8, "0.95": 0.95},
                         percentile_shares={"0.8": 0.8, "0.95": 0.95})
        ],
    )  # fmt: skip
    tail = {"share": 0.05, "error": 0.01, "truth": "nested"}
    tails = Tails.model_validate({"below": tail, "above": tail})
    levels = dict.fromkeys(("0.8", "0.95"), tails)
    placed = PlacedLevels(quantity="a", decades_beyond=None, levels=levels)
    of_several = mixture.model_copy(update={"checks": [check], "placed": [placed]})
    told = calibration(replace(inputs, mixture=of_several))
    assert told.headline.startswith("123\xa0simulated sweeps (those of each approach alone: in ")
    assert told.simulations == own
    # an approach that is recommended has its own
    alone = NoMixture(
        sweep="s", settings=mixture.settings, refused="no", provenance=mixture.provenance
    )
    assert calibration(replace(inputs, mixture=alone)).headline == own != ""


def test_a_forecast_of_one_minimum_is_said_to_fail_nothing() -> None:
    def standing_of(*numbers: int) -> dict[str, Standing]:
        scores = [
            SimpleNamespace(quantity=quantity, n=n)
            for n in numbers
            for quantity in ("params_opt", "loss")
        ]
        return {"parametric": Standing(True, True, tuple(scores), rejected=False)}  # type: ignore[arg-type]

    assert "judged by losses" in _of_minima(standing_of(1, 1))
    assert _of_minima(standing_of(1, 2)) == ""
    assert _of_minima({}) == ""


def test_a_column_of_coverage_explains_its_words(inputs: ReportInputs) -> None:
    screen = first_screen(inputs)
    assert screen.standing is not None
    cells = {cell for row in screen.standing.rows for cell in row}
    notes = " ".join(screen.standing.notes)
    for words, why in (("none does", "no width"), ("none given", "excludes the number itself")):
        assert (f"“{words}”: " in notes) == (words in cells) == (why in notes)
    assert "none does" in cells


def test_an_answer_that_is_open_within_the_data_stands_nowhere(inputs: ReportInputs) -> None:
    """Its 80 % interval may be narrow: the command refuses it by the one beside the number."""
    key, fit = next((k, e) for k, e in inputs.fitted.items() if k == "profiles")
    flops = fit.flops_range[1]
    (optimum,) = determined_at(fit, inputs.draws[key], flops)
    low, high = optimum.params.intervals["0.8"]
    wide = Quantity(
        value=optimum.params.value, intervals={"0.8": (low, high), "0.95": (low, 10.0 * high)}
    )
    assert not determines(optimum.decades_beyond_data, wide, optimum.tokens)
    assert determines(1.0, wide, optimum.tokens)
    without = {k: o for k, o in inputs.optima(flops).items() if k != key}
    changed = replace(inputs, _optima={flops: without}, settings=_asking(inputs, flops))
    assert changed.open_at(flops) == [key]
    screen = first_screen(changed)
    assert screen.standing is not None
    assert screen.budgets is not None
    told = f"Without {ANSWERS[key].label}: these runs do not determine it"
    for table in (screen.standing, screen.budgets):
        assert any(note.startswith(told) for note in table.notes)
        rows = [row for row in table.data if row[:2] == [flops, key]]
        assert rows == []
    assert first_screen(inputs).standing is not None
    assert not any("Without" in note for note in first_screen(inputs).standing.notes)  # type: ignore[union-attr]


def _asking(inputs: ReportInputs, flops: float) -> ReportSettings:
    return inputs.settings.model_copy(update={"budgets": [flops]})
