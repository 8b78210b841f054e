"""Batched Akima minima against scipy's splines."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.interpolate import Akima1DInterpolator

from isoflop.approaches.numerics.akima import akima_minima
from tests.tiers import times


@given(seed=st.integers(0, 2**32 - 1), n=st.integers(5, 14))
@settings(max_examples=times(25))
def test_minima_are_those_of_scipys_spline(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    x = np.sort(rng.uniform(10.0, 20.0, n)) + 0.05 * np.arange(n)
    y = 0.02 * (x - 15.0) ** 2 + rng.normal(0, 0.02, (6, n))
    weights = (rng.random((6, n)) < 0.8).astype(float)
    weights[:, :3] = 1.0
    place, value = akima_minima(x, y, weights)
    for row in range(6):
        there = weights[row] > 0
        spline = Akima1DInterpolator(x[there], y[row, there])
        fine = np.linspace(x[there][0], x[there][-1], 20_001)
        assert value[row] <= spline(fine).min() + 1e-12
        assert float(spline(place[row])) == pytest.approx(value[row], abs=1e-12)


def test_replicates_are_averaged_by_weight() -> None:
    x = np.array([1.0, 2.0, 2.0, 3.0, 4.0])
    y = np.array([[3.0, 1.0, 4.0, 2.5, 5.0]])
    place, value = akima_minima(x, y, np.array([[1.0, 2.0, 1.0, 1.0, 1.0]]))
    spline = Akima1DInterpolator([1.0, 2.0, 3.0, 4.0], [3.0, 2.0, 2.5, 5.0])
    fine = np.linspace(1, 4, 30_001)
    assert value[0] == pytest.approx(spline(fine).min(), abs=1e-8)
    assert place[0] == pytest.approx(fine[spline(fine).argmin()], abs=1e-3)


def test_two_abscissae_give_no_minimum() -> None:
    place, _ = akima_minima(np.array([1.0, 1.0, 2.0]), np.ones((1, 3)), np.ones((1, 3)))
    assert np.isnan(place[0])
