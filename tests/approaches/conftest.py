"""Sweeps that the tests of this room share: one simulated, the rest published."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest

from isoflop.approaches.observations import Observations, observe
from isoflop.config.approaches import CountingSettings
from isoflop.config.ingest import IngestSettings
from isoflop.config.losses import LossesSettings
from isoflop.ingest.sweep import ingest_sweep
from isoflop.laws import ChinchillaLaw
from isoflop.losses.build import build_losses
from isoflop.tables import Losses, validated
from tests.conftest import ROOT
from tests.simulate import isoflop_design, simulate

if TYPE_CHECKING:
    from pathlib import Path

LAW = ChinchillaLaw(E=1.7, A=400.0, B=1500.0, alpha=0.34, beta=0.36)
BUDGETS = (1e17, 3e17, 1e18, 3e18, 1e19)


@pytest.fixture(scope="session")
def law() -> ChinchillaLaw:
    return LAW


@pytest.fixture(scope="session")
def sweep() -> Observations:
    """Give five budgets of seven sizes from the law, with 0.3 % of noise."""
    design = isoflop_design(LAW, BUDGETS, sizes=7, spread=4.0, points=25)
    return simulate(LAW, design, noise=0.003, rng=np.random.default_rng(7), penalty=0.3)


@pytest.fixture(scope="session")
def losses(sweep: Observations) -> pl.DataFrame:
    return as_table(sweep)


def as_table(observations: Observations) -> pl.DataFrame:
    """Write observations as the table they would have come from."""
    names = np.array(observations.runs)[observations.run]
    frame = pl.DataFrame(
        {
            "sweep": observations.sweep,
            "run": names,
            "params_total": observations.params,
            "tokens": observations.tokens,
            "flops_6nd": observations.flops,
            "loss": observations.loss,
            "schedule_fraction": observations.schedule_fraction,
            "is_final": observations.is_final,
            "budget": observations.run_budget[observations.run],
        }
    ).with_columns(
        pl.lit("fit").alias("role"),
        pl.lit("eval").alias("loss_source"),
        (0.8 * pl.col("params_total")).alias("params_nonembedding"),
        (0.9 * pl.col("params_total")).alias("params_with_head"),
        (0.8 * pl.col("flops_6nd")).alias("flops_kaplan"),
        pl.col("budget").fill_nan(None),
        pl.lit(0).alias("seed"),
    )
    unknown = [name for name in Losses.column_names() if name not in frame.columns]
    frame = frame.with_columns(pl.lit(None, dtype=pl.Float64).alias(name) for name in unknown)
    return validated(frame.select(Losses.column_names()), Losses, name="simulated")


@pytest.fixture(scope="session")
def epoch245(mirror: Path) -> Observations:
    """Give the 245 runs digitised from Hoffmann et al. (2022), figure 4, by Epoch AI."""
    path = mirror / "hoffmann_epoch245" / "epoch_chinchilla_svg_extracted_data.csv"
    table = pl.read_csv(path)
    params = table["Model Size"].to_numpy().astype(np.float64)
    flops = table["Training FLOP"].to_numpy().astype(np.float64)
    return finished_runs(params, flops / (6.0 * params), flops, table["loss"].to_numpy())


def finished_runs(
    params: np.ndarray, tokens: np.ndarray, flops: np.ndarray, loss: np.ndarray
) -> Observations:
    """Make observations of runs known by their end alone."""
    n = len(params)
    unknown = np.full(n, np.nan)
    return Observations(
        sweep="published",
        counting=CountingSettings(),
        runs=tuple(f"run{i:04d}" for i in range(n)),
        run=np.arange(n),
        params=params,
        tokens=tokens,
        flops=flops,
        loss=np.asarray(loss, dtype=np.float64),
        is_final=np.ones(n, dtype=np.bool_),
        schedule_fraction=unknown,
        run_params=params,
        run_budget=unknown,
    )


@pytest.fixture(scope="session")
def epoch240(epoch245: Observations) -> Observations:
    """Give the 240 of them below the fifth-largest loss, as Besiroglu et al. (2024) kept."""
    kept = epoch245.loss < np.sort(epoch245.loss)[-5]
    return finished_runs(
        epoch245.params[kept], epoch245.tokens[kept], epoch245.flops[kept], epoch245.loss[kept]
    )


@pytest.fixture(scope="session")
def novels_cpu_losses() -> pl.DataFrame:
    """Give the loss table of the first sweep that the project trained, read from its raw logs."""
    tables = ingest_sweep(
        ROOT / "tests" / "fixtures" / "novels-cpu", IngestSettings(), sweep="novels-cpu"
    )
    return build_losses(tables.curves, tables.runs, tables.files, LossesSettings()).losses


@pytest.fixture(scope="session")
def novels_cpu(novels_cpu_losses: pl.DataFrame) -> Observations:
    """Give its 51 fitted runs."""
    return observe(novels_cpu_losses, CountingSettings())


__all__ = ["BUDGETS", "LAW", "as_table", "finished_runs", "observe", "replace"]
