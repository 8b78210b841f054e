"""Of several columns of tokens, that which rises is D; what is the same all along is a total."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from isoflop.ingest.sweep import EmptySweepError
from tests.ingest.samples import ingest, loss_at, row
from tests.ingest.test_proposals import settled

if TYPE_CHECKING:
    from pathlib import Path

RUNS = {"a": (25e6, 5e8, 1900), "b": (25e6, 1e9, 3800), "c": (50e6, 5e8, 1900)}
"""By run its parameters, tokens and steps."""
COLUMNS = {
    "run": lambda run, _: run, "N": lambda run, _: f"{RUNS[run][0]:.0f}",
    "step": lambda _, step: step, "loss": lambda _, step: loss_at(step),
} | dict.fromkeys(
    ("D", "total_tokens", "train_tokens"), lambda run, _: f"{RUNS[run][1]:.0f}"
) | dict.fromkeys(
    ("tokens_seen", "tokens"), lambda run, step: f"{RUNS[run][1] * step / RUNS[run][2]:.0f}"
)  # fmt: skip


def table(*columns: str) -> str:
    lines = [
        ",".join(str(COLUMNS[name](run, step)) for name in columns)
        for run, (_, _, steps) in RUNS.items()
        for step in range(100, steps + 1, 100)
    ]
    return "\n".join([",".join(columns), *lines, ""])


@pytest.mark.parametrize("total", ["D", "total_tokens"])
def test_a_count_that_is_the_same_all_along_is_proposed_as_the_total(
    tmp_path: Path, total: str
) -> None:
    with pytest.raises(EmptySweepError, match="of all that a run was to have") as told:
        ingest(tmp_path / "s", {"t.csv": table("run", "N", total, "step", "loss")})
    assert "tokens_per_step:" not in str(told.value)
    settled(tmp_path / "s")
    rules = (tmp_path / "s/sweep.yaml").read_text()
    done = ingest(tmp_path / "s", {}, rules)
    for name, (_, tokens, _) in RUNS.items():
        run = row(done.runs, "run", name)
        assert run["tokens"] == pytest.approx(tokens)
        assert run["schedule_tokens"] == tokens
        assert run["status"] == "finished"


@pytest.mark.parametrize(
    "columns",
    [
        ("run", "N", "step", "loss", "tokens_seen", "total_tokens"),
        ("run", "N", "loss", "tokens_seen", "total_tokens"),
        ("run", "N", "step", "tokens", "train_tokens", "loss"),
    ],
)
def test_a_count_that_rises_is_taken_before_one_that_does_not(
    tmp_path: Path, columns: tuple[str, ...]
) -> None:
    done = ingest(tmp_path / "s", {"t.csv": table(*columns)})
    assert "which does not rise along its curves" in row(done.files, "path", "t.csv")["reason"]
    for name, (_, tokens, _) in RUNS.items():
        run = row(done.runs, "run", name)
        assert run["tokens"] == pytest.approx(tokens)
        assert run["schedule_tokens"] == tokens


def test_a_batch_that_differs_between_runs_is_that_of_a_step(tmp_path: Path) -> None:
    lines = [
        f"{name},{size:.0f},{batch},{step},{loss_at(step)}"
        for name, size, batch in (("a", 25e6, 262_144), ("b", 5e7, 524_288))
        for step in range(100, 2001, 100)
    ]
    content = "\n".join(["run,N,tokens,step,loss", *lines, ""])
    with pytest.raises(EmptySweepError, match="map it as tokens_per_step"):
        ingest(tmp_path / "s", {"t.csv": content})


def test_a_total_that_curves_go_beyond_is_no_schedule(tmp_path: Path) -> None:
    content = table("run", "N", "step", "loss", "tokens_seen", "total_tokens")
    content = content.replace(",500000000\n", ",400000000\n")
    rules = "title: t\nfacts: {schedule: {kind: constant}}\n"
    done = ingest(tmp_path / "s", {"t.csv": content}, rules)
    assert done.runs["schedule_tokens"].to_list() == [None] * len(RUNS)


def by_rows(head: str, *columns: object) -> str:
    """A run of 25M parameters with 100,000 tokens a step, and a row every 50 of 2,000 steps."""
    lines = []
    for step in range(50, 2001, 50):
        cells = [str(each(step)) if callable(each) else str(each) for each in columns]
        lines.append(",".join(["25e6", str(loss_at(step)), *cells]))
    return "\n".join([f"N,loss,{head}", *lines, ""])


@pytest.mark.parametrize(
    ("head", "columns", "words"),
    [
        (
            "step,tokens,global_batch_size,seq_len",
            (lambda step: step, lambda step: step * 12_500, 50, 2000),
            "'tokens' is 'step' x 'global_batch_size' x 'seq_len' / 8 in all rows",
        ),
        (
            "step,tokens,tokens_per_step",
            (lambda step: step, lambda step: step * 25_000, 100_000),
            "'tokens' is 'step' x 'tokens_per_step' / 4 in all rows",
        ),
        ("step,tokens", (lambda step: step, 5_000_000), "the 50 steps from row to row"),
        (
            "step,tokens_per_step",
            (lambda step: step / 1000, 100_000),
            "'step' is mostly no count of updates (first 0.05)",
        ),
    ],
)
def test_counts_of_something_else_are_asked_about_with_the_map_for_each(
    tmp_path: Path, head: str, columns: tuple[object, ...], words: str
) -> None:
    """Each had passed for D, off by a factor, or left all rows but the last out."""
    with pytest.raises(EmptySweepError) as caught:
        ingest(tmp_path / "s", {"t.csv": by_rows(head, *columns)})
    assert words in str(caught.value)
    settled(tmp_path / "s")
    # what fills the proposed length is no length of this curve
    rules = (tmp_path / "s/sweep.yaml").read_text().replace("steps: 1000", "steps: 2000")
    done = ingest(tmp_path / "s", {}, rules)
    assert done.runs["tokens"].to_list() == [200_000_000]
    assert done.curves.height == 40


UNKNOWN = "title: t\nfacts: {schedule: {kind: unknown}}\n"


def counted(tokens: list[int]) -> str:
    """Write a table of one run, a row every ten steps."""
    rows = [f"{10 * i},{n},{loss_at(10 * i)},25000000" for i, n in enumerate(tokens, 1)]
    return "\n".join(["step,tokens,loss,n_params", *rows, ""])


@pytest.mark.parametrize("column", ["tokens", "num_tokens"])
@pytest.mark.parametrize("sized", [True, False])
def test_tokens_of_a_step_whose_batch_ramps_up_are_added_up(
    tmp_path: Path, column: str, *, sized: bool
) -> None:
    """They had passed for D, 131,072 for all runs: they change now and then, and never fall."""

    def batch(step: int) -> int:
        return 131_072 >> (2 - min(2, step // 500))

    rows = [
        f"{step},{batch(step - 50)},{loss_at(step)}{',25000000' if sized else ''}"
        for step in range(50, 1501, 50)
    ]
    head = f"step,{column},loss{',n_params' if sized else ''}"
    with pytest.raises(EmptySweepError, match="if it counts those of a step, add them up"):
        ingest(tmp_path / "s", {"t.csv": "\n".join([head, *rows, ""])})
    settled(tmp_path / "s")
    rules = (tmp_path / "s/sweep.yaml").read_text().replace("steps: 1000", "steps: 1500")
    done = ingest(tmp_path / "s", {}, rules)
    assert done.runs["tokens"].to_list() == [500 * (131_072 // 4 + 131_072 // 2 + 131_072)]


def test_a_count_that_begins_anew_is_no_sum_to_be_added_up(tmp_path: Path) -> None:
    """Sums of what is a sum already were proposed, 8 to 100 times too large."""
    tokens = [1000 * (step % 125) + 1 for step in range(10, 1501, 10)]
    with pytest.raises(EmptySweepError, match="if it begins anew, as with each epoch") as told:
        ingest(tmp_path, {"t.csv": counted(tokens)}, UNKNOWN)
    assert "SUM(" not in str(told.value)


def test_a_count_that_stops_is_no_sum_to_be_added_up(tmp_path: Path) -> None:
    tokens = [1000 * min(step, 1000) for step in range(10, 1501, 10)]
    with pytest.raises(EmptySweepError, match="check tokens_still") as told:
        ingest(tmp_path / "s", {"t.csv": counted(tokens)}, UNKNOWN)
    assert "SUM(" not in str(told.value)
    overrule = 'overrule: [{match: "t", check: tokens_still, reason: it stopped}]\n'
    done = ingest(tmp_path / "s", {}, UNKNOWN + overrule)
    assert done.runs["tokens"].to_list() == [1_000_000]
