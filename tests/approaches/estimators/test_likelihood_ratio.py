"""Published laws against data: what Besiroglu et al. rejected, and what a true law survives."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import chi2

from isoflop.approaches.estimators.likelihood_ratio import likelihood_ratios, log10_survival
from isoflop.approaches.estimators.parametric import fit_parametric
from isoflop.config.approaches import ParametricSettings
from isoflop.laws import ChinchillaLaw
from isoflop.reference import read_published_laws
from tests.approaches.numerics.test_likelihood import log_density
from tests.conftest import ROOT
from tests.simulate import isoflop_design, simulate

if TYPE_CHECKING:
    from typing import Any

    from isoflop.approaches.observations import Observations

PUBLISHED = read_published_laws(ROOT / "data" / "reference")
NEAR = ChinchillaLaw(E=1.8172, A=477.8, B=2143.0, alpha=0.3473, beta=0.3672)


@pytest.fixture(scope="module")
def tests240(epoch240: Observations) -> dict[float, Any]:
    return {
        delta: likelihood_ratios(epoch240, PUBLISHED, near=NEAR, delta=delta)
        for delta in (1e-3, 1.345)
    }


def test_hoffmanns_printed_constants_are_rejected(tests240: dict[float, Any]) -> None:
    """As Besiroglu et al. (2024) did, with their density: p is of the order of 1e-135."""
    found = tests240[1e-3].constants
    printed = found["hoffmann_printed"]
    # their log-likelihoods by Nelder and Mead: 879.77314 and 562.25267
    assert printed.statistic == pytest.approx(635.0409, abs=1e-3)
    assert printed.degrees_of_freedom == 5
    assert printed.log10_p == pytest.approx(-134.2663, abs=1e-3)
    assert printed.p_value == pytest.approx(5.4e-135, rel=0.01)
    assert found["hoffmann"].log10_p == pytest.approx(-15.9128, abs=1e-3)
    assert found["besiroglu"].p_value > 0.5


def test_the_rejection_does_not_hang_on_the_density(tests240: dict[float, Any]) -> None:
    found = tests240[1.345]
    assert found.constants["hoffmann_printed"].log10_p < -100
    assert found.exponents["hoffmann_printed"].log10_p < -10
    assert found.exponents["besiroglu"].p_value > 0.1


def test_fixed_exponents_give_scipys_optimum(
    tests240: dict[float, Any], epoch240: Observations
) -> None:
    law, delta = PUBLISHED["hoffmann_printed"], 1.345

    def fall(free: np.ndarray) -> float:
        theta = np.array([*free[:3], law.alpha, law.beta, free[3]])
        return -log_density(theta, epoch240, np.ones(240), delta)

    start = np.array([np.log(1.7), np.log(400.0), np.log(400.0), np.log(0.006)])
    options = {"xatol": 1e-9, "fatol": 1e-9, "maxiter": 4000}
    best = minimize(fall, start, method="Nelder-Mead", options=options)
    best = minimize(fall, best.x, method="Nelder-Mead", options=options)
    found = tests240[delta]
    test = found.exponents["hoffmann_printed"]
    assert test.statistic == pytest.approx(2 * (found.log_likelihood + best.fun), abs=1e-5)
    assert test.degrees_of_freedom == 2
    assert (test.alpha, test.beta) == (0.34, 0.28)


@pytest.mark.parametrize("degrees", [1, 2, 5])
@pytest.mark.parametrize("statistic", [0.0, 1e-3, 1.0, 30.0, 635.0, 1400.0])
def test_survival_is_chi_squares(statistic: float, degrees: int) -> None:
    expected = chi2.logsf(statistic, degrees) / np.log(10.0)
    assert log10_survival(statistic, degrees) == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_survival_goes_on_where_doubles_end() -> None:
    found = [log10_survival(x, 5) for x in (1400.0, 3000.0, 10_000.0)]
    assert found == sorted(found, reverse=True)
    # exp(-x / 2) sqrt(2 / pi) x**1.5 / 3 (1 + ...)
    leading = -5000.0 / np.log(10.0) + np.log10(np.sqrt(2 / np.pi) * 1e6 / 3)
    assert found[-1] == pytest.approx(leading, abs=1e-3)


def test_a_true_law_survives_and_a_false_one_does_not() -> None:
    true = ChinchillaLaw(E=1.7, A=400.0, B=900.0, alpha=0.35, beta=0.35)
    false = ChinchillaLaw(E=1.7, A=400.0, B=900.0, alpha=0.25, beta=0.5)
    design = isoflop_design(true, np.geomspace(1e17, 1e20, 10), points=1)
    found = []
    for seed in range(6):
        data = simulate(true, design, noise=0.003, rng=np.random.default_rng(seed))
        found.append(
            likelihood_ratios(data, {"true": true, "false": false}, near=true, delta=1.345)
        )
    for kind in ("constants", "exponents"):
        p = np.array([getattr(one, kind)["true"].p_value for one in found])
        assert p.min() > 1e-3
        assert p.max() > 0.2
        assert max(getattr(one, kind)["false"].p_value for one in found) < 1e-6
    assert min(one.parity.p_value for one in found) > 1e-3
    # a hypothesis within another never fits better
    for one in found:
        assert one.constants["true"].statistic >= one.exponents["true"].statistic >= 0


def test_unequal_exponents_are_not_equal_scaling() -> None:
    true = ChinchillaLaw(E=1.7, A=400.0, B=9000.0, alpha=0.3, beta=0.5)
    design = isoflop_design(true, np.geomspace(1e17, 1e20, 10), points=1)
    data = simulate(true, design, noise=0.002, rng=np.random.default_rng(0))
    found = likelihood_ratios(data, {}, near=true, delta=1.345)
    assert found.parity.degrees_of_freedom == 1
    assert found.parity.p_value < 1e-4


def test_a_fit_is_tested_under_its_own_likelihood(epoch240: Observations) -> None:
    settings = ParametricSettings(objective="likelihood", huber_delta=0.5, starts="coarse")
    fit = fit_parametric(epoch240, settings, published=PUBLISHED)
    found = fit.diagnostics()
    assert found.likelihood_ratios.delta == 0.5
    assert found.likelihood_ratios.log_likelihood == pytest.approx(found.log_likelihood, abs=1e-7)
    plain = fit_parametric(epoch240, ParametricSettings(starts="coarse"), published=PUBLISHED)
    assert plain.diagnostics().likelihood_ratios.delta == 1.345
    alone = fit_parametric(epoch240, ParametricSettings(starts="coarse"))
    assert alone.diagnostics().likelihood_ratios is None
