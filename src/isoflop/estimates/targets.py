"""Inverse questions: the compute at which an optimal allocation has a wanted loss, N, D or D/N.

Arrays alone: one call answers for all rows of a law's parameters, each at its own compute.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, get_args

import numpy as np

from isoflop.limits import LIMITS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from isoflop.estimates.laws import Frontier

    Floats = NDArray[np.float64]

Asked = Literal["flops", "loss", "params", "tokens", "tokens_per_param"]
ASKED: Final[tuple[Asked, ...]] = get_args(Asked)

LEAST_FLOPS: Final = 1.0
MOST_FLOPS: Final = 1e60
"""Between these a compute is sought [FLOP]; far beyond what may be asked, so that an allocation
outside them says that the law never gets there."""
LEAST_CHANGE: Final = 1e-6
"""A quantity whose logarithm changes less than this between them does not depend on C."""
STEPS: Final = 200
HALVINGS: Final = 60
ACCURACY: Final = 1e-12
"""Relative accuracy of the quantity that was asked for."""
ACCEPTED: Final = 1e-9
"""A step may end on the edge of where a law speaks; only what meets the target is an answer."""


@dataclass(frozen=True, slots=True)
class Target:
    """What an allocation is asked to have.

    Attributes
    ----------
    asked : which quantity is given.
    value : C [FLOP], the loss [nat/token], N, D, or D/N.
    """

    asked: Asked
    value: float

    def __post_init__(self) -> None:
        """Refuse what no training has."""
        LIMITS[self.asked].require(self.value)


def columns_at(law: Frontier, rows: Floats, target: Target) -> dict[str, Floats]:
    """Give the compute-optimal allocation of every row of parameters at a target.

    Parameters
    ----------
    law : the law that the parameters belong to, or another frontier.
    rows : (rows, parameters).
    target : what is given.

    Returns
    -------
    flops, params, tokens, tokens_per_param and loss, (rows,) each: NaN in rows without an answer
    (a loss below the law's floor, a D/N that its frontier never has), and for a loss that the law
    does not predict.
    """
    flops = flops_at(law, rows, target)
    optima = law.optima(rows, flops[:, None])
    with np.errstate(invalid="ignore", divide="ignore"):
        return {
            "flops": flops,
            "params": optima.params[:, 0],
            "tokens": optima.tokens[:, 0],
            "tokens_per_param": (optima.tokens / optima.params)[:, 0],
            "loss": optima.loss[:, 0],
        }


def flops_at(law: Frontier, rows: Floats, target: Target) -> Floats:
    """Give the compute at which each row's optimal allocation meets a target, (rows,); NaN: never.

    The quantities are monotone in C, so the root is bracketed between the least C that has an
    optimum, LEAST_FLOPS for most laws, and MOST_FLOPS, and narrowed down by secants (Illinois) with
    a halving now and then; in logarithms most laws are straight lines, and the first secant lands
    on the root.
    """
    if target.asked == "flops":
        at_target = law.optima(rows, np.array([target.value]))
        return np.where(np.isfinite(at_target.params[:, 0]), target.value, np.nan)

    def excess(log_flops: Floats) -> Floats:
        optima = law.optima(rows, np.exp(log_flops)[:, None])
        with np.errstate(invalid="ignore", divide="ignore"):
            reached = {
                "loss": optima.loss,
                "params": optima.params,
                "tokens": optima.tokens,
                "tokens_per_param": optima.tokens / optima.params,
            }[target.asked]
            # where no loss is predicted any more, it counts as below the target
            return np.nan_to_num(np.log(reached[:, 0] / target.value), nan=-np.inf)

    low = _least_log_flops(law, rows)
    high = np.full(len(rows), np.log(MOST_FLOPS))
    at_low, at_high = excess(low), excess(high)
    with np.errstate(invalid="ignore"):
        varies = ~(np.abs(at_high - at_low) < LEAST_CHANGE)
    bracketed = varies & (np.sign(at_low) * np.sign(at_high) < 0.0)
    root, reached = low.copy(), at_low.copy()
    for step in range(STEPS):
        with np.errstate(invalid="ignore", divide="ignore"):
            secant = high - at_high * (high - low) / (at_high - at_low)
        usable = np.isfinite(secant) & (low < secant) & (secant < high) & (step % 4 != 3)
        root = np.where(usable, secant, 0.5 * (low + high))
        reached = excess(root)
        if (~bracketed | (np.abs(reached) < ACCURACY) | (high - low < ACCURACY)).all():
            break
        left = np.sign(reached) == np.sign(at_low)
        low, high = np.where(left, root, low), np.where(left, high, root)
        # Illinois: the end that stays counts half, lest it stay for ever
        at_low, at_high = (
            np.where(left, reached, 0.5 * at_low),
            np.where(left, 0.5 * at_high, reached),
        )
    return np.where(bracketed & (np.abs(reached) < ACCEPTED), np.exp(root), np.nan)


def _least_log_flops(law: Frontier, rows: Floats) -> Floats:
    """Give log of the least C at which each row has an optimum, (rows,).

    With a negative product term the loss rises with N or D where both are small, so that a small
    budget has no optimum.
    """
    least = np.full(len(rows), np.log(LEAST_FLOPS))
    there = np.isfinite(law.optima(rows, np.exp(least)[:, None]).params[:, 0])
    # a row of a refused draw has no optimum anywhere
    missing = np.flatnonzero(~there & np.isfinite(rows).all(axis=1))
    if not missing.size:
        return least
    low, high = least[missing], np.full(missing.size, np.log(MOST_FLOPS))
    for _ in range(HALVINGS):
        middle = 0.5 * (low + high)
        optima = law.optima(rows[missing], np.exp(middle)[:, None])
        there = np.isfinite(optima.params[:, 0])
        low, high = np.where(there, low, middle), np.where(there, middle, high)
    least[missing] = high
    return least
