"""A number is reproduced or not, and each is looked up where the catalogue says."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest

from isoflop.config.approaches import ApproachesSettings
from isoflop.counting import PF_DAY
from isoflop.drawing.exponents import of_drawn
from isoflop.errors import ConfigError, IsoflopError
from isoflop.estimates.estimate import Estimate, Provenance, Refusal, write_estimate
from isoflop.estimates.published_numbers import read_numbers, write_numbers
from isoflop.estimates.quantities import Quantity
from isoflop.published.catalogue import Catalogue, Fitted, PublishedResult
from isoflop.published.computed import Sources
from isoflop.published.forest import exponent_line, numbers
from isoflop.published.results import Verdict, counted, reproduced, verdicts
from tests import example_sweep
from tests.example_sweep import LAW
from tests.published.test_catalogue import small

if TYPE_CHECKING:
    from isoflop.reference import Reference

PROVENANCE = Provenance(inputs={}, version="test", git_revision=None)


def quantity(value: float) -> Quantity:
    return Quantity(value=value, intervals={"0.8": (value - 1, value + 1)})


MADE_UP, DRAWS = example_sweep.estimates("parametric", refused=False)
assert isinstance(MADE_UP, Estimate)
ESTIMATE = MADE_UP.model_copy(
    update={
        "a": quantity(0.5),
        "b": quantity(0.4),
        "parameters": MADE_UP.parameters
        | {"L_coefficient": quantity(30.0), "L_exponent": quantity(0.05)},
    }
)
GOPHER = 5.76e23


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("draws") / "draws.parquet"
    DRAWS.write_parquet(path)
    return path


def fitted(value: str, **more: Any) -> Fitted:
    return Fitted.model_validate({"sweep": "s", "approach": "parametric", "value": value, **more})


def find(value: str, draws: Path = Path("absent"), **more: Any) -> float:
    return reproduced(fitted(value, **more), ESTIMATE, draws)[0]


@pytest.mark.parametrize(
    ("value", "more", "expected"),
    [
        ("a", {}, 0.5),
        ("b", {}, 0.4),
        ("E", {}, LAW.E),
        ("log E", {}, np.log(LAW.E)),
        ("params_opt", {}, float(LAW.params_opt(GOPHER))),
        ("tokens_opt", {"flops": 1e20}, float(LAW.tokens_opt(1e20))),
        ("tokens_per_param", {}, float(LAW.tokens_opt(GOPHER) / LAW.params_opt(GOPHER))),
        ("diagnostics.account.objective", {}, 0.00123),
        ("a", {"statistic": "low"}, -0.5),
        ("a", {"statistic": "high"}, 1.5),
        ("L at one PF-day", {}, 30.0 * PF_DAY**-0.05),
    ],
)
def test_numbers_are_found(value: str, more: dict[str, Any], expected: float, kept: Path) -> None:
    assert find(value, kept, **more) == pytest.approx(expected)


def test_ends_of_an_optimum_come_from_its_draws(kept: Path) -> None:
    low, high = (find("params_opt", kept, statistic=end, level=0.95) for end in ("low", "high"))
    assert low < float(LAW.params_opt(GOPHER)) < high


def test_standard_deviation_comes_from_the_draws(tmp_path: Path) -> None:
    path = tmp_path / "draws.parquet"
    pl.DataFrame({"E": [1.0, None, 3.0, 9.0], "simulation": [None, None, None, 0]}).write_parquet(
        path
    )
    assert find("E", path, statistic="sd") == pytest.approx(2**0.5)


@pytest.mark.parametrize(
    ("value", "more", "said"),
    [
        ("gamma", {}, "has no 'gamma'; it has a, b, E"),
        ("diagnostics.nothing", {}, "no diagnostic 'nothing'"),
        ("a", {"statistic": "low", "level": 0.95}, "has no 0.95 interval"),
    ],
)
def test_numbers_that_are_not_there(value: str, more: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        find(value, **more)


def verdict(
    published: float, got: float | None, tolerance: float, digit: float | None, source: str = "s"
) -> Verdict:
    result = PublishedResult(
        quantity="q",
        published=published,
        tolerance=tolerance,
        digit=digit,
        source=source,
        fitted=fitted("a"),
    )
    return Verdict(Catalogue.model_validate(small()).studies[0], result, got)


@pytest.mark.parametrize(
    ("published", "got", "tolerance", "digit", "outcome"),
    [
        (0.5, 0.5, 0.05, None, "reproduced"),
        (0.5, 0.55, 0.05, None, "reproduced"),  # the limit counts, whatever binary makes of it
        (0.4, 0.45, 0.05, None, "reproduced"),
        (0.5, 0.5500001, 0.05, None, "not reproduced"),
        (0.5, 0.4499999, 0.05, None, "not reproduced"),
        (73.2e9, 73.25e9, 0.05e9, None, "reproduced"),
        (73.2e9, 73.2501e9, 0.05e9, None, "not reproduced"),
        (0.513, 0.5134, 0.01, 0.001, "reproduced"),
        (0.513, 0.5136, 0.01, 0.001, "near"),
        (0.513, 0.523, 0.01, 0.001, "near"),
        (0.513, 0.5231, 0.01, 0.001, "not reproduced"),
        (1.0, float("nan"), 10.0, 0.1, "not reproduced"),
        (1.0, float("inf"), 10.0, 0.1, "not reproduced"),
        (1.0, None, 10.0, 0.1, "not reproduced"),
    ],
)
def test_outcomes(
    published: float, got: float | None, tolerance: float, digit: float | None, outcome: str
) -> None:
    found = verdict(published, got, tolerance, digit)
    assert found.outcome == outcome


def test_published_numbers_are_counted_apart_from_recomputed_ones() -> None:
    found = [
        verdict(0.5, got, 0.1, 0.01, source)
        for source, values in (("a paper", (0.5, 0.5, 0.55)), ("recomputed by us", (0.5, 0.9)))
        for got in values
    ]
    assert counted(found) == {
        "published": {"reproduced": 2, "near": 1, "not reproduced": 0},
        "recomputed": {"reproduced": 1, "near": 0, "not reproduced": 1},
    }


def test_refused_estimate_is_not_reproduced(tmp_path: Path, reference: Reference) -> None:
    studies = Catalogue.model_validate(small())
    refusal = Refusal(
        approach="parametric",
        sweep="s",
        settings=ApproachesSettings(),
        refused="too few runs",
        provenance=PROVENANCE,
    )
    write_estimate(refusal, tmp_path / "published" / "first@mse" / "parametric.json")
    (found,) = verdicts(studies, tmp_path, Sources(reference, tmp_path))
    assert found.outcome == "not reproduced"
    assert found.refused == "too few runs"
    path = tmp_path / "results.json"
    write_numbers(numbers([found]), path)
    (read,) = read_numbers(path)
    assert (read.reproduced, read.difference, read.outcome) == (None, None, "not reproduced")
    assert (read.refused, read.sweep, read.reports) == ("too few runs", "first", ("first",))
    assert read.exponent is not None
    assert read.exponent.ours is None


def test_estimates_are_read_where_the_workflow_writes_them(
    tmp_path: Path, reference: Reference
) -> None:
    studies = Catalogue.model_validate(small())
    write_estimate(ESTIMATE, tmp_path / "published" / "first@mse" / "parametric.json")
    (found,) = verdicts(studies, tmp_path, Sources(reference, tmp_path))
    assert found.outcome == "reproduced"
    assert found.quantity == ESTIMATE.a
    path = tmp_path / "results.json"
    write_numbers(numbers([found]), path)
    (read,) = read_numbers(path)
    assert (read.reproduced, read.difference, read.outcome) == (0.5, 0.0, "reproduced")
    assert read.exponent is not None
    # what the index draws from the file is what the page of the studies draws
    assert of_drawn(read.exponent) == exponent_line(found)
    assert exponent_line(found).ours is not None


@pytest.mark.parametrize("statistic", ["value", "sd"])
def test_a_damaged_table_of_draws_is_one_message_with_the_way_out(
    tmp_path: Path, statistic: str
) -> None:
    path = tmp_path / "parametric.draws.parquet"
    path.write_bytes(b"PAR1 and no more")
    name = "params_opt" if statistic == "value" else "E"
    with pytest.raises(IsoflopError, match=r"is damaged .* make it again with `snakemake "):
        find(name, path, statistic=statistic, flops=GOPHER)
