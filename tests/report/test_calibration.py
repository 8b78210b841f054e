"""What the report says of how often its intervals cover."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from isoflop.approach import IN_PROSE
from isoflop.estimates.estimate import Estimate, Uncalibrated
from isoflop.estimates.levels import Tail, Tails
from isoflop.estimates.mixture import Mixture, PlacedLevels
from isoflop.estimates.recommendation import standing
from isoflop.report.document import write_document
from isoflop.report.sections.calibration import calibration

if TYPE_CHECKING:
    from isoflop.estimates.levels import Levels
    from isoflop.report.inputs import ReportInputs
    from tests.example_sweep import Rendered


@pytest.fixture(scope="module")
def inputs(rendered: Rendered) -> ReportInputs:
    return rendered.inputs


def mixture_of(inputs: ReportInputs) -> Mixture:
    assert isinstance(inputs.mixture, Mixture)
    return inputs.mixture


def lowered(inputs: ReportInputs, share: float) -> ReportInputs:
    """Let the last law's loss two decades on be covered in another share of the sweeps."""
    mixture = mixture_of(inputs)
    *others, last = mixture.checks
    *covered, far = last.covered
    far = far.model_copy(update={"shares": {"0.8": share, "0.95": 0.97}})
    checks = [*others, last.model_copy(update={"covered": [*covered, far]})]
    return replace(inputs, mixture=mixture.model_copy(update={"checks": checks}))


def test_the_mixture_is_told_with_its_laws_and_its_worst(inputs: ReportInputs) -> None:
    facts = calibration(inputs)
    mixture = mixture_of(inputs)
    worst, check, covered = mixture.worst(0.8)
    assert (check.truth, covered.quantity) == (mixture.mixed[-1].approach, "loss_opt")
    assert "put to 100\N{NO-BREAK SPACE}sweeps simulated from each of its laws" in facts.mixture
    assert f"covers the truth in {100 * worst:.0f}\N{NO-BREAK SPACE}% to 86" in facts.mixture
    assert "2\N{NO-BREAK SPACE}decades beyond" in facts.mixture
    assert "So it covers whichever of these laws is true" in facts.mixture
    assert facts.mixture_table is not None
    assert len(facts.mixture_table.rows) == len(mixture.mixed)
    assert len(facts.mixture_table.data) == 7 * len(mixture.mixed)


@pytest.mark.parametrize(("share", "covers"), [(0.70, True), (0.68, False), (0.0, False)])
def test_one_law_that_is_not_covered_is_enough(
    inputs: ReportInputs, share: float, covers: bool
) -> None:
    """Of 100 sweeps: .80 less the slack of .03 and two standard errors of .04 is .69."""
    other = lowered(inputs, share)
    mixture = mixture_of(other)
    assert mixture.covers is covers
    assert standing(mixture, other.forecasts).covers is covers
    told = calibration(other).mixture
    assert ("**So it undercovers" in told) is not covers
    # below the level, and not by so much that chance is ruled out
    assert ("At 80\N{NO-BREAK SPACE}% it is somewhat too narrow" in told) is covers


def test_an_unchecked_mixture_says_why(inputs: ReportInputs) -> None:
    update = {"checks": [], "unchecked": "`x` <b> asks for none"}
    unchecked = replace(inputs, mixture=mixture_of(inputs).model_copy(update=update))
    assert mixture_of(unchecked).covers is None
    facts = calibration(unchecked)
    assert "The mixture was not checked" in facts.mixture
    assert "<b>" not in facts.mixture
    assert facts.mixture_table is None


def test_a_reason_that_approaches_share_is_said_once(inputs: ReportInputs) -> None:
    """Four sentences that differed in a name stood on the page of a quick build."""
    none = Uncalibrated(reason="nobody asked")
    estimates = {
        name: estimate.model_copy(
            update={"calibration": none, "a": estimate.a.model_copy(update={"simulated": []})}
        )
        for name, estimate in inputs.fitted.items()
    }
    (said,) = calibration(replace(inputs, estimates=estimates)).unchecked
    assert said.endswith(" were not checked: nobody asked.")
    assert all(IN_PROSE[name] in said for name in estimates)


def placing(inputs: ReportInputs) -> ReportInputs:
    """Place the mixture's ends for a and for the losses."""
    tail = Tail(share=0.06, error=0.02, truth="nested")
    tails = Tails(below=tail, above=tail.model_copy(update={"share": 0.08}))
    levels: Levels = {"0.8": tails, "0.95": tails}
    entries = [
        PlacedLevels(quantity="a", decades_beyond=None, levels=levels),
        *(
            PlacedLevels(quantity="loss_opt", decades_beyond=decades, levels=levels)
            for decades in (0.0, 1.0, 2.0)
        ),
    ]
    return replace(inputs, mixture=mixture_of(inputs).model_copy(update={"placed": entries}))


def without_loss(law: Estimate) -> Estimate:
    optima = [
        optimum.model_copy(
            update={"loss": optimum.loss and optimum.loss.model_copy(update={"intervals": {}})}
        )
        for optimum in law.optima
    ]
    return law.model_copy(update={"optima": optima})


def test_an_interval_that_none_of_the_laws_has_is_explained(inputs: ReportInputs) -> None:
    inputs = placing(inputs)
    assert "none of its laws has one by itself" not in calibration(inputs).mixture
    names = [member.approach for member in mixture_of(inputs).mixed]
    laws = {**inputs.laws}
    for name in names:
        law = laws[name]
        assert isinstance(law, Estimate)
        laws[name] = without_loss(law)
    told = calibration(replace(inputs, laws=laws)).mixture.replace("\N{NO-BREAK SPACE}", " ")
    assert "*L*\\* 2 decades beyond (95 %)" in told
    assert "none of its laws has one by itself" in told
    # one of them that has an interval is enough
    laws[names[0]] = inputs.laws[names[0]]
    assert "none of its laws" not in calibration(replace(inputs, laws=laws)).mixture


def test_what_approaches_cover_stands_in_the_appendix_where_a_mixture_answers(
    inputs: ReportInputs,
) -> None:
    """The body is about the answer; without a mixture it is one of them."""
    alone = replace(
        inputs, mixture=mixture_of(inputs).model_copy(update={"checks": [], "members": []})
    )
    assert calibration(alone).mixture_table is None
    for given, in_body in ((inputs, False), (alone, True)):
        facts = calibration(given)
        assert facts.covered
        body, appendix = write_document(given).markdown.split("# Appendix {#appendix}")
        for sentence in facts.covered:
            assert (body.count(sentence), appendix.count(sentence)) == (in_body, not in_body)
        assert "(#coverage-tables)" in body


def test_the_ends_of_the_mixture_stand_among_the_levels(inputs: ReportInputs) -> None:
    inputs = placing(inputs)
    mixture, facts = mixture_of(inputs), calibration(inputs)
    assert facts.levels is not None
    rows = {row[1]: row for row in facts.levels.data if row[0] == "mixture"}
    assert len(rows) == len(mixture.placed) > 0
    of_a = next(entry for entry in mixture.placed if entry.decades_beyond is None)
    tails = of_a.levels["0.8"]
    assert isinstance(tails, Tails)
    assert rows["a"][2:6] == [*tails.shares, tails.level, tails.error]
    assert rows["a"][2:5] == pytest.approx([0.06, 0.92, 0.86])
    assert any(row[0].startswith("**Mixture") for row in facts.levels.rows)
