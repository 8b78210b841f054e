"""A folder of everybody's logs: each file is what it is alone, whatever lies beside it."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from isoflop.ingest.reading.patterns import readable_formats
from isoflop.ingest.sweep import read_sweep
from tests.ingest.samples import RECORD
from tests.ingest.test_formats import FIXTURES

if TYPE_CHECKING:
    from pathlib import Path

    import polars as pl

FORMATS = [name for name in readable_formats() if name != "table"]
"""All but tables, whose fixture needs a map of its own."""
SETTINGS = ("sweep.yaml", "expected.json")


def fates(files: pl.DataFrame) -> dict[str, tuple[object, ...]]:
    columns = ("path", "format", "rows", "rows_left_out", "lines_unread", "restarts", "truncated",
               "fate", "reason")  # fmt: skip
    return {path: tuple(rest) for path, *rest in files.select(columns).iter_rows()}


def test_every_format_in_one_folder(tmp_path: Path) -> None:
    expected: dict[str, tuple[object, ...]] = {}
    for name in FORMATS:
        shutil.copytree(FIXTURES / name, tmp_path / name, ignore=shutil.ignore_patterns(*SETTINGS))
        alone = fates(read_sweep(FIXTURES / name, RECORD).files)
        expected |= {f"{name}/{path}": told for path, told in alone.items() if path not in SETTINGS}
    (tmp_path / "sweep.yaml").write_text("title: t\n")
    together = read_sweep(tmp_path, RECORD)
    found = fates(together.files)
    del found["sweep.yaml"]
    assert found == expected
    assert {told[0] for told in found.values() if told[6] == "used"} == {*FORMATS}
    # no run of two formats, and no format without a run
    owners = [
        {path.strip().split("/")[0] for path in paths.split(",")}
        for paths in together.runs["paths"]
    ]
    assert all(len(names) == 1 for names in owners)
    assert {name for names in owners for name in names} == {*FORMATS}
