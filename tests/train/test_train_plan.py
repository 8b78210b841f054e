from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

torch = pytest.importorskip("torch", reason="training needs the extra `train`")

from tests.train.example_design import write_corpus  # noqa: E402
from tests.train.test_plan import STUDY, study_design  # noqa: E402

from isoflop.cli import main  # noqa: E402
from isoflop.train.plan_file import read_plan  # noqa: E402
from isoflop.train.raw_log import RawLog, read_log  # noqa: E402
from isoflop.train.train_plan import packs, train_plan  # noqa: E402
from isoflop.train.train_run import Folders, Progress, has_ended  # noqa: E402

if TYPE_CHECKING:
    from isoflop.train.design import Design


def test_packs_are_of_one_stage_shape_and_batch() -> None:
    made = packs(STUDY.runs, most=4)
    assert sorted(run.run for pack in made for run in pack) == sorted(r.run for r in STUDY.runs)
    stages = list(dict.fromkeys(run.stage for run in STUDY.runs))
    places = [stages.index(pack[0].stage) for pack in made]
    assert places == sorted(places)
    for pack in made:
        assert len({(r.stage, r.architecture, r.tokens_per_step) for r in pack}) == 1
        assert 1 <= len(pack) <= 4
        assert [run.tokens for run in pack] == sorted((run.tokens for run in pack), reverse=True)
    costs = [sum(r.flops for r in pack) for pack in made if pack[0].stage == "rows to 3e+10"]
    assert costs == sorted(costs)
    assert max(len(pack) for pack in made) > 1


@pytest.mark.parametrize("sweep", ["novels", "novels-gpu"])
def test_every_run_of_a_shipped_plan_has_ended_in_a_log_of_that_plan(sweep: str) -> None:
    plan = read_plan(Path(f"data/plans/{sweep}.yaml"))
    shipped = Folders()
    logs = set((shipped.logs / plan.sweep).rglob("*.jsonl"))
    assert logs == {shipped.log(plan, run) for run in plan.runs}
    assert [run.run for run in plan.runs if not has_ended(plan, run, shipped)] == []


def tiny_study() -> Design:
    """A study whose runs have some dozens of steps."""
    return study_design(
        ladder={
            "smallest": 1e4, "largest": 5e4, "sizes": 6, "aspect": 12, "d_head": 8,
            "width_step": 4, "min_layers": 2,
        },
        budgets=[1.2e9, 2.4e9],
        tokens_per_step=64,
        optimum={"params": 2e4, "budget": 2.4e9, "exponent": 0.5},
        evaluation={"windows": 16, "curve_windows": 4, "evaluations": 4, "spacing": "log"},
        log_lines=5,
        replicates=[{"budget": 1.2e9, "nearest": 1, "seeds": [1]}],
        rate_grid={
            "rates": 5,
            "factor": 2.5,
            "cells": [
                {"params": 1e4, "tokens_per_param": 1},
                {"params": 1.4e4, "tokens_per_param": 0.5},
                {"params": 2e4, "tokens_per_param": 0.5},
            ],
        },
        rate_checks=None,
        batches=[],
        trunks={
            "params": [1e4], "tokens_per_param": [0.4, 0.8], "decay_share": 0.2, "rate_share": 0.5,
        },
        stages=[1.2e9, 2.4e9],
    )  # fmt: skip


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    write_corpus(tmp_path)
    design = tmp_path / "plans" / "designs" / "study.yaml"
    design.parent.mkdir(parents=True)
    design.write_text(tiny_study().model_dump_json())  # JSON is YAML
    return Folders(
        recipes=tmp_path / "recipes",
        corpora=tmp_path / "corpora",
        logs=tmp_path / "raw",
        checkpoints=tmp_path / "checkpoints",
    )


def arguments(tmp_path: Path, folders: Folders) -> list[str]:
    return [
        *("train-study", "--design", str(tmp_path / "plans" / "designs" / "study.yaml")),
        *("--recipes", str(folders.recipes), "--corpora", str(folders.corpora)),
        *("--logs", str(folders.logs), "--checkpoints", str(folders.checkpoints)),
        *("--device", "cpu"),
    ]


def test_study_is_trained_whole_from_its_design_and_through_a_kill(
    folders: Folders, tmp_path: Path
) -> None:
    command = arguments(tmp_path, folders)
    program = "import sys; from isoflop.cli import main; main(sys.argv[1:])"
    with subprocess.Popen([sys.executable, "-c", program, *command]) as process:
        until = time.monotonic() + 120
        while process.poll() is None and time.monotonic() < until:
            if any('"eval"' in path.read_text() for path in folders.logs.rglob("*.jsonl")):
                process.kill()
                break
            time.sleep(0.02)
    assert process.returncode == -signal.SIGKILL  # it was killed at work
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 0, result.output
    assert "log rate =" in result.output
    assert "regret of the law in its 3 cells" in result.output
    plan = read_plan(tmp_path / "plans" / "study.yaml")
    assert {run.stage for run in plan.runs} >= {"tuning", "rows to 2.4e+09", "trunks", "cooldowns"}
    for run in plan.runs:
        lines = read_log(folders.log(plan, run))
        assert lines[-1]["status"] == "finished"
        assert lines[0]["order_seed"] == run.seed_of_order
    assert not list(folders.checkpoints.rglob("*.pt"))
    again = CliRunner().invoke(main, command)
    assert again.exit_code == 0
    assert again.output == ""  # nothing is left to do


def test_pack_of_another_process_is_left_to_it(folders: Folders, tmp_path: Path) -> None:
    from isoflop.train.plan_sweep import plan_design

    plan = plan_design(tmp_path / "plans" / "designs" / "study.yaml")
    plan = plan.model_copy(update={"runs": plan.runs[:5] + plan.runs[-5:]})
    taken = plan.runs[0]
    said: list[str] = []

    class EnoughError(Exception):
        pass

    def say(line: str) -> None:
        said.append(line)
        if "ended after" in line:
            raise EnoughError

    with RawLog(folders.log(plan, taken)), pytest.raises(EnoughError):
        train_plan(
            plan,
            folders=folders,
            device="cpu",
            progress=Progress(say=say, bar=False),
            wait_seconds=0.01,
        )
    ended = {run.run for run in plan.runs if has_ended(plan, run, folders)}
    assert ended == {run.run for run in plan.runs if run.architecture != taken.architecture}
