"""Tables of the same runs are joined by step where they measure different things."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import polars as pl
import pytest

from isoflop.errors import IsoflopError
from tests.ingest.samples import ONE_CURVE, ingest, row

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from isoflop.ingest.sweep import Ingested

RUNS = ("small", "large")
STEPS = range(100, 1100, 100)
OPEN = "title: t\nfacts: {schedule: {kind: constant}, tokens_per_step: 512, params: {total: 1e6}}\n"


def loss(step: int, run: str, height: float = 5.0) -> float:
    return height - step / 1000 - (run == "large")


def panel(metric: str, axis: str = "Step", height: float = 5.0) -> str:
    """What W&B's pages export of a panel."""
    marks = ("", "__MIN", "__MAX")
    head = [axis, *(f"{run} - {metric}{mark}" for run in RUNS for mark in marks)]
    lines = [[step, *(loss(step, run, height) for run in RUNS for _ in marks)] for step in STEPS]
    return "\n".join(",".join(f'"{cell}"' for cell in line) for line in [head, *lines]) + "\n"


def history(*metrics: str, steps: Iterable[int] = STEPS, height: float = 5.0) -> str:
    lines = [
        ",".join([run, str(step), *[str(loss(step, run, height))] * len(metrics)])
        for run in RUNS
        for step in steps
    ]
    return "\n".join([",".join(["run", "step", *metrics]), *lines, ""])


def read(folder: Path, files: dict[str, str | bytes], rules: str = OPEN) -> Ingested:
    return ingest(folder, files, rules, cache=folder / "cache")


def curve(tables: Ingested, run: str) -> tuple[list[float | None], list[float | None]]:
    of_run = tables.curves.filter(pl.col("run") == run, ~pl.col("superseded")).sort("step")
    assert of_run["step"].to_list() == list(STEPS)
    return of_run["train_loss"].to_list(), of_run["eval_loss"].to_list()


@pytest.mark.parametrize(
    "files",
    [
        {"t.csv": panel("train/loss"), "v.csv": panel("eval/loss", height=6)},
        {
            "t.csv": panel("train/loss", "train/global_step"),
            "v.csv": panel("eval/loss", "train/global_step", 6),
        },
        {"v.csv": history("train_loss"), "t.csv": history("val_loss", height=6)},
        # what both have agrees
        {"a.csv": history("train_loss", "lr"), "b.csv": panel("eval/loss", "step", 6),
         "c.csv": history("lr", "train_loss", steps=[100, 300])},
    ],
    ids=["panels", "panels by global step", "histories", "three"],
)  # fmt: skip
def test_tables_that_measure_different_things_are_joined_by_their_runs_names(
    tmp_path: Path, files: dict[str, str | bytes]
) -> None:
    for _ in range(2):
        tables = read(tmp_path / "s", files)
        assert tables.runs["run"].to_list() == sorted(RUNS)
        assert not tables.runs["excluded"].any()
        for run in RUNS:
            trained, evaluated = curve(tables, run)
            assert trained == pytest.approx([loss(step, run) for step in STEPS])
            assert evaluated == pytest.approx([loss(step, run, 6) for step in STEPS])
            notes = row(tables.runs, "run", run)["notes"]
            assert (
                f"its files are joined by step, as their values agree: {', '.join(sorted(files))}"
                in notes
            )


def test_a_history_and_a_table_of_its_runs_are_joined(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {
        "a.csv": "name,params,tokens,lr,val_loss\nsmall,1e7,1e9,1e-3,3.5\nlarge,2e7,4e9,1e-3,3\n",
        "h.csv": history("train_loss"),
    }
    tables = read(tmp_path / "s", files, "title: t\n")
    small = row(tables.runs, "run", "small")
    assert (small["params_total"], small["tokens"], small["status"]) == (1e7, 1e9, "finished")
    assert small["reason"] is None
    trained, evaluated = curve(tables, "small")
    assert trained == pytest.approx([loss(step, "small") for step in STEPS])
    assert evaluated == [None] * 9 + [3.5]
    of_small = tables.curves.filter(run="small").sort("step")
    assert of_small["tokens"].to_list() == pytest.approx([1e6 * step for step in STEPS])


@pytest.mark.parametrize("end", [1e9, 1e7], ids=["longer", "a tenth"])
def test_a_table_of_runs_whose_tokens_are_not_those_of_the_history_is_not_joined(
    tmp_path: Path, end: float
) -> None:
    """The stated D would be lost, and the final loss put at another."""
    steps = "".join(f"small,{step},{1e5 * step},{loss(step, 'small')}\n" for step in STEPS)
    files: dict[str, str | bytes] = {
        "a.csv": f"name,params,tokens,val_loss\nsmall,1e7,{end},3.5\n",
        "h.csv": f"run,step,tokens,train_loss\n{steps}",
    }
    with pytest.raises(IsoflopError, match="2 files call their run 'small'"):
        read(tmp_path / "s", files)
    files["a.csv"] = str(files["a.csv"]).replace(str(end), "1.003e8")
    assert curve(read(tmp_path / "t", files), "small")[1] == [None] * 9 + [3.5]


@pytest.mark.parametrize("share", [0.5, 1.2])
def test_histories_whose_tokens_fall_along_the_steps_of_both_are_not_joined(
    tmp_path: Path, share: float
) -> None:
    def counted(metric: str, steps: Iterable[int], per_step: float) -> str:
        lines = [f"small,{step},{per_step * step},{loss(step, 'small')}\n" for step in steps]
        return f"run,step,tokens,{metric}\n{''.join(lines)}"

    train = counted("train_loss", STEPS, 512)
    files: dict[str, str | bytes] = {
        "t.csv": train, "v.csv": counted("val_loss", range(50, 1050, 100), 512 * share),
    }  # fmt: skip
    with pytest.raises(IsoflopError, match="2 files call their run 'small'"):
        read(tmp_path / "s", files)
    files["v.csv"] = counted("val_loss", range(50, 1050, 100), 512)
    tables = read(tmp_path / "t", files)
    assert tables.curves.sort("step")["tokens"].to_list() == [
        512 * step for step in range(50, 1050, 50)
    ]


def test_tables_of_two_folders_are_joined_only_where_sweep_yaml_calls_them_one_run(
    tmp_path: Path,
) -> None:
    """As of two seeds, each in its folder."""
    files: dict[str, str | bytes] = {
        "s1/train.csv": history("train_loss"), "s2/val.csv": history("val_loss", height=6),
    }  # fmt: skip
    with pytest.raises(IsoflopError, match="2 files call their run 'large'"):
        read(tmp_path / "s", files)
    rules = ", ".join(f'{{match: "{run}", run: "{run}"}}' for run in RUNS)
    tables = read(tmp_path / "t", files, f"{OPEN}runs: [{rules}]\n")
    trained, evaluated = curve(tables, "small")
    assert trained == pytest.approx([loss(step, "small") for step in STEPS])
    assert evaluated == pytest.approx([loss(step, "small", 6) for step in STEPS])


def test_files_that_a_user_calls_one_run_are_joined_too(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {
        f"{name}.csv": "\n".join(
            [f"step,{metric}", *(f"{step},{loss(step, 'small', high)}" for step in STEPS), ""]
        )
        for name, metric, high in (("a", "train_loss", 5), ("b", "val_loss", 6))
    }
    tables = read(tmp_path / "s", files, f"{OPEN}runs: [{{match: '*.csv', run: small}}]\n")
    trained, evaluated = curve(tables, "small")
    assert trained == pytest.approx([loss(step, "small") for step in STEPS])
    assert evaluated == pytest.approx([loss(step, "small", 6) for step in STEPS])


@pytest.mark.parametrize(
    "later",
    [
        history("train_loss", height=4),  # other values at the same steps
        history("train_loss", steps=range(1100, 2000, 100)),  # the next stretch
        history("train_loss", "val_loss", steps=[150, 250]),  # no step in common
    ],
    ids=["other values", "next stretch", "other steps"],
)
def test_tables_that_are_no_columns_of_one_run_are_asked_about_with_a_line_that_helps(
    tmp_path: Path, later: str
) -> None:
    files: dict[str, str | bytes] = {"a.csv": history("train_loss"), "b.csv": later}
    with pytest.raises(IsoflopError) as caught:
        read(tmp_path / "s", files)
    said = str(caught.value)
    rules = [f'{{match: "{run}", run: "{run}"}}' for run in RUNS]
    assert all(f"runs: [{rule}]; if not, call them otherwise" in said for rule in rules)
    tables = ingest(
        tmp_path / "t", files, f"{OPEN}runs: [{', '.join(rules)}]\n", settings=ONE_CURVE
    )
    assert not tables.runs["excluded"].any()
    of_small = said.partition("run 'small'")[2]
    (without,) = re.findall(r"ignore: (\[.*?\])", of_small)
    tables = read(tmp_path / "u", files, f"{OPEN}ignore: {without}\n")
    assert not tables.runs["excluded"].any()
    (mapped,) = re.findall(r"map them so: runs: (\[.*\])", of_small)
    for gap, column in {"runs": "run", "steps": "step", "losses": "train_loss"}.items():
        mapped = mapped.replace(f"<column of {gap}>", column)
    tables = ingest(tmp_path / "v", files, f"{OPEN}runs: {mapped}\n", settings=ONE_CURVE)
    assert not tables.runs["excluded"].any()
    assert tables.curves["eval_loss"].count() > 0


def test_rows_that_were_counted_by_tokens_share_no_step(tmp_path: Path) -> None:
    tokens = "run,tokens,val_loss\n" + "".join(
        f"{run},{512 * step},{loss(step, run, 6)}\n" for run in RUNS for step in STEPS
    )
    with pytest.raises(IsoflopError, match="2 files call their run 'large'"):
        read(tmp_path / "s", {"a.csv": history("train_loss"), "b.csv": tokens})


def test_two_tables_of_runs_that_differ_are_not_joined(tmp_path: Path) -> None:
    text = "name,params,tokens,loss\nsmall,1e7,1e9,3.5\nlarge,2e7,1e9,3\n"
    files: dict[str, str | bytes] = {"a.csv": text, "b.csv": text.replace("3.5", "3.25")}
    tables = read(tmp_path / "s", files, "title: t\n")
    assert "2 files call their run 'small'" in row(tables.runs, "run", "small")["reason"]
    assert row(tables.runs, "run", "large")["reason"] is None


def test_steps_of_a_panel_are_asked_about_by_what_they_count(tmp_path: Path) -> None:
    """W&B's own step counts calls of its log(), unless the trainer gives it."""
    rules = OPEN.replace("tokens_per_step: 512, ", "")
    with pytest.raises(IsoflopError, match="its steps are W&B's own, which count calls"):
        read(tmp_path / "s", {"t.csv": panel("train/loss")}, rules)


def counted(*columns: str, steps: Iterable[int] = STEPS, per_step: float = 512) -> str:
    lines = [f"a,{s},{s * per_step:.0f}" + f",{loss(s, 'a')}" * len(columns) for s in steps]
    return "\n".join([",".join(["run", "step", "tokens", *columns]), *lines, ""])


N = "title: t\nfacts: {schedule: {kind: constant}, params: {total: 1e6}}\n"
ONE = N + 'runs: [{match: "a", run: "a"}]\n'


@pytest.mark.parametrize(
    "files",
    [
        {"f.csv": "run,N,D,final_loss\na,1e6,51200,4\n", "h.csv": counted("train_loss")},
        {"f.csv": "run,N,D,final_loss\na,1e6,5.1e9,4\n", "h.csv": counted("train_loss")},
        {"t.csv": counted("train_loss"),
         "v.csv": counted("val_loss", steps=range(50, 1050, 100), per_step=256)},
    ],
    ids=["fewer at the end", "more at the end", "half a batch"],
)  # fmt: skip
def test_files_of_one_run_by_sweep_yaml_count_the_same_tokens(
    tmp_path: Path, files: dict[str, str | bytes]
) -> None:
    with pytest.raises(IsoflopError, match="count tokens that are none of one run") as error:
        read(tmp_path / "s", files, ONE)
    assert "If they are two runs, give each its own 'run:'" in str(error.value)
    assert "if they are one, map the count that is wrong anew" in str(error.value)
    last = max(files)
    left_out = f'{N}ignore: [{{match: "{last}", reason: twice}}]\n'
    assert read(tmp_path / "s", files, left_out).runs["excluded"].to_list() == [False]
    apart = N + f"runs: [{{match: {last}, run: b}}]\n"
    assert read(tmp_path / "s", files, apart).runs["run"].to_list() == ["a", "b"]


def test_launches_that_count_the_same_tokens_are_stitched(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {
        "1.csv": counted("train_loss", steps=range(100, 700, 100)),
        "2.csv": counted("train_loss", steps=range(500, 1100, 100)).replace("4.5", "4.51"),
    }
    run = row(read(tmp_path / "s", files, ONE).runs, "run", "a")
    assert (run["excluded"], run["tokens"]) == (False, 1000 * 512)


def test_a_log_and_the_settings_of_another_part_agree_on_n(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {
        "x/h.csv": "step,loss,n_params\n" + "".join(f"{s},{5 - s / 1e3},7e7\n" for s in STEPS),
        "y/h.csv": "step,loss\n" + "".join(f"{s + 1000},{4 - s / 1e3}\n" for s in STEPS),
        "y/config.json": '{"n_params": 1.6e8, "seed": 1}',
    }
    rules = "title: t\nfacts: {schedule: {kind: constant}, tokens_per_step: 512}\n"
    rules += "runs: [{match: '*/h.csv', run: r}"
    with pytest.raises(IsoflopError, match=r"disagree on params.total \(70000000.0 in x/h.csv"):
        read(tmp_path / "s", files, rules + "]\n")
    told = rules + ", {match: r, params: {total: 7e7}}]\n"
    run = row(read(tmp_path / "s", files, told).runs, "run", "r")
    assert (run["excluded"], run["params_total"]) == (False, 7e7)


def test_w_and_b_s_own_steps_are_not_joined_with_those_of_a_trainer(tmp_path: Path) -> None:
    lines = [f"small,{place},{step},{loss(step, 'small')}" for place, step in enumerate(STEPS)]
    files: dict[str, str | bytes] = {
        "h.csv": "\n".join(["run,_step,train/global_step,train/loss", *lines, ""]),
        "v.csv": panel("eval/loss", height=6),
    }
    words = "count steps of two kinds, h.csv by 'train/global_step' and v.csv by '_step'"
    assert words in row(read(tmp_path / "s", files).runs, "run", "small")["reason"]
    files["v.csv"] = panel("eval/loss", axis="train/global_step", height=6)
    expected = [loss(step, "small", 6) for step in STEPS]
    assert curve(read(tmp_path / "t", files), "small")[1] == pytest.approx(expected)


def record(size: float, end: float, called: str = "gpt") -> str:
    """A finished run's JSON, in which `model` is the kind of run."""
    told = {"model": called, "n_params": size, "train_tokens": 20 * size, "final_val_loss": end}
    return json.dumps(told, indent=1)


def test_files_that_call_their_runs_by_one_kind_are_a_run_each(tmp_path: Path) -> None:
    sizes = {"r/run_0": 25e6, "r/run_1": 50e6, "r/run_2": 50e6}
    files: dict[str, str | bytes] = {
        f"{name}.json": record(size, 4.5 - place / 4)
        for place, (name, size) in enumerate(sizes.items())
    }
    tables = read(tmp_path / "s", files, "title: t\n")
    assert dict(tables.runs.select("run", "params_total").iter_rows()) == sizes
    assert not tables.runs["excluded"].any()
    # names that are of one run each are kept
    files["r/run_2.json"] = record(50e6, 3.9, "other")
    tables = read(tmp_path / "t", files, "title: t\n")
    assert tables.runs["run"].to_list() == ["other", "r/run_0", "r/run_1"]


def test_curves_of_one_kind_are_runs_apart_only_if_they_differ_in_what_a_run_has_once(
    tmp_path: Path,
) -> None:
    def lines(size: float, height: float) -> str:
        return "model,n_params,step,loss\n" + "".join(
            f"gpt,{size},{step},{loss(step, 'small', height)}\n" for step in STEPS
        )

    rules = "title: t\nfacts: {schedule: {kind: constant}, tokens_per_step: 512}\n"
    apart: dict[str, str | bytes] = {"a.csv": lines(1e7, 5), "b.csv": lines(2e7, 4)}
    tables = read(tmp_path / "s", apart, rules)
    assert tables.runs.select("run", "excluded").rows() == [("a", False), ("b", False)]
    with pytest.raises(IsoflopError, match="2 files call their run 'gpt'"):
        read(tmp_path / "t", {"a.csv": lines(1e7, 5), "b.csv": lines(1e7, 4)}, rules)


def below(*names: str) -> dict[str, str | bytes]:
    """Histories without a name of their own, and a table of their ends above them."""
    rows = [f"{step},{512 * step},{loss(step, 'small')}\n" for step in STEPS]
    ends = "run,n_params,tokens,val_loss\nr0,1e7,512000,4.1\n"
    return {"summary.csv": ends, **dict.fromkeys(names, f"step,tokens,loss\n{''.join(rows)}")}


@pytest.mark.parametrize("path", ["curves/r0.csv", "runs/r0/metrics.csv"])
def test_a_table_of_ends_above_the_histories_of_its_runs_is_joined_with_them(
    tmp_path: Path, path: str
) -> None:
    tables = read(tmp_path / "s", below(path), "title: t\n")
    (run,) = tables.runs.rows(named=True)
    assert (run["run"], run["params_total"], run["reason"]) == ("r0", 1e7, None)
    trained, evaluated = curve(tables, "r0")
    assert trained == pytest.approx([loss(step, "small") for step in STEPS])
    assert evaluated == [None] * 9 + [4.1]


@pytest.mark.parametrize("seeds", [True, False], ids=["two", "other tokens"])
def test_a_table_of_ends_is_not_joined_with_what_may_be_of_others(
    tmp_path: Path, seeds: bool
) -> None:
    files = below("s1/r0.csv")
    if seeds:
        files["s2/r0.csv"] = str(files["s1/r0.csv"]).replace("4.5", "4.55")
    else:
        files["summary.csv"] = "run,N,D,loss\nr0,1e7,5.12e6,4.1\n"
    tables = read(tmp_path / "s", files, OPEN.replace("tokens_per_step: 512, ", ""))
    named = [name.removesuffix(".csv") for name in files if "/" in name]
    assert tables.runs["run"].to_list() == ["r0", *named]
