"""Which folders below data/raw are sweeps that can be built, and what to do about the others."""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import unicodedata
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from isoflop.files import FUTURE, from_the_future
from isoflop.walk import because, walk

if TYPE_CHECKING:
    from pathlib import Path

SIDECAR = "sweep.yaml"
TAKEN = {
    "index.html": "reports/index.html is the page of all sweeps",
    "published": "reports/published is the page of published studies",
    "refused.txt": "reports/refused.txt lists the folders that are no sweeps",
}
"""Names below reports/ and data/*/ that a rule writes: all that stand there without a wildcard."""
SUFFIXES = (".runs", ".files", ".evals", ".gates", ".left_out", ".alternate_loss", ".draws")
"""What tells a sweep's tables apart: the curves of a sweep `x.runs` would be the runs of `x`."""
REPLACED = re.compile(r"[{}]|<[a-z][a-z0-9_]*>")
"""What Snakemake replaces in a path: wildcards, and path variables such as <results>."""
MEANING = "Snakemake takes {, } and names in < > for what it replaces"
SHELL = re.compile(r"[$`\"'\\]")
"""What a shell takes for its own inside quotes: where a cluster's plugin hands a job to it, the
name of a sweep stands in the command, and `$(...)` of a name would be run."""
CONTROLS = frozenset({"Cc", "Zl", "Zp"})
"""Unicode categories of what ends a line or steers a terminal; lists have a path on each line."""
UNPRINTED = "control characters, such as a line break"
LONGEST = 200
"""Bytes of a sweep's name: file systems allow 255, and a table adds `.alternate_loss.parquet` and
what marks a temporary file."""
PERIODIC = re.compile(r"(.+)\1{19}$")
"""Snakemake takes such an ending for a rule that calls itself without end."""


def find_sweeps(raw: Path, *, stored: bool = False) -> tuple[list[str], list[str]]:
    """List the sweeps that can be built.

    Parameters
    ----------
    raw : folder of all sweeps, data/raw.
    stored : whether raw logs lie in an object store, so that one that is listed need not lie here.

    Returns
    -------
    Names of the sweeps, sorted; and for everything else in the folder, hidden entries and README.md
    apart, one complaint that names it and says what to do. A folder that cannot be listed is a
    complaint itself.
    """
    sweeps, complaints = [], []
    try:
        paths = sorted(raw.iterdir())
    except FileNotFoundError:
        paths = []
    except OSError as error:
        return [], [f"{_shown(raw)}: {_locked(raw, error)}"]
    for path in paths:
        if path.name.startswith(".") or path.name == "README.md":
            continue
        try:
            complaint = _complaint(path, stored=stored)
        except OSError as error:  # one sweep that the system does not give stops no other
            complaint = _locked(path, error)
        if complaint is None:
            sweeps.append(path.name)
        else:
            complaints.append(f"{_shown(path)}: {complaint}")
    return sweeps, complaints


def _complaint(path: Path, *, stored: bool) -> str | None:
    """Say why an entry of data/raw is no sweep that can be built, and what to do about it.

    Raises
    ------
    OSError : the system does not let the folder, or its side-car, be looked into.
    """
    try:
        path.stat()
    except FileNotFoundError:
        return "a link to nothing. Mend it or remove it."
    if not path.is_dir():
        return f"outside any sweep. Move raw logs into {path.parent}/<sweep>/."
    if (why := _unusable(path.name)) is not None:
        return f"{why}. Rename the folder."
    with os.scandir(path):
        pass  # walk would find nothing in a folder that may be entered and not listed
    try:
        (path / SIDECAR).stat()  # is_file() of newer Pythons is False where this is refused
    except FileNotFoundError:
        return _without_sidecar(path)
    if not (path / SIDECAR).is_file():
        return _without_sidecar(path)
    with (path / SIDECAR).open("rb"):
        return _unusable_list(path, stored=stored) or _unusable_files(path)


def _locked(path: Path, error: OSError) -> str:
    """Say what the system refuses below a folder, and what to do about it."""
    at = f"{_shown(os.fsdecode(error.filename))} " if error.filename else ""
    if isinstance(error, PermissionError):
        quoted = _shown(shlex.quote(str(path)))
        remedy = (
            f"Let yourself read it: chmod -R u+rX {quoted} (its owner can), or work on a copy of "
            "your own."
        )
    else:
        remedy = "Mend it, or move it away."
    return f"{at}{because(error)}. {remedy}"


def _unusable_files(folder: Path) -> str | None:
    """Say which of a sweep's files have names that cannot be a workflow's."""
    entries = list(walk(folder))
    names = [str(entry.path.relative_to(folder)) for entry in entries]
    for why, remedy, is_one in (
        (MEANING, "Rename without them", REPLACED.search),
        (f"names with {UNPRINTED}", "Rename without them", _has_controls),
        ("names that are not UTF-8", "Rename", lambda name: not _is_text(name)),
    ):
        if listed := ", ".join(_shown(name) for name in names if is_one(name)):
            return f"{why}. {remedy}: {listed}."
    if unlisted := _unlisted(folder, names):
        return unlisted
    if early := from_the_future(entry.path for entry in entries if entry.reason is None):
        return (
            f"{_shown(early[0].relative_to(folder))} {FUTURE}. Set the clock right, or date it "
            f"now: touch {_shown(shlex.quote(str(early[0])))}"
            + (f" (and {len(early) - 1} more of the folder)." if early[1:] else ".")
        )
    return None


def _manifest(folder: Path) -> Path:
    """Name the list of a sweep's logs."""
    return folder.parent.parent / "manifests" / f"{folder.name}.txt"


def listed_files(folder: Path) -> list[str] | None:
    """List what the list of a sweep's logs has, sorted, each below its folder.

    Returns
    -------
    Paths as the list writes them; None where there is no list.

    Raises
    ------
    UnicodeDecodeError : it is not UTF-8.
    """
    manifest = _manifest(folder)
    if not manifest.is_file():
        return None
    lines = manifest.read_text(encoding="utf-8-sig").split("\n")
    return sorted({line.strip() for line in lines} - {""})


def _unusable_list(folder: Path, *, stored: bool) -> str | None:
    """Say what in the list of a sweep's logs names none of them, and what to do about it."""
    manifest = _manifest(folder)
    try:
        listed = listed_files(folder) or []
    except UnicodeDecodeError:
        return f"{manifest} is not UTF-8. Save it as UTF-8."
    for name in listed:
        line = f"{manifest} lists {_shown(name)!r}"
        path = PurePosixPath(name)
        if path.is_absolute() or str(path) != name or ".." in path.parts:
            return f"{line}, which is no path below the folder, such as fit/a.log. Correct it."
        if REPLACED.search(name) or _has_controls(name):
            return f"{line}. {MEANING}, and a line is one name. Rename the log without them."
        # Snakemake takes what was made from a log that is gone for a source, and is done
        if not stored and not (folder / name).exists():
            return f"{line}, which is not there. Bring it back, or take it off the list."
    return None


def _unlisted(folder: Path, names: list[str]) -> str | None:
    """Say which files lie in a sweep's folder that its list of logs does not have.

    The list says what is there where logs lie in an object store; ingest reads the folder that they
    are fetched to, so what lies in it besides would be read, and not be known of.
    """
    listed = listed_files(folder)
    if listed is None or not (others := sorted({*names} - {*listed, SIDECAR})):
        return None
    more = f" and {len(others) - 1} more" if others[1:] else ""
    return (
        f"{_manifest(folder)} lists its logs, and not {_shown(others[0])}{more}, which lie here. "
        "List them, move them away, or remove the list if no log lies in an object store."
    )


def _unusable(name: str) -> str | None:
    """Say why a folder's name cannot be a sweep's."""
    if name in TAKEN:
        return f"no name for a sweep, since {TAKEN[name]}"
    if _has_controls(name):
        return f"a name with {UNPRINTED}"
    for refused, why in (
        (REPLACED, MEANING),
        (SHELL, "a shell may run what follows $, `, a quote or a backslash in a name"),
        (PERIODIC, "the name ends in twenty repetitions, which Snakemake refuses"),
    ):
        if refused.search(name):
            return why
    for suffix in SUFFIXES:
        if name.endswith(suffix):
            other = name.removesuffix(suffix)
            return f"{suffix} at the end marks a table of a sweep {other!r}"
    return _unwritable(name)


def _unwritable(name: str) -> str | None:
    """Say why a sweep's files cannot have its name in theirs."""
    if not _is_text(name):
        return "the name is not UTF-8"
    size = len(name.encode())
    if size > LONGEST:
        return f"the name has {size} bytes, where {LONGEST} leave room for what files' names add"
    return None


def _has_controls(name: str) -> bool:
    """Whether a name has characters that no line of text can show."""
    return any(unicodedata.category(character) in CONTROLS for character in name)


def _shown(path: Path | str) -> str:
    r"""Write a path as one line that any terminal and log can take: \n for a line break."""
    return "".join(
        character.encode("unicode_escape").decode()
        if unicodedata.category(character) in {*CONTROLS, "Cs"}
        else character
        for character in str(path)
    )


def _is_text(name: str) -> bool:
    """Whether a name can be written as UTF-8; Python keeps other bytes as lone surrogates."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def sidecar_that_is_none(folder: Path) -> str | None:
    """Say what a sweep.yaml is that is there and is no file, and what to do about it.

    Parameters
    ----------
    folder : folder of a sweep's raw logs.

    Returns
    -------
    None where it is a file, or is not there.
    """
    path = folder / SIDECAR
    if path.is_file():
        return None
    if path.is_dir():
        what = "a folder"
    elif path.exists():
        what = "a pipe, a socket or a device"
    elif path.is_symlink():
        what = "a link to nothing"
    else:
        return None
    return (
        f"{SIDECAR} is {what}, where a file belongs. Move {path} away and create a file in its "
        f"place, with at least the line `title: {folder.name}` (docs/ingest.md)."
    )


def _without_sidecar(path: Path) -> str:
    """Say what to write, what to put another file in place of, or which misspelt one to rename."""
    if (other := sidecar_that_is_none(path)) is not None:
        return other
    close = [
        entry.name
        for entry in sorted(path.iterdir())
        if entry.name.lower() in {"sweep.yaml", "sweep.yml", "sweep.yaml.txt"} and entry.is_file()
    ]
    if close:
        return f"no {SIDECAR}, but {close[0]}. Rename it to {path / SIDECAR}."
    return (
        f"no {SIDECAR}. Create {path / SIDECAR} with at least the line `title: {path.name}` "
        "(docs/ingest.md), or move the folder away if it is no sweep."
    )


def raw_files(folder: Path) -> list[Path]:
    """List the files of a sweep's folder, sorted; hidden ones and links out of it are none."""
    return [entry.path for entry in walk(folder) if entry.reason is None]


def fingerprint(folder: Path) -> str:
    """Tell one state of a sweep's raw logs from another, without reading them.

    sweep.yaml is no part of it: its content is known, and its settings change no curve.

    Being newer than the outputs is not enough: `rsync -a`, `cp -p` and `tar` leave a replaced log
    with its old time.

    Returns
    -------
    sha256 over names, sizes and modification times, and over what is there without being a file.
    """
    digest = hashlib.sha256()
    for entry in walk(folder):
        name = str(entry.path.relative_to(folder))
        if name == SIDECAR:
            continue
        try:
            facts = entry.path.stat()
            state = f"{facts.st_size} {facts.st_mtime_ns}"
        except OSError:
            state = "none"
        line = f"{name}\0{entry.reason or state}\n"
        digest.update(line.encode(errors="surrogateescape"))
    return digest.hexdigest()
