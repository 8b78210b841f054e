"""What a mixture is for: its intervals cover where one law's cannot, at a bearable width."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from isoflop.approaches.estimators.registry import fit
from isoflop.approaches.forecasts.weights import shared_out
from isoflop.approaches.uncertainty.resampling import resample
from isoflop.config.approaches import ApproachesSettings

if TYPE_CHECKING:
    from isoflop.approaches.observations import Observations

SETTINGS = ApproachesSettings.model_validate(
    {"bootstrap": {"draws": 100, "interval": "percentile"}, "parametric": {"starts": "coarse"}}
)
BUDGETS = np.array([6e12, 6e14])
"""Within novels-cpu, and two decades on [FLOP]."""
SWEEPS = 3


def intervals(observations: Observations) -> dict[str, np.ndarray]:
    """Give 80 % intervals of log N* and log L* by approach 3 and the mixture, (2, 2, budgets)."""
    drawn = []
    for law in SETTINGS.mixture.laws:
        fitted = fit(observations, law, SETTINGS, threads=1)
        rows = fitted.refit(resample(fitted, SETTINGS.bootstrap)).parameters
        optima = fitted.optima(rows, BUDGETS)
        drawn.append(np.log(np.stack([optima.params, optima.loss])))
    laws = len(drawn)
    whose = shared_out(np.full(laws, 1.0 / laws), SETTINGS.bootstrap.draws, 0)
    mixed = np.stack([drawn[k][:, i] for i, k in enumerate(whose)], axis=1)
    return {
        name: np.nanquantile(values, [0.1, 0.9], axis=1)
        for name, values in (("parametric", drawn[0]), ("mixture", mixed))
    }


@pytest.mark.parametrize(("truth", "noise"), [("nested", 0.006), ("parametric", 0.0148)])
def test_a_mixture_covers_what_its_laws_disagree_about(
    novels_cpu: Observations, truth: str, noise: float
) -> None:
    final = novels_cpu.at(novels_cpu.is_final)
    law = fit(final, truth, SETTINGS, threads=1)
    row = law.parameters[None]
    optima = law.optima(row, BUDGETS)
    true = np.log(np.stack([optima.params[0], optima.loss[0]]))
    level = law.law.log_loss(row, np.log(final.params), np.log(final.tokens))[0]
    covered: dict[str, list[np.ndarray]] = {"parametric": [], "mixture": []}
    widths: dict[str, list[np.ndarray]] = {"parametric": [], "mixture": []}
    for i in range(SWEEPS):
        errors = noise * np.random.default_rng([3, i]).normal(size=len(level))
        for name, (low, high) in intervals(replace(final, loss=np.exp(level + errors))).items():
            covered[name].append((low <= true) & (true <= high))
            widths[name].append(high - low)
    mixture = np.mean(covered["mixture"], axis=0)
    if truth == "nested":
        # approach 3 never covers the loss, not even inside the data
        assert not np.any(np.array(covered["parametric"])[:, 1])
        assert (mixture == 1.0).all()
    else:
        assert mixture.mean() >= 0.6
    wider = np.mean(widths["mixture"], axis=0) / np.mean(widths["parametric"], axis=0)
    assert (wider[0] < 2.0).all()  # of N*
    assert (wider[1] < 7.0).all()  # of L*, where the laws part
