"""Tables for a paper: every sign of ours in TeX, and no table wider than the text."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import isoflop
from isoflop.escape import BREAK, STAND_IN, TEX_UNKNOWN, tex_characters
from isoflop.report.macros import numbers_tex, sweep_in_letters
from isoflop.report.render import to_latex_tables
from isoflop.report.tables import Column, Table

if TYPE_CHECKING:
    from tests.report.conftest import Rendered

PACKAGE = Path(isoflop.__file__).parent
LATEX = shutil.which("pdflatex")


def _has_siunitx() -> bool:
    where = shutil.which("kpsewhich")
    return where is not None and bool(
        subprocess.run([where, "siunitx.sty"], capture_output=True, check=False).stdout
    )


needs_latex = pytest.mark.skipif(
    LATEX is None or not _has_siunitx(),
    reason="needs pdflatex and siunitx (Debian: texlive-latex-recommended, texlive-science)",
)
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


def test_a_table_is_a_float_with_caption_label_and_siunitx(rendered: Rendered) -> None:
    folder = rendered.root / "tables"
    keys = [path.stem for path in sorted(folder.glob("*.tex")) if path.stem != "numbers"]
    assert len(keys) > 20
    for key in keys:
        text = (folder / f"{key}.tex").read_text(encoding="utf-8")
        assert text.count("\\caption{") == text.count(f"\\label{{tab:{key}}}") == 1, key
        assert all(f"\\{rule}rule" in text for rule in ("top", "mid", "bottom")), key
    exponents = (folder / "exponents.tex").read_text(encoding="utf-8")
    power = r"$N$\textsubscript{opt} $\propto$ $C$\textsuperscript{$a$}"
    assert rf"\caption{{Exponents of {power} and" in exponents
    # the page's own number and the links to files are not the paper's
    assert "Table" not in exponents
    assert "CSV ·" not in exponents
    assert "S[table-format=1.3]" in exponents


def _table(columns: list[Column], rows: list[list[str]], caption: str = "What it shows.") -> str:
    table = Table("made-up", caption, columns, rows, [], [])
    return to_latex_tables([table.markdown(1, files=False)])[0]


def test_numbers_are_siunitxs() -> None:
    columns = [
        Column("Law", "left"),
        Column("Error"),
        Column("*p*"),
        Column("Share"),
        Column("*C*"),
    ]
    rows = [
        ["A", "−0.0123", "1.1 × 10^−15^", "98 %", "3 × 10^13^"],
        ["B", "+0.5", "0.70", "7 %", "10^14^"],
        ["C", "—", "—", "—", "951k"],
    ]
    written = _table(columns, [[cell.replace(" ", "\xa0") for cell in row] for row in rows])
    assert "{@{}lS[table-format=+1.4, retain-explicit-plus]rrr@{}}" in written
    assert r"A & -0.0123 & \num{1.1e-15} & \num{98}~\% & \num{3e13} \\" in written
    assert r"B & +0.5 & \num{0.70} & \num{7}~\% & \num{e14} \\" in written
    assert r"C & {---} & --- & --- & 951k \\" in written


def _paper(folder: Path, *sources: str, paper: str = "a4paper", preamble: str | None = None) -> str:
    """Compile a plain article at 10 pt, and give TeX's log."""
    packages = "\\usepackage{array,booktabs,siunitx,longtable,graphicx}"
    body = "".join(f"\\message{{^^J== {n}}}\n{source}\n" for n, source in enumerate(sources))
    (folder / "paper.tex").write_text(
        f"\\documentclass[{paper},10pt]{{article}}\\usepackage[utf8]{{inputenc}}"
        f"\\usepackage[T1]{{fontenc}}{packages if preamble is None else preamble}"
        f"\\begin{{document}}\n{body}\\end{{document}}",
        encoding="utf-8",
    )
    done = subprocess.run(
        [str(LATEX), "-halt-on-error", "-interaction=nonstopmode", "-no-shell-escape",
         "-draftmode", "paper.tex"],
        cwd=folder, capture_output=True, text=True, check=False, errors="replace",
        env={"PATH": "/usr/bin:/bin", "HOME": str(folder), "TEXMFVAR": str(folder / "fonts")},
    )  # fmt: skip
    log = (folder / "paper.log").read_text(encoding="utf-8", errors="replace")
    assert done.returncode == 0, log[-2000:]
    return log


def _too_large(log: str) -> list[str]:
    """List what TeX says of boxes and floats that are larger than the page's text."""
    return re.findall(r"^(?:== \d+|Overfull .*|.*Float too large.*)$", log, re.MULTILINE)


@needs_latex
def test_every_table_compiles_and_is_no_wider_than_the_text(
    rendered: Rendered, tmp_path: Path
) -> None:
    folder = rendered.root / "tables"
    paths = [path for path in sorted(folder.glob("*.tex")) if path.stem != "numbers"]
    macros = f"\\input{{{folder}/numbers}}At \\isoMadeUpBudget\\ FLOPs "
    macros += "\\isoMadeUpN, \\isoMadeUpDLo\\ to \\isoMadeUpDHi."
    tables = [path.read_text(encoding="utf-8") + "\\clearpage" for path in paths]
    hard = [
        # more numbers than fit, names without blanks, sentences, and more rows than a page has
        _table([Column(f"Number {n}") for n in range(30)], [["1234.5678"] * 30] * 3),
        _table([Column(f"Try {n}") for n in range(12)], [["1.2–3.4 to 5.6"] * 12] * 90),
        _table(
            [Column("Run", "left"), Column("Reason", "left"), Column("Loss")],
            [[f"`{'data/a_long-name' * 12}`", "why it was left out " * 9, "3.25"]] * 70,
        ),
        _table([Column("Run", "left")], [["x" * 300], ["[1] *"], [r"\*"]], "A caption " * 90),
    ]
    log = _paper(tmp_path, macros, *tables, *hard)
    assert [line for line in _too_large(log) if not line.startswith("==")] == [], log


@needs_latex
@pytest.mark.parametrize("first", [True, False, None])
def test_macros_of_several_sweeps_are_read_beside_siunitx(
    rendered: Rendered, tmp_path: Path, first: bool | None
) -> None:
    """Before siunitx, behind it, and without it."""
    read, printed = "", []
    for sweep, letters in (("novels-gpu", "NovelsGpu"), ("gpt2_12", "GptTwoOneTwo")):
        assert sweep_in_letters(sweep) == letters
        path = tmp_path / f"{letters}.tex"
        path.write_text(numbers_tex(replace(rendered.inputs, sweep=sweep)), encoding="utf-8")
        read += f"\\input{{{path}}}"
        printed.append(f"\\iso{letters}N\\ on \\iso{letters}DHi: \\iso{letters}Loss")
    siunitx = "" if first is None else "\\usepackage{siunitx}"
    preamble = read + siunitx if first else siunitx + read
    body = f"{printed[0]}\\begin{{table}}\\caption{{{printed[1]}}}\\end{{table}}"
    log = _paper(tmp_path, body, preamble=preamble)
    assert "siunitx.sty" in log or first is None
    assert "Warning" not in log


@needs_latex
@pytest.mark.parametrize("environment", ["tabular", "longtable"])
def test_tex_tells_of_a_table_that_is_too_wide(tmp_path: Path, environment: str) -> None:
    """The control of the test above, on the other paper: its text is as wide."""
    wide = f"\\begin{{{environment}}}{{l}}\\rule{{346pt}}{{1pt}}\\\\\\end{{{environment}}}"
    log = _paper(tmp_path, f"\\noindent {wide}", paper="letterpaper")
    assert len(_too_large(log)) > 1
