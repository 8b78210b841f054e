"""The commands of room approaches."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from isoflop.approach import APPROACHES, BY_KEY, LAWS, MIXTURE, Approach
from isoflop.approaches.uncertainty.departures import DEPARTURES
from isoflop.command import PATH, with_options
from isoflop.numbers import number_of
from isoflop.terminal import say

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from isoflop.estimates.announced import AnnouncedLoss


@click.command("fit-approach")
@click.option("--approach", type=click.Choice(list(BY_KEY)), required=True)
@click.option("--sweep", required=True, help="Name of the sweep.")
@click.option("--losses", type=PATH, required=True, help="Table of build-losses.")
@click.option("--settings", required=True, help="Section `approaches` as JSON, or a config.yaml.")
@click.option(
    "--left-out", type=PATH, default=None, help="What build-losses left out; a refusal says why."
)
@click.option(
    "--reference", type=PATH, default=None, help="Folder of the published facts, to be tested."
)
@click.option("--threads", type=click.IntRange(min=1), default=None, help="All cores by default.")
@click.option("--estimate", type=PATH, required=True, help="JSON to write.")
@click.option("--draws", type=PATH, required=True, help="Table of bootstrap draws to write.")
def fit_approach_command(
    approach: Approach,
    sweep: str,
    losses: Path,
    settings: str,
    reference: Path | None,
    left_out: Path | None,
    threads: int | None,
    estimate: Path,
    draws: Path,
) -> None:
    """Fit one approach to a loss table, with bootstrap intervals."""
    from isoflop.approaches.fit_approach import fit_approach
    from isoflop.config.approaches import ApproachesSettings
    from isoflop.config.reading import settings_from
    from isoflop.estimates.estimate import provenance, write_estimate
    from isoflop.files import replacing
    from isoflop.reference import read_published_laws
    from isoflop.tables import LeftOut, Losses, read_table

    outcome, table = fit_approach(
        read_table(losses, Losses),
        approach,
        settings_from(settings, "approaches", ApproachesSettings),
        sweep=sweep,
        provenance=provenance([losses]),
        published=None if reference is None else read_published_laws(reference),
        threads=threads,
        left_out=None if left_out is None else read_table(left_out, LeftOut),
    )
    write_estimate(outcome, estimate)
    with replacing(draws) as temporary:
        table.write_parquet(temporary, compression="zstd")
    say(f"{sweep}, {approach}: {outcome}")


@click.command("score-forecasts")
@click.option("--sweep", required=True, help="Name of the sweep.")
@click.option("--losses", type=PATH, required=True, help="Table of build-losses.")
@click.option("--settings", required=True, help="Section `approaches` as JSON, or a config.yaml.")
@click.option("--threads", type=click.IntRange(min=1), default=None, help="All cores by default.")
@click.option("--forecast", type=PATH, required=True, help="JSON to write.")
def score_forecasts_command(
    sweep: str, losses: Path, settings: str, threads: int | None, forecast: Path
) -> None:
    """Fit below a cut in compute, predict what lies above it, and score the errors."""
    from isoflop.approaches.score_forecasts import score_forecasts
    from isoflop.config.approaches import ApproachesSettings
    from isoflop.config.reading import settings_from
    from isoflop.estimates.estimate import provenance
    from isoflop.estimates.forecasts import write_forecasts
    from isoflop.tables import Losses, read_table

    outcome = score_forecasts(
        read_table(losses, Losses),
        settings_from(settings, "approaches", ApproachesSettings),
        sweep=sweep,
        provenance=provenance([losses]),
        threads=threads,
    )
    write_forecasts(outcome, forecast)
    say(f"{sweep}: {outcome}")


@click.command("mix-laws")
@click.option("--sweep", required=True, help="Name of the sweep.")
@click.option("--estimates", type=PATH, required=True, help="Folder of the laws' estimates.")
@click.option("--forecast", type=PATH, required=True, help="JSON of score-forecasts.")
@click.option("--losses", type=PATH, required=True, help="Table of build-losses.")
@click.option("--settings", required=True, help="Section `approaches` as JSON, or a config.yaml.")
@click.option("--mixture", type=PATH, required=True, help="JSON to write.")
@click.option("--draws", type=PATH, required=True, help="Table of the mixture's draws to write.")
def mix_laws_command(
    sweep: str,
    estimates: Path,
    forecast: Path,
    losses: Path,
    settings: str,
    mixture: Path,
    draws: Path,
) -> None:
    """Mix the laws of the loss, by weights from their forecasts or alike."""
    from isoflop.approaches.mix_laws import mix_laws
    from isoflop.config.approaches import ApproachesSettings
    from isoflop.config.reading import settings_from
    from isoflop.estimates.estimate import provenance, read_draws, read_estimates
    from isoflop.estimates.forecasts import read_forecasts
    from isoflop.estimates.mixture import write_mixture
    from isoflop.files import replacing
    from isoflop.tables import Losses, read_table

    outcome, table = mix_laws(
        read_estimates(estimates, LAWS),
        read_draws(estimates, LAWS),
        read_forecasts(forecast),
        settings_from(settings, "approaches", ApproachesSettings),
        sweep=sweep,
        provenance=provenance([*(estimates / f"{law}.json" for law in LAWS), forecast, losses]),
        losses=read_table(losses, Losses),
    )
    write_mixture(outcome, mixture)
    with replacing(draws) as temporary:
        table.write_parquet(temporary, compression="zstd")
    say(f"{sweep}: {outcome}")


_ANNOUNCING = (
    click.option("--sweep", required=True, help="Name of the sweep."),
    click.option("--losses", type=PATH, required=True, help="Table of build-losses."),
    click.option("--mixture", type=PATH, required=True, help="JSON of mix-laws."),
    click.option(
        "--runs", type=PATH, required=True, help="CSV of runs to come: plan-sweep --targets."
    ),
    click.option(
        "--settings", required=True, help="Section `approaches` as JSON, or a config.yaml."
    ),
    click.option(
        "--out", type=PATH, default=Path("data/reference/forecast.yaml"), show_default=True
    ),
)


def _announcing(command: Callable[..., None]) -> Callable[..., None]:
    """Options of the commands that announce."""
    return with_options(_ANNOUNCING, command)


@click.command("announce-losses")
@_announcing
def announce_losses_command(
    sweep: str, losses: Path, mixture: Path, runs: Path, settings: str, out: Path
) -> None:
    """Announce the losses of runs that are not trained yet, once and for all."""
    from isoflop.approaches.announce_losses import announce_losses
    from isoflop.estimates.announced import add_announcement

    announcement = announce_losses(**_to_announce(sweep, losses, mixture, runs, settings))
    add_announcement(announcement, out)
    for run in announcement.runs:
        _say_announced(run.run, run.losses)
    say(f"wrote {out}: commit it before any of these runs is trained")


@click.command("announce-pair")
@_announcing
def announce_pair_command(
    sweep: str, losses: Path, mixture: Path, runs: Path, settings: str, out: Path
) -> None:
    """Announce by how much Kaplan's size will end above Chinchilla's, at one compute."""
    from isoflop.approaches.announce_losses import announce_pair
    from isoflop.estimates.announced import add_announcement

    announcement = announce_pair(**_to_announce(sweep, losses, mixture, runs, settings))
    add_announcement(announcement, out)
    _say_announced("difference", announcement.difference)
    if announcement.noise is not None:
        say(f"standard deviation of its measurement: {announcement.noise:.4f}")
    say(f"wrote {out}: commit it before any of these runs is trained")


def _to_announce(
    sweep: str, losses: Path, mixture: Path, runs: Path, settings: str
) -> dict[str, Any]:
    """Read what an announcement is made from."""
    from isoflop.config.approaches import ApproachesSettings
    from isoflop.config.reading import settings_from
    from isoflop.estimates.mixture import read_mixture
    from isoflop.files import digest
    from isoflop.tables import Losses, Targets, read_csv_table, read_table

    return {
        "losses": read_table(losses, Losses),
        "targets": read_csv_table(runs, Targets),
        "mixture": read_mixture(mixture),
        "settings": settings_from(settings, "approaches", ApproachesSettings),
        "sweep": sweep,
        "losses_sha256": digest(losses),
    }


def _say_announced(what: str, losses: Mapping[str, AnnouncedLoss]) -> None:
    from isoflop.estimates.mixture import KEY

    low, high = losses[KEY].intervals["0.8"]
    say(f"{what}: {losses[KEY].predicted:.4f} ({low:.4f} to {high:.4f})")


@click.command("fit-specifications")
@click.option("--sweep", required=True, help="Name of the sweep.")
@click.option("--losses", type=PATH, required=True, help="Table of build-losses.")
@click.option("--alternate-loss", type=PATH, required=True, help="Table of build-losses.")
@click.option("--settings", required=True, help="Section `approaches` as JSON, or a config.yaml.")
@click.option("--threads", type=click.IntRange(min=1), default=None, help="All cores by default.")
@click.option("--out", type=PATH, required=True, help="Table to write: one row per specification.")
def fit_specifications_command(
    sweep: str, losses: Path, alternate_loss: Path, settings: str, threads: int | None, out: Path
) -> None:
    """Refit every approach under each combination of analysis choices."""
    from isoflop.approaches.fit_specifications import fit_specifications
    from isoflop.config.approaches import ApproachesSettings
    from isoflop.config.reading import settings_from
    from isoflop.tables import Losses, Specifications, read_table, write_table

    table = fit_specifications(
        read_table(losses, Losses),
        read_table(alternate_loss, Losses),
        settings_from(settings, "approaches", ApproachesSettings),
        sweep=sweep,
        threads=threads,
    )
    write_table(table, Specifications, out)
    fitted = sorted(table["a"].drop_nulls())
    span = f", a from {fitted[0]:.3f} to {fitted[-1]:.3f}" if fitted else ""
    say(f"{sweep}: {len(fitted)} of {number_of(table.height, 'specification')} fitted{span}")


@click.command("backtest-laws")
@click.option("--plan", required=True, help="Sweeps, and how each takes part, as JSON.")
@click.option("--draws", type=click.IntRange(min=40), default=200, show_default=True)
@click.option("--out", type=PATH, required=True, help="JSON to write.")
def backtest_laws_command(plan: str, draws: int, out: Path) -> None:
    """Hide the upper part of sweeps, and forecast it in every way there is."""
    import json

    from isoflop.approaches.backtest_laws import backtest_laws
    from isoflop.config.approaches import ApproachesSettings
    from isoflop.config.reading import parse
    from isoflop.estimates.backtest import Plan, write_backtest
    from isoflop.tables import Losses, read_table

    planned = parse(json.loads(plan), Plan, name="--plan").sweeps
    # by the package's defaults: how a reader fits own runs changes no verdict on a law
    backtest = backtest_laws(
        [(entry, read_table(Path(entry.losses), Losses)) for entry in planned],
        ApproachesSettings(),
        draws=draws,
    )
    write_backtest(backtest, out)
    forecasts = number_of(len(backtest.cells), "forecast")
    say(f"{out}: {forecasts}, {number_of(len(backtest.left_out), 'sweep')} left out")


@click.command("check-coverage")
@click.option("--losses", type=PATH, required=True, help="Table of build-losses to imitate.")
@click.option("--settings", required=True, help="Section `approaches` as JSON, or a config.yaml.")
@click.option(
    "--approach", "approaches", type=click.Choice([*APPROACHES, *LAWS, MIXTURE.key]), multiple=True
)
@click.option(
    "--truth",
    "truths",
    type=click.Choice([*LAWS, *DEPARTURES]),
    multiple=True,
    default=["parametric"],
    help="Law that sweeps are simulated from, or a departure laid over approach 3's.",
)
@click.option("--scheme", "schemes", multiple=True, default=["runs"], show_default=True)
@click.option("--interval", "kinds", multiple=True, default=["calibrated"], show_default=True)
@click.option("--shared", is_flag=True, help="Let runs of a size share errors, as measured.")
@click.option("--simulations", type=click.IntRange(min=1), default=500, show_default=True)
@click.option("--draws", type=click.IntRange(min=40), default=200, show_default=True)
@click.option("--processes", type=click.IntRange(min=1), default=1, show_default=True)
@click.option("--out", type=PATH, required=True, help="CSV to write.")
def check_coverage_command(
    losses: Path,
    settings: str,
    approaches: tuple[str, ...],
    truths: tuple[str, ...],
    schemes: tuple[str, ...],
    kinds: tuple[str, ...],
    shared: bool,  # noqa: FBT001  click passes options by name
    simulations: int,
    draws: int,
    processes: int,
    out: Path,
) -> None:
    """Count how often intervals cover the truth on simulated sweeps like a given one."""
    import polars as pl

    from isoflop.approaches.uncertainty.coverage import check_coverage
    from isoflop.approaches.uncertainty.mixture_coverage import check_mixture
    from isoflop.config.approaches import ApproachesSettings
    from isoflop.config.reading import settings_from
    from isoflop.files import replacing
    from isoflop.tables import Losses, read_table

    section = settings_from(settings, "approaches", ApproachesSettings)
    bootstrap = section.bootstrap.model_copy(update={"draws": draws})
    section = section.model_copy(update={"bootstrap": bootstrap})
    read = read_table(losses, Losses)
    tables = []
    if single := [key for key in approaches or APPROACHES if key != MIXTURE.key]:
        tables.append(
            check_coverage(
                read,
                section,
                approaches=single,
                schemes=schemes,
                kinds=kinds,
                simulations=simulations,
                truths=truths,
                shared=shared,
                processes=processes,
            )
        )
    if MIXTURE.key in approaches:
        tables.append(
            check_mixture(
                read, section, truths=truths, simulations=simulations, kinds=kinds, shared=shared
            )
        )
    table = pl.concat(tables)
    with replacing(out) as temporary:
        table.write_csv(temporary, float_precision=4)
    say(f"{out}: {number_of(len(table), 'cell')}")
