"""An index, a file's records and a sweep's tables are kept: that changes speed, nothing else."""

from __future__ import annotations

import os
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from isoflop.config.ingest import IngestSettings
from isoflop.entries import read_entry, write_entry
from isoflop.ingest.reading import source
from isoflop.ingest.reading.source import RawFile
from isoflop.ingest.store import laid_out, stat_index, sweep_cache
from isoflop.ingest.store.cache import UnreadError, _InEntry, parse
from isoflop.ingest.store.sweep_cache import LARGE, TABLES
from isoflop.ingest.sweep import Ingested, ingest_sweep
from tests.ingest.samples import RECORD, jsonl, run_lines, write
from tests.tiers import times

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two runs; times are believed at once, where a real sweep waits two seconds."""
    monkeypatch.setattr(stat_index, "RACY", -1)
    return write(
        tmp_path / "s",
        {
            f"{name}.jsonl": jsonl(run_lines(name, steps=steps))
            for name, steps in (("a", 8), ("b", 9))
        },
    )


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the raw files whose bytes are looked at."""
    names: list[str] = []

    def told(path: Path, size: int | None = None) -> str:
        names.append(path.name)
        return digest(path, size)

    digest = source.digest
    monkeypatch.setattr(source, "digest", told)
    return names


def same(one: Ingested, other: Ingested) -> bool:
    return all(getattr(one, name).equals(getattr(other, name)) for name in (*TABLES, *LARGE))


def test_unchanged_files_are_not_opened(folder: Path, opened: list[str], tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    plain = ingest_sweep(folder, RECORD)
    opened.clear()
    first = ingest_sweep(folder, RECORD, cache=cache)
    assert (first.parsed, first.cached) == (2, 0)
    assert sorted(opened) == ["a.jsonl", "b.jsonl", "sweep.yaml"]
    opened.clear()
    for path in folder.iterdir():
        os.chmod(path, 0o600)  # noqa: PTH101  its state is new, and its bytes are looked at again
    second = ingest_sweep(folder, RECORD, cache=cache)
    assert (second.parsed, second.cached) == (0, 2)
    opened.clear()
    third = ingest_sweep(folder, RECORD, cache=cache)
    assert opened == []
    assert (third.parsed, third.cached) == (0, 2)
    assert all(same(plain, tables) for tables in (first, second, third))


def replaced(path: Path) -> None:
    """Another log of the same size and time, as `rsync -a` leaves it."""
    facts = path.stat()
    text = path.read_text().replace('"seed": 0', '"seed": 7')
    path.unlink()
    path.write_text(text)
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))


def rewritten(path: Path) -> None:
    """The same inode, size and time with other bytes."""
    facts = path.stat()
    with path.open("r+") as stream:
        text = stream.read().replace('"seed": 0', '"seed": 7')
        stream.seek(0)
        stream.write(text)
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))


@pytest.mark.parametrize("change", [replaced, rewritten])
def test_a_log_of_the_same_size_and_time_is_read_again(
    folder: Path, tmp_path: Path, change: Callable[[Path], None]
) -> None:
    before = ingest_sweep(folder, RECORD, cache=tmp_path / "cache")
    assert before.runs["seed"].to_list() == [0, 0]
    time.sleep(0.02)  # clocks of file systems tick
    change(folder / "a.jsonl")
    after = ingest_sweep(folder, RECORD, cache=tmp_path / "cache")
    assert after.runs["seed"].to_list() == [7, 0]
    assert (after.parsed, after.cached) == (1, 1)


def test_a_change_in_the_tick_of_a_look_is_seen(
    folder: Path, tmp_path: Path, opened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stat_index, "RACY", 10**12)
    ingest_sweep(folder, RECORD, cache=tmp_path / "cache")
    opened.clear()
    ingest_sweep(folder, RECORD, cache=tmp_path / "cache")
    assert set(opened) == {"a.jsonl", "b.jsonl", "sweep.yaml"}


def test_what_the_tables_depend_on_is_in_their_key(folder: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    ingest_sweep(folder, RECORD, cache=cache)
    (folder / "sweep.yaml").write_text("title: t\nexclude: [{match: a, reason: mine}]\n")
    assert ingest_sweep(folder, RECORD, cache=cache).runs["excluded"].to_list() == [True, False]
    strict = IngestSettings.model_validate({"gates": {"spikes": {"action": "off"}}})
    assert "spikes" not in set(ingest_sweep(folder, strict, cache=cache).gates["check"])
    (folder / "c.jsonl").write_text(jsonl(run_lines("c", steps=10)))
    added = ingest_sweep(folder, RECORD, cache=cache)
    assert (added.parsed, added.cached) == (1, 2)
    (folder / "c.jsonl").rename(folder / "d.jsonl")
    assert "d.jsonl" in ingest_sweep(folder, RECORD, cache=cache).files["path"].to_list()
    (folder / "d.jsonl").unlink()
    assert ingest_sweep(folder, RECORD, cache=cache).runs["run"].to_list() == ["a", "b"]
    assert ingest_sweep(folder, RECORD, sweep="t", cache=cache).runs["sweep"][0] == "t"


def test_other_code_reads_anew(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = ingest_sweep(folder, RECORD, cache=tmp_path)
    for module in (sweep_cache, stat_index):
        monkeypatch.setattr(module, "package_code", lambda: "another version")
    monkeypatch.setattr("isoflop.ingest.store.cache.LAYOUT", 99)
    again = ingest_sweep(folder, RECORD, cache=tmp_path)
    assert (again.parsed, again.cached) == (2, 0)
    assert same(plain, again)


@pytest.mark.parametrize("suffix", [".entry", ".sweep", ".index"])
def test_no_flipped_bit_is_believed(folder: Path, tmp_path: Path, suffix: str) -> None:
    cache = tmp_path / "cache"
    plain = ingest_sweep(folder, RECORD, cache=cache)
    path = min(cache.glob(f"*{suffix}"))
    content = path.read_bytes()
    for place in range(0, len(content), max(1, len(content) // times(12))):
        damaged = bytearray(content)
        damaged[place] ^= 1 << place % 8
        for other in cache.glob("*.sweep"):
            if suffix != ".sweep":
                other.unlink()
        path.write_bytes(damaged)
        again = ingest_sweep(folder, RECORD, cache=cache)
        assert same(plain, again)
        if suffix == ".entry":
            assert again.parsed == 1
    path.write_bytes(content[:-40])
    assert same(plain, ingest_sweep(folder, RECORD, cache=cache))


def test_runs_that_are_the_same_are_taken_from_the_last_reading(
    folder: Path, tmp_path: Path, laid_out_anew: list[str]
) -> None:
    cache = tmp_path / "cache"
    (folder / "nan.jsonl").write_text(
        jsonl([*run_lines("nan", steps=9)]).replace('"train_loss": 2', '"train_loss": NaN', 1)
    )
    sweeps: dict[str, tuple[Callable[[], object], list[str]]] = {
        "as it was": (lambda: None, ["a", "b", "nan"]),
        "one added": (lambda: (folder / "c.jsonl").write_text(jsonl(run_lines("c"))), ["c"]),
        "one longer": (
            lambda: (folder / "a.jsonl").write_text(jsonl(run_lines("a", steps=12))),
            ["a"],
        ),
        "one gone": ((folder / "b.jsonl").unlink, []),
        "a note in sweep.yaml": (
            lambda: (folder / "sweep.yaml").write_text("title: other\n"),
            [],
        ),
        "a fact in sweep.yaml": (
            lambda: (folder / "sweep.yaml").write_text(
                "title: t\nruns: [{match: c, params: {total: 12345}}]\n"
            ),
            ["c"],
        ),
    }
    for change, anew in sweeps.values():
        change()
        plain = ingest_sweep(folder, RECORD)
        laid_out_anew.clear()
        kept = ingest_sweep(folder, RECORD, cache=cache)
        assert sorted(laid_out_anew) == anew
        assert same(plain, kept)
        assert plain.left_out == kept.left_out


def test_runs_laid_out_in_batches_are_the_same(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, laid_out_anew: list[str]
) -> None:
    (folder / "c.jsonl").write_text(jsonl(run_lines("c", steps=7)))
    plain = ingest_sweep(folder, RECORD)
    calls = len(laid_out_anew)
    monkeypatch.setattr(laid_out, "BATCH", 1)
    for cache in (None, tmp_path / "cache"):
        assert same(plain, ingest_sweep(folder, RECORD, cache=cache))
    assert calls == len(laid_out_anew) // 3 == 3


def test_a_damaged_or_foreign_reading_of_runs_is_not_taken(
    folder: Path, tmp_path: Path, laid_out_anew: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    ingest_sweep(folder, RECORD, cache=cache)
    (kept,) = cache.glob("*.sweep")
    parts = read_entry(kept)
    assert parts is not None
    for name in ("curves", "evals", "laid out"):
        for content in (b"", b"[1]", b"PAR1"):
            write_entry(kept, {**parts, name: content, "key": b"another state"})
            laid_out_anew.clear()
            again = ingest_sweep(folder, RECORD, cache=cache)
            assert sorted(laid_out_anew) == ["a", "b"]
            assert same(again, ingest_sweep(folder, RECORD))
    write_entry(kept, {**parts, "key": b"another state"})
    monkeypatch.setattr(sweep_cache, "package_code", lambda: "another version")
    laid_out_anew.clear()
    ingest_sweep(folder, RECORD, cache=cache)
    assert sorted(laid_out_anew) == ["a", "b"]


@pytest.fixture
def emptied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Entries are deleted after they were read, and before their runs are laid out."""
    gone: list[Path] = []

    def told(*given: Any) -> laid_out.LaidOut:
        for path in (tmp_path / "cache").glob("*.entry"):
            path.unlink()
            gone.append(path)
        return plain(*given)

    plain = laid_out.lay_out
    monkeypatch.setattr("isoflop.ingest.sweep.lay_out", told)
    return gone


def test_a_cache_that_is_deleted_meanwhile_changes_no_table(
    folder: Path, tmp_path: Path, emptied: list[Path]
) -> None:
    plain = ingest_sweep(folder, RECORD)
    assert same(plain, ingest_sweep(folder, RECORD, cache=tmp_path / "cache"))
    assert len(emptied) == 2


def test_records_that_are_nowhere_any_more_are_told_of(folder: Path, tmp_path: Path) -> None:
    log = folder / "a.jsonl"
    anew = partial(parse, RawFile.at(log, folder), "isoflop_train", table=None, cache=None)
    kept = _InEntry(tmp_path / "none.entry", anew)
    assert kept().height
    for content in (jsonl(run_lines("other")), None):
        log.unlink() if content is None else log.write_text(content)
        with pytest.raises(UnreadError, match=r"none\.entry was deleted .* run again"):
            kept()


def test_a_sweep_that_cannot_go_on_is_not_kept(folder: Path, tmp_path: Path) -> None:
    stop = IngestSettings.model_validate({"on_unreadable": "stop"})
    (folder / "notes.txt").write_text("hello\n")
    for _ in range(2):
        with pytest.raises(Exception, match=r"notes\.txt"):
            ingest_sweep(folder, stop, cache=tmp_path / "cache")
    assert not list((tmp_path / "cache").glob("*.sweep"))


def test_an_entry_is_whole_or_none(tmp_path: Path) -> None:
    path = tmp_path / "x"
    parts = {"a": b"one", "b": b"", "c": bytes(range(256))}
    write_entry(path, parts)
    assert read_entry(path) == parts
    assert read_entry(tmp_path / "none") is None
    # another file's entry under this name, as a restored folder might have it
    assert read_entry(path.rename(tmp_path / "other")) is None
    write_entry(path, parts)
    content = path.read_bytes()
    for end in range(len(content)):
        path.write_bytes(content[:end])
        assert read_entry(path) is None
