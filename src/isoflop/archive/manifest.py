"""What an archive says of itself: its MANIFEST.json."""

from __future__ import annotations

import json
from typing import Final

from isoflop.config.reading import Section, parse
from isoflop.files import json_text

MANIFEST: Final = "MANIFEST.json"


class Manifest(Section):
    """The file, in which every key is known: an archive of a later isoflop may have others."""

    sweep: str
    isoflop: str
    """Version of isoflop that made it."""
    revision: str | None
    """Commit at which the estimates were made; None outside git, or where these were several."""
    python: str
    """Version of Python."""
    files: dict[str, str]
    """Every file but this one, the crate and the README to its sha256."""
    raw: dict[str, str]
    """The sweep's raw files, below its folder, to their sha256: also those that were left out."""
    rebuilt: dict[str, str]
    """Files that a rebuild makes again to their place in the project."""
    targets: tuple[str, ...]
    """What a rebuild asks the workflow for."""
    columns: dict[str, dict[str, dict[str, str]]]
    """Table to column to its dtype, unit and meaning."""

    def text(self) -> str:
        """Write it."""
        return json_text(self.model_dump(mode="json"))


def read_manifest(text: bytes, *, name: str) -> Manifest:
    """Read it.

    Raises
    ------
    ConfigError : it lacks a key, or has one that is not known.
    ValueError : it is no JSON.
    """
    return parse(json.loads(text), Manifest, name=name)
