"""What the commands of all rooms share."""

from __future__ import annotations

import re
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
        from isoflop.numbers import retyped, typed

        try:
            return typed(str(value))
        except ValueError:
            hint = retyped(str(value))
            other = f": {hint}" if hint else ", such as 1e9, 7B or 121.4M"
            self.fail(f"{value!r} is no number{other}", param, ctx)


class _Share(_Number):
    """A share as somebody types it: 0.4, 40 or 40%, as on the report's page."""

    name = "share"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        text = str(value).strip()
        if text.endswith("%"):
            return super().convert(text[:-1], param, ctx) / 100.0
        number = super().convert(text, param, ctx)
        # beyond 100 it is neither a share nor per cent, and stays what was typed
        return number / 100.0 if 1.0 < number <= 100.0 else number


class Questions(click.Command):
    """A command whose first argument is a number, which may be typed with a minus."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take a negative number for a number that is refused, and not for an unknown option."""
        given = list(args)
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            typed = next((word for word in given if re.match(r"-[.\d]", word)), None)
            if typed is None or not typed.startswith(error.option_name):
                raise
            raise click.UsageError(f"{typed} is negative: ask by a positive number", ctx) from error


NUMBER, SHARE = _Number(), _Share()
"""Numbers of all commands have the suffixes that the report's calculator takes."""


def with_options(
    options: Sequence[Callable[..., Any]], command: Callable[..., None]
) -> Callable[..., None]:
    """Give a command options that it shares with others, in their order."""
    for option in reversed(options):
        command = option(command)
    return command
