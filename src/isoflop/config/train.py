"""Section `train`."""

from __future__ import annotations

from pydantic import Field

from isoflop.config.reading import Section


class TrainSettings(Section):
    """Sweeps that the project trains itself."""

    plan: str = "novels"
    """Which plan of data/plans/ `snakemake train` runs."""
    gpu: bool = False
    """Train on a GPU; each training job then asks for one (`resources: gpu`)."""
    runs_per_gpu: int = Field(default=1, ge=1, le=100)
    """Runs packed on one card: a job takes 100 / this of `--resources gpu_share=100`."""
