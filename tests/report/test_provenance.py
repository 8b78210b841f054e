"""A report rests on the files that its rule declares, and on no others that lie beside them."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from isoflop.approach import APPROACHES, ON_REQUEST
from isoflop.report.render_report import render_report
from tests import example_sweep
from tests.report.conftest import empty_figures

if TYPE_CHECKING:
    from pathlib import Path


def written(paths: example_sweep.Paths, root: Path) -> dict[str, bytes]:
    """Write the report into an empty folder and give its files."""
    out = root / "out"
    shutil.rmtree(out, ignore_errors=True)
    render_report(
        paths.report_inputs(root / "figures"),
        html=out / "report.html", pdf=out / "report.pdf", tables=out / "tables",
    )  # fmt: skip
    return {
        path.relative_to(out).as_posix(): path.read_bytes()
        for path in sorted(out.rglob("*"))
        if path.is_file()
    }


def test_a_stray_estimate_changes_no_byte(tmp_path: Path) -> None:
    paths = example_sweep.write(tmp_path)
    empty_figures(tmp_path / "figures")
    before = written(paths, tmp_path)
    folder = paths.estimates
    for law in (*ON_REQUEST, "mine"):
        # what lies there is not even read
        (folder / f"{law}.json").write_text("{}", encoding="utf-8")
        (folder / f"{law}.draws.parquet").write_bytes(b"no table")
    assert written(paths, tmp_path) == before
    assert {f"{key}.json" for key in APPROACHES} <= {path.name for path in folder.iterdir()}
    # a declared one is an input: its digest stands in the report
    digests = paths.report_inputs(tmp_path / "figures").digests
    declared = folder / f"{APPROACHES[0]}.json"
    declared.write_bytes(declared.read_bytes() + b"\n")
    changed = paths.report_inputs(tmp_path / "figures").digests
    assert {key for key in digests if digests[key] != changed[key]} == {declared.as_posix()}
