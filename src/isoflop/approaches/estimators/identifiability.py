"""Can these runs answer the question at all? Refusals that name the fact and the fix.

A law with five constants can be fitted to any six runs. Whether they determine the best size is
another question, and an interval from resamples answers it late, or not at all: on a ray D = 20 N
the exponent a rests on the law's form alone, at one budget on the asymmetry of one valley.
"""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING, Final, Protocol, cast

import numpy as np

from isoflop.approaches.numerics.variable_projection import one_term_squares, variable_projection
from isoflop.approaches.protocol import LEAST_FITTED
from isoflop.cells import cells_of, number_of_cells
from isoflop.errors import OpenSizeError, UnderdeterminedError
from isoflop.estimates.diagnostics import LATE
from isoflop.estimates.intervals import LEVELS, OPEN
from isoflop.numbers import listed, per_cent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from isoflop.approach import Approach
    from isoflop.approaches.estimators.frontier import Frontiers
    from isoflop.approaches.observations import Observations
    from isoflop.approaches.protocol import Fit

    Floats = NDArray[np.float64]


class FrontierFit(Protocol):
    """A fit of a frontier."""

    approach: Approach
    observations: Observations

    @property
    def frontier(self) -> Frontiers:
        """The part of the frontier of all runs that is fitted, one row."""
        ...


NO_PLANE: Final = ("profiles", "overtraining", "data_constrained")
"""Approaches that need no plane: profiles test the curvature of their budgets, and the laws of
over-training and of repeated tokens ask other questions."""
FRONTIERS: Final = ("envelope", "kaplan")
COLLINEAR: Final = 0.1
"""Standard deviation of log N and log D across their main direction below which runs lie on a line:
trainers miss a planned D or C by some per cent."""
ASTRAY: Final = 0.1
"""Share of the runs without which the others must not lie on a line: an exponent that rests on a
run or two off it is theirs, errors and all, and resamples without them have none."""
LEAST_RUNS: Final = 4
"""Runs of which one may lie off the line of the others: three are seldom a line by design."""
SAME: Final = 1e-9
"""Losses that differ by no more than this share are equal: what differs is rounding."""
NO_EFFECT: Final = 0.01
"""p-value of dropping a term above which the runs do not show its effect."""
CALIBRATED_MEANS: Final = (
    f"its {per_cent(min(LEVELS))} interval, as wide as it must be to cover so often, puts"
)
"""What tells an open size where intervals are placed by simulated sweeps, in words."""
FEW_RUNS: Final = 2
"""Runs of a third value, and of further ones, whose errors an exponent takes for its own."""
LEAST_VALUES: Final = 3
"""Values of N, or of D, that fix an exponent beside a floor."""
FREE: Final = 50.0
"""Standard errors of a log that stand for no number."""
MOST_ENDED: Final = 0.5
"""Share of the leading runs that may lead until their end."""


def percentiles_mean(drawn: str) -> str:
    """Say in words what tells an open size where intervals are percentiles of draws."""
    return f"{per_cent(min(LEVELS))} of the {drawn} put"


def require_identified(fit: Fit) -> None:
    """Refuse a fit to runs that cannot answer the question, whatever its numbers look like.

    A law of the loss needs runs that differ in N and D both, and losses that depend on both. So
    does a frontier, whose curves see to the first.

    Raises
    ------
    UnderdeterminedError : naming the fact and the fix.
    """
    observations = fit.observations
    used = np.isfinite(fit.fitted)
    require_answering(
        observations.at(used if used.any() else _last_points(observations)), fit.approach
    )


def require_answering(fitted: Observations, approach: Approach) -> None:
    """Ask the same of the points that a fit takes, before they are fitted: a law takes seconds.

    Parameters
    ----------
    fitted : the fitted points alone.
    approach : which is fitted to them.

    Raises
    ------
    UnderdeterminedError : naming the fact and the fix.
    """
    _require_scatter(fitted, approach)
    if approach in NO_PLANE:
        return
    if approach in FRONTIERS:
        # curves of one ray make a frontier where they cross: they say what the ends do not
        if _across(fitted)[0] >= COLLINEAR:
            require_effects(fitted, approach)
        return
    require_plane(fitted, approach)
    require_effects(fitted, approach)


def _require_scatter(fitted: Observations, approach: str) -> None:
    loss = fitted.loss
    if np.ptp(loss) <= SAME * loss.mean():
        raise UnderdeterminedError(
            f"approach '{approach}' cannot be fitted to sweep {fitted.sweep}: its {len(loss)} "
            f"losses are all the same, {loss.mean():.6g} nats. Check the column that the "
            "losses are read from."
        )


def _last_points(observations: Observations) -> NDArray[np.intp]:
    """Give the last point of each run; points are sorted by run, then tokens."""
    return np.flatnonzero(np.diff(observations.run, append=-1) != 0)


def _across(observations: Observations) -> tuple[float, Floats]:
    """Give the standard deviation of log N and log D across their main direction, and that."""
    centred = _centred(observations)
    _, lengths, directions = np.linalg.svd(centred, full_matrices=False)
    n = len(centred)
    return float(lengths[-1] / np.sqrt(n)) if n > 1 else 0.0, directions[0]


def _centred(observations: Observations) -> Floats:
    """Give log N and log D about their means, (points, 2)."""
    plane = np.log(np.stack([observations.params, observations.tokens], axis=1))
    return np.asarray(plane - plane.mean(axis=0))


def _in_line(observations: Observations) -> tuple[Observations, int]:
    """Leave out the few runs off the line that the others lie on, one by one.

    Returns
    -------
    The runs that are left, and how many were left out; all runs where the others make a plane, or
    where all lie on the line.
    """
    _, run = np.unique(observations.run, return_inverse=True)
    x, y = _centred(observations).T
    # of each run what a covariance needs, so that leaving one out is a subtraction
    sums = np.stack([np.bincount(run, of) for of in (np.ones_like(x), x, y, x * x, x * y, y * y)])
    kept = np.ones(len(sums[0]), dtype=np.bool_)
    for out in range(int(max(len(kept) * ASTRAY, 1.0)) + 1):
        if kept.sum() < LEAST_RUNS:
            break
        together = sums[:, kept].sum(axis=1)
        if _across_of(together) < COLLINEAR:
            return observations.at(kept[run]), out
        # without which run do the others lie nearest to a line?
        nearest = _across_of(together[:, None] - sums[:, kept]).argmin()
        kept[np.flatnonzero(kept)[nearest]] = False
    return observations, 0


def _across_of(sums: Floats) -> Floats:
    """Give what ``_across`` does from sums of 1, x, y, x^2, xy and y^2, (6, ...)."""
    n, x, y, xx, xy, yy = sums
    var_x, var_y, cov = xx / n - (x / n) ** 2, yy / n - (y / n) ** 2, xy / n - x * y / n**2
    least = 0.5 * (var_x + var_y - np.hypot(var_x - var_y, 2.0 * cov))
    return np.asarray(np.sqrt(np.maximum(least, 0.0)))


def require_plane(observations: Observations, approach: str) -> None:
    """Refuse runs whose N and D lie on one line, such as a ray D = 20 N or a single budget.

    Parameters
    ----------
    observations : the fitted points alone.
    approach : for the message.

    Raises
    ------
    OpenSizeError : they do; the message says along which line, and what to train.
    """
    observations, astray = _in_line(observations)
    across, (along_n, along_d) = _across(observations)
    if across >= COLLINEAR:
        return
    everyone = "all runs" if not astray else f"all runs but {astray}"
    ratio = np.log(observations.tokens / observations.params)
    product = np.log(observations.flops)
    scatter = f"a scatter of {per_cent(np.expm1(across))}"
    start = f"approach '{approach}' cannot tell the best size from sweep {observations.sweep}: "
    if along_n * along_d > 0.0:
        line = (
            f"{everyone} have about D = {np.exp(np.median(ratio)):.3g} N (within {_within(ratio)})"
            if ratio.std() < COLLINEAR
            else f"D follows N^{along_d / along_n:.2f} in {everyone}, with {scatter}"
        )
        raise OpenSizeError(
            f"{start}{line}, so no two runs of equal compute differ in size, and what another size "
            "would have reached was not measured. Train two or more sizes besides at each of "
            "three budgets: a third and three times these N, with the D that costs the same."
        )
    if product.std() < COLLINEAR:
        raise OpenSizeError(
            f"{start}{everyone} cost about the same, {np.exp(np.median(product)):.3g} FLOPs "
            f"(within {_within(product)}), so how the best size moves with compute was not "
            "measured. Train the same sizes at two more budgets, each at least three times another."
        )
    raise OpenSizeError(
        f"{start}log N and log D of {everyone} lie on one line, with {scatter}: the effects of N "
        "and D cannot be told apart. Train runs off that line: other sizes at the same compute, "
        "and the same sizes at other compute."
    )


def by_design(fit: Fit) -> str | None:
    """Say that a frontier is the line that was trained; None of other fits and other frontiers.

    Of runs on a line, as of D = 20 N, each may hand the lead to the next where its own budget ends
    and not where it is passed: log N over log C is then the slope of the design, whatever the best
    size is.
    """
    if fit.approach not in FRONTIERS:
        return None
    observations = fit.observations
    ends = observations.at(_last_points(observations))
    across, (along_n, along_d) = _across(ends)
    if across >= COLLINEAR:
        return None
    frontier = cast("FrontierFit", fit).frontier
    won = frontier.run[0] >= 0
    run, log_flops = frontier.run[0][won], frontier.log_flops[0][won]
    lead, last = (np.full(observations.n_runs, -np.inf) for _ in range(2))
    np.maximum.at(lead, run, log_flops)
    np.maximum.at(last, observations.run, np.log(observations.flops))
    leading = np.unique(run)
    ended = lead[leading] >= last[leading] + np.log(LATE)
    if ended.mean() <= MOST_ENDED:
        return None
    line = (
        f"D follows N^{along_d / along_n:.2f}"
        if abs(along_n) > COLLINEAR
        else "all sizes are about the same"
    )
    return (
        f"the line that was trained, and not from the runs alone: {line} at the ends of all runs, "
        f"and {ended.sum()} of the {len(leading)} runs on the frontier lead until they end, so "
        "that its slope is much of the design's. Train two or more sizes at each of three budgets, "
        "or these runs for longer, until a larger one passes each."
    )


def require_effects(observations: Observations, approach: str) -> None:
    """Refuse losses that do not depend on N, or not on D, beyond their scatter.

    Each power law is dropped from E + A / N**alpha + B / D**beta in turn, and what the squares of
    relative errors gain is compared with what is left, by an F of two constants. A term whose
    constants are not there has no exponent to be estimated, so the test rejects a true absence
    somewhat too often (Davies 1977); its level is 1 % for that reason.

    Parameters
    ----------
    observations : the fitted points alone.
    approach : for the message.

    Raises
    ------
    UnderdeterminedError : the loss does not depend on N, on D, or either.
    """
    from scipy.special import fdtrc

    loss, sweep = observations.loss, observations.sweep
    n = len(loss)
    freedom = n - 5
    if freedom < 1:
        return
    full = n * variable_projection(observations.params, observations.tokens, loss)["rms"] ** 2
    # an exact law leaves rounding, which is no scatter to compare with
    full = max(full, n * SAME**2)
    absent = {}
    for name, kept in (("N", observations.tokens), ("D", observations.params)):
        statistic = (one_term_squares(kept, loss) - full) / 2.0 / (full / freedom)
        p_value = float(fdtrc(2, freedom, max(statistic, 0.0)))
        if p_value > NO_EFFECT:
            absent[name] = p_value
    if not absent:
        return
    what = (
        "depend neither on N nor on D"
        if len(absent) > 1
        else f"do not depend on {next(iter(absent))}"
    )
    scatter = np.sqrt(full / freedom)
    tests = ", ".join(f"p = {p_value:.2g}" for p_value in absent.values())
    raise UnderdeterminedError(
        f"approach '{approach}' cannot tell the best size from sweep {sweep}: beyond a scatter of "
        f"{per_cent(scatter, 2)} its losses {what} ({tests}), and a law without that effect "
        f"has no best size. Add runs over a wider range of {' and '.join(absent)}, or "
        "repeat runs with other seeds; if the losses should differ, check the columns that "
        "loss, N and D are read from."
    )


def require_determined(fit: Fit, draws: Floats, refusals: NDArray[np.str_]) -> None:
    """Refuse an allocation that resamples, or the law's own slopes, leave open.

    Parameters
    ----------
    fit : the fit to all runs.
    draws : (draws, parameters) fitted to resamples; NaN where refused.
    refusals : (draws,) why; empty where a draw was fitted.

    Raises
    ------
    OpenSizeError : the 80 % interval of N_opt spans more than a factor of nine at an end of
        the data or in their middle, or ``require_slopes``.
    UnderdeterminedError : most resamples cannot be fitted.
    """
    _require_agreement(fit, draws, refusals)
    require_slopes(fit)


def _require_agreement(fit: Fit, draws: Floats, refusals: NDArray[np.str_]) -> None:
    """Ask resamples alone."""
    kept = np.isfinite(draws).all(axis=1)
    if len(draws) < 2:
        return
    name, sweep = fit.approach, fit.observations.sweep
    if kept.mean() < LEAST_FITTED:
        reasons, counts = np.unique(refusals[refusals != ""], return_counts=True)
        raise UnderdeterminedError(
            f"approach '{name}' has too few runs in sweep {sweep} to say how sure it is: "
            f"{(~kept).sum()} of {len(draws)} resamples cannot be fitted "
            f"({reasons[counts.argmax()]}). "
            "Add sizes and budgets, or repeat runs with other seeds."
        )
    flops = places_of(fit)
    sizes = fit.optima(draws[kept], flops).params
    # a best size that is nowhere lies beyond all others, and so does what is between two such
    with np.errstate(invalid="ignore"):
        ends = np.quantile(np.where(np.isfinite(sizes), sizes, np.inf), [0.1, 0.9], axis=0)
    require_narrow(
        flops,
        [(low, high) for low, high in np.where(np.isnan(ends), np.inf, ends).T.tolist()],
        whose=f"approach '{name}'",
        sweep=sweep,
        means=percentiles_mean("resamples"),
    )


def require_slopes(fit: Fit) -> None:
    """Refuse a law whose constants trade against each other without changing its losses.

    Two sizes leave A, alpha and E of A / N**alpha + E free but for two numbers, and two token
    counts B, beta and E. Resamples do not show it: each ends where its start put it in a valley
    without a floor, so that they agree. The gradient of log N_opt along the directions that the
    losses do not see does (the null space of J'J).

    Parameters
    ----------
    fit : the fit to all runs.

    Raises
    ------
    OpenSizeError : one standard error of log N_opt, within the data, is that of a factor of nine,
        or would be without the few runs that have the third value.
    """
    flops = places_of(fit)
    if (errors := fit.size_errors(flops)) is None:
        return
    known = np.isfinite(fit.optima(fit.parameters[None], flops).params[0])
    errors = np.where(known, errors, 0.0)
    worst = int(errors.argmax())
    seen = fit.observations.at(np.isfinite(fit.fitted))
    if errors[worst] <= np.log(OPEN):
        _require_third_value(fit, seen, flops[known])
        return
    counts = {
        "sizes": number_of_cells(cells_of(seen.params)),
        "token counts": number_of_cells(cells_of(seen.tokens)),
    }
    few = [f"{count} {what}" for what, count in counts.items() if count < LEAST_VALUES]
    cure = (
        f"They have {listed(few)}, which fix no exponent beside a floor: train a third, and more."
        if few
        else "Add sizes on both sides of the best at each budget, and further budgets."
    )
    factor = f"a factor of {np.exp(errors[worst]):.2g}" if errors[worst] < FREE else "without bound"
    raise OpenSizeError(
        f"approach '{fit.approach}' does not determine the best size in sweep "
        f"{seen.sweep}: its constants trade against each other without changing the losses of "
        f"these runs, so that one standard error of the best size at {flops[worst]:.2g} FLOPs, "
        f"within the data, is {factor} where {OPEN:g} is the most that is shown. {cure}"
    )


def _require_third_value(fit: Fit, seen: Observations, flops: Floats) -> None:
    """Refuse an exponent that hangs on the one or two runs beside those of two sizes, or two D.

    It would be theirs, errors and all, and resamples without them have none. The errors of more
    runs average out: six at six further D among sixty at two determine it.
    """
    run, last = np.unique(seen.run[::-1], return_index=True)
    ends = seen.at(len(seen.run) - 1 - last)
    for what, axis in (("sizes", ends.params), ("token counts", ends.tokens)):
        cell = cells_of(axis)
        by_number = np.argsort(-np.bincount(cell), kind="stable")
        few = run[np.isin(cell, by_number[LEAST_VALUES - 1 :])]
        if not 0 < len(few) <= min(max(len(run) * ASTRAY, 1.0), FEW_RUNS):
            continue
        errors = fit.size_errors(flops, few.tolist())
        if errors is None or errors.max(initial=0.0) <= np.log(OPEN):
            continue
        names = listed([seen.runs[i] for i in few.tolist()])
        raise OpenSizeError(
            f"approach '{fit.approach}' hangs on {names} in sweep {seen.sweep}: the other "
            f"{len(run) - len(few)} runs have 2 {what}, which fix no exponent beside a floor, so "
            f"that it would be the error of {'that run' if len(few) == 1 else 'those runs'} too. "
            f"Train more runs of a third {what.removesuffix('s')}, and of a fourth."
        )


def places_of(fit: Fit) -> Floats:
    """Give the C at which the best size must be determined: both ends of the data, and between.

    On runs near a ray the intervals are narrowest somewhere inside the data and widen both ways, so
    the middle alone can look determined where the largest budget, at which the answer is read, is
    not.
    """
    seen = fit.observations
    # a frontier's curves begin far below the places at which it is read
    ends_alone = fit.approach in FRONTIERS
    return places_in(seen.at(_last_points(seen)).flops_range if ends_alone else fit.flops_range)


def places_in(flops_range: tuple[float, float]) -> Floats:
    """Give the largest C of a range [FLOP], its middle and its least, in that order."""
    low, high = flops_range
    return np.array([high, np.sqrt(low * high), low])


def require_narrow(
    flops: Floats,
    intervals: Sequence[tuple[float, float] | None],
    *,
    whose: str,
    sweep: str,
    means: str,
) -> None:
    """Refuse an allocation whose interval of N_opt is too wide at some place within the data.

    It is asked at 80 %, of resamples and of what is printed alike: at 95 % an end hangs on the last
    few draws, and on a few simulated sweeps where it was placed by these, so that chance would
    refuse fits whose answers are narrow elsewhere. An answer that is open at 95 % at its own C has
    no number all the same, see ``estimates.allocation``.

    Parameters
    ----------
    flops : where, as ``places_in`` gives it [FLOP].
    intervals : the 80 % interval of N_opt at each; None where none is given.
    whose, sweep, means : for the message: what was fitted to which sweep, and by what it is known.

    Raises
    ------
    OpenSizeError : the widest spans more than ``OPEN``.
    """
    where = ("the largest compute of", "the middle of", "the least compute of")
    spans = [
        (high / low if np.isfinite(high) and low > 0.0 else np.inf, place, c, low, high)
        for place, c, (low, high) in (
            (place, c, ends)
            for place, c, ends in zip(where, flops.tolist(), intervals, strict=True)
            if ends is not None
        )
    ]
    if not spans:
        return
    factor, place, c, low, high = max(spans, key=itemgetter(0))
    if factor <= OPEN:
        return
    where_put = (
        f"between {low:.2g} and {high:.2g} parameters, a factor of {factor:.2g} where {OPEN:g}"
        if np.isfinite(factor)
        else f"at {low:.2g} parameters or more, without bound, where a factor of {OPEN:g}"
        if low > 0.0
        else f"anywhere below {high:.2g} parameters, where a factor of {OPEN:g}"
        if np.isfinite(high)
        else f"anywhere at all, where a factor of {OPEN:g}"
    )
    raise OpenSizeError(
        f"{whose} does not determine the best size in sweep {sweep}: at {c:.2g} FLOPs, {place} "
        f"the data, {means} it {where_put} is the most that is shown. Add sizes on both sides of "
        "the best at each budget, further budgets, or other seeds of the runs there are."
    )


def _within(logs: Floats) -> str:
    """Write how far values lie from their median at most, as a share."""
    return f"{per_cent(float(np.expm1(np.abs(logs - np.median(logs)).max())))}"
