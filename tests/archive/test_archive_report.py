from __future__ import annotations

import datetime as dt
import hashlib
import json
import platform
import zipfile
from pathlib import Path

import pytest
from rocrate.rocrate import ROCrate

from isoflop.archive.addresses import addresses
from isoflop.archive.archive_report import members, revisions
from isoflop.errors import ConfigError, IsoflopError
from isoflop.project import project_files
from tests import example_sweep
from tests.archive import mini


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return mini.write(tmp_path / "project")


def test_holds_every_member_with_its_digest(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with zipfile.ZipFile(mini.pack(project, tmp_path / "a.zip", monkeypatch)) as archive:
        manifest = json.loads(archive.read("s/MANIFEST.json"))
        files = set(manifest["files"])
        assert files >= {
            "report/report.html", "raw/sweep.yaml", "raw/fit/run.jsonl", "code/Snakefile",
            "code/data/reference/none.yaml", "code/src/isoflop/REVISION", "settings/config.json",
        }  # fmt: skip
        # what git, an interpreter or an author hides is nobody's
        assert not [name for name in files if "hidden" in name or "pycache" in name]
        for name, digest in manifest["files"].items():
            assert hashlib.sha256(archive.read(f"s/{name}")).hexdigest() == digest
        assert manifest["columns"]["Losses"]["tokens"]["unit"] == "token"
        assert manifest["rebuilt"] == {"report/report.html": mini.REPORT}
        assert manifest["python"] == platform.python_version()
        assert archive.read("s/code/src/isoflop/REVISION") == b"0123abc\n"
        readme = archive.read("s/README.txt").decode()
        assert "cp -r raw code/data/raw/s" in readme
        assert "node17.example in raw/fit/run.jsonl" in readme
        assert "include_raw: false" in readme


def test_same_files_same_bytes_whatever_their_time(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = mini.pack(project, tmp_path / "a.zip", monkeypatch).read_bytes()
    (project / mini.REPORT).touch()
    assert mini.pack(project, tmp_path / "b.zip", monkeypatch).read_bytes() == first


@pytest.mark.parametrize(
    ("day", "dated"), [(dt.date(2026, 5, 4), "2026-05-04"), (None, "1980-01-01")]
)
def test_the_crate_has_the_day_of_the_report(
    project: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    day: dt.date | None,
    dated: str,
) -> None:
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    for epoch, expected in ((None, dated), ("86400", "1970-01-02")):
        if epoch is not None:
            monkeypatch.setenv("SOURCE_DATE_EPOCH", epoch)
        with zipfile.ZipFile(
            mini.pack(project, tmp_path / "a.zip", monkeypatch, day=day)
        ) as archive:
            graph = json.loads(archive.read("s/ro-crate-metadata.json"))["@graph"]
        assert [one["datePublished"] for one in graph if "datePublished" in one] == [expected]


def test_a_crate_is_what_the_library_reads(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with zipfile.ZipFile(mini.pack(project, tmp_path / "a.zip", monkeypatch)) as archive:
        archive.extractall(tmp_path / "out")
    crate = ROCrate(tmp_path / "out" / "s")
    assert crate.root_dataset["license"] == "CC0-1.0"
    assert crate.root_dataset["name"].startswith("A *sweep*")
    assert crate.mainEntity.id == "code/Snakefile"
    assert "ComputationalWorkflow" in crate.mainEntity.type
    action = crate.get("#build")
    assert action is not None
    assert {one.id for one in action["object"]} == {"raw/fit/run.jsonl", "raw/sweep.yaml"}
    assert "report/report.html" in {one.id for one in action["result"]}
    files = {one.id: one for one in crate.get_by_type("File")}
    for name, one in files.items():
        path = tmp_path / "out" / "s" / name
        assert hashlib.sha256(path.read_bytes()).hexdigest() == one["sha256"]
    assert len(files) > 8


def test_absent_member_is_named(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / mini.REPORT).unlink()
    with pytest.raises(IsoflopError, match=r"report\.html: to be archived, but absent"):
        mini.pack(project, tmp_path / "a.zip", monkeypatch)


def test_two_members_of_one_name_are_refused(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    twice = members([("report", project / mini.REPORT)] * 2)
    with pytest.raises(IsoflopError, match=r"report/report\.html: two files would have this name"):
        mini.pack(project, tmp_path / "a.zip", monkeypatch, members=twice)


def test_a_project_without_a_part_is_refused(project: Path) -> None:
    (project / "requirements.lock").unlink()
    with pytest.raises(IsoflopError, match=r"requirements\.lock of the project is missing"):
        project_files(project)


def test_the_real_project_is_packed_whole() -> None:
    files = {path.as_posix() for path in project_files(Path())}
    assert {"run.py", "LICENSE", "CITATION.cff", "src/isoflop/cli.py"} <= files
    assert not [name for name in files if name.startswith(("data/raw/", "data/estimates/"))]


def test_several_revisions_are_told(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    estimates = example_sweep.write(tmp_path / "sweep").estimates
    files = sorted(estimates.iterdir())
    for name, revision in (("envelope", "1f"), ("forecast", "0e"), ("mixture", "2d")):
        content = json.loads((estimates / f"{name}.json").read_text(encoding="utf-8"))
        content["provenance"]["git_revision"] = revision
        (estimates / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
    found = revisions(files)
    # the others have the revision of the made-up sweep
    assert found == ["0" * 40, "0e", "1f", "2d"]
    (estimates / "forecast.json").write_text("{}")
    with pytest.raises(ConfigError, match=r"forecast\.json: key 'provenance' is missing"):
        revisions(files)
    target = mini.pack(project, tmp_path / "a.zip", monkeypatch, revisions=found)
    with zipfile.ZipFile(target) as archive:
        assert "made at several revisions" in archive.read("s/README.txt").decode()
        assert "s/code/src/isoflop/REVISION" not in archive.namelist()


def test_addresses_are_found_and_numbers_are_none() -> None:
    found = addresses([
        ("a", b'{"host": "gpu-01.lab", "version": "1.2.3", "at": "10.1.2.3:29500"}'),
        ("b", b"hostname=gpu-01.lab by jo@lab.example, torch 2.7.1.post0, 127.0.0.1, loss 1.25"),
    ])  # fmt: skip
    assert found == {"gpu-01.lab": ["a", "b"], "10.1.2.3": ["a"], "jo@lab.example": ["b"]}
