from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from isoflop.approach import APPROACHES
from isoflop.choices import CHOICES
from isoflop.config.approaches import SpecificationsSettings
from isoflop.counting import FLOPS_CONVENTIONS, PARAMS_CONVENTIONS
from isoflop.tables import LOSS_SOURCES, Specifications, validated
from tests import example_sweep


def of(column: str) -> Any:
    return next(choice for choice in CHOICES if column in choice.columns)


@pytest.mark.parametrize("approach", APPROACHES)
def test_every_axis_of_a_grid_is_a_choice_of_its_approach(approach: str) -> None:
    grid = getattr(SpecificationsSettings(), approach, None)
    axes = {"params", "flops", "loss", *type(grid).model_fields} - {"counting"}
    told = {name for one in CHOICES if approach in one.approaches for name in one.columns}
    assert told == axes
    assert told <= set(Specifications.column_names())


@pytest.mark.parametrize("params", PARAMS_CONVENTIONS)
def test_every_counting_has_words_of_its_own(params: str) -> None:
    words = {of("params").words((params, flops)) for flops in FLOPS_CONVENTIONS}
    assert len(words) == len(FLOPS_CONVENTIONS)


@pytest.mark.parametrize("column", ["loss", "frontier", "edge", "axis", "curve", "weights"])
def test_every_word_of_a_choice_is_explained(column: str) -> None:
    options = Specifications.columns()[column].dtype.categories
    assert len({of(column).words((option,)) for option in options}) == len(options)
    if column == "loss":
        assert options.to_list() == list(LOSS_SOURCES)


def test_options_stand_in_the_order_of_the_table_and_select_their_rows() -> None:
    table = validated(example_sweep.specifications(), Specifications, name="made up")
    counting, window = of("params"), of("window")
    assert counting.options(table) == [("total", "6nd"), ("nonembedding", "kaplan")]
    rows = table.filter(counting.at(("nonembedding", "kaplan")))
    assert rows.height == table.filter(pl.col("params") == "nonembedding").height == 8
    # null is a choice of the profiles (all points), and none of the others
    assert window.options(table) == [(None,)]
    assert set(table.filter(window.at((None,)))["approach"]) == {"profiles"}
