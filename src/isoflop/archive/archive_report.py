"""Pack a sweep's report, its numbers and what they were made from."""

from __future__ import annotations

import hashlib
import os
import platform
import shlex
import zipfile
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any, Final

from isoflop.archive.addresses import addresses, warning
from isoflop.archive.crate import NAME as CRATE
from isoflop.archive.crate import Described, metadata
from isoflop.archive.manifest import MANIFEST, Manifest
from isoflop.errors import IsoflopError
from isoflop.estimates.estimate import read_estimate
from isoflop.estimates.forecasts import read_forecasts
from isoflop.estimates.mixture import read_mixture
from isoflop.files import digest, json_text, replacing
from isoflop.project import REVISION, project_files
from isoflop.sweep_folders import raw_files
from isoflop.tables import Curves, Evals, Files, LeftOut, Losses, Runs, units

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from isoflop.config.sidecar import SweepFile
    from isoflop.estimates.estimate import Provenance

# the earliest date a zip can hold: the archive's bytes depend on its content alone
EPOCH = (1980, 1, 1, 0, 0, 0)
DATE: Final = "1980-01-01"
"""The date of what has none, as in the PDF; SOURCE_DATE_EPOCH replaces it, and any other."""
REBUILT: Final = ("report", "estimates", "tables")
"""Folders of the archive whose files a rebuild makes again."""

README = """\
Archive of the sweep "{sweep}", written by isoflop {version}{revision} under Python {python}.

report/      the report as HTML and PDF, its figures and tables
estimates/   each approach's estimate (JSON) with its bootstrap draws (Parquet); forecast.json
tables/      losses, runs, files, checks and what was left out (Parquet)
raw/         the raw logs and sweep.yaml, as they were read{raw_note}
settings/    config.json, every setting as it was used; config.yaml and sweep.yaml as written
code/        the code that ran, with published facts and the pins of its libraries
MANIFEST.json names every file with its sha256, and every table column with its unit;
ro-crate-metadata.json says the same to machines (RO-Crate, Workflow Run Crate).

To rebuild, with Python {python} at hand:

    mkdir -p code/data/raw && cp -r raw code/data/raw/{sweep_path}
    cp settings/config.json code/settings.json
    cd code && python3 run.py report --configfile settings.json

`isoflop verify {sweep_path}.zip` does it in an empty folder and compares every file, byte for byte.
{revisions}
{addresses}
"""


@dataclass(frozen=True, slots=True)
class Member:
    """A file and its place in the archive."""

    source: Path
    name: str


@dataclass(frozen=True, slots=True)
class Packed:
    """What an archive is made from.

    Attributes
    ----------
    members : report, estimates, tables and settings.
    targets : files and folders of the workflow that a rebuild asks for.
    raw : the raw logs and sweep.yaml.
    raw_included : whether these go in, or their digests alone.
    code : the project's files.
    sidecar : the sweep's sweep.yaml.
    day : of its report.
    config : every setting, as it was used.
    revisions : commits at which the estimates were made.
    """

    members: Sequence[Member]
    targets: Sequence[str]
    raw: Sequence[Member]
    raw_included: bool
    code: Sequence[Member]
    sidecar: SweepFile
    day: date | None
    config: Mapping[str, Any]
    revisions: Sequence[str]


def archive_report(packed: Packed, target: Path, *, sweep: str, version: str) -> None:
    """Write the archive of one sweep.

    The same files give the same bytes, whenever and wherever they are packed.

    Parameters
    ----------
    packed : files with their names inside the archive, and what describes them.
    target : path of the zip file.
    sweep : name of the sweep.
    version : version of isoflop.

    Raises
    ------
    IsoflopError : a member is absent, or two members have one name.
    """
    raw = list(packed.raw) if packed.raw_included else []
    ordered = sorted([*packed.members, *packed.code, *raw], key=lambda member: member.name)
    _check(ordered)
    revision = packed.revisions[0] if len(packed.revisions) == 1 else ""
    texts = {"settings/config.json": json_text(packed.config)}
    if revision:
        texts[f"code/{REVISION}"] = f"{revision}\n"
    files = {member.name: digest(member.source) for member in ordered}
    files |= {name: hashlib.sha256(text.encode()).hexdigest() for name, text in texts.items()}
    described = Described(
        sweep=sweep,
        title=packed.sidecar.title,
        description=packed.sidecar.description,
        citation=packed.sidecar.citation,
        licence=packed.sidecar.licence,
        version=version,
        revision=revision,
        python=platform.python_version(),
        date=_date(packed.day),
    )
    texts[CRATE] = json_text(metadata(described, files))
    texts["README.txt"] = _readme(packed, described)
    texts[MANIFEST] = Manifest(
        sweep=sweep,
        isoflop=version,
        revision=revision or None,
        python=described.python,
        files=files,
        raw={member.name.removeprefix("raw/"): digest(member.source) for member in packed.raw},
        rebuilt={
            member.name: member.source.as_posix()
            for member in packed.members
            if member.name.split("/")[0] in REBUILT
        },
        targets=tuple(packed.targets),
        columns=_columns(),
    ).text()
    with replacing(target) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name, text in sorted(texts.items()):
            archive.writestr(_entry(f"{sweep}/{name}"), text)
        for member in ordered:
            archive.writestr(_entry(f"{sweep}/{member.name}"), member.source.read_bytes())


def _readme(packed: Packed, facts: Described) -> str:
    note = "" if packed.raw_included else " (left out: archive.include_raw is false; digests only)"
    mixed = (
        "The estimates were made at several revisions, so a rebuild by one differs from them in "
        f"its provenance: {', '.join(packed.revisions)}.\n"
        if len(packed.revisions) > 1
        else ""
    )
    logs = ((member.name, member.source.read_bytes()) for member in packed.raw)
    return README.format(
        sweep=facts.sweep,
        sweep_path=shlex.quote(facts.sweep),
        version=facts.version,
        revision=f", revision {facts.revision}" if facts.revision else "",
        python=facts.python,
        raw_note=note,
        revisions=mixed,
        addresses=warning(addresses(logs)) if packed.raw_included else "",
    )


def _date(day: date | None) -> str:
    """Give the date of publication: a clock would make two archives of one sweep differ."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    if epoch is None:
        return DATE if day is None else day.isoformat()
    return datetime.fromtimestamp(int(epoch), tz=UTC).date().isoformat()


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


def revisions(paths: Iterable[Path]) -> list[str]:
    """List the commits at which estimates were made, from their own account; sorted.

    Parameters
    ----------
    paths : files of the estimates, of their forecasts and of their mixture.
    """
    made = [_provenance(path).git_revision for path in paths if path.suffix == ".json"]
    return sorted({revision for revision in made if revision is not None})


def _provenance(path: Path) -> Provenance:
    """Read what a file of the estimates was made from."""
    if path.stem == "forecast":
        return read_forecasts(path).provenance
    if path.stem == "mixture":
        return read_mixture(path).provenance
    return read_estimate(path).provenance


def code_members(root: Path) -> list[Member]:
    """Place the project's files in the archive."""
    return [Member(path, f"code/{name.as_posix()}") for name, path in project_files(root).items()]


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


def _columns() -> dict[str, dict[str, dict[str, str]]]:
    """Describe the columns of every table."""
    schemas = (Files, Runs, Curves, Evals, Losses, LeftOut)
    return {schema.__name__: units(schema) for schema in schemas}
