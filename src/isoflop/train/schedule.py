"""The learning-rate schedule: linear warm-up, then a cosine over the rest of the run's horizon."""

from __future__ import annotations

import math


def learning_rate(step: int, *, steps: int, warmup_steps: int, peak: float, end: float) -> float:
    """Learning rate of one update.

    Parameters
    ----------
    step : the update, counted from 1.
    steps : updates of the whole run; the cosine ends exactly there (Hoffmann et al. 2022,
        Appendix B: a cosine longer than the run overestimates the loss).
    warmup_steps : updates of linear warm-up; the peak is reached at its last.
    peak, end : learning rates at the top and at the last update.
    """
    if step <= warmup_steps:
        return peak * step / warmup_steps
    progress = (step - warmup_steps) / max(1, steps - warmup_steps)
    return end + (peak - end) * 0.5 * (1.0 + math.cos(math.pi * progress))
