"""Numbers of parameters as trainers print them: in few digits, or by their kinds."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from isoflop.errors import MissingFactError
from tests.ingest.samples import ingest
from tests.ingest.test_formats import FIXTURES

if TYPE_CHECKING:
    from pathlib import Path

RULES = "title: t\nfacts: {schedule: {kind: constant}%s}\n"


@pytest.mark.parametrize(
    ("printed", "total"),
    [("0.125 billion", 125e6), ("1.234 million", 1.234e6), ("0.004 billion", None),
     ("0.020 billion", None), ("3 million", None)],
)  # fmt: skip
def test_maxtexts_few_digits_are_no_count(
    tmp_path: Path, printed: str, total: float | None
) -> None:
    """A model of 1.234e6 had N = 1e6, and none of the checks spoke."""
    log = (FIXTURES / "maxtext/maxtext.log").read_text()
    log = re.sub(r"number parameters: .*", f"number parameters: {printed}", log)
    if total is not None:
        done = ingest(tmp_path / "s", {"a.log": log}, RULES % "")
        assert done.runs["params_total"].to_list() == [total]
        return
    with pytest.raises(MissingFactError, match=f"its log has {printed}, which is rounded"):
        ingest(tmp_path / "s", {"a.log": log}, RULES % "")
    done = ingest(tmp_path / "t", {"a.log": log}, RULES % ", params: {total: 3.9e6}")
    assert done.runs["params_total"].to_list() == [3.9e6]


@pytest.mark.parametrize(
    ("counts", "total", "active"),
    [
        ("dense 4,948,544, sparse 14,845,632, vision 0, active 9,897,088", 19_794_176, 9_897_088),
        ("dense 19,794,176, sparse 0, vision 0, active 19,794,176", 19_794_176, 19_794_176),
        ("dense 23,173,376, sparse 9,840,640, active 28,098,816", 33_014_016, 28_098_816),
    ],
)
def test_torchtitans_counts_by_kind(tmp_path: Path, counts: str, total: int, active: int) -> None:
    path = sorted((FIXTURES / "torchtitan").iterdir())[0]
    log = path.read_text()
    assert "total parameters" in log
    lines = []
    for line in log.splitlines(keepends=True):
        if "total parameters" in line:
            head = line[: line.index("INFO - ") + 7] if "INFO - " in line else ""
            lines.append(f"{head}Total parameter count: {counts}\n")
            sparse = "sparse 0," not in counts
            size = re.sub(r"size: [0-9,]+ total", f"size: {total:,} total", line)
            lines += [size] if sparse else []
        else:
            lines.append(line)
    rules = RULES % ", tokens_per_step: 4096"
    run = ingest(tmp_path / "s", {"a.log": "".join(lines)}, rules).runs.row(0, named=True)
    assert (run["params_total"], run["params_active"]) == (total, active)
