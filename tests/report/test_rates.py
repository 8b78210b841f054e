"""The report's sentences of peak learning rates: what trials show, and what they leave open."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from isoflop.estimates.peak_rates import Curvature, RateTrials
from isoflop.numbers import NBSP
from isoflop.report.sections.rates import _at_ends, _beyond, rate_sentences
from tests.example_sweep import TRIALS

if TYPE_CHECKING:
    from isoflop.report.inputs import ReportInputs
    from tests.report.conftest import Rendered


def said(inputs: ReportInputs) -> list[str]:
    return [sentence.replace(NBSP, " ") for sentence in rate_sentences(inputs)]


def test_two_rates_show_no_cost_and_stand_in_the_table_of_runs(rendered: Rendered) -> None:
    (sentence,) = said(rendered.inputs)
    assert sentence.startswith("No three peak learning rates were tried")
    assert "no interval covers it" in " ".join(" ".join(rendered.page.words).split())
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
    assert "at 1 of them the best has one on either side." in where
    assert "than any of these" in where
    # 0.02 (log 2)^2 and a quarter of it
    assert "a factor of two costs 0.0096 nats per token (standard error " in what
    assert what.endswith("one off by √2 0.0024.")


def test_a_cost_that_hangs_on_the_ratio_gives_both_ends(rendered: Rendered) -> None:
    inputs = rendered.inputs
    (template,) = inputs.runs.filter(role="tuning").head(1).iter_rows(named=True)
    factors = (0.25, 0.5, 1.0, 2.0, 4.0)
    trials, entries = [], []
    for ratio, k in ((5.0, 0.04), (300.0, 0.01)):
        for i, factor in enumerate(factors):
            run = template | {
                "run": f"r{ratio}-{factor}",
                "lr_peak": 0.004 * factor,
                "tokens": ratio * template["params_total"],
            }
            loss = 2.4 + k * np.log(factor) ** 2 + 1e-5 * (1, -4, 6, -4, 1)[i]
            trials.append(run)
            entries.append(
                {
                    "sweep": "s",
                    "stage": "losses",
                    "item": run["run"],
                    "points": 1,
                    "reason": "r",
                    "loss": loss,
                }
            )
    runs = pl.concat(
        [inputs.runs.filter(role="fit"), pl.DataFrame(trials, schema=inputs.runs.schema)]
    )
    left_out = pl.DataFrame(entries, schema=inputs.left_out.schema)
    *_, unequal = said(replace(inputs, runs=runs, left_out=left_out))
    assert (
        "for a factor of two it is 0.0192 at 5.00 and 0.0048 at 300 tokens per parameter" in unequal
    )


def test_a_sweep_without_trials_says_what_is_not_known(rendered: Rendered) -> None:
    inputs = rendered.inputs
    alone = replace(inputs, left_out=inputs.left_out.filter(pl.col("loss").is_null()))
    (sentence,) = said(alone)
    assert "not known" in sentence
    assert "no interval covers it" in sentence


def test_where_the_best_rate_is_at_an_end_is_told() -> None:
    nothing = Curvature((5.0, 300.0), 0.0, None, 0.0, 0)
    trials = RateTrials(9, 3, (5.0, 300.0), 0.0, 0, 4, (5.0,), (120.0, 300.0), nothing, (), None)
    told = _at_ends(trials)
    assert told == (
        ", and elsewhere it is the lowest at 5.00 and the highest at 120 and 300 tokens per "
        "parameter: it may lie beyond"
    )
    assert _beyond(trials) == " Of the fitted runs 4 have more tokens than any of these."
    both = replace(trials, more_params=1)
    assert _beyond(both) == (
        " Of the fitted runs 1 has more parameters and 4 have more tokens than any of these."
    )
    inside = replace(trials, at_lowest=(), at_highest=(), more_tokens=0)
    assert _at_ends(inside) == _beyond(inside) == ""
