"""Tables for a paper: every sign of ours in TeX, and whatever is written compiles."""

from __future__ import annotations

import ast
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import isoflop
from isoflop.escape import BREAK, STAND_IN, TEX_UNKNOWN, tex_characters

if TYPE_CHECKING:
    from tests.report.conftest import Rendered

PACKAGE = Path(isoflop.__file__).parent
LATEX = shutil.which("pdflatex")
OF_LOGS = {BREAK, STAND_IN, "\N{SYMBOL FOR DELETE}"}
"""Signs that stand for characters of logs (escape), and the break, which tabular.lua replaces."""


def _our_characters() -> set[str]:
    """Collect what any string or template of ours could bring into a table."""
    found: set[str] = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.update(node.value)
    for path in (PACKAGE / "report" / "templates").iterdir():
        found.update(path.read_text(encoding="utf-8"))
    return {character for character in found if not character.isascii()}


def test_every_sign_of_ours_is_written_in_tex() -> None:
    ours = _our_characters()
    assert {"≥", "⁵", "⁻", "±", "γ", "†", "\N{MINUS SIGN}"} <= ours
    assert {c for c in ours if tex_characters(c) == TEX_UNKNOWN} == OF_LOGS
    assert tex_characters("≥ 97, 10⁻⁵") == (r"$\ge$ 97, 10\textsuperscript{$-$}\textsuperscript{5}")
    assert tex_characters("漢") == TEX_UNKNOWN


def test_no_table_has_a_character_that_is_missing(
    rendered: Rendered, bare: Rendered, refused: Rendered
) -> None:
    for report in (rendered, bare, refused):
        tables = sorted((report.root / "tables").glob("*.tex"))
        assert len(tables) > 3
        for path in tables:
            assert TEX_UNKNOWN not in path.read_text(encoding="utf-8"), path.name


@pytest.mark.skipif(LATEX is None, reason="needs pdflatex (Debian: texlive-latex-recommended)")
def test_every_tex_file_compiles(rendered: Rendered, tmp_path: Path) -> None:
    names = sorted(path.stem for path in (rendered.root / "tables").glob("*.tex"))
    names.remove("numbers")
    body = "".join(f"\\message{{^^J@{n}}}\\input{{{n}.tex}}\\par\n" for n in names)
    (tmp_path / "paper.tex").write_text(
        "\\documentclass{article}\\usepackage[utf8]{inputenc}\\usepackage[T1]{fontenc}"
        "\\usepackage{booktabs}\\input{numbers}\\begin{document}At \\isoBudget\\ FLOPs \\isoN, "
        f"\\isoDLo\\ to \\isoDHi.\n\n\\tiny\n{body}\\end{{document}}",
        encoding="utf-8",
    )
    folders = f"{rendered.root}/tables:"
    done = subprocess.run(
        [str(LATEX), "-halt-on-error", "-interaction=nonstopmode", "-no-shell-escape", "paper.tex"],
        cwd=tmp_path, capture_output=True, text=True, check=False, errors="replace",
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "TEXINPUTS": folders},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:]
