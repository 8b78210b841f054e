"""Announced losses in the report: untrained, scored, or missed."""

from __future__ import annotations

import re
from dataclasses import replace
from html import unescape
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest

from isoflop.approach import IN_PROSE
from isoflop.config.approaches import ApproachesSettings
from isoflop.escape import code
from isoflop.estimates.announced import (
    PAIR_RULE,
    RULE,
    AnnouncedLoss,
    AnnouncedRun,
    Announcement,
    PairAnnouncement,
)
from isoflop.estimates.estimate import Counting
from isoflop.numbers import MINUS, NONE
from isoflop.report.document import write_document
from isoflop.report.render import to_html
from isoflop.report.sections.announced import announced_facts, pair_facts, score
from isoflop.report.sections.check import check_pair
from tests import example_sweep
from tests.report.conftest import empty_figures

if TYPE_CHECKING:
    from isoflop.report.inputs import ReportInputs

ERRORS = {"mixture": (0.01, -0.03), "parametric": (0.02, 0.04)}
HALF = {"0.8": 0.02, "0.95": 0.035}


def said(loss: float) -> AnnouncedLoss:
    return AnnouncedLoss(
        predicted=loss, intervals={level: (loss - h, loss + h) for level, h in HALF.items()}
    )


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> ReportInputs:
    """Give a sweep whose two check runs were announced, by given errors."""
    root = tmp_path_factory.mktemp("inputs")
    empty_figures(root)
    written = example_sweep.write(root).report_inputs(root)
    checks = written.losses.filter((pl.col("role") == "check") & pl.col("is_final")).sort("run")
    assert checks.height == 2
    runs = [
        AnnouncedRun(
            run=row["run"],
            params=row["params_total"],
            tokens=row["tokens"],
            flops=row["flops_6nd"],
            losses={key: said(row["loss"] + errors[i]) for key, errors in ERRORS.items()},
        )
        for i, row in enumerate(checks.iter_rows(named=True))
    ]
    announcement = Announcement(
        sweep=written.sweep,
        runs_fitted=36,
        flops_fitted=(3e11, 1e13),
        losses_sha256="0" * 64,
        counting=Counting(params="total", flops="6nd"),
        weights={"parametric": 1.0},
        refused={},
        settings=ApproachesSettings().only("counting"),
        rule=RULE,
        runs=tuple(runs),
    )
    return replace(written, announcement=announcement)


def untrained(inputs: ReportInputs) -> ReportInputs:
    assert inputs.announcement is not None
    names = [run.run for run in inputs.announcement.runs]
    return replace(
        inputs,
        losses=inputs.losses.filter(~pl.col("run").is_in(names)),
        runs=inputs.runs.filter(~pl.col("run").is_in(names)),
    )


def test_scores_follow_the_announced_rule(inputs: ReportInputs) -> None:
    facts = announced_facts(inputs)
    assert facts is not None
    assert facts.scores is not None
    mixture, parametric = facts.scores.data
    assert mixture[:2] == ["mixture", 2]
    assert mixture[2] == pytest.approx(-0.01)
    assert mixture[3] == pytest.approx(np.sqrt((0.01**2 + 0.03**2) / 2))
    assert mixture[4:6] == [1, 2]  # .03 lies outside +-.02, and inside +-.035
    # widths, and 2/alpha times what is missed
    assert mixture[6] == pytest.approx(0.04 + 2 / 0.2 * 0.01 / 2)
    assert mixture[7] == pytest.approx(0.07)
    assert parametric[4:6] == [1, 1]
    assert parametric[7] == pytest.approx(0.07 + 2 / 0.05 * 0.005 / 2)
    summary = facts.summary.replace("\xa0", " ")
    assert (
        "The announced mixture missed the 2 measured losses by −0.0100 nats per token on average"
        in summary
    )
    assert "1 lie inside its 80 % intervals and 2 inside its 95 %" in summary
    assert facts.verdict.replace("\xa0", " ") == (
        "Of 2 final losses [announced before training](#announced-losses), 1 lies inside the 80 % "
        "intervals of the mixture announced then."
    )
    assert facts.verdict in write_document(inputs).markdown.split("# The data")[0]
    errors = [row[-1] for row in facts.table.rows]
    assert errors == ["+0.0100", "+0.0200", "−0.0300", "+0.0400"]


def test_nothing_is_scored_before_a_run_is_trained(inputs: ReportInputs) -> None:
    facts = announced_facts(untrained(inputs))
    assert facts is not None
    assert facts.scores is None
    assert facts.verdict == ""
    assert facts.weights == IN_PROSE["parametric"]
    assert facts.summary.endswith("None is trained yet.")
    assert {row[-2] for row in facts.table.rows} == {NONE}
    assert facts.rule == RULE


def test_a_run_without_a_final_loss_is_a_miss(inputs: ReportInputs) -> None:
    assert inputs.announcement is not None
    lost = inputs.announcement.runs[0].run
    facts = announced_facts(replace(inputs, losses=inputs.losses.filter(pl.col("run") != lost)))
    assert facts is not None
    assert "ended without a final loss, which counts as a miss of every law" in facts.summary
    assert "not trained yet" not in facts.summary
    assert facts.verdict.startswith("Of 2\xa0final losses")
    assert ", 0 lie inside" in facts.verdict


def test_of_the_announced_runs_only_those_sized_by_an_exponent_are_a_check_pair(
    inputs: ReportInputs,
) -> None:
    pair = check_pair(inputs)
    assert pair is not None
    assert {run.whose for run in pair.sizes} == {"Kaplan’s exponent", "Chinchilla’s exponent"}
    named = pl.concat_str(pl.lit("announced-"), "run")
    assert inputs.announcement is not None
    runs = [
        run.model_copy(update={"run": f"announced-{run.run}"}) for run in inputs.announcement.runs
    ]
    others = replace(
        inputs,
        losses=inputs.losses.with_columns(
            run=pl.when(pl.col("role") == "check").then(named).otherwise("run"),
            sized_by=pl.lit(None, dtype=pl.String),
        ),
        announcement=inputs.announcement.model_copy(update={"runs": tuple(runs)}),
    )
    assert check_pair(others) is None
    assert check_pair(replace(others, announcement=None)) is not None


def test_the_section_stands_where_there_is_an_announcement(inputs: ReportInputs) -> None:
    assert "# Announced in advance" in write_document(inputs).markdown
    assert "Announced in advance" not in write_document(replace(inputs, announcement=None)).markdown


def test_one_law_is_scored_alone_when_one_run_is_known(inputs: ReportInputs) -> None:
    assert inputs.announcement is not None
    first = inputs.announcement.runs[0]
    true = first.losses["mixture"].predicted - 0.01
    found = score(inputs.announcement, {first.run: true})
    assert [one.n for one in found] == [1, 1]
    assert found[0].bias == pytest.approx(0.01)


def test_the_announced_mixture_is_named(inputs: ReportInputs) -> None:
    assert inputs.announcement is not None

    def weights(**shares: float) -> str:
        facts = announced_facts(
            replace(inputs, announcement=inputs.announcement.model_copy(update={"weights": shares}))
        )
        assert facts is not None
        return facts.weights

    assert weights(parametric=0.5, root=0.5).endswith(", all alike")
    assert weights(parametric=0.75, root=0.25).count("%") == 2


@pytest.fixture
def paired(inputs: ReportInputs) -> ReportInputs:
    """Give a sweep whose pair has three seeds a size, with a difference that was announced."""
    first = inputs.losses.filter((pl.col("role") == "check") & pl.col("is_final")).sort(
        "params_total"
    )
    whose = dict(zip(first["run"], ("chinchilla", "kaplan"), strict=True))
    seeds = [
        first.with_columns(
            run=pl.Series([f"{whose[run]}-s{seed}" for run in first["run"]]),
            loss=pl.Series([2.0 + 0.01 * seed, 2.3 - 0.01 * seed]),
        )
        for seed in (1, 2, 3)
    ]
    announcement = inputs.announcement
    assert announcement is not None
    fields = announcement.model_dump(exclude={"runs"})
    pair = PairAnnouncement(
        **{**fields, "rule": PAIR_RULE},
        flops=6e9,
        runs={
            "kaplan": ("kaplan-s1", "kaplan-s2"),
            "chinchilla": ("chinchilla-s1", "chinchilla-s2", "chinchilla-s3"),
        },
        noise=0.05,
        difference={"parametric": said(0.2), "mixture": said(0.25)},
    )
    return replace(inputs, losses=pl.concat([inputs.losses, *seeds]), announced_pair=pair)


def test_a_difference_is_that_of_the_means_over_the_announced_runs(paired: ReportInputs) -> None:
    facts = pair_facts(paired)
    assert facts is not None
    # kaplan-s3 was not announced: means of 2.29 and 2.28, and of 2.01, 2.02 and 2.03
    measured = 2.285 - 2.02
    error = (0.00005 / 2 + 0.0001 / 3) ** 0.5
    assert f"Measured is {measured:.4f} with a standard error of {error:.4f}" in facts.summary
    assert "5.0 times the standard deviation (0.0500)" in facts.summary
    assert "inside the announced 80" in facts.summary
    assert f"came out at {measured:.4f}" in facts.verdict
    # of the runs of the pair that were not announced, each size has some
    assert "that were trained before, left out here, differed by" in facts.summary
    shown = {row[0]: row for row in facts.table.data}
    assert shown["mixture"][1] == 0.25
    assert shown["parametric"][-1] == pytest.approx(measured)
    assert facts.table.rows[0][-1].startswith(f"{MINUS}0.0150")
    assert facts.rule == PAIR_RULE
    assert "{#announced-pair}" in write_document(paired).markdown


def test_runs_of_a_pair_without_a_loss_are_named(paired: ReportInputs) -> None:
    lost = replace(paired, losses=paired.losses.filter(pl.col("run") != "kaplan-s2"))
    facts = pair_facts(lost)
    assert facts is not None
    assert f"No final loss is there of {code('kaplan-s2')}; the means" in facts.summary
    assert f"Measured is {2.29 - 2.02:.4f}: predicted" in facts.summary
    none = replace(paired, losses=paired.losses.filter(~pl.col("run").str.contains("-s[123]")))
    facts = pair_facts(none)
    assert facts is not None
    assert facts.summary.endswith("None is trained yet.")
    assert not facts.verdict
    assert {row[-2] for row in facts.table.rows} == {NONE}


def test_a_difference_outside_is_said_to_be(paired: ReportInputs) -> None:
    assert paired.announced_pair is not None
    far = paired.announced_pair.model_copy(update={"difference": {"mixture": said(0.9)}})
    facts = pair_facts(replace(paired, announced_pair=far))
    assert facts is not None
    assert "outside every announced interval" in facts.summary


def test_the_announced_rule_is_text_and_no_markup(inputs: ReportInputs) -> None:
    """It comes from a file, such as that of somebody else's sweep: nothing of it is obeyed."""
    rule = "# Head\n\n<script>alert(1)</script> *never* [here](http://x.test) @kaplan2020 ^[note]"
    assert inputs.announcement is not None
    hostile = replace(inputs, announcement=inputs.announcement.model_copy(update={"rule": rule}))
    source = write_document(hostile).markdown
    html = to_html(source, {"title": "t"}, hostile.figures, works=None)
    (shown,) = re.findall(r"(?s)The rule of scoring was announced too:</p>(.*?)<figure", html)
    paragraphs = re.findall(r"(?s)<p>(.*?)</p>", shown)
    assert [unescape(text) for text in paragraphs][:2] == rule.split("\n\n")
    assert "<script>alert" not in html
    assert "x.test" not in "".join(re.findall(r'href="([^"]*)"', html))
