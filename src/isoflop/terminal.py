"""What commands say: text from logs moves no cursor, and any encoding prints it."""

from __future__ import annotations

import io
import sys

import click

from isoflop.escape import lines


def say(text: object) -> None:
    """Print lines; what in them is no printable sign becomes visible."""
    click.echo(lines(str(text)))


def print_in_any_encoding() -> None:
    """Let a stream whose encoding lacks a sign print `?` for it: such a locale ends no command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
