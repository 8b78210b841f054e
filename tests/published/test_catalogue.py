"""The catalogue says one thing once, and only what can be done."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from isoflop.config.approaches import ApproachesSettings
from isoflop.config.by_sweep import SweepSettings, settings_by_sweep
from isoflop.config.reading import parse
from isoflop.errors import ConfigError
from isoflop.files import digest
from isoflop.published.catalogue import Catalogue, read_catalogue
from isoflop.published.computed import FUNCTIONS

if TYPE_CHECKING:
    from pathlib import Path

SMALL: dict[str, Any] = {
    "studies": [
        {
            "name": "one",
            "title": "One",
            "citation": {
                "key": "k",
                "authors": "A",
                "year": 2024,
                "title": "T",
                "identifier": "arXiv:1",
            },
            "licence": "MIT",
            "files": [{"path": "one/a.csv", "sha256": "0" * 64, "address": "https://x/a.csv"}],
            "sweeps": [
                {
                    "name": "first",
                    "title": "First",
                    "files": ["one/a.csv"],
                    "sidecar": {
                        "table": {
                            "rows": "runs",
                            "columns": {"params.total": "N", "tokens": "D", "eval_loss": "L"},
                        },
                        "settings": {"approaches": {"bootstrap": {"draws": 7}}},
                    },
                    "fits": ["parametric"],
                    "variants": {
                        "mse": {
                            "fits": ["parametric"],
                            "settings": {"approaches": {"parametric": {"objective": "mse"}}},
                        }
                    },
                }
            ],
            "results": [
                {
                    "quantity": "a",
                    "published": 0.5,
                    "tolerance": 0.1,
                    "digit": 0.1,
                    "source": "s",
                    "fitted": {"sweep": "first@mse", "approach": "parametric", "value": "a"},
                }
            ],
        }
    ]
}


def small() -> Any:
    return copy.deepcopy(SMALL)


def complaint(content: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        parse(content, Catalogue, name="published.yaml")
    return str(caught.value)


def test_every_study_of_the_acceptance_page_is_there(catalogue: Catalogue) -> None:
    assert {study.name for study in catalogue.studies} >= {
        "hoffmann_epoch245",
        "gemstones",
        "porian",
        "gadre",
        "gpt3_curves",
        "data_constrained",
        "pearce_song",
    }


def test_every_file_says_where_its_bytes_are(catalogue: Catalogue) -> None:
    for study in catalogue.studies:
        for file in study.files:
            if file.address is None:
                assert "derived from" in file.origin, file.path
            else:
                # at a commit: a branch moves
                assert file.address.startswith("https://raw.githubusercontent.com/")
                assert len(file.address.split("/")[5]) == 40, file.address


def test_every_sweep_is_fitted_or_computed_from(catalogue: Catalogue) -> None:
    computed = {
        result.computed.arguments.get("sweep")
        for study in catalogue.studies
        for result in study.results
        if result.computed is not None
    }
    for study in catalogue.studies:
        for sweep in study.sweeps:
            assert sweep.fits or sweep.variants or sweep.name in computed, sweep.name


def test_every_fit_is_compared_with_something(catalogue: Catalogue) -> None:
    compared = {
        ("published/" + result.fitted.sweep, result.fitted.approach)
        for study in catalogue.studies
        for result in study.results
        if result.fitted is not None
    }
    assert set(catalogue.fits()) - compared == set()


def test_computed_functions_exist(catalogue: Catalogue) -> None:
    asked = {
        result.computed.function
        for study in catalogue.studies
        for result in study.results
        if result.computed is not None
    }
    assert asked == set(FUNCTIONS)


def test_digests_are_those_of_the_mirror(catalogue: Catalogue, mirror: Path) -> None:
    for study in catalogue.studies:
        for file in study.files:
            path = mirror / file.path
            if not path.exists():
                path = mirror / "datasets" / file.path
            assert digest(path) == file.sha256, file.path


def test_variant_shares_the_sweep_and_changes_the_settings() -> None:
    found = parse(small(), Catalogue, name="c")
    _, sweep = found.find("published/first@mse")
    assert sweep.name == "first"
    assert found.fits() == [
        ("published/first", "parametric"),
        ("published/first@mse", "parametric"),
    ]
    plain = SweepSettings.model_validate(found.settings("published/first"))
    varied = SweepSettings.model_validate(found.settings("published/first@mse"))
    # the papers' intervals are percentiles, and their objective is Hoffmann's
    assert plain.approaches.bootstrap.interval == "percentile"
    default = ApproachesSettings().parametric
    assert plain.approaches.parametric == default.model_copy(update={"objective": "huber"})
    assert varied.approaches.parametric.objective == "mse"
    assert varied.approaches.bootstrap == plain.approaches.bootstrap
    assert plain.approaches.bootstrap.draws == 7
    assert varied.losses == plain.losses


def test_settings_of_a_published_sweep_hide_config_yaml(catalogue: Catalogue) -> None:
    """Whatever a reader sets, laid under the catalogue's settings it changes none of them."""
    mine = SweepSettings.model_validate(
        {
            "losses": {"smoothing": 0.5},
            "approaches": {"bootstrap": {"seed": 9}, "parametric": {"drop_highest": 3}},
            "report": {"budgets": [1e15]},
        }
    ).model_dump(mode="json")
    for path, _ in catalogue.fits():
        own = catalogue.settings(path)
        assert settings_by_sweep(mine, own, name="c").model_dump(mode="json") == own


def test_unknown_variant_is_met_with_the_known_ones() -> None:
    found = parse(small(), Catalogue, name="c")
    with pytest.raises(ConfigError, match=r"'first' has no variant 'mes'; it has: mse"):
        found.settings("published/first@mes")


def test_sidecar_takes_the_title_of_the_sweep() -> None:
    sidecar = parse(small(), Catalogue, name="c").studies[0].sweeps[0].sidecar
    assert sidecar is not None
    assert sidecar.title == "First"


def test_unknown_sweep_is_met_with_the_known_ones(catalogue: Catalogue) -> None:
    with pytest.raises(ConfigError, match=r"no sweep 'hofmann'; it has: hoffmann, gemstones-hot"):
        catalogue.find("published/hofmann")


def test_misspelt_setting_is_an_error() -> None:
    content = small()
    sweep = content["studies"][0]["sweeps"][0]
    sweep["variants"]["mse"]["settings"] = {"approaches": {"parametric": {"objectiv": "mse"}}}
    assert (
        "first@mse: unknown key 'objectiv' in settings.approaches.parametric; did you mean 'obj"
        in complaint(content)
    )
    sweep["sidecar"]["settings"] = {"approaches": {"parametric": {"drop_highset": 5}}}
    assert "first: unknown key 'drop_highset' in settings.approaches.parametric" in complaint(
        content
    )


def test_sweep_that_is_fitted_says_how_it_is_read() -> None:
    content = small()
    del content["studies"][0]["sweeps"][0]["sidecar"]
    assert "sweep 'first' is fitted, but no 'sidecar' says how to read it" in complaint(content)


def test_result_must_name_a_fit_that_is_made() -> None:
    content = small()
    content["studies"][0]["results"][0]["fitted"]["sweep"] = "first@huber"
    assert "'first@huber' and approach 'parametric', which study 'one' does not fit" in complaint(
        content
    )


def test_result_has_one_origin() -> None:
    content = small()
    content["studies"][0]["results"][0]["computed"] = {"function": "f"}
    assert "give either 'fitted' or 'computed'" in complaint(content)


def test_file_without_address_says_what_it_was_derived_from() -> None:
    content = small()
    del content["studies"][0]["files"][0]["address"]
    assert "has neither 'address' nor 'origin'" in complaint(content)


def test_sweep_reads_files_of_its_study() -> None:
    content = small()
    content["studies"][0]["sweeps"][0]["files"] = ["two/b.csv"]
    assert "reads two/b.csv, which study 'one' does not list" in complaint(content)


def test_names_are_unique() -> None:
    content = small()
    content["studies"].append(copy.deepcopy(content["studies"][0]))
    assert "study one occurs twice" in complaint(content)


def test_tolerance_is_positive() -> None:
    content = small()
    content["studies"][0]["results"][0]["tolerance"] = 0
    assert "greater than 0" in complaint(content)


@pytest.mark.parametrize(
    ("published", "tolerance", "digit", "told"),
    [
        (0.5139, 5e-5, None, None),
        (73.2e9, 0.05e9, None, None),
        (2143, 0.5, None, None),
        (-134.27, 0.005, None, None),
        (0.5139, 5e-4, None, "not half a unit of a last digit of 0.5139"),
        (0.49, 0.01, None, "not half a unit"),
        (0.49, 0.01, 0.01, None),
        (0.49, 0.005, 0.01, "leave it out"),
        (0.49, 0.001, 0.01, "leave it out"),
    ],
)
def test_a_wide_tolerance_names_the_last_digit(
    published: float, tolerance: float, digit: float | None, told: str | None
) -> None:
    """Or a number that is only near would count as reproduced."""
    content = small()
    result = content["studies"][0]["results"][0]
    result |= {"published": published, "tolerance": tolerance, "digit": digit}
    if told is None:
        parsed = parse(content, Catalogue, name="c").studies[0].results[0]
        assert parsed.rounding == pytest.approx(tolerance if digit is None else digit / 2)
    else:
        assert told in complaint(content)


def test_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "published.yaml"
    path.write_text(yaml.safe_dump(SMALL))
    assert read_catalogue(path) == parse(small(), Catalogue, name="c")
