"""The batched solver against scipy, one problem at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy.optimize import minimize

from isoflop.approaches.estimators.kaplan import JointLaw
from isoflop.approaches.estimators.parametric import fit_parametric
from isoflop.approaches.numerics import solver
from isoflop.approaches.numerics.solver import Model, Problems, minimise
from isoflop.approaches.numerics.sum_of_powers import SumOfPowers, Term
from isoflop.approaches.uncertainty.resampling import resample
from isoflop.config.approaches import BootstrapSettings, ParametricSettings

if TYPE_CHECKING:
    from isoflop.approaches.observations import Observations

RNG = np.random.default_rng(11)
X = RNG.normal(size=(2, 30))
MODELS = {
    "free": SumOfPowers((Term(0), Term(1, 3, 0), Term(2, 4, 1)), X, 5),
    "tied": SumOfPowers((Term(0), Term(1, 3, 0), Term(2, 3, 1)), X, 4),
    "floor": SumOfPowers((Term(0, is_linear=True), Term(1, 3, 0), Term(2, 4, 1)), X, 5),
    "no constant": SumOfPowers((Term(0, 2, 0), Term(1, 3, 1)), X, 4),
    "kaplan": JointLaw(X[0], X[1]),
}
EVERY = pytest.mark.parametrize("name", list(MODELS))


def start(name: str, rows: int) -> np.ndarray:
    n = {"free": 5, "floor": 5, "tied": 4, "no constant": 4, "kaplan": 4}[name]
    theta = np.concatenate(
        [RNG.normal(-0.5, 0.3, (rows, n // 2 + n % 2)), RNG.uniform(0.2, 0.6, (rows, n // 2))], 1
    )
    if name == "floor":
        theta[:, 0] = np.exp(theta[:, 0])
    return theta


@EVERY
def test_derivatives_agree_with_differences(name: str) -> None:
    model: Model = MODELS[name]
    theta = start(name, 3)
    # rho(f) = s f + c f**2 / 2 has slope s + c f and curvature c
    s, c = RNG.normal(size=(2, 30))

    def value(at: np.ndarray) -> np.ndarray:
        f = model.value(at)[0]
        return (s * f + 0.5 * c * f * f).sum(axis=1)

    fitted, state = model.value(theta)
    gradient, hessian = model.derivatives(state, s + c * fitted, np.broadcast_to(c, fitted.shape))
    h = 1e-5
    for i in range(theta.shape[1]):
        step = np.zeros(theta.shape[1])
        step[i] = h
        np.testing.assert_allclose(
            gradient[:, i],
            (value(theta + step) - value(theta - step)) / (2 * h),
            rtol=1e-6,
            atol=1e-8,
        )
        if name == "kaplan":
            continue  # its Hessian is the Gauss-Newton part only
        ends = []
        for sign in (1, -1):
            moved, moved_state = model.value(theta + sign * step)
            ends.append(
                model.derivatives(moved_state, s + c * moved, np.broadcast_to(c, moved.shape))[0]
            )
        np.testing.assert_allclose(
            hessian[:, i], (ends[0] - ends[1]) / (2 * h), rtol=1e-5, atol=1e-7
        )


@pytest.mark.parametrize(
    ("threads", "group", "elements"), [(1, 7, 1000), (2, 30, 5000), (3, 16, 1)]
)
def test_result_does_not_depend_on_the_company(
    epoch240: Observations,
    monkeypatch: pytest.MonkeyPatch,
    threads: int,
    group: int,
    elements: int,
) -> None:
    """Neither threads, nor groups, nor blocks, nor a problem's neighbours change a byte."""
    law = fit_parametric(epoch240, ParametricSettings(objective="huber", starts="coarse")).centred
    log_loss = np.log(epoch240.loss)[None]
    rng = np.random.default_rng(12)
    weights = rng.integers(0, 4, (60, 240)).astype(np.float64)
    starts = np.array([0.6, -1.0, -1.0, 0.35, 0.37]) + rng.normal(0.0, 0.1, (60, 5))
    problems = Problems(law.model, log_loss, weights, starts, 1e-3, *law.bounds())
    whole = minimise(problems, threads=1)
    monkeypatch.setattr(solver, "GROUP", group)
    monkeypatch.setattr(solver, "BLOCK_ELEMENTS", elements)
    for rows in (slice(None), slice(7, 8), slice(40, 60)):
        again = minimise(problems.block(rows), threads=threads)
        for name in ("theta", "objective", "converged", "steps"):
            assert getattr(again, name).tobytes() == getattr(whole, name)[rows].tobytes()


def scipy_best(weights: np.ndarray, observations: Observations, starts: list[np.ndarray]) -> float:
    """Minimise the same sum with scipy, as tightly as it can, from several starts."""
    x, y, target = (
        np.log(v) for v in (observations.params, observations.tokens, observations.loss)
    )
    delta = 1e-3

    def objective(theta: np.ndarray) -> tuple[float, np.ndarray]:
        log_e, log_a, log_b, alpha, beta = theta
        parts = np.stack(
            [np.full_like(x, np.exp(log_e)), np.exp(log_a - alpha * x), np.exp(log_b - beta * y)]
        )
        total = parts.sum(axis=0)
        residual = target - np.log(total)
        size = np.abs(residual)
        value = np.where(size < delta, 0.5 * size**2, delta * (size - 0.5 * delta))
        pull = -weights * np.clip(residual, -delta, delta) / total
        gradient = [
            pull @ parts[0],
            pull @ parts[1],
            pull @ parts[2],
            -pull @ (parts[1] * x),
            -pull @ (parts[2] * y),
        ]
        return float(weights @ value), np.array(gradient)

    found = [
        minimize(
            objective,
            at,
            jac=True,
            method="L-BFGS-B",
            options={"ftol": 1e-15, "gtol": 1e-12, "maxiter": 20_000, "maxfun": 20_000},
        ).fun
        for at in starts
    ]
    return float(min(found))


def test_no_scipy_run_finds_a_better_optimum(epoch240: Observations) -> None:
    """Draws are converged to 1e-9 of the best that scipy finds from five starts each."""
    fitted = fit_parametric(epoch240, ParametricSettings(objective="huber", starts="coarse"))
    settings = BootstrapSettings(draws=6, seed=5, interval="percentile")
    resamples = resample(fitted, settings)
    refits = fitted.refit(resamples)
    spread = np.random.default_rng(0)
    for weights, parameters in zip(resamples.weights, refits.parameters, strict=True):
        own = np.concatenate([np.log(parameters[:3]), parameters[3:]])
        starts = [own, np.array([0.6, 6.0, 7.0, 0.35, 0.36]), np.array([0.5, 5.0, 5.0, 0.3, 0.3])]
        starts += [own * spread.uniform(0.85, 1.15, 5) for _ in range(2)]
        # the parameters as reported, evaluated by the other implementation, without a single step
        ours = evaluate(weights, epoch240, parameters)
        assert ours <= scipy_best(weights, epoch240, starts) * (1 + 1e-9)


def evaluate(weights: np.ndarray, observations: Observations, parameters: np.ndarray) -> float:
    e, a, b, alpha, beta = parameters
    fitted = e + a / observations.params**alpha + b / observations.tokens**beta
    size = np.abs(np.log(observations.loss / fitted))
    return float(weights @ np.where(size < 1e-3, 0.5 * size**2, 1e-3 * (size - 5e-4)))


def test_bounds_hold_and_a_bounded_optimum_is_one() -> None:
    """A constant that the data do not have goes to its lower bound, and the rest still fits."""
    model = MODELS["free"]
    theta = np.array([[-30.0, 0.0, -0.5, 0.4, 0.3]])
    target = model.value(theta)[0]
    lower, upper = np.array([-6.0, -9, -9, 0, 0]), np.array([5.0, 5, 5, 3, 3])
    starts = np.array([[-1.0, -1.0, -1.0, 0.5, 0.5]])
    found = minimise(
        Problems(model, target, np.ones_like(target), starts, np.inf, lower, upper), max_steps=500
    )
    assert found.converged[0]
    assert found.theta[0, 0] == -6.0
    np.testing.assert_allclose(found.theta[0, 1:], theta[0, 1:], atol=0.02)


@pytest.mark.parametrize("size", range(1, 8))
def test_small_systems_are_solved_and_those_that_are_not_positive_told(size: int) -> None:
    rng = np.random.default_rng(size)
    roots = rng.normal(size=(40, size, size + 3))
    matrices, vectors = roots @ roots.transpose(0, 2, 1), rng.normal(size=(40, size))
    # one direction upside down
    axis = rng.normal(size=(40, size, 1))
    matrices[::3] -= 100.0 * (axis @ axis.transpose(0, 2, 1))[::3]
    damping = rng.uniform(0.0, 0.1, 40)
    solution, positive = solver._solve_positive(matrices, vectors, damping)
    damped = matrices + damping[:, None, None] * np.eye(size)
    assert (positive == (np.linalg.eigvalsh(damped)[:, 0] > 0.0)).all()
    assert 0 < positive.sum() < 40
    wanted = np.linalg.solve(damped, vectors[:, :, None])[:, :, 0]
    np.testing.assert_allclose(solution[positive], wanted[positive], rtol=1e-8)
    # whatever the company
    for k in range(40):
        one, _ = solver._solve_positive(matrices[[k]], vectors[[k]], damping[[k]])
        assert (one == solution[[k]]).all()
