"""Intervals: exact where theory is, and of the right kind."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy.stats import bootstrap, norm

from isoflop.approaches.coverage import check_coverage
from isoflop.approaches.intervals import (
    Evidence,
    bca_intervals,
    intervals,
    percentile_intervals,
    studentised_intervals,
)
from isoflop.approaches.jackknife import jackknife_errors
from isoflop.approaches.profiles import fit_profiles
from isoflop.approaches.protocol import Resamples
from isoflop.config import (
    ApproachesSettings,
    BootstrapSettings,
    CountingSettings,
    ProfilesSettings,
)

if TYPE_CHECKING:
    from isoflop.approaches.observations import Observations

LEVELS = (0.8, 0.95)
RNG = np.random.default_rng(3)


def test_percentiles_of_normal_draws() -> None:
    draws = norm.ppf((np.arange(100_000) + 0.5) / 100_000)
    draws[:10] = np.nan  # refused draws do not count
    found = percentile_intervals(Evidence(0.0, draws), LEVELS)
    assert found["0.8"] == pytest.approx(norm.interval(0.8), abs=2e-3)
    assert found["0.95"] == pytest.approx(norm.interval(0.95), abs=2e-3)


def test_bca_agrees_with_scipy() -> None:
    sample = RNG.exponential(size=25)
    theirs = bootstrap(
        (sample,), np.mean, confidence_level=0.8, n_resamples=100_000, method="BCa", rng=0
    ).confidence_interval
    draws = RNG.choice(sample, (100_000, 25)).mean(axis=1)
    jackknife = (sample.sum() - sample) / 24
    found = bca_intervals(Evidence(float(sample.mean()), draws, jackknife), LEVELS)
    assert found["0.8"] == pytest.approx((theirs.low, theirs.high), rel=0.01)
    plain = percentile_intervals(Evidence(float(sample.mean()), draws), LEVELS)
    assert found["0.8"][0] > plain["0.8"][0]


def test_studentised_with_equal_errors_mirrors_the_draws() -> None:
    draws = 2.0 * np.exp(RNG.normal(0.1, 0.05, 50_000))
    own = Evidence(2.0, draws, error=0.1, errors=0.05 * draws)
    low, high = studentised_intervals(own, LEVELS)["0.8"]
    lower, upper = percentile_intervals(own, LEVELS)["0.8"]
    assert low == pytest.approx(4.0 / upper, rel=1e-3)
    assert high == pytest.approx(4.0 / lower, rel=1e-3)


def test_kinds_fall_back_to_percentiles() -> None:
    own = Evidence(1.0, RNG.normal(1, 0.1, 500))
    plain = intervals(own, BootstrapSettings())
    for kind in ("bca", "studentised"):
        assert intervals(own, BootstrapSettings.model_validate({"interval": kind})) == plain
    assert intervals(Evidence(1.0, np.full(9, np.nan)), BootstrapSettings()) == {}


def test_jackknife_errors_are_those_of_the_rows_drawn(sweep: Observations) -> None:
    """Against a plain loop over the rows of one resample, copies included."""
    fitted = fit_profiles(sweep, ProfilesSettings(), CountingSettings())
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


def test_coverage_counts_every_cell(sweep: Observations) -> None:
    settings = ApproachesSettings.model_validate(
        {"bootstrap": {"draws": 60}, "parametric": {"starts": "coarse"}}
    )
    table = check_coverage(
        sweep,
        settings,
        approaches=["profiles", "parametric"],
        schemes=["runs", "residual"],
        kinds=["percentile", "bca"],
        simulations=12,
    )
    # two approaches, two schemes, two kinds, (a, b, three optima), two levels
    assert len(table) == 2 * 2 * 2 * 5 * 2
    assert (table["simulations"] == 12).all()
    narrow, wide = (table.filter(level=level)["coverage"].to_numpy() for level in (0.8, 0.95))
    assert (narrow <= wide).all()
    parametric = table.filter(approach="parametric", scheme="runs", interval="percentile")
    assert parametric.filter(level=0.95)["coverage"].mean() > 0.7
    beyond = parametric.filter(quantity="params_opt", level=0.8)["median_width"].to_list()
    assert beyond == sorted(beyond)
