"""What an estimate says of the runs and points that it rests on."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest

from isoflop.approaches import fit_approach as fit_module
from isoflop.approaches.estimators import registry
from isoflop.approaches.estimators.registry import ESTIMATORS
from isoflop.approaches.fit_approach import _aside, _excluded, fit_approach
from isoflop.approaches.uncertainty.truths import truths_of
from isoflop.config.approaches import ApproachesSettings, CountingSettings
from isoflop.errors import UnderdeterminedError
from isoflop.estimates.estimate import Estimate, Provenance, Refusal
from isoflop.estimates.laws import PowerLaws
from isoflop.estimates.quantities import describe

if TYPE_CHECKING:
    from isoflop.approach import Approach
    from isoflop.approaches.protocol import Fit

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


def _sparse(losses: pl.DataFrame, active: float) -> pl.DataFrame:
    """Make twenty runs mixtures of experts, with that share of the parameters active."""
    finals = losses.filter((pl.col("role") == "fit") & pl.col("is_final"))
    some = finals["run"].unique().sort()[:20]
    return losses.with_columns(
        params_active=pl.col("params_total")
        * pl.when(pl.col("run").is_in(some.to_list())).then(active).otherwise(1.0)
    ).with_columns(flops_active=6.0 * pl.col("params_active") * pl.col("tokens"))


def test_compute_of_experts_that_no_token_goes_through_is_refused(losses: pl.DataFrame) -> None:
    """C = 6 N_total D was four times what was spent, and a caution alone said so."""
    outcome, _ = fit_approach(
        _sparse(losses, 0.25), "parametric", SETTINGS, sweep="s", provenance=PROVENANCE
    )
    assert isinstance(outcome, Refusal)
    refused = outcome.refused.replace("\xa0", " ")
    assert "20 of the" in refused
    assert "mixtures of experts, whose tokens go through 25 % of the parameters" in refused
    assert "{params: active, flops: active}" in refused
    outcome, _ = fit_approach(
        _sparse(losses, 0.25), "kaplan", SETTINGS, sweep="s", provenance=PROVENANCE
    )
    assert isinstance(outcome, Refusal)
    assert "Kaplan et al. counted no experts" in outcome.refused


@pytest.mark.parametrize(("share", "is_refused"), [(0.9999, False), (0.98, False), (0.9, True)])
def test_two_counts_of_one_model_are_no_experts(
    losses: pl.DataFrame, share: float, is_refused: bool
) -> None:
    """Active parameters rounded, or less a norm, made every run a mixture of 100 %."""
    outcome, _ = fit_approach(
        _sparse(losses, share), "parametric", SETTINGS, sweep="s", provenance=PROVENANCE
    )
    assert isinstance(outcome, Refusal) == is_refused


def test_no_refusal_of_experts_advises_what_another_refuses(losses: pl.DataFrame) -> None:
    counting = CountingSettings(params="total", flops="active")
    settings = SETTINGS.model_copy(update={"counting": counting})
    mixed = _sparse(losses, 0.25)
    outcome, _ = fit_approach(mixed, "parametric", settings, sweep="s", provenance=PROVENANCE)
    assert isinstance(outcome, Refusal)
    assert "approaches.counting: {params: active, flops: active}" in outcome.refused


@pytest.mark.parametrize(
    ("params", "flops", "active"),
    [("active", "active", 0.25), ("total", "active", 0.25), ("total", "6nd", 1.0)],
)
def test_what_the_refusal_of_experts_advises_answers(
    losses: pl.DataFrame, params: str, flops: str, active: float
) -> None:
    counting = CountingSettings.model_validate({"params": params, "flops": flops})
    settings = SETTINGS.model_copy(update={"counting": counting})
    outcome, _ = fit_approach(
        _sparse(losses, active), "parametric", settings, sweep="s", provenance=PROVENANCE
    )
    assert isinstance(outcome, Estimate) or "mixtures of experts" not in outcome.refused


@pytest.mark.parametrize("approach", ["root", "parametric"])
def test_the_law_that_has_another_in_it_is_fitted_once(
    losses: pl.DataFrame, approach: Approach, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It tells what the form fixes, and is a law that intervals are calibrated under."""
    fitted = []

    def counted(law: Approach, *given: Any) -> Fit:
        fitted.append(law)
        return ESTIMATORS[law](*given)

    laws = {law: partial(counted, law) for law in ESTIMATORS}
    monkeypatch.setattr(registry, "ESTIMATORS", laws)

    def unsimulated(*given: Any, **more: Any) -> None:
        truths_of(*given, **more)
        raise UnderdeterminedError("laws that simulated sweeps would come from are enough here")

    monkeypatch.setattr(fit_module, "truths_of", unsimulated)
    bootstrap = SETTINGS.bootstrap.model_copy(update={"interval": "calibrated"})
    settings = SETTINGS.model_copy(update={"bootstrap": bootstrap})
    estimate, _ = fit_approach(losses, approach, settings, sweep="s", provenance=PROVENANCE)
    assert isinstance(estimate, Estimate)
    assert sorted(fitted) == sorted(settings.mixture.laws)


def test_an_estimate_outside_its_interval_is_told() -> None:
    """Thinned runs may estimate something else: here no resample gave as small an exponent."""
    law = PowerLaws()
    row = np.array([[0.1, 0.5, 1.0, 0.5, 20.0, 0.05]])
    draws = np.repeat(row, 200, axis=0)
    draws[:, law.names.index("a")] += np.linspace(0.001, 0.02, 200)
    flops = np.array([1e20])
    told = _excluded(law, row, draws, describe(law, row, draws, flops), flops)
    # one sentence for all of them
    assert told == [
        "No 80 % or 95 % interval is given for a and best N at 1e+20 FLOPs: it would exclude "
        "the estimate from all runs, since 100 % of the resamples lie on one side of it."
    ]


def test_where_the_ends_alone_leave_an_estimate_out_the_resamples_are_not_blamed() -> None:
    assert _aside([0.51, 0.57]) == (
        "the ends that cover as often as they should both lie on one side of it"
    )
    assert _aside([0.95, 1.0]) == "95 % to 100 % of the resamples lie on one side of it"
