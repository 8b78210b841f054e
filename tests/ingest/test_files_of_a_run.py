"""Several files of one run: its evaluations, ranks, launches and records beside its curve."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from isoflop.ingest.inspection import inspect
from tests.ingest.samples import ingest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from isoflop.ingest.sweep import Ingested

RUNS = {"25M": 2.5e7, "50M": 5e7}
STEPS = range(50, 2050, 50)
OPEN = "title: t\nfacts: {schedule: {kind: constant}}\n"
PER_STEP = 131_072


def loss(step: int, size: float, shift: float = 0.0) -> float:
    noise = (step * 7919 % 101 - 50) / 5000
    return round(2 + 400 / size**0.34 + 400 / (step * PER_STEP) ** 0.28 + noise + shift, 4)


def rows(size: float, steps: Iterable[int] = STEPS, **changes: Any) -> list[dict[str, Any]]:
    return [
        {
            "step": step,
            "tokens": step * PER_STEP,
            "train_loss": loss(step, size),
            "lr": 1e-3,
            "n_params": int(size),
        }
        | changes
        for step in steps
    ]


def evaluations(size: float, steps: Iterable[int] = range(250, 2250, 250)) -> list[dict[str, Any]]:
    shift = size / 1e9
    return [
        {"step": step, "tokens": step * PER_STEP, "val_loss": loss(step, size, shift)}
        for step in steps
    ]


def csv(lines: Sequence[dict[str, Any]]) -> str:
    cells = [[*lines[0]], *([str(cell) for cell in line.values()] for line in lines)]
    return "\n".join(",".join(line) for line in cells) + "\n"


def jsonl(lines: Sequence[dict[str, Any]]) -> str:
    return "\n".join(map(json.dumps, lines)) + "\n"


def read(folder: Path, files: dict[str, str], rules: str = OPEN) -> Ingested:
    return ingest(folder, files, rules)


def ends(tables: Ingested) -> list[tuple[float, float, float, float | None]]:
    """N, D, last loss in training and last loss on an eval set of each run that is used."""
    used = tables.runs.filter(pl.col("reason").is_null())
    told = []
    for run, size, tokens in used.select("run", "params_total", "tokens").iter_rows():
        curve = tables.curves.filter(pl.col("run") == run, ~pl.col("superseded")).sort("step")
        losses = [curve[name].drop_nulls() for name in ("train_loss", "eval_loss")]
        told.append((size, tokens, *(each[-1] if len(each) else None for each in losses)))
    return sorted(told)


def reasons(tables: Ingested) -> dict[str, str | None]:
    return dict(tables.files.select("path", "reason").iter_rows())


@pytest.mark.parametrize(
    ("train", "evals", "write"),
    [
        ("{}/train.csv", "{}/eval.csv", csv),
        ("{}_train.jsonl", "{}_eval.jsonl", jsonl),
        ("{}.csv", "{}_val.csv", csv),
        ("train/{}.csv", "validation/{}.csv", csv),
        ("{}/metrics.jsonl", "{}/evals.csv", csv),
        ("{}/train.csv", "{}/c4.csv", csv),
    ],
)
def test_evaluations_in_a_file_are_of_the_log_beside_it(
    train: str, evals: str, write: Callable[[Sequence[dict[str, Any]]], str], tmp_path: Path
) -> None:
    files = {}
    for name, size in RUNS.items():
        trained = jsonl if train.endswith("jsonl") else csv
        files[train.format(name)] = trained(rows(size))
        files[evals.format(name)] = write(evaluations(size))
    tables = read(tmp_path / "sweep", files)
    assert ends(tables) == [
        (size, 2000 * PER_STEP, loss(2000, size), loss(2000, size, size / 1e9))
        for size in RUNS.values()
    ]
    assert "runs:" not in inspect(tmp_path / "sweep").sidecar_text()


def test_evaluations_of_a_resumed_run_are_of_the_launch_that_counts(tmp_path: Path) -> None:
    (size,) = [5e7]
    resumed = [*rows(size, range(50, 1050, 50)), *rows(size, range(800, 2050, 50))]
    twice = [*evaluations(size, range(250, 1250, 250)), *evaluations(size, range(1000, 2250, 250))]
    twice[3]["val_loss"] += 0.5  # by the launch that died
    tables = read(tmp_path, {"a/train.csv": csv(resumed), "a/eval.csv": csv(twice)})
    assert ends(tables) == [(size, 2000 * PER_STEP, loss(2000, size), loss(2000, size, size / 1e9))]
    live = tables.curves.filter(~pl.col("superseded"))
    assert live["train_loss"].drop_nulls().len() == len(STEPS)
    assert live.drop_nulls("eval_loss").filter(pl.col("step") == 1000)["eval_loss"].to_list() == [
        loss(1000, size, size / 1e9)
    ]


def test_evaluations_that_contradict_the_log_are_asked_about(tmp_path: Path) -> None:
    size = 5e7
    files = {"a/train.csv": csv(rows(size)), "a/eval.csv": csv(evaluations(size, [500, 5000]))}
    tables = read(tmp_path, files)
    assert [run[1] for run in ends(tables)] == [2000 * PER_STEP]
    (reason,) = tables.runs["reason"].drop_nulls()
    assert "a/train.csv, but it has steps to 5000, and that to 2000" in reason
    way = 'runs: [{match: "a/eval.csv", run: b, params: {total: 5e7}}]'
    assert len(ends(read(tmp_path / "b", files, f"{OPEN}{way}\n"))) == 2


def test_a_file_a_metric_is_of_its_folder(tmp_path: Path) -> None:
    size = 5e7
    for name in ("value", "loss"):
        values = [{"step": row["step"], name: row["train_loss"]} for row in rows(size)]
        other = [{"step": row["step"], name: row["val_loss"]} for row in evaluations(size)]
        files = {"a/train_loss.csv": csv(values), "a/val_loss.csv": csv(other)}
        facts = "{schedule: {kind: constant}, tokens_per_step: 131072, params: {total: 5e7}}"
        tables = read(tmp_path / name, files, f"title: t\nfacts: {facts}\n")
        assert ends(tables) == [
            (size, 2000 * PER_STEP, loss(2000, size), loss(2000, size, size / 1e9))
        ]


def test_branches_are_no_evaluations(tmp_path: Path) -> None:
    """What trains is a run of its own, whatever its name."""
    files = {"a/train.csv": csv(rows(5e7)), "a/eval.csv": csv(rows(2.5e7))}
    assert len(ends(read(tmp_path, files))) == 2
