"""The commands of room losses."""

from __future__ import annotations

from pathlib import Path

import click

from isoflop.command import PATH
from isoflop.numbers import number_of
from isoflop.terminal import say


@click.command("build-losses")
@click.option("--sweep", required=True, help="Name of the sweep.")
@click.option("--curves", type=PATH, required=True, help="Table of ingest-sweep.")
@click.option("--runs", type=PATH, required=True, help="Table of ingest-sweep.")
@click.option("--files", type=PATH, required=True, help="Table of ingest-sweep.")
@click.option("--complaint", type=PATH, default=None, help="What ingest-sweep complains of.")
@click.option("--settings", required=True, help="Section `losses` as JSON, or a config.yaml.")
@click.option("--cache", type=PATH, default=None, help="Folder of results that are kept.")
@click.option("--losses", type=PATH, required=True, help="Table to write: the points to fit.")
@click.option("--left-out", type=PATH, required=True, help="Table to write: what is not fitted.")
@click.option("--alternate-loss", type=PATH, required=True, help="Table to write: the other loss.")
def build_losses_command(
    sweep: str,
    curves: Path,
    runs: Path,
    files: Path,
    complaint: Path | None,
    settings: str,
    cache: Path | None,
    losses: Path,
    left_out: Path,
    alternate_loss: Path,
) -> None:
    """Select, smooth and thin the losses that every approach fits."""
    from isoflop.config.losses import LossesSettings
    from isoflop.config.reading import settings_from
    from isoflop.errors import IsoflopError
    from isoflop.losses.build import build_losses
    from isoflop.losses.kept import kept_losses
    from isoflop.tables import (
        Curves,
        Files,
        LeftOut,
        Losses,
        Runs,
        read_table,
        scan_table,
        write_table,
    )

    if complaint is not None and (stopped := complaint.read_text(encoding="utf-8").strip()):
        raise IsoflopError(stopped)
    section = settings_from(settings, "losses", LossesSettings)
    scanned = scan_table(curves, Curves)
    kept = kept_losses(curves, cache / f"{sweep}.entry" if cache else None, section)
    built = build_losses(scanned, read_table(runs, Runs), read_table(files, Files), section, kept)
    if kept is not None:
        kept.write()
    write_table(built.losses, Losses, losses)
    write_table(built.left_out, LeftOut, left_out)
    write_table(built.alternate_loss, Losses, alternate_loss)
    anew = "" if kept is None else f"; {number_of(kept.built, 'run')} built anew"
    say(f"{sweep}: {built}{anew}")
