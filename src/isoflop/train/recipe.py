"""A corpus recipe: where a text comes from, file by file, and the digest it must have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from isoflop.config.reading import Section, read_yaml

if TYPE_CHECKING:
    from pathlib import Path


class Source(Section):
    """Files of one repository at one commit."""

    repository: str
    commit: str
    folder: str
    address: str
    """Address of a file, with {repository}, {commit} and {path} for its place."""
    format: Literal["text", "tei"]
    """text: plain text, white space folded; tei: the body of a TEI document, mark-up removed."""
    licence: str
    files: tuple[str, ...]


class Recipe(Section):
    """A corpus: its sources in order, and the text's size and digest."""

    name: str
    title: str
    sha256: str
    bytes: int
    sources: tuple[Source, ...]

    def novels(self) -> tuple[str, ...]:
        """Names of the novels, in the order in which the text has them."""
        return tuple(file for source in self.sources for file in source.files)


def read_recipe(path: Path) -> Recipe:
    """Read a recipe."""
    return read_yaml(path, Recipe)
