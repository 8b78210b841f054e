"""The budgets that a sweep answers without being asked: its largest, a decade beyond it and two.

Estimates, the mixture and the report take them from here. They are round: a budget is printed in a
table, typed into the calculator and given to ``isoflop allocate``, and is the same number in each.
"""

from __future__ import annotations

from decimal import ROUND_FLOOR, Decimal
from typing import Final

DECADES: Final = (0, 1, 2)
"""Where estimates, mixtures and reports answer: decades above the largest C that was fitted."""
DIGITS: Final = 2
"""Significant digits of these budgets."""
MISSED: Final = Decimal("1.01")
"""Factor by which a run may miss the budget it was planned at, since it ends with a whole step."""


def default_budgets(top: float) -> tuple[float, ...]:
    """Give a sweep's budgets, of two significant digits.

    They are rounded down, so that the first lies within the data; but 9.98e17 is 1e18, which its
    run missed by less than a hundredth.

    Parameters
    ----------
    top : the largest C that was fitted [FLOP].

    Examples
    --------
    >>> default_budgets(1.000085e21)
    (1e+21, 1e+22, 1e+23)
    >>> default_budgets(5.97e18)
    (6e+18, 6e+19, 6e+20)
    >>> default_budgets(1.48e20)
    (1.4e+20, 1.4e+21, 1.4e+22)
    """
    reached = Decimal(top) * MISSED
    step = Decimal((0, (1,), reached.adjusted() - DIGITS + 1))
    largest = (reached / step).to_integral_value(ROUND_FLOOR) * step
    # by decimals: 3e15 a decade on is 3e16, and no neighbour of it
    return tuple(float(largest.scaleb(decade)) for decade in DECADES)
