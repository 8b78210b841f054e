"""Priors of exponents: a firm one decides, a wide one says nothing, and none is as none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from scipy.optimize import approx_fprime
from scipy.stats import norm

from isoflop.approach import LAWS, Approach
from isoflop.approaches.estimators.registry import fit
from isoflop.approaches.numerics.solver import LogPrior
from isoflop.approaches.uncertainty.resampling import resample
from isoflop.config.approaches import ApproachesSettings

if TYPE_CHECKING:
    from isoflop.approaches.observations import Observations
    from isoflop.approaches.protocol import Fit

EXPONENT = {"kaplan_law": ("alpha_N", "alpha_D")}
"""Of whole terms, as a law reports them; the others' are alpha and beta."""


def settings(law: Approach, **priors: Any) -> ApproachesSettings:
    return ApproachesSettings.model_validate(
        {law: priors | ({"starts": "coarse"} if law == "parametric" else {}),
         "bootstrap": {"draws": 20}}
    )  # fmt: skip


def exponents(fitted: Fit, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Give the exponents of both whole terms, for rows of parameters."""
    values = dict(zip(fitted.names, rows.T, strict=True))
    n, d = EXPONENT.get(fitted.approach, ("alpha", "beta"))
    power = values.get("gamma", 0.5 if fitted.approach == "root" else 1.0)
    return power * values[n], power * values[d]


@pytest.mark.parametrize("law", LAWS)
def test_a_firm_prior_decides_and_a_wide_one_says_nothing(
    novels_cpu: Observations, law: Approach
) -> None:
    free = fit(novels_cpu, law, settings(law), threads=1)
    wide = fit(novels_cpu, law, settings(law, alpha_prior={"median": 0.9, "sd": 1e6}), threads=1)
    np.testing.assert_allclose(wide.parameters, free.parameters, rtol=1e-5)
    firm = settings(
        law,
        alpha_prior={"median": 0.31, "sd": 1e-5},
        beta_prior={"median": 0.43, "sd": 1e-5},
    )
    held = fit(novels_cpu, law, firm, threads=1)
    assert any("priors of alpha (median 0.31" in caution for caution in held.cautions())
    assert not any("prior" in caution for caution in free.cautions())
    refits = held.refit(resample(held, firm.bootstrap, shared=False))
    rows = np.vstack([held.parameters, refits.parameters[refits.refusals == ""]])
    of_size, of_data = exponents(held, rows)
    np.testing.assert_allclose(of_size, 0.31, rtol=1e-3)
    np.testing.assert_allclose(of_data, 0.43, rtol=1e-3)


def test_a_prior_weighs_as_much_as_its_width_says(novels_cpu: Observations) -> None:
    def of_size(**prior: Any) -> float:
        fitted = fit(novels_cpu, "root", settings("root", **prior), threads=1)
        return float(exponents(fitted, fitted.parameters[None])[0][0])

    free = of_size()
    there = {"median": 2.0 * free}
    pulled = [of_size(alpha_prior=there | {"sd": sd}) for sd in (0.3, 0.1, 0.03)]
    assert free < pulled[0] < pulled[1] < pulled[2] < 2.0 * free


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("objective", ["huber", "mse"])
def test_a_prior_asks_for_a_likelihood(law: Approach, objective: str) -> None:
    with pytest.raises(ValueError, match="beta_prior asks for objective: likelihood"):
        settings(law, objective=objective, beta_prior={"median": 0.3, "sd": 0.2})


def test_tied_exponents_take_one_prior(novels_cpu: Observations) -> None:
    firm = {"median": 0.31, "sd": 1e-5}
    with pytest.raises(ValueError, match="give its prior as alpha_prior"):
        settings("parametric", exponents="tied", beta_prior=firm)
    chosen = settings("parametric", exponents="tied", alpha_prior=firm)
    fitted = fit(novels_cpu, "parametric", chosen, threads=1)
    values = dict(zip(fitted.names, fitted.parameters, strict=True))
    assert values["alpha"] == values["beta"] == pytest.approx(0.31, rel=1e-3)


@pytest.mark.parametrize(
    "prior",
    [{"median": 1e300, "sd": 0.1}, {"median": 50.0, "sd": 0.1}, {"median": 1e-300, "sd": 0.1},
     {"median": 0.3, "sd": float("inf")}, {"median": 0.3, "sd": 1e-300}],
)  # fmt: skip
def test_an_absurd_prior_is_refused(prior: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"(?:less|greater) than or equal"):
        settings("kaplan_law", alpha_prior=prior)


def test_a_prior_is_a_normal_density_of_a_log() -> None:
    """Against scipy: its value, slope and bend."""
    prior = LogPrior((1, 2), np.log([0.3, 0.5]), np.array([0.2, 0.7]))
    theta = np.array([[9.0, 0.4, 0.2], [9.0, 0.3, 0.5]])

    def added(at: np.ndarray) -> float:
        total = np.zeros(1)
        prior.add(at[None], total, np.zeros((1, 3)), np.zeros((1, 3, 3)))
        return float(total[0])

    gradient, hessian = np.zeros((2, 3)), np.zeros((2, 3, 3))
    objective = np.zeros(2)
    prior.add(theta, objective, gradient, hessian)
    for k, at in enumerate(theta):
        density = norm.logpdf(np.log(at[1:]), prior.mean, prior.sd)
        highest = norm.logpdf(0.0, scale=prior.sd)
        assert objective[k] == pytest.approx((highest - density).sum())
        np.testing.assert_allclose(gradient[k], approx_fprime(at, added, 1e-7), atol=1e-4)

    def curve(step: float) -> float:
        at = theta[0] + np.array([0.0, step, 0.0])
        of_one = np.zeros((1, 3))
        prior.add(at[None], np.zeros(1), of_one, np.zeros((1, 3, 3)))
        return float(of_one[0, 1])

    assert hessian[0, 1, 1] == pytest.approx((curve(1e-6) - curve(-1e-6)) / 2e-6, rel=1e-5)
