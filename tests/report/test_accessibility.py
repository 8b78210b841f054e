"""The pages violate no rule of axe-core, at the widths of a desk, a tablet and a phone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.report.browser import AXE, BROWSER, axe_core, told

if TYPE_CHECKING:
    from pathlib import Path

    from tests.report.conftest import Rendered

pytestmark = [
    pytest.mark.skipif(BROWSER is None, reason="needs chromium (Debian: apt install chromium)"),
    pytest.mark.skipif(AXE is None, reason="needs axe-core-python"),
]


def run(where: str = "document") -> str:
    """Give a script that runs axe-core on a part of a page, and gives what is violated where."""
    return f"""
    const found = await axe.run({where}, {{ resultTypes: ["violations"] }});
    return found.violations.map((rule) => [rule.id, rule.nodes.map((n) => n.target.join(" "))]);
    """


NOTES = '{ include: [["#footnote-tip"], ["a.footnote-ref"]] }'
"""What shows a note, and what it is shown beside; the rest is looked at without it."""


@pytest.mark.parametrize("width", [1400, 900, 390])
def test_the_report_violates_no_rule(rendered: Rendered, width: int) -> None:
    page = rendered.root / "report.html"
    assert told(page, f"{axe_core()}; {run()}", width=width) == []


def test_a_violation_is_seen(tmp_path: Path) -> None:
    page = tmp_path / "worse.html"
    page.write_text("<html><body><main><img src=data:,></main></body></html>", encoding="utf-8")
    found = told(page, f"{axe_core()}; {run()}", width=1400)
    assert {rule for rule, _ in found} >= {"html-has-lang", "image-alt"}


def test_runs_sort_and_filter(rendered: Rendered) -> None:
    """By number, not by its letters; absent ones last; and back to the order that was given."""
    script = """
    const table = document.querySelector("#tbl-runs");
    const shown = (column) => [...table.tBodies[0].rows].filter((row) => !row.hidden)
      .map((row) => row.cells[column].textContent);
    const buttons = [...table.tHead.querySelectorAll("button")];
    const given = shown(0);
    buttons[2].click();
    const up = shown(2), order = buttons[2].parentElement.getAttribute("aria-sort");
    buttons[2].click();
    const down = shown(2);
    buttons[2].click();
    const again = shown(0);
    buttons[6].click();
    buttons[6].click();
    const losses = shown(6);
    const field = document.querySelector("#tbl-runs-caption ~ .filter input");
    field.value = "check";
    field.dispatchEvent(new Event("input"));
    return { given, up, order, down, again, losses, filtered: shown(1) };
    """
    found = told(rendered.root / "report.html", script, width=1400)
    rows = rendered.page.tables["tbl-runs"][1:]
    assert found["given"] == found["again"] == [row[0] for row in rows]
    numbers = {"k": 1e3, "M": 1e6}
    sizes = [float(cell[:-1]) * numbers[cell[-1]] for cell in found["up"]]
    assert sizes == sorted(sizes)
    assert len(set(sizes)) > 3
    assert found["order"] == "ascending"
    assert [float(c[:-1]) * numbers[c[-1]] for c in found["down"]] == sorted(sizes, reverse=True)
    absent = [cell == "\N{EM DASH}" for cell in found["losses"]]
    assert absent == sorted(absent)
    assert set(found["filtered"]) == {"check"}


def test_a_run_under_the_pointer_is_named_and_shown_everywhere(rendered: Rendered) -> None:
    script = """
    const marks = [...document.querySelectorAll("svg use[data-run]")];
    const over = (element) => element.dispatchEvent(new Event("pointerover", { bubbles: true }));
    const lit = () => [...document.querySelectorAll(".lit")].map((e) =>
      e.localName === "tr" ? e.cells[0].textContent : e.parentNode.id + " " + e.dataset.run);
    over(marks[0]);
    const first = lit();
    over(document.querySelector("#tbl-runs tbody tr[data-run='" + marks[1].dataset.run + "']"));
    const second = lit();
    over(document.querySelector("h2"));
    const table = document.querySelector(".first .scroller");
    const titles = marks.map((mark) => mark.querySelector("title").textContent);
    return { first, second, none: lit(), titles, cut: table.scrollWidth - table.clientWidth };
    """
    found = told(rendered.root / "report.html", script, width=1400)
    one, two = rendered.inputs.manifest["design"].runs["marks"]
    for run, lit in ((one, found["first"]), (two, found["second"])):
        assert set(lit) == {f"design-marks {run}", f"residuals-marks {run}", run}
    assert found["none"] == []
    assert sorted(found["titles"]) == sorted([one, two] * 2)
    # the table beside the figure fits its column
    assert found["cut"] == 0


@pytest.mark.parametrize("width", [1400, 390])
def test_a_footnote_shows_beside_its_sign(rendered: Rendered, width: int) -> None:
    """Under the pointer and for the keyboard, within the window, without a violation."""
    script = f"""
    {axe_core()};
    const signs = [...document.querySelectorAll("a.footnote-ref")];
    const tip = document.getElementById("footnote-tip");
    const words = (element) => element.textContent.replace(/\\s+/g, " ").replace("↩︎", "").trim();
    const before = tip.hidden, shown = [];
    for (const [index, sign] of signs.entries()) {{
      sign.scrollIntoView({{ block: index % 2 ? "end" : "center" }});
      await new Promise((done) => setTimeout(done, 100));
      if (index % 2) sign.focus({{ preventScroll: true }});
      else sign.dispatchEvent(new Event("pointerenter"));
      const box = tip.getBoundingClientRect();
      const note = document.querySelector(sign.getAttribute("href"));
      shown.push([
        !tip.hidden && words(tip) === words(note) && words(tip).length > 20,
        sign.getAttribute("aria-describedby"),
        box.left >= 0 && box.right <= innerWidth && box.top >= 0 && box.bottom <= innerHeight,
      ]);
      if (index === 0) {{
        sign.dispatchEvent(new Event("pointerleave"));
        tip.dispatchEvent(new Event("pointerenter"));
        await new Promise((done) => setTimeout(done, 500));
        shown[0].push(!tip.hidden);
      }}
    }}
    const rules = await (async () => {{ {run(NOTES)} }})();
    dispatchEvent(new KeyboardEvent("keydown", {{ key: "Escape" }}));
    const ids = [...document.querySelectorAll("[id]")].map((element) => element.id);
    return {{ before, shown, rules, after: tip.hidden, twice: ids.length - new Set(ids).size,
      described: document.querySelectorAll("[aria-describedby=footnote-tip]").length }};
    """
    seen = told(rendered.root / "report.html", script, width=width)
    assert len(seen["shown"]) >= 4
    # the pointer may rest on it
    assert seen["shown"][0] == [True, "footnote-tip", True, True]
    assert all(shown == [True, "footnote-tip", True] for shown in seen["shown"][1:])
    assert seen["rules"] == []
    assert (seen["before"], seen["after"], seen["described"], seen["twice"]) == (True, True, 0, 0)


EDGES = """
return [...document.querySelectorAll("main .scroller")].map((scroller) => {
  const [fading] = scroller.getAnimations();
  const frames = fading ? fading.effect.getKeyframes() : [];
  const edges = frames.map((frame) => [frame.computedOffset, frame.maskImage]);
  return [scroller.scrollWidth - scroller.clientWidth, getComputedStyle(scroller).maskImage, edges];
});
"""


def test_what_is_cut_at_an_edge_fades_there(rendered: Rendered) -> None:
    """On a phone a table ends in the middle of a column, and nothing else says that it goes on."""
    page = rendered.root / "report.html"
    narrow = told(page, EDGES, width=390)
    cut = [(now, dict(edges)) for room, now, edges in narrow if room > 1]
    assert len(cut) >= 5
    for now, edges in cut:
        # before it is scrolled there is more at the right; at its end at the left; between at both
        assert now.startswith("linear-gradient(to left, rgba(0, 0, 0, 0)")
        assert now.endswith("rgb(0, 0, 0) 48px)")
        assert edges[0] == now
        assert edges[0.1].startswith("linear-gradient(to left, rgba(0, 0, 0, 0)")
        assert edges[0.1].endswith("rgba(0, 0, 0, 0))")
        assert edges[1].startswith("linear-gradient(to right, rgba(0, 0, 0, 0)")
    held = [now for room, now, _ in narrow if room <= 0]
    assert held
    assert set(held) == {"none"}
