"""Lines that differ in their digits alone, read at once.

Most lines of a log are one line with other digits. Those of one layout, digits where digits are
and the same bytes elsewhere, are a matrix of bytes, and each number is a few columns of it: no
expression is matched and no line becomes an object.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from numpy.typing import NDArray

LONGEST: Final = 15
"""Digits of a number that float64 surely counts by ones."""
EXACT: Final = 22
"""The largest power of ten that float64 has: one product or quotient with it is rounded once."""
POWERS: Final = 10.0 ** np.arange(EXACT + 1)
AT_ONCE: Final = 256 * 1024
"""Bytes of lines that are compared at once: they stay in the processor's cache."""
_DIGITS: Final = frozenset(b"0123456789")
_BLANK: Final = (ord(" ") - ord("0")) % 256
_PADDED = re.compile(rb" ( +)([0-9]+)")
_NUMBER = re.compile(rb"([-+]?)([0-9]+)(?:\.([0-9]*))?(?:[eE]([-+]?)([0-9]+))?")


@dataclass(frozen=True, slots=True)
class Field:
    """A number of a template.

    Attributes
    ----------
    digits : columns of its digits, those of a fraction among them.
    decimals : how many of them are its fraction's.
    exponent : columns of its exponent's digits.
    signs : of the number, and of its exponent: +1 or -1.
    """

    digits: tuple[int, ...]
    decimals: int
    exponent: tuple[int, ...]
    signs: tuple[int, int]

    @classmethod
    def of(cls, line: bytes, begin: int, end: int, pads: Mapping[int, int]) -> Field | None:
        """Read the form of a number in a line; None if it is none, or too long to be exact.

        Parameters
        ----------
        line : the line.
        begin, end : where the number stands.
        pads : by the column where a number's digits begin, the first that may be one of them.
        """
        match = _NUMBER.fullmatch(line, begin, end)
        if match is None:
            return None
        first = match.start(2)
        columns = [*range(pads.get(first, first), match.end(2))]
        columns += range(*match.span(3)) if match[3] else ()
        exponent = range(*match.span(5)) if match[5] else ()
        if max(len(columns), len(exponent)) > LONGEST:
            return None
        signs = tuple(-1 if match[group] == b"-" else 1 for group in (1, 4))
        return cls(tuple(columns), len(match[3] or b""), tuple(exponent), (signs[0], signs[1]))


class Template:
    r"""A line whose digits may be others.

    Parameters
    ----------
    line : the line, with its '\n'.
    fields : its numbers by name.
    pads : for each number that blanks align, the first column that may be a blank or a digit, and
        the one after the last.
    """

    def __init__(
        self, line: bytes, fields: Mapping[str, Field], pads: Collection[tuple[int, int]] = ()
    ) -> None:
        may_be_digits = np.array([byte in _DIGITS for byte in line])
        for begin, end in pads:
            may_be_digits[begin:end] = True
        self.width = len(line)
        self.fields = fields
        self.pads = pads
        letters = np.frombuffer(line, np.uint8)
        self.least = np.where(may_be_digits, ord("0"), letters).astype(np.uint8)
        """Each column's smallest byte."""
        self.room = np.where(may_be_digits, 9, 0).astype(np.uint8)
        """By how much each column's byte may be larger."""

    @classmethod
    def of(
        cls,
        line: bytes,
        spans: Mapping[str, tuple[int, int]],
        fits: Callable[[bytes], bool] = lambda _: False,
    ) -> Template | None:
        r"""Make a template of a line.

        Parameters
        ----------
        line : the line, with its '\n'.
        spans : where its numbers begin and end.
        fits : whether another line says the same, but for its digits: asked of the line with digits
            for blanks that seem to align a number.

        Returns
        -------
        The template; None if a number is none, as NaN, or has more digits than one rounding takes.
        """
        pads: dict[int, tuple[int, int]] = {}
        for match in _PADDED.finditer(line):
            begin, digits = match.span(1)[0], match.span(2)[0]
            if fits(line[:begin] + b"1" * (digits - begin) + line[digits:]):
                pads[digits] = (begin, match.end(2) - 1)
        begins = {digits: begin for digits, (begin, _) in pads.items()}
        read = {name: Field.of(line, *span, begins) for name, span in spans.items()}
        fields = {name: field for name, field in read.items() if field is not None}
        return cls(line, fields, [*pads.values()]) if len(fields) == len(read) else None


class Lines:
    r"""Whole lines of a block.

    Parameters
    ----------
    text : lines, each with its '\n'.

    Attributes
    ----------
    left : which lines no template has taken.
    """

    def __init__(self, text: bytes) -> None:
        self.text = text
        self._letters = np.frombuffer(text, np.uint8)
        self._bounds = np.concatenate([[0], np.flatnonzero(self._letters == ord("\n")) + 1])
        self._widths = np.diff(self._bounds)
        self._passed: list[int] = []
        self.left = np.ones(len(self._widths), dtype=bool)

    def commonest(self, least: int) -> int | None:
        """Find the first of the lines left that are of the commonest length.

        Parameters
        ----------
        least : how many they must be.

        Returns
        -------
        Its row; None if there are no such lines.
        """
        counts = np.bincount(self._widths[self.left], minlength=1)
        counts[[width for width in self._passed if width < len(counts)]] = 0
        width = int(counts.argmax())
        if counts[width] < least:
            return None
        return int((self.left & (self._widths == width)).argmax())

    def pass_by(self, row: int) -> None:
        """Offer no line of this one's length again."""
        self._passed.append(int(self._widths[row]))

    def line(self, row: int) -> bytes:
        """Give one line."""
        return self.text[int(self._bounds[row]) : int(self._bounds[row + 1])]

    def rest(self) -> tuple[NDArray[np.int64], bytes]:
        """Give the rows of the lines that no template has taken, and these lines."""
        rows = np.flatnonzero(self.left)
        if len(rows) == len(self.left) or not len(rows):
            return rows, self.text if len(rows) else b""
        jumps = np.flatnonzero(np.diff(rows) > 1) + 1
        first, last = rows[[0, *jumps]], rows[[*(jumps - 1), -1]]
        pieces = zip(self._bounds[first].tolist(), self._bounds[last + 1].tolist(), strict=True)
        return rows, b"".join([self.text[begin:end] for begin, end in pieces])

    def take(self, template: Template, integers: Collection[str]) -> pl.DataFrame:
        """Take the lines of a template.

        Parameters
        ----------
        template : the template.
        whole : names of its numbers that are whole ones.

        Returns
        -------
        Column `row`, the lines' numbers in order, and a column for every number of the template:
        Int64 where it is whole, Float64 otherwise.
        """
        rows = np.flatnonzero(self.left & (self._widths == template.width))
        step = max(1, AT_ONCE // template.width)
        pieces = [self._numbers(template, rows[at : at + step]) for at in range(0, len(rows), step)]
        pieces = pieces or [self._numbers(template, rows)]
        taken = np.concatenate([piece[0] for piece in pieces])
        self.left[taken] = False
        columns = {
            name: np.concatenate([piece[place] for piece in pieces])
            for place, name in enumerate(template.fields, start=1)
        }
        cast = {
            name: column.astype(np.int64) for name, column in columns.items() if name in integers
        }
        return pl.DataFrame({"row": taken, **columns, **cast}, schema_overrides={"row": pl.Int64})

    def _numbers(self, template: Template, rows: NDArray[np.int64]) -> list[NDArray[Any]]:
        """Read the numbers of the lines that fit, of some as long; their rows come first."""
        width = template.width
        if not len(rows) or rows[-1] - rows[0] == len(rows) - 1:
            begin = self._bounds[rows[0]] if len(rows) else 0
            lines = self._letters[begin : begin + len(rows) * width].reshape(-1, width)
        else:
            windows = np.lib.stride_tricks.sliding_window_view(self._letters, width)
            lines = windows[self._bounds[rows]]
        over = lines - template.least  # wraps round for a smaller byte, which makes it too large
        mixed = _without_pads(over, template.pads)
        wrong = over > template.room
        if mixed is not None:
            wrong[:, 0] |= mixed
        if wrong.any():
            fits = ~wrong.any(axis=1)
            rows, over = rows[fits], over[fits]
        return [rows, *(_number(over, field) for field in template.fields.values())]


def _without_pads(
    over: NDArray[np.uint8], pads: Collection[tuple[int, int]]
) -> NDArray[np.bool_] | None:
    """Write zeros for blanks that align numbers; tell of lines with a blank behind a digit."""
    mixed = None
    for begin, end in pads:
        numbers = over[:, begin:end]
        blank = numbers == _BLANK
        numbers[blank] = 0
        behind = (blank[:, 1:] & ~blank[:, :-1]).any(axis=1)
        mixed = behind if mixed is None else mixed | behind
    return mixed


def _number(digits: NDArray[np.uint8], field: Field) -> NDArray[np.float64]:
    """Read a number of each line: the float64 next to what is written, as it is rounded once."""
    value = _integers(digits, field.digits)
    power: Any = -field.decimals
    if field.exponent:
        power = power + field.signs[1] * _integers(digits, field.exponent)
        if (np.abs(power) > EXACT).any():
            return _rounded_often(digits, field)
        power = power.astype(np.int64)
        scale = POWERS[np.abs(power)]
        value = np.where(power < 0, value / scale, value * scale)
    elif power:
        value /= POWERS[-power]
    return -value if field.signs[0] < 0 else value


def _rounded_often(digits: NDArray[np.uint8], field: Field) -> NDArray[np.float64]:
    """Read numbers whose powers of ten no float64 is."""
    powers = field.signs[1] * _integers(digits, field.exponent) - field.decimals
    pairs = zip(_integers(digits, field.digits).tolist(), powers.tolist(), strict=True)
    return field.signs[0] * np.array([float(f"{value:.0f}e{power:.0f}") for value, power in pairs])


def _integers(digits: NDArray[np.uint8], columns: Collection[int]) -> NDArray[np.float64]:
    """Read whole numbers of at most `LONGEST` digits: every sum of theirs is exact."""
    value = np.zeros(len(digits))
    for column in columns:
        value *= 10.0
        value += digits[:, column]
    return value
