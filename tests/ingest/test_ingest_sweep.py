"""From a folder to tables: fates, facts and their origin, restarts, the cache, the complaints."""

from __future__ import annotations

import gzip
import json
import math
import random
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from isoflop.cli import main
from isoflop.config.ingest import IngestSettings
from isoflop.counting import Architecture, flops_per_token
from isoflop.errors import ConfigError, IsoflopError, MissingFactError
from isoflop.ingest.inspection import inspect
from isoflop.ingest.reading import patterns
from isoflop.ingest.sweep import (
    EmptySweepError,
    Ingested,
    UnreadableError,
    ingest_sweep,
    read_sweep,
)
from tests.ingest.samples import (
    ONE_CURVE,
    PARAMS,
    RECORD,
    SHAPE,
    TOKENS_PER_STEP,
    end_line,
    eval_line,
    ingest,
    jsonl,
    loss_at,
    nanogpt,
    row,
    run_lines,
    train_line,
    write,
)
from tests.tiers import times

if TYPE_CHECKING:
    from pathlib import Path


def same(one: Ingested, other: Ingested) -> bool:
    names = ("files", "runs", "curves", "evals")
    return all(getattr(one, name).equals(getattr(other, name)) for name in names)


# -- the project's own logs ------------------------------------------------------------------------


def test_own_log_becomes_tables(tmp_path: Path) -> None:
    tables = ingest(tmp_path / "s", {"fit/a.jsonl": jsonl(run_lines("a", steps=40))})
    run = row(tables.runs, "run", "a")
    assert run["sweep"] == "s"
    assert run["paths"] == "fit/a.jsonl"
    assert (run["role"], run["status"], run["excluded"], run["notes"]) == (
        "fit", "finished", False, None,
    )  # fmt: skip
    assert run["params_total"] == PARAMS["total"]
    assert run["tokens"] == 40 * TOKENS_PER_STEP == run["schedule_tokens"]
    assert run["warmup_tokens"] == 2 * TOKENS_PER_STEP
    sources = {name: value for name, value in run.items() if name.endswith("_source")}
    assert sources.pop("params_active_source") is None  # it has no experts
    assert set(sources.values()) == {"log"}
    last = tables.curves.row(-1, named=True)
    assert last["eval_loss"] == pytest.approx(loss_at(40))
    assert last["train_loss"] == pytest.approx(loss_at(39.5))
    assert last["loss_kind"] == "interval_mean"
    assert set(tables.evals["metric"]) == {"loss", "bits_per_byte"}
    assert tables.evals.filter("primary")["metric"].unique().to_list() == ["loss"]


def test_flops_of_every_convention(tmp_path: Path) -> None:
    tables = ingest(tmp_path / "s", {"a.jsonl": jsonl(run_lines())})
    last = tables.curves.row(-1, named=True)
    for convention in ("6nd", "kaplan", "hoffmann", "attention"):
        per_token = flops_per_token(
            convention,
            params_total=PARAMS["total"],
            params_nonembedding=PARAMS["nonembedding"],
            params_with_head=PARAMS["with_head"],
            architecture=Architecture(**SHAPE),
        )
        assert per_token is not None
        assert last[f"flops_{convention}"] == pytest.approx(per_token * last["tokens"])
    assert last["flops_logged"] == pytest.approx(62208.0 * last["tokens"])


def test_no_end_line_is_truncated(tmp_path: Path) -> None:
    tables = ingest(tmp_path / "s", {"a.jsonl": jsonl(run_lines()[:-5])})
    assert row(tables.runs, "run", "a")["status"] == "truncated"
    assert row(tables.files, "path", "a.jsonl")["truncated"] is False


def test_log_cut_in_the_middle_of_a_line(tmp_path: Path) -> None:
    text = jsonl(run_lines())
    tables = ingest(tmp_path / "s", {"a.jsonl": text[: len(text) // 2]})
    file = row(tables.files, "path", "a.jsonl")
    assert (file["fate"], file["truncated"], file["lines_unread"]) == ("used", True, 0)
    assert row(tables.runs, "run", "a")["status"] == "truncated"


def test_damaged_line_in_the_middle_is_counted(tmp_path: Path) -> None:
    lines = jsonl(run_lines()).splitlines(keepends=True)
    lines[5] = lines[5][:20] + "\n"
    tables = ingest(tmp_path / "s", {"a.jsonl": "".join(lines)})
    file = row(tables.files, "path", "a.jsonl")
    assert (file["lines_unread"], file["truncated"]) == (1, False)
    assert "cannot be read" in file["reason"]


def test_resumed_run(tmp_path: Path) -> None:
    whole = run_lines(steps=40)
    before = [line for line in whole if line.get("step", 0) <= 30 and line["kind"] != "end"]
    after = [line for line in whole if line.get("step", 41) > 20 and line["kind"] != "header"]
    again = [{**line, "train_loss": 2.0} if line["kind"] == "train" else line for line in after]
    lines = [*before, {"kind": "resume", "step": 20}, *again]
    tables = ingest(tmp_path / "s", {"a.jsonl": jsonl(lines)})
    assert row(tables.files, "path", "a.jsonl")["restarts"] == 1
    live = tables.curves.filter(~pl.col("superseded"))
    assert live["step"].is_unique().all()
    assert live.filter(pl.col("step") > 20)["train_loss"].unique().to_list() == [2.0]
    assert tables.curves.filter("superseded")["step"].min() == 22
    assert row(tables.runs, "run", "a")["status"] == "finished"


@pytest.mark.parametrize("nan", ["NaN", '"NaN"', "Infinity"])
def test_ending_in_nan_is_diverged(tmp_path: Path, nan: str) -> None:
    lines = [*run_lines()[:-12], train_line(38, loss=-1.0)]
    text = jsonl(lines).replace("-1.0", nan)
    tables = ingest(tmp_path / "s", {"a.jsonl": text})
    assert row(tables.runs, "run", "a")["status"] == "diverged"
    last = tables.curves.row(-1, named=True)
    assert (last["is_nan"], last["train_loss"]) == (True, None)


def test_nan_that_passes_is_only_noted(tmp_path: Path) -> None:
    lines = run_lines()
    lines[1] = train_line(2, math.nan)
    tables = ingest(tmp_path / "s", {"a.jsonl": jsonl(lines)})
    run = row(tables.runs, "run", "a")
    assert run["status"] == "finished"
    assert "1 lines with NaN" in run["notes"]


def test_tuning_runs_are_excluded_and_check_runs_are_not(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {
        f"{role}/{role}.jsonl": jsonl([*run_lines(role, role=role)[:-1], train_line(41, loss)])
        for role, loss in {"fit": 1.9, "tuning": 1.8, "check": 1.7}.items()
    }
    tables = ingest(tmp_path / "s", files)
    assert dict(tables.runs.select("run", "reason").iter_rows()) == {
        "fit": None, "check": None, "tuning": "learning-rate tuning",
    }  # fmt: skip
    sidecar = "title: t\nruns:\n- {match: tuning, role: fit}\n"
    tables = ingest(tmp_path / "t", files, sidecar)
    assert not row(tables.runs, "run", "tuning")["excluded"]


def test_whose_exponent_sized_a_check_run_is_what_its_log_or_sweep_yaml_says(
    tmp_path: Path,
) -> None:
    """A name is a name: `kaplan-warmup` of a user may be of no pair."""
    files: dict[str, str | bytes] = {
        f"{name}.jsonl": jsonl(run_lines(name, role="check", sized_by=word))
        for name, word in {"kaplan-warmup": None, "kaplan-a": "kaplan", "b": "chinchilla"}.items()
    }
    tables = ingest(tmp_path / "s", files)
    said = {"kaplan-warmup": None, "kaplan-a": "kaplan", "b": "chinchilla"}
    assert dict(tables.runs.select("run", "sized_by").iter_rows()) == said
    rule = "title: t\nruns:\n- {match: kaplan-warmup, sized_by: chinchilla}\n"
    tables = ingest(tmp_path / "t", files, rule)
    assert row(tables.runs, "run", "kaplan-warmup")["sized_by"] == "chinchilla"
    with pytest.raises(ConfigError, match="sized_by"):
        ingest(tmp_path / "u", files, rule.replace("chinchilla", "hoffmann"))


# -- several files ---------------------------------------------------------------------------------


def test_every_file_has_a_fate(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {
        "a.jsonl": jsonl(run_lines()),
        "copy.jsonl": jsonl(run_lines()),
        "b.jsonl.gz": gzip.compress(jsonl(run_lines("b")).encode(), mtime=0),
        "plan.yaml": "format: isoflop-plan\n",
        "model.pkl": b"\x80\x04\x95\x00",
        "huge.bin": "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n",
        "notes.txt": "nothing that looks like a log\n" * 9,
        "empty.log": "",
        "cut.jsonl": jsonl(run_lines("cut"))[:40],
        "header.jsonl": jsonl(run_lines("only")[:1]),
        "old.jsonl": jsonl(run_lines("old", version=9)),
        ".hidden": "x",
    }
    sidecar = "title: t\nignore:\n- {match: plan.yaml, reason: the plan}\n"
    tables = ingest(tmp_path / "s", files, sidecar)
    fates = {file["path"]: (file["fate"], file["reason"]) for file in tables.files.to_dicts()}
    assert set(fates) == {*files, "sweep.yaml"} - {".hidden"}
    assert {path for path, (fate, _) in fates.items() if fate == "used"} == {
        "a.jsonl", "b.jsonl.gz",
    }  # fmt: skip
    assert fates["sweep.yaml"] == ("facts", "facts of the sweep")
    assert fates["plan.yaml"] == ("ignored", "ignored by sweep.yaml: the plan")
    expected = {
        "copy.jsonl": "the same bytes as a.jsonl",
        "model.pkl": "never opened",
        "huge.bin": "not downloaded",
        "notes.txt": "9 x 'nothing that looks like a log'",
        "empty.log": "empty",
        "cut.jsonl": "no known format",
        "header.jsonl": "no records",
        "old.jsonl": "version 9",
    }
    for path, words in expected.items():
        assert fates[path][0] == "rejected"
        assert words in fates[path][1]
    assert sorted(tables.runs["run"]) == ["a", "b"]


def test_stores_and_exports_of_trackers_are_refused_by_name(tmp_path: Path) -> None:
    comet = [{"metricName": "loss", "metricValue": "2.5", "step": 1, "timestamp": 1}] * 3
    clearml = {"loss": {"train": {"name": "train", "x": [0, 1], "y": [3.5, 2.5]}}}
    files: dict[str, str | bytes] = {
        "a.jsonl": jsonl(run_lines("a")),
        ".aim/meta/index/MANIFEST-000005": b"\x01rocksdb",
        ".neptune/async/x/data-1.log": "x",
        "b/.cometml-runs/1.zip": b"PK\x03\x04",
        "comet.json": json.dumps(comet),
        "comet_indented.json": json.dumps(comet, indent=2),
        "clearml.json": json.dumps(clearml, indent=2),
        "clearml_one_line.json": json.dumps(clearml),
        "results.tsv": "commit\tval_bpb\tmemory_gb\tstatus\tdescription\n"
        "a1b2c3d\t0.997900\t44.0\tkeep\tbaseline\n",
        "report.md": "# nanochat training report\n\n## Base model training\n- depth: 20\n",
        "nemo.log": "Epoch 0: :   8%|#   | 5/62 [03:24<10:00, v_num=8, reduced_train_loss=6.930, "
        "global_step=4.000, consumed_samples=1280.0]\n",
    }
    tables = ingest(tmp_path / "s", files)
    fates = {file["path"]: (file["fate"], file["reason"]) for file in tables.files.to_dicts()}
    for path, words in {
        ".aim": "aim.Repo", ".neptune": "neptune sync", "b/.cometml-runs": "comet upload",
        "comet.json": "pivot_table", "comet_indented.json": "pivot_table",
        "clearml.json": "series", "clearml_one_line.json": "series",
        "results.tsv": "drop in the run.log of each experiment", "nemo.log": "events.out.tfevents",
        "report.md": "drop in what base_train printed",
    }.items():  # fmt: skip
        assert fates[path][0] == "rejected"
        assert words in fates[path][1]
    assert tables.runs["run"].to_list() == ["a"]


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("epoch 3 | loss 2.5 | 47.85ms", "epoch # | loss # | #ms"),
        ("loss: 1.5e-3, lr=0.0003 (10%)", "loss: #, lr=# (#%)"),
        ("user alice logged in", "user ~ logged in"),
        ("username: alice, epoch: 3", "username: ~ epoch: #"),
        ('{"host": "gpunode", "loss": 2}', '{"host": "~ "loss": #}'),
        ("login=alice", "login=~"),
        ("token abcdef", "token ~"),
        ("WANDB_API_KEY=abcdef", "WANDB_API_KEY=~"),
        ("running on gpu-17 of dgx04", "running on ~ of ~"),
        ("node1.cluster.example.org up", "~ up"),
        ("connect cluster.example.org:8080", "connect ~:#"),
        ("sk-proj-AbCdEfGhIjKlMnOpQrStUvWx", "~"),
        ("da39a3ee5e6b4b0d3255bfef95601890afd80709", "~"),
        ("saved /home/alice/x.pt", "saved ~"),
        ("mail alice@example.org", "mail ~"),
    ],
)
def test_an_unknown_file_s_lines_are_shown_without_names_and_secrets(line: str, shown: str) -> None:
    assert patterns.shape_of_line(line) == shown


def test_unreadable_can_stop(tmp_path: Path) -> None:
    folder = write(tmp_path / "s", {"a.jsonl": jsonl(run_lines()), "notes.txt": "hello\n"})
    with pytest.raises(UnreadableError, match=r"notes\.txt: no known format"):
        ingest_sweep(folder, IngestSettings(on_unreadable="stop"))


def test_same_name_in_two_files_leaves_that_run_out(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {
        "a.jsonl": jsonl(run_lines("a", steps=40)),
        "b.jsonl": jsonl(run_lines("a", steps=50)),
        "c.jsonl": jsonl(run_lines("c", steps=50)),
    }
    tables = ingest(tmp_path / "s", files)
    run = row(tables.runs, "run", "a")
    assert run["excluded"]
    assert run["reason"] == (
        "2 files call their run 'a': a.jsonl, b.jsonl. If they are parts of one run, say so in "
        'sweep.yaml: runs: [{match: "a.jsonl", run: "a"}, ...]; if not, give each its own \'run:\''
    )
    assert tables.curves["run"].unique().to_list() == ["c"]
    with pytest.raises(MissingFactError, match=r"2 files call their run 'a': a\.jsonl, b\.jsonl"):
        ingest_sweep(tmp_path / "s", IngestSettings(on_missing="stop"))


def test_parts_of_one_run_are_joined_when_sweep_yaml_says_so(tmp_path: Path) -> None:
    whole = nanogpt(steps=200).splitlines(keepends=True)
    first = "".join(whole[:25])
    resumed = nanogpt(steps=200, resumed=True).splitlines(keepends=True)
    second = "".join(resumed[:12] + resumed[20:])
    sidecar = "title: t\nruns:\n- {match: 'part*.log', run: whole}\n"
    files: dict[str, str | bytes] = {"part1.log": first, "part2.log": second}
    tables = ingest(tmp_path / "s", files, sidecar)
    assert tables.runs["run"].to_list() == ["whole"]
    assert row(tables.runs, "run", "whole")["paths"] == "part1.log, part2.log"
    live = tables.curves.filter(~pl.col("superseded"))
    assert live["step"].to_list() == list(range(0, 201, 10))
    assert tables.curves["superseded"].any()


def test_parts_that_differ_are_not_joined(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {
        "part1.log": nanogpt(),
        "part2.log": nanogpt().replace("8,208", "9,999"),
    }
    with pytest.raises(MissingFactError, match=r"its logs disagree on params\.total"):
        ingest(tmp_path / "s", files, "title: t\nruns:\n- {match: 'part*', run: whole}\n")


@settings(max_examples=times(5))
@given(seed=st.integers(0, 2**32))
def test_order_of_creation_changes_nothing(
    seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    names = [f"run{n}" for n in range(4)]
    files = {f"{n}.jsonl": jsonl(run_lines(n, steps=8, evals=2)) for n in names}
    base = tmp_path_factory.mktemp("order")
    expected = ingest(base / "sorted" / "s", dict(files))
    items = list(files.items())
    random.Random(seed).shuffle(items)  # noqa: S311  an order, not a secret
    assert same(expected, ingest(base / "shuffled" / "s", dict(items)))


# -- the cache -------------------------------------------------------------------------------------


def test_cache_changes_nothing_but_the_work(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {
        "a.jsonl": jsonl(run_lines("a")),
        "nan.jsonl": jsonl([*run_lines("nan")[:-5], train_line(40, math.nan)]),
        "b.log": nanogpt(),
        "notes.jsonl": '{"kind": "train", "step": 1}\n',
    }
    folder, cache = tmp_path / "s", tmp_path / "cache"
    plain = ingest(folder, files)
    cold = ingest_sweep(folder, RECORD, cache=cache)
    warm = ingest_sweep(folder, RECORD, cache=cache)
    assert same(plain, cold)
    assert same(plain, warm)
    assert (cold.parsed, cold.cached) == (4, 0)
    assert (warm.parsed, warm.cached) == (0, 4)

    (folder / "c.jsonl").write_text(jsonl(run_lines("c")))
    dropped_in = ingest_sweep(folder, RECORD, cache=cache)
    assert (dropped_in.parsed, dropped_in.cached) == (1, 4)
    assert str(dropped_in).startswith("parsed 1 file, 4 from cache")
    assert same(dropped_in, ingest_sweep(folder, RECORD))


def test_damaged_cache_is_read_anew(tmp_path: Path) -> None:
    folder, cache = tmp_path / "s", tmp_path / "cache"
    plain = ingest(folder, {"a.jsonl": jsonl(run_lines("a"))}, cache=cache)
    for entry in cache.iterdir():
        entry.write_bytes(entry.read_bytes()[:100])
    again = ingest_sweep(folder, RECORD, cache=cache)
    assert same(plain, again)
    assert again.parsed == 1


def test_facts_are_not_cached(tmp_path: Path) -> None:
    folder, cache = tmp_path / "s", tmp_path / "cache"
    ingest(folder, {"a.log": nanogpt()}, cache=cache)
    (folder / "sweep.yaml").write_text("title: t\nfacts: {tokens_per_step: 2048}\n")
    tables = ingest_sweep(folder, RECORD, cache=cache)
    assert tables.cached == 1
    assert row(tables.runs, "run", "a")["tokens"] == 200 * 2048


def test_column_map_is_part_of_the_key(tmp_path: Path) -> None:
    folder, cache = tmp_path / "s", tmp_path / "cache"
    sidecar = (
        "title: t\ntable: {rows: runs, columns: {params.total: N, tokens: D, eval_loss: one}}\n"
    )
    ingest(folder, {"t.csv": "N,D,one,two\n1e6,2e7,3.0,4.0\n"}, sidecar, cache=cache)
    (folder / "sweep.yaml").write_text(sidecar.replace("one", "two"))
    tables = ingest_sweep(folder, RECORD, cache=cache)
    assert tables.curves["eval_loss"].to_list() == [4.0]


# -- sweep.yaml ------------------------------------------------------------------------------------


def test_origin_of_every_count(tmp_path: Path) -> None:
    shape = ", ".join(f"{key}: {str(value).lower()}" for key, value in SHAPE.items())
    sidecar = f"""
title: t
table:
  rows: points
  columns: {{step: step, train_loss: loss}}
runs:
- match: "*"
  path_facts: '_bs(?P<batch>\\d+)'
  architecture: {{{shape}}}
  schedule: {{kind: cosine, steps: 30}}
"""
    tables = ingest(tmp_path / "s", {"run_bs4.csv": "step,loss\n10,3.0\n20,2.5\n30,2.0\n"}, sidecar)
    run = row(tables.runs, "run", "run_bs4")
    found = {name.removesuffix("_source"): run[name] for name in run if name.endswith("_source")}
    assert found == {
        "params_total": "architecture",
        "params_nonembedding": "architecture",
        "params_with_head": "counted",
        "params_active": None,  # it has no experts
        "architecture": "sidecar",
        "tokens_per_step": "counted",
        "tokens": "counted",
        "schedule": "sidecar",
    }
    assert run["params_total"] == 10240
    assert run["tokens"] == 30 * 4 * 64 == run["schedule_tokens"]
    assert run["status"] == "finished"


def test_side_car_wins_over_the_log_and_the_run_notes_it(tmp_path: Path) -> None:
    sidecar = """
title: t
facts: {dataset: everything, seed: 1}
runs:
- {match: "*", seed: 2}
- {match: a, seed: 3, params: {total: 20000}}
"""
    tables = ingest(tmp_path / "s", {"a.jsonl": jsonl(run_lines("a"))}, sidecar)
    run = row(tables.runs, "run", "a")
    assert (run["dataset"], run["seed"], run["params_total"]) == ("everything", 3, 20000.0)
    assert run["params_total_source"] == "sidecar"
    assert "params.total is 20000.0 by sweep.yaml, 10368.0 by the log" in run["notes"]


def test_excluded_by_sweep_yaml(tmp_path: Path) -> None:
    sidecar = "title: t\nexclude:\n- {match: 'bad/*', reason: wrong tokenizer}\n"
    files: dict[str, str | bytes] = {
        "bad/a.jsonl": jsonl(run_lines("a")),
        "b.jsonl": jsonl(run_lines("b")),
    }
    tables = ingest(tmp_path / "s", files, sidecar)
    assert row(tables.runs, "run", "a")["reason"] == "wrong tokenizer"
    assert row(tables.runs, "run", "b")["reason"] is None


def test_yaml_1e18_is_a_number(tmp_path: Path) -> None:
    # YAML 1.1 reads 1e18, without a dot, as a word
    sidecar = "title: t\nfacts: {budget: 1e18, unique_tokens: 1e9}\n"
    tables = ingest(tmp_path / "s", {"a.jsonl": jsonl(run_lines("a"))}, sidecar)
    assert row(tables.runs, "run", "a")["budget"] == 1e18


def test_nominal_budgets(tmp_path: Path) -> None:
    sidecar = """
title: t
table: {rows: runs, columns: {run: name, params.total: N, tokens: D, eval_loss: L}}
budgets: {values: [6e18, 1e19], tolerance: 0.1}
"""
    table = "name,N,D,L\nnear,1e9,1.05e9,3\nfar,1e9,1.3e9,3\nnext,1e9,1.6e9,3\n"
    tables = ingest(tmp_path / "s", {"t.csv": table}, sidecar)
    budgets = dict(tables.runs.select("run", "budget").iter_rows())
    assert budgets == {"near": 6e18, "far": None, "next": 1e19}


@pytest.mark.parametrize(
    ("unit", "logged"),
    [
        ("nats_per_token", 2.0),
        ("bits_per_token", 2.0 / math.log(2)),
        ("bits_per_byte", 2.0 / math.log(2) / 4.0),
        ("perplexity", math.exp(2.0)),
    ],
)
def test_loss_units(tmp_path: Path, unit: str, logged: float) -> None:
    sidecar = f"title: t\nfacts: {{loss_unit: {unit}, bytes_per_token: 4}}\n"
    evaluated = {k: v for k, v in eval_line(20, logged).items() if k != "bits_per_byte"}
    lines = [*run_lines()[:1], train_line(20, logged), evaluated, end_line(20)]
    tables = ingest(tmp_path / "s", {"a.jsonl": jsonl(lines)}, sidecar)
    last = tables.curves.row(-1, named=True)
    assert last["train_loss"] == pytest.approx(2.0)
    assert last["eval_loss"] == pytest.approx(2.0)
    assert tables.evals.filter("primary")["value"].to_list() == [pytest.approx(2.0)]


def test_several_eval_sets_need_a_primary_one(tmp_path: Path) -> None:
    lines = run_lines()
    lines[2:2] = [{**eval_line(1), "eval_set": "wiki"}]
    folder = write(tmp_path / "s", {"a.jsonl": jsonl(lines)})
    with pytest.raises(MissingFactError, match=r"2 eval sets \(validation, wiki\)"):
        ingest_sweep(folder, RECORD)
    (folder / "sweep.yaml").write_text("title: t\nfacts: {primary_eval: wiki}\n")
    tables = ingest_sweep(folder, RECORD)
    assert tables.curves["eval_loss"].drop_nulls().to_list() == [pytest.approx(loss_at(1))]


def test_a_curve_of_fewer_windows_is_moved_by_what_both_sets_differ_in_last(
    tmp_path: Path,
) -> None:
    """`curve_eval`: a curve by a small set, the primary one measured late and at the end alone."""

    def logged(run: str, moved: dict[int, float]) -> list[dict[str, Any]]:
        lines = run_lines(run, evals=4)
        own = [{**line, "eval_set": "few"} for line in lines if line["kind"] == "eval"]
        late = [eval_line(step, loss_at(step) + by) for step, by in moved.items()]
        train = [line for line in lines if line["kind"] == "train"]
        ordered = sorted([*train, *own, *late], key=lambda line: line["step"])
        return [lines[0], *ordered, *([lines[-1]] if moved else [])]

    differences: dict[str, dict[int, float]] = {
        "a": {30: 0.5, 40: 0.1},
        "b": {30: 0.4, 40: 0.3},
        "c": {40: 0.2},
        "d": {},
    }
    logs: dict[str, str | bytes] = {
        f"{run}.jsonl": jsonl(logged(run, moved)) for run, moved in differences.items()
    }
    sidecar = "title: t\nfacts: {primary_eval: validation, curve_eval: few}\n"
    tables = ingest(tmp_path / "s", logs, sidecar, settings=ONE_CURVE)
    # of a run that has not come to the primary set it is the median of the others
    by_run = {run: moved.get(40, 0.2) for run, moved in differences.items()}
    for run, moved in by_run.items():
        curve = tables.curves.filter(run=run).drop_nulls("eval_loss").sort("step")
        assert curve["step"].to_list() == [10, 20, 30, 40]
        measured = differences[run]
        expected = [loss_at(step) + measured.get(step, moved) for step in (10, 20, 30, 40)]
        assert curve["eval_loss"].to_list() == pytest.approx(expected)
    alone = ingest(
        tmp_path / "t", logs, "title: t\nfacts: {primary_eval: validation}\n", settings=ONE_CURVE
    )
    assert alone.curves.drop_nulls("eval_loss").filter(run="a")["step"].to_list() == [30, 40]


def test_each_fact_of_a_schedule_has_its_own_column(tmp_path: Path) -> None:
    tables = ingest(tmp_path / "s", {"a.jsonl": jsonl(run_lines(steps=40))})
    run = row(tables.runs, "run", "a")
    assert (run["lr_peak"], run["lr_end"]) == (0.01, 0.001)
    assert run["warmup_tokens"] == 2 * TOKENS_PER_STEP
    assert run["schedule_tokens"] == 40 * TOKENS_PER_STEP
    assert run["schedule_kind"] == "cosine"


# -- complaints ------------------------------------------------------------------------------------


def complaint(tmp_path: Path, files: dict[str, Any], sidecar: str | None) -> str:
    with pytest.raises(IsoflopError) as caught:
        ingest(tmp_path / "s", files, sidecar)
    return str(caught.value)


def test_sweep_without_sidecar(tmp_path: Path) -> None:
    said = complaint(tmp_path, {"a.jsonl": jsonl(run_lines())}, None)
    assert f"Create {tmp_path / 's' / 'sweep.yaml'}" in said
    assert "title: s" in said


def test_missing_facts_are_all_named_at_once_with_the_line_to_add(tmp_path: Path) -> None:
    bare = "\n".join(f"iter {n}: loss 2.0, time 1.00ms" for n in range(9)) + "\n"
    said = complaint(tmp_path, {"a.log": bare, "b.log": bare + "\n"}, "title: t\n")
    for fact in (
        "number of parameters",
        "number of tokens per step",
        "length of the learning-rate schedule",
    ):
        assert f"runs 'a', 'b': the {fact} is known neither" in said
    assert '  - match: "a"\n    tokens_per_step: <tokens' in said


def test_what_a_complaint_says_to_add_is_enough(tmp_path: Path) -> None:
    bare = "\n".join(f"iter {n}: loss 2.0, time 1.00ms" for n in range(9)) + "\n"
    sidecar = """
title: t
runs:
  - match: "a"
    params: {total: 1e6}
  - match: "a"
    tokens_per_step: 512
  - match: "a"
    schedule: {kind: unknown}
"""
    tables = ingest(tmp_path / "s", {"a.log": bare}, sidecar)
    run = row(tables.runs, "run", "a")
    assert run["tokens"] == 8 * 512
    assert run["notes"].startswith("no FLOPs by hoffmann and attention: ")


def test_empty_folder(tmp_path: Path) -> None:
    assert "holds no training log" in complaint(tmp_path, {}, "title: t\n")


def test_nothing_readable(tmp_path: Path) -> None:
    said = complaint(tmp_path, {"notes.txt": "hello\n"}, "title: t\n")
    assert "notes.txt: no known format" in said


def test_rule_that_matches_nothing(tmp_path: Path) -> None:
    said = complaint(
        tmp_path,
        {"tiny.jsonl": jsonl(run_lines("tiny"))},
        "title: t\nexclude: [{match: tny, reason: x}]",
    )
    assert "exclude: 'tny' matches no file and no run; the nearest is 'tiny'" in said


def test_a_rule_for_a_run_of_a_rejected_file_hides_no_reason(tmp_path: Path) -> None:
    rules = "title: t\nruns: [{match: big, tokens_per_step: 1}]\n"
    files: dict[str, str | bytes] = {"big.csv": "run,step,speed\nbig,1,2\n"}
    said = complaint(tmp_path / "none", files, rules)
    assert "runs: 'big' matches no file and no run" in said
    assert "big.csv: looks like a table with columns run, step, speed" in said
    files["tiny.jsonl"] = jsonl(run_lines("tiny"))
    read = read_sweep(write(tmp_path / "some", files, rules), RECORD)
    assert isinstance(read.complaint, ConfigError)
    assert "big.csv: looks like a table" in str(read.complaint)
    assert row(read.files, "path", "big.csv")["fate"] == "rejected"
    assert read.runs["run"].to_list() == ["tiny"]


def test_inspect_tells_of_a_rule_that_matches_nothing(tmp_path: Path) -> None:
    rules = "title: t\nexclude: [{match: tny, reason: x}]\n"
    folder = write(tmp_path / "s", {"tiny.jsonl": jsonl(run_lines("tiny"))}, rules)
    shown = str(inspect(folder))
    assert "run 'tiny'" in shown
    assert "sweep.yaml: exclude: 'tny' matches no file and no run" in shown


@pytest.mark.parametrize(
    ("sidecar", "words"),
    [
        ("title: t\nruns: [{match: a, tokens_per_stp: 3}]\n", "did you mean 'tokens_per_step'?"),
        ("title: t\nformat: nanogtp\n", "format 'nanogtp' is not known; known: "),
        ("title: t\nfacts: {loss_unit: bits_per_byte}\n", "mean bytes of a token"),
        ("title: t\nfacts: {primary_eval: wiki}\n", "its log has only validation"),
        ("title: t\nruns: [{match: '*', config: [x.py]}]\n", "no file x.py"),
        ("title: t\nruns: [{match: '*', path_facts: '('}]\n", "path_facts '('"),
        ("title: t\nruns: [{match: '*', path_facts: '(?P<sed>a)'}]\n", "sed: Extra inputs"),
        ("description: no title\n", "key 'title' is missing"),
        ("title: [\n", "not valid YAML"),
    ],
)
def test_slips_in_sweep_yaml(tmp_path: Path, sidecar: str, words: str) -> None:
    assert words in complaint(tmp_path, {"a.jsonl": jsonl(run_lines("a"))}, sidecar)


def test_command_line_shows_a_message_and_no_traceback(tmp_path: Path) -> None:
    folder = write(tmp_path / "s", {"a.jsonl": jsonl(run_lines())}, None)
    outputs = [
        f"--{name}={tmp_path / name}" for name in ("curves", "runs", "files", "evals", "gates")
    ]
    arguments = ["ingest-sweep", "--sweep", "s", "--raw", str(folder), "--settings", "{}", *outputs]
    failed = CliRunner().invoke(main, arguments)
    assert failed.exit_code == 1
    assert failed.output.startswith("Error: ")
    assert "Create" in failed.output
    (folder / "sweep.yaml").write_text("title: t\n")
    done = CliRunner().invoke(main, arguments)
    assert done.output == (
        "s: parsed 1 file, 0 from cache; 1 runs, 20 curve points; 0 files rejected\n"
    )


def test_empty_sweep_error_is_ours() -> None:
    assert issubclass(EmptySweepError, IsoflopError)
