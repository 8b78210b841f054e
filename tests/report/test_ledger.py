"""The ledger of assumptions prints the settings that were used, and no others."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

import polars as pl
import pytest

from isoflop.config.approaches import ApproachesSettings
from isoflop.config.losses import LossesSettings
from isoflop.report.sections.ledger import _entries, ledger_table
from tests import example_sweep
from tests.report.conftest import empty_figures

if TYPE_CHECKING:
    from isoflop.report.inputs import ReportInputs


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> ReportInputs:
    root = tmp_path_factory.mktemp("ledger")
    empty_figures(root / "figures")
    return example_sweep.write(root).report_inputs(root / "figures")


def used(inputs: ReportInputs, settings: dict[str, Any]) -> ReportInputs:
    """Let every approach have been fitted with these settings."""
    chosen = ApproachesSettings.model_validate(settings)
    estimates = {
        name: estimate.model_copy(update={"settings": chosen})
        for name, estimate in inputs.fitted.items()
    }
    return replace(inputs, estimates=estimates)


def entries(inputs: ReportInputs) -> dict[str, str]:
    table = ledger_table(inputs)
    return {str(row[0]): str(row[1]) for row in table.rows}


PRINTED = [
    ({"envelope": {"frontier": "hull"}}, "Approach 1: frontier", "lower convex hull"),
    ({"envelope": {"grid_points": 777}}, "Approach 1: frontier", "lowest loss at 777 log-spaced"),
    ({"profiles": {"window": 9}}, "Approach 2: curve and window", "the 9 lowest points"),
    ({"profiles": {"axis": "tokens"}}, "Approach 2: curve and window", "in log *D* through"),
    ({"profiles": {"axis": "params"}}, "Approach 2: curve and window", "in log *N* through"),
    ({"profiles": {"curve": "akima"}}, "Approach 2: curve and window", "Akima spline"),
    ({"profiles": {"curve": "log_parabola"}}, "Approach 2: curve and window", "of log *L* in log"),
    ({"profiles": {"edge": "keep"}}, "Approach 2: edges and outliers", "of the sizes are kept"),
    ({"profiles": {"outliers": 4.5}}, "Approach 2: edges and outliers", "beyond 4.5"),
    ({"parametric": {"objective": "mse"}}, "Approach 3: objective", "sum of squares"),
    ({"parametric": {"objective": "huber"}}, "Approach 3: objective", "sum of Huber losses"),
    ({"parametric": {"huber_delta": 0.0042}}, "Approach 3: objective", "δ = 0.0042"),
    ({"parametric": {"starts": "coarse"}}, "Approach 3: objective", "coarse grid of starts"),
    ({"parametric": {"points": "all"}}, "Approach 3: points", "whole curves"),
    ({"parametric": {"drop_highest": 5}}, "Approach 3: points", "the 5 highest losses left out"),
    ({"bootstrap": {"draws": 1234}}, "Intervals", "1234 draws"),
    ({"bootstrap": {"seed": 8765}}, "Intervals", "seed 8765"),
    ({"bootstrap": {"stratify": False}}, "Intervals", "with replacement, 4000 draws"),
    ({"bootstrap": {"interval": "percentile"}}, "Intervals", "draws, percentile intervals,"),
    ({"bootstrap": {"scheme": "subsample", "subsample": 0.65}}, "Intervals", "65\xa0% of the runs"),
    ({"bootstrap": {"scheme": "residual"}}, "Intervals", "residual bootstrap"),
    ({"bootstrap": {"scheme": "wild"}}, "Intervals", "wild bootstrap"),
    ({"bootstrap": {"simulations": 321}}, "Intervals", "calibrated on 321 simulated sweeps"),
    ({"bootstrap": {"simulation_draws": 654}}, "Intervals", "law, 654 draws each"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("settings", "choice", "text"), PRINTED, ids=[f"{s}" for s, _, _ in PRINTED]
)
def test_a_setting_is_printed_as_it_was_used(
    inputs: ReportInputs, settings: dict[str, Any], choice: str, text: str
) -> None:
    default, changed = entries(used(inputs, {})), entries(used(inputs, settings))
    assert text in changed[choice]
    assert text not in default[choice]
    # and no other line of the ledger changes
    assert {name for name, value in changed.items() if value != default[name]} == {choice}


def test_every_setting_that_an_entry_names_is_among_them_with_each_of_its_values(
    inputs: ReportInputs,
) -> None:
    """A key that is printed from another's value would be found by none of the others."""
    tried: dict[str, list[object]] = {}
    for settings, _, _ in PRINTED:
        for section, values in settings.items():
            for key, value in values.items():
                tried.setdefault(f"{section}.{key}", []).append(value)
    places = {place for *_, keys in _entries(inputs) for place in keys}
    for place in sorted(places):
        sections, _, rest = place.partition(".")
        section, _, key = rest.partition(".")
        if sections != "approaches" or "counting" in rest:
            continue  # losses below; counting is told from the estimates
        kind = ApproachesSettings.model_fields[section].annotation
        assert kind is not None
        for name in [key] if key else kind.model_fields:
            field = kind.model_fields[name]
            values = tried[f"{section}.{name}"]
            if get_origin(field.annotation) is Literal:
                assert {*values, field.default} == set(get_args(field.annotation)), name


def test_settings_of_the_losses_are_printed(inputs: ReportInputs) -> None:
    share = LossesSettings(min_schedule_fraction=0.37)
    assert "at least 37\xa0%" in entries(replace(inputs, losses_settings=share))["Schedule"]
    # the made-up losses are validation losses: no smoothing is claimed
    smooth = LossesSettings(smoothing=0.123)
    assert entries(replace(inputs, losses_settings=smooth))["Smoothing"].startswith("none")
    # of training losses the window is printed that they were smoothed by
    source = pl.lit("train").cast(inputs.losses.schema["loss_source"])
    by_train = replace(inputs, losses=inputs.losses.with_columns(loss_source=source))
    shown = entries(replace(by_train, losses_settings=smooth))["Smoothing"]
    assert shown == "window of ±12\xa0% of the tokens at its centre"


def test_the_data_are_plain_text(inputs: ReportInputs) -> None:
    table = ledger_table(inputs)
    cells = [str(cell) for row in table.data for cell in row]
    assert not [cell for cell in cells if set(cell) & set("*`~\\")]
    assert any(cell.startswith("lowest loss at 1500 log-spaced values of C") for cell in cells)
    assert any("`6nd`" in cell for row in table.rows for cell in row)
