from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import yaml
from click.testing import CliRunner

from isoflop.cli import main
from isoflop.ingest.inspection import inspect
from isoflop.ingest.sweep import ingest_sweep
from tests.ingest.samples import RECORD, jsonl, nanogpt, row, run_lines, write

if TYPE_CHECKING:
    from pathlib import Path

BARE = "".join(f"iter {n}: loss {3 - n / 10}, time 1.00ms\n" for n in range(9))


def shown(*arguments: str) -> str:
    done = CliRunner().invoke(main, ["inspect", *arguments])
    assert done.exit_code == 0, done.output
    return done.output


def test_a_file_outside_any_project(tmp_path: Path) -> None:
    write(tmp_path, {"run[1].log": nanogpt(), "other.log": BARE}, None)
    said = shown(str(tmp_path / "run[1].log"))
    assert said.startswith("run[1].log: used as nanogpt, 31 records\n")
    assert "other" not in said
    assert "  D: 204800 tokens; finished\n" in said
    assert "  params.total: 8288.0 (log)\n" in said
    assert said.endswith(f'# sweep.yaml to start from:\ntitle: "{tmp_path.name}"\n')


def test_an_empty_folder_is_said_to_be_empty(tmp_path: Path) -> None:
    assert shown(str(tmp_path)).startswith(f"{tmp_path}: no logs in it, nor in its folders. Copy")
    write(tmp_path, {})
    assert "no logs in it" in shown(str(tmp_path))
    assert json.loads(shown(str(tmp_path), "--json"))["runs"] == []


@pytest.mark.parametrize("names", [["a.log"], ["a.log", "b.log"]])
def test_the_printed_sweep_yaml_is_enough_once_its_gaps_are_filled(
    tmp_path: Path, names: list[str]
) -> None:
    files = {name: BARE[place * 30 :] for place, name in enumerate(names)}
    folder = write(tmp_path / "s", {**files, "c.log": nanogpt()}, None)
    text = inspect(folder).sidecar_text()
    for gap, value in {
        "<embedding included>": "1e6", "<tokens in one optimiser step>": "512", "<steps>": "8",
    }.items():  # fmt: skip
        assert gap in text
        text = text.replace(gap, value)
    (folder / "sweep.yaml").write_text(text)
    tables = ingest_sweep(folder, RECORD)
    assert not tables.runs["excluded"].any()
    assert row(tables.runs, "run", "a")["tokens"] == 8 * 512


def test_what_all_runs_lack_is_said_once(tmp_path: Path) -> None:
    folder = write(tmp_path / "s", {"a.log": BARE, "b.log": BARE + "\n"}, None)
    said = yaml.safe_load(inspect(folder).sidecar_text())
    assert set(said) == {"title", "facts"}
    assert set(said["facts"]) == {"params", "tokens_per_step", "schedule"}


def test_json_tells_values_origins_and_gaps(tmp_path: Path) -> None:
    files = {"a.jsonl": jsonl(run_lines("a")), "b.log": BARE, "notes.txt": "hello\n"}
    folder = write(tmp_path / "s", files, None)
    told = json.loads(shown(str(folder), "--json"))
    fates = {file["path"]: file["fate"] for file in told["files"]}
    assert fates == {"a.jsonl": "used", "b.log": "used", "notes.txt": "rejected"}
    a, b = told["runs"]
    assert a["facts"]["params.total"] == {"value": 10368.0, "source": "log"}
    assert (a["missing"], a["left_out"]) == ([], None)
    assert b["missing"][0]["fact"] == "number of parameters"
    assert "tokens_per_step: <" in told["sweep_yaml"]


def test_a_sweep_yaml_is_heeded(tmp_path: Path) -> None:
    folder = write(tmp_path / "s", {"a.log": nanogpt()}, "title: t\nfacts: {seed: 5}\n")
    said = shown(str(folder))
    assert "  seed: 5 (sidecar)\n" in said
    assert "to start from" not in said
