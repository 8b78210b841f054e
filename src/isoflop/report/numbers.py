"""Numbers as readers of the field write them, in Markdown, for both outputs alike."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from isoflop.estimates.estimate import Quantity

NBSP = "\N{NO-BREAK SPACE}"
MINUS = "\N{MINUS SIGN}"
DASH = "\N{EN DASH}"
NONE = "\N{EM DASH}"
SUFFIXES = ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k"))
BREAK = "⏎"
"""A line break inside a table cell; the Lua filter turns it into one."""
SHORT = "†"
"""Marks an interval that held the truth less often than it says."""


def count(value: float, digits: int = 3) -> str:
    """Write parameters or tokens: 72.3B, 1.33T, 12.3k; powers of ten where no suffix reaches."""
    if not math.isfinite(value):
        return NONE
    rounded = float(f"{value:.{digits}g}")
    if not 0.1 <= abs(rounded) < 1e16:
        return power(value, digits)
    for size, suffix in SUFFIXES:
        if abs(rounded) >= size:
            return significant(rounded / size, digits) + suffix
    return significant(rounded, digits)


def power(value: float, digits: int = 3) -> str:
    """Write FLOPs: 5.76 × 10^23^, and 10^14^ where the mantissa is 1."""
    if not math.isfinite(value):
        return NONE
    mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
    mantissa = mantissa.rstrip("0").rstrip(".") if "." in mantissa else mantissa
    raised = f"10^{_signed(str(int(exponent)))}^"
    return raised if mantissa == "1" else f"{_signed(mantissa)}{NBSP}×{NBSP}{raised}"


def fixed(value: float, decimals: int = 3) -> str:
    """Write a number with so many decimals and a true minus sign."""
    return _signed(f"{value:.{decimals}f}") if math.isfinite(value) else NONE


def ratio(value: float) -> str:
    """Write tokens per parameter: three digits, no suffix below 10,000."""
    if value >= 1e4 or value < 0.01:
        return count(value)
    return significant(value, 3)


def percent(value: float, decimals: int = 0) -> str:
    """Write a share as per cent."""
    return f"{fixed(100.0 * value, decimals)}{NBSP}%"


def probability(log10_p: float) -> str:
    """Write a p-value from its logarithm, however small: doubles end at 1e-308."""
    if log10_p > -3.0:
        return significant(10.0**log10_p, 2)
    exponent = math.floor(log10_p)
    mantissa = 10.0 ** (log10_p - exponent)
    return f"{mantissa:.1f}{NBSP}×{NBSP}10^{MINUS}{-exponent}^"


def interval(low: float, high: float, write: object) -> str:
    """Write an interval, each end with its own suffix: 60.1B–75.2B, 78.2–87.0k, 0.46–0.53.

    A suffix that both ends share was once written at the right end alone; then an end without one
    was read as if it had its neighbour's.
    """
    if not callable(write):
        raise TypeError(write)
    left, right = str(write(low)), str(write(high))
    if MINUS in left or MINUS in right or "^" in left:
        return f"{left} to {right}"
    return f"{left}{DASH}{right}"


def with_intervals(
    quantity: Quantity | None, write: object, levels: tuple[float, ...], *, named: bool = True
) -> str:
    """Write a value and, below it, its intervals, each named by its level."""
    if quantity is None or not callable(write):
        return NONE
    lines = [str(write(quantity.value))]
    for level in levels:
        ends = quantity.intervals.get(f"{level:g}")
        if ends is not None:
            name = f"{percent(level)}: " if named else ""
            mark = SHORT if quantity.falls_short(level) else ""
            lines.append(f"[{name}{interval(*ends, write)}{mark}]{{.ci}}")
    return f" {BREAK} ".join(lines)


def of_level(quantity: Quantity, level: float, write: object) -> str:
    """Write one interval of a quantity, or a dash where it has none."""
    ends = quantity.intervals.get(f"{level:g}")
    if ends is None:
        return NONE
    return interval(*ends, write) + (SHORT if quantity.falls_short(level) else "")


def distance(flops: float, data: tuple[float, float]) -> str:
    """Say how many decades a budget lies beyond or below the fitted compute, or that it is within.

    Parameters
    ----------
    flops : budget C [FLOP].
    data : smallest and largest fitted C [FLOP].
    """
    low, high = data
    beyond, below = math.log10(flops / high), math.log10(low / flops)
    # half a tenth: what rounds to 0.0 decades is called within
    if beyond >= 0.05:
        return f"{beyond:.1f}{NBSP}decades beyond the data"
    if below >= 0.05:
        return f"{below:.1f}{NBSP}decades below the data"
    return "within the data"


def listed(words: list[str]) -> str:
    """Join words as prose does: a, b and c."""
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} and {words[-1]}"


def times(number: int, singular: str, plural: str | None = None) -> str:
    """Count things in words that agree: 1 run, 36 runs."""
    return (
        f"{number:,}".replace(",", NBSP)
        + NBSP
        + (singular if number == 1 else plural or f"{singular}s")
    )


def significant(value: float, digits: int) -> str:
    """Write so many significant digits, keeping zeros that are significant."""
    if value == 0:
        return "0"
    rounded = float(f"{value:.{digits - 1}e}")
    decimals = max(digits - 1 - math.floor(math.log10(abs(rounded))), 0)
    return _signed(f"{rounded:.{decimals}f}")


def _signed(text: str) -> str:
    return text.replace("-", MINUS)
