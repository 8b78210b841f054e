from __future__ import annotations

from typing import TYPE_CHECKING

from isoflop.config.sidecar import SweepFile
from isoflop.estimates.estimate import read_estimates
from isoflop.numbers import fixed
from isoflop.reference import read_reference
from isoflop.report.render_index import IndexedSweep, render_index
from tests import example_sweep
from tests.outputs import html_text, leaks
from tests.report.page import read_page

if TYPE_CHECKING:
    from pathlib import Path


def test_the_index_puts_sweeps_beside_the_papers(tmp_path: Path) -> None:
    paths = example_sweep.write(tmp_path, refuse=("kaplan",))
    sidecar = SweepFile(title="A made-up *sweep*", description="Made up.")
    sweep = IndexedSweep("made-up", sidecar, read_estimates(paths.estimates))
    out = tmp_path / "index.html"
    render_index([sweep], read_reference(example_sweep.REFERENCE), out)
    page = read_page(out.read_text(encoding="utf-8"))
    assert page.unbalanced == []
    assert page.sources == []
    assert leaks(html_text(out)) == []
    assert {"made-up/report.html", "made-up/report.pdf"} <= set(page.links)
    rows = {row[0].split("\n")[0].strip(): row for row in page.tables["tbl-sweeps"]}
    mine = rows["A made-up *sweep*"]
    assert mine[1].split("\n")[0].strip() == fixed(sweep.fitted["envelope"].a.value)
    assert mine[4] == "refused"
    assert rows["Kaplan et al. 2020"][4] == "0.73"
