"""Inverse questions: whatever an allocation has, asking for it gives the allocation back."""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isoflop.accelerators import Machine, read_accelerators
from isoflop.errors import IsoflopError
from isoflop.estimates.answers import ask
from isoflop.estimates.laws import (
    DataConstrainedLaw,
    FlopsPerToken,
    HoffmannLaw,
    KaplanLaws,
    KaplanLoss,
    Law,
    NestedLoss,
    OvertrainingLaw,
    PowerLaws,
    ProductLoss,
)
from isoflop.estimates.power_frontier import ASKED, Asked
from isoflop.estimates.targets import (
    Target,
    _sought,
    columns_along,
    columns_at,
    flops_at,
)
from isoflop.limits import LIMITS
from isoflop.project import facts_folder

COST = FlopsPerToken(coefficient=6.0, exponent=1.0, largest_deviation=0.0)
LAWS: dict[str, tuple[Law, list[float]]] = {
    "power_laws": (PowerLaws(), [0.1, 0.46, 1.6, 0.54, 9.0, 0.06]),
    "hoffmann": (HoffmannLaw(flops_per_token=COST), [1.7, 406.0, 411.0, 0.34, 0.28]),
    "nested": (
        NestedLoss(flops_per_token=COST, frontier_at=1e20),
        [1.2, 30.0, 50.0, 0.7, 0.5, 0.5],
    ),
    "kaplan_law": (
        KaplanLoss(flops_per_token=COST, frontier_at=1e20),
        [6.4e13, 0.076, 1.8e13, 0.103],
    ),
    "product": (
        ProductLoss(flops_per_token=COST, frontier_at=1e20),
        [1.7, 406.0, 411.0, 0.34, 0.28, 900.0],
    ),
    "kaplan": (
        KaplanLaws(),
        [
            0.1,
            0.73,
            1.6,
            0.27,
            3.1e15,
            0.05,
            8.8e13,
            0.076,
            5.4e13,
            0.095,
            0.5,
            1e14,
            0.07,
            5e13,
            0.1,
        ],
    ),
    # no optimum at one FLOP
    "negative_product": (
        ProductLoss(flops_per_token=COST, frontier_at=1e20),
        [0.78, 13.2, 198.0, 0.346, 0.366, -82.0],
    ),
    "overtraining": (OvertrainingLaw(flops_per_token=COST), [1.5, 100.0, 200.0, 0.15]),
    "data_constrained": (
        DataConstrainedLaw(A=521.0, B=1488.0, alpha=0.353, beta=0.353, flops_per_token=COST),
        [1.87, 15.4, 5.3],
    ),
}


@pytest.mark.parametrize("name", LAWS)
@pytest.mark.parametrize("asked", ASKED)
def test_asking_for_what_an_allocation_has_gives_it_back(name: str, asked: str) -> None:
    law, parameters = LAWS[name]
    row = np.array([parameters])
    budget = 3e19
    at_budget = columns_at(law, row, Target("flops", budget))
    target = Target(asked, float(at_budget[asked][0]))  # type: ignore[arg-type]
    found = columns_at(law, row, target)
    if asked == "tokens_per_param" and name in {"overtraining", "data_constrained"}:
        # equal scaling: one D/N at every C, so none is singled out
        assert np.isnan(found["flops"]).all()
        return
    for quantity, values in at_budget.items():
        assert found[quantity] == pytest.approx(values, rel=1e-8), quantity


@pytest.mark.parametrize(
    "cost", [COST, COST.model_copy(update={"coefficient": 40.0, "exponent": 0.9})]
)
@pytest.mark.parametrize("name", [name for name in LAWS if "product" not in name])
def test_seven_numbers_stand_for_a_frontier(name: str, cost: FlopsPerToken) -> None:
    law, parameters = LAWS[name]
    if law.flops_per_token is not None:
        law = law.model_copy(update={"flops_per_token": cost})
    row = np.array([parameters])
    found = law.power_frontier(row)
    assert found is not None
    flops = np.array([1e11, 1e14, 1e17])
    optima, log_c = law.optima(row, flops), np.log(flops)
    np.testing.assert_allclose(np.exp(found.log_n + found.a * log_c), optima.params[0], rtol=1e-12)
    np.testing.assert_allclose(np.exp(found.log_d + found.b * log_c), optima.tokens[0], rtol=1e-12)
    loss = found.floor + np.exp(found.log_k - found.e * log_c)
    np.testing.assert_allclose(loss, optima.loss[0], rtol=1e-12)
    np.testing.assert_allclose([found.a, found.b], law.exponents(row), rtol=1e-12)


def test_a_frontier_that_bends_is_not_put_into_seven_numbers() -> None:
    law, parameters = LAWS["product"]
    assert law.power_frontier(np.array([parameters])) is None


@pytest.mark.parametrize("name", LAWS)
@pytest.mark.parametrize("asked", [asked for asked in ASKED if asked != "flops"])
@pytest.mark.parametrize("exponent", [1.0, 0.8])
def test_a_closed_form_gives_what_a_search_finds(name: str, asked: Asked, exponent: float) -> None:
    law, parameters = LAWS[name]
    if law.flops_per_token is not None:
        cost = COST.model_copy(update={"exponent": exponent})
        law = law.model_copy(update={"flops_per_token": cost})
    spread = np.random.default_rng(83).normal(1.0, 0.1, (40, len(parameters)))
    rows = spread * parameters
    at = columns_at(law, rows[:1], Target("flops", 1e14))[asked][0]
    values = np.geomspace(0.25, 4.0, 9) * at
    found, sought = flops_at(law, rows, asked, values), _sought(law, rows, asked, values)
    np.testing.assert_allclose(found, sought, rtol=1e-6)
    if asked in {"params", "tokens"}:
        assert np.isfinite(found).mean() > 0.5


@pytest.mark.parametrize("name", LAWS)
@pytest.mark.parametrize("asked", ASKED)
def test_several_targets_are_each_answered_as_alone(name: str, asked: Asked) -> None:
    law, parameters = LAWS[name]
    rows = np.array([parameters, [np.nan] * len(parameters), [1.01 * x for x in parameters]])
    at = columns_at(law, rows[:1], Target("flops", 1e12))[asked][0]
    values = np.geomspace(0.5, 2.0, 7) * at
    together = columns_along(law, rows, asked, values)
    for i, value in enumerate(values):
        alone = columns_at(law, rows, Target(asked, float(value)))
        for quantity, column in alone.items():
            np.testing.assert_allclose(together[quantity][:, i], column, rtol=1e-7)


def test_a_law_says_from_which_compute_it_has_optima() -> None:
    law, parameters = LAWS["negative_product"]
    assert isinstance(law, ProductLoss)
    row = np.array([parameters])
    (edge,) = law.log_least_flops(row)
    around = law.optima(row, np.exp(edge + np.array([-1e-6, 1e-6]))).params[0]
    assert np.isfinite(around).tolist() == [False, True]
    for name in ("product", "nested"):
        other, numbers = LAWS[name]
        assert isinstance(other, ProductLoss | NestedLoss)
        assert other.log_least_flops(np.array([numbers])) == [-np.inf]


def test_every_row_is_answered_at_its_own_compute() -> None:
    law, parameters = LAWS["hoffmann"]
    rows = np.array([parameters, [1.7, 300.0, 411.0, 0.34, 0.28], [np.nan] * 5])
    together = flops_at(law, rows, "params", np.array([1e9]))[:, 0]
    alone = [flops_at(law, row[None], "params", np.array([1e9]))[0, 0] for row in rows]
    np.testing.assert_allclose(together, alone, rtol=1e-12)
    assert np.isnan(together[2])
    optima = law.optima(rows[:2], together[:2, None])
    np.testing.assert_allclose(optima.params[:, 0], 1e9, rtol=1e-9)


@given(loss=st.floats(0.5, 1.69))
def test_no_compute_reaches_a_loss_below_the_floor(loss: float) -> None:
    law, parameters = LAWS["hoffmann"]
    assert np.isnan(flops_at(law, np.array([parameters]), "loss", np.array([loss]))).all()


@pytest.mark.parametrize("law", LAWS)
def test_every_law_gives_its_loss_by_one_rule(law: str) -> None:
    """However far from the data: what a loss is worth there is said by marks and distances."""
    kind, parameters = LAWS[law]
    flops = 10.0 ** np.arange(6.0, 40.0, 2.0)
    loss = kind.optima(np.array([parameters]), flops).loss[0]
    assert np.isfinite(loss).all()
    assert (np.diff(loss) < 0.0).all()


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf"), "1e21", None, True])
def test_a_target_is_a_number_within_its_limits(value: Any) -> None:
    with pytest.raises(IsoflopError, match=r"a loss lies between 0\.001 and 100 nats per token"):
        Target("loss", value)


def test_a_number_beyond_all_floats_is_refused() -> None:
    with pytest.raises(IsoflopError, match="between 1 and 1e40 FLOPs, not at 1e400"):
        Target("flops", 10**400)


@pytest.mark.parametrize("served", [-1.0, 0.0, 1e40, float("nan"), float("inf")])
def test_served_tokens_have_limits(served: float) -> None:
    with pytest.raises(IsoflopError, match="a number of tokens served lies between 1 and 1e20"):
        ask(Target("flops", 1e21), served=served)


@pytest.mark.parametrize("asked", get_args(Asked))
def test_both_ends_of_every_limit_are_answered_without_a_warning(asked: Asked) -> None:
    """The published laws, with the most and the least of all else that goes with a question."""
    card = read_accelerators(facts_folder()).rows[0]
    for value in (LIMITS[asked].least, LIMITS[asked].most):
        for end in ("least", "most"):
            machine = Machine(
                card, getattr(LIMITS["utilisation"], end), getattr(LIMITS["price"], end)
            )
            found = ask(
                Target(asked, value), served=getattr(LIMITS["served"], end), machine=machine
            )
            assert "published" in str(found)


@pytest.mark.parametrize("asked", get_args(Asked))
def test_an_answer_in_plain_text_has_no_markup(asked: Asked) -> None:
    """However large the number is that was asked for."""
    assert "^" not in str(ask(Target(asked, LIMITS[asked].most)))
