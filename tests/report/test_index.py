from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import polars as pl
import pytest
from matplotlib import rc_context

from isoflop.approach import APPROACHES, MIXTURE, NAMES
from isoflop.config.sidecar import SweepFile
from isoflop.drawing import exponents, style
from isoflop.escape import BREAK
from isoflop.estimates.estimate import read_estimates
from isoflop.estimates.mixture import Mixture, read_mixture
from isoflop.numbers import NONE, count, fixed, interval, power, ratio
from isoflop.reference import read_reference
from isoflop.report import downstream_figure
from isoflop.report.render_index import (
    IndexedSweep,
    _groups,
    _sweeps_table,
    read_answers,
    render_index,
)
from isoflop.tables import Runs, read_table
from tests import example_sweep
from tests.outputs import html_text, leaks
from tests.report.page import read_page
from tests.report.study import number

if TYPE_CHECKING:
    from pathlib import Path


def test_the_index_puts_sweeps_beside_the_papers(tmp_path: Path) -> None:
    paths = example_sweep.write(tmp_path, refuse=("kaplan",))
    sidecar = SweepFile(title="A made-up *sweep*", description="Made up.")
    runs = read_table(paths.runs, Runs)
    answers = [
        {
            "flops": "1e14",
            "params_counted": "nonembedding",
            "params": "450000",
            "tokens": "37037037",
            "tokens_per_param": "82.3",
            "params_lo95": "400000",
            "params_hi95": "500000",
            "tokens_lo95": "",
            "tokens_hi95": "",
            "against_all": "These runs reject *each* law.",
        },
        {
            "flops": "1e14",
            "params_counted": "total",
            "params": "1",
            "tokens": "1",
            "tokens_per_param": "1",
        },
    ]
    mixture = read_mixture(paths.estimates / "mixture.json")
    sweep = IndexedSweep(
        "made-up", sidecar, read_estimates(paths.estimates), runs, mixture, answers
    )
    out = tmp_path / "index.html"
    line = exponents.Line(
        "mean of three",
        exponents.reproduced(0.51, None, "#000000"),
        exponents.printed(0.5, "D", thick=(0.4, 0.6)),
    )
    published = [
        number(outcome, recomputed=recomputed, exponent=exponents.as_drawn(line))
        for recomputed, outcome in (
            (False, "reproduced"), (False, "near"), (False, "not reproduced"), (True, "reproduced")
        )
    ]  # fmt: skip
    # the second's report was not built
    of_study = replace(sweep, name="published/first", sidecar=SweepFile(title="First of one"))
    facts = read_reference(example_sweep.REFERENCE)
    render_index([sweep], facts, out, published, [of_study])
    page = read_page(out.read_text(encoding="utf-8"))
    assert page.unbalanced == []
    assert page.sources == []
    assert leaks(html_text(out)) == []
    assert {"made-up/report.html", "made-up/report.pdf"} <= set(page.links)
    rows = {row[0].split("\n")[0].strip(): row for row in page.tables["tbl-sweeps"]}
    mine = rows["A made-up *sweep*"]
    assert "These runs reject *each* law." in mine[1]
    words = mine[1].split("\n")[0].strip()
    assert words == "450k (400k–500k) non-embedding parameters, 37.0M tokens"
    assert isinstance(mixture, Mixture)
    assert page.tables["tbl-sweeps"][0][2] == "a, mixture of laws"
    # each exponent has its interval below it, or a dash
    for cell, a in (
        (2, mixture.a),
        *((3 + i, sweep.fitted[name].a) for i, name in enumerate(sweep.fitted)),
    ):
        ends = a.intervals.get("0.95")
        below = NONE if ends is None else interval(*ends, fixed)
        assert [line.strip() for line in mine[cell].split("\n")] == [fixed(a.value), below]
    assert {mine[3].split("\n")[-1].strip(), mine[4].split("\n")[-1].strip()} != {NONE}
    fitted = runs.filter((pl.col("role") == "fit") & ~pl.col("excluded"))
    assert mine[6:8] == ["refused", str(fitted.height)]
    assert mine[8].split("\n")[0].strip() == str(fitted["budget"].n_unique())
    assert mine[9] == f"{NAMES['kaplan']} refused"
    assert rows["Kaplan et al. 2020"][6] == "0.73"
    hoffmann = facts.hoffmann.exponents.rows
    printed = rows["Hoffmann et al. 2022, Table 2"][2:6]
    two = partial(fixed, decimals=2)
    assert [[line.strip() for line in cell.split("\n")] for cell in printed] == [
        [NONE],
        *([two(row.a), interval(*row.a_interval, two)] for row in hoffmann),
    ]
    assert rows["Besiroglu et al. 2024"][5].startswith(fixed(facts.besiroglu.a.value))
    assert "0.474–0.552" in rows["Besiroglu et al. 2024"][5]
    assert rows["Of *one*"][9].replace("\xa0", " ") == (
        "Of 3 published numbers 1 reproduced, 1 near and 1 not reproduced; of 1 recomputed number "
        "1 reproduced"
    )
    assert rows["First of one"][1:] == mine[1:]
    assert [link for link in page.links if link.startswith("published/")] == [
        "published/index.html#one", "published/first/report.html", "published/first/report.pdf",
        "published/index.html", "published/backtest.html",
    ]  # fmt: skip
    # the forest has the mixture, every approach that was fitted, the studies and the papers
    (forest,) = [
        words.replace("\xa0", " ") for words in page.labels if words.startswith("Forest plot")
    ]
    assert (
        f"A made-up *sweep*: {MIXTURE.label}, reproduced {fixed(mixture.a.value)}, 80 %" in forest
    )
    assert f"; {NAMES['envelope']}, reproduced {fixed(sweep.fitted['envelope'].a.value)}" in forest
    assert f"{NAMES['kaplan']}, reproduced" not in forest
    study = "Of *one*: mean of three, reproduced 0.510, published 0.500, 80 % 0.400 to 0.600; "
    assert study in forest
    assert forest.count("published 0.5") >= 2
    # published results that are of no sweep stand here, whole
    words = " ".join(" ".join(page.words).split()).replace("\xa0", " ")
    for printed in ("67.6", "60.0", "65.1", "60.6", "64.5"):
        assert printed in words
    assert "downstream" in page.ids
    assert "Chinchilla does better on 51 of 57 tasks of MMLU" in words


def answer_row(flops: str, params: str, tokens: str) -> dict[str, str]:
    """Write one budget of an answer.csv; its 95 % interval is a fifth to either side."""
    n, d = float(params), float(tokens)
    ends = {f"params_{end}95": str(n * by) for end, by in (("lo", 0.8), ("hi", 1.2))}
    row = {"flops": flops, "params_counted": "total", "params": params, "tokens": tokens}
    return {**row, **ends, "tokens_per_param": str(d / n), "tokens_lo95": "", "tokens_hi95": ""}


def test_each_row_has_its_own_sweeps_answer_at_its_first_budget(tmp_path: Path) -> None:
    paths = example_sweep.write(tmp_path)
    estimates = read_estimates(paths.estimates)
    runs = read_table(paths.runs, Runs)
    mixture = read_mixture(paths.estimates / "mixture.json")
    assert isinstance(mixture, Mixture)
    shifted = mixture.model_copy(update={"a": estimates["profiles"].a})
    answers = (
        [answer_row("1e14", "450000", "37000000"), answer_row("1e15", "2000000", "83000000")],
        [answer_row("3e20", "1300000000", "38000000000"), answer_row("3e21", "4000000000", "1e11")],
    )
    sweeps = [
        IndexedSweep(name, SweepFile(title=name), estimates, runs, mixed, rows)
        for name, mixed, rows in zip(("one", "two"), (mixture, shifted), answers, strict=True)
    ]
    facts = read_reference(example_sweep.REFERENCE)
    rows = _sweeps_table(sweeps, facts, [], []).rows
    for row, sweep, answer in zip(rows, sweeps, answers, strict=False):
        first = answer[0]
        n, d = float(first["params"]), float(first["tokens"])
        ends = interval(0.8 * n, 1.2 * n, count)
        assert f"**[{sweep.name}]" in row[0]
        assert f"{count(n)} ({ends}) parameters, {count(d)} tokens" in row[1]
        assert f"at {power(float(first['flops']))} FLOPs; *D*/*N* = {ratio(d / n)}" in row[1]
        exponents_of = [sweep.mixture, *(estimates[name] for name in APPROACHES)]
        for cell, estimate in zip(row[2:7], exponents_of, strict=True):
            ends95 = estimate.a.intervals.get("0.95")
            below = NONE if ends95 is None else interval(*ends95, fixed)
            assert f"{fixed(estimate.a.value)} {BREAK} [{below}]" in cell
    # the forest has both intervals of each, the wide one thin
    (group, _, papers) = _groups(sweeps, facts, [])
    marks = {line.label: line.ours for line in group.lines}
    for label, estimate in {NAMES[name]: estimates[name] for name in APPROACHES}.items():
        mark = marks[label]
        assert mark is not None
        assert mark.thick == estimate.a.intervals.get("0.8")
        assert mark.thin == estimate.a.intervals.get("0.95")
    assert papers.heading == "The papers"


def test_a_sweep_without_an_answer_says_so(tmp_path: Path) -> None:
    paths = example_sweep.write(tmp_path, refuse=tuple(APPROACHES))
    sweep = IndexedSweep(
        "made-up",
        SweepFile(title="t"),
        read_estimates(paths.estimates),
        read_table(paths.runs, Runs),
        read_mixture(paths.estimates / "mixture.json"),
        read_answers(tmp_path),
    )
    out = tmp_path / "index.html"
    render_index([sweep], read_reference(example_sweep.REFERENCE), out)
    page = read_page(out.read_text(encoding="utf-8"))
    row = page.tables["tbl-sweeps"][1]
    assert row[1:3] == ["none: nothing could be fitted", "none"]
    # no page that was not built is linked to
    assert not [link for link in page.links if link.startswith("published")]


def test_downstream_bars_are_differences() -> None:
    facts = read_reference(example_sweep.REFERENCE).gopher_chinchilla
    style.register_fonts()
    with rc_context(style.RC):
        found = downstream_figure.draw(facts)
    expected = sorted(row.chinchilla - row.gopher for row in facts.mmlu.rows)
    shown = [bar.get_height() for bar in found.figure.axes[0].patches]
    assert shown == pytest.approx(expected)
