"""Likelihood-ratio tests of the special cases: their size, their power, and scipy's optimum."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy.optimize import brentq, minimize
from scipy.stats import chi2

from isoflop.approaches.estimators import nesting_tests as module
from isoflop.approaches.estimators.nesting_tests import HYPOTHESES, nesting_tests
from isoflop.approaches.numerics.centred_interaction import CentredInteraction, restriction
from isoflop.approaches.numerics.multistart import Objective
from isoflop.estimates.interaction import HOFFMANN, KAPLAN, NESTED, NO_FLOOR, PRODUCT, Form
from tests.approaches.numerics.test_interaction import residuals

if TYPE_CHECKING:
    from typing import Any

    from isoflop.approaches.observations import Observations

DELTA = 1.345


def law_and_targets(
    novels_cpu: Observations, form: Form
) -> tuple[CentredInteraction, np.ndarray, np.ndarray]:
    """Give a law at the ends of novels-cpu, its fit, and the targets."""
    own = novels_cpu.at(novels_cpu.is_final)
    law = CentredInteraction.of(form, own.params, own.tokens, own.loss)
    targets = np.log(own.loss) - law.centre[2]
    found = Objective("likelihood", DELTA).descend(law, targets[None], law.starts())
    best = found.theta[found.objective.argmin()][None, : law.n_parameters]
    return law, best, targets


@pytest.fixture(scope="module")
def found(novels_cpu: Observations) -> dict[str, Any]:
    law, best, targets = law_and_targets(novels_cpu, NESTED)
    return nesting_tests(law, best, targets, delta=DELTA)


def test_novels_cpu_rejects_both_papers(found: dict[str, Any]) -> None:
    tests = found["hypotheses"]
    assert list(tests) == ["hoffmann", "kaplan_law", "no_floor"]
    for name in ("hoffmann", "kaplan_law"):
        assert tests[name]["log10_p"] < -15
        assert tests[name]["simulated"]["p_value"] == pytest.approx(1 / 401)
    # what is left of Kaplan's law without its beta of 1 comes much nearer
    assert tests["no_floor"]["statistic"] < 0.3 * tests["kaplan_law"]["statistic"]
    assert set(tests["kaplan_law"]["parameters"]) == {"N_c", "alpha_N", "D_c", "alpha_D"}


def test_the_tests_have_their_size_on_this_design(found: dict[str, Any]) -> None:
    """An independent simulation had 6 to 8 % for gamma = 1; the binomial error is 1.1 %."""
    sizes = {name: test["simulated"]["size"] for name, test in found["hypotheses"].items()}
    assert 0.03 < sizes["hoffmann"] < 0.10
    assert 0.03 < sizes["kaplan_law"] < 0.11
    assert 0.02 < sizes["no_floor"] < 0.10


@pytest.mark.parametrize(("true", "rejected"), [(HOFFMANN, "kaplan_law"), (KAPLAN, "hoffmann")])
def test_a_true_special_case_survives_and_the_other_does_not(
    true: Form, rejected: str, novels_cpu: Observations
) -> None:
    law, _, targets = law_and_targets(novels_cpu, NESTED)
    under = law.under(true)
    fit = Objective("mse", np.inf).descend(under, targets[None], under.starts())
    exact = under.model.value(fit.theta[fit.objective.argmin()][None])[0][0]
    survived = []
    for seed in range(4):
        noisy = exact + 0.006 * np.random.default_rng(seed).normal(size=len(exact))
        start = law.restriction.free(restriction(true).full(under.starts()[:1]))
        tests = nesting_tests(law, start, noisy, delta=DELTA, simulations=0)["hypotheses"]
        assert tests[rejected]["p_value"] < 1e-4
        survived.append(tests[true.name]["p_value"])
    assert min(survived) > 1e-3
    assert max(survived) > 0.2


def test_the_likelihoods_are_scipys(found: dict[str, Any], novels_cpu: Observations) -> None:
    law, best, targets = law_and_targets(novels_cpu, NESTED)
    ends = {}
    for form in (NESTED, HOFFMANN, NO_FLOOR):
        under = law.under(form)
        of = residuals(form, under, targets, np.ones_like(targets))

        def fall(free: np.ndarray, of: Any = of) -> float:
            size = np.abs(of(free[:-1])) / np.exp(free[-1])
            rho = np.where(size < DELTA, 0.5 * size**2, DELTA * (size - 0.5 * DELTA))
            return float(rho.sum() + len(size) * free[-1])

        at = Objective("likelihood", DELTA).descend(under, targets[None], under.starts())
        start = at.theta[at.objective.argmin()]
        options = {"xatol": 1e-10, "fatol": 1e-10, "maxiter": 20_000, "maxfev": 20_000}
        for spread in (1.0, 1.003):
            start = minimize(fall, start * spread, method="Nelder-Mead", options=options).x
        ends[form.name] = fall(start)
    for name in ("hoffmann", "no_floor"):
        ratio = 2 * (ends[name] - ends["nested"])
        assert found["hypotheses"][name]["statistic"] == pytest.approx(ratio, abs=2e-4)
    assert best.shape == (1, 6)


@pytest.mark.parametrize("mixture", [(1,), (1, 2), (0, 1)])
def test_mixtures_of_chi_squares(mixture: tuple[int, ...]) -> None:
    def survival(x: float) -> float:
        return sum(float(chi2.sf(x, k)) if k else 0.0 for k in mixture) / len(mixture)

    for statistic in (0.5, 3.0, 40.0):
        assert 10 ** module._log10_p(statistic, mixture) == pytest.approx(survival(statistic))
    assert module._log10_p(0.0, mixture) == 0.0
    critical = brentq(lambda x: survival(x) - 0.05, 1e-6, 50.0)
    assert module._critical(mixture) == pytest.approx(critical, rel=1e-9)


@pytest.mark.parametrize("form", [NO_FLOOR, KAPLAN, PRODUCT])
def test_each_law_is_tested_against_its_own_special_cases(
    form: Form, novels_cpu: Observations
) -> None:
    law, best, targets = law_and_targets(novels_cpu, form)
    tests = nesting_tests(law, best, targets, delta=DELTA, simulations=0)["hypotheses"]
    assert list(tests) == [hypothesis.form.name for hypothesis in HYPOTHESES[form.name]]
    assert all(test["statistic"] > 50 for test in tests.values())


def test_hoffmanns_law_is_one_law_in_both_forms(
    found: dict[str, Any], novels_cpu: Observations
) -> None:
    """No product term and gamma = 1 are the same law, and the same fit."""
    law, best, targets = law_and_targets(novels_cpu, PRODUCT)
    tests = nesting_tests(law, best, targets, delta=DELTA, simulations=0)
    for name, value in tests["hypotheses"]["hoffmann"]["parameters"].items():
        own = found["hypotheses"]["hoffmann"]["parameters"][name]
        assert value == pytest.approx(own, rel=1e-4)
