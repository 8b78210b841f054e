"""From one Markdown source to a self-contained HTML page, a PDF and tables for a paper.

pandoc does the converting: it knows footnotes, MathML and Typst's maths, and it is the same file
that is read by both outputs.
"""

from __future__ import annotations

import calendar
import json
import os
import re
import subprocess
import tempfile
import unicodedata
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from isoflop.drawing.faces import copy_fonts, without_faces
from isoflop.errors import IsoflopError
from isoflop.escape import STAND_IN, tex_characters
from isoflop.escape import markdown as escaped
from isoflop.files import write_text
from isoflop.page import script, stylesheet
from isoflop.report.latex import read_cells, write_float

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Mapping, Sequence

    from jinja2 import Environment

READER: Final = (
    # nothing of the text reaches an output without pandoc's own escaping for it
    "markdown-raw_attribute-raw_html-raw_tex-native_divs-native_spans-latex_macros"
    # the report writes its own signs, and text from outside may start like a list
    "-smart-citations-example_lists-fancy_lists-yaml_metadata_block"
)
TEXT_FONT: Final = "New Computer Modern"
"""The font of page.typ's text."""
FIGURE_FONTS: Final = "fonts"
"""Folder of the fonts of figures, beside the source."""
MARKS: Final = frozenset({"Mn", "Mc", "Me", "Cf"})
EPOCH: Final = 315532800
"""1980-01-01, the date of the archive's files too: PDF/A asks for a date, and a clock would make
two builds differ. SOURCE_DATE_EPOCH in the environment replaces it, and any other."""


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


@dataclass(frozen=True, slots=True)
class Bibliography:
    """Works that a text may cite as @key, and those that are listed whether it does or not."""

    bibtex: str
    listed: Sequence[str]


def to_html(
    markdown: str,
    metadata: Mapping[str, str],
    figures: Path,
    *,
    laws: str | None = None,
    works: Bibliography | None = None,
    runs: str | None = None,
) -> str:
    """Write a self-contained page: style, fonts and figures inside, nothing loaded.

    Parameters
    ----------
    markdown, metadata : what it says.
    figures : folder of the SVGs.
    laws : what the calculator computes with, as JSON in which no tag can start; None for pages
        without one.
    works : what it may cite; None for pages that cite nothing.
    runs : whose runs the figures' marks are, as JSON likewise.
    """
    with tempfile.TemporaryDirectory() as folder:
        head = Path(folder) / "head.html"
        head.write_text(f"<style>\n{stylesheet()}</style>", encoding="utf-8")
        after = Path(folder) / "after.html"
        scripts = [f"<script>\n{script('page')}</script>\n"]
        if runs is not None:
            data = f'<script type="application/json" id="run-names">{runs}</script>\n'
            scripts.insert(0, data)
        if laws is not None:
            scripts += [
                f'<script type="application/json" id="frontiers">{laws}</script>\n',
                f"<script>\n{script('calculator')}</script>\n",
            ]
        after.write_text("".join(scripts), encoding="utf-8")
        options = [
            "--to=html5",
            "--mathml",
            # the title is the page's only first heading
            "--shift-heading-level-by=1",
            "--toc",
            "--toc-depth=3",
            f"--include-after-body={after}",
            "--number-sections",
            "--section-divs",
            f"--include-in-header={head}",
            f"--template={_template('page.html')}",
        ]
        return _pandoc(markdown, options, metadata, figures, works=works)


def to_typst(
    markdown: str, metadata: Mapping[str, str], figures: Path, works: Bibliography | None = None
) -> str:
    """Write the Typst source of the PDF."""
    # as text, by citeproc: Typst's own citations would want a bibliography of its own
    options = ["--to=typst-citations", f"--template={_template('page.typ')}"]
    return _pandoc(markdown, options, metadata, figures, works=works)


def to_pdf(
    typst_source: str,
    figures: Path,
    *,
    authors: Sequence[str] = (),
    date: dt.date | None = None,
    tell: Callable[[str], object] | None = None,
) -> bytes:
    """Compile Typst; without a clock, a network or fonts of the machine.

    Parameters
    ----------
    typst_source, figures : the document, and the folder of its SVG files.
    authors, date : what the PDF's metadata say; without a date they say 1980.
    tell : is given a sentence that names the characters that no font has, where there are any.
    """
    import typst

    # metadata need no font: a name stands there in full whatever is shown of it
    meta = f"#set document(author: ({_strings(authors)}))\n" if authors else ""
    made = EPOCH if date is None else calendar.timegm(date.timetuple())
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        copy_fonts(root / FIGURE_FONTS)
        for path in sorted(figures.glob("*.svg")):
            write_text(root / path.name, without_faces(path.read_text(encoding="utf-8")))
        try:
            return _compile(meta + typst_source, root, made)
        except typst.TypstError as error:
            broken = _broken(error)
        without = _without_fonts(typst_source, root)
        # a font has to have a character and its marks together (1 and a keycap), so where each
        # alone is shown and both are not, the marks go
        for missing in (without, sorted({*without, *_marks(typst_source)})):
            try:
                pdf = _compile(meta + _stand_ins(typst_source, missing), root, made)
            except typst.TypstError as error:
                broken = _broken(error)
                continue
            if tell is not None:
                tell(
                    f"no font of the PDF has {_characters(missing)}: {STAND_IN} stands for each "
                    "there; the HTML page and the PDF's metadata have them"
                )
            return pdf
        raise broken


def _strings(texts: Sequence[str]) -> str:
    """Write texts as strings of Typst's code, each with a comma behind it."""
    safe = (re.sub(r'([\\"])', r"\\\1", "".join(filter(str.isprintable, text))) for text in texts)
    return " ".join(f'"{text}",' for text in safe)


def _compile(typst_source: str, root: Path, made: int = EPOCH) -> bytes:
    import typst

    (root / "main.typ").write_text(typst_source, encoding="utf-8")
    compiled = typst.compile(
        str(root / "main.typ"),
        root=str(root),
        format="pdf",
        ignore_system_fonts=True,
        font_paths=[str(root / FIGURE_FONTS)],
        # archivable and accessible: no figure or formula without alternative text
        pdf_standards=["a-2a", "ua-1"],
        timestamp=int(os.environ.get("SOURCE_DATE_EPOCH", made)),
    )
    if not isinstance(compiled, bytes):
        raise IsoflopError("Typst gave no PDF")
    return compiled


def _broken(error: Exception) -> IsoflopError:
    return IsoflopError(f"the report's Typst source does not compile: {error}")


def _without_fonts(typst_source: str, root: Path) -> list[str]:
    """List the characters that none of Typst's fonts has, in text or in code.

    PDF/A forbids a character without a glyph, so one title in Chinese would stop the report.
    Fonts of the machine would mend it, and make the bytes differ from machine to machine.
    """
    suspects = sorted({character for character in typst_source if not character.isascii()})
    return _not_shown(suspects, root)


def _marks(text: str) -> set[str]:
    """List what is set together with the character before it: marks, joiners, selectors."""
    return {c for c in text if not c.isascii() and unicodedata.category(c) in MARKS}


def _not_shown(characters: list[str], root: Path) -> list[str]:
    """Bisect: most characters are shown, and a compilation takes milliseconds."""
    import typst

    text = "".join(f"\\u{{{ord(character):x}}}" for character in characters)
    probe = (
        f'#set document(title: "probe")\n#set text(font: "{TEXT_FONT}")\n'
        f'#"{text}" #strong("{text}") #emph("{text}") #raw("{text}")'
    )
    try:
        _compile(probe, root)
    except typst.TypstError:
        if len(characters) < 2:
            return characters
        middle = len(characters) // 2
        return _not_shown(characters[:middle], root) + _not_shown(characters[middle:], root)
    return []


def _stand_ins(typst_source: str, without: list[str]) -> str:
    """Put a sign where a character has no glyph, and say so at the end."""
    shown = typst_source.translate({ord(character): STAND_IN for character in without})
    return (
        f"{shown}\n\n#note[{STAND_IN} stands for a character that no font of this PDF has "
        f"({_points(without)}); the HTML page shows it.]\n"
    )


SHOWN: Final = 20
"""Characters without a glyph that are named."""


def _points(characters: Sequence[str]) -> str:
    """Name characters by their numbers in Unicode, the first of many."""
    more = len(characters) - SHOWN
    named = [f"U+{ord(character):04X}" for character in characters[:SHOWN]]
    return ", ".join(named) + (f" and {more} more" if more > 0 else "")


def _characters(characters: Sequence[str]) -> str:
    """Show characters, the first of many, with their numbers in Unicode."""
    return f"{''.join(characters[:SHOWN])} ({_points(characters)})"


def to_latex_tables(tables: Sequence[str]) -> list[str]:
    """Turn Markdown tables into floats for a paper; signs of footnotes are left out of them.

    All at once: to start pandoc takes longer than to convert a table.
    """
    markdown = "\n\n".join(tables)
    # a footnote is defined in the page's text: without a definition its sign would be printed, and
    # pandoc warns of one that is not used, such as a sign in a name from a log
    notes = sorted(set(re.findall(r"\[\^([\w-]+)\]", markdown)))
    defined = "".join(f"\n\n.[^{note}]\n\n[^{note}]: .\n" for note in notes)
    latex = _pandoc(markdown + defined, ["--to=latex"], {}, Path(), filters=("tabular.lua",))
    read = read_cells(tex_characters(latex))
    if len(read) != len(tables):
        raise IsoflopError(f"pandoc read {len(read)} tables where the report has {len(tables)}")
    return [write_float(cells) for cells in read]


def _pandoc(
    markdown: str,
    options: list[str],
    metadata: Mapping[str, str],
    figures: Path,
    *,
    filters: tuple[str, ...] = ("filter.lua",),
    works: Bibliography | None = None,
) -> str:
    import pypandoc

    with tempfile.TemporaryDirectory() as folder:
        # a file and not --metadata, which pandoc reads in the machine's locale and as YAML
        file = Path(folder) / "metadata.json"
        values: dict[str, Any] = {name: escaped(value) for name, value in metadata.items()}
        reader, citing = READER, []
        if works is not None:
            bibliography = Path(folder) / "references.bib"
            bibliography.write_text(works.bibtex, encoding="utf-8")
            # an @ of a text from outside is escaped (escape.markdown), so it cites nothing
            reader = READER.replace("-citations", "")
            citing = ["--citeproc", f"--bibliography={bibliography}"]
            values |= {
                "link-citations": True,
                "nocite": ", ".join(f"@{key}" for key in works.listed),
            }
        file.write_text(json.dumps(values, ensure_ascii=False), encoding="utf-8")
        # a table whose source line is longer than --columns would get columns of stated widths
        command: list[Any] = [
            pypandoc.get_pandoc_path(), f"--from={reader}", "--columns=100000", "--wrap=preserve",
            f"--metadata-file={file}",
            *citing,
            *options,
            *(f"--lua-filter={_template(name)}" for name in filters),
        ]  # fmt: skip
        done = subprocess.run(  # noqa: S603  our own arguments, no shell
            command,
            input=markdown.encode(),
            capture_output=True,
            check=False,
            env={**os.environ, "ISOFLOP_FIGURES": str(figures)},
        )
    complaint = done.stderr.decode().strip()
    if done.returncode or complaint:
        raise IsoflopError(f"pandoc could not convert the report: {complaint or done.returncode}")
    return done.stdout.decode()


def template_text(name: str) -> str:
    """Read a file of the templates that is shown as it is."""
    return _template(name).read_text(encoding="utf-8")


def _template(name: str) -> Path:
    return Path(str(resources.files("isoflop.report") / "templates" / name))
