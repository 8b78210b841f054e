"""What the commands of all rooms share."""

from __future__ import annotations

from pathlib import Path

import click

PATH = click.Path(path_type=Path)
