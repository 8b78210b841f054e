"""Settings beside logs are facts with a scope: the nearest folder wins."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from isoflop.errors import ConfigError
from isoflop.ingest.reading.sidefiles import read_settings
from isoflop.ingest.reading.source import RawFile
from isoflop.ingest.sweep import ingest_sweep
from tests.ingest.samples import RECORD, ingest, nanogpt, row, write

if TYPE_CHECKING:
    from pathlib import Path

HISTORY, OTHER = (
    "step,train/loss\n" + "".join(f"{step},{first - step / 50}\n" for step in range(1, 41))
    for first in (3, 2)
)
WANDB = """wandb_version: 1
_wandb:
  value: {cli_version: 0.31.0, host: secret}
n_layer: {desc: null, value: 4}
n_embd: {desc: null, value: 64}
max_steps: {desc: null, value: 40}
"""
DUMP = """0: ------------------------ arguments ------------------------
0:   num_layers ...................................... 4
0:   hidden_size ..................................... 64
0:   train_iters ..................................... 40
"""
CONFIGS = {
    "config.json": json.dumps({"n_layer": 4, "n_embd": 64, "max_steps": 40}, indent=1),
    "args.json": json.dumps({"num_layers": 4, "hidden_size": 64, "train_iters": 40}),
    "hparams.yaml": "model:\n  n_layers: 4\n  d_model: 64\ntrainer: {max_steps: 40}\n",
    "config.yaml": WANDB,
    "train.toml": "[model]\nn_layers = 4\ndim = 64\n[training]\nmax_steps = 40\n",
    ".hydra/config.yaml": "model: {n_layers: 4, d_model: 64}\ntrain: {total_steps: 40}\n",
    "files/config.yaml": WANDB,
    "params.txt": "n_layers: 4\nd_model: 64\nmax_steps: 40\n",
    "arguments.txt": DUMP,
}
SIDECAR = "title: t\nfacts: {params: {total: 1e6}, tokens_per_step: 1024}\n"


@pytest.mark.parametrize("name", CONFIGS)
def test_settings_of_every_kind(name: str, tmp_path: Path) -> None:
    tables = ingest(tmp_path / "s", {"r/log.csv": HISTORY, f"r/{name}": CONFIGS[name]}, SIDECAR)
    run = row(tables.runs, "run", "r/log")
    assert (run["layers"], run["d_model"], run["status"]) == (4, 64, "finished")
    assert (run["architecture_source"], run["schedule_source"]) == ("config_file", "config_file")
    assert row(tables.files, "path", f"r/{name}")["fate"] == "facts"
    assert "secret" not in repr(tables)


def settings(layers: int) -> str:
    return json.dumps({"n_layer": layers, "max_steps": 40, "n_embd": 64})


def test_the_nearest_folder_wins_fact_by_fact(tmp_path: Path) -> None:
    files = {
        "config.json": settings(2),
        "a/log.csv": HISTORY,
        "b/c/log.csv": OTHER,
        "b/config.json": json.dumps({"n_layer": 8, "n_head": 4}),
    }
    tables = ingest(tmp_path / "s", dict(files), SIDECAR)
    assert tables.runs.select("run", "layers", "heads", "d_model").rows() == [
        ("a/log", 2, None, 64), ("b/c/log", 8, 4, 64),
    ]  # fmt: skip


def test_a_file_named_after_a_log_is_that_log_s(tmp_path: Path) -> None:
    files = {
        "a.csv": HISTORY, "a.json": settings(2), "b.csv": OTHER,
        "b.json": settings(8),
    }  # fmt: skip
    tables = ingest(tmp_path / "s", dict(files), SIDECAR)
    assert tables.runs.select("run", "layers").rows() == [("a", 2), ("b", 8)]


def test_contradictions_of_one_folder_leave_the_run_out_and_say_both_ways_out(
    tmp_path: Path,
) -> None:
    files = {"log.csv": HISTORY, "config.json": settings(2), "args.json": settings(8)}
    folder = write(tmp_path / "s", dict(files), SIDECAR + "runs: []\n")
    other = {"other/log.csv": OTHER, "other/config.json": settings(4)}
    write(folder, dict(other), None)
    tables = ingest_sweep(folder, RECORD)
    reason = row(tables.runs, "run", "log")["reason"]
    assert "args.json and config.json disagree on architecture.layers (8 and 2)" in reason
    assert row(tables.runs, "run", "other/log")["reason"] is None
    mended = ingest(folder, {}, SIDECAR + "runs: [{match: log, architecture: {layers: 2}}]\n")
    assert row(mended.runs, "run", "log")["reason"] is None


def test_the_log_wins_and_the_difference_is_noted(tmp_path: Path) -> None:
    files = {"a.log": nanogpt(), "config.json": json.dumps({"n_layer": 4, "learning_rate": 2.0})}
    run = row(ingest(tmp_path / "s", dict(files)).runs, "run", "a")
    assert (run["layers"], run["lr_peak"]) == (2, 1e-3)
    assert "architecture.layers is 2 by the log, 4.0 by the settings" in run["notes"] or (
        "architecture.layers is 2 by the log, 4 by the settings" in run["notes"]
    )


def test_a_trainer_s_usual_shape_needs_its_count(tmp_path: Path) -> None:
    """A fork of nanoGPT that trains an RNN prints its own count, and is no transformer."""
    usual = row(ingest(tmp_path / "s", {"a.log": nanogpt()}).runs, "run", "a")
    assert (usual["tied"], usual["gated"], usual["d_ff"]) == (True, False, 64)
    assert usual["params_nonembedding"] == 6144
    fork = nanogpt().replace("with 8,208 parameters", "with 5,000 parameters")
    other = row(ingest(tmp_path / "f", {"a.log": fork}).runs, "run", "a")
    assert (other["tied"], other["gated"], other["d_ff"]) == (None, None, None)
    assert other["params_nonembedding"] is None
    assert "are not taken for this run's" in other["notes"]


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\nn_layer: 4\nn_embd: 8\n",
        "n_layer: !!python/object/apply:os.system ['true']\nn_embd: 8\nn_head: 2\n",
        "{" * 10_000,
        "n_layer: 4\nn_layer: 5\nn_embd: 8\n" + "x: 1\n" * 30_000,
        "\0\ud7ff n_layer",
    ],
)
def test_hostile_settings_are_read_or_left(text: str, tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(text)
    told = read_settings(RawFile.at(path, tmp_path))
    assert told is None or "architecture.d_model" in told


@pytest.mark.parametrize("name", ["../secret.py", "{}/secret.py", "in/../../secret.py", "link.py"])
def test_config_of_sweep_yaml_reads_nothing_outside(name: str, tmp_path: Path) -> None:
    write(tmp_path, {"secret.py": "n_layer = 7\n"}, None)
    config = name.format(tmp_path)
    sidecar = f"title: t\nruns: [{{match: a.log, config: ['{config}']}}]\n"
    folder = write(tmp_path / "s", {"a.log": nanogpt(), "in/b.log": nanogpt(steps=100)}, sidecar)
    (folder / "link.py").symlink_to(tmp_path / "secret.py")
    with pytest.raises(ConfigError, match="outside the sweep's folder"):
        ingest_sweep(folder, RECORD)


def test_a_link_to_settings_outside_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(settings(2))
    folder = write(tmp_path / "s", {"log.csv": HISTORY})
    (folder / "config.json").symlink_to(tmp_path / "config.json")
    tables = ingest(folder, {}, SIDECAR.replace("}\n", ", schedule: {kind: constant}}\n"))
    assert row(tables.runs, "run", "log")["layers"] is None


def test_a_wandb_summary_gives_what_lasts_and_its_last_values_are_no_run(tmp_path: Path) -> None:
    told = {"_step": 40, "_runtime": 9.5, "train/loss": 2.5, "lr": 1e-6, "n_params": 123456.0}
    files: dict[str, str | bytes] = {
        "r/log.csv": HISTORY,
        "r/wandb-summary.json": json.dumps(told),
        "r/wandb-metadata.json": json.dumps({"email": "a@b.c", "host": "node", "lr": 0.1}),
    }
    sidecar = "title: t\nfacts: {schedule: {kind: constant}, tokens_per_step: 256}\n"
    tables = ingest(tmp_path / "s", files, sidecar)
    run = row(tables.runs, "run", "r/log")
    assert (run["params_total"], run["params_total_source"]) == (123456.0, "config_file")
    assert run["lr_peak"] is None
    fates = {file["path"]: file["fate"] for file in tables.files.to_dicts()}
    assert fates["r/wandb-summary.json"] == "facts"
    assert fates["r/wandb-metadata.json"] == "ignored"
    del told["n_params"]
    files["r/wandb-summary.json"] = json.dumps(told)
    sidecar = (
        "title: t\nfacts: {schedule: {kind: constant}, tokens_per_step: 256, params: {total: 5}}\n"
    )
    again = ingest(tmp_path / "t", files, sidecar)
    assert row(again.files, "path", "r/wandb-summary.json")["fate"] == "ignored"
    assert again.runs["run"].to_list() == ["r/log"]


def test_settings_whose_aliases_multiply_are_no_settings(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    path = tmp_path / "hparams.yaml"
    path.write_text("\n".join([*lines, "n_layer: 4", "n_embd: 8", "n_head: 2"]))
    told = read_settings(RawFile.at(path, tmp_path))
    # no YAML is made of it; its plain lines are still pairs
    assert told == {"architecture.layers": 4, "architecture.d_model": 8, "architecture.heads": 2}


CURVE = "step,tokens,train_loss\n" + "".join(
    f"{step},{step * 1024},{3 - step / 50}\n" for step in range(1, 41)
)
RECORDS = {
    "in groups": '{"config": {"n_params": 1e6, "lr": 0.01, "seed": 1}, '
    '"results": {"val_loss": 2.3, "tokens": 40960}}',
    "flat": '{"n_params": 1e6, "seed": 1, "tokens": 40960, "val_loss": 2.3, "lr": 1e-5}',
    "called otherwise": '{"n_params": 1e6, "tokens": 40960, "final_train_loss": 2.2, "seed": 1}',
    "of a configuration": '{"n_params": 1e6, "lr": 0.01, "max_steps": 40, "batch_size": 4, '
    '"seq_len": 256, "seed": 1, "best_val_loss": 2.3}',
}
WITHOUT_SIZE = "title: t\nfacts: {schedule: {kind: constant}}\n"


@pytest.mark.parametrize("record", RECORDS)
def test_a_record_beside_the_log_of_its_run_is_its_settings(record: str, tmp_path: Path) -> None:
    files = {"a/log.csv": CURVE, "a/results.json": RECORDS[record]}
    files |= {"b/log.csv": CURVE.replace(",2.", ",1."), "b/results.json": RECORDS[record]}
    tables = ingest(tmp_path / "s", files, WITHOUT_SIZE)
    assert tables.runs["run"].to_list() == ["a/log", "b/log"]
    has_peak = record in {"of a configuration", "in groups"}
    for run in tables.runs.iter_rows(named=True):
        assert (run["params_total"], run["seed"], run["reason"]) == (1e6, 1, None)
        assert run["lr_peak"] == (0.01 if has_peak else None)  # the last is no peak
    told = row(tables.files, "path", "a/results.json")
    assert told["fate"] == "facts"
    assert (
        "the run that a/log.csv has" in told["reason"] or "a/log.csv has that run" in told["reason"]
    )


def test_a_record_is_settings_under_a_map_of_the_curves_too(tmp_path: Path) -> None:
    sidecar = WITHOUT_SIZE + "table: {rows: points, columns: {step: s, tokens: t, eval_loss: y}}\n"
    curve = CURVE.replace("step,tokens,train_loss", "s,t,y")
    files = {"a/log.csv": curve, "a/results.json": RECORDS["flat"]}
    tables = ingest(tmp_path / "s", files, sidecar)
    assert tables.runs.select("run", "params_total").rows() == [("a/log", 1e6)]


def test_records_without_a_log_of_theirs_are_finished_runs(tmp_path: Path) -> None:
    other = RECORDS["flat"].replace("2.3", "2.2")
    files = {"a/r.json": RECORDS["flat"], "b/r.json": other, "c/log.csv": CURVE}
    tables = ingest(tmp_path / "s", files, WITHOUT_SIZE)
    assert tables.runs["run"].to_list() == ["a/r-0001", "b/r-0001", "c/log"]
    two = {"a/r.json": RECORDS["flat"], "a/q.json": other, "a/log.csv": CURVE}
    tables = ingest(tmp_path / "two", two, WITHOUT_SIZE)
    assert tables.runs["run"].to_list() == ["a/log", "a/q-0001", "a/r-0001"]


def test_records_named_after_the_logs_beside_them_are_theirs(tmp_path: Path) -> None:
    other = RECORDS["flat"].replace("1e6", "2e6")
    files = {"a.csv": CURVE, "a.json": RECORDS["flat"]}
    files |= {"b.csv": CURVE.replace(",2.", ",1."), "b.json": other}
    tables = ingest(tmp_path / "s", files, WITHOUT_SIZE)
    assert tables.runs.select("run", "params_total").rows() == [("a", 1e6), ("b", 2e6)]


def test_a_size_alone_is_settings(tmp_path: Path) -> None:
    files = {"a/log.csv": CURVE, "a/params.json": '{"n_params": 25000000}'}
    tables = ingest(tmp_path / "s", files, WITHOUT_SIZE)
    assert tables.runs.select("run", "params_total").rows() == [("a/log", 25e6)]


def test_settings_of_another_kind_are_no_table(tmp_path: Path) -> None:
    settings_of_zero = '{"train_batch_size": 64, "fp16": {"enabled": true, "loss_scale": 0}}'
    files: dict[str, str | bytes] = {"a/log.csv": CURVE, "a/ds_config.json": settings_of_zero}
    sidecar = WITHOUT_SIZE + "runs: [{match: a/log, params: {total: 1e6}}]"
    tables = ingest(tmp_path / "s", files, sidecar)
    reason = row(tables.files, "path", "a/ds_config.json")["reason"]
    assert reason == "unknown: no facts, no losses and no steps"


@pytest.mark.parametrize(
    ("told", "facts"),
    [
        (
            {
                "train_batch_size": 128,
                "train_micro_batch_size_per_gpu": 8,
                "gradient_accumulation_steps": 2,
            },
            {"batch": 128},
        ),
        ({"train_batch_size": 128, "train_micro_batch_size_per_gpu": 7}, None),
        ({"train_batch_size": 128}, None),
        ({"train_batch_size": "auto", "train_micro_batch_size_per_gpu": "auto"}, None),
        ({"n_params_M": 19.794176}, {"params.total": 19_794_176}),
    ],
)
def test_deepspeed_s_batch_and_counts_in_a_unit_are_settings(
    told: dict[str, object], facts: dict[str, float] | None, tmp_path: Path
) -> None:
    (tmp_path / "ds_config.json").write_text(json.dumps(told, indent=1))
    assert read_settings(RawFile.at(tmp_path / "ds_config.json", tmp_path)) == facts
