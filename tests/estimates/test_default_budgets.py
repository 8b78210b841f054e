"""The budgets that a sweep answers unasked are round, and begin within its data."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isoflop.estimates.default_budgets import default_budgets
from isoflop.numbers import decades_beyond, is_within, power


@pytest.mark.parametrize(
    ("top", "largest"),
    [
        (1.000085e21, 1e21),
        (1.40332574331e22, 1.4e22),
        (3.000128221741056e15, 3e15),
        (5.97e18, 6e18),
        (1.48e20, 1.4e20),
        (9.98e17, 1e18),
        (9.85e17, 9.9e17),
        (2.5600000000000004e19, 2.5e19),
    ],
)
def test_budgets_are_round(top: float, largest: float) -> None:
    assert default_budgets(top) == pytest.approx([largest, 10 * largest, 100 * largest], rel=1e-15)


@given(st.floats(1e3, 1e30))
def test_a_budget_is_the_number_that_is_printed(top: float) -> None:
    budgets = default_budgets(top)
    for budget in budgets:
        assert budget == float(f"{budget:.1e}")
        assert power(budget) == power(float(f"{budget:.1e}"))
    np.testing.assert_allclose(np.diff(np.log10(budgets)), 1.0, atol=1e-9)


@given(st.floats(1e3, 1e30), st.floats(0.0, 6.0))
def test_the_largest_lies_within_the_data(top: float, span: float) -> None:
    largest = default_budgets(top)[0]
    assert top / 1.1 < largest <= 1.0101 * top
    assert is_within(decades_beyond(largest, (top / 10.0**span, top)))
