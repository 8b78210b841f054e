from __future__ import annotations

import itertools
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from click.testing import CliRunner
from scipy.optimize import least_squares
from tests.train.test_plan import study_design

from isoflop.cli import main
from isoflop.train.finished import Finished, finished_run
from isoflop.train.fit_rates import RatesError, describe, fit_law, fit_rates
from isoflop.train.plan_file import read_plan
from isoflop.train.plan_sweep import plan_sweep
from isoflop.train.rate_law import RateLaw, rates_path, read_rates, write_rates

if TYPE_CHECKING:
    from collections.abc import Callable

TRUE = RateLaw(intercept=0.5, params_exponent=-0.5, tokens_exponent=-0.1, curvature=0.04)
SHIPPED = Path("tests/fixtures/novels-cpu")
CELLS = [(1e4, 3e6), (4e4, 1.2e7), (2e4, 1e6), (1e5, 5e6), (5e4, 2.5e5), (3e5, 1.5e6)]


def grid(
    loss: Callable[[float, float, float], float], *, noise: float = 0.0, seed: int = 0
) -> list[Finished]:
    """Five rates around each cell's true best, off by a factor."""
    generator = np.random.default_rng(seed)
    runs = []
    for (params, tokens), k in itertools.product(CELLS, range(5)):
        rate = 1.2 * TRUE.rate(params, tokens) * 2 ** ((k - 2) / 2)
        value = loss(params, tokens, rate) + noise * generator.standard_normal()
        runs.append(Finished("run", "tuning", None, int(params), int(tokens), rate, 0, value))
    return runs


def valley(params: float, tokens: float, rate: float) -> float:
    bottom = 1.2 + 40 * params**-0.4 + 30 * tokens**-0.3
    return float(bottom + TRUE.curvature * math.log(rate / TRUE.rate(params, tokens)) ** 2)


def test_exact_law_is_recovered() -> None:
    measured = fit_law(grid(valley))
    for key, value in TRUE.model_dump().items():
        assert getattr(measured.law, key) == pytest.approx(value, rel=1e-6)
    assert measured.residual_sd < 1e-9
    assert measured.degrees_of_freedom == 30 - 6 - 4
    assert measured.regret_max < 1e-12
    assert all(cell.inside for cell in measured.cells)
    for cell in measured.cells:
        assert cell.cell_rate == pytest.approx(TRUE.rate(cell.params, cell.tokens), rel=1e-6)


def test_linear_fit_equals_the_nonlinear_one() -> None:
    runs = grid(valley, noise=0.004, seed=3)
    cells = sorted({(run.params, run.tokens) for run in runs})

    def residuals(x: Any) -> Any:
        law = RateLaw(intercept=x[0], params_exponent=x[1], tokens_exponent=x[2], curvature=x[3])
        bottoms = dict(zip(cells, x[4:], strict=True))
        return [
            bottoms[run.params, run.tokens]
            + law.curvature * math.log(run.rate / law.rate(run.params, run.tokens)) ** 2
            - run.loss
            for run in runs
        ]

    start = [*list(TRUE.model_dump().values())[:3], 0.04, *[2.0] * len(cells)]
    found = least_squares(residuals, start, xtol=1e-14, ftol=1e-14, gtol=1e-14)
    measured = fit_law(runs)
    got = [measured.law.intercept, measured.law.params_exponent, measured.law.tokens_exponent,
           measured.law.curvature]  # fmt: skip
    assert got == pytest.approx(found.x[:4], rel=1e-5)
    # the delta method's covariance is that of the nonlinear fit at its optimum
    variance = 2 * found.cost / measured.degrees_of_freedom
    covariance = variance * np.linalg.inv(found.jac.T @ found.jac)[:3, :3]
    assert np.array(measured.covariance) == pytest.approx(covariance, rel=1e-3)


def test_standard_errors_cover_as_they_say() -> None:
    inside = 0
    for seed in range(300):
        measured = fit_law(grid(valley, noise=0.003, seed=seed))
        error = measured.standard_errors.params_exponent
        inside += abs(measured.law.params_exponent - TRUE.params_exponent) < 2.086 * error
    assert 0.91 <= inside / 300 <= 0.99  # Student's 95 % at 20 degrees of freedom


def test_noise_of_the_regret_is_what_noise_makes() -> None:
    runs = [fit_law(grid(valley, noise=0.003, seed=seed)) for seed in range(200)]
    cells = [cell for measured in runs for cell in measured.cells]
    regret = np.mean([cell.regret for cell in cells])
    noise = np.mean([cell.noise for cell in cells])
    # the law follows its own cells a little: 3 of 6 cells' shifts are fitted away
    assert regret == pytest.approx(noise * 0.5, rel=0.15)


def test_law_that_misses_its_cells_says_so() -> None:
    def bent(params: float, tokens: float, rate: float) -> float:
        shift = 0.3 * math.log(params / 5e4) ** 2
        return float(valley(params, tokens, rate * math.exp(-shift)))

    measured = fit_law(grid(bent))
    assert measured.regret_max > 0.002
    assert f"largest {measured.regret_max:.4f} nats" in describe(measured)


def test_losses_that_do_not_curve_upwards_are_refused() -> None:
    with pytest.raises(RatesError, match="do not bracket the best rates"):
        fit_law(grid(lambda params, tokens, rate: 4 - valley(params, tokens, rate)))


def test_grids_of_one_size_are_refused() -> None:
    runs = [run for run in grid(valley) if run.params == 10_000]
    with pytest.raises(RatesError, match="at least two sizes and two horizons"):
        fit_law(runs)
    with pytest.raises(RatesError, match="has 2 finished runs; its best rate needs 3"):
        fit_law(grid(valley)[:27])


def write_logs(folder: Path, *, leave_out: int = 0) -> None:
    """Logs of the study's tuning runs, as far as the fit reads them."""
    plan = plan_sweep("study", study_design())
    for run in plan.runs[leave_out:]:
        path = folder / "study" / "tuning" / f"{run.run}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = [
            {
                "kind": "header",
                "run": run.run,
                "role": "tuning",
                "budget": None,
                "params": run.params.model_dump(),
                "tokens": run.tokens,
                "schedule": {"lr_peak": run.lr_peak},
                "seed": 0,
                "eval": {"final": "validation"},
            },
            {"kind": "eval", "eval_set": "validation-8", "loss": 9.0},
            {
                "kind": "eval",
                "eval_set": "validation",
                "loss": valley(run.params.total, run.tokens, run.lr_peak),
            },
            {"kind": "eval", "eval_set": "validation-8", "loss": 9.0},
            {"kind": "end", "status": "finished"},
        ]
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_command_fits_what_the_logs_say_and_plan_sweep_takes_it(tmp_path: Path) -> None:
    write_logs(tmp_path / "raw")
    design = tmp_path / "plans" / "designs" / "study.yaml"
    design.parent.mkdir(parents=True)
    design.write_text(study_design().model_dump_json())  # JSON is YAML
    out = tmp_path / "plans" / "study.yaml"
    planning = ["plan-sweep", "--design", str(design), "--out", str(out)]
    before = CliRunner().invoke(main, planning)
    assert "only the tuning runs are planned" in before.output
    fitting = ["fit-rates", "--design", str(design), "--logs", str(tmp_path / "raw")]
    result = CliRunner().invoke(main, fitting)
    assert result.exit_code == 0, result.output
    assert "log rate = 0.500 -0.500 log N -0.100 log D" in result.output
    measured = read_rates(rates_path(design))
    assert measured.planned_regret_max < 1e-12
    after = CliRunner().invoke(main, planning)
    assert "only the tuning runs" not in after.output
    rows = [run for run in read_plan(out).runs if run.purpose == "IsoFLOP"]
    assert rows
    for run in rows:
        assert run.lr_peak == pytest.approx(TRUE.rate(run.params.total, run.tokens), rel=6e-3)


def test_missing_or_unfinished_runs_are_named(tmp_path: Path) -> None:
    write_logs(tmp_path, leave_out=2)
    with pytest.raises(RatesError, match="is absent, and 1 more of 9 tuning runs"):
        fit_rates("study", study_design(), tmp_path)
    write_logs(tmp_path)
    last = sorted(tmp_path.rglob("*.jsonl"))[-1]
    last.write_text("\n".join(last.read_text().split("\n")[:-2]) + "\n")
    with pytest.raises(RatesError, match=f"{last.name}: has not finished"):
        fit_rates("study", study_design(), tmp_path)


def test_rates_survive_their_file(tmp_path: Path) -> None:
    measured = fit_law(grid(valley, noise=0.01))
    write_rates(tmp_path / "rates.yaml", measured)
    assert read_rates(tmp_path / "rates.yaml") == measured


def test_shipped_sweep_has_every_planned_run_finished() -> None:
    planned = {run.run for run in read_plan(Path("data/plans/novels-cpu.yaml")).runs}
    finished = [finished_run(path) for path in sorted(SHIPPED.rglob("*.jsonl"))]
    assert {run.run for run in finished if run is not None} == planned
