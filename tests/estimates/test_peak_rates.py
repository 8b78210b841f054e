"""What trials of peak rates show: a parabola that was put in, and nothing where there is none."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from isoflop.estimates.peak_rates import RateTrials

K = 0.03
BEST = 3e-3


def sweep(
    cells: list[tuple[float, float]],
    factors: tuple[float, ...] = (0.25, 0.5, 1.0, 2.0, 4.0),
    *,
    noise: float = 0.0,
    fitted: tuple[tuple[float, float], ...] = ((1e6, 2e7), (1e6, 9e8)),
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Give runs and what is left out: trials about a best rate that depends on N and D."""
    rng = np.random.default_rng(0)
    rows = []
    for n, d in cells:
        for factor in factors:
            best = BEST * (n / 1e6) ** -0.4 * (d / 1e7) ** -0.1
            loss = 3.0 + 1e5 / n + K * np.log(factor) ** 2 + noise * rng.standard_normal()
            rows.append(("tuning", n, d, best * factor, True, loss))
    rows += [("fit", n, d, BEST, False, None) for n, d in fitted]
    columns = ["role", "params_total", "tokens", "lr_peak", "excluded", "loss"]
    table = pl.DataFrame(rows, schema=columns, orient="row", infer_schema_length=None)
    table = table.with_row_index("run").with_columns(
        pl.format("run{}", "run").alias("run"), tokens_per_step=pl.lit(4096.0)
    )
    left_out = table.filter(role="tuning").select(item="run", loss="loss")
    return table.drop("loss"), left_out


CELLS = [(1e6, 1e7), (1e6, 1e8), (4e6, 2e7)]


def test_the_parabola_that_was_put_in_comes_out() -> None:
    trials = RateTrials.of(*sweep(CELLS))
    assert trials is not None
    assert (trials.runs, trials.cells) == (15, 3)
    assert trials.ratios == (5.0, 100.0)
    assert trials.outside == 0.5  # D/N of 20 lies among them, 900 does not
    assert trials.curvature == pytest.approx(K)
    cost = trials.cost(2.0)
    assert cost == pytest.approx(K * np.log(2.0) ** 2)


def test_its_error_is_that_of_a_regression_with_a_line_for_each_cell() -> None:
    from statsmodels.regression.linear_model import OLS

    runs, left_out = sweep(CELLS, (0.5, 0.7, 1.0, 1.4, 2.0), noise=0.002)
    trials = RateTrials.of(runs, left_out)
    assert trials is not None
    tried = runs.filter(role="tuning").join(left_out, left_on="run", right_on="item")
    x = np.log(tried["lr_peak"].to_numpy())
    cell = np.repeat(np.eye(3), 5, axis=0)
    design = np.column_stack([cell, cell * x[:, None], x**2])
    oracle = OLS(tried["loss"].to_numpy(), design).fit()
    assert trials.curvature == pytest.approx(oracle.params[-1])
    assert trials.error == pytest.approx(oracle.bse[-1])


def test_a_rate_at_which_runs_diverge_is_no_part_of_the_parabola() -> None:
    runs, left_out = sweep(CELLS, (0.5, 1.0, 2.0, 32.0))
    spoilt = left_out.with_columns(
        loss=pl.when(pl.int_range(pl.len()) % 4 == 3).then(9.0).otherwise("loss")
    )
    trials = RateTrials.of(runs, spoilt)
    assert trials is not None
    assert trials.curvature == pytest.approx(K)


def test_what_is_not_shown_is_not_known() -> None:
    # two rates have no curvature, noise alone none that stands out
    two = RateTrials.of(*sweep(CELLS, (1.0, 2.0)))
    assert two is not None
    assert two.curvature is None
    assert two.cost(2.0) is None
    noisy = RateTrials.of(*sweep(CELLS, (0.9, 1.0, 1.1), noise=0.05))
    assert noisy is not None
    assert noisy.cost(2.0) is None
    # one grid of three rates has no degree of freedom
    alone = RateTrials.of(*sweep(CELLS[:1], (0.5, 1.0, 2.0)))
    assert alone is not None
    assert alone.error is None
    assert alone.cost(2.0) is None


def test_a_sweep_without_trials_has_none() -> None:
    assert RateTrials.of(*sweep([])) is None
    assert RateTrials.of(*sweep(CELLS, (1.0,))) is None
