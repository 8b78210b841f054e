"""Tests of a law's form against statsmodels, by hand, and on laws that are right and wrong."""

from __future__ import annotations

import numpy as np
import pytest

from isoflop.approaches.estimators.misfit import (
    DIRECTIONS,
    misfit_cautions,
    pure_error,
    score_tests,
)


def sample(seed: int, n: int = 50) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(2, n))
    return x, y, np.column_stack([x, y, np.tanh(x - y)])


def test_statistics_are_statsmodels_hc3() -> None:
    from statsmodels.regression.linear_model import OLS
    from statsmodels.tools.tools import add_constant

    x, y, jacobian = sample(0)
    residuals = np.random.default_rng(1).normal(size=50) * np.exp(0.5 * x) + 0.3 * x * y
    found = score_tests(jacobian, residuals, x, y)
    u, v = x - x.mean(), y - y.mean()
    columns = dict(zip(DIRECTIONS, (u * u, v * v, u * v), strict=True))
    for name, column in columns.items():
        fit = OLS(residuals, add_constant(np.column_stack([column, jacobian]))).fit(
            cov_type="HC3", use_t=True
        )
        assert found[name]["coefficient"] == pytest.approx(fit.params[1], rel=1e-9)
        assert found[name]["p_value"] == pytest.approx(fit.pvalues[1], rel=1e-8)
    everything = add_constant(np.column_stack([*columns.values(), jacobian]))
    fit = OLS(residuals, everything).fit(cov_type="HC3", use_t=True)
    test = fit.f_test(np.eye(7)[1:4])
    assert found["joint"]["statistic"] == pytest.approx(float(test.fvalue), rel=1e-8)
    assert found["joint"]["p_value"] == pytest.approx(float(test.pvalue), rel=1e-8)
    assert found["joint"]["degrees_of_freedom"] == [3, 43]


def test_the_test_keeps_its_size_and_has_power() -> None:
    x, y, jacobian = sample(2)
    rng = np.random.default_rng(3)
    level, power = [], []
    for _ in range(200):
        noise = rng.normal(size=50) * np.exp(0.4 * x)
        level.append(score_tests(jacobian, noise, x, y)["joint"]["p_value"])
        power.append(score_tests(jacobian, noise + x * y, x, y)["joint"]["p_value"])
    assert 0.01 < np.mean(np.array(level) < 0.05) < 0.10
    assert np.mean(np.array(power) < 0.05) > 0.7


def test_a_direction_that_the_law_spans_says_nothing() -> None:
    x, y, jacobian = sample(4)
    u = x - x.mean()
    noise = np.random.default_rng(8).normal(size=50)
    found = score_tests(np.column_stack([jacobian, u * u]), noise, x, y)
    assert found["params_squared"] == {"coefficient": None, "p_value": None}
    assert found["joint"]["degrees_of_freedom"][0] == 2


def test_no_freedom_or_no_noise_gives_no_p_value() -> None:
    x, y, jacobian = sample(5, n=5)
    assert score_tests(jacobian, x, x, y)["joint"]["p_value"] is None
    x, y, jacobian = sample(5)
    assert score_tests(jacobian, np.zeros(50), x, y)["joint"]["p_value"] is None


def test_pure_error_is_the_anova_by_hand() -> None:
    params = np.array([1e6, 1e6, 1e6, 2e6, 2e6, 4e6, 4e6, 8e6])
    tokens = np.array([1e9, 1.00005e9, 1e9, 1e9, 1e9, 1e9, 2e9, 1e9])
    residuals = np.array([0.01, -0.01, 0.0, 0.03, 0.01, -0.02, 0.02, -0.04])
    found = pure_error(residuals, params, tokens, parameters=2)
    # cells of three and of two: squares 2e-4 + 2e-4, with 2 + 1 degrees of freedom
    assert found is not None
    assert found["degrees_of_freedom"] == 3
    assert found["sd"] == pytest.approx(np.sqrt(4e-4 / 3))
    assert found["lack_of_fit_degrees_of_freedom"] == 3
    total = float(residuals @ residuals)
    assert found["statistic"] == pytest.approx((total - 4e-4) / 4e-4)
    assert pure_error(residuals, params, np.arange(1.0, 9.0), parameters=2) is None
    assert pure_error(np.zeros(8), params, tokens, parameters=2) is None


def test_what_a_rate_does_is_neither_noise_nor_misfit() -> None:
    """Three rates at one N and D, the first of them with a second seed; beside them three sizes."""
    params = np.array([1e6, 1e6, 1e6, 1e6, 2e6, 4e6, 8e6])
    tokens = np.full(7, 1e9)
    rates = np.log(np.array([[1.0], [1.0], [2.0], [4.0], [1.0], [1.0], [1.0]]))
    residuals = np.array([0.01, -0.01, 0.05, 0.15, -0.02, 0.02, -0.04])
    found = pure_error(residuals, params, tokens, rates, parameters=2)
    assert found is not None
    assert found["degrees_of_freedom"] == 1
    assert found["sd"] == pytest.approx(np.sqrt(2e-4))
    # four cells less two parameters, of which the mean of the grid is one
    assert found["lack_of_fit_degrees_of_freedom"] == 2
    lack = 4 * 0.05**2 + 0.02**2 + 0.02**2 + 0.04**2
    assert found["statistic"] == pytest.approx(lack / 2 / 2e-4)
    alone = np.log(np.arange(1.0, 8.0))[:, None]
    assert pure_error(residuals, params, tokens, alone, parameters=2) is None


def test_one_measurement_read_twice_is_no_replicate() -> None:
    params, tokens = np.array([1e6, 1e6, 2e6, 4e6]), np.array([1e9, 1.0001e9, 1e9, 1e9])
    once, apart = np.array([0.01, 0.010004, -0.02, 0.03]), np.array([0.01, 0.011, -0.02, 0.03])
    assert pure_error(once, params, tokens, parameters=2) is None
    assert pure_error(apart, params, tokens, parameters=2) is not None


def test_cautions_name_the_direction_and_the_noise() -> None:
    x, y, jacobian = sample(6)
    noise = np.random.default_rng(7).normal(size=50)
    fine = score_tests(jacobian, noise, x, y)
    bad = score_tests(jacobian, noise + 5.0 * x * y, x, y)
    assert misfit_cautions(fine, None) == []
    (caution,) = misfit_cautions(bad, None)
    assert "log N log D" in caution
    pure = {"sd": 0.0066, "statistic": 60.0, "p_value": 1e-5}
    (caution,) = misfit_cautions(fine, pure)
    assert "0.66 %" in caution
    assert "misfit, not noise" in caution
