from __future__ import annotations

import pytest

from isoflop.estimates.quantities import Quantity
from isoflop.numbers import (
    MATHTEXT,
    PLAIN,
    count,
    distance,
    fixed,
    interval,
    is_within,
    listed,
    parameter,
    power,
    probability,
    ratio,
    retyped,
    short,
    shortest,
    typed,
    with_level,
)
from isoflop.report.sections.data import words


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (72.3e9, "72.3B"),
        (1.33e12, "1.33T"),
        (70e9, "70.0B"),
        (999.6e6, "1.00B"),
        (12_345, "12.3k"),
        (7.0, "7.00"),
        (3e18, "3\xa0×\xa010^18^"),
        (float("nan"), "—"),
    ],
)
def test_count(value: float, written: str) -> None:
    assert count(value) == written


def test_power() -> None:
    assert power(5.76e23) == "5.76\xa0×\xa010^23^"
    assert power(1e14) == "10^14^"
    assert power(2.5e-5) == "2.5\xa0×\xa010^−5^"


def test_both_ends_of_an_interval_have_their_suffix() -> None:
    assert interval(60.1e9, 75.2e9, count) == "60.1B–75.2B"
    # 78.2 to 87,000 was once written like 78,200 to 87,000
    assert interval(78.2, 87e3, count) == "78.2–87.0k"
    assert interval(78.2e3, 87e3, count) == "78.2k–87.0k"
    assert interval(896e6, 2.4e9, count) == "896M–2.40B"
    assert interval(0.4541, 0.5551, fixed) == "0.454–0.555"
    assert interval(-0.01, 0.02, fixed) == "−0.010 to 0.020"
    assert interval(1e17, 3e17, count) == "10^17^ to 3\xa0×\xa010^17^"


def test_a_quantity_without_an_interval_is_told_as_one() -> None:
    quantity = Quantity(value=0.5588, intervals={"0.8": (0.485, 0.589)})
    assert with_level(quantity, 0.8, fixed) == "0.559 (80\xa0%: 0.485–0.589)"
    assert with_level(quantity, 0.95, fixed) == "0.559 (no 95\xa0% interval covers)"


def test_ratio_and_parameters() -> None:
    assert ratio(18.41) == "18.4"
    assert ratio(1057.2) == "1060"
    assert ratio(1e30, PLAIN) == "10³⁰"
    assert parameter(83957.0566374) == "83960"
    assert parameter(0.36) == "0.3600"
    assert parameter(0.0) == "0"
    assert [fixed(value) for value in (-0.0004, 0.0004, -0.0006)] == ["0.000", "0.000", "−0.001"]
    assert parameter(1.5e13) == "1.5\xa0×\xa010^13^"


def test_distance_from_the_data() -> None:
    data = (3e11, 1e13)
    assert distance(5.76e23, data) == "10.8\xa0decades beyond the data"
    assert distance(1e12, data) == "within the data"
    assert distance(1.05e13, data) == "within the data"
    # as what is printed as 0.0 decades
    for decades in (-1.0, 0.0, 0.0499, 0.05, 0.051, 0.3):
        assert is_within(decades) == (round(decades, 1) <= 0.0)
    assert distance(3e9, data) == "2.0\xa0decades below the data"


def test_sentences_of_other_rooms_are_escaped_and_their_numbers_written_out() -> None:
    assert words("a_b at 5.76e+23 FLOPs") == "a\\_b at 5.76\xa0×\xa010^23^ FLOPs"
    assert listed(["a", "b", "c"]) == "a, b and c"


@pytest.mark.parametrize(
    ("log10_p", "said"),
    [
        (-0.1, "0.79"),
        (-2.0, "0.010"),
        (-4.3, "5.0\xa0×\xa010^−5^"),
        (-651.4, "4.0\xa0×\xa010^−652^"),
    ],
)
def test_probability_goes_on_where_doubles_end(log10_p: float, said: str) -> None:
    assert probability(log10_p) == said


@pytest.mark.parametrize(
    ("value", "written"),
    [(7e10, "70B"), (1.33e12, "1.33T"), (12_345, "12.3k"), (999_999, "1M"), (40.0, "40"),
     (0.25, "0.25"), (100.0, "100"), (3e18, "3 × $10^{18}$")],
)  # fmt: skip
def test_labels_have_no_zeros_at_their_end(value: float, written: str) -> None:
    assert short(value) == written


def test_powers_of_ten_in_three_hands() -> None:
    assert power(5.76e23, hand=MATHTEXT) == "5.76 × $10^{23}$"
    assert power(1e14, hand=MATHTEXT) == "$10^{14}$"
    assert power(2.5e-5, hand=MATHTEXT) == "2.5 × $10^{-5}$"
    assert power(5.76e23, hand=PLAIN) == "5.76 × 10²³"
    assert power(-2.5e-5, hand=PLAIN) == "−2.5 × 10⁻⁵"


@pytest.mark.parametrize(
    ("value", "digits", "written"),
    [
        (0.0010182740, 8, "0.001018274"),
        (73.2e9, 8, "73.2B"),
        (3.03e12, 8, "3.03T"),
        (5e7, 2, "50M"),
        (-2.845108, 8, "−2.845108"),
        (1e-9, 2, "10⁻⁹"),
        (-2e-9, 2, "−2 × 10⁻⁹"),
        (1432.8, 3, "1430"),
        (482.01, 2, "480"),
        (None, 2, "—"),
    ],
)
def test_the_shortest_form_is_plain(value: float | None, digits: int, written: str) -> None:
    assert shortest(value, digits) == written


def test_a_difference_has_its_sign() -> None:
    assert shortest(0.02, 2, sign=True) == "+0.02"
    assert shortest(2e-9, 2, sign=True) == "+2 × 10⁻⁹"
    assert shortest(-0.02, 2, sign=True) == "−0.02"


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("1e21 FLOPs", "write 1e21, without 'FLOPs'"),
        ("10^21", "write 1e21"),
        ("10**21", "write 1e21"),
        ("2.5 × 10^{21}", "write 2.5e21"),
        ("1,000,000", "write 1000000"),
        ("1_000_000 tokens", "write 1000000, without 'tokens'"),
        ("40%", "write 40, without '%'"),
        ("$2", "write 2, without '$'"),
        # what might change the size is nobody's to leave out
        ("7 billion", ""),
        ("1 PFLOPs", ""),
        ("7X", ""),
        ("1,5", ""),
        ("1.2.3", ""),
        ("B", ""),
    ],
)
def test_what_is_no_number_is_told_how_to_type_it(text: str, hint: str) -> None:
    assert retyped(text) == hint
    with pytest.raises(ValueError, match="could not convert"):
        typed(text)
    if hint:
        assert typed(hint.removeprefix("write ").split(",")[0]) > 0.0
