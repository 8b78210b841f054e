"""Which files a sweep's folder has, and what in it is none: each gets a fate.

Links are followed inside the folder only, so that a sweep from somebody else cannot carry a file of
this machine into tables, reports and archives.
"""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from isoflop.files import may

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OUTSIDE: Final = (
    "a link out of the sweep's folder, which is not followed: copy the logs in, or make "
    "data/raw/<sweep> itself the link"
)
DEAD: Final = "a link to nothing"
CIRCLE: Final = "a link that leads back to itself"
NO_FILE: Final = "neither a file nor a folder"
STORES: Final = {
    ".aim": "Aim's store, which Aim alone reads: where Aim is, write a row a step of what "
    "aim.Repo('.').query_metrics() gives to a CSV file",
    ".neptune": "Neptune's offline data: send it by 'neptune sync', and export the project to "
    "Parquet by Neptune's exporter",
    ".cometml-runs": "Comet's offline runs: send them by 'comet upload', and write a row a step of "
    "what comet_ml.API().get_experiment(...).get_metrics() gives to a CSV file",
}
"""Hidden folders in which trackers keep runs, and how to bring these in."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a sweep's folder.

    Attributes
    ----------
    path : where it is.
    reason : why it is not read; None for a file.
    fate : `rejected`, or `ignored` where nothing is lost by not reading it.
    """

    path: Path
    reason: str | None = None
    fate: str = "rejected"


def walk(folder: Path) -> list[Entry]:
    """List a sweep's files, sorted by path, and what is named as none.

    Hidden entries belong to an editor or a file manager and are not looked at, but a tracker's
    store is named. The folder itself may be a link. What this user may not read is no file: whoever
    lists inputs, tells states apart or packs an archive knows so before opening it.
    """
    base = folder.resolve()
    links: list[Path] = []
    walked: set[Path] = set()
    entries = list(_below(folder, base, links, walked))
    while links:
        link = links.pop(0)
        if link.resolve() in walked:
            entries.append(Entry(link, "a link to a folder whose files are read there", "ignored"))
        else:
            entries.extend(_below(link, base, links, walked))
    return sorted(entries, key=lambda entry: entry.path)


def _below(folder: Path, base: Path, links: list[Path], walked: set[Path]) -> Iterator[Entry]:
    """List the entries below a folder, links to folders inside the base set aside."""
    walked.add(folder.resolve())
    try:
        with os.scandir(folder) as scanned:
            listed = sorted(entry.name for entry in scanned)
        _insist(folder, os.X_OK)  # names without what they stand for, if that is all one may have
    except OSError as error:
        yield Entry(folder, because(error))
        return
    for name in listed:
        path = folder / name
        if name in STORES:
            yield Entry(path, STORES[name])
        elif _is_hidden(name):
            continue
        elif path.is_symlink():
            why = _refused(path, base)
            if why is not None:
                yield Entry(path, why)
            elif path.is_dir():
                links.append(path)
            else:
                yield _file(path)
        elif path.is_dir():
            yield from _below(path, base, links, walked)
        else:
            yield _file(path)


def _is_hidden(name: str) -> bool:
    """Tell an editor's or a file manager's entry; Hydra keeps a run's settings in one, too."""
    return name.startswith(".") and name != ".hydra"


def _refused(link: Path, base: Path) -> str | None:
    """Say why a link is not followed; None if it leads to something inside the base."""
    try:
        target = link.resolve(strict=True)
    except FileNotFoundError:
        return DEAD
    except (OSError, RuntimeError) as error:  # RuntimeError: a circle, before Python 3.13
        return CIRCLE if isinstance(error, RuntimeError) else because(error)
    return None if target.is_relative_to(base) else OUTSIDE


def _file(path: Path) -> Entry:
    try:
        if not path.is_file():
            return Entry(path, NO_FILE)
        _insist(path, os.R_OK)
    except OSError as error:
        return Entry(path, because(error))
    return Entry(path)


def _insist(path: Path, mode: int) -> None:
    """Ask whether this user may read a file, or enter a folder, without opening it.

    Raises
    ------
    PermissionError : the answer is no.
    """
    if not may(path, mode):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))


def because(error: OSError) -> str:
    """Say in words why the system does not let a file be read."""
    return f"cannot be read: {(error.strerror or type(error).__name__).lower()}"
