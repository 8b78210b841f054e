from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from isoflop.approaches.observations import observe, seed_noise
from isoflop.cells import SETTINGS
from isoflop.cli import main
from isoflop.config.approaches import CountingSettings
from isoflop.config.losses import LossesSettings
from isoflop.losses import build as build_module
from isoflop.losses.build import BuiltLosses, _thinned, build_losses
from isoflop.losses.smoothing import smooth
from isoflop.tables import (
    Curves,
    Files,
    LeftOut,
    Losses,
    Runs,
    TableError,
    scan_table,
    write_table,
)
from tests.ingest.samples import (
    ONE_CURVE,
    PARAMS,
    TOKENS_PER_STEP,
    eval_line,
    header,
    ingest,
    jsonl,
    loss_at,
    row,
    run_lines,
    train_line,
)
from tests.tiers import times

if TYPE_CHECKING:
    from pathlib import Path

    from isoflop.ingest.sweep import Ingested

DEFAULT = LossesSettings()


def build(tables: Ingested, **settings_: Any) -> BuiltLosses:
    return build_losses(tables.curves, tables.runs, tables.files, LossesSettings(**settings_))


def sweep(folder: Path, runs: dict[str, list[dict[str, Any]]], **files: str) -> Ingested:
    logs: dict[str, str | bytes] = {f"{name}.jsonl": jsonl(lines) for name, lines in runs.items()}
    return ingest(folder, {**logs, **files}, settings=ONE_CURVE)


def reasons(built: BuiltLosses) -> dict[str, str]:
    return dict(built.left_out.select("item", "reason").iter_rows())


def test_eval_losses_are_taken_as_they_are(tmp_path: Path) -> None:
    built = build(sweep(tmp_path / "s", {"a": run_lines("a", steps=40, evals=10)}))
    assert built.kind == "eval"
    assert built.losses["loss"].to_list() == pytest.approx([loss_at(4 * n) for n in range(1, 11)])
    assert built.losses["loss_source"].unique().to_list() == ["eval"]
    assert built.losses["is_final"].to_list() == [False] * 9 + [True]
    assert built.losses["schedule_fraction"].to_list() == pytest.approx(np.linspace(0.1, 1, 10))
    assert built.left_out.is_empty()
    last = built.losses.row(-1, named=True)
    assert last["flops_6nd"] == 6 * last["params_total"] * last["tokens"]
    assert last["flops_kaplan"] == 6 * last["params_nonembedding"] * last["tokens"]


def test_a_trial_that_diverged_tells_no_loss_of_its_rate(tmp_path: Path) -> None:
    burst = [*run_lines("burst", role="tuning")[:-1], train_line(41, float("nan"))]
    tables = sweep(tmp_path / "s", {"a": run_lines("a"), "burst": burst})
    assert row(tables.runs, "run", "burst")["status"] == "diverged"
    (trial,) = build(tables).left_out.filter(item="burst").to_dicts()
    assert (trial["reason"], trial["loss"]) == ("learning-rate tuning", None)


def test_what_is_left_out_of_a_file_is_counted_by_its_fate(tmp_path: Path) -> None:
    """Of a rejected file every record is; of one that is used, those that were not read or kept."""
    tables = sweep(tmp_path / "s", {"a": run_lines("a", steps=40, evals=10)})
    (file,) = tables.files.filter(fate="used").to_dicts()
    counts = {"rows": 70, "rows_left_out": 5, "lines_unread": 3, "reason": "r"}
    fates = {"b": "rejected", "c": "used"}
    others = [file | counts | {"path": path, "fate": fate} for path, fate in fates.items()]
    files = pl.concat([tables.files, pl.DataFrame(others, schema=tables.files.schema)])
    built = build_losses(tables.curves, tables.runs, files, DEFAULT)
    points = dict(built.left_out.select("item", "points").iter_rows())
    assert points == {"b": 78, "c": 8}


def test_train_losses_are_smoothed_and_read_at_the_line_s_own_tokens(tmp_path: Path) -> None:
    # each line is the mean over its interval, so it holds half-way; the true end is lower
    built = build(sweep(tmp_path / "s", {"a": run_lines("a", steps=400, every=4)}), loss="train")
    last = built.losses.row(-1, named=True)
    assert last["tokens"] == 400 * TOKENS_PER_STEP
    # the sample's line at step s is the curve at s - 1/2, and is taken to hold at s - 2
    assert last["loss"] == pytest.approx(loss_at(401.5), abs=2e-5)


def test_a_smoothed_loss_is_the_same_however_few_points_are_kept(tmp_path: Path) -> None:
    tables = sweep(tmp_path / "s", {"a": run_lines("a", steps=400), "b": run_lines("b", steps=300)})
    few, all_points = (
        build(tables, loss="train", points_per_run=most).losses for most in (20, 10_000)
    )
    assert few.height < all_points.height / 4
    assert few.join(all_points, on=few.columns, how="semi", nulls_equal=True).equals(few)


def test_without_smoothing_train_losses_are_as_logged(tmp_path: Path) -> None:
    tables = sweep(tmp_path / "s", {"a": run_lines("a", steps=40)})
    built = build(tables, loss="train", smoothing=0)
    assert built.losses["loss"].to_list() == pytest.approx(
        [loss_at(s - 0.5) for s in range(2, 41, 2)]
    )


@pytest.mark.parametrize("evals", [1, 6])
def test_one_kind_for_all_runs(tmp_path: Path, evals: int) -> None:
    runs = {"a": run_lines("a", evals=10), "b": run_lines("b", steps=60, evals=evals)}
    built = build(sweep(tmp_path / "s", runs))
    assert built.kind == "eval"
    assert built.losses["loss_source"].unique().to_list() == ["eval"]
    without = [line for line in runs["b"] if line["kind"] != "eval"]
    built = build(sweep(tmp_path / "t", runs | {"b": without}))
    assert built.kind == "train"
    assert built.losses["loss_source"].unique().to_list() == ["train"]


@pytest.mark.parametrize("loss", ["auto", "train", "eval"])
def test_points_are_read_once_for_both_kinds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, loss: str
) -> None:
    tables = sweep(tmp_path / "s", {name: run_lines(name, evals=10) for name in "ab"})
    read: list[str] = []
    with_points = build_module._with_points

    def told(candidates: Any, curves: Any) -> Any:
        for candidate, points in with_points(candidates, curves):
            read.append(candidate.run["run"])
            yield candidate, points

    monkeypatch.setattr(build_module, "_with_points", told)
    built = build(tables, loss=loss)
    assert read == ["a", "b"]
    assert {*built.losses["loss_source"], *built.alternate_loss["loss_source"]} == {"train", "eval"}


def test_runs_that_stopped_early_have_no_say_in_the_kind(tmp_path: Path) -> None:
    runs = {"a": run_lines("a"), "b": run_lines("b")[:6]}
    assert build(sweep(tmp_path / "s", runs)).kind == "eval"


def test_table_of_finished_runs_has_one_eval_each(tmp_path: Path) -> None:
    sidecar = "title: t\ntable: {rows: runs, columns: {params.total: N, tokens: D, eval_loss: L}}\n"
    tables = ingest(tmp_path / "s", {"t.csv": "N,D,L\n1e6,1e7,3\n2e6,1e7,2.9\n"}, sidecar)
    built = build(tables)
    assert built.kind == "eval"
    assert built.losses["is_final"].all()
    assert built.losses["schedule_fraction"].null_count() == 2


def test_unfinished_run_keeps_its_curve_and_no_final_loss(tmp_path: Path) -> None:
    runs = {"a": run_lines("a"), "b": run_lines("b", steps=40)[:-11]}
    built = build(sweep(tmp_path / "s", runs))
    b = built.losses.filter(pl.col("run") == "b")
    assert b.height > 0
    assert not b["is_final"].any()
    assert reasons(built) == {
        "b": "truncated at 60.0 % of its schedule, below losses.min_schedule_fraction 0.99: "
        "its last loss is no final loss (its curve is kept)"
    }
    assert build(sweep(tmp_path / "t", runs), min_schedule_fraction=0.5).left_out.is_empty()


def test_log_without_end_line_but_with_its_last_evaluation_is_final(tmp_path: Path) -> None:
    built = build(sweep(tmp_path / "s", {"a": run_lines("a")[:-1]}))
    assert built.losses["is_final"].to_list()[-1]


def test_everything_left_out_has_its_reason(tmp_path: Path) -> None:
    nan = [header("nan", steps=40), train_line(2), eval_line(4), train_line(6, float("nan"))]
    runs = {
        "a": run_lines("a"),
        "nan": nan,
        "tuning": run_lines("tuning", role="tuning"),
        "check": run_lines("check", role="check"),
        "blind": [line for line in run_lines("blind") if line["kind"] != "eval"][:4],
    }
    tables = sweep(tmp_path / "s", runs, **{"notes.txt": "hello\n"})
    built = build(tables)
    assert reasons(built) == {
        "notes.txt": row(tables.files, "path", "notes.txt")["reason"],
        "nan": "diverged: its loss ends as NaN or infinity",
        "tuning": "learning-rate tuning",
        "blind": "it has no eval loss",
    }
    # a finished tuning run keeps its final loss: what a rate costs is read off it
    kept = dict(built.left_out.select("item", "loss").iter_rows())
    expected = build(sweep(tmp_path / "t", {"tuning": run_lines("tuning")})).losses
    (loss,) = expected.filter("is_final")["loss"]
    assert kept == {"notes.txt": None, "nan": None, "tuning": loss, "blind": None}
    points = dict(built.left_out.select("item", "points").iter_rows())
    assert points == {"notes.txt": 0, "nan": 3, "tuning": 20, "blind": 3}
    roles = dict(built.losses.select("run", "role").unique().iter_rows())
    assert roles == {"a": "fit", "check": "check"}


@settings(max_examples=times(8))
@given(kinds=st.lists(st.sampled_from(["whole", "cut", "nan", "tuning", "garbage"]), min_size=1))
def test_every_run_and_file_is_somewhere(
    kinds: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    files: dict[str, str | bytes] = {"whole.jsonl": jsonl(run_lines("whole", steps=8))}
    for number, kind in enumerate(kinds):
        name = f"run{number}"
        lines = run_lines(name, steps=8 + number, role="tuning" if kind == "tuning" else "fit")
        text = jsonl(lines)
        if kind == "cut":
            text = text[: len(text) * (number + 1) // (len(kinds) + 2)]
        elif kind == "nan":
            text = jsonl([*lines[:-2], eval_line(8 + number, float("nan"))])
        elif kind == "garbage":
            text = f"line {number}\n"
        files[f"{name}.jsonl"] = text
    tables = ingest(tmp_path_factory.mktemp("sums") / "s", files)
    built = build(tables)
    fitted, left = set(built.losses["run"]), set(built.left_out["item"])
    assert set(tables.runs["run"]) <= fitted | left
    rejected = tables.files.filter(pl.col("fate") == "rejected")
    assert set(rejected["path"]) <= left
    assert built.losses.filter("is_final")["run"].is_unique().all()


@settings(max_examples=times(3))
@given(seed=st.integers(0, 2**32 - 1))
def test_order_of_rows_changes_nothing(seed: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("order") / "s"
    tables = sweep(folder, {n: run_lines(n, steps=30) for n in ("a", "b")})
    for loss in ("eval", "train"):
        expected = build(tables, loss=loss)
        shuffled = [
            table.sample(fraction=1.0, shuffle=True, seed=seed)
            for table in (tables.curves, tables.runs, tables.files)
        ]
        again = build_losses(*shuffled, LossesSettings(loss=loss))
        assert again.losses.equals(expected.losses)
        assert again.left_out.equals(expected.left_out)


@pytest.mark.parametrize("at_once", [1, 35, 10_000])
def test_curves_read_in_batches_give_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    names = [f"r{i}" for i in range(6)]
    tables = sweep(tmp_path / "s", {n: run_lines(n, steps=30) for n in names})
    curves = tables.curves.filter(pl.col("run") != "r3")  # a run without points
    expected = build_losses(curves, tables.runs, tables.files, DEFAULT)
    assert expected.losses["run"].n_unique() == 5
    monkeypatch.setattr(build_module, "POINTS_AT_ONCE", at_once)
    path = tmp_path / "curves.parquet"
    curves.write_parquet(path, row_group_size=17)
    again = build_losses(scan_table(path, Curves), tables.runs, tables.files, DEFAULT)
    assert again.losses.equals(expected.losses)
    assert again.left_out.equals(expected.left_out)


def test_rows_of_a_scanned_table_are_checked(tmp_path: Path) -> None:
    tables = sweep(tmp_path / "s", {n: run_lines(n, steps=30) for n in ("a", "b")})
    path = tmp_path / "curves.parquet"
    pl.concat([tables.curves, tables.curves[-1:]]).write_parquet(path)
    with pytest.raises(TableError, match=r"(?s)curves of runs a to b.*primary_key"):
        build_losses(scan_table(path, Curves), tables.runs, tables.files, DEFAULT)


@pytest.mark.parametrize("most", [2, 3, 7, 100])
def test_thinning_keeps_both_ends_evenly_in_log_tokens(tmp_path: Path, most: int) -> None:
    tables = sweep(tmp_path / "s", {"a": run_lines("a", steps=1000, every=1, evals=1000)})
    tokens = build(tables, points_per_run=most).losses["tokens"].to_numpy()
    assert len(tokens) <= most
    assert tokens[0] == TOKENS_PER_STEP
    assert tokens[-1] == 1000 * TOKENS_PER_STEP
    if most == 7:
        assert np.diff(np.log(tokens)) == pytest.approx(np.log(1000) / 6, rel=0.1)


@pytest.mark.parametrize(("tokens", "nearest"), [((1, 4, 11, 100), 11), ((1, 9, 30, 100), 9)])
def test_thinning_takes_the_point_that_is_nearest_in_log_tokens(
    tokens: tuple[int, ...], nearest: int
) -> None:
    """Of three places, at 1, 10 and 100: below or above what is wanted."""
    assert _thinned(pl.DataFrame({"tokens": tokens}), 3)["tokens"].to_list() == [1, nearest, 100]


def test_few_points_are_all_kept(tmp_path: Path) -> None:
    tables = sweep(tmp_path / "s", {"a": run_lines("a", steps=40, evals=40)})
    assert build(tables, points_per_run=40).losses.height == 40


def test_spikes_are_dropped_and_counted(tmp_path: Path) -> None:
    lines = run_lines("a", steps=200)
    spike = next(i for i, line in enumerate(lines) if line.get("step") == 100)
    lines[spike] = train_line(100, 30.0)
    tables = sweep(tmp_path / "s", {"a": lines})
    kept = build(tables, loss="train", smoothing=0)
    assert kept.losses["loss"].max() == 30.0
    built = build(tables, loss="train", smoothing=0, spike_sigmas=200)
    assert built.losses["loss"].max() < 6
    assert row(built.left_out, "item", "a")["points"] == 1
    assert "spikes beyond 200 sigmas" in reasons(built)["a"]


def test_the_alternate_loss_is_of_the_same_runs(tmp_path: Path) -> None:
    tables = sweep(tmp_path / "s", {n: run_lines(n, steps=40) for n in ("a", "b")})
    by_eval, by_train = build(tables), build(tables, loss="train")
    assert by_eval.alternate_loss.equals(by_train.losses)
    assert by_train.alternate_loss.equals(by_eval.losses)
    assert by_eval.alternate_loss.filter("is_final")["run"].to_list() == ["a", "b"]


@pytest.mark.parametrize("loss", ["eval", "train"])
def test_a_kind_that_some_run_lacks_is_no_alternate(tmp_path: Path, loss: str) -> None:
    other = "train" if loss == "eval" else "eval"
    lines = [line for line in run_lines("b") if line["kind"] != other]
    built = build(sweep(tmp_path / "s", {"a": run_lines("a"), "b": lines}), loss=loss)
    assert set(built.losses["run"]) == {"a", "b"}
    assert built.alternate_loss.is_empty()
    assert built.alternate_loss.columns == built.losses.columns


def test_a_curve_that_lacks_a_kind_leaves_no_alternate(tmp_path: Path) -> None:
    """Also a run that never finished: the finals are of the same runs, the curves are not."""
    unfinished = [line for line in run_lines("b", steps=40)[:-11] if line["kind"] != "train"]
    built = build(sweep(tmp_path / "s", {"a": run_lines("a"), "b": unfinished}), loss="eval")
    assert set(built.losses["run"]) == {"a", "b"}
    assert set(built.losses.filter("is_final")["run"]) == {"a"}
    assert built.alternate_loss.is_empty()


@pytest.mark.parametrize("evals", [1, 2, 5])
def test_a_final_evaluation_of_each_run_suffices(tmp_path: Path, evals: int) -> None:
    """Of curves that long approaches 1 and Kaplan's make nothing; the others need none."""
    runs = {n: run_lines(n, steps=60, evals=evals) for n in ("a", "b")}
    built = build(sweep(tmp_path / "s", runs))
    assert built.kind == "eval"
    assert built.losses.height == 2 * evals
    assert built.losses.filter("is_final")["run"].to_list() == ["a", "b"]
    assert built.alternate_loss.equals(
        build(sweep(tmp_path / "t" / "s", runs), loss="train").losses
    )


def test_a_run_without_a_final_evaluation_leaves_training_losses(tmp_path: Path) -> None:
    runs = {n: run_lines(n, steps=60, evals=2) for n in ("a", "b")}
    last = max(line["step"] for line in runs["b"] if line["kind"] == "eval")
    runs["b"] = [
        line for line in runs["b"] if not (line["kind"] == "eval" and line["step"] == last)
    ]
    assert build(sweep(tmp_path / "s", runs)).kind == "train"


def test_restarts_leave_no_trace(tmp_path: Path) -> None:
    whole = run_lines("a", steps=40)
    before = [line for line in whole if line.get("step", 0) <= 30]
    after = [line for line in whole if line.get("step", 41) > 20 and line["kind"] != "header"]
    # what a restart superseded is noise: were it kept, equal tokens would be averaged with it
    lost = [
        {k: v + 0.7 if k in {"train_loss", "loss"} and line["step"] > 20 else v
         for k, v in line.items()}
        for line in before
    ]  # fmt: skip
    assert lost != before
    resumed = [*lost, {"kind": "resume", "step": 20}, *after]
    for loss in ("eval", "train"):
        plain = build(sweep(tmp_path / loss, {"a": whole}), loss=loss)
        again = build(sweep(tmp_path / f"{loss}-resumed" / loss, {"a": resumed}), loss=loss)
        assert again.losses.equals(plain.losses)


def test_equal_tokens_are_averaged(tmp_path: Path) -> None:
    """As of a curve whose D was rounded: as many points as fall on a number, now two, now three."""
    sidecar = """
title: t
table: {rows: points, columns: {run: name, tokens: D, eval_loss: L}}
facts: {schedule: {kind: unknown}, params: {total: 1e6}}
"""
    points = [(1e7, 4.0), (1e7, 3.0), (2e7, 2.4), (2e7, 2.2), (2e7, 2.0), (3e7, 1.0)]
    text = "name,D,L\n" + "".join(f"a,{tokens:.0f},{loss}\n" for tokens, loss in points)
    built = build(ingest(tmp_path / "s", {"t.csv": text}, sidecar))
    assert built.losses["tokens"].to_list() == [1e7, 2e7, 3e7]
    assert built.losses["loss"].to_list() == pytest.approx([3.5, 2.2, 1.0])


def test_points_are_in_order_of_tokens_whatever_their_steps(tmp_path: Path) -> None:
    tables = sweep(tmp_path / "s", {"a": run_lines("a")})
    backwards = tables.curves.with_columns(pl.col("step").reverse())
    built = build_losses(backwards, tables.runs, tables.files, DEFAULT)
    columns = ["tokens", "loss", "is_final"]
    assert built.losses.select(columns).equals(build(tables).losses.select(columns))
    assert built.losses["is_final"].to_list().index(True) == built.losses.height - 1


def test_command_line_writes_the_same_bytes_twice(tmp_path: Path) -> None:
    tables = sweep(tmp_path / "s", {"a": run_lines("a"), "b": run_lines("b")[:9]})
    for name, schema in (("curves", Curves), ("runs", Runs), ("files", Files)):
        write_table(getattr(tables, name), schema, tmp_path / f"{name}.parquet")
    inputs = [f"--{name}={tmp_path / name}.parquet" for name in ("curves", "runs", "files")]
    written = []
    for turn in ("one", "two"):
        names = ("losses", "left_out", "alternate_loss")
        outputs = [tmp_path / turn / f"{name}.parquet" for name in names]
        options = [
            f"--{name.replace('_', '-')}={path}" for name, path in zip(names, outputs, strict=True)
        ]
        done = CliRunner().invoke(
            main, ["build-losses", "--sweep", "s", "--settings", "{}", *inputs, *options]
        )
        assert done.output == (
            "s: 12 eval losses of 2 runs, 1 of them final; 1 entry left out; "
            "26 points of the alternate loss\n"
        )
        written.append([path.read_bytes() for path in outputs])
    assert written[0] == written[1]
    assert Losses.validate(pl.read_parquet(tmp_path / "one" / "losses.parquet")).height == 12
    assert LeftOut.validate(pl.read_parquet(tmp_path / "one" / "left_out.parquet")).height == 1


def seldom(run: str, steps: int, *, interval: int, every: int = 2) -> list[dict[str, Any]]:
    """A finished run that evaluates at multiples of an interval, and not at its end."""
    lines = run_lines(run, steps=steps, every=every, evals=1)
    kept = [line for line in lines if line["kind"] != "eval"]
    evals = [eval_line(step) for step in range(interval, steps + 1, interval)]
    return [*kept[:-1], *evals, kept[-1]]


def test_training_loss_bridges_the_gap_to_the_end(tmp_path: Path) -> None:
    """Twenty runs evaluated every 50 steps: those whose length is no multiple used to vanish."""
    runs = {f"r{i:02d}": seldom(f"r{i:02d}", 400 + 10 * i, interval=50) for i in range(20)}
    built = build(sweep(tmp_path / "s", runs))
    assert built.kind == "eval"
    finals = built.losses.filter("is_final").sort("run")
    assert finals.height == 20
    for i, (tokens, loss) in enumerate(finals.select("tokens", "loss").iter_rows()):
        steps = 400 + 10 * i
        assert tokens == steps * TOKENS_PER_STEP
        # a line of training loss is the mean over its two steps, and is read half-way
        assert loss == pytest.approx(loss_at(steps), abs=2e-4)
    told = reasons(built)
    assert set(told) == {f"r{i:02d}" for i in range(20) if (400 + 10 * i) % 50}
    assert told["r01"].startswith("evaluated last at 97.6 % of its schedule: its final loss is")
    assert built.left_out["points"].sum() == 0


def test_the_gap_is_bridged_by_training_loss_as_the_settings_smooth_it(tmp_path: Path) -> None:
    """A bump of the training loss before the end weighs by the window that reads it."""
    lines = seldom("a", 490, interval=100)
    for line in lines:
        if line["kind"] == "train" and line["step"] > 450:
            line["train_loss"] += 0.05 * (line["step"] - 450) / 40
    ingested = sweep(tmp_path / "s", {"a": lines})
    train = [line for line in lines if line["kind"] == "train"]
    tokens = np.array([line["tokens"] for line in train], dtype=np.float64)
    measured_at = (np.concatenate([[0.0], tokens[:-1]]) + tokens) / 2.0
    values = np.array([line["train_loss"] for line in train])
    ends = np.array([400.0, 490.0]) * TOKENS_PER_STEP
    finals = {}
    for smoothing in (0.0, 0.05, 0.3):
        built = build(ingested, smoothing=smoothing)
        finals[smoothing] = built.losses.filter("is_final")["loss"].item()
        width = smoothing or build_module.BRIDGE_WINDOW
        before, after = smooth(measured_at, values, ends, share=width)
        assert finals[smoothing] == pytest.approx(loss_at(400) + after - before, abs=1e-12)
    assert finals[0.0] == finals[0.05]
    assert abs(finals[0.3] - finals[0.05]) > 0.005


def test_no_gap_of_a_run_that_crashed_is_bridged(tmp_path: Path) -> None:
    """Just before its end: what a finished run would have come to is no measurement of it."""
    runs = {name: seldom(name, 410, interval=50) for name in ("cut", "whole")}
    tables = sweep(tmp_path / "s", runs)
    crashed = pl.when(pl.col("run") == "cut").then(pl.lit("crashed")).otherwise("status")
    built = build(replace(tables, runs=tables.runs.with_columns(status=crashed)))
    assert built.kind == "eval"
    assert built.losses.filter("is_final")["run"].to_list() == ["whole"]
    assert reasons(built)["cut"].startswith("crashed at 97.6 % of its schedule, below ")


def test_without_training_losses_the_last_evaluation_counts_within_an_interval(
    tmp_path: Path,
) -> None:
    near, far = (seldom(name, 410, interval=50, every=200) for name in ("near", "far"))
    far = [line for line in far if line["kind"] != "eval" or line["step"] < 320]
    # its evaluations are far apart: the end lies within an interval of half-way, at twice the rate
    half = seldom("half", 1900, interval=1000, every=1900)
    once = seldom("once", 430, interval=400, every=200)
    built = build(
        sweep(tmp_path / "s", {"near": near, "far": far, "half": half, "once": once}), loss="eval"
    )
    finals = built.losses.filter("is_final").sort("run")
    # of a run that was evaluated once the interval begins at its start
    assert finals["run"].to_list() == ["near", "once"]
    for final in finals.iter_rows(named=True):
        assert final["tokens"] == 400 * TOKENS_PER_STEP
        assert final["loss"] == pytest.approx(loss_at(400))
    told = reasons(built)
    assert "is at 52.6 % of its schedule, before 90 %, and too few" in told["half"]
    assert "log training losses about both places" in told["half"]
    assert "within one interval between evaluations of its end" in told["near"]
    assert "finished, but its last loss is at 73.2 % of its schedule" in told["far"]
    assert "evaluate at the end" in told["far"]


def with_rate(run: str, rate: float, offset: float, **changes: Any) -> list[dict[str, Any]]:
    schedule = {**header(run, steps=40)["schedule"], "lr_peak": rate}
    lines = run_lines(run, steps=40, schedule=schedule, **changes)
    return [
        line | {"loss": line["loss"] + offset} if line["kind"] == "eval" else line for line in lines
    ]


def test_runs_of_one_schedule_are_fitted_when_asked(tmp_path: Path) -> None:
    """The kind that most of the fitted runs follow, or those that are named; checks stay."""
    kinds = {"a": "cosine", "b": "cosine", "c": "constant", "d": "constant", "e": "constant"}
    roles = {"d": "check", "e": "tuning"}
    logged = sweep(
        tmp_path / "s", {name: run_lines(name, role=roles.get(name, "fit")) for name in kinds}
    )
    kind = pl.col("run").replace_strict(kinds, return_dtype=pl.String)
    tables = replace(logged, runs=logged.runs.with_columns(schedule_kind=kind))
    assert set(build(tables).losses["run"]) == {"a", "b", "c", "d"}
    commonest = build(tables, schedules="commonest")
    assert set(commonest.losses["run"]) == {"a", "b", "d"}
    assert set(commonest.alternate_loss["run"]) <= {"a", "b", "d"}
    told = reasons(commonest)
    assert told["c"] == "its schedule is constant, and losses.schedules takes cosine alone"
    assert told["e"] == "learning-rate tuning"
    assert set(build(tables, schedules=["constant"]).losses["run"]) == {"c", "d"}
    assert set(build(tables, schedules=["cosine", "constant"]).losses["run"]) == set("abcd")
    assert set(build(tables, schedules=["cosin"]).losses["run"]) == {"d"}


APART = [name for name in SETTINGS if name != "schedule_tokens"]


def test_of_a_grid_of_rates_the_best_is_kept_when_asked(tmp_path: Path) -> None:
    """Three rates in one cell, the best of them with two seeds; another size with one rate."""
    other = {**PARAMS, "total": 20736}
    runs = {
        "low": with_rate("low", 0.005, 0.04),
        "best": with_rate("best", 0.01, 0.0),
        "best-again": with_rate("best-again", 0.01, 0.01, seed=1),
        "high": with_rate("high", 0.02, 0.09),
        "other": with_rate("other", 0.02, 0.2, params=other),
    }
    tables = sweep(tmp_path / "s", runs)
    every = build(tables)
    assert set(every.losses["run"]) == set(runs)
    told = reasons(every)
    assert set(told) == {"low", "best", "best-again", "high"}
    assert "one of 3 peak learning rates for the same N and D" in told["low"]
    assert "losses.rates: best" in told["low"]
    # each row says what tells repeats from trials
    finals = every.losses.filter("is_final").sort("run")
    assert finals["lr_peak"].to_list() == [0.01, 0.01, 0.02, 0.005, 0.02]
    of_run = tables.runs.sort("run")
    assert finals.select(APART).equals(of_run.select(APART))
    noise = seed_noise(observe(every.losses, CountingSettings()))
    assert noise is not None
    assert (noise.cells, noise.freedom) == (1, 1)
    assert noise.sd == pytest.approx(0.01 / np.sqrt(2.0), rel=1e-6)
    kept = build(tables, rates="best")
    assert set(kept.losses["run"]) == {"best", "best-again", "other"}
    told = reasons(kept)
    assert set(told) == {"low", "high"}
    assert told["high"] == (
        f"its peak learning rate 0.02 reached {loss_at(40) + 0.09:.4f} nats, and 0.01 "
        f"{loss_at(40):.4f} at the same N and D (losses.rates: best)"
    )


LAGGING = "title: t\nfacts: {{{}, params: {{total: 1e6}}, schedule: {{kind: cosine, steps: 40}}, "
LAGGING += "tokens_per_step: 1000}}\n"


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("loss_kind: ema", "its training loss is a moving average (loss_kind: ema), which lags"),
        ("loss_kind: running_mean", "its training loss is a running mean (loss_kind: running_mean"),
        ("loss_kind: interval_mean", None),
        ("loss_kind: instant", None),
        ("loss_kind: instant, loss_window: 5", None),
        ("loss_kind: ema, loss_window: 5", None),
        ("loss_kind: running_mean, loss_window: 5", None),
    ],
)
def test_a_training_loss_is_placed_or_is_told_to_lag(
    tmp_path: Path, said: str, words: str | None
) -> None:
    lines = "step,tokens,train_loss,val_loss\n" + "".join(
        f"{s},{s}000,{3 + 1 / s},{3 + 1 / s}\n" for s in range(1, 41)
    )
    tables = ingest(tmp_path / "s", {"a.csv": lines}, LAGGING.format(said))
    built = build(tables, loss="train")
    if words is None:
        assert built.left_out.is_empty()
    else:
        (entry,) = built.left_out.iter_rows(named=True)
        assert entry["reason"].startswith(words)
        assert "loss_window: " in entry["reason"]
        assert (entry["item"], entry["points"], entry["stage"]) == ("a", 0, "losses")
    assert built.losses.height == 40
    # evaluations do not lag
    assert build(tables, loss="eval").left_out.is_empty()
    # without smoothing each value is taken as it is
    if "ema" in said:
        unplaced = build(tables, loss="train", smoothing=0.0).left_out["reason"].item()
        assert ("losses.smoothing above 0" in unplaced) == ("loss_window" in said)


def test_a_window_counts_updates_and_not_what_was_logged(tmp_path: Path) -> None:
    """A table of every tenth update, whose own steps count its rows, as W&B's do."""
    at = np.arange(1.0, 2001.0)
    curve = 2.0 + 400.0 * (1e6 * at) ** -0.3
    kept, mean, averaged = 1.0 - 1.0 / 100.0, 0.0, []
    for i, value in enumerate(curve):
        mean = kept * mean + (1.0 - kept) * value
        averaged.append(mean / (1.0 - kept ** (i + 1)))
    logged = range(9, 2000, 10)
    lines = "_step,tokens,train_loss\n" + "".join(
        f"{row},{(i + 1) * 1000000},{float(averaged[i])!r}\n"
        for row, i in enumerate(logged, start=1)
    )
    facts = (
        "title: t\nfacts: {params: {total: 1e6}, schedule: {kind: constant, tokens: 2e9}, "
        "loss_kind: ema, loss_window: %s%s}\n"
    )

    def last(window: str, more: str) -> tuple[float, list[str]]:
        tables = ingest(tmp_path / f"{window}{len(more)}", {"a.csv": lines}, facts % (window, more))
        built = build(tables, loss="train")
        final = built.losses.filter("is_final")["loss"].item()
        return final, built.left_out["reason"].to_list()

    loss, told = last("100", ", tokens_per_step: 1e6")
    assert told == []
    assert loss == pytest.approx(curve[-1], abs=0.002)
    # what cannot be placed stays as it is, and says why
    for window, more, why in (
        ("100", "", "no tokens_per_step says how many tokens these are"),
        ("1500", ", tokens_per_step: 1e6", "more than half of the run's"),
        ("1e17", ", tokens_per_step: 1e6", "look whether loss_window counts updates"),
    ):
        loss, (reason,) = last(window, more)
        assert why in reason
        assert averaged[-1] - 0.02 < loss < averaged[-1] + 0.02


def test_a_moving_average_of_a_known_curve_ends_where_the_curve_does(tmp_path: Path) -> None:
    """nanochat's, whose window its format knows, and a table's, whose window sweep.yaml says."""
    at = np.arange(1, 301)
    curve = 2.0 + 400.0 * (1e6 * at) ** -0.3
    curve -= 0.3 * np.clip(at / 300 - 0.8, 0.0, None)
    weights = 0.9 ** np.arange(300)
    logged = [(curve[:n][::-1] * weights[:n]).sum() / weights[:n].sum() for n in at]

    def chat(higher: float) -> str:
        log = "Vocab size: 65,536\nNumber of parameters: 1,000\nTotal batch size 1,000,000\n"
        return log + "".join(
            f"step {n:05d}/300 (1.00%) | loss: {loss + higher:.6f} | lrm: 1.00 | dt: 1.0ms\n"
            for n, loss in zip(at, logged, strict=True)
        )

    table = "run,step,tokens,train_loss\n" + "".join(
        f"table,{n},{n}000000,{loss + 0.1:.6f}\n" for n, loss in zip(at, logged, strict=True)
    )
    rules = (
        "title: t\nruns:\n- {match: '*table*', loss_kind: ema, loss_window: 10, "
        "params: {total: 1e3}, schedule: {kind: cosine, steps: 300}, tokens_per_step: 1e6}\n"
        "- {match: mean, loss_kind: running_mean}\n"
    )
    files: dict[str, str | bytes] = {
        "chat.log": chat(0.0), "table.csv": table, "mean.log": chat(0.2),
    }  # fmt: skip
    tables = ingest(tmp_path / "s", files, rules)
    windows = tables.curves.group_by("run").agg(pl.col("loss_window").last())
    assert dict(windows.iter_rows()) == {"chat": 10.0, "table": 10.0, "mean": None}
    built = build(tables, loss="train")
    finals = dict(built.losses.filter("is_final").select("run", "loss").iter_rows())
    assert finals["chat"] == pytest.approx(curve[-1], abs=5e-4)
    assert finals["table"] == pytest.approx(curve[-1] + 0.1, abs=5e-4)
    # whoever calls it another mean than the format does must say of what
    assert finals["mean"] > curve[-1] + 0.208
    assert [*reasons(built)] == ["mean"]


def open_lm(*parameters: str) -> str:
    text = "".join(f"x | INFO |   {each}\n" for each in ("global_batch_size: 16", *parameters))
    return text + "".join(
        f"x | INFO | Train Epoch: 0 [ {16 * at}/800 (20%)] Loss: {3 + 1 / at:.4f} Data (t): 0.01 "
        "LR: 0.003 \n"
        for at in range(10, 51, 10)
    )


def litgpt() -> str:
    return "".join(
        f"Epoch 1 | iter {4 * at} step {at} | loss train: {3 + 1 / at:.4f}, val: n/a | x\n"
        for at in range(10, 51, 10)
    )


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (open_lm(), "running_mean"),
        (open_lm("log_avg_model_training_loss: 0"), "interval_mean"),
        (litgpt(), "instant"),
    ],
)
def test_consoles_say_what_their_losses_average(tmp_path: Path, text: str, kind: str) -> None:
    rules = "title: t\nfacts: {params: {total: 1e6}, batch: 16, architecture: {seq_len: 64}, "
    rules += "schedule: {kind: cosine, steps: 50}}\n"
    tables = ingest(tmp_path / "s", {"a.log": text}, rules)
    assert tables.curves["loss_kind"].unique().to_list() == [kind]
    # the mean since an epoch's beginning is of no window
    assert tables.curves["loss_window"].null_count() == tables.curves.height
    assert ("lags" in " ".join(reasons(build(tables)).values())) == (kind == "running_mean")
