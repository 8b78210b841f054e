"""Showing that a process works in a project's folder.

A shared lock dies with its process, whatever killed it. So `run.py` can tell a build that is
running, or a job that has outlived its build, from one that was killed, and lift Snakemake's lock
(which outlives everything) only then.
"""

from __future__ import annotations

import os
import platform
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from isoflop.errors import IsoflopError

if TYPE_CHECKING:
    from collections.abc import Iterator

VARIABLE = "ISOFLOP_JOBS_LOCK"
"""Environment variable that tells a job the path of the lock."""
JOBS_LOCK: Final = Path(".run/jobs.lock")
"""Below a project's folder, as run.py has it: snakemake and its jobs share it."""
BUILD_LOCK: Final = Path(".run/build.lock")
"""As run.py has it: whoever starts a build has it alone, and has written into it who that is."""
DYING: Final = 3.0
"""Seconds that a build waits for a lock: killed processes on a busy machine take some to die."""


class FolderInUseError(IsoflopError):
    """A living process works in the folder."""


def share_folder(path: Path) -> None:
    """Take a share of a lock until this process ends.

    Parameters
    ----------
    path : the lock file; made where it is missing.
    """
    try:
        import fcntl
    except ImportError:  # Windows has no flock; run.py then lifts no lock either
        return
    path.parent.mkdir(exist_ok=True)
    # never closed: the lock lasts as long as the descriptor
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    # a file system without locks: run.py learns so too, and lifts no lock
    with suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_SH)


def share_folder_of_build() -> None:
    """Take a share of the lock that the build names, when a build runs this process."""
    path = os.environ.get(VARIABLE)
    if path:
        share_folder(Path(path))


@contextmanager
def alone(path: Path) -> Iterator[int | None]:
    """Have a lock alone.

    Parameters
    ----------
    path : the lock file; made where it is missing. Whoever has it is waited for, for ``DYING``.

    Yields
    ------
    Its descriptor; None where there are no locks (Windows, some file systems): nothing is then
    known of who works in the folder.

    Raises
    ------
    FolderInUseError : another process has the lock, or a share of it.
    """
    try:
        import fcntl
    except ImportError:  # Windows
        yield None
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        until = time.monotonic() + DYING
        has_it = False
        while not has_it:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                has_it = True
            except BlockingIOError as error:
                if time.monotonic() > until:
                    who = os.read(descriptor, 1000).decode(errors="replace").strip()
                    raise FolderInUseError(
                        f"another build works in {path.parent.parent}{f': {who}' if who else ''}. "
                        "Wait for it or end it, then run this again."
                    ) from error
                time.sleep(0.1)
            except OSError:  # a file system without locks
                break
        yield descriptor if has_it else None
    finally:
        os.close(descriptor)


@contextmanager
def build_alone(root: Path, command: str) -> Iterator[int | None]:
    """Keep other builds out of a folder; the descriptor is for the build to inherit.

    A build that outlives its starter, which was killed alone, then has the lock still.

    Parameters
    ----------
    root : folder of the project.
    command : what others are told is at work.

    Yields
    ------
    As ``alone``.

    Raises
    ------
    FolderInUseError : another build works there.
    """
    with alone(root / BUILD_LOCK) as descriptor:
        if descriptor is not None:
            since = time.strftime("%Y-%m-%d %H:%M:%S")
            holder = f"`{command}` (process {os.getpid()} on {platform.node()}, since {since})"
            try:
                os.ftruncate(descriptor, 0)
                os.write(descriptor, holder.encode())
            except OSError as error:  # which of a descriptor does not name the file
                raise OSError(error.errno, error.strerror, str(root / BUILD_LOCK)) from error
        yield descriptor
