from __future__ import annotations

import itertools
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from tests.tiers import times
from tests.train.example_design import design

from isoflop.cli import main
from isoflop.counting import flops_per_token, params
from isoflop.errors import ConfigError
from isoflop.train.design import Design, LearningRate
from isoflop.train.plan_file import Plan, read_plan, write_plan
from isoflop.train.plan_sweep import (
    build_ladder,
    expected_optimum,
    norm_gains,
    peak_learning_rate,
    plan_design,
    plan_sweep,
    summary,
)
from isoflop.train.rate_law import RateLaw

TOY = plan_sweep("toy", design())
LAW = RateLaw(intercept=-3.0, params_exponent=-0.3, tokens_exponent=0.1, curvature=0.05)


def study_design(**changes: Any) -> Design:
    """A small design with all that a study has."""
    content = {
        "learning_rate": {
            "guess": {
                "rate": 4e-3, "params": 1e4, "tokens": 1e5,
                "params_exponent": -0.4, "tokens_exponent": -0.1,
            },
            "end_share": 0.1,
            "origin": "made up",
        },
        "ladder": {
            "smallest": 1e4, "largest": 2e5, "sizes": 9, "aspect": 12, "d_head": 8,
            "width_step": 4, "min_layers": 2,
        },
        "wings": 1,
        "seeds": "own",
        "tuning": [],
        "horizons": None,
        "check": None,
        "replicates": [{"budget": 1e10, "nearest": 2, "seeds": [1, 2]}],
        "rate_grid": {
            "rates": 3,
            "factor": 1.5,
            "cells": [
                {"params": 1e4, "tokens_per_param": 20},
                {"params": 2e4, "tokens_per_param": 10},
                {"params": 2e4, "tokens_per_param": 5},
            ],
        },
        "rate_checks": {"budget": 3e10, "params": [2e4], "factors": [2.0]},
        "batches": [
            {"budget": 3e10, "params": [3e4], "tokens_per_step": [64], "rate_exponent": 0.5},
        ],
        "trunks": {
            "params": [1e4], "tokens_per_param": [2, 5, 10], "decay_share": 0.2, "rate_share": 0.5,
        },
        "stages": [3e10, 1e11],
    }  # fmt: skip
    return design(**{**content, **changes})


STUDY = plan_sweep("study", study_design(), law=LAW)
SHIPPED = {path.stem: read_plan(path) for path in sorted(Path("data/plans").glob("*.yaml"))}
PLANS = {"toy": TOY, "study": STUDY, **SHIPPED}


@pytest.fixture(params=sorted(PLANS))
def plan(request: pytest.FixtureRequest) -> Plan:
    return PLANS[request.param]


def test_names_are_unique(plan: Plan) -> None:
    names = [run.run for run in plan.runs]
    assert len(set(names)) == len(names)


def test_budget_is_flops_times_tokens_within_a_step(plan: Plan) -> None:
    for run in plan.runs:
        per_token = flops_per_token(
            plan.flops_convention,
            params_total=run.params.total,
            params_nonembedding=run.params.nonembedding,
            params_with_head=run.params.with_head,
            architecture=run.architecture.architecture(),
        )
        assert per_token is not None
        assert run.tokens == run.steps * run.tokens_per_step
        assert run.flops == pytest.approx(per_token * run.tokens, rel=1e-12)
        if run.budget is not None:
            assert abs(run.flops - run.budget) <= per_token * run.tokens_per_step / 2


def test_params_are_those_of_counting_plus_norm_gains(plan: Plan) -> None:
    for run in plan.runs:
        shape = run.architecture.architecture()
        gains = norm_gains(run.architecture)
        for convention in ("total", "nonembedding", "with_head"):
            assert getattr(run.params, convention) == params(shape, convention) + gains


def test_architectures_are_real(plan: Plan) -> None:
    for run in plan.runs:
        shape = run.architecture
        assert shape.d_model % 4 == 0
        assert shape.heads * shape.d_head == shape.d_model
        assert shape.d_head % 2 == 0  # rotary positions turn pairs


def test_schedule_covers_exactly_the_run(plan: Plan) -> None:
    for run in plan.runs:
        last = 0.1 * run.lr_peak if run.schedule == "cosine" else 0.0
        assert run.rate(run.steps) == pytest.approx(last, rel=1e-4)
        assert run.rate(run.warmup_steps) == pytest.approx(run.lr_peak)
        assert 1 <= run.warmup_steps <= 0.05 * run.steps + 1


def test_sizes_recur_over_the_budgets(plan: Plan) -> None:
    rows: dict[float, set[int]] = {}
    for run in plan.runs:
        if run.purpose == "IsoFLOP":
            assert run.budget is not None
            rows.setdefault(run.budget, set()).add(run.params.total)
    assert len(rows) >= 3 or not rows  # a plan of tuning runs alone has none yet
    budgets = sorted(rows)
    for one, other in itertools.pairwise(budgets):
        assert len(rows[one] & rows[other]) >= len(rows[one]) // 2


@pytest.mark.parametrize("name", sorted(SHIPPED))
def test_shipped_rows_have_seven_sizes_and_more(name: str) -> None:
    runs = [run for run in SHIPPED[name].runs if run.purpose == "IsoFLOP"]
    for budget in {run.budget for run in runs}:
        assert sum(run.budget == budget for run in runs) >= 7


def test_rows_bracket_the_expected_optimum() -> None:
    for budget in design().budgets:
        optimum = expected_optimum(design().optimum, budget)
        sizes = sorted(
            run.params.total
            for run in TOY.runs
            if run.budget == budget and run.purpose == "IsoFLOP"
        )
        assert len(sizes) == 5
        assert sizes[1] <= optimum <= sizes[-2]


def test_horizons_of_a_size_span_sixteen(plan: Plan) -> None:
    tokens: dict[int, list[int]] = {}
    for run in plan.runs:
        if run.purpose in {"IsoFLOP", "horizon"}:
            tokens.setdefault(run.params.total, []).append(run.tokens)
    if not any(run.purpose == "horizon" for run in plan.runs):
        pytest.skip("the design asks for no horizons")
    for horizons in tokens.values():
        assert max(horizons) / min(horizons) >= 16 / 1.6
        assert len(horizons) >= 3


def test_check_runs_match_in_compute_and_differ_in_size() -> None:
    kaplan, chinchilla = (run for run in TOY.runs if run.role == "check")
    assert kaplan.flops == pytest.approx(chinchilla.flops, rel=0.01)
    assert kaplan.params.total == pytest.approx(3e4 * 10**0.73, rel=0.15)
    assert chinchilla.params.total == pytest.approx(3e4 * 10**0.5, rel=0.15)
    assert kaplan.params.total > chinchilla.params.total
    assert (kaplan.sized_by, chinchilla.sized_by) == ("kaplan", "chinchilla")
    assert {run.sized_by for run in TOY.runs if run.role != "check"} == {None}


def test_tuning_runs_have_their_role_and_rate() -> None:
    tuning = [run for run in TOY.runs if run.role == "tuning"]
    assert [run.lr_peak for run in tuning] == [1e-3, 2e-3]
    assert len({run.params.total for run in tuning}) == 1


def test_ladder_is_log_spaced() -> None:
    ladder = {"smallest": 1e6, "largest": 2e7, "sizes": 7, "aspect": 64, "d_head": 64}
    sizes = [size.params.total for size in build_ladder(design(ladder=ladder))]
    targets = [1e6 * 20 ** (rung / 6) for rung in range(7)]
    assert sizes == pytest.approx(targets, rel=0.25)


def test_small_ladder_climbs_and_repeats_no_size() -> None:
    # widths are multiples of 8, so small sizes are coarse, and two rungs may be one architecture
    sizes = [size.params.total for size in build_ladder(design())]
    assert sizes == sorted(set(sizes))
    assert 5 <= len(sizes) <= design().ladder.sizes


def test_learning_rate_passes_through_the_tuned_sizes() -> None:
    rule = design().learning_rate
    for point in rule.tuned:
        assert peak_learning_rate(rule, point.params) == pytest.approx(point.rate, rel=1e-3)


@settings(max_examples=times(40))
@given(x=st.floats(1e2, 1e8))
def test_learning_rate_of_two_points_is_a_power_law(x: float) -> None:
    rule = design().learning_rate
    assert peak_learning_rate(rule, x) == pytest.approx(6e-3 * (x / 5e3) ** -0.5, rel=6e-3)


def test_learning_rates_out_of_order_are_refused() -> None:
    rule = LearningRate.model_validate(
        {
            "tuned": [{"params": 2, "rate": 1}, {"params": 1, "rate": 2}],
            "end_share": 0.1,
            "origin": "made up",
        }
    )
    with pytest.raises(ConfigError, match="from small to large"):
        peak_learning_rate(rule, 1.5)


@pytest.mark.parametrize("name", ["toy", "study"])
def test_plan_survives_its_file(tmp_path: Path, name: str) -> None:
    plan = {"toy": TOY, "study": STUDY}[name]
    write_plan(tmp_path / "plan.yaml", plan)
    assert read_plan(tmp_path / "plan.yaml") == plan


@pytest.mark.parametrize("name", sorted(SHIPPED))
def test_shipped_plan_is_what_its_design_gives(name: str) -> None:
    path = Path(f"data/plans/designs/{name}.yaml")
    assert plan_design(path) == SHIPPED[name], f"run isoflop plan-sweep --design {path}"


def test_without_a_law_only_the_tuning_is_planned() -> None:
    plan = plan_sweep("study", study_design())
    assert {run.role for run in plan.runs} == {"tuning"}
    assert plan.runs == STUDY.runs[: len(plan.runs)]  # the rest comes behind, nothing changes


def test_design_is_refused_before_its_tuning_is_trained() -> None:
    with pytest.raises(ConfigError, match="fewer than 50"):
        plan_sweep("study", study_design(budgets=[1e8, 1e9, 1e11]))


def test_law_gives_the_rates_of_all_cosines() -> None:
    rows = [run for run in STUDY.runs if run.purpose.startswith("IsoFLOP")]
    assert len(rows) == 3 * 5 + 4
    for run in rows:
        assert run.lr_peak == pytest.approx(LAW.rate(run.params.total, run.tokens), rel=5e-3)


def test_rate_grid_is_centred_on_the_guess() -> None:
    for cell in {(run.params.total, run.tokens) for run in STUDY.runs if "law" in run.purpose}:
        rates = sorted(
            run.lr_peak
            for run in STUDY.runs
            if "law" in run.purpose and (run.params.total, run.tokens) == cell
        )
        guess = 4e-3 * (cell[0] / 1e4) ** -0.4 * (cell[1] / 1e5) ** -0.1
        assert rates == pytest.approx([guess / 1.5, guess, guess * 1.5], rel=0.01)


def test_every_run_has_weights_and_an_order_of_its_own() -> None:
    alone = [run for run in STUDY.runs if run.trunk is None]
    seeds = [seed for run in alone for seed in (run.seed_of_weights, run.seed_of_order)]
    assert len(set(seeds)) == len(seeds)
    assert {run.seed_of_order for run in TOY.runs} == {0, 1}  # shared, as novels-cpu had them


def test_wings_leave_a_rung_out_on_either_side() -> None:
    sizes = [size.params.total for size in build_ladder(study_design())]
    row = [r.params.total for r in STUDY.runs if r.purpose == "IsoFLOP" and r.budget == 3e10]
    places = [sizes.index(size) for size in row]
    assert len(places) == 5
    inner = places[1:-1]
    assert inner == list(range(inner[0], inner[0] + 3))
    assert (places[0], places[-1]) == (inner[0] - 2, inner[-1] + 2)
    # at the lower end of the ladder there is no wing on that side, and yet five sizes
    row = [r.params.total for r in STUDY.runs if r.purpose == "IsoFLOP" and r.budget == 1e10]
    assert len(row) == 5
    assert row[0] == sizes[0]


def test_replicates_are_the_cells_nearest_to_the_optimum() -> None:
    again = [run for run in STUDY.runs if run.purpose == "IsoFLOP, another seed"]
    assert sorted({run.seed for run in again}) == [1, 2]
    optimum = expected_optimum(study_design().optimum, 1e10)
    row = {r.params.total for r in STUDY.runs if r.purpose == "IsoFLOP" and r.budget == 1e10}
    nearest = sorted(row, key=lambda size: abs(math.log(size / optimum)))[:2]
    assert {run.params.total for run in again} == set(nearest)


def test_cooldowns_branch_where_their_decay_begins() -> None:
    trunks = {run.run: run for run in STUDY.runs if run.purpose.startswith("trunk")}
    cooldowns = [run for run in STUDY.runs if run.schedule == "cooldown"]
    assert len(trunks) == 1
    assert len(cooldowns) == 2
    names = [run.run for run in STUDY.runs]
    for run in cooldowns:
        trunk = trunks[str(run.trunk)]
        assert names.index(run.run) > names.index(trunk.run)
        assert run.trunk_step == run.steps - run.decay_steps
        assert run.trunk_step in trunk.branches
        assert run.decay_steps == pytest.approx(0.2 * run.steps, abs=1)
        assert run.seed_of_order == trunk.seed_of_order
        assert run.architecture == trunk.architecture
        # until the branch both have the same rates
        for step in (1, trunk.warmup_steps, run.trunk_step):
            assert run.rate(step) == trunk.rate(step)
        assert run.tokens / run.params.total in (
            pytest.approx(2, rel=0.05),
            pytest.approx(5, rel=0.05),
        )


def test_other_batches_take_the_root_of_their_rate() -> None:
    (small,) = (run for run in STUDY.runs if run.purpose == "another batch")
    (whole,) = (
        run
        for run in STUDY.runs
        if run.purpose == "IsoFLOP" and (run.budget, run.params) == (small.budget, small.params)
    )
    assert small.tokens_per_step == whole.tokens_per_step // 2
    assert small.lr_peak == pytest.approx(whole.lr_peak / 2**0.5, rel=0.01)
    assert small.tokens == pytest.approx(whole.tokens, rel=0.01)


def test_stages_come_in_order_of_budget() -> None:
    stages = list(dict.fromkeys(run.stage for run in STUDY.runs))
    assert stages == [
        "tuning", "rows to 3e+10", "trials to 3e+10", "trunks", "cooldowns", "rows to 1e+11"
    ]  # fmt: skip
    for run in STUDY.runs:
        if run.stage == "rows to 3e+10":
            assert run.budget in (1e10, 3e10)


def test_stages_that_end_below_the_largest_budget_are_refused() -> None:
    with pytest.raises(ConfigError, match="below the largest budget, 1e"):
        plan_sweep("study", study_design(stages=[3e10]), law=LAW)


def test_trials_outside_the_grid_are_refused() -> None:
    check = {"budget": 7e9, "params": [2e4], "factors": [2.0]}
    with pytest.raises(ConfigError, match="rate_checks: l2d24 is not planned at budget 7e"):
        plan_sweep("study", study_design(rate_checks=check), law=LAW)


def test_design_has_one_rule_of_rates() -> None:
    for rule in ({}, {"tuned": [{"params": 1e4, "rate": 1e-3}]}):
        with pytest.raises(ValidationError, match="give either two sizes or more"):
            design(learning_rate={"end_share": 0.1, "origin": "made up", **rule})


def test_too_many_sizes_for_the_ladder() -> None:
    with pytest.raises(ConfigError, match="the ladder has 6 sizes"):
        plan_sweep("toy", design(sizes_per_budget=40))


def test_too_short_a_run() -> None:
    with pytest.raises(ConfigError, match="fewer than 50"):
        plan_sweep("toy", design(tokens_per_step=1 << 16))


def test_replicates_outside_the_grid() -> None:
    cells = [{"budget": 7e9, "params": [1e4], "seeds": [1]}]
    with pytest.raises(ConfigError, match="not planned at budget 7e"):
        plan_sweep("toy", design(replicates=cells))


def test_replicates_of_the_same_seed() -> None:
    cells = [{"budget": 1e10, "params": [1e4], "seeds": [0]}]
    with pytest.raises(ConfigError, match="planned twice"):
        plan_sweep("toy", design(replicates=cells))


def test_summary_gives_flops_and_hours() -> None:
    total = math.fsum(run.flops for run in TOY.runs)
    assert f"total: {total:.4g} FLOPs (6nd)" in summary(TOY, throughput=None)
    assert "give --throughput" in summary(TOY, throughput=None)
    assert f"hours: {total / 1e9 / 3600:.3g} " in summary(TOY, throughput=1e9)


def test_command_writes_the_plan(tmp_path: Path) -> None:
    source = tmp_path / "designs" / "toy.yaml"
    source.parent.mkdir()
    source.write_text(design().model_dump_json())  # JSON is YAML
    out = tmp_path / "toy.yaml"
    arguments = ["--design", str(source), "--out", str(out)]
    result = CliRunner().invoke(main, ["plan-sweep", *arguments, "--throughput", "1e9"])
    assert result.exit_code == 0, result.output
    assert "hours:" in result.output
    assert read_plan(out) == TOY
    result = CliRunner().invoke(main, ["plan-sweep", "--design", str(tmp_path / "toys.yaml")])
    assert result.exit_code == 1
    assert "toys.yaml: cannot be read" in result.output


def test_planning_needs_no_torch(tmp_path: Path) -> None:
    """A plan is made on machines that train nothing."""
    program = (
        "import sys; sys.modules['torch'] = None; from isoflop.cli import main; main(sys.argv[1:])"
    )
    design = Path("data/plans/designs/novels-cpu.yaml").resolve()
    out = tmp_path / "plan.yaml"
    command = ["plan-sweep", "--design", str(design), "--out", str(out)]
    done = subprocess.run(
        [sys.executable, "-c", program, *command], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert read_plan(out) == SHIPPED["novels-cpu"]


def test_announced_sizes_are_tried_at_other_rates_last() -> None:
    ahead = {
        "budget": 1e12,
        "params": [2e4, 3e4],
        "rates": {"params": [2e4], "factors": [0.5, 2.0]},
    }
    design = study_design(announced=ahead)
    runs = plan_sweep("study", design, law=LAW).runs
    announced = next(run for run in runs if run.run.startswith("announced"))
    tried = [run for run in runs if run.purpose == "learning-rate tuning: announced size"]
    assert tried == list(runs[-2:])
    assert {run.role for run in tried} == {"tuning"}
    for run, factor in zip(tried, (0.5, 2.0), strict=True):
        assert (run.params, run.tokens) == (announced.params, announced.tokens)
        assert run.lr_peak == pytest.approx(factor * announced.lr_peak, rel=5e-3)
    wrong = {**ahead, "rates": {"params": [1e4], "factors": [2.0]}}
    with pytest.raises(ConfigError, match=r"announced\.rates: .* is not among the announced sizes"):
        plan_sweep("study", study_design(announced=wrong), law=LAW)
