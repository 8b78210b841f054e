"""What counts as one N and one D."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from isoflop.cells import cell_of, cells_of
from isoflop.estimates.forecasts import RunNoise


@pytest.mark.parametrize("apart", [0.0, 1e-5, 1e-4, 5e-4, 9e-4])
def test_two_nearly_alike_are_one_cell_wherever_they_lie(apart: float) -> None:
    """Rounding told two that differ by half of its step apart in every second place."""
    for k in range(200):
        d = 1e8 * (1.0 + 0.0007 * k)
        params, tokens = np.array([1e6, 1e6, 2e6]), np.array([d, d * (1.0 + apart), d])
        assert cells_of(params, tokens).tolist() == [0, 0, 1]
        noise = RunNoise.pooled(params, tokens, np.array([3.1, 3.3, 3.0]))
        assert noise is not None
        assert (noise.cells, noise.freedom) == (1, 1)
        frame = pl.DataFrame({"n": params, "d": tokens})
        assert frame.group_by(cell_of("n", "d")).len()["len"].sort().to_list() == [1, 2]


def test_what_lies_apart_is_not_one_cell_and_a_size_has_gaps_of_its_own() -> None:
    assert cells_of(np.array([1e6, 1.003e6])).tolist() == [0, 1]
    # of all sizes together the token counts have no gap; of one size each stands alone
    tokens = 1e9 * np.exp(np.arange(40) * 8e-4)
    params = np.tile(np.geomspace(1e6, 8e6, 4), 10)
    assert len(np.unique(cells_of(params, tokens))) == 40
    assert len(np.unique(cells_of(tokens))) == 1


def test_frames_and_arrays_have_the_same_cells() -> None:
    rng = np.random.default_rng(0)
    params = rng.choice([1e6, 2e6, 2.001e6, 4e6], 300) * np.exp(rng.uniform(-4e-4, 4e-4, 300))
    tokens = rng.choice([1e8, 2e8], 300) * np.exp(rng.uniform(-1e-3, 1e-3, 300))
    cells = cells_of(params, tokens)
    frame = pl.DataFrame({"n": params, "d": tokens, "cell": cells})
    groups = frame.group_by(cell_of("n", "d")).agg(pl.col("cell").n_unique().alias("number"))
    assert groups["number"].to_list() == [1] * len(np.unique(cells))
    unknown = pl.DataFrame({"n": [1e6, None, 1e6]}).select(cell_of("n"))
    assert unknown["n_cell"].to_list() == [0, None, 0]
