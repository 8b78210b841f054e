"""Which runs were trained with the same compute."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from isoflop.approaches.protocol import LEAST_FITTED
from isoflop.cells import cells_of, cells_of_logs, number_of_cells
from isoflop.config.approaches import LEAST_BUDGETS, LEAST_SIZES
from isoflop.errors import UnderdeterminedError
from isoflop.estimates.diagnostics import LeftOutRun
from isoflop.numbers import per_cent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from isoflop.approaches.observations import Observations
    from isoflop.config.approaches import ProfilesSettings

    Bools = NDArray[np.bool_]
    Floats = NDArray[np.float64]
    Ints = NDArray[np.intp]


TINY: Final = float(np.finfo(np.float64).tiny)
TILT: Final = 0.02
"""Change of log C with log N along a budget, beyond which its least loss is not taken for that at
equal C: over alpha + beta, of 2/3 or so, it moves the best N by 3 %."""
STEEPEST: Final = 0.33
"""The same up to which that is corrected for. In sweeps simulated from Chinchilla laws, with heads
of up to 128,256 rows that N leaves out, best sizes are then right within 2 %."""
MANY_OFF: Final = 0.1
"""Share of the runs that lie off their planned budgets, from which on that is told."""


@dataclass(frozen=True, eq=False)
class BudgetGroup:
    """The points of one compute budget.

    Attributes
    ----------
    budget : C [FLOP].
    run : (points,) index of each point's run.
    point : (points,) index of the observation; -1 where it was interpolated on the run's curve.
    log_params, log_tokens, log_flops, loss : (points,) of each point; loss in nat/token.
    carried : (points,) what was added to the log loss for another C than the run's; None: nothing.
    """

    budget: float
    run: Ints
    point: Ints
    log_params: Floats
    log_tokens: Floats
    log_flops: Floats
    loss: Floats
    carried: Floats | None = None

    @property
    def n_sizes(self) -> int:
        """Number of distinct sizes."""
        return number_of_cells(cells_of_logs(self.log_params))

    @property
    def sizes(self) -> str:
        """The same in words."""
        return "1 size" if self.n_sizes == 1 else f"{self.n_sizes} sizes"

    def take(self, kept: Ints) -> BudgetGroup:
        """Keep some points."""
        return BudgetGroup(
            self.budget,
            self.run[kept],
            self.point[kept],
            self.log_params[kept],
            self.log_tokens[kept],
            self.log_flops[kept],
            self.loss[kept],
            None if self.carried is None else self.carried[kept],
        )

    def at(self, log_flops: float, slope: float) -> BudgetGroup:
        """Carry each point to one C at its N, along a slope of log L in log C."""
        step = log_flops - self.log_flops
        return BudgetGroup(
            budget=float(np.exp(log_flops)),
            run=self.run,
            point=self.point,
            log_params=self.log_params,
            log_tokens=self.log_tokens + step,
            log_flops=self.log_flops + step,
            loss=self.loss * np.exp(slope * step),
            carried=slope * step,
        )


def budget_groups(
    observations: Observations, settings: ProfilesSettings
) -> tuple[list[BudgetGroup], list[LeftOutRun]]:
    """Group the runs by compute budget.

    Budgets come from the settings, or else from the runs' plan, or else from gaps between the final
    C of the runs. A run belongs to a budget if its final C lies within the tolerance. Where more
    runs share the C that their trainer logged, or meet their planned budget by it, than by C as it
    is counted here, as where sizes were chosen by other FLOPs than 6 N D, they are grouped by what
    was logged; each budget is then the median of C as counted.

    Returns
    -------
    Groups by increasing budget, and the runs in none of them as {run, reason}.
    """
    final = observations.at(observations.is_final)
    plan = _wanted(final, settings)
    wanted, off, reason = plan.budget, plan.off, plan.reason
    left_out = [
        LeftOutRun(run=observations.runs[run], reason=reason) for run in final.run[np.isnan(wanted)]
    ]
    left_out += [
        LeftOutRun(
            run=observations.runs[final.run[i]],
            reason=f"its C of {final.flops[i]:.3g} FLOPs lies more than "
            f"{per_cent(settings.tolerance)} from the budget of {wanted[i]:.3g}",
        )
        for i in np.flatnonzero(off)
    ]
    points = np.flatnonzero(observations.is_final)
    groups = []
    for budget in np.unique(wanted[~np.isnan(wanted) & ~off]):
        members = points[(wanted == budget) & ~off]
        if settings.interpolate:
            members = np.union1d(members, _passing(observations, float(budget)))
        group = _group(observations, float(budget), members)
        groups.append(_at_budget(observations, group) if settings.interpolate else group)
    taken = {int(run) for group in groups for run in group.run}
    used = {observations.runs[run] for run in taken}
    return groups, [left for left in left_out if left.run not in used]


def tilt_of(groups: Sequence[BudgetGroup]) -> float:
    """Give the change of log C with log N along the runs of a budget, one slope for all budgets."""
    products = squares = 0.0
    for group in groups:
        x = group.log_params - group.log_params.mean()
        products += float(x @ group.log_flops)
        squares += float(x @ x)
    return products / max(squares, TINY)


def told_of_logged(observations: Observations, settings: ProfilesSettings) -> str:
    """Say that runs were grouped by the C that was logged, and why; empty where they were not."""
    plan = _wanted(observations.at(observations.is_final), settings)
    if plan.by_counted is None:
        return ""
    return (
        f"Runs were grouped into budgets by the FLOPs that their trainer logged, which "
        f"{int(np.isfinite(plan.budget).sum())} runs share; by the C counted here "
        f"({observations.counting.flops}) only {plan.by_counted} would be. Each budget "
        "is C as counted at its best size. To group otherwise, list approaches.profiles.budgets."
    )


def told_of_off(observations: Observations, settings: ProfilesSettings) -> str:
    """Say that many runs lie off their budgets and are left out; empty where few do."""
    off = _wanted(observations.at(observations.is_final), settings).off
    if not len(off) or off.mean() < MANY_OFF:
        return ""
    return _off_words(off, observations, settings)


def _off_words(off: Bools, observations: Observations, settings: ProfilesSettings) -> str:
    """Say how many runs lie off their budgets, and by what tolerance."""
    return (
        f"{off.sum()} of {len(off)} runs are left out: their C ({observations.counting.flops}) "
        f"lies more than {per_cent(settings.tolerance)} from their budget "
        "(approaches.profiles.tolerance)."
    )


def require_equal_compute(
    groups: Sequence[BudgetGroup], observations: Observations, settings: ProfilesSettings
) -> None:
    """Refuse budgets along which C as counted changes so much with size that none is equal compute.

    Raises
    ------
    UnderdeterminedError : naming the conventions that would answer.
    """
    tilt = tilt_of(groups)
    by_counted = _wanted(observations.at(observations.is_final), settings).by_counted
    if by_counted is None or abs(tilt) <= STEEPEST:
        return
    raise UnderdeterminedError(
        f"profiles cannot read the best size at equal C from sweep {observations.sweep}: its runs "
        "share the FLOPs that their trainer logged, and along them C as counted here "
        f"({observations.counting.flops}) goes as N^{tilt:.2f}, where N^{STEEPEST:g} is the most "
        "that is corrected for. Count as the trainer did: approaches.counting.flops: logged, for "
        "answers in its FLOPs, or params and flops of approaches.counting that give them "
        "(docs/counting.md)."
    )


def _passing(observations: Observations, budget: float) -> Ints:
    """Give the last point of every run whose curve begins below a budget and ends beyond it."""
    starts = np.searchsorted(observations.run, np.arange(observations.n_runs))
    ends = np.searchsorted(observations.run, np.arange(observations.n_runs), side="right") - 1
    there = ends >= starts
    first, last = starts[there], ends[there]
    flops = observations.flops
    return np.asarray(last[(flops[first] <= budget) & (budget < flops[last])])


@dataclass(frozen=True, eq=False)
class _Plan:
    """Which budget each final point belongs to.

    Attributes
    ----------
    budget : (points,) C [FLOP]; NaN for none.
    off : (points,) whether the point lies too far from its budget.
    reason : why a point may have none.
    by_counted : runs that C as counted would have put in budgets, where what was logged put more
        there; None where budgets do not come from what was logged.
    """

    budget: Floats
    off: Bools
    reason: str
    by_counted: int | None = None


def _wanted(final: Observations, settings: ProfilesSettings) -> _Plan:
    """Give each final point's budget."""
    log_flops = np.log(final.flops)
    planned = final.run_budget[final.run]
    if settings.budgets is not None:
        budgets = np.sort(np.asarray(settings.budgets, dtype=np.float64))
        nearest = np.abs(log_flops[:, None] - np.log(budgets)).argmin(axis=1)
        return _near(budgets[nearest], final, settings, "near no budget")
    logged = _logged(final)
    if np.isfinite(planned).any():
        reason = "not planned for a budget"
        plan = _near(planned, final, settings, reason)
        with np.errstate(invalid="ignore"):
            missed = ~(np.abs(logged / planned - 1.0) <= settings.tolerance)
        met = np.isfinite(planned) & ~plan.off
        if (~missed).sum() > met.sum():
            return _by_logged(planned, missed, log_flops, reason, int(met.sum()))
        return plan
    few = f"fewer than {settings.min_sizes} sizes were trained with about as much compute"
    counted = np.exp(_clusters(log_flops, settings))
    # a chain of small gaps may be longer than the tolerance
    plan = _near(counted, final, settings, few)
    by_counted = int((np.isfinite(counted) & ~plan.off).sum())
    known = np.isfinite(logged)
    cluster = np.full(len(logged), np.nan)
    if known.any():
        cluster[known] = _clusters(np.log(logged[known]), settings)
    if np.isfinite(cluster).sum() > by_counted:
        return _by_logged(cluster, np.zeros(len(cluster), dtype=np.bool_), log_flops, few,
                          by_counted)  # fmt: skip
    return plan


def _logged(final: Observations) -> Floats:
    """Give what the trainer of each final point's run logged [FLOP]; NaN where it did not."""
    if final.run_flops_logged is None:
        return np.full(len(final.run), np.nan)
    logged = final.run_flops_logged[final.run]
    with np.errstate(invalid="ignore"):
        return np.where(logged > 0, logged, np.nan)


def _by_logged(
    labels: Floats, off: Bools, log_flops: Floats, reason: str, by_counted: int
) -> _Plan:
    """Put runs of one label into one budget, however far apart their C as counted."""
    budget = np.full(len(labels), np.nan)
    for value in np.unique(labels[np.isfinite(labels) & ~off]):
        members = labels == value
        budget[members] = np.exp(np.median(log_flops[members & ~off]))
    return _Plan(budget, off & np.isfinite(budget), reason, by_counted)


def _near(budget: Floats, final: Observations, settings: ProfilesSettings, reason: str) -> _Plan:
    with np.errstate(invalid="ignore"):
        off = np.abs(final.flops / budget - 1.0) > settings.tolerance
    return _Plan(budget, off, reason)


def _clusters(log_flops: Floats, settings: ProfilesSettings) -> Floats:
    """Group final C wherever the gap to the next is within the tolerance; NaN for small groups."""
    order = np.argsort(log_flops, kind="stable")
    gaps = np.diff(log_flops[order]) > np.log1p(settings.tolerance)
    label = np.empty(len(order), dtype=np.intp)
    label[order] = np.concatenate([[0], np.cumsum(gaps)])
    wanted = np.full(len(order), np.nan)
    for group in range(label.max() + 1):
        members = label == group
        if members.sum() >= settings.min_sizes:
            wanted[members] = np.median(log_flops[members])
    return wanted


def _group(observations: Observations, budget: float, points: Ints) -> BudgetGroup:
    order = points[np.lexsort((observations.run[points], observations.params[points]))]
    return BudgetGroup(
        budget=budget,
        run=observations.run[order],
        point=order,
        log_params=np.log(observations.params[order]),
        log_tokens=np.log(observations.tokens[order]),
        log_flops=np.log(observations.flops[order]),
        loss=observations.loss[order],
    )


def _at_budget(observations: Observations, group: BudgetGroup) -> BudgetGroup:
    """Read each curve at exactly the budget where its run passes it."""
    log_budget = np.log(group.budget)
    log_tokens, log_flops = group.log_tokens.copy(), group.log_flops.copy()
    loss, point = group.loss.copy(), group.point.copy()
    for i, run in enumerate(group.run):
        curve = observations.run == run
        x = np.log(observations.flops[curve])
        if x[0] <= log_budget < x[-1]:
            loss[i] = np.interp(log_budget, x, observations.loss[curve])
            log_tokens[i] = np.interp(log_budget, x, np.log(observations.tokens[curve]))
            log_flops[i], point[i] = log_budget, -1
    return BudgetGroup(
        group.budget, group.run, point, group.log_params, log_tokens, log_flops, loss
    )


def require_budgets(
    groups: list[BudgetGroup], observations: Observations, settings: ProfilesSettings
) -> None:
    """Refuse a sweep with too few budgets of enough sizes.

    Raises
    ------
    UnderdeterminedError : saying which budgets were found, with how many sizes each.
    """
    enough = [group for group in groups if group.n_sizes >= settings.min_sizes]
    if len(enough) < settings.min_budgets:
        listed = ", ".join(f"{g.budget:.3g} FLOPs ({g.sizes})" for g in groups)
        counted = f"{len(enough)}: {listed}" if groups else "none"
        ratio = _off_by(observations, settings)
        lower = _lower_limits([g.n_sizes for g in groups], settings)
        add = _wider(observations, settings) or f"Add runs{lower}."
        way_out = add if ratio is None else _labels_words(ratio, observations)
        raise UnderdeterminedError(
            f"profiles needs {settings.min_budgets} budgets with {settings.min_sizes} sizes each; "
            f"sweep {observations.sweep} has {counted}. {way_out}"
        )


def _wider(observations: Observations, settings: ProfilesSettings) -> str:
    """Name the tolerance by which budgets have runs enough; empty where no tolerance does it."""
    final = observations.at(observations.is_final)
    plan = _wanted(final, settings)
    if not plan.off.any():
        return ""
    sizes = [
        number_of_cells(cells_of(final.params[plan.budget == budget]))
        for budget in np.unique(plan.budget[~np.isnan(plan.budget)])
        # else it is the label that is off, and not the runs about it
        if abs(np.median(final.flops[plan.budget == budget]) / budget - 1.0) <= settings.tolerance
    ]
    if sum(n >= settings.min_sizes for n in sizes) < settings.min_budgets:
        return ""
    farthest = np.abs(final.flops / plan.budget - 1.0)[plan.off].max()
    return (
        f"{_off_words(plan.off, observations, settings)} "
        f"Set that to {math.ceil(100 * farthest) / 100:g} or more: where C goes with size "
        "along a budget, minima are read at equal C."
    )


def _off_by(observations: Observations, settings: ProfilesSettings) -> float | None:
    """Give C over the planned budget, where it is about the same number, not 1, for all runs."""
    final = observations.at(observations.is_final)
    planned = final.run_budget[final.run]
    if settings.budgets is not None or not len(planned) or not np.isfinite(planned).all():
        return None
    ratio = final.flops / planned
    common = float(np.median(ratio))
    alike = np.abs(ratio / common - 1.0) <= settings.tolerance
    return common if alike.all() and abs(common - 1.0) > settings.tolerance else None


FORWARD_ONLY: Final = 3.0
"""C of training, 6ND, over that of the forward pass alone, 2ND."""


def _labels_words(ratio: float, observations: Observations) -> str:
    """Say that all budgets are off by one factor, and the ways out."""
    finals = int(observations.is_final.sum())
    forward = abs(ratio / FORWARD_ONLY - 1.0) < 0.1
    scale = FORWARD_ONLY if forward else ratio
    like = ", which is what budgets in forward FLOPs look like" if forward else ""
    return (
        f"All {finals} runs have a C of about {ratio:#.2g} times their budget{like}: leave "
        f"`budget` out, or scale it in sweep.yaml's table map, budget: {{column: <column>, "
        f"scale: {scale:.3g}}}; approaches.profiles.budgets sets budgets outright."
    )


def _lower_limits(sizes: list[int], settings: ProfilesSettings) -> str:
    """Name the limits that would let these budgets pass, each by itself, if lowered.

    Few sizes a budget are no way out where most resamples of them would lack a parabola.
    """
    ways = []
    enough = sum(n >= settings.min_sizes for n in sizes)
    if enough >= LEAST_BUDGETS:
        ways.append(f"approaches.profiles.min_budgets to {enough}")
    best = sorted(sizes, reverse=True)[: settings.min_budgets]
    resampled = math.prod(1.0 - _few_sizes(n) for n in best)
    if len(best) == settings.min_budgets and resampled >= LEAST_FITTED:
        ways.append(f"approaches.profiles.min_sizes to {best[-1]}")
    return f", or lower {' or '.join(ways)}" if ways else ""


def _few_sizes(n: int) -> float:
    """Give the probability that n draws from n sizes have fewer than a parabola needs."""
    if n < LEAST_SIZES:
        return 1.0
    single, pairs = n, math.comb(n, 2) * (2**n - 2)
    return float((single + pairs) / n**n)
