"""A report rests on the files that its rule declares, and on no others that lie beside them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from isoflop.approach import APPROACHES, ON_REQUEST
from isoflop.report.render_report import render_report
from tests import example_sweep
from tests.report.conftest import render

if TYPE_CHECKING:
    from pathlib import Path

    from tests.report.conftest import Rendered


@pytest.fixture(scope="module")
def again(tmp_path_factory: pytest.TempPathFactory) -> Rendered:
    """Give a report that was written a second time, and whose folder is this file's own."""
    return render(tmp_path_factory.mktemp("again"))


def outputs(root: Path) -> dict[str, bytes]:
    """Give the files of a report."""
    found = (root / "report.html", root / "report.pdf", *sorted((root / "tables").iterdir()))
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in found}


def test_two_renders_give_the_same_bytes(rendered: Rendered, again: Rendered) -> None:
    # the estimates' folder is part of the provenance: compare under the same name
    swapped = again.html.replace(str(again.root), str(rendered.root))
    assert _without_digests(swapped) == _without_digests(rendered.html)
    for path in sorted((rendered.root / "tables").iterdir()):
        if path.stem != "provenance":
            assert (again.root / "tables" / path.name).read_bytes() == path.read_bytes()


def _without_digests(html: str) -> str:
    return re.sub(r"<code>[0-9a-f]{16}</code>", "", html)


def test_a_stray_estimate_changes_no_byte(again: Rendered) -> None:
    paths = example_sweep.Paths.below(again.root)
    folder = paths.estimates
    for law in (*ON_REQUEST, "mine"):
        # what lies there is not even read
        (folder / f"{law}.json").write_text("{}", encoding="utf-8")
        (folder / f"{law}.draws.parquet").write_bytes(b"no table")
    out = again.root / "out"
    inputs = paths.report_inputs(again.root / "figures")
    render_report(inputs, html=out / "report.html", pdf=out / "report.pdf", tables=out / "tables")
    assert outputs(out) == outputs(again.root)
    assert {f"{key}.json" for key in APPROACHES} <= {path.name for path in folder.iterdir()}
    # a declared one is an input: its digest stands in the report
    declared = folder / f"{APPROACHES[0]}.json"
    declared.write_bytes(declared.read_bytes() + b"\n")
    changed = paths.report_inputs(again.root / "figures").digests
    digests = inputs.digests
    assert {key for key in digests if digests[key] != changed[key]} == {declared.as_posix()}
