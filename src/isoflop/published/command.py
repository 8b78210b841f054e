"""The commands of room published."""

from __future__ import annotations

from pathlib import Path

import click

from isoflop.command import PATH
from isoflop.numbers import number_of
from isoflop.terminal import say


@click.command("fetch-published")
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
    from isoflop.config.published import PublishedSettings
    from isoflop.config.reading import settings_from
    from isoflop.fetching import downloader
    from isoflop.published.catalogue import read_catalogue
    from isoflop.published.fetch import fetch_published

    chosen = settings_from(settings, "published", PublishedSettings).mirror
    if mirror is None and chosen is not None:
        mirror = Path(chosen)
    for line in fetch_published(
        read_catalogue(catalogue), sweep, out, mirror=mirror, download=downloader(cache)
    ):
        say(line)


@click.command("render-backtest")
@click.option("--backtest", type=PATH, required=True, help="JSON of backtest-laws.")
@click.option("--reference", type=PATH, required=True, help="Folder of published facts.")
@click.option("--html", type=PATH, required=True, help="Page to write.")
def render_backtest_command(backtest: Path, reference: Path, html: Path) -> None:
    """Show how every way to forecast did."""
    from isoflop.estimates.backtest import read_backtest
    from isoflop.published.render_backtest import render_backtest
    from isoflop.reference import read_reference

    content = read_backtest(backtest)
    render_backtest(content, html, kaplan=read_reference(reference).kaplan.law)
    say(f"{html}: {number_of(len(content.candidates), 'candidate')}")


@click.command("compare-published")
@click.option("--catalogue", type=PATH, required=True, help="Catalogue of published studies.")
@click.option("--estimates", type=PATH, required=True, help="Folder of all estimates.")
@click.option("--files", type=PATH, required=True, help="Folder of the fetched files.")
@click.option("--reference", type=PATH, required=True, help="Folder of the published facts.")
@click.option("--results", type=PATH, required=True, help="JSON to write.")
def compare_published_command(
    catalogue: Path, estimates: Path, files: Path, reference: Path, results: Path
) -> None:
    """Compare published numbers with reproduced ones."""
    from isoflop.estimates.published_numbers import write_numbers
    from isoflop.published.catalogue import read_catalogue
    from isoflop.published.computed import Sources
    from isoflop.published.forest import numbers
    from isoflop.published.results import counted, verdicts
    from isoflop.reference import read_reference

    sources = Sources(reference=read_reference(reference), folder=files)
    checked = verdicts(read_catalogue(catalogue), estimates, sources)
    write_numbers(numbers(checked), results)
    for kind, counts in counted(checked).items():
        say(f"{kind}: {', '.join(f'{count} {name}' for name, count in counts.items())}")


@click.command("render-published")
@click.option("--catalogue", type=PATH, required=True, help="Catalogue of published studies.")
@click.option("--estimates", type=PATH, required=True, help="Folder of all estimates.")
@click.option("--files", type=PATH, required=True, help="Folder of the fetched files.")
@click.option("--reference", type=PATH, required=True, help="Folder of the published facts.")
@click.option("--sweep", "sweeps", multiple=True, help="Own sweep to show; repeatable.")
@click.option("--html", type=PATH, required=True, help="Page to write.")
def render_published_command(
    catalogue: Path,
    estimates: Path,
    files: Path,
    reference: Path,
    sweeps: tuple[str, ...],
    html: Path,
) -> None:
    """Set published numbers beside reproduced ones."""
    from isoflop.estimates.estimate import read_estimates
    from isoflop.published.catalogue import read_catalogue
    from isoflop.published.computed import Sources
    from isoflop.published.render import render_published
    from isoflop.published.results import verdicts
    from isoflop.reference import read_reference

    studies, facts = read_catalogue(catalogue), read_reference(reference)
    checked = verdicts(studies, estimates, Sources(reference=facts, folder=files))
    of_project = {sweep: read_estimates(estimates / sweep) for sweep in sweeps}
    render_published(studies, checked, of_project, facts, html)
    say(
        f"{html}: {number_of(len(checked), 'number')} of "
        f"{number_of(len(studies.studies), 'study', 'studies')}"
    )
