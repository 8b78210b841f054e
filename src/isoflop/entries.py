"""Entries of a cache: parts behind a checksum, read as they were written or not at all.

The checksum is of the entry's name too: what was written of one file is never read as another's.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from functools import cache as once
from pathlib import Path
from typing import TYPE_CHECKING, Final

import polars as pl

from isoflop.files import replacing

if TYPE_CHECKING:
    from collections.abc import Mapping

_CHECKSUM: Final = hashlib.sha256().digest_size
_LENGTH: Final = 8


@once
def package_code() -> str:
    """Give a digest of the package's code, and of the library that reads and writes tables."""
    code = hashlib.sha256(pl.__version__.encode())
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        code.update(path.read_bytes())
    return code.hexdigest()


def write_entry(path: Path, parts: Mapping[str, bytes]) -> bool:
    """Write an entry whole; what cannot be written, on a full disk, costs speed only.

    Parameters
    ----------
    path : the entry.
    parts : what is in it, by name.

    Returns
    -------
    Whether it was written.
    """
    head = json.dumps({name: len(part) for name, part in parts.items()}).encode()
    content = b"".join([len(head).to_bytes(_LENGTH), head, *parts.values()])
    with contextlib.suppress(OSError), replacing(path) as temporary:
        temporary.write_bytes(content + _checksum(path, content))
        return True
    return False


def _checksum(path: Path, content: bytes) -> bytes:
    return hashlib.sha256(path.name.encode() + b"\0" + content).digest()


def read_entry(path: Path) -> dict[str, bytes] | None:
    """Read an entry's parts; None if there is none, or it is not as it was written."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    content, checksum = content[:-_CHECKSUM], content[-_CHECKSUM:]
    if _checksum(path, content) != checksum:
        return None
    place = _LENGTH + int.from_bytes(content[:_LENGTH])
    try:
        lengths: dict[str, int] = json.loads(content[_LENGTH:place])
    except ValueError:
        return None  # whole, but of another version
    parts = {}
    for name, length in lengths.items():
        parts[name] = content[place : place + length]
        place += length
    return parts
