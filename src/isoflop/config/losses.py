"""Section `losses`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from isoflop.config.reading import Section


class LossesSettings(Section):
    """Which losses are fitted, and how they are smoothed."""

    loss: Literal["auto", "eval", "train"] = "auto"
    """eval: held-out loss as logged; train: training loss, smoothed; auto: eval if every finished
    run has a final one, else train. One kind for all runs of a sweep. Where evaluations are few,
    approaches that need curves (1, Kaplan's) say so, and train gives them theirs."""
    smoothing: float = Field(default=0.05, ge=0, lt=1)
    """Half-width of the smoothing window of training loss, as a share of the tokens D at its
    centre; 0 takes each logged value as it is. Widen it for noisy (small) batches."""
    points_per_run: int = Field(default=200, ge=2)
    """Most points kept per run, evenly spaced in log D; fewer logged points are all kept."""
    min_schedule_fraction: float = Field(default=0.99, gt=0, le=1)
    """Share of its learning-rate schedule a run must have done for its last loss to be a final
    loss: before the decay is over a loss says nothing of the run's size (Hoffmann et al. 2022)."""
    rates: Literal["all", "best"] = "all"
    """best: of runs that differ in their peak learning rate alone (one N, one D), keep those with
    the rate of the lowest final loss; all: fit every one of them."""
    schedules: Literal["all", "commonest"] | tuple[str, ...] = "all"
    """Whose losses are fitted, by the kind of learning-rate schedule: all; commonest: the kind that
    most runs follow; or a list of kinds, such as [cosine]. Runs of another role are kept."""
    spike_sigmas: float | None = Field(default=None, gt=0)
    """Drop training losses this many robust standard deviations of a line's noise above the lines
    before and after; null keeps all. Use it where spikes are artefacts, not the model."""
