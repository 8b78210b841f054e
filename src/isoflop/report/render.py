"""From one Markdown source to a self-contained HTML page, a PDF and booktabs tables.

pandoc does the converting: it knows footnotes, MathML and Typst's maths, and it is the same file
that is read by both outputs.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from isoflop.errors import IsoflopError
from isoflop.page import stylesheet

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jinja2 import Environment

READER: Final = (
    "markdown-smart-citations-raw_html-raw_tex-example_lists-fancy_lists-yaml_metadata_block"
)
EPOCH: Final = 315532800
"""1980-01-01, the date of the archive's files too: PDF/A asks for a date, and a clock would make
two builds differ. SOURCE_DATE_EPOCH in the environment replaces it."""


def environment() -> Environment:
    """Make a Jinja environment whose delimiters clash with neither pandoc nor Typst."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader("isoflop.report"),
        block_start_string="<%",
        block_end_string="%>",
        variable_start_string="<<",
        variable_end_string=">>",
        comment_start_string="<#",
        comment_end_string="#>",
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=StrictUndefined,
        autoescape=False,  # noqa: S701  Markdown, not HTML; text from outside is escaped by name
    )


def to_html(markdown: str, metadata: Mapping[str, str], figures: Path) -> str:
    """Write a self-contained page: style, fonts and figures inside, nothing loaded."""
    with tempfile.TemporaryDirectory() as folder:
        head = Path(folder) / "head.html"
        head.write_text(f"<style>\n{stylesheet()}</style>", encoding="utf-8")
        options = [
            "--to=html5",
            "--mathml",
            "--toc",
            "--toc-depth=2",
            "--number-sections",
            "--section-divs",
            f"--include-in-header={head}",
            f"--template={_template('page.html')}",
        ]
        return _pandoc(markdown, options, metadata, figures)


def to_typst(markdown: str, metadata: Mapping[str, str], figures: Path) -> str:
    """Write the Typst source of the PDF."""
    options = ["--to=typst", f"--template={_template('page.typ')}"]
    return _pandoc(markdown, options, metadata, figures)


def to_pdf(typst_source: str, figures: Path) -> bytes:
    """Compile Typst; without a clock, a network or fonts of the machine."""
    import typst

    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "main.typ").write_text(typst_source, encoding="utf-8")
        for path in sorted(figures.glob("*.svg")):
            (root / path.name).write_bytes(path.read_bytes())
        try:
            compiled = typst.compile(
                str(root / "main.typ"),
                root=str(root),
                format="pdf",
                ignore_system_fonts=True,
                # archivable and accessible: no figure or formula without alternative text
                pdf_standards=["a-2a", "ua-1"],
                timestamp=int(os.environ.get("SOURCE_DATE_EPOCH", EPOCH)),
            )
        except typst.TypstError as error:
            raise IsoflopError(f"the report's Typst source does not compile: {error}") from error
    if not isinstance(compiled, bytes):
        raise IsoflopError("Typst gave no PDF")
    return compiled


def to_latex_table(markdown: str) -> str:
    """Turn one Markdown table into a booktabs tabular."""
    return _pandoc(markdown, ["--to=latex"], {}, Path(), filters=("tabular.lua",))


def _pandoc(
    markdown: str,
    options: list[str],
    metadata: Mapping[str, str],
    figures: Path,
    filters: tuple[str, ...] = ("filter.lua",),
) -> str:
    import pypandoc

    # a table whose source line is longer than --columns would get columns of stated widths
    command: list[Any] = [
        pypandoc.get_pandoc_path(), f"--from={READER}", "--columns=100000", "--wrap=preserve",
        *options,
        *(f"--lua-filter={_template(name)}" for name in filters),
        *(f"--metadata={name}={value}" for name, value in metadata.items()),
    ]  # fmt: skip
    done = subprocess.run(  # noqa: S603  our own arguments, no shell
        command,
        input=markdown.encode(),
        capture_output=True,
        check=False,
        env={**os.environ, "ISOFLOP_FIGURES": str(figures)},
    )
    said = done.stderr.decode().strip()
    if done.returncode or said:
        raise IsoflopError(f"pandoc could not convert the report: {said or done.returncode}")
    return done.stdout.decode()


def _template(name: str) -> Path:
    return Path(str(resources.files("isoflop.report") / "templates" / name))
