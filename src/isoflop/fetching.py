"""Files from elsewhere: a local mirror first, then the network; one error for both."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from isoflop.errors import IsoflopError
from isoflop.files import digest

if TYPE_CHECKING:
    from collections.abc import Callable

    Download = Callable[[str], Path]


class FetchError(IsoflopError):
    """A file is not to be had, or is not the one that was asked for."""


def in_mirror(mirror: Path | None, *paths: str) -> Path | None:
    """Find a file in a mirror.

    Parameters
    ----------
    mirror : its folder; None for none.
    paths : where the file may lie below it, the likeliest first.
    """
    if mirror is None:
        return None
    return next((mirror / path for path in paths if (mirror / path).is_file()), None)


def mirror_hint(mirror: Path | None, setting: str, wanted: str) -> str:
    """Say how to give a file by a mirror.

    Parameters
    ----------
    mirror : the mirror that lacks it; None where none was named.
    setting : what names a mirror besides ISOFLOP_MIRROR, such as "published.mirror in config.yaml".
    wanted : the file's path below it.
    """
    where = "No mirror is named" if mirror is None else f"The mirror {mirror} lacks {wanted}"
    return f"{where}: set {setting}, or ISOFLOP_MIRROR, to a folder with {wanted}"


def require_digest(path: Path, sha256: str, what: str) -> None:
    """Refuse a file that is not the one that was asked for.

    Raises
    ------
    FetchError : its sha256 is another; `what` says in the message which file, from where.
    """
    actual = digest(path)
    if actual != sha256:
        raise FetchError(f"{what} has sha256 {actual}, expected {sha256}. Nothing was written")


def downloader(cache: Path) -> Download:
    """Download over the network, keeping what was fetched, so that an interrupted fetch goes on.

    Parameters
    ----------
    cache : folder for the copies, named by the digest of their address.

    Returns
    -------
    A function that gives a local copy of what lies at an address; it raises FetchError. Digests
    are compared by the caller, for mirror and network in the same words.
    """
    import pooch

    pooch.get_logger().setLevel("WARNING")

    def download(address: str) -> Path:
        name = hashlib.sha256(address.encode()).hexdigest()[:16]
        try:
            return Path(pooch.retrieve(address, known_hash=None, fname=name, path=cache))
        except OSError as error:
            raise FetchError(f"{address} cannot be fetched ({error})") from error

    return download
