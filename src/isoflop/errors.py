"""The one family of errors that the command line shows as a message instead of a traceback."""

from __future__ import annotations

import errno
import os
from typing import Final

FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
SAYS_FULL: Final = "the disk is full"
CLOSED: Final = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})
NO_MEMORY: Final = ("failed to map segment", "Cannot allocate memory", "memory allocation")
"""What libraries print when the system gives no more memory."""
NO_THREAD: Final = os.strerror(errno.EAGAIN)
"""What the system says of a thread for which it has no memory, or no place among its tasks."""
REMEDY: Final = "Then run the same command again: nothing that is half-written has its final name."


class IsoflopError(Exception):
    """What went wrong, in words for the user: the file, the run, the fact and the fix.

    Names, keys and values in it are from files of anyone: no sign of them moves a cursor, wherever
    the words are printed.
    """

    def __str__(self) -> str:
        """Write the words as lines of printable signs."""
        from isoflop.escape import lines  # which has errors of its own

        return lines(super().__str__())


class ConfigError(IsoflopError):
    """config.yaml or a side-car file is not what its model says."""


class MissingFactError(IsoflopError):
    """A run lacks a fact (N, tokens per step, ...) that neither log nor sweep.yaml gives."""


class UnderdeterminedError(IsoflopError):
    """A fit has too few runs, sizes or budgets to mean anything."""


class OpenSizeError(UnderdeterminedError):
    """A fit leaves the best size open: its law answers, and not the runs."""


def machine_fault(error: BaseException) -> str | None:
    """Say what the machine lacks when an error comes of that, and what to do about it.

    A full disk or too little memory is no fault of the code, and a traceback would hide it. Some
    libraries wrap the system's error, so its words are looked for, too.

    Returns
    -------
    One line, or None where the error is of another kind.
    """
    number = error.errno if isinstance(error, OSError) else None
    place = f" ({error.filename})" if isinstance(error, OSError) and error.filename else ""
    text = str(error)
    if number in FULL or any(os.strerror(n) in text for n in FULL):
        return (
            f"{SAYS_FULL}{place}. Free some space, or name a folder on another disk in TMPDIR "
            f"if temporary files filled it. {REMEDY}"
        )
    if (
        isinstance(error, MemoryError)
        or number == errno.ENOMEM
        or any(t in text for t in NO_MEMORY)
    ):
        return f"memory ran out. Ask for more, or run fewer jobs at once (--cores 1). {REMEDY}"
    if number == errno.EAGAIN or NO_THREAD in text:
        return (
            "no thread could be started: memory, or what ulimit -u allows, ran out. Ask for more, "
            f"or run fewer jobs at once (--cores 1). {REMEDY}"
        )
    if isinstance(error, PermissionError) and number is None:  # Polars has the file in its words
        return f"{text}. Mend its permissions. {REMEDY}"
    if number in CLOSED and isinstance(error, OSError):
        return f"{error.filename or 'a file'}: {error.strerror}. Mend its permissions. {REMEDY}"
    return None
