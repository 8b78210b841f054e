"""What is called like N, but changes along a curve, is not N."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from isoflop.ingest.sweep import EmptySweepError
from tests.ingest.samples import ingest

if TYPE_CHECKING:
    from pathlib import Path

STEPS = range(10, 410, 10)
FACTS = """title: t
facts: {schedule: {kind: constant}, loss_unit: nats_per_token, loss_kind: instant}
runs: [{match: a, params: {total: 1.0e+6}}]
"""


def loss(step: int) -> float:
    return 2.0 + 8.0 / step**0.5


def csv(size: str) -> str:
    rows = (f"{s},{s * 1000},{loss(s):.4f},{size.format(100 + s / 100)}\n" for s in STEPS)
    return "step,tokens,loss,params\n" + "".join(rows)


def lines() -> str:
    return "".join(
        f"step {s} loss {loss(s):.4f} params {100 + s / 100:.2f} tokens {s * 1000}\n" for s in STEPS
    )


@pytest.mark.parametrize(
    ("name", "content"),
    [("a.csv", csv("{:.2f}")), ("a.csv", csv("{:.0f}")), ("a.log", lines())],
)
def test_a_norm_is_no_number_of_parameters(name: str, content: str, tmp_path: Path) -> None:
    result = ingest(tmp_path, {name: content}, FACTS)
    (run,) = result.runs.to_dicts()
    assert (run["params_total"], run["tokens"]) == (1e6, 400_000)
    assert "'params' is not read: it changes along a curve" in str(result.files.to_dicts())


def test_finished_runs_have_an_n_each(tmp_path: Path) -> None:
    rows = (f"{s},{s * 10**5},{1000 * s**2},{loss(s):.4f}\n" for s in (1, 2, 4, 8, 16, 32))
    content = "step,tokens,params,loss\n" + "".join(rows)
    facts = "title: t\nfacts: {schedule: {kind: constant}}\n"
    runs = ingest(tmp_path, {"a.csv": content}, facts).runs
    assert sorted(runs["params_total"]) == [1000.0 * s**2 for s in (1, 2, 4, 8, 16, 32)]


LADDER = [
    (1000 * i, 10**7 * i, 2 * 10**8 * i, 2.0 + 8.0 / (1 + i) ** 0.5) for i in range(1, 25)
]  # fmt: skip


@pytest.mark.parametrize("unit", [1, 10**3], ids=["counts", "small models"])
def test_a_ladder_of_finished_runs_is_no_curve(unit: int, tmp_path: Path) -> None:
    """Steps of runs that have as many tokens a parameter each rise evenly with N."""
    rows = "".join(f"{s},{n // unit},{d // unit},{v:.4f}\n" for s, n, d, v in LADDER)
    facts = "title: t\nfacts: {schedule: {kind: constant}, loss_unit: nats_per_token}\n"
    content = "iters,params,tokens,val_loss\n" + rows
    runs = ingest(tmp_path, {"runs.csv": content}, facts).runs
    told = sorted(runs.select("params_total", "tokens").iter_rows())
    assert told == [(n // unit, d // unit) for _, n, d, _ in LADDER]


def test_the_size_of_an_update_is_no_step(tmp_path: Path) -> None:
    """Rows of a table without a step are those of curves or of finished runs: a map says which."""
    sizes = {s: f"{0.01 + 1 / s:.4f}" for s in STEPS}
    facts = FACTS.partition("runs:")[0]
    content = "tokens,params,loss,update\n" + "".join(
        f"{s * 1000},1000000,{loss(s):.4f},{sizes[s]}\n" for s in STEPS
    )
    with pytest.raises(EmptySweepError, match="'tokens' rises in equal steps"):
        ingest(tmp_path / "table", {"a.csv": content}, facts)
    content = "".join(
        f"step {s} loss {loss(s):.4f} tokens {s * 1000} params 1000000 update {sizes[s]}\n"
        for s in STEPS
    )
    result = ingest(tmp_path / "lines", {"a.log": content}, facts)
    assert "'update' is not read: it has fractions" in str(result.files.to_dicts())
    assert result.runs["tokens"].to_list() == [400_000]


def test_updates_in_whole_numbers_are_steps(tmp_path: Path) -> None:
    content = "update,tokens,params,loss\n" + "".join(
        f"{s},{s * 1000},1000000,{loss(s):.4f}\n" for s in STEPS
    )
    result = ingest(tmp_path, {"a.csv": content}, FACTS.partition("runs:")[0])
    assert result.runs["tokens"].to_list() == [400_000]


@pytest.mark.parametrize(("advantage", "fate"), [("0.0", "used"), ("0.3", "rejected")])
@pytest.mark.parametrize("name", ["a.csv", "a.log"])
def test_rewards_of_0_are_no_tuning(name: str, advantage: str, fate: str, tmp_path: Path) -> None:
    content = "step,tokens,params,loss,advantages\n" + "".join(
        f"{s},{s * 1000},1000000,{loss(s):.4f},{advantage}\n" for s in STEPS
    )
    if name == "a.log":
        content = "".join(
            f"step {s} loss {loss(s):.4f} tokens {s * 1000} params 1000000 advantages {advantage}\n"
            for s in STEPS
        )
    log = "".join(f"step {s} loss {loss(s):.4f} tokens {s * 500} params 2000000\n" for s in STEPS)
    result = ingest(tmp_path, {name: content, "b.log": log}, FACTS.partition("runs:")[0])
    fates = dict(result.files.select("path", "fate").iter_rows())
    assert fates[name] == fate
