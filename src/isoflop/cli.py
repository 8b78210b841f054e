"""The command line: one subcommand per rule, under the same word.

Each subcommand reads files, calls its room's one public function, and writes files. Heavy imports
stay inside the subcommands: `isoflop --help` must not pay for statsmodels or matplotlib.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from isoflop.errors import IsoflopError

if TYPE_CHECKING:
    from isoflop.estimates import Approach, FurtherLaw

APPROACHES: tuple[Approach, ...] = ("envelope", "profiles", "parametric", "kaplan")
FURTHER_LAWS: tuple[FurtherLaw, ...] = ("overtraining", "data_constrained")
PATH = click.Path(path_type=Path)


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


@main.command("archive-report")
@click.option("--sweep", required=True, help="Name of the sweep.")
@click.option("--settings", required=True, help="Section `archive` as JSON, or a config.yaml.")
@click.option(
    "--member",
    "places",
    type=(str, PATH),
    multiple=True,
    help="Folder in the archive, and the file or folder that goes into it; repeatable.",
)
@click.option("--raw", type=PATH, required=True, help="Folder of the sweep's raw logs.")
@click.option("--out", type=PATH, required=True, help="The archive to write.")
def archive_report_command(
    sweep: str, settings: str, places: tuple[tuple[str, Path], ...], raw: Path, out: Path
) -> None:
    """Pack a sweep's report, numbers and raw logs into one file."""
    from isoflop import __version__
    from isoflop.archive import archive_report, members
    from isoflop.config import ArchiveSettings, settings_from

    chosen = settings_from(settings, "archive", ArchiveSettings)
    packed = members([*places, ("raw", raw)] if chosen.include_raw else places)
    archive_report(packed, out, sweep=sweep, version=__version__, raw_included=chosen.include_raw)


@main.command("write-schema")
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
    from isoflop.config import Config
    from isoflop.files import json_text, write_text

    text = json_text(Config.model_json_schema())
    if not check:
        write_text(out, text)
    elif not out.exists() or out.read_text(encoding="utf-8") != text:
        raise click.ClickException(f"{out} is out of date; run: isoflop write-schema")


@main.command("fetch-corpus")
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
    from isoflop.sweep.fetch import downloader, fetch_corpus
    from isoflop.sweep.recipe import read_recipe

    origin = fetch_corpus(read_recipe(recipe), out, mirror=mirror, download=downloader(cache))
    click.echo(f"{out}: written from {origin}; digest as the recipe says")


@main.command("plan-sweep")
@click.option("--settings", default="config.yaml", show_default=True, help="config.yaml or JSON.")
@click.option("--design", required=True, help="Name of the design under sweep.designs.")
@click.option("--output", type=PATH, default=None, help="Plan file [data/plans/DESIGN.yaml].")
@click.option("--throughput", type=float, default=None, help="Measured FLOP/s; prints the hours.")
def plan_sweep_command(
    settings: str, design: str, output: Path | None, throughput: float | None
) -> None:
    """Plan the runs of a sweep from its design in config.yaml."""
    from isoflop.config import SweepSettings, settings_from
    from isoflop.sweep.plan import design_named, plan_sweep, summary
    from isoflop.sweep.plan_file import write_plan

    chosen = design_named(settings_from(settings, "sweep", SweepSettings), design)
    plan = plan_sweep(design, chosen)
    output = output or Path("data/plans") / f"{design}.yaml"
    write_plan(output, plan)
    click.echo(summary(plan, throughput=throughput))
    click.echo(f"wrote {output}")


@main.command("train-run")
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

    from isoflop.sweep.plan_file import read_plan
    from isoflop.sweep.train import Folders, Progress, train_run

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


@main.command("ingest-sweep")
@click.option("--sweep", required=True, help="Name of the sweep.")
@click.option("--raw", type=PATH, required=True, help="Folder of its raw logs and sweep.yaml.")
@click.option("--cache", type=PATH, default=None, help="Folder of the cache; absent: read anew.")
@click.option("--settings", required=True, help="Section `ingest` as JSON, or a config.yaml.")
@click.option("--curves", type=PATH, required=True, help="Table to write: one row per step.")
@click.option("--runs", type=PATH, required=True, help="Table to write: one row per run.")
@click.option("--files", type=PATH, required=True, help="Table to write: one row per raw file.")
@click.option("--evals", type=PATH, required=True, help="Table to write: one row per evaluation.")
def ingest_sweep_command(
    sweep: str,
    raw: Path,
    cache: Path | None,
    settings: str,
    curves: Path,
    runs: Path,
    files: Path,
    evals: Path,
) -> None:
    """Read a sweep's raw logs, of any known format, into tables."""
    from isoflop.config import IngestSettings, settings_from
    from isoflop.ingest import ingest_sweep
    from isoflop.tables import Curves, Evals, Files, Runs, write_table

    chosen = settings_from(settings, "ingest", IngestSettings)
    tables = ingest_sweep(raw, chosen, sweep=sweep, cache=cache)
    write_table(tables.curves, Curves, curves)
    write_table(tables.runs, Runs, runs)
    write_table(tables.files, Files, files)
    write_table(tables.evals, Evals, evals)
    click.echo(f"{sweep}: {tables}")


@main.command("build-losses")
@click.option("--sweep", required=True, help="Name of the sweep.")
@click.option("--curves", type=PATH, required=True, help="Table of ingest-sweep.")
@click.option("--runs", type=PATH, required=True, help="Table of ingest-sweep.")
@click.option("--files", type=PATH, required=True, help="Table of ingest-sweep.")
@click.option("--settings", required=True, help="Section `losses` as JSON, or a config.yaml.")
@click.option("--losses", type=PATH, required=True, help="Table to write: the points to fit.")
@click.option("--left-out", type=PATH, required=True, help="Table to write: what is not fitted.")
@click.option("--other-kind", type=PATH, required=True, help="Table to write: the other loss.")
def build_losses_command(
    sweep: str,
    curves: Path,
    runs: Path,
    files: Path,
    settings: str,
    losses: Path,
    left_out: Path,
    other_kind: Path,
) -> None:
    """Select, smooth and thin the losses that every approach fits."""
    from isoflop.config import LossesSettings, settings_from
    from isoflop.losses import build_losses
    from isoflop.tables import (
        Curves,
        Files,
        LeftOut,
        Losses,
        Runs,
        read_table,
        scan_table,
        write_table,
    )

    built = build_losses(
        scan_table(curves, Curves),
        read_table(runs, Runs),
        read_table(files, Files),
        settings_from(settings, "losses", LossesSettings),
    )
    write_table(built.losses, Losses, losses)
    write_table(built.left_out, LeftOut, left_out)
    write_table(built.other_kind, Losses, other_kind)
    click.echo(f"{sweep}: {built}")


@main.command("fit-approach")
@click.option("--approach", type=click.Choice((*APPROACHES, *FURTHER_LAWS)), required=True)
@click.option("--sweep", required=True, help="Name of the sweep.")
@click.option("--losses", type=PATH, required=True, help="Table of build-losses.")
@click.option("--settings", required=True, help="Section `approaches` as JSON, or a config.yaml.")
@click.option(
    "--budgets", type=float, multiple=True, help="C to allocate [FLOP]; repeatable, 5.76e23 added."
)
@click.option(
    "--reference", type=PATH, default=None, help="Folder of the published facts, to be tested."
)
@click.option("--threads", type=click.IntRange(min=1), default=None, help="All cores by default.")
@click.option("--estimate", type=PATH, required=True, help="JSON to write.")
@click.option("--draws", type=PATH, required=True, help="Table of bootstrap draws to write.")
def fit_approach_command(
    approach: Approach | FurtherLaw,
    sweep: str,
    losses: Path,
    settings: str,
    budgets: tuple[float, ...],
    reference: Path | None,
    threads: int | None,
    estimate: Path,
    draws: Path,
) -> None:
    """Fit one approach to a loss table, with bootstrap intervals."""
    from isoflop.approaches import fit_approach
    from isoflop.config import ApproachesSettings, settings_from
    from isoflop.estimates import provenance, write_estimate
    from isoflop.files import replacing
    from isoflop.reference import read_published_laws
    from isoflop.tables import Losses, read_table

    outcome, table = fit_approach(
        read_table(losses, Losses),
        approach,
        settings_from(settings, "approaches", ApproachesSettings),
        sweep=sweep,
        budgets=budgets,
        provenance=provenance([losses]),
        published=None if reference is None else read_published_laws(reference),
        threads=threads,
    )
    write_estimate(outcome, estimate)
    with replacing(draws) as temporary:
        table.write_parquet(temporary, compression="zstd")
    click.echo(f"{sweep}, {approach}: {outcome}")


@main.command("score-forecasts")
@click.option("--sweep", required=True, help="Name of the sweep.")
@click.option("--losses", type=PATH, required=True, help="Table of build-losses.")
@click.option("--settings", required=True, help="Section `approaches` as JSON, or a config.yaml.")
@click.option("--threads", type=click.IntRange(min=1), default=None, help="All cores by default.")
@click.option("--forecast", type=PATH, required=True, help="JSON to write.")
def score_forecasts_command(
    sweep: str, losses: Path, settings: str, threads: int | None, forecast: Path
) -> None:
    """Fit below a cut in compute, predict what lies above it, and score the errors."""
    from isoflop.approaches import score_forecasts
    from isoflop.config import ApproachesSettings, settings_from
    from isoflop.estimates import provenance, write_forecasts
    from isoflop.tables import Losses, read_table

    outcome = score_forecasts(
        read_table(losses, Losses),
        settings_from(settings, "approaches", ApproachesSettings),
        sweep=sweep,
        provenance=provenance([losses]),
        threads=threads,
    )
    write_forecasts(outcome, forecast)
    click.echo(f"{sweep}: {outcome}")


@main.command("fit-specifications")
@click.option("--sweep", required=True, help="Name of the sweep.")
@click.option("--losses", type=PATH, required=True, help="Table of build-losses.")
@click.option("--other-kind", type=PATH, required=True, help="Table of build-losses.")
@click.option("--settings", required=True, help="Section `approaches` as JSON, or a config.yaml.")
@click.option("--threads", type=click.IntRange(min=1), default=None, help="All cores by default.")
@click.option("--out", type=PATH, required=True, help="Table to write: one row per specification.")
def fit_specifications_command(
    sweep: str, losses: Path, other_kind: Path, settings: str, threads: int | None, out: Path
) -> None:
    """Refit every approach under each combination of analysis choices."""
    from isoflop.approaches import fit_specifications
    from isoflop.config import ApproachesSettings, settings_from
    from isoflop.tables import Losses, Specifications, read_table, write_table

    table = fit_specifications(
        read_table(losses, Losses),
        read_table(other_kind, Losses),
        settings_from(settings, "approaches", ApproachesSettings),
        sweep=sweep,
        threads=threads,
    )
    write_table(table, Specifications, out)
    fitted = sorted(table["a"].drop_nulls())
    span = f", a from {fitted[0]:.3f} to {fitted[-1]:.3f}" if fitted else ""
    click.echo(f"{sweep}: {len(fitted)} of {table.height} specifications fitted{span}")


@main.command("plot-figures")
@click.option("--sweep", required=True, help="Name of the sweep.")
@click.option("--losses", type=PATH, required=True, help="Table of build-losses.")
@click.option("--runs", type=PATH, required=True, help="Table of ingest-sweep.")
@click.option("--estimates", type=PATH, required=True, help="Folder of fit-approach's outputs.")
@click.option("--specifications", type=PATH, required=True, help="Table of fit-specifications.")
@click.option("--reference", type=PATH, required=True, help="Folder of the published facts.")
@click.option("--settings", required=True, help="Section `figures` as JSON, or a config.yaml.")
@click.option("--out", type=PATH, required=True, help="Folder to write: SVG, PDF, figures.json.")
def plot_figures_command(
    sweep: str,
    losses: Path,
    runs: Path,
    estimates: Path,
    specifications: Path,
    reference: Path,
    settings: str,
    out: Path,
) -> None:
    """Draw every figure of one sweep."""
    from isoflop.config import FiguresSettings, settings_from
    from isoflop.estimates import read_draws, read_estimates, read_forecasts
    from isoflop.figures import FigureInputs, plot_figures
    from isoflop.reference import read_reference
    from isoflop.tables import Losses, Runs, Specifications, read_table

    inputs = FigureInputs(
        sweep=sweep,
        losses=read_table(losses, Losses),
        runs=read_table(runs, Runs),
        estimates=read_estimates(estimates),
        draws=read_draws(estimates),
        forecasts=read_forecasts(estimates / "forecast.json"),
        specifications=read_table(specifications, Specifications),
        reference=read_reference(reference),
        settings=settings_from(settings, "figures", FiguresSettings),
    )
    plot_figures(inputs, out)


@main.command("render-report")
@click.option("--sweep", required=True, help="Name of the sweep.")
@click.option("--sidecar", type=PATH, required=True, help="sweep.yaml of the sweep.")
@click.option("--losses", type=PATH, required=True, help="Table of build-losses.")
@click.option("--left-out", type=PATH, required=True, help="Table of build-losses.")
@click.option("--runs", type=PATH, required=True, help="Table of ingest-sweep.")
@click.option("--files", type=PATH, required=True, help="Table of ingest-sweep.")
@click.option("--estimates", type=PATH, required=True, help="Folder of fit-approach's outputs.")
@click.option("--specifications", type=PATH, required=True, help="Table of fit-specifications.")
@click.option("--figures", type=PATH, required=True, help="Folder of plot-figures.")
@click.option("--reference", type=PATH, required=True, help="Folder of the published facts.")
@click.option("--settings", required=True, help="Section `report` as JSON, or a config.yaml.")
@click.option("--losses-settings", required=True, help="Section `losses`, as it was used.")
@click.option("--html", type=PATH, required=True, help="Page to write.")
@click.option("--pdf", type=PATH, required=True, help="PDF to write.")
@click.option("--tables", type=PATH, required=True, help="Folder to write: CSV and LaTeX.")
def render_report_command(
    sweep: str,
    sidecar: Path,
    losses: Path,
    left_out: Path,
    runs: Path,
    files: Path,
    estimates: Path,
    specifications: Path,
    figures: Path,
    reference: Path,
    settings: str,
    losses_settings: str,
    html: Path,
    pdf: Path,
    tables: Path,
) -> None:
    """Write the report of one sweep: HTML, PDF and tables."""
    from isoflop.report import ReportPaths, read_inputs, render_report

    paths = ReportPaths(
        sidecar=sidecar,
        losses=losses,
        left_out=left_out,
        runs=runs,
        files=files,
        estimates=estimates,
        specifications=specifications,
        figures=figures,
        reference=reference,
    )
    inputs = read_inputs(sweep, paths, settings=settings, losses_settings=losses_settings)
    render_report(inputs, html=html, pdf=pdf, tables=tables)


@main.command("render-index")
@click.option(
    "--sweep",
    "sweeps",
    type=(str, PATH, PATH),
    multiple=True,
    required=True,
    help="Name, sweep.yaml and folder of estimates of a sweep; repeatable.",
)
@click.option("--reference", type=PATH, required=True, help="Folder of the published facts.")
@click.option("--out", type=PATH, required=True, help="Page to write, beside the sweeps' folders.")
def render_index_command(
    sweeps: tuple[tuple[str, Path, Path], ...], reference: Path, out: Path
) -> None:
    """Write the page that puts every sweep beside the papers."""
    from isoflop.config import SweepFile, read_yaml
    from isoflop.estimates import read_estimates
    from isoflop.reference import read_reference
    from isoflop.report import IndexedSweep, render_index

    indexed = [
        IndexedSweep(name, read_yaml(sidecar, SweepFile), read_estimates(estimates))
        for name, sidecar, estimates in sweeps
    ]
    render_index(indexed, read_reference(reference), out)


@main.command("check-coverage")
@click.option("--losses", type=PATH, required=True, help="Table of build-losses to imitate.")
@click.option("--settings", required=True, help="Section `approaches` as JSON, or a config.yaml.")
@click.option("--approach", "approaches", type=click.Choice(APPROACHES), multiple=True)
@click.option("--scheme", "schemes", multiple=True, default=["runs"], show_default=True)
@click.option("--interval", "kinds", multiple=True, default=["calibrated"], show_default=True)
@click.option("--simulations", type=click.IntRange(min=1), default=500, show_default=True)
@click.option("--draws", type=click.IntRange(min=40), default=200, show_default=True)
@click.option("--processes", type=click.IntRange(min=1), default=1, show_default=True)
@click.option("--out", type=PATH, required=True, help="CSV to write.")
def check_coverage_command(
    losses: Path,
    settings: str,
    approaches: tuple[Approach, ...],
    schemes: tuple[str, ...],
    kinds: tuple[str, ...],
    simulations: int,
    draws: int,
    processes: int,
    out: Path,
) -> None:
    """Count how often intervals hold the truth on simulated sweeps like a given one."""
    from isoflop.approaches.coverage import check_coverage
    from isoflop.config import ApproachesSettings, settings_from
    from isoflop.files import replacing
    from isoflop.tables import Losses, read_table

    section = settings_from(settings, "approaches", ApproachesSettings)
    bootstrap = section.bootstrap.model_copy(update={"draws": draws})
    table = check_coverage(
        read_table(losses, Losses),
        section.model_copy(update={"bootstrap": bootstrap}),
        approaches=approaches or APPROACHES,
        schemes=schemes,
        kinds=kinds,
        simulations=simulations,
        processes=processes,
    )
    with replacing(out) as temporary:
        table.write_csv(temporary, float_precision=4)
    click.echo(f"{out}: {len(table)} cells")


@main.command("fetch-published")
@click.option("--catalogue", type=PATH, required=True, help="Catalogue of published studies.")
@click.option("--sweep", required=True, help="Name of a sweep in it.")
@click.option("--settings", required=True, help="Section `published` as JSON, or a config.yaml.")
@click.option(
    "--mirror",
    type=PATH,
    envvar="ISOFLOP_MIRROR",
    default=None,
    help="Folder that holds the files, instead of published.mirror [env: ISOFLOP_MIRROR].",
)
@click.option("--cache", type=PATH, default=Path("data/cache/published"), show_default=True)
@click.option("--out", type=PATH, required=True, help="Folder to write.")
def fetch_published_command(
    catalogue: Path, sweep: str, settings: str, mirror: Path | None, cache: Path, out: Path
) -> None:
    """Get a published sweep's files, check their digests, and write its sweep.yaml."""
    from isoflop.config import PublishedSettings, settings_from
    from isoflop.published import downloader, fetch_published, read_catalogue

    chosen = settings_from(settings, "published", PublishedSettings).mirror
    if mirror is None and chosen is not None:
        mirror = Path(chosen)
    for line in fetch_published(
        read_catalogue(catalogue), sweep, out, mirror=mirror, download=downloader(cache)
    ):
        click.echo(line)


@main.command("render-published")
@click.option("--catalogue", type=PATH, required=True, help="Catalogue of published studies.")
@click.option("--estimates", type=PATH, required=True, help="Folder of all estimates.")
@click.option("--files", type=PATH, required=True, help="Folder of the fetched files.")
@click.option("--reference", type=PATH, required=True, help="Folder of the published facts.")
@click.option("--sweep", "sweeps", multiple=True, help="Own sweep to show; repeatable.")
@click.option("--html", type=PATH, required=True, help="Page to write.")
@click.option("--results", type=PATH, required=True, help="JSON to write.")
def render_published_command(
    catalogue: Path,
    estimates: Path,
    files: Path,
    reference: Path,
    sweeps: tuple[str, ...],
    html: Path,
    results: Path,
) -> None:
    """Set published numbers beside reproduced ones."""
    from isoflop.estimates import read_estimates
    from isoflop.files import write_json
    from isoflop.published import Sources, read_catalogue, render_published, verdicts
    from isoflop.reference import read_reference

    studies, facts = read_catalogue(catalogue), read_reference(reference)
    found = verdicts(studies, estimates, Sources(reference=facts, folder=files))
    own = {sweep: read_estimates(estimates / sweep) for sweep in sweeps}
    write_json(results, [verdict.as_json() for verdict in found])
    render_published(studies, found, own, facts, html)
    good = sum(verdict.ok for verdict in found)
    click.echo(f"{good} of {len(found)} published numbers reproduced within their tolerance")
