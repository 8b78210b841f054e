"""An output that is not what the workflow wrote is noticed, whatever its time says."""

from __future__ import annotations

import os
import shutil
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
    for output in (LOSSES, "reports/toy/figures", "reports/toy/report.html"):
        note_made(tmp_path, output)
    build_begins(tmp_path)
    build_ends(tmp_path)
    return tmp_path


def note_made(root: Path, output: str) -> None:
    """Note an output as Snakemake does when it has made it."""
    kept = FilePersistence(path=root / ".snakemake")
    write(Path(kept._record_path(kept._metadata_path, output)), b"{}")


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
    assert changed_outputs(root, ["toy"]) == []
    (root / LOSSES).touch()
    assert changed_outputs(root, ["toy"]) == []
    (root / LOSSES).unlink()  # Snakemake's to notice
    (root / BY_HAND).write_bytes(b'{"fitted": "anew"}')
    assert changed_outputs(root, ["toy"]) == []


def test_without_a_record_nothing_is_known(tmp_path: Path) -> None:
    write(tmp_path / LOSSES, b"losses")
    assert changed_outputs(tmp_path, ["toy"]) == []
    for text in ("", "null", '{"ended": true, "outputs": {"data/x": [1]}}', '{"ended": true'):
        write(tmp_path / RECORD, text.encode())
        assert changed_outputs(tmp_path, ["toy"]) == []


@pytest.mark.parametrize("cut", [False, True])
def test_damage_that_keeps_the_time_is_noticed(root: Path, cut: bool) -> None:
    path = root / LOSSES
    damage(path, path.read_bytes()[:7] if cut else flipped(path))
    assert changed_outputs(root, ["toy"]) == [LOSSES]


def test_an_edit_is_no_build(root: Path) -> None:
    sound = (root / LOSSES).read_bytes()
    (root / LOSSES).write_bytes(flipped(root / LOSSES))
    assert changed_outputs(root, ["toy"]) == [LOSSES]
    # also after a build that left it alone: it does not become that build's
    build_begins(root)
    build_ends(root)
    assert changed_outputs(root, ["toy"]) == [LOSSES]
    # once it is made anew all is well
    build_begins(root)
    (root / LOSSES).write_bytes(sound + b"and more")
    build_ends(root)
    assert changed_outputs(root, ["toy"]) == []


def test_a_file_of_a_folder_that_is_one_output_names_the_folder(root: Path) -> None:
    damage(root / FIGURE, flipped(root / FIGURE))
    assert changed_outputs(root, ["toy"]) == ["reports/toy/figures"]


def test_a_lost_file_of_a_folder_that_is_one_output_names_the_folder(root: Path) -> None:
    """Snakemake looks at the folder alone, and nothing would ever make the file again."""
    (root / FIGURE).unlink()
    assert changed_outputs(root, ["toy"]) == ["reports/toy/figures"]
    # whoever replaces the folder now is at work on it
    build_begins(root)
    assert changed_outputs(root, ["toy"]) == []


def test_what_was_made_of_a_sweep_that_is_gone_is_stale(root: Path) -> None:
    """What was made, and nothing beside it."""
    write(root / "reports/toy/notes.txt", b"mine")
    assert set(stale_outputs(root)) == {"toy"}
    named = {str(path.relative_to(root)) for path in stale_outputs(root)["toy"]}
    assert named == {LOSSES, FIGURE, "reports/toy/report.html"}
    (root / "data/raw/toy").mkdir(parents=True)
    assert stale_outputs(root) == {}


def test_an_output_of_a_sweep_that_is_not_built_waits_for_it(root: Path) -> None:
    """Nothing would make it, so saying at every build that it is made anew would be untrue."""
    published = "reports/published/index.html"
    write(root / published, b"page")
    note_made(root, published)
    build_ends(root)
    for name in (LOSSES, FIGURE, published):
        damage(root / name, flipped(root / name))
    assert changed_outputs(root, ["renamed"]) == [published]
    build_begins(root)
    build_ends(root)
    assert changed_outputs(root, ["toy"]) == [LOSSES, published, "reports/toy/figures"]


def test_what_was_made_is_known_after_snakemakes_own_record_is_gone(root: Path) -> None:
    """Deleting .snakemake, its documented remedy for much, must not hide damage from then on."""
    index = "reports/index.html"
    report = root / "reports/toy/report.html"
    shutil.rmtree(root / ".snakemake")
    # the next build makes one output, and leaves the others alone
    build_begins(root)
    write(root / index, b"index")
    note_made(root, index)
    build_ends(root)
    damage(root / LOSSES, flipped(root / LOSSES))
    report.write_bytes(b"edited")
    (root / FIGURE).unlink()
    changed = [LOSSES, "reports/toy/figures", "reports/toy/report.html"]
    assert changed_outputs(root, ["toy"]) == changed
    # a fit by hand is no output even now
    (root / BY_HAND).write_bytes(b'{"fitted": "anew"}')
    assert changed_outputs(root, ["toy"]) == changed
    damage(root / index, b"xedni")
    assert changed_outputs(root, ["toy"]) == sorted([index, *changed])


def test_what_a_killed_build_wrote_is_its_own(root: Path) -> None:
    build_begins(root)
    (root / LOSSES).write_bytes(b"losses of a build that was killed later")
    damage(root / "reports/toy/report.html", flipped(root / "reports/toy/report.html"))
    assert changed_outputs(root, ["toy"]) == ["reports/toy/report.html"]
    build_begins(root)
    build_ends(root)
    assert changed_outputs(root, ["toy"]) == ["reports/toy/report.html"]


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
    assert changed_outputs(root, ["toy"]) == []
