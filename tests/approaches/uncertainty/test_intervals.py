"""Intervals: exact where theory is, and of the right kind."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy.stats import bootstrap, norm

from isoflop.approaches.estimators.profiles import fit_profiles
from isoflop.approaches.protocol import Resamples
from isoflop.approaches.uncertainty.intervals import (
    BootstrapSample,
    bca_intervals,
    intervals,
    studentised_intervals,
)
from isoflop.approaches.uncertainty.jackknife import jackknife_errors
from isoflop.config.approaches import ProfilesSettings
from isoflop.estimates.intervals import (
    percentile_intervals,
)

if TYPE_CHECKING:
    from isoflop.approaches.observations import Observations

RNG = np.random.default_rng(3)


def test_percentiles_of_normal_draws() -> None:
    draws = norm.ppf((np.arange(100_000) + 0.5) / 100_000)
    draws[:10] = np.nan  # refused draws do not count
    found = percentile_intervals(draws)
    assert found["0.8"] == pytest.approx(norm.interval(0.8), abs=2e-3)
    assert found["0.95"] == pytest.approx(norm.interval(0.95), abs=2e-3)


def test_bca_agrees_with_scipy() -> None:
    sample = RNG.exponential(size=25)
    theirs = bootstrap(
        (sample,), np.mean, confidence_level=0.8, n_resamples=100_000, method="BCa", rng=0
    ).confidence_interval
    draws = RNG.choice(sample, (100_000, 25)).mean(axis=1)
    jackknife = (sample.sum() - sample) / 24
    found = bca_intervals(BootstrapSample(float(sample.mean()), draws, jackknife))
    assert found["0.8"] == pytest.approx((theirs.low, theirs.high), rel=0.02)
    plain = percentile_intervals(draws)
    assert found["0.8"][0] > plain["0.8"][0]


def test_studentised_with_equal_errors_mirrors_the_draws() -> None:
    draws = 2.0 * np.exp(RNG.normal(0.1, 0.05, 50_000))
    own = BootstrapSample(2.0, draws, error=0.1, errors=0.05 * draws)
    low, high = studentised_intervals(own)["0.8"]
    lower, upper = percentile_intervals(draws)["0.8"]
    assert low == pytest.approx(4.0 / upper, rel=1e-3)
    assert high == pytest.approx(4.0 / lower, rel=1e-3)


def test_a_kind_without_what_it_needs_is_an_error() -> None:
    own = BootstrapSample(1.0, RNG.normal(1, 0.1, 500))
    assert intervals(own, "percentile") == percentile_intervals(own.draws)
    for kind in ("bca", "studentised", "calibrated", "made-up"):
        with pytest.raises(ValueError, match=r"leave-outs|standard errors|kinds are"):
            intervals(own, kind)
    assert intervals(BootstrapSample(1.0, np.full(9, np.nan)), "percentile") == {}


def test_jackknife_errors_are_those_of_the_rows_drawn(sweep: Observations) -> None:
    """Against a plain loop over the rows of one resample, copies included."""
    fitted = fit_profiles(sweep, ProfilesSettings())
    weights = RNG.integers(1, 3, (1, sweep.n_runs)).astype(float)
    found = jackknife_errors(fitted, Resamples(weights), lambda rows: rows[:, 1:2])
    left = []
    for run in range(sweep.n_runs):
        without = weights.copy()
        without[0, run] -= 1
        left += [fitted.refit(Resamples(without)).parameters[0, 1]] * int(weights[0, run])
    m = len(left)
    expected = np.sqrt((m - 1) / m * ((np.array(left) - np.mean(left)) ** 2).sum())
    assert found[0, 0] == pytest.approx(expected, rel=1e-9)
