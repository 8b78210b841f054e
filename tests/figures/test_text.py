"""Text in figures is text: to be found, read out and legible, in the place that was kept for it."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pytest
from matplotlib.font_manager import FontProperties
from matplotlib.ft2font import FT2Font
from matplotlib.textpath import TextToPath

from isoflop.drawing.faces import FONTS, without_faces
from isoflop.figures.plot_figures import FIGURES
from isoflop.page import stylesheet
from tests.report.browser import AXE, BROWSER, axe_core, told

if TYPE_CHECKING:
    from pathlib import Path

    from tests.figures.conftest import Plotted

SVG = "{http://www.w3.org/2000/svg}"
INTER = set(map(chr, FT2Font(str(FONTS / "Inter-Regular.ttf")).get_charmap()))
NEAR = 0.02
"""Part by which a browser's widths may differ from those that the figure was laid out with."""


def texts(plotted: Plotted, name: str) -> list[ET.Element]:
    root = ET.parse(plotted.folder / f"{name}.svg").getroot()  # noqa: S314  our own
    return list(root.iter(f"{SVG}text"))


@pytest.mark.parametrize("name", FIGURES)
def test_texts_stand_whole_in_reading_order(plotted: Plotted, name: str) -> None:
    found = ["".join(text.itertext()) for text in texts(plotted, name)]
    assert len(found) > 8
    words = {
        "answer": "Tokens per parameter at the optimum",
        "training_curves": "Loss L (nats per token)",
        "exponents": "a  Nopt∝Ca",
        "isoflop_profiles": "Parameters N",
        "laws": "Hoffmann: γ=1",
    }
    if name in words:
        assert words[name] in {text.replace("\xa0", " ") for text in found}
    assert not [text for text in found if "$" in text or "\\" in text]


@pytest.mark.parametrize("name", FIGURES)
def test_every_character_is_in_its_face(plotted: Plotted, name: str) -> None:
    """Or else each machine would show it in a font of its own."""
    written = (plotted.folder / f"{name}.svg").read_text(encoding="utf-8")
    signs = {chr(int(code, 16)) for code in re.findall(r"U\+([0-9A-F]+)", written)}
    for text in texts(plotted, name):
        for part in text.iter():
            family = part.get("font-family", "Inter")
            known = INTER if family == "Inter" else signs if family[0] == "S" else None
            missing = set(part.text or "") - known if known else not (part.text or "").isascii()
            assert not missing, (part.text, family)
    # inside a page, which has the others
    assert set(re.findall(r'font-family: "([^"]+)"', without_faces(written))) <= {"STIXGeneral"}


MEASURE = """
await document.fonts.ready;
const out = [];
const {Color, getContrast} = axe.commons.color;
const turned = (rgb) => {
  // invert(.92), then hue-rotate(180deg), as Filter Effects define them
  const [r, g, b] = rgb.map((v) => .92 - .84 * v / 255);
  const rows = [[.213 - .787, .715 + .715, .072 + .072], [.213 + .213, .715 - .285, .072 + .072],
    [.213 + .213, .715 + .715, .072 - .928]];
  return rows.map(([x, y, z]) => 255 * Math.min(1, Math.max(0, x * r + y * g + z * b)));
};
const parsed = (text) => { const c = new Color(); c.parseString(text); return c; };
const of = ([r, g, b]) => new Color(r, g, b, 1);
for (const svg of document.querySelectorAll("main svg")) {
  const whole = svg.getBoundingClientRect();
  for (const text of svg.querySelectorAll("text")) {
    const box = text.getBoundingClientRect(), fill = parsed(getComputedStyle(text).fill);
    const rgb = [fill.red, fill.green, fill.blue];
    out.push({
      text: text.textContent, size: parseFloat(text.getAttribute("font-size")),
      bold: text.getAttribute("font-weight") === "600", plain: !text.children.length,
      width: text.getComputedTextLength(),
      inside: box.left >= whole.left - 1.5 && box.right <= whole.right + 1.5,
      light: getContrast(of([255, 255, 255]), of(rgb)),
      dark: getContrast(of(turned([255, 255, 255])), of(turned(rgb))),
    });
  }
}
const found = await axe.run(document.querySelector("main"), { resultTypes: ["violations"] });
return { out, violations: found.violations.map((rule) => rule.id) };
"""


@pytest.fixture(scope="module")
def measured(plotted: Plotted, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Measure every text in a browser, on a page with the pages' style."""
    if BROWSER is None or AXE is None:
        pytest.skip("needs chromium (Debian: apt install chromium) and axe-core-python")
    folder: Path = tmp_path_factory.mktemp("texts")
    figures = []
    for name in FIGURES:
        written = (plotted.folder / f"{name}.svg").read_text(encoding="utf-8")
        svg = without_faces(written)
        svg = svg[svg.index("<svg") :].replace(
            "<svg ", f'<svg role="graphics-document" aria-label={json.dumps(name)} ', 1
        )
        figures.append(f"<figure>{svg}</figure>")
    page = folder / "page.html"
    page.write_text(
        f'<!doctype html><html lang="en"><head><title>t</title><style>{stylesheet()}</style></head>'
        f"<body><main><h1>t</h1>{''.join(figures)}</main></body></html>",
        encoding="utf-8",
    )
    return told(page, f"{axe_core()}; {MEASURE}", width=1400)


def test_a_browser_gives_texts_the_widths_that_they_were_laid_out_with(measured: Any) -> None:
    plain = [text for text in measured["out"] if text["plain"]]
    assert len(plain) > 100
    ruler = TextToPath()
    for text in plain:
        properties = FontProperties(
            family="Inter", size=text["size"], weight="semibold" if text["bold"] else "normal"
        )
        width, _, _ = ruler.get_text_width_height_descent(text["text"], properties, ismath=False)
        assert text["width"] == pytest.approx(width, rel=NEAR, abs=0.3), text


def test_no_text_leaves_its_figure(measured: Any) -> None:
    assert [text["text"] for text in measured["out"] if not text["inside"]] == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_can_be_read(measured: Any, scheme: str) -> None:
    faint = [(text["text"], text[scheme]) for text in measured["out"] if text[scheme] < 4.5]
    assert faint == []


def test_axe_finds_nothing_in_figures(measured: Any) -> None:
    assert measured["violations"] == []
