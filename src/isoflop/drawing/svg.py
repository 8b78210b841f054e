"""Saving figures so that the same data give the same bytes, and so that SVGs can share a page."""

from __future__ import annotations

import io
import re
from collections import Counter, defaultdict
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from unittest.mock import patch
from xml.sax.saxutils import escape, quoteattr

from matplotlib import rc_context
from matplotlib.backends.backend_mixed import MixedModeRenderer
from matplotlib.backends.backend_svg import RendererSVG
from matplotlib.colors import rgb2hex
from matplotlib.font_manager import weight_dict
from matplotlib.mathtext import MathTextParser
from matplotlib.patheffects import withStroke
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from isoflop.drawing.faces import (
    ITALIC,
    SANS,
    SANS_BOLD,
    SIGNS,
    embed,
    rule_of_signs,
    without_faces,
)
from isoflop.drawing.once import once
from isoflop.drawing.style import GROUND, HALO, RC
from isoflop.files import replacing, write_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from matplotlib.figure import Figure
    from matplotlib.font_manager import FontProperties
    from matplotlib.patheffects import AbstractPathEffect

    from isoflop.drawing.faces import Face

SETTLED: Final = {**RC, "figure.autolayout": False, "figure.constrained_layout.use": False}
"""To save in: savefig gives a figure without a layout engine the one of these settings again."""
NUMBER = re.compile(r"scale\([^)]*\)|-?\d+\.\d{3,}")
"""A coordinate with needless digits; a scale is matched whole, and left as it is."""
_Mixed: Any = MixedModeRenderer
"""Without types, as all of matplotlib's backends."""
TAG: Final = re.compile(r"<[^>]*>")
"""What is markup: a number or an address in a text stays as it is."""
FAMILIES: Final = "Inter, Helvetica, Arial, sans-serif"
VARIABLES: Final = f"'STIX Two Text', {SIGNS}, serif"
"""Families of what stands for a number: the pages', and then matplotlib's, as in the PDF."""
HALO_OF_TEXT: Final = {
    "stroke": GROUND,
    "stroke-width": f"{HALO:g}",
    "paint-order": "stroke",
}
BOLD: Final = 600
"""Least weight that is set in the bold face."""


def save(figure: Figure, folder: Path, name: str) -> None:
    """Write a figure as SVG and PDF, in whatever settings of matplotlib it is asked for."""
    save_svg(figure, folder, name)
    path = folder / f"{name}.pdf"
    with rc_context(SETTLED), once(), _fonts_by_name(), replacing(path) as temporary:
        figure.savefig(
            temporary,
            format="pdf",
            metadata={"CreationDate": None, "Producer": None, "Creator": None},
        )


def save_svg(figure: Figure, folder: Path, name: str) -> None:
    """Write a figure as SVG alone, the one of ``save``."""
    settle(figure)
    write_text(folder / f"{name}.svg", svg_text(figure, name))


class _Entry(tuple[Any, ...]):
    """A font that matplotlib embeds, sorted by the name of its file, wherever its folder lies."""

    __slots__ = ()

    def __lt__(self, other: Any) -> bool:
        return _by_name(self) < _by_name(other)


def _by_name(entry: tuple[Any, ...]) -> tuple[str, int]:
    (path, subset), _ = entry
    return Path(path).name, subset


class _Fonts(dict[Any, Any]):
    """The fonts of a PDF, as `PdfFile.writeFonts` sorts them."""

    def items(self) -> Any:
        return [_Entry(item) for item in super().items()]


@contextmanager
def _fonts_by_name() -> Iterator[None]:
    """Let PDFs have their fonts in the order of their names.

    Matplotlib writes them in the order of their paths, and some lie beside its code and some beside
    ours: the bytes would tell whether the environment lies inside the checkout.
    """
    from matplotlib.backends.backend_pdf import PdfFile

    original: Any = PdfFile.writeFonts

    def write_fonts(file: Any) -> None:
        file._fontNames = _Fonts(file._fontNames)  # noqa: SLF001  it has no other name
        original(file)

    with patch.object(PdfFile, "writeFonts", write_fonts):
        yield


def settle(figure: Figure) -> None:
    """Lay a figure out once, and round where its axes came to lie.

    The solver behind Matplotlib's constrained layout visits its constraints in the order of their
    addresses in memory, so that its answers differ in the last bits from one time to the next.
    Matplotlib names the clip paths of an SVG by a hash of just these numbers.
    """
    # the layout alone: to draw all of it for that would cost as much as the SVG does
    if figure.axes and (engine := figure.get_layout_engine()) is not None:
        with rc_context(RC), once():
            engine.execute(figure)
    # "none" would leave a stand-in for the engine, and savefig draws twice where there is one
    with rc_context(SETTLED):
        figure.set_layout_engine(None)
    for axes in figure.axes:
        corners = axes.get_position(original=True).get_points()
        axes.set_position(Bbox(corners.round(6)))


def svg_text(figure: Figure, name: str) -> str:
    """Write a figure as SVG whose coordinates are rounded and whose ids carry the figure's name."""
    text, faces, signs = _drawn(figure)
    seen: Counter[str] = Counter()

    def unique(match: re.Match[str]) -> str:
        """Prefix an id, and number the later ones: two panels may show the same series."""
        seen[match[1]] += 1
        number = "" if seen[match[1]] == 1 else f"-{seen[match[1]]}"
        return f'id="{name}-{match[1]}{number}"'

    def tidy(tag: re.Match[str]) -> str:
        """Round, and name for this figure alone."""
        markup = NUMBER.sub(_rounded, tag[0])
        markup = re.sub(r'\bid="([^"]+)"', unique, markup)
        markup = re.sub(r'href="#([^"]+)"', rf'href="#{name}-\1"', markup)
        return re.sub(r"url\(#([^)]+)\)", rf"url(#{name}-\1)", markup)

    text = TAG.sub(tidy, text).replace("<svg ", f'<svg font-family="{FAMILIES}" ', 1)
    return embed("\n".join(line.strip() for line in text.splitlines()) + "\n", faces, signs)


def _drawn(figure: Figure) -> tuple[str, set[Face], list[str]]:
    """Draw a figure; give the faces that its texts are set in, and the rules of its signs."""
    haloed = {text: text.get_path_effects() for text in figure.findobj(Text)}
    named = {text: text.get_gid() for text, effects in haloed.items() if effects}
    buffer = io.StringIO()
    # without its salt, ids are drawn at random
    width, height = figure.get_size_inches()
    with rc_context(SETTLED), once(), _in_points(figure) as dpi:
        texts = _Renderer(
            72.0 * width, 72.0 * height, buffer, image_dpi=dpi,
            metadata={"Date": None, "Creator": None},
        )  # fmt: skip
        renderer: Any = _Mixed(figure, width, height, dpi, texts)
        for text, gid in named.items():
            text.set_gid(_Haloed(gid, haloed[text]))  # type: ignore[arg-type]
            text.set_path_effects([])
        try:
            figure.draw(renderer)
        finally:
            for text, gid in named.items():
                text.set_gid(gid)
                text.set_path_effects(haloed[text])
        renderer.finalize()
    signs = [
        rule_of_signs(file, style, "".join(sorted(used)))
        for (file, style), used in sorted(texts.signs.items())
    ]
    return buffer.getvalue(), texts.faces, signs


@contextmanager
def _in_points(figure: Figure) -> Iterator[float]:
    """Let a pixel be a point; give the dots per inch that images in it have."""
    before = figure.dpi
    figure.dpi = 72.0
    try:
        yield before
    finally:
        figure.dpi = before


@dataclass(frozen=True, slots=True)
class _Haloed:
    """The name of a text that has effects, on its way to the renderer."""

    gid: str | None
    effects: Sequence[AbstractPathEffect]


class _Renderer(RendererSVG):
    """Writes texts as texts, each in one piece and in reading order, with their halos.

    Matplotlib's own would sort the characters of a formula by their fonts, with spaces between all,
    and draw a text with a halo as outlines.
    """

    def __init__(self, width: float, height: float, out: io.StringIO, **options: Any) -> None:
        super().__init__(width, height, out, **options)  # type: ignore[no-untyped-call]
        self._out = out
        self._halo: Mapping[str, str] = {}
        self.faces: set[Face] = set()
        self.signs: defaultdict[tuple[Path, str], set[str]] = defaultdict(set)

    def open_group(self, s: str, gid: Any = None) -> None:
        if isinstance(gid, _Haloed):
            if [type(effect) for effect in gid.effects] != [withStroke]:
                raise TypeError(f"a text in an SVG has no other effect than a halo: {gid.effects}")
            self._halo = HALO_OF_TEXT
            gid = gid.gid
        super().open_group(s, gid)  # type: ignore[no-untyped-call]

    def close_group(self, s: str) -> None:
        super().close_group(s)  # type: ignore[no-untyped-call]
        self._halo = {}

    def draw_text(  # noqa: PLR0917  matplotlib's own
        self, gc: Any, x: float, y: float, s: str, prop: FontProperties, angle: float,
        ismath: Any = False, mtext: Text | None = None,  # noqa: FBT002
    ) -> None:  # fmt: skip
        style = {"fill": rgb2hex(gc.get_rgb()), **self._halo}
        if gc.get_rgb()[3] != 1.0:
            style["fill-opacity"] = f"{gc.get_rgb()[3]:g}"
        if ismath:
            self._formula(style, (x, y, angle), s, prop)
            return
        weight: Any = prop.get_weight()
        face = SANS_BOLD if weight_dict.get(weight, weight) >= BOLD else SANS
        style["font-size"] = f"{prop.get_size_in_points():g}"
        style |= self._set_in(face)
        # about the place that it was given, where a browser has another font
        ha = "left" if mtext is None or angle else mtext.get_horizontalalignment()
        if ha != "left":
            width, _, _ = self.get_text_width_height_descent(s, prop, ismath)  # type: ignore[no-untyped-call]
            x += width * (0.5 if ha == "center" else 1.0)
            style["text-anchor"] = "middle" if ha == "center" else "end"
        if "  " in s:
            style["xml:space"] = "preserve"
        turned = {"transform": f"rotate({-angle:g} {x:.6f} {y:.6f})"} if angle else {}
        at = {"x": f"{x:.6f}", "y": f"{y:.6f}", **turned, **style}
        self.writer.element("text", s, at)  # type: ignore[no-untyped-call]

    def _formula(
        self, style: dict[str, str], place: tuple[float, float, float], s: str, prop: FontProperties
    ) -> None:
        """Write a text with formulas: runs of one face and height, every character in its place."""
        x, y, angle = place
        parsed = MathTextParser("path").parse(s, 72, prop)
        turned = f" rotate({-angle:g})" if angle else ""
        style = {"transform": f"translate({x:.6f} {y:.6f}){turned}", **style}
        self.writer.comment(s)  # type: ignore[no-untyped-call]
        runs, spaced = [], False
        placed = sorted(parsed.glyphs, key=itemgetter(-2, -1))
        for (file, size, height), glyphs in groupby(
            placed, key=lambda glyph: (glyph[0].fname, glyph[1], glyph[-1])
        ):
            run = list(glyphs)
            text = "".join(chr(glyph[2]) for glyph in run)
            spaced |= text != " ".join(text.split())
            at = {
                "x": " ".join(f"{glyph[-2]:.6f}" for glyph in run),
                "y": f"{-height:.6f}",
                "font-size": f"{size:g}",
                **self._set_formula_in(Path(file), text),
            }
            runs.append(f"<tspan{_attributes(at)}>{escape(text)}</tspan>")
        if spaced:
            style["xml:space"] = "preserve"
        # at once: between elements on lines of their own would be spaces
        self._out.write(f"<text{_attributes(style)}>{''.join(runs)}</text>\n")
        for left, low, width, height in parsed.rects:
            bar = {"x": left, "y": -low - height, "width": width, "height": height}
            places = {key: f"{value:.6f}" for key, value in bar.items()}
            self.writer.element("rect", "", {**places, **style})  # type: ignore[no-untyped-call]

    def _set_in(self, face: Face) -> dict[str, str]:
        """Name a face, where it is not the one of the whole figure."""
        self.faces.add(face)
        style = {}
        if face.family != SANS.family:
            style["font-family"] = VARIABLES
        if face.weight != SANS.weight:
            style["font-weight"] = str(face.weight)
        if face.style != SANS.style:
            style["font-style"] = face.style
        return style

    def _set_formula_in(self, file: Path, text: str) -> dict[str, str]:
        """Name the face for a part of a formula, by the font that matplotlib draws it in."""
        if file.name.startswith("Inter"):
            return self._set_in(SANS_BOLD if "SemiBold" in file.name else SANS)
        italic = "Italic" in file.name
        if italic and text.isascii():
            return self._set_in(ITALIC)
        style = "italic" if italic else "normal"
        self.signs[file, style] |= set(text)
        return {"font-family": f"{SIGNS}, serif", "font-style": style}


def _attributes(attributes: Mapping[str, str]) -> str:
    return "".join(f" {key}={quoteattr(value)}" for key, value in attributes.items())


def inline(figure: Figure, name: str) -> str:
    """Write a figure for a page that has it inside, and the faces of its texts: see `page`."""
    return without_faces(alone(figure, name))


def alone(figure: Figure, name: str) -> str:
    """Write a figure for a page that knows nothing of it: without an XML declaration."""
    text = svg_text(figure, name)
    return text[text.index("<svg") :]


def _rounded(match: re.Match[str]) -> str:
    """Round to a hundredth of a point, far below what anyone sees."""
    if match[0].startswith("scale"):
        return match[0]
    rounded = f"{float(match[0]):.2f}".rstrip("0").rstrip(".")
    return "0" if rounded in {"-0", ""} else rounded
