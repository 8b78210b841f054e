"""Which folders of data/raw are built, and what is said of the others."""

from __future__ import annotations

import json
import os
import re
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from isoflop.archive.archive_report import raw_members
from isoflop.sweep_folders import TAKEN, find_sweeps, fingerprint, listed_files, raw_files
from tests.ordinary import as_ordinary

ROOT = Path(__file__).parents[1]
OF_SWEEPS = re.compile(r'"((?:reports|data/(?:curves|losses|estimates))/)([^/"{]+)')
"""What a rule names, without a wildcard, in a folder where every sweep has its name."""


def sweep(raw: Path, name: str, *logs: str, sidecar: str | None = "sweep.yaml") -> Path:
    folder = raw / name
    folder.mkdir(parents=True)
    for log in (*logs, *([sidecar] if sidecar else [])):
        (folder / log).parent.mkdir(parents=True, exist_ok=True)
        (folder / log).write_text("title: t\n")
    return folder


GOOD = (
    "a b",
    "ladder",
    "ladder@v2",
    "lr[3e-4]",
    "aaaa",
    "runs",
    "x.y",
    "ä;(b) & c | d > e",
    f"{10**198}1",
    "<1>",
    "a < b > c",
)


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    for name in GOOD:
        sweep(tmp_path / "raw", name, "a.log")
    (tmp_path / "raw/.hidden").mkdir()
    (tmp_path / "raw/README.md").touch()
    return tmp_path / "raw"


def test_ordinary_names_are_sweeps(raw: Path) -> None:
    assert find_sweeps(raw) == (sorted(GOOD), [])


@pytest.mark.parametrize(
    ("name", "log", "sidecar", "words"),
    [
        ("new", "runs.csv", None, ["no sweep.yaml", "new/sweep.yaml", "`title: new`"]),
        ("new", "runs.csv", "sweep.yml", ["sweep.yml", "Rename it to", "new/sweep.yaml"]),
        ("new", "runs.csv", "Sweep.YAML", ["Sweep.YAML", "Rename it to"]),
        ("a{b}", "a.log", "sweep.yaml", ["a{b}: ", "replaces", "Rename the folder."]),
        ("{sweep}", "a.log", "sweep.yaml", ["replaces", "Rename the folder."]),
        ("a<b>", "a.log", "sweep.yaml", ["a<b>: ", "replaces", "Rename the folder."]),
        ("new", "<logs>/a.log", "sweep.yaml", ["Rename without them: <logs>/a.log."]),
        ("new", "fit/run{lr}.jsonl", "sweep.yaml", ["Rename without them: fit/run{lr}.jsonl."]),
        ("ladder.runs", "a.log", "sweep.yaml", ["a table of a sweep 'ladder'", "Rename"]),
        ("x.left_out", "a.log", "sweep.yaml", ["a table of a sweep 'x'", "Rename"]),
        ("index.html", "a.log", "sweep.yaml", ["page of all sweeps", "Rename"]),
        ("refused.txt", "a.log", "sweep.yaml", ["lists the folders", "Rename"]),
        ("published", "a.log", "sweep.yaml", ["page of published studies", "Rename"]),
        (f"{10**200}1", "a.log", "sweep.yaml", ["has 202 bytes", "where 200 leave room", "Rename"]),
        *(
            (f"a{sign}b", "a.log", "sweep.yaml", ["a shell may run", "Rename the folder."])
            for sign in ("$(touch x)", "`touch x`", "';touch x;'", '"', "\\")
        ),
        ("a" * 20, "a.log", "sweep.yaml", ["twenty repetitions", "Rename"]),
        ("x" + "ab" * 20, "a.log", "sweep.yaml", ["twenty repetitions", "Rename"]),
    ],
)
def test_what_cannot_be_built_is_named_with_the_remedy(
    raw: Path, name: str, log: str, sidecar: str | None, words: list[str]
) -> None:
    sweep(raw, name, log, sidecar=sidecar)
    sweeps, (complaint,) = find_sweeps(raw)
    assert sweeps == sorted(GOOD)
    assert complaint.startswith(f"{raw / name}: ")
    for word in words:
        assert word in complaint


@pytest.mark.parametrize("what", ["a folder", "a pipe, a socket or a device", "a link to nothing"])
def test_a_sidecar_that_is_no_file_is_called_what_it_is(raw: Path, what: str) -> None:
    path = sweep(raw, "new", "a.log", sidecar=None) / "sweep.yaml"
    if what == "a folder":
        path.mkdir()
    elif what == "a link to nothing":
        path.symlink_to(path.with_name("gone.yaml"))
    else:
        os.mkfifo(path)
    (complaint,) = find_sweeps(raw)[1]
    assert complaint == (
        f"{raw / 'new'}: sweep.yaml is {what}, where a file belongs. Move {path} away and create a "
        "file in its place, with at least the line `title: new` (docs/ingest.md)."
    )
    # nor is a folder called nearly so a misspelt file
    path.rename(path.with_suffix(".yml"))
    (complaint,) = find_sweeps(raw)[1]
    assert "no sweep.yaml. Create" in complaint


def test_files_beside_a_list_of_logs_are_named(raw: Path) -> None:
    """They would be read with what the list has fetched, unknown to the workflow."""
    sweep(raw, "new", "a.log", "b.log", "c.log", sidecar="sweep.yaml")
    manifest = raw.parent / "manifests/new.txt"
    manifest.parent.mkdir()
    manifest.write_text("a.log\nb.log\nc.log\nd.log\n")
    assert "new" in find_sweeps(raw, stored=True)[0]
    manifest.write_text("a.log\nsweep.yaml\n")
    sweeps, (complaint,) = find_sweeps(raw)
    assert "new" not in sweeps
    assert f"{manifest} lists its logs, and not b.log and 1 more" in complaint


def test_a_list_of_logs_is_read_as_people_and_editors_write_it(raw: Path) -> None:
    sweep(raw, "new", "fit/a.log", "fit/b.log", sidecar="sweep.yaml")
    manifest = raw.parent / "manifests/new.txt"
    manifest.parent.mkdir()
    manifest.write_bytes(
        b"\xef\xbb\xbffit/b.log \r\n\r\n  \r\nfit/a.log\r\nfit/b.log\r\nsweep.yaml"
    )
    assert "new" in find_sweeps(raw)[0]
    assert listed_files(raw / "new") == ["fit/a.log", "fit/b.log", "sweep.yaml"]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (
            b"gone.log",
            "lists 'gone.log', which is not there. Bring it back, or take it off the list.",
        ),
        (b"/etc/passwd", "lists '/etc/passwd', which is no path below the folder"),
        (b"../other/a.log", "which is no path below the folder"),
        (b"./a.log", "which is no path below the folder"),
        (b"a//b.log", "which is no path below the folder"),
        (b"a{b}.log", "Snakemake takes {, } and names in < >"),
        (b"a\x1b[31m.log", "a line is one name. Rename the log"),
        (b"caf\xe9.log", "is not UTF-8. Save it as UTF-8."),
    ],
)
def test_a_list_of_logs_that_cannot_be_followed_is_named(
    raw: Path, line: bytes, words: str
) -> None:
    """Before any plan: a log that is gone would leave the sweep at what was made of it before."""
    sweep(raw, "new", "a.log", sidecar="sweep.yaml")
    manifest = raw.parent / "manifests/new.txt"
    manifest.parent.mkdir()
    manifest.write_bytes(b"a.log\n" + line + b"\n")
    sweeps, complaints = find_sweeps(raw)
    assert "new" not in sweeps
    (complaint,) = [told for told in complaints if str(manifest) in told]
    assert words in complaint


@pytest.mark.parametrize(
    ("name", "log", "shown", "words"),
    [
        ("a\nb", "a.log", r"a\nb", "a name with control characters, such as a line break"),
        ("a\x1b[31mb", "a.log", r"a\x1b[31mb", "a name with control characters"),
        ("a\u2028b", "a.log", r"a\u2028b", "a name with control characters"),
        ("a\udcffb", "a.log", r"a\udcffb", "the name is not UTF-8. Rename the folder."),
        ("new", "fit/a\r.log", "new", r"control characters, such as a line break. Rename without "),
        ("new", "fit/a\r.log", "new", r"Rename without them: fit/a\r.log."),
        ("new", "fit/\n{lr}.log", "new", r"Rename without them: fit/\n{lr}.log."),
        ("new", "fit/\udcff.log", "new", r"names that are not UTF-8. Rename: fit/\udcff.log."),
    ],
)
def test_what_no_line_can_show_is_named_on_one(
    raw: Path, name: str, log: str, shown: str, words: str
) -> None:
    sweep(raw, name, log)
    sweeps, (complaint,) = find_sweeps(raw)
    assert sweeps == sorted(GOOD)
    assert complaint.startswith(f"{raw}/{shown}: ")
    assert words in complaint
    assert complaint.isprintable()


def test_a_log_from_the_future_is_named_with_the_remedy(raw: Path) -> None:
    new = sweep(raw, "new one", "fit/a.log", "fit/b.log", "fit/c.log")
    tomorrow = time.time() + 86_400
    for log in ("fit/a.log", "fit/b.log"):
        os.utime(new / log, (tomorrow, tomorrow))
    sweeps, (complaint,) = find_sweeps(raw)
    assert sweeps == sorted(GOOD)
    assert complaint == (
        f"{new}: fit/a.log is dated later than now, which Snakemake refuses. "
        f"Set the clock right, or date it now: touch '{new}/fit/a.log' (and 1 more of the folder)."
    )
    # a machine whose clock is a little ahead writes on
    for log in ("fit/a.log", "fit/b.log"):
        os.utime(new / log, (time.time() + 2, time.time() + 2))
    assert find_sweeps(raw) == (sorted([*GOOD, "new one"]), [])


def test_what_is_no_folder_is_named(raw: Path) -> None:
    (raw / "loose.jsonl").touch()
    (raw / "old").symlink_to(raw / "nowhere")
    sweeps, complaints = find_sweeps(raw)
    assert sweeps == sorted(GOOD)
    assert [complaint.partition(": ")[0] for complaint in complaints] == [
        str(raw / "loose.jsonl"),
        str(raw / "old"),
    ]


def asked(function: str, folder: Path) -> Any:
    """Ask a function about a folder as one whom permissions bind."""
    ask = (
        "import json, pathlib, sys; from isoflop import sweep_folders; "
        "answer = getattr(sweep_folders, sys.argv[1])(pathlib.Path(sys.argv[2])); "
        "print(json.dumps(answer, default=str))"
    )
    done = as_ordinary(sys.executable, "-c", ask, function, folder)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def found(raw: Path) -> tuple[list[str], list[str]]:
    """List the sweeps as one whom permissions bind."""
    sweeps, complaints = asked("find_sweeps", raw)
    return sweeps, complaints


@pytest.mark.parametrize(
    ("closed", "mode", "left"),
    [
        ("fit/a.log", 0o000, ["b.log", "fit/c.log", "sweep.yaml"]),
        ("fit/a.log", 0o333, ["b.log", "fit/c.log", "sweep.yaml"]),
        ("fit", 0o000, ["b.log", "sweep.yaml"]),
        ("fit", 0o444, ["b.log", "sweep.yaml"]),  # listed and not entered
    ],
)
def test_a_log_that_may_not_be_read_is_no_input_and_its_coming_back_is_noticed(
    raw: Path, closed: str, mode: int, left: list[str]
) -> None:
    """Snakemake reads all inputs of a job, and fails at one that it cannot."""
    folder = sweep(raw, "s", "b.log", "fit/a.log", "fit/c.log")
    before = (folder / closed).stat().st_mode
    open_state = asked("fingerprint", folder)
    (folder / closed).chmod(mode)
    try:
        files, state = asked("raw_files", folder), asked("fingerprint", folder)
        assert "s" in found(raw)[0]
    finally:
        (folder / closed).chmod(before)
    assert [path.removeprefix(f"{folder}/") for path in files] == left
    assert state != open_state
    assert asked("fingerprint", folder) == open_state


@pytest.mark.parametrize(
    ("closed", "mode"),
    [
        (".", 0o000),  # neither listed nor entered
        (".", 0o444),  # listed and not entered
        (".", 0o311),  # entered and not listed: its logs would be none
        ("sweep.yaml", 0o000),
    ],
)
def test_a_folder_without_permission_stops_no_other(raw: Path, closed: str, mode: int) -> None:
    new = sweep(raw, "new one", "a.log")
    assert found(raw) == (sorted([*GOOD, "new one"]), [])
    (new / closed).chmod(mode)
    try:
        sweeps, (complaint,) = found(raw)
    finally:
        (new / closed).chmod(0o755)
    assert sweeps == sorted(GOOD)
    assert complaint.startswith(f"{new}: {new}")
    assert "cannot be read: permission denied. Let yourself read it: chmod -R u+rX " in complaint
    assert f"chmod -R u+rX '{new}' (" in complaint


def test_a_folder_of_all_sweeps_without_permission_does_not_pass_for_empty(raw: Path) -> None:
    raw.chmod(0o000)
    try:
        sweeps, (complaint,) = found(raw)
    finally:
        raw.chmod(0o755)
    assert sweeps == []
    assert complaint.startswith(f"{raw}: ")
    assert f"cannot be read: permission denied. Let yourself read it: chmod -R u+rX {raw} (" in (
        complaint
    )
    assert find_sweeps(raw / "nowhere") == ([], [])


def test_a_link_in_a_circle_is_named(raw: Path) -> None:
    (raw / "old").symlink_to(raw / "old")
    sweeps, (complaint,) = find_sweeps(raw)
    assert sweeps == sorted(GOOD)
    assert complaint.startswith(f"{raw / 'old'}: ")
    assert complaint.endswith("Mend it, or move it away.")


def test_raw_files_are_what_ingest_looks_at_and_the_archive_packs(raw: Path) -> None:
    folder = sweep(raw, "s", "b.log", "fit/a.log", ".cache/c.log", "fit/.d.log")
    (folder / "out.log").symlink_to(raw / "ladder/a.log")
    files = [path.relative_to(folder).as_posix() for path in raw_files(folder)]
    assert files == ["b.log", "fit/a.log", "sweep.yaml"]
    assert [member.name for member in raw_members(folder)] == [f"raw/{name}" for name in files]


def test_any_change_of_a_log_changes_the_fingerprint(raw: Path) -> None:
    folder, seen = raw / "ladder", []

    def look() -> None:
        seen.append(fingerprint(folder))

    look()
    log = folder / "a.log"
    old = log.stat().st_mtime_ns - 10**12
    log.write_text("title: u\n")
    os.utime(log, ns=(old, old))  # as rsync -a, cp -p and tar leave it: older than before
    look()
    log.write_text("title: longer\n")
    os.utime(log, ns=(old, old))
    look()
    log.rename(folder / "b.log")
    look()
    (folder / "b.log").unlink()
    look()
    assert len(set(seen)) == len(seen)


def test_neither_reading_nor_the_sidecar_changes_the_fingerprint(raw: Path) -> None:
    before = fingerprint(raw / "ladder")
    (raw / "ladder/sweep.yaml").write_text("title: another\n")
    (raw / "ladder/a.log").read_bytes()
    (raw / "ladder/.hidden").touch()
    assert fingerprint(raw / "ladder") == before


def test_no_sweep_has_a_name_that_a_rule_writes() -> None:
    """A folder named refused.txt beside a refused one stopped every build."""
    texts = [path.read_text(encoding="utf-8") for path in sorted((ROOT / "rules").glob("*.smk"))]
    texts.append((ROOT / "Snakefile").read_text(encoding="utf-8"))
    written = {match[2] for text in texts for match in OF_SWEEPS.finditer(text)}
    assert {"index.html", "refused.txt"} <= written
    assert written <= {*TAKEN}
