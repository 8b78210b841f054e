from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from isoflop import files
from isoflop.files import (
    cache_of_project,
    digest,
    name_in_project,
    replacing,
    replacing_folder,
    write_json,
    write_text,
)


def test_failure_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "x.txt"
    write_text(path, "old")

    def fail_halfway() -> None:
        with replacing(path) as temporary:
            temporary.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_halfway()
    assert path.read_text() == "old"
    assert list(path.parent.iterdir()) == [path]


def test_a_folder_gets_its_name_when_it_is_whole(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "figures"

    def fail_halfway() -> None:
        with replacing_folder(folder) as temporary:
            (temporary / "a").write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_halfway()
    assert list(folder.parent.iterdir()) == []
    for text in ("old", "new"):
        with replacing_folder(folder) as temporary:
            (temporary / "a").write_text(text)
        assert (folder / "a").read_text() == text
        (folder / "note").touch()  # somebody's own
    assert sorted(path.name for path in folder.iterdir()) == ["a", "note"]
    assert list(folder.parent.iterdir()) == [folder]


def test_json_refuses_nan(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(tmp_path / "x.json", {"a": float("nan")})
    assert not (tmp_path / "x.json").exists()


def test_digest(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"abc" * 100_000)
    assert digest(path) == hashlib.sha256(b"abc" * 100_000).hexdigest()


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("data/losses/toy.parquet", "data/losses/toy.parquet"),
        (".snakemake/storage/s3/store/data/losses/toy.parquet", "data/losses/toy.parquet"),
        (".snakemake/storage/s3/data/us/x/reports/toy/tables", "reports/toy/tables"),
        (".snakemake/storage/s3/store/data/raw/data/a", "data/raw/data/a"),
        ("/elsewhere/data/x", "/elsewhere/data/x"),
    ],
)
def test_an_input_is_named_alike_wherever_it_was_fetched_from(path: str, name: str) -> None:
    assert name_in_project(Path(path)) == name


def test_only_what_nobody_writes_any_more_is_swept_up(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        pass
    old = time.time() - 2 * files.QUIET
    for process, when in ((ended.pid, old), (ended.pid, time.time()), (os.getpid(), old)):
        path = tmp_path / f".{when:.0f}.yaml.{process}.tmp"
        path.write_text("")
        os.utime(path, (when, when))
    other = tmp_path / ".x.tmp"
    other.write_text("")
    os.utime(other, (old, old))
    files.sweep_up(tmp_path)
    names = {path.name for path in tmp_path.iterdir()}
    assert f".{old:.0f}.yaml.{ended.pid}.tmp" not in names
    assert len(names) == 3


def test_what_a_killed_build_left_of_its_scratch_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of this folder's builds, and of no other's; without a place there is the system's folder."""
    system, here, there = (tmp_path / name for name in ("tmp", "here", "there"))
    for folder in (system, here, there):
        folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(system))
    killed, other = files.scratch(here), files.scratch(there)
    left, others = killed.__enter__(), other.__enter__()
    (left / "snakemakexyz").mkdir()
    (left / "snakemakexyz/script").touch()
    with files.scratch(here) as folder:
        assert folder.parent == system
        assert {*system.iterdir()} == {folder, others}
    assert {*system.iterdir()} == {others}
    monkeypatch.setattr(tempfile, "mkdtemp", lambda prefix: Path("/nowhere", prefix).mkdir())
    with files.scratch(here) as folder:
        assert folder == system


def test_a_home_that_can_be_written_to_keeps_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "yet/to/be/made"))
    assert cache_of_project(tmp_path) == {}
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("what", ["no home", "a file on the way", "a dead link", "read-only"])
def test_where_home_is_closed_the_cache_is_the_projects(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    home, project = tmp_path / "home", tmp_path / "project"
    monkeypatch.setenv("HOME", str(home))
    home.mkdir()
    if what == "no home":
        monkeypatch.setenv("HOME", "/dev/null/nobody")
    elif what == "a file on the way":
        (home / ".cache").mkdir()
        (home / ".cache/snakemake").touch()
    elif what == "a dead link":
        (home / ".cache").symlink_to(tmp_path / "scratch/cache")
    else:
        home.chmod(0o500)
        if os.access(home, os.W_OK):
            pytest.skip("root may write anywhere")
    if sys.platform == "darwin" and what in {"a file on the way", "a dead link"}:
        pytest.skip("caches lie elsewhere")
    for unset in (None, "", "relative/cache"):
        monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
        if unset is not None:
            monkeypatch.setenv("XDG_CACHE_HOME", unset)
        assert cache_of_project(project) == {"XDG_CACHE_HOME": str(project / ".run/cache")}
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "chosen"))
    assert cache_of_project(project) == {}
