"""The allocation that is cheapest to train and serve, against a general optimiser."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import brentq, minimize_scalar

from isoflop.estimates.inference import served_columns
from isoflop.estimates.laws import (
    FlopsPerToken,
    HoffmannLaw,
    NestedLoss,
    PowerLaws,
    ProductLoss,
    RootLoss,
)

COST = FlopsPerToken(coefficient=5.0, exponent=1.1, largest_deviation=0.0)
LAWS = {
    "hoffmann": (HoffmannLaw(flops_per_token=COST), [1.7, 406.0, 411.0, 0.34, 0.28]),
    "nested": (
        NestedLoss(flops_per_token=COST, frontier_at=1e20),
        [1.2, 30.0, 50.0, 0.7, 0.5, 0.5],
    ),
    "root": (RootLoss(flops_per_token=COST, frontier_at=1e20), [1.2, 30.0, 50.0, 0.7, 0.5]),
    "product": (
        ProductLoss(flops_per_token=COST, frontier_at=1e20),
        [1.7, 406.0, 411.0, 0.34, 0.28, 9000.0],
    ),
    "negative product": (
        ProductLoss(flops_per_token=COST, frontier_at=1e20),
        [1.7, 406.0, 411.0, 0.34, 0.28, -90000.0],
    ),
}


@pytest.mark.parametrize("name", LAWS)
@pytest.mark.parametrize("served", [1e9, 1e12, 1e14])
def test_no_other_size_is_cheaper_at_the_same_loss(name: str, served: float) -> None:
    law, parameters = LAWS[name]
    row, budget = np.array([parameters]), 1e21
    found = served_columns(law, row, np.array([budget]), served)
    assert found is not None
    wanted = float(np.log(law.optima(row, np.array([budget])).loss[0, 0]))

    def log_loss(log_n: float, log_d: float) -> float:
        logs = law.log_loss(row, np.array([log_n]), np.array([log_d]))
        assert logs is not None
        return float(logs[0, 0]) - wanted

    def total(log_n: float) -> float:
        log_d = brentq(lambda d: log_loss(log_n, d), 1.0, 200.0, xtol=1e-13)
        training = np.exp(COST.log_flops(np.array(log_n), np.array(log_d)))
        return float(np.log(training + 2.0 * np.exp(log_n) * served))

    log_n = float(np.log(found["params"][0]))
    assert log_loss(log_n, float(np.log(found["tokens"][0]))) == pytest.approx(0.0, abs=1e-9)
    best = minimize_scalar(total, bounds=(log_n - 1.0, log_n + 1.0), options={"xatol": 1e-9})
    assert total(log_n) <= best.fun + 1e-9
    assert float(np.log(found["total_flops"][0])) == pytest.approx(total(log_n), abs=1e-9)


def test_nothing_served_leaves_the_optimum() -> None:
    law, parameters = LAWS["hoffmann"]
    row = np.array([parameters])
    found = served_columns(law, row, np.array([1e21]), 1.0)
    optimum = law.optima(row, np.array([1e21]))
    assert found is not None
    assert found["params"] == pytest.approx(optimum.params[0], rel=1e-6)
    assert found["training_flops"] == pytest.approx([1e21], rel=1e-9)
    assert found["saved"] == pytest.approx([0.0], abs=1e-9)


def test_more_served_means_smaller_and_longer() -> None:
    law, parameters = LAWS["nested"]
    row = np.array([parameters])
    few, many = (served_columns(law, row, np.array([1e21]), t) for t in (1e11, 1e13))
    assert few is not None
    assert many is not None
    assert many["params"][0] < few["params"][0]
    assert many["tokens"][0] > few["tokens"][0]
    assert 0.0 < few["saved"][0] < many["saved"][0] < 1.0


def test_a_law_of_the_optimum_alone_does_not_say() -> None:
    row = np.array([[0.1, 0.46, 1.6, 0.54, 9.0, 0.06]])
    assert served_columns(PowerLaws(), row, np.array([1e21]), 1e12) is None
