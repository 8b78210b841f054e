"""Numbers that need constants and tables alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest

from isoflop.errors import ConfigError
from isoflop.laws import EmbeddingCount
from isoflop.published.catalogue import Computed
from isoflop.published.computed import OMEGA, Sources, compute
from isoflop.published.results import verdicts

if TYPE_CHECKING:
    from pathlib import Path

    from isoflop.published.catalogue import Catalogue
    from isoflop.reference import Reference


def number(reference: Reference, folder: Path, function: str, **arguments: object) -> float:
    return compute(Computed(function=function, arguments=arguments), Sources(reference, folder))


@pytest.mark.parametrize("study", ["pearce_song", "hoffmann_tables"])
def test_studies_without_data_are_reproduced(
    study: str, catalogue: Catalogue, reference: Reference, tmp_path: Path
) -> None:
    chosen = catalogue.model_copy(
        update={"studies": tuple(s for s in catalogue.studies if s.name == study)}
    )
    found = verdicts(chosen, tmp_path, Sources(reference, tmp_path))
    assert len(found) >= 4
    assert [v.result.quantity for v in found if v.outcome == "not reproduced"] == []


def test_embeddings_matter_less_the_larger_the_model() -> None:
    count = EmbeddingCount(OMEGA)
    share = count.total([1e5, 1e7, 1e9, 1e11]) / np.array([1e5, 1e7, 1e9, 1e11])
    assert (np.diff(share) < 0).all()
    assert share[-1] == pytest.approx(1.0, abs=3e-3)


def test_embedding_count_is_that_of_table_a9(reference: Reference) -> None:
    """Pearce and Song fitted omega to these fifty models."""
    table = reference.hoffmann.models
    total = np.array([row.params for row in table.rows])
    width = np.array([row.d_model for row in table.rows])
    predicted = EmbeddingCount(OMEGA).total(total - table.vocab_size * width)
    assert predicted == pytest.approx(total, rel=0.06)


def test_weighted_line_is_statsmodels(reference: Reference, tmp_path: Path) -> None:
    import statsmodels.api as sm

    rng = np.random.default_rng(3)
    flops = np.geomspace(1e16, 1e19, 9)
    optimal = 3e-2 * flops**0.55 * np.exp(rng.normal(0, 0.2, 9))
    error = rng.uniform(0.05, 0.5, 9)
    (tmp_path / "optima").mkdir()
    pl.DataFrame({"C": flops, "n_opt": optimal, "n_star_std": error, "kind": ["x"] * 9}).write_csv(
        tmp_path / "optima" / "optima.csv"
    )
    fitted = sm.WLS(np.log(optimal), sm.add_constant(np.log(flops)), weights=error**-2).fit()
    arguments = {"sweep": "optima", "where": {"kind": "x"}}
    assert number(reference, tmp_path, "weighted_exponent", **arguments) == pytest.approx(
        fitted.params[1]
    )
    assert number(
        reference, tmp_path, "weighted_params_opt", flops=1e24, **arguments
    ) == pytest.approx(np.exp(fitted.params @ [1.0, np.log(1e24)]))


def test_optima_that_no_condition_meets(reference: Reference, tmp_path: Path) -> None:
    (tmp_path / "optima").mkdir()
    frame = pl.DataFrame({"C": [1.0], "n_opt": [1.0], "n_star_std": [1.0], "kind": ["x"]})
    frame.write_csv(tmp_path / "optima" / "optima.csv")
    with pytest.raises(ConfigError, match=r"has 0 optima with \{'kind': 'y'\}"):
        number(reference, tmp_path, "weighted_exponent", sweep="optima", where={"kind": "y"})


def test_unknown_function_and_wrong_arguments(reference: Reference, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'slope' is unknown; there are: law_params_opt"):
        number(reference, tmp_path, "slope")
    with pytest.raises(ConfigError, match="unexpected keyword argument 'flop'"):
        number(reference, tmp_path, "law_params_opt", law="hoffmann", flop=1.0)
    with pytest.raises(ConfigError, match="law 'hofmann' is unknown; there are: hoffmann,"):
        number(reference, tmp_path, "law_params_opt", law="hofmann", flops=1.0)
