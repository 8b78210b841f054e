"""What is best with few unique tokens, against a general optimiser and the law's own formula."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from scipy.optimize import minimize_scalar

import isoflop
from isoflop.errors import IsoflopError
from isoflop.estimates.laws import DataConstrainedLaw, FlopsPerToken
from isoflop.estimates.repeats import repeated_columns
from isoflop.laws import ChinchillaLaw, RepeatedDataLaw
from isoflop.limits import LIMITS

FRESH = ChinchillaLaw(E=1.87, A=521.0, B=1488.0, alpha=0.353, beta=0.353)
TRUE = RepeatedDataLaw(FRESH, R_D=15.4, R_N=5.3)
ROW = np.array([[FRESH.E, 15.4, 5.3]])
COST = FlopsPerToken(coefficient=6.0, exponent=1.0, largest_deviation=0.0)
LAW = DataConstrainedLaw(A=521.0, B=1488.0, alpha=0.353, beta=0.353, flops_per_token=COST)
BUDGET = 1e21


@pytest.mark.parametrize("unique", [1e9, 3e9, 1e10])
def test_no_other_size_has_a_lower_loss(unique: float) -> None:
    found = {name: float(v[0]) for name, v in repeated_columns(LAW, ROW, BUDGET, unique).items()}

    def loss(log_n: float) -> float:
        params = np.exp(log_n)
        return float(TRUE.loss(params, BUDGET / (6.0 * params), unique))

    places = np.arange(10.0, 35.0, 0.01)
    start = places[np.argmin([loss(log_n) for log_n in places])]
    best = minimize_scalar(loss, bounds=(start - 0.02, start + 0.02), options={"xatol": 1e-12})
    assert found["loss"] == pytest.approx(best.fun, rel=1e-12)
    assert np.log(found["params"]) == pytest.approx(best.x, abs=1e-5)
    assert 6.0 * found["params"] * found["tokens"] == pytest.approx(BUDGET)
    assert found["epochs"] == pytest.approx(found["tokens"] / unique)
    assert found["worth"] == pytest.approx(float(TRUE.effective_tokens(found["tokens"], unique)))
    assert found["worth"] < found["tokens"]


def test_enough_unique_tokens_leave_the_optimum() -> None:
    optimum = LAW.optima(ROW, np.array([BUDGET]))
    found = repeated_columns(LAW, ROW, BUDGET, 10.0 * optimum.tokens[0, 0])
    assert found["params"] == pytest.approx(optimum.params[0], rel=1e-6)
    assert found["loss"] == pytest.approx(optimum.loss[0], rel=1e-12)
    assert found["epochs"] == pytest.approx([0.1], rel=1e-6)
    assert found["worth"] == pytest.approx(found["tokens"])


def test_tokens_whose_repeats_are_worth_less_are_repeated_less() -> None:
    rows = np.array([[1.87, 15.4, 5.3], [1.87, 3.0, 5.3], [np.nan] * 3])
    found = repeated_columns(LAW, rows, BUDGET, 1e9)
    assert found["epochs"][0] > found["epochs"][1] > 1.0
    assert found["loss"][0] < found["loss"][1]
    assert all(np.isnan(column[2]) for column in found.values())


def test_a_sweep_whose_law_was_fitted_answers() -> None:
    params, unique, epochs = (
        grid.ravel()
        for grid in np.meshgrid([2e7, 2e8, 2e9], [1e8, 1e9, 1e10], [1.0, 2.0, 4.0, 16.0, 60.0])
    )
    tokens = unique * epochs
    noise = np.exp(np.random.default_rng(3).normal(scale=0.002, size=len(tokens)))
    runs = pl.DataFrame(
        {
            "params": params,
            "tokens": tokens,
            "unique_tokens": unique,
            "loss": TRUE.loss(params, tokens, unique) * noise,
        }
    )
    own = {"A": 521.0, "B": 1488.0, "alpha": 0.353, "beta": 0.353}
    fit = isoflop.read(runs).fit(
        ["data_constrained"],
        settings={"data_constrained": own},
        forecasts=False,
        draws=60,
        interval="percentile",
    )
    answers = fit.allocate(BUDGET, unique=1e9)
    assert answers.unique_tokens == 1e9
    assert answers.repeated is not None
    true = {name: float(v[0]) for name, v in repeated_columns(LAW, ROW, BUDGET, 1e9).items()}
    for name in ("params", "tokens", "epochs", "worth", "loss"):
        quantity = getattr(answers.repeated, name)
        low, high = quantity.intervals["0.95"]
        assert low < quantity.value < high
        assert quantity.value == pytest.approx(true[name], rel=0.1), name
    text = str(answers)
    assert "Best with 1B unique tokens, repeated as often as that pays:" in text
    assert "worth in fresh tokens" in text
    for asked, beyond in ((answers, True), (fit.allocate(BUDGET, unique=1e10), False)):
        assert asked.repeated is not None
        assert asked.repeated.seen == pytest.approx(60.0)
        assert asked.repeated.is_beyond is beyond is (asked.repeated.epochs.value > 60.0)
        assert ("was fitted to no more: what " in str(asked)) is beyond
    plain = fit.allocate(BUDGET)
    assert plain.repeated is None
    # by the word of this channel, where it can be asked: with a compute alone
    assert "; what more repeats are worth is asked by unique=." in str(plain)
    assert "asked by" not in str(fit.allocate(loss=2.5))
    without = replace(fit, outcomes={}, draws={})
    assert "asked by" not in str(without.allocate(BUDGET))
    with pytest.raises(IsoflopError, match=r"it was not asked for\. .*sweep\.fit\(\["):
        without.allocate(BUDGET, unique=1e9)
    with pytest.raises(IsoflopError, match=r"ask by FLOPS or --gpu-hours, not by a loss of 2\.5"):
        fit.allocate(loss=2.5, unique=1e9)
    for unique in (-1.0, 1e-300, 1e300):
        with pytest.raises(IsoflopError, match="unique tokens lies between 1 and 1e20"):
            fit.allocate(BUDGET, unique=unique)
    for unique in (LIMITS["unique"].least, LIMITS["unique"].most):
        for flops in (LIMITS["flops"].least, BUDGET, LIMITS["flops"].most):
            assert fit.allocate(flops, unique=unique).repeated is not None
