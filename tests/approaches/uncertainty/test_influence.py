"""The jackknife against refits by hand, and the runs that it must name."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from isoflop.approaches.estimators.parametric import ParametricFit, fit_parametric
from isoflop.approaches.estimators.profiles import fit_profiles
from isoflop.approaches.uncertainty.influence import (
    influence_cautions,
    influence_of,
    seeds_beside,
    twin_cautions,
)
from isoflop.approaches.uncertainty.resampling import resample
from isoflop.config.approaches import BootstrapSettings, ParametricSettings, ProfilesSettings
from isoflop.estimates.influence import Influence, LeaveOut
from tests.simulate import Design, isoflop_design, simulate

if TYPE_CHECKING:
    from isoflop.approaches.observations import Observations
    from isoflop.laws import ChinchillaLaw

SQUARES = ParametricSettings(objective="mse", starts="coarse")
TOP = 1e19


def measured(fitted: ParametricFit, *, draws: int = 400) -> Influence:
    resamples = resample(fitted, BootstrapSettings(draws=draws, seed=1))
    return influence_of(fitted, resamples, fitted.refit(resamples).parameters, TOP)


@pytest.fixture(scope="module")
def finals(law: ChinchillaLaw) -> Observations:
    design = isoflop_design(law, np.geomspace(1e17, 1e19, 5), sizes=7, spread=4.0, points=1)
    return simulate(law, design, noise=0.004, rng=np.random.default_rng(11))


def without(observations: Observations, run: int) -> Observations:
    kept = np.arange(observations.n_runs) != run
    return replace(
        observations.at(kept[observations.run]),
        runs=tuple(np.array(observations.runs)[kept]),
        run=np.arange(kept.sum()),
        run_params=observations.run_params[kept],
        run_budget=observations.run_budget[kept],
    )


def test_changes_are_those_of_refits_by_hand(finals: Observations) -> None:
    fitted = fit_parametric(finals, SQUARES)
    found = measured(fitted)
    assert [run.run for run in found.runs] == list(finals.runs)
    for i in (0, 17, 34):
        left = fit_parametric(without(finals, i), SQUARES)
        whole, less = (f.exponents(f.parameters[None])[0][0] for f in (fitted, left))
        optima = [f.optima(f.parameters[None], np.array([TOP])) for f in (fitted, left)]
        own = found.runs[i]
        assert own.a == pytest.approx(whole - less, abs=1e-6)
        change = np.log(optima[0].params[0, 0] / optima[1].params[0, 0])
        assert own.log_params == pytest.approx(change, abs=1e-5)
        predicted = left.law.log_loss(
            left.parameters[None], np.log(finals.params[[i]]), np.log(finals.tokens[[i]])
        )
        assert own.residual == pytest.approx(
            float(np.log(finals.loss[i]) - predicted[0, 0]), abs=1e-6
        )


def test_studentised_residuals_are_those_of_least_squares(finals: Observations) -> None:
    """Externally studentised by leverage, of a normal sample: close, scale and error differ."""
    fitted = fit_parametric(finals, SQUARES)
    jacobian = np.linalg.qr(fitted.centred.model.jacobian(fitted.theta))[0]
    leverage = np.vecdot(jacobian, jacobian)
    n, p = len(finals.loss), 5
    rest = fitted.residuals @ fitted.residuals - fitted.residuals**2 / (1 - leverage)
    expected = fitted.residuals / np.sqrt(rest / (n - p - 1) * (1 - leverage))
    found = np.array([run.studentised for run in measured(fitted, draws=2000).runs])
    assert np.corrcoef(found, expected)[0, 1] > 0.98
    assert np.abs(found).max() < 4.0


def test_an_outlier_is_named_and_moves_nothing(finals: Observations) -> None:
    loss = finals.loss.copy()
    loss[10] = 10.0
    fitted = fit_parametric(replace(finals, loss=loss), ParametricSettings(starts="coarse"))
    found = measured(fitted)
    assert [run.run for run in found.outlying] == ["run10"]
    assert found.outlying[0].residual == pytest.approx(np.log(10.0 / finals.loss[10]), abs=0.02)
    (caution,) = [text for text in influence_cautions(found) if "Far off" in text]
    assert "run10" in caution
    assert "above" in caution


def test_a_run_of_leverage_is_named(law: ChinchillaLaw) -> None:
    """An undertrained run far from all others, half a nat off: Huber's loss does not see it."""
    design = isoflop_design(law, np.geomspace(1e17, 1e19, 5), sizes=7, spread=4.0, points=1)
    n, d = float(design.params.max()), float(design.tokens.min()) / 30.0
    more = Design(
        np.append(design.params, n),
        np.append(design.tokens, d),
        np.append(design.budget, np.nan),
        points=1,
    )
    sweep = simulate(law, more, noise=0.004, rng=np.random.default_rng(3))
    loss = sweep.loss.copy()
    loss[-1] *= 1.15
    fitted = fit_parametric(replace(sweep, loss=loss), ParametricSettings(starts="coarse"))
    found = measured(fitted)
    assert found.moving
    assert found.moving[0].run == sweep.runs[-1]
    assert "The answer hangs on" in influence_cautions(found)[0]
    assert sweep.runs[-1] in influence_cautions(found)[0]


def test_a_caution_names_a_few_runs_and_counts_the_others() -> None:
    runs = [
        LeaveOut(
            run=f"run{i}", a=0.1, log_params=0.1, log_loss=0.1, a_errors=9.0 - i / 10,
            log_params_errors=2.0, log_loss_errors=2.0, refused=False, residual=0.1,
            studentised=9.0 - i / 10,
        )
        for i in range(8)
    ]  # fmt: skip
    hangs, far = influence_cautions(Influence(flops=1e20, runs=runs, reason=None))
    assert hangs.startswith("The answer hangs on 8 runs: run0")
    assert far.startswith("Far off what the other runs predict: run0")
    for caution in (hangs, far):
        assert caution.count("run") - caution.count("runs") >= 5
        assert "run4" in caution
        assert "run5" not in caution
        assert "; and 3 more" in caution


def test_a_far_run_whose_rate_is_known_sends_nobody_to_its_log() -> None:
    runs = [_far(_moving(name), 9.0) for name in "ax"]
    influence = Influence(flops=1e20, runs=runs, reason=None)
    _, logs, rates = influence_cautions(influence, worse_rates={"a": (0.02, 0.005)})
    assert "x, 10.5 %" in logs.replace("\xa0", " ")
    assert "Read the log;" in logs
    assert "at a worse peak learning rate" in rates
    assert "a, 10.5 %" in rates.replace("\xa0", " ")
    assert "log" not in rates


def _far(run: LeaveOut, studentised: float) -> LeaveOut:
    return run.model_copy(update={"studentised": studentised})


def _moving(name: str) -> LeaveOut:
    return LeaveOut(
        run=name, a=0.1, log_params=0.1, log_loss=0.1, a_errors=3.0, log_params_errors=2.0,
        log_loss_errors=2.0, refused=False, residual=0.1, studentised=1.0,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("moving", "telling"),
    [
        ("x", " A second seed of it tells whether it belongs."),
        ("xy", " A second seed of each tells whether it belongs."),
        ("a", " Runs of the same N and D are in the fit already: b beside a. How far they"),
        ("ax", " A second seed of x tells whether it belongs. Runs of the same N and D are in"),
        ("axy", " A second seed of each of the 2 without one tells whether it belongs. Runs of"),
    ],
)
def test_no_seed_is_asked_for_that_is_in_the_fit_already(moving: str, telling: str) -> None:
    influence = Influence(flops=1e20, runs=[_moving(name) for name in moving], reason=None)
    (hangs,) = influence_cautions(influence, {"a": ["b"], "b": ["a"], "x": []})
    assert telling in hangs


def test_a_run_at_a_worse_rate_that_moves_the_answer_is_said_to_be_at_one() -> None:
    influence = Influence(flops=1e20, runs=[_moving(name) for name in "ax"], reason=None)
    (hangs,) = influence_cautions(influence, {"a": []}, {"a": (0.02, 0.005)})
    assert "It is the peak learning rate that moves it for a, at 0.02 where 0.005 is best" in hangs
    assert "losses.rates: best" in hangs
    assert "A second seed of x tells" in hangs
    assert "seed of a" not in hangs


def test_seeds_are_runs_of_one_n_and_d_and_copies_are_none(finals: Observations) -> None:
    params, tokens, loss = finals.params.copy(), finals.tokens.copy(), finals.loss.copy()
    # three runs of one N and D, of which two have one loss to the last digit
    params[:3], tokens[:3], loss[:3] = params[0], tokens[0], (3.0, 3.1234567, 3.1234567)
    copied = replace(finals, params=params, tokens=tokens, loss=loss, run_params=params)
    first, second, third, other = copied.runs[:4]
    beside = seeds_beside(copied)
    assert beside[first] == [second, third]
    assert beside[second] == beside[third] == [first]
    assert beside[other] == []
    # a run at another rate says nothing of how far seeds lie apart
    rates = np.zeros((copied.n_runs, 1))
    rates[0] = 1.0
    beside = seeds_beside(replace(copied, run_settings=rates))
    assert beside[first] == beside[second] == beside[third] == []


def test_a_sound_sweep_has_no_outlier(finals: Observations) -> None:
    found = measured(fit_parametric(finals, SQUARES))
    assert found.outlying == []
    assert all(run.largest_move < 2.0 for run in found.runs)


def test_exact_losses_have_neither(law: ChinchillaLaw) -> None:
    design = isoflop_design(law, np.geomspace(1e17, 1e19, 4), sizes=6, points=1)
    exact = simulate(law, design, noise=0.0, rng=np.random.default_rng(0))
    found = measured(fit_parametric(exact, SQUARES), draws=60)
    assert found.outlying == []


def test_without_draws_it_says_why(finals: Observations) -> None:
    fitted = fit_parametric(finals, SQUARES)
    found = measured(fitted, draws=5)
    assert found.runs == []
    assert found.reason == "there are no draws to take errors from"


def test_a_wild_run_of_a_profile_is_named_before_runs_are_bought(law: ChinchillaLaw) -> None:
    """Ten nats in the middle of a budget turn its parabola over: the cure is the log, not a run."""
    design = isoflop_design(law, np.geomspace(1e17, 1e19, 5), sizes=7, spread=3.0, points=1)
    sweep = simulate(law, design, noise=0.003, rng=np.random.default_rng(5))
    assert fit_profiles(sweep, ProfilesSettings()).suspects == {}
    for wrong in (10.0, sweep.loss[10] + 0.3):
        loss = sweep.loss.copy()
        loss[10] = wrong
        fitted = fit_profiles(replace(sweep, loss=loss), ProfilesSettings())
        assert set(fitted.suspects) == {10}
        assert fitted.suspects[10] == pytest.approx(np.log(wrong / sweep.loss[10]), abs=0.02)
        told = " ".join(fitted.cautions())
        assert "run10" in told
        if not fitted.valleys.accepted[0, 1]:
            assert "add a run" not in told


def test_runs_entered_twice_are_noticed(sweep: Observations) -> None:
    assert sweep.copies == []
    assert twin_cautions(sweep) == []
    n = sweep.n_runs
    double = replace(
        sweep,
        **{
            name: np.tile(getattr(sweep, name), 2)
            for name in ("params", "tokens", "flops", "loss", "is_final", "schedule_fraction",
                         "run_params", "run_budget")
        },
        run=np.concatenate([sweep.run, sweep.run + n]),
        runs=(*sweep.runs, *(f"x{name}" for name in sweep.runs)),
    )  # fmt: skip
    assert [group.runs for group in double.copies] == [(k, n + k) for k in range(n)]
    assert double.copied.tolist() == [False] * n + [True] * n
    (caution,) = twin_cautions(double)
    assert f"{n} of {2 * n} runs" in caution
    loss = double.loss.copy()
    loss[-1] *= 1.0 + 1e-9
    # the copy went through another printout
    assert len(replace(double, loss=loss).copies) == n
    loss[-1] *= 1.0 + 1e-4
    assert len(replace(double, loss=loss).copies) == n - 1
