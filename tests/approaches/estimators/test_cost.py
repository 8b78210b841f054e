"""Laws take what a token costs for a power of N, and are refused where that is another cost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest

import isoflop
from isoflop.approaches.estimators.cost import MOST_OFF, flops_per_token, other_cost
from isoflop.approaches.fit_approach import fit_approach
from isoflop.approaches.mix_laws import mix_laws
from isoflop.approaches.observations import observe
from isoflop.approaches.uncertainty.truths import truths_of
from isoflop.config.approaches import ApproachesSettings, CountingSettings
from isoflop.errors import UnderdeterminedError
from isoflop.estimates.estimate import Estimate, Provenance, Refusal, Uncalibrated
from isoflop.estimates.forecasts import NoForecasts
from isoflop.estimates.mixture import NoMixture
from isoflop.laws import ChinchillaLaw

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from isoflop.approaches.observations import Observations

    Floats = NDArray[np.float64]
    Cost = Callable[[Floats], Floats]

PROVENANCE = Provenance(inputs={}, version="test", git_revision=None)
LOGGED = CountingSettings(flops="logged")
LAWS = {
    "paper": ChinchillaLaw(1.7, 400.0, 400.0, 0.34, 0.28),
    "replication": ChinchillaLaw(1.82, 482.0, 2085.0, 0.348, 0.366),
    "flat": ChinchillaLaw(1.7, 100.0, 60.0, 0.25, 0.18),
}
BUDGETS = 1e18 * np.array([1.0, 3.0, 10.0, 30.0, 100.0])
SIZES = np.geomspace(1e6, 1e11, 100_001)


def head(vocabulary: float) -> Cost:
    """Give FLOPs per token of blocks 64 wide per layer, N, and of a head that is not in N."""

    def cost(n: Floats) -> Floats:
        return np.asarray(6.0 * (n + vocabulary * (n * 64.0 / 12.0) ** (1.0 / 3.0)))

    return cost


def best(law: ChinchillaLaw, cost: Cost, flops: float) -> float:
    """Search the size of least loss at one C."""
    return float(SIZES[np.argmin(law.loss(SIZES, flops / cost(SIZES)))])


def table(law: ChinchillaLaw, cost: Cost, noise: float = 0.0) -> pl.DataFrame:
    """Simulate five budgets of seven sizes, whose trainer logged what they cost."""
    rng = np.random.default_rng(7)
    rows = []
    for flops in BUDGETS:
        for n in 0.35 * np.sqrt(flops / 6.0) * np.geomspace(0.25, 4.0, 7):
            tokens = float(flops / cost(n))
            loss = float(law.loss(n, tokens)) * float(np.exp(noise * rng.standard_normal()))
            rows.append({"params": n, "tokens": tokens, "loss": loss, "flops": float(flops)})
    return isoflop.read(pl.DataFrame(rows)).losses


def logged(losses: pl.DataFrame) -> Observations:
    return observe(losses, LOGGED)


def settings_of(counting: CountingSettings, **bootstrap: Any) -> ApproachesSettings:
    return ApproachesSettings.model_validate(
        {
            "counting": counting.model_dump(),
            "parametric": {"starts": "coarse"},
            "bootstrap": {"draws": 40, **bootstrap},
        }
    )


def off(law: ChinchillaLaw, cost: Cost, observations: Observations) -> Floats:
    """Give log of the best size by the fitted power of N over the true one, at three C."""
    taken = observations
    power = flops_per_token(taken.params, taken.tokens, taken.flops)

    def closed(n: Floats) -> Floats:
        return np.asarray(power.coefficient * n**power.exponent)

    places = BUDGETS[[0, 2, 4]]
    return np.log([best(law, closed, c) / best(law, cost, c) for c in places])


@pytest.mark.parametrize("name", LAWS)
def test_a_cost_that_passes_moves_no_best_size_by_more_than_the_limit(name: str) -> None:
    """By laws and vocabularies; what is told is what a search under the true cost finds."""
    law, passed, refused = LAWS[name], 0, 0
    for vocabulary in (1e3, 2e3, 4e3, 8e3, 16e3, 32e3, 50_304.0, 128_256.0):
        observations = logged(table(law, head(vocabulary)))
        missed = other_cost(observations)
        true = np.abs(off(law, head(vocabulary), observations)).max()
        if missed is None:
            passed += 1
            assert true < 1.35 * MOST_OFF
        else:
            refused += 1
            assert true > MOST_OFF
            assert 0.4 < abs(missed.off) / true < 2.0
    assert passed >= 2
    assert refused >= 3


@pytest.mark.parametrize("m", [0.8, 1.0, 1.1])
def test_a_power_of_n_is_the_cost_whatever_it_is(m: float) -> None:
    observations = logged(table(LAWS["paper"], lambda n: np.asarray(11.0 * n**m)))
    assert other_cost(observations) is None


def test_shapes_that_scatter_about_a_power_do_not_bend_the_cost() -> None:
    """Depth and width move what a size costs by some per cent either way."""
    losses = table(LAWS["paper"], head(0.0))
    sign = np.where(np.arange(losses.height) % 2 == 0, 1.0, -1.0)
    scattered = losses.with_columns(pl.col("flops_logged") * pl.Series(1.0 + 0.05 * sign))
    observations = logged(scattered)
    power = flops_per_token(observations.params, observations.tokens, observations.flops)
    assert power.largest_deviation > 0.045
    assert other_cost(observations) is None


def test_laws_under_another_cost_are_refused_and_judge_no_profile() -> None:
    """A vocabulary of 50,304: the closed form was 16 % off and its intervals said to cover."""
    law, cost = LAWS["paper"], head(50_304.0)
    losses = table(law, cost, noise=0.003)
    settings = settings_of(LOGGED, simulations=50)
    outcomes = {
        approach: fit_approach(losses, approach, settings, sweep="s", provenance=PROVENANCE)[0]
        for approach in ("profiles", "overtraining", *settings.mixture.laws)
    }
    profiles = outcomes.pop("profiles")
    for refusal in outcomes.values():
        assert isinstance(refusal, Refusal)
        told = refusal.refused.replace("\xa0", " ")
        assert "N counted as total and C as logged" in told
        assert "follow N^0.90 only within 17 % over sizes from 3.6e+07 to 5.7e+09" in told
        assert "approaches.counting: {params: total, flops: 6nd}" in told
    # approach 2 is right, and nothing is there to judge its intervals by
    assert isinstance(profiles, Estimate)
    assert isinstance(profiles.calibration, Uncalibrated)
    assert "no optimum of a law is known" in profiles.calibration.reason
    assert not any("Exact losses" in caution for caution in profiles.cautions)
    (caution,) = [text for text in profiles.cautions if "uncalibrated percentiles" in text]
    assert "FLOPs per token follow N^0.90" in caution
    assert profiles.a.coverage == {}
    optimum = profiles.optima[0]
    low, high = optimum.params.intervals["0.95"]
    assert low < best(law, cost, optimum.flops) < high
    with pytest.raises(UnderdeterminedError, match=r"no optimum of a law .* N\^0\.90"):
        truths_of(logged(losses), settings)
    no_forecasts = NoForecasts(
        sweep="s", settings=settings.only("forecast"), refused="none", provenance=PROVENANCE
    )
    mixture, _ = mix_laws(outcomes, {}, no_forecasts, settings, sweep="s", provenance=PROVENANCE)
    assert isinstance(mixture, NoMixture)
    assert mixture.refused.count("laws of the loss cannot give best sizes") == 1


def test_the_counting_that_the_refusal_names_gives_the_best_size() -> None:
    law = LAWS["paper"]
    losses = table(law, head(50_304.0), noise=0.003)
    counting = CountingSettings(params="total", flops="6nd")
    settings = settings_of(counting, interval="percentile")
    estimate, _ = fit_approach(losses, "parametric", settings, sweep="s", provenance=PROVENANCE)
    assert isinstance(estimate, Estimate)
    optimum = estimate.optima[0]
    true = best(law, lambda n: 6.0 * n, optimum.flops)
    assert optimum.params.value == pytest.approx(true, rel=0.04)
