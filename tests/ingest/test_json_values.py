"""JSON values with curves inside them: what stands beside a curve is its run's, or said unread."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
import yaml

from isoflop.ingest.inspection import inspect
from isoflop.ingest.reading.json_table import has_columns
from isoflop.ingest.sweep import EmptySweepError
from tests.ingest.samples import ingest, row, write

if TYPE_CHECKING:
    from pathlib import Path

STEPS = range(100, 1100, 100)
SIDECAR = "title: t\nfacts: {schedule: {kind: constant}}\n"


def curve(top: float) -> list[dict[str, float]]:
    return [{"step": s, "loss": top - s / 1000} for s in STEPS]


def columns(top: float) -> dict[str, list[float]]:
    return {"step": list(STEPS), "loss": [top - s / 1000 for s in STEPS]}


RUN = {"n_params": 7e7, "tokens_per_step": 512}
OTHER = {"n_params": 1.6e8, "tokens_per_step": 512}


@pytest.mark.parametrize("indent", [None, 1])
def test_n_beside_rows_is_of_their_run_and_of_no_neighbour(
    tmp_path: Path, indent: int | None
) -> None:
    text = json.dumps({**RUN, "log": curve(5.0)}, indent=indent)
    csv = "step,loss\n" + "".join(f"{s},{4 - s / 1000}\n" for s in STEPS)
    tables = ingest(tmp_path / "s", {"a.json": text, "b.csv": csv}, SIDECAR)
    a, b = row(tables.runs, "run", "a"), row(tables.runs, "run", "b")
    assert (a["params_total"], a["tokens"]) == (7e7, 512e3)
    assert (b["params_total"], b["excluded"]) == (None, True)
    assert tables.curves.filter(run="a")["train_loss"].to_list() == [r["loss"] for r in curve(5.0)]


SEVERAL: dict[str, Any] = {
    "a list": [{"name": "a", **RUN, "history": curve(5.0)}, {"name": "b", **OTHER,
                                                             "history": curve(4.0)}],
    "by name": {"a": {**RUN, "history": curve(5.0)}, "b": {**OTHER, "history": curve(4.0)}},
    "columns": {"a": {**RUN, **columns(5.0)}, "b": {**OTHER, "history": columns(4.0)}},
    "nested": {"runs": {"a": {"config": RUN, "log": curve(5.0)},
                        "b": {"config": OTHER, "log": curve(4.0)}}},
    "rows by name": {"a": [{**RUN, **each} for each in curve(5.0)],
                     "b": [{**OTHER, **each} for each in curve(4.0)]},
}  # fmt: skip


@pytest.mark.parametrize("told", SEVERAL.values(), ids=list(SEVERAL))
@pytest.mark.parametrize("indent", [None, 2])
def test_each_of_several_runs_has_its_curve(tmp_path: Path, told: Any, indent: int | None) -> None:
    tables = ingest(tmp_path / "s", {"t.json": json.dumps(told, indent=indent)}, SIDECAR)
    assert tables.runs.select("run", "params_total", "tokens").rows() == [
        ("a", 7e7, 512e3), ("b", 1.6e8, 512e3),
    ]  # fmt: skip
    for run, top in (("a", 5.0), ("b", 4.0)):
        losses = tables.curves.filter(run=run)["train_loss"].to_list()
        assert losses == [each["loss"] for each in curve(top)]


@pytest.mark.parametrize("indent", [None, 2])
def test_values_one_after_the_other_are_runs(tmp_path: Path, indent: int | None) -> None:
    values = SEVERAL["a list"]
    text = "\n".join(json.dumps(each, indent=indent) for each in values)
    tables = ingest(tmp_path / "s", {"t.json": text}, SIDECAR)
    assert tables.runs.select("run", "params_total").rows() == [("a", 7e7), ("b", 1.6e8)]
    assert "2 JSON values in one file" in row(tables.files, "path", "t.json")["reason"]


def test_runs_without_a_name_are_numbered(tmp_path: Path) -> None:
    told = [{**RUN, "history": curve(5.0)}, {**OTHER, "history": curve(4.0)}]
    tables = ingest(tmp_path / "s", {"t.json": json.dumps(told)}, SIDECAR)
    assert tables.runs.select("run", "params_total").rows() == [("1", 7e7), ("2", 1.6e8)]


def test_evaluations_beside_the_training_are_of_its_run(tmp_path: Path) -> None:
    told = {**RUN, "train": curve(5.0), "val": {"step": [500, 1000], "loss": [4.6, 4.1]}}
    tables = ingest(tmp_path / "s", {"t.json": json.dumps(told)}, SIDECAR)
    assert tables.curves.height == len(STEPS)
    evals = tables.curves.filter(tables.curves["eval_loss"].is_not_null())
    assert evals.select("step", "eval_loss").rows() == [(500, 4.6), (1000, 4.1)]


def test_what_is_not_read_is_named(tmp_path: Path) -> None:
    told = {**RUN, "note": "x", "lr": 3e-4, "final": [{"acc": 1}], "loss": 4.0, "log": curve(5.0)}
    tables = ingest(tmp_path / "s", {"t.json": json.dumps(told)}, SIDECAR)
    reason = row(tables.files, "path", "t.json")["reason"]
    assert "not read of the JSON value: 'note', 'final', 'loss'" in reason
    run = row(tables.runs, "run", "t")
    assert (run["lr_peak"], run["tokens"]) == (3e-4, 512e3)


def test_columns_of_another_length_are_named(tmp_path: Path) -> None:
    told = {**RUN, **columns(5.0), "eval_step": [500], "val_loss": [4.6]}
    tables = ingest(tmp_path / "s", {"t.json": json.dumps(told)}, SIDECAR)
    reason = row(tables.files, "path", "t.json")["reason"]
    assert "not read of the JSON value: 'eval_step', 'val_loss'" in reason
    assert tables.curves.height == len(STEPS)


def test_labelled_rows_go_by_their_labels(tmp_path: Path) -> None:
    told = {"run": {"0": "a", "1": "b"}, "params": {"1": 1.6e8, "0": 7e7},
            "tokens": {"1": 3e9, "0": 1e9}, "loss": {"0": 3.5, "1": 3.2}}  # fmt: skip
    runs = ingest(tmp_path / "s", {"t.json": json.dumps(told)}, "title: t\n").runs
    assert runs.select("run", "params_total", "tokens").rows() == [
        ("a", 7e7, 1e9), ("b", 1.6e8, 3e9),
    ]  # fmt: skip


def test_finished_runs_by_their_names(tmp_path: Path) -> None:
    told = {"a": {"params": 7e7, "tokens": 1e9, "loss": 3.5},
            "b": {"params": 1.6e8, "tokens": 3e9, "loss": 3.2}}  # fmt: skip
    runs = ingest(tmp_path / "s", {"t.json": json.dumps(told, indent=1)}, "title: t\n").runs
    assert runs.select("run", "params_total", "status").rows() == [
        ("a", 7e7, "finished"), ("b", 1.6e8, "finished"),
    ]  # fmt: skip


def test_two_tables_of_runs_in_one_value_are_refused(tmp_path: Path) -> None:
    rows = [{"run": n, "params": 7e7, "tokens": 1e9, "loss": 3.5} for n in "ab"]
    text = json.dumps({"data": rows, "old": rows})
    with pytest.raises(
        EmptySweepError, match=r"2 tables of runs \('data', 'old'\): leave the one"
    ) as error:
        ingest(tmp_path / "s", {"t.json": text}, "title: t\n")
    assert "could not be recognised" not in str(error.value)


def test_a_configuration_with_lists_is_one_of_settings(tmp_path: Path) -> None:
    config = {"n_layer": 2, "n_embd": 16, "steps": [100, 200], "betas": [0.9, 0.95],
              "n_params": 7e7, "tokens_per_step": 512}  # fmt: skip
    csv = "step,loss\n" + "".join(f"{s},{4 - s / 1000}\n" for s in STEPS)
    files: dict[str, str | bytes] = {"config.json": json.dumps(config), "b.csv": csv}
    tables = ingest(tmp_path / "s", files, SIDECAR)
    assert row(tables.runs, "run", "b")["params_total"] == 7e7


@pytest.mark.parametrize("indent", [None, 1])
def test_names_of_columns_beside_rows_of_cells_are_a_table(
    tmp_path: Path, indent: int | None
) -> None:
    told = {
        "columns": ["run", "params", "tokens", "loss"],
        "index": [0, 1],
        "data": [["a", 7e7, 1.4e9, 3.5], ["b", 16e7, 3.2e9, 3.2]],
    }
    text = json.dumps(told, indent=indent)
    tables = ingest(tmp_path / "s", {"t.json": text}, "title: t\n")
    assert tables.curves["eval_loss"].to_list() == [3.5, 3.2]
    assert tables.runs["params_total"].to_list() == [7e7, 1.6e8]


@pytest.mark.parametrize(("n", "size"), [(7e7, 7e7), (12, None)])
def test_a_large_n_beside_rows_is_the_size(tmp_path: Path, n: float, size: float | None) -> None:
    rows = [{"step": step, "loss": 5 - step / 1e3} for step in range(0, 100, 10)]
    text = json.dumps({"N": n, "train": rows})
    told = "" if size else "params: {total: 5e7}, "
    known = f"title: t\nfacts: {{{told}tokens_per_step: 524288, schedule: {{kind: constant}}}}\n"
    tables = ingest(tmp_path / "s", {"t.json": text}, known)
    assert tables.runs["params_total"].to_list() == [size or 5e7]


PAIRS = {
    "model_name": "small", **RUN, "total_steps": 1000, "learning_rate": 3e-3,
    "train_losses": [[s, 5 - s / 1000] for s in STEPS],
    "val_losses": [[500, 4.6], [1000, 4.1]],
    "lr_history": [[s, 3e-3] for s in range(50, 1050, 50)],
    "final_val_loss": 4.1,
}  # fmt: skip


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("told", [PAIRS, [PAIRS]], ids=["one", "a list"])
def test_lists_of_pairs_are_curves(tmp_path: Path, told: Any, indent: int | None) -> None:
    tables = ingest(tmp_path / "s", {"t.json": json.dumps(told, indent=indent)}, SIDECAR)
    run = row(tables.runs, "run", "small")
    assert (run["params_total"], run["tokens"], run["lr_peak"]) == (7e7, 512e3, 3e-3)
    curve_of = tables.curves.filter(run="small")
    assert curve_of.drop_nulls("train_loss").select("step", "train_loss").rows() == [
        (s, 5 - s / 1000) for s in STEPS
    ]
    assert curve_of.drop_nulls("eval_loss").select("step", "eval_loss").rows() == [
        (500, 4.6), (1000, 4.1),
    ]  # fmt: skip


def test_a_list_of_as_many_losses_as_updates_is_a_curve_and_no_setting(tmp_path: Path) -> None:
    told = {
        "n_params": 7e7, "n_tokens": 51200, "total_batches": 100, "seq_len": 256, "batch_size": 2,
        "model": {"d_model": 128, "vocab_size": 32000}, "losses": [5 - k / 100 for k in range(100)],
    }  # fmt: skip
    tables = ingest(tmp_path / "s", {"t.json": json.dumps(told, indent=4)}, SIDECAR)
    run = row(tables.runs, "run", "t")
    assert (run["params_total"], run["tokens"], run["tokens_per_step"]) == (7e7, 51200, 512)
    assert tables.curves["train_loss"].to_list() == told["losses"]


def test_lists_of_losses_without_their_steps_are_refused_by_name(tmp_path: Path) -> None:
    told = {"n_params": 7e7, "epochs": 3, "train_losses": [5.0, 4.5, 4.2], "val_losses": [5, 4, 4]}
    epochs = {"n_params": 7e7, "train_losses": [[0, 5.0], [1, 4.5]]}
    files = {"t.json": json.dumps(told, indent=1), "e.json": json.dumps({**epochs, "d": [1, 2]}),
             "o.json": json.dumps(PAIRS)}  # fmt: skip
    tables = ingest(tmp_path / "s", files, SIDECAR)
    words = row(tables.files, "path", "t.json")
    assert words["fate"] == "rejected"
    assert "lists of losses ('train_losses', 'val_losses') have no list of steps" in words["reason"]
    told_of_epochs = row(tables.files, "path", "e.json")["reason"]
    assert "lists of losses ('train_losses') have no list of steps" in told_of_epochs


def test_runs_in_json_without_tokens_are_asked_for_them(tmp_path: Path) -> None:
    told = [
        {"preset": "a", "n_params": 1761792, "val_loss": 1.2},
        {"preset": "b", "n_params": 4120704, "val_loss": 1.1},
    ]
    files = {"points.json": json.dumps(told, indent=2), "o.json": json.dumps(PAIRS)}
    tables = ingest(tmp_path / "s", files, SIDECAR)
    asked = row(tables.files, "path", "points.json")["reason"]
    table = (
        'table: {rows: "runs", columns: {"params.total": "n_params", run: "preset", tokens: '
        '{formula: "<tokens of each run>"}, eval_loss: "val_loss"}}'
    )
    assert table in asked
    rule = f"runs: [{{match: points.json, {table.replace('<tokens of each run>', '1e8')}}}]\n"
    tables = ingest(tmp_path / "s", files, SIDECAR + rule)
    assert tables.runs.filter(pl.col("tokens") == 1e8)["run"].to_list() == ["a", "b"]


def test_runs_by_name_without_tokens_ask_for_these(tmp_path: Path) -> None:
    """They were no known format, while a list of the same was asked for its tokens."""
    runs = {
        name: {"n_params": size, "best_val": 4.0 - place / 5, "final_val_loss": 4.1 - place / 5}
        for place, (name, size) in enumerate([("tiny", 2e6), ("small", 4e6), ("large", 8e6)])
    }
    write(tmp_path / "s", {"r.json": json.dumps(runs, indent=1)})
    asked = yaml.safe_load(inspect(tmp_path / "s").sidecar_text())["table"]
    assert (asked["columns"]["run"], asked["columns"]["params.total"]) == ("run", "n_params")
    counted = asked | {"rows": "runs"}
    counted["columns"] = {key: its for key, its in asked["columns"].items() if key != "step"} | {
        "tokens": {"formula": "20 * n_params"}
    }
    known = yaml.safe_dump({"title": "t", "table": counted})
    told = ingest(tmp_path / "t", {"r.json": json.dumps(runs, indent=1)}, known).runs
    assert told.select("run", "tokens").rows() == [
        ("large", 1.6e8), ("small", 8e7), ("tiny", 4e7)
    ]  # fmt: skip
    other = {"sizes": {"a": {"n_params": 2e6}}, "summary": {"val_loss": 3.0}}
    assert not has_columns(json.dumps(other))
