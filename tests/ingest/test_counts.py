"""What is counted of a block's records, and of its steps: by columns as row by row."""

from __future__ import annotations

import math
import random
from typing import Any

import numpy as np
import polars as pl
import pytest

from isoflop.config.sidecar import LARGEST
from isoflop.ingest.reading import parsed
from isoflop.ingest.reading.blocks import PLACED
from isoflop.ingest.tables.wide import is_rising

STEPS = (None, 0, 1, 2, 5, 7)
AMOUNTS = (None, 0.0, 1.0, 10.0, 1e9, -1.0, math.nan, math.inf, 2.0 * LARGEST)


def block(draw: random.Random) -> pl.DataFrame:
    """Draw records; some columns have no value in some blocks, as in most logs."""
    share = {
        name: draw.choice((0.0, 0.0, 0.5, 1.0)) for name in ("tokens", "samples", "loss", "eval")
    }
    share |= {name: draw.choice((0.0, 0.5)) for name in ("run", "restart")}

    def maybe(what: str, *values: Any) -> Any:
        return draw.choice(values) if draw.random() < share[what] else None

    rows = [
        {
            "row": row,
            "run": maybe("run", "a", "b") or "",
            "kind": maybe("restart", "restart") or draw.choice(("train", "eval")),
            "step": draw.choice(STEPS),
            "tokens": maybe("tokens", *AMOUNTS),
            "samples": maybe("samples", *AMOUNTS),
            "train_loss": maybe("loss", 2.0, math.nan),
            "eval_set": maybe("eval", "c4", "wiki"),
            "metric": maybe("eval", "loss", "bits_per_byte", "accuracy"),
        }
        for row in range(draw.choice((0, 1, 2, 3, 9)))
    ]
    return pl.DataFrame(rows, schema=PLACED) if rows else pl.DataFrame(schema=PLACED)


def known(amount: float | None, step: int | None) -> float | None:
    """Leave out a count that cannot be one."""
    if amount is None or math.isnan(amount) or not 0 <= amount <= LARGEST:
        return None
    return amount if amount > 0 or step == 0 else None


def counted(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Count records one by one."""
    records = [row for row in rows if row["kind"] != "restart"]
    stepped = [row for row in rows if (row["step"] or 0) > 0]
    first = [(r, r["tokens"] if r["tokens"] is not None else r["samples"]) for r in stepped]
    rates = [(r["step"], amount / r["step"]) for r, amount in first if amount]
    neither = [row["tokens"] is None and row["samples"] is None for row in records]
    steps = [row["step"] for row in rows if row["step"] is not None]
    sets = {
        metric: {row["eval_set"] for row in rows if row["metric"] == metric}
        for metric in ("loss", "bits_per_byte")
    }
    return {
        "first": rows[0]["row"],
        "last": rows[-1]["row"],
        "lines": len(records),
        "restarts": len(rows) - len(records),
        "counts_steps": any(neither),
        "counts_tokens": any(amount is not None for _, amount in first),
        "counts_samples": any(r["tokens"] is None and r["samples"] is not None for r in rows),
        "advances": any((r["step"] or 0) > 0 or (r["tokens"] or 0) > 0 for r in records),
        "least_step": min(steps, default=None),
        "most_step": max(steps, default=None),
        "lowest": min((rate for _, rate in rates), default=None),
        "highest": max((rate for _, rate in rates), default=None),
        "counted_to": max((step for step, _ in rates), default=None),
        "rate": max(rates, key=lambda each: each[0], default=(0, None))[1],
        "trains": any(row["train_loss"] is not None for row in rows),
        "eval_sets": sets["loss"],
        "byte_sets": sets["bits_per_byte"],
    }


@pytest.mark.parametrize("seed", range(300))
def test_columns_are_counted_as_rows_are(seed: int) -> None:
    drawn = block(random.Random(seed))  # noqa: S311
    told = [name for name in drawn.columns if drawn[name].count()]
    frame = parsed._with_known_counts(drawn, told)
    rows = [
        row | {name: known(row[name], row["step"]) for name in ("tokens", "samples")}
        for row in drawn.iter_rows(named=True)
    ]
    assert frame.select("tokens", "samples").rows() == [(r["tokens"], r["samples"]) for r in rows]
    runs = {row["run"] for row in rows}
    found = {
        run: {
            name: set(value) if isinstance(value, list) else value
            for name, value in told.items()
            if name != "run"
        }
        for run, told in parsed._counts(frame).items()
    }
    assert found == {run: counted([row for row in rows if row["run"] == run]) for run in runs}


@pytest.mark.parametrize(
    ("texts", "same"),
    [([], False), (["a"], True), (["a", "a"], True), (["a", "b"], False), (["a", None], False),
     ([None, "a"], False), ([None, None], False)],
)  # fmt: skip
def test_one_value_is_told_of_any_texts(texts: list[str | None], *, same: bool) -> None:
    frame = pl.DataFrame({"run": pl.Series(texts, dtype=pl.String)})
    assert parsed.of_one_value(frame, "run") is same
    alone = frame.select(row=pl.int_range(pl.len())).with_columns(run=pl.lit("a"))
    assert parsed.of_one_value(alone, "run") is bool(texts)


@pytest.mark.parametrize("chunks", [1, 3])
@pytest.mark.parametrize("odd", [None, np.nan, np.inf, -np.inf, 1.0, 2.0])
@pytest.mark.parametrize("place", range(6))
def test_steps_rise_if_each_is_finite_and_above_the_one_before(
    odd: float | None, place: int, chunks: int
) -> None:
    values: list[float | None] = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
    values[place] = odd
    whole = pl.Series(values, dtype=pl.Float64)
    size = len(values) // chunks
    steps = pl.concat([whole[at : at + size] for at in range(0, len(values), size)])
    assert steps.n_chunks() == chunks
    assert is_rising(steps) is (odd in {1.0, 2.0} and odd == place)
    assert is_rising(steps.clear()) is False
