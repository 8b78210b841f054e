"""What the workflow has made, by digest, so that an output that was changed later is made anew.

Snakemake goes by times: it believes an output whose content changed while its time did not (a
flipped bit, a copy cut short), and takes an edited one for newer input. So a build writes the
digests of its outputs down when it ends, and the next one compares them before it plans anything.
"""

from __future__ import annotations

import base64
import json
import os
import re
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from isoflop.files import digest, write_text
from isoflop.sweep_folders import SUFFIXES, TAKEN

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

RECORD: Final = Path(".run/outputs.json")
FOLDERS: Final = ("data/curves", "data/losses", "data/estimates", "data/published", "reports")
DATED: Final = (*FOLDERS, "data/corpora", "data/checkpoints")
"""Where outputs are that Snakemake compares the times of."""
MARK: Final = ".snakemake_timestamp"
"""Snakemake's mark of a folder that is one output as a whole."""
INCOMPLETE: Final = Path(".snakemake/incomplete")
"""Where Snakemake marks outputs of jobs that began and did not end."""

TABLE: Final = re.compile(rf"(?:{'|'.join(map(re.escape, SUFFIXES))})?\.parquet$|\.complaint\.txt$")
"""How names of tables end after a sweep's name."""

SKEW: Final = 10**9
"""Nanoseconds that the clock of a file server may be ahead."""

METADATA: Final = Path(".snakemake/metadata")
"""Where Snakemake keeps what it knows of each output that it has made."""


class Made(NamedTuple):
    """An output as it was made; size and time tell whether it was written since."""

    size: int
    changed: int
    sha256: str


def build_begins(root: Path) -> None:
    """Note that outputs may be written from now on.

    What was changed before keeps the digest that it was made with, and gets its present time, so
    that it is not taken for this build's.

    Parameters
    ----------
    root : folder that the workflow runs in.
    """
    ended, outputs = _read(root)
    if ended:
        for name, made in outputs.items():
            if facts := _facts(root / name):
                outputs[name] = Made(*facts, made.sha256)
    _write(root, outputs, ended=False)


def build_ends(root: Path) -> None:
    """Write down the digest of every output; only those written since the last time are read.

    What Snakemake has not made is none: a fit by hand may lie beside its estimates. But Snakemake
    forgets all that it made where .snakemake is deleted, so what was an output before and was left
    alone since is one still.

    Parameters
    ----------
    root : folder that the workflow runs in.
    """
    _, before = _read(root)
    outputs = {}
    for path in _files(root):
        if (facts := _facts(path)) is None:
            continue
        name = path.relative_to(root).as_posix()
        made = before.get(name)
        if made is not None and facts == made[:2]:
            outputs[name] = made
        elif _record_of(root, METADATA, _output(root, path)).is_file():
            outputs[name] = Made(*facts, digest(path))
    _write(root, outputs, ended=True)


def changed_outputs(root: Path, sweeps: Collection[str]) -> list[str]:
    """List the outputs whose content is not what a build wrote.

    A build that was killed may have written what is newer than the record, so then only the outputs
    that it left alone are compared. Nothing makes an output of a sweep that is not built, so none
    of those is listed; the record keeps its digest until the sweep is built again.

    Parameters
    ----------
    root : folder that the workflow runs in.
    sweeps : those that the build to come is of.

    Returns
    -------
    Outputs as Snakemake names them, sorted: files, and folders that are one output. Empty where no
    build has ended yet.
    """
    ended, outputs = _read(root)
    changed = set()
    built = {None, *TAKEN, *sweeps}
    for name, made in outputs.items():
        if _sweep_of(name) not in built:
            continue
        path = root / name
        facts = _facts(path)
        if facts is None:
            # a lost output is Snakemake's to notice, but not a lost file of a folder that is one
            output = _output(root, path)
            if ended and output != name:
                changed.add(output)
            continue
        if not (ended or facts == made[:2]):
            continue
        if facts[0] != made.size or digest(path) != made.sha256:
            changed.add(_output(root, path))
    return sorted(changed)


def stale_outputs(root: Path) -> dict[str, list[Path]]:
    """List what builds made of sweeps that data/raw no longer has: renamed or deleted ones.

    What nobody has made by the workflow, beside its outputs, is none of them.

    Parameters
    ----------
    root : folder that the workflow runs in.

    Returns
    -------
    Sweep to its outputs that are there, sorted.
    """
    kept = {path.name for path in (root / "data/raw").glob("*")} | {*TAKEN}
    _, outputs = _read(root)
    stale: dict[str, list[Path]] = {}
    for name in sorted(outputs):
        sweep = _sweep_of(name)
        if sweep is not None and sweep not in kept and (root / name).exists():
            stale.setdefault(sweep, []).append(root / name)
    return stale


def _sweep_of(output: str) -> str | None:
    """Name the sweep that an output is of; None where it is of no sweep or of all."""
    for folder in ("reports", "data/estimates"):
        rest = output.removeprefix(f"{folder}/")
        if rest != output:
            return rest.partition("/")[0] if "/" in rest else None
    for folder in ("data/curves", "data/losses"):
        rest = output.removeprefix(f"{folder}/")
        if rest != output:
            return None if "/" in rest else TABLE.sub("", rest)
    return None


def outputs_to_the_present(root: Path) -> datetime | None:
    """Date outputs from the future now, in their order, so that a later edit is newer than they.

    They were made while the clock was ahead. Until their time has come, Snakemake would take each
    of them for newer than whatever is edited, and fail the jobs that read it.

    Parameters
    ----------
    root : folder that the workflow runs in.

    Returns
    -------
    The latest time of them; None where none is from the future.
    """
    now = time.time_ns()
    later = {}
    for path in (path for folder in DATED for path in (root / folder).rglob("*")):
        moment = path.lstat().st_mtime_ns
        if moment > now + SKEW:
            later[path] = moment
    if not later:
        return None
    # those of one time keep one time; what is no output of ours stays older than all of them
    order = sorted(set(later.values()))
    places = {moment: place for place, moment in enumerate(order)}
    for path, moment in later.items():
        dated = now - 1000 * (len(order) - places[moment])
        os.utime(path, ns=(dated, dated), follow_symlinks=False)
    return datetime.fromtimestamp(order[-1] / 1e9, tz=UTC).astimezone()


def mark_incomplete(root: Path, output: str) -> None:
    """Mark an output as Snakemake marks those of a job that was killed.

    It makes them anew with `--rerun-incomplete`, which run.py and `isoflop run` give it; without,
    it names them and refuses to go on.

    Parameters
    ----------
    root : folder that the workflow runs in.
    output : one of ``changed_outputs``.
    """
    mark = _record_of(root, INCOMPLETE, output)
    mark.parent.mkdir(parents=True, exist_ok=True)
    mark.write_text(json.dumps({"external_jobid": None}))


def _record_of(root: Path, folder: Path, output: str) -> Path:
    """Name the file in which Snakemake keeps something of an output (snakemake.persistence.file).

    The path in base 64, cut into names of lawful length.
    """
    encoded = base64.urlsafe_b64encode(output.encode()).decode()
    longest = (os.pathconf(root, "PC_NAME_MAX") if os.name == "posix" else 255) - 1
    pieces = [encoded[start : start + longest] for start in range(0, len(encoded), longest)]
    return (root / folder).joinpath(*(f"@{piece}" for piece in pieces[:-1]), pieces[-1])


def _files(root: Path) -> Iterator[Path]:
    for folder in FOLDERS:
        for path in sorted((root / folder).rglob("*")):
            if not path.name.startswith(".") and path.is_file():
                yield path


def _facts(path: Path) -> tuple[int, int] | None:
    try:
        facts = path.stat()
    except OSError:
        return None
    return facts.st_size, facts.st_mtime_ns


def _output(root: Path, path: Path) -> str:
    """Name the output that a file is, or is part of."""
    for folder in path.relative_to(root).parents:
        if (root / folder / MARK).exists():
            return folder.as_posix()
    return path.relative_to(root).as_posix()


def _read(root: Path) -> tuple[bool, dict[str, Made]]:
    """Read whether the last build ended, and its outputs; nothing where there is no record."""
    try:
        content = json.loads((root / RECORD).read_text(encoding="utf-8"))
        return bool(content["ended"]), {
            str(name): Made(int(size), int(changed), str(sha256))
            for name, (size, changed, sha256) in content["outputs"].items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False, {}


def _write(root: Path, outputs: dict[str, Made], *, ended: bool) -> None:
    write_text(root / RECORD, json.dumps({"ended": ended, "outputs": outputs}))
