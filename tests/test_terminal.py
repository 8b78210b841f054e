"""What commands say: text from a log moves no cursor, and a poor encoding ends no command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from isoflop.cli import main
from isoflop.config.by_sweep import SweepSettings, settings_by_sweep
from isoflop.config.ingest import IngestSettings
from isoflop.config.reading import read_yaml
from isoflop.config.sidecar import SweepFile
from isoflop.errors import IsoflopError
from isoflop.escape import lines, one_line

if TYPE_CHECKING:
    from pathlib import Path

PAYLOAD = "\x1b[31mred\x1b]0;title\x07\x9b2J\r\u202eback"
"""Colours, sets a window's title, clears a screen, writes over its line, and turns the reading."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give a sweep whose run is named by the payload and lacks facts."""
    folder = tmp_path / "s"
    folder.mkdir()
    rows = [{"run": PAYLOAD, "step": n, "tokens": 1e6 * n, "loss": 5.0 - n} for n in range(1, 4)]
    (folder / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "sweep.yaml").write_text("title: t\n")
    return folder


def assert_still(text: str) -> None:
    assert text.strip()
    assert not {*text} & {"\x1b", "\x07", "\x9b", "\r", "\u202e"}


def test_lines_keep_their_places_and_nothing_unseen() -> None:
    assert lines("a:\n  b\tc\n\nd") == "a:\n  b c\n\nd"
    assert_still(lines(PAYLOAD))
    assert one_line(" a\n\tb ") == "a b"
    assert_still(one_line(PAYLOAD))


@pytest.mark.parametrize("words", [("inspect",), ("inspect", "--json")])
def test_a_name_in_a_log_moves_no_cursor(folder: Path, words: tuple[str, ...]) -> None:
    outcome = CliRunner().invoke(main, [*words, str(folder)])
    assert outcome.exit_code == 0
    assert "red" in outcome.output
    assert_still(outcome.output)


def test_nor_does_it_in_a_message(folder: Path, tmp_path: Path) -> None:
    outputs = {name: str(tmp_path / name) for name in ("curves", "runs", "files", "evals", "gates")}
    options = [word for name, path in outputs.items() for word in (f"--{name}", path)]
    settings = IngestSettings().model_dump_json()
    outcome = CliRunner().invoke(
        main,
        ["ingest-sweep", "--sweep", "s", "--raw", str(folder), "--cache", str(tmp_path / "c"),
         "--settings", settings, *options],
    )  # fmt: skip
    assert outcome.exit_code == 1
    assert "red" in outcome.output
    assert_still(outcome.output)


def test_an_encoding_without_a_sign_ends_no_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "isoflop", "allocate", "1e21"],
        env={**os.environ, "PYTHONIOENCODING": "latin-1"}, capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()
    assert b"1e21" in done.stdout or b"FLOPs" in done.stdout


KEYS = (
    {"settings": {PAYLOAD: 1}},
    {"settings": {"losses": {PAYLOAD: "x", "smoothing": "x"}}},
    {"settings": {"losses": {"schedules": [PAYLOAD], "smoothing": PAYLOAD}}},
    {"rules": [{"paths": "*", "set": {PAYLOAD: 3}}]},
    {PAYLOAD: {}},
)
"""Contents of a sweep.yaml that its model refuses."""


@pytest.mark.parametrize("content", KEYS)
def test_nor_does_a_key_of_sweep_yaml(content: dict[str, object], tmp_path: Path) -> None:
    """`left out:` lines of the rules print what this error says, and no command cleans them."""
    path = tmp_path / "sweep.yaml"
    path.write_text(json.dumps({"title": "t", **content}), encoding="utf-8")
    defaults = SweepSettings().model_dump(mode="json")

    def read() -> None:
        settings_by_sweep(defaults, read_yaml(path, SweepFile).settings, name=str(path))

    with pytest.raises(IsoflopError) as raised:
        read()
    assert "sweep.yaml" in str(raised.value)
    assert_still(str(raised.value))


def test_nor_does_a_key_that_stands_twice(tmp_path: Path) -> None:
    path = tmp_path / "sweep.yaml"
    key = json.dumps(PAYLOAD)
    path.write_text(f"{{{key}: 1, {key}: 2}}", encoding="utf-8")
    with pytest.raises(IsoflopError, match="stands twice") as raised:
        read_yaml(path, SweepFile)
    assert_still(str(raised.value))
