"""The commands of room config."""

from __future__ import annotations

from pathlib import Path

import click

from isoflop.command import PATH


@click.command("write-schema")
@click.option(
    "--out",
    type=PATH,
    default=Path("workflow/schemas/config.schema.json"),
    show_default=True,
    help="JSON schema of config.yaml.",
)
@click.option("--check", is_flag=True, help="Only say whether the file is up to date.")
def write_schema_command(out: Path, check: bool) -> None:  # noqa: FBT001  click passes a flag
    """Write the JSON schema of config.yaml, which editors use to complete and check it."""
    from isoflop.config.config_yaml import Config
    from isoflop.files import json_text, write_text

    text = json_text(Config.model_json_schema())
    if not check:
        write_text(out, text)
    elif not out.exists() or out.read_text(encoding="utf-8") != text:
        raise click.ClickException(f"{out} is out of date; run: isoflop write-schema")
