"""The specification curve: its grid, its headline rows, and what it finds in known laws."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest

from isoflop.approach import APPROACHES, Approach
from isoflop.approaches.estimators.registry import fit
from isoflop.approaches.fit_approach import fit_approach
from isoflop.approaches.fit_specifications import Specification, fit_specifications, specifications
from isoflop.config.approaches import ApproachesSettings
from isoflop.config.config_yaml import Config
from isoflop.config.reading import read_yaml
from isoflop.estimates.estimate import Estimate, Provenance
from tests.approaches.conftest import BUDGETS, LAW, as_table
from tests.conftest import ROOT
from tests.simulate import isoflop_design, simulate

if TYPE_CHECKING:
    import dataframely as dy

    from isoflop.tables import Losses

PROVENANCE = Provenance(inputs={}, version="test", git_revision=None)
SMALL = {
    "draws": 20,
    "loss": ["eval"],
    "counting": [{"params": "total", "flops": "6nd"}, {"params": "nonembedding", "flops": "6nd"}],
    "profiles": {"curve": ["parabola", "akima"], "window": [None, 5], "weights": []},
    "parametric": {"huber_delta": [1e-3, 1e-2], "drop_highest": [0]},
}


def chosen(**changed: Any) -> ApproachesSettings:
    return ApproachesSettings.model_validate(
        {
            "bootstrap": {"draws": 20, "interval": "percentile"},
            "parametric": {"starts": "coarse"},
            "specifications": SMALL | changed,
        }
    )


@pytest.fixture(scope="module")
def found(losses: pl.DataFrame) -> pl.DataFrame:
    return fit_specifications(losses, losses.clear(), chosen(), sweep="simulated")


def plain(settings: ApproachesSettings, **own: str) -> list[Specification]:
    return specifications(settings, **({"loss": "eval"} | own))


def test_the_shipped_grid_is_a_product_of_choices_without_repeats() -> None:
    settings = read_yaml(ROOT / "config.yaml", Config).approaches
    every = plain(settings)
    assert len(every) >= 100
    assert len({(one.approach, *one.choices().values()) for one in every}) == len(every)
    grid, shared = settings.specifications.envelope, settings.specifications
    size = len(grid.frontier) * len(grid.edge) * len(grid.min_schedule_fraction)
    own = [one for one in every if one.approach == "envelope"]
    assert len(own) == size * len(shared.counting) * len(shared.loss)
    # only Huber's loss has deltas to choose from: four objectives, not six
    objectives = {
        (one.choices()["objective"], one.choices()["huber_delta"])
        for one in every
        if one.approach == "parametric"
    }
    assert objectives == {("huber", 1e-3), ("huber", 1e-2), ("mse", None), ("likelihood", None)}


def test_kaplans_frontier_under_his_counting_is_among_them() -> None:
    rows = [one.choices() for one in plain(ApproachesSettings()) if one.approach == "kaplan"]
    assert {"params": "nonembedding", "flops": "kaplan", "loss": "eval", "edge": "trim"} in rows


@pytest.mark.parametrize("loss", ["eval", "train"])
def test_every_approach_has_one_headline_whatever_the_grid(loss: str) -> None:
    settings = ApproachesSettings.model_validate(
        {
            "counting": {"params": "with_head", "flops": "6nd"},
            "profiles": {"window": 7},
            "specifications": SMALL | {"loss": ["eval"]},
        }
    )
    own = [one for one in plain(settings, loss=loss) if one.headline]
    assert [one.approach for one in own] == list(APPROACHES)
    assert {one.loss for one in own} == {loss}
    assert own[1].choices()["window"] == "7"
    assert own[1].settings == settings
    assert own[1].counting.params == "with_head"


def test_a_changed_grid_changes_the_specifications() -> None:
    base = plain(chosen())
    wider = plain(chosen(envelope={"frontier": ["grid"], "min_schedule_fraction": [0.0, 0.5, 0.9]}))
    count = [sum(one.approach == "envelope" for one in every) for every in (base, wider)]
    assert count == [2 * 2 * 3 * 2, 2 * 2 * 3]
    fixed = plain(chosen(envelope={"frontier": [], "edge": [], "min_schedule_fraction": []}))
    assert sum(one.approach == "envelope" for one in fixed) == 2


@pytest.mark.parametrize("approach", APPROACHES)
def test_the_headline_is_the_estimate(
    approach: Approach, losses: dy.DataFrame[Losses], found: pl.DataFrame
) -> None:
    settings = chosen()
    outcome, _ = fit_approach(losses, approach, settings, sweep="s", provenance=PROVENANCE)
    assert isinstance(outcome, Estimate)
    (row,) = found.filter("headline", approach=approach).iter_rows(named=True)
    # the specifications' starts are coarse: the same optimum, to the solver's tolerance
    exact = 1e-6 if approach == "parametric" else 1e-12
    assert row["a"] == pytest.approx(outcome.a.value, rel=exact)
    assert row["b"] == pytest.approx(outcome.b.value, rel=exact)
    assert row["budget"] == max(BUDGETS)
    best = float(outcome.params_opt(row["budget"]))
    assert row["params_opt"] == pytest.approx(best, rel=10 * exact)
    assert (row["n_runs"], row["n_points"]) == (outcome.n_runs, outcome.n_points)


def test_the_intervals_are_percentiles_of_the_same_resamples(
    losses: pl.DataFrame, found: pl.DataFrame
) -> None:
    _, draws = fit_approach(losses, "profiles", chosen(), sweep="s", provenance=PROVENANCE)
    expected = np.quantile(
        draws.filter(pl.col("simulation").is_null())["a"].to_numpy(), [0.025, 0.1, 0.9, 0.975]
    )
    (row,) = found.filter("headline", approach="profiles").iter_rows(named=True)
    ends = [row[name] for name in ("a_lo95", "a_lo80", "a_hi80", "a_hi95")]
    assert ends == pytest.approx(expected)
    assert (row["draws"], row["draws_refused"]) == (SMALL["draws"], 0)


def test_a_shared_fit_is_each_countings_own(losses: pl.DataFrame) -> None:
    # C enters Approach 3 at its optimum alone, so countings of C share a fit; their optima differ
    mixed = losses.with_columns(flops_kaplan=pl.col("params_total") ** 1.2 * pl.col("tokens"))
    countings = [{"params": "total", "flops": "6nd"}, {"params": "total", "flops": "kaplan"}]
    settings = chosen(counting=countings, parametric={"objective": ["huber"]})
    table = fit_specifications(mixed, mixed.clear(), settings, sweep="simulated")
    rows = table.filter(approach="parametric", huber_delta=1e-3, drop_highest=0)
    assert rows["flops"].to_list() == ["6nd", "kaplan"]
    other = ApproachesSettings.model_validate(
        {"counting": countings[1], "parametric": {"objective": "huber", "starts": "coarse"}}
    )
    own = fit(mixed, "parametric", other)
    assert rows["a"][1] == pytest.approx(own.exponents(own.parameters[None])[0][0])
    assert abs(rows["a"][1] - rows["a"][0]) > 0.01


def test_where_choices_change_nothing_every_a_is_the_laws() -> None:
    design = isoflop_design(LAW, BUDGETS, sizes=9, spread=4.0, points=40)
    sweep = simulate(LAW, design, noise=2e-4, rng=np.random.default_rng(1))
    # every counting is the same up to a factor, both losses are the same, and no schedule lags
    losses = as_table(sweep)
    other = losses.with_columns(loss_source=pl.lit("train").cast(losses["loss_source"].dtype))
    settings = ApproachesSettings.model_validate(
        {
            "specifications": {
                "draws": 0,
                "counting": [
                    {"params": "total", "flops": "6nd"},
                    {"params": "nonembedding", "flops": "kaplan"},
                    {"params": "with_head", "flops": "6nd"},
                ],
                # whole curves of an envelope end flat at its smallest and its largest size
                "envelope": {"edge": ["trim"], "frontier": ["grid"], "min_schedule_fraction": [0]},
                "profiles": {"window": [None, 7]},
                "parametric": {"drop_highest": [0]},
                "kaplan": {"edge": ["trim"]},
            }
        }
    )
    table = fit_specifications(losses, other, settings, sweep="simulated")
    fitted = table.drop_nulls("a")
    assert set(fitted["loss"]) == {"eval", "train"}
    assert set(fitted["approach"]) == set(APPROACHES)
    np.testing.assert_allclose(fitted["a"], LAW.a, atol=0.03)
    by_law = fitted.filter(approach="parametric")
    np.testing.assert_allclose(by_law["a"], LAW.a, atol=0.005)


def test_what_the_sweep_does_not_allow_is_a_row_with_its_reason(losses: pl.DataFrame) -> None:
    settings = chosen(
        loss=["eval", "train"],
        counting=[{"params": "total", "flops": "6nd"}, {"params": "total", "flops": "hoffmann"}],
    )
    few = losses.filter(pl.col("budget") < 5e17)
    table = fit_specifications(few, few.clear(), settings, sweep="simulated")
    assert table.height == len(plain(settings))
    assert (table["refused"].is_null() == table["a"].is_not_null()).all()
    for rows, words in (
        (table.filter(loss="train"), "enough train losses"),
        (table.filter(loss="eval", flops="hoffmann"), "flops_hoffmann"),
        (table.filter(loss="eval", flops="6nd", approach="profiles"), "needs 3 budgets"),
    ):
        assert rows.height > 0
        assert rows["refused"].str.contains(words).all()
        assert rows["a_lo95"].null_count() == rows.height
    assert table.filter(loss="eval", flops="6nd", approach="parametric")["a"].null_count() == 0


def test_a_sweep_without_losses_refuses_everything(losses: pl.DataFrame) -> None:
    table = fit_specifications(losses.clear(), losses.clear(), chosen(), sweep="empty")
    assert table.height == len(plain(chosen()))
    assert table["refused"].null_count() == 0


def test_without_draws_there_are_no_intervals(losses: pl.DataFrame) -> None:
    settings = chosen(draws=0, parametric={"objective": ["mse"]})
    table = fit_specifications(losses, losses.clear(), settings, sweep="simulated")
    fitted = table.drop_nulls("a")
    assert fitted.height > 0
    assert fitted["a_lo80"].null_count() == fitted.height


def test_an_interval_that_would_exclude_its_estimate_is_not_given(losses: pl.DataFrame) -> None:
    # two resamples seldom lie on both sides of the estimate from all runs
    table = fit_specifications(losses, losses.clear(), chosen(draws=2), sweep="simulated")
    fitted = table.filter(pl.col("refused").is_null())
    for level in ("80", "95"):
        given = fitted.drop_nulls([f"a_lo{level}", f"a_hi{level}"])
        assert 0 < given.height < fitted.height
        slack = 1e-9
        assert (given[f"a_lo{level}"] <= given["a"] + slack).all()
        assert (given["a"] <= given[f"a_hi{level}"] + slack).all()


@pytest.mark.parametrize("threads", [1, 3])
def test_threads_change_no_byte(losses: pl.DataFrame, found: pl.DataFrame, threads: int) -> None:
    again = fit_specifications(losses, losses.clear(), chosen(), sweep="simulated", threads=threads)
    assert again.equals(found)
