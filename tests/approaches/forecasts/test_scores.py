from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from isoflop.approaches.forecasts.predictions import Predictive
from isoflop.approaches.forecasts.scores import (
    RARE,
    least_inside,
    prediction_intervals,
    summarise,
)
from isoflop.estimates.intervals import interval_score


def test_interval_score_is_the_formula() -> None:
    """Gneiting and Raftery 2007, equation 43, case by case."""
    rng = np.random.default_rng(1)
    low = rng.normal(0.0, 1.0, 200)
    high = low + rng.exponential(1.0, 200)
    measured = rng.normal(0.5, 2.0, 200)
    alpha = 0.2
    expected = []
    for left, right, x in zip(low, high, measured, strict=True):
        score = right - left
        if x < left:
            score += 2.0 / alpha * (left - x)
        if x > right:
            score += 2.0 / alpha * (x - right)
        expected.append(score)
    np.testing.assert_allclose(interval_score(low, high, measured, 1.0 - alpha), expected)


@pytest.mark.parametrize("factor", [0.7, 1.4])
def test_interval_score_is_proper(factor: float) -> None:
    """No interval scores better on average than the true quantiles."""
    truth = stats.norm.rvs(size=40_000, random_state=2)
    z = stats.norm.ppf(0.9)
    honest = interval_score(np.full(1, -z), np.full(1, z), truth, 0.8).mean()
    other = interval_score(np.full(1, -factor * z), np.full(1, factor * z), truth, 0.8).mean()
    assert other > honest


def test_summary_of_numbers_done_by_hand() -> None:
    draws = np.array([[1.0, 10.0], [2.0, 20.0], [3.0, 30.0], [4.0, 40.0], [5.0, 50.0]])
    found = summarise(
        Predictive(np.array([3.0, 30.0]), draws, np.arange(5)), np.array([4.0, 60.0]), noise=5.0
    )
    # tenths 1.4 to 4.6 and 14 to 46: 4 lies between, 60 lies 14 beyond
    assert found["n"] == 2
    assert found["bias"] == pytest.approx(-15.5)
    assert found["rms"] == pytest.approx(np.sqrt((1 + 900) / 2))
    assert found["rms_per_noise"] == pytest.approx(np.sqrt(901 / 2) / 5)
    assert found["inside"] == {"0.8": 0.5, "0.95": 0.5}
    assert found["width"]["0.8"] == pytest.approx((3.2 + 32.0) / 2)
    assert found["interval_score"]["0.8"] == pytest.approx((3.2 + 32.0 + 2 / 0.2 * 14.0) / 2)
    # means of the rows 5.5, 11, ..., 27.5 less the mean 32
    assert found["bias_intervals"]["0.8"] == pytest.approx((7.7 - 32, 25.3 - 32))


def test_share_of_a_right_forecast_is_binomial_where_errors_are_independent() -> None:
    draws = np.random.default_rng(3).normal(0.0, 1.0, (4000, 40))
    ends = prediction_intervals(draws)
    expected = stats.binom.ppf(RARE, 40, 0.8) / 40
    assert least_inside(draws, ends)[0] == pytest.approx(expected, abs=1 / 40)


def test_errors_of_one_law_hang_together() -> None:
    """Where all errors are one error, all or none lie inside."""
    draws = np.repeat(np.random.default_rng(3).normal(0.0, 1.0, (4000, 1)), 40, axis=1)
    assert least_inside(draws, prediction_intervals(draws))[0] == 0.0


def test_a_mean_over_a_cell_has_the_law_of_its_members_and_less_noise() -> None:
    generator = np.random.default_rng(4)
    law = 0.1 * generator.normal(size=(4000, 1)) + np.log([[2.0, 2.0, 3.0, 2.0]])
    law[:, 2] = law[:, 2] - law[:, 0]
    draws = np.exp(law + 0.05 * generator.normal(size=(4000, 4)))
    predictive = Predictive(
        np.array([2.0, 2.0, 3.0, 2.0]), draws, np.arange(4000), law, np.full(4, 0.05)
    )
    over = predictive.over(np.array([0, 0, 1, 0]))
    assert over.value.tolist() == [2.0, 3.0]
    assert over.draws[:, 0] == pytest.approx(draws[:, [0, 1, 3]].mean(axis=1))
    assert over.draws[:, 1] == pytest.approx(draws[:, 2])
    assert over.spread == pytest.approx([0.05 / np.sqrt(3.0), 0.05])
    # law .1 and noise .05 over three runs
    assert np.log(over.draws[:, 0]).std() == pytest.approx(np.hypot(0.1, 0.05 / 3**0.5), rel=0.05)
    density = over.log_density(np.array([2.1, 3.0]))
    assert density is not None
    alone = predictive.log_density(np.array([2.1, 2.1, 3.0, 2.1]))
    assert alone is not None
    assert density[1] == pytest.approx(alone[2])
    assert density[0] > alone[0]
