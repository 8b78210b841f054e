"""Tables in which every rank wrote a row for each step."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from isoflop.ingest.inspection import inspect
from isoflop.ingest.sweep import EmptySweepError
from tests.ingest.samples import ingest, row, write

if TYPE_CHECKING:
    from pathlib import Path

KNOWN = "title: t\nfacts: {params: {total: 1e6}, schedule: {kind: constant}}\n"


def table(counts: tuple[int, ...], head: str = "step,rank,tokens,loss") -> str:
    """Write rows of ranks, of which each counts so many tokens a step."""
    rows = [
        f"{step},{rank},{step * each},{5 - step / 100:.4f}"
        for step in range(1, 31)
        for rank, each in enumerate(counts)
    ]
    return "\n".join([head, *rows]) + "\n"


def test_tokens_that_ranks_count_apart_are_added(tmp_path: Path) -> None:
    tables = ingest(tmp_path / "s", {"t.csv": table((1000, 1024, 990))}, KNOWN)
    assert tables.curves.filter(superseded=False)["tokens"].to_list()[-1] == 30 * 3014
    assert "sum of those of 3 ranks" in row(tables.files, "path", "t.csv")["reason"]


@pytest.mark.parametrize("place", [0, 1])
def test_tokens_that_all_ranks_count_alike_are_asked_about(tmp_path: Path, place: int) -> None:
    """Both maps are read: those of a rank times four, or those of all."""
    files = {"t.csv": table((1024,) * 4)}
    with pytest.raises(EmptySweepError, match="if each rank counts its own") as told:
        ingest(tmp_path / "s", files, KNOWN)
    maps = [line.strip() for line in str(told.value).split("\n") if line.strip().startswith("tabl")]
    tables = ingest(tmp_path / "m", files, f"{KNOWN}{maps[place]}\n")
    last = tables.curves.filter(superseded=False)["tokens"].to_list()[-1]
    assert last == 30 * 1024 * (4, 1)[place]


def test_a_table_with_the_tokens_of_a_step_is_not_asked_about(tmp_path: Path) -> None:
    text = table((1024,) * 2).replace("loss\n", "loss,tokens_per_step\n", 1)
    head, *rows = text.strip().split("\n")
    text = "\n".join([head, *(f"{each},1024" for each in rows)]) + "\n"
    assert ingest(tmp_path / "s", {"t.csv": text}, KNOWN).runs["tokens"].to_list() == [30 * 1024]


def test_a_rank_of_one_or_of_few_rows_asks_nothing(tmp_path: Path) -> None:
    files = {"t.csv": table((1024,))}
    assert inspect(write(tmp_path / "s", files, KNOWN)).reading.runs
