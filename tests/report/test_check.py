from __future__ import annotations

import polars as pl
import pytest

from isoflop.report.sections.check import seed_noise


def losses(rows: list[tuple[float, float, float, str]]) -> pl.DataFrame:
    return pl.DataFrame(
        [
            {"params_total": n, "budget": c, "loss": loss, "role": role, "is_final": True}
            for n, c, loss, role in rows
        ]
    )


def test_seed_noise_pools_the_cells_with_several_seeds() -> None:
    table = losses([
        (1e3, 1e10, 2.0, "fit"),
        (1e3, 1e10, 2.2, "fit"),
        (2e3, 1e10, 1.0, "fit"),
        (2e3, 1e10, 1.3, "fit"),
        (2e3, 1e10, 1.6, "fit"),
        (4e3, 1e10, 9.0, "fit"),
        (4e3, 1e10, 5.0, "check"),
    ])  # fmt: skip
    noise = seed_noise(table, gap=0.5)
    assert noise is not None
    # variances 0.02 with 1 degree of freedom and 0.09 with 2
    sd = ((0.02 * 1 + 0.09 * 2) / 3) ** 0.5
    assert noise.cells == 2
    assert float(noise.sd) == pytest.approx(sd, abs=1e-4)
    assert float(noise.gap_in_sd) == pytest.approx(0.5 / (2**0.5 * sd), abs=0.05)


def test_seed_noise_is_unknown_without_a_second_seed() -> None:
    assert seed_noise(losses([(1e3, 1e10, 2.0, "fit"), (2e3, 1e10, 2.2, "fit")]), gap=0.1) is None
