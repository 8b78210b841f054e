"""Tables with a row for each value of each step, as trackers and pandas write them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import polars as pl
import pytest

from isoflop.ingest.sweep import EmptySweepError
from tests.ingest.samples import ingest, row

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

KNOWN = (
    "title: t\n"
    "facts: {params: {total: 70e6}, tokens_per_step: 524288, schedule: {kind: constant}}\n"
)
TRAINED = {step: 5 - step / 1e3 for step in range(10, 101, 10)}
EVALUATED = {step: 5.2 - step / 1e3 for step in (45, 95)}
LR = dict.fromkeys(TRAINED, 3e-4)
SPEED = {step: 1e5 + step for step in TRAINED}
TOLD = {"train/loss": TRAINED, "val/loss": EVALUATED, "optim/lr": LR, "perf/tokens_per_sec": SPEED}

Rows = list[tuple[str, int, float]]


def by_step(told: dict[str, dict[int, float]]) -> Rows:
    """Give a row for each value, in the order of the steps."""
    rows = [(tag, step, value) for tag, values in told.items() for step, value in values.items()]
    return sorted(rows, key=lambda each: each[1])


def by_tag(told: dict[str, dict[int, float]]) -> Rows:
    """Give all values of one thing, and those of the next behind them."""
    return [(tag, step, value) for tag, values in told.items() for step, value in values.items()]


def as_csv(head: str, rows: Sequence[tuple[object, ...]]) -> str:
    return "\n".join([head, *(",".join(map(str, each)) for each in rows)]) + "\n"


def curve_of(tables, run: str = "t") -> tuple[dict[int, float], dict[int, float]]:
    curve = tables.curves.filter(run=run, superseded=False)
    evals = tables.evals.filter(run=run)
    trained = curve.filter(pl.col("train_loss").is_not_null())
    return (
        dict(trained.select("step", "train_loss").iter_rows()),
        dict(evals.select("step", "value").iter_rows()),
    )


@pytest.mark.parametrize("laid", [by_step, by_tag])
@pytest.mark.parametrize(
    "head", ["metric,step,value", "key,step,value", "variable,step,y", "name,step,val"]
)
def test_what_a_cell_says_of_a_value_is_its_column(tmp_path: Path, laid, head: str) -> None:
    tables = ingest(tmp_path / "s", {"t.csv": as_csv(head, laid(TOLD))}, KNOWN)
    assert curve_of(tables) == (TRAINED, EVALUATED)
    assert set(tables.curves["lr"].drop_nulls()) == {3e-4}
    reason = row(tables.files, "path", "t.csv")["reason"]
    assert "a long table" in reason
    assert "columns not read: perf/tokens_per_sec" in reason


def test_json_lines_of_values_are_such_a_table(tmp_path: Path) -> None:
    lines = [json.dumps({"step": s, "tag": tag, "value": v}) for tag, s, v in by_step(TOLD)]
    tables = ingest(tmp_path / "s", {"t.jsonl": "\n".join(lines) + "\n"}, KNOWN)
    assert curve_of(tables) == (TRAINED, EVALUATED)


@pytest.mark.parametrize("laid", [by_step, by_tag])
def test_a_restart_replaces_what_it_makes_anew(tmp_path: Path, laid) -> None:
    """In either order the rows behind those of the same step are the later ones."""
    first = {step: loss for step, loss in TRAINED.items() if step <= 70}
    second = {step: loss - 0.01 for step, loss in TRAINED.items() if step > 40}
    if laid is by_step:
        rows = by_step({"loss": first, "lr": LR | {}}) + by_step({"loss": second, "lr": LR})
        rows = [each for each in rows if each[0] == "loss"]
        rows = [each for one in rows for each in (one, ("lr", one[1], 3e-4))]
    else:
        rows = [("loss", *each) for part in (first, second) for each in part.items()]
        rows += [("lr", step, 3e-4) for part in (first, second) for step in part]
    tables = ingest(tmp_path / "s", {"t.csv": as_csv("metric,step,value", rows)}, KNOWN)
    assert curve_of(tables)[0] == {**first, **second}


def test_runs_and_their_sizes_stay_columns(tmp_path: Path) -> None:
    """What tells when a value was logged, or in which unit, tells no runs apart."""
    units = {"train/loss": "nats", "val/loss": "nats", "optim/lr": "", "perf/tokens_per_sec": "1/s"}
    rows = [
        (run, size, tag, units[tag], 0.013 * place, step, value + 0.1 * (run == "b"))
        for run, size in (("a", 10_000_000), ("b", 20_000_000))
        for place, (tag, step, value) in enumerate(by_step(TOLD))
    ]
    text = as_csv("run,n_params,metric,unit,elapsed,step,value", rows)
    known = "title: t\nfacts: {tokens_per_step: 524288, schedule: {kind: constant}}\n"
    tables = ingest(tmp_path / "s", {"t.csv": text}, known)
    assert dict(tables.runs.select("run", "params_total").iter_rows()) == {"a": 10e6, "b": 20e6}
    assert curve_of(tables, "a") == (TRAINED, EVALUATED)
    shifted = {step: loss + 0.1 for step, loss in TRAINED.items()}
    assert curve_of(tables, "b")[0] == pytest.approx(shifted)


def test_a_split_beside_what_is_told_is_part_of_it(tmp_path: Path) -> None:
    rows = [("train", "loss", *each) for each in TRAINED.items()]
    rows += [("val", "loss", *each) for each in EVALUATED.items()]
    rows.sort(key=lambda each: each[2])
    text = as_csv("split,metric,step,value", rows)
    tables = ingest(tmp_path / "s", {"t.csv": text}, KNOWN)
    assert curve_of(tables) == (TRAINED, EVALUATED)


def test_melted_finished_runs_are_a_row_each(tmp_path: Path) -> None:
    rows = [
        (f"r{n}{d}", 1e7 * n, 1e9 * d, metric, value)
        for n in (1, 2, 3)
        for d in (1, 2)
        for metric, value in (("val_loss", 4 - 0.1 * n - 0.2 * d), ("accuracy", 0.3))
    ]
    text = as_csv("run,N,D,metric,value", rows)
    tables = ingest(tmp_path / "s", {"t.csv": text}, "title: t\n")
    runs = dict(tables.runs.select("run", "params_total").iter_rows())
    assert runs == {f"r{n}{d}": 1e7 * n for n in (1, 2, 3) for d in (1, 2)}
    losses = dict(tables.evals.select("run", "value").iter_rows())
    assert losses == pytest.approx(
        {f"r{n}{d}": 4 - 0.1 * n - 0.2 * d for n in (1, 2, 3) for d in (1, 2)}
    )


def test_a_map_may_name_what_cells_say_or_the_columns_of_the_file(tmp_path: Path) -> None:
    text = as_csv("metric,step,value", by_step({"loss": TRAINED, "ema_loss": EVALUATED}))
    by_cells = KNOWN + 'table: {rows: points, columns: {step: step, train_loss: "loss"}}\n'
    assert curve_of(ingest(tmp_path / "s", {"t.csv": text}, by_cells))[0] == TRAINED
    as_filed = KNOWN + (
        "table:\n  rows: points\n  select: \"metric = 'loss'\"\n"
        "  columns: {step: step, train_loss: value}\n"
    )
    assert curve_of(ingest(tmp_path / "f", {"t.csv": text}, as_filed))[0] == TRAINED


def test_a_table_whose_cells_name_no_loss_is_none(tmp_path: Path) -> None:
    text = as_csv("name,step,value", by_step({"accuracy": TRAINED, "lr": LR}))
    with pytest.raises(EmptySweepError, match="none is known as a loss"):
        ingest(tmp_path / "s", {"t.csv": text}, KNOWN)


@pytest.mark.parametrize(("column", "value"), [("objective", "value"), ("variant", "val")])
def test_runs_that_are_called_by_their_losses_are_no_long_table(
    tmp_path: Path, column: str, value: str
) -> None:
    rows = [
        (run, step, loss + place / 10, size)
        for place, (run, size) in enumerate({"z_loss": 1e6, "ce_loss": 2e6}.items())
        for step, loss in TRAINED.items()
    ]
    text = as_csv(f"{column},step,{value},n_params", rows)
    with pytest.raises(EmptySweepError, match="none is known as a loss"):
        ingest(tmp_path / "s", {"t.csv": text}, KNOWN)


def test_a_long_one_is_read_as_a_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("isoflop.ingest.formats.table.LONG", 100)
    tables = ingest(tmp_path / "s", {"t.csv": as_csv("metric,step,value", by_tag(TOLD))}, KNOWN)
    assert curve_of(tables) == (TRAINED, EVALUATED)


@pytest.mark.parametrize(("tag", "value"), [("kind", "loss"), ("measure", "measurement")])
def test_cells_that_all_name_columns_are_tags_whatever_their_column_is_called(
    tmp_path: Path, tag: str, value: str
) -> None:
    """A map of the one column of numbers mixed evaluations and rates into the losses."""
    told = {"train_loss": TRAINED, "val_loss": EVALUATED, "lr": LR}
    text = as_csv(f"{tag},step,{value}", by_step(told))
    assert curve_of(ingest(tmp_path / "s", {"t.csv": text}, KNOWN)) == (TRAINED, EVALUATED)


def test_runs_called_by_a_loss_beside_others_are_no_tags(tmp_path: Path) -> None:
    rows = [
        (run, step, loss + place / 10, size)
        for place, (run, size) in enumerate({"baseline": 1e6, "train_loss": 2e6}.items())
        for step, loss in TRAINED.items()
    ]
    text = as_csv("run,step,loss,n_params", rows)
    known = KNOWN.replace("params: {total: 70e6}, ", "")
    tables = ingest(tmp_path / "s", {"t.csv": text}, known)
    assert sorted(tables.runs["run"]) == ["baseline", "train_loss"]
