"""A validation loss that is printed on every line was measured where it changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from isoflop.ingest.reading import rows
from tests.ingest.samples import ingest

if TYPE_CHECKING:
    from pathlib import Path

STEPS = range(10, 1210, 10)
FACTS = """title: t
facts: {schedule: {kind: constant}, loss_unit: nats_per_token, loss_kind: instant}
runs: [{match: a, params: {total: 1.0e+6}}]
"""


def loss(step: int, digits: int = 4) -> float:
    return round(2.0 + 8.0 / step**0.5, digits)


def csv(every: int, digits: int = 4) -> str:
    head = "step,tokens,train_loss,val_loss\n"
    return head + "".join(
        f"{s},{s * 1000},{loss(s)},{loss(s // every * every or 1, digits)}\n" for s in STEPS
    )


def lines(every: int) -> str:
    last = {s: loss(s // every * every or 1) for s in STEPS}
    return "".join(
        f"step {s} train_loss {loss(s)} val_loss {last[s]} tokens {s * 1000}\n" for s in STEPS
    )


@pytest.mark.parametrize("at_once", [rows.LIMIT, 7])
@pytest.mark.parametrize(("name", "text"), [("a.csv", csv), ("a.log", lines)])
def test_only_what_changed_was_measured(
    name: str, text: object, at_once: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "LIMIT", at_once)
    tables = ingest(tmp_path, {name: text(350)}, FACTS)  # type: ignore[operator]
    assert tables.evals["step"].to_list() == [10, 350, 700, 1050]
    assert tables.evals["value"].to_list() == [10.0, loss(350), loss(700), loss(1050)]
    assert tables.curves["train_loss"].to_list() == [loss(s) for s in STEPS]
    assert "116 of 120 losses on eval set 'table' are the one before" in str(tables.files.rows())


@pytest.mark.parametrize("at_once", [rows.LIMIT, 7])
def test_one_value_at_the_end_of_a_run_is_none_of_its_end(
    at_once: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its lines are few of the run's: they count from the first evaluation on."""
    monkeypatch.setattr(rows, "LIMIT", at_once)
    lines = (
        f"{s},{s * 1000},{loss(s)},{loss(350) if s >= 350 else ''}\n" for s in range(10, 501, 10)
    )
    text = "".join(["step,tokens,train_loss,val_loss\n", *lines])
    tables = ingest(tmp_path, {"a.csv": text}, FACTS)
    assert tables.evals.select("step", "value").rows() == [(350, loss(350))]


@pytest.mark.parametrize("noise", [0.0, 0.3])
@pytest.mark.parametrize("unit", [0.01, 0.001, 1 / 64])
def test_late_evaluations_in_few_digits_repeat_nothing(
    unit: float, noise: float, tmp_path: Path
) -> None:
    """Where a log begins late, most of what is measured on each line is as on the one before."""
    draw = np.random.default_rng(7)
    curve = {s: 2.0 + 200 / s**0.5 for s in range(8010, 12010, 10)}
    values = {s: round(v / unit + draw.normal(0, noise)) * unit for s, v in curve.items()}
    lines = (f"{s},{s * 1000},{curve[s]:.4f},{values[s]:.6g}\n" for s in curve)
    text = "".join(["step,tokens,train_loss,val_loss\n", *lines])
    tables = ingest(tmp_path, {"a.csv": text}, FACTS)
    assert tables.evals["step"].to_list() == [*curve]


def test_few_digits_repeat_nothing(tmp_path: Path) -> None:
    tables = ingest(tmp_path, {"a.csv": csv(10, 2)}, FACTS)
    assert tables.evals["step"].to_list() == [*STEPS]
