"""Frontiers of many subsets at once against one subset at a time."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import ConvexHull

from isoflop.approaches.estimators.frontier import grid_curves, hull_points, lower_hull
from tests.tiers import times

if TYPE_CHECKING:
    from isoflop.approaches.observations import Observations

SEEDS = st.integers(0, 2**32 - 1)


def only(observations: Observations, runs: np.ndarray) -> Observations:
    return observations.at(np.isin(observations.run, runs))


@given(seed=SEEDS)
@settings(max_examples=times(10))
def test_each_subset_has_the_grid_of_its_own_runs(sweep: Observations, seed: int) -> None:
    present = np.random.default_rng(seed).random((5, sweep.n_runs)) < 0.4
    present[:, 0] = True
    curves = grid_curves(sweep, 200)
    found = curves.frontiers(present)
    for row in range(5):
        loss = np.where(present[row][:, None], curves.loss, np.inf)
        reached = np.isfinite(loss.min(axis=0))
        np.testing.assert_array_equal(found.run[row] >= 0, reached)
        np.testing.assert_allclose(
            np.exp(found.log_loss[row][reached]), loss.min(axis=0)[reached], rtol=1e-12
        )
        assert present[row][found.run[row][reached]].all()


def test_curves_are_interpolated_in_log_flops(sweep: Observations) -> None:
    curves = grid_curves(sweep, 300)
    run = 12
    own = sweep.run == run
    there = np.isfinite(curves.loss[run])
    places = curves.places[there]
    np.testing.assert_allclose(
        curves.loss[run, there], np.interp(places, np.log(sweep.flops[own]), sweep.loss[own])
    )
    assert places[0] >= np.log(sweep.flops[own][0])
    assert places[-1] <= np.log(sweep.flops[own][-1])
    # under C = 6ND the tokens follow from C and N
    np.testing.assert_allclose(
        curves.log_tokens[run, there], places - np.log(6.0 * sweep.run_params[run]), rtol=1e-9
    )


def test_curves_may_be_single_precision(sweep: Observations) -> None:
    """Of a large sweep the points are held in half the memory, and logs are still taken in full."""
    single = replace(
        sweep,
        **{name: getattr(sweep, name).astype(np.float32) for name in ("tokens", "flops", "loss")},
    )
    curves, expected = grid_curves(single, 300), grid_curves(sweep, 300)
    assert curves.places.dtype == curves.log_tokens.dtype == np.float64
    np.testing.assert_allclose(curves.places, expected.places, atol=1e-6)
    both = np.isfinite(curves.loss) & np.isfinite(expected.loss)
    assert both.sum() > 0.99 * np.isfinite(expected.loss).sum()
    np.testing.assert_allclose(curves.loss[both], expected.loss[both], rtol=1e-6)
    np.testing.assert_allclose(curves.log_tokens[both], expected.log_tokens[both], atol=1e-6)


@given(seed=SEEDS, n=st.integers(4, 60))
@settings(max_examples=times(40))
def test_lower_hull_is_scipys(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(2, n))
    mine = lower_hull(x, y)
    hull = ConvexHull(np.stack([x, y], axis=1))
    # facets whose outer normal points down
    below = np.unique(hull.simplices[hull.equations[:, 1] < 0])
    assert sorted(mine) == sorted(below)
    assert (np.diff(x[mine]) > 0).all()


@given(seed=SEEDS)
@settings(max_examples=times(10))
def test_each_subset_has_the_hull_of_its_own_runs(sweep: Observations, seed: int) -> None:
    present = np.random.default_rng(seed).random((4, sweep.n_runs)) < 0.4
    present[:, 3] = True
    found = hull_points(sweep).frontiers(present)
    for row in range(4):
        own = only(sweep, np.flatnonzero(present[row]))
        hull = lower_hull(np.log(own.flops), np.log(own.loss))
        won = found.run[row] >= 0
        np.testing.assert_allclose(found.log_flops[row][won], np.log(own.flops[hull]))
        np.testing.assert_allclose(found.log_loss[row][won], np.log(own.loss[hull]))
        np.testing.assert_array_equal(found.run[row][won], own.run[hull])


def test_trimming_leaves_out_exactly_the_edge_sizes(sweep: Observations) -> None:
    present = np.ones((2, sweep.n_runs), dtype=bool)
    smallest = sweep.run_params.argmin()
    present[1, smallest] = False
    whole = grid_curves(sweep, 400).frontiers(present)
    trimmed = whole.trimmed(present, sweep.sizes)
    for row in range(2):
        own = sweep.run_params[present[row]]
        winner = sweep.run_params[whole.run[row]]
        at_edge = (winner == own.min()) | (winner == own.max())
        np.testing.assert_array_equal(trimmed.run[row] < 0, at_edge | (whole.run[row] < 0))
    assert (trimmed.run[0] >= 0).sum() > 100


def test_distinct_sizes_are_counted_per_subset(sweep: Observations) -> None:
    present = np.zeros((2, sweep.n_runs), dtype=bool)
    present[0, :7] = True
    present[1, 2] = True
    frontiers = grid_curves(sweep, 300).frontiers(present)
    expected = [len(np.unique(sweep.sizes[r[r >= 0]])) for r in frontiers.run]
    assert frontiers.distinct_sizes(sweep.sizes).tolist() == expected
    assert expected[1] == 1


def test_collinear_points_are_no_vertices() -> None:
    assert lower_hull(np.array([0.0, 1.0, 2.0]), np.array([2.0, 1.0, 0.0])).tolist() == [0, 2]
    assert lower_hull(np.array([1.0, 1.0, 2.0]), np.array([5.0, 3.0, 2.0])).tolist() == [1, 2]
    assert pytest.approx(3) == len(lower_hull(np.array([0.0, 1.0, 2.0]), np.array([2.0, 0.5, 0.0])))
