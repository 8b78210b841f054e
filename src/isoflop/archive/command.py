"""The commands of room archive."""

from __future__ import annotations

from pathlib import Path

import click

from isoflop.command import PATH
from isoflop.numbers import number_of
from isoflop.terminal import say


@click.command("archive-report")
@click.option("--sweep", required=True, help="Name of the sweep.")
@click.option("--settings", required=True, help="Section `archive` as JSON, or a config.yaml.")
@click.option(
    "--member",
    "places",
    type=(str, PATH),
    multiple=True,
    help="Folder in the archive, and the file or folder that goes into it; repeatable.",
)
@click.option("--raw", type=PATH, required=True, help="Folder of the sweep's raw logs.")
@click.option("--sidecar", type=PATH, required=True, help="sweep.yaml of the sweep.")
@click.option("--files", type=PATH, required=True, help="Table of files of ingest-sweep.")
@click.option("--config", required=True, help="Every setting as it was used, as JSON.")
@click.option("--project", type=PATH, required=True, help="Folder of the Snakefile.")
@click.option("--out", type=PATH, required=True, help="The archive to write.")
@click.argument("estimates", type=PATH, nargs=-1)
def archive_report_command(
    sweep: str,
    settings: str,
    places: tuple[tuple[str, Path], ...],
    raw: Path,
    sidecar: Path,
    files: Path,
    config: str,
    project: Path,
    out: Path,
    estimates: tuple[Path, ...],
) -> None:
    """Pack a sweep's report, numbers, raw logs and the code that made them into one file.

    ESTIMATES are the files of its estimates, which go into a folder of that name.
    """
    import json

    from isoflop import __version__
    from isoflop.archive.archive_report import (
        REBUILT,
        Packed,
        archive_report,
        code_members,
        members,
        raw_members,
        revisions,
    )
    from isoflop.config.archive import ArchiveSettings
    from isoflop.config.reading import read_yaml, settings_from
    from isoflop.config.sidecar import SweepFile
    from isoflop.files import name_in_project
    from isoflop.tables import Files, newest_day, read_table

    chosen = settings_from(settings, "archive", ArchiveSettings)
    places = (*places, *(("estimates", path) for path in estimates))
    facts = read_yaml(sidecar, SweepFile)
    packed = Packed(
        members=members(places),
        targets=[name_in_project(path) for place, path in places if place.split("/")[0] in REBUILT],
        raw=raw_members(raw),
        raw_included=chosen.include_raw,
        code=code_members(project),
        sidecar=facts,
        day=facts.date or newest_day(read_table(files, Files)),
        config=json.loads(config),
        revisions=revisions(estimates),
    )
    archive_report(packed, out, sweep=sweep, version=__version__)


@click.command("verify")
@click.argument("archive", type=PATH)
@click.option("--folder", type=PATH, help="Empty folder to rebuild in, kept afterwards.")
@click.option("--raw", type=PATH, help="Raw logs, where the archive leaves them out.")
@click.option("--cores", type=click.IntRange(1), default=1, show_default=True)
def verify_command(archive: Path, folder: Path | None, raw: Path | None, cores: int) -> None:
    """Rebuild an archive in an empty folder, and compare every file byte for byte.

    Runs the code that is in the archive: verify only what you would run.
    """
    import tempfile

    from isoflop.archive.verify_archive import verify_archive
    from isoflop.errors import IsoflopError

    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary) / "rebuilt" if folder is None else folder
        verified = verify_archive(archive, place, raw=raw, cores=cores)
    total = len(verified.same) + len(verified.different) + len(verified.absent)
    summary = (
        f"{archive}: {len(verified.same)} of {number_of(total, 'file')} came out byte for byte"
    )
    if verified.identical:
        say(summary)
        return
    lines = [summary]
    lines += [f"differs: {name}" for name in verified.different]
    lines += [f"not made: {name}" for name in verified.absent]
    if verified.python:
        lines.append(f"The archive was made under Python {verified.python}; try again under that.")
    raise IsoflopError("\n".join(lines))
