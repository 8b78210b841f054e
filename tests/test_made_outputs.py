"""An output that is not what the workflow wrote is noticed, whatever its time says."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from snakemake.persistence.file import FilePersistence

from isoflop.made_outputs import (
    INCOMPLETE,
    RECORD,
    build_begins,
    build_ends,
    changed_outputs,
    mark_incomplete,
    outputs_to_the_present,
    stale_outputs,
)

LOSSES = "data/losses/toy.parquet"
BY_HAND = "data/estimates/toy/overtraining.json"
FIGURE = "reports/toy/figures/valleys.svg"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Give a folder in which a build has ended."""
    for name in (LOSSES, FIGURE, "reports/toy/report.html"):
        write(tmp_path / name, name.encode() * 100)
    (tmp_path / FIGURE).with_name(".snakemake_timestamp").touch()
    write(tmp_path / BY_HAND, b"{}")
    kept = FilePersistence(path=tmp_path / ".snakemake")
    for output in (LOSSES, "reports/toy/figures", "reports/toy/report.html"):
        write(Path(kept._record_path(kept._metadata_path, output)), b"{}")
    build_begins(tmp_path)
    build_ends(tmp_path)
    return tmp_path


def write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def damage(path: Path, content: bytes) -> None:
    """Change a file's content and leave its time as it was."""
    facts = path.stat()
    path.write_bytes(content)
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))


def flipped(path: Path) -> bytes:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    return bytes(content)


def test_sound_outputs_are_left_alone(root: Path) -> None:
    assert changed_outputs(root) == []
    (root / LOSSES).touch()
    assert changed_outputs(root) == []
    (root / LOSSES).unlink()  # Snakemake's to notice
    (root / BY_HAND).write_bytes(b'{"fitted": "anew"}')
    assert changed_outputs(root) == []


def test_without_a_record_nothing_is_known(tmp_path: Path) -> None:
    write(tmp_path / LOSSES, b"losses")
    assert changed_outputs(tmp_path) == []
    for text in ("", "null", '{"ended": true, "outputs": {"data/x": [1]}}', '{"ended": true'):
        write(tmp_path / RECORD, text.encode())
        assert changed_outputs(tmp_path) == []


@pytest.mark.parametrize("cut", [False, True])
def test_damage_that_keeps_the_time_is_noticed(root: Path, cut: bool) -> None:
    path = root / LOSSES
    damage(path, path.read_bytes()[:7] if cut else flipped(path))
    assert changed_outputs(root) == [LOSSES]


def test_an_edit_is_no_build(root: Path) -> None:
    sound = (root / LOSSES).read_bytes()
    (root / LOSSES).write_bytes(flipped(root / LOSSES))
    assert changed_outputs(root) == [LOSSES]
    # also after a build that left it alone: it does not become that build's
    build_begins(root)
    build_ends(root)
    assert changed_outputs(root) == [LOSSES]
    # once it is made anew all is well
    build_begins(root)
    (root / LOSSES).write_bytes(sound + b"and more")
    build_ends(root)
    assert changed_outputs(root) == []


def test_a_file_of_a_folder_that_is_one_output_names_the_folder(root: Path) -> None:
    damage(root / FIGURE, flipped(root / FIGURE))
    assert changed_outputs(root) == ["reports/toy/figures"]


def test_a_lost_file_of_a_folder_that_is_one_output_names_the_folder(root: Path) -> None:
    """Snakemake looks at the folder alone, and nothing would ever make the file again."""
    (root / FIGURE).unlink()
    assert changed_outputs(root) == ["reports/toy/figures"]
    # whoever replaces the folder now is at work on it
    build_begins(root)
    assert changed_outputs(root) == []


def test_what_was_made_of_a_sweep_that_is_gone_is_stale(root: Path) -> None:
    """What was made, and nothing beside it."""
    write(root / "reports/toy/notes.txt", b"mine")
    assert set(stale_outputs(root)) == {"toy"}
    named = {str(path.relative_to(root)) for path in stale_outputs(root)["toy"]}
    assert named == {LOSSES, FIGURE, "reports/toy/report.html"}
    (root / "data/raw/toy").mkdir(parents=True)
    assert stale_outputs(root) == {}


def test_what_a_killed_build_wrote_is_its_own(root: Path) -> None:
    build_begins(root)
    (root / LOSSES).write_bytes(b"losses of a build that was killed later")
    damage(root / "reports/toy/report.html", flipped(root / "reports/toy/report.html"))
    assert changed_outputs(root) == ["reports/toy/report.html"]
    build_begins(root)
    build_ends(root)
    assert changed_outputs(root) == ["reports/toy/report.html"]


@pytest.mark.parametrize("name", ["toy", "扩展定律" * 12, "x" * 200])
def test_the_mark_is_snakemakes_own(root: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root)
    output = f"data/losses/{name}.alternate_loss.parquet"
    snakemakes = FilePersistence(path=root / ".snakemake")
    assert snakemakes._filter_incomplete_keys([output]) == set()
    mark_incomplete(root, output)
    assert any((root / INCOMPLETE).rglob("*"))
    assert FilePersistence(path=root / ".snakemake")._filter_incomplete_keys([output]) == {output}


def test_outputs_from_the_future_are_dated_now_in_their_order(root: Path) -> None:
    assert outputs_to_the_present(root) is None
    figure, report = root / FIGURE, root / "reports/toy/report.html"
    mark = figure.with_name(".snakemake_timestamp")
    tomorrow = time.time_ns() + 86_400 * 10**9
    for path, seconds in ((figure, 0), (mark, 0), (report, 1)):
        os.utime(path, ns=(0, tomorrow + seconds * 10**9))
    latest = outputs_to_the_present(root)
    assert latest is not None
    assert latest.timestamp() == pytest.approx(tomorrow / 1e9 + 1)
    moments = [path.stat().st_mtime_ns for path in (root / LOSSES, figure, mark, report)]
    assert moments[0] < moments[1] == moments[2] < moments[3] < time.time_ns()
    assert outputs_to_the_present(root) is None
    assert changed_outputs(root) == []
