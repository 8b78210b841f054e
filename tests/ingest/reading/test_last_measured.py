"""A validation loss that is printed on every line was measured where it changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

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


def test_few_digits_repeat_nothing(tmp_path: Path) -> None:
    tables = ingest(tmp_path, {"a.csv": csv(10, 2)}, FACTS)
    assert tables.evals["step"].to_list() == [*STEPS]
