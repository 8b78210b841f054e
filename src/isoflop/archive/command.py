"""The commands of room archive."""

from __future__ import annotations

from pathlib import Path

import click

from isoflop.command import PATH


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
@click.option("--out", type=PATH, required=True, help="The archive to write.")
def archive_report_command(
    sweep: str, settings: str, places: tuple[tuple[str, Path], ...], raw: Path, out: Path
) -> None:
    """Pack a sweep's report, numbers and raw logs into one file."""
    from isoflop import __version__
    from isoflop.archive.archive_report import archive_report, members, raw_members
    from isoflop.config.archive import ArchiveSettings
    from isoflop.config.reading import settings_from

    chosen = settings_from(settings, "archive", ArchiveSettings)
    packed = members(places) + (raw_members(raw) if chosen.include_raw else [])
    archive_report(packed, out, sweep=sweep, version=__version__, raw_included=chosen.include_raw)
