"""The commands of room figures."""

from __future__ import annotations

from pathlib import Path

import click

from isoflop.command import PATH


@click.command("plot-figures")
@click.option("--sweep", required=True, help="Name of the sweep.")
@click.option("--losses", type=PATH, required=True, help="Table of build-losses.")
@click.option("--runs", type=PATH, required=True, help="Table of ingest-sweep.")
@click.option("--estimates", type=PATH, required=True, help="Folder of fit-approach's outputs.")
@click.option("--specifications", type=PATH, required=True, help="Table of fit-specifications.")
@click.option("--reference", type=PATH, required=True, help="Folder of the published facts.")
@click.option("--settings", required=True, help="Section `figures` as JSON, or a config.yaml.")
@click.option(
    "--threads",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Processes to draw in.",
)
@click.option("--out", type=PATH, required=True, help="Folder to write: SVG, PDF, figures.json.")
def plot_figures_command(
    sweep: str,
    losses: Path,
    runs: Path,
    estimates: Path,
    specifications: Path,
    reference: Path,
    settings: str,
    threads: int,
    out: Path,
) -> None:
    """Draw every figure of one sweep."""
    from isoflop.approach import LAWS
    from isoflop.config.figures import FiguresSettings
    from isoflop.config.reading import settings_from
    from isoflop.estimates.announced import FILE, read_announcements
    from isoflop.estimates.estimate import read_draws, read_draws_of, read_estimates
    from isoflop.estimates.forecasts import read_forecasts
    from isoflop.estimates.mixture import KEY, read_mixture
    from isoflop.figures.inputs import FigureInputs
    from isoflop.figures.plot_figures import plot_figures
    from isoflop.reference import read_reference
    from isoflop.tables import Losses, Runs, Specifications, read_table

    inputs = FigureInputs(
        sweep=sweep,
        losses=read_table(losses, Losses),
        runs=read_table(runs, Runs),
        estimates=read_estimates(estimates),
        draws=read_draws(estimates),
        laws=read_estimates(estimates, LAWS),
        law_draws=read_draws(estimates, LAWS),
        mixture=read_mixture(estimates / "mixture.json"),
        mixture_draws=read_draws_of(estimates, KEY),
        forecasts=read_forecasts(estimates / "forecast.json"),
        specifications=read_table(specifications, Specifications),
        reference=read_reference(reference),
        announcement=read_announcements(reference / FILE).of(sweep),
        settings=settings_from(settings, "figures", FiguresSettings),
    )
    plot_figures(inputs, out, processes=threads)
