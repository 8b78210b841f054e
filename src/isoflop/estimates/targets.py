"""Inverse questions: the compute at which an optimal allocation has a wanted loss, N, D or D/N.

Arrays alone: one call answers for all rows of a law's parameters, each at its own compute, and for
as many targets as are wanted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from isoflop.estimates.laws import InteractionLaw
from isoflop.estimates.power_frontier import LEAST_CHANGE, LEAST_FLOPS, MOST_FLOPS
from isoflop.limits import LIMITS

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from isoflop.estimates.laws import Frontier, LawOfLoss
    from isoflop.estimates.power_frontier import Asked

    Floats = NDArray[np.float64]
    Ints = NDArray[np.intp]

LADDER: Final = 9
"""Places between these at which a frontier is read first, where several targets are asked for."""
ABOVE_EDGE: Final = 1e-9
"""How far above the C at which a law begins to have optima the first is taken [log C]."""
STEPS: Final = 200
LEAST_STEP: Final = 1e-9
"""Share of a bracket that each step takes off it at least."""
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
        """Refuse what no training has; what is kept is a float."""
        object.__setattr__(self, "value", LIMITS[self.asked].require(self.value))


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
    columns = columns_along(law, rows, target.asked, np.array([target.value]))
    return {name: column[:, 0] for name, column in columns.items()}


def columns_along(law: Frontier, rows: Floats, asked: Asked, values: Floats) -> dict[str, Floats]:
    """Give the same at several targets, (rows, values) each.

    Parameters
    ----------
    law, rows : as of ``columns_at``.
    asked : which quantity is given.
    values : (values,) what it is.
    """
    flops = flops_at(law, rows, asked, values)
    optima = law.optima(rows, flops)
    with np.errstate(invalid="ignore", divide="ignore"):
        return {
            "flops": flops,
            "params": optima.params,
            "tokens": optima.tokens,
            "tokens_per_param": optima.tokens / optima.params,
            "loss": optima.loss,
        }


def flops_at(law: Frontier, rows: Floats, asked: Asked, values: Floats) -> Floats:
    """Give the compute at which each row's optimal allocation meets each target; NaN: never.

    Most frontiers answer in closed form. For the others it is sought: the quantities are monotone
    in C, so the root lies between the least C that has an optimum, LEAST_FLOPS for most laws, and
    MOST_FLOPS.

    Parameters
    ----------
    law, rows, asked, values : as of ``columns_along``.

    Returns
    -------
    (rows, values) C [FLOP].
    """
    if asked == "flops":
        return np.where(np.isfinite(law.optima(rows, values).params), values, np.nan)
    log_flops = law.log_flops(rows, asked, values)
    if log_flops is not None:
        with np.errstate(invalid="ignore", over="ignore"):
            flops = np.exp(log_flops)
            return np.where((flops >= LEAST_FLOPS) & (flops <= MOST_FLOPS), flops, np.nan)
    return _sought(law, rows, asked, values)


def _sought(law: Frontier, rows: Floats, asked: Asked, values: Floats) -> Floats:
    """Seek the compute at which each row's optimal allocation meets each target."""

    def log_reached(parameters: Floats, log_flops: Floats) -> Floats:
        optima = law.optima(parameters, np.exp(log_flops)[:, None])
        with np.errstate(invalid="ignore", divide="ignore"):
            reached = {
                "loss": optima.loss,
                "params": optima.params,
                "tokens": optima.tokens,
                "tokens_per_param": optima.tokens / optima.params,
            }[asked]
            # where no loss is predicted any more, it counts as below the target
            return np.nan_to_num(np.log(reached[:, 0]), nan=-np.inf)

    least, most = _least_log_flops(law, rows), np.full(len(rows), np.log(MOST_FLOPS))
    # of one target the search finds its way; several share what is known of the whole frontier
    rungs = np.log(MOST_FLOPS) * np.linspace(0.0, 1.0, LADDER) if len(values) > 1 else np.empty(0)
    places = np.stack([least, *(np.maximum(least, rung) for rung in rungs), most])
    reached = np.stack([log_reached(rows, place) for place in places])
    goals = np.log(values)
    with np.errstate(invalid="ignore", over="ignore"):
        varies = ~(np.abs(reached[-1] - reached[0]) < LEAST_CHANGE)
        ends = [np.sign(end[:, None] - goals) for end in (reached[0], reached[-1])]
        row, target = np.nonzero(varies[:, None] & (ends[0] * ends[1] < 0.0))
        # the last place before the target, in the sense in which the quantity goes
        before = np.sign(reached[:, row] - goals[target]) == ends[0][row, target]
        first = before.cumprod(axis=0).sum(axis=0) - 1
        flops = np.full((len(rows), len(values)), np.nan)
        flops[row, target] = _roots(
            lambda kept, log_flops: log_reached(rows[row[kept]], log_flops) - goals[target[kept]],
            (places[first, row], places[first + 1, row]),
            (reached[first, row] - goals[target], reached[first + 1, row] - goals[target]),
        )
    return flops


def _roots(
    excess: Callable[[Ints, Floats], Floats],
    ends: tuple[Floats, Floats],
    at_ends: tuple[Floats, Floats],
) -> Floats:
    """Find a root in each of many brackets, by Chandrupatla's method.

    Inverse quadratic interpolation where three points allow it, else halving; the first step is a
    secant, which lands on the root of a straight line.

    Parameters
    ----------
    excess : of some brackets' numbers and a place in each, what has the root.
    ends : (brackets,) each, lower and upper.
    at_ends : what is there, of opposite signs.

    Returns
    -------
    (brackets,) exp of the root; NaN where it is none.

    References
    ----------
    Chandrupatla 1997, Adv. Eng. Softw. 28:145.
    """
    roots = np.full(len(ends[0]), np.nan)
    kept = np.arange(len(roots))
    (b, a), (at_b, at_a) = ends, at_ends
    share = at_a / (at_a - at_b)
    for _ in range(STEPS):
        if not kept.size:
            break
        share = np.where(np.isfinite(share), np.clip(share, LEAST_STEP, 1.0 - LEAST_STEP), 0.5)
        x = a + share * (b - a)
        at_x = excess(kept, x)
        met = np.abs(at_x) < ACCEPTED
        roots[kept[met]] = np.exp(x[met])
        same = np.sign(at_x) == np.sign(at_a)
        # c is the point that goes: a where x is on its side, else b, where a comes in its stead
        c, at_c = np.where(same, a, b), np.where(same, at_a, at_b)
        b, at_b = np.where(same, b, a), np.where(same, at_b, at_a)
        a, at_a = x, at_x
        sought = np.flatnonzero((np.abs(at_a) >= ACCURACY) & (np.abs(b - a) >= ACCURACY))
        kept = kept[sought]
        a, b, c, at_a, at_b, at_c = (each[sought] for each in (a, b, c, at_a, at_b, at_c))
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            xi, phi = (a - b) / (c - b), (at_a - at_b) / (at_c - at_b)
            quadratic = (phi**2 < xi) & ((1.0 - phi) ** 2 < 1.0 - xi)
            inverse = at_a / (at_b - at_a) * at_c / (at_b - at_c)
            inverse += (c - a) / (b - a) * at_a / (at_c - at_a) * at_b / (at_c - at_b)
        share = np.where(quadratic, inverse, 0.5)
    return roots


def least_flops(law: Frontier, row: Floats) -> float | None:
    """Give the C below which a law has no best size [FLOP]; None where it has one at every C.

    Parameters
    ----------
    law, row : the law and (1, parameters).
    """
    least = float(np.exp(_least_log_flops(law, row)[0]))
    return least if least > LEAST_FLOPS else None


def lowest_losses(law: LawOfLoss, rows: Floats) -> Floats:
    """Give the loss that each row's optima approach as C grows, (rows,); NaN where none is known.

    Parameters
    ----------
    law, rows : the law and (rows, parameters).
    """
    if "E" in law.names:
        return rows[:, law.names.index("E")]
    frontier = law.power_frontier(rows)
    if frontier is None:
        return np.full(len(rows), np.nan)
    return np.where(np.isfinite(frontier.log_k), frontier.floor, np.nan)


def _least_log_flops(law: Frontier, rows: Floats) -> Floats:
    """Give log of the least C at which each row has an optimum, (rows,).

    With a negative product term the loss rises with N or D where both are small, so that a small
    budget has no optimum.
    """
    least = np.full(len(rows), np.log(LEAST_FLOPS))
    if isinstance(law, InteractionLaw):
        # at the edge itself there is none, nor where rounding puts it
        least = np.fmax(least, law.log_least_flops(rows) + ABOVE_EDGE)
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
