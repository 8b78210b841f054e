"""Write one sweep's report: HTML, PDF and tables."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from isoflop.files import replacing, write_text
from isoflop.report.calculator import calculator_json
from isoflop.report.columns import column_table
from isoflop.report.document import cited, write_document
from isoflop.report.macros import numbers_tex
from isoflop.report.render import Bibliography, to_html, to_latex_tables, to_pdf, to_typst
from isoflop.report.runs_json import runs_json

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from isoflop.report.inputs import ReportInputs


def render_report(
    inputs: ReportInputs,
    *,
    html: Path,
    pdf: Path,
    tables: Path,
    threads: int | None = None,
    tell: Callable[[str], object] | None = None,
) -> None:
    """Write the report of one sweep.

    Parameters
    ----------
    inputs : tables, estimates, figures, published facts.
    html : the self-contained page.
    pdf : the same content for print (PDF/A-2a, PDF/UA-1).
    tables : folder for every table as CSV (all digits) and as a float for LaTeX, columns.csv, which
        explains every column, numbers.tex, a macro for each headline number, and references.bib.
    threads : documents and tables written at a time, all cores by default; no byte depends on it.
    tell : is given what a reader of the log should know of the outputs.
    """
    document = write_document(inputs)
    figures = inputs.figures.resolve()
    works = Bibliography(inputs.bibliography, cited(inputs))

    def print_document() -> bytes:
        return to_pdf(
            to_typst(document.markdown, document.metadata, figures, works),
            figures,
            authors=inputs.sidecar.authors,
            date=inputs.day,
            tell=tell,
        )

    def write_page() -> str:
        return to_html(
            document.markdown,
            document.metadata,
            figures,
            laws=calculator_json(inputs),
            works=works,
            runs=runs_json(inputs),
        )

    # pandoc is a process of its own, and Typst works outside Python's lock
    with ThreadPoolExecutor(threads) as pool:
        compiled, page = pool.submit(print_document), pool.submit(write_page)
        tabulars = pool.submit(
            to_latex_tables, [table.markdown(1, files=False) for table in document.tables]
        )
        write_text(html, page.result())
        with replacing(pdf) as temporary:
            temporary.write_bytes(compiled.result())
        for table, tabular in zip(document.tables, tabulars.result(), strict=True):
            write_text(tables / f"{table.key}.csv", table.csv())
            write_text(tables / f"{table.key}.tex", tabular)
    write_text(tables / "columns.csv", column_table(document.tables).csv())
    write_text(tables / "references.bib", inputs.bibliography)
    write_text(tables / "numbers.tex", numbers_tex(inputs))
