"""The style that all HTML pages share: one stylesheet, with its fonts inside."""

from __future__ import annotations

import base64
from functools import cache
from importlib import resources
from typing import Final

FONTS: Final = (
    ("Inter", "Inter-Regular", 400, "normal"),
    ("Inter", "Inter-SemiBold", 600, "normal"),
    ("STIX Two Text", "STIXTwoText-Regular", 400, "normal"),
    ("STIX Two Text", "STIXTwoText-Italic", 400, "italic"),
    ("STIX Two Text", "STIXTwoText-SemiBold", 600, "normal"),
    ("STIX Two Math", "STIXTwoMath", 400, "normal"),
)
"""Family, file, weight and style of each face."""


@cache
def stylesheet() -> str:
    """Give the pages' style; nothing in it is loaded from elsewhere."""
    folder = resources.files("isoflop") / "assets" / "page"
    faces = []
    for family, name, weight, style in FONTS:
        font = (folder / "fonts" / f"{name}.woff2").read_bytes()
        faces.append(
            f'@font-face {{ font-family: "{family}"; font-weight: {weight}; font-style: {style}; '
            f'src: url("data:font/woff2;base64,{base64.b64encode(font).decode()}") '
            'format("woff2"); }'
        )
    return "\n".join([*faces, (folder / "page.css").read_text(encoding="utf-8")])


@cache
def script(name: str) -> str:
    """Give one of the pages' scripts: conveniences, since every page reads whole without them."""
    return (resources.files("isoflop") / "assets" / "page" / f"{name}.js").read_text(
        encoding="utf-8"
    )
