from __future__ import annotations

import json
import math
import re
import textwrap
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from isoflop.ingest.formats import scan
from isoflop.ingest.reading.parsed import gather
from isoflop.ingest.reading.source import RawFile
from isoflop.ingest.sweep import EmptySweepError, ingest_sweep
from tests.ingest.samples import RECORD, ingest, row

if TYPE_CHECKING:
    from pathlib import Path

    from isoflop.ingest.sweep import Ingested

RUNS = """
title: t
table: {rows: runs, columns: {run: name, params.total: N, tokens: D, eval_loss: L}}
"""
POINTS = """
title: t
table: {rows: points, columns: {run: name, params.total: N, tokens: D, train_loss: L}}
facts: {schedule: {kind: constant}}
"""


def refusal(tmp_path: Path, files: dict[str, Any], sidecar: str) -> str:
    with pytest.raises(EmptySweepError) as caught:
        ingest(tmp_path / "s", files, sidecar)
    return str(caught.value)


def losses(tables: Ingested, column: str = "eval_loss") -> dict[str, list[float]]:
    grouped = tables.curves.group_by("run", maintain_order=True).agg(column)
    return dict(grouped.iter_rows())


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_csv_by_its_separator(tmp_path: Path, separator: str) -> None:
    text = 'name,N,D,L\n"a",1000000,2e7,3.5\nb,2e6,4e7,3.25\n'.replace(",", separator)
    tables = ingest(tmp_path / "s", {"t.csv": text}, RUNS)
    assert losses(tables) == {"a": [3.5], "b": [3.25]}
    assert row(tables.runs, "run", "b")["params_total"] == 2e6
    assert set(tables.runs["status"]) == {"finished"}


def test_parquet(tmp_path: Path) -> None:
    frame = pl.DataFrame({"name": [1, 2], "N": [10**6, 10**7], "D": [2e7, 4e7], "L": [3.5, 3.25]})
    (tmp_path / "s").mkdir()
    frame.write_parquet(tmp_path / "s" / "t.parquet")
    assert losses(ingest(tmp_path / "s", {}, RUNS)) == {"1": [3.5], "2": [3.25]}


def test_cut_parquet(tmp_path: Path) -> None:
    pl.DataFrame({"N": [1.0]}).write_parquet(tmp_path / "whole")
    content = (tmp_path / "whole").read_bytes()
    said = refusal(tmp_path, {"t.parquet": content[: len(content) // 2]}, RUNS)
    assert "not a whole Parquet file" in said


def test_json_lines_with_nested_keys_and_nan(tmp_path: Path) -> None:
    text = (
        '{"name": "a", "model": {"N": 1e6}, "D": 1e7, "L": 3.5}\n'
        '{"name": "a", "model": {"N": 1e6}, "D": 2e7, "L": NaN}\n'
        '{"name": "a", "model": {"N": 1e6}, "D": 3e7, "L": "NaN"}\n'
        '{"name": "a", "model": {"N": 1e6}, "D": 4e7,'
    )
    tables = ingest(tmp_path / "s", {"t.jsonl": text}, POINTS.replace("N,", "model.N,"))
    assert losses(tables, "train_loss") == {"a": [3.5, None, None]}
    assert tables.curves["is_nan"].to_list() == [False, True, True]
    assert row(tables.runs, "run", "a")["status"] == "diverged"
    assert row(tables.files, "path", "t.jsonl")["truncated"]


def test_numbers_with_suffix_and_scale(tmp_path: Path) -> None:
    sidecar = RUNS.replace("tokens: D", "tokens: {column: D, scale: 1e9}")
    text = 'name,N,D,L\na,2.8B,55,3.5\nb,"1,071,306",1.5,3.25\n'
    runs = ingest(tmp_path / "s", {"t.csv": text}, sidecar).runs
    assert dict(runs.select("run", "params_total").iter_rows()) == {"a": 2.8e9, "b": 1071306.0}
    assert dict(runs.select("run", "tokens").iter_rows()) == {"a": 55e9, "b": 1.5e9}


CURVE = ("8,835", "7,849", "7,015")
"""Losses of a curve with decimal commas that could be thousands marks."""


def comma_table(kind: str, cells: tuple[str, ...], folder: Path) -> dict[str, str]:
    """Write N, D and losses as a kind of table does; Parquet is written to the folder."""
    rows = [("1,000,000", 10**7 * place, cell) for place, cell in enumerate(cells, start=1)]
    match kind:
        case "tsv":
            lines = ["N\tD\tL", *("\t".join(map(str, row)) for row in rows)]
        case "csv":
            lines = ["N,D,L", *(f'"{n}",{d},"{loss}"' for n, d, loss in rows)]
        case "jsonl":
            lines = [json.dumps(dict(zip("NDL", row, strict=True))) for row in rows]
        case _:
            (folder / "s").mkdir(exist_ok=True)
            frame = pl.DataFrame(rows, schema=["N", "D", "L"], orient="row")
            frame.write_parquet(folder / "s" / "t.parquet")
            return {}
    return {f"t.{kind}": "\n".join(lines) + "\n"}


@pytest.mark.parametrize("mapped", [True, False], ids=["mapped", "by-names"])
@pytest.mark.parametrize("kind", ["tsv", "csv", "jsonl", "parquet"])
def test_a_comma_in_a_loss_is_a_decimal_mark(tmp_path: Path, kind: str, mapped: bool) -> None:
    sidecar = RUNS.replace("run: name, ", "") if mapped else "title: t\n"
    tables = ingest(tmp_path / "s", comma_table(kind, CURVE, tmp_path), sidecar)
    assert tables.curves["eval_loss"].to_list() == [8.835, 7.849, 7.015]
    assert set(tables.runs["params_total"]) == {1e6}


@pytest.mark.parametrize("kind", ["tsv", "csv", "jsonl", "parquet"])
def test_a_comma_beside_points_in_a_column_of_losses_is_refused(tmp_path: Path, kind: str) -> None:
    files = comma_table(kind, (*CURVE, "6.308"), tmp_path)
    said = refusal(tmp_path, files, RUNS.replace("run: name, ", ""))
    assert "column 'L', row 1: '8,835' is a number whose comma could be a decimal" in said


def test_a_perplexity_with_both_marks_has_thousands(tmp_path: Path) -> None:
    text = 'name,N,D,ppl\na,1e6,2e7,"1,234.5"\nb,1e6,4e7,45.25\n'
    sidecar = RUNS.replace("eval_loss: L", "eval_loss: ppl") + "facts: {loss_unit: perplexity}\n"
    found = losses(ingest(tmp_path / "s", {"t.csv": text}, sidecar))
    assert found == {"a": [pytest.approx(math.log(1234.5))], "b": [pytest.approx(math.log(45.25))]}


@pytest.mark.parametrize("cells", [("0,003", "0,002"), ("0,001", "1,000")])
def test_a_learning_rate_with_a_comma_is_a_decimal(tmp_path: Path, cells: tuple[str, ...]) -> None:
    rows = "".join(f"{10 * n}\t3.{n}\t{lr}\n" for n, lr in enumerate(cells, start=1))
    facts = "params: {total: 1e6}, tokens_per_step: 8192, schedule: {kind: unknown}"
    sidecar = f"title: t\nfacts: {{{facts}}}\n"
    tables = ingest(tmp_path / "s", {"t.tsv": f"step\tloss\tlr\n{rows}"}, sidecar)
    assert tables.curves["lr"].to_list() == [float(cell.replace(",", ".")) for cell in cells]


def test_run_names_stay_as_they_are_written(tmp_path: Path) -> None:
    tables = ingest(tmp_path / "s", {"t.csv": "name,N,D,L\n0010,1e6,2e7,3\n10,1e6,3e7,3\n"}, RUNS)
    assert tables.runs["run"].to_list() == ["0010", "10"]


def test_rows_without_names_are_counted_from_the_files_first(tmp_path: Path) -> None:
    sidecar = RUNS.replace("run: name, ", "")
    text = "name,N,D,L\nx,1e6,2e7,3\ny,1e6,3e7,9\nz,1e6,4e7,3\n"
    sidecar += "exclude: []\n"
    sidecar = sidecar.replace(
        "eval_loss: L}", "eval_loss: L}, exclude: [{where: L > 5, reason: high}]"
    )
    tables = ingest(tmp_path / "s", {"sub/t.csv": text}, sidecar)
    assert tables.runs["run"].to_list() == ["sub/t-0001", "sub/t-0002", "sub/t-0003"]
    assert row(tables.runs, "run", "sub/t-0002")["reason"] == "high"
    assert tables.runs["excluded"].to_list() == [False, True, False]


def test_tokens_by_formula(tmp_path: Path) -> None:
    sidecar = """
title: t
table:
  rows: runs
  columns:
    params.total: Model Size
    tokens: {formula: '"Training FLOP" / (6 * "Model Size")'}
    eval_loss: loss
    budget: Training FLOP
"""
    text = "Model Size,Training FLOP,loss\n1000000000,6000000000000000000,3.0\n"
    tables = ingest(tmp_path / "s", {"t.csv": text}, sidecar)
    run = row(tables.runs, "run", "t-0001")
    assert run["tokens"] == 1e9
    assert run["budget"] == 6e18
    assert run["tokens_source"] == "counted"
    assert tables.curves["flops_6nd"].to_list() == [6e18]


def test_select_and_exclude_rows_of_curves(tmp_path: Path) -> None:
    sidecar = POINTS.replace(
        "rows: points,",
        "rows: points, select: set = 'c4', exclude: [{where: L > 5, reason: warm-up}],",
    )
    text = "name,N,D,L,set\na,1e6,1e7,9,c4\na,1e6,2e7,3,c4\na,1e6,3e7,2,c4\nb,1e6,3e7,2,pile\n"
    tables = ingest(tmp_path / "s", {"t.csv": text}, sidecar)
    assert losses(tables, "train_loss") == {"a": [3.0, 2.0]}
    file = row(tables.files, "path", "t.csv")
    assert file["rows_left_out"] == 2
    assert file["reason"] == (
        "1 rows left out: not selected by set = 'c4'; 1 rows left out: warm-up"
    )


def test_selecting_nothing_is_said(tmp_path: Path) -> None:
    said = refusal(
        tmp_path,
        {"t.csv": "name,N,D,L\na,1e6,1e7,3\n"},
        RUNS.replace("rows: runs,", "rows: runs, select: L > 5,"),
    )
    assert "no row is left (1 rows left out: not selected by L > 5)" in said


def test_rows_without_a_loss_are_counted(tmp_path: Path) -> None:
    text = "name,N,D,L\na,1e6,1e7,3\na,1e6,2e7,\na,1e6,,2\na,1e6,3e7,2.5\n"
    tables = ingest(tmp_path / "s", {"t.csv": text}, POINTS)
    assert losses(tables, "train_loss") == {"a": [3.0, 2.5]}
    assert row(tables.files, "path", "t.csv")["rows_left_out"] == 2


def test_points_without_steps_are_numbered_in_order_of_tokens(tmp_path: Path) -> None:
    text = "name,N,D,L\na,1e6,2e7,2\na,1e6,0,4\na,1e6,1e7,3\n"
    tables = ingest(tmp_path / "s", {"t.csv": text}, POINTS)
    assert tables.curves.select("step", "tokens").rows() == [(0, 0.0), (1, 1e7), (2, 2e7)]


def test_a_run_s_facts_must_agree(tmp_path: Path) -> None:
    text = "name,N,D,L\na,1e6,1e7,3\na,2e6,2e7,2\n"
    with pytest.raises(Exception, match=r"run 'a': its logs disagree on params\.total"):
        ingest(tmp_path / "s", {"t.csv": text}, POINTS)


def test_ragged_rows_are_unread(tmp_path: Path) -> None:
    text = "name,N,D,L\na,1e6,1e7\nb,1e6,1e7,3\nc,1e6"
    tables = ingest(tmp_path / "s", {"t.csv": text}, RUNS)
    file = row(tables.files, "path", "t.csv")
    assert (file["lines_unread"], file["truncated"]) == (1, True)
    assert tables.runs["run"].to_list() == ["b"]


def test_last_row_without_line_end_is_kept_and_doubted(tmp_path: Path) -> None:
    tables = ingest(tmp_path / "s", {"t.csv": "name,N,D,L\nb,1e6,1e7,3.12"}, RUNS)
    assert losses(tables) == {"b": [3.12]}
    assert "its last row has no line end" in row(tables.files, "path", "t.csv")["reason"]


def test_unnamed_and_repeated_columns(tmp_path: Path) -> None:
    tables = ingest(tmp_path / "s", {"t.csv": ",name,N,D,L,L\n0,b,1e6,1e7,3,4\n"}, RUNS)
    assert losses(tables) == {"b": [3.0]}


@pytest.mark.parametrize(
    ("sidecar", "words"),
    [
        (RUNS.replace("L}", "loss}"), "lacks the column 'loss' for eval_loss, which sweep.yaml"),
        (RUNS.replace("N,", "Nn,"), "'Nn' (did you mean 'N'?) for params.total"),
        (RUNS.replace(", eval_loss: L", ""), "maps no loss: add eval_loss or train_loss"),
        (RUNS.replace(" tokens: D,", ""), "maps no tokens"),
        (POINTS.replace(" tokens: D,", ""), "maps neither tokens nor step"),
        (RUNS.replace("runs,", "runs, select: L >,"), "table.select in sweep.yaml, 'L >'"),
        (RUNS.replace("runs,", "runs, select: L + 1,"), "is no condition"),
        (RUNS.replace("runs,", "runs, select: M > 1,"), 'unable to find column "M"'),
        (RUNS.replace("D,", "{formula: C / 6},"), "table.columns.tokens in sweep.yaml, 'C / 6'"),
        (RUNS.replace("N,", "name,"), "params.total: Input should be a valid number, unable"),
    ],
)
def test_refusals_say_what_to_do(tmp_path: Path, sidecar: str, words: str) -> None:
    assert words in refusal(tmp_path, {"t.csv": "name,N,D,L\na,1e6,1e7,3\n"}, sidecar)


def test_unknown_value_in_the_column_map(tmp_path: Path) -> None:
    with pytest.raises(Exception, match=r"unknown value 'tokns'; did you mean 'tokens'\?"):
        ingest(tmp_path / "s", {}, RUNS.replace("tokens", "tokns"))


STEPS = """
title: t
table: {rows: points, columns: {run: name, params.total: N, step: S, train_loss: L}}
facts: {schedule: {kind: constant}, tokens_per_step: 100}
"""


def test_rows_in_any_order_are_one_curve(tmp_path: Path) -> None:
    text = "name,N,S,L\na,1e6,30,1\na,1e6,10,3\na,1e6,20,2\n"
    tables = ingest(tmp_path / "s", {"t.csv": text}, STEPS)
    assert losses(tables, "train_loss") == {"a": [3.0, 2.0, 1.0]}
    assert not tables.curves["superseded"].any()


def test_appended_restart(tmp_path: Path) -> None:
    text = "name,N,S,L\na,1e6,10,3\na,1e6,20,2\na,1e6,20,2.5\na,1e6,30,1\n"
    text = text.replace("20,2\n", "20,2\na,1e6,30,9\n")
    tables = ingest(tmp_path / "s", {"t.csv": text}, STEPS)
    live = tables.curves.filter(~pl.col("superseded"))
    assert live["train_loss"].to_list() == [3.0, 2.5, 1.0]


# -- without a map ---------------------------------------------------------------------------------


def test_a_wandb_history_needs_no_map(tmp_path: Path) -> None:
    text = (
        "_step,_runtime,train/loss,eval/c4/loss,eval/wiki/loss,throughput/total_tokens,"
        "optim/learning_rate_group0,batch_size_in_tokens,system/gpu\n"
        '0,1,"NaN",,,1000,1e-3,100,0.5\n5,2,3.5,3.6,4.0,2000,1e-3,100,0.5\n'
        "9,3,3.0,3.1,3.5,3000,1e-3,100,0.5\n"
    )
    sidecar = (
        "title: t\nfacts: {params: {total: 1e6}, primary_eval: wiki, schedule: {kind: constant}}\n"
    )
    tables = ingest(tmp_path / "s", {"a.csv": text}, sidecar)
    assert tables.curves.select("tokens", "train_loss", "eval_loss").rows() == [
        (1000.0, None, None), (2000.0, 3.5, 4.0), (3000.0, 3.0, 3.5),
    ]  # fmt: skip
    assert row(tables.runs, "run", "a")["tokens_per_step"] == 100.0
    assert set(tables.evals["eval_set"]) == {"c4", "wiki"}
    reason = row(tables.files, "path", "a.csv")["reason"]
    assert "tokens: throughput/total_tokens" in reason
    assert "evals.wiki: eval/wiki/loss" in reason


def test_the_same_history_as_json_lines_and_as_parquet(tmp_path: Path) -> None:
    rows = [{"_step": n, "global_step": 10 * n, "train/loss": 4.0 - n / 10} for n in range(1, 6)]
    sidecar = (
        "title: t\nfacts: {params: {total: 1e6}, tokens_per_step: 8, schedule: {kind: constant}}\n"
    )
    text = "".join(json.dumps(line) + "\n" for line in rows)
    tables = ingest(tmp_path / "s", {"json.jsonl": text}, sidecar)
    pl.DataFrame(rows).write_parquet(tmp_path / "s" / "whole.parquet")
    tables = ingest_sweep(tmp_path / "s", RECORD)
    both = tables.curves.partition_by("run", include_key=False)
    assert len(both) == 2
    assert both[0].equals(both[1])
    assert both[0]["step"].to_list() == [10, 20, 30, 40, 50]


PANEL = (
    '"{x}","big run - train/loss","big run - train/loss__MIN","big run - train/loss__MAX",'
    '"small - a - train/loss","small - a - train/loss__MIN","small - a - train/loss__MAX"\n'
    '"10","3.5","3.4","3.6","4.5","4.5","4.5"\n"20","3.0","3","3","","",""\n'
    '"30","","","","4","4","4"\n'
)
PANEL_FACTS = "facts: {params: {total: 1e6}, tokens_per_step: 8, schedule: {kind: constant}}\n"


def test_a_panel_s_export_holds_a_run_per_column(tmp_path: Path) -> None:
    text = PANEL.replace("{x}", "train/global_step")
    tables = ingest(tmp_path / "s", {"wandb.csv": text}, f"title: t\n{PANEL_FACTS}")
    assert tables.curves.select("run", "step", "train_loss").rows() == [
        ("big run", 10, 3.5), ("big run", 20, 3.0), ("small - a", 10, 4.5), ("small - a", 30, 4.0),
    ]  # fmt: skip
    assert "7 in all, sampled" in row(tables.files, "path", "wandb.csv")["reason"]


def test_a_panel_over_wandb_s_own_step_is_read_with_and_without_a_map(tmp_path: Path) -> None:
    text = PANEL.replace("{x}", "Step")
    tables = ingest(tmp_path / "s", {"wandb.csv": text}, f"title: t\n{PANEL_FACTS}")
    assert tables.runs["run"].to_list() == ["big run", "small - a"]
    columns = "{run: run, step: _step, train_loss: train/loss}"
    sidecar = f"title: t\ntable: {{rows: points, columns: {columns}}}\n{PANEL_FACTS}"
    tables = ingest(tmp_path / "t", {"wandb.csv": text}, sidecar)
    assert tables.runs["run"].to_list() == ["big run", "small - a"]


@pytest.mark.parametrize("axis", ["Step", "train/global_step"])
def test_a_panel_whose_runs_repeat_its_axis_is_read(axis: str, tmp_path: Path) -> None:
    name = "_step" if axis == "Step" else axis
    again = ",".join(f"a - {name}{end}" for end in ("", "__MIN", "__MAX"))
    text = f"{axis},{again},a - run,a - train/loss,a - train/loss__MIN,a - train/loss__MAX\n"
    text += "".join(f"{s},{s},{s},{s},a,{4 - s / 50},1,9\n" for s in (10, 20, 30))
    columns = f"{{run: run, step: {name}, train_loss: train/loss}}"
    for place, table in enumerate(["", f"table: {{rows: points, columns: {columns}}}\n"]):
        if axis == "Step" and not table:
            continue  # whether W&B's own step counts updates, the user must say
        sidecar = f"title: t\n{table}{PANEL_FACTS}"
        tables = ingest(tmp_path / str(place), {"p.csv": text}, sidecar)
        points = tables.curves.select("run", "step", "train_loss").rows()
        assert points == [("a", 10, 3.8), ("a", 20, 3.6), ("a", 30, 3.4)]
        reason = row(tables.files, "path", "p.csv")["reason"]
        assert f"columns not read: a - {name}, a - run" in reason


def test_a_table_of_finished_runs_needs_no_map(tmp_path: Path) -> None:
    tables = ingest(
        tmp_path / "s", {"t.csv": "N,D,loss\n1e6,2e7,3.5\n2e6,4e7,3.25\n"}, "title: t\n"
    )
    assert losses(tables) == {"t-0001": [3.5], "t-0002": [3.25]}
    assert set(tables.runs["status"]) == {"finished"}
    reason = row(tables.files, "path", "t.csv")["reason"]
    assert "2 rows read as 2 finished runs, each row one" in reason
    assert "points of one run's curve" not in reason  # a curve has one N


PAIRED = "10M,1e7,1e8,4.1\n10M,1e7,2e8,3.9\n20M,2e7,1e8,4\n20M,2e7,2e8,3.7\n"


@pytest.mark.parametrize(
    ("head", "finished", "curves"),
    [
        ("name,params,tokens,loss", False, ["10M", "20M"]),
        ("model,params,tokens,loss", True, ["10M", "20M"]),
        ("group,params,tokens,loss", True, ["1e7", "2e7"]),
    ],
)
def test_rows_that_could_be_finished_runs_or_points_have_the_map_for_the_other_reading(
    tmp_path: Path, head: str, finished: bool, curves: list[str]
) -> None:
    files = {"t.csv": f"{head}\n{PAIRED}"}
    facts = "title: t\nfacts: {schedule: {kind: constant}}\n"

    def runs(folder: str, rules: str) -> tuple[int, str]:
        tables = ingest(tmp_path / folder, dict(files), rules)
        names = tables.runs["run"].to_list()
        assert names == curves or len(names) == 4
        return len(names), row(tables.files, "path", "t.csv")["reason"]

    count, reason = runs("s", facts)
    assert count == (4 if finished else 2)
    found = re.search(r"say so: (table: .*\}\})", reason)
    assert found is not None, reason
    assert runs("t", f"{facts}{found[1]}\n")[0] == 6 - count


@pytest.mark.parametrize(
    ("head", "rows"),
    [
        ("run,params,steps,tokens,loss", "a,1e7,100,1e8,4.1\nb,2e7,200,2e8,3.9\n"),
        ("params,steps,tokens,loss", "1e7,100,1e8,4.1\n2e7,200,2e8,3.9\n"),
        ("run,params,steps,tokens_per_step,loss", "a,1e7,100,1e6,4.1\nb,2e7,200,1e6,3.9\n"),
        ("run,params,steps,loss", "a,1e7,100,4.1\nb,2e7,200,3.9\n"),
        ("run,params,steps,perf", "a,1e7,100,4.1\nb,2e7,200,3.9\n"),
    ],
)
def test_steps_of_finished_runs_are_no_history(tmp_path: Path, head: str, rows: str) -> None:
    """They are those of a whole run; where nothing else says D, the tokens of a step are asked."""
    files = {"t.csv": f"{head}\n{rows}"}
    rules = "title: t\n"
    if "tokens" not in head:
        said = refusal(tmp_path / "r", dict(files), rules)
        (line,) = re.findall(r"^ *(table: .*)$", said, re.MULTILINE)
        gaps = {"<tokens of a step>": "1e6", "<the column of the loss>": "perf"}
        for gap, value in gaps.items():
            line = line.replace(gap, value)
        rules = f"title: t\n{line}\n"
    tables = ingest(tmp_path / "s", dict(files), rules)
    assert tables.runs["tokens"].to_list() == [1e8, 2e8]
    assert set(tables.runs["status"]) == {"finished"}
    assert tables.runs["reason"].null_count() == 2


WORDS = ("finished", "crashed", "Failed", "killed", "running", "stuck", "")


@pytest.mark.parametrize("head", ["Name,State,n_params,total_tokens,val/loss",
                                  "Name,State,n_params,_step,total_tokens,val/loss"],
                         ids=["runs", "with-a-step"])  # fmt: skip
def test_a_run_that_did_not_finish_is_no_finished_run(tmp_path: Path, head: str) -> None:
    step = "200," if "_step" in head else ""
    rows = [f"{i},{word},{i}e6,{step}{i}e9,{5 - i / 9}" for i, word in enumerate(WORDS, start=1)]
    sidecar = "title: t\nfacts: {tokens_per_step: 8192, schedule: {kind: unknown}}\n"
    tables = ingest(tmp_path / "s", {"t.csv": "\n".join([head, *rows, ""])}, sidecar)
    ends = dict(tables.runs.select("run", "status").iter_rows())
    known = {k: v for k, v in ends.items() if k != "6"}
    assert known == {
        "1": "finished", "2": "crashed", "3": "crashed", "4": "crashed", "5": "truncated",
        "7": "finished",
    }  # fmt: skip
    assert (
        row(tables.runs, "run", "6")["reason"] == "its State is 'stuck', which is no finished run"
    )
    reason = row(tables.files, "path", "t.csv")["reason"]
    assert "State: how each run ended, in all 1 crashed (crashed), 1 failed (crashed)" in reason
    assert "columns not read: State" not in reason


def test_rows_of_one_size_and_no_name_may_be_a_curve_and_the_map_of_one_reads_them_so(
    tmp_path: Path,
) -> None:
    curve = "".join(f"1e6,{n}e6,{4 - n / 100}\n" for n in range(1, 21))
    text = f"params,tokens,loss\n{curve}1e6,-5,3\n"
    told = ingest(tmp_path / "s", {"t.csv": text}, "title: t\n")
    assert told.runs.height == 20
    reason = row(told.files, "path", "t.csv")["reason"]
    words = "21 rows read as 20 finished runs, each row one; if they are points of one run's curve"
    assert words in reason
    found = re.search(r"say so: (table: .*\}\})", reason)
    assert found is not None
    rules = f"title: t\n{found[1]}\nfacts: {{schedule: {{kind: constant}}}}\n"
    mapped = ingest(tmp_path / "t", {"t.csv": text}, rules)
    assert mapped.runs["run"].to_list() == ["t"]
    assert mapped.curves["tokens"].to_list() == [n * 1e6 for n in range(1, 21)]
    assert "finished runs" not in row(mapped.files, "path", "t.csv")["reason"]


@pytest.mark.parametrize(
    "text",
    [
        "run,N,D,loss\na,1e6,1e8,3.5\nb,1e6,2e8,3.25\n",  # names that come once are of runs
        "N,D,loss\n1e6,1e8,3.5\n",
    ],
)
def test_what_can_be_no_curve_is_not_asked_about(tmp_path: Path, text: str) -> None:
    tables = ingest(tmp_path / "s", {"t.csv": text}, "title: t\n")
    reason = row(tables.files, "path", "t.csv")["reason"]
    assert "finished runs, each row one" in reason
    assert "points of one run's curve" not in reason


def test_a_sampled_history_is_noted(tmp_path: Path) -> None:
    text = "_step,global_step,loss\n" + "".join(f"{n},{n},{9 - n / 100}\n" for n in range(1, 501))
    sidecar = (
        "title: t\nfacts: {params: {total: 1e6}, tokens_per_step: 8, schedule: {kind: constant}}\n"
    )
    tables = ingest(tmp_path / "s", {"a.csv": text}, sidecar)
    assert "run.history() samples" in row(tables.files, "path", "a.csv")["reason"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a,b\n1,2\n", "none is known as a loss"),
        ("loss,b\n1,2\n", "none is known as a step or as tokens"),
        ("_step,loss\n1,2\n", "_step, which counts what was logged"),
    ],
)
def test_names_that_say_too_little(tmp_path: Path, text: str, words: str) -> None:
    said = refusal(tmp_path, {"t.csv": text}, "title: t\n")
    assert words in said
    assert "has no 'table:' for it. Add one, such as:\n  table:" in said


def test_a_curve_s_column_tells_the_tokens_of_a_step(tmp_path: Path) -> None:
    rows = "".join(f"{s},{3 - s / 10},1e-3,layer_0,64\n" for s in range(5))
    files = {"a.csv": f"iter,train_loss,lr,phase,tokens_per_iter\n{rows}"}
    facts = "facts: {params: {total: 1e6}, schedule: {kind: constant}}\n"
    tables = ingest(tmp_path / "s", dict(files), f"title: t\n{facts}")
    assert tables.curves["tokens"].to_list() == [0.0, 64.0, 128.0, 192.0, 256.0]


@pytest.mark.parametrize("runs", [1, 2])
def test_tokens_of_a_step_are_no_d_and_the_map_that_is_proposed_reads_them(
    tmp_path: Path, runs: int
) -> None:
    rows = [
        f"r{run},{10 * n},{9 - n / 9},{8192 * (run + 1)}"
        for run in range(runs) for n in range(1, 9)
    ]  # fmt: skip
    text = "\n".join(["run,step,loss,tokens", *rows, ""])
    sidecar = "title: t\nfacts: {params: {total: 1e6}, schedule: {kind: unknown}}\n"
    said = refusal(tmp_path / "a", {"t.csv": text}, sidecar)
    assert "'tokens' does not rise with 'step', so it is no count of all tokens so far" in said
    # rows are 10 steps apart, and may say the tokens of as many
    proposed, of_rows = re.findall(r"table: \{.*\}", said)
    assert 'tokens_per_step: {formula: "\\"tokens\\" / 10"}' in of_rows
    found = ingest(tmp_path / "b", {"t.csv": text}, f"{sidecar}{proposed}\n")
    assert dict(found.runs.select("run", "tokens").iter_rows()) == {
        f"r{run}": 80 * 8192 * (run + 1) for run in range(runs)
    }


def test_tokens_that_vary_by_the_step_are_asked_about(tmp_path: Path) -> None:
    rows = "".join(f"{10 * n},{9 - n / 9},{8000 + n * 37 % 101}\n" for n in range(1, 40))
    sidecar = "title: t\nfacts: {params: {total: 1e6}, schedule: {kind: unknown}}\n"
    said = refusal(tmp_path, {"t.csv": f"step,loss,tokens\n{rows}"}, sidecar)
    assert "if it counts those of the steps since the row before, add them up" in said


def test_a_rounded_count_of_all_tokens_is_none_of_a_step(tmp_path: Path) -> None:
    rows = "".join(f"{n},{9 - n / 99},{round(n * 8192, -5)}\n" for n in range(20, 90))
    sidecar = "title: t\nfacts: {params: {total: 1e6}, schedule: {kind: unknown}}\n"
    tables = ingest(tmp_path / "s", {"t.csv": f"step,loss,tokens\n{rows}"}, sidecar)
    assert tables.runs["tokens"].to_list() == [700000.0]


def test_a_head_before_a_curve_of_json_lines_names_no_run(tmp_path: Path) -> None:
    head = '{"run_name": "a", "config": {"n_layer": 4}}\n'
    lines = "".join(f'{{"step": {s}, "loss": {3 - s / 10}}}\n' for s in range(1, 5))
    facts = "facts: {params: {total: 1e6}, tokens_per_step: 64, schedule: {kind: constant}}\n"
    tables = ingest(tmp_path / "s", {"c.jsonl": head + lines}, f"title: t\n{facts}")
    assert tables.runs["run"].to_list() == ["c"]
    assert tables.curves["train_loss"].to_list() == [2.9, 2.8, 2.7, 2.6]


@pytest.mark.parametrize("epoch", ["epoch", "Epoch"])
def test_the_map_for_a_curve_by_epochs_is_enough(tmp_path: Path, epoch: str) -> None:
    files = {"a.csv": f"{epoch},train_loss,val_loss\n1,3.0,3.1\n2,2.5,2.6\n"}
    facts = "facts: {params: {total: 1e6}, schedule: {kind: constant}}\n"
    proposed = proposal(refusal(tmp_path, dict(files), f"title: t\n{facts}"))
    proposed = proposed.replace("<tokens of an epoch>", "1e6")
    tables = ingest(tmp_path / "m", dict(files), f"title: t\n{facts}{proposed}\n")
    assert tables.curves["tokens"].to_list() == [1e6, 2e6]
    assert tables.curves["eval_loss"].to_list() == [3.1, 2.6]


def proposal(said: str) -> str:
    """Take the map out of a refusal."""
    lines = said[said.index("  table:") :].partition("\nDrop")[0].partition("\n")[2]
    return "table:\n" + textwrap.indent(textwrap.dedent(lines), "  ")


def test_the_map_for_an_export_of_tensorboard_s_pages_is_enough(tmp_path: Path) -> None:
    rows = "".join(f"16549432{s}.25,{s},{3 - s / 10}\n" for s in range(5))
    files = {"a.csv": f"Wall time,Step,Value\n{rows}"}  # whose name says no tag
    facts = "facts: {params: {total: 1e6}, tokens_per_step: 64, schedule: {kind: constant}}\n"
    proposed = proposal(refusal(tmp_path, dict(files), f"title: t\n{facts}"))
    tables = ingest(tmp_path / "m", dict(files), f"title: t\n{facts}{proposed}\n")
    assert tables.curves["step"].to_list() == list(range(5))
    assert tables.curves["train_loss"].to_list() == [3.0, 2.9, 2.8, 2.7, 2.6]


@pytest.mark.parametrize("sets", [("eval/loss",), ("eval/a-b/loss", "eval/c d/loss")])
def test_the_map_that_a_refusal_proposes_is_enough(tmp_path: Path, sets: tuple[str, ...]) -> None:
    head = ",".join(["_step", "train/loss", *sets])
    rows = "".join(f"{s},{3 - s / 10},{','.join(['2.5'] * len(sets))}\n" for s in range(5))
    files = {"t.csv": f"{head}\n{rows}"}
    facts = "facts: {params: {total: 1e6}, tokens_per_step: 64, schedule: {kind: constant}}\n"
    facts = facts.replace("}}", "}, primary_eval: a-b}") if len(sets) > 1 else facts
    said = refusal(tmp_path, dict(files), f"title: t\n{facts}")
    tables = ingest(tmp_path / "m", dict(files), f"title: t\n{facts}{proposal(said)}\n")
    assert tables.curves["step"].to_list() == list(range(5))
    assert tables.curves["eval_loss"].to_list() == [2.5] * 5


def test_experts_heads_and_bytes_come_through_to_the_table_of_runs(tmp_path: Path) -> None:
    text = (
        "run,N,active_params,D,loss,bytes_per_token\na,8e6,2e6,1e9,3.5,4.25\nb,4e6,,1e9,3.6,4.25\n"
    )
    shape = "architecture: {heads: 8, kv_heads: 2, experts: 64, experts_per_token: 8}"
    tables = ingest(tmp_path / "s", {"t.csv": text}, f"title: t\nruns: [{{match: a, {shape}}}]\n")
    counts = ("params_active", "kv_heads", "experts", "experts_per_token", "bytes_per_token")
    first, second = tables.runs.select(counts).rows()
    assert first == (2e6, 2, 64, 8, 4.25)
    assert second == (None, None, None, None, 4.25)
    assert "goes through 2e+06 of 8e+06 parameters" in row(tables.runs, "run", "a")["notes"]


def test_several_eval_sets_by_map(tmp_path: Path) -> None:
    sidecar = """
title: t
table: {rows: points, columns: {params.total: N, tokens: D}, evals: {c4: A, wiki: B}}
facts: {schedule: {kind: constant}, primary_eval: c4}
"""
    tables = ingest(tmp_path / "s", {"t.csv": "N,D,A,B\n1e6,1e7,3,4\n1e6,2e7,2,3\n"}, sidecar)
    assert tables.curves["eval_loss"].to_list() == [3.0, 2.0]
    assert tables.evals.filter(eval_set="wiki")["value"].to_list() == [4.0, 3.0]
    said = refusal(tmp_path / "x", {"t.csv": "N,D,A\n1e6,1e7,3\n"}, sidecar)
    assert "lacks the column 'B'" in said
    assert "for evals.wiki" in said


def test_rows_of_one_step_that_fill_each_other_s_gaps_are_one_record(tmp_path: Path) -> None:
    written = "run,step,lr,train_loss,eval_loss\n"
    written += "a,1,0.5,,\na,1,,3.5,\na,1,,,3.25\n"  # three loggers
    written += "a,2,0.5,3.0,\na,2,,,2.75\n"
    written += "b,2,0.5,2.5,\nb,2,0.5,2.25,\n"  # the step was made twice: a restart
    (tmp_path / "t.csv").write_text(written)
    parsed = gather(scan("table", RawFile.at(tmp_path / "t.csv", tmp_path)))
    told = parsed.records.select("run", "kind", "step", "lr", "train_loss", "value").rows()
    assert told == [
        ("a", "train", 1, 0.5, 3.5, None),
        ("a", "eval", 1, None, None, 3.25),
        ("a", "train", 2, 0.5, 3.0, None),
        ("a", "eval", 2, None, None, 2.75),
        ("b", "train", 2, 0.5, 2.5, None),
        ("b", "train", 2, 0.5, 2.25, None),
    ]


@pytest.mark.parametrize("loss", ["1e20", "3.4e38", "1e308", "inf"])
def test_a_loss_that_no_model_has_is_taken_as_infinity(tmp_path: Path, loss: str) -> None:
    """It stopped the whole sweep, or drowned its neighbours in the sums of smoothing."""
    lines = [f"{n},{1e4 * n},{5 - n / 100}" for n in range(1, 101)]
    lines[89] = f"90,9e5,{loss}"
    text = "step,tokens,train_loss\n" + "\n".join(lines) + "\n"
    sidecar = "title: t\nfacts: {params: {total: 1e5}, schedule: {kind: constant, tokens: 1e6}}\n"
    tables = ingest(tmp_path / "s", {"a.csv": text}, sidecar)
    curve = tables.curves.sort("step")
    assert curve["is_nan"].sum() == 1
    assert curve["train_loss"].max() == pytest.approx(4.99)
    assert tables.runs["status"].to_list() == ["finished"]


@pytest.mark.parametrize("mark", [".", "'", "’", " ", "\u00a0", "\u202f"])
def test_marks_of_thousands_in_counts(tmp_path: Path, mark: str) -> None:
    rows = [("a", 70_553, 1_400_000_000, "3,512"), ("b", 1_049_000, 3_200_000_000, "3,25")]
    lines = ["run;params;tokens;loss"]
    for run, size, tokens, loss in rows:
        lines.append(";".join([run, *(f"{n:,}".replace(",", mark) for n in (size, tokens)), loss]))
    tables = ingest(tmp_path / "s", {"t.csv": "\n".join([*lines, ""])}, "title: t\n")
    assert tables.runs["params_total"].to_list() == [70_553, 1_049_000]
    assert tables.runs["tokens"].to_list() == [1.4e9, 3.2e9]
    assert losses(tables) == {"a": [3.512], "b": [3.25]}


@pytest.mark.parametrize(
    ("head", "row", "words"),
    [
        # 70.553 or 70,553 millions
        (
            "params (M),tokens,loss",
            '"70,553",1.4e9,3.5',
            "'70,553' is a number whose comma could be",
        ),
        ("params (M);tokens (B);loss", "1.412;1,4;3,5", "'1.412' is a number whose point"),
        ("params,tokens (B),loss", '"70,553","1,4",3.5', "'70,553' is a number whose comma"),
    ],
)
def test_a_count_whose_mark_could_be_either_is_asked_about_and_read_when_written_otherwise(
    tmp_path: Path, head: str, row: str, words: str
) -> None:
    said = refusal(tmp_path, {"t.csv": f"{head}\n{row}\n{row}\n"}, "title: t\n")
    assert words in said
    found = re.search(
        r"'([0-9.,]+)' is a number .*, this one as ([0-9.,]+)(?: or ([0-9.,]+))?$", said, re.M
    )
    assert found is not None
    for place, way in enumerate(filter(None, found.groups()[1:])):
        written = f'"{way}"' if "," in way and ";" not in head else way
        text = row.replace(f'"{found[1]}"', written).replace(found[1], written)
        tables = ingest(tmp_path / str(place), {"t.csv": f"{head}\n{text}\n{text}\n"}, "title: t\n")
        assert tables.runs.height == 2


def test_counts_in_a_unit_have_decimal_commas_beside_others(tmp_path: Path) -> None:
    text = 'run,params,tokens (B),loss\na,70553600,"1,411","3,512"\nb,160221184,"3,204","3,201"\n'
    tables = ingest(tmp_path / "s", {"t.csv": text}, "title: t\n")
    assert tables.runs["tokens"].to_list() == pytest.approx([1.411e9, 3.204e9])


@pytest.mark.parametrize("head", ["run,N,D,L", "# a sweep\nrun,N,D,L"])
def test_rows_behind_a_mark_of_comments_are_left_out_and_counted(tmp_path: Path, head: str) -> None:
    text = f"{head}\na,1e6,2e7,3.5\n#b,2e6,4e7,3.25\n# what was seen\nc,3e6,6e7,3\n"
    tables = ingest(tmp_path / "s", {"t.csv": text}, "title: t\n")
    assert tables.runs["run"].to_list() == ["a", "c"]
    file = row(tables.files, "path", "t.csv")
    assert (file["rows_left_out"], file["lines_unread"]) == (2, 0)
    assert "2 rows left out: behind a #, as comments are" in file["reason"]
    # where all begin so, it is of their names
    text = "run,N,D,L\n#1,1e6,2e7,3.5\n#2,2e6,4e7,3.25\n"
    tables = ingest(tmp_path / "t", {"t.csv": text}, "title: t\n")
    assert tables.runs["run"].to_list() == ["#1", "#2"]


def test_steps_in_thousands(tmp_path: Path) -> None:
    rows = "".join(f"{n / 10},{5 - n / 10}\n" for n in range(1, 12))
    facts = "params: {total: 7e7}, tokens_per_step: 512, schedule: {kind: constant}"
    tables = ingest(
        tmp_path / "s", {"t.csv": f"steps (k),loss\n{rows}"}, f"title: t\nfacts: {{{facts}}}\n"
    )
    assert tables.curves["step"].to_list() == [100 * n for n in range(1, 12)]


def test_a_table_of_w_and_b_s_runs_whose_columns_say_where_their_values_are(tmp_path: Path) -> None:
    text = (
        '"Name","State","config.n_params","summary.tokens (B)","summary.val/loss"\n'
        '"a","finished","70M","1.4","3.5"\n"b","finished","160M","3.2","3.2"\n'
    )
    tables = ingest(tmp_path / "s", {"t.csv": text}, "title: t\n")
    assert tables.runs["params_total"].to_list() == [7e7, 1.6e8]
    assert tables.runs["tokens"].to_list() == [1.4e9, 3.2e9]
    assert losses(tables) == {"a": [3.5], "b": [3.2]}


def test_a_batch_and_a_context_give_the_tokens_of_a_step(tmp_path: Path) -> None:
    rows = "".join(f"{n},{5 - n / 10},512,1024\n" for n in range(1, 12))
    facts = "params: {total: 7e7}, schedule: {kind: constant}"
    text = f"step,loss,global_batch_size,seq_len\n{rows}"
    tables = ingest(tmp_path / "s", {"t.csv": text}, f"title: t\nfacts: {{{facts}}}\n")
    assert tables.curves["tokens"].to_list() == [512 * 1024 * n for n in range(1, 12)]


def test_a_panel_without_its_ranges_is_one(tmp_path: Path) -> None:
    rows = "".join(f"{n},{5 - n / 10},{4 - n / 10}\n" for n in range(1, 12))
    facts = "params: {total: 7e7}, tokens_per_step: 512, schedule: {kind: constant}"
    text = f'"Step","a - train/loss","b - 1 - train/loss"\n{rows}'
    tables = ingest(tmp_path / "s", {"t.csv": text}, f"title: t\nfacts: {{{facts}}}\n")
    assert tables.runs["run"].to_list() == ["a", "b - 1"]
    assert tables.curves["train_loss"].to_list()[:2] == pytest.approx([4.9, 4.8])


def test_a_table_with_rewards_is_no_pretraining_unless_a_map_says_so(tmp_path: Path) -> None:
    text = "step,rollout/ep_rew_mean,train/loss,tokens\n" + "".join(
        f"{k},{k + 20},{5 - k / 10:.1f},{k * 512}\n" for k in range(1, 20)
    )
    facts = "facts: {params: {total: 1e6}, schedule: {kind: constant}}\n"
    other = {"o.csv": text.replace("rollout/ep_rew_mean", "norm").replace(",4.", ",4.1")}
    tables = ingest(tmp_path / "s", {"p.csv": text, **other}, f"title: t\n{facts}")
    reason = row(tables.files, "path", "p.csv")["reason"]
    assert "'rollout/ep_rew_mean' is of reinforcement learning" in reason
    table = "{rows: points, columns: {step: step, tokens: tokens, train_loss: train/loss}}"
    rule = f"runs: [{{match: p.csv, table: {table}}}]\n"
    tables = ingest(tmp_path / "t", {"p.csv": text, **other}, f"title: t\n{facts}{rule}")
    assert row(tables.runs, "run", "p")["tokens"] == 19 * 512
