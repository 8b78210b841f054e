"""Saving figures so that the same data give the same bytes, and so that SVGs can share a page."""

from __future__ import annotations

import io
import re
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from unittest.mock import patch

from matplotlib import rc_context
from matplotlib.transforms import Bbox

from isoflop.drawing.style import RC
from isoflop.files import replacing, write_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matplotlib.figure import Figure

SETTLED: Final = {**RC, "figure.autolayout": False, "figure.constrained_layout.use": False}
"""To save in: savefig gives a figure without a layout engine the one of these settings again."""
NUMBER = re.compile(r"scale\([^)]*\)|-?\d+\.\d{3,}")
"""A coordinate with needless digits; a scale is matched whole, and left as it is."""
HALOED = re.compile(
    r'<path d="(?P<outline>[^"]*)" style="(?P<halo>[^"]*)"/>\s*'
    r'<path d="(?P=outline)" style="(?P<fill>fill: [^";]*)"/>'
)
"""A text that is drawn twice: its halo's stroke, and over it its outline filled."""


def save(figure: Figure, folder: Path, name: str) -> None:
    """Write a figure as SVG and PDF, in whatever settings of matplotlib it is asked for."""
    save_svg(figure, folder, name)
    with rc_context(SETTLED), _fonts_by_name(), replacing(folder / f"{name}.pdf") as temporary:
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
        with rc_context(RC):
            engine.execute(figure)
    # "none" would leave a stand-in for the engine, and savefig draws twice where there is one
    with rc_context(SETTLED):
        figure.set_layout_engine(None)
    for axes in figure.axes:
        corners = axes.get_position(original=True).get_points()
        axes.set_position(Bbox(corners.round(6)))


def svg_text(figure: Figure, name: str) -> str:
    """Write a figure as SVG whose coordinates are rounded and whose ids carry the figure's name."""
    buffer = io.StringIO()
    with rc_context(SETTLED):  # without its salt, ids are drawn at random
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    text = NUMBER.sub(_rounded, buffer.getvalue())
    seen: Counter[str] = Counter()

    def unique(match: re.Match[str]) -> str:
        """Prefix an id, and number the later ones: two panels may show the same series."""
        seen[match[1]] += 1
        again = "" if seen[match[1]] == 1 else f"-{seen[match[1]]}"
        return f'id="{name}-{match[1]}{again}"'

    text = re.sub(r'\bid="([^"]+)"', unique, text)
    text = re.sub(r'href="#([^"]+)"', rf'href="#{name}-\1"', text)
    text = re.sub(r"url\(#([^)]+)\)", rf"url(#{name}-\1)", text)
    # an outline of text is long, and SVG can stroke and then fill it
    text = HALOED.sub(r'<path d="\g<outline>" style="\g<halo>; paint-order: stroke"/>', text)
    return "\n".join(line.strip() for line in text.splitlines()) + "\n"


def inline(figure: Figure, name: str) -> str:
    """Write a figure for a page that has it inside: without an XML declaration."""
    text = svg_text(figure, name)
    return text[text.index("<svg") :]


def _rounded(match: re.Match[str]) -> str:
    """Round to a hundredth of a point, far below what anyone sees."""
    if match[0].startswith("scale"):
        return match[0]
    rounded = f"{float(match[0]):.2f}".rstrip("0").rstrip(".")
    return "0" if rounded in {"-0", ""} else rounded
