"""Rebuild an archive in an empty folder, and compare every file with what it holds."""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

from isoflop.archive.manifest import MANIFEST, read_manifest
from isoflop.errors import IsoflopError
from isoflop.files import digest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from isoflop.archive.manifest import Manifest

SETTINGS: Final = "settings/config.json"
TAIL: Final = 4000
"""Characters of a failed build that are shown."""


@dataclass(frozen=True, slots=True)
class Verified:
    """How a rebuild compares with its archive.

    Attributes
    ----------
    same : files that came out byte for byte, by their name in the archive.
    different : those that did not.
    absent : those that the rebuild did not make.
    python : the archive's Python, where the rebuild had another; else empty.
    """

    sweep: str
    same: tuple[str, ...]
    different: tuple[str, ...]
    absent: tuple[str, ...]
    python: str

    @property
    def identical(self) -> bool:
        """Whether every file came out byte for byte."""
        return not self.different and not self.absent


def verify_archive(
    archive: Path, folder: Path, *, raw: Path | None = None, cores: int = 1
) -> Verified:
    """Rebuild a sweep from nothing but its archive, and compare digests.

    The code that runs is the archive's, under the Python and the libraries of this process.

    Parameters
    ----------
    archive : zip file of archive-report.
    folder : empty folder to rebuild in.
    raw : folder of the raw logs, where the archive leaves them out; they must have its digests.
    cores : that Snakemake may use.

    Raises
    ------
    IsoflopError : the archive is damaged or lacks something, the folder is not empty, or the build
        fails.
    """
    manifest = lay_out(archive, folder, raw=raw)
    _build(manifest, folder, cores)
    return compare(manifest, folder)


def lay_out(archive: Path, folder: Path, *, raw: Path | None = None) -> Manifest:
    """Put an archive's code, raw logs and settings where its workflow looks for them.

    Parameters
    ----------
    archive, folder, raw : as for ``verify_archive``.

    Returns
    -------
    The archive's manifest.

    Raises
    ------
    IsoflopError : the archive is damaged or lacks something, or the folder is not empty.
    """
    if folder.exists() and any(folder.iterdir()):
        raise IsoflopError(f"{folder} is not empty: the rebuild would see what lies there")
    if not archive.exists():
        raise IsoflopError(f"there is no archive {archive}: name a zip that archive-report wrote")
    try:
        with zipfile.ZipFile(archive) as opened:
            manifest, contents = _read(archive, opened)
    except (OSError, zipfile.BadZipFile, KeyError, ValueError) as error:
        raise IsoflopError(f"{archive} is no archive of archive-report: {error}") from error
    _check(archive, manifest, contents)
    _write_out(manifest, contents, folder, raw)
    return manifest


def _read(archive: Path, opened: zipfile.ZipFile) -> tuple[Manifest, dict[str, bytes]]:
    """Read the manifest, and every file by its name below the archive's one folder."""
    names = [name for name in opened.namelist() if not name.endswith("/")]
    tops = {PurePosixPath(name).parts[0] for name in names}
    if len(tops) != 1:
        raise IsoflopError(
            f"{archive} is no archive of archive-report: it has no folder of its own"
        )
    (top,) = tops
    contents = {name.removeprefix(f"{top}/"): opened.read(name) for name in names}
    return read_manifest(contents[MANIFEST], name=f"{archive}: {MANIFEST}"), contents


def _check(archive: Path, manifest: Manifest, contents: Mapping[str, bytes]) -> None:
    """Refuse an archive that was changed, or that would write outside the folder."""
    wrong = [
        name
        for name, expected in manifest.files.items()
        if hashlib.sha256(contents.get(name, b"")).hexdigest() != expected
    ]
    if wrong:
        raise IsoflopError(f"{archive} was changed since it was made: {', '.join(sorted(wrong))}")
    outside = [
        name
        for name in (*contents, *manifest.rebuilt.values(), manifest.sweep)
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts
    ]
    if outside:
        raise IsoflopError(f"{archive} names files outside its folder: {', '.join(outside)}")


def _write_out(
    manifest: Manifest, contents: Mapping[str, bytes], folder: Path, raw: Path | None
) -> None:
    target = folder / "data" / "raw" / manifest.sweep
    for name, content in contents.items():
        place, _, rest = name.partition("/")
        if place == "code":
            _write(folder / rest, content)
        elif place == "raw":
            _write(target / rest, content)
    _write(folder / "settings.json", contents[SETTINGS])
    given = {} if raw is None else {name: raw / name for name in manifest.raw}
    for name, source in given.items():
        if not source.is_file() or digest(source) != manifest.raw[name]:
            raise IsoflopError(f"{source} is absent, or not the log that the archive names")
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target / name)
    missing = [name for name in manifest.raw if not (target / name).is_file()]
    if missing:
        raise IsoflopError(
            f"the archive leaves out the raw logs ({missing[0]} and {len(missing) - 1} more); give "
            "their folder with --raw"
        )


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def _build(manifest: Manifest, folder: Path, cores: int) -> None:
    source = str((folder / "src").absolute())
    done = subprocess.run(  # noqa: S603  our own arguments, no shell
        [
            sys.executable, "-m", "snakemake", "--cores", str(cores), "--nocolor",
            "--show-failed-logs", "--configfile", "settings.json", "--", *manifest.targets,
        ],
        cwd=folder, env={**os.environ, "PYTHONPATH": source},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        printed = (done.stdout + done.stderr)[-TAIL:]
        raise IsoflopError(f"the build in {folder} failed:\n{printed}")


def compare(manifest: Manifest, folder: Path) -> Verified:
    """Compare what a folder holds with what an archive holds, file by file.

    Parameters
    ----------
    manifest : of the archive.
    folder : project that was built from it.
    """
    fates: dict[str, list[str]] = {"same": [], "different": [], "absent": []}
    for name, path in sorted(manifest.rebuilt.items()):
        made = folder / path
        if not made.is_file():
            fates["absent"].append(name)
        else:
            same = digest(made) == manifest.files[name]
            fates["same" if same else "different"].append(name)
    python = manifest.python
    return Verified(
        sweep=manifest.sweep,
        same=tuple(fates["same"]),
        different=tuple(fates["different"]),
        absent=tuple(fates["absent"]),
        python="" if python == platform.python_version() else python,
    )
