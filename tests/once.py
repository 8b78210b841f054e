"""What is costly to make is made by one process of a test run, and read by all."""

from __future__ import annotations

import atexit
import fcntl
import os
import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

VARIABLE: Final = "ISOFLOP_TESTS_SHARED"
"""Environment variable that tells every process of a run where what they share lies."""


@cache
def open_shared() -> Path:
    """Give the run's folder; the first process that asks makes it, and removes it at its end."""
    named = os.environ.get(VARIABLE)
    if named:
        return Path(named)
    folder = Path(tempfile.mkdtemp(prefix="isoflop-tests-"))
    os.environ[VARIABLE] = str(folder)
    owner = os.getpid()

    def remove() -> None:
        if os.getpid() == owner:  # and not in a fork of it
            shutil.rmtree(folder, ignore_errors=True)

    atexit.register(remove)
    return folder


def once(name: str, make: Callable[[Path], None]) -> Path:
    """Give a folder that `make` filled, for the first that asked; nobody may write into it.

    Whoever changes something copies it: an edit would be seen by tests of other processes.
    """
    target = open_shared() / name
    made = target.with_name(f"{name}.made")
    with target.with_name(f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            # what an attempt that failed left; under its last name, which what it writes may have
            shutil.rmtree(target, ignore_errors=True)
            target.mkdir()
            make(target)
            made.touch()
    return target
