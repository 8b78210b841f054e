"""What two Pythons may differ in, and what they may not."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from tools.same_bytes import LIBRARIES, differences

if TYPE_CHECKING:
    from pathlib import Path

PAGE = '<p data-number="0.4921096861901327">0.49</p> revision 0ec6ca2c4174d838'
ESTIMATE = {"b": 0.25, "starts_reaching_optimum": 65, "sha256": "81c25d6d39d8679e", "x": None}
OUTPUTS = {
    "data/losses/toy.parquet": b"PAR1",
    "data/estimates/toy/root.json": json.dumps(ESTIMATE).encode(),
    "reports/toy/report.html": PAGE.encode(),
    "reports/toy/tables/a.csv": b"law,1.25,,nan\n",
}


def built(root: Path, numpy: str, **others: bytes) -> Path:
    for name, content in OUTPUTS.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(others.get(path.suffix[1:], content))
    (root / LIBRARIES).write_text(numpy)
    return root


LAST_DIGITS = {
    "json": json.dumps(
        {**ESTIMATE, "b": 0.25 + 1e-9, "starts_reaching_optimum": 67, "sha256": "92d25d6d39d8679e"}
    ).encode(),
    "html": PAGE.replace("01327", "76912").replace("0ec6c", "1ec6c").encode(),
    "csv": b"law,1.2500000001,,nan\n",
}


def test_other_libraries_may_change_last_digits_and_digests(tmp_path: Path) -> None:
    here = built(tmp_path / "here", "2.4")
    assert differences(here, built(tmp_path / "there", "2.5", **LAST_DIGITS)) == []


def test_the_same_libraries_may_change_nothing(tmp_path: Path) -> None:
    here = built(tmp_path / "here", "2.4")
    assert differences(here, built(tmp_path / "same", "2.4")) == []
    assert len(differences(here, built(tmp_path / "there", "2.4", **LAST_DIGITS))) == 3


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("parquet", b"PAR2"),
        ("json", json.dumps({**ESTIMATE, "b": 0.2501}).encode()),
        ("json", json.dumps({**ESTIMATE, "x": 0}).encode()),
        ("json", json.dumps({**ESTIMATE, "y": 0}).encode()),
        ("html", PAGE.replace("0.49<", "0.50<").encode()),
        ("html", PAGE.replace("<p", "<b").encode()),
        ("csv", b"law,1.25,,\n"),
        ("csv", b"law,1.25,,nan\nlaw,1,,\n"),
    ],
)
def test_no_libraries_may_change_more(kind: str, content: bytes, tmp_path: Path) -> None:
    here = built(tmp_path / "here", "2.4")
    (said,) = differences(here, built(tmp_path / "there", "2.5", **{kind: content}))
    assert f".{kind}: " in said


def test_builds_that_made_nothing_are_not_alike(tmp_path: Path) -> None:
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
    assert differences(tmp_path / "here", tmp_path / "there") != []
