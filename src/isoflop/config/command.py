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
    from isoflop.config.write import config_schema
    from isoflop.files import json_text, write_text

    text = json_text(config_schema())
    if not check:
        write_text(out, text)
    elif not out.exists() or out.read_text(encoding="utf-8") != text:
        raise click.ClickException(f"{out} is out of date; run: isoflop write-schema")


@click.command("write-config")
@click.option("--out", type=PATH, default=Path("config.yaml"), show_default=True)
@click.option("--defaults", is_flag=True, help="Write the defaults, not what the file sets.")
@click.option("--check", is_flag=True, help="Only say whether the file is up to date.")
def write_config_command(out: Path, defaults: bool, check: bool) -> None:  # noqa: FBT001  flags
    """Write config.yaml anew: every key under its comment, with the values that the file sets.

    Comments that a reader added are not kept.
    """
    from isoflop.config.config_yaml import Config
    from isoflop.config.reading import read_yaml
    from isoflop.config.write import config_text
    from isoflop.files import write_text

    values = Config() if defaults or not out.exists() else read_yaml(out, Config)
    text = config_text(values)
    if not check:
        write_text(out, text)
    elif not out.exists() or out.read_text(encoding="utf-8") != text:
        hint = " --defaults" if defaults else ""
        raise click.ClickException(f"{out} is out of date; run: isoflop write-config{hint}")


@click.command("show-settings")
@click.argument("section", type=click.Choice(["losses", "approaches", "report"]))
@click.option("--config", type=PATH, default=Path("config.yaml"), show_default=True)
@click.option("--sidecar", type=PATH, required=True, help="sweep.yaml of the sweep.")
def show_settings_command(section: str, config: Path, sidecar: Path) -> None:
    """Print a section as it is for one sweep: config.yaml with its own settings laid over it.

    As JSON, as the rules pass it to --settings.
    """
    from isoflop.config.by_sweep import settings_by_sweep
    from isoflop.config.config_yaml import Config
    from isoflop.config.reading import read_yaml
    from isoflop.config.sidecar import SweepFile

    everywhere = read_yaml(config, Config).model_dump(mode="json")
    overrides = read_yaml(sidecar, SweepFile).settings
    settings = settings_by_sweep(everywhere, overrides, name=str(sidecar))
    click.echo(getattr(settings, section).model_dump_json())
