"""The shipped coverage table: enough simulations, defaults that follow it, a page that says it."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

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
    own = coverage.filter(pl.col("approach") != "mixture")
    assert own["simulations"].min() >= 500
    assert set(own["truth"]) == {"parametric"}
    runs = own.filter(scheme="runs")
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
    own = coverage.filter(
        approach=approach, scheme=default.scheme, interval=default.interval
    ).filter(pl.col("column").is_in(["a", "b", "in range"]))
    assert own.height == 6
    assert own.filter(level=0.8)["coverage"].is_between(0.77, 0.83).all()
    assert own.filter(level=0.95)["coverage"].is_between(0.93, 0.97).all()


def test_the_page_says_what_the_table_says(coverage: pl.DataFrame) -> None:
    shown = 0
    for line in (DOCS / "coverage.md").read_text(encoding="utf-8").splitlines():
        words = [cell.strip().replace("`", "").replace("*", "") for cell in line.split("|")[1:-1]]
        if len(words) != 10 or words[0] not in set(coverage["approach"]):
            continue
        scheme, _, kind = words[1].rpartition(", ")
        own = coverage.filter(approach=words[0], scheme=scheme or "runs", interval=kind)
        expected = [
            own.filter(column=column, level=level)["coverage"].item()
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
"""Where the page tells the mixture's coverage."""


def test_the_mixture_covers_whichever_law_is_true(coverage: pl.DataFrame) -> None:
    own = coverage.filter(approach="mixture")
    assert set(own["truth"]) == {"parametric", "nested", "root", "kaplan_law"}
    assert own["simulations"].min() >= 200
    assert own["refused"].max() == 0
    # the standard error of a share of 200 is .03 at 80 % and .015 at 95 %
    assert own.filter(level=0.8)["coverage"].is_between(0.74, 0.90).all()
    assert own.filter(level=0.95)["coverage"].is_between(0.90, 0.99).all()


@pytest.mark.parametrize("truth", ["parametric", "nested", "root", "kaplan_law"])
def test_the_page_says_what_the_mixture_covers(coverage: pl.DataFrame, truth: str) -> None:
    lines = (DOCS / "coverage.md").read_text(encoding="utf-8").splitlines()
    # truth, noise, and two levels of each place; the other tables have fewer columns
    rows = [line.split("|")[1:-1] for line in lines if line.startswith(f"| `{truth}` ")]
    (row,) = [cells for cells in rows if len(cells) == 2 + 2 * len(PLACES)]
    shown = [float(cell) for cell in row[2:]]
    own = coverage.filter(approach="mixture", truth=truth)
    expected = [
        100 * own.filter(quantity=quantity, level=level, where=where)["coverage"].item()
        for quantity, where in PLACES
        for level in (0.8, 0.95)
    ]
    assert shown == pytest.approx(expected, abs=0.051)
