from __future__ import annotations

import hashlib
import json
import zipfile
from typing import TYPE_CHECKING

import pytest

from isoflop.archive.archive_report import archive_report, members
from isoflop.errors import IsoflopError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    raw = tmp_path / "raw"
    (raw / "fit").mkdir(parents=True)
    (raw / "sweep.yaml").write_text("title: t\n")
    (raw / "fit" / "run.jsonl").write_text("{}\n")
    (raw / ".hidden").write_text("not for others\n")
    (tmp_path / "report.html").write_text("<p>report</p>\n")
    return tmp_path


def pack(folder: Path, name: str) -> Path:
    target = folder / name
    places = [("report", folder / "report.html"), ("raw", folder / "raw")]
    archive_report(members(places), target, sweep="s", version="1", raw_included=True)
    return target


def test_holds_every_member_with_its_digest(folder: Path) -> None:
    with zipfile.ZipFile(pack(folder, "a.zip")) as archive:
        manifest = json.loads(archive.read("s/MANIFEST.json"))
        expected = {"report/report.html", "raw/sweep.yaml", "raw/fit/run.jsonl"}
        assert set(manifest["files"]) == expected
        for name, digest in manifest["files"].items():
            assert hashlib.sha256(archive.read(f"s/{name}")).hexdigest() == digest
        assert manifest["columns"]["Losses"]["tokens"]["unit"] == "token"


def test_same_files_same_bytes_whatever_their_time(folder: Path) -> None:
    first = pack(folder, "a.zip").read_bytes()
    (folder / "report.html").touch()
    assert pack(folder, "b.zip").read_bytes() == first


def test_absent_member_is_named(folder: Path) -> None:
    (folder / "report.html").unlink()
    with pytest.raises(IsoflopError, match=r"report\.html: to be archived, but absent"):
        pack(folder, "a.zip")


def test_two_members_of_one_name_are_refused(folder: Path) -> None:
    places = [("raw", folder / "raw"), ("raw", folder / "raw")]
    with pytest.raises(IsoflopError, match=r"raw/sweep\.yaml: two files would have this name"):
        archive_report(members(places), folder / "a.zip", sweep="s", version="1", raw_included=True)
