from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isoflop.losses.smoothing import LEAST_POINTS, effective_tokens, smooth
from isoflop.spikes import spikes

tokens_of_runs = st.lists(
    st.floats(1e3, 1e12), min_size=LEAST_POINTS, max_size=60, unique=True
).map(lambda values: np.array(sorted(values)))


@given(
    tokens=tokens_of_runs, level=st.floats(-5, 5), slope=st.floats(-2, 2), share=st.floats(0, 0.9)
)
def test_a_line_in_log_tokens_is_given_back(
    tokens: np.ndarray, level: float, slope: float, share: float
) -> None:
    losses = level + slope * np.log(tokens)
    assert smooth(tokens, losses, tokens, share=share) == pytest.approx(losses, abs=1e-6)


@given(tokens=tokens_of_runs, share=st.floats(0.01, 0.9), factor=st.sampled_from([1e-3, 8.0, 1e9]))
def test_units_of_tokens_do_not_matter(tokens: np.ndarray, share: float, factor: float) -> None:
    losses = 2.0 + np.sin(np.arange(len(tokens)))
    here = smooth(tokens, losses, tokens, share=share)
    there = smooth(tokens * factor, losses, tokens * factor, share=share)
    # windows are cut at exact shares, so a point may cross an edge by rounding: compare most
    assert np.isclose(here, there, atol=1e-7).mean() > 0.8


def naive(x: np.ndarray, y: np.ndarray, at: float, share: float) -> float:
    """The same fit, one window at a time, by numpy's own least squares."""
    inside = (x >= at * (1 - share)) & (x <= at * (1 + share))
    if inside.sum() < LEAST_POINTS:
        start = int(np.clip(np.searchsorted(x, at) - LEAST_POINTS // 2, 0, len(x) - LEAST_POINTS))
        inside = np.zeros(len(x), bool)
        inside[start : start + LEAST_POINTS] = True
    slope, level = np.polyfit(np.log(x[inside] / at), y[inside], 1)
    del slope
    return float(level)


def test_against_numpy_window_by_window() -> None:
    generator = np.random.default_rng(5)
    x = np.sort(generator.uniform(1e6, 1e9, 300))
    y = 2 + 3 * x**-0.1 + generator.normal(0, 0.1, 300)
    expected = [naive(x, y, at, 0.1) for at in x]
    assert smooth(x, y, x, share=0.1) == pytest.approx(expected, abs=1e-9)


def test_a_falling_curve_does_not_lag_at_its_end() -> None:
    x = np.linspace(1e6, 1e9, 1000)
    y = 1.7 + 400 * x**-0.34
    end = smooth(x, y, x[-1:], share=0.1)[0]
    trailing_mean = y[x >= 0.9 * x[-1]].mean()
    assert abs(end - y[-1]) < abs(trailing_mean - y[-1]) / 20


def test_noise_shrinks() -> None:
    x = np.linspace(1e6, 1e9, 2000)
    y = 3 - 0.1 * np.log(x)
    noisy = y + np.random.default_rng(1).normal(0, 0.05, len(x))
    smoothed = smooth(x, noisy, x, share=0.05)
    assert np.std(smoothed - y) < 0.05 / 4


def test_equal_tokens_give_their_mean() -> None:
    x = np.full(6, 100.0)
    y = np.arange(6.0)
    assert smooth(x, y, x, share=0.1) == pytest.approx(np.full(6, 2.5))


def test_interval_means_belong_half_way() -> None:
    tokens = np.array([10.0, 20.0, 40.0])
    assert effective_tokens(tokens, interval_mean=True).tolist() == [5.0, 15.0, 30.0]
    assert effective_tokens(tokens, interval_mean=False).tolist() == [10.0, 20.0, 40.0]


def test_spikes_are_found_and_falls_steps_and_divergence_are_not() -> None:
    generator = np.random.default_rng(3)
    losses = 2.0 + 4.0 / np.sqrt(np.arange(1, 201)) + generator.normal(0, 0.01, 200)
    losses[[20, 120]] += 1.0
    losses[150:] -= 0.5
    losses[-1] += 3.0
    assert np.flatnonzero(spikes(losses, sigmas=8)).tolist() == [20, 120]


@pytest.mark.parametrize("losses", [[], [1.0], [2.0] * 50])
def test_nothing_to_find_spikes_in(losses: list[float]) -> None:
    assert not spikes(np.array(losses), sigmas=5).any()
