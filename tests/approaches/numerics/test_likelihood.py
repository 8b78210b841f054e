"""Huber's density with a free scale: against scipy, and the constants of Besiroglu et al."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import approx_fprime, minimize

from isoflop.approaches.estimators.parametric import ParametricFit, fit_parametric
from isoflop.approaches.numerics.centred_law import CentredLaw
from isoflop.approaches.numerics.likelihood import (
    FreeScale,
    log_likelihood,
    minimise_free_scale,
    normaliser,
)
from isoflop.approaches.numerics.solver import LogPrior, Problems
from isoflop.approaches.protocol import Resamples
from isoflop.approaches.uncertainty.resampling import resample
from isoflop.config.approaches import BootstrapSettings, ParametricSettings
from tests.simulate import isoflop_design, simulate

if TYPE_CHECKING:
    from isoflop.approaches.observations import Observations
    from isoflop.laws import ChinchillaLaw

DELTAS = (1e-3, 0.5, 1.345)


def settings(delta: float | None = None, starts: str = "coarse") -> ParametricSettings:
    return ParametricSettings.model_validate(
        {"objective": "likelihood", "huber_delta": delta, "starts": starts}
    )


def huber(z: np.ndarray, delta: float) -> np.ndarray:
    z = np.abs(z)
    return np.where(z < delta, 0.5 * z**2, delta * (z - 0.5 * delta))


def log_density(
    parameters: np.ndarray, data: Observations, weights: np.ndarray, delta: float
) -> float:
    """Give the log-likelihood at log E, log A, log B, alpha, beta, log s, written out."""
    e, a, b, alpha, beta, log_scale = parameters
    terms = [
        np.full_like(data.loss, e),
        a - alpha * np.log(data.params),
        b - beta * np.log(data.tokens),
    ]
    residual = np.log(data.loss) - np.logaddexp.reduce(terms)
    z = residual / np.exp(log_scale)
    constant = np.log(normaliser(delta))
    return float(-(weights * (huber(z, delta) + log_scale + constant)).sum())


def climb(start: np.ndarray, data: Observations, weights: np.ndarray, delta: float) -> float:
    """Search for a higher log-likelihood with scipy."""

    def fall(parameters: np.ndarray) -> float:
        return -log_density(parameters, data, weights, delta)

    options = {"xatol": 1e-10, "fatol": 1e-10, "maxiter": 3000, "adaptive": True}
    best = minimize(fall, start, method="Nelder-Mead", options=options)
    return -min(best.fun, minimize(fall, best.x, method="Nelder-Mead", options=options).fun)


def parameters_of(fit: ParametricFit) -> np.ndarray:
    found = fit.diagnostics()
    values = fit.parameters
    return np.array([*np.log(values[:3]), *values[3:], np.log(found.scale)])


@pytest.fixture(scope="module")
def fits240(epoch240: Observations) -> dict[float, ParametricFit]:
    return {d: fit_parametric(epoch240, settings(d)) for d in DELTAS}


@pytest.mark.parametrize("delta", [1e-2, 0.5, 1.345, 6.0])
def test_normaliser_is_the_integral(delta: float) -> None:
    ends = (0.0, delta, delta + 60.0 / delta)
    half = sum(
        quad(lambda z: np.exp(-huber(np.array(z), delta)), low, high)[0]
        for low, high in pairwise(ends)
    )
    assert normaliser(delta) == pytest.approx(2.0 * half, rel=1e-9)


@pytest.mark.parametrize("delta", [0.5, 1.345])
def test_log_likelihood_is_the_sum_of_log_densities(
    delta: float, fits240: dict[float, ParametricFit], epoch240: Observations
) -> None:
    fit = fits240[delta]
    found = fit.diagnostics()
    written = log_density(parameters_of(fit), epoch240, np.ones(240), delta)
    assert found.log_likelihood == pytest.approx(written, rel=1e-10)
    assert found.account.objective == -found.log_likelihood
    assert found.huber_delta == delta
    assert found.account.starts_reaching_optimum > 0.8 * found.account.starts


@pytest.mark.parametrize("delta", [0.5, 1.345])
def test_scipy_finds_nothing_higher(
    delta: float, fits240: dict[float, ParametricFit], epoch240: Observations
) -> None:
    own = fits240[delta].diagnostics().log_likelihood
    start = parameters_of(fits240[delta]) + np.array([0.02, -0.3, 0.3, -0.01, 0.01, 0.2])
    found = climb(start, epoch240, np.ones(240), delta)
    assert found <= own + 1e-8
    # and comes near, so the comparison means something
    assert found > own - 0.5


def test_constants_of_besiroglu(fits240: dict[float, ParametricFit]) -> None:
    """With their delta of 1e-3 scales; their E is printed as 1.8172."""
    e, a, b, alpha, beta = fits240[1e-3].parameters
    assert (round(a, 2), round(b, 2)) == (482.01, 2085.43)
    assert round(alpha, 4) == 0.3478
    assert beta == pytest.approx(0.3658, abs=1e-4)
    assert e == pytest.approx(1.8172, abs=5e-4)
    found = fits240[1e-3].diagnostics()
    # Nelder and Mead from many places, restarted: 879.77314
    assert found.log_likelihood == pytest.approx(879.7731391, abs=1e-6)
    # Laplace's scale: the mean absolute residual
    assert found.scale == pytest.approx(1e-3 * np.abs(fits240[1e-3].residuals).mean(), rel=1e-3)


def test_derivatives_are_exact(epoch240: Observations) -> None:
    law = CentredLaw.of(epoch240.params, epoch240.tokens, tied=False)
    log_loss = np.log(epoch240.loss)[None]
    weights = np.random.default_rng(0).integers(0, 3, (1, 240)).astype(float)
    start = np.array([[1.8, -1.2, -1.1, 0.4, 0.3]])
    posed = FreeScale.of(Problems(law.model, log_loss, weights, start, 1.0, *law.bounds()), 0.8)

    def value(theta: np.ndarray, which: int) -> np.ndarray:
        return posed.evaluate(theta[None], np.arange(1))[which][0]

    theta = posed.starts[0]
    slope = approx_fprime(theta, lambda t: float(value(t, 0)), 1e-7)
    np.testing.assert_allclose(value(theta, 1), slope, rtol=1e-4)
    bend = np.array([approx_fprime(theta, lambda t, i=i: value(t, 1)[i], 1e-7) for i in range(6)])
    np.testing.assert_allclose(value(theta, 2), bend, rtol=1e-3, atol=1e-2)


def test_a_prior_counts_once_beside_a_free_scale(law: ChinchillaLaw) -> None:
    design = isoflop_design(law, np.geomspace(1e17, 1e20, 5), sizes=9, points=1)
    data = simulate(law, design, noise=0.004, rng=np.random.default_rng(1))
    centred = CentredLaw.of(data.params, data.tokens, tied=False)
    log_loss = np.log(data.loss)[None]
    start = np.array([[1.8, -1.2, -1.1, 0.4, 0.3]])
    prior = LogPrior((3,), np.log([0.3]), np.array([0.2]))
    with_it, without = (
        FreeScale.of(
            Problems(
                centred.model, log_loss, np.ones_like(log_loss), start, 1.0, *centred.bounds(),
                known,
            ),
            0.8,
        )
        for known in (prior, None)
    )  # fmt: skip
    theta, rows = with_it.starts, np.arange(1)
    one, other = (posed.evaluate(theta, rows) for posed in (with_it, without))
    excess = np.log(0.4 / 0.3)
    assert (one[0] - other[0])[0] == pytest.approx(0.5 * (excess / 0.2) ** 2)
    assert (one[1] - other[1])[0, 3] == pytest.approx(excess / 0.2**2 / 0.4)


@pytest.mark.parametrize("delta", [1e-3, 1.345])
def test_draws_are_their_own_optima(
    delta: float, fits240: dict[float, ParametricFit], epoch240: Observations
) -> None:
    fit = fits240[delta]
    resamples = resample(fit, BootstrapSettings(draws=2, seed=4, interval="percentile"))
    refits = fit.refit(resamples)
    for weights, values in zip(resamples.weights, refits.parameters, strict=True):
        residual = np.log(epoch240.loss) - np.log(
            values[0] + values[1] * epoch240.params ** -values[3]
            + values[2] * epoch240.tokens ** -values[4]
        )  # fmt: skip
        spread = np.average(np.abs(residual), weights=weights) * min(delta, 1.0)
        theta = np.array([*np.log(values[:3]), *values[3:], np.log(spread)])
        fall = minimize(
            lambda s, t=theta, w=weights: -log_density(np.append(t[:5], s), epoch240, w, delta),
            theta[5], method="Nelder-Mead", options={"xatol": 1e-10, "fatol": 1e-10},
        )  # fmt: skip
        theta[5] = fall.x[0]
        assert climb(theta, epoch240, weights, delta) <= -fall.fun + 1e-5


@pytest.mark.parametrize("delta", [1e-2, 1.345])
def test_no_byte_depends_on_threads_or_neighbours(
    delta: float, fits240: dict[float, ParametricFit]
) -> None:
    plain = fits240[1.345].problems(resample(fits240[1.345], BootstrapSettings(draws=300)))
    posed = FreeScale.of(plain, delta)
    one, two = (minimise_free_scale(posed, threads=threads) for threads in (1, 2))
    np.testing.assert_array_equal(one.theta, two.theta)
    alone = minimise_free_scale(posed.pick(np.array([250]), posed.starts[[250]]), threads=1)
    np.testing.assert_array_equal(alone.theta[0], one.theta[250])
    assert one.converged.mean() > 0.98


def test_scale_of_normal_noise_is_its_standard_deviation(law: ChinchillaLaw) -> None:
    design = isoflop_design(law, np.geomspace(1e17, 1e20, 40), sizes=9, points=1)
    data = simulate(law, design, noise=0.004, rng=np.random.default_rng(1))
    fit = fit_parametric(data, settings(5.0))
    assert fit.diagnostics().scale == pytest.approx(0.004, rel=0.1)
    plain = fit_parametric(data, ParametricSettings(objective="mse", starts="coarse"))
    # so far out the density is the normal one
    np.testing.assert_allclose(fit.parameters, plain.parameters, rtol=1e-6)
    assert fit.diagnostics().scale == pytest.approx(np.sqrt(np.mean(plain.residuals**2)))


@pytest.mark.parametrize(("here", "there"), [(0.5, 0.4), (0.02, 0.01)])
def test_the_next_rung_of_the_ladder_starts_near_its_end(
    law: ChinchillaLaw, here: float, there: float
) -> None:
    """A hundred times nearer than the last one ended: else a small delta's optimum is missed."""
    design = isoflop_design(law, np.geomspace(1e17, 1e20, 12), sizes=9, points=1)
    data = simulate(law, design, noise=0.004, rng=np.random.default_rng(0))
    plain = fit_parametric(data, settings(0.5)).problems(Resamples(np.ones((1, data.n_runs))))
    posed = FreeScale.of(plain, here)
    last = minimise_free_scale(posed).theta
    end = minimise_free_scale(FreeScale.of(plain, there)).theta
    ahead = posed.sharpened(last, there).starts
    off, was = (np.linalg.norm((theta - end)[0, :-1]) for theta in (ahead, last))
    assert off < 0.01 * was


@pytest.mark.parametrize("delta", [1e-2, 1.345])
def test_a_perfect_fit_ends_at_the_bound_of_the_scale(law: ChinchillaLaw, delta: float) -> None:
    data = simulate(
        law, isoflop_design(law, (1e17, 1e18, 1e19), points=1), noise=0.0,
        rng=np.random.default_rng(0),
    )  # fmt: skip
    fit = fit_parametric(data, settings(delta))
    expected = [law.E, law.A, law.B, law.alpha, law.beta]
    np.testing.assert_allclose(fit.parameters, expected, rtol=1e-4)
    assert fit.diagnostics().scale < 1e-7


def test_log_likelihood_by_hand() -> None:
    """One residual of two scales, beyond delta."""
    delta, scale = 1.0, 0.5
    objective = delta * (2.0 - 0.5 * delta) + np.log(scale) - np.log(1e-9) + 1.0
    expected = -1.5 - np.log(scale) - np.log(normaliser(delta))
    assert float(log_likelihood(np.array(objective), 1, delta)) == pytest.approx(expected)
