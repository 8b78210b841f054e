from __future__ import annotations

import itertools
import json
import math
import signal
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

torch = pytest.importorskip("torch", reason="training needs the extra `train`")

from tests.train.example_design import TRAINING, design, shortened, write_corpus  # noqa: E402

from isoflop.cli import main  # noqa: E402
from isoflop.counting import flops_per_token  # noqa: E402
from isoflop.errors import ConfigError  # noqa: E402
from isoflop.train.corpus import CorpusError  # noqa: E402
from isoflop.train.errors import TrainingError  # noqa: E402
from isoflop.train.evaluation import evaluation_steps  # noqa: E402
from isoflop.train.plan_file import write_plan  # noqa: E402
from isoflop.train.plan_sweep import plan_sweep  # noqa: E402
from isoflop.train.raw_log import RawLog, RawLogError, read_log  # noqa: E402
from isoflop.train.train_plan import train_plan  # noqa: E402
from isoflop.train.train_run import Folders, Progress, train_runs  # noqa: E402

if TYPE_CHECKING:
    from pathlib import Path

    from isoflop.train.plan_file import Plan

STEPS = 150


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)  # two threads change the last bits, and gain nothing here


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    write_corpus(tmp_path)
    return Folders(
        recipes=tmp_path / "recipes",
        corpora=tmp_path / "corpora",
        logs=tmp_path / "raw",
        checkpoints=tmp_path / "checkpoints",
    )


def small_plan(*, steps: int = STEPS, lr_peak: float | None = None, **changes: Any) -> Plan:
    plan = plan_sweep("toy", design(**changes))
    return shortened(plan, plan.run_named("c1e10-l1d16-s0", source="plan"), steps=steps,
                     lr_peak=lr_peak)  # fmt: skip


def train(plan: Plan, folders: Folders, *, stop_after: int | None = None) -> tuple[str, list[str]]:
    said: list[str] = []
    (status,) = train_runs(
        plan,
        plan.runs,
        folders=folders,
        device="cpu",
        progress=Progress(say=said.append, bar=False),
        stop_after=stop_after,
    ).values()
    return status, said


def log_of(plan: Plan, folders: Folders) -> Path:
    run = plan.runs[0]
    return folders.logs / plan.sweep / run.role / f"{run.run}.jsonl"


def records(plan: Plan, folders: Folders, kind: str) -> list[dict[str, Any]]:
    return [line for line in read_log(log_of(plan, folders)) if line["kind"] == kind]


def test_learns_and_logs_what_the_plan_says(folders: Folders) -> None:
    plan = small_plan()
    run = plan.runs[0]
    status, said = train(plan, folders)

    assert status == "finished"
    assert any("validation loss" in line for line in said)
    (header,) = records(plan, folders, "header")
    assert header["format"] == "isoflop-train"
    assert header["params"] == run.params.model_dump()
    assert header["steps"] * header["tokens_per_step"] == header["tokens"] == run.tokens
    shape = run.architecture.architecture()
    for convention, flops in header["flops_per_token"].items():
        assert flops == flops_per_token(
            convention,
            params_total=run.params.total,
            params_nonembedding=run.params.nonembedding,
            params_with_head=run.params.with_head,
            architecture=shape,
        )
    evaluations = records(plan, folders, "eval")
    assert evaluations[-1]["step"] == STEPS
    # far below the uniform distribution over bytes, and below one over the letters that occur
    assert evaluations[-1]["loss"] < 2.6 < math.log(256) < evaluations[0]["loss"] + 0.7
    for line in evaluations:
        assert line["bits_per_byte"] == pytest.approx(line["loss"] / math.log(2), rel=1e-6)
    (end,) = records(plan, folders, "end")
    assert (end["status"], end["step"], end["tokens"]) == ("finished", STEPS, run.tokens)
    assert not list(folders.checkpoints.rglob("*.pt"))


def test_schedule_in_the_log_warms_up_and_ends_at_a_tenth(folders: Folders) -> None:
    plan = small_plan()
    train(plan, folders)
    rates = {line["step"]: line["lr"] for line in records(plan, folders, "train")}
    assert rates[STEPS] == pytest.approx(0.1 * plan.runs[0].lr_peak)
    assert max(rates.values()) <= plan.runs[0].lr_peak


def test_train_lines_are_means_since_the_line_before(folders: Folders) -> None:
    sparse = small_plan(steps=40, log_lines=4)
    dense = small_plan(steps=40, log_lines=40)
    train(sparse, folders)
    means = {line["step"]: line["train_loss"] for line in records(sparse, folders, "train")}
    other = replace(folders, logs=folders.logs / "dense")
    train(dense, other)
    each = [line["train_loss"] for line in records(dense, other, "train")]
    assert sorted(means) == [10, 20, 30, 40]
    for step, mean in means.items():
        assert mean == pytest.approx(sum(each[step - 10 : step]) / 10, rel=1e-5)


def test_same_seed_same_losses_other_seed_others(folders: Folders) -> None:
    plan = small_plan(steps=60)
    other = plan.model_copy(update={"runs": (plan.runs[0].model_copy(update={"seed": 1}),)})
    losses = []
    for place, chosen in (("a", plan), ("b", plan), ("c", other)):
        there = replace(folders, logs=folders.logs / place)
        train(chosen, there)
        losses.append([line["loss"] for line in records(chosen, there, "eval")])
    assert losses[0] == losses[1]
    assert losses[0] != losses[2]


@pytest.mark.parametrize("killed_after", [7, 75, 149])
def test_resumed_run_equals_the_uninterrupted_one(folders: Folders, killed_after: int) -> None:
    plan = small_plan()
    whole = replace(folders, logs=folders.logs / "whole")
    train(plan, whole)
    status, _ = train(plan, folders, stop_after=killed_after)
    assert status == "stopped"
    with log_of(plan, folders).open("a") as log:
        log.write('{"kind": "train", "step": 1')  # a write cut short by the kill
    status, said = train(plan, folders)

    assert status == "finished"
    assert f"resumed at step {killed_after}" in said[0]
    assert records(plan, folders, "resume") == [
        {"kind": "resume", "step": killed_after, "device": "cpu"}
    ]
    for kind, key in (("eval", "loss"), ("train", "train_loss")):
        assert {line["step"]: line[key] for line in records(plan, folders, kind)} == {
            line["step"]: line[key] for line in records(plan, whole, kind)
        }


def test_killed_run_goes_on_to_the_same_loss(folders: Folders, tmp_path: Path) -> None:
    plan = small_plan(steps=400)
    whole = replace(folders, logs=folders.logs / "whole", checkpoints=folders.checkpoints / "whole")
    train(plan, whole)
    write_plan(tmp_path / "plan.yaml", plan)
    with subprocess.Popen(
        [sys.executable, "-c", TRAINING, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if "step 133" in line:  # an evaluation in the middle of the run
                process.kill()
    assert process.returncode == -signal.SIGKILL
    status, said = train(plan, folders)
    assert status == "finished"
    assert 1 <= int(said[0].split("resumed at step ")[1].split()[0]) < 400
    ends = [records(plan, place, "eval")[-1] for place in (whole, folders)]
    assert ends[0] == ends[1]


KILLED_IN_A_SAVE = TRAINING.replace(
    "torch.set_num_threads(1)",
    """import os, signal

def save(content, path):
    path.write_bytes(b"half of it")
    os.kill(os.getpid(), signal.SIGKILL)

torch.save = save
torch.set_num_threads(1)""",
)


def test_what_a_kill_within_a_save_leaves_is_swept_up(folders: Folders, tmp_path: Path) -> None:
    plan = small_plan(steps=400)
    write_plan(tmp_path / "plan.yaml", plan)
    done = subprocess.run([sys.executable, "-c", KILLED_IN_A_SAVE, str(tmp_path)], check=False)
    assert done.returncode == -signal.SIGKILL
    (left,) = folders.checkpoints.rglob("*.*")
    assert left.name.startswith(".")
    of_another = left.with_name(left.name.replace("-s0", "-s00"))
    of_another.write_bytes(b"")
    older = left.with_name(f"{plan.runs[0].run}.partial")
    older.write_bytes(b"")
    status, _ = train(plan, folders, stop_after=1)
    assert status == "stopped"
    checkpoint = folders.checkpoint(plan, plan.runs[0])
    assert sorted(folders.checkpoints.rglob("*.*")) == sorted([of_another, checkpoint])


def test_a_checkpoint_that_outlived_its_run_is_forgotten(folders: Folders) -> None:
    """A kill between the end line and what comes after it."""
    plan = small_plan(steps=20)
    train(plan, folders)
    left = folders.checkpoint(plan, plan.runs[0])
    left.parent.mkdir(parents=True, exist_ok=True)
    left.write_bytes(b"")
    train_plan(plan, folders=folders, device="cpu", progress=Progress(print, bar=False))
    assert not left.exists()


def test_command_trains_and_marks_the_end(folders: Folders, tmp_path: Path) -> None:
    plan = small_plan(steps=50)
    write_plan(tmp_path / "plan.yaml", plan)
    run = plan.runs[0].run
    arguments = [
        *("--plan", str(tmp_path / "plan.yaml"), "--run", run, "--device", "cpu"),
        *("--recipes", str(folders.recipes), "--corpora", str(folders.corpora)),
        *("--logs", str(folders.logs), "--checkpoints", str(folders.checkpoints)),
        *("--done", str(tmp_path / "marker.done")),
    ]
    result = CliRunner().invoke(main, ["train-run", *arguments])
    assert result.exit_code == 0, result.output
    assert f"{run}: finished" in result.output
    assert (tmp_path / "marker.done").exists()
    again = CliRunner().invoke(main, ["train-run", *arguments])
    assert "already finished" in again.output
    wrong = CliRunner().invoke(main, ["train-run", *arguments[:2], "--run", "c9"])
    assert wrong.exit_code == 1
    assert "no run 'c9'" in wrong.output


def test_log_without_checkpoint_starts_over_in_the_same_log(folders: Folders) -> None:
    plan = small_plan(steps=60)
    train(plan, folders, stop_after=20)
    next(folders.checkpoints.rglob("*.pt")).unlink()
    status, _ = train(plan, folders)
    assert status == "finished"
    assert records(plan, folders, "resume") == [{"kind": "resume", "step": 0, "device": "cpu"}]


def test_finished_run_is_left_alone(folders: Folders) -> None:
    plan = small_plan(steps=60)
    train(plan, folders)
    before = log_of(plan, folders).read_bytes()
    status, said = train(plan, folders)
    assert status == "already finished"
    assert "already finished" in said[0]
    assert log_of(plan, folders).read_bytes() == before


def test_run_that_is_being_trained_is_refused(folders: Folders) -> None:
    plan = small_plan(steps=60)
    with (
        RawLog(log_of(plan, folders)),
        pytest.raises(RawLogError, match="another process is training this run"),
    ):
        train(plan, folders)


def test_log_of_another_plan_is_refused(folders: Folders) -> None:
    train(small_plan(steps=60), folders)
    with pytest.raises(TrainingError, match=r"another schedule than the plan says now"):
        train(small_plan(steps=60, lr_peak=1e-3), folders)


def test_checkpoint_of_another_plan_is_refused(folders: Folders) -> None:
    plan = small_plan(steps=60)
    train(plan, folders, stop_after=20)
    path = next(folders.checkpoints.rglob("*.pt"))
    state = torch.load(path, weights_only=True)
    torch.save({**state, "run": "another"}, path)
    with pytest.raises(TrainingError, match="checkpoint of another plan"):
        train(plan, folders)


def test_divergence_is_recorded_and_said(folders: Folders) -> None:
    plan = small_plan(
        lr_peak=1e12,
        optimizer={
            "beta1": 0.9,
            "beta2": 0.99,
            "eps": 1e-8,
            "weight_decay": 1e12,
            "grad_clip": 1e9,
        },
    )
    status, said = train(plan, folders)
    assert status == "diverged"
    assert records(plan, folders, "end")[0]["status"] == "diverged"
    assert sum("diverged" in line for line in said) == 1
    assert "lr_peak" in said[-1]
    assert train(plan, folders)[0] == "already finished"


def test_missing_corpus_is_named(folders: Folders) -> None:
    (folders.corpora / "made_up.txt").unlink()
    with pytest.raises(CorpusError, match=r"made_up\.txt.*absent.*isoflop fetch-corpus"):
        train(small_plan(), folders)


def test_log_that_is_no_log_is_refused(folders: Folders) -> None:
    plan = small_plan()
    log_of(plan, folders).parent.mkdir(parents=True)
    log_of(plan, folders).write_text("hello\n")
    with pytest.raises(RawLogError, match="line 1: not JSON"):
        train(plan, folders)
    log_of(plan, folders).write_text(json.dumps({"kind": "train"}) + "\n")
    with pytest.raises(RawLogError, match="no header"):
        train(plan, folders)


def test_plan_with_other_counts_is_refused(folders: Folders) -> None:
    plan = small_plan()
    counts = plan.runs[0].params.model_copy(update={"total": 1})
    wrong = plan.model_copy(update={"runs": (plan.runs[0].model_copy(update={"params": counts}),)})
    with pytest.raises(TrainingError, match="plan again"):
        train(wrong, folders)


def test_unknown_run_is_an_error() -> None:
    with pytest.raises(ConfigError, match="no run 'c9'"):
        small_plan().run_named("c9", source="data/plans/toy.yaml")


@pytest.mark.parametrize("spacing", ["mixed", "log"])
@pytest.mark.parametrize("steps", [50, 997, 120_000])
def test_evaluations_end_at_the_last_step(steps: int, spacing: str) -> None:
    plan = small_plan(
        steps=steps, evaluation={"windows": 64, "evaluations": 12, "spacing": spacing}
    )
    chosen = sorted(evaluation_steps(plan.runs[0], plan.evaluation))
    assert chosen[-1] == steps
    assert chosen[0] >= 1
    assert 10 <= len(chosen) <= 12
    if spacing == "log" and steps > 100_000:
        ratios = [after / before for before, after in itertools.pairwise(chosen)]
        assert ratios == pytest.approx([1000 ** (1 / 11)] * 11, rel=0.01)


def test_curve_and_end_are_measured_on_sets_of_their_own(folders: Folders) -> None:
    evaluation = {"windows": 64, "curve_windows": 8, "evaluations": 5, "spacing": "log"}
    plan = small_plan(steps=60, evaluation=evaluation)
    train(plan, folders)
    lines = records(plan, folders, "eval")
    assert [line["step"] for line in lines if line["eval_set"] == "validation"] == [60]
    assert len([line for line in lines if line["eval_set"] == "validation-8"]) == 5
    (header,) = records(plan, folders, "header")
    assert header["eval"]["final"] == "validation"
    assert header["eval"]["curve"] == "validation-8"
    sizes = {name: chosen["windows"] for name, chosen in header["eval"]["sets"].items()}
    assert sizes == {"validation": 64, "validation-8": 8}


def test_log_of_an_older_trainer_is_not_continued(folders: Folders) -> None:
    plan = small_plan(steps=60)
    train(plan, folders, stop_after=20)
    path = log_of(plan, folders)
    path.write_text(path.read_text().replace('"version": 2', '"version": 1', 1))
    with pytest.raises(TrainingError, match="version 1, this trainer writes 2"):
        train(plan, folders)
