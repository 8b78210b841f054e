"""The Python interface: a frame or a folder in, estimates and answers out."""

from __future__ import annotations

import doctest
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest

import isoflop
from isoflop import interface
from isoflop.approach import MIXTURE, NAMES
from isoflop.approaches.mix_laws import mix_laws
from isoflop.approaches.observations import observe, rate_cautions, seed_noise
from isoflop.config.approaches import ApproachesSettings, CountingSettings
from isoflop.errors import IsoflopError
from isoflop.estimates.allocation import optima_at
from isoflop.estimates.draws import Draws
from isoflop.estimates.estimate import Estimate
from isoflop.estimates.mixture import Mixture, NoMixture
from isoflop.laws import ChinchillaLaw
from isoflop.limits import LIMITS
from isoflop.numbers import fixed, interval
from tests.ingest.samples import jsonl, run_lines

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import Any

ASKED = ("profiles", "parametric", "nested", "root", "kaplan_law", "product")
UNCHECKED = {"simulations": 0}
LAW = ChinchillaLaw(E=1.7, A=406.0, B=411.0, alpha=0.34, beta=0.28)


@pytest.fixture(scope="module")
def frame() -> pl.DataFrame:
    """Five budgets of seven sizes, with noise."""
    generator = np.random.default_rng(3)
    rows = []
    for budget in np.geomspace(1e18, 1e20, 5):
        for factor in np.geomspace(0.25, 4.0, 7):
            n = float(LAW.params_opt(budget)) * factor
            d = budget / (6.0 * n)
            noise = float(np.exp(generator.normal(0.0, 0.002)))
            loss = float(LAW.loss(n, d)) * noise
            rows.append({"params": n, "tokens": d, "loss": loss, "budget": float(budget)})
    return pl.DataFrame(rows)


@pytest.fixture(scope="module")
def fit(frame: pl.DataFrame) -> isoflop.Fit:
    sweep = isoflop.read(frame, name="made up")
    return sweep.fit(
        ASKED, draws=60, interval="percentile", forecasts=False, settings={"mixture": UNCHECKED}
    )


def test_a_frame_is_fitted_and_asked(fit: isoflop.Fit) -> None:
    assert fit.estimates.keys() == set(ASKED)
    a = fit.estimates["parametric"].a
    assert a.value == pytest.approx(LAW.a, abs=0.03)
    answers = fit.allocate(1e21)
    own = {one.law: one.allocation for one in answers.laws}
    found = own["parametric"]
    assert found is not None
    assert found.params.value == pytest.approx(float(LAW.params_opt(1e21)), rel=0.15)
    low, high = found.params.intervals["0.95"]
    assert low < found.params.value < high
    assert answers.laws[0].law == answers.recommended == "mixture"
    best = answers.laws[0].allocation
    assert best is not None
    assert isinstance(fit.mixture, Mixture)
    (optimum,) = optima_at(fit.mixture, Draws.of(fit.mixture_draws), [1e21])
    assert best.params == optimum.params
    assert own["Hoffmann L(N, D)"] is not None


def test_a_fit_tells_of_its_steps_and_what_percentiles_withhold(frame: pl.DataFrame) -> None:
    told: list[str] = []
    sweep = isoflop.read(frame, name="made up")
    fit = sweep.fit(
        ["parametric"], draws=60, interval="percentile", forecasts=False, tell=told.append
    )
    assert told == [f"1 of 2: {NAMES['parametric']}", f"2 of 2: {MIXTURE.label}"]
    assert all(law.covers is None for law in fit.allocate(1e21).laws)


def test_cautions_are_counted_where_the_fit_shows_itself(fit: isoflop.Fit) -> None:
    quick = {"draws": 40, "interval": "percentile"}
    frame = fit.sweep.losses.filter("is_final").select(
        "tokens", "loss", "budget", params="params_total"
    )
    twice = isoflop.read(pl.concat([frame, frame]))
    doubled = twice.fit(["parametric"], forecasts=False, **quick)
    (cautions,) = doubled.cautions.values()
    assert any("tokens and losses of another" in caution for caution in cautions)
    said = f"{len(cautions)} cautions of these fits: .cautions"
    assert said in repr(doubled)
    assert said in doubled._repr_html_()


def test_the_mixture_is_checked_and_calibrated_as_the_command_does_it(
    frame: pl.DataFrame,
) -> None:
    laws = ("parametric", "kaplan_law")
    own = {
        "bootstrap": {"simulations": 50, "draws": 40},
        "parametric": {"starts": "coarse"},
        "mixture": {"laws": list(laws), "simulations": 20, "simulation_draws": 40},
    }
    fit = isoflop.read(frame).fit(laws, settings=own, forecasts=False, threads=1)
    mixture, draws = mix_laws(
        fit.outcomes, {name: Draws.of(table) for name, table in fit.draws.items()},
        fit.forecasts, ApproachesSettings.model_validate(own), sweep=fit.sweep.name,
        provenance=fit.mixture.provenance, losses=fit.sweep.losses,
    )  # fmt: skip
    assert fit.mixture == mixture
    assert isinstance(mixture, Mixture)
    assert mixture.placed
    assert mixture.unchecked is None
    assert fit.mixture_draws.equals(draws)
    assert fit.forecasts.settings.bootstrap.draws == 40


def test_settings_of_a_fit_may_name_their_section(fit: isoflop.Fit) -> None:
    quick = {"draws": 40, "interval": "percentile"}
    own = {"parametric": {"objective": "mse"}}
    one, other = (
        fit.sweep.fit(["parametric"], settings=settings, forecasts=False, **quick)
        for settings in (own, {"approaches": own})
    )
    assert one.estimates["parametric"].a == other.estimates["parametric"].a
    assert one.estimates["parametric"].settings.parametric.objective == "mse"


def test_results_show_themselves(fit: isoflop.Fit) -> None:
    answers = fit.allocate(loss=2.5)
    assert str(answers).startswith("a loss of 2.5")
    page = answers._repr_html_()
    # each row has a cell under every head, or one under all of them
    heads = page.count("<th>")
    for row in page.split("<tr>")[2:]:
        assert row.count("<td") == heads or f'<td colspan="{heads}">' in row
    assert page.count("<tr>") == len(answers.laws) + 1
    assert "Mixture of laws" in page
    assert "Mixture of laws" in repr(fit)
    for outcome in (fit.mixture, *fit.outcomes.values()):
        if isinstance(outcome, Estimate | Mixture) and "0.95" in outcome.a.intervals:
            assert interval(*outcome.a.intervals["0.95"], fixed) in repr(fit)
    assert "2 Profiles" in repr(fit)
    assert "<table>" in fit._repr_html_()
    picture = fit.plot()
    assert picture._repr_svg_().startswith("<svg")
    assert "Tokens per parameter" in picture.alt


def test_without_the_laws_an_approach_is_recommended(frame: pl.DataFrame) -> None:
    sweep = isoflop.read(frame, name="made up")
    fit = sweep.fit(("profiles",), draws=20, interval="percentile", forecasts=False)
    a = fit.estimates["profiles"].a
    assert a.intervals["0.95"] != a.intervals["0.8"]
    assert f"{fixed(a.value)}  {interval(*a.intervals['0.95'], fixed)}" in repr(fit)
    assert isinstance(fit.mixture, NoMixture)
    assert "root" in fit.mixture.refused
    assert fit.allocate(1e21).recommended == "profiles"


def test_names_are_harmless_in_a_notebook(frame: pl.DataFrame) -> None:
    sweep = isoflop.read(frame, name="<script>alert(1)</script>")
    assert "<script" not in sweep._repr_html_()


def test_a_frame_of_curves_ends_in_final_losses() -> None:
    curves = pl.DataFrame({
        "run": ["a", "a", "b"], "params": [1e6, 1e6, 2e6], "tokens": [1e8, 2e8, 1e8],
        "loss": [3.2, 3.0, 3.1],
    })  # fmt: skip
    losses = isoflop.read(curves).losses
    assert losses.filter("is_final")["loss"].to_list() == [3.0, 3.1]
    assert losses["flops_6nd"].to_list() == [6e14, 1.2e15, 1.2e15]


def test_what_a_frame_lacks_is_named() -> None:
    with pytest.raises(IsoflopError, match="lacks tokens; it needs params, tokens, loss"):
        isoflop.read(pl.DataFrame({"params": [1.0], "loss": [2.0]}))
    with pytest.raises(IsoflopError, match="cannot read a sweep from list"):
        isoflop.read([1, 2])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"loss": ["3.1", "high"]}, "row 1 (run 'b') has loss 'high', which is not a number"),
        ({"loss": [True, False]}, "row 0 (run 'a') has loss 'True', which is not a number above 0"),
        ({"loss": [[1.0], [2.0]]}, "row 0 (run 'a') has loss '[1.0]'"),
        ({"loss": [3.0, None]}, "row 1 (run 'b') has loss 'None'"),
        ({"tokens": [float("nan"), 0.0]}, "has tokens 'nan', which is not a number above 0 (and 1"),
        ({"params": [1e6, -2e6]}, "row 1 (run 'b') has params '-2000000.0'"),
        ({"params": [1e6, 1e300]}, "row 1 (run 'b') has params '1e+300'"),
        ({"params_active": [None, -1.0]}, "row 1 (run 'b') has params_active '-1.0'"),
        ({"params_active": [0.0, 1e6]}, "row 0 (run 'a') has params_active '0.0'"),
        ({"params_active": [2e6, 1e6]}, "params_active '2000000.0', which is more than all its"),
        ({"params_nonembedding": [2e6, 1e6]}, "which is more than all its params"),
        ({"seed": [0, -1]}, "row 1 (run 'b') has seed '-1', which is not a whole number from 0"),
        ({"seed": [0.5, 1]}, "row 0 (run 'a') has seed '0.5'"),
        ({"run": ["a", None]}, "row 1 has no name of a run: name it, or drop the column run"),
        ({"run": ["a", "a"]}, "run 'a' has 2 values of params (1e+06, 2e+06): rows of one run"),
        ({"run": ["a", "a"], "params": [1e6, 1e6], "budget": [1e15, 2e15]},
         "run 'a' has 2 values of budget"),
        ({"run": ["a", "a"], "params": [1e6, 1e6], "tokens": [1e8, 1e8]},
         "row 0 (run 'a') has 1e+08 tokens as another row of its run"),
        ({"params": [], "tokens": [], "loss": [], "run": []}, "the frame has no rows"),
    ],
)  # fmt: skip
def test_a_row_that_is_no_loss_is_named(changes: dict[str, list[object]], words: str) -> None:
    given = {"params": [1e6, 2e6], "tokens": [1e8, 2e8], "loss": [3.1, 3.0], "run": ["a", "b"]}
    frame = pl.DataFrame({**given, **changes}, strict=False)
    with pytest.raises(IsoflopError, match=re.escape(words)):
        isoflop.read(frame)


def test_trials_of_rates_in_a_frame_are_told_and_can_be_left_out() -> None:
    runs = pl.DataFrame(
        {
            "run": ["a", "b", "c", "d", "e"],
            "params": [1e6, 1e6, 1e6, 1e6, 2e6],
            "tokens": [1e8, 1e8, 1e8, 1e8, 5e7],
            "loss": [3.101, 3.3, 3.121, 3.2, 3.2],
            "lr_peak": [1e-3, 2e-3, 1e-3, None, 5e-4],
        }
    )
    with pytest.warns(UserWarning, match="3 runs of the frame differ .* keeps the lowest loss"):
        everything = isoflop.read(runs)
    assert everything.losses["run"].to_list() == ["a", "b", "c", "d", "e"]
    assert everything.left_out["item"].to_list() == ["a", "c", "b"]
    observations = observe(everything.losses, CountingSettings())
    assert observations.worse_rates == {"b": (2e-3, 1e-3)}
    (told,) = rate_cautions(observations)
    assert told.startswith("1 of 5 runs has a worse peak learning rate than another of the same N")
    assert "(b at 0.002 beside 0.001)" in told
    best = isoflop.read(runs, settings={"losses": {"rates": "best"}})
    assert rate_cautions(observe(best.losses, CountingSettings())) == []
    # c is a replicate of the best rate, and the rate of d is not known
    assert best.losses["run"].to_list() == ["a", "c", "d", "e"]
    noise = seed_noise(observe(everything.losses, CountingSettings()))
    assert noise is not None
    # a and c alone differ in their seed, if in anything
    assert (noise.cells, noise.freedom) == (1, 1)
    assert noise.sd == pytest.approx(0.02 / 2**0.5)
    (reason,) = best.left_out["reason"]
    assert "its peak learning rate 0.002 reached 3.3000 nats, and 0.001 3.1010" in reason
    assert best.left_out["points"].to_list() == [1]
    with pytest.raises(IsoflopError, match="lr_peak"):
        isoflop.read(runs.with_columns(lr_peak=pl.Series([1e-3, -1.0, 1e-3, None, 5e-4])))


def test_batches_schedules_and_data_of_a_frame_tell_its_runs_apart() -> None:
    runs = pl.DataFrame(
        {
            "params": [1e6] * 4,
            "tokens": [1e8] * 4,
            "loss": [3.1, 3.3, 3.12, 3.2],
            "tokens_per_step": [1e5, 1e5, 1e5, None],
            "schedule_kind": ["cosine", "cosine", "cosine", None],
            "dataset": ["a", "b", "a", "a"],
        }
    )
    losses = isoflop.read(runs).losses
    assert losses["dataset"].to_list() == ["a", "b", "a", "a"]
    noise = seed_noise(observe(losses, CountingSettings()))
    assert noise is not None
    assert (noise.cells, noise.freedom) == (1, 2)
    curve = runs.with_columns(run=pl.lit("x"), tokens=pl.Series([1e8, 2e8, 3e8, 4e8]))
    with pytest.raises(IsoflopError, match="run 'x' has 2 values of schedule_kind"):
        isoflop.read(curve.drop("tokens_per_step", "dataset"))


def test_numbers_of_a_frame_may_be_text_and_all_faults_are_told() -> None:
    text = pl.DataFrame({"params": ["1e6"], "tokens": [" 1e8"], "loss": ["3.1"], "seed": ["1"]})
    losses = isoflop.read(text).losses
    assert losses.select("params_total", "tokens", "loss", "seed").row(0) == (1e6, 1e8, 3.1, 1)
    wrong = pl.DataFrame({"params": [-1.0], "tokens": [0.0], "loss": [None], "budget": [0.0]})
    with pytest.raises(IsoflopError, match=r"params.*; .*tokens.*; .*loss.*; .*budget"):
        isoflop.read(wrong)


def test_one_question_at_a_time(fit: isoflop.Fit) -> None:
    with pytest.raises(IsoflopError, match=r"ask one question: allocate\(flops\), or loss=, "):
        fit.allocate(1e21, loss=2.0)
    with pytest.raises(IsoflopError, match="are one question: give one of them"):
        fit.allocate(ratio=20.0, tokens_per_param=20.0)
    assert str(fit.allocate(ratio=20.0)) == str(fit.allocate(tokens_per_param=20.0))


@pytest.mark.parametrize("number", [int, np.int64, np.float32, np.float64])
def test_integers_and_scalars_of_numpy_are_numbers(
    fit: isoflop.Fit, number: Callable[[int], Any]
) -> None:
    """Whatever is asked for, and what goes with it: limits allow integers beyond 64 bits."""
    large = int if number is int else np.float64
    for asked, value in (
        ({"flops": number(10**18)}, {"flops": 1e18}),
        ({"params": number(10**9), "served": number(10**10)}, {"params": 1e9, "served": 1e10}),
        ({"flops": large(10**21)}, {"flops": 1e21}),
        ({"params": large(10**20)}, {"params": 1e20}),
    ):
        plain = fit.allocate(**{name: float(one) for name, one in asked.items()})
        found = fit.allocate(**asked)
        assert type(found.value) is float
        assert found == plain
        assert found.value == pytest.approx(next(iter(value.values())), rel=1e-6)


def test_examples_are_true() -> None:
    assert doctest.testmod(interface).failed == 0
    assert doctest.testmod(isoflop).failed == 0


def test_a_folder_is_read(tmp_path: Path) -> None:
    (tmp_path / "runs.csv").write_text("N,D,L\n1e6,1e8,3.1\n2e6,5e7,3.2\n", encoding="utf-8")
    (tmp_path / "sweep.yaml").write_text(
        "title: t\ntable:\n  rows: runs\n  columns: {params.total: N, tokens: D, eval_loss: L}\n",
        encoding="utf-8",
    )
    sweep = isoflop.read(tmp_path, name="two")
    assert sweep.losses["loss"].to_list() == [3.1, 3.2]
    assert sweep.name == "two"


def test_a_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "runs.csv"
    path.write_text("run,n_params,tokens,val_loss\na,1e6,1e8,3.1\nb,2e6,5e7,3.2\n")
    sweep = isoflop.read(path)
    assert sweep.name == "runs"
    assert sweep.losses["loss"].to_list() == [3.1, 3.2]
    (tmp_path / "sweep.yaml").write_text("title: t\n")
    with pytest.raises(IsoflopError, match=r"lies beside a sweep\.yaml, which is of its folder"):
        isoflop.read(str(path))


@pytest.mark.parametrize(
    ("names", "unit"),
    [
        (("name", "n_params", "train_tokens", "val_loss"), 1.0),
        (("run", "params (M)", "tokens (M)", "final_loss"), 1e6),
        (("model", "N", "D", "L_val"), 1.0),
    ],
)
def test_columns_of_a_frame_have_the_names_of_a_csv(names: tuple[str, ...], unit: float) -> None:
    cells = [["a", "b"], [1e6 / unit, 2e6 / unit], [1e8 / unit, 5e7 / unit], [3.1, 3.2]]
    losses = isoflop.read(pl.DataFrame(dict(zip(names, cells, strict=True)))).losses
    assert losses.select("params_total", "tokens", "loss").rows() == [
        (1e6, 1e8, 3.1),
        (2e6, 5e7, 3.2),
    ]


def test_losses_of_several_sets_in_a_frame_are_asked_about() -> None:
    rows = {"N": [1e6, 2e6], "D": [1e8, 5e7], "val/c4/loss": [3.1, 3.2], "val/web/loss": [3.0, 3.1]}
    with pytest.raises(
        IsoflopError, match="several eval sets, val/c4/loss, val/web/loss: name one"
    ):
        isoflop.read(pl.DataFrame(rows))


def test_settings_of_a_folder_and_of_a_call_are_laid_over_the_defaults(tmp_path: Path) -> None:
    for run in ("a", "b"):
        (tmp_path / f"{run}.jsonl").write_text(jsonl(run_lines(run, steps=60)), encoding="utf-8")
    sidecar = "title: t\nsettings: {losses: {loss: train}, approaches: {bootstrap: {draws: 50}}}\n"
    (tmp_path / "sweep.yaml").write_text(sidecar, encoding="utf-8")
    sweep = isoflop.read(tmp_path)
    assert sweep.losses["loss_source"].unique().to_list() == ["train"]
    assert sweep.settings == {"bootstrap": {"draws": 50}}
    again = isoflop.read(tmp_path, settings={"losses": {"loss": "eval"}})
    assert again.losses["loss_source"].unique().to_list() == ["eval"]
    fit = again.fit(["profiles"], forecasts=False)
    used = fit.outcomes["profiles"].settings.model_dump()
    assert used["bootstrap"]["draws"] == 50
    with pytest.raises(IsoflopError, match=r"unknown key 'los' in settings\.losses"):
        isoflop.read(tmp_path, settings={"losses": {"los": "eval"}})


def test_the_package_runs_as_a_module_and_groups_its_help() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "isoflop", "--help"], check=True, capture_output=True, text=True
    )
    assert done.stdout.startswith("Usage: isoflop ")
    titles = [
        "From a folder of raw logs to its report:",
        "Ask:",
        "Each step by itself:",
        "Plan and train a sweep:",
        "Settings:",
    ]
    places = [done.stdout.index(title) for title in titles]
    assert places == sorted(places)
    # no sentence is cut
    assert "..." not in done.stdout.partition("\n")[2]


def test_every_subcommand_is_in_one_group() -> None:
    from isoflop.cli import COMMANDS, GROUPS, room_of

    rooms = [room for group in GROUPS.values() for room in group]
    assert len(rooms) == len(set(rooms))
    assert {room_of(place) for place in COMMANDS.values()} == set(rooms)


def test_a_column_of_a_frame_that_is_not_read_is_told() -> None:
    rows = {"params": [1e6, 2e6], "tokens": [1e8, 1e8], "loss": [3.0, 2.9]}
    frame = pl.DataFrame(rows | {"budgets": [1.0, 1.0], "val_bpb": [1.0, 0.9]})
    with pytest.warns(UserWarning, match=r"not read: 'budgets', 'val_bpb'; .* budget,") as told:
        losses = isoflop.read(frame).losses
    assert told[0].filename == __file__
    assert losses["budget"].null_count() == 2


def test_a_folder_that_is_not_there_and_a_number_in_quotes_are_told_of(tmp_path: Path) -> None:
    with pytest.raises(IsoflopError, match=f"there is no folder {re.escape(str(tmp_path))}/none"):
        isoflop.read(tmp_path / "none")
    for value, words in (
        ("1e21", "and '1e21' is no number: leave the quotation marks out$"),
        ("7B", "and '7B' is no number: leave the quotation marks out, and write 7e9$"),
        ("seven", "and 'seven' is no number$"),
        (True, "True"),
    ):
        with pytest.raises(IsoflopError, match=words):
            LIMITS["flops"].require(value)
