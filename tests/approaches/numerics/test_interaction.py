"""Laws in which size and data interact: derivatives, special cases, and scipy's optimum."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy.optimize import least_squares

from isoflop.approaches.estimators.kaplan import JointLaw
from isoflop.approaches.numerics import solver
from isoflop.approaches.numerics.centred_interaction import CentredInteraction, restriction
from isoflop.approaches.numerics.interaction import InteractionModel, PowerMean, ProductTerm
from isoflop.approaches.numerics.multistart import Objective
from isoflop.approaches.numerics.sum_of_powers import SumOfPowers, Term
from isoflop.estimates.interaction import HOFFMANN, KAPLAN, NESTED, NO_FLOOR, PRODUCT, ROOT, Form
from isoflop.laws import ChinchillaLaw, KaplanLaw
from tests.approaches.oracles import NestedLaw, ProductLaw

RNG = np.random.default_rng(17)
X = RNG.normal(size=(2, 30))
FORMS = {form.name: form for form in (NESTED, ROOT, NO_FLOOR, KAPLAN, HOFFMANN, PRODUCT)}
EVERY = pytest.mark.parametrize("name", list(FORMS))
N = np.exp(RNG.uniform(np.log(1e6), np.log(1e9), 40))
D = np.exp(RNG.uniform(np.log(1e8), np.log(1e11), 40))
TRUE = {
    "nested": np.array([[1.4, 900.0, 3e3, 0.55, 0.6, 0.5]]),
    "root": np.array([[1.4, 900.0, 3e3, 0.55, 0.6]]),
    "no_floor": np.array([[2e3, 4e3, 0.5, 0.45, 0.3]]),
    "kaplan_law": np.array([[8.8e13, 0.076, 5.4e13, 0.095]]),
    "hoffmann": np.array([[1.7, 400.0, 900.0, 0.34, 0.3]]),
    "product": np.array([[1.7, 400.0, 900.0, 0.34, 0.3, -2e4]]),
}
"""Reported parameters of one law of each form."""


def model_of(form: Form, x: np.ndarray = X) -> InteractionModel:
    coupling = ProductTerm() if form.is_product else PowerMean()
    return InteractionModel(coupling, restriction(form), x)


def theta(form: Form, rows: int) -> np.ndarray:
    """Draw parameters in the solver's terms."""
    k = RNG.uniform(-0.2, 0.1, rows) if form.is_product else RNG.uniform(0.2, 1.6, rows)
    full = np.stack(
        [
            RNG.uniform(0.2, 0.6, rows),
            *RNG.normal(-0.5, 0.2, (2, rows)),
            *RNG.uniform(0.1, 0.4, (2, rows)),
            k,
        ],
        axis=-1,
    )
    return restriction(form).free(full)


def law_of(form: Form) -> tuple[CentredInteraction, np.ndarray]:
    """Give a law at 40 points and its noiseless log losses."""
    exact = form.log_loss(form.terms(TRUE[form.name]), np.log(N), np.log(D))[0]
    return CentredInteraction.of(form, N, D, np.exp(exact)), exact


@EVERY
def test_derivatives_agree_with_differences(name: str) -> None:
    form = FORMS[name]
    model = model_of(form)
    at = theta(form, 3)
    # rho(f) = s f + c f**2 / 2 has slope s + c f and curvature c
    s, c = RNG.normal(size=(2, 30))

    def value(at: np.ndarray) -> np.ndarray:
        f = model.value(at)[0]
        return (s * f + 0.5 * c * f * f).sum(axis=1)

    fitted, state = model.value(at)
    gradient, hessian = model.derivatives(state, s + c * fitted, np.broadcast_to(c, fitted.shape))
    h = 1e-5
    for i in range(at.shape[1]):
        step = np.zeros(at.shape[1])
        step[i] = h
        difference = (value(at + step) - value(at - step)) / (2 * h)
        np.testing.assert_allclose(gradient[:, i], difference, rtol=1e-6, atol=1e-8)
        ends = []
        for sign in (1, -1):
            moved, moved_state = model.value(at + sign * step)
            slope = s + c * moved
            ends.append(model.derivatives(moved_state, slope, np.broadcast_to(c, moved.shape))[0])
        np.testing.assert_allclose(
            hessian[:, i], (ends[0] - ends[1]) / (2 * h), rtol=1e-5, atol=1e-7
        )
        row = at[:1]
        column = (model.value(row + step)[0][0] - model.value(row - step)[0][0]) / (2 * h)
        np.testing.assert_allclose(model.jacobian(row)[:, i], column, rtol=1e-6, atol=1e-8)


def test_derivatives_in_the_laws_own_parameters() -> None:
    """With p = S^gamma / L and w the first term's share of S, as the docs give them."""
    e, log_a, log_b, alpha, beta, gamma = at = np.array([0.3, 6.8, 8.0, 0.55, 0.6, 0.5])
    x, y = np.log(N), np.log(D)
    u, v = log_a - alpha * x, log_b - beta * y
    log_s = np.logaddexp(u, v)
    loss = np.exp(e) + np.exp(gamma * log_s)
    p, w = np.exp(gamma * log_s) / loss, np.exp(u - log_s)
    expected = [
        1 - p,
        p * gamma * w,
        p * gamma * (1 - w),
        -p * gamma * w * x,
        -p * gamma * (1 - w) * y,
        p * log_s,
    ]

    def value(at: np.ndarray) -> np.ndarray:
        return NESTED.log_loss(np.array([[np.exp(at[0]), *at[1:]]]), x, y)[0]

    np.testing.assert_allclose(value(at), np.log(loss), rtol=1e-14)
    for i, column in enumerate(expected):
        step = np.zeros(6)
        step[i] = 1e-6
        difference = (value(at + step) - value(at - step)) / 2e-6
        np.testing.assert_allclose(column, difference, rtol=1e-6, atol=1e-9)


def test_special_cases_are_the_papers_laws() -> None:
    chinchilla = ChinchillaLaw(1.7, 400.0, 900.0, 0.34, 0.3)
    kaplan = KaplanLaw(8.8e13, 5.4e13, 0.076, 0.095)
    for law, written in (
        (chinchilla, NestedLaw.of_chinchilla(chinchilla)),
        (kaplan, NestedLaw.of_kaplan(kaplan)),
    ):
        np.testing.assert_allclose(written.loss(N, D), law.loss(N, D), rtol=1e-12)
        np.testing.assert_allclose(written.params_opt(1e21), law.params_opt(1e21), rtol=1e-12)
        assert written.a == pytest.approx(law.a)
    for form, law in ((HOFFMANN, chinchilla), (KAPLAN, kaplan)):
        values = form.log_loss(form.terms(TRUE[form.name]), np.log(N), np.log(D))[0]
        np.testing.assert_allclose(values, np.log(law.loss(N, D)), rtol=1e-13)
    product_law = ProductLaw(*TRUE["product"][0])
    values = PRODUCT.log_loss(PRODUCT.terms(TRUE["product"]), np.log(N), np.log(D))[0]
    np.testing.assert_allclose(values, np.log(product_law.loss(N, D)), rtol=1e-13)


def test_the_power_mean_is_the_other_models_law() -> None:
    """gamma = 1 is the sum of powers of approach 3; E = 0 with beta = 1 is Kaplan's joint law."""
    at = np.array([[0.4, -0.5, -0.3, 0.3, 0.25]])
    own = model_of(HOFFMANN).value(at)[0]
    moved = np.array([[np.log(0.4), -0.5 - np.log(2), -0.3 - np.log(2), 0.3, 0.25]])
    other = SumOfPowers((Term(0), Term(1, 3, 0), Term(2, 4, 1)), X, 5)
    np.testing.assert_allclose(own, other.value(moved)[0], rtol=1e-12)
    np.testing.assert_allclose(
        other.jacobian(moved)[:, 1:],
        model_of(HOFFMANN).jacobian(at)[:, 1:],
        rtol=1e-12,
    )
    at = np.array([[0.5, 0.4, 0.08, 0.1]])
    own = model_of(KAPLAN).value(at)[0]
    halved = 0.1 * np.log(2)
    joint = JointLaw(X[0], X[1]).value(at - np.array([[halved, halved, 0, 0]]))[0]
    np.testing.assert_allclose(own, joint, rtol=1e-12)


@EVERY
def test_reported_parameters_and_terms_are_inverse(name: str) -> None:
    form, (law, _) = FORMS[name], law_of(FORMS[name])
    np.testing.assert_allclose(form.reported(form.terms(TRUE[name])), TRUE[name], rtol=1e-12)
    at = theta(form, 4)
    terms = law.terms(at)
    np.testing.assert_allclose(form.terms(form.reported(terms)), terms, rtol=1e-9, atol=1e-12)
    centred = law.model.value(at)[0] + law.centre[2]
    np.testing.assert_allclose(centred, form.log_loss(terms, np.log(N), np.log(D)), rtol=1e-10)


@EVERY
@pytest.mark.parametrize("kind", ["mse", "huber", "likelihood"])
def test_a_law_is_recovered_from_its_losses(name: str, kind: str) -> None:
    law, exact = law_of(FORMS[name])
    objective = Objective(kind, {"mse": np.inf, "huber": 1e-3, "likelihood": 1.345}[kind])  # type: ignore[arg-type]
    noise = 0.0 if kind != "likelihood" else 1e-6
    targets = exact - law.centre[2] + noise * np.random.default_rng(0).normal(size=len(exact))
    found = objective.descend(law, targets[None], law.starts())
    best = found.theta[found.objective.argmin()][None, : law.n_parameters]
    np.testing.assert_allclose(law.reported(best), TRUE[name], rtol=0.02 if noise else 1e-3)


@pytest.mark.parametrize("name", ["nested", "product", "kaplan_law"])
@pytest.mark.parametrize(("threads", "group", "elements"), [(1, 7, 1000), (3, 16, 1)])
def test_result_does_not_depend_on_the_company(
    name: str, threads: int, group: int, elements: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    law, exact = law_of(FORMS[name])
    rng = np.random.default_rng(12)
    weights = rng.integers(0, 4, (24, 40)).astype(np.float64)
    targets = (exact - law.centre[2] + 0.01 * rng.normal(size=40))[None]
    objective = Objective("likelihood", 1.345)
    starts = np.tile(law.starts(rescue=True)[:1], (24, 1))
    problems = objective.pose(law, targets, weights, starts)
    whole = objective.solve(problems)
    monkeypatch.setattr(solver, "GROUP", group)
    monkeypatch.setattr(solver, "BLOCK_ELEMENTS", elements)
    for rows in (slice(None), slice(7, 8), slice(16, 24)):
        again = objective.solve(problems.block(rows), threads=threads)
        for field in ("theta", "objective", "converged", "steps"):
            assert getattr(again, field).tobytes() == getattr(whole, field)[rows].tobytes()


def residuals(form: Form, law: CentredInteraction, targets: np.ndarray, weights: np.ndarray):
    """Give scipy the law, written anew and without this project's derivatives."""
    x, y = law.model.x
    root = np.sqrt(weights)

    def of(free: np.ndarray) -> np.ndarray:
        e, u, v, alpha, beta, k = restriction(form).full(free[None])[0]
        p, q = np.exp(u - alpha * x), np.exp(v - beta * y)
        mean = e + ((p ** (1 / k) + q ** (1 / k)) / 2) ** k if not form.is_product else None
        loss = e + p + q + k * p * q if mean is None else mean
        return root * (np.log(np.maximum(loss, 1e-6)) - targets)

    return of


@EVERY
def test_no_scipy_run_finds_a_better_optimum(name: str) -> None:
    form, (law, exact) = FORMS[name], law_of(FORMS[name])
    rng = np.random.default_rng(5)
    targets = exact - law.centre[2] + 0.01 * rng.normal(size=40)
    objective = Objective("mse", np.inf)
    found = objective.descend(law, targets[None], law.starts())
    best = found.theta[found.objective.argmin()][None]
    weights = rng.multinomial(40, np.ones(40) / 40, size=4).astype(np.float64)
    problems = objective.pose(law, targets[None], weights, np.repeat(best, 4, axis=0))
    _, reached = objective.settle(problems, law.starts(rescue=True), natural=law.natural_bounds())
    lower, upper = law.bounds()
    for own, row in zip(reached, weights, strict=True):
        of = residuals(form, law, targets, row)
        starts = [best[0], *(best[0] * rng.uniform(0.7, 1.4, best.shape[1]) for _ in range(4))]
        ends = [
            least_squares(
                of,
                np.clip(start, lower + 1e-6, upper - 1e-6),
                bounds=(lower, upper),
                x_scale="jac",
                xtol=1e-14,
                ftol=1e-14,
                gtol=1e-14,
            ).cost
            for start in starts
        ]
        assert own <= min(ends) * (1 + 1e-9)


def test_a_floor_of_zero_is_a_place_like_any_other() -> None:
    """Sweeps of Kaplan's law: half end at E = 0, and no far start finds better."""
    law, _ = law_of(KAPLAN)
    rng = np.random.default_rng(3)
    kaplan = law.form.terms(TRUE["kaplan_law"])
    exact = KAPLAN.log_loss(kaplan, np.log(N), np.log(D))[0] - law.centre[2]
    targets = exact + 0.01 * rng.normal(size=(40, 40))
    nested = law.under(NESTED)
    objective = Objective("mse", np.inf)
    start = objective.descend(nested, exact[None], nested.starts())
    best = start.theta[start.objective.argmin()][None]
    problems = objective.pose(nested, targets, np.ones_like(targets), np.repeat(best, 40, axis=0))
    near = objective.solve(problems)
    at_zero = near.theta[:, 0] == 0.0
    assert 8 < at_zero.sum() < 32
    far = np.array(list(product((0.3, 0.8), (-1.0,), (-1.0,), (0.1, 0.5), (0.1, 0.5), (0.2, 0.6))))
    again = problems.pick(np.repeat(np.arange(40), len(far)), np.tile(far, (40, 1)))
    best_far = objective.solve_from_afar(again).objective.reshape(40, -1).min(axis=1)
    assert (near.objective <= best_far * (1 + 1e-9)).all()


@pytest.mark.parametrize("name", ["nested", "kaplan_law", "product"])
@pytest.mark.parametrize(("k", "m"), [(6.0, 1.0), (11.0, 0.9)])
def test_optimum_is_the_least_loss_at_its_cost(name: str, k: float, m: float) -> None:
    form, terms = FORMS[name], FORMS[name].terms(TRUE[name])
    flops = np.array([1e19, 1e22])
    log_n = form.log_params_opt(terms, flops, coefficient=k, exponent=m)[0]
    for c, found in zip(flops, log_n, strict=True):
        sizes = np.linspace(found - 1.0, found + 1.0, 200_001)
        tokens = np.log(c / k) - m * sizes
        values = form.log_loss(terms, sizes, tokens)[0]
        assert found == pytest.approx(sizes[values.argmin()], abs=2e-4)
        slope = form.frontier_slope(terms, c, coefficient=k, exponent=m)[0]
        ends = form.log_params_opt(terms, c * np.exp([-1e-3, 1e-3]), coefficient=k, exponent=m)[0]
        assert slope == pytest.approx((ends[1] - ends[0]) / 2e-3, abs=1e-7)


def test_a_product_term_without_an_optimum_has_none() -> None:
    """Where the loss falls with neither N nor D at the budget, there is no inner minimum."""
    terms = np.array([[1.0, np.log(4e2), np.log(9e2), 0.34, 0.3, -50.0]])
    found = PRODUCT.log_params_opt(terms, np.array([1e9]), coefficient=6.0, exponent=1.0)
    assert np.isnan(found).all()
    assert np.isfinite(
        PRODUCT.log_params_opt(terms, np.array([1e30]), coefficient=6.0, exponent=1.0)
    ).all()


@EVERY
def test_the_gradient_alone_is_that_of_the_derivatives(name: str) -> None:
    form = FORMS[name]
    model = model_of(form)
    rng = np.random.default_rng(5)
    slope, curvature = rng.normal(size=(2, 7, 30))
    _, state = model.value(theta(form, 7))
    both, _ = model.derivatives(state, slope, curvature)
    np.testing.assert_array_equal(model.gradient(state, slope), both)


def test_a_prior_adds_its_derivatives() -> None:
    mean, sd = np.log([0.5, 0.2]), np.array([0.3, 0.7])
    prior = solver.LogPrior((1, 2), mean, sd)

    def added(at: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        n, p = at.shape
        sums = np.zeros(n), np.zeros((n, p)), np.zeros((n, p, p))
        prior.add(at, *sums)
        return sums

    at = np.array([[0.3, 0.2, 1.0], [0.1, 1.7, 2.0]])
    value, gradient, hessian = added(at)
    np.testing.assert_allclose(value, 0.5 * (((np.log(at[:, 1:]) - mean) / sd) ** 2).sum(axis=1))
    for column in (1, 2):
        step = 1e-5 * np.eye(3)[column]
        slope = (added(at + step)[0] - added(at - step)[0]) / 2e-5
        bend = (added(at + step)[1] - added(at - step)[1])[:, column] / 2e-5
        np.testing.assert_allclose(gradient[:, column], slope, rtol=1e-6)
        np.testing.assert_allclose(hessian[:, column, column], bend, rtol=1e-6)
    assert np.count_nonzero(gradient) == np.count_nonzero(hessian) == 4
    # a bound of zero is no place to divide by, and no place to stay
    (cost,), (pull, *_), _ = (
        part[:, 1:] if part.ndim > 1 else part for part in added(0.0 * at[:1])
    )
    assert np.isfinite(cost)
    assert (pull < 0.0).all()
