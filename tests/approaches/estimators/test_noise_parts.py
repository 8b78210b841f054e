"""Parts of the noise, on noise whose parts are known."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from isoflop.approaches.estimators.noise_parts import parts_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIZES, BUDGETS, SEEDS = 12, 6, 3
KEPT = np.random.default_rng(82).random(SIZES * BUDGETS * SEEDS) < 0.7
SD = {"seed": 0.004, "cell": 0.003, "size": 0.008}


def _design(seeds: int = SEEDS) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Every size at every budget, some times: N and D, (runs,)."""
    params, flops, _ = np.meshgrid(
        np.geomspace(1e6, 1e8, SIZES), np.geomspace(1e16, 1e18, BUDGETS), np.arange(seeds)
    )
    return params.ravel(), (flops / (6.0 * params)).ravel()


def _noise(seed: int, sd: dict[str, float], seeds: int = SEEDS) -> NDArray[np.float64]:
    rng = np.random.default_rng([81, seed])
    shape = (BUDGETS, SIZES, seeds)
    parts = {"size": (1, SIZES, 1), "cell": (BUDGETS, SIZES, 1), "seed": shape}
    drawn = [sd[part] * rng.normal(size=size) * np.ones(shape) for part, size in parts.items()]
    return np.sum(drawn, axis=0).ravel()


def _jacobian(params: NDArray[np.float64], tokens: NDArray[np.float64]) -> NDArray[np.float64]:
    x, y = np.log(params / 1e7), np.log(tokens / 1e9)
    return np.column_stack([np.ones_like(x), x, y, np.exp(-0.3 * x), np.exp(-0.3 * y)])


def _fitted(noise: NDArray[np.float64], jacobian: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give the residuals of a least-squares fit of what the law can take up."""
    return noise - jacobian @ np.linalg.lstsq(jacobian, noise, rcond=None)[0]


def test_known_parts_come_out() -> None:
    params, tokens = _design()
    jacobian = _jacobian(params, tokens)
    found = [parts_of(jacobian, _fitted(_noise(i, SD), jacobian), params, tokens) for i in range(6)]
    for part, sd in SD.items():
        variances = [getattr(parts, part) ** 2 for parts in found]
        # a variance of twelve sizes less what the law takes up has an error of half
        assert np.mean(variances) == pytest.approx(sd**2, rel=0.5), part
    assert {(parts.sizes, parts.cells, parts.replicates) for parts in found if parts} == {
        (SIZES, SIZES * BUDGETS, SIZES * BUDGETS * (SEEDS - 1))
    }


def test_balanced_parts_are_those_of_the_table_of_variances() -> None:
    """Where a design is balanced and nothing else is fitted, REML is the analysis of variance."""
    params, tokens = _design()
    ones = np.ones((len(params), 1))
    noise = _noise(0, SD)
    cells = noise.reshape(BUDGETS, SIZES, SEEDS)
    sizes = cells.mean(axis=(0, 2))
    within = cells.var(axis=2, ddof=1).mean()
    between = SEEDS * ((cells.mean(axis=2) - sizes) ** 2).sum() / (SIZES * (BUDGETS - 1))
    among = SEEDS * BUDGETS * sizes.var(ddof=1)
    found = parts_of(ones, noise - noise.mean(), params, tokens)
    assert found is not None
    assert found.seed**2 == pytest.approx(within, rel=1e-3)
    assert found.cell is not None
    assert found.cell**2 == pytest.approx((between - within) / SEEDS, rel=1e-2)
    assert found.size is not None
    assert found.size**2 == pytest.approx((among - between) / (SEEDS * BUDGETS), rel=1e-2)


def test_parts_are_those_of_statsmodels() -> None:
    """On a design with holes, where no table of variances has them."""
    from statsmodels.regression.mixed_linear_model import MixedLM, VCSpec

    params, tokens = (column[KEPT] for column in _design())
    jacobian = _jacobian(params, tokens)
    residuals = _fitted(_noise(6, SD)[KEPT], jacobian)
    size = np.unique(params, return_inverse=True)[1]
    cell = np.unique(np.stack([params, tokens]), axis=1, return_inverse=True)[1].ravel()
    one_of = [np.eye(group.max() + 1)[group] for group in (size, cell)]
    names = [[[str(column) for column in range(one.shape[1])]] for one in one_of]
    oracle = MixedLM(
        residuals / 0.01, jacobian, np.ones(len(residuals)),
        exog_vc=VCSpec(["size", "cell"], names, [[one] for one in one_of]),
    ).fit(reml=True)  # fmt: skip
    found = parts_of(jacobian, residuals, params, tokens)
    assert found is not None
    assert found.seed == pytest.approx(0.01 * np.sqrt(oracle.scale), rel=1e-3)
    assert (found.size, found.cell) == pytest.approx(0.01 * np.sqrt(oracle.vcomp), rel=1e-2)


def test_what_rates_cost_is_no_part_of_the_seed() -> None:
    """Every run twice, again at twice its rate, which costs 5 %: the seed stays what it was."""
    params, tokens = _design(seeds=2)
    jacobian = _jacobian(params, tokens)
    noise = _noise(2, {"seed": 0.004, "cell": 0.0, "size": 0.0}, seeds=2)
    worse = noise + 0.05 + _noise(4, {"seed": 0.004, "cell": 0.0, "size": 0.0}, seeds=2)
    twice = [np.concatenate([each, each]) for each in (params, tokens)]
    jacobian, residuals = np.concatenate([jacobian] * 2), np.concatenate([noise, worse])
    rates = np.log(np.repeat([[1.0], [2.0]], len(params), axis=0))
    alike = parts_of(jacobian, _fitted(residuals, jacobian), *twice, rates)
    mixed = parts_of(jacobian, _fitted(residuals, jacobian), *twice)
    assert alike is not None
    assert mixed is not None
    # of the worse rate's runs the errors are of two draws
    assert alike.seed == pytest.approx(0.004 * np.sqrt(1.5), rel=0.15)
    assert alike.replicates == len(params)
    assert mixed.seed > 0.02


def test_parts_that_are_not_there_are_small() -> None:
    params, tokens = _design()
    jacobian = _jacobian(params, tokens)
    noise = _noise(3, {"seed": 0.004, "cell": 0.0, "size": 0.0})
    found = parts_of(jacobian, _fitted(noise, jacobian), params, tokens)
    assert found is not None
    assert found.seed == pytest.approx(0.004, rel=0.1)
    assert found.cell == pytest.approx(0.0, abs=0.0015)
    assert found.size == pytest.approx(0.0, abs=0.0015)


def test_parts_scale_with_the_residuals() -> None:
    params, tokens = _design()
    jacobian = _jacobian(params, tokens)
    residuals = _fitted(_noise(4, SD), jacobian)
    once, twice = (parts_of(jacobian, factor * residuals, params, tokens) for factor in (1.0, 2.0))
    assert once is not None
    assert twice is not None
    assert twice.size == pytest.approx(2.0 * (once.size or 0.0), rel=1e-6)


def test_a_design_tells_only_the_parts_that_it_repeats() -> None:
    params, tokens = _design(seeds=1)
    jacobian = _jacobian(params, tokens)
    found = parts_of(jacobian, _fitted(_noise(5, SD, seeds=1), jacobian), params, tokens)
    assert found is not None
    assert (found.cell, found.replicates) == (None, 0)
    assert found.size is not None
    # without replicates, a cell's error is part of a seed's
    assert found.seed == pytest.approx(np.hypot(SD["seed"], SD["cell"]), rel=0.25)
    # every size once: nothing is shared
    alone = np.geomspace(1e6, 1e8, 20)
    ones = np.ones((20, 1))
    assert parts_of(ones, np.random.default_rng(0).normal(size=20), alone, 20 * alone) is None


def test_no_noise_has_no_parts() -> None:
    params, tokens = _design()
    assert parts_of(_jacobian(params, tokens), np.zeros(len(params)), params, tokens) is None
