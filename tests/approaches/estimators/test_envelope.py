"""Approach 1: Gemstones' published frontiers, edges, and what is said of the winners."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest

from isoflop.approaches.estimators.envelope import fit_envelope
from isoflop.approaches.estimators.frontier import Frontiers
from isoflop.approaches.estimators.registry import fit
from isoflop.approaches.observations import Observations
from isoflop.approaches.protocol import Resamples
from isoflop.approaches.uncertainty.resampling import resample
from isoflop.config.approaches import (
    ApproachesSettings,
    BootstrapSettings,
    CountingSettings,
    EnvelopeSettings,
)
from isoflop.errors import UnderdeterminedError

if TYPE_CHECKING:
    from pathlib import Path

    from isoflop.approach import Approach

COUNTING = CountingSettings()
GEMSTONES = {
    "hot_477": ("", 0.499380, 0.480989),
    "hot_100b+_477": ("_100b+", 0.457903, 0.524899),
    "cool_end": ("_cooldown", 0.596981, 0.393260),
    "lr_ablation_hot_477": ("_lr_ablation", 0.513128, 0.485794),
    "hot_120b+_only_477": ("_120b+_only", 0.798672, 0.182843),
}


def gemstones_flops_per_token(width: np.ndarray, depth: np.ndarray) -> np.ndarray:
    """Count as the Gemstones authors do: per sequence of 2,048, heads of 128, grouped queries."""
    s, vocabulary = 2048.0, 50304.0
    h = g = width / 128
    f = 4 * width
    qkv = 2 * s * (h + g) * width * 128 + 3.5 * s * (h + g / 2) * 128
    scores, softmax, reduction = s * s * 128 * h, 3 * s * s * h, 2 * s * s * 128 * h
    output = 2 * s * width * 128 * h
    dense = 6 * s * width * f + 10 * s * f + 2 * width * s
    norms = 14 * width * s
    forward = qkv + scores + softmax + reduction + output + dense + norms
    backward = 2 * qkv + 2.5 * (scores + softmax + reduction) + 2 * output + 2 * (dense + norms)
    head = 2 * s * width * vocabulary + 7 * width * s
    return (depth * (forward + backward) + 3 * head) / s


def gemstones(mirror: Path, name: str) -> Observations:
    path = mirror / "gemstones" / f"wandb_df_for_fitting_{name}.jsonl"
    table = pl.read_ndjson(path).sort("run_name", "tokens")
    params, tokens, loss, width, depth = (
        table[column].to_numpy().astype(np.float64)
        for column in ("params_active_precise", "tokens", "final_loss", "width", "depth")
    )
    runs, run = np.unique(table["run_name"].to_numpy(), return_inverse=True)
    run_params = np.array([params[run == i][0] for i in range(len(runs))])
    return Observations(
        sweep=name,
        counting=COUNTING,
        runs=tuple(runs),
        run=run,
        params=params,
        tokens=tokens,
        flops=gemstones_flops_per_token(width, depth) * tokens,
        loss=loss,
        is_final=np.append(run[1:] != run[:-1], True),
        schedule_fraction=np.full(len(loss), np.nan),
        run_params=run_params,
        run_budget=np.full(len(runs), np.nan),
    )


@pytest.mark.parametrize("name", list(GEMSTONES))
def test_gemstones_convex_hulls(mirror: Path, name: str) -> None:
    suffix, a, b = GEMSTONES[name]
    fitted = fit_envelope(
        gemstones(mirror, name),
        EnvelopeSettings(frontier="hull", edge="keep", min_schedule_fraction=0.0),
    )
    found = dict(zip(fitted.names, fitted.parameters, strict=True))
    assert found["a"] == pytest.approx(a, abs=1e-6)
    assert found["b"] == pytest.approx(b, abs=1e-6)
    for label, exponent, coefficient in (("params", "a", "N"), ("tokens", "b", "D")):
        file = f"approach_1_linear_regression_{label}{suffix}.json"
        published = json.loads((mirror / "gemstones" / "published" / file).read_text())
        assert found[exponent] == pytest.approx(published["coef"][0], abs=1e-9)
        assert np.log(found[f"{coefficient}_coefficient"]) == pytest.approx(
            published["intercept"], abs=1e-8
        )


def test_the_frontier_rule_moves_gemstones_by_five_hundredths(mirror: Path) -> None:
    fitted = fit_envelope(
        gemstones(mirror, "hot_477"), EnvelopeSettings(edge="keep", min_schedule_fraction=0.0)
    )
    assert fitted.exponents(fitted.parameters[None])[0][0] == pytest.approx(0.548, abs=5e-4)


def test_winners_are_told_with_their_lateness(sweep: Observations) -> None:
    fitted = fit_envelope(sweep, EnvelopeSettings(min_schedule_fraction=0.0))
    found = fitted.diagnostics()
    winners = found.winners
    assert {len(column) for _, column in winners} == {len(winners.run)}
    ends = dict(zip(sweep.runs, sweep.flops[sweep.is_final], strict=True))
    for run, flops, late in zip(winners.run, winners.flops, winners.late, strict=True):
        # the grid's own rounding decides nothing here
        if abs(flops / (0.85 * ends[run]) - 1) > 1e-9:
            assert late == (flops >= 0.85 * ends[run])
    fitted_late = [w for w, f in zip(winners.late, winners.fitted, strict=True) if f]
    assert found.late_winners == pytest.approx(np.mean(fitted_late))
    assert found.points_fitted == sum(winners.fitted) < found.points_on_frontier


def test_draws_take_the_envelope_of_their_own_runs(sweep: Observations) -> None:
    for frontier in ("grid", "hull"):
        settings = EnvelopeSettings.model_validate({"frontier": frontier, "grid_points": 200})
        fitted = fit_envelope(sweep, settings)
        resamples = resample(fitted, BootstrapSettings(draws=6, seed=2))
        refits = fitted.refit(resamples)
        for weights, parameters in zip(resamples.weights, refits.parameters, strict=True):
            whole = fitted.curves.frontiers(weights[None] > 0)
            sizes = sweep.run_params[weights > 0]
            winner = sweep.run_params[whole.run[0]]
            won = whole.run[0] >= 0
            kept = won & (winner > sizes.min()) & (winner < sizes.max())
            # beyond the place where an end size has its largest lead in places won nothing is kept
            place = np.arange(len(won))
            for end, order in ((sizes.min(), 1), (sizes.max(), -1)):
                lead = [0]
                for is_won, size in zip(won[::order], winner[::order], strict=True):
                    lead.append(lead[-1] + (0 if not is_won else 1 if size == end else -1))
                cut = max(i for i, value in enumerate(lead) if value == max(lead))
                kept &= place >= cut if order == 1 else place < len(won) - cut
            slope = np.polyfit(whole.log_flops[0][kept], whole.log_params[0][kept], 1)[0]
            assert parameters[1] == pytest.approx(slope, rel=1e-7)


def test_how_often_a_run_is_drawn_does_not_move_the_envelope(sweep: Observations) -> None:
    fitted = fit_envelope(sweep, EnvelopeSettings(grid_points=100))
    weights = np.random.default_rng(0).integers(0, 3, (4, sweep.n_runs)).astype(float)
    once = fitted.refit(Resamples((weights > 0).astype(float)))
    np.testing.assert_array_equal(fitted.refit(Resamples(weights)).parameters, once.parameters)


def test_only_the_end_of_a_schedule_when_asked(sweep: Observations) -> None:
    settings = EnvelopeSettings(min_schedule_fraction=0.5, grid_points=200)
    fitted = fit_envelope(sweep, settings)
    ends = sweep.flops[sweep.is_final]
    winners = fitted.diagnostics().winners
    for run, flops in zip(winners.run, winners.flops, strict=True):
        assert flops > 0.5 * ends[sweep.runs.index(run)]
    unknown = replace(sweep, schedule_fraction=np.full(len(sweep.loss), np.nan))
    assert fit_envelope(unknown, settings).parameters == pytest.approx(fitted.parameters)
    early = replace(sweep, schedule_fraction=0.3 * sweep.schedule_fraction)
    with pytest.raises(UnderdeterminedError, match="has 50 % of its schedule done"):
        fit_envelope(early, settings)


def test_novels_cpu_by_each_rule(novels_cpu: Observations) -> None:
    """The audit's numbers: .269 hung on 64 places from the first moments of training."""
    for fraction, a in ((0.0, 0.396), (0.5, 0.501), (0.8, 0.526)):
        fitted = fit_envelope(novels_cpu, EnvelopeSettings(min_schedule_fraction=fraction))
        assert fitted.parameters[1] == pytest.approx(a, abs=5e-4)
    whole = fit_envelope(novels_cpu, EnvelopeSettings(min_schedule_fraction=0.0))
    found = whole.diagnostics()
    assert (found.points_on_frontier, found.points_fitted) == (1500, 850)
    present = np.ones((1, novels_cpu.n_runs), dtype=np.bool_)
    winner = novels_cpu.run_params[whole.untrimmed.run]
    inside = (winner > novels_cpu.run_params.min()) & (winner < novels_cpu.run_params.max())
    early = inside & (whole.untrimmed.log_flops < np.log(1e10))
    assert early.sum() == 64
    trimmed = whole.untrimmed.trimmed(present, novels_cpu.sizes)
    assert (trimmed.run[early] == -1).all()
    line = np.polyfit(
        whole.untrimmed.log_flops[0][inside[0]], whole.untrimmed.log_params[0][inside[0]], 1
    )
    assert line[0] == pytest.approx(0.269, abs=5e-4)


def test_one_stray_place_moves_no_cut() -> None:
    """A place that noise gives to the largest size early on must not take all that follows."""
    run = np.array([[2, 0, 0, 0, 1, 2, 1, 1, 1, 2, 2]])
    nothing = np.zeros_like(run, dtype=np.float64)
    frontier = Frontiers(np.arange(11.0)[None], run, nothing, nothing, nothing)
    trimmed = frontier.trimmed(np.ones((1, 3), dtype=np.bool_), np.arange(3))
    assert trimmed.run[0].tolist() == [-1, -1, -1, -1, 1, -1, 1, 1, 1, -1, -1]


def test_finished_runs_have_no_envelope_but_a_hull(epoch240: Observations) -> None:
    with pytest.raises(UnderdeterminedError, match=r"needs 3 training curves.*frontier: hull"):
        fit_envelope(epoch240, EnvelopeSettings())
    fitted = fit_envelope(epoch240, EnvelopeSettings(frontier="hull"))
    assert 0.3 < fitted.exponents(fitted.parameters[None])[0][0] < 0.7


def test_a_hull_that_the_runs_do_not_have_is_no_way_out(epoch240: Observations) -> None:
    two_sizes = epoch240.at(np.isin(epoch240.run, np.argsort(epoch240.run_params)[:2]))
    with pytest.raises(UnderdeterminedError, match=r"takes the training losses\.$"):
        fit_envelope(two_sizes, EnvelopeSettings())


@pytest.mark.parametrize("approach", ["envelope", "kaplan"])
def test_few_points_of_every_run_are_no_curves(sweep: Observations, approach: Approach) -> None:
    """Whatever shape is seen between them; the laws of final losses take them as before."""
    order = np.arange(len(sweep.loss)) - np.searchsorted(sweep.run, sweep.run)
    # 25 points a run, the last of them final
    settings = ApproachesSettings()
    fit(sweep, approach, settings, threads=1)
    few = sweep.at(order % 5 == 4)
    with pytest.raises(UnderdeterminedError, match="of 6 points or more; 0 of 35 runs") as refusal:
        fit(few, approach, settings, threads=1)
    assert "losses.loss: train" in str(refusal.value)
    assert fit(few, "profiles", settings, threads=1).exponents


def test_residual_schemes_are_refused(sweep: Observations) -> None:
    fitted = fit_envelope(sweep, EnvelopeSettings(grid_points=50))
    with pytest.raises(UnderdeterminedError, match="'runs' or 'subsample'"):
        resample(fitted, BootstrapSettings(draws=2, scheme="wild"))
