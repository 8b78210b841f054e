"""What every approach must do, whatever it fits."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from time import perf_counter
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from isoflop.approach import APPROACHES, Approach
from isoflop.approaches.estimators.registry import fit
from isoflop.approaches.fit_approach import fit_approach
from isoflop.approaches.protocol import Resamples
from isoflop.approaches.uncertainty.resampling import resample
from isoflop.cli import main
from isoflop.config.approaches import ApproachesSettings
from isoflop.estimates.allocation import allocate, optima_at
from isoflop.estimates.default_budgets import default_budgets
from isoflop.estimates.diagnostics import OBJECTIVES, ObjectiveKind
from isoflop.estimates.draws import Draws
from isoflop.estimates.estimate import (
    Estimate,
    Provenance,
    Refusal,
    read_draws,
    read_estimate,
    read_estimates,
    write_estimate,
)
from isoflop.estimates.levels import NoLevel
from isoflop.estimates.targets import Target
from isoflop.reference import read_published_laws
from isoflop.tables import Losses, write_table
from tests.conftest import ROOT
from tests.simulate import isoflop_design, simulate
from tests.tiers import times

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from isoflop.approaches.observations import Observations
    from isoflop.approaches.protocol import Fit
    from isoflop.estimates.quantities import Quantity
    from isoflop.laws import ChinchillaLaw

    Plain = Callable[[Approach], tuple[Estimate, pl.DataFrame]]

REFERENCE = ROOT / "data" / "reference"
PROVENANCE = Provenance(inputs={}, version="test", git_revision=None)
SETTINGS = ApproachesSettings.model_validate(
    {
        "bootstrap": {"draws": 40, "seed": 3, "interval": "percentile"},
        "parametric": {"starts": "coarse"},
    }
)
EVERY = pytest.mark.parametrize("approach", APPROACHES)


def estimate(
    losses: pl.DataFrame | Observations,
    approach: Approach,
    chosen: ApproachesSettings = SETTINGS,
    **options: Any,
) -> tuple[Estimate, pl.DataFrame]:
    outcome, draws = fit_approach(
        losses, approach, chosen, sweep="s", provenance=PROVENANCE, **options
    )
    assert isinstance(outcome, Estimate)
    return outcome, draws


@pytest.fixture(scope="module")
def plain(losses: pl.DataFrame) -> Plain:
    """Estimate from the room's sweep as it is, once an approach: many tests compare with that."""
    return cache(lambda approach: estimate(losses, approach))


@EVERY
def test_refitting_all_runs_gives_the_fit(approach: Approach, losses: pl.DataFrame) -> None:
    fitted = fit(losses, approach, SETTINGS)
    again = fitted.refit(Resamples(np.ones((2, fitted.observations.n_runs))))
    assert again.refusals.tolist() == ["", ""]
    np.testing.assert_allclose(again.parameters[1], fitted.parameters, rtol=1e-7)


@EVERY
def test_the_account_names_what_is_minimised(approach: Approach, losses: pl.DataFrame) -> None:
    told = {
        "envelope": "least squares of log N on log C",
        "profiles": "least squares, a parabola per budget",
        "parametric": SETTINGS.parametric.objective,
        "kaplan": "least squares of log L(N, D)",
    }
    account = fit(losses, approach, SETTINGS).diagnostics().account
    assert account.objective_kind == told[approach]
    assert OBJECTIVES.keys() == {*get_args(ObjectiveKind)}


@pytest.mark.parametrize(
    ("approach", "curve"), [*((each, "parabola") for each in APPROACHES), ("profiles", "akima")]
)
def test_seeds_whose_n_differ_by_a_millionth_are_of_one_size(
    approach: Approach, curve: str, losses: pl.DataFrame
) -> None:
    """A window of 7 sizes had 21, and budgets of 3 sizes passed for 9: N* changed by both."""
    settings = SETTINGS.model_copy(
        update={"profiles": SETTINGS.profiles.model_copy(update={"curve": curve})}
    )

    def repeated(apart: float) -> Fit:
        scaled = pl.col("^(params|flops)_.*$").cast(pl.Float64) * (1.0 + apart)
        other = losses.with_columns(
            scaled.cast(losses["params_total"].dtype),
            run=pl.col("run") + "-s1",
            loss=pl.col("loss") * 1.002,
        )
        return fit(pl.concat([losses, other]), approach, settings)

    equal, apart = repeated(0.0), repeated(1e-6)
    exponents = [each.exponents(each.parameters[None])[0] for each in (equal, apart)]
    assert exponents[1] == pytest.approx(exponents[0], rel=1e-4)
    exact, near = (each.diagnostics().model_dump() for each in (equal, apart))
    counts = {name for name, value in exact.items() if isinstance(value, int)}
    assert {name: near[name] for name in counts} == {name: exact[name] for name in counts}


@EVERY
def test_exponents_of_a_known_law_are_recovered(approach: Approach, law: ChinchillaLaw) -> None:
    design = isoflop_design(law, np.geomspace(1e17, 1e20, 7), sizes=61, spread=2.0, points=60)
    noiseless = simulate(law, design, noise=0.0, rng=np.random.default_rng(0))
    fitted = fit(noiseless, approach, SETTINGS)
    a, b = fitted.exponents(fitted.parameters[None])
    # a parabola through an asymmetric valley is off by a little; the others have no such bias
    tolerance = {"envelope": 0.004, "profiles": 0.004, "parametric": 1e-6, "kaplan": 0.004}
    assert a[0] == pytest.approx(law.a, abs=tolerance[approach])
    assert b[0] == pytest.approx(law.b, abs=tolerance[approach])
    optimum = fitted.optima(fitted.parameters[None], np.array([3e18]))
    assert optimum.params[0, 0] == pytest.approx(float(law.params_opt(3e18)), rel=0.03)
    assert optimum.tokens[0, 0] == pytest.approx(float(law.tokens_opt(3e18)), rel=0.03)
    # without a floor, a power law of the loss bends away from the law over three decades
    near = 1e-6 if approach == "parametric" else 0.03
    assert optimum.loss[0, 0] == pytest.approx(float(law.loss_opt(3e18)), rel=near)


@EVERY
@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=times(5))
def test_row_order_does_not_matter(
    approach: Approach, losses: pl.DataFrame, plain: Plain, seed: int
) -> None:
    shuffled = losses.sample(fraction=1.0, shuffle=True, seed=seed)
    first, first_draws = plain(approach)
    second, second_draws = estimate(shuffled, approach)
    assert first == second
    assert first_draws.equals(second_draws)


@EVERY
@given(factor=st.floats(1e-6, 1e6))
@settings(max_examples=times(8))
def test_the_unit_of_params_scales_the_optimum(
    approach: Approach, sweep: Observations, factor: float
) -> None:
    rescaled = replace(sweep, params=factor * sweep.params, run_params=factor * sweep.run_params)
    here, there = (fit(own, approach, SETTINGS) for own in (sweep, rescaled))
    flops = np.array([1e18, 1e21])
    optima = here.optima(here.parameters[None], flops)
    moved = there.optima(there.parameters[None], flops)
    np.testing.assert_allclose(moved.params, factor * optima.params, rtol=1e-6)
    np.testing.assert_allclose(moved.tokens, optima.tokens, rtol=1e-6)
    np.testing.assert_allclose(
        there.exponents(there.parameters[None]), here.exponents(here.parameters[None]), rtol=1e-7
    )


@EVERY
def test_threads_change_no_byte(approach: Approach, losses: pl.DataFrame) -> None:
    chosen = SETTINGS.model_copy(
        update={"bootstrap": SETTINGS.bootstrap.model_copy(update={"draws": 1500})}
    )
    one, one_draws = estimate(losses, approach, chosen, threads=1)
    two, two_draws = estimate(losses, approach, chosen, threads=3)
    assert one.model_dump_json() == two.model_dump_json()
    assert one_draws.equals(two_draws)


@EVERY
def test_more_draws_leave_the_first_ones_alone(approach: Approach, sweep: Observations) -> None:
    fitted = fit(sweep, approach, SETTINGS)
    few = fitted.refit(resample(fitted, SETTINGS.bootstrap.model_copy(update={"draws": 7})))
    many = fitted.refit(resample(fitted, SETTINGS.bootstrap.model_copy(update={"draws": 300})))
    np.testing.assert_array_equal(few.parameters, many.parameters[:7])


@EVERY
def test_draws_vary_and_intervals_come_from_them(approach: Approach, plain: Plain) -> None:
    found, draws = plain(approach)
    assert draws["draw"].to_list() == list(range(40))
    assert draws["simulation"].null_count() == 40
    kept = draws.filter(pl.col("refused").is_null())
    assert found.bootstrap.refused == 40 - len(kept)
    for name, quantity in {"a": found.a, "b": found.b, **found.parameters}.items():
        assert kept[name].n_unique() > 10
        low, high = quantity.intervals["0.8"]
        assert (low, high) == pytest.approx(tuple(np.quantile(kept[name], [0.1, 0.9])))
    assert [o.flops for o in found.optima] == [*default_budgets(found.flops_range[1])]
    assert [o.decades_beyond_data for o in found.optima] == pytest.approx([0, 1, 2], abs=0.05)
    rows = found.rows(Draws.of(kept))
    for optimum in found.optima:
        drawn = found.law.optima(rows, np.array([optimum.flops]))
        expected = np.quantile(drawn.params[:, 0], [0.025, 0.975])
        assert optimum.params.intervals["0.95"] == pytest.approx(tuple(expected))
        ratio = np.quantile(drawn.tokens[:, 0] / drawn.params[:, 0], [0.025, 0.975])
        assert optimum.tokens_per_param.intervals["0.95"] == pytest.approx(tuple(ratio))


def contains_its_value(quantity: Quantity) -> bool:
    """No number stands beside an interval that excludes it; one that no level serves has none."""
    slack = 1e-9 * abs(quantity.value)
    for level, found in quantity.levels.items():
        if isinstance(found, NoLevel) and level in quantity.intervals:
            return False
    return all(
        low - slack <= quantity.value <= high + slack for low, high in quantity.intervals.values()
    )


@EVERY
def test_optima_at_any_budget_come_from_the_kept_draws(
    approach: Approach, losses: pl.DataFrame, tmp_path: Path
) -> None:
    """What the file of draws gives later is what the fit gave, calibration included."""
    settings = SETTINGS.model_copy(
        update={
            "bootstrap": SETTINGS.bootstrap.model_copy(
                update={"interval": "calibrated", "simulations": 50, "simulation_draws": 40}
            ),
            # the truths that sweeps are simulated from: one with a sum of terms, one without
            "mixture": SETTINGS.mixture.model_copy(update={"laws": ("parametric", "product")}),
        }
    )
    found, draws = estimate(losses, approach, settings)
    write_estimate(found, tmp_path / f"{approach}.json")
    draws.write_parquet(tmp_path / f"{approach}.draws.parquet")
    read = read_estimates(tmp_path, (approach,))[approach]
    assert read == found
    kept = read_draws(tmp_path, (approach,))[approach]
    again = optima_at(found, kept, [optimum.flops for optimum in found.optima])
    assert again == found.optima
    assert found.optima[0].params.simulated
    # what none of the laws in question reaches was checked by none, and has no interval
    unreached = allocate(found, kept, Target("loss", 2e-3))
    assert unreached is None or not unreached.params.intervals
    back = allocate(found, kept, Target("params", found.optima[1].params.value))
    assert back is not None
    given = [
        *(found.a, found.b, *found.parameters.values(), back.flops, back.tokens),
        *(one for o in found.optima for one in (o.params, o.tokens, o.tokens_per_param, o.loss)),
    ]
    for quantity in given:
        assert quantity is None or contains_its_value(quantity)
    inside, low = optima_at(found, kept, [found.flops_range[1] / 2, found.flops_range[0] / 10])
    assert inside.decades_beyond_data <= 0.0
    assert low.decades_beyond_data == pytest.approx(1.0)
    start = perf_counter()
    optima_at(found, kept, [1e22])
    assert perf_counter() - start < 1.0


@EVERY
@pytest.mark.parametrize("keep", ["one run", "two points"])
def test_too_few_runs_are_refused_in_words(
    approach: Approach, losses: pl.DataFrame, keep: str
) -> None:
    first = losses["run"].unique().sort()
    few = losses.filter(pl.col("run") == first[0])
    if keep == "two points":
        few = losses.filter(pl.col("run").is_in(first[:2].implode()), "is_final")
    outcome, draws = fit_approach(few, approach, SETTINGS, sweep="s", provenance=PROVENANCE)
    assert isinstance(outcome, Refusal)
    assert approach in outcome.refused
    assert "simulated" in outcome.refused
    assert draws.columns == ["approach", "truth", "simulation", "draw", "refused"]


@EVERY
def test_a_missing_convention_names_runs_and_fix(approach: Approach, losses: pl.DataFrame) -> None:
    counting = {"params": "nonembedding", "flops": "kaplan"}
    chosen = ApproachesSettings.model_validate({"counting": counting, approach: {}})
    lacking = losses.with_columns(
        pl.when(pl.col("run") == "run03").then(None).otherwise("params_nonembedding")
    ).with_columns(
        pl.when(pl.col("run") == "run03")
        .then(None)
        .otherwise(pl.col("flops_kaplan"))
        .alias("params_nonembedding")
    )
    outcome, _ = fit_approach(lacking, approach, chosen, sweep="s", provenance=PROVENANCE)
    assert isinstance(outcome, Refusal)
    assert "run03" in outcome.refused
    assert "sweep.yaml" in outcome.refused


@EVERY
def test_check_points_are_never_fitted(
    approach: Approach, losses: pl.DataFrame, plain: Plain
) -> None:
    wild = losses.filter(pl.col("run") == "run00").with_columns(
        pl.lit("check").alias("role"),
        pl.lit("zz").alias("run"),
        (pl.col("loss") * 0.1).alias("loss"),
    )
    with_check, _ = estimate(pl.concat([losses, wild.cast(dict(losses.schema))]), approach)
    without, _ = plain(approach)
    assert with_check == without


@EVERY
def test_the_command_writes_what_the_function_returns(
    approach: Approach, losses: pl.DataFrame, tmp_path: Path
) -> None:
    write_table(losses, Losses, tmp_path / "losses.parquet")
    own = SETTINGS.model_dump(mode="json")
    chosen = {key: own[key] for key in ("counting", "bootstrap", approach)}
    arguments = {
        "--approach": approach,
        "--sweep": "s",
        "--losses": str(tmp_path / "losses.parquet"),
        "--settings": json.dumps(chosen),
        "--reference": str(REFERENCE),
        "--estimate": str(tmp_path / "out.json"),
        "--draws": str(tmp_path / "draws.parquet"),
    }
    words = ["fit-approach", *(word for pair in arguments.items() for word in pair)]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 0, done.output
    written = read_estimate(tmp_path / "out.json")
    expected, draws = estimate(losses, approach, published=read_published_laws(REFERENCE))
    assert isinstance(written, Estimate)
    assert written.model_copy(update={"provenance": PROVENANCE}) == expected
    assert list(written.provenance.inputs) == [str(tmp_path / "losses.parquet")]
    assert pl.read_parquet(tmp_path / "draws.parquet").equals(draws)
    assert written.settings.model_fields_set == {"counting", "bootstrap", approach}


def test_a_refusal_says_what_was_left_out_before(losses: pl.DataFrame) -> None:
    first = losses["run"].unique().sort()
    few = losses.filter(pl.col("run").is_in(first[:2].implode()), "is_final")
    reason = "finished, but its last loss is at {} % of its schedule"
    left_out = pl.DataFrame(
        {
            "sweep": ["s"] * 4,
            "stage": ["losses"] * 4,
            "item": ["r1", "r2", "r3", "kept"],
            "points": [1, 1, 40, 0],
            "reason": [reason.format(73.2), reason.format(81.5), "diverged", "a note"],
        }
    )
    outcome, _ = fit_approach(
        few, "parametric", SETTINGS, sweep="s", provenance=PROVENANCE, left_out=left_out
    )
    assert isinstance(outcome, Refusal)
    assert outcome.refused.endswith(
        "Before the fit 3 files or runs were left out, whole or in part: 2 such as r1: finished, "
        "but its last loss is at 73.2 % of its schedule; r3: diverged."
    )
    outcome, _ = fit_approach(
        few, "parametric", SETTINGS, sweep="s", provenance=PROVENANCE, left_out=left_out[2:]
    )
    assert isinstance(outcome, Refusal)
    told = "Before the fit 1 file or run was left out, whole or in part: r3: diverged."
    assert outcome.refused.endswith(told)
