from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from isoflop.config.reading import read_yaml
from isoflop.train.design import TrainDesign
from isoflop.train.measured import (
    Finished,
    MeasuredError,
    finished_runs,
    optimum_at,
    tuned_sizes,
)
from isoflop.train.plan_file import read_plan
from isoflop.train.plan_sweep import peak_learning_rate, plan_sweep

DESIGNS = Path("data/plans/designs")
SHIPPED = Path("data/raw/novels-cpu")


def cell(params: int, loss: float, *, rate: float = 1e-3, role: str = "fit") -> Finished:
    return Finished("run", role, 1e12, params, rate, 0, loss)


def valley(params: float, bottom: float) -> float:
    return 2.0 + 0.05 * math.log(params / bottom) ** 2


def test_optimum_of_a_parabola_is_its_bottom() -> None:
    sizes = (10_000, 20_000, 40_000, 80_000, 160_000)
    runs = [cell(size, valley(size, 33_000)) for size in sizes]
    assert optimum_at(runs, 1e12) == pytest.approx(33_000)


def test_optimum_without_a_valley_is_refused() -> None:
    sizes = (10_000, 20_000, 40_000, 80_000, 160_000)
    with pytest.raises(MeasuredError, match="no bottom"):
        optimum_at([cell(size, valley(size, 1_000_000)) for size in sizes], 1e12)
    with pytest.raises(MeasuredError, match="4 finished sizes"):
        optimum_at([cell(size, valley(size, 30_000)) for size in sizes[:4]], 1e12)


def test_best_rate_lies_between_the_points_of_the_grid() -> None:
    def loss(rate: float) -> float:
        return 2.0 + 0.03 * math.log(rate / 3e-3) ** 2

    runs = [cell(10_000, loss(rate), rate=rate, role="tuning") for rate in (1e-3, 4e-3)]
    runs.append(cell(10_000, loss(2e-3), rate=2e-3))  # the cell of the fit belongs to the grid
    (size,) = tuned_sizes(runs)
    assert size.best is None  # the lowest is the highest rate
    runs.append(cell(10_000, loss(8e-3), rate=8e-3, role="tuning"))
    (size,) = tuned_sizes(runs)
    assert size.best == pytest.approx(3e-3)


def test_unfinished_runs_say_nothing(tmp_path: Path) -> None:
    lines = [{"kind": "header"}, {"kind": "eval", "loss": 2.0}]
    (tmp_path / "run.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert finished_runs(tmp_path) == []


def test_shipped_plan_is_what_its_design_gives() -> None:
    for path in sorted(Path("data/plans").glob("*.yaml")):
        plan = plan_sweep(path.stem, read_yaml(DESIGNS / path.name, TrainDesign))
        assert read_plan(path) == plan, f"run isoflop plan-sweep --design {DESIGNS / path.name}"


def test_shipped_sweep_has_every_planned_run_finished() -> None:
    planned = {run.run for run in read_plan(Path("data/plans/novels-cpu.yaml")).runs}
    assert {run.run for run in finished_runs(SHIPPED)} == planned


def test_shipped_rule_is_near_every_tuned_rate() -> None:
    rule = read_yaml(DESIGNS / "novels-cpu.yaml", TrainDesign)
    for size in tuned_sizes(finished_runs(SHIPPED)):
        rate = peak_learning_rate(rule.learning_rate, size.params)
        best = min(size.losses, key=lambda tried: size.losses[tried])
        assert 0.5 <= rate / best <= 2


def test_shipped_check_starts_from_the_measured_optimum() -> None:
    design = read_yaml(DESIGNS / "novels-cpu.yaml", TrainDesign)
    assert design.check is not None
    measured = optimum_at(finished_runs(SHIPPED), design.check.middle_budget)
    assert design.check.optimum_params == pytest.approx(measured, rel=0.005)
