"""Lines of one layout are read as a matrix of bytes; a number must be what Python reads of it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isoflop.ingest.reading.digits import AT_ONCE, Lines, Template
from tests.tiers import times

if TYPE_CHECKING:
    import polars as pl

LINE = re.compile(rb"(?P<step>[0-9]+) (?P<loss>\S+) (?P<rest>.*)\n")
WHOLE = ("step",)


def template(line: bytes) -> Template | None:
    match = LINE.fullmatch(line)
    assert match is not None
    return Template.of(line, {name: match.span(name) for name in ("step", "loss")})


def taken(sample: bytes, text: bytes) -> tuple[pl.DataFrame, Lines]:
    known, lines = template(sample), Lines(text)
    assert known is not None
    return lines.take(known, WHOLE), lines


digits = st.text(alphabet="0123456789", min_size=1, max_size=9)


@settings(max_examples=times(400))
@given(
    sign=st.sampled_from(["", "-", "+"]),
    whole=digits,
    fraction=st.none() | st.text(alphabet="0123456789", max_size=9),
    exponent=st.none()
    | st.tuples(
        st.sampled_from(["e", "E"]),
        st.sampled_from(["", "-", "+"]),
        st.text(alphabet="0123456789", min_size=1, max_size=4),
    ),
    others=st.lists(st.integers(0, 10**30), min_size=1, max_size=4),
)
def test_a_number_is_the_one_that_python_reads(
    sign: str,
    whole: str,
    fraction: str | None,
    exponent: tuple[str, str, str] | None,
    others: list[int],
) -> None:
    def written(whole: str, fraction: str | None, power: str) -> str:
        mark = "" if exponent is None else exponent[0] + exponent[1] + power
        return sign + whole + ("" if fraction is None else f".{fraction}") + mark

    power = "" if exponent is None else exponent[2]
    numbers = [written(whole, fraction, power)]
    for other in others:  # the same form with other digits
        text = f"{other:031d}"
        sizes = (len(whole), len(fraction or ""), len(power))
        ends = (sizes[0], sizes[0] + sizes[1], sum(sizes))
        parts = (text[: ends[0]], text[ends[0] : ends[1]], text[ends[1] : ends[2]])
        numbers.append(written(parts[0], None if fraction is None else parts[1], parts[2]))
    text = "".join(f"7 {number} x\n" for number in numbers).encode()
    known = template(text.partition(b"\n")[0] + b"\n")
    if len(whole) + len(fraction or "") > 15:
        assert known is None
        return
    assert known is not None
    frame = Lines(text).take(known, WHOLE)
    assert [repr(value) for value in frame["loss"]] == [repr(float(n)) for n in numbers]


@pytest.mark.parametrize(
    "loss", ["nan", "1.2.3", "1e", "1-2", ".5", "1_0", "1" * 16, "0." + "1" * 15]
)
def test_what_is_no_number_or_too_long_is_no_template(loss: str) -> None:
    assert template(f"1 {loss} x\n".encode()) is None


@pytest.mark.parametrize(
    "other",
    ["12 4.56 x\n", "1 14.5 x\n", "1 4,56 x\n", "1 4.5e x\n", "1 4.56 y\n", "1 4.5/ x\n",
     "1 4.5: x\n", "1 4.567 x\n", "  4.56 x\n", "1 4.56\tx\n", "\x01 4.56 x\n"],
)  # fmt: skip
def test_a_line_of_another_layout_is_left(other: str) -> None:
    sample = b"1 4.56 x\n"
    frame, lines = taken(sample, sample + other.encode() + sample)
    assert frame.rows() == [(0, 1, 4.56), (2, 1, 4.56)]
    rows, rest = lines.rest()
    assert rows.tolist() == [1]
    assert rest == other.encode()


@given(
    st.lists(
        st.sampled_from([b"1 4.5 x\n", b"2 5.5 x\n", b"odd\n", b"3 9.9 y\n", b"\n"]), max_size=30
    )
)
def test_what_is_taken_and_what_is_left_are_all_lines_once(chosen: list[bytes]) -> None:
    frame, lines = taken(b"1 4.5 x\n", b"".join(chosen))
    rows, rest = lines.rest()
    assert sorted([*frame["row"], *rows]) == list(range(len(chosen)))
    assert rest == b"".join(chosen[row] for row in rows)
    assert frame["step"].to_list() == [int(chosen[row][:1]) for row in frame["row"]]


def test_more_lines_than_are_compared_at_once() -> None:
    lines = [b"%07d 4.56 x\n" % k for k in range(AT_ONCE // 8)]
    lines[5000] = b"odd line 4.56 x\n"
    frame, left = taken(lines[0], b"".join(lines))
    assert frame["step"].to_list() == [k for k in range(len(lines)) if k != 5000]
    assert left.rest()[1] == lines[5000]


def test_the_commonest_length_comes_first_and_one_passed_by_no_more() -> None:
    lines = Lines(b"ab\n" * 3 + b"abc\n" * 5)
    assert lines.commonest(1) == 3
    lines.pass_by(3)
    assert lines.commonest(1) == 0
    assert lines.commonest(4) is None


def test_blanks_that_align_a_number_may_be_digits_of_it() -> None:
    sample = b"it     7/ 100 loss  1.5\n"
    form = re.compile(rb"it +([0-9]+)/ +[0-9]+ loss  ([0-9.]+)\n")
    match = form.fullmatch(sample)
    assert match is not None
    known = Template.of(
        sample, {"step": match.span(1), "loss": match.span(2)}, lambda line: bool(form.match(line))
    )
    assert known is not None
    others = [
        b"it  1234/ 100 loss  2.5\n",
        b"it 12345/   9 loss  2.5\n",  # one blank is no alignment: the total's digits are three
        b"it 12345/ 100 loss  3.5\n",
        b"it 1   5/ 100 loss  2.5\n",
        b"it 1234 / 100 loss  2.5\n",
        b"it1 2345/ 100 loss  2.5\n",
        b"it    12/ 100 loss 22.5\n",  # two blanks that the form has are none that align
    ]
    frame = Lines(b"".join([sample, *others])).take(known, WHOLE)
    assert frame.rows() == [(0, 7, 1.5), (1, 1234, 2.5), (3, 12345, 3.5)]
