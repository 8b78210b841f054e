"""The shipped coverage table: enough simulations, defaults that follow it, a page that says it."""

from __future__ import annotations

import re
from itertools import product
from pathlib import Path

import polars as pl
import pytest

from isoflop.approaches.uncertainty.departures import DEPARTURES
from isoflop.config.approaches import BootstrapSettings

DOCS = Path(__file__).resolve().parents[1] / "docs"
COLUMNS = ("a", "in range", "1 decade beyond", "2 decades beyond")


@pytest.fixture(scope="module")
def coverage() -> pl.DataFrame:
    return pl.read_csv(DOCS / "coverage.csv").with_columns(
        pl.when(pl.col("quantity") == "params_opt")
        .then(pl.col("where"))
        .otherwise(pl.col("quantity"))
        .alias("column")
    )


def test_every_cell_is_there(coverage: pl.DataFrame) -> None:
    former = coverage.filter(settings="former")
    assert former["simulations"].min() >= 500
    assert set(former["truth"]) == {"parametric"}
    runs = former.filter(scheme="runs")
    kinds = {"percentile", "bca", "studentised", "calibrated"}
    assert set(runs["interval"]) == kinds
    cells = runs.group_by("approach").agg(pl.struct("interval", "column", "level").n_unique())
    # four kinds; a, b and three optima; two levels
    assert dict(cells.iter_rows()) == dict.fromkeys(
        ("envelope", "profiles", "parametric", "kaplan"), 4 * 5 * 2
    )


@pytest.mark.parametrize("approach", ["profiles", "parametric"])
def test_the_default_kind_is_calibrated_within_the_data(
    coverage: pl.DataFrame, approach: str
) -> None:
    default = BootstrapSettings()
    calibrated = coverage.filter(
        approach=approach, scheme=default.scheme, interval=default.interval, truth="parametric"
    ).filter(
        pl.col("quantity").is_in(["a", "b"])
        | (pl.col("quantity") == "params_opt") & (pl.col("where") == "in range"),
        pl.col("settings") != "shared errors",
    )
    # before and since the defaults changed
    assert calibrated.height == 2 * 6
    assert calibrated.filter(level=0.8)["coverage"].is_between(0.76, 0.84).all()
    assert calibrated.filter(level=0.95)["coverage"].is_between(0.93, 0.975).all()


def test_the_page_says_what_the_table_says(coverage: pl.DataFrame) -> None:
    shown = 0
    for line in (DOCS / "coverage.md").read_text(encoding="utf-8").splitlines():
        words = [cell.strip().replace("`", "").replace("*", "") for cell in line.split("|")[1:-1]]
        if len(words) != 10 or words[0] not in set(coverage["approach"]):
            continue
        scheme, _, kind = words[1].rpartition(", ")
        former = coverage.filter(
            approach=words[0], scheme=scheme or "runs", interval=kind, settings="former"
        )
        expected = [
            former.filter(column=column, level=level)["coverage"].item()
            for column in COLUMNS
            for level in (0.8, 0.95)
        ]
        assert [float(word) for word in words[2:]] == pytest.approx(
            [100 * share for share in expected], abs=0.051
        )
        shown += 1
    assert shown == 4 * 4 + 2 * 2 * 2


PLACES = (
    ("a", ""),
    ("params_opt", "in range"),
    ("params_opt", "2 decades beyond"),
    ("loss_opt", "in range"),
    ("loss_opt", "2 decades beyond"),
)
"""What the page tells of every truth."""
ANSWERS = ("envelope", "profiles", "parametric", "nested", "mixture")
SHOWN = {"mixture": "default"}
"""Column ``settings`` of the answers that are not calibrated under one law."""
TRUTHS = ("parametric", "nested", "root", "kaplan_law", *DEPARTURES)


def test_every_truth_was_put_to_every_answer(coverage: pl.DataFrame) -> None:
    rows = coverage.filter(pl.col("settings").is_in(["default", "one law"]))
    assert set(rows["truth"]) == set(TRUTHS)
    assert rows["simulations"].min() >= 200
    assert rows.filter(truth="parametric")["simulations"].min() >= 500
    for truth, answer in product(TRUTHS, ANSWERS):
        cells = rows.filter(truth=truth, approach=answer, settings=SHOWN.get(answer, "one law"))
        assert {"a", "params_opt", "loss_opt"} <= set(cells["quantity"])
        assert cells["refused"].max() <= 0.1 * cells["simulations"].max(), (truth, answer)


def test_the_mixture_covers_whichever_law_is_true(coverage: pl.DataFrame) -> None:
    mixture = coverage.filter(approach="mixture", settings="default")
    mixture = mixture.filter(~pl.col("truth").is_in([*DEPARTURES]))
    assert mixture.height == 4 * 7 * 2
    assert mixture["refused"].max() == 0
    # the standard error of a share of 200 is .03 at 80 % and .015 at 95 %
    assert mixture.filter(level=0.8)["coverage"].is_between(0.74, 0.90).all()
    assert mixture.filter(level=0.95)["coverage"].is_between(0.90, 0.99).all()


LAWS_OF = {
    "novels": ("parametric", "nested", "root", "kaplan_law", "product"),
    "novels-gpu": ("parametric", "nested", "root", "kaplan_law", "product"),
}
"""Laws that are the truth of the sweeps imitating each shipped sweep."""


@pytest.mark.parametrize("sweep", LAWS_OF)
def test_the_calibrated_mixture_covers_on_sweeps_that_did_not_place_its_ends(
    coverage: pl.DataFrame, sweep: str
) -> None:
    """On the shipped sweeps' designs, errors that sizes share included."""
    rows = coverage.filter(settings="shared errors", approach="mixture", sweep=sweep)
    laws = rows.filter(pl.col("truth").is_in(LAWS_OF[sweep]))
    assert laws.height == len(LAWS_OF[sweep]) * 7 * 2
    assert laws["simulations"].min() >= 500
    assert laws["refused"].max() == 0
    # every interval is given, but one that the page names
    some = laws.filter(pl.col("given") < 1.0).select("truth", "quantity", "where", "level")
    assert some.rows() == (
        [("kaplan_law", "loss_opt", "in range", 0.95)] if sweep == "novels" else []
    )
    # and every departure was put to it
    assert {*DEPARTURES} < set(rows["truth"])
    # the standard error of a share of 500, with that of the ends, is .026 at 80 % and .014 at 95 %
    # beyond the data of novels-gpu losses are covered too often, as the page says
    most, most_at_95 = {"novels": (0.90, 0.99), "novels-gpu": (0.95, 0.995)}[sweep]
    assert laws.filter(level=0.8)["coverage"].is_between(0.75, most).all()
    assert laws.filter(level=0.95)["coverage"].is_between(0.90, most_at_95).all()
    lines = (DOCS / "coverage.md").read_text(encoding="utf-8").splitlines()
    spans = {
        "novels": "80 % covers 80 to 90 % and 95 % covers 93 to 99 % on `novels`",
        "novels-gpu": "on `novels-gpu`, under the same five, 77 to 94 and 92 to 99 %",
    }
    assert any(spans[sweep] in line for line in lines)
    ends = [laws.filter(level=level)["coverage"] for level in (0.8, 0.95)]
    found = [round(100 * of(each)) for each in ends for of in (min, max)]
    assert found == {"novels": [80, 90, 93, 99], "novels-gpu": [77, 94, 92, 99]}[sweep]
    shown = 0
    for line in lines:
        cells = [cell.strip().strip("`") for cell in line.split("|")[1:-1]]
        if len(cells) != 8 or cells[1:3] != [sweep, "mixture"]:
            continue
        for cell, (quantity, where) in zip(cells[3:], PLACES, strict=True):
            one = rows.filter(truth=cells[0], quantity=quantity)
            one = one.filter(pl.col("where").fill_null("") == where).sort("level")
            expected = [
                f"{100 * share:.0f}" + (f" of {100 * part:.0f}" if part < 1.0 else "")
                for share, part in one.select("coverage", "given").iter_rows()
            ]
            assert cell == " · ".join(expected), (cells[0], quantity, where)
        shown += 1
    assert shown == rows["truth"].n_unique()


def test_not_knowing_the_law_costs_less_than_twice_the_width(coverage: pl.DataFrame) -> None:
    """Where approach 3's law is true, beside approach 3's own intervals of the same design."""
    cells = coverage.filter(settings="shared errors", sweep="novels", truth="parametric")
    for quantity in ("params_opt", "loss_opt"):
        of_place = cells.filter(quantity=quantity).sort("where", "level")
        mixture, alone = (
            of_place.filter(approach=answer)["median_width"].log()
            for answer in ("mixture", "parametric")
        )
        assert len(mixture) == len(alone) == 3 * 2
        ratio = mixture / alone
        assert ratio.max() < 2.0
        # as the page says
        least, most = {"params_opt": (0.985, 1.105), "loss_opt": (0.945, 1.015)}[quantity]
        assert ratio.is_between(least, most).all()


def test_approach_3_covers_no_loss_where_its_law_is_not_true(coverage: pl.DataFrame) -> None:
    """What the table is for: calibrated under its own law, it is certified where it is wrong."""
    losses = coverage.filter(settings="one law", approach="parametric", quantity="loss_opt")
    assert losses.filter(truth="parametric", level=0.95)["coverage"].min() > 0.85
    for truth in ("nested", "root", "kaplan_law"):
        assert losses.filter(truth=truth)["coverage"].max() < 0.05


@pytest.mark.parametrize("truth", TRUTHS)
def test_the_page_says_what_every_answer_covers(coverage: pl.DataFrame, truth: str) -> None:
    lines = (DOCS / "coverage.md").read_text(encoding="utf-8").splitlines()
    rows = [
        [cell.strip() for cell in line.split("|")[1:-1]] for line in lines if line.startswith("| `")
    ]
    shown = {
        row[1].strip("`"): row[2:]
        for row in rows
        if row[0] == f"`{truth}`" and len(row) == 7 and " of " not in row[2]
    }
    assert set(shown) == set(ANSWERS)
    for answer, cells in shown.items():
        for cell, (quantity, where) in zip(cells, PLACES, strict=True):
            expected = coverage.filter(
                settings=SHOWN.get(answer, "one law"),
                approach=answer,
                truth=truth,
                quantity=quantity,
            ).filter(pl.col("where").fill_null("") == where)
            if expected.is_empty():
                assert cell == "–"
                continue
            shares = [100 * share for share in expected.sort("level")["coverage"]]
            assert [float(part) for part in cell.strip("*").split("·")] == pytest.approx(
                shares, abs=0.051
            )


def test_an_interval_that_is_given_covers_whichever_law_is_true(coverage: pl.DataFrame) -> None:
    """Calibrated under every law that a sweep does not reject; and the page says so."""
    alone = coverage.filter(settings="shared errors", sweep="novels")
    alone = alone.filter(pl.col("approach") != "mixture")
    truths = (*TRUTHS, "product")
    for truth, answer in product(truths, ("envelope", "profiles", "parametric", "nested")):
        assert alone.filter(truth=truth, approach=answer).height > 0, (truth, answer)
    rows = alone.filter(pl.col("given") >= 0.2, ~pl.col("truth").is_in([*DEPARTURES]))
    # two standard errors of a share of 200 sweeps are .08 at 80 % and .04 at 95 %
    assert rows.filter(level=0.8)["coverage"].min() >= 0.80 - 0.08
    # but three, which the page names: losses of approach 3 beyond runs of another law
    low = rows.filter(pl.col("coverage") < 0.95 - 0.045, level=0.95)
    named = low.select("approach", "truth", "quantity", "where")
    assert sorted(named.rows()) == [
        ("parametric", "nested", "loss_opt", "1 decade beyond"),
        ("parametric", "nested", "loss_opt", "2 decades beyond"),
        ("parametric", "root", "loss_opt", "1 decade beyond"),
    ]
    assert alone["simulations"].min() >= 200
    assert alone.filter(truth="parametric", approach="parametric")["simulations"].min() >= 500
    lines = (DOCS / "coverage.md").read_text(encoding="utf-8").splitlines()
    cells = [[c.strip() for c in line.split("|")[1:-1]] for line in lines if line[:3] == "| `"]
    shown = [row for row in cells if len(row) == 8 and re.fullmatch("[0-9]+ of [0-9]+", row[7])]
    assert len(shown) == alone.select("truth", "approach").n_unique()
    for truth, answer, *words, refused in shown:
        one = alone.filter(truth=truth.strip("`"), approach=answer.strip("`"))
        counts = one.select("refused", "simulations").unique().rows()
        assert counts == [tuple(map(int, refused.split(" of ")))]
        for (quantity, where), word in zip(PLACES, words, strict=True):
            levels = one.filter(
                pl.col("where").fill_null("") == where, pl.col("quantity") == quantity
            )
            expected = [
                "none" if share is None else f"{100 * share:.0f} of {100 * part:.0f}"
                for share, part in levels.sort("level").select("coverage", "given").iter_rows()
            ]
            assert word == (" · ".join(expected) or "\N{EN DASH}")


@pytest.mark.parametrize(
    ("heading", "settings"),
    [
        ("### All five laws alike", "equal weights"),
        ("### With priors from the other studies", "priors"),
    ],
)
def test_the_page_says_what_another_mixture_covers(
    coverage: pl.DataFrame, heading: str, settings: str
) -> None:
    """And its widths beside those of today's mixture on the same design."""
    page = (DOCS / "coverage.md").read_text(encoding="utf-8")
    section = page.partition(heading)[2].partition("\n###")[0]
    other = coverage.filter(settings=settings)
    today = coverage.filter(settings="shared errors", sweep="novels", approach="mixture")
    rows = [line for line in section.splitlines() if line.startswith("| `")]
    assert len(rows) == other["truth"].n_unique() == 5
    for line in rows:
        truth, *cells = [cell.strip().strip("`") for cell in line.split("|")[1:-1]]
        for cell, (quantity, where) in zip(cells, PLACES, strict=True):
            of_place = pl.col("where").fill_null("") == where
            here, there = (
                table.filter(of_place, truth=truth, quantity=quantity).sort("level")
                for table in (other, today)
            )
            shares = [
                f"{100 * share:.0f}" + (f" of {100 * part:.0f}" if part < 1.0 else "")
                for share, part in here.select("coverage", "given").iter_rows()
            ]
            widths = [table["median_width"] for table in (here, there)]
            if quantity != "a":
                widths = [width.log() for width in widths]
            ratios = [f"{ratio:.2f}".removeprefix("0") for ratio in widths[0] / widths[1]]
            assert cell == f"{' · '.join(shares)} ({' · '.join(ratios)})", (truth, quantity, where)


def test_the_page_says_what_equal_weights_cover(coverage: pl.DataFrame) -> None:
    page = (DOCS / "coverage.md").read_text(encoding="utf-8")
    alike = coverage.filter(settings="equal weights")
    ends = [alike.filter(level=level)["coverage"] for level in (0.8, 0.95)]
    assert "78 to 97 and 91 to 100 %" in page.partition("### All five laws alike")[2]
    assert [100 * f(e) for e in ends for f in (min, max)] == pytest.approx([78, 97, 91, 100])
