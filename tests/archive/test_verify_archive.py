"""An archive is rebuilt from nothing but itself, and every difference is named."""

from __future__ import annotations

import shutil
import zipfile
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from isoflop.archive.archive_report import raw_members
from isoflop.archive.verify_archive import verify_archive
from isoflop.cli import main
from isoflop.errors import ConfigError, IsoflopError
from tests.archive import mini

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return mini.write(tmp_path / "project")


def test_a_rebuild_has_the_same_bytes(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = mini.pack(project, tmp_path / "a.zip", monkeypatch)
    shutil.rmtree(project)
    monkeypatch.chdir(tmp_path)
    found = verify_archive(target, tmp_path / "rebuilt")
    assert found.identical
    assert found.same == ("report/report.html",)
    assert (tmp_path / "rebuilt" / mini.REPORT).read_text().startswith("as set\n")


def test_a_file_that_comes_out_otherwise_is_named(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / mini.REPORT).write_text("written by hand\n")
    target = mini.pack(project, tmp_path / "a.zip", monkeypatch)
    done = CliRunner().invoke(main, ["verify", str(target)])
    assert done.exit_code != 0
    said = done.output + str(done.exception)
    assert "0 of 1 file came out byte for byte" in said
    assert "differs: report/report.html" in said


def rewritten(archive: Path, ending: str, edit: Callable[[bytes], bytes]) -> Path:
    """Copy an archive with the members of one ending edited."""
    changed = archive.with_name("changed.zip")
    with zipfile.ZipFile(archive) as old, zipfile.ZipFile(changed, "w") as new:
        for name in old.namelist():
            text = old.read(name)
            new.writestr(name, edit(text) if name.endswith(ending) else text)
    return changed


def test_a_changed_archive_is_refused(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = mini.pack(project, tmp_path / "a.zip", monkeypatch)
    changed = rewritten(target, "run.jsonl", lambda text: text + b"x")
    with pytest.raises(IsoflopError, match=r"changed since it was made: raw/fit/run\.jsonl"):
        verify_archive(changed, tmp_path / "rebuilt")
    with zipfile.ZipFile(target, "a") as opened:
        opened.writestr("s/code/../../out.py", "")
    with pytest.raises(IsoflopError, match="names files outside its folder"):
        verify_archive(target, tmp_path / "rebuilt")
    assert not (tmp_path / "out.py").exists()


def test_a_manifest_with_another_key_is_refused(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = mini.pack(project, tmp_path / "a.zip", monkeypatch)
    changed = rewritten(
        target, "MANIFEST.json", lambda text: text.replace(b'"targets"', b'"target"')
    )
    with pytest.raises(ConfigError) as caught:
        verify_archive(changed, tmp_path / "rebuilt")
    assert f"{changed}: MANIFEST.json: unknown key 'target'; did you mean 'targets'?" in str(
        caught.value
    )
    assert "key 'targets' is missing" in str(caught.value)
    assert not (tmp_path / "rebuilt").exists()


def test_what_is_no_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_text("no zip")
    with pytest.raises(IsoflopError, match="is no archive of archive-report"):
        verify_archive(tmp_path / "a.zip", tmp_path / "rebuilt")
    with pytest.raises(IsoflopError, match="is not empty"):
        verify_archive(tmp_path / "a.zip", tmp_path)


def test_logs_that_were_left_out_are_asked_for_and_checked(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = project / "data/raw/s"
    target = mini.pack(
        project, tmp_path / "a.zip", monkeypatch, raw=raw_members(raw), raw_included=False
    )
    with zipfile.ZipFile(target) as archive:
        assert not [name for name in archive.namelist() if name.startswith("s/raw/")]
    with pytest.raises(IsoflopError, match="give their folder with --raw"):
        verify_archive(target, tmp_path / "without")
    assert verify_archive(target, tmp_path / "with", raw=raw).identical
    (raw / "fit/run.jsonl").write_text("another\n")
    with pytest.raises(IsoflopError, match=r"run\.jsonl is absent, or not the log"):
        verify_archive(target, tmp_path / "wrong", raw=raw)


def test_a_build_that_fails_is_shown(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "Snakefile").write_text(mini.SNAKEFILE.replace("echo", "no-such-command"))
    target = mini.pack(project, tmp_path / "a.zip", monkeypatch)
    with pytest.raises(IsoflopError, match=r"(?s)the build in .* failed.*no-such-command"):
        verify_archive(target, tmp_path / "rebuilt")


def test_an_archive_that_is_not_there_is_told_of(tmp_path: Path) -> None:
    with pytest.raises(IsoflopError, match="there is no archive "):
        verify_archive(tmp_path / "none.zip", tmp_path / "out")
