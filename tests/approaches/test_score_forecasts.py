"""Forecasts of sweeps whose law is known, and of sweeps that leave theirs."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner

from isoflop.approach import FITTED
from isoflop.approaches import score_forecasts as module
from isoflop.approaches.estimators.kaplan import fit_kaplan
from isoflop.approaches.forecasts.predictions import Predictive, predict_losses
from isoflop.approaches.score_forecasts import score_forecasts
from isoflop.cli import main
from isoflop.config.approaches import ApproachesSettings
from isoflop.estimates.estimate import Provenance
from isoflop.estimates.forecasts import Forecasts, NoForecasts, read_forecasts
from isoflop.files import json_text
from isoflop.laws import KaplanLaw
from isoflop.tables import Losses, write_table
from tests.approaches.conftest import BUDGETS, LAW, as_table
from tests.simulate import isoflop_design, simulate

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from isoflop.approaches.observations import Observations
    from isoflop.estimates.forecasts import Score

PROVENANCE = Provenance(inputs={}, version="test", git_revision=None)
NOISE = 0.004
SWEEPS = 24
PARAMETRIC = ("parametric",)
"""Where a test asks for no more: each approach is fitted by itself."""
EXTRA = (("low", "fit", 5.0), ("high", "fit", 20.0), ("zz", "check", 500.0))
"""Name, role and tokens, over those of a run of the lowest budget, of runs without a budget."""


def settings(draws: int, min_budgets: int = 3) -> ApproachesSettings:
    return ApproachesSettings.model_validate(
        {
            "forecast": {"draws": draws, "min_budgets": min_budgets},
            # the 4,500 starts are tests/approaches/estimators/test_parametric.py's
            "parametric": {"starts": "coarse"},
        }
    )


def forecasts(
    losses: pl.DataFrame,
    *,
    draws: int = 40,
    min_budgets: int = 3,
    threads: int | None = 1,
    approaches: Sequence[str] = FITTED,
) -> Forecasts:
    chosen = settings(draws, min_budgets)
    found = score_forecasts(
        losses, chosen, sweep="s", provenance=PROVENANCE, approaches=approaches, threads=threads
    )
    assert isinstance(found, Forecasts), found
    return found


def simulated(seed: int, *, noise: float = NOISE, points: int = 1) -> Observations:
    design = isoflop_design(LAW, BUDGETS, sizes=7, spread=4.0, points=points)
    return simulate(LAW, design, noise=noise, rng=np.random.default_rng([11, seed]))


def scores(found: Forecasts, approach: str, quantity: str) -> list[Score]:
    """Give one score per cut."""
    every = [
        f.score(quantity) for cut in found.cuts for f in cut.forecasts if f.approach == approach
    ]
    assert None not in every
    return every  # type: ignore[return-value]


@pytest.fixture(scope="module")
def one(losses: pl.DataFrame) -> Forecasts:
    """Give the forecasts of the room's sweep."""
    return forecasts(losses)


@pytest.fixture(scope="module")
def many() -> list[Forecasts]:
    """Give the forecasts of a few dozen sweeps of the law; ends of runs and one cut, for speed."""
    return [
        forecasts(
            as_table(simulated(seed)),
            draws=100,
            min_budgets=4,
            approaches=("profiles", "parametric"),
        )
        for seed in range(SWEEPS)
    ]


def test_intervals_of_losses_cover_their_share(many: list[Forecasts]) -> None:
    for level, tolerance in (("0.8", 0.1), ("0.95", 0.06)):
        shares = [s.inside[level] for sweep in many for s in scores(sweep, "parametric", "loss")]
        assert np.mean(shares) == pytest.approx(float(level), abs=tolerance)
    # all of one sweep's errors hang together, so most sweeps, and not all, pass
    held = [s.covers for sweep in many for s in scores(sweep, "parametric", "loss")]
    assert np.mean(held) > 0.85


def test_errors_of_the_right_law_are_centred(many: list[Forecasts]) -> None:
    found = [scores(sweep, "parametric", "loss")[-1] for sweep in many]
    bias = np.array([score.bias for score in found])
    assert abs(bias.mean()) < 3.0 * bias.std(ddof=1) / np.sqrt(len(bias))
    sees = [not low <= 0.0 <= high for s in found for low, high in [s.bias_intervals["0.95"]]]
    assert np.mean(sees) < 0.2


def test_intervals_of_sizes_cover_the_measured_minima(many: list[Forecasts]) -> None:
    for approach in ("profiles", "parametric"):
        found = [s for sweep in many for s in scores(sweep, approach, "params_opt")]
        assert np.mean([s.inside["0.8"] for s in found]) == pytest.approx(0.8, abs=0.15)
        assert abs(np.mean([s.bias for s in found])) < 0.02


def bent(losses: pl.DataFrame, *, above: float, share: float) -> pl.DataFrame:
    """Lower the losses beyond a compute by a share per decade."""
    decades = (pl.col("flops_6nd") / above).log(10).clip(lower_bound=0.0)
    return losses.with_columns(pl.col("loss") * (1.0 - share * decades))


def test_a_law_that_bends_is_caught(losses: pl.DataFrame) -> None:
    crooked = bent(losses, above=1.05e18, share=0.05)
    straight, found = (
        scores(forecasts(table, draws=100, approaches=PARAMETRIC), "parametric", "loss")[0]
        for table in (losses, crooked)
    )
    assert straight.bias_intervals["0.95"][0] < 0.0 < straight.bias_intervals["0.95"][1]
    assert straight.covers
    assert found.bias_intervals["0.95"][0] > 0.0
    assert found.rms > 2.0 * straight.rms
    assert not found.covers


def test_seeds_of_one_run_are_one_measurement(losses: pl.DataFrame) -> None:
    """Nine more seeds of one place outside its interval must not make nine more misses."""
    kept = forecasts(losses, draws=100, min_budgets=4, approaches=PARAMETRIC)
    (before,) = scores(kept, "parametric", "loss")
    far = next(p for p in before.predictions if p.flops > 1.05 * BUDGETS[-2])
    rows = losses.filter("is_final", run=far.run)
    seeds = [
        rows.with_columns(
            run=pl.lit(f"{far.run}-more{seed}"), role=pl.lit("check"), loss=pl.col("loss") + 0.3
        ).cast(dict(losses.schema))
        for seed in range(9)
    ]
    more = forecasts(pl.concat([losses, *seeds]), draws=100, min_budgets=4, approaches=PARAMETRIC)
    (after,) = scores(more, "parametric", "loss")
    assert after.n == before.n
    assert more.cuts[0].n_runs_above == kept.cuts[0].n_runs_above + 9
    there = {p.run: p for p in after.predictions}
    for p in before.predictions:
        assert there[p.run].predicted == p.predicted
        assert there[p.run].runs == (10 if p.run == far.run else 1)
    moved = there[far.run]
    assert moved.measured == pytest.approx(far.measured + 0.27)
    # of ten runs the noise is a third; the law's part of the interval stays
    width = np.subtract(*moved.intervals["0.8"][::-1]), np.subtract(*far.intervals["0.8"][::-1])
    assert width[0] < width[1]
    assert after.inside["0.8"] >= before.inside["0.8"] - 1.0 / before.n
    (mixture,) = (cut.mixture for cut in more.cuts)
    assert mixture is None or mixture.score.n == before.n
    # trials of another rate are no seeds of it
    tried = pl.concat([losses, *(seed.with_columns(lr_peak=pl.lit(4e-3)) for seed in seeds)])
    known = tried.with_columns(lr_peak=pl.col("lr_peak").fill_null(1e-3))
    apart = forecasts(known, draws=100, min_budgets=4, approaches=PARAMETRIC)
    assert sorted(p.runs for p in scores(apart, "parametric", "loss")[0].predictions)[-2:] == [1, 9]


def test_a_law_without_noise_is_predicted() -> None:
    exact = as_table(simulated(0, noise=0.0))
    found = forecasts(exact, draws=5, min_budgets=4, approaches=PARAMETRIC)
    score = scores(found, "parametric", "loss")[0]
    assert score.rms < 1e-5
    assert score.width["0.95"] < 1e-4


@pytest.mark.parametrize("change", ["level", "drop curves"])
def test_nothing_above_the_cut_is_seen(losses: pl.DataFrame, one: Forecasts, change: str) -> None:
    finals = losses.filter("is_final", pl.col("flops_6nd") > 1.05 * BUDGETS[-2])["run"]
    above = pl.col("run").is_in(finals.implode())
    if change == "level":
        other = losses.with_columns(pl.col("loss") * pl.when(above).then(1.3).otherwise(1.0))
    else:
        other = losses.filter(~above | pl.col("is_final"))
    (there,) = forecasts(other, min_budgets=4).cuts
    here = one.cuts[-1]
    assert here.flops == there.flops == BUDGETS[-2]
    assert [forecast.refused for forecast in here.forecasts] == [None] * len(FITTED)
    changed = 0
    for before, after in zip(here.forecasts, there.forecasts, strict=True):
        for mine, theirs in zip(before.scores, after.scores, strict=True):
            for p, q in zip(mine.predictions, theirs.predictions, strict=True):
                assert (p.run, p.flops, p.predicted, p.intervals) == (
                    q.run, q.flops, q.predicted, q.intervals,
                )  # fmt: skip
                changed += p.measured != q.measured
    assert (changed > 0) == (change == "level")


def test_runs_are_parted_by_their_final_compute(sweep: Observations) -> None:
    """Runs of no budget count too, and a check run is predicted."""
    table = as_table(sweep)
    first = table.filter(pl.col("run") == "run00")
    extra = [
        first.with_columns(
            pl.lit(name).alias("run"),
            pl.lit(role, dtype=table["role"].dtype).alias("role"),
            pl.lit(None, dtype=pl.Float64).alias("budget"),
            pl.col("tokens", "flops_6nd", "flops_kaplan") * factor,
        )
        for name, role, factor in (
            ("low", "fit", 5.0),
            ("high", "fit", 20.0),
            ("zz", "check", 500.0),
        )
    ]
    cut = forecasts(pl.concat([table, *extra]), approaches=PARAMETRIC).cuts[0]
    assert cut.budgets_below == pytest.approx(BUDGETS[:3])
    assert (cut.n_runs_below, cut.n_runs_above) == (22, 16)
    score = next(f for f in cut.forecasts if f.approach == "parametric").score("loss")
    assert score is not None
    by_run = {p.run: p for p in score.predictions}
    assert "low" not in by_run
    assert (by_run["high"].role, by_run["zz"].role) == ("fit", "check")
    assert by_run["zz"].decades == pytest.approx(np.log10(500.0 * 1e17 / 1e18), abs=1e-6)


def test_budgets_that_end_short_of_their_plan_stay_on_their_side(losses: pl.DataFrame) -> None:
    short = losses.with_columns(pl.col("tokens") * 0.97, pl.col("flops_6nd") * 0.97)
    for cut, n in zip(forecasts(short, approaches=("profiles",)).cuts, (2, 1), strict=True):
        score = next(f for f in cut.forecasts if f.approach == "profiles").score("params_opt")
        assert score is not None
        assert score.n == n


def test_kaplans_law_is_evaluated_as_the_paper_writes_it(sweep: Observations) -> None:
    fitted = fit_kaplan(sweep, settings(40).kaplan)
    targets = sweep.at(sweep.is_final)
    found = predict_losses(
        fitted, fitted.parameters[None], np.zeros(1, dtype=np.intp), targets, seed=0
    )
    own = dict(zip(fitted.names, fitted.parameters, strict=True))
    law = KaplanLaw(*(float(own[name]) for name in ("N_c", "D_c", "alpha_N", "alpha_D")))
    np.testing.assert_allclose(found.value, law.loss(targets.params, targets.tokens))
    np.testing.assert_allclose(np.log(found.value), fitted.fitted[sweep.is_final], rtol=1e-6)


def test_noise_of_a_run_is_pooled_over_replicated_cells(
    losses: pl.DataFrame, one: Forecasts
) -> None:
    assert one.noise is None
    again = losses.filter(pl.col("run").is_in(["run00", "run08"])).with_columns(
        pl.col("run") + "b",
        pl.col("loss") + pl.when(pl.col("run") == "run00").then(0.02).otherwise(0.04),
    )
    found = forecasts(pl.concat([losses, again]), approaches=PARAMETRIC)
    noise = found.noise
    assert noise is not None
    # half the squared differences, one degree of freedom each
    assert noise.sd == pytest.approx(np.sqrt((0.02**2 + 0.04**2) / 4))
    assert (noise.cells, noise.freedom) == (2, 2)
    score = scores(found, "parametric", "loss")[0]
    assert score.rms_per_noise == pytest.approx(score.rms / noise.sd)


def test_three_budgets_are_refused_in_words(losses: pl.DataFrame) -> None:
    few = losses.filter(pl.col("budget") < 2e18)
    found = score_forecasts(few, settings(40), sweep="s", provenance=PROVENANCE)
    assert isinstance(found, NoForecasts)
    assert "needs 4 compute budgets" in found.refused
    assert "has 3 (1e+17, 3e+17, 1e+18)" in found.refused
    assert "1 more, best above 1e+18 FLOPs" in found.refused
    assert found.refused.endswith("or lower approaches.forecast.min_budgets to 2.")
    two = score_forecasts(
        losses.filter(pl.col("budget") < 6e17), settings(40), sweep="s", provenance=PROVENANCE
    )
    assert isinstance(two, NoForecasts)
    assert "approaches.forecast.min_budgets" not in two.refused


def test_nothing_to_fit_is_refused_in_words(losses: pl.DataFrame) -> None:
    none = losses.clear()
    found = score_forecasts(none, settings(40), sweep="s", provenance=PROVENANCE)
    assert isinstance(found, NoForecasts)
    assert "no run to fit" in found.refused


def test_an_approach_that_cannot_be_fitted_below_says_why() -> None:
    """Ends of runs alone have no envelope."""
    (cut,) = forecasts(as_table(simulated(0)), min_budgets=4).cuts
    refused = {f.approach: f.refused for f in cut.forecasts if f.refused}
    assert set(refused) == {"envelope", "kaplan"}
    assert all("training curves of" in reason for reason in refused.values())


def test_a_sweep_without_measured_minima_still_predicts_losses(losses: pl.DataFrame) -> None:
    """Where every budget has four sizes, there are no profiles."""
    sizes = losses["run"].unique().sort().gather_every(2)
    few = losses.filter(pl.col("run").is_in(sizes.implode()))
    for cut in forecasts(few, approaches=("envelope", "profiles", "parametric")).cuts:
        by_approach = {f.approach: f for f in cut.forecasts}
        assert [s.quantity for s in by_approach["parametric"].scores] == ["loss"]
        assert "needs 3 budgets" in str(by_approach["profiles"].refused)
        assert "measured minimum" in str(by_approach["envelope"].refused)


def test_neither_threads_nor_the_order_of_rows_change_a_byte(
    losses: pl.DataFrame, one: Forecasts
) -> None:
    # three threads part even few starts and draws into three blocks
    shuffled = losses.sample(fraction=1.0, shuffle=True, seed=5)
    (other,) = forecasts(shuffled, threads=3, min_budgets=4).cuts
    assert json_text(other.model_dump(mode="json")) == json_text(
        one.cuts[-1].model_dump(mode="json")
    )


def test_scores_follow_from_the_predictions_in_the_file(one: Forecasts) -> None:
    for score in scores(one, "parametric", "loss"):
        error = np.array([p.predicted - p.measured for p in score.predictions])
        low, high = np.array([p.intervals["0.8"] for p in score.predictions]).T
        measured = np.array([p.measured for p in score.predictions])
        assert score.n == len(error)
        assert score.bias == pytest.approx(error.mean())
        assert score.rms == pytest.approx(np.sqrt((error**2).mean()))
        assert score.inside["0.8"] == np.mean((low <= measured) & (measured <= high))
        outside = np.maximum(low - measured, 0) + np.maximum(measured - high, 0)
        assert score.interval_score["0.8"] == pytest.approx(np.mean(high - low + 10.0 * outside))


def test_the_command_writes_what_the_function_returns(
    losses: pl.DataFrame, one: Forecasts, tmp_path: Path
) -> None:
    write_table(losses, Losses, tmp_path / "losses.parquet")
    own = settings(40, min_budgets=4).model_dump(mode="json")
    arguments = {
        "--sweep": "s",
        "--losses": str(tmp_path / "losses.parquet"),
        "--settings": json.dumps(own),
        "--forecast": str(tmp_path / "forecast.json"),
    }
    words = ["score-forecasts", *(word for pair in arguments.items() for word in pair)]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 0, done.output
    written = read_forecasts(tmp_path / "forecast.json")
    assert list(written.provenance.inputs) == [str(tmp_path / "losses.parquet")]
    # one cut for speed; what a cut says does not depend on the others
    assert len(one.cuts) == 2
    expected = one.model_copy(
        update={
            "cuts": one.cuts[-1:],
            "settings": settings(40, min_budgets=4).only(*one.settings.model_fields_set),
        }
    )
    assert written.model_copy(update={"provenance": PROVENANCE}) == expected


def test_a_mixture_that_predicts_nothing_costs_its_forecast_alone(
    losses: pl.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a law of it predicts no loss above a cut, the other forecasts of the cut stay."""

    mixed = module.mixed_predictive

    def nothing(*arguments: Any, **options: Any) -> Predictive:
        predictive = mixed(*arguments, **options)
        return replace(predictive, draws=np.full_like(predictive.draws, np.nan))

    monkeypatch.setattr(module, "mixed_predictive", nothing)
    found = forecasts(losses, approaches=("parametric",))
    assert [cut.mixture for cut in found.cuts] == [None] * len(found.cuts)
    assert scores(found, "parametric", "loss")
