"""The style that all HTML pages share: one stylesheet, with its fonts inside."""

from __future__ import annotations

from functools import cache
from importlib import resources

from isoflop.drawing.faces import FACES, rule


@cache
def stylesheet() -> str:
    """Give the pages' style; nothing in it is loaded from elsewhere."""
    folder = resources.files("isoflop") / "assets" / "page"
    return "\n".join([*map(rule, FACES), (folder / "page.css").read_text(encoding="utf-8")])


@cache
def script(name: str) -> str:
    """Give one of the pages' scripts: conveniences, since every page reads whole without them."""
    return (resources.files("isoflop") / "assets" / "page" / f"{name}.js").read_text(
        encoding="utf-8"
    )
