"""Runs entered twice: one training under two names, perhaps with fewer digits under one of them.

Seeds differ by a thousandth or so. Two runs of one N and D whose losses agree in all digits of the
coarser printout may agree by chance, more easily the fewer digits there are, so the number of pairs
of runs that do decides.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Final

import numpy as np

from isoflop.cells import GAP, repeats_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.intp]
    Bools = NDArray[np.bool_]

LEAST_NOISE: Final = 1e-3
"""Standard deviation of a seed's log L that chance is reckoned with where runs show no less."""
BY_CHANCE: Final = 0.01
"""Probability below which that many pairs of seeds do not agree in their digits by chance."""
FINEST: Final = 9
"""Decimals beyond which a printout is exact."""
COARSE: Final = 4
"""Decimals of losses that were printed so; finer ones may have been printed in another unit."""
FEWEST: Final = 3
"""Decimals in which seeds of large models agree however many there are."""
MOST_POINTS: Final = 3
"""Points of two curves that are taken to agree by chances of their own: neighbours err alike."""


@dataclass(frozen=True, slots=True)
class Copied:
    """Runs that are one training.

    Attributes
    ----------
    runs : their numbers; the first has the most digits.
    decimals : in how many decimals their losses agree.
    """

    runs: tuple[int, ...]
    decimals: int


@dataclass(frozen=True, slots=True)
class _Curve:
    """A run: its number, its points, and the decimals of its losses."""

    run: int
    tokens: Floats
    loss: Floats
    decimals: int


@dataclass(frozen=True, slots=True)
class _Pairs:
    """Pairs of runs of one N and D, trained alike, with points at the same D; (pairs,) each.

    Attributes
    ----------
    runs : (pairs, 2) their numbers.
    decimals : of the coarser one, ``FINEST`` at most.
    farthest, last : absolute difference of their losses where it is largest, and at the end.
    level : their mean last loss.
    points : points that agree by chances of their own.
    """

    runs: Ints
    decimals: Ints
    farthest: Floats
    last: Floats
    level: Floats
    points: Ints

    def agree(self, decimals: Ints | int) -> Bools:
        """Tell whether the losses of each pair agree in these decimals at every point."""
        return np.asarray(self.farthest <= _half(decimals) * (1.0 + 1e-6))

    def noise(self, left: Bools) -> float:
        """Give the standard deviation of log differences of seeds: the usual one, or a smaller.

        Parameters
        ----------
        left : (pairs,) those that may be of seeds. Of them the ones that differ in their digits
            show it: their mean square is that of normal differences that rounding leaves.
        """
        usual = float(np.sqrt(2.0) * LEAST_NOISE)
        half = _half(self.decimals)
        differ = left & (self.last > half)
        if not differ.any():
            return usual
        apart = self.last[differ] / self.level[differ]
        beyond = float(np.mean(half[differ] / self.level[differ]))
        return min(usual, _scatter(float(np.mean(apart**2)), beyond))

    def by_chance(self, asked: Bools, decimals: int, noise: float) -> float:
        """Give the probability that seeds agree in as many of the pairs asked or more."""
        from scipy.special import bdtrc, ndtr

        half = _half(decimals) / self.level[asked]
        chance = (2.0 * ndtr(half / noise) - 1.0) ** self.points[asked]
        number = int(self.agree(decimals)[asked].sum())
        # of unlike chances the tail is no heavier than of their mean (Hoeffding 1956)
        return float(bdtrc(number - 1, int(asked.sum()), float(chance.mean())))


def copied_runs(
    run: Ints,
    tokens: Floats,
    loss: Floats,
    run_params: Floats,
    run_settings: Floats | None = None,
) -> list[Copied]:
    """List groups of runs that are one training.

    Runs of one N and D, trained alike as far as is known, are one training where they agree in the
    digits of the coarser one, and that many pairs of seeds would do so by chance with a probability
    below ``BY_CHANCE``: a pair whose losses are about 3 in four decimals, two or three in three;
    one of many pairs in seven or so. Seeds are taken to scatter by ``LEAST_NOISE``, or by less
    where those that differ do. Two decimals tell nothing.

    Parameters
    ----------
    run, tokens, loss : (points,) number of the run, D and L; sorted by run, then tokens.
    run_params, run_settings : (runs,) N and (runs, settings), as of ``cells.repeats_of``.
    """
    bounds = np.searchsorted(run, np.arange(len(run_params) + 1))
    there = np.flatnonzero(np.diff(bounds))
    if len(there) < 2:
        return []
    last = tokens[bounds[there + 1] - 1]
    settings = None if run_settings is None else run_settings[there]
    repeats: dict[int, list[_Curve]] = {}
    for k, group in zip(
        there.tolist(), repeats_of(run_params[there], last, settings).tolist(), strict=True
    ):
        points = slice(bounds[k], bounds[k + 1])
        curve = _Curve(k, tokens[points], loss[points], _decimals(loss[points]))
        repeats.setdefault(group, []).append(curve)
    pairs = _pairs([group for group in repeats.values() if len(group) > 1])
    if pairs is None:
        return []
    agreed = np.zeros(len(pairs.decimals), dtype=np.intp)
    for decimals in range(FINEST, FEWEST - 1, -1):
        left = agreed == 0
        finest = (pairs.decimals == FINEST) & (decimals > COARSE)
        asked = left & ((pairs.decimals == decimals) | finest)
        alike = pairs.agree(decimals)
        if not (asked & alike).any():
            continue
        if pairs.by_chance(asked, decimals, pairs.noise(left & ~alike)) < BY_CHANCE:
            # a loss that ends in zeros has as many digits as its neighbours
            agreed[left & alike & (asked | (pairs.decimals < decimals))] = decimals
    return _joined(pairs, agreed, {c.run: c.decimals for group in repeats.values() for c in group})


def _pairs(repeats: list[list[_Curve]]) -> _Pairs | None:
    """Set runs that repeat each other beside each other; None where no two may be one training."""
    pairs = [
        (first, second)
        for group in repeats
        for first, second in combinations(group, 2)
        if len(first.loss) == len(second.loss)
        and np.abs(np.log(first.tokens / second.tokens)).max() < GAP
    ]
    if not pairs:
        return None
    apart = [np.abs(first.loss - second.loss) for first, second in pairs]
    return _Pairs(
        runs=np.array([(first.run, second.run) for first, second in pairs]),
        decimals=np.array([min(first.decimals, second.decimals) for first, second in pairs]),
        farthest=np.array([each.max() for each in apart]),
        last=np.array([each[-1] for each in apart]),
        level=np.array([0.5 * (first.loss[-1] + second.loss[-1]) for first, second in pairs]),
        points=np.array([min(len(each), MOST_POINTS) for each in apart]),
    )


def _half(decimals: Ints | int) -> Floats:
    """Give half a unit of the last of these decimals."""
    return np.asarray(0.5 * 10.0 ** -np.asarray(decimals, dtype=np.float64))


def _decimals(loss: Floats) -> int:
    """Count the decimals of losses, ``FINEST`` at most."""
    for decimals in range(1, FINEST):
        if np.abs(np.round(loss, decimals) - loss).max() <= 1e-12 * loss.max():
            return decimals
    return FINEST


def _scatter(square: float, beyond: float) -> float:
    """Give the sd of normal differences whose mean square beyond a distance is given."""
    from scipy.special import log_ndtr

    low, high = beyond / 30.0, np.sqrt(square)
    for _ in range(60):
        middle = np.sqrt(low * high)
        z = beyond / middle
        told = middle**2 * (1.0 + z * np.exp(-0.5 * z * z - log_ndtr(-z)) / np.sqrt(2.0 * np.pi))
        low, high = (middle, high) if told < square else (low, middle)
    return float(low)


def _joined(pairs: _Pairs, agreed: Ints, digits: dict[int, int]) -> list[Copied]:
    """Join pairs to groups, the run with the most digits first, in the order of their runs."""
    told = [(tuple(runs), int(n)) for runs, n in zip(pairs.runs.tolist(), agreed, strict=True) if n]
    group = {run: run for runs, _ in told for run in runs}
    for (first, second), _ in told:
        old, new = sorted((group[first], group[second]), reverse=True)
        group = {run: new if its == old else its for run, its in group.items()}
    return [
        Copied(
            tuple(
                sorted((r for r in group if group[r] == first), key=lambda run: (-digits[run], run))
            ),
            min(n for runs, n in told if group[runs[0]] == first),
        )
        for first in sorted(set(group.values()))
    ]
