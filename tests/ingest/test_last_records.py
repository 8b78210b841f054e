"""A log that ends with a record: its last loss is the final one, and must not be lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from isoflop.ingest.reading.source import RawFile
from isoflop.ingest.store.cache import parse

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from isoflop.ingest.reading.parsed import Parsed


def olmo(step: int) -> str:
    return (
        f"2026-03-01 10:00:{step:02d}\tINFO\t[step={step}/20,epoch=0]\n"
        f"    optim/total grad norm=0.5\n    train/CE loss={3 + 1 / step:.4f}\n"
        f"    optim/LR (group 0)=0.0003\n"
    )


def composer(step: int) -> str:
    return (
        f"[batch={step}/20]:\n\t Train time/token: {step * 8192}\n"
        f"\t Train metrics/train/LanguageCrossEntropy: {3 + 1 / step:.4f}\n"
        f"\t Train lr-DecoupledAdamW/group0: 0.0003\n"
    )


RECORDS = pytest.mark.parametrize(
    ("name", "record"), [("olmo", olmo), ("composer", composer)], ids=["olmo", "composer"]
)


def read(folder: Path, name: str, text: str) -> Parsed:
    (folder / "a.log").write_text(text)
    parsed, _ = parse(RawFile.at(folder / "a.log", folder), name, table=None, cache=None)
    return parsed


@RECORDS
def test_the_last_record_counts_where_nothing_follows_it(
    tmp_path: Path, name: str, record: Callable[[int], str]
) -> None:
    text = "".join(record(step) for step in (5, 10, 15, 20))
    parsed = read(tmp_path, name, text)
    assert parsed.records["step"].to_list() == [5, 10, 15, 20]
    assert parsed.records["train_loss"][-1] == pytest.approx(3.05)
    assert not parsed.truncated
    followed = read(tmp_path, name, text + "Training complete\n")
    assert parsed.records.equals(followed.records)


@RECORDS
@pytest.mark.parametrize("lines", [1, 2])
def test_a_record_that_lacks_lines_of_the_one_before_was_cut(
    tmp_path: Path, name: str, record: Callable[[int], str], lines: int
) -> None:
    text = "".join(record(step) for step in (5, 10, 15, 20))
    cut = "".join(text.splitlines(keepends=True)[:-lines])
    parsed = read(tmp_path, name, cut)
    assert parsed.records["step"].to_list() == [5, 10, 15]
    assert parsed.truncated


@RECORDS
def test_half_a_last_line_is_no_value(
    tmp_path: Path, name: str, record: Callable[[int], str]
) -> None:
    parsed = read(tmp_path, name, "".join(record(step) for step in (5, 10, 15, 20))[:-2])
    assert parsed.records["step"].to_list() == [5, 10, 15]
    assert parsed.truncated


def test_a_last_evaluation_of_olmo_counts(tmp_path: Path) -> None:
    text = (
        olmo(10)
        + olmo(20)
        + ("2026-03-01 10:01:00\tINFO\t[step=20/20,epoch=0]\n    eval/lm/c4/CE loss=3.125\n")
    )
    parsed = read(tmp_path, "olmo", text)
    last = parsed.records.row(-1, named=True)
    assert (last["step"], last["eval_set"], last["value"]) == (20, "c4", 3.125)
    assert not parsed.truncated
