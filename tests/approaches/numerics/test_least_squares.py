"""Batched least squares against statsmodels and numpy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isoflop.approaches.numerics.least_squares import fit_lines, fit_parabolas
from tests.tiers import times

SEEDS = st.integers(0, 2**32 - 1)


@given(seed=SEEDS, n=st.integers(3, 40))
@settings(max_examples=times(25))
def test_lines_are_weighted_least_squares(seed: int, n: int) -> None:
    import statsmodels.api as sm

    rng = np.random.default_rng(seed)
    x = rng.normal(40.0, 3.0, (1, n))
    y, weights = rng.normal(size=(4, n)), rng.integers(0, 4, (4, n)).astype(float)
    weights[:, :2] = 1.0
    y[weights == 0] = np.nan  # an absent point may hold anything
    lines = fit_lines(x, y, weights)
    for row in range(4):
        there = weights[row] > 0
        design = sm.add_constant(x[0, there])
        oracle = sm.WLS(y[row, there], design, weights=weights[row, there]).fit()
        np.testing.assert_allclose(
            [lines.intercept[row], lines.slope[row]], oracle.params, rtol=1e-7, atol=1e-8
        )


def test_a_single_abscissa_gives_no_line() -> None:
    lines = fit_lines(np.array([[2.0, 2.0, 5.0]]), np.ones((1, 3)), np.array([[1.0, 3.0, 0.0]]))
    assert np.isnan(lines.slope[0])


@given(seed=SEEDS, n=st.integers(4, 25))
@settings(max_examples=times(25))
def test_parabolas_are_polyfit(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    x = np.sort(rng.uniform(14.0, 22.0, n))
    y = 2.5 + 0.05 * (x - 18.0) ** 2 + rng.normal(0, 0.01, (3, n))
    weights = rng.integers(1, 4, (3, n)).astype(float)
    found = fit_parabolas(x, y, weights)
    for row in range(3):
        # polyfit's weights multiply residuals, not their squares
        c2, c1, c0 = np.polyfit(x - found.centre, y[row], 2, w=np.sqrt(weights[row]))
        np.testing.assert_allclose(
            [found.at_centre[row], found.slope[row], found.curvature[row]],
            [c0, c1, c2],
            rtol=1e-6,
            atol=1e-9,
        )
        assert np.isclose(found.vertex[row], found.centre - c1 / (2 * c2))
        assert np.isclose(found(x)[row], np.polyval([c2, c1, c0], x - found.centre)).all()


def test_two_abscissae_give_no_parabola() -> None:
    x = np.array([1.0, 1.0, 2.0, 3.0])
    found = fit_parabolas(x, np.ones((1, 4)), np.array([[1.0, 2.0, 1.0, 0.0]]))
    assert np.isnan(found.curvature[0])


def test_a_single_abscissa_gives_no_parabola() -> None:
    found = fit_parabolas(np.full(4, 2.0), np.ones((1, 4)), np.ones((1, 4)))
    assert np.isnan(found.curvature[0])


@pytest.mark.parametrize("unit", [1e-6, 1e6])
def test_the_unit_of_the_abscissa_scales_a_parabola(unit: float) -> None:
    """However near to each other the abscissae are, they are told apart."""
    x = np.array([-1.0, -0.4, 0.1, 0.3, 0.8, 1.0])
    found = fit_parabolas(unit * x, 2.5 + 0.3 * (x[None] - 0.2) ** 2, np.ones((1, 6)))
    assert found.vertex[0] == pytest.approx(0.2 * unit)
    assert found.curvature[0] * unit**2 == pytest.approx(0.3)
    assert found(unit * x)[0] == pytest.approx(2.5 + 0.3 * (x - 0.2) ** 2)
