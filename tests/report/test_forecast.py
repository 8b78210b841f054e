"""The report says of forecasts what their file says, and what a sweep lacks that has none."""

from __future__ import annotations

import csv
import math
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from isoflop.approach import APPROACHES, NAMES
from isoflop.estimates.forecasts import Forecasts
from isoflop.numbers import NONE, fixed
from isoflop.report.sections.forecast import forecast_facts
from tests import example_sweep
from tests.report.conftest import Rendered, render

if TYPE_CHECKING:
    from pathlib import Path


def words(rendered: Rendered) -> str:
    return " ".join(" ".join(rendered.page.words).split())


def test_errors_on_one_side_are_named(rendered: Rendered) -> None:
    said = words(rendered)
    assert "the predicted losses are too high , by 0.0500 nats per token on average" in said
    assert "11 of 11 lie above what was measured. Its intervals undercover" in said
    assert "predicts losses too high, by 0.0500 nats per token." in said
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
    assert (
        "the predicted losses are not off to one side at every cut: their mean error is 0.0000"
        in words(rendered)
    )


def test_low_predictions_are_called_low(rendered: Rendered) -> None:
    forecasts = rendered.inputs.forecasts
    assert isinstance(forecasts, Forecasts)
    cut = forecasts.cuts[0]
    law = next(f for f in cut.forecasts if f.approach == "parametric")
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


def test_an_approach_that_was_refused_below_gives_its_reason(tmp_path: Path) -> None:
    found = render(tmp_path, refuse=("profiles",))
    assert "2 Profiles was not fitted up to 3 × 10 12 FLOPs." in words(found).replace("\xa0", " ")
    assert "profiles has too few runs below." in words(found)
    assert example_sweep.SWEEP in words(found)
