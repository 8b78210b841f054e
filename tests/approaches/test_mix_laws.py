"""The mixture of the laws: what must hold whatever the runs say."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner

from isoflop.approach import LAWS
from isoflop.approaches.fit_approach import fit_approach
from isoflop.approaches.mix_laws import mix_laws
from isoflop.approaches.score_forecasts import score_forecasts
from isoflop.cli import main
from isoflop.config.approaches import ApproachesSettings
from isoflop.estimates.allocation import optima_at
from isoflop.estimates.draws import TEXTS, Draws
from isoflop.estimates.estimate import Estimate, Provenance, Refusal, write_estimate
from isoflop.estimates.forecasts import Forecasts, NoForecasts, write_forecasts
from isoflop.estimates.mixture import Mixture, NoMixture, optima_of_mixture, read_mixture
from isoflop.estimates.recommendation import recommend, standing
from isoflop.numbers import UNSURE
from isoflop.tables import Losses, write_table

if TYPE_CHECKING:
    from pathlib import Path

PROVENANCE = Provenance(inputs={}, version="test", git_revision=None)
DRAWS = 80
BUDGETS = [3e18, 1e20, 5.76e23]


def settings(**mixture: object) -> ApproachesSettings:
    return ApproachesSettings.model_validate(
        {
            "bootstrap": {"draws": DRAWS, "interval": "percentile"},
            "parametric": {"starts": "coarse"},
            "forecast": {"draws": 40},
            "mixture": mixture,
        }
    )


@pytest.fixture(scope="module")
def fitted(
    losses: pl.DataFrame,
) -> tuple[dict[str, Estimate | Refusal], dict[str, pl.DataFrame], Forecasts]:
    """Give every law's estimate and draws of the room's sweep, and their forecasts."""
    found = {
        law: fit_approach(losses, law, settings(), sweep="s", provenance=PROVENANCE, threads=1)
        for law in LAWS
    }
    forecasts = score_forecasts(losses, settings(), sweep="s", provenance=PROVENANCE, threads=1)
    assert isinstance(forecasts, Forecasts)
    return (
        {law: estimate for law, (estimate, _) in found.items()},
        {law: Draws.of(draws) for law, (_, draws) in found.items()},
        forecasts,
    )


def mixed(fitted: tuple, **mixture: object) -> tuple[Mixture, pl.DataFrame]:
    found, draws = mix_laws(*fitted, settings(**mixture), sweep="s", provenance=PROVENANCE)
    assert isinstance(found, Mixture)
    return found, draws


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("weights", ["equal", "stacking"])
def test_a_mixture_of_one_law_is_that_law(fitted: tuple, law: str, weights: str) -> None:
    mixture, table = mixed(fitted, laws=[law], weights=weights)
    estimate, draws = fitted[0][law], fitted[1][law]
    assert mixture.a.value == pytest.approx(estimate.a.value, rel=1e-12)
    assert mixture.a.intervals == estimate.a.intervals
    for ours, theirs in zip(
        optima_of_mixture(mixture, Draws.of(table), BUDGETS),
        optima_at(estimate, draws, BUDGETS),
        strict=True,
    ):
        for name in ("params", "tokens", "tokens_per_param", "loss"):
            own, other = getattr(ours, name), getattr(theirs, name)
            assert own.value == pytest.approx(other.value, rel=1e-12)
            assert own.intervals == other.intervals
    assert {m.approach: m.weight for m in mixture.mixed} == {law: 1.0}
    assert [m.approach for m in mixture.members] == list(LAWS)


def test_runs_move_a_mixture_of_one_law_as_they_move_that_law(fitted: tuple) -> None:
    mixture, _ = mixed(fitted, laws=["nested"], weights="equal")
    law = fitted[0]["nested"].influence
    assert mixture.influence is not None
    assert mixture.influence.reason is None
    assert mixture.influence.flops == pytest.approx(law.flops)
    for ours, theirs in zip(mixture.influence.runs, law.runs, strict=True):
        assert ours.run == theirs.run
        for name in ("a", "log_params", "log_loss"):
            assert getattr(ours, name) == pytest.approx(getattr(theirs, name), abs=1e-12)
        assert ours.log_params_errors == pytest.approx(theirs.log_params_errors, rel=0.5, abs=0.1)
        assert ours.studentised is None


def test_without_a_run_a_mixture_is_about_that_of_the_other_runs(
    fitted: tuple, losses: pl.DataFrame
) -> None:
    """The jackknife fits nothing; here the laws are fitted without the run that moves it most."""
    laws = ["nested", "product"]
    chosen = settings(laws=laws, weights="equal")
    mixture, _ = mixed(fitted, laws=laws, weights="equal")
    assert mixture.influence is not None
    most = max(mixture.influence.runs, key=lambda run: abs(run.log_params_errors or 0.0))
    others = losses.filter(pl.col("run") != most.run)
    found = {
        law: fit_approach(others, law, chosen, sweep="s", provenance=PROVENANCE, threads=1)
        for law in laws
    }
    without, table = mix_laws(
        {**fitted[0], **{law: estimate for law, (estimate, _) in found.items()}},
        {**fitted[1], **{law: Draws.of(draws) for law, (_, draws) in found.items()}},
        fitted[2], chosen, sweep="s", provenance=PROVENANCE,
    )  # fmt: skip
    assert isinstance(without, Mixture)
    (before,) = optima_of_mixture(mixture, mixed_draws(fitted, laws), [mixture.influence.flops])
    (after,) = optima_of_mixture(without, Draws.of(table), [mixture.influence.flops])
    change = np.log(before.params.value / after.params.value)
    error = abs(most.log_params / most.log_params_errors)
    assert change == pytest.approx(most.log_params, abs=0.5 * error)
    assert np.sign(change) == np.sign(most.log_params)


def test_a_law_without_a_jackknife_leaves_the_mixture_without_one(fitted: tuple) -> None:
    estimates, draws, forecasts = fitted
    unknown = estimates["root"].influence.model_copy(update={"runs": [], "reason": "it has none"})
    changed = {**estimates, "root": estimates["root"].model_copy(update={"influence": unknown})}
    mixture, _ = mixed((changed, draws, forecasts), laws=["nested", "root"], weights="equal")
    assert mixture.influence is not None
    assert (mixture.influence.runs, mixture.influence.reason) == ([], "it has none")


def mixed_draws(fitted: tuple, laws: list[str]) -> Draws:
    return Draws.of(mixed(fitted, laws=laws, weights="equal")[1])


@pytest.mark.parametrize("weights", ["equal", "stacking"])
def test_weights_are_a_distribution_and_draws_follow_them(fitted: tuple, weights: str) -> None:
    mixture, table = mixed(fitted, weights=weights)
    assert mixture.weighting == weights
    assert sum(member.weight for member in mixture.members) == pytest.approx(1.0)
    assert table["draw"].is_unique().all()
    assert mixture.draws == table.height
    for member in mixture.mixed:
        share = (table["approach"] == member.approach).mean()
        assert share == pytest.approx(member.weight, abs=2 / DRAWS)
        own = table.filter(pl.col("approach") == member.approach)
        theirs, names = fitted[1][member.approach], ["draw", *member.parameters]
        theirs = theirs.where(np.isin(theirs.columns["draw"], own["draw"].to_numpy()))
        np.testing.assert_array_equal(own.select(names).to_numpy(), theirs.numbers(names))


def test_laws_that_the_runs_reject_take_no_part(fitted: tuple) -> None:
    estimates, draws, forecasts = fitted

    def rejected(law: str, p_value: float) -> Estimate:
        found = estimates[law].diagnostics
        joint = found.misfit.joint.model_copy(update={"p_value": p_value})
        misfit = found.misfit.model_copy(update={"joint": joint})
        return estimates[law].model_copy(
            update={"diagnostics": found.model_copy(update={"misfit": misfit})}
        )

    p_values = {"parametric": 1e-9, "nested": 0.5, "root": 0.001, "kaplan_law": 1e-4, "product": 1}
    judged = {law: rejected(law, p) for law, p in p_values.items()}
    mixture, table = mixed((judged, draws, forecasts))
    assert mixture.weighting == "unrejected"
    assert not standing(mixture, forecasts).rejected
    assert {m.approach: m.weight for m in mixture.mixed} == pytest.approx(
        dict.fromkeys(("nested", "root", "product"), 1 / 3)
    )
    assert set(table["approach"]) == {"nested", "root", "product"}
    out = {m.approach: m.left_out for m in mixture.members if m.weight == 0.0}
    assert out["parametric"] == "the runs reject its form (p = 1e-09)"
    # never one law alone: nothing would say how far laws lie apart
    judged = {law: rejected(law, 1e-5 if law != "root" else 1e-7) for law in p_values}
    judged["nested"] = rejected("nested", 0.2)
    judged["product"] = rejected("product", 1e-4)
    mixture, _ = mixed((judged, draws, forecasts))
    assert {m.approach for m in mixture.mixed} == {"nested", "product"}
    assert [member.approach for member in mixture.rejected] == ["product"]
    # its losses are marked like the law's own
    assert standing(mixture, forecasts).loss_mark == UNSURE
    assert mixture.reason.endswith(
        "The runs reject the form of the law with a product term (score test, p = 0.0001), "
        "which all the same has 50 % of the draws: an interval must know of the distance between "
        "two laws at least."
    )


def test_the_order_of_the_laws_changes_no_weight_and_only_which_draws_are_whose(
    fitted: tuple,
) -> None:
    here, _ = mixed(fitted, weights="stacking", laws=LAWS)
    there, _ = mixed(fitted, weights="stacking", laws=LAWS[::-1])
    for one, other in zip(here.optima, there.optima, strict=True):
        assert other.params.value == pytest.approx(one.params.value, rel=0.05)
    weights = {member.approach: member.weight for member in here.members}
    assert {m.approach: m.weight for m in there.members} == pytest.approx(weights, abs=1e-6)


def law_draws(fitted: tuple, law: str, flops: float) -> np.ndarray:
    estimate, draws = fitted[0][law], fitted[1][law]
    return estimate.law.optima(estimate.rows(draws), np.array([flops])).params[:, 0]


def test_an_allocation_costs_its_budget_and_lies_between_the_laws(fitted: tuple) -> None:
    mixture, table = mixed(fitted)
    for optimum in optima_of_mixture(mixture, Draws.of(table), BUDGETS):
        cost = 6.0 * optimum.params.value * optimum.tokens.value
        assert cost == pytest.approx(optimum.flops, rel=1e-9)
        for name in ("params", "tokens", "tokens_per_param", "loss"):
            quantity = getattr(optimum, name)
            for low, high in quantity.intervals.values():
                assert low <= quantity.value <= high
        each = [
            float(np.nanmedian(np.log(law_draws(fitted, law, optimum.flops))))
            for law in mixture.settings.mixture.laws
        ]
        assert min(each) <= np.log(optimum.params.value) <= max(each)


def test_weights_from_forecasts_need_two_cuts(fitted: tuple) -> None:
    estimates, draws, forecasts = fitted
    few = forecasts.model_copy(update={"cuts": forecasts.cuts[:1]})
    mixture, _ = mixed((estimates, draws, few), weights="stacking")
    assert mixture.weighting == "equal"
    assert "this sweep has 1" in mixture.reason
    none = NoForecasts(
        sweep="s", settings=ApproachesSettings(), refused="Two budgets only.", provenance=PROVENANCE
    )
    mixture, _ = mixed((estimates, draws, none), weights="stacking")
    assert mixture.weighting == "equal"
    assert "Two budgets only." in mixture.reason
    assert mixture.loss_doubt is not None
    assert "Two budgets only." in mixture.loss_doubt


def test_a_forecast_that_failed_marks_every_loss(fitted: tuple) -> None:
    estimates, draws, forecasts = fitted
    last = forecasts.cuts[-1].mixture
    assert last is not None
    nothing = last.score.model_copy(update={"inside": {"0.8": 0.0, "0.95": 0.0}})
    cut = forecasts.cuts[-1].model_copy(
        update={"mixture": last.model_copy(update={"score": nothing})}
    )
    failed = forecasts.model_copy(update={"cuts": [*forecasts.cuts[:-1], cut]})
    mixture, _ = mixed((estimates, draws, failed))
    assert mixture.loss_doubt is not None
    assert f"{cut.flops:.3g} FLOPs" in mixture.loss_doubt
    assert "though not" not in mixture.loss_doubt
    # the first screen judges by the highest cut: a doubt from a lower one says so
    kept = [cut, forecasts.cuts[-1].model_copy(update={"flops": 2.0 * cut.flops})]
    mixture, _ = mixed((estimates, draws, forecasts.model_copy(update={"cuts": kept})))
    assert mixture.loss_doubt is not None
    assert f"{cut.flops:.3g} FLOPs" in mixture.loss_doubt
    assert "would, though not fitted up to a higher cut" in mixture.loss_doubt


def test_a_law_that_was_refused_takes_no_part(fitted: tuple) -> None:
    estimates, draws, forecasts = fitted
    refusal = Refusal(
        approach="product",
        sweep="s",
        settings=ApproachesSettings(),
        refused="Too few runs.",
        provenance=PROVENANCE,
    )
    mixture, table = mixed((estimates | {"product": refusal}, draws, forecasts))
    (gone,) = (member for member in mixture.members if member.approach == "product")
    assert (gone.weight, gone.left_out, gone.law) == (0.0, "Too few runs.", None)
    assert sum(member.weight for member in mixture.members) == pytest.approx(1.0)
    assert "product" not in table["approach"].to_list()
    every = {law: refusal.model_copy(update={"approach": law}) for law in LAWS}
    found, empty = mix_laws(every, draws, forecasts, settings(), sweep="s", provenance=PROVENANCE)
    assert isinstance(found, NoMixture)
    assert "Too few runs." in found.refused
    assert empty.is_empty()


def test_the_law_that_is_left_where_the_others_are_open_is_no_mixture(fitted: tuple) -> None:
    """The product law alone made all of "the mixture", within reach: no law is above it."""
    estimates, draws, forecasts = fitted
    refusal = Refusal(
        approach="nested",
        sweep="s",
        settings=ApproachesSettings(),
        refused="The best size is open.",
        leaves_open=True,
        provenance=PROVENANCE,
    )
    asked = settings(laws=("parametric", "nested", "product"))
    # approach 3 is a special case of the nested law, whatever its resamples say
    left = {"nested": refusal, **{law: estimates[law] for law in ("parametric", "product")}}
    found, empty = mix_laws(left, draws, forecasts, asked, sweep="s", provenance=PROVENANCE)
    assert isinstance(found, NoMixture)
    assert found.leaves_open
    assert empty.is_empty()
    assert "the law with a product term alone keeps the best size within bounds" in found.refused
    assert found.refused.startswith(found.summary)
    assert found.summary.endswith("may be of that form.")
    assert (
        "The numbers of 3 Parametric come from the law’s form, not from the runs: it is a special "
        "case of the nested law, and the nested law was not fitted, for the reason given with its "
        "name. Nested law: The best size is open." in found.refused
    )
    shown = {law: estimates[law] for law in ("parametric", "product")}
    assert recommend(shown, forecasts, found) is None
    assert recommend(shown, forecasts, found.model_copy(update={"leaves_open": False})) is not None
    # too few runs for a law say nothing of the others
    few = refusal.model_copy(update={"leaves_open": False})
    kept, _ = mix_laws(
        left | {"nested": few}, draws, forecasts, asked, sweep="s", provenance=PROVENANCE
    )
    assert isinstance(kept, Mixture)
    # one law that was asked for alone is what was asked for
    alone, _ = mix_laws(
        left, draws, forecasts, settings(laws=("product",)), sweep="s", provenance=PROVENANCE
    )
    assert isinstance(alone, Mixture)


def test_a_mixture_whose_laws_lie_far_apart_within_the_data_is_none(fitted: tuple) -> None:
    estimates, draws, forecasts = fitted
    laws = ("parametric", "product")

    def apart(factor: float) -> Mixture | NoMixture:
        moved = {
            law: Draws({**draws[law].columns, "A": draws[law].columns["A"] * by})
            for law, by in zip(laws, (factor**-0.32, factor**0.32), strict=True)
        }
        found, _ = mix_laws(
            estimates, moved, forecasts, settings(laws=laws, weights="equal"), sweep="s",
            provenance=PROVENANCE,
        )  # fmt: skip
        return found

    assert isinstance(apart(4.0), Mixture)
    none = apart(20.0)
    assert isinstance(none, NoMixture)
    assert none.leaves_open
    assert re.search(
        r"the mixture of the laws does not determine the best size in sweep s: at .* FLOPs, the "
        r"\w+ (compute )?of the data, 80 % of the draws put it between .* where 9 is the most",
        none.refused,
    )


def test_the_command_writes_what_the_function_gives(
    fitted: tuple, losses: pl.DataFrame, tmp_path: Path
) -> None:
    estimates, draws, forecasts = fitted
    chosen = settings(simulations=3)
    write_table(losses, Losses, tmp_path / "losses.parquet")
    for law in LAWS:
        write_estimate(estimates[law], tmp_path / f"{law}.json")
        texts = {name: draws[law].columns[name].tolist() for name in TEXTS}
        table = pl.DataFrame(
            {**draws[law].columns, **texts}, schema_overrides=dict.fromkeys(TEXTS, pl.String)
        )
        table.fill_nan(None).write_parquet(tmp_path / f"{law}.draws.parquet")
    write_forecasts(forecasts, tmp_path / "forecast.json")
    done = CliRunner().invoke(
        main,
        ["mix-laws", "--sweep", "s", "--estimates", str(tmp_path), "--forecast",
         str(tmp_path / "forecast.json"), "--settings", chosen.model_dump_json(),
         "--losses", str(tmp_path / "losses.parquet"),
         "--mixture", str(tmp_path / "m.json"), "--draws", str(tmp_path / "m.parquet")],
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    mixture = read_mixture(tmp_path / "m.json")
    assert isinstance(mixture, Mixture)
    assert mixture.unchecked is None
    assert [check.truth for check in mixture.checks] == [m.approach for m in mixture.mixed]
    for check in mixture.checks:
        assert (check.simulations, check.refused) == (3, 0)
        # a, and three places of N and of L
        assert len(check.covered) == 7
    least = [c.covered[0].shares["0.8"] for c in mixture.checks]
    assert mixture.a.coverage["0.8"] == min(least)
    ours, table = mixed(fitted, simulations=3)
    assert ours.checks == []
    assert ours.unchecked == "the losses were not given"
    unlike = {"provenance", "checks", "unchecked", "a"}
    assert mixture.model_dump(exclude=unlike) == ours.model_dump(exclude=unlike)
    assert mixture.a.model_copy(update={"coverage": {}}) == ours.a
    assert pl.read_parquet(tmp_path / "m.parquet").equals(table)
    np.testing.assert_array_equal(
        [o.params.value for o in optima_of_mixture(mixture, Draws.of(table), BUDGETS)],
        [o.params.value for o in optima_of_mixture(ours, Draws.of(table), BUDGETS)],
    )


def test_what_cannot_be_checked_says_why(fitted: tuple, losses: pl.DataFrame) -> None:
    for mixture, reason in (
        ({"simulations": 0}, "approaches.mixture.simulations asks for no simulated sweeps"),
        ({"weights": "stacking"}, "weights by stacking cannot be checked"),
    ):
        found, _ = mix_laws(
            *fitted, settings(**mixture), sweep="s", provenance=PROVENANCE, losses=losses
        )
        assert isinstance(found, Mixture)
        assert found.checks == []
        assert found.covers is None
        assert reason in str(found.unchecked)


def test_without_draws_nothing_is_simulated(
    fitted: tuple, losses: pl.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is no interval that could be placed, and simulated sweeps take most of the time."""
    monkeypatch.setattr("isoflop.approaches.mix_laws.checks_of", pytest.fail)
    none = settings().model_copy(
        update={"bootstrap": settings().bootstrap.model_copy(update={"draws": 0})}
    )
    found, _ = mix_laws(*fitted, none, sweep="s", provenance=PROVENANCE, losses=losses)
    assert isinstance(found, Mixture)
    assert found.checks == []
    assert "asks for no draws" in str(found.unchecked)


def test_every_cut_has_a_mixture_whose_weights_come_from_below(fitted: tuple) -> None:
    for cut in fitted[2].cuts:
        assert cut.mixture is not None
        assert sum(cut.mixture.weights.values()) == pytest.approx(1.0)
        alone = [cut.forecast(law).score("loss") for law in cut.mixture.weights]
        values = np.array([[p.predicted for p in score.predictions] for score in alone])
        together = np.array([p.predicted for p in cut.mixture.score.predictions])
        assert (together > 0.995 * values.min(axis=0)).all()
        assert (together < 1.005 * values.max(axis=0)).all()
        assert cut.mixture.score.log_score is not None
