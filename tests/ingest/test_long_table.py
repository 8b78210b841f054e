"""Long tables are read stretch by stretch, others as a whole: both must say the same of a file."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from isoflop.config.sidecar import TableMap
from isoflop.ingest.facts.sidecar import file_table, read_sidecar
from isoflop.ingest.formats import scan, table
from isoflop.ingest.reading import cells, source
from isoflop.ingest.reading.parsed import Parsed, gather
from isoflop.ingest.reading.refused import RefusedError
from isoflop.ingest.reading.source import RawFile
from tests.ingest.reading.test_cells import TABLES
from tests.ingest.reading.test_textlog import mutants
from tests.ingest.test_formats import FIXTURES, logs

if TYPE_CHECKING:
    from pathlib import Path


def csv_of(rows: list[dict[str, Any]]) -> bytes:
    names = list(dict.fromkeys(name for row in rows for name in row))
    lines = [",".join(str(row.get(name, "")) for name in names) for row in rows]
    return "".join(f"{line}\n" for line in [",".join(names), *lines]).encode()


def json_of(rows: list[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def points(
    runs: list[str], steps: range = range(1, 40), **changed: dict[int, Any]
) -> list[dict[str, Any]]:
    """Lay out points of runs; some cells of some columns, by row, are others."""
    rows: list[dict[str, Any]] = []
    for run in runs:
        rows += [
            {"run": run, "step": step, "loss": 2 + 1 / step, "tokens": 4096 * step, "lr": 3e-4}
            for step in steps
        ]
    for name, by_row in changed.items():
        for row, value in by_row.items():
            rows[row][name] = value
    return rows


def unnamed(**changed: dict[int, Any]) -> list[dict[str, Any]]:
    """Lay out points of one run that has no name."""
    return [{k: v for k, v in row.items() if k != "run"} for row in points(["a"], **changed)]


STREAMED: dict[str, list[dict[str, Any]]] = {
    "one run": points(["a"]),
    "runs one after the other": points(["b", "a", "0010"]),
    "facts of runs": points(["a", "b"], params={row: 1e6 + 5 * (row > 38) for row in range(78)}),
    "facts that change": points(["a"], params={row: 1e4 * (row > 20) + 7e3 for row in range(39)}),
    "eval losses late": points(["a"], eval_loss={30: 2.5, 35: 2.25}),
    "a column that is never read, late": points(["a"], note={38: "the end"}),
    "a loss that is no number": points(["a"], loss={5: "oops", 30: "oh", 31: "3.25"}),
    "losses without tokens": points(["a"], tokens={5: None, 6: "nan", 7: -5}),
    "no tokens at all": points(["a"], tokens=dict.fromkeys(range(39), 0)),
    "a step that is none": points(["a"], step={5: None, 11: 11.5, 12: 12.25}),
    "no loss": points(["a"], loss=dict.fromkeys(range(4, 20)), lr=dict.fromkeys(range(4, 20))),
    "a name too few": points(["a", "b"], run=dict.fromkeys(range(70, 78))),
    "times": unnamed(_timestamp={row: 1.76e9 + row for row in range(39)}),
    "times, some none": unnamed(_timestamp={3: "noon", 7: -1, 20: 1.76e9, 38: 1.77e12}),
}
WHOLE: dict[str, list[dict[str, Any]]] = {
    "runs that take turns": sorted(points(["a", "b"]), key=lambda row: row["step"]),
    "a restart": points(["a"]) + points(["a"], range(20, 45)),
    "steps that fall": points(["a"])[::-1],
    "a counter that wrapped": points(["a"], tokens={5: 0}),
    "two runs and no step": points(["a", "b"], step={5: None}),
    "tokens alone": [{k: v for k, v in row.items() if k != "step"} for row in points(["a"])],
    "facts that become text": points(["a"], params={3: 7e3, 30: "8 million"}),
    "finished runs": [
        {"run": str(n), "params": 1e6 * n, "tokens": 1e8, "loss": 3.5} for n in range(1, 40)
    ],
}


def read(file: RawFile, given: TableMap | None) -> Parsed | str:
    try:
        return gather(scan("table", file, given))
    except RefusedError as refusal:
        return str(refusal)


@dataclass
class Both:
    """What a table says read stretch by stretch, and whether it had to be read as a whole."""

    says: Parsed | str
    needed_whole: bool


_WHOLE: dict[tuple[bytes, str], Parsed | str] = {}


def whole_of(file: RawFile, content: bytes, given: TableMap | None) -> Parsed | str:
    """Read a table as a whole, in blocks of the usual length; once for all lengths of stretches."""
    key = content, "" if given is None else given.model_dump_json()
    if key not in _WHOLE:
        with pytest.MonkeyPatch.context() as patch:
            for (module, name), value in USUAL.items():
                patch.setattr(module, name, value)
            _WHOLE[key] = read(file, given)
    return _WHOLE[key]


def assert_same(
    content: bytes, folder: Path, patch: pytest.MonkeyPatch, given: TableMap | None = None
) -> Both:
    path = folder / "t"
    path.write_bytes(content)
    file = RawFile.at(path, folder)
    whole = whole_of(file, content, given)
    needed_whole = []
    plain = table._frame

    def watched(*given: Any) -> Any:
        needed_whole.append(True)
        return plain(*given)

    with patch.context() as patched:
        patched.setattr(table, "LONG", -1)
        patched.setattr(table, "_frame", watched)
        long = read(file, given)
    if isinstance(whole, str) or isinstance(long, str):
        assert whole == long
    else:
        assert long.records.equals(whole.records)
        assert long.runs == whole.runs
        assert all(run.written for run in whole.runs) or b"timestamp" not in content
        assert (long.lines_unread, long.truncated) == (whole.lines_unread, whole.truncated)
        assert (long.left_out, long.remarks) == (whole.left_out, whole.remarks)
    return Both(long, bool(needed_whole))


USUAL: dict[tuple[Any, str], int] = {
    (cells, "BLOCK"): cells.BLOCK,
    (source, "CHUNK"): source.CHUNK,
    (table, "CELLS"): table.CELLS,
    (table, "LONG"): 1 << 60,
}


@pytest.fixture(params=[250, 900])
def block(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Cut blocks and stretches of some length: ten rows of CSV or three of JSON, and four times.

    Shorter ones cost as much again and end at the same kinds of rows.
    """
    for module, name in list(USUAL)[:3]:
        monkeypatch.setattr(module, name, request.param)
    return int(request.param)


@pytest.mark.usefixtures("block")
@pytest.mark.parametrize("written", [csv_of, json_of])
@pytest.mark.parametrize("name", STREAMED)
def test_rows_in_order_are_read_stretch_by_stretch(
    name: str, written: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = assert_same(written(STREAMED[name]), tmp_path, monkeypatch)
    assert isinstance(both.says, Parsed)
    assert both.says.lines
    if "none" not in name and "no number" not in name:
        assert not both.needed_whole


@pytest.mark.usefixtures("block")
@pytest.mark.parametrize("written", [csv_of, json_of])
@pytest.mark.parametrize("name", WHOLE)
def test_rows_that_need_each_other_are_read_as_a_whole(
    name: str, written: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = assert_same(written(WHOLE[name]), tmp_path, monkeypatch)
    assert isinstance(both.says, Parsed)
    assert both.says.lines
    assert both.needed_whole


@pytest.mark.usefixtures("block")
@pytest.mark.parametrize(
    ("separator", "late", "losses"),
    [
        ("\t", "2,5", [2.5]),
        ("\t", "2,125", [2.125, 2.5]),
        (";", "2,5", [2.5]),
        (";", "1,002,500", []),
    ],
)
def test_commas_of_a_column_are_read_together(
    separator: str,
    late: str,
    losses: list[float],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What 2,500 means hangs on other rows, however far below."""
    cells = ["2,500"] * 60 + [late] * 20
    rows = [("step", "loss"), *enumerate(cells, start=1)]
    content = "".join(f"{step}{separator}{cell}\n" for step, cell in rows)
    parsed = assert_same(content.encode(), tmp_path, monkeypatch).says
    if isinstance(parsed, str):  # two marks are thousands marks, which no loss has
        assert not losses
        assert "'2,500' is a number whose comma" in parsed or "'1,002,500' is a number" in parsed
    else:
        assert parsed.records["train_loss"].unique().sort().to_list() == losses


@pytest.mark.usefixtures("block")
@pytest.mark.parametrize("name", [*STREAMED, *WHOLE])
def test_parquet(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = pl.read_csv(csv_of((STREAMED | WHOLE)[name]), infer_schema_length=None)
    content = io.BytesIO()
    rows.write_parquet(content, row_group_size=25)
    assert_same(content.getvalue(), tmp_path, monkeypatch)


@pytest.mark.parametrize("name", [*STREAMED, *WHOLE])
def test_mutants(name: str, block: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = (STREAMED | WHOLE)[name]
    for content in (csv_of(rows), json_of(rows)):
        # another one for each length of a block
        (mutant,) = mutants(content, seed=block, count=1)
        assert_same(mutant, tmp_path, monkeypatch)


@pytest.mark.usefixtures("block")
@pytest.mark.parametrize("name", TABLES)
def test_odd_tables(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert_same(TABLES[name], tmp_path, monkeypatch)


@pytest.mark.usefixtures("block")
@pytest.mark.parametrize(
    "path", logs(FIXTURES / "table"), ids=lambda path: path.relative_to(FIXTURES).as_posix()
)
def test_fixtures(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sidecar = read_sidecar(FIXTURES / "table")
    name = path.relative_to(FIXTURES / "table").as_posix()
    assert_same(path.read_bytes(), tmp_path, monkeypatch, file_table(sidecar, name))


@pytest.mark.usefixtures("block")
@pytest.mark.parametrize(
    "given",
    [
        {"step": "step", "train_loss": {"column": "loss", "scale": 2.0}},
        {"step": "step", "train_loss": "loss", "lr": "rate"},
        {"step": "step", "eval_loss": "late"},
        {"step": "step", "train_loss": "loss", "tokens": {"formula": '4096 * "step"'}},
    ],
)
def test_maps_of_a_sweep(
    given: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = points(["a", "b"], late={70: 2.5})
    mapped = TableMap(rows="points", columns=given)
    for content in (csv_of(rows), json_of(rows)):
        assert_same(content, tmp_path, monkeypatch, mapped)
