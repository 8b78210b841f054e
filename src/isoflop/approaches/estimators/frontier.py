"""The lowest loss that any run reaches at each compute, for many subsets of runs at once.

Whether a run is drawn once or twice does not move a frontier; whether it is drawn at all does. So
the curves are put in order once, and each subset looks up the first of its own runs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar, Final, Protocol

import numpy as np

from isoflop.errors import UnderdeterminedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from isoflop.approach import Approach
    from isoflop.approaches.observations import Observations

    Floats = NDArray[np.float64]
    Ints = NDArray[np.intp]
    Bools = NDArray[np.bool_]


class CurveSettings(Protocol):
    """What an approach that fits curves asks of them."""

    @property
    def min_points(self) -> int:
        """Fewest points of a curve."""
        ...

    @property
    def min_sizes(self) -> int:
        """Fewest sizes on the frontier, and so fewest runs with a curve."""
        ...


BLOCK: Final = 64
"""Subsets (or places) handled at a time: 64 rows of 1,500 places stay in the cache."""


def require_curves(
    approach: Approach,
    observations: Observations,
    settings: CurveSettings,
    *,
    otherwise: Callable[[], str] = str,
) -> None:
    """Refuse a sweep too few of whose runs have curves; final losses alone show no frontier.

    Parameters
    ----------
    approach, settings : of the approach that asks.
    observations : the sweep.
    otherwise : names another way out, for the message.

    Raises
    ------
    UnderdeterminedError : fewer than ``min_sizes`` runs have ``min_points`` points.
    """
    points = np.bincount(observations.run, minlength=observations.n_runs)
    long_enough = int((points >= settings.min_points).sum())
    if long_enough < settings.min_sizes:
        raise UnderdeterminedError(
            f"approach '{approach}' needs {settings.min_sizes} training curves of "
            f"{settings.min_points} points or more; {long_enough} of {observations.n_runs} runs of "
            f"{observations.sweep} have one. Give the logs of the runs; where they have few "
            f"evaluations, losses.loss: train takes the training losses{otherwise()}."
        )


@dataclass(frozen=True, eq=False)
class Frontiers:
    """One frontier per subset of runs, each array (subsets, places).

    Attributes
    ----------
    log_flops : log C of the places; (1, places) where all subsets share them.
    run : the winning run; -1 where no run of the subset reaches the place.
    log_params, log_tokens, log_loss : log N, D and L of the winner; 0 where there is none.
    """

    log_flops: Floats
    run: Ints
    log_params: Floats
    log_tokens: Floats
    log_loss: Floats

    @property
    def weights(self) -> Floats:
        """1 where there is a winner, else 0."""
        return (self.run >= 0).astype(np.float64)

    def trimmed(self, present: Bools, sizes: Ints) -> Frontiers:
        """Leave out where a subset's smallest or largest size wins, and all that lies beyond.

        Where an end size wins the best size is only known to lie at or beyond it. A place farther
        out than that, won by another size, is no place where the frontier was measured either: it
        is the first moments of training, where whoever has the steepest early curve wins.
        """
        smallest = np.where(present, sizes, np.inf).min(axis=1, keepdims=True)
        largest = np.where(present, sizes, -np.inf).max(axis=1, keepdims=True)
        winner, won = sizes[self.run], self.run >= 0
        low, high = won & (winner <= smallest), won & (winner >= largest)
        beyond = _before(low, won) | _before(high[:, ::-1], won[:, ::-1])[:, ::-1]
        return replace(self, run=np.where(low | high | beyond, -1, self.run))

    def distinct_sizes_in(self, sizes: Ints, edges: Floats) -> Ints:
        """Count the sizes that win between each two edges of log C, (subsets, parts)."""
        part = np.clip(np.searchsorted(edges, self.log_flops, side="right") - 1, 0, len(edges) - 2)
        columns = [
            replace(self, run=np.where(part == k, self.run, -1)).distinct_sizes(sizes)
            for k in range(len(edges) - 1)
        ]
        return np.stack(columns, axis=-1)

    def distinct_sizes(self, sizes: Ints) -> Ints:
        """Count the sizes that win somewhere, (subsets,); ``sizes`` is each run's size number."""
        subset, place = np.nonzero(self.run >= 0)
        wins = np.zeros((len(self.run), int(sizes.max()) + 1), dtype=np.bool_)
        wins[subset, sizes[self.run[subset, place]]] = True
        return np.asarray(wins.sum(axis=1))


def _before(edge: Bools, won: Bools) -> Bools:
    """Mark the places up to where an end size has ceased to win, (subsets, places), from the left.

    That is where the end size's lead in places is largest: a single place that noise gave to it
    among many won by others does not move the cut past them.
    """
    lead = np.cumsum(np.where(edge, 1, np.where(won, -1, 0)), axis=1)
    last = lead.shape[1] - 1 - lead[:, ::-1].argmax(axis=1)
    some = lead.max(axis=1) > 0
    return np.asarray((np.arange(lead.shape[1]) <= last[:, None]) & some[:, None])


@dataclass(frozen=True, eq=False)
class GridCurves:
    """All curves read at shared, log-spaced places.

    Attributes
    ----------
    places : (places,) log of the abscissa, C or D.
    log_params : (runs,) log N.
    log_tokens, loss : (runs, places) log D and L of each curve; loss is inf where it has no point.
    order : (runs, places) runs by increasing loss at each place.
    """

    at_once: ClassVar[int] = 256
    """Subsets best handled together: five arrays of 256 by 1,500 take 15 MB."""

    places: Floats
    log_params: Floats
    log_tokens: Floats
    loss: Floats
    order: NDArray[np.int32]

    def frontiers(self, present: Bools) -> Frontiers:
        """Find the frontier of each subset of runs, (subsets, runs)."""
        place = np.arange(len(self.places))
        winner = np.concatenate(
            [self._winners(present[i : i + BLOCK]) for i in range(0, len(present), BLOCK)]
        )
        loss = self.loss[winner, place]
        reached = np.isfinite(loss)
        return Frontiers(
            log_flops=self.places[None, :],
            run=np.where(reached, winner, -1),
            log_params=np.where(reached, self.log_params[winner], 0.0),
            log_tokens=np.where(reached, self.log_tokens[winner, place], 0.0),
            log_loss=np.log(np.where(reached, loss, 1.0)),
        )

    def _winners(self, present: Bools) -> Ints:
        """Find the first present run at each place; where none is, any one (its loss is inf)."""
        winner = np.repeat(self.order[:1], len(present), axis=0).astype(np.intp)
        subset, place = np.nonzero(~np.take_along_axis(present, winner, axis=1))
        for runner_up in self.order[1:]:
            if len(subset) == 0:
                break
            candidate = runner_up[place]
            winner[subset, place] = candidate
            absent = ~present[subset, candidate]
            subset, place = subset[absent], place[absent]
        winner[subset, place] = self.order[-1][place]
        return winner


def grid_curves(
    observations: Observations, n_places: int, *, abscissa: Floats | None = None
) -> GridCurves:
    """Interpolate every curve at log-spaced places, linearly in the log of the abscissa.

    Parameters
    ----------
    observations : points sorted by run, then tokens.
    n_places : number of places between the smallest and the largest abscissa.
    abscissa : (points,) C by default.

    References
    ----------
    Hoffmann et al. 2022, section 3.1: 1,500 logarithmically spaced FLOP values.
    """
    along = observations.flops if abscissa is None else abscissa
    low, high = np.log([along.min(), along.max()], dtype=np.float64)
    places = np.linspace(low, high, n_places)
    loss = np.full((observations.n_runs, n_places), np.inf)
    log_tokens = np.zeros_like(loss)
    bounds = np.searchsorted(observations.run, np.arange(observations.n_runs + 1))
    for run, (start, stop) in enumerate(pairwise(bounds)):
        if start == stop:
            continue
        # logs of one curve at a time: of 1e8 points each array takes 0.8 GB
        curve = slice(start, stop)
        x = np.log(along[curve], dtype=np.float64)
        inside = (places >= x[0]) & (places <= x[-1])
        loss[run, inside] = np.interp(places[inside], x, observations.loss[curve])
        log_tokens[run, inside] = np.interp(
            places[inside], x, np.log(observations.tokens[curve], dtype=np.float64)
        )
    order = np.empty(loss.shape, dtype=np.int32)
    for i in range(0, n_places, BLOCK):
        order[:, i : i + BLOCK] = np.argsort(loss[:, i : i + BLOCK], axis=0, kind="stable")
    return GridCurves(places, np.log(observations.run_params), log_tokens, loss, order)


@dataclass(frozen=True, eq=False)
class HullPoints:
    """The points that can lie on a lower convex hull of log L over log C.

    Attributes
    ----------
    x, y : (points,) log C and log L: the vertices of each run's own hull, by run, then x.
    run : (points,) index of the run.
    log_params, log_tokens : (points,) log N and log D.
    starts : where the points of each run begin; runs without points have none.
    """

    at_once: ClassVar[int] = 4096
    """Subsets best handled together: they share the slopes from their common vertices."""

    x: Floats
    y: Floats
    run: Ints
    log_params: Floats
    log_tokens: Floats
    starts: Ints

    def frontiers(self, present: Bools) -> Frontiers:
        """Find the hull's vertices for each subset of runs, (subsets, runs).

        Gift wrapping from the left. The next vertex after v is the present point with the lowest
        slope from v, so one ordering of the runs by slope serves all subsets that stand at v.
        """
        everyone = np.arange(len(present))
        # the leftmost point comes first, of several the one with the lowest loss
        rank = np.empty(len(self.x))
        rank[np.lexsort((self.y, self.x))] = np.arange(len(rank))
        vertex = self._following(rank, present, everyone)
        steps = [vertex]
        while (vertex >= 0).any():
            following = np.full(len(present), -1)
            for v in np.unique(vertex[vertex >= 0]).tolist():
                subsets = np.flatnonzero(vertex == v)
                following[subsets] = self._following(self._slopes(v), present, subsets)
            vertex = following
            steps.append(vertex)
        vertices = np.stack(steps[:-1], axis=1)
        there = vertices >= 0
        return Frontiers(
            log_flops=np.where(there, self.x[vertices], 0.0),
            run=np.where(there, self.run[vertices], -1),
            log_params=np.where(there, self.log_params[vertices], 0.0),
            log_tokens=np.where(there, self.log_tokens[vertices], 0.0),
            log_loss=np.where(there, self.y[vertices], 0.0),
        )

    def _slopes(self, v: int) -> Floats:
        """Give the slope from vertex v to each point; inf for those not right of it."""
        run_up = self.x - self.x[v]
        right = run_up > 0
        return np.where(right, (self.y - self.y[v]) / np.where(right, run_up, 1.0), np.inf)

    def _following(self, key: Floats, present: Bools, subsets: Ints) -> Ints:
        """Find each subset's point with the lowest key; -1 where all are inf."""
        best = np.minimum.reduceat(key, self.starts)
        order = np.argsort(best, kind="stable")
        order = order[np.isfinite(best[order])]
        if len(order) == 0:
            return np.full(len(subsets), -1)
        there = present[np.ix_(subsets, self.run[self.starts[order]])]
        chosen = order[there.argmax(axis=1)]
        point = np.full(len(self.starts), -1)
        ends = np.append(self.starts[1:], len(key))
        for i in np.unique(chosen):
            point[i] = self.starts[i] + key[self.starts[i] : ends[i]].argmin()
        return np.where(there.any(axis=1), point[chosen], -1)


def hull_points(observations: Observations) -> HullPoints:
    """Keep the points of each run that can lie on a lower convex hull.

    References
    ----------
    McLeish et al. 2025, "Gemstones", section 4.1: the lower convex hull instead of bins of C.
    """
    x, y = np.log(observations.flops), np.log(observations.loss)
    bounds = np.searchsorted(observations.run, np.arange(observations.n_runs + 1))
    kept = np.concatenate(
        [start + lower_hull(x[start:stop], y[start:stop]) for start, stop in pairwise(bounds)]
    )
    run = observations.run[kept]
    return HullPoints(
        x=x[kept],
        y=y[kept],
        run=run,
        log_params=np.log(observations.params[kept]),
        log_tokens=np.log(observations.tokens[kept]),
        starts=np.flatnonzero(np.diff(run, prepend=-1)),
    )


def lower_hull(x: Floats, y: Floats) -> Ints:
    """Give the indices of the lower convex hull's vertices, from left to right.

    Andrew's monotone chain; a point on an edge between two others is no vertex.
    """
    chain: list[int] = []
    for i in np.lexsort((y, x)):
        if chain and x[i] == x[chain[-1]]:
            continue  # same abscissa, higher loss
        while len(chain) > 1 and _turn(x, y, chain[-2], chain[-1], int(i)) <= 0.0:
            chain.pop()
        chain.append(int(i))
    return np.array(chain, dtype=np.intp)


def _turn(x: Floats, y: Floats, o: int, p: int, q: int) -> float:
    """Give the cross product of o->p and o->q: positive for a left turn."""
    return float((x[p] - x[o]) * (y[q] - y[o]) - (y[p] - y[o]) * (x[q] - x[o]))
