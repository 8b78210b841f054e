"""What is small on disk and endless in memory or time is refused within a bound of both."""

from __future__ import annotations

import gzip
import re
import subprocess
import sys
import time
import tracemalloc
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from isoflop.config.reading import read_yaml, yaml_content
from isoflop.config.sidecar import SweepFile
from isoflop.errors import ConfigError
from isoflop.ingest.facts.sidecar import repeats_repetitions
from isoflop.ingest.reading import source
from isoflop.ingest.reading.source import RawFile
from isoflop.ingest.sweep import ingest_sweep
from tests.ingest.samples import RECORD, ingest, jsonl, row, run_lines, write

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MB = 1 << 20


@contextmanager
def bounded(*, seconds: float, megabytes: float) -> Iterator[None]:
    """Assert bounds of CPU time and of what Python allocates."""
    tracemalloc.start()
    begun = time.process_time()
    try:
        yield
        spent, (_, peak) = time.process_time() - begun, tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert spent < seconds
    assert peak < megabytes * MB


# -- sweep.yaml ------------------------------------------------------------------------------------

ALIASES = "a: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1]\n" + "".join(
    f"b{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 9)
)
MERGES = "a: &a0 {x: 1}\n" + "".join(
    f"b{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}]}}\n" for n in range(1, 9)
)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (ALIASES, "aliases stand for more than"),
        (MERGES, "aliases stand for more than"),
        ("a: &a [*a]\n", "aliases stand for more than"),
        ("a: " + "[" * 20_000, "nested deeper than"),
        ("a: " + "[" * 90 + "]" * 90, "expected"),
        ("#" * 5_000_000, "longer than"),
        ("title: t\nfacts: {seed: 1}\nfacts: {seed: 2}\n", "key 'facts' stands twice"),
        ("title: t\nruns:\n- {match: a, match: b}\n", "key 'match' stands twice"),
        ("title: 2020-99-99\n", "not valid YAML"),
    ],
    ids=["aliases", "merges", "circle", "deep", "flat", "long", "twice", "twice-below", "date"],
)
def test_a_sweep_yaml_that_is_none(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "sweep.yaml").write_text(text)
    with bounded(seconds=5.0, megabytes=60), pytest.raises(ConfigError) as caught:
        read_yaml(tmp_path / "sweep.yaml", SweepFile)
    assert words in str(caught.value) or words == "expected"


def test_aliases_that_spare_words_are_fine() -> None:
    text = "a: &shape {layers: 2}\nb: *shape\nc: {<<: *shape, heads: 2}\n"
    content = yaml_content(text)
    assert content["c"] == {"layers": 2, "heads": 2}
    assert yaml_content("") is None


@pytest.mark.parametrize(
    ("pattern", "endless"),
    [
        ("(a+)+$", True), ("(a*)*", True), ("((ab)*c?)+", True), ("(?:a+){2,}", True),
        (r"(?P<x>\d+){30}", True), ("(a|b)+", False), (r"N(?P<n>\d+)_bs(?P<b>\d+)", False),
        (r"\(a+\)+", False), ("[(a+)]+", False), ("(a+)b+", False), ("(a{2})+", False),
        ("(a+)?", False),
    ],
)  # fmt: skip
def test_repeated_repetitions_are_told(pattern: str, endless: bool) -> None:
    assert repeats_repetitions(pattern) is endless
    re.compile(pattern)


def test_a_pattern_that_would_take_for_ever_is_refused(tmp_path: Path) -> None:
    sidecar = "title: t\nruns: [{match: '*', path_facts: '(a+)+$'}]\n"
    name = "a" * 40 + "!.jsonl"
    with bounded(seconds=5.0, megabytes=60), pytest.raises(ConfigError, match="for ever"):
        ingest(tmp_path / "s", {name: jsonl(run_lines("a"))}, sidecar)


@pytest.mark.parametrize(
    "formula",
    ["+".join(["N"] * 990), "(" * 990 + "N" + ")" * 990, "-" * 1_990 + "N"],
    ids=["terms", "parentheses", "signs"],
)
def test_a_formula_as_long_as_one_may_be_ends_no_process(tmp_path: Path, formula: str) -> None:
    """In a process of its own: the parser of SQL calls itself, and a full stack is no exception."""
    sidecar = (
        "title: t\ntable: {rows: runs, columns: {params.total: N, eval_loss: L, tokens: "
        f"{{formula: '{formula}'}}}}}}\n"
    )
    folder = write(tmp_path / "s", {"t.csv": "N,L\n1e6,3.0\n"}, sidecar)
    done = subprocess.run(
        [sys.executable, "-c", "from isoflop.cli import main; main()", "inspect", str(folder)],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode in {0, 1}, done.stderr
    assert "Traceback" not in done.stderr


def test_a_longer_formula_is_refused() -> None:
    columns = {"tokens": {"formula": "+".join(["N"] * 20_000)}}
    with pytest.raises(ValueError, match="at most 2000 characters"):
        SweepFile.model_validate({"title": "t", "table": {"rows": "runs", "columns": columns}})


# -- logs ------------------------------------------------------------------------------------------


def test_one_line_as_long_as_its_file_takes_flat_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source, "LONGEST_LINE", 2 * MB)
    path = tmp_path / "long.log"
    with path.open("wb") as stream:
        for _ in range(64):
            stream.write(b"x" * MB)
    with bounded(seconds=10.0, megabytes=40):
        longest = max(len(line) for line in RawFile.at(path, tmp_path).lines())
    assert 2 * MB <= longest <= 4 * MB


def test_json_nested_deep_is_no_record(tmp_path: Path) -> None:
    deep = '{"step": 1, "loss": ' + "[" * 200_000 + "]" * 200_000 + "}\n"
    state = '{"global_step": 1, "log_history": ' + "[" * 200_000 + "]" * 200_000 + "}\n"
    files: dict[str, str | bytes] = {
        "a.jsonl": jsonl(run_lines("a")), "deep.jsonl": deep * 3, "trainer_state.json": state,
    }  # fmt: skip
    folder = write(tmp_path / "s", files)
    with bounded(seconds=10.0, megabytes=100):
        tables = ingest_sweep(folder, RECORD)
    for name in ("deep.jsonl", "trainer_state.json"):
        assert row(tables.files, "path", name)["fate"] == "rejected"
    assert tables.runs["run"].to_list() == ["a"]


@pytest.mark.parametrize("name", ["zeros.parquet.gz", "zeros.log.gz"])
def test_what_unpacks_without_end_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(source, "FREE", 2 * MB)
    begin = b"PAR1" if "parquet" in name else b"iter 1: loss 2.0, time 1.00ms\n" * 3
    packed = gzip.compress(begin + bytes(256 * MB), 9)
    assert len(packed) < MB
    folder = write(tmp_path / "s", {"a.jsonl": jsonl(run_lines("a")), name: packed})
    del packed
    with bounded(seconds=10.0, megabytes=220):
        tables = ingest_sweep(folder, RECORD)
    assert "unpacks to more than 300 times" in row(tables.files, "path", name)["reason"]
    assert tables.runs["run"].to_list() == ["a"]
