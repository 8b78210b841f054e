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
    curvature: dict[float, float] | None = None,
    fitted: tuple[tuple[float, float], ...] = ((1e6, 2e7), (1e6, 9e8)),
) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Give runs, losses and what is left out: trials about a best rate that depends on N and D."""
    rng = np.random.default_rng(0)
    rows = []
    for n, d in cells:
        for factor in factors:
            best = BEST * (n / 1e6) ** -0.4 * (d / 1e7) ** -0.1
            k = (curvature or {}).get(d / n, K)
            loss = 3.0 + 1e5 / n + k * np.log(factor) ** 2 + noise * rng.standard_normal()
            rows.append(("tuning", n, d, best * factor, True, loss))
    rows += [("fit", n, d, BEST, False, 3.0) for n, d in fitted]
    columns = ["role", "params_total", "tokens", "lr_peak", "excluded", "loss"]
    table = pl.DataFrame(rows, schema=columns, orient="row", infer_schema_length=None)
    table = table.with_row_index("run").with_columns(
        pl.format("run{}", "run").alias("run"),
        tokens_per_step=pl.lit(4096.0),
        schedule_kind=pl.lit("cosine"),
        is_final=pl.lit(value=True),
    )
    left_out = table.filter(role="tuning").select(item="run", loss="loss")
    losses = table.filter(role="fit").select("run", "role", "is_final", "loss")
    return table.drop("loss", "is_final"), losses, left_out


CELLS = [(1e6, 1e7), (1e6, 1e8), (4e6, 2e7)]


def test_the_parabola_that_was_put_in_comes_out() -> None:
    trials = RateTrials.of(*sweep(CELLS))
    assert trials is not None
    assert (trials.runs, trials.cells) == (15, 3)
    assert trials.at_lowest == trials.at_highest == ()
    # of the two that are fitted one is longer than all of these, none larger
    assert (trials.more_params, trials.more_tokens) == (0, 1)
    assert trials.ratios == (5.0, 100.0)
    assert trials.outside == 0.5  # D/N of 20 lies among them, 900 does not
    assert trials.shared.value == pytest.approx(K)
    assert trials.shared.cost(2.0) == pytest.approx(K * np.log(2.0) ** 2)
    assert [round(c.ratios[0]) for c in trials.by_ratio] == [5, 10, 100]


def test_its_error_is_that_of_a_regression_with_a_line_for_each_cell() -> None:
    from statsmodels.regression.linear_model import OLS

    runs, losses, left_out = sweep(CELLS, (0.5, 0.7, 1.0, 1.4, 2.0), noise=0.002)
    trials = RateTrials.of(runs, losses, left_out)
    assert trials is not None
    tried = runs.filter(role="tuning").join(left_out, left_on="run", right_on="item")
    x = np.log(tried["lr_peak"].to_numpy())
    cell = np.repeat(np.eye(3), 5, axis=0)
    lines = np.column_stack([cell, cell * x[:, None]])
    oracle = OLS(tried["loss"].to_numpy(), np.column_stack([lines, x**2])).fit()
    assert trials.shared.value == pytest.approx(oracle.params[-1])
    assert trials.shared.error == pytest.approx(oracle.bse[-1])
    free = OLS(tried["loss"].to_numpy(), np.column_stack([lines, cell * x[:, None] ** 2])).fit()
    _, p_value, _ = free.compare_f_test(oracle)
    assert trials.unequal_p == pytest.approx(p_value)


def test_a_cost_that_hangs_on_the_ratio_is_noticed() -> None:
    cells = [(1e6, 5e6), (4e6, 2e7), (1e6, 3e8), (2e6, 6e8)]
    unequal = sweep(cells, noise=0.001, curvature={5.0: 0.04, 300.0: 0.01})
    trials = RateTrials.of(*unequal)
    assert trials is not None
    assert trials.unequal_p is not None
    assert trials.unequal_p < 1e-4
    steep, flat = trials.by_ratio
    assert steep.value == pytest.approx(0.04, abs=0.002)
    assert flat.value == pytest.approx(0.01, abs=0.002)
    equal = RateTrials.of(*sweep(cells, noise=0.001))
    assert equal is not None
    assert equal.unequal_p is not None
    assert equal.unequal_p > 0.05


def test_a_rate_at_which_runs_diverge_is_no_part_of_the_parabola() -> None:
    runs, losses, left_out = sweep(CELLS, (0.5, 1.0, 2.0, 32.0))
    spoilt = left_out.with_columns(
        loss=pl.when(pl.int_range(pl.len()) % 4 == 3).then(9.0).otherwise("loss")
    )
    trials = RateTrials.of(runs, losses, spoilt)
    assert trials is not None
    assert trials.shared.value == pytest.approx(K)


def test_a_fitted_run_of_the_cell_is_one_of_its_rates() -> None:
    two = sweep(CELLS[:1], (0.5, 2.0), fitted=())
    assert RateTrials.of(*two) is None
    with_fitted = sweep(CELLS[:1], (0.5, 2.0), fitted=(CELLS[0],))
    trials = RateTrials.of(*with_fitted)
    assert trials is not None
    assert (trials.runs, trials.at_lowest, trials.at_highest) == (3, (), ())


def test_a_check_run_of_the_cell_is_one_of_its_rates_too() -> None:
    runs, losses, left_out = sweep(CELLS[:1], (0.5, 2.0), fitted=(CELLS[0],))
    check = pl.when(pl.col("role") == "fit").then(pl.lit("check")).otherwise("role").alias("role")
    trials = RateTrials.of(runs.with_columns(check), losses.with_columns(check), left_out)
    assert trials is not None
    assert (trials.runs, trials.at_lowest, trials.at_highest) == (3, (), ())


def test_a_best_rate_at_an_end_of_its_grid_is_counted() -> None:
    trials = RateTrials.of(*sweep(CELLS, (1.0, 2.0, 4.0)))
    assert trials is not None
    assert trials.at_lowest == (5.0, 10.0, 100.0)
    assert trials.at_highest == ()
    upwards = RateTrials.of(*sweep(CELLS[:1], (0.25, 0.5, 1.0)))
    assert upwards is not None
    assert (upwards.at_lowest, upwards.at_highest) == ((), (10.0,))


def test_what_is_not_shown_is_not_known() -> None:
    noisy = RateTrials.of(*sweep(CELLS, (0.9, 1.0, 1.1), noise=0.05))
    assert noisy is not None
    assert noisy.shared.cost(2.0) is None
    # one grid of three rates has no degree of freedom
    alone = RateTrials.of(*sweep(CELLS[:1], (0.5, 1.0, 2.0)))
    assert alone is not None
    assert alone.shared.error is None
    assert alone.shared.cost(2.0) is None
    assert alone.unequal_p is None


def test_a_sweep_without_trials_has_none() -> None:
    assert RateTrials.of(*sweep([])) is None
    assert RateTrials.of(*sweep(CELLS, (1.0, 2.0))) is None


def test_trials_that_are_fitted_are_trials() -> None:
    """A sweep whose rates are all of role fit was told that no three had been tried."""
    runs, losses, left_out = sweep(CELLS)
    known = left_out.drop_nulls("loss").select(run="item", loss="loss")
    fitted = runs.with_columns(role=pl.lit("fit", dtype=runs["role"].dtype))
    finals = known.with_columns(is_final=pl.lit(value=True))
    trials = RateTrials.of(fitted, pl.concat([losses, finals], how="diagonal"), left_out.clear())
    expected = RateTrials.of(runs, losses, left_out)
    assert trials is not None
    assert expected is not None
    assert trials.shared == expected.shared
    assert (trials.runs, trials.cells) == (expected.runs, expected.cells)
