"""Which draws an interval ends at, found on simulated sweeps of several laws, tail by tail.

An interval is read off the draws of a sweep at nominal shares of them below and above its ends.
The shares are those at which, in simulated sweeps of the same design, the truth lay beyond an end
as seldom as the confidence level says, under whichever law that made it hardest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from isoflop.approach import Approach
from isoflop.config.reading import Section

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

LEAST_TAIL: Final = 1e-3
"""Least nominal share of draws beyond an end: further out an end rests on hardly any draw."""
OUTER: Final = 0.1
"""Share of the draws on one side whose mean excess says how the tail beyond them falls."""


class Tail(Section):
    """Where one end of a calibrated interval lies among the draws."""

    share: float
    """Nominal share of the draws beyond the end."""
    error: float
    """Its standard error, since the simulated sweeps are few (delta method; Woodruff 1952)."""
    truth: Approach
    """The law whose sweeps ask for so small a share; the others would do with more."""


class Tails(Section):
    """The nominal level of a calibrated interval, tail by tail."""

    below: Tail
    above: Tail

    @property
    def level(self) -> float:
        """Nominal level: the share of the draws inside."""
        return 1.0 - self.below.share - self.above.share

    @property
    def error(self) -> float:
        """Standard error of the level, as if the tails were independent: never too small."""
        return float(np.hypot(self.below.error, self.above.error))

    @property
    def shares(self) -> tuple[float, float]:
        """Shares of the draws below the lower and below the upper end."""
        return self.below.share, 1.0 - self.above.share

    @property
    def mirrored(self) -> Tails:
        """The tails of a quantity that falls where this one rises."""
        return Tails(below=self.above, above=self.below)


class NoLevel(Section):
    """Why no interval of a confidence level is given: the truth lies too often beyond all draws."""

    side: Literal["below", "above"]
    """On which side of the draws the truth lies."""
    truth: Approach
    """The law in whose sweeps it does so most."""
    share: float
    """Share of that law's sweeps in which the truth lies beyond what the draws reach."""

    @property
    def mirrored(self) -> NoLevel:
        """The same of a quantity that falls where this one rises."""
        side: Literal["below", "above"] = "above" if self.side == "below" else "below"
        return self.model_copy(update={"side": side})


Levels = dict[str, Tails | NoLevel]
"""Confidence level, such as "0.8", to where its interval ends among the draws."""


def between(first: Levels, second: Levels, part: float) -> Levels:
    """Give the levels at a place between two where they are known.

    Parameters
    ----------
    first, second : the levels at both places.
    part : how far the place is from the first, 0 to 1.

    Returns
    -------
    Shares on the line between both; none of a level that one of them lacks.
    """
    if part in {0.0, 1.0}:
        return second if part else first
    levels: Levels = {}
    for level, near in first.items():
        far = second[level]
        if isinstance(near, NoLevel) or isinstance(far, NoLevel):
            levels[level] = near if isinstance(near, NoLevel) else far
        else:
            levels[level] = Tails(
                below=_part(near.below, far.below, part), above=_part(near.above, far.above, part)
            )
    return levels


def _part(near: Tail, far: Tail, part: float) -> Tail:
    return Tail(
        share=near.share + part * (far.share - near.share),
        error=near.error + part * (far.error - near.error),
        truth=near.truth if part < 0.5 else far.truth,
    )


def widest(several: Sequence[Levels]) -> Levels:
    """Give levels at which each of several quantities is covered: every end at the least share."""
    least: Levels = {}
    for level in several[0]:
        ends = [levels[level] for levels in several]
        without = [end for end in ends if isinstance(end, NoLevel)]
        if without:
            least[level] = max(without, key=lambda end: end.share)
            continue
        tails = [tail for end in ends if isinstance(end, Tails) for tail in (end.below, end.above)]
        end = min(tails, key=lambda tail: tail.share)
        least[level] = Tails(below=end, above=end)
    return least


def places(drawn: Floats, truth: float | Floats) -> Floats:
    """Say where a truth lies among the draws of each of some simulated sweeps.

    Between two draws the place is interpolated; beyond all of them it falls as the tail of the
    outer tenth does, exponentially, so that a truth just outside differs from one far away.

    Parameters
    ----------
    drawn : (sweeps, draws) of one quantity; NaN where refused.
    truth : its true value, or one for each sweep, (sweeps,).

    Returns
    -------
    (sweeps,) the share of the distribution of the draws below the truth; NaN without two draws.
    """
    kept = np.isfinite(drawn)
    count = kept.sum(axis=1)
    truth = np.broadcast_to(truth, count.shape)
    under = kept & (drawn < truth[:, None])
    below = under.sum(axis=1)
    left = np.where(under, drawn, -np.inf).max(axis=1)
    right = np.where(kept & ~under, drawn, np.inf).min(axis=1)
    with np.errstate(invalid="ignore"):
        part = np.where(right > left, (truth - left) / (right - left), 0.5)
    placed = (below + np.nan_to_num(part, nan=0.5)) / (count + 1.0)
    # the truth lies among the draws of most sweeps
    for outside, sign, distance in (
        (below == 0, 1.0, right - truth),
        (below == count, -1.0, truth - left),
    ):
        if (rows := np.flatnonzero(outside)).size:
            beyond = _beyond(sign * drawn[rows], distance[rows], count[rows])
            placed[rows] = beyond if sign > 0.0 else 1.0 - beyond
    return np.where(count < 2, np.nan, placed)


def _beyond(drawn: Floats, distance: Floats, count: Floats) -> Floats:
    """Give the share of a distribution that lies this far below its lowest draw, (sweeps,)."""
    ordered = np.sort(drawn, axis=1)  # NaN comes last
    outer = np.maximum(1, (OUTER * count).astype(np.intp))
    inside = np.arange(drawn.shape[1]) < outer[:, None]
    edge = np.take_along_axis(ordered, np.minimum(outer, drawn.shape[1] - 1)[:, None], axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        excess = np.where(inside, edge - ordered, 0.0).sum(axis=1) / outer
        fallen = np.where(distance <= 0.0, 1.0, np.exp(-distance / excess))
    return np.asarray(np.nan_to_num(fallen, nan=0.0) / (count + 1.0))


def tails_of(placed: Mapping[Approach, Floats], level: float) -> Tails | NoLevel:
    """Find the nominal shares at which each tail misses as seldom as it may, whichever is true.

    Parameters
    ----------
    placed : law to the places of its truth in its simulated sweeps, (sweeps,) each, no NaN; at
        least one law.
    level : confidence level.

    Returns
    -------
    ``NoLevel`` where the truth lies beyond ``LEAST_TAIL`` oftener than a tail may miss it: then
    even the widest interval misses it too often.

    References
    ----------
    Beran 1987, Biometrika 74:457; Loh 1987, J. Am. Stat. Assoc. 82:155: calibration of the level.
    """
    missed = 0.5 * (1.0 - level)
    sides = {"below": dict(placed), "above": {law: 1.0 - ranks for law, ranks in placed.items()}}
    beyond = [
        (np.count_nonzero(ranks < LEAST_TAIL) / len(ranks), side, law)
        for side, laws in sides.items()
        for law, ranks in laws.items()
    ]
    share, side, law = max(beyond, key=lambda entry: entry[0])
    # eight sweeps of eighty are a tenth, which is no double
    if share > missed + 1e-9:
        return NoLevel.model_validate({"side": side, "truth": law, "share": share})
    ends = {
        side: min((_tail(law, ranks, missed) for law, ranks in laws.items()), key=lambda t: t[0])
        for side, laws in sides.items()
    }
    tails = {
        side: Tail(share=share, error=error, truth=law)
        for side, (share, error, law) in ends.items()
    }
    return Tails(below=tails["below"], above=tails["above"])


def _tail(law: Approach, ranks: Floats, missed: float) -> tuple[float, float, Approach]:
    """Give the share that a truth of this law lies below in ``missed`` of its sweeps, or the least.

    Its standard error, which comes second, is half the distance between the shares that are missed
    one binomial standard error more and less often; the law comes third.

    References
    ----------
    Woodruff 1952, J. Am. Stat. Assoc. 47:635.
    """
    n = len(ranks)
    error = np.sqrt(missed * (1.0 - missed) / n)
    # of n ordered values the k-th has k / (n + 1) of the distribution below it
    share, low, high = np.interp(
        [missed, missed - error, missed + error], np.arange(1, n + 1) / (n + 1.0), np.sort(ranks)
    )
    return max(float(share), LEAST_TAIL), 0.5 * float(high - low), law


def covered(ranks: Floats, shares: tuple[float, float]) -> float:
    """Give the share of simulated sweeps whose interval of these ends covers the truth.

    Parameters
    ----------
    ranks : (sweeps,) places of the truth.
    shares : of the draws, below the lower and below the upper end.
    """
    low, high = shares
    return np.count_nonzero((low <= ranks) & (ranks <= high)) / len(ranks)
