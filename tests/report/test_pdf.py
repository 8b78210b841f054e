"""The PDF is what its metadata claim: PDF/A-2a for an archive, PDF/UA-1 for a screen reader.

Typst refuses what it knows to break either. Here a second program reads the file: pikepdf's
validator approves only what it recognises, and what it does not is listed below, with why the
standard allows it. It knows level B alone; of level A and of PDF/UA the structure is read directly.
"""

from __future__ import annotations

import datetime as dt
import os
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import pikepdf
import polars as pl
import pytest
from pikepdf import pdfa

from isoflop.report.render import to_pdf, to_typst
from isoflop.report.tables import Column, Table
from tests import example_sweep
from tests.outputs import blanks, pdf_text

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.report.conftest import Rendered

NOT_KNOWN: Final = {
    "a destination is an indirect array (ISO 32000-1, 12.3.2.2)": r"/Dest: '\d+ 0 R' is not valid",
    "a font of Typst's own: its matrix, and the list of its glyphs": r"FDArray|/CIDSet",
    "the identifier of PDF/UA, by an extension schema (ISO 19005-2, 6.6.2.3)": (
        r"namespace pdfa(Extension|Schema|Property)=|property (pdfaExtension:schemas|pdfuaid:part)"
    ),
    "pages counted, and the history of the file": r"xmpTPg[:=]|xmpMM:History",
    "level A asks for all of level B, and more": r"conformance is 'A', expected 'B'",
}
"""Why the standard allows it, and what the validator says of it."""
LABELS: Final = {"title": "t", "subtitle": "s", "kind": "k"}
LEAST_TAGS: Final = {"/Document", "/H1", "/H2", "/P", "/Table", "/TH", "/TD", "/Figure", "/Link"}


@pytest.fixture(params=["rendered", "bare"])
def path(request: pytest.FixtureRequest) -> Path:
    made: Rendered = request.getfixturevalue(request.param)
    return made.root / "report.pdf"


def elements(node: Any) -> Iterator[Any]:
    """Walk the tree of structure."""
    waiting = [node]
    while waiting:
        node = waiting.pop()
        if isinstance(node, pikepdf.Array):
            waiting += list(node)
        elif isinstance(node, pikepdf.Dictionary):
            if "/S" in node:
                yield node
            if "/K" in node:
                waiting.append(node["/K"])


def test_a_validator_has_nothing_else_against_it(path: Path) -> None:
    report = pdfa.validate_written(path, "2b")
    told = [str(finding) for finding in report.findings]
    unknown = re.compile("|".join(NOT_KNOWN.values()))
    assert [finding for finding in told if not unknown.search(finding)] == []


def test_the_validator_sees_what_breaks_the_standard(path: Path, tmp_path: Path) -> None:
    with pikepdf.open(path) as pdf:
        pdf.Root.OpenAction = pikepdf.Dictionary(S=pikepdf.Name.JavaScript, JS="app.alert(1)")
        pdf.save(tmp_path / "script.pdf")
    report = pdfa.validate_written(tmp_path / "script.pdf", "2b")
    assert any("OpenAction" in str(finding) for finding in report.findings)


def test_it_says_its_language_title_and_standards(path: Path) -> None:
    with pikepdf.open(path) as pdf:
        assert pdf.check_pdf_syntax() == []
        assert str(pdf.Root.Lang) == "en-GB"
        assert pdf.Root.MarkInfo.Marked is True
        assert pdf.Root.ViewerPreferences.DisplayDocTitle is True
        metadata = dict(pdf.open_metadata())
    assert metadata["{http://purl.org/dc/elements/1.1/}title"]
    assert metadata["{http://www.aiim.org/pdfa/ns/id/}part"] == "2"
    assert metadata["{http://www.aiim.org/pdfa/ns/id/}conformance"] == "A"
    assert metadata["{http://www.aiim.org/pdfua/ns/id/}part"] == "1"


def test_its_day_is_that_of_the_newest_log(rendered: Rendered) -> None:
    """Where sweep.yaml gives none, and of the entry to cite too; never a clock's or a file's."""
    assert "SOURCE_DATE_EPOCH" not in os.environ
    assert rendered.inputs.sidecar.date is None
    day = example_sweep.NEWEST_LOG
    with pikepdf.open(rendered.root / "report.pdf") as pdf:
        assert str(pdf.docinfo["/CreationDate"]).startswith(f"D:{day:%Y%m%d}000000")
        assert dict(pdf.open_metadata())["{http://ns.adobe.com/xap/1.0/}CreateDate"].startswith(
            day.isoformat()
        )
    assert f"date = {{{day}}}," in "".join(rendered.page.words)
    given = rendered.inputs.sidecar.model_copy(update={"date": dt.date(2026, 1, 2)})
    assert replace(rendered.inputs, sidecar=given).day == dt.date(2026, 1, 2)
    none = rendered.inputs.files.with_columns(last_day=pl.lit(None, pl.Date))
    assert replace(rendered.inputs, files=none).day is None


def test_what_a_screen_reader_reads_is_tagged(path: Path) -> None:
    with pikepdf.open(path) as pdf:
        tree = list(elements(pdf.Root.StructTreeRoot.K))
        tags = {str(element["/S"]) for element in tree}
        assert tags >= LEAST_TAGS
        silent = [
            element
            for element in tree
            if str(element["/S"]) in {"/Figure", "/Formula"} and not str(element.get("/Alt", ""))
        ]
        assert silent == []
        with pdf.open_outline() as outline:
            titles = [item.title for item in outline.root]
        assert "The answer" in " ".join(titles)


def test_its_links_are_described_and_lead_somewhere(path: Path) -> None:
    with pikepdf.open(path) as pdf:
        named = {str(name) for name in pikepdf.NameTree(pdf.Root.Names.Dests)}
        links = [
            annotation
            for page in pdf.pages
            for annotation in page.get("/Annots", [])
            if annotation["/Subtype"] == "/Link"
        ]
        assert links
        for link in links:
            assert str(link["/Contents"])
            if "/A" in link:
                assert str(link["/A"]["/URI"]).startswith("https://")
            elif isinstance(link["/Dest"], pikepdf.String):
                assert str(link["/Dest"]) in named
            else:
                assert "/Type" in link["/Dest"][0]
        for page in pdf.pages:
            assert "/Annots" not in page or page["/Tabs"] == "/S"


def test_the_last_page_has_more_than_a_line_or_two(path: Path, tmp_path: Path) -> None:
    """The list of references stays whole, and what stands before it leaves no third empty."""
    *_, before, last = blanks(path, tmp_path)
    assert last < 0.85
    assert before < 1 / 3


def test_no_third_of_the_first_page_is_empty(path: Path, tmp_path: Path) -> None:
    """The first figure stands at the foot of a page, so that text fills what a table leaves."""
    first, *_ = blanks(path, tmp_path)
    assert first < 1 / 3


def test_the_body_is_what_a_lead_needs(path: Path) -> None:
    """Long tables, what the papers had, and every caution follow in the appendix."""
    with pikepdf.open(path) as pdf, pdf.open_outline() as outline:
        titles = [item.title for item in outline.root]
        (appendix,) = [item for item in outline.root if item.title.endswith("Appendix")]
        within = " ".join(item.title for item in appendix.children)
        pages = [page.objgen for page in pdf.pages]
        begins = pages.index(appendix.destination[0].objgen) + 1
    # some eight pages and an appendix; the made-up figures are squares, and take two more
    assert begins <= 10
    body = " ".join(titles[: titles.index(appendix.title)])
    for title in (
        "Cautions",
        "Gopher against Chinchilla",
        "frontier bend",
        "Coverage and ends",
        "cut by cut",
    ):
        assert title in within
        assert title not in body


@pytest.mark.parametrize(("height", "parted"), [(3, False), (9, True)])
def test_a_low_figure_parts_no_paragraph(tmp_path: Path, height: int, parted: bool) -> None:
    """It stands where the text puts it; one that might leave a third of a page empty floats."""
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 10 {height}"/>'
    (tmp_path / "wide.svg").write_text(svg, encoding="utf-8")
    words = [" ".join(f"{kind}{n}" for n in range(300)) for kind in ("before", "behind")]
    figure = '![**Figure 1.** What it shows.](wide.svg){#fig-wide alt="A figure."}'
    source = to_typst(
        f"{words[0]}\n\n{figure}\n\n# Next\n\n{words[1]}\n\n{words[1]}\n", LABELS, tmp_path
    )
    (tmp_path / "wide.pdf").write_bytes(to_pdf(source, tmp_path))
    text = pdf_text(tmp_path / "wide.pdf")
    between = text.index("before299") < text.index("Figure 1.") < text.index("behind0")
    assert between is not parted


def test_a_long_name_breaks_where_it_has_an_underscore(tmp_path: Path) -> None:
    name = "_".join(["sweep"] * 40)
    source = to_typst(f"See {name}, and `{name}`.", LABELS, tmp_path)
    path = tmp_path / "name.pdf"
    path.write_bytes(to_pdf(source, tmp_path))
    lines = pdf_text(path).splitlines()
    assert max(map(len, lines)) < 120
    assert "".join(line.strip() for line in lines).count(name) == 2


@pytest.mark.parametrize(
    ("kind", "rows", "alone"),
    [("prose", 1, True), ("dense", 3, False), ("prose", 4, False), ("dense", 50, False)],
)
def test_no_row_of_a_table_stands_alone_on_a_page(
    kind: str, rows: int, alone: bool, tmp_path: Path
) -> None:
    """Wherever on a page the table starts."""
    table = Table(
        key="long", caption="A table.", columns=[Column("Name", "left"), Column("*n*")],
        rows=[(f"row-{i}", f"{i}") for i in range(rows)], data_columns=[], data=[],
        classes=f" .{kind}",
    )  # fmt: skip
    source = to_typst(table.markdown(1, files=False), LABELS, tmp_path)
    start = source.rindex(f"#{kind}[")
    head, body = source[:start], source[start:]
    depths = range(0, 720, 12)
    pages = [f"#pagebreak(weak: true)\n#v({depth}pt)\n{body}" for depth in depths]
    path = tmp_path / "tables.pdf"
    path.write_bytes(to_pdf(head + "\n".join(pages), tmp_path))
    counted = [page.count("row-") for page in pdf_text(path).split("\f")]
    assert sum(counted) == rows * len(depths)
    assert (1 in counted) is alone
