"""Every format in the table of patterns keeps the same promises, on its own small fixture.

A new format is found by itself: a row in `patterns.PATTERNS`, a module in `ingest/formats`, and a
folder tests/ingest/fixtures/<format> with a small genuine log, a sweep.yaml and expected.json.
Write expected.json by hand from the log; the test says what it found.
"""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import shutil
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pyarrow as pa
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from isoflop.config.ingest import IngestSettings
from isoflop.ingest.facts.sidecar import file_table, read_sidecar
from isoflop.ingest.formats import reader, scan
from isoflop.ingest.reading import blocks, source
from isoflop.ingest.reading.blocks import RECORDS
from isoflop.ingest.reading.parsed import Parsed, gather
from isoflop.ingest.reading.patterns import PATTERNS, Pattern, readable_formats, recognise
from isoflop.ingest.reading.refused import RefusedError
from isoflop.ingest.reading.source import RawFile
from isoflop.ingest.sweep import ingest_sweep
from tests.ingest.samples import RECORD
from tests.tiers import QUICK, times

if TYPE_CHECKING:
    from isoflop.config.sidecar import SweepFile

FIXTURES = Path(__file__).parent / "fixtures"


def fixture(name: str) -> Path:
    folder = FIXTURES / name
    assert (folder / "expected.json").exists(), (
        f"format '{name}' is in the table of patterns: add {folder} with a small log, sweep.yaml "
        f"and expected.json"
    )
    return folder


def logs(folder: Path) -> list[Path]:
    skip = ("sweep.yaml", "expected.json")
    return sorted(p for p in folder.rglob("*") if p.is_file() and p.name not in skip)


ALL_LOGS = [
    pytest.param(name, path, id=path.relative_to(FIXTURES).as_posix())
    for name in readable_formats()
    for path in logs(FIXTURES / name)
]


def copied(folder: Path, target: Path) -> Path:
    """Copy a fixture without its expectations."""
    shutil.copytree(folder, target, ignore=shutil.ignore_patterns("expected.json"))
    return target


def parse_bytes(name: str, sidecar: SweepFile, path: Path, folder: Path) -> Parsed:
    """Read one file as a format, as ingest does."""
    file = RawFile.at(path, folder)
    try:
        return gather(scan(name, file, file_table(sidecar, file.name)))
    except RefusedError as refusal:
        return Parsed((), pl.DataFrame(schema=RECORDS), refused=str(refusal))


@cache
def sidecar_of(name: str) -> SweepFile:
    return read_sidecar(fixture(name))


@cache
def plain_of(name: str, path: Path) -> Parsed:
    """Read a log of the fixtures as it lies there; once, since every promise compares with it."""
    return parse_bytes(name, sidecar_of(name), path, path.parent)


@pytest.mark.parametrize("name", readable_formats())
def test_expected_runs_and_losses(name: str, tmp_path: Path) -> None:
    tables = ingest_sweep(copied(fixture(name), tmp_path / name), RECORD)
    found: dict[str, Any] = {}
    for run in tables.runs.iter_rows(named=True):
        points = tables.curves.filter(pl.col("run") == run["run"], ~pl.col("superseded"))
        last = points.row(-1, named=True)
        found[run["run"]] = {
            "params_total": run["params_total"],
            "tokens": run["tokens"],
            "status": run["status"],
            "points": points.height,
            "last_train_loss": last["train_loss"],
            "last_eval_loss": last["eval_loss"],
        }
    assert found == json.loads((fixture(name) / "expected.json").read_text())


def test_a_folder_that_mixes_all_formats(tmp_path: Path) -> None:
    """Every file is used, and every run comes out as it does alone."""
    rules: list[dict[str, Any]] = []
    expected: dict[str, Any] = {}
    for name in readable_formats():
        copied(fixture(name), tmp_path / "s" / name)
        told = yaml.safe_load((tmp_path / "s" / name / "sweep.yaml").read_text())
        (tmp_path / "s" / name / "sweep.yaml").unlink()
        shared = {**told.get("facts", {}), **({"table": told["table"]} if "table" in told else {})}
        rules += [{"match": f"{name}/*", **shared}] if shared else []
        for rule in told.get("runs", ()):
            of_file = any((tmp_path / "s" / name).glob(rule["match"]))
            rules.append({**rule, "match": f"{name}/" * of_file + rule["match"]})
        for run, outcome in json.loads((fixture(name) / "expected.json").read_text()).items():
            expected[run] = expected[f"{name}/{run}"] = outcome
    (tmp_path / "s" / "sweep.yaml").write_text(yaml.safe_dump({"title": "all", "runs": rules}))
    # fixtures made after one formula are no copies of one run, and have no trend in N and D
    off = {"action": "off", "most": 8.0}
    unchecked = IngestSettings.model_validate({"gates": {"duplicate": off, "trend": off}})
    tables = ingest_sweep(tmp_path / "s", unchecked)
    fates = tables.files.filter(pl.col("path") != "sweep.yaml").select("format", "fate").rows()
    assert set(fates) == {(name, "used") for name in readable_formats()}
    assert len(fates) == len(ALL_LOGS)
    for run in tables.runs.iter_rows(named=True):
        assert run["reason"] is None
        last = tables.curves.filter(pl.col("run") == run["run"], ~pl.col("superseded")).row(
            -1, named=True
        )
        outcome = expected[run["run"]]
        assert (run["params_total"], run["tokens"]) == (outcome["params_total"], outcome["tokens"])
        assert (last["train_loss"], last["eval_loss"]) == (
            outcome["last_train_loss"], outcome["last_eval_loss"],
        )  # fmt: skip


@pytest.mark.parametrize("name", readable_formats())
def test_module_states_its_version(name: str) -> None:
    assert isinstance(reader(name).VERSION, int)


@pytest.mark.parametrize(("name", "path"), ALL_LOGS)
def test_recognised_as_itself(name: str, path: Path) -> None:
    seen = recognise(RawFile.at(path, FIXTURES).sample())
    assert seen.format == name
    assert seen.refused is None


@pytest.mark.parametrize(("name", "path"), ALL_LOGS)
def test_compression_changes_nothing(name: str, path: Path, tmp_path: Path) -> None:
    sidecar = sidecar_of(name)
    plain = plain_of(name, path)
    for ending, packed in (
        ("gz", gzip.compress(path.read_bytes())),
        ("zst", pa.compress(path.read_bytes(), codec="zstd", asbytes=True)),
        ("xz", lzma.compress(path.read_bytes(), preset=0)),  # a reader's part is the same
        ("bz2", bz2.compress(path.read_bytes(), 1)),
    ):
        target = tmp_path / f"{path.name}.{ending}"
        target.write_bytes(packed)
        file = RawFile.at(target, tmp_path)
        assert recognise(file.sample()).format == name
        assert file.stem == RawFile.at(path, path.parent).stem
        table = file_table(sidecar, path.name)
        again = gather(scan(name, file, table))
        assert again.records.equals(plain.records)


@pytest.mark.parametrize(("name", "path"), ALL_LOGS)
def test_terminal_dirt_changes_nothing(name: str, path: Path, tmp_path: Path) -> None:
    if b"\0" in path.read_bytes():
        pytest.skip("binary")
    sidecar = sidecar_of(name)
    plain = plain_of(name, path)
    dirty = path.read_bytes().replace(b"\n", b"\x1b[0m\r\n").replace(b": ", b":\x00 ")
    target = tmp_path / path.name
    target.write_bytes(b"\x1b[1m" + dirty)
    again = parse_bytes(name, sidecar, target, tmp_path)
    assert again.records.equals(plain.records)


@pytest.mark.parametrize(("name", "path"), ALL_LOGS)
@pytest.mark.parametrize("chunk", [7] if QUICK else [1, 7, 64])
def test_chunk_boundaries_change_nothing(
    name: str, path: Path, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    sidecar = sidecar_of(name)
    plain = plain_of(name, path)
    monkeypatch.setattr(source, "CHUNK", chunk)
    assert parse_bytes(name, sidecar, path, path.parent).records.equals(plain.records)


@pytest.mark.parametrize(("name", "path"), ALL_LOGS)
@settings(max_examples=times(30))
@given(share=st.floats(0, 1))
def test_a_cut_log_gives_a_beginning_of_the_whole(
    name: str, path: Path, share: float, tmp_path_factory: pytest.TempPathFactory
) -> None:
    sidecar = sidecar_of(name)
    content = path.read_bytes()
    folder = tmp_path_factory.mktemp("cut")
    target = folder / path.name
    target.write_bytes(content[: int(share * len(content))])
    whole = plain_of(name, path).records
    cut = parse_bytes(name, sidecar, target, folder).records
    # rows are sorted by run, and an unended last cell may be half a number; tags are scattered, and
    # so are the pages of a database
    if name in {"table", "tensorboard", "trackio", "mlflow"}:
        assert cut.height <= whole.height
    else:
        assert cut.equals(whole[: cut.height])


@pytest.mark.parametrize("name", readable_formats())
@settings(max_examples=times(40))
@given(
    data=st.data(),
    place=st.floats(0, 1, exclude_max=True),
    noise=st.binary(min_size=1, max_size=40),
)
def test_noise_never_raises(
    name: str,
    data: st.DataObject,
    place: float,
    noise: bytes,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    path = data.draw(st.sampled_from(logs(fixture(name))))
    content = bytearray(path.read_bytes())
    at = int(place * len(content))
    content[at : at + len(noise)] = noise
    folder = tmp_path_factory.mktemp("noise")
    target = folder / path.name
    target.write_bytes(bytes(content))
    recognise(RawFile.at(target, folder).sample())
    parse_bytes(name, sidecar_of(name), target, folder)


@pytest.mark.parametrize(("name", "path"), ALL_LOGS)
def test_batches_change_nothing(name: str, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sidecar = sidecar_of(name)
    plain = plain_of(name, path)
    monkeypatch.setattr(blocks, "BATCH", 3)
    assert parse_bytes(name, sidecar, path, path.parent).records.equals(plain.records)


WORDED = [pytest.param(pattern, id=pattern.format) for pattern in PATTERNS if pattern.words]


@pytest.mark.parametrize("pattern", WORDED)
@settings(max_examples=times(40), deadline=None, suppress_health_check=[*HealthCheck])
@given(data=st.data())
def test_every_record_has_one_of_the_words_that_are_looked_for_first(
    pattern: Pattern, data: st.DataObject
) -> None:
    assert pattern.line is not None
    text = data.draw(st.from_regex(pattern.line))
    assert any(word in text for word in pattern.words)
    assert pattern.count(text) == len(pattern.line.findall(text)) > 0


def test_general_patterns_come_last() -> None:
    """A general pattern matches other formats too, so the order of the table must not matter."""
    assert [p.format for p in PATTERNS if p.general] == ["table"]
    sample = RawFile.at(FIXTURES / "isoflop_train/fit/tiny-1e12.jsonl", FIXTURES).sample()
    assert recognise(sample).runner_up == "table"
