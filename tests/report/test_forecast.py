"""The report says of forecasts what their file says, and what a sweep lacks that has none."""

from __future__ import annotations

import csv
import math
import re
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from isoflop.approach import APPROACHES, NAMES
from isoflop.estimates.forecasts import Cut, Forecast, Forecasts
from isoflop.numbers import NONE, fixed
from isoflop.report.sections.forecast import forecast_facts
from tests.report.conftest import Rendered, render

if TYPE_CHECKING:
    from pathlib import Path


def words(rendered: Rendered) -> str:
    return " ".join(" ".join(rendered.page.words).split())


def test_errors_on_one_side_are_named(rendered: Rendered) -> None:
    said = words(rendered)
    assert "the predicted losses are too high , by 0.0500 nats per token on average" in said
    assert "11 of 11 predicted losses lie above what was measured. Its intervals undercover" in said
    assert "predicts losses too high by 0.0500 nats per token." in said
    assert "do not cover such an error of Approach 3 (parametric loss)." in said


def test_the_answer_names_the_approach_that_missed(rendered: Rendered) -> None:
    answer, _, _ = words(rendered).partition("How to read the intervals")
    assert "no, +0.050" in answer


def test_a_law_without_bias_is_said_to_have_none(rendered: Rendered) -> None:
    facts = forecast_facts(rendered.inputs)
    assert facts is not None
    kaplan = next(law for law in facts.laws if law.name.startswith("Kaplan"))
    assert kaplan.direction == ""
    assert kaplan.covers
    assert "the predicted losses are not off to one side: their mean error is 0.0000" in words(
        rendered
    )


@pytest.mark.parametrize(
    ("biases", "told"),
    [
        ((-0.02, -0.01), "are on average too low, but not at every cut by more than their"),
        ((0.02, 0.01), "are on average too high, but not at every cut by more than their"),
        ((-0.02,), "are on average too low, by no more than their intervals allow"),
        ((-0.02, 0.01), "are not off to one side: their mean error is −0.0200 and 0.0100"),
        ((-0.00001, -0.00002), "are not off to one side"),
    ],
)
def test_errors_within_their_intervals_are_told_with_their_side(
    biases: tuple[float, ...], told: str, rendered: Rendered
) -> None:
    """All below what was measured, and "not off to one side", would contradict each other."""
    ends = {"0.8": (-0.05, 0.05), "0.95": (-0.1, 0.1)}
    forecasts, cut, law = parametric_of(rendered)
    cuts = []
    for place, bias in enumerate(biases):
        score = law.scores[0].model_copy(update={"bias": bias, "bias_intervals": ends})
        forecast = law.model_copy(update={"scores": [score]})
        cuts.append(
            cut.model_copy(update={"flops": cut.flops * (1 + place), "forecasts": [forecast]})
        )
    changed = forecasts.model_copy(update={"cuts": cuts})
    facts = forecast_facts(replace(rendered.inputs, forecasts=changed))
    assert facts is not None
    (found,) = facts.laws
    assert f"the predicted losses {told}" in found.errors
    assert ("at the cuts of " in found.errors) is (len(biases) > 1)


def parametric_of(rendered: Rendered) -> tuple[Forecasts, Cut, Forecast]:
    """Give the forecasts, their first cut, and what approach 3 predicted above it."""
    forecasts = rendered.inputs.forecasts
    assert isinstance(forecasts, Forecasts)
    cut = forecasts.cuts[0]
    return forecasts, cut, next(f for f in cut.forecasts if f.approach == "parametric")


def test_one_prediction_is_told_of_in_the_singular(rendered: Rendered) -> None:
    """A sweep of one: each count with the noun and the verb that go with it."""
    forecasts = rendered.inputs.forecasts
    assert isinstance(forecasts, Forecasts)
    cut = forecasts.cuts[-1]
    single = [
        forecast.model_copy(
            update={
                "scores": [
                    score.model_copy(update={"n": 1, "predictions": score.predictions[:1]})
                    for score in forecast.scores
                ]
            }
        )
        for forecast in cut.forecasts
    ]
    one = forecasts.model_copy(update={"cuts": [cut.model_copy(update={"forecasts": single})]})
    facts = forecast_facts(replace(rendered.inputs, forecasts=one))
    assert facts is not None
    assert facts.laws
    assert facts.sizes
    for law in facts.laws:
        assert "the only predicted lo" in law.errors
        assert " lies " in law.errors
        assert law.few == "1 loss does"
    for size in facts.sizes:
        assert re.fullmatch(r"the minimum (lies|does not lie) in its 95\xa0% interval", size.inside)
    silent = cut.model_copy(update={"forecasts": []})
    alone = one.model_copy(update={"cuts": [silent]})
    assert str(alone) == "1 cut, no loss of a run predicted"


def test_no_count_of_one_has_a_plural(
    rendered: Rendered, bare: Rendered, refused: Rendered
) -> None:
    for report in (rendered, bare, refused):
        told = re.findall(r"(?<![\w.,–×−/-])1[ \xa0]([a-z-]+[^s\W]s)\b", words(report))
        assert [word for word in told if word not in {"was", "has", "lies", "contains"}] == []


def test_low_predictions_are_called_low(rendered: Rendered) -> None:
    forecasts, cut, law = parametric_of(rendered)
    score = law.scores[0].model_copy(
        update={"bias": -0.05, "bias_intervals": {"0.8": (-0.06, -0.04), "0.95": (-0.07, -0.03)}}
    )
    changed = forecasts.model_copy(
        update={
            "cuts": [
                cut.model_copy(update={"forecasts": [law.model_copy(update={"scores": [score]})]})
            ]
        }
    )
    facts = forecast_facts(replace(rendered.inputs, forecasts=changed))
    assert facts is not None
    assert [found.direction for found in facts.laws] == ["low"]


def test_tables_have_a_row_for_each_approach_and_cut(rendered: Rendered) -> None:
    shown = {row[0].split("\n")[0].strip(): row for row in rendered.page.tables["tbl-forecast"][1:]}
    assert set(shown) == {NAMES[name] for name in APPROACHES}
    path = rendered.root / "tables" / "forecast.csv"
    with path.open(encoding="utf-8", newline="") as stream:
        data = {(row["approach"], row["quantity"]): row for row in csv.DictReader(stream)}
    row = data["parametric", "loss"]
    assert (float(row["bias"]), float(row["bias_hi95"])) == (0.05, pytest.approx(0.07))
    assert shown[NAMES["parametric"]][1].startswith(fixed(float(row["bias"]), 4))
    size = float(data["envelope", "params_opt"]["bias"])
    assert shown[NAMES["envelope"]][3].startswith(fixed(math.exp(size), 2))
    # Kaplan's fit predicts no minimum that this sweep measures
    assert shown[NAMES["kaplan"]][3:] == [NONE, NONE]


def test_a_sweep_that_cannot_be_split_says_what_to_add(tmp_path: Path) -> None:
    none = render(tmp_path, forecast=False, hidden=("forecast",))
    assert "Does it forecast?" in words(none)
    assert "Nothing for forecast." in words(none)
    assert "tbl-forecast" not in none.page.tables
    assert none.page.unbalanced == []


def test_an_approach_that_the_sweep_never_allows_is_named_once(bare: Rendered) -> None:
    said = words(bare)
    assert "2 Profiles could not be fitted below any cut either." in said
    assert "2 Profiles was not fitted up to" not in said


def test_an_approach_that_was_refused_below_gives_its_reason_once(rendered: Rendered) -> None:
    forecasts, cut, law = parametric_of(rendered)
    none = law.model_copy(update={"scores": [], "refused": "parametric has 4 runs below."})
    cuts = [cut.model_copy(update={"flops": flops, "forecasts": [none]}) for flops in (3e12, 1e13)]
    facts = forecast_facts(
        replace(rendered.inputs, forecasts=forecasts.model_copy(update={"cuts": cuts}))
    )
    assert facts is not None
    ((what, why),) = facts.refused
    told = "3 Parametric was not fitted up to 3 × 10^12^ and 10^13^ FLOPs. At the lowest:"
    assert what.replace("\xa0", " ") == told
    assert why == "parametric has 4 runs below."
    assert facts.nowhere == ""
