"""One raw file: its digest, its bytes without compression, its text as clean lines."""

from __future__ import annotations

import bz2
import codecs
import gzip
import io
import lzma
import os
import re
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from isoflop.files import digest
from isoflop.ingest.reading.refused import RefusedError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HEAD: Final = 256 * 1024
"""Bytes at the start from which a format is recognised."""
TAIL: Final = 64 * 1024
"""Bytes at the end from which a format is recognised; what is compressed shows only its head."""
CHUNK: Final = 1024 * 1024
"""Bytes read at a time: memory stays flat, however long the log."""
PIECE: Final = 16 * 1024
"""Bytes decompressed at a time: what a cut file loses of its end."""
NEAR: Final = 64 * 1024
"""Bytes in which a line's end is looked for, so that what is read at once ends there."""
LONGEST_LINE: Final = 16 * CHUNK
"""Bytes after which text without any line end is cut into lines anyway."""

MOST_RATIO: Final = 300
"""Bytes unpacked for each byte of a compressed file; logs compress to a tenth, at most 1 %."""
FREE: Final = 64 << 20
"""Bytes that any file may unpack to."""

_GZIP: Final = b"\x1f\x8b"
_ZSTD: Final = b"\x28\xb5\x2f\xfd"
_XZ: Final = b"\xfd7zXZ\x00"
_BZIP2: Final = b"BZh"
_PACKED: Final = (_GZIP, _ZSTD, _XZ, _BZIP2)
_MAGIC: Final = 6
XZ_MEMORY: Final = 256 << 20
"""Bytes of memory that a file in the xz format may ask for."""
_ARCHIVE = re.compile(r"(?i)\.(?:tar(?:\.(?:gz|zst|xz|bz2))?|tgz|tbz2?|txz|tzst|zip)(?=/)")
_MARKS: Final = (
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_ANSI = re.compile(rb"\x1b\[[0-?]*[ -/]*[@-~]")
_DAMAGED = (EOFError, OSError, zlib.error, lzma.LZMAError)
"""What decompressing a damaged or cut file raises."""


@dataclass(frozen=True, slots=True)
class RawFile:
    """A raw file of a sweep.

    Attributes
    ----------
    path : where it is.
    name : its path below the sweep's folder, with forward slashes.
    size : bytes on disk.
    digest : sha256 of its bytes.
    run : the one run that sweep.yaml says it is of.
    """

    path: Path
    name: str
    size: int
    digest: str
    run: str | None = None

    @classmethod
    def at(cls, path: Path, folder: Path) -> RawFile:
        """Look at a file in a sweep's folder.

        What is appended from now on is no part of it: size, digest and what is read agree.
        """
        size = path.stat().st_size
        return cls(path, shown(path, folder), size, digest(path, size))

    @classmethod
    def of_digest(cls, path: Path, folder: Path, size: int, known: str) -> RawFile:
        """Name a file of a sweep's folder whose digest is known already."""
        return cls(path, shown(path, folder), size, known)

    @classmethod
    def unread(cls, path: Path, folder: Path) -> RawFile:
        """Name an entry of a sweep's folder that is not read, a link or a locked file."""
        return cls(path, shown(path, folder), 0, "")

    @property
    def stem(self) -> str:
        """Name without the endings of its format and compression: 'a/run1.log.gz' is 'a/run1'."""
        parent, _, last = _ARCHIVE.sub("", self.name).rpartition("/")
        last = re.sub(r"\.(gz|zst|xz|bz2)$", "", last)
        last = re.sub(r"(?<=.)\.[A-Za-z]\w{0,9}$", "", last)
        return f"{parent}/{last}" if parent else last

    @property
    def compressed(self) -> bool:
        """Whether the file starts with the magic bytes of gzip, zstandard, xz or bzip2."""
        with self.path.open("rb") as stream:
            return stream.read(_MAGIC).startswith(_PACKED)

    def opened(self) -> Any:
        """Open the file for reading, decompressed."""
        with self.path.open("rb") as stream:
            magic = stream.read(_MAGIC)
        if magic.startswith(_XZ):
            return io.BufferedReader(_Xz(self._raw()))
        if magic.startswith(_BZIP2):
            return bz2.open(self._raw(), "rb")
        if magic.startswith(_GZIP):
            return gzip.open(self._raw(), "rb")
        if magic.startswith(_ZSTD):
            import pyarrow as pa

            return pa.input_stream(str(self.path), compression="zstd")
        return self._raw()

    def _raw(self) -> io.BufferedReader:
        """Open the bytes that were there when the file was looked at."""
        return io.BufferedReader(_Beginning(self.path.open("rb", buffering=0), self.size))

    def sample(self) -> bytes:
        """Read what a format is recognised by: the head, and the tail of a longer file."""
        head = b""
        for chunk in self._text_chunks(HEAD):
            if chunk is None or len(head) >= HEAD:
                break
            head += chunk
        head = head[:HEAD]
        if self.compressed or self.size <= HEAD or self._encoding:
            return head
        with self.path.open("rb") as stream:
            stream.seek(max(HEAD, self.size - TAIL))
            return head + b"\n" + stream.read(TAIL)

    def content(self) -> bytes:
        """Read all bytes, decompressed, for formats that are no text; damage ends them."""
        return b"".join(chunk for chunk in self._chunks() if chunk is not None)

    def copy(self, path: Path) -> None:
        """Write all bytes, decompressed, to another file; damage ends them."""
        with path.open("wb") as stream:
            for chunk in self._chunks():
                stream.write(chunk or b"")

    def lines(self) -> Iterator[str]:
        r"""Stream the text line by line, cleaned.

        Yields
        ------
        Lines that end in '\n', as Python's files do; a last line without it was not written to its
        end. Damaged compression ends the text with an empty string, which no whole text has.
        """
        for piece in self.pieces(1):
            yield from io.StringIO(piece, newline="\n") if piece else [""]

    def pieces(self, least: int) -> Iterator[str]:
        """Stream the text, cleaned, in pieces that end at a line's end.

        Parameters
        ----------
        least : bytes that a piece has at least, the last one excepted.

        Returns
        -------
        Pieces of text; the last one lacks its line end if the file does. Damaged compression ends
        the text with an empty piece, which no whole text has.
        """
        return map(bytes.decode, self.blocks(least))

    def blocks(self, least: int) -> Iterator[bytes]:
        """Stream the text as `pieces` does, as the bytes of valid UTF-8."""
        waiting: list[bytes] = []
        size, due = 0, least
        for chunk in self._text_chunks(max(least, CHUNK)):
            if chunk is None:
                yield from filter(None, [cleaned(b"".join(waiting))])
                yield b""
                return
            waiting.append(chunk)
            size += len(chunk)
            if size < due:
                continue
            text = b"".join(waiting)
            end = text.rfind(b"\n") + 1
            if not end and len(text) > LONGEST_LINE:
                end = text.rfind(b"\r", 0, -1) + 1 or len(text)
            # bytes that end where a line does are passed on as they were read
            waiting, size = [text[end:]] if end < len(text) else [], len(text) - end
            # a long line is not looked at for every piece that decompression gives
            due = least if end else size + CHUNK
            done = cleaned(text[:end])
            del text, chunk  # whoever reads on has its own megabyte
            if done:
                yield done
            del done  # its memory is there for the next, if nobody else holds it
        yield from filter(None, [cleaned(b"".join(waiting))])

    @property
    def _encoding(self) -> str | None:
        """The encoding that a byte order mark names, other than UTF-8."""
        try:
            with self.opened() as stream:
                first = bytes(stream.read(len(codecs.BOM_UTF32_LE)))
        except _DAMAGED:
            return None
        return next((name for mark, name in _MARKS if first.startswith(mark)), None)

    def _text_chunks(self, least: int) -> Iterator[bytes | None]:
        """Yield the decompressed bytes as UTF-8, whatever encoding a byte order mark names.

        Parameters
        ----------
        least : bytes to read at once of a file that need not be converted.
        """
        encoding = self._encoding
        if encoding is None:
            yield from self._chunks() if self.compressed else self._plain_chunks(least)
            return
        decoder = codecs.getincrementaldecoder(encoding)(errors="replace")
        for chunk in self._chunks():
            if chunk is None:
                yield None
                return
            yield decoder.decode(chunk).encode("utf-8", errors="replace")
        yield decoder.decode(b"", final=True).encode("utf-8", errors="replace")

    def _plain_chunks(self, least: int) -> Iterator[bytes | None]:
        """Yield the bytes of a file that is not compressed, up to a line's end where one is near.

        Text that is read so need not be copied to be divided at its lines' ends.
        """
        with self.path.open("rb", buffering=0) as stream:
            at = 0
            while at < self.size:
                end = min(at + least, self.size)
                try:
                    if end < self.size:
                        stream.seek(end - 1)
                        near = stream.read(min(NEAR, least, self.size - end + 1)) or b""
                        end += max(near.find(b"\n"), 0)
                    stream.seek(at)
                    chunk = stream.read(end - at)
                except OSError:
                    yield None
                    return
                if not chunk:
                    return
                at += len(chunk)
                yield chunk
                del chunk

    def _chunks(self) -> Iterator[bytes | None]:
        """Yield the decompressed bytes; None where damaged compression ends them."""
        size = PIECE if self.compressed else CHUNK
        most, produced = max(FREE, MOST_RATIO * self.size), 0
        with self.opened() as stream:
            while True:
                try:
                    # read1 gives what a cut file still holds; read would raise and lose it
                    chunk = stream.read1(size)
                except _DAMAGED:
                    yield None
                    return
                if not chunk:
                    return
                produced += len(chunk)
                if produced > most:
                    raise RefusedError(
                        f"it unpacks to more than {MOST_RATIO} times its size, as no log does"
                    )
                yield chunk


class _Beginning(io.RawIOBase):
    """The first bytes of a file, whatever is appended to it."""

    def __init__(self, stream: Any, size: int) -> None:
        self._stream = stream
        self._left = size

    def readable(self) -> bool:
        """Tell that it is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read as raw files do."""
        read: int = self._stream.readinto(memoryview(buffer)[: self._left])
        self._left -= read
        return read

    def close(self) -> None:
        """Close the file."""
        self._stream.close()
        super().close()


class _Xz(io.RawIOBase):
    """The xz format with a bound in memory, which Python's own file of it lacks."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._decompressor = lzma.LZMADecompressor(memlimit=XZ_MEMORY)

    def readable(self) -> bool:
        """Tell that it is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read as raw files do."""
        piece = b""
        while not piece:
            raw = b""
            if self._decompressor.eof:  # another stream may follow
                raw = self._decompressor.unused_data or self._stream.read(PIECE)
                if not raw.strip(b"\0"):
                    return 0
                self._decompressor = lzma.LZMADecompressor(memlimit=XZ_MEMORY)
            elif self._decompressor.needs_input:
                raw = self._stream.read(PIECE)
                if not raw:
                    raise EOFError("the file ends within its compressed stream")
            piece = self._decompressor.decompress(raw, max_length=len(buffer))
        buffer[: len(piece)] = piece
        return len(piece)

    def close(self) -> None:
        """Close the file."""
        self._stream.close()
        super().close()


def shown(path: Path, folder: Path) -> str:
    """Give a path below the sweep's folder; bytes that are no UTF-8 show as escapes."""
    name = path.relative_to(folder).as_posix()
    return os.fsencode(name).decode("utf-8", errors="backslashreplace")


def clean(raw: bytes) -> str:
    r"""Decode bytes of a log: no NULs, no colour codes, every line end a '\n'."""
    return cleaned(raw).decode("utf-8")


def cleaned(raw: bytes) -> bytes:
    """Clean bytes of a log as `clean` does, and make them valid UTF-8."""
    if b"\0" in raw:
        raw = raw.replace(b"\0", b"")
    if not raw.isascii():
        text = raw.decode("utf-8", errors="replace")
        raw = text.encode("utf-8")
    if b"\x1b" in raw:
        raw = _ANSI.sub(b"", raw)
    if b"\r" in raw:
        raw = raw.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    while raw.startswith(codecs.BOM_UTF8):
        raw = raw.removeprefix(codecs.BOM_UTF8)
    return raw
