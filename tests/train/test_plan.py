from __future__ import annotations

import itertools
import math
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.train.example_design import design

from isoflop.cli import main
from isoflop.counting import flops_per_token, params
from isoflop.errors import ConfigError
from isoflop.train.design import TrainLearningRate
from isoflop.train.plan_file import Plan, read_plan, write_plan
from isoflop.train.plan_sweep import (
    build_ladder,
    expected_optimum,
    norm_gains,
    peak_learning_rate,
    plan_sweep,
    summary,
)

TOY = plan_sweep("toy", design())
SHIPPED = {path.stem: read_plan(path) for path in sorted(Path("data/plans").glob("*.yaml"))}
PLANS = {"toy": TOY, **SHIPPED}


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
        assert shape.d_model % 8 == 0
        assert shape.heads * shape.d_head == shape.d_model
        assert shape.d_head % 2 == 0  # rotary positions turn pairs


def test_schedule_covers_exactly_the_run(plan: Plan) -> None:
    for run in plan.runs:
        assert run.lr_end == pytest.approx(0.1 * run.lr_peak, rel=1e-4)
        assert 1 <= run.warmup_steps <= 0.05 * run.steps + 1


def test_sizes_recur_over_the_budgets(plan: Plan) -> None:
    rows: dict[float, set[int]] = {}
    for run in plan.runs:
        if run.purpose == "IsoFLOP":
            assert run.budget is not None
            rows.setdefault(run.budget, set()).add(run.params.total)
    assert len(rows) >= 3
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
    for horizons in tokens.values():
        assert max(horizons) / min(horizons) >= 16 / 1.6
        assert len(horizons) >= 3


def test_check_runs_match_in_compute_and_differ_in_size() -> None:
    kaplan, chinchilla = (run for run in TOY.runs if run.role == "check")
    assert kaplan.flops == pytest.approx(chinchilla.flops, rel=0.01)
    assert kaplan.params.total == pytest.approx(3e4 * 10**0.73, rel=0.15)
    assert chinchilla.params.total == pytest.approx(3e4 * 10**0.5, rel=0.15)
    assert kaplan.params.total > chinchilla.params.total


def test_tuning_runs_have_their_role_and_rate() -> None:
    tuning = [run for run in TOY.runs if run.role == "tuning"]
    assert [run.lr_peak for run in tuning] == [1e-3, 2e-3]
    assert len({run.params.total for run in tuning}) == 1


def test_ladder_is_log_spaced() -> None:
    ladder = {"smallest": 1e6, "largest": 1e8, "sizes": 9, "aspect": 64, "d_head": 64}
    sizes = [size.params.total for size in build_ladder(design(ladder=ladder))]
    targets = [1e6 * 100 ** (rung / 8) for rung in range(9)]
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


@settings(max_examples=40)
@given(x=st.floats(1e2, 1e8))
def test_learning_rate_of_two_points_is_a_power_law(x: float) -> None:
    rule = design().learning_rate
    assert peak_learning_rate(rule, x) == pytest.approx(6e-3 * (x / 5e3) ** -0.5, rel=6e-3)


def test_learning_rates_out_of_order_are_refused() -> None:
    rule = TrainLearningRate.model_validate(
        {
            "tuned": [{"params": 2, "rate": 1}, {"params": 1, "rate": 2}],
            "end_share": 0.1,
            "origin": "made up",
        }
    )
    with pytest.raises(ConfigError, match="from small to large"):
        peak_learning_rate(rule, 1.5)


def test_plan_survives_its_file(tmp_path: Path) -> None:
    write_plan(tmp_path / "plan.yaml", TOY)
    assert read_plan(tmp_path / "plan.yaml") == TOY


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
