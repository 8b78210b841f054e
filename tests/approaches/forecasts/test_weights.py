"""Weights by stacking, and how a mixture's draws are shared out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from isoflop.approaches.forecasts.predictions import Predictive
from isoflop.approaches.forecasts.weights import (
    mixed_predictive,
    shared_out,
    stacked_weights,
    unrejected_weights,
)
from tests.tiers import times


def densities(seed: int, n: int = 30, laws: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).normal(2.0, 1.5, (n, laws))


def log_score(weights: np.ndarray, table: np.ndarray) -> float:
    return float(np.log(np.exp(table) @ weights).sum())


@pytest.mark.parametrize("seed", range(4))
def test_stacking_finds_the_best_mixture(seed: int) -> None:
    table = densities(seed)
    found = stacked_weights(table)
    theirs = minimize(
        lambda w: -log_score(w, table),
        np.full(3, 1 / 3),
        bounds=[(0, 1)] * 3,
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1},
        tol=1e-14,
    )
    assert log_score(found, table) >= -theirs.fun - 1e-7
    np.testing.assert_allclose(found, theirs.x, atol=1e-3)


@settings(max_examples=times(20), deadline=None)
@given(seed=st.integers(0, 1000), laws=st.integers(1, 5))
def test_weights_are_a_distribution_and_follow_their_laws(seed: int, laws: int) -> None:
    table = densities(seed, laws=laws)
    found = stacked_weights(table)
    assert (found >= 0).all()
    assert found.sum() == pytest.approx(1.0, abs=1e-12)
    order = np.random.default_rng(seed).permutation(laws)
    np.testing.assert_allclose(stacked_weights(table[:, order]), found[order], atol=1e-4)


@pytest.mark.parametrize(
    ("misfits", "weights"),
    [
        ([0.5, 1e-5, 0.2, None], [1 / 3, 0.0, 1 / 3, 1 / 3]),
        ([0.001, 0.00099, 1.0], [0.5, 0.0, 0.5]),
        # where one law or none is left, the two least rejected
        ([0.5, 1e-9, 1e-5], [0.5, 0.0, 0.5]),
        ([1e-4, 1e-9, 1e-5], [0.5, 0.0, 0.5]),
        ([1e-9], [1.0]),
    ],
)
def test_laws_that_the_runs_do_not_reject_count_alike(
    misfits: list[float | None], weights: list[float]
) -> None:
    np.testing.assert_allclose(unrejected_weights(misfits), weights)


def test_a_law_that_is_far_off_everywhere_gets_nothing() -> None:
    table = densities(0)
    table[:, 1] = table.min() - 50.0
    assert stacked_weights(table)[1] == pytest.approx(0.0, abs=1e-12)
    # no density of a double: only ratios count
    np.testing.assert_allclose(stacked_weights(table - 2000.0), stacked_weights(table), atol=1e-6)


@settings(max_examples=times(30), deadline=None)
@given(
    raw=st.lists(st.floats(0.0, 1.0), min_size=1, max_size=5).filter(lambda w: sum(w) > 0.1),
    draws=st.integers(1, 500),
    seed=st.integers(0, 5),
)
def test_draws_are_shared_out_in_proportion(raw: list[float], draws: int, seed: int) -> None:
    weights = np.array(raw) / sum(raw)
    whose = shared_out(weights, draws, seed)
    assert len(whose) == draws
    counts = np.bincount(whose, minlength=len(weights))
    assert np.abs(counts - weights * draws).max() < 1.0
    np.testing.assert_array_equal(whose, shared_out(weights, draws, seed))


def predictive(seed: int, kept: np.ndarray) -> Predictive:
    rng = np.random.default_rng(seed)
    law = rng.normal(0.5 + 0.1 * seed, 0.01, (len(kept), 4))
    noise = rng.normal(0.0, 0.02, law.shape)
    return Predictive(np.exp(law.mean(axis=0)), np.exp(law + noise), kept, law, 0.02)


def test_a_mixture_of_one_law_is_that_law() -> None:
    one = predictive(1, np.arange(50))
    assert mixed_predictive([one], np.ones(1), draws=50, seed=0) is one


def test_a_mixture_takes_each_resample_once_and_lies_between_its_laws() -> None:
    kept = np.arange(100)[np.arange(100) % 10 > 0]  # every tenth resample was refused
    laws = [predictive(seed, kept) for seed in (1, 2)]
    mixed = mixed_predictive(laws, np.array([0.25, 0.75]), draws=100, seed=0)
    assert sorted(mixed.numbers) == sorted(kept)
    whose = shared_out(np.array([0.25, 0.75]), 100, 0)
    for number, row in zip(mixed.numbers, mixed.draws, strict=True):
        source = laws[whose[number]]
        np.testing.assert_array_equal(row, source.draws[source.numbers == number][0])
    laws_alone = [laws[whose[n]].log_law[laws[whose[n]].numbers == n][0] for n in kept]
    np.testing.assert_allclose(np.log(mixed.value), np.median(laws_alone, axis=0))


def test_the_density_of_a_mixture_is_that_of_its_laws_and_integrates_to_one() -> None:
    laws = [predictive(seed, np.arange(60)) for seed in (1, 2)]
    weights = np.array([0.3, 0.7])
    mixed = mixed_predictive(laws, weights, draws=60, seed=0)
    log_y = np.linspace(0.0, 1.2, 4001)
    step = log_y[1] - log_y[0]
    total = 0.0
    for y in log_y:
        own = mixed.log_density(np.full(4, np.exp(y)))
        assert own is not None
        total += float(np.exp(own[0])) * step
    assert total == pytest.approx(1.0, abs=1e-6)
    at = np.full(4, 1.8)
    parts = [one.log_density(at) for one in laws]
    both = np.log(weights[0] * np.exp(parts[0]) + weights[1] * np.exp(parts[1]))
    np.testing.assert_allclose(mixed.log_density(at), both)
