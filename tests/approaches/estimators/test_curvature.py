"""Whether a frontier bends: none in a power law, and a planted bend comes out."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from isoflop.approaches.estimators.curvature import Curvature, describe_bend, quadratic_term, slopes
from isoflop.approaches.estimators.envelope import fit_envelope
from isoflop.approaches.estimators.frontier import Frontiers
from isoflop.approaches.estimators.profiles import fit_profiles
from isoflop.approaches.fit_approach import fit_approach
from isoflop.approaches.protocol import Resamples
from isoflop.config.approaches import (
    ApproachesSettings,
    EnvelopeSettings,
    ProfilesSettings,
)
from isoflop.estimates.estimate import Bend, Estimate, Provenance
from tests.approaches.conftest import LAW
from tests.simulate import isoflop_design, simulate

if TYPE_CHECKING:
    from typing import Any

    from isoflop.approach import Approach
    from isoflop.approaches.observations import Observations
    from isoflop.laws import ChinchillaLaw

BUDGETS = np.geomspace(1e17, 1e20, 7)
BEND = -0.04
"""Planted change of a per decade."""
PROVENANCE = Provenance(inputs={}, version="test", git_revision=None)


def valleys(bend: float, *, noise: float = 0.0) -> Observations:
    """Give IsoFLOP rows whose optimum is log-quadratic in C, with losses parabolic about it."""
    design = isoflop_design(LAW, BUDGETS, sizes=9, points=1)
    plain = simulate(LAW, design, noise=0.0, rng=np.random.default_rng(0))
    decades = np.log10(plain.flops / 1e18)
    best = np.log(2e8) + np.log(10.0) * (0.5 * decades + 0.5 * bend * decades**2)
    rng = np.random.default_rng(1)
    error = rng.normal(0.0, noise, len(plain.loss))
    valley = 3.0 - 0.2 * decades + 0.05 * (np.log(plain.params) - best) ** 2 + error
    return replace(plain, loss=valley)


def staircase(bend: float) -> Observations:
    """Give curves of 400 sizes, each lowest where a log-quadratic frontier passes its size."""
    decades = np.linspace(-2.0, 2.0, 400)
    params = 2e8 * 10.0 ** (0.5 * decades + 0.5 * bend * decades**2)
    design = isoflop_design(LAW, (1e18,), sizes=3, points=1)
    shape = simulate(LAW, design, noise=0.0, rng=np.random.default_rng(0))
    n, points = len(params), 120
    at = np.tile(np.linspace(-2.5, 2.5, points), n)
    run = np.repeat(np.arange(n), points)
    loss = np.exp(1.0 - 0.1 * at + 0.02 * at**2 + 0.3 * (at - decades[run]) ** 2)
    c = 1e18 * 10.0**at
    return replace(
        shape,
        runs=tuple(f"run{i:03d}" for i in range(n)),
        run=run,
        params=params[run],
        tokens=c / (6.0 * params[run]),
        flops=c,
        loss=loss,
        is_final=np.tile(np.arange(points) == points - 1, n),
        schedule_fraction=np.ones(n * points),
        run_params=params,
        run_budget=np.full(n, np.nan),
    )


def whole(fitted: Any) -> Any:
    return fitted.refit(Resamples(np.ones((1, fitted.observations.n_runs)))).curvature


@pytest.mark.parametrize("bend", [0.0, BEND, 0.1])
def test_a_planted_bend_is_recovered_by_the_profiles(bend: float) -> None:
    found = whole(fit_profiles(valleys(bend), ProfilesSettings()))
    assert found.per_decade[0] == pytest.approx(bend, abs=1e-9)
    assert found.thirds is None


@pytest.mark.parametrize("bend", [0.0, BEND])
@pytest.mark.parametrize("frontier", ["grid", "hull"])
def test_a_planted_bend_is_recovered_by_the_envelope(bend: float, frontier: str) -> None:
    settings = EnvelopeSettings.model_validate({"frontier": frontier})
    found = whole(fit_envelope(staircase(bend), settings))
    assert found.per_decade[0] == pytest.approx(bend, abs=4e-3)
    # the middle of each third lies four thirds of a decade from the next
    middles = np.array([-4 / 3, 0.0, 4 / 3])
    np.testing.assert_allclose(found.thirds[0], 0.5 + bend * middles, atol=0.015)


def test_thirds_and_bend_are_numpys(sweep: Observations) -> None:
    fitted = fit_envelope(sweep, EnvelopeSettings())
    found = whole(fitted)
    frontier = fitted.frontier
    kept = frontier.run[0] >= 0
    x, y = frontier.log_flops[0][kept], frontier.log_params[0][kept]
    quadratic = np.polyfit(x - x.mean(), y, 2)[0]
    assert found.per_decade[0] == pytest.approx(2 * np.log(10) * quadratic, rel=1e-6)
    part = np.clip(((x - x[0]) / (x[-1] - x[0]) * 3).astype(int), 0, 2)
    sizes = sweep.run_params[frontier.run[0][kept]]
    steps = [len(np.unique(sizes[part == k])) for k in range(3)]
    for k in range(3):
        if steps[k] < 3:
            assert np.isnan(found.thirds[0, k])
            continue
        own = part == k
        slope = np.polyfit(x[own] - x.mean(), y[own], 1)[0]
        assert found.thirds[0, k] == pytest.approx(slope, rel=1e-6, abs=1e-9)


def test_rows_are_those_of_each_subset(sweep: Observations) -> None:
    """A row's numbers do not depend on the rows beside it; a hull's sums are padded to a width."""
    weights = np.random.default_rng(3).integers(0, 2, (5, sweep.n_runs)).astype(float)
    for frontier in ("grid", "hull"):
        settings = EnvelopeSettings.model_validate({"frontier": frontier, "min_sizes": 2})
        fitted = fit_envelope(sweep, settings)
        together = fitted.refit(Resamples(weights)).curvature
        for i in range(len(weights)):
            alone = fitted.refit(Resamples(weights[[i]])).curvature
            bends = (alone.per_decade[0], together.per_decade[i])
            parts = (alone.thirds[0], together.thirds[i])
            for one, other in (bends, parts):
                rtol = 0.0 if frontier == "grid" else 1e-12
                np.testing.assert_allclose(one, other, rtol=rtol, atol=0.1 * rtol)


def test_too_few_points_give_none() -> None:
    x = np.array([[1.0, 2.0, 3.0]])
    y = np.array([[1.0, 4.0, 9.0], [1.0, 4.0, 9.0]])
    weights = np.array([[1.0, 1.0, 1.0], [1.0, 1.0, 0.0]])
    found = quadratic_term(x, y, weights, 2.0)
    assert found[0] == pytest.approx(2.0 * np.log(10.0))
    assert np.isnan(found[1])
    assert np.isnan(slopes(x, y, weights, np.array([0.0, 1.5, 4.0]))[1, 0])


def estimate(observations: Observations, approach: Approach) -> Bend:
    settings = ApproachesSettings.model_validate(
        {"bootstrap": {"draws": 200, "interval": "percentile"}}
    )
    outcome, _ = fit_approach(observations, approach, settings, sweep="s", provenance=PROVENANCE)
    assert isinstance(outcome, Estimate)
    assert outcome.curvature is not None
    return outcome.curvature


def test_intervals_of_a_bend_tell_it_from_none() -> None:
    for bend, held in ((0.0, True), (-0.15, False)):
        found = estimate(valleys(bend, noise=0.004), "profiles")
        low, high = found.per_decade.intervals["0.95"]
        assert (low <= 0.0 <= high) is held
        assert low <= found.per_decade.value <= high
        assert found.draws > 150


def test_three_budgets_say_why_there_is_none(law: ChinchillaLaw) -> None:
    design = isoflop_design(law, (1e17, 1e18, 1e19), points=1)
    data = simulate(law, design, noise=0.002, rng=np.random.default_rng(0))
    found = estimate(data, "profiles")
    assert found.per_decade is None
    assert found.reason.endswith("there are 3")


def test_envelope_reports_thirds_with_their_span(sweep: Observations) -> None:
    found = estimate(sweep, "envelope")
    ends = [third.flops for third in found.thirds]
    assert ends[0][1] == ends[1][0] < ends[1][1] == ends[2][0]
    assert any(third.a for third in found.thirds)
    for third in found.thirds:
        if third.a is not None:
            low, high = third.a.intervals["0.8"]
            assert low <= high


def test_a_third_won_by_two_sizes_has_no_exponent() -> None:
    """A line through one step between two sizes says where the step is."""
    run = np.array([[0, 0, 1, 1, 1, 2, 2, 3, 3]])
    nothing = np.zeros_like(run, dtype=np.float64)
    frontier = Frontiers(np.arange(9.0)[None], run, nothing, nothing, nothing)
    edges = np.array([0.0, 3.0, 6.0, 9.0])
    assert frontier.distinct_sizes_in(np.arange(4), edges).tolist() == [[2, 2, 2]]
    assert frontier.distinct_sizes_in(np.arange(4), np.array([0.0, 9.0])).tolist() == [[4]]


def test_a_third_without_a_line_has_no_number() -> None:
    """A hull may have all its corners in two thirds of its span: NaN is no JSON."""
    thirds, edges = np.array([[0.5, np.nan, 0.4]]), np.log(np.geomspace(1e18, 1e21, 4))
    whole = Curvature(np.array([-0.01]), thirds, edges)
    draws = Curvature(np.linspace(-0.02, 0.0, 9), np.repeat(thirds, 9, axis=0), edges)
    bend = describe_bend(whole, draws)
    assert bend.thirds is not None
    assert [third.a and third.a.value for third in bend.thirds] == [0.5, None, 0.4]
    assert Bend.model_validate_json(bend.model_dump_json()) == bend
