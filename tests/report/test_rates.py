"""The report's sentences of peak learning rates: what trials show, and what they leave open."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from isoflop.numbers import NBSP
from isoflop.report.sections.rates import rate_sentences
from tests.example_sweep import TRIALS

if TYPE_CHECKING:
    from isoflop.report.inputs import ReportInputs
    from tests.report.conftest import Rendered


def said(inputs: ReportInputs) -> list[str]:
    return [sentence.replace(NBSP, " ") for sentence in rate_sentences(inputs)]


def test_two_trials_are_told_and_show_no_curvature(rendered: Rendered) -> None:
    where, what = said(rendered.inputs)
    assert where.startswith("Peak learning rates were tried at 1 pair of *N* and *D* (2 runs, ")
    assert "show no curvature" in what
    assert "show no curvature" in " ".join(rendered.page.words)
    rows = {row[0]: row for row in rendered.page.tables["tbl-runs"][1:]}
    for run, (_, loss) in TRIALS.items():
        assert f"{loss:.4f}" in rows[run]


def test_a_grid_says_what_a_wrong_rate_costs(rendered: Rendered) -> None:
    inputs = rendered.inputs
    fit = inputs.runs.filter(role="fit")
    (template,) = inputs.runs.filter(role="tuning").head(1).iter_rows(named=True)
    factors = np.geomspace(0.25, 4.0, 5)
    trials = [
        template | {"run": f"lr{factor}", "lr_peak": 0.004 * factor} for factor in factors.tolist()
    ]
    runs = pl.concat([fit, pl.DataFrame(trials, schema=inputs.runs.schema)])
    losses = 2.4 + 0.02 * np.log(factors) ** 2 + 1e-5 * np.array([1, -1, 0, -1, 1])
    entries = [
        {"sweep": "s", "stage": "losses", "item": run["run"], "points": 1, "reason": "r", "loss": x}
        for run, x in zip(trials, losses.tolist(), strict=True)
    ]
    left_out = pl.DataFrame(entries, schema=inputs.left_out.schema)
    where, what = said(replace(inputs, runs=runs, left_out=left_out))
    assert "(5 runs" in where
    # 0.02 (log 2)^2 and a quarter of it
    assert "0.0096 nats per token for a factor of two and 0.0024 nats per token" in what


def test_a_sweep_without_trials_says_what_is_not_known(rendered: Rendered) -> None:
    inputs = rendered.inputs
    alone = replace(inputs, left_out=inputs.left_out.filter(pl.col("loss").is_null()))
    (sentence,) = said(alone)
    assert "not known" in sentence
    assert "no interval covers it" in sentence
