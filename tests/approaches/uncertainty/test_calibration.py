"""Simulated sweeps of known truth: they look like the sweep, and they judge intervals rightly."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from typing import TYPE_CHECKING, cast

import numpy as np
import polars as pl
import pytest

from isoflop.approaches.estimators.registry import fit
from isoflop.approaches.fit_approach import fit_approach
from isoflop.approaches.uncertainty.calibration import calibrate, refitted
from isoflop.approaches.uncertainty.coverage import check_coverage
from isoflop.approaches.uncertainty.simulated_sweeps import SimulatedSweeps
from isoflop.approaches.uncertainty.truths import truths_of
from isoflop.config.approaches import ApproachesSettings
from isoflop.errors import UnderdeterminedError
from isoflop.estimates.diagnostics import REJECTED, NoiseParts
from isoflop.estimates.estimate import (
    Calibration,
    Estimate,
    Provenance,
    Refusal,
    Uncalibrated,
)
from isoflop.estimates.forecasts import NoForecasts
from isoflop.estimates.levels import NoLevel, Tails
from isoflop.estimates.quantities import levels_of
from isoflop.estimates.recommendation import standing

if TYPE_CHECKING:
    from isoflop.approaches.estimators.loss_law import MultistartFit
    from isoflop.approaches.observations import Observations

PROVENANCE = Provenance(inputs={}, version="test", git_revision=None)
SETTINGS = ApproachesSettings.model_validate(
    {
        "bootstrap": {"draws": 200, "simulations": 60, "simulation_draws": 40},
        "parametric": {"starts": "coarse"},
    }
)
WHOLE = SETTINGS.model_copy(
    update={
        "envelope": SETTINGS.envelope.model_copy(
            update={"edge": "keep", "min_schedule_fraction": 0.0}
        )
    }
)
TOP = np.array([1e19])


def among(settings: ApproachesSettings, *laws: str) -> ApproachesSettings:
    """Simulate sweeps from these laws alone, for speed."""
    mixture = settings.mixture.model_copy(update={"laws": laws})
    return settings.model_copy(update={"mixture": mixture})


NO_FORECASTS = NoForecasts(sweep="s", settings=SETTINGS, refused="none", provenance=PROVENANCE)


@pytest.fixture(scope="module")
def like(sweep: Observations) -> SimulatedSweeps:
    return SimulatedSweeps(cast("MultistartFit", fit(sweep, "parametric", SETTINGS)))


def test_without_errors_every_curve_ends_at_the_law(like: SimulatedSweeps) -> None:
    plain = like.noiseless()
    last = plain.is_final
    e, a, b, alpha, beta = like.fitted.parameters
    law = e + a / plain.params[last] ** alpha + b / plain.tokens[last] ** beta
    np.testing.assert_allclose(plain.loss[last], law, rtol=1e-12)


def test_a_curve_keeps_its_shape(sweep: Observations, like: SimulatedSweeps) -> None:
    ratio = like.draw(3, 0).loss / sweep.loss
    for run in range(sweep.n_runs):
        own = ratio[sweep.run == run]
        np.testing.assert_allclose(own, own[0], rtol=1e-12)


def test_copies_are_those_of_the_logs(sweep: Observations) -> None:
    """Drawn losses are no printouts: what is no replicate in the sweep is none in its like."""
    points = [np.flatnonzero(sweep.run == run) for run in range(sweep.n_runs)]
    kept, twin = next(
        pair
        for pair in combinations(range(sweep.n_runs), 2)
        if len({len(points[run]) for run in pair}) == 1
    )
    copied = {"run_params": sweep.run_params.copy()}
    copied["run_params"][twin] = sweep.run_params[kept]
    for name in ("params", "tokens", "flops", "loss"):
        copied[name] = getattr(sweep, name).copy()
        copied[name][points[twin]] = copied[name][points[kept]]
    copied_sweep = replace(sweep, **copied)
    assert copied_sweep.copied[twin]
    assert not copied_sweep.once[twin]
    fitted = cast("MultistartFit", fit(copied_sweep, "parametric", SETTINGS))
    drawn = SimulatedSweeps(fitted).draw(0, 0)
    assert (drawn.loss != copied_sweep.loss).all()
    assert (drawn.copied == copied_sweep.copied).all()
    assert (drawn.once == copied_sweep.once).all()


def test_errors_are_as_wide_as_those_of_the_sweep(like: SimulatedSweeps) -> None:
    """The fixture has 0.3 % of noise; 5 of its 35 degrees of freedom go to the fit."""
    assert like.noise == pytest.approx(0.003, rel=0.35)
    spread = [np.log(like.draw(i, 0).loss / like.noiseless().loss).std() for i in range(40)]
    assert np.mean(spread) == pytest.approx(like.noise, rel=0.1)


def test_runs_of_a_size_share_what_they_share_in_the_sweep(novels_cpu: Observations) -> None:
    fitted = cast("MultistartFit", fit(novels_cpu, "parametric", SETTINGS))
    parts = NoiseParts(seed=0.004, cell=None, size=0.02, sizes=9, cells=9, replicates=0)
    # estimated once, when first asked for; here as if it had been
    vars(fitted)["noise_parts"] = parts
    source = SimulatedSweeps(fitted, shared=True)
    assert source.noise == pytest.approx(np.hypot(0.004, 0.02))
    fitted_runs = np.unique(fitted.fitted_points.run)
    ends = np.array([_ends(source.draw(i, 0)) - _ends(source.noiseless()) for i in range(300)])
    ends = ends[:, fitted_runs]
    size = np.unique(novels_cpu.run_params[fitted_runs], return_inverse=True)[1]
    together = np.cov(ends.T)
    same = size[:, None] == size[None]
    np.fill_diagonal(same, val=False)
    assert same.any()
    assert np.diag(together).mean() == pytest.approx(0.004**2 + 0.02**2, rel=0.1)
    assert together[same].mean() == pytest.approx(0.02**2, rel=0.1)
    others = together[size[:, None] != size[None]]
    assert others.mean() == pytest.approx(0.0, abs=0.1 * 0.02**2)


def _ends(sweep: Observations) -> np.ndarray:
    """Give log L of each run's last point, (runs,)."""
    last = np.full(sweep.n_runs, np.nan)
    last[sweep.run] = np.log(sweep.loss)
    return last


def test_draws_depend_on_their_own_number_alone(like: SimulatedSweeps) -> None:
    assert (like.draw(5, 1).loss == like.draw(5, 1).loss).all()
    assert (like.draw(5, 1).loss != like.draw(6, 1).loss).any()
    assert (like.draw(5, 1).loss != like.draw(5, 2).loss).any()


def test_the_truth_is_the_laws(like: SimulatedSweeps) -> None:
    truth = like.truth.values(like.truth.law, TOP)
    n, d = truth["params_opt_1e+19"], truth["tokens_opt_1e+19"]
    assert 6 * n * d == pytest.approx(1e19, rel=1e-9)
    assert n == pytest.approx(truth["N_coefficient"] * 1e19 ** truth["a"], rel=1e-9)
    assert d == pytest.approx(truth["D_coefficient"] * 1e19 ** truth["b"], rel=1e-9)


@pytest.fixture(scope="module")
def flat(sweep: Observations) -> Observations:
    """Give losses that do not depend on N, but for 0.3 % of noise."""
    noise = 1.0 + 0.003 * np.random.default_rng(0).normal(size=sweep.n_runs)
    return replace(sweep, loss=(1.7 + 1500.0 / sweep.tokens**0.36) * noise[sweep.run])


def test_a_law_with_a_vanished_term_is_no_truth(flat: Observations) -> None:
    with pytest.raises(UnderdeterminedError, match=r"no law of the set .*alpha of this law ended"):
        truths_of(flat, among(SETTINGS, "parametric"))


def test_truths_are_the_laws_that_the_runs_do_not_reject(novels_cpu: Observations) -> None:
    """The audit rejects Chinchilla's and Kaplan's laws on these runs; the nested law fits."""
    truths = truths_of(novels_cpu, SETTINGS)
    assert list(truths.sweeps) == ["nested", "root"]
    assert set(truths.left_out) == {"parametric", "kaplan_law", "product"}
    assert all("the runs reject its form (p = " in why for why in truths.left_out.values())
    for law, source in truths.sweeps.items():
        assert source.truth.approach == law
        assert source.noise < 0.008


def test_a_law_shares_its_constants_with_itself_alone(
    sweep: Observations, like: SimulatedSweeps
) -> None:
    """A and alpha of two laws are two things; E, a and the optima are one."""
    own = like.truth.values(like.truth.law, TOP)
    other = like.truth.values(fit(sweep, "root", SETTINGS).law, TOP)
    assert {"E", "A", "B", "alpha", "beta"} <= set(own)
    assert set(own) - set(other) == {"A", "B", "alpha", "beta"}
    assert all(other[name] == own[name] for name in other)


def test_a_sweep_without_a_law_says_that_nobody_checked(
    sweep: Observations, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An approach may have an optimum where the law that should judge it has none."""

    def no_law(*_: object, **__: object) -> None:
        raise UnderdeterminedError("alpha of the parametric law ended at its bound")

    monkeypatch.setattr("isoflop.approaches.fit_approach.truths_of", no_law)
    outcome, _ = fit_approach(sweep, "profiles", SETTINGS, sweep="s", provenance=PROVENANCE)
    assert isinstance(outcome, Estimate)
    assert outcome.a.coverage == {}
    assert any("uncalibrated percentiles" in caution for caution in outcome.cautions)
    assert isinstance(outcome.calibration, Uncalibrated)
    assert "alpha" in outcome.calibration.reason


@pytest.mark.parametrize("approach", ["profiles", "parametric"])
def test_percentiles_of_whole_runs_are_found_fair(
    sweep: Observations, like: SimulatedSweeps, approach: str
) -> None:
    fitted = fit(sweep, approach, SETTINGS)
    found = calibrate(fitted, like, SETTINGS.bootstrap)
    sample = found.simulations.of(fitted.law, TOP)["a"]
    levels = levels_of([sample])
    a = sample.summary(levels)
    assert found.refused == 0
    assert len(sample.ranks) == SETTINGS.bootstrap.simulations
    assert 0.65 < a.percentile_coverage["0.8"] <= 1.0
    assert a.median == pytest.approx(a.truth, abs=0.03)
    assert isinstance(levels["0.8"], Tails)
    assert 0.4 < levels["0.8"].level < 0.95


@pytest.mark.parametrize("approach", ["profiles", "parametric"])
def test_every_simulated_sweep_and_its_resamples_are_others(
    sweep: Observations, like: SimulatedSweeps, approach: str
) -> None:
    """One seed for all sweeps, or for all of their resamples, would repeat numbers."""
    few = SETTINGS.bootstrap.model_copy(update={"simulations": 6})
    found = calibrate(fit(sweep, approach, SETTINGS), like, few).simulations
    a = found.draws[:, :, 1]
    assert len(np.unique(found.estimates[:, 1])) == 6
    off = a - found.estimates[:, 1:2]
    for i in range(6):
        for k in range(i):
            # the same resamples of two sweeps would err together
            assert abs(np.corrcoef(off[i], off[k])[0, 1]) < 0.75


def test_batches_of_sweeps_give_what_each_gives_alone(
    sweep: Observations, like: SimulatedSweeps, monkeypatch: pytest.MonkeyPatch
) -> None:
    fitted = fit(sweep, "parametric", SETTINGS)
    few = SETTINGS.bootstrap.model_copy(update={"simulations": 7})
    monkeypatch.setattr(
        "isoflop.approaches.uncertainty.calibration.BATCH", 3 * 40 * len(sweep.loss)
    )
    found = calibrate(fitted, like, few).simulations
    sweeps = [fitted.refit_losses(like.draw(i, few.seed)) for i in range(7)]
    alone = [refitted(own, few, i) for i, own in enumerate(sweeps)]
    np.testing.assert_allclose(found.estimates, [own.parameters for own in sweeps], rtol=1e-5)
    np.testing.assert_allclose(np.median(found.draws, axis=1), np.median(alone, axis=1), rtol=1e-3)


def test_a_law_without_an_optimum_is_refused(flat: Observations) -> None:
    outcome, draws = fit_approach(flat, "parametric", SETTINGS, sweep="s", provenance=PROVENANCE)
    assert isinstance(outcome, Refusal)
    assert "its losses do not depend on N" in outcome.refused
    assert draws.is_empty()


def test_a_biased_approach_is_caught(sweep: Observations) -> None:
    """Curves 0.3 nats too high until they end: the envelope is bent, and its answer says so."""
    chosen = among(WHOLE, "parametric")
    outcome, _ = fit_approach(sweep, "envelope", chosen, sweep="s", provenance=PROVENANCE)
    assert isinstance(outcome, Estimate)
    assert outcome.a.coverage["0.95"] < 0.8
    assert outcome.a.intervals == {}
    assert all(isinstance(found, NoLevel) for found in outcome.a.levels.values())
    assert any("No interval from these resamples covers" in said for said in outcome.cautions)
    assert outcome.a.undercovers(0.8)
    assert outcome.a.undercovers(0.95)
    worst = outcome.a.worst(0.95)
    assert abs(outcome.a.value - worst.truth) > 0.05
    assert standing(outcome, NO_FORECASTS).covers is False


@pytest.mark.parametrize("approach", ["profiles", "parametric"])
def test_an_interval_covers_under_each_law_that_is_possible(
    sweep: Observations, approach: str
) -> None:
    """Read from the file's draws by hand: each tail misses as often as it may, or less."""
    chosen = among(SETTINGS, "parametric", "root", "kaplan_law")
    outcome, draws = fit_approach(sweep, approach, chosen, sweep="s", provenance=PROVENANCE)
    assert isinstance(outcome, Estimate)
    assert isinstance(outcome.calibration, Calibration)
    laws = [checked.truth.approach for checked in outcome.calibration.truths]
    assert len(laws) >= 2
    assert [one.law for one in outcome.a.simulated] == laws
    # the sweep's own runs speak of each, of these for one at least
    misfits = [checked.misfit_p for checked in outcome.calibration.truths]
    assert None not in misfits
    assert max(p_value for p_value in misfits if p_value is not None) > REJECTED
    assert not outcome.calibration.of_rejected
    for level, found in outcome.a.levels.items():
        assert isinstance(found, Tails)
        missed = 0.5 * (1.0 - float(level))
        for one in outcome.a.simulated:
            mine = draws.filter(pl.col("truth") == one.law, pl.col("draw").is_not_null())
            ends = [
                np.quantile(own["a"].to_numpy(), found.shares, method="weibull")
                for (_,), own in mine.group_by("simulation", maintain_order=True)
            ]
            low, high = np.array(ends).T
            # sixty sweeps give a share to a sixtieth
            assert np.mean(low > one.truth) <= missed + 0.02
            assert np.mean(high < one.truth) <= missed + 0.02
        assert {found.below.truth, found.above.truth} <= set(laws)
        assert 0.0 < found.error < 0.3
        low, high = outcome.a.intervals[level]
        assert low <= outcome.a.value <= high


def test_coverage_is_counted_cell_by_cell(losses: pl.DataFrame) -> None:
    options = {
        "approaches": ["profiles"],
        "schemes": ["runs", "residual"],
        "kinds": ["percentile", "bca", "calibrated"],
        "simulations": 12,
    }
    chosen = among(SETTINGS, "parametric").model_copy(
        update={"bootstrap": SETTINGS.bootstrap.model_copy(update={"draws": 60})}
    )
    table = check_coverage(losses, chosen, **options)
    assert table["given"].is_between(0.0, 1.0).all()
    # two schemes, three kinds, (a, b, N and the loss at three places), two levels
    assert len(table) == 2 * 3 * 8 * 2
    assert (table["simulations"] == 12).all()
    plain = table.filter(pl.col("interval") != "calibrated")
    assert (plain["given"] == 1.0).all()
    narrow, wide = (plain.filter(level=level)["coverage"].to_numpy() for level in (0.8, 0.95))
    assert (narrow <= wide).all()
    percentile = table.filter(scheme="runs", interval="percentile")
    of_loss = percentile.filter(quantity="loss_opt", level=0.95)
    sizes = percentile.filter(pl.col("quantity") != "loss_opt", level=0.95)
    assert sizes["coverage"].mean() > 0.7
    # the law has a floor, and the frontier's power law has none: it misses the more the farther
    assert of_loss["coverage"].to_list() == sorted(of_loss["coverage"], reverse=True)
    assert of_loss["coverage"][-1] < 0.5
    beyond = percentile.filter(quantity="params_opt", level=0.8)["median_width"].to_list()
    assert beyond == sorted(beyond)
    # three times five sweeps at most, which two processes share
    shared = check_coverage(losses, chosen, **{**options, "schemes": ["runs"]}, processes=2)
    assert shared.equals(table.filter(scheme="runs"))
