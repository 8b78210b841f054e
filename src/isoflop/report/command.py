"""The commands of room report."""

from __future__ import annotations

from pathlib import Path

import click

from isoflop.command import PATH
from isoflop.terminal import say


@click.command("render-report")
@click.option("--sweep", required=True, help="Name of the sweep.")
@click.option("--sidecar", type=PATH, required=True, help="sweep.yaml of the sweep.")
@click.option("--losses", type=PATH, required=True, help="Table of build-losses.")
@click.option("--left-out", type=PATH, required=True, help="Table of build-losses.")
@click.option("--runs", type=PATH, required=True, help="Table of ingest-sweep.")
@click.option("--files", type=PATH, required=True, help="Table of ingest-sweep.")
@click.option("--gates", type=PATH, required=True, help="Table of ingest-sweep.")
@click.option("--estimates", type=PATH, required=True, help="Folder of fit-approach's outputs.")
@click.option("--specifications", type=PATH, required=True, help="Table of fit-specifications.")
@click.option("--figures", type=PATH, required=True, help="Folder of plot-figures.")
@click.option("--reference", type=PATH, required=True, help="Folder of the published facts.")
@click.option("--settings", required=True, help="Section `report` as JSON, or a config.yaml.")
@click.option("--losses-settings", required=True, help="Section `losses`, as it was used.")
@click.option("--results", type=PATH, help="JSON of compare-published, for a sweep of a study.")
@click.option("--threads", type=click.IntRange(min=1), default=None, help="All cores by default.")
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
    gates: Path,
    estimates: Path,
    specifications: Path,
    figures: Path,
    reference: Path,
    settings: str,
    losses_settings: str,
    results: Path | None,
    threads: int | None,
    html: Path,
    pdf: Path,
    tables: Path,
) -> None:
    """Write the report of one sweep: HTML, PDF and tables."""
    from isoflop.report.read_inputs import ReportPaths, read_inputs
    from isoflop.report.render_report import render_report

    paths = ReportPaths(
        sidecar=sidecar,
        losses=losses,
        left_out=left_out,
        runs=runs,
        files=files,
        gates=gates,
        estimates=estimates,
        specifications=specifications,
        figures=figures,
        reference=reference,
        results=results,
    )
    inputs = read_inputs(sweep, paths, settings=settings, losses_settings=losses_settings)
    render_report(
        inputs,
        html=html,
        pdf=pdf,
        tables=tables,
        threads=threads,
        tell=lambda words: say(f"{pdf}: {words}"),
    )


@click.command("render-index")
@click.option(
    "--sweep",
    "sweeps",
    type=(str, PATH, PATH, PATH, PATH),
    multiple=True,
    required=True,
    help="Name, sweep.yaml, folder of estimates, table of runs and folder of the report's tables "
    "of a sweep; repeatable.",
)
@click.option("--published", type=PATH, help="JSON of compare-published.")
@click.option(
    "--study-sweep",
    "of_studies",
    type=(str, PATH, PATH, PATH, PATH),
    multiple=True,
    help="The same of a sweep of a published study; repeatable.",
)
@click.option("--reference", type=PATH, required=True, help="Folder of the published facts.")
@click.option("--out", type=PATH, required=True, help="Page to write, beside the sweeps' folders.")
def render_index_command(
    sweeps: tuple[tuple[str, Path, Path, Path, Path], ...],
    published: Path | None,
    of_studies: tuple[tuple[str, Path, Path, Path, Path], ...],
    reference: Path,
    out: Path,
) -> None:
    """Write the page that puts every sweep beside the papers."""
    from isoflop.config.reading import read_yaml
    from isoflop.config.sidecar import SweepFile
    from isoflop.estimates.estimate import read_estimates
    from isoflop.estimates.mixture import read_mixture
    from isoflop.estimates.published_numbers import read_numbers
    from isoflop.reference import read_reference
    from isoflop.report.render_index import IndexedSweep, read_answers, render_index
    from isoflop.tables import Runs, read_table

    indexed, studied = (
        [
            IndexedSweep(
                name,
                read_yaml(sidecar, SweepFile),
                read_estimates(estimates),
                read_table(runs, Runs),
                read_mixture(estimates / "mixture.json"),
                read_answers(tables),
            )
            for name, sidecar, estimates, runs, tables in listed
        ]
        for listed in (sweeps, of_studies)
    )
    numbers = () if published is None else read_numbers(published)
    render_index(indexed, read_reference(reference), out, numbers, studied)
