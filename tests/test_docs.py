"""The pages of `run.py docs`: the tutorial runs, and the references name everything."""

from __future__ import annotations

import json
import re
from importlib.util import find_spec
from pathlib import Path

import nbformat
import pytest
from tools import docs

from isoflop.cli import COMMANDS


def test_the_tutorial_runs_and_becomes_a_notebook() -> None:
    listed = docs.cells(Path("docs/tutorial.py").read_text(encoding="utf-8"))
    docs.run(listed)
    text = docs.notebook(listed)
    made = nbformat.reads(text, as_version=4)
    nbformat.validate(made)
    assert [cell.cell_type == "markdown" for cell in made.cells] == [one.markdown for one in listed]
    code = [one for one in listed if not one.markdown]
    assert all(one.printed or one.html or one.svg for one in code)
    assert code[-1].svg.startswith("<svg")
    # what comes back is the law that the runs were made by, within a tenth in N
    truth = float(re.findall(r"N = (\S+)", "".join(one.printed for one in code))[0])
    found = float(re.findall(r"value=(\S+?),? ", code[-2].printed)[0])
    assert found == pytest.approx(truth, rel=0.1)
    page = docs.as_markdown(listed)
    assert page.count("```python") == len(code)
    # two builds differ in nothing
    assert json.loads(text) == json.loads(docs.notebook(listed))


def test_every_subcommand_has_its_help_in_the_reference() -> None:
    text = docs.commands()
    titles = re.findall(r"^### isoflop (\S+) ", text, re.MULTILINE)
    assert sorted(titles) == sorted(COMMANDS)
    assert "Usage: isoflop allocate [OPTIONS] [FLOPS]" in text
    assert "--inference-tokens" in text


@pytest.mark.skipif(find_spec("pdoc") is None, reason="needs pdoc, of the developers' pins")
def test_the_site_is_whole_and_its_links_lead_somewhere(tmp_path: Path) -> None:
    site = tmp_path / "site"
    docs.build(site)
    names = {path.stem for path in Path("docs").glob("*.md")}
    assert {path.stem for path in site.glob("*.html")} == {*names, "index", "tutorial", "commands"}
    broken = [
        f"{page.name}: {link}"
        for page in site.glob("*.html")
        for link in re.findall(r'href="([\w./-]+\.html)(?:#[^"]*)?"', page.read_text("utf-8"))
        if not (page.parent / link).exists()
    ]
    assert broken == []
    tutorial = (site / "tutorial.html").read_text("utf-8")
    assert "output-of-cell" not in tutorial
    assert tutorial.count("<svg") == 1
    assert "<caption>Fit of made up" in tutorial
    interface = (site / "api/isoflop/interface.html").read_text("utf-8")
    for name in ("read", "Sweep.fit", "Fit.allocate", "Fit.plot"):
        assert f'id="{name}"' in interface
    # sections of numpydoc are headings, not dashes
    assert "Parameters" in interface
    assert "----------" not in interface
