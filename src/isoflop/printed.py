"""How finely losses were printed: decimals of nats, bits or perplexity, or a short float.

A table may hold what was printed in another unit and converted since. Its values then lie on a grid
of that unit, with all sixteen digits of a float.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.intp]

FINEST: Final = 9
"""Decimals beyond which a printout is exact."""
SHORT: Final = 4
"""Decimals of losses that were printed so; finer ones may have been printed in another unit."""
ROUNDED: Final = 1e-12
"""Relative error of a float that was converted."""
ROUNDED_SINGLE: Final = 6e-8
"""The same of a float of 32 bits."""
BY_CHANCE: Final = 0.01
"""Share of all numbers, at most, that lie on a grid as nearly as the digits can show."""
UNITS: Final[dict[str, tuple[Callable[[Floats], Floats], Callable[[Floats], Floats]]]] = {
    "": (lambda loss: loss, np.ones_like),
    "bits": (lambda loss: loss / np.log(2.0), lambda loss: np.full_like(loss, 1.0 / np.log(2.0))),
    "perplexity": (np.exp, np.exp),
}
"""What a loss in nats is in each unit, and how fast that grows with the nats."""
COMMON: Final = 0.2
"""Share of the runs of a table from which on a format is taken for that of others that fit it."""
SHORT_FLOATS: Final = {"floats of 16 bits": 11, "bfloat16": 8}
"""Bits of the mantissa, the leading one included."""


@dataclass(frozen=True, slots=True)
class Printed:
    """A number format.

    Attributes
    ----------
    unit : of its decimals, empty of nats; or the name of a short float.
    decimals : of that unit, ``FINEST`` at most; 0 of a short float.
    step : mean distance of neighbouring numbers of the format [nat]; 0 where it is exact.
    """

    unit: str
    decimals: int
    step: float

    @property
    def words(self) -> str:
        """Say to what numbers agree that agree in this format."""
        if self.unit in SHORT_FLOATS:
            return f"in {self.unit}"
        of_unit = f" of {self.unit}" if self.unit else ""
        return f"to {self.decimals} {'decimal' if self.decimals == 1 else 'decimals'}{of_unit}"


def printed(loss: Floats, starts: Ints) -> tuple[list[Printed], list[Printed]]:
    """Find the formats that the losses of runs were printed in.

    Parameters
    ----------
    loss : (points,) [nat/token], those of one run after those of another.
    starts : (runs,) where each run begins.

    Returns
    -------
    The coarsest format that each run's losses allow by themselves; and by those of the others too.
    A number that ends in zeros has the digits of its neighbours: of formats that many runs have
    each takes the coarsest that it is printed in there, and of others its own.
    """
    n = len(starts)
    of_32_bits = np.logical_and.reduceat(loss.astype(np.float32) == loss, starts)
    of_run = np.repeat(np.arange(n), np.diff(starts, append=len(loss)))
    rounded = np.where(of_32_bits, ROUNDED_SINGLE, ROUNDED)[of_run] * loss
    nats = {("", d): step for d, step in _decimal_grid("", loss, rounded, starts)}
    fewest = _fewest(nats, n)
    grids = nats | _other_grids(loss, rounded, fewest, starts)
    alone = []
    for run in range(n):
        if fewest[run] <= SHORT:
            alone.append(Printed("", int(fewest[run]), float(nats["", int(fewest[run])][run])))
        else:
            alone.append(_coarsest(grids, run, Printed("", FINEST, 0.0)))
    counts = Counter((each.unit, each.decimals) for each in alone)
    common = {its for its, count in counts.items() if its in grids and count >= COMMON * n}
    usual = nats | _other_grids(loss, rounded, _usual(fewest), starts)
    grids = {its: usual[its] for its in common}
    return alone, [_coarsest(grids, run, it) for run, it in enumerate(alone)]


def _coarsest(grids: Mapping[tuple[str, int], Floats], run: int, default: Printed) -> Printed:
    """Give the coarsest of the formats that a run's losses are in; its own where in none."""
    known = [Printed(*its, float(step[run])) for its, step in grids.items() if step[run] > 0.0]
    return max(known, key=lambda grid: (grid.step, -grid.decimals), default=default)


def _usual(fewest: Ints) -> Ints:
    """Give the fewest decimals that many runs have and that suffice, of each run; else its own."""
    decimals, counts = np.unique(fewest, return_counts=True)
    common = decimals[counts >= COMMON * len(fewest)]
    place = np.searchsorted(common, fewest)
    return np.where(place < len(common), np.append(common, FINEST)[place], fewest)


def _other_grids(
    loss: Floats, rounded: Floats, nats: Ints, starts: Ints
) -> dict[tuple[str, int], Floats]:
    """Give the steps of runs in other units and short floats, 0 where they are in none.

    Parameters
    ----------
    rounded : (points,) how far floats lie off what they were read from [nat].
    nats : (runs,) decimals to which losses in nats were rounded after conversion.
    """
    half = np.where(nats < FINEST, 0.5 * 10.0 ** -nats.astype(np.float64), 0.0)
    slack = rounded + np.repeat(half, np.diff(starts, append=len(loss)))
    grids = {
        (unit, decimals): step
        for unit in UNITS
        if unit
        for decimals, step in _decimal_grid(unit, loss, slack, starts)
    }
    shorts = {(name, 0): _short(bits, loss, slack, starts) for name, bits in SHORT_FLOATS.items()}
    return grids | shorts


def _fewest(nats: dict[tuple[str, int], Floats], n: int) -> Ints:
    """Give the fewest decimals of nats that each of n runs was printed with."""
    fewest = np.full(n, FINEST)
    for (_, decimals), step in sorted(nats.items(), reverse=True):
        fewest[step > 0.0] = decimals
    return fewest


def _decimal_grid(
    unit: str, loss: Floats, slack: Floats, starts: Ints
) -> Iterator[tuple[int, Floats]]:
    """Give for each number of decimals of a unit the step of runs that have no more, else 0."""
    convert, growth = UNITS[unit]
    value, per_nat = convert(loss), growth(loss)
    for decimals in range(1, FINEST):
        step = 10.0**-decimals / per_nat
        off = np.abs(np.round(value, decimals) - value) / per_nat
        yield decimals, _of_runs(step, off, slack, starts)


def _short(bits: int, loss: Floats, slack: Floats, starts: Ints) -> Floats:
    """Give the step of runs whose losses are floats of a number of bits, else 0."""
    step = np.ldexp(1.0, np.frexp(loss)[1] - bits)
    return _of_runs(step, np.abs(np.round(loss / step) * step - loss), slack, starts)


def _of_runs(step: Floats, off: Floats, slack: Floats, starts: Ints) -> Floats:
    """Give the mean step of runs all of whose losses lie on a grid wide enough to tell, else 0."""
    on = np.logical_and.reduceat((off <= slack) & (2.0 * slack <= BY_CHANCE * step), starts)
    mean = np.add.reduceat(step, starts) / np.diff(starts, append=len(step))
    return np.where(on, mean, 0.0)
