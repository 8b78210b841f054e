"""What does not fit into memory lies on disk, and comes to the very same tables."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest

from isoflop import spikes
from isoflop.config.ingest import IngestSettings
from isoflop.ingest.reading import rows
from isoflop.ingest.reading.rows import Rows
from isoflop.ingest.store import laid_out, long_run
from isoflop.ingest.sweep import Ingested, ingest_sweep, read_sweep
from tests.ingest.samples import write

if TYPE_CHECKING:
    from collections.abc import Iterator

    from isoflop.ingest.runs.logical_runs import Run

SETTINGS = IngestSettings()
FIXTURES = sorted((Path(__file__).parents[1] / "fixtures").iterdir())
SIDECAR = """title: one long run
facts:
  params: {total: 1e6, nonembedding: 9e5}
  tokens_per_step: 1000
  schedule: {kind: constant}
"""
TABLES = ("files", "runs", "curves", "evals", "gates")


@pytest.fixture
def long(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Memory that takes 7 rows, and whether each run that is longer was laid out by stretches."""
    tried: list[bool] = []

    def told(run: Run, below: Path | None) -> long_run.Long | None:
        laid = long_run.lay_out_long(run, below)
        tried.append(laid is not None)
        return laid

    monkeypatch.setattr(rows, "LIMIT", 7)
    monkeypatch.setattr(long_run, "LIMIT", 7)
    monkeypatch.setattr(laid_out, "BATCH", 7)
    monkeypatch.setattr(laid_out, "lay_out_long", told)
    return tried


def same(one: Ingested, other: Ingested) -> None:
    for name in TABLES:
        a, b = getattr(one, name), getattr(other, name)
        assert a.equals(b), name
        assert a.schema == b.schema


@pytest.mark.parametrize("folder", FIXTURES, ids=lambda path: path.name)
def test_little_memory_changes_no_table(
    folder: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    plain = read_sweep(folder, SETTINGS)
    request.getfixturevalue("long")
    same(read_sweep(folder, SETTINGS, cache=tmp_path / "cache"), plain)
    same(read_sweep(folder, SETTINGS, cache=tmp_path / "cache"), plain)
    assert not [*(tmp_path / "cache").glob(".rows-*")], "what lay on disk is gone with its sweep"


def curve(steps: int, *, gives_tokens: bool) -> Iterator[dict[str, Any]]:
    """Records of a run with all that a long one may have, and nothing repeated."""
    rng = np.random.default_rng(3)
    for step in range(steps):
        loss: float | None = round(2.0 + 3.0 / (1 + step) ** 0.3 + rng.normal(0.0, 0.01), 4)
        if step == 171:
            loss = 9.0
        if step in (40, 80):
            loss = 0.0
        if step == 60:
            loss = math.nan
        given = gives_tokens and step % 5 == 0 and step < steps - 12
        yield {
            "step": step + (step > 100) * 13,
            "train_loss": loss,
            "eval_loss": 2.5 if step % 50 == 49 else None,
            "tokens": step * 900 + 7 * (step % 3) if given else None,
        }


@pytest.mark.parametrize("gives_tokens", [False, True])
def test_a_long_run_is_laid_out_by_stretches(
    tmp_path: Path, long: list[bool], monkeypatch: pytest.MonkeyPatch, *, gives_tokens: bool
) -> None:
    points = [*curve(300, gives_tokens=gives_tokens)]
    if not gives_tokens:
        points = [{k: v for k, v in point.items() if k != "tokens"} for point in points]
    text = "".join(json.dumps(point) + "\n" for point in points)
    folder = write(tmp_path / "s", {"a.jsonl": text}, sidecar=SIDECAR)
    some = read_sweep(folder, SETTINGS)
    assert long == [True]
    monkeypatch.undo()
    whole = read_sweep(folder, SETTINGS)
    assert not whole.points.on_disk
    assert some.points.on_disk
    same(some, whole)
    assert some.curves.height == 300
    assert {"spikes", "impossible_loss", "hole", "not_finite_inside"} <= {
        row["check"] for row in some.gates.iter_rows(named=True) if row["verdict"] == "warned"
    }


def test_a_long_run_that_was_restarted_is_laid_out_at_once(
    tmp_path: Path, long: list[bool]
) -> None:
    steps = [*range(20), *range(15, 40)]
    text = "".join(
        json.dumps({"step": s, "train_loss": 3.0 + 1 / (1 + n)}) + "\n" for n, s in enumerate(steps)
    )
    tables = ingest_sweep(write(tmp_path / "s", {"a.jsonl": text}, sidecar=SIDECAR), SETTINGS)
    assert not any(long)
    assert tables.curves.filter("superseded").height == 5


@pytest.mark.parametrize("count", [1, 2, 3, 10, 1001])
def test_the_median_of_what_does_not_fit_is_exact(count: int) -> None:
    rng = np.random.default_rng(count)
    for values in (
        rng.normal(0.0, 1e-3, count),
        np.round(rng.normal(0.0, 1.0, count), 1),
        np.zeros(count),
        rng.choice([-0.0, 0.0, -5e-324, 1e300], count),
    ):
        pieces = partial(iter, np.array_split(values, 3))
        for at_once in (1, 5, 10_000):
            assert spikes.median_of(pieces, count, at_once=at_once) == np.median(values)
        assert spikes.line_noise_of(pieces, count) == spikes.line_noise(values)


def test_a_full_disk_costs_memory_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(rows, "LIMIT", 3)
    monkeypatch.setattr(pl.DataFrame, "write_parquet", full)
    kept = Rows({"run": pl.String, "step": pl.Int64}, tmp_path)
    for start in range(0, 20, 2):
        kept.append(pl.DataFrame({"run": ["a", "a"], "step": [start, start + 1]}))
    assert not kept.on_disk
    assert kept.frame()["step"].to_list() == [*range(20)]


PEAK = """
import resource, sys
from pathlib import Path
from isoflop.config.ingest import IngestSettings
from isoflop.ingest.store import long_run
from isoflop.ingest.reading import rows
from isoflop.ingest.sweep import read_sweep
rows.LIMIT = long_run.LIMIT = 2**15
read = read_sweep(Path(sys.argv[1]), IngestSettings())
assert read.points.height == int(sys.argv[2]), read
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="counts the memory of a process as Linux does")
def test_memory_does_not_grow_with_a_log(tmp_path: Path) -> None:
    peaks = []
    for lines in (40_000, 160_000):
        text = "".join(f"iter {i}: loss {2 + 8 / (9 + i):.4f}, time 20.1ms\n" for i in range(lines))
        folder = write(tmp_path / str(lines), {"a.log": text}, sidecar=SIDECAR)
        done = subprocess.run(
            [sys.executable, "-c", PEAK, str(folder), str(lines)],
            check=True, capture_output=True, text=True,
        )  # fmt: skip
        peaks.append(int(done.stdout) / 1024)
    # a sweep held whole takes 0.7 KB a point: 84 MB for these 120,000
    assert peaks[1] - peaks[0] < 40, peaks
