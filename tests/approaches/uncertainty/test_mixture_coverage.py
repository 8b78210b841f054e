"""The mixture's coverage is counted on sweeps that go the whole way a real one goes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from isoflop.approaches.estimators.loss_law import MultistartFit
from isoflop.approaches.estimators.registry import fit
from isoflop.approaches.uncertainty.coverage import SCHEMA
from isoflop.approaches.uncertainty.mixture_coverage import check_mixture, checks_of
from isoflop.approaches.uncertainty.simulated_sweeps import SimulatedSweeps
from isoflop.approaches.uncertainty.truths import truths_of
from isoflop.config.approaches import ApproachesSettings
from isoflop.errors import IsoflopError
from isoflop.estimates.levels import Tails
from tests.approaches.conftest import LAW, finished_runs

if TYPE_CHECKING:
    import polars as pl

    from isoflop.approaches.observations import Observations

SETTINGS = ApproachesSettings.model_validate(
    {
        "bootstrap": {"draws": 40, "interval": "percentile"},
        "parametric": {"starts": "coarse"},
        "mixture": {"laws": ["parametric", "root"]},
    }
)


def test_misfits_of_many_sweeps_are_those_of_each(sweep: Observations) -> None:
    for law in ("parametric", "root"):
        fitted = fit(sweep, law, SETTINGS, threads=1)
        assert isinstance(fitted, MultistartFit)
        source = SimulatedSweeps(fitted)
        drawn = [source.draw(i, 0) for i in range(3)]
        together = fitted.misfits_of(np.log([one.loss for one in drawn]))
        alone = [fitted.refit_losses(one).misfit[0]["joint"]["p_value"] for one in drawn]
        assert together == pytest.approx(alone, rel=1e-3)


def test_every_cell_of_every_truth_is_there(losses: pl.DataFrame) -> None:
    table = check_mixture(losses, SETTINGS, truths=("root", "parametric"), simulations=4)
    assert dict(table.schema) == SCHEMA
    assert set(table["truth"]) == {"root", "parametric"}
    # a, three N and three losses; two levels
    assert table.height == 2 * 7 * 2
    assert table["coverage"].is_between(0.0, 1.0).all()
    assert (table.filter(quantity="loss_opt")["median_width"] > 1.0).all()
    again = check_mixture(losses, SETTINGS, truths=("parametric",), simulations=4)
    assert again.equals(table.filter(truth="parametric"))


def test_weights_from_forecasts_cannot_be_checked(losses: pl.DataFrame) -> None:
    stacked = SETTINGS.mixture.model_copy(update={"weights": "stacking"})
    settings = SETTINGS.model_copy(update={"mixture": stacked})
    with pytest.raises(IsoflopError, match="simulated sweeps have no forecasts"):
        check_mixture(losses, settings, truths=("root",), simulations=1)


def test_a_wrong_law_alone_never_covers(losses: pl.DataFrame) -> None:
    """Kaplan's law has no floor: where there is one, it misses the loss two decades on."""
    alone = SETTINGS.mixture.model_copy(update={"laws": ("kaplan_law",)})
    settings = SETTINGS.model_copy(update={"mixture": alone})
    table = check_mixture(losses, settings, truths=("parametric",), simulations=5)
    far = table.filter(quantity="loss_opt", where="2 decades beyond", level=0.95)
    assert far["coverage"].item() == 0.0


def test_truths_are_of_the_runs_alone(losses: pl.DataFrame, sweep: Observations) -> None:
    """A firm prior far from the runs decides every fit, and covers nothing."""
    assert SETTINGS.without_priors() is SETTINGS
    firm = {"median": 0.9, "sd": 1e-3}
    settings = ApproachesSettings.model_validate(
        SETTINGS.model_dump() | {"parametric": {"starts": "coarse", "alpha_prior": firm}}
        | {"mixture": {"laws": ["parametric"]}}
    )  # fmt: skip
    fitted = fit(sweep, "parametric", settings, threads=1)
    (source,) = truths_of(sweep, settings, made=[fitted], threads=1).sweeps.values()
    free = fit(sweep, "parametric", SETTINGS, threads=1)
    assert source.fitted.parameters == pytest.approx(free.parameters, rel=1e-6)
    kinds = ("percentile", "calibrated")
    table = check_mixture(losses, settings, truths=("parametric",), simulations=3, kinds=kinds)
    of_a = table.filter(quantity="a", level=0.8)
    assert of_a.filter(interval="percentile")["coverage"].item() == 0.0
    # ends cannot be placed where the truth lies beyond all draws
    assert of_a.filter(interval="calibrated")["given"].item() == 0.0


def _sharing() -> Observations:
    """Give nine sizes of five or six runs, whose errors are those of their sizes for the most."""
    generator = np.random.default_rng(5)
    params, flops = np.meshgrid(np.geomspace(1e6, 1e8, 9), np.geomspace(1e17, 3e19, 6))
    size = np.broadcast_to(np.arange(9), params.shape)
    tokens = flops / (6.0 * params)
    errors = generator.normal(scale=0.01, size=9)[size]
    errors = errors + generator.normal(scale=0.002, size=params.shape)
    near = tokens / params < 3e3
    loss = LAW.loss(params, tokens) * np.exp(errors)
    return finished_runs(*(column[near] for column in (params, tokens, flops, loss)))


def test_errors_that_sizes_share_are_covered_and_levels_are_those_of_the_ranks() -> None:
    """Runs resampled one by one miss the errors of whole sizes; levels then place the ends."""
    shared = _sharing()
    found = {}
    for interval in ("percentile", "calibrated"):
        bootstrap = SETTINGS.bootstrap.model_copy(update={"interval": interval})
        mixture = SETTINGS.mixture.model_copy(
            update={"laws": ("parametric",), "simulations": 80, "simulation_draws": 60}
        )
        settings = SETTINGS.model_copy(update={"bootstrap": bootstrap, "mixture": mixture})
        (check,), placed = checks_of(shared, settings, laws=("parametric",), truths=("parametric",))
        found[interval] = check
        assert bool(placed) == (interval == "calibrated")
    near = {
        interval: next(c for c in check.covered if c.quantity == "params_opt")
        for interval, check in found.items()
    }
    assert near["percentile"].shares == near["percentile"].percentile_shares
    # 80 sweeps have standard errors of .04 and .02
    assert near["percentile"].percentile_shares["0.95"] < 0.8
    assert near["calibrated"].percentile_shares["0.95"] > 0.9
    for covered in found["calibrated"].covered:
        ends = next(
            entry.levels for entry in placed
            if (entry.quantity, entry.decades_beyond) == (covered.quantity, covered.decades_beyond)
        )  # fmt: skip
        for level in ("0.8", "0.95"):
            if isinstance(ends[level], Tails):
                # each tail may miss one sweep more than its share, by the rounding of ranks
                assert covered.shares[level] >= float(level) - 2 / 80


def test_calibrated_intervals_of_the_mixture_cover_where_percentiles_do_not() -> None:
    """Second sweeps of each simulated one place the ends, its own parts of the noise and all."""
    mixture = SETTINGS.mixture.model_copy(update={"laws": ("parametric",)})
    settings = SETTINGS.model_copy(update={"mixture": mixture})
    table = check_mixture(
        _sharing(), settings, truths=("parametric",), simulations=40,
        kinds=("percentile", "calibrated"), shared=True,
    )  # fmt: skip
    assert table.height == 2 * 7 * 2
    near = table.filter(quantity="params_opt", where="in range", level=0.8)
    plain, placed = (near.filter(interval=kind) for kind in ("percentile", "calibrated"))
    # 40 sweeps have a standard error of .06
    assert plain["coverage"].item() < 0.65
    assert placed["coverage"].item() > 0.65
    assert placed["given"].item() == 1.0
    assert placed["median_width"].item() > plain["median_width"].item()
