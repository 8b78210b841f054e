"""What W&B itself wrote offline (version 0.31) is read as it was logged."""

from __future__ import annotations

import math
import zlib
from typing import TYPE_CHECKING

import polars as pl
import pytest

from isoflop.ingest.formats import scan, wandb
from isoflop.ingest.reading.parsed import gather
from isoflop.ingest.reading.patterns import recognise
from isoflop.ingest.reading.source import RawFile
from isoflop.ingest.sweep import ingest_sweep
from tests.ingest.samples import RECORD, row, write
from tests.ingest.test_formats import FIXTURES

if TYPE_CHECKING:
    from pathlib import Path

    from isoflop.ingest.reading.parsed import Parsed

MADE = sorted((FIXTURES / "wandb").rglob("*.wandb"))
KILLED, RESUMED, OTHER = MADE


def parsed(content: bytes, folder: Path) -> Parsed:
    (folder / "run.wandb").write_bytes(content)
    return gather(scan("wandb", RawFile.at(folder / "run.wandb", folder)))


def sweep(folder: Path, sidecar: str = "title: t\n") -> Path:
    files = {f"{path.parent.name}/{path.name}": path.read_bytes() for path in MADE}
    return write(folder, files, sidecar)


def test_every_call_of_log_is_a_row(tmp_path: Path) -> None:
    records = parsed(OTHER.read_bytes(), tmp_path).records
    train = records.filter(pl.col("kind") == "train")
    assert train["step"].to_list() == list(range(41))
    losses = [round(1.5 + 4 / math.sqrt(1 + step), 4) for step in range(41)]
    losses[7] = math.nan
    assert repr(train["train_loss"].to_list()) == repr(losses)
    evals = records.filter(pl.col("kind") == "eval")
    logged = [round(1.6 + 4 / math.sqrt(1 + step), 4) for step in (0, 10, 20, 30, 40)]
    assert evals["value"].to_list() == logged


def test_a_killed_run_and_its_resumption_are_one_and_the_later_supersedes(tmp_path: Path) -> None:
    tables = ingest_sweep(sweep(tmp_path / "s"), RECORD)
    assert tables.runs["run"].to_list() == ["offline (abc123)", "offline (def456)"]
    run = row(tables.runs, "run", "offline (abc123)")
    assert (run["params_total"], run["tokens"], run["status"]) == (8288, 40 * 1024, "finished")
    assert (run["layers"], run["lr_peak"], run["seed"]) == (2, 1e-3, 7)
    curve = tables.curves.filter(pl.col("run") == "offline (abc123)")
    assert curve.filter("superseded")["step"].to_list() == list(range(21, 31))
    assert curve.filter(~pl.col("superseded"))["step"].to_list() == list(range(41))


def test_one_id_with_two_rates_is_left_out_with_both_ways_out(tmp_path: Path) -> None:
    folder = sweep(tmp_path / "s")
    records, _ = wandb._records(RESUMED.read_bytes())
    other = [record.replace(b"0.001", b"0.002") for record in records]
    (folder / RESUMED.parent.name / RESUMED.name).write_bytes(long_log(other))
    run = row(ingest_sweep(folder, RECORD).runs, "run", "offline (abc123)")
    assert run["reason"].startswith("its logs disagree on schedule.lr_peak (0.001 and 0.002)")
    assert "'run:' in sweep.yaml" in run["reason"]


def test_what_lies_beside_the_log_is_named_and_not_read_as_a_run(tmp_path: Path) -> None:
    folder = sweep(tmp_path / "s")
    beside = {
        f"{OTHER.parent.name}/files/output.log": "iter 10: loss 2.0, time 20.00ms\n",
        f"{OTHER.parent.name}/logs/debug.log": "connected\n",
        "wandb/debug-internal.log": '{"time": 1, "level": "INFO"}\n',
    }
    write(folder, dict(beside))
    tables = ingest_sweep(folder, RECORD)
    assert tables.runs.height == 2
    for path in beside:
        assert row(tables.files, "path", path)["fate"] == "ignored"


def test_a_run_that_died_says_so(tmp_path: Path) -> None:
    assert [run.status for run in parsed(KILLED.read_bytes(), tmp_path).runs] == ["crashed"]
    assert [run.status for run in parsed(RESUMED.read_bytes(), tmp_path).runs] == [None]


def test_a_cut_file_ends_at_its_last_record(tmp_path: Path) -> None:
    whole = parsed(OTHER.read_bytes(), tmp_path)
    cut = parsed(OTHER.read_bytes()[:9000], tmp_path)
    assert cut.truncated
    assert not whole.truncated
    assert 10 < cut.records.height < whole.records.height
    assert cut.records.equals(whole.records[: cut.records.height])


def test_a_damaged_record_is_counted_and_costs_its_block(tmp_path: Path) -> None:
    content = bytearray(OTHER.read_bytes())
    content[9000] ^= 1
    damaged = parsed(bytes(content), tmp_path)
    assert damaged.lines_unread == 1
    assert damaged.records.height > 10


def long_log(records: list[bytes]) -> bytes:
    """Frame records as W&B does, over any number of blocks."""
    content = bytearray(b":W&B\xe1\xbe\x00")
    for record in records:
        left, first = record, True
        while True:
            room = 32768 - len(content) % 32768
            if room < 7:
                content += bytes(room)
                continue
            piece, left = left[: room - 7], left[room - 7 :]
            kind = (1 if first else 4) if not left else (2 if first else 3)
            checksum = zlib.crc32(piece, zlib.crc32(bytes([kind])))
            content += checksum.to_bytes(4, "little") + len(piece).to_bytes(2, "little")
            content += bytes([kind]) + piece
            first = False
            if not left:
                break
    return bytes(content)


@pytest.mark.parametrize("size", [1, 32_700, 32_747, 32_748, 32_754, 32_755, 70_000])
def test_records_go_on_over_blocks(size: int) -> None:
    records = [b"a" * size, b"b" * 5, b"c" * 40_000, b"d"]
    assert wandb._records(long_log(records)) == (records, [])


def test_own_framing_is_that_of_the_library() -> None:
    content = OTHER.read_bytes()
    records, _ = wandb._records(content)
    assert long_log(records)[7:] == content[7:]


def test_the_magic_is_that_of_the_library() -> None:
    assert recognise(OTHER.read_bytes()).format == "wandb"
    assert recognise(b":W&B\xbe\xe1" + bytes(100)).format != "wandb"


def test_nothing_private_is_read(tmp_path: Path) -> None:
    told = repr(parsed(OTHER.read_bytes(), tmp_path))
    for word in ("host", "train.py", "linux", "0.31.0"):
        assert word not in told
