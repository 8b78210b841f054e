"""The over-training law against its own law, scipy and Hoffmann's form."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy.optimize import least_squares

from isoflop.approaches.estimators.overtraining import PlainSum, fit_overtraining
from isoflop.approaches.numerics.sum_of_powers import SumOfPowers, Term
from isoflop.approaches.protocol import Resamples
from isoflop.config.approaches import OvertrainingSettings
from isoflop.errors import UnderdeterminedError
from tests.approaches.conftest import finished_runs

if TYPE_CHECKING:
    from isoflop.approaches.observations import Observations

E, A, B, ETA = 1.6, 150.0, 220.0, 0.13


def law(params: np.ndarray, tokens: np.ndarray) -> np.ndarray:
    ratio, flops = tokens / params, 6.0 * params * tokens
    return E + (A * ratio**ETA + B * ratio**-ETA) * flops**-ETA


def sweep_of(noise: float = 0.0, runs: int = 16) -> Observations:
    rng = np.random.default_rng(5)
    params = np.geomspace(1e7, 1e9, runs)
    tokens = params * np.tile([5.0, 20.0, 80.0, 320.0], runs)[:runs]
    loss = law(params, tokens) * np.exp(rng.normal(0.0, noise, runs))
    return finished_runs(params, tokens, 6.0 * params * tokens, loss)


@pytest.mark.parametrize("residual", ["loss", "log_loss"])
def test_a_known_law_is_recovered(residual: str) -> None:
    settings = OvertrainingSettings.model_validate({"residual": residual})
    fitted = fit_overtraining(sweep_of(), settings)
    assert fitted.parameters == pytest.approx([E, A, B, ETA], rel=1e-6)
    assert fitted.diagnostics().account.objective < 1e-16


def test_optimum_is_scipys() -> None:
    losses = sweep_of(noise=0.01)
    fitted = fit_overtraining(losses, OvertrainingSettings())
    params, tokens, loss = losses.params, losses.tokens, losses.loss

    def residuals(theta: np.ndarray) -> np.ndarray:
        e, log_a, log_b, eta = theta
        ratio, flops = tokens / params, 6.0 * params * tokens
        terms = np.exp(log_a) * ratio**eta + np.exp(log_b) * ratio**-eta
        return e + terms * flops**-eta - loss

    best = min(
        (
            least_squares(residuals, [1.0, 5.0, 5.0, eta], xtol=1e-15, ftol=1e-15, gtol=1e-15)
            for eta in (0.05, 0.1, 0.2)
        ),
        key=lambda found: float(found.cost),
    )
    assert fitted.diagnostics().account.objective == pytest.approx(best.cost, rel=1e-7)
    assert fitted.parameters[[0, 3]] == pytest.approx(best.x[[0, 3]], rel=1e-3)


def test_derivatives_of_the_plain_sum_are_those_of_differences() -> None:
    rng = np.random.default_rng(2)
    terms = (Term(0), Term(1, 3, 0), Term(2, 3, 1))
    model = PlainSum(SumOfPowers(terms, rng.normal(size=(2, 6)), 4))
    target = rng.uniform(1.0, 3.0, 6)
    theta = np.array([[0.1, -0.2, 0.3, 0.5]])

    def gradient(at: np.ndarray) -> np.ndarray:
        value, state = model.value(at)
        slope = value - target
        return model.derivatives(state, slope, np.ones_like(slope))[0][0]

    value, state = model.value(theta)
    slope = value - target
    found, hessian = model.derivatives(state, slope, np.ones_like(slope))
    step = 1e-6
    for i in range(4):
        up, down = theta.copy(), theta.copy()
        up[0, i] += step
        down[0, i] -= step
        difference = [0.5 * float(((model.value(at)[0] - target) ** 2).sum()) for at in (up, down)]
        assert found[0, i] == pytest.approx((difference[0] - difference[1]) / (2 * step), rel=1e-6)
        assert hessian[0, i] == pytest.approx(
            (gradient(up) - gradient(down)) / (2 * step), rel=1e-6
        )


def test_it_is_hoffmanns_law_with_tied_exponents() -> None:
    """Under C = 6ND: alpha = beta = 2 eta, with A 6**-eta and B 6**-eta."""
    params, tokens = np.array([1e8, 3e8]), np.array([5e9, 1e11])
    tied = E + A * 6.0**-ETA * params ** (-2 * ETA) + B * 6.0**-ETA * tokens ** (-2 * ETA)
    assert law(params, tokens) == pytest.approx(tied)


def test_allocation_is_where_the_law_is_lowest() -> None:
    fitted = fit_overtraining(sweep_of(), OvertrainingSettings())
    flops = np.array([1e20, 1e24])
    optima = fitted.optima(fitted.parameters[None], flops)
    for i, budget in enumerate(flops):
        params = np.geomspace(0.1, 10.0, 2001) * optima.params[0, i]
        loss = law(params, budget / (6.0 * params))
        assert params[loss.argmin()] == pytest.approx(optima.params[0, i], rel=0.01)
        assert loss.min() == pytest.approx(optima.loss[0, i], rel=1e-6)
        assert 6.0 * optima.params[0, i] * optima.tokens[0, i] == pytest.approx(budget)


def test_draws_with_few_distinct_runs_are_refused() -> None:
    fitted = fit_overtraining(sweep_of(noise=0.01, runs=6), OvertrainingSettings())
    weights = np.array([[1.0] * 6, [3.0, 3.0, 0.0, 0.0, 0.0, 0.0]])
    refits = fitted.refit(Resamples(weights))
    assert refits.parameters[0] == pytest.approx(fitted.parameters)
    assert refits.refusals.tolist() == ["", "fewer than 5 distinct points"]


@pytest.mark.parametrize("runs", [3, 4])
def test_too_few_runs_are_refused(runs: int) -> None:
    with pytest.raises(UnderdeterminedError, match=f"has {runs}, with .* Add runs trained beyond"):
        fit_overtraining(sweep_of(runs=runs), OvertrainingSettings())
