"""What an estimate says of the runs and points that it rests on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl
import pytest

from isoflop.approaches.fit_approach import fit_approach
from isoflop.config.approaches import ApproachesSettings
from isoflop.estimates.estimate import Estimate, Provenance

if TYPE_CHECKING:
    from isoflop.approach import Approach

PROVENANCE = Provenance(inputs={}, version="test", git_revision=None)
SETTINGS = ApproachesSettings.model_validate(
    {
        "bootstrap": {"draws": 20, "interval": "percentile"},
        "parametric": {"starts": "coarse"},
    }
)


def estimated(losses: pl.DataFrame, approach: Approach) -> Estimate:
    estimate, _ = fit_approach(losses, approach, SETTINGS, sweep="s", provenance=PROVENANCE)
    assert isinstance(estimate, Estimate)
    return estimate


@pytest.mark.parametrize(
    ("approach", "ends_alone"),
    [("envelope", False), ("parametric", True), ("nested", True), ("kaplan", False)],
)
def test_runs_and_points_are_those_that_the_fit_takes(
    losses: pl.DataFrame, approach: Approach, ends_alone: bool
) -> None:
    curves = losses.filter(pl.col("role") == "fit")
    finals = curves.filter("is_final")
    assert curves.height > finals.height
    estimate = estimated(losses, approach)
    points = finals if ends_alone else curves
    assert (estimate.n_runs, estimate.n_points) == (finals.height, points.height)


def test_of_a_run_in_no_budget_approach_2_takes_nothing(losses: pl.DataFrame) -> None:
    finals = losses.filter((pl.col("role") == "fit") & pl.col("is_final"))
    lone = finals["run"][0]
    fewer = losses.with_columns(
        budget=pl.when(pl.col("run") == lone).then(None).otherwise("budget")
    )
    estimate = estimated(fewer, "profiles")
    assert (estimate.n_runs, estimate.n_points) == (finals.height - 1, finals.height - 1)
