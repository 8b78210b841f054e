"""Several files of one run: its evaluations, ranks, launches and records beside its curve."""

from __future__ import annotations

import json
import math
import re
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from isoflop.errors import MissingFactError
from isoflop.ingest.inspection import inspect
from tests.ingest.samples import ingest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

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
    return sorted(told, key=lambda run: [(each is None, each or 0.0) for each in run])


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


@pytest.mark.parametrize(
    ("train", "evals", "column"),
    [
        ("{}/train.csv", "{}/eval.csv", "loss"),
        ("{}_train.csv", "{}_val.csv", "loss"),
        ("{}/metrics.csv", "{}/downstream_eval.csv", "loss"),
        ("{}/train.csv", "{}/test.csv", "loss"),
        ("runs/{}.csv", "evals/c4/{}.csv", "loss"),
        ("runs/{}.csv", "evals/c4/{}.csv", "val_loss"),
        ("runs/{}.csv", "evals/{}/c4.csv", "val_loss"),
    ],
)
@pytest.mark.parametrize("says_all", [True, False])
def test_evaluations_are_known_by_the_name_of_their_file(
    train: str, evals: str, column: str, says_all: bool, tmp_path: Path
) -> None:
    """They would be finished runs with their losses as those in training."""
    files = {}
    for name, size in RUNS.items():
        files[train.format(name)] = csv(rows(size))
        files[evals.format(name)] = csv(
            [
                {"step": each["step"], column: each["val_loss"]}
                | ({"tokens": each["tokens"], "n_params": int(size)} if says_all else {})
                for each in evaluations(size)
            ]
        )
    tables = read(tmp_path / "sweep", files)
    assert ends(tables) == [
        (size, 2000 * PER_STEP, loss(2000, size), loss(2000, size, size / 1e9))
        for size in RUNS.values()
    ]
    assert "runs:" not in inspect(tmp_path / "sweep").sidecar_text()


def test_a_file_that_is_called_as_evaluations_is_asked_for_their_map(tmp_path: Path) -> None:
    """What sweep.yaml maps as losses in training is a run nevertheless."""
    files = {"a/train.csv": csv(rows(5e7))}
    told = [{"step": each["step"], "nll": each["val_loss"]} for each in evaluations(5e7)]
    tables = read(tmp_path / "asked", files | {"a/valid.csv": csv(told)})
    assert 'eval_loss: "nll"' in str(reasons(tables)["a/valid.csv"])
    text = inspect(tmp_path / "asked").sidecar_text()
    assert 'eval_loss: "nll"}   # or train_loss: that column' in text
    assert 'train_loss: "nll"' not in text
    way = "{OPEN}runs: [{{match: a/valid.csv, table: {{rows: points, columns: {columns}}}}}]\n"
    is_eval = way.format(OPEN=OPEN, columns="{step: step, eval_loss: nll}")
    used = ends(read(tmp_path / "said", files | {"a/valid.csv": csv(told)}, is_eval))
    assert used == [(5e7, 2000 * PER_STEP, loss(2000, 5e7), loss(2000, 5e7, 0.05))]
    counted = csv([{"tokens": each["step"] * PER_STEP, "N": int(5e7)} | each for each in told])
    columns = "{step: step, tokens: tokens, train_loss: nll, params.total: N}"
    trains = way.format(OPEN=OPEN, columns=columns)
    assert len(ends(read(tmp_path / "run", files | {"a/valid.csv": counted}, trains))) == 2


@pytest.mark.parametrize("write", [csv, jsonl])
def test_few_losses_without_a_rate_beside_the_log_of_a_folder_are_asked_about(
    write: Callable[[Sequence[dict[str, Any]]], str], tmp_path: Path
) -> None:
    ending = write.__name__
    told = [
        {"step": each["step"], "loss": each["val_loss"], "tokens": each["tokens"]}
        | {"n_params": int(5e7)}
        for each in evaluations(5e7)
    ]
    files = {"a/metrics.csv": csv(rows(5e7)), f"a/c4.{ending}": write(told)}
    tables = read(tmp_path / "asked", files)
    assert len(ends(tables)) == 1
    (reason,) = tables.runs["reason"].drop_nulls()
    for place, (sought, used) in enumerate(
        ((r"in sweep.yaml, (runs: \[.*?\]);", [0.05]), (r"its own, (runs: \[.*?\]);", [None] * 2))
    ):
        way = re.search(sought, reason)
        assert way is not None
        rules = f"{OPEN}{re.sub('<[a-z ]+>', 'other', way[1])}\n"
        assert [run[3] for run in ends(read(tmp_path / str(place), files, rules))] == [
            shift and loss(2000, 5e7, shift) for shift in used
        ]
    rated = write([each | {"lr": 1e-3} for each in told])
    assert len(ends(read(tmp_path / "rated", files | {f"a/c4.{ending}": rated}))) == 2


def test_a_table_of_evaluations_of_several_runs_is_asked_about(tmp_path: Path) -> None:
    files = {f"runs/{name}.csv": csv(rows(size)) for name, size in RUNS.items()}
    files["evals.csv"] = csv(
        [
            {"model": name, "step": each["step"], "loss": each["val_loss"]}
            | {"tokens": each["tokens"], "n_params": int(size)}
            for name, size in RUNS.items()
            for each in evaluations(size)
        ]
    )
    tables = read(tmp_path / "asked", files)
    assert [run[2] for run in ends(tables)] == [loss(2000, size) for size in RUNS.values()]
    reason = tables.runs["reason"].drop_nulls()[0]
    way = re.search(r"in sweep.yaml, (runs: \[.*?\]);", reason)
    assert way is not None
    assert ends(read(tmp_path / "said", files, f"{OPEN}{way[1]}\n")) == [
        (size, 2000 * PER_STEP, loss(2000, size), loss(2000, size, size / 1e9))
        for size in RUNS.values()
    ]


@pytest.mark.parametrize("log", ["logs/{}.csv", "runs/{}/metrics.csv"])
def test_evaluations_that_a_table_above_the_logs_names_by_run_are_of_them(
    log: str, tmp_path: Path
) -> None:
    """The run is that of the last part of the log's name: each counted twice, without one half."""
    table = [{"run": name} | row for name, size in RUNS.items() for row in evaluations(size)]
    logs = {log.format(name): csv(rows(size)) for name, size in RUNS.items()}
    tables = read(tmp_path / "s", {**logs, "evals.csv": csv(table)})
    assert ends(tables) == [
        (size, 2000 * PER_STEP, rows(size)[-1]["train_loss"], evaluations(size)[-1]["val_loss"])
        for size in RUNS.values()
    ]


def test_evaluations_of_a_name_that_several_logs_have_are_of_none(tmp_path: Path) -> None:
    """A seed's folder each: which of the two was evaluated, the table does not say."""
    table = [{"run": "25M"} | row for row in evaluations(2.5e7)]
    logs = {f"{seed}/25M.csv": csv(rows(2.5e7, lr=rate)) for seed, rate in (("a", 1), ("b", 2))}
    tables = read(tmp_path / "s", {**logs, "evals.csv": csv(table)})
    assert tables.curves.filter(pl.col("run") != "25M")["eval_loss"].null_count() == len(STEPS) * 2


def test_each_folder_of_evaluations_is_an_eval_set(tmp_path: Path) -> None:
    files = {"runs/a.csv": csv(rows(5e7))}
    files |= {f"evals/{name}/a.csv": csv(evaluations(5e7)) for name in ("c4", "pile")}
    tables = read(tmp_path, files, f"{OPEN[:-2]}, primary_eval: c4}}\n")
    assert ends(tables) == [(5e7, 2000 * PER_STEP, loss(2000, 5e7), loss(2000, 5e7, 0.05))]
    assert {*tables.evals["eval_set"]} == {"c4", "pile"}


@pytest.mark.parametrize(
    "names",
    [
        ("a.csv", "a_test.csv"),
        ("x/a/train.csv", "y/a/train.csv", "evals/c4/a.csv"),
        ("a_s0.csv", "a_s1.csv", "a_eval.csv"),
    ],
)
def test_evaluations_that_may_be_of_another_run_are_asked_about(
    names: tuple[str, ...], tmp_path: Path
) -> None:
    """A trial, or of one of two runs: the ways out that are printed work."""
    *logs, evals = names
    told = [
        {"step": each["step"], "tokens": each["tokens"], "n_params": int(5e7)}
        | {"loss": each["val_loss"]}
        for each in evaluations(5e7)
    ]
    files = {
        name: csv([row | {"train_loss": loss(row["step"], 5e7, 0.1 * at)} for row in rows(5e7)])
        for at, name in enumerate(logs)
    }
    files[evals] = csv(told)
    tables = read(tmp_path / "asked", files)
    assert len(ends(tables)) == len(logs)
    (reason,) = tables.runs["reason"].drop_nulls()
    way = re.search(r"say so in sweep.yaml, (runs: \[.*?\]);", reason)
    assert way is not None
    used = ends(read(tmp_path / "said", files, f"{OPEN}{way[1]}\n"))
    assert len(used) == len(logs)
    assert loss(2000, 5e7, 0.05) in [run[3] for run in used]
    own = f'runs: [{{match: "{evals}", run: <its name>}}]'
    assert own in reason
    assert len(
        ends(read(tmp_path / "own", files, f"{OPEN}{own.replace('<its name>', 'b')}\n"))
    ) == (len(logs) + 1)


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


def noisy(size: float, place: int, **changes: Any) -> list[dict[str, Any]]:
    return [row | {"train_loss": loss(row["step"] + place, size)} | changes for row in rows(size)]


@pytest.mark.parametrize(
    ("path", "told"),
    [("{}/rank{}.csv", {}), ("{}.rank_{}.csv", {}), ("{}/metrics_{}.csv", {"rank": None})],
)
def test_ranks_with_a_file_each_are_one_run(
    path: str, told: dict[str, Any], tmp_path: Path
) -> None:
    """What all count alike is asked about, and both answers give what they say."""
    files = {
        path.format(name, rank): csv(noisy(size, rank, **dict.fromkeys(told, rank)))
        for name, size in RUNS.items()
        for rank in range(4)
    }
    asked = inspect(ingest_folder(tmp_path, files)).sidecar_text()
    assert "tokens_per_step: <131072 or 524288 if each of 4 ranks counts its own>" in asked
    for times in (1, 4):
        facts = f"{{schedule: {{kind: constant}}, tokens_per_step: {times * PER_STEP}}}"
        tables = read(tmp_path / str(times), files, f"title: t\nfacts: {facts}\n")
        assert ends(tables) == [
            (size, 2000 * PER_STEP * times, loss(2000, size), None) for size in RUNS.values()
        ]


def test_what_ranks_of_several_launches_count_is_asked_once(tmp_path: Path) -> None:
    """A key that stands twice is no YAML, and the question's answer gives D."""
    files = {
        f"a/job_{launch}/rank{rank}.csv": csv(
            [row for row in noisy(5e7, rank) if row["step"] in steps]
        )
        for launch, steps in ((101, range(951)), (102, range(850, 2001)))
        for rank in range(2)
    }
    asked = inspect(ingest_folder(tmp_path, files)).sidecar_text()
    assert asked.count("tokens_per_step") == 1
    answer = re.sub(r"<(\d+) or [^>]*>", r"\1", asked)
    answer = re.sub(r"\{kind: cosine[^}]*\}", "{kind: constant}", answer)
    tables = read(tmp_path / "s", files, answer)
    assert ends(tables) == [(5e7, 2000 * PER_STEP, loss(2000, 5e7), None)]


def ingest_folder(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = folder / "asked" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder / "asked"


def test_tokens_that_ranks_count_apart_are_added(tmp_path: Path) -> None:
    size = 5e7
    files = {
        f"a/rank{rank}.csv": csv(
            [row | {"tokens": row["tokens"] // 4 + rank} for row in noisy(size, rank)]
        )
        for rank in range(4)
    }
    assert ends(read(tmp_path, files)) == [(size, 2000 * PER_STEP + 6, loss(2000, size), None)]


def test_ranks_that_contradict_each_other_are_runs(tmp_path: Path) -> None:
    files = {f"a/rank{rank}.csv": csv(rows(size)) for rank, size in enumerate(RUNS.values())}
    assert len(ends(read(tmp_path, files))) == 2
    seeds = {f"a/run{seed}.csv": csv(noisy(5e7, seed)) for seed in range(2)}
    assert len(ends(read(tmp_path / "seeds", seeds))) == 2


@pytest.mark.parametrize("of_all", [True, False])
def test_ranks_of_several_nodes_are_one_run(of_all: bool, tmp_path: Path) -> None:
    """Each node counts its ranks anew, or the job does."""
    files = {
        f"a/node{node}/rank{rank + 2 * node * of_all}.csv": csv(noisy(5e7, 2 * node + rank))
        for node in range(2)
        for rank in range(2)
    }
    facts = f"{{schedule: {{kind: constant}}, tokens_per_step: {PER_STEP}}}"
    tables = read(tmp_path, files, f"title: t\nfacts: {facts}\n")
    assert ends(tables) == [(5e7, 2000 * PER_STEP, loss(2000, 5e7), None)]


def decaying(place: int, until: int = 2000) -> list[dict[str, Any]]:
    told = [row | {"lr": 1e-3 * (1 - row["step"] / 2100)} for row in noisy(5e7, place)]
    return [row for row in told if row["step"] <= until]


ANSWERED = f"title: t\nfacts: {{schedule: {{kind: constant}}, tokens_per_step: {PER_STEP}}}\n"


def answers(folder: Path, files: dict[str, str]) -> list[tuple[str, int]]:
    """Give the rules that the question about files proposes, for one run and for one each."""
    with pytest.raises(MissingFactError) as told:
        read(folder / "asked", files, ANSWERED)
    asked = str(told.value).split("\n")[1]
    one, each = re.findall(r"runs: (\[.*?\])", asked)
    for name in files:
        each = each.replace("<its name>", re.sub(r"\W", "-", name), 1)
    return [(f"{ANSWERED}runs: {one.replace('<the name of all>', 'a')}\n", 1),
            (f"{ANSWERED}runs: {each}\n", len(files))]  # fmt: skip


def test_a_rank_whose_log_ends_early_leaves_the_losses_to_the_next(tmp_path: Path) -> None:
    """The decay that both have was that of one run."""
    files = {"a/rank0.csv": csv(decaying(0, 1300)), "a/rank1.csv": csv(decaying(1))}
    tables = read(tmp_path, files, ANSWERED)
    assert ends(tables) == [(5e7, 2000 * PER_STEP, decaying(1)[-1]["train_loss"], None)]
    assert "the first that did not end early" in str(reasons(tables)["a/rank1.csv"])


def test_ranks_that_end_apart_at_a_constant_rate_are_asked_about(tmp_path: Path) -> None:
    """They may be runs of two lengths; both answers are read as they say."""
    files = {"a/rank0.csv": csv(noisy(5e7, 0)[:26]), "a/rank1.csv": csv(noisy(5e7, 1))}
    for place, (rules, runs) in enumerate(answers(tmp_path, files)):
        told = ends(read(tmp_path / str(place), files, rules))
        assert len(told) == runs
        assert told[-1][1] == 2000 * PER_STEP


@pytest.mark.parametrize("times", [2, 1.2])
def test_ranks_of_other_rates_are_runs(times: float, tmp_path: Path) -> None:
    faster = [row | {"lr": times * row["lr"]} for row in decaying(1)]
    files = {"a/rank0.csv": csv(decaying(0)), "a/rank1.csv": csv(faster)}
    assert len(ends(read(tmp_path, files))) == 2


@pytest.mark.parametrize("word", ["worker", "proc", "gpu_", "host-"])
def test_files_that_may_be_of_ranks_by_their_number_are_asked_about(
    word: str, tmp_path: Path
) -> None:
    """A run of its own on each machine is called so, too; both answers are read as they say."""
    files = {
        f"a/{word}{rank}.csv": csv(
            [row | {"tokens": row["tokens"] // 2 + rank} for row in noisy(5e7, rank)]
        )
        for rank in range(2)
    }
    for place, (rules, runs) in enumerate(answers(tmp_path, files)):
        counted = rules.replace(f", tokens_per_step: {PER_STEP}", "")
        told = ends(read(tmp_path / str(place), files, counted))
        assert len(told) == runs
        assert told[-1][1] == pytest.approx(2000 * PER_STEP / runs, abs=2)


def test_a_seed_on_each_machine_is_a_run(tmp_path: Path) -> None:
    files = {f"a/gpu{rank}.csv": csv(noisy(5e7, rank, seed=rank)) for rank in range(2)}
    named = {"step": "step", "tokens": "tokens", "train_loss": "train_loss", "seed": "seed"}
    columns = json.dumps({**named, "params.total": "n_params"})
    assert (
        len(ends(read(tmp_path, files, f"{OPEN}table: {{rows: points, columns: {columns}}}\n")))
        == 2
    )


def test_counts_of_ranks_that_are_known_up_to_an_early_end_alone_are_asked_for(
    tmp_path: Path,
) -> None:
    """The sum was that of the ranks left."""
    files: dict[str, str] = {
        f"a/rank{rank}.csv": csv(
            [r | {"tokens": r["tokens"] // 2 + rank} for r in decaying(rank, until)]
        )
        for rank, until in enumerate((1300, 2000))
    }
    with pytest.raises(MissingFactError, match="number of tokens per step"):
        read(tmp_path / "a", files)
    tables = read(tmp_path / "b", files, ANSWERED)
    assert ends(tables)[0][1] == 2000 * PER_STEP


def runs_of_ranks(name: str, apart: int, lower: float = 0.0) -> dict[str, str]:
    """Write a table in which each of two ranks has a run, as where each opened one of a tracker."""
    return {
        "history.csv": csv(
            [
                {"run": f"a-{name}{rank}"}
                | row
                | {"tokens": row["tokens"] // 2 + apart * rank}
                | {"train_loss": row["train_loss"] - lower * rank}
                for rank in range(2)
                for row in noisy(5e7, rank)
            ]
        )
    }


def test_runs_of_one_file_that_are_ranks_by_their_names_are_one(tmp_path: Path) -> None:
    """Each was a finished run, with the tokens of a rank."""
    tables = read(tmp_path, runs_of_ranks("rank", apart=1))
    assert ends(tables) == [(5e7, 2000 * PER_STEP + 1, loss(2000, 5e7), None)]
    note = str(reasons(tables)["history.csv"])
    assert "'a-rank0' to 'a-rank1' are 2 ranks of one run" in note
    way = note.rpartition("in sweep.yaml, ")[2].partition(";")[0]
    rules = f"{OPEN}{way.replace('<its name>', 'b')}\n"
    assert len(ends(read(tmp_path / "b", runs_of_ranks("rank", apart=1), rules))) == 2
    without = f'{OPEN}exclude: [{{match: "a-rank1", reason: a rank}}]\n'
    (kept,) = ends(read(tmp_path / "c", runs_of_ranks("rank", apart=1), without))
    assert kept[1] == 2000 * PER_STEP // 2


def test_runs_of_ranks_that_count_alike_ask_whose_tokens_these_are(tmp_path: Path) -> None:
    files = runs_of_ranks("rank", apart=0)
    with pytest.raises(MissingFactError, match="tokens of all 2 ranks") as told:
        read(tmp_path, files)
    answer = f'runs: [{{match: "a-rank0", tokens_per_step: {PER_STEP}}}]'
    assert f"<{PER_STEP // 2} or {PER_STEP} if each of 2 ranks counts its own>" in str(told.value)
    tables = read(tmp_path / "b", files, f"{OPEN}{answer}\n")
    assert ends(tables) == [(5e7, 2000 * PER_STEP, loss(2000, 5e7), None)]


@pytest.mark.parametrize(("name", "lower"), [("r", 0.0), ("rank", 0.02), ("rank6", 0.0)])
def test_runs_of_one_file_that_are_no_ranks_stay_apart(
    name: str, lower: float, tmp_path: Path
) -> None:
    """Other losses than noise gives, and ranks of adapters, are those of runs."""
    assert len(ends(read(tmp_path, runs_of_ranks(name, apart=1, lower=lower)))) == 2


@pytest.mark.parametrize("ranks", [(64, 128), (0, 2), (1, 2)])
def test_ranks_of_adapters_are_runs(ranks: tuple[int, int], tmp_path: Path) -> None:
    """Ranks of a job are numbered from 0 without gaps."""
    files = {f"a/rank{rank}.csv": csv(noisy(5e7, rank)) for rank in ranks}
    assert len(ends(read(tmp_path, files))) == 2


def test_ranks_of_other_losses_are_runs(tmp_path: Path) -> None:
    lower = [row | {"train_loss": row["train_loss"] - 0.02} for row in noisy(5e7, 1)]
    files = {"a/rank0.csv": csv(noisy(5e7, 0)), "a/rank1.csv": csv(lower)}
    assert len(ends(read(tmp_path, files))) == 2


def test_a_rank_that_sweep_yaml_names_is_a_run(tmp_path: Path) -> None:
    files = {f"a/rank{rank}.csv": csv(noisy(5e7, rank)) for rank in range(2)}
    asked = inspect(ingest_folder(tmp_path, files))
    way = str(reasons(asked.tables)["a/rank1.csv"]).rpartition("in sweep.yaml, ")[2]
    tables = read(tmp_path / "b", files, f"{OPEN}{way.replace('<its name>', 'b')}\n")
    assert [run[2] for run in ends(tables)] == sorted([loss(2000, 5e7), loss(2001, 5e7)])


@pytest.mark.parametrize(
    "names",
    [
        ("{}/log_0.csv", "{}/log_1.csv"),
        ("{}/2026-01-01.csv", "{}/2026-02-02.csv"),
        ("{}/job_11/metrics.csv", "{}/job_12/metrics.csv"),
        ("{}.csv", "{}_resume.csv"),
        ("{}.csv", "{}-restart2.csv"),
    ],
)
def test_files_that_go_on_where_another_ended_are_one_run(
    names: tuple[str, str], tmp_path: Path
) -> None:
    files = {}
    for name, size in RUNS.items():
        for path, steps in zip(names, (range(50, 1000, 50), range(850, 2050, 50)), strict=True):
            files[path.format(name)] = csv(
                [
                    row | {"train_loss": loss(row["step"] + (steps[0] > 50), size)}
                    for row in rows(size, steps)
                ]
            )
    tables = read(tmp_path, files)
    assert ends(tables) == [
        (size, 2000 * PER_STEP, loss(2001, size), None) for size in RUNS.values()
    ]
    live = tables.curves.filter(~pl.col("superseded"))
    assert live.height == 2 * len(STEPS)
    assert tables.runs["notes"].str.contains("go on where one another ended").all()


def test_branches_and_later_runs_go_on_with_nothing(tmp_path: Path) -> None:
    """Another rate at the same steps, other losses, or a beginning of its own."""
    first, later = range(50, 2050, 50), range(1850, 3050, 50)
    branch = csv([row | {"lr": 1e-4} for row in rows(5e7, later)])
    above = csv([row | {"train_loss": row["train_loss"] + 0.5} for row in rows(5e7, later)])
    steps = range(50, 3050, 50)
    anew = csv([row | {"train_loss": loss(row["step"] + 1, 5e7)} for row in rows(5e7, steps)])
    for place, other in enumerate((branch, above, anew)):
        files = {"a/run_1.csv": csv(rows(5e7, first)), "a/run_2.csv": other}
        assert len(ends(read(tmp_path / str(place), files))) == 2


def decayed(last: int, steps: Iterable[int]) -> list[dict[str, Any]]:
    """Rows of a schedule that comes down to a tenth at a step, from 2000 on."""
    lrs = {step: 1e-3 * (1 - 0.9 * min(max(step - 2000, 0) / (last - 2000), 1)) for step in steps}
    return [row | {"lr": lrs[row["step"]]} for row in rows(5e7, steps)]


@pytest.mark.parametrize("is_resumed", [True, False])
def test_what_begins_behind_the_end_of_a_run_goes_on_with_it_where_all_does(
    is_resumed: bool, tmp_path: Path
) -> None:
    """Without a step in common the rate and the loss at the seam say it."""
    first, later = range(50, 2450, 50), range(2450, 4050, 50)
    constant = rows(5e7, later)
    going_on: dict[str, tuple[list[dict[str, Any]], list[dict[str, Any]]]] = {
        "constant": (rows(5e7, first), constant),
        "decaying": (decayed(4000, first), decayed(4000, later)),
        "begins to decay": (decayed(4000, first[:39]), decayed(4000, [*first[39:], *later])),
    }
    ended = [row | {"lr": 1e-4 + row["step"] * -1e-10} for row in [*rows(5e7, first), *constant]]
    ended[0] |= {"lr": 1e-3}
    going_on["all but at its end"] = (ended[: len(first)], ended[len(first) :])
    above = [row | {"train_loss": row["train_loss"] + 0.4} for row in constant]
    others = {
        "another loss": (rows(5e7, first), above),
        "another rate": (rows(5e7, first), [row | {"lr": 2e-3} for row in constant]),
        "warmed up again": (decayed(2400, first), [row | {"lr": 5e-4} for row in constant]),
        "had come down": (decayed(2400, first), decayed(2400, later)),
    }
    for name, (one, two) in (going_on if is_resumed else others).items():
        files = {"a/stage_1.csv": csv(one), "a/stage_2.csv": csv(two)}
        assert len(ends(read(tmp_path / name, files))) == 2 - is_resumed, name


def test_a_resumed_file_goes_on_with_the_run_of_its_name(tmp_path: Path) -> None:
    files = {}
    for seed in range(2):
        files[f"a_s{seed}.csv"] = csv(noisy(5e7, seed)[:20])
        files[f"a_s{seed}_resume.csv"] = csv(noisy(5e7, seed)[18:])
    tables = read(tmp_path, files)
    assert [run[2] for run in ends(tables)] == sorted([loss(2000, 5e7), loss(2001, 5e7)])


def test_of_two_that_it_may_go_on_with_the_user_says_which(tmp_path: Path) -> None:
    files = {
        "a/run_1.csv": csv(rows(5e7, range(50, 1050, 50))),
        "a/run_2.csv": csv(noisy(5e7, 1)[:20]),
        "a/run_3.csv": csv(rows(5e7, range(1050, 2050, 50))),
    }
    tables = read(tmp_path, files)
    (reason,) = tables.runs["reason"].drop_nulls()
    assert "2 logs beside it lead up to that: a/run_1.csv, a/run_2.csv" in reason
    assert ", its first, and 2 logs beside it" in reason  # no log prints where it was resumed
    way = 'runs: [{match: "a/run_1.csv", run: a}, {match: "a/run_3.csv", run: a}]'
    assert way in reason
    assert len(ends(read(tmp_path / "b", files, f"{OPEN}{way}\n"))) == 2


def launches(size: float, *steps: range) -> list[list[dict[str, Any]]]:
    """Rows of the launches of a run, each with noise of its own."""
    return [
        [row | {"train_loss": loss(row["step"] + place, size)} for row in rows(size, each)]
        for place, each in enumerate(steps)
    ]


@pytest.mark.parametrize(
    "names",
    [
        ("{}/train.jsonl.2", "{}/train.jsonl.1", "{}/train.jsonl"),
        ("{}/a.jsonl.11", "{}/a.jsonl.10", "{}/a.jsonl.9"),
        ("{}.jsonl-20260131", "{}.jsonl-20260201", "{}.jsonl"),
    ],
)
def test_rotated_logs_are_one_run_and_the_newest_is_the_last(
    names: tuple[str, ...], tmp_path: Path
) -> None:
    files = {}
    for name, size in RUNS.items():
        for path, lines in zip(
            names,
            launches(size, range(50, 650, 50), range(650, 1350, 50), range(1350, 2050, 50)),
            strict=True,
        ):
            files[path.format(name)] = jsonl(lines)
    tables = read(tmp_path, files)
    assert ends(tables) == [
        (size, 2000 * PER_STEP, loss(2002, size), None) for size in RUNS.values()
    ]
    assert tables.curves.height == 2 * len(STEPS)
    called = names[-1].format("25M").removesuffix(".9").removesuffix(".jsonl")
    assert tables.runs["run"].to_list()[0] == called


@pytest.mark.parametrize(
    "middle", [range(900, 1050, 50), range(700, 950, 50), range(850, 950, 50), range(950, 1050, 50)]
)
def test_a_launch_that_died_behind_an_earlier_ones_end_is_of_its_run(
    middle: range, tmp_path: Path
) -> None:
    """Or before it got as far, or was followed by one from a checkpoint before its own."""
    told = launches(5e7, range(50, 1000, 50), middle, range(700, 2050, 50))
    files = {f"a/log_{place}.csv": csv(lines) for place, lines in enumerate(told)}
    tables = read(tmp_path, files)
    assert ends(tables) == [(5e7, 2000 * PER_STEP, loss(2002, 5e7), None)]
    live = tables.curves.filter(~pl.col("superseded"))
    assert live.height == len(STEPS)
    assert live.filter(pl.col("step") == 900)["train_loss"].item() == loss(902, 5e7)


@pytest.mark.parametrize("rates", [True, False])
def test_of_files_that_go_on_from_one_end_none_is_joined_unasked(
    rates: bool, tmp_path: Path
) -> None:
    """A run goes on once: with rates that come down each is a branch, and else the user says."""
    files = {"a/run_0.csv": csv(rows(5e7))}
    for place, last in enumerate((2400, 2800), 1):
        steps = range(2050, last + 50, 50)
        decay = [
            row | {"lr": 1e-3 * (1 - gone), "train_loss": row["train_loss"] - gone / 9}
            for row in rows(5e7, steps)
            for gone in ((row["step"] - 2000) / (last - 1999),)
        ]
        files[f"a/run_{place}.csv"] = csv(decay)
    if not rates:
        files = {path: text.replace("lr", "unread") for path, text in files.items()}
    tables = read(tmp_path / "asked", files)
    told = tables.runs["reason"].drop_nulls().to_list()
    if rates:
        assert [run[1] // PER_STEP for run in ends(tables)] == [2000, 2400, 2800]
        assert not told
        return
    assert [run[1] // PER_STEP for run in ends(tables)] == [2000]
    assert "goes on from step 2050, its first, to which a/run_0.csv leads up" in told[0]
    assert "a/run_2.csv goes on from a step of that, too" in told[0]
    one = '[{match: "a/run_0.csv", run: a}, {match: "a/run_1.csv", run: a}]'
    own = '[{match: "a/run_1.csv", run: <its name>}]'
    assert f"runs: {one}" in told[0]
    assert f"runs: {own}" in told[0]
    as_one = read(tmp_path / "one", files, f"{OPEN}runs: {one}\n")
    assert [run[1] // PER_STEP for run in ends(as_one)] == [2400, 2800]
    apart = "[" + ", ".join(f'{{match: "a/run_{n}.csv", run: b{n}}}' for n in (1, 2)) + "]"
    of_own = read(tmp_path / "own", files, f"{OPEN}runs: {apart}\n")
    assert [run[1] // PER_STEP for run in ends(of_own)] == [2000, 2400, 2800]


@pytest.mark.parametrize("rates", [True, False])
def test_what_may_be_a_branch_beside_one_is_not_joined_unasked(rates: bool, tmp_path: Path) -> None:
    """The trunk's second decay begins at its end, its first amid it."""
    files = {"a/run_0.csv": csv(rows(5e7))}
    for place, begin in enumerate((1000, 2000), 1):
        decay = [
            row
            | {
                "lr": 1e-3 * (begin + 410 - row["step"]) / 410,
                "train_loss": row["train_loss"] - (row["step"] - begin) / 4000,
            }
            for row in rows(5e7, range(begin + 50, begin + 450, 50))
        ]
        files[f"a/run_{place}.csv"] = csv(decay)
    if not rates:
        files = {path: text.replace("lr", "unread") for path, text in files.items()}
    tables = read(tmp_path, files)
    used = [run[1] // PER_STEP for run in ends(tables)]
    assert used == ([1400, 2000, 2400] if rates else [1400, 2000])
    told = [reason for reason in tables.runs["reason"] if reason]
    assert len(told) == (0 if rates else 1)


@pytest.mark.parametrize(
    "names",
    [
        ("{}.csv", "{}_v2.csv"),
        ("{}_old.csv", "{}.csv"),
        ("{}.csv", "resume_{}.csv"),
        ("{}.csv", "{}_from_800.csv"),
        ("{}_first.csv", "{}_second.csv"),
        ("first/{}.csv", "second/{}.csv"),
    ],
)
@pytest.mark.parametrize("changes", [True, False])
def test_other_names_of_a_resumed_run_are_joined_or_asked_about(
    changes: bool, names: tuple[str, str], tmp_path: Path
) -> None:
    """A rate that changes is the same in both of one run; a constant one may be a branch's, too."""
    files = {"other.csv": csv(rows(1e8))}
    for name, size in RUNS.items():
        told = launches(size, range(50, 1000, 50), range(850, 2050, 50))
        for path, lines in zip(names, told, strict=True):
            rates = {"lr": 1e-3}
            files[path.format(name)] = csv(
                [
                    row | (rates if not changes else {"lr": 1e-3 - row["step"] / 4e6})
                    for row in lines
                ]
            )
    tables = read(tmp_path / "a", files)
    other = (1e8, 2000 * PER_STEP, loss(2000, 1e8), None)
    one = [(size, 2000 * PER_STEP, loss(2001, size), None) for size in RUNS.values()]
    one.append(other)
    if changes or "resume" in names[1]:
        assert ends(tables) == one
        return
    assert ends(tables) == [other]
    reasons_told = tables.runs["reason"].drop_nulls().unique().sort()
    reason = reasons_told[0]
    paths = [name.format("25M") for name in names]
    assert f"{paths[0]} (steps 50 to 950), {paths[1]} (steps 850 to 2000)" in reason
    ways = [re.findall(r"runs: \[(.*?)\](?:,|$)", told) for told in reasons_told]
    assert ends(
        read(tmp_path / "one", files, f"{OPEN}runs: [{', '.join(w[0] for w in ways)}]\n")
    ) == (one)
    own = ", ".join(w[1].replace("<its name>", f"b{n}") for n, w in enumerate(ways))
    assert len(ends(read(tmp_path / "own", files, f"{OPEN}runs: [{own}]\n"))) == 5


@pytest.mark.parametrize("names", [("a_s0.csv", "a_s1.csv"), ("seed_1/a.csv", "seed_2/a.csv")])
def test_another_seed_that_begins_late_is_asked_about(
    names: tuple[str, str], tmp_path: Path
) -> None:
    """Its first lines are lost, or it was begun from the other's checkpoint: who knows."""
    told = launches(5e7, range(50, 1000, 50), range(850, 2050, 50))
    files = {path: csv(cosine(lines)) for path, lines in zip(names, told, strict=True)}
    tables = read(tmp_path, files | {"other.csv": csv(rows(1e8))})
    assert [run[0] for run in ends(tables)] == [1e8]
    assert tables.runs["reason"].drop_nulls().str.contains(f"{names[0]} (steps", literal=True).all()


def test_rotated_logs_without_the_oldest_are_one_run(tmp_path: Path) -> None:
    told = launches(5e7, range(650, 1350, 50), range(1350, 2050, 50))
    files = {
        path: jsonl(cosine(lines))
        for path, lines in zip(("a.jsonl.1", "a.jsonl"), told, strict=True)
    }
    tables = read(tmp_path, files)
    assert ends(tables) == [(5e7, 2000 * PER_STEP, loss(2001, 5e7), None)]
    assert "it begins late: its first training line is at step 650" in tables.runs["notes"][0]


def test_files_that_may_be_one_run_in_a_folder_are_named_by_it(tmp_path: Path) -> None:
    told = launches(5e7, range(50, 1000, 50), range(850, 1450, 50), range(1350, 2050, 50))
    files = {"other.csv": csv(rows(1e8))}
    files |= {
        f"x/{name}.csv": csv(lines) for name, lines in zip(("a", "b", "c"), told, strict=True)
    }
    (reason,) = read(tmp_path, files).runs["reason"].drop_nulls().unique()
    way = 'runs: [{match: "x/*", run: "x"}]'
    assert way in reason
    as_one, _ = ends(read(tmp_path / "b", files, f"{OPEN}{way}\n"))
    assert as_one == (5e7, 2000 * PER_STEP, loss(2002, 5e7), None)


def test_a_file_whose_steps_another_has_with_other_noise_is_asked_about(tmp_path: Path) -> None:
    told = launches(5e7, STEPS, range(700, 950, 50))
    files = {f"{name}.csv": csv(lines) for name, lines in zip(("a", "a_v2"), told, strict=True)}
    tables = read(tmp_path, files)
    assert ends(tables) == [(5e7, 2000 * PER_STEP, loss(2000, 5e7), None)]
    (reason,) = tables.runs["reason"].drop_nulls()
    way = 'ignore: [{match: "a_v2.csv", reason: <why>}]'
    assert way in reason
    assert len(ends(read(tmp_path / "b", files, OPEN + way.replace("<why>", "it died")))) == 1
    own = 'runs: [{match: "a_v2.csv", run: <its name>}]'
    assert own in reason
    assert len(ends(read(tmp_path / "c", files, OPEN + own.replace("<its name>", "b")))) == 2


@pytest.mark.parametrize("scale", [0.5, 1.0])
def test_a_resume_with_another_rate_amid_a_schedule_is_asked_about(
    scale: float, tmp_path: Path
) -> None:
    """Behind a constant rate it is a branch; a schedule that had not come down was cut."""
    first, later = launches(5e7, range(50, 1000, 50), range(850, 2050, 50))
    cut = csv([row | {"lr": 1e-3 - row["step"] / 4e6} for row in first])
    other = csv([row | {"lr": scale * (1e-3 - row["step"] / 4e6)} for row in later])
    files = {"a_0.csv": cut, "a_1.csv": other, "other.csv": csv(rows(1e8))}
    tables = read(tmp_path, files)
    assert len(ends(tables)) == (1 if scale < 1 else 2)
    assert tables.runs["reason"].drop_nulls().len() == (2 if scale < 1 else 0)


def test_logs_that_begin_late_by_themselves_are_read(tmp_path: Path) -> None:
    """Of another size, of other losses or a rate of their own, or with nothing that leads up."""
    begun = rows(5e7, range(1000, 3050, 50))
    others = {
        "of another size": csv(rows(2.5e7, range(50, 1050, 50))),
        "far below": csv([row | {"train_loss": row["train_loss"] + 0.5} for row in rows(5e7)]),
        "with another rate": csv([row | {"lr": 3e-3} for row in rows(5e7, range(50, 1050, 50))]),
        "ended before": csv(rows(5e7, range(50, 550, 50))),
    }
    for name, other in others.items():
        assert len(ends(read(tmp_path / name, {"a.csv": csv(begun), "b.csv": other}))) == 2, name


def cosine(lines: Sequence[dict[str, Any]], last: int = 2000) -> list[dict[str, Any]]:
    rate = [5e-4 * (1 + math.cos(math.pi * row["step"] / last)) for row in lines]
    return [row | {"lr": each} for row, each in zip(lines, rate, strict=True)]


@pytest.mark.parametrize(
    ("names", "last", "has_schedule"),
    [
        (("a/attempt_0.csv", "a/attempt_1.csv"), 950, True),
        (("a/attempt_0.csv", "a/attempt_1.csv"), 950, False),
        (("a/log_0.csv", "a/log_1.csv"), 950, True),
        (("a/log_0.csv", "a/log_1.csv"), 300, False),
        (("a.csv", "a_restart.csv"), 950, True),
    ],
)
def test_a_start_that_died_in_a_file_of_its_own_is_asked_about(
    names: tuple[str, str], last: int, has_schedule: bool, tmp_path: Path
) -> None:
    dead, lived = launches(5e7, range(50, last + 50, 50), STEPS)
    told = [cosine(each) if has_schedule else each for each in (dead, lived)]
    files = {path: csv(lines) for path, lines in zip(names, told, strict=True)}
    tables = read(tmp_path, files)
    assert ends(tables) == [(5e7, 2000 * PER_STEP, loss(2001, 5e7), None)]
    (reason,) = tables.runs["reason"].drop_nulls()
    out = f'ignore: [{{match: "{names[0]}", reason: <why>}}]'
    assert out in reason
    assert len(ends(read(tmp_path / "b", files, OPEN + out.replace("<why>", "it died")))) == 1
    way = f'runs: [{{match: "{names[0]}", run: <its name>}}]'
    assert way in reason
    assert len(ends(read(tmp_path / "c", files, OPEN + way.replace("<its name>", "b")))) == 2


def test_shorter_runs_are_no_dead_starts(tmp_path: Path) -> None:
    """Of a schedule of their own, of other losses, of a seed, or constant and not short."""
    short, long = launches(5e7, range(50, 1050, 50), STEPS)
    above = [row | {"train_loss": row["train_loss"] + 0.4} for row in short]
    names = ("a/log_0.csv", "a/log_1.csv")
    pairs = {
        "its own schedule": (names, cosine(short, 1000), cosine(long)),
        "other losses": (names, cosine(above), cosine(long)),
        "of a seed": (("a/s0.csv", "a/s1.csv"), cosine(short), cosine(long)),
        "constant": (names, short, long),
    }
    for name, (paths, *lines) in pairs.items():
        files = dict(zip(paths, map(csv, lines), strict=True))
        assert len(ends(read(tmp_path / name, files))) == 2, name


@pytest.mark.parametrize(
    ("name", "beside"),
    [
        ("a/sft.csv", "a/pretrain.csv"),
        ("a-finetune.csv", "a.csv"),
        ("a/dpo/metrics.csv", "a/metrics.csv"),
    ],
)
def test_fine_tuning_in_a_file_of_its_own_is_no_run(name: str, beside: str, tmp_path: Path) -> None:
    """It begins at the loss of the trained model, anew."""
    tuned = [
        row | {"train_loss": 1.9 - row["step"] / 1e3, "lr": 2e-5, "tokens": row["step"] * 32768}
        for row in rows(5e7, range(10, 310, 10))
    ]
    files = {name: csv(tuned), beside: csv(rows(5e7))}
    tables = read(tmp_path / "a", files)
    assert ends(tables) == [(5e7, 2000 * PER_STEP, loss(2000, 5e7), None)]
    (reason,) = tables.runs["reason"].drop_nulls()
    assert f"trained model, as that of {beside} beside it" in reason
    way = f'runs: [{{match: "{name}", run: <its name>}}]'
    assert way in reason
    assert len(ends(read(tmp_path / "b", files, OPEN + way.replace("<its name>", "b")))) == 2


def test_what_is_called_fine_tuning_and_begins_at_the_start_is_a_run(tmp_path: Path) -> None:
    files = {"a/sft.csv": csv(noisy(5e7, 1)), "a/pretrain.csv": csv(rows(5e7))}
    assert len(ends(read(tmp_path, files))) == 2
    alone = [row | {"train_loss": 1.9} for row in rows(5e7)]
    assert len(ends(read(tmp_path / "b", {"b/sft.csv": csv(alone), "c.csv": csv(rows(2e7))}))) == 2


def record(size: float, **changes: Any) -> str:
    last = STEPS[-1]
    told = {"n_params": int(size), "tokens": last * PER_STEP, "lr": 1e-3}
    losses = {"train_loss": loss(last, size), "val_loss": loss(last, size, size / 1e9)}
    return json.dumps(told | losses | changes)


@pytest.mark.parametrize(
    ("curve", "beside"),
    [
        ("{}/metrics.csv", "{}/results.json"),
        ("{}/metrics.csv", "{}.json"),
        ("curves/{}.csv", "results/{}.json"),
        ("{}.csv", "{}_summary.json"),
        ("{}.csv", "results_{}.json"),
        ("runs/{}/metrics.csv", "all_results_{}.json"),
    ],
)
def test_a_record_is_of_the_curve_that_it_is_named_as(
    curve: str, beside: str, tmp_path: Path
) -> None:
    """It tells N, and the one loss on an eval set that there is."""
    files = {}
    for name, size in RUNS.items():
        bare = [{k: v for k, v in row.items() if k != "n_params"} for row in rows(size)]
        files |= {curve.format(name): csv(bare), beside.format(name): record(size)}
    tables = read(tmp_path / "sweep", files)
    assert ends(tables) == [
        (size, 2000 * PER_STEP, loss(2000, size), loss(2000, size, size / 1e9))
        for size in RUNS.values()
    ]
    assert "runs:" not in inspect(tmp_path / "sweep").sidecar_text()


def test_records_of_checkpoints_are_evaluations(tmp_path: Path) -> None:
    files = {"a/metrics.csv": csv(rows(5e7)), "a/results.json": record(5e7)}
    for step in (500, 1000, 1500):
        told = {"step": step, "tokens": step * PER_STEP, "val_loss": loss(step, 5e7, 0.05)}
        files[f"a/ckpt_{step}.json"] = json.dumps(told)
    tables = read(tmp_path, files)
    assert ends(tables) == [(5e7, 2000 * PER_STEP, loss(2000, 5e7), loss(2000, 5e7, 0.05))]
    evaluated = tables.curves.drop_nulls("eval_loss").sort("step")
    assert evaluated["step"].to_list() == [500, 1000, 1500, 2000]


def test_a_record_of_more_tokens_than_its_curve_is_told(tmp_path: Path) -> None:
    """Either may be taken out; a last line that is a little short of the end says nothing."""
    files = {"a/metrics.csv": csv(rows(5e7)[:20]), "a/results.json": record(5e7)}
    tables = read(tmp_path, files | {"b/metrics.csv": csv(rows(2.5e7))})
    assert [run[0] for run in ends(tables)] == [2.5e7]
    (reason,) = tables.runs["reason"].drop_nulls()
    assert "went on to 2.62144e+08 tokens, and its curve in a/metrics.csv ends at" in reason
    for place, (path, tokens) in enumerate((("results.json", 1000), ("metrics.csv", 2000))):
        assert f'ignore: [{{match: "a/{path}", reason: <why>}}]' in reason.replace(
            "or [", "ignore: ["
        )
        rules = f'{OPEN}ignore: [{{match: "a/{path}", reason: cut}}]\n'
        (run,) = ends(read(tmp_path / str(place), files, rules))
        assert run[1] == tokens * PER_STEP
    near = {"a/metrics.csv": csv(rows(5e7)[:-1]), "a/results.json": record(5e7)}
    assert len(ends(read(tmp_path / "near", near))) == 1


def test_a_record_that_contradicts_its_curve_says_so(tmp_path: Path) -> None:
    other = record(5e7, train_loss=9.0)
    tables = read(tmp_path, {"a/metrics.csv": csv(rows(5e7)), "a/results.json": other})
    assert "its last loss in training is 9, and that of the curve" in str(
        reasons(tables)["a/results.json"]
    )


OTHERS: dict[str, dict[str, Any]] = {
    "lr4.json": {},
    "results.json": {"n_params": 50_000_000},
    "metrics.json": {"lr": 4e-3},
    "a_step1000.json": {"steps": 1000, "tokens": 1000 * PER_STEP},
}


@pytest.mark.parametrize("name", OTHERS)
def test_a_record_of_another_run_is_a_run(name: str, tmp_path: Path) -> None:
    """Another name, N, rate or end: its loss is never that of a curve."""
    other = {"n_params": 25_000_000, "tokens": 2000 * PER_STEP, "val_loss": 4.5} | OTHERS[name]
    tables = read(tmp_path, {"x/a.csv": csv(rows(2.5e7)), f"x/{name}": json.dumps(other)})
    losses = [(run[2], run[3]) for run in ends(tables)]
    assert sorted(losses, key=str) == [(loss(2000, 2.5e7), None), (None, 4.5)]


@pytest.mark.parametrize(
    ("curves", "name"),
    [
        (("x/a.csv", "y/a.csv"), "results/a.json"),
        (("a_s0.csv", "a_s1.csv"), "a.json"),
    ],
)
def test_a_record_that_may_be_of_several_runs_is_asked_about(
    curves: tuple[str, ...], name: str, tmp_path: Path
) -> None:
    """It may be of either, or a mean of seeds; each way out that is printed works."""
    files = {
        path: (csv if path.endswith("csv") else jsonl)(
            [row | {"train_loss": loss(row["step"], 5e7, 0.1 * at)} for row in rows(5e7)]
        )
        for at, path in enumerate(curves)
    }
    files[name] = record(5e7)
    tables = read(tmp_path / "asked", files)
    assert len(ends(tables)) == 2
    (reason,) = tables.runs["reason"].drop_nulls()
    assert f"may be of the run in {curves[0]}, or in {curves[1]}" in reason
    for place, (sought, used, told) in enumerate(
        ((r"give both one name in sweep.yaml, (runs: \[.*?\]);", 2, True),
         (r"of its own, (runs: \[.*?\]);", 3, True),
         (r"(ignore: \[.*?\])", 2, False))
    ):  # fmt: skip
        way = re.search(sought, reason)
        assert way is not None
        rules = re.sub("<[a-z ]+>", "other", way[1])
        runs = ends(read(tmp_path / str(place), files, f"{OPEN}{rules}\n"))
        assert len(runs) == used
        assert (loss(2000, 5e7, 0.05) in [run[3] for run in runs]) == told


def test_a_record_of_the_best_checkpoint_is_no_run(tmp_path: Path) -> None:
    """Its step is that of the checkpoint; one that a kind alone names is asked about."""
    early = json.dumps({"step": 1000, "val_loss": loss(1000, 5e7, 0.05), "n_params": int(5e7)})
    for name, asked in (("best", False), ("results", True)):
        tables = read(tmp_path / name, {"a/metrics.csv": csv(rows(5e7)), f"a/{name}.json": early})
        (run,) = ends(tables)
        assert run[1] == 2000 * PER_STEP
        evaluated = tables.curves.drop_nulls("eval_loss")["step"].to_list()
        assert evaluated == ([1000] if not asked else [])
        assert any("goes on to" in why for why in tables.runs["reason"].drop_nulls()) == asked


def test_a_record_that_sweep_yaml_names_is_a_run(tmp_path: Path) -> None:
    files = {"a/metrics.csv": csv(rows(5e7)), "a/results.json": record(5e7)}
    way = 'runs: [{match: "a/results.json", run: b}]'
    named, curve = ends(read(tmp_path, files, f"{OPEN}{way}\n"))
    assert (curve[3], named[3]) == (None, loss(2000, 5e7, 0.05))


@pytest.mark.parametrize("share", [0.4, 0.05])
def test_a_moving_average_of_a_log_is_no_run(share: float, tmp_path: Path) -> None:
    """Plots have one beside them; another seed's average is of another run."""
    files = {"a/log.csv": csv(noisy(5e7, 0))}
    for seed, runs in ((0, 1), (1, 2)):
        averaged = [dict(row) for row in noisy(5e7, seed)]
        for before, row in pairwise(averaged):
            row["train_loss"] = before["train_loss"] + share * (
                row["train_loss"] - before["train_loss"]
            )
        for row in averaged:
            row["train_loss"] = round(row["train_loss"], 6)
        there = files | {"plots/x_smoothed.csv": csv(averaged)}
        assert len(ends(read(tmp_path / str(seed), there))) == runs


AVERAGES: dict[str, Callable[[list[float]], list[float | None]]] = {
    "debiased": lambda losses: [
        sum(0.9 ** (place - at) * each for at, each in enumerate(losses[: place + 1]))
        * 0.1
        / (1 - 0.9 ** (place + 1))
        for place in range(len(losses))
    ],
    "rolling": lambda losses: [
        sum(losses[place - 4 : place + 1]) / 5 if place >= 4 else None
        for place in range(len(losses))
    ],
    "growing": lambda losses: [
        sum(losses[max(place - 4, 0) : place + 1]) / min(place + 1, 5)
        for place in range(len(losses))
    ],
    "centred": lambda losses: [
        sum(losses[place - 2 : place + 3]) / 5 if 2 <= place < len(losses) - 2 else None
        for place in range(len(losses))
    ],
}


@pytest.mark.parametrize("kind", AVERAGES)
def test_an_average_of_a_log_is_no_run(kind: str, tmp_path: Path) -> None:
    """As pandas and the pages of trackers make them; they were second runs without a word."""
    files = {"a/log.csv": csv(noisy(5e7, 0))}
    for seed, runs in ((0, 1), (1, 2)):
        lines = noisy(5e7, seed)
        means = AVERAGES[kind]([row["train_loss"] for row in lines])
        kept = [
            row | {"train_loss": round(mean, 5)}
            for row, mean in zip(lines, means, strict=True)
            if mean is not None
        ]
        there = files | {"plots/x_smoothed.csv": csv(kept)}
        assert len(ends(read(tmp_path / str(seed), there))) == runs


def test_a_copy_of_some_lines_is_no_run(tmp_path: Path) -> None:
    files = {"a.csv": csv(rows(5e7)), "a_small.csv": csv(rows(5e7)[::5]), "b.csv": csv(rows(2.5e7))}
    tables = read(tmp_path, files)
    assert [run[0] for run in ends(tables)] == [2.5e7, 5e7]
    (reason,) = tables.runs["reason"].drop_nulls()
    assert "all its 8 losses are those of run 'a' at these steps, or a moving average" in reason
    another = csv([row | {"train_loss": loss(row["step"] + 1, 5e7)} for row in rows(5e7)[::5]])
    stopped = csv(rows(5e7)[:20:2])
    for place, other in enumerate((another, stopped)):
        assert len(ends(read(tmp_path / str(place), files | {"a_small.csv": other}))) == 3


COPIES: dict[str, Callable[[str, float], dict[str, str]]] = {
    "reformatted": lambda name, size: {
        f"export/{name}.jsonl": jsonl(
            [{"step": e["step"], "tokens": e["tokens"], "loss": round(e["train_loss"], 3),
              "n_params": e["n_params"]} for e in rows(size)]
        )
    },
    "thinned": lambda name, size: {
        f"export/{name}.csv": csv(
            [{"step": e["step"], "tokens": e["tokens"], "loss": round(e["train_loss"], 3),
              "n_params": e["n_params"]} for e in rows(size)[4::5]]
        )
    },
}  # fmt: skip


@pytest.mark.parametrize("kind", COPIES)
def test_a_copy_with_fewer_digits_is_no_run(kind: str, tmp_path: Path) -> None:
    files: dict[str, str] = {}
    for name, size in RUNS.items():
        files |= {f"runs/{name}.csv": csv(rows(size)), **COPIES[kind](name, size)}
    tables = read(tmp_path, files)
    assert [run[:3] for run in ends(tables)] == [
        (size, 2000 * PER_STEP, loss(2000, size)) for size in RUNS.values()
    ]
    assert all("are those of run 'runs/" in why for why in tables.runs["reason"].drop_nulls())


def test_another_seed_is_no_copy(tmp_path: Path) -> None:
    """Its losses agree to three digits here and there, and no more."""
    other = [
        row | {"train_loss": round(loss(row["step"], 5e7, 0.001 * (at % 3)), 3)}
        for at, row in enumerate(rows(5e7))
    ]
    assert len(ends(read(tmp_path, {"s0/a.csv": csv(rows(5e7)), "s1/a.csv": csv(other)}))) == 2


@pytest.mark.parametrize(("shift", "used"), [(0.0, 2), (0.02, 4)])
def test_rows_of_finished_runs_without_names_may_be_curves(
    shift: float, used: int, tmp_path: Path
) -> None:
    """Two rows with other last losses than the curves may be other seeds."""
    files = {f"runs/run_{name[:2]}.csv": csv(rows(size)) for name, size in RUNS.items()}
    files["results.csv"] = csv(
        [
            {"n_params": int(size), "tokens": 2000 * PER_STEP}
            | {"final_loss": round(loss(2000, size) + shift, 4)}
            for size in RUNS.values()
        ]
    )
    tables = read(tmp_path, files)
    assert len(ends(tables)) == used
    for reason in tables.runs["reason"].drop_nulls():
        assert "as 2 rows of its table are those of curves" in reason


@pytest.mark.parametrize("grid", [((1000, 2000), (1000, 2000)), ((1000,), (2000,))])
def test_validation_losses_of_all_curves_without_names_are_no_runs(
    grid: tuple[tuple[int, ...], ...], tmp_path: Path
) -> None:
    """Where each curve has its row they are of one study; of fewer they may be another's."""
    files, results = {}, []
    for size, ends_at in zip((2.5e7, 5e7), ((1000, 2000), (1000, 2000)), strict=True):
        for last in ends_at:
            curve = [
                each | {"train_loss": each["train_loss"] + 10 / last}
                for each in rows(size)
                if each["step"] <= last
            ]
            files[f"curves/curve_N{size:.0f}_D{last * PER_STEP}.csv"] = csv(curve)
    for size, ends_at in zip((2.5e7, 5e7), grid, strict=True):
        results += [
            {"n_params": int(size), "n_tokens": last * PER_STEP, "val_loss": loss(last, size) + 0.2}
            for last in ends_at
        ]
    tables = read(tmp_path, files | {"results.csv": csv(results)})
    copies = len(results) if len(results) == 4 else 0
    assert len(ends(tables)) == 4 + len(results) - copies
    assert len(tables.runs["reason"].drop_nulls()) == copies


@pytest.mark.parametrize("tells", ["", "number of parameters: 50.00M\n"])
def test_a_console_log_of_what_a_table_has_as_means_is_no_run(tells: str, tmp_path: Path) -> None:
    dense = rows(5e7, range(10, 2010, 10))
    means = [
        row | {"train_loss": sum(each["train_loss"] for each in dense[at - 4 : at + 1]) / 5}
        for at, row in enumerate(dense)
        if row["step"] % 50 == 0
    ]
    lines = [
        f"iter {row['step']}: loss {row['train_loss']:.4f}, time 310.22ms, mfu 41.02%\n"
        for row in dense
    ]
    head = f"{tells}tokens per iteration will be: 131,072\n"
    files = {"a/metrics.jsonl": jsonl(means), "a/train.log": head + "".join(lines)}
    facts = "facts: {schedule: {kind: constant}, params: {total: 5e7}}"
    for place, rules in enumerate((OPEN, f"title: t\n{facts}\n")):
        tables = read(tmp_path / str(place), files, rules)
        assert [run[:2] for run in ends(tables)] == [(5e7, 2000 * PER_STEP)]
        assert "means of steps" in str(tables.runs["reason"].drop_nulls().to_list())


@pytest.mark.parametrize(
    "names",
    [
        ("step", "tokens", "mfu", "train_loss", "lr", "n_params"),
        ("step", "lr", "n_params", "train_loss", "tokens"),
        ("step", "tokens", "train_loss", "n_params"),
    ],
)
def test_rows_below_a_second_head_are_read_by_it(names: tuple[str, ...], tmp_path: Path) -> None:
    """What appends to its file after a resume may write other columns."""
    size = 5e7
    later = [
        {name: (row | {"mfu": 0.4})[name] for name in names}
        for row in rows(size, range(850, 2050, 50))
    ]
    files = {"a.csv": csv(rows(size, range(50, 1050, 50))) + csv(later)}
    tables = read(tmp_path, files)
    assert ends(tables) == [(size, 2000 * PER_STEP, loss(2000, size), None)]
    assert f"its head stands once more, with other columns: {', '.join(names)}" in str(
        reasons(tables)["a.csv"]
    )
    assert "cannot be read" not in str(reasons(tables)["a.csv"])


def test_a_table_that_is_not_of_one_run_is_told_apart_by_a_column(tmp_path: Path) -> None:
    """A name for the whole file would not tell its rows apart."""
    told = [row | {"tokens_per_step": PER_STEP} for row in rows(5e7)]
    told[20:] = [row | {"tokens_per_step": 2 * PER_STEP} for row in told[20:]]
    tables = read(tmp_path, {"a.csv": csv(told), "b.csv": csv(rows(2.5e7))})
    (reason,) = tables.runs["reason"].drop_nulls()
    assert "Tell them apart by table.columns.run in sweep.yaml" in reason
    assert "'run:'" not in reason


def test_a_launch_of_one_line_is_asked_about_and_each_way_out_works(tmp_path: Path) -> None:
    late = rows(5e7, range(2050, 2051, 50))
    files = {"a/log.csv": csv(rows(5e7)), "a/log_resume.csv": csv(late), "b/x.csv": csv(rows(2e7))}
    tables = read(tmp_path / "asked", files)
    assert len(ends(tables)) == 2
    (reason,) = tables.runs["reason"].drop_nulls()
    assert "it has too few lines (steps 2050 to 2050) for a run, and a/log.csv leads up" in reason
    ways = re.findall(r"((?:runs|ignore): \[(?:[^][]|\[[^]]*\])*\])", reason)
    used = []
    for place, way in enumerate(ways):
        rules = f"{OPEN}{way.replace('<why>', 'it died').replace('<its name>', 'other')}\n"
        used.append(len(ends(read(tmp_path / str(place), files, rules))))
    assert used == [2, 2, 3]


@pytest.mark.parametrize(("name", "used"), [("sft/sft_results.json", 1), ("b/all_results.json", 2)])
def test_the_record_of_fine_tuning_is_no_run_beside_others(
    name: str, used: int, tmp_path: Path
) -> None:
    told = {"epoch": 3.0, "eval_loss": 1.1, "eval_runtime": 3.1, "train_samples": 800}
    files = {"a/log.csv": csv(rows(5e7)), name: json.dumps(told)}
    facts = "facts: {schedule: {kind: constant}, params: {total: 5e7}, architecture: {seq_len: 9}}"
    assert len(ends(read(tmp_path, files, f"title: t\n{facts}\n"))) == used


def test_samples_that_megatron_counts_on_every_rank_are_those_of_all(tmp_path: Path) -> None:
    """They were asked about, with a number of samples as the tokens of a step."""
    files = {
        f"N0/out-rank{rank}.log": "".join(
            f" iteration {n:8d}/     100 | consumed samples: {64 * n:12d} | elapsed time per "
            f"iteration (ms): {400 + rank}.0 | learning rate: 6.000E-04 | global batch size:    64 "
            f"| lm loss: {6 - n / 50 + rank * 1e-3 * (-1) ** (n // 10):.6E} | grad norm: 0.3 |\n"
            for n in range(10, 101, 10)
        )
        for rank in range(4)
    }
    facts = "{params: {total: 5e7}, architecture: {seq_len: 1024}, schedule: {kind: constant}}"
    tables = read(tmp_path, files, f"title: t\nfacts: {facts}\n")
    assert [run[:2] for run in ends(tables)] == [(5e7, 100 * 64 * 1024)]


def test_samples_of_ranks_are_judged_by_the_batch(tmp_path: Path) -> None:
    log = Path("tests/ingest/fixtures/open_lm/out.log").read_text()
    facts = "{params: {total: 5e7}, schedule: {kind: constant}, loss_window: 10}"
    files = {f"out-rank{rank}.log": log + "\n" * rank for rank in range(2)}
    (run,) = ends(read(tmp_path, files, f"title: t\nfacts: {facts}\n"))
    assert run[1] == 100 * 16 * 256
