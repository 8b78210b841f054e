"""Numbers and JSON as logs write them: 1,071,306 and 480B, 1.024283E+01, nan, and "NaN"."""

from __future__ import annotations

import json
import math
import re
from typing import Any, Final

NUMBER: Final = r"[-+]?(?:(?i:nan|inf(?:inity)?)|[0-9]+(?:\.[0-9]*)?(?:[eE][-+]?[0-9]+)?)"
"""Regular expression of one number in running text."""

LARGEST_STEP: Final = 2**53
"""Beyond this a step is a misread number: float64 no longer counts by ones."""

SUFFIXES: Final = {
    "K": 1e3, "M": 1e6, "B": 1e9, "G": 1e9, "T": 1e12, "k": 1e3, "m": 1e6, "b": 1e9,
}  # fmt: skip
_NUMBER = re.compile(
    r"([-+]?(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9][0-9_]*)(?:\.[0-9]*)?(?:[eE][-+]?[0-9]+)?"
    r"|[-+]?\.[0-9]+(?:[eE][-+]?[0-9]+)?)\s*([KMBGTkmb]?)"
)
_NOT_FINITE = re.compile(r"[-+]?(?:nan|inf(?:inity)?)", re.IGNORECASE | re.ASCII)


def number(value: object) -> float | None:
    """Read a number from a cell of any type.

    Returns
    -------
    The number, NaN and infinity included, and infinity for what float64 cannot reach; None for an
    empty cell or anything else. A comma is a thousands mark only where three digits follow it.
    """
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int | float):
        try:
            return float(value)
        except OverflowError:  # JSON's whole numbers have any length
            return math.inf if value > 0 else -math.inf
    text = str(value).strip()
    if match := _NUMBER.fullmatch(text):
        digits = match[1].replace(",", "").replace("_", "")
        return float(digits) * SUFFIXES.get(match[2], 1.0)
    return float(text) if _NOT_FINITE.fullmatch(text) else None


def finite(value: object) -> float | None:
    """Read a finite number; None for NaN and infinity too."""
    parsed = number(value)
    return parsed if parsed is not None and math.isfinite(parsed) else None


def step_number(value: object) -> int | None:
    """Read a count of updates: a whole number from 0 on; None if it is none."""
    parsed = finite(value)
    if parsed is None or not 0 <= parsed < LARGEST_STEP or not parsed.is_integer():
        return None
    return int(parsed)


def read_json(text: str) -> Any:
    """Read JSON, whose whole numbers have any length; Python's have 4,300 digits at most.

    Raises
    ------
    ValueError : it is none.
    RecursionError : it is nested too deep.
    """
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        raise
    except ValueError:  # in ordinary text all numbers are read by Python itself, which is quicker
        return json.loads(text, parse_int=whole_number)


def whole_number(digits: str) -> int | float:
    """Read a whole number of JSON's; infinity where float64 cannot reach it."""
    return int(digits) if len(digits) <= LONGEST else float(digits)


LONGEST: Final = 400
"""Digits beyond which a whole number is infinite to float64."""


def json_object(line: str) -> dict[str, Any] | None:
    """Read a line of JSON, bare NaN and Infinity included; None if it is no JSON object.

    Half of a surrogate pair, which JSON may escape and no table can keep, becomes a question mark.
    """
    try:
        record = read_json(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(record, dict):
        return None
    escaped = "\\ud" in line or "\\uD" in line
    return {encodable(k): encodable(v) for k, v in record.items()} if escaped else record


def encodable(value: Any) -> Any:
    """Replace what UTF-8 cannot write."""
    match value:
        case str():
            return value.encode("utf-8", errors="replace").decode("utf-8")
        case dict():
            return {encodable(key): encodable(inner) for key, inner in value.items()}
        case list():
            return [encodable(inner) for inner in value]
    return value
