"""What is called like N, but changes along a curve, is not N."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

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
