"""Tables are read by blocks where lines are plain, and line by line where not: both must agree."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING

import pytest
from polars.testing import assert_frame_equal

from isoflop.ingest.reading import cells
from isoflop.ingest.reading.cells import read_table
from isoflop.ingest.reading.refused import RefusedError
from isoflop.ingest.reading.source import RawFile
from isoflop.ingest.words.names import find, may_be_loss
from tests.ingest.reading.test_textlog import mutants
from tests.ingest.test_formats import FIXTURES
from tests.ingest.test_genuine_logs import LOGS, needs_logs
from tests.tiers import times

if TYPE_CHECKING:
    from pathlib import Path

    import polars as pl

    from isoflop.ingest.reading.events import Event

CHOSEN = random.Random(5)  # noqa: S311  made-up numbers, no secrets
NUMBERS = [CHOSEN.uniform(-1, 1) * 10.0 ** CHOSEN.randint(-300, 300) for _ in range(50)]


def lines_of(records: list[dict[str, object]]) -> bytes:
    return "".join(json.dumps(record) + "\n" for record in records).encode()


TABLES = {
    "plain.jsonl": lines_of([{"step": i, "loss": x, "lr": 3e-4} for i, x in enumerate(NUMBERS)]),
    "sparse.jsonl": lines_of(
        [
            {"step": i, **({"eval/loss": x} if i % 3 == 0 else {"loss": x}), "note": None}
            for i, x in enumerate(NUMBERS)
        ]
    ),
    "nested.jsonl": lines_of(
        [{"step": i, "train": {"loss": x, "more": {"lr": 1}}} for i, x in enumerate(NUMBERS)]
    ),
    "odd.jsonl": lines_of(
        [
            {"step": i, "loss": [x, float("nan"), "NaN", str(x), float("inf")][i % 5], "ok": i > 3}
            for i, x in enumerate(NUMBERS)
        ]
    ),
    "text.jsonl": lines_of(
        [{"run": i % 2, "loss": x, "said": 'a "word": null\n'} for i, x in enumerate(NUMBERS)]
    ),
    "lists.jsonl": lines_of([{"step": i, "all": [1, x]} for i, x in enumerate(NUMBERS)]),
    "whole.jsonl": lines_of([{"step": 2**i, "loss": i + (i > 40) / 3} for i in range(80)]),
    "plain.csv": b"step,loss,run\n"
    + b"".join(b"%d,%r,%04d\n" % (i, x, i % 3) for i, x in enumerate(NUMBERS)),
    "late.csv": b"step,loss,what\n"
    + b"".join(b"%d,%r,1.50\n" % (i, x) for i, x in enumerate(NUMBERS))
    + b"51,1.0,none\n",
    "quoted.csv": b'"_step","run - loss","run - loss__MIN"\n'
    + b"".join(b'"%d","%r",""\n' % (i, x) for i, x in enumerate(NUMBERS)),
    "commas.csv": b'a,"b,c",d\n1,"1,071,306","x, y"\n2,"2,000,000","say ""so"""\n',
    "decimals.csv": b'step,loss,N\n1,"8,835","1,000"\n2,"7,849","2,000"\n',
    "semicolons.csv": b"N;D;L\n1;2,5;3\n2;1e3;4\n",
    "cells.csv": b'a,b\n1,"two\nlines"\n2,3\n',
    "short.csv": b"a,b,c\n1,2\n1,2,3,4\n1,2,3\n\n  \n4,,6\n",
    "suffixes.csv": b"N,L\n2.8B,3\n410M,4\n",
    "comments.csv": b'name,N,L\na,1,2\n#b,3,4\nc,5,6\n # "d\ne,7,8\nf,9,1\n',
    "thousands.csv": b"N;D;L\n1.024;1'000;3\n1.000.000;2 000;4\n",
    "blank.csv": b"\n \nN,L\n 1 , 2\n,\n",
}


def read(content: bytes, folder: Path) -> tuple[pl.DataFrame, list[Event]] | str:
    path = folder / "t"
    path.write_bytes(content)
    try:
        frame, problems = read_table(
            RawFile.at(path, folder), lambda names: find("run", names), may_be_loss
        )
    except RefusedError as refusal:
        return str(refusal)
    return frame, sorted(problems, key=repr)


def slowly(content: bytes, folder: Path) -> tuple[pl.DataFrame, list[Event]] | str:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cells, "_json_frame", lambda *_: None)
        patch.setattr(cells._Csv, "_frame", lambda *_: None)
        return read(content, folder)


def assert_same(content: bytes, folder: Path) -> None:
    fast, slow = read(content, folder), slowly(content, folder)
    if isinstance(fast, str) or isinstance(slow, str):
        assert fast == slow
        return
    assert_frame_equal(fast[0], slow[0], check_column_order=True, check_exact=True)
    assert fast[1] == slow[1]


@pytest.mark.parametrize("name", TABLES)
def test_fast_equals_slow(name: str, tmp_path: Path) -> None:
    assert_same(TABLES[name], tmp_path)


@pytest.mark.parametrize("name", TABLES)
def test_mutants(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cells, "LEAST_SPLIT", 200)
    for mutant in mutants(TABLES[name], seed=3, count=times(60)):
        assert_same(mutant, tmp_path)


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("block", [1, 60, 700])
def test_any_block_boundary(
    name: str, block: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = read(TABLES[name], tmp_path)
    monkeypatch.setattr(cells, "BLOCK", block)
    monkeypatch.setattr(cells, "LEAST_SPLIT", 100)
    monkeypatch.setattr("isoflop.ingest.reading.source.CHUNK", max(1, block // 3))
    parts = read(TABLES[name], tmp_path)
    assert not isinstance(whole, str)
    assert not isinstance(parts, str)
    assert_frame_equal(parts[0], whole[0], check_exact=True)
    assert parts[1] == whole[1]


@pytest.mark.parametrize("name", ["plain.jsonl", "sparse.jsonl", "nested.jsonl", "plain.csv",
                                  "quoted.csv"])  # fmt: skip
def test_plain_tables_are_read_by_blocks(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(*_: object, **__: object) -> None:
        raise AssertionError(name)

    monkeypatch.setattr(cells, "_json_rows", slow)
    monkeypatch.setattr(cells._Csv, "_rows", slow)
    frame = read(TABLES[name], tmp_path)
    assert not isinstance(frame, str)
    assert frame[0].height == len(NUMBERS)


def test_a_decimal_comma_far_behind_points_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cells, "BLOCK", 60)
    points = b"".join(b"%d,3.5%d\n" % (n, n % 7) for n in range(100))
    said = read(b"step,loss\n" + points + b'100,"3,521"\n', tmp_path)
    assert isinstance(said, str)
    assert "column 'loss', row 101: '3,521' is a number whose comma could be a decimal" in said


def test_a_key_that_comes_twice_counts_as_json_says(tmp_path: Path) -> None:
    content = TABLES["plain.jsonl"] + b'{"step": 1, "loss": 2.0, "loss": 7.0, "lr": 1}\n'
    assert_same(content, tmp_path)
    frame = read(content, tmp_path)
    assert not isinstance(frame, str)
    assert frame[0]["loss"][-1] == 7.0


@needs_logs
@pytest.mark.mirror
def test_genuine_tables(tmp_path: Path) -> None:
    for path in sorted((LOGS / "olmo_ladder_wandb_csv").iterdir())[::6]:
        assert_same(path.read_bytes(), tmp_path)
    for path in sorted((FIXTURES / "table").glob("*.csv")):
        assert_same(path.read_bytes(), tmp_path)


@pytest.mark.parametrize("at_once", [1, 2, 3, 1000])
def test_marks_are_counted_over_the_borders_of_pieces(
    at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cells, "AT_ONCE", at_once)
    for text in (b"", b"\n", b'a\n\n\n"b":1,"":\n', b'""::"'):
        pairs = [text[at : at + 2] for at in range(len(text))]
        expected = [text.count(b"\n"), pairs.count(b"\n\n"), pairs.count(b'":')]
        assert cells._counted(text, b"\n", b"\n\n", b'":') == expected
