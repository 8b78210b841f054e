"""Archives: tar, compressed or not, and zip. Each member is a file with a fate of its own.

Nothing is unpacked by its name: a member is spooled under a name of ours, read and removed, one at
a time. Links are not followed, and what unpacks to far more than logs do ends the archive.
"""

from __future__ import annotations

import hashlib
import lzma
import tarfile
import tempfile
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from isoflop.ingest.reading.source import RawFile, shown

if TYPE_CHECKING:
    from collections.abc import Iterator

FORMATS: Final = frozenset({"tar", "zip"})
MOST_MEMBERS: Final = 100_000
LARGEST_MEMBER: Final = 64 << 30
"""Bytes of a member that are spooled."""
RATIO: Final = 300
"""Bytes unpacked for each byte of the archive; logs compress to a tenth, at most to a hundredth."""
FREE: Final = 256 << 20
"""Bytes that any archive may unpack to."""
LINK: Final = "a link in an archive, which is not followed"
TOO_MANY: Final = f"the archive has more than {MOST_MEMBERS} members; the others are not read"
BOMB: Final = f"it unpacks to more than {RATIO} times its size, as no log does; not read on"
_PIECE: Final = 1 << 20
_DAMAGED = (
    EOFError, OSError, RuntimeError, NotImplementedError, ValueError, zlib.error, lzma.LZMAError,
    tarfile.TarError, zipfile.BadZipFile,
)  # fmt: skip
"""What reading a damaged, encrypted or cut archive raises."""
_CHECKPOINT: Final = ("data.pkl", ".data/serialization_id", "byteorder")
CHECKPOINT: Final = "a torch checkpoint, and no log"
_SHEETS: Final = ("xl/workbook.xml", "xl/workbook.bin", "content.xml")
SHEETS: Final = (
    "a workbook of Excel or of another office program, which is not read: export the sheet that "
    "has the losses to CSV, and drop that in"
)


@dataclass(frozen=True, slots=True)
class Member:
    """A member of an archive.

    Attributes
    ----------
    file : the spooled file; its name is the archive's, a slash and the member's.
    reason : why it is not read; None if it was spooled.
    """

    file: RawFile
    reason: str | None = None


class _NoArchiveError(Exception):
    """A zip is the file of a program."""


class _TooMuchError(Exception):
    """An archive unpacks to more than it may."""


def members(file: RawFile, format_name: str) -> Iterator[Member]:
    """Spool the members of an archive one by one; each is gone when the next is asked for.

    Parameters
    ----------
    file : the archive.
    format_name : a word of `FORMATS`.

    Yields
    ------
    The members in the order of the archive; what ends it early is a last one of its own name.
    """
    names: set[str] = set()
    budget = [max(FREE, RATIO * file.size)]
    with tempfile.TemporaryDirectory() as folder:
        spool = Path(folder) / "member"
        try:
            opened = _of_zip(file) if format_name == "zip" else _of_tar(file)
            for count, (name, stream, why) in enumerate(opened):
                if count == MOST_MEMBERS:
                    yield Member(_named(file, "", names), TOO_MANY)
                    return
                if _is_hidden(name):
                    continue
                member = _named(file, name, names)
                if stream is None:
                    yield Member(member, why)
                    continue
                yield _spooled(member, stream, spool, budget)
        except _TooMuchError:
            yield Member(_named(file, "", names), BOMB)
        except _NoArchiveError as error:
            yield Member(_named(file, "", names), str(error))
        except _DAMAGED as error:
            words = " ".join(str(error).split())[:100] or type(error).__name__
            yield Member(_named(file, "", names), f"the archive is damaged or cut: {words}")


def _spooled(member: RawFile, stream: Any, spool: Path, budget: list[int]) -> Member:
    """Copy a member to where it can be read."""
    digest, size = hashlib.sha256(), 0
    with spool.open("wb") as target:
        while piece := stream.read(_PIECE):
            size += len(piece)
            budget[0] -= len(piece)
            if budget[0] < 0 or size > LARGEST_MEMBER:
                raise _TooMuchError
            digest.update(piece)
            target.write(piece)
    return Member(RawFile(spool, member.name, size, digest.hexdigest()))


def _of_tar(file: RawFile) -> Iterator[tuple[str, Any, str | None]]:
    """List the members of a tar: name, stream, and why there is none."""
    with file.opened() as raw:
        bounded = _Bounded(raw, max(FREE, RATIO * file.size))
        yield from _of_stream(bounded)


class _Bounded:
    """A stream that ends with an error after too many bytes: a tar's heads have any length."""

    def __init__(self, stream: Any, most: int) -> None:
        self._stream = stream
        self._left = most

    def read(self, size: int) -> bytes:
        """Read as a file does."""
        piece: bytes = self._stream.read(size)
        self._left -= len(piece)
        if self._left < 0:
            raise _TooMuchError
        return piece


def _of_stream(stream: _Bounded) -> Iterator[tuple[str, Any, str | None]]:
    with tarfile.open(fileobj=stream, mode="r|") as archive:  # type: ignore[call-overload]
        for info in archive:
            if info.isdir():
                continue
            why = LINK if info.issym() or info.islnk() else "neither a file nor a folder"
            yield info.name, archive.extractfile(info) if info.isreg() else None, why


def _of_zip(file: RawFile) -> Iterator[tuple[str, Any, str | None]]:
    """List the members of a zip."""
    with zipfile.ZipFile(file.path) as archive:
        infos = archive.infolist()
        if any(info.filename.endswith(_CHECKPOINT) for info in infos[:MOST_MEMBERS]):
            raise _NoArchiveError(CHECKPOINT)
        kinds = {"[Content_Types].xml", "mimetype"}  # an office program writes the one or the other
        inside = {info.filename for info in infos[:MOST_MEMBERS]}
        if kinds & inside and {*_SHEETS} & inside:
            raise _NoArchiveError(SHEETS)
        for info in infos:
            if info.is_dir():
                continue
            if (info.external_attr >> 28) == 0o12:
                yield info.filename, None, LINK
            elif info.flag_bits & 1:
                yield info.filename, None, "encrypted"
            else:
                with archive.open(info) as stream:
                    yield info.filename, stream, None


def _is_hidden(name: str) -> bool:
    """Tell what a file manager adds: in folders such files are not looked at either."""
    parts = [part for part in name.split("/") if part not in {"", ".", ".."}]
    return any(part.startswith(".") or part == "__MACOSX" for part in parts)


def _named(file: RawFile, name: str, taken: set[str]) -> RawFile:
    """Name a member below its archive, once."""
    parts = [part for part in name.replace("\\", "/").split("/") if part not in {"", ".", ".."}]
    full = shown(Path("/", file.name, *parts), Path("/")) if parts else f"{file.name}/"
    unique, count = full, 1
    while unique in taken:
        count += 1
        unique = f"{full} ({count})"
    taken.add(unique)
    return RawFile(file.path, unique, 0, "")
