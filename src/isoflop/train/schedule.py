"""Learning-rate schedules: linear warm-up, then a cosine, or constant with a decay at the end."""

from __future__ import annotations

import math
from typing import Literal

ScheduleKind = Literal["cosine", "wsd", "cooldown"]
"""cosine: over the rest of the run's horizon (Hoffmann et al. 2022, Appendix B: one that is longer
than the run overestimates the loss). wsd: warm-up, constant, and a decay as 1 - sqrt over the last
steps (Hägele et al. 2024). cooldown: the decay of a wsd run that branches off another run's state,
the trunk, so that one constant phase serves several horizons."""


def learning_rate(
    step: int,
    *,
    kind: ScheduleKind,
    steps: int,
    warmup_steps: int,
    decay_steps: int,
    peak: float,
    end: float,
) -> float:
    """Learning rate of one update.

    Parameters
    ----------
    step : the update, counted from 1; for a cooldown from the beginning of its trunk.
    kind : see ScheduleKind.
    steps : updates of the whole run; the schedule ends exactly there.
    warmup_steps : updates of linear warm-up; the peak is reached at its last.
    decay_steps : updates of the last decay of wsd and cooldown; a cosine has none of its own.
    peak, end : learning rates at the top and at the last update.

    References
    ----------
    Hägele et al. 2024, section 3: a decay of 1 - sqrt over the last fifth.
    """
    if step <= warmup_steps:
        return peak * step / warmup_steps
    if kind == "cosine":
        progress = (step - warmup_steps) / max(1, steps - warmup_steps)
        return end + (peak - end) * 0.5 * (1.0 + math.cos(math.pi * progress))
    decayed = step - (steps - decay_steps)
    if decayed <= 0:
        return peak
    return end + (peak - end) * (1.0 - math.sqrt(decayed / decay_steps))
