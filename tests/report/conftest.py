from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from isoflop.figures.plot_figures import FIGURES
from isoflop.files import write_json, write_text
from isoflop.report.render_report import render_report
from isoflop.tables import Runs, read_table
from tests import example_sweep
from tests.once import once
from tests.report.page import Page, read_page

if TYPE_CHECKING:
    from pathlib import Path

    from isoflop.report.inputs import ReportInputs

SVG = '<svg xmlns="http://www.w3.org/2000/svg" width="9pt" height="9pt" viewBox="0 0 9 9">{}</svg>'
MARKS = "<g id='{}-marks'><use href='#{}-dot' x='1'/><use href='#{}-dot' x='2'/></g>"
"""Two runs as matplotlib draws them."""
MARKED = ("design", "residuals")
DOT = '<circle id="{}-dot" cx="4" cy="4" r="3"/>'


@dataclass(frozen=True)
class Rendered:
    """A written report, and what it was written from."""

    root: Path
    inputs: ReportInputs
    page: Page
    html: str
    typst: str


def empty_figures(
    folder: Path, *, hidden: tuple[str, ...] = (), runs: tuple[str, ...] = ()
) -> None:
    """Stand in for the figures room: one dot per figure, two named runs in some, and its words."""
    manifest: dict[str, dict[str, Any]] = {}
    for name in FIGURES:
        marks = MARKS.format(name, name, name) if name in MARKED else ""
        write_text(folder / f"{name}.svg", SVG.format(DOT.format(name) + marks))
        shown = name not in hidden
        reason = "" if shown else f"Nothing for {name}."
        manifest[name] = {"shown": shown, "reason": reason, "alt": f"A dot for {name}."}
        if name in MARKED and runs:
            manifest[name]["runs"] = {"marks": runs}
    write_json(folder / "figures.json", manifest)


def render(root: Path, *, hidden: tuple[str, ...] = (), **options: Any) -> Rendered:
    """Write the report of the made-up sweep below root."""
    source = _write_report(root, hidden, options)
    return _read_report(root, source)


def _write_report(root: Path, hidden: tuple[str, ...], options: dict[str, Any]) -> str:
    """Write report and inputs, and give what Typst was given."""
    paths = example_sweep.write(root, **options)
    runs = tuple(read_table(paths.runs, Runs)["run"].sort()[:2])
    empty_figures(root / "figures", hidden=hidden, runs=runs)
    inputs = paths.report_inputs(root / "figures")
    module = importlib.import_module("isoflop.report.render_report")
    sources: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        original = module.to_typst
        patch.setattr(module, "to_typst", lambda *a: sources.append(original(*a)) or sources[-1])
        render_report(
            inputs, html=root / "report.html", pdf=root / "report.pdf", tables=root / "tables"
        )
    return sources[0]


def _read_report(root: Path, source: str) -> Rendered:
    inputs = example_sweep.Paths.below(root).report_inputs(root / "figures")
    html = (root / "report.html").read_text(encoding="utf-8")
    return Rendered(root, inputs, read_page(html), html, source)


def render_once(name: str, *, hidden: tuple[str, ...] = (), **options: Any) -> Rendered:
    """Write a report that the tests of every process read, and none may change."""

    def make(folder: Path) -> None:
        write_text(folder / "report.typ", _write_report(folder / "root", hidden, options))

    made = once(name, make)
    source = (made / "report.typ").read_text(encoding="utf-8")
    return _read_report(made / "root", source)


@pytest.fixture(scope="session")
def rendered() -> Rendered:
    return render_once("rendered")


@pytest.fixture(scope="session")
def refused() -> Rendered:
    """A sweep to which no approach could be fitted."""
    return render_once("refused", refuse=("envelope", "profiles", "parametric", "kaplan"))


@pytest.fixture(scope="session")
def bare() -> Rendered:
    """A sweep without profiles and without a check pair."""
    return render_once(
        "bare", check=False, refuse=("profiles",), hidden=("isoflop_profiles", "check_pair")
    )
