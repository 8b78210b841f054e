"""The command line: one subcommand per rule, under the same word.

Each subcommand reads files, calls its room's one public function, and writes files. Heavy imports
stay inside the subcommands: `isoflop --help` must not pay for statsmodels or matplotlib.
"""

from __future__ import annotations

import click

from isoflop.errors import IsoflopError


class Group(click.Group):
    """Show our own errors as messages, and leave tracebacks to real bugs."""

    def invoke(self, ctx: click.Context) -> object:
        """Run a subcommand."""
        try:
            return super().invoke(ctx)
        except IsoflopError as error:
            raise click.ClickException(str(error)) from error


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="isoflop")
def main() -> None:
    """From the raw logs of a training sweep to a compute-optimal allocation."""
