"""Reading what a build wrote, as text: for leaked markup, and for hostile text."""

from __future__ import annotations

import re
import shutil
import subprocess
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.report.page import read_page

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

MARKUP = re.compile(r":::|\{\.|\[\^|<<|>>|<%|%>|\*\*|\$|\{=|⏎|\b(?:nan|None)\b|\bdict\(|Quantity\(")
"""Signs of Markdown, Jinja and Python that no reader should meet."""


FORMULA = re.compile(r"\$(?:-|\\[a-z]+|(?:\w|\\[a-z]+)(?:\^\\ast)?)\$")
"""The formulas that LaTeX tables have: a sign, or a letter with or without its asterisk."""


def leaks(text: str) -> list[str]:
    """Find markup and missing values in a text meant for readers, each with its surroundings."""
    return [
        text[max(found.start() - 30, 0) : found.end() + 30].replace("\n", " ")
        for found in MARKUP.finditer(text)
    ]


def html_text(path: Path) -> str:
    """Give what a page says: its words, and those for readers who hear it."""
    page = read_page(path.read_text(encoding="utf-8"))
    return "\n".join([*page.words, *page.labels])


def pdf_text(path: Path) -> str:
    """Give the text of a PDF; the test is skipped where poppler is absent."""
    if shutil.which("pdftotext") is None:
        pytest.skip("needs poppler's pdftotext")
    done = subprocess.run(
        ["pdftotext", "-layout", str(path), "-"],  # noqa: S607
        check=True, capture_output=True, text=True, encoding="utf-8",
    )  # fmt: skip
    return done.stdout


def blanks(path: Path, folder: Path) -> list[float]:
    """Give the tallest blank band of each page of a PDF, as a share of the space for text."""
    if shutil.which("pdftoppm") is None:
        pytest.skip("needs poppler's pdftoppm")
    command = ["pdftoppm", "-r", "20", "-gray", str(path), str(folder / "page")]
    subprocess.run(command, check=True)
    shares = []
    for page in sorted(folder.glob("page-*.pgm")):
        _, size, _, pixels = page.read_bytes().split(b"\n", 3)
        width, height = map(int, size.split())
        dark = (np.frombuffer(pixels, np.uint8).reshape(height, width) < 200).any(axis=1)
        # without the running head and the number of the page
        first, last = round(0.07 * height), round(0.93 * height)
        ink = [first, *(first + np.flatnonzero(dark[first:last])), last]
        shares.append(float(np.diff(ink).max()) / (last - first))
    return shares


def tex_text(path: Path) -> str:
    """Give the text of a LaTeX table: without what LaTeX itself writes with braces."""
    text = path.read_text(encoding="utf-8")
    for written, meant in ((r"{[}", "["), (r"{]}", "]"), (r"\^{}", "^"), (r"\textgreater{}", ">"),
                           (r"\textless{}", "<"), (r"\{", "{"), (r"\}", "}")):  # fmt: skip
        text = text.replace(written, meant)
    text = FORMULA.sub("", text)
    return re.sub(r"\\begin\{tabular\}(\[t\])?\{[^}]*\}[lrc]*(@\{\})?\}?", "", text)


def leaks_of(root: Path) -> dict[str, list[str]]:
    """Find the leaks of every page and LaTeX table below a folder, by file."""
    found = {}
    for path in _files(root, "html"):
        found[path.as_posix()] = leaks(html_text(path))
    for path in _files(root, "tex"):
        found[path.as_posix()] = leaks(tex_text(path))
    assert found, f"nothing to read below {root}"
    return {name: own for name, own in found.items() if own}


def leaks_of_pdfs(root: Path) -> dict[str, list[str]]:
    """Find the leaks of every report as a PDF below a folder, by file."""
    found = {path.as_posix(): leaks(pdf_text(path)) for path in _files(root, "pdf")}
    assert found, f"nothing to read below {root}"
    return {name: own for name, own in found.items() if own}


def _files(root: Path, ending: str) -> Iterable[Path]:
    # the figures' own PDFs are drawn outlines, without text
    return [p for p in sorted(root.rglob(f"*.{ending}")) if "figures" not in p.parts]
