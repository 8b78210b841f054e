"""The ledger says what was chosen: every setting in words, and which are this sweep's."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from isoflop.report.ledger import ledger_table
from tests import example_sweep
from tests.report.conftest import empty_figures

if TYPE_CHECKING:
    from pathlib import Path

    from isoflop.report.inputs import ReportInputs


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> ReportInputs:
    root: Path = tmp_path_factory.mktemp("ledger")
    paths = example_sweep.write(root)
    empty_figures(root / "figures")
    return paths.report_inputs(root / "figures")


def rows(inputs: ReportInputs) -> dict[str, str]:
    return {str(row[0]): str(row[1]) for row in ledger_table(inputs).rows}


def with_settings(inputs: ReportInputs, **sections: Any) -> ReportInputs:
    """Give the inputs as if every approach had been fitted with these settings."""
    estimates = {
        key: estimate.model_copy(update={"settings": sections})
        for key, estimate in inputs.estimates.items()
    }
    return replace(inputs, estimates=estimates)


@pytest.mark.parametrize(
    ("choice", "sections", "words"),
    [
        ("Approach 1: frontier", {"envelope": {"grid_points": 77}}, "at 77 log-spaced values"),
        ("Approach 1: frontier", {"envelope": {"frontier": "hull"}}, "lower convex hull"),
        ("Approach 2: curve and window", {"profiles": {"window": 7}}, "the 7 lowest points"),
        ("Approach 2: curve and window", {"profiles": {"axis": "tokens"}}, "in log *D*"),
        ("Approach 2: curve and window", {"profiles": {"curve": "akima"}}, "Akima spline of log"),
        (
            "Approach 2: edges and outliers",
            {"profiles": {"outliers": 4.5}},
            "runs with an externally studentised residual beyond 4.5, about the parabola through "
            "the other runs of their budget, are left out",
        ),
        ("Approach 2: edges and outliers", {}, "no outlier rule"),
        ("Approach 2: edges and outliers", {"profiles": {"edge": "keep"}}, "are kept"),
        ("Approach 3: objective", {}, "sum of Huber losses of log *L*, δ = 0.001; hoffmann"),
        ("Approach 3: objective", {"parametric": {"objective": "likelihood"}}, "δ = 1.345 of it"),
        ("Approach 3: objective", {"parametric": {"huber_delta": 0.02}}, "δ = 0.02"),
        ("Approach 3: objective", {"parametric": {"objective": "mse"}}, "sum of squares"),
        ("Approach 3: points", {"parametric": {"drop_highest": 5}}, "the 5 highest losses left"),
        ("Approach 3: points", {"parametric": {"points": "all"}}, "whole curves"),
        ("Intervals", {"bootstrap": {"draws": 123, "seed": 9}}, "123 draws"),
        ("Intervals", {"bootstrap": {"draws": 123, "seed": 9}}, "seed 9"),
        (
            "Intervals",
            {"bootstrap": {"scheme": "subsample", "subsample": 0.7, "stratify": False}},
            "70\u00a0% of the runs, without replacement, ",
        ),
        ("Intervals", {"bootstrap": {"interval": "percentile"}}, "percentile intervals, seed"),
    ],
)
def test_a_setting_stands_in_words(
    inputs: ReportInputs, choice: str, sections: dict[str, Any], words: str
) -> None:
    assert words in rows(with_settings(inputs, **sections))[choice]


def test_settings_of_all_sweeps_are_not_marked(inputs: ReportInputs) -> None:
    found = rows(inputs)
    assert "This sweep’s settings" not in found
    assert not any("set for this sweep" in words for words in found.values())


def test_settings_of_this_sweep_are_marked_and_listed(inputs: ReportInputs) -> None:
    own = {
        "losses": {"smoothing": 0.1},
        "approaches": {"parametric": {"drop_highest": 5}, "envelope": {"min_sizes": 4}},
    }
    sidecar = inputs.sidecar.model_copy(update={"settings": own})
    found = rows(replace(inputs, sidecar=sidecar))
    marked = {choice for choice, words in found.items() if words.endswith("(set for this sweep)")}
    assert marked == {"Smoothing", "Approach 3: points"}
    # the last one is no row of its own
    assert found["This sweep’s settings"] == (
        "` losses.smoothing: 0.1 `; ` approaches.parametric.drop_highest: 5 `; "
        "` approaches.envelope.min_sizes: 4 `"
    )
