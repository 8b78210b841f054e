"""The commands of room train."""

from __future__ import annotations

import sys
from dataclasses import dataclass, fields
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from isoflop.command import NUMBER, PATH, with_options
from isoflop.errors import IsoflopError
from isoflop.terminal import say

if TYPE_CHECKING:
    from collections.abc import Callable


@click.command("fetch-corpus")
@click.option("--recipe", type=PATH, required=True, help="Recipe of the corpus.")
@click.option("--out", type=PATH, required=True, help="The text to write.")
@click.option(
    "--mirror",
    type=PATH,
    envvar="ISOFLOP_MIRROR",
    default=None,
    help="Folder that may hold corpora/NAME.txt.xz [env: ISOFLOP_MIRROR].",
)
@click.option("--cache", type=PATH, default=Path("data/cache/corpora"), show_default=True)
def fetch_corpus_command(recipe: Path, out: Path, mirror: Path | None, cache: Path) -> None:
    """Rebuild a corpus from its recipe, and check its digest."""
    from isoflop.fetching import downloader
    from isoflop.train.fetch_corpus import fetch_corpus
    from isoflop.train.recipe import read_recipe

    origin = fetch_corpus(read_recipe(recipe), out, mirror=mirror, download=downloader(cache))
    say(f"{out}: written from {origin}; digest as the recipe says")


@click.command("plan-sweep")
@click.option("--design", type=PATH, required=True, help="A file of data/plans/designs/.")
@click.option("--out", type=PATH, default=None, help="Plan file [data/plans/DESIGN.yaml].")
@click.option("--throughput", type=NUMBER, default=None, help="Measured FLOP/s; prints the hours.")
@click.option(
    "--targets", type=PATH, default=None, help="CSV of the runs to announce, for announce-losses."
)
def plan_sweep_command(
    design: Path, out: Path | None, throughput: float | None, targets: Path | None
) -> None:
    """Plan the runs of a sweep from its design."""
    from isoflop.train.plan_file import write_plan
    from isoflop.train.plan_sweep import plan_design, summary, write_targets
    from isoflop.train.rate_law import rates_path

    plan = plan_design(design)
    out = out or Path("data/plans") / design.name
    write_plan(out, plan)
    say(summary(plan, throughput=throughput))
    if all(run.role == "tuning" for run in plan.runs):
        say(
            f"only the tuning runs are planned: {rates_path(design)} is absent. Train them, run "
            f"isoflop fit-rates, and plan again (isoflop train-study does all of it)"
        )
    say(f"wrote {out}")
    if targets is not None:
        say(f"wrote {targets}: {write_targets(plan, targets)} runs to announce")


@click.command("fit-rates")
@click.option("--design", type=PATH, required=True, help="A file of data/plans/designs/.")
@click.option("--logs", type=PATH, default=Path("data/raw"), show_default=True)
@click.option(
    "--out", type=PATH, default=None, help="File to write [data/plans/rates/DESIGN.yaml]."
)
def fit_rates_command(design: Path, logs: Path, out: Path | None) -> None:
    """Fit the law of learning rates to the finished tuning runs of a design."""
    from isoflop.config.reading import read_yaml
    from isoflop.train.design import Design
    from isoflop.train.fit_rates import describe, fit_rates
    from isoflop.train.rate_law import rates_path, write_rates

    rates = fit_rates(design.stem, read_yaml(design, Design), logs)
    out = out or rates_path(design)
    write_rates(out, rates)
    say(describe(rates))
    say(f"wrote {out}")


@dataclass(frozen=True, slots=True)
class _Training:
    """Where and on what to train: the options that all training commands share."""

    corpora: Path
    recipes: Path
    logs: Path
    checkpoints: Path
    device: str
    threads: int

    def arguments(self) -> dict[str, Any]:
        """Give what every function that trains takes of them."""
        from isoflop.train.train_run import Folders, Progress

        folders = Folders(
            recipes=self.recipes,
            corpora=self.corpora,
            logs=self.logs,
            checkpoints=self.checkpoints,
        )
        progress = Progress(say=say, bar=sys.stderr.isatty())
        return {"folders": folders, "device": self.device, "progress": progress}


def _training_options(name: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the shared options, as one argument; torch is there once it starts."""

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @wraps(command)
        def started(**given: Any) -> None:
            shared = {field.name: given.pop(field.name) for field in fields(_Training)}
            _set_threads(name, shared["threads"])
            command(training=_Training(**shared), **given)

        options = (
            click.option("--corpora", type=PATH, default=Path("data/corpora"), show_default=True),
            click.option("--recipes", type=PATH, default=Path("data/reference/corpora")),
            click.option("--logs", type=PATH, default=Path("data/raw"), show_default=True),
            click.option("--checkpoints", type=PATH, default=Path("data/checkpoints")),
            click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda."),
            click.option("--threads", type=click.IntRange(min=1), default=1, show_default=True),
        )
        return with_options(options, started)

    return decorate


def _packing_options(command: Callable[..., None]) -> Callable[..., None]:
    """Options of the commands that train many runs."""
    options = (
        click.option("--packed", "most", type=click.IntRange(min=1), default=16, show_default=True),
        click.option("--compile", "compiled", is_flag=True, help="Compile each pack's model."),
    )
    return with_options(options, command)


@click.command("train-run")
@click.option("--plan", type=PATH, required=True, help="Plan file of the sweep.")
@click.option("--run", "run_name", required=True, help="Name of the run in the plan.")
@click.option("--done", type=PATH, default=None, help="Marker to touch at the end.")
@_training_options("train-run")
def train_run_command(plan: Path, run_name: str, done: Path | None, training: _Training) -> None:
    """Train one run of a plan; after a kill the same command goes on."""
    from isoflop.train.plan_file import read_plan
    from isoflop.train.train_run import train_runs

    planned = read_plan(plan)
    run = planned.run_named(run_name, source=str(plan))
    statuses = train_runs(planned, [run], **training.arguments())
    say(f"{run_name}: {statuses[run_name]}")
    if done is not None:
        done.parent.mkdir(parents=True, exist_ok=True)
        done.touch()


@click.command("train-plan")
@click.option("--plan", type=PATH, required=True, help="Plan file of the sweep.")
@click.option("--stage", default=None, help="One stage of the plan [all, in their order].")
@_packing_options
@_training_options("train-plan")
def train_plan_command(
    plan: Path, stage: str | None, most: int, training: _Training, *, compiled: bool
) -> None:
    """Train all runs of a plan, those of one shape together; after a kill the same goes on.

    Started twice, two processes share the runs.
    """
    from isoflop.train.plan_file import read_plan
    from isoflop.train.train_plan import train_plan

    train_plan(read_plan(plan), stage=stage, most=most, compiled=compiled, **training.arguments())


@click.command("train-study")
@click.option("--design", type=PATH, required=True, help="A file of data/plans/designs/.")
@_packing_options
@_training_options("train-study")
def train_study_command(design: Path, most: int, training: _Training, *, compiled: bool) -> None:
    """Train a design whole: tuning, fit-rates, the plan, and all its runs in order of value.

    After a kill the same command goes on.
    """
    from isoflop.train.train_study import train_study

    train_study(design, most=most, compiled=compiled, **training.arguments())


def _set_threads(command: str, threads: int) -> None:
    """Set torch's threads, or say how to get torch."""
    try:
        import torch
    except ModuleNotFoundError as error:
        raise IsoflopError(
            f"{command} needs torch, which is not installed. `python3 run.py train` installs it; "
            f"by hand: pip install -r constraints-train.txt"
        ) from error
    torch.set_num_threads(threads)
