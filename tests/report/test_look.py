"""How the page looks where a style decides it: read back from a browser."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from isoflop.report.render import to_html
from tests.report.browser import BROWSER, told

if TYPE_CHECKING:
    from pathlib import Path

    from tests.report.conftest import Rendered

PAGE = {"light": (255, 255, 255), "dark": (0x14, 0x18, 0x1C)}
"""Colour of the page, --paper of page.css."""
LABELS = {"title": "t", "subtitle": "s", "kind": "k", "pagetitle": "p", "lang": "en-GB"}
WHITE = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="300pt" height="600pt" viewBox="0 0 300 600">'
    '<rect width="300" height="600" fill="#ffffff"/>'
    '<rect x="20" y="20" width="100" height="100" fill="#000000"/></svg>'
)


@pytest.mark.skipif(BROWSER is None, reason="needs chromium (Debian: apt install chromium)")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_figure_has_no_background_of_its_own(tmp_path: Path, scheme: str) -> None:
    """What is white in it is the page, in both schemes; in the dark one it was a box."""
    (tmp_path / "white.svg").write_text(WHITE, encoding="utf-8")
    figure = '![**Figure 1.** White.](white.svg){#fig-white alt="White."}'
    page = tmp_path / "page.html"
    page.write_text(to_html(f"{figure}\n", LABELS, tmp_path), encoding="utf-8")
    subprocess.run(
        [
            str(BROWSER), "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
            f"--user-data-dir={tmp_path / 'browser'}", "--window-size=800,900",
            f"--blink-settings=preferredColorScheme={0 if scheme == 'dark' else 1}",
            f"--screenshot={tmp_path / 'shot.png'}", page.as_uri(),
        ],
        check=True, capture_output=True, timeout=300,
    )  # fmt: skip
    with Image.open(tmp_path / "shot.png") as shot:
        colours = {colour: share for share, colour in shot.convert("RGB").getcolors(10**6) or []}
    # the page and the figure's ground are one colour, and the square that is drawn is seen
    assert max(colours, key=colours.__getitem__) == PAGE[scheme]
    second = sorted(colours, key=colours.__getitem__)[-2]
    drawn = 0 if scheme == "light" else 235
    assert second == pytest.approx((drawn, drawn, drawn), abs=2)


@pytest.mark.skipif(BROWSER is None, reason="needs chromium (Debian: apt install chromium)")
@pytest.mark.parametrize(("width", "columns"), [(390, 2), (500, 2), (900, 4), (1400, 4)])
def test_the_four_numbers_stand_in_pairs_or_in_one_row(
    rendered: Rendered, width: int, columns: int
) -> None:
    script = (
        "return [...document.querySelectorAll('.headline p')]"
        ".map((p) => Math.round(p.getBoundingClientRect().left))"
    )
    lefts = told(rendered.root / "report.html", script, width=width)
    assert len(lefts) == 4
    assert len(set(lefts)) == columns


@pytest.mark.skipif(BROWSER is None, reason="needs chromium (Debian: apt install chromium)")
def test_a_long_name_leaves_room_for_what_stands_beside_it(tmp_path: Path) -> None:
    """On a phone: beside a name on one line what is recommended was out of sight."""
    title = "**[A sweep of a name that is long, as such names are](report.html)**"
    rows = [
        ["Sweep or study", "Recommended", "a", "Runs"],
        ["---", "---", "---:", "---:"],
        [title, "1.2M parameters", "0.458", "81"],
    ]
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    page = tmp_path / "page.html"
    text = f"{table}\n\n: **Table 1.** Sweeps. {{#tbl-sweeps .wide .sortable}}\n"
    page.write_text(to_html(text, LABELS, tmp_path), encoding="utf-8")
    script = """
    const cells = document.querySelector("#tbl-sweeps tbody tr").cells;
    const one = document.createRange();
    one.selectNodeContents(cells[1]);
    return [one.getBoundingClientRect().right, document.documentElement.clientWidth];
    """
    right, width = told(page, script, width=390)
    assert right < width
