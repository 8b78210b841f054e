"""The command line: one subcommand per rule, under the same word, in the room it belongs to."""

from __future__ import annotations

import re
import sys
from importlib import import_module

import click

from isoflop.errors import IsoflopError, machine_fault
from isoflop.escape import lines
from isoflop.folder_lock import share_folder_of_build
from isoflop.terminal import print_in_any_encoding

COMMANDS = {
    "run": "isoflop.run_workflow:run_command",
    "allocate": "isoflop.estimates.command:allocate_command",
    "archive-report": "isoflop.archive.command:archive_report_command",
    "verify": "isoflop.archive.command:verify_command",
    "show-settings": "isoflop.config.command:show_settings_command",
    "write-config": "isoflop.config.command:write_config_command",
    "write-schema": "isoflop.config.command:write_schema_command",
    "fetch-corpus": "isoflop.train.command:fetch_corpus_command",
    "plan-sweep": "isoflop.train.command:plan_sweep_command",
    "fit-rates": "isoflop.train.command:fit_rates_command",
    "train-study": "isoflop.train.command:train_study_command",
    "train-run": "isoflop.train.command:train_run_command",
    "train-plan": "isoflop.train.command:train_plan_command",
    "inspect": "isoflop.ingest.command:inspect_command",
    "ingest-sweep": "isoflop.ingest.command:ingest_sweep_command",
    "build-losses": "isoflop.losses.command:build_losses_command",
    "fit-approach": "isoflop.approaches.command:fit_approach_command",
    "score-forecasts": "isoflop.approaches.command:score_forecasts_command",
    "mix-laws": "isoflop.approaches.command:mix_laws_command",
    "fit-specifications": "isoflop.approaches.command:fit_specifications_command",
    "announce-losses": "isoflop.approaches.command:announce_losses_command",
    "announce-pair": "isoflop.approaches.command:announce_pair_command",
    "plot-figures": "isoflop.figures.command:plot_figures_command",
    "render-report": "isoflop.report.command:render_report_command",
    "render-index": "isoflop.report.command:render_index_command",
    "check-coverage": "isoflop.approaches.command:check_coverage_command",
    "backtest-laws": "isoflop.approaches.command:backtest_laws_command",
    "fetch-published": "isoflop.published.command:fetch_published_command",
    "compare-published": "isoflop.published.command:compare_published_command",
    "render-published": "isoflop.published.command:render_published_command",
    "render-backtest": "isoflop.published.command:render_backtest_command",
}
"""Where each subcommand lives. Imported when it is asked for: an edit of one reruns its room alone,
and `isoflop --help` does not pay for the others' libraries."""


GROUPS = {
    "From a folder of raw logs to its report": ("run_workflow",),
    "Ask": ("estimates",),
    "Each step by itself": ("ingest", "losses", "approaches", "figures", "report"),
    "Published studies and archives": ("published", "archive"),
    "Plan and train a sweep": ("train",),
    "Settings": ("config",),
}
"""Titles of the help, and whose rooms' subcommands stand below each."""


def room_of(place: str) -> str:
    """Name the room, or the module of the whole, that a subcommand lives in."""
    return re.split("[.:]", place)[1]


class LazyGroup(click.Group):
    """Find subcommands in their rooms; show our own errors as messages, bugs as tracebacks."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  click's signature
        """Name every subcommand, in the order in which the data flow."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import one subcommand."""
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name].partition(":")
        command: click.Command = getattr(import_module(module), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Show subcommands by what one wants to do, each with its whole first sentence."""
        room = {name: room_of(place) for name, place in COMMANDS.items()}
        for title, rooms in GROUPS.items():
            rows = [
                (name, command.get_short_help_str(limit=200))
                for name in COMMANDS
                if room[name] in rooms and (command := self.get_command(ctx, name)) is not None
            ]
            with formatter.section(title):
                formatter.write_dl(rows)

    def invoke(self, ctx: click.Context) -> object:
        """Run a subcommand."""
        try:
            return super().invoke(ctx)
        except IsoflopError as error:
            raise click.ClickException(lines(str(error))) from error
        except BaseException as error:  # libraries wrap the system's errors, Polars in a panic
            if (message := machine_fault(error)) is None:
                raise
            raise click.ClickException(lines(message)) from error


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="isoflop")
def main() -> None:
    """From the raw logs of a training sweep to a compute-optimal allocation."""
    # dataframely loads it wherever it is, as beside Snakemake, and a job would wait for it in vain
    sys.modules.setdefault("sqlalchemy", None)  # type: ignore[arg-type]
    print_in_any_encoding()
    share_folder_of_build()
