"""The one list of approaches, and who must agree with it."""

from __future__ import annotations

import pytest
from pydantic import BaseModel, ValidationError

from isoflop.approach import APPROACHES, BY_KEY, FITTED, LAWS, ON_REQUEST, ROWS, Approach
from isoflop.approaches.estimators.registry import ESTIMATORS
from isoflop.config.approaches import ApproachesSettings


def test_every_row_has_an_estimator_and_settings() -> None:
    assert ESTIMATORS.keys() == BY_KEY.keys()
    assert ApproachesSettings.model_fields.keys() >= BY_KEY.keys()


def test_every_approach_is_fitted_always_or_on_request() -> None:
    assert sorted((*FITTED, *ON_REQUEST)) == sorted(BY_KEY)
    assert set(FITTED) == {*APPROACHES, *LAWS}


@pytest.mark.parametrize("fact", ["key", "label", "in_prose", "colour", "marker", "dashes"])
def test_readers_can_tell_approaches_apart(fact: str) -> None:
    assert len({getattr(row, fact) for row in ROWS}) == len(ROWS)


def test_an_unknown_key_is_refused_with_those_there_are() -> None:
    class Model(BaseModel):
        approach: Approach

    assert Model(approach="kaplan").approach == "kaplan"
    with pytest.raises(ValidationError, match="'kaplen' is no approach; there are envelope, "):
        Model(approach="kaplen")
    assert Model.model_json_schema()["properties"]["approach"]["enum"] == list(BY_KEY)
