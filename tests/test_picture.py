"""README's picture shows the shipped report, and the report's numbers are those it shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from PIL import Image, PngImagePlugin
from tools.picture import PICTURE, PICTURES, REPORT, Shot, complaints, first_screen, write

from tests.conftest import ROOT

if TYPE_CHECKING:
    from pathlib import Path

PAGE = """\
<html><head><title>T</title><style>p {{}}</style></head><body><a>Skip</a>
<header><p>sweep s</p><h1>Title</h1></header><nav>Contents</nav>
<main><h1>The answer</h1><p><em>a</em> = {a} (95 %)</p><svg>9</svg><figure>later</figure></main>
"""


@pytest.fixture
def report(tmp_path: Path) -> Path:
    path = tmp_path / "report.html"
    path.write_text(PAGE.format(a="0.455"))
    return path


@pytest.fixture
def picture(report: Path, tmp_path: Path) -> Path:
    path = tmp_path / "report.png"
    write(Image.new("P", (4, 3)), path, first_screen(report))
    return path


def test_the_first_screen_is_what_a_reader_sees(report: Path) -> None:
    assert first_screen(report) == "sweep s Title The answer a = 0.455 (95 %)"


def test_a_picture_of_the_report_passes(report: Path, picture: Path) -> None:
    assert complaints(report, picture) == []


def test_a_number_that_has_changed_since_is_named(report: Path, picture: Path) -> None:
    report.write_text(PAGE.format(a="0.460"))
    assert complaints(report, picture) == [f"{picture} shows '0.455' where {report} has '0.460'"]


def test_a_report_that_says_more_is_seen(report: Path, picture: Path) -> None:
    report.write_text(PAGE.format(a="0.455").replace("(95 %)", "(95 %) or more"))
    assert complaints(report, picture) == [f"{picture} shows another text than {report}"]


def test_other_pixels_with_the_same_words_are_seen(report: Path, picture: Path) -> None:
    with Image.open(picture) as image:
        image.load()
        words, pixels = image.text["words"], image.text["pixels"]
    texts = PngImagePlugin.PngInfo()
    texts.add_itxt("words", words)
    texts.add_text("pixels", pixels)
    Image.new("RGB", (4, 3), "red").save(picture, pnginfo=texts)
    assert complaints(report, picture) == [f"{picture} was not made by this target"]


@pytest.mark.parametrize("shot", PICTURES, ids=lambda shot: shot.path.name)
def test_the_manual_shows_the_shipped_report(shot: Shot) -> None:
    page = "README.md" if shot.path == PICTURE else "docs/report.md"
    assert shot.path.name in (ROOT / page).read_text()
    if not (ROOT / REPORT).exists():
        pytest.skip("the shipped report is not built here; python3 run.py report builds it")
    assert complaints(ROOT / REPORT, ROOT / shot.path) == []
