"""Runs entered twice: one training under two names, perhaps with fewer digits under one of them.

Seeds differ by a thousandth or so. Two runs of one N and D whose losses agree in all digits of the
coarser printout may agree by chance, more easily the fewer digits there are, so the number of pairs
of runs that do decides. The printouts may be of two units or number formats, cut off or rounded.

Runs that agree as far as their digits go may be seeds for all that is known, and tell nothing of
how far seeds lie apart: what rounding leaves of their difference is no noise.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from isoflop.cells import GAP, repeats_of
from isoflop.printed import FINEST, SHORT, printed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from isoflop.printed import Printed

    Floats = NDArray[np.float64]
    Ints = NDArray[np.intp]
    Bools = NDArray[np.bool_]

LEAST_NOISE: Final = 1e-3
"""Standard deviation of a seed's log L that chance is reckoned with where runs show no less."""
BY_CHANCE: Final = 0.01
"""Probability below which that many pairs of seeds do not agree in their digits by chance."""
FEWEST: Final = 3
"""Decimals in which seeds of large models agree however many there are."""
COARSEST: Final = 6e-4
"""Share of a loss that a printout may leave open, of those in two formats that may be copies."""
CONVERTED: Final = 2e-7
"""Share of a loss by which a unit's factor, typed with seven digits, is off."""
SAME_LOSS: Final = 1e-9
"""Share of a loss by which a copy's differs whose N or D was rounded."""
FULL: Final = 6
"""Decimals in which runs of unlike N and D do not agree by chance."""
NEAR: Final = 0.06
"""Log distance of an N or D from the same with two digits, at most."""
DIGITS: Final = (2, 3)
"""Digits that an N or D was rounded to; more leave it in its cell, one may be any."""
LEVELS: Final = 0.05
"""Share of runs from which on those that end in the loss of another N or D show that a table has
few levels of the loss, whatever its digits."""
TOLD_APART: Final = 4.0
"""Variance of seeds over that of rounding, from which on it is theirs: their standard deviation is
then half a step of the printout or more."""
MOST_POINTS: Final = 3
"""Points of two curves that are taken to agree by chances of their own: neighbours err alike."""


@dataclass(frozen=True, slots=True)
class Copied:
    """Runs that are one training.

    Attributes
    ----------
    runs : their numbers; the first has the most digits.
    decimals : in how many decimals their losses agree; 0 of short floats.
    words : the same in words, of which unit too.
    """

    runs: tuple[int, ...]
    decimals: int
    words: str


@dataclass(frozen=True, slots=True)
class _Curve:
    """A run: its number and N, its points, and how its losses were printed."""

    run: int
    params: float
    tokens: Floats
    loss: Floats
    alone: Printed
    """As its digits have it."""
    format: Printed
    """As those of the whole table have it."""
    level_step: float
    """Distance of its last loss from the next in a table of a few levels [nat]; else 0."""

    @property
    def decimals(self) -> int:
        """Decimals of nats; those that were printed in another unit have as many as there are."""
        return FINEST if self.alone.unit else self.alone.decimals

    def decimals_beside(self, other: _Curve) -> int:
        """Decimals that tell this run from another, ``FINEST`` at most.

        Where both are of one unit or short float, or of a few levels, equal values are as likely as
        its steps are wide, and its steps as decimals of nats are counted.
        """
        decimals, step = min(self.decimals, other.decimals), self.step_beside(other)
        return min(decimals, int(np.floor(-np.log10(step)))) if step > 0.0 else decimals

    def step_beside(self, other: _Curve) -> float:
        """Give the wider of their steps [nat] where these are counted, else 0."""
        step = max(self.level_step, other.level_step)
        if self.format.unit and _is_of_one_format(self, other):
            step = max(step, self.format.step, other.format.step)
        return step


@dataclass(frozen=True, slots=True)
class _Pairs:
    """Pairs of runs of one N and D, trained alike, with points at the same D; (pairs,) each.

    Attributes
    ----------
    runs : (pairs, 2) their numbers.
    cell : of their N and D, its number; pairs of one cell do not agree independently.
    decimals : of the coarser one, ``FINEST`` at most.
    step : of both, where equal values are as likely as their steps are wide; else 0 [nat].
    unit : in words, where both are of one unit or short float; else empty.
    farthest, last : absolute difference of their losses where it is largest, and at the end.
    level : their mean last loss.
    points : points that agree by chances of their own.
    unlike : whether the two were printed in formats that differ by more than a digit.
    rounded, cut : whether all losses of the coarser may be those of the other, rounded to its
        format, or cut off.
    open : share of the last loss that the two formats leave open, to either side.
    """

    runs: Ints
    cell: Ints
    decimals: Ints
    step: Floats
    unit: list[str]
    farthest: Floats
    last: Floats
    level: Floats
    points: Ints
    unlike: Bools
    rounded: Bools
    cut: Bools
    open: Floats

    def agree(self, decimals: Ints | int) -> Bools:
        """Tell whether the losses of each pair agree in these decimals at every point."""
        near = self.farthest <= _half(decimals) * (1.0 + 1e-6)
        return np.asarray(near & ((self.step == 0.0) | (self.farthest < 0.5 * self.step)))

    def noise(self, left: Bools) -> float:
        """Give the standard deviation of log differences of seeds: the usual one, or a smaller.

        Parameters
        ----------
        left : (pairs,) those that may be of seeds. Of them the ones that differ in their digits
            show it: their mean square is that of normal differences that rounding leaves.
        """
        return self._noise(left, _half(self.decimals))

    def _noise(self, left: Bools, half: Floats) -> float:
        usual = float(np.sqrt(2.0) * LEAST_NOISE)
        differ = left & (self.last > half)
        if not differ.any():
            return usual
        apart = self.last[differ] / self.level[differ]
        beyond = float(np.mean(half[differ] / self.level[differ]))
        return min(usual, _scatter(float(np.mean(apart**2)), beyond))

    def by_chance(self, asked: Bools, decimals: int, noise: float) -> float:
        """Give the probability that seeds agree in as many of the cells asked or more."""
        from scipy.special import ndtr

        half = _half(decimals) / self.level[asked]
        chance = (2.0 * ndtr(half / noise) - 1.0) ** self.points[asked]
        return _chance_of_cells(self.cell[asked], self.agree(decimals)[asked], chance)

    def across_formats(self, left: Bools) -> Bools:
        """Tell which pairs are one training in two formats, (pairs,).

        Parameters
        ----------
        left : (pairs,) those that may be.
        """
        from scipy.special import ndtr

        copied = np.zeros_like(left)
        asked = left & self.unlike & (self.open <= COARSEST)
        for alike, width in ((self.rounded, 2.0), (self.cut, 1.0)):
            if not (asked & alike).any():
                continue
            # a few of another unit pass for nats of more digits, and lie as far apart as the others
            usual = np.maximum(self.open, np.median(self.open[asked]))
            noise = self._noise(left & ~alike, usual * self.level)
            # cut off, the difference has one sign, and a whole step to that side
            end = self.open[asked] * (2.0 / width) / noise
            chance = (width * (ndtr(end) - 0.5)) ** self.points[asked]
            if _chance_of_cells(self.cell[asked], alike[asked], chance) < BY_CHANCE:
                copied |= asked & alike
        return copied


def _chance_of_cells(cell: Ints, agrees: Bools, chance: Floats) -> float:
    """Give the probability that pairs of seeds agree in as many cells or more.

    A cell counts once, however many of its pairs agree: of five seeds those of two values make four
    pairs or six. It has one that agrees no more often than if its pairs were independent.

    Parameters
    ----------
    cell, agrees, chance : (pairs,) its cell, whether it agrees, and the chance that it does.
    """
    from scipy.special import bdtrc

    _, place = np.unique(cell, return_inverse=True)
    cells = int(place.max()) + 1
    number = len(np.unique(place[agrees]))
    differs = np.bincount(place, np.log1p(-np.minimum(chance, 1.0 - 1e-12)), cells)
    # of unlike chances the tail is no heavier than of their mean (Hoeffding 1956)
    return float(bdtrc(number - 1, cells, float(-np.expm1(differs).mean())))


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
    below ``BY_CHANCE``, cells counted: a pair whose losses are about 3 in four decimals, two or
    three in three; one of many pairs in seven or so. Seeds are taken to scatter by ``LEAST_NOISE``,
    or by less where those that differ do. Two decimals tell nothing. A table in another unit, of
    short floats, or whose losses have a few levels has as many decimals as its steps. Where the two
    were printed in unlike units or number formats (``printed``), rounding or cutting off one of
    them may leave no more between them than its step. Runs one of whose N or D is that of the other
    in fewer ``DIGITS`` are one where they agree in ``FULL`` decimals or more.

    Parameters
    ----------
    run, tokens, loss : (points,) number of the run, D and L; sorted by run, then tokens.
    run_params, run_settings : (runs,) N and (runs, settings), as of ``cells.repeats_of``.
    """
    curves, group = _curves(run, tokens, loss, run_params, run_settings)
    repeats: dict[int, list[_Curve]] = {}
    for curve, of_curve in zip(curves, group, strict=True):
        repeats.setdefault(of_curve, []).append(curve)
    cells = {curve.run: of_curve for curve, of_curve in zip(curves, group, strict=True)}
    pairs = _pairs([*_repeated(repeats), *_of_rounded_counts(curves, group, run_settings)], cells)
    if pairs is None:
        return []
    agreed = np.zeros(len(pairs.decimals), dtype=np.intp)
    for decimals in range(FINEST, FEWEST - 1, -1):
        left = agreed == 0
        finest = (pairs.decimals == FINEST) & (decimals > SHORT)
        asked = left & ((pairs.decimals == decimals) | finest)
        alike = pairs.agree(decimals)
        if not (asked & alike).any():
            continue
        if pairs.by_chance(asked, decimals, pairs.noise(left & ~alike)) < BY_CHANCE:
            # a loss that ends in zeros has as many digits as its neighbours
            agreed[left & alike & (asked | (pairs.decimals < decimals))] = decimals
    formats = {curve.run: curve.format for curve in curves}
    told = [
        (first, second, agreed_in, unit or f"to {agreed_in} decimals")
        for (first, second), agreed_in, unit in zip(
            pairs.runs.tolist(), agreed.tolist(), pairs.unit, strict=True
        )
        if agreed_in
    ]
    for first, second in pairs.runs[pairs.across_formats(agreed == 0)].tolist():
        coarser = max((formats[first], formats[second]), key=_coarseness)
        told.append((first, second, coarser.decimals, coarser.words))
    return _joined(told, {run: _coarseness(its) for run, its in formats.items()})


def runs_once(
    run: Ints,
    tokens: Floats,
    loss: Floats,
    run_params: Floats,
    run_settings: Floats | None = None,
    *,
    copies: Sequence[Copied],
) -> Bools:
    """Tell the runs whose differences from one another are those of seeds, (runs,).

    Without copies. Where repeats agree as far as their digits go, copies or not, without all but
    the finest of each group: rounding is what lies between them.

    Parameters
    ----------
    run, tokens, loss, run_params, run_settings : as of ``copied_runs``.
    copies : what that gave.
    """
    once = np.ones(len(run_params), dtype=np.bool_)
    once[[other for each in copies for other in each.runs[1:]]] = False
    curves, group = _curves(run, tokens, loss, run_params, run_settings)
    repeats: dict[int, list[_Curve]] = {}
    for curve, of_curve in zip(curves, group, strict=True):
        repeats.setdefault(of_curve, []).append(curve)
    several = [each for each in repeats.values() if len(each) > 1]
    squares, freedom, rounding = 0.0, 0, []
    for each in several:
        last = np.log([curve.loss[-1] for curve in each])
        squares += float(((last - last.mean()) ** 2).sum())
        freedom += len(each) - 1
        rounding += [curve.format.step**2 / 12.0 / curve.loss[-1] ** 2 for curve in each]
    if freedom and squares / freedom < TOLD_APART * float(np.mean(rounding)):
        for each in several:
            finest = min(each, key=lambda curve: _coarseness(curve.format))
            once[[curve.run for curve in each if curve is not finest]] = False
    return once


def _coarseness(format_: Printed) -> float:
    return format_.step


def _curves(
    run: Ints, tokens: Floats, loss: Floats, run_params: Floats, run_settings: Floats | None
) -> tuple[list[_Curve], list[int]]:
    """Give the curves of runs that have points, and the number of each's group of repeats."""
    bounds = np.searchsorted(run, np.arange(len(run_params) + 1))
    there = np.flatnonzero(np.diff(bounds))
    if len(there) == 0:
        return [], []
    points = [slice(bounds[k], bounds[k + 1]) for k in there]
    alone, together = printed(loss, bounds[there])
    last = tokens[bounds[there + 1] - 1]
    steps = _level_steps(run_params[there], last, loss[bounds[there + 1] - 1], together)
    curves = [
        _Curve(k, float(run_params[k]), tokens[its], loss[its], *formats)
        for k, its, *formats in zip(
            there.tolist(), points, alone, together, steps.tolist(), strict=True
        )
    ]
    settings = None if run_settings is None else run_settings[there]
    return curves, repeats_of(run_params[there], last, settings).tolist()


def _level_steps(params: Floats, tokens: Floats, loss: Floats, formats: list[Printed]) -> Floats:
    """Give the distance of each run's loss from the next other one where a table has a few levels.

    Such are those read off the colours of a figure: equal to the last of many digits, in runs of
    unlike N or D too. Else zeros, as of runs in a coarser format, which tells its steps itself.

    Parameters
    ----------
    params, tokens, loss : (runs,) each, at their ends.
    formats : of the runs.
    """
    steps = np.zeros(len(loss))
    fine = np.array([not its.unit and its.decimals > SHORT for its in formats])
    level, place, count = np.unique(loss[fine], return_inverse=True, return_counts=True)
    several = [place == number for number in np.flatnonzero(count > 1).tolist()]
    shared = sum(
        int(its.sum())
        for its in several
        if max(np.ptp(np.log(params[fine][its])), np.ptp(np.log(tokens[fine][its]))) > NEAR
    )
    if len(level) > 1 and shared >= max(LEVELS * int(fine.sum()), 3.0):
        gaps = np.diff(level)
        steps[fine] = np.maximum(np.append(gaps, 0.0), np.append(0.0, gaps))[place]
    return steps


def _is_of_one_format(first: _Curve, second: _Curve) -> bool:
    a, b = first.format, second.format
    return (a.unit, a.decimals) == (b.unit, b.decimals)


def _repeated(repeats: dict[int, list[_Curve]]) -> list[tuple[_Curve, _Curve]]:
    """List pairs of runs that repeat each other, with points at the same D."""
    return [
        (first, second)
        for group in repeats.values()
        for first, second in combinations(group, 2)
        if _has_same_tokens(first, second, GAP)
    ]


def _has_same_tokens(first: _Curve, second: _Curve, within: float) -> bool:
    if len(first.loss) != len(second.loss):
        return False
    return bool(np.abs(np.log(first.tokens / second.tokens)).max() < within)


def _of_rounded_counts(
    curves: Sequence[_Curve], group: Sequence[int], run_settings: Floats | None
) -> list[tuple[_Curve, _Curve]]:
    """List pairs of one loss in all of many digits whose N or D differ as rounded ones do."""
    alike = np.zeros(len(curves), dtype=np.intp)
    if run_settings is not None and len(curves):
        unit = np.ones(len(curves))
        alike = repeats_of(unit, unit, run_settings[[curve.run for curve in curves]])
    order = sorted(range(len(curves)), key=lambda i: (curves[i].loss[-1], i))
    pairs = []
    for i, j in pairwise(order):
        first, second = sorted((i, j))
        curve, other = curves[first], curves[second]
        if group[i] == group[j] or alike[i] != alike[j] or curve.decimals_beside(other) < FULL:
            continue
        if len(curve.loss) != len(other.loss) or not (
            _is_rounding(np.array([curve.params]), np.array([other.params]))
            and _is_rounding(curve.tokens, other.tokens)
        ):
            continue
        if np.abs(curve.loss - other.loss).max() <= SAME_LOSS * curve.loss.max():
            pairs.append((curve, other))
    return pairs


def _is_rounding(first: Floats, second: Floats) -> bool:
    """Tell whether counts are alike, or those of one are the other's in fewer digits."""
    if np.abs(np.log(first / second)).max() < GAP:
        return True
    for coarse, fine in ((first, second), (second, first)):
        for digits in DIGITS:
            unit = 10.0 ** (np.floor(np.log10(coarse) + 1e-12) - (digits - 1))
            on = np.abs(coarse / unit - np.round(coarse / unit)) < 1e-6
            if (on & (np.abs(fine - coarse) <= (0.5 + 1e-6) * unit)).all():
                return True
    return False


def _pairs(pairs: Sequence[tuple[_Curve, _Curve]], cells: dict[int, int]) -> _Pairs | None:
    """Set runs that may be one training beside each other; None where there are none.

    Parameters
    ----------
    pairs : of runs.
    cells : number of each run's cell.
    """
    if not pairs:
        return None
    apart = [np.abs(first.loss - second.loss) for first, second in pairs]
    level = np.array([0.5 * (first.loss[-1] + second.loss[-1]) for first, second in pairs])
    between = [_between(first, second) for first, second in pairs]
    return _Pairs(
        runs=np.array([(first.run, second.run) for first, second in pairs]),
        cell=np.array([cells[first.run] for first, _ in pairs]),
        decimals=np.array([first.decimals_beside(second) for first, second in pairs]),
        step=np.array([first.step_beside(second) for first, second in pairs]),
        unit=[
            first.format.words if first.format.unit and _is_of_one_format(first, second) else ""
            for first, second in pairs
        ],
        farthest=np.array([each.max() for each in apart]),
        last=np.array([each[-1] for each in apart]),
        level=level,
        points=np.array([min(len(each), MOST_POINTS) for each in apart]),
        unlike=np.array([each.unlike for each in between]),
        rounded=np.array([each.rounded for each in between]),
        cut=np.array([each.cut for each in between]),
        open=np.array([each.open for each in between]) / level,
    )


class _Between(NamedTuple):
    """What the formats of two runs leave between them, as of ``_Pairs``; open is in nats."""

    unlike: bool
    rounded: bool
    cut: bool
    open: float


def _between(first: _Curve, second: _Curve) -> _Between:
    fine, coarse = sorted((first, second), key=lambda curve: _coarseness(curve.format))
    a, b = fine.format, coarse.format
    more = fine.loss - coarse.loss
    slack = CONVERTED * coarse.loss
    reach = 0.5 * (a.step + b.step)
    return _Between(
        unlike=not _is_of_one_format(first, second),
        rounded=bool((np.abs(more) <= reach + slack).all()),
        cut=bool(((more >= -0.5 * a.step - slack) & (more <= b.step + 0.5 * a.step + slack)).all()),
        open=reach,
    )


def _half(decimals: Ints | int) -> Floats:
    """Give half a unit of the last of these decimals."""
    return np.asarray(0.5 * 10.0 ** -np.asarray(decimals, dtype=np.float64))


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


def _joined(told: list[tuple[int, int, int, str]], coarse: dict[int, float]) -> list[Copied]:
    """Join pairs to groups, the run with the most digits first, in the order of their runs.

    Parameters
    ----------
    told : two runs each, in how many decimals they agree, and the same in words.
    coarse : how coarsely each run was printed.
    """
    group = {run: run for first, second, *_ in told for run in (first, second)}
    for first, second, *_ in told:
        old, new = sorted((group[first], group[second]), reverse=True)
        group = {run: new if its == old else its for run, its in group.items()}
    joined = []
    for first in sorted(set(group.values())):
        runs = sorted((r for r in group if group[r] == first), key=lambda run: (coarse[run], run))
        decimals, words = min((n, words) for run, _, n, words in told if group[run] == first)
        joined.append(Copied(tuple(runs), decimals, words))
    return joined
