"""Numbers as readers of the field write them: one writer, for Markdown, figures and plain text.

What differs between the three hands is how a power of ten is raised, and the sign of a minus; all
else (digits, suffixes, where a suffix ends and powers begin) is decided once, here.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from isoflop.escape import BREAK

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from isoflop.estimates.quantities import Quantity

NBSP = "\N{NO-BREAK SPACE}"
MINUS = "\N{MINUS SIGN}"
DASH = "\N{EN DASH}"
NONE = "\N{EM DASH}"
SUFFIXES = ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k"))
SHORT = "†"
"""Marks an interval that covers the truth less often than its confidence level says."""
UNSURE = "‡"
"""Marks a loss of a law whose forecast of losses failed, or whose form is rejected."""


@dataclass(frozen=True, slots=True)
class Hand:
    """How one format writes a power of ten.

    Attributes
    ----------
    before, after : what stands around the raised exponent.
    around : what stands around the whole power.
    times : the sign between mantissa and power, with its blanks.
    minus : the minus of an exponent.
    superscripts : whether the exponent is written with raised characters.
    """

    before: str
    after: str
    around: str
    times: str
    minus: str = MINUS
    superscripts: bool = False

    def raised(self, exponent: int) -> str:
        """Write ten to a power."""
        text = str(exponent).replace("-", self.minus)
        if self.superscripts:
            text = text.translate(SUPERSCRIPTS)
        return f"{self.around}10{self.before}{text}{self.after}{self.around}"


SUPERSCRIPTS: Final = str.maketrans(f"{MINUS}0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
MARKDOWN: Final = Hand("^", "^", "", f"{NBSP}×{NBSP}")
MATHTEXT: Final = Hand("^{", "}", "$", " × ", minus="-")
"""Matplotlib's; it draws the hyphen of a formula as a minus."""
PLAIN: Final = Hand("", "", "", " × ", superscripts=True)
"""For alternative texts, and for HTML that is not made from Markdown."""


def count(value: float, digits: int = 3, hand: Hand = MARKDOWN) -> str:
    """Write parameters or tokens: 72.3B, 1.33T, 12.3k; powers of ten where no suffix reaches."""
    if not math.isfinite(value):
        return NONE
    rounded = float(f"{value:.{digits}g}")
    if not 0.1 <= abs(rounded) < 1e16:
        return power(value, digits, hand)
    for size, suffix in SUFFIXES:
        if abs(rounded) >= size:
            return significant(rounded / size, digits) + suffix
    return significant(rounded, digits)


def typed(text: str) -> float:
    """Read a number as somebody types it: 1e9, 7B, 121.4M, 12k; letters of either case.

    Raises
    ------
    ValueError : it is none.
    """
    number = text.strip()
    sizes = [size for size, suffix in SUFFIXES if number[-1:].upper() == suffix.upper()]
    return float(number[:-1] if sizes else number) * (sizes[0] if sizes else 1.0)


TYPED: Final = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?[kMBTmbtK]?")
TEN_TO: Final = re.compile(r"(?:(\d+\.?\d*)\s*[x*×]\s*)?10\s*(?:\^|\*\*)\s*\{?([-+]?\d+)\}?")

UNITS: Final = re.compile(
    r"(?i)[%$\N{EURO SIGN}\N{POUND SIGN}]|flops?|params?|parameters|tokens?"
    r"|(?:gpu[- ]?)?hours?|h|nats?(?:/token)?"
)
"""What may stand beside a number and says nothing of its size; "billion" or "PFLOPs" would."""


def retyped(text: str) -> str:
    """Say how somebody might type a number that ``typed`` does not read; empty where none is known.

    A power of ten, commas between thousands, and a unit or a sign of money or of per cent: what is
    proposed is read.
    """
    words = text.strip()
    if match := TEN_TO.match(words):
        return f"write {match[1] or '1'}e{int(match[2])}"
    plain = re.sub(r"(?<=\d)[,_' \N{NO-BREAK SPACE}](?=\d{3})", "", words)
    match = TYPED.search(plain)
    if match is None:
        return ""
    before, after = plain[: match.start()].strip(), plain[match.end() :].strip()
    if not all(UNITS.fullmatch(part) for part in (before, after) if part):
        return ""
    left = [repr(part) for part in (before, after) if part]
    return f"write {match[0]}" + (f", without {' and '.join(left)}" if left else "")


def short(value: float, digits: int = 3, hand: Hand = MATHTEXT) -> str:
    """Write a count as labels and axes do, without the zeros at its end: 70B, 1.33T, 12k."""
    written = count(value, digits, hand)
    match = re.fullmatch(r"(.*\d)\.(\d*?)0*([TBMk]?)", written)
    if match is None:
        return written
    integer, decimals, suffix = match.groups()
    return f"{integer}.{decimals}{suffix}" if decimals else f"{integer}{suffix}"


def power(value: float, digits: int = 3, hand: Hand = MARKDOWN, *, zeros: bool = False) -> str:
    """Write FLOPs: 5.76 × 10^23^, and 10^14^ where the mantissa is 1.

    Parameters
    ----------
    zeros : whether digits at the end are written though they are zero, as those of an estimate
        are; of a budget that somebody chose they say nothing.
    """
    if not math.isfinite(value):
        return NONE
    mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
    if not zeros and "." in mantissa:
        mantissa = mantissa.rstrip("0").rstrip(".")
    raised = hand.raised(int(exponent))
    return raised if mantissa == "1" else f"{_true_minus(mantissa)}{hand.times}{raised}"


def parameter(value: float, digits: int = 4) -> str:
    """Write a law's parameter, which may be of any size."""
    if not math.isfinite(value):
        return NONE
    if value == 0.0:
        return "0"
    if not 1e-3 <= abs(value) < 1e5:
        return power(value, digits)
    return significant(value, digits)


def shortest(value: float | None, digits: int = 8, *, sign: bool = False) -> str:
    """Write a number in plain text with at most this many digits: 0.001018274, 73.2B, 3.03T.

    Parameters
    ----------
    value : the number; None gives a dash.
    digits : significant digits at most; zeros at the end are left out.
    sign : whether a plus is written.
    """
    if value is None or not math.isfinite(value):
        return NONE
    for size, suffix in SUFFIXES[:3]:
        if abs(value) >= size:
            return shortest(value / size, digits, sign=sign) + suffix
    text = f"{value:{'+' if sign else ''}.{digits}g}"
    if "e" in text:
        if abs(value) < 1.0:
            return ("+" if sign and value > 0.0 else "") + power(value, digits, PLAIN)
        # 1.43e+03 is 1430; only small numbers need a power of ten
        text = f"{float(text):{'+' if sign else ''}.0f}"
    return _true_minus(text)


def as_fine(value: float | None, step: float) -> str:
    """Write a number as finely as a difference of this size asks, and a digit more."""
    if value is None or value == 0.0 or not math.isfinite(value):
        return shortest(value)
    digits = math.floor(math.log10(abs(value))) - math.floor(math.log10(step)) + 2
    return shortest(value, min(max(digits, 4), 12))


def fixed(value: float, decimals: int = 3) -> str:
    """Write a number with this many decimals and a true minus sign."""
    # z: what rounds to zero has no sign
    return _true_minus(f"{value:z.{decimals}f}") if math.isfinite(value) else NONE


def ratio(value: float, hand: Hand = MARKDOWN) -> str:
    """Write tokens per parameter: three digits, no suffix below 10,000."""
    if value >= 1e4 or value < 0.01:
        return count(value, hand=hand)
    return significant(value, 3)


def percent(value: float, decimals: int = 0) -> str:
    """Write a share as per cent."""
    return f"{fixed(100.0 * value, decimals)}{NBSP}%"


def per_cent(value: float, decimals: int = 0, *, signed: bool = False) -> str:
    """Write a share as per cent in plain text: a message, a caution."""
    return f"{100.0 * value:{'+' if signed else ''}.{decimals}f} %"


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
            mark = SHORT if quantity.undercovers(level) else ""
            lines.append(f"[{name}{interval(*ends, write)}{mark}]{{.ci}}")
        elif f"{level:g}" in quantity.levels:
            # to be calibrated, and no interval that covers could be given
            lines.append(f"[{f'{percent(level)}: ' if named else ''}{NONE}]{{.ci}}")
    return f" {BREAK} ".join(lines)


def of_level(quantity: Quantity, level: float, write: object) -> str:
    """Write one interval of a quantity, or a dash where it has none."""
    ends = quantity.intervals.get(f"{level:g}")
    if ends is None:
        return NONE
    return interval(*ends, write) + (SHORT if quantity.undercovers(level) else "")


def with_level(quantity: Quantity, level: float, write: Callable[[float], str]) -> str:
    """Write a quantity for a sentence: 0.559 (95 %: 0.457–0.630), or that no interval covers."""
    ends = of_level(quantity, level, write)
    inside = f"no {percent(level)} interval covers" if ends == NONE else f"{percent(level)}: {ends}"
    return f"{write(quantity.value)} ({inside})"


DISTANCES: Final = {
    "within": "within the data",
    "beyond": "decades beyond the data",
    "below": "decades below the data",
}
"""Where a budget may lie; the report's calculator is given these words too."""


def decades_beyond(flops: float, data: tuple[float, float]) -> float:
    """Give the decades between a budget and the fitted compute.

    Parameters
    ----------
    flops : budget C [FLOP].
    data : smallest and largest fitted C [FLOP].

    Returns
    -------
    Positive outside them on either side; negative inside, the distance to the nearer end.
    """
    low, high = data
    return max(math.log10(flops / high), math.log10(low / flops))


WITHIN: Final = 0.05
"""Half a tenth: what rounds to 0.0 decades beyond the data lies within them."""


def is_within(decades: float) -> bool:
    """Tell whether a budget this many decades beyond the data counts as within them."""
    return decades < WITHIN


def distance(flops: float, data: tuple[float, float], *, blank: str = NBSP) -> str:
    """Say how many decades a budget lies beyond or below the fitted compute, or that it is within.

    Parameters
    ----------
    flops : budget C [FLOP].
    data : smallest and largest fitted C [FLOP].
    blank : what stands between number and word.
    """
    decades = decades_beyond(flops, data)
    if is_within(decades):
        return DISTANCES["within"]
    return f"{decades:.1f}{blank}{DISTANCES['below' if flops < data[0] else 'beyond']}"


class WriteP(Protocol):
    """How a p-value stands in a sentence; the writer's markup is in it, as numbers' is."""

    def __call__(self, value: float, sign: str = "=") -> str:
        """Write the p-value, with p before it."""
        ...


def plain_p(value: float, sign: str = "=") -> str:
    """Write a p-value where there is no markup: p = 0.04."""
    return f"p {sign} {value:.1g}"


def listed(words: list[str]) -> str:
    """Join words as prose does: a, b and c."""
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} and {words[-1]}"


def first_of(names: Sequence[str], most: int = 5) -> str:
    """Name the first of some things; dots say that there are more."""
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")


def times(number: int, singular: str, plural: str | None = None) -> str:
    """Count things in words that agree: 1 run, 36 runs."""
    return (
        f"{number:,}".replace(",", NBSP)
        + NBSP
        + (singular if number == 1 else plural or f"{singular}s")
    )


def number_of(number: int, singular: str, plural: str | None = None) -> str:
    """Count things in plain text, with a blank that may end a line: 1 run, 36 runs."""
    return times(number, singular, plural).replace(NBSP, " ")


def significant(value: float, digits: int) -> str:
    """Write this many significant digits, keeping zeros that are significant."""
    if value == 0:
        return "0"
    rounded = float(f"{value:.{digits - 1}e}")
    decimals = max(digits - 1 - math.floor(math.log10(abs(rounded))), 0)
    return _true_minus(f"{rounded:.{decimals}f}")


def signed(value: float, decimals: int = 3) -> str:
    """Write a difference with its sign; what rounds to zero has none."""
    rounded = round(value, decimals)
    return f"+{fixed(rounded, decimals)}" if rounded > 0 else fixed(rounded + 0.0, decimals)


def _true_minus(text: str) -> str:
    return text.replace("-", MINUS)
