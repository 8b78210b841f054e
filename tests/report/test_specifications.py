"""The section on the specification curve says what the table of specifications contains."""

from __future__ import annotations

import csv
import math
import re
from dataclasses import replace
from typing import TYPE_CHECKING

import polars as pl
import pytest

from isoflop.approach import IN_PROSE
from isoflop.choices import CHOICES
from isoflop.numbers import NONE, fixed, signed
from isoflop.report.sections.first_screen import first_screen
from isoflop.report.sections.specifications import analysis, approach_spans, shift, shifts
from tests import example_sweep
from tests.example_sweep import LAW, MOVED
from tests.report.conftest import Rendered, render

if TYPE_CHECKING:
    from pathlib import Path

COUNTING, LOSS = CHOICES[:2]
KAPLAN, HOFFMANN = ("nonembedding", "kaplan"), ("total", "6nd")


def words(rendered: Rendered) -> str:
    return " ".join(" ".join(rendered.page.words).split())


def test_matched_shifts_are_those_that_were_made_up(rendered: Rendered) -> None:
    found = {(one.approach, one.choice.name): one for one in shifts(rendered.inputs.specifications)}
    for approach in ("envelope", "profiles", "parametric"):
        one = found[approach, "Counting"]
        assert (one.before, one.after) == (HOFFMANN, KAPLAN)
        assert one.differences.to_list() == pytest.approx([MOVED[KAPLAN]] * 2)
    assert found["kaplan", "Loss"].median == pytest.approx(MOVED["train"])
    # one level only: nothing to compare
    assert ("kaplan", "Counting") not in found
    assert ("envelope", "Frontier") not in found


def test_a_shift_compares_only_what_is_alike_in_all_else() -> None:
    table = example_sweep.specifications().filter(pl.col("approach") == "envelope")
    # without this row Kaplan's counting on eval losses has no partner
    alone = table.filter(~((pl.col("params") == "total") & (pl.col("loss") == "eval")))
    found = shift(alone, "envelope", COUNTING, HOFFMANN, KAPLAN)
    assert found is not None
    assert found.differences.to_list() == pytest.approx([MOVED[KAPLAN]])
    both = (pl.col("params") == "total") & (pl.col("loss") == "train")
    assert shift(alone.filter(~both), "envelope", COUNTING, HOFFMANN, KAPLAN) is None


def test_a_choice_that_the_runs_do_not_know_moves_nothing(rendered: Rendered) -> None:
    """Final losses have no schedule: both levels of that choice are the same points."""
    table = rendered.inputs.specifications
    same = table.with_columns(a=pl.lit(0.5))
    moved = shift(same, "envelope", COUNTING, HOFFMANN, KAPLAN)
    assert moved is not None
    assert not moved.moves
    facts = analysis(replace(rendered.inputs, specifications=same))
    assert facts.spans is not None
    assert {row[-1] for row in facts.spans.rows} == {NONE}
    assert "counting" not in first_screen(replace(rendered.inputs, specifications=same)).apart
    assert "counting" in first_screen(rendered.inputs).apart


def test_the_text_counts_the_table(rendered: Rendered) -> None:
    table = rendered.inputs.specifications
    said = words(rendered).replace("\xa0", " ")
    a = table["a"]
    assert f"{table.height} specifications, of which {table.height} could be fitted" in said
    span = f"runs from {fixed(a.min())} to {fixed(a.max())}, with a median of {fixed(a.median())}"
    assert span in said
    facts = analysis(rendered.inputs)
    assert facts.contain_hoffmann == sum(abs(x - 0.5) <= 0.04 for x in a)
    assert facts.contain_kaplan == facts.contain_both == 0
    assert facts.without_interval == ""
    assert "no specification reaches 0.73" in said
    share = f"{100 * MOVED[KAPLAN] / 0.23:.0f} % of that distance"
    assert said.count(share) == 3
    assert math.isclose(float(facts.gap), 0.23)


def test_spans_name_the_headline(rendered: Rendered) -> None:
    spans = approach_spans(rendered.inputs.specifications)
    assert [one.headline for one in spans] == pytest.approx([LAW.a] * 3 + [LAW.a + 0.1])
    assert [one.refused for one in spans] == [0] * 4
    shown = rendered.page.tables["tbl-specification-spans"][1:]
    assert [row[3] for row in shown] == [fixed(one.headline or 0.0) for one in spans]


def test_every_specification_is_in_the_folder_of_tables(rendered: Rendered) -> None:
    with (rendered.root / "tables/specifications.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    table = rendered.inputs.specifications
    assert [float(row["a"]) for row in rows] == table["a"].to_list()
    assert list(rows[0]) == table.columns
    written = (rendered.root / "tables/specifications.tex").read_text(encoding="utf-8")
    body = re.split(r"\\(?:midrule|endlastfoot)\n", written)[-1]
    assert body.count("\\\\\n") == len(rows)
    assert "tbl-specifications" not in rendered.page.tables


def test_refusals_are_counted_with_their_reason(bare: Rendered) -> None:
    said = words(bare).replace("\xa0", " ")
    assert "Of 14 specifications, 4 were refused" in said
    assert "4 (2 Profiles): profiles needs 3 budgets; made-up has 1." in said
    assert {one.approach for one in shifts(bare.inputs.specifications.drop_nulls("a"))} == {
        "envelope", "parametric", "kaplan",
    }  # fmt: skip


def test_refusals_name_the_levels_that_they_concern(rendered: Rendered) -> None:
    table = rendered.inputs.specifications
    counted = ["kaplan", "hoffmann", "attention"]
    rows = table.filter(pl.col("approach") == "profiles").head(3)
    more = rows.with_columns(
        flops=pl.Series(counted, dtype=table.schema["flops"]),
        a=None,
        refused=pl.Series(["few", "few", "none"]),
    )
    facts = analysis(replace(rendered.inputs, specifications=pl.concat([table, more])))
    common = {refused.reason: refused.common for refused in facts.refusals}
    assert set(common) == {"few", "none"}
    # each of two countings is named, where both are refused for one reason
    assert " or " in common["few"]
    assert "Kaplan’s *C*" in common["few"]
    assert " or " not in common["none"]


def test_a_sweep_that_allows_none_says_so(tmp_path: Path) -> None:
    every = ("envelope", "profiles", "parametric", "kaplan")
    none = render(tmp_path, refuse=every, hidden=("specifications",))
    said = words(none).replace("\xa0", " ")
    assert "14 specifications, of which 0 could be fitted" in said
    assert "Nothing for specifications." in said
    assert "Over all of them" not in said
    assert "tbl-specification-shifts" not in none.page.tables
    assert none.page.unbalanced == []


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.1004, "+0.100"), (-0.02, "\u22120.020"), (-1e-5, "0.000"), (0.0, "0.000")],
)
def test_differences_have_a_sign_unless_they_are_nothing(value: float, text: str) -> None:
    assert signed(value) == text


def test_estimates_without_an_interval_are_counted_by_approach(rendered: Rendered) -> None:
    table = rendered.inputs.specifications
    without = pl.when(pl.col("specification").is_in([0, 1])).then(None).otherwise
    lacking = table.with_columns(without(pl.col("a_lo95")).alias("a_lo95"))
    facts = analysis(replace(rendered.inputs, specifications=lacking))
    (approach,) = set(table.filter(pl.col("specification").is_in([0, 1]))["approach"])
    shown = facts.without_interval.replace("\xa0", " ")
    assert shown == f"2 estimates stand (all by {IN_PROSE[approach]})"
    assert facts.with_intervals == table.height - 2
