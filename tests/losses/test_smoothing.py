from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isoflop.losses.smoothing import LEAST_POINTS, effective_tokens, smooth
from isoflop.spikes import line_noise, line_noise_of, spikes

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


STEPS = np.arange(1.0, 401.0)


def averaged(values: np.ndarray, kind: str, window: float, every: int) -> np.ndarray:
    """What a trainer logs of its losses, update by update, averaged as these kinds are."""
    logged = []
    for n in range(every, len(values) + 1, every):
        match kind:
            case "instant":
                logged.append(values[n - 1])
            case "interval_mean":
                logged.append(values[n - every : n].mean())
            case "running_mean":
                logged.append(values[max(0, n - int(window)) : n].mean())
            case "ema":
                weights = (1.0 - 1.0 / window) ** np.arange(n)[::-1]
                logged.append((weights * values[:n]).sum() / weights.sum())
    return np.array(logged)


@pytest.mark.parametrize("every", [1, 4, 20])
@pytest.mark.parametrize(
    ("kind", "window"),
    [("instant", None), ("interval_mean", None), ("running_mean", 20), ("ema", 10), ("ema", 1)],
)
@pytest.mark.parametrize("batches", ["of one size", "growing"])
def test_what_is_averaged_is_placed_where_it_was_measured(
    kind: str, window: float | None, every: int, batches: str
) -> None:
    """The mean of D over what a line averages is the D at which a straight line has its mean."""
    size = np.ones_like(STEPS) if batches == "of one size" else 1.0 + STEPS // 100
    tokens = 1000.0 * np.cumsum(size)
    lines = slice(every - 1, None, every)
    placed = effective_tokens(tokens[lines], STEPS[lines], kind=kind, window=window)
    expected = averaged(tokens, kind, window or 1, every)
    if kind == "interval_mean":  # of what lies between two lines, not between two updates
        expected = expected - 500.0 * size[lines]
    # D between two lines is taken from these
    assert placed == pytest.approx(expected, rel=0.05 if batches == "growing" else 1e-9)


@pytest.mark.parametrize("kind", ["ema", "running_mean"])
def test_of_an_unknown_window_nothing_is_placed(kind: str) -> None:
    tokens = 1000.0 * STEPS
    assert effective_tokens(tokens, STEPS, kind=kind, window=None) is tokens


@pytest.mark.parametrize("every", [1, 10])
@pytest.mark.parametrize(
    ("kind", "window"), [("interval_mean", None), ("running_mean", 20), ("ema", 10)]
)
def test_the_final_loss_of_a_known_curve_comes_back_from_its_averages(
    kind: str, window: float | None, every: int
) -> None:
    """A short run, of a power law that falls to its end in a cooldown."""
    tokens = 1e6 * STEPS
    cooldown = np.clip((STEPS / STEPS[-1] - 0.8) / 0.2, 0.0, 1.0)
    curve = 2.0 + 400.0 * tokens**-0.3 - 0.2 * cooldown
    lines = slice(every - 1, None, every)
    logged = averaged(curve, kind, window or 1, every)
    noise = np.random.default_rng(3).normal(0.0, 0.001, len(logged))
    at, steps = tokens[lines], STEPS[lines]

    def final(window: float | None, kind: str = kind) -> float:
        placed = effective_tokens(at, steps, kind=kind, window=window)
        return float(smooth(placed, logged + noise, at[-1:], share=0.1)[0])

    assert final(window) == pytest.approx(curve[-1], abs=0.003)
    as_it_stands = final(None, kind="instant") - curve[-1]
    assert as_it_stands > 0.009 if window else as_it_stands > 0.0005 * every


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


def test_the_noise_of_a_line_is_its_standard_deviation() -> None:
    """A step between two lines has that of both; a fall of all lines alike has none."""
    noise = 0.02 * np.random.default_rng(0).normal(size=40_000)
    losses = 3.0 - 1e-5 * np.arange(len(noise)) + noise
    assert line_noise(losses) == pytest.approx(0.02, rel=0.03)
    assert line_noise_of(lambda: iter([losses]), len(losses)) == line_noise(losses)
