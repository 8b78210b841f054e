"""Tables behind comments, without rows, and as one JSON value in any of its usual layouts."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from isoflop.ingest.formats import table
from isoflop.ingest.reading import json_table
from isoflop.ingest.reading.heads import without_comments
from isoflop.ingest.reading.patterns import recognise
from isoflop.ingest.sweep import EmptySweepError
from tests.ingest.samples import ingest, row

if TYPE_CHECKING:
    from pathlib import Path

STEPS = range(100, 1100, 100)
ROWS: list[dict[str, Any]] = [{"step": s, "train_loss": 5 - s / 1000, "lr": 1e-3} for s in STEPS]
HEAD = "step,train_loss,lr"
CSV = "".join(f"{','.join(map(str, each.values()))}\n" for each in ROWS)
RULES = "title: t\nfacts: {params: {total: 1e6}, tokens_per_step: 512, "
RULES += "schedule: {kind: constant}}\n"
COLUMNS = {name: [each[name] for each in ROWS] for name in ROWS[0]}
LABELLED = {name: {str(i): cell for i, cell in enumerate(c)} for name, c in COLUMNS.items()}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("t.csv", f"# made by my script, 2026\n# N = 1e6\n{HEAD}\n{CSV}"),
        ("t.csv", f"\n# made, by, it\n\n#\n{HEAD}\n{CSV}"),
        ("t.csv", f"#{HEAD}\n{CSV}"),
        ("t.csv", f"# made by my script\n# {HEAD}\n{CSV}"),
        ("t.tsv", f"# x\n{HEAD}\n{CSV}".replace(",", "\t")),
        ("t.json", json.dumps(ROWS)),
        ("t.json", json.dumps(ROWS, indent=2)),
        ("t.json", "[\n" + ",\n".join(map(json.dumps, ROWS)) + "\n]\n"),
        ("t.json", json.dumps({"history": ROWS}, indent=2)),
        ("t.json", json.dumps({"history": ROWS, "name": "x"})),
        ("t.json", json.dumps(COLUMNS)),
        ("t.json", json.dumps(COLUMNS, indent=1)),
        ("t.json", json.dumps(LABELLED)),
        ("log.txt", json.dumps(ROWS)),
    ],
)
@pytest.mark.parametrize("long", [False, True])
def test_a_table_in_any_layout_is_read(
    tmp_path: Path, name: str, text: str, long: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if long:
        monkeypatch.setattr(table, "LONG", 10)
    tables = ingest(tmp_path / "s", {name: text}, RULES)
    assert tables.curves["step"].to_list() == list(STEPS)
    assert tables.curves["train_loss"].to_list() == [each["train_loss"] for each in ROWS]
    if "made by" in text:
        assert "lines of comments before its head" in row(tables.files, "path", name)["reason"]


def test_one_finished_run_as_an_object_of_many_lines(tmp_path: Path) -> None:
    told = {"name": "a", "n_params": 1e7, "tokens": 1e9, "loss": 3.5, "note": {"x": [1, 2]}}
    runs = ingest(tmp_path / "s", {"r.json": json.dumps(told, indent=2)}, "title: t\n").runs
    assert runs.select("run", "params_total", "tokens", "status").rows() == [
        ("a", 1e7, 1e9, "finished")
    ]


@pytest.mark.parametrize("text", [f"{HEAD}\n", HEAD, f"# x\n{HEAD}\n\n", "run;D;N;loss\n"])
def test_a_table_without_rows_is_named_so(tmp_path: Path, text: str) -> None:
    with pytest.raises(EmptySweepError, match=r"an empty table: its head has .*, and no row"):
        ingest(tmp_path / "s", {"t.csv": text}, RULES)


@pytest.mark.parametrize(
    "text",
    ["loss, they say, is a step\n", "a,b,c\n", "[2026-05-28 10:00:00] step\n", "# loss, step\n"],
)
def test_a_line_of_text_is_no_head(text: str) -> None:
    assert recognise(text.encode()).format is None


def test_a_row_of_numbers_is_no_comment() -> None:
    assert without_comments("a,b\n1,2\n") == ("a,b\n1,2\n", 0)
    assert without_comments("# a,b\n1,2\n") == ("a,b\n1,2\n", 0)
    assert without_comments("# a, b and c\nx,y\n1,2\n") == ("x,y\n1,2\n", 1)
    assert without_comments("# only\n# comments")[1] == 2


@pytest.mark.parametrize("cut", [0.3, 0.6, 0.999])
def test_a_value_that_was_cut_says_so(tmp_path: Path, cut: float) -> None:
    text = json.dumps(ROWS, indent=2)
    with pytest.raises(EmptySweepError, match="no whole JSON value, so it was cut or damaged"):
        ingest(tmp_path / "s", {"t.json": text[: int(cut * len(text))]}, RULES)


def test_lines_of_json_of_which_the_first_was_cut_are_lines(tmp_path: Path) -> None:
    lines = [json.dumps(each) for each in ROWS]
    text = "\n".join([lines[0][:20], *lines[1:], ""])
    tables = ingest(tmp_path / "s", {"t.jsonl": text}, RULES)
    assert tables.curves["step"].to_list() == list(STEPS)[1:]
    assert row(tables.files, "path", "t.jsonl")["lines_unread"] == 1


def test_a_value_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_table, "LARGEST", 100)
    with pytest.raises(EmptySweepError, match="write an object a line"):
        ingest(tmp_path / "s", {"t.json": json.dumps(ROWS)}, RULES)
