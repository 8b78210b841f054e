"""No file stops a sweep: whatever is beside a good log, the good log is read."""

from __future__ import annotations

import hashlib
import json
import time
from typing import TYPE_CHECKING

import pytest

from isoflop import entries
from isoflop.config.sidecar import SweepFile
from isoflop.ingest.formats import isoflop_train
from isoflop.ingest.reading.patterns import recognise
from isoflop.ingest.sweep import ingest_sweep
from tests.ingest.samples import RECORD, header, ingest, jsonl, nanogpt, row, run_lines, train_line

if TYPE_CHECKING:
    from pathlib import Path

HOSTILE = {
    "glued": nanogpt() + "iter 20: loss 2.0, time 1.2.3ms\niter 30: loss 2.0, time ...ms\n",
    "vocabulary": "found vocab_size = ,\n" + nanogpt(),
    "long-vocabulary": f"found vocab_size = {'9' * 5000}\n" + nanogpt(),
    "terms": f"n_layer = {'+'.join('1' * 5000)}\n" + nanogpt(),
    "signs": f"n_layer = {'-' * 20000}1\n" + nanogpt(),
    "unhashable": "n_layer = {[]:1}\n" + nanogpt(),
    "huge-rate": f"learning_rate = {10**400}\n" + nanogpt(),
    "huge-loss": jsonl([*run_lines("x"), train_line(50)]).replace("0.005", str(10**400)),
    "huge-step": jsonl([*run_lines("x"), {**train_line(50), "step": 10**400}]),
    "huge-seed": jsonl([header("x", steps=9, seed=10**30), train_line(9)]),
    "huge-layers": jsonl([header("x", steps=9), train_line(9)]).replace(
        '"layers": 2', f'"layers": {10**30}'
    ),
    "infinite-N": jsonl([header("x", steps=9, params={"total": float("inf")}), train_line(9)]),
    "surrogate": jsonl([header("\ud800", steps=9), train_line(9)]),
    "surrogate-key": jsonl([*run_lines("x"), {**train_line(60), "\ud800": 1.0}]),
    "deep": "[" * 200_000 + "\n",
    "wide": ",".join(f"c{n}" for n in range(4000)) + "\n" + ",".join(["x"] * 4000) + "\n",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_beside_a_good_log(tmp_path: Path, name: str) -> None:
    content = HOSTILE[name].encode("utf-8", errors="surrogatepass")
    tables = ingest(tmp_path / "s", {"good.jsonl": jsonl(run_lines("good")), "bad": content})
    assert not row(tables.runs, "run", "good")["excluded"]
    assert row(tables.files, "path", "good.jsonl")["fate"] == "used"
    assert row(tables.files, "path", "bad")["fate"] in {"used", "rejected"}


def test_what_a_reader_raises_is_its_file_s_fate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(record: dict[str, object], run: str) -> object:
        if run == "bad" and record["step"] == 20:
            raise ZeroDivisionError("division by\nzero")
        return events(record, run)

    events = isoflop_train._events
    monkeypatch.setattr(isoflop_train, "_events", broken)
    files: dict[str, str | bytes] = {f"{n}.jsonl": jsonl(run_lines(n)) for n in ("bad", "good")}
    tables = ingest(tmp_path / "s", files, cache=tmp_path / "cache")
    reason = row(tables.files, "path", "bad.jsonl")["reason"]
    assert reason.startswith("could not be read: ZeroDivisionError: division by zero (")
    assert reason.endswith(", at line 15")
    assert tables.runs["run"].to_list() == ["good"]
    # a fault of ours is not remembered: the next version may read the file
    monkeypatch.setattr(isoflop_train, "_events", events)
    again = ingest_sweep(tmp_path / "s", RECORD, cache=tmp_path / "cache")
    assert again.runs["run"].to_list() == ["bad", "good"]


def test_columns_of_any_name(tmp_path: Path) -> None:
    text = "row in the file,__row__,N,D,L\n7,8,1e6,1e9,3\n"
    sidecar = "title: t\ntable: {rows: runs, columns: {params.total: N, tokens: D, eval_loss: L}}\n"
    tables = ingest(tmp_path / "s", {"t.csv": text}, sidecar)
    assert tables.runs["run"].to_list() == ["t-0001"]


@pytest.mark.parametrize(
    "text",
    [
        "/" * 256_000,
        "[" + "1.5e3," * 40_000,
        "a/" * 100_000,
        ",".join(["word"] * 30_000) + "\n" * 2,
    ],
    ids=["slashes", "array", "paths", "cells"],
)
def test_recognition_is_linear(text: str) -> None:
    begun = time.process_time()
    assert recognise(text.encode()).format in {None, "table"}
    assert time.process_time() - begun < 2.0  # it took minutes: cubic in the slashes


# -- the cache is not believed ---------------------------------------------------------------------


def test_no_flipped_bit_of_an_entry_is_believed(tmp_path: Path) -> None:
    folder, cache = tmp_path / "s", tmp_path / "cache"
    plain = ingest(folder, {"a.jsonl": jsonl(run_lines("a", steps=8))}, cache=cache)
    (entry,) = cache.glob("*.entry")
    (whole,) = cache.glob("*.sweep")
    content = entry.read_bytes()
    for place in range(0, len(content), max(1, len(content) // 40)):
        damaged = bytearray(content)
        damaged[place] ^= 1 << place % 8
        entry.write_bytes(damaged)
        whole.unlink(missing_ok=True)
        again = ingest_sweep(folder, RECORD, cache=cache)
        assert (again.parsed, again.cached) == (1, 0)
        assert again.curves.equals(plain.curves)


def test_a_cache_that_cannot_be_written_costs_speed_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(entry: Path) -> None:
        raise OSError(28, "No space left on device", str(entry))

    monkeypatch.setattr(entries, "replacing", full)
    files: dict[str, str | bytes] = {"a.jsonl": jsonl(run_lines("a"))}
    assert ingest(tmp_path / "s", files, cache=tmp_path / "cache").runs.height == 1


def test_a_log_that_grows_while_it_is_read_is_what_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def growing(record: dict[str, object], run: str) -> object:
        with (folder / "a.jsonl").open("a") as log:
            log.write(json.dumps(train_line(100, 1.0)) + "\n")
        return events(record, run)

    folder = tmp_path / "s"
    text = jsonl(run_lines("a"))
    events = isoflop_train._events
    monkeypatch.setattr(isoflop_train, "_events", growing)
    tables = ingest(folder, {"a.jsonl": text}, cache=tmp_path / "cache")
    file = row(tables.files, "path", "a.jsonl")
    assert (file["bytes"], file["reason"]) == (len(text), None)
    assert file["digest"] == hashlib.sha256(text.encode()).hexdigest()
    assert tables.curves["step"].max() == 40
    # what was appended is read at the next look
    monkeypatch.setattr(isoflop_train, "_events", events)
    assert ingest_sweep(folder, RECORD, cache=tmp_path / "cache").curves["step"].max() == 100


def test_a_log_written_to_while_it_is_read_is_not_cached(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, cache = tmp_path / "s", tmp_path / "cache"

    def growing(record: dict[str, object], run: str) -> object:
        with (folder / "a.jsonl").open("r+") as log:
            log.write(" ")
        return events(record, run)

    events = isoflop_train._events
    monkeypatch.setattr(isoflop_train, "_events", growing)
    tables = ingest(folder, {"a.jsonl": jsonl(run_lines("a"))}, cache=cache)
    assert "written to while it was read" in row(tables.files, "path", "a.jsonl")["reason"]
    assert not [path for path in cache.glob("*") if path.suffix != ".index"]


@pytest.mark.parametrize("budget", [0, -1, float("inf")])
def test_a_budget_is_above_zero(budget: float) -> None:
    with pytest.raises(ValueError, match="budgets"):
        SweepFile.model_validate({"title": "t", "budgets": {"values": [budget]}})
