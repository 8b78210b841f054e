"""Which files of a folder are known to be unchanged, so that they need not be opened.

What a file was recognised as is remembered by its digest, as long as the code is the same.

A file whose size, times, device and inode are those of the last look has the digest that it had
then: nobody can set the time at which an inode changed. Times within `RACY` of the look itself are
not believed, since a write in the same tick leaves them as they are.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import time
from typing import TYPE_CHECKING, Any, Final

from isoflop.entries import package_code, read_entry, write_entry
from isoflop.ingest.reading.patterns import Recognised, recognise
from isoflop.ingest.reading.source import RawFile

if TYPE_CHECKING:
    import os
    from pathlib import Path

RACY: Final = 2_000_000_000
"""Nanoseconds before a look in which a change may go unseen: some file systems count seconds."""

State = list[int]


class StatIndex:
    """The files of one folder at the last look.

    Parameters
    ----------
    folder : the sweep's folder.
    cache : folder of the cache; None remembers nothing.
    """

    def __init__(self, folder: Path, cache: Path | None) -> None:
        self._folder = folder
        where = hashlib.sha256(str(folder.resolve()).encode(errors="surrogateescape")).hexdigest()
        self._path = cache / f"{where}.index" if cache is not None else None
        self._known: dict[str, tuple[State, str]] = {}
        self._formats: dict[str, Recognised] = {}
        self._read()
        self._seen: dict[str, tuple[State, str]] = {}
        self._looked: dict[Path, RawFile] = {}

    def file(self, path: Path) -> RawFile:
        """Look at a file; it is opened only if it may have changed.

        Raises
        ------
        OSError : it cannot be read.
        """
        looked = self._looked.get(path)
        if looked is not None:
            return looked  # one reading of a folder is of one look at each file
        name = str(path.relative_to(self._folder))
        begun = time.time_ns()
        facts = path.stat()
        state = _state(facts)
        known = self._known.get(name)
        if known is not None and known[0] == state:
            raw = RawFile.of_digest(path, self._folder, facts.st_size, known[1])
        else:
            raw = RawFile.at(path, self._folder)
        changed = max(facts.st_mtime_ns, facts.st_ctime_ns)
        settled = begun - changed > RACY and raw.size == facts.st_size
        if settled:
            self._seen[name] = (state, raw.digest)
        self._looked[path] = raw
        return raw

    def recognised(self, file: RawFile) -> Recognised:
        """Recognise a file, or recall what it was recognised as."""
        if file.digest not in self._formats:
            self._formats[file.digest] = recognise(file.sample())
        return self._formats[file.digest]

    def save(self) -> None:
        """Remember what was seen."""
        if self._path is None:
            return
        formats = {
            digest: dataclasses.astuple(self._formats[digest])
            for _, digest in self._seen.values()
            if digest in self._formats
        }
        content = {"code": package_code(), "files": self._seen, "formats": formats}
        write_entry(self._path, {"index": json.dumps(content).encode()})

    def _read(self) -> None:
        parts = read_entry(self._path) if self._path is not None else None
        content = json.loads(parts["index"]) if parts is not None and "index" in parts else {}
        if content.get("code") == package_code():
            files: dict[str, tuple[State, str]] = content["files"]
            self._known = {name: (state, digest) for name, (state, digest) in files.items()}
            formats: dict[str, Any] = content["formats"]
            self._formats = {digest: Recognised(*seen) for digest, seen in formats.items()}


def _state(facts: os.stat_result) -> State:
    return [facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns, facts.st_dev, facts.st_ino]
