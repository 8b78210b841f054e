"""Tables in which every rank wrote a row for each step."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl
import pytest

from isoflop.errors import MissingFactError
from isoflop.ingest.inspection import inspect
from isoflop.ingest.sweep import EmptySweepError
from isoflop.ingest.tables.tokens_of_job import Job
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


STEPS = range(1, 41)
A_STEP = 1200


def job(rows: dict[int, list[tuple[str, int]]], head: str = "rank") -> str:
    """Write the labels and tokens of the rows of each step."""
    lines = [
        f"{step},{label},{tokens},{5 - step / 100 + place / 1000:.4f}"
        for step, ranks in rows.items()
        for place, (label, tokens) in enumerate(ranks)
    ]
    return "\n".join([f"step,{head},tokens,loss", *lines]) + "\n"


def shares(ranks: int, step: int, more: int = 1) -> list[tuple[str, int]]:
    """Divide the tokens of all among so many ranks, each of which is off by a few."""
    return [(str(rank), step * A_STEP // ranks + more * rank) for rank in range(ranks)]


@pytest.mark.parametrize("more", [1, 0])
@pytest.mark.parametrize("until", [36, 16])
def test_shares_of_fewer_ranks_from_a_step_on_add_up_to_all(
    tmp_path: Path, until: int, more: int
) -> None:
    """D was that of one rank where the first number of ranks had less than half of the steps."""
    text = job({step: shares(4 if step <= until else 2, step, more) for step in STEPS})
    tokens = ingest(tmp_path / "s", {"t.csv": text}, KNOWN).curves.filter(superseded=False)
    assert tokens["tokens"].to_list() == pytest.approx([step * A_STEP for step in STEPS], rel=0.01)


def test_ranks_of_which_the_first_logs_more_often_are_added(tmp_path: Path) -> None:
    """Between two steps of all of them, and behind the last, the sum lies on the line."""
    text = job({step: shares(4, step)[: 4 if step % 5 == 1 else 1] for step in STEPS})
    tokens = ingest(tmp_path / "s", {"t.csv": text}, KNOWN).curves.filter(superseded=False)
    assert tokens["tokens"].to_list() == pytest.approx([step * A_STEP for step in STEPS], rel=0.01)


@pytest.mark.parametrize(
    "rows",
    [
        {step: shares(4, step)[: 4 if step <= 30 else 3] for step in STEPS},
        {step: shares(4, step)[step % 4 :][:1] for step in STEPS},
        {step: shares(4, step)[:2] + shares(4, step)[3:] for step in STEPS},
    ],
    ids=["rows of one are lost", "in turns", "all of one are lost"],
)
def test_sums_that_rows_are_missing_of_are_asked_for(
    tmp_path: Path, rows: dict[int, list[tuple[str, int]]]
) -> None:
    """The question's answer gives D."""
    files = {"t.csv": job(rows)}
    with pytest.raises(MissingFactError, match="tokens_per_step: <"):
        ingest(tmp_path / "s", files, KNOWN)
    tables = ingest(tmp_path / "m", files, f"{KNOWN[:-2]}, tokens_per_step: {A_STEP}}}\n")
    assert tables.runs["tokens"].to_list() == [40 * A_STEP]
    assert "not read" in row(tables.files, "path", "t.csv")["reason"]


def test_one_lost_row_at_the_end_makes_no_difference(tmp_path: Path) -> None:
    rows = {step: shares(4, step)[: 4 if step < 40 else 3] for step in STEPS}
    tables = ingest(tmp_path / "s", {"t.csv": job(rows)}, KNOWN)
    assert tables.runs["tokens"].to_list() == pytest.approx([40 * A_STEP], rel=0.01)


def test_a_restart_on_fewer_ranks_adds_its_own_rows_alone(tmp_path: Path) -> None:
    first = job({step: shares(4, step) for step in range(1, 21)})
    second = job({step: shares(2, step) for step in range(15, 41)}).split("\n", 1)[1]
    tables = ingest(tmp_path / "s", {"t.csv": first + second}, KNOWN)
    curve = tables.curves.filter(superseded=False).sort("step")
    assert curve["tokens"].to_list() == pytest.approx([step * A_STEP for step in STEPS], rel=0.01)


@pytest.mark.parametrize("head", ["gpu", "local_rank", "worker"])
def test_tokens_of_local_ranks_are_added(tmp_path: Path, head: str) -> None:
    text = job({step: shares(4, step) for step in STEPS}, head)
    tables = ingest(tmp_path / "s", {"t.csv": text}, KNOWN)
    assert tables.runs["tokens"].to_list() == pytest.approx([40 * A_STEP], rel=0.01)


def test_local_ranks_of_two_nodes_are_four(tmp_path: Path) -> None:
    rows = {
        step: [(f"n{k // 2},{k % 2}", tokens) for k, (_, tokens) in enumerate(shares(4, step))]
        for step in STEPS
    }
    tables = ingest(tmp_path / "s", {"t.csv": job(rows, "node,local_rank")}, KNOWN)
    assert tables.runs["tokens"].to_list() == pytest.approx([40 * A_STEP], rel=0.01)


def test_ranks_of_adapters_are_no_ranks_of_a_job(tmp_path: Path) -> None:
    """Each is a run, and the file is refused with the map that says so."""
    files = {"t.csv": job({s: [("64", s * A_STEP), ("128", s * A_STEP)] for s in STEPS})}
    with pytest.raises(EmptySweepError, match="'rank' tells them apart") as told:
        ingest(tmp_path / "s", files, KNOWN)
    map_ = next(line for line in str(told.value).split("\n") if "table:" in line).strip()
    assert ingest(tmp_path / "m", files, f"{KNOWN}{map_}\n").runs.height == 2


def test_what_two_of_three_ranks_count_beyond_the_last_sum_stands_for_all() -> None:
    """The third logs less often: of a step that two have, the sum is half as much again."""
    rows = [
        {"step": step, "rank": rank, "tokens": 100.0 * step}
        for rank, every in (("0", 5), ("1", 5), ("2", 10))
        for step in range(every, 46, every)
    ]
    job = Job.of(pl.DataFrame(rows).with_columns(pl.col("step").cast(pl.Float64)))
    assert job.ranks == 3
    assert job.tokens is not None
    # rank 2 is last heard of at step 40
    assert job.tokens["tokens"].to_list() == [300.0 * step for step in range(5, 46, 5)]
