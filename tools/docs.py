"""Builds site/: the manual, the commands, the Python interface and the tutorial, as pages.

The manual by pandoc in the style of the reports, the interface by pdoc from its docstrings, the
commands from what they print, the tutorial run cell by cell. Nothing is loaded from a network.
"""

from __future__ import annotations

import ast
import contextlib
import io
import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import nbformat

from isoflop.cli import COMMANDS, GROUPS, main, room_of
from isoflop.report.render import to_html

DOCS = Path("docs")
SITE = Path("site")
INTERFACE = (
    "isoflop.interface", "isoflop.estimates.answers", "isoflop.estimates.allocation",
    "isoflop.estimates.quantities", "isoflop.laws", "isoflop.counting", "isoflop.tables",
    "isoflop.errors", "isoflop.project", "isoflop.config.config_yaml",
)  # fmt: skip
"""Modules of the reference: what `import isoflop` gives, and what its results are made of."""
PLACE = "output-of-cell-{}"
"""Stands in Markdown, which knows no pictures of ours, for what a notebook would show."""
CELL = re.compile(r"^# %%(?: \[(markdown)\])?\n", re.MULTILINE)


@dataclass
class Cell:
    """A cell of the tutorial, and what running it gave.

    Attributes
    ----------
    text : Markdown, or Python.
    markdown : which of the two.
    printed, html, svg : outputs; empty where there are none.
    """

    text: str
    markdown: bool
    printed: str = ""
    html: str = ""
    svg: str = ""


def cells(source: str) -> list[Cell]:
    """Read a script in the percent format of jupytext."""
    parts = CELL.split(source)[1:]
    return [
        Cell(re.sub(r"^# ?", "", text.strip(), flags=re.MULTILINE).strip(), markdown=True)
        if kind == "markdown"
        else Cell(text.strip(), markdown=False)
        for kind, text in zip(parts[::2], parts[1::2], strict=True)
    ]


def run(listed: list[Cell]) -> None:
    """Run the cells of a notebook in one namespace, and keep what each shows."""
    names: dict[str, Any] = {"__name__": "tutorial"}
    for cell in (cell for cell in listed if not cell.markdown):
        tree = ast.parse(cell.text)
        last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(tree, "tutorial", "exec"), names)  # noqa: S102  our own notebook
            value = None
            if isinstance(last, ast.Expr):
                value = eval(compile(ast.Expression(last.value), "tutorial", "eval"), names)  # noqa: S307
        cell.printed = printed.getvalue()
        if value is not None:
            if hasattr(value, "_repr_svg_"):
                cell.svg = value._repr_svg_()
            elif hasattr(value, "_repr_html_"):
                cell.html = value._repr_html_()
            else:
                cell.printed += repr(value) + "\n"


def notebook(listed: list[Cell]) -> str:
    """Write cells as a notebook that Jupyter opens, with ids that do not change."""
    made = nbformat.v4.new_notebook()
    for number, cell in enumerate(listed):
        if cell.markdown:
            made.cells.append(nbformat.v4.new_markdown_cell(cell.text, id=f"cell-{number}"))
            continue
        outputs = []
        if cell.printed:
            outputs.append(nbformat.v4.new_output("stream", text=cell.printed))
        data = {"text/html": cell.html, "image/svg+xml": cell.svg}
        if any(data.values()):
            shown = {kind: text for kind, text in data.items() if text}
            outputs.append(nbformat.v4.new_output("display_data", data=shown))
        code = nbformat.v4.new_code_cell(cell.text, id=f"cell-{number}", outputs=outputs)
        made.cells.append(code)
    nbformat.validate(made)
    return nbformat.writes(made)


def as_markdown(listed: list[Cell]) -> str:
    """Write cells as Markdown, with the place of each output that is no text."""
    parts = []
    for number, cell in enumerate(listed):
        if cell.markdown:
            parts.append(cell.text)
            continue
        parts.append(f"```python\n{cell.text}\n```")
        if cell.printed:
            parts.append(f"```\n{cell.printed.rstrip()}\n```")
        if cell.html or cell.svg:
            parts.append(PLACE.format(number))
    return "\n\n".join(parts)


def commands() -> str:
    """Write every subcommand with its help, in the order of `isoflop --help`, as Markdown."""
    parts = ["# The command line", "`isoflop WORD`, or `python -m isoflop WORD`."]
    for title, rooms in GROUPS.items():
        parts.append(f"## {title}")
        for name, place in COMMANDS.items():
            if room_of(place) in rooms:
                with click.Context(main, info_name="isoflop") as above:
                    command = main.get_command(above, name)
                    assert command is not None  # noqa: S101  it is in the list
                    with click.Context(command, info_name=name, parent=above) as context:
                        text = command.get_help(context)
                parts.append(f"### isoflop {name} {{#{name}}}\n\n```\n{text}\n```")
    return "\n\n".join(parts) + "\n"


def page(name: str, source: str, site: Path) -> None:
    """Write a page of the manual; links to other pages of it lead to their HTML."""
    linked = re.sub(r"\]\((?:docs/)?([\w-]+)\.md(#[\w-]+)?\)", r"](\1.html\2)", source)
    title = re.search(r"^# (.+)$", source, re.MULTILINE)
    metadata = {
        "title": title[1] if title else name,
        "pagetitle": f"isoflop: {title[1] if title else name}",
        "kind": "isoflop",
        "lang": "en-GB",
    }
    body = re.sub(r"^# .+\n", "", linked, count=1, flags=re.MULTILINE)
    # the manual's sections are second headings, below a title that is the page's
    body = re.sub(r"^##", "#", body, flags=re.MULTILINE)
    (site / f"{name}.html").write_text(to_html(body, metadata, DOCS), encoding="utf-8")


def interface(site: Path) -> None:
    """Write the reference of the Python interface."""
    import pdoc

    pdoc.render.configure(docformat="numpy", footer_text="isoflop", search=True, show_source=False)
    pdoc.pdoc(*INTERFACE, output_directory=site / "api")


def build(site: Path) -> None:
    """Build everything."""
    shutil.rmtree(site, ignore_errors=True)
    site.mkdir(parents=True)
    listed = cells((DOCS / "tutorial.py").read_text(encoding="utf-8"))
    run(listed)
    (site / "tutorial.ipynb").write_text(notebook(listed) + "\n", encoding="utf-8")
    page("tutorial", as_markdown(listed), site)
    path = site / "tutorial.html"
    text = path.read_text(encoding="utf-8")
    for number, cell in enumerate(listed):
        text = text.replace(
            f"<p>{PLACE.format(number)}</p>", f"<figure>{cell.html}{cell.svg}</figure>"
        )
    path.write_text(text, encoding="utf-8")
    page("commands", commands(), site)
    interface(site)
    pages = sorted(DOCS.glob("*.md"))
    for path in pages:
        page(path.stem, path.read_text(encoding="utf-8"), site)
    names = ["tutorial", "commands", *(path.stem for path in pages)]
    links = "\n".join(f"- [{name}]({name}.html)" for name in names)
    start = f"# isoflop\n\n{links}\n- [Python interface](api/index.html)\n"
    page("index", start, site)


if __name__ == "__main__":
    build(Path(sys.argv[1]) if len(sys.argv) > 1 else SITE)
