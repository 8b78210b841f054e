"""The page shows every number, loads nothing, and draws every exponent."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from isoflop.drawing.exponents import draw
from isoflop.estimates.estimate import Quantity
from isoflop.numbers import as_fine
from isoflop.published.forest import groups
from isoflop.published.render import render_published
from isoflop.published.results import Verdict, counted
from tests.outputs import html_text, leaks
from tests.published.test_results import ESTIMATE
from tests.report.page import read_page

if TYPE_CHECKING:
    from pathlib import Path

    from isoflop.published.catalogue import Catalogue
    from isoflop.reference import Reference


@pytest.fixture
def found(catalogue: Catalogue) -> list[Verdict]:
    """Give a verdict per number: published times 1.001, and one refusal."""
    made = [
        Verdict(
            study,
            result,
            result.published * 1.001,
            Quantity(value=result.published, intervals={"0.8": (0.4, 0.6), "0.95": (0.3, 0.7)}),
        )
        for study in catalogue.studies
        for result in study.results
    ]
    made[0] = Verdict(made[0].study, made[0].result, None, refused="too few <runs>")
    return made


def test_page_has_every_number_and_loads_nothing(
    catalogue: Catalogue, found: list[Verdict], reference: Reference, tmp_path: Path
) -> None:
    out = tmp_path / "published" / "index.html"
    render_published(catalogue, found, {"mine": {"parametric": ESTIMATE}}, reference, out)
    page = out.read_text()
    assert leaks(html_text(out)) == []
    assert page.count('<th scope="row">') == len(found) + len(catalogue.studies)
    for study in catalogue.studies:
        assert f'id="{study.name}"' in page
    assert "Refused: too few &lt;runs&gt;" in page
    assert "Own sweep: mine" in page
    # links lead to sources; nothing is fetched to show the page
    assert not re.search(r"<(?:script|link|img|iframe)\b|@import|url\((?!\"data:|#)", page)
    # a number stays on the line of its percent sign
    assert re.search(r"\d\xa0%", page)
    assert not re.search(r"\d[ \n]+%", page)
    # what somebody recomputed was not published, and is counted apart
    words = re.sub(r"\s+", " ", page)
    counts = counted(found)
    published, recomputed = counts["published"], counts["recomputed"]
    assert sum(recomputed.values()) == 62
    assert sum(published.values()) == len(found) - 62
    assert min(*published.values(), *recomputed.values()) > 0
    assert f"{published['reproduced']} of {sum(published.values())} published numbers" in words
    assert f"{published['near']} come out near, and {published['not reproduced']} do not" in words
    assert f"Of {sum(recomputed.values())} more that no paper prints" in words
    # what was missed is named with its study, and a source that ends in a full stop has one
    missed = next(row for row in found if row.outcome == "not reproduced")
    assert f">{missed.result.quantity}, {missed.study.title}</a>" in page
    assert any(row.result.source.endswith(".") and row.result.note for row in found)
    assert not re.search(r"\w\.\. ", words)
    # a row per study with its counts, and a link to the report of each sweep that was read
    table = read_page(page).tables["counts-table"]
    for study, row in zip(catalogue.studies, table[2:], strict=True):
        tally = counted([verdict for verdict in found if verdict.study == study])
        assert row[0] == study.title
        numbers = [str(n) for kind in tally.values() for n in kind.values()]
        assert row[1:7] == numbers
        for sweep in study.sweeps:
            linked = f'href="{sweep.name}/report.html"' in page
            assert linked == (sweep.sidecar is not None)


def test_same_bytes_twice(
    catalogue: Catalogue, found: list[Verdict], reference: Reference, tmp_path: Path
) -> None:
    for name in ("one", "two"):
        render_published(catalogue, found, {}, reference, tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_forest_draws_every_exponent(found: list[Verdict], reference: Reference) -> None:
    shown = groups(found, {"mine": {"parametric": ESTIMATE}}, reference)
    assert shown[0].heading == "Own sweep: mine"
    assert [line.label for line in shown[-1].lines][-1] == "Kaplan et al. 2020"
    drawn = draw(shown)
    (axes,) = drawn.figure.axes
    marks = {line.get_gid(): line for line in axes.lines if line.get_gid()}
    lines = [line for group in shown for line in group.lines]
    # the mark of the first line is our estimate, with its intervals
    assert marks["ours-0-1"].get_xdata() == [ESTIMATE.a.value]
    for level, ends in ESTIMATE.a.intervals.items():
        assert tuple(marks[f"ours-0-1-{100 * float(level):.0f}"].get_xdata()) == ends
    ours = [gid for gid in marks if re.fullmatch(r"ours-\d+-\d+", gid)]
    theirs = [gid for gid in marks if re.fullmatch(r"published-\d+-\d+", gid)]
    assert len(ours) == sum(line.ours is not None for line in lines)
    assert len(theirs) == sum(line.published is not None for line in lines)
    # Kaplan's 0.73 is the last row's
    assert marks[theirs[-1]].get_xdata() == [0.73]
    assert len(axes.get_yticklabels()) == len(lines)
    assert all(line.label in drawn.alt for line in lines)
    # Hoffmann's interval is one of 80 %, Besiroglu's of 95 %
    results = [result.result for result in found if result.result.interval is not None]
    for level in (0.8, 0.95):
        printed = [result.interval for result in results if result.interval_level == level]
        ends = [
            tuple(line.get_xdata())
            for gid, line in marks.items()
            if re.fullmatch(rf"published-\d+-\d+-{100 * level:.0f}", gid)
        ]
        assert printed
        assert set(printed) <= set(ends)


def test_reproduced_numbers_are_as_fine_as_the_published_ones() -> None:
    assert as_fine(0.51389951708, 5e-5) == "0.513900".rstrip("0")
    assert as_fine(None, 5e-5) == "—"
