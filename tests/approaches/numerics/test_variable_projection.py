"""The parametric law by two roads."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from isoflop.approaches.estimators.parametric import fit_parametric
from isoflop.approaches.numerics.variable_projection import variable_projection
from isoflop.config.approaches import ParametricSettings
from tests.simulate import isoflop_design, simulate

if TYPE_CHECKING:
    from isoflop.approaches.observations import Observations
    from isoflop.laws import ChinchillaLaw


def test_an_exact_law_is_found(law: ChinchillaLaw) -> None:
    design = isoflop_design(law, (1e17, 1e18, 1e19), points=1)
    data = simulate(law, design, noise=0.0, rng=np.random.default_rng(0))
    found = variable_projection(data.params, data.tokens, data.loss)
    for name in ("E", "A", "B", "alpha", "beta", "a"):
        assert found[name] == pytest.approx(getattr(law, name), rel=1e-4)


def test_it_agrees_with_least_squares_on_the_log(epoch240: Observations) -> None:
    """Relative errors and log errors differ by squares of half a per cent."""
    settings = ParametricSettings(objective="mse", starts="coarse")
    fitted = fit_parametric(epoch240, settings)
    found = variable_projection(epoch240.params, epoch240.tokens, epoch240.loss)
    e, _, _, alpha, beta = fitted.parameters
    assert found["E"] == pytest.approx(e, abs=0.01)
    assert found["alpha"] == pytest.approx(alpha, abs=0.01)
    assert found["beta"] == pytest.approx(beta, abs=0.01)
    assert found["rms"] == pytest.approx(np.sqrt(np.mean(fitted.residuals**2)), rel=0.02)
