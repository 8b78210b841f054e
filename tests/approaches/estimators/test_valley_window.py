"""The window of sizes by rule: wide where valleys are parabolas, narrow where they are not."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from isoflop.approaches.estimators.profiles import fit_profiles
from isoflop.approaches.estimators.valley_window import (
    LEAST_OFF,
    Budget,
    lopsidedness,
    lowest_sizes,
    widest_window,
)
from isoflop.approaches.protocol import Resamples
from isoflop.config.approaches import ProfilesSettings
from isoflop.laws import ChinchillaLaw
from tests.simulate import isoflop_design, simulate

if TYPE_CHECKING:
    from isoflop.approaches.observations import Observations

BUDGETS = (1e18, 3e18, 1e19, 3e19, 1e20)
LOPSIDED = ChinchillaLaw(E=1.7, A=1e4, B=400.0, alpha=0.55, beta=0.25)
"""A law whose valleys rise twice as steeply towards small models as towards large ones."""


def budgets_of(seed: int = 0, *, cubic: float = 0.0, noise: float = 0.0) -> list[Budget]:
    """Valleys that are parabolas but for one cubic term, whose minima lie at 1, 2 and 4."""
    rng = np.random.default_rng(seed)
    budgets = []
    for log_flops, place in ((0.0, 1.0), (1.0, 2.0), (3.0, 4.0)):
        t = np.linspace(-1.3, 1.0, 9)
        y = 2.0 + 0.1 * t**2 + cubic * t**3 + noise * rng.standard_normal(9)
        budgets.append(Budget(log_flops, place + t, y))
    return budgets


def swept(noise: float, seed: int = 0, spread: float = 12.0) -> Observations:
    design = isoflop_design(LOPSIDED, BUDGETS, sizes=11, spread=spread, points=1)
    return simulate(LOPSIDED, design, noise=noise, rng=np.random.default_rng(seed))


def best(sweep: Observations, **keys: object) -> float:
    """Give how far ln N_opt of the highest budget lies off the law's."""
    fitted = fit_profiles(sweep, ProfilesSettings.model_validate({"axis": "params", **keys}))
    flops = np.array([BUDGETS[-1]])
    found = fitted.law.optima(fitted.parameters[None], flops).params[0, 0]
    return float(np.log(found / LOPSIDED.params_opt(BUDGETS[-1])))


def test_p_value_is_that_of_one_cubic_term_beside_each_parabola() -> None:
    """Ordinary least squares by statsmodels, every budget with its own level, slope and bend."""
    from statsmodels.regression.linear_model import OLS

    budgets = budgets_of(cubic=0.004, noise=0.004)
    rows = []
    for i, budget in enumerate(budgets):
        s = budget.x - budget.x.mean()
        own = np.zeros((len(s), 9))
        own[:, 3 * i : 3 * i + 3] = np.stack([np.ones_like(s), s, s**2], axis=1)
        rows.append(np.column_stack([own, s**3]))
    fitted = OLS(np.concatenate([b.y for b in budgets]), np.concatenate(rows)).fit()
    assert 1e-4 < fitted.pvalues[-1] < 0.9
    assert lopsidedness(budgets).p_value == pytest.approx(fitted.pvalues[-1], rel=1e-8)


@pytest.mark.parametrize("cubic", [-0.006, 0.006])
def test_off_is_where_the_vertices_lie_beside_the_minima(cubic: float) -> None:
    """Exact losses: the parabolas' vertices against minima that are known."""
    budgets = budgets_of(cubic=cubic)
    beside = [
        np.polynomial.Polynomial.fit(b.x, b.y, 2).deriv().roots()[0] - place
        for b, place in zip(budgets, (1.0, 2.0, 4.0), strict=True)
    ]
    found = lopsidedness(budgets)
    assert abs(beside[0]) > LEAST_OFF
    np.testing.assert_allclose(found.off, [beside[0], beside[2]], rtol=0.05)
    assert found.matters


def test_sd_is_that_of_many_sweeps() -> None:
    """Of the line through the vertices, at both ends."""
    places = []
    for seed in range(2000):
        vertices = [
            np.polynomial.Polynomial.fit(b.x, b.y, 2).deriv().roots()[0]
            for b in budgets_of(seed, noise=0.002)
        ]
        line = np.polynomial.Polynomial.fit([0.0, 1.0, 3.0], vertices, 1)
        places.append([line(0.0), line(3.0)])
    told = np.mean([lopsidedness(budgets_of(seed, noise=0.002)).sd for seed in range(200)], axis=0)
    np.testing.assert_allclose(told, np.std(places, axis=0), rtol=0.1)


def test_all_sizes_are_taken_where_valleys_are_parabolas() -> None:
    """Nine of ten times: the rule asks whether a lopsided valley is scatter at 5 %."""
    taken = [widest_window(budgets_of(seed, noise=0.004), 5) for seed in range(100)]
    assert np.mean(np.array(taken) == 9) >= 0.9


@pytest.mark.parametrize("noise", [0.0, 0.001])
def test_the_rule_mends_what_too_wide_a_window_puts_off(noise: float) -> None:
    """Sizes over a factor of 144 about a lopsided valley."""
    seeds = range(1 if noise == 0.0 else 20)
    off = {
        window: np.sqrt(np.mean([best(swept(noise, seed), window=window) ** 2 for seed in seeds]))
        for window in (None, "rule")
    }
    assert off[None] > 0.1
    assert off["rule"] < 0.4 * off[None]


@pytest.mark.parametrize("noise", [0.001, 0.003])
def test_the_rule_is_near_the_best_window_of_each_scatter(noise: float) -> None:
    """Sizes over a factor of 9: few are best where runs scatter little, many where much."""

    def error(window: int | str | None) -> float:
        off = [best(swept(noise, seed, 3.0), window=window, edge="keep") for seed in range(20)]
        return float(np.sqrt(np.mean(np.square(off))))

    every = {window: error(window) for window in (5, 7, None)}
    assert error("rule") < 1.25 * min(every.values())
    assert error("rule") < 0.7 * max(every.values())


def test_no_window_loses_a_minimum_that_a_wider_one_has() -> None:
    """Of wild sweeps, where a narrower window may have its vertex outside."""

    def of(budgets: list[Budget], sizes: int) -> list[Budget]:
        left = [lowest_sizes(budget, sizes) for budget in budgets]
        return [Budget(b.log_flops, b.x[k], b.y[k]) for b, k in zip(budgets, left, strict=True)]

    lost_without = 0
    for seed in range(200):
        budgets = budgets_of(seed, noise=0.03)
        inside = lopsidedness(budgets).minima
        chosen = widest_window(budgets, 5)
        assert lopsidedness(of(budgets, chosen)).minima >= inside
        alone = next((n for n in range(9, 4, -1) if not lopsidedness(of(budgets, n)).matters), 5)
        lost_without += lopsidedness(of(budgets, alone)).minima < inside
    assert lost_without > 0


def test_a_size_is_kept_with_all_its_seeds() -> None:
    """By the mean of its seeds, one of which may be the lowest of all."""
    x = np.array([1.0, 1.0, 2.0, 2.0, 3.0, 3.0, 4.0])
    y = np.array([2.4, 1.0, 1.5, 1.5, 1.4, 1.2, 1.6])
    assert lowest_sizes(Budget(0.0, x, y), 2).tolist() == [False] * 2 + [True] * 4 + [False]


def test_resamples_keep_the_window_of_the_sweep() -> None:
    """A draw that lacks a size is a draw of the same window, and says which points it took."""
    fitted = fit_profiles(swept(0.0), ProfilesSettings())
    assert fitted.window is not None
    told = fitted.diagnostics()
    assert told.window == fitted.window < 11
    assert {sum(profile.used) for profile in told.profiles} == {fitted.window}
    rng = np.random.default_rng(3)
    weights = rng.poisson(1.0, size=(40, fitted.observations.n_runs)).astype(float)
    outside = ~np.concatenate([fitted.within[group.budget] for group in fitted.groups])
    runs = np.concatenate([group.run for group in fitted.groups])[outside]
    changed = weights.copy()
    changed[:, runs] = 7.0
    once, again = (fitted.resampled_valleys(Resamples(w)) for w in (weights, changed))
    np.testing.assert_array_equal(once.log_params, again.log_params)


def test_a_run_far_off_does_not_open_or_close_the_window() -> None:
    """It is named and fitted as without the rule, and the window is that of the others."""
    sweep = swept(0.0005)
    fitted = fit_profiles(sweep, ProfilesSettings())
    victim = int(fitted.groups[2].run[fitted.within[fitted.groups[2].budget]][0])
    loss = np.where(sweep.run == victim, 1.2 * sweep.loss, sweep.loss)
    wild = fit_profiles(replace(sweep, loss=loss), ProfilesSettings())
    assert victim in wild.suspects
    assert wild.window is not None
    assert fitted.window is not None
    assert abs(wild.window - fitted.window) <= 1
