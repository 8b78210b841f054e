"""Published numbers beside those that came out of their data: results.json of compare-published.

Written by the published room, read by the report.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final, Literal

from isoflop.config.reading import Section, parse
from isoflop.files import write_json

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

Outcome = Literal["reproduced", "near", "not reproduced"]
OUTCOMES: Final[tuple[Outcome, ...]] = ("reproduced", "near", "not reproduced")
"""In the order in which they are counted."""


class DrawnMark(Section):
    """A value as the forest of exponents draws it (`drawing.forest.Mark`)."""

    value: float
    colour: str
    marker: str
    thick: tuple[float, float] | None
    """80 % interval."""
    thin: tuple[float, float] | None
    """95 % interval."""
    filled: bool


class DrawnExponent(Section):
    """A row of the forest of exponents (`drawing.exponents.Line`)."""

    label: str
    ours: DrawnMark | None
    published: DrawnMark | None


class PublishedNumber(Section):
    """One published number and what came of it."""

    study: str
    """Key of the study in the catalogue."""
    title: str
    """The study in words."""
    recomputed: bool
    """Whether no paper prints it: somebody found it from the same data."""
    quantity: str
    """What it is, in words."""
    published: float
    reproduced: float | None
    """Our number; None where there is none."""
    difference: float | None
    """Reproduced less published."""
    rounding: float
    """Half a unit of the last published digit."""
    tolerance: float
    """Largest difference that is explained."""
    outcome: Outcome
    source: str
    """Where it was published, or who recomputed it."""
    note: str
    """What a reader must know of the comparison."""
    refused: str | None
    """Why there is no number of ours."""
    sweep: str | None
    """The sweep that it was found in, without variant; None where it needs none."""
    reports: tuple[str, ...]
    """Sweeps of the study that have a report."""
    exponent: DrawnExponent | None
    """How the number is drawn; None where it is no exponent a."""


class _Numbers(Section):
    numbers: tuple[PublishedNumber, ...]


def read_numbers(path: Path) -> tuple[PublishedNumber, ...]:
    """Read results.json.

    Raises
    ------
    ConfigError : a number lacks a key, or has one that is not known.
    """
    content = {"numbers": json.loads(path.read_text(encoding="utf-8"))}
    return parse(content, _Numbers, name=str(path)).numbers


def write_numbers(numbers: Sequence[PublishedNumber], path: Path) -> None:
    """Write results.json: a list of numbers."""
    write_json(path, [number.model_dump(mode="json") for number in numbers])
