"""What every fit says of itself, against statsmodels and numpy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from isoflop.approaches.estimators.account import residuals_of, scaled_condition, trend, trends_of
from isoflop.approaches.estimators.registry import fit
from isoflop.config.approaches import ApproachesSettings
from isoflop.estimates.diagnostics import Trend

if TYPE_CHECKING:
    from isoflop.approaches.observations import Observations

SETTINGS = ApproachesSettings.model_validate({"parametric": {"starts": "coarse"}})


@pytest.mark.parametrize("slope", [0.0, 0.02])
def test_trend_is_statsmodels_with_robust_errors(slope: float) -> None:
    import statsmodels.api as sm

    rng = np.random.default_rng(5)
    x = rng.uniform(3.0, 9.0, 40)
    residuals = slope * x + rng.normal(0.0, 0.01 * x)
    oracle = sm.OLS(residuals, sm.add_constant(x)).fit(cov_type="HC1")
    found = trend(x, residuals)
    assert found.slope == pytest.approx(oracle.params[1])
    assert found.p_value == pytest.approx(oracle.pvalues[1], rel=1e-6)


def test_trend_over_one_place_is_none() -> None:
    assert trend(np.full(5, 2.0), np.arange(5.0)) == Trend(slope=0.0, p_value=1.0)


def test_residuals_of_the_fitted_points(sweep: Observations) -> None:
    import statsmodels.api as sm

    own = sweep.at(sweep.is_final)
    residuals = np.random.default_rng(0).normal(0.0, 0.01, len(own.loss))
    found = residuals_of(own, residuals)
    assert found.rms == pytest.approx(np.sqrt(np.mean(residuals**2)))
    assert found.run == list(sweep.runs)
    oracle = sm.OLS(residuals, sm.add_constant(np.log(own.flops))).fit(cov_type="HC1")
    assert trends_of(own, residuals).flops.p_value == pytest.approx(oracle.pvalues[1])


def test_condition_number_is_one_for_what_is_told_apart() -> None:
    assert scaled_condition(np.diag([1e-8, 3.0, 1e9])) == pytest.approx(1.0)
    # two columns with correlation r: (1 + r) / (1 - r)
    assert scaled_condition(np.array([[4.0, 1.8], [1.8, 1.0]])) == pytest.approx(1.9 / 0.1)


@pytest.mark.parametrize("approach", ["envelope", "profiles", "parametric", "kaplan"])
def test_every_approach_gives_the_same_account(approach: str, sweep: Observations) -> None:
    import statsmodels.api as sm

    fitted = fit(sweep, approach, SETTINGS)
    found = fitted.diagnostics()
    assert found.residuals.rms >= found.residuals.median_absolute > 0
    if approach == "envelope":
        return
    residuals = np.array(found.residuals.log_residual)
    named = dict(zip(found.residuals.run, residuals, strict=True))
    points = np.flatnonzero(np.isfinite(fitted.fitted))
    expected = np.log(sweep.loss[points]) - fitted.fitted[points]
    runs = [sweep.runs[i] for i in sweep.run[points]]
    np.testing.assert_allclose([named[run] for run in runs], expected, atol=1e-12)
    line = sm.OLS(residuals, sm.add_constant(np.log(found.residuals.flops)))
    oracle = line.fit(cov_type="HC1")
    assert found.trends.flops.slope == pytest.approx(oracle.params[1], rel=1e-6, abs=1e-12)
    assert found.account.degrees_of_freedom == len(residuals) - {
        "profiles": 15, "parametric": 5, "kaplan": 4
    }[approach]  # fmt: skip


def test_parabolas_residuals_sum_to_their_objective(sweep: Observations) -> None:
    found = fit(sweep, "profiles", SETTINGS).diagnostics()
    expected = 0.0
    for profile in found.profiles:
        x, y = np.log(profile.params), np.array(profile.loss)
        expected += np.polyfit(x - x.mean(), y, 2, full=True)[1][0]
    assert found.account.objective == pytest.approx(expected, rel=1e-8)
