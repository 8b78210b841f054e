"""Where the mixture's intervals end at any C, and at what a question backwards asks for."""

from __future__ import annotations

import numpy as np
import pytest

from isoflop.estimates.levels import Levels, NoLevel, Tail, Tails, between, widest
from isoflop.estimates.mixture import MixtureLevels, PlacedLevels

TOP = 1e18


def tails(below: float, above: float) -> Levels:
    return {
        "0.8": Tails(
            below=Tail(share=below, error=0.01, truth="root"),
            above=Tail(share=above, error=0.02, truth="nested"),
        )
    }


NONE: Levels = {"0.8": NoLevel(side="below", truth="product", share=0.3)}


def placed(quantity: str, *levels: Levels) -> list[PlacedLevels]:
    return [
        PlacedLevels.model_validate(
            {"quantity": quantity, "decades_beyond": float(place), "levels": ends}
        )
        for place, ends in enumerate(levels)
    ]


KNOWN = MixtureLevels(
    [
        PlacedLevels(quantity="a", decades_beyond=None, levels=tails(0.02, 0.05)),
        *placed("params_opt", tails(0.1, 0.04), tails(0.2, 0.08), tails(0.3, 0.02)),
        *placed("loss_opt", tails(0.05, 0.06), NONE, tails(0.15, 0.01)),
    ],
    TOP,
)


def shares(levels: Levels) -> tuple[float, float]:
    ends = levels["0.8"]
    assert isinstance(ends, Tails)
    return ends.below.share, ends.above.share


@pytest.mark.parametrize(
    ("decades", "expected"),
    [(-3.0, (0.1, 0.04)), (0.0, (0.1, 0.04)), (0.25, (0.125, 0.05)), (1.0, (0.2, 0.08)),
     (1.5, (0.25, 0.05)), (2.0, (0.3, 0.02)), (7.0, (0.3, 0.02))],
)  # fmt: skip
def test_shares_lie_on_lines_in_log_compute(decades: float, expected: tuple[float, float]) -> None:
    assert shares(KNOWN.of("params_opt", TOP * 10.0**decades)) == pytest.approx(expected)


def test_no_level_reaches_to_the_next_place_that_has_one() -> None:
    for decades in (0.1, 1.0, 1.9):
        assert isinstance(KNOWN.of("loss_opt", TOP * 10.0**decades)["0.8"], NoLevel)
    for decades in (0.0, 2.0):
        assert isinstance(KNOWN.of("loss_opt", TOP * 10.0**decades)["0.8"], Tails)


def test_what_falls_where_another_rises_has_its_tails_changed() -> None:
    """At a given C more parameters are fewer tokens, and b is what a leaves."""
    assert shares(KNOWN.named("params_opt", TOP)) == (0.1, 0.04)
    for name in ("tokens_opt", "tokens_per_param"):
        assert shares(KNOWN.named(name, TOP)) == (0.04, 0.1)
    assert shares(KNOWN.named("a", None)) == (0.02, 0.05)
    assert shares(KNOWN.named("b", None)) == (0.05, 0.02)
    mirrored = NoLevel(side="below", truth="root", share=0.2).mirrored
    assert (mirrored.side, mirrored.share) == ("above", 0.2)


def test_a_question_backwards_ends_where_all_it_rests_on_is_covered() -> None:
    assert shares(KNOWN.at_target("flops", "loss", TOP)) == (0.05, 0.06)
    assert shares(KNOWN.at_target("params", "loss", TOP)) == (0.04, 0.04)
    assert shares(KNOWN.at_target("flops", "params", TOP)) == (0.04, 0.04)
    assert shares(KNOWN.at_target("loss", "params", TOP)) == (0.04, 0.04)
    without = KNOWN.at_target("loss", "params", 10.0 * TOP)
    assert isinstance(without["0.8"], NoLevel)


def test_the_compute_that_a_loss_asks_for_has_the_place_of_the_loss() -> None:
    """Of curves that fall with C, as many lie below a loss at a C as reach it before that C."""
    floors = np.random.default_rng(0).normal(1.0, 0.1, 5000)
    scales = np.random.default_rng(1).normal(3.0, 0.2, 5000)
    asked, there = 1.7, (3.1 / 0.6) ** 10
    below = np.mean(floors + scales * there**-0.1 < asked)
    with np.errstate(invalid="ignore"):
        computes = ((asked - floors) / scales) ** -10.0
    assert np.mean(computes < there) == pytest.approx(below, abs=1e-3)


def test_percentiles_have_no_levels() -> None:
    plain = MixtureLevels([], TOP)
    assert plain.of("a") == {}
    assert plain.named("tokens_opt", TOP) == {}
    assert plain.at_target("params", "loss", TOP) == {}


def test_between_and_widest_keep_what_is_missing() -> None:
    assert between(tails(0.1, 0.1), NONE, 0.3) == NONE
    assert between(tails(0.1, 0.2), NONE, 0.0) == tails(0.1, 0.2)
    assert widest([tails(0.1, 0.1), NONE]) == NONE
