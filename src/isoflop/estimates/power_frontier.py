"""Frontiers that are power laws of C, and at which C they reach a target.

Every law without a product term has one: both terms of its sum fall with the same power of C along
it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, get_args

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

Asked = Literal["flops", "loss", "params", "tokens", "tokens_per_param"]
ASKED: Final[tuple[Asked, ...]] = get_args(Asked)
"""What an allocation may be asked to have."""

LEAST_FLOPS: Final = 1.0
MOST_FLOPS: Final = 1e60
"""Between these a compute is sought [FLOP]; far beyond what may be asked, so that an allocation
outside them says that the law never gets there."""
LEAST_CHANGE: Final = 1e-6
"""A quantity whose logarithm changes less than this between them does not depend on C."""


@dataclass(frozen=True, eq=False)
class PowerFrontier:
    """N_opt = n C**a, D_opt = d C**b and L_opt = E + K C**-e, (rows,) each.

    Attributes
    ----------
    log_n, a : of N_opt.
    log_d, b : of D_opt.
    floor, log_k, e : of L_opt.
    """

    log_n: Floats
    a: Floats
    log_d: Floats
    b: Floats
    floor: Floats
    log_k: Floats
    e: Floats

    def log_flops(self, asked: Asked, values: Floats) -> Floats:
        """Give log C at which each row's optimum meets each target, (rows, values); NaN: never.

        Parameters
        ----------
        asked : which quantity is given; not C itself.
        values : (values,) what it is.
        """
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            if asked == "loss":
                start, power = self.log_k[:, None], -self.e[:, None]
                goals = np.log(values - self.floor[:, None])
            else:
                log_start, slope = {
                    "params": (self.log_n, self.a),
                    "tokens": (self.log_d, self.b),
                    "tokens_per_param": (self.log_d - self.log_n, self.b - self.a),
                }[asked]
                start, power, goals = log_start[:, None], slope[:, None], np.log(values)
            varies = np.abs(power) * np.log(MOST_FLOPS / LEAST_FLOPS) >= LEAST_CHANGE
            return np.where(varies, (goals - start) / power, np.nan)
