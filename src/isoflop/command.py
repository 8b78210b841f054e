"""What the commands of all rooms share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

PATH = click.Path(path_type=Path)


class _Number(click.ParamType[float]):
    """A number as somebody types it: 1e9, 7B, 121.4M."""

    name = "number"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        from isoflop.numbers import typed

        try:
            return typed(str(value))
        except ValueError:
            self.fail(f"{value!r} is no number, such as 1e9, 7B or 121.4M", param, ctx)


NUMBER = _Number()
"""Numbers of all commands have the suffixes that the report's calculator takes."""


def with_options(
    options: Sequence[Callable[..., Any]], command: Callable[..., None]
) -> Callable[..., None]:
    """Give a command options that it shares with others, in their order."""
    for option in reversed(options):
        command = option(command)
    return command
