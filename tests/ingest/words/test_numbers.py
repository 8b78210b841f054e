from __future__ import annotations

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isoflop.ingest.words.numbers import NUMBER, finite, json_object, number, step_number


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1,071,306", 1071306.0),
        ("480B", 480e9),
        ("2.8 B", 2.8e9),
        ("0.41M", 0.41e6),
        ("1.024283E+01", 10.24283),
        (" 3 ", 3.0),
        ("-1e-3", -0.001),
        (".5", 0.5),
        (7, 7.0),
        ("Infinity", math.inf),
        ("-inf", -math.inf),
    ],
)
def test_numbers_as_logs_write_them(text: object, value: float) -> None:
    assert number(text) == value


@pytest.mark.parametrize("text", ["nan", "NaN", "-nan", float("nan")])
def test_nan_is_a_number(text: object) -> None:
    assert math.isnan(number(text) or 0.0)
    assert finite(text) is None


@pytest.mark.parametrize("text", ["", None, "n/a", True, "1.2.3", "12.2GiB(13.20%)", "e5", "1 000"])
def test_the_rest_is_not(text: object) -> None:
    assert number(text) is None


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_repr_round_trips(value: float) -> None:
    assert number(repr(value)) == value
    assert re.fullmatch(NUMBER, repr(value))


@pytest.mark.parametrize("value", [-1, 1.5, math.nan, math.inf, "9" * 40, None])
def test_no_step(value: object) -> None:
    assert step_number(value) is None


def test_step_of_a_float_column() -> None:
    assert step_number(3812622336.0) == 3812622336


@pytest.mark.parametrize(("digits", "value"), [(4000, math.inf), (5000, math.inf), (20, 1e19)])
def test_a_whole_number_of_json_has_any_length(digits: int, value: float) -> None:
    """Python itself reads none of more than 4,300 digits: the line had nothing at all."""
    line = f'{{"a": 1{"0" * (digits - 1)}, "b": -1{"0" * (digits - 1)}, "loss": 3.5}}'
    record = json_object(line)
    assert record is not None
    assert (number(record["a"]), number(record["b"])) == (value, -value)
    assert record["loss"] == 3.5


@pytest.mark.parametrize(
    ("cell", "value"), [("10m", 1e7), ("0.2b", 2e8), ("1k", 1e3), ("2 s", None)]
)
def test_units_of_cells_may_be_small_letters(cell: str, value: float | None) -> None:
    assert number(cell) == value
