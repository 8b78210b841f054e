"""Make pictures of the shipped report's first screen, or check that they still show it.

    python3 run.py picture           builds the report, and takes README's picture, and those of
                                     docs/report.md at the widths of a desk and of a phone
    python3 run.py picture --check   builds the report, and compares what the pictures show

A picture carries the words it shows, and the digest of its own pixels, as texts of the PNG: so
numbers that have changed since, or a picture from elsewhere, are found without reading pixels.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from html.parser import HTMLParser
from pathlib import Path
from typing import NamedTuple

from PIL import Image, PngImagePlugin

REPORT = Path("reports/novels-gpu/report.html")
NARROWEST = 500
"""Narrowest window of a headless Chromium [px]: a phone is a frame in it."""


class Shot(NamedTuple):
    """A picture: its file, the window [px], and the scale of what is written."""

    path: Path
    width: int
    height: int
    scale: float


PICTURE = Path("docs/report.png")
PICTURES = (
    # wide enough for the contents beside the text: the answer and its figure
    Shot(PICTURE, 1180, 1530, 0.75),
    # what the answer must fit into, without scrolling
    Shot(Path("docs/screen-1400.png"), 1400, 900, 0.75),
    Shot(Path("docs/screen-390.png"), 390, 844, 1.0),
)
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
HIDDEN = {"nav", "script", "style", "svg"}


class _FirstScreen(HTMLParser):
    """Collects the words from the page's head line to the first figure of the answer."""

    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []
        self.inside = self.done = False
        self.hidden = 0

    def handle_starttag(self, tag: str, attrs: object) -> None:  # noqa: ARG002
        self.inside |= tag == "header"
        self.done |= self.inside and tag == "figure"
        self.hidden += tag in HIDDEN

    def handle_endtag(self, tag: str) -> None:
        self.hidden -= tag in HIDDEN

    def handle_data(self, data: str) -> None:
        if self.inside and not self.done and not self.hidden:
            self.words += data.split()


def first_screen(report: Path) -> str:
    """Give the words of a report that its first screen shows."""
    parser = _FirstScreen()
    parser.feed(report.read_text(encoding="utf-8"))
    parser.close()
    if not parser.words or not parser.done:
        raise SystemExit(f"{report} has no head line with a figure after it")
    return " ".join(parser.words)


def take(report: Path, shot: Shot) -> None:
    """Render the first screen, and write it with its words."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        print(f"no {', '.join(BROWSERS)} here (Debian: apt install chromium): {shot.path} is left")
        return
    with tempfile.TemporaryDirectory() as folder:
        taken = Path(folder) / "shot.png"
        address = report.resolve().as_uri()
        frame = Path(folder) / "frame.html"
        frame.write_text(
            "<style>body{margin:0}iframe{border:0;display:block}</style>"
            f"<iframe src='{address}' width={shot.width} height={shot.height}></iframe>",
            encoding="utf-8",
        )
        command = [
            browser, "--headless", "--disable-gpu", "--hide-scrollbars",
            f"--force-device-scale-factor={shot.scale}", "--blink-settings=preferredColorScheme=1",
            f"--user-data-dir={folder}/profile",
            f"--window-size={max(shot.width, NARROWEST)},{shot.height}",
            f"--screenshot={taken}", address if shot.width >= NARROWEST else frame.as_uri(),
        ]  # fmt: skip
        if hasattr(os, "geteuid") and os.geteuid() == 0:
            command.insert(1, "--no-sandbox")  # which chromium asks of root
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=300)
        if not taken.exists():
            raise SystemExit(f"{browser} took no picture:\n{done.stderr}")
        with Image.open(taken) as image:
            size = (round(shot.width * shot.scale), round(shot.height * shot.scale))
            write(image.convert("RGB").crop((0, 0, *size)), shot.path, first_screen(report))


def write(image: Image.Image, picture: Path, words: str) -> None:
    """Write a picture with the words it shows."""
    texts = PngImagePlugin.PngInfo()
    texts.add_itxt("words", words)
    texts.add_text("pixels", _pixels(image))
    image.save(picture, optimize=True, pnginfo=texts)


def complaints(report: Path, picture: Path) -> list[str]:
    """Say in what a picture is not that of a report."""
    with Image.open(picture) as image:
        image.load()
        texts = dict(getattr(image, "text", {}))
        pixels = _pixels(image)
    if texts.get("pixels") != pixels:
        return [f"{picture} was not made by this target"]
    shown, now = texts["words"].split(), first_screen(report).split()
    return [
        f"{picture} shows {old!r} where {report} has {new!r}"
        for old, new in zip(shown, now, strict=False)
        if old != new
    ][:5] or ([] if len(shown) == len(now) else [f"{picture} shows another text than {report}"])


def _pixels(image: Image.Image) -> str:
    """Digest what is to be seen."""
    return hashlib.sha256(image.convert("RGB").tobytes()).hexdigest()


def main() -> None:
    """Take the pictures, or check them."""
    if sys.argv[1:] == ["--check"]:
        differences = [line for shot in PICTURES for line in complaints(REPORT, shot.path)]
        if differences:
            raise SystemExit("\n".join([*differences, "Make it again: python3 run.py picture"]))
    else:
        for shot in PICTURES:
            take(REPORT, shot)


if __name__ == "__main__":
    main()
