"""Pack a sweep's report, its numbers and what they were made from."""

from __future__ import annotations

import json
import os
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from isoflop.errors import IsoflopError
from isoflop.files import digest, replacing
from isoflop.sweep_folders import raw_files
from isoflop.tables import Curves, Evals, Files, LeftOut, Losses, Runs, units

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

# the earliest date a zip can hold: the archive's bytes depend on its content alone
EPOCH = (1980, 1, 1, 0, 0, 0)

README = """\
Archive of the sweep "{sweep}", written by isoflop {version}.

report/      the report as HTML and PDF, its figures and tables
estimates/   each approach's estimate (JSON) with its bootstrap draws (Parquet); forecast.json
tables/      losses, runs, files, checks and what was left out (Parquet)
raw/         the raw logs and sweep.yaml, as they were read{raw_note}
settings/    config.yaml, sweep.yaml, whose settings lie over it, and the pins of the software
MANIFEST.json names every file with its sha256, and every table column with its unit.

To rebuild: take isoflop {version}, put raw/ into data/raw/{sweep}/ and settings/config.yaml beside
the Snakefile, and run `snakemake --cores all`.
"""


@dataclass(frozen=True, slots=True)
class Member:
    """A file and its place in the archive."""

    source: Path
    name: str


def archive_report(
    members: Iterable[Member], target: Path, *, sweep: str, version: str, raw_included: bool
) -> None:
    """Write the archive of one sweep.

    The same files give the same bytes, whenever and wherever they are packed.

    Parameters
    ----------
    members : files and their names inside the archive.
    target : path of the zip file.
    sweep : name of the sweep.
    version : version of isoflop.
    raw_included : whether the raw logs are among the members.

    Raises
    ------
    IsoflopError : a member is absent, or two members have one name.
    """
    ordered = sorted(members, key=lambda member: member.name)
    _check(ordered)
    note = "" if raw_included else " (left out: archive.include_raw is false; digests only)"
    manifest = {
        "sweep": sweep,
        "isoflop": version,
        "files": {member.name: digest(member.source) for member in ordered},
        "columns": _columns(),
    }
    texts = {
        "MANIFEST.json": json.dumps(manifest, indent=1, sort_keys=True) + "\n",
        "README.txt": README.format(sweep=sweep, version=version, raw_note=note),
    }
    with replacing(target) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name, text in texts.items():
            archive.writestr(_entry(f"{sweep}/{name}"), text)
        for member in ordered:
            archive.writestr(_entry(f"{sweep}/{member.name}"), member.source.read_bytes())


def members(places: Iterable[tuple[str, Path]]) -> list[Member]:
    """Place files, and the content of folders, in the archive.

    Parameters
    ----------
    places : folder in the archive, and the file or folder whose content goes into it; hidden
        files stay out.
    """
    members = []
    for place, path in places:
        if not path.is_dir():
            members.append(Member(path, f"{place}/{path.name}"))
            continue
        members += [
            Member(item, f"{place}/{item.relative_to(path).as_posix()}")
            for item in sorted(path.rglob("*"))
            if item.is_file() and not item.name.startswith(".")
        ]
    return members


def raw_members(folder: Path) -> list[Member]:
    """Place a sweep's raw files in the archive: what ingest-sweep looks at, and no more.

    Hidden files and folders, links out of the folder and files that may not be read stay out.
    """
    return [
        Member(path, f"raw/{path.relative_to(folder).as_posix()}")
        for path in raw_files(folder)
        if os.access(path, os.R_OK)
    ]


def _entry(name: str) -> zipfile.ZipInfo:
    """Describe a zip entry without the time or the owner of the file."""
    entry = zipfile.ZipInfo(name, date_time=EPOCH)
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.external_attr = 0o644 << 16
    return entry


def _check(members: list[Member]) -> None:
    """Refuse absent files and names used twice, all at once."""
    absent = [str(member.source) for member in members if not member.source.is_file()]
    names = [member.name for member in members]
    twice = sorted({name for name in names if names.count(name) > 1})
    complaints = [f"{path}: to be archived, but absent" for path in absent]
    complaints += [f"{name}: two files would have this name in the archive" for name in twice]
    if complaints:
        raise IsoflopError("\n".join(complaints))


def _columns() -> dict[str, dict[str, Any]]:
    """Describe the columns of every table."""
    schemas = (Files, Runs, Curves, Evals, Losses, LeftOut)
    return {schema.__name__: units(schema) for schema in schemas}
