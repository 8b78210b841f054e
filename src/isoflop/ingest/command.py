"""The commands of room ingest."""

from __future__ import annotations

from pathlib import Path

import click

from isoflop.command import PATH
from isoflop.terminal import say


@click.command("ingest-sweep")
@click.option("--sweep", required=True, help="Name of the sweep.")
@click.option("--raw", type=PATH, required=True, help="Folder of its raw logs and sweep.yaml.")
@click.option("--cache", type=PATH, default=None, help="Folder of the cache; absent: read anew.")
@click.option("--settings", required=True, help="Section `ingest` as JSON, or a config.yaml.")
@click.option("--curves", type=PATH, required=True, help="Table to write: one row per step.")
@click.option("--runs", type=PATH, required=True, help="Table to write: one row per run.")
@click.option("--files", type=PATH, required=True, help="Table to write: one row per raw file.")
@click.option("--evals", type=PATH, required=True, help="Table to write: one row per evaluation.")
@click.option("--gates", type=PATH, required=True, help="Table to write: one row per check, run.")
@click.option(
    "--complaint",
    type=PATH,
    default=None,
    help="File to write: why the sweep cannot go on, empty if it can; absent: that is an error.",
)
def ingest_sweep_command(
    sweep: str,
    raw: Path,
    cache: Path | None,
    settings: str,
    curves: Path,
    runs: Path,
    files: Path,
    evals: Path,
    gates: Path,
    complaint: Path | None,
) -> None:
    """Read a sweep's raw logs, of any known format, into tables."""
    from isoflop.config.ingest import IngestSettings
    from isoflop.config.reading import settings_from
    from isoflop.files import write_text
    from isoflop.ingest.sweep import read_sweep
    from isoflop.tables import Files, Gates, Runs, write_table

    chosen = settings_from(settings, "ingest", IngestSettings)
    tables = read_sweep(raw, chosen, sweep=sweep, cache=cache)
    # what is known is written whatever happens
    write_table(tables.runs, Runs, runs)
    write_table(tables.files, Files, files)
    write_table(tables.gates, Gates, gates)
    tables.points.write(curves)
    tables.evaluations.write(evals)
    if complaint is not None:
        write_text(complaint, "" if tables.complaint is None else f"{tables.complaint}\n")
    elif tables.complaint is not None:
        raise tables.complaint
    say(f"{sweep}: {tables}")


@click.command("inspect")
@click.argument("path", type=click.Path(path_type=Path, exists=True))
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
def inspect_command(path: Path, *, as_json: bool) -> None:
    """Say what raw logs are, what is known of their runs, and what sweep.yaml must add.

    PATH is a file, or a folder of logs anywhere; a sweep.yaml in it is heeded.
    """
    import json

    from isoflop.ingest.inspection import inspect

    inspection = inspect(path)
    if as_json:
        # in ASCII: exact, and no sign of it is a terminal's
        click.echo(json.dumps(inspection.as_json(), indent=1))
    else:
        say(inspection)
