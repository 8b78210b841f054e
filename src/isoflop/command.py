"""What the commands of all rooms share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

PATH = click.Path(path_type=Path)


def with_options(
    options: Sequence[Callable[..., Any]], command: Callable[..., None]
) -> Callable[..., None]:
    """Give a command options that it shares with others, in their order."""
    for option in reversed(options):
        command = option(command)
    return command
