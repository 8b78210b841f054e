"""What each figure shows, in words: figures.json, beside the drawings."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from pydantic import Field

from isoflop.config.reading import Section, parse
from isoflop.files import write_json

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

MANIFEST: Final = "figures.json"


class FigureText(Section):
    """What one figure shows, or why it shows nothing."""

    shown: bool
    reason: str
    """Why it shows nothing; empty where it shows something."""
    alt: str
    """What there is to see, for readers who do not see it."""
    stand_ins: bool = False
    """Whether the drawing has question marks for characters that its font lacks."""
    runs: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """By identifier in the SVG: the run that each mark shows, in their order, or the one of a
    curve."""


def write_manifest(texts: Mapping[str, FigureText], folder: Path) -> None:
    """Write the words of all figures, by name, into their folder."""
    write_json(folder / MANIFEST, {name: text.model_dump() for name, text in texts.items()})


def read_manifest(folder: Path) -> dict[str, FigureText]:
    """Read the words of all figures, by name.

    Raises
    ------
    ConfigError : an entry lacks a key, or has an unknown one.
    """
    path = folder / MANIFEST
    content = json.loads(path.read_text(encoding="utf-8"))
    return {
        name: parse(entry, FigureText, name=f"{path}: {name}") for name, entry in content.items()
    }
