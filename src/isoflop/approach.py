"""The one list of approaches and laws."""

from __future__ import annotations

from typing import Literal, get_args

Approach = Literal["envelope", "profiles", "parametric", "kaplan"]
"""What every sweep is fitted with, and every report shows."""
FurtherLaw = Literal["overtraining", "data_constrained"]
"""Laws for sweeps with a design of their own; fitted where they are asked for."""

APPROACHES: tuple[Approach, ...] = get_args(Approach)
FURTHER_LAWS: tuple[FurtherLaw, ...] = get_args(FurtherLaw)
