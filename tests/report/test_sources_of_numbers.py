"""Each number of a table or sentence is the one that it is named for; distinct values tell."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from isoflop.approach import IN_PROSE, MIXTURE
from isoflop.escape import code
from isoflop.estimates.diagnostics import LATE, EnvelopeDiagnostics, expect
from isoflop.estimates.estimate import Bend
from isoflop.estimates.forecasts import Forecasts
from isoflop.estimates.mixture import Mixture
from isoflop.estimates.quantities import Quantity
from isoflop.numbers import NBSP, count, fixed, interval, percent, power
from isoflop.pairs import SIZED_BY
from isoflop.report.macros import _fixed, _num, numbers_tex
from isoflop.report.sections.captions import findings
from isoflop.report.sections.constants import constants_table
from isoflop.report.sections.curvature import curvature_sentences
from isoflop.report.sections.data import budget_table, data_facts, run_table
from isoflop.report.sections.diagnostics import form_rejected
from isoflop.report.sections.first_screen import headline_budget
from isoflop.report.sections.influence import influence_table
from isoflop.report.sections.ledger import ledger_table
from tests import example_sweep
from tests.report.conftest import empty_figures

if TYPE_CHECKING:
    from pathlib import Path

    from isoflop.report.inputs import ReportInputs


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> ReportInputs:
    root: Path = tmp_path_factory.mktemp("inputs")
    empty_figures(root)
    return example_sweep.write(root).report_inputs(root)


def distinct(numbers: dict[str, Any]) -> None:
    """Make sure that no two numbers could stand for one another."""
    assert len({*numbers.values()}) == len(numbers), numbers


def test_the_design_has_the_ends_of_each_budget(inputs: ReportInputs) -> None:
    table = budget_table(inputs)
    assert table is not None
    losses = dict(inputs.losses.filter("is_final").select("run", "loss").iter_rows())
    for row, values in zip(table.rows, table.data, strict=True):
        named = dict(zip(table.data_columns, values, strict=True))
        runs = [
            run
            for run in inputs.runs.iter_rows(named=True)
            if run["role"] == "fit" and run["budget"] == named["budget"]
        ]
        n, d = ([run[what] for run in runs] for what in ("params_total", "tokens"))
        loss = [losses[run["run"]] for run in runs]
        ends = {
            f"{name}_{end}": choose(each)
            for name, each in (("n", n), ("d", d), ("l", loss))
            for end, choose in (("low", min), ("high", max))
        }
        distinct(ends)
        assert {name: named[name] for name in ends} == ends
        assert (named["runs"], named["sizes"]) == (len(runs), len({*n}))
        assert row[3:] == [
            interval(ends["n_low"], ends["n_high"], count),
            interval(ends["d_low"], ends["d_high"], count),
            interval(ends["l_low"], ends["l_high"], fixed),
        ]


def test_seeds_whose_n_differ_by_a_millionth_are_of_one_size(inputs: ReportInputs) -> None:
    nudged = pl.col("params_total").cast(pl.Float64) * (1.0 + 1e-6)
    more = inputs.runs.with_columns(nudged, run=pl.col("run") + "-s1")
    runs = inputs.runs.with_columns(pl.col("params_total").cast(pl.Float64))
    seeded = replace(inputs, runs=pl.concat([runs, more]))
    assert data_facts(seeded).sizes == data_facts(inputs).sizes
    tables = budget_table(inputs), budget_table(seeded)
    single, several = ([row[2] for row in table.rows] for table in tables if table is not None)
    assert single == several


def test_the_ledger_counts_the_tuning_runs(inputs: ReportInputs) -> None:
    roles = inputs.runs["role"].to_list()
    first = inputs.runs.filter(role="tuning")["run"][0]
    fewer = replace(inputs, runs=inputs.runs.filter(pl.col("run") != first))
    assert (roles.count("tuning") - 1, roles.count("check")) == (1, 2)
    words = " ".join(cell for row in ledger_table(fewer).rows for cell in row)
    assert "1 tuning run in the sweep" in words.replace(NBSP, " ")


def test_every_macro_has_its_number(inputs: ReportInputs) -> None:
    chosen = inputs.recommended
    flops = headline_budget(inputs)
    assert chosen is not None
    assert flops is not None
    optimum = inputs.answered(flops)[chosen.key]
    assert optimum.loss is not None
    answer = chosen.answer
    quantities = {
        "N": (optimum.params, _num),
        "D": (optimum.tokens, _num),
        "Ratio": (optimum.tokens_per_param, _num),
        "Loss": (optimum.loss, _fixed),
        "A": (answer.a, _fixed),
        "B": (answer.b, _fixed),
        **{f"A{name}": (fit.a, _fixed) for name, fit in inputs.fitted.items()},
    }
    written = numbers_tex(inputs)
    assert fixed(answer.a.value) != fixed(answer.b.value)
    for name, (quantity, write) in quantities.items():
        for end, value in (
            ("", quantity.value),
            *zip(("Lo", "Hi"), quantity.intervals.get("0.95", ()), strict=False),
        ):
            assert f"{{\\isoMadeUp{name}{end}}}{{{write(value)}}}\n" in written


def test_influence_has_each_change_with_its_own_errors(inputs: ReportInputs) -> None:
    table = influence_table(inputs)
    assert table is not None
    influence = inputs.fitted["parametric"].influence
    assert influence is not None
    for run in influence.runs:
        errors = {
            "a": run.a_errors,
            "params": run.log_params_errors,
            "loss": run.log_loss_errors,
        }
        shown = {name: fixed(abs(value or 0.0), 1) for name, value in errors.items()}
        row = next(row for row in table.rows if run.run in row[0])
        assert [cell.split("(")[1] for cell in row[2:5]] == [f"{n})" for n in shown.values()]
        named = dict(
            zip(table.data_columns, next(v for v in table.data if run.run in v), strict=True)
        )
        for name, value in (
            ("a", run.a),
            ("a_errors", run.a_errors),
            ("log_params_opt", run.log_params),
            ("log_params_opt_errors", run.log_params_errors),
            ("log_loss_opt", run.log_loss),
            ("log_loss_opt_errors", run.log_loss_errors),
            ("studentised", run.studentised),
        ):
            assert named[name] == value
    # the recommended answer stands first
    assert isinstance(inputs.mixture, Mixture)
    told = inputs.mixture.model_copy(update={"influence": influence})
    with_mixture = influence_table(replace(inputs, mixture=told))
    assert with_mixture is not None
    labels = [row[1] for row in table.rows]
    assert [row[1] for row in with_mixture.rows] == [MIXTURE.label, MIXTURE.label, *labels]
    assert with_mixture.data[0][0] == MIXTURE.key
    assert "of the mixture the draws of each law move" in with_mixture.caption
    untold = inputs.mixture.model_copy(update={"influence": None})
    without = influence_table(replace(inputs, mixture=untold))
    assert without is not None
    assert "of the mixture" not in without.caption
    moving = next(row for row in table.rows if "hangs-on-me" in row[0])
    distinct(dict(enumerate(cell.split("(")[1] for cell in moving[2:5])))


def test_gophers_compute_lies_beyond_the_nearest_of_the_fits(inputs: ReportInputs) -> None:
    estimate = inputs.fitted["envelope"]
    near = estimate.model_copy(
        update={"flops_range": (1e10, inputs.reference.gopher_budget / 10.0**4.3)}
    )
    told = replace(inputs, estimates={**inputs.estimates, "envelope": near})
    assert "this sweep ends 4.3 decades below it" in findings(told)["allocations"]


def plain(sentence: str) -> str:
    return sentence.replace(NBSP, " ")


def test_the_envelopes_caption_has_its_own_shares(inputs: ReportInputs) -> None:
    estimate = inputs.fitted["envelope"]
    diagnostics = expect(estimate.diagnostics, EnvelopeDiagnostics)
    other = diagnostics.model_copy(update={"late_winners": 0.37, "points_fitted": 53})
    told = estimate.model_copy(update={"diagnostics": other})
    caption = findings(replace(inputs, estimates={**inputs.estimates, "envelope": told}))
    exponents = {name: fixed(fit.a.value) for name, fit in inputs.fitted.items()}
    distinct({**exponents, "b": fixed(estimate.b.value)})
    assert caption["training_curves"].startswith(
        f"**The envelope gives *a* = {exponents['envelope']}"
    )
    assert caption["isoflop_profiles"].startswith(
        f"**The minima give *a* = {exponents['profiles']}"
    )
    assert "37 % of its 53 fitted points were measured in the last 15 % of a run" in plain(
        caption["training_curves"]
    )
    assert LATE == 0.85


def test_the_caption_of_predictions_has_the_spread_of_sizes_at_both_ends(
    inputs: ReportInputs,
) -> None:
    sentence = plain(findings(inputs)["predictions"])
    ends = (inputs.budgets[0], inputs.budgets[-1])
    spreads = []
    for flops in ends:
        sizes = [
            float(fit.params_opt(flops))
            for fit in inputs.fitted.values()
            if fit.counting.params == "total"
        ]
        spreads.append(plain(f"by {percent(max(sizes) / min(sizes) - 1.0)} at {power(flops)}"))
    distinct(dict(enumerate(spreads)))
    assert f"differ {spreads[0]} FLOPs and {spreads[1]} FLOPs." in sentence


@pytest.mark.parametrize(("error", "way"), [(0.05, "high"), (-0.05, "low")])
def test_the_caption_of_forecasts_has_the_side_of_their_errors(
    inputs: ReportInputs, error: float, way: str
) -> None:
    """The example's parametric loss is predicted too high by .05, and no other's is off."""
    forecasts = inputs.forecasts
    assert isinstance(forecasts, Forecasts)
    moved = json.loads(forecasts.model_dump_json())
    for cut in moved["cuts"]:
        for each in cut["forecasts"]:
            for score in each["scores"]:
                if each["approach"] == "parametric" and score["quantity"] == "loss":
                    score["bias"] = error
                    ends = sorted((0.5 * error, 1.5 * error))
                    score["bias_intervals"] = dict.fromkeys(score["bias_intervals"], ends)
    other = replace(inputs, forecasts=Forecasts.model_validate(moved))
    assert plain(findings(other)["forecast"]) == (
        f"**Beyond the cut {IN_PROSE['parametric']} predicts losses too {way} by 0.0500 nats per "
        "token.**"
    )


def test_the_caption_of_specifications_has_their_ends_and_middle(inputs: ReportInputs) -> None:
    a = inputs.specifications["a"].drop_nulls()
    numbers = {"low": fixed(a.min()), "high": fixed(a.max()), "median": fixed(a.median())}  # type: ignore[arg-type]
    distinct(numbers)
    assert findings(inputs)["specifications"] == (
        f"**The same runs give *a* from {numbers['low']} to {numbers['high']} over {a.len()} ways "
        f"to analyse them, with a median of {numbers['median']}.**"
    )


def test_the_captions_of_check_runs_name_the_size_of_the_lower_loss(inputs: ReportInputs) -> None:
    pair = inputs.losses.filter(role="check", is_final=True).sort("loss")
    low, high = pair["loss"].to_list()
    by = f"by {SIZED_BY[pair['sized_by'][0]]}"
    captions = {name: plain(sentence) for name, sentence in findings(inputs).items()}
    assert captions["check_curves"] == (
        f"**Where training ends, the size {by} has the lower loss, by "
        f"{fixed(high - low, 4)} nats per token.**"
    )
    assert captions["check_pair"].startswith(
        f"**The size {by} reached the lower loss, by {fixed(high - low, 4)} nats"
    )


def test_the_caption_of_bends_has_each_with_its_interval(inputs: ReportInputs) -> None:
    bends = {name: Quantity(value=value, intervals={"0.8": (value - 0.01, value + 0.02),
                                                   "0.95": (value - 0.03, value + 0.05)})
             for name, value in (("envelope", -0.1), ("profiles", 0.2))}  # fmt: skip
    estimates = {
        name: inputs.fitted[name].model_copy(
            update={"curvature": Bend(per_decade=bend, thirds=None, draws=9, reason=None)}
        )
        for name, bend in bends.items()
    }
    told = findings(replace(inputs, estimates={**inputs.estimates, **estimates}))["bend"]
    for name, bend in bends.items():
        ends = interval(*bend.intervals["0.95"], fixed)
        between = " to " if bend.value < 0.0 else "–"
        assert between in ends
        assert f"{IN_PROSE[name]} by {fixed(bend.value)} (95 %: {ends})" in plain(told)


def test_the_caption_of_residuals_names_the_approaches_whose_form_is_rejected(
    inputs: ReportInputs,
) -> None:
    rejected = [name for name, estimate in inputs.fitted.items() if form_rejected(estimate)]
    assert 0 < len(rejected) < len(inputs.fitted)
    caption = plain(findings(inputs)["residuals"])
    for name in inputs.fitted:
        assert (IN_PROSE[name] in caption) == (name in rejected)
    others = {name: fit for name, fit in inputs.fitted.items() if name not in rejected}
    assert findings(replace(inputs, estimates=others))["residuals"] == (
        "**A score test rejects no law’s form.**"
    )


def test_the_table_of_runs_has_each_runs_own_numbers(inputs: ReportInputs) -> None:
    table = run_table(inputs)
    losses = dict(inputs.losses.filter("is_final").select("run", "loss").iter_rows())
    shown = {row[0]: row for row in table.rows}
    for run in inputs.runs.iter_rows(named=True):
        n, d = run["params_total"], run["tokens"]
        cells = [count(n), count(d), fixed(d / n, 1), power(6.0 * n * d)]
        row = shown[code(run["run"])]
        assert [cell.strip("[").partition("]")[0] for cell in row[2:6]] == cells
        if run["run"] in losses:
            assert fixed(losses[run["run"]], 4) in row[6]


def test_the_span_of_compute_is_6nd_of_the_fitted_runs(inputs: ReportInputs) -> None:
    finals = inputs.losses.filter(role="fit", is_final=True)
    spans = {
        column: interval(finals[column].min(), finals[column].max(), power)  # type: ignore[arg-type]
        for column in ("flops_6nd", "flops_kaplan")
    }
    distinct(spans)
    assert data_facts(inputs).flops == spans["flops_6nd"]


def test_constants_have_the_ends_of_the_level_that_they_are_named_for(
    inputs: ReportInputs,
) -> None:
    table = constants_table(inputs)
    assert table is not None
    for values in table.data:
        named = dict(zip(table.data_columns, values, strict=True))
        if (estimate := inputs.fitted.get(named["law"])) is None:  # a law of the set
            continue
        if (quantity := estimate.parameters.get(named["parameter"])) is None:
            continue
        for level, percentage in (("0.8", 80), ("0.95", 95)):
            ends = named[f"lo{percentage}"], named[f"hi{percentage}"]
            assert ends == quantity.intervals.get(level, (None, None))


@pytest.mark.parametrize(
    ("value", "way", "pace"), [(0.03, "rises", "faster"), (-0.03, "falls", "more slowly")]
)
def test_a_bend_is_told_by_its_sign(
    inputs: ReportInputs, value: float, way: str, pace: str
) -> None:
    ends = (value - 0.01, value + 0.01)
    bend = Bend(
        per_decade=Quantity(value=value, intervals={"0.8": ends, "0.95": ends}),
        thirds=None,
        draws=9,
        reason=None,
    )
    estimate = inputs.fitted["envelope"].model_copy(update={"curvature": bend})
    told = replace(inputs, estimates={"envelope": estimate})
    (sentence,) = curvature_sentences(told)
    assert f"*a* {way} by 0.030 per decade" in sentence
    assert f"*N*\\* grows {pace} than" in sentence
