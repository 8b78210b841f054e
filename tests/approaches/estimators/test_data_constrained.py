"""The data-constrained law against its own law and against what it must mean."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from isoflop.approaches.estimators.data_constrained import _effective, fit_data_constrained
from isoflop.approaches.protocol import Resamples
from isoflop.config.approaches import DataConstrainedSettings
from isoflop.errors import MissingFactError, UnderdeterminedError
from isoflop.laws import ChinchillaLaw, RepeatedDataLaw
from tests.approaches.conftest import finished_runs

if TYPE_CHECKING:
    from isoflop.approaches.observations import Observations

FRESH = ChinchillaLaw(E=1.8690284, A=520.8325, B=1487.6731, alpha=0.3526596, beta=0.3526596)
LAW = RepeatedDataLaw(FRESH, R_D=15.4, R_N=5.3)


def sweep_of(law: RepeatedDataLaw = LAW, entropy: float = 0.0) -> Observations:
    """Give runs of several sizes and epochs, so that both constants are told apart."""
    params, unique, epochs = (
        grid.ravel()
        for grid in np.meshgrid([2e7, 2e8, 2e9], [1e8, 1e9, 1e10], [1.0, 2.0, 4.0, 16.0, 60.0])
    )
    tokens = unique * epochs
    loss = entropy + law.loss(params, tokens, unique)
    runs = finished_runs(params, tokens, 6.0 * params * tokens, loss)
    return replace(runs, run_unique_tokens=unique)


def settings(**keys: object) -> DataConstrainedSettings:
    return DataConstrainedSettings.model_validate(keys)


@pytest.mark.parametrize("fit_E", [False, True])
def test_a_known_law_is_recovered(fit_E: bool) -> None:
    fitted = fit_data_constrained(sweep_of(), settings(fit_E=fit_E))
    assert fitted.parameters == pytest.approx([FRESH.E, 15.4, 5.3], rel=1e-4)


def test_another_corpus_has_another_entropy() -> None:
    fitted = fit_data_constrained(sweep_of(entropy=0.2), settings())
    assert fitted.parameters == pytest.approx([FRESH.E + 0.2, 15.4, 5.3], rel=1e-4)
    fixed = fit_data_constrained(sweep_of(entropy=0.2), settings(fit_E=False))
    assert fixed.parameters[0] == pytest.approx(FRESH.E, rel=1e-12)


def test_refitting_all_runs_gives_the_fit() -> None:
    fitted = fit_data_constrained(sweep_of(), settings())
    refits = fitted.refit(Resamples(np.ones((2, fitted.observations.n_runs))))
    assert refits.parameters[1] == pytest.approx(fitted.parameters, rel=1e-6)
    few = np.zeros((1, fitted.observations.n_runs))
    few[0, :4] = 1.0
    assert "fewer than" in fitted.refit(Resamples(few)).refusals[0]


def test_epochs_beyond_the_limit_are_left_out() -> None:
    fitted = fit_data_constrained(sweep_of(), settings(max_epochs=20))
    assert max(fitted.diagnostics().epochs) == pytest.approx(16.0)


def test_a_sweep_that_repeats_nothing_is_refused() -> None:
    with pytest.raises(UnderdeterminedError, match="6 finished runs that repeat their tokens"):
        fit_data_constrained(sweep_of(), settings(max_epochs=1.5))


def test_unknown_unique_tokens_are_asked_for() -> None:
    losses = sweep_of()
    losses = replace(losses, run_unique_tokens=np.full(losses.n_runs, np.nan))
    with pytest.raises(MissingFactError, match=r"unique_tokens to sweep\.yaml"):
        fit_data_constrained(losses, settings())


def test_bounds_are_said() -> None:
    worthless = RepeatedDataLaw(FRESH, R_D=1e-6, R_N=5.3)
    fitted = fit_data_constrained(sweep_of(worthless), settings())
    assert any("R_D ended at its bound" in caution for caution in fitted.cautions())


def test_one_epoch_is_the_law_for_fresh_tokens() -> None:
    params, tokens = 1e8, 1e10
    assert LAW.loss(params, tokens, tokens) == pytest.approx(FRESH.loss(params, tokens))
    # and unique tokens beyond the training are no repeats
    assert LAW.loss(params, tokens, 2 * tokens) == pytest.approx(FRESH.loss(params, tokens))


def test_repeats_are_worth_less_and_less() -> None:
    worth = LAW.effective_tokens(1e9 * np.array([1.0, 2.0, 4.0, 16.0, 100.0, 1e4]), 1e9) / 1e9
    assert worth[0] == pytest.approx(1.0)
    assert (np.diff(worth) > 0).all()
    # never more than 1 + R*_D fresh epochs (Muennighoff et al. 2023, section 3.1)
    assert worth[-1] == pytest.approx(1.0 + 15.4)
    # at R*_D repeats each is on average worth 1 - 1/e of a fresh one
    assert LAW.effective_tokens(1e9 * 16.4, 1e9) / 1e9 == pytest.approx(1 + 15.4 * (1 - np.exp(-1)))


def test_unique_params_are_optimal_for_the_unique_tokens() -> None:
    law = ChinchillaLaw(E=1.7, A=400.0, B=2000.0, alpha=0.34, beta=0.37)
    params = float(RepeatedDataLaw(law, R_D=1.0, R_N=1.0).unique_params(np.inf, 1e10))
    found = minimize_scalar(
        lambda log_n: float(law.loss(np.exp(log_n), params * 1e10 / np.exp(log_n))),
        bounds=(np.log(params) - 3, np.log(params) + 3),
        method="bounded",
        options={"xatol": 1e-9},
    )
    assert np.exp(found.x) == pytest.approx(params, rel=1e-4)


def test_derivative_of_the_worth_is_that_of_differences() -> None:
    unique, repeats = np.array([1.0, 2.0]), np.array([0.5, 30.0])
    step = 1e-6
    _, derivative = _effective(unique, repeats, np.exp(np.array([1.2])))
    up, _ = _effective(unique, repeats, np.exp(np.array([1.2 + step])))
    down, _ = _effective(unique, repeats, np.exp(np.array([1.2 - step])))
    assert derivative == pytest.approx((up - down) / (2 * step), rel=1e-6)
