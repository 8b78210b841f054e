"""Showing that a process works in a project's folder.

A shared lock dies with its process, whatever killed it. So `run.py` can tell a build that is
running, or a job that has outlived its build, from one that was killed, and lift Snakemake's lock
(which outlives everything) only then.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

VARIABLE = "ISOFLOP_JOBS_LOCK"
"""Environment variable that tells a job the path of the lock."""


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


def is_shared(path: Path) -> bool:
    """Say whether another process has a share of a lock.

    Parameters
    ----------
    path : the lock file; nobody shares one that is missing.
    """
    try:
        import fcntl
    except ImportError:  # Windows: nobody could take a share
        return False
    if not path.exists():
        return False
    with path.open("rb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:  # a file system without locks
            return False
    return False
