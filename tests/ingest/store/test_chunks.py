"""A table in chunks is the same bytes whatever was there before, and one run more moves one."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from isoflop.config.ingest import IngestSettings
from isoflop.ingest.reading import rows
from isoflop.ingest.reading.rows import Rows
from isoflop.ingest.store import chunks, laid_out, long_run, stat_index
from isoflop.ingest.store.chunks import Chunked, Extent, chunked, extents, lengths_of
from isoflop.ingest.sweep import Ingested, read_sweep
from isoflop.tables import Evals, TableError, read_table, types_of
from tests.ingest.samples import write

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


SETTINGS = IngestSettings()
SIDECAR = """title: t
facts: {params: {total: 1e6}, tokens_per_step: 1000, schedule: {kind: constant}}
"""


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory takes 40 rows; times are believed at once."""
    for module in (rows, long_run):
        monkeypatch.setattr(module, "LIMIT", 40)
    monkeypatch.setattr(laid_out, "BATCH", 40)
    monkeypatch.setattr(stat_index, "RACY", -1)


def curve(run: str, steps: int, *, loss: float = 3.0) -> str:
    """A log: training losses, and some evaluations."""
    points: list[dict[str, Any]] = [
        {"step": step, "train_loss": loss + 1 / (step + len(run))} for step in range(steps)
    ]
    points += [{"step": step, "eval_loss": loss + 0.1} for step in range(1, steps, 3)]
    points.sort(key=lambda point: point["step"])
    return "".join(json.dumps(point) + "\n" for point in points)


def lengths(count: int, *, seed: int = 0) -> list[tuple[str, int]]:
    drawn = random.Random(seed)  # noqa: S311  no secret
    return [(f"r{run:05}", drawn.choice([0, 1, 3, 9, 30, 41, 200])) for run in range(count)]


def test_chunks_have_all_rows_in_order_and_are_no_larger_than_twice_the_limit() -> None:
    given = lengths(500)
    made = [*extents(given)]
    assert max(each.rows for each in made) <= 80
    assert sum(each.rows for each in made) == sum(length for _, length in given)
    met: list[tuple[str, int]] = []
    for each in made:
        if each.is_part:
            assert len(each.runs) == 1
            assert each.rows <= 40
        met += [pair for pair in each.runs if not each.start]
    assert met == [(run, length) for run, length in given if length]
    mean = sum(length for _, length in given if length <= 40) / sum(not e.is_part for e in made)
    assert mean > 10, "chunks of a few rows would make a table of many"


def test_one_run_more_changes_few_chunks() -> None:
    given = lengths(2000, seed=1)
    before = set(extents(given))
    changed = []
    for place in range(0, 2000, 97):
        more = sorted([*given, (f"r{place:05}x", 9)])
        after = set(extents(more))
        changed.append(len(after - before))
        assert set(extents(given)) == before
    assert max(changed) <= 12
    assert sum(changed) / len(changed) < 3


def steps_of(names: Sequence[str]) -> dict[str, int]:
    return {name: 5 + 7 * number % 31 + 90 * (number == 4) for number, name in enumerate(names)}


def written(tables: Ingested, folder: Path) -> list[bytes]:
    """The large tables as they are written."""
    folder.mkdir(exist_ok=True)
    paths = [folder / "curves.parquet", folder / "evals.parquet"]
    for table, path in zip((tables.points, tables.evaluations), paths, strict=True):
        table.write(path)
    return [path.read_bytes() for path in paths]


@pytest.mark.parametrize("seed", range(2))
def test_a_table_is_the_same_bytes_whatever_its_history(tmp_path: Path, seed: int) -> None:
    drawn = random.Random(seed)  # noqa: S311  no secret
    names = [f"r{number:02}" for number in range(24)]
    steps = steps_of(names)
    folder = write(tmp_path / "s", {}, sidecar=SIDECAR)
    present: set[str] = set()
    for _ in range(7):
        coming = drawn.sample(names, drawn.choice([1, 1, 2, 8]))
        for name in coming:
            if name in present and drawn.random() < 0.5:
                present.remove(name)
                (folder / f"{name}.jsonl").unlink()
            else:
                present.add(name)
                loss = 3.0 + drawn.random() * (name in present)
                (folder / f"{name}.jsonl").write_text(curve(name, steps[name], loss=loss))
        if not present:
            continue
        kept = read_sweep(folder, SETTINGS, cache=tmp_path / "cache")
        plain = read_sweep(folder, SETTINGS)
        expected = written(plain, tmp_path / "b")
        assert written(kept, tmp_path / "a") == expected
        again = read_sweep(folder, SETTINGS, cache=tmp_path / "cache")
        assert (again.parsed, again.cached) == (0, len(present))
        assert written(again, tmp_path / "c") == expected
        assert kept.curves.equals(plain.curves)
        assert read_table(tmp_path / "a" / "evals.parquet", Evals).equals(plain.evals)
        del kept, plain, again
        assert not [*(tmp_path / "cache").glob(".rows-*")]


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    """Runs of some chunks, one of which is longer than a chunk; read once."""
    names = [f"r{number:02}" for number in range(24)]
    # a shorter log that a longer one begins with would be a copy of it
    logs = {
        f"{name}.jsonl": curve(name, steps, loss=3.0 + number / 100)
        for number, (name, steps) in enumerate(steps_of(names).items())
    }
    folder = write(tmp_path / "s", logs, sidecar=SIDECAR)
    read_sweep(folder, SETTINGS, cache=tmp_path / "cache")
    return folder


def test_one_run_more_packs_no_chunk_but_its_own(
    sweep: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    before = {path.name: path.stat().st_ino for path in cache.glob("*.chunk")}
    assert len(before) > 10
    packed: list[Extent] = []
    plain = chunks._Maker.chunk

    def told(maker: Any, extent: Extent, frame: pl.DataFrame, key: str | None) -> chunks.Chunk:
        packed.append(extent)
        return plain(maker, extent, frame, key)

    monkeypatch.setattr(chunks._Maker, "chunk", told)
    (sweep / "r10x.jsonl").write_text(curve("r10x", 9))
    read_sweep(sweep, SETTINGS, cache=cache)
    # of curves and of evaluations
    assert 2 <= len(packed) <= 4
    assert all("r10x" in dict(extent.runs) or "r11" in dict(extent.runs) for extent in packed)
    after = {path.name: path.stat().st_ino for path in cache.glob("*.chunk")}
    assert len(after.keys() - before.keys()) == len(packed)
    assert all(after[name] == before[name] for name in after.keys() & before.keys())
    gone = before.keys() - after.keys()
    assert 0 < len(gone) <= 4, "chunks that nothing speaks of any more are deleted"


def test_no_flipped_bit_of_a_chunk_is_believed(
    sweep: Path, tmp_path: Path, laid_out_anew: list[str]
) -> None:
    cache = tmp_path / "cache"
    plain = written(read_sweep(sweep, SETTINGS), tmp_path / "plain")
    drawn = random.Random(5)  # noqa: S311  no secret
    for path in drawn.sample(sorted(cache.glob("*.chunk")), 4):
        content = bytearray(path.read_bytes())
        content[drawn.randrange(len(content))] ^= 1 << drawn.randrange(8)
        path.unlink()
        path.write_bytes(content)
        laid_out_anew.clear()
        again = read_sweep(sweep, SETTINGS, cache=cache)
        assert written(again, tmp_path / "again") == plain
        assert 0 < len(laid_out_anew) < 24, "the runs of other chunks are taken as they were"
        laid_out_anew.clear()
        mended = read_sweep(sweep, SETTINGS, cache=cache)
        assert written(mended, tmp_path / "mended") == plain
        assert laid_out_anew == []


def test_a_chunk_that_was_just_written_is_known_by_its_digest(
    sweep: Path, tmp_path: Path, laid_out_anew: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stat_index, "RACY", 10**12)
    (sweep / "r30.jsonl").write_text(curve("r30", 9))
    plain = written(read_sweep(sweep, SETTINGS, cache=tmp_path / "cache"), tmp_path / "plain")
    looked: list[Path] = []
    digest = chunks.digest

    def told(path: Path) -> str:
        looked.append(path)
        return digest(path)

    monkeypatch.setattr(chunks, "digest", told)
    laid_out_anew.clear()
    again = read_sweep(sweep, SETTINGS, cache=tmp_path / "cache")
    assert written(again, tmp_path / "again") == plain
    assert len(looked) == len([*(tmp_path / "cache").glob("*.chunk")])
    assert laid_out_anew == []


def test_a_full_disk_changes_no_byte(
    sweep: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = written(read_sweep(sweep, SETTINGS), tmp_path / "plain")

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("pathlib.Path.write_bytes", full)
        patched.setattr("os.link", full)
        patched.setattr("shutil.copy2", full)
        made = read_sweep(sweep, SETTINGS, cache=tmp_path / "other")
    assert written(made, tmp_path / "made") == plain


def evals(run: str, steps: Sequence[int]) -> pl.DataFrame:
    base = {
        "segment": 0, "eval_set": "val", "metric": "loss", "tokens": 1.0, "value": 3.0,
        "unit": "nat/token", "primary": True,
    }  # fmt: skip
    return pl.DataFrame(
        [{"run": run, "step": step, **base} for step in steps], schema=types_of(Evals)
    )


def of(steps: Sequence[int], *, tokens: float = 1.0) -> Chunked:
    """One long run as a table."""
    frame = evals("a", steps).with_columns(tokens=pl.lit(tokens))
    stored = Rows(types_of(Evals))
    stored.append(frame)
    return chunked(Evals, None, set(), anew=stored, lengths=lengths_of(frame), keys={}, below=None)


def test_a_table_in_chunks_is_checked(tmp_path: Path) -> None:
    of(range(100)).write(tmp_path / "evals.parquet")
    assert read_table(tmp_path / "evals.parquet", Evals)["step"].to_list() == [*range(100)]
    with pytest.raises(TableError, match="out of order"):
        of([*range(40), *range(39, 80)])
    with pytest.raises(TableError, match="evals: not a valid 'Evals' table"):
        of(range(100), tokens=float("nan"))
