"""Trunks and cooldowns of the project's own trainer, and curves measured on fewer windows."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from isoflop.config.ingest import IngestSettings
from isoflop.config.losses import LossesSettings
from isoflop.ingest.sweep import EmptySweepError, Ingested, ingest_sweep
from isoflop.losses.build import build_losses
from tests.ingest.samples import ingest, row

if TYPE_CHECKING:
    from collections.abc import Callable

FIXTURE = Path(__file__).parent / "fixtures" / "isoflop_train"
TRUNK, COOLDOWN = "trunk10-l1d16-s0", "cooldown5-l1d16-s0"


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    folder = tmp_path / "sweep"
    ignore = shutil.ignore_patterns("expected.json", "tiny*")
    return Path(shutil.copytree(FIXTURE, folder, ignore=ignore))


def ingested(sweep: Path) -> Ingested:
    return ingest_sweep(sweep, IngestSettings())


def evaluations(sweep: Path, run: str) -> dict[tuple[str, int], float]:
    """What the raw log says, by eval set and step."""
    lines = map(json.loads, (sweep / "fit" / f"{run}.jsonl").read_text().splitlines())
    return {(x["eval_set"], x["step"]): x["loss"] for x in lines if x["kind"] == "eval"}


def curve(tables: Ingested, run: str) -> dict[int, float]:
    rows = tables.curves.filter(pl.col("run") == run, pl.col("eval_loss").is_not_null())
    return dict(zip(rows["step"], rows["eval_loss"], strict=True))


def rewrite(sweep: Path, run: str, change: Callable[[list[dict[str, Any]]], Any]) -> None:
    path = sweep / "fit" / f"{run}.jsonl"
    lines = change([json.loads(line) for line in path.read_text().splitlines()])
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_trunk_and_cooldown_are_runs_with_a_final_loss_each(sweep: Path) -> None:
    tables = ingested(sweep)
    kinds = dict(zip(tables.runs["run"], tables.runs["schedule_kind"], strict=True))
    assert kinds == {TRUNK: "wsd", COOLDOWN: "cooldown"}
    horizons = dict(zip(tables.runs["run"], tables.runs["schedule_tokens"], strict=True))
    assert horizons == {TRUNK: 60 * 128, COOLDOWN: 40 * 128}
    built = build_losses(tables.curves, tables.runs, tables.files, LossesSettings())
    finals = built.losses.filter("is_final")
    found = {
        run: (tokens, loss)
        for run, tokens, loss in finals.select("run", "tokens", "loss").iter_rows()
    }
    assert found == {TRUNK: (60 * 128, 1.853031), COOLDOWN: (40 * 128, 2.484581)}
    # a cooldown's D and C are those of its whole training, the trunk's part included
    flops = dict(finals.select("run", "flops_6nd").iter_rows())
    assert flops[COOLDOWN] == pytest.approx(6 * 7216 * 40 * 128)


def test_curve_is_moved_to_where_both_sets_are_measured(sweep: Path) -> None:
    tables = ingested(sweep)
    for run, end in ((TRUNK, 60), (COOLDOWN, 40)):
        logged = evaluations(sweep, run)
        moved = logged["validation", end] - logged["validation-8", end]
        assert moved != 0.0
        found = curve(tables, run)
        assert found.pop(end) == logged["validation", end]
        assert found == {
            step: pytest.approx(loss + moved, abs=1e-12)
            for (name, step), loss in logged.items()
            if name == "validation-8" and step != end
        }
    # the evaluations themselves stay as they were measured
    evals = tables.evals.filter(pl.col("run") == TRUNK, pl.col("metric") == "loss")
    raw = {
        (name, step): value
        for name, step, value in evals.select("eval_set", "step", "value").iter_rows()
    }
    assert raw == evaluations(sweep, TRUNK)
    assert set(evals.filter("primary")["eval_set"]) == {"validation"}


def test_trunk_that_has_not_decayed_has_no_final_loss(sweep: Path) -> None:
    logged = evaluations(sweep, COOLDOWN)
    moved = logged["validation", 40] - logged["validation-8", 40]
    rewrite(sweep, TRUNK, lambda lines: [x for x in lines if x.get("step", 0) <= 30])
    tables = ingested(sweep)
    assert dict(tables.runs.select("run", "status").iter_rows())[TRUNK] == "truncated"
    built = build_losses(tables.curves, tables.runs, tables.files, LossesSettings())
    assert built.losses.filter("is_final")["run"].to_list() == [COOLDOWN]
    # its curve is moved as those of runs that have ended are
    expected = evaluations(sweep, TRUNK)["validation-8", 26] + moved
    assert curve(tables, TRUNK)[26] == pytest.approx(expected, abs=1e-12)


def test_version_of_the_future_is_refused(sweep: Path) -> None:
    rewrite(sweep, TRUNK, lambda lines: [{**lines[0], "version": 3}, *lines[1:]])
    reason = ingested(sweep).files.filter(pl.col("path").str.contains(TRUNK))["reason"].item()
    assert "version 3; this reader knows 1 and 2" in reason


def branched(column: str, trunk: str, branch: str, *, by_step: bool = False) -> str:
    """A table of one run's trunk, and its decays from two of its steps."""
    rows = [(step, trunk, 5 - step / 1e3) for step in range(10, 400, 10)]
    for start in (100, 250):
        label = branch.format(start)
        rows += [(step, label, 4.9 - step / 500) for step in range(start + 10, start + 51, 10)]
    rows = sorted(rows) if by_step else rows
    lines = [f"a,1000000,{step},{step * 1000},{label},{loss:g}" for step, label, loss in rows]
    return "\n".join([f"run,n_params,step,tokens,{column},train_loss", *lines, ""])


@pytest.mark.parametrize("by_step", [False, True])
@pytest.mark.parametrize(
    ("column", "trunk", "branch", "runs"),
    [
        ("branch", "trunk", "decay_{}", ["a-decay_100", "a-decay_250", "a-trunk"]),
        ("phase", "stable", "decay", ["a-decay-110", "a-decay-260", "a-stable"]),
        ("decay_start", "", "{}", ["a-100", "a-250", "a-trunk"]),
    ],
)
def test_branches_in_a_table_are_runs_of_their_own(
    tmp_path: Path, column: str, trunk: str, branch: str, runs: list[str], *, by_step: bool
) -> None:
    known = "title: t\nfacts: {schedule: {kind: constant}}\n"
    text = branched(column, trunk, branch, by_step=by_step)
    tables = ingest(tmp_path / "s", {"t.csv": text}, known)
    assert tables.runs["run"].to_list() == runs
    # D is that of the whole training, and no branch replaces what the trunk has
    assert tables.runs["tokens"].to_list() == [150_000, 300_000, 390_000]
    assert not tables.curves["superseded"].any()
    reason = row(tables.files, "path", "t.csv")["reason"]
    assert f"'{column}' tells branches from the trunks" in reason
    assert "columns not read" not in reason


def test_a_phase_of_one_run_is_no_branch(tmp_path: Path) -> None:
    known = "title: t\nfacts: {schedule: {kind: constant}}\n"
    phase = {step: "stable" if step < 300 else "decay" for step in range(10, 400, 10)}
    launches = [*range(10, 350, 10), *range(280, 400, 10)]
    lines = [f"a,1000000,{step},{step * 1000},{phase[step]},{4 - step / 1e3}" for step in launches]
    text = "\n".join(["run,n_params,step,tokens,phase,train_loss", *lines, ""])
    tables = ingest(tmp_path / "s", {"t.csv": text}, known)
    assert tables.runs["run"].to_list() == ["a"]
    assert tables.curves.filter(~pl.col("superseded")).height == 39


KNOWN = "title: t\nfacts: {schedule: {kind: constant}}\n"


def read(
    folder: Path, *rows: tuple[object, ...], column: str = "phase", known: str = KNOWN
) -> Ingested:
    """Read a table of one run: a step, what a column says, and the loss."""
    lines = [f"a,1000000,{step},{step * 1000},{label},{loss:g}" for step, label, loss in rows]
    text = "\n".join([f"run,n_params,step,tokens,{column},train_loss", *lines, ""])
    return ingest(folder, {"t.csv": text}, known)


def restarted(first: object, second: object) -> list[tuple[object, ...]]:
    return [
        (step, label, 5 - step / 1e3 + (step // 10) % 3 / 100 + apart)
        for label, apart, steps in (
            (first, 0.0, range(10, 260, 10)),
            (second, 0.004, range(180, 400, 10)),
        )
        for step in steps
    ]


@pytest.mark.parametrize(
    ("column", "first", "second"),
    [
        ("branch", "main", "fix-oom"),
        ("git_branch", "main", "fix-oom"),
        ("ema_decay", 0.999, 0.9999),
        ("lr_decay_iters", 400, 500),
        ("image", "pytorch:nightly", "pytorch:stable"),
        ("host", "trunk-01", "trunk-02"),
        ("note", "start", "from the stable checkpoint"),
        ("optimizer", "adamw", "fused_adamw_decoupled_decay"),
        ("phase", "stable", "decay"),
    ],
)
def test_a_restart_beside_another_word_is_no_branch(
    tmp_path: Path, column: str, first: object, second: object
) -> None:
    tables = read(tmp_path / "s", *restarted(first, second), column=column)
    assert tables.runs["run"].to_list() == ["a"]
    assert tables.curves.filter(~pl.col("superseded")).height == 39
    assert tables.curves["superseded"].sum() == 8


def test_a_number_that_changes_in_every_row_is_of_no_branch(tmp_path: Path) -> None:
    rows = [
        (step, max(0.0, step / 390 - 0.3), loss) for step, _, loss in restarted("stable", "decay")
    ]
    tables = read(tmp_path / "s", *rows, column="decay_progress")
    assert tables.runs["run"].to_list() == ["a"]


@pytest.mark.parametrize(
    ("column", "label"),
    [
        ("checkpoint", "/ckpts/wsd_stable/{}.pt"),
        ("sample", "the decay of step {} was a long one"),
        ("saved", "stable-{}"),
    ],
)
def test_texts_beside_some_rows_are_no_branches(tmp_path: Path, column: str, label: str) -> None:
    rows: list[tuple[object, ...]] = []
    for step in range(10, 400, 10):
        rows.append((step, "", 5 - step / 1e3))
        rows += [(step, label.format(step), 5 - step / 1e3)] if step % 100 == 0 else []
    tables = read(tmp_path / "s", *rows, column=column)
    assert tables.runs["run"].to_list() == ["a"]


@pytest.mark.parametrize("phase", ["event", "phase"])
def test_evaluations_beside_a_word_of_a_schedule_are_no_branches(
    tmp_path: Path, phase: str
) -> None:
    rows: list[tuple[object, ...]] = []
    for step in range(10, 400, 10):
        word = "train" if phase == "event" else "stable" if step < 300 else "decay"
        rows.append((step, word, 5 - step / 1e3))
        rows += [(step, "eval", 5.1 - step / 1e3)] if step % 50 == 0 else []
    rows += [(300, "decay_start", 4.7)] if phase == "event" else []
    with pytest.raises(EmptySweepError) as caught:
        read(tmp_path / "s", *rows, column=phase)
    assert "tells branches from" not in str(caught.value)
    assert "rows with different losses" in str(caught.value)
    proposed = re.search(r"^ *(table: .*)$", str(caught.value), re.MULTILINE)
    assert proposed is not None
    tables = read(tmp_path / "t", *rows, column=phase, known=f"{KNOWN}{proposed[1]}\n")
    assert tables.runs["run"].to_list() == ["a"]
    assert tables.curves["train_loss"].drop_nulls().len() == 39
    assert tables.evals["step"].to_list() == [*range(50, 400, 50)]


def test_decays_of_one_word_that_overlap_are_branches_each(tmp_path: Path) -> None:
    rows: list[tuple[object, ...]] = [
        (step, "warmup" if step < 50 else "stable", 5 - step / 1e3) for step in range(10, 400, 10)
    ]
    for begin in (100, 120, 340):
        rows += [
            (step, "decay", 5 - step / 1e3 - (step - begin) / 100)
            for step in range(begin + 10, begin + 51, 10)
        ]
    # and a decay that was restarted is still one
    rows += [(step, "decay", 5 - step / 1e3 - (step - 340) / 100 + 0.001) for step in (380, 390)]
    tables = read(tmp_path / "s", *rows)
    names = ["a-decay-110", "a-decay-130", "a-decay-350", "a-stable"]
    assert tables.runs["run"].to_list() == names
    assert tables.runs["tokens"].to_list() == [150_000, 170_000, 390_000, 390_000]
    kept = tables.curves.filter(~pl.col("superseded"))
    assert dict(kept.group_by("run").len().iter_rows()) == dict(
        zip(names, (5, 5, 5, 39), strict=True)
    )


@pytest.mark.parametrize(
    ("column", "trunk", "branch", "runs"),
    [
        ("group", "main", "linear_{}", ["a-linear_100", "a-linear_250", "a-main"]),
        ("parent", "", "main", ["a-main-110", "a-main-260", "a-trunk"]),
        ("schedule", "constant", "1-sqrt", ["a-1-sqrt-110", "a-1-sqrt-260", "a-constant"]),
        ("decay_frac", "0.0", "0.2", ["a-0", "a-0.2-110", "a-0.2-260"]),
    ],
)
def test_branches_are_known_by_the_steps_that_they_jump_over(
    tmp_path: Path, column: str, trunk: str, branch: str, runs: list[str]
) -> None:
    """No word of the label says so: the second begins far beyond the end of the first."""
    known = "title: t\nfacts: {schedule: {kind: constant}}\n"
    tables = ingest(tmp_path / "s", {"t.csv": branched(column, trunk, branch)}, known)
    assert tables.runs["run"].to_list() == runs
    assert sorted(tables.runs["tokens"].to_list()) == [150_000, 300_000, 390_000]
    assert not tables.curves["superseded"].any()


def test_branches_that_no_column_tells_are_asked_about(tmp_path: Path) -> None:
    known = "title: t\nfacts: {schedule: {kind: constant}}\n"
    text = branched("host", "n1", "n1")
    with pytest.raises(EmptySweepError) as caught:
        ingest(tmp_path / "s", {"t.csv": text}, known)
    assert "in row 45 jump from 150 to 260, over steps that earlier rows have" in str(caught.value)
    proposed = re.search(r"^ *(table: .*)$", str(caught.value), re.MULTILINE)
    assert proposed is not None
    tables = ingest(tmp_path / "t", {"t.csv": text}, f"{known}{proposed[1]}\n")
    assert tables.runs["tokens"].to_list() == [300_000]


def test_a_launch_that_died_under_another_label_is_no_branch(tmp_path: Path) -> None:
    """The trunk's own label makes the branch's steps anew."""
    steps = [(s, "base") for s in range(10, 200, 10)]
    steps += [(s, "decay_v2") for s in range(160, 190, 10)]
    steps += [(s, "base") for s in range(160, 400, 10)]
    lines = [f"a,1000000,{s},{s * 1000},{label},{5 - s / 1e3:g}" for s, label in steps]
    text = "\n".join(["run,n_params,step,tokens,cfg,train_loss", *lines, ""])
    known = "title: t\nfacts: {schedule: {kind: constant}}\n"
    tables = ingest(tmp_path / "s", {"t.csv": text}, known)
    assert tables.runs["run"].to_list() == ["a"]
    assert tables.curves.filter(~pl.col("superseded")).height == 39


def test_a_rate_of_a_schedule_names_no_runs(tmp_path: Path) -> None:
    """Trunks and decays of two N, without a name: what changes from row to row is none."""
    lines = []
    for size in (1_000_000, 2_000_000):
        steps = [(step, "trunk", 1e-3) for step in range(10, 400, 10)]
        steps += [
            (start + step, f"decay_{start}", 1e-3 * (1 - step / 80))
            for start in (100, 200, 300)
            for step in range(10, 90, 10)
        ]
        lines += [
            f"{size},{step},{step * 1000},{label},"
            f"{6 - size / 1e6 - step / 1e3 + rate * 100:g},{rate:g}"
            for step, label, rate in steps
        ]
    told = "\n".join(["n_params,step,tokens,branch,train_loss,lr", *lines, ""])
    known = "title: t\nfacts: {schedule: {kind: constant}}\n"
    with pytest.raises(EmptySweepError) as caught:
        ingest(tmp_path / "s", {"t.csv": told}, known)
    proposed = re.search(r"^ *(table: .*)$", str(caught.value), re.MULTILINE)
    assert proposed is not None
    assert '-\', \\"lr\\"' not in proposed[1]
    tables = ingest(tmp_path / "t", {"t.csv": told}, f"{known}{proposed[1]}\n")
    read = tables.runs.select("params_total", "tokens").sort("params_total", "tokens").rows()
    ends = [180_000, 280_000, 380_000, 390_000]
    assert read == [(size, end) for size in (1e6, 2e6) for end in ends]
