"""Planned budgets of tables: labels in other FLOPs, and each run's own exact C."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from isoflop.approaches.estimators.budgets import budget_groups
from isoflop.approaches.estimators.profiles import fit_profiles
from isoflop.approaches.observations import observe, shared_budgets
from isoflop.config.approaches import CountingSettings, ProfilesSettings
from isoflop.config.losses import LossesSettings
from isoflop.errors import UnderdeterminedError
from isoflop.losses.build import build_losses
from tests.ingest.samples import ingest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from isoflop.approaches.observations import Observations

BUDGETS = (1e17, 3e17, 1e18, 3e18)
SETTINGS = ProfilesSettings()
TABLE = """
title: t
table:
  rows: runs
  columns: {{run: run, params.total: N, tokens: D, eval_loss: loss, budget: {budget}}}
"""


def sweep_of(
    folder: Path, label: Callable[[float, float], float], budget: str = "C"
) -> Observations:
    """Five sizes a budget, of a law without noise; `label` makes column C of budget and C."""
    lines = ["run,N,D,loss,C"]
    spread = np.random.default_rng(0).uniform(0.99, 1.01, (len(BUDGETS), 5))
    for row, planned in enumerate(BUDGETS):
        for place, factor in enumerate((0.25, 0.5, 1.0, 2.0, 4.0)):
            params = round(1.5e7 * (planned / 1e17) ** 0.47 * factor)
            tokens = round(planned * spread[row, place] / (6 * params))
            loss = 1.9 + 400 / params**0.34 + 400 / tokens**0.30
            flops = label(planned, 6.0 * params * tokens)
            lines.append(f"r{row}{place},{params},{tokens},{loss:.6f},{flops:.10g}")
    tables = ingest(folder, {"runs.csv": "\n".join(lines) + "\n"}, TABLE.format(budget=budget))
    losses = build_losses(tables.curves, tables.runs, tables.files, LossesSettings()).losses
    return observe(losses, CountingSettings())


def exponent(observations: Observations) -> float:
    fitted = fit_profiles(observations, SETTINGS)
    return float(fitted.exponents(fitted.parameters[None])[0][0])


def test_labels_in_forward_flops_are_named_with_the_ways_out(tmp_path: Path) -> None:
    labelled = sweep_of(tmp_path / "labelled", lambda planned, _: planned / 3)
    with pytest.raises(UnderdeterminedError) as caught:
        fit_profiles(labelled, SETTINGS)
    words = str(caught.value)
    assert (
        "All 20 runs have a C of about 3.0 times their budget, which is what budgets in forward "
        "FLOPs look like: leave `budget` out, or scale it in sweep.yaml's table map, budget: "
        "{column: <column>, scale: 3}"
    ) in words
    assert "Add runs" not in words
    # and that is what it takes
    scaled = sweep_of(tmp_path / "scaled", lambda planned, _: planned / 3, "{column: C, scale: 3}")
    assert exponent(scaled) == pytest.approx(0.30 / 0.64, abs=0.01)


def test_labels_off_by_another_factor_are_not_called_forward(tmp_path: Path) -> None:
    labelled = sweep_of(tmp_path / "s", lambda planned, _: planned / 1.5)
    with pytest.raises(UnderdeterminedError) as caught:
        fit_profiles(labelled, SETTINGS)
    assert "a C of about 1.5 times their budget: leave" in str(caught.value)
    assert "scale: 1.5}" in str(caught.value)
    assert "forward" not in str(caught.value)


def test_labels_off_by_many_factors_are_not_said_to_be_off_by_one(tmp_path: Path) -> None:
    labelled = sweep_of(tmp_path / "s", lambda planned, _: (planned / 1e15) ** 1.2 * 1e15)
    with pytest.raises(UnderdeterminedError, match=r"Add runs") as caught:
        fit_profiles(labelled, SETTINGS)
    assert "times their budget" not in str(caught.value)


def test_runs_whose_budget_is_their_own_exact_c_are_grouped(tmp_path: Path) -> None:
    own = sweep_of(tmp_path / "s", lambda _, flops: flops)
    groups, left_out = budget_groups(own, SETTINGS)
    assert [group.n_sizes for group in groups] == [5, 5, 5, 5]
    assert [group.budget for group in groups] == pytest.approx(BUDGETS, rel=0.01)
    assert left_out == []
    # resampling draws within budgets: alone in its budget, no run would ever be left out
    assert len(np.unique(own.run_budget)) == len(BUDGETS)
    assert exponent(own) == pytest.approx(0.30 / 0.64, abs=0.01)


def test_planned_budgets_that_runs_share_stay_however_near() -> None:
    planned = np.array([1e17, 1e17, 1.05e17, 1.05e17, np.nan])
    np.testing.assert_array_equal(shared_budgets(planned), planned)
    apart = np.array([1e17, 2e17, 4e17])
    np.testing.assert_array_equal(shared_budgets(apart), apart)
    own = np.array([1.01e17, np.nan, 0.99e17, 3.02e17, 3.0e17])
    np.testing.assert_allclose(shared_budgets(own), [1e17, np.nan, 1e17, 3.01e17, 3.01e17])
