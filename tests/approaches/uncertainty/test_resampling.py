"""Resamples: what is drawn, from which strata, by which seed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from isoflop.approaches.estimators.envelope import fit_envelope
from isoflop.approaches.estimators.parametric import fit_parametric
from isoflop.approaches.estimators.profiles import fit_profiles
from isoflop.approaches.estimators.registry import fit
from isoflop.approaches.protocol import Resamples
from isoflop.approaches.uncertainty import resampling
from isoflop.approaches.uncertainty.resampling import resample
from isoflop.approaches.uncertainty.streams import Stream
from isoflop.config.approaches import (
    ApproachesSettings,
    BootstrapSettings,
    EnvelopeSettings,
    ParametricSettings,
    ProfilesSettings,
)
from isoflop.estimates.diagnostics import NoiseParts

if TYPE_CHECKING:
    from isoflop.approaches.estimators.parametric import ParametricFit
    from isoflop.approaches.observations import Observations


@pytest.fixture(scope="module")
def fitted(sweep: Observations) -> ParametricFit:
    return fit_parametric(sweep, ParametricSettings(starts="coarse"))


def test_runs_are_drawn_within_their_budget(fitted: ParametricFit) -> None:
    weights = resample(fitted, BootstrapSettings(draws=200)).weights
    budgets = fitted.observations.run_budget
    for budget in np.unique(budgets):
        assert (weights[:, budgets == budget].sum(axis=1) == 7).all()
    whole = resample(fitted, BootstrapSettings(draws=200, stratify=False)).weights
    assert (whole.sum(axis=1) == 35).all()
    assert (whole[:, budgets == budgets[0]].sum(axis=1) != 7).any()


def test_every_run_is_drawn_alike(fitted: ParametricFit) -> None:
    weights = resample(fitted, BootstrapSettings(draws=4000)).weights
    # a count is binomial(7, 1/7): mean 1, variance 6/7
    assert np.abs(weights.mean(axis=0) - 1).max() < 5 * np.sqrt(6 / 7 / 4000)
    assert weights.var(axis=0).mean() == pytest.approx(6 / 7, rel=0.02)


def test_draw_i_depends_on_seed_and_i_alone(fitted: ParametricFit) -> None:
    few = resample(fitted, BootstrapSettings(draws=5, seed=4)).weights
    many = resample(fitted, BootstrapSettings(draws=50, seed=4)).weights
    np.testing.assert_array_equal(few, many[:5])
    other = resample(fitted, BootstrapSettings(draws=5, seed=5)).weights
    assert (few != other).any()
    generator = np.random.Generator(np.random.PCG64(np.random.SeedSequence([4, 3])))
    first = int(generator.random(35)[0] * 7)
    assert many[3, first] >= 1


@pytest.mark.parametrize("scheme", ["runs", "subsample"])
def test_draws_do_not_depend_on_the_blocks(
    fitted: ParametricFit, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    settings = BootstrapSettings.model_validate({"draws": 23, "scheme": scheme})
    whole = resample(fitted, settings).weights
    for block in (1, 7):
        monkeypatch.setattr(resampling, "BLOCK", block)
        np.testing.assert_array_equal(resample(fitted, settings).weights, whole)


def test_subsamples_keep_the_share_of_each_stratum_once(fitted: ParametricFit) -> None:
    settings = BootstrapSettings(draws=50, scheme="subsample", subsample=0.8)
    weights = resample(fitted, settings).weights
    assert set(np.unique(weights)) == {0.0, 1.0}
    budgets = fitted.observations.run_budget
    assert (weights[:, budgets == budgets[0]].sum(axis=1) == round(0.8 * 7)).all()


@pytest.mark.parametrize("scheme", ["residual", "wild"])
def test_residual_schemes_move_the_used_points_by_residuals(
    fitted: ParametricFit, scheme: str
) -> None:
    settings = BootstrapSettings.model_validate({"draws": 300, "scheme": scheme})
    resamples = resample(fitted, settings)
    assert (resamples.weights == 1).all()
    assert resamples.log_loss is not None
    used = np.isfinite(fitted.fitted)
    moved = resamples.log_loss[:, used] - fitted.fitted[used]
    residuals = fitted.residuals
    allowed = (
        residuals - residuals.mean() if scheme == "residual" else np.append(residuals, -residuals)
    )
    assert np.isin(moved.round(10), allowed.round(10)).all()
    if scheme == "wild":
        np.testing.assert_allclose(np.abs(moved), np.broadcast_to(np.abs(residuals), moved.shape))
    observed = np.log(fitted.observations.loss)[~used]
    np.testing.assert_array_equal(
        resamples.log_loss[:, ~used], np.broadcast_to(observed, (300, len(observed)))
    )
    assert fitted.refit(resamples).parameters.std(axis=0).min() > 0


def test_residuals_of_the_profiles_are_those_of_their_parabolas(sweep: Observations) -> None:
    fitted = fit_profiles(sweep, ProfilesSettings())
    used = np.isfinite(fitted.fitted)
    np.testing.assert_array_equal(used, sweep.is_final)
    resamples = resample(fitted, BootstrapSettings(draws=400, scheme="residual"))
    a = fitted.exponents(fitted.refit(resamples).parameters)[0]
    point = fitted.exponents(fitted.parameters[None])[0][0]
    assert abs(np.nanmean(a) - point) < np.nanstd(a)


def test_resamples_share_what_runs_share(novels_cpu: Observations) -> None:
    """Of one size, and of one cell of equal N and D, by the parts that the fit tells apart."""
    shared = fit_parametric(novels_cpu, ParametricSettings(starts="coarse"))
    parts = NoiseParts(seed=0.002, cell=0.006, size=0.01, sizes=9, cells=9, replicates=4)
    # estimated once, when first asked for; here as if it had been
    vars(shared)["noise_parts"] = parts
    resamples = resample(shared, BootstrapSettings(draws=3000))
    plain = resample(shared, BootstrapSettings(draws=3000, interval="percentile"))
    assert plain.shift is None
    np.testing.assert_array_equal(resamples.weights, plain.weights)
    assert resamples.shift is not None
    together = np.cov(resamples.shift.T)
    assert np.diag(together).mean() == pytest.approx(0.01**2 + 0.006**2, rel=0.05)
    sizes = np.unique(novels_cpu.run_params, return_inverse=True)[1]
    last = np.flatnonzero(np.diff(novels_cpu.run, append=-1))
    tokens = np.log(novels_cpu.tokens[last])
    same_size = sizes[:, None] == sizes[None]
    same_cell = same_size & (np.abs(tokens[:, None] - tokens[None]) < 1e-3)
    np.fill_diagonal(same_size, val=False)
    assert together[same_size & ~same_cell].mean() == pytest.approx(0.01**2, rel=0.1)
    np.fill_diagonal(same_cell, val=False)
    assert together[same_cell].mean() == pytest.approx(0.01**2 + 0.006**2, rel=0.1)
    others = together[sizes[:, None] != sizes[None]]
    assert abs(others.mean()) < 0.05 * 0.01**2
    # the first draws are the same, whatever comes after them
    few = resample(shared, BootstrapSettings(draws=7)).shift
    np.testing.assert_array_equal(few, resamples.shift[:7])


def test_an_envelope_shares_nothing_since_it_takes_no_losses(sweep: Observations) -> None:
    assert (
        resample(fit_envelope(sweep, EnvelopeSettings()), BootstrapSettings(draws=3)).shift is None
    )


@pytest.mark.parametrize("approach", ["parametric", "profiles"])
def test_a_shift_of_runs_is_other_losses(sweep: Observations, approach: str) -> None:
    """A resample with shifted runs is the fit to a sweep whose curves lie elsewhere."""
    settings = ApproachesSettings()
    whole = fit(sweep, approach, settings, threads=1)
    shift = np.random.default_rng(3).normal(scale=0.004, size=(1, sweep.n_runs))
    refit = whole.refit(Resamples(np.ones_like(shift), shift=shift)).parameters[0]
    moved = replace(sweep, loss=sweep.loss * np.exp(shift[0][sweep.run]))
    assert refit == pytest.approx(whole.refit_losses(moved).parameters, rel=1e-5)
    assert refit != pytest.approx(whole.parameters, rel=1e-3)


def test_numbers_that_are_kept_are_those_that_are_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = (range(3, 8), 4, 2, 5, Stream.SIMULATED_RESAMPLES, 1)
    kept = resampling._numbers(*asked)
    assert all(a is b for a, b in zip(kept, resampling._numbers(*asked), strict=True))
    monkeypatch.setattr(resampling, "SMALL", 0)
    for block, drawn in zip(kept, resampling._numbers(*asked), strict=True):
        assert (block == drawn).all()
        with pytest.raises(ValueError, match="read-only"):
            block[0] = 0.0
