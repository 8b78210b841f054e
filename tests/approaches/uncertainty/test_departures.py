"""Simulated sweeps whose truth is no law of the set: what they are, against their definitions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from isoflop.approaches.estimators.loss_law import MultistartFit
from isoflop.approaches.estimators.registry import fit
from isoflop.approaches.uncertainty.coverage import SCHEMA, check_coverage
from isoflop.approaches.uncertainty.departures import DEPARTURES, BentLaw, Departure
from isoflop.approaches.uncertainty.mixture_coverage import check_mixture
from isoflop.approaches.uncertainty.simulated_sweeps import SimulatedSweeps
from isoflop.config.approaches import ApproachesSettings
from isoflop.estimates.laws import FlopsPerToken, HoffmannLaw

if TYPE_CHECKING:
    import polars as pl

    from isoflop.approaches.observations import Observations

SETTINGS = ApproachesSettings.model_validate(
    {
        "bootstrap": {"draws": 40, "simulation_draws": 40, "interval": "percentile"},
        "parametric": {"starts": "coarse"},
        "mixture": {"laws": ["parametric", "root"]},
    }
)
LAW = HoffmannLaw(
    flops_per_token=FlopsPerToken(coefficient=6.0, exponent=1.0, largest_deviation=0.0)
)
ROW = np.array([[1.7, 400.0, 410.0, 0.34, 0.28]])


@pytest.fixture(scope="module")
def fitted(sweep: Observations) -> MultistartFit:
    found = fit(sweep, "parametric", SETTINGS, threads=1)
    assert isinstance(found, MultistartFit)
    return found


def ends(sweep: Observations) -> np.ndarray:
    """Give log L of each run's last point, (runs,)."""
    last = np.full(sweep.n_runs, np.nan)
    last[sweep.run] = np.log(sweep.loss)
    return last


@pytest.mark.parametrize("drift", [0.02, -0.02])
def test_exponents_drift_by_as_much_per_e_fold(drift: float) -> None:
    # without a term of D, what lies above E is the term of N
    alone = np.array([[1.7, 400.0, 0.0, 0.34, 0.28]])
    bent = BentLaw(LAW, alone, drift, (np.log(1e8), np.log(2e9)))
    at = np.array([0.0, 1.0, 2.0])
    places = np.log(1e8) + np.array([at - 1e-4, at + 1e-4])
    term = np.log(np.exp(bent.log_loss(places, np.zeros_like(places))) - 1.7)
    assert (term[0] - term[1]) / 2e-4 == pytest.approx(0.34 + drift * at, rel=1e-6)


def test_a_bent_optimum_is_the_least_loss_on_its_budget() -> None:
    bent = BentLaw(LAW, ROW, 0.02, (np.log(1e8), np.log(2e9)))
    for flops in (1e18, 1e22):
        best, loss = bent.optimum(flops)
        n = best * np.exp(np.linspace(-1, 1, 401))
        along = np.exp(bent.log_loss(np.log(n), np.log(flops / (6.0 * n))))
        assert loss == pytest.approx(along.min(), rel=1e-9)
        assert n[along.argmin()] == pytest.approx(best, rel=0.01)
    straight = BentLaw(LAW, ROW, 0.0, (0.0, 0.0))
    optima = LAW.optima(ROW, np.array([1e20]))
    assert straight.optimum(1e20)[0] == pytest.approx(optima.params[0, 0], rel=1e-4)
    assert straight.slope((1e18, 1e21)) == pytest.approx(0.28 / 0.62, rel=1e-4)


def test_size_effects_are_shared_by_the_runs_of_a_size_and_noise_is_not() -> None:
    params = np.repeat([1e6, 2e6, 4e6], 400)
    drawn = Departure(noise=(0.01, 0.01), by_size=0.05).errors(
        params, np.full(1200, 1e18), np.random.default_rng(1)
    )
    groups = drawn.reshape(3, 400)
    assert groups.std(axis=1) == pytest.approx(0.01, rel=0.1)
    assert groups.mean(axis=1).std() > 0.01
    flops = np.geomspace(1e15, 1e18, 3000)
    uneven = DEPARTURES["heteroscedastic"].errors(flops, flops, np.random.default_rng(2))
    assert uneven[:300].std() == pytest.approx(0.03 * (1 / 6) ** 0.05, rel=0.12)
    assert uneven[-300:].std() == pytest.approx(0.005 * 6**0.05, rel=0.12)


def test_mistuned_rates_raise_losses_and_leave_the_truth(fitted: MultistartFit) -> None:
    plain = SimulatedSweeps(fitted)
    sizes = np.log10(fitted.observations.run_params)
    for key, expected in (
        ("mistuned", 0.015 * (sizes - sizes.min())),
        ("mistuned_squared", 0.015 * (sizes - sizes.mean()) ** 2),
    ):
        source = SimulatedSweeps(fitted, DEPARTURES[key])
        raised = ends(source.noiseless()) - ends(plain.noiseless())
        assert raised == pytest.approx(expected, abs=1e-12)
        flops = np.array([1e19, 1e21])
        for name, values in source.true(flops).items():
            assert values == pytest.approx(plain.true(flops)[name])


def test_no_departure_changes_no_bit(fitted: MultistartFit) -> None:
    plain = SimulatedSweeps(fitted).draw(3, 0).loss
    assert (SimulatedSweeps(fitted, Departure()).draw(3, 0).loss == plain).all()


def test_every_truth_goes_through_both_checks(losses: pl.DataFrame) -> None:
    mixed = check_mixture(losses, SETTINGS, truths=tuple(DEPARTURES), simulations=2)
    assert dict(mixed.schema) == SCHEMA
    assert set(mixed["truth"]) == set(DEPARTURES)
    assert mixed.height == len(DEPARTURES) * 7 * 2
    alone = check_coverage(
        losses,
        SETTINGS,
        approaches=["parametric"],
        schemes=["runs"],
        kinds=["percentile"],
        truths=["root", "bent_up"],
        simulations=2,
    )
    # a, b, three N and three losses; two levels
    assert alone.group_by("truth").len().sort("truth").rows() == [("bent_up", 16), ("root", 16)]
    assert (alone.filter(quantity="loss_opt")["median_width"] > 1.0).all()


def test_a_law_that_is_not_the_truth_misses_its_losses(losses: pl.DataFrame) -> None:
    """The finding that this table exists for: approach 3 where the root law is true."""
    found = check_coverage(
        losses,
        SETTINGS,
        approaches=["parametric"],
        schemes=["runs"],
        kinds=["percentile"],
        truths=["parametric", "root"],
        simulations=6,
    ).filter(quantity="loss_opt", where="2 decades beyond", level=0.95)
    by_truth = dict(found.select("truth", "coverage").iter_rows())
    assert by_truth["parametric"] > by_truth["root"]
