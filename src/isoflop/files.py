"""Writing files so that a reader never sees half of one, and digests of what was read."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shlex
import shutil
import sys
import tempfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

CLOCKS_DIFFER: Final = 10.0
"""Seconds that another machine's clock may be ahead; no job is done before they have passed."""
QUIET: Final = 600.0
"""Seconds without a change after which nobody is writing a file any more."""
_TEMPORARY: Final = re.compile(r"\..+\.([0-9]+)\.tmp")
"""What a killed job leaves of an output (`replacing`), or of rows that did not fit into memory
(isoflop.ingest.reading.rows.Folder): the name, and the process."""
FUTURE: Final = "is dated later than now, which Snakemake refuses"


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path beside the target, and rename it over the target on success."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        temporary.replace(path)
    except Exception as error:
        if isinstance(error, PermissionError) and not is_open(path.parent):
            # the folder is to be opened, and not the temporary file, which Polars names in words
            raise PermissionError(
                errno.EACCES, os.strerror(errno.EACCES), str(path.parent)
            ) from error
        # Polars calls a full disk a transport error
        if not isinstance(error, OSError) and _is_full(path.parent):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path)) from error
        raise
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def replacing_folder(folder: Path) -> Iterator[Path]:
    """Give a temporary folder beside the target, and give it the target's name on success.

    Where the target is there, the files move into it one by one, and others in it stay.
    """
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    temporary.mkdir(parents=True, exist_ok=True)
    try:
        yield temporary
        if folder.exists():
            for path in sorted(temporary.iterdir()):
                path.replace(folder / path.name)
        else:
            temporary.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def remove_temporaries(paths: Iterable[Path]) -> None:
    """Delete those of some paths that have the name of what was never finished.

    The caller has their folders alone: nobody else deletes or finishes them meanwhile.
    """
    for path in list(paths):
        if _TEMPORARY.fullmatch(path.name):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)  # it may have lain in one of the folders


def sweep_up(folder: Path) -> None:
    """Delete what killed processes left of files that they were writing into a folder.

    Another machine may be writing there, whose processes cannot be asked: what was written to a
    moment ago stays.
    """
    for path in folder.glob(".*.tmp"):
        match = _TEMPORARY.fullmatch(path.name)
        with suppress(OSError):  # another process sweeps, too
            if match and not _lives(int(match[1])) and time.time() - path.stat().st_mtime > QUIET:
                path.unlink()


@contextmanager
def scratch(root: Path) -> Iterator[Path]:
    """Give a build a folder for what its processes write to no output, and remove it afterwards.

    What a build of the same folder left that was killed goes first. The caller has the folder
    alone: no job of an earlier build lives on.

    Parameters
    ----------
    root : folder that the workflow runs in.

    Yields
    ------
    A new folder below the system's; that one itself, where none can be made in it.
    """
    everyones = Path(tempfile.gettempdir())
    key = hashlib.sha256(os.fsencode(root.resolve())).hexdigest()[:16]
    for path in everyones.glob(f"isoflop-{key}-*"):
        shutil.rmtree(path, ignore_errors=True)
    try:
        folder = Path(tempfile.mkdtemp(prefix=f"isoflop-{key}-"))
    except OSError:
        yield everyones
        return
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def may(path: Path | str, mode: int) -> bool:
    """Whether this user may read, write or enter a path, by the ids that the system goes by.

    Parameters
    ----------
    mode : of ``os.access``.
    """
    return os.access(path, mode, effective_ids=os.access in os.supports_effective_ids)


def is_open(folder: Path) -> bool:
    """Whether this user may make and replace files in a folder."""
    return may(folder, os.W_OK | os.X_OK)


def closed_folder(root: Path, names: Iterable[str], *, below: bool = False) -> str | None:
    """Name a folder that builds write to and this user may not.

    Parameters
    ----------
    root : folder that the workflow runs in.
    names : folders in it; those that are not there are left out.
    below : look at data itself and at the folders in them, too. A build may do without one of
        these, so that is asked once it has failed.

    Returns
    -------
    One line with what opens it; None where all are open.
    """
    folders = [root / name for name in names if (root / name).is_dir()]
    if below:
        deeper = [Path(path) for folder in folders for path, _, _ in os.walk(folder)]
        folders = [*filter(Path.is_dir, [root / "data"]), *deeper]
    for path in folders:
        if not is_open(path):
            return (
                f"{path} may not be written to by you, and builds write there. Open it: "
                f"chmod u+rwx {shlex.quote(str(path))} (its owner can), or work in a copy of "
                "your own."
            )
    return None


def cache_of_project(root: Path) -> dict[str, str]:
    """Choose a cache in the project where the user's own cannot be written to.

    Snakemake and uv keep theirs below HOME, and end in a traceback where that is read-only or, as
    of a container's user without a name, no folder at all.

    Parameters
    ----------
    root : folder that the workflow runs in.

    Returns
    -------
    XDG_CACHE_HOME for the processes of a build; nothing where HOME will do, or XDG_CACHE_HOME is
    set already.
    """
    # the specification has relative ones ignored
    if os.name == "nt" or Path(os.environ.get("XDG_CACHE_HOME", "")).is_absolute():
        return {}
    users = "~/Library/Caches" if sys.platform == "darwin" else "~/.cache"
    # expanduser() leaves the ~ of a user without a home
    deepest = Path(os.path.expanduser(users)) / "snakemake/snakemake/source-cache"  # noqa: PTH111
    if deepest.is_absolute():
        there = next(path for path in (deepest, *deepest.parents) if os.path.lexists(path))
        # of what is no folder, `/.` is nothing
        if may(f"{there}/.", os.W_OK | os.X_OK):
            return {}
    return {"XDG_CACHE_HOME": str(root.resolve() / ".run/cache")}


def _lives(process: int) -> bool:
    """Whether a process of this machine has the number."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True


def _is_full(folder: Path) -> bool:
    """Whether nothing more can be written there; what failed for want of room filled it."""
    if not hasattr(os, "statvfs"):
        return False
    return os.statvfs(folder).f_bavail == 0


def write_text(path: Path, text: str) -> None:
    """Write a text file whole."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def json_text(content: Any) -> str:
    """Lay out JSON stably; NaN and infinity are refused, since JSON has neither."""
    return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def write_json(path: Path, content: Any) -> None:
    """Write JSON with a stable layout."""
    write_text(path, json_text(content))


def name_in_project(path: Path) -> str:
    """Name an input as the project does, also where Snakemake fetched it from an object store.

    A copy lies in .snakemake/storage/<provider>/<bucket>/<prefix>/data/...; where an input was
    fetched from says nothing of its content, and must change no byte of what is made from it.
    """
    if path.parts[:2] == (".snakemake", "storage"):
        bucket = 4  # what follows it is a prefix, if there is one, and the path in the project
        for place, part in enumerate(path.parts[bucket:], start=bucket):
            if part in {"data", "reports"}:
                return Path(*path.parts[place:]).as_posix()
    return path.as_posix()


def from_the_future(paths: Iterable[Path]) -> list[Path]:
    """List the files that are dated later than now: Snakemake fails every job that reads one.

    Parameters
    ----------
    paths : files and folders; those that are not there are left out.
    """
    limit = time.time() + CLOCKS_DIFFER
    early = []
    for path in paths:
        with suppress(OSError):
            if path.stat().st_mtime > limit:
                early.append(path)
    return early


def digest(path: Path, size: int | None = None) -> str:
    """Give the sha256 of a file's bytes, or of the first `size` of a file that may grow."""
    with path.open("rb") as stream:
        if size is None:
            return hashlib.file_digest(stream, "sha256").hexdigest()
        hashed = hashlib.sha256()
        while size > 0 and (piece := stream.read(min(size, 1 << 20))):
            hashed.update(piece)
            size -= len(piece)
        return hashed.hexdigest()
