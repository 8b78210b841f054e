"""The commands of room train."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from isoflop.command import PATH
from isoflop.errors import IsoflopError


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
    click.echo(f"{out}: written from {origin}; digest as the recipe says")


@click.command("plan-sweep")
@click.option("--design", type=PATH, required=True, help="A file of data/plans/designs/.")
@click.option("--out", type=PATH, default=None, help="Plan file [data/plans/DESIGN.yaml].")
@click.option("--throughput", type=float, default=None, help="Measured FLOP/s; prints the hours.")
def plan_sweep_command(design: Path, out: Path | None, throughput: float | None) -> None:
    """Plan the runs of a sweep from its design."""
    from isoflop.config.reading import read_yaml
    from isoflop.train.design import TrainDesign
    from isoflop.train.plan_file import write_plan
    from isoflop.train.plan_sweep import plan_sweep, summary

    plan = plan_sweep(design.stem, read_yaml(design, TrainDesign))
    out = out or Path("data/plans") / design.name
    write_plan(out, plan)
    click.echo(summary(plan, throughput=throughput))
    click.echo(f"wrote {out}")


@click.command("train-run")
@click.option("--plan", type=PATH, required=True, help="Plan file of the sweep.")
@click.option("--run", "run_name", required=True, help="Name of the run in the plan.")
@click.option("--corpora", type=PATH, default=Path("data/corpora"), show_default=True)
@click.option("--recipes", type=PATH, default=Path("data/reference/corpora"))
@click.option("--logs", type=PATH, default=Path("data/raw"), show_default=True)
@click.option("--checkpoints", type=PATH, default=Path("data/checkpoints"))
@click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda.")
@click.option("--threads", type=click.IntRange(min=1), default=1, show_default=True)
@click.option("--done", type=PATH, default=None, help="Marker to touch at the end.")
def train_run_command(
    plan: Path,
    run_name: str,
    corpora: Path,
    recipes: Path,
    logs: Path,
    checkpoints: Path,
    device: str,
    threads: int,
    done: Path | None,
) -> None:
    """Train one run of a plan; after a kill the same command goes on."""
    try:
        import torch
    except ModuleNotFoundError as error:
        raise IsoflopError(
            "train-run needs torch, which is not installed. `python3 run.py train` installs it; "
            "by hand: pip install -r constraints-train.txt"
        ) from error

    from isoflop.train.plan_file import read_plan
    from isoflop.train.train_run import Folders, Progress, train_run

    planned = read_plan(plan)
    run = planned.run_named(run_name, source=str(plan))
    torch.set_num_threads(threads)
    status = train_run(
        planned,
        run,
        folders=Folders(recipes=recipes, corpora=corpora, logs=logs, checkpoints=checkpoints),
        device=device,
        progress=Progress(say=click.echo, bar=sys.stderr.isatty()),
    )
    click.echo(f"{run_name}: {status}")
    if done is not None:
        done.parent.mkdir(parents=True, exist_ok=True)
        done.touch()
