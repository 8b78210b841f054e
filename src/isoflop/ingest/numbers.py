"""Numbers as logs write them: 1,071,306 and 480B, 1.024283E+01, nan, and the string "NaN"."""

from __future__ import annotations

import math
import re
from typing import Final

NUMBER: Final = r"[-+]?(?:(?i:nan|inf(?:inity)?)|\d+(?:\.\d*)?(?:[eE][-+]?\d+)?)"
"""Regular expression of one number in running text."""

LARGEST_STEP: Final = 2**53
"""Beyond this a step is a misread number: float64 no longer counts by ones."""

SUFFIXES: Final = {"K": 1e3, "M": 1e6, "B": 1e9, "G": 1e9, "T": 1e12}
_WHOLE = re.compile(r"([-+]?\d[\d,_]*(?:\.\d*)?(?:[eE][-+]?\d+)?|[-+]?\.\d+)\s*([KMBGT]?)")
_NOT_FINITE = re.compile(r"([-+]?)(?:(nan)|inf(?:inity)?)", re.IGNORECASE)


def number(value: object) -> float | None:
    """Read a number from a cell of any type.

    Returns
    -------
    The number, NaN and infinity included; None for an empty cell or anything else.
    """
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int | float):
        return float(value)
    text = str(value).strip()
    if match := _WHOLE.fullmatch(text):
        digits = match[1].replace(",", "").replace("_", "")
        return float(digits) * SUFFIXES.get(match[2], 1.0)
    if match := _NOT_FINITE.fullmatch(text):
        if match[2]:
            return float("nan")
        return float("-inf") if match[1] == "-" else float("inf")
    return None


def finite(value: object) -> float | None:
    """Read a finite number; None for NaN and infinity too."""
    found = number(value)
    return found if found is not None and math.isfinite(found) else None


def step_number(value: object) -> int | None:
    """Read a count of updates: a whole number from 0 on; None if it is none."""
    found = finite(value)
    if found is None or not 0 <= found < LARGEST_STEP or not found.is_integer():
        return None
    return int(found)
