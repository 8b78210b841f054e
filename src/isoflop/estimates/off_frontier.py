"""Losses at any N and D, beside the optima: what is laid over measured runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from isoflop.approach import MIXTURE
from isoflop.estimates.allocation import optima_at
from isoflop.estimates.estimate import Counting
from isoflop.estimates.intervals import intervals_at, percentile_intervals
from isoflop.estimates.mixture import Mixture

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from isoflop.approach import Approach
    from isoflop.estimates.draws import Draws
    from isoflop.estimates.estimate import Estimate
    from isoflop.estimates.intervals import Intervals
    from isoflop.estimates.recommendation import Recommendation

    Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Predicted:
    """A loss at one N and D.

    Attributes
    ----------
    value : the loss [nat/token].
    intervals : by level; a level that the answer's losses at optima of that C are denied is denied
        here too, so it may be empty.
    """

    value: float
    intervals: Intervals


def counting_of_pair(
    chosen: Recommendation | None, fitted: Mapping[Approach, Estimate]
) -> Counting:
    """Say how N and C of check runs are counted: as what predicts their losses counts.

    Else as the first estimate does; total N and C = 6ND where nothing was fitted.
    """
    predicts = predicts_losses(chosen, fitted)
    shown = next(iter(fitted.values()), None) if predicts is None else predicts[1]
    return Counting(params="total", flops="6nd") if shown is None else shown.counting


def predicts_losses(
    chosen: Recommendation | None, fitted: Mapping[Approach, Estimate]
) -> tuple[str, Estimate | Mixture] | None:
    """Say whose losses stand beside measured ones: the mixture's where it is the answer.

    Else those of approach 3, whose law is the one of the three that has losses at any N and D.

    Returns
    -------
    Key and answer; None where neither is there.
    """
    if chosen is not None and isinstance(chosen.answer, Mixture):
        return MIXTURE.key, chosen.answer
    parametric = fitted.get("parametric")
    return None if parametric is None else ("parametric", parametric)


def losses_at(answer: Estimate | Mixture, draws: Draws, params: Floats, tokens: Floats) -> Floats:
    """Give L(N, D), (points,): a law's own, or the median of the mixture's draws.

    Parameters
    ----------
    answer : one that has such losses; see ``predicts_losses``.
    draws : its table of draws.
    params, tokens : (points,) by its counting.
    """
    log_n, log_d = np.log(params), np.log(tokens)
    if isinstance(answer, Mixture):
        return np.asarray(np.exp(np.nanmedian(_drawn(answer, draws, log_n, log_d), axis=0)))
    log_loss = answer.law.log_loss(answer.row, log_n, log_d)
    if log_loss is None:
        raise TypeError(f"approach '{answer.approach}' has no loss at N and D")
    return np.asarray(np.exp(log_loss[0]))


def intervals_of_losses(
    answer: Estimate | Mixture, draws: Draws, params: Floats, tokens: Floats, flops: float
) -> list[Intervals]:
    """Give the intervals of L(N, D) at points of one C, without the noise of a run.

    What an answer's loss at the optimum of that C is denied is denied beside it too.

    Parameters
    ----------
    answer, draws, params, tokens : as for ``losses_at``.
    flops : C of the points, by the answer's counting [FLOP].
    """
    none: list[Intervals] = [{} for _ in params]
    drawn = _drawn(answer, draws, np.log(params), np.log(tokens))
    if not len(drawn):
        return none
    if isinstance(answer, Mixture):
        levels = answer.levels.of("loss_opt", flops)
        return [intervals_at(column, levels) for column in np.exp(drawn).T]
    optima = optima_at(answer, draws, [flops])
    if not optima or optima[0].loss is None:
        return none
    served = optima[0].loss.intervals
    return [
        {level: ends for level, ends in percentile_intervals(column).items() if level in served}
        for column in np.exp(drawn).T
    ]


def predicted_at(
    answer: Estimate | Mixture, draws: Draws, params: float, tokens: float, flops: float
) -> Predicted:
    """Give the loss at one N and D with its intervals; see ``losses_at``."""
    n, d = np.array([params]), np.array([tokens])
    (value,) = losses_at(answer, draws, n, d).tolist()
    (intervals,) = intervals_of_losses(answer, draws, n, d, flops)
    return Predicted(value, intervals)


def _drawn(answer: Estimate | Mixture, draws: Draws, log_n: Floats, log_d: Floats) -> Floats:
    """Give log L of all draws, (draws, points)."""
    laws = (
        [(part.law, part.rows) for part in answer.parts(draws)]
        if isinstance(answer, Mixture)
        else [(answer.law, answer.rows(draws))]
    )
    columns = [law.log_loss(rows, log_n, log_d) for law, rows in laws if len(rows)]
    known = [column for column in columns if column is not None]
    return np.concatenate(known) if known else np.empty((0, len(log_n)))
