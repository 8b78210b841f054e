"""`isoflop allocate`: from a fitted sweep, and from the published laws."""

from __future__ import annotations

import gc
import json
import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner
from scipy.optimize import brentq
from tests import example_sweep

from isoflop.accelerators import Machine, read_accelerators
from isoflop.approach import ANSWERS, APPROACHES, FITTED, IN_PROSE, LAWS
from isoflop.cli import main
from isoflop.config.approaches import NestedSettings
from isoflop.errors import IsoflopError
from isoflop.estimates.allocation import (
    UNKNOWN,
    Allocation,
    allocate,
    lowest_loss_of,
    optima_at,
    reach,
    trust,
)
from isoflop.estimates.answers import (
    Answers,
    _percent,
    _power,
    _share,
    _time,
    answer,
    as_text,
    ask,
    one_target,
)
from isoflop.estimates.draws import Draws
from isoflop.estimates.estimate import (
    Estimate,
    read_draws,
    read_draws_of,
    read_estimate,
    read_estimates,
)
from isoflop.estimates.forecasts import NoForecasts, read_forecasts
from isoflop.estimates.inference import allocate_served, served_columns
from isoflop.estimates.levels import Tails
from isoflop.estimates.mixture import (
    MedianFrontier,
    Mixture,
    NoMixture,
    Part,
    answers_of,
    read_mixture,
)
from isoflop.estimates.quantities import Quantity
from isoflop.estimates.recommendation import recommend
from isoflop.estimates.targets import Target, least_flops, lowest_losses
from isoflop.limits import LIMITS
from isoflop.numbers import NONE, PLAIN, count, distance, fixed, interval, per_cent, power
from isoflop.published_laws import published_exponents
from isoflop.reference import read_reference

if TYPE_CHECKING:
    from pathlib import Path

    from isoflop.estimates.laws import Law
    from isoflop.estimates.power_frontier import Asked

REFERENCE = example_sweep.REFERENCE


@pytest.fixture(scope="module")
def estimates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return example_sweep.write(tmp_path_factory.mktemp("answers")).estimates.parent


def run(*words: str, status: int = 0) -> str:
    done = CliRunner().invoke(main, ["allocate", *words, "--reference", str(REFERENCE)])
    assert done.exit_code == status, done.output
    return done.output


def test_answers_are_the_reports_numbers(estimates: Path) -> None:
    folder = estimates / example_sweep.SWEEP
    found = json.loads(
        run("1e15", "--sweep", example_sweep.SWEEP, "--estimates", str(estimates), "--json")
    )
    own = {law["law"]: law["allocation"] for law in found["laws"]}
    draws = read_draws(folder, FITTED)
    for approach, estimate in read_estimates(folder, FITTED).items():
        assert isinstance(estimate, Estimate)
        (optimum,) = optima_at(estimate, draws[approach], [1e15])
        assert own[approach]["params"]["value"] == optimum.params.value
        # no level serves the envelope
        ends = {level: list(both) for level, both in optimum.tokens.intervals.items()}
        assert own[approach]["tokens"]["intervals"] == ends
        assert (ends == {}) == (approach == "envelope")
    text = run("1e15", "--sweep", example_sweep.SWEEP, "--estimates", str(estimates))
    envelope = optima_at(
        read_estimates(folder)["envelope"],  # type: ignore[arg-type]
        read_draws(folder)["envelope"],
        [1e15],
    )[0]
    assert f"{count(envelope.params.value, hand=PLAIN)} ({NONE})" in text
    assert "no interval from its resamples covers in simulated sweeps as often" in text
    # once, whichever quantities it keeps from an interval
    assert f"(N, D, D/N and loss where {IN_PROSE['parametric']} is true)" in text


def test_every_law_of_the_set_answers_with_its_weight(estimates: Path) -> None:
    folder = estimates / example_sweep.SWEEP
    words = ("1e14", "--sweep", example_sweep.SWEEP, "--estimates", str(estimates))
    found = {law["law"]: law for law in json.loads(run(*words, "--json"))["laws"]}
    mixture = read_mixture(folder / "mixture.json")
    assert isinstance(mixture, Mixture)
    assert {member.approach for member in mixture.members} == set(LAWS)
    text = run(*words)
    for member in mixture.members:
        law = found[member.approach]
        assert (law["weight"], law["left_out"]) == (member.weight, member.left_out)
        (row,) = re.findall(
            rf"^{re.escape(ANSWERS[member.approach].label)} .*$", text, re.MULTILINE
        )
        assert row.endswith(f" {per_cent(member.weight)}")
        if member.left_out is not None:
            assert f"{ANSWERS[member.approach].label}: {member.left_out}" in text
    assert any(member.left_out for member in mixture.members)
    # what is no law of the set has no weight
    assert found["profiles"]["weight"] is found["mixture"]["weight"] is None


def test_repeats_are_the_affair_of_a_sweep_with_their_law(estimates: Path) -> None:
    words = ["allocate", "1e14", "--unique-tokens", "1e6", "--reference", str(REFERENCE)]
    alone = CliRunner().invoke(main, words)
    assert alone.exit_code == 1
    assert "what repeated tokens are worth is a sweep's to say" in alone.output
    words += ["--sweep", example_sweep.SWEEP, "--estimates", str(estimates)]
    without = CliRunner().invoke(main, words)
    assert without.exit_code == 1
    assert "no report fits the data-constrained law" in without.output
    assert "run.py report" not in without.output


def test_the_laws_of_the_set_do_not_bear_on_the_recommendation(estimates: Path) -> None:
    folder = estimates / example_sweep.SWEEP
    every = {k: e for k, e in read_estimates(folder, FITTED).items() if isinstance(e, Estimate)}
    shown = {k: e for k, e in every.items() if k in APPROACHES}
    mixture = read_mixture(folder / "mixture.json")
    assert isinstance(mixture, Mixture)
    none = NoMixture(
        sweep="s", settings=mixture.settings, refused="none", provenance=mixture.provenance
    )
    for forecasts in (
        read_forecasts(folder / "forecast.json"),
        NoForecasts.model_construct(refused="Two budgets."),
    ):
        chosen = recommend(every, forecasts, none)
        assert chosen is not None
        assert chosen == recommend(shown, forecasts, none)
    law = recommend({"nested": every["nested"]}, forecasts, none)
    assert law is not None
    assert law.key == "nested"


def test_a_loss_and_a_compute_are_one_question(estimates: Path) -> None:
    folder = estimates / example_sweep.SWEEP
    estimate = read_estimate(folder / "parametric.json")
    assert isinstance(estimate, Estimate)
    draws = read_draws(folder)["parametric"]
    forward = allocate(estimate, draws, Target("flops", 1e14))
    assert forward is not None
    assert forward.loss is not None
    back = allocate(estimate, draws, Target("loss", forward.loss.value))
    assert back is not None
    assert back.flops.value == pytest.approx(1e14, rel=1e-8)
    assert back.params.value == pytest.approx(forward.params.value, rel=1e-8)
    low, high = back.flops.intervals["0.8"]
    assert low < 1e14 < high
    assert back.loss is not None
    assert back.loss.intervals == {}
    assert allocate(estimate, draws, Target("loss", 0.7)) is None  # E is 0.8


def test_sizes_of_the_published_laws() -> None:
    found = json.loads(run("--params", "40.36e9", "--json"))
    laws = {law["law"]: law["allocation"] for law in found["laws"]}
    # Hoffmann et al. 2022, section 3.3: 40B at Gopher's compute by the unrounded constants
    assert laws["Hoffmann L(N, D)"]["flops"]["value"] == pytest.approx(5.76e23, rel=3e-3)
    assert found["sweep"] is None


@pytest.mark.parametrize("words", [["1e21"], ["--loss", "-1"]])
def test_no_garbage_is_collected_while_a_question_is_answered(
    words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes a sixth of the time, and the process ends; in any other it goes on behind it."""
    collecting = []

    def recorded(*_: object) -> None:
        collecting.append(gc.isenabled())

    monkeypatch.setattr("isoflop.estimates.answers.machine_of", recorded)
    assert gc.isenabled()
    CliRunner().invoke(main, ["allocate", *words, "--reference", str(REFERENCE)])
    assert collecting == [False]
    assert gc.isenabled()


@pytest.mark.parametrize(
    ("short", "full"),
    [
        (["--params", "7B"], ["--params", "7e9"]),
        (["--tokens", "1.4t"], ["--tokens", "1.4e12"]),
        (["--ratio", " 0.02k"], ["--ratio", "20"]),
        (["--tokens-per-param", "20"], ["--ratio", "20"]),
        (["1000000T"], ["1e18"]),
        (
            ["1e21", "--inference-tokens", "121.4M", "--gpu", "h100", "--price", "1k"],
            ["1e21", "--inference-tokens", "121.4e6", "--gpu", "h100", "--price", "1000"],
        ),
    ],
)
def test_numbers_may_have_suffixes(short: list[str], full: list[str]) -> None:
    assert run(*short) == run(*full)


def test_a_card_runs_at_the_utilisation_that_the_help_names() -> None:
    words = ["1e21", "--gpu", "h100"]
    for same in ("0.4", "40", "40%", "40 %"):
        assert run(*words) == run(*words, "--mfu", same)
    assert run(*words, "--mfu", "1") == run(*words, "--mfu", "100%") != run(*words)
    done = CliRunner().invoke(main, ["allocate", "--help"])
    assert "[default: 0.4]" in done.output


def test_hours_of_a_served_model_are_those_of_its_training() -> None:
    """On the page as in the command: serving has a utilisation of its own."""
    words = ["1e21", "--gpu", "h100", "--price", "2", "--inference-tokens", "1e13"]
    served = [law for law in json.loads(run(*words, "--json"))["laws"] if law["served"]]
    assert served
    for law in served:
        hours = law["served"]["training_flops"]["value"] / (989.5e12 * 0.4 * 3600)
        assert law["served_hours"]["value"] == pytest.approx(hours)
        assert law["served_cost"]["value"] == pytest.approx(2 * hours)
        assert law["hours"]["value"] < hours
    text = run(*words)
    (head,) = [line for line in text.splitlines() if line.startswith("at the same loss")]
    assert head.split()[-2:] == ["hours", "cost"]
    assert "Hours and cost: of training on one NVIDIA H100" in text
    assert "of its peak, without serving." in text


@pytest.mark.parametrize("law", ["parametric", "nested", "mixture"])
@pytest.mark.parametrize("asked", ["loss", "params"])
def test_every_draw_is_served_at_its_own_compute(estimates: Path, law: str, asked: Asked) -> None:
    """Each draw reaches what is asked at a compute of its own, and that is part of the interval."""
    folder = estimates / example_sweep.SWEEP
    every = answers_of(
        {k: e for k, e in read_estimates(folder, FITTED).items() if isinstance(e, Estimate)},
        read_mixture(folder / "mixture.json"),
    )
    estimate, draws = every[law], read_draws_of(folder, law)
    target = Target(asked, {"loss": 1.3, "params": 4e5}[asked])
    found = allocate_served(estimate, draws, target, 1e9)
    assert found is not None
    parts = (
        estimate.parts(draws)
        if isinstance(estimate, Mixture)
        else [Part(estimate.approach, estimate.law, estimate.row, estimate.rows(draws))]
    )
    training, at_one = [], []
    for part in parts:
        for row in part.rows[:, None]:

            def excess(log_c: float, law: Law = part.law, row: np.ndarray = row) -> float:
                optimum = law.optima(row, np.array([np.exp(log_c)]))
                reached = optimum.loss if asked == "loss" else optimum.params
                return float(reached[0, 0] - target.value)

            flops = np.exp(brentq(excess, np.log(1e8), np.log(1e24), xtol=1e-12))
            alone = allocate(estimate, draws, target)
            assert alone is not None
            for into, at in ((training, flops), (at_one, alone.flops.value)):
                columns = served_columns(part.law, row, np.array([at]), 1e9)
                assert columns is not None
                into.append(columns["training_flops"][0])
    # as far out among the draws as N and the loss of the answer without serving
    (optimum,) = optima_at(estimate, draws, [alone.flops.value])
    assert optimum.loss is not None
    levels = [q.levels["0.95"] for q in (optimum.params, optimum.loss) if q.levels]
    least = min(
        (tail.share for one in levels if isinstance(one, Tails) for tail in (one.below, one.above)),
        default=0.025,
    )
    expected = np.quantile(training, [least, 1 - least])
    assert found.training_flops.intervals["0.95"] == pytest.approx(expected, rel=1e-6)
    narrow = np.quantile(at_one, [least, 1 - least])
    assert np.log(expected[1] / expected[0]) > 1.05 * np.log(narrow[1] / narrow[0])


def test_no_training_is_told_of_where_the_sweep_does_not_say(estimates: Path) -> None:
    words = ("--sweep", example_sweep.SWEEP, "--estimates", str(estimates))
    near, far = run("1e15", *words), run("1e30", *words)
    assert ": train " in near.splitlines()[0]
    assert "does not say" not in near
    first, second = far.splitlines()[:2]
    assert "train " not in first.replace("what to train", "")
    assert "decades beyond the data, where this sweep does not say what to train" in first
    assert second.startswith("Drawn out that far, the mixture")
    assert far.count("does not say") == 1


def test_hours_and_money_are_those_of_the_card() -> None:
    found = json.loads(run("1e21", "--gpu", "h100", "--mfu", "0.4", "--price", "2", "--json"))
    hours = 1e21 / (989.5e12 * 0.4 * 3600)
    for law in found["laws"]:
        assert law["hours"]["value"] == pytest.approx(hours)
        assert law["cost"]["value"] == pytest.approx(2 * hours)
    back = json.loads(run("--gpu-hours", str(hours), "--gpu", "h100", "--json"))
    assert back["value"] == pytest.approx(1e21)


def test_text_says_what_to_train_how_far_and_why(estimates: Path) -> None:
    text = run("1e15", "--sweep", example_sweep.SWEEP, "--estimates", str(estimates))
    assert "train " in text.splitlines()[0]
    assert "decades beyond the data: with care" in text
    low = run("1e10", "--sweep", example_sweep.SWEEP, "--estimates", str(estimates))
    assert re.search(r"^\d\.\d decades below the data: ", low, re.MULTILINE)
    assert "Kaplan, Cmin = C/2" in text
    assert "**" not in text
    assert "~" not in text


def test_recommended_is_an_approach_that_counts_all_parameters(estimates: Path) -> None:
    folder = estimates / example_sweep.SWEEP
    fitted = {k: e for k, e in read_estimates(folder).items() if isinstance(e, Estimate)}
    forecasts = read_forecasts(folder / "forecast.json")
    mixture = read_mixture(folder / "mixture.json")
    assert isinstance(mixture, Mixture)
    none = NoMixture(
        sweep="s", settings=mixture.settings, refused="none", provenance=mixture.provenance
    )
    chosen = recommend(fitted, forecasts, none)
    assert chosen is not None
    assert chosen.key not in {"kaplan", "mixture"}
    assert chosen.answer is fitted[chosen.key]
    assert recommend({}, forecasts, none) is None
    alone = recommend({"kaplan": fitted["kaplan"]}, forecasts, none)
    assert alone is not None
    assert alone.key == "kaplan"


def test_what_was_put_to_no_test_has_not_failed_it(estimates: Path) -> None:
    folder = estimates / example_sweep.SWEEP
    fitted = {
        name: outcome.model_copy(update={"a": outcome.a.model_copy(update={"coverage": {}})})
        for name, outcome in read_estimates(folder).items()
        if isinstance(outcome, Estimate)
    }
    none = NoMixture.model_construct(refused="One law.")
    nothing = NoForecasts.model_construct(refused="Two budgets.")
    chosen = recommend(fitted, nothing, none)
    assert chosen is not None
    assert chosen.rule == "untested"
    assert "was put to a test" in chosen.reason
    # one that was tested, and failed, leaves the others what they are
    failed = fitted["envelope"].a.model_copy(update={"coverage": {"0.8": 0.1, "0.95": 0.2}})
    fitted["envelope"] = fitted["envelope"].model_copy(update={"a": failed})
    chosen = recommend(fitted, nothing, none)
    assert chosen is not None
    assert chosen.key != "envelope"
    assert chosen.rule == "none"


def test_the_mixture_is_recommended_where_it_has_several_laws(estimates: Path) -> None:
    folder = estimates / example_sweep.SWEEP
    fitted = {k: e for k, e in read_estimates(folder).items() if isinstance(e, Estimate)}
    forecasts = read_forecasts(folder / "forecast.json")
    mixture = read_mixture(folder / "mixture.json")
    assert isinstance(mixture, Mixture)
    chosen = recommend(fitted, forecasts, mixture)
    assert chosen is not None
    assert (chosen.key, chosen.rule) == ("mixture", "mixture")
    assert chosen.answer is mixture
    assert chosen.row.label == "Mixture of laws"
    # a single law's intervals know nothing of the others
    single = [
        member if member.approach == "root" else member.model_copy(update={"weight": 0.0})
        for member in mixture.members
    ]
    alone = recommend(fitted, forecasts, mixture.model_copy(update={"members": single}))
    assert alone is not None
    assert alone.key in fitted


def test_a_mixture_of_one_law_stands_beside_no_law_that_it_is(estimates: Path) -> None:
    """The same numbers stood twice, with what is known against the law beside one of them."""
    folder = estimates / example_sweep.SWEEP
    fitted = {k: e for k, e in read_estimates(folder).items() if isinstance(e, Estimate)}
    mixture = read_mixture(folder / "mixture.json")
    assert isinstance(mixture, Mixture)
    assert list(answers_of(fitted, mixture)) == ["mixture", *fitted]
    own, other = (
        next(member for member in mixture.members if (member.approach in fitted) is inside)
        for inside in (True, False)
    )
    for member, keys in ((own, [*fitted]), (other, ["mixture", *fitted])):
        alone = mixture.model_copy(update={"members": [member.model_copy(update={"weight": 1.0})]})
        assert list(answers_of(fitted, alone)) == keys
    assert list(answers_of(fitted, None)) == [*fitted]


def test_the_recommended_numbers_are_the_mixtures_draws(estimates: Path) -> None:
    """By hand from mixture.json and its draws, law by law."""
    folder = estimates / example_sweep.SWEEP
    mixture = read_mixture(folder / "mixture.json")
    assert isinstance(mixture, Mixture)
    draws = pl.read_parquet(folder / "mixture.draws.parquet")
    log_n, log_l = [], []
    for member in mixture.mixed:
        assert member.law is not None
        own = draws.filter(pl.col("approach") == member.approach)
        for row in own.select(member.law.names).iter_rows():
            optimum = member.law.optima(np.array([row]), np.array([1e15]))
            log_n.append(np.log(optimum.params[0, 0]))
            log_l.append(np.log(optimum.loss[0, 0]))
    found = answer(
        one_target(flops=1e15), sweep=example_sweep.SWEEP, estimates=estimates, reference=REFERENCE
    )
    assert found.recommended == "mixture"
    best = found.laws[0]
    assert best.law == "mixture"
    assert best.allocation is not None
    assert best.allocation.loss is not None
    for quantity, logs in ((best.allocation.params, log_n), (best.allocation.loss, log_l)):
        assert quantity.value == pytest.approx(np.exp(np.median(logs)), rel=1e-12)
        expected = np.quantile(np.exp(logs), [0.025, 0.975])
        assert quantity.intervals["0.95"] == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("asked", ["loss", "params", "tokens"])
def test_the_mixture_answers_backwards_too(estimates: Path, asked: str) -> None:
    folder = estimates / example_sweep.SWEEP
    mixture = read_mixture(folder / "mixture.json")
    assert isinstance(mixture, Mixture)
    draws = Draws.read(folder / "mixture.draws.parquet")
    forward = allocate(mixture, draws, Target("flops", 1e14))
    assert forward is not None
    back = allocate(mixture, draws, Target(asked, getattr(forward, asked).value))  # type: ignore[arg-type]
    assert back is not None
    assert back.flops.value == pytest.approx(1e14, rel=1e-8)
    assert back.params.value == pytest.approx(forward.params.value, rel=1e-8)
    low, high = back.flops.intervals["0.8"]
    assert low < 1e14 < high
    # below the floor of some laws alone: an answer, whose interval nobody knows
    deep = allocate(mixture, draws, Target("loss", 0.79))
    assert deep is None or (deep.unanswered > 0.0 and "0.95" not in deep.params.intervals)
    assert allocate(mixture, draws, Target("tokens_per_param", 1e-12)) is None


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "ask one question"),
        (["1e21", "--loss", "3"], "2 given"),
        (["1e21", "--gpu", "abacus"], "there are a100, h100"),
        (["1e21", "--price", "2"], "name it, as in --gpu"),
        (["1e21", "--mfu", "0.5"], "a utilisation is of a card: name it, as in --gpu h100"),
        (["--params", "7X"], "'7X' is no number, such as 1e9, 7B or 121.4M"),
        (["1e21 FLOPs"], "'1e21 FLOPs' is no number: write 1e21, without 'FLOPs'"),
        (["10^21"], "'10^21' is no number: write 1e21"),
        (["--tokens", "1,000,000"], "'1,000,000' is no number: write 1000000"),
        (["1e21", "--gpu", "h100", "--price", "$2"], "'$2' is no number: write 2, without '$'"),
        (["--params", "B"], "'B' is no number"),
        (["--gpu-hours", "10"], "--gpu-hours 1000 --gpu h100"),
        (["1e21", "--gpu", "h100", "--mfu", "400"], "between 0.0001 and 1, not at 400"),
        (["-1"], "-1 is negative: ask by a positive number"),
        (["--gpu", "h100", "-.5e21"], "-.5e21 is negative: ask by a positive number"),
        (["-x", "1e21"], "No such option"),
        (["--loss", "-1"], "a loss lies between 0.001 and 100 nats per token, not at -1"),
        (["1e300"], "a compute lies between 1 and 1e40 FLOPs, not at 1e300"),
        (["--params", "1e300"], "a number of parameters lies between 1 and 1e20, not at 1e300"),
        (["--tokens", "0.5"], "a number of tokens lies between 1 and 1e20, not at 0.5"),
        (["--ratio", "1e300"], "a ratio of tokens to parameters lies between 1e-12 and 1e12"),
        (["--gpu-hours", "1e300", "--gpu", "h100"], "lies between 1e-6 and 1e20 hours"),
        (["1e21", "--inference-tokens", "1e40"], "tokens served lies between 1 and 1e20"),
        (["1e21", "--gpu", "h100", "--mfu", "1e-300"], "a utilisation lies between 0.0001 and 1"),
        (["1e21", "--gpu", "h100", "--price", "inf"], "a price of an hour lies between 0 and 1e9"),
        (["1e21", "--sweep", ""], "--sweep is empty: name a sweep"),
        (["1e21", "--sweep", "."], "has no estimates. Build them with"),
        (["1e21", "--sweep", "nowhere"], "has no estimates. Build them with"),
    ],
)
def test_a_question_that_cannot_be_answered_says_what_to_ask(
    words: list[str], message: str, tmp_path: Path
) -> None:
    options = ["--reference", str(REFERENCE), "--estimates", str(tmp_path)]
    done = CliRunner().invoke(main, ["allocate", *words, *options])
    assert done.exit_code != 0
    assert message in done.output
    assert len(done.output.splitlines()) == 1 or "Usage" in done.output


@pytest.mark.parametrize("asked", ["flops", "loss", "params", "tokens", "tokens_per_param"])
def test_a_sweep_answers_both_ends_of_every_limit_without_a_warning(
    estimates: Path, asked: Asked
) -> None:
    folder = estimates / example_sweep.SWEEP
    for value in (LIMITS[asked].least, LIMITS[asked].most):
        found = answer(
            Target(asked, value),
            sweep=folder.name,
            estimates=estimates,
            reference=REFERENCE,
            served=LIMITS["served"].most,
        )
        assert {law.law for law in found.laws} >= set(FITTED)
        assert "published" in str(found)


def test_an_answer_that_rests_on_priors_says_so(estimates: Path) -> None:
    folder = estimates / example_sweep.SWEEP
    outcomes, drawn = read_estimates(folder, FITTED), read_draws(folder, FITTED)
    forecasts, mixture = (
        read_forecasts(folder / "forecast.json"),
        read_mixture(folder / "mixture.json"),
    )
    given = {
        "sweep": folder.name,
        "draws": drawn,
        "forecasts": forecasts,
        "mixture": mixture,
        "mixture_draws": Draws.read(folder / "mixture.draws.parquet"),
        "reference": REFERENCE,
    }
    plain = ask(Target("flops", 1e15), outcomes=outcomes, **given)
    assert plain.priors == {}
    assert "priors" not in str(plain)
    nested = outcomes["nested"]
    assert isinstance(nested, Estimate)
    known = NestedSettings.model_validate({"gamma_prior": {"median": 0.5, "sd": 0.3}})
    settings = nested.settings.model_copy(update={"nested": known})
    outcomes["nested"] = nested.model_copy(update={"settings": settings})
    found = ask(Target("flops", 1e15), outcomes=outcomes, **given)
    assert json.loads(found.model_dump_json())["priors"] == {
        "nested": {"gamma": {"median": 0.5, "sd": 0.3}}
    }
    told = "the nested law (of gamma (median 0.5, sd 0.3 of its log)): its numbers and intervals"
    assert told in " ".join(str(found).split())
    assert isinstance(mixture, Mixture)
    member = mixture.member("nested")
    assert ("those of the mixture" in str(found)) == (member is not None and member.weight > 0.0)


def test_distance_has_words_by_rule() -> None:
    assert [reach(d) for d in (-1.0, 1.0000004, 1.1, 3.0, 3.1, 6.0, 6.1)] == [
        "within reach", "within reach", "with care", "with care", "order of magnitude",
        "order of magnitude", "this sweep does not say",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("decades", "ends", "words"),
    [
        (0.0, (1e8, 8.9e8), "within reach"),
        (0.0, (1e8, 9.1e8), "within reach by distance, but N is open by a factor of 9.1"),
        # the recommendation of porian-last-layer: D/N from 21 to 290,000
        (2.0, (1e6, 1.4e10), "with care by distance, but N is open by a factor of 14k"),
        (7.0, (1e6, 1e12), "this sweep does not say"),
        (0.0, None, "within reach"),
    ],
)
def test_an_open_size_is_not_called_within_reach(
    decades: float, ends: tuple[float, float] | None, words: str
) -> None:
    params = Quantity(
        value=2e8, intervals={} if ends is None else {"0.8": (1.9e8, 2.1e8), "0.95": ends}
    )
    assert trust(decades, params, Quantity(value=4e9)) == words


def test_an_answer_whose_draws_have_none_says_so(estimates: Path) -> None:
    """An interval whose ends may lie among draws without an answer is missed, not left out."""
    found = answer(
        Target("tokens_per_param", 900.0),
        sweep=example_sweep.SWEEP,
        estimates=estimates,
        reference=REFERENCE,
    )
    best, *others = found.laws
    assert best.allocation is not None
    bare = {"intervals": {}, "levels": {}}
    params, tokens = (
        quantity.model_copy(update=bare)
        for quantity in (best.allocation.params, best.allocation.tokens)
    )
    within = best.allocation.model_copy(
        update={
            "params": params, "tokens": tokens, "unanswered": 0.012,
            "decades_beyond_data": 0.0, "distance": "within the data",
        }
    )  # fmt: skip

    def told(allocation: Allocation) -> str:
        law = best.model_copy(
            update={"allocation": allocation, "determined": allocation.is_determined}
        )
        return str(found.model_copy(update={"laws": [law, *others], "reach": allocation.reach}))

    text = told(within)
    assert within.is_determined
    assert "within reach by distance, but in 1 % of the draws no compute gives that" in text
    assert f"{count(params.value, hand=PLAIN)} ({NONE})" in text
    assert f"Where they are more than 0.5 %, no interval is given ({NONE})" in text
    # beyond the data one that is open is named, whichever law's it is
    far = within.model_copy(
        update={
            "params": params.model_copy(update={"intervals": {"0.95": (1e5, 1.5e6)}}),
            "decades_beyond_data": 0.5,
        }
    )
    assert "however near the data: Mixture of laws: N is open by a factor of 15" in told(far)
    # within them it has no number: 109M to 2.56B stood there as an answer
    wide, wider = ({"intervals": {level: (1e5, 9.1e5)}} for level in ("0.8", "0.95"))
    for opened in (
        within.model_copy(update={"unanswered": 0.03}),
        within.model_copy(update={"params": params.model_copy(update=wide)}),
        within.model_copy(update={"params": params.model_copy(update=wider)}),
        within.model_copy(update={"tokens": tokens.model_copy(update=wider)}),
    ):
        assert not opened.is_determined
        assert "these runs do not determine it: within their own data the 95 %" in told(opened)
        assert f"{count(params.value, hand=PLAIN)} (" not in told(opened).splitlines()[0]
        assert "however near the data: Mixture" not in told(opened)
        beyond = opened.model_copy(update={"decades_beyond_data": 0.1})
        assert beyond.is_determined


def test_the_first_sentence_is_what_to_train_where_serving_is_asked_of(estimates: Path) -> None:
    found = answer(
        Target("loss", 1.3),
        sweep=example_sweep.SWEEP,
        estimates=estimates,
        reference=REFERENCE,
        served=1e9,
    )
    best = found.laws[0]
    assert best.served is not None
    assert best.allocation is not None
    first, second, *_ = str(found).splitlines()
    assert "1B tokens served: train " in first
    assert f"train {count(best.served.params.value, hand=PLAIN)} (" in first
    assert count(best.allocation.params.value, hand=PLAIN) not in first
    assert second.startswith("That is cheapest to train and to serve at that loss; cheapest to ")
    assert second.endswith("tokens.")
    assert f"{count(best.allocation.params.value, hand=PLAIN)} parameters" in second


def test_estimates_of_compute_have_all_their_digits_and_times_a_unit_that_shows_them() -> None:
    assert [_power(1.6e23), _power(1.0e14), power(1.6e23, hand=PLAIN)] == [
        "1.60 × 10²³", "1.00 × 10¹⁴", "1.6 × 10²³",
    ]  # fmt: skip
    written = [_time(hours) for hours in (702.2, 1.0, 0.0211, 0.0099)]
    assert written == ["702", "1", "1.27 min", "35.6 s"]


@pytest.mark.parametrize("tokens", [1e6, 1e9, 1e13, 1e19])
def test_the_distance_told_is_of_what_is_recommended(estimates: Path, tokens: float) -> None:
    """Serving many tokens trains far longer: on the far side of what was asked, from the data."""
    folder = estimates / example_sweep.SWEEP
    mixture = read_mixture(folder / "mixture.json")
    assert isinstance(mixture, Mixture)
    where = {"sweep": folder.name, "estimates": estimates, "reference": REFERENCE}
    found = answer(Target("flops", 1e15), **where, served=tokens)  # type: ignore[arg-type]
    served, alone = found.laws[0].served, found.laws[0].allocation
    assert served is not None
    assert alone is not None
    trained = served.training_flops.value
    assert served.distance == distance(max(trained, 1e15), mixture.flops_range, blank=" ")
    first, second, third, *_ = str(found).splitlines()
    if served.reach == UNKNOWN:
        assert first.endswith(f"{served.distance}, where this sweep does not say what to train")
        assert "train " not in second.split("are cheapest to train")[0]
        assert served.distance not in third
    else:
        assert "tokens served: train " in first
        assert third.startswith(f"{served.distance}: {served.reach}. By ")
    assert (served.reach == UNKNOWN) == (tokens == 1e19)


def test_a_loss_below_the_floor_names_the_floor_and_one_above_all_does_not(estimates: Path) -> None:
    folder = estimates / example_sweep.SWEEP
    mixture = read_mixture(folder / "mixture.json")
    assert isinstance(mixture, Mixture)
    draws = read_draws_of(folder, "mixture")
    lowest = lowest_loss_of(mixture, draws)
    assert lowest is not None
    entropies = np.concatenate([lowest_losses(p.law, p.rows) for p in mixture.parts(draws)])
    assert lowest == pytest.approx(np.median(entropies))
    words = ["--sweep", folder.name, "--estimates", str(estimates)]
    floor = f"no compute gives that; at no compute is its loss below {fixed(lowest)}"
    # power laws of the optimum have no floor, so that the sweep has answers
    text = run("--loss", repr(0.999 * lowest), *words)
    assert f"has no answer: {floor}" in text
    assert floor not in run("--loss", repr(1.2 * lowest), *words)
    high = run("--loss", "99", *words)
    assert floor not in high


def test_what_the_columns_and_intervals_mean_is_said(estimates: Path) -> None:
    def asked(value: float) -> Answers:
        return answer(
            Target("loss", value),
            sweep=example_sweep.SWEEP,
            estimates=estimates,
            reference=REFERENCE,
        )

    text = str(asked(1.3))
    assert "covers: whether its intervals cover the truth in simulated sweeps" in text
    assert "forecast: whether fits to the lower part of the sweep predicted the upper" in text
    # the made-up mixture was placed by no simulated sweeps
    assert re.search(r"those of Mixture of laws[^.]* are uncalibrated percentiles", text)
    # nobody fitted what repeats are worth, so nobody can be told to ask for it
    assert "N and loss are of tokens seen as often as those of these runs." in text
    assert "--unique-tokens" not in text
    # where one loss is all that a forecast was compared with, a row says so
    found = asked(1.3)
    fewer = [law.model_copy(update={"forecast_losses": 1}) for law in found.laws]
    one = str(found.model_copy(update={"laws": fewer}))
    assert "(1) on one loss" in one
    assert re.search(r"(yes|no) \(1\) ", one)
    assert "(1)" not in str(
        found.model_copy(
            update={"laws": [law.model_copy(update={"forecast_losses": 9}) for law in found.laws]}
        )
    )
    # and distances stand by row where they differ in words
    far = next(law.allocation for law in found.laws if law.allocation is not None)
    moved = far.model_copy(
        update={"decades_beyond_data": 2.2, "distance": "2.2 decades beyond the data"}
    )
    laws = [found.laws[0].model_copy(update={"allocation": moved}), *found.laws[1:]]
    assert "2.2 decades beyond the data: with care" in str(found.model_copy(update={"laws": laws}))


def test_below_its_least_compute_a_law_says_where_that_is(estimates: Path) -> None:
    folder = estimates / example_sweep.SWEEP
    outcomes, drawn = read_estimates(folder, FITTED), read_draws(folder, FITTED)
    product = outcomes["product"]
    assert isinstance(product, Estimate)
    values = [0.78, 13.2, 198.0, 0.346, 0.366, -82.0]
    named = zip(product.law.names, values, strict=True)
    bent = product.model_copy(
        update={"parameters": {name: Quantity(value=value) for name, value in named}}
    )
    least = least_flops(bent.law, bent.row)
    assert least is not None
    found = ask(Target("flops", 0.9 * least), sweep="s", outcomes={"product": bent}, draws=drawn)
    (law,) = [law for law in found.laws if law.law == "product"]
    assert law.allocation is None
    assert law.least_flops == pytest.approx(least)
    words = f"no best size below {power(least, hand=PLAIN, zeros=True)} FLOPs"
    assert f"{ANSWERS['product'].label}: {words}" in str(found)
    # the mixture has no answer where a law of it has none
    mixture = read_mixture(folder / "mixture.json")
    assert isinstance(mixture, Mixture)
    parts = mixture.parts(read_draws_of(folder, "mixture"))
    ours = MedianFrontier([*parts, Part("product", bent.law, bent.row, bent.row)])
    at = least * np.array([0.9, 1.1])
    assert np.isfinite(ours.optima(np.empty((1, 0)), at).params[0]).tolist() == [False, True]


def test_every_accelerator_has_its_source() -> None:
    rows = read_accelerators(REFERENCE).rows
    assert len({row.key for row in rows}) == len(rows)
    assert all(row.source and 1e13 < row.peak_flops < 1e16 for row in rows)
    with pytest.raises(IsoflopError, match="between 0 and 1e9, not at -1"):
        Machine(rows[0], 0.4, -1.0)


def test_a_refused_approach_is_named_with_its_reason(tmp_path: Path) -> None:
    folder = example_sweep.write(tmp_path, refuse=("profiles",)).estimates.parent
    found = answer(
        one_target(flops=1e15), sweep=example_sweep.SWEEP, estimates=folder, reference=REFERENCE
    )
    assert list(found.refused) == ["profiles"]
    assert "was not fitted" in as_text(found)


def test_a_sweep_is_asked_without_what_only_fits_or_draws(tmp_path: Path) -> None:
    """The whole command, backwards and served too: each such library would double its time."""
    folder = example_sweep.write(tmp_path).estimates.parent
    asked = [
        "allocate",
        "--loss",
        "3.3",
        "--inference-tokens",
        "1e9",
        "--sweep",
        example_sweep.SWEEP,
    ]
    heavy = {
        "dataframely", "jinja2", "matplotlib", "pandas", "polars", "pypandoc", "scipy",
        "snakemake", "sqlalchemy.sql", "statsmodels", "torch", "typst",
    }  # fmt: skip
    code = (
        "import sys; from isoflop.cli import main; "
        f"main({[*asked, '--estimates', str(folder)]}, standalone_mode=False); "
        f"print(sorted({heavy} & set(sys.modules)), 'pyarrow' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, encoding="utf-8"
    )
    assert "Nested law" in done.stdout
    assert done.stdout.splitlines()[-1] == "[] True"


def test_a_published_law_without_a_loss_says_so_when_asked_for_one() -> None:
    text = run("--loss", "1.2", status=1)
    without = re.findall(r"^(.+?): predicts no loss here$", text, re.MULTILINE)
    assert {"Hoffmann 1 Envelope", "Hoffmann 2 Profiles"} <= set(without)
    # the one with a loss has a floor above it
    floor = r"no compute gives that; at no compute is its loss below 1\.693"
    assert re.search(rf"^Hoffmann L\(N, D\): {floor}$", text, re.MULTILINE)
    # a table without rows has no head
    assert "published: no law has an answer" in text.splitlines()
    above = run("--loss", "1.75")
    assert re.search(r"^published +C +N +D +D/N +loss$", above, re.MULTILINE)
    assert not re.search(floor, above)


def test_published_laws_say_why_they_have_no_intervals_and_what_a_ratio_asks_of_them() -> None:
    at_flops, at_ratio = run("1e21"), run("--ratio", "20")
    for text in (at_flops, at_ratio):
        assert "They stand without intervals: their papers print such of exponents alone" in text
    assert "the power b − a" not in at_flops
    exponents = {row.label: row for row in published_exponents(*read_reference(REFERENCE).papers)}
    low, high = exponents["Besiroglu 3 Parametric"].a95 or (0.0, 0.0)
    ends = interval(1.0 - 2.0 * high, 1.0 - 2.0 * low, fixed)
    assert f"{ends} (Besiroglu 3 Parametric)" in at_ratio
    # the third of Hoffmann's is the only one whose interval has no a of a half
    allowed = at_ratio.split("; ")[-1]
    assert "Besiroglu 3 Parametric allow 0" in allowed
    assert "Hoffmann 3 Parametric" not in allowed


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("nested.json", b""),
        ("nested.json", b"{"),
        ("mixture.draws.parquet", b"PAR1"),
        ("mixture.draws.parquet", None),
        ("nested.draws.parquet", b"PAR1" + 100 * b"x"),
    ],
)
def test_damaged_estimates_are_one_message_with_the_way_out(
    estimates: Path, tmp_path: Path, name: str, content: bytes | None
) -> None:
    folder = tmp_path / example_sweep.SWEEP
    shutil.copytree(estimates / example_sweep.SWEEP, folder)
    (folder / name).unlink()
    if content is not None:
        (folder / name).write_bytes(content)
    words = ["allocate", "1e15", "--sweep", example_sweep.SWEEP, "--estimates", str(tmp_path)]
    done = CliRunner().invoke(main, [*words, "--reference", str(REFERENCE)])
    assert done.exit_code == 1
    state = "missing" if content is None else "damaged"
    assert f"{folder / name} is {state}" in done.output
    assert "`snakemake " in done.output


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (Target("params", 1e9), "1B parameters, by"),
        (Target("params", 1.25e6), "1.25M parameters, by"),
        (Target("params", 100.0), "100 parameters, by"),
        (Target("tokens", 1.5e9), "1.5B tokens, by"),
        (Target("tokens_per_param", 20.0), "20 tokens per parameter, by"),
    ],
)
def test_what_is_asked_is_written_without_zeros_that_nobody_typed(
    asked: Target, words: str
) -> None:
    assert str(ask(asked, reference=REFERENCE)).startswith(words)


def test_a_folder_without_published_facts_is_told_of(tmp_path: Path) -> None:
    for words in (["1e21"], ["1e21", "--gpu", "h100"]):
        done = CliRunner().invoke(main, ["allocate", *words, "--reference", str(tmp_path)])
        assert done.exit_code == 1
        assert f"{tmp_path} is no folder of published facts: it has no " in done.output
        assert "Leave --reference out" in done.output


def test_a_sweep_may_end_in_a_slash(estimates: Path) -> None:
    words = ["1e14", "--estimates", str(estimates), "--sweep"]
    assert run(*words, f"{example_sweep.SWEEP}/") == run(*words, example_sweep.SWEEP)


def test_a_share_that_rounds_to_nothing_has_no_sign() -> None:
    assert _percent(-1e-9) == "0 %"
    assert _percent(0.124) == "12 %"
    # told from the half per cent that withholds an interval
    written = [_share(value) for value in (0.0049, 0.0051, 0.00004, 0.02)]
    assert written == ["0.49 %", "0.51 %", "<0.01 %", "2.00 %"]


def test_what_n_and_c_are_of_is_told_where_it_is_not_all_of_them(tmp_path: Path) -> None:
    """Of experts `train 233M` were active parameters, beside Hoffmann's total ones."""
    estimates = example_sweep.write(tmp_path).estimates.parent
    words = ("1e15", "--sweep", example_sweep.SWEEP, "--estimates", str(estimates))
    usual = run(*words)
    assert re.search(r"train \S+ (\(\S+\) )?parameters on", usual)
    assert "N and C of Kaplan’s fit: non-embedding N, Kaplan’s C." in usual
    for path in (estimates / example_sweep.SWEEP).glob("*.json"):
        found = json.loads(path.read_text(encoding="utf-8"))
        if found.get("counting") == {"params": "total", "flops": "6nd"}:
            found["counting"] = {"params": "active", "flops": "active"}
            path.write_text(json.dumps(found), encoding="utf-8")
    counted = run(*words)
    assert re.search(r"train \S+ (\(\S+\) )?active parameters on", counted)
    assert re.search(r"N and C of Mixture of laws.* and .*: active N, C of active N\.", counted)
