"""What stands beside an estimate: an interval that contains it, or none."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isoflop.estimates.draws import Draws
from isoflop.estimates.laws import PowerLaws
from isoflop.estimates.quantities import about, describe

LAW = PowerLaws()
FLOPS = np.array([1e18])


def rows(a: np.ndarray) -> np.ndarray:
    """N = C**a, D = C**(1 - a) / 6, L = 40 C**-.06."""
    one = np.ones_like(a)
    return np.stack([one, a, one / 6.0, 1.0 - a, 40.0 * one, 0.06 * one], axis=-1)


def test_an_interval_that_excludes_its_estimate_is_not_given() -> None:
    draws = rows(np.linspace(0.40, 0.50, 101))
    inside = describe(LAW, rows(np.array([0.45])), draws, FLOPS)
    assert inside["a"].intervals["0.8"] == pytest.approx((0.41, 0.49))
    assert set(inside["params_opt_1e+18"].intervals) == {"0.8", "0.95"}
    # beyond the 80 % interval, within that of 95 %
    edge = describe(LAW, rows(np.array([0.495])), draws, FLOPS)
    assert set(edge["a"].intervals) == set(edge["b"].intervals) == {"0.95"}
    assert set(edge["params_opt_1e+18"].intervals) == {"0.95"}
    beyond = describe(LAW, rows(np.array([0.51])), draws, FLOPS)
    assert beyond["a"].intervals == {}
    assert beyond["a"].value == 0.51
    # what does not move keeps its interval, of no width
    assert beyond["L_exponent"].intervals["0.8"] == pytest.approx((0.06, 0.06))


def test_wanted_quantities_are_those_of_all() -> None:
    draws = rows(np.linspace(0.40, 0.50, 101))
    every = describe(LAW, rows(np.array([0.45])), draws, FLOPS)
    some = describe(LAW, rows(np.array([0.45])), draws, FLOPS, names={"loss_1e+18", "a", "x"})
    assert some == {name: every[name] for name in ("a", "loss_1e+18")}


def test_a_refused_draw_has_no_parameters() -> None:
    names = LAW.names
    drawn = Draws.of(pl.DataFrame({name: [1, None, 3] for name in (*names, "other")}))
    found = drawn.numbers(names)
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found[:, 0], [1.0, np.nan, 3.0])
    assert found.shape == (3, len(names))


@given(
    value=st.floats(1e-6, 1e24),
    low=st.floats(1e-6, 1e24),
    width=st.floats(0.0, 10.0),
)
def test_every_interval_given_contains_the_value(value: float, low: float, width: float) -> None:
    high = low * (1.0 + width)
    given_ = about(value, {"0.8": (low, high)})
    assert bool(given_) == (low * (1 - 1e-8) <= value <= high * (1 + 1e-8)) or (
        value == pytest.approx(low, rel=1e-7) or value == pytest.approx(high, rel=1e-7)
    )
