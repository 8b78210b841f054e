"""The faces of pages and figures, as rules of a stylesheet that have the fonts inside."""

from __future__ import annotations

import base64
import io
import re
import shutil
from dataclasses import dataclass
from functools import cache
from importlib import resources
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True, order=True)
class Face:
    """One face: its family, its file, its weight and its style."""

    family: str
    file: str
    weight: int = 400
    style: str = "normal"


SANS: Final = Face("Inter", "Inter-Regular")
SANS_BOLD: Final = Face("Inter", "Inter-SemiBold", 600)
ITALIC: Final = Face("STIX Two Text", "STIXTwoText-Italic", style="italic")
FACES: Final = (
    SANS,
    SANS_BOLD,
    Face("STIX Two Text", "STIXTwoText-Regular"),
    ITALIC,
    Face("STIX Two Text", "STIXTwoText-SemiBold", 600),
    Face("STIX Two Math", "STIXTwoMath"),
)
"""Of the pages; figures are written in some of them."""

INSIDE: Final = Path(str(resources.files("isoflop"))) / "assets"
FONTS: Final = INSIDE / "drawing" / "style"
"""Inter as a font that matplotlib and Typst read: the characters and widths of the pages' own."""
FORMULAS: Final = ("STIXGeneral.ttf", "STIXGeneralItalic.ttf")
"""Fonts of matplotlib's that formulas in figures are set in."""
EMBEDDED: Final = re.compile(r'<style class="faces">[^<]*</style>\n')
"""The pages' faces inside an SVG, for readers who open it by itself."""
SIGNS: Final = "STIXGeneral"
"""Family of the signs that no face of the pages has: the font that matplotlib draws them from."""


def copy_fonts(folder: Path) -> None:
    """Put the fonts of figures' texts into a folder, for a typesetter that reads no stylesheet."""
    matplotlib = find_spec("matplotlib")
    if matplotlib is None or matplotlib.origin is None:
        raise ModuleNotFoundError("matplotlib is not installed")
    beside = Path(matplotlib.origin).parent / "mpl-data" / "fonts" / "ttf"
    folder.mkdir()
    for font in [*sorted(FONTS.glob("*.ttf")), *(beside / name for name in FORMULAS)]:
        shutil.copyfile(font, folder / font.name)


@cache
def rule(face: Face) -> str:
    """Write a face as a rule; nothing in it is loaded from elsewhere."""
    font = (INSIDE / "page" / "fonts" / f"{face.file}.woff2").read_bytes()
    return _rule(face, "woff2", font)


@cache
def rule_of_signs(file: Path, style: str, signs: str) -> str:
    """Write a face that has a few signs of a font of matplotlib's.

    Parameters
    ----------
    file, style : the font, and whether it is italic.
    signs : the characters, each once and in order.
    """
    from fontTools.subset import Options, Subsetter
    from fontTools.ttLib import TTFont

    options = Options(hinting=False, layout_features=[], name_IDs=[0, 1, 2, 13])
    options.drop_tables += ["FFTM", "GDEF", "GPOS", "GSUB"]
    with TTFont(file, recalcTimestamp=False) as font:
        subsetter = Subsetter(options)
        subsetter.populate(text=signs)
        subsetter.subset(font)
        written = io.BytesIO()
        # as it is: what a compressor writes depends on its version
        font.save(written)
    # other figures of the page have other signs under this name
    span = ", ".join(f"U+{ord(sign):X}" for sign in signs)
    face = Face(SIGNS, file.stem, style=style)
    return _rule(face, "truetype", written.getvalue(), f" unicode-range: {span};")


def _rule(face: Face, kind: str, font: bytes, more: str = "") -> str:
    media = "ttf" if kind == "truetype" else kind
    return (
        f'@font-face {{ font-family: "{face.family}"; font-weight: {face.weight}; '
        f'font-style: {face.style};{more} src: url("data:font/{media};base64,'
        f'{base64.b64encode(font).decode()}") format("{kind}"); }}'
    )


def embed(svg: str, faces: Iterable[Face], signs: Iterable[str]) -> str:
    """Put faces into an SVG, which then looks alike wherever it is opened.

    Parameters
    ----------
    svg : as matplotlib writes it.
    faces : of the pages.
    signs : rules for more, which stay where the pages' own are taken out.
    """
    for kind, rules in (("signs", [*signs]), ("faces", [rule(face) for face in sorted(faces)])):
        if rules:
            style = f'<defs>\n<style class="{kind}">{"".join(rules)}</style>\n'
            svg = svg.replace("<defs>\n", style, 1)
    return svg


def without_faces(svg: str) -> str:
    """Take the faces out of an SVG, for a page or a document that has them itself."""
    return EMBEDDED.sub("", svg, count=1)
