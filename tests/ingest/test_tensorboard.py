from __future__ import annotations

import random
import struct
import time
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest

from isoflop.errors import IsoflopError
from isoflop.ingest.formats import scan, tensorboard
from isoflop.ingest.inspection import inspect
from isoflop.ingest.reading.parsed import gather
from isoflop.ingest.reading.protobuf import floats
from isoflop.ingest.reading.source import RawFile
from isoflop.ingest.sweep import read_sweep
from tests.ingest.samples import RECORD, ingest, row, write
from tests.ingest.test_formats import FIXTURES
from tests.ingest.test_genuine_logs import LOGS, needs_logs

if TYPE_CHECKING:
    from pathlib import Path

    from isoflop.ingest.reading.parsed import Parsed

MADE = sorted((FIXTURES / "tensorboard").rglob("*tfevents*"))


def parsed(content: bytes, folder: Path) -> Parsed:
    (folder / "log").write_bytes(content)
    return gather(scan("tensorboard", RawFile.at(folder / "log", folder)))


def scalars(path: Path) -> pl.DataFrame:
    content = path.read_bytes()
    places, _ = tensorboard._places(content)
    return tensorboard._values(np.frombuffer(content + bytes(16), np.uint8), places)[0]


def test_files_of_a_folder_are_one_run_and_the_later_supersedes(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    for path in MADE[:2]:
        target = folder / "big" / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    sidecar = "title: t\nfacts: {params: {total: 1e5}, tokens_per_step: 1024}\n"
    (folder / "sweep.yaml").write_text(sidecar)
    tables = read_sweep(folder, RECORD)
    run = row(tables.runs, "run", "big")
    assert (run["status"], run["tokens"]) == ("finished", 20 * 1024)
    # what the HF Trainer wrote of its arguments and its model
    shape = {
        name: run[name] for name in ("layers", "d_model", "heads", "d_ff", "vocab_size", "tied")
    }
    assert list(shape.values()) == [2, 64, 2, 256, 512, True]
    assert (run["schedule_kind"], run["lr_peak"], run["seed"]) == ("cosine", 3e-4, 7)
    live = tables.curves.filter(~pl.col("superseded"))
    assert live["step"].to_list() == list(range(2, 21, 2))
    assert tables.curves.filter("superseded")["step"].to_list() == [12, 14]
    assert live["lr"].null_count() == 0


@pytest.mark.parametrize("path", MADE, ids=lambda path: path.name[-9:])
def test_a_file_cut_anywhere_gives_its_whole_records(path: Path, tmp_path: Path) -> None:
    content = path.read_bytes()
    whole = parsed(content, tmp_path)
    heights = []
    # a prime, so that over many records each of their bytes is an end
    for end in range(40, len(content), 13):
        cut = parsed(content[:end], tmp_path)
        heights.append(cut.records.height)
        keys = ["kind", "step"]
        assert cut.records.select(keys).rows() == whole.records.select(keys).rows()[: heights[-1]]
    assert heights == sorted(heights)
    assert not whole.truncated


def test_no_bytes_raise_or_take_long(tmp_path: Path) -> None:
    chosen = random.Random(3)  # noqa: S311  mutants, no secrets
    begun = time.process_time()
    for path in MADE:
        content = path.read_bytes()
        for _ in range(60):
            mutant = bytearray(content)
            for _ in range(chosen.randrange(1, 9)):
                mutant[chosen.randrange(len(mutant))] = chosen.randrange(256)
            parsed(bytes(mutant), tmp_path)
    # a message of a million fields
    many = b"\x10\x01" * 1_000_000
    record = len(many).to_bytes(8, "little") + bytes(4) + many + bytes(4)
    assert parsed(MADE[0].read_bytes() + record, tmp_path).records.height
    assert time.process_time() - begun < 60.0


def test_a_folder_without_a_known_loss_says_what_tags_there_are(tmp_path: Path) -> None:
    content = MADE[1].read_bytes().replace(b"train/loss", b"train/lost").replace(b"eval", b"evil")
    (remark,) = parsed(content.replace(b"learning_rate", b"learning_fate"), tmp_path).remarks
    assert remark.startswith("it has no tag that is known as a loss, but: train/lost, train/lear")


@pytest.mark.parametrize("path", MADE, ids=lambda path: path.name[-9:])
def test_every_scalar_is_what_the_library_reads(path: Path) -> None:
    library = pytest.importorskip("tensorboard", reason="compared where TensorBoard is installed")
    assert library
    from tensorboard.backend.event_processing.event_file_loader import (  # type: ignore[import-not-found]
        LegacyEventFileLoader,
    )
    from tensorboard.util import tensor_util  # type: ignore[import-not-found]

    expected = []
    for event in LegacyEventFileLoader(str(path)).Load():
        for value in event.summary.value:
            if value.WhichOneof("value") == "simple_value":
                expected.append((event.step, value.tag, value.simple_value, event.wall_time))
            elif value.tensor.dtype in {1, 2}:
                number = float(tensor_util.make_ndarray(value.tensor))
                expected.append((event.step, value.tag, number, event.wall_time))
    assert scalars(path).rows() == expected


@needs_logs
def test_genuine_t5_files(tmp_path: Path) -> None:
    """Their losses are negative, log-likelihoods of a kind: read, and left out with that reason."""
    folder = tmp_path / "t5"
    for name in ("t5_pile_base", "t5_pile_large"):
        for path in sorted((LOGS / "tensorboard" / name).iterdir()):
            target = folder / name / path.name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    sidecar = (
        "title: t\nfacts: {params: {total: 2e8}, tokens_per_step: 1e6, schedule: {kind: unknown}}\n"
    )
    (folder / "sweep.yaml").write_text(sidecar)
    tables = read_sweep(folder, RECORD)
    assert tables.runs["run"].to_list() == ["t5_pile_base", "t5_pile_large"]
    assert tables.runs["tokens"].to_list() == [2e12, 1e12]
    assert all("which no cross-entropy is" in reason for reason in tables.runs["reason"])
    assert tables.files.filter(fate="used").height == 5


def test_a_nan_that_signals_is_a_nan_and_no_warning() -> None:
    content = np.frombuffer(b"\x00\x00\x81\x7f", np.uint8)
    assert np.isnan(floats(content, np.array([0]), "<f4")).all()


@pytest.mark.parametrize("tag", ["train/tokens", "tokens", "n_tokens_seen"])
@pytest.mark.parametrize("stages", [1, 3])
def test_a_tag_of_the_tokens_of_a_step_is_no_d(tmp_path: Path, tag: str, stages: int) -> None:
    """A constant 131,072 had been D of all runs."""

    def of_step(step: int) -> float:
        return float(32_768 << min(stages - 1, step // 40))

    steps = range(1, 101)
    content = event_file({step: 4 - step / 64 for step in steps}, b"train/loss")
    content += event_file({step: of_step(step) for step in steps}, tag.encode())
    seen = parsed(content, tmp_path)
    assert seen.records["tokens"].null_count() == seen.records.height
    assert f"tag '{tag}' is no D" in seen.remarks[0]
    rising = event_file({step: 32_768.0 * step for step in steps}, b"total_tokens")
    assert parsed(content + rising, tmp_path).records["tokens"].to_list()[-1] == 3_276_800


def event_file(losses: dict[int, float], tag: bytes = b"loss") -> bytes:
    """Write scalars as TensorBoard does, with empty checksums."""

    def field(number: int, content: bytes) -> bytes:
        return bytes([number << 3 | 2, len(content)]) + content

    events = [b"\x09" + struct.pack("<d", 1.7e9) + field(3, b"brain.Event:2")]
    for step, loss in losses.items():
        value = field(1, tag) + b"\x15" + struct.pack("<f", loss)
        event = b"\x09" + struct.pack("<d", 1.7e9 + step) + bytes([0x10, step])
        events.append(event + field(5, field(1, value)))
    return b"".join(struct.pack("<QI", len(event), 0) + event + bytes(4) for event in events)


def test_samples_so_far_are_read(tmp_path: Path) -> None:
    """NeMo counts its updates from 0, and its sequences."""
    steps = range(9, 120, 10)
    losses = event_file({s: 8 - s / 100 for s in steps}, b"reduced_train_loss")
    samples = event_file({s: float((s + 1) * 128) for s in steps}, b"consumed_samples")
    records = parsed(losses + samples, tmp_path).records
    assert records["samples"].to_list() == [(s + 1) * 128 for s in steps]
    assert records["train_loss"].null_count() == 0


def test_a_file_whose_losses_have_no_known_tag_names_its_tags(tmp_path: Path) -> None:
    content = event_file(dict.fromkeys(range(5), 3.0), b"epoch_loss")
    tables = inspect(write(tmp_path / "s", {"a/events.out.tfevents.1.h": content}))
    told = tables.as_json()["files"]
    assert any(
        str(file["reason"]).startswith("no records; it has no tag that is known as a loss, but: ep")
        for file in told
    )


@pytest.mark.parametrize("names", [("train", "validation"), ("loss_train", "loss_val")])
def test_folders_of_splits_are_one_run(tmp_path: Path, names: tuple[str, str]) -> None:
    curves = {step: 4 - step / 64 for step in range(10, 101, 10)}, {50: 3.75, 100: 2.75}
    for name, losses in zip(names, curves, strict=True):
        folder = tmp_path / "r" / name
        folder.mkdir(parents=True)
        (folder / "events.out.tfevents.1700000000.host.1.0").write_bytes(event_file(losses))
    (tmp_path / "sweep.yaml").write_text(
        "title: t\nfacts: {params: {total: 1e5}, tokens_per_step: 8, schedule: {kind: constant}}\n"
    )
    tables = read_sweep(tmp_path, RECORD)
    assert tables.runs["run"].to_list() == ["r"]
    live = tables.curves.filter(~pl.col("superseded"))
    assert live["train_loss"].drop_nulls().to_list() == list(curves[0].values())
    assert live["eval_loss"].drop_nulls().to_list() == [3.75, 2.75]
    ignored = tables.files.filter(fate="ignored")
    assert "its losses are those on 'validation'" in ignored["reason"][0]


def exported(height: float, every: int = 50) -> str:
    """A tag as TensorBoard's pages export it."""
    rows = [f"{1.7e9 + s},{s},{height - s / 1000}\n" for s in range(every, 1050, every)]
    return f"Wall time,Step,Value\n{''.join(rows)}"


RULES = (
    "title: t\nfacts: {schedule: {kind: constant}, tokens_per_step: 512, params: {total: 1e6}}\n"
)
PAGES = {
    "in full": ("run-N0-tag-train_loss.csv", "run-N0-tag-val_loss.csv"),
    "run and tag": ("N0_train_loss.csv", "N0_val_loss.csv"),
    "slashes": ("N0-train_loss.csv", "N0-eval_loss.csv"),
    "a folder a run": ("N0/train_loss.csv", "N0/val_loss.csv"),
    "a folder a split": ("run-N0_train-tag-loss.csv", "run-N0_validation-tag-loss.csv"),
    "by words": ("run-N0-tag-final_loss_smoothed.csv", "run-N0-tag-test_loss.csv"),
    "called as a split": ("run-N0_dev-tag-train_loss.csv", "run-N0_dev-tag-val_loss.csv"),
}


@pytest.mark.parametrize(("trained", "evaluated"), PAGES.values(), ids=list(PAGES))
def test_exports_of_the_pages_are_what_their_files_names_say(
    tmp_path: Path, trained: str, evaluated: str
) -> None:
    files: dict[str, str | bytes] = {trained: exported(5), evaluated: exported(6, 500)}
    tables = ingest(tmp_path / "s", files, RULES)
    (run,) = tables.runs.rows(named=True)
    assert (run["run"], run["reason"]) == ("N0_dev" if "dev" in trained else "N0", None)
    curve = tables.curves.sort("step")
    assert curve["train_loss"].to_list() == [5 - s / 1000 for s in range(50, 1050, 50)]
    assert curve["eval_loss"].drop_nulls().to_list() == [5.5, 5.0]


def test_exports_whose_names_say_no_loss_are_asked_about_file_by_file(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {
        "a.csv": exported(5), "b.csv": exported(4), "run-c-tag-accuracy.csv": exported(3),
    }  # fmt: skip
    with pytest.raises(IsoflopError):
        ingest(tmp_path / "s", files, RULES)
    proposed = inspect(tmp_path / "s").sidecar_text()
    assert 'match: "a.csv"' in proposed
    assert 'match: "b.csv"' in proposed
    assert "accuracy" not in proposed
