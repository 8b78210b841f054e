"""Archives are streams of members, each a file with a fate; nothing is unpacked by name."""

from __future__ import annotations

import gzip
import io
import lzma
import tarfile
import zipfile
from typing import TYPE_CHECKING

import pytest

from isoflop.ingest.inspection import inspect
from isoflop.ingest.reading import members, source
from isoflop.ingest.reading.source import RawFile
from isoflop.ingest.sweep import ingest_sweep
from tests.ingest.samples import RECORD, jsonl, nanogpt, row, run_lines, write

if TYPE_CHECKING:
    from pathlib import Path

    from isoflop.ingest.sweep import Ingested

FILES = {
    "runs/a.jsonl": jsonl(run_lines("a")).encode(),
    "runs/b.log.gz": gzip.compress(nanogpt().encode()),
    "notes.txt": b"nothing in particular\n",
    ".DS_Store": b"\0\0",
    "__MACOSX/runs/._a.jsonl": b"\0",
}


def tar(files: dict[str, bytes], mode: str = "w") -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode=mode) as archive:  # type: ignore[call-overload]
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return target.getvalue()


def zipped(files: dict[str, bytes]) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return target.getvalue()


ARCHIVES = {
    "x.tar": tar(FILES), "x.tar.gz": tar(FILES, "w:gz"), "x.tgz": tar(FILES, "w:gz"),
    "x.tar.xz": tar(FILES, "w:xz"), "x.tar.bz2": tar(FILES, "w:bz2"), "x.zip": zipped(FILES),
}  # fmt: skip
B = "title: t\nruns: [{match: '*b.log*', schedule: {kind: constant}}]\n"


def fates(tables: Ingested) -> dict[str, str]:
    return dict(tables.files.select("path", "fate").iter_rows())


@pytest.mark.parametrize("name", ARCHIVES)
def test_each_member_is_a_file(name: str, tmp_path: Path) -> None:
    tables = ingest_sweep(write(tmp_path / "s", {name: ARCHIVES[name]}, B), RECORD)
    assert fates(tables) == {
        name: "used", f"{name}/runs/a.jsonl": "used", f"{name}/runs/b.log.gz": "used",
        f"{name}/notes.txt": "rejected", "sweep.yaml": "facts",
    }  # fmt: skip
    assert tables.runs["run"].to_list() == ["a", "x/runs/b"]
    logs = {path: content for path, content in FILES.items() if path.startswith("runs/")}
    plain = ingest_sweep(write(tmp_path / "p", dict(logs), B), RECORD)
    assert tables.curves.drop("run").equals(plain.curves.drop("run"))


def test_a_copy_beside_the_archive_is_one(tmp_path: Path) -> None:
    files = {"a.jsonl": FILES["runs/a.jsonl"], "x.tar": tar(FILES)}
    tables = ingest_sweep(write(tmp_path / "s", files, B), RECORD)
    assert row(tables.files, "path", "x.tar/runs/a.jsonl")["reason"] == "the same bytes as a.jsonl"


def test_the_cache_knows_members(tmp_path: Path) -> None:
    folder = write(tmp_path / "s", {"x.tar.gz": ARCHIVES["x.tar.gz"]}, B)
    first = ingest_sweep(folder, RECORD, cache=tmp_path / "c")
    again = ingest_sweep(folder, RECORD, cache=tmp_path / "c")
    assert (first.parsed, again.parsed, again.cached) == (2, 0, 2)
    assert again.curves.equals(first.curves)


def test_links_and_paths_out_of_an_archive_lead_nowhere(tmp_path: Path) -> None:
    secret = write(tmp_path, {"secret.jsonl": FILES["runs/a.jsonl"]}, None) / "secret.jsonl"
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as archive:
        for kind, name in ((tarfile.SYMTYPE, "soft"), (tarfile.LNKTYPE, "hard")):
            link = tarfile.TarInfo(name)
            link.type, link.linkname = kind, str(secret)
            archive.addfile(link)
        info = tarfile.TarInfo("../../../evil.jsonl")
        info.size = len(FILES["runs/a.jsonl"])
        archive.addfile(info, io.BytesIO(FILES["runs/a.jsonl"]))
        archive.addfile(tarfile.TarInfo("dev/null"))
    tables = ingest_sweep(write(tmp_path / "s", {"x.tar": target.getvalue()}), RECORD)
    assert row(tables.files, "path", "x.tar/soft")["reason"] == members.LINK
    assert row(tables.files, "path", "x.tar/hard")["reason"] == members.LINK
    assert row(tables.files, "path", "x.tar/evil.jsonl")["fate"] == "used"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["s", "secret.jsonl"]


def test_a_link_in_a_zip_is_not_followed(tmp_path: Path) -> None:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        link = zipfile.ZipInfo("soft")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
        archive.writestr("a.jsonl", FILES["runs/a.jsonl"])
    tables = ingest_sweep(write(tmp_path / "s", {"x.zip": target.getvalue()}), RECORD)
    assert row(tables.files, "path", "x.zip/soft")["reason"] == members.LINK
    assert "passwd" not in str(tables.files.rows())


@pytest.mark.parametrize("name", ["x.tar.gz", "x.zip", "x.tar.xz"])
def test_a_bomb_is_not_read_on(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(members, "FREE", 1 << 20)
    files = {"a.jsonl": FILES["runs/a.jsonl"], "zeros.log": bytes(30 << 20)}
    packed = {
        "x.tar.gz": tar(files, "w:gz"),
        "x.zip": zipped(files),
        "x.tar.xz": tar(files, "w:xz"),
    }
    tables = ingest_sweep(write(tmp_path / "s", {name: packed[name]}), RECORD)
    assert members.BOMB in row(tables.files, "path", name)["reason"]
    assert row(tables.files, "path", f"{name}/a.jsonl")["fate"] == "used"


@pytest.mark.parametrize("name", ARCHIVES)
def test_a_cut_archive_keeps_what_is_whole(name: str, tmp_path: Path) -> None:
    content = ARCHIVES[name]
    for share in (0.2, 0.5, 0.9, 0.99):
        folder = tmp_path / f"{share}"
        write(
            folder, {name: content[: int(share * len(content))], "o.jsonl": jsonl(run_lines("o"))}
        )
        tables = ingest_sweep(folder, RECORD)
        assert "o" in tables.runs["run"]
        assert fates(tables)[name] in {"used", "rejected"}


def test_an_archive_in_an_archive_is_named(tmp_path: Path) -> None:
    files = {"a.jsonl": FILES["runs/a.jsonl"], "y.tar": tar(FILES)}
    tables = ingest_sweep(write(tmp_path / "s", {"x.zip": zipped(files)}), RECORD)
    assert "archive within an archive" in row(tables.files, "path", "x.zip/y.tar")["reason"]


def test_a_checkpoint_is_named(tmp_path: Path) -> None:
    files = {"model.pt": zipped({"model/data.pkl": b"\x80\x02}q", "model/data/0": b"\0" * 10})}
    tables = ingest_sweep(
        write(tmp_path / "s", {**files, "a.jsonl": FILES["runs/a.jsonl"]}), RECORD
    )
    assert members.CHECKPOINT in row(tables.files, "path", "model.pt")["reason"]


@pytest.mark.parametrize(
    "inside",
    [
        ("[Content_Types].xml", "xl/workbook.xml", "xl/worksheets/sheet1.xml"),
        ("mimetype", "content.xml"),
    ],
)
def test_a_workbook_is_named_with_the_way_out(tmp_path: Path, inside: tuple[str, ...]) -> None:
    book = zipped(dict.fromkeys(inside, b"<?xml version='1.0'?>"))
    files = {"runs.xlsx": book, "a.jsonl": FILES["runs/a.jsonl"]}
    tables = ingest_sweep(write(tmp_path / "s", files), RECORD)
    assert row(tables.files, "path", "runs.xlsx")["reason"].startswith(members.SHEETS)
    assert not tables.files["path"].str.contains("xml").any()


def test_members_of_one_name_are_two_files(tmp_path: Path) -> None:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as archive:
        for run in ("a", "b"):
            info, content = tarfile.TarInfo("log"), jsonl(run_lines(run)).encode()
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    tables = ingest_sweep(write(tmp_path / "s", {"x.tar": target.getvalue()}), RECORD)
    assert tables.runs["run"].to_list() == ["a", "b"]
    assert {"x.tar/log", "x.tar/log (2)"} <= set(tables.files["path"])


def test_inspect_looks_into_an_archive(tmp_path: Path) -> None:
    (tmp_path / "x.tar.gz").write_bytes(ARCHIVES["x.tar.gz"])
    found = inspect(tmp_path / "x.tar.gz").as_json()
    assert [run["run"] for run in found["runs"]] == ["a", "x/runs/b"]


def test_xz_asks_for_bounded_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "log.xz"
    path.write_bytes(lzma.compress(b"line\n" * 1000) + lzma.compress(b"more\n"))
    file = RawFile.at(path, tmp_path)
    assert file.content() == b"line\n" * 1000 + b"more\n"
    monkeypatch.setattr(source, "XZ_MEMORY", 1 << 10)
    assert file.content() == b""
