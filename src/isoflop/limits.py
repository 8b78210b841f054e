"""What numbers a question may have: one table for the commands, the interface and the calculator.

Beyond these no training, machine or text is, and laws leave what floating-point numbers hold.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Real
from typing import Any, Final

from isoflop.errors import IsoflopError
from isoflop.numbers import typed


@dataclass(frozen=True, slots=True)
class Limits:
    """Between which ends a number lies, both included.

    Attributes
    ----------
    what : the number with its article, as a message names it.
    least, most : the ends.
    unit : what is written behind them.
    """

    what: str
    least: float
    most: float
    unit: str = ""

    def require(self, value: Any) -> float:
        """Give a number that lies between the ends, as a float.

        Whatever integers, scalars of NumPy or texts somebody asks by become one here.

        Raises
        ------
        IsoflopError : it is no number, or lies outside; the message has the ends.
        """
        if getattr(value, "ndim", None) == 0:
            # of a scalar in single precision, a comparison with 1e40 would overflow
            value = value.item()
        known = isinstance(value, Real) and not isinstance(value, bool)
        # compared as it is: an integer may be larger than any float
        if known and self.least <= value <= self.most:
            return float(value)
        ends = f"{_written(self.least)} and {_written(self.most)}{self.unit and ' '}{self.unit}"
        if known:
            raise IsoflopError(f"{self.what} lies between {ends}, not at {_written(value)}")
        quoted = _unquoted(value) if isinstance(value, str) else ""
        raise IsoflopError(f"{self.what} lies between {ends}, and {value!r} is no number{quoted}")


def _unquoted(text: str) -> str:
    """Say how a text that stands for a number is written in Python."""
    try:
        number = typed(text)
    except ValueError:
        return ""
    same = text.strip()[-1:].isdigit()
    return f": leave the quotation marks out{'' if same else f', and write {_written(number)}'}"


def _written(value: Any) -> str:
    """Write a number as one types it: 1e40."""
    try:
        number = float(value)
    except OverflowError:
        digits = math.log10(abs(value))
        return f"{'-' if value < 0 else ''}1e{digits:.0f}"
    mantissa, power, exponent = f"{number:g}".partition("e")
    return f"{mantissa}e{int(exponent)}" if power else mantissa


LIMITS: Final = {
    "flops": Limits("a compute", 1.0, 1e40, "FLOPs"),
    "loss": Limits("a loss", 1e-3, 100.0, "nats per token"),
    "params": Limits("a number of parameters", 1.0, 1e20),
    "tokens": Limits("a number of tokens", 1.0, 1e20),
    "tokens_per_param": Limits("a ratio of tokens to parameters", 1e-12, 1e12),
    "hours": Limits("a training on one card", 1e-6, 1e20, "hours"),
    "served": Limits("a number of tokens served", 1.0, 1e20),
    "unique": Limits("a number of unique tokens", 1.0, 1e20),
    "utilisation": Limits("a utilisation", 1e-4, 1.0),
    "price": Limits("a price of an hour", 0.0, 1e9),
}
"""By the names of the interface's arguments, where it has them."""

UTILISATION: Final = 0.4
"""Of a card where nobody said."""
