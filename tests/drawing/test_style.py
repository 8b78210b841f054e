from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isoflop.drawing.style import in_full, spread_labels


@given(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=8), st.floats(0.1, 50))
def test_labels_keep_their_order_and_their_distance(wanted: list[float], gap: float) -> None:
    placed = spread_labels(wanted, gap)
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    ranked = [placed[i] for i in order]
    assert all(b - a >= gap - 1e-6 for a, b in pairwise(ranked))
    assert sum(placed) == pytest.approx(sum(wanted), abs=1e-6)


def test_labels_that_do_not_touch_stay_where_they_are() -> None:
    assert spread_labels([10.0, 0.0, 30.0], 5.0) == [10.0, 0.0, 30.0]


@pytest.mark.parametrize(
    ("value", "written"),
    [(3e11, "3e+11"), (1.001e18, "1.001e+18"), (0.1 + 0.2, "0.30000000000000004"), (1e14, "1e+14")],
)
def test_a_number_in_an_identifier_is_that_number(value: float, written: str) -> None:
    assert in_full(value) == written
    assert float(written) == value
