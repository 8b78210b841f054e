"""Whether runs of several schedules end alike, in the report's words."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import polars as pl

from isoflop.numbers import NBSP
from isoflop.report.sections.schedules import schedule_sentences

if TYPE_CHECKING:
    from isoflop.report.inputs import ReportInputs
    from tests.report.conftest import Rendered


def mixed(inputs: ReportInputs, others: int, share: float) -> ReportInputs:
    """Let some fitted runs be cooldowns that end another share higher."""
    runs = inputs.runs.filter(role="fit")["run"].sort()
    cooled = pl.col("run").is_in(runs.gather_every(len(runs) // others)[:others].implode())
    kind = pl.when(cooled).then(pl.lit("cooldown")).otherwise(pl.lit("cosine"))
    factor = pl.when(cooled).then(1.0 + share).otherwise(1.0)
    return replace(
        inputs,
        runs=inputs.runs.with_columns(schedule_kind=kind),
        losses=inputs.losses.with_columns(loss=pl.col("loss") * factor),
    )


def sentences(inputs: ReportInputs) -> str:
    return " ".join(schedule_sentences(inputs)).replace(NBSP, " ")


def test_one_schedule_needs_no_word(rendered: Rendered) -> None:
    kind = pl.lit("cosine").alias("schedule_kind")
    alike = replace(rendered.inputs, runs=rendered.inputs.runs.with_columns(kind))
    assert schedule_sentences(alike) == []


def test_a_schedule_that_ends_lower_is_told_with_its_error(rendered: Rendered) -> None:
    text = sentences(mixed(rendered.inputs, 8, -0.03))
    assert "Measured against the laws fitted to all, the losses of the 8 others are " in text
    assert re.search(r"standard errors\) than those of the \d+\. A law takes", text)
    assert " % lower under " in text
    assert "fit one schedule alone (`losses.schedules`: `commonest`" in text
    assert " % higher under " in sentences(mixed(rendered.inputs, 8, 0.03))


def test_schedules_that_end_alike_are_within_their_noise(rendered: Rendered) -> None:
    assert "That is within their noise." in sentences(mixed(rendered.inputs, 8, 0.0))


def test_a_few_runs_show_nothing(rendered: Rendered) -> None:
    assert "So few do not show" in sentences(mixed(rendered.inputs, 2, -0.03))
