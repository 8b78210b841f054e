"""Kaplan's laws on data that have them, and what makes his exponent."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest
from scipy.optimize import least_squares

from isoflop.approaches.estimators.envelope import fit_envelope
from isoflop.approaches.estimators.kaplan import fit_kaplan
from isoflop.approaches.estimators.registry import fit
from isoflop.approaches.observations import observe
from isoflop.config.approaches import (
    ApproachesSettings,
    CountingSettings,
    EnvelopeSettings,
    KaplanSettings,
)
from isoflop.laws import KaplanLaw
from tests.simulate import isoflop_design, simulate

if TYPE_CHECKING:
    from isoflop.approaches.observations import Observations
    from isoflop.laws import ChinchillaLaw

TRUE = KaplanLaw(N_c=8e13, D_c=3e13, alpha_N=0.08, alpha_D=0.1)


def named(fit: object) -> dict[str, float]:
    return dict(zip(fit.names, fit.parameters, strict=True))  # type: ignore[attr-defined]


def test_joint_law_is_recovered(law: ChinchillaLaw) -> None:
    design = isoflop_design(law, (1e17, 1e18, 1e19), points=20)
    data = simulate(law, design, noise=0.0, rng=np.random.default_rng(0))
    exact = replace(data, loss=TRUE.loss(data.params, data.tokens))
    found = named(fit_kaplan(exact, KaplanSettings()))
    assert found["alpha_N"] == pytest.approx(TRUE.alpha_N, rel=1e-5)
    assert found["alpha_D"] == pytest.approx(TRUE.alpha_D, rel=1e-5)
    assert found["N_c"] == pytest.approx(TRUE.N_c, rel=1e-3)
    assert found["D_c"] == pytest.approx(TRUE.D_c, rel=1e-3)
    assert found["a_joint"] == pytest.approx(TRUE.a, rel=1e-5)


def test_joint_law_is_the_least_squares_fit(sweep: Observations) -> None:
    final = sweep.at(sweep.is_final)
    found = named(fit_kaplan(sweep, KaplanSettings()))

    def residuals(theta: np.ndarray) -> np.ndarray:
        log_n, log_d, alpha_n, alpha_d = theta
        law = KaplanLaw(np.exp(log_n), np.exp(log_d), alpha_n, alpha_d)
        return np.log(final.loss / law.loss(final.params, final.tokens))

    ours = [np.log(found["N_c"]), np.log(found["D_c"]), found["alpha_N"], found["alpha_D"]]
    best = least_squares(residuals, ours, xtol=1e-15, ftol=1e-15, gtol=1e-15, x_scale="jac")
    assert (residuals(np.array(ours)) ** 2).sum() <= 2 * best.cost * (1 + 1e-6)


def test_headline_is_the_envelope_under_kaplans_counting(sweep: Observations) -> None:
    found = named(fit_kaplan(sweep, KaplanSettings()))
    envelope = named(fit_envelope(sweep, EnvelopeSettings(min_schedule_fraction=0.0)))
    assert found["a"] == pytest.approx(envelope["a"], rel=1e-12)
    # L(C) = (C_c / C)**alpha_C is the same line, written as in 2020
    c = 1e18
    assert (found["C_c"] / c) ** found["alpha_C"] == pytest.approx(
        envelope["L_coefficient"] * c ** -envelope["L_exponent"], rel=1e-9
    )


def test_leaving_the_embedding_out_raises_the_exponent(law: ChinchillaLaw) -> None:
    """Pearce and Song (2024): N_total = N + 47,491 N**(1/3) makes small models look steeper."""
    design = isoflop_design(law, np.geomspace(1e14, 1e18, 9), sizes=15, spread=3.0, points=60)
    total = simulate(law, design, noise=0.0, rng=np.random.default_rng(0))
    # N by Newton's method on the cube root
    root = np.cbrt(total.run_params)
    for _ in range(60):
        root -= (root**3 + 47_491.0 * root - total.run_params) / (3 * root**2 + 47_491.0)
    body = root**3
    counted = replace(
        total,
        params=body[total.run],
        run_params=body,
        flops=6.0 * body[total.run] * total.tokens,
    )
    a_total = named(fit_kaplan(total, KaplanSettings()))["a"]
    a_body = named(fit_kaplan(counted, KaplanSettings()))["a"]
    assert a_total == pytest.approx(law.a, abs=0.01)
    assert a_body > 0.7


def test_size_law_goes_through_the_lowest_loss_of_each_size(sweep: Observations) -> None:
    found = named(fit_kaplan(sweep, KaplanSettings()))
    sizes = np.unique(sweep.run_params)
    lowest = [sweep.loss[sweep.params == size].min() for size in sizes]
    slope, intercept = np.polyfit(np.log(sizes), np.log(lowest), 1)
    assert found["alpha_N_alone"] == pytest.approx(-slope, rel=1e-7)
    assert np.log(found["N_c_alone"]) == pytest.approx(intercept / -slope, rel=1e-6)


def test_both_countings_stand_beside_each_other(losses: pl.DataFrame) -> None:
    found = fit(losses, "kaplan", ApproachesSettings()).diagnostics().countings
    assert [(one.params, one.flops) for one in found] == [
        ("nonembedding", "kaplan"), ("total", "6nd")
    ]  # fmt: skip
    for one in found:
        counting = CountingSettings(params=one.params, flops=one.flops)
        alone = fit_kaplan(observe(losses, counting), KaplanSettings())
        assert one.parameters == pytest.approx(named(alone))
    # the table counts 0.8 of the parameters without embedding: that moves constants only
    first, second = (one.parameters for one in found)
    assert first["a"] == pytest.approx(second["a"])
    assert first["N_c_alone"] == pytest.approx(0.8 * second["N_c_alone"], rel=1e-6)


def test_a_count_that_a_sweep_lacks_is_said(losses: pl.DataFrame) -> None:
    lacking = losses.with_columns(pl.lit(None, dtype=pl.Float64).alias("params_total"))
    found = fit(lacking, "kaplan", ApproachesSettings()).diagnostics().countings
    assert found[0].parameters is not None
    assert found[1].parameters is None
    assert "no params_total" in found[1].refused
