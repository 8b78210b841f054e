"""Make README's picture, the first screen of the shipped report, or check that it still is that.

    python3 run.py picture           builds the report, and takes the picture of it
    python3 run.py picture --check   builds the report, and compares what the picture shows

The picture carries the words it shows, and the digest of its own pixels, as texts of the PNG: so
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

from PIL import Image, PngImagePlugin

REPORT = Path("reports/novels-gpu/report.html")
PICTURE = Path("docs/report.png")
SIZE = (1180, 1340)
"""Window, wide enough for the contents beside the text: the answer, and where its figure begins."""
SCALE = 0.75
"""Of the picture, whose width README's page has."""
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


def take(report: Path, picture: Path) -> None:
    """Render the first screen, and write it with its words."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        print(f"no {', '.join(BROWSERS)} here (Debian: apt install chromium): {picture} is left")
        return
    with tempfile.TemporaryDirectory() as folder:
        shot = Path(folder) / "shot.png"
        command = [
            browser, "--headless", "--disable-gpu", "--hide-scrollbars",
            f"--force-device-scale-factor={SCALE}", "--blink-settings=preferredColorScheme=1",
            f"--user-data-dir={folder}/profile", f"--window-size={SIZE[0]},{SIZE[1]}",
            f"--screenshot={shot}", report.resolve().as_uri(),
        ]  # fmt: skip
        if hasattr(os, "geteuid") and os.geteuid() == 0:
            command.insert(1, "--no-sandbox")  # which chromium asks of root
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=300)
        if not shot.exists():
            raise SystemExit(f"{browser} took no picture:\n{done.stderr}")
        with Image.open(shot) as image:
            write(image.convert("RGB"), picture, first_screen(report))


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
    """Take the picture, or check it."""
    if sys.argv[1:] == ["--check"]:
        differences = complaints(REPORT, PICTURE)
        if differences:
            raise SystemExit("\n".join([*differences, "Make it again: python3 run.py picture"]))
    else:
        take(REPORT, PICTURE)


if __name__ == "__main__":
    main()
